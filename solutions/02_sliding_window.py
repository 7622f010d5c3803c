# %% [markdown]
# # 02 · Sliding window: exercises
#
# You have a classifier of patches: it looks at 64 × 64 pixels and says what is in the middle. In six exercises you turn
# it into a segmentation of whole pictures, first naively, then with features that all windows share:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `window_starts` | where windows may begin | 10 | ● | 2 |
# | 2 `extract_windows` | all windows of a picture, without a copy | 20 | ●● | 3 |
# | 3 `sliding_window_scores` | a coarse map of scores, in batches | 30 | ●● | 4 |
# | 4 `scores_to_mask` | the coarse map, laid on the pixels | 30 | ●● | 4 |
# | 5 `shared_feature_scores` | the same map, convolutions computed once | 40 | ●●● | 5 |
# | 6 `multiply_adds` | what both ways cost | 20 | ●● | 2 |
#
# The minutes include reading the statement.
#
# **Red is where you start.** Every function below is a stub that raises `NotImplementedError`, so no check can pass.
# At first a check only says that the function is not written; later it shows a table, red where something is wrong.
# Nothing is broken: write the function, run its cell, run the check under it, and repeat.
#
# **Checks of the arguments are given**, where they help: they stand at the top of the stub. Leave them there and write
# below them. Your own code need not refuse anything.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: other sizes, pictures that are not square, other networks. So
# write what the statement says, not what the visible check happens to ask.
#
# **One builds on the other.** You may call your earlier functions in the later ones. A mistake then shows again further
# down, so look at the first red table first.

# %%
import time

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import CLASSES, load_crops, load_scenes
from seglab.figures import overlay, show, show_images
from seglab.layers import conv, linear, pool
from seglab.training import fit, miou

# %% [markdown] locked="about_window_starts"
# ## 1 · `window_starts`
#
# *About 10 minutes · difficulty 1 of 3 · 2 points*
#
# > The slide says: for a picture of 256 × 256, with window 64 × 64 and stride 8, inference must run 32 · 32 times.
#
# A window slides over the picture. Where may it begin, if it must lie in the picture as a whole? One dimension is
# enough: rows and columns follow the same rule.
#
# The 32 · 32 runs are what you get if the picture is padded by 28 pixels on each side. Without padding there are 25
# starts in each direction, 625 windows in all. We do not pad.
#
# ```python
# window_starts(size: int, window: int, stride: int) -> list[int]
# ```
#
# | argument | type | unit | meaning |
# |---|---|---|---|
# | `size` | int, ≥ 1 | pixels | height or width of the picture |
# | `window` | int, ≥ 1 | pixels | side of the window |
# | `stride` | int, ≥ 1 | pixels | from one start to the next; it may be larger than the window |
# | **returns** | list of int | pixels | 0, `stride`, 2 · `stride`, …: every start at which a window fits, in order |
#
# * Pixels may be left over at the end. No extra window is moved to the edge.
# * A window larger than the picture fits nowhere: return `[]`.


# %% solution="window_starts"
def window_starts(size: int, window: int, stride: int) -> list[int]:
    """All starts at which a whole window fits into `size` pixels.

    >>> window_starts(10, 4, 3)
    [0, 3, 6]
    >>> window_starts(3, 4, 3)
    []
    """
    ### BEGIN SOLUTION
    # The last start is size - window; + 1 because range stops before its end. Below zero the range is empty.
    return list(range(0, size - window + 1, stride))
    ### END SOLUTION


# %% [markdown] locked="help_window_starts"
# **Expected picture.** With your function, the cell under the check draws this:
#
# ![25 bars, each 64 pixels long and 8 pixels further to the right than the one above; the first begins at pixel 0, the
# last ends at pixel 256](expected_window_starts.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# The first start is 0. Which one is the last, if the window must end at the last pixel or before it? Try it on paper
# with 10 pixels, window 4, stride 3. Then with 10 pixels and window 10.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Python's `range` counts in steps. It needs a first number, a step, and an end that it stops *before*; your last start
# must still be in it.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `range(first, last_possible_start + 1, step)`, made into a list. For a window that is too large the end of the range
# is not positive, and the list is empty by itself.
#
# </details>
# <details><summary>"I get 32 starts", "one start is missing", "there is one too many"</summary>
#
# * *32 starts, or the last ends behind the picture*: you count how often the stride fits into the picture. Count how
#   often it fits into the room that the window leaves.
# * *The last start is missing*: `range` stops before its end. If you count steps: n steps join n + 1 windows.
# * *One too many, and only where pixels are left over*: the division must round down.
# * *A window as large as the picture gives `[]`*: there is exactly one place for it.
#
# </details>

# %% check="window_starts" points=2
check(window_starts)

# %% picture="window_starts"
with once_written():
    figure, axis = plt.subplots(figsize=(7, 3.2))
    for row, start in enumerate(window_starts(256, 64, 8)):
        axis.barh(row, 64, left=start, height=0.7, color="#0072b2")
    axis.axvspan(0, 256, color="#e69f00", alpha=0.25, zorder=0)
    axis.invert_yaxis()
    axis.set(xlim=(-8, 264), xticks=range(0, 257, 32), xlabel="pixel", ylabel="window")
    axis.set_title("256 pixels, window 64, stride 8")
    show(figure, alt="25 bars of 64 pixels, each 8 pixels further right; the first begins at 0, the last ends at 256")

# %% [markdown] locked="about_extract_windows"
# ## 2 · `extract_windows`
#
# *About 20 minutes · difficulty 2 of 3 · 3 points*
#
# Now all windows of a picture at once. At window 64 and stride 8 each pixel lies in up to 64 windows: copied one by
# one, the windows of a 256 × 256 picture take 39 times its memory. A tensor need not copy: it can be a *view*, another
# way to step through the same numbers. Your windows must be such a view: draw into the picture afterwards, and they
# show it.
#
# ```python
# extract_windows(image: Tensor, window: int, stride: int) -> Tensor
# ```
#
# | argument | shape | dtype | meaning |
# |---|---|---|---|
# | `image` | (C, H, W) | any | the picture; height and width may differ |
# | `window`, `stride` | int | pixels | as in exercise 1, the same for rows and columns |
# | **returns** | (rows, cols, C, window, window) | as `image` | a view; `[i, j]`: window i from above, j from left |
#
# * All five dimensions are always there, also when one of them is 1.
# * The picture may be a view itself: cropped from a larger one, or with its dimensions in another order in memory, as
#   pictures of `matplotlib` or `PIL` have them.
# * Given in the stub: a `ValueError` for what is not (C, H, W) or is smaller than a window.


# %% solution="extract_windows"
def extract_windows(image: Tensor, window: int, stride: int) -> Tensor:
    """All windows of a picture (C, H, W) as a view (rows, cols, C, window, window).

    >>> extract_windows(torch.zeros(3, 256, 256), 64, 8).shape
    torch.Size([25, 25, 3, 64, 64])
    """
    if image.ndim != 3 or min(image.shape[1:]) < window:
        raise ValueError(f"expected a picture (C, H, W) that holds a window of {window}, got {tuple(image.shape)}")
    ### BEGIN SOLUTION
    # unfold makes a dimension of windows and puts what is inside them at the end, without moving a number.
    windows = image.unfold(1, window, stride).unfold(2, window, stride)  # (C, rows, cols, window, window)
    return windows.permute(1, 2, 0, 3, 4)  # (rows, cols, C, window, window)
    ### END SOLUTION


# %% [markdown] locked="help_extract_windows"
# **Expected picture.** The windows of a photo, drawn with a gap between them:
#
# ![A photo of a cat, and beside it its 5 by 8 windows of 100 pixels, each showing half of its neighbour's
# content](expected_extract_windows.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Two nested loops with slices give the right numbers, and `torch.stack` then copies all of them. Look for a method of
# `Tensor` that slides a window along one dimension. Its documentation says "view".
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# `Tensor.unfold(dimension, size, step)` works on one dimension: use it once for the rows and once for the columns.
# Print the shape after each step. Then put the dimensions into the asked order; that is a view as well.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# After unfolding dimension 1 and then dimension 2 you have (C, rows, cols, window, window), because each new dimension
# goes to the end. `permute` with five numbers brings rows and columns to the front. Do not call `contiguous`,
# `reshape`, `clone` or `float` on the way: each of them may copy.
#
# </details>
# <details><summary>"The view test fails", "rows and cols are swapped", "right on some pictures only"</summary>
#
# * *Values right, the view test fails*: somewhere you copied: `stack`, `cat`, `clone`, `contiguous`, `reshape`,
#   `float`.
# * *Right shape, values of other windows*: `reshape` does not exchange dimensions, `permute` does.
# * *Fine on square pictures only*: rows come from the height, columns from the width.
# * *Each window is mirrored at its diagonal*: the last two dimensions are swapped.
# * *Wrong on a cropped or transposed picture only*: with `as_strided`, take the steps from `image.stride()`.
# * *A dimension is missing*: `squeeze` removes every dimension of size 1.
#
# </details>

# %% check="extract_windows" points=3
check(extract_windows)

# %% picture="extract_windows"
with once_written():
    cat = photo("chelsea")  # (3, 300, 451)
    windows = extract_windows(cat, 100, 50)  # (5, 8, 3, 100, 100)
    framed = nn.functional.pad(windows, (0, 10, 0, 10), value=1.0)  # (5, 8, 3, 110, 110), with a white rim
    mosaic = framed.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)  # (3, 550, 880)
    figure = show_images([cat, mosaic], ["the picture", "its windows: 100 pixels, stride 50"], width=8)
    show(figure, alt="A photo of a cat, and its 5 by 8 windows, each showing half of its neighbour's content")

# %% [markdown] locked="about_sliding_window_scores"
# ## 3 · `sliding_window_scores`
#
# *About 30 minutes · difficulty 2 of 3 · 4 points*
#
# > The slide says: slow, and masks are not used in training.
#
# Run a classifier on every window. The result is a small map for each class: rows × cols numbers instead of H × W. One
# call per window is slow, since each call has a price of its own. All windows in one call need memory for all of them,
# and here the copy cannot be avoided. So: batches.
#
# ```python
# sliding_window_scores(classifier, image: Tensor, window: int, stride: int, batch_size: int) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `classifier` | callable | | a network or function: (B, C, window, window) to scores (B, num_classes) |
# | `image` | (C, H, W) | float | the picture |
# | `window`, `stride` | int | pixels | as before |
# | `batch_size` | int, ≥ 1 | windows | no batch is larger; the last one may be smaller |
# | **returns** | (num_classes, rows, cols) | the classifier's | `[k, i, j]`: score of class k in window (i, j) |
#
# * For n windows the classifier is called exactly ⌈n / `batch_size`⌉ times, and each window is classified once. How the
#   windows are dealt out to these calls is up to you.
# * The scores are returned as they come: no softmax. All three dimensions are always there, also with one class or
#   with one row.
# * Nobody trains here: record no gradient **while the classifier runs**, so that no activations are kept. Detaching the
#   scores afterwards is too late.
# * Call the classifier as it is. It may be a plain function, and whether a network is in training or in evaluation mode
#   is the caller's decision: do not switch it.


# %% solution="sliding_window_scores"
def sliding_window_scores(classifier, image: Tensor, window: int, stride: int, batch_size: int) -> Tensor:
    """Scores (num_classes, rows, cols) of every window of a picture (C, H, W).

    >>> def brightness(batch):  # (B, C, window, window) -> (B, 1)
    ...     return batch.mean(dim=(1, 2, 3))[:, None]
    >>> sliding_window_scores(brightness, torch.tensor([[[0.0, 2.0, 4.0]]]), 1, 2, 16)
    tensor([[[0., 4.]]])
    """
    ### BEGIN SOLUTION
    windows = extract_windows(image, window, stride)  # (rows, cols, C, window, window)
    rows, cols = windows.shape[:2]
    scores = []
    with torch.no_grad():
        for place in torch.arange(rows * cols).split(batch_size):
            batch = windows[place // cols, place % cols]  # (B, C, window, window): only these windows are copied
            scores.append(classifier(batch))  # (B, num_classes)
    return torch.cat(scores).T.reshape(-1, rows, cols)  # (num_classes, rows, cols)
    ### END SOLUTION


# %% [markdown] locked="help_sliding_window_scores"
# **Expected picture.** A classifier of two classes, made by hand: "red" and "anything else". The map of "red":
#
# ![A photo of a red cup of coffee on a wooden table, and a coarse map of 47 by 72 scores that is brightest where the
# red saucer and the cup are](expected_sliding_window_scores.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Number the windows 0, 1, …, n − 1 in reading order. Which row and which column does window number p have? Take the
# numbers in groups of `batch_size`.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Collect the outputs of all batches in a list and put them together: (n, num_classes). Two steps remain: the classes
# must come first, and n must become rows × cols. The order of these two steps matters. Slicing with a step of
# `batch_size` and `Tensor.split` both give a smaller last group by themselves.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# With `p = torch.arange(n)`, one group of numbers `q` picks its windows by `windows[q // cols, q % cols]`: indexing
# with two index tensors gives (B, C, window, window) and copies only those. Transpose the (n, num_classes) result
# first, then reshape it to three dimensions. `with torch.no_grad():` around the loop, or `@torch.no_grad()` above the
# function, switches gradients off.
#
# </details>
# <details><summary>"Values right but scrambled", "one call too many", "shape is invalid for input of size"</summary>
#
# * *Right shape, scrambled values*: (n, num_classes) was reshaped to (num_classes, …) without transposing. The numbers
#   are then read in the wrong order.
# * *Right on square pictures only*: windows are listed row by row, so n becomes (rows, cols), not (cols, rows).
# * *"shape … is invalid for input of size …"*: windows are missing. Is the last batch lost when it is not full?
# * *Too many calls*: do not begin a new batch with each row, and do not call the classifier once more to learn the
#   number of classes.
# * *A dimension is missing*: `squeeze` also removes the class, or the row, if there is just one.
# * *All scores lie between 0 and 1*: leave out the softmax.
# * *The network in training mode fails*: do not call `eval()`; whoever passes the network has chosen its mode.
#
# </details>

# %% check="sliding_window_scores" points=4
check(sliding_window_scores)


# %% picture="sliding_window_scores"
def redness(batch: Tensor) -> Tensor:
    """A classifier made by hand (B, 3, window, window) -> (B, 2): "anything else" and "red", by red's share."""
    share = batch[:, 0].mean(dim=(1, 2)) / batch.sum(dim=1).mean(dim=(1, 2))  # (B,)
    return torch.stack([0.62 - share, share - 0.62], dim=1)  # (B, 2)


with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    scores = sliding_window_scores(redness, coffee, 32, 8, batch_size=256)  # (2, 47, 72)
    figure = show_images([coffee, scores[1]], ["the picture", "score of “red”: 47 × 72"], width=8)
    show(figure, alt="A red cup on a wooden table, and a coarse map of scores that is brightest on saucer and cup")

# %% [markdown] locked="about_scores_to_mask"
# ## 4 · `scores_to_mask`
#
# *About 30 minutes · difficulty 2 of 3 · 4 points*
#
# > The slide says: the result will be 64 × 64 (256/8 × 256/8).
#
# The division gives 32 × 32, and without padding it is 25 × 25; none of these is a mask of 256 × 256 yet. Where does
# score (i, j) belong? Its window begins at pixel (i · stride, j · stride), but what the classifier names is in the
# window's *middle*. Laid at the corner, the whole mask is shifted by half a window: 31.5 pixels.
#
# So: **every pixel takes the class of the window whose centre is nearest.** Rows and columns are independent, so this
# is a question in one dimension. The centre of window i is
#
# $$c_i = i \cdot \text{stride} + \frac{\text{window} - 1}{2}$$
#
# in the coordinates in which pixel p lies at p. A window of 64 from 0 covers pixels 0 to 63; their middle is 31.5.
#
# * **Margin**: pixels before the first centre and behind the last one also take the nearest window, as everywhere. So
#   do pixels that no window covers.
# * **Ties**: if two centres are equally near, the earlier window wins (the upper one, the left one).
# * **Class**: the one with the largest score in that window; the first of them if several are as large, as `argmax` has
#   it.
#
# ```python
# scores_to_mask(scores: Tensor, image_size: tuple[int, int], window: int, stride: int) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `scores` | (num_classes, rows, cols) | float | what exercise 3 returns |
# | `image_size` | (height, width) | int | of the picture, in pixels |
# | `window`, `stride` | int | pixels | those that the scores were made with |
# | **returns** | (height, width) | int64 | the mask: a class for every pixel |
#
# * The scores belong to a picture of this size: their rows and columns are those of `window_starts`.
# * Given in the stub: a `ValueError` for scores that are not 3-dimensional.
# * **Not allowed**: `interpolate`, `Upsample`, `UpsamplingNearest2d`, `UpsamplingBilinear2d`, `grid_sample`. Laying the
#   map on the pixels is what you write here; you build interpolation in lesson 05.


# %% solution="scores_to_mask"
def scores_to_mask(scores: Tensor, image_size: tuple[int, int], window: int, stride: int) -> Tensor:
    """Mask (H, W), int64: each pixel takes the arg-max class of the window whose centre is nearest.

    >>> scores = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])  # two classes, 1 x 2 windows: class 0, then class 1
    >>> # The centres are at 0.5 and 3.5. Pixel 2 is 1.5 away from both.
    >>> scores_to_mask(scores, (2, 5), 2, 3)
    tensor([[0, 0, 0, 1, 1],
            [0, 0, 0, 1, 1]])
    """
    if scores.ndim != 3:
        raise ValueError(f"expected scores (num_classes, rows, cols), got shape {tuple(scores.shape)}")
    ### BEGIN SOLUTION
    height, width = image_size
    _, rows, cols = scores.shape

    def nearest(size, count):
        # Window i takes over behind the middle of two centres: from 2 * pixel = 2 * i * stride + window - stride on.
        index = (2 * torch.arange(size) - window + stride) // (2 * stride)
        return index.clamp(0, count - 1)  # the margin takes the outermost windows

    labels = scores.argmax(dim=0)  # (rows, cols)
    return labels[nearest(height, rows)[:, None], nearest(width, cols)]  # (H, W)
    ### END SOLUTION


# %% [markdown] locked="help_scores_to_mask"
# **Expected picture.** The mask of the hand-made classifier, laid over the photo. The dots are centres of windows,
# every third one; the first lies 15.5 pixels from the edges:
#
# ![The coarse map of two classes, and the photo of the red cup with the mask laid over it: saucer and cup are marked,
# and the mask's border follows theirs](expected_scores_to_mask.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Draw one dimension: 11 pixels, window 4, stride 2. Mark the four centres, and write under each pixel the number of the
# nearest. You need one such list for the rows and one for the columns.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Either compute all distances between pixels and centres and take the smallest of each pixel (mind which one `argmin`
# or `min` takes among equals), or find the rule by which the index grows with the pixel: it steps up by one every
# `stride` pixels. Where is the first step? Clamp the index at both ends: that is the margin.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# The arg-max over the classes gives labels of shape (rows, cols). With an index of H numbers for the rows and one of W
# numbers for the columns, `labels[row_index][:, col_index]` is the mask. For the index: window i + 1 takes over behind
# the middle between two centres. Multiply everything by two, so that halves become whole numbers, and use `//`. At a
# tie the index must stay at the earlier window: try window 3, stride 2.
#
# </details>
# <details><summary>"Shifted by half a window", "only one pixel off", "the margin is class 0"</summary>
#
# * *Everything is too far up and left*: you laid the label at the start of its window, not at its centre.
# * *Borders one pixel off*: the centre of pixels 0 … 63 is 31.5, not 32. Or the tie rule: the earlier window wins;
#   `round` takes the even one of two.
# * *The map is stretched to the edges*: the outermost centres are not at the outermost pixels.
# * *The margin stays class 0, or 255*: the lecture's `paint` leaves it unknown. Here, clamp the index.
# * *Shape (W, H)*: `image_size` is (height, width).
#
# </details>

# %% check="scores_to_mask" points=4
check(scores_to_mask)

# %% picture="scores_to_mask"
with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    scores = sliding_window_scores(redness, coffee, 32, 8, batch_size=256)  # (2, 47, 72)
    mask = scores_to_mask(scores, (400, 600), 32, 8)  # (400, 600), 1 where it is red
    pictures = [2 * scores.argmax(0), overlay(coffee, 2 * mask)]  # in colour 2, blue
    figure = show_images(pictures, ["the coarse map", "laid on the pixels"], width=8)
    down, across = torch.meshgrid(15.5 + 24 * torch.arange(16), 15.5 + 24 * torch.arange(24), indexing="ij")
    figure.axes[1].scatter(across, down, s=3, color="white")
    show(figure, alt="The coarse map, and the mask over the photo: saucer and cup are marked; dots show the centres")

# %% [markdown] locked="about_shared_feature_scores"
# ## 5 · `shared_feature_scores`
#
# *About 40 minutes · difficulty 3 of 3 · 5 points*
#
# > The slide says: which instant optimisation is possible here?
#
# Neighbouring windows overlap by 56 of 64 pixels, and the convolutions compute the same numbers again and again. So cut
# the classifier in two: **features** (convolutions and pooling) and a **head** (dense layers). Run the features *once*
# on the whole picture, then move over the *feature map* instead of the picture and run only the head at every place.
# With three poolings and padded convolutions, for example, 256 × 256 pixels become 32 × 32 features, and the head sees
# windows of 8 × 8 of them.
#
# Two numbers translate pixels into features:
#
# * The **jump**: how many pixels lie between neighbouring features, the product of all strides. Three poolings: 8.
#   Moving the window by `stride` pixels moves it by `stride / jump` features, so the jump must divide the stride.
# * The **feature window** k: how many features one window is wide. Without padding this is less than `window / jump`:
#   in LeNet 64 pixels with jump 4 give 13, not 16. The surest way to learn k is to run the features once on a picture
#   of one window's size and to look.
#
# ```python
# shared_feature_scores(features, head, image: Tensor, window: int, stride: int, jump: int) -> Tensor
# ```
#
# | argument | shape or type | meaning |
# |---|---|---|
# | `features` | callable | maps (1, C, H, W) to (1, D, h, w), for any H and W not smaller than the window |
# | `head` | callable | maps feature windows (B, D, k, k) to scores (B, num_classes), for any B |
# | `image` | (C, H, W), float | the picture |
# | `window`, `stride` | int, pixels | as before |
# | `jump` | int, ≥ 1, pixels | distance of neighbouring features |
# | **returns** | (num_classes, rows, cols) | the scores of every window, as in exercise 3 |
#
# * If no layer of `features` pads, the answer equals the naive one, that of `sliding_window_scores` with the classifier
#   head(features(x)). (With padding it does not: at a window's edge the naive way sees zeros where this one sees the
#   neighbour. The lecture shows it.)
# * `features` sees the whole picture exactly once and, if you like, one picture of a single window's size; nothing
#   else. (For a picture that is one window, these are two calls with the same size. Pixels at the right and lower edge
#   that no window reaches may be left out.)
# * `head` is given the feature window of each window once, and nothing else.
# * rows and cols are those of `window_starts`. Careful: if a window's last pixels reach no feature, one more feature
#   window may fit the feature map, and its pixels would stick out of the picture. It does not count, and the head does
#   not see it.
# * Record no gradient while `features` and `head` run.
# * Given in the stub: a `ValueError` if the jump does not divide the stride.


# %% solution="shared_feature_scores"
def shared_feature_scores(features, head, image: Tensor, window: int, stride: int, jump: int) -> Tensor:
    """Scores (num_classes, rows, cols) of every window, with the features of the whole picture computed once.

    >>> halve, flatten = nn.AvgPool2d(2), nn.Flatten()  # features with jump 2, and a head that just lists them
    >>> shared_feature_scores(halve, flatten, torch.ones(1, 6, 8), 2, 2, 2).shape
    torch.Size([1, 3, 4])
    """
    if stride % jump != 0:
        raise ValueError(f"the jump must divide the stride, got stride {stride} and jump {jump}")
    ### BEGIN SOLUTION
    rows, cols = extract_windows(image, window, stride).shape[:2]  # a view: it costs nothing
    step = stride // jump
    with torch.no_grad():
        k = features(image[None, :, :window, :window]).shape[-1]  # what one window looks like from behind
        feature_map = features(image[None])[0]  # (D, h, w)
    # Only as many features as the windows reach: one more row may fit, of a window that sticks out of the picture.
    feature_map = feature_map[:, : (rows - 1) * step + k, : (cols - 1) * step + k]
    # The same sliding window once more, one level deeper: the head is the classifier, the feature map is the picture.
    return sliding_window_scores(head, feature_map, k, step, batch_size=rows * cols)
    ### END SOLUTION


# %% [markdown] locked="help_shared_feature_scores"
# There is no new picture: the map must be the one that you know. The last cells of this notebook compare the two.
#
# <details><summary>Hint 1: a nudge</summary>
#
# Read your `sliding_window_scores` again. What would happen if you gave it a feature map instead of a picture, and a
# head instead of a classifier?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Three steps: learn k from a picture of one window's size (a crop, or zeros). Run the features on the whole picture.
# Slide over the feature map with window k and stride `stride // jump`. Then compare the numbers of rows and columns
# with `window_starts`.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `features` wants a batch dimension: `image[None]` adds it, `[0]` takes it away. k is the last number of the shape that
# `features` gives for `image[None, :, :window, :window]`. The rest is one call of `sliding_window_scores` on the
# feature map. Cut the feature map before that call, so that a surplus row or column cannot arise: `rows` windows,
# `step` apart and k large, reach `(rows − 1) · step + k` features. `extract_windows(image, …).shape` tells rows and
# columns for free. The features run outside of `sliding_window_scores`, so they need a `torch.no_grad` of their own.
#
# </details>
# <details><summary>"Your map is 7 × 7", "shapes cannot be multiplied", "one row too many", "too many calls"</summary>
#
# * *The map is much too small*: you moved by `stride` features. Moving by 8 pixels is moving by 2 features, if the jump
#   is 4.
# * *`mat1 and mat2 shapes cannot be multiplied`*: the head was given windows of another size than k. `window / jump` is
#   right for padded networks only.
# * *One row or column too many*: its window sticks out of the picture. Compare with `window_starts`.
# * *Features are computed too often*: once for the picture, at most once for a single window. Not once per row.
# * *Nearly equal to the naive map, but not quite*: does a layer of your features pad?
#
# </details>

# %% check="shared_feature_scores" points=5
check(shared_feature_scores)

# %% [markdown] locked="about_multiply_adds"
# ## 6 · `multiply_adds`
#
# *About 20 minutes · difficulty 2 of 3 · 2 points*
#
# > The slide says: most of the computation will be in the convolutions.
#
# How much faster *can* the shared way be? Count before you measure: one multiply-add is one product that is added to a
# sum.
#
# * A **convolution** computes, for every output pixel and every output channel, one sum over `kernel_size` ×
#   `kernel_size` pixels of all input channels.
# * A **dense** (linear) layer has one product per weight. It flattens whatever comes in and runs once. After it come
#   only other dense layers.
# * **Pooling** costs nothing in this count, and neither do biases and activations. But pooling changes the size of the
#   map.
#
# A convolution or pooling with kernel k, stride s and padding p makes ⌊(n + 2p − k) / s⌋ + 1 pixels out of n. Poolings
# have no padding here (p = 0), and no such entry.
#
# ```python
# multiply_adds(layers: list[dict], height: int, width: int) -> int
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `layers` | list of dict | the layers in order, each described as below; activations are left out |
# | `height`, `width` | int, pixels | size of the picture; it has as many channels as the first layer takes |
# | **returns** | int | multiply-adds of one forward pass for one picture |
#
# The descriptions use the names of `torch.nn`:
#
# ```python
# {"kind": "conv", "in_channels": 3, "out_channels": 6, "kernel_size": 5, "stride": 1, "padding": 0}
# {"kind": "pool", "kernel_size": 2, "stride": 2}
# {"kind": "linear", "in_features": 2704, "out_features": 120}
# ```
#
# * Height and width may differ; kernels, strides and paddings are the same in both directions.
# * The layers fit one another; you need not check that. No layers cost 0.


# %% solution="multiply_adds"
def multiply_adds(layers: list[dict], height: int, width: int) -> int:
    """Multiply-adds of one forward pass of a chain of layers over a picture of height x width.

    >>> dense = {"kind": "linear", "in_features": 400, "out_features": 120}
    >>> multiply_adds([dense], 5, 5)
    48000
    """
    ### BEGIN SOLUTION
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
        else:
            room = 2 * layer.get("padding", 0) - layer["kernel_size"]
            height, width = ((size + room) // layer["stride"] + 1 for size in (height, width))
        if layer["kind"] == "conv":
            kernel = layer["kernel_size"] ** 2 * layer["in_channels"]  # products in one number of the output
            total += kernel * layer["out_channels"] * height * width
    return total
    ### END SOLUTION


# %% [markdown] locked="help_multiply_adds"
# **Expected output** of the cell under the check:
#
# ```
# LeNet on one window         3,577,800
# naive, 625 windows      2,236,125,000
# shared                    273,923,400
# possible gain                     8.2
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# Walk through the layers and keep two numbers: height and width of the map so far. What does each kind of layer do to
# them, and what does it add to the count?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# For a convolution, first compute the *output's* size, then count: one dot product per number of the output. How long
# is that dot product? For a linear layer, in_features × out_features. Pooling only changes the size.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Before the loop: a total of 0. In the loop: new height and new width for convolutions and poolings alike, where
# `layer.get("padding", 0)` serves both. Then one line for what a convolution adds, and one for a linear layer. Stay
# with Python's integers: `//`, never `/`.
#
# </details>
# <details><summary>"Too large by a small factor", "too small by the number of channels", "KeyError"</summary>
#
# * *A little too large*: you multiplied by the size of the input instead of the output, or you counted biases.
# * *Too small by a whole factor*: every output channel looks at *all* input channels; and the kernel is square, k².
# * *Too large by a factor of 2*: a multiplication with its addition is one multiply-add.
# * *The stride or padding case fails*: padding lies on both sides; the division rounds down.
# * *The dense layer is counted per pixel*: it flattens the map and runs once.
# * *`KeyError: 'padding'`*: poolings have no such entry.
#
# </details>

# %% check="multiply_adds" points=2
check(multiply_adds)

# %%
WINDOW, STRIDE, JUMP = 64, 8, 4
FEATURES = [conv(3, 6, 5), pool(2), conv(6, 16, 5), pool(2)]
HEAD = [linear(2704, 120), linear(120, 84), linear(84, 10)]

with once_written():
    one_window = multiply_adds(FEATURES + HEAD, WINDOW, WINDOW)
    shared = multiply_adds(FEATURES, 256, 256) + 625 * multiply_adds(HEAD, 13, 13)
    print(f"LeNet on one window  {one_window:>16,}")
    print(f"naive, 625 windows   {625 * one_window:>16,}")
    print(f"shared               {shared:>16,}")
    print(f"possible gain        {625 * one_window / shared:>16.1f}")

# %% [markdown]
# ## Your functions at work
#
# Now a LeNet that learned. It was never shown a mask, only crops with one label each. Its inputs are scaled from [0, 1]
# to [-2, 2], around zero, where training is quicker. Training takes five to ten seconds.

# %%
torch.manual_seed(0)
lenet_features = nn.Sequential(
    *(nn.Conv2d(3, 6, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(6, 16, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2)),
)  # (B, 3, 64, 64) -> (B, 16, 13, 13), no padding anywhere
lenet_head = nn.Sequential(
    nn.Flatten(), nn.Linear(2704, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, len(CLASSES))
)  # (B, 16, 13, 13) -> (B, 5)
lenet = nn.Sequential(lenet_features, lenet_head)

crops, labels = load_crops("train", size=64, count=1500, seed=0)  # (1500, 3, 64, 64), (1500,)
crops = torch.cat([crops, crops.flip(3)])  # each once more, mirrored: (3000, 3, 64, 64)
history = fit(lenet, 4 * crops - 2, labels.repeat(2), steps=200, batch_size=32, lr=3e-3, seed=0)

# %%
scenes = load_scenes("val", size=256, count=8, seed=0)
pictures, truths = 4 * scenes.images - 2, scenes.masks  # (8, 3, 256, 256), as in training, and (8, 256, 256)

with once_written():
    began = time.perf_counter()
    naive_map = sliding_window_scores(lenet, pictures[0], WINDOW, STRIDE, batch_size=64)  # (5, 25, 25)
    middle = time.perf_counter()
    shared_map = shared_feature_scores(lenet_features, lenet_head, pictures[0], WINDOW, STRIDE, JUMP)  # (5, 25, 25)
    ended = time.perf_counter()
    print(f"largest difference of the two maps: {(naive_map - shared_map).abs().max():.1e}")
    naive_time, shared_time = middle - began, ended - middle
    print(f"naive {naive_time:.3f} s, shared {shared_time:.3f} s: {naive_time / shared_time:.1f} times faster")

    maps = [shared_feature_scores(lenet_features, lenet_head, one, WINDOW, STRIDE, JUMP) for one in pictures]
    yours = torch.stack([scores_to_mask(one, (256, 256), WINDOW, STRIDE) for one in maps])  # (8, 256, 256)
    print(f"\n{'eight scenes':22}  pixels right   mIoU")
    for name, masks in {"your masks": yours, "nothing but background": torch.zeros_like(truths)}.items():
        as_scores = nn.functional.one_hot(masks, len(CLASSES)).permute(0, 3, 1, 2)  # (8, 5, 256, 256)
        print(f"{name:22} {(masks == truths).float().mean():13.0%} {miou(as_scores, truths):6.2f}")
    figure = show_images(
        [scenes.images[0], overlay(scenes.images[0], truths[0]), overlay(scenes.images[0], yours[0])],
        ["a scene it never saw", "the truth", "your mask"],
        class_names=CLASSES,
    )
    show(figure, alt="A scene with clothes, its true mask, and the coarse mask of the sliding window")

# %% [markdown]
# Look at your mask. Paint lies on the objects, in coarse blocks, but a strange window on the background gets a class as
# well. The network had 200 steps of training on crops, equally many of each class, so it expects garments everywhere.
#
# Then look at the numbers. A mask of nothing but background has more **pixels right** than yours: most of a scene is
# background, and whatever you paint there in vain counts against you. The **mean IoU** (lesson 01) asks each class in
# turn, and the empty mask gets 0 for four of the five. There yours is ahead, although it is still low. The lecture
# shows what longer training adds.
#
# And is the measured gain what you counted? If it differs, think of what the count leaves out: memory traffic, the
# price of each call, how well a batch fills the machine.
#
# Lesson 03 takes the next step: if the head is a convolution too, nothing has to be cut into windows any more.
