# %% [markdown]
# # 06 · DeconvNet: exercises
#
# FCN brings its scores back to the pixels in a few fixed steps. DeconvNet learns the way back. In eight exercises you
# build its two tools, transposed convolution and unpooling, find out what each of them does to a map, and put the
# network together:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `transposed_conv_size` | how large a map comes out | 10 | ● | 1 |
# | 2 `colliding_sizes` | what `output_padding` is for | 15 | ●● | 1 |
# | 3 `conv_matrix` | why it is called transposed | 30 | ●● | 3 |
# | 4 `transposed_conv2d` | a larger map, with weights that can learn | 35 | ●●● | 4 |
# | 5 `overlap_count` | the checkerboard, predicted | 15 | ● | 2 |
# | 6 `max_pool_with_switches` | pooling that remembers where | 25 | ●● | 3 |
# | 7 `max_unpool` | values back in their places | 15 | ● | 2 |
# | 8 `DeconvNet` | a network and its mirror image | 45 | ●●● | 4 |
#
# **Red is where you start.** Every cell below that you fill in raises `NotImplementedError`, so no check can pass yet.
# At first a check only says that the function is not written; later it shows a table, red where something is wrong.
# Nothing is broken: write the function, run its cell, run the check under it, and repeat.
#
# **What is given.** Lines above `raise NotImplementedError` are ours: they refuse arguments that would only lead to a
# puzzling error later. Leave them, and write below them.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: odd sizes, maps that are not square, kernels larger and smaller
# than the stride. So write what the statement says, not what the visible check happens to ask.
#
# **Hardly any exercise builds on another.** You may call a function of yours in a later one, and a mistake in the first
# then costs nothing in the second. If you are short of time, exercises 4 and 8 are the heart of the lesson.

# %%
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import load_scenes
from seglab.figures import show, show_images
from seglab.networks import conv_bn_relu, deconv_bn_relu
from seglab.training import fit, miou, mirror_and_recolour, predict_logits

# %% [markdown] locked="about_transposed_conv_size"
# ## 1 · `transposed_conv_size`
#
# *About 10 minutes · difficulty 1 of 3 · 1 point · slide "let us decompress"*
#
# The slide names the paper, *Learning Deconvolution Network for Semantic Segmentation*. Its "deconvolution" is a
# *transposed convolution*: every value of the map is multiplied by the whole kernel, and the product is stamped onto a
# larger map, `stride` rows further for each next value. Where stamps overlap, they are added. The same happens along
# the columns, so one direction is enough here. Three values, a kernel of 3 and a stride of 2:
#
# ```
# stamp 0        a b c
# stamp 1            a b c
# stamp 2                a b c
# row            0 1 2 3 4 5 6        7 rows
# padding 1        0 1 2 3 4          5 rows
# ```
#
# Four more words change the number of rows, with the meaning that they have in torch:
#
# * **padding** cuts: so many rows are taken away at *each* end. It undoes the padding of a convolution.
# * **output_padding** adds so many rows, at the *end* only. What it is for you will see in exercise 2.
# * **dilation** spreads the kernel: from one of its values to the next it is `dilation` rows. With dilation 3 the stamp
#   `a b c` covers 7 rows, `a . . b . . c`.
#
# ```python
# transposed_conv_size(size: int, kernel_size: int, stride: int = 1, padding: int = 0,
#                      output_padding: int = 0, dilation: int = 1) -> int
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `size` | int, ≥ 1 | rows of the map that comes in |
# | `kernel_size` | int, ≥ 1 | values of the kernel, in one direction |
# | `stride` | int, ≥ 1 | rows from one stamp to the next |
# | `padding` | int, ≥ 0 | rows cut off at each end; at least one row is left |
# | `output_padding` | int, 0 to `stride` − 1 | rows added at the end |
# | `dilation` | int, ≥ 1 | rows from one value of the kernel to the next |
# | **returns** | int | rows of the map that comes out |
#
# * The stride may be larger than the kernel. Rows between two stamps are there, and empty.
# * Nothing is forbidden. `nn.ConvTranspose2d` on a small tensor is a good way to test your formula.


# %% solution="transposed_conv_size"
def transposed_conv_size(
    size: int, kernel_size: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Rows (or columns) that a transposed convolution makes of `size` of them.

    >>> transposed_conv_size(3, 3, stride=2)
    7
    >>> transposed_conv_size(3, 3, stride=2, padding=1)
    5
    """
    if not 0 <= output_padding < stride:
        raise ValueError(f"output_padding goes from 0 to stride - 1 = {stride - 1}, got {output_padding}")
    ### BEGIN SOLUTION
    last = (size - 1) * stride + (kernel_size - 1) * dilation  # the last row that a stamp writes on, from row 0
    return last + 1 - 2 * padding + output_padding
    ### END SOLUTION


# %% [markdown] locked="help_transposed_conv_size"
# **Expected output** of the cell under the check: from the 7 rows at the bottom of DeconvNet, five times by "a factor
# of 2". Only two of the three ways end at the picture's 224 rows.
#
# ```
# kernel 3, padding 1                    7 → 13 → 25 → 49 → 97 → 193
# kernel 3, padding 1, output_padding 1  7 → 14 → 28 → 56 → 112 → 224
# kernel 4, padding 1                    7 → 14 → 28 → 56 → 112 → 224
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# In the drawing, in which row does the last stamp begin? In which does it end? Now draw it for five values and a
# stride of 3.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Find the last row that a stamp writes on, counted from 0. It is the row in which the last stamp begins, plus the way
# from the first to the last value of the kernel. There is one row more than its number says. Then cut, and add.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Between `size` stamps there are `size - 1` steps, each `stride` long. Between the kernel's values there are
# `kernel_size - 1` steps, each `dilation` long. Add the two, plus one for row 0. Padding counts at both ends.
#
# </details>
# <details><summary>"16 instead of 15", "one row too few", "smaller than before"</summary>
#
# * *16 instead of 15 for 8 rows, kernel 3, stride 2, padding 1*: you took the map to be `stride` times as large, or you
#   counted as many steps as stamps. 8 fence posts have 7 gaps.
# * *One row too few everywhere*: rows are counted from 0. If the last one is row 6, there are 7.
# * *The map gets smaller*: that is the size that a convolution makes.
# * *Right without padding only*: it cuts, and at both ends.
# * *A little too large with dilation*: a kernel of 3 with dilation 3 covers 7 rows, not 9. Nothing follows its last
#   value.
#
# </details>

# %% check="transposed_conv_size" points=1
check(transposed_conv_size)

# %%
with once_written():
    for title, kernel_size, output_padding in (
        ("kernel 3, padding 1", 3, 0),
        ("kernel 3, padding 1, output_padding 1", 3, 1),
        ("kernel 4, padding 1", 4, 0),
    ):
        sizes = [7]
        for _ in range(5):
            sizes.append(transposed_conv_size(sizes[-1], kernel_size, 2, 1, output_padding))
        print(f"{title:38}", " → ".join(str(size) for size in sizes))

# %% [markdown] locked="about_colliding_sizes"
# ## 2 · `colliding_sizes`
#
# *About 15 minutes · difficulty 2 of 3 · 1 point · slide "let us decompress"*
#
# A decoder wants to come back to the size that its encoder started from. But a convolution with a stride does not tell
# which one that was: with kernel 3, stride 2 and padding 1 pictures of 15 rows and of 16 rows both become 8 rows.
# Their sizes *collide*. `output_padding` says which of them the transposed convolution makes: it counts along the list
# that you write here. `output_padding=0` makes the first entry, 15, and `output_padding=1` the second, 16.
#
# A convolution makes one row for each whole window that fits into the padded picture: the first window begins with the
# first row of the padding, each next one `stride` rows later. Rows left over at the end are dropped.
#
# ```python
# colliding_sizes(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> list[int]
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `size` | int, ≥ 1 | rows that the convolution makes |
# | `kernel_size`, `stride`, `padding`, `dilation` | int | those of the convolution, with their usual meaning |
# | **returns** | list of int | all numbers of rows that become `size` rows, the smallest first |
#
# * A picture has at least one row. With much padding a size below 1 could come out of a formula: leave it out. Then the
#   list may be shorter, or empty.
# * A window must fit: 4 rows and a kernel of 5 without padding give nothing at all.
# * Nothing is forbidden, and a right search is as good as a formula.


# %% solution="colliding_sizes"
def colliding_sizes(size: int, kernel_size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> list[int]:
    """All numbers of rows of which a convolution makes `size`, the smallest first.

    >>> colliding_sizes(8, 3, stride=2, padding=1)
    [15, 16]
    """
    ### BEGIN SOLUTION
    window = (kernel_size - 1) * dilation + 1  # rows from the first value of the kernel to the last
    fewest = (size - 1) * stride + window - 2 * padding  # the last window ends with the last row: nothing is dropped
    return list(range(max(fewest, 1), fewest + stride))
    ### END SOLUTION


# %% [markdown] locked="help_colliding_sizes"
# **Expected output** of the cell under the check, which calls your first function too: a convolution with kernel 5,
# stride 4 and padding 2 makes 8 rows of four different pictures, and `output_padding` finds each of them again.
#
# ```
# 29 rows → 8 → 29 rows with output_padding 0
# 30 rows → 8 → 30 rows with output_padding 1
# 31 rows → 8 → 31 rows with output_padding 2
# 32 rows → 8 → 32 rows with output_padding 3
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# Begin with a picture into which the last window fits exactly, so that no row is dropped. How many rows can you add
# before one more window fits?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# By formula: the smallest picture is the one from exercise 1, and how many follow it depends on one argument only. By
# search: write the number of windows for a given number of rows, and try all numbers of rows up to one that is surely
# too large.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Formula: `range(fewest, fewest + stride)`, where `fewest` is the way from the first window to the last, plus a
# window, minus the padding at both ends; then drop what is below 1. Search:
# `(rows + 2 * padding - window) // stride + 1` windows fit, if one fits at all.
#
# </details>
# <details><summary>"Only one size", "the list ends where it should begin", "3 rows for a kernel of 5"</summary>
#
# * *Only one size for every stride*: a convolution with a stride drops rows. One more may change nothing.
# * *One size too many, or too few*: stride 1 has exactly one, stride 2 has two.
# * *The list ends where it should begin*: you rounded up. A convolution rounds down.
# * *Pictures in which no window fits*: `int(...)` cuts off towards zero, so that −0.5 becomes 0; `//` rounds down.
# * *Large sizes are missing*: the search ends too early. How many rows can `size` windows span, with a large kernel?
# * *0 or a negative number of rows*: leave them out.
#
# </details>

# %% check="colliding_sizes" points=1
check(colliding_sizes)

# %%
with once_written():
    for output_padding, rows in enumerate(colliding_sizes(8, 5, stride=4, padding=2)):
        back = transposed_conv_size(8, 5, 4, 2, output_padding)
        print(f"{rows} rows → 8 → {back} rows with output_padding {output_padding}")

# %% [markdown] locked="about_conv_matrix"
# ## 3 · `conv_matrix`
#
# *About 30 minutes · difficulty 2 of 3 · 3 points · slide "let us decompress"*
#
# Why "transposed"? A convolution multiplies and adds, nothing else. So it is the product with a matrix: lay out all
# numbers of the picture in one column x, and there is a matrix M with
#
# $$M \, x = \text{vec}(\text{conv}(X)),$$
#
# where vec lays out the result in one column in the same way. Each row of M makes one output: it holds the kernel's
# weights at those places of x that the output looks at, and zeros elsewhere. One channel, a picture of 2 × 3, a kernel
# of 2 × 2 with the rows a b and c d, no padding:
#
# ```
#                picture 0 1 2          M    0 1 2 3 4 5   ← place in x
#                        3 4 5        ------------------
#  window of output 0:  0 1, 3 4      row 0  a b . c d .
#  window of output 1:  1 2, 4 5      row 1  . a b . c d
# ```
#
# M turns many numbers into few. Its transpose has the shape to go the other way, and that is all a transposed
# convolution is: the product with Mᵀ. It has the size of the picture. It does *not* bring the picture back, since Mᵀ is
# no inverse.
#
# ```python
# conv_matrix(weight: Tensor, height: int, width: int, stride: int = 1, padding: int = 0) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `weight` | (out_channels, in_channels, k, k) | float32 | the kernel, as in `nn.Conv2d` |
# | `height`, `width` | int, ≥ 1 | | rows and columns of the picture; a window fits |
# | `stride`, `padding` | int | | those of the convolution; rows left over at the end are dropped |
# | **returns** | (out_channels · H' · W', in_channels · `height` · `width`) | float32 | the matrix M |
#
# * Places are numbered as `flatten()` numbers them: for a picture (in_channels, height, width) the whole first channel
#   comes first, row by row. For the result (out_channels, H', W') it is the same, so `M @ x.flatten()` is
#   `conv(x).flatten()`.
# * **Padding** adds zeros around the picture. They are no part of x, so they have no column in M: weights that meet a
#   zero of the padding are left out.
# * As in torch, the kernel is not mirrored: its first weight meets the first pixel of the window.
# * **Not allowed**: `conv1d`, `conv2d`, `conv3d`, `convolution` and the modules of these names, their transposed kinds,
#   `unfold` and `fold`. Where the weights stand is what you write here.


# %% solution="conv_matrix"
def conv_matrix(weight: Tensor, height: int, width: int, stride: int = 1, padding: int = 0) -> Tensor:
    """The matrix of a convolution: (out_channels * H' * W', in_channels * height * width).

    >>> conv_matrix(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2, 3)
    tensor([[1., 2., 0., 3., 4., 0.],
            [0., 1., 2., 0., 3., 4.]])
    """
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise ValueError(f"expected weights (out_channels, in_channels, k, k), got the shape {tuple(weight.shape)}")
    ### BEGIN SOLUTION
    out_channels, in_channels, k, _ = weight.shape
    rows, cols = ((size + 2 * padding - k) // stride + 1 for size in (height, width))
    matrix = torch.zeros(out_channels, rows, cols, in_channels, height + 2 * padding, width + 2 * padding)
    for row in range(rows):
        for col in range(cols):
            top, left = row * stride, col * stride  # of the window, on the padded picture
            matrix[:, row, col, :, top : top + k, left : left + k] = weight
    matrix = matrix[..., padding : padding + height, padding : padding + width]  # the padding has no columns
    return matrix.reshape(out_channels * rows * cols, in_channels * height * width)
    ### END SOLUTION


# %% [markdown] locked="help_conv_matrix"
# **Expected picture.** The matrix of a convolution with a tent of 3 × 3 as its kernel, stride 2 and padding 1, for a
# picture of 11 × 15: it makes 6 × 8 numbers of 165. Below it the way back: the redness of a cup of coffee in 6 × 8
# numbers, and the product of Mᵀ with them, 11 × 15 numbers. With this kernel, the transposed convolution interpolates.
#
# ![A matrix of 48 rows and 165 columns, nearly all zero, with short bright dashes in slanted
# bands](expected_conv_matrix.png)
#
# ![A coarse map of 6 × 8 numbers, and a smoother one of 11 × 15](expected_conv_matrix_back.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Write M for the 2 × 3 picture of the statement with padding 1. How many outputs are there now? Which weights of the
# first output's kernel meet a pixel?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Do not compute places in x by hand. Make a tensor with one dimension for each index that plays a part: output channel,
# output row, output column, input channel, picture row, picture column. For each output position write the whole
# kernel into a slice of it, and flatten in the end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Make the last two dimensions as large as the *padded* picture. Then for output (row, col) the slice is
# `[:, row, col, :, top : top + k, left : left + k]`, with `top = row * stride`, and `weight` fits into it as it is.
# Afterwards cut the padding off the last two dimensions and `reshape` to two.
#
# </details>
# <details><summary>"Too many columns", "right for square pictures only", "weights at the other end of a row"</summary>
#
# * *Too many columns*: the padding is still in. It is zero whatever the picture is, so it needs no column.
# * *Right for square pictures only*: one row down in x are `width` places, not `height`, and not as many as outputs.
# * *Weights at the other end of a row, or of the picture*: index −1 is the last place. What lies outside is left out.
# * *Everything is mirrored*: `torch.flip` belongs to the convolution of the textbooks. Networks do without.
# * *Right for one channel only*: in `flatten()` a whole channel comes before the next. `permute` before `reshape`
#   changes that.
# * *Columns and rows exchanged*: one row for each output, one column for each pixel. If you number the outputs in the
#   rows, the picture belongs into the columns.
#
# </details>

# %% check="conv_matrix" points=3
check(conv_matrix)

# %% picture="conv_matrix"
tent = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])[None, None] / 4  # (1, 1, 3, 3)

with once_written():
    M = conv_matrix(tent, 11, 15, stride=2, padding=1)  # (48, 165)
    figure = show_images([M], ["M: a row for each of 6 × 8 outputs, a column for each of 11 × 15 pixels"])
    show(figure, alt="A matrix of 48 rows and 165 columns, nearly all zero, with short bright dashes in slanted bands")

# %% picture="conv_matrix_back"
with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    redness = coffee[0] / coffee.sum(0)  # (400, 600)
    coarse = nn.functional.adaptive_avg_pool2d(redness[None], (6, 8))[0]  # (6, 8)
    enlarged = (M.T @ coarse.flatten()).reshape(11, 15)
    torchs = nn.functional.conv_transpose2d(coarse[None, None], tent, stride=2, padding=1)[0, 0]
    print("the same as torch's transposed convolution:", torch.allclose(enlarged, torchs, atol=1e-5))
    figure = show_images([coarse, enlarged], ["y: 6 × 8 numbers", "Mᵀ y: 11 × 15 numbers"])
    show(figure, alt="A coarse map of 6 × 8 numbers, and a smoother one of 11 × 15")

# %% [markdown] locked="about_transposed_conv2d"
# ## 4 · `transposed_conv2d`
#
# *About 35 minutes · difficulty 3 of 3 · 4 points · slide "let us decompress"*
#
# The matrix shows what a transposed convolution is. To compute with it would be a waste, since nearly all of it is
# zero. Now write the operation as it is done: by *scattering*. A convolution gathers, since each output looks at a
# window of the input. Here each *input* value writes a window of the output:
#
# 1. Multiply the kernel by the value: that is its **stamp**, k × k.
# 2. The value in row i and column j stamps with its upper left corner at row i · `stride` and column j · `stride`.
# 3. Where stamps overlap, **add** them. Where the stride is larger than the kernel, gaps between them stay zero.
# 4. Cut `padding` rows off above and below, and as many columns left and right. Then add the bias, one number per
#    output channel, once to every pixel.
#
# With several channels, an output channel gets the stamps of *all* input channels, each with a kernel of its own.
#
# ```python
# transposed_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None,
#                   stride: int = 1, padding: int = 0) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `x` | (N, in_channels, H, W) | float32 | the maps |
# | `weight` | (in_channels, out_channels, k, k) | float32 | the kernels, as in `nn.ConvTranspose2d` |
# | `bias` | (out_channels,) or None | float32 | added in the end; None adds nothing |
# | `stride` | int, ≥ 1 | | pixels of the output from one stamp to the next |
# | `padding` | int, ≥ 0 | | pixels cut off on each side; at least one is left |
# | **returns** | (N, out_channels, H', W') | float32 | H' = (H − 1) · `stride` + k − 2 · `padding`, W' likewise |
#
# * **Input channels come first in `weight`.** In `nn.Conv2d` it is the other way round: the weights of a convolution
#   and of its transpose are the same tensor, and "in" and "out" change places.
# * The kernel is not mirrored. A map with a single 1 gives the kernel itself.
# * `x`, `weight` and `bias` get gradients where they need them: do not leave torch on the way. Adding into a slice of a
#   tensor of zeros is fine.
# * **Not allowed**: `conv_transpose1d`, `conv_transpose2d`, `conv_transpose3d`, `convolution` and their modules,
#   `fold`, `interpolate`, `Upsample`, `grid_sample`. They are what you write here. Your own `conv_matrix` is allowed.


# %% solution="transposed_conv2d"
def transposed_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0
) -> Tensor:
    """(N, in_channels, H, W) -> (N, out_channels, H', W'): each value of x stamps the kernel.

    >>> transposed_conv2d(torch.tensor([[[[1.0, 10.0]]]]), torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[ 1., 12., 20.],
              [ 3., 34., 40.]]]])
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[0]:
        raise ValueError(f"x {tuple(x.shape)} and weight {tuple(weight.shape)} do not have the same input channels")
    ### BEGIN SOLUTION
    n, _, height, width = x.shape
    _, out_channels, k, _ = weight.shape
    large = x.new_zeros(n, out_channels, (height - 1) * stride + k, (width - 1) * stride + k)
    for i in range(height):
        for j in range(width):
            stamp = torch.tensordot(x[:, :, i, j], weight, dims=1)  # (N, out_channels, k, k)
            large[:, :, i * stride : i * stride + k, j * stride : j * stride + k] += stamp
    bottom, right = large.shape[2] - padding, large.shape[3] - padding
    large = large[:, :, padding:bottom, padding:right]  # (N, out_channels, H', W')
    return large if bias is None else large + bias.reshape(-1, 1, 1)
    ### END SOLUTION


# %% [markdown] locked="help_transposed_conv2d"
# **Expected picture.** One map, one function, four kernels: which of them you load decides what "enlarging by a factor
# of 2" means. A network learns its kernels, and nothing keeps it from learning the last one. (The dark border of the
# third picture is that of lesson 05: nothing is added there from outside the map.)
#
# ![The redness of a cup of coffee, enlarged four times: as single dots, as blocks, smoothly, and with a grid of bright
# dots](expected_transposed_conv2d.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# On paper, one row: the values 1 and 10, the kernel 1 2 3, stride 2. Write both stamps below each other and add. In how
# many places do they meet? How many for stride 1?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Make a tensor of zeros as large as all stamps together, without thinking of padding. Loop over the rows and columns
# of `x`. The values at one position are (N, in_channels), and the kernels (in_channels, out_channels, k, k): their
# product, summed over the input channels, is the stamp of all pictures at once. Add it into its window. Cut in the end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `torch.einsum("ni,iokl->nokl", x[:, :, i, j], weight)` makes the stamps, and
# `large[:, :, i * stride : i * stride + k, ...] += stamps` adds them, with a slice for the columns made in the same
# way. Cut with `[:, :, padding : rows - padding, ...]`, where `rows` is the height before the cut: a slice that ends
# with `-padding` is empty for padding 0. The bias needs the shape (out_channels, 1, 1).
#
# </details>
# <details><summary>"Only the last stamp is there", "mirrored", "empty", "an error for two channels"</summary>
#
# * *Where stamps meet, only one of them is there*: `=` overwrites. You want `+=`.
# * *Mirrored*: if you insert zeros and convolve, the convolution mirrors the stamps. Mirror the kernel first.
# * *Empty when the padding is 0*: `[0:-0]` is `[0:0]`.
# * *The map grows with the padding*: it is the padding of the convolution that is transposed here. It cuts.
# * *An error, or wrong values, when channels change*: input channels are the first dimension of `weight`.
# * *The bias counts several times, or is missing in the gaps*: add it once, in the end.
# * *Twice as many rows exactly, the last ones empty*: between n stamps there are n − 1 strides.
# * *`element 0 of tensors does not require grad`*: something left torch: `detach`, `item`, numpy, `torch.tensor(...)`.
#
# </details>

# %% check="transposed_conv2d" points=4
check(transposed_conv2d)

# %% picture="transposed_conv2d"
coffee = photo("coffee")  # (3, 400, 600)
redness = nn.functional.avg_pool2d((coffee[0] / coffee.sum(0))[None, None], 25)  # (1, 1, 16, 24)

with once_written():
    kernels = {
        "kernel 1: dots": torch.ones(1, 1),
        "kernel 2: blocks": torch.ones(2, 2),
        "kernel 4, a tent: smooth": torch.tensor([[1.0, 3.0, 3.0, 1.0]]).T @ torch.tensor([[1.0, 3.0, 3.0, 1.0]]) / 16,
        "kernel 3, all ones: a grid": torch.ones(3, 3),
    }
    maps = [transposed_conv2d(redness, kernel[None, None], stride=2)[0, 0] for kernel in kernels.values()]
    figure = show_images(maps, list(kernels), columns=2)
    show(
        figure, alt="One map enlarged with four kernels: single dots, blocks, smoothly, and with a grid of bright dots"
    )

# %% [markdown] locked="about_overlap_count"
# ## 5 · `overlap_count`
#
# *About 15 minutes · difficulty 1 of 3 · 2 points · slide "let us decompress"*
#
# The last of the four pictures above had a grid that is not in the map. Odena and others (*Deconvolution and
# Checkerboard Artifacts*, Distill 2016) explain it by counting: if the kernel is not a multiple of the stride, some
# output pixels get more stamps than their neighbours. Kernel 3 and stride 2 write 1, 2, 1, 2 … times along a row. In
# two directions the counts multiply, to 1, 2 and 4. Where all weights are alike, you see the counts. Learned weights
# can even them out, and they have to learn it first.
#
# Count for each output pixel how many stamps cover it.
#
# ```python
# overlap_count(size: tuple[int, int], kernel_size: int, stride: int, padding: int = 0) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `size` | (height, width), ints ≥ 1 | | rows and columns of the map that is enlarged |
# | `kernel_size` | int, ≥ 1 | | side of the stamps |
# | `stride` | int, ≥ 1 | | pixels from one stamp to the next |
# | `padding` | int, ≥ 0 | | pixels cut off on each side, as in exercise 4 |
# | **returns** | (H', W') | int64 | how many stamps cover each pixel; H' as in exercise 4 |
#
# * At the border fewer stamps arrive than inside. Count what is there.
# * In a gap between two stamps the count is 0.
# * Nothing is forbidden. Think of what you have: which map and which kernel would count for you?


# %% solution="overlap_count"
def overlap_count(size: tuple[int, int], kernel_size: int, stride: int, padding: int = 0) -> Tensor:
    """How many stamps cover each pixel when a map of `size` is enlarged: (H', W'), int64.

    >>> overlap_count((1, 3), 3, stride=2, padding=1)
    tensor([[1, 2, 1, 2, 1]])
    """
    if len(size) != 2:
        raise ValueError(f"size is (height, width), got {size}")
    ### BEGIN SOLUTION

    def along(number):
        """How many stamps cover each place of a line on which `number` of them lie."""
        starts = stride * torch.arange(number)
        place = torch.arange(padding, starts[-1] + kernel_size - padding)[:, None]
        return ((starts <= place) & (place < starts + kernel_size)).sum(1)

    rows, cols = (along(number) for number in size)
    return rows[:, None] * cols  # each stamp over the row meets each stamp over the column
    ### END SOLUTION


# %% [markdown] locked="help_overlap_count"
# **Expected picture.** Above, your counts for a map of 5 × 7 and a stride of 2. Below, measured: a map of ones goes
# through 20,000 transposed convolutions with random weights, and for each pixel you see how far the results spread.
# The sum of c independent weights spreads √c times as far as one of them, so the square of the spread is the count,
# nearly. With kernels of 3 and 5 some pixels vary more than their neighbours before anything is learned. With kernel 4
# all of them vary alike, away from the border.
#
# ![Counts of overlapping stamps for kernels of 3, 4 and 5, and below each the measured spread, which looks the
# same](expected_overlap_count.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# One direction, on paper: four stamps of 3, a stride of 2. Write a row of numbers and add 1 wherever a stamp lies.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Two ways. Count along one direction, do the same for the other, and combine the two lines: a stamp covers a pixel if
# it covers its row *and* its column. Or let your transposed convolution count: with a map and a kernel of ones, each
# stamp adds 1.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Lines: begin with zeros of length `(number - 1) * stride + kernel_size`, add 1 to each slice
# `[i * stride : i * stride + kernel_size]`, cut the padding at both ends; the table is `rows[:, None] * cols`.
# Transposed convolution: `torch.ones(1, 1, *size)` and `torch.ones(1, 1, kernel_size, kernel_size)`, then make integers
# of it.
#
# </details>
# <details><summary>"2 at the corner", "right inside only", "float32", "height and width exchanged"</summary>
#
# * *2 at the corner of kernel 3 and stride 2*: you added the two lines. One stamp above and one beside do not make two.
# * *Right inside, too large at the border*: beyond the map there are no values, so no stamps come from there.
# * *`dtype float32`*: counts are integers, `.long()`.
# * *The shape is turned*: `size` is (height, width), rows first, as everywhere in torch.
# * *Nothing but ones*: it is not asked whether a pixel is covered.
#
# </details>

# %% check="overlap_count" points=2
check(overlap_count)

# %% picture="overlap_count"
with once_written():
    torch.manual_seed(0)
    counts, spreads = [], []
    for kernel_size in (3, 4, 5):
        counts.append(overlap_count((5, 7), kernel_size, stride=2).double())
        weight = torch.randn(1, 20_000, kernel_size, kernel_size)  # that many kernels, an output channel for each
        results = nn.functional.conv_transpose2d(torch.ones(1, 1, 5, 7), weight, stride=2)[0]  # (20000, H', W')
        spreads.append(results.var(0))
    titles = [f"kernel {k}: counted" for k in (3, 4, 5)] + [f"kernel {k}: spread, squared" for k in (3, 4, 5)]
    show(
        show_images(counts + spreads, titles, columns=3),
        alt="Counts of stamps for kernels 3, 4 and 5, and the measured spread below each: they look the same",
    )

# %% [markdown] locked="about_max_pool_with_switches"
# ## 6 · `max_pool_with_switches`
#
# *About 25 minutes · difficulty 2 of 3 · 3 points · slide "let us decompress: unpooling"*
#
# Max pooling keeps the largest value of each block and forgets where in the block it stood. For a classifier that is
# the point of it. A decoder needs the place back, so DeconvNet writes it down. The paper calls these places
# *switches*. Here is a map of 4 × 6 and what blocks of 2 × 2 make of it:
#
# ```
#     the map           its places, numbered       pooled     switches
# 1 5 │ 2 0 │ 3 1       0  1 │  2  3 │  4  5
# 4 3 │ 6 1 │ 2 9       6  7 │  8  9 │ 10 11       5 6 9      1  8 11
# ────┼─────┼────      ──────┼───────┼──────       8 4 3     12 20 17
# 8 2 │ 0 3 │ 2 3      12 13 │ 14 15 │ 16 17
# 7 1 │ 4 0 │ 3 1      18 19 │ 20 21 │ 22 23
# ```
#
# A switch is one number: **row · W + column of the place in the map before pooling**, where W is that map's whole
# width. So places are numbered in reading order, from 0, in each channel of each picture anew. torch counts likewise.
#
# ```python
# max_pool_with_switches(x: Tensor, k: int) -> tuple[Tensor, Tensor]
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `x` | (N, C, H, W) | float32 | maps, of any sign |
# | `k` | int, 1 ≤ `k` ≤ H, W | | side of the blocks, and the step from one to the next |
# | **returns** `pooled` | (N, C, H // `k`, W // `k`) | float32 | the largest value of each block |
# | and `switches` | the same shape | int64 | where it stood: row · W + column |
#
# * **Ties**: of equal values the first in reading order counts (above, the 3 at place 17 and not that at 22). After a
#   ReLU whole blocks are 0, so ties are common, and a network that is compared with another must agree on them.
# * **Odd sizes**: rows and columns at the end that fill no block are left out. They still count in W.
# * **Gradient**: what comes back to a pooled value arrives at the place of its switch, all of it, at ties too.
# * **Not allowed**: max pooling of any kind (`max_pool2d`, `MaxPool2d`, `adaptive_max_pool2d`,
#   `fractional_max_pool2d` …). `max`, `amax`, `argmax`, `unfold` are welcome.


# %% solution="max_pool_with_switches"
def max_pool_with_switches(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The largest value of each k x k block, and where it stood: two tensors (N, C, H // k, W // k).

    >>> pooled, switches = max_pool_with_switches(torch.tensor([[[[1.0, 5.0, 2.0, 0.0], [4.0, 3.0, 6.0, 1.0]]]]), 2)
    >>> pooled
    tensor([[[[5., 6.]]]])
    >>> switches
    tensor([[[[1, 6]]]])
    """
    if x.ndim != 4 or not 1 <= k <= min(x.shape[2:]):
        raise ValueError(f"no blocks of {k} x {k} in maps of shape {tuple(x.shape)}")
    ### BEGIN SOLUTION
    windows = x.unfold(2, k, k).unfold(3, k, k)  # (N, C, H // k, W // k, k, k), without the left-over rows
    pooled, place = windows.flatten(4).max(4)  # of equal values `max` takes the first
    top = k * torch.arange(pooled.shape[2])[:, None]  # where each block begins
    left = k * torch.arange(pooled.shape[3])
    return pooled, (top + place // k) * x.shape[3] + left + place % k
    ### END SOLUTION


# %% [markdown] locked="help_max_pool_with_switches"
# **Expected picture.** The redness of the cup again, 16 × 24. On the left, a ring around the largest value of each
# block of 4 × 4; on the right, what is left after pooling. The rings are what the right picture does not know.
#
# ![A coarse map of a cup with a ring in each block of 4 by 4 pixels, most rings away from the middle of their block,
# and the pooled map of 4 by 6 values](expected_max_pool_with_switches.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Take the block in the lower right corner of the drawing. Where does it begin, in rows and in columns? Where in it does
# its first 3 stand? How do you get from these four numbers to 17?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Two steps. First the places *within* each block, 0 to k · k − 1: bring every block's values into one dimension and
# take maximum and index there. Then turn each index into a row and a column of the block, add the row and the column in
# which the block begins, and number the place with the width of `x`.
#
# Four loops, over pictures, channels and blocks, are slow, and right all the same.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `x.unfold(2, k, k).unfold(3, k, k)` has the blocks in its last two dimensions and drops what fills none;
# `flatten(4)` makes one dimension of them. `max(4)` then gives values and indices. Within the block the row is
# `index // k` and the column `index % k`. Block rows begin at `k * torch.arange(...)`; give that a second dimension of
# size 1, `[:, None]`, so that it runs along the rows.
#
# </details>
# <details><summary>"0 to 3 only", "right for one channel", "right for even sizes", "0 where all is negative"</summary>
#
# * *No switch is above k · k − 1*: they count within the block. Unpooling could not tell one block from the next.
# * *Right in the first channel only, too large in all others*: each channel numbers its own places, from 0.
# * *Right in the first row of blocks only*: a row of `x` has as many places as `x` is wide. The pooled map is narrower,
#   and so is `x` without its left-over columns.
# * *Switches as if rows and columns were exchanged*: row · W + column, not column · H + row.
# * *0 where all values are negative*: the search begins with 0, or zeros were padded. Begin with the first value.
# * *Another place at ties*: `>=` takes the last of them. `>` keeps the first.
# * *One row or column too many*: what fills no block is left out.
# * *A gradient is halved at ties*: `amax` shares it among equal values. Take the value at the switch.
# * *`element 0 of tensors does not require grad`*: something left torch: `detach`, `item`, numpy, `torch.tensor(...)`.
#
# </details>

# %% check="max_pool_with_switches" points=3
check(max_pool_with_switches)

# %% picture="max_pool_with_switches"
with once_written():
    pooled, switches = max_pool_with_switches(redness, 4)  # (1, 1, 4, 6) each
    rows, cols = switches.flatten() // 24, switches.flatten() % 24
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    axes[0].imshow(redness[0, 0], cmap="cividis")
    axes[0].scatter(cols, rows, s=60, facecolors="none", edgecolors="white", linewidths=2)
    axes[0].set(
        title="16 × 24, rings at the switches", xticks=torch.arange(-0.5, 24, 4), yticks=torch.arange(-0.5, 16, 4)
    )
    axes[0].grid(color="white", linewidth=0.8)
    axes[0].tick_params(labelbottom=False, labelleft=False, length=0)
    axes[1].imshow(pooled[0, 0], cmap="cividis")
    axes[1].set(title="pooled, 4 × 6", xticks=[], yticks=[])
    show(figure, alt="A map with a ring around the largest value of each block, and the pooled map of 4 by 6 values")

# %% [markdown] locked="about_max_unpool"
# ## 7 · `max_unpool`
#
# *About 15 minutes · difficulty 1 of 3 · 2 points · slide "let us decompress: unpooling"*
#
# Now back. Unpooling makes a large map of zeros and puts each value where its switch says. With the switches of
# exercise 6 and the values of some later layer:
#
# ```
# values        switches           the large map
#                              0  .1   0   0   0   0
# .1 .2 .3      1  8 11        0   0  .2   0   0  .3
# .4 .5 .6     12 20 17       .4   0   0   0   0  .6
#                              0   0  .5   0   0   0
# ```
#
# The values need not be the pooled ones: in a network, many layers lie between pooling and unpooling. What comes back
# is *where* something was.
#
# ```python
# max_unpool(y: Tensor, switches: Tensor, output_size: tuple[int, int]) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `y` | (N, C, h, w) | float32 | the values |
# | `switches` | (N, C, h, w) | int64 | the place of each value in its channel of its picture: row · W + column |
# | `output_size` | (H, W) | | height and width of the large map, and the W by which the switches count |
# | **returns** | (N, C, H, W) | float32 | each value at its switch, zeros elsewhere |
#
# * **`output_size` is needed.** A pooled map of 2 × 3 may come from 4 × 6, 4 × 7, 5 × 6 or 5 × 7, or from blocks of
#   another size. Switch 7 is the second place of the second row in a map that is 6 wide, and the end of the first row
#   where it is 8 wide. torch guesses twice the size if you do not say it, and people who forgot have found scrambled
#   maps (pytorch, issues 580 and 68873).
# * Do not ask which block a value came from: the switch alone says where it goes. Within one channel of one picture, no
#   two switches are equal.
# * Where `y` needs a gradient, it gets one: what arrives at the place of a value goes back to it.
# * **Not allowed**: `max_unpool2d`, `MaxUnpool2d` and their relatives.


# %% solution="max_unpool"
def max_unpool(y: Tensor, switches: Tensor, output_size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, H, W): each value at its switch, zeros elsewhere.

    >>> max_unpool(torch.tensor([[[[0.5, 0.25]]]]), torch.tensor([[[[1, 5]]]]), (2, 4))
    tensor([[[[0.0000, 0.5000, 0.0000, 0.0000],
              [0.0000, 0.2500, 0.0000, 0.0000]]]])
    """
    if y.shape != switches.shape or y.ndim != 4:
        raise ValueError(f"values of shape {tuple(y.shape)}, switches of shape {tuple(switches.shape)}")
    ### BEGIN SOLUTION
    n, c, _, _ = y.shape
    flat = torch.zeros(n, c, output_size[0] * output_size[1], dtype=y.dtype)  # one line of places for each channel
    flat = flat.scatter(2, switches.reshape(n, c, -1), y.reshape(n, c, -1))
    return flat.reshape(n, c, *output_size)  # (N, C, H, W)
    ### END SOLUTION


# %% [markdown] locked="help_max_unpool"
# **Expected picture.** A cat's cheek, pooled in blocks of 4 × 4, and three ways back to its size: with switches, as a
# *bed of nails* (each value in the upper left corner of its block), and in blocks (nearest neighbour). All three have
# the same 2,080 values to go by. The switches add where in its block each of them belongs: in the part below, the
# whiskers are lines of dots with switches, and coarse steps at best without them.
#
# ![A cat's cheek with whiskers, and three ways to enlarge its pooled picture: dots along the whiskers, a regular grid
# of dots, and coarse blocks](expected_max_unpool.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# If each channel's large map were one long line instead of a table, what would a switch be?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Make zeros of shape (N, C, H · W). Flatten the last two dimensions of the values and of the switches. Put every value
# at its place of the line, for all pictures and channels at once, and only then make a table of the line again.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `zeros.scatter(2, index, source)` puts `source[n, c, i]` at place `index[n, c, i]` of the line, and gives the result
# back; `scatter_`, with the underscore, changes `zeros` itself. Make the zeros with `y`'s dtype. `reshape` with the
# numbers of `output_size` ends it.
#
# </details>
# <details><summary>"Scrambled", "all in the first channel", "index out of bounds", "twice the size"</summary>
#
# * *Right in the first row, scrambled below*: the width by which you take switches apart is not `output_size[1]`, but
#   that of the small map, twice that, or the height.
# * *The first channel is full, the others are empty*: flattened over everything, all channels share one line. Keep N
#   and C apart.
# * *`index … is out of bounds`*: the line is too short, or it is not the line of H · W places.
# * *Each value in the corner of its block*: that is the bed of nails. The switches are not read.
# * *`scatter(): Expected dtype int64 for index`*: switches come second, values third.
# * *`Expected self.dtype to be equal to src.dtype`*: the zeros need the dtype of `y`.
# * *`element 0 of tensors does not require grad`*: something left torch: `detach`, `item`, numpy, `torch.tensor(...)`.
#
# </details>

# %% check="max_unpool" points=2
check(max_unpool)

# %% picture="max_unpool"
cat = photo("chelsea").mean(0)[None, None, 140:300, :208]  # (1, 1, 160, 208), grey

with once_written():
    pooled, switches = max_pool_with_switches(cat, 4)  # (1, 1, 40, 52)
    corners = 4 * torch.arange(40)[:, None] * 208 + 4 * torch.arange(52)  # (40, 52), the upper left place of each block
    back = {
        "the picture": cat,
        "with switches": max_unpool(pooled, switches, (160, 208)),
        "bed of nails": max_unpool(pooled, corners.expand_as(switches), (160, 208)),
        "nearest": pooled.repeat_interleave(4, 2).repeat_interleave(4, 3),
    }
    whole = [one[0, 0] for one in back.values()]
    part = [one[90:150, 100:178] for one in whole]
    show(
        show_images(whole + part, [*back, *(f"{name}, a part" for name in back)], columns=4),
        alt="A cat's cheek and three ways to enlarge its pooled picture: with switches, bed of nails, nearest",
    )

# %% [markdown] locked="about_DeconvNet"
# ## 8 · `DeconvNet`
#
# *About 45 minutes · difficulty 3 of 3 · 4 points · slide "Learning Deconvolution Network"; the paper's figure 2*
#
# Now the network, as Noh, Hong and Han drew it: an encoder like VGG's, and its mirror image. On the way down each stage
# keeps its switches; on the way up its counterpart unpools with them, and a transposed convolution fills the gaps
# between the values. At the turn a dense layer looks at the whole last map. With three stages:
#
# ```
# picture ─ encoder[0] ─ pool ─ encoder[1] ─ pool ─ encoder[2] ─ pool ─ dense ────────┐
#                          ¦                   ¦                   ¦                  │
#                          ¦ switches, size    ¦                   ¦                  │
#                          ¦                   ¦                   ¦                  │
# logits ─ score ─ decoder[2] ─ unpool ─ decoder[1] ─ unpool ─ decoder[0] ─ unpool ─ dense_back
# ```
#
# The upper row runs to the right, the lower one to the left: `decoder[0]` is the first that runs. Dotted lines say
# whose switches an unpooling uses: the last pooling's come first.
#
# The blocks are given, in `seglab.networks`. Both have batch normalization and a ReLU behind their layer:
#
# * `conv_bn_relu(in_channels, out_channels, kernel_size=3, padding=1)`: a convolution.
# * `deconv_bn_relu(in_channels, out_channels, kernel_size=3, padding=1)`: a transposed convolution with **stride 1**.
#   It keeps the size. What enlarges is the unpooling alone.
#
# For `widths = (16, 32, 64)`:
#
# | layer | made with | channels, in → out | kernel, padding |
# |---|---|---|---|
# | `encoder[0]`, `[1]`, `[2]` | `conv_bn_relu` | `in_channels` → 16, 16 → 32, 32 → 64 | 3, 1 |
# | `dense` | `conv_bn_relu` | 64 → `dense_width` | `dense_kernel`, 0 |
# | `dense_back` | `deconv_bn_relu` | `dense_width` → 64 | `dense_kernel`, 0 |
# | `decoder[0]`, `[1]`, `[2]` | `deconv_bn_relu` | 64 → 32, 32 → 16, 16 → 16 | 3, 1 |
# | `score` | `nn.Conv2d` with bias, nothing behind it | 16 → `num_classes` | 1, 0 |
#
# So the channels drop within a stage of the decoder, after its unpooling: every value needs a switch, so a map must
# have as many channels as its switches when it is unpooled.
#
# `dense` is lesson 03's fully connected layer as a convolution: of `dense_kernel` × `dense_kernel` places it makes one
# vector. In the paper the last map has 7 × 7 places and the kernel is 7, so one vector knows the whole picture.
# `dense_back` spreads each vector out again, to the same size as before.
#
# ```python
# class DeconvNet(nn.Module):
#     def __init__(self, in_channels: int, num_classes: int, widths: Sequence[int], dense_width: int, dense_kernel: int)
#     def forward(self, x: Tensor) -> Tensor
# ```
#
# | argument | shape or type | meaning |
# |---|---|---|
# | `in_channels` | int, ≥ 1 | channels of the pictures |
# | `num_classes` | int, ≥ 1 | |
# | `widths` | one or more ints | channels after each stage of the encoder; its length is the number of stages |
# | `dense_width` | int, ≥ 1 | length of the vectors in the middle |
# | `dense_kernel` | int, ≥ 1 | rows and columns of the last map that become one vector |
# | `x` | (N, `in_channels`, H, W), float32 | pictures; the last map has `dense_kernel` rows and columns or more |
# | **returns** | (N, `num_classes`, H, W) | logits: no softmax, no other activation |
#
# * Pictures may have any size, odd or even. **Pooling**: 2 × 2, rounded down. **Unpooling**: back to the size
#   that the map had before that very pooling.
# * Take torch's `nn.functional.max_pool2d(x, 2, return_indices=True)` and `nn.functional.max_unpool2d(x, switches, 2,
#   output_size=...)`. Your own two functions do as well, but then their mistakes count here, too.
# * **Names**: `encoder` and `decoder` are `nn.ModuleList`s, in the order in which their stages run; `dense`,
#   `dense_back` and `score` are layers. There are no other weights.
# * No skips: the decoder gets switches and sizes from the encoder, and no values.
# * Each layer runs once per call. No two stages share one, even where their widths agree.


# %% solution="DeconvNet"
class DeconvNet(nn.Module):
    """A network and its mirror image: pictures (N, in_channels, H, W) -> logits (N, num_classes, H, W).

    >>> DeconvNet(3, 5, widths=(4, 6), dense_width=8, dense_kernel=2)(torch.zeros(1, 3, 13, 22)).shape
    torch.Size([1, 5, 13, 22])
    """

    def __init__(self, in_channels: int, num_classes: int, widths, dense_width: int, dense_kernel: int):
        super().__init__()
        if len(widths) < 1 or dense_kernel < 1:
            raise ValueError(f"no DeconvNet of {len(widths)} stages with a dense kernel of {dense_kernel}")
        ### BEGIN SOLUTION
        down = [in_channels, *widths]
        up = [*reversed(widths), widths[0]]  # the last stage has no counterpart's width to drop to
        self.encoder = nn.ModuleList(conv_bn_relu(*pair) for pair in zip(down, widths, strict=False))
        self.dense = conv_bn_relu(down[-1], dense_width, kernel_size=dense_kernel, padding=0)
        self.dense_back = deconv_bn_relu(dense_width, up[0], kernel_size=dense_kernel, padding=0)
        self.decoder = nn.ModuleList(deconv_bn_relu(*pair) for pair in zip(reversed(widths), up[1:], strict=True))
        self.score = nn.Conv2d(up[-1], num_classes, 1)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        switches, sizes = [], []
        for stage in self.encoder:
            x = stage(x)  # (N, widths[i], H / 2 ** i, W / 2 ** i)
            sizes.append(x.shape[2:])
            x, places = nn.functional.max_pool2d(x, 2, return_indices=True)  # half as high and wide
            switches.append(places)
        vectors = self.dense(x)  # (N, dense_width, ...), fewer by dense_kernel - 1 along each side
        x = self.dense_back(vectors)  # as large as before
        for stage, places, size in zip(self.decoder, reversed(switches), reversed(sizes), strict=True):
            x = nn.functional.max_unpool2d(x, places, 2, output_size=size)  # as before that pooling
            x = stage(x)
        logits = self.score(x)  # (N, num_classes, H, W)
        return logits
        ### END SOLUTION


# %% [markdown] locked="help_DeconvNet"
# **Expected output** of the first cell under the check. The second line is the paper's network with a single
# convolution where it has two or three. Nearly all of its weights are in the two layers that look at the whole picture:
#
# ```
# ours            123,186 weights, dense and dense_back  60%
# the paper's 213,390,229 weights, dense and dense_back  96%
# ```
#
# The second cell trains the small one to tell clothes from background, in about 20 seconds. Expect a mean IoU near 0.85
# and masks in one piece, their outlines a little frayed.
#
# <details><summary>Hint 1: a nudge</summary>
#
# Write one stage first, without `dense`: convolve, pool, unpool, transposed convolution, score. For a picture of 8 × 6,
# print the shape after each line. What must be kept between pooling and unpooling?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Channels: `in_channels` and the widths, in one list, give the encoder's pairs of neighbours. The widths backwards, and
# the first width once more, give the decoder's. On the way down put switches and size of each stage in a list. On the
# way up take them from its end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `nn.ModuleList(...)` takes a list of blocks. In `forward`, keep `x.shape[2:]` *after* the stage and *before* its
# pooling. `kept.pop()` takes the last entry of a list away and gives it to you: first in, last out is the mirror. Then,
# for each stage of the decoder, unpool with `output_size=` the kept size, and only then run the stage.
#
# </details>
# <details><summary>"Expected shape of indices", "invalid output_size", "4 times as large", "no such name"</summary>
#
# * *`Expected shape of indices to be same as that of the input tensor`*: these are another stage's switches, or the map
#   does not have their channels. The first unpooling uses the last pooling's switches.
# * *`invalid output_size`, or `found an invalid max index`*: give unpooling the size before that very pooling. Without
#   one, torch takes twice the small map's.
# * *The logits are one row short on odd pictures*: the same.
# * *The logits are twice or four times as large as the picture*: unpooling enlarges already. The transposed convolution
#   has stride 1.
# * *`Given transposed=1, weight of size …`*: compare in → out of each layer with the table. The last stage of the
#   decoder goes from `widths[0]` to `widths[0]`.
# * *Names of weights are missing, or there is nothing to train*: stages in a plain list are not seen by torch.
# * *Shapes of the decoder's weights are in the wrong order*: `decoder[0]` runs first.
# * *No logit is negative*: something stands behind `score`, or `score` is a block with a ReLU.
# * *The map is smaller after `dense`, and stays so*: `dense_back` brings the lost rows back.
#
# </details>

# %% check="DeconvNet" points=4
check(DeconvNet)

# %%
no_numbers = torch.device("meta")  # on it weights have a shape and nothing else: they need no memory

with once_written():
    for name, case in (
        ("ours", (3, 2, (16, 32, 64), 64, 3)),
        ("the paper's", (3, 21, (64, 128, 256, 512, 512), 4096, 7)),
    ):
        with no_numbers:
            network = DeconvNet(*case)
        count = sum(weight.numel() for weight in network.parameters())
        middle = sum(layer[0].weight.numel() for layer in (network.dense, network.dense_back))
        print(f"{name:11} {count:>11,} weights, dense and dense_back {middle / count:4.0%}")

# %%
train, val = load_scenes("train", size=64, count=400, seed=0), load_scenes("val", size=64, count=50, seed=0)
train_masks, val_masks = (train.masks > 0).long(), (val.masks > 0).long()  # (N, 64, 64), 1 is "clothes"

with once_written():
    torch.manual_seed(0)
    network = DeconvNet(3, 2, widths=(16, 32, 64), dense_width=64, dense_kernel=3)
    fit(network, 4 * train.images - 2, train_masks, steps=250, batch_size=20, lr=0.01, augment=mirror_and_recolour)
    logits = predict_logits(network, 4 * val.images - 2)  # (50, 2, 64, 64)
    print(f"validation mIoU {miou(logits, val_masks):.2f}")
    rows = [one for i in (0, 1, 2, 5) for one in (val.images[i], val_masks[i], logits[i].argmax(0))]
    figure = show_images(rows, ["the picture", "the truth", "DeconvNet"] * 4, columns=6)
    show(figure, alt="Four scenes, where their clothes are, and the masks of a small DeconvNet")

# %% [markdown]
# ## Your functions at work
#
# What do switches carry through a decoder? Try it without any learning. A photo is pooled twice, to a quarter of its
# size, and comes back in two ways that both use fixed kernels:
#
# * **by size alone**: one transposed convolution with stride 4 and a tent of 8 × 8, as in FCN;
# * **by switches**: twice unpooling and a transposed convolution with stride 1 and a tent of 3 × 3, as in DeconvNet.
#   The gaps are filled with what lies around them: a sum of tents, divided by the weight that arrived there, which is
#   the same sum with ones in place of the values.

# %%
tent_8 = torch.tensor([1.0, 3.0, 5.0, 7.0, 7.0, 5.0, 3.0, 1.0])[:, None] / 8  # (8, 1)
tent_3 = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])


def filled(values, known):
    """A tent around each known value; where several meet, their mean, in which the nearer ones count more."""
    while known.min() == 0:  # once for nearly all places, twice for the rest
        total, weight = (transposed_conv2d(one, tent_3[None, None], padding=1) for one in (values, known))
        values, known = total / weight.clamp(min=1e-6), (weight > 0).float()
    return values


with once_written():
    grey = photo("chelsea").mean(0)[None, None, 60:200, 120:330]  # (1, 1, 140, 210)
    small, kept = grey, []
    for _ in range(2):
        size = tuple(small.shape[2:])
        small, switches = max_pool_with_switches(small, 2)
        kept.append((switches, size))  # in the end small is (1, 1, 35, 52)

    rows, cols = (transposed_conv_size(n, kernel_size=8, stride=4, padding=2) for n in small.shape[2:])
    by_size = transposed_conv2d(small, (tent_8 @ tent_8.T)[None, None], stride=4, padding=2)  # (1, 1, rows, cols)
    stamps = overlap_count(tuple(small.shape[2:]), 8, stride=4, padding=2)
    print(f"{tuple(grey.shape[2:])} was pooled to {tuple(small.shape[2:])}")
    print(f"by size alone: {rows} × {cols}, {stamps[70, 70]} stamps in each pixel but at the border")

    by_switches = small
    for switches, size in reversed(kept):
        values, known = (max_unpool(one, switches, size) for one in (by_switches, torch.ones_like(by_switches)))
        by_switches = filled(values, known)
    print(f"by switches: {by_switches.shape[2]} × {by_switches.shape[3]}")
    for name, one in (("size alone", by_size), ("switches", by_switches)):
        away = (one[..., 8:132, 8:200] - grey[..., 8:132, 8:200]).abs().mean()
        print(f"by {name}: {away:.3f} away from the picture on average")
    figure = show_images(
        [grey[0, 0], by_size[0, 0], by_switches[0, 0]],
        ["the picture", "back by size alone", "back by switches"],
    )
    show(figure, alt="A cat, and two ways back from its pooled picture: blurred, and with edges in their places")

# %% [markdown]
# Both results have seen the same 1,820 values, and both are too bright, since pooling took the maxima. Compare the rims
# of the eyes: with the switches they are narrow again, because each value is back in its place; without them only its
# neighbourhood is known. And the sizes: 210 columns cannot be halved twice. The transposed convolution makes 208 of
# them, as your formula said before, and unpooling has all 210. DeconvNet learns kernels in place of our tents, and many
# of them in each stage.
#
# What the switches cannot tell is what a value *means*. All that the decoder knows about the class has come through the
# narrow `dense` layer, which takes most of the weights. Lesson 07 leaves it out.
