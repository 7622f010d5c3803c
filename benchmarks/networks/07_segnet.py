"""SegNet of lesson 07, and two controls: what do its switches carry?"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograde.reference.segnet import DecoderStage, SegNet
from benchmarks.protocol import Architecture, Task, arg_max
from seglab.networks import WIDTHS

# One a stage, as all the course's networks have, but for the first: its counterpart needs one before the scores.
CONVS = (2, 1, 1, 1, 1)


def segnet(task: Task) -> SegNet:
    """The course's widths."""
    return SegNet(task.channels, len(task.classes), WIDTHS, CONVS)


class Shuffled(nn.Module):
    """A decoder stage whose switches point to a random place of their 2 x 2 window."""

    def __init__(self, stage: DecoderStage):
        super().__init__()
        self.stage = stage

    def forward(self, x: Tensor, switches: Tensor, size: Sequence[int]) -> Tensor:
        rows, cols = torch.arange(x.shape[2])[:, None], torch.arange(x.shape[3])
        somewhere = torch.randint(4, switches.shape)  # in the window: 0 1 above 2 3
        return self.stage(x, (2 * rows + somewhere // 2) * size[1] + 2 * cols + somewhere % 2, size)


class Bilinear(nn.Module):
    """A decoder stage that enlarges without switches."""

    def __init__(self, stage: DecoderStage):
        super().__init__()
        self.stage = stage

    def forward(self, x: Tensor, switches: Tensor, size: Sequence[int]) -> Tensor:
        return self.stage.convs(F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False))


def segnet_with(stage: type[nn.Module]):
    """Builds a SegNet, from the same weights, whose decoder stages are wrapped."""

    def build(task: Task) -> SegNet:
        network = segnet(task)
        network.decoder = nn.ModuleList(map(stage, network.decoder))
        return network

    return build


def arg_max_of_one_shuffle(model: nn.Module, picture: Tensor) -> Tensor:
    """One pass with the same shuffle for each picture, so that a score can be found again."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return arg_max(model, picture)


ARCHITECTURES = [
    Architecture("SegNet", segnet, arg_max),
    Architecture("SegNet, switches shuffled", segnet_with(Shuffled), arg_max_of_one_shuffle, control=True),
    Architecture("SegNet, bilinear", segnet_with(Bilinear), arg_max, control=True),
]
