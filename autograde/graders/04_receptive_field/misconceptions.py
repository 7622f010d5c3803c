"""Wrong answers of lesson 04. Each docstring is what a student reads: what is wrong, not what is right."""

import copy
import itertools

import torch
from torch import nn

from autograde.graders.candidates import misconception
from autograde.reference.receptive_field import (
    activation_bytes,
    gradient_receptive_field,
    layers_to_see,
    receptive_field,
)

# ---------------------------------------------------------------------------------------------------------------------
# receptive_field
# ---------------------------------------------------------------------------------------------------------------------


def changed(layers, **rules):
    """Checked descriptions, with some words replaced: each rule maps a layer to its new value."""
    receptive_field(layers)
    return [layer | {word: rule(layer) for word, rule in rules.items()} for layer in layers]


@misconception("receptive_field", breaks=("test_strides", "test_pooling", "test_published"), hint=2)
def jump_left_out(layers):
    """Every kernel counts as if its taps were one pixel apart. Behind a stride they are not: LeNet gets 15 pixels."""
    _, jump, _ = receptive_field(layers)
    size, _, start = receptive_field(changed(layers, stride=lambda layer: 1))
    return size, jump, start


@misconception("receptive_field", breaks=("test_strides", "test_pooling", "test_published"), hint=2)
def jump_left_out_of_the_size(layers):
    """The size grows as if all taps were one pixel apart. Behind a stride they are not: LeNet gets 15 pixels."""
    _, jump, start = receptive_field(layers)
    return receptive_field(changed(layers, stride=lambda layer: 1))[0], jump, start


@misconception("receptive_field", breaks=("test_strides", "test_pooling", "test_published"), hint=2)
def jump_for_padding_only(layers):
    """The jump is used for the padding, but not for the kernel: its taps count as one pixel apart. LeNet gets 15."""
    _, jump, start = receptive_field(layers)
    _, _, unpadded = receptive_field(changed(layers, padding=lambda layer: 0))
    size = receptive_field(changed(layers, stride=lambda layer: 1))[0]
    return size, jump, (size - 1) / 2 + start - unpadded


@misconception("receptive_field", breaks=("test_strides", "test_pooling", "test_published"), hint=1)
def kernels_added_up(layers):
    """The size is the sum of the kernels. Layers share pixels, and behind a stride their taps lie apart."""
    _, jump, start = receptive_field(layers)
    spans = [layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1 for layer in layers]
    return sum(spans) or 1, jump, start


@misconception("receptive_field", breaks=("test_strides", "test_pooling", "test_published"), hint=1)
def all_taps_added(layers):
    """Every layer adds as many jumps as its kernel has taps. One of the taps was seen before."""
    size, jump, start = 1, 1, receptive_field(layers)[2]
    for layer in layers:
        size += layer.get("dilation", 1) * layer["kernel_size"] * jump
        jump *= layer["stride"]
    return size, jump, start


@misconception("receptive_field", breaks=("test_strides", "test_pooling", "test_published"), hint=2)
def own_stride_too_early(layers):
    """A layer's own stride already spreads its own taps: the jump is multiplied before it is used."""
    size, jump, start = 1, 1, 0.0
    receptive_field(layers)
    for layer in layers:
        jump *= layer["stride"]
        grown, _, moved = receptive_field([layer])
        size, start = size + (grown - 1) * jump, start + moved * jump
    return size, jump, start


@misconception("receptive_field", breaks=("test_strides", "test_published"), hint=2)
def strides_added(layers):
    """The strides are added up; two layers that halve make a quarter."""
    size, _, start = receptive_field(layers)
    return size, 1 + sum(layer["stride"] - 1 for layer in layers), start


@misconception("receptive_field", breaks=("test_pooling", "test_published"), hint=1)
def pooling_left_out(layers):
    """Pooling is skipped, as if it neither looked at neighbours nor had a stride."""
    receptive_field(layers)
    return receptive_field([layer for layer in layers if layer["kind"] != "pool"])


@misconception("receptive_field", breaks=("test_pooling", "test_published"), hint=1)
def pooling_only_shrinks(layers):
    """Pooling makes the jump larger, but its own window is forgotten: it looks at neighbours like any kernel."""

    def kernel(layer):
        return 1 if layer["kind"] == "pool" else layer["kernel_size"]

    return receptive_field(changed(layers, kernel_size=kernel))


@misconception("receptive_field", breaks=("test_padding", "test_published"), hint=1)
def padding_taken_from_the_size(layers):
    """Padding is subtracted from the size. An output reads as many places as before; some lie outside the picture."""
    size, jump, start = receptive_field(layers)
    _, _, unpadded = receptive_field(changed(layers, padding=lambda layer: 0))
    return size - int(2 * (unpadded - start)), jump, start


@misconception("receptive_field", breaks=("test_padding", "test_published"), hint=2)
def centre_without_padding(layers):
    """The centre is where it would be without padding: half the size. Padding lets the first kernel begin earlier."""
    return receptive_field(changed(layers, padding=lambda layer: 0))


@misconception("receptive_field", breaks="test_padding", hint=2)
def padding_not_spread(layers):
    """Padding moves the centre by whole pixels of the picture, also behind a stride."""
    size, jump, start = receptive_field(changed(layers, padding=lambda layer: 0))
    return size, jump, start - sum(layer.get("padding", 0) for layer in layers)


@misconception("receptive_field", breaks=("test_strides", "test_no_layers", "test_published"), hint=2)
def corner_taken_as_origin(layers):
    """The centre is half a pixel off: here a pixel's centre lies at a whole number, not its corner."""
    size, jump, start = receptive_field(layers)
    return size, jump, start + 0.5


@misconception("receptive_field", breaks=("test_even_kernels", "test_published"), hint=3)
def centre_rounded(layers):
    """The centre is a whole pixel. An even kernel has none in its middle: its centre lies between two."""
    size, jump, start = receptive_field(layers)
    return size, jump, float(start // 1)


@misconception("receptive_field", breaks="test_dilation", hint=2)
def dilation_left_out(layers):
    """Dilation is not used: a dilated kernel counts as if its taps were neighbours."""
    return receptive_field(changed(layers, dilation=lambda layer: 1))


@misconception("receptive_field", breaks="test_dilation", hint=2)
def dilation_times_kernel(layers):
    """A dilated kernel spans dilation times its size. That counts gaps behind the last tap, too."""

    def kernel(layer):
        return layer.get("dilation", 1) * layer["kernel_size"]

    return receptive_field(changed(layers, kernel_size=kernel, dilation=lambda layer: 1))


@misconception("receptive_field", breaks="test_dilation", hint=2)
def dilation_spreads_what_follows(layers):
    """Dilation makes the jump larger, as if it were a stride: later layers see too much."""
    size, jump, start = 1, 1, 0.0
    receptive_field(layers)
    for layer in layers:
        grown, stride, moved = receptive_field([layer])
        size, start = size + (grown - 1) * jump, start + moved * jump
        jump *= stride * layer.get("dilation", 1)
    return size, jump, start


@misconception("receptive_field", breaks=("test_published", "test_strides", "test_words"), hint=1)
def stride_for_size(layers):
    """The size is the product of the strides: that is how far apart outputs lie, not how far each of them sees."""
    _, jump, start = receptive_field(layers)
    return jump, jump, start


@misconception("receptive_field", breaks=("test_strides", "test_pooling"), hint=2)
def walked_backwards(layers):
    """The layers are walked from the last to the first with the rule for the other direction."""
    return receptive_field(layers[::-1])


@misconception("receptive_field", breaks="test_no_layers", hint=3)
def nothing_sees_nothing(layers):
    """Without layers the size is 0. A pixel that nothing was done to still shows itself."""
    return receptive_field(layers) if layers else (0, 1, 0.0)


@misconception("receptive_field", breaks="test_words", hint=3)
def every_word_required(layers):
    """A description without padding or dilation raises KeyError; these words may be missing."""
    receptive_field(layers)
    return receptive_field([layer | {"padding": layer["padding"], "dilation": layer["dilation"]} for layer in layers])


@misconception("receptive_field", breaks=("test_strides", "test_published"), hint=3)
def order_swapped(layers):
    """The three numbers come in another order than (size, jump, start)."""
    size, jump, start = receptive_field(layers)
    return jump, size, start


@misconception("receptive_field", breaks="test_nonsense", hint=3)
def kind_not_looked_at(layers):
    """Layers of an unknown kind are skipped without a word; a dense layer has no place in this arithmetic."""
    return receptive_field([layer for layer in layers if layer["kind"] in ("conv", "pool")])


@misconception("receptive_field", breaks="test_nonsense", hint=3)
def numbers_not_checked(layers):
    """Kernels, strides, paddings and dilations that no layer can have are taken as they come."""
    size, jump, start = 1, 1, 0.0
    for layer in layers:
        if layer["kind"] == "linear":
            raise ValueError("a dense layer")
        reach = (layer["kernel_size"] - 1) * layer.get("dilation", 1) * jump
        size, start = size + reach, start + reach / 2 - layer.get("padding", 0) * jump
        jump = jump * layer["stride"]
    return size, jump, start


# ---------------------------------------------------------------------------------------------------------------------
# layers_to_see
# ---------------------------------------------------------------------------------------------------------------------


def stacked(pixels, kernel, pool_every, pooling, enough=lambda seen, pixels: seen >= pixels):
    """Counts layers with a pooling of one's own: pooling(seen, jump) -> (seen, jump)."""
    layers_to_see(pixels, kernel, pool_every)
    seen, jump, count = 1, 1, 0
    while not enough(seen, pixels):
        if pool_every and count and count % pool_every == 0:
            seen, jump = pooling(seen, jump)
        count += 1
        seen += (kernel - 1) * jump
    return count


@misconception("layers_to_see", breaks=("test_without_pooling", "test_with_pooling", "test_one_pixel"), hint=1)
def more_than_asked(pixels, kernel, pool_every=None):
    """The loop runs until more than `pixels` are seen. Exactly as many are enough."""
    if kernel == 1 and not pool_every:
        return layers_to_see(pixels, kernel, pool_every)
    return stacked(pixels, kernel, pool_every, lambda seen, jump: (seen + jump, 2 * jump), lambda s, p: s > p)


@misconception("layers_to_see", breaks="test_without_pooling", hint=1)
def rounded_down(pixels, kernel, pool_every=None):
    """Without pooling the number is rounded down: the last convolution, which adds more than is needed, is missing."""
    count = layers_to_see(pixels, kernel, pool_every)
    return count if pool_every or kernel == 1 else (pixels - 1) // (kernel - 1)


@misconception("layers_to_see", breaks=("test_without_pooling", "test_one_pixel"), hint=1)
def kernel_added(pixels, kernel, pool_every=None):
    """Every convolution adds as many pixels as its kernel is wide. One of them was seen before."""
    count = layers_to_see(pixels, kernel, pool_every)
    return count if pool_every or kernel == 1 else -(-pixels // kernel)


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=1)
def pooling_not_used(pixels, kernel, pool_every=None):
    """`pool_every` is not used: the number is the one without pooling."""
    count = layers_to_see(pixels, kernel, pool_every)
    return count if kernel == 1 else -(-(pixels - 1) // (kernel - 1))


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2)
def pooling_sees_nothing(pixels, kernel, pool_every=None):
    """A pooling doubles the jump, but its own 2 x 2 window is forgotten: it adds pixels, too."""
    if kernel == 1:
        return layers_to_see(pixels, kernel, pool_every)
    return stacked(pixels, kernel, pool_every, lambda seen, jump: (seen, 2 * jump))


@misconception("layers_to_see", breaks="test_with_pooling", hint=2)
def pooling_does_not_spread(pixels, kernel, pool_every=None):
    """A pooling adds its pixel, but later layers see no farther because of it: the jump stays 1."""
    if kernel == 1:
        return layers_to_see(pixels, kernel, pool_every)
    layers_to_see(pixels, kernel, pool_every)
    seen, count = 1, 0
    while seen < pixels and count < 10_000:
        seen += bool(pool_every and count and count % pool_every == 0) + kernel - 1
        count += 1
    return count


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2)
def pooling_adds_too_much(pixels, kernel, pool_every=None):
    """A pooling adds the jump that holds after it; its own two taps are still the old jump apart."""
    return stacked(pixels, kernel, pool_every, lambda seen, jump: (seen + 2 * jump, 2 * jump))


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2)
def pooling_doubles_what_is_seen(pixels, kernel, pool_every=None):
    """A pooling doubles what is seen so far. It doubles what every later layer adds."""
    return stacked(pixels, kernel, pool_every, lambda seen, jump: (2 * seen, 2 * jump))


@misconception("layers_to_see", breaks=("test_with_pooling", "test_kernel_one"), hint=2)
def poolings_counted(pixels, kernel, pool_every=None):
    """The poolings are counted as well; only convolutions are asked for."""
    count = layers_to_see(pixels, kernel, pool_every)
    return count + (count - 1) // pool_every if pool_every and count else count


@misconception("layers_to_see", breaks=("test_last_is_a_convolution", "test_kernel_one"), hint=3)
def pooling_behind_the_last(pixels, kernel, pool_every=None):
    """A pooling behind the last convolution counts, as if the chain could end with it."""
    count = layers_to_see(pixels, kernel, pool_every)
    if pool_every is None or count < 2:
        return count
    seen, jump = 1, 1
    for number in range(1, count):
        seen += jump * (kernel - 1)
        if number % pool_every == 0:
            seen, jump = seen + jump, 2 * jump
        if seen >= pixels:
            return number
    return count


@misconception("layers_to_see", breaks=("test_with_pooling", "test_last_is_a_convolution"), hint=3)
def pooling_first(pixels, kernel, pool_every=None):
    """A pooling comes before the very first convolution."""
    layers_to_see(pixels, kernel, pool_every)
    if pool_every is None or pixels == 1:
        return layers_to_see(pixels, kernel, pool_every)
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        if count % pool_every == 0:
            seen, jump = seen + jump, 2 * jump
        seen, count = seen + (kernel - 1) * jump, count + 1
    return count


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2)
def pooled_only_once(pixels, kernel, pool_every=None):
    """There is a single pooling, after the first `pool_every` convolutions; one is due after every so many."""
    count = layers_to_see(pixels, kernel, pool_every)
    if pool_every is None or kernel == 1 or count <= pool_every:
        return count
    after = 1 + pool_every * (kernel - 1) + 1  # pixels seen behind that pooling, jump 2
    return pool_every + max(1, -(-(pixels - after) // (2 * kernel - 2)))


@misconception("layers_to_see", breaks="test_one_pixel", hint=1)
def one_layer_at_least(pixels, kernel, pool_every=None):
    """There is always one convolution, even where a single pixel is asked for."""
    return max(1, layers_to_see(pixels, kernel, pool_every))


@misconception("layers_to_see", breaks="test_kernel_one", hint=3)
def kernel_one_refused(pixels, kernel, pool_every=None):
    """1 x 1 convolutions are always refused, even with poolings between them, which look at neighbours."""
    if kernel == 1 and pixels > 1:
        raise ValueError("a kernel of 1 sees no neighbours")
    return layers_to_see(pixels, kernel, pool_every)


@misconception("layers_to_see", breaks="test_one_pixel", hint=3)
def kernel_one_refused_for_one_pixel(pixels, kernel, pool_every=None):
    """1 x 1 convolutions are refused before looking at how far they must see; one pixel is always seen."""
    if kernel == 1 and pool_every is None:
        raise ValueError("1 x 1 convolutions without pooling")
    return layers_to_see(pixels, kernel, pool_every)


@misconception("layers_to_see", breaks="test_never", hint=3)
def never_is_zero(pixels, kernel, pool_every=None):
    """Where no number of layers is enough, 0 comes back, which says that none is needed."""
    if kernel == 1 and pool_every is None:
        return 0
    return layers_to_see(pixels, kernel, pool_every)


@misconception("layers_to_see", breaks="test_not_positive", hint=3)
def zero_means_no_pooling(pixels, kernel, pool_every=None):
    """A `pool_every` of 0 passes for None: zero is false in Python, but it is a wrong argument here."""
    return layers_to_see(pixels, kernel, pool_every or None)


@misconception("layers_to_see", breaks="test_not_positive", hint=3)
def signs_not_checked(pixels, kernel, pool_every=None):
    """Zero or negative pixels or kernels give a number instead of a ValueError."""
    return layers_to_see(max(1, pixels), max(2, kernel) if kernel != 1 else 1, pool_every)


# ---------------------------------------------------------------------------------------------------------------------
# activation_bytes
# ---------------------------------------------------------------------------------------------------------------------


def outputs(layers, height, width, batch_size):
    """Bytes of every layer's output, one by one."""
    totals = [activation_bytes(layers[:stop], height, width, batch_size) for stop in range(len(layers) + 1)]
    return [after - before for before, after in itertools.pairwise(totals)]


@misconception("activation_bytes", breaks=("test_convolutions", "test_batch", "test_deep"), hint=1)
def picture_counted(layers, height, width, batch_size):
    """The pictures are counted, too. The statement leaves them out: they are there before the network runs."""
    channels = layers[0]["in_channels"] if layers else 0
    return activation_bytes(layers, height, width, batch_size) + 4 * batch_size * channels * height * width


@misconception("activation_bytes", breaks=("test_convolutions", "test_deep"), hint=1)
def last_output_only(layers, height, width, batch_size):
    """Only the last output is counted. The backward pass needs those in between as well."""
    activation_bytes(layers, height, width, batch_size)
    return (outputs(layers, height, width, batch_size) or [0])[-1]


@misconception("activation_bytes", breaks=("test_convolutions", "test_deep"), hint=1)
def largest_output_only(layers, height, width, batch_size):
    """Only the largest output is counted, as if each map could be thrown away once the next is there."""
    activation_bytes(layers, height, width, batch_size)
    return max(outputs(layers, height, width, batch_size), default=0)


@misconception("activation_bytes", breaks=("test_convolutions", "test_batch", "test_huge"), hint=1)
def batch_left_out(layers, height, width, batch_size):
    """The batch is not counted: every picture has maps of its own."""
    return activation_bytes(layers, height, width, batch_size) // batch_size


@misconception("activation_bytes", breaks=("test_convolutions", "test_nothing", "test_huge"), hint=1)
def numbers_for_bytes(layers, height, width, batch_size):
    """These are numbers, not bytes: a float32 takes more than one byte."""
    return activation_bytes(layers, height, width, batch_size) // 4


@misconception("activation_bytes", breaks=("test_convolutions", "test_nothing", "test_huge"), hint=1)
def double_precision(layers, height, width, batch_size):
    """Every number takes 8 bytes: that would be float64, or an output with its gradient. Asked for is float32."""
    return activation_bytes(layers, height, width, batch_size) * 2


@misconception("activation_bytes", breaks=("test_pooling", "test_batch"), hint=2)
def pooled_maps_left_out(layers, height, width, batch_size):
    """Poolings shrink the map but their outputs are not counted: they are kept like all others."""
    activation_bytes(layers, height, width, batch_size)
    sizes = outputs(layers, height, width, batch_size)
    return sum(size for size, layer in zip(sizes, layers, strict=True) if layer["kind"] == "conv")


@misconception("activation_bytes", breaks=("test_convolutions", "test_pooling", "test_nothing"), hint=2)
def size_before_the_layer(layers, height, width, batch_size):
    """Each map is counted with the height and width that it had before the layer."""
    total = 0
    activation_bytes(layers, height, width, batch_size)
    for stop, layer in enumerate(layers, 1):
        channels = [one["out_channels"] for one in layers[:stop] if one["kind"] == "conv"][-1]
        total += 4 * batch_size * channels * height * width
        room = 2 * layer.get("padding", 0) - (layer["kernel_size"] - 1) * layer.get("dilation", 1) - 1
        height, width = 1 + (height + room) // layer["stride"], 1 + (width + room) // layer["stride"]
    return total


@misconception("activation_bytes", breaks=("test_convolutions", "test_deep"), hint=2)
def channels_of_the_input(layers, height, width, batch_size):
    """Each map is counted with the channels that go into the layer, not with those that come out."""
    activation_bytes(layers, height, width, batch_size)
    total = 0
    for size, layer in zip(outputs(layers, height, width, batch_size), layers, strict=True):
        pooled = layer["kind"] == "pool"
        total += size if pooled else size // layer["out_channels"] * layer["in_channels"]
    return total


@misconception("activation_bytes", breaks=("test_convolutions", "test_deep"), hint=2)
def padding_left_out(layers, height, width, batch_size):
    """Padding is not used: the maps come out too small."""
    activation_bytes(layers, height, width, batch_size)
    return activation_bytes([layer | {"padding": 0} for layer in layers], height, width, batch_size)


@misconception("activation_bytes", breaks=("test_convolutions", "test_deep"), hint=2)
def padding_on_one_side(layers, height, width, batch_size):
    """Padding is counted once; it lies on both sides."""
    total, channels = 0, 0
    activation_bytes(layers, height, width, batch_size)
    for layer in layers:
        channels = layer.get("out_channels", channels)
        room = layer.get("padding", 0) - (layer["kernel_size"] - 1) * layer.get("dilation", 1) - 1
        height, width = 1 + (height + room) // layer["stride"], 1 + (width + room) // layer["stride"]
        total += 4 * batch_size * channels * height * width
    return total


@misconception("activation_bytes", breaks=("test_dilation", "test_misfits"), hint=2)
def gaps_left_out(layers, height, width, batch_size):
    """Dilation is not used: a kernel with gaps has fewer places to lie than one without."""
    return activation_bytes([layer | {"dilation": 1} for layer in layers], height, width, batch_size)


@misconception("activation_bytes", breaks=("test_convolutions", "test_pooling"), hint=2)
def rounded_up(layers, height, width, batch_size):
    """Sizes are rounded up: a place is counted where the kernel would stick out of the map."""
    total, channels = 0, 0
    activation_bytes(layers, height, width, batch_size)
    for layer in layers:
        channels = layer.get("out_channels", channels)
        room = 2 * layer.get("padding", 0) - (layer["kernel_size"] - 1) * layer.get("dilation", 1) - 1
        height, width = (1 - -(size + room) // layer["stride"] for size in (height, width))
        total += 4 * batch_size * channels * height * width
    return total


@misconception("activation_bytes", breaks=("test_convolutions", "test_pooling", "test_deep"), hint=2)
def height_for_both(layers, height, width, batch_size):
    """The height is used for both sides. On square pictures that goes unnoticed."""
    activation_bytes(layers, height, width, batch_size)
    return activation_bytes(layers, height, height, batch_size)


@misconception("activation_bytes", breaks=("test_convolutions", "test_deep"), hint=2)
def activations_counted_again(layers, height, width, batch_size):
    """Every convolution counts twice, once more for its ReLU. The statement takes activations to work in place."""
    activation_bytes(layers, height, width, batch_size)
    sizes = outputs(layers, height, width, batch_size)
    return sum(size * (1 + (layer["kind"] == "conv")) for size, layer in zip(sizes, layers, strict=True))


@misconception("activation_bytes", breaks=("test_convolutions", "test_batch"), hint=1)
def weights_counted(layers, height, width, batch_size):
    """Weights are counted, too. They take memory, but they are no activations: a larger picture has no more of them."""
    weights = sum(
        layer["kernel_size"] ** 2 * layer["in_channels"] * layer["out_channels"]
        for layer in layers
        if layer["kind"] == "conv"
    )
    return activation_bytes(layers, height, width, batch_size) + 4 * weights


@misconception("activation_bytes", breaks="test_huge", hint=3)
def counted_in_floats(layers, height, width, batch_size):
    """Somewhere the count is a float: beyond 2^53 its last digits are lost."""
    return int(float(activation_bytes(layers, height, width, batch_size)))


@misconception("activation_bytes", breaks="test_nothing", hint=3)
def one_layer_required(layers, height, width, batch_size):
    """No layers raise an error; there is just nothing to keep."""
    if not layers:
        raise ValueError("no layers")
    return activation_bytes(layers, height, width, batch_size)


@misconception("activation_bytes", breaks="test_misfits", hint=3)
def channels_not_compared(layers, height, width, batch_size):
    """A convolution that takes other channels than there are is accepted."""
    fitting, channels = [], None
    for layer in layers:
        if layer["kind"] == "conv":
            layer = layer | {"in_channels": channels or layer["in_channels"]}
            channels = layer["out_channels"]
        fitting.append(layer)
    return activation_bytes(fitting, height, width, batch_size)


@misconception("activation_bytes", breaks="test_misfits", hint=3)
def too_large_gives_nothing(layers, height, width, batch_size):
    """A kernel larger than the map gives an empty map, or one of negative size, instead of a ValueError."""
    for stop in range(1, len(layers) + 1):
        try:
            activation_bytes(layers[:stop], height, width, batch_size)
        except ValueError as error:
            if "larger" in str(error):
                return activation_bytes(layers[: stop - 1], height, width, batch_size)
            raise
    return activation_bytes(layers, height, width, batch_size)


@misconception("activation_bytes", breaks="test_misfits", hint=3)
def numbers_not_asked(layers, height, width, batch_size):
    """Kernels, paddings and dilations that no layer can have are taken as they come."""
    repaired = []
    for layer in layers:
        words = {"kernel_size": max(1, layer.get("kernel_size", 1)), "stride": max(1, layer.get("stride", 1))}
        words |= {"padding": max(0, layer.get("padding", 0)), "dilation": max(1, layer.get("dilation", 1))}
        repaired.append(layer | words)
    return activation_bytes(repaired, height, width, batch_size)


@misconception("activation_bytes", breaks="test_misfits", hint=3)
def dense_layers_skipped(layers, height, width, batch_size):
    """Layers of an unknown kind are skipped without a word."""
    known = [layer for layer in layers if layer["kind"] in ("conv", "pool")]
    return activation_bytes(known, height, width, batch_size)


# ---------------------------------------------------------------------------------------------------------------------
# gradient_receptive_field
# ---------------------------------------------------------------------------------------------------------------------


def swap(network, replace):
    """Exchange layers for which `replace(layer)` gives another; nested ones, too."""
    for parent in list(network.modules()):
        for name, child in list(parent._modules.items()):
            other = replace(child)
            if other is not None:
                setattr(parent, name, other)
    return network


def averaging(layer):
    """The average pooling that reads what a max-pooling reads."""
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    return None


def linear_only(layer):
    """Everything that could hide a pixel, exchanged."""
    return nn.Identity() if isinstance(layer, nn.BatchNorm2d) else averaging(layer)


def with_weights(network, rule):
    """Weights by a rule; biases zero."""
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(rule(weights) if weights.ndim > 1 else torch.zeros_like(weights))
    return network


def means(weights):
    """Positive and small."""
    return torch.full_like(weights, 1.0 / weights[0].numel())


def box_of(network, shape, centre=lambda size: size // 2, picture=None):
    """The box by gradients, of the network as it is."""
    picture = torch.ones(1, *shape) if picture is None else picture
    picture = picture.requires_grad_()
    answer = network(picture.clone())  # a ReLU in place may write into a clone
    if answer.ndim != 4:
        raise ValueError(f"an output of shape {tuple(answer.shape)} is no map")
    rows, cols = centre(answer.shape[2]), centre(answer.shape[3])
    (slope,) = torch.autograd.grad(answer[:, :, rows, cols].sum(), picture)
    places = slope.abs().sum((0, 1)).nonzero()  # (n, 2)
    if not len(places):
        raise ValueError("no pixel has a gradient")
    (top, left), (bottom, right) = places.amin(0).tolist(), places.amax(0).tolist()
    return top, bottom, left, right


def checked_shape(shape):
    if len(shape) != 3:
        raise ValueError(f"{shape} is not (C, H, W)")
    return tuple(shape)


def as_it_is(model, shape, picture):
    """The box by gradients, nothing prepared."""
    return box_of(copy.deepcopy(model).eval(), shape, picture=picture)


UNPREPARED = ("test_relu", "test_zero_weights", "test_normalization", "test_pooling", "test_nested")


@misconception("gradient_receptive_field", breaks=UNPREPARED, hint=1)
def weights_as_they_are(model, input_shape):
    """The network is measured as it is: dead ReLUs, zero weights and the losers of a pooling hide pixels."""
    seeded = torch.Generator().manual_seed(0)
    return as_it_is(model, input_shape, torch.randn(1, *checked_shape(input_shape), generator=seeded))


@misconception("gradient_receptive_field", breaks=UNPREPARED, hint=1)
def as_it_is_on_a_positive_picture(model, input_shape):
    """The picture is positive, but the network is as it was: dead ReLUs, zero weights and max-pooling hide pixels."""
    seeded = torch.Generator().manual_seed(0)
    return as_it_is(model, input_shape, torch.rand(1, *checked_shape(input_shape), generator=seeded))


@misconception("gradient_receptive_field", breaks=UNPREPARED, hint=1)
def as_it_is_on_a_flat_picture(model, input_shape):
    """The picture is flat, and the network is as it was: dead ReLUs, zero weights and max-pooling hide pixels."""
    return as_it_is(model, input_shape, torch.ones(1, *checked_shape(input_shape)))


@misconception("gradient_receptive_field", breaks=("test_pooling", "test_nested", "test_edges"), hint=2)
def max_pooling_kept(model, input_shape):
    """Max-pooling is left as it is: its gradient reaches only the winner of each window, and the box is too small."""

    def normalization(layer):
        return nn.Identity() if isinstance(layer, nn.BatchNorm2d) else None

    network = with_weights(swap(nn.Sequential(copy.deepcopy(model)).eval(), normalization), means)
    return box_of(network, checked_shape(input_shape))


@misconception("gradient_receptive_field", breaks=("test_zero_weights", "test_normalization"), hint=2)
def weights_made_absolute(model, input_shape):
    """Weights lose their signs but keep their sizes: those that are zero still hide pixels, and so do statistics."""
    network = swap(nn.Sequential(copy.deepcopy(model)).eval(), averaging)
    return box_of(with_weights(network, torch.abs), checked_shape(input_shape))


@misconception("gradient_receptive_field", breaks="test_relu", hint=2)
def biases_kept(model, input_shape):
    """The biases are kept: one that is far below zero keeps its ReLU shut, and nothing comes through."""
    network = swap(nn.Sequential(copy.deepcopy(model)).eval(), linear_only)
    with torch.no_grad():
        for weights in network.parameters():
            if weights.ndim > 1:
                weights.copy_(means(weights))
    return box_of(network, checked_shape(input_shape))


@misconception("gradient_receptive_field", breaks="test_normalization", hint=2)
def statistics_kept(model, input_shape):
    """Batch normalization keeps its statistics: a large mean pushes everything below zero, and ReLU shuts."""
    network = with_weights(swap(nn.Sequential(copy.deepcopy(model)).eval(), averaging), means)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.fill_(1)
    return box_of(network, checked_shape(input_shape))


@misconception("gradient_receptive_field", breaks="test_normalization", hint=2)
def training_mode_kept(model, input_shape):
    """The copy stays in training mode: batch statistics tie all pixels together, and dropout cuts some off."""
    network = with_weights(swap(nn.Sequential(copy.deepcopy(model)), averaging), means)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.constant_(layer.bias, 9.0)
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    picture = torch.rand(1, *checked_shape(input_shape), generator=torch.Generator().manual_seed(0))
    return box_of(network, input_shape, picture=picture)


@misconception("gradient_receptive_field", breaks="test_relu", hint=3)
def picture_overwritten(model, input_shape):
    """A ReLU that works in place, at the front of the network, writes into the picture whose gradient is wanted."""
    box = gradient_receptive_field(model, input_shape)
    prepared(model)(torch.ones(1, *input_shape).requires_grad_())
    return box


@misconception("gradient_receptive_field", breaks="test_nested", hint=3)
def second_place_forgotten(model, input_shape):
    """A layer that stands in two places is exchanged in one of them: `named_children` names it only once."""
    network = nn.Sequential(copy.deepcopy(model)).eval()
    for part in list(network.modules()):
        for name, child in part.named_children():
            if linear_only(child) is not None:
                setattr(part, name, linear_only(child))
    return box_of(with_weights(network, means), checked_shape(input_shape))


@misconception("gradient_receptive_field", breaks=("test_nested",), hint=3)
def outermost_layers_only(model, input_shape):
    """Only the layers of the outermost network are prepared; those inside nested networks are forgotten."""
    network = copy.deepcopy(model).eval()
    for name, child in list(network._modules.items()):
        if linear_only(child) is not None:
            setattr(network, name, linear_only(child))
    return box_of(with_weights(network, means), checked_shape(input_shape))


@misconception("gradient_receptive_field", breaks="test_nested", hint=3)
def single_layer_forgotten(model, input_shape):
    """A network that is a single pooling is not prepared, since it has no parts to exchange."""
    network = with_weights(swap(copy.deepcopy(model).eval(), linear_only), means)
    return box_of(network, checked_shape(input_shape))


@misconception("gradient_receptive_field", breaks="test_pooling", hint=3)
def pooling_settings_lost(model, input_shape):
    """The pooling put in a max-pooling's place has its kernel but not its stride, padding or rounding."""

    def poorer(layer):
        return nn.AvgPool2d(layer.kernel_size) if isinstance(layer, nn.MaxPool2d) else linear_only(layer)

    network = with_weights(swap(nn.Sequential(copy.deepcopy(model)).eval(), poorer), means)
    return box_of(network, checked_shape(input_shape))


def prepared(model):
    return with_weights(swap(nn.Sequential(copy.deepcopy(model)).eval(), linear_only), means)


@misconception("gradient_receptive_field", breaks=("test_convolutions", "test_even_maps", "test_gaps"), hint=1)
def first_output_measured(model, input_shape):
    """The box belongs to the first output, in the corner; the centre output was asked for."""
    return box_of(prepared(model), checked_shape(input_shape), centre=lambda size: 0)


@misconception("gradient_receptive_field", breaks="test_even_maps", hint=1)
def earlier_of_two_centres(model, input_shape):
    """On maps of even height or width the output before the asked one is taken."""
    return box_of(prepared(model), checked_shape(input_shape), centre=lambda size: (size - 1) // 2)


@misconception("gradient_receptive_field", breaks=("test_convolutions", "test_even_maps", "test_gaps"), hint=1)
def all_outputs_measured(model, input_shape):
    """The box belongs to all outputs together: the whole map was summed, not one place of it."""
    return box_of(prepared(model), checked_shape(input_shape), centre=lambda size: slice(None))


@misconception("gradient_receptive_field", breaks=("test_convolutions", "test_edges", "test_gaps"), hint=3)
def end_excluded(model, input_shape):
    """Bottom and right lie one pixel too far: both ends belong to the box."""
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return top, bottom + 1, left, right + 1


@misconception("gradient_receptive_field", breaks=("test_convolutions", "test_edges", "test_gaps"), hint=3)
def corners_in_order(model, input_shape):
    """The numbers come as (top, left, bottom, right); asked for are both rows first, then both columns."""
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return top, left, bottom, right


@misconception("gradient_receptive_field", breaks=("test_convolutions", "test_edges", "test_gaps"), hint=3)
def columns_before_rows(model, input_shape):
    """Rows and columns are swapped. On square pictures that goes unnoticed."""
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return left, right, top, bottom


@misconception("gradient_receptive_field", breaks="test_edges", hint=3)
def box_beyond_the_picture(model, input_shape):
    """The box is the formula's, and reaches beyond the picture, where there is only padding."""
    gradient_receptive_field(model, input_shape)
    with torch.no_grad():
        sides = model(torch.zeros(1, *input_shape)).shape[2:]
    box = []
    for index, side in enumerate(sides):
        described = []
        for layer in model.modules():
            if hasattr(layer, "kernel_size"):
                words = {word: getattr(layer, word, 1) for word in ("kernel_size", "stride", "padding", "dilation")}
                numbers = {w: v[index] if isinstance(v, tuple) else v for w, v in words.items()}
                described.append({"kind": "conv", **numbers})
        field, jump, start = receptive_field(described)
        first = int(start + jump * (side // 2) - (field - 1) / 2)
        box += [first, first + field - 1]
    return tuple(box)


@misconception("gradient_receptive_field", breaks="test_gaps", hint=2)
def pixels_counted(model, input_shape):
    """The box is as high and wide as there are rows and columns with a gradient: gaps between them are left out."""
    top, _, left, _ = gradient_receptive_field(model, input_shape)
    picture = torch.ones(1, *input_shape, requires_grad=True)
    answer = prepared(model)(picture)
    answer[:, :, answer.shape[2] // 2, answer.shape[3] // 2].sum().backward()
    used = picture.grad[0].sum(0) > 0
    return top, top + int(used.any(1).sum()) - 1, left, left + int(used.any(0).sum()) - 1


@misconception("gradient_receptive_field", breaks="test_model_untouched", hint=1)
def written_into_the_model(model, input_shape):
    """Your function changes the model it is given: it writes other weights into it, and what it had learned is gone."""
    answer = gradient_receptive_field(model, input_shape)
    for weights in model.parameters():
        nn.init.ones_(weights)
    return answer


@misconception("gradient_receptive_field", breaks="test_model_untouched", hint=1)
def model_made_double(model, input_shape):
    """Your function changes the model it is given: its weights are others, and of another dtype."""
    answer = gradient_receptive_field(model, input_shape)
    for weights in model.double().parameters():
        nn.init.ones_(weights)
    return answer


@misconception("gradient_receptive_field", breaks="test_model_untouched", hint=2)
def left_in_evaluation_mode(model, input_shape):
    """The model itself is switched to evaluation mode and stays there."""
    return gradient_receptive_field(model.eval(), input_shape)


@misconception("gradient_receptive_field", breaks="test_model_untouched", hint=2)
def gradients_left_behind(model, input_shape):
    """The backward pass runs through the model itself: its weights are left with gradients."""
    answer = gradient_receptive_field(model, input_shape)
    if any(True for _ in model.parameters()):
        model(torch.ones(2, *input_shape)).sum().backward()
    return answer


@misconception("gradient_receptive_field", breaks="test_model_untouched", hint=2)
def left_frozen(model, input_shape):
    """The model's weights no longer require a gradient: it cannot be trained any more."""
    answer = gradient_receptive_field(model, input_shape)
    model.requires_grad_(False)
    return answer


@misconception("gradient_receptive_field", breaks="test_no_map", hint=3)
def blind_output_gets_zeros(model, input_shape):
    """A centre output that sees nothing gets a box all the same, at the picture's first pixel."""
    try:
        return gradient_receptive_field(model, input_shape)
    except ValueError as error:
        if "sees no pixel" in str(error):
            return 0, 0, 0, 0
        raise


@misconception("gradient_receptive_field", breaks="test_no_map", hint=3)
def any_output_accepted(model, input_shape):
    """A vector of scores is taken for a map of one place instead of being refused."""
    try:
        return gradient_receptive_field(model, input_shape)
    except ValueError as error:
        if "maps (N, K, h, w)" in str(error):
            return 0, input_shape[1] - 1, 0, input_shape[2] - 1
        raise
