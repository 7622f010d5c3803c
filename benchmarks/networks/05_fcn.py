"""FCN-32s, 16s and 8s of lesson 05, and FCN-8s from a classifier, as the paper begins."""

from functools import partial

import torch
from torch import nn

from autograde.reference.fcn import FCN
from benchmarks.protocol import Architecture, Task, arg_max
from seglab.networks import WIDTHS, halving_encoder


def fcn(task: Task, stride: int) -> nn.Module:
    """On the course's encoder, from scratch."""
    return FCN(halving_encoder(WIDTHS, task.channels), WIDTHS, len(task.classes), stride)


def classifier(task: Task) -> nn.Module:
    """The encoder, the mean over all places, one dense layer."""
    dense = nn.Linear(WIDTHS[-1], len(task.classes))
    return nn.Sequential(halving_encoder(WIDTHS, task.channels), nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)


def fcn_from(task: Task, trained: nn.Module) -> nn.Module:
    """FCN-8s that begins as the enlarged map of a trained classifier."""
    encoder, _, _, dense = trained
    network = FCN(encoder, WIDTHS, len(task.classes), stride=8)
    with torch.no_grad():
        network.score_32.weight.copy_(dense.weight[:, :, None, None])  # (num_classes, 128, 1, 1)
        network.score_32.bias.copy_(dense.bias)
    return network


_classifier = Architecture("classifier", classifier, arg_max, window=64)
ARCHITECTURES = [
    *(Architecture(f"FCN-{stride}s", partial(fcn, stride=stride), arg_max) for stride in (32, 16, 8)),
    Architecture("FCN-8s, from a classifier", fcn_from, arg_max, before=_classifier),
]
