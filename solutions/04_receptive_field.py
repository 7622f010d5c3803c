# %% [markdown]
# # 04 · Receptive field: exercises
#
# Lesson 03 ended with a map that is smaller than the picture, because the network halves it again and again. Why does
# it? In four exercises you compute how far a network sees, how many layers that takes, what it costs in memory, and you
# measure on a real network whether the arithmetic is right:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `receptive_field` | how far one output sees, by arithmetic | 15 | ●● | 5 |
# | 2 `layers_to_see` | how many convolutions that takes, with and without pooling | 20 | ●● | 4 |
# | 3 `activation_bytes` | what a forward pass keeps in memory | 20 | ●● | 5 |
# | 4 `gradient_receptive_field` | how far one output sees, measured | 35 | ●●● | 6 |
#
# Exercise 3 may call what you wrote in exercise 1. Otherwise the order is yours.
#
# **Red is where you start.** Every function below is a stub that raises `NotImplementedError`. At first a check only
# says that the function is not written; later it shows a table, red where something is wrong. Write the function, run
# its cell, run the check under it, and repeat.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: other kernels and strides, pictures that are not square, bad
# arguments. So write what the statement says, not what the visible check happens to ask.
#
# **Layers are described** as in lessons 02 and 03, by dicts in the words of `torch.nn`. `conv(...)` and `pool(...)`
# from `seglab.layers` write them for you:
#
# ```python
# {"kind": "conv", "in_channels": 3, "out_channels": 6, "kernel_size": 5, "stride": 1, "padding": 0, "dilation": 1}
# {"kind": "pool", "kernel_size": 2, "stride": 2}
# ```
#
# `padding` and `dilation` may be missing: then they are 0 and 1. Kernels, strides, paddings and dilations are the same
# for rows and columns, so one dimension is enough to think about. A kernel with dilation d has its taps d places apart.

# %%
import matplotlib.pyplot as plt
import torch
from matplotlib.patches import Rectangle
from torch import nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import load_scenes
from seglab.figures import show, show_images
from seglab.layers import conv, pool
from seglab.networks import WIDTHS, halving_encoder

# %% [markdown] locked="about_receptive_field"
# ## 1 · `receptive_field`
#
# *About 15 minutes · difficulty 2 of 3 · 5 points · slide "and why did we compress at all?"*
#
# The receptive field of an output is the square of pixels that it sees. Three numbers describe it, for every output of
# a layer at once:
#
# * **size**: the side of that square, in pixels. The square may hang over the edge of the picture: places in the
#   padding count like all others.
# * **jump**: how many pixels lie between the squares of two neighbouring outputs.
# * **start**: where the centre of the *first* output's square lies. Pixel p lies at p, so the centre of pixels 0 to 31
#   is 15.5. Padding lets the first square begin before pixel 0, which moves the centre and changes nothing else.
#
# ```python
# receptive_field(layers: list[dict]) -> tuple[int, int, float]
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `layers` | list of dict | the layers in order, of kind `"conv"` or `"pool"`; channels do not matter here |
# | **returns** | (int, int, float) | (size, jump, start) of the last layer's outputs, in pixels |
#
# * No layers: a pixel sees itself, (1, 1, 0.0).
# * Pooling looks at a window like a convolution does. The arithmetic does not tell them apart.
# * `ValueError` with a message for a layer of another kind (a dense layer sees all there is), for a `kernel_size`,
#   `stride` or `dilation` below 1, and for a negative `padding`.


# %% solution="receptive_field"
def receptive_field(layers: list[dict]) -> tuple[int, int, float]:
    """(size, jump, start) of what one output of a chain of layers sees, in pixels.

    >>> pooling = {"kind": "pool", "kernel_size": 2, "stride": 2}
    >>> receptive_field([{"kind": "conv", "kernel_size": 5, "stride": 1}, pooling])
    (6, 2, 2.5)
    """
    ### BEGIN SOLUTION
    size, jump, start = 1, 1, 0.0
    for layer in layers:
        if layer["kind"] not in ("conv", "pool"):
            raise ValueError(f"a layer of kind {layer['kind']!r} has no receptive field of its own")
        kernel, stride = layer["kernel_size"], layer["stride"]
        padding, dilation = layer.get("padding", 0), layer.get("dilation", 1)
        if kernel < 1 or stride < 1 or dilation < 1 or padding < 0:
            raise ValueError(f"no layer is like this: {layer}")
        span = dilation * (kernel - 1)  # from the first tap to the last, in outputs of the layer before
        size += span * jump
        start += (span / 2 - padding) * jump
        jump *= stride  # last: a layer's own stride spreads only what comes after it
    return size, jump, start
    ### END SOLUTION


# %% [markdown] locked="help_receptive_field"
# **Expected picture.** What one output of VGG-16 sees after each of its five poolings, drawn on a photo of 300 × 451
# pixels. Behind the fifth comes FCN's first former dense layer; it sees more than the photo is high:
#
# ![A photo of a cat with five nested squares around its centre, of 6, 16, 44, 100 and 212 pixels; a sixth of 404 pixels
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
# (k − 1) steps, times the dilation. Each step is as many pixels as the *jump of the layer before*: multiply, and the
# size has grown by that. The centre moves by half of it, less the padding, which is counted in the same steps. Only
# then does the layer's own stride change the jump.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Begin with 1, 1 and 0.0. For each layer look at `layer["kind"]` first, then read the four numbers, two of them with
# `layer.get(word, default)`, and raise where one cannot be. Then three updates in this order: size, start, jump. The
# first two use the old jump. The third multiplies it by the stride.
#
# </details>
# <details><summary>"LeNet sees 15, 13 or 19", "padding makes it smaller", "half a pixel off"</summary>
#
# * *LeNet comes out as 15, 13 or 19 instead of 32*: the jump is missing (15), poolings are left out (13), or kernels
#   are added up as they are (19).
# * *A little too large after every stride*: you multiply the jump before you use it.
# * *The size changes with the padding*: an output reads as many places as before. Some of them are not in the picture.
# * *The start is half a pixel off*: a pixel's centre lies at a whole number here. With an even kernel the centre lies
#   between two pixels.
# * *Dilation is a little too large*: a kernel of 3 with dilation 2 covers 5 places, not 6.
# * *`KeyError: 'kernel_size'`*: a dense layer has none. Look at the kind before you read the numbers.
#
# </details>

# %% check="receptive_field" points=5
check(receptive_field)

# %% picture="receptive_field"
with once_written():
    vgg, fields = [], []
    for convolutions in (2, 2, 3, 3, 3):
        vgg += [conv(1, 1, 3, padding=1)] * convolutions + [pool(2)]
        fields.append(receptive_field(vgg)[0])
    fields.append(receptive_field([*vgg, conv(1, 1, 7)])[0])
    cat = photo("chelsea")  # (3, 300, 451)
    *after_poolings, after_fc6 = fields
    title = f"one output of VGG-16 sees {', '.join(map(str, after_poolings))} pixels, FCN's fc6 {after_fc6}"
    figure = show_images([cat], [title], width=6)
    for side in fields:
        for colour, line in (("black", 4), ("white", 2)):  # white on black shows on any picture
            corner = (225 - side / 2, 150 - side / 2)
            figure.axes[0].add_patch(Rectangle(corner, side, side, fill=False, linewidth=line, edgecolor=colour))
    show(
        figure,
        alt="A cat's photo with nested squares of 6, 16, 44, 100 and 212 pixels, and one that is too high for it",
    )

# %% [markdown] locked="about_layers_to_see"
# ## 2 · `layers_to_see`
#
# *About 20 minutes · difficulty 2 of 3 · 4 points · slide "full resolution throughout: will it work?"*
#
# Suppose an object is 100 pixels wide, and an output in its middle should see all of it. How many convolutions does
# that take? Without compressing, each one adds the same few pixels. With a pooling of 2 × 2 now and then, each
# convolution behind it adds twice as many.
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
# (The lecture's green curve counts the pooling behind the last convolution, too: 6, 16, 36, … pixels after 2, 4, 6, …
# convolutions. Here it is 5, 14, 32, …)
#
# ```python
# layers_to_see(pixels: int, kernel: int, pool_every: int | None = None) -> int
# ```
#
# | argument | type | unit | meaning |
# |---|---|---|---|
# | `pixels` | int, ≥ 1 | pixels | the receptive field must have at least this size |
# | `kernel` | int, ≥ 1 | pixels | side of each convolution's kernel, odd or even |
# | `pool_every` | int, ≥ 1, or None | convolutions | from one pooling to the next; None: no pooling at all |
# | **returns** | int | convolutions | the smallest number that is enough; poolings are not counted |
#
# * One pixel takes no layer: 0.
# * `ValueError` with a message for a number below 1, and where no number of convolutions is enough. When is that so?


# %% solution="layers_to_see"
def layers_to_see(pixels: int, kernel: int, pool_every: int | None = None) -> int:
    """The smallest number of convolutions whose last output sees at least `pixels` pixels.

    >>> layers_to_see(100, 3)
    50
    >>> layers_to_see(100, 3, pool_every=2)
    9
    """
    ### BEGIN SOLUTION
    if pixels < 1 or kernel < 1:
        raise ValueError(f"pixels and kernel must be at least 1, got {pixels} and {kernel}")
    if pool_every is not None and pool_every < 1:  # not `if pool_every`: that would let 0 pass
        raise ValueError(f"pool_every must be at least 1, or None, got {pool_every}")
    if kernel == 1 and pool_every is None and pixels > 1:
        raise ValueError("convolutions of 1 x 1 see no neighbours, and without pooling nothing else does")
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
# Before the loop: the errors. In the loop: if there is pooling, and some convolutions are there, and their number is a
# multiple of `pool_every`, then a pooling (it adds one jump, and doubles the jump). Then the convolution, always: it
# adds (kernel − 1) jumps. Count it. A loop that can never end is one where nothing is ever added: kernel 1, no pooling.
#
# </details>
# <details><summary>"One too many", "one too few", "it runs for ever", "0 passes as pool_every"</summary>
#
# * *One too many at exact sizes*: "at least" includes equal.
# * *One too few just behind a pooling*: the pooling itself sees a pixel more, but it is only there if a convolution
#   follows.
# * *Too many with pooling*: a pooling adds pixels, too, with the jump that holds *before* it.
# * *It runs for ever*: kernel 1 without pooling. Stop the kernel, and look at the last rule of the statement.
# * *`pool_every=0` gives a number*: `if pool_every` treats 0 like None. Ask `is None`.
#
# </details>

# %% check="layers_to_see" points=4
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
# *About 20 minutes · difficulty 2 of 3 · 5 points · slide "full resolution throughout: what problems?"*
#
# The second price of full resolution is memory. In training, the backward pass needs what every layer gave in the
# forward pass, so all outputs are kept until then. How many bytes is that?
#
# What counts, exactly: the **output of every layer**, convolutions and poolings alike, in float32 (4 bytes each), for
# every picture of the batch. The pictures themselves are not counted, weights and gradients are not, and activations
# (ReLU) work in place: they cost nothing.
#
# A convolution or pooling with kernel k, stride s, padding p and dilation d makes
# ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1 pixels out of n. A pooling keeps the number of channels.
#
# ```python
# activation_bytes(layers: list[dict], height: int, width: int, batch_size: int) -> int
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `layers` | list of dict | convolutions and poolings, as in exercise 1; the first one is a convolution |
# | `height`, `width` | int, pixels, ≥ 1 | size of the pictures; they have as many channels as the first layer takes |
# | `batch_size` | int, ≥ 1 | pictures |
# | **returns** | int | bytes |
#
# * Counts get large; they must be exact.
# * No layers keep 0 bytes.
# * `ValueError` with a message if a layer does not fit: a convolution whose `in_channels` is not what the layer before
#   gives, or a kernel (with its dilation) larger than the padded map. Also for a chain that begins with a pooling (of
#   how many channels?), for a height, width or batch below 1, and for every layer that exercise 1 refuses.


# %% solution="activation_bytes"
def activation_bytes(layers: list[dict], height: int, width: int, batch_size: int) -> int:
    """Bytes of all layers' outputs in one forward pass, float32.

    >>> layer = {"kind": "conv", "in_channels": 3, "out_channels": 8, "kernel_size": 3, "stride": 1}
    >>> activation_bytes([layer], 10, 10, batch_size=2)  # 2 pictures, 8 maps of 8 x 8, 4 bytes
    4096
    """
    ### BEGIN SOLUTION
    if height < 1 or width < 1 or batch_size < 1:
        raise ValueError(f"{batch_size} pictures of {height} x {width} pixels cannot be")
    receptive_field(layers)  # refuses what is no layer
    total, channels = 0, None  # None: as many as the first convolution takes
    for layer in layers:
        if layer["kind"] == "conv":
            if channels not in (None, layer["in_channels"]):
                raise ValueError(f"{layer} follows a map of {channels} channels")
            channels = layer["out_channels"]
        elif channels is None:
            raise ValueError("the chain begins with a pooling: how many channels has the picture?")
        taken = layer.get("dilation", 1) * (layer["kernel_size"] - 1) + 1 - 2 * layer.get("padding", 0)
        height, width = ((size - taken) // layer["stride"] + 1 for size in (height, width))
        if height < 1 or width < 1:
            raise ValueError(f"{layer} is larger than the map before it")
        total += channels * height * width
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
# Per layer: first the new channels (a convolution's `out_channels`; a pooling keeps what there is), then the new height
# and width by the formula, then channels × height × width is added. Multiply by the bytes and by the batch once, at the
# end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Before the loop: refuse sizes below 1; call your `receptive_field(layers)`, which refuses layers that cannot be; a
# total of 0; channels of `None`. In the loop: for a convolution compare `in_channels` with the channels so far, unless
# these are None; for a pooling, None is an error. Then the sizes, with `//`. If one is below 1 the kernel did not fit.
# Never use `/`: large counts would lose their last digits.
#
# </details>
# <details><summary>"A quarter of it", "a little too large", "too small by far", "wrong with dilation"</summary>
#
# * *A quarter of what is expected*: those are numbers; a float32 takes 4 bytes.
# * *Too large by a little*: the pictures themselves are not counted. Or you used the size *before* the layer.
# * *Too small by far*: every output is kept, not only the last or the largest. Poolings have outputs, too.
# * *Wrong with dilation*: with dilation d a kernel covers d(k − 1) + 1 places.
# * *A kernel that does not fit gives a negative number*: ask for that before you add.
#
# </details>

# %% check="activation_bytes" points=5
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

# %% [markdown] locked="about_gradient_receptive_field"
# ## 4 · `gradient_receptive_field`
#
# *About 35 minutes · difficulty 3 of 3 · 6 points · slide "and why did we compress at all?"*
#
# The arithmetic of exercise 1 is about descriptions. Here you measure a real network: which pixels can move its output?
# A gradient answers that. The output in the centre of the map has a derivative by every pixel of the picture, and where
# that is not zero, the pixel is seen.
#
# Taken naively, the answer is too small. A ReLU that does not fire has a gradient of zero. A max-pooling passes the
# gradient on to the winner of each window only. A weight may happen to be zero. None of this is a property of the
# network's shape, and tomorrow's weights will be others. So measure **what the layers can see, whatever the weights
# are**. That means: measure a *copy* in which nothing can hide.
#
# * Every weight of the copy is positive, and so is the picture that you feed. Then no contributions cancel, and every
#   ReLU fires.
# * In place of each `nn.MaxPool2d` the copy has an `nn.AvgPool2d` with the same kernel, stride, padding and
#   `ceil_mode`: it reads the same pixels, and it passes the gradient on to all of them.
# * `nn.BatchNorm2d` sees no neighbours (in evaluation mode). Its statistics must not push anything below zero.
#
# ```python
# gradient_receptive_field(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int, int, int]
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `model` | `nn.Module` | maps (N, C, H, W) to (N, K, h, w); made of the layers named below |
# | `input_shape` | (C, H, W) | of the picture, without the batch; height and width may differ |
# | **returns** | (top, bottom, left, right) | four int: first and last row, first and last column, **ends included** |
#
# * Layers: `Conv2d` (any kernel, stride, padding, dilation, groups), `MaxPool2d` (dilation 1), `AvgPool2d`,
#   `BatchNorm2d`, `ReLU` (in place or not), `Dropout`, `Identity`, and `Sequential` of these, nested as deep as you
#   like. One layer object may stand in several places. The model may be a single layer, and it may be in training mode.
# * The **centre output** is the one at (h // 2, w // 2), all K channels together.
# * The box is the smallest that holds every pixel seen by it. It lies in the picture: padding is no pixel.
# * The model you are given stays as it was: weights, statistics, gradients, mode, layers.
# * `ValueError` with a message if `input_shape` is not three numbers, if the output is not (N, K, h, w), and if the
#   centre output sees no pixel at all (it can happen, between the taps of a dilated kernel).


# %% solution="gradient_receptive_field"
def gradient_receptive_field(model: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the pixels that can reach the centre output; both ends included.

    >>> gradient_receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)), (1, 12, 16))
    (4, 7, 6, 9)
    """
    ### BEGIN SOLUTION
    import copy

    if len(input_shape) != 3:
        raise ValueError(f"expected the shape of a picture, (C, H, W), got {input_shape}")
    # The Sequential around it is for a model of a single layer: then that layer is a part, too, and can be exchanged.
    positive = nn.Sequential(copy.deepcopy(model)).eval()
    for part in [part for part in positive.modules() if isinstance(part, nn.Sequential)]:
        for place, layer in enumerate(list(part)):  # by place: one layer may stand in several
            if isinstance(layer, nn.MaxPool2d):
                part[place] = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
            elif isinstance(layer, (nn.BatchNorm2d, nn.ReLU)):  # a ReLU in place would write into the picture
                part[place] = nn.Identity()
    for parameter in positive.parameters():
        nn.init.ones_(parameter)
    # Sums of many ones get large: float64 has the room for it.
    picture = torch.ones(1, *input_shape, dtype=torch.float64, requires_grad=True)  # (1, C, H, W)
    output = positive.double()(picture)
    if output.ndim != 4:
        raise ValueError(f"expected a network that gives a map, got an output of shape {tuple(output.shape)}")
    height, width = output.shape[2:]
    output[:, :, height // 2, width // 2].sum().backward()
    rows = picture.grad.sum(dim=(0, 1, 3)).nonzero()  # (number of rows seen, 1)
    cols = picture.grad.sum(dim=(0, 1, 2)).nonzero()  # (number of columns seen, 1)
    if len(rows) == 0:
        raise ValueError("the centre output sees nothing but padding")
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
# `copy.deepcopy(model)` is a network of its own: whatever you do to it, the model does not notice. A picture made with
# `requires_grad=True` has a `.grad` after `backward()`.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Copy, switch to evaluation mode, exchange layers, set the weights, run a picture of ones, pick the centre, call
# `backward()`, look at the gradient. To exchange layers at any depth: `modules()` gives every part of a network, each
# once. Those that are an `nn.Sequential` work like lists: go through their places, and `part[place] = other` puts
# another layer there. A single layer has no places: put the copy into an `nn.Sequential` first.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# For every part of `list(net.modules())` that is an `nn.Sequential`, for every place and layer of
# `enumerate(list(part))`: an `nn.AvgPool2d(...)` goes where a max-pooling was, an `nn.Identity()` where a batch
# normalization or a ReLU was (on positive numbers ReLU does nothing). All parameters become ones (`nn.init.ones_`),
# biases too, which does no harm. In a deep network sums of ones outgrow float32: `net.double()` and a picture of dtype
# `torch.float64` help. The gradient (1, C, H, W), summed over all but the rows, is not zero in the rows that are seen:
# `nonzero()` lists them. The same for the columns.
#
# </details>
# <details><summary>"Box too small", "the whole picture", "one row off", "the model has changed"</summary>
#
# * *Too small by a pixel or two*: a max-pooling is left somewhere, perhaps in a nested network, or in the second place
#   of a layer that stands in two (`named_children()` names such a layer once).
# * *"a leaf Variable that requires grad is being used in an in-place operation"*: a ReLU that works in place is the
#   first layer, and would write into your picture.
# * *No gradient at all*: a ReLU is shut. Look at biases, and at batch normalization's mean.
# * *The whole picture*: you summed the whole output instead of one place. Or batch normalization is in training mode,
#   where the batch's statistics tie all pixels together.
# * *Moved by one jump*: the centre is at h // 2 of the *map*, not of the picture, and not (h − 1) // 2.
# * *Fine without `ceil_mode`*: hand it on to the average pooling.
# * *The model has changed*: `eval()`, `requires_grad_()`, `fill_` and `backward()` all leave traces in the network they
#   are called on. Use the copy for everything.
#
# </details>

# %% check="gradient_receptive_field" points=6
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
    axis.axvline(short, ymax=0.75, color="black", ls="--", lw=2)
    axis.text(1.04 * short, 35, f"no pooling:\n{short}", fontsize=9, va="top")
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
# So compressing is no accident. It is how a network affords to see far, in layers and in memory. The price is what
# lesson 03 ended with: a map that is smaller than the picture. Lesson 05 brings it back to full size.
