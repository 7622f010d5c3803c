"""Answers to the exercises of lesson 05, right and wrong, as students with different habits write them."""

import bisect
import copy
import itertools
import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative, wrong

# 1 · upsample_nearest


@alternative("upsample_nearest")
def right_nearest_expand(x, factor):
    """Two new dimensions that expand without a copy, then one reshape."""
    n, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(n, c, h, factor, w, factor).reshape(n, c, h * factor, w * factor)


@alternative("upsample_nearest")
def right_nearest_lists(x, factor):
    """Lists of row and column numbers."""
    rows = [i for i in range(x.shape[2]) for _ in range(factor)]
    cols = [j for j in range(x.shape[3]) for _ in range(factor)]
    return x[:, :, rows][..., cols]


@alternative("upsample_nearest")
def right_nearest_kron(x, factor):
    """The Kronecker product with a block of ones."""
    return torch.kron(x, torch.ones(factor, factor, dtype=x.dtype))


@alternative("upsample_nearest")
def right_nearest_written_in(x, factor):
    """Writes x into every place of the blocks, factor apart."""
    n, c, h, w = x.shape
    out = torch.zeros(n, c, h * factor, w * factor, dtype=x.dtype)
    for i in range(factor):
        for j in range(factor):
            out[:, :, i::factor, j::factor] = x
    return out


@wrong("upsample_nearest", "tiled")
def nearest_repeat(x, factor):
    """Whole copies side by side."""
    return x.repeat(1, 1, factor, factor)


@wrong("upsample_nearest", "tiled")
def nearest_cat(x, factor):
    """Whole copies, glued with cat."""
    wide = torch.cat([x] * factor, dim=3)
    return torch.cat([wide] * factor, dim=2)


@wrong("upsample_nearest", "one_index_for_both")
def nearest_one_index_for_both(x, factor):
    """The rows' numbers serve for the columns, too."""
    index = torch.arange(x.shape[2] * factor) // factor
    return x[:, :, index][:, :, :, index]


@wrong("upsample_nearest", "tiled")
def nearest_modulo(x, factor):
    """Row r shows row r modulo H: copies."""
    rows = torch.arange(x.shape[2] * factor) % x.shape[2]
    cols = torch.arange(x.shape[3] * factor) % x.shape[3]
    return x[:, :, rows][..., cols]


@wrong("upsample_nearest", "one_direction")
def nearest_columns_only(x, factor):
    """Only wider, not higher."""
    return x.repeat_interleave(factor, dim=-1)


@wrong("upsample_nearest", "flat_order")
def nearest_without_dim(x, factor):
    """Flattens, repeats each element factor² times, and reshapes."""
    n, c, h, w = x.shape
    return x.repeat_interleave(factor * factor).view(n, c, h * factor, w * factor)


@wrong("upsample_nearest", "flat_order")
def nearest_flat_order(x, factor):
    """Blocks are made, but rows and columns are mixed up in the reshape."""
    n, c, h, w = x.shape
    blocks = x[..., None, None].expand(n, c, h, w, factor, factor)
    return blocks.reshape(n, c, h * factor, w * factor)


@wrong("upsample_nearest", "bed_of_nails")
def nearest_nails(x, factor):
    """Only the first pixel of each block gets the value, the others stay 0."""
    n, c, h, w = x.shape
    out = torch.zeros(n, c, h * factor, w * factor, dtype=x.dtype)
    out[:, :, ::factor, ::factor] = x
    return out


@wrong("upsample_nearest", "floats_come_out")
def nearest_float(x, factor):
    """The result is made as float, whatever comes in."""
    n, c, h, w = x.shape
    out = torch.zeros(n, c, h * factor, w * factor)
    for i in range(h * factor):
        for j in range(w * factor):
            out[:, :, i, j] = x[:, :, i // factor, j // factor]
    return out


@wrong("upsample_nearest", "through_numpy")
def nearest_numpy(x, factor):
    """Through numpy: the gradient is lost."""
    return torch.from_numpy(
        np.kron(x.detach().numpy(), np.ones((1, 1, factor, factor), dtype=x.detach().numpy().dtype))
    )


@wrong("upsample_nearest")
def nearest_linspace(x, factor):
    """Positions run from the first to the last value, rounded: blocks of unequal sizes."""
    h, w = x.shape[-2:]
    rows = torch.linspace(0, h - 1, h * factor).round().long()
    cols = torch.linspace(0, w - 1, w * factor).round().long()
    return x[:, :, rows][..., cols]


@wrong("upsample_nearest", "first_map_only")
def nearest_first_channel(x, factor):
    """Works on one picture and one channel, and stretches the result over all."""
    one = x[0, 0]
    large = one.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    return large.expand(x.shape[0], x.shape[1], *large.shape)


@wrong("upsample_nearest")
def nearest_by_two(x, factor):
    """The factor of the slide is written into the code."""
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


@wrong("upsample_nearest", "flat_order")
def nearest_stack_and_view(x, factor):
    """Copies stacked in a new last dimension, then viewed: the second time rows are poured, not repeated."""
    n, c, h, w = x.shape
    wide = torch.stack([x] * factor, -1).view(n, c, h, w * factor)
    return torch.stack([wide] * factor, -1).view(n, c, h * factor, w * factor)


@wrong("upsample_nearest", "tiled")
def nearest_half_tiled(x, factor):
    """Columns repeated, but whole maps below each other."""
    return x.repeat_interleave(factor, 3).repeat(1, 1, factor, 1)


@wrong("upsample_nearest")
def nearest_blocks_overlap(x, factor):
    """The blocks start at i, not at i * factor."""
    out = x.new_zeros(*x.shape[:2], x.shape[2] * factor, x.shape[3] * factor)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            out[:, :, i : i + factor, j : j + factor] = x[:, :, i, j, None, None]
    return out


# 2 · upsample_bilinear


def _shares(size, factor, normalised=False, clamped=False):
    """(factor * size, size): the share of each value in each output place."""
    place = (torch.arange(factor * size) + 0.5) / factor - 0.5
    if clamped:
        place = place.clamp(0, size - 1)
    shares = (1 - (place[:, None] - torch.arange(size)).abs()).clamp(min=0)
    return shares / shares.sum(1, keepdim=True) if normalised else shares


@alternative("upsample_bilinear")
def right_bilinear_normalised(x, factor):
    """Shares that need not be clamped, since each row of them is divided by its sum."""
    rows, cols = (_shares(size, factor, normalised=True).to(x.dtype) for size in x.shape[2:])
    return torch.einsum("ih,nchw,jw->ncij", rows, x, cols)


@alternative("upsample_bilinear")
def right_bilinear_padded(x, factor):
    """Repeats the border once, then never has to look at it."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")

    def along(x, dim):
        size = x.shape[dim] - 2
        place = (torch.arange(size * factor, dtype=x.dtype) + 0.5) / factor + 0.5
        low = place.floor().long()
        share = (place - low).view([-1 if d == dim else 1 for d in range(4)])
        return torch.lerp(x.index_select(dim, low), x.index_select(dim, low + 1), share)

    return along(along(x, 2), 3)


@alternative("upsample_bilinear")
def right_bilinear_pixels(x, factor):
    """Pixel by pixel in Python."""
    h, w = x.shape[2:]

    def two(i, size):
        p = min(max((i + 0.5) / factor - 0.5, 0.0), size - 1.0)
        low = int(p)
        return low, min(low + 1, size - 1), p - low

    rows = []
    for i in range(h * factor):
        a, b, v = two(i, h)
        row = []
        for j in range(w * factor):
            l, r, u = two(j, w)
            above = x[:, :, a, l] * (1 - u) + x[:, :, a, r] * u
            below = x[:, :, b, l] * (1 - u) + x[:, :, b, r] * u
            row.append(above * (1 - v) + below * v)
        rows.append(torch.stack(row, -1))
    return torch.stack(rows, -2)


def _by_index(x, factor, place_of, dims=(2, 3), trunc=False, swap=False):
    """Linear interpolation along some dimensions at the places that place_of(size) gives."""
    for dim in dims:
        size = x.shape[dim]
        place = place_of(size)
        low = place.long() if trunc else place.floor().long()
        share = (place - low).view([-1 if d == dim else 1 for d in range(4)])
        low = low.clamp(0, size - 1)
        high = (low + 1).clamp(max=size - 1)
        if swap:
            low, high = high, low
        x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share
    return x


@wrong("upsample_bilinear", "corners_aligned")
def bilinear_corners(x, factor):
    """The outermost output pixels sit on the outermost values."""
    return _by_index(x, factor, lambda size: torch.linspace(0, size - 1, size * factor))


@wrong("upsample_bilinear", "corners_aligned")
def bilinear_corners_by_hand(x, factor):
    """Scaled by (size - 1) / (factor * size - 1): corners on corners."""
    n, c, h, w = x.shape
    out = x.new_zeros(n, c, h * factor, w * factor)
    for i in range(h * factor):
        for j in range(w * factor):
            p, q = i * (h - 1) / max(h * factor - 1, 1), j * (w - 1) / max(w * factor - 1, 1)
            a, l = int(p), int(q)
            b, r = min(a + 1, h - 1), min(l + 1, w - 1)
            u, v = p - a, q - l
            top = x[:, :, a, l] * (1 - v) + x[:, :, a, r] * v
            bottom = x[:, :, b, l] * (1 - v) + x[:, :, b, r] * v
            out[:, :, i, j] = top * (1 - u) + bottom * u
    return out


@wrong("upsample_bilinear", "without_halves")
def bilinear_no_halves(x, factor):
    """Position i / factor: the middles are forgotten."""
    return _by_index(x, factor, lambda size: (torch.arange(size * factor) / factor).clamp(0, size - 1))


@wrong("upsample_bilinear", "without_halves")
def bilinear_one_half(x, factor):
    """Half a pixel is added before the division, none is subtracted after it."""
    return _by_index(x, factor, lambda size: ((torch.arange(size * factor) + 0.5) / factor).clamp(0, size - 1))


@wrong("upsample_bilinear", "beyond_the_border")
def bilinear_dark_border(x, factor):
    """A matrix of shares without a clamp: beyond the border there is nothing."""
    rows, cols = _shares(x.shape[2], factor), _shares(x.shape[3], factor)
    return rows @ x @ cols.T


@wrong("upsample_bilinear", "beyond_the_border")
def bilinear_zero_padding(x, factor):
    """Pads with zeros instead of the border's values."""
    x = F.pad(x, (1, 1, 1, 1))
    large = _by_index(x, factor, lambda size: (torch.arange(size * factor) + 0.5) / factor - 0.5)
    return large[:, :, factor:-factor, factor:-factor]


@wrong("upsample_bilinear", "beyond_the_border")
def bilinear_wraps(x, factor):
    """Index -1 before the first value is the last one."""
    for dim in (2, 3):
        size = x.shape[dim]
        place = (torch.arange(size * factor) + 0.5) / factor - 0.5
        low = torch.floor(place).long()
        share = (place - low).view([-1 if d == dim else 1 for d in range(4)])
        high = (low + 1).clamp(max=size - 1)
        x = x.index_select(dim, low % size) * (1 - share) + x.index_select(dim, high) * share
    return x


@wrong("upsample_bilinear", "beyond_the_border")
def bilinear_extrapolates(x, factor):
    """The pair of neighbours is clamped, the share is not: the line goes on beyond the border."""
    for dim in (2, 3):
        size = x.shape[dim]
        place = (torch.arange(size * factor) + 0.5) / factor - 0.5
        low = place.floor().long().clamp(0, max(size - 2, 0))
        high = (low + 1).clamp(max=size - 1)
        share = (place - low).view([-1 if d == dim else 1 for d in range(4)])
        x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share
    return x


@wrong("upsample_bilinear", "beyond_the_border")
def bilinear_truncated(x, factor):
    """.long() rounds the negative position to 0, and its share stays negative."""
    return _by_index(x, factor, lambda size: (torch.arange(size * factor) + 0.5) / factor - 0.5, trunc=True)


@wrong("upsample_bilinear", "shares_exchanged")
def bilinear_shares_swapped(x, factor):
    """The far neighbour gets the near one's share."""
    places = lambda size: ((torch.arange(size * factor) + 0.5) / factor - 0.5).clamp(0, size - 1)  # noqa: E731
    return _by_index(x, factor, places, swap=True)


@wrong("upsample_bilinear", "even_factors_only")
def bilinear_half_factor_rounded(x, factor):
    """Half a factor is rounded down: right for even ones only."""
    places = lambda size: ((torch.arange(size * factor) - factor // 2 + 0.5) / factor).clamp(0, size - 1)  # noqa: E731
    return _by_index(x, factor, places)


@wrong("upsample_bilinear", "height_for_both_directions")
def bilinear_one_matrix(x, factor):
    """The matrix of the rows serves for the columns, too."""
    shares = _shares(x.shape[2], factor, clamped=True)
    return shares @ x @ shares.T


@wrong("upsample_bilinear")
def bilinear_rows_only(x, factor):
    """Interpolates the rows; the columns are only repeated."""
    return (_shares(x.shape[2], factor, clamped=True) @ x).repeat_interleave(factor, dim=3)


@wrong("upsample_bilinear")
def bilinear_blurred_blocks(x, factor):
    """Blocks, smoothed with a mean over factor × factor pixels."""
    blocks = x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    before = (factor - 1) // 2
    padded = F.pad(blocks, (before, factor - 1 - before) * 2, mode="replicate")
    return F.avg_pool2d(padded, factor, stride=1)


@wrong("upsample_bilinear")
def bilinear_floor(x, factor):
    """Rounded down, as the slide prints it."""
    return _by_index(x, factor, lambda s: ((torch.arange(s * factor) + 0.5) / factor - 0.5).clamp(0, s - 1)).floor()


@wrong("upsample_bilinear", "two_neighbours_needed")
def bilinear_row_of_one_fails(x, factor):
    """The neighbour behind is not bounded: a map of one row crashes, and so does the last row."""
    for dim in (2, 3):
        size = x.shape[dim]
        place = ((torch.arange(size * factor) + 0.5) / factor - 0.5).clamp(0, size - 1)
        low = place.floor().long().clamp(max=size - 2)
        share = (place - low).view([-1 if d == dim else 1 for d in range(4)])
        x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, low + 1) * share
    return x


@wrong("upsample_bilinear", "no_gradient")
def bilinear_no_gradient(x, factor):
    """Written into the data of a tensor: no gradient comes back."""
    rows, cols = (_shares(size, factor, clamped=True) for size in x.shape[2:])
    return torch.tensor(np.einsum("ih,nchw,jw->ncij", rows, x.detach().numpy(), cols), dtype=x.dtype)


@wrong("upsample_bilinear", "no_gradient")
def bilinear_item(x, factor):
    """Pixel by pixel with .item(): no gradient comes back."""
    n, c, h, w = x.shape
    out = torch.zeros(n, c, h * factor, w * factor)
    for i in range(h * factor):
        p = min(max((i + 0.5) / factor - 0.5, 0), h - 1)
        a, b = int(p), min(int(p) + 1, h - 1)
        for j in range(w * factor):
            q = min(max((j + 0.5) / factor - 0.5, 0), w - 1)
            l, r = int(q), min(int(q) + 1, w - 1)
            for m in range(n):
                for k in range(c):
                    left = x[m, k, a, l].item() * (a + 1 - p) + x[m, k, b, l].item() * (p - a)
                    right = x[m, k, a, r].item() * (a + 1 - p) + x[m, k, b, r].item() * (p - a)
                    out[m, k, i, j] = left * (l + 1 - q) + right * (q - l)
    return out


@wrong("upsample_bilinear")
def bilinear_sides_swapped(x, factor):
    """The width's places for the rows, the height's for the columns."""
    h, w = x.shape[2:]
    rows = _shares(w, factor, clamped=True)[: h * factor, :h]
    cols = _shares(h, factor, clamped=True)
    cols = F.pad(cols, (0, max(w - h, 0), 0, max(w - h, 0) * factor))[: w * factor, :w]
    rows = F.pad(rows, (0, h - rows.shape[1], 0, h * factor - rows.shape[0]))
    return rows @ x @ cols.T


@wrong("upsample_bilinear", "beyond_the_border")
def bilinear_stamped(x, factor):
    """Every value stamps a tent, stamps are added: dark at the border."""
    n, c, h, w = x.shape
    out = x.new_zeros(n, c, h * factor, w * factor)
    for i in range(h):
        for j in range(w):
            rows = (1 - ((torch.arange(h * factor) + 0.5) / factor - 0.5 - i).abs()).clamp(min=0)
            cols = (1 - ((torch.arange(w * factor) + 0.5) / factor - 0.5 - j).abs()).clamp(min=0)
            out = out + x[:, :, i, j, None, None] * torch.outer(rows, cols)
    return out


@wrong("upsample_bilinear")
def bilinear_position_rounded(x, factor):
    """The position is rounded: blocks again."""
    return _by_index(x, factor, lambda s: ((torch.arange(s * factor) + 0.5) / factor - 0.5).round().clamp(0, s - 1))


# 3 · bilinear_kernel


def _on_diagonal(square, channels):
    """(channels, channels, k, k) with the square at [c, c]."""
    weight = torch.zeros(channels, channels, *square.shape)
    for c in range(channels):
        weight[c, c] = square
    return weight


def _side(factor):
    return 2 * factor - factor % 2


@alternative("bilinear_kernel")
def right_kernel_ogrid(factor, num_channels):
    """As it stands in the repositories: ogrid in numpy, a centre by cases."""
    k = 2 * factor - factor % 2
    half = (k + 1) // 2
    centre = half - 1 if k % 2 == 1 else half - 0.5
    rows, cols = np.ogrid[:k, :k]
    filt = (1 - abs(rows - centre) / half) * (1 - abs(cols - centre) / half)
    weight = np.zeros((num_channels, num_channels, k, k), dtype=np.float32)
    weight[range(num_channels), range(num_channels)] = filt
    return torch.from_numpy(weight)


@alternative("bilinear_kernel")
def right_kernel_boxes(factor, num_channels):
    """The tent as two boxes, one slid over the other."""
    f = factor
    line = torch.zeros(_side(f), dtype=torch.float64)
    if f % 2:
        for a in range(f):
            for b in range(f):
                line[a + b] += 1 / f**2
        line *= f
    else:
        for t in range(2 * f):
            line[t] = (min(t, 2 * f - 1 - t) + 0.5) / f
    return torch.einsum("ab,i,j->abij", torch.eye(num_channels), line.float() / 1, line.float())


@alternative("bilinear_kernel")
def right_kernel_diag_embed(factor, num_channels):
    """diag_embed and a comprehension."""
    k = _side(factor)
    line = torch.tensor([1 - abs(t - (k - 1) / 2) / factor for t in range(k)])
    return torch.diag_embed((line * line[:, None]).expand(num_channels, k, k).permute(1, 2, 0)).permute(2, 3, 0, 1)


@wrong("bilinear_kernel", "every_pair_of_channels")
def kernel_all_channels(factor, num_channels):
    """Every class gets every class."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    return torch.outer(line, line).repeat(num_channels, num_channels, 1, 1)


@wrong("bilinear_kernel", "first_channel_only")
def kernel_one_channel(factor, num_channels):
    """Only the first channel has weights."""
    k = _side(factor)
    weight = torch.zeros(num_channels, num_channels, k, k)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    weight[0, 0] = line[:, None] @ line[None]
    return weight


@wrong("bilinear_kernel", "no_product")
def kernel_rows_alike(factor, num_channels):
    """The line is multiplied in along one side only."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    return torch.eye(num_channels)[:, :, None, None] * line.expand(k, k)


@wrong("bilinear_kernel", "lopsided")
def kernel_centre_k_half(factor, num_channels):
    """The middle at k / 2."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - k / 2).abs() / factor
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "lopsided")
def kernel_centre_is_a_place(factor, num_channels):
    """The middle at k // 2, on a place of its own, for even factors, too."""
    k = _side(factor)
    line = torch.tensor([max(0.0, 1 - abs(t - k // 2) / factor) for t in range(k)])
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "lopsided")
def kernel_centre_factor(factor, num_channels):
    """The middle at factor - ½, also where the factor is odd."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (factor - 0.5)).abs() / factor
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "lopsided")
def kernel_centre_odd_rule(factor, num_channels):
    """The middle at factor - 1, also where the factor is even."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (factor - 1)).abs() / factor
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "one_rule_for_k")
def kernel_even_only(factor, num_channels):
    """The side is 2 · factor for odd factors, too."""
    k = 2 * factor
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "another_slope")
def kernel_half_side(factor, num_channels):
    """The distance is divided by k / 2, which is not the factor where it is odd."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / (k / 2)
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "scaled")
def kernel_normalised(factor, num_channels):
    """The weights are made to sum to 1."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    square = torch.outer(line, line)
    return _on_diagonal(square / square.sum(), num_channels)


@wrong("bilinear_kernel", "scaled")
def kernel_divided_by_square(factor, num_channels):
    """Divided by the square of the factor once more."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    return _on_diagonal(torch.outer(line, line) / factor**2, num_channels)


@wrong("bilinear_kernel", "no_product")
def kernel_pyramid(factor, num_channels):
    """The larger of the two distances counts: a pyramid."""
    k = _side(factor)
    away = (torch.arange(k) - (k - 1) / 2).abs()
    return _on_diagonal(1 - torch.maximum(away[:, None], away) / factor, num_channels)


@wrong("bilinear_kernel", "no_product")
def kernel_cone(factor, num_channels):
    """The straight distance from the middle counts: a cone."""
    k = _side(factor)
    away = torch.arange(k) - (k - 1) / 2
    return _on_diagonal((1 - (away[:, None] ** 2 + away**2).sqrt() / factor).clamp(min=0), num_channels)


@wrong("bilinear_kernel", "another_slope")
def kernel_from_zero(factor, num_channels):
    """The tent goes from 0 to 1 and back: its ends are 0."""
    k = _side(factor)
    up = torch.linspace(0, 1, (k + 1) // 2)
    line = torch.cat([up, up.flip(0)[k % 2 :]])
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "another_slope")
def kernel_output_pixels(factor, num_channels):
    """The distance stays in output pixels."""
    k = _side(factor)
    line = (1 - (torch.arange(k) - (k - 1) / 2).abs()).clamp(min=0)
    return _on_diagonal(torch.outer(line, line), num_channels)


@wrong("bilinear_kernel", "one_channel_on_one_side")
def kernel_grouped(factor, num_channels):
    """(channels, 1, k, k), as for a convolution in groups."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    return torch.outer(line, line).expand(num_channels, 1, k, k).clone()


@wrong("bilinear_kernel", "scaled")
def kernel_highest_is_one(factor, num_channels):
    """Divided by its largest weight, so that the middle is 1 for even factors, too."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    return _on_diagonal(torch.outer(line, line) / line.max() ** 2, num_channels)


@wrong("bilinear_kernel", "scaled")
def kernel_sum_is_factor(factor, num_channels):
    """Made to sum to the factor."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    square = torch.outer(line, line)
    return _on_diagonal(square * factor / square.sum(), num_channels)


@wrong("bilinear_kernel")
def kernel_counts_from_one(factor, num_channels):
    """Places are counted from 1, the middle from 0."""
    k = _side(factor)
    line = [max(0, 1 - abs(t - (k - 1) / 2) / factor) for t in range(1, k + 1)]
    line = torch.tensor(line)
    return _on_diagonal(line[:, None] * line, num_channels)


@wrong("bilinear_kernel", "lopsided")
def kernel_floor_of_k_minus_1(factor, num_channels):
    """The middle at (k - 1) // 2."""
    k = _side(factor)
    weight = torch.zeros(num_channels, num_channels, k, k)
    for i in range(k):
        for j in range(k):
            value = (1 - abs(i - (k - 1) // 2) / factor) * (1 - abs(j - (k - 1) // 2) / factor)
            weight[range(num_channels), range(num_channels), i, j] = max(value, 0)
    return weight


@wrong("bilinear_kernel", "one_channel_on_one_side")
def kernel_one_by_one(factor, num_channels):
    """(1, 1, k, k), whatever the channels."""
    k = _side(factor)
    line = 1 - (torch.arange(k) - (k - 1) / 2).abs() / factor
    return torch.outer(line, line)[None, None]


# 4 · crop_offset


@alternative("crop_offset")
def right_crop_fractions(layers, onto=()):
    """Exact fractions, and start and jump in a dict."""

    def walk(chain):
        at = {"start": Fraction(0), "jump": Fraction(1)}
        for layer in chain:
            c = Fraction(layer["kernel_size"] - 1, 2) - layer.get("padding", 0)
            if layer["kind"] == "deconv":
                at["jump"] /= layer["stride"]
                at["start"] -= c * at["jump"]
            else:
                at["start"] += c * at["jump"]
                at["jump"] *= layer["stride"]
        return at

    ours, theirs = walk(layers), walk(onto)
    if ours["jump"] != theirs["jump"]:
        raise ValueError(f"the jumps differ: {ours['jump']} and {theirs['jump']}")
    offset = (theirs["start"] - ours["start"]) / ours["jump"]
    if offset.denominator != 1 or offset < 0:
        raise ValueError(f"no row {offset}")
    return int(offset)


@alternative("crop_offset")
def right_crop_affine(layers, onto=()):
    """Where row i lies is a function; layers wrap it in another one."""

    def position(chain):
        where = lambda i: i  # noqa: E731
        for layer in chain:
            s, shift = layer["stride"], (layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)
            if layer["kind"] == "deconv":
                where = lambda i, w=where, s=s, c=shift: w((i - c) / s)  # noqa: E731
            else:
                where = lambda i, w=where, s=s, c=shift: w(i * s + c)  # noqa: E731
        return where

    mine, other = position(layers), position(onto)
    jump = mine(1) - mine(0)
    if jump != other(1) - other(0):
        raise ValueError("these maps have different jumps")
    row = (other(0) - mine(0)) / jump
    if row < 0 or row % 1:
        raise ValueError("no such row")
    return round(row)


def _walk(chain, centre=lambda k: (k - 1) / 2, late=False, sign=-1, deconv_late=False, deconv_sign=-1):
    """Start and jump of a chain, with some ways to go wrong."""
    start, jump = 0.0, 1.0
    for layer in chain:
        k, s, p = layer["kernel_size"], layer["stride"], layer.get("padding", 0)
        c = centre(k) + sign * p
        if layer["kind"] == "deconv":
            new = jump / s
            start += deconv_sign * c * (jump if deconv_late else new)
            jump = new
        else:
            start += c * (jump * s if late else jump)
            jump *= s
    return start, jump


def _row(ours, theirs):
    """The offset, with all the demanded errors."""
    if ours[1] != theirs[1]:
        raise ValueError("different jumps")
    row = (theirs[0] - ours[0]) / ours[1]
    if row < 0 or row != int(row):
        raise ValueError(f"no row {row}")
    return int(row)


@alternative("crop_offset")
def right_crop_float(layers, onto=()):
    """The right row, as a float."""
    (a, j), (b, i) = _walk(layers), _walk(onto)
    if i != j:
        raise ValueError("different jumps")
    row = (b - a) / j
    if row < 0 or row % 1 != 0:
        raise ValueError(f"no row {row}")
    return row


@wrong("crop_offset", "centre_half_a_row_off", "row_where_there_is_none")
def crop_half_k_careless(layers, onto=()):
    """k / 2 for the centre, and no errors."""
    (a, j), (b, _) = _walk(layers, lambda k: k / 2), _walk(onto, lambda k: k / 2)
    return int((b - a) / j)


@wrong("crop_offset", "centre_half_a_row_off")
def crop_half_k_careful(layers, onto=()):
    """k / 2 for the centre, with all errors."""
    return _row(_walk(layers, lambda k: k / 2), _walk(onto, lambda k: k / 2))


@wrong("crop_offset", "centre_half_a_row_off")
def crop_floor_half(layers, onto=()):
    """k // 2 for the centre."""
    return _row(_walk(layers, lambda k: k // 2), _walk(onto, lambda k: k // 2))


@wrong("crop_offset", "centre_half_a_row_off")
def crop_floor_of_k_minus_1(layers, onto=()):
    """(k - 1) // 2: a window of two rows has its centre on the first."""
    return _row(_walk(layers, lambda k: (k - 1) // 2), _walk(onto, lambda k: (k - 1) // 2))


@wrong("crop_offset", "jump_of_another_map")
def crop_jump_first(layers, onto=()):
    """The jump is multiplied before it is used."""
    return _row(_walk(layers, late=True), _walk(onto, late=True))


@wrong("crop_offset", "jump_of_another_map", "row_where_there_is_none")
def crop_jump_first_careless(layers, onto=()):
    """The jump is multiplied before it is used, and nothing is checked."""
    start, jump = _walk(layers, late=True)
    other, _ = _walk(onto, late=True)
    return round((other - start) / jump)


@wrong("crop_offset", "deconv_not_read_backwards")
def crop_deconv_coarse(layers, onto=()):
    """A deconv moves by the coarse jump."""
    return _row(_walk(layers, deconv_late=True), _walk(onto, deconv_late=True))


@wrong("crop_offset", "deconv_not_read_backwards")
def crop_deconv_forward(layers, onto=()):
    """A deconv moves the start forward, not back."""
    return _row(_walk(layers, deconv_sign=1), _walk(onto, deconv_sign=1))


@wrong("crop_offset", "padding_not_subtracted")
def crop_padding_added(layers, onto=()):
    """The padding is added instead of subtracted."""
    return _row(_walk(layers, sign=1), _walk(onto, sign=1))


@wrong("crop_offset", "padding_not_subtracted")
def crop_padding_ignored(layers, onto=()):
    """No layer's padding is looked at."""
    return _row(_walk(layers, sign=0), _walk(onto, sign=0))


@wrong("crop_offset", "sign_reversed")
def crop_swapped(layers, onto=()):
    """From the second map to the first: the sign is wrong."""
    return _row(_walk(onto), _walk(layers))


@wrong("crop_offset", "sign_reversed")
def crop_swapped_careless(layers, onto=()):
    """Ours minus theirs, without an error for negative rows."""
    (a, j), (b, i) = _walk(layers), _walk(onto)
    if i != j:
        raise ValueError("jumps differ")
    return int((a - b) / j)


@wrong("crop_offset", "in_pixels")
def crop_in_pixels(layers, onto=()):
    """Not divided by the jump."""
    (a, j), (b, i) = _walk(layers), _walk(onto)
    if i != j:
        raise ValueError("jumps differ")
    if b < a or (b - a) % 1:
        raise ValueError("no such row")
    return int(b - a)


@wrong("crop_offset", "row_where_there_is_none")
def crop_onto_forgotten(layers, onto=()):
    """Always onto the picture."""
    start, jump = _walk(layers)
    row = -start / jump
    if row < 0 or row != int(row):
        raise ValueError("no row")
    return int(row)


@wrong("crop_offset", "row_where_there_is_none")
def crop_jumps_not_compared(layers, onto=()):
    """Maps with different jumps are laid on each other all the same."""
    (a, j), (b, _) = _walk(layers), _walk(onto)
    row = (b - a) / j
    if row < 0 or row != int(row):
        raise ValueError("no row")
    return int(row)


@wrong("crop_offset", "row_where_there_is_none")
def crop_rounded(layers, onto=()):
    """A half row is rounded instead of refused."""
    (a, j), (b, i) = _walk(layers), _walk(onto)
    if i != j:
        raise ValueError("different jumps")
    row = round((b - a) / j)
    if row < 0:
        raise ValueError("negative")
    return row


@wrong("crop_offset", "pooling_does_not_move")
def crop_pools_move_nothing(layers, onto=()):
    """Poolings only change the jump."""

    def walk(chain):
        start, jump = 0, 1
        for layer in chain:
            c = (layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)
            if layer["kind"] == "pool":
                jump *= layer["stride"]
            elif layer["kind"] == "conv":
                start += c * jump
                jump *= layer["stride"]
            else:
                jump /= layer["stride"]
                start -= c * jump
        return start, jump

    return _row(walk(layers), walk(onto))


@wrong("crop_offset", "deconv_not_read_backwards", "row_where_there_is_none")
def crop_deconv_like_conv(layers, onto=()):
    """A deconv is followed like a convolution, only its stride divides."""

    def walk(chain):
        start, jump = 0, 1
        for layer in chain:
            start += ((layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)) * jump
            jump = jump / layer["stride"] if layer["kind"] == "deconv" else jump * layer["stride"]
        return start, jump

    (a, j), (b, _) = walk(layers), walk(onto)
    return int((b - a) / j)


@wrong("crop_offset", "jump_of_another_map")
def crop_without_jumps(layers, onto=()):
    """The centres are added as they are, without the jump."""

    def walk(chain):
        start, jump = 0, 1
        for layer in chain:
            c = (layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)
            start += -c if layer["kind"] == "deconv" else c
            jump = jump / layer["stride"] if layer["kind"] == "deconv" else jump * layer["stride"]
        return start, jump

    return _row(walk(layers), walk(onto))


@wrong("crop_offset", "row_where_there_is_none")
def crop_absolute(layers, onto=()):
    """A negative offset loses its sign."""
    (a, j), (b, i) = _walk(layers), _walk(onto)
    if i != j or (b - a) / j % 1:
        raise ValueError("no row")
    return int(abs(b - a) / j)


@wrong("crop_offset", "row_where_there_is_none")
def crop_only_negative_refused(layers, onto=()):
    """Refuses a negative row, and nothing else."""
    start, jump = _walk(layers)
    target, _ = _walk(onto)
    if target < start:
        raise ValueError("before the first row")
    return int((target - start) // jump)


@wrong("crop_offset", "deconv_not_read_backwards", "row_where_there_is_none")
def crop_deconv_divides_only(layers, onto=()):
    """A deconv only divides the jump; no row is refused."""

    def walk(chain):
        start, jump = 0, 1
        for layer in chain:
            if layer["kind"] == "deconv":
                jump = jump / layer["stride"]
                continue
            start += ((layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)) * jump
            jump *= layer["stride"]
        return start, jump

    (a, j), (b, _) = walk(layers), walk(onto)
    return (b - a) / j


# 5 · FCN


def _enlarge(scores, size):
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)


@alternative("FCN")
class right_fcn_loop(nn.Module):
    """A dict of maps by stride, and getattr in a loop."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder = encoder
        self.strides = [s for s in (32, 16, 8) if s >= stride]
        for s, width in zip(self.strides, reversed(widths), strict=False):
            layer = nn.Conv2d(width, num_classes, 1)
            if s < 32:
                layer.weight.data.fill_(0)
                layer.bias.data.fill_(0)
            setattr(self, f"score_{s}", layer)

    def forward(self, x):
        maps, y = {}, x
        for number, stage in enumerate(self.encoder, start=1):
            y = stage(y)
            maps[2**number] = y
        total = 0
        for s in self.strides:
            scores = getattr(self, f"score_{s}")(maps[s])
            total = scores if s == 32 else scores + _enlarge(total, scores.shape[-2:])
        return _enlarge(total, x.shape[-2:])


@alternative("FCN")
class right_fcn_slices(nn.Module):
    """Slices of the encoder, one after the other; missing score layers are None."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder = encoder
        self.score_32 = nn.Conv2d(widths[-1], num_classes, kernel_size=1)
        self.score_16 = self.zeroed(widths[-2], num_classes) if stride <= 16 else None
        self.score_8 = self.zeroed(widths[-3], num_classes) if stride <= 8 else None

    @staticmethod
    def zeroed(channels, num_classes):
        layer = nn.Conv2d(channels, num_classes, kernel_size=1)
        nn.init.constant_(layer.weight, 0.0)
        nn.init.constant_(layer.bias, 0.0)
        return layer

    def forward(self, x):
        height, width = x.shape[2], x.shape[3]
        third = self.encoder[:3](x)
        fourth = self.encoder[3](third)
        scores = self.score_32(self.encoder[4](fourth))
        for skip, features in ((self.score_16, fourth), (self.score_8, third)):
            if skip is not None:
                up = nn.Upsample(size=tuple(features.shape[2:]), mode="bilinear")
                scores = up(scores) + skip(features)
        return nn.Upsample(size=(height, width), mode="bilinear")(scores)


class _Base(nn.Module):
    """The right constructor, and stages that are kept: what the answers below share."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder, self.stride = encoder, stride
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1)
        if stride <= 16:
            self.score_16 = self.skip(widths[3], num_classes)
        if stride == 8:
            self.score_8 = self.skip(widths[2], num_classes)

    def skip(self, channels, num_classes):
        layer = nn.Conv2d(channels, num_classes, 1)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    def maps(self, x):
        found = []
        for stage in self.encoder:
            x = stage(x)
            found.append(x)
        return found[2:]

    def up(self, scores, size):
        return _enlarge(scores, size)

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        scores = self.score_32(fifth)
        if self.stride <= 16:
            scores = self.up(scores, fourth.shape[2:]) + self.score_16(fourth)
        if self.stride == 8:
            scores = self.up(scores, third.shape[2:]) + self.score_8(third)
        return self.up(scores, x.shape[2:])


@wrong("FCN", "ByAFactor")
class fcn_factors(_Base):
    """Enlarges by 2, 2 and 8: odd sizes do not fit."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        scores = self.score_32(fifth)
        if self.stride <= 16:
            scores = F.interpolate(scores, scale_factor=2, mode="bilinear") + self.score_16(fourth)
        if self.stride == 8:
            scores = F.interpolate(scores, scale_factor=2, mode="bilinear") + self.score_8(third)
        return F.interpolate(scores, scale_factor=self.stride, mode="bilinear")


@wrong("FCN", "ByAFactor")
class fcn_last_factor(_Base):
    """The skips fit, but the last step enlarges by the stride: the logits are smaller than the picture."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        scores = self.score_32(fifth)
        if hasattr(self, "score_16"):
            scores = _enlarge(scores, fourth.shape[2:]) + self.score_16(fourth)
        if hasattr(self, "score_8"):
            scores = _enlarge(scores, third.shape[2:]) + self.score_8(third)
        return nn.Upsample(scale_factor=self.stride, mode="bilinear")(scores)


@wrong("FCN", "ByAFactor")
class fcn_factors_padded(_Base):
    """Enlarges by factors and pads with zeros to the picture's size."""

    def up(self, scores, size):
        factor = round(size[0] / scores.shape[2])
        scores = F.interpolate(scores, scale_factor=factor, mode="bilinear")
        return F.pad(scores, (0, size[1] - scores.shape[3], 0, size[0] - scores.shape[2]))


@wrong("FCN", "NotStepByStep")
class fcn_sum_at_picture(_Base):
    """Every stage's scores are enlarged to the picture, and added there."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        logits = _enlarge(self.score_32(fifth), x.shape[2:])
        if self.stride <= 16:
            logits = logits + _enlarge(self.score_16(fourth), x.shape[2:])
        if self.stride == 8:
            logits = logits + _enlarge(self.score_8(third), x.shape[2:])
        return logits


@wrong("FCN", "NotStepByStep")
class fcn_sum_at_eight(_Base):
    """Deep and middle scores are both enlarged straight to the finest map."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        if self.stride == 32:
            scores = self.score_32(fifth)
        elif self.stride == 16:
            scores = self.score_16(fourth) + _enlarge(self.score_32(fifth), fourth.shape[2:])
        else:
            size = third.shape[2:]
            scores = self.score_8(third) + _enlarge(self.score_16(fourth), size) + _enlarge(self.score_32(fifth), size)
        return _enlarge(scores, x.shape[2:])


@wrong("FCN", "StartsOtherwise")
class fcn_random_skips(_Base):
    """The skips start as torch makes them."""

    def skip(self, channels, num_classes):
        return nn.Conv2d(channels, num_classes, 1)


@wrong("FCN", "StartsOtherwise")
class fcn_bias_not_zero(nn.Module):
    """Only the skips' weights start at zero, their biases do not."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder = encoder
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1)
        if stride < 32:
            self.score_16 = nn.Conv2d(widths[3], num_classes, 1)
            nn.init.zeros_(self.score_16.weight)
        if stride < 16:
            self.score_8 = nn.Conv2d(widths[2], num_classes, 1)
            nn.init.zeros_(self.score_8.weight)

    def forward(self, x):
        outputs = [x]
        for stage in self.encoder:
            outputs.append(stage(outputs[-1]))
        scores = self.score_32(outputs[5])
        for name, number in (("score_16", 4), ("score_8", 3)):
            if hasattr(self, name):
                skip = getattr(self, name)(outputs[number])
                scores = _enlarge(scores, skip.shape[2:]) + skip
        return _enlarge(scores, x.shape[2:])


@wrong("FCN", "StartsOtherwise")
class fcn_all_zero(_Base):
    """The deep scores start at zero, too: nothing learns in the encoder at first."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        nn.init.zeros_(self.score_32.weight)
        nn.init.zeros_(self.score_32.bias)


@wrong("FCN", "OtherWeights")
class fcn_all_layers(_Base):
    """All three score layers exist, whatever the stride."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, 8)
        self.stride = stride


@wrong("FCN", "OtherWeights")
class fcn_no_bias(_Base):
    """Score layers without a bias."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1, bias=False)

    def skip(self, channels, num_classes):
        layer = nn.Conv2d(channels, num_classes, 1, bias=False)
        nn.init.zeros_(layer.weight)
        return layer


@wrong("FCN", "OtherWeights")
class fcn_in_a_list(nn.Module):
    """Score layers in a plain list: torch does not see them."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder = encoder
        count = {32: 1, 16: 2, 8: 3}[stride]
        self.scores = [nn.Conv2d(w, num_classes, 1) for w in list(widths)[::-1][:count]]
        for layer in self.scores[1:]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        size, maps = x.shape[2:], []
        for stage in self.encoder:
            x = stage(x)
            maps.insert(0, x)
        scores = self.scores[0](maps[0])
        for layer, features in zip(self.scores[1:], maps[1:], strict=False):
            scores = _enlarge(scores, features.shape[2:]) + layer(features)
        return _enlarge(scores, size)


@wrong("FCN", "OtherWeights")
class fcn_module_list(nn.Module):
    """Score layers in a ModuleList: trained, but under other names."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder = encoder
        count = {32: 1, 16: 2, 8: 3}[stride]
        self.scores = nn.ModuleList(nn.Conv2d(w, num_classes, 1) for w in list(widths)[::-1][:count])
        for layer in self.scores[1:]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    forward = fcn_in_a_list.forward


@wrong("FCN", "EncoderCutOff")
class fcn_copied_encoder(_Base):
    """A deep copy of the encoder is trained."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(copy.deepcopy(encoder), widths, num_classes, stride)


@wrong("FCN", "EncoderCutOff")
class fcn_detached(_Base):
    """The skips' features are detached: no gradient reaches the encoder through them."""

    def maps(self, x):
        third, fourth, fifth = super().maps(x)
        return third.detach(), fourth.detach(), fifth


@wrong("FCN", "EncoderCutOff")
class fcn_frozen(_Base):
    """The encoder runs without gradients, as a fixed extractor of features."""

    def maps(self, x):
        with torch.no_grad():
            return super().maps(x)


@wrong("FCN", "EncoderCutOff")
class fcn_again_from_the_picture(_Base):
    """Every map is computed from the picture: stages run several times."""

    def maps(self, x):
        return self.encoder[:3](x), self.encoder[:4](x), self.encoder(x)


@wrong("FCN", "EncoderCutOff")
class fcn_stages_twice(_Base):
    """The whole encoder runs, and then the fourth stage again for its map."""

    def maps(self, x):
        third = self.encoder[:3](x)
        fourth = self.encoder[3](third)
        return third, fourth, self.encoder[3:](third)


@wrong("FCN", "NotBareScores")
class fcn_softmax(_Base):
    """Gives probabilities, not logits."""

    def forward(self, x):
        return super().forward(x).softmax(dim=1)


@wrong("FCN", "NotBareScores")
class fcn_softmax_inside(_Base):
    """Probabilities of the stages are added, and enlarged."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        scores = self.score_32(fifth).softmax(1)
        if self.stride <= 16:
            scores = self.up(scores, fourth.shape[2:]) + self.score_16(fourth).softmax(1)
        if self.stride == 8:
            scores = self.up(scores, third.shape[2:]) + self.score_8(third).softmax(1)
        return self.up(scores, x.shape[2:])


@wrong("FCN", "NotBareScores")
class fcn_relu_on_scores(_Base):
    """A ReLU after the fused scores."""

    def forward(self, x):
        return F.relu(super().forward(x))


@wrong("FCN")
class fcn_mean(_Base):
    """The mean of the scores instead of their sum."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        scores = self.score_32(fifth)
        if self.stride <= 16:
            scores = (self.up(scores, fourth.shape[2:]) + self.score_16(fourth)) / 2
        if self.stride == 8:
            scores = (self.up(scores, third.shape[2:]) + self.score_8(third)) / 2
        return self.up(scores, x.shape[2:])


@wrong("FCN", "EnlargedOtherwise")
class fcn_corners(_Base):
    """Enlarges with align_corners=True."""

    def up(self, scores, size):
        return F.interpolate(scores, size=size, mode="bilinear", align_corners=True)


@wrong("FCN", "EnlargedOtherwise")
class fcn_blocks(_Base):
    """interpolate without a mode: blocks."""

    def up(self, scores, size):
        return F.interpolate(scores, size=size)


@wrong("FCN", "AnotherShape")
class fcn_square(_Base):
    """One number of the picture's shape for both sides."""

    def up(self, scores, size):
        return _enlarge(scores, (size[0], size[0]))

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        scores = self.score_32(fifth)
        if self.stride <= 16:
            scores = _enlarge(scores, fourth.shape[2:]) + self.score_16(fourth)
        if self.stride == 8:
            scores = _enlarge(scores, third.shape[2:]) + self.score_8(third)
        return self.up(scores, x.shape[2:])


@wrong("FCN", "NotStepByStep", "OtherWeights")
class fcn_eight_without_sixteen(nn.Module):
    """FCN-8s takes only the third stage's skip."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder, self.stride = encoder, stride
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1)
        if stride == 16:
            self.score_16 = nn.Conv2d(widths[3], num_classes, 1)
            nn.init.zeros_(self.score_16.weight)
            nn.init.zeros_(self.score_16.bias)
        elif stride == 8:
            self.score_8 = nn.Conv2d(widths[2], num_classes, 1)
            nn.init.zeros_(self.score_8.weight)
            nn.init.zeros_(self.score_8.bias)

    def forward(self, x):
        third = self.encoder[2](self.encoder[1](self.encoder[0](x)))
        fourth = self.encoder[3](third)
        scores = self.score_32(self.encoder[4](fourth))
        if self.stride == 16:
            scores = _enlarge(scores, fourth.shape[-2:]) + self.score_16(fourth)
        elif self.stride == 8:
            scores = _enlarge(scores, third.shape[-2:]) + self.score_8(third)
        return _enlarge(scores, x.shape[-2:])


@wrong("FCN", "OtherWeights")
class fcn_stage_too_early(nn.Module):
    """The skips read from stages one earlier than they should."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder, self.stride = encoder, stride
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1)
        if stride <= 16:
            self.score_16 = nn.Conv2d(widths[2], num_classes, 1)
            nn.init.zeros_(self.score_16.weight)
            nn.init.zeros_(self.score_16.bias)
        if stride <= 8:
            self.score_8 = nn.Conv2d(widths[1], num_classes, 1)
            nn.init.zeros_(self.score_8.weight)
            nn.init.zeros_(self.score_8.bias)

    def forward(self, x):
        maps = list(itertools.accumulate(self.encoder, lambda y, stage: stage(y), initial=x))
        scores = self.score_32(maps[5])
        if self.stride <= 16:
            scores = _enlarge(scores, maps[3].shape[2:]) + self.score_16(maps[3])
        if self.stride <= 8:
            scores = _enlarge(scores, maps[2].shape[2:]) + self.score_8(maps[2])
        return _enlarge(scores, x.shape[2:])


@wrong("FCN", "OtherWeights")
class fcn_shared_layer(_Base):
    """One score layer serves two stages where their widths agree."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        if stride == 8 and widths[2] == widths[3]:
            self.score_8 = self.score_16


@wrong("FCN", "NotStepByStep")
class fcn_deep_scores_dropped(_Base):
    """FCN-16s and 8s forget the enlarged scores and keep only the skip's own."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        scores = {32: lambda: self.score_32(fifth), 16: lambda: self.score_16(fourth), 8: lambda: self.score_8(third)}
        return self.up(scores[self.stride](), x.shape[2:])


@wrong("FCN", "NotStepByStep")
class fcn_straight_from_features(_Base):
    """Features are enlarged to the picture before they are scored (no sum at the skip's size)."""

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        size = x.shape[2:]
        logits = self.score_32(self.up(fifth, size))
        if self.stride <= 16:
            logits = logits + self.score_16(self.up(fourth, size))
        if self.stride == 8:
            logits = logits + self.score_8(self.up(third, size))
        return logits


@wrong("FCN", "AnotherShape")
class fcn_picture_overwritten(nn.Module):
    """x is overwritten by the stages, and then its size is no longer the picture's."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder, self.stride = encoder, stride
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1)
        if stride < 32:
            self.score_16 = nn.Conv2d(widths[3], num_classes, 1)
        if stride < 16:
            self.score_8 = nn.Conv2d(widths[2], num_classes, 1)
        for name, weight in self.named_parameters():
            if name.startswith(("score_16", "score_8")):
                nn.init.zeros_(weight)

    def forward(self, x):
        outputs = []
        for stage in self.encoder:
            x = stage(x)
            outputs.append(x)
        y = self.score_32(x)
        if self.stride < 32:
            y = _enlarge(y, outputs[3].shape[2:]) + self.score_16(outputs[3])
        if self.stride < 16:
            y = _enlarge(y, outputs[2].shape[2:]) + self.score_8(outputs[2])
        return _enlarge(y, x.shape[2:])


@wrong("FCN", "OtherWeights")
class fcn_three_by_three(_Base):
    """Score layers of 3 x 3."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        self.score_32 = nn.Conv2d(widths[4], num_classes, 3, padding=1)

    def skip(self, channels, num_classes):
        layer = nn.Conv2d(channels, num_classes, 3, padding=1)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer


@wrong("FCN", "StartsOtherwise")
class fcn_one_skip_random(_Base):
    """score_8 is forgotten where the skips are set to zero."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        if stride == 8:
            self.score_8 = nn.Conv2d(widths[2], num_classes, 1)


@wrong("FCN", "EncoderCutOff")
class fcn_frozen_weights(_Base):
    """The encoder's weights are frozen."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        for weight in self.encoder.parameters():
            weight.requires_grad = False


@wrong("FCN", "OtherWeights", "NotStepByStep")
class fcn_stride_turned_round(nn.Module):
    """The comparison of the stride is turned round: FCN-32s has all skips, FCN-8s only its own."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder = encoder
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1)
        self.score_16 = nn.Conv2d(widths[3], num_classes, 1) if stride >= 16 else None
        self.score_8 = nn.Conv2d(widths[2], num_classes, 1) if stride >= 8 else None
        for layer in (self.score_16, self.score_8):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x):
        third = self.encoder[:3](x)
        fourth = self.encoder[3](third)
        scores = self.score_32(self.encoder[4](fourth))
        for layer, skip in ((self.score_16, fourth), (self.score_8, third)):
            if layer is not None:
                scores = _enlarge(scores, skip.shape[2:]) + layer(skip)
        return _enlarge(scores, x.shape[2:])


@wrong("FCN", "EnlargedOtherwise")
class fcn_bicubic(_Base):
    """Enlarges with cubic curves."""

    def up(self, scores, size):
        return F.interpolate(scores, size=size, mode="bicubic", align_corners=False)


@wrong("FCN", "NotBareScores")
class fcn_log_softmax(_Base):
    """Gives log probabilities."""

    def forward(self, x):
        return F.log_softmax(super().forward(x), dim=1)


@wrong("FCN", "NotBareScores", "StartsOtherwise")
class fcn_sigmoid_and_random(fcn_random_skips):
    """A sigmoid at the end, and skips that start at random."""

    def forward(self, x):
        return torch.sigmoid(super().forward(x))


# 6 · train_epoch


@alternative("train_epoch")
def right_epoch_summed(network, optimizer, batches, ignore_index=255):
    """The summed loss, divided by the count before it goes backward."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = int((y != ignore_index).sum())
        if not count:
            continue
        summed = F.cross_entropy(network(x), y, ignore_index=ignore_index, reduction="sum")
        optimizer.zero_grad()
        (summed / count).backward()
        optimizer.step()
        total, pixels = total + summed.item(), pixels + count
    return total / pixels


@alternative("train_epoch")
def right_epoch_valid_only(network, optimizer, batches, ignore_index=255):
    """Picks the valid pixels, keeps all their losses in a list."""
    network.train(True)
    losses = []
    for pictures, masks in batches:
        optimizer.zero_grad(set_to_none=True)
        valid = masks != ignore_index
        if not valid.any():
            continue
        logits = network(pictures).permute(0, 2, 3, 1)[valid]
        each = nn.CrossEntropyLoss(reduction="none")(logits, masks[valid])
        each.mean().backward()
        optimizer.step()
        losses.append(each.detach())
    return torch.cat(losses).mean().item()


@alternative("train_epoch")
def right_epoch_nan(network, optimizer, batches, ignore_index=255):
    """Sees a batch without pixels by its loss, which is not a number."""
    criterion = nn.CrossEntropyLoss(ignore_index=ignore_index)
    network.train()
    numbers, weights = [], []
    for images, target in batches:
        optimizer.zero_grad()
        loss = criterion(network(images), target)
        if torch.isnan(loss):
            continue
        loss.backward()
        optimizer.step()
        numbers.append(loss.item())
        weights.append((target != ignore_index).sum().item())
    return sum(n * w for n, w in zip(numbers, weights, strict=True)) / sum(weights)


@wrong("train_epoch", "old_gradients_count")
def epoch_never_cleared(network, optimizer, batches, ignore_index=255):
    """Gradients are never cleared."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "old_gradients_count")
def epoch_cleared_once(network, optimizer, batches, ignore_index=255):
    """Gradients are cleared once, before the loop."""
    network.train()
    optimizer.zero_grad()
    total, pixels = 0.0, 0
    for pictures, masks in batches:
        valid = (masks != ignore_index).sum().item()
        if valid:
            loss = F.cross_entropy(network(pictures), masks, ignore_index=ignore_index)
            loss.backward()
            optimizer.step()
            total, pixels = total + loss.item() * valid, pixels + valid
    return total / pixels


@wrong("train_epoch", "old_gradients_count")
def epoch_cleared_after(network, optimizer, batches, ignore_index=255):
    """Gradients are cleared after the step: the first step uses what was there before."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "not_one_step_each")
def epoch_cleared_between(network, optimizer, batches, ignore_index=255):
    """Gradients are cleared between backward and step: nothing moves."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "not_one_step_each")
def epoch_no_step(network, optimizer, batches, ignore_index=255):
    """No step is taken."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
            loss.backward()
            total += loss.item() * count
            pixels += count
    return total / pixels


@wrong("train_epoch", "not_one_step_each")
def epoch_one_step(network, optimizer, batches, ignore_index=255):
    """One step at the end, for the gradients of all batches."""
    network.train()
    optimizer.zero_grad()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        total += loss.item() * count
        pixels += count
    optimizer.step()
    return total / pixels


@wrong("train_epoch", "another_weight_in_the_mean")
def epoch_mean_of_batches(network, optimizer, batches, ignore_index=255):
    """The mean of the batches' means."""
    network.train()
    losses = []
    for x, y in batches:
        if (y == ignore_index).all():
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@wrong("train_epoch", "another_weight_in_the_mean")
def epoch_mean_of_pictures(network, optimizer, batches, ignore_index=255):
    """Batches are weighted by their pictures, not by their valid pixels."""
    network.train()
    total = seen = 0
    for x, y in batches:
        if (y != ignore_index).sum() == 0:
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
        seen += len(x)
    return total / seen


@wrong("train_epoch", "another_weight_in_the_mean")
def epoch_weighted_by_all_pixels(network, optimizer, batches, ignore_index=255):
    """Batches are weighted by all their pixels, the ignored ones, too."""
    network.train()
    total = seen = 0
    for x, y in batches:
        if not (y != ignore_index).any():
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item() * y.numel()
        seen += y.numel()
    return total / seen


@wrong("train_epoch", "not_the_mean_of_valid_pixels", "another_weight_in_the_mean")
def epoch_divided_by_all_pixels(network, optimizer, batches, ignore_index=255):
    """The sum over valid pixels is divided by all pixels, in the loss and in the mean."""
    network.train()
    total = seen = 0
    for x, y in batches:
        if not (y != ignore_index).any():
            continue
        optimizer.zero_grad()
        each = F.cross_entropy(network(x), y, ignore_index=ignore_index, reduction="none")
        loss = each.mean()
        loss.backward()
        optimizer.step()
        total += each.sum().item()
        seen += each.numel()
    return total / seen


@wrong("train_epoch", "not_the_mean_of_valid_pixels")
def epoch_sum_backward(network, optimizer, batches, ignore_index=255):
    """Steps follow the sum over the pixels, not the mean."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index, reduction="sum")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        pixels += count
    return total / pixels


@wrong("train_epoch", "mode_left")
def epoch_mode_kept(network, optimizer, batches, ignore_index=255):
    """The network stays in the mode in which it came."""
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "mode_left")
def epoch_left_in_evaluation(network, optimizer, batches, ignore_index=255):
    """Trains in training mode, then leaves the network in evaluation mode."""
    loss = right_epoch_summed(network, optimizer, batches, ignore_index)
    network.eval()
    return loss


@wrong("train_epoch", "softmax_first")
def epoch_softmax(network, optimizer, batches, ignore_index=255):
    """Softmax before cross_entropy, which has its own."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        optimizer.zero_grad()
        probabilities = torch.softmax(network(x), dim=1)
        loss = F.cross_entropy(probabilities, y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "not_the_mean_of_valid_pixels")
def epoch_always_255(network, optimizer, batches, ignore_index=255):
    """255 is ignored, whatever ignore_index says."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != 255).sum().item()
        if count == 0:
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=255)
        loss.backward()
        optimizer.step()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "not_the_mean_of_valid_pixels", "empty_batch_not_passed_over", "another_weight_in_the_mean")
def epoch_ignored_as_background(network, optimizer, batches, ignore_index=255):
    """Ignored pixels become background."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        y = torch.where(y == ignore_index, 0, y)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * y.numel()
        pixels += y.numel()
    return total / pixels


@wrong("train_epoch", "empty_batch_not_passed_over")
def epoch_empty_batch_steps(network, optimizer, batches, ignore_index=255):
    """A batch without pixels gets a loss of 0 and a step."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        summed = F.cross_entropy(network(x), y, ignore_index=ignore_index, reduction="sum")
        loss = summed / max(count, 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += summed.item()
        pixels += count
    return total / pixels


@wrong("train_epoch", "empty_batch_not_passed_over")
def epoch_empty_batch_nan(network, optimizer, batches, ignore_index=255):
    """A batch without pixels is not passed over: NaN."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        count = (y != ignore_index).sum().item()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "empty_batch_not_passed_over")
def epoch_stops_at_empty(network, optimizer, batches, ignore_index=255):
    """The epoch ends at the first batch without pixels."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            break
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item() * count
        pixels += count
    return total / max(pixels, 1)


@wrong("train_epoch")
def epoch_loss_after_step(network, optimizer, batches, ignore_index=255):
    """The loss is measured after the step, by a second pass."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        optimizer.zero_grad()
        F.cross_entropy(network(x), y, ignore_index=ignore_index).backward()
        optimizer.step()
        with torch.no_grad():
            total += F.cross_entropy(network(x), y, ignore_index=ignore_index).item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "not_the_mean")
def epoch_last_loss(network, optimizer, batches, ignore_index=255):
    """Returns the last batch's loss."""
    network.train()
    loss = None
    for x, y in batches:
        if (y == ignore_index).all():
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
    return loss.item()


@wrong("train_epoch", "another_weight_in_the_mean")
def epoch_length(network, optimizer, batches, ignore_index=255):
    """Divides by len(batches), which a generator does not have."""
    network.train()
    total = 0
    for x, y in batches:
        if (y == ignore_index).all():
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(batches)


@wrong("train_epoch", "not_the_mean")
def epoch_tensor(network, optimizer, batches, ignore_index=255):
    """Adds tensors that keep their graphs, and returns one."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum()
        if count == 0:
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total = total + loss * count
        pixels = pixels + count
    return total / pixels


@wrong("train_epoch", "not_the_mean_of_valid_pixels")
def epoch_index_not_passed(network, optimizer, batches, ignore_index=255):
    """cross_entropy is not told what to ignore, and meets a class 255."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * count
        pixels += count
    return total / pixels


@wrong("train_epoch", "another_weight_in_the_mean")
def epoch_sum_over_all(network, optimizer, batches, ignore_index=255):
    """The sum over valid pixels is divided by all pixels in the end."""
    network.train()
    total = pixels = 0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count == 0:
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        total += loss.item() * count
        pixels += y.numel()
    return total / pixels


@wrong("train_epoch", "not_one_step_each")
def epoch_step_before_backward(network, optimizer, batches, ignore_index=255):
    """The step comes before backward."""
    network.train()
    total, pixels = 0.0, 0
    for x, y in batches:
        n = int((y != ignore_index).sum())
        if n == 0:
            continue
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        optimizer.step()
        loss.backward()
        total, pixels = total + n * loss.item(), pixels + n
    return total / pixels


@wrong("train_epoch", "old_gradients_count", "another_weight_in_the_mean")
def epoch_two_slips(network, optimizer, batches, ignore_index=255):
    """Never clears gradients, and takes the mean over batches."""
    network.train()
    losses = []
    for x, y in batches:
        if (y == ignore_index).all():
            continue
        loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


@wrong("train_epoch", "empty_batch_not_passed_over", "another_weight_in_the_mean")
def epoch_nan_mean(network, optimizer, batches, ignore_index=255):
    """Nothing is done about empty batches, and the mean is over batches."""
    network.train()
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss(ignore_index=ignore_index)(network(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@wrong("train_epoch", "not_the_mean")
def epoch_sum_of_pixels(network, optimizer, batches, ignore_index=255):
    """Returns the sum over all pixels."""
    network.train()
    total = 0.0
    for x, y in batches:
        count = (y != ignore_index).sum().item()
        if count:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), y, ignore_index=ignore_index)
            loss.backward()
            optimizer.step()
            total += loss.item() * count
    return total


# 7 · recall_by_size


@alternative("recall_by_size")
def right_recall_bincount(pred, target, instances, edges):
    """Areas and hits of a picture by bincount."""
    objects, hits = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    for p, t, n in zip(pred, target, instances, strict=True):
        keep = t != 255
        areas = torch.bincount(n[keep])
        right = torch.bincount(n[keep & (p == t)], minlength=len(areas))
        for area, good in zip(areas[1:].tolist(), right[1:].tolist(), strict=True):
            place = bisect.bisect_right(edges, area) - 1
            if area > 0 and 0 <= place < len(objects):
                objects[place] += 1
                hits[place] += 2 * good > area
    return torch.tensor([h / o if o else math.nan for h, o in zip(hits, objects, strict=True)], dtype=torch.float64)


@alternative("recall_by_size")
def right_recall_lists(pred, target, instances, edges):
    """First a list of all objects, then the ranges."""
    seen = []
    for k in range(len(pred)):
        for number in set(instances[k].flatten().tolist()) - {0}:
            mine = (instances[k] == number) & (target[k] != 255)
            good = pred[k][mine] == target[k][mine]
            if len(good):
                seen.append((len(good), good.double().mean().item() > 0.5))
    out = torch.full((len(edges) - 1,), float("nan"), dtype=torch.float64)
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        found = [ok for area, ok in seen if low <= area < high]
        if found:
            out[i] = sum(found) / len(found)
    return out


def _recall(pred, target, instances, edges, found=None, area_of=None, empty=math.nan, inside=None, first=1):
    """Two loops, with some ways to go wrong."""
    inside = inside or (lambda low, area, high: low <= area < high)
    counts = [[0, 0] for _ in edges[1:]]
    for p, t, n in zip(pred, target, instances, strict=True):
        for number in torch.unique(n).tolist():
            if number < first:
                continue
            mine = (n == number) & (t != 255)
            if not mine.any():
                continue
            area = mine.sum().item() if area_of is None else area_of(n == number, mine)
            right = ((p == t) & mine).sum().item()
            ok = right > area / 2 if found is None else found(p, t, mine, right, area)
            for i, (low, high) in enumerate(itertools.pairwise(edges)):
                if inside(low, area, high):
                    counts[i][0] += 1
                    counts[i][1] += bool(ok)
    return torch.tensor([good / all_ if all_ else empty for all_, good in counts], dtype=torch.float64)


@wrong("recall_by_size", "half_is_enough")
def recall_half_is_enough(pred, target, instances, edges):
    """Exactly half counts as found."""
    return _recall(pred, target, instances, edges, found=lambda p, t, mine, right, area: right >= area / 2)


@wrong("recall_by_size", "numbers_of_all_pictures")
def recall_numbers_across_pictures(pred, target, instances, edges):
    """Object 1 of all pictures is one object."""
    valid = target != 255
    total, good = torch.zeros(len(edges) - 1), torch.zeros(len(edges) - 1)
    for number in instances.unique():
        if number == 0:
            continue
        mine = (instances == number) & valid
        area = mine.sum()
        if area == 0:
            continue
        right = (pred[mine] == target[mine]).sum()
        for i in range(len(edges) - 1):
            if edges[i] <= area < edges[i + 1]:
                total[i] += 1
                good[i] += right > area / 2
    return (good / total).double()


@wrong("recall_by_size", "another_list_of_objects")
def recall_zero_counts(pred, target, instances, edges):
    """What belongs to no object counts as one."""
    return _recall(pred, target, instances, edges, first=0)


@wrong("recall_by_size", "ignored_pixels_count")
def recall_ignored_counted(pred, target, instances, edges):
    """Ignored pixels stay in the area and in the half."""
    return _recall(pred, target, instances, edges, area_of=lambda whole, mine: whole.sum().item())


@wrong("recall_by_size", "ignored_pixels_count")
def recall_ignored_in_range_only(pred, target, instances, edges):
    """The range is chosen by the whole area, the half by what is left."""
    return _recall(
        pred,
        target,
        instances,
        edges,
        area_of=lambda whole, mine: whole.sum().item(),
        found=lambda p, t, mine, right, area: right > mine.sum().item() / 2,
    )


@wrong("recall_by_size", "found_by_another_rule")
def recall_any_clothes(pred, target, instances, edges):
    """Any label but background counts as right."""
    found = lambda p, t, mine, right, area: (p[mine] != 0).sum().item() > area / 2  # noqa: E731
    return _recall(pred, target, instances, edges, found=found)


@wrong("recall_by_size", "found_by_another_rule")
def recall_most_frequent(pred, target, instances, edges):
    """Found if the most frequent label is the right one, half or not."""
    found = lambda p, t, mine, right, area: p[mine].mode().values == t[mine].mode().values  # noqa: E731
    return _recall(pred, target, instances, edges, found=found)


@wrong("recall_by_size", "found_by_another_rule")
def recall_one_pixel(pred, target, instances, edges):
    """One right pixel is enough."""
    return _recall(pred, target, instances, edges, found=lambda p, t, mine, right, area: right > 0)


@wrong("recall_by_size", "found_by_another_rule")
def recall_iou(pred, target, instances, edges):
    """The IoU with all pixels of its class must be more than a half."""

    def found(p, t, mine, right, area):
        label = t[mine][0]
        return right > ((p == label) | mine).sum().item() / 2

    return _recall(pred, target, instances, edges, found=found)


@wrong("recall_by_size", "other_limits")
def recall_upper_limit_inside(pred, target, instances, edges):
    """The upper limit belongs to a range, the lower one does not."""
    return _recall(pred, target, instances, edges, inside=lambda low, area, high: low < area <= high)


@wrong("recall_by_size", "other_limits")
def recall_both_limits(pred, target, instances, edges):
    """Both limits belong to a range: an object on a limit counts in two."""
    return _recall(pred, target, instances, edges, inside=lambda low, area, high: low <= area <= high)


@wrong("recall_by_size", "other_limits")
def recall_histogram(pred, target, instances, edges):
    """The last range includes its upper limit, as in numpy's histogram."""
    inside = lambda low, area, high: low <= area < high or area == high == edges[-1]  # noqa: E731
    return _recall(pred, target, instances, edges, inside=inside)


@wrong("recall_by_size", "other_limits")
def recall_outside_clamped(pred, target, instances, edges):
    """Objects outside all ranges land in the first and the last."""
    areas, hits = [], []
    for p, t, n in zip(pred, target, instances, strict=True):
        for number in range(1, int(n.max()) + 1):
            mine = (n == number) & (t != 255)
            if mine.sum() == 0:
                continue
            areas.append(mine.sum().item())
            hits.append((p[mine] == t[mine]).sum().item() * 2 > mine.sum().item())
    out = []
    places = [min(max(bisect.bisect_right(list(edges), a) - 1, 0), len(edges) - 2) for a in areas]
    for i in range(len(edges) - 1):
        inside = [hit for place, hit in zip(places, hits, strict=True) if place == i]
        out.append(sum(inside) / len(inside) if inside else math.nan)
    return torch.tensor(out, dtype=torch.float64)


@wrong("recall_by_size", "empty_is_zero")
def recall_zero_for_none(pred, target, instances, edges):
    """No objects gives 0."""
    return _recall(pred, target, instances, edges, empty=0.0)


@wrong("recall_by_size", "no_share_of_objects")
def recall_of_pixels(pred, target, instances, edges):
    """Counts pixels: the share of right pixels in each range."""
    right, all_ = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    for p, t, n in zip(pred, target, instances, strict=True):
        for number in n.unique()[n.unique() > 0]:
            mine = (n == number) & (t != 255)
            area = int(mine.sum())
            for i in range(len(edges) - 1):
                if area and edges[i] <= area < edges[i + 1]:
                    all_[i] += area
                    right[i] += int((p[mine] == t[mine]).sum())
    return torch.tensor([r / a if a else float("nan") for r, a in zip(right, all_, strict=True)], dtype=torch.float64)


@wrong("recall_by_size", "no_share_of_objects")
def recall_mean_share(pred, target, instances, edges):
    """The mean of the objects' shares of right pixels: nothing is found or lost."""
    sums = [[] for _ in edges[1:]]
    for p, t, n in zip(pred, target, instances, strict=True):
        for number in set(n.flatten().tolist()) - {0}:
            mine = (n == number) & (t != 255)
            for i in range(len(sums)):
                if mine.any() and edges[i] <= mine.sum() < edges[i + 1]:
                    sums[i].append((p == t)[mine].double().mean().item())
    return torch.tensor([sum(s) / len(s) if s else float("nan") for s in sums], dtype=torch.float64)


@wrong("recall_by_size", "no_share_of_objects")
def recall_mean_of_pictures(pred, target, instances, edges):
    """The mean of the pictures' recalls: a picture counts, not an object."""
    each = [_recall(p[None], t[None], n[None], edges) for p, t, n in zip(pred, target, instances, strict=True)]
    return torch.stack(each).nanmean(0) if each else torch.full((len(edges) - 1,), math.nan, dtype=torch.float64)


@wrong("recall_by_size", "another_list_of_objects")
def recall_last_number_lost(pred, target, instances, edges):
    """range stops before the last object."""
    counts = [[0, 0] for _ in edges[1:]]
    for k in range(len(pred)):
        for number in range(1, int(instances[k].max())):
            mine = (instances[k] == number) & (target[k] != 255)
            area = mine.sum().item()
            if area == 0:
                continue
            right = (pred[k][mine] == target[k][mine]).sum().item()
            for i in range(len(counts)):
                if edges[i] <= area < edges[i + 1]:
                    counts[i][0] += 1
                    counts[i][1] += right > area / 2
    return torch.tensor([b / a if a else float("nan") for a, b in counts], dtype=torch.float64)


@wrong("recall_by_size", "another_list_of_objects")
def recall_empty_object(pred, target, instances, edges):
    """A missing number, or an object with all pixels ignored, is an object of area 0."""
    counts = [[0, 0] for _ in edges[1:]]
    for p, t, n in zip(pred, target, instances, strict=True):
        for number in range(1, int(n.max()) + 1):
            mine = (n == number) & (t != 255)
            area, right = int(mine.sum()), int(((p == t) & mine).sum())
            for i, low in enumerate(edges[:-1]):
                if low <= area < edges[i + 1]:
                    counts[i][0] += 1
                    counts[i][1] += right > area / 2
    return torch.tensor([b / a if a else float("nan") for a, b in counts], dtype=torch.float64)


@wrong("recall_by_size", "no_share_of_objects")
def recall_of_all_objects(pred, target, instances, edges):
    """Divides by the number of all objects, not by those of the range."""
    found, objects = [0] * (len(edges) - 1), 0
    for p, t, n in zip(pred, target, instances, strict=True):
        for number in n.unique().tolist():
            mine = (n == number) & (t != 255)
            area = mine.sum().item()
            if number == 0 or area == 0:
                continue
            objects += 1
            for i in range(len(found)):
                if edges[i] <= area < edges[i + 1] and (p[mine] == t[mine]).sum().item() > area / 2:
                    found[i] += 1
    return torch.tensor([f / objects if objects else float("nan") for f in found], dtype=torch.float64)


@wrong("recall_by_size", "another_list_of_objects")
def recall_numbers_of_the_batch(pred, target, instances, edges):
    """All numbers of the batch are looked for in each picture; where one is missing, that is an object of area 0."""
    counts = [[0, 0] for _ in edges[1:]]
    for k in range(len(pred)):
        for number in instances.unique():
            if number == 0:
                continue
            mine = (instances[k] == number) & (target[k] != 255)
            area = mine.sum().item()
            right = (pred[k][mine] == target[k][mine]).sum().item()
            for i in range(len(counts)):
                if edges[i] <= area < edges[i + 1]:
                    counts[i][0] += 1
                    counts[i][1] += right > area / 2
    return torch.tensor([b / a if a else math.nan for a, b in counts], dtype=torch.float64)


@wrong("recall_by_size", "half_is_enough", "empty_is_zero")
def recall_half_and_zero(pred, target, instances, edges):
    """Half is enough, and a range without objects gives 0."""
    return _recall(pred, target, instances, edges, found=lambda p, t, mine, right, area: 2 * right >= area, empty=0.0)


@wrong("recall_by_size", "ignored_pixels_count")
def recall_share_of_the_whole(pred, target, instances, edges):
    """(pred == target) is averaged over the whole object, ignored pixels included."""
    total, hits = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
    for p, t, n in zip(pred, target, instances, strict=True):
        for number in n.unique().tolist():
            if number == 0:
                continue
            mine = n == number
            area = (mine & (t != 255)).sum().item()
            for i in range(len(total)):
                if area > 0 and edges[i] <= area < edges[i + 1]:
                    total[i] += 1
                    hits[i] += (p == t)[mine].double().mean().item() > 0.5
    return torch.tensor([h / n if n else float("nan") for h, n in zip(hits, total, strict=True)], dtype=torch.float64)


@wrong("recall_by_size", "found_by_another_rule")
def recall_box_pixels(pred, target, instances, edges):
    """An object's class anywhere in the picture, more often than half its area, is enough."""
    found = lambda p, t, mine, right, area: (p == t[mine][0]).sum().item() > area / 2  # noqa: E731
    return _recall(pred, target, instances, edges, found=found)


@wrong("recall_by_size", "other_limits")
def recall_lower_limit_out(pred, target, instances, edges):
    """Neither limit belongs to a range."""
    return _recall(pred, target, instances, edges, inside=lambda low, area, high: low < area < high)
