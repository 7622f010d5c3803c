# %% [markdown]
# # 05 · FCN: exercises
#
# A network that halves its maps five times sees far, but it answers once per 32 × 32 pixels. In seven exercises you
# bring such a coarse answer back to the pixels, build the network that made this famous, train it, and measure what it
# loses:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `upsample_nearest` | a larger map, by repeating | 5 | ● | 1 |
# | 2 `upsample_bilinear` | a larger map, by interpolating | 30 | ●● | 3 |
# | 3 `bilinear_kernel` | the same as a transposed convolution | 25 | ●● | 3 |
# | 4 `crop_offset` | where the enlarged map lies on the picture | 40 | ●●● | 2 |
# | 5 `FCN` | FCN-32s, 16s and 8s | 40 | ●●● | 6 |
# | 6 `train_epoch` | the loop that trains a network with masks | 25 | ●● | 3 |
# | 7 `recall_by_size` | which objects are found, by their size | 25 | ●● | 2 |
#
# **Red is where you start.** Every cell below that you fill in raises `NotImplementedError`, so no check can pass yet.
# At first a check only says that the function is not written; later it shows a table, red where something is wrong.
# Nothing is broken: write the function, run its cell, run the check under it, and repeat.
#
# **What is given.** Lines above `raise NotImplementedError` are ours: they refuse arguments that would only lead to a
# puzzling error later. Leave them, and write below them.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: odd factors, maps that are not square, pictures whose size no 32
# divides. So write what the statement says, not what the visible check happens to ask.
#
# **Hardly any exercise builds on another.** Only the last cells use your functions together, so a hard exercise does
# not block the next one. If you are short of time, leave `crop_offset` for last: it is the longest for its points.

# %%
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import CLASSES, SIZE_EDGES, load_scenes
from seglab.figures import show, show_images
from seglab.layers import conv, pool
from seglab.networks import WIDTHS, halving_encoder
from seglab.training import miou, mirror_and_recolour, predict_logits

# %% [markdown] locked="about_upsample_nearest"
# ## 1 · `upsample_nearest`
#
# *About 5 minutes · difficulty 1 of 3 · 1 point · slide "upsampling: nearest neighbour"*
#
# The simplest way to a larger map: every value becomes a block of `factor` × `factor` equal values. On the slide
#
# ```
#              1 1 2 2
# 1 2          1 1 2 2
# 3 4    →     3 3 4 4
#              3 3 4 4
# ```
#
# ```python
# upsample_nearest(x: Tensor, factor: int) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `x` | (N, C, H, W) | any | maps of scores, pictures, masks of classes |
# | `factor` | int, ≥ 1 | | how many times as high and as wide |
# | **returns** | (N, C, `factor` · H, `factor` · W) | as `x` | the enlarged maps |
#
# * A mask of int64 stays one: no new value appears.
# * Where `x` needs a gradient, it gets one: do not leave torch on the way.
# * **Not allowed**: `interpolate`, `Upsample`, `UpsamplingNearest2d`, `UpsamplingBilinear2d`, `grid_sample`,
#   `conv_transpose2d`, `ConvTranspose2d`. They are what you write here.


# %% solution="upsample_nearest"
def upsample_nearest(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C, factor * H, factor * W): each value becomes a block.

    >>> upsample_nearest(torch.tensor([[[[1, 2]]]]), 2)
    tensor([[[[1, 1, 2, 2],
              [1, 1, 2, 2]]]])
    """
    if x.ndim != 4:
        raise ValueError(f"expected maps (N, C, H, W), got the shape {tuple(x.shape)}")
    ### BEGIN SOLUTION
    row = torch.arange(factor * x.shape[2]) // factor  # 0 0 1 1 2 2 ... for a factor of 2
    col = torch.arange(factor * x.shape[3]) // factor
    return x[:, :, row][:, :, :, col]  # (N, C, factor * H, factor * W)
    ### END SOLUTION


# %% [markdown] locked="help_upsample_nearest"
# **Expected output** of the cell under the check: the slide's table.
#
# ```
# [1, 1, 2, 2]
# [1, 1, 2, 2]
# [3, 3, 4, 4]
# [3, 3, 4, 4]
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# Number the rows of the result 0, 1, 2, … Which row of `x` does each one show, if the factor is 3? Write the first
# seven.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Either make that list of numbers and index with it, once along the rows and once along the columns, or look for a
# method of `Tensor` that repeats each element along one dimension.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# An index tensor after two colons, `x[:, :, rows]`, picks rows; the same one dimension further picks columns. The index
# of row r is `r // factor`. With `repeat_interleave` say `dim=2`, then `dim=3`: without `dim` it flattens.
#
# </details>
# <details><summary>"1 2 1 2 instead of 1 1 2 2", "only square maps work", "dtype float32"</summary>
#
# * *`1 2 1 2`*: `repeat` and `tile` put whole copies side by side. You want each element repeated.
# * *The shape is right on square maps only*: one index comes from the height, the other from the width.
# * *A mask comes back as floats*: nothing here needs arithmetic.
# * *`element 0 of tensors does not require grad`*: your values went through numpy, or through `torch.tensor(...)`.
#
# </details>

# %% check="upsample_nearest" points=1
check(upsample_nearest)

# %%
with once_written():
    slide = torch.tensor([[[[1, 2], [3, 4]]]])  # (1, 1, 2, 2)
    for row in upsample_nearest(slide, 2)[0, 0].tolist():
        print(row)

# %% [markdown] locked="about_upsample_bilinear"
# ## 2 · `upsample_bilinear`
#
# *About 30 minutes · difficulty 2 of 3 · 3 points · slide "upsampling: bilinear"*
#
# Blocks have hard edges where the scores need none. Between two values one can go over gradually, in proportion to the
# distance. All depends on *where* the values lie.
#
# Think of each value as the middle of its pixel. In the finer map `factor` pixels take the space of one. The middle of
# output pixel i then lies at
#
# $$p_i = \frac{i + \frac{1}{2}}{\text{factor}} - \frac{1}{2}$$
#
# in the coordinates in which input pixel 0 is at 0, pixel 1 at 1. These are *half-pixel centres*; torch calls them
# `align_corners=False`. An output pixel at 0.25 takes three quarters of value 0 and one quarter of value 1.
#
# * **Border**: output pixels that lie before the first value or behind the last one take that value.
# * **Rows and columns** are independent: interpolate along one, then along the other.
#
# The slide enlarges 10 20 / 30 40 by a factor of 2 and prints whole numbers, *rounded down*: its first row,
# 10 12 17 20, is exactly 10, 12.5, 17.5, 20. You return the exact values.
#
# ```python
# upsample_bilinear(x: Tensor, factor: int) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `x` | (N, C, H, W) | float32 | maps of scores, pictures |
# | `factor` | int, ≥ 1 | | how many times as high and as wide; odd ones too |
# | **returns** | (N, C, `factor` · H, `factor` · W) | as `x` | the enlarged maps |
#
# * Where `x` needs a gradient, it gets one. A map may have a single row or column.
# * Integers are refused by the given lines: between class 1 and class 3 lies no class 2.
# * **Not allowed**: the names of exercise 1 again.


# %% solution="upsample_bilinear"
def upsample_bilinear(x: Tensor, factor: int) -> Tensor:
    """(N, C, H, W) -> (N, C, factor * H, factor * W), interpolated between half-pixel centres.

    >>> upsample_bilinear(torch.tensor([[[[10.0, 20.0]]]]), 2)[0, 0, 0]
    tensor([10.0000, 12.5000, 17.5000, 20.0000])
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(f"expected floats (N, C, H, W), got {x.dtype} and the shape {tuple(x.shape)}")
    ### BEGIN SOLUTION

    def matrix(size):
        """(factor * size, size): row i says how much of each value output pixel i takes."""
        place = (torch.arange(factor * size) + 0.5) / factor - 0.5
        place = place.clamp(0, size - 1)  # outside the first and the last centre their values go on
        distance = (place[:, None] - torch.arange(size)).abs()
        return (1 - distance).clamp(min=0)  # the two neighbours share; all others are too far away

    return matrix(x.shape[2]) @ x @ matrix(x.shape[3]).T  # (N, C, factor * H, factor * W)
    ### END SOLUTION


# %% [markdown] locked="help_upsample_bilinear"
# **Expected output** of the first cell under the check: the slide's table, exact and rounded down.
#
# ```
# [10.0, 12.5, 17.5, 20.0]    [10, 12, 17, 20]
# [15.0, 17.5, 22.5, 25.0]    [15, 17, 22, 25]
# [25.0, 27.5, 32.5, 35.0]    [25, 27, 32, 35]
# [30.0, 32.5, 37.5, 40.0]    [30, 32, 37, 40]
# ```
#
# **Expected picture** of the second one, a map of 16 × 24 numbers enlarged by a factor of 25 in both ways:
#
# ![A photo of a red cup of coffee, and its redness as a coarse map, enlarged in blocks and enlarged
# smoothly](expected_upsample_bilinear.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# One dimension, two values, factor 2: on paper, draw the two input pixels as boxes of width 2 and the four output
# pixels as boxes of width 1 below them. Mark all middles. Which shares do you read off?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Compute all positions at once with `torch.arange`, and clamp them to lie between the first and the last value. Two
# ways go on from there. Index: the neighbour before, the neighbour behind, and the share of the latter. Or a matrix of
# shares, `factor * size` by `size`, so that upsampling becomes a matrix product from the left for the rows, and one
# from the right for the columns.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Index: `before` is the position rounded down to an integer, `after` is one more but never beyond the last; the share
# of `after` is what the rounding cut off. Then
# `x[..., before] * (1 - share) + x[..., after] * share` does the columns; for the rows index one dimension earlier, and
# give the share a second dimension of size 1. Matrix: the share of value j at position p is 1 − |p − j|, and 0 where
# that is negative.
#
# </details>
# <details><summary>"10, 13.3, 16.7, 20", "a shift to one side", "a darker border", "only even factors"</summary>
#
# * *10, 13.3, 16.7, 20*: you put the outermost output pixels on the outermost values (`align_corners=True`).
# * *10, 15, 20, 20*: position i / factor. The two halves are missing.
# * *The border is darker*: beyond the border you take 0. Take the last value instead.
# * *Values below 10 or above 40*: the line is continued beyond the outermost centres. Clamp the position. (`.long()`
#   turns −0.25 into 0, but the share is still −0.25.)
# * *The first row holds something of the last one*: index −1 means the last. Clamp the position.
# * *Right for even factors only*: half a factor is 1.5 for 3. Do not round it with `//`.
# * *A map of one row fails*: the neighbour behind the last one is the last one again.
#
# </details>

# %% check="upsample_bilinear" points=3
check(upsample_bilinear)

# %%
with once_written():
    slide = torch.tensor([[[[10.0, 20.0], [30.0, 40.0]]]])  # (1, 1, 2, 2)
    for row in upsample_bilinear(slide, 2)[0, 0].tolist():
        print(row, "  ", [int(value) for value in row])

# %% picture="upsample_bilinear"
with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    share = coffee[0] / coffee.sum(0)  # (400, 600), the share of red in each pixel's light
    coarse = nn.functional.avg_pool2d(share[None, None], 25)  # (1, 1, 16, 24)
    figure = show_images(
        [coffee, upsample_nearest(coarse, 25)[0, 0], upsample_bilinear(coarse, 25)[0, 0]],
        ["the picture", "its redness, 16 × 24: nearest", "the same numbers: bilinear"],
    )
    show(figure, alt="A red cup, and its redness as a coarse map, enlarged in blocks and enlarged smoothly")

# %% [markdown] locked="about_bilinear_kernel"
# ## 3 · `bilinear_kernel`
#
# *About 25 minutes · difficulty 2 of 3 · 3 points · slide "how upsampling in FCN works"*
#
# FCN does not call a resizing function. It enlarges with a *transposed convolution* and loads weights into it that
# happen to interpolate. A transposed convolution with stride `factor` takes each input value, multiplies the whole
# kernel by it, and adds the result into the output, `factor` pixels further for each next value. So the kernel is what
# a single 1 looks like after interpolation: a tent, highest in the middle.
#
# * Its side is k = 2 · `factor` − `factor` % 2: 4 for 2, 5 for 3, 16 for 8, 64 for 32. With that, and with the padding
#   `factor // 2` that FCN's successors use, the output is exactly `factor` times as large.
# * In one dimension the weight at place t (0 … k − 1) falls in a straight line from the kernel's middle to both sides:
#   one minus the distance from the middle, the distance counted in *input* pixels. For 2: ¼ ¾ ¾ ¼. For 3: ⅓ ⅔ 1 ⅔ ⅓.
#   In two dimensions, the weight is the product of the two.
# * The weight of `nn.ConvTranspose2d` has the shape (in_channels, out_channels, k, k). Channel c must come out of
#   channel c alone: the scores of "shoe" have nothing to say about "bag".
#
# At the border the two ways differ. There `upsample_bilinear` lets the outermost values go on; a transposed convolution
# has nothing to add there, as if zeros lay around the map. So in the outer `factor // 2` pixels on each side its output
# is too small: ones become ¾ at an edge, for a factor of 2. Inside the two are equal.
#
# ```python
# bilinear_kernel(factor: int, num_channels: int) -> Tensor
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `factor` | int, ≥ 1 | how many times as large; the stride |
# | `num_channels` | int, ≥ 1 | channels, coming in and going out |
# | **returns** | (num_channels, num_channels, k, k), float32 | weights for `nn.ConvTranspose2d` |
#
# * **Not allowed**: `interpolate`, `Upsample`, `UpsamplingNearest2d`, `UpsamplingBilinear2d`, `grid_sample`.


# %% solution="bilinear_kernel"
def bilinear_kernel(factor: int, num_channels: int) -> Tensor:
    """Weights (num_channels, num_channels, k, k) that make a transposed convolution interpolate.

    >>> bilinear_kernel(1, 2)[:, :, 0, 0]
    tensor([[1., 0.],
            [0., 1.]])
    >>> bilinear_kernel(2, 1)[0, 0, 1]  # the second row: 3/4 of 1/4 3/4 3/4 1/4
    tensor([0.1875, 0.5625, 0.5625, 0.1875])
    """
    ### BEGIN SOLUTION
    k = 2 * factor - factor % 2
    middle = (k - 1) / 2  # between two places if k is even
    along = 1 - (torch.arange(k) - middle).abs() / factor  # (k,)
    weight = torch.zeros(num_channels, num_channels, k, k)
    for channel in range(num_channels):
        weight[channel, channel] = torch.outer(along, along)
    return weight
    ### END SOLUTION


# %% [markdown] locked="help_bilinear_kernel"
# **Expected picture.** Three kernels, and what becomes of a map of ones:
#
# ![Tent-shaped kernels of 4 by 4, 5 by 5 and 16 by 16 weights, and a map of ones, enlarged by 2 with a transposed
# convolution: 1 inside, 0.75 at the edges, about 0.56 in the corners](expected_bilinear_kernel.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Where is the middle of 4 places numbered 0, 1, 2, 3? And of 5 places? One formula gives both.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Make the weights of one dimension first: distance from the middle, divided by the factor (an input pixel is `factor`
# output pixels wide), subtracted from one. Compare with ¼ ¾ ¾ ¼. The product of two such lines is the square. Then put
# it on the diagonal of the channels; everything else stays zero.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# The middle is `(k - 1) / 2`. `torch.outer(line, line)` gives the square, or let broadcasting multiply a column by a
# row. For the channels, begin with `torch.zeros` of the full shape and set `weight[c, c]` for each c, or multiply
# `torch.eye(num_channels)`, with two dimensions of size 1 behind, by the square.
#
# </details>
# <details><summary>"Each class shows all classes", "all rows are equal", "too dark", "half a pixel off"</summary>
#
# * *All rows of the kernel are equal*: the line must be multiplied in along both sides.
# * *Only channel 0 comes out*: `weight[0, 0]` is one place of the diagonal; every channel needs its own.
# * *Each class shows the sum of all classes*: you filled the whole weight, not its diagonal.
# * *Too bright or too dark inside*: the shares that meet in one output pixel must add up to one. Divide by the factor,
#   not by its square, and do not normalise the kernel.
# * *Shifted by half a pixel, or lopsided*: the middle of k places is `(k - 1) / 2`, not `k / 2` and not `k // 2`.
# * *Right for even factors only*: for an odd one k is odd, and its middle is a place of its own; and k / 2 is not the
#   factor then.
#
# </details>

# %% check="bilinear_kernel" points=3
check(bilinear_kernel)

# %% picture="bilinear_kernel"
with once_written():
    ones = torch.ones(1, 1, 3, 3)
    enlarged = nn.functional.conv_transpose2d(ones, bilinear_kernel(2, 1), stride=2, padding=1)  # (1, 1, 6, 6)
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
    for axis, factor in zip(axes, (2, 3, 8), strict=False):
        axis.imshow(bilinear_kernel(factor, 1)[0, 0], cmap="cividis", vmin=0, vmax=1)
        axis.set(title=f"kernel, factor {factor}", xlabel="pixel", xticks=[], yticks=[])
    drawn = axes[3].imshow(enlarged[0, 0], cmap="cividis", vmin=0, vmax=1)
    for row in range(6):
        for col in range(6):
            value = enlarged[0, 0, row, col].item()
            axes[3].text(col, row, f"{value:.2f}", ha="center", va="center", fontsize=7)
    axes[3].set(title="ones, enlarged by 2", xlabel="pixel", xticks=[], yticks=[])
    figure.colorbar(drawn, ax=axes, label="weight, value")
    show(figure, alt="Tent-shaped kernels for factors 2, 3, 8, and enlarged ones: 1 inside, 0.75 at the edges")

# %% [markdown] locked="about_crop_offset"
# ## 4 · `crop_offset`
#
# *About 40 minutes · difficulty 3 of 3 · 2 points · slide "FCN"; the numbers stand in the authors' code*
#
# The original FCN pads the picture by 100 pixels in its first convolution, so that its 7 × 7 layer fits small pictures
# too. What comes out in the end is larger than the picture, and must be *cropped*. The authors' code crops at 19
# (FCN-32s), at 5 and 27 (16s), at 5, 9 and 31 (8s). Where do these numbers come from? From centres. Follow the centre
# of row 0 through the layers, in pixels of the picture; two numbers are enough:
#
# * **jump**: pixels of the picture between neighbouring rows of the map. 1 for the picture.
# * **middle**: where the centre of row 0 lies. 0 for the picture. (Lesson 04's *start* is another place: the first row
#   that row 0 looks at.)
#
# A **convolution or pooling** with kernel k, stride s, padding p: row i looks at the rows from i · s − p to
# i · s − p + k − 1 of the map before, so its centre lies at row i · s + c of that map, with
#
# $$c = \frac{k - 1}{2} - p$$
#
# A **transposed convolution** (`"deconv"`) spreads row i over rows i · s − p … of the *finer* map. It is the same
# sentence read backwards: row i of the coarse map before lies at row i · s + c of the map after.
#
# Two maps that have the same jump can be laid on each other. Row 0 of the second one lies on some row of the first:
# that row is the offset.
#
# ```python
# crop_offset(layers: list[dict], onto: list[dict] = ()) -> int
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `layers` | list of dict | the layers from the picture to the map that is cropped |
# | `onto` | list of dict | the layers from the picture to the map on which it must lie; none: the picture itself |
# | **returns** | int, rows | the row of the first map whose centre is the centre of row 0 of the second |
#
# Descriptions are those of `seglab.layers`, and a new kind. A layer that does not say its padding has none:
#
# ```python
# {"kind": "conv", "in_channels": 3, "out_channels": 64, "kernel_size": 3, "stride": 1, "padding": 100}
# {"kind": "pool", "kernel_size": 2, "stride": 2}
# {"kind": "deconv", "kernel_size": 64, "stride": 32, "padding": 0}
# ```
#
# For FCN-32s the one offset is `crop_offset(all_layers)`. For 16s, pool4 is cropped onto the scores enlarged by 2:
# `crop_offset(until_pool4, until_first_deconv)` is 5; the fused map then has the rows of the latter, and goes on with
# the second deconv to 27.
#
# * Channels do not matter, and sizes are not asked for: rows are rows wherever the picture ends.
# * All strides are powers of 2, so that floats are exact: you may compare them with `==`.
# * `ValueError` with a message where no row of the first map lies on row 0 of the second: if the jumps differ, if the
#   offset is no whole number, or if it is negative.
# * A kind that is none of the three is refused by the given lines.


# %% solution="crop_offset"
def crop_offset(layers: list[dict], onto: list[dict] = ()) -> int:
    """The row of the map after `layers` that lies on row 0 of the map after `onto` (or on that of the picture).

    >>> padded = {"kind": "conv", "kernel_size": 3, "stride": 1, "padding": 5}
    >>> crop_offset([padded])
    4
    """
    for layer in [*layers, *onto]:
        if layer["kind"] not in ("conv", "pool", "deconv"):
            raise ValueError(f"unknown kind of layer: {layer}")
    ### BEGIN SOLUTION

    def grid(chain):
        jump, middle = 1, 0
        for layer in chain:
            c = (layer["kernel_size"] - 1) / 2 - layer.get("padding", 0)
            if layer["kind"] == "deconv":
                jump = jump / layer["stride"]  # the finer map's jump, in which c is counted
                middle = middle - c * jump
            else:
                middle = middle + c * jump
                jump = jump * layer["stride"]
        return jump, middle

    (jump, middle), (jump_onto, middle_onto) = grid(layers), grid(onto)
    if jump != jump_onto:
        raise ValueError(f"rows that are {jump} pixels apart cannot lie on rows that are {jump_onto} pixels apart")
    offset = (middle_onto - middle) / jump
    if offset < 0 or offset != int(offset):
        raise ValueError(f"the first map would have to be cropped at row {offset}")
    return int(offset)
    ### END SOLUTION


# %% [markdown] locked="help_crop_offset"
# **Expected output** of the cell under the check:
#
# ```
# FCN-32s   19
# FCN-16s   5 27
# FCN-8s    5 9 31
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# Take FCN's first convolution by hand, 3 × 3 with padding 100, and its first pooling, 2 × 2. (conv1_2 between them
# moves nothing.) Where does the centre of row 0 lie after each? (−99, then −98.5.) How far apart are the rows?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Write a helper that walks through one chain and returns jump and middle. Call it for both chains. Row r of the first
# map lies at middle + r · jump; solve for the r at which that equals the middle of the second. Mind the order inside a
# layer: c is counted in rows of the finer of the two maps. That is the map *before* a convolution, and the map *after*
# a deconv.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Convolution and pooling: add c times the old jump to the middle, then multiply the jump by the stride. Deconv: first
# divide the jump by the stride, then subtract c times the new jump. An offset is a whole number if it equals its own
# `int(...)`.
#
# </details>
# <details><summary>"Off by one half", "near 1000 instead of 19", "34 or 4 instead of 19", "a negative row"</summary>
#
# * *Halves are left over*: the centre of k rows is (k − 1) / 2 behind the first one, not k / 2.
# * *Near 1000 instead of 19, and halves left over*: for a deconv, divide the jump before you use it.
# * *34 or 4 instead of 19*: a window of two rows has its centre between them. Do not round it to a row.
# * *The sign is wrong, or an error says that the row is negative*: the offset leads from the first map's row 0 *to* the
#   second map's.
# * *5 comes out as 80*: divide by the jump. The offset is counted in rows of the cropped map, not in pixels.
# * *`KeyError: 'padding'`*: poolings often do not say it. `layer.get("padding", 0)` does.
#
# </details>

# %% check="crop_offset" points=2
check(crop_offset)


# %%
def deconv(kernel_size: int, stride: int) -> dict:
    """The description of a transposed convolution without padding."""
    return {"kind": "deconv", "kernel_size": kernel_size, "stride": stride, "padding": 0}


stages, vgg = [], []  # stages[i]: all layers up to and with pooling i + 1
for number, convolutions in enumerate((2, 2, 3, 3, 3)):
    paddings = [100 if number == 0 and i == 0 else 1 for i in range(convolutions)]
    vgg += [conv(64, 64, 3, padding=padding) for padding in paddings] + [pool()]  # channels do not matter here
    stages.append(list(vgg))
scores = [*vgg, conv(64, 64, 7), conv(64, 64, 1), conv(64, 21, 1)]

with once_written():
    by_2, by_4 = [*scores, deconv(4, 2)], [*scores, deconv(4, 2), deconv(4, 2)]
    pool4, pool3 = crop_offset(stages[3], by_2), crop_offset(stages[2], by_4)
    print("FCN-32s  ", crop_offset([*scores, deconv(64, 32)]))
    print("FCN-16s  ", pool4, crop_offset([*by_2, deconv(32, 16)]))
    print("FCN-8s   ", pool4, pool3, crop_offset([*by_4, deconv(16, 8)]))

# %% [markdown] locked="about_FCN"
# ## 5 · `FCN`
#
# *About 40 minutes · difficulty 3 of 3 · 6 points · slide "FCN (Shelhamer et al.)"; the paper's figure 3*
#
# Now the network. An **encoder** of five stages halves height and width five times. FCN-32s puts scores on the last
# map and enlarges them by a factor of 32. FCN-16s and 8s also ask the earlier, finer maps for their opinion:
#
# ```
# picture ─ stage 0 ─ stage 1 ─ stage 2 ─ stage 3 ─ stage 4
#              /2        /4        /8       /16       /32
#                                  │         │         │
#                               score_8   score_16  score_32
#                                  │         │         │
# logits ◁── enlarge ◁──────────── + ◁────── + ◁───────┘        each ◁ enlarges
# ```
#
# * Each score layer is a 1 × 1 convolution with bias, from the stage's channels to `num_classes`. No two stages share
#   one, even where their widths agree.
# * From deep to shallow: enlarge the scores so far to the *size of the next stage's map* and add that stage's scores.
#   In the end, enlarge the sum to the size of the picture. FCN-32s enlarges once, 16s in two steps, 8s in three.
# * **Enlarge** means bilinear with half-pixel centres, to a given size:
#   `nn.functional.interpolate(scores, size=..., mode="bilinear", align_corners=False)`. You know now what that does.
#   Give a size, not a factor: stages round odd sizes down, and 2 · 3 is not 7.
# * **Skips start at zero**: all weights and biases of `score_16` and `score_8` are 0 in a new network, those of
#   `score_32` as torch makes them. So FCN-16s begins as an FCN-32s that enlarges in two steps, and training goes on
#   from there, as in the paper.
#
# ```python
# class FCN(nn.Module):
#     def __init__(self, encoder: nn.Sequential, widths: Sequence[int], num_classes: int, stride: int)
#     def forward(self, x: Tensor) -> Tensor
# ```
#
# | argument | shape or type | meaning |
# |---|---|---|
# | `encoder` | `nn.Sequential` of five stages | each halves height and width, rounded down |
# | `widths` | five ints | channels after each stage |
# | `num_classes` | int, ≥ 1 | |
# | `stride` | 32, 16 or 8 | pixels between the finest scores |
# | `x` | (N, C, H, W), float | pictures; any H and W from 32 up |
# | **returns** | (N, num_classes, H, W) | logits: no softmax, no other activation |
#
# * Names: the network holds the encoder as `encoder`, and its score layers as `score_32`, `score_16`, `score_8`. Only
#   those that `stride` needs have weights; there are no others.
# * The encoder is the object that you are given, not a copy: training the network trains it, and gradients reach it.
# * Each stage runs exactly once per call.


# %% solution="FCN"
class FCN(nn.Module):
    """FCN-32s, 16s or 8s on an encoder of five halving stages.

    >>> stages = nn.Sequential(*(nn.AvgPool2d(2) for _ in range(5)))
    >>> FCN(stages, (3, 3, 3, 3, 3), num_classes=5, stride=8)(torch.zeros(1, 3, 33, 70)).shape
    torch.Size([1, 5, 33, 70])
    """

    def __init__(self, encoder: nn.Sequential, widths, num_classes: int, stride: int):
        super().__init__()
        if stride not in (8, 16, 32) or not len(encoder) == len(widths) == 5:
            raise ValueError(f"no FCN-{stride}s of {len(encoder)} stages and {len(widths)} widths")
        ### BEGIN SOLUTION
        self.encoder, self.stride = encoder, stride
        self.score_32 = nn.Conv2d(widths[-1], num_classes, 1)
        if stride < 32:
            self.score_16 = nn.Conv2d(widths[-2], num_classes, 1)
        if stride < 16:
            self.score_8 = nn.Conv2d(widths[-3], num_classes, 1)
        for name, weights in self.named_parameters():
            if name.startswith(("score_16", "score_8")):
                nn.init.zeros_(weights)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        def enlarge(scores, size):
            return nn.functional.interpolate(scores, size=size, mode="bilinear", align_corners=False)

        before_8 = self.encoder[:3](x)  # (N, widths[2], H / 8, W / 8)
        before_16 = self.encoder[3](before_8)  # (N, widths[3], H / 16, W / 16)
        scores = self.score_32(self.encoder[4](before_16))  # (N, num_classes, H / 32, W / 32)
        if self.stride < 32:
            scores = enlarge(scores, before_16.shape[-2:]) + self.score_16(before_16)  # (N, ..., H / 16, W / 16)
        if self.stride < 16:
            scores = enlarge(scores, before_8.shape[-2:]) + self.score_8(before_8)  # (N, ..., H / 8, W / 8)
        return enlarge(scores, x.shape[-2:])  # (N, num_classes, H, W)
        ### END SOLUTION


# %% [markdown] locked="help_FCN"
# **Expected output** of the cell under the check:
#
# ```
# FCN-32s     190,677 weights
# FCN-16s     191,162 weights
# FCN-8s      191,487 weights
# ```
#
# The skips are nearly free: 485 and 325 weights more.
#
# <details><summary>Hint 1: a nudge</summary>
#
# Write FCN-32s first: encoder, one score layer, one enlargement. Only then ask which maps you have to keep on the way.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Loop over the stages and collect every output in a list. The score layers read from the last, the last but one and the
# last but two. Between them repeat one line: enlarge to the next map's size, add its scores. In the constructor, create
# `score_16` and `score_8` only where the stride asks for them, and fill their weights and biases with zeros.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# The last two numbers of a map's `shape` are the size to enlarge to. Stage 4 gives 1/32, stage 3 gives 1/16, stage 2
# gives 1/8, so `score_16` takes `widths[3]` channels. `nn.init.zeros_` fills a weight in place. Three short `if`s on
# the stride are quite enough; no loop is needed.
#
# </details>
# <details><summary>"size of tensor a must match", "right for 32, wrong for 16", "[5, 4, 3, 2, 1]", "all zero"</summary>
#
# * *`The size of tensor a (6) must match the size of tensor b (7)`*: enlarge to the skip's size, not by a factor of 2.
# * *`Given groups=1, weight of size …, expected input to have … channels`*: a score layer reads from another stage.
# * *Right for 32, wrong for 16*: you enlarge to the picture first and add there (add at the skip's size), or `score_16`
#   reads from another stage.
# * *`[5, 4, 3, 2, 1]` or `[3, 3, 3, 2, 1]` batches instead of one*: `encoder[:3]`, then `encoder[:4]` from the picture
#   again runs stages several times. Go on from what you have.
# * *Names of weights are missing*: is each score layer an attribute of its own? In a list, or created in `forward`,
#   torch does not see it.
# * *The logits are square, the picture is not*: `size=x.shape[2]` is one number for both sides. Give two.
# * *Right for multiples of 32 only*: the last step needs a size, too.
# * *There are more names than expected*: a score layer that the stride does not need is still there.
# * *score_32 is "all zero"*: only the skips start at zero.
# * *A gradient is wrong or missing*: something is copied, detached, or computed under `no_grad`, on the way.
#
# </details>

# %% check="FCN" points=6
check(FCN)

# %%
with once_written():
    for stride in (32, 16, 8):
        network = FCN(halving_encoder(WIDTHS), WIDTHS, len(CLASSES), stride)
        weights = sum(weight.numel() for weight in network.parameters())
        print(f"FCN-{stride}s".ljust(8), f"{weights:>10,} weights")

# %% [markdown] locked="about_train_epoch"
# ## 6 · `train_epoch`
#
# *About 25 minutes · difficulty 2 of 3 · 3 points · no slide; every network of the course is trained like this*
#
# So far the course's `fit` has trained for you. Now you write the loop yourself: once through all batches, one step of
# gradient descent for each. It is ten lines, and most of the classical mistakes raise no error. The network just
# learns badly, or the number that you watch is not what you think.
#
# For each batch: forget the old gradients, compute the logits, compute the loss, go backward, let the optimizer take
# its step. And remember the loss. At the end of the epoch you want **its mean over pixels**: batches have different
# numbers of pictures, and pictures different numbers of ignored pixels, so a mean over batches is something else.
#
# ```python
# train_epoch(network, optimizer, batches, ignore_index=255) -> float
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `network` | `nn.Module` | pictures (N, C, H, W) → logits (N, num_classes, H, W), in whatever mode it is |
# | `optimizer` | as in `torch.optim` | it holds the network's weights; you need `zero_grad()` and `step()` |
# | `batches` | any iterable of pairs | pictures (N, C, H, W), float32, and masks (N, H, W), int64 |
# | `ignore_index` | int | the label that does not count |
# | **returns** | float | the mean of the loss over all valid pixels of the epoch |
#
# * The loss of a batch is the mean of the cross entropy over its **valid** pixels, those whose label is not
#   `ignore_index`. You may use `nn.functional.cross_entropy`; you have written it in lesson 01.
# * The network comes in either mode. Put it into training mode, and leave it there.
# * What the weights hold as gradients when you are called is old: it must not count.
# * Each batch goes through the network once, before its step. `batches` may be a generator: go through it once, and do
#   not ask for its length.
# * **A batch without a valid pixel is passed over**: no step, nothing for the mean. Whether the network sees it is up
#   to you. At least one batch of the epoch has valid pixels.
# * The mean counts every valid pixel of the epoch once. It is an ordinary float: a tensor would keep the graphs of all
#   batches in memory.


# %% solution="train_epoch"
def train_epoch(network: nn.Module, optimizer, batches, ignore_index: int = 255) -> float:
    """Train on each batch (pictures, masks) once; returns the mean loss of all valid pixels.

    >>> network = nn.Conv2d(3, 5, 1)
    >>> batches = [(torch.rand(2, 3, 8, 8), torch.randint(5, (2, 8, 8))) for _ in range(3)]
    >>> type(train_epoch(network, torch.optim.SGD(network.parameters(), lr=0.1), batches))
    <class 'float'>
    """
    ### BEGIN SOLUTION
    network.train()
    sum_of_losses, number_of_pixels = 0.0, 0
    for images, target in batches:
        count = (target != ignore_index).sum().item()
        if count == 0:
            continue
        optimizer.zero_grad()
        logits = network(images)  # (N, num_classes, H, W)
        loss = nn.functional.cross_entropy(logits, target, ignore_index=ignore_index)  # the mean of `count` pixels
        loss.backward()
        optimizer.step()
        sum_of_losses += loss.item() * count
        number_of_pixels += count
    return sum_of_losses / number_of_pixels
    ### END SOLUTION


# %% [markdown] locked="help_train_epoch"
# **Expected output** of the cell under the check. Before it has learned anything, a network that guesses among five
# classes has a loss near log 5 = 1.61. One batch of two pictures, over and over, must be learned by heart: if it is
# not, look for the mistake in the loop before you look for it in the network.
#
# ```
# epoch 1: 1.59
# epoch 40: 0.23
# ```
#
# (The last digit may differ on your computer.)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Write the loop for one batch first, and say of each line what goes wrong without it. What does `backward` do with a
# gradient that is there already?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Training mode once, before the loop. Inside, in this order: clear gradients, forward, loss, backward, step. Keep two
# numbers on the way, the sum of all losses and the number of valid pixels. A batch's loss is already a mean: how many
# pixels does it stand for?
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `(target != ignore_index).sum().item()` counts the valid pixels; `continue` if there are none. `cross_entropy` takes
# logits and `ignore_index=...`, and gives the mean over the valid pixels. Add `loss.item()` times their number to the
# sum, and divide once, at the end.
#
# </details>
# <details><summary>"The weights never change", "it learns, then explodes", "NaN", "the mean is slightly off"</summary>
#
# * *The weights never change*: is there a `step()`, and does it come after `backward()`, with no `zero_grad()` between?
# * *The second batch goes wrong, the first is right*: gradients add up until they are cleared.
# * *`IndexError: Target 255 is out of bounds`*: `cross_entropy` ignores −100 unless you say otherwise.
# * *NaN*: the mean over no pixels is 0 / 0. Such a batch has to be passed over.
# * *The mean is slightly off*: a batch with few valid pixels must count less.
# * *Batch normalization has not moved*: the network is in evaluation mode.
# * *The loss falls slowly and never below 0.9 or so*: `cross_entropy` has its softmax inside. Give it logits.
#
# </details>

# %% check="train_epoch" points=3
check(train_epoch)

# %%
with once_written():
    two = load_scenes("train", size=64, count=2, seed=0)
    torch.manual_seed(0)
    pixel_classifier = nn.Sequential(nn.Conv2d(3, 32, 7, padding=3), nn.ReLU(), nn.Conv2d(32, len(CLASSES), 1))
    optimizer = torch.optim.Adam(pixel_classifier.parameters(), lr=0.02)
    for number in range(1, 41):
        loss = train_epoch(pixel_classifier, optimizer, [(two.images, two.masks)])
        if number in (1, 40):
            print(f"epoch {number}: {loss:.2f}")

# %% [markdown] locked="about_recall_by_size"
# ## 7 · `recall_by_size`
#
# *About 25 minutes · difficulty 2 of 3 · 2 points · slides "inconsistent labels due to large object size", "missing
# labels due to small object size"*
#
# The slides name two problems of FCN: large objects get several labels, small ones get none. The mean IoU sees neither,
# because it counts pixels: one large bag weighs as much as fifty small ones. So count *objects*, apart by size.
#
# An object is **found** if for **more than half** of its pixels `pred == target`. What is painted outside the object
# does not matter. The **recall** of a range of sizes is the share of its objects that were found.
#
# ```python
# recall_by_size(pred: Tensor, target: Tensor, instances: Tensor, edges: Sequence[float]) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `pred` | (N, H, W) | int64 | predicted class of each pixel; N may be 0 |
# | `target` | (N, H, W) | int64 | the true class; 255 is "ignore" |
# | `instances` | (N, H, W) | int64 | which object a pixel belongs to; 0 is none |
# | `edges` | B + 1 rising numbers | px² | limits of the B ranges of areas; the last may be `math.inf` |
# | **returns** | (B,) | float64 | recall of each range; NaN where there are no objects |
#
# * Objects are numbered **per picture**: object 1 of one picture and object 1 of the next are two objects. Numbers may
#   be missing.
# * **Ignored pixels are dropped first.** They count neither for the area nor for the half. An object of which nothing
#   is left is no object, just as a number that does not occur.
# * The **area** of an object is the number of its (remaining) pixels. It belongs to range i if `edges[i]` ≤ area <
#   `edges[i + 1]`. Objects outside all ranges are left out.
# * Exactly half is not more than half.


# %% solution="recall_by_size"
def recall_by_size(pred: Tensor, target: Tensor, instances: Tensor, edges) -> Tensor:
    """The share of objects found in each range of areas: (len(edges) - 1,), float64.

    >>> target = torch.tensor([[[1, 1, 1, 0, 2]]])
    >>> instances = torch.tensor([[[1, 1, 1, 0, 2]]])
    >>> recall_by_size(torch.tensor([[[1, 1, 0, 0, 0]]]), target, instances, [1, 2, 4, 8])
    tensor([0., 1., nan], dtype=torch.float64)
    """
    if not pred.shape == target.shape == instances.shape:
        raise ValueError(f"three shapes: {tuple(pred.shape)}, {tuple(target.shape)}, {tuple(instances.shape)}")
    ### BEGIN SOLUTION
    counts = [[0, 0] for _ in edges[1:]]  # found, and all, for each range
    for one_pred, one_target, numbers in zip(pred, target, instances, strict=True):
        valid = one_target != 255
        for number in numbers[valid].unique():
            if number > 0:
                inside = (numbers == number) & valid  # (H, W)
                area = inside.sum().item()
                right = (one_pred == one_target)[inside].sum().item()
                for i, count in enumerate(counts):
                    if edges[i] <= area < edges[i + 1]:
                        count[0] += right > area / 2
                        count[1] += 1
    return torch.tensor([found / n if n else float("nan") for found, n in counts], dtype=torch.float64)
    ### END SOLUTION


# %% [markdown] locked="help_recall_by_size"
# **Expected picture.** How much could a coarse map find *at best*? Here it knows the truth, but may give only one
# answer for each square of 32, 16 or 8 pixels: the class that is most frequent there.
#
# ![Bars of recall for four ranges of area and for squares of 32, 16 and 8 pixels: with squares of 32 hardly a small
# object is found, and with each finer grid more of every size](expected_recall_by_size.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Do it for one object first: given its number and its picture, which pixels are its own, and how many of them are
# right? Everything else is bookkeeping.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Two loops: over the pictures, and over the numbers that occur in a picture (without 0). For each object a boolean mask
# of its pixels that are not ignored gives the area and, together with `pred == target`, the pixels that are right. Keep
# two counts for each range: all objects, and those found. Divide in the end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `torch.unique` gives the numbers. A boolean mask as an index picks the pixels, `.sum()` counts them. Compare
# `right > area / 2`: strictly. For the ranges, `edges[i] <= area < edges[i + 1]`. Make the result with
# `torch.tensor([...], dtype=torch.float64)` and write NaN as `float("nan")` where a count of objects is 0.
#
# </details>
# <details><summary>"Too few objects", "half is found", "an area too large", "0 instead of nan"</summary>
#
# * *Too few objects*: object 1 is another one in each picture. Count them picture by picture.
# * *An object that nobody drew*: number 0 is no object. Leave it out.
# * *Half of an object passes*: more than half, not half or more.
# * *An object is in the wrong range*: ignored pixels are still in its area. Or the upper limit is included: an area of
#   exactly `edges[1]` belongs to the second range.
# * *Anything that is not background counts as found*: the class must be the right one.
# * *0 instead of NaN*: of no objects, neither all nor none were found.
#
# </details>

# %% check="recall_by_size" points=2
check(recall_by_size)

# %% picture="recall_by_size"
EDGES = [*SIZE_EDGES, torch.inf]  # px²: tiny, small, medium and large objects of the scenes
scenes = load_scenes("val", size=128, count=50, seed=0)

with once_written():
    shares = nn.functional.one_hot(scenes.masks, len(CLASSES)).permute(0, 3, 1, 2).float()  # (50, 5, 128, 128)
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for place, (side, colour, hatch) in enumerate(((32, "#0072b2", ""), (16, "#e69f00", "//"), (8, "#009e73", ".."))):
        best = nn.functional.avg_pool2d(shares, side).argmax(1)  # (50, 128 / side, 128 / side)
        coarse = best.repeat_interleave(side, 1).repeat_interleave(side, 2)  # (50, 128, 128)
        recall = recall_by_size(coarse, scenes.masks, scenes.instances, EDGES)  # (4,)
        left = torch.arange(4) + 0.27 * (place - 1)
        axis.bar(left, recall, width=0.25, color=colour, hatch=hatch, edgecolor="white", label=f"{side} × {side} px")
    axis.set(xticks=range(4), xticklabels=["20 to 79", "80 to 319", "320 to 1,279", "1,280 and more"], ylim=(0, 1.05))
    axis.set(xlabel="area of the object in px²", ylabel="share of objects found")
    axis.set_title("The truth, rounded to squares")
    axis.legend(frameon=False, loc="upper left")
    show(figure, alt="Recall by area for squares of 32, 16 and 8 pixels: small objects are lost first")

# %% [markdown]
# ## Your functions at work
#
# Now train your networks with masks, as the paper did: first FCN-32s, then each finer one from its weights, with a new
# skip that starts at zero. To see what the skips do, all three go on from **the same** FCN-32s for the same number of
# steps on the same batches. If 8s simply came after 16s, it would have been trained longest, and we could not tell
# whether the skip or the training made the difference. (The encoder is not pretrained here, so all of it learns.)
# About half a minute.

# %%
train = load_scenes("train", size=128, count=200, seed=0)
train_images = (4 * train.images - 2).contiguous(memory_format=torch.channels_last)  # faster on a CPU, same numbers
val_images = (4 * scenes.images - 2).contiguous(memory_format=torch.channels_last)


def shuffled(generator):
    """The training scenes in a new order, 20 at a time, mirrored and recoloured: ten batches."""
    for chosen in torch.randperm(len(train_images), generator=generator).split(20):
        yield mirror_and_recolour(train_images[chosen], train.masks[chosen], generator)


def trained(network, epochs, lr):
    """Some epochs of yours on the same batches every time; prints their losses."""
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(0)
    losses = [train_epoch(network, optimizer, shuffled(generator)) for _ in range(epochs)]
    print("  loss", *(f"{loss:.2f}" for loss in losses))
    return network


# %%
masks = {}  # stride -> (50, 128, 128)

with once_written():
    torch.manual_seed(0)
    print("FCN-32s, from scratch")
    start = trained(FCN(halving_encoder(WIDTHS), WIDTHS, len(CLASSES), 32), epochs=6, lr=3e-3)
    for stride in (32, 16, 8):
        print(f"from there, as FCN-{stride}s")
        network = FCN(halving_encoder(WIDTHS), WIDTHS, len(CLASSES), stride)
        network.load_state_dict(start.state_dict(), strict=False)  # it has no skips: those of the new network stay
        logits = predict_logits(trained(network, epochs=4, lr=1e-3), val_images)  # (50, 5, 128, 128)
        masks[stride] = logits.argmax(1)
        painted = masks[stride] > 0
        right = (masks[stride] == scenes.masks)[painted].double().mean()
        found = recall_by_size(masks[stride], scenes.masks, scenes.instances, EDGES)
        print(f"  validation mIoU {miou(logits, scenes.masks):.2f}; of the painted pixels {right:.0%} are right;")
        print("  found of tiny, small, medium, large objects:", *(f"{share:.0%}" for share in found))

# %%
with once_written():
    if len(masks) < 3:
        raise NotImplementedError("the cell above has not trained its networks yet")
    rows, titles = [], []
    for number in (3, 8):
        rows += [scenes.images[number], scenes.masks[number], *(masks[stride][number] for stride in (32, 16, 8))]
        titles += ["the picture", "the truth", "FCN-32s", "FCN-16s", "FCN-8s"]
    figure = show_images(rows, titles, columns=5, class_names=CLASSES)
    show(figure, alt="Two scenes, their true masks and those of FCN-32s, 16s and 8s, finer from one to the next")

# %% [markdown]
# Compare the three columns with the truth. The finer the skips, the closer the outlines come. Then look for the slides'
# two problems: a large object in several colours, and a small one that is simply not there. Is your recall of small
# objects far below that of large ones?
#
# And compare with the picture of exercise 7, which says what a grid of 32, 16 or 8 pixels allows at best. Your network
# is far below it: half a minute of training without a pretrained encoder explains most of that, and the losses were
# still falling. This is one seed and a short budget, so read the order of the three, not the numbers. What remains in
# the end is that even FCN-8s enlarges by 8 in one fixed step. Lesson 06 lets the network *learn* how to decompress.
