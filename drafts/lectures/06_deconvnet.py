# %% [markdown]
# # 06 · DeconvNet
#
# FCN-8s, trained out, left two things unrepaired. On validation scenes 23 % of the large objects still got two labels,
# and one in six was not found. Of the objects below 80 square pixels a quarter was missed altogether, and three in four
# were not found, on training scenes just as on others. Its last step is one fixed stamp every 8 pixels, a hill that
# somebody wrote down.
#
# The authors of DeconvNet (2015) named these two complaints, and their answer is a decoder as deep as the encoder, in
# which every step is **learned**. You will see
#
# * convolution as a matrix, deconvolution as its transpose, and a film of how it stamps,
# * checkerboards: predicted by counting, then found in trained networks, and how to avoid them,
# * unpooling, which puts each maximum back where it came from,
# * DeconvNet, small enough for a laptop, layer by layer, and which of the two complaints it mends.
#
# Slides: "let us decompress", "unpooling".

# %%
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from seglab.data.nuclei import NUCLEUS_CLASSES, load_nuclei, three_classes
from seglab.data.scenes import CLASSES, SIZE_EDGES, label_shares, load_scenes, problems
from seglab.drawings import deconvnet as draw
from seglab.figures import show, show_images
from seglab.networks import conv_bn_relu, deconv_bn_relu, halving_encoder
from seglab.results import rows, show_tables
from seglab.training import fit, miou, mirror_and_recolour, predict_logits
from seglab.weights import load_weights, records

# %% [markdown]
# ## A convolution is a matrix
#
# Write a picture of 4 × 4 pixels as one long list of 16 numbers. A 3 × 3 kernel without padding fits into it at four
# places, and each result is a weighted sum of the 16, with weights that are mostly zero. Four such sums are a matrix
# $A$ with four rows. Each row holds the same nine weights, shifted.

# %%
kernel = torch.arange(1.0, 10).reshape(3, 3)
nine = torch.tensor([0, 1, 2, 4, 5, 6, 8, 9, 10])  # the pixels under the kernel when its corner is at pixel 0
A = torch.zeros(4, 16)
for place, corner in enumerate((0, 1, 4, 5)):
    A[place, corner + nine] = kernel.flatten()

picture = torch.zeros(4, 4)
picture[1, 1] = 1.0
gathered = (A @ picture.flatten()).reshape(2, 2)
assert torch.equal(gathered, F.conv2d(picture[None, None], kernel[None, None])[0, 0])

show(
    draw.matrices(A, kernel),
    alt="A kernel with the numbers 1 to 9. Its matrix has 4 rows and 16 columns; each row holds the nine numbers in "
    "three groups of three, further right from row to row. Turned over, it has 16 rows and 4 columns, and each column "
    "holds the nine numbers.",
)

# %% [markdown]
# Now use the **transpose** $A^\top$, which has these rows as columns. It takes 4 numbers and gives 16: it enlarges.
# Each number lays its column, the nine weights times the number, on the picture, and what overlaps is added. These are
# the stamps of lesson 05, and a layer that computes $A^\top$ is a **transposed convolution**. The paper calls it
# deconvolution.
#
# The two belong together by one rule. For every picture $x$ and every small map $y$, with ⟨ , ⟩ for the sum of the
# products of their numbers, ⟨$Ax$, $y$⟩ = ⟨$x$, $A^\top y$⟩. Backpropagation sends gradients through a convolution in
# just this way, so every library had the layer before anybody used it forwards. The rule does not say that $A^\top$
# undoes $A$.

# %%
small = torch.tensor([[1.0, 0.0], [2.0, 1.0]])
stamped = (A.T @ small.flatten()).reshape(4, 4)
assert torch.equal(stamped, F.conv_transpose2d(small[None, None], kernel[None, None])[0, 0])
generator = torch.Generator().manual_seed(0)
x, y = torch.rand(16, generator=generator), torch.rand(4, generator=generator)
assert torch.isclose((A @ x) @ y, x @ (A.T @ y))

returned = (A.T @ gathered.flatten()).reshape(4, 4)
show(
    draw.tables({"x: one pixel is 1": picture, "A x": gathered, "A transposed, of A x": returned}),
    alt="A picture with a single 1 in its second row and column; its map with the numbers 5, 4, 2, 1; and what the "
    "transpose makes of that: numbers everywhere, 46 where the 1 stood, and 94, the largest, diagonally below it.",
)
assert returned.min() > 0 and returned[1, 1] == 46 and returned[2, 2] == returned.max() == 94
assert torch.linalg.matrix_rank(A) == 4

# %% [markdown]
# One bright pixel comes back as a blot, and the blot is brightest elsewhere. Nothing could bring the picture back from
# here, since its 16 numbers went through 4. What a decoder paints is a guess, and its kernels are where it learns to
# guess.
#
# With a stride of 2, the stamps lie two pixels apart, and the map grows by a factor of about 2. In the film each number
# of a 3 × 3 map takes its turn.

# %%
numbers = torch.tensor([[1.0, 2.0, 1.0], [3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
stamp = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
whole = F.conv_transpose2d(numbers[None, None], stamp[None, None], stride=2)[0, 0]  # (7, 7)
assert whole.shape == (7, 7) and whole[2].tolist() == [4, 8, 7, 6, 6, 6, 3]
draw.stamping(numbers, stamp, stride=2).show(
    alt="A film in nine steps. One number of a 3 by 3 map after the other is framed and multiplied by a stamp of 3 by "
    "3, and the product is added to a map of 7 by 7, two pixels further each time. Where stamps share a row or column, "
    "their numbers add up."
)

# %% [markdown]
# ## Which size comes out
#
# The first stamp covers as many pixels as the kernel is wide, each further one adds the stride, and a padding of 1 cuts
# one row off on each side. From 8 numbers with kernel 3, stride 2 and padding 1 this gives 7 · 2 + 3 − 2 = **15**
# pixels, though you may have come from a picture of 16.

# %%
sizes = {
    size: F.conv2d(torch.zeros(1, 1, size, size), stamp[None, None], None, 2, 1).shape[3] for size in range(11, 19)
}
eight = torch.zeros(1, 1, 8, 8)
back = [F.conv_transpose2d(eight, stamp[None, None], None, 2, 1, extra).shape[3] for extra in (0, 1)]
print("8 comes from", [size for size, map_size in sizes.items() if map_size == 8], "and goes back to", back)
assert back == [15, 16] and (8 - 1) * 2 + 3 - 2 * 1 == 15 and [sizes[15], sizes[16]] == [8, 8]
show(
    draw.staircase(sizes),
    alt="A staircase: pictures of 11 and 12 pixels give maps of 6, 13 and 14 give 7, 15 and 16 give 8, 17 and 18 give "
    "9. A square marks where each map goes back to: the smaller of its two pictures.",
)

# %% [markdown]
# Pictures of 15 and of 16 pixels **collide**: both give a map of 8. The map cannot tell which it was, so you must.
# `output_padding=1` asks for the larger one. It adds a row and a column at the far end, places that stamps reach and
# the padding had cut off. In spite of its name it pads nothing with zeros.
#
# ## Checkerboards, predicted
#
# Count how many stamps write each pixel: let all numbers and all weights be 1. With kernel 3 and stride 2, neighbouring
# stamps overlap in one column; with kernel 4, in two.

# %%
counts = {}
for size in (3, 4):
    counts[size] = F.conv_transpose2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, size, size), stride=2)[0, 0]
    print(f"kernel {size}, second row: {counts[size][1].int().tolist()}")
assert counts[3].shape == (9, 9) and counts[3][1].tolist() == [1, 1, 2, 1, 2, 1, 2, 1, 1]
assert set(counts[3][2:7, 2:7].flatten().tolist()) == {1, 2, 4} and set(counts[4][2:8, 2:8].flatten().tolist()) == {4}
show(
    draw.tables({"kernel 3, stride 2": counts[3], "kernel 4, stride 2": counts[4]}, width=8),
    alt="How often each pixel is written. Kernel 3: 1, 2 and 4 alternate like a checkerboard. Kernel 4: 4 everywhere "
    "inside, less at the edges.",
)

# %% [markdown]
# With kernel 3 the counts are **1, 2, 1, 2** along a row, and 1, 2 and 4 over the map: a checkerboard with a period of
# 2 pixels, unless the weights make up for it, which training could bring about. In a chain of three such layers the
# last one may leave a pattern every 2 pixels of the final picture, the second every 4, and the first every 8. Kernel 4
# is safe by this count. The usual cure goes further: enlarge by copying (nearest neighbour), and let an ordinary
# convolution with stride 1 follow.
#
# ## Checkerboards, found
#
# Do they appear in networks that have been *trained*? Take the first three stages of lesson 05's FCN-8s, trained out
# and left alone, as the encoder: from scenes of 64 × 64 pixels they make maps of 8 × 8. Behind them we train decoders
# of three enlarging layers, of three kinds, with three seeds each and the same steps and batches. The next cell takes
# about twenty seconds.


# %%
class FCN8s(nn.Module):
    """FCN-8s of lesson 05, for its weights."""

    def __init__(self, in_channels=3, num_classes=5):
        super().__init__()
        self.encoder = halving_encoder(in_channels=in_channels)
        self.score_32, self.score_16 = nn.Conv2d(128, num_classes, 1), nn.Conv2d(96, num_classes, 1)
        self.score_8 = nn.Conv2d(64, num_classes, 1)

    def forward(self, x):
        stage_3 = self.encoder[:3](x)
        stage_4 = self.encoder[3](stage_3)
        scores = F.interpolate(self.score_32(self.encoder[4](stage_4)), scale_factor=2, mode="bilinear")
        scores = F.interpolate(scores + self.score_16(stage_4), scale_factor=2, mode="bilinear")
        return F.interpolate(scores + self.score_8(stage_3), scale_factor=8, mode="bilinear")  # (N, ..., H, W)


def enlarging(kind, before, after):
    if kind == "copies, then conv":
        return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1))
    if kind == "kernel 4":
        return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
    return nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)


fcn = load_weights(FCN8s(), "fcn_8s_scenes").to(memory_format=torch.channels_last)
little = {split: load_scenes(split, size=64, count=count, seed=0) for split, count in (("train", 600), ("val", 100))}
three_stages = fcn.encoder[:3].eval()
coarse = {split: predict_logits(three_stages, one.images) for split, one in little.items()}  # (N, 64, 8, 8)
kinds = ("kernel 3", "kernel 4", "copies, then conv")
untrained, decoded = {}, {}
for kind in kinds:
    for seed in range(3):
        torch.manual_seed(seed)
        first, second, third = enlarging(kind, 64, 32), enlarging(kind, 32, 16), enlarging(kind, 16, 5)
        chain = (first, nn.BatchNorm2d(32), nn.ReLU(), second, nn.BatchNorm2d(16), nn.ReLU(), third)
        decoder = nn.Sequential(*chain).to(memory_format=torch.channels_last)
        untrained[kind, seed] = predict_logits(decoder, coarse["val"])  # (100, 5, 64, 64)
        fit(decoder, coarse["train"], little["train"].masks, steps=400, batch_size=8, lr=1e-2, seed=seed)
        decoded[kind, seed] = predict_logits(decoder, coarse["val"])  # (100, 5, 64, 64)

# %% [markdown]
# What repeats every 2 pixels stands out in the **spectrum**, which says how much of the logits' variation along a row
# belongs to each period. Divide the power at 8, 4 and 2 pixels by the mean of its neighbours: a ratio of 1 means that
# nothing stands out.


# %%
def spectrum(logits):
    inside = logits[:, :, 8:56, 8:56]  # (N, C, 48, 48): far from the border
    return torch.fft.rfft(inside, dim=3).abs().square().mean((0, 1, 2))  # (25,): 0 to 24 waves per 48 pixels


def stands_out(power, period):
    here = 48 // period
    around = [power[here + step] for step in (-2, -1, 1, 2) if here + step < len(power)]
    return (power[here] / torch.stack(around).mean()).item()


peaks, scores = {}, {}
print(
    "                      power over its neighbours' at    8 px   4 px   2 px   trained:  8 px   4 px   2 px    mIoU"
)
for kind, seed in decoded:
    both = spectrum(untrained[kind, seed]), spectrum(decoded[kind, seed])
    peaks[kind, seed] = torch.tensor([[stands_out(power, period) for period in (8, 4, 2)] for power in both])  # (2, 3)
    scores[kind, seed] = miou(decoded[kind, seed], little["val"].masks)
    ratios = "untrained: {:6.1f} {:6.1f} {:6.1f}           {:6.1f} {:6.1f} {:6.1f}".format(*peaks[kind, seed].flatten())
    print(f"{kind:18} seed {seed}         {ratios}    {scores[kind, seed]:.2f}")
spectra = {kind: {"untrained": spectrum(untrained[kind, 0]), "trained": spectrum(decoded[kind, 0])} for kind in kinds}
show(
    draw.close_ups_and_spectra({kind: decoded[kind, 0][4, 0, 8:40, 8:40] for kind in kinds}, spectra),
    alt="Above, a detail of the background's logits from each kind of decoder: with kernel 3 and with kernel 4 a fine "
    "checkerboard covers it, with copies and convolution it is smooth. Below, the spectra. Untrained, both kinds of "
    "stamps have sharp peaks at 8, 4 and 2 pixels; trained, those at 4 and 2 are lower and still there. The third kind "
    "has none.",
)
three, four, copies = (torch.stack([peaks[kind, seed] for seed in range(3)]) for kind in kinds)  # (3 seeds, 2, 3) each
assert three[:, 0, 2].min() > 20 and four[:, 0, 2].min() > 20 and copies.max() < 2
assert (
    three[:, 1, 2].min() > 5 and three[:, 1, 1].min() > 2 and three[:, 1, 0].max() < 2.5 and four[:, 1, 2].min() > 2.5
)
lowest = {kind: min(scores[kind, seed] for seed in range(3)) for kind in kinds}
assert max(scores["kernel 3", seed] for seed in range(3)) < min(lowest["kernel 4"], lowest["copies, then conv"])

# %% [markdown]
# The prediction holds at 2 pixels, and at 4. Untrained, the period of 2 has more than 20 times the power of its
# neighbours; trained, kernel 3 still has more than 5 times, in each of three seeds. The pattern every 8 pixels was
# there before training and is nearly gone after it. Copies with a convolution show nothing of the kind.
#
# The count missed something, too. Kernel 4 writes evenly and leaves a checkerboard all the same, a weaker one after
# training. Each of the four pixels of a 2 × 2 block gets *other* weights of the stamp, and on a flat map they give four
# different sums, unless training makes them agree. After copying, every pixel of a flat map is computed with the same
# nine weights.
#
# Kernel 3 also has the lowest mIoU, in every seed. After so short a training this is no verdict.
#
# ## Unpooling
#
# Pooling forgets **where** the maximum stood. DeconvNet writes it down: one number per maximum, the *switch*, which
# counts the pixels from the upper left in reading order. **Unpooling** puts each value back at its switch and fills the
# rest with zeros. Without switches one could put it into the upper left corner of its block, which is called a *bed of
# nails*.

# %%
five = torch.tensor([[1.0, 3, 0, 0, 2], [2, 0, 0, 0, 1], [5, 5, 4, 6, 3], [5, 1, 7, 2, 0], [0, 2, 1, 0, 4]])  # (5, 5)
pooled, switches = F.max_pool2d(five[None, None], 2, return_indices=True)  # (1, 1, 2, 2) each
unpooled = F.max_unpool2d(pooled, switches, 2, output_size=(5, 5))[0, 0]  # (5, 5)
nails = torch.zeros(5, 5)
nails[:4:2, :4:2] = pooled[0, 0]
print("switches:", switches[0, 0].tolist())
assert pooled[0, 0].tolist() == [[3, 0], [5, 7]] and switches[0, 0].tolist() == [[1, 2], [10, 17]]
assert unpooled[0, 1] == 3 and unpooled[2, 0] == 5 and unpooled[3, 2] == 7 and (unpooled > 0).sum() == 3
chosen = torch.zeros(25).index_fill(0, switches.flatten(), 1.0).reshape(5, 5)
show(
    draw.tables(
        {"map": five, "pooled": pooled[0, 0], "unpooled": unpooled, "bed of nails": nails},
        kept={"map": chosen, "unpooled": chosen},
    ),
    alt="A map of 5 by 5 with four framed maxima; pooled it is 3, 0, 5, 7. Unpooled, these stand in their old places; "
    "in the bed of nails they stand in the upper left corners of their blocks.",
)

# %% [markdown]
# Two details matter. The switches 1, 2, 10, 17 count in rows of **five**: the map was 5 × 5, and its last row and
# column fill no block. Nobody can see that from a 2 × 2 map, so unpooling must be told the size; with a wrong one,
# values land in wrong places. And in the block 5 5 / 5 1 three are largest: the **first** counts. After a ReLU many
# blocks are all zero, and then it does not matter.
#
# Here are three ways back on a real map, the first layer of our FCN-8s before its pooling.

# %%
scenes = load_scenes("val", size=128, count=100, seed=0)
truth = scenes.masks  # (100, 128, 128)
shown = 11
with torch.no_grad():
    maps = fcn.encoder[0][:3](scenes.images[shown : shown + 1])[0]  # (16, 128, 128)
real = maps[maps.var((1, 2)).argmax()][30:75, 30:75][None, None]  # (1, 1, 45, 45)
pooled, switches = F.max_pool2d(real, 2, return_indices=True)  # (1, 1, 22, 22) each
ways = {"bed of nails": torch.zeros_like(real), "switches": F.max_unpool2d(pooled, switches, 2, output_size=(45, 45))}
ways["bed of nails"][:, :, :44:2, :44:2] = pooled
ways["bilinear"] = F.interpolate(pooled, size=(45, 45), mode="bilinear")

level = real.quantile(0.9)  # the strongest tenth of the map lies above
kept = {}
for name, way in ways.items():
    both = ((way >= level) & (real >= level)).sum()
    kept[name] = both / (real >= level).sum(), both / (way >= level).sum(), F.mse_loss(way, real)
    print("{:13} strongest tenth: {:4.0%} kept, {:4.0%} in place; mean squared error {:.2f}".format(name, *kept[name]))
assert kept["switches"][1] == 1 and max(kept["bed of nails"][1], kept["bilinear"][1]) < 0.8
assert kept["bilinear"][0] > 0.9 and kept["bed of nails"][0] < kept["switches"][0] < 0.5
assert kept["bilinear"][2] < kept["switches"][2] < kept["bed of nails"][2]
show(
    show_images([real[0, 0], pooled[0, 0], *(way[0, 0] for way in ways.values())], ["map", "pooled", *ways], width=10),
    alt="A map of 45 by 45 with the outlines of objects; pooled to 22 by 22; with a bed of nails, dots on a regular "
    "grid; with switches, dots along the true outlines; bilinear, a smooth, thickened version.",
)

# %% [markdown]
# Take the strongest tenth of the map's pixels. What the switches put there is all in place, and less than half of it is
# there. Bilinear enlarging keeps nearly all of it, paints beside it as well, and as a whole is closest to the map. So
# switches bring back exact *places*, and the convolution that follows has to fill in the rest.
#
# ## DeconvNet
#
# The network is a VGG encoder and its **mirror image**. Each stage of the decoder unpools with the switches of its
# counterpart, and a transposed convolution (3 × 3, stride **1**, so the size stays) turns the dots into a full map. In
# the middle stands a dense layer, as in VGG, and one that leads back. Only switches cross from left to right.
#
# With stride 1, each pixel is written equally often, and a checkerboard has no reason to appear. Such a layer is in
# fact an ordinary convolution with its kernel turned by half a turn.
#
# Ours has one convolution per stage, where VGG has two or three, and the widths of lesson 05. Its dense layer is a
# convolution (lesson 03) that makes one vector of 2 × 2 cells: of a picture of 64 × 64 pixels these are all there are,
# of 128 × 128 it makes 3 × 3 vectors that overlap.


# %%
class SmallDeconvNet(nn.Module):
    """For pictures whose sides can be halved five times, and are 64 pixels or more."""

    def __init__(self, in_channels=3, num_classes=5):
        super().__init__()
        down = ((in_channels, 16), (16, 32), (32, 64), (64, 96), (96, 128))
        up = ((128, 96), (96, 64), (64, 32), (32, 16), (16, 16))
        self.encoder = nn.ModuleList(conv_bn_relu(*widths) for widths in down)
        self.dense = conv_bn_relu(128, 96, kernel_size=2, padding=0)
        self.dense_back = deconv_bn_relu(96, 128, kernel_size=2, padding=0)
        self.decoder = nn.ModuleList(deconv_bn_relu(*widths) for widths in up)
        self.score = nn.Conv2d(16, num_classes, 1)

    def forward(self, x):
        kept = []
        for stage in self.encoder:
            x, switches = F.max_pool2d(stage(x), 2, return_indices=True)  # half as high and wide
            kept.append(switches)
        x = self.dense_back(self.dense(x))  # one cell smaller, and back
        for stage in self.decoder:
            x = stage(F.max_unpool2d(x, kept.pop(), 2))  # twice as high and wide
        return self.score(x)  # (N, num_classes, H, W)


show(
    draw.mirror_diagram(),
    alt="Blue boxes from the picture of 128 pixels down to 4, a small yellow box for the dense layer, and orange boxes "
    "from 4 up to 128, as high as their counterparts. Dashed green arrows carry the switches of each pooling across.",
)
parameters = [sum(p.numel() for p in network.parameters()) for network in (SmallDeconvNet(), fcn)]
print(f"parameters: DeconvNet {parameters[0]:,}, FCN-8s {parameters[1]:,}")
assert parameters == [480_549, 191_487] and round(parameters[0] / parameters[1], 1) == 2.5
assert SmallDeconvNet()(torch.zeros(2, 3, 64, 96)).shape == (2, 5, 64, 96)
layer, some_map = deconv_bn_relu(16, 8)[0], torch.rand(1, 16, 9, 9, generator=generator)
turned = layer.weight.transpose(0, 1).rot90(2, (2, 3))  # (8, 16, 3, 3), outputs first
assert torch.allclose(layer(some_map), F.conv2d(some_map, turned, padding=1), atol=1e-5)

# %% [markdown]
# ## Training in two stages
#
# So deep a chain is hard to train, and the authors took three measures. The encoder began with VGG's weights. **Batch
# normalization** follows every layer; without it, they report, training ended in a poor optimum. And they trained in
# **two stages**: first on easy pictures, 0.2 million crops around one object in which all else counts as background,
# then on 2.7 million harder ones.
#
# Try the last one. Two networks start alike, with the encoder of FCN-8s. One spends 240 steps on single-object crops,
# enlarged or reduced to 64 × 64 pixels; the other spends as many pixels on whole scenes. Then both get 80 steps of
# whole scenes. The next cell takes about fifty seconds.


# %%
def one_object(scenes):
    """Crops around each object of 320 square pixels or more, a fifth larger than it, and masks of that object alone."""
    pictures, masks = [], []
    for number, instance in (scenes.areas[:, 1:] >= 320).nonzero().tolist():
        this = scenes.instances[number] == instance + 1  # (128, 128)
        (top, left), (bottom, right) = this.nonzero().amin(0).tolist(), this.nonzero().amax(0).tolist()
        half = int(0.6 * max(bottom - top, right - left)) + 1
        row, col = (top + bottom) // 2, (left + right) // 2
        box = slice(max(0, row - half), row + half), slice(max(0, col - half), col + half)
        pictures.append(F.interpolate(scenes.images[number][:, *box][None], (64, 64), mode="bilinear"))
        mask = torch.where(this, scenes.masks[number], 0)[box]
        masks.append(F.interpolate(mask[None, None].float(), (64, 64))[0].long())
    return torch.cat(pictures), torch.cat(masks)  # (crops, 3, 64, 64), (crops, 64, 64)


train = load_scenes("train", size=128, count=600, seed=0)
easy, easy_masks = one_object(train)
clothes = [(masks > 0).float().mean().item() for masks in (easy_masks, train.masks)]
print(f"{len(easy):,} crops: clothes are {clothes[0]:.0%} of their pixels, and {clothes[1]:.0%} of the scenes'")
assert 0.3 < clothes[0] < 0.4 and 0.24 < clothes[1] < 0.3

starts = {"crops first": (easy, easy_masks, 240, 16), "scenes only": (train.images, train.masks, 120, 8)}
quality = {}
for name, (images, masks, steps, batch_size) in starts.items():
    torch.manual_seed(0)
    network = SmallDeconvNet()
    for mine, theirs in zip(network.encoder, fcn.encoder, strict=True):
        mine.load_state_dict(theirs.state_dict())
    network.to(memory_format=torch.channels_last)
    print(name)
    fit(network, images, masks, steps=steps, batch_size=batch_size, lr=6e-3, augment=mirror_and_recolour)
    quality[name] = [miou(predict_logits(network, scenes.images), truth)]
    fit(network, train.images, train.masks, steps=80, batch_size=8, lr=6e-3, augment=mirror_and_recolour)
    quality[name].append(miou(predict_logits(network, scenes.images), truth))
    quality[name].append(miou(predict_logits(network, train.images[:100]), train.masks[:100]))
print("mIoU on whole scenes   after the first stage   after the second   on training scenes")
for name, values in quality.items():
    print(f"{name:20}", *(f"{value:20.2f}" for value in values))
nothing = miou(F.one_hot(torch.zeros_like(truth), 5).permute(0, 3, 1, 2), truth)
print(f"nothing but background: {nothing:.2f}")
assert quality["crops first"][1] > quality["scenes only"][1] + 0.03 and quality["crops first"][1] > 0.3

# %% [markdown]
# Crops first is ahead, on training scenes too. The other one has spent much of its time on masks of nothing but
# background. This is one seed, and so short a training depends on its start. Nor does it say *why* crops help: the
# object is large, alone and in the middle, and a third of the pixels are clothes instead of a quarter.
#
# ## Trained out
#
# The weights of the course come from scratch, from whole scenes and in one stage: 9,000 steps of 16, like FCN-8s.

# %%
network = load_weights(SmallDeconvNet(), "deconvnet_scenes").to(memory_format=torch.channels_last)
seen_scenes = load_scenes("train", size=128, count=100, seed=0)
pairs = {"validation": scenes, "training": seen_scenes}
long = {
    (name, split): predict_logits(one, some.images)  # (100, 5, 128, 128)
    for name, one in (("FCN-8s", fcn), ("DeconvNet", network))
    for split, some in pairs.items()
}
known = {"FCN-8s": records()["fcn_8s_scenes"], "DeconvNet": records()["deconvnet_scenes"]}
for name, record in known.items():
    quality[name] = [record[split]["miou"] for split in pairs]
    print(f"{name:10} mIoU validation {quality[name][0]:.2f}, training {quality[name][1]:.2f}")
assert [round(one, 2) for one in quality["FCN-8s"] + quality["DeconvNet"]] == [0.68, 0.79, 0.67, 0.83]
assert known["DeconvNet"]["steps"] == known["FCN-8s"]["steps"] == 9000 and known["DeconvNet"]["watched"][0] < 0.25
assert not known["DeconvNet"]["trained_out"] and not known["FCN-8s"]["trained_out"]
show(
    draw.learning_curves({name: record["watched"] for name, record in known.items()}, (600, 1800, 4200, 9000), nothing),
    alt="mIoU of watched scenes after 600, 1,800, 4,200 and 9,000 steps. FCN-8s begins at 0.51 and DeconvNet at 0.22, "
    "not far above a mask of nothing but background; they meet after 4,200 steps, near 0.67.",
)
some = [11, 2, 40]
pictures, titles = [], []
for number in some:
    pictures += [scenes.images[number], truth[number], *(long[name, "validation"][number].argmax(0) for name in known)]
    titles += ["scene", "truth", *known]
show(
    show_images(pictures, titles, columns=4, class_names=CLASSES, width=8),
    alt="Three validation scenes: scene, truth, and the masks of FCN-8s and of DeconvNet, both trained out. DeconvNet "
    "follows the outlines closely, trouser legs included; within some objects its labels are speckled.",
)

# %% [markdown]
# So easy pictures are a shortcut, and patience does as well. After 600 steps DeconvNet was hardly better than nothing;
# after 9,000 it has 0.83 on training scenes, where FCN-8s has 0.79, and 0.67 beside 0.68 on validation scenes, one seed
# each. Neither had stopped rising. The masks look nothing alike: DeconvNet parts the legs of trousers, and sprinkles
# wrong labels into some objects.
#
# ## Layer by layer
#
# The paper's figure 4 follows one picture through the decoder. Here is ours. Of each map you see the channel that tells
# the largest object best from the rest, a top in the upper left corner.


# %%
def clearest(maps, mask):
    """The channel that differs most between the inside and the outside of a mask."""
    inside = F.interpolate(mask[None, None].float(), maps.shape[1:], mode="area")[0, 0]  # (H, W)
    difference = (maps * (inside / inside.sum() - (1 - inside) / (1 - inside).sum())).sum((1, 2))  # (C,)
    return maps[(difference / (maps.std((1, 2)) + 1e-3)).argmax()]


largest = scenes.instances[shown] == scenes.areas[shown, 1:].argmax() + 1
with torch.no_grad():
    x, kept_switches = scenes.images[shown : shown + 1], []
    for stage in network.encoder:
        x, switches = F.max_pool2d(stage(x), 2, return_indices=True)
        kept_switches.append(switches)
    x = network.dense_back(network.dense(x))  # (1, 128, 4, 4)
    pictures, titles = [scenes.images[shown], clearest(x[0], largest)], ["scene", "from the vectors: 4 × 4"]
    for stage in network.decoder:
        x = F.max_unpool2d(x, kept_switches.pop(), 2)
        if x.shape[3] > 8:
            pictures.append(clearest(x[0], largest))
            titles.append(f"unpooled: {x.shape[3]} × {x.shape[3]}")
        x = stage(x)
        pictures.append(clearest(x[0], largest))
        titles.append(f"convolved: {x.shape[3]} × {x.shape[3]}")
    assert torch.allclose(network.score(x)[0], long["DeconvNet", "validation"][shown], atol=1e-3)
show(
    show_images([*pictures, network.score(x)[0].argmax(0)], [*titles, "mask"], columns=6, width=10),
    alt="A scene, ten maps and the mask. At 4 by 4 the corner with the object is bright. Each unpooling scatters the "
    "map into dots, and the convolution after it joins them; at 128 by 128 the object has its outline.",
)

# %% [markdown]
# It goes from coarse to fine. The vectors say that something of the kind is up there. Unpooling scatters this into dots
# where the encoder had its maxima, and the transposed convolutions close the gaps.
#
# ## Which complaint does it mend?
#
# The same search as in lesson 05: *found*, more than half of the pixels are right; *two labels*, two kinds of clothes
# with 15 % or more each; *missed*, all of it called background.


# %%
rates, precision = {}, {}
print("                         objects of 20-79 px   80-319   320-1279   1280 and more")
for (name, split), logits in long.items():
    masks, target = logits.argmax(1), pairs[split].masks
    precision[name, split] = (masks == target)[masks > 0].float().mean().item()
    shares, classes, bins = label_shares(masks, pairs[split])
    found, two_labels, missed = problems(shares, classes)
    answers = {"missed": missed, "found": found, "two labels": two_labels}
    for what, answer in answers.items():
        rates[what, name, split] = [answer[bins == size].float().mean().item() for size in range(4)]
        print(f"{name:10} {split:11} {what:12}", *(f"{rate:10.0%}" for rate in rates[what, name, split]))
    print(f"{name:10} {split:11} precision {precision[name, split]:.2f}")
panels = {f"{what}, {split}": {name: rates[what, name, split] for name in known} for split in pairs for what in answers}
show(
    draw.shares_by_size(panels, SIZE_EDGES),
    alt="Bars for both networks over four sizes of objects, on validation scenes above and training scenes below. "
    "DeconvNet misses fewer of the smallest objects and finds more of them, and puts two labels on more small ones. "
    "On large objects it is not ahead in validation.",
)
for split, misses, finds in (("validation", (0.28, 0.10), (0.24, 0.36)), ("training", (0.26, 0.08), (0.21, 0.34))):
    for name, miss, find in zip(known, misses, finds, strict=True):
        assert abs(rates["missed", name, split][0] - miss) < 0.02 and abs(rates["found", name, split][0] - find) < 0.02
for split, torn in (("validation", (0.23, 0.25)), ("training", (0.08, 0.03))):
    assert all(abs(rates["two labels", name, split][3] - one) < 0.02 for name, one in zip(known, torn, strict=True))
assert abs(rates["two labels", "DeconvNet", "validation"][0] - 0.23) < 0.02
assert all(abs(precision[name, "validation"] - one) < 0.01 for name, one in zip(known, (0.76, 0.74), strict=True))

# %% [markdown]
# **(b), missing small objects: mended in part.** Of the tiny ones 10 % are missed instead of 28 %, and 36 % found
# instead of 24 %, at a precision of 0.74 instead of 0.76. Training scenes say the same.
#
# **(a), two labels on large objects: not mended.** On training scenes 3 % have them instead of 8 %, but on validation
# scenes 25 % instead of 23 %. And 23 % of the tiny objects now carry two labels; with FCN-8s hardly any do. (An object
# that is missed carries no label at all, so some of these are former misses.)
#
# This is one seed each, and much differs at once: decoder, switches, dense layer, 2.5 times the weights. Lesson 07
# takes the switches apart. The authors did not feed whole pictures, either. They cut 50 of 2,000 **proposals** out of
# each, boxes that may hold an object, so that large things come reduced and small things enlarged, and laid the masks
# on top of each other. Their 69.6 mIoU on PASCAL VOC 2012 belongs to that procedure.
#
# ## Where, and what
#
# Split the score in two: *where* are clothes at all, and *what* are they, counted on pixels that truth and mask both
# call clothes. Then average the probabilities of the two networks.

# %%
where, what, joined = {}, {}, {}
for split in pairs:
    target = pairs[split].masks
    long["both", split] = sum(long[name, split].softmax(1) for name in known)  # (100, 5, 128, 128)
    for name in (*known, "both"):
        masks = long[name, split].argmax(1)
        agreed, painted = (masks > 0) & (target > 0), (masks > 0) | (target > 0)
        where[name, split] = (agreed.sum() / painted.sum()).item()
        what[name, split] = (masks == target)[agreed].float().mean().item()
        joined[name, split] = miou(long[name, split], target)
        print(
            f"{split:11} {name:10} where: clothes, IoU {where[name, split]:.2f}; what: {what[name, split]:.2f} right; "
            f"mIoU {joined[name, split]:.2f}"
        )
for one, expected in ((where, (0.84, 0.88, 0.88)), (what, (0.82, 0.78, 0.82))):
    assert all(abs(one[n, "validation"] - e) < 0.01 for n, e in zip((*known, "both"), expected, strict=True))
assert where["DeconvNet", "training"] > where["FCN-8s", "training"] + 0.03
assert all(joined["both", split] > max(joined[name, split] for name in known) + 0.01 for split in pairs)
pictures, titles = [], []
for number in some[:2]:
    pictures += [truth[number], *(long[name, "validation"][number].argmax(0) for name in (*known, "both"))]
    titles += ["truth", *known, "both, averaged"]
show(
    show_images(pictures, titles, columns=4, class_names=CLASSES, width=8),
    alt="Two validation scenes: truth, FCN-8s, DeconvNet, and the average of both, which has the outlines of DeconvNet "
    "and far fewer speckles.",
)

# %% [markdown]
# DeconvNet knows better **where** (0.88 against 0.84), FCN-8s knows better **what** (0.82 against 0.78), and their
# average has the better of each. The authors, too, averaged theirs with FCN: 71.7 instead of 69.6. (Any two networks
# may do better on average than each alone; two of a kind were not tried here.)
#
# ## Real pictures: nuclei

# %%
tiles, instances = load_nuclei("test")  # (4, 1, 128, 128), (4, 128, 128)
tile_truth = three_classes(instances)  # (4, 128, 128)
real_known = {"FCN-8s": records()["fcn_8s_nuclei"], "DeconvNet": records()["deconvnet_nuclei"]}
old_net = load_weights(FCN8s(in_channels=1, num_classes=3), "fcn_8s_nuclei")
new_net = load_weights(SmallDeconvNet(in_channels=1, num_classes=3), "deconvnet_nuclei")
answers = [predict_logits(one, tiles).argmax(1) for one in (old_net, new_net)]  # (4, 128, 128) each
pictures, titles = [], []
for number in (0, 2):
    pictures += [(3 * tiles[number]).clamp(max=1), tile_truth[number], *(masks[number] for masks in answers)]
    titles += ["nuclei, brightened", "truth", *known]
show(
    show_images(pictures, titles, columns=4, class_names=NUCLEUS_CLASSES, width=8),
    alt="Two microscope tiles, their true masks, and those of FCN-8s and DeconvNet, trained out. DeconvNet's are more "
    "ragged; boundaries between nuclei that touch are missing in both.",
)
for name, record in real_known.items():
    parts = [f"{split} {record[split]['miou']:.2f}, boundary {record[split]['iou'][2]:.2f}" for split in pairs]
    print(f"{name:10} {'; '.join(parts)}; watched {record['watched']}")
thin = [round(record[split]["iou"][2], 2) for record in real_known.values() for split in pairs]
assert (
    thin == [0.61, 0.79, 0.56, 0.86] and real_known["DeconvNet"]["watched"][2] < real_known["DeconvNet"]["watched"][1]
)

# %% [markdown]
# Here the older network wins. On training tiles DeconvNet is ahead, with an IoU of the boundary of 0.86 against 0.79;
# on new tiles it is behind, 0.56 against 0.61, and the tiles that were only watched got worse in its last cycle. Nine
# tiles are few, and it has more weights to learn them by heart.
#
# ## The table so far

# %%
show_tables("06")
minute = {row["name"]: [row[task]["validation"] for task in ("scenes", "nuclei")] for row in rows("06")}
for name in known:
    print(f"{name:10} a minute, three seeds: scenes {minute[name][0]['range']}, nuclei {minute[name][1]['range']}")
low, high = minute["DeconvNet"][0]["range"]
assert [round(one, 2) for one in (low, high, minute["FCN-8s"][0]["miou"])] == [0.22, 0.42, 0.51]
assert [round(minute[name][1]["miou"], 2) for name in known] == [0.76, 0.74]
tiny = [records()[f"{name}_scenes"]["validation"] for name in ("deconvnet", "fcn_8s", "sliding_window")]
assert [f"{one['recall'][0]:.0%} {one['precision']:.2f}" for one in tiny] == ["38% 0.76", "22% 0.77", "51% 0.36"]

# %% [markdown]
# After the table's minute FCN-8s wins the scenes clearly: 0.51, while DeconvNet's three seeds lie between 0.22 and
# 0.42. On the nuclei the older network is ahead at both budgets, though after a minute the ranges overlap.
#
# Trained out and on 200 validation scenes, DeconvNet finds 38 % of the tiny objects with a precision of 0.76, FCN-8s
# 22 % with 0.77. The sliding window still finds the most, 51 %, with 0.36: it paints generously.
#
# ## What decompressing everything costs


# %%
def weights_of(kernel, *widths):
    """Weights and biases of convolutions, one after the other."""
    return sum(kernel**2 * before * after + after for before, after in pairwise(widths))


parts = {
    "VGG convolutions": weights_of(3, 3, 64, 64, 128, 128, *3 * [256], *6 * [512]),
    "fc6": weights_of(7, 512, 4096),
    "fc7": weights_of(1, 4096, 4096),
    "fc6-deconv": weights_of(7, 4096, 512),
    "transposed convolutions": weights_of(3, *6 * [512], *3 * [256], 128, 128, *3 * [64]),
    "scores": weights_of(1, 64, 21),
}
dense_share = sum(parts[name] for name in ("fc6", "fc7", "fc6-deconv")) / sum(parts.values())
print(f"the original: {sum(parts.values()):,} parameters, fc6-deconv {parts['fc6-deconv']:,}; dense {dense_share:.0%}")
assert sum(parts.values()) == 251_772_245 and parts["fc6-deconv"] == 102_760_960 and round(dense_share, 2) == 0.88
show(
    draw.parameter_bars(parts),
    alt="Bars of the original's parameters in millions: VGG convolutions 14.7, fc6 102.8, fc7 16.8, fc6-deconv 102.8, "
    "transposed convolutions 14.7, scores nearly none.",
)

# %% [markdown]
# The original makes one vector of 4,096 numbers of a whole crop of 224 × 224 pixels. One layer, fc6-deconv, which leads
# from that vector back to a map, has 102.8 million of its 251.8 million parameters. The dense layers together hold
# 88 %.
#
# ## Summary
#
# 1. A transposed convolution is the transpose of a convolution's matrix: it stamps and enlarges, and it undoes nothing.
# 2. Stamps with a stride leave checkerboards, in trained networks too; copies with a convolution leave none.
# 3. Unpooling with switches puts maxima back exactly and leaves gaps, which convolutions fill.
# 4. DeconvNet, an encoder and its mirror image, learns slowly: begin with easy pictures, or train long.
# 5. It misses fewer tiny objects and knows better where clothes are; large objects still get two labels.
#
# ## What to read
#
# * Hyeonwoo Noh, Seunghoon Hong, Bohyung Han: *Learning deconvolution network for semantic segmentation*, ICCV 2015:
#   sections 3.2 with figure 4 (unpooling, deconvolution), 4.1 and 4.2 (batch normalization, two stages), 5 (proposals,
#   average with FCN).
# * Augustus Odena, Vincent Dumoulin, Chris Olah: *Deconvolution and checkerboard artifacts*, Distill 2016.
# * Vincent Dumoulin, Francesco Visin: *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285, chapter
#   4: sizes of transposed convolutions.
#
# ## What the next lesson repairs
#
# We compressed until a vector was left, and decompressed all of it. The original holds most of its parameters there,
# and ours learns slowly: after the minute it stands between 0.22 and 0.42, where FCN-8s has 0.51. The vector can hardly
# be what draws sharp outlines; the switches pass it by. Lesson 07 asks whether so much compressing is needed at all:
# SegNet keeps the mirror and the switches, and leaves the dense layers out.
