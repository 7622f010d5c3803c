"""FCN-32s, 16s and 8s of lesson 05."""

from functools import partial

from torch import nn

from autograde.reference.fcn import FCN
from benchmarks.protocol import Architecture, arg_max, train_with_masks
from seglab.data.scenes import CLASSES
from seglab.networks import WIDTHS, halving_encoder


def fcn(stride: int) -> nn.Module:
    """On the course's encoder, from scratch."""
    return FCN(halving_encoder(WIDTHS), WIDTHS, len(CLASSES), stride)


ARCHITECTURES = [
    Architecture(f"FCN-{stride}s", partial(train_with_masks, partial(fcn, stride)), arg_max) for stride in (32, 16, 8)
]
