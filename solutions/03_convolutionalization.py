# %% [markdown]
# # 03 · Convolutionalization: exercises
#
# Lesson 02 left you with a head of dense (fully connected) layers that has to be run on every window, cut out by hand.
# In four exercises you turn the head into convolutions. Then the whole classifier runs once, on a picture of any size:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `linear_to_conv` | one dense layer as a convolution | 20 | ●● | 5 |
# | 2 `convolutionalize` | a whole classifier as one pass | 40 | ●●● | 7 |
# | 3 `pool_head_to_conv` | the same for a head with global average pooling | 15 | ●● | 4 |
# | 4 `map_size` | how large the map will be, and how coarse | 20 | ●● | 4 |
#
# **Red is where you start.** Every function below is a stub that raises `NotImplementedError`, so no check can pass.
# At first a check only says that the function is not written; later it shows a table, red where something is wrong.
# Nothing is broken: write the function, run its cell, run the check under it, and repeat.
#
# **The first lines of a stub are given.** They refuse arguments that make no sense, so that you need not. Write your
# part below them.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: other kernels, other layers, other sizes. So write what the
# statement says, not what the visible check happens to ask.
#
# **One builds on the other.** You may call your earlier functions in the later ones. A mistake then shows again further
# down, so look at the first red table first.

# %%
import time

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import CLASSES, load_crops, load_scenes
from seglab.figures import overlay, show, show_images
from seglab.layers import conv, pool
from seglab.training import fit

# The lesson's network, its dense layers already described as convolutions: exercise 4 and the end use it.
LENET = [conv(3, 6, 5), pool(2), conv(6, 16, 5), pool(2), conv(16, 120, 5), conv(120, 84, 1), conv(84, 5, 1)]

# %% [markdown] locked="about_linear_to_conv"
# ## 1 · `linear_to_conv`
#
# *About 20 minutes · difficulty 2 of 3 · 5 points · slide "16 × 5 × 5 → 400 → dense layer → 120"*
#
# LeNet flattens its 16 × 5 × 5 features into 400 numbers, and a dense layer makes 120 of them. Each of the 120 is a sum
# over all channels and all 5 × 5 places, with a weight for each. That is what one unit of a convolution with a 5 × 5
# kernel computes at one place. Same sum, same 48,000 weights, but the convolution also works when the features are
# larger: then it slides.
#
# Only one thing can go wrong, and it goes wrong silently: which weight belongs to which feature. `nn.Flatten` lists the
# features (C, h, w) channel by channel, and each channel row by row.
#
# ```python
# linear_to_conv(linear: nn.Linear, in_channels: int, kernel_size: int | tuple[int, int]) -> nn.Conv2d
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `linear` | `nn.Linear` | takes `in_channels` · kh · kw numbers, the flattened features (`in_channels`, kh, kw) |
# | `in_channels` | int, ≥ 1 | channels of the features |
# | `kernel_size` | int or (int, int) | features that one window is high and wide; one number means a square |
# | **returns** | `nn.Conv2d` | stride 1, padding 0: (N, `in_channels`, H, W) to (N, out_features, H−kh+1, W−kw+1) |
#
# * At every place, the convolution gives the numbers that `linear` gives for the flattened window there.
# * It has a bias if and only if `linear` has one.
# * An optimizer can train its weights. Whether it shares them with `linear` or has copies, and whether the weights of a
#   frozen `linear` (`requires_grad=False`) stay frozen, is up to you.
#
# Given: `kernel_size` as (kh, kw), and `ValueError` if `linear` takes another number of features.


# %% solution="linear_to_conv"
def linear_to_conv(linear: nn.Linear, in_channels: int, kernel_size: int | tuple[int, int]) -> nn.Conv2d:
    """The convolution that computes at every place what a dense layer says of the flattened features there.

    >>> layer = linear_to_conv(nn.Linear(400, 120), 16, 5)
    >>> layer(torch.zeros(1, 16, 5, 5)).shape, layer(torch.zeros(1, 16, 6, 9)).shape
    (torch.Size([1, 120, 1, 1]), torch.Size([1, 120, 2, 5]))
    """
    kh, kw = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if linear.in_features != in_channels * kh * kw:
        raise ValueError(f"in_features must be in_channels * kh * kw, which it is not in {linear}")
    ### BEGIN SOLUTION
    layer = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=linear.bias is not None)
    with torch.no_grad():  # copy_ moves numbers into the parameters that are there, so they stay trainable
        # Row o of the dense layer lists the weights of unit o in the order of flatten: channels, rows, columns.
        layer.weight.copy_(linear.weight.reshape(-1, in_channels, kh, kw))  # (out, in * kh * kw) -> (out, in, kh, kw)
        if linear.bias is not None:
            layer.bias.copy_(linear.bias)
    return layer
    ### END SOLUTION


# %% [markdown] locked="help_linear_to_conv"
# **Expected picture.** A dense layer with one unit, whose weights are a piece of a photo (less its mean). As a
# convolution it looks for that piece in the whole photo. Circles mark the corner at which the window begins:
#
# ![A photo of a cat with a frame around one eye, and a map of answers whose largest value is at the upper left corner
# of that frame](expected_linear_to_conv.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Print the shapes of both weights: `nn.Linear(400, 120).weight` and `nn.Conv2d(16, 120, 5).weight`. How many numbers
# are in each, and what does the first dimension mean?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Make an `nn.Conv2d` with the right numbers of channels, the kernel, and with or without bias. Then bring the dense
# weights into its weights' shape. The features were flattened from (C, kh, kw), so each row of the dense weights
# unfolds to just that shape, in that order: no `permute`. Write the numbers into the parameters that the convolution
# already has.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# One `reshape` of `linear.weight` to (out_features, in_channels, kh, kw). Under `torch.no_grad()`, `parameter.copy_(…)`
# puts numbers into a parameter in place. `bias=linear.bias is not None` goes into the constructor, and the bias has to
# be written as well.
#
# </details>
# <details><summary>"Right shape, wrong values", "too large a map", "a leaf Variable"</summary>
#
# * *Right shape, wrong values*: the weights were unfolded in another order. (h, w, C) followed by a `permute` is what
#   code from TensorFlow does; PyTorch flattens channels first. Or rows and columns are swapped, which a square kernel
#   hides in the shape, not in the values.
# * *Other values in every run, all off by one number per unit*: a new convolution has a random bias.
# * *Too large a map on one window*: padding must be 0, so that one window gives 1 × 1.
# * *Too small a map on larger features*: the stride must be 1.
# * *`a leaf Variable that requires grad is being used in an in-place operation`*: copy under `torch.no_grad()`. Do not
#   switch `requires_grad` off: the weights are to be trained.
#
# </details>

# %% check="linear_to_conv" points=5
check(linear_to_conv)

# %% picture="linear_to_conv"
with once_written():
    cat = photo("chelsea")  # (3, 300, 451)
    top, left, side = 84, 146, 48  # an eye
    piece = cat[:, top : top + side, left : left + side]  # (3, 48, 48)
    finder = nn.Linear(3 * side * side, 1, bias=False)
    contrast = piece - piece.mean(dim=(1, 2), keepdim=True)  # (3, 48, 48), so that a bright wall is no match
    finder.weight.data = contrast.flatten()[None] / contrast.square().sum()  # (1, 6912); the piece itself gives 1
    with torch.no_grad():
        answers = linear_to_conv(finder, 3, side)(cat[None])[0, 0]  # (253, 404)
    best = divmod(answers.argmax().item(), answers.shape[1])
    figure = show_images([cat, answers], ["the photo, and the piece", f"answers: {tuple(answers.shape)}"], width=8)
    for axis, (row, col) in zip(figure.axes, ((top, left), best), strict=True):
        axis.plot(col, row, "o", ms=9, mfc="none", mec="white", mew=2)  # the corner at which the window begins
    figure.axes[0].add_patch(plt.Rectangle((left, top), side, side, fill=False, color="white", lw=2))
    show(figure, alt="A cat with a frame around one eye, and a map of answers that is largest at the frame's corner")
    print(f"the piece was cut at ({top}, {left}); the largest answer is at {best}: {answers.max():.2f}")

# %% [markdown] locked="about_convolutionalize"
# ## 2 · `convolutionalize`
#
# *About 40 minutes · difficulty 3 of 3 · 7 points · slide "16 × 5 × 5 → 120 × 1 × 1 → 84 × 1 × 1 → 10 × 1 × 1"*
#
# Now the whole classifier. The features stay as they are. `nn.Flatten` goes. The first dense layer becomes a
# convolution with a kernel as large as the features of one window. All it leaves of a window is 1 × 1, so the next
# dense layers become convolutions with kernel 1. What stands between them works on every number by itself, or on every
# channel by itself, and must go on doing so.
#
# ```python
# convolutionalize(classifier: nn.Sequential, feature_shape: tuple[int, int, int]) -> nn.Sequential
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `classifier` | `nn.Sequential`, flat | maps windows (N, C, height, width) to scores (N, num_classes) |
# | `feature_shape` | (D, h, w) | what `nn.Flatten` gets from one window: channels, rows, columns |
# | **returns** | `nn.Sequential` | gives (N, num_classes, 1, 1) on windows, and a map on larger pictures |
#
# | in the classifier | becomes |
# |---|---|
# | `Conv2d`, `MaxPool2d`, `AvgPool2d`, `BatchNorm2d`, all before `Flatten` | itself |
# | one `Flatten()`, or `Flatten(1, 3)`, which does the same to (N, D, h, w) | nothing |
# | `Linear`, one or more behind it | `Conv2d` |
# | `BatchNorm1d` behind a `Linear`, or behind `Flatten` where h = w = 1 | `BatchNorm2d`, with all that is in it |
# | `ReLU`, `Tanh`, `Dropout`, anywhere | itself |
#
# * On a window the new network gives the classifier's scores. On a larger picture it gives, for networks without
#   padding, the scores of every window, one jump apart.
# * **Batch normalization** keeps weight and bias, its statistics, `eps` and `momentum`.
# * **Places.** A layer may stand in two places, such as one `ReLU` that is used again and again. It runs in both.
# * **Modes.** Each layer stays in the mode it is in, training or evaluation: dropout and batch normalization depend on
#   it. (Some people train with the statistics of a `BatchNorm` frozen, that is, with this one layer in evaluation.)
# * The weights can be trained. Whether the new network shares them with the classifier or has copies is up to you.
#
# Given: `ValueError` for a Sequential within the Sequential, for a pooling to a fixed size, and for more or fewer than
# one `Flatten`. A `feature_shape` that does not fit is refused by your `linear_to_conv`.


# %% solution="convolutionalize"
def convolutionalize(classifier: nn.Sequential, feature_shape: tuple[int, int, int]) -> nn.Sequential:
    """A fully convolutional version of a classifier; `feature_shape` is (D, h, w), what nn.Flatten gets from a window.

    >>> classifier = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 2))
    >>> network = convolutionalize(classifier, (3, 2, 2))
    >>> network(torch.zeros(1, 3, 4, 4)).shape, network(torch.zeros(1, 3, 20, 30)).shape
    (torch.Size([1, 2, 1, 1]), torch.Size([1, 2, 9, 14]))
    """
    if any(isinstance(layer, (nn.Sequential, nn.AdaptiveAvgPool2d)) for layer in classifier):
        raise ValueError("the layers must stand in one flat Sequential, without a pooling to a fixed size")
    if sum(isinstance(layer, nn.Flatten) for layer in classifier) != 1:
        raise ValueError("there must be exactly one Flatten")
    ### BEGIN SOLUTION
    channels, height, width = feature_shape  # what the next dense layer sees of one window
    parts = []
    for layer in classifier:  # in this order they run; modules() would list a layer in two places once
        if isinstance(layer, nn.Flatten):
            continue
        if isinstance(layer, nn.Linear):
            new = linear_to_conv(layer, channels, (height, width))
            channels, height, width = layer.out_features, 1, 1
        elif isinstance(layer, nn.BatchNorm1d):
            new = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum)
            new.load_state_dict(layer.state_dict())  # copies weights and statistics
        else:
            new = layer
        parts.append(new.train(layer.training))  # a new layer begins in training mode
    return nn.Sequential(*parts)
    ### END SOLUTION


# %% [markdown] locked="help_convolutionalize"
# **Expected picture.** A classifier of 32 × 32 windows made by hand tells "red" from "anything else". It is the one of
# lesson 02, as a network: means of 8 × 8 pixels, then one dense layer. Converted, it draws its map of 47 × 72
# probabilities in one pass:
#
# ![A photo of a red cup of coffee on a wooden table, and a coarse map of 47 by 72 probabilities that is brightest where
# the red saucer and the cup are](expected_convolutionalize.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Walk through the layers in the order in which they run, and keep what one window looks like at that point: (D, h, w)
# first. What is it behind the first dense layer? You need it for the next one.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# A loop over the layers with one branch per row of the table. For a dense layer, call your `linear_to_conv` with what
# one window looks like at this point, and note what it looks like behind it. Collect the new layers in a list.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Begin with `channels, height, width = feature_shape`; behind a dense layer they are `layer.out_features, 1, 1`. For
# `BatchNorm1d`: make an `nn.BatchNorm2d` with `num_features`, `eps` and `momentum` of the old one, then
# `new.load_state_dict(old.state_dict())`: both have the same names inside. New layers begin in training mode, so each
# needs `new.train(old.training)`.
#
# </details>
# <details><summary>"The second dense layer is refused", "wrong in training mode only", "only BatchNorm fails"</summary>
#
# * *`ValueError: in_features must be …` at the second dense layer*: its window is 1 × 1, and its channels are what the
#   first one gives.
# * *A size error on larger pictures*: `nn.Flatten` is still in.
# * *`expected 2D or 3D input`*: `BatchNorm1d` does not take maps.
# * *Wrong values with batch normalization*: besides weight and bias there are `running_mean`, `running_var` and `eps`.
# * *Only some modes fail*: a new layer begins in training mode. And `train(…)` of the whole Sequential sets every layer
#   in it.
# * *Right until a layer is used again*: `modules()` and `children()` list each layer once; `for layer in classifier`
#   goes through the places.
#
# </details>

# %% check="convolutionalize" points=7
check(convolutionalize)

# %% picture="convolutionalize"
with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    by_hand = nn.Linear(3 * 4 * 4, 2)
    red = torch.tensor([1 - 0.62, -0.62, -0.62])  # above 0 where red has more than 62 % of the light
    by_hand.weight.data = torch.stack([-red, red]).repeat_interleave(16, dim=1)  # (2, 48)
    by_hand.bias.data.zero_()
    patches = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), by_hand).eval()  # of windows of 32 x 32
    with torch.no_grad():
        probabilities = convolutionalize(patches, (3, 4, 4))(coffee[None])[0].softmax(0)  # (2, 47, 72)
    figure = show_images([coffee, probabilities[1]], ["the picture", "probability of “red”: 47 × 72"], width=8)
    show(figure, alt="A red cup on a wooden table, and a coarse map that is brightest on saucer and cup")

# %% [markdown] locked="about_pool_head_to_conv"
# ## 3 · `pool_head_to_conv`
#
# *About 15 minutes · difficulty 2 of 3 · 4 points · slide "components: global average pooling"*
#
# Networks since 2014 often have no large dense layer. They take the mean of each channel over all places, **global
# average pooling**, and one dense layer makes scores of the D means. Such a classifier accepts pictures of any size,
# but it answers with one vector for all of it. We want its answer at every place.
#
# Say (D, h, w) are the features of one window. At every place of a larger feature map, take the mean of the h × w
# features there and apply the dense layer. With h = w = 1 there is nothing to average, and the map says which place
# speaks for which class: the *class activation map* (Zhou et al. 2016). Mean and dense layer are both linear, so they
# can be exchanged: the mean of that map is the vector that the network gave in the first place.
#
# ```python
# pool_head_to_conv(linear: nn.Linear, feature_shape: tuple[int, int, int]) -> nn.Module
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `linear` | `nn.Linear` | takes D numbers, the means of the channels |
# | `feature_shape` | (D, h, w) | features of one window: channels, rows, columns |
# | **returns** | `nn.Module` | (N, D, H, W) to (N, out_features, H − h + 1, W − w + 1), for any H ≥ h and W ≥ w |
#
# * At every place the numbers that `linear` gives for the means of the window there.
# * How many weights the module has is up to you: those of the dense layer, or one for every place of the window.
#
# Given: `ValueError` if `linear` does not take D numbers. A dense layer that takes D · h · w belongs to another head.


# %% solution="pool_head_to_conv"
def pool_head_to_conv(linear: nn.Linear, feature_shape: tuple[int, int, int]) -> nn.Module:
    """The head "mean over the window, then a dense layer", at every place of a feature map.

    >>> head = pool_head_to_conv(nn.Linear(64, 10), (64, 4, 4))
    >>> head(torch.zeros(1, 64, 4, 4)).shape, head(torch.zeros(1, 64, 9, 5)).shape
    (torch.Size([1, 10, 1, 1]), torch.Size([1, 10, 6, 2]))
    """
    if linear.in_features != feature_shape[0]:
        raise ValueError(f"{linear} does not take the means of {feature_shape[0]} channels")
    ### BEGIN SOLUTION
    channels, *window = feature_shape
    mean = nn.AvgPool2d(window, stride=1)  # the mean of the window at every place
    return nn.Sequential(mean, linear_to_conv(linear, channels, 1))
    ### END SOLUTION


# %% [markdown] locked="help_pool_head_to_conv"
# **Expected picture.** The features are the three colours, and the dense layer knows "red". Windows of 1 × 1 give the
# class activation map, as sharp as the features. Windows of 32 × 32 give what the classifier would say of each window:
#
# ![The photo of the red cup, a sharp map in which saucer and cup are bright, and a blurred map of the
# same](expected_pool_head_to_conv.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Two steps: a mean over every window, then a dense layer at every place. For both there is a layer that you know.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Pooling with kernel (h, w) takes means of windows. By default it jumps from window to window; here the next window is
# one feature further. The dense layer at every place is a convolution with kernel 1: exercise 1.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# An `nn.Sequential` of `nn.AvgPool2d` with `stride=1` and your `linear_to_conv` with D channels and kernel 1. (Or one
# convolution with kernel (h, w): each weight of the dense layer, divided by h · w, at every place of the window.)
#
# </details>
# <details><summary>"The map is too small", "too large by a factor", "always 1 × 1"</summary>
#
# * *A map of H / h × W / w*: the stride of a pooling is its kernel unless you say something else.
# * *Too large by a factor of h · w*: a sum is no mean.
# * *Always 1 × 1*: the pooling takes all there is (`AdaptiveAvgPool2d`), instead of one window.
# * *Only windows that are not square fail*: rows first, then columns.
#
# </details>

# %% check="pool_head_to_conv" points=4
check(pool_head_to_conv)

# %% picture="pool_head_to_conv"
with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    knows_red = nn.Linear(3, 1, bias=False)
    knows_red.weight.data = torch.tensor([[1 - 0.62, -0.62, -0.62]])  # above 0: red has more than 62 % of the light
    with torch.no_grad():
        sharp, blurred = (pool_head_to_conv(knows_red, (3, k, k))(coffee[None])[0, 0] for k in (1, 32))
    titles = ["the picture", f"windows of 1: {sharp.shape[0]} × {sharp.shape[1]}"]
    titles.append(f"windows of 32: {blurred.shape[0]} × {blurred.shape[1]}")
    figure = show_images([coffee, sharp, blurred], titles, width=9)
    show(
        figure, alt="The photo of the red cup, its sharp class activation map, and the blurred map of 32 by 32 windows"
    )

# %% [markdown] locked="about_map_size"
# ## 4 · `map_size`
#
# *About 20 minutes · difficulty 2 of 3 · 4 points · slide "the mask is smaller than the picture"*
#
# One pass, but how large is the map, and how far apart are its outputs? Both follow from the layers; nothing has to be
# run. On paper: lay a kernel of 4 on 10 positions, at the left border. How often can you move it on by 3? At how many
# places did it stand, the first one included? With padding there are more positions, on both sides. With dilation 2 the
# kernel's elements lie 2 positions apart: how many positions does it span from its first element to its last?
#
# The distance of neighbouring outputs in pixels of the picture is the **jump** of the map. Behind two layers of stride
# 2, neighbouring outputs are 4 pixels apart.
#
# ```python
# map_size(size: int, layers: list[dict]) -> tuple[int, int]
# ```
#
# | argument | type | unit | meaning |
# |---|---|---|---|
# | `size` | int, ≥ 1 | pixels | height or width of the picture |
# | `layers` | list of dict | | the layers in order, as in lesson 02; activations are left out |
# | **returns** | (int, int) | outputs, pixels | size and jump of the map along this side |
#
# The descriptions use the names of `torch.nn`. `padding` and `dilation` may be missing, in convolutions and in
# poolings; then they are 0 and 1. Channels play no role here.
#
# ```python
# {"kind": "conv", "in_channels": 3, "out_channels": 6, "kernel_size": 5, "stride": 1, "padding": 2}
# {"kind": "pool", "kernel_size": 3, "stride": 2, "dilation": 2}
# ```
#
# * The last positions may be left over, where the kernel does not fit once more. That happens in every layer anew.
# * **A kernel that does not fit** into what the layers before it give, padding included, gives no map at all:
#   `ValueError` with a message, in whichever layer it happens. Padding of a later layer does not mend it.
# * No layers: the picture itself, with jump 1.
#
# Given: `ValueError` for a fully connected layer, which has no map.


# %% solution="map_size"
def map_size(size: int, layers: list[dict]) -> tuple[int, int]:
    """(size, jump) of the map along one side of a picture of `size` pixels.

    >>> c3 = {"kind": "conv", "in_channels": 1, "out_channels": 8, "kernel_size": 3, "stride": 1, "padding": 1}
    >>> p2 = {"kind": "pool", "kernel_size": 2, "stride": 2}
    >>> map_size(101, [c3, p2, c3, p2])
    (25, 4)
    """
    if any(layer["kind"] not in ("conv", "pool") for layer in layers):
        raise ValueError("only convolutions and poolings give maps; make fully connected layers convolutions first")
    ### BEGIN SOLUTION
    jump = 1
    for layer in layers:
        kernel = (layer["kernel_size"] - 1) * layer.get("dilation", 1) + 1  # positions that it spans
        positions = size + 2 * layer.get("padding", 0)
        if kernel > positions:
            raise ValueError(f"{layer} spans {kernel} positions, but there are only {positions}")
        size = (positions - kernel) // layer["stride"] + 1
        jump *= layer["stride"]
    return size, jump
    ### END SOLUTION


# %% [markdown] locked="help_map_size"
# **Expected output** of the cell under the check:
#
# ```
# LeNet on  32 pixels: a map of  1, jump 4
# LeNet on  64 pixels: a map of  9, jump 4
# LeNet on 256 pixels: a map of 57, jump 4
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# Walk through the layers with two numbers: how many positions there are now, and how many pixels lie between two of
# them.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# For each layer first compute what its kernel spans: k elements have k − 1 gaps between them. Check that this fits into
# the positions with their padding. What is left over after the first place is divided by the stride and rounded down:
# so often the kernel can be moved on. Go on with the number of places.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `layer.get("padding", 0)` reads a number that may be missing. The kernel spans d · (k − 1) + 1 positions, and n
# positions with padding p on both sides become
#
# $$\left\lfloor \frac{n + 2p - d\,(k - 1) - 1}{s} \right\rfloor + 1$$
#
# The jump starts at 1 and is multiplied by each stride, that of a convolution too.
#
# </details>
# <details><summary>"64 instead of 57", "one too few", "no error"</summary>
#
# * *64 instead of 57*: 256 / 4 is not the answer, since without padding each kernel takes a margin away.
# * *One too few or too many*: `//` rounds down; the 1 for the first place comes after the division.
# * *Only dilation fails*: a kernel of 3 with dilation 2 spans 5 positions, not 6.
# * *`KeyError`*: `padding` and `dilation` may be missing.
# * *No error where one is wanted*: look at the fit inside the loop, for every layer.
#
# </details>

# %% check="map_size" points=4
check(map_size)

# %%
with once_written():
    for pixels in (32, 64, 256):
        size, jump = map_size(pixels, LENET)
        print(f"LeNet on {pixels:>3} pixels: a map of {size:>2}, jump {jump}")

# %% [markdown]
# ## Your functions at work
#
# A LeNet that learned from crops of 32 × 32 pixels with one label each, with batch normalization and dropout in its
# dense layers. It was never shown a mask. Training takes a few seconds.

# %%
torch.manual_seed(0)
lenet = nn.Sequential(
    *(nn.Conv2d(3, 6, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(6, 16, kernel_size=5), nn.ReLU(), nn.MaxPool2d(2)),  # (B, 16, 5, 5) of a window of 32 x 32
    *(nn.Flatten(), nn.Linear(400, 120), nn.BatchNorm1d(120), nn.ReLU(), nn.Dropout(0.2)),
    *(nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, len(CLASSES))),
)  # (B, 3, 32, 32) -> (B, 5)
crops, labels = load_crops("train", size=32, count=3000, seed=0)  # (3000, 3, 32, 32), (3000,)
bright = 4 * crops - 2  # colours from 0 to 1 become -2 to 2: with numbers around 0 training is quicker
history = fit(lenet, bright, labels, steps=400, batch_size=64, lr=3e-3, seed=0)

# %% [markdown]
# A map has to be laid onto the picture to be looked at. LeNet's windows lie evenly: the first and the last are equally
# far from the border, so the map lies in the middle, and each answer gets a square as wide as the jump. This is given:


# %%
def on_pixels(labels: torch.Tensor, jump: int, side: int) -> torch.Tensor:
    """A square map of labels laid onto side x side pixels, jump x jump for each label; 255 where there is none."""
    large = labels.repeat_interleave(jump, 0).repeat_interleave(jump, 1)
    margin = (side - len(large)) // 2
    return F.pad(large, [margin, side - len(large) - margin] * 2, value=255)


# %%
scene = load_scenes("val", size=256, count=1, seed=0)
picture = 4 * scene.images - 2  # (1, 3, 256, 256), as in training

with once_written(), torch.no_grad():
    network = convolutionalize(lenet, (16, 5, 5))
    began = time.perf_counter()
    logits = network(picture)[0]  # (5, 57, 57)
    middle = time.perf_counter()
    windows = picture[0].unfold(1, 32, 4).unfold(2, 32, 4).permute(1, 2, 0, 3, 4)  # (57, 57, 3, 32, 32), lesson 02
    naive = lenet(windows.flatten(0, 1)).T.reshape(-1, 57, 57)  # (5, 57, 57)
    ended = time.perf_counter()
    print(f"largest difference of the two maps: {(logits - naive).abs().max():.1e}")
    print(f"one pass {middle - began:.3f} s, 3,249 windows {ended - middle:.3f} s")

    coarse = logits.argmax(0)  # (57, 57)
    size, jump = map_size(256, LENET)
    painted = on_pixels(coarse, jump, 256)  # (256, 256)
    titles = ["a scene it never saw", f"its map: {coarse.shape[0]} × {coarse.shape[1]}", f"laid on, {jump} pixels each"]
    figure = show_images([scene.images[0], coarse, overlay(scene.images[0], painted)], titles, class_names=CLASSES)
    show(figure, alt="A scene with clothes, the coarse map of classes, and the map over the middle of the scene")
    print(f"the map covers {size * jump} of 256 pixels; {256 - size * jump} in the margin have no answer")

# %% [markdown]
# The same scores as from 3,249 windows, in one pass. And the same mistakes: with 32 × 32 pixels to look at, the edge of
# a bag may well be a shoe, and the inside of a large object, which no training crop showed, passes for background.
#
# Three things are still wrong. The map is smaller than the picture: 57 × 57, one number for 4 × 4 pixels, and none for
# the margin. The network was trained on crops, not on masks. And it sees only 32 pixels. Why not keep all pixels, by
# leaving out the poolings? What they are good for is the question of lesson 04.
