"""From a coarse map of scores back to the pixels: upsampling, and the fully convolutional network (lesson 05).

Shapes: x (N, C, H, W), logits (N, num_classes, H, W), masks and instances (N, H, W). Sizes, strides and offsets are in
pixels, areas in square pixels.

Sources: the slides on FCN and upsampling; Shelhamer, Long and Darrell, "Fully Convolutional Networks for Semantic
Segmentation", PAMI 2017, sections 3.3 and 4.2, and the networks in shelhamer/fcn.berkeleyvision.org.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upsample_nearest(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C, factor * H, factor * W), in any dtype: each value becomes a block of factor x factor."""
    return x.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)  # (N, C, factor * H, factor * W)


def upsample_bilinear(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C, factor * H, factor * W), floats, with half-pixel centres.

    Output pixel i lies at (i + 0.5) / factor - 0.5 between the input's pixels; beyond the outermost ones their values
    go on.
    """
    for dim in (2, 3):
        last = x.shape[dim] - 1
        place = ((torch.arange(factor * (last + 1), dtype=x.dtype) + 0.5) / factor - 0.5).clamp(0, last)
        before = place.long()
        after = (before + 1).clamp(max=last)
        share = place - before  # of the pixel after
        share = share[:, None] if dim == 2 else share
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    return x


def bilinear_kernel(factor: int, num_channels: int) -> Tensor:
    """Weights (num_channels, num_channels, k, k), float32, k = 2 * factor - factor % 2, that interpolate.

    For a transposed convolution with stride `factor` and padding `factor // 2`, which makes the map `factor` times as
    large. Channels are kept apart. Away from the border it is `upsample_bilinear`; the outer `factor // 2` pixels come
    out too small, because what lies beyond the border counts as 0.
    """
    size = 2 * factor - factor % 2
    distance = (torch.arange(size) - (size - 1) / 2).abs()  # from the kernel's centre, in pixels of the output
    tent = 1 - distance / factor  # (k,)
    return torch.eye(num_channels)[:, :, None, None] * tent[:, None] * tent  # (num_channels, num_channels, k, k)


def crop_offset(layers: Iterable[dict], onto: Iterable[dict] = ()) -> int:
    """Where the map after `layers` must be cropped to lie on the map after `onto`, by default on the picture itself.

    Both chains begin at the picture. The answer is the row (and column) of the first map whose centre lies on the
    centre of row 0 of the second. A layer is a dict in the words of `seglab.layers`: "kind" is "conv", "pool" or
    "deconv" (a transposed convolution), "kernel_size", "stride", and "padding" where it is not 0; nothing is dilated.
    Strides are powers of 2, so that floats are exact.
    Raises ValueError if there is no such row: the jumps differ, it is no whole number, or it is negative.
    """
    (jump, middle), (other_jump, other_middle) = _grid(layers), _grid(onto)
    row = (other_middle - middle) / jump
    if jump != other_jump or row < 0 or row % 1:
        raise ValueError(f"no row lies there: jumps of {jump} and {other_jump}, row {row}")
    return int(row)


def _grid(layers: Iterable[dict]) -> tuple[float, float]:
    """Jump of the last map and middle, the centre of its row 0, both in pixels of the picture."""
    jump, middle = 1.0, 0.0
    for layer in layers:
        # The centre of the first window, in rows of the finer of the two maps.
        centre = (layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)
        if layer["kind"] == "deconv":  # the same window, read from the coarse map to the fine one
            jump /= layer["stride"]
            middle -= jump * centre
        else:
            middle += jump * centre
            jump *= layer["stride"]
    return jump, middle


class FCN(nn.Module):
    """FCN-32s, 16s or 8s on any encoder of five halving stages: pictures (N, C, H, W) -> logits (N, num_classes, H, W).

    `score_32` (and `score_16`, `score_8`, where `stride` asks for them) are 1 x 1 convolutions on the stages' outputs.
    From deep to shallow, the scores so far are enlarged to the size of the next stage's scores and added to them; the
    sum is enlarged to the picture. The skips' scores start at zero, so that training goes on from the coarser network.
    Departs from the paper: bilinear resizing in place of padding by 100, transposed convolution and crop.

    Args:
        encoder: five stages in an `nn.Sequential`, each halving height and width, sizes rounded down. It is used as it
            is, not copied.
        widths: channels after each of the five stages.
        stride: 32, 16 or 8.
    Source: Shelhamer et al., PAMI 2017, section 4.2 and figure 3.
    """

    def __init__(self, encoder: nn.Sequential, widths: Sequence[int], num_classes: int, stride: int):
        super().__init__()
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


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    ignore_index: int = 255,
) -> float:
    """Train on every batch once; returns the mean cross entropy of all valid pixels of the epoch.

    A batch is (pictures (N, C, H, W), masks (N, H, W) int64). The gradient of each step is that of the mean over the
    valid pixels of its batch. A batch without any is passed over. The network is left in training mode.
    """
    network.train()
    total, pixels = 0.0, 0
    for images, target in batches:
        valid = int((target != ignore_index).sum())
        if valid:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), target, ignore_index=ignore_index)
            loss.backward()
            optimizer.step()
            total += valid * loss.item()
            pixels += valid
    return total / pixels


def recall_by_size(pred: Tensor, target: Tensor, instances: Tensor, edges: Sequence[float]) -> Tensor:
    """The share of objects that were found, for each range of areas: (len(edges) - 1,), float64.

    `pred` and `target` are masks (N, H, W), `instances` numbers the objects of each picture from 1, 0 is none. Pixels
    whose target is 255 are dropped, and an object of which nothing is left is none. An object's area is the number of
    its pixels; it counts in range i if edges[i] <= area < edges[i + 1], and it is found if more than half of its pixels
    have pred == target. A range without objects is NaN.
    """
    areas, rights = [torch.zeros(0)], [torch.zeros(0)]
    for one_pred, one_target, numbers in zip(pred, target, instances, strict=True):
        counted = (numbers > 0) & (one_target != 255)
        area = numbers[counted].bincount()  # (highest number + 1,)
        right = numbers[counted & (one_pred == one_target)].bincount(minlength=len(area))
        areas.append(area[area > 0])
        rights.append(right[area > 0])
    area, right = torch.cat(areas), torch.cat(rights)  # (objects of all pictures,)
    found = right > area / 2
    ranges = [(low <= area) & (area < high) for low, high in pairwise(edges)]
    return torch.stack([found[inside].double().mean() for inside in ranges])  # the mean of nothing is NaN
