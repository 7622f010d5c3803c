# %% [markdown]
# # 07 · SegNet: exercises
#
# An encoder that halves its maps forgets where in each 2 × 2 window the largest value stood. SegNet writes that down,
# two bits a value, and its decoder reads it. You build both halves, put them together, count what the notes cost, and
# measure what they are for: outlines.
#
# | exercise | what it gives you | minutes | difficulty | points |
# |---|---|---|---|---|
# | 1 `EncoderStage` | convolutions, a halving, and the notes | 25 | ●● | 3 |
# | 2 `DecoderStage` | each value back in its place, then convolutions | 25 | ●● | 4 |
# | 3 `SegNet` | the network, for pictures of any size | 35 | ●●● | 6 |
# | 4 `handover_bytes` | what the decoder needs kept, in bytes | 15 | ● | 2 |
# | 5 `boundary_f_score` | how well outlines lie | 50 | ●●● | 5 |
#
# **Red is where you start.** Every cell below that you fill in raises `NotImplementedError`, so no check can pass yet.
# At first a check only says that the function is not written; later it shows a table, red where something is wrong.
# Nothing is broken: write the function, run its cell, run the check under it, and repeat.
#
# **What is given.** Lines above `raise NotImplementedError` are ours: they refuse arguments that would only lead to a
# puzzling error later. Leave them, and write below them.
#
# **Visible and hidden checks.** `check(...)` runs a few small tests at once and shows what was expected and what came.
# When you hand in, other tests with other inputs run: odd sizes, other widths, other numbers of stages. So write what
# the statement says, not what the visible check happens to ask.
#
# **What builds on what.** `SegNet` is made of your two stages; when you hand in, a mistake in a stage costs you nothing
# there. The last two exercises stand alone: do them first if you are stuck.

# %%
import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from seglab import check, once_written
from seglab.data.photos import photo
from seglab.data.scenes import CLASSES, load_scenes
from seglab.figures import show, show_images
from seglab.networks import WIDTHS
from seglab.training import fit, miou, mirror_and_recolour, predict_logits

# %% [markdown] locked="about_EncoderStage"
# ## 1 · `EncoderStage`
#
# *About 25 minutes · difficulty 2 of 3 · 3 points · slide "let us not compress so much: SegNet (2016)"*
#
# A stage of SegNet's encoder is a stage of VGG: a few convolutions, then a max pooling that halves the map. What is new
# is what it hands over. Beside the pooled map it returns the **switches**, the places where the maxima stood, and the
# **size** that the map had before.
#
# ```
#                ┌─ convs times ─────────────────────────┐
# x (H × W) ──▶  │ conv 3 × 3 ─▶ batch norm ─▶ ReLU      │ ──▶ max pooling ──▶ pooled (H/2 × W/2), to the next stage
#                └───────────────────────────────────────┘          │
#                                                                   └──▶ switches and size, to the decoder
# ```
#
# * **Convolutions** are 3 × 3 with padding 1, so that the size stays, and **with bias**, as in the paper (batch
#   normalization takes the bias out again; it is there all the same).
# * **Batch normalization** is `nn.BatchNorm2d` as torch makes it. It stands between convolution and ReLU.
# * The first convolution goes from `in_channels` to `out_channels`, all others from `out_channels` to `out_channels`.
#   Each has weights of its own, and so has each normalization.
# * **Pooling** takes windows of 2 × 2 that do not overlap. A last row or column that fills no window is dropped. A
#   switch is the flat index of the maximum in its own channel's map: row · W + column, with the W *before* pooling.
#   Of equal values the first counts, row by row. `nn.functional.max_pool2d` gives switches just like this, if you ask
#   it to; you have written it from scratch in lesson 06, so call it here.
#
# ```python
# class EncoderStage(nn.Module):
#     def __init__(self, in_channels: int, out_channels: int, convs: int)
#     def forward(self, x: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `in_channels`, `out_channels` | int, ≥ 1 | | channels of `x`, and of what comes out |
# | `convs` | int, ≥ 1 | | how many convolutions |
# | `x` | (N, in_channels, H, W) | float32 | pictures or maps; H and W from 2 up, odd ones too |
# | **returns** `pooled` | (N, out_channels, H // 2, W // 2) | float32 | the maxima |
# | … `switches` | as `pooled` | int64 | where each stood |
# | … `size` | (H, W), a tuple of two ints | | the size before pooling |
#
# * Return the three in this order, as a tuple. (`torch.Size` is a tuple.)
# * Call your layers what you like, but **create convolutions in the order in which they run**, and normalizations too:
#   checks load weights of their own into the first, the second, … that you made.


# %% solution="EncoderStage"
class EncoderStage(nn.Module):
    """Convolutions, then a halving that says where each maximum stood.

    >>> pooled, switches, size = EncoderStage(3, 16, convs=2)(torch.zeros(1, 3, 45, 60))
    >>> pooled.shape, switches.dtype, tuple(size)
    (torch.Size([1, 16, 22, 30]), torch.int64, (45, 60))
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int):
        super().__init__()
        ### BEGIN SOLUTION
        layers = []
        for _ in range(convs):
            layers += [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU()]
            in_channels = out_channels
        self.layers = nn.Sequential(*layers)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        ### END SOLUTION

    def forward(self, x: Tensor):
        ### BEGIN SOLUTION
        features = self.layers(x)  # (N, out_channels, H, W)
        pooled, switches = self.pool(features)  # (N, out_channels, H // 2, W // 2) each
        return pooled, switches, tuple(features.shape[-2:])
        ### END SOLUTION


# %% [markdown] locked="help_EncoderStage"
# **Expected picture** of the cell under the check: a stage whose convolutions change nothing, so that only the halving
# is left, and the switches of its green channel as four colours.
#
# ![A photo of a cat's face, the same at half the size, and which of the four pixels of each window was the
# largest](expected_EncoderStage.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# Write the stage for one convolution first, and print the shapes of the three things that you return for a map of
# 5 × 7. Which of them still knows that the map had seven columns?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# In the constructor collect the layers in a list, in a loop, and make an `nn.Sequential` of it: convolution,
# normalization, ReLU, each time new ones. After the first round the channels that come in are those that go out. In
# `forward`, run them, pool with indices, and return three things.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `nn.functional.max_pool2d(x, 2, return_indices=True)` returns a pair. Take the size from the map that you pool, before
# you pool it: the last two numbers of its `shape`. An `nn.Sequential(*layers)` takes a list apart.
#
# </details>
# <details><summary>"fewer weights than expected", "values below zero", "a switch of 0 to 3", "22 instead of 45"</summary>
#
# * *Fewer weights than expected*: `[conv, norm, relu] * 3` is one convolution three times. Make new ones each round.
# * *There are no weights*: layers in a plain list stay unknown to torch. Use `nn.Sequential` or `nn.ModuleList`.
# * *Values below zero in `pooled`*: the last thing before pooling is ReLU.
# * *`expected input … to have 16 channels, but got 3`*: only the first convolution takes `in_channels`.
# * *Switches are all 0, 1, 2 or 3*: that is the place in the window. A switch counts along the whole map's rows.
# * *The size is half of what is expected*: it is the size before pooling.
# * *The shape is right for even sizes only*: do not round up.
# * *`conv2d() received an invalid combination of arguments … tuple`*: pooling with indices gives a pair. Take it apart
#   before you go on, and keep it out of `nn.Sequential`, where the next layer would get the pair.
#
# </details>

# %% check="EncoderStage" points=3
check(EncoderStage)

# %% picture="EncoderStage"
with once_written():
    cat = photo("chelsea")[:, 70:180, 80:260][..., ::2, ::2]  # (3, 55, 90)
    stage = EncoderStage(3, 3, convs=2).eval()
    for weight in stage.parameters():
        if weight.ndim == 4:
            nn.init.dirac_(weight)  # each channel as it is
        elif weight.ndim == 1 and not torch.equal(weight, torch.ones(3)):
            nn.init.zeros_(weight)  # no bias
    with torch.no_grad():
        pooled, switches, size = stage(cat[None])
    row, column = switches[0, 1] // size[1], switches[0, 1] % size[1]
    place = 2 * (row % 2) + column % 2  # (27, 45), 0 to 3
    figure = show_images(
        [cat, pooled[0].clamp(0, 1), place],
        [f"in: {size[0]} × {size[1]}", f"out: {place.shape[0]} × {place.shape[1]}", "switches of the green channel"],
        class_names=("upper left", "upper right", "lower left", "lower right"),
    )
    show(figure, alt="A cat's face, the same at half the size, and where in each 2 x 2 window its maximum stood")

# %% [markdown] locked="about_DecoderStage"
# ## 2 · `DecoderStage`
#
# *About 25 minutes · difficulty 2 of 3 · 4 points · slide "let us not compress so much: SegNet (2016)"*
#
# The counterpart. It gets a small map, the switches and the size that the encoder's stage handed over, and goes the
# other way: **first unpooling**, which lays each value back at its switch and zeros everywhere else, **then
# convolutions**, which fill the gaps.
#
# ```
#                                       ┌─ convs times ─────────────────────────┐
# x (h × w) ──▶ unpooling ──▶ (H × W) ──│ conv 3 × 3 ─▶ batch norm ─▶ ReLU      │──▶ (out_channels, H × W)
#                  ▲                    └───────────────────────────────────────┘
#        switches and size
# ```
#
# * The layers are those of exercise 1: 3 × 3, padding 1, with bias; normalization; ReLU; each its own weights.
# * **The channels change in the last convolution.** All before it go from `in_channels` to `in_channels`. That is how
#   the paper's network has it: 512 512 256, then 256 256 128, and so on.
# * **`bare=True`** is for the stage that ends in scores: its *last* convolution has neither normalization nor ReLU
#   behind it. All others in the stage keep theirs. With a ReLU there no score could be negative.
# * Unpool to exactly `size`. Without it, an odd row that the encoder dropped would not come back.
#   `nn.functional.max_unpool2d` is allowed here; read what its `output_size` is for.
#
# ```python
# class DecoderStage(nn.Module):
#     def __init__(self, in_channels: int, out_channels: int, convs: int, bare: bool = False)
#     def forward(self, x: Tensor, switches: Tensor, size: Sequence[int]) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `in_channels`, `out_channels` | int, ≥ 1 | | channels of `x`, and of what comes out |
# | `convs` | int, ≥ 1 | | how many convolutions |
# | `bare` | bool | | whether the last convolution stands alone |
# | `x` | (N, in_channels, h, w) | float32 | the small map |
# | `switches` | (N, in_channels, h, w) | int64 | flat indices in maps of `size`, as in exercise 1 |
# | `size` | (H, W) | int | H is 2h or 2h + 1, W is 2w or 2w + 1 |
# | **returns** | (N, out_channels, H, W) | float32 | |
#
# * Again, create convolutions in the order in which they run, and normalizations too.


# %% solution="DecoderStage"
class DecoderStage(nn.Module):
    """Values back to where their maxima stood, then convolutions; the last one bare if it gives scores.

    >>> stage = DecoderStage(16, 5, convs=2, bare=True)
    >>> stage(torch.zeros(1, 16, 1, 2), torch.tensor([[[[0, 7]]]]).expand(1, 16, 1, 2), (3, 5)).shape
    torch.Size([1, 5, 3, 5])
    """

    def __init__(self, in_channels: int, out_channels: int, convs: int, bare: bool = False):
        super().__init__()
        ### BEGIN SOLUTION
        layers = []
        for number in range(1, convs + 1):
            channels = out_channels if number == convs else in_channels
            layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        self.layers = nn.Sequential(*(layers[:-2] if bare else layers))
        self.unpool = nn.MaxUnpool2d(2)
        ### END SOLUTION

    def forward(self, x: Tensor, switches: Tensor, size) -> Tensor:
        if x.shape != switches.shape:
            raise ValueError(f"values of shape {tuple(x.shape)} cannot go to switches of shape {tuple(switches.shape)}")
        ### BEGIN SOLUTION
        sparse = self.unpool(x, switches, output_size=list(size))  # (N, in_channels, H, W)
        return self.layers(sparse)  # (N, out_channels, H, W)
        ### END SOLUTION


# %% [markdown] locked="help_DecoderStage"
# **Expected picture** of the cell under the check: the cat's maxima, back in their places; then a convolution that
# spreads each value over its neighbours. The stage is yours, its weights are set by hand.
#
# ![A cat's face after unpooling, a grid of coloured dots on black, and after a convolution that fills the
# gaps](expected_DecoderStage.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# For `convs` = 1, 2 and 3, write down the pairs of channels (from, to) of all convolutions. Which one differs from the
# others, and is it there for `convs` = 1?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Build the list of layers as in exercise 1, all but the last convolution in a loop. Then append the last one, and its
# normalization and ReLU only if the stage is not bare. `forward` has two lines: unpool, convolve.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# `nn.functional.max_unpool2d(x, switches, 2, output_size=...)` wants the size as a list or tuple of two ints. In the
# constructor, a loop `for _ in range(convs - 1)` makes `in_channels` → `in_channels`; after it comes one convolution
# `in_channels` → `out_channels`.
#
# </details>
# <details><summary>"one row too few", "shape of indices", "expected input to have … channels", "no negative score"</summary>
#
# * *One row or column too few*: unpooling has to be told the size.
# * *`Expected shape of indices to be …`* or the given line's ValueError: something changes the channels before the
#   unpooling. Unpool first.
# * *`expected input … to have … channels`*: the channels change in the last convolution, not in the first.
# * *No score is negative*: with `bare` there is nothing behind the last convolution.
# * *With `bare` the values are wrong from the first convolution on*: only the last one is bare.
# * *Values everywhere, where zeros are expected*: enlarging fills the map by itself. Unpooling sets one pixel in four.
# * *Fewer weights than expected*: new layers in each round, as in exercise 1.
#
# </details>

# %% check="DecoderStage" points=4
check(DecoderStage)

# %% picture="DecoderStage"
with once_written():
    cat = photo("chelsea")[:, 70:180, 80:260][..., ::2, ::2]  # (3, 55, 90)
    small, switches = nn.functional.max_pool2d(cat[None], 2, return_indices=True)  # (1, 3, 27, 45) each
    stage = DecoderStage(3, 3, convs=1, bare=True)
    kernel = next(weight for weight in stage.parameters() if weight.ndim == 4)
    with torch.no_grad():
        for weight in stage.parameters():
            nn.init.zeros_(weight)
        nn.init.dirac_(kernel)  # each channel as it is
        dots = stage(small, switches, (55, 90))
        kernel.copy_(kernel[:, :, 1:2, 1:2] * torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4)  # (3, 3, 3, 3)
        filled = stage(small, switches, (55, 90))
    figure = show_images(
        [small[0], dots[0].clamp(0, 1), filled[0].clamp(0, 1)],
        ["in: 27 × 45", "unpooled: 55 × 90", "and convolved"],
    )
    show(figure, alt="A small cat's face, its pixels spread over a larger map with gaps, and the gaps filled")

# %% [markdown] locked="about_SegNet"
# ## 3 · `SegNet`
#
# *About 35 minutes · difficulty 3 of 3 · 6 points · slide "let us not compress so much: SegNet (2016)"*
#
# Now the network: encoder stages one after the other, then as many decoder stages, **mirrored**. The last encoder stage
# talks to the first decoder stage, the first to the last. With three stages, `widths = (64, 128, 256)` and
# `convs_per_stage = (2, 2, 3)`:
#
# ```
# picture, in_channels                                   num_classes, logits
#    │ encoder[0]  2 convs  ──── switches, size ────▶  decoder[2]  2 convs, bare │
#    │ 64 channels                                                    64 channels│
#    │ encoder[1]  2 convs  ──── switches, size ────▶  decoder[1]  2 convs       │
#    │ 128 channels                                                  128 channels│
#    │ encoder[2]  3 convs  ──── switches, size ────▶  decoder[0]  3 convs       │
#    └──────────────────────── 256 channels ─────────────────────────────────────┘
# ```
#
# * The decoder goes back through the encoder's widths: `decoder[0]` takes `widths[-1]` channels and gives
#   `widths[-2]`, and so on down to `widths[0]`. The last decoder stage takes `widths[0]` and gives `num_classes`; it is
#   **bare**, and nothing comes after it: no softmax, no other layer.
# * A decoder stage has as many convolutions as the encoder stage whose switches it gets.
# * Nothing else crosses from encoder to decoder: no map is added or concatenated. That came with U-Net.
#
# ```python
# class SegNet(nn.Module):
#     def __init__(self, in_channels: int, num_classes: int, widths: Sequence[int], convs_per_stage: Sequence[int])
#     def forward(self, x: Tensor) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `in_channels`, `num_classes` | int, ≥ 1 | | channels of the picture, and of the logits |
# | `widths` | list or tuple of ints, one a stage | | channels after each encoder stage; one stage or more |
# | `convs_per_stage` | as many ints | | convolutions of each encoder stage |
# | `x` | (N, in_channels, H, W) | float32 | pictures; H and W are at least 2 to the number of stages |
# | **returns** | (N, num_classes, H, W) | float32 | logits |
#
# * Names: the network holds its stages as `encoder` and `decoder`, each an `nn.ModuleList` **in the order in which they
#   run**. They are your `EncoderStage`s and `DecoderStage`s, and no two are the same object.
# * With the paper's `widths` 64, 128, 256, 512, 512, with 2, 2, 3, 3, 3 convolutions, 3 channels and 11 classes it has
#   29,449,355 weights.


# %% solution="SegNet"
class SegNet(nn.Module):
    """Encoder and mirrored decoder; switches and sizes are all that passes between them.

    >>> SegNet(3, 5, widths=(4, 8), convs_per_stage=(2, 1))(torch.zeros(1, 3, 45, 62)).shape
    torch.Size([1, 5, 45, 62])
    """

    def __init__(self, in_channels: int, num_classes: int, widths, convs_per_stage):
        super().__init__()
        if not len(widths) == len(convs_per_stage) > 0:
            raise ValueError(f"{len(widths)} widths and {len(convs_per_stage)} numbers of convolutions")
        ### BEGIN SOLUTION
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        before = in_channels
        for width, convs in zip(widths, convs_per_stage, strict=True):
            self.encoder.append(EncoderStage(before, width, convs))
            before = width
        for number in range(len(widths) - 1, 0, -1):
            self.decoder.append(DecoderStage(widths[number], widths[number - 1], convs_per_stage[number]))
        self.decoder.append(DecoderStage(widths[0], num_classes, convs_per_stage[0], bare=True))
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        notes = []
        for stage in self.encoder:
            x, *note = stage(x)  # half as high and wide
            notes.append(note)
        for stage, note in zip(self.decoder, reversed(notes), strict=True):
            x = stage(x, *note)  # the size that it had
        return x  # (N, num_classes, H, W)
        ### END SOLUTION


# %% [markdown] locked="help_SegNet"
# **Expected output** of the cell under the check:
#
# ```
# the paper's SegNet: 29,449,355 weights
# encoder 14,723,136, decoder 14,726,219
# a picture of 45 × 61: logits of 45 × 61
# ```
#
# <details><summary>Hint 1: a nudge</summary>
#
# Write the constructor for one stage, then for two, by hand. Which arguments does each of the four stages get? Only
# then look for the loop.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Constructor: one loop over the stages for the encoder, one backwards for the decoder. The outermost decoder stage is
# special in two ways (what it gives, and `bare`), so write it on its own, after the loop. `forward`: remember switches
# and size of each encoder stage in a list; the decoder takes them from its end.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Encoder stage i goes from `widths[i - 1]` (for i = 0, from `in_channels`) to `widths[i]`. Its counterpart goes from
# `widths[i]` to `widths[i - 1]`, with `convs_per_stage[i]` convolutions, for i from the last down to 1; for i = 0 to
# `num_classes`. A list's `pop()` takes its last item off and returns it.
#
# </details>
# <details><summary>"shape of indices", "has no attribute encoder", "no weights", "one convolution too many"</summary>
#
# * *`Expected shape of indices to be …`*, or the given line of `DecoderStage`: a decoder stage got another stage's
#   switches. Which encoder stage made maps of its size?
# * *It has no attribute `encoder`, or no weights*: the stages stand in a plain list, or under another name.
# * *A decoder stage has another number of convolutions than expected*: `convs_per_stage` is in the encoder's order.
# * *`expected input … to have 64 channels, but got 128`*: the decoder's widths are mirrored as well.
# * *All logits lie between 0 and 1, or none is negative*: something stands behind the last convolution.
# * *Odd sizes fail, or come out enlarged*: pass on the size that the encoder stage returned; do not compute it.
# * *Weights are missing where two widths are equal*: each stage is an object of its own.
#
# </details>

# %% check="SegNet" points=6
check(SegNet)

# %%
with once_written():
    with torch.device("meta"):  # shapes without numbers: no memory for 29 million weights
        network = SegNet(3, 11, (64, 128, 256, 512, 512), (2, 2, 3, 3, 3))
    halves = [sum(weight.numel() for weight in half.parameters()) for half in (network.encoder, network.decoder)]
    print(f"the paper's SegNet: {sum(halves):,} weights")
    print(f"encoder {halves[0]:,}, decoder {halves[1]:,}")
    logits = SegNet(3, len(CLASSES), WIDTHS, (2, 1, 1, 1, 1))(torch.zeros(1, 3, 45, 61))
    print(f"a picture of 45 × 61: logits of {logits.shape[2]} × {logits.shape[3]}")

# %% [markdown] locked="about_handover_bytes"
# ## 4 · `handover_bytes`
#
# *About 15 minutes · difficulty 1 of 3 · 2 points · slide "let us not compress so much"*
#
# Whatever the decoder will need has to stay in memory until it comes to it. The paper argues with that: a switch says
# which of four places it was, so **two bits** are enough, while a network that hands over feature maps keeps every
# number of them. Count, for **one** picture, what all stages hand over together. The answer depends on how it is kept:
#
# | `kind` | what is kept of each stage | each of them takes |
# |---|---|---|
# | `"switches"` | one switch for each value of the *pooled* map | 2 bits |
# | `"indices"` | the same switches, as torch's int64 | 8 bytes |
# | `"maps"` | the whole map *before* pooling | 4 bytes a value (float32) |
#
# The picture has `height` × `width` pixels; convolutions keep that size, and each stage's pooling halves both sides,
# rounded down. A stage's map has `widths[i]` channels.
#
# ```python
# handover_bytes(widths: Sequence[int], height: int, width: int, kind: str) -> int
# ```
#
# | argument | type | meaning |
# |---|---|---|
# | `widths` | list or tuple of ints, one a stage | channels of each stage |
# | `height`, `width` | int | of the picture, in pixels |
# | `kind` | `"switches"`, `"indices"` or `"maps"` | what is handed over |
# | **returns** | int | bytes of all stages |
#
# * **Rounding**: the two-bit switches of all stages are packed together without gaps. Only their sum is rounded *up* to
#   whole bytes, once.
# * The memory of weights, and of the pooled maps themselves, is not counted.


# %% solution="handover_bytes"
def handover_bytes(widths, height: int, width: int, kind: str) -> int:
    """Bytes that wait for the decoder: one picture, all stages.

    >>> handover_bytes([3], 4, 6, "switches")  # 3 x 2 x 3 switches of 2 bits are 36 bits
    5
    >>> handover_bytes([3], 4, 6, "maps")
    288
    """
    if kind not in ("switches", "indices", "maps"):
        raise ValueError(f"kind is {kind!r}, not 'switches', 'indices' or 'maps'")
    ### BEGIN SOLUTION
    bits = 0
    for channels in widths:
        halves = height // 2, width // 2
        if kind == "maps":
            bits += 32 * channels * height * width
        else:
            bits += (2 if kind == "switches" else 64) * channels * halves[0] * halves[1]
        height, width = halves
    return (bits + 7) // 8  # a byte that is begun counts
    ### END SOLUTION


# %% [markdown] locked="help_handover_bytes"
# **Expected output** of the cell under the check:
#
# ```
# the paper's SegNet at 360 × 480
#   switches      1,315,200 bytes
#   indices      42,086,400 bytes
#   maps         84,295,680 bytes
# the course's at 128 × 128
#   switches         30,720 bytes
#   indices         983,040 bytes
#   maps          1,966,080 bytes
# ```
#
# The maps take 64 times as much as the switches, wherever no row is lost to rounding: four values for one, and 32 bits
# for 2. In torch the gain is a factor of 2.
#
# <details><summary>Hint 1: a nudge</summary>
#
# Take one stage of 3 channels on 4 × 6 pixels, and count switches and map values by hand. Compare with the docstring.
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# One loop over the widths, in which height and width are halved. Sum up how many *values* there are: pooled ones for
# switches and indices, those before pooling for maps. Only after the loop turn the sum into bytes.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Before halving, add `channels * height * width` to the one sum; after halving, to the other. Eight bits are a byte, so
# n switches take n / 4 bytes; to round up without floats use `(n + 3) // 4`, or `-(-n // 4)`.
#
# </details>
# <details><summary>"four times too much", "eight times too much", "a few bytes too many", "a float"</summary>
#
# * *Four times too much*: a switch belongs to a pooled value, not to a pixel of the map before.
# * *A quarter of what is expected, for maps*: those are kept before pooling.
# * *Eight times too much*: the answer is in bytes; 2 bits are a quarter of one.
# * *A few bytes too many*: you round up for every stage. Pack first.
# * *One byte too few*: a byte that is begun counts.
# * *Too much for odd sizes*: halving rounds down, as the encoder does.
# * *A float*: use `//`, or `math.ceil`.
#
# </details>

# %% check="handover_bytes" points=2
check(handover_bytes)

# %%
with once_written():
    for name, widths, height, width in (
        ("the paper's SegNet", (64, 128, 256, 512, 512), 360, 480),
        ("the course's", WIDTHS, 128, 128),
    ):
        print(f"{name} at {height} × {width}")
        for kind in ("switches", "indices", "maps"):
            print(f"  {kind:8}", f"{handover_bytes(widths, height, width, kind):>14,} bytes")

# %% [markdown] locked="about_boundary_f_score"
# ## 5 · `boundary_f_score`
#
# *About 50 minutes · difficulty 3 of 3 · 5 points · no slide; the SegNet paper's measure "BF"*
#
# The mean IoU counts pixels, and most pixels lie inside objects. A mask with ragged outlines loses little. The paper
# therefore also measures **outlines**: how much of the predicted contour lies near the true one, and how much of the
# true one was met.
#
# 1. **Contour.** In a mask, the contour of class c are the pixels of class c that have a pixel of *another class* as
#    one of their four neighbours (above, below, left, right). So it lies *inside* the class, in the prediction as in
#    the target. Outside the picture there is nothing: its edge makes no contour.
# 2. **Ignored pixels.** Where `target` is `ignore_index` nothing counts, in either mask: such a pixel has no class, is
#    on no contour, and makes none of its neighbours a contour pixel.
# 3. **Near.** Two pixels are near each other if the straight (Euclidean) distance between their centres is at most
#    `tolerance`. One to the side is at distance 1, one diagonally at 1.41, two to the side and one down at 2.24.
# 4. **Precision** P is the share of the prediction's contour pixels that are near *some* pixel of the target's contour
#    of the same class. **Recall** R is the share of the target's contour pixels near some pixel of the prediction's.
# 5. **F** = 2PR / (P + R), for each picture and each class. If P and R are both 0, so is F.
# 6. **Means.** The score of a class is the mean of F over the pictures. A picture where the class has a contour in
#    *neither* mask is left out of it. Where only one of the masks has one, F is 0. A class that is left out in all
#    pictures is NaN.
#
# ```
# target      prediction    contours of class 1    tolerance 0:     tolerance 1:
# 0 0 0 0 0   0 0 0 0 0     . . . . .  . . . . .   P = 1/2          P = 1
# 0 1 1 0 0   0 0 1 1 0     . t t . .  . . p p .   R = 1/2          R = 1
# 0 1 1 0 0   0 0 1 1 0     . t t . .  . . p p .   F = 1/2          F = 1
# ```
#
# ```python
# boundary_f_score(pred, target, num_classes, tolerance, ignore_index=255) -> Tensor
# ```
#
# | argument | shape or type | dtype | meaning |
# |---|---|---|---|
# | `pred` | (N, H, W) | int64 | predicted classes, 0 to num_classes − 1 |
# | `target` | (N, H, W) | int64 | the true ones; some may be `ignore_index` |
# | `num_classes` | int | | how many classes there are, 0 (the background) among them |
# | `tolerance` | int or float, ≥ 0 | pixels | 1.5 is possible |
# | `ignore_index` | int | | the label that does not count |
# | **returns** | (num_classes,) | float64 | F of each class, from 0 to 1, or NaN |
#
# * The picture below uses 50 pictures of 128 × 128 and tolerances up to 8. Loops over pictures, classes and the few
#   shifts within the tolerance are fine; loops over pixels are not.
# * The contour is *not* `boundary_mask` of lesson 01: it is made for each class, and the ignored pixels are no
#   neighbours.


# %% solution="boundary_f_score"
def boundary_f_score(
    pred: Tensor, target: Tensor, num_classes: int, tolerance: float, ignore_index: int = 255
) -> Tensor:
    """How well outlines lie, for each class: (num_classes,), float64.

    >>> target = torch.tensor([[[1, 1, 0, 0, 0, 0]]])
    >>> pred = torch.tensor([[[1, 1, 1, 0, 0, 0]]])
    >>> boundary_f_score(pred, target, 3, tolerance=0)
    tensor([0., 0., nan], dtype=torch.float64)
    >>> boundary_f_score(pred, target, 3, tolerance=1)
    tensor([1., 1., nan], dtype=torch.float64)
    """
    if pred.shape != target.shape or pred.ndim != 3:
        raise ValueError(f"expected two masks (N, H, W), got {tuple(pred.shape)} and {tuple(target.shape)}")
    ### BEGIN SOLUTION
    valid = target != ignore_index
    height, width = target.shape[1:]
    reach = int(tolerance)
    shifts = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    shifts = [(y, x) for y, x in shifts if y * y + x * x <= tolerance**2]

    def moved(mask, y, x):
        """The mask y rows further down and x columns to the right; what comes in from outside is False."""
        result = torch.zeros_like(mask)
        rows, cols = slice(max(y, 0), max(height + y, 0)), slice(max(x, 0), max(width + x, 0))
        from_rows, from_cols = slice(max(-y, 0), max(height - y, 0)), slice(max(-x, 0), max(width - x, 0))
        result[:, rows, cols] = mask[:, from_rows, from_cols]
        return result

    def contour(mask, number):
        inside, outside = valid & (mask == number), valid & (mask != number)
        beside = moved(outside, 1, 0) | moved(outside, -1, 0) | moved(outside, 0, 1) | moved(outside, 0, -1)
        return inside & beside

    def share_near(one, other):
        """(N,): the share of one contour that lies near the other; NaN where there is none."""
        near = torch.zeros_like(other)
        for y, x in shifts:
            near |= moved(other, y, x)
        return (one & near).sum((1, 2)).double() / one.sum((1, 2))

    scores = []
    for number in range(num_classes):
        found, truth = contour(pred, number), contour(target, number)  # (N, H, W), bool
        precision, recall = share_near(found, truth), share_near(truth, found)  # (N,)
        f = (2 * precision * recall / (precision + recall)).nan_to_num(0.0)  # nothing meets, or one is missing
        scores.append(f[found.flatten(1).any(1) | truth.flatten(1).any(1)].mean())  # of nothing: NaN
    return torch.stack(scores)
    ### END SOLUTION


# %% [markdown] locked="help_boundary_f_score"
# **Expected picture.** Two masks that both come from the truth: rounded to squares of 8 × 8 pixels, or shifted to the
# right and down. Their mean IoU is nearly the same, their outlines are not.
#
# ![Boundary F-score over tolerances from 0 to 8 pixels for a shifted mask and a blocky mask of nearly the same mean
# IoU: both rise, and cross](expected_boundary_f_score.png)
#
# <details><summary>Hint 1: a nudge</summary>
#
# On squared paper, draw the target of the example and mark its contour for class 1, then for class 0. Then mark all
# pixels within 2 of one contour pixel. How many are there?
#
# </details>
# <details><summary>Hint 2: the approach</summary>
#
# Three small functions. One gives the contour of a class in a mask: pixels inside, and beside one that is of another
# class and not ignored. One widens a contour by the tolerance: all pixels near some pixel of it. One gives the share of
# a contour that lies in the other one, widened. The rest is two loops and a mean.
#
# </details>
# <details><summary>Hint 3: nearly the code</summary>
#
# Widen by shifts: for every pair of whole numbers (y, x) with y² + x² ≤ tolerance², move the mask by y rows and x
# columns, and collect with `|`. Or use `nn.functional.conv2d` with a disc of ones and ask where the sum is above 0.5.
# `nn.functional.pad` by one on each side, then slices, gives the four neighbours; pad with "not another class". Keep F
# and "has a contour" per picture, and take the mean over those pictures that have one.
#
# </details>
# <details><summary>"1 along the picture's edge", "too good", "0 for nan", "not finite", "slightly off with ignored pixels"</summary>
#
# * *A class that fills the picture gets a contour*: beyond the edge there is no other class. `torch.roll` sees the
#   opposite edge; padding with class 0 or −1 puts a class where none is.
# * *Too good at tolerance 2*: a square is no disc. Compare y² + x² with tolerance².
# * *Too bad at whole tolerances*: a distance of exactly `tolerance` is near. (`torch.cdist` may round it up; compare
#   squares of whole numbers.)
# * *Too good everywhere*: all classes' contours are in one pot. Class 1 must meet class 1.
# * *0 where NaN is expected, or a mean too low*: pictures in which neither mask has a contour of the
#   class do not count.
# * *A mean too high*: a picture where only one mask has a contour of the class counts as 0.
# * *"not finite"*: 0 / 0, where a contour has no pixels or P + R is 0.
# * *Slightly off with ignored pixels*: they are ignored in the prediction as well, as pixels and as neighbours.
#
# </details>

# %% check="boundary_f_score" points=5
check(boundary_f_score)

# %% picture="boundary_f_score"
scenes = load_scenes("val", size=128, count=50, seed=0)

with once_written():
    shares = nn.functional.one_hot(scenes.masks, len(CLASSES)).permute(0, 3, 1, 2).float()  # (50, 5, 128, 128)
    blocky = nn.functional.avg_pool2d(shares, 8).argmax(1).repeat_interleave(8, 1).repeat_interleave(8, 2)
    shifted = scenes.masks.roll((3, 1), (1, 2))  # (50, 128, 128)
    tolerances = range(9)
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for name, mask, style in (("shifted", shifted, "o-"), ("8 × 8 squares", blocky, "s--")):
        iou = miou(nn.functional.one_hot(mask, len(CLASSES)).permute(0, 3, 1, 2), scenes.masks)
        curve = [boundary_f_score(mask, scenes.masks, len(CLASSES), t).mean() for t in tolerances]
        axis.plot(tolerances, curve, style, label=f"{name}: mIoU {iou:.2f}")
    axis.set(xlabel="tolerance in pixels", ylabel="boundary F, mean of the classes", ylim=(0, 1.02))
    axis.set_title("The truth, spoiled in two ways")
    axis.legend(frameon=False, loc="lower right")
    show(figure, alt="Boundary F over tolerances of 0 to 8 pixels for a shifted and a blocky mask of nearly equal mIoU")

# %% [markdown]
# ## Your functions at work
#
# What are switches worth? Train your SegNet twice from the same weights, on the same batches: once as it is, and once
# with decoder stages that **ignore** their switches and lay every value into the upper left pixel of its window. The
# control has the same weights, the same sizes, the same convolutions; it lacks two bits a value. (The cell puts other
# stages into `network.decoder`, so `forward` must take them from there at each call.) About half a minute.


# %%
class Blind(nn.Module):
    """A decoder stage of yours that is told the upper left pixel of each window, whatever the encoder has seen."""

    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def forward(self, x, switches, size):
        row, column = switches // size[1], switches % size[1]
        return self.stage(x, (row - row % 2) * size[1] + column - column % 2, size)


train, val = (load_scenes(split, size=64, count=count, seed=0) for split, count in (("train", 300), ("val", 60)))
train_images, val_images = 4 * train.images - 2, 4 * val.images - 2
masks = {}  # name -> (60, 64, 64)

with once_written():
    for name in ("with switches", "without"):
        torch.manual_seed(0)
        network = SegNet(3, len(CLASSES), (16, 32, 64, 96), (2, 2, 2, 2))
        if name == "without":
            network.decoder = nn.ModuleList(Blind(stage) for stage in network.decoder)
        network.to(memory_format=torch.channels_last)  # faster on a CPU, same numbers
        fit(network, train_images, train.masks, epochs=10, batch_size=20, lr=5e-3, augment=mirror_and_recolour)
        logits = predict_logits(network, val_images)  # (60, 5, 64, 64)
        masks[name] = logits.argmax(1)
        print(f"{name}: validation mIoU {miou(logits, val.masks):.2f}")

# %%
with once_written():
    if len(masks) < 2:
        raise NotImplementedError("the cell above has not trained its networks yet")
    rows, titles = [], []
    for number in (3, 12, 25):
        rows += [val.images[number], val.masks[number], masks["with switches"][number], masks["without"][number]]
        titles += ["the picture", "the truth", "with switches", "without"]
    figure = show_images(rows, titles, columns=4, class_names=CLASSES)
    show(figure, alt="Three scenes, their true masks, and those of SegNet with its switches and without")

# %%
with once_written():
    if len(masks) < 2:
        raise NotImplementedError("two cells above, the networks have not been trained yet")
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for (name, mask), style in zip(masks.items(), ("o-", "s--"), strict=True):
        curve = [boundary_f_score(mask, val.masks, len(CLASSES), tolerance).mean() for tolerance in range(6)]
        axis.plot(range(6), curve, style, label=name)
    axis.set(xlabel="tolerance in pixels", ylabel="boundary F, mean of the classes", ylim=(0, 1.02))
    axis.set_title("The same network, with and without its switches")
    axis.legend(frameon=False)
    show(figure, alt="Boundary F over tolerances from 0 to 5 pixels, for SegNet with its switches and without")

# %% [markdown]
# Compare the outlines in the last two columns, then the curves: where do they part, at a tolerance of one pixel or of
# five? Half a minute and one seed show what two bits a value are worth here, and the lecture has three seeds, a longer
# training, and a control that enlarges bilinearly.
#
# Switches hand over *places*. What the encoder saw at those places, it keeps to itself. Lesson 08 hands over the maps.
