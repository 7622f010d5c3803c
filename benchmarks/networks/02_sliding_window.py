"""The patch classifier of lesson 02, slid over the scene."""

import torch
from torch import Tensor, nn

from autograde.reference.sliding_window import scores_to_mask, sliding_window_scores
from benchmarks.protocol import BATCH_PIXELS, LR, Architecture, Budget
from seglab.data.scenes import CLASSES, load_crops
from seglab.layers import conv, linear, network, pool
from seglab.training import History, fit, mirror_and_recolour

WINDOW, STRIDE = 32, 4  # a quarter of the scene's side, as on the slide


def train_on_crops(seed: int, budget: Budget) -> tuple[nn.Module, History]:
    """Valid convolutions, two halvings, a dense head."""
    torch.manual_seed(seed)
    features = network([conv(3, 16, 5), pool(), conv(16, 32, 3), pool()])  # 32 -> 28 -> 14 -> 12 -> 6
    head = network([linear(32 * 6 * 6, 64), linear(64, len(CLASSES))])
    classifier = nn.Sequential(features, head)
    batch_size = BATCH_PIXELS // WINDOW**2
    crops, labels = load_crops("train", size=WINDOW, count=8 * budget.scenes, seed=0)
    history = fit(
        classifier,
        crops,
        labels,
        steps=budget.steps(),
        batch_size=batch_size,
        lr=LR,
        seed=seed,
        augment=mirror_and_recolour,
    )
    return classifier, history


def slide(classifier: nn.Module, picture: Tensor) -> Tensor:
    """Every window on its own, as lesson 02 begins."""
    scores = sliding_window_scores(classifier, picture, WINDOW, STRIDE, batch_size=64)  # (num_classes, 25, 25)
    return scores_to_mask(scores, picture.shape[1:], WINDOW, STRIDE)


ARCHITECTURES = [Architecture("sliding window", train_on_crops, slide)]
