"""Wrong answers of lesson 04. Each docstring is what a student reads: what is wrong, not what is right."""

import copy

import torch
from torch import nn

from autograde.graders.candidates import misconception
from autograde.reference.receptive_field import _layers, gradient_receptive_field

STUDENTS = "students' answers"


def numbers(layer):
    """Kernel, stride, padding and dilation of a description."""
    return layer["kernel_size"], layer["stride"], layer.get("padding", 0), layer.get("dilation", 1)


@misconception(
    "receptive_field",
    breaks=("test_strides", "test_pooling", "test_padding", "test_published"),
    hint=2,
    source=STUDENTS,
)
def jump_used_after_its_update(layers):
    """A layer's own stride already spreads its own taps: the jump is multiplied before it is used."""
    size, jump, start = 1, 1, 0
    for k, s, p, d in map(numbers, layers):
        jump *= s
        size += (k - 1) * d * jump
        start -= p * jump
    return size, jump, start


@misconception(
    "receptive_field",
    breaks=("test_strides", "test_pooling", "test_published"),
    hint=2,
    source="calculators on the web that add up k - 1",
)
def jump_left_out(layers):
    """Every kernel counts as if its taps were one pixel apart. Behind a stride they are not: LeNet gets 15 pixels."""
    size, jump, start = 1, 1, 0
    for k, s, p, d in map(numbers, layers):
        size += (k - 1) * d
        start -= p * jump
        jump *= s
    return size, jump, start


@misconception("receptive_field", breaks=("test_strides", "test_pooling", "test_published"), hint=2, source=STUDENTS)
def whole_kernel_added(layers):
    """Every layer adds as many jumps as its kernel has taps. The first of the taps was seen before."""
    size, jump, start = 1, 1, 0
    for k, s, p, d in map(numbers, layers):
        size += k * d * jump
        start -= p * jump
        jump *= s
    return size, jump, start


@misconception("receptive_field", breaks="test_dilation", hint=2, source=STUDENTS)
def dilation_times_kernel(layers):
    """A dilated kernel spans dilation times its size. That counts a gap behind the last tap, too."""
    size, jump, start = 1, 1, 0
    for k, s, p, d in map(numbers, layers):
        size += (d * k - 1) * jump
        start -= p * jump
        jump *= s
    return size, jump, start


@misconception("receptive_field", breaks=("test_padding", "test_published"), hint=2, source=STUDENTS)
def padding_with_the_other_sign(layers):
    """Padding moves the start to the right. It adds places in front of the picture: where does a field begin then?"""
    size, jump, start = 1, 1, 0
    for k, s, p, d in map(numbers, layers):
        size, start, jump = size + (k - 1) * d * jump, start + p * jump, jump * s
    return size, jump, start


@misconception("receptive_field", breaks=("test_padding", "test_published"), hint=2, source=STUDENTS)
def padding_twice(layers):
    """Padding moves the start twice as far as it should. It lies on both sides, but the start is on one of them."""
    size, jump, start = 1, 1, 0
    for k, s, p, d in map(numbers, layers):
        size, start, jump = size + (k - 1) * d * jump, start - 2 * p * jump, jump * s
    return size, jump, start


@misconception(
    "receptive_field", breaks=("test_strides", "test_padding"), hint=3, source="Araujo and others, Distill 2019"
)
def centre_for_start(layers):
    """The start is the middle of the first output's field. Asked for is its first pixel."""
    size, jump, start = 1, 1, 0.0
    for k, s, p, d in map(numbers, layers):
        size, start, jump = size + (k - 1) * d * jump, start + ((k - 1) * d / 2 - p) * jump, jump * s
    return size, jump, start


@misconception("receptive_field", breaks=("test_strides", "test_padding", "test_no_layers"), hint=3, source=STUDENTS)
def start_before_jump(layers):
    """The three numbers come in another order than size, jump, start."""
    size, start, jump = 1, 0, 1
    for k, s, p, d in map(numbers, layers):
        size, start, jump = size + (k - 1) * d * jump, start - p * jump, jump * s
    return size, start, jump


@misconception("layers_to_see", breaks=("test_without_pooling", "test_with_pooling"), hint=1, source=STUDENTS)
def more_than_asked(pixels, kernel, pool_every=None):
    """The loop runs until more than `pixels` are seen. Exactly as many are enough."""
    seen, jump, count = 1, 1, 0
    while seen <= pixels:
        if pool_every and count and count % pool_every == 0:
            seen, jump = seen + jump, 2 * jump
        seen += (kernel - 1) * jump
        count += 1
    return count


@misconception("layers_to_see", breaks=("test_without_pooling", "test_with_pooling"), hint=1, source=STUDENTS)
def whole_kernel(pixels, kernel, pool_every=None):
    """Every convolution adds as many jumps as its kernel is wide. One of its taps was seen before."""
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        if pool_every and count and count % pool_every == 0:
            seen, jump = seen + jump, 2 * jump
        seen += kernel * jump
        count += 1
    return count


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2, source=STUDENTS)
def pooling_sees_nothing(pixels, kernel, pool_every=None):
    """A pooling doubles the jump, but its own 2 x 2 window is forgotten: it adds pixels, too."""
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        if pool_every and count and count % pool_every == 0:
            jump *= 2
        seen += (kernel - 1) * jump
        count += 1
    return count


@misconception(
    "layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2, source='the slide\'s "multiplicatively"'
)
def pooling_doubles_the_size(pixels, kernel, pool_every=None):
    """A pooling doubles what is seen so far. It doubles what every later layer adds."""
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        if pool_every and count and count % pool_every == 0:
            seen, jump = 2 * seen, 2 * jump
        seen += (kernel - 1) * jump
        count += 1
    return count


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2, source=STUDENTS)
def jump_by_kernel(pixels, kernel, pool_every=None):
    """A pooling multiplies the jump by the convolutions' kernel. The jump grows by strides, not by kernels."""
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        if pool_every and count and count % pool_every == 0:
            seen, jump = seen + jump, jump * kernel
        seen += (kernel - 1) * jump
        count += 1
    return count


@misconception("layers_to_see", breaks="test_with_pooling", hint=3, source=STUDENTS)
def pooling_one_early(pixels, kernel, pool_every=None):
    """Each pooling comes one convolution too early, the first of them after `pool_every` - 1 convolutions."""
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        if pool_every and (count + 1) % pool_every == 0:
            seen, jump = seen + jump, 2 * jump
        seen += (kernel - 1) * jump
        count += 1
    return count


@misconception("layers_to_see", breaks=("test_with_pooling", "test_far"), hint=2, source=STUDENTS)
def poolings_counted(pixels, kernel, pool_every=None):
    """The poolings are counted as well; only convolutions are asked for."""
    seen, jump, convolutions, layers = 1, 1, 0, 0
    while seen < pixels:
        if pool_every and convolutions and convolutions % pool_every == 0:
            seen, jump, layers = seen + jump, 2 * jump, layers + 1
        seen += (kernel - 1) * jump
        convolutions, layers = convolutions + 1, layers + 1
    return layers


@misconception("layers_to_see", breaks="test_last_is_a_convolution", hint=3, source=STUDENTS)
def pooling_behind_the_last(pixels, kernel, pool_every=None):
    """A pooling behind the last convolution counts, as if the chain could end with it."""
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        seen += (kernel - 1) * jump
        count += 1
        if pool_every and count % pool_every == 0:
            seen, jump = seen + jump, 2 * jump
    return count


def after(layer, side):
    """The side of a map behind a layer."""
    k, s, p, d = numbers(layer)
    return (side + 2 * p - d * (k - 1) - 1) // s + 1


@misconception("activation_bytes", breaks=("test_convolutions", "test_batch", "test_deep"), hint=1, source=STUDENTS)
def picture_counted(layers, height, width, batch_size):
    """The pictures are counted, too. The statement leaves them out: they are there before the network runs."""
    channels = layers[0]["in_channels"] if layers else 1
    total = channels * height * width
    for layer in layers:
        channels = layer.get("out_channels", channels)
        height, width = after(layer, height), after(layer, width)
        total += channels * height * width
    return 4 * batch_size * total


@misconception("activation_bytes", breaks=("test_convolutions", "test_pooling", "test_deep"), hint=1, source=STUDENTS)
def last_output_only(layers, height, width, batch_size):
    """Only the last output is counted. The backward pass needs those in between as well."""
    total = channels = 0
    for layer in layers:
        channels = layer.get("out_channels", channels)
        height, width = after(layer, height), after(layer, width)
        total = channels * height * width
    return 4 * batch_size * total


@misconception(
    "activation_bytes", breaks=("test_convolutions", "test_pooling", "test_nothing"), hint=1, source=STUDENTS
)
def numbers_for_bytes(layers, height, width, batch_size):
    """These are numbers, not bytes: a float32 takes more than one byte."""
    total = channels = 0
    for layer in layers:
        channels = layer.get("out_channels", channels)
        height, width = after(layer, height), after(layer, width)
        total += channels * height * width
    return batch_size * total


@misconception("activation_bytes", breaks=("test_convolutions", "test_batch"), hint=1, source=STUDENTS)
def batch_left_out(layers, height, width, batch_size):
    """The batch is not counted: every picture has maps of its own."""
    total = channels = 0
    for layer in layers:
        channels = layer.get("out_channels", channels)
        height, width = after(layer, height), after(layer, width)
        total += channels * height * width
    return 4 * total


@misconception(
    "activation_bytes",
    breaks=("test_pooling", "test_batch"),
    hint=2,
    source=STUDENTS,
)
def pooled_maps_left_out(layers, height, width, batch_size):
    """Poolings shrink the map but their outputs are not counted: they are kept like all others."""
    total = 0
    for layer in layers:
        height, width = after(layer, height), after(layer, width)
        total += layer.get("out_channels", 0) * height * width
    return 4 * batch_size * total


@misconception(
    "activation_bytes", breaks=("test_convolutions", "test_pooling", "test_nothing"), hint=2, source=STUDENTS
)
def size_before_the_layer(layers, height, width, batch_size):
    """Each map is counted with the height and width that it had before the layer."""
    total = channels = 0
    for layer in layers:
        channels = layer.get("out_channels", channels)
        total += channels * height * width
        height, width = after(layer, height), after(layer, width)
    return 4 * batch_size * total


@misconception("activation_bytes", breaks=("test_convolutions", "test_pooling", "test_deep"), hint=2, source=STUDENTS)
def channels_of_the_input(layers, height, width, batch_size):
    """Each map is counted with the channels that go into the convolution, not with those that come out."""
    total = channels = 0
    for layer in layers:
        height, width = after(layer, height), after(layer, width)
        total += layer.get("in_channels", channels) * height * width
        channels = layer.get("out_channels", channels)
    return 4 * batch_size * total


@misconception("activation_bytes", breaks=("test_convolutions", "test_pooling", "test_deep"), hint=2, source=STUDENTS)
def height_for_both(layers, height, width, batch_size):
    """The height is used for both sides. On square pictures that goes unnoticed."""
    total = channels = 0
    for layer in layers:
        channels = layer.get("out_channels", channels)
        height = after(layer, height)
        total += channels * height * height
    return 4 * batch_size * total


def copies(network):
    """What the notebook gives: the layers in order, each a copy."""
    return [copy.deepcopy(layer) for layer in _layers(network)]


def one(setting):
    """The same for rows and columns."""
    return setting[0] if isinstance(setting, tuple) else setting


EVERYWHERE = ("test_sliding_window", "test_own_places", "test_no_strides")


@misconception("dilate", breaks=(*EVERYWHERE, "test_strided_convolutions"), hint=1, source=STUDENTS)
def strides_removed_only(network):
    """The strides are gone, but the later kernels look at neighbouring pixels: their taps lie closer than before."""
    layers = copies(network)
    for layer in layers:
        if hasattr(layer, "stride"):
            layer.stride = 1
    return nn.Sequential(*layers)


@misconception("dilate", breaks=(*EVERYWHERE, "test_strided_convolutions"), hint=2, source="detectron2#2598")
def own_stride_dilates(network):
    """A layer's own stride already dilates its own kernel. Its taps lay as far apart as the strides before it say."""
    layers, jump = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            jump *= one(layer.stride)
            layer.stride, layer.dilation = 1, one(layer.dilation) * jump
    return nn.Sequential(*layers)


@misconception("dilate", breaks=EVERYWHERE, hint=2, source="segmentation_models.pytorch, replace_strides_with_dilation")
def only_convolutions_dilated(network):
    """Only convolutions are dilated. A pooling behind a stride looks at places that lay farther apart, too."""
    layers, jump = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            if isinstance(layer, nn.Conv2d):
                layer.dilation = one(layer.dilation) * jump
            jump *= one(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@misconception(
    "dilate", breaks=("test_own_places", "test_strided_convolutions", "test_no_strides"), hint=2, source=STUDENTS
)
def strides_added(network):
    """The strides before a layer are added up. With 3 and 2 that makes 5, but its taps lay 6 pixels apart."""
    layers, passed = copies(network), []
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = one(layer.dilation) * (sum(passed) or 1)
            if one(layer.stride) > 1:
                passed.append(one(layer.stride))
            layer.stride = 1
    return nn.Sequential(*layers)


@misconception("dilate", breaks=(*EVERYWHERE, "test_strided_convolutions"), hint=2, source=STUDENTS)
def last_stride_only(network):
    """A kernel is dilated by the stride of the layer right before it. Every stride before it has spread its taps."""
    layers, before = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = one(layer.dilation) * before
            before, layer.stride = one(layer.stride), 1
    return nn.Sequential(*layers)


@misconception("dilate", breaks="test_dilated_before", hint=2, source="segmentation_models.pytorch#183")
def own_dilation_overwritten(network):
    """A dilation that a kernel already had is overwritten. Its taps were apart before, and now lie closer."""
    layers, jump = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = jump
            jump *= one(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


@misconception(
    "dilate",
    breaks=(*EVERYWHERE, "test_dilated_before"),
    hint=1,
    source="segmentation_models.pytorch, replace_strides_with_dilation",
)
def padded_to_keep_the_size(network):
    """Convolutions got padding, so that maps keep their size: their rim answers about zeros that no window holds."""
    layers, jump = copies(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = one(layer.dilation) * jump
            jump *= one(layer.stride)
            layer.stride = 1
            if isinstance(layer, nn.Conv2d):
                layer.padding = layer.dilation * (one(layer.kernel_size) - 1) // 2
    return nn.Sequential(*layers)


@misconception("dilate", breaks=("test_in_two_places", "test_network_unchanged"), hint=1, source=STUDENTS)
def changed_in_place(network):
    """The network that was given is changed itself: it has lost its strides, and a layer that stands twice is off."""
    layers, jump = _layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = one(layer.dilation) * jump
            jump *= one(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)


def bounds(seen):
    """(top, bottom, left, right) of a map of booleans (H, W)."""
    rows, cols = seen.any(1).nonzero(), seen.any(0).nonzero()
    return rows[0].item(), rows[-1].item(), cols[0].item(), cols[-1].item()


def all_ones(model, pooled=True):
    """A copy in which nothing hides: sums for max-poolings (unless told otherwise), weights of one."""
    layers = []
    for layer in copies(model):
        if pooled and isinstance(layer, nn.MaxPool2d):
            settings = one(layer.kernel_size), one(layer.stride), one(layer.padding), one(layer.dilation)
            layer = SumPool(*settings)
        if not isinstance(layer, (nn.BatchNorm2d, nn.ReLU)):
            layers.append(layer)
    network = nn.Sequential(*layers).double().eval()
    for weights in network.parameters():
        nn.init.ones_(weights)
    return network


class SumPool(nn.Module):
    """The pooling that torch has not: with dilation, for any number of channels."""

    def __init__(self, kernel, stride, padding, dilation):
        super().__init__()
        self.settings = stride, padding, dilation
        self.register_buffer("kernel", torch.ones(1, 1, kernel, kernel))

    def forward(self, x):
        flat = nn.functional.conv2d(x.flatten(0, 1)[:, None], self.kernel, None, *self.settings)
        return flat.view(*x.shape[:2], *flat.shape[2:])


def gradient(network, shape, at=lambda side: side // 2):
    """The gradient of one place of the map, without its sign and over all channels: (H, W)."""
    dtype = next(network.parameters(), torch.zeros((), dtype=torch.float64)).dtype
    picture = torch.ones(1, *shape, dtype=dtype, requires_grad=True)
    output = network(picture.clone())
    output[:, :, at(output.shape[2]), at(output.shape[3])].sum().backward()
    return picture.grad.abs().sum((0, 1))


@misconception("gradient_receptive_field", breaks=("test_pooling", "test_nothing_hides"), hint=1, source=STUDENTS)
def weights_as_they_are(model, input_shape):
    """The network is measured as it is: dead ReLUs, zero weights and the losers of a pooling hide pixels."""
    return bounds(gradient(nn.Sequential(*copies(model)).eval(), input_shape) != 0)


@misconception("gradient_receptive_field", breaks="test_pooling", hint=2, source=STUDENTS)
def max_pooling_kept(model, input_shape):
    """Max-pooling is left as it is: its gradient reaches only the winner of each window, and the box is too small."""
    return bounds(gradient(all_ones(model, pooled=False), input_shape) > 0)


@misconception(
    "gradient_receptive_field", breaks=("test_convolutions", "test_even_maps", "test_gaps"), hint=2, source=STUDENTS
)
def whole_map_measured(model, input_shape):
    """The box belongs to all outputs together: the whole map was summed, not one place of it."""
    return bounds(gradient(all_ones(model), input_shape, at=lambda side: slice(None)) > 0)


@misconception("gradient_receptive_field", breaks="test_even_maps", hint=2, source=STUDENTS)
def earlier_of_two_centres(model, input_shape):
    """On maps of even height or width the output before the asked one is taken."""
    return bounds(gradient(all_ones(model), input_shape, at=lambda side: (side - 1) // 2) > 0)


@misconception("gradient_receptive_field", breaks=("test_convolutions", "test_gaps"), hint=3, source=STUDENTS)
def rows_for_both(model, input_shape):
    """Left and right come from the rows as well. On square pictures that goes unnoticed."""
    top, bottom, _, _ = gradient_receptive_field(model, input_shape)
    return top, bottom, top, bottom


@misconception(
    "gradient_receptive_field", breaks=("test_convolutions", "test_gaps", "test_edges"), hint=3, source=STUDENTS
)
def size_for_end(model, input_shape):
    """The second and fourth number are the height and the width of the box. Asked for are its last row and column."""
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return top, bottom - top + 1, left, right - left + 1


@misconception(
    "gradient_receptive_field",
    breaks=("test_convolutions", "test_gaps"),
    hint=3,
    source="scikit-image's order of a box",
)
def corners_in_order(model, input_shape):
    """The numbers come as (top, left, bottom, right); asked for are both rows first, then both columns."""
    top, bottom, left, right = gradient_receptive_field(model, input_shape)
    return top, left, bottom, right


@misconception("gradient_receptive_field", breaks="test_deep", hint=2, source=STUDENTS)
def rim_lost(model, input_shape):
    """The box of a deep network is too small: its outermost pixels count so little that they were lost."""
    slope = gradient(all_ones(model), input_shape)
    return bounds(slope > 1e-6 * slope.max())
