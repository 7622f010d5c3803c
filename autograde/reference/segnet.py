"""SegNet: a decoder that is handed the switches of the encoder's poolings (lesson 07).

Shapes: pictures (N, in_channels, H, W), logits (N, num_classes, H, W), masks (N, H, W). Distances are in pixels.

Sources: the slide "let us not compress so much"; Badrinarayanan, Kendall and Cipolla, "SegNet", PAMI 2017, and
`Models/segnet_train.prototxt` in alexgkendall/SegNet-Tutorial.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn

from seglab.networks import conv_bn_relu

block = partial(conv_bn_relu, bias=True)  # as the paper's, whose parameters are counted with them


class EncoderStage(nn.Module):
    """Convolutions, then a halving that says where each maximum came from.

    (N, in_channels, H, W) -> pooled (N, out_channels, H // 2, W // 2), switches of the same shape, and the size (H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int):
        super().__init__()
        widths = [in_channels] + [out_channels] * convs
        self.convs = nn.Sequential(*(block(*pair) for pair in pairwise(widths)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Size]:
        x = self.convs(x)  # (N, out_channels, H, W)
        pooled, switches = F.max_pool2d(x, kernel_size=2, return_indices=True)  # (N, out_channels, H // 2, W // 2)
        return pooled, switches, x.shape[2:]


class DecoderStage(nn.Module):
    """Puts each value back where its maximum came from, then fills the gaps by convolutions.

    The channels change in the last convolution: all before it have as many as the switches. With `bare` that one is
    followed by nothing, as scores must be.
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int, bare: bool = False):
        super().__init__()
        before = [block(in_channels, in_channels) for _ in range(convs - 1)]
        last = nn.Conv2d(in_channels, out_channels, 3, padding=1) if bare else block(in_channels, out_channels)
        self.convs = nn.Sequential(*before, last)

    def forward(self, x: Tensor, switches: Tensor, size: Sequence[int]) -> Tensor:
        x = F.max_unpool2d(x, switches, kernel_size=2, output_size=tuple(size))  # (N, in_channels, H, W)
        return self.convs(x)  # (N, out_channels, H, W)


class SegNet(nn.Module):
    """Pictures (N, in_channels, H, W) of any size -> logits (N, num_classes, H, W).

    Args:
        widths: channels after each encoder stage; the decoder goes back through them.
        convs_per_stage: how many convolutions each encoder stage has, and its counterpart in the decoder.
    Source: PAMI 2017, section 3 and figure 2. With 64, 128, 256, 512, 512 and 2, 2, 3, 3, 3 it is the paper's network.
    """

    def __init__(self, in_channels: int, num_classes: int, widths: Sequence[int], convs_per_stage: Sequence[int]):
        super().__init__()
        pairs = pairwise([in_channels, *widths])
        stages = [(*pair, convs) for pair, convs in zip(pairs, convs_per_stage, strict=True)]
        self.encoder = nn.ModuleList(EncoderStage(*stage) for stage in stages)
        back = [DecoderStage(outer, inner, convs) for inner, outer, convs in reversed(stages[1:])]
        self.decoder = nn.ModuleList([*back, DecoderStage(widths[0], num_classes, convs_per_stage[0], bare=True)])

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for stage in self.encoder:
            x, switches, size = stage(x)  # (N, widths[i], H / 2 ** (i + 1), W / 2 ** (i + 1))
            kept.append((switches, size))
        for stage in self.decoder:
            x = stage(x, *kept.pop())  # twice as high and wide
        return x  # (N, num_classes, H, W)


def handover_bytes(widths: Sequence[int], height: int, width: int, kind: str) -> int:
    """Bytes that the encoder must keep of one picture until the decoder wants them.

    kind: "switches", 2 bits for each pooled value (one of four places), all stages packed together and rounded up to a
    whole byte; "indices", the same as int64; "maps", the float32 maps before the poolings. Sizes are halved and rounded
    down.
    Source: PAMI 2017, section 3.1, where the 2 bits stand.
    """
    pooled = maps = 0
    for channels in widths:
        maps += channels * height * width
        height, width = height // 2, width // 2
        pooled += channels * height * width
    return {"switches": -(-2 * pooled // 8), "indices": 8 * pooled, "maps": 4 * maps}[kind]


def boundary_f_score(
    pred: Tensor, target: Tensor, num_classes: int, tolerance: float, ignore_index: int = 255
) -> Tensor:
    """How well outlines lie, for each class: (num_classes,), float64; the mean over the pictures that have it.

    The contour of a class in a mask (N, H, W) are its pixels with a 4-neighbour of another class; neither the edge of
    the picture nor a pixel whose target is `ignore_index` makes one. Precision is the share of the prediction's contour
    that lies at most `tolerance` pixels (between centres) from the target's, recall the other way round, F = 2PR / (P +
    R), which is 0 where nothing meets. A picture where a class has a contour in neither mask is left out for it, and a
    class that is left out everywhere is NaN.

    Source: PAMI 2017, section 4, after Csurka et al., "What is a good evaluation measure for semantic segmentation?",
    BMVC 2013.
    """
    valid = target != ignore_index
    found, truth = (_contours(mask, valid, num_classes) for mask in (pred, target))  # (N, num_classes, H, W)
    precision, recall = _share_near(found, truth, tolerance), _share_near(truth, found, tolerance)  # (N, num_classes)
    either = found.any(3).any(2) | truth.any(3).any(2)
    f = torch.where(precision + recall > 0, 2 * precision * recall / (precision + recall), 0.0)
    return torch.where(either, f, torch.nan).nanmean(0)


def _contours(mask: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    """(N, num_classes, H, W), bool: valid pixels of each class that touch a valid one of another class."""
    inside = mask[:, None] == torch.arange(num_classes)[:, None, None]
    other = F.pad(~inside & valid[:, None], (1, 1, 1, 1))
    touches = other[:, :, 2:, 1:-1] | other[:, :, :-2, 1:-1] | other[:, :, 1:-1, 2:] | other[:, :, 1:-1, :-2]
    return inside & valid[:, None] & touches


def _share_near(contour: Tensor, other: Tensor, tolerance: float) -> Tensor:
    """(N, num_classes), float64: the share of a contour's pixels that are near the other one; 0 if it has none."""
    reach = int(tolerance)
    steps = torch.arange(-reach, reach + 1)
    disc = (steps[:, None] ** 2 + steps**2 <= tolerance**2).float()[None, None]
    near = F.conv2d(other.flatten(0, 1)[:, None].float(), disc, padding=reach)[:, 0].reshape(other.shape) > 0.5
    return (contour & near).sum((2, 3)).double() / contour.sum((2, 3)).clamp(min=1)
