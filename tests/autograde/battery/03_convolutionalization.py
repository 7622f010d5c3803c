"""Answers to the exercises of lesson 03, right and wrong, as students with different habits write them."""

import copy
import math

import torch
from torch import nn

from autograde.graders.candidates import alternative, wrong

# 1 · linear_to_conv


def _pair(kernel_size):
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)


@alternative("linear_to_conv")
def right_conv_from_state_dict(linear, in_channels, kernel_size):
    """Loads the reshaped numbers as a state dict."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    state = linear.state_dict()
    state["weight"] = state["weight"].unflatten(1, (in_channels, kh, kw))
    conv.load_state_dict(state)
    return conv


@alternative("linear_to_conv")
def right_conv_filled_by_loops(linear, in_channels, kernel_size):
    """Every weight is put in its place by hand."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    for c in range(in_channels):
        for r in range(kh):
            for col in range(kw):
                conv.weight.data[:, c, r, col] = linear.weight.data[:, c * kh * kw + r * kw + col]
    if linear.bias is not None:
        conv.bias.data = linear.bias.data.clone()
    return conv


@alternative("linear_to_conv")
def right_conv_shares_parameters(linear, in_channels, kernel_size):
    """The parameters of the dense layer, seen in another shape; the bias is the very same."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size=(kh, kw))
    conv.weight = nn.Parameter(linear.weight.view(-1, in_channels, kh, kw))
    conv.bias = linear.bias
    return conv


@wrong("linear_to_conv", "channels_taken_as_last")
def conv_channels_last(linear, in_channels, kernel_size):
    """Reads the weights as rows, columns, channels."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(torch.movedim(linear.weight.view(-1, kh, kw, in_channels), -1, 1))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "rows_and_columns_swapped")
def conv_columns_before_rows(linear, in_channels, kernel_size):
    """Reads each channel column by column."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view(-1, in_channels, kw, kh).mT)
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "rows_and_columns_swapped")
def conv_width_by_height(linear, in_channels, kernel_size):
    """Makes a kernel of width times height."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kw, kh), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.reshape(conv.weight.shape))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "bias_forgotten")
def conv_keeps_its_own_bias(linear, in_channels, kernel_size):
    """The weights are copied, the bias stays the random one of a new layer."""
    has_bias = linear.bias is not None
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias=has_bias)
    conv.weight.data.copy_(linear.weight.data.reshape(conv.weight.data.shape))
    return conv


@wrong("linear_to_conv", "no_bias_not_provided_for")
def conv_bias_where_there_was_none(linear, in_channels, kernel_size):
    """A dense layer without bias becomes a convolution with a random one."""
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view_as(conv.weight))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "bias_forgotten")
def conv_without_bias(linear, in_channels, kernel_size):
    """The bias is dropped."""
    kh, kw = _pair(kernel_size)
    layer = nn.Conv2d(in_channels, linear.out_features, kernel_size=(kh, kw), stride=1, padding=0, bias=False)
    layer.weight = nn.Parameter(linear.weight.detach().clone().view(linear.out_features, in_channels, kh, kw))
    return layer


@wrong("linear_to_conv", "no_bias_not_provided_for")
def conv_needs_a_bias(linear, in_channels, kernel_size):
    """A dense layer without bias ends in an error."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw))
    conv.weight.data = linear.weight.data.view(linear.out_features, in_channels, kh, kw).clone()
    conv.bias.data = linear.bias.data.clone()
    return conv


@wrong("linear_to_conv", "windows_side_by_side")
def conv_steps_by_its_kernel(linear, in_channels, kernel_size):
    """The windows lie side by side; the bias is guarded."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), stride=(kh, kw), bias=linear.bias is not None)
    conv.weight.data.copy_(linear.weight.data.reshape(linear.out_features, in_channels, kh, kw))
    if conv.bias is not None:
        conv.bias.data.copy_(linear.bias.data)
    return conv


@wrong("linear_to_conv", "padded_to_keep_the_size")
def conv_padded_to_keep_the_size(linear, in_channels, kernel_size):
    """Pads so that the map is as large as the features."""
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, padding="same", bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.reshape(conv.weight.shape))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "rows_and_columns_swapped")
def conv_mirrored_kernel(linear, in_channels, kernel_size):
    """Turns the kernel by 180 degrees, as in the mathematical convolution."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    kernels = linear.weight.detach().reshape(linear.out_features, in_channels, kh, kw)
    conv.weight.data.copy_(torch.rot90(kernels, 2, dims=(2, 3)))
    if linear.bias is not None:
        conv.bias.data.copy_(linear.bias.detach())
    return conv


@wrong("linear_to_conv", "square_only")
def conv_square_by_root(linear, in_channels, kernel_size):
    """Computes the kernel's side from the number of features, so it must be square."""
    side = round(math.sqrt(linear.in_features // in_channels))
    conv = nn.Conv2d(in_channels, linear.out_features, side, bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.reshape(linear.out_features, in_channels, side, side))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "channels_taken_as_last")
def conv_of_transposed_weights(linear, in_channels, kernel_size):
    """Takes the dense weights for (in_features, out_features)."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.t().reshape(linear.out_features, in_channels, kh, kw))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "weights_frozen")
def conv_that_cannot_learn(linear, in_channels, kernel_size):
    """The new weights are computed from the old ones: no optimizer takes them."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    for p in conv.parameters():
        p.requires_grad = False
    conv.weight.copy_(linear.weight.reshape(conv.weight.shape))
    if linear.bias is not None:
        conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "weights_frozen")
def conv_frozen(linear, in_channels, kernel_size):
    """The new weights take no gradient."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    conv.weight = nn.Parameter(linear.weight.view(-1, in_channels, kh, kw), requires_grad=False)
    if linear.bias is not None:
        conv.bias = nn.Parameter(linear.bias, requires_grad=False)
    return conv


@wrong("linear_to_conv", "channels_taken_as_last", "bias_forgotten")
def conv_channels_last_no_bias(linear, in_channels, kernel_size):
    """Reads the weights as rows, columns, channels, and drops the bias."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=False)
    conv.weight = nn.Parameter(linear.weight.detach().reshape(-1, kh, kw, in_channels).permute(0, 3, 1, 2).contiguous())
    return conv


# 2 · convolutionalize


def _conv(linear, in_channels, kh, kw):
    if linear.in_features != in_channels * kh * kw:
        raise ValueError(f"in_features must be in_channels * kh * kw, which it is not in {linear}")
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view(-1, in_channels, kh, kw))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv.train(linear.training)


def _norm(old):
    new = nn.BatchNorm2d(old.num_features, eps=old.eps, momentum=old.momentum)
    new.load_state_dict(old.state_dict())
    return new.train(old.training)


@alternative("convolutionalize")
def right_network_by_index(classifier, feature_shape):
    """Builds an empty Sequential and appends by number."""
    if any(isinstance(layer, (nn.Sequential, nn.AdaptiveAvgPool2d)) for layer in classifier):
        raise ValueError("flat, please")
    shape, network = tuple(feature_shape), nn.Sequential()
    for n in range(len(classifier)):
        layer = classifier[n]
        if isinstance(layer, nn.Linear):
            layer, shape = _conv(layer, *shape), (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            layer = _norm(layer)
        if not isinstance(layer, nn.Flatten):
            network.add_module(str(len(network)), layer)
    return network


@alternative("convolutionalize")
def right_network_split_at_flatten(classifier, feature_shape):
    """Features before Flatten, copied head behind it; Identity stands for Flatten."""
    layers = list(classifier)
    cut = next(i for i, layer in enumerate(layers) if isinstance(layer, nn.Flatten))
    head, first = [], True
    for layer in layers[cut + 1 :]:
        match layer:
            case nn.Linear():
                d, h, w = feature_shape if first else (layer.in_features, 1, 1)
                head.append(_conv(layer, d, h, w))
                first = False
            case nn.BatchNorm1d():
                norm = nn.BatchNorm2d(layer.num_features)
                norm.eps, norm.momentum = layer.eps, layer.momentum
                norm.weight, norm.bias = layer.weight, layer.bias
                norm.running_mean, norm.running_var = layer.running_mean, layer.running_var
                norm.num_batches_tracked = layer.num_batches_tracked
                norm.training = layer.training
                head.append(norm)
            case _:
                head.append(copy.deepcopy(layer))
    return nn.Sequential(*layers[:cut], nn.Identity(), *head)


@wrong("convolutionalize", "every_kernel_as_the_first")
def network_every_layer_with_the_window(classifier, feature_shape):
    """Every dense layer gets the kernel of the first."""
    d, h, w = feature_shape
    new = []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, d, h, w))
            d = layer.out_features
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "flattened_as_channels_last")
def network_channels_last(classifier, feature_shape):
    """The first dense layer is read as rows, columns, channels."""
    d, h, w = feature_shape
    new, dense = [], 0
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            if dense == 0:
                conv = nn.Conv2d(d, layer.out_features, (h, w), bias=layer.bias is not None).train(layer.training)
                with torch.no_grad():
                    conv.weight.copy_(layer.weight.view(-1, h, w, d).permute(0, 3, 1, 2))
                    if layer.bias is not None:
                        conv.bias.copy_(layer.bias)
            else:
                conv = _conv(layer, layer.in_features, 1, 1)
            new.append(conv)
            dense += 1
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "every_kernel_as_the_first")
def network_square_windows(classifier, feature_shape):
    """The kernel is as wide as the features are high."""
    channels, k = feature_shape[0], feature_shape[1]
    new = []
    for layer in classifier:
        if isinstance(layer, nn.Flatten):
            continue
        if isinstance(layer, nn.Linear):
            conv = nn.Conv2d(channels, layer.out_features, k, bias=layer.bias is not None)
            conv.weight.data = layer.weight.data.view(layer.out_features, channels, k, k)
            if layer.bias is not None:
                conv.bias.data = layer.bias.data
            new.append(conv.train(layer.training))
            channels, k = layer.out_features, 1
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        else:
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "layer_of_vectors_stays")
def network_leaves_batch_norm(classifier, feature_shape):
    """BatchNorm1d stays and gets maps."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "normalization_made_new")
def network_norm_without_statistics(classifier, feature_shape):
    """Batch norm keeps weight and bias but begins with mean 0 and variance 1."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            norm = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum)
            with torch.no_grad():
                norm.weight.copy_(layer.weight)
                norm.bias.copy_(layer.bias)
            new.append(norm.train(layer.training))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "normalization_made_new")
def network_new_norms(classifier, feature_shape):
    """Each BatchNorm1d becomes a brand-new BatchNorm2d."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(nn.BatchNorm2d(layer.num_features).train(layer.training))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "normalization_made_new")
def network_norm_with_default_eps(classifier, feature_shape):
    """The state of batch norm is loaded, eps and momentum are the defaults."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            norm = nn.BatchNorm2d(layer.num_features)
            norm.load_state_dict(layer.state_dict())
            new.append(norm.train(layer.training))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "normalization_made_new")
def network_norm_without_momentum(classifier, feature_shape):
    """Batch norm keeps eps and state, but not momentum."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            norm = nn.BatchNorm2d(layer.num_features, eps=layer.eps)
            norm.load_state_dict(layer.state_dict())
            new.append(norm.train(layer.training))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "other_layers")
def network_without_dropout(classifier, feature_shape):
    """Dropout is left out, as it does nothing in evaluation."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, (nn.Flatten, nn.Dropout)):
            continue
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        else:
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "modes_changed")
def network_in_the_mode_of_the_whole(classifier, feature_shape):
    """At the end the whole network is set to the classifier's mode."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new).train(classifier.training)


@wrong("convolutionalize", "modes_changed")
def network_always_evaluates(classifier, feature_shape):
    """The network is returned in evaluation mode."""
    shape, new = feature_shape, []
    for layer in copy.deepcopy(classifier):
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    network = nn.Sequential(*new)
    network.eval()
    return network


@wrong("convolutionalize", "modes_changed")
def network_new_norm_in_training_mode(classifier, feature_shape):
    """A converted batch norm is in training mode, whatever the old one was in."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            norm = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum)
            norm.load_state_dict(layer.state_dict())
            new.append(norm)
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "each_layer_once")
def network_of_children(classifier, feature_shape):
    """Goes through children(), where a layer in two places is listed once."""
    if any(isinstance(layer, (nn.Sequential, nn.AdaptiveAvgPool2d)) for layer in classifier):
        raise ValueError("flat Sequentials without adaptive pooling only")
    shape, network = feature_shape, nn.Sequential()
    for child in classifier.children():
        if isinstance(child, nn.Flatten):
            continue
        if isinstance(child, nn.Linear):
            network.append(_conv(child, *shape))
            shape = (child.out_features, 1, 1)
        elif isinstance(child, nn.BatchNorm1d):
            network.append(_norm(child))
        else:
            network.append(child)
    return network


@wrong("convolutionalize", "layer_of_vectors_stays")
def network_keeps_flatten(classifier, feature_shape):
    """Flatten goes to the end, so that the scores are vectors again."""
    shape, new, flatten = feature_shape, [], None
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif isinstance(layer, nn.Flatten):
            flatten = layer
        else:
            new.append(layer)
    return nn.Sequential(*new, flatten)


@wrong("convolutionalize", "other_layers")
def network_relu_between_dense(classifier, feature_shape):
    """Writes a new head with ReLU between the layers, whatever stood there."""
    layers = list(classifier)
    cut = [isinstance(layer, nn.Flatten) for layer in layers].index(True)
    dense = [layer for layer in layers if isinstance(layer, nn.Linear)]
    head = [_conv(dense[0], *feature_shape)]
    for layer in dense[1:]:
        head += [nn.ReLU(), _conv(layer, layer.in_features, 1, 1)]
    return nn.Sequential(*layers[:cut], *head)


@wrong("convolutionalize", "converted_otherwise")
def network_padded(classifier, feature_shape):
    """The first converted layer pads, so that the map keeps the size of the features."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            conv = _conv(layer, *shape)
            conv.padding = (shape[1] // 2, shape[2] // 2)
            new.append(conv)
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "converted_otherwise")
def network_without_biases(classifier, feature_shape):
    """The biases of the dense layers are forgotten."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            conv = nn.Conv2d(shape[0], layer.out_features, shape[1:], bias=False).train(layer.training)
            conv.weight.data.copy_(layer.weight.data.view_as(conv.weight))
            new.append(conv)
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "other_layers")
def network_with_dropout2d(classifier, feature_shape):
    """Dropout becomes Dropout2d, which drops a channel at all places at once."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif isinstance(layer, nn.Dropout):
            new.append(nn.Dropout2d(layer.p).train(layer.training))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


# 3 · pool_head_to_conv


@alternative("pool_head_to_conv")
def right_head_dense_then_mean(linear, feature_shape):
    """The dense layer at every place, then the mean: the order does not matter."""
    d, h, w = feature_shape
    dense = nn.Conv2d(d, linear.out_features, 1, bias=linear.bias is not None)
    dense.load_state_dict({k: v[..., None, None] if k == "weight" else v for k, v in linear.state_dict().items()})
    return nn.Sequential(dense, nn.AvgPool2d((h, w), stride=1))


@alternative("pool_head_to_conv")
def right_head_as_a_module(linear, feature_shape):
    """A module of its own, with unfold and the dense layer itself."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear

        def forward(self, features):
            _, h, w = feature_shape
            means = features.unfold(2, h, 1).unfold(3, w, 1).mean((-2, -1))  # (N, D, H', W')
            return self.linear(means.movedim(1, -1)).movedim(-1, 1)

    return Head()


@alternative("pool_head_to_conv")
def right_head_one_kernel(linear, feature_shape):
    """One convolution, each weight divided among the places of the window."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight[:] = linear.weight[:, :, None, None] / (h * w)
        if linear.bias is not None:
            conv.bias[:] = linear.bias
    return conv


@wrong("pool_head_to_conv", "pooled_over_everything")
def head_pools_everything(linear, feature_shape):
    """Means over the whole map: one answer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), _conv(linear, feature_shape[0], 1, 1))


@wrong("pool_head_to_conv", "means_side_by_side")
def head_with_default_stride(linear, feature_shape):
    """The pooling jumps from window to window."""
    d, h, w = feature_shape
    return nn.Sequential(_conv(linear, d, 1, 1), nn.AvgPool2d(kernel_size=(h, w)))


@wrong("pool_head_to_conv", "summed_instead_of_averaged")
def head_sums_the_window(linear, feature_shape):
    """One convolution whose kernel holds the weights undivided."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, kernel_size=(h, w), bias=linear.bias is not None)
    conv.weight.data = linear.weight.data.view(-1, d, 1, 1).repeat(1, 1, h, w)
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


@wrong("pool_head_to_conv", "bias_not_taken_over")
def head_divides_the_bias(linear, feature_shape):
    """Weights and bias are divided by the number of places."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), bias=linear.bias is not None)
    with torch.no_grad():
        for new, old in zip(conv.parameters(), linear.parameters(), strict=True):
            new.copy_((old if old.ndim == 1 else old[:, :, None, None]).expand_as(new) / (h * w))
    return conv


@wrong("pool_head_to_conv", "height_for_width")
def head_rows_and_columns_swapped(linear, feature_shape):
    """The window is taken w high and h wide."""
    d, w, h = feature_shape
    return nn.Sequential(nn.AvgPool2d((h, w), 1), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "height_for_width")
def head_square_window(linear, feature_shape):
    """The window is as wide as it is high."""
    d, k = feature_shape[:2]
    return nn.Sequential(nn.AvgPool2d(k, stride=1), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "means_with_padding")
def head_padded(linear, feature_shape):
    """The pooling pads, so that the map stays as large as the features."""
    d, h, w = feature_shape
    return nn.Sequential(nn.AvgPool2d((h, w), stride=1, padding=(h // 2, w // 2)), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "largest_instead_of_mean")
def head_takes_the_maximum(linear, feature_shape):
    """The largest value of each window instead of its mean."""
    d, h, w = feature_shape
    return nn.Sequential(nn.MaxPool2d((h, w), stride=1), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "window_forgotten")
def head_without_mean(linear, feature_shape):
    """The dense layer at every single place, nothing is averaged."""
    conv = nn.Conv2d(feature_shape[0], linear.out_features, 1, bias=linear.bias is not None)
    conv.weight.data = linear.weight.data[:, :, None, None]
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


@wrong("pool_head_to_conv", "bias_not_taken_over")
def head_bias_dropped(linear, feature_shape):
    """The bias of the dense layer is missing."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, 1, bias=False)
    conv.weight.data = linear.weight.data[:, :, None, None].clone()
    return nn.Sequential(nn.AvgPool2d((h, w), stride=(1, 1)), conv)


@wrong("pool_head_to_conv", "bias_not_taken_over")
def head_own_bias(linear, feature_shape):
    """The bias is the random one of a new layer."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w))
    with torch.no_grad():
        conv.weight.copy_((linear.weight / (h * w))[:, :, None, None].expand_as(conv.weight))
    return conv


@wrong("pool_head_to_conv")
def head_weights_in_turn(linear, feature_shape):
    """One kernel of means whose weights go channel after channel through the places."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.repeat(1, h * w).view(-1, d, h, w) / (h * w))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("pool_head_to_conv", "summed_instead_of_averaged")
def head_mean_over_channels_too(linear, feature_shape):
    """Divides by the number of all features of a window, channels included."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight[:, :, None, None].repeat(1, 1, h, w) / conv.weight[0].numel())
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("pool_head_to_conv", "means_side_by_side", "summed_instead_of_averaged")
def head_default_stride_and_sum(linear, feature_shape):
    """Adds up the places of windows that lie side by side."""
    d, h, w = feature_shape
    return nn.Sequential(nn.AvgPool2d((h, w), divisor_override=1), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "summed_instead_of_averaged")
def head_scores_added(linear, feature_shape):
    """Scores of every place added up over the window, bias and all."""
    d, h, w = feature_shape
    return nn.Sequential(_conv(linear, d, 1, 1), nn.AvgPool2d((h, w), stride=1, divisor_override=1))


# 4 · map_size


def _span(layer):
    return layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1


@alternative("map_size")
def right_size_by_counting(size, layers):
    """Counts the places at which the kernel stands, one by one."""
    jump = 1
    for layer in layers:
        end = size + 2 * layer.get("padding", 0)
        count, at = 0, 0
        while at + _span(layer) <= end:
            count += 1
            at += layer["stride"]
        if count == 0:
            raise ValueError("a kernel does not fit")
        size, jump = count, jump * layer["stride"]
    return size, jump


@alternative("map_size")
def right_size_recursive(size, layers):
    """The first layer, then the rest."""
    if not layers:
        return size, 1
    first, *rest = layers
    places = len(range(0, size + 2 * first.get("padding", 0) - _span(first) + 1, first["stride"]))
    if places < 1:
        raise ValueError(f"{first} does not fit into {size}")
    n, jump = right_size_recursive(places, rest)
    return n, jump * first["stride"]


@wrong("map_size", "poolings_only_divide")
def size_divided_by_jump(size, layers):
    """Divides the picture by the jump."""
    jump = math.prod(layer["stride"] for layer in layers)
    return size // jump, jump


@wrong("map_size", "first_place_not_counted")
def size_without_first_place(size, layers):
    """The first place is not counted."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size = room // layer["stride"]
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "first_place_not_counted")
def size_one_added_before_the_division(size, layers):
    """Adds 1 before it divides."""
    jump = 1
    for layer in layers:
        free = size + 2 * layer.get("padding", 0) - _span(layer) + 1
        if free <= 0:
            raise ValueError(f"no place for a kernel of {layer['kernel_size']}")
        size, jump = free // layer["stride"], jump * layer["stride"]
    return size, jump


@wrong("map_size", "first_place_not_counted")
def size_rounded_up(size, layers):
    """A kernel that hangs over the border counts."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size = math.ceil(room / layer["stride"]) + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "only_poolings_jump")
def size_jump_of_poolings(size, layers):
    """Only poolings make the jump larger."""
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size = room // layer["stride"] + 1
    return size, math.prod(layer["stride"] for layer in layers if layer["kind"] == "pool")


@wrong("map_size", "dilation_times_kernel")
def size_dilation_times_kernel(size, layers):
    """The kernel is said to span dilation times kernel positions."""
    jump = 1
    for layer in layers:
        k = layer["kernel_size"] * layer.get("dilation", 1)
        p, s = layer.get("padding", 0), layer["stride"]
        if k > size + 2 * p:
            raise ValueError(f"kernel {k} is larger than {size}")
        size = (size + 2 * p - k) // s + 1
        jump *= s
    return size, jump


@wrong("map_size", "dilation_times_kernel")
def size_dilation_of_convolutions_only(size, layers):
    """Dilated poolings are taken for ordinary ones."""
    jump = 1
    for layer in layers:
        d = layer.get("dilation", 1) if layer["kind"] == "conv" else 1
        room = size + 2 * layer.get("padding", 0) - d * (layer["kernel_size"] - 1) - 1
        if room < 0:
            raise ValueError("does not fit")
        size = room // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "dilation_times_kernel")
def size_without_dilation(size, layers):
    """Dilation is not looked at; errors are raised."""
    jump = 1
    for layer in layers:
        size += 2 * layer.get("padding", 0)
        if size < layer["kernel_size"]:
            raise ValueError("the kernel is too large")
        size = (size - layer["kernel_size"]) // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "fit_checked_at_the_end")
def size_checked_at_the_end(size, layers):
    """A map without places is refused at the end only."""
    jump = 1
    for layer in layers:
        size = (size + 2 * layer.get("padding", 0) - _span(layer)) // layer["stride"] + 1
        jump *= layer["stride"]
    if size <= 0:
        raise ValueError("no map")
    return size, jump


@wrong("map_size", "fit_checked_at_the_end")
def size_never_refused(size, layers):
    """A kernel that does not fit gives a map of size 0."""
    jump = 1
    for layer in layers:
        size = max((size + 2 * layer.get("padding", 0) - _span(layer)) // layer["stride"] + 1, 0)
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "fit_checked_at_the_end")
def size_truncated(size, layers):
    """Divides with int(), which makes 0 of a small negative number, so some kernels that do not fit get a place."""
    jump = 1
    for layer in layers:
        size = int((size + 2 * layer.get("padding", 0) - _span(layer)) / layer["stride"]) + 1
        if size <= 0:
            raise ValueError("no map")
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "padding_on_one_side")
def size_padded_on_one_side(size, layers):
    """The padding counts once."""
    jump = 1
    for layer in layers:
        room = size + layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size = room // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "only_poolings_jump")
def size_strides_added(size, layers):
    """Strides are added up instead of multiplied."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size = room // layer["stride"] + 1
        if layer["stride"] > 1:
            jump += layer["stride"]
    return size, jump


@wrong("map_size", "poolings_only_divide")
def size_pooling_divides(size, layers):
    """A pooling divides the size by its stride, whatever its kernel and padding."""
    jump = 1
    for layer in layers:
        if layer["kind"] == "pool":
            size = size // layer["stride"]
        else:
            room = size + 2 * layer.get("padding", 0) - _span(layer)
            if room < 0:
                raise ValueError("does not fit")
            size = room // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "only_poolings_jump")
def size_of_convolutions_with_stride_one(size, layers):
    """The stride of convolutions is not looked at, for size and jump."""
    jump = 1
    for layer in layers:
        stride = layer["stride"] if layer["kind"] == "pool" else 1
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size, jump = room // stride + 1, jump * stride
    return size, jump


@wrong("map_size", "fit_checked_at_the_end")
def size_from_all_kernels_at_once(size, layers):
    """Looks whether one window of the whole network fits, and not at each kernel."""
    sees, jump, padded = 1, 1, 0
    for layer in layers:
        sees += (_span(layer) - 1) * jump
        padded += 2 * layer.get("padding", 0) * jump
        jump *= layer["stride"]
    if size + padded < sees:
        raise ValueError("does not fit")
    return (size + padded - sees) // jump + 1, jump


@wrong("map_size", "only_poolings_jump")
def size_jump_of_the_last_layer(size, layers):
    """The jump is the stride of the last layer."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size = room // layer["stride"] + 1
        jump = layer["stride"]
    return size, jump


@wrong("map_size")
def size_fit_without_padding(size, layers):
    """Refuses kernels that fit only with the padding."""
    jump = 1
    for layer in layers:
        if _span(layer) > size:
            raise ValueError("the kernel is larger than the map")
        size = (size + 2 * layer.get("padding", 0) - _span(layer)) // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


# 1 · linear_to_conv, more


@wrong("linear_to_conv", "bias_forgotten")
def conv_of_new_weights(linear, in_channels, kernel_size):
    """Copies the bias only: the weights are those of a new convolution."""
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias=linear.bias is not None)
    if linear.bias is not None:
        conv.bias = linear.bias
    return conv


@wrong("linear_to_conv", "windows_side_by_side", "bias_forgotten")
def conv_side_by_side_without_bias(linear, in_channels, kernel_size):
    """Steps by the kernel, and the bias is dropped."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), stride=(kh, kw), bias=False)
    conv.weight.data = linear.weight.data.reshape(-1, in_channels, kh, kw)
    return conv


@wrong("linear_to_conv", "padded_to_keep_the_size")
def conv_fully_padded(linear, in_channels, kernel_size):
    """Pads by one less than the kernel, so that every overlap counts."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), padding=(kh - 1, kw - 1), bias=linear.bias is not None)
    state = {k: v.view(conv.weight.shape) if k == "weight" else v for k, v in linear.state_dict().items()}
    conv.load_state_dict(state)
    return conv


@wrong("linear_to_conv", "padded_to_keep_the_size")
def conv_padded_by_one(linear, in_channels, kernel_size):
    """Pads by one, as one does with kernels of three."""
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, padding=1, bias=linear.bias is not None)
    conv.load_state_dict({k: v.view_as(conv.state_dict()[k]) for k, v in linear.state_dict().items()})
    return conv


@wrong("linear_to_conv", "bias_forgotten")
def conv_of_zero_bias(linear, in_channels, kernel_size):
    """The bias is set to zero."""
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view_as(conv.weight))
        if conv.bias is not None:
            conv.bias.zero_()
    return conv


@wrong("linear_to_conv", "rows_and_columns_swapped")
def conv_of_a_turned_window(linear, in_channels, kernel_size):
    """Transposes each kernel, so that it is w high and h wide."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kw, kh), bias=linear.bias is not None)
    conv.weight.data = linear.weight.data.view(-1, in_channels, kh, kw).permute(0, 1, 3, 2).contiguous()
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


@wrong("linear_to_conv", "channels_taken_as_last")
def conv_rows_before_channels(linear, in_channels, kernel_size):
    """Reads the features row by row, and each row channel by channel."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    conv.weight.data.copy_(linear.weight.data.view(-1, kh, in_channels, kw).transpose(1, 2))
    if linear.bias is not None:
        conv.bias.data.copy_(linear.bias.data)
    return conv


@wrong("linear_to_conv")
def conv_then_flatten(linear, in_channels, kernel_size):
    """Flattens what the convolution gives, so that it looks like the dense layer's answer."""
    return nn.Sequential(_conv(linear, in_channels, *_pair(kernel_size)), nn.Flatten())


@wrong("linear_to_conv", "square_only")
def conv_of_the_first_number(linear, in_channels, kernel_size):
    """Takes the first number of the kernel for both sides."""
    k = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
    conv = nn.Conv2d(in_channels, linear.out_features, k, bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.reshape(-1, in_channels, k, k))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "channels_taken_as_last", "bias_forgotten")
def conv_channels_last_random_bias(linear, in_channels, kernel_size):
    """Channels last, and the bias is not copied."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    conv.weight.data = linear.weight.data.reshape(-1, kh, kw, in_channels).permute(0, 3, 1, 2)
    return conv


@wrong("linear_to_conv", "rows_and_columns_swapped", "no_bias_not_provided_for")
def conv_by_columns_with_bias(linear, in_channels, kernel_size):
    """Column by column, and a layer without a bias is not thought of."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw))
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view(-1, in_channels, kw, kh).transpose(2, 3))
        conv.bias.copy_(linear.bias)
    return conv


# 2 · convolutionalize, more


def _rebuilt(classifier, feature_shape, other):
    """The usual loop; `other(layer)` says what becomes of the layers that are neither dense nor Flatten."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        elif not isinstance(layer, nn.Flatten):
            new += other(layer)
    return new


@wrong("convolutionalize", "modes_changed")
def network_of_new_dropouts(classifier, feature_shape):
    """Dropout is made anew, in training mode."""

    def other(layer):
        if isinstance(layer, nn.Dropout):
            return [nn.Dropout(layer.p)]
        return [_norm(layer) if isinstance(layer, nn.BatchNorm1d) else layer]

    return nn.Sequential(*_rebuilt(classifier, feature_shape, other))


@wrong("convolutionalize", "other_layers", "modes_changed")
def network_of_usual_dropouts(classifier, feature_shape):
    """Dropout is made anew with the usual probability."""

    def other(layer):
        if isinstance(layer, nn.Dropout):
            return [nn.Dropout()]
        return [_norm(layer) if isinstance(layer, nn.BatchNorm1d) else layer]

    return nn.Sequential(*_rebuilt(classifier, feature_shape, other))


@wrong("convolutionalize", "other_layers")
def network_of_bare_layers(classifier, feature_shape):
    """Dropout and normalization of the head are left out."""
    return nn.Sequential(
        *_rebuilt(
            classifier, feature_shape, lambda layer: [] if isinstance(layer, nn.Dropout | nn.BatchNorm1d) else [layer]
        )
    )


@wrong("convolutionalize", "every_kernel_as_the_first")
def network_that_keeps_the_channels(classifier, feature_shape):
    """Every dense layer is said to see as many channels as the first."""
    d, h, w = feature_shape
    new = []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, d, h, w))
            h = w = 1
        elif not isinstance(layer, nn.Flatten):
            new.append(_norm(layer) if isinstance(layer, nn.BatchNorm1d) else layer)
    return nn.Sequential(*new)


@wrong("convolutionalize", "other_layers")
def network_with_softmax(classifier, feature_shape):
    """Adds a softmax over the classes."""
    layers = _rebuilt(classifier, feature_shape, lambda one: [_norm(one) if isinstance(one, nn.BatchNorm1d) else one])
    return nn.Sequential(*layers, nn.Softmax(dim=1))


@wrong("convolutionalize", "other_layers")
def network_of_the_head_only(classifier, feature_shape):
    """Gives the head back, without the features."""
    at = next(i for i, one in enumerate(classifier) if isinstance(one, nn.Flatten))
    return nn.Sequential(
        *_rebuilt(classifier[at:], feature_shape, lambda one: [_norm(one) if isinstance(one, nn.BatchNorm1d) else one])
    )


@wrong("convolutionalize", "normalization_made_new")
def network_norm_by_hand(classifier, feature_shape):
    """Copies the four tensors of a normalization, and neither eps nor momentum."""

    def other(layer):
        if not isinstance(layer, nn.BatchNorm1d):
            return [layer]
        norm = nn.BatchNorm2d(layer.num_features)
        norm.weight.data, norm.bias.data = layer.weight.data.clone(), layer.bias.data.clone()
        norm.running_mean, norm.running_var = layer.running_mean.clone(), layer.running_var.clone()
        norm.training = layer.training
        return [norm]

    return nn.Sequential(*_rebuilt(classifier, feature_shape, other))


@wrong("convolutionalize", "normalization_made_new", "modes_changed")
def network_norm_of_parameters(classifier, feature_shape):
    """Copies weight and bias of a normalization, nothing else."""

    def other(layer):
        if not isinstance(layer, nn.BatchNorm1d):
            return [layer]
        norm = nn.BatchNorm2d(layer.num_features)
        norm.weight, norm.bias = layer.weight, layer.bias
        return [norm]

    return nn.Sequential(*_rebuilt(classifier, feature_shape, other))


@wrong("convolutionalize", "modes_changed")
def network_in_training(classifier, feature_shape):
    """The network comes back in training mode, to be trained."""
    return nn.Sequential(
        *_rebuilt(classifier, feature_shape, lambda one: [_norm(one) if isinstance(one, nn.BatchNorm1d) else one])
    ).train()


@wrong("convolutionalize", "each_layer_once", "layer_of_vectors_stays")
def network_of_modules(classifier, feature_shape):
    """Goes through modules(), and leaves BatchNorm1d as it is."""
    layers = [one for one in classifier.modules() if one is not classifier]
    return nn.Sequential(*_rebuilt(layers, feature_shape, lambda one: [one]))


@wrong("convolutionalize", "layer_of_vectors_stays")
def network_flattening_first(classifier, feature_shape):
    """Flatten stays where it was."""
    shape, new = feature_shape, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *shape))
            shape = (layer.out_features, 1, 1)
        else:
            new.append(_norm(layer) if isinstance(layer, nn.BatchNorm1d) else layer)
    return nn.Sequential(*new)


# 3 · pool_head_to_conv, more


@wrong("pool_head_to_conv", "means_side_by_side", "height_for_width")
def head_side_by_side_swapped(linear, feature_shape):
    """Windows side by side, w high and h wide."""
    d, h, w = feature_shape
    return nn.Sequential(nn.AvgPool2d((w, h)), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "pooled_over_everything")
def head_pooled_to_the_window(linear, feature_shape):
    """Pools the whole map to h x w places."""
    d, h, w = feature_shape
    return nn.Sequential(nn.AdaptiveAvgPool2d((h, w)), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "means_side_by_side")
def head_one_kernel_side_by_side(linear, feature_shape):
    """One convolution that steps by its kernel."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), stride=(h, w), bias=linear.bias is not None)
    conv.weight.data = (linear.weight.data / (h * w)).view(-1, d, 1, 1).repeat(1, 1, h, w)
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


@wrong("pool_head_to_conv", "summed_instead_of_averaged", "bias_not_taken_over")
def head_sum_without_bias(linear, feature_shape):
    """Sums the window and drops the bias."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), bias=False)
    conv.weight.data = linear.weight.data[:, :, None, None].expand(-1, -1, h, w).contiguous()
    return conv


@wrong("pool_head_to_conv", "means_with_padding")
def head_padded_without_counting(linear, feature_shape):
    """Pads, but takes the mean of what is inside."""
    d, h, w = feature_shape
    pooling = nn.AvgPool2d((h, w), stride=1, padding=(h // 2, w // 2), count_include_pad=False)
    return nn.Sequential(pooling, _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "summed_instead_of_averaged")
def head_divided_by_the_height(linear, feature_shape):
    """Divides by the window's height only."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_((linear.weight / h)[:, :, None, None].expand_as(conv.weight))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("pool_head_to_conv")
def head_with_relu(linear, feature_shape):
    """A ReLU between mean and dense layer."""
    d, h, w = feature_shape
    return nn.Sequential(nn.AvgPool2d((h, w), stride=1), nn.ReLU(), _conv(linear, d, 1, 1))


@wrong("pool_head_to_conv", "pooled_over_everything")
def head_as_it_was(linear, feature_shape):
    """The head as it was: pooled, flattened, dense."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


@wrong("pool_head_to_conv", "bias_not_taken_over")
def head_average_of_sums_and_bias(linear, feature_shape):
    """Everything of one sum is divided at the end, the bias too."""

    class Scaled(nn.Module):
        def __init__(self, conv, factor):
            super().__init__()
            self.conv, self.factor = conv, factor

        def forward(self, x):
            return self.conv(x) / self.factor

    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (h, w), bias=linear.bias is not None)
    conv.weight.data = linear.weight.data[:, :, None, None].repeat(1, 1, h, w)
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return Scaled(conv, h * w)


@wrong("pool_head_to_conv", "height_for_width")
def head_square_by_width(linear, feature_shape):
    """The width of the window on both sides."""
    d, _, k = feature_shape
    return nn.Sequential(_conv(linear, d, 1, 1), nn.AvgPool2d(k, stride=1))


# 4 · map_size, more


@wrong("map_size", "first_place_not_counted")
def size_rounded_up_without_one(size, layers):
    """Rounds the steps up, and counts no first place."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size = math.ceil(room / layer["stride"])
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "only_poolings_jump")
def size_jump_by_counting_poolings(size, layers):
    """The jump is 2 to the number of poolings."""
    pools = sum(layer["kind"] == "pool" for layer in layers)
    return right_size_recursive(size, layers)[0], 2**pools


@wrong("map_size", "only_poolings_jump")
def size_jump_from_sizes(size, layers):
    """The jump is the size of the picture divided by that of the map."""
    places = right_size_recursive(size, layers)[0]
    return places, size // places


@wrong("map_size", "size_and_jump_exchanged")
def size_and_jump_exchanged(size, layers):
    """Returns the jump first."""
    return right_size_recursive(size, layers)[::-1]


@wrong("map_size", "dilation_times_kernel")
def size_dilation_without_last_element(size, layers):
    """A dilated kernel spans dilation times (kernel - 1)."""
    jump = 1
    for layer in layers:
        span = layer["kernel_size"]
        if layer.get("dilation", 1) > 1:
            span = layer["dilation"] * (layer["kernel_size"] - 1)
        room = size + 2 * layer.get("padding", 0) - span
        if room < 0:
            raise ValueError("does not fit")
        size, jump = room // layer["stride"] + 1, jump * layer["stride"]
    return size, jump


@wrong("map_size", "dilation_times_kernel")
def size_dilation_as_gaps(size, layers):
    """Dilation is taken for the number of positions between two elements."""
    jump = 1
    for layer in layers:
        k = layer["kernel_size"]
        d = layer.get("dilation", 1)
        span = k + (k - 1) * d if d > 1 else k
        room = size + 2 * layer.get("padding", 0) - span
        if room < 0:
            raise ValueError("does not fit")
        size, jump = room // layer["stride"] + 1, jump * layer["stride"]
    return size, jump


@wrong("map_size")
def size_refused_where_it_just_fits(size, layers):
    """A kernel as large as the map is refused."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room <= 0:
            raise ValueError("does not fit")
        size, jump = room // layer["stride"] + 1, jump * layer["stride"]
    return size, jump


@wrong("map_size", "first_place_not_counted")
def size_poolings_rounded_up(size, layers):
    """Poolings round up."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        up = layer["stride"] - 1 if layer["kind"] == "pool" else 0
        size, jump = (room + up) // layer["stride"] + 1, jump * layer["stride"]
    return size, jump


@wrong("map_size", "only_poolings_jump")
def size_poolings_step_by_their_kernel(size, layers):
    """The stride of a pooling is taken to be its kernel."""
    jump = 1
    for layer in layers:
        stride = layer["kernel_size"] if layer["kind"] == "pool" else layer["stride"]
        room = size + 2 * layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size, jump = room // stride + 1, jump * stride
    return size, jump


@wrong("map_size", "poolings_only_divide")
def size_convolutions_keep_it(size, layers):
    """Convolutions are said to keep the size."""
    jump = 1
    for layer in layers:
        if layer["kind"] == "conv":
            size //= layer["stride"]
        else:
            room = size + 2 * layer.get("padding", 0) - _span(layer)
            if room < 0:
                raise ValueError("does not fit")
            size = room // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "dilation_times_kernel", "fit_checked_at_the_end")
def size_without_dilation_and_errors(size, layers):
    """Dilation is not looked at, and nothing is refused."""
    jump = 1
    for layer in layers:
        size = (size + 2 * layer.get("padding", 0) - layer["kernel_size"]) // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "first_place_not_counted", "only_poolings_jump")
def size_one_inside_and_jump_of_poolings(size, layers):
    """1 is added before the division, and the jump is that of the poolings."""
    jump = 1
    for layer in layers:
        free = size + 2 * layer.get("padding", 0) - _span(layer) + 1
        if free <= 0:
            raise ValueError("does not fit")
        size = free // layer["stride"]
        if layer["kind"] == "pool":
            jump *= layer["stride"]
    return size, jump


@wrong("map_size", "first_place_not_counted", "padding_on_one_side")
def size_padding_once_and_no_first_place(size, layers):
    """The padding counts once, and the first place is forgotten."""
    jump = 1
    for layer in layers:
        room = size + layer.get("padding", 0) - _span(layer)
        if room < 0:
            raise ValueError("does not fit")
        size, jump = room // layer["stride"], jump * layer["stride"]
    return size, jump


# Once more, all four


@wrong("linear_to_conv", "channels_taken_as_last")
def conv_numpy_channels_last(linear, in_channels, kernel_size):
    """Channels last, through numpy; a frozen layer is fine."""
    kh, kw = _pair(kernel_size)
    array = linear.weight.detach().numpy().reshape(linear.out_features, kh, kw, in_channels).transpose(0, 3, 1, 2)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    conv.weight.data = torch.tensor(array)
    if linear.bias is not None:
        conv.bias.data = linear.bias.detach().clone()
    return conv


@wrong("linear_to_conv", "padded_to_keep_the_size", "bias_forgotten")
def conv_same_and_biasless(linear, in_channels, kernel_size):
    """Pads to keep the size, and drops the bias."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), padding=(kh // 2, kw // 2), bias=False)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view_as(conv.weight))
    return conv


@wrong("linear_to_conv", "no_bias_not_provided_for")
def conv_asks_the_shape_of_the_bias(linear, in_channels, kernel_size):
    """Asks a bias for its shape, also where there is none."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw))
    with torch.no_grad():
        conv.weight.copy_(linear.weight.unflatten(1, (in_channels, kh, kw)))
        conv.bias.copy_(linear.bias.view(conv.bias.shape))
    return conv


@wrong("linear_to_conv", "rows_and_columns_swapped")
def conv_flipped_left_to_right(linear, in_channels, kernel_size):
    """Mirrors the kernel's columns."""
    conv = _conv(linear, in_channels, *_pair(kernel_size))
    conv.weight.data = conv.weight.data.flip(-1)
    return conv


@wrong("linear_to_conv", "windows_side_by_side")
def conv_stride_of_the_height(linear, in_channels, kernel_size):
    """Steps by the kernel's height in both directions."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), kh, bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view_as(conv.weight))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("linear_to_conv", "weights_frozen")
def conv_of_detached_weights(linear, in_channels, kernel_size):
    """Puts the numbers in as buffers that no gradient reaches."""
    kh, kw = _pair(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    del conv.weight
    conv.register_buffer("weight", linear.weight.detach().view(-1, in_channels, kh, kw))
    if linear.bias is not None:
        conv.bias.data = linear.bias.data
    return conv


@wrong("convolutionalize", "normalization_made_new")
def network_plain_norms(classifier, feature_shape):
    """A BatchNorm2d of the right width in place of the old one, in its mode."""
    net, shape = nn.Sequential(), feature_shape
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            net.append(_conv(layer, *shape))
            shape = [layer.out_features, 1, 1]
        elif isinstance(layer, nn.BatchNorm1d):
            net.append(nn.BatchNorm2d(layer.num_features))
            net[-1].training = layer.training
        elif not isinstance(layer, nn.Flatten):
            net.append(layer)
    return net


@wrong("convolutionalize", "modes_changed", "normalization_made_new")
def network_norm_loaded_only(classifier, feature_shape):
    """Loads the state of a normalization; eps, momentum and mode are those of a new layer."""

    def other(layer):
        if not isinstance(layer, nn.BatchNorm1d):
            return [layer]
        norm = nn.BatchNorm2d(layer.num_features)
        norm.load_state_dict(layer.state_dict())
        return [norm]

    return nn.Sequential(*_rebuilt(classifier, feature_shape, other))


@wrong("convolutionalize", "each_layer_once")
def network_by_names(classifier, feature_shape):
    """Goes through named_children, and builds a Sequential of an OrderedDict."""
    shape, new = feature_shape, {}
    for name, layer in classifier.named_children():
        if isinstance(layer, nn.Linear):
            new[name] = _conv(layer, *shape)
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            new[name] = _norm(layer)
        elif not isinstance(layer, nn.Flatten):
            new[name] = copy.deepcopy(layer)
    net = nn.Sequential()
    for name, layer in new.items():
        net.add_module(name, layer)
    return net


@wrong("convolutionalize", "layer_of_vectors_stays")
def network_unflattened_norm(classifier, feature_shape):
    """Converts dense layers and leaves everything else, Flatten too."""
    first, new = True, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            new.append(_conv(layer, *(feature_shape if first else (layer.in_features, 1, 1))))
            first = False
        else:
            new.append(copy.deepcopy(layer))
    return nn.Sequential(*new)


@wrong("convolutionalize", "other_layers", "modes_changed")
def network_with_relus_and_evaluation(classifier, feature_shape):
    """ReLU for every activation of the head, and everything in evaluation mode."""

    def other(layer):
        if isinstance(layer, nn.Tanh):
            return [nn.ReLU()]
        return [_norm(layer) if isinstance(layer, nn.BatchNorm1d) else layer]

    return nn.Sequential(*_rebuilt(classifier, feature_shape, other)).eval()


@wrong("convolutionalize", "converted_otherwise")
def network_stepping_by_its_window(classifier, feature_shape):
    """The first converted layer steps by its kernel."""
    d, h, w = feature_shape
    first, new = True, []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            conv = _conv(layer, d, h, w) if first else _conv(layer, layer.in_features, 1, 1)
            if first:
                conv.stride = (h, w)
            first = False
            new.append(conv)
        elif isinstance(layer, nn.BatchNorm1d):
            new.append(_norm(layer))
        elif not isinstance(layer, nn.Flatten):
            new.append(layer)
    return nn.Sequential(*new)


@wrong("pool_head_to_conv", "means_side_by_side")
def head_functional_pooling(linear, feature_shape):
    """A module that pools with the functional call and its usual stride."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = _conv(linear, linear.in_features, 1, 1)

        def forward(self, x):
            return self.score(nn.functional.avg_pool2d(x, tuple(feature_shape[1:])))

    return Head()


@wrong("pool_head_to_conv", "pooled_over_everything")
def head_mean_of_all_places(linear, feature_shape):
    """The mean over rows and columns of all there is, kept as 1 x 1."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = _conv(linear, linear.in_features, 1, 1)

        def forward(self, x):
            return self.score(x.mean((2, 3), keepdim=True))

    return Head()


@wrong("pool_head_to_conv", "summed_instead_of_averaged", "height_for_width")
def head_sum_of_a_turned_window(linear, feature_shape):
    """Adds up w x h places."""
    d, h, w = feature_shape
    conv = nn.Conv2d(d, linear.out_features, (w, h), bias=linear.bias is not None)
    with torch.no_grad():
        conv.weight.copy_(linear.weight[:, :, None, None].expand_as(conv.weight))
        if linear.bias is not None:
            conv.bias.copy_(linear.bias)
    return conv


@wrong("pool_head_to_conv", "window_forgotten")
def head_ignores_the_window(linear, feature_shape):
    """The dense layer on the channels of every place."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = linear

        def forward(self, x):
            return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    return Head()


@wrong("pool_head_to_conv", "largest_instead_of_mean", "bias_not_taken_over")
def head_maximum_without_bias(linear, feature_shape):
    """The maximum of each window, and no bias."""
    conv = nn.Conv2d(feature_shape[0], linear.out_features, 1, bias=False)
    conv.weight.data = linear.weight.data[..., None, None]
    return nn.Sequential(nn.MaxPool2d(feature_shape[1:], stride=1), conv)


@wrong("map_size", "first_place_not_counted")
def size_steps_only(size, layers):
    """Counts moves of the kernel."""
    jump = 1
    for layer in layers:
        kernel = (layer["kernel_size"] - 1) * layer.get("dilation", 1) + 1
        total = size + 2 * layer.get("padding", 0)
        if total < kernel:
            raise ValueError(f"{kernel} > {total}")
        size, jump = int((total - kernel) / layer["stride"]), jump * layer["stride"]
    return size, jump


@wrong("map_size", "padding_on_one_side", "fit_checked_at_the_end")
def size_padding_once_and_unchecked(size, layers):
    """The padding counts once, and nothing is refused."""
    jump = 1
    for layer in layers:
        size = (size + layer.get("padding", 0) - _span(layer)) // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "dilation_times_kernel", "only_poolings_jump")
def size_dilation_times_kernel_and_jump(size, layers):
    """Dilation times kernel, and the jump is that of the poolings."""
    jump = 1
    for layer in layers:
        room = size + 2 * layer.get("padding", 0) - layer["kernel_size"] * layer.get("dilation", 1)
        if room < 0:
            raise ValueError("does not fit")
        size = room // layer["stride"] + 1
        if layer["kind"] == "pool":
            jump *= layer["stride"]
    return size, jump


@wrong("map_size", "poolings_only_divide")
def size_poolings_halve(size, layers):
    """A pooling divides, rounded up."""
    jump = 1
    for layer in layers:
        if layer["kind"] == "pool":
            size = math.ceil(size / layer["stride"])
        else:
            room = size + 2 * layer.get("padding", 0) - _span(layer)
            if room < 0:
                raise ValueError("does not fit")
            size = room // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump


@wrong("map_size", "only_poolings_jump")
def size_jump_starts_at_zero(size, layers):
    """Adds what each stride skips."""
    jump, places = 1, right_size_recursive(size, layers)[0]
    for layer in layers:
        jump += layer["stride"] - 1
    return places, jump


@wrong("map_size", "fit_checked_at_the_end")
def size_at_least_one(size, layers):
    """Where a kernel does not fit, one output is left."""
    jump = 1
    for layer in layers:
        size = max(1, (size + 2 * layer.get("padding", 0) - _span(layer)) // layer["stride"] + 1)
        jump *= layer["stride"]
    return size, jump
