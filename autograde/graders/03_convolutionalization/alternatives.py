"""Right answers of lesson 03, written differently: the hidden grader must accept each of them."""

import copy
import math

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
    require(linear.in_features == in_channels * math.prod(size), "other features than the dense layer takes")
    conv = nn.Conv2d(in_channels, linear.out_features, size, bias=False)
    conv.weight = nn.Parameter(linear.weight.detach().clone().unflatten(1, (in_channels, *size)))
    if linear.bias is not None:
        conv.bias = nn.Parameter(linear.bias.detach().clone())
    return conv


@alternative("linear_to_conv")
def by_loops(linear, in_channels, kernel_size):
    height, width = np.broadcast_to(kernel_size, 2).tolist()
    require(linear.weight.shape[1] == in_channels * height * width, "the numbers of features differ")
    conv = nn.Conv2d(in_channels, linear.out_features, (height, width), bias=linear.bias is not None)
    conv = conv.to(linear.weight)
    with torch.no_grad():
        column = 0
        for channel in range(in_channels):
            for row in range(height):
                for col in range(width):
                    conv.weight[:, channel, row, col] = linear.weight[:, column]
                    column += 1
        if linear.bias is not None:
            conv.bias += linear.bias - conv.bias
    return conv


@alternative("linear_to_conv")
def by_loading(linear, in_channels, kernel_size):
    if isinstance(kernel_size, int):
        kernel_size = (kernel_size, kernel_size)
    one_by_one = linear.weight.detach().T.reshape(-1, linear.out_features)
    require(len(one_by_one) == in_channels * kernel_size[0] * kernel_size[1], f"{len(one_by_one)} features")
    weights = {"weight": one_by_one.T.reshape(-1, in_channels, *kernel_size)}
    if linear.bias is not None:
        weights["bias"] = linear.bias.detach()
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias="bias" in weights).to(linear.weight.dtype)
    conv.load_state_dict(weights)
    return conv


# --- convolutionalize ---

UNCHANGED = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity, nn.Dropout)
BEFORE = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.BatchNorm2d, nn.Dropout2d)


def flat_list(network):
    layers = []
    for layer in network:
        layers += flat_list(layer) if isinstance(layer, nn.Sequential) else [layer]
    return layers


def norm_of_maps(norm):
    """Everything of a BatchNorm1d is in its dictionary, and BatchNorm2d differs in what it checks only."""
    spatial = nn.BatchNorm2d(norm.num_features)
    spatial.__dict__.update(copy.deepcopy(norm).__dict__)
    return spatial


@alternative("convolutionalize")
def by_states(classifier, feature_shape):
    """A state machine: before flattening, flattened, dense."""
    state, shape, channels, parts = "before", tuple(feature_shape), None, []
    for layer in flat_list(classifier):
        kind = type(layer)
        if kind in UNCHANGED or (kind in BEFORE and state == "before"):
            parts.append(copy.deepcopy(layer))
            channels = layer.out_channels if kind is nn.Conv2d else channels
        elif kind is nn.Flatten and state == "before" and layer.start_dim == 1 and layer.end_dim == -1:
            require(channels in (None, shape[0]), "other channels than the convolutions give")
            state = "flattened"
        elif kind is nn.Linear and state != "before":
            conv = by_new_parameters(layer, shape[0], shape[1:])
            conv.training = layer.training
            parts.append(conv)
            state, shape = "dense", (layer.out_features, 1, 1)
        elif kind is nn.BatchNorm1d and state != "before" and shape == (layer.num_features, 1, 1):
            parts.append(norm_of_maps(layer))
        elif kind is nn.Softmax and state == "dense" and layer.dim in (-1, 1):
            parts.append(nn.Softmax2d())
        else:
            raise ValueError(f"{kind.__name__} is in a place where it cannot be converted")
    require(state == "dense", "there is no dense layer behind a flatten")
    network = nn.Sequential(*parts)
    network.training = classifier.training
    return network


@alternative("convolutionalize")
def by_replacing_in_a_copy(classifier, feature_shape):
    """Keeps the nesting: a deep copy in which layers are replaced where they stand."""
    every = flat_list(classifier)
    flats = [number for number, layer in enumerate(every) if isinstance(layer, nn.Flatten)]
    require(len(flats) == 1, f"{len(flats)} flatten layers")
    before, behind = every[: flats[0]], every[flats[0] + 1 :]
    require(all(isinstance(layer, BEFORE + UNCHANGED) for layer in before), "a layer that needs one size")
    require(any(isinstance(layer, nn.Linear) for layer in behind), "no dense layer")
    convs = [layer for layer in before if isinstance(layer, nn.Conv2d)]
    require(not convs or convs[-1].out_channels == feature_shape[0], "other channels")
    now = {"shape": list(feature_shape), "passed": False, "dense": False}

    def convert(layer):
        if isinstance(layer, nn.Sequential):
            for name, child in list(layer.named_children()):
                setattr(layer, name, convert(child))
            return layer
        if isinstance(layer, nn.Flatten):
            require((layer.start_dim, layer.end_dim) == (1, -1), "flattens other dimensions")
            now["passed"] = True
            return nn.Identity()
        if not now["passed"] or isinstance(layer, UNCHANGED):
            return layer
        if isinstance(layer, nn.Linear):
            conv = by_loading(layer, now["shape"][0], tuple(now["shape"][1:])).train(layer.training)
            now["shape"], now["dense"] = [layer.out_features, 1, 1], True
            return conv
        if isinstance(layer, nn.BatchNorm1d):
            require(now["shape"] == [layer.num_features, 1, 1], "statistics for other features")
            return norm_of_maps(layer)
        require(isinstance(layer, nn.Softmax) and now["dense"] and layer.dim in (1, -1), f"cannot convert {layer}")
        return nn.Softmax(1)

    return convert(copy.deepcopy(classifier))


class DenseAsConvolution(nn.Module):
    """A dense layer applied to sliding windows, by unfolding them."""

    def __init__(self, linear, channels, side):
        super().__init__()
        require(linear.in_features == channels * side[0] * side[1], "other features")
        self.linear, self.channels, self.side = copy.deepcopy(linear), channels, side

    def forward(self, x):
        require(x.shape[1] == self.channels, "other channels")
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
    """No convolution at all behind the features: windows are unfolded. The weights keep the dense layers' shapes."""
    by_states(classifier, feature_shape)  # raises for what cannot be converted
    shape, parts = tuple(feature_shape), []
    for layer in flat_list(classifier):
        if isinstance(layer, nn.Linear):
            parts.append(DenseAsConvolution(layer, shape[0], shape[1:]))
            shape = (layer.out_features, 1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            parts.append(NormOfChannels(layer))
        elif isinstance(layer, nn.Softmax):
            parts.append(nn.Softmax(-3))
        elif not isinstance(layer, nn.Flatten):
            parts.append(copy.deepcopy(layer))
    network = nn.Sequential(*parts)
    network.training = classifier.training
    return network


# --- pool_head_to_conv ---


@alternative("pool_head_to_conv")
def by_one_convolution(linear, feature_shape):
    """Every place of the window has the dense weight, divided by the number of places."""
    channels, height, width = feature_shape
    require(linear.in_features == channels and height > 0 and width > 0, f"features of shape {feature_shape}")
    conv = nn.Conv2d(channels, linear.out_features, (height, width), bias=linear.bias is not None).to(linear.weight)
    weight = linear.weight.detach()[:, :, None, None] / (height * width)  # (out, D, 1, 1)
    conv.weight = nn.Parameter(weight.repeat(1, 1, height, width))
    if linear.bias is not None:
        conv.bias = nn.Parameter(linear.bias.detach().clone())
    return conv


@alternative("pool_head_to_conv")
def by_convolution_then_pooling(linear, feature_shape):
    """Mean and dense layer exchanged: scores of every feature first, then their mean."""
    require(linear.in_features == feature_shape[0], "other features")
    require(min(feature_shape[1:]) >= 1, "no features")
    conv = by_new_parameters(linear, feature_shape[0], 1)
    return nn.Sequential(conv, nn.AvgPool2d(tuple(feature_shape[1:]), stride=1))


class SlidingHead(nn.Module):
    """The mean by a view of all windows, and the dense layer itself on the channels as last dimension."""

    def __init__(self, linear, side):
        super().__init__()
        self.linear, self.side = copy.deepcopy(linear), side

    def forward(self, x):
        height, width = self.side
        means = x.unfold(2, height, 1).unfold(3, width, 1).mean(dim=(4, 5))  # (N, D, rows, cols)
        return self.linear(means.movedim(1, 3)).movedim(3, 1)


@alternative("pool_head_to_conv")
def by_a_module(linear, feature_shape):
    channels, *side = feature_shape
    require(channels == linear.in_features, f"{channels} channels")
    require(all(size > 0 for size in side), f"a window of {side}")
    return SlidingHead(linear, side)


# --- dense_output_size ---


@alternative("dense_output_size")
def by_ranges(size, layers):
    require(size > 0, f"{size} pixels")
    stride = 1
    for layer in layers:
        require(layer["kind"] in {"conv", "pool"}, f"{layer['kind']} has no kernel")
        pad, reach = layer.get("padding", 0), (layer["kernel_size"] - 1) * layer.get("dilation", 1)
        size = len(range(-pad, size + pad - reach, layer["stride"]))
        require(size > 0, "the kernel is larger than the map")
        stride *= layer["stride"]
    return size, stride


@alternative("dense_output_size")
def by_recursion(size, layers):
    require(size >= 1, "no positions")
    if not layers:
        return size, 1
    first, *rest = layers
    require(first["kind"] == "conv" or first["kind"] == "pool", f"what is {first['kind']}?")
    kernel = first["kernel_size"] + (first["kernel_size"] - 1) * (first.get("dilation", 1) - 1)
    count, stride = by_recursion(
        (size + 2 * first.get("padding", 0) - kernel + first["stride"]) // first["stride"], rest
    )
    return count, stride * first["stride"]


@alternative("dense_output_size")
def by_running_on_meta(size, layers):
    """Runs on the meta device, where tensors have shapes and no numbers."""
    require(size > 0, f"{size} pixels")
    x, stride = torch.empty(1, 1, size, device="meta"), 1
    for layer in layers:
        require(layer["kind"] in ("conv", "pool"), f"unknown layer {layer['kind']}")
        kernel = torch.empty(1, 1, layer["kernel_size"], device="meta")
        try:
            x = F.conv1d(x, kernel, None, layer["stride"], layer.get("padding", 0), layer.get("dilation", 1))
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        stride *= layer["stride"]
    return x.shape[2], stride


@alternative("dense_output_size")
def by_rounding_once(size, layers):
    """Rounding down in every layer is rounding down once: all layers are one window, one padding and one stride."""
    require(size > 0, f"{size} pixels")
    window = jump = 1
    for layer in layers:
        require(layer["kind"] in ("pool", "conv"), f"a layer of kind {layer['kind']}")
        window += ((layer["kernel_size"] - 1) * layer.get("dilation", 1) - 2 * layer.get("padding", 0)) * jump
        jump *= layer["stride"]
        require(window <= size, "a window larger than the picture")
    return (size - window) // jump + 1, jump


# --- dense_to_pixels ---


@alternative("dense_to_pixels")
def by_walking_back(row, col, layers):
    """From the output to the picture: the first and the last position that it sees, layer by layer."""
    require(row >= 0 and col >= 0, "outputs are counted from 0")
    boxes = [[row, row], [col, col]]
    for layer in reversed(layers):
        require(layer["kind"] in ("conv", "pool"), f"{layer['kind']} sees no square")
        reach = (layer["kernel_size"] - 1) * layer.get("dilation", 1)
        for box in boxes:
            start = [place * layer["stride"] - layer.get("padding", 0) for place in box]
            box[:] = start[0], start[1] + reach
    return tuple((first + last) / 2 for first, last in boxes), boxes[0][1] - boxes[0][0] + 1


@alternative("dense_to_pixels")
def by_sums(row, col, layers):
    require(min(row, col) > -1, f"({row}, {col}) is no output")
    for layer in layers:
        require(layer["kind"] != "linear" and layer["kind"] in ("pool", "conv"), f"a layer of kind {layer['kind']}")
    jumps = [math.prod(one["stride"] for one in layers[:number]) for number in range(len(layers) + 1)]
    reaches = [(one["kernel_size"] - 1) * one.get("dilation", 1) for one in layers]
    extent = 1 + sum(jump * reach for jump, reach in zip(jumps, reaches, strict=False))
    shift = sum(jump * one.get("padding", 0) for jump, one in zip(jumps, layers, strict=False))
    centre = (extent - 1) / 2 - shift
    return (centre + row * jumps[-1], centre + col * jumps[-1]), extent


@alternative("dense_to_pixels")
def by_coordinates(row, col, layers):
    """The centres of three neighbouring positions through all layers, as fractions of nothing but the picture."""
    require(row >= 0 <= col, "negative")
    places, extent = np.arange(3.0), 1  # centres of positions 0, 1 and 2
    for layer in layers:
        require(layer["kind"] in ["conv", "pool"], "neither convolution nor pooling")
        jump = places[1] - places[0]
        reach = (layer["kernel_size"] - 1) * layer.get("dilation", 1)
        extent += int(reach * jump)
        first = places[0] + (reach / 2 - layer.get("padding", 0)) * jump
        places = first + jump * layer["stride"] * np.arange(3)
    jump = places[1] - places[0]
    return (float(places[0] + row * jump), float(places[0] + col * jump)), extent
