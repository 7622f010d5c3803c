# %% [markdown]
# # 03 · Convolutionalization: exercises
#
# Lesson 02 left you with a head of dense layers that has to be run on every window, cut out by hand. In five exercises
# you turn the head into convolutions. Then the whole classifier runs once, on a picture of any size:
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `linear_to_conv` | one dense layer as a convolution | 20 | ●● | 4 |
# | 2 `convolutionalize` | a whole classifier as one pass | 50 | ●●● | 6 |
# | 3 `pool_head_to_conv` | the same for a head with global average pooling | 10 | ●● | 3 |
# | 4 `dense_output_size` | how large the map will be, and how coarse | 15 | ● | 3 |
# | 5 `dense_to_pixels` | which pixels a number of the map looked at | 20 | ●● | 4 |
#
# **Red is where you start.** Every function below is a stub that raises `NotImplementedError`, so no check can pass.
# At first a check only says that the function is not written; later it shows a table, red where something is wrong.
# Nothing is broken: write the function, run its cell, run the check under it, and repeat.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: other kernels, layers in another order, bad arguments. So write
# what the statement says, not what the visible check happens to ask.
#
# **One builds on the other.** You may call your earlier functions in the later ones. A mistake then shows again further
# down, so look at the first red table first.

# %%
import time

import matplotlib.pyplot as plt
import torch
from torch import nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import CLASSES, load_crops, load_scenes
from seglab.figures import overlay, show, show_images
from seglab.layers import conv, pool
from seglab.training import fit

# The lesson's network, its dense layers already described as convolutions: exercises 4 and 5 use it.
LENET = [conv(3, 6, 5), pool(2), conv(6, 16, 5), pool(2), conv(16, 120, 5), conv(120, 84, 1), conv(84, 5, 1)]

# %% [markdown] locked="about_linear_to_conv"
# ## 1 · `linear_to_conv`
#
# *About 20 minutes · difficulty 2 of 3 · 4 points · slide "16 × 5 × 5 → 400 → dense layer → 120"*
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
# * It has a bias if and only if `linear` has one, and the same dtype.
# * The weights are **copied**, and they can be trained. Neither layer notices when the other is changed, and `linear`
#   is left exactly as it was.
# * `ValueError` with a message if `linear.in_features` is not `in_channels` · kh · kw.


# %% solution="linear_to_conv"
def linear_to_conv(linear: nn.Linear, in_channels: int, kernel_size: int | tuple[int, int]) -> nn.Conv2d:
    """The convolution that computes at every place what a dense layer says of the flattened features there.

    >>> layer = linear_to_conv(nn.Linear(400, 120), 16, 5)
    >>> layer(torch.zeros(1, 16, 5, 5)).shape, layer(torch.zeros(1, 16, 6, 9)).shape
    (torch.Size([1, 120, 1, 1]), torch.Size([1, 120, 2, 5]))
    """
    ### BEGIN SOLUTION
    kh, kw = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    if linear.in_features != in_channels * kh * kw:
        raise ValueError(f"{linear} does not take {in_channels} * {kh} * {kw} numbers")
    has_bias, dtype = linear.bias is not None, linear.weight.dtype
    layer = nn.Conv2d(in_channels, linear.out_features, (kh, kw), bias=has_bias, dtype=dtype)
    with torch.no_grad():  # copy_ moves numbers into the parameters that are there, so they stay trainable
        # Row o of the dense layer lists the weights of unit o in the order of flatten: channels, rows, columns.
        layer.weight.copy_(linear.weight.reshape(-1, in_channels, kh, kw))  # (out, in * kh * kw) -> (out, in, kh, kw)
        if has_bias:
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
# Make an `nn.Conv2d` with the right numbers of channels, the kernel, with or without bias, and in the right dtype. Then
# bring the dense weights into its weights' shape. The features were flattened from (C, kh, kw), so each row of the
# dense weights unfolds to just that shape, in that order: no `permute`. Write the numbers into the parameters that the
# convolution already has.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# One `reshape` of `linear.weight` to (out_features, in_channels, kh, kw). Under `torch.no_grad()`, `parameter.copy_(…)`
# puts numbers into a parameter in place. `bias=linear.bias is not None` and `dtype=linear.weight.dtype` go into the
# constructor. Before all that, turn a single number into a pair and compare `in_features`.
#
# </details>
# <details><summary>"Right shape, wrong values", "one place only", "the original changed", "no gradient"</summary>
#
# * *Right shape, wrong values*: the weights were unfolded in another order. (h, w, C) followed by a `permute` is what
#   code from TensorFlow does; PyTorch flattens channels first. Or rows and columns are swapped, which a square kernel
#   hides in the shape, not in the values.
# * *Too large a map on one window*: padding must be 0, so that one window gives 1 × 1.
# * *Changing one changes the other*: `layer.weight.data = linear.weight.data…` is a second name for the same memory.
# * *`a leaf Variable that requires grad is being used in an in-place operation`*: copy under `torch.no_grad()`.
# * *`expected scalar type Double but found Float`*: the convolution was made in float32.
#
# </details>

# %% check="linear_to_conv" points=4
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
# *About 50 minutes · difficulty 3 of 3 · 6 points · slide "16 × 5 × 5 → 120 × 1 × 1 → 84 × 1 × 1 → 10 × 1 × 1"*
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
# | `classifier` | `nn.Sequential` | maps windows (N, C, height, width) to scores (N, num_classes) |
# | `feature_shape` | (D, h, w) | what `nn.Flatten` gets from one window: channels, rows, columns |
# | **returns** | `nn.Sequential` | gives (N, num_classes, 1, 1) on windows, and a map on larger pictures |
#
# A classifier is built like this. Layers may be grouped in an `nn.Sequential` inside it, and in further ones in that;
# the groups need not be kept.
#
# | where | layers | become |
# |---|---|---|
# | before `nn.Flatten` | `Conv2d`, `MaxPool2d`, `AvgPool2d`, `BatchNorm2d`, `Dropout2d` | themselves |
# | in the middle | exactly one `nn.Flatten()`, that is `start_dim=1`, `end_dim=-1` | nothing |
# | anywhere behind it | `Linear`, at least one | `Conv2d` |
# | anywhere behind the first `Linear` | `BatchNorm1d` | `BatchNorm2d` with its weights, statistics and settings |
# | anywhere behind the first `Linear` | `Softmax` with `dim=1` or `dim=-1` | `Softmax` over the classes of the map |
# | anywhere | `ReLU`, `Tanh`, `Sigmoid`, `Identity`, `Dropout` | themselves |
#
# `BatchNorm1d` may also stand between `nn.Flatten` and the first `Linear`, but only if h = w = 1; then it has D
# features. Otherwise it must be refused: it has statistics of its own for every place, and `BatchNorm2d` has one per
# channel.
#
# * On a window the new network gives the classifier's scores. On a larger picture it gives, for networks without
#   padding, the scores of every window, one jump apart.
# * **A copy.** Nothing is shared with `classifier`, and `classifier` is not changed. dtypes stay; all weights can be
#   trained. If `classifier` has frozen weights (`requires_grad=False`), you need not keep that.
# * **Modes.** Each layer stays in the mode it is in, training or evaluation, and so does the network as a whole. (Some
#   people train with the statistics of a `BatchNorm` frozen.)
# * `ValueError` with a message
#   * for a layer that has no place in the table, such as `AdaptiveAvgPool2d`, which makes one size of everything; or
#     for one in a wrong place, such as a `Linear` before `nn.Flatten`;
#   * if there is no `nn.Flatten`, more than one, or one that flattens other dimensions; or no `Linear` behind it;
#   * if shapes do not fit: the last `Conv2d` before `nn.Flatten` must give D channels, the first `Linear` must take
#     D · h · w numbers, each later `Linear` or `BatchNorm1d` as many as come out of the `Linear` before it.


# %% solution="convolutionalize"
def convolutionalize(classifier: nn.Sequential, feature_shape: tuple[int, int, int]) -> nn.Sequential:
    """A fully convolutional copy of a classifier; `feature_shape` is (D, h, w), what nn.Flatten gets from a window.

    >>> classifier = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 2))
    >>> network = convolutionalize(classifier, (3, 2, 2))
    >>> network(torch.zeros(1, 3, 4, 4)).shape, network(torch.zeros(1, 3, 20, 30)).shape
    (torch.Size([1, 2, 1, 1]), torch.Size([1, 2, 9, 14]))
    """
    ### BEGIN SOLUTION
    import copy

    anywhere = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity, nn.Dropout)
    before_flatten = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.BatchNorm2d, nn.Dropout2d)

    def in_order(network):
        for part in network:
            if isinstance(part, nn.Sequential):
                yield from in_order(part)
            else:
                yield part

    channels, height, width = feature_shape  # what the next dense layer sees of one window
    given = channels  # what the convolutions give
    flattened = dense = False  # whether nn.Flatten was met, and whether a dense layer was met behind it
    dtype = next((weight.dtype for weight in classifier.parameters()), None)
    parts = []
    for layer in in_order(classifier):
        misfit = ValueError(f"{layer} cannot be converted here, with features {(channels, height, width)} of a window")
        if isinstance(layer, anywhere) or (not flattened and isinstance(layer, before_flatten)):
            parts.append(copy.deepcopy(layer))  # a copy keeps weights, statistics and mode
            given = getattr(layer, "out_channels", given)
        elif isinstance(layer, nn.Flatten):
            if flattened or (layer.start_dim, layer.end_dim) != (1, -1) or given != channels:
                raise misfit
            flattened = True
        elif isinstance(layer, nn.Linear) and flattened:
            parts.append(linear_to_conv(layer, channels, (height, width)).train(layer.training))
            channels, height, width, dense = layer.out_features, 1, 1, True
        elif (
            isinstance(layer, nn.BatchNorm1d) and flattened and (layer.num_features, 1, 1) == (channels, height, width)
        ):
            settings = (channels, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
            norm = nn.BatchNorm2d(*settings, dtype=dtype)
            norm.load_state_dict(layer.state_dict())  # copies weights and statistics
            parts.append(norm.train(layer.training))
        elif isinstance(layer, nn.Softmax) and dense and layer.dim in (1, -1):
            parts.append(nn.Softmax(dim=1).train(layer.training))
        else:
            raise misfit
    if not dense:
        raise ValueError("there is no nn.Flatten with an nn.Linear behind it")
    network = nn.Sequential(*parts)
    network.training = classifier.training  # network.train(...) would set every layer
    return network
    ### END SOLUTION


# %% [markdown] locked="help_convolutionalize"
# **Expected picture.** A classifier of 32 × 32 windows made by hand tells "red" from "anything else". It is the one of
# lesson 02, as a network: means of 8 × 8 pixels, one dense layer, softmax. Converted, it draws its map of 47 × 72
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
# First a small recursive generator that yields the layers of nested Sequentials one by one. Then a loop with one branch
# per row of the table, and an `else` that raises. Note whether you have passed `nn.Flatten`, and whether you have
# passed a dense layer. `copy.deepcopy(layer)` copies a layer with its weights, statistics and mode. Your
# `linear_to_conv` does the dense layers; it also raises when the features do not fit.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# For `BatchNorm1d`: make an `nn.BatchNorm2d` with `num_features`, `eps`, `momentum`, `affine` and
# `track_running_stats` of the old one (and the dtype of the network), then `new.load_state_dict(old.state_dict())`:
# both have the same names inside, and loading copies. New layers begin in training mode, so each needs
# `new.train(old.training)`. At the end set the attribute `training` of the new Sequential; its method `train(…)` sets
# all layers. Behind a dense layer the window is (out_features, 1, 1).
#
# </details>
# <details><summary>"Wrong in training mode only", "always a map of 1 × 1", "only BatchNorm fails"</summary>
#
# * *The output is (N, K) or a size error on larger pictures*: `nn.Flatten` is still in.
# * *Always 1 × 1*: something pools to a fixed size. Such a layer must be refused, see exercise 3.
# * *`expected 2D or 3D input`*: `BatchNorm1d` does not take maps.
# * *Wrong values with batch normalization*: besides weight and bias there are `running_mean`, `running_var` and `eps`.
# * *Only some modes fail*: a new layer begins in training mode; a new Sequential too. And `train(…)` of a Sequential
#   sets every layer in it.
# * *Probabilities do not add up to 1 over the classes*: the last dimension of a map is its width.
# * *`KeyError`, `AttributeError`, `IndexError`, `RuntimeError` in place of `ValueError`*: check before you convert.
#
# </details>

# %% check="convolutionalize" points=6
check(convolutionalize)

# %% picture="convolutionalize"
with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    by_hand = nn.Linear(3 * 4 * 4, 2)
    red = torch.tensor([1 - 0.62, -0.62, -0.62])  # above 0 where red has more than 62 % of the light
    by_hand.weight.data = torch.stack([-red, red]).repeat_interleave(16, dim=1)  # (2, 48)
    by_hand.bias.data.zero_()
    patches = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), by_hand, nn.Softmax(dim=-1)).eval()  # windows of 32 x 32
    with torch.no_grad():
        probabilities = convolutionalize(patches, (3, 4, 4))(coffee[None])[0]  # (2, 47, 72)
    figure = show_images([coffee, probabilities[1]], ["the picture", "probability of “red”: 47 × 72"], width=8)
    show(figure, alt="A red cup on a wooden table, and a coarse map that is brightest on saucer and cup")

# %% [markdown] locked="about_pool_head_to_conv"
# ## 3 · `pool_head_to_conv`
#
# *About 10 minutes · difficulty 2 of 3 · 3 points · slide "components: global average pooling"*
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
# * As in exercise 1: with a bias only if `linear` has one, the same dtype, weights copied and trainable, `linear` left
#   as it was. How many weights the module has is up to you: those of the dense layer, or one for every place of the
#   window.
# * `ValueError` with a message if `linear.in_features` is not D, or if h or w is below 1. A dense layer that takes
#   D · h · w numbers belongs to another head.


# %% solution="pool_head_to_conv"
def pool_head_to_conv(linear: nn.Linear, feature_shape: tuple[int, int, int]) -> nn.Module:
    """The head "mean over the window, then a dense layer", at every place of a feature map.

    >>> head = pool_head_to_conv(nn.Linear(64, 10), (64, 4, 4))
    >>> head(torch.zeros(1, 64, 4, 4)).shape, head(torch.zeros(1, 64, 9, 5)).shape
    (torch.Size([1, 10, 1, 1]), torch.Size([1, 10, 6, 2]))
    """
    ### BEGIN SOLUTION
    channels, height, width = feature_shape
    if height < 1 or width < 1:
        raise ValueError(f"a window of {height} x {width} features has no mean")
    mean = nn.AvgPool2d((height, width), stride=1)  # the mean of the window at every place
    return nn.Sequential(mean, linear_to_conv(linear, channels, 1))  # refuses other features
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
# convolution with kernel (h, w): each weight of the dense layer, divided by h · w, at every place of the window.) Check
# h and w yourself; the number of features is checked by exercise 1.
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

# %% check="pool_head_to_conv" points=3
check(pool_head_to_conv)

# %% picture="pool_head_to_conv"
with once_written():
    coffee = photo("coffee")  # (3, 400, 600)
    knows_red = nn.Linear(3, 1, bias=False)
    knows_red.weight.data = torch.tensor(
        [[1 - 0.62, -0.62, -0.62]]
    )  # above 0 where red has more than 62 % of the light
    with torch.no_grad():
        sharp, blurred = (pool_head_to_conv(knows_red, (3, k, k))(coffee[None])[0, 0] for k in (1, 32))
    titles = ["the picture", f"windows of 1: {sharp.shape[0]} × {sharp.shape[1]}"]
    titles.append(f"windows of 32: {blurred.shape[0]} × {blurred.shape[1]}")
    figure = show_images([coffee, sharp, blurred], titles, width=9)
    show(
        figure, alt="The photo of the red cup, its sharp class activation map, and the blurred map of 32 by 32 windows"
    )

# %% [markdown] locked="about_dense_output_size"
# ## 4 · `dense_output_size`
#
# *About 15 minutes · difficulty 1 of 3 · 3 points · slide "the mask is smaller than the picture"*
#
# One pass, but how large is the map, and how far apart are its outputs? Both follow from the layers; nothing has to be
# run. A layer with kernel k, stride s and padding p (on both sides) makes
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# positions out of n. With dilation d the kernel's elements lie d apart, and it spans d · (k − 1) + 1 positions. The
# strides multiply: two poolings of stride 2, and neighbouring outputs are 4 pixels apart.
#
# ```python
# dense_output_size(size: int, layers: list[dict]) -> tuple[int, int]
# ```
#
# | argument | type | unit | meaning |
# |---|---|---|---|
# | `size` | int, ≥ 1 | pixels | height or width of the picture |
# | `layers` | list of dict | | the layers in order, as in lesson 02; activations are left out |
# | **returns** | (int, int) | outputs, pixels | how many outputs there are along this side, and their distance |
#
# The descriptions use the names of `torch.nn`. `padding` and `dilation` may be missing; then they are 0 and 1. Channels
# play no role here.
#
# ```python
# {"kind": "conv", "in_channels": 3, "out_channels": 6, "kernel_size": 5, "stride": 1, "padding": 0, "dilation": 2}
# {"kind": "pool", "kernel_size": 2, "stride": 2}
# ```
#
# * Sizes may be as large as you like, and the answer is exact.
# * No layers: the picture itself, at distance 1.
# * `ValueError` with a message if a kernel does not fit what the layers before it give, padding included; for a `size`
#   below 1; for any other kind of layer. `"linear"` is such a kind: a network with a dense layer has no map.


# %% solution="dense_output_size"
def dense_output_size(size: int, layers: list[dict]) -> tuple[int, int]:
    """(number of outputs, their distance in pixels) along one side of a picture of `size` pixels.

    >>> c3 = {"kind": "conv", "in_channels": 1, "out_channels": 8, "kernel_size": 3, "stride": 1, "padding": 1}
    >>> p2 = {"kind": "pool", "kernel_size": 2, "stride": 2}
    >>> dense_output_size(101, [c3, p2, c3, p2])
    (25, 4)
    """
    ### BEGIN SOLUTION
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    distance = 1
    for layer in layers:
        if layer["kind"] not in ("conv", "pool"):
            raise ValueError(f"only convolutions and poolings give maps, got {layer}")
        span = (layer["kernel_size"] - 1) * layer.get("dilation", 1) + 1
        padded = size + 2 * layer.get("padding", 0)
        if span > padded:
            raise ValueError(f"{layer} spans {span} positions, but there are only {padded}")
        size = (padded - span) // layer["stride"] + 1
        distance *= layer["stride"]
    return size, distance
    ### END SOLUTION


# %% [markdown] locked="help_dense_output_size"
# **Expected output** of the cell under the check:
#
# ```
# LeNet on  32 pixels:    1 output,  4 pixels apart
# LeNet on  64 pixels:    9 outputs, 4 pixels apart
# LeNet on 256 pixels:   57 outputs, 4 pixels apart
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
# For each layer first compute what its kernel spans. Then check that this fits into the positions with their padding.
# Only then apply the formula, and go on with what it gives.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `layer.get("padding", 0)` reads a number that may be missing. Span: `dilation * (kernel_size − 1) + 1`. The formula
# with `//`. The distance starts at 1 and is multiplied by each stride. The check of `kind` comes first, since a linear
# layer has no kernel.
#
# </details>
# <details><summary>"256 / 4 = 64 instead of 57", "one too many", "KeyError: 'kernel_size'"</summary>
#
# * *64 instead of 57*: without padding each kernel takes a margin away.
# * *One too few or too many*: `//` rounds down; the + 1 comes after the division.
# * *The dilation case fails*: a kernel of 3 with dilation 2 spans 5, not 6.
# * *`KeyError`*: `padding` and `dilation` may be missing, and a linear layer has no `kernel_size`.
# * *Large sizes are slightly off*: `/` makes floats, which hold 16 digits.
#
# </details>

# %% check="dense_output_size" points=3
check(dense_output_size)

# %%
with once_written():
    for pixels in (32, 64, 256):
        count, distance = dense_output_size(pixels, LENET)
        outputs = "output, " if count == 1 else "outputs,"
        print(f"LeNet on {pixels:>3} pixels: {count:>4} {outputs} {distance} pixels apart")

# %% [markdown] locked="about_dense_to_pixels"
# ## 5 · `dense_to_pixels`
#
# *About 20 minutes · difficulty 2 of 3 · 4 points · slide "the mask is smaller than the picture"*
#
# The map has 57 × 57 numbers. To which pixels does number (row, col) belong? It looked at a square: which side has it,
# and where is its centre? In lesson 02 you cut the windows yourself and knew. Now the layers have to tell.
#
# Walk through them with three numbers: the centre of output 0, the side of what each output sees, and the distance of
# neighbouring outputs (all in pixels of the picture). At first each pixel sees itself: 0.0, 1 and 1. A layer whose
# kernel spans k positions (see exercise 4) sees k − 1 distances more. Its first output lies in the middle of its first
# k positions, and these begin p positions before the first one if it pads.
#
# ```python
# dense_to_pixels(row: int, col: int, layers: list[dict]) -> tuple[tuple[float, float], int]
# ```
#
# | argument | type | unit | meaning |
# |---|---|---|---|
# | `row`, `col` | int, ≥ 0 | outputs | place in the map, from above and from the left |
# | `layers` | list of dict | | as in exercise 4 |
# | **returns** | ((float, float), int) | pixels | ((row, column) of the centre, side of the square) |
#
# * The centre of pixel i lies at i. A square over pixels 0 to 31 has its centre at 15.5 and side 32. The two numbers of
#   the centre are floats, also if there are no layers.
# * The square is the one before any clipping. If the layers pad, it may stick out of the picture, and even its centre
#   may lie outside. **Padding moves the centre and never the side.**
# * Rows and columns follow the same rule. The picture's size is not needed, so nobody asks whether the map is that
#   large.
# * `ValueError` with a message for a negative `row` or `col`, and for any kind of layer but `"conv"` and `"pool"`.


# %% solution="dense_to_pixels"
def dense_to_pixels(row: int, col: int, layers: list[dict]) -> tuple[tuple[float, float], int]:
    """((row, column) of the centre, side) of the square of pixels that output (row, col) of a network looked at.

    >>> p2 = {"kind": "pool", "kernel_size": 2, "stride": 2}
    >>> dense_to_pixels(0, 3, [p2])
    ((0.5, 6.5), 2)
    >>> dense_to_pixels(0, 3, [p2, p2])
    ((1.5, 13.5), 4)
    """
    ### BEGIN SOLUTION
    if row < 0 or col < 0:
        raise ValueError(f"outputs are counted from 0, got ({row}, {col})")
    centre, side, distance = 0.0, 1, 1
    for layer in layers:
        if layer["kind"] not in ("conv", "pool"):
            raise ValueError(f"only convolutions and poolings look at squares, got {layer}")
        more = (layer["kernel_size"] - 1) * layer.get("dilation", 1)  # positions besides the first one
        centre += (more / 2 - layer.get("padding", 0)) * distance
        side += more * distance
        distance *= layer["stride"]
    return (centre + row * distance, centre + col * distance), side
    ### END SOLUTION


# %% [markdown] locked="help_dense_to_pixels"
# **Expected picture.** Four outputs of LeNet's 57 × 57 map on a scene of 256 × 256 pixels, and the square that each of
# them looked at. The dots are the centres of every fourth output: none is nearer than 15.5 pixels to the border.
#
# ![A scene with clothes on a background; a grid of small dots that leaves a margin free, and four frames of 32 by 32
# pixels, in the upper left corner, at the lower border and in between](expected_dense_to_pixels.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Draw one dimension on paper: 8 pixels, pooling 2 with stride 2, and a kernel of 3 behind it. Which pixels does the
# first output see? How far is the next one?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Steps of a layer are steps between *its inputs*, and these are `distance` pixels apart. So everything that a layer
# adds is multiplied by the distance that the layers *before* it made. Only then does its stride make the distance
# larger.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Per layer, with span k: add ((k − 1) / 2 − padding) distances to the centre of output 0, add k − 1 distances to the
# side, and last multiply the distance by the stride. In the end output i lies at the centre of output 0 plus i
# distances, for rows and for columns.
#
# </details>
# <details><summary>"The side is 15 instead of 32", "off by half a pixel", "right without padding only"</summary>
#
# * *LeNet's side is 15*: the distance was left out; a kernel of 5 behind a pooling spans more than 5 pixels.
# * *LeNet's side is larger than 32*: the stride was multiplied in before the layer's kernel was counted.
# * *Everything off by half a pixel*: the centre of the first of 2 pixels is at 0.5, of 32 pixels at 15.5, not 16.
# * *`KeyError: 'kernel_size'` in place of `ValueError`*: look at `kind` first; a linear layer has no kernel.
# * *The side shrinks with padding*: what lies outside belongs to the square as well.
# * *Right for the first padded layer only*: padding counts in positions of the layer's input, `distance` pixels each.
#
# </details>

# %% check="dense_to_pixels" points=4
check(dense_to_pixels)

# %% picture="dense_to_pixels"
with once_written():
    scene = load_scenes("val", size=256, count=1, seed=0)
    figure, axis = plt.subplots(figsize=(5.2, 5.2), layout="constrained")
    axis.imshow(scene.images[0].permute(1, 2, 0))
    centres = [dense_to_pixels(i, i, LENET)[0][0] for i in range(0, 57, 4)]
    across, down = torch.meshgrid(torch.tensor(centres), torch.tensor(centres), indexing="xy")
    axis.scatter(across, down, s=1.5, color="white")
    for row, col in ((0, 0), (20, 14), (30, 44), (56, 25)):
        (y, x), extent = dense_to_pixels(row, col, LENET)
        corner = (x - extent / 2, y - extent / 2)
        axis.add_patch(plt.Rectangle(corner, extent, extent, fill=False, color="#e69f00", lw=3))
        axis.plot(x, y, "o", color="#e69f00")
        axis.annotate(f"({row}, {col})", (x + 19, y), color="black", va="center", backgroundcolor="white", size=9)
    axis.set(xlabel="pixel", ylabel="pixel", title="What outputs (row, col) of a 57 × 57 map looked at")
    show(
        figure, alt="A scene, the centres of all outputs as dots, and four frames of 32 by 32 pixels with their outputs"
    )

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

# %%
scene = load_scenes("val", size=256, count=1, seed=0)
picture = 4 * scene.images - 2  # (1, 3, 256, 256), as in training

with once_written(), torch.no_grad():
    network = convolutionalize(lenet, (16, 5, 5))
    began = time.perf_counter()
    dense_map = network(picture)[0]  # (5, 57, 57)
    middle = time.perf_counter()
    windows = picture[0].unfold(1, 32, 4).unfold(2, 32, 4).permute(1, 2, 0, 3, 4)  # (57, 57, 3, 32, 32), lesson 02
    naive_map = lenet(windows.flatten(0, 1)).T.reshape(-1, 57, 57)  # (5, 57, 57)
    ended = time.perf_counter()
    print(f"largest difference of the two maps: {(dense_map - naive_map).abs().max():.1e}")
    print(f"one pass {middle - began:.3f} s, 3,249 windows {ended - middle:.3f} s")

    coarse = dense_map.argmax(0)  # (57, 57)
    (first, _), _ = dense_to_pixels(0, 0, LENET)
    inside = scene.images[0, :, 14:242, 14:242]  # 57 * 4 = 228 pixels around the centres 15.5, 19.5, ..., 239.5
    large = coarse.repeat_interleave(4, 0).repeat_interleave(4, 1)  # (228, 228)
    titles = ["a scene it never saw", f"its map: {coarse.shape[0]} × {coarse.shape[1]}", "the map, 4 pixels each"]
    figure = show_images([scene.images[0], coarse, overlay(inside, large)], titles, class_names=CLASSES)
    show(figure, alt="A scene with clothes, the coarse map of classes, and the map over the middle of the scene")
    print(f"the first output is centred at pixel {first}, so the map leaves a margin of {first - 1.5:.0f} pixels")

# %% [markdown]
# The same scores as from 3,249 windows, in one pass. And the same mistakes: with 32 × 32 pixels to look at, the edge of
# a bag may well be a shoe, and the inside of a large object is nothing at all.
#
# Three things are still wrong. The map is smaller than the picture: 57 × 57, one number for 4 × 4 pixels, and none for
# the margin. The network was trained on crops, not on masks. And it sees only 32 pixels. Why not keep all pixels, by
# leaving out the poolings? What they are good for is the question of lesson 04.
