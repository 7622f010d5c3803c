"""How far a network sees, what that costs in memory, and how to measure it (lesson 04).

Layers are described in the words of seglab.layers: {"kind": "conv" or "pool", "kernel_size": 3, "stride": 1}, where
"padding" (0) and "dilation" (1) may be missing. Rows and columns follow the same rule. Pixel centres lie at integers.

Sources: the slide "and why did we compress at all?"; Araujo, Norris and Sim, "Computing receptive fields of
convolutional neural networks", Distill 2019; Long, Shelhamer and Darrell 2015, table 1, for VGG's 404 pixels;
Luo et al., "Understanding the effective receptive field", 2016, for measuring by gradients.
"""

import copy

import torch
from torch import Tensor, nn


def receptive_field(layers: list[dict]) -> tuple[int, int, float]:
    """(size, jump, start) of the last layer's outputs, in pixels of the picture and along one side.

    size: side of the square that one output sees, padding included. jump: from one output to the next. start: the
    centre of what the first output sees. No layers: (1, 1, 0.0), a pixel sees itself.
    Raises ValueError for a kind that is neither "conv" nor "pool", for a kernel, stride or dilation below 1, and for a
    negative padding.

    >>> halving = {"kind": "pool", "kernel_size": 2, "stride": 2}
    >>> receptive_field([{"kind": "conv", "kernel_size": 5, "stride": 1}, halving])
    (6, 2, 2.5)
    """
    size, jump, start = 1, 1, 0.0
    for number, layer in enumerate(layers):
        kernel, stride, padding, dilation = _read(layer, number)
        span = dilation * (kernel - 1)  # from the first to the last tap, in outputs of the layer before
        size += jump * span
        start += jump * (span / 2 - padding)  # padding begins earlier; it makes nothing see less
        jump *= stride
    return size, jump, start


def _read(layer: dict, number: int) -> tuple[int, int, int, int]:
    """(kernel, stride, padding, dilation) of one description. Raises ValueError if they are no layer."""
    if layer["kind"] not in ("conv", "pool"):
        raise ValueError(f"layer {number} is of kind {layer['kind']!r}; known are 'conv' and 'pool'")
    kernel, stride = layer["kernel_size"], layer["stride"]
    padding, dilation = layer.get("padding", 0), layer.get("dilation", 1)
    if min(kernel, stride, dilation) < 1 or padding < 0:
        raise ValueError(f"layer {number} cannot exist: {layer}")
    return kernel, stride, padding, dilation


def layers_to_see(pixels: int, kernel: int, pool_every: int | None = None) -> int:
    """The smallest number of convolutions (kernel x kernel, stride 1) whose last output sees `pixels` pixels or more.

    After every `pool_every` convolutions comes a pooling of 2 x 2 with stride 2, as long as a convolution follows: the
    chain ends with a convolution. None: no pooling. One pixel takes no layer.
    Raises ValueError for pixels, kernel or pool_every below 1, and where no number of convolutions is enough.

    >>> layers_to_see(101, 3), layers_to_see(101, 3, pool_every=2)
    (50, 9)
    """
    if min(pixels, kernel) < 1 or (pool_every is not None and pool_every < 1):
        raise ValueError(f"pixels, kernel and pool_every must be at least 1, got {pixels}, {kernel}, {pool_every}")
    seen, jump = 1, 1
    # At the slowest each convolution adds one pixel, or each pooling (a stage long) doubles what is seen.
    for count in range(pixels * (pool_every or 1) + 1):
        if seen >= pixels:
            return count
        if pool_every and count and not count % pool_every:  # a pooling, now that a convolution follows
            seen, jump = seen + jump, 2 * jump
        seen += jump * (kernel - 1)
    raise ValueError(f"1 x 1 convolutions alone never see {pixels} pixels: none of them looks at a neighbour")


def activation_bytes(layers: list[dict], height: int, width: int, batch_size: int) -> int:
    """Bytes of the outputs of all layers for a batch of pictures of height x width, in float32.

    What training keeps for the backward pass, if activations work in place; the pictures themselves are not counted.
    Convolutions also say "in_channels" and "out_channels", and the first layer is one.
    Raises ValueError for a layer of an unknown kind, a pooling in front, channels that do not fit, a kernel (dilated)
    that is larger than the padded map, and for sizes or a batch below 1.

    >>> layer = {"kind": "conv", "in_channels": 3, "out_channels": 8, "kernel_size": 3, "stride": 1}
    >>> activation_bytes([layer], 10, 10, 1)
    2048
    """
    if min(height, width, batch_size) < 1:
        raise ValueError(f"{batch_size} pictures of {height} x {width}: nothing to compute")
    values, channels = 0, None
    for number, layer in enumerate(layers):
        kernel, stride, padding, dilation = _read(layer, number)
        if layer["kind"] == "conv":
            if channels not in (None, layer["in_channels"]):
                raise ValueError(f"layer {number} takes {layer['in_channels']} channels, but there are {channels}")
            channels = layer["out_channels"]
        elif channels is None:
            raise ValueError("nothing says how many channels the picture has: the first layer must be a convolution")
        room = 2 * padding - dilation * (kernel - 1) - 1
        height, width = (height + room) // stride + 1, (width + room) // stride + 1
        if min(height, width) < 1:
            raise ValueError(f"layer {number} is larger than the map before it: {layer}")
        values += channels * height * width
    return 4 * batch_size * values


def gradient_receptive_field(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), both ends included: the box of pixels that can reach the centre output.

    `model` maps (N, C, H, W) to (N, K, h, w) and consists of convolutions, poolings, batch normalization, ReLU and
    dropout, one layer in several places if you like; `input_shape` is (C, H, W). The centre output is (h // 2, w // 2).
    Weights do not matter: the gradient is taken in a copy that has only positive ones. The model itself stays as it is.
    Raises ValueError if `input_shape` is not three numbers, if the output is no map, or if it sees no pixel.
    """
    if len(input_shape) != 3:
        raise ValueError(f"expected (C, H, W), got {input_shape}")
    picture = torch.ones(1, *input_shape, dtype=torch.float64, requires_grad=True)
    output = _positive(model)(picture)
    if output.ndim != 4:
        raise ValueError(f"expected a network that gives maps (N, K, h, w), got shape {tuple(output.shape)}")
    output[:, :, output.shape[2] // 2, output.shape[3] // 2].sum().backward()
    seen = picture.grad.sum((0, 1)) > 0  # (H, W)
    if not seen.any():
        raise ValueError("the centre output sees no pixel of the picture")
    return (*_ends(seen.any(1)), *_ends(seen.any(0)))


def _positive(model: nn.Module) -> nn.Sequential:
    """A copy that reads the same pixels, and in which every pixel that is read raises the output."""
    positive = nn.Sequential(copy.deepcopy(model)).eval()  # in a Sequential: the model may be a single layer
    for path, layer in list(positive.named_modules(remove_duplicate=False)):  # a layer may stand in several places
        parent, _, name = path.rpartition(".")
        if isinstance(layer, nn.MaxPool2d):  # its gradient reaches the winner of each window only
            mean = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
            setattr(positive.get_submodule(parent), name, mean)
        elif isinstance(layer, (nn.BatchNorm2d, nn.ReLU)):
            # Normalization may push everything below zero, where ReLU is flat. Above zero ReLU does nothing, but one in
            # place at the front would write into the picture, which autograd forbids.
            setattr(positive.get_submodule(parent), name, nn.Identity())
    for weights in positive.parameters():
        nn.init.ones_(weights)
    return positive.double()  # sums of products of many ones: float32 would overflow in a deep network


def _ends(seen: Tensor) -> tuple[int, int]:
    """The first and the last true place of a row of booleans."""
    places = seen.nonzero()
    return int(places.min()), int(places.max())
