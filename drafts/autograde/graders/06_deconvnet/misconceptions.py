"""Wrong answers of lesson 06. Each docstring is what a student reads: what is wrong, not what is right."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import misconception, variant, ways
from autograde.reference.deconvnet import DeconvNet
from seglab.networks import conv_bn_relu, deconv_bn_relu

# --- transposed_conv_size ---

EVERY_SIZE = ("test_stride", "test_padding", "test_output_padding", "test_dilation")


def enlarged_size(size, k, s, p, more, d, steps=lambda size: size - 1, stamp=lambda k, d: d * (k - 1) + 1, cut=2):
    return steps(size) * s + stamp(k, d) - cut * p + more


def size_answer(**how):
    """A whole answer, with rules of one's own."""

    def function(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
        return enlarged_size(size, kernel_size, stride, padding, output_padding, dilation, **how)

    return function


@misconception("transposed_conv_size", breaks=EVERY_SIZE, hint=1, source="threads on PyTorch's forum: 8 becomes 16")
def times_the_stride(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """There are as many strides as rows, as if the last stamp took a whole stride more, or nothing but a stride.

    Between rows lie fewer steps than there are rows.
    """
    return size * stride


ways(
    times_the_stride,
    ("test_stride", "test_padding"),
    one_step_too_many=size_answer(steps=lambda size: size),
    times_the_stride_and_more=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        size * stride + output_padding
    ),
    times_the_stride_minus_padding=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        size * stride - 2 * padding + output_padding
    ),
)


@misconception("transposed_conv_size", breaks=EVERY_SIZE, hint=1, source="students' answers")
def size_of_a_convolution(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """This is how large a map a convolution makes: it gets smaller where it should grow."""
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


@variant(size_of_a_convolution, breaks=EVERY_SIZE)
def size_of_a_convolution_and_more(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1 + output_padding


@misconception("transposed_conv_size", breaks="test_padding", hint=3, source="students' answers")
def padding_not_at_both_ends(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Padding does not make the map smaller at both ends: it is added, left out, or taken away once."""
    return enlarged_size(size, kernel_size, stride, padding, output_padding, dilation, cut=1)


ways(
    padding_not_at_both_ends,
    "test_padding",
    padding_added=size_answer(cut=-2),
    padding_left_out=size_answer(cut=0),
    padding_added_once=size_answer(cut=-1),
)


@misconception("transposed_conv_size", breaks="test_output_padding", hint=2, source="students' answers")
def output_padding_at_both_ends(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """`output_padding` does not add what it should, or not where it should: once, and at the end."""
    return enlarged_size(size, kernel_size, stride, padding, 2 * output_padding, dilation)


ways(
    output_padding_at_both_ends,
    "test_output_padding",
    output_padding_left_out=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: enlarged_size(
        size, kernel_size, stride, padding, 0, dilation
    ),
    output_padding_taken_away=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        enlarged_size(size, kernel_size, stride, padding, -output_padding, dilation)
    ),
    output_padding_like_padding=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        enlarged_size(size, kernel_size, stride, padding, -2 * output_padding, dilation)
    ),
)


@misconception("transposed_conv_size", breaks="test_dilation", hint=3, source="students' answers")
def dilation_not_between_values(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """With dilation a stamp is not as high as you say. How many steps lie between its first value and its last?"""
    return enlarged_size(size, kernel_size, stride, padding, output_padding, dilation, stamp=lambda k, d: k * d)


ways(
    dilation_not_between_values,
    "test_dilation",
    dilation_ignored=size_answer(stamp=lambda k, d: k),
    dilation_as_free_rows=size_answer(stamp=lambda k, d: (k - 1) * (d + 1) + 1 if d > 1 else k),
    dilation_in_the_steps=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: enlarged_size(
        size, kernel_size, stride * dilation, padding, output_padding, dilation
    ),
)


@misconception("transposed_conv_size", breaks=EVERY_SIZE, hint=2, source="students' answers")
def last_row_for_their_number(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """One row is missing, or there is one too many, whatever the arguments. Rows are counted from 0."""
    stamp = dilation * (kernel_size - 1)
    return enlarged_size(size, kernel_size, stride, padding, output_padding, dilation, stamp=lambda k, d: stamp)


ways(last_row_for_their_number, EVERY_SIZE, one_row_too_many=size_answer(stamp=lambda k, d: d * (k - 1) + 2))


@misconception("transposed_conv_size", breaks=EVERY_SIZE, hint=1, source="students' answers")
def stride_not_between_stamps(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """The stride is left out, or multiplied with more than the steps between stamps: with the kernel, for example."""
    return size + dilation * (kernel_size - 1) - 2 * padding + output_padding


ways(
    stride_not_between_stamps,
    "test_padding",
    stride_times_everything=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        stride * (size + dilation * (kernel_size - 1)) - 2 * padding + output_padding
    ),
    stamps_side_by_side=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        size * (dilation * (kernel_size - 1) + 1) - 2 * padding + output_padding
    ),
    padding_before_the_stride=lambda size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1: (
        (size - 1 - 2 * padding) * stride + dilation * (kernel_size - 1) + 1 + output_padding
    ),
)


# --- colliding_sizes ---

LISTS = ("test_strides", "test_padding", "test_dilation")


def fewest(size, kernel_size, stride, padding, dilation):
    return (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * padding


def positive(sizes):
    return [one for one in sizes if one > 0]


def list_answer(sizes, fewest=fewest):
    """A whole answer: `sizes` makes the list from the smallest size and the stride."""

    def function(size, kernel_size, stride=1, padding=0, dilation=1):
        return positive(sizes(fewest(size, kernel_size, stride, padding, dilation), stride))

    return function


def following(first, stride):
    return range(first, first + stride)


@misconception("colliding_sizes", breaks=LISTS, hint=1, source='"deconvolution" taken for an inverse')
def one_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """There is always one size in the list, as if a convolution could be inverted: rows left over are forgotten."""
    return positive([fewest(size, kernel_size, stride, padding, dilation)])


@variant(one_size, breaks=LISTS)
def largest_only(size, kernel_size, stride=1, padding=0, dilation=1):
    return positive([fewest(size, kernel_size, stride, padding, dilation) + stride - 1])


@misconception("colliding_sizes", breaks=LISTS, hint=1, source="students' answers")
def another_number_of_sizes(size, kernel_size, stride=1, padding=0, dilation=1):
    """The first size is right, and the list is too short or too long. When does one more window fit?"""
    first = fewest(size, kernel_size, stride, padding, dilation)
    return positive(range(first, first + stride + 1))


ways(
    another_number_of_sizes,
    "test_strides",
    one_too_few=list_answer(lambda first, stride: range(first, first + max(stride - 1, 1))),
    always_two=list_answer(lambda first, stride: [first, first + 1]),
    both_ends=list_answer(lambda first, stride: sorted({first, first + stride - 1})),
)


@misconception("colliding_sizes", breaks=LISTS, hint=1, source="ceil_mode of poolings, as in Caffe")
def sizes_rounded_up(size, kernel_size, stride=1, padding=0, dilation=1):
    """The list is shifted: it is that of a convolution which rounds up, or which rounds to the nearest.

    It holds sizes from which fewer windows come.
    """
    first = fewest(size, kernel_size, stride, padding, dilation)
    return positive(range(first - stride + 1, first + 1))


ways(
    sizes_rounded_up,
    LISTS,
    around_the_middle=list_answer(lambda first, stride: range(first - stride // 2, first - stride // 2 + stride)),
    one_stride_more=list_answer(lambda first, stride: range(first + stride, first + 2 * stride)),
    shifted_by_one=list_answer(lambda first, stride: range(first + 1, first + stride + 1)),
    shifted_back_by_one=list_answer(lambda first, stride: range(first - 1, first + stride - 1)),
)


@misconception("colliding_sizes", breaks="test_padding", hint=3, source="students' answers")
def padding_not_on_both_sides(size, kernel_size, stride=1, padding=0, dilation=1):
    """Padding has another effect than it should: it lies at both ends, and the picture needs fewer rows of its own."""
    return positive(following(fewest(size, kernel_size, stride, padding, dilation) + padding, stride))


def with_padding(times):
    return list_answer(following, lambda size, k, s, p, d: fewest(size, k, s, 0, d) + times * p)


ways(
    padding_not_on_both_sides,
    "test_padding",
    padding_forgotten=with_padding(0),
    padding_makes_larger=with_padding(2),
)


@misconception("colliding_sizes", breaks="test_dilation", hint=3, source="students' answers")
def window_of_another_size(size, kernel_size, stride=1, padding=0, dilation=1):
    """With dilation, a window does not cover as many rows as you say."""
    return positive(following(fewest(size, kernel_size * dilation, stride, padding, 1), stride))


ways(
    window_of_another_size,
    "test_dilation",
    dilation_does_nothing=list_answer(following, lambda size, k, s, p, d: fewest(size, k, s, p, 1)),
)


@misconception(
    "colliding_sizes", breaks="test_must_fit", hint=3, source="int(...) for rounding down, students' answers"
)
def no_window_fits(size, kernel_size, stride=1, padding=0, dilation=1):
    """The list holds pictures that are smaller than a window. None fits there, and so they become nothing."""
    reach = dilation * (kernel_size - 1)
    rows = range(1, size * stride + reach + 2)
    return [one for one in rows if int((one + 2 * padding - reach - 1) / stride) + 1 == size]


@variant(no_window_fits, breaks="test_must_fit")
def at_least_one_window(size, kernel_size, stride=1, padding=0, dilation=1):
    reach = dilation * (kernel_size - 1)
    rows = range(1, size * stride + reach + 2)
    return [one for one in rows if max(1, (one + 2 * padding - reach - 1) // stride + 1) == size]


@misconception("colliding_sizes", breaks=("test_must_fit", "test_strides"), hint=2, source="students' answers")
def search_ends_too_early(size, kernel_size, stride=1, padding=0, dilation=1):
    """Sizes at the end of the list are missing: the search stops before it has seen them all."""
    first = fewest(size, kernel_size, stride, padding, dilation)
    return positive(one for one in following(first, stride) if one <= size * stride)


@variant(search_ends_too_early, breaks=("test_must_fit", "test_strides"))
def search_ends_before_the_product(size, kernel_size, stride=1, padding=0, dilation=1):
    first = fewest(size, kernel_size, stride, padding, dilation)
    return positive(one for one in following(first, stride) if one < size * stride)


@misconception("colliding_sizes", breaks="test_at_least_one_row", hint=3, source="students' answers")
def sizes_below_one(size, kernel_size, stride=1, padding=0, dilation=1):
    """The list begins below 1 where there is much padding, or one size too late: a picture has 1 row or more."""
    return list(following(fewest(size, kernel_size, stride, padding, dilation), stride))


@variant(sizes_below_one, breaks="test_at_least_one_row")
def zero_is_a_size(size, kernel_size, stride=1, padding=0, dilation=1):
    return [one for one in following(fewest(size, kernel_size, stride, padding, dilation), stride) if one >= 0]


@variant(sizes_below_one, breaks="test_at_least_one_row")
def clamped_to_one(size, kernel_size, stride=1, padding=0, dilation=1):
    return list(following(max(fewest(size, kernel_size, stride, padding, dilation), 1), stride))


# --- conv_matrix ---

MATRIX = ("test_all_at_once", "test_one_channel")


def padded_matrix(weight, height, width, stride, padding, step=None):
    """(out_channels, H', W', in_channels, padded height, padded width); windows lie `step` apart."""
    k = weight.shape[2]
    rows, cols = ((size + 2 * padding - k) // stride + 1 for size in (height, width))
    step = step or stride
    matrix = weight.new_zeros(len(weight), rows, cols, weight.shape[1], height + 2 * padding, width + 2 * padding)
    for row in range(rows):
        for col in range(cols):
            window = slice(row * step, row * step + k), slice(col * step, col * step + k)
            matrix[:, row, col, :, window[0], window[1]] = weight
    return matrix


def matrix_of(weight, height, width, stride, padding, outputs="ohw", pixels="cyx", **how):
    """M, with the dimensions of outputs and pixels in some order; by default that of `flatten`."""
    matrix = padded_matrix(weight, height, width, stride, padding, **how)
    matrix = matrix[..., padding : padding + height, padding : padding + width]
    return torch.einsum(f"ohwcyx->{outputs}{pixels}", matrix).flatten(3).flatten(0, 2)


@misconception("conv_matrix", breaks=MATRIX, hint=3, source="scipy.signal.convolve2d, textbooks on signals")
def kernel_mirrored(weight, height, width, stride=1, padding=0):
    """The kernel is mirrored, as a convolution in mathematics asks for; the layers of networks do not mirror it."""
    return matrix_of(weight.flip(2, 3), height, width, stride, padding)


@variant(kernel_mirrored, breaks=MATRIX)
def kernel_turned(weight, height, width, stride=1, padding=0):
    return matrix_of(weight.mT, height, width, stride, padding)


@misconception("conv_matrix", breaks=MATRIX, hint=1, source="students' answers")
def matrix_transposed(weight, height, width, stride=1, padding=0):
    """The matrix lies on its side: it has a row for each pixel, and a column for each output."""
    return matrix_of(weight, height, width, stride, padding).T


@misconception("conv_matrix", breaks=("test_all_at_once", "test_stride"), hint=3, source="students' answers")
def windows_side_by_side(weight, height, width, stride=1, padding=0):
    """There are other windows than the stride gives: their number, or the way from one to the next, is another."""
    return matrix_of(weight, height, width, stride, padding, step=1)


@variant(windows_side_by_side, breaks=("test_all_at_once", "test_stride"))
def stride_left_out(weight, height, width, stride=1, padding=0):
    return matrix_of(weight, height, width, 1, padding)


@variant(windows_side_by_side, breaks=("test_all_at_once", "test_stride"))
def one_window_too_many(weight, height, width, stride=1, padding=0):
    extra = [-(size + 2 * padding - weight.shape[2]) % stride for size in (height, width)]
    matrix = padded_matrix(weight, height + extra[0], width + extra[1], stride, padding)
    matrix = matrix[..., padding : padding + height, padding : padding + width]
    return matrix.flatten(3).flatten(0, 2)


@misconception("conv_matrix", breaks=("test_all_at_once", "test_channels"), hint=2, source="tf.keras, channels last")
def another_order(weight, height, width, stride=1, padding=0):
    """Rows or columns of M are in another order than that of `flatten()` for (channels, height, width)."""
    return matrix_of(weight, height, width, stride, padding, "hwo", "yxc")


ways(
    another_order,
    "test_channels",
    outputs_last=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight, height, width, stride, padding, "hwo"
    ),
    inputs_last=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight, height, width, stride, padding, "ohw", "yxc"
    ),
    column_by_column=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight, height, width, stride, padding, "owh", "cxy"
    ),
)


@misconception("conv_matrix", breaks=("test_all_at_once", "test_channels"), hint=2, source="students' answers")
def channels_of_the_transpose(weight, height, width, stride=1, padding=0):
    """Channels are mixed up: `weight` is read as if input channels came first, or one channel stands for all."""
    return matrix_of(weight.transpose(0, 1), height, width, stride, padding)


ways(
    channels_of_the_transpose,
    "test_channels",
    first_channel_alone=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight[:1, :1], height, width, stride, padding
    ),
    first_input_for_all=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight[:, :1].expand_as(weight), height, width, stride, padding
    ),
    first_input_alone=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight[:, :1], height, width, stride, padding
    ),
    inputs_summed=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight.sum(1, keepdim=True), height, width, stride, padding
    ),
)


@misconception("conv_matrix", breaks=("test_all_at_once", "test_padding"), hint=3, source="students' answers")
def padding_has_columns(weight, height, width, stride=1, padding=0):
    """Padding is not where it belongs: its zeros have columns in M, or it does not move the windows."""
    return padded_matrix(weight, height, width, stride, padding).flatten(3).flatten(0, 2)


@variant(padding_has_columns, breaks=("test_all_at_once", "test_padding"))
def no_padding(weight, height, width, stride=1, padding=0):
    return matrix_of(weight, height, width, stride, 0)


@variant(padding_has_columns, breaks=("test_all_at_once", "test_padding"))
def windows_not_moved_back(weight, height, width, stride=1, padding=0):
    matrix = padded_matrix(weight, height, width, stride, padding)[..., :height, :width]
    return matrix.flatten(3).flatten(0, 2)


@misconception("conv_matrix", breaks=("test_all_at_once", "test_padding"), hint=2, source="circulant matrices")
def wrapped_around(weight, height, width, stride=1, padding=0):
    """Weights that lie outside the picture come back in at another place: at the other end, or in the next row."""
    return wrapped(weight, height, width, stride, padding, lambda y, x: (y % height, x % width))


def wrapped(weight, height, width, stride, padding, where):
    """M, with each weight of the padding added at the pixel that `where` gives, or nowhere."""
    outside = padded_matrix(weight, height, width, stride, padding)
    matrix = outside.new_zeros(*outside.shape[:4], height, width)
    for y in range(outside.shape[4]):
        for x in range(outside.shape[5]):
            if place := where(y - padding, x - padding):
                matrix[(..., *place)] += outside[..., y, x]
    return matrix.flatten(3).flatten(0, 2)


@variant(wrapped_around, breaks=("test_all_at_once", "test_padding"))
def border_repeated(weight, height, width, stride=1, padding=0):
    def nearest(y, x):
        return min(max(y, 0), height - 1), min(max(x, 0), width - 1)

    return wrapped(weight, height, width, stride, padding, nearest)


@variant(wrapped_around, breaks=("test_all_at_once", "test_padding"))
def negative_places_from_the_end(weight, height, width, stride=1, padding=0):
    def unless_too_large(y, x):
        place = y * width + x
        return divmod(place % (height * width), width) if place < height * width else None

    return wrapped(weight, height, width, stride, padding, unless_too_large)


@variant(wrapped_around, breaks=("test_all_at_once", "test_padding"))
def into_the_next_row(weight, height, width, stride=1, padding=0):
    def along_the_line(y, x):
        return divmod((y * width + x) % (height * width), width)

    return wrapped(weight, height, width, stride, padding, along_the_line)


@misconception("conv_matrix", breaks=MATRIX, hint=2, source="meetps/pytorch-semseg, issue 231: one side for both")
def one_side_for_both(weight, height, width, stride=1, padding=0):
    """Height and width are mixed up, or one of them serves for both: that fits square pictures only."""
    return matrix_of(weight, height, height, stride, padding)


ways(
    one_side_for_both,
    MATRIX,
    width_for_both=lambda weight, height, width, stride=1, padding=0: matrix_of(weight, width, width, stride, padding),
    sides_exchanged=lambda weight, height, width, stride=1, padding=0: matrix_of(
        weight, width, height, stride, padding
    ),
)


# --- transposed_conv2d ---

STAMPS = ("test_all_at_once", "test_overlap")


def stamped(x, weight, stride, room=0, put=torch.add, step=None):
    """All stamps on a map of zeros, `room` larger than it must be, by any rule for what is there already."""
    k, step = weight.shape[2], step or stride
    large = x.new_zeros(
        len(x), weight.shape[1], *((size - 1) * stride + max(k, step if room else k) for size in x.shape[2:])
    )
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            window = (..., slice(i * step, i * step + k), slice(j * step, j * step + k))
            large[window] = put(large[window], torch.einsum("ni,iokl->nokl", x[:, :, i, j], weight))
    return large


def cut_and_lift(large, bias, padding):
    """The padding cut off, the bias added."""
    large = large[..., padding : large.shape[2] - padding, padding : large.shape[3] - padding]
    return large if bias is None else large + bias[:, None, None]


def enlarge(x, weight, bias, stride, padding, **how):
    return cut_and_lift(stamped(x, weight, stride, **how), bias, padding)


@misconception("transposed_conv2d", breaks=STAMPS, hint=1, source="students' answers")
def stamps_not_added(x, weight, bias=None, stride=1, padding=0):
    """Where stamps overlap, they are not added: the last one stays, the largest one, or their mean."""
    return enlarge(x, weight, bias, stride, padding, put=lambda there, stamp: stamp)


@variant(stamps_not_added, breaks=STAMPS)
def largest_stamp(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x, weight, bias, stride, padding, put=torch.maximum)


@variant(stamps_not_added, breaks=STAMPS)
def mean_of_stamps(x, weight, bias=None, stride=1, padding=0):
    count = stamped(torch.ones_like(x[:, :1]), torch.ones_like(weight[:1, :1]), stride)
    return cut_and_lift(stamped(x, weight, stride) / count.clamp(min=1), bias, padding)


@misconception("transposed_conv2d", breaks=STAMPS, hint=1, source="zeros inserted, then convolved: students' answers")
def stamps_mirrored(x, weight, bias=None, stride=1, padding=0):
    """The stamps are mirrored or turned: a map with a single 1 does not give the kernel as it is."""
    return enlarge(x, weight.flip(2, 3), bias, stride, padding)


ways(
    stamps_mirrored,
    STAMPS,
    stamps_turned=lambda x, weight, bias=None, stride=1, padding=0: enlarge(x, weight.mT, bias, stride, padding),
    mirrored_up_and_down=lambda x, weight, bias=None, stride=1, padding=0: enlarge(
        x, weight.flip(2), bias, stride, padding
    ),
)


@misconception(
    "transposed_conv2d", breaks=("test_all_at_once", "test_channels"), hint=3, source="the order of nn.Conv2d"
)
def weights_of_a_convolution(x, weight, bias=None, stride=1, padding=0):
    """Channels or pictures are mixed up: `weight` is read as if output channels came first, or one stands for all."""
    large = stamped(x, weight.transpose(0, 1), stride)
    return cut_and_lift(large, bias, padding)


@variant(weights_of_a_convolution, breaks=("test_all_at_once", "test_channels"))
def input_channels_not_summed(x, weight, bias=None, stride=1, padding=0):
    channels = torch.arange(max(weight.shape[:2]))
    alone = torch.zeros_like(weight)
    for channel in channels[: min(weight.shape[:2])]:
        alone[channel, channel] = weight[channel, channel]
    return enlarge(x, alone, bias, stride, padding)


@variant(weights_of_a_convolution, breaks=("test_all_at_once", "test_channels"))
def first_input_channel(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x[:, :1], weight[:1], bias, stride, padding)


@variant(weights_of_a_convolution, breaks=("test_all_at_once", "test_channels"))
def first_picture_for_all(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x[:1].expand_as(x), weight, bias, stride, padding)


@variant(weights_of_a_convolution, breaks=("test_all_at_once", "test_channels"))
def sum_of_everything(x, weight, bias=None, stride=1, padding=0):
    total = x.sum(1, keepdim=True) * torch.ones_like(x)
    return enlarge(total / x.shape[1], weight, bias, stride, padding)


@misconception("transposed_conv2d", breaks=("test_all_at_once", "test_padding"), hint=3, source="students' answers")
def padding_does_not_cut(x, weight, bias=None, stride=1, padding=0):
    """Padding does not cut as it should: it is left out, it adds a border, or it cuts too much or on one side only."""
    return enlarge(x, weight, bias, stride, 0)


@variant(padding_does_not_cut, breaks=("test_all_at_once", "test_padding"))
def padding_adds_a_border(x, weight, bias=None, stride=1, padding=0):
    return cut_and_lift(F.pad(stamped(x, weight, stride), [padding] * 4), bias, 0)


@variant(padding_does_not_cut, breaks=("test_all_at_once", "test_padding"))
def padding_around_the_map(x, weight, bias=None, stride=1, padding=0):
    return enlarge(F.pad(x, [padding] * 4), weight, bias, stride, 0)


@variant(padding_does_not_cut, breaks=("test_all_at_once", "test_padding"))
def cut_in_front(x, weight, bias=None, stride=1, padding=0):
    return cut_and_lift(stamped(x, weight, stride)[..., padding:, padding:], bias, 0)


@variant(padding_does_not_cut, breaks=("test_all_at_once", "test_padding"))
def cut_in_front_by_both(x, weight, bias=None, stride=1, padding=0):
    return cut_and_lift(stamped(x, weight, stride)[..., 2 * padding :, 2 * padding :], bias, 0)


@variant(padding_does_not_cut, breaks=("test_all_at_once", "test_padding"))
def cut_behind(x, weight, bias=None, stride=1, padding=0):
    large = stamped(x, weight, stride)
    return cut_and_lift(large[..., : large.shape[2] - 2 * padding, : large.shape[3] - 2 * padding], bias, 0)


@misconception("transposed_conv2d", breaks="test_overlap", hint=2, source="a minus before a padding of 0")
def empty_without_padding(x, weight, bias=None, stride=1, padding=0):
    """Without padding nothing is left: a slice that ends with -0 is empty."""
    return cut_and_lift(stamped(x, weight, stride)[..., padding:-padding, padding:-padding], bias, 0)


@misconception("transposed_conv2d", breaks=("test_all_at_once", "test_bias"), hint=3, source="students' answers")
def bias_not_once(x, weight, bias=None, stride=1, padding=0):
    """The bias is not added once to every pixel: it is left out, it counts for each stamp, or it is missing in gaps."""
    return enlarge(x, weight, None, stride, padding)


@variant(bias_not_once, breaks=("test_all_at_once", "test_bias"))
def bias_in_each_stamp(x, weight, bias=None, stride=1, padding=0):
    lift = 0 if bias is None else bias[:, None, None]
    return enlarge(x, weight, None, stride, padding, put=lambda there, stamp: there + stamp + lift)


@variant(bias_not_once, breaks="test_bias")
def bias_not_in_gaps(x, weight, bias=None, stride=1, padding=0):
    covered = stamped(torch.ones_like(x[:, :1]), torch.ones_like(weight[:1, :1]), stride) > 0
    large = stamped(x, weight, stride)
    return cut_and_lift(large if bias is None else large + bias[:, None, None] * covered, None, padding)


@variant(bias_not_once, breaks=("test_all_at_once", "test_bias"))
def bias_of_each_input_channel(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x, weight, None if bias is None else x.shape[1] * bias, stride, padding)


@misconception("transposed_conv2d", breaks=STAMPS, hint=1, source="threads on PyTorch's forum: 8 becomes 16")
def another_place_for_stamps(x, weight, bias=None, stride=1, padding=0):
    """Stamps do not lie `stride` apart on a map that just holds them: the size, the steps, or both are others.

    The map is `stride` times as large, or the stride is left out, or height and width are exchanged.
    """
    return enlarge(x, weight, bias, 1, padding)


@variant(another_place_for_stamps, breaks=STAMPS)
def steps_of_one(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x, weight, bias, stride, padding, step=1)


@variant(another_place_for_stamps, breaks=STAMPS)
def size_times_stride(x, weight, bias=None, stride=1, padding=0):
    large, size = stamped(x, weight, stride), [stride * side for side in x.shape[2:]]
    large = F.pad(large, [0, stride, 0, stride])[..., : size[0], : size[1]]
    return cut_and_lift(large, bias, padding)


@variant(another_place_for_stamps, breaks="test_all_at_once")
def size_times_stride_and_kernel(x, weight, bias=None, stride=1, padding=0):
    return cut_and_lift(F.pad(stamped(x, weight, stride), [0, stride, 0, stride]), bias, padding)


@variant(another_place_for_stamps, breaks=STAMPS)
def sides_for_each_other(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x.mT, weight, bias, stride, padding)


@variant(another_place_for_stamps, breaks=STAMPS)
def steps_of_the_kernel(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x, weight, bias, weight.shape[2], padding)


@misconception("transposed_conv2d", breaks="test_gradient", hint=3, source="students' answers")
def no_gradient_left(x, weight, bias=None, stride=1, padding=0):
    """The map, the weights or the bias leave torch on the way (`detach`, `item`, numpy): no gradient comes back."""
    return enlarge(x.detach(), weight.detach(), None if bias is None else bias.detach(), stride, padding)


@variant(no_gradient_left, breaks="test_gradient")
def no_gradient_for_the_map(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x.detach(), weight, bias, stride, padding)


@variant(no_gradient_left, breaks="test_gradient")
def no_gradient_for_the_weights(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x, weight.detach(), bias, stride, padding)


@variant(no_gradient_left, breaks="test_gradient")
def gradient_for_the_bias_alone(x, weight, bias=None, stride=1, padding=0):
    return enlarge(x.detach(), weight.detach(), bias, stride, padding)


# --- overlap_count ---

COUNTS = ("test_uneven", "test_even")


def line(number, kernel_size, stride, padding=0):
    """How many of some stamps cover each place of a line."""
    count = torch.zeros((number - 1) * stride + kernel_size, dtype=torch.int64)
    for i in range(number):
        count[i * stride : i * stride + kernel_size] += 1
    return count[padding : len(count) - padding]


def counted(size, kernel_size, stride, padding, line=line, together=torch.mul):
    rows, cols = (line(number, kernel_size, stride, padding) for number in size)
    return together(rows[:, None], cols[None])


@misconception("overlap_count", breaks="test_even", hint=3, source="torch.ones is float32: students' answers")
def floats_counted(size, kernel_size, stride, padding=0):
    """The counts are right, and they are floats: what is counted comes in whole numbers."""
    return counted(size, kernel_size, stride, padding).float()


@variant(floats_counted, breaks="test_even")
def doubles_counted(size, kernel_size, stride, padding=0):
    return counted(size, kernel_size, stride, padding).double()


@variant(floats_counted, breaks="test_even")
def small_integers(size, kernel_size, stride, padding=0):
    return counted(size, kernel_size, stride, padding).int()


@misconception("overlap_count", breaks=COUNTS, hint=2, source="students' answers")
def directions_not_multiplied(size, kernel_size, stride, padding=0):
    """Counts of rows and columns are not put together as they should, or only one of the two is there."""
    return counted(size, kernel_size, stride, padding, together=torch.add)


ways(
    directions_not_multiplied,
    COUNTS,
    larger_of_the_two=lambda size, kernel_size, stride, padding=0: counted(
        size, kernel_size, stride, padding, together=torch.maximum
    ),
    columns_alone=lambda size, kernel_size, stride, padding=0: counted(
        size, kernel_size, stride, padding, together=lambda rows, cols: cols * torch.ones_like(rows)
    ),
    rows_alone=lambda size, kernel_size, stride, padding=0: counted(
        size, kernel_size, stride, padding, together=lambda rows, cols: rows * torch.ones_like(cols)
    ),
    one_less=lambda size, kernel_size, stride, padding=0: counted(
        size, kernel_size, stride, padding, together=lambda rows, cols: rows + cols - 1
    ),
)


@misconception("overlap_count", breaks=COUNTS, hint=1, source="students' answers; the inside of Odena's figures")
def border_like_the_inside(size, kernel_size, stride, padding=0):
    """The border is counted like the inside, as if the map went on beyond its edges, or as if it closed to a ring."""

    def endless(number, kernel_size, stride, padding):
        far = 2 * kernel_size
        return line(number + 2 * far, kernel_size, stride, padding + far * stride)

    return counted(size, kernel_size, stride, padding, endless)


@variant(border_like_the_inside, breaks="test_uneven")
def same_everywhere(size, kernel_size, stride, padding=0):
    def quotient(number, kernel_size, stride, padding):
        return torch.full_like(line(number, kernel_size, stride, padding), -(-kernel_size // stride))

    return counted(size, kernel_size, stride, padding, quotient)


@variant(border_like_the_inside, breaks="test_uneven")
def same_everywhere_rounded_down(size, kernel_size, stride, padding=0):
    def quotient(number, kernel_size, stride, padding):
        return torch.full_like(line(number, kernel_size, stride, padding), kernel_size // stride)

    return counted(size, kernel_size, stride, padding, quotient)


@misconception("overlap_count", breaks="test_padding", hint=3, source="students' answers")
def padding_cuts_otherwise(size, kernel_size, stride, padding=0):
    """Padding does not cut the outermost pixels on all four sides: it is left out, or cuts too much, or on one side."""
    return counted(size, kernel_size, stride, 0)


@variant(padding_cuts_otherwise, breaks="test_padding")
def padding_cut_in_front(size, kernel_size, stride, padding=0):
    return counted(size, kernel_size, stride, 0)[padding:, padding:]


@variant(padding_cuts_otherwise, breaks="test_padding")
def padding_cut_twice(size, kernel_size, stride, padding=0):
    full = counted(size, kernel_size, stride, padding)
    return full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]


@variant(padding_cuts_otherwise, breaks="test_padding")
def padding_cut_behind(size, kernel_size, stride, padding=0):
    full = counted(size, kernel_size, stride, 0)
    return full[: full.shape[0] - 2 * padding, : full.shape[1] - 2 * padding]


@variant(padding_cuts_otherwise, breaks="test_padding")
def padding_adds_zeros(size, kernel_size, stride, padding=0):
    return F.pad(counted(size, kernel_size, stride, 0), [padding] * 4)


@misconception("overlap_count", breaks=COUNTS, hint=1, source="d2l: (width, height) where (height, width) is meant")
def height_and_width_exchanged(size, kernel_size, stride, padding=0):
    """Height and width are exchanged, or one of them serves for both."""
    return counted(size[::-1], kernel_size, stride, padding)


ways(
    height_and_width_exchanged,
    COUNTS,
    height_for_both_sides=lambda size, kernel_size, stride, padding=0: counted(
        (size[0], size[0]), kernel_size, stride, padding
    ),
    width_for_both_sides=lambda size, kernel_size, stride, padding=0: counted(
        (size[1], size[1]), kernel_size, stride, padding
    ),
)


@misconception("overlap_count", breaks=COUNTS, hint=1, source="students' answers")
def covered_or_not(size, kernel_size, stride, padding=0):
    """It is not counted how many stamps lie on a pixel: the numbers stop at 1, or at 2."""
    return counted(size, kernel_size, stride, padding).clamp(max=1)


@variant(covered_or_not, breaks="test_uneven")
def more_than_one_or_not(size, kernel_size, stride, padding=0):
    return counted(size, kernel_size, stride, padding).clamp(max=2)


@misconception("overlap_count", breaks=COUNTS, hint=1, source="students' answers")
def stamps_elsewhere(size, kernel_size, stride, padding=0):
    """The map has its size, and stamps lie elsewhere: not `stride` apart, or only where row and column are equal."""

    def pixel_by_pixel(number, kernel_size, stride, padding):
        count = line(number, kernel_size, 1)
        count = F.pad(count, [0, (number - 1) * (stride - 1)])
        return count[padding : len(count) - padding]

    return counted(size, kernel_size, stride, padding, pixel_by_pixel)


@variant(stamps_elsewhere, breaks=COUNTS)
def diagonal_alone(size, kernel_size, stride, padding=0):
    full = torch.zeros_like(counted(size, kernel_size, stride, 0))
    for i in range(min(size)):
        full[i * stride : i * stride + kernel_size, i * stride : i * stride + kernel_size] += 1
    return full[padding : full.shape[0] - padding, padding : full.shape[1] - padding]


@misconception("overlap_count", breaks=COUNTS, hint=1, source="students' answers")
def windows_of_a_convolution(size, kernel_size, stride, padding=0):
    """The map does not grow: what is counted is how many windows of a convolution look at each of its pixels."""
    large = torch.zeros(size[0] + 2 * padding, size[1] + 2 * padding, dtype=torch.int64)
    for top in range(0, len(large) - kernel_size + 1, stride):
        for left in range(0, large.shape[1] - kernel_size + 1, stride):
            large[top : top + kernel_size, left : left + kernel_size] += 1
    return large[padding : padding + size[0], padding : padding + size[1]]


# --- max_pool_with_switches ---

PLACES = ("test_values_and_switches", "test_odd_sizes")


def blocks_of(x, k):
    """(N, C, rows, cols, k * k), without the left-over rows and columns."""
    return x.unfold(2, k, k).unfold(3, k, k).flatten(4)


def numbered(place, width, k, step=None):
    """Places within blocks -> row * width + column; blocks begin `step` apart."""
    step = step or k
    row = step * torch.arange(place.shape[2])[:, None] + place // k
    return row * width + step * torch.arange(place.shape[3]) + place % k


def pooled_with(number):
    """A whole answer, with a rule of one's own for the switches: number(place within the block, x, k)."""

    def function(x, k):
        pooled, place = blocks_of(x, k).max(4)
        return pooled, number(place, x, k)

    return function


def right_switches(place, x, k):
    return numbered(place, x.shape[3], k)


@misconception("max_pool_with_switches", breaks=PLACES, hint=2, source="ykamikawa/tf-keras-SegNet, issue 4")
def within_the_block(x, k):
    """The switches count within each block: the same few small numbers in every block, wherever it lies."""
    return pooled_with(lambda place, x, k: place)(x, k)


@variant(within_the_block, breaks=PLACES)
def within_the_block_from_one(x, k):
    return pooled_with(lambda place, x, k: place + 1)(x, k)


@misconception("max_pool_with_switches", breaks=PLACES, hint=2, source="tf.nn.max_pool_with_argmax")
def across_channels(x, k):
    """Places are numbered on through all channels, or all pictures, too; each channel should begin anew."""

    def number(place, x, k):
        channel = torch.arange(x.shape[1])[:, None, None]
        return channel * x.shape[2] * x.shape[3] + right_switches(place, x, k)

    return pooled_with(number)(x, k)


@variant(across_channels, breaks=PLACES)
def across_pictures(x, k):
    def number(place, x, k):
        map_number = torch.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1)
        return map_number * x.shape[2] * x.shape[3] + right_switches(place, x, k)

    return pooled_with(number)(x, k)


@variant(across_channels, breaks=PLACES)
def channels_last(x, k):
    def number(place, x, k):
        return right_switches(place, x, k) * x.shape[1] + torch.arange(x.shape[1])[:, None, None]

    return pooled_with(number)(x, k)


@misconception("max_pool_with_switches", breaks=PLACES, hint=3, source="ykamikawa/tf-keras-SegNet, issue 4")
def another_width(x, k):
    """A switch is not put together as row · W + column of the map before pooling.

    The width is that of the pooled map, the height, or a width without left-over columns, or row and column are
    exchanged.
    """
    return pooled_with(lambda place, x, k: numbered(place, place.shape[3], k))(x, k)


ways(
    another_width,
    PLACES,
    height_for_width=pooled_with(lambda place, x, k: numbered(place, x.shape[2], k)),
    column_by_column=pooled_with(lambda place, x, k: numbered(place.mT, x.shape[2], k).mT),
    columns_first=pooled_with(
        lambda place, x, k: (
            (k * torch.arange(place.shape[3]) + place % k) * x.shape[2]
            + k * torch.arange(place.shape[2])[:, None]
            + place // k
        )
    ),
)
ways(
    another_width,
    "test_odd_sizes",
    width_without_the_rest=pooled_with(lambda place, x, k: numbered(place, x.shape[3] // k * k, k)),
)


@misconception("max_pool_with_switches", breaks="test_ties", hint=1, source="students' answers: >= in a loop")
def another_of_equals(x, k):
    """Of equal values another one than the first in reading order is taken: the last one, or the first by columns."""
    pooled, from_behind = blocks_of(x, k).flip(4).max(4)
    return pooled, right_switches(k * k - 1 - from_behind, x, k)


@variant(another_of_equals, breaks="test_ties")
def first_by_columns(x, k):
    pooled, place = x.unfold(2, k, k).unfold(3, k, k).mT.flatten(4).max(4)
    return pooled, right_switches(place % k * k + place // k, x, k)


@misconception("max_pool_with_switches", breaks="test_negative", hint=1, source="students' answers: best = 0 in a loop")
def begins_with_zero(x, k):
    """Blocks without a positive value become 0: the search for the largest value begins with 0."""
    pooled, place = blocks_of(x, k).max(4)
    return pooled.clamp(min=0), right_switches(torch.where(pooled > 0, place, 0), x, k)


@variant(begins_with_zero, breaks=("test_negative", "test_ties"))
def begins_with_place_zero(x, k):
    pooled, place = blocks_of(x, k).max(4)
    return pooled.clamp(min=0), torch.where(pooled > 0, right_switches(place, x, k), 0)


@variant(begins_with_zero, breaks="test_negative")
def only_the_value_begins_with_zero(x, k):
    pooled, place = blocks_of(x, k).max(4)
    return pooled.clamp(min=0), right_switches(place, x, k)


@misconception("max_pool_with_switches", breaks="test_odd_sizes", hint=2, source="Caffe: pooling rounds sizes up")
def rounded_up(x, k):
    """Rows and columns that fill no block make blocks of their own, or move the others; they are to be left out."""
    width = x.shape[3]
    x = F.pad(x, (0, -width % k, 0, -x.shape[2] % k), value=-torch.inf)
    pooled, place = blocks_of(x, k).max(4)
    return pooled, numbered(place, width, k)


@variant(rounded_up, breaks="test_odd_sizes")
def first_ones_left_out(x, k):
    top, left = x.shape[2] % k, x.shape[3] % k
    pooled, place = blocks_of(x[:, :, top:, left:], k).max(4)
    return pooled, numbered(place, x.shape[3], k) + top * x.shape[3] + left


@misconception("max_pool_with_switches", breaks=PLACES, hint=2, source="students' answers")
def overlapping(x, k):
    """The blocks do not lie side by side, `k` apart: they overlap, or they are 2 x 2 whatever `k` is."""
    pooled, place = x.unfold(2, k, 1).unfold(3, k, 1).flatten(4).max(4)
    return pooled, numbered(place, x.shape[3], k, step=1)


@variant(overlapping, breaks=PLACES)
def always_two(x, k):
    k = min(2, k)
    pooled, place = blocks_of(x, k).max(4)
    return pooled, right_switches(place, x, k)


@misconception("max_pool_with_switches", breaks="test_gradient", hint=2, source="students' answers: amax and argmax")
def gradient_elsewhere(x, k):
    """The gradient does not arrive at the place of the switch alone.

    Equal values share it, as with `amax`, or the values left torch on the way (`detach`, `item`, numpy).
    """
    blocks = blocks_of(x, k)
    return blocks.amax(4), right_switches(blocks.argmax(4), x, k)


@variant(gradient_elsewhere, breaks="test_gradient")
def values_left_torch(x, k):
    return pooled_with(right_switches)(x.detach(), k)


# --- max_unpool ---

UNPOOLED = ("test_blocks", "test_odd_sizes")


def written(y, switches, output_size):
    """Each value at its switch on a map of `output_size`; a switch beyond it is dropped."""
    n, c = y.shape[:2]
    places = output_size[0] * output_size[1]
    there = torch.where((switches >= 0) & (switches < places), switches, places).flatten(2)
    flat = y.new_zeros(n, c, places + 1).scatter(2, there, y.flatten(2))
    return flat[:, :, :places].reshape(n, c, *output_size)


def blocks_filled(y, output_size):
    """Nearest neighbour."""
    return F.interpolate(y, size=tuple(output_size), mode="nearest")


@misconception("max_unpool", breaks=UNPOOLED, hint=1, source="ZijunDeng/pytorch-semantic-segmentation, seg_net.py")
def switches_not_used(y, switches, output_size):
    """The switches are not read: a value stands at the same place of every block, or fills the block."""
    height, width = output_size
    steps = [max(1, large // small) for large, small in zip(output_size, y.shape[2:], strict=True)]
    large = y.new_zeros(*y.shape[:2], height, width)
    large[:, :, : steps[0] * y.shape[2] : steps[0], : steps[1] * y.shape[3] : steps[1]] = y
    return large


@variant(switches_not_used, breaks=UNPOOLED)
def nearest(y, switches, output_size):
    return blocks_filled(y, output_size)


@variant(switches_not_used, breaks=UNPOOLED)
def bilinear(y, switches, output_size):
    return F.interpolate(y, size=tuple(output_size), mode="bilinear", align_corners=False)


@misconception("max_unpool", breaks="test_odd_sizes", hint=1, source="pytorch/pytorch, issues 580 and 68873")
def twice_the_size(y, switches, output_size):
    """The large map, or the width by which the switches count, is guessed from the small map, not taken as given.

    Where columns were left over, the values are scrambled.
    """
    return written(y, switches, (2 * y.shape[2], 2 * y.shape[3]))


@variant(twice_the_size, breaks="test_odd_sizes")
def twice_the_size_padded(y, switches, output_size):
    large = twice_the_size(y, switches, output_size)
    return F.pad(large, (0, output_size[1] - large.shape[3], 0, output_size[0] - large.shape[2]))


@variant(twice_the_size, breaks="test_odd_sizes")
def twice_the_size_enlarged(y, switches, output_size):
    return blocks_filled(twice_the_size(y, switches, output_size), output_size)


@variant(twice_the_size, breaks="test_odd_sizes")
def twice_the_width(y, switches, output_size):
    width = 2 * y.shape[3]
    return written(y, switches // width * output_size[1] + switches % width, output_size)


@misconception("max_unpool", breaks=UNPOOLED, hint=1, source="students' answers")
def width_of_the_small_map(y, switches, output_size):
    """Rows and columns are taken out of the switches with another number than the large map's width.

    It is the width of the small map, or the height.
    """
    width = y.shape[3]
    return written(y, switches // width * output_size[1] + switches % width, output_size)


@variant(width_of_the_small_map, breaks=UNPOOLED)
def by_the_height(y, switches, output_size):
    height, width = output_size
    return written(y, switches // height * width + switches % height, output_size)


@variant(width_of_the_small_map, breaks=UNPOOLED)
def columns_before_rows(y, switches, output_size):
    height, width = output_size
    return written(y, switches % height * width + switches // height, output_size)


@misconception("max_unpool", breaks=UNPOOLED, hint=1, source="d2l: (width, height) where (height, width) is meant")
def sides_exchanged(y, switches, output_size):
    """Height and width of the large map are exchanged: rows come first."""
    return written(y, switches, (output_size[1], output_size[0]))


@variant(sides_exchanged, breaks=UNPOOLED)
def turned_over(y, switches, output_size):
    return written(y, switches, (output_size[1], output_size[0])).mT


@misconception("max_unpool", breaks=UNPOOLED, hint=2, source="ykamikawa/tf-keras-SegNet, issue 4")
def within_the_blocks(y, switches, output_size):
    """The switches are taken as places within a block, or counted on from the block's corner."""
    height, width = output_size
    k = max(1, height // y.shape[2])
    place = switches % (k * k)
    row = k * torch.arange(y.shape[2])[:, None] + place // k
    return written(y, row * width + k * torch.arange(y.shape[3]) + place % k, output_size)


@variant(within_the_blocks, breaks=UNPOOLED)
def from_the_corner(y, switches, output_size):
    height, width = output_size
    k = max(1, height // y.shape[2])
    corner = k * torch.arange(y.shape[2])[:, None] * width + k * torch.arange(y.shape[3])
    return written(y, corner + switches, output_size)


@misconception("max_unpool", breaks=UNPOOLED, hint=2, source="tf.nn.max_pool_with_argmax: one line for all channels")
def one_line_for_all(y, switches, output_size):
    """Channels or pictures are mixed: they share one line of places, or the switches of one serve for all."""
    n, c = y.shape[:2]
    flat = y.new_zeros(n * c * output_size[0] * output_size[1])
    return flat.scatter(0, switches.flatten(), y.flatten()).reshape(n, c, *output_size)


@variant(one_line_for_all, breaks=UNPOOLED)
def one_line_for_each_picture(y, switches, output_size):
    n, c = y.shape[:2]
    flat = y.new_zeros(n, c * output_size[0] * output_size[1])
    return flat.scatter(1, switches.flatten(1), y.flatten(1)).reshape(n, c, *output_size)


@variant(one_line_for_all, breaks=UNPOOLED)
def switches_of_the_first_channel(y, switches, output_size):
    return written(y, switches[:, :1].expand_as(switches).contiguous(), output_size)


@variant(one_line_for_all, breaks=UNPOOLED)
def switches_of_the_first_picture(y, switches, output_size):
    return written(y, switches[:1].expand_as(switches).contiguous(), output_size)


@misconception("max_unpool", breaks=UNPOOLED, hint=1, source="Torch 7 counted from 1")
def one_place_off(y, switches, output_size):
    """Every value stands one place too early or too late: places are numbered from 0."""
    return written(y, switches - 1, output_size)


@variant(one_place_off, breaks=UNPOOLED)
def one_place_late(y, switches, output_size):
    return written(y, switches + 1, output_size)


@misconception("max_unpool", breaks="test_gradient", hint=3, source="students' answers")
def values_detached(y, switches, output_size):
    """The values leave torch on the way (`detach`, `item`, numpy, `torch.tensor`), and no gradient comes back."""
    return written(y.detach(), switches, output_size)


# --- DeconvNet ---

MIRRORED = ("test_one_stage", "test_stages")
SEVERAL = ("test_stages", "test_any_size", "test_dense_kernel")


class Mirrored(DeconvNet):
    """The right network in pieces; a wrong one replaces one of them."""

    def middle(self, x):
        return self.dense_back(self.dense(x))

    def unpool(self, x, kept):
        large, switches = kept.pop()
        return F.max_unpool2d(x, switches, 2, output_size=tuple(large.shape[2:]))

    def stage(self, block, x, large):
        return block(x)

    def last(self, features, picture):
        return self.score(features)

    def forward(self, x):
        picture, kept = x, []
        for block in self.encoder:
            x = block(x)
            large = x
            x, switches = F.max_pool2d(large, 2, return_indices=True)
            kept.append((large, switches))
        x, maps = self.middle(x), [large for large, _ in kept]
        for block in self.decoder:
            x = self.stage(block, self.unpool(x, kept), maps.pop())
        return self.last(x, picture)


@misconception("DeconvNet", breaks="test_weights", hint=2, source="DeconvNets without fc6-deconv: 102.8 million short")
class WithoutDenseBack(Mirrored):
    """What `dense` makes small is not spread out again by a transposed convolution as large as its kernel.

    `dense_back` is missing, or it is a layer of another kind or shape.
    """

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__(in_channels, num_classes, widths, dense_width, dense_kernel)
        del self.dense_back
        self.dense = conv_bn_relu(widths[-1], widths[-1], dense_kernel, padding=0)

    def middle(self, x):
        return F.interpolate(self.dense(x), size=tuple(x.shape[2:]))


@variant(WithoutDenseBack, breaks="test_weights")
class NothingInTheMiddle(Mirrored):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        del self.dense, self.dense_back

    def middle(self, x):
        return x


@variant(WithoutDenseBack, breaks="test_weights")
class EnlargedInTheMiddle(Mirrored):
    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__(in_channels, num_classes, widths, dense_width, dense_kernel)
        self.dense_back = conv_bn_relu(dense_width, widths[-1], 1, padding=0)

    def middle(self, x):
        return self.dense_back(F.interpolate(self.dense(x), size=tuple(x.shape[2:])))


@misconception("DeconvNet", breaks=SEVERAL, hint=2, source="students' answers")
class SwitchesOfAnotherStage(Mirrored):
    """A stage unpools with switches that are not its counterpart's, as with the first pooling's switches first."""

    def unpool(self, x, kept):
        return super().unpool(x, [kept.pop(0)])


@misconception("DeconvNet", breaks="test_any_size", hint=3, source="pytorch/pytorch, issue 580: 134 instead of 135")
class WithoutASize(Mirrored):
    """Unpooling is not told the size that the map had before pooling: odd sizes do not come back."""

    def unpool(self, x, kept):
        return F.max_unpool2d(x, kept.pop()[1], 2)


@variant(WithoutASize, breaks="test_any_size")
class PaddedToThePicture(WithoutASize):
    def last(self, features, picture):
        rows, cols = (one - other for one, other in zip(picture.shape[2:], features.shape[2:], strict=True))
        return F.pad(self.score(features), (0, cols, 0, rows))


@variant(WithoutASize, breaks="test_any_size")
class PaddedWithTheLastRow(WithoutASize):
    def last(self, features, picture):
        rows, cols = (one - other for one, other in zip(picture.shape[2:], features.shape[2:], strict=True))
        return F.pad(self.score(features), (0, cols, 0, rows), mode="replicate")


@variant(WithoutASize, breaks="test_any_size")
class EnlargedToThePicture(WithoutASize):
    def last(self, features, picture):
        return F.interpolate(self.score(features), size=tuple(picture.shape[2:]), mode="bilinear")


@variant(WithoutASize, breaks="test_any_size")
class BlocksToThePicture(WithoutASize):
    def last(self, features, picture):
        return F.interpolate(self.score(features), size=tuple(picture.shape[2:]))


@misconception("DeconvNet", breaks=MIRRORED, hint=1, source="DeconvNets with ConvTranspose2d(stride=2) after unpooling")
class EnlargedTwice(Mirrored):
    """A stage of the decoder enlarges twice: it unpools, and its transposed convolution has a stride as well."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        for block in self.decoder:
            block[0].stride, block[0].output_padding = (2, 2), (1, 1)


@variant(EnlargedTwice, breaks=MIRRORED)
class StrideWithoutOutputPadding(Mirrored):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        for block in self.decoder:
            block[0].stride = (2, 2)


@variant(EnlargedTwice, breaks=MIRRORED)
class EnlargedTwiceByScattering(EnlargedTwice):
    def unpool(self, x, kept):
        large, switches = kept.pop()
        flat = x.new_zeros(*x.shape[:2], large[0, 0].numel())
        return flat.scatter(2, switches.flatten(2), x.flatten(2)).reshape(*x.shape[:2], *large.shape[2:])


@misconception("DeconvNet", breaks=MIRRORED, hint=1, source="ZijunDeng/pytorch-semantic-segmentation, seg_net.py")
class WithoutSwitches(Mirrored):
    """The decoder enlarges its maps without switches: by interpolation, in blocks, or by a stride."""

    mode = "bilinear"

    def unpool(self, x, kept):
        return F.interpolate(x, size=tuple(kept.pop()[0].shape[2:]), mode=self.mode)


@variant(WithoutSwitches, breaks=MIRRORED)
class InBlocks(WithoutSwitches):
    mode = "nearest"


@variant(WithoutSwitches, breaks=MIRRORED)
class BedOfNails(Mirrored):
    def unpool(self, x, kept):
        wide = x.new_zeros(*x.shape[:2], *kept.pop()[0].shape[2:])
        wide[:, :, : 2 * x.shape[2] : 2, : 2 * x.shape[3] : 2] = x
        return wide


@variant(WithoutSwitches, breaks=MIRRORED)
class ByAStride(EnlargedTwice):
    def unpool(self, x, kept):
        kept.pop()
        return x

    def stage(self, block, x, large):
        return block[1:](block[0](x, output_size=large.shape[2:]))


@misconception("DeconvNet", breaks="test_weights", hint=3, source="meetps/pytorch-semseg; vanvalenlab/deepcell-tf, 624")
class NotBareScores(Mirrored):
    """Something stands behind the scores: batch normalization, ReLU, softmax. What comes out are no logits."""

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__(in_channels, num_classes, widths, dense_width, dense_kernel)
        self.score = conv_bn_relu(widths[0], num_classes, 1, padding=0)


@variant(NotBareScores, breaks=MIRRORED)
class SoftmaxLast(Mirrored):
    def last(self, features, picture):
        return self.score(features).softmax(1)


@variant(NotBareScores, breaks=MIRRORED)
class LogSoftmaxLast(Mirrored):
    def last(self, features, picture):
        return self.score(features).log_softmax(1)


@variant(NotBareScores, breaks=MIRRORED)
class ReluLast(Mirrored):
    def last(self, features, picture):
        return self.score(features).relu()


@variant(NotBareScores, breaks=MIRRORED)
class SigmoidLast(Mirrored):
    def last(self, features, picture):
        return self.score(features).sigmoid()


@misconception("DeconvNet", breaks=MIRRORED, hint=1, source="DeconvNets with U-Net's skips")
class WithSkips(Mirrored):
    """The encoder's maps are added to the decoder's: only switches and sizes may come over."""

    def unpool(self, x, kept):
        large = kept[-1][0]
        return super().unpool(x, kept) + large


@variant(WithSkips, breaks=MIRRORED)
class SkipsBeforeUnpooling(Mirrored):
    def unpool(self, x, kept):
        return super().unpool(x + F.max_pool2d(kept[-1][0], 2), kept)


@misconception("DeconvNet", breaks="test_weights", hint=2, source="meetps/pytorch-semseg, issue 44")
class OtherWeights(Mirrored):
    """The weights are not those of the statement: look at names, channels and kernels.

    The channels drop in another stage, stages are listed in another order or shared, or torch does not see them.
    """

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__(in_channels, num_classes, widths, dense_width, dense_kernel)
        self.dense_back = deconv_bn_relu(dense_width, widths[-2:][0], dense_kernel, padding=0)
        channels = [*list(widths)[::-1][1:], widths[0], widths[0]]
        self.decoder = nn.ModuleList(deconv_bn_relu(*pair) for pair in pairwise(channels))


@variant(OtherWeights, breaks="test_weights")
class ListedBackwards(Mirrored):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.decoder = self.decoder[::-1]

    def forward(self, x):
        self.decoder = self.decoder[::-1]
        logits = super().forward(x)
        self.decoder = self.decoder[::-1]
        return logits


@variant(OtherWeights, breaks="test_weights")
class PlainList(Mirrored):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        stages = list(self.decoder)
        del self.decoder
        self.decoder = stages


@variant(OtherWeights, breaks="test_weights")
class ScoreWithoutBias(Mirrored):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.score.bias = None
