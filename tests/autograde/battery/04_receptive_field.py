"""Answers to the exercises of lesson 04, right and wrong ones, as students write them from what they are given."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative, wrong


def map_size(size, layers):
    """(size, jump) of the map along one side, as the exercise notebook gives it."""
    for layer in layers:
        around, reach = 2 * layer.get("padding", 0), layer.get("dilation", 1) * (layer["kernel_size"] - 1)
        size = 1 + (size - 1 + around - reach) // layer["stride"]
    return size, math.prod(layer["stride"] for layer in layers)


def copied_layers(network):
    """The layers in order, each a copy of its own, as the exercise notebook gives it."""
    if isinstance(network, nn.Sequential):
        return [layer for part in network for layer in copied_layers(part)]
    return [copy.deepcopy(network)]


def number(setting):
    """One number for rows and columns, as the exercise notebook gives it."""
    return setting if isinstance(setting, int) else setting[0]


# --------------------------------------------------------------------------- receptive_field


@alternative("receptive_field")
def right_backwards(layers):
    """From the last output down to the pixels: first and last place of two neighbours."""
    ends = [[0, 0], [1, 1]]
    for layer in reversed(layers):
        reach = layer.get("dilation", 1) * (layer["kernel_size"] - 1)
        for pair in ends:
            pair[0] = pair[0] * layer["stride"] - layer.get("padding", 0)
            pair[1] = pair[1] * layer["stride"] - layer.get("padding", 0) + reach
    (first, last), (second, _) = ends
    return last - first + 1, second - first, first


@alternative("receptive_field")
def right_sums(layers):
    """Jumps before every layer first, then two sums."""
    jumps = [1]
    for layer in layers:
        jumps.append(jumps[-1] * layer["stride"])
    size = 1 + sum(j * l.get("dilation", 1) * (l["kernel_size"] - 1) for j, l in zip(jumps, layers, strict=False))
    start = -sum(j * l.get("padding", 0) for j, l in zip(jumps, layers, strict=False))
    return size, jumps[-1], start


@wrong("receptive_field", "jump_used_after_its_update")
def jump_first(layers):
    """The jump is multiplied by the stride before the layer uses it."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        k, s = layer["kernel_size"], layer["stride"]
        p, d = layer.get("padding", 0), layer.get("dilation", 1)
        jump *= s
        size += (k - 1) * d * jump
        start -= p * jump
    return size, jump, start


@wrong("receptive_field", "padding_with_the_other_sign")
def jump_between(layers):
    """The size uses the old jump, the start the new one."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        size = size + (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        jump = jump * layer["stride"]
        start = start - layer.get("padding", 0) * jump
    return size, jump, start


@wrong("receptive_field", "padding_with_the_other_sign")
def padding_in_pixels(layers):
    """A place of padding is taken for one pixel, whatever the jump."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        size += (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        start -= layer.get("padding", 0)
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "centre_for_start")
def middle_of_the_first_field(layers):
    """The start is the middle of the first field, as in the well-known article on receptive field arithmetic."""
    n, j, r = 0.5, 1, 1
    for layer in layers:
        k = layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1
        n = n + ((k - 1) / 2 - layer.get("padding", 0)) * j
        r = r + (k - 1) * j
        j = j * layer["stride"]
    return r, j, n


@wrong("receptive_field", "centre_for_start")
def middle_as_an_int(layers):
    """The start is the middle of the first field, rounded down to a pixel."""
    size, jump, centre = 1, 1, 0
    for layer in layers:
        reach = layer.get("dilation", 1) * (layer["kernel_size"] - 1)
        size += reach * jump
        centre += (reach // 2 - layer.get("padding", 0)) * jump
        jump *= layer["stride"]
    return size, jump, centre


@wrong("receptive_field", "dilation_times_kernel")
def dilation_forgotten(layers):
    """The dilation is not read."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        size += (layer["kernel_size"] - 1) * jump
        start -= layer.get("padding", 0) * jump
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "dilation_times_kernel")
def kernel_times_dilation(layers):
    """A dilated kernel is taken for k times d places wide."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        k = layer["kernel_size"] * layer.get("dilation", 1)
        size += (k - 1) * jump
        start -= layer.get("padding", 0) * jump
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "dilation_times_kernel")
def dilation_in_the_jump(layers):
    """The dilation multiplies the jump for the layers behind, like a stride."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        d = layer.get("dilation", 1)
        size += (layer["kernel_size"] - 1) * jump * d
        start -= layer.get("padding", 0) * jump
        jump *= layer["stride"] * d
    return size, jump, start


@wrong("receptive_field", "poolings_left_out")
def poolings_skipped(layers):
    """Poolings contribute their stride only, not their window."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        if layer["kind"] == "conv":
            size += (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
            start -= layer.get("padding", 0) * jump
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "jump_left_out")
def strides_forgotten_in_the_size(layers):
    """The size grows by k - 1 whatever the jump is; start and jump are right."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        size += layer.get("dilation", 1) * (layer["kernel_size"] - 1)
        start -= layer.get("padding", 0) * jump
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "padding_with_the_other_sign")
def padding_shrinks(layers):
    """Places in the padding are taken away from the size."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        p = layer.get("padding", 0)
        size += ((layer["kernel_size"] - 1) * layer.get("dilation", 1) - 2 * p) * jump
        start -= p * jump
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "padding_with_the_other_sign")
def padding_to_the_right(layers):
    """The start has the wrong sign: padding moves it into the picture."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        size += (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        start += layer.get("padding", 0) * jump
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "dilation_times_kernel", "padding_with_the_other_sign")
def from_the_end_without_dilation(layers):
    """Backwards, s * size + k - s; the dilation is forgotten, and the start takes padding in pixels."""
    size, jump, start = 1, 1, 0
    for layer in reversed(layers):
        size = (size - 1) * layer["stride"] + layer["kernel_size"]
        jump *= layer["stride"]
        start -= layer.get("padding", 0)
    return size, jump, start


@wrong("receptive_field", "padding_with_the_other_sign")
def paddings_with_the_last_jump(layers):
    """All paddings are added and multiplied by the jump of the last map."""
    size, jump, padded = 1, 1, 0
    for layer in layers:
        size += (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        jump *= layer["stride"]
        padded += layer.get("padding", 0)
    return size, jump, -padded * jump


@wrong("receptive_field", "jump_left_out")
def jumps_added(layers):
    """Strides are added up to a jump instead of multiplied."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        size += (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        start -= layer.get("padding", 0) * jump
        jump += layer["stride"] - 1
    return size, jump, start


@wrong("receptive_field", "dilation_times_kernel")
def holes_of_d_places(layers):
    """A kernel with dilation d is taken for one with d places free between two taps."""
    size, jump, start = 1, 1, 0
    for layer in layers:
        k, d = layer["kernel_size"], layer.get("dilation", 1)
        span = k + (k - 1) * d if d > 1 else k
        size, start = size + (span - 1) * jump, start - layer.get("padding", 0) * jump
        jump *= layer["stride"]
    return size, jump, start


@wrong("receptive_field", "padding_with_the_other_sign")
def padding_only_of_the_first(layers):
    """Only the first layer's padding moves the start."""
    size, jump = 1, 1
    for layer in layers:
        size += (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        jump *= layer["stride"]
    return size, jump, -layers[0].get("padding", 0) if layers else 0


# --------------------------------------------------------------------------- layers_to_see


@alternative("layers_to_see")
def right_formula_without_pooling(pixels, kernel, pool_every=None):
    """A closed form without pooling, a recursion with it."""
    if pool_every is None:
        return math.ceil((pixels - 1) / (kernel - 1))

    def add(size, jump, count):
        if size >= pixels:
            return count
        if count and count % pool_every == 0:
            size, jump = size + jump, jump * 2
        return add(size + jump * (kernel - 1), jump, count + 1)

    return add(1, 1, 0)


@alternative("layers_to_see")
def right_lists(pixels, kernel, pool_every=None):
    """Whole chains of (kernel, stride), measured backwards."""
    count = 0
    while True:
        chain = []
        for n in range(count):
            if pool_every is not None and n > 0 and n % pool_every == 0:
                chain.append((2, 2))
            chain.append((kernel, 1))
        seen = 1
        for k, s in reversed(chain):
            seen = (seen - 1) * s + k
        if seen >= pixels:
            return count
        count += 1


@wrong("layers_to_see", "more_than_asked")
def strictly_more(pixels, kernel, pool_every=None):
    """Runs on until more than the wanted pixels are seen."""
    size, jump, count = 1, 1, 0
    while size <= pixels:
        if pool_every and count and count % pool_every == 0:
            size += jump
            jump *= 2
        size += (kernel - 1) * jump
        count += 1
    return count


@wrong("layers_to_see", "pooling_sees_nothing")
def pooling_sees_nothing(pixels, kernel, pool_every=None):
    """A pooling doubles the jump but adds no pixel."""
    size, jump, n = 1, 1, 0
    while size < pixels:
        if pool_every is not None and n > 0 and n % pool_every == 0:
            jump *= 2
        size += (kernel - 1) * jump
        n += 1
    return n


@wrong("layers_to_see", "pooling_behind_the_last")
def pooling_at_once(pixels, kernel, pool_every=None):
    """The pooling stands behind its group at once, also where no convolution follows."""
    rf, jump, n = 1, 1, 0
    while rf < pixels:
        rf += (kernel - 1) * jump
        n += 1
        if pool_every is not None and n % pool_every == 0:
            rf += jump
            jump *= 2
    return n


@wrong("layers_to_see", "pooling_doubles_the_size")
def size_doubles(pixels, kernel, pool_every=None):
    """At a pooling the size doubles, and there is no jump."""
    size, n = 1, 0
    while size < pixels:
        if pool_every and n and n % pool_every == 0:
            size *= 2
        size += kernel - 1
        n += 1
    return n


@wrong("layers_to_see", "pooling_sees_nothing")
def jump_doubles_first(pixels, kernel, pool_every=None):
    """The pooling's own pixel is counted with the jump behind it."""
    size, jump, n = 1, 1, 0
    while size < pixels:
        if pool_every and n and n % pool_every == 0:
            jump = jump * 2
            size = size + jump
        size = size + (kernel - 1) * jump
        n += 1
    return n


@wrong("layers_to_see", "pooling_behind_the_last")
def pooling_one_early(pixels, kernel, pool_every=None):
    """The convolution is counted before the pooling is asked for, so every pooling comes one convolution early."""
    size, jump, n = 1, 1, 0
    while size < pixels:
        n += 1
        if pool_every and n % pool_every == 0:
            size += jump
            jump *= 2
        size += (kernel - 1) * jump
    return n


@wrong("layers_to_see", "whole_kernel")
def whole_kernel_added(pixels, kernel, pool_every=None):
    """Every convolution adds its whole kernel."""
    size, jump, n = 1, 1, 0
    while size < pixels:
        if pool_every and n and n % pool_every == 0:
            size += jump
            jump *= 2
        size += kernel * jump
        n += 1
    return n


@wrong("layers_to_see", "poolings_counted")
def poolings_counted(pixels, kernel, pool_every=None):
    """Poolings are counted among the layers."""
    size, jump, n, layers = 1, 1, 0, 0
    while size < pixels:
        if pool_every and n and n % pool_every == 0:
            size += jump
            jump *= 2
            layers += 1
        size += (kernel - 1) * jump
        n += 1
        layers += 1
    return layers


@wrong("layers_to_see", "one_too_few")
def rounded_down(pixels, kernel, pool_every=None):
    """Without pooling, the division rounds down."""
    if pool_every is None:
        return (pixels - 1) // (kernel - 1)
    size, jump, n = 1, 1, 0
    while size < pixels:
        if n and n % pool_every == 0:
            size += jump
            jump *= 2
        size += (kernel - 1) * jump
        n += 1
    return n


@wrong("layers_to_see", "whole_kernel")
def divided_by_the_kernel(pixels, kernel, pool_every=None):
    """Without pooling, the pixels are divided by the kernel; with it, everything is right."""
    if pool_every is None:
        return math.ceil((pixels - 1) / kernel)
    return right_lists(pixels, kernel, pool_every)


@wrong("layers_to_see", "more_than_asked")
def starts_from_nothing(pixels, kernel, pool_every=None):
    """The size begins at 0 pixels."""
    size, jump, n = 0, 1, 0
    while size < pixels:
        if pool_every and n and n % pool_every == 0:
            size += jump
            jump *= 2
        size += (kernel - 1) * jump
        n += 1
    return n


@wrong("layers_to_see", "pooling_behind_the_last")
def pooled_once(pixels, kernel, pool_every=None):
    """Only one pooling is ever there, after the first group."""
    size, jump, n = 1, 1, 0
    while size < pixels:
        if n == pool_every:
            size += jump
            jump *= 2
        size += (kernel - 1) * jump
        n += 1
    return n


@wrong("layers_to_see", "one_too_few")
def last_before(pixels, kernel, pool_every=None):
    """Returns the number one short of what is enough, except where one pixel is wanted."""
    size, jump, n = 1, 1, 0
    while True:
        if pool_every and n and n % pool_every == 0:
            size += jump
            jump *= 2
        size += (kernel - 1) * jump
        if size >= pixels:
            return n
        n += 1


@wrong("layers_to_see", "pooling_sees_nothing")
def pooling_as_wide_as_the_kernel(pixels, kernel, pool_every=None):
    """A pooling adds as much as a convolution does."""
    size, jump, n = 1, 1, 0
    while size < pixels:
        if pool_every and n and n % pool_every == 0:
            size += (kernel - 1) * jump
            jump *= 2
        size += (kernel - 1) * jump
        n += 1
    return n


@wrong("layers_to_see", "jump_by_kernel")
def jump_stays(pixels, kernel, pool_every=None):
    """A pooling adds its pixel, but the jump stays 1."""
    size, n = 1, 0
    while size < pixels:
        if pool_every and n and n % pool_every == 0:
            size += 1
        size += kernel - 1
        n += 1
    return n


@wrong("layers_to_see", "pooling_behind_the_last")
def pooling_before_the_first(pixels, kernel, pool_every=None):
    """0 is a multiple of everything, so a pooling stands before the first convolution as well."""
    size, jump, n = 1, 1, 0
    while size < pixels:
        if pool_every and n % pool_every == 0:
            size += jump
            jump *= 2
        size += (kernel - 1) * jump
        n += 1
    return n


@wrong("layers_to_see", "poolings_counted")
def poolings_counted_behind_the_last(pixels, kernel, pool_every=None):
    """Poolings are counted, one behind the last group as well."""
    n = right_lists(pixels, kernel, pool_every)
    return n + n // pool_every if pool_every else n


# --------------------------------------------------------------------------- activation_bytes


@alternative("activation_bytes")
def right_by_running(layers, height, width, batch_size):
    """The layers run on the meta device and their outputs are counted."""
    if not layers:
        return 0
    x = torch.empty(batch_size, layers[0]["in_channels"], height, width, device="meta")
    total = 0
    for layer in layers:
        k, s, p, d = layer["kernel_size"], layer["stride"], layer.get("padding", 0), layer.get("dilation", 1)
        channels = layer.get("out_channels", x.shape[1])
        high, wide = ((side + 2 * p - d * (k - 1) - 1) // s + 1 for side in x.shape[2:])
        x = torch.empty(batch_size, channels, high, wide, device="meta")
        total += x.numel() * x.element_size()
    return total


@alternative("activation_bytes")
def right_prefixes(layers, height, width, batch_size):
    """Prefixes of the chain, newest convolution looked up backwards."""
    values = 0
    for n in range(1, len(layers) + 1):
        channels = [layer["out_channels"] for layer in layers[:n] if layer["kind"] == "conv"][-1]
        values += channels * map_size(height, layers[:n])[0] * map_size(width, layers[:n])[0]
    return 4 * batch_size * values


def _walk(layers, height, width):
    """(channels, height, width) behind every layer, the picture first."""
    shapes = [(layers[0]["in_channels"] if layers else 0, height, width)]
    for layer in layers:
        channels, high, wide = shapes[-1]
        shapes.append((layer.get("out_channels", channels), map_size(high, [layer])[0], map_size(wide, [layer])[0]))
    return shapes


@wrong("activation_bytes", "numbers_for_bytes")
def values_instead_of_bytes(layers, height, width, batch_size):
    """Numbers are counted, not bytes."""
    total = 0
    for i in range(len(layers)):
        if layers[i]["kind"] == "conv":
            channels = layers[i]["out_channels"]
        total += channels * map_size(height, layers[: i + 1])[0] * map_size(width, layers[: i + 1])[0] * batch_size
    return total


@wrong("activation_bytes", "numbers_for_bytes")
def bits(layers, height, width, batch_size):
    """32 per number: bits, not bytes."""
    return 32 * batch_size * sum(c * h * w for c, h, w in _walk(layers, height, width)[1:])


@wrong("activation_bytes", "picture_counted")
def picture_counted(layers, height, width, batch_size):
    """The picture is kept as well."""
    return 4 * batch_size * sum(math.prod(shape) for shape in _walk(layers, height, width))


@wrong("activation_bytes", "pooled_maps_left_out")
def poolings_free(layers, height, width, batch_size):
    """Outputs of poolings are not counted."""
    total = 0
    for layer, (c, h, w) in zip(layers, _walk(layers, height, width)[1:], strict=True):
        if layer["kind"] == "conv":
            total += c * h * w * 4
    return total * batch_size


@wrong("activation_bytes", "picture_counted", "size_before_the_layer")
def inputs_counted(layers, height, width, batch_size):
    """The inputs of the layers are counted instead of the outputs."""
    return 4 * batch_size * sum(c * h * w for c, h, w in _walk(layers, height, width)[:-1])


@wrong("activation_bytes", "size_before_the_layer")
def size_before_the_layer(layers, height, width, batch_size):
    """New channels times the size before the layer."""
    total, channels = 0, None
    for layer in layers:
        channels = layer.get("out_channels", channels)
        total += channels * height * width
        height = map_size(height, [layer])[0]
        width = map_size(width, [layer])[0]
    return total * 4 * batch_size


@wrong("activation_bytes", "height_for_both")
def square_maps(layers, height, width, batch_size):
    """The height stands for the width, too."""
    total, channels = 0, 0
    for n, layer in enumerate(layers, 1):
        channels = layer.get("out_channels", channels)
        side, _ = map_size(height, layers[:n])
        total += batch_size * channels * side**2 * 4
    return total


@wrong("activation_bytes", "batch_left_out")
def one_picture(layers, height, width, batch_size):
    """Counted for a single picture."""
    return 4 * sum(c * h * w for c, h, w in _walk(layers, height, width)[1:])


@wrong("activation_bytes", "last_output_only")
def last_only(layers, height, width, batch_size):
    """Only the last output is kept."""
    if not layers:
        return 0
    c, h, w = _walk(layers, height, width)[-1]
    return 4 * batch_size * c * h * w


@wrong("activation_bytes", "last_output_only")
def largest_only(layers, height, width, batch_size):
    """Only the largest output is counted."""
    return 4 * batch_size * max((c * h * w for c, h, w in _walk(layers, height, width)[1:]), default=0)


@wrong("activation_bytes", "picture_counted")
def weights_counted(layers, height, width, batch_size):
    """The weights are counted on top."""
    total = batch_size * sum(c * h * w for c, h, w in _walk(layers, height, width)[1:])
    for layer in layers:
        if layer["kind"] == "conv":
            total += layer["in_channels"] * layer["out_channels"] * layer["kernel_size"] ** 2
    return 4 * total


@wrong("activation_bytes", "dilation_not_in_the_size")
def rounded_sizes(layers, height, width, batch_size):
    """Own size formula that divides by the stride without subtracting the kernel."""
    total, channels = 0, 0
    for layer in layers:
        channels = layer.get("out_channels", channels)
        if layer["stride"] > 1:
            height, width = height // layer["stride"], width // layer["stride"]
        else:
            height = height + 2 * layer.get("padding", 0) - layer["kernel_size"] + 1
            width = width + 2 * layer.get("padding", 0) - layer["kernel_size"] + 1
        total += channels * height * width
    return 4 * total * batch_size


@wrong("activation_bytes", "size_before_the_layer")
def in_channels_counted(layers, height, width, batch_size):
    """A convolution's output is counted with its input channels, a pooling's with the last of these."""
    total, channels = 0, 0
    for n, layer in enumerate(layers, 1):
        channels = layer.get("in_channels", channels)
        total += channels * map_size(height, layers[:n])[0] * map_size(width, layers[:n])[0]
    return 4 * batch_size * total


@wrong("activation_bytes", "numbers_for_bytes")
def gradients_too(layers, height, width, batch_size):
    """Twice the bytes, because the backward pass keeps a gradient of every output."""
    return 2 * 4 * batch_size * sum(c * h * w for c, h, w in _walk(layers, height, width)[1:])


@wrong("activation_bytes", "batch_left_out", "pooled_maps_left_out")
def one_picture_without_poolings(layers, height, width, batch_size):
    """Neither the batch nor the poolings count."""
    found = zip(layers, _walk(layers, height, width)[1:], strict=True)
    return sum(4 * c * h * w for layer, (c, h, w) in found if layer["kind"] == "conv")


@wrong("activation_bytes", "dilation_not_in_the_size")
def shrunk_twice(layers, height, width, batch_size):
    """Sizes that are already behind some layers go through all of these again."""
    total, channels = 0, 0
    for n, layer in enumerate(layers, 1):
        channels = layer.get("out_channels", channels)
        height, width = map_size(height, layers[:n])[0], map_size(width, layers[:n])[0]
        total += channels * height * width
    return 4 * batch_size * total


@wrong("activation_bytes", "size_before_the_layer")
def prefix_one_short(layers, height, width, batch_size):
    """The slice ends one layer early."""
    total, channels = 0, None
    for n, layer in enumerate(layers):
        channels = layer["out_channels"] if layer["kind"] == "conv" else channels
        total += channels * map_size(height, layers[:n])[0] * map_size(width, layers[:n])[0]
    return 4 * batch_size * total


@wrong("activation_bytes")
def channels_left_out(layers, height, width, batch_size):
    """Maps are counted as if they had one channel."""
    return 4 * batch_size * sum(h * w for _, h, w in _walk(layers, height, width)[1:])


# --------------------------------------------------------------------------- dilate


def _refuse(network):
    """The given checks of the stub."""
    for layer in copied_layers(network):
        if isinstance(layer, nn.AvgPool2d) or number(getattr(layer, "padding", 0)) != 0:
            raise ValueError("no padding, no average pooling")


@alternative("dilate")
def right_recursive(network):
    """Recursion over nested Sequentials, flat list at the end; attributes as pairs."""
    _refuse(network)
    jump, layers = 1, []

    def walk(part):
        nonlocal jump
        if isinstance(part, nn.Sequential):
            for child in part:
                walk(child)
            return
        part = copy.deepcopy(part)
        if hasattr(part, "kernel_size"):
            d, s = number(part.dilation), number(part.stride)
            part.dilation, part.stride = (d * jump, d * jump), (1, 1)
            jump *= s
        layers.append(part)

    walk(network)
    return nn.Sequential(*layers)


@alternative("dilate")
def right_new_layers(network):
    """New layers that take over the old weights."""
    _refuse(network)
    rate, result = 1, []
    for layer in copied_layers(network):
        if isinstance(layer, nn.MaxPool2d):
            result.append(nn.MaxPool2d(layer.kernel_size, 1, 0, dilation=number(layer.dilation) * rate))
            rate *= number(layer.stride)
        elif isinstance(layer, nn.Conv2d):
            fresh = nn.Conv2d(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size,
                dilation=number(layer.dilation) * rate,
                groups=layer.groups,
                bias=layer.bias is not None,
            )
            fresh.weight, fresh.bias = layer.weight, layer.bias
            fresh.train(layer.training)
            result.append(fresh)
            rate *= number(layer.stride)
        else:
            result.append(layer)
    new = nn.Sequential(*result)
    return new.train(network.training) if not network.training else new


@wrong("dilate", "only_convolutions_dilated")
def poolings_not_dilated(network):
    """Poolings get stride 1, but only convolutions are dilated."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.dilation = number(layer.dilation) * jump
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            jump *= number(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "own_stride_dilates")
def own_stride_dilates(network):
    """The jump is multiplied before the layer's own kernel is dilated."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            jump = jump * number(layer.stride)
            layer.dilation = number(layer.dilation) * jump
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "strides_removed_only")
def stride_already_one(network):
    """The stride is set to 1 before the jump reads it, so nothing is dilated."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = number(layer.dilation) * jump
            layer.stride = 1
            jump *= number(layer.stride)
    return nn.Sequential(*layers)


@wrong("dilate", "own_dilation_overwritten")
def old_dilation_lost(network):
    """The dilation that a layer had is overwritten."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = jump
            jump *= number(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "own_dilation_overwritten")
def dilation_in_the_jump_of_dilate(network):
    """The dilation a layer had goes on to the layers behind it."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            jump_before = jump * number(layer.dilation)
            jump = jump_before * number(layer.stride)
            layer.dilation, layer.stride = jump_before, 1
    return nn.Sequential(*layers)


@wrong("dilate", "last_stride_only")
def last_stride_only(network):
    """Each kernel is dilated by the stride just before it, not by the product of all."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = number(layer.dilation) * jump
            if number(layer.stride) > 1:
                jump = number(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "strides_added")
def strides_added(network):
    """Strides are added up instead of multiplied."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = number(layer.dilation) * jump
            jump += number(layer.stride) - 1
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "only_convolutions_dilated")
def only_poolings_have_strides(network):
    """Strides of convolutions are left alone."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.dilation = number(layer.dilation) * jump
        elif isinstance(layer, nn.MaxPool2d):
            layer.dilation = number(layer.dilation) * jump
            jump *= number(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "only_convolutions_dilated")
def conv_strides_do_not_count(network):
    """Every stride becomes 1, but only the poolings' strides dilate what follows."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = number(layer.dilation) * jump
            if isinstance(layer, nn.MaxPool2d):
                jump *= number(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate")
def fresh_weights(network):
    """New convolutions with new random weights."""
    result, jump = [], 1
    for layer in copied_layers(network):
        if isinstance(layer, nn.Conv2d):
            d = number(layer.dilation) * jump
            result.append(nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, dilation=d))
            jump *= number(layer.stride)
        elif isinstance(layer, nn.MaxPool2d):
            d = number(layer.dilation) * jump
            result.append(nn.MaxPool2d(layer.kernel_size, stride=1, dilation=d))
            jump *= number(layer.stride)
        else:
            result.append(layer)
    return nn.Sequential(*result)


@wrong("dilate", "last_stride_only")
def dilated_by_two(network):
    """Everything behind the first stride is dilated by 2, whatever the strides are."""
    layers, seen = copied_layers(network), False
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            if seen:
                layer.dilation = 2 * number(layer.dilation)
            seen = seen or number(layer.stride) > 1
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "changed_in_place", "layer_in_two_places")
def worked_on_the_network_itself(network):
    """The layers of the given network are changed, and shared with it."""
    _refuse(network)
    jump = 1
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            d, s = number(layer.dilation), number(layer.stride)
            layer.dilation, layer.stride = (d * jump, d * jump), (1, 1)
            jump *= s
    return network


@wrong("dilate", "layer_in_two_places")
def a_copy_of_the_whole(network):
    """The whole network is copied at once, so a layer that stands in two places is changed once for both."""
    new, jump = copy.deepcopy(network), 1
    for layer in new.modules():
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            d, s = number(layer.dilation), number(layer.stride)
            layer.dilation, layer.stride = (d * jump, d * jump), (1, 1)
            jump *= s
    return new


@wrong("dilate", "strides_removed_only")
def strides_only(network):
    """Only the strides are taken out, nothing is dilated."""
    layers = copied_layers(network)
    for layer in layers:
        if hasattr(layer, "stride"):
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "only_convolutions_dilated")
def pooling_strides_do_not_count(network):
    """Only strides of convolutions dilate what follows."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = number(layer.dilation) * jump
            jump *= number(layer.stride) if isinstance(layer, nn.Conv2d) else 1
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "own_dilation_overwritten")
def dilation_of_poolings_overwritten(network):
    """A convolution keeps its old dilation as a factor, a pooling does not."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.dilation = (jump * layer.dilation[0], jump * layer.dilation[1])
        elif isinstance(layer, nn.MaxPool2d):
            layer.dilation = jump
        else:
            continue
        jump *= number(layer.stride)
        layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate")
def kernels_for_strides(network):
    """The jump grows by a pooling's kernel, not by its stride."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = number(layer.dilation) * jump
            jump *= number(layer.kernel_size if isinstance(layer, nn.MaxPool2d) else layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@wrong("dilate", "own_stride_dilates", "own_dilation_overwritten")
def own_stride_and_nothing_old(network):
    """The own stride dilates, and the old dilation is lost."""
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            jump *= number(layer.stride)
            layer.dilation, layer.stride = jump, 1
    return nn.Sequential(*layers)


# --------------------------------------------------------------------------- gradient_receptive_field


@alternative("gradient_receptive_field")
def right_by_stretching(model, input_shape):
    """Gradient per layer with normalised ones, in a chain of functional calls."""
    picture = torch.ones(1, 1, *input_shape[1:], dtype=torch.float64, requires_grad=True)
    x = picture
    for layer in copied_layers(model):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            k = layer.kernel_size if isinstance(layer.kernel_size, tuple) else (layer.kernel_size,) * 2
            weight = torch.ones(1, 1, *k, dtype=torch.float64)
            x = F.conv2d(x, weight, None, layer.stride, layer.padding, getattr(layer, "dilation", 1))
    x[0, 0, x.shape[2] // 2, x.shape[3] // 2].backward()
    seen = (picture.grad[0, 0] != 0).nonzero()
    (top, left), (bottom, right) = seen.amin(0).tolist(), seen.amax(0).tolist()
    return top, bottom, left, right


@alternative("gradient_receptive_field")
def right_clear_formula(model, input_shape):
    """By arithmetic instead of a gradient, per side."""
    kernels = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    layers = [layer for layer in copied_layers(model) if isinstance(layer, kernels)]

    def pair(value, side):
        return value if isinstance(value, int) else value[side]

    box = []
    for side in (0, 1):
        n = input_shape[1 + side]
        settings = []
        for layer in layers:
            k, s, p = (pair(v, side) for v in (layer.kernel_size, layer.stride, layer.padding))
            settings.append((pair(getattr(layer, "dilation", 1), side) * (k - 1), s, p, n))
            n = (n + 2 * p - settings[-1][0] - 1) // s + 1
        places = {n // 2}
        for (_, s, p, before), layer in zip(reversed(settings), reversed(layers), strict=True):
            k, d = pair(layer.kernel_size, side), pair(getattr(layer, "dilation", 1), side)
            places = {q * s - p + t * d for q in places for t in range(k)}
            places = {q for q in places if 0 <= q < before}
        box += [min(places), max(places)]
    return tuple(box)


def _ones_network(model, skip=()):
    """Convolutions of ones, one channel, for every kernel of the model."""
    layers = []
    for layer in copied_layers(model):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) and not isinstance(layer, skip):
            dilation = getattr(layer, "dilation", 1)
            one = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding, dilation, bias=False)
            nn.init.ones_(one.weight)
            layers.append(one)
    return nn.Sequential(*layers).double()


def _box(seen):
    """First and last row and column of a map of booleans."""
    rows, columns = seen.any(1).nonzero().flatten().tolist(), seen.any(0).nonzero().flatten().tolist()
    return rows[0], rows[-1], columns[0], columns[-1]


def _gradient(network, shape, dtype=torch.float64, place=None):
    picture = torch.ones(1, 1, *shape[1:], dtype=dtype, requires_grad=True)
    out = network(picture)
    h, w = place(out) if place else (out.shape[2] // 2, out.shape[3] // 2)
    out[0, :, h, w].sum().backward()
    return picture.grad[0, 0]


@wrong("gradient_receptive_field", "weights_as_they_are", "max_pooling_kept")
def naive(model, input_shape):
    """The gradient of the model as it is, on one random picture."""
    x = torch.randn(1, *input_shape, requires_grad=True)
    model = copy.deepcopy(model).float().eval()
    y = model(x)
    y[:, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    return _box((x.grad[0] != 0).any(0))


@wrong("gradient_receptive_field", "max_pooling_kept")
def naive_ones(model, input_shape):
    """The weights are set to ones in a copy, but max-poolings stay."""
    model = copy.deepcopy(model).double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    x = torch.ones(1, *input_shape, dtype=torch.float64, requires_grad=True)
    y = model(x)
    y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    return _box((x.grad[0] != 0).any(0))


@wrong("gradient_receptive_field", "max_pooling_kept")
def average_for_max(model, input_shape):
    """An average pooling without the dilation stands for a max-pooling."""
    layers = []
    for layer in copied_layers(model):
        if isinstance(layer, nn.Conv2d):
            one = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding, layer.dilation, bias=False)
            nn.init.ones_(one.weight)
            layers.append(one)
        elif isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            layers.append(nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
    return _box(_gradient(nn.Sequential(*layers).double(), input_shape) != 0)


@wrong("gradient_receptive_field", "rim_lost")
def single_precision(model, input_shape):
    """Means instead of sums, all in float32, where derivatives at the rim vanish."""
    network = _ones_network(model).float()
    for weights in network.parameters():
        weights.data /= weights.numel()
    return _box(_gradient(network, input_shape, torch.float32) != 0)


@wrong("gradient_receptive_field", "rim_lost")
def thresholded(model, input_shape):
    """Only derivatives that are a notable part of the largest count."""
    grad = _gradient(_ones_network(model), input_shape)
    return _box(grad > 1e-6 * grad.max())


@wrong("gradient_receptive_field", "size_for_end")
def ends_excluded(model, input_shape):
    """bottom and right are one behind the last row and column."""
    top, bottom, left, right = _box(_gradient(_ones_network(model), input_shape) != 0)
    return top, bottom + 1, left, right + 1


@wrong("gradient_receptive_field", "corners_in_order")
def rows_and_columns_mixed(model, input_shape):
    """Returned as (top, left, bottom, right)."""
    top, bottom, left, right = _box(_gradient(_ones_network(model), input_shape) != 0)
    return top, left, bottom, right


@wrong("gradient_receptive_field", "whole_map_measured")
def centre_before(model, input_shape):
    """The centre is taken at (h - 1) // 2."""

    def place(out):
        return (out.shape[2] - 1) // 2, (out.shape[3] - 1) // 2

    return _box(_gradient(_ones_network(model), input_shape, place=place) != 0)


@wrong("gradient_receptive_field", "whole_map_measured")
def whole_output(model, input_shape):
    """The whole output is summed instead of the centre."""
    x = torch.ones(1, 1, *input_shape[1:], dtype=torch.float64, requires_grad=True)
    _ones_network(model)(x).sum().backward()
    return _box(x.grad[0, 0] != 0)


@wrong("gradient_receptive_field", "dilation_left_out_of_the_copy")
def poolings_left_out(model, input_shape):
    """Poolings are left out of the network of ones."""
    network = _ones_network(model, skip=(nn.MaxPool2d, nn.AvgPool2d))
    return _box(_gradient(network, input_shape) != 0)


@wrong("gradient_receptive_field", "dilation_left_out_of_the_copy", "max_pooling_kept")
def dilation_left_out(model, input_shape):
    """The network of ones has kernels, strides and paddings but no dilation."""
    network = _ones_network(model)
    for layer in network:
        layer.dilation = (1, 1)
    return _box(_gradient(network, input_shape) != 0)


@wrong("gradient_receptive_field", "dilation_left_out_of_the_copy")
def padding_left_out(model, input_shape):
    """The network of ones has no padding."""
    network = _ones_network(model)
    for layer in network:
        layer.padding = (0, 0)
    return _box(_gradient(network, input_shape) != 0)


@wrong("gradient_receptive_field", "dilation_left_out_of_the_copy")
def square_kernels(model, input_shape):
    """The kernels of the network of ones are square: the first of the two sides is read."""
    layers = []
    for layer in copied_layers(model):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            k, s, p = number(layer.kernel_size), number(layer.stride), number(layer.padding)
            one = nn.Conv2d(1, 1, k, s, p, number(getattr(layer, "dilation", 1)), bias=False)
            nn.init.ones_(one.weight)
            layers.append(one)
    return _box(_gradient(nn.Sequential(*layers).double(), input_shape) != 0)


@wrong("gradient_receptive_field", "weights_as_they_are", "max_pooling_kept")
def random_weights_in_the_copy(model, input_shape):
    """The copy without poolings keeps the model's weights and biases, ReLUs as well."""
    layers = []
    for layer in copied_layers(model):
        if isinstance(layer, nn.MaxPool2d):
            layer = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
        layers.append(layer)
    network = nn.Sequential(*layers).double().eval()
    x = torch.rand(1, *input_shape, dtype=torch.float64, requires_grad=True)
    y = network(x)
    y[0, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    return _box((x.grad[0] != 0).any(0))


@wrong("gradient_receptive_field", "weights_as_they_are")
def union_over_pictures(model, input_shape):
    """The model itself, on twenty random pictures together."""
    torch.manual_seed(0)
    x = torch.rand(20, *input_shape, requires_grad=True)
    y = copy.deepcopy(model).float().eval()(x)
    y[:, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    return _box((x.grad != 0).any(0).any(0))


@wrong("gradient_receptive_field", "whole_map_measured")
def centre_from_the_picture(model, input_shape):
    """The centre of the picture divided by the map's ratio, rounded: often another output."""

    def place(out):
        return tuple(min(n - 1, (n + 1) // 2) for n in out.shape[2:])

    return _box(_gradient(_ones_network(model), input_shape, place=place) != 0)


@wrong("gradient_receptive_field", "size_for_end")
def heights_and_widths(model, input_shape):
    """Returned as first row, number of rows, first column, number of columns."""
    top, bottom, left, right = _box(_gradient(_ones_network(model), input_shape) != 0)
    return top, bottom - top + 1, left, right - left + 1


@wrong("gradient_receptive_field", "weights_as_they_are", "max_pooling_kept")
def absolute_weights(model, input_shape):
    """Absolute weights, no biases, average poolings: weights of zero and dilated poolings hide pixels."""
    layers = []
    for layer in copied_layers(model):
        if isinstance(layer, nn.Conv2d):
            layer.weight.data.abs_()
            layer.bias = None
            layers.append(layer)
        elif isinstance(layer, nn.MaxPool2d):
            layers.append(nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
        elif isinstance(layer, nn.AvgPool2d):
            layers.append(layer)
    x = torch.ones(1, *input_shape, dtype=torch.float64, requires_grad=True)
    y = nn.Sequential(*layers).double()(x)
    y[:, :, y.shape[2] // 2, y.shape[3] // 2].sum().backward()
    return _box((x.grad[0] != 0).any(0))
