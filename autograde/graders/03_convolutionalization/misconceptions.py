"""Wrong answers of lesson 03. Each docstring is what a student reads: what is wrong, not what is right."""

from torch import nn

from autograde.graders.candidates import misconception
from autograde.reference import convolutionalization as right


def pair(kernel_size):
    """Height and width of a kernel given as one number or two."""
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size


def linear_to_conv(layer, channels, kernel_size):
    """A right answer to the first exercise, with the refusal that stands in its stub."""
    h, w = pair(kernel_size)
    if channels * h * w != layer.in_features:
        raise ValueError(f"in_features must be in_channels * kh * kw, which it is not in {layer}")
    return right.linear_to_conv(layer, channels, (h, w))


# --- linear_to_conv ---


def copied(linear, conv, weight):
    """The convolution, with this weight and the bias of the fully connected layer."""
    conv.weight.data = weight.contiguous()
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


@misconception(
    "linear_to_conv",
    breaks=("test_one_window", "test_every_place"),
    hint=2,
    source="FCN.tensorflow issue 47, matconvnet issue 657",
)
def channels_taken_as_last(linear, in_channels, kernel_size):
    """The weights are unfolded as (h, w, C) and permuted, as for TensorFlow: the shape is right, the order is not."""
    height, width = pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (height, width), bias=linear.bias is not None)
    weight = linear.weight.data.view(linear.out_features, height, width, in_channels)
    return copied(linear, conv, weight.permute(0, 3, 1, 2))


@misconception(
    "linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source="the second slip of the lecture"
)
def rows_and_columns_swapped(linear, in_channels, kernel_size):
    """The weights are unfolded with columns before rows, so that each kernel is mirrored at its diagonal."""
    height, width = pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (height, width), bias=linear.bias is not None)
    return copied(linear, conv, linear.weight.data.view(-1, in_channels, width, height).transpose(2, 3))


@misconception(
    "linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source="tensorflow-fcn issue 27"
)
def padded_to_keep_the_size(linear, in_channels, kernel_size):
    """The convolution pads to keep the size: one window gives a map, and most of it sees invented zeros."""
    height, width = pair(kernel_size)
    has_bias, padding = linear.bias is not None, (height // 2, width // 2)
    conv = nn.Conv2d(in_channels, linear.out_features, (height, width), padding=padding, bias=has_bias)
    return copied(linear, conv, linear.weight.data.view(conv.weight.shape))


@misconception("linear_to_conv", breaks=("test_every_place", "test_one_number"), hint=2, source="students' answers")
def windows_side_by_side(linear, in_channels, kernel_size):
    """The stride is the kernel: windows lie side by side, and the places between them are missing."""
    kernel, has_bias = pair(kernel_size), linear.bias is not None
    conv = nn.Conv2d(in_channels, linear.out_features, kernel, stride=kernel, bias=has_bias)
    return copied(linear, conv, linear.weight.data.view(conv.weight.shape))


@misconception(
    "linear_to_conv", breaks=("test_one_window", "test_every_place", "test_trains"), hint=3, source="students' answers"
)
def bias_forgotten(linear, in_channels, kernel_size):
    """The weights are there, the bias is not: every answer is off by a constant per unit."""
    conv = nn.Conv2d(in_channels, linear.out_features, pair(kernel_size), bias=False)
    conv.weight.data = linear.weight.data.view(conv.weight.shape)
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=3, source="students' answers")
def bias_left_at_random(linear, in_channels, kernel_size):
    """The bias was not taken over: the convolution keeps the random one that it was made with."""
    conv = nn.Conv2d(in_channels, linear.out_features, pair(kernel_size), bias=linear.bias is not None)
    conv.weight.data = linear.weight.data.view(conv.weight.shape)
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=3, source="students' answers")
def square_only(linear, in_channels, kernel_size):
    """The kernel is taken for a square, as wide as it is high: weights of another window cannot be unfolded so."""
    side, _ = pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, side, bias=linear.bias is not None)
    return copied(linear, conv, linear.weight.data.view(linear.out_features, in_channels, side, side))


@misconception(
    "linear_to_conv",
    breaks=("test_one_window", "test_every_place", "test_one_number"),
    hint=1,
    source="a conversion of VGG-16 (mzaradzki, issue 13)",
)
def kernel_of_one(linear, in_channels, kernel_size):
    """The kernel is 1 x 1 on all inputs as channels: that suits the later layers, not features with a size."""
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1, bias=linear.bias is not None)
    return copied(linear, conv, linear.weight.data.view(linear.out_features, linear.in_features, 1, 1))


# --- convolutionalize ---


def converted(layers, feature_shape, convert_linear=linear_to_conv, convert_norm=right._batch_norm_2d):
    """The layers behind one another; the two that change are changed as the caller says."""
    channels, *window = feature_shape
    parts = []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            parts.append(convert_linear(layer, channels, tuple(window)).train(layer.training))
            channels, window = layer.out_features, (1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            parts.append(convert_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            parts.append(layer)
    return nn.Sequential(*parts)


@misconception(
    "convolutionalize",
    breaks=("test_one_window", "test_every_place", "test_head_alone"),
    hint=2,
    source="FCN.tensorflow issue 47, matconvnet issue 657",
)
def flattened_as_channels_last(classifier, feature_shape):
    """The first fully connected layer's weights are unfolded as (h, w, C): right shape, wrong order."""
    return converted(classifier, feature_shape, channels_taken_as_last)


@misconception("convolutionalize", breaks=("test_one_window", "test_every_place"), hint=1, source="students' answers")
def every_kernel_as_the_first(classifier, feature_shape):
    """Each fully connected layer gets the kernel of the first one, but what is left of a window then is smaller."""
    parts = []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            parts.append(linear_to_conv(layer, feature_shape[0], feature_shape[1:]))
        elif not isinstance(layer, nn.Flatten):
            parts += converted([layer], feature_shape)
    return nn.Sequential(*parts)


@misconception("convolutionalize", breaks="test_two_places", hint=2, source="students' answers")
def each_layer_once(classifier, feature_shape):
    """A layer that stands in two places is counted once: `modules()` and `children()` list every layer one time."""
    return converted(list(classifier.modules())[1:], feature_shape)


@misconception("convolutionalize", breaks=("test_batch_norm", "test_modes"), hint=3, source="students' answers")
def statistics_forgotten(classifier, feature_shape):
    """The normalization keeps weight and bias, but its statistics begin anew: mean 0 and variance 1."""

    def norm_of_maps(norm):
        new = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum).train(norm.training)
        new.weight, new.bias = norm.weight, norm.bias
        return new

    return converted(classifier, feature_shape, convert_norm=norm_of_maps)


@misconception(
    "convolutionalize",
    breaks="test_batch_norm",
    hint=3,
    source="students' answers",
)
def settings_forgotten(classifier, feature_shape):
    """The normalization has its weights and statistics, but the usual `eps` in place of its own, a setting of it."""

    def norm_of_maps(norm):
        new = nn.BatchNorm2d(norm.num_features, momentum=norm.momentum).train(norm.training)
        new.load_state_dict(norm.state_dict())
        return new

    return converted(classifier, feature_shape, convert_norm=norm_of_maps)


@misconception("convolutionalize", breaks=("test_batch_norm", "test_modes"), hint=3, source="students' answers")
def new_normalization_trains(classifier, feature_shape):
    """The new normalization is in training mode, as new layers are: it uses the mean and variance of the batch."""
    return converted(classifier, feature_shape, convert_norm=lambda norm: right._batch_norm_2d(norm).train())


@misconception("convolutionalize", breaks="test_modes", hint=3, source="students' answers")
def one_mode_for_all(classifier, feature_shape):
    """All layers are put into the mode of the whole network; layers that were set otherwise change."""
    return converted(classifier, feature_shape).train(classifier.training)


@misconception("convolutionalize", breaks=("test_batch_norm", "test_modes"), hint=3, source="students' answers")
def normalization_made_new(classifier, feature_shape):
    """What the normalization has learned is lost: weight, bias and statistics, as in an untrained layer."""
    return converted(
        classifier,
        feature_shape,
        convert_norm=lambda norm: nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum).train(norm.training),
    )


# --- pool_head_to_conv ---


def sliding_mean(window, linear, **settings):
    """The mean of each window, then the fully connected layer."""
    pooling = nn.AvgPool2d(window, **({"stride": 1} | settings))
    return nn.Sequential(pooling, linear_to_conv(linear, linear.in_features, 1))


@misconception(
    "pool_head_to_conv", breaks=("test_every_place", "test_class_activation_map"), hint=2, source="students' answers"
)
def pooled_over_everything(linear, feature_shape):
    """It averages over the whole feature map, as the original head did: one answer, and no map."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), linear_to_conv(linear, feature_shape[0], 1))


@misconception("pool_head_to_conv", breaks="test_every_place", hint=3, source="students' answers")
def means_side_by_side(linear, feature_shape):
    """The pooling jumps from window to window, as it does by default; the places between are missing."""
    return sliding_mean(feature_shape[1:], linear, stride=None)


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source="students' answers")
def summed_instead_of_averaged(linear, feature_shape):
    """The features of the window are summed, not averaged: the answers are too large by the window's size."""
    channels, *window = feature_shape
    conv = nn.Conv2d(channels, linear.out_features, window, bias=linear.bias is not None)
    return copied(linear, conv, linear.weight.data[:, :, None, None].repeat(1, 1, *window))


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=1, source="students' answers")
def window_forgotten(linear, feature_shape):
    """The window's size is not used: it is the class activation map whatever h and w are."""
    return linear_to_conv(linear, feature_shape[0], 1)


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=3, source="students' answers")
def square_windows_only(linear, feature_shape):
    """The window is taken for a square, as wide as it is high."""
    return sliding_mean(feature_shape[1], linear)


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=3, source="students' answers")
def height_for_width(linear, feature_shape):
    """Height and width of the window are exchanged. On square windows that goes unnoticed."""
    return sliding_mean((feature_shape[2], feature_shape[1]), linear)


@misconception(
    "pool_head_to_conv", breaks=("test_one_window", "test_class_activation_map"), hint=2, source="students' answers"
)
def bias_not_taken_over(linear, feature_shape):
    """The bias of the fully connected layer is missing: every answer is off by a constant per class."""
    return nn.Sequential(nn.AvgPool2d(feature_shape[1:], 1), bias_forgotten(linear, feature_shape[0], 1))


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=3, source="students' answers")
def bias_divided_too(linear, feature_shape):
    """The bias was divided by the number of places as well; it is added once, whatever the window."""
    conv = summed_instead_of_averaged(linear, feature_shape)
    for weight in conv.parameters():
        weight.data = weight.data / (feature_shape[1] * feature_shape[2])
    return conv


# --- map_size ---


def walk(size, layers, step, stride=lambda layer: layer["stride"]):
    """The map where `step(size, layer)` says what one layer makes of a size."""
    jump = 1
    for layer in layers:
        layer = {"padding": 0, "dilation": 1} | layer
        size, jump = step(size, layer), jump * stride(layer)
    return size, jump


def room(size, layer, span=None):
    """How far a kernel can be moved in a size."""
    more = size + 2 * layer["padding"] - (span or layer["dilation"] * (layer["kernel_size"] - 1) + 1)
    if more < 0:
        raise ValueError("the kernel does not fit")
    return more


def places(size, layer, span=None):
    """At how many places a kernel can stand in a size."""
    return room(size, layer, span) // layer["stride"] + 1


@misconception("map_size", breaks=("test_as_when_run", "test_lenet"), hint=2, source="students' answers")
def first_place_not_counted(size, layers):
    """One output of each layer is missing: the division counts the steps from the first place, not the places."""
    return walk(size, layers, lambda size, layer: places(size, layer) - 1)


@misconception("map_size", breaks=("test_as_when_run", "test_rounding"), hint=2, source="students' answers")
def one_added_before_dividing(size, layers):
    """The 1 is added before the division by the stride, so it gets lost in the rounding."""
    return walk(size, layers, lambda size, layer: (room(size, layer) + 1) // layer["stride"])


@misconception("map_size", breaks=("test_as_when_run", "test_dilation"), hint=2, source="students' answers")
def dilation_times_kernel(size, layers):
    """A dilated kernel is taken to span dilation times its size; behind its last element nothing follows."""
    return walk(size, layers, lambda size, layer: places(size, layer, layer["dilation"] * layer["kernel_size"]))


@misconception("map_size", breaks=("test_as_when_run", "test_dilation"), hint=2, source="students' answers")
def dilation_of_poolings_ignored(size, layers):
    """A dilation is left out, as if the elements of the kernel lay side by side. Look at each kind of layer."""

    def step(size, layer):
        return places(size, layer, layer["kernel_size"] if layer["kind"] == "pool" else None)

    return walk(size, layers, step)


@misconception("map_size", breaks=("test_as_when_run", "test_rounding"), hint=1, source="students' answers")
def only_poolings_jump(size, layers):
    """Only the strides of poolings are in the jump; a convolution may have a stride as well."""

    def stride(layer):
        return layer["stride"] if layer["kind"] == "pool" else 1

    return walk(size, layers, places, stride)


@misconception("map_size", breaks=("test_as_when_run", "test_lenet"), hint=2, source="students' answers")
def kernels_added(size, layers):
    """All kernels are added up in pixels of the picture; behind a stride, each of their steps is several pixels."""
    jump = walk(size, layers, lambda size, layer: size)[1]
    for layer in layers:
        span = layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1
        size += 2 * layer.get("padding", 0) - (span - 1)
    if size < 1:
        raise ValueError("the kernels do not fit")
    return (size - 1) // jump + 1, jump


@misconception("map_size", breaks=("test_as_when_run", "test_rounding"), hint=2, source="students' answers")
def poolings_only_divide(size, layers):
    """A pooling only divides the size and rounds down, whatever its kernel, padding and dilation are."""

    def step(size, layer):
        return size // layer["stride"] if layer["kind"] == "pool" else places(size, layer)

    return walk(size, layers, step)


@misconception("map_size", breaks="test_does_not_fit", hint=2, source="students' answers")
def fit_checked_at_the_end(size, layers):
    """A kernel that does not fit goes unnoticed where it happens: later padding hides that it had no place."""

    def count(size, layer):
        span = layer["dilation"] * (layer["kernel_size"] - 1) + 1
        return (size + 2 * layer["padding"] - span) // layer["stride"] + 1

    size, jump = walk(size, layers, count)
    if size < 1:
        raise ValueError("the kernels do not fit")
    return size, jump
