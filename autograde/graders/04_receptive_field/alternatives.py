"""Right answers of lesson 04, written differently: the hidden grader must accept each of them."""

import copy
import math

import numpy as np
import torch
from torch import nn

from autograde.graders.candidates import alternative


def require(condition, message):
    if not condition:
        raise ValueError(message)


def numbers_of(layer):
    """Kernel, stride, padding, dilation; ValueError for what is no layer."""
    require(layer["kind"] in {"conv", "pool"}, f"what is a {layer['kind']}?")
    kernel, stride = layer["kernel_size"], layer["stride"]
    padding, dilation = layer.get("padding", 0), layer.get("dilation", 1)
    require(kernel >= 1 and stride >= 1 and dilation >= 1, f"{layer} has a number below 1")
    require(padding >= 0, f"{layer} has a negative padding")
    return kernel, stride, padding, dilation


# --- receptive_field ---


@alternative("receptive_field")
def from_the_last_layer(layers):
    """Backwards: how wide must the map before be, so that one output can be computed?"""
    size, jump, start = 1, 1, 0.0
    for layer in reversed(layers):
        kernel, stride, padding, dilation = numbers_of(layer)
        size = (size - 1) * stride + (kernel - 1) * dilation + 1
        jump = jump * stride
        start = start * stride + (kernel - 1) * dilation / 2 - padding
    return size, jump, start


@alternative("receptive_field")
def by_products(layers):
    """The sum over layers of kernel - 1, dilated, times the product of all strides before."""
    numbers = np.array([numbers_of(layer) for layer in layers], dtype=np.int64).reshape(-1, 4)
    kernel, stride, padding, dilation = numbers.T
    jumps = np.concatenate([[1], np.cumprod(stride)])
    spans = dilation * (kernel - 1)
    return (
        int(1 + (jumps[:-1] * spans).sum()),
        int(jumps[-1]),
        float((jumps[:-1] * (spans / 2 - padding)).sum()),
    )


@alternative("receptive_field")
def by_sets_of_pixels(layers):
    """Which pixels do outputs 0 and 1 read? Written out as sets."""

    def pixels(output):
        places = {output}
        for layer in reversed(layers):
            kernel, stride, padding, dilation = numbers_of(layer)
            ends = (0, (kernel - 1) * dilation)  # the inner taps are never the outermost
            places = {stride * place - padding + end for place in (min(places), max(places)) for end in ends}
        return min(places), max(places)

    (low, high), (second, _) = pixels(0), pixels(1)
    return 1 + high - low, second - low, 0.5 * (low + high)


@alternative("receptive_field")
def by_left_and_right(layers):
    """Two ends of the field of the first output, each moved by every layer."""
    left, right, jump = 0, 0, 1
    for layer in layers:
        kernel, stride, padding, dilation = numbers_of(layer)
        left -= jump * padding
        right += jump * (dilation * (kernel - 1) - padding)
        jump *= stride
    return right - left + 1, jump, (left + right) / 2


# --- layers_to_see ---


def check_numbers(pixels, kernel, pool_every):
    require(pixels >= 1 and kernel >= 1, f"pixels {pixels} and kernel {kernel} must be positive")
    require(pool_every is None or pool_every >= 1, f"a pooling after every {pool_every} convolutions")
    require(pixels == 1 or kernel > 1 or pool_every is not None, "a kernel of 1 never sees more than its own pixel")


@alternative("layers_to_see")
def by_growing_chains(pixels, kernel, pool_every=None):
    """Describe the network, measure it, add a layer, until it is enough."""
    check_numbers(pixels, kernel, pool_every)
    chain, count = [], 0
    while by_left_and_right(chain)[0] < pixels:
        if pool_every is not None and count > 0 and count % pool_every == 0:
            chain.append({"kind": "pool", "kernel_size": 2, "stride": 2})
        chain.append({"kind": "conv", "kernel_size": kernel, "stride": 1})
        count += 1
    return count


@alternative("layers_to_see")
def by_stages(pixels, kernel, pool_every=None):
    """Whole stages at once, then a division in the last one."""
    check_numbers(pixels, kernel, pool_every)
    missing, jump, before = pixels - 1, 1, 0
    if pool_every is not None:
        stage = pool_every * (kernel - 1)
        while missing > jump * stage:  # this stage is not enough
            missing -= jump * (stage + 1)  # it, and the pooling behind it
            jump, before = 2 * jump, before + pool_every
        if missing <= 0 and before:  # the pooling alone would have been enough, but a convolution must follow
            return before + 1
    return before + (math.ceil(missing / jump / (kernel - 1)) if kernel > 1 else 0)


@alternative("layers_to_see")
def by_closed_form(pixels, kernel, pool_every=None):
    """A formula for what n convolutions see, and a search for the first n by bisection."""
    check_numbers(pixels, kernel, pool_every)

    def sees(count):
        if count == 0 or pool_every is None:
            return 1 + count * (kernel - 1)
        full, rest = divmod(count, pool_every)
        poolings = (count - 1) // pool_every
        return 2**poolings + (kernel - 1) * (pool_every * (2**full - 1) + rest * 2**full)

    low, high = 0, 1
    while sees(high) < pixels:
        high *= 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if sees(middle) >= pixels else (middle + 1, high)
    return low


# --- activation_bytes ---


@alternative("activation_bytes")
def by_recursion(layers, height, width, batch_size, channels=None):
    """The first layer, and then the rest."""
    require(height > 0 and width > 0, f"a map of {height} x {width}")
    require(batch_size > 0, f"a batch of {batch_size}")
    if not layers:
        return 0
    layer, rest = layers[0], layers[1:]
    kernel, stride, padding, dilation = numbers_of(layer)
    if layer["kind"] == "conv":
        require(channels is None or channels == layer["in_channels"], f"{channels} channels before {layer}")
    require(layer["kind"] == "conv" or channels is not None, "a pooling of how many channels?")
    channels = layer.get("out_channels", channels)
    reach = 1 + dilation * (kernel - 1)
    require(min(height, width) + 2 * padding >= reach, f"{layer} does not fit into {height} x {width}")
    rows = len(range(-padding, height + padding - reach + 1, stride))
    cols = len(range(-padding, width + padding - reach + 1, stride))
    own = batch_size * channels * rows * cols * torch.float32.itemsize
    return own + by_recursion(rest, rows, cols, batch_size, channels)


@alternative("activation_bytes")
def on_the_meta_device(layers, height, width, batch_size):
    """Run the network on tensors without memory, and ask each output for its size."""
    require(min(height, width, batch_size) >= 1, "no pictures, or no pixels")
    for layer in layers:
        numbers_of(layer)
    x, total = None, 0
    for layer in layers:
        words = {word: value for word, value in layer.items() if word != "kind"}
        if layer["kind"] == "conv":
            module = nn.Conv2d(**words, device="meta")
        else:
            module = nn.Conv2d(1, 1, words["kernel_size"], words["stride"], words.get("padding", 0), device="meta")
            module.dilation = (words.get("dilation", 1),) * 2
        if x is None:
            require(layer["kind"] == "conv", "the first layer says how many channels there are")
            x = torch.empty(1, module.in_channels, height, width, device="meta")
        pooled = x.shape[1]
        try:
            x = module(x if layer["kind"] == "conv" else x[:, :1])
        except RuntimeError as error:
            raise ValueError(f"{layer} does not fit: {error}") from None
        x = x if layer["kind"] == "conv" else x.expand(-1, pooled, -1, -1)
        total += x.numel() * x.element_size()
    return total * batch_size


@alternative("activation_bytes")
def sizes_then_sum(layers, height, width, batch_size):
    """Both sides on their own, then products."""
    require(height >= 1 and width >= 1 and batch_size >= 1, "nothing to compute")

    def along(size):
        found = []
        for layer in layers:
            kernel, stride, padding, dilation = numbers_of(layer)
            size = math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1)
            require(size >= 1, f"{layer} is too large")
            found.append(size)
        return found

    channels = []
    for layer in layers:
        require(channels or layer["kind"] == "conv", "the channels of the picture are not known")
        if layer["kind"] == "conv":
            require(not channels or channels[-1] == layer["in_channels"], f"channels do not fit: {layer}")
        channels.append(layer["out_channels"] if layer["kind"] == "conv" else channels[-1])
    rows, cols = along(height), along(width)
    return sum(4 * batch_size * c * h * w for c, h, w in zip(channels, rows, cols, strict=True))


# --- gradient_receptive_field ---


def check_shape(shape):
    require(len(shape) == 3, f"expected three numbers, got {shape}")


def box(seen):
    """The box of a map of booleans (H, W)."""
    require(bool(seen.any()), "nothing is seen")
    rows, cols = np.flatnonzero(seen.any(1).numpy()), np.flatnonzero(seen.any(0).numpy())
    return int(rows[0]), int(rows[-1]), int(cols[0]), int(cols[-1])


def rebuilt(layer):
    """The same network as convolutions with positive weights only; whatever sees one pixel is left out."""
    if isinstance(layer, nn.Sequential):
        return nn.Sequential(*map(rebuilt, layer))
    if isinstance(layer, nn.Conv2d):
        same = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding, layer.dilation, bias=False)
        nn.init.constant_(same.weight, 0.5)
        return same
    if isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    return layer if isinstance(layer, nn.Flatten) else nn.Identity()


@alternative("gradient_receptive_field")
def through_a_rebuilt_network(model, input_shape):
    check_shape(input_shape)
    picture = torch.zeros(1, 1, *input_shape[1:], requires_grad=True)
    answer = rebuilt(model)(picture)
    require(answer.ndim == 4, f"shape {tuple(answer.shape)}")
    height, width = answer.shape[2:]
    (slope,) = torch.autograd.grad(answer[0, 0, height // 2, width // 2], picture)
    return box(slope[0, 0] != 0)


@alternative("gradient_receptive_field")
def by_bright_lines(model, input_shape):
    """No gradient at all: light one row or one column at a time, and look whether the centre notices."""
    check_shape(input_shape)
    network = rebuilt(model)
    _, height, width = input_shape
    lines = torch.cat(
        [torch.eye(height)[:, :, None].expand(-1, -1, width), torch.eye(width)[:, None].expand(-1, height, -1)]
    )
    with torch.no_grad():
        answer = network(lines[:, None])
    require(answer.ndim == 4, f"shape {tuple(answer.shape)}")
    noticed = (answer[:, 0, answer.shape[2] // 2, answer.shape[3] // 2] > 0).tolist()
    rows = [place for place in range(height) if noticed[place]]
    cols = [place for place in range(width) if noticed[height + place]]
    require(rows and cols, "the centre notices no line")
    return rows[0], rows[-1], cols[0], cols[-1]


@alternative("gradient_receptive_field")
def with_hooks_for_max_pooling(model, input_shape):
    """The layers stay; hooks replace what they give. Weights are ones, in double precision."""
    check_shape(input_shape)
    network = copy.deepcopy(model).double().eval()

    def every_pixel_counts(layer, inputs, output):
        mean = nn.functional.avg_pool2d(
            inputs[0], layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode
        )
        return mean.view_as(output)

    for layer in network.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.register_forward_hook(every_pixel_counts)
        elif isinstance(layer, (nn.BatchNorm2d, nn.ReLU)):
            layer.register_forward_hook(lambda layer, inputs, output: inputs[0])
    for weights in network.parameters():
        nn.init.ones_(weights)
    picture = torch.rand((1, *input_shape), dtype=torch.double).requires_grad_()
    answer = network(picture.clone())  # a ReLU in place may write into a clone
    require(answer.ndim == 4, f"a map has four dimensions, not {answer.ndim}")
    pick = torch.zeros_like(answer)
    pick[:, :, answer.shape[2] // 2, answer.shape[3] // 2] = 1
    answer.backward(pick)
    return box(picture.grad.amax((0, 1)) > 0)
