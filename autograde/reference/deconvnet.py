"""The way back: transposed convolution, unpooling, and the deconvolution network (lesson 06).

Shapes: x (N, C, H, W), logits (N, num_classes, H, W). Sizes, strides and paddings are in places of a map.

Sources: the slides "let us decompress" and "unpooling"; Noh, Hong and Han, "Learning Deconvolution Network for Semantic
Segmentation", ICCV 2015; Zeiler, Taylor and Fergus, ICCV 2011, for the switches; Odena et al., "Deconvolution and
Checkerboard Artifacts", Distill 2016, for the overlap.
"""

from collections.abc import Sequence
from itertools import pairwise, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seglab.networks import conv_bn_relu, deconv_bn_relu


def transposed_conv_size(size: int, kernel_size: int, stride=1, padding=0, output_padding=0, dilation=1) -> int:
    """Rows (or columns) that a transposed convolution makes of `size` of them."""
    return (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * padding + output_padding


def colliding_sizes(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> list[int]:
    """All sizes, from 1 up, of which a convolution makes `size`, rising: `output_padding` counts along this list."""
    smallest = transposed_conv_size(size, kernel_size, stride, padding, dilation=dilation)
    return [one for one in range(smallest, smallest + stride) if one >= 1]


def conv_matrix(weight: Tensor, height: int, width: int, stride: int = 1, padding: int = 0) -> Tensor:
    """The matrix M of a convolution: M @ x.flatten() is the flattened result, for one x (in_channels, height, width).

    `weight` is (out_channels, in_channels, k, k); M is (out_channels * H' * W', in_channels * height * width), float32.
    """
    out_channels, in_channels, *kernel = weight.shape
    down, across = (
        [range(start, start + k) for start in range(-padding, size + padding - k + 1, stride)]
        for size, k in zip((height, width), kernel, strict=True)
    )  # the rows (or columns) of the picture that each window covers
    matrix = weight.new_zeros(out_channels, len(down), len(across), in_channels, height, width)
    for (row, rows), (col, cols) in product(enumerate(down), enumerate(across)):
        for (i, y), (j, x) in product(enumerate(rows), enumerate(cols)):
            if y in range(height) and x in range(width):  # the zeros of the padding are no part of the picture
                matrix[:, row, col, :, y, x] = weight[:, :, i, j]
    return matrix.flatten(3).flatten(0, 2)  # (out_channels * H' * W', in_channels * height * width)


def transposed_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
) -> Tensor:
    """(N, in_channels, H, W) -> (N, out_channels, H', W') by scattering, H' = (H - 1) * stride + k - 2 * padding.

    `weight` is (in_channels, out_channels, k, k), as in `nn.ConvTranspose2d`; `bias` (out_channels,).
    """
    k = weight.shape[2]
    height, width = ((size - 1) * stride + k for size in x.shape[2:])
    large = x.new_zeros(len(x), weight.shape[1], height, width)
    for row in range(k):
        for col in range(k):
            stamps = torch.einsum("nihw,io->nohw", x, weight[:, :, row, col])
            large[:, :, row : height - k + row + 1 : stride, col : width - k + col + 1 : stride] += stamps
    large = large[:, :, padding : height - padding, padding : width - padding]  # (N, out_channels, H', W')
    return large if bias is None else large + bias[:, None, None]


def overlap_count(size: tuple[int, int], kernel_size: int, stride: int, padding: int = 0) -> Tensor:
    """How many stamps write each pixel when a map of `size` (height, width) is enlarged: (H', W'), int64."""

    def along(number: int) -> Tensor:
        count = torch.zeros((number - 1) * stride + kernel_size, dtype=torch.int64)
        for stamp in range(number):
            count[stamp * stride : stamp * stride + kernel_size] += 1
        return count[padding : len(count) - padding]

    return torch.outer(*(along(number) for number in size))  # a stamp covers a pixel if it covers its row and column


def max_pool_with_switches(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The maximum of each k x k block (N, C, H // k, W // k), and where it stood: row * W + column, int64.

    Of equal values the first in reading order counts. Rows and columns that fill no block are left out.
    """
    rows, cols = x.shape[2] // k, x.shape[3] // k
    blocks = x[:, :, : rows * k, : cols * k].unflatten(3, (cols, k)).unflatten(2, (rows, k))
    blocks = blocks.transpose(3, 4).flatten(4)  # (N, C, rows, cols, k * k)
    first = blocks.argmax(4)  # (N, C, rows, cols); of equal values `argmax` takes the first
    row = torch.arange(rows)[:, None] * k + first // k
    col = torch.arange(cols) * k + first % k
    return blocks.gather(4, first[..., None]).squeeze(4), row * x.shape[3] + col


def max_unpool(y: Tensor, switches: Tensor, output_size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, *output_size): each value at its switch, zeros elsewhere."""
    height, width = output_size
    large = y.new_zeros(*y.shape[:2], height * width)
    return large.scatter(2, switches.flatten(2), y.flatten(2)).unflatten(2, (height, width))


class DeconvNet(nn.Module):
    """A network and its mirror image: pictures (N, in_channels, H, W) -> logits (N, num_classes, H, W).

    Each stage of the encoder convolves, then halves and keeps the switches. `dense` makes of `dense_kernel` x
    `dense_kernel` places of the last map one vector, and `dense_back` spreads each out again. Each stage of the decoder
    unpools with the switches of its counterpart; a transposed convolution (3 x 3, stride 1: the size stays) fills the
    gaps. `score` is 1 x 1. The last map must have at least `dense_kernel` rows and columns.
    Departs from the paper: one convolution per stage, no fc7, any size of picture. The paper's: 224 pixels,
    `dense_kernel` 7, so that the whole picture becomes one vector of 4,096.

    Source: Noh et al. 2015, section 3 and figure 2.
    """

    def __init__(self, in_channels: int, num_classes: int, widths: Sequence[int], dense_width: int, dense_kernel: int):
        super().__init__()
        self.encoder = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for before, width in pairwise([in_channels, *widths]):
            self.encoder.append(conv_bn_relu(before, width))
            back = before if len(self.decoder) else width  # the first stage has no map before it, only the picture
            self.decoder.insert(0, deconv_bn_relu(width, back))
        self.dense = conv_bn_relu(widths[-1], dense_width, dense_kernel, padding=0)
        self.dense_back = deconv_bn_relu(dense_width, widths[-1], dense_kernel, padding=0)
        self.score = nn.Conv2d(widths[0], num_classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for stage in self.encoder:
            x = stage(x)  # (N, widths[i], H / 2 ** i, W / 2 ** i)
            pooled, switches = F.max_pool2d(x, kernel_size=2, return_indices=True)  # half as high and wide
            kept.append((switches, tuple(x.shape[2:])))
            x = pooled
        vectors = self.dense(x)  # fewer by dense_kernel - 1 along each side
        x = self.dense_back(vectors)  # as large as before
        for stage in self.decoder:
            switches, size = kept.pop()
            x = stage(F.max_unpool2d(x, switches, kernel_size=2, output_size=size))  # twice as high and wide
        logits = self.score(x)  # (N, num_classes, H, W)
        return logits
