"""Wrong answers of lesson 04. Each docstring is what a student reads: what is wrong, not what is right."""

import copy
import itertools
import math
import operator

import torch
from torch import nn

from autograde.graders.candidates import misconception, variant
from autograde.reference.receptive_field import _layers, gradient_receptive_field

STUDENTS = "students' answers"


def walk(layers, size=lambda k, d, p: (k - 1) * d, start=lambda p: -p, jump_first=False, first=1):
    """(size, jump, start), with rules of one's own for what a layer adds, in steps of the jump."""
    total, jump, begin = first, 1, 0
    for layer in layers:
        p, before = layer.get("padding", 0), jump
        jump *= layer["stride"]
        step = jump if jump_first else before
        total += size(layer["kernel_size"], layer.get("dilation", 1), p) * step
        begin += start(p) * step
    return total, jump, begin


STRIDES = ("test_strides", "test_pooling", "test_published")
PADDING = ("test_padding", "test_published")


@misconception("receptive_field", breaks=(*STRIDES, "test_padding"), hint=2, source=STUDENTS)
def jump_used_after_its_update(layers):
    """A layer's own stride already spreads its own taps: the jump is multiplied before it is used."""
    return walk(layers, jump_first=True)


@misconception("receptive_field", breaks=STRIDES, hint=2, source="calculators on the web that add up k - 1")
def jump_left_out(layers):
    """Taps count as if they were closer together than they are. How do all the strides before a layer spread them?"""
    return walk([layer | {"stride": 1} for layer in layers])[0], *walk(layers)[1:]


@variant(jump_left_out, breaks=(*STRIDES, "test_padding"))
def jump_left_out_everywhere(layers):
    size, _, start = walk([layer | {"stride": 1} for layer in layers])
    return size, walk(layers)[1], start


@variant(jump_left_out, breaks=STRIDES)
def strides_added_to_the_jump(layers):
    size, jump, start = 1, 1, 0
    for layer in layers:
        size += (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        start, jump = start - layer.get("padding", 0) * jump, jump + layer["stride"] - 1
    return size, jump, start


@misconception("receptive_field", breaks=STRIDES, hint=2, source=STUDENTS)
def whole_kernel_added(layers):
    """Every layer adds as many steps to the size as its kernel has taps. The first of the taps was seen before."""
    return walk(layers, size=lambda k, d, p: k * d)


@variant(whole_kernel_added, breaks=STRIDES)
def kernels_added_up(layers):
    size = walk([layer | {"stride": 1} for layer in layers], size=lambda k, d, p: (k - 1) * d + 1, first=0)[0]
    return size or 1, *walk(layers)[1:]


@misconception("receptive_field", breaks="test_dilation", hint=2, source=STUDENTS)
def dilation_times_kernel(layers):
    """Dilation is not counted as it should be. Which taps does it spread, and how far is the first from the last?"""
    return walk(layers, size=lambda k, d, p: d * k - 1)


@variant(dilation_times_kernel, breaks="test_dilation")
def dilation_left_out(layers):
    return walk(layers, size=lambda k, d, p: k - 1)


@variant(dilation_times_kernel, breaks="test_dilation")
def dilation_as_free_places(layers):
    return walk(layers, size=lambda k, d, p: (k - 1) * (d + 1 if d > 1 else 1))


@variant(dilation_times_kernel, breaks="test_dilation")
def dilation_like_a_stride(layers):
    return walk([layer | {"stride": layer["stride"] * layer.get("dilation", 1)} for layer in layers])


@misconception("receptive_field", breaks=PADDING, hint=2, source=STUDENTS)
def padding_with_the_other_sign(layers):
    """Padding has another effect than it should. How many places are in front of the map, how wide, on which side?"""
    return walk(layers, start=lambda p: p)


@variant(padding_with_the_other_sign, breaks=PADDING)
def padding_twice(layers):
    return walk(layers, start=lambda p: -2 * p)


@variant(padding_with_the_other_sign, breaks="test_padding")
def padding_in_pixels(layers):
    return *walk(layers)[:2], -sum(layer.get("padding", 0) for layer in layers)


@variant(padding_with_the_other_sign, breaks=PADDING)
def padding_in_the_last_jump(layers):
    size, jump, _ = walk(layers)
    return size, jump, padding_in_pixels(layers)[2] * jump


@variant(padding_with_the_other_sign, breaks=PADDING)
def padding_of_the_first_layer(layers):
    return *walk(layers)[:2], -layers[0].get("padding", 0) if layers else 0


@variant(padding_with_the_other_sign, breaks=PADDING)
def padding_left_out(layers):
    return walk(layers, start=lambda p: 0)


@variant(padding_with_the_other_sign, breaks="test_padding")
def padding_behind_the_stride(layers):
    return *walk(layers)[:2], walk(layers, jump_first=True)[2]


@variant(padding_with_the_other_sign, breaks=PADDING)
def padding_taken_from_the_size(layers):
    return walk(layers, size=lambda k, d, p: (k - 1) * d - 2 * p)


@variant(padding_with_the_other_sign, breaks=PADDING)
def padding_added_to_the_size(layers):
    return walk(layers, size=lambda k, d, p: (k - 1) * d + 2 * p)


@misconception("receptive_field", breaks=("test_pooling", "test_published"), hint=1, source=STUDENTS)
def poolings_left_out(layers):
    """Poolings are left out, or only their stride counts. They look at windows, too."""
    return walk([layer for layer in layers if layer["kind"] == "conv"])


@variant(poolings_left_out, breaks=("test_pooling", "test_published"))
def poolings_that_see_nothing(layers):
    return walk([layer if layer["kind"] == "conv" else layer | {"kernel_size": 1, "padding": 0} for layer in layers])


@variant(poolings_left_out, breaks=("test_pooling", "test_published"))
def poolings_with_padding_only(layers):
    return walk([layer if layer["kind"] == "conv" else layer | {"kernel_size": 1} for layer in layers])


@misconception(
    "receptive_field", breaks=("test_strides", "test_padding"), hint=3, source="Araujo and others, Distill 2019"
)
def centre_for_start(layers):
    """The start is the middle of the first output's field. Asked for is its first pixel."""
    size, jump, start = walk(layers)
    return size, jump, start + (size - 1) / 2


@variant(centre_for_start, breaks=("test_strides", "test_padding"))
def centre_rounded_down(layers):
    return *walk(layers)[:2], math.floor(centre_for_start(layers)[2])


@variant(centre_for_start, breaks=("test_strides", "test_padding"))
def centre_rounded_up(layers):
    return *walk(layers)[:2], math.ceil(centre_for_start(layers)[2])


@variant(centre_for_start, breaks=("test_strides", "test_padding"))
def centre_from_half_a_pixel(layers):
    return *walk(layers)[:2], centre_for_start(layers)[2] + 0.5


@variant(centre_for_start, breaks=("test_strides", "test_padding"))
def centre_rounded_in_every_layer(layers):
    steps = [layer.get("dilation", 1) * (layer["kernel_size"] - 1) // 2 - layer.get("padding", 0) for layer in layers]
    jumps = itertools.accumulate((layer["stride"] for layer in layers), operator.mul, initial=1)
    return *walk(layers)[:2], sum(map(math.prod, zip(steps, jumps, strict=False)))


@misconception("receptive_field", breaks=("test_strides", "test_padding", "test_no_layers"), hint=3, source=STUDENTS)
def start_before_jump(layers):
    """The three numbers come in another order than size, jump, start."""
    size, jump, start = walk(layers)
    return size, start, jump


@variant(start_before_jump, breaks=("test_strides", "test_padding", "test_published"))
def jump_before_size(layers):
    size, jump, start = walk(layers)
    return jump, size, start


def grow(pixels, taps, pool_every, pooling=lambda seen, jump: (seen + jump, 2 * jump), seen=1, early=0, last=False):
    """Convolutions until enough is seen, with a pooling of one's own; `last`: also behind the last of them."""
    jump = 1
    count = 0
    while seen < pixels:
        if not last and pool_every and count + early and (count + early) % pool_every == 0:
            seen, jump = pooling(seen, jump)
        seen, count = seen + taps * jump, count + 1
        if last and pool_every and count % pool_every == 0:
            seen, jump = pooling(seen, jump)
    return count


SEEN, POOLED = ("test_without_pooling", "test_with_pooling"), ("test_with_pooling", "test_far")


@misconception("layers_to_see", breaks=SEEN, hint=1, source=STUDENTS)
def more_than_asked(pixels, kernel, pool_every=None):
    """One pixel too many is asked for: the loop runs until more than `pixels` are seen, or begins with none seen."""
    return grow(pixels + 1, kernel - 1, pool_every)


@misconception("layers_to_see", breaks=SEEN, hint=1, source=STUDENTS)
def whole_kernel(pixels, kernel, pool_every=None):
    """Every convolution adds as many jumps as its kernel is wide. One of its taps was seen before."""
    return grow(pixels, kernel, pool_every)


@variant(whole_kernel, breaks=SEEN)
def whole_kernel_from_nothing(pixels, kernel, pool_every=None):
    return grow(pixels, kernel, pool_every, seen=0)


@variant(whole_kernel, breaks="test_without_pooling")
def whole_kernel_without_pooling(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - bool(pool_every), pool_every)


@misconception("layers_to_see", breaks=SEEN, hint=1, source=STUDENTS)
def one_too_few(pixels, kernel, pool_every=None):
    """One convolution too few: with the number that is returned, fewer than `pixels` are seen."""
    return max(0, grow(pixels, kernel - 1, pool_every) - 1)


@variant(one_too_few, breaks="test_without_pooling")
def rounded_down(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every) if pool_every else (pixels - 1) // (kernel - 1)


@variant(one_too_few, breaks=SEEN)
def rounded_down_with_pooling(pixels, kernel, pool_every=None):
    return grow(pixels + 1, kernel - 1, pool_every) - 1


@misconception("layers_to_see", breaks=POOLED, hint=2, source=STUDENTS)
def pooling_sees_nothing(pixels, kernel, pool_every=None):
    """A pooling's own 2 x 2 window is not counted as it should be: how far is its second tap from its first?"""
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (seen, 2 * jump))


@variant(pooling_sees_nothing, breaks=POOLED)
def pooling_sees_too_much(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (seen + 2 * jump, 2 * jump))


@misconception("layers_to_see", breaks=POOLED, hint=2, source='the slide\'s "multiplicatively"')
def pooling_doubles_the_size(pixels, kernel, pool_every=None):
    """A pooling doubles what is seen so far. It doubles what every later layer adds."""
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (2 * seen, 2 * jump))


@variant(pooling_doubles_the_size, breaks=POOLED)
def only_the_size_doubles(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (2 * seen, jump))


@variant(pooling_doubles_the_size, breaks=POOLED)
def pooling_behind_the_last_doubles(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (2 * seen, 2 * jump), last=True)


@misconception("layers_to_see", breaks=POOLED, hint=2, source=STUDENTS)
def jump_by_kernel(pixels, kernel, pool_every=None):
    """The jump behind a pooling is wrong: multiplied by the convolutions' kernel, added to, or left as it is."""
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (seen + jump, kernel * jump))


@variant(jump_by_kernel, breaks=POOLED)
def jump_stays(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (seen + jump, jump))


@variant(jump_by_kernel, breaks=POOLED)
def jump_plus_one(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every, lambda seen, jump: (seen + jump, jump + 1))


@misconception("layers_to_see", breaks=POOLED, hint=2, source=STUDENTS)
def poolings_counted(pixels, kernel, pool_every=None):
    """The poolings are counted as well; only convolutions are asked for."""
    count = grow(pixels, kernel - 1, pool_every)
    return count + (count - 1) // pool_every if pool_every and count else count


@variant(poolings_counted, breaks=POOLED)
def poolings_counted_behind_the_last(pixels, kernel, pool_every=None):
    count = grow(pixels, kernel - 1, pool_every)
    return count + count // pool_every if pool_every else count


@misconception("layers_to_see", breaks="test_last_is_a_convolution", hint=3, source=STUDENTS)
def pooling_behind_the_last(pixels, kernel, pool_every=None):
    """Poolings stand where the chain has none, or are missing: too early, behind the last, before the first."""
    return grow(pixels, kernel - 1, pool_every, last=True)


@variant(pooling_behind_the_last, breaks="test_with_pooling")
def pooling_one_early(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every, early=1)


@variant(pooling_behind_the_last, breaks=POOLED)
def pooling_before_the_first(pixels, kernel, pool_every=None):
    return grow(pixels, kernel - 1, pool_every, early=pool_every or 0)


@variant(pooling_behind_the_last, breaks=POOLED)
def first_pooling_only(pixels, kernel, pool_every=None):
    count, seen, jump = 0, 1, 1
    while seen < pixels:
        if count == pool_every:
            seen, jump = seen + 1, 2
        seen, count = seen + (kernel - 1) * jump, count + 1
    return count


def maps(layers, height, width):
    """(channels, rows, cols) of the picture and of every output."""
    found = [(layers[0]["in_channels"] if layers else 1, height, width)]
    for layer in layers:
        channels, *sizes = found[-1]
        room = 2 * layer.get("padding", 0) - layer.get("dilation", 1) * (layer["kernel_size"] - 1) - 1
        sizes = [(size + room) // layer["stride"] + 1 for size in sizes]
        found.append((layer.get("out_channels", channels), *sizes))
    return found


ALL = ("test_convolutions", "test_pooling", "test_deep")


@misconception("activation_bytes", breaks=("test_convolutions", "test_batch", "test_deep"), hint=1, source=STUDENTS)
def picture_counted(layers, height, width, batch_size):
    """More than the layers' outputs is counted: the pictures, or the weights."""
    return 4 * batch_size * sum(map(math.prod, maps(layers, height, width)))


@variant(picture_counted, breaks=ALL)
def weights_counted(layers, height, width, batch_size, bias=0):
    convolutions = [layer for layer in layers if layer["kind"] == "conv"]
    weights = [one["out_channels"] * (one["in_channels"] * one["kernel_size"] ** 2 + bias) for one in convolutions]
    return 4 * (numbers_for_bytes(layers, height, width, batch_size) + sum(weights))


@variant(picture_counted, breaks=ALL)
def weights_and_biases_counted(layers, height, width, batch_size):
    return weights_counted(layers, height, width, batch_size, bias=1)


@misconception("activation_bytes", breaks=ALL, hint=1, source=STUDENTS)
def last_output_only(layers, height, width, batch_size):
    """Only one output is counted, the last or the largest. The backward pass needs those in between as well."""
    return 4 * batch_size * math.prod(maps(layers, height, width)[-1]) if layers else 0


@variant(last_output_only, breaks=ALL)
def largest_output_only(layers, height, width, batch_size):
    return 4 * batch_size * max(map(math.prod, maps(layers, height, width)[1:]), default=0)


@misconception("activation_bytes", breaks=(*ALL, "test_nothing"), hint=1, source=STUDENTS)
def numbers_for_bytes(layers, height, width, batch_size):
    """The numbers are counted, but not their bytes: how many does a float32 take, how often is each number kept?"""
    return batch_size * sum(map(math.prod, maps(layers, height, width)[1:]))


@variant(numbers_for_bytes, breaks=(*ALL, "test_nothing"))
def double_precision(layers, height, width, batch_size):
    return 8 * numbers_for_bytes(layers, height, width, batch_size)


@variant(numbers_for_bytes, breaks=(*ALL, "test_nothing"))
def bits_for_bytes(layers, height, width, batch_size):
    return 32 * numbers_for_bytes(layers, height, width, batch_size)


@misconception("activation_bytes", breaks=("test_convolutions", "test_batch"), hint=1, source=STUDENTS)
def batch_left_out(layers, height, width, batch_size):
    """The batch is not counted: every picture has maps of its own."""
    return 4 * numbers_for_bytes(layers, height, width, 1)


@misconception("activation_bytes", breaks=("test_pooling", "test_batch"), hint=2, source=STUDENTS)
def pooled_maps_left_out(layers, height, width, batch_size):
    """Poolings shrink the map but their outputs are not counted: they are kept like all others."""
    _, *found = maps(layers, height, width)
    kept = [math.prod(one) for one, layer in zip(found, layers, strict=True) if layer["kind"] == "conv"]
    return 4 * batch_size * sum(kept)


@misconception("activation_bytes", breaks=(*ALL[:2], "test_nothing"), hint=2, source=STUDENTS)
def size_before_the_layer(layers, height, width, batch_size):
    """What goes into a layer is counted, or its size, or its channels. Asked for is what comes out."""
    found = maps(layers, height, width)
    return 4 * batch_size * sum(after[0] * before[1] * before[2] for before, after in itertools.pairwise(found))


@variant(size_before_the_layer, breaks=ALL)
def channels_of_the_input(layers, height, width, batch_size):
    found = maps(layers, height, width)
    return 4 * batch_size * sum(before[0] * after[1] * after[2] for before, after in itertools.pairwise(found))


@variant(size_before_the_layer, breaks=ALL)
def inputs_counted(layers, height, width, batch_size):
    return 4 * batch_size * sum(map(math.prod, maps(layers, height, width)[:-1])) if layers else 0


def counted_as(layers, height, width, batch_size, size):
    """Bytes, with a rule of one's own for the size behind a layer: (size before, k, s, p, d) to size."""
    total, channels = 0, 1
    for layer in layers:
        words = layer["kernel_size"], layer["stride"], layer.get("padding", 0), layer.get("dilation", 1)
        height, width = size(height, *words), size(width, *words)
        channels = layer.get("out_channels", channels)
        total += channels * height * width
    return 4 * batch_size * total


@misconception("activation_bytes", breaks="test_dilation", hint=3, source=STUDENTS)
def dilation_not_in_the_size(layers, height, width, batch_size):
    """Some maps have another height and width: kernel, stride, padding and dilation all count, as in `map_size`."""
    return counted_as(layers, height, width, batch_size, lambda n, k, s, p, d: (n + 2 * p - k) // s + 1)


@variant(dilation_not_in_the_size, breaks=ALL[:2])
def size_by_stride_or_kernel(layers, height, width, batch_size):
    rule = lambda n, k, s, p, d: n // s if s > 1 else n + 2 * p - d * (k - 1)  # noqa: E731
    return counted_as(layers, height, width, batch_size, rule)


@variant(dilation_not_in_the_size, breaks=ALL[:2])
def shrunk_by_all_layers_again(layers, height, width, batch_size):
    total = 0
    for end in range(1, len(layers) + 1):
        channels, height, width = maps(layers[:end], height, width)[-1]
        total += channels * height * width
    return 4 * batch_size * total


@variant(dilation_not_in_the_size, breaks=ALL[:2])
def size_by_stride_alone(layers, height, width, batch_size):
    return counted_as(layers, height, width, batch_size, lambda n, k, s, p, d: n // s)


@variant(dilation_not_in_the_size, breaks="test_convolutions")
def padding_not_in_the_size(layers, height, width, batch_size):
    return counted_as(layers, height, width, batch_size, lambda n, k, s, p, d: (n - d * (k - 1) - 1) // s + 1)


@variant(dilation_not_in_the_size, breaks=("test_pooling", "test_convolutions"))
def last_place_forgotten(layers, height, width, batch_size):
    rule = lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s  # noqa: E731
    return counted_as(layers, height, width, batch_size, rule)


@misconception("activation_bytes", breaks=ALL, hint=2, source=STUDENTS)
def height_for_both(layers, height, width, batch_size):
    """One side of the picture is used for both. On square pictures that goes unnoticed."""
    return 4 * numbers_for_bytes(layers, height, height, batch_size)


@variant(height_for_both, breaks=ALL)
def width_for_both(layers, height, width, batch_size):
    return 4 * numbers_for_bytes(layers, width, width, batch_size)


def copies(network):
    """What the notebook gives: the layers in order, each a copy."""
    return [copy.deepcopy(layer) for layer in _layers(network)]


def one(setting):
    """The same for rows and columns."""
    return setting[0] if isinstance(setting, tuple) else setting


def convert(layers, dilation=lambda own, jump, stride: own * jump, jump_after=lambda jump, stride: jump * stride):
    """Takes out the strides, with a dilation and a jump of one's own."""
    jump = 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            stride = one(layer.stride)
            layer.stride, layer.dilation = 1, dilation(one(layer.dilation), jump, stride)
            jump = jump_after(jump, stride)
    return nn.Sequential(*layers)


STRIDED = ("test_own_places", "test_strided_convolutions", "test_same_layers")
EVERYWHERE = ("test_sliding_window", *STRIDED)


@misconception("dilate", breaks=EVERYWHERE, hint=1, source=STUDENTS)
def strides_removed_only(network):
    """The strides are gone, but the later kernels look at neighbouring pixels: their taps lie closer than before."""
    return convert(copies(network), lambda own, jump, stride: own)


@misconception("dilate", breaks=EVERYWHERE, hint=2, source="detectron2#2598")
def own_stride_dilates(network):
    """A layer's own stride already dilates its own kernel. Its taps lay as far apart as the strides before it say."""
    return convert(copies(network), lambda own, jump, stride: own * jump * stride)


@variant(own_stride_dilates, breaks=EVERYWHERE)
def own_stride_alone(network):
    return convert(copies(network), lambda own, jump, stride: own * stride)


@misconception(
    "dilate",
    breaks=("test_sliding_window", "test_own_places", "test_same_layers"),
    hint=2,
    source="segmentation_models.pytorch, replace_strides_with_dilation",
)
def only_convolutions_dilated(network):
    """Convolutions and poolings are not treated alike. Both may have strides, and both look at several places."""
    layers = copies(network)
    dilated = convert(copies(network))
    for old, new in zip(layers, dilated, strict=True):
        if isinstance(new, nn.MaxPool2d):
            new.dilation = old.dilation
    return dilated


@variant(only_convolutions_dilated, breaks=("test_strided_convolutions", "test_same_layers"))
def strides_of_convolutions_kept(network):
    layers, jump = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = one(layer.dilation) * jump
        if isinstance(layer, nn.MaxPool2d):
            jump, layer.stride = jump * one(layer.stride), 1
    return nn.Sequential(*layers)


@variant(only_convolutions_dilated, breaks=("test_strided_convolutions", "test_same_layers"))
def strides_of_convolutions_forgotten(network):
    layers = strides_of_convolutions_kept(network)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.stride = 1
    return layers


@variant(only_convolutions_dilated, breaks=("test_sliding_window", "test_own_places"))
def strides_of_poolings_forgotten(network):
    layers, jump = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = one(layer.dilation) * jump
            jump *= one(layer.stride) if isinstance(layer, nn.Conv2d) else 1
            layer.stride = 1
    return nn.Sequential(*layers)


@misconception("dilate", breaks=STRIDED, hint=2, source=STUDENTS)
def strides_added(network):
    """The strides before a layer are added up. Behind strides of 3 and 2, taps lay neither 5 nor 4 pixels apart."""
    total = [0]

    def add(_, stride):
        total[0] += stride if stride > 1 else 0
        return max(total[0], 1)

    return convert(copies(network), jump_after=add)


@variant(strides_added, breaks=STRIDED)
def strides_added_up_from_one(network):
    return convert(copies(network), jump_after=lambda jump, stride: jump + stride - 1)


@misconception("dilate", breaks=EVERYWHERE, hint=2, source=STUDENTS)
def last_stride_only(network):
    """Kernels are dilated by one number only, a stride before them or 2. Every stride before has spread their taps."""
    return convert(copies(network), jump_after=lambda jump, stride: stride)


@variant(last_stride_only, breaks=EVERYWHERE)
def last_stride_that_is_not_one(network):
    return convert(copies(network), jump_after=lambda jump, stride: stride if stride > 1 else jump)


@variant(last_stride_only, breaks=STRIDED)
def always_two(network):
    return convert(copies(network), jump_after=lambda jump, stride: 2 if stride > 1 else jump)


@misconception("dilate", breaks="test_dilated_before", hint=2, source="segmentation_models.pytorch#183")
def own_dilation_overwritten(network):
    """A dilation from before is overwritten, added to, or handed on. How far apart did the taps lie, in pixels?"""
    return convert(copies(network), lambda own, jump, stride: jump)


@variant(own_dilation_overwritten, breaks="test_dilated_before")
def own_dilation_added(network):
    return convert(copies(network), lambda own, jump, stride: own + jump - 1)


@variant(own_dilation_overwritten, breaks="test_dilated_before")
def own_dilation_of_poolings_overwritten(network):
    layers = convert(copies(network))
    for layer, overwritten in zip(layers, own_dilation_overwritten(network), strict=True):
        if isinstance(layer, nn.MaxPool2d):
            layer.dilation = overwritten.dilation
    return layers


@variant(own_dilation_overwritten, breaks="test_dilated_before")
def own_dilation_handed_on(network):
    layers, jump = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            jump *= one(layer.dilation)
            layer.dilation, jump, layer.stride = jump, jump * one(layer.stride), 1
    return nn.Sequential(*layers)


@misconception("dilate", breaks="test_in_two_places", hint=3, source=STUDENTS)
def layer_in_two_places(network):
    """A layer that stands in two places is converted once for both. Behind a stride it needs another dilation."""
    network = copy.deepcopy(network)
    convert(list(network.modules()))
    return network


@misconception("dilate", breaks="test_network_unchanged", hint=1, source=STUDENTS)
def changed_in_place(network):
    """The network that was given is changed itself: afterwards it has lost its own strides."""
    return convert(_layers(network))


@variant(changed_in_place, breaks="test_network_unchanged")
def changed_and_returned(network):
    convert(list(network.modules()))
    return network


def bounds(seen):
    """(top, bottom, left, right) of a map of booleans (H, W)."""
    rows, cols = seen.any(1).nonzero(), seen.any(0).nonzero()
    return rows[0].item(), rows[-1].item(), cols[0].item(), cols[-1].item()


def all_ones(model):
    """Convolutions of ones with one channel, in place of whatever looks at neighbours."""
    network = nn.Sequential()
    for layer in _layers(model):
        if hasattr(layer, "kernel_size"):
            words = layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1)
            network.append(nn.Conv2d(1, 1, *words, bias=False).double())
            nn.init.ones_(network[-1].weight)
    return network


def gradient(network, shape, at=lambda side: side // 2):
    """The gradient of one place of the map, without its sign and over all channels: (H, W)."""
    dtype = next(network.parameters(), torch.zeros(())).dtype
    channels = network[0].in_channels if hasattr(network[0], "in_channels") else shape[0]
    picture = torch.ones(1, channels, *shape[1:], dtype=dtype, requires_grad=True)
    output = network(picture.clone())
    output[:, :, at(output.shape[2]), at(output.shape[3])].sum().backward()
    return picture.grad.abs().sum((0, 1))


@misconception("gradient_receptive_field", breaks=("test_pooling", "test_nothing_hides"), hint=1, source=STUDENTS)
def weights_as_they_are(model, input_shape):
    """Weights, biases or units are measured as they are. Where one of them is zero, it hides pixels."""
    return bounds(gradient(nn.Sequential(*copies(model)).eval(), input_shape) != 0)


@variant(weights_as_they_are, breaks="test_nothing_hides")
def weights_as_they_are_but_poolings(model, input_shape):
    layers = [layer if isinstance(layer, nn.Conv2d) else averaged(layer) for layer in copies(model)]
    return bounds(gradient(nn.Sequential(*layers).eval(), input_shape) != 0)


def averaged(layer):
    """An average pooling for a max-pooling."""
    pooled = isinstance(layer, nn.MaxPool2d)
    return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding) if pooled else layer


@misconception("gradient_receptive_field", breaks="test_pooling", hint=2, source=STUDENTS)
def max_pooling_kept(model, input_shape):
    """A pooling does not show all that it looks at: left as it is, only its winner; averaged, not its dilation."""
    looking = [layer for layer in copies(model) if hasattr(layer, "kernel_size")]
    network = [layer if isinstance(layer, nn.MaxPool2d) else all_ones(layer)[0] for layer in looking]
    return bounds(gradient(nn.Sequential(*network).double(), (1, *input_shape[1:])) > 0)


@variant(max_pooling_kept, breaks="test_pooling")
def dilation_of_pooling_lost(model, input_shape):
    layers = copies(model)
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            layer.dilation = 1
    return bounds(gradient(all_ones(nn.Sequential(*layers)), input_shape) > 0)


LOST = ("test_nothing_hides", "test_gaps")


def box_without(model, input_shape, **words):
    """The box, with some settings of every layer set anew."""
    network = all_ones(model)
    for layer in network:
        for word, value in words.items():
            setattr(layer, word, value)
    return bounds(gradient(network, input_shape) > 0)


@misconception("gradient_receptive_field", breaks=LOST, hint=2, source=STUDENTS)
def dilation_left_out_of_the_copy(model, input_shape):
    """What is measured is another network: a kernel's sides, a padding, a dilation or a whole pooling got lost."""
    return box_without(model, input_shape, dilation=(1, 1))


@variant(dilation_left_out_of_the_copy, breaks="test_edges")
def padding_left_out_of_the_copy(model, input_shape):
    return box_without(model, input_shape, padding=(0, 0))


@variant(dilation_left_out_of_the_copy, breaks=("test_gaps", "test_deep"))
def square_kernels(model, input_shape):
    network = nn.Sequential()
    for layer in all_ones(model):
        words = (one(getattr(layer, word)) for word in ("kernel_size", "stride", "padding", "dilation"))
        network.append(all_ones(nn.Conv2d(1, 1, *words))[0])
    return bounds(gradient(network, input_shape) > 0)


@variant(dilation_left_out_of_the_copy, breaks="test_pooling")
def poolings_left_out_of_the_copy(model, input_shape):
    layers = [layer for layer in _layers(model) if isinstance(layer, nn.Conv2d)]
    return bounds(gradient(all_ones(nn.Sequential(*layers)), input_shape) > 0)


PLACES = ("test_convolutions", "test_even_maps", "test_gaps")
ORDER = ("test_convolutions", "test_gaps")


@misconception("gradient_receptive_field", breaks=PLACES, hint=2, source=STUDENTS)
def whole_map_measured(model, input_shape):
    """The box belongs to another output than the one at (h // 2, w // 2) of the map, or to all outputs together."""
    return bounds(gradient(all_ones(model), input_shape, at=lambda side: slice(None)) > 0)


@variant(whole_map_measured, breaks="test_even_maps")
def earlier_of_two_centres(model, input_shape):
    return bounds(gradient(all_ones(model), input_shape, at=lambda side: (side - 1) // 2) > 0)


@variant(whole_map_measured, breaks=PLACES)
def first_output(model, input_shape):
    return bounds(gradient(all_ones(model), input_shape, at=lambda side: 0) > 0)


@misconception("gradient_receptive_field", breaks=ORDER, hint=3, source=STUDENTS)
def rows_for_both(model, input_shape):
    """Rows and columns are both taken from one side. On square pictures that goes unnoticed."""
    return gradient_receptive_field(model, input_shape)[:2] * 2


@variant(rows_for_both, breaks=ORDER)
def cols_for_both(model, input_shape):
    return gradient_receptive_field(model, input_shape)[2:] * 2


@misconception("gradient_receptive_field", breaks=(*ORDER, "test_edges"), hint=3, source=STUDENTS)
def size_for_end(model, input_shape):
    """The second and fourth number are not the last row and column: they are one too many, or a height and a width."""
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return top, bottom - top + 1, left, right - left + 1


@variant(size_for_end, breaks=(*ORDER, "test_edges"))
def end_excluded(model, input_shape):
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return top, bottom + 1, left, right + 1


@misconception("gradient_receptive_field", breaks=ORDER, hint=3, source="scikit-image's order of a bounding box")
def corners_in_order(model, input_shape):
    """The four numbers come in another order than top, bottom, left, right."""
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return top, left, bottom, right


@variant(corners_in_order, breaks=ORDER)
def columns_first(model, input_shape):
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return left, right, top, bottom


@variant(corners_in_order, breaks=ORDER)
def corners_x_first(model, input_shape):
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return left, top, right, bottom


@misconception("gradient_receptive_field", breaks="test_deep", hint=2, source=STUDENTS)
def rim_lost(model, input_shape):
    """The box of a deep network is too small: its outermost pixels count so little that they were lost."""
    slope = gradient(all_ones(model), input_shape)
    return bounds(slope > 1e-6 * slope.max())


@variant(rim_lost, breaks="test_deep")
def rim_rounded_away(model, input_shape):
    network = all_ones(model).float()
    for weights in network.parameters():
        nn.init.constant_(weights, 1 / weights[0].numel())
    return bounds(gradient(network, input_shape) > 0)
