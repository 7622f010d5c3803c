# %% [markdown]
# # 05 · FCN
#
# Lesson 04 left you with a dilemma. To see far, a network must compress: that is how a receptive field grows quickly.
# But the network with three poolings painted blocks of 8 × 8 pixels and lost the small objects, and networks for
# photographs, like VGG-16, have five poolings: one answer per 32 × 32 pixels. We want an answer for **every** pixel,
# from a network that has seen far.
#
# The fully convolutional network (FCN, 2015) takes the direct way: compress, get a coarse map of scores, and **enlarge
# the map again**, inside the network, so that masks can train all of it. The part that compresses is called the
# **encoder**, the part that brings the resolution back the **decoder**. You will see
#
# * how a map is enlarged, on the slide's numbers, and that bilinear enlarging is a convolution run backwards,
# * a classifier that becomes FCN-32s, FCN-16s and FCN-8s, all trained here with masks,
# * where the enlarged map lies on the picture: the crop offsets 19, 27 and 31, derived and measured,
# * the two problems of the slide, found by the computer in its own masks, and one experiment that explains both.
#
# Slides: "keep the sizes", "how upsampling in FCN works", "problems?", and from further on "upsampling" (nearest
# neighbour, bilinear).

# %%
import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from seglab.data.scenes import CLASSES, SIZE_EDGES, load_crops, load_scenes
from seglab.figures import show, show_images
from seglab.networks import halving_encoder
from seglab.training import fit, miou, mirror_and_recolour, pixel_accuracy, predict_logits

# %% [markdown]
# ## A classifier that compresses by 32
#
# FCN begins with a network that was trained to classify. Ours has five stages in the manner of VGG-16: a 3 × 3
# convolution, batch normalization, ReLU, and a 2 × 2 pooling that halves the map. (The next lessons use this encoder,
# too.) A crop of 64 × 64 pixels becomes 128 numbers at 2 × 2 places. Global average pooling makes one vector of them,
# and a dense layer five scores.
#
# It learns from crops with **one label each**, as in lesson 02. No mask yet.
#
# Its convolutions are padded by 1, so that only the poolings change the size. You know the price from lesson 02: what
# it computes for a crop is not exactly what it computes for the same place in a scene. Here this matters little, since
# in a moment it will be trained on whole scenes.

# %%
crops, labels = load_crops("train", size=64, count=3000, seed=0)  # (3000, 3, 64, 64), (3000,)
val_crops, val_labels = load_crops("val", size=64, count=500, seed=0)  # (500, 3, 64, 64), (500,)

torch.manual_seed(0)
stages, dense = halving_encoder(), nn.Linear(128, 5)
classifier = nn.Sequential(stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)
classifier.to(memory_format=torch.channels_last)  # the same numbers, faster on a CPU
fit(classifier, crops, labels, epochs=6, batch_size=32, lr=3e-3, seed=0, augment=mirror_and_recolour)

x = crops[:1]
print("input  ", tuple(x.shape[1:]))
for number, stage in enumerate(stages, start=1):
    x = stage(x)
    print("stage", number, tuple(x.shape[1:]))
accuracy = pixel_accuracy(predict_logits(classifier, val_crops), val_labels)
print(f"{accuracy:.0%} of the validation crops right; guessing gives 20 %")
assert x.shape == (1, 128, 2, 2) and accuracy > 0.5

# %% [markdown]
# Now do what lesson 03 taught. A dense layer behind an average is a **1 × 1 convolution** before it: first the scores
# of every place, then their mean. Leave out the mean, and the classifier gives a map for a picture of any size. For our
# scenes of 128 × 128 pixels the map is 4 × 4, one cell per 32 × 32 pixels.

# %%
scenes = load_scenes("val", size=128, count=100, seed=0)
truth = scenes.masks  # (100, 128, 128)

score = nn.Conv2d(128, 5, 1)
score.weight.data = dense.weight.data.clone()[:, :, None, None]  # (5, 128, 1, 1)
score.bias.data = dense.bias.data.clone()
map_classifier = nn.Sequential(stages, score).eval()

maps = predict_logits(map_classifier, scenes.images)  # (100, 5, 4, 4)
with torch.no_grad():
    assert torch.allclose(map_classifier(val_crops[:9]).mean((2, 3)), classifier(val_crops[:9]), atol=1e-4)
print("a scene", tuple(scenes.images.shape[1:]), "gives a map", tuple(maps.shape[1:]))
assert maps.shape == (100, 5, 4, 4)

# %% [markdown]
# ## Two ways to enlarge a map
#
# Enlarging a map is called **upsampling**, and the slides show two ways. **Nearest neighbour** copies: each number
# becomes a 2 × 2 block. **Bilinear** mixes. Think of each number as sitting in the *middle* of its cell. A new pixel
# looks where its own middle lies between those middles, and takes a weighted mean. With a factor of 2 the new pixels
# lie a quarter and three quarters of the way between two old ones, so the weights are ¾ and ¼. At the border there is
# no second neighbour; the nearest value is taken alone.
#
# Rows and columns can be done one after the other, so one small matrix of weights is the whole method.

# %%
one_to_four = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
nearest = one_to_four[[0, 0, 1, 1]][:, [0, 0, 1, 1]]  # (4, 4)

tens = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
weights = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])  # (4, 2): new pixel, old pixel
bilinear = weights @ tens @ weights.T  # (4, 4): rows, then columns

slide = torch.tensor([[10, 12, 17, 20], [15, 17, 22, 25], [25, 27, 32, 35], [30, 32, 37, 40]])
assert nearest.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
assert bilinear[0].tolist() == [10, 12.5, 17.5, 20]
assert torch.equal(bilinear.floor().long(), slide)  # the slide rounds down
assert torch.equal(bilinear, F.interpolate(tens[None, None], scale_factor=2, mode="bilinear")[0, 0])
corners = F.interpolate(tens[None, None], scale_factor=2, mode="bilinear", align_corners=True)[0, 0]
print("align_corners=True, first row:", [round(value, 1) for value in corners[0].tolist()])

figure = Figure(figsize=(9, 2.6), layout="constrained")
tables = {"nearest, from 1 2 / 3 4": nearest, "bilinear, from 10 20 / 30 40": bilinear, "as the slide prints it": slide}
for axis, (title, table) in zip(figure.subplots(1, 3), tables.items(), strict=True):
    axis.imshow(table, cmap="Blues", vmax=1.8 * table.max())
    for row in range(4):
        for col in range(4):
            axis.text(col, row, f"{table[row, col].item():g}", ha="center", va="center", fontsize=11)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
show(
    figure,
    alt="Three tables of 4 by 4 numbers. Nearest: blocks of 1, 2, 3 and 4. Bilinear: the first row is 10, 12.5, 17.5, "
    "20, the last 30, 32.5, 37.5, 40. The slide's table: the same, rounded down: 10, 12, 17, 20.",
)

# %% [markdown]
# The slide's table is **half-pixel bilinear, rounded down**: 12.5 is printed as 12. "Half-pixel" is the convention
# with middles of cells, `align_corners=False` in PyTorch. The other convention, `align_corners=True`, glues the corner
# *values* to the corner pixels and gives 10, 13.3, 16.7, 20. Then cells have no fixed size any more, and a map laid on
# its picture is shifted a little nearly everywhere. This course uses half-pixel throughout.
#
# ## First, just enlarge the map
#
# That is the slide's first try: take the classifier's map as it is, and enlarge it 32 times. It takes no training, and
# no mask.

# %%
plain = F.interpolate(maps, scale_factor=32, mode="bilinear")  # (100, 5, 128, 128)
blocks = F.interpolate(maps, scale_factor=32, mode="nearest")  # (100, 5, 128, 128)

shown = 11
figure = show_images(
    [scenes.images[shown], truth[shown], blocks[shown].argmax(0), plain[shown].argmax(0)],
    ["scene", "truth", "map, nearest", "map, bilinear"],
    class_names=CLASSES,
)
show(
    figure,
    alt="A scene, its true mask, and the classifier's map enlarged in two ways: square blocks of 32 pixels, and blobs "
    "with slanted edges. Neither follows the outlines of the objects.",
)
print(f"mIoU of the enlarged map: nearest {miou(blocks, truth):.2f}, bilinear {miou(plain, truth):.2f}")

# %% [markdown]
# Bilinear enlarging looks better, since borders between two labels may now lie between two cells. But it cannot know
# what the cells do not say. In training only the mean over a crop's cells got a label, the class at the crop's centre.
# Nothing ever told a cell where an object ends, and so the blobs are fat.
#
# ## Enlarging is a convolution run backwards
#
# Now the idea of the paper. An ordinary convolution *gathers*: an output is a weighted sum of inputs. Turn that round.
# Every cell of the small map lays a **stamp** on the large map: the kernel, multiplied by the cell's value. The stamps
# lie `stride` pixels apart, and where they overlap, they are added. This is a **transposed convolution** (the paper
# says deconvolution; lesson 06 takes it apart).
#
# With a stamp that falls off like a roof, the sum is bilinear interpolation. For a factor of 2 it is four wide,
# ¼ ¾ ¾ ¼ along each side. But look at the border.

# %%
roof = torch.tensor([0.25, 0.75, 0.75, 0.25])
stamp = (roof[:, None] * roof)[None, None]  # (1, 1, 4, 4)
stamped = F.conv_transpose2d(tens[None, None], stamp, stride=2, padding=1)[0, 0]  # (4, 4)
ones = F.conv_transpose2d(torch.ones(1, 1, 6, 6), stamp, stride=2, padding=1)[0, 0]  # (12, 12)
print(stamped)
assert torch.equal(stamped[1:3, 1:3], bilinear[1:3, 1:3])  # inside: the same
assert stamped[0, 0] == 0.75 * 0.75 * bilinear[0, 0] and stamped[0, 1] == 0.75 * bilinear[0, 1]
assert (ones[0, 0], ones[0, 5], ones[5, 5]) == (0.5625, 0.75, 1)

repeated = F.pad(tens[None, None], (1, 1, 1, 1), mode="replicate")  # (1, 1, 4, 4)
mended = F.conv_transpose2d(repeated, stamp, stride=2, padding=1)[0, 0, 2:-2, 2:-2]  # (4, 4)
assert torch.equal(mended, bilinear)  # repeat the border first, cut it off afterwards: exact everywhere

columns = torch.arange(128.0)
roofs = [(1 - (columns - (15.5 + 32 * cell)).abs() / 32).clamp(min=0) for cell in range(4)]
total = sum(roofs)
figure = Figure(figsize=(9, 2.9), layout="constrained")
axis = figure.subplots()
for cell, (values, line) in enumerate(zip(roofs, ("-", "--", "-.", ":"), strict=True)):
    above = values > 0
    axis.plot(columns[above], values[above], line, color="#0072b2", label=f"stamp of cell {cell}")
axis.plot(columns, total, color="#d55e00", linewidth=2.5, label="their sum")
axis.set(xlabel="column of the large map (pixels)", ylabel="weight", title="A row of four cells, enlarged by 32")
figure.legend(fontsize=8, ncols=5, loc="outside lower center", frameon=False)
show(
    figure,
    alt="Four triangles over the columns 0 to 127, one per cell, with their tops at 15.5, 47.5, 79.5 and 111.5. Their "
    "sum is 1 between the first and the last top and falls to about a half at both ends.",
)
assert torch.allclose(total[16:112], torch.ones(96)) and abs(total[0] - 0.515625) < 1e-6

# %% [markdown]
# Inside, the weights of the stamps add up to one. In the outer half cell a neighbour is missing, and **ones become
# 0.75** (with a factor of 32 it goes down to 0.52). For the labels that is harmless as long as nothing is added: all
# classes shrink by the same factor, and the largest stays the largest. Once other scores are added, it matters. Repeat
# the border values first and cut them off afterwards, and it is exact everywhere.
#
# Why make it so complicated, if interpolation does the same? Because a convolution is a layer. It has a gradient, it
# runs in the forward pass, and its kernel **could be learned**. In this lesson it stays fixed, as the last one of the
# paper does, and our networks call `F.interpolate`, which is exact at the border.
#
# ## FCN-32s: train with masks
#
# The network is: stages, 1 × 1 scores, enlarge by 32. Its output has the size of the picture, so the pixel-wise cross
# entropy of lesson 01 applies, and the gradient flows back through the enlargement to every weight. It starts from the
# classifier. The name says the stride at which the scores were made, in lesson 04's word the jump: 32.
#
# ## FCN-16s and FCN-8s: what and where
#
# The deep map knows **what**, coarsely. The map after stage 4 knows less, but has twice as many cells per side: it
# knows better **where**. So ask that map for scores too, with its own 1 × 1 convolution. Enlarge the deep scores by 2,
# and **add**. Do it again with stage 3, and the scores have a jump of 8. Only then enlarge to the picture:
#
# | | scores from stage | sizes for a picture of 128 × 128 |
# |---|---|---|
# | FCN-32s | 5 | 4 → 128 |
# | FCN-16s | 5 + 4 | 4 → 8 → 128 |
# | FCN-8s | 5 + 4 + 3 | 4 → 8 → 16 → 128 |
#
# These bypasses are **skips**. Their scores begin at zero, so that a new skip does no harm before it has learned
# something.


# %%
class Skips(nn.Module):
    """FCN of the lesson's classifier, for 128 x 128 pixels: stages 5; 5 + 4; 5 + 4 + 3 give scores."""

    def __init__(self, skips):
        super().__init__()
        self.skips = skips
        self.stages = copy.deepcopy(stages)
        self.from_5 = copy.deepcopy(score)
        self.from_4, self.from_3 = nn.Conv2d(96, 5, 1), nn.Conv2d(64, 5, 1)
        for layer in (self.from_4, self.from_3):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        third = self.stages[:3](x)  # (N, 64, 16, 16)
        fourth = self.stages[3](third)  # (N, 96, 8, 8)
        scores = self.from_5(self.stages[4](fourth))  # (N, 5, 4, 4)
        if self.skips >= 1:
            scores = self.from_4(fourth) + F.interpolate(scores, scale_factor=2, mode="bilinear")  # (N, 5, 8, 8)
        if self.skips == 2:
            scores = self.from_3(third) + F.interpolate(scores, scale_factor=2, mode="bilinear")  # (N, 5, 16, 16)
        return F.interpolate(scores, scale_factor=(32, 16, 8)[self.skips], mode="bilinear")  # (N, 5, 128, 128)


networks = {name: Skips(skips) for skips, name in enumerate(["FCN-32s", "FCN-16s", "FCN-8s"])}
same = []
for network in networks.values():
    start = predict_logits(network, scenes.images)
    same.append((start.argmax(1) == plain.argmax(1)).float().mean().item())
print("labels equal to the enlarged map before training:", [f"{share:.1%}" for share in same])
assert same[0] > 0.9999 and min(same) > 0.95

ours = sum(p.numel() for p in stages.parameters()) + 128 * 5 + 5
print(f"parameters: {ours} in FCN-32s; the skips add {96 * 5 + 5} and {64 * 5 + 5}")
assert (512 * 21 + 21, 256 * 21 + 21) == (10_773, 5_397)  # the original's skips: 512 and 256 channels, 21 classes

# %% [markdown]
# FCN-16s and FCN-8s start almost as FCN-32s, not exactly: two interpolations in a row cut the ridge of the roof a
# little. And the skips are nearly free: 485 and 325 weights here, and 10,773 and 5,397 in the original with its 134
# million.
#
# All three are trained for the same number of steps on the same batches, each from the classifier, with one seed. (The
# paper trains them one after the other, each from the one before. Then the last one has been trained three times as
# long, and we could not say what the skips did.) Each takes a quarter of a minute or so.

# %%
train = load_scenes("train", size=128, count=600, seed=0)

predictions = {}
for name, network in networks.items():
    print(name)
    network.to(memory_format=torch.channels_last)
    fit(network, train.images, train.masks, steps=400, batch_size=8, lr=6e-3, seed=0, augment=mirror_and_recolour)
    predictions[name] = predict_logits(network, scenes.images)  # (100, 5, 128, 128)

# %%
background = F.one_hot(torch.zeros_like(truth), 5).permute(0, 3, 1, 2)  # (100, 5, 128, 128)
rows = {"all background": background, "classifier, enlarged": plain} | predictions
quality = {name: miou(logits, truth) for name, logits in rows.items()}
print("                       pixels right   mIoU")
for name, logits in rows.items():
    print(f"{name:22} {pixel_accuracy(logits, truth):12.0%} {quality[name]:8.2f}")
assert pixel_accuracy(plain, truth) < pixel_accuracy(background, truth)
assert (
    quality["all background"]
    < quality["classifier, enlarged"]
    < quality["FCN-32s"]
    < quality["FCN-16s"]
    < quality["FCN-8s"]
)

some = [11, 2, 40]
pictures, titles = [], []
for number in some:
    pictures += [scenes.images[number], truth[number], *(logits[number].argmax(0) for logits in predictions.values())]
    titles += ["scene", "truth", *predictions]
figure = show_images(pictures, titles, columns=5, class_names=CLASSES)
show(
    figure,
    alt="Three validation scenes in rows: scene, truth, and the masks of FCN-32s, FCN-16s and FCN-8s. From left to "
    "right the masks get finer: FCN-32s draws large round blobs, FCN-8s smaller ones that follow the objects better.",
)

# %% [markdown]
# The enlarged classifier gets fewer pixels right than no answer at all; only the mIoU says that it knows something.
# Then come two steps, and two gains. **Masks in training** took the same layers with the same coarse map from the
# second row of the table to the third. **Skips** did the rest, for a few hundred weights. The paper measured the same
# order on PASCAL VOC (its table 2, where mIoU is called mean IU, in percent): 45.4 if only the last layer is trained
# with masks, 59.4 for FCN-32s, 62.4 for 16s, 62.7 for 8s. There, the second skip brought little. Here it brings more,
# because our objects are small: for one of twenty pixels across, a cell of 32 is huge.
#
# The masks are still blobs. Before we look at that, one question that every re-implementation of FCN stumbles over.

# %% [markdown]
# ## Where does the map lie on the picture?
#
# Ours lies right, and here is why. Follow two of the three numbers of lesson 04: **start**, where the middle of the
# first cell lies in the picture, and **jump**, how many pixels apart the cells are. At a convolution or pooling the
# start moves by (kernel − 1) / 2 − padding jumps. At an enlargement it moves back by the middle of the stamp, in the
# *new*, smaller jumps. Our five stages have their start at 15.5, the middle of the pixels 0 to 31. Enlarged by 32, the
# start is 0.
#
# The original is another matter. Its first convolution has a padding of 100, so that small pictures fit as well, and
# its fc6 is 7 × 7 without padding.


# %%
def down(place, kernel, stride, padding):
    start, jump = place
    return start + ((kernel - 1) / 2 - padding) * jump, jump * stride


def enlarged(place, kernel, stride):
    start, jump = place
    return start - (kernel - 1) / 2 * jump / stride, jump / stride


place = (0.0, 1)
field = 1
for _ in range(5):
    field += 3 * place[1]  # the convolution sees 2 jumps more, the pooling 1
    place = down(down(place, 3, 1, 1), 2, 2, 0)
print(f"our five stages: start and jump {place}, enlarged {enlarged(place, 32, 32)}; receptive field {field}")
assert field == 94 and place == (15.5, 32) and enlarged(place, 32, 32) == (0, 1)

pools = {}
place = down((0.0, 1), 3, 1, 100)  # conv1_1; the other 3 x 3 convolutions, padding 1, move nothing
for number in range(1, 6):
    place = pools[number] = down(place, 2, 2, 0)
fc6 = down(place, 7, 1, 0)
print("original: pool3", pools[3], "pool4", pools[4], "fc6", fc6)

crop_32 = -enlarged(fc6, 64, 32)[0]
deep_16 = enlarged(fc6, 4, 2)  # as fine as pool4
crop_pool4 = (deep_16[0] - pools[4][0]) / 16
crop_16 = -enlarged(deep_16, 32, 16)[0]
deep_8 = enlarged(deep_16, 4, 2)  # as fine as pool3
crop_pool3 = (deep_8[0] - pools[3][0]) / 8
crop_8 = -enlarged(deep_8, 16, 8)[0]
print(
    f"FCN-32s crops {crop_32:g}; FCN-16s {crop_pool4:g}, {crop_16:g}; FCN-8s {crop_pool4:g}, {crop_pool3:g}, {crop_8:g}"
)
assert fc6 == (12.5, 32) and pools[4] == (-91.5, 16) and pools[3] == (-95.5, 8)
assert (crop_32, crop_pool4, crop_16, crop_pool3, crop_8) == (19, 5, 27, 9, 31)

# %% [markdown]
# These are the numbers by which the authors' code crops: **19** for FCN-32s; **5** and **27** for FCN-16s; **5, 9** and
# **31** for FCN-8s. The first cell of fc6 has its middle at 12.5. A stamp of 64 has its middle at 31.5. So the enlarged
# map begins 19 pixels to the left of the picture, and above it. The 5 and the 9 say how many cells of the padded pool4
# and pool3 must be cut off, so that skip and deep scores meet at the same place.
#
# You need not believe arithmetic. Send a **ramp** through the network: a picture whose every pixel holds its own column
# number. Let all layers average, in the original geometry. Averages and bilinear enlarging keep a ramp a ramp. So each
# output then *says* which column it speaks about.

# %%
ramp = torch.arange(1024.0, dtype=torch.float64)[None, None]  # (1, 1, 1024), one row is enough
x = F.pad(ramp, (100, 100))  # (1, 1, 1224)
x = F.avg_pool1d(x, 3, 1)  # (1, 1, 1222), conv1_1
kept = {}
for number, convolutions in enumerate((1, 2, 3, 3, 3), start=1):
    for _ in range(convolutions):
        x = F.avg_pool1d(x, 3, 1, padding=1)
    x = kept[number] = F.avg_pool1d(x, 2, 2, ceil_mode=True)
cells = F.avg_pool1d(x, 7, 1)  # (1, 1, 33), fc6


def stamp_1d(x, factor):
    middle = factor - 0.5
    roof = 1 - (torch.arange(2 * factor, dtype=torch.float64) - middle).abs() / factor
    return F.conv_transpose1d(x, roof[None, None], stride=factor)[0, 0]


large = stamp_1d(cells, 32)
for pixel in (419, 519, 619):
    print(f"pixel {pixel} of the enlarged map speaks about column {large[pixel].item():.6g}")
inside = slice(400, 700)  # far from the padding's zeros
assert torch.allclose(large[inside], torch.arange(1088.0, dtype=torch.float64)[inside] - 19)
assert torch.allclose(stamp_1d(cells, 2)[26:40], kept[4][0, 0, 5:][26:40])  # pool4 from cell 5 on

figure = Figure(figsize=(9, 3.0), layout="constrained")
axis = figure.subplots()
maps_drawn = {"picture": (0, 1), "pool3": pools[3], "pool4": pools[4], "fc6": fc6, "enlarged by 32": (-crop_32, 1)}
for level, (start, jump) in enumerate(maps_drawn.values()):
    for cell in range(200):
        middle = start + cell * jump
        if -34 < middle < 80:
            edge = "black" if jump > 1 else "none"
            face = "#56b4e9" if middle >= 0 else "#e69f00"
            axis.barh(-level, jump, left=middle - jump / 2, height=0.6, facecolor=face, edgecolor=edge)
            if jump > 1:
                axis.plot(middle, -level, "k.", markersize=4)
axis.axvline(-0.5, color="black", linestyle="--", linewidth=1)
axis.text(-19, -4, "crop 19", ha="left", va="center", fontsize=9)
axis.set_yticks([-level for level in range(5)], list(maps_drawn))
axis.set(
    xlim=(-30, 62), xlabel="column of the picture (pixels); dots: middles of cells; orange: middle outside the picture"
)
axis.set_title("Where the maps of the original FCN lie", fontsize=10)
show(
    figure,
    alt="Five rows over the columns of the picture. The picture begins at 0; cells of pool3, pool4 and fc6 follow, "
    "with dots in their middles, those of fc6 at 12.5 and 44.5; the enlarged map begins at minus 19.",
)

# %% [markdown]
# Pixel 519 speaks about column 500. What if the crop is forgotten? The map still looks good, all objects are there, and
# everything is 19 pixels too far down and to the right. We can do that to our own best mask.

# %%
shifted = F.pad(predictions["FCN-8s"], (19, 0, 19, 0), mode="replicate")[:, :, :128, :128]  # (100, 5, 128, 128)
print(f"mIoU in place {quality['FCN-8s']:.2f}, shifted by 19 pixels {miou(shifted, truth):.2f}")
assert miou(shifted, truth) < quality["FCN-8s"] - 0.1

# %% [markdown]
# No error message says so, and a network that is *trained* with the wrong crop hides it, by learning to look aside.
# Test alignment with numbers, not with the eye.
#
# ## The two problems
#
# The slide names them: **(a) inconsistent labels due to large object size, (b) missing labels due to small object
# size.** Are they in our masks? Let the computer search. For each object we count which labels its pixels got. If two
# kinds of clothes have at least 15 % of it each, it is *inconsistent*. If all of it was called background, it is
# *missed*.


# %%
def label_shares(mask, pixels):
    return torch.bincount(mask[pixels], minlength=5) / pixels.sum()  # (5,)


objects = [(s, n) for s in range(100) for n in range(1, scenes.areas.shape[1]) if scenes.areas[s, n] > 0]
areas = torch.tensor([scenes.areas[s, n] for s, n in objects])  # (objects,)
classes = torch.tensor([scenes.class_of[s, n] for s, n in objects])  # (objects,)
bins = [(areas >= low) & (areas < high) for low, high in pairwise((*SIZE_EDGES, torch.inf))]
assert sum(inside.sum() for inside in bins) == len(objects)  # no object lies between the bins

shares = {}
for name, logits in predictions.items():
    masks = logits.argmax(1)  # (100, 128, 128)
    shares[name] = torch.stack([label_shares(masks[s], scenes.instances[s] == n) for s, n in objects])  # (objects, 5)
print(f"{len(objects)} objects      20-79 px   80-319   320-1279   1280 and more")
for name, share in shares.items():
    missed = share[:, 0] == 1
    second = share[:, 1:].sort(dim=1).values[:, -2]  # (objects,), the second most frequent kind of clothes
    for what, answer in (("missed", missed), ("inconsistent", second >= 0.15)):
        print(f"{name} {what:12}", *(f"{answer[inside].float().mean():10.0%}" for inside in bins))
    if name == "FCN-32s":
        coarse_missed, coarse_torn = missed[bins[1]].float().mean(), (second >= 0.15)[bins[3]].float().mean()
    if name == "FCN-8s":
        assert missed[bins[1]].float().mean() < coarse_missed - 0.3  # (b): better
        assert (second >= 0.15)[bins[3]].float().mean() > coarse_torn - 0.03  # (a): no better
        assert missed[bins[0]].float().mean() > missed[bins[3]].float().mean() + 0.2
        assert (second >= 0.15)[bins[3]].float().mean() > (second >= 0.15)[bins[0]].float().mean() + 0.05

# %%
best = predictions["FCN-8s"].argmax(1)  # (100, 128, 128)
torn = [i for i in second.argsort(descending=True).tolist() if bins[3][i]]
torn = list({objects[i][0]: i for i in reversed(torn[:12])}.values())[-4:]  # one object per scene, the worst ones
lost = missed & (areas < 320)
per_scene = torch.bincount(torch.tensor([s for s, _ in objects])[lost], minlength=100)
crowded = per_scene.argsort(descending=True)[:4].tolist()


def boxed(numbers, wanted, titles):
    """Scenes above masks, a box around each wanted object."""
    pictures = [*scenes.images[numbers], *best[numbers]]
    figure = show_images(pictures, titles, columns=4, class_names=CLASSES)
    for place, number in enumerate(numbers):
        for n in wanted[place]:
            rows, cols = (scenes.instances[number] == n).nonzero().T
            left, top = cols.min() - 2.5, rows.min() - 2.5
            width, height = cols.max() - cols.min() + 5, rows.max() - rows.min() + 5
            for axis in (figure.axes[place], figure.axes[4 + place]):
                axis.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor="white", linewidth=1.5))
    return figure


above, below = [], []
for i in torn:
    first, other = (1 + shares["FCN-8s"][i, 1:].argsort(descending=True)[:2]).tolist()
    above.append(f"truth: {CLASSES[classes[i]]}")
    below.append(" ".join(f"{shares['FCN-8s'][i, c]:.0%} {CLASSES[c]}" for c in (first, other)))
figure = boxed([objects[i][0] for i in torn], [[objects[i][1]] for i in torn], above + below)
show(
    figure,
    alt="(a) Four scenes above their FCN-8s masks, each with a box around a large object that got several labels: "
    + "; ".join(f"{one}: {labels}" for one, labels in zip(above, below, strict=True)),
)
wanted = [[n for i, (s, n) in enumerate(objects) if s == number and lost[i]] for number in crowded]
counts = [f"{len(numbers)} objects missed" for numbers in wanted]
figure = boxed(crowded, wanted, ["scene"] * 4 + counts)
show(
    figure,
    alt="(b) Four scenes above their FCN-8s masks, with boxes around small objects of which the mask shows nothing: "
    + ", ".join(counts),
)

# %% [markdown]
# There they are. Above, large objects in patches of several labels. Every cell decides for itself, by what it sees. Its
# receptive field is 94 pixels, but lesson 04 showed that the middle of it counts most: inside a large bag that is
# cloth, and cloth alone does not say "bag". Below, small objects in boxes of which the mask knows nothing. These are
# the two complaints of lesson 02, and they outlived one pass, masks in training and skips.
#
# The skips helped against (b), as the table says. They did not help against (a): finer cells, no fewer patches.
#
# ## One experiment explains both
#
# Are small objects too hard to recognize? Or do they have the wrong size *for this network*? That can be tested: show
# the same network the same pictures, **at half and at double size**, and bring its scores back to 128 × 128. Enlarging
# adds no detail. As in lesson 04, an object is found if more than half of its pixels got its class.

# %%
found = {}
for zoom in (0.5, 1, 2):
    zoomed = F.interpolate(scenes.images, scale_factor=zoom, mode="bilinear", antialias=True)
    logits = F.interpolate(predict_logits(networks["FCN-8s"], zoomed, batch_size=20), size=128, mode="bilinear")
    masks = logits.argmax(1)  # (100, 128, 128)
    share = torch.stack([label_shares(masks[s], scenes.instances[s] == n) for s, n in objects])  # (objects, 5)
    hits = share.gather(1, classes[:, None])[:, 0] > 0.5  # (objects,)
    found[zoom] = [hits[inside].float().mean().item() for inside in bins]

figure = Figure(figsize=(9, 3.0), layout="constrained")
left, right = figure.subplots(1, 2, sharey=True)
middles = [40, 160, 640, 2560]  # the geometric middle of each bin, in square pixels
for (zoom, values), look in zip(found.items(), ("s:", "o-", "^--"), strict=True):
    label = {0.5: "half size", 1: "as they are", 2: "double size"}[zoom]
    left.plot(middles, values, look, label=label, color={0.5: "#009e73", 1: "#0072b2", 2: "#d55e00"}[zoom])
    seen = [area * zoom**2 for area in middles]
    right.plot(seen, values, look, label=label, color={0.5: "#009e73", 1: "#0072b2", 2: "#d55e00"}[zoom])
left.set(ylabel="recall: share of objects found", xlabel="area in the scene (square pixels)", title="the same objects")
right.set(xlabel="area as the network sees it (square pixels)", title="the same apparent size")
for axis in (left, right):
    axis.set(xscale="log", ylim=(0, 0.8))
    axis.legend(fontsize=8)
show(
    figure,
    alt="Share of objects found by FCN-8s against area. Left, against the area in the scene: at double size small "
    "objects are found more often and the largest less often. Right, against the area that the network sees: the "
    "three curves nearly fall on one, which rises, is highest at some thousand pixels and falls.",
)
for zoom, values in found.items():
    print(f"zoom {zoom:3}: found", *(f"{value:6.0%}" for value in values))
assert found[2][1] > found[1][1] + 0.1 and found[2][3] < found[1][3] - 0.1
assert max(abs(found[2][i] - found[1][i + 1]) for i in range(3)) < 0.15  # twice the side is four times the area
print(f"the largest objects at double size: {share[bins[3], 0].mean():.0%} of their pixels are called background,")
print(f"{share[bins[3]].gather(1, classes[bins[3], None]).mean():.0%} get their class, the rest another one")

# %% [markdown]
# At double size the small objects are found far more often, by the same weights. They *could* be recognized. And large
# ones that were found before are lost. Plotted against the size that the network *sees*, the curves nearly become one:
# it rises, has a best size, and falls. **The network has one scale.** What is much smaller than its cells is missed;
# what is about as large as its receptive field, or larger, gets wrong labels or none. Zooming only chooses which.
#
# Be careful with the falling end. Objects that large hardly occurred in training, so two causes come together there:
# the network cannot survey them, and it was never taught to. This experiment does not separate them.
#
# ## What enlarging by 8 can draw at best
#
# One more question: is the training to blame, or the last step? Take the **truth**, average it over cells of 8 × 8
# pixels, and enlarge it again. No network is in this. (The paper does the same in its appendix on upper bounds.)

# %%
layers = F.one_hot(truth, 5).permute(0, 3, 1, 2).float()  # (100, 5, 128, 128)
squeezed = {}
for cell in (32, 16, 8):
    squeezed[cell] = F.interpolate(F.avg_pool2d(layers, cell), scale_factor=cell, mode="bilinear")
for cell, logits in squeezed.items():
    print(f"the truth through cells of {cell:2} pixels: mIoU {miou(logits, truth):.2f}")
through_8 = squeezed[8].argmax(1)
tiny = torch.stack([label_shares(through_8[s], scenes.instances[s] == n) for s, n in objects])[bins[0]]
print(f"of the objects below 80 pixels, {(tiny[:, 0] == 1).float().mean():.0%} are gone without a trace")
assert miou(squeezed[8], truth) < 0.9 and (tiny[:, 0] == 1).float().mean() > 0.5

figure = show_images(
    [truth[shown], *(logits[shown].argmax(0) for logits in squeezed.values())],
    ["truth", "through cells of 32", "through cells of 16", "through cells of 8"],
    class_names=CLASSES,
)
show(
    figure,
    alt="A true mask, and the same mask averaged over cells of 32, 16 and 8 pixels and enlarged again: with 32 only "
    "blobs are left, with 8 the large outlines are nearly right and the small objects are gone.",
)

# %% [markdown]
# Averaged labels are not a strict limit; a network may choose cleverer scores. But they show the order of things. With
# cells of 8, even the truth loses more than half of the tiny objects and all thin parts: one fixed stamp every 8
# pixels can draw nothing but smooth hills.
#
# ## Summary
#
# 1. FCN makes scores with a compressing network and enlarges them inside the network, so that masks train all of it.
# 2. Bilinear enlarging (half-pixel, the slide's table before rounding) is a transposed convolution with a fixed stamp
#    like a roof; at the border ones become 0.75.
# 3. Skips add scores from earlier stages: FCN-32s, 16s, 8s get better in this order, for a few hundred weights.
# 4. Where a map lies follows from start and jump: 19; 5, 27; 5, 9, 31. Forgetting it shifts everything silently.
# 5. Large objects fall apart and small ones are missed, since the network has one scale; zooming only chooses which.
#
# ## What to read
#
# * Jonathan Long, Evan Shelhamer, Trevor Darrell: *Fully convolutional networks for semantic segmentation*, CVPR 2015:
#   section 3.3 (upsampling as backwards convolution), 4.2 (combining what and where), table 2.
# * Evan Shelhamer, Jonathan Long, Trevor Darrell: the same title, PAMI 2017 (arXiv 1605.06211), with the appendix on
#   upper bounds.
# * Hyeonwoo Noh, Seunghoon Hong, Bohyung Han: *Learning deconvolution network for semantic segmentation*, ICCV 2015,
#   section 1 and figure 1: where the slide's two problems come from.
#
# ## What the next lesson repairs
#
# Small objects are still missed and large ones still fall apart. The next network's authors blame two things: the one
# scale of FCN, and its way back. We compress in five learned stages and come back in one to three fixed ones: a stamp
# that somebody wrote down. It blurs whatever it is given. Lesson 06 begins with the way back: it lets the network
# **learn to decompress**, in as many steps as it took to compress, and with a memory of where each maximum came from.
