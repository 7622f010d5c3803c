"""Wrong answers of lesson 05. Each docstring is what a student reads: what is wrong, not what is right."""

import math
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import misconception
from autograde.reference.fcn import (
    FCN,
    bilinear_kernel,
    crop_offset,
    recall_by_size,
    upsample_bilinear,
    upsample_nearest,
)

# ---------------------------------------------------------------------------------------------------------------------
# upsample_nearest
# ---------------------------------------------------------------------------------------------------------------------


@misconception("upsample_nearest", breaks=("test_blocks", "test_odd_factors", "test_dtype_kept"), hint=2)
def tiled(x, factor):
    """Whole copies of the map lie side by side: `repeat` and `tile` repeat the map, not each of its values."""
    upsample_nearest(x, factor)
    return x.repeat(1, 1, factor, factor)


@misconception("upsample_nearest", breaks=("test_blocks", "test_odd_factors"), hint=2)
def blocks_of_two(x, factor):
    """Each value is repeated twice, whatever the factor is."""
    upsample_nearest(x, factor)
    return upsample_nearest(x, min(factor, 2))


@misconception("upsample_nearest", breaks=("test_blocks", "test_once"), hint=2)
def only_columns(x, factor):
    """Only the width grows; the height is still that of the input."""
    return upsample_nearest(x, factor)[:, :, ::factor]


@misconception("upsample_nearest", breaks=("test_blocks", "test_odd_factors"), hint=1)
def rows_and_columns_swapped(x, factor):
    """Rows and columns are swapped. On square, symmetric maps that goes unnoticed."""
    return upsample_nearest(x, factor).transpose(2, 3)


@misconception("upsample_nearest", breaks=("test_blocks", "test_dtype_kept"), hint=1)
def bed_of_nails(x, factor):
    """Each value stands in a corner of its block, and the rest of the block is zero."""
    wide = torch.zeros_like(upsample_nearest(x, factor))
    wide[:, :, ::factor, ::factor] = x
    return wide


@misconception("upsample_nearest", breaks=("test_blocks", "test_odd_factors"), hint=1)
def index_rounded(x, factor):
    """The index i / factor is rounded to the nearest whole number, so that every block begins half a block early."""
    wide = upsample_nearest(x, factor)
    row, col = ((torch.arange(n) / factor + 0.5).long() for n in wide.shape[2:])
    return x[:, :, row.clamp(max=x.shape[2] - 1)][:, :, :, col.clamp(max=x.shape[3] - 1)]


@misconception("upsample_nearest", breaks="test_dtype_kept", hint=2)
def through_floats(x, factor):
    """The result is float32, whatever came in: a mask is no longer one, and large numbers lose digits."""
    return upsample_nearest(x, factor).float()


@misconception("upsample_nearest", breaks="test_dtype_kept", hint=2)
def through_floats_and_back(x, factor):
    """The dtype comes back, but on the way the values were float32, and large integers lost their last digits."""
    return upsample_nearest(x.float(), factor).to(x.dtype)


@misconception("upsample_nearest", breaks="test_gradient", hint=2)
def detached(x, factor):
    """The values left torch's graph on the way (`detach`, `numpy`, `torch.tensor`), and no gradient comes back."""
    return upsample_nearest(x.detach(), factor)


@misconception("upsample_nearest", breaks=("test_once", "test_blocks"), hint=1)
def batch_dropped(x, factor):
    """Dimensions of size 1 are squeezed away, or only the first map is enlarged."""
    return upsample_nearest(x[:1], factor).squeeze()


@misconception("upsample_nearest", breaks="test_bad_factor", hint=3)
def any_factor(x, factor):
    """A factor of zero or less, or one that is no integer, is taken as it comes instead of being refused."""
    return upsample_nearest(x, max(1, int(factor)))


@misconception("upsample_nearest", breaks="test_bad_factor", hint=3)
def true_is_one(x, factor):
    """True passes as the number 1: in Python, bool is a subclass of int."""
    return upsample_nearest(x, int(factor) if isinstance(factor, bool) else factor)


@misconception("upsample_nearest", breaks="test_bad_shape", hint=3)
def last_two_dimensions(x, factor):
    """The last two dimensions are enlarged, however many there are: a tensor that is no (N, C, H, W) goes unnoticed."""
    wide = upsample_nearest(x.reshape(-1, 1, *x.shape[-2:]), factor)
    return wide.reshape(*x.shape[:-2], *wide.shape[-2:])


# ---------------------------------------------------------------------------------------------------------------------
# upsample_bilinear
# ---------------------------------------------------------------------------------------------------------------------


def at_places(x, rows, cols):
    """Interpolate at these places along rows and columns, the places clamped to the map."""
    for dim, place in ((2, rows), (3, cols)):
        place = place.double().clamp(0, x.shape[dim] - 1)
        before = place.floor().long()
        after = (before + 1).clamp(max=x.shape[dim] - 1)
        share = (place - before).to(x.dtype).reshape([-1 if d == dim else 1 for d in range(4)])
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    return x


@misconception("upsample_bilinear", breaks=("test_values", "test_odd_factors", "test_border"), hint=1)
def corners_aligned(x, factor):
    """The outermost output pixels lie on the outermost values, as with `align_corners=True`: 10, 13.3, 16.7, 20."""
    rows, cols = (torch.linspace(0, n // factor - 1, n) for n in upsample_bilinear(x, factor).shape[2:])
    return at_places(x, rows, cols)


@misconception("upsample_bilinear", breaks=("test_values", "test_odd_factors", "test_border"), hint=1)
def without_halves(x, factor):
    """Output pixel i is placed at i / factor: 10, 15, 20, 20. Everything is shifted up and left."""
    rows, cols = (torch.arange(n) / factor for n in upsample_bilinear(x, factor).shape[2:])
    return at_places(x, rows, cols)


@misconception("upsample_bilinear", breaks=("test_values", "test_odd_factors"), hint=1)
def half_added_not_taken_off(x, factor):
    """The half is added on one side only: places are (i + 0.5) / factor, half an input pixel too far."""
    rows, cols = ((torch.arange(n) + 0.5) / factor for n in upsample_bilinear(x, factor).shape[2:])
    return at_places(x, rows, cols)


@misconception("upsample_bilinear", breaks=("test_values", "test_border", "test_one_row"), hint=2)
def zeros_around(x, factor):
    """Beyond the border zeros are mixed in: the outer pixels come out too small, as in a transposed convolution."""
    wide = upsample_bilinear(F.pad(x, (1, 1, 1, 1)), factor)
    return wide[:, :, factor:-factor, factor:-factor]


@misconception("upsample_bilinear", breaks=("test_values", "test_border"), hint=2)
def continued_outside(x, factor):
    """Beyond the outermost centres the straight line goes on, to values that are outside the input's range."""
    upsample_bilinear(x, factor)
    for dim in (2, 3):
        if x.shape[dim] == 1:
            x = x.repeat_interleave(factor, dim)
            continue
        place = (torch.arange(x.shape[dim] * factor) + 0.5) / factor - 0.5
        before = place.floor().long().clamp(0, x.shape[dim] - 2)
        share = (place - before).to(x.dtype).reshape([-1 if d == dim else 1 for d in range(4)])
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, before + 1) * share
    return x


@misconception("upsample_bilinear", breaks=("test_values", "test_odd_factors", "test_border"), hint=2)
def position_not_clamped(x, factor):
    """The position is not clamped: before the first value the line goes on, to values that the input does not have."""
    upsample_bilinear(x, factor)
    for dim in (2, 3):
        place = (torch.arange(x.shape[dim] * factor, dtype=torch.float64) + 0.5) / factor - 0.5
        before = place.long()  # cuts off the fraction: -0.25 becomes 0
        share = (place - before).to(x.dtype).reshape([-1 if d == dim else 1 for d in range(4)])
        after = (before + 1).clamp(max=x.shape[dim] - 1)
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    return x


@misconception("upsample_bilinear", breaks=("test_values", "test_odd_factors", "test_border"), hint=2)
def index_minus_one(x, factor):
    """Before the first value the index is -1, and that means the last one: each border mixes with the opposite one."""
    upsample_bilinear(x, factor)
    for dim in (2, 3):
        x = x.transpose(dim, 3)
        place = (torch.arange(x.shape[3] * factor, dtype=torch.float64) + 0.5) / factor - 0.5
        before = place.floor().long()
        share, after = (place - before).to(x.dtype), (before + 1).clamp(max=x.shape[3] - 1)
        x = (x[..., before] * (1 - share) + x[..., after] * share).transpose(dim, 3)
    return x


@misconception("upsample_bilinear", breaks=("test_values", "test_odd_factors", "test_border"), hint=2)
def still_blocks(x, factor):
    """Nothing is interpolated: these are the blocks of the nearest value."""
    upsample_bilinear(x, factor)
    return upsample_nearest(x, factor)


@misconception("upsample_bilinear", breaks=("test_values", "test_border"), hint=3)
def shares_exchanged(x, factor):
    """The shares are exchanged: the neighbour that is nearer gets the smaller one."""
    upsample_bilinear(x, factor)
    for dim in (2, 3):
        place = ((torch.arange(x.shape[dim] * factor) + 0.5) / factor - 0.5).clamp(0, x.shape[dim] - 1)
        before = place.floor().long()
        after = (before + 1).clamp(max=x.shape[dim] - 1)
        share = (place - before).to(x.dtype).reshape([-1 if d == dim else 1 for d in range(4)])
        x = x.index_select(dim, before) * share + x.index_select(dim, after) * (1 - share)
    return x


@misconception("upsample_bilinear", breaks="test_values", hint=2)
def rounded_down(x, factor):
    """The values are rounded down, as the slide prints them."""
    return upsample_bilinear(x, factor).floor()


@misconception("upsample_bilinear", breaks=("test_values", "test_one_row"), hint=2)
def only_along_rows(x, factor):
    """One direction is interpolated, the other still repeats its values."""
    return upsample_nearest(upsample_bilinear(x, factor)[:, :, factor // 2 :: factor], factor)[..., ::factor]


@misconception("upsample_bilinear", breaks="test_float64", hint=3)
def shares_in_float32(x, factor):
    """The shares were made in float32; what comes out has the dtype of the input, but only 7 right digits."""
    upsample_bilinear(x, factor)
    for dim in (2, 3):
        place = ((torch.arange(x.shape[dim] * factor) + 0.5) / factor - 0.5).clamp(0, x.shape[dim] - 1)  # float32
        before = place.long()
        share = (place - before).to(x.dtype).reshape([-1 if d == dim else 1 for d in range(4)])
        after = (before + 1).clamp(max=x.shape[dim] - 1)
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    return x


@misconception("upsample_bilinear", breaks="test_float64", hint=3)
def always_float32(x, factor):
    """What comes out is float32, whatever came in."""
    return upsample_bilinear(x, factor).float()


@misconception("upsample_bilinear", breaks="test_gradient", hint=2)
def interpolated_in_numpy(x, factor):
    """The values left torch's graph on the way (`detach`, `numpy`, `torch.tensor`), and no gradient comes back."""
    return upsample_bilinear(x.detach(), factor)


@misconception("upsample_bilinear", breaks="test_integers", hint=1)
def classes_interpolated(x, factor):
    """A mask of integers is turned into floats and interpolated: between class 1 and class 3 a class 2 appears."""
    return upsample_bilinear(x if x.is_floating_point() else x.float(), factor)


@misconception("upsample_bilinear", breaks="test_bad_arguments", hint=3)
def factor_not_checked(x, factor):
    """A factor of zero or less, or one that is no integer, is taken as it comes instead of being refused."""
    return upsample_bilinear(x, max(1, int(factor)))


# ---------------------------------------------------------------------------------------------------------------------
# bilinear_kernel
# ---------------------------------------------------------------------------------------------------------------------


def spread(along, num_channels):
    """The square of a line of weights, on the diagonal of the channels."""
    return torch.eye(num_channels)[:, :, None, None] * torch.outer(along, along).float()


@misconception("bilinear_kernel", breaks=("test_channels", "test_interpolates", "test_once"), hint=2)
def every_pair_of_channels(factor, num_channels):
    """The kernel stands in every pair of channels, so that each class becomes the sum of all classes."""
    return bilinear_kernel(factor, 1).repeat(num_channels, num_channels, 1, 1) * bool(
        bilinear_kernel(factor, num_channels).numel()
    )


@misconception("bilinear_kernel", breaks=("test_channels", "test_interpolates"), hint=2)
def one_channel_coming_in(factor, num_channels):
    """The shape is that of a grouped convolution, with 1 in its second place."""
    return bilinear_kernel(factor, num_channels)[:, :1] * 0 + bilinear_kernel(factor, 1)


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_odd_factors", "test_interpolates"), hint=2)
def sums_to_one(factor, num_channels):
    """The kernel is divided by its sum. A smoothing filter wants that; here everything gets factor² times darker."""
    weight = bilinear_kernel(factor, num_channels)
    return weight / weight[0, 0].sum()


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_channels", "test_interpolates"), hint=1)
def middle_half_a_place_off(factor, num_channels):
    """The middle is taken as k / 2, half a place too far: the kernel is lopsided, the result shifted."""
    size = bilinear_kernel(factor, num_channels).shape[-1]
    return spread((1 - (torch.arange(size) - size / 2).abs() / factor).clamp(min=0), num_channels)


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_interpolates"), hint=1)
def middle_is_a_place(factor, num_channels):
    """The middle is taken as k // 2. That is right for an odd k only; an even one has its middle between two places."""
    size = bilinear_kernel(factor, num_channels).shape[-1]
    return spread((1 - (torch.arange(size) - size // 2).abs() / factor).clamp(min=0), num_channels)


@misconception("bilinear_kernel", breaks=("test_odd_factors", "test_interpolates", "test_once"), hint=1)
def even_size_always(factor, num_channels):
    """k is 2 · factor also where the factor is odd, and the map is shifted by half a pixel."""
    bilinear_kernel(factor, num_channels)
    size = 2 * factor
    return spread((1 - (torch.arange(size) - (size - 1) / 2).abs() / factor), num_channels)


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_odd_factors", "test_interpolates"), hint=2)
def distance_over_half_the_size(factor, num_channels):
    """The distance is divided by (k - 1) / 2, the distance of the rim: there the weights become 0."""
    size = bilinear_kernel(factor, num_channels).shape[-1]
    distance = (torch.arange(size) - (size - 1) / 2).abs()
    return spread(1 - distance / max(1, (size - 1) / 2), num_channels)


@misconception("bilinear_kernel", breaks=("test_odd_factors", "test_interpolates"), hint=2)
def distance_over_half_of_k(factor, num_channels):
    """The distance is divided by k / 2. For an odd factor that is half a pixel too little, and the tent too narrow."""
    size = bilinear_kernel(factor, num_channels).shape[-1]
    return spread(1 - (torch.arange(size) - (size - 1) / 2).abs() / (size / 2), num_channels)


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_odd_factors", "test_interpolates"), hint=2)
def a_pyramid(factor, num_channels):
    """The weights of both directions are not multiplied: the smaller one is taken, which gives a pyramid."""
    along = bilinear_kernel(factor, 1)[0, 0].sum(0) / factor
    pyramid = torch.minimum(along[:, None], along[None])
    return torch.eye(num_channels)[:, :, None, None] * pyramid * bool(bilinear_kernel(factor, num_channels).numel())


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_odd_factors", "test_interpolates"), hint=2)
def a_block(factor, num_channels):
    """All weights are ones over a block of factor × factor: this repeats values, it does not interpolate."""
    weight = bilinear_kernel(factor, num_channels)
    return torch.eye(num_channels)[:, :, None, None] * torch.ones_like(weight[..., :factor, :factor])


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_channels", "test_once"), hint=3)
def in_float64(factor, num_channels):
    """The weights are float64; a network's are float32."""
    return bilinear_kernel(factor, num_channels).double()


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_odd_factors"), hint=3)
def only_the_square(factor, num_channels):
    """What comes back is one (k, k) square; the dimensions of the channels are missing."""
    return bilinear_kernel(factor, num_channels)[0, 0]


@misconception("bilinear_kernel", breaks="test_bad_arguments", hint=3)
def numbers_not_checked(factor, num_channels):
    """A factor of zero or less gives an empty or meaningless kernel instead of a ValueError."""
    return bilinear_kernel(max(1, factor), num_channels)


@misconception("bilinear_kernel", breaks="test_bad_arguments", hint=3)
def channels_not_checked(factor, num_channels):
    """Zero channels or fewer give an empty kernel instead of a ValueError."""
    return bilinear_kernel(factor, max(1, num_channels))


# ---------------------------------------------------------------------------------------------------------------------
# crop_offset
# ---------------------------------------------------------------------------------------------------------------------


def changed(layers, change):
    """The same layers, each changed by a function of its description."""
    return [change(dict(layer)) for layer in layers]


@misconception("crop_offset", breaks=("test_convolutions", "test_down_and_up", "test_onto_another_map"), hint=1)
def crop_at_zero(layers, onto=()):
    """You crop at row 0: then the mask is shifted against the picture, by 19 pixels in FCN-32s."""
    return 0 * crop_offset(layers, onto)


def size_difference(layers, onto=()):
    """Half the difference of the sizes, the smallest for several pictures."""

    def size(chain, rows):
        for layer in chain:
            reach = layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1 - 2 * layer.get("padding", 0)
            up = layer["kind"] == "deconv"
            rows = (rows - 1) * layer["stride"] + reach if up else (rows - reach) // layer["stride"] + 1
        return rows

    return min((size(layers, rows) - size(onto, rows)) // 2 for rows in range(1020, 1024))


@misconception("crop_offset", breaks="test_down_and_up", hint=1)
def cropped_in_the_middle(layers, onto=()):
    """You cut both ends alike. Strides leave rows over at the lower end only, so the middle is not where they meet."""
    crop_offset(layers, onto)
    return size_difference(layers, onto)


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs", "test_odd_strides"), hint=2)
def step_left_out(layers, onto=()):
    """Every layer's contribution is counted in its own rows: further down a row is more than one pixel."""
    total = 0
    crop_offset(layers, onto)
    for layer in layers:
        centre = layer.get("dilation", 1) * (layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)
        total += centre if layer["kind"] == "deconv" else -centre
    return int(total)


def row_of(layers, onto=(), middle=lambda reach: Fraction(reach, 2), late=False, sign=1, deconv_is_conv=False):
    """The row, a Fraction, before anything is asked of it, with the mistakes that are asked for."""

    def grid(chain):
        jump, start = Fraction(1), Fraction(0)
        for layer in chain:
            reach = layer.get("dilation", 1) * (layer["kernel_size"] - 1)
            centre = middle(reach) - layer.get("padding", 0)
            if layer["kind"] == "deconv" and not deconv_is_conv:
                finer = jump / layer["stride"]
                start -= sign * (jump if late else finer) * centre
                jump = finer
            else:
                start += jump * centre
                jump *= layer["stride"]
        return jump, start

    (jump, start), (_, other_start) = grid(layers), grid(onto)
    return (other_start - start) / jump


@misconception("crop_offset", breaks=("test_convolutions", "test_down_and_up", "test_onto_another_map"), hint=2)
def sign_reversed(layers, onto=()):
    """The sign is reversed: you count from the second map's row 0 back to the first's, and rows come out negative."""
    return -crop_offset(layers, onto)


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs", "test_odd_strides"), hint=2)
def deconv_counted_in_coarse_rows(layers, onto=()):
    """In a deconv you move the centre before the jump is divided: the kernel is counted in rows that are too far apart.

    Its kernel lies on the finer map.
    """
    crop_offset(layers, onto)
    return int(row_of(layers, onto, late=True))


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs", "test_odd_strides"), hint=2)
def deconv_counted_in_coarse_rows_halves_kept(layers, onto=()):
    """In a deconv you move the centre before the jump is divided: the kernel is counted in rows that are too far apart.

    Its kernel lies on the finer map.
    """
    crop_offset(layers, onto)
    return float(row_of(layers, onto, late=True))


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs", "test_onto_another_map"), hint=2)
def deconv_in_the_wrong_direction(layers, onto=()):
    """In your answer a deconv moves the centre the same way as a convolution; read the same sentence backwards."""
    crop_offset(layers, onto)
    return int(row_of(layers, onto, sign=-1))


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs", "test_odd_strides"), hint=2)
def deconv_taken_for_a_convolution(layers, onto=()):
    """A deconv multiplies the jump in your answer, so that the rows only get further apart."""
    crop_offset(layers, onto)
    return int(row_of(layers, onto, deconv_is_conv=True))


@misconception("crop_offset", breaks=("test_convolutions", "test_down_and_up"), hint=1)
def middle_of_k_is_half_of_k(layers, onto=()):
    """The centre of k rows is taken as k / 2 behind the first one: every layer is half a row off."""
    crop_offset(layers, onto)
    return int(row_of(layers, onto, lambda reach: Fraction(reach + 1, 2)))


@misconception("crop_offset", breaks=("test_convolutions", "test_down_and_up"), hint=1)
def middle_of_k_is_half_of_k_halves_kept(layers, onto=()):
    """The centre of k rows is taken as k / 2 behind the first one: every layer is half a row off."""
    crop_offset(layers, onto)
    return float(row_of(layers, onto, lambda reach: Fraction(reach + 1, 2)))


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=1)
def middle_of_k_rounded_up(layers, onto=()):
    """The centre is rounded to a whole row, as k // 2. That is right for an odd k only."""
    crop_offset(layers, onto)
    return int(row_of(layers, onto, lambda reach: (reach + 1) // 2))


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=1)
def middle_of_k_rounded_down(layers, onto=()):
    """The centre is rounded down to a whole row, as (k - 1) // 2. That is right for an odd k only."""
    crop_offset(layers, onto)
    return int(row_of(layers, onto, lambda reach: reach // 2))


def without_pooling_windows(layers):
    """The same layers, their poolings with windows of one row."""
    return changed(layers, lambda one: one | ({"kernel_size": 1, "padding": 0} if one["kind"] == "pool" else {}))


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=1)
def pooling_skipped(layers, onto=()):
    """Pooling changes the jump in your answer, but not the start: its window has a centre too."""
    crop_offset(layers, onto)
    return int(row_of(without_pooling_windows(layers), without_pooling_windows(onto)))


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=1)
def pooling_skipped_halves_kept(layers, onto=()):
    """Pooling changes the jump in your answer, but not the start: its window has a centre too."""
    crop_offset(layers, onto)
    return float(row_of(without_pooling_windows(layers), without_pooling_windows(onto)))


@misconception("crop_offset", breaks=("test_padding_everywhere", "test_several_deconvs"), hint=1)
def only_first_padding(layers, onto=()):
    """Only the padding of the first layer is counted."""
    crop_offset(layers, onto)
    bare = [[*chain[:1], *changed(chain[1:], lambda one: one | {"padding": 0})] for chain in (layers, onto)]
    return int(row_of(*bare))


@misconception("crop_offset", breaks="test_padding_everywhere", hint=1)
def padding_of_deconvs_ignored(layers, onto=()):
    """The padding of a deconv is ignored. It takes rows away from its output."""
    crop_offset(layers, onto)
    return int(row_of(changed(layers, lambda one: one | ({"padding": 0} if one["kind"] == "deconv" else {})), onto))


@misconception("crop_offset", breaks="test_dilation", hint=1)
def dilation_ignored(layers, onto=()):
    """Dilation is ignored: a dilated kernel reaches further, so its centre is further inside."""
    crop_offset(layers, onto)
    return int(row_of(*(changed(chain, lambda one: one | {"dilation": 1}) for chain in (layers, onto))))


@misconception("crop_offset", breaks="test_odd_strides", hint=3)
def in_floats(layers, onto=()):
    """You compute with floats and ask for equality. A stride of 7 there and back no longer gives exactly 1."""

    def step(chain):
        size = 1.0
        for layer in chain:
            size = size / layer["stride"] if layer["kind"] == "deconv" else size * layer["stride"]
        return size

    row = crop_offset(layers, onto)
    if step(layers) != step(onto):
        raise ValueError("different steps")
    return row


@misconception("crop_offset", breaks="test_onto_another_map", hint=1)
def other_chain_ignored(layers, onto=()):
    """The second chain is not used for the start: the map is laid on the picture's row 0."""
    crop_offset(layers, onto)
    return int(row_of(layers))


@misconception("crop_offset", breaks="test_onto_another_map", hint=1)
def other_chain_ignored_halves_kept(layers, onto=()):
    """The second chain is not used for the start: the map is laid on the picture's row 0."""
    row = crop_offset(layers, onto)
    return float(row_of(layers)) if onto else row


@misconception("crop_offset", breaks="test_onto_another_map", hint=3)
def in_pixels(layers, onto=()):
    """The offset is counted in pixels of the picture; it must be in rows of the map that is cropped."""
    row, step = crop_offset(layers, onto), 1
    for layer in layers:
        step = step / layer["stride"] if layer["kind"] == "deconv" else step * layer["stride"]
    return round(row * step)


def or_row(layers, onto, word, allowed):
    """What a right answer gives, or where it refuses for the reason of this word the row, if it is such a row."""
    try:
        return crop_offset(layers, onto)
    except ValueError as error:
        if word not in str(error) or not allowed(row_of(layers, onto)):
            raise
        return round(row_of(layers, onto))


@misconception("crop_offset", breaks="test_other_steps", hint=2)
def jumps_not_compared(layers, onto=()):
    """Two maps whose rows are not equally far apart are laid on each other all the same."""
    return or_row(layers, onto, "jump", lambda row: row >= 0 and row == round(row))


@misconception("crop_offset", breaks="test_no_such_row", hint=3)
def rounded_row(layers, onto=()):
    """Half a row is rounded away. If the centres never meet, no crop lays one map on the other."""
    return or_row(layers, onto, "at row", lambda row: row >= 0)


@misconception("crop_offset", breaks="test_no_such_row", hint=3)
def negative_row(layers, onto=()):
    """A row before the first one is returned as a negative number; as an index it would count from the end."""
    return or_row(layers, onto, "at row", lambda row: row < 0 and row == round(row))


@misconception("crop_offset", breaks="test_unknown_kind", hint=3)
def unknown_kinds_skipped(layers, onto=()):
    """A layer of an unknown kind is skipped without a word."""
    known = [[one for one in chain if one["kind"] in ("conv", "pool", "deconv")] for chain in (layers, onto)]
    return crop_offset(*known)


# ---------------------------------------------------------------------------------------------------------------------
# FCN
# ---------------------------------------------------------------------------------------------------------------------


class Variant(FCN):
    """The reference with one thing done wrong."""

    def outputs(self, x):
        maps = []
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        return maps

    def skips(self, maps):
        return [(s, m) for s, m in ((self.score_16, maps[3]), (self.score_8, maps[2])) if s is not None]

    def enlarge(self, scores, size):
        return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)

    def forward(self, x):
        maps = self.outputs(x)
        scores = self.score_32(maps[4])
        for score, skip in self.skips(maps):
            scores = self.enlarge(scores, skip.shape[2:]) + score(skip)
        return self.enlarge(scores, x.shape[2:])


@misconception("FCN", breaks=("test_stride_32", "test_stride_16", "test_stride_8", "test_any_size"), hint=2)
class CornersAligned(Variant):
    """The maps are enlarged with `align_corners=True`: the scores do not lie where their pixels are."""

    def enlarge(self, scores, size):
        return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=True)


@misconception("FCN", breaks=("test_stride_32", "test_stride_16", "test_stride_8"), hint=2)
class EnlargedInBlocks(Variant):
    """The maps are enlarged in blocks (`mode="nearest"`), not gradually."""

    def enlarge(self, scores, size):
        return F.interpolate(scores, size=tuple(size), mode="nearest")


@misconception("FCN", breaks="test_any_size", hint=3)
class EnlargedByAFactor(Variant):
    """Maps are enlarged by a factor. Where a size was rounded down, maps do not fit, or the logits are too small."""

    def enlarge(self, scores, size):
        factor = round(size[0] / scores.shape[2])
        factor = max(2, 1 << max(1, factor.bit_length() - 1) if factor & (factor - 1) else factor)
        return F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)


@misconception("FCN", breaks=("test_stride_16", "test_stride_8", "test_any_size"), hint=2)
class SummedAtThePicture(Variant):
    """Each stage's scores are enlarged to the picture and summed there, not step by step at the skips' sizes."""

    def forward(self, x):
        maps = self.outputs(x)
        each = [self.score_32(maps[4]), *(score(skip) for score, skip in self.skips(maps))]
        return sum(self.enlarge(scores, x.shape[2:]) for scores in each)


@misconception("FCN", breaks=("test_stride_16", "test_stride_8", "test_gradients"), hint=2)
class AveragedScores(Variant):
    """The scores of two stages are averaged; the paper's network sums them."""

    def forward(self, x):
        maps = self.outputs(x)
        scores = self.score_32(maps[4])
        for score, skip in self.skips(maps):
            scores = (self.enlarge(scores, skip.shape[2:]) + score(skip)) / 2
        return self.enlarge(scores, x.shape[2:])


@misconception("FCN", breaks=("test_stride_16", "test_stride_8"), hint=2)
class SkipReplaces(Variant):
    """The skip's scores take the place of the deep ones instead of being added to them."""

    def forward(self, x):
        maps = self.outputs(x)
        scores = self.score_32(maps[4])
        for score, skip in self.skips(maps):
            scores = 0 * self.enlarge(scores, skip.shape[2:]) + score(skip)
        return self.enlarge(scores, x.shape[2:])


@misconception("FCN", breaks=("test_stride_32", "test_stride_16", "test_stride_8", "test_any_size"), hint=1)
class NotEnlarged(Variant):
    """The scores come back as they are, at a fraction of the picture's size."""

    def forward(self, x):
        maps = self.outputs(x)
        scores = self.score_32(maps[4])
        for score, skip in self.skips(maps):
            scores = self.enlarge(scores, skip.shape[2:]) + score(skip)
        return scores


@misconception("FCN", breaks=("test_stride_32", "test_stride_8", "test_gradients"), hint=2)
class Probabilities(Variant):
    """A softmax is inside the network: these are probabilities, and cross entropy would apply another softmax."""

    def forward(self, x):
        return super().forward(x).softmax(1)


@misconception("FCN", breaks=("test_stride_32", "test_stride_16", "test_stride_8"), hint=2)
class ScoresCutAtZero(Variant):
    """A ReLU follows each score layer: negative scores are lost, and with them half of what a logit can say."""

    def forward(self, x):
        maps = self.outputs(x)
        scores = self.score_32(maps[4]).relu()
        for score, skip in self.skips(maps):
            scores = self.enlarge(scores, skip.shape[2:]) + score(skip).relu()
        return self.enlarge(scores, x.shape[2:])


@misconception("FCN", breaks=("test_stride_32", "test_stride_16", "test_stride_8"), hint=2)
class LogitsCutAtZero(Variant):
    """A ReLU follows the sum: negative logits are lost, and with them half of what a logit can say."""

    def forward(self, x):
        return super().forward(x).relu()


@misconception("FCN", breaks=("test_weights", "test_stride_16", "test_stride_8"), hint=3)
class SkipsOneStageEarly(FCN):
    """The skips read from one stage too early: those maps are twice as fine, and have other channels."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, [widths[0], widths[0], widths[1], widths[2], *widths[4:]], num_classes, stride)

    def forward(self, x):
        maps = []
        size = x.shape[2:]
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        scores = self.score_32(maps[4])
        for score, skip in ((self.score_16, maps[2]), (self.score_8, maps[1])):
            if score is not None:
                scores = F.interpolate(scores, size=skip.shape[2:], mode="bilinear", align_corners=False) + score(skip)
        return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)


@misconception("FCN", breaks="test_weights", hint=2)
class AllScoresAlways(FCN):
    """There are weights that this stride does not need: they are never used, and never learn."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        self.score_16 = self.score_16 or nn.Conv2d(widths[3], num_classes, 1)
        self.score_8 = self.score_8 or nn.Conv2d(widths[2], num_classes, 1)
        self.stride = stride

    def forward(self, x):
        size, maps = x.shape[2:], []
        for stage in self.encoder:
            x = stage(x)
            maps.append(x)
        scores = self.score_32(maps[4])
        for stride, score, skip in ((16, self.score_16, maps[3]), (8, self.score_8, maps[2])):
            if stride >= self.stride:
                scores = F.interpolate(scores, size=skip.shape[2:], mode="bilinear", align_corners=False) + score(skip)
        return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)


@misconception("FCN", breaks=("test_weights", "test_stride_32", "test_stride_8"), hint=2)
class WithoutBias(FCN):
    """The score layers have no bias; how frequent a class is must then be squeezed into the weights."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        self.score_32 = nn.Conv2d(widths[4], num_classes, 1, bias=False)


@misconception("FCN", breaks=("test_weights", "test_stride_32"), hint=3)
class OtherNames(FCN):
    """The score layers have other names than the statement gives them."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        self.head = self.score_32
        del self.score_32

    def forward(self, x):
        return F.interpolate(self.head(self.encoder(x)), size=x.shape[2:], mode="bilinear", align_corners=False)


@misconception("FCN", breaks="test_skips_start_at_zero", hint=2)
class RandomSkips(FCN):
    """The skips start with random weights: what the coarser network had learned is disturbed from the first step on."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        for score in (self.score_16, self.score_8):
            if score is not None:
                score.reset_parameters()


@misconception("FCN", breaks="test_skips_start_at_zero", hint=2)
class RandomBias(FCN):
    """The skips' weights are zero at the start, but their biases are not."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        for score in (self.score_16, self.score_8):
            if score is not None:
                nn.init.uniform_(score.bias, 0.5, 1)


@misconception("FCN", breaks="test_skips_start_at_zero", hint=2)
class AllScoresZero(FCN):
    """score_32 is zero at the start as well: at first no gradient passes through it, and the encoder does not learn."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        nn.init.zeros_(self.score_32.weight)
        nn.init.zeros_(self.score_32.bias)


@misconception("FCN", breaks="test_gradients", hint=2)
class FrozenEncoder(Variant):
    """No gradient reaches the encoder: its maps were made under `no_grad`, or detached."""

    def outputs(self, x):
        with torch.no_grad():
            return super().outputs(x)


@misconception("FCN", breaks="test_gradients", hint=2)
class DeepScoresDetached(Variant):
    """The deep scores are detached before the sum: only the finest stage learns."""

    def forward(self, x):
        maps = self.outputs(x)
        scores = self.score_32(maps[4])
        for score, skip in self.skips(maps):
            scores = self.enlarge(scores, skip.shape[2:]).detach() + score(skip)
        return self.enlarge(scores, x.shape[2:])


@misconception("FCN", breaks="test_each_stage_once", hint=2)
class StagesRunAgain(Variant):
    """Each map is computed from the picture again: early stages run several times, and so do their batch statistics."""

    def outputs(self, x):
        return [self.encoder[:number](x) for number in range(1, 6)]


@misconception("FCN", breaks="test_each_stage_once", hint=2)
class FromThePictureAgain(Variant):
    """Each map is computed from the picture again: early stages run several times, and so do their batch statistics."""

    def outputs(self, x):
        third = self.encoder[:3](x) if self.score_8 is not None else None
        fourth = self.encoder[:4](x) if self.score_16 is not None else None
        return [None, None, third, fourth, self.encoder(x)]


@misconception("FCN", breaks="test_bad_arguments", hint=3)
class AnyStride(FCN):
    """A stride that is none of the three gives some network instead of a ValueError."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride if stride in (8, 16) else 32)


@misconception("FCN", breaks="test_bad_arguments", hint=3)
class LastFiveWidths(FCN):
    """Too many widths, or too many stages, go unnoticed."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder[:5], list(widths)[:5], num_classes, stride)


# ---------------------------------------------------------------------------------------------------------------------
# recall_by_size
# ---------------------------------------------------------------------------------------------------------------------


def by_loop(pred, target, instances, edges, *, found=None, area=None, inside=None, ignore=True):
    """The right way in loops, with the part that a wrong answer replaces."""
    recall_by_size(pred, target, instances, edges)  # the errors
    found = found or (lambda right, pixels: 2 * right > pixels)
    inside = inside or (lambda low, size, high: low <= size < high)
    counts = [[0, 0] for _ in edges[1:]]
    for p, t, numbers in zip(pred, target, instances, strict=True):
        for number in numbers.unique()[numbers.unique() > 0]:
            own = (numbers == number) & ((t != 255) | (not ignore))
            right, pixels = int((p == t)[own].sum()), int(own.sum())
            size = area(numbers, number, own) if area else pixels
            for i, count in enumerate(counts):
                if pixels and inside(edges[i], size, edges[i + 1]):
                    count[0] += bool(found(right, pixels))
                    count[1] += 1
    return torch.tensor([a / b if b else math.nan for a, b in counts], dtype=torch.float64)


@misconception("recall_by_size", breaks="test_more_than_half", hint=3)
def half_is_enough(pred, target, instances, edges):
    """An object of which exactly half is right counts as found."""
    return by_loop(pred, target, instances, edges, found=lambda right, pixels: 2 * right >= pixels)


@misconception("recall_by_size", breaks=("test_ranges", "test_more_than_half", "test_ignored"), hint=1)
def one_pixel_is_enough(pred, target, instances, edges):
    """One right pixel makes an object found."""
    return by_loop(pred, target, instances, edges, found=lambda right, pixels: right > 0)


@misconception("recall_by_size", breaks=("test_ranges", "test_more_than_half"), hint=1)
def whole_object_wanted(pred, target, instances, edges):
    """An object counts only if every one of its pixels is right."""
    return by_loop(pred, target, instances, edges, found=lambda right, pixels: right == pixels)


@misconception("recall_by_size", breaks=("test_ranges", "test_more_than_half"), hint=1)
def recall_of_pixels(pred, target, instances, edges):
    """Pixels are counted, not objects: the share of right pixels in each range."""
    hits = by_loop(pred, target, instances, edges)
    counted = (instances > 0) & (target != 255)
    totals = torch.zeros(len(edges) - 1, 2, dtype=torch.float64)
    for p, t, numbers, valid in zip(pred, target, instances, counted, strict=True):
        for number in numbers[valid].unique():
            own = (numbers == number) & valid
            for i in range(len(edges) - 1):
                if edges[i] <= own.sum() < edges[i + 1]:
                    totals[i] += torch.tensor([(p == t)[own].sum(), own.sum()])
    return torch.where(hits.isnan(), hits, totals[:, 0] / totals[:, 1])


@misconception("recall_by_size", breaks=("test_wrong_class", "test_ranges"), hint=1)
def any_class_counts(pred, target, instances, edges):
    """Anything that is not background counts as right: an object that is taken for another class seems found."""
    recall_by_size(pred, target, instances, edges)
    seen = torch.where((pred > 0) & (target > 0) & (target != 255), target, torch.zeros_like(pred))
    return by_loop(seen, target, instances, edges)


@misconception("recall_by_size", breaks="test_limits", hint=2)
def background_is_an_object(pred, target, instances, edges):
    """Number 0 is counted as an object too: the pixels of no object are taken for one object of each picture."""
    recall_by_size(pred, target, instances, edges)
    renamed = torch.where(instances == 0, instances.max() + 1 if instances.numel() else 0, instances)
    return by_loop(pred, target, renamed, edges)


@misconception("recall_by_size", breaks="test_numbers_per_picture", hint=2)
def numbers_of_all_pictures(pred, target, instances, edges):
    """Object 1 of one picture and object 1 of the next are taken for one object."""
    return by_loop(*(one.flatten(0, 1)[None] for one in (pred, target, instances)), edges)


@misconception("recall_by_size", breaks="test_numbers_per_picture", hint=2)
def numbers_without_gaps(pred, target, instances, edges):
    """You count from 1 to the number of objects. Where a number is missing, the last objects are left out."""
    kept = instances.clone()
    for numbers in kept:
        count = len(numbers[numbers > 0].unique())
        numbers[numbers > count] = 0
    return by_loop(pred, target, kept, edges)


@misconception("recall_by_size", breaks="test_numbers_per_picture", hint=2)
def mean_of_pictures(pred, target, instances, edges):
    """Recall is computed per picture and then averaged: one object alone weighs as much as ten in another picture."""
    each = [by_loop(*(m[i : i + 1] for m in (pred, target, instances)), edges) for i in range(len(pred))]
    by_loop(pred, target, instances, edges)
    return torch.stack(each).nanmean(0)


@misconception("recall_by_size", breaks="test_limits", hint=3)
def upper_limit_included(pred, target, instances, edges):
    """An area on a limit counts in the range below it."""
    return by_loop(pred, target, instances, edges, inside=lambda low, size, high: low < size <= high)


@misconception("recall_by_size", breaks="test_limits", hint=3)
def both_limits_included(pred, target, instances, edges):
    """An area on a limit counts in two ranges."""
    return by_loop(pred, target, instances, edges, inside=lambda low, size, high: low <= size <= high)


@misconception("recall_by_size", breaks="test_limits", hint=3)
def outermost_ranges_open(pred, target, instances, edges):
    """Objects that are smaller or larger than all ranges are put into the first or the last one."""
    first, last = edges[0], edges[-1]

    def inside(low, size, high):
        return (low <= size or low == first) and (size < high or high == last)

    return by_loop(pred, target, instances, edges, inside=inside)


@misconception("recall_by_size", breaks="test_ignored", hint=2)
def ignored_pixels_are_wrong(pred, target, instances, edges):
    """Ignored pixels count as wrong ones: they are in the area, and the prediction cannot be right there."""
    masked = target.where(target != 255, torch.full_like(target, -1))
    return by_loop(pred, masked, instances, edges, ignore=False)


@misconception("recall_by_size", breaks="test_ignored", hint=2)
def area_with_ignored(pred, target, instances, edges):
    """Ignored pixels are dropped when the right ones are counted, but they are still in the area."""
    return by_loop(pred, target, instances, edges, area=lambda numbers, number, own: int((numbers == number).sum()))


@misconception("recall_by_size", breaks="test_wrong_class", hint=1)
def right_anywhere(pred, target, instances, edges):
    """Pixels of the object's class are counted in the whole picture, not only on the object."""
    recall_by_size(pred, target, instances, edges)
    shown = pred.clone()
    for changed_pred, p, t, numbers in zip(shown, pred, target, instances, strict=True):
        for number in numbers.unique()[numbers.unique() > 0]:
            own = (numbers == number) & (t != 255)
            if own.any() and 2 * (p == t[own][0]).sum() > own.sum():
                changed_pred[own] = t[own]
    return by_loop(shown, target, instances, edges)


@misconception("recall_by_size", breaks=("test_nothing_there", "test_ignored"), hint=3)
def empty_is_zero(pred, target, instances, edges):
    """A range without objects gives 0, as if all of them had been missed."""
    return by_loop(pred, target, instances, edges).nan_to_num(0.0)


@misconception("recall_by_size", breaks=("test_nothing_there", "test_ignored"), hint=3)
def empty_is_one(pred, target, instances, edges):
    """A range without objects gives 1, as if all of them had been found."""
    return by_loop(pred, target, instances, edges).nan_to_num(1.0)


@misconception("recall_by_size", breaks=("test_nothing_there", "test_ignored"), hint=3)
def empty_left_out(pred, target, instances, edges):
    """Ranges without objects are left out, so that the answer has fewer numbers than there are ranges."""
    recall = by_loop(pred, target, instances, edges)
    return recall[~recall.isnan()]


@misconception("recall_by_size", breaks=("test_ranges", "test_limits"), hint=3)
def in_float32(pred, target, instances, edges):
    """The recall is float32; the statement asks for float64."""
    return by_loop(pred, target, instances, edges).float()


@misconception("recall_by_size", breaks="test_bad_arguments", hint=3)
def edges_not_checked(pred, target, instances, edges):
    """Edges that do not rise, or fewer than two, give a meaningless answer instead of a ValueError."""
    if len(edges) < 2:
        return torch.zeros(0, dtype=torch.float64)
    rising = sorted(set(edges)) + [math.inf] * (len(set(edges)) < 2)
    return by_loop(pred, target, instances, rising)


@misconception("recall_by_size", breaks="test_bad_arguments", hint=3)
def shapes_not_checked(pred, target, instances, edges):
    """Masks of different shapes are cut or stretched until they fit, instead of being refused."""
    n, h, w = (min(one.shape[d] for one in (pred, target, instances)) for d in range(3))
    return by_loop(*(one[:n, :h, :w] for one in (pred, target, instances)), edges)
