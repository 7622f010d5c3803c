"""From a coarse map of scores back to the pixels: upsampling, and the fully convolutional network (lesson 05).

Shapes: x (N, C, H, W), logits (N, num_classes, H, W), masks and instances (N, H, W). Sizes, strides and offsets are in
pixels, areas in square pixels.

Sources: the slides on FCN and upsampling; Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic
Segmentation", PAMI 2017, sections 3.3 and 4.2, and the networks in shelhamer/fcn.berkeleyvision.org.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upsample_nearest(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C, factor * H, factor * W), in any dtype: each value becomes a block of factor x factor.

    Raises TypeError for a factor that is not a plain int, ValueError for one below 1 or if x is not 4-D.
    """
    _check_upsampling(x, factor)
    return x.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)  # (N, C, factor * H, factor * W)


def upsample_bilinear(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C, factor * H, factor * W) with half-pixel centres, floats in and out.

    Output pixel i lies at (i + 0.5) / factor - 0.5 between the input's pixels; beyond the outermost ones their values
    go on. Raises what `upsample_nearest` raises, and ValueError for integers: class numbers have no in-between.
    """
    _check_upsampling(x, factor)
    if not x.is_floating_point():
        raise ValueError(f"interpolation needs floats, got {x.dtype}")
    for dim in (2, 3):
        last = x.shape[dim] - 1
        place = (torch.arange(factor * (last + 1), dtype=torch.float64) + 0.5) / factor - 0.5
        place = place.clamp(0, last)
        before = place.long()
        after = (before + 1).clamp(max=last)
        share = (place - before).to(x.dtype)  # of the pixel after
        share = share[:, None] if dim == 2 else share
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    return x


def _check_upsampling(x: Tensor, factor: int) -> None:
    if type(factor) is not int:  # isinstance would let True pass
        raise TypeError(f"factor must be an int, got {factor!r}")
    if factor < 1:
        raise ValueError(f"factor must be at least 1, got {factor}")
    if x.ndim != 4:
        raise ValueError(f"expected (N, C, H, W), got shape {tuple(x.shape)}")


def bilinear_kernel(factor: int, num_channels: int) -> Tensor:
    """Weights (num_channels, num_channels, k, k), float32, k = 2 * factor - factor % 2, that interpolate.

    For a transposed convolution with stride `factor` and padding `factor // 2`, which makes the map `factor` times as
    large. Channels are kept apart. Away from the border it is `upsample_bilinear`; the outer `factor // 2` pixels come
    out too small, because what lies beyond the border counts as 0.
    Raises ValueError for a number below 1.
    """
    if factor < 1 or num_channels < 1:
        raise ValueError(f"factor and num_channels must be at least 1, got {factor} and {num_channels}")
    size = 2 * factor - factor % 2
    distance = (torch.arange(size) - (size - 1) / 2).abs()  # from the kernel's centre, in pixels of the output
    tent = 1 - distance / factor  # (k,)
    return torch.eye(num_channels)[:, :, None, None] * tent[:, None] * tent  # (num_channels, num_channels, k, k)


def crop_offset(layers: Iterable[dict], onto: Iterable[dict] = ()) -> int:
    """Where the map after `layers` must be cropped to lie on the map after `onto`, by default on the picture itself.

    Both chains begin at the picture. The answer is the row (and column) of the first map whose centre lies on the
    centre of row 0 of the second. A layer is a dict in the words of `seglab.layers`: "kind" is "conv", "pool" or
    "deconv" (a transposed convolution), "kernel_size", "stride", and where they are not 0 and 1 "padding", "dilation".
    Raises ValueError for an unknown kind, if the maps have different jumps, or if no row >= 0 lies there exactly.
    """
    jump, start = _grid(layers)
    other_jump, other_start = _grid(onto)
    if jump != other_jump:
        raise ValueError(f"one map has a jump of {jump} pixels, the other of {other_jump}")
    offset = (other_start - start) / jump
    if offset < 0 or offset.denominator != 1:
        raise ValueError(f"the maps would lie on each other at row {offset}, which there is not")
    return int(offset)


def _grid(layers: Iterable[dict]) -> tuple[Fraction, Fraction]:
    """Step between neighbours of the last map and centre of its first row, in pixels of the picture."""
    jump, start = Fraction(1), Fraction(0)  # exact: a stride of 3 makes thirds
    for layer in layers:
        if layer["kind"] not in ("conv", "pool", "deconv"):
            raise ValueError(f"there is no kind of layer {layer['kind']!r}")
        reach = layer.get("dilation", 1) * (layer["kernel_size"] - 1)
        centre = Fraction(reach, 2) - layer.get("padding", 0)  # of the first window, in steps of the finer map
        if layer["kind"] == "deconv":  # the same window, read from the coarse map to the fine one
            jump /= layer["stride"]
            start -= jump * centre
        else:
            start += jump * centre
            jump *= layer["stride"]
    return jump, start


class FCN(nn.Module):
    """FCN-32s, 16s or 8s on any encoder of five halving stages: pictures (N, C, H, W) -> logits (N, num_classes, H, W).

    `score_32` (and `score_16`, `score_8`, where `stride` asks for them) are 1 x 1 convolutions on the stages' outputs.
    From deep to shallow, the scores so far are enlarged to the size of the next stage's scores and added to them; the
    sum is enlarged to the picture. The skips' scores start at zero, so that training goes on from the coarser network.
    Departs from the paper: bilinear resizing in place of padding by 100, transposed convolution and crop.

    Args:
        encoder: five stages in an `nn.Sequential`, each halving height and width, sizes rounded down.
        widths: channels after each of the five stages.
        stride: 32, 16 or 8.
    Raises ValueError for another stride, and unless there are five stages and five widths.
    Source: Shelhamer et al., PAMI 2017, section 4.2 and figure 3.
    """

    def __init__(self, encoder: nn.Sequential, widths: Sequence[int], num_classes: int, stride: int):
        super().__init__()
        if stride not in (32, 16, 8):
            raise ValueError(f"stride must be 32, 16 or 8, got {stride}")
        if len(encoder) != 5 or len(widths) != 5:
            raise ValueError(f"expected five stages and widths, got {len(encoder)} and {len(widths)}")
        self.encoder = encoder
        self.score_32 = nn.Conv2d(widths[4], num_classes, kernel_size=1)
        self.score_16 = _zero_score(widths[3], num_classes) if stride <= 16 else None
        self.score_8 = _zero_score(widths[2], num_classes) if stride <= 8 else None

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        outputs = []
        for stage in self.encoder:
            x = stage(x)
            outputs.append(x)  # (N, widths[i], H / 2 ** (i + 1), W / 2 ** (i + 1))
        scores = self.score_32(outputs[4])  # (N, num_classes, H / 32, W / 32)
        for score, output in ((self.score_16, outputs[3]), (self.score_8, outputs[2])):
            if score is not None:
                scores = _resize(scores, output.shape[2:]) + score(output)  # (N, num_classes, H / 16, W / 16), then / 8
        return _resize(scores, size)  # (N, num_classes, H, W)


def _zero_score(in_channels: int, num_classes: int) -> nn.Conv2d:
    score = nn.Conv2d(in_channels, num_classes, kernel_size=1)
    nn.init.zeros_(score.weight)
    nn.init.zeros_(score.bias)
    return score


def _resize(scores: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)


def recall_by_size(pred: Tensor, target: Tensor, instances: Tensor, edges: Sequence[float]) -> Tensor:
    """The share of objects that were found, for each range of areas: (len(edges) - 1,), float64.

    `pred` and `target` are masks (N, H, W), `instances` numbers the objects of each picture from 1, 0 is none. Pixels
    whose target is 255 are dropped. An object's area is the number of its pixels; it counts in bin i if
    edges[i] <= area < edges[i + 1], and it is found if more than half of its pixels have their target's class in
    `pred`. A bin without objects is NaN.
    Raises ValueError for shapes that differ, and unless there are two or more rising edges.
    """
    if not pred.shape == target.shape == instances.shape:
        shapes = [tuple(one.shape) for one in (pred, target, instances)]
        raise ValueError(f"pred, target and instances must have one shape, got {shapes}")
    if len(edges) < 2 or any(low >= high for low, high in pairwise(edges)):
        raise ValueError(f"expected two or more rising edges, got {list(edges)}")
    picture = torch.arange(len(instances)).view(-1, 1, 1).expand_as(instances)  # object 1 is another in each picture
    counted = (instances > 0) & (target != 255)
    objects, number = torch.stack([picture[counted], instances[counted]]).unique(dim=1, return_inverse=True)
    count = objects.shape[1]
    area = number.bincount(minlength=count)  # (count,)
    right = number[(pred == target)[counted]].bincount(minlength=count)  # (count,)
    found = 2 * right > area
    bins = [(low <= area) & (area < high) for low, high in pairwise(edges)]
    return torch.stack([found[inside].double().mean() for inside in bins])  # the mean of nothing is NaN
