"""Answers to lesson 06 as students would write them, none of them a misconception: right_... ones must pass."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F

from autograde.graders.candidates import alternative, wrong

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


@alternative("max_pool_with_switches")
def right_max_pool_with_switches(x):
    raise NotImplementedError("TODO(max_pool_with_switches): right answers; then eight wrong ones with their causes")


@wrong("max_pool_with_switches", "max_pool_with_switches_misunderstood")
def max_pool_with_switches_and_negated(x):
    return -x


@alternative("max_unpool")
def right_max_unpool(x):
    raise NotImplementedError("TODO(max_unpool): right answers; then eight wrong ones with their causes")


@wrong("max_unpool", "max_unpool_misunderstood")
def max_unpool_and_negated(x):
    return -x


@alternative("DeconvNet")
def right_DeconvNet(x):
    raise NotImplementedError("TODO(DeconvNet): right answers; then eight wrong ones with their causes")


@wrong("DeconvNet", "DeconvNet_misunderstood")
def DeconvNet_and_negated(x):
    return -x
