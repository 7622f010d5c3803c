# %% [markdown]
# # 04 · Receptive field: exercises
#
# Lesson 03 ended with a map that is smaller than the picture, because the network halves it again and again. Why does
# it? In five exercises you compute how far a network sees, how many layers that takes and what it costs in memory. You
# take the strides out of a network without changing its answers, and you measure on real networks what they see:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `receptive_field` | which pixels an output looks at, by arithmetic | 25 | ●● | 5 |
# | 2 `layers_to_see` | how many convolutions it takes to see far, with and without pooling | 20 | ●● | 3 |
# | 3 `activation_bytes` | what a forward pass keeps in memory | 15 | ● | 3 |
# | 4 `dilate` | a network's answers at every pixel, without training it again | 40 | ●●● | 6 |
# | 5 `gradient_receptive_field` | which pixels an output looks at, measured | 30 | ●● | 3 |
#
# The exercises do not call each other, so the order is yours.
#
# **Red is where you start.** Every function below is a stub that raises `NotImplementedError`. At first a check only
# says that the function is not written; later it shows a table, red where something is wrong. Write the function, run
# its cell, run the check under it, and repeat. Where a stub begins with a check of its arguments, leave it there.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: other kernels and strides, pictures that are not square, deeper
# networks. So write what the statement says, not what the visible check happens to ask.
#
# **Layers are described** as in lessons 02 and 03, by dicts in the words of `torch.nn`. `conv(...)` and `pool(...)`
# from `seglab.layers` write them for you:
#
# ```python
# {"kind": "conv", "in_channels": 3, "out_channels": 6, "kernel_size": 5, "stride": 1, "padding": 0, "dilation": 1}
# {"kind": "pool", "kernel_size": 2, "stride": 2}
# ```
#
# `padding` and `dilation` may be missing, in convolutions and in poolings: then they are 0 and 1. Kernels, strides,
# paddings and dilations are the same for rows and columns, so one dimension is enough to think about. A kernel with
# dilation d has its taps d places apart.
#
# **Given in the first cell:** `map_size` of lesson 03 for exercise 3, and two helpers for exercises 4 and 5.
# `copied_layers(network)` lists the layers of a network in order, `number(setting)` reads one of their settings.

# %%
import copy
import math

import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Rectangle
from torch import nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import load_scenes
from seglab.figures import show, show_images
from seglab.layers import conv, network, pool
from seglab.networks import WIDTHS, halving_encoder


def map_size(size: int, layers: list[dict]) -> tuple[int, int]:
    """(size, jump) of the map along one side, as in lesson 03, for layers that fit."""
    for layer in layers:
        around, reach = 2 * layer.get("padding", 0), layer.get("dilation", 1) * (layer["kernel_size"] - 1)
        size = 1 + (size - 1 + around - reach) // layer["stride"]
    return size, math.prod(layer["stride"] for layer in layers)


def copied_layers(network: nn.Module) -> list[nn.Module]:
    """The layers in order, each a copy of its own; an nn.Sequential is opened, also inside another one.

    A layer that stands in two places comes twice, and its two copies know nothing of each other.
    """
    if isinstance(network, nn.Sequential):
        return [layer for part in network for layer in copied_layers(part)]
    return [copy.deepcopy(network)]


def number(setting: int | tuple[int, int]) -> int:
    """One number for rows and columns: nn.Conv2d keeps pairs, (2, 2), and nn.MaxPool2d what it was given, 2."""
    return setting if isinstance(setting, int) else setting[0]


# %% [markdown] locked="about_receptive_field"
# ## 1 · `receptive_field`
#
# *About 25 minutes · difficulty 2 of 3 · 5 points · slide "and why did we compress at all?"*
#
# The receptive field of an output is the square of pixels that it looks at. Three numbers describe the fields of all
# outputs of a layer at once:
#
# * **size**: the side of the square, in pixels.
# * **jump**: how many pixels the square moves from one output to the next.
# * **start**: the *first* pixel that the *first* output looks at. 0, unless there is padding: then the first square
#   hangs over the edge of the picture and begins before pixel 0, at a negative number.
#
# So output i looks at the pixels
#
# $$\text{start} + i \cdot \text{jump} \quad\text{to}\quad \text{start} + i \cdot \text{jump} + \text{size} - 1,$$
#
# both included, and the middle of its field lies (size − 1) / 2 behind the first of them. Places in the padding belong
# to the square like all others.
#
# ```python
# receptive_field(layers: list[dict]) -> tuple[int, int, int]
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `layers` | list of dict | the layers in order, convolutions and poolings; channels do not matter here |
# | **returns** | (int, int, int) | size, jump and start of the fields of the last layer's outputs, in pixels |
#
# * No layers: a pixel sees itself, (1, 1, 0).
# * Pooling looks at a window like a convolution does. The arithmetic does not tell them apart.
#
# Given: `ValueError` for a fully connected layer, which sees all there is.


# %% solution="receptive_field"
def receptive_field(layers: list[dict]) -> tuple[int, int, int]:
    """(size, jump, start) of the fields of the last layer's outputs, in pixels.

    >>> pooling = {"kind": "pool", "kernel_size": 2, "stride": 2}
    >>> receptive_field([{"kind": "conv", "kernel_size": 5, "stride": 1, "padding": 2}, pooling])
    (6, 2, -2)
    """
    if any(layer["kind"] not in ("conv", "pool") for layer in layers):
        raise ValueError("only convolutions and poolings have a field of their own")
    ### BEGIN SOLUTION
    size, jump, start = 1, 1, 0
    for layer in layers:
        reach = (layer["kernel_size"] - 1) * layer.get("dilation", 1)  # from the first tap to the last
        size += reach * jump
        start -= layer.get("padding", 0) * jump
        jump *= layer["stride"]  # last: a layer's own stride spreads only what comes after it
    return size, jump, start
    ### END SOLUTION


# %% [markdown] locked="help_receptive_field"
# **Expected picture.** What one output of VGG-16 looks at after each of its five poolings, drawn on a photo of
# 300 × 451 pixels. It is always the output whose field lies closest to the middle of the photo. Behind the fifth
# pooling comes FCN's first layer that used to be fully connected; it sees more than the photo is high:
#
# ![A photo of a cat with five nested squares near its middle, of 6, 16, 44, 100 and 212 pixels; a sixth of 404 pixels
# is higher than the photo](expected_receptive_field.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Take two convolutions 3 × 3 on paper, in one dimension. The second one's three taps lie on three neighbouring outputs
# of the first. How many pixels do these see together? Now put a pooling of 2 between them. How far apart, in pixels,
# are the three taps now?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Walk through the layers and keep the three numbers. A kernel of k taps reaches from its first tap to its last over
# k − 1 steps, times the dilation. Each step is as many pixels as the *jump of the layer before*: multiply, and the size
# has grown by that. Padding puts p places in front of the map. The first output begins so many steps earlier, in steps
# of the same jump. Only then does the layer's own stride change the jump.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Begin with 1, 1 and 0. For each layer read the four numbers, two of them with `layer.get(word, default)`. Then three
# updates in this order: size, start, jump. The first two use the old jump. The third multiplies it by the stride.
#
# </details>
# <details><summary>"LeNet sees 15, 13 or 19", "too large after a stride", "half pixels"</summary>
#
# * *LeNet comes out as 15, 13 or 19 instead of 32*: the jump is missing (15), poolings are left out (13), or kernels
#   are added up as they are (19).
# * *A little too large after every stride*: you multiply the jump before you use it.
# * *The size changes with the padding*: an output looks at as many places as before. Some are not in the picture.
# * *The start is right without strides only*: a place of padding is as wide as the jump of the map that is padded.
# * *Half pixels, or a start that grows with the kernels*: that is the middle of a field, not its first pixel.
# * *Dilation is a little too large*: a kernel of 3 with dilation 2 covers 5 places, not 6.
# * *`KeyError`*: `padding` and `dilation` may be missing.
#
# </details>

# %% check="receptive_field" points=5
check(receptive_field)


# %% picture="receptive_field"
def pixels_of(output: int, layers: list[dict]) -> tuple[int, int]:
    """First and last pixel, along one side, that an output looks at."""
    size, jump, start = receptive_field(layers)
    return start + output * jump, start + output * jump + size - 1


with once_written():
    cat = photo("chelsea")  # (3, 300, 451)
    vgg, fields = [], []
    for convolutions in (2, 2, 3, 3, 3, 0):
        vgg += [conv(1, 1, 3, padding=1)] * convolutions
        vgg += [pool(2)] if convolutions else [conv(1, 1, 7, padding=3)]
        size, jump, start = receptive_field(vgg)
        # The output whose field has its middle closest to the photo's, along rows and along columns.
        places = [round((middle - start - (size - 1) / 2) / jump) for middle in (149.5, 225)]
        fields.append([pixels_of(place, vgg) for place in places])
    *after_poolings, after_fc6 = [bottom - top + 1 for (top, bottom), _ in fields]
    title = f"one output of VGG-16 sees {', '.join(map(str, after_poolings))} pixels, FCN's fc6 {after_fc6}"
    figure = show_images([cat], [title], width=6)
    for (top, bottom), (left, right) in fields:
        for colour, line in (("black", 4), ("white", 2)):  # white on black shows on any picture
            box = (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1
            figure.axes[0].add_patch(Rectangle(*box, fill=False, linewidth=line, edgecolor=colour))
    figure.axes[0].set(xlim=(-0.5, 450.5), ylim=(299.5, -0.5))
    show(
        figure,
        alt="A cat's photo with nested squares of 6, 16, 44, 100 and 212 pixels, and one that is too high for it",
    )

# %% [markdown] locked="about_layers_to_see"
# ## 2 · `layers_to_see`
#
# *About 20 minutes · difficulty 2 of 3 · 3 points · slide "full resolution throughout: will it work?"*
#
# Suppose an object is 100 pixels wide, and an output in its middle should see all of it. How many convolutions does
# that take? Without compressing, each one adds the same few pixels. With a pooling of 2 × 2 now and then, each
# convolution behind it adds more.
#
# The chain is built like this: convolutions with `kernel` × `kernel` taps, stride 1 and no dilation, and after every
# `pool_every` of them a pooling of 2 × 2 with stride 2, **as long as another convolution follows**. The chain always
# ends with a convolution: a pooling that would come last is not there. With `pool_every=2`:
#
# ```
# 1 convolution:    C
# 2 convolutions:   C C
# 3 convolutions:   C C P C
# 5 convolutions:   C C P C C P C
# ```
#
# ```python
# layers_to_see(pixels: int, kernel: int, pool_every: int | None = None) -> int
# ```
#
# | argument | type | unit | meaning |
# |---|---|---|---|
# | `pixels` | int, ≥ 1 | pixels | the receptive field must have at least this size |
# | `kernel` | int, ≥ 2 | pixels | side of each convolution's kernel, odd or even |
# | `pool_every` | int, ≥ 1, or None | convolutions | from one pooling to the next; None: no pooling at all |
# | **returns** | int | convolutions | the smallest number that is enough; poolings are not counted |
#
# One pixel takes no layer: 0. Given: `ValueError` for convolutions of 1 × 1, which see no neighbours.


# %% solution="layers_to_see"
def layers_to_see(pixels: int, kernel: int, pool_every: int | None = None) -> int:
    """The smallest number of convolutions whose last output sees at least `pixels` pixels.

    >>> layers_to_see(100, 3)
    50
    >>> layers_to_see(100, 3, pool_every=2)
    9
    """
    if kernel < 2:
        raise ValueError(f"a kernel of {kernel} sees no neighbours, so no number of layers is enough")
    ### BEGIN SOLUTION
    size, jump, count = 1, 1, 0
    while size < pixels:
        if pool_every is not None and count > 0 and count % pool_every == 0:
            size += jump  # the pooling's second tap
            jump *= 2
        size += (kernel - 1) * jump
        count += 1
    return count
    ### END SOLUTION


# %% [markdown] locked="help_layers_to_see"
# **Expected picture.** Convolutions 3 × 3 that it takes to see up to 500 pixels. One of the three curves leaves the
# picture:
#
# ![Number of convolutions against pixels to see: without pooling a steep straight line that leaves the picture at 61
# pixels; with pooling after every 3 or 2 convolutions, flat curves that end at 19 and 14](expected_layers_to_see.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# You have `receptive_field`. Write the chain for 1, 2, 3, … convolutions by hand, and watch the size grow. When do you
# stop?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# A loop that runs while too few pixels are seen. Either it makes a list of layers longer and measures it each time, or
# it keeps size and jump and updates them itself. Where does the pooling go, so that it is never the last layer? Into
# the step that adds the next convolution, before it.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# In the loop: if there is pooling, and some convolutions are there, and their number is a multiple of `pool_every`,
# then a pooling: it adds one jump, and doubles the jump. Then the convolution, always: it adds kernel − 1 jumps. Count
# it.
#
# </details>
# <details><summary>"One too many", "one too few", "far too few"</summary>
#
# * *One too many at exact sizes*: "at least" includes equal.
# * *One too few just behind a pooling*: the pooling itself sees a pixel more, but it is only there if a convolution
#   follows.
# * *Too many with pooling*: a pooling adds pixels, too, with the jump that holds *before* it.
# * *Too few, the more poolings the worse*: what doubles at a pooling is the jump, not the size.
# * *Right for one pooling, wrong for several*: the pooling is 2 × 2 with stride 2 whatever the kernel is, and it comes
#   after every `pool_every` convolutions, not one earlier.
#
# </details>

# %% check="layers_to_see" points=3
check(layers_to_see)

# %% picture="layers_to_see"
with once_written():
    figure, axis = plt.subplots(figsize=(7, 3.2))
    sizes = range(1, 501)
    for every, style in ((None, "-"), (3, "--"), (2, ":")):
        name = "no pooling" if every is None else f"pooling after every {every}"
        axis.plot(sizes, [layers_to_see(size, 3, every) for size in sizes], style, lw=2, label=name)
    axis.set(ylim=(0, 30), xlabel="pixels that one output must see", ylabel="convolutions 3 × 3")
    axis.set_title("Layers that it takes to see far")
    axis.legend(frameon=False)
    show(
        figure, alt="A steep line for no pooling; flat curves for pooling after every 3 and after every 2 convolutions"
    )

# %% [markdown] locked="about_activation_bytes"
# ## 3 · `activation_bytes`
#
# *About 15 minutes · difficulty 1 of 3 · 3 points · slide "full resolution throughout: what problems?"*
#
# The second price of full resolution is memory. In training, the backward pass needs what every layer gave in the
# forward pass, so all outputs are kept until then. How many bytes is that?
#
# What counts, exactly: the **output of every layer**, convolutions and poolings alike, in float32 (4 bytes each), for
# every picture of the batch. The pictures themselves are not counted, weights and gradients are not, and activations
# (ReLU) work in place: they cost nothing.
#
# `map_size(size, layers)` of lesson 03, given above, says how large the map behind some layers is, along one side. A
# pooling keeps the number of channels.
#
# ```python
# activation_bytes(layers: list[dict], height: int, width: int, batch_size: int) -> int
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `layers` | list of dict | convolutions and poolings that fit the picture and each other |
# | `height`, `width` | int, pixels | size of the pictures; they have as many channels as the first layer takes |
# | `batch_size` | int | pictures |
# | **returns** | int | bytes |
#
# No layers keep 0 bytes. Given: `ValueError` for a chain that begins with a pooling (of how many channels?).


# %% solution="activation_bytes"
def activation_bytes(layers: list[dict], height: int, width: int, batch_size: int) -> int:
    """Bytes of all layers' outputs in one forward pass, float32. Below: 2 pictures, 8 maps of 8 x 8, 4 bytes.

    >>> layer = {"kind": "conv", "in_channels": 3, "out_channels": 8, "kernel_size": 3, "stride": 1}
    >>> activation_bytes([layer], 10, 10, batch_size=2)
    4096
    """
    if layers and layers[0]["kind"] != "conv":
        raise ValueError("the first layer must be a convolution: it says how many channels there are")
    ### BEGIN SOLUTION
    total, channels = 0, None
    for number_of_layers, layer in enumerate(layers, start=1):
        channels = layer.get("out_channels", channels)  # a pooling says none: they stay
        rows, _ = map_size(height, layers[:number_of_layers])
        cols, _ = map_size(width, layers[:number_of_layers])
        total += channels * rows * cols
    return 4 * batch_size * total
    ### END SOLUTION


# %% [markdown] locked="help_activation_bytes"
# **Expected picture.** What each convolution of VGG-16 keeps of one picture of 500 × 500 pixels: as it is, and if its
# poolings were taken out:
#
# ![Two bars for each of thirteen convolutions, in megabytes on a logarithmic scale: as it is, they fall from 64 to 2;
# without poolings they rise from 64 to 512](expected_activation_bytes.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# You did nearly the same in lesson 02, when you counted multiply-adds: three numbers walk through the layers, channels,
# height and width. What do you add up this time?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Per layer: first the new channels (a convolution's `out_channels`; a pooling keeps what there is), then the height and
# width *behind* the layer, then channels × height × width is added. Multiply by the bytes and by the batch once, at the
# end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# A total of 0 and channels of `None`. In the loop over the layers: `layer.get("out_channels", channels)` is right for
# both kinds. `map_size(height, layers[:n])[0]` is the height behind the first n layers, and for the width alike.
#
# </details>
# <details><summary>"A quarter of it", "a little too large", "too small by far"</summary>
#
# * *A quarter of what is expected*: those are numbers; a float32 takes 4 bytes.
# * *Too large by a little*: the pictures themselves are not counted. Or you used the size *before* the layer.
# * *Too small by far*: every output is kept, not only the last or the largest. Poolings have outputs, too.
# * *Right on square pictures only*: height and width go through the layers separately.
#
# </details>

# %% check="activation_bytes" points=3
check(activation_bytes)

# %% picture="activation_bytes"
VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

with once_written():
    kept = {"with its poolings": [], "without": []}
    for name, bytes_of_layers in kept.items():
        layers, channels = [], 3
        for stage in VGG_WIDTHS:
            for wider in stage:
                before = activation_bytes(layers, 500, 500, 1)
                layers.append(conv(channels, wider, 3, padding=1))
                channels = wider
                bytes_of_layers.append(activation_bytes(layers, 500, 500, 1) - before)
            if name != "without":
                layers.append(pool(2))
    figure, axis = plt.subplots(figsize=(7, 3.2))
    for shift, (name, colour, hatch) in zip(
        (-0.2, 0.2), (("with its poolings", "#0072b2", ""), ("without", "#e69f00", "//")), strict=True
    ):
        places = [number + shift for number in range(1, 14)]
        axis.bar(places, [size / 1e6 for size in kept[name]], 0.4, color=colour, hatch=hatch, label=name)
    axis.set(xlabel="convolution of VGG-16", ylabel="megabytes kept", xticks=range(1, 14), yscale="log", ylim=(1, 1500))
    axis.set_title("One picture of 500 × 500 pixels")
    axis.legend(frameon=False, loc="upper left")
    show(
        figure,
        alt="Bars per convolution, on a logarithmic scale: with poolings they fall from 64 to 2 megabytes, without "
        "they rise to 512",
    )

# %% [markdown] locked="about_dilate"
# ## 4 · `dilate`
#
# *About 40 minutes · difficulty 3 of 3 · 6 points · Long and others 2015, section 3.2*
#
# A network with strides answers on a coarse grid: LeNet at every fourth pixel. The sliding window of lesson 02 can do
# better: move the window by one pixel each time, and there is an answer for every pixel, at sixteen times the price.
# Can the network itself give all these answers, in one pass and with the weights it has?
#
# Set every stride to 1. The first pooling then gives *all* the maxima of 2 × 2 pixels, not only those at even places.
# The next convolution must not notice: its taps used to lie on neighbouring outputs of the pooling, which were 2 pixels
# apart. Now outputs are 1 pixel apart, so its taps have to lie 2 places apart: **dilation 2**. Every later kernel is
# dilated as well, poolings included, by what its map has lost in stride. This is the *algorithme à trous*, the
# algorithm with holes. It was found for wavelets and is exact:
#
# * at every place, the new network answers what the old one answers on the window of pixels that begins there;
# * so it agrees with the old network at the old network's own places, and fills in the ones between.
#
# ```python
# dilate(network: nn.Module) -> nn.Sequential
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `network` | `nn.Sequential` | of `Conv2d`, `MaxPool2d`, `BatchNorm2d`, `ReLU`, `Dropout`; maps to maps |
# | **returns** | `nn.Sequential` | the same layers in the same order, strides 1, later kernels dilated; same weights |
#
# * Strides and dilations are the same for rows and columns. Convolutions may have strides, too. A layer may have a
#   dilation already: its taps lie farther apart than those of others, before and after.
# * The network you are given stays as it is. `copied_layers(network)` gives you copies to work on. A copy may be
#   changed by setting its attributes, `layer.stride = 1`; `number(layer.stride)` reads one.
# * Sequentials may stand inside others, and one layer may stand in several places (many networks have a single
#   `nn.MaxPool2d(2)` for all their poolings). `copied_layers` takes care of both.
#
# Given: `ValueError` for layers with padding, and for `nn.AvgPool2d`. With padding there is nothing to be exact about:
# a sliding window puts zeros around each window, one pass only around the picture (lesson 02). Average pooling has no
# dilation in torch; write it as a convolution.


# %% solution="dilate"
def dilate(network: nn.Module) -> nn.Sequential:
    """The network without its strides, with dilated kernels instead: the sliding window's answers at every pixel.

    >>> network = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, kernel_size=3))
    >>> dilate(network)(torch.zeros(1, 1, 10, 12)).shape
    torch.Size([1, 1, 5, 7])
    """
    for layer in copied_layers(network):
        if isinstance(layer, nn.AvgPool2d) or number(getattr(layer, "padding", 0)) != 0:
            raise ValueError(f"{layer} cannot be converted: no padding, no average pooling")
    ### BEGIN SOLUTION
    layers, jump = copied_layers(network), 1
    for layer in layers:
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            layer.dilation = number(layer.dilation) * jump  # by the strides before it, not by its own
            jump *= number(layer.stride)
            layer.stride = 1
    return nn.Sequential(*layers)
    ### END SOLUTION


# %% [markdown] locked="help_dilate"
# **Expected picture.** A small LeNet with random weights on a part of a photo, 160 × 240 pixels: one of its channels as
# the network gives it, and from `dilate(network)`. Every fourth value of the right map is one of the left map:
#
# ![A cat's eyes; a coarse map of 33 by 53 squares, in which the ring of one eye can just be made out; the same map with
# 129 by 209 values, in which the ring is smooth](expected_dilate.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Take one dimension and eight pixels. A pooling of 2, then a convolution with two taps: which four pixels does its
# first output look at? Now the pooling has stride 1. On which of its outputs must the two taps lie, so that they look
# at the same four pixels?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Walk through the copies and keep one number: the jump of the map *before* the layer, in the old network. It starts at
# 1. A layer with a kernel (convolution or max-pooling) is dilated by this number, in addition to any dilation that it
# had: distances multiply. Then its own stride multiplies the number, for the layers behind it, and becomes 1. All other
# layers look at one place and stay as they are.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `layers = copied_layers(network)`, and at the end `nn.Sequential(*layers)`. In between a loop with
# `isinstance(layer, (nn.Conv2d, nn.MaxPool2d))`, and in it three statements in this order: the new `layer.dilation`
# from the old one and the jump; the new jump from the old one and `layer.stride`; `layer.stride = 1`.
#
# </details>
# <details><summary>"The map is too small", "too large", "right size, wrong values", "the network has changed"</summary>
#
# * *Too large a map*: some kernel is not dilated enough. Poolings behind a stride are kernels, too.
# * *Too small a map*: some kernel is dilated too much. A layer's own stride does not dilate its own kernel.
# * *Right with one pooling, wrong with two*: behind strides of 2 and 3, neighbours were 6 pixels apart.
# * *Right size, wrong values*: the weights are not the network's. Set attributes of copies instead of building new
#   layers.
# * *`(2, 2, 2, 2)`, or "dilation must be a tuple of two ints"*: `nn.Conv2d` keeps pairs. Read them with `number`.
# * *The network has changed*: work on `copied_layers(network)`; the layers of the network itself are shared with it.
#
# </details>

# %% check="dilate" points=6
check(dilate)

# %% picture="dilate"
with once_written(), torch.no_grad():
    torch.manual_seed(1)
    lenet = network([conv(3, 6, 5), pool(), conv(6, 16, 5), pool(), conv(16, 6, 5)])[:-1]
    eyes = photo("chelsea")[:, 60:220, 80:320]  # (3, 160, 240)
    coarse = lenet(eyes[None] - 0.5)[0]  # (6, 33, 53)
    fine = dilate(lenet)(eyes[None] - 0.5)[0]  # (6, 129, 209)
    print(f"largest difference at every fourth place: {(fine[:, ::4, ::4] - coarse).abs().max():.1e}")
    channel = coarse.flatten(1).std(dim=1).argmax()
    titles = ["part of a photo"] + [f"{one.shape[1]} × {one.shape[2]} answers" for one in (coarse, fine)]
    figure = show_images([eyes, coarse[channel], fine[channel]], titles, width=9)
    show(
        figure,
        alt="A cat's eyes, the coarse map of a channel, and the same map with four times as many rows and columns",
    )

# %% [markdown] locked="about_gradient_receptive_field"
# ## 5 · `gradient_receptive_field`
#
# *About 30 minutes · difficulty 2 of 3 · 3 points · slide "and why did we compress at all?"*
#
# The arithmetic of exercise 1 is about descriptions. Here you measure: which pixels can move an output? A gradient
# answers that. The output in the centre of the map has a derivative with respect to every pixel of the picture, and
# where that is not zero, the pixel is seen.
#
# Taken naively, the answer is too small. A ReLU that does not fire has a gradient of zero. A max-pooling passes the
# gradient on to the winner of each window only. A weight may happen to be zero, and contributions may cancel. None of
# this is a property of the network's shape, and tomorrow's weights will be others. So measure **what the layers can
# see, whatever their weights are**: take the gradient in a network with the same kernels, strides, paddings and
# dilations in which nothing can hide.
#
# ```python
# gradient_receptive_field(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int, int, int]
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `model` | `nn.Module` | maps (N, C, H, W) to (N, K, h, w); made of the layers named below |
# | `input_shape` | (C, H, W) | of the picture, without the batch; not always square, large enough for one output |
# | **returns** | (top, bottom, left, right) | four int: first and last row, first and last column, **ends included** |
#
# * Layers: `Conv2d`, `MaxPool2d` (both dilated or not), `AvgPool2d`, `BatchNorm2d`, `ReLU`, `Dropout`, and `Sequential`
#   of these, nested as deep as you like. Kernels need not be square. Weights may be float32 or float64, and the model
#   may be in training mode: neither matters.
# * The **centre output** is the one at (h // 2, w // 2), all K channels together.
# * The box is the smallest that holds every pixel seen by it. It lies in the picture, also where the field is larger
#   than the picture: padding of convolutions and poolings is no pixel.
# * Deep networks, too: behind a hundred convolutions, the derivative at the rim of the field is 10⁴⁶ times smaller than
#   in its middle and still not zero. float32 reaches from 10⁻⁴⁵ to 10³⁸, float64 from 10⁻³²³ to 10³⁰⁸.
#
# Given: `ValueError` for a shape that is not (C, H, W). `copied_layers(model)` of the first cell lists the layers.


# %% solution="gradient_receptive_field"
def gradient_receptive_field(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the pixels that can reach the centre output; both ends included.

    >>> network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2))
    >>> gradient_receptive_field(network, (1, 12, 16))
    (4, 7, 6, 9)
    """
    if len(input_shape) != 3:
        raise ValueError(f"expected the shape of a picture, (C, H, W), got {input_shape}")
    ### BEGIN SOLUTION
    convolutions = []  # one for every layer that looks at neighbours; all others see one place
    for layer in copied_layers(model):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            dilation = 1 if isinstance(layer, nn.AvgPool2d) else layer.dilation
            one = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding, dilation, bias=False)
            nn.init.ones_(one.weight)
            convolutions.append(one.double())
    picture = torch.ones(1, 1, *input_shape[1:], dtype=torch.float64, requires_grad=True)  # (1, 1, H, W)
    output = nn.Sequential(*convolutions)(picture)  # (1, 1, h, w)
    height, width = output.shape[2:]
    output[0, 0, height // 2, width // 2].backward()
    rows = picture.grad[0, 0].sum(dim=1).nonzero()  # (number of rows seen, 1)
    cols = picture.grad[0, 0].sum(dim=0).nonzero()  # (number of columns seen, 1)
    return rows[0].item(), rows[-1].item(), cols[0].item(), cols[-1].item()
    ### END SOLUTION


# %% [markdown] locked="help_gradient_receptive_field"
# **Expected picture.** Two networks of eight convolutions 3 × 3 each, measured on a scene of 256 × 256 pixels. One of
# them has a pooling after every two convolutions:
#
# ![A scene with clothes and two boxes around its centre: a small one of 17 pixels for the network without pooling, and
# one of 68 pixels for the network with pooling](expected_gradient_receptive_field.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# If every weight is positive and the picture is, too, nothing cancels and every ReLU fires. What could stand in the
# place of a max-pooling, so that it looks at the same pixels and passes the gradient on to all of them?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Channels do not matter: one is enough. So build a network of the same shape from nothing but convolutions 1 → 1 whose
# weights are ones: one for every convolution and every pooling of the model, with its kernel, stride, padding and
# dilation. Batch normalization, ReLU and dropout see one place each; leave them out. Run a picture that requires a
# gradient, pick the centre of the map, call `backward()`, look at the picture's `.grad`.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `nn.Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding, dilation, bias=False)` works with the settings as
# they are, pairs or not; `nn.AvgPool2d` has no `dilation`, so take 1. `nn.init.ones_(conv.weight)`, `conv.double()`. In
# `picture.grad[0, 0]`, (H, W), the sum over the columns is not zero in the rows that are seen: `nonzero()` lists them.
# The same for the columns.
#
# </details>
# <details><summary>"Box too small", "the whole picture", "one row off", "only deep networks fail"</summary>
#
# * *Too small by a pixel or two*: a max-pooling is left somewhere, or an average pooling stands in the place of a
#   dilated max-pooling and has no dilation.
# * *No gradient at all*: a ReLU is shut. Look at biases, and at batch normalization's mean.
# * *The whole picture*: you summed the whole output instead of one place. Or batch normalization is in training mode,
#   where the batch's statistics tie all pixels together.
# * *Moved by one jump*: the centre is at h // 2 of the *map*, not of the picture, and not (h − 1) // 2.
# * *Only deep networks fail*: compare with 0 and with nothing else, and compute in float64. If the weights are tiny, a
#   product of a hundred of them is zero all the same.
#
# </details>

# %% check="gradient_receptive_field" points=3
check(gradient_receptive_field)


# %% picture="gradient_receptive_field"
def eight_convolutions(pool_every: int | None) -> nn.Sequential:
    """Eight convolutions 3 x 3 with ReLU, random weights, and a max-pooling after every `pool_every` of them."""
    parts, channels = [], 3
    for number in range(8):
        if pool_every and number in range(pool_every, 8, pool_every):
            parts.append(nn.MaxPool2d(2))
        parts += [nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU()]
        channels = 4
    return nn.Sequential(*parts)


with once_written():
    scene = load_scenes("val", size=256, count=40, seed=0)
    figure = show_images([scene.images[1]], ["eight convolutions, measured"], width=5)
    for every, style, name in ((None, "-", "no pooling"), (2, "--", "pooling after every 2")):
        top, bottom, left, right = gradient_receptive_field(eight_convolutions(every), (3, 256, 256))
        high, wide = bottom - top + 1, right - left + 1
        box = Rectangle((left, top), wide, high, fill=False, lw=2.5, ls=style, ec="white", label=name)
        figure.axes[0].add_patch(box)
        print(f"{name}: {high} x {wide} pixels, rows {top} to {bottom}, columns {left} to {right}")
    figure.axes[0].legend(loc="upper left", fontsize=9, facecolor="#464646", labelcolor="white")
    show(figure, alt="A scene with a box of 17 pixels for no pooling, and one of 68 pixels for pooling after every 2")

# %% [markdown]
# ## Your functions at work
#
# How far must a network see in the scenes of this course? As far as their objects are large. Here are 40 scenes of
# 256 × 256 pixels. For every object we take the longer side of its box. And here is the encoder that the networks of
# the next lessons share: stages of a 3 × 3 convolution, batch normalization, ReLU and a halving max-pooling. After how
# many stages does an output see a whole object?

# %%
scenes = load_scenes("val", size=256, count=40, seed=0)
longer_sides = []
for instances, areas in zip(scenes.instances, scenes.areas, strict=True):
    for number in areas[1:].nonzero().flatten() + 1:
        places = (instances == number).nonzero()  # (pixels of the object, 2)
        longer_sides.append((places.amax(0) - places.amin(0) + 1).max())
longer_sides = torch.stack(longer_sides)  # (number of objects,)
print(f"{len(longer_sides)} objects, the largest {longer_sides.max()} pixels long")

with once_written():
    described, never_pooled, seen, before = [], [], [], 3
    for stages, width in enumerate(WIDTHS, 1):
        described += [conv(before, width, 3, padding=1), pool(2)]
        never_pooled += [conv(before, width, 3, padding=1)]
        before = width
        size, jump, start = receptive_field(described)
        top, bottom, left, right = gradient_receptive_field(halving_encoder()[:stages], (3, 256, 256))
        seen.append(size)
        fits = (longer_sides <= size).float().mean()
        both = [activation_bytes(chain, 256, 256, 32) / 1e6 for chain in (described, never_pooled)]
        if stages == 1:  # not earlier: where a function is still a stub, no head of an empty table
            print("stages   sees (formula)   sees (measured)   objects that fit   MB kept   MB without pooling")
        print(f"{stages:6}   {size:14}   {bottom - top + 1:15}   {fits:16.0%}   {both[0]:7.0f}   {both[1]:18.0f}")
    far = int(longer_sides.max())
    print(f"convolutions 3 x 3 to see {far} pixels: {layers_to_see(far, 3)} without pooling,", end=" ")
    print(f"{layers_to_see(far, 3, pool_every=1)} with a pooling after each")

# %%
with once_written():
    if len(seen) < len(WIDTHS):
        raise NotImplementedError("the table above is not complete yet")
    figure, axis = plt.subplots(figsize=(7, 3.2))
    axis.hist(longer_sides.numpy(), bins=torch.logspace(0.5, 2.4, 20).numpy(), color="#56b4e9", edgecolor="white")
    for stages, size in enumerate(seen, 1):
        axis.axvline(size, color="#a84300", lw=2)
        axis.text(1.04 * size, 45, f"stage {stages}:\n{size}", color="#a84300", fontsize=9, va="top")
    short = receptive_field(never_pooled)[0]
    axis.axvline(short, ymax=0.75, color="#0072b2", ls="--", lw=2)
    axis.text(1.04 * short, 35, f"no pooling:\n{short}", color="#0072b2", fontsize=9, va="top")
    axis.set(xscale="log", ylim=(0, 48), xlabel="longer side of an object, pixels", ylabel="objects")
    axis.set_xticks([3, 10, 30, 100, 250], ["3", "10", "30", "100", "250"], minor=False)
    axis.set_title("What the encoder's stages see, and how large objects are")
    show(
        figure,
        alt="Histogram of object sizes up to about 210 pixels; lines at 4, 10, 22, 46 and 94 pixels; dashed at 11",
    )

# %% [markdown]
# Read the table from left to right. The formula and the measurement agree, at every depth, for a network with batch
# normalization and max-pooling. Five stages see 94 pixels. That is enough for most objects, but not for the largest: an
# output in the middle of one of those sees cloth and no edge. In stage 1 pooling costs memory: its own output is kept,
# too. After five stages it has paid off: without pooling, the same five convolutions see 11 pixels and keep nine times
# the memory.
#
# The box is what *can* be seen. How much each pixel in it counts is another question: the lecture shows that most of
# the weight lies in the middle.
#
# And `dilate`? It fills in the answers that a network with strides leaves out, but its maps are all as large as the
# picture: it keeps what stands in the last column, and its poolings' outputs on top. It spares the training, not the
# memory.
#
# So compressing is no accident. It is how a network affords to see far, in layers and in memory. The price is what
# lesson 03 ended with: a map that is smaller than the picture. Lesson 05 brings it back to full size.
