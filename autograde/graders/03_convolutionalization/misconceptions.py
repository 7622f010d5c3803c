"""Wrong answers of lesson 03. Each docstring is what a student reads: what is wrong, not what is right."""

import math

import torch
from torch import nn

from autograde.graders.candidates import misconception, variant
from autograde.reference import convolutionalization as right

STUDENTS = "students' answers"


def pair(kernel_size):
    """Height and width of a kernel given as one number or two."""
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)


def convolved(linear, weight, *, bias=True, **settings):
    """A convolution with this weight, and with the bias of the fully connected layer unless it is left out."""
    outputs, channels, *kernel = weight.shape
    conv = nn.Conv2d(channels, outputs, kernel, bias=bias and linear.bias is not None, **settings)
    conv.weight.data = weight.data.contiguous()
    if conv.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


def unfolded(linear, channels, kernel_size):
    """The right weights: (out_features, channels, kh, kw)."""
    return linear.weight.data.view(linear.out_features, channels, *pair(kernel_size))


# --- linear_to_conv ---


@misconception(
    "linear_to_conv",
    breaks=("test_one_window", "test_every_place"),
    hint=2,
    source="FCN.tensorflow issue 47, matconvnet issue 657",
)
def channels_taken_as_last(linear, in_channels, kernel_size):
    """The shape is right, the order of the weights is not. The weights of a unit stand in the order in which `Flatten`
    lists the features; code from TensorFlow, with channels last, has another, and so has a transposed matrix."""
    weight = linear.weight.view(linear.out_features, *pair(kernel_size), in_channels)
    return convolved(linear, weight.permute(0, 3, 1, 2))


@variant(channels_taken_as_last, breaks=("test_one_window", "test_every_place"))
def matrix_transposed(linear, in_channels, kernel_size):
    return convolved(linear, linear.weight.t().reshape(linear.out_features, in_channels, *pair(kernel_size)))


@variant(channels_taken_as_last, breaks=("test_one_window", "test_every_place"))
def rows_before_channels(linear, in_channels, kernel_size):
    height, width = pair(kernel_size)
    return convolved(linear, linear.weight.view(-1, height, in_channels, width).transpose(1, 2))


@misconception(
    "linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source="the second slip of the lecture"
)
def rows_and_columns_swapped(linear, in_channels, kernel_size):
    """Inside the kernel, rows and columns are not as they were: exchanged, in its shape or in its weights, or back to
    front. A kernel's height comes first, and torch lays it on the features without turning it."""
    height, width = pair(kernel_size)
    return convolved(linear, linear.weight.view(-1, in_channels, width, height).transpose(2, 3))


@variant(rows_and_columns_swapped, breaks=("test_one_window", "test_every_place"))
def kernel_as_wide_as_the_window_is_high(linear, in_channels, kernel_size):
    return convolved(linear, unfolded(linear, in_channels, pair(kernel_size)[::-1]))


@variant(rows_and_columns_swapped, breaks=("test_one_window", "test_every_place"))
def kernel_back_to_front(linear, in_channels, kernel_size):
    return convolved(linear, unfolded(linear, in_channels, kernel_size).flip(2, 3))


@variant(rows_and_columns_swapped, breaks=("test_one_window", "test_every_place"))
def columns_back_to_front(linear, in_channels, kernel_size):
    return convolved(linear, unfolded(linear, in_channels, kernel_size).flip(3))


@misconception(
    "linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source="tensorflow-fcn issue 27"
)
def padded_to_keep_the_size(linear, in_channels, kernel_size):
    """The convolution pads: one window gives a map, and most of it sees invented zeros."""
    height, width = pair(kernel_size)
    return convolved(linear, unfolded(linear, in_channels, kernel_size), padding=(height // 2, width // 2))


@variant(padded_to_keep_the_size, breaks=("test_one_window", "test_every_place"))
def padded_by_one(linear, in_channels, kernel_size):
    return convolved(linear, unfolded(linear, in_channels, kernel_size), padding=1)


@variant(padded_to_keep_the_size, breaks=("test_one_window", "test_every_place"))
def padded_for_every_overlap(linear, in_channels, kernel_size):
    height, width = pair(kernel_size)
    return convolved(linear, unfolded(linear, in_channels, kernel_size), padding=(height - 1, width - 1))


@misconception("linear_to_conv", breaks=("test_every_place", "test_one_number"), hint=2, source=STUDENTS)
def windows_side_by_side(linear, in_channels, kernel_size):
    """The stride is the kernel: windows lie side by side, and the places between them are missing."""
    return convolved(linear, unfolded(linear, in_channels, kernel_size), stride=pair(kernel_size))


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place", "test_trains"), hint=3, source=STUDENTS)
def bias_forgotten(linear, in_channels, kernel_size):
    """Not all numbers of the fully connected layer have been written into the convolution. Often it is the bias that is
    missing, or that is still the random one of a new layer."""
    return convolved(linear, unfolded(linear, in_channels, kernel_size), bias=False)


@variant(bias_forgotten, breaks=("test_one_window", "test_every_place"))
def bias_left_at_random(linear, in_channels, kernel_size):
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias=linear.bias is not None)
    conv.weight.data = unfolded(linear, in_channels, kernel_size)
    return conv


@variant(bias_forgotten, breaks=("test_one_window", "test_every_place"))
def weights_left_at_random(linear, in_channels, kernel_size):
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias=linear.bias is not None)
    conv.bias = linear.bias
    return conv


@misconception("linear_to_conv", breaks="test_without_bias", hint=3, source=STUDENTS)
def no_bias_not_provided_for(linear, in_channels, kernel_size):
    """A fully connected layer may have no bias. Then this convolution has one all the same, or there is an error."""
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size)
    conv.weight.data = unfolded(linear, in_channels, kernel_size)
    conv.bias.data = torch.zeros(linear.out_features) if linear.bias is None else linear.bias.data
    return conv


@variant(no_bias_not_provided_for, breaks="test_without_bias")
def bias_beside_none(linear, in_channels, kernel_size):
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size)
    conv.weight.data = unfolded(linear, in_channels, kernel_size)
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


@variant(no_bias_not_provided_for, breaks="test_without_bias")
def data_of_no_bias(linear, in_channels, kernel_size):
    conv = no_bias_not_provided_for(linear, in_channels, kernel_size)
    conv.bias.data = linear.bias.data
    return conv


@variant(no_bias_not_provided_for, breaks="test_without_bias")
def copy_of_no_bias(linear, in_channels, kernel_size):
    conv = no_bias_not_provided_for(linear, in_channels, kernel_size)
    conv.bias.data.copy_(linear.bias)
    return conv


@variant(no_bias_not_provided_for, breaks="test_without_bias")
def clone_of_no_bias(linear, in_channels, kernel_size):
    conv = no_bias_not_provided_for(linear, in_channels, kernel_size)
    conv.bias.data = linear.bias.clone()
    return conv


@variant(no_bias_not_provided_for, breaks="test_without_bias")
def detached_no_bias(linear, in_channels, kernel_size):
    conv = no_bias_not_provided_for(linear, in_channels, kernel_size)
    conv.bias.data = linear.bias.detach()
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=3, source=STUDENTS)
def square_only(linear, in_channels, kernel_size):
    """The kernel is taken for a square: weights of a window that is none cannot be unfolded so."""
    return convolved(linear, unfolded(linear, in_channels, pair(kernel_size)[0]))


@variant(square_only, breaks=("test_one_window", "test_every_place"))
def square_of_the_width(linear, in_channels, kernel_size):
    return convolved(linear, unfolded(linear, in_channels, pair(kernel_size)[1]))


@variant(square_only, breaks=("test_one_window", "test_every_place"))
def square_of_the_root(linear, in_channels, kernel_size):
    return convolved(linear, unfolded(linear, in_channels, round(math.sqrt(linear.in_features / in_channels))))


@variant(square_only, breaks=("test_one_window", "test_every_place"))
def square_of_some_units(linear, in_channels, kernel_size):
    height, _ = pair(kernel_size)
    return convolved(linear, linear.weight.view(-1, in_channels, height, height))


@misconception("linear_to_conv", breaks="test_trains", hint=3, source=STUDENTS)
def weights_frozen(linear, in_channels, kernel_size):
    """The weights of the convolution cannot be trained: they are frozen, or computed from those of the fully connected
    layer, and no optimizer takes such a tensor. An error on the way may have led you there."""
    return convolved(linear, unfolded(linear, in_channels, kernel_size)).requires_grad_(False)


@variant(weights_frozen, breaks="test_trains")
def weights_computed(linear, in_channels, kernel_size):
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias=linear.bias is not None)
    conv.requires_grad_(False).weight.copy_(linear.weight.view(conv.weight.shape))
    if linear.bias is not None:
        conv.bias.copy_(linear.bias)
    return conv


# --- convolutionalize ---


def converted(layers, feature_shape, linear=right.linear_to_conv, norm=right._batch_norm_2d, without=nn.Flatten):
    """The layers behind one another; what becomes of the two that change is said by the caller, as is what goes."""
    channels, *window = feature_shape
    parts = []
    for layer in layers:
        if isinstance(layer, nn.Linear):
            parts.append(linear(layer, channels, tuple(window)).train(layer.training))
            channels, window = layer.out_features, (1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            parts.append(norm(layer))
        elif not isinstance(layer, without):
            parts.append(layer)
    return nn.Sequential(*parts)


@misconception(
    "convolutionalize",
    breaks=("test_one_window", "test_every_place", "test_head_alone"),
    hint=2,
    source="FCN.tensorflow issue 47, matconvnet issue 657",
)
def flattened_as_channels_last(classifier, feature_shape):
    """The first fully connected layer's weights are unfolded in another order than that of `Flatten`: channels last, or
    rows and columns exchanged. The shape is right, the order is not."""
    return converted(classifier, feature_shape, channels_taken_as_last)


@variant(flattened_as_channels_last, breaks=("test_one_window", "test_every_place", "test_head_alone"))
def flattened_by_columns(classifier, feature_shape):
    return converted(classifier, feature_shape, rows_and_columns_swapped)


@misconception("convolutionalize", breaks=("test_one_window", "test_every_place"), hint=1, source=STUDENTS)
def every_kernel_as_the_first(classifier, feature_shape):
    """A kernel does not cover what its fully connected layer sees of one window, no more and no less. For the first
    layer these are all rows and columns of the features, for a later one it is what the layer before it leaves."""

    def strict(layer, channels, window):
        if layer.in_features != math.prod(feature_shape):  # as in the stub of exercise 1, word for word
            raise ValueError(f"in_features must be in_channels * kh * kw, which it is not in {layer}")
        return right.linear_to_conv(layer, channels, window)

    return converted(classifier, feature_shape, strict)


@variant(every_kernel_as_the_first, breaks=("test_one_window", "test_every_place"))
def weights_of_every_layer_as_of_the_first(classifier, feature_shape):
    return converted(
        classifier,
        feature_shape,
        lambda linear, *_: convolved(linear, unfolded(linear, feature_shape[0], feature_shape[1:])),
    )


@variant(every_kernel_as_the_first, breaks=("test_one_window", "test_every_place"))
def every_kernel_of_one(classifier, feature_shape):
    return converted(classifier, feature_shape, lambda linear, *_: right.linear_to_conv(linear, linear.in_features, 1))


@variant(every_kernel_as_the_first, breaks=("test_one_window", "test_every_place"))
def first_kernel_square(classifier, feature_shape):
    return converted(classifier, feature_shape, square_only)


@misconception("convolutionalize", breaks="test_two_places", hint=2, source=STUDENTS)
def each_layer_once(classifier, feature_shape):
    """A layer that stands in two places is counted once: `modules()` and `children()` list every layer one time."""
    return converted(classifier.children(), feature_shape)


@misconception("convolutionalize", breaks=("test_batch_norm", "test_modes"), hint=3, source=STUDENTS)
def normalization_made_new(classifier, feature_shape):
    """Something of the batch normalization is lost in the new one. Weight, bias, the two statistics, `eps` and
    `momentum` belong to it; what is not taken over is as in a layer that was never trained."""
    return converted(classifier, feature_shape, norm=lambda old: renewed(old, old.eps, old.momentum))


def renewed(old, eps=1e-5, momentum=0.1):
    return nn.BatchNorm2d(old.num_features, eps, momentum).train(old.training)


@variant(normalization_made_new, breaks=("test_batch_norm", "test_modes"))
def statistics_forgotten(classifier, feature_shape):
    def norm_of_maps(old):
        new = renewed(old, old.eps, old.momentum)
        new.weight, new.bias = old.weight, old.bias
        return new

    return converted(classifier, feature_shape, norm=norm_of_maps)


def loaded(old, **settings):
    new = renewed(old, **settings)
    new.load_state_dict(old.state_dict())
    return new


@variant(normalization_made_new, breaks="test_batch_norm")
def eps_forgotten(classifier, feature_shape):
    return converted(classifier, feature_shape, norm=lambda old: loaded(old, momentum=old.momentum))


@variant(normalization_made_new, breaks="test_batch_norm_in_training")
def momentum_forgotten(classifier, feature_shape):
    return converted(classifier, feature_shape, norm=lambda old: loaded(old, eps=old.eps))


@misconception("convolutionalize", breaks=("test_batch_norm", "test_head_alone"), hint=1, source=STUDENTS)
def layer_of_vectors_stays(classifier, feature_shape):
    """A layer for vectors is still there: `Flatten`, which makes a vector of every map, wherever it stands, or
    `BatchNorm1d`, which takes no maps."""
    return nn.Sequential(*converted(classifier, feature_shape), nn.Flatten())


@variant(layer_of_vectors_stays, breaks=("test_every_place", "test_head_alone"))
def flatten_in_its_place(classifier, feature_shape):
    return converted(classifier, feature_shape, without=())


@variant(layer_of_vectors_stays, breaks="test_batch_norm")
def normalization_of_vectors(classifier, feature_shape):
    return converted(classifier, feature_shape, norm=lambda old: old)


@misconception("convolutionalize", breaks=("test_batch_norm", "test_modes"), hint=3, source=STUDENTS)
def modes_changed(classifier, feature_shape):
    """Not every layer is in the mode that it was in. A new normalization begins in training mode, and `train(…)` or
    `eval()` of the whole network changes every layer in it."""
    return converted(classifier, feature_shape, norm=lambda old: right._batch_norm_2d(old).train())


@variant(modes_changed, breaks="test_modes")
def one_mode_for_all(classifier, feature_shape):
    return converted(classifier, feature_shape).train(classifier.training)


@variant(modes_changed, breaks="test_modes")
def everything_in_evaluation(classifier, feature_shape):
    return converted(classifier, feature_shape).eval()


@variant(modes_changed, breaks="test_modes")
def new_dropout_trains(classifier, feature_shape):
    layers = converted(classifier, feature_shape)
    return nn.Sequential(*(nn.Dropout(one.p) if isinstance(one, nn.Dropout) else one for one in layers))


@misconception("convolutionalize", breaks="test_dropout", hint=2, source=STUDENTS)
def other_layers(classifier, feature_shape):
    """The new network does not have the classifier's layers, each in its place: one is missing, one has become another,
    or one has come in addition. Only `Flatten` goes."""
    return converted(classifier, feature_shape, without=(nn.Flatten, nn.Dropout))


@variant(other_layers, breaks="test_dropout")
def whole_channels_dropped(classifier, feature_shape):
    layers = converted(classifier, feature_shape)
    return nn.Sequential(
        *(nn.Dropout2d(one.p).train(one.training) if isinstance(one, nn.Dropout) else one for one in layers)
    )


@variant(other_layers, breaks="test_batch_norm")
def normalization_dropped(classifier, feature_shape):
    return converted(classifier, feature_shape, norm=lambda old: nn.Identity())


@variant(other_layers, breaks=("test_head_alone", "test_batch_norm", "test_dropout"))
def nothing_but_relu_between(classifier, feature_shape):
    place = [isinstance(layer, nn.Flatten) for layer in classifier].index(True)
    parts = [one for one in converted(classifier, feature_shape)[place:] if isinstance(one, nn.Conv2d)]
    between = [part for conv in parts for part in (conv, nn.ReLU())]
    return nn.Sequential(*classifier[:place], *between[:-1])


@variant(other_layers, breaks=("test_one_window", "test_every_place"))
def softmax_at_the_end(classifier, feature_shape):
    return converted(classifier, feature_shape).append(nn.Softmax(dim=1))


@variant(other_layers, breaks=("test_one_window", "test_every_place"))
def features_left_out(classifier, feature_shape):
    place = [isinstance(layer, nn.Flatten) for layer in classifier].index(True)
    return converted(classifier[place:], feature_shape)


@misconception("convolutionalize", breaks=("test_one_window", "test_every_place"), hint=2, source=STUDENTS)
def converted_otherwise(classifier, feature_shape):
    """A fully connected layer has become another convolution than in exercise 1: its bias is missing or random, or the
    convolution pads or jumps."""
    return converted(classifier, feature_shape, bias_forgotten)


@variant(converted_otherwise, breaks=("test_one_window", "test_every_place"))
def converted_with_random_bias(classifier, feature_shape):
    return converted(classifier, feature_shape, bias_left_at_random)


@variant(converted_otherwise, breaks=("test_one_window", "test_every_place"))
def converted_with_padding(classifier, feature_shape):
    return converted(classifier, feature_shape, padded_to_keep_the_size)


@variant(converted_otherwise, breaks="test_every_place")
def converted_side_by_side(classifier, feature_shape):
    return converted(classifier, feature_shape, windows_side_by_side)


# --- pool_head_to_conv ---


def sliding_mean(window, linear, **settings):
    """The mean of each window, then the fully connected layer."""
    pooling = nn.AvgPool2d(window, **({"stride": 1} | settings))
    return nn.Sequential(pooling, right.linear_to_conv(linear, linear.in_features, 1))


def spread(linear, window, divisor):
    """One convolution: each weight, divided, at every place of the window."""
    return convolved(linear, linear.weight.data[:, :, None, None].repeat(1, 1, *window) / divisor)


@misconception("pool_head_to_conv", breaks=("test_every_place", "test_class_activation_map"), hint=2, source=STUDENTS)
def pooled_over_everything(linear, feature_shape):
    """The pooling takes the whole feature map, as in the original head, not the window at each place: however large the
    map is, the number of answers stays the same."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), right.linear_to_conv(linear, feature_shape[0], 1))


@variant(pooled_over_everything, breaks=("test_every_place", "test_class_activation_map"))
def head_as_it_was(linear, feature_shape):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


@variant(pooled_over_everything, breaks=("test_every_place", "test_class_activation_map"))
def pooled_to_one_window(linear, feature_shape):
    return nn.Sequential(nn.AdaptiveAvgPool2d(feature_shape[1:]), right.linear_to_conv(linear, feature_shape[0], 1))


@misconception("pool_head_to_conv", breaks="test_every_place", hint=3, source=STUDENTS)
def means_side_by_side(linear, feature_shape):
    """The pooling jumps from window to window, as it does by default; the places between are missing."""
    return sliding_mean(feature_shape[1:], linear, stride=None)


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source=STUDENTS)
def summed_instead_of_averaged(linear, feature_shape):
    """What is added up over the window is not divided by the number of its places: the answers are too large, or too
    small, by a factor. They should be those of the fully connected layer on the mean, whatever the window's size."""
    return spread(linear, feature_shape[1:], 1)


@variant(summed_instead_of_averaged, breaks=("test_one_window", "test_every_place"))
def scores_summed(linear, feature_shape):
    scores = right.linear_to_conv(linear, feature_shape[0], 1)
    return nn.Sequential(scores, nn.AvgPool2d(feature_shape[1:], stride=1, divisor_override=1))


@variant(summed_instead_of_averaged, breaks=("test_one_window", "test_every_place"))
def divided_by_all_features(linear, feature_shape):
    return spread(linear, feature_shape[1:], math.prod(feature_shape))


@variant(summed_instead_of_averaged, breaks=("test_one_window", "test_every_place"))
def divided_by_the_height(linear, feature_shape):
    return spread(linear, feature_shape[1:], feature_shape[1])


@variant(summed_instead_of_averaged, breaks=("test_one_window", "test_every_place"))
def divided_by_the_width(linear, feature_shape):
    return spread(linear, feature_shape[1:], feature_shape[2])


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=1, source=STUDENTS)
def window_forgotten(linear, feature_shape):
    """The window's size is not used: it is the class activation map whatever h and w are."""
    return right.linear_to_conv(linear, feature_shape[0], 1)


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=3, source=STUDENTS)
def height_for_width(linear, feature_shape):
    """Height and width of the window are exchanged, or one of them is used for both. On squares that goes unnoticed."""
    return sliding_mean((feature_shape[2], feature_shape[1]), linear)


@variant(height_for_width, breaks=("test_one_window", "test_every_place"))
def as_wide_as_high(linear, feature_shape):
    return sliding_mean(feature_shape[1], linear)


@variant(height_for_width, breaks=("test_one_window", "test_every_place"))
def as_high_as_wide(linear, feature_shape):
    return sliding_mean(feature_shape[2], linear)


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_class_activation_map"), hint=2, source=STUDENTS)
def bias_not_taken_over(linear, feature_shape):
    """The bias is not that of the fully connected layer, added once: it is missing, or random, or was divided by the
    number of places along with the weights."""
    return nn.Sequential(nn.AvgPool2d(feature_shape[1:], 1), bias_forgotten(linear, feature_shape[0], 1))


@variant(bias_not_taken_over, breaks=("test_one_window", "test_every_place"))
def bias_divided_too(linear, feature_shape):
    places = math.prod(feature_shape[1:])
    conv = spread(linear, feature_shape[1:], places)
    if conv.bias is not None:
        conv.bias.data = conv.bias.data / places
    return conv


@variant(bias_not_taken_over, breaks=("test_one_window", "test_every_place"))
def bias_random_behind_the_mean(linear, feature_shape):
    return nn.Sequential(nn.AvgPool2d(feature_shape[1:], 1), bias_left_at_random(linear, feature_shape[0], 1))


@variant(bias_not_taken_over, breaks=("test_one_window", "test_every_place"))
def bias_random_in_one_kernel(linear, feature_shape):
    conv = nn.Conv2d(feature_shape[0], linear.out_features, feature_shape[1:], bias=linear.bias is not None)
    conv.weight.data = spread(linear, feature_shape[1:], math.prod(feature_shape[1:])).weight.data
    return conv


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source=STUDENTS)
def largest_instead_of_mean(linear, feature_shape):
    """It takes the largest number of each window, as most poolings do; this head was trained on means."""
    return nn.Sequential(nn.MaxPool2d(feature_shape[1:], 1), right.linear_to_conv(linear, feature_shape[0], 1))


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=2, source=STUDENTS)
def means_with_padding(linear, feature_shape):
    """There is padding: the map is too large, and the windows along its rim are not full."""
    _, height, width = feature_shape
    return sliding_mean((height, width), linear, padding=(height // 2, width // 2))


@variant(means_with_padding, breaks=("test_one_window", "test_every_place"))
def means_of_what_is_inside(linear, feature_shape):
    _, height, width = feature_shape
    return sliding_mean((height, width), linear, padding=(height // 2, width // 2), count_include_pad=False)


# --- map_size ---


def walk(size, layers, step, stride=lambda layer: layer["stride"]):
    """The map where `step(size, layer)` says what one layer makes of a size."""
    jump = 1
    for layer in layers:
        layer = {"padding": 0, "dilation": 1} | layer
        size, jump = step(size, layer), jump * stride(layer)
    return size, jump


def spanned(layer):
    return layer["dilation"] * (layer["kernel_size"] - 1) + 1


def room(size, layer, span=None):
    """How far a kernel can be moved in a size."""
    more = size + 2 * layer["padding"] - (span or spanned(layer))
    if more < 0:
        raise ValueError("the kernel does not fit")
    return more


def places(size, layer, span=None):
    """At how many places a kernel can stand in a size."""
    return room(size, layer, span) // layer["stride"] + 1


@misconception("map_size", breaks=("test_as_when_run", "test_rounding"), hint=2, source=STUDENTS)
def first_place_not_counted(size, layers):
    """An output too few, or one too many, in some layers. How often a kernel can be moved on is one number, rounded
    down; at how many places it then stood is another."""
    return walk(size, layers, lambda size, layer: places(size, layer) - 1)


@variant(first_place_not_counted, breaks=("test_as_when_run", "test_rounding"))
def one_added_before_dividing(size, layers):
    return walk(size, layers, lambda size, layer: (room(size, layer) + 1) // layer["stride"])


@variant(first_place_not_counted, breaks=("test_as_when_run", "test_rounding"))
def rounded_up(size, layers):
    return walk(size, layers, lambda size, layer: -(-room(size, layer) // layer["stride"]) + 1)


@variant(first_place_not_counted, breaks=("test_as_when_run", "test_rounding"))
def rounded_to_the_nearest(size, layers):
    return walk(size, layers, lambda size, layer: round(room(size, layer) / layer["stride"]) + 1)


@variant(first_place_not_counted, breaks=("test_as_when_run", "test_rounding"))
def steps_rounded_up(size, layers):
    return walk(size, layers, lambda size, layer: -(-room(size, layer) // layer["stride"]))


@variant(first_place_not_counted, breaks=("test_as_when_run", "test_rounding"))
def poolings_rounded_up(size, layers):
    def step(size, layer):
        return -(-room(size, layer) // layer["stride"]) + 1 if layer["kind"] == "pool" else places(size, layer)

    return walk(size, layers, step)


@misconception("map_size", breaks=("test_as_when_run", "test_dilation"), hint=2, source=STUDENTS)
def dilation_times_kernel(size, layers):
    """A kernel does not span what you count for it, at least where it is dilated: its elements lie apart, but nothing
    follows the last. Look at convolutions and poolings alike."""
    return walk(size, layers, lambda size, layer: places(size, layer, layer["dilation"] * layer["kernel_size"]))


@variant(dilation_times_kernel, breaks=("test_as_when_run", "test_dilation"))
def dilation_ignored(size, layers):
    return walk(size, layers, lambda size, layer: places(size, layer, layer["kernel_size"]))


@variant(dilation_times_kernel, breaks=("test_as_when_run", "test_dilation"))
def dilation_of_poolings_ignored(size, layers):
    def step(size, layer):
        return places(size, layer, layer["kernel_size"] if layer["kind"] == "pool" else None)

    return walk(size, layers, step)


@variant(dilation_times_kernel, breaks=("test_as_when_run", "test_dilation"))
def dilation_added(size, layers):
    return walk(size, layers, lambda size, layer: places(size, layer, layer["kernel_size"] + layer["dilation"] - 1))


@variant(dilation_times_kernel, breaks=("test_as_when_run", "test_dilation"))
def gaps_without_the_last_element(size, layers):
    return walk(size, layers, lambda size, layer: places(size, layer, layer["dilation"] * (layer["kernel_size"] - 1)))


@variant(dilation_times_kernel, breaks=("test_as_when_run", "test_dilation"))
def dilation_between_elements(size, layers):
    def step(size, layer):
        between = layer["dilation"] if layer["dilation"] > 1 else 0
        return places(size, layer, layer["kernel_size"] + (layer["kernel_size"] - 1) * between)

    return walk(size, layers, step)


@variant(dilation_times_kernel, breaks=("test_as_when_run", "test_dilation"))
def gaps_where_dilated(size, layers):
    def step(size, layer):
        one = layer["dilation"] == 1
        return places(size, layer, layer["dilation"] * (layer["kernel_size"] - 1) + one)

    return walk(size, layers, step)


@misconception("map_size", breaks="test_as_when_run", hint=1, source=STUDENTS)
def only_poolings_jump(size, layers):
    """The jump is not put together from the strides of all layers, those of convolutions too. Behind a stride, a step
    of the next layer is already several pixels of the picture."""

    def stride(layer):
        return layer["stride"] if layer["kind"] == "pool" else 1

    return walk(size, layers, places, stride)


@variant(only_poolings_jump, breaks="test_as_when_run")
def strides_added(size, layers):
    jump = 1 + sum(layer["stride"] for layer in layers if layer["stride"] > 1)
    return walk(size, layers, places)[0], jump


@variant(only_poolings_jump, breaks="test_as_when_run")
def strides_summed(size, layers):
    return walk(size, layers, places)[0], sum(layer["stride"] for layer in layers) or 1


@variant(only_poolings_jump, breaks="test_as_when_run")
def skipped_positions_added(size, layers):
    return walk(size, layers, places)[0], 1 + sum(layer["stride"] - 1 for layer in layers)


@variant(only_poolings_jump, breaks="test_as_when_run")
def stride_of_the_last(size, layers):
    return walk(size, layers, places)[0], layers[-1]["stride"] if layers else 1


@variant(only_poolings_jump, breaks="test_as_when_run")
def convolutions_of_stride_one(size, layers):
    layers = [layer | {"stride": layer["stride"] if layer["kind"] == "pool" else 1} for layer in layers]
    return walk(size, layers, places)


@variant(only_poolings_jump, breaks="test_as_when_run")
def two_for_each_pooling(size, layers):
    return walk(size, layers, places)[0], 2 ** sum(layer["kind"] == "pool" for layer in layers)


@variant(only_poolings_jump, breaks="test_as_when_run")
def poolings_step_by_their_kernel(size, layers):
    layers = [one | ({"stride": one["kernel_size"]} if one["kind"] == "pool" else {}) for one in layers]
    return walk(size, layers, places)


@misconception("map_size", breaks=("test_as_when_run", "test_rounding"), hint=2, source=STUDENTS)
def kernels_added(size, layers):
    """All kernels are added up in pixels of the picture; behind a stride, each of their steps is several pixels."""
    jump = walk(size, layers, lambda size, layer: size)[1]
    for layer in layers:
        size += 2 * layer.get("padding", 0) - (spanned({"dilation": 1} | layer) - 1)
    if size < 1:
        raise ValueError("the kernels do not fit")
    return (size - 1) // jump + 1, jump


@misconception("map_size", breaks=("test_as_when_run", "test_rounding"), hint=2, source=STUDENTS)
def poolings_only_divide(size, layers):
    """Some layers, or all, only divide the size by their stride, whatever their kernel, padding and dilation are.
    Without padding each kernel takes a margin away, that of a pooling too."""

    def step(size, layer):
        return size // layer["stride"] if layer["kind"] == "pool" else places(size, layer)

    return walk(size, layers, step)


@variant(poolings_only_divide, breaks=("test_as_when_run", "test_lenet"))
def every_layer_only_divides(size, layers):
    return walk(size, layers, lambda size, layer: size // layer["stride"])


@variant(poolings_only_divide, breaks=("test_as_when_run", "test_lenet"))
def convolutions_only_divide(size, layers):
    def step(size, layer):
        return size // layer["stride"] if layer["kind"] == "conv" else places(size, layer)

    return walk(size, layers, step)


@variant(poolings_only_divide, breaks="test_as_when_run")
def poolings_only_divide_rounded_up(size, layers):
    def step(size, layer):
        return -(-size // layer["stride"]) if layer["kind"] == "pool" else places(size, layer)

    return walk(size, layers, step)


@misconception("map_size", breaks=("test_as_when_run", "test_padding"), hint=2, source=STUDENTS)
def padding_on_one_side(size, layers):
    """The padding is not counted as it lies there: on both sides, in convolutions and in poolings."""
    return walk(size, layers, lambda size, layer: places(size - layer["padding"], layer))


@variant(padding_on_one_side, breaks="test_as_when_run")
def padding_of_poolings_ignored(size, layers):
    return walk(
        size, layers, lambda size, layer: places(size, layer | ({"padding": 0} if layer["kind"] == "pool" else {}))
    )


@variant(padding_on_one_side, breaks=("test_as_when_run", "test_padding"))
def padding_ignored(size, layers):
    return walk(size, layers, lambda size, layer: places(size, layer | {"padding": 0}))


@misconception("map_size", breaks="test_as_when_run", hint=1, source=STUDENTS)
def size_and_jump_exchanged(size, layers):
    """Size and jump come back in the wrong order."""
    return walk(size, layers, places)[::-1]


@misconception("map_size", breaks="test_does_not_fit", hint=2, source=STUDENTS)
def fit_checked_at_the_end(size, layers):
    """A kernel that does not fit gets a place: whether it fits is looked at too late, for all layers together, by a
    number that is rounded already, or never. Padding of a later layer may hide it."""
    size, jump = walk(size, layers, unchecked)
    if size < 1:
        raise ValueError("the kernels do not fit")
    return size, jump


def unchecked(size, layer):
    return (size + 2 * layer["padding"] - spanned(layer)) // layer["stride"] + 1


@variant(fit_checked_at_the_end, breaks="test_does_not_fit")
def fit_never_checked(size, layers):
    return walk(size, layers, unchecked)


@variant(fit_checked_at_the_end, breaks="test_does_not_fit")
def nothing_left_instead_of_an_error(size, layers):
    return walk(size, layers, lambda size, layer: max(unchecked(size, layer), 0))


@variant(fit_checked_at_the_end, breaks="test_does_not_fit")
def rounded_towards_nothing(size, layers):
    def step(size, layer):
        count = int((size + 2 * layer["padding"] - spanned(layer)) / layer["stride"]) + 1
        if count < 1:
            raise ValueError("the kernel does not fit")
        return count

    return walk(size, layers, step)


@variant(fit_checked_at_the_end, breaks="test_does_not_fit")
def one_window_for_all_layers(size, layers):
    jump = 1
    for layer in layers:
        layer = {"padding": 0, "dilation": 1} | layer
        size += (2 * layer["padding"] - spanned(layer) + 1) * jump
        jump *= layer["stride"]
    if size < 1:
        raise ValueError("the window does not fit")
    return (size - 1) // jump + 1, jump
