"""The same classifier as in lesson 02, with its dense head turned into convolutions: one pass for all windows."""

import torch
from torch import Tensor, nn

from autograde.lessons import Lesson, load
from autograde.reference.convolutionalization import convolutionalize
from benchmarks.protocol import Architecture, Task

before = load(Lesson("02_sliding_window").network_file)


@torch.no_grad()
def slide_in_one_pass(classifier: nn.Module, picture: Tensor) -> Tensor:
    """The same weights as convolutions, as lesson 03 ends."""
    features, head = classifier
    network = nn.Sequential(features, convolutionalize(head, (32, 6, 6)))
    return before.in_a_frame(picture, before.WINDOW, before.STRIDE, lambda framed: network(framed[None])[0])


def lecture_lenet(task: Task) -> nn.Module:
    """The network that the lecture builds, for windows of 32 pixels."""
    features = []
    for in_channels, width in ((task.channels, 6), (6, 16)):
        features += [nn.Conv2d(in_channels, width, 5), nn.MaxPool2d(2), nn.ReLU()]
    dense = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, len(task.classes))]
    return nn.Sequential(nn.Sequential(*features), nn.Sequential(nn.Flatten(), *dense))


ARCHITECTURES = [
    Architecture(
        "convolutionalized", before.patch_classifier, slide_in_one_pass, window=before.WINDOW, weights="sliding window"
    )
]
LECTURE = [Architecture("lecture 03", lecture_lenet, before.slide, window=32)]
