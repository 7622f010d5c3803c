"""Right answers of lesson 03, written differently: the hidden grader must accept each of them."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative


def require(condition, message):
    if not condition:
        raise ValueError(message)


# --- linear_to_conv ---


@alternative("linear_to_conv")
def by_new_parameters(linear, in_channels, kernel_size):
    size = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
    conv = nn.Conv2d(in_channels, linear.out_features, size, bias=False)
    conv.weight = nn.Parameter(linear.weight.detach().clone().unflatten(1, (in_channels, *size)))
    if linear.bias is not None:
        conv.bias = nn.Parameter(linear.bias.detach().clone())
    return conv


@alternative("linear_to_conv")
def by_sharing(linear, in_channels, kernel_size):
    """No copy: the convolution looks at the same numbers, and its bias is the layer's own."""
    height, width = np.broadcast_to(kernel_size, 2).tolist()
    conv = nn.Conv2d(in_channels, linear.out_features, (height, width), bias=linear.bias is not None)
    conv.weight.data = linear.weight.data.view(linear.out_features, in_channels, height, width)
    conv.bias = linear.bias
    return conv


@alternative("linear_to_conv")
def by_loops(linear, in_channels, kernel_size):
    height, width = np.broadcast_to(kernel_size, 2).tolist()
    conv = nn.Conv2d(in_channels, linear.out_features, (height, width), bias=linear.bias is not None)
    with torch.no_grad():
        for column in range(linear.in_features):
            channel, place = divmod(column, height * width)
            conv.weight[:, channel, place // width, place % width] = linear.weight[:, column]
        if linear.bias is not None:
            conv.bias += linear.bias - conv.bias
    return conv


# --- convolutionalize ---


def norm_of_maps(norm):
    """Everything of a BatchNorm1d is in its dictionary, and BatchNorm2d differs in what it checks only."""
    spatial = nn.BatchNorm2d(norm.num_features)
    spatial.__dict__.update(copy.deepcopy(norm).__dict__)
    return spatial


@alternative("convolutionalize")
def by_replacing_in_a_copy(classifier, feature_shape):
    network, shape = copy.deepcopy(classifier), tuple(feature_shape)
    for number, layer in enumerate(network):
        if isinstance(layer, nn.Flatten):
            network[number] = nn.Identity()
        elif isinstance(layer, nn.Linear):
            network[number] = by_new_parameters(layer, shape[0], shape[1:])
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            network[number] = norm_of_maps(layer)
    return network


@alternative("convolutionalize")
def by_channels_alone(classifier, feature_shape):
    """Shares what stays; channels and kernel come from the layers' own numbers."""
    parts, kernel = [], feature_shape[1:]
    for layer in classifier:
        match layer:
            case nn.Flatten():
                pass
            case nn.Linear():
                parts += [by_sharing(layer, layer.in_features // (kernel[0] * kernel[1]), kernel)]
                kernel = (1, 1)
            case nn.BatchNorm1d():
                norm = nn.BatchNorm2d(layer.num_features, eps=layer.eps, momentum=layer.momentum)
                norm.load_state_dict(layer.state_dict())
                norm.training = layer.training
                parts += [norm]
            case _:
                parts += [layer]
    return nn.Sequential(*parts)


class SlidingLinear(nn.Module):
    """A fully connected layer applied to sliding windows, by unfolding them."""

    def __init__(self, linear, side):
        super().__init__()
        self.linear, self.side = copy.deepcopy(linear), side

    def forward(self, x):
        windows = F.unfold(x, self.side)  # (N, C * h * w, places)
        rows, cols = (size - side + 1 for size, side in zip(x.shape[2:], self.side, strict=True))
        return self.linear(windows.mT).mT.unflatten(2, (rows, cols))


class NormOfChannels(nn.Module):
    """A BatchNorm1d on maps: their places are one long dimension, which it accepts."""

    def __init__(self, norm):
        super().__init__()
        self.norm = copy.deepcopy(norm)

    def forward(self, x):
        return self.norm(x.flatten(2)).reshape(x.shape)


@alternative("convolutionalize")
def by_modules_of_ones_own(classifier, feature_shape):
    """No convolution at all behind the features: windows are unfolded. The weights keep their shapes."""
    side, parts = tuple(feature_shape[1:]), []
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            parts.append(SlidingLinear(layer, side))
            side = (1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            parts.append(NormOfChannels(layer))
        elif not isinstance(layer, nn.Flatten):
            parts.append(copy.deepcopy(layer))
    return nn.Sequential(*parts)


# --- pool_head_to_conv ---


@alternative("pool_head_to_conv")
def by_one_convolution(linear, feature_shape):
    """Every place of the window has the layer's weight, divided by the number of places."""
    depth, *window = feature_shape
    conv = nn.Conv2d(depth, linear.out_features, window, bias=linear.bias is not None)
    weight = linear.weight.detach()[:, :, None, None] / (window[0] * window[1])  # (out, D, 1, 1)
    conv.weight = nn.Parameter(weight.repeat(1, 1, *window))
    if linear.bias is not None:
        conv.bias = nn.Parameter(linear.bias.detach().clone())
    return conv


@alternative("pool_head_to_conv")
def by_convolution_then_pooling(linear, feature_shape):
    """Mean and fully connected layer exchanged: scores of every feature first, then their mean."""
    return nn.Sequential(by_sharing(linear, feature_shape[0], 1), nn.AvgPool2d(tuple(feature_shape[1:]), stride=1))


class SlidingHead(nn.Module):
    """The mean by a view of all windows, and the fully connected layer itself on the channels as last dimension."""

    def __init__(self, linear, side):
        super().__init__()
        self.linear, self.side = linear, side

    def forward(self, x):
        height, width = self.side
        means = x.unfold(2, height, 1).unfold(3, width, 1).mean(dim=(4, 5))  # (N, D, rows, cols)
        return self.linear(means.movedim(1, 3)).movedim(3, 1)


@alternative("pool_head_to_conv")
def by_a_module(linear, feature_shape):
    return SlidingHead(linear, feature_shape[1:])


# --- map_size ---


@alternative("map_size")
def by_ranges(size, layers):
    jump = 1
    for layer in layers:
        pad, reach = layer.get("padding", 0), (layer["kernel_size"] - 1) * layer.get("dilation", 1)
        size = len(range(-pad, size + pad - reach, layer["stride"]))
        require(size > 0, "the kernel is larger than the map")
        jump *= layer["stride"]
    return size, jump


@alternative("map_size")
def by_recursion(size, layers):
    require(size >= 1, "no positions")
    if not layers:
        return size, 1
    first, *rest = layers
    stride, dilation, padding = first["stride"], first.get("dilation", 1), first.get("padding", 0)
    kernel = first["kernel_size"] + (first["kernel_size"] - 1) * (dilation - 1)
    size, jump = by_recursion((size + 2 * padding - kernel + stride) // stride, rest)
    return size, jump * stride


@alternative("map_size")
def by_running_on_meta(size, layers):
    """Runs on the meta device, where tensors have shapes and no numbers."""
    x, jump = torch.empty(1, 1, size, device="meta"), 1
    for layer in layers:
        kernel = torch.empty(1, 1, layer["kernel_size"], device="meta")
        try:
            x = F.conv1d(x, kernel, None, layer["stride"], layer.get("padding", 0), layer.get("dilation", 1))
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        jump *= layer["stride"]
    return x.shape[2], jump
