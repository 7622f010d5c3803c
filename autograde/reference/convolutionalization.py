"""Fully connected layers made into convolutions: a classifier of windows becomes one pass over the picture (lesson 03).

Shapes: pictures (N, C, H, W), features of one window (D, h, w), maps of scores (N, num_classes, rows, cols).
Layers are described as in `seglab.layers`; sizes and jumps are in pixels.

Sources: the slides on LeNet (16 x 5 x 5 -> 120 x 1 x 1 -> 84 x 1 x 1 -> 10 x 1 x 1); Sermanet et al., "OverFeat", 2014,
section 3.5; Shelhamer et al., "Fully Convolutional Networks", 2017, section 3.1.
"""

import copy

from torch import nn


def linear_to_conv(linear: nn.Linear, in_channels: int, kernel_size: int | tuple[int, int]) -> nn.Conv2d:
    """The convolution that computes at every place what `linear` says of the flattened features there.

    Features (in_channels, kh, kw) are flattened as nn.Flatten does it: channel by channel, each row by row. The weights
    are copied; dtype, device and mode are those of `linear`, which must take in_channels * kh * kw numbers.

    >>> linear_to_conv(nn.Linear(400, 120), 16, 5).weight.shape
    torch.Size([120, 16, 5, 5])
    """
    has_bias = linear.bias is not None
    conv = nn.Conv2d(in_channels, linear.out_features, kernel_size, bias=has_bias, device="meta")  # no random numbers
    state = copy.deepcopy(linear.state_dict())
    state["weight"] = state["weight"].view(conv.weight.shape)  # (out, in_channels * kh * kw) -> (out, in, kh, kw)
    conv.load_state_dict(state, assign=True)
    return conv.train(linear.training)


def convolutionalize(classifier: nn.Sequential, feature_shape: tuple[int, int, int]) -> nn.Sequential:
    """A fully convolutional copy of a classifier of windows; nothing is shared with it, and each layer keeps its mode.

    On a window (N, C, window, window) it gives (N, num_classes, 1, 1), on larger pictures a map. `classifier` is one
    flat Sequential with one nn.Flatten, which gets features (N, *feature_shape). BatchNorm1d keeps what it has learned.

    >>> head = nn.Sequential(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 10))
    >>> [tuple(weight.shape) for weight in convolutionalize(head, (16, 5, 5)).parameters() if weight.ndim == 4]
    [(120, 16, 5, 5), (10, 120, 1, 1)]
    """
    channels, *window = feature_shape  # what the next fully connected layer sees of one window
    network = nn.Sequential()
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            network.append(linear_to_conv(layer, channels, tuple(window)))
            channels, window = layer.out_features, (1, 1)
        elif isinstance(layer, nn.BatchNorm1d):
            network.append(_batch_norm_2d(layer))
        elif not isinstance(layer, nn.Flatten):
            network.append(copy.deepcopy(layer))
    return network


def _batch_norm_2d(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    """The same normalization of every channel, with its weights, statistics and mode."""
    spatial = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    spatial.load_state_dict(norm.state_dict())  # copies
    return spatial.train(norm.training)


def pool_head_to_conv(linear: nn.Linear, feature_shape: tuple[int, int, int]) -> nn.Module:
    """The head "mean over (h, w), then linear" at every place of a feature map: (N, D, H, W) to a map of scores.

    The map is (N, out_features, H - h + 1, W - w + 1). With h = w = 1 it is the class activation map of Zhou et al.
    2016 (section 2), whose mean is what the head says of the whole. `linear` must take D numbers.

    >>> import torch
    >>> pool_head_to_conv(nn.Linear(64, 10), (64, 8, 8))(torch.zeros(1, 64, 32, 20)).shape
    torch.Size([1, 10, 25, 13])
    """
    channels, *window = feature_shape
    # Two steps are cheaper than one convolution with weight / (h * w), and have as many weights as the head.
    return nn.Sequential(nn.AvgPool2d(tuple(window), stride=1), linear_to_conv(linear, channels, 1))


def map_size(size: int, layers: list[dict]) -> tuple[int, int]:
    """(size, jump) of the map along one side of a picture of `size` pixels; the jump is in pixels of the picture.

    Raises ValueError for a kernel that does not fit into what the layers before it give, padding included.

    >>> lenet = [{"kind": "conv", "kernel_size": 5, "stride": 1}, {"kind": "pool", "kernel_size": 2, "stride": 2}]
    >>> map_size(32, lenet)
    (14, 2)
    """
    jump = 1
    for layer in layers:
        span = layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1
        room = size + 2 * layer.get("padding", 0) - span
        if room < 0:
            raise ValueError(f"a kernel over {span} positions does not fit a map of {size}: {layer}")
        size = room // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump
