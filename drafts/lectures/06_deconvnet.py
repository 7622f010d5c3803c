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
import math

import torch
import torch.nn.functional as F
from torch import nn

from seglab.data.nuclei import NUCLEUS_CLASSES, load_nuclei, three_classes
from seglab.data.scenes import CLASSES, SIZE_EDGES, load_scenes
from seglab.drawings import deconvnet as draw
from seglab.figures import loss_curve, show, show_images
from seglab.networks import conv_bn_relu, deconv_bn_relu, halving_encoder
from seglab.results import SIZES, show_tables
from seglab.training import fit, miou, mirror_and_recolour, predict_logits
from seglab.weights import load_weights, records

# %% [markdown]
# ## A convolution is a matrix
#
# Write a picture of 4 × 4 pixels as one long list of 16 numbers. A 3 × 3 kernel without padding fits into it at four
# places, and each result is a weighted sum of the 16, with weights that are mostly zero. Four sums of 16 numbers are a
# matrix $A$ with four rows: row by row the same nine weights, shifted.

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
    alt="A kernel with the numbers 1 to 9. Its matrix has 4 rows and 16 columns; each row holds the nine numbers in three "
    "groups of three, further right from row to row. Turned over, it has 16 rows and 4 columns, and each column holds "
    "the nine numbers.",
)

# %% [markdown]
# Now read the matrix by columns instead of rows, that is, use its **transpose** $A^\top$. It takes 4 numbers and gives
# 16: it enlarges. Number after number, each column lays the nine weights on the picture, multiplied by the number, and
# what overlaps is added. These are the stamps of lesson 05, and a layer that computes $A^\top$ is called **transposed
# convolution**. The paper calls it deconvolution.
#
# The two belong together by one rule. For every picture $x$ and every small map $y$, with ⟨ , ⟩ for the sum of products
# of all numbers, ⟨$Ax$, $y$⟩ = ⟨$x$, $A^\top y$⟩. That is how backpropagation sends gradients through a convolution, so
# every library had this layer before anybody used it forwards. The rule does **not** say that $A^\top$ undoes $A$.

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
    "transpose makes of that: numbers nearly everywhere, the largest, 46, where the 1 stood.",
)
print("numbers that A keeps apart:", torch.linalg.matrix_rank(A).item(), "of 16")
print(returned)
assert returned[1, 1] == 46 and torch.linalg.matrix_rank(A) == 4

# %% [markdown]
# One bright pixel comes back as a blot. It cannot be otherwise: 16 numbers went through 4, and 12 are gone. What the way
# back paints into the gaps is a guess, and the kernel is where the network learns to guess well.
#
# With a stride of 2, the stamps lie two pixels apart, and the map grows by a factor of about 2. In the film each number
# of a 3 × 3 map takes its turn.

# %%
numbers = torch.tensor([[1.0, 2.0, 1.0], [3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
stamp = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
whole = F.conv_transpose2d(numbers[None, None], stamp[None, None], stride=2)[0, 0]  # (7, 7)
assert whole.shape == (7, 7) and whole[2].tolist() == [4, 8, 7, 6, 6, 6, 3]
draw.stamping(numbers, stamp, stride=2).show(
    alt="A film in nine steps. One number of a 3 by 3 map after the other is framed, multiplied by a stamp of 3 by 3, and "
    "the product is added to a map of 7 by 7, two pixels further each time. Where stamps share a row or column, their "
    "numbers add up."
)

# %% [markdown]
# ## Which size comes out
#
# The first stamp covers `kernel` pixels, each further one adds `stride`, and a `padding` of 1 cuts one row off on each
# side. From 8 numbers with kernel 3, stride 2 and padding 1 this gives 7 · 2 + 3 − 2 = **15** pixels, though you may
# have come from a picture of 16.

# %%
sizes = {size: F.conv2d(torch.zeros(1, 1, size, size), stamp[None, None], None, 2, 1).shape[3] for size in range(11, 19)}
eight = torch.zeros(1, 1, 8, 8)
back = [F.conv_transpose2d(eight, stamp[None, None], None, 2, 1, extra).shape[3] for extra in (0, 1)]
print("8 comes from", [size for size, map_size in sizes.items() if map_size == 8], "and goes back to", back)
assert back == [15, 16] and (8 - 1) * 2 + 3 - 2 * 1 == 15 and [sizes[15], sizes[16]] == [8, 8]
show(
    draw.staircase(sizes),
    alt="A staircase: pictures of 11 and 12 pixels give maps of 6, 13 and 14 give 7, 15 and 16 give 8, 17 and 18 give 9. "
    "A square marks where each map goes back to: the smaller of its two pictures.",
)

# %% [markdown]
# Pictures of 15 and of 16 pixels **collide**: both give a map of 8. The map cannot tell which it was, so you must.
# `output_padding=1` asks for the larger one. It adds a row and a column at the far end, of places that the stamps reach
# but the padding had cut off. In spite of its name it pads nothing with zeros.
#
# ## Checkerboards, predicted
#
# Count how many stamps write each pixel: let all numbers and all weights be 1. With kernel 3 and stride 2 neighbouring
# stamps share one row or column in two. With kernel 4 they always share two.

# %%
counts = {}
for size in (3, 4):
    counts[size] = F.conv_transpose2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, size, size), stride=2)[0, 0]
    print(f"kernel {size}, a row in the middle: {counts[size][4].int().tolist()}")
assert counts[3].shape == (9, 9) and counts[3][1].tolist() == [1, 1, 2, 1, 2, 1, 2, 1, 1]
assert set(counts[3][2:7, 2:7].flatten().tolist()) == {1, 2, 4} and set(counts[4][2:8, 2:8].flatten().tolist()) == {4}
show(
    draw.tables({"kernel 3, stride 2": counts[3], "kernel 4, stride 2": counts[4]}, width=8),
    alt="How often each pixel is written. Kernel 3: 1, 2 and 4 alternate like a checkerboard. Kernel 4: 4 everywhere "
    "inside, less at the edges.",
)

# %% [markdown]
# In one direction the counts are **1, 2, 1, 2**, in two directions 1, 2 and 4: a checkerboard with a period of 2
# pixels, unless the weights make up for it. They could, since training may find any weights. A chain of three such
# layers is at risk at 2 pixels, and its first two at 8 and 4 pixels of the final picture. Kernel 4 is safe by this
# count. The usual cure goes further: enlarge by copying (nearest neighbour), and let an ordinary convolution with
# stride 1 follow.
#
# ## Checkerboards, found
#
# Do they appear in networks that have been *trained*? Take the first three stages of lesson 05's FCN-8s, trained out
# and left alone, as the encoder: from scenes of 64 × 64 pixels they make maps of 8 × 8. Behind them we train decoders
# of three enlarging layers, of three kinds, with three seeds each, same steps and batches. The next cell takes about
# twenty seconds.


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
coarse = {split: predict_logits(fcn.encoder[:3], one.images) for split, one in little.items()}  # (N, 64, 8, 8)
untrained, decoded = {}, {}
for kind in ("kernel 3", "kernel 4", "copies, then conv"):
    for seed in range(3):
        torch.manual_seed(seed)
        first, second = enlarging(kind, 64, 32), enlarging(kind, 32, 16)  # 16, then 32 pixels
        chain = (first, nn.BatchNorm2d(32), nn.ReLU(), second, nn.BatchNorm2d(16), nn.ReLU(), enlarging(kind, 16, 5))
        decoder = nn.Sequential(*chain).to(memory_format=torch.channels_last)
        untrained[kind, seed] = predict_logits(decoder, coarse["val"])  # (100, 5, 64, 64)
        fit(decoder, coarse["train"], little["train"].masks, steps=400, batch_size=8, lr=1e-2, seed=seed)
        decoded[kind, seed] = predict_logits(decoder, coarse["val"])

# %% [markdown]
# What repeats every 2 pixels stands out in the **spectrum**, which says how much of the logits' variation along a row
# belongs to each period. Compare the power at 8, 4 and 2 pixels with the mean of its neighbours: a ratio of 1 means
# that nothing stands out.


# %%
def spectrum(logits):
    rows_inside = logits[:, :, 8:56, 8:56]  # (N, C, 48, 48): far from the border
    return torch.fft.rfft(rows_inside, dim=3).abs().square().mean((0, 1, 2))  # (25,): waves per 48 pixels


def stands_out(power, period):
    here = 48 // period
    around = [power[here + step] for step in (-2, -1, 1, 2) if here + step < len(power)]
    return (power[here] / torch.stack(around).mean()).item()


peaks = {}
print("                          power over its neighbours at 8 px, 4 px, 2 px         mIoU")
for kind, seed in decoded:
    before, after = spectrum(untrained[kind, seed]), spectrum(decoded[kind, seed])
    peaks[kind, seed] = [stands_out(power, period) for power in (before, after) for period in (8, 4, 2)]
    text = "untrained {:5.1f} {:5.1f} {:5.1f}, trained {:5.1f} {:5.1f} {:5.1f}".format(*peaks[kind, seed])
    print(f"{kind:18} seed {seed}: {text}    {miou(decoded[kind, seed], little['val'].masks):.3f}")
names = ("kernel 3", "kernel 4", "copies, then conv")
kinds = {name: {"untrained": spectrum(untrained[name, 0]), "trained": spectrum(decoded[name, 0])} for name in names}
detail = {name: decoded[name, 0][4, 0, 8:40, 8:40] for name in names}
show(
    draw.close_ups_and_spectra(detail, kinds),
    alt="Above, a detail of the background's logits from each kind of decoder: with kernel 3 a fine checkerboard covers "
    "it, with kernel 4 a faint one, with copies and convolution none. Below, the spectra: untrained, both kinds of "
    "stamps have sharp peaks at 4 and 2 pixels; trained, the peak at 2 pixels is lower and still there.",
)

# %% [markdown]
# TODO words
#
# ## Unpooling
#
# Pooling forgets **where** the maximum stood. DeconvNet writes it down: one number per maximum, the *switch*, counts
# the pixels from the upper left in reading order. **Unpooling** puts each value back at its switch and fills the rest
# with zeros. Without switches one would put it into the upper left corner of its block, which is called a *bed of
# nails*.

# %%
floor = torch.tensor(
    [[1.0, 3, 0, 0, 2], [2, 0, 0, 0, 1], [5, 5, 4, 6, 3], [5, 1, 7, 2, 0], [0, 2, 1, 0, 4]]
)  # (5, 5): the last row and column fill no block of 2 x 2
pooled, switches = F.max_pool2d(floor[None, None], 2, return_indices=True)  # (1, 1, 2, 2) each
unpooled = F.max_unpool2d(pooled, switches, 2, output_size=(5, 5))[0, 0]  # (5, 5)
nails = torch.zeros(5, 5)
nails[:4:2, :4:2] = pooled[0, 0]
print("switches:", switches[0, 0].tolist())
assert pooled[0, 0].tolist() == [[3, 0], [5, 7]] and switches[0, 0].tolist() == [[1, 2], [10, 17]]
assert unpooled[0, 1] == 3 and unpooled[2, 0] == 5 and unpooled[3, 2] == 7 and (unpooled > 0).sum() == 3
chosen = torch.zeros(25).index_fill(0, switches.flatten(), 1.0).reshape(5, 5)
show(
    draw.tables(
        {"map": floor, "pooled": pooled[0, 0], "unpooled": unpooled, "bed of nails": nails},
        kept={"map": chosen, "unpooled": chosen},
    ),
    alt="A map of 5 by 5 with four framed maxima; pooled it is 3, 0, 5, 7. Unpooled, these stand in their old places; in "
    "the bed of nails they stand in the upper left corners of their blocks.",
)

# %% [markdown]
# Two details trip up most first attempts. The numbers 1, 2, 10, 17 count in rows of **five**: the map was 5 × 5, and the
# last row and column fill no block. From a 2 × 2 map nobody can see that, so unpooling must be told the size, and with a
# wrong one the values land in wrong places. And in the block 5 5 / 5 1 three are largest: the **first** counts. After a
# ReLU many blocks are all zero, and then it does not matter.
#
# Here are the three ways back on a real map, the first layer of our FCN-8s before its pooling.

# %%
scenes = load_scenes("val", size=128, count=100, seed=0)
truth = scenes.masks  # (100, 128, 128)
shown = 11
with torch.no_grad():
    maps = fcn.encoder[0][:3](scenes.images[shown : shown + 1])[0]  # (16, 128, 128)
place = slice(30, 75)
real = maps[maps.var((1, 2)).argmax()][place, place][None, None]  # (1, 1, 45, 45)
pooled, switches = F.max_pool2d(real, 2, return_indices=True)  # (1, 1, 22, 22) each
ways = {"bed of nails": torch.zeros_like(real), "switches": F.max_unpool2d(pooled, switches, 2, output_size=(45, 45))}
ways["bed of nails"][:, :, :44:2, :44:2] = pooled
ways["bilinear"] = F.interpolate(pooled, size=(45, 45), mode="bilinear")
peak = real >= real.quantile(0.9)  # its strongest tenth
kept = {}
for name, way in ways.items():
    kept[name] = (way >= real.quantile(0.9))[peak].float().mean().item(), F.mse_loss(way, real).item()
    print(f"{name:13} strongest tenth kept in place {kept[name][0]:4.0%}, mean squared error {kept[name][1]:.3f}")
show(
    show_images([real[0, 0], pooled[0, 0], *(way[0, 0] for way in ways.values())], ["map", "pooled", *ways], width=10),
    alt="A map of 45 by 45 with the outlines of objects; pooled to 22 by 22; with a bed of nails, dots on a regular grid; "
    "with switches, dots along the true outlines; bilinear, a smooth, thickened version.",
)

# %% [markdown]
# TODO words
#
# ## DeconvNet
#
# The network is a VGG encoder and its **mirror image**. Each stage of the decoder unpools with the switches of its
# counterpart, and a transposed convolution (3 × 3, stride **1**, so the size stays) turns the dots into a full map. In
# the middle stands a dense layer, as in VGG, and one that leads back. No map crosses from left to right, only switches.
#
# Ours has one convolution per stage and the widths of lesson 05. The dense layer is a convolution (lesson 03) that turns
# 2 × 2 cells into one vector.


# %%
class SmallDeconvNet(nn.Module):
    """For pictures whose sides can be halved five times, and are 64 pixels or more."""

    def __init__(self, in_channels=3, num_classes=5):
        super().__init__()
        down, up = ((in_channels, 16), (16, 32), (32, 64), (64, 96), (96, 128)), ((128, 96), (96, 64), (64, 32), (32, 16))
        self.encoder = nn.ModuleList(conv_bn_relu(*widths) for widths in down)
        self.dense = conv_bn_relu(128, 96, kernel_size=2, padding=0)
        self.dense_back = deconv_bn_relu(96, 128, kernel_size=2, padding=0)
        self.decoder = nn.ModuleList(deconv_bn_relu(*widths) for widths in (*up, (16, 16)))
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
    alt="Blue boxes from the picture of 128 pixels down to 4, a small yellow box for the dense layer, and orange boxes from "
    "4 up to 128, as high as their counterparts. Dashed green arrows carry the switches of each pooling across.",
)
parameters = [sum(p.numel() for p in network.parameters()) for network in (SmallDeconvNet(), fcn)]
print(f"parameters: DeconvNet {parameters[0]:,}, FCN-8s {parameters[1]:,}")
assert parameters == [480_549, 191_487] and SmallDeconvNet()(torch.zeros(2, 3, 64, 96)).shape == (2, 5, 64, 96)

# %% [markdown]
# ## Training in two stages
#
# So deep a chain is hard to train, and the authors took three measures. The encoder began with VGG's weights. **Batch
# normalization** follows every layer; without it, they report, training ended in a poor optimum (section 4.1). And
# they trained in **two stages**: first on easy pictures, crops around one object in which all else is called
# background, and then on harder ones.
#
# Try the last one. Two networks start alike, with the encoder of FCN-8s. One spends 240 steps on single-object crops,
# enlarged or reduced to 64 × 64 pixels; the other spends as many pixels on whole scenes. Then both get 80 steps of whole
# scenes. The next cell takes about fifty seconds.


# %%
def one_object(scenes):
    """Crops around each object of 320 square pixels or more, a fifth larger than it, and masks of that object alone."""
    pictures, masks = [], []
    for number, instance in (scenes.areas[:, 1:] >= 320).nonzero().tolist():
        this = scenes.instances[number] == instance + 1
        (top, left), (bottom, right) = this.nonzero().amin(0).tolist(), this.nonzero().amax(0).tolist()
        half = int(0.6 * max(bottom - top, right - left)) + 1
        row, col = (top + bottom) // 2, (left + right) // 2
        box = slice(max(0, row - half), row + half), slice(max(0, col - half), col + half)
        pictures.append(F.interpolate(scenes.images[number][:, *box][None], (64, 64), mode="bilinear"))
        mask = torch.where(this, scenes.masks[number], 0)[box]
        masks.append(F.interpolate(mask[None, None].float(), (64, 64))[0].long())
    return torch.cat(pictures), torch.cat(masks)


train = load_scenes("train", size=128, count=600, seed=0)
easy, easy_masks = one_object(train)  # (crops, 3, 64, 64), (crops, 64, 64)
starts = {"crops first": (easy, easy_masks, 240, 16), "scenes only": (train.images, train.masks, 120, 8)}
quality, history = {}, {}
for name, (images, masks, steps, batch_size) in starts.items():
    torch.manual_seed(0)
    network = SmallDeconvNet()
    for mine, theirs in zip(network.encoder, fcn.encoder, strict=True):
        mine.load_state_dict(theirs.state_dict())
    network.to(memory_format=torch.channels_last)
    print(name)
    fit(network, images, masks, steps=steps, batch_size=batch_size, lr=6e-3, augment=mirror_and_recolour)
    halfway = miou(predict_logits(network, scenes.images), truth)
    history[name] = fit(network, train.images, train.masks, steps=80, batch_size=8, lr=6e-3, augment=mirror_and_recolour)
    on_training = miou(predict_logits(network, train.images[:100]), train.masks[:100])
    quality[name] = halfway, miou(predict_logits(network, scenes.images), truth), on_training
print("mIoU on whole scenes    after the first stage   after the second   on training scenes")
for name, values in quality.items():
    print(f"{name:18}", *(f"{value:18.2f}" for value in values))

# %% [markdown]
# TODO words
#
# ## Trained out
#
# The weights of the course come from scratch, from whole scenes and in one stage, 9,000 steps like FCN-8s.

# %%
network = load_weights(SmallDeconvNet(), "deconvnet_scenes").to(memory_format=torch.channels_last)
seen_scenes = load_scenes("train", size=128, count=100, seed=0)
long = {
    (name, split): predict_logits(one, some.images)  # (100, 5, 128, 128)
    for name, one in (("FCN-8s", fcn), ("DeconvNet", network))
    for split, some in (("training", seen_scenes), ("validation", scenes))
}
watched = {name: records()[key]["watched"] for name, key in (("FCN-8s", "fcn_8s_scenes"), ("DeconvNet", "deconvnet_scenes"))}
known = {name: [records()[key][split]["miou"] for split in ("training", "validation")] for name, key in (("FCN-8s", "fcn_8s_scenes"), ("DeconvNet", "deconvnet_scenes"))}
show(
    draw.learning_curves(watched, (600, 1800, 4200, 9000), 0.14),
    alt="",
)

# %% [markdown]
# ## Layer by layer

# %%
def best_channel(maps, mask):
    """The channel that differs most between the pixels of a mask and all others."""
    inside = F.interpolate(mask[None, None].float(), maps.shape[1:], mode="area")[0, 0]  # (H, W)
    weights = inside / inside.sum() - (1 - inside) / (1 - inside).sum()
    return maps[((maps * weights).sum((1, 2)) / (maps.std((1, 2)) + 1e-6)).argmax()]


picture = scenes.images[shown : shown + 1]
with torch.no_grad():
    x, kept_switches, steps_back = picture, [], {}
    for stage in network.encoder:
        x, switches = F.max_pool2d(stage(x), 2, return_indices=True)
        kept_switches.append(switches)
    x = network.dense_back(network.dense(x))
    steps_back["from the vectors, 4 × 4"] = x[0]
    for stage in network.decoder:
        x = F.max_unpool2d(x, kept_switches.pop(), 2)
        if x.shape[3] > 8:
            steps_back[f"unpooled, {x.shape[3]} × {x.shape[3]}"] = x[0]
        x = stage(x)
        steps_back[f"convolved, {x.shape[3]} × {x.shape[3]}"] = x[0]
