"""How far a network sees, what that costs in memory, strides turned into dilation, fields measured (lesson 04).

Layers are described in the words of seglab.layers: {"kind": "conv" or "pool", "kernel_size": 3, "stride": 1}, where
"padding" (0) and "dilation" (1) may be missing. Rows and columns follow the same rule.

Sources: the slide "and why did we compress at all?"; Araujo, Norris and Sim, "Computing receptive fields of
convolutional neural networks", Distill 2019; Long, Shelhamer and Darrell 2015, table 1, for VGG's 404 pixels, and
section 3.2 for filters that are rarefied instead of maps that are shifted and stitched.
"""

import copy

import torch
from torch import nn


def receptive_field(layers: list[dict]) -> tuple[int, int, int]:
    """(size, jump, start) of the fields of the last layer's outputs, in pixels and along one side.

    Output i looks at pixels start + i * jump to start + i * jump + size - 1; those outside the picture are padding.
    No layers: (1, 1, 0), a pixel sees itself.

    >>> halving = {"kind": "pool", "kernel_size": 2, "stride": 2}
    >>> receptive_field([{"kind": "conv", "kernel_size": 5, "stride": 1, "padding": 2}, halving])
    (6, 2, -2)
    """
    size, jump, start = 1, 1, 0
    for layer in layers:
        span = layer.get("dilation", 1) * (
            layer["kernel_size"] - 1
        )  # first to last tap, in outputs of the layer before
        size, start = size + jump * span, start - jump * layer.get("padding", 0)
        jump *= layer["stride"]
    return size, jump, start


def layers_to_see(pixels: int, kernel: int, pool_every: int | None = None) -> int:
    """The smallest number of convolutions (kernel x kernel, at least 2 x 2) whose last output sees `pixels` pixels.

    After every `pool_every` convolutions comes a pooling of 2 x 2 with stride 2, as long as a convolution follows: the
    chain ends with a convolution. None: no pooling. One pixel takes no layer.

    >>> layers_to_see(101, 3), layers_to_see(101, 3, pool_every=2)
    (50, 9)
    """
    seen, jump, count = 1, 1, 0
    while seen < pixels:
        if pool_every and count and not count % pool_every:  # a pooling, now that a convolution follows
            seen, jump = seen + jump, 2 * jump
        seen, count = seen + jump * (kernel - 1), count + 1
    return count


def activation_bytes(layers: list[dict], height: int, width: int, batch_size: int) -> int:
    """Bytes of the outputs of all layers for a batch of pictures of height x width, in float32.

    What training keeps for the backward pass, if activations work in place; the pictures themselves are not counted.
    Convolutions also say "in_channels" and "out_channels", and the first layer is one.

    >>> layer = {"kind": "conv", "in_channels": 3, "out_channels": 8, "kernel_size": 3, "stride": 1}
    >>> activation_bytes([layer], 10, 10, 1)
    2048
    """
    values, channels = 0, None
    for layer in layers:
        channels = layer.get("out_channels", channels)
        room = 2 * layer.get("padding", 0) - layer.get("dilation", 1) * (layer["kernel_size"] - 1) - 1
        height, width = ((side + room) // layer["stride"] + 1 for side in (height, width))
        values += channels * height * width
    return 4 * batch_size * values


def dilate(network: nn.Module) -> nn.Sequential:
    """A network with the same layers and weights whose strides are 1 and whose later kernels are dilated instead.

    `network` consists of convolutions and max-poolings without padding, and of layers that look at one place; strides
    and dilations are the same for rows and columns. Every kernel is dilated by the jump of the map that it looks at, so
    its taps lie on the pixels that they lay on before: the result is the strided network's at every jump-th place, and
    that of its sliding window at every place. The network itself stays as it is.

    >>> dilate(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 3)))[1].dilation
    (2, 2)
    """
    layers, jump = [], 1
    for layer in map(copy.deepcopy, _layers(network)):
        if hasattr(layer, "dilation"):
            stride, layer.stride = _pair(layer.stride)[0], (1, 1)
            layer.dilation = tuple(jump * one for one in _pair(layer.dilation))
            jump *= stride
        layers.append(layer)
    return nn.Sequential(*layers)


def gradient_receptive_field(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), both ends included: the box of pixels that can reach the centre output.

    `model` maps (N, C, H, W) to (N, K, h, w) with convolutions, poolings, and layers that look at one place;
    `input_shape` is (C, H, W). The centre output is (h // 2, w // 2). The gradient is taken in a network of the same
    kernels, strides, paddings and dilations with one channel and weights of one: what a ReLU, the winner of a pooling
    or a weight of zero would hide shows. float64 holds what a hundred layers add up to.

    >>> gradient_receptive_field(nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2)), (3, 12, 16))
    (4, 7, 6, 9)
    """
    picture = torch.ones(1, 1, *input_shape[1:], dtype=torch.float64, requires_grad=True)
    output = picture
    for layer in _layers(model):
        if hasattr(layer, "kernel_size"):
            kernel = torch.ones(1, 1, *_pair(layer.kernel_size), dtype=torch.float64)
            dilation = getattr(layer, "dilation", 1)  # an average pooling has none
            output = nn.functional.conv2d(output, kernel, None, layer.stride, layer.padding, dilation)
    output[..., output.shape[2] // 2, output.shape[3] // 2].backward()
    places = picture.grad.flatten(0, 2).nonzero()  # (pixels seen, 2)
    (top, left), (bottom, right) = places.amin(0).tolist(), places.amax(0).tolist()
    return top, bottom, left, right


def _layers(network: nn.Module) -> list[nn.Module]:
    """The layers in order, as often as they stand somewhere; nn.Sequentials are opened."""
    if not isinstance(network, nn.Sequential):
        return [network]
    return [layer for part in network for layer in _layers(part)]


def _pair(setting) -> tuple[int, int]:
    """A setting of a layer for rows and for columns."""
    return tuple(setting) if isinstance(setting, (tuple, list)) else (setting, setting)
