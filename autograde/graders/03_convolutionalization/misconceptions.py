"""Wrong answers of lesson 03. Each docstring is what a student reads: what is wrong, not what is right."""

import copy

import torch
from torch import nn

from autograde.graders.candidates import misconception
from autograde.reference.convolutionalization import (
    convolutionalize,
    dense_output_size,
    dense_to_pixels,
    linear_to_conv,
    pool_head_to_conv,
)


def pair(kernel_size):
    """Height and width of a kernel given as one number or two."""
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size


def layers_of(network):
    """All layers of a network that hold no others, in order."""
    return [layer for layer in network.modules() if not list(layer.children())]


# ---------------------------------------------------------------------------------------------------------------------
# linear_to_conv
# ---------------------------------------------------------------------------------------------------------------------


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2)
def channels_taken_as_last(linear, in_channels, kernel_size):
    """The weights are unfolded as (h, w, C) and permuted, as for TensorFlow: the shape is right, the order is not."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    weight = conv.weight.data
    conv.weight.data = weight.reshape(-1, *conv.kernel_size, in_channels).permute(0, 3, 1, 2).contiguous()
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2)
def rows_and_columns_swapped(linear, in_channels, kernel_size):
    """The weights are unfolded with columns before rows, so that each kernel is mirrored at its diagonal."""
    height, width = pair(kernel_size)
    conv = linear_to_conv(linear, in_channels, (width, height))
    conv.weight.data = conv.weight.data.mT.contiguous()
    conv.kernel_size = (height, width)
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2)
def kernel_mirrored(linear, in_channels, kernel_size):
    """The kernel is turned by 180 degrees, as mathematics convolves; the layers of PyTorch do not turn it."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.weight.data = conv.weight.data.flip(2, 3)
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place"), hint=2)
def inputs_and_outputs_swapped(linear, in_channels, kernel_size):
    """The dense weights are transposed before they are unfolded: numbers of different units are mixed."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.weight.data = linear.weight.data.T.reshape(conv.weight.shape)
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place", "test_trains"), hint=1)
def kernel_of_one(linear, in_channels, kernel_size):
    """The kernel is 1 x 1 on all inputs as channels: that suits the later dense layers, not features with a size."""
    linear_to_conv(linear, in_channels, kernel_size)
    return linear_to_conv(linear, linear.in_features, 1)


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place", "test_one_number"), hint=2)
def padded_to_keep_the_size(linear, in_channels, kernel_size):
    """The convolution pads to keep the size: one window gives a map, and most of it sees invented zeros."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.padding = tuple(side // 2 for side in conv.kernel_size)
    return conv


@misconception("linear_to_conv", breaks=("test_every_place", "test_one_number"), hint=2)
def windows_side_by_side(linear, in_channels, kernel_size):
    """The stride is the kernel: windows lie side by side, and the places between them are missing."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.stride = conv.kernel_size
    return conv


@misconception(
    "linear_to_conv", breaks=("test_one_window", "test_every_place", "test_trains", "test_left_as_it_was"), hint=3
)
def bias_forgotten(linear, in_channels, kernel_size):
    """The weights are there, the bias is not: every answer is off by a constant per unit."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.bias = None
    return conv


@misconception("linear_to_conv", breaks=("test_one_window", "test_every_place", "test_dtype"), hint=3)
def bias_left_at_random(linear, in_channels, kernel_size):
    """The bias was not copied: the convolution keeps the random one that it was made with."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    if conv.bias is not None:
        conv.bias.data = 3 + torch.rand(len(conv.bias)).to(conv.bias.dtype)
    return conv


@misconception("linear_to_conv", breaks="test_without_bias", hint=3)
def always_a_bias(linear, in_channels, kernel_size):
    """The convolution has a bias although the dense layer has none."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    if conv.bias is None:
        conv.bias = nn.Parameter(torch.zeros(conv.out_channels, dtype=conv.weight.dtype))
    return conv


@misconception("linear_to_conv", breaks="test_without_bias", hint=3)
def bias_expected(linear, in_channels, kernel_size):
    """A dense layer without a bias ends in an error: `linear.bias` is None then."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.bias.data = linear.bias.data.clone()
    return conv


@misconception("linear_to_conv", breaks="test_copied", hint=2)
def memory_shared(linear, in_channels, kernel_size):
    """Both layers share their memory: `.data = ....data` copies nothing, so training one changes the other."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.weight.data = linear.weight.data.view(conv.weight.shape)
    if linear.bias is not None:
        conv.bias = linear.bias
    return conv


@misconception("linear_to_conv", breaks="test_copied", hint=3)
def bias_shared(linear, in_channels, kernel_size):
    """The weights are copied, but the bias is the dense layer's own: training one changes the other."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    conv.bias = linear.bias
    return conv


@misconception("linear_to_conv", breaks="test_left_as_it_was", hint=2)
def original_reshaped(linear, in_channels, kernel_size):
    """The dense layer's own weights were reshaped, so it no longer works."""
    conv = linear_to_conv(linear, in_channels, kernel_size)
    linear.weight.data = linear.weight.data.view(conv.weight.shape)
    return conv


@misconception("linear_to_conv", breaks="test_dtype", hint=3)
def always_float32(linear, in_channels, kernel_size):
    """The convolution is float32 whatever the dense layer is, because that is how new layers are made."""
    return linear_to_conv(linear, in_channels, kernel_size).float()


@misconception("linear_to_conv", breaks="test_trains", hint=2)
def no_longer_trained(linear, in_channels, kernel_size):
    """The numbers are right, but the weights do not train: they no longer ask for a gradient."""
    return linear_to_conv(linear, in_channels, kernel_size).requires_grad_(False)


@misconception("linear_to_conv", breaks=("test_one_number", "test_misfit"), hint=3)
def only_pairs(linear, in_channels, kernel_size):
    """A kernel given as one number ends in an error: it cannot be unpacked into height and width."""
    height, width = kernel_size
    return linear_to_conv(linear, in_channels, (height, width))


@misconception("linear_to_conv", breaks="test_misfit", hint=3)
def features_not_checked(linear, in_channels, kernel_size):
    """Nothing is checked: a dense layer of another size ends in torch's own error about a reshape."""
    height, width = pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (height, width), bias=linear.bias is not None)
    conv = conv.to(linear.weight.dtype)
    conv.weight.data.copy_(linear.weight.data.reshape(conv.weight.shape))
    if linear.bias is not None:
        conv.bias.data.copy_(linear.bias.data)
    return conv


@misconception("linear_to_conv", breaks="test_misfit", hint=3)
def channels_worked_out(linear, in_channels, kernel_size):
    """The number of channels is worked out from the dense layer, so a wrong `in_channels` goes unnoticed."""
    height, width = pair(kernel_size)
    return linear_to_conv(linear, linear.in_features // (height * width), kernel_size)


# ---------------------------------------------------------------------------------------------------------------------
# convolutionalize
# ---------------------------------------------------------------------------------------------------------------------


@misconception("convolutionalize", breaks=("test_one_window", "test_every_place", "test_head_alone"), hint=2)
def flattened_as_channels_last(classifier, feature_shape):
    """The first dense layer's weights are unfolded as (h, w, C): right shape, wrong order, as in exercise 1."""
    network, (_, *kernel) = convolutionalize(classifier, feature_shape), feature_shape
    for layer in network:
        if isinstance(layer, nn.Conv2d) and list(layer.kernel_size) == list(kernel):
            weight = layer.weight.data
            layer.weight.data = weight.reshape(len(weight), *kernel, -1).permute(0, 3, 1, 2).contiguous()
    return network


@misconception("convolutionalize", breaks=("test_one_window", "test_every_place"), hint=2)
def rows_for_columns(classifier, feature_shape):
    """Height and width of the features are exchanged, so a kernel meets features of another shape."""
    channels, height, width = feature_shape
    return convolutionalize(classifier, (channels, width, height))


@misconception("convolutionalize", breaks=("test_one_window", "test_every_place", "test_trains"), hint=1)
def flattening_left_in(classifier, feature_shape):
    """The network still flattens, at the end: the answer is a vector, and no map on a larger picture."""
    return nn.Sequential(*convolutionalize(classifier, feature_shape), nn.Flatten())


@misconception("convolutionalize", breaks=("test_every_place", "test_nested", "test_head_alone"), hint=1)
def pooled_to_one_answer(classifier, feature_shape):
    """The map is averaged to one answer for the whole picture; what each place says is lost."""
    return nn.Sequential(*convolutionalize(classifier, feature_shape), nn.AdaptiveAvgPool2d(1))


@misconception("convolutionalize", breaks=("test_every_place", "test_softmax"), hint=2)
def padded_dense_layers(classifier, feature_shape):
    """The converted layer pads to keep the size: the map has more places than there are windows."""
    network = convolutionalize(classifier, feature_shape)
    for layer in network:
        if isinstance(layer, nn.Conv2d) and list(layer.kernel_size) == list(feature_shape[1:]):
            layer.padding = tuple(side // 2 for side in layer.kernel_size)
    return network


@misconception("convolutionalize", breaks=("test_one_window", "test_head_alone"), hint=2)
def only_one_dense_layer(classifier, feature_shape):
    """Only the first dense layer is converted; the others still work on the last dimension, the width of the map."""
    network = convolutionalize(classifier, feature_shape)
    dense = [copy.deepcopy(layer) for layer in layers_of(classifier) if isinstance(layer, nn.Linear)][1:]
    parts = list(network)
    converted = [number for number, layer in enumerate(parts) if isinstance(layer, nn.Conv2d)][-len(dense) or None :]
    for number, layer in zip(converted if dense else [], dense, strict=True):
        parts[number] = layer
    return nn.Sequential(*parts)


@misconception(
    "convolutionalize", breaks=("test_one_window", "test_every_place", "test_nested", "test_head_alone"), hint=2
)
def activations_dropped(classifier, feature_shape):
    """The activations between the dense layers are gone: only layers with weights were taken over."""
    network = convolutionalize(classifier, feature_shape)
    behind = False
    for number, layer in enumerate(network):
        behind = behind or (isinstance(layer, nn.Conv2d) and list(layer.kernel_size) == list(feature_shape[1:]))
        if behind and isinstance(layer, (nn.ReLU, nn.Tanh, nn.Sigmoid)):
            network[number] = nn.Identity()
    if isinstance(classifier[0], nn.Tanh):
        network[0] = nn.Identity()
    return network


@misconception("convolutionalize", breaks=("test_batch_norm", "test_modes"), hint=3)
def statistics_forgotten(classifier, feature_shape):
    """The normalization keeps weight and bias, but its statistics begin anew: mean 0 and variance 1."""
    network = convolutionalize(classifier, feature_shape)
    for layer in converted_norms(network, classifier):
        if layer.running_mean is not None:
            layer.running_mean.zero_()
            layer.running_var.fill_(1)
    return network


@misconception("convolutionalize", breaks=("test_batch_norm", "test_dtype"), hint=3)
def normalization_made_new(classifier, feature_shape):
    """The normalization is a new one: its weight, bias and statistics are those of an untrained layer."""
    network = convolutionalize(classifier, feature_shape)
    for number, layer in enumerate(network):
        if isinstance(layer, nn.BatchNorm2d):
            network[number] = nn.BatchNorm2d(layer.num_features).train(layer.training)
    return network


def converted_norms(network, classifier):
    """The layers of the network that were a BatchNorm1d in the classifier."""
    count = sum(isinstance(layer, nn.BatchNorm1d) for layer in layers_of(classifier))
    norms = [layer for layer in network if isinstance(layer, nn.BatchNorm2d)]
    return norms[len(norms) - count :]


@misconception("convolutionalize", breaks=("test_batch_norm", "test_batch_norm_in_training"), hint=3)
def settings_forgotten(classifier, feature_shape):
    """The normalization has its weights and statistics, but the usual settings in place of its own (eps, momentum)."""
    network = convolutionalize(classifier, feature_shape)
    for layer in converted_norms(network, classifier):
        layer.eps, layer.momentum = 1e-5, 0.1
    return network


@misconception("convolutionalize", breaks=("test_batch_norm", "test_modes"), hint=3)
def new_normalization_trains(classifier, feature_shape):
    """The new normalization is in training mode, as new layers are: it uses the mean and variance of the batch."""
    network = convolutionalize(classifier, feature_shape)
    for layer in converted_norms(network, classifier):
        layer.train()
    return network


@misconception("convolutionalize", breaks=("test_batch_norm", "test_batch_norm_in_training"), hint=3)
def normalization_left_one_dimensional(classifier, feature_shape):
    """`BatchNorm1d` is kept as it is. It takes vectors, and a map ends in an error."""
    network = convolutionalize(classifier, feature_shape)
    for number, layer in enumerate(network):
        if isinstance(layer, nn.BatchNorm2d):
            network[number] = nn.BatchNorm1d(layer.num_features)
    return network


@misconception("convolutionalize", breaks="test_batch_norm_first", hint=1)
def normalization_before_dense_dropped(classifier, feature_shape):
    """A normalization directly behind `nn.Flatten` is left out, or accepted where it has statistics for each place."""
    kept, behind = [], False
    for layer in layers_of(classifier):
        behind = behind or isinstance(layer, nn.Flatten)
        if not (behind and isinstance(layer, nn.BatchNorm1d) and isinstance(kept[-1], nn.Flatten)):
            kept.append(layer)
    network = convolutionalize(nn.Sequential(*kept), feature_shape)
    network.training = classifier.training
    return network


@misconception("convolutionalize", breaks="test_dropout", hint=2)
def dropout_dropped(classifier, feature_shape):
    """Dropout is gone. It does nothing in evaluation, but whoever goes on training trains another network."""
    network = convolutionalize(classifier, feature_shape)
    for number, layer in enumerate(network):
        if isinstance(layer, nn.Dropout):
            network[number] = nn.Identity()
    return network


@misconception("convolutionalize", breaks="test_modes", hint=3)
def one_mode_for_all(classifier, feature_shape):
    """All layers are put into the mode of the whole network; layers that were set otherwise change."""
    return convolutionalize(classifier, feature_shape).train(classifier.training)


@misconception("convolutionalize", breaks=("test_modes", "test_batch_norm", "test_dropout"), hint=3)
def begins_in_training_mode(classifier, feature_shape):
    """The network is in training mode, as new ones are, though the classifier was not: dropout and statistics move."""
    return convolutionalize(classifier, feature_shape).train()


@misconception("convolutionalize", breaks=("test_modes", "test_batch_norm_in_training"), hint=3)
def always_evaluates(classifier, feature_shape):
    """The network is in evaluation mode, though the classifier was training."""
    return convolutionalize(classifier, feature_shape).eval()


@misconception("convolutionalize", breaks="test_softmax", hint=1)
def softmax_along_the_width(classifier, feature_shape):
    """The softmax still runs along the last dimension. That is the width of the map now, not its classes."""
    network = convolutionalize(classifier, feature_shape)
    if isinstance(network[-1], nn.Softmax):
        network[-1] = nn.Softmax(dim=-1)
    return network


@misconception("convolutionalize", breaks="test_nothing_shared", hint=2)
def layers_taken_over(classifier, feature_shape):
    """Layers are taken over instead of copied: the new network's convolutions are the classifier's own."""
    network = convolutionalize(classifier, feature_shape)
    old = layers_of(classifier)
    for number, layer in enumerate(old[: len(network)]):
        if isinstance(layer, nn.Flatten):
            break
        network[number] = layer
    return network


@misconception("convolutionalize", breaks="test_nothing_shared", hint=2)
def dense_weights_shared(classifier, feature_shape):
    """The dense layers' weights are shared with the classifier, so that training one changes the other."""
    network = convolutionalize(classifier, feature_shape)
    dense = [layer for layer in layers_of(classifier) if isinstance(layer, nn.Linear)]
    converted = [layer for layer in network if isinstance(layer, nn.Conv2d)][-len(dense) :]
    for layer, conv in zip(dense, converted, strict=True):
        conv.weight.data = layer.weight.data.view(conv.weight.shape)
    return network


@misconception("convolutionalize", breaks="test_dtype", hint=3)
def always_single_precision(classifier, feature_shape):
    """Converted layers are float32 whatever the classifier is, because that is how new layers are made."""
    return convolutionalize(classifier, feature_shape).float()


@misconception("convolutionalize", breaks="test_trains", hint=2)
def weights_frozen(classifier, feature_shape):
    """The numbers are right, but the weights do not train: they no longer ask for a gradient."""
    return convolutionalize(classifier, feature_shape).requires_grad_(False)


@misconception("convolutionalize", breaks="test_nested", hint=2)
def only_the_top_level(classifier, feature_shape):
    """Sequentials inside the Sequential are not opened, so that the layers in them are not found."""
    if any(isinstance(layer, nn.Sequential) for layer in classifier):
        raise ValueError("a Sequential has no place among the layers")
    return convolutionalize(classifier, feature_shape)


@misconception("convolutionalize", breaks="test_misfit", hint=3)
def features_believed(classifier, feature_shape):
    """`feature_shape` is believed where the first dense layer takes as many numbers, whatever the convolutions give."""
    parts, layers = [], layers_of(classifier)
    for layer in layers:
        if isinstance(layer, nn.Flatten) and parts:
            head = convolutionalize(nn.Sequential(*layers[len(parts) :]), feature_shape)
            copies = [copy.deepcopy(one) for one in parts]
            if any(isinstance(one, (nn.Linear, nn.AdaptiveAvgPool2d)) for one in parts):
                raise ValueError("not a feature extractor")
            network = nn.Sequential(*copies, *head)
            network.training = classifier.training
            return network
        parts.append(layer)
    return convolutionalize(classifier, feature_shape)


@misconception("convolutionalize", breaks=("test_misfit", "test_not_convertible"), hint=3)
def errors_of_others(classifier, feature_shape):
    """Nothing is checked: what does not fit ends in another error than ValueError, or in a network that fails later."""
    try:
        return convolutionalize(classifier, feature_shape)
    except ValueError as error:
        raise RuntimeError(str(error)) from None


@misconception("convolutionalize", breaks="test_not_convertible", hint=1)
def fixed_pooling_kept(classifier, feature_shape):
    """A pooling to a fixed size is kept: whatever the picture's size, the map is that of one window."""
    layers = layers_of(classifier)
    fixed = [number for number, layer in enumerate(layers) if isinstance(layer, nn.AdaptiveAvgPool2d)]
    if not fixed:
        return convolutionalize(classifier, feature_shape)
    network = convolutionalize(
        nn.Sequential(*(one for one in layers if not isinstance(one, nn.AdaptiveAvgPool2d))), feature_shape
    )
    return network.insert(fixed[0], copy.deepcopy(layers[fixed[0]]))


@misconception("convolutionalize", breaks="test_not_convertible", hint=1)
def strange_layers_kept(classifier, feature_shape):
    """Layers that it does not know are copied as they are, wherever they stand and whatever they do to a map."""
    try:
        return convolutionalize(classifier, feature_shape)
    except ValueError as error:
        if any(isinstance(layer, (nn.AdaptiveAvgPool2d, nn.Softmax)) for layer in layers_of(classifier)):
            return copy.deepcopy(classifier)
        raise error


# ---------------------------------------------------------------------------------------------------------------------
# pool_head_to_conv
# ---------------------------------------------------------------------------------------------------------------------


def sliding_mean(window, **settings):
    """The mean of each window, one place apart unless the settings say otherwise."""
    return nn.AvgPool2d(tuple(window), **({"stride": 1} | settings))


@misconception("pool_head_to_conv", breaks=("test_every_place", "test_class_activation_map"), hint=2)
def pooled_over_everything(linear, feature_shape):
    """It averages over the whole feature map, as the original head did: one answer, and no map."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), pool_head_to_conv(linear, feature_shape)[1])


@misconception("pool_head_to_conv", breaks=("test_every_place", "test_copied", "test_dtype"), hint=3)
def means_side_by_side(linear, feature_shape):
    """The pooling jumps from window to window, as it does by default; the places between are missing."""
    head = pool_head_to_conv(linear, feature_shape)
    return nn.Sequential(nn.AvgPool2d(tuple(feature_shape[1:])), head[1])


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place", "test_trains"), hint=2)
def summed_instead_of_averaged(linear, feature_shape):
    """The features of the window are summed, not averaged: the answers are too large by the window's size."""
    head = pool_head_to_conv(linear, feature_shape)
    return nn.Sequential(sliding_mean(feature_shape[1:], divisor_override=1), head[1])


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=2)
def largest_instead_of_mean(linear, feature_shape):
    """The largest feature of each window is taken, not the mean."""
    head = pool_head_to_conv(linear, feature_shape)
    return nn.Sequential(nn.MaxPool2d(tuple(feature_shape[1:]), stride=1), head[1])


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place", "test_trains"), hint=1)
def window_forgotten(linear, feature_shape):
    """The window's size is not used: it is the class activation map whatever h and w are."""
    pool_head_to_conv(linear, feature_shape)
    return linear_to_conv(linear, feature_shape[0], 1)


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=2)
def window_turned(linear, feature_shape):
    """Height and width of the window are exchanged. On square windows that goes unnoticed."""
    channels, height, width = feature_shape
    return pool_head_to_conv(linear, (channels, width, height))


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=3)
def only_the_height(linear, feature_shape):
    """The window is taken for a square, as high and wide as it is high."""
    pool_head_to_conv(linear, feature_shape)
    return pool_head_to_conv(linear, (feature_shape[0], feature_shape[1], feature_shape[1]))


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place", "test_class_activation_map"), hint=2)
def bias_not_taken_over(linear, feature_shape):
    """The bias of the dense layer is missing: every answer is off by a constant per class."""
    head = pool_head_to_conv(linear, feature_shape)
    head[1].bias = None
    return head


@misconception("pool_head_to_conv", breaks=("test_one_window", "test_every_place"), hint=3)
def bias_divided_too(linear, feature_shape):
    """The bias was divided by the number of places as well; it is added once, whatever the window."""
    head = pool_head_to_conv(linear, feature_shape)
    if head[1].bias is not None:
        head[1].bias.data /= feature_shape[1] * feature_shape[2]
    return head


@misconception("pool_head_to_conv", breaks=("test_every_place", "test_copied"), hint=2)
def window_padded(linear, feature_shape):
    """The pooling pads, so that the map keeps the size of the features; at the border it averages invented zeros."""
    head = pool_head_to_conv(linear, feature_shape)
    padding = tuple(side // 2 for side in feature_shape[1:])
    return nn.Sequential(sliding_mean(feature_shape[1:], padding=padding), head[1])


@misconception("pool_head_to_conv", breaks="test_without_bias", hint=2)
def bias_added(linear, feature_shape):
    """The map has a bias although the dense layer has none."""
    head = pool_head_to_conv(linear, feature_shape)
    if head[1].bias is None:
        head[1].bias = nn.Parameter(torch.zeros(linear.out_features))
    return head


@misconception("pool_head_to_conv", breaks="test_copied", hint=2)
def weights_shared_with_head(linear, feature_shape):
    """The weights are shared with the dense layer, so that training one changes the other."""
    head = pool_head_to_conv(linear, feature_shape)
    head[1].weight.data = linear.weight.data[:, :, None, None]
    return head


@misconception("pool_head_to_conv", breaks="test_copied", hint=2)
def head_reshaped(linear, feature_shape):
    """The dense layer's own weights were reshaped, so it no longer works."""
    head = pool_head_to_conv(linear, feature_shape)
    linear.weight.data = linear.weight.data[:, :, None, None]
    return head


@misconception("pool_head_to_conv", breaks="test_dtype", hint=2)
def head_in_float32(linear, feature_shape):
    """The map's layers are float32 whatever the dense layer is, because that is how new layers are made."""
    return pool_head_to_conv(linear, feature_shape).float()


@misconception("pool_head_to_conv", breaks="test_trains", hint=2)
def head_frozen(linear, feature_shape):
    """The numbers are right, but the weights do not train: they no longer ask for a gradient."""
    return pool_head_to_conv(linear, feature_shape).requires_grad_(False)


@misconception("pool_head_to_conv", breaks="test_misfit", hint=1)
def flattening_head_accepted(linear, feature_shape):
    """A dense layer that takes D x h x w numbers is accepted: it belongs to a head that flattens."""
    if linear.in_features == torch.Size(feature_shape).numel() != feature_shape[0]:
        return linear_to_conv(linear, feature_shape[0], tuple(feature_shape[1:]))
    return pool_head_to_conv(linear, feature_shape)


@misconception("pool_head_to_conv", breaks="test_misfit", hint=3)
def empty_windows_accepted(linear, feature_shape):
    """A window without a single feature is accepted, though it has no mean."""
    return pool_head_to_conv(linear, (feature_shape[0], *(max(1, side) for side in feature_shape[1:])))


@misconception("pool_head_to_conv", breaks="test_misfit", hint=3)
def features_unchecked(linear, feature_shape):
    """The dense layer's number of inputs is not compared with the channels, so a wrong head is built."""
    return pool_head_to_conv(linear, (linear.in_features, *feature_shape[1:]))


# ---------------------------------------------------------------------------------------------------------------------
# dense_output_size
# ---------------------------------------------------------------------------------------------------------------------


def checked(size, layers):
    """The layers with all their numbers, once they are known to be right."""
    dense_output_size(size, layers)
    return [{"padding": 0, "dilation": 1} | layer for layer in layers]


def span(layer):
    """Positions that a kernel spans."""
    return layer["dilation"] * (layer["kernel_size"] - 1) + 1


@misconception("dense_output_size", breaks=("test_as_when_run", "test_lenet"), hint=1)
def size_over_stride(size, layers):
    """The size is divided by the strides, and that is all: 64 outputs on 256 pixels. Kernels need room as well."""
    _, stride = dense_output_size(size, layers)
    return size // stride, stride


@misconception("dense_output_size", breaks=("test_as_when_run", "test_lenet", "test_no_layers"), hint=1)
def last_window_lost(size, layers):
    """One output is missing: the count is the number of steps between them."""
    count, stride = dense_output_size(size, layers)
    return count - 1, stride


@misconception("dense_output_size", breaks=("test_as_when_run", "test_rounding"), hint=2)
def rounded_up(size, layers):
    """Sizes are rounded up: a last kernel that sticks out is counted as if it fitted."""
    stride = 1
    for layer in checked(size, layers):
        size = -(-(size + 2 * layer["padding"] - span(layer)) // layer["stride"]) + 1
        stride *= layer["stride"]
    return size, stride


@misconception("dense_output_size", breaks=("test_as_when_run", "test_rounding"), hint=2)
def padded_on_one_side(size, layers):
    """Padding is counted once per layer; it lies on both sides."""
    stride = 1
    for layer in checked(size, layers):
        size = (size + layer["padding"] - span(layer)) // layer["stride"] + 1
        stride *= layer["stride"]
    return size, stride


@misconception("dense_output_size", breaks=("test_as_when_run", "test_lenet", "test_other_layers"), hint=1)
def pooling_skipped(size, layers):
    """Only convolutions are counted; poolings shrink the map too."""
    dense_output_size(size, layers)
    return dense_output_size(size, [layer for layer in layers if layer["kind"] == "conv"])


@misconception("dense_output_size", breaks=("test_as_when_run", "test_rounding"), hint=2)
def pooling_only_halves(size, layers):
    """A pooling divides the size by its stride, whatever its kernel and padding are."""
    stride = 1
    for layer in checked(size, layers):
        room = size + 2 * layer["padding"] - span(layer)
        size = size // layer["stride"] if layer["kind"] == "pool" else room // layer["stride"] + 1
        stride *= layer["stride"]
    return size, stride


@misconception("dense_output_size", breaks="test_dilation", hint=2)
def dilation_ignored(size, layers):
    """Dilation is ignored: the kernel is counted as if its elements lay side by side."""
    dense_output_size(size, layers)
    return dense_output_size(size, [{**layer, "dilation": 1} for layer in layers])


@misconception("dense_output_size", breaks=("test_dilation", "test_does_not_fit"), hint=3)
def dilation_times_kernel(size, layers):
    """A dilated kernel is taken to span dilation times its size; behind its last element nothing follows."""
    wide = [{**one, "kernel_size": one["kernel_size"] * one.get("dilation", 1), "dilation": 1} for one in layers]
    return dense_output_size(size, wide)


@misconception("dense_output_size", breaks=("test_as_when_run", "test_rounding"), hint=1)
def strides_added(size, layers):
    """The strides are added up; each one multiplies the distances that the layers before it made."""
    count, _ = dense_output_size(size, layers)
    return count, max(1, sum(layer["stride"] for layer in layers if layer["stride"] > 1))


@misconception("dense_output_size", breaks=("test_as_when_run", "test_lenet", "test_rounding"), hint=1)
def last_stride_only(size, layers):
    """The distance is the stride of the last layer alone, in outputs of the layer before it and not in pixels."""
    count, _ = dense_output_size(size, layers)
    return count, layers[-1]["stride"] if layers else 1


@misconception("dense_output_size", breaks="test_no_layers", hint=1)
def layers_required(size, layers):
    """An empty list of layers is refused or gives no map; the picture itself is one."""
    if not layers:
        raise ValueError("there are no layers")
    return dense_output_size(size, layers)


@misconception("dense_output_size", breaks="test_large", hint=2)
def computed_in_floats(size, layers):
    """Sizes are computed with `/`, in floats: large ones are no longer exact."""
    stride = 1
    for layer in checked(size, layers):
        size = int((size + 2 * layer["padding"] - span(layer)) / layer["stride"] + 1)
        stride *= layer["stride"]
    return size, stride


@misconception("dense_output_size", breaks="test_large", hint=1)
def run_to_find_out(size, layers):
    """Layers are run on a picture of zeros to see what comes out. That takes memory, and large pictures fail."""
    x = torch.zeros(size)
    stride = 1
    for layer in checked(size, layers):
        x = nn.functional.pad(x, [layer["padding"]] * 2).unfold(0, span(layer), layer["stride"])[:, 0]
        stride *= layer["stride"]
    return len(x), stride


@misconception("dense_output_size", breaks="test_does_not_fit", hint=2)
def no_room_not_checked(size, layers):
    """A kernel that does not fit gives a map of no outputs, or of a negative number of them."""
    stride = 1
    for layer in layers:
        dense_output_size(10**9, [layer])
        layer = {"padding": 0, "dilation": 1} | layer
        size = (size + 2 * layer["padding"] - span(layer)) // layer["stride"] + 1
        stride *= layer["stride"]
    if not layers:
        return dense_output_size(size, layers)
    return size, stride


@misconception("dense_output_size", breaks=("test_does_not_fit", "test_no_pixels"), hint=2)
def padding_not_counted_as_room(size, layers):
    """A kernel must fit without the padding; it may reach into it."""
    stride = 1
    for layer in checked(size, layers):
        if span(layer) > size:
            raise ValueError("the kernel does not fit")
        size = (size + 2 * layer["padding"] - span(layer)) // layer["stride"] + 1
        stride *= layer["stride"]
    return size, stride


@misconception("dense_output_size", breaks="test_no_pixels", hint=3)
def no_pixels_accepted(size, layers):
    """A picture without pixels is accepted where the padding makes room for a kernel, or where there are no layers."""
    if size < 1 and not layers:
        return size, 1
    first = layers[0] if layers else {}
    if size < 1 and first.get("padding", 0):
        return dense_output_size(size + 2 * first["padding"], [{**first, "padding": 0}, *layers[1:]])
    return dense_output_size(size, layers)


@misconception("dense_output_size", breaks="test_other_layers", hint=3)
def dense_layer_taken_for_one_pixel(size, layers):
    """A dense layer gives a map of one output. It has no place in a network that takes pictures of any size."""
    for number, layer in enumerate(layers):
        if layer["kind"] == "linear":
            return 1, dense_output_size(size, layers[:number])[1]
    return dense_output_size(size, layers)


@misconception("dense_output_size", breaks="test_other_layers", hint=3)
def other_kinds_skipped(size, layers):
    """Layers of other kinds are skipped, so that a description with a dense layer or a typing error goes through."""
    return dense_output_size(size, [layer for layer in layers if layer["kind"] in ("conv", "pool")])


@misconception("dense_output_size", breaks="test_other_layers", hint=3)
def error_of_the_dictionary(size, layers):
    """A dense layer ends in a KeyError about its kernel, which says nothing of what is wrong."""
    if any(layer["kind"] == "linear" for layer in layers):
        raise KeyError("kernel_size")
    return dense_output_size(size, layers)


# ---------------------------------------------------------------------------------------------------------------------
# dense_to_pixels
# ---------------------------------------------------------------------------------------------------------------------


def walk(row, col, layers, step):
    """Centre and extent where `step(first, extent, jump, layer)` says what one layer does."""
    dense_to_pixels(row, col, layers)
    first, extent, jump = 0.0, 1, 1
    for layer in layers:
        first, extent, jump = step(first, extent, jump, {"padding": 0, "dilation": 1} | layer)
    return (first + row * jump, first + col * jump), extent


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet"), hint=2)
def distances_left_out(row, col, layers):
    """Each kernel adds its own size, without the distance of its inputs: LeNet would see 15 pixels."""

    def step(first, extent, jump, layer):
        more = span(layer) - 1
        return first + more / 2 - layer["padding"], extent + more, jump * layer["stride"]

    return walk(row, col, layers, step)


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet", "test_rows_and_columns"), hint=2)
def stride_taken_too_early(row, col, layers):
    """A layer's own stride is multiplied in before its kernel is counted, so it sees too much."""

    def step(first, extent, jump, layer):
        jump *= layer["stride"]
        more = span(layer) - 1
        return first + (more / 2 - layer["padding"]) * jump, extent + more * jump, jump

    return walk(row, col, layers, step)


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet", "test_rows_and_columns"), hint=1)
def corner_given_as_centre(row, col, layers):
    """What is returned is the first pixel of the square, not its centre."""
    (y, x), extent = dense_to_pixels(row, col, layers)
    return (y - (extent - 1) / 2, x - (extent - 1) / 2), extent


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet", "test_no_layers"), hint=1)
def half_a_pixel_off(row, col, layers):
    """Everything is half a pixel off: coordinates here count from the centre of pixel 0, not from its edge."""
    (y, x), extent = dense_to_pixels(row, col, layers)
    return (y + 0.5, x + 0.5), extent


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet", "test_padding"), hint=1)
def half_of_the_side(row, col, layers):
    """The centre of output 0 is taken to be half of the side. That is half a pixel off, and padding is not in it."""
    (y, x), extent = dense_to_pixels(row, col, layers)
    (first, _), _ = dense_to_pixels(0, 0, layers)
    return (y - first + extent / 2, x - first + extent / 2), extent


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet"), hint=1)
def rounded_to_pixels(row, col, layers):
    """Centres are rounded to whole pixels. The middle of an even number of pixels lies between two."""
    (y, x), extent = dense_to_pixels(row, col, layers)
    return (float(y // 1), float(x // 1)), extent


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet", "test_no_layers"), hint=1)
def columns_before_rows(row, col, layers):
    """Row and column are exchanged: the centre comes as (column, row)."""
    (y, x), extent = dense_to_pixels(row, col, layers)
    return (x, y), extent


@misconception("dense_to_pixels", breaks=("test_lenet", "test_as_when_run"), hint=1)
def stride_as_extent(row, col, layers):
    """The side is the distance of two outputs. They overlap: each sees more than what lies between them."""
    centre, _ = dense_to_pixels(row, col, layers)
    (one, _), _ = dense_to_pixels(0, 0, layers)
    (two, _), _ = dense_to_pixels(1, 0, layers)
    return centre, int(two - one)


@misconception("dense_to_pixels", breaks=("test_padding", "test_beyond_the_border"), hint=2)
def padding_forgotten(row, col, layers):
    """Padding is left out, so the centre of every output lies too far to the lower right."""
    dense_to_pixels(row, col, layers)
    return dense_to_pixels(row, col, [{**layer, "padding": 0} for layer in layers])


@misconception("dense_to_pixels", breaks=("test_padding", "test_beyond_the_border"), hint=2)
def padding_in_pixels(row, col, layers):
    """Padding is counted in pixels, also behind a stride, where each padded position is several pixels wide."""

    def step(first, extent, jump, layer):
        more = (span(layer) - 1) * jump
        return first + more / 2 - layer["padding"], extent + more, jump * layer["stride"]

    return walk(row, col, layers, step)


@misconception("dense_to_pixels", breaks=("test_padding", "test_beyond_the_border"), hint=1)
def padding_taken_from_extent(row, col, layers):
    """The padding is subtracted from the side. What lies outside the picture belongs to the square as well."""

    def step(first, extent, jump, layer):
        more = (span(layer) - 1) * jump
        pad = layer["padding"] * jump
        return first + more / 2 - pad, extent + more - 2 * pad, jump * layer["stride"]

    return walk(row, col, layers, step)


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet"), hint=1)
def poolings_skipped(row, col, layers):
    """Poolings are left out; they look at several places and move on by several as well."""
    dense_to_pixels(row, col, layers)
    return dense_to_pixels(row, col, [layer for layer in layers if layer["kind"] == "conv"])


@misconception("dense_to_pixels", breaks=("test_as_when_run", "test_lenet"), hint=1)
def poolings_see_one_pixel(row, col, layers):
    """Poolings make the distance larger, but what they look at is not counted."""
    dense_to_pixels(row, col, layers)
    return dense_to_pixels(row, col, [{**one, "kernel_size": 1} if one["kind"] == "pool" else one for one in layers])


@misconception("dense_to_pixels", breaks="test_dilation", hint=2)
def spread_ignored(row, col, layers):
    """Dilation is ignored: the kernel is counted as if its elements lay side by side."""
    return dense_to_pixels(row, col, [{**layer, "dilation": 1} for layer in layers])


@misconception("dense_to_pixels", breaks="test_beyond_the_border", hint=1)
def clipped_at_the_border(row, col, layers):
    """The square, or its centre, is clipped at the border of the picture."""
    (y, x), extent = dense_to_pixels(row, col, layers)
    return (max(y, 0.0), max(x, 0.0)), extent


@misconception("dense_to_pixels", breaks="test_gaps", hint=3)
def distance_limited_by_extent(row, col, layers):
    """Neighbouring outputs are taken to touch at least; with a large stride there are pixels that no output sees."""

    def step(first, extent, jump, layer):
        more = (span(layer) - 1) * jump
        return first + more / 2 - layer["padding"] * jump, extent + more, min(jump * layer["stride"], extent + more)

    return walk(row, col, layers, step)


@misconception("dense_to_pixels", breaks="test_no_layers", hint=1)
def layers_needed(row, col, layers):
    """An empty list of layers is refused; without layers each pixel is its own output."""
    if not layers:
        raise ValueError("there are no layers")
    return dense_to_pixels(row, col, layers)


@misconception("dense_to_pixels", breaks="test_refused", hint=3)
def counted_from_the_end(row, col, layers):
    """Negative rows and columns are accepted, as if they counted from the end; the map's size is not known here."""
    if row >= 0 and col >= 0:
        return dense_to_pixels(row, col, layers)
    (first, _), extent = dense_to_pixels(0, 0, layers)
    (second, _), _ = dense_to_pixels(1, 0, layers)
    return (first + row * (second - first), first + col * (second - first)), extent


@misconception("dense_to_pixels", breaks="test_refused", hint=3)
def dense_layers_skipped(row, col, layers):
    """Layers of other kinds are skipped, so that a description with a dense layer or a typing error goes through."""
    return dense_to_pixels(row, col, [layer for layer in layers if layer["kind"] in ("conv", "pool")])


@misconception("dense_to_pixels", breaks="test_refused", hint=3)
def kind_not_looked_at(row, col, layers):
    """Nothing looks at `kind`, so a dense layer ends in a KeyError about its kernel and no word of what is wrong."""
    dense_to_pixels(row, col, [])
    first, extent, jump = 0.0, 1, 1
    for layer in layers:
        more = (layer["kernel_size"] - 1) * layer.get("dilation", 1)
        first += (more / 2 - layer.get("padding", 0)) * jump
        extent += more * jump
        jump *= layer["stride"]
    return (first + row * jump, first + col * jump), extent
