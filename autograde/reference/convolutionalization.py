"""Dense layers made into convolutions: a classifier of windows becomes one pass over the whole picture (lesson 03).

Shapes: pictures (N, C, H, W), features of one window (D, h, w), maps of scores (N, num_classes, rows, cols).
Layers are described as in `seglab.layers`; sizes, strides, centres and extents are in pixels.

Sources: the slides on LeNet (16 x 5 x 5 -> 120 x 1 x 1 -> 84 x 1 x 1 -> 10 x 1 x 1); Sermanet et al., "OverFeat", 2014,
section 3.5; Shelhamer et al., "Fully Convolutional Networks", 2017, section 3.1.
"""

import copy
from collections.abc import Iterator

from torch import nn

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Identity, nn.Dropout)
SPATIAL = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.BatchNorm2d, nn.Dropout2d)


def linear_to_conv(linear: nn.Linear, in_channels: int, kernel_size: int | tuple[int, int]) -> nn.Conv2d:
    """The convolution that computes at every place what `linear` says of the flattened features there.

    Features (in_channels, kh, kw) are flattened as nn.Flatten does it: channel by channel, each row by row. The weights
    are copied; dtype, device and mode are those of `linear`.
    Raises ValueError if `linear` does not take in_channels * kh * kw numbers.

    >>> linear_to_conv(nn.Linear(400, 120), 16, 5).weight.shape
    torch.Size([120, 16, 5, 5])
    """
    height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if linear.in_features != in_channels * height * width:
        raise ValueError(f"{in_channels} x {height} x {width} features do not fit {linear}")
    conv = nn.Conv2d(
        in_channels,
        linear.out_features,
        (height, width),
        bias=linear.bias is not None,
        device="meta",  # no memory and no random numbers for weights that are replaced at once
    )
    state = copy.deepcopy(linear.state_dict())
    state["weight"] = state["weight"].view(conv.weight.shape)  # (out, in_channels * kh * kw) -> (out, in, kh, kw)
    conv.load_state_dict(state, assign=True)
    return conv.train(linear.training)


def convolutionalize(classifier: nn.Sequential, feature_shape: tuple[int, int, int]) -> nn.Sequential:
    """A fully convolutional copy of a classifier of windows; nothing is shared with it, and each layer keeps its mode.

    On a window (N, C, window, window) it gives (N, num_classes, 1, 1), on larger pictures a map. `classifier` may nest
    nn.Sequential; it holds one nn.Flatten, which gets features (N, *feature_shape), and behind it dense layers.
    Raises ValueError for a layer that cannot be converted, for shapes that do not fit, and if there is no dense layer.

    >>> head = nn.Sequential(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 10))
    >>> [tuple(weight.shape) for weight in convolutionalize(head, (16, 5, 5)).parameters() if weight.ndim == 4]
    [(120, 16, 5, 5), (10, 120, 1, 1)]
    """
    window = tuple(feature_shape)  # what the next dense layer sees of one window
    channels = window[0]  # what the convolutions give
    flattened = dense = False
    network = nn.Sequential()
    for layer in _leaves(classifier):
        misfit = ValueError(f"{layer} cannot be converted where it stands, with features {window} of a window")
        if isinstance(layer, ELEMENTWISE) or (isinstance(layer, SPATIAL) and not flattened):
            network.append(copy.deepcopy(layer))
            channels = getattr(layer, "out_channels", channels)
        elif isinstance(layer, nn.Flatten) and not flattened:
            if (layer.start_dim, layer.end_dim) != (1, -1) or channels != window[0]:
                raise misfit
            flattened = True
        elif isinstance(layer, nn.Linear) and flattened:
            network.append(linear_to_conv(layer, window[0], window[1:]))
            window, dense = (layer.out_features, 1, 1), True
        elif isinstance(layer, nn.BatchNorm1d) and flattened and window == (layer.num_features, 1, 1):
            network.append(_batch_norm_2d(layer))
        elif isinstance(layer, nn.Softmax) and dense and layer.dim in (1, -1):
            network.append(nn.Softmax(dim=1).train(layer.training))  # the classes are no longer the last dimension
        else:
            raise misfit
    if not dense:
        raise ValueError("there is no nn.Flatten with an nn.Linear behind it")
    network.training = classifier.training  # not train(mode), which would set every layer's own mode
    return network


def _leaves(network: nn.Sequential) -> Iterator[nn.Module]:
    """The layers in the order in which they run, however deeply they are nested."""
    for layer in network:
        if isinstance(layer, nn.Sequential):
            yield from _leaves(layer)
        else:
            yield layer


def _batch_norm_2d(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    """The same normalization of every channel, with its weights and statistics."""
    spatial = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    spatial.load_state_dict(copy.deepcopy(norm.state_dict()), assign=True)  # assign keeps dtype and device
    return spatial.train(norm.training)


def pool_head_to_conv(linear: nn.Linear, feature_shape: tuple[int, int, int]) -> nn.Module:
    """The head "mean over (h, w), then linear" at every place of a feature map: (N, D, H, W) to a map of scores.

    The map is (N, out_features, H - h + 1, W - w + 1). With h = w = 1 it is the class activation map of Zhou et al.
    2016 (section 2), whose mean is what the head says of the whole.
    Raises ValueError if `linear` does not take D numbers, and if h or w is below 1.

    >>> import torch
    >>> pool_head_to_conv(nn.Linear(64, 10), (64, 8, 8))(torch.zeros(1, 64, 32, 20)).shape
    torch.Size([1, 10, 25, 13])
    """
    channels, *window = feature_shape
    if min(window) < 1:
        raise ValueError(f"there is nothing to pool in features of shape {tuple(feature_shape)}")
    # Two steps are cheaper than one convolution with weight / (h * w), and have as many weights as the head.
    return nn.Sequential(nn.AvgPool2d(tuple(window), stride=1), linear_to_conv(linear, channels, 1))


def dense_output_size(size: int, layers: list[dict]) -> tuple[int, int]:
    """(size of the map, stride) along one side of a picture of `size` pixels; the stride is in pixels of the picture.

    Raises ValueError for a kernel that does not fit, for a layer that is neither conv nor pool, and for no pixels.

    >>> lenet = [{"kind": "conv", "kernel_size": 5, "stride": 1}, {"kind": "pool", "kernel_size": 2, "stride": 2}]
    >>> dense_output_size(32, lenet)
    (14, 2)
    """
    if size < 1:
        raise ValueError(f"a picture of {size} pixels has none")
    stride = 1
    for layer in layers:
        kernel, step, padding = _geometry(layer)
        room = size + 2 * padding - kernel
        if room < 0:
            raise ValueError(f"a kernel over {kernel} positions does not fit a map of {size}: {layer}")
        size = room // step + 1
        stride *= step
    return size, stride


def dense_to_pixels(row: int, col: int, layers: list[dict]) -> tuple[tuple[float, float], int]:
    """What output (row, col) looked at: ((row, column) of the centre, side of the square), in pixels of the picture.

    The centre of pixel i lies at i, so a square from pixel 0 to 31 is centred at 15.5. The square is the receptive
    field before it is clipped at the picture's border: padding moves its centre, never its side.
    Raises ValueError for a negative row or column, and for a layer that is neither conv nor pool.

    >>> dense_to_pixels(0, 3, [{"kind": "conv", "kernel_size": 4, "stride": 2}])
    ((1.5, 7.5), 4)
    """
    if min(row, col) < 0:
        raise ValueError(f"there is no output ({row}, {col})")
    first, extent, jump = 0.0, 1, 1  # centre of output 0; what each output sees; distance of neighbouring outputs
    for layer in layers:
        kernel, stride, padding = _geometry(layer)
        first += ((kernel - 1) / 2 - padding) * jump
        extent += (kernel - 1) * jump
        jump *= stride
    return (first + row * jump, first + col * jump), extent


def _geometry(layer: dict) -> tuple[int, int, int]:
    """(kernel, stride, padding) along one side; the kernel counts the positions over which dilation spreads it."""
    if layer["kind"] not in ("conv", "pool"):
        raise ValueError(
            f"a layer of kind {layer['kind']!r} has no kernel; convert dense layers into convolutions first"
        )
    kernel = layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1
    return kernel, layer["stride"], layer.get("padding", 0)
