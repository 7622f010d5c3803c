# %% [markdown]
# # 01 · Tasks, loss, metric: exercises
#
# Before there is a network, three things must be clear: what we want from it, how wrong it is, and how good it is. You
# write all three, and every lesson after this one uses them:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `instances_to_semantic` | from numbered objects to classes | 15 | ● | 3 |
# | 2 `boundary_mask` | where two labels meet | 15 | ●● | 3 |
# | 3 `pixel_cross_entropy` | the loss of a mask, from scratch | 45 | ●●● | 6 |
# | 4 `confusion_matrix` | what was taken for what | 20 | ●● | 3 |
# | 5 `iou_per_class` | intersection over union | 15 | ● | 3 |
# | 6 `mean_iou` | one number for a data set | 10 | ● | 2 |
#
# **Red is where you start.** Every function below is a stub that raises `NotImplementedError`, so no check can pass
# yet. At first a check only says that the function is not written; later it shows a table, red where something is
# wrong. Nothing is broken: write the function, run its cell, run the check under it, and repeat. Red is the normal
# state of work in this course, and it says what to look at next.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: other sizes, pictures that are not square, more classes. So write
# what the statement says, not what the visible check happens to ask.
#
# **What is given.** The first lines of a stub check the arguments, so that a wrong shape or dtype is reported in plain
# words. They are ours; leave them and write below. You refuse something yourself only where the statement asks for it.
#
# **Conventions of the whole course.** Logits are (N, C, H, W): pictures, classes, rows, columns. Masks are (N, H, W)
# or (H, W), in int64. The label 255 means "nobody knows", and such pixels do not count: that is `ignore_index`. The
# arguments come as (logits, target) or (pred, target), the truth last.

# %%
import math

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from seglab import check, once_written
from seglab.data.nuclei import load_nuclei
from seglab.figures import overlay, show, show_images
from seglab.training import fit, predict_logits

# %% [markdown] locked="about_instances_to_semantic"
# ## 1 · `instances_to_semantic`
#
# *About 15 minutes · difficulty 1 of 3 · 3 points · slides "semantic segmentation", "semantic instance segmentation"*
#
# People who label pictures usually draw objects: one outline each. The file then holds a number per pixel, 0 for the
# background, 1, 2, 3, … for the objects, and a list that says which class each object has. From that you can always
# make a semantic mask, a class per pixel. Not the other way round: two cells that touch become one spot.
#
# ```python
# instances_to_semantic(instances: Tensor, class_of: Tensor, ignore_index: int = 255) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `instances` | (H, W) | int64 | 0 is the background, k is object number k, `ignore_index` is unknown |
# | `class_of` | (K + 1,) | int64 | the class of each number; entry 0 is the background's class |
# | `ignore_index` | int | | the number of pixels that nobody could label |
# | **returns** | (H, W) | int64 | the class of each pixel; ignored pixels keep `ignore_index` |
#
# * The background's class is whatever entry 0 says. It need not be 0, and objects may have class 0.
# * Not every object must be in the picture, and a picture may be ignored as a whole. An object's class may itself be
#   `ignore_index`: an object that nobody could name.
# * `ignore_index` wins: a pixel of that number is never an object, even where `class_of` is so long that it has an
#   entry for it. (With more than 254 objects, choose another `ignore_index`, for example −1.)
# * A number that is not ignored and has no entry in `class_of` is a mistake in the labels, negative numbers included.
#   Raise `ValueError` with a message: a wrong class would go unnoticed for ever.


# %% solution="instances_to_semantic"
def instances_to_semantic(instances: Tensor, class_of: Tensor, ignore_index: int = 255) -> Tensor:
    """Class mask (H, W), int64, from a map of numbered objects (H, W) and the class of each number (K + 1,).

    >>> instances_to_semantic(torch.tensor([[0, 1, 1], [2, 2, 255]]), torch.tensor([0, 5, 3]))
    tensor([[  0,   5,   5],
            [  3,   3, 255]])
    """
    if instances.ndim != 2 or class_of.ndim != 1 or not instances.dtype == class_of.dtype == torch.int64:
        got = f"{instances.dtype} {tuple(instances.shape)} and {class_of.dtype} {tuple(class_of.shape)}"
        raise ValueError(f"expected instances (H, W) and class_of (K + 1,), both int64, got {got}")
    ### BEGIN SOLUTION
    ignored = instances == ignore_index
    numbers = torch.where(ignored, 0, instances)  # any number that has a class: the result is overwritten below
    if ((numbers < 0) | (numbers >= len(class_of))).any():  # -1 would quietly mean the last object
        raise ValueError(f"objects {numbers.min()} to {numbers.max()}, but classes for 0 to {len(class_of) - 1}")
    return torch.where(ignored, ignore_index, class_of[numbers])
    ### END SOLUTION


# %% [markdown] locked="help_instances_to_semantic"
# **Expected picture.** Real nuclei, sorted into two classes by their area. Those that the edge of the crop cuts are
# ignored (white): nobody can say how large they are.
#
# ![A microscope picture of nuclei; its objects, each in a colour; and its classes: small and large nuclei, and white
# ones at the edge](expected_instances_to_semantic.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# `class_of` is a table. For every pixel you look one entry up. Which numbers must not be looked up, and what do these
# pixels get instead? The background is looked up like the rest.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# A tensor can be indexed by a tensor: `table[numbers]` has the shape of `numbers`. That is one step for all objects,
# and nothing can be replaced twice. First put a harmless number where pixels are ignored, in a copy (`torch.where`
# makes one), and restore `ignore_index` at these places in the end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Three steps: (1) a mask of the ignored pixels; (2) the numbers with 0 at these pixels, and a `ValueError` if any of
# them is below 0 or not below `len(class_of)`; (3) look up, then put `ignore_index` back. The order matters: what is
# ignored must be out of the way before you refuse anything.
#
# </details>
# <details><summary>"Object 3 got object 1's class", "IndexError", "-1 passes"</summary>
#
# * *Some objects get a wrong class, not all*: you replace numbers one by one in the same tensor. A class that was just
#   written is taken for an object later.
# * *All classes are shifted by one*: entry 0 is the background.
# * *`IndexError`*: that is torch's message for a number too large. Compare before you look up.
# * *−1 gives the last object's class*: an index of −1 counts from the end.
# * *255 is an error*: you refuse, or look up, before the ignored pixels are set aside.
#
# </details>

# %% check="instances_to_semantic" points=3
check(instances_to_semantic)

# %% picture="instances_to_semantic"
images, maps = load_nuclei("train")  # (12, 1, 128, 128), (12, 128, 128)
picture, nuclei = images[9], maps[9]  # (1, 128, 128), (128, 128)
area = nuclei.flatten().bincount()  # (17,): pixels of the background and of each nucleus
size_class = 1 + (area > 400).long()  # 1: small, 2: large
size_class[0] = 0
edge = torch.cat([nuclei[0], nuclei[-1], nuclei[:, 0], nuclei[:, -1]]).unique()
size_class[edge[edge > 0]] = 255  # cut by the edge of the crop

with once_written():
    sizes = instances_to_semantic(nuclei, size_class)  # (128, 128)
    figure = show_images(
        [picture, nuclei, sizes],
        [
            "the picture",
            "objects, one colour each",
            "classes: blue large, orange small,\nwhite ignored, grey background",
        ],
    )
    show(figure, alt="Nuclei under a microscope, their objects each in a colour, and their classes by size")

# %% [markdown] locked="about_boundary_mask"
# ## 2 · `boundary_mask`
#
# *About 15 minutes · difficulty 2 of 3 · 3 points · slide "boundary segmentation"*
#
# The second of the lecture's three tasks: mark the pixels where one thing ends and another begins. A pixel is on the
# boundary if one of its four neighbours (above, below, left, right) has another label. So both sides of a border are
# marked, and the line is two pixels wide.
#
# ```python
# boundary_mask(mask: Tensor) -> Tensor
# ```
#
# | argument | shape | dtype | meaning |
# |---|---|---|---|
# | `mask` | (…, H, W) | int64 | labels: classes or object numbers, also negative or very large ones |
# | **returns** | (…, H, W) | bool | True where a 4-neighbour has another label |
#
# * The three dots stand for any number of leading dimensions, also none: (H, W), (N, H, W), … Each picture is on its
#   own.
# * Neighbours have a common side; touching at a corner is not enough.
# * Beyond the picture there is no label: its edge is no boundary. Pixels at the edge have fewer neighbours, and are
#   marked like all others. A picture may be one pixel high or wide.
# * Labels are names. They are only ever compared, and two different numbers are two labels, whatever their size: as
#   bytes, 1 and 257 would be the same. 255 is a label like any other here.


# %% solution="boundary_mask"
def boundary_mask(mask: Tensor) -> Tensor:
    """True where a pixel of (..., H, W) has another label above, below, left or right of it.

    >>> boundary_mask(torch.tensor([[7, 7, 7, 2, 2]]))
    tensor([[False, False,  True,  True, False]])
    """
    if mask.ndim < 2:
        raise ValueError(f"a mask has at least a height and a width, got shape {tuple(mask.shape)}")
    ### BEGIN SOLUTION
    boundary = torch.zeros(mask.shape, dtype=torch.bool)  # (..., H, W)
    rows_differ = mask[..., :-1, :] != mask[..., 1:, :]  # (..., H - 1, W): each row against the one below
    boundary[..., :-1, :] |= rows_differ  # the upper one of the two
    boundary[..., 1:, :] |= rows_differ  # and the lower one
    columns_differ = mask[..., :-1] != mask[..., 1:]  # (..., H, W - 1)
    boundary[..., :-1] |= columns_differ
    boundary[..., 1:] |= columns_differ
    return boundary
    ### END SOLUTION


# %% [markdown] locked="help_boundary_mask"
# **Expected picture.** Boundaries of the objects, and of the semantic mask "nucleus or not". Look for the lines that
# only the left one has:
#
# ![Two drawings of outlines of nuclei: in the first, nuclei that touch are parted by a line, in the second they run
# into each other](expected_boundary_mask.png)
#
# (The little cross in the second is a hole of one pixel in the mask, with its boundary.)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Begin with one row of five pixels. Between five pixels there are four places where a border can be. If there is one,
# which two pixels get marked? What is there to compare at the first and at the last pixel?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Compare the mask with itself, moved by one pixel: two slices, one without the last row, one without the first. That
# gives one row fewer than the picture has. Write it into a mask of False twice, once for each of the two sides. The
# same for columns. No padding is needed, and no number is computed with: labels are only ever compared.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# With `...` in front, a slice means the last dimensions, however many there are: `mask[..., 1:, :]` are all rows but
# the first, `mask[..., 1:]` all columns but the first. Collect with `|=`, which is "or": a pixel that is marked stays
# marked. `torch.zeros(shape, dtype=torch.bool)` begins with nothing marked.
#
# </details>
# <details><summary>"Half of the line is missing", "a frame around the picture", "a batch fails"</summary>
#
# * *The line is one pixel wide*: you mark one side only.
# * *A frame around the picture*: you compare with padding, or `torch.roll` brought the other edge in.
# * *The outermost pixels are never marked*: you look only at pixels that have all four neighbours.
# * *Corners are filled*: diagonal neighbours do not count.
# * *Fine for (H, W), wrong for (N, H, W)*: rows are dimension −2, columns −1. Dimension 0 may be the pictures.
# * *Some borders are missing*: `>` or `<` finds a border in one direction only, and a mean or a sum of neighbours can
#   hit the label by chance. Ask whether labels are different.
# * *Large or negative labels make no boundary*: bytes and floats take different numbers for the same.
#
# </details>

# %% check="boundary_mask" points=3
check(boundary_mask)

# %% picture="boundary_mask"
nuclei = load_nuclei("train")[1][9]  # (128, 128)
with once_written():
    between_objects = boundary_mask(nuclei)  # (128, 128)
    between_classes = boundary_mask((nuclei > 0).long())  # (128, 128)
    lines = [between_objects.float(), between_classes.float()]
    figure = show_images(lines, ["boundaries of the objects", "boundaries of the semantic mask"], width=8)
    show(figure, alt="Outlines of nuclei, with and without the lines between nuclei that touch")

# %% [markdown] locked="about_pixel_cross_entropy"
# ## 3 · `pixel_cross_entropy`
#
# *About 45 minutes · difficulty 3 of 3 · 6 points · slide "pixel-wise loss is the log loss, summed over all possible
# classes; this scoring is repeated over all pixels and averaged"*
#
# For one pixel with logits $z_1, \dots, z_C$ the softmax gives probabilities, and the loss is
#
# $$-\sum_{k} y_k \log p_k = -\log p_{\text{label}}, \qquad p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}$$
#
# because $y$ is 1 for the label and 0 elsewhere. The average runs over the pixels whose label is known. Everybody calls
# the library for this. You write it once, because two things go wrong when it is written as it stands there:
#
# * **Overflow.** $e^{100}$ does not fit into float32. Logits of 10,000 must give a right, finite loss and a finite
#   gradient, also where they lie at another level from pixel to pixel: around 10,000 here, around −10,000 there.
# * **Ignored pixels.** They count neither in the sum nor in the number of pixels that it is divided by.
#
# ```python
# pixel_cross_entropy(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `logits` | (N, C, H, W), C ≥ 2 | float32 | scores of each class, before any softmax |
# | `target` | (N, H, W) | int64 | the label of each pixel: 0 to C − 1, or `ignore_index` |
# | `ignore_index` | int | | pixels of this label do not count; it may be one of the classes |
# | **returns** | () | float32 | the mean loss of all valid pixels of the batch, with its gradient |
#
# * It is one mean over the valid pixels of the whole batch, with the natural logarithm.
# * The gradient must reach the logits: (softmax − one-hot) / number of valid pixels, and 0 at ignored ones. Autograd
#   does it, if you cut off none of its parts.
# * If no pixel is valid, the loss is 0 and the gradient 0. (torch's own loss is NaN then, and one such crop makes every
#   weight NaN.) It must still be possible to call `backward` on it.
# * Logits are finite numbers everywhere, at ignored pixels too: you need no defence against NaN or infinity in them.
#   Labels need no check of yours either.
# * **Not allowed** are torch's own functions for it: `cross_entropy`, `nll_loss` and `CrossEntropyLoss`, `NLLLoss` in
#   all their forms, `log_softmax`, `LogSoftmax`, `logsumexp`, `logaddexp`, `logcumsumexp`. The loss is what you write
#   here, from `exp`, `sum` and `log`. Your own helpers may have any name.


# %% solution="pixel_cross_entropy"
def pixel_cross_entropy(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """Mean cross entropy, shape (), over the pixels of (N, C, H, W) and (N, H, W) that are not ignored.

    >>> logits = torch.zeros(1, 2, 1, 3)  # two classes, equally likely in each of three pixels
    >>> pixel_cross_entropy(logits, torch.tensor([[[0, 1, 255]]]))  # log 2
    tensor(0.6931)
    """
    if logits.ndim != 4 or target.dtype != torch.int64 or target.shape != logits[:, 0].shape:
        got = f"{tuple(logits.shape)} and {target.dtype} {tuple(target.shape)}"
        raise ValueError(f"expected logits (N, C, H, W) and an int64 target (N, H, W), got {got}")
    ### BEGIN SOLUTION
    valid = target != ignore_index  # (N, H, W)
    label = torch.where(valid, target, 0)  # something to look up at ignored pixels, too
    # The softmax does not change when all logits of a pixel fall by the same number; now the largest is 0.
    lowered = logits - logits.max(dim=1, keepdim=True).values  # (N, C, H, W)
    log_sum = lowered.exp().sum(dim=1).log()  # (N, H, W): the sum lies between 1 and C
    chosen = lowered.gather(1, label.unsqueeze(1)).squeeze(1)  # (N, H, W)
    losses = torch.where(valid, log_sum - chosen, 0)  # (N, H, W)
    return losses.sum() / max(1, valid.sum().item())
    ### END SOLUTION


# %% [markdown] locked="help_pixel_cross_entropy"
# **Expected picture.** A "network" of one rule, the brighter the likelier a nucleus, four times: from left to right it
# gets surer of itself. You see your loss, and its gradient with respect to the logit for "nucleus": where training
# would push that logit up (brown), and where down (violet). Being sure pays, until it is sure of its mistakes.
#
# ![Nuclei with their true mask, and four maps of the gradient: weak everywhere at first, in the end white where the
# rule is right and dark brown inside dim nuclei](expected_pixel_cross_entropy.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Take the log of the softmax on paper before you write code: a quotient becomes a difference. Then ask what happens to
# the softmax if you add the same number to all logits of one pixel, and which number would be a good one.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# −log p = log Σ exp(z) − z_label. Subtract from all logits of a pixel the largest of *that pixel*: then the sum of
# exponentials lies between 1 and C, and its log is harmless. `gather` along dimension 1 picks the label's logit in
# every pixel; it needs an index of shape (N, 1, H, W) in which every entry is a class, so give ignored pixels any class
# first. Then mean over valid pixels: a sum, and a number of pixels that is at least 1.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# ```python
# keep = ...                    # which pixels count, (N, H, W)
# index = ...                   # the label, and 0 where ignored, (N, H, W)
# z = logits - ...              # minus amax over dim 1, keepdim=True
# per_pixel = ... - z.gather(1, index[:, None])[:, 0]
# ```
#
# The rest: 0 where ignored (`torch.where`), sum, divide by the number of valid pixels, at least 1. A sum of nothing but
# zeros still knows its gradient.
#
# </details>
# <details><summary>"inf or nan", "a third too small", "the gradient is None", "shape of the index"</summary>
#
# * *inf or NaN for large logits*: exp overflowed, or the log of a rounded 0 was taken. Adding 1e-8 only hides it.
# * *inf or NaN only where levels differ*: you subtract one number from the whole batch, not from each pixel its own.
# * *NaN only if every pixel is ignored*: that is 0 / 0, or the mean of no numbers.
# * *Right without ignored pixels, too small with them*: you divide by all pixels.
# * *`index 255 is out of bounds`*: ignored pixels have no logit of that number, and need none.
# * *Values far too large*: sum instead of mean. *Too small by the number of classes*: the mean runs over classes. *Too
#   large by 1.44*: `log2`.
# * *Fine for one pixel, wrong for pictures*: `reshape(-1, C)` without moving the classes to the end mixes pixels.
# * *Never below 0.3 for two classes*: softmax was applied twice.
# * *`element 0 of tensors does not require grad`*: `item`, `detach`, `numpy` or a new tensor cut the gradient off. Only
#   without a valid pixel? A 0 that you write yourself does not depend on the logits; a sum of no losses does.
# * *The loss is right, the gradient is not*: something that depends on the logits was computed under `no_grad` or
#   detached. Only the number that you subtract for safety may be.
#
# </details>

# %% check="pixel_cross_entropy" points=6
check(pixel_cross_entropy)

# %% picture="pixel_cross_entropy"
images, maps = load_nuclei("train")
brightness, nucleus = images[0, 0], (maps[0] > 0).long()  # (128, 128) both

with once_written():
    figure = Figure(figsize=(11, 2.7), layout="constrained")
    axes = figure.subplots(1, 5)
    axes[0].imshow(overlay(images[0], nucleus, alpha=0.3).permute(1, 2, 0))
    axes[0].set_title("picture and truth", fontsize=10)
    for axis, slope in zip(axes[1:], (5, 20, 80, 320), strict=True):
        logits = torch.stack([torch.zeros_like(brightness), slope * (brightness - 0.2)])[None]  # (1, 2, 128, 128)
        loss = pixel_cross_entropy(logits.requires_grad_(), nucleus[None])
        loss.backward()
        push = logits.grad[0, 1] * nucleus.numel()  # (128, 128): probability of "nucleus" minus truth
        shown = axis.imshow(push, cmap="PuOr", vmin=-1, vmax=1)
        axis.set_title(f"slope {slope}: loss {loss:.3f}", fontsize=10)
    figure.colorbar(shown, ax=axes[-1], label="probability - truth")
    for axis in axes:
        axis.set_axis_off()
    show(figure, alt="Nuclei, and four maps of the gradient, which gets larger in dim nuclei that are missed")

# %% [markdown] locked="about_confusion_matrix"
# ## 4 · `confusion_matrix`
#
# *About 20 minutes · difficulty 2 of 3 · 3 points · slide "metric in segmentation"*
#
# Every metric of this course is computed from one small table: how many pixels of class i were predicted as class j.
# It is the right thing to keep while you walk through a data set, because tables of two batches can be *added*; a mean
# of two means cannot.
#
# ```python
# confusion_matrix(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `pred` | any | int64 or uint8 | the predicted class of each pixel |
# | `target` | as `pred` | int64 or uint8 | the true class, or `ignore_index` |
# | `num_classes` | int | | how many classes there are, whether or not they occur |
# | `ignore_index` | int | | pixels whose *target* is this do not count; it may be one of the classes |
# | **returns** | (num_classes, num_classes) | int64 | row i, column j: pixels of class i that were taken for class j |
#
# * Rows are the truth, columns the prediction. Other people have it the other way round.
# * At ignored pixels the prediction may be anything, also no class at all. At valid pixels, a prediction of
#   `ignore_index` is just another label, and must be a class.
# * A label of a valid pixel that lies outside 0 to `num_classes` − 1, in the prediction or in the truth, is a mistake
#   in the masks. Raise `ValueError` with a message: left out or counted somewhere, it would spoil the score unnoticed.
# * Masks from image files are often bytes (`uint8`). In bytes 29 · 30 does not fit, and even −1 and 255 are the same:
#   torch compares in the dtype of the tensor. Convert before you compute or compare.
# * A mask of True and False (`bool`) has neither of the two dtypes, and the given lines refuse it. Whoever calls the
#   function converts such a mask first, with `.long()`.
# * No valid pixel, or no pixel at all: zeros.
# * A loop over pixels is allowed, but too slow for a data set: it has millions.


# %% solution="confusion_matrix"
def confusion_matrix(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Counts (num_classes, num_classes), int64: [i, j] pixels of class i were predicted as class j.

    >>> confusion_matrix(pred=torch.tensor([0, 1, 1, 0]), target=torch.tensor([0, 0, 0, 255]), num_classes=2)
    tensor([[1, 2],
            [0, 0]])
    """
    if pred.shape != target.shape or not {pred.dtype, target.dtype} <= {torch.int64, torch.uint8}:
        got = f"{pred.dtype} {tuple(pred.shape)} and {target.dtype} {tuple(target.shape)}"
        raise ValueError(f"expected two masks of one shape, int64 or uint8, got {got}")
    ### BEGIN SOLUTION
    truth, found = target.to(torch.int64), pred.to(torch.int64)  # before anything is computed: bytes end at 255
    valid = truth != ignore_index
    truth, found = truth[valid], found[valid]  # (valid pixels,) each
    for labels in (truth, found):
        if ((labels < 0) | (labels >= num_classes)).any():
            raise ValueError(f"a label lies outside 0 to {num_classes - 1}")
    pair = truth * num_classes + found  # numbers the cells of the matrix, row by row
    counts = pair.bincount(minlength=num_classes * num_classes)
    return counts.view(num_classes, num_classes)
    ### END SOLUTION


# %% [markdown] locked="help_confusion_matrix"
# **Expected picture.** The brightness rule again, on four pictures it was not made for, with three classes: "dark",
# "dim nucleus", "bright nucleus". Rows are the truth:
#
# ![A table of 3 by 3 counts; most pixels are on the diagonal, and many pixels of dim nuclei were taken for
# background](expected_confusion_matrix.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Number the cells of the matrix in reading order. Which number has the cell in row i and column j? How would you count
# how often each number occurs?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Cell (i, j) has number i · `num_classes` + j. `torch.bincount` counts the numbers 0, 1, 2, … of a one-dimensional
# tensor, and `minlength` makes sure that cells at the end are there even if nothing fell into them. Choose the valid
# pixels first, by a mask of the truth: indexing with a mask gives one dimension, whatever the shape was.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# In this order: convert both to int64; pick the valid pixels of both with the same mask; refuse labels below 0 or from
# `num_classes` on, in both; number, count, bring into shape.
#
# </details>
# <details><summary>"The matrix is mirrored", "the shape is wrong", "bytes fail", "the label check fails"</summary>
#
# * *Mirrored at the diagonal*: truth and prediction are swapped. The truth chooses the row.
# * *`shape '[4, 4]' is invalid for input of size 6`*: `bincount` stops at the largest number that occurs: `minlength`.
# * *The same, with a size that is too large*: ignored pixels are still there, and number cells that do not exist.
# * *Wrong cells for bytes*: 29 · 30 + 29 does not fit into a byte.
# * *Every count is 0 or 1*: `matrix[t, p] += 1` with tensors as indices adds once per cell.
# * *A prediction of 2 with two classes passes*: its cell number is a valid one, of another row. Check both tensors.
# * *An error at ignored pixels*: choose the valid ones before you refuse anything.
#
# </details>

# %% check="confusion_matrix" points=3
check(confusion_matrix)

# %% picture="confusion_matrix"
NAMES = ("background", "dim nucleus", "bright nucleus")


def three_classes(brightness: Tensor, nucleus: Tensor) -> Tensor:
    """Background, and nuclei whose mean brightness is below or above 0.3: (H, W)."""
    found = torch.zeros_like(nucleus)
    for number in nucleus.unique()[1:]:
        here = nucleus == number
        found[here] = 1 + (brightness[here].mean() > 0.3).long()
    return found


images, maps = load_nuclei("test")  # (4, 1, 128, 128), (4, 128, 128)
truth = torch.stack([three_classes(image[0], one) for image, one in zip(images, maps, strict=True)])  # (4, 128, 128)
guess = (images[:, 0] > 0.2).long() + (images[:, 0] > 0.3).long()  # (4, 128, 128)

with once_written():
    table = confusion_matrix(guess, truth, 3)  # (3, 3)
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.imshow(table / table.sum(dim=1, keepdim=True), cmap="cividis", vmin=0, vmax=1)
    for i in range(3):
        for j in range(3):
            share = table[i, j] / table[i].sum()
            axis.text(j, i, f"{table[i, j]:,}", ha="center", va="center", color="black" if share > 0.5 else "white")
    labels = [name.replace(" ", "\n") for name in NAMES]
    axis.set(xticks=range(3), yticks=range(3), xticklabels=labels, yticklabels=labels)
    axis.set(xlabel="predicted as", ylabel="true class", title="pixels; colour: share of the row")
    show(figure, alt="A confusion matrix of three classes; most pixels lie on the diagonal")

# %% [markdown] locked="about_iou_per_class"
# ## 5 · `iou_per_class`
#
# *About 15 minutes · difficulty 1 of 3 · 3 points · slide "IoU = intersection / union"*
#
# For class k: the intersection is the set of pixels that are k in the truth *and* in the prediction, the union the set
# of those that are k in the truth *or* in the prediction. Both are sums of cells of the confusion matrix.
#
# ```python
# iou_per_class(confusion: Tensor) -> Tensor
# ```
#
# | argument | shape | dtype | meaning |
# |---|---|---|---|
# | `confusion` | (C, C) | int64 | rows are the truth, columns the prediction |
# | **returns** | (C,) | float64 | IoU of each class, between 0 and 1, or NaN |
#
# * A class that occurs **nowhere**, neither in the truth nor in the prediction, has no IoU: NaN. A class that occurs in
#   one of them only has 0, for it was missed, or invented.
# * Nothing is added to numerator or denominator "for stability".
# * Counts may be of a large data set, hence float64.


# %% solution="iou_per_class"
def iou_per_class(confusion: Tensor) -> Tensor:
    """Intersection over union of each class (C,), float64; NaN for a class that occurs nowhere.

    >>> iou_per_class(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    tensor([0.7500, 0.8000,    nan], dtype=torch.float64)
    """
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"a confusion matrix is square, got shape {tuple(confusion.shape)}")
    ### BEGIN SOLUTION
    both = confusion.diagonal()  # (C,): in the truth and in the prediction
    either = confusion.sum(dim=1) + confusion.sum(dim=0) - both  # the diagonal was counted in the row and the column
    return both.double() / either.double()  # 0 / 0 is NaN, just as we want it
    ### END SOLUTION


# %% [markdown] locked="help_iou_per_class"
# **Expected output** of the cell under the check:
#
# ```
# background      IoU 0.906
# dim nucleus     IoU 0.437
# bright nucleus  IoU 0.601
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# Draw a matrix of 3 × 3 and shade the cells that have to do with class 1: one row and one column. Which cell is the
# intersection? Which cell would you count twice if you added the row and the column?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Three vectors of length C: the diagonal, the sums of the rows, the sums of the columns. In floating point a division
# of 0 by 0 gives NaN and no error.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Intersection: `diagonal()`. Union: row sums plus column sums minus the diagonal. Convert to float64 with `double()`
# and divide.
#
# </details>
# <details><summary>"Values too small", "too large", "0 instead of NaN"</summary>
#
# * *A little too small, and 0.5 where all is right*: the right pixels are in the union twice.
# * *Too large*: 2 · intersection / (row + column) is Dice; row or column alone is recall or precision.
# * *0 or 1 instead of NaN*: do not replace it. The next exercise decides what becomes of it.
# * *NaN where 0 is expected*: a class that was only predicted is wrong, not absent.
# * *dtype*: torch divides integers to float32 by default.
#
# </details>

# %% check="iou_per_class" points=3
check(iou_per_class)

# %%
with once_written():
    for name, value in zip(NAMES, iou_per_class(confusion_matrix(guess, truth, 3)), strict=True):
        print(f"{name:15} IoU {value:.3f}")

# %% [markdown] locked="about_mean_iou"
# ## 6 · `mean_iou`
#
# *About 10 minutes · difficulty 1 of 3 · 2 points · slide "metric in segmentation"*
#
# The number in the papers' tables. It is a mean of ratios, so that a rare class weighs as much as the background. The
# one open question is what to do with a class that occurs nowhere. Libraries disagree, and published numbers moved
# because of it (the lecture computes the answers). In this course: leave it out.
#
# ```python
# mean_iou(confusion: Tensor) -> float
# ```
#
# | argument | shape | dtype | meaning |
# |---|---|---|---|
# | `confusion` | (C, C) | int64 | rows are the truth, columns the prediction, of the whole data set |
# | **returns** | | Python float | mean IoU of the classes that occur in the truth or in the prediction |
#
# * If no class occurs, the answer is NaN: nothing is known, which is not the same as 0.
# * A class that occurs but has no right pixel counts, with 0. The background is a class like the others.
# * You may call your `iou_per_class`.


# %% solution="mean_iou"
def mean_iou(confusion: Tensor) -> float:
    """Mean IoU of the classes that occur in the truth or in the prediction; NaN if there is none.

    >>> mean_iou(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    0.775
    """
    ### BEGIN SOLUTION
    ious = iou_per_class(confusion)
    return ious[~ious.isnan()].mean().item()  # the mean of no numbers is NaN
    ### END SOLUTION


# %% [markdown] locked="help_mean_iou"
# **Expected picture.** "Nucleus" is what is brighter than a threshold. Pixel accuracy and mean IoU, as the threshold
# goes from 0 (all is nucleus) to 1 (all is background):
#
# ![Two curves over the threshold, both highest near 0.2; to the right, pixel accuracy stays near 0.8 while mean IoU
# falls to 0.4](expected_mean_iou.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# One line is enough, once the IoU of each class is there. What is the mean of numbers of which one is NaN?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Leave the NaN out: choose with `isnan`, or look for a mean that does so by itself. What does your way give for no
# numbers at all?
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `Tensor.nanmean` skips NaN, and gives NaN if nothing else is there. `.item()` makes a Python float of a tensor with
# one number.
#
# </details>
# <details><summary>"nan", "too small", "a tensor"</summary>
#
# * *NaN as soon as a class is absent*: `mean` does not skip it.
# * *Too small*: the absent class counts with 0. *Too large*: it counts with 1, or zeros were left out as well.
# * *Right only for equally large classes*: sums over all classes were divided; that is another metric.
# * *`a tensor of shape ()`*: `.item()`.
#
# </details>

# %% check="mean_iou" points=2
check(mean_iou)

# %% picture="mean_iou"
images, maps = load_nuclei("test")
is_nucleus = (maps > 0).long()  # (4, 128, 128)
thresholds = torch.linspace(0, 1, 41)

with once_written():
    tables = [confusion_matrix((images[:, 0] > t).long(), is_nucleus, 2) for t in thresholds]
    figure = Figure(figsize=(6.5, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(thresholds, [mean_iou(table) for table in tables], color="#0072b2", label="mean IoU")
    accuracies = [(table.trace() / table.sum()).item() for table in tables]
    axis.plot(thresholds, accuracies, color="#d55e00", linestyle="--", label="pixel accuracy")
    axis.set(xlabel="threshold of the brightness (0 to 1)", ylabel="score (0 to 1)", ylim=(0, 1))
    axis.set_title("nucleus is what is brighter than a threshold")
    axis.legend(loc="center right")
    show(figure, alt="Pixel accuracy stays near 0.8 for a mask of nothing but background, mean IoU falls to 0.4")

# %% [markdown]
# ## Your functions at work
#
# All six at once: a real task, from the hand-labelled objects to the number in the table. The target has three classes:
# background, nucleus, and **boundary**, which would part nuclei that touch. The network is tiny: four convolutions at
# full resolution, no more. Training takes a few seconds, and it uses your loss.
#
# The pictures are multiplied by 4 first. Networks start with weights that are meant for inputs around 0 with a spread
# near 1, and train more slowly on others. These pictures are dark; multiplied by 4, most of their pixels lie between 0
# and 1. The scenes of later lessons are brighter. There the exercises use `4 * images - 2`, which turns 0 to 1 into −2
# to 2; it would put nearly all of these dark pixels between −2 and −1.

# %%
CLASS_NAMES = ("background", "nucleus", "boundary")


def three_part_target(nuclei: Tensor) -> Tensor:
    """Background 0, nucleus 1, boundary 2: (N, H, W) from object maps (N, H, W)."""
    nucleus_or_not = torch.ones(int(nuclei.max()) + 1, dtype=torch.int64)
    nucleus_or_not[0] = 0
    inside = torch.stack([instances_to_semantic(one, nucleus_or_not) for one in nuclei])  # (N, H, W)
    return inside.masked_fill(boundary_mask(nuclei), 2)


network = None  # until it is trained
with once_written():
    torch.manual_seed(0)
    untrained = nn.Sequential(
        *(nn.Conv2d(1, 8, kernel_size=5, padding=2), nn.ReLU()),
        *(nn.Conv2d(8, 8, kernel_size=5, padding=2), nn.ReLU()),
        *(nn.Conv2d(8, 8, kernel_size=5, padding=2), nn.ReLU()),
        nn.Conv2d(8, 3, kernel_size=1),
    )  # (N, 1, H, W) -> (N, 3, H, W)
    images, maps = load_nuclei("train")
    bright = 4 * images
    print(f"nine pixels in ten are darker than {images.quantile(0.9):.2f}, and now than {bright.quantile(0.9):.2f}")
    history = fit(
        untrained, bright, three_part_target(maps), loss=pixel_cross_entropy, steps=150, batch_size=4, lr=2e-2
    )
    network = untrained
    print(f"loss at the first step {history.losses[0]:.3f}; a network without any idea has {math.log(3):.3f}")
    print(f"loss at the last step  {history.losses[-1]:.3f}")

# %%
with once_written():
    if network is None:
        raise NotImplementedError
    images, maps = load_nuclei("test")
    target = three_part_target(maps)  # (4, 128, 128)
    found = predict_logits(network, 4 * images).argmax(dim=1)  # (4, 128, 128), as bright as in training

    for who, answer in (("your network", found), ("nothing but background", torch.zeros_like(target))):
        table = confusion_matrix(answer, target, 3)
        each = ", ".join(f"{name} {iou:.2f}" for name, iou in zip(CLASS_NAMES, iou_per_class(table), strict=True))
        print(f"{who:23} pixels right {table.trace() / table.sum():.2f}, mean IoU {mean_iou(table):.3f} ({each})")
    one_by_one = [mean_iou(confusion_matrix(answer, one, 3)) for answer, one in zip(found, target, strict=True)]
    print(f"mean of the four pictures' mean IoU: {sum(one_by_one) / 4:.3f}")

    figure = show_images(
        [images[0], overlay(images[0], target[0]), overlay(images[0], found[0])],
        ["a picture it never saw", "the truth", "the prediction"],
        class_names=CLASS_NAMES,
    )
    show(figure, alt="Nuclei, their true mask with boundaries, and the prediction of the small network")

# %% [markdown]
# Three things to see. The loss begins near log 3, the loss of a network that gives each class the same probability: a
# good check of any new loss, before you train for hours. The mask of nothing but background has most pixels right and a
# poor mean IoU: that is why this course measures with IoU. And the thin class, the boundary, is by far the worst: it
# has few pixels, so it hardly counts in a loss that is a mean over pixels. Look where two nuclei touch: is there a line
# between them? Lesson 08 needs that line, and lesson 09 comes back to rare classes.
#
# The mean of the pictures' mean IoU is another number than the mean IoU of all their pixels. Which one a paper means is
# rarely said. Here it is always the latter: add the confusion matrices, then compute.
#
# You have a task, a loss and a metric now, but the network was made up in passing. Lesson 02 starts from what you know,
# a classifier, and makes it segment.
