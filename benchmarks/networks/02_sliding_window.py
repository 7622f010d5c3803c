"""The patch classifier of lesson 02, slid over the picture."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from autograde.reference.convolutionalization import convolutionalize
from autograde.reference.sliding_window import scores_to_mask, sliding_window_scores
from benchmarks.protocol import Architecture, Task
from seglab.layers import conv, linear, network, pool

WINDOW, STRIDE = 32, 4  # a quarter of the picture's side, as on the slide


def patch_classifier(task: Task) -> nn.Module:
    """Valid convolutions, two halvings, a dense head."""
    features = network([conv(task.channels, 16, 5), pool(), conv(16, 32, 3), pool()])  # 32 -> 28 -> 14 -> 12 -> 6
    head = network([linear(32 * 6 * 6, 64), linear(64, len(task.classes))])
    return nn.Sequential(features, head)


def in_a_frame(picture: Tensor, window: int, stride: int, score: Callable[[Tensor], Tensor]) -> Tensor:
    """The mask (H, W) of `score`, which gives a framed picture (C, ...) the scores of its windows.

    The frame, the picture mirrored at its edges, is just so wide that each block of stride x stride pixels has a window
    about its middle: networks with padding answer everywhere, and so they can be compared.
    """
    rim = (window - stride) // 2
    framed = nn.functional.pad(picture[None], (rim,) * 4, mode="reflect")[0]  # (C, H + 2 rim, W + 2 rim)
    return scores_to_mask(score(framed), framed.shape[1:], window, stride)[rim:-rim, rim:-rim]


def slide(classifier: nn.Module, picture: Tensor) -> Tensor:
    """Every window on its own, as lesson 02 begins."""

    def score(framed: Tensor) -> Tensor:
        return sliding_window_scores(classifier, framed, WINDOW, STRIDE, batch_size=64)  # (num_classes, 32, 32)

    return in_a_frame(picture, WINDOW, STRIDE, score)


def lecture_classifier(task: Task) -> nn.Module:
    """The network that the lecture builds, for windows of 64 pixels in pictures of 256."""
    features = nn.Sequential()
    for in_channels, width, kernel_size in ((task.channels, 16, 5), (16, 32, 3), (32, 64, 3)):
        features.append(nn.Conv2d(in_channels, width, kernel_size, bias=False))
        features.extend([nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.ReLU()])
    dense = [nn.Linear(64 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, len(task.classes))]
    return nn.Sequential(features, nn.Sequential(nn.Flatten(), nn.Dropout(0.3), *dense))


@torch.no_grad()
def slide_at_once(classifier: nn.Module, picture: Tensor, window: int, stride: int) -> Tensor:
    """The same windows in one pass, where the stride is the jump of the features: quicker, and the same mask."""
    features, head = classifier
    size = features(picture[None, :, :window, :window]).shape[1:]
    network = nn.Sequential(features, convolutionalize(head, tuple(size)))
    return in_a_frame(picture, window, stride, lambda framed: network(framed[None])[0])


ARCHITECTURES = [Architecture("sliding window", patch_classifier, slide, window=WINDOW)]
LECTURE = [Architecture("lecture 02", lecture_classifier, partial(slide_at_once, window=64, stride=8), window=64)]
