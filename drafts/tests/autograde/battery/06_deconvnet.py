"""Answers to lesson 06 as students would write them, none of them a misconception: right_... ones must pass."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative, wrong
from seglab.networks import conv_bn_relu, deconv_bn_relu

# 1 · transposed_conv_size


@alternative("transposed_conv_size")
def right_size_step_by_step(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Adds one stamp after the other."""
    covered = dilation * (kernel_size - 1) + 1
    total = covered
    for _ in range(1, size):
        total += stride
    return total - padding - padding + output_padding


@alternative("transposed_conv_size")
def right_size_by_running(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Runs torch's layer on zeros."""
    weight = torch.zeros(1, 1, kernel_size)
    x = torch.zeros(1, 1, size)
    return F.conv_transpose1d(x, weight, None, stride, padding, output_padding, 1, dilation).shape[-1]


@wrong("transposed_conv_size", "times_the_stride")
def size_scaled_and_kernel(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """size * stride plus what the kernel sticks out, as if it began with the last whole stride."""
    return size * stride + dilation * (kernel_size - 1) + 1 - 2 * padding + output_padding


@wrong("transposed_conv_size", "dilation_not_between_values")
def size_dilated_minus_one(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """A dilated kernel of k * d - 1, right for dilation 1 only by adding one."""
    reach = kernel_size * dilation
    return (size - 1) * stride + reach - 2 * padding + output_padding


@wrong("transposed_conv_size", "padding_not_at_both_ends")
def size_of_the_slide(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Forgets to cut the end."""
    end = (size - 1) * stride + dilation * (kernel_size - 1) + 1
    return len(range(padding, end)) + output_padding


@wrong("transposed_conv_size", "last_row_for_their_number")
def size_fence_posts(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Returns the number of the last row."""
    last_start = (size - 1) * stride
    last_row = last_start + dilation * (kernel_size - 1)
    return last_row - 2 * padding + output_padding


@wrong("transposed_conv_size", "output_padding_at_both_ends")
def size_without_output_padding(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """output_padding is read and not used."""
    return (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + 1


@wrong("transposed_conv_size", "dilation_not_between_values")
def size_without_dilation(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """The formula of a slide that knows no dilation."""
    return stride * (size - 1) + kernel_size - 2 * padding + output_padding


@wrong("transposed_conv_size", "size_of_a_convolution")
def size_down(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """The way down, with math.floor."""
    effective = dilation * (kernel_size - 1) + 1
    return math.floor((size - effective + 2 * padding) / stride) + 1


@wrong("transposed_conv_size", "times_the_stride")
def size_scale_factor(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """The stride as a scale factor."""
    return int(size * stride)


@wrong("transposed_conv_size")
def size_for_even_kernels(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Half a kernel sticks out on each side, rounded down: right for odd kernels."""
    half = dilation * (kernel_size - 1) // 2
    return (size - 1) * stride + 1 + 2 * half - 2 * padding + output_padding


@wrong("transposed_conv_size", "output_padding_at_both_ends")
def size_output_padding_replaces(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """output_padding is taken off the padding of one side, and of the other."""
    return (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * max(padding - output_padding, 0)


# 2 · colliding_sizes


@alternative("colliding_sizes")
def right_colliding_comprehension(size, kernel_size, stride=1, padding=0, dilation=1):
    """Counts the starts of windows."""

    def windows(rows):
        return len(range(0, rows + 2 * padding - dilation * (kernel_size - 1), stride))

    return [rows for rows in range(1, 2 * size * stride + 2 * dilation * kernel_size) if windows(rows) == size]


@alternative("colliding_sizes")
def right_colliding_while(size, kernel_size, stride=1, padding=0, dilation=1):
    """Begins at the smallest and goes on as long as it fits."""
    rows = (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + 1
    end = rows + stride
    found = []
    while rows < end:
        if rows >= 1:
            found.append(rows)
        rows += 1
    return found


@wrong("colliding_sizes", "one_size")
def colliding_inverse(size, kernel_size, stride=1, padding=0, dilation=1):
    """Solves the formula for the size, and is done."""
    rows = (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * padding
    return [rows] if rows > 0 else []


@wrong("colliding_sizes", "sizes_rounded_up")
def colliding_ceil(size, kernel_size, stride=1, padding=0, dilation=1):
    """Searches with math.ceil."""
    reach = dilation * (kernel_size - 1) + 1
    rows = range(1, size * stride + reach + stride)
    return [
        one
        for one in rows
        if one + 2 * padding >= reach and math.ceil((one + 2 * padding - reach) / stride) + 1 == size
    ]


@wrong("colliding_sizes", "another_number_of_sizes")
def colliding_inclusive(size, kernel_size, stride=1, padding=0, dilation=1):
    """The end of the list is counted in."""
    low = (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * padding
    high = size * stride + dilation * (kernel_size - 1) + 1 - 2 * padding
    return [rows for rows in range(low, high + 1) if rows >= 1]


@wrong("colliding_sizes", "padding_not_on_both_sides")
def colliding_one_padding(size, kernel_size, stride=1, padding=0, dilation=1):
    """Padding on one side."""
    reach = dilation * (kernel_size - 1) + 1
    rows = range(1, size * stride + reach + 1)
    return [one for one in rows if one + padding >= reach and (one + padding - reach) // stride + 1 == size]


@wrong("colliding_sizes", "window_of_another_size")
def colliding_dilated(size, kernel_size, stride=1, padding=0, dilation=1):
    """A window of k * d."""
    low = (size - 1) * stride + kernel_size * dilation - 2 * padding
    return [rows for rows in range(low, low + stride) if rows >= 1]


@wrong("colliding_sizes", "no_window_fits")
def colliding_truncated(size, kernel_size, stride=1, padding=0, dilation=1):
    """int() in place of //."""
    found = []
    for rows in range(1, 3 * size * stride + 3 * dilation * kernel_size):
        if 1 + int((rows + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) == size:
            found.append(rows)
    return found


@wrong("colliding_sizes", "search_ends_too_early")
def colliding_short_search(size, kernel_size, stride=1, padding=0, dilation=1):
    """Looks no further than size * stride."""
    found = []
    for rows in range(1, size * stride + 1):
        room = rows + 2 * padding - dilation * (kernel_size - 1) - 1
        if room >= 0 and room // stride + 1 == size:
            found.append(rows)
    return found


@wrong("colliding_sizes", "sizes_below_one")
def colliding_negative(size, kernel_size, stride=1, padding=0, dilation=1):
    """Never asks whether there is such a picture."""
    low = (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * padding
    return [low + extra for extra in range(stride)]


@wrong("colliding_sizes")
def colliding_falling(size, kernel_size, stride=1, padding=0, dilation=1):
    """The largest first."""
    low = (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * padding
    return [rows for rows in range(low + stride - 1, low - 1, -1) if rows >= 1]


@wrong("colliding_sizes")
def colliding_tuple(size, kernel_size, stride=1, padding=0, dilation=1):
    """A range, not a list."""
    low = (size - 1) * stride + dilation * (kernel_size - 1) + 1 - 2 * padding
    return tuple(range(max(1, low), low + stride))


# 3 · conv_matrix


@alternative("conv_matrix")
def right_matrix_of_offsets(weight, height, width, stride=1, padding=0):
    """Output by output, a padded picture of weights that is cropped."""
    o, c, k, _ = weight.shape
    blocks = []
    for top in range(0, height + 2 * padding - k + 1, stride):
        for left in range(0, width + 2 * padding - k + 1, stride):
            place = F.pad(weight, (left, width + 2 * padding - k - left, top, height + 2 * padding - k - top))
            blocks.append(place[:, :, padding : padding + height, padding : padding + width].reshape(o, -1))
    return torch.stack(blocks, 1).reshape(-1, c * height * width)


def _entries(weight, height, width, stride, padding):
    """(output channel, row, column, input channel, y, x, weight) of all weights, those on the padding too."""
    o, c, k, _ = weight.shape
    rows, cols = (height + 2 * padding - k) // stride + 1, (width + 2 * padding - k) // stride + 1
    for oc, i, j in itertools.product(range(o), range(rows), range(cols)):
        for ic, a, b in itertools.product(range(c), range(k), range(k)):
            yield oc, i, j, ic, i * stride + a - padding, j * stride + b - padding, weight[oc, ic, a, b]


def _shape(weight, height, width, stride, padding):
    k = weight.shape[2]
    return (height + 2 * padding - k) // stride + 1, (width + 2 * padding - k) // stride + 1


@wrong("conv_matrix", "kernel_mirrored")
def matrix_as_in_mathematics(weight, height, width, stride=1, padding=0):
    """Mirrors the kernel entry by entry."""
    rows, cols = _shape(weight, height, width, stride, padding)
    M = torch.zeros(len(weight) * rows * cols, weight.shape[1] * height * width)
    mirrored = torch.flip(weight, (-1, -2))
    for oc, i, j, ic, y, x, value in _entries(mirrored, height, width, stride, padding):
        if 0 <= y < height and 0 <= x < width:
            M[(oc * rows + i) * cols + j, (ic * height + y) * width + x] = value
    return M


@wrong("conv_matrix", "wrapped_around")
def matrix_with_negative_indices(weight, height, width, stride=1, padding=0):
    """Only asks whether the flat place is too large; a negative one counts from the end."""
    rows, cols = _shape(weight, height, width, stride, padding)
    M = torch.zeros(len(weight) * rows * cols, weight.shape[1] * height * width)
    for oc, i, j, ic, y, x, value in _entries(weight, height, width, stride, padding):
        place = (ic * height + y) * width + x
        if place < M.shape[1]:
            M[(oc * rows + i) * cols + j, place] += value
    return M


@wrong("conv_matrix", "one_side_for_both")
def matrix_height_as_row_length(weight, height, width, stride=1, padding=0):
    """A row of the picture is taken to be `height` places long."""
    rows, cols = _shape(weight, height, width, stride, padding)
    M = torch.zeros(len(weight) * rows * cols, weight.shape[1] * height * width)
    for oc, i, j, ic, y, x, value in _entries(weight, height, width, stride, padding):
        if 0 <= y < height and 0 <= x < width:
            M[(oc * rows + i) * cols + j, (ic * height * width + y * height + x) % M.shape[1]] = value
    return M


@wrong("conv_matrix", "another_order")
def matrix_interleaved(weight, height, width, stride=1, padding=0):
    """Output channels side by side for each pixel."""
    rows, cols = _shape(weight, height, width, stride, padding)
    M = torch.zeros(len(weight) * rows * cols, weight.shape[1] * height * width)
    for oc, i, j, ic, y, x, value in _entries(weight, height, width, stride, padding):
        if 0 <= y < height and 0 <= x < width:
            M[(i * cols + j) * len(weight) + oc, (ic * height + y) * width + x] = value
    return M


@wrong("conv_matrix", "windows_side_by_side")
def matrix_stride_forgotten(weight, height, width, stride=1, padding=0):
    """The right number of rows, but windows one pixel apart."""
    rows, cols = _shape(weight, height, width, stride, padding)
    k = weight.shape[2]
    picture = torch.zeros(len(weight), rows, cols, weight.shape[1], height + 2 * padding, width + 2 * padding)
    for i in range(rows):
        for j in range(cols):
            picture[:, i, j, :, i : i + k, j : j + k] = weight
    picture = picture[:, :, :, :, padding : height + padding, padding : width + padding]
    return picture.reshape(len(weight) * rows * cols, -1)


@wrong("conv_matrix", "padding_has_columns")
def matrix_of_the_padded(weight, height, width, stride=1, padding=0):
    """The matrix for the padded picture."""
    rows, cols = _shape(weight, height, width, stride, padding)
    tall, wide = height + 2 * padding, width + 2 * padding
    M = torch.zeros(len(weight) * rows * cols, weight.shape[1] * tall * wide)
    for oc, i, j, ic, y, x, value in _entries(weight, height, width, stride, padding):
        M[(oc * rows + i) * cols + j, (ic * tall + y + padding) * wide + x + padding] = value
    return M


@wrong("conv_matrix", "matrix_transposed")
def matrix_of_the_way_back(weight, height, width, stride=1, padding=0):
    """A column for each output."""
    return right_matrix_of_offsets(weight, height, width, stride, padding).mT.contiguous()


@wrong("conv_matrix", "channels_of_the_transpose")
def matrix_without_input_channels(weight, height, width, stride=1, padding=0):
    """Sums the kernels of all input channels and places the sum on the first."""
    alone = torch.zeros_like(weight)
    alone[:, 0] = weight.sum(1)
    return right_matrix_of_offsets(alone, height, width, stride, padding)


@wrong("conv_matrix")
def matrix_in_double(weight, height, width, stride=1, padding=0):
    """float64 comes out."""
    return right_matrix_of_offsets(weight.double(), height, width, stride, padding)


@wrong("conv_matrix", "windows_side_by_side")
def matrix_rounded_up(weight, height, width, stride=1, padding=0):
    """One more window at the end, where pixels are left over, reaching beyond the picture."""
    extra = [-(size + 2 * padding - weight.shape[2]) % stride for size in (height, width)]
    M = right_matrix_of_offsets(weight, height + extra[0], width + extra[1], stride, padding)
    M = M.reshape(len(M), weight.shape[1], height + extra[0], width + extra[1])[:, :, :height, :width]
    return M.flatten(1)


# 4 · transposed_conv2d


def _stamps(x, weight, i, j):
    return (x[:, :, i, j, None, None, None] * weight[None]).sum(1)


def _with_bias(y, bias):
    return y if bias is None else y + bias.view(1, -1, 1, 1)


@alternative("transposed_conv2d")
def right_transposed_by_padding(x, weight, bias=None, stride=1, padding=0):
    """Pads each stamp to the whole map, and sums a list."""
    k = weight.shape[2]
    rows, cols = (x.shape[2] - 1) * stride + k, (x.shape[3] - 1) * stride + k
    layers = []
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            sides = (j * stride, cols - k - j * stride, i * stride, rows - k - i * stride)
            layers.append(F.pad(_stamps(x, weight, i, j), sides))
    y = torch.stack(layers).sum(0)
    return _with_bias(y[:, :, padding : rows - padding, padding : cols - padding], bias)


@alternative("transposed_conv2d")
def right_transposed_pixel_by_pixel(x, weight, bias=None, stride=1, padding=0):
    """Each output asks which values reach it."""
    k = weight.shape[2]
    rows, cols = (x.shape[2] - 1) * stride + k - 2 * padding, (x.shape[3] - 1) * stride + k - 2 * padding
    out = []
    for r in range(rows):
        for c in range(cols):
            total = x.new_zeros(len(x), weight.shape[1])
            for i, j in itertools.product(range(x.shape[2]), range(x.shape[3])):
                a, b = r + padding - i * stride, c + padding - j * stride
                if 0 <= a < k and 0 <= b < k:
                    total = total + x[:, :, i, j] @ weight[:, :, a, b]
            out.append(total)
    return _with_bias(torch.stack(out, -1).unflatten(-1, (rows, cols)), bias)


@wrong("transposed_conv2d", "stamps_not_added")
def transposed_last_stamp(x, weight, bias=None, stride=1, padding=0):
    """= in place of +=."""
    k = weight.shape[2]
    y = torch.zeros(len(x), weight.shape[1], (x.shape[2] - 1) * stride + k, (x.shape[3] - 1) * stride + k)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            y[:, :, i * stride : i * stride + k, j * stride : j * stride + k] = _stamps(x, weight, i, j)
    return _with_bias(y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding], bias)


@wrong("transposed_conv2d", "stamps_mirrored")
def transposed_unmirrored_convolution(x, weight, bias=None, stride=1, padding=0):
    """Inserts zeros, then convolves with the kernel as it is."""
    k = weight.shape[2]
    spread = x.new_zeros(*x.shape[:2], (x.shape[2] - 1) * stride + 1, (x.shape[3] - 1) * stride + 1)
    spread[:, :, ::stride, ::stride] = x
    y = F.conv2d(spread, weight.transpose(0, 1), bias, padding=k - 1)
    return y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding]


@wrong("transposed_conv2d", "weights_of_a_convolution")
def transposed_out_first(x, weight, bias=None, stride=1, padding=0):
    """einsum with output channels first."""
    k = weight.shape[2]
    y = x.new_zeros(len(x), weight.shape[0], (x.shape[2] - 1) * stride + k, (x.shape[3] - 1) * stride + k)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            stamp = torch.einsum("oikl,ni->nokl", weight, x[:, :, i, j])
            y[:, :, i * stride : i * stride + k, j * stride : j * stride + k] += stamp
    return _with_bias(y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding], bias)


@wrong("transposed_conv2d", "empty_without_padding")
def transposed_minus_zero(x, weight, bias=None, stride=1, padding=0):
    """[padding:-padding] for every padding."""
    y = right_transposed_by_padding(x, weight, bias, stride)
    return y[:, :, padding:-padding, padding:-padding]


@wrong("transposed_conv2d", "padding_does_not_cut")
def transposed_pads(x, weight, bias=None, stride=1, padding=0):
    """Pads the result with zeros."""
    y = F.pad(right_transposed_by_padding(x, weight, None, stride), (padding, padding, padding, padding))
    return _with_bias(y, bias)


@wrong("transposed_conv2d", "another_place_for_stamps")
def transposed_cropped_to_scale(x, weight, bias=None, stride=1, padding=0):
    """Crops whatever comes to `stride` times the size."""
    y = right_transposed_by_padding(x, weight, bias, stride)
    y = F.pad(y, (0, stride, 0, stride))
    y = y[:, :, : x.shape[2] * stride, : x.shape[3] * stride]
    return y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding]


@wrong("transposed_conv2d", "bias_not_once")
def transposed_bias_first(x, weight, bias=None, stride=1, padding=0):
    """The bias is added to each stamp."""
    k = weight.shape[2]
    y = torch.zeros(len(x), weight.shape[1], (x.shape[2] - 1) * stride + k, (x.shape[3] - 1) * stride + k)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            window = y[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            window += _with_bias(_stamps(x, weight, i, j), bias)
    return y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding]


@wrong("transposed_conv2d", "no_gradient_left")
def transposed_numpy(x, weight, bias=None, stride=1, padding=0):
    """Through numpy."""
    xs, ws, k = x.detach().numpy(), weight.detach().numpy(), weight.shape[2]
    y = np.zeros((len(xs), ws.shape[1], (x.shape[2] - 1) * stride + k, (x.shape[3] - 1) * stride + k), np.float32)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            y[:, :, i * stride : i * stride + k, j * stride : j * stride + k] += np.tensordot(xs[:, :, i, j], ws, 1)
    y = y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding]
    return torch.from_numpy(y if bias is None else y + bias.detach().numpy()[:, None, None])


@wrong("transposed_conv2d", "another_place_for_stamps")
def transposed_width_for_both(x, weight, bias=None, stride=1, padding=0):
    """Loops over as many rows as columns, and over no more than there are."""
    side = min(x.shape[2:])
    return right_transposed_by_padding(x[:, :, :side, :side], weight, bias, stride, padding)


@wrong("transposed_conv2d", "weights_of_a_convolution")
def transposed_first_picture(x, weight, bias=None, stride=1, padding=0):
    """Only the first picture of the batch, for all."""
    y = right_transposed_by_padding(x[:1], weight, bias, stride, padding)
    return y.repeat(len(x), 1, 1, 1)


@wrong("transposed_conv2d")
def transposed_gathers(x, weight, bias=None, stride=1, padding=0):
    """A convolution, with channels exchanged so that it runs."""
    return F.conv2d(F.pad(x, [weight.shape[2]] * 4), weight.transpose(0, 1), bias, stride, padding)


@wrong("transposed_conv2d", "no_gradient_left")
def transposed_items(x, weight, bias=None, stride=1, padding=0):
    """Kernels multiplied by .item()."""
    k = weight.shape[2]
    y = torch.zeros(len(x), weight.shape[1], (x.shape[2] - 1) * stride + k, (x.shape[3] - 1) * stride + k)
    for n, c, i, j in itertools.product(*(range(side) for side in x.shape)):
        y[n, :, i * stride : i * stride + k, j * stride : j * stride + k] += x[n, c, i, j].item() * weight[c]
    return _with_bias(y[:, :, padding : y.shape[2] - padding, padding : y.shape[3] - padding], bias)


# 5 · overlap_count


@alternative("overlap_count")
def right_overlap_by_torch(size, kernel_size, stride, padding=0):
    """torch's transposed convolution of ones."""
    ones = torch.ones(1, 1, size[0], size[1])
    return F.conv_transpose2d(ones, torch.ones(1, 1, kernel_size, kernel_size), None, stride, padding)[0, 0].long()


@alternative("overlap_count")
def right_overlap_by_index(size, kernel_size, stride, padding=0):
    """bincount of all rows and columns that stamps cover."""

    def along(number):
        covered = (stride * torch.arange(number))[:, None] + torch.arange(kernel_size)
        count = torch.bincount(covered.flatten(), minlength=(number - 1) * stride + kernel_size)
        return count[padding : len(count) - padding]

    rows, cols = along(size[0]), along(size[1])
    return rows.unsqueeze(1) * cols.unsqueeze(0)


@wrong("overlap_count", "floats_counted")
def overlap_float(size, kernel_size, stride, padding=0):
    """The transposed convolution of ones, as it comes."""
    ones = torch.ones(1, 1, *size)
    return F.conv_transpose2d(ones, torch.ones(1, 1, kernel_size, kernel_size), None, stride, padding)[0, 0]


@wrong("overlap_count", "directions_not_multiplied")
def overlap_sum(size, kernel_size, stride, padding=0):
    """Rows and columns stamp on the same table one after the other."""
    height, width = ((number - 1) * stride + kernel_size for number in size)
    table = torch.zeros(height, width, dtype=torch.int64)
    for i in range(size[0]):
        table[i * stride : i * stride + kernel_size] += 1
    for j in range(size[1]):
        table[:, j * stride : j * stride + kernel_size] += 1
    return table[padding : height - padding, padding : width - padding]


@wrong("overlap_count", "height_and_width_exchanged")
def overlap_width_first(size, kernel_size, stride, padding=0):
    """Unpacks (width, height)."""
    w, h = size
    return right_overlap_by_index((h, w), kernel_size, stride, padding)


@wrong("overlap_count", "border_like_the_inside")
def overlap_modulo(size, kernel_size, stride, padding=0):
    """Each place of the pattern is counted as deep inside: a matter of its remainder."""

    def along(number):
        place = torch.arange(padding, (number - 1) * stride + kernel_size - padding)
        return (kernel_size - 1 - place % stride) // stride + 1

    return along(size[0])[:, None] * along(size[1])


@wrong("overlap_count", "padding_cuts_otherwise")
def overlap_uncut(size, kernel_size, stride, padding=0):
    """Padding has no effect."""
    return right_overlap_by_index(size, kernel_size, stride)


@wrong("overlap_count", "padding_cuts_otherwise")
def overlap_cut_twice(size, kernel_size, stride, padding=0):
    """2 * padding on each side, clipped where nothing would be left."""
    full = right_overlap_by_index(size, kernel_size, stride)
    cut = [min(2 * padding, (side - 1) // 2) for side in full.shape]
    return full[cut[0] : full.shape[0] - cut[0], cut[1] : full.shape[1] - cut[1]]


@wrong("overlap_count", "covered_or_not")
def overlap_assigned(size, kernel_size, stride, padding=0):
    """= 1 in place of += 1."""
    height, width = ((number - 1) * stride + kernel_size for number in size)
    table = torch.zeros(height, width, dtype=torch.int64)
    for i in range(size[0]):
        for j in range(size[1]):
            table[i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size] = 1
    return table[padding : height - padding, padding : width - padding]


@wrong("overlap_count", "height_and_width_exchanged")
def overlap_square(size, kernel_size, stride, padding=0):
    """The line of the height, for both."""
    count = right_overlap_by_index((size[0], 1), kernel_size, stride, padding)[:, :1]
    return count @ count.T


@wrong("overlap_count", "stamps_elsewhere")
def overlap_diagonal(size, kernel_size, stride, padding=0):
    """One loop for both directions: stamps on the diagonal only."""
    height, width = ((number - 1) * stride + kernel_size for number in size)
    table = torch.zeros(height, width, dtype=torch.int64)
    for i in range(min(size)):
        table[i * stride : i * stride + kernel_size, i * stride : i * stride + kernel_size] += 1
    return table[padding : height - padding, padding : width - padding]


@wrong("overlap_count", "stamps_elsewhere")
def overlap_without_stride(size, kernel_size, stride, padding=0):
    """Stamps one pixel apart, on the right size."""
    height, width = ((number - 1) * stride + kernel_size for number in size)
    table = torch.zeros(height, width, dtype=torch.int64)
    for i in range(size[0]):
        for j in range(size[1]):
            table[i : i + kernel_size, j : j + kernel_size] += 1
    return table[padding : height - padding, padding : width - padding]


# 6 · max_pool_with_switches


@alternative("max_pool_with_switches")
def right_pool_sorting(x, k):
    """A stable sort of each block, largest first."""
    n, c, height, width = x.shape
    rows, cols = height // k, width // k
    cut = x[:, :, : rows * k, : cols * k].reshape(n, c, rows, k, cols, k).permute(0, 1, 2, 4, 3, 5)
    order = torch.sort(cut.reshape(n, c, rows, cols, k * k), dim=-1, descending=True, stable=True)
    first = order.indices[..., 0]
    i = torch.arange(rows).view(-1, 1) * k + torch.div(first, k, rounding_mode="floor")
    j = torch.arange(cols).view(1, -1) * k + first.remainder(k)
    return order.values[..., 0], i * width + j


@alternative("max_pool_with_switches")
def right_pool_two_maxima(x, k):
    """The largest of each row of a block, then of these."""
    width = x.shape[3]
    windows = x.unfold(2, k, k).unfold(3, k, k)
    by_row, col = windows.max(dim=-1)  # (N, C, rows, cols, k)
    best, row = by_row.max(dim=-1)
    col = col.gather(-1, row.unsqueeze(-1)).squeeze(-1)
    down = torch.arange(best.shape[2]).mul(k).unsqueeze(1)
    across = torch.arange(best.shape[3]).mul(k)
    return best, (down + row) * width + (across + col)


def _loops(x, k, better=lambda new, old: new > old, start=None, rows=None, cols=None, number=None):
    """Pixel by pixel, as students write it."""
    n, c, height, width = x.shape
    rows, cols = rows or height // k, cols or width // k
    pooled, switches = torch.zeros(n, c, rows, cols), torch.zeros(n, c, rows, cols, dtype=torch.int64)
    for b in range(n):
        for ch in range(c):
            for i in range(rows):
                for j in range(cols):
                    best, place = (x[b, ch, i * k, j * k], (i * k, j * k)) if start is None else start
                    for row in range(i * k, min(i * k + k, height)):
                        for col in range(j * k, min(j * k + k, width)):
                            if better(x[b, ch, row, col], best):
                                best, place = x[b, ch, row, col], (row, col)
                    pooled[b, ch, i, j] = best
                    switches[b, ch, i, j] = number(b, ch, *place) if number else place[0] * width + place[1]
    return pooled, switches


@wrong("max_pool_with_switches", "within_the_block")
def pool_modulo(x, k):
    """Rows and columns modulo k, so numbers within the block again."""
    return _loops(x, k, number=lambda b, ch, row, col: row % k * k + col % k)


@wrong("max_pool_with_switches", "across_channels")
def pool_whole_tensor(x, k):
    """Numbered through the whole tensor."""
    _, c, height, width = x.shape
    return _loops(x, k, number=lambda b, ch, row, col: ((b * c + ch) * height + row) * width + col)


@wrong("max_pool_with_switches", "another_width")
def pool_trimmed(x, k):
    """Cut to whole blocks first, and then the cut map's width."""
    x = x[:, :, : x.shape[2] // k * k, : x.shape[3] // k * k]
    return _loops(x, k)


@wrong("max_pool_with_switches", "another_width")
def pool_height_times_row(x, k):
    """row * H + column."""
    height = x.shape[2]
    return _loops(x, k, number=lambda b, ch, row, col: row * height + col)


@wrong("max_pool_with_switches", "another_of_equals")
def pool_last(x, k):
    """Greater or equal: the last of equal values."""
    return _loops(x, k, better=lambda new, old: new >= old)


@wrong("max_pool_with_switches", "begins_with_zero")
def pool_from_zero(x, k):
    """The search begins with 0 at place 0."""
    return _loops(x, k, start=(0.0, (0, 0)))


@wrong("max_pool_with_switches", "rounded_up")
def pool_ceil(x, k):
    """Left-over rows and columns make smaller blocks."""
    return _loops(x, k, rows=-(-x.shape[2] // k), cols=-(-x.shape[3] // k))


@wrong("max_pool_with_switches", "gradient_elsewhere")
def pool_items(x, k):
    """Values through numpy."""
    table = x.detach().numpy()
    rows, cols = x.shape[2] // k, x.shape[3] // k
    cut = table[:, :, : rows * k, : cols * k].reshape(*x.shape[:2], rows, k, cols, k).swapaxes(3, 4)
    flat = cut.reshape(*x.shape[:2], rows, cols, k * k)
    first = flat.argmax(-1)
    row = np.arange(rows)[:, None] * k + first // k
    return torch.from_numpy(flat.max(-1)), torch.from_numpy(row * x.shape[3] + np.arange(cols) * k + first % k)


@wrong("max_pool_with_switches")
def pool_pairs(x, k):
    """Row and column of the block, not of the pixel."""
    width = x.shape[3]
    return _loops(x, k, number=lambda b, ch, row, col: row // k * width + col // k)


@wrong("max_pool_with_switches", "gradient_elsewhere")
def pool_shared_gradient(x, k):
    """amax for the values, argmax for the places."""
    windows = x.unfold(2, k, k).unfold(3, k, k)
    place = windows.flatten(4).argmax(-1)
    rows, cols = place.shape[2:]
    row = torch.arange(rows)[:, None] * k + place // k
    return windows.amax((-2, -1)), row * x.shape[3] + torch.arange(cols) * k + place % k


@wrong("max_pool_with_switches")
def pool_by_absolute_value(x, k):
    """The value that is furthest from 0."""
    windows = x.unfold(2, k, k).unfold(3, k, k).flatten(4)
    place = windows.abs().argmax(-1)
    rows, cols = place.shape[2:]
    row = torch.arange(rows)[:, None] * k + place // k
    return windows.gather(4, place[..., None])[..., 0], row * x.shape[3] + torch.arange(cols) * k + place % k


# 7 · max_unpool


@alternative("max_unpool")
def right_unpool_put(y, switches, output_size):
    """One long line, with an offset for each map."""
    n, c = y.shape[:2]
    size = output_size[0] * output_size[1]
    offset = torch.arange(n * c).reshape(n, c, 1, 1) * size
    line = torch.zeros(n * c * size).index_put(((switches + offset).flatten(),), y.flatten())
    return line.reshape(n, c, *output_size)


@alternative("max_unpool")
def right_unpool_adding(y, switches, output_size):
    """scatter_add on zeros of the same kind."""
    height, width = output_size
    large = torch.zeros(y.size(0), y.size(1), height * width, dtype=y.dtype, device=y.device)
    large = large.scatter_add(-1, switches.view(*switches.shape[:2], -1), y.contiguous().view(*y.shape[:2], -1))
    return large.view(y.size(0), y.size(1), height, width)


def _unpool(y, place, height, width):
    """Loops; place(value's index) -> row, column; whatever lies outside is lost."""
    large = torch.zeros(*y.shape[:2], height, width)
    for index in itertools.product(*(range(one) for one in y.shape)):
        row, col = place(index)
        if 0 <= row < height and 0 <= col < width:
            large[index[0], index[1], row, col] = y[index]
    return large


@wrong("max_unpool", "switches_not_used")
def unpool_corners(y, switches, output_size):
    """Each value twice as far from the corner."""
    return _unpool(y, lambda index: (2 * index[2], 2 * index[3]), *output_size)


@wrong("max_unpool", "twice_the_size")
def unpool_doubled(y, switches, output_size):
    """Twice the small map, whatever output_size says."""
    width = 2 * y.shape[3]
    return _unpool(y, lambda index: divmod(switches[index].item(), width), 2 * y.shape[2], width)


@wrong("max_unpool", "twice_the_size")
def unpool_doubled_then_cut(y, switches, output_size):
    """Scattered on a map of twice the width, put into the size that was asked for."""
    width = 2 * y.shape[3]
    return _unpool(y, lambda index: divmod(switches[index].item(), width), *output_size)


@wrong("max_unpool", "width_of_the_small_map")
def unpool_height(y, switches, output_size):
    """divmod by the height."""
    return _unpool(y, lambda index: divmod(switches[index].item(), output_size[0]), *output_size)


@wrong("max_unpool", "sides_exchanged")
def unpool_sides(y, switches, output_size):
    """width, height = output_size."""
    width, height = output_size
    return _unpool(y, lambda index: divmod(switches[index].item(), width), height, width)


@wrong("max_unpool", "one_line_for_all")
def unpool_overwrites(y, switches, output_size):
    """The first picture's and channel's map only: every value goes there."""
    flat = torch.zeros(y.shape[0] * y.shape[1] * output_size[0] * output_size[1])
    flat[switches.reshape(-1)] = y.reshape(-1)
    return flat.view(y.shape[0], y.shape[1], *output_size)


@wrong("max_unpool", "one_place_off")
def unpool_from_one(y, switches, output_size):
    """Places counted from 1."""
    return _unpool(y, lambda index: divmod(switches[index].item() - 1, output_size[1]), *output_size)


@wrong("max_unpool", "values_detached")
def unpool_numpy(y, switches, output_size):
    """numpy's put_along_axis."""
    large = np.zeros((*y.shape[:2], output_size[0] * output_size[1]), dtype=np.float32)
    np.put_along_axis(large, switches.flatten(2).numpy(), y.detach().flatten(2).numpy(), 2)
    return torch.from_numpy(large).reshape(*y.shape[:2], *output_size)


@wrong("max_unpool", "one_line_for_all")
def unpool_same_for_all_pictures(y, switches, output_size):
    """The first picture's switches serve for the batch."""
    large = torch.zeros(*y.shape[:2], output_size[0] * output_size[1])
    for channel in range(y.shape[1]):
        large[:, channel, switches[0, channel].flatten()] = y[:, channel].flatten(1)
    return large.reshape(*y.shape[:2], *output_size)


@wrong("max_unpool")
def unpool_filled_with_the_smallest(y, switches, output_size):
    """The gaps hold the smallest value in place of 0."""
    n, c = y.shape[:2]
    large = y.min().expand(n, c, output_size[0] * output_size[1]).clone()
    return large.scatter(2, switches.flatten(2), y.flatten(2)).reshape(n, c, *output_size)


@wrong("max_unpool", "switches_not_used")
def unpool_blocks(y, switches, output_size):
    """Repeats each value in its block, cut or padded to the size."""
    height, width = output_size
    large = y.repeat_interleave(-(-height // y.shape[2]), 2).repeat_interleave(-(-width // y.shape[3]), 3)
    return large[:, :, :height, :width]


# 8 · DeconvNet


@alternative("DeconvNet")
class right_deconvnet_stack(nn.Module):
    """One list for the way down, popped on the way up; unpooling by scattering."""

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__()
        encoder, decoder = [], []
        previous = in_channels
        for index, width in enumerate(widths):
            encoder.append(conv_bn_relu(previous, width))
            decoder.append(deconv_bn_relu(width, widths[max(index - 1, 0)]))
            previous = width
        decoder.reverse()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.dense = conv_bn_relu(previous, dense_width, dense_kernel, padding=0)
        self.dense_back = deconv_bn_relu(dense_width, previous, dense_kernel, padding=0)
        self.score = nn.Conv2d(widths[0], num_classes, 1)

    def down(self, x):
        return F.max_pool2d(x, 2, stride=2, return_indices=True)

    def up(self, x, switches, size):
        flat = x.new_zeros(*x.shape[:2], size[0] * size[1])
        return flat.scatter(2, switches.flatten(2), x.flatten(2)).unflatten(2, tuple(size))

    def turn(self, x):
        return self.dense_back(self.dense(x))

    def forward(self, x):
        stack = []
        for block in self.encoder:
            x = block(x)
            size = x.shape[2:]
            x, switches = self.down(x)
            stack.append((switches, size))
        x = self.turn(x)
        for block in self.decoder:
            x = block(self.up(x, *stack.pop()))
        return self.score(x)


_Right = right_deconvnet_stack


@wrong("DeconvNet", "WithoutDenseBack")
class net_without_the_turn(_Right):
    """Neither dense nor dense_back: pooling, then unpooling at once."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        del self.dense
        del self.dense_back

    def turn(self, x):
        return x


@wrong("DeconvNet", "WithoutDenseBack")
class net_padded_dense(_Right):
    """dense keeps the size by padding, and a 1 x 1 layer leads back."""

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__(in_channels, num_classes, widths, dense_width, dense_kernel)
        self.dense = conv_bn_relu(widths[-1], dense_width, dense_kernel, padding=dense_kernel // 2)
        self.dense_back = deconv_bn_relu(dense_width, widths[-1], 1, padding=0)

    def turn(self, x):
        return super().turn(x)[:, :, : x.shape[2], : x.shape[3]]


@wrong("DeconvNet", "SwitchesOfAnotherStage")
class net_first_switches_first(_Right):
    """The list of switches is read from its front."""

    def forward(self, x):
        switches, sizes = [], []
        for block in self.encoder:
            x = block(x)
            sizes.append(x.shape[2:])
            x, places = F.max_pool2d(x, 2, 2, return_indices=True)
            switches.append(places)
        x = self.turn(x)
        for block, places, size in zip(self.decoder, switches, sizes, strict=True):
            x = block(F.max_unpool2d(x, places, 2, 2, output_size=tuple(size)))
        return self.score(x)


@wrong("DeconvNet", "WithoutASize")
class net_no_size(_Right):
    """MaxUnpool2d without a size."""

    def up(self, x, switches, size):
        return nn.MaxUnpool2d(2, 2)(x, switches)


@wrong("DeconvNet", "WithoutASize")
class net_no_size_but_resized(_Right):
    """The same, and at the end the logits are enlarged to the picture."""

    def up(self, x, switches, size):
        return F.max_unpool2d(x, switches, 2)

    def forward(self, x):
        return F.interpolate(super().forward(x), size=x.shape[2:], mode="bilinear", align_corners=False)


@wrong("DeconvNet", "EnlargedTwice")
class net_strided(_Right):
    """The decoder's transposed convolutions have a stride of 2 on top of unpooling."""

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__(in_channels, num_classes, widths, dense_width, dense_kernel)
        self.decoder = nn.ModuleList()
        channels = [*list(widths)[::-1], widths[0]]
        for a, b in itertools.pairwise(channels):
            layer = nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1, bias=False)
            self.decoder.append(nn.Sequential(layer, nn.BatchNorm2d(b), nn.ReLU()))


@wrong("DeconvNet", "WithoutSwitches")
class net_bilinear(_Right):
    """Maps are enlarged bilinearly."""

    def up(self, x, switches, size):
        return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


@wrong("DeconvNet", "WithoutSwitches")
class net_upsample(_Right):
    """nn.Upsample in blocks."""

    def up(self, x, switches, size):
        return nn.Upsample(size=tuple(size))(x)


@wrong("DeconvNet", "NotBareScores")
class net_score_block(_Right):
    """The scores come from a block, with batch normalization and ReLU."""

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__(in_channels, num_classes, widths, dense_width, dense_kernel)
        self.score = conv_bn_relu(widths[0], num_classes, kernel_size=1, padding=0)


@wrong("DeconvNet", "NotBareScores")
class net_probabilities(_Right):
    """A softmax over the classes."""

    def forward(self, x):
        return torch.softmax(super().forward(x), dim=1)


@wrong("DeconvNet", "WithSkips")
class net_with_skips(_Right):
    """The encoder's map is added before the decoder's stage."""

    def forward(self, x):
        stack = []
        for block in self.encoder:
            x = block(x)
            pooled, switches = self.down(x)
            stack.append((switches, x))
            x = pooled
        x = self.turn(x)
        for block in self.decoder:
            switches, skip = stack.pop()
            x = block(skip + self.up(x, switches, skip.shape[2:]))
        return self.score(x)


@wrong("DeconvNet", "OtherWeights")
class net_decoder_as_listed(_Right):
    """The decoder is stored like the encoder, and runs backwards."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.decoder = nn.ModuleList(list(self.decoder)[::-1])

    def forward(self, x):
        stack = []
        for block in self.encoder:
            x = block(x)
            size = x.shape[2:]
            x, switches = self.down(x)
            stack.append((switches, size))
        x = self.turn(x)
        for block in reversed(self.decoder):
            x = block(self.up(x, *stack.pop()))
        return self.score(x)


@wrong("DeconvNet", "OtherWeights")
class net_other_names(_Right):
    """The way back is called otherwise."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.fc, self.fc_back = self.dense, self.dense_back
        del self.dense, self.dense_back

    def turn(self, x):
        return self.fc_back(self.fc(x))


@wrong("DeconvNet", "OtherWeights")
class net_plain_lists(_Right):
    """Stages in plain lists."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        encoder, decoder = list(self.encoder), list(self.decoder)
        del self.encoder, self.decoder
        self.encoder, self.decoder = encoder, decoder


@wrong("DeconvNet", "WithSkips")
class net_around_the_turn(_Right):
    """A residual connection around the dense layers."""

    def turn(self, x):
        return super().turn(x) + x


@wrong("DeconvNet")
class net_bare_dense(_Right):
    """dense without its ReLU."""

    def turn(self, x):
        return self.dense_back(self.dense[:2](x))
