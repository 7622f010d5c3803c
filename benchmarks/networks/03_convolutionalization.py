"""The same classifier as in lesson 02, with its dense head turned into convolutions: one pass for all windows."""

from functools import partial
from pathlib import Path

from torch import nn

from autograde.lessons import load
from benchmarks.protocol import Architecture, Task

before = load(Path(__file__).with_name("02_sliding_window.py"))


slide_in_one_pass = partial(before.slide_at_once, window=before.WINDOW, stride=before.STRIDE)


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
LECTURE = [Architecture("lecture 03", lecture_lenet, slide_in_one_pass, window=before.WINDOW)]
