"""Right answers of lesson 04, written differently: the hidden grader must accept each of them."""

import copy
import math

import numpy as np
import torch
from torch import nn

from autograde.graders.candidates import alternative


@alternative("receptive_field")
def from_the_last_layer(layers):
    """Backwards: how wide must the map before be, so that one output can be computed?"""
    size, jump, start = 1, 1, 0
    for layer in reversed(layers):
        stride, reach = layer["stride"], (layer["kernel_size"] - 1) * layer.get("dilation", 1)
        size = (size - 1) * stride + reach + 1
        jump, start = jump * stride, start * stride - layer.get("padding", 0)
    return size, jump, start


@alternative("receptive_field")
def by_first_and_last(layers):
    """Two ends of the field of the first output, each moved by every layer."""
    first, last, jump = 0, 0, 1
    for layer in layers:
        padding = layer.get("padding", 0)
        dilation = layer.get("dilation", 1)
        first -= jump * padding
        last += jump * (dilation * (layer["kernel_size"] - 1) - padding)
        jump *= layer["stride"]
    return last - first + 1, jump, first


@alternative("layers_to_see")
def by_growing_chains(pixels, kernel, pool_every=None):
    """Describe the network, measure it, add a layer, until it is enough."""
    chain, count = [], 0
    while by_first_and_last(chain)[0] < pixels:
        if pool_every is not None and count > 0 and count % pool_every == 0:
            chain.append({"kind": "pool", "kernel_size": 2, "stride": 2})
        chain.append({"kind": "conv", "kernel_size": kernel, "stride": 1})
        count += 1
    return count


@alternative("layers_to_see")
def by_stages(pixels, kernel, pool_every=None):
    """Whole stages at once, then a division in the last one."""
    missing, jump, before = pixels - 1, 1, 0
    if pool_every is not None:
        stage = pool_every * (kernel - 1)
        while missing > jump * stage:  # this stage is not enough
            missing -= jump * (stage + 1)  # it, and the pooling behind it
            jump, before = 2 * jump, before + pool_every
        if missing <= 0 and before:  # the pooling alone would have been enough, but a convolution must follow
            return before + 1
    return before + math.ceil(missing / jump / (kernel - 1))


@alternative("activation_bytes")
def by_recursion(layers, height, width, batch_size, channels=None):
    """The first layer, and then the rest."""
    if not layers:
        return 0
    layer, *rest = layers
    channels, padding = layer.get("out_channels", channels), layer.get("padding", 0)
    reach = 1 + layer.get("dilation", 1) * (layer["kernel_size"] - 1)
    rows = len(range(-padding, height + padding - reach + 1, layer["stride"]))
    cols = len(range(-padding, width + padding - reach + 1, layer["stride"]))
    own = batch_size * channels * rows * cols * torch.float32.itemsize
    return own + by_recursion(rest, rows, cols, batch_size, channels)


@alternative("activation_bytes")
def by_running(layers, height, width, batch_size):
    """Run the network on tensors without memory, and ask each output for its size."""
    x, total = torch.empty(batch_size, layers[0]["in_channels"] if layers else 1, height, width, device="meta"), 0
    for layer in layers:
        words = {word: value for word, value in layer.items() if word != "kind"}
        x = (nn.Conv2d(**words, device="meta") if layer["kind"] == "conv" else nn.MaxPool2d(**words))(x)
        total += x.nbytes
    return total


def opened(network):
    """The layers in order, also from Sequentials in Sequentials."""
    if isinstance(network, nn.Sequential):
        return [layer for part in network for layer in opened(part)]
    return [network]


@alternative("dilate")
def by_recursion_with_the_jump(network, jump=1):
    """Sequentials stay where they are; the jump is handed on from layer to layer."""

    def converted(part, jump):
        if isinstance(part, nn.Sequential):
            children = []
            for child in part:
                child, jump = converted(child, jump)
                children.append(child)
            return nn.Sequential(*children), jump
        part = copy.deepcopy(part)
        if isinstance(part, (nn.Conv2d, nn.MaxPool2d)):
            stride = part.stride if isinstance(part.stride, int) else part.stride[0]
            dilation = part.dilation if isinstance(part.dilation, int) else part.dilation[0]
            part.stride, part.dilation, jump = 1, jump * dilation, jump * stride
        return part, jump

    return converted(network, jump)[0]


@alternative("dilate")
def with_new_layers(network):
    """New layers with new settings, into which the weights are loaded."""
    dilated, jump = nn.Sequential(), 1
    for old in opened(network):
        new = copy.deepcopy(old)
        if isinstance(old, nn.Conv2d):
            channels, (dilation, _), bias = (old.in_channels, old.out_channels), old.dilation, old.bias is not None
            new = nn.Conv2d(*channels, old.kernel_size, dilation=jump * dilation, groups=old.groups, bias=bias)
            new.load_state_dict(old.state_dict())
            jump *= old.stride[0]
        elif isinstance(old, nn.MaxPool2d):
            new = nn.MaxPool2d(old.kernel_size, stride=1, dilation=old.dilation * jump)
            jump *= old.stride
        dilated.append(new)
    return dilated.train(network.training)


def box(seen):
    """The box of a map of booleans (H, W)."""
    rows, cols = np.flatnonzero(seen.any(1).numpy()), np.flatnonzero(seen.any(0).numpy())
    return int(rows[0]), int(rows[-1]), int(cols[0]), int(cols[-1])


@alternative("gradient_receptive_field")
def by_wires(model, input_shape):
    """No gradient at all: the places that are looked at, layer by layer, from the last one back to the picture."""
    layers = [layer for layer in opened(model) if hasattr(layer, "kernel_size")]
    ends = []
    for side, size in enumerate(input_shape[1:]):
        settings, sizes = [], [size]
        for layer in layers:
            words = layer.kernel_size, layer.stride, layer.padding, getattr(layer, "dilation", 1)
            kernel, stride, padding, dilation = (w[side] if isinstance(w, tuple) else w for w in words)
            settings.append((stride, padding - dilation * np.arange(kernel)))
            sizes.append((sizes[-1] + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)
        places = np.array([sizes.pop() // 2])
        for stride, before in reversed(settings):
            places = np.unique(stride * places[:, None] - before)
            places = places[(places >= 0) & (places < sizes.pop())]
        ends += [int(places[0]), int(places[-1])]
    return tuple(ends)


@alternative("gradient_receptive_field")
def in_a_positive_copy(model, input_shape):
    """The network itself, copied: max-poolings average, weights are means, batch norm and ReLU do nothing."""
    layers = []
    for layer in opened(copy.deepcopy(model)):
        if isinstance(layer, nn.MaxPool2d) and layer.dilation == 1:
            layer = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
        elif isinstance(layer, nn.MaxPool2d):
            layer = Averaging(layer)
        layers.append(nn.Identity() if isinstance(layer, (nn.BatchNorm2d, nn.ReLU)) else layer)
    network = nn.Sequential(*layers).double().eval()
    for weights in network.parameters():
        nn.init.constant_(weights, 1 / weights[0].numel())
    picture = torch.rand((1, *input_shape), dtype=torch.double, requires_grad=True)
    answer = network(picture)
    pick = torch.zeros_like(answer)
    pick[:, :, answer.shape[2] // 2, answer.shape[3] // 2] = 1
    answer.backward(pick)
    return box(picture.grad.amax((0, 1)) > 0)


class Averaging(nn.Module):
    """The mean of what a dilated max-pooling looks at, by unfolding."""

    def __init__(self, pooling):
        super().__init__()
        self.settings = pooling.kernel_size, pooling.dilation, pooling.padding, pooling.stride
        self.pooling = pooling

    def forward(self, x):
        columns = nn.functional.unfold(x, *self.settings).unflatten(1, (x.shape[1], -1)).mean(2)
        return columns.view_as(self.pooling(x))
