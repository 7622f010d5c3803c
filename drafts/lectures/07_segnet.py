# %% [markdown]
# # 07 · SegNet
#
# Lesson 06 compressed until a vector was left, and decompressed all of it. That cost the original DeconvNet most of its
# parameters, since the dense layers hold 88 % of 252 million, and ours most of the minute: its three seeds lie between
# 0.22 and 0.42 mIoU, where FCN-8s has 0.51. Trained out, the two have 0.67 and 0.68. Yet DeconvNet knew better *where*
# the clothes are. Its outlines were sharp, perhaps by its **switches**, the memory of where each maximum stood, which
# pass the vector by.
#
# Is so much compressing needed at all? **SegNet** (2015) leaves the dense layers out, compresses only as far as the
# convolutions go, and comes back with switches and convolutions alone. This lesson also finds out what switches carry.
# You will see
#
# * the network at its smallest, as a drawing, and as code,
# * what switches cost in bytes, on paper and in PyTorch,
# * how to measure outlines, which the mIoU hardly sees,
# * what switches carry: SegNet as it is, with shuffled switches, and with none,
# * four mistakes in published SegNets, each run and measured.
#
# Slides: "let us not compress so much" (SegNet, 2016).

# %%
import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from seglab.data.nuclei import NUCLEUS_CLASSES, load_nuclei, three_classes
from seglab.data.scenes import CLASSES, load_scenes
from seglab.drawings import segnet as draw
from seglab.figures import loss_curve, show, show_images
from seglab.results import TOLERANCES, rows, show_tables
from seglab.training import fit, miou, mirror_and_recolour, predict_logits, turn_and_brighten
from seglab.weights import load_weights, records

# %% [markdown]
# ## What the dense layers cost
#
# Count the weights of the two originals. Both have the 13 convolutions of VGG-16 on the way down and mirror them on
# the way back. They differ in what stands between.

# %%
down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)] + 5 * [(512, 512)]
back = [(outputs, inputs) for inputs, outputs in reversed(down[1:])]  # the same widths, backwards


def count(pairs, side):
    return sum((side * side * inputs + 1) * outputs for inputs, outputs in pairs)  # one bias for each output


dense_layers = count([(512, 4096)], 7) + count([(4096, 4096)], 1) + count([(4096, 512)], 7)
originals = {
    "DeconvNet": count(down + back + [(64, 64)], 3) + dense_layers + count([(64, 21)], 1),
    "SegNet": count(down + back + [(64, 11)], 3) + 2 * sum(outputs for _, outputs in down + back),  # + normalization
}
for name, weights in originals.items():
    print(f"{name:10} {weights:12,} weights")
print(f"dense layers of DeconvNet: {dense_layers:,}, {dense_layers / originals['DeconvNet']:.0%}")
assert originals == {"DeconvNet": 251_772_245, "SegNet": 29_449_355}

table = {row["name"]: row for row in rows("07")}
slow, fast = (table[name]["scenes"]["validation"] for name in ("DeconvNet", "FCN-8s"))
print("a minute, three seeds: DeconvNet", slow["range"], "FCN-8s", fast["range"])
long = {name: records()[f"{name}_scenes"]["validation"] for name in ("fcn_8s", "deconvnet", "segnet")}
print("trained out:", {name: round(scores["miou"], 2) for name, scores in long.items()})
assert [round(value, 2) for value in slow["range"]] == [0.22, 0.42] and round(fast["miou"], 2) == 0.51
assert [round(long[name]["miou"], 2) for name in long] == [0.68, 0.67, 0.73]

# %% [markdown]
# Without the dense layers, **29 million** weights are left of 252. (The paper's SegNet has 11 classes and batch
# normalization.) Nothing in it has a fixed input size any more, as you know from lesson 03.
#
# ## The idea at its smallest
#
# Pool a map of 4 × 4 and keep the switches: the place of each maximum, counted row by row. Unpooling puts the four
# values back where they came from and leaves zeros. Then comes the new step, a **convolution**: it fills the gaps from
# the values around them. SegNet learns its kernels; this one is written down.

# %%
small = torch.tensor([[1.0, 5, 2, 0], [3, 0, 1, 4], [0, 2, 6, 1], [7, 1, 0, 3]])[None, None]  # (1, 1, 4, 4)
pooled, switches = F.max_pool2d(small, 2, return_indices=True)  # (1, 1, 2, 2) both
unpooled = F.max_unpool2d(pooled, switches, 2)  # (1, 1, 4, 4)
kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 4
filled = F.conv2d(unpooled, kernel, padding=1)  # (1, 1, 4, 4)
smooth = F.interpolate(pooled, scale_factor=2, mode="bilinear")  # (1, 1, 4, 4)
print("switches:", switches.flatten().tolist())
assert switches.flatten().tolist() == [1, 7, 12, 10] and pooled.flatten().tolist() == [5, 4, 7, 6]
assert unpooled[0, 0].tolist() == [[0, 5, 0, 0], [0, 0, 0, 4], [0, 0, 6, 0], [7, 0, 0, 0]]
assert filled.gt(0).sum() == 16 and filled[0, 0, 0].tolist() == [2.5, 5, 3.5, 2]

named = {"map": small, "pooled": pooled, "unpooled": unpooled, "and convolved": filled, "bilinear": smooth}
show(
    draw.maps_in_a_row({name: values[0, 0] for name, values in named.items()}, tints=[0, 0, 0, 3, 0]),
    alt="Five small maps of numbers. The map of 4 by 4; pooled to 5, 4, 7, 6; unpooled, with these four values in "
    "their old places and zeros elsewhere; convolved, with no zero left and the largest values near the old places; "
    "and the pooled map enlarged bilinearly, where the values change gradually and the places are lost.",
)

# %% [markdown]
# Compare the last two. Both are made of the same four values. Bilinear enlarging must put each of them into the middle
# of its cell; the switches know the pixel.
#
# Each stage of the encoder hands its switches to the stage of the decoder that has the same size:

# %%
show(
    draw.segnet_diagram(),
    alt="Ten boxes in a row: five maps of the encoder from 128 by 128 down to 8 by 8, a small box of 4 by 4 in the "
    "middle, five maps of the decoder back up to 128 by 128. Five green lines lead from the poolings to the "
    "unpoolings of the same size, labelled switches 64, 32, 16, 8 and 4 on a side.",
)


# %%
def layer(inputs, outputs):
    """Convolution of 3 x 3 that keeps the size, batch normalization, ReLU: both halves are made of these."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def stage(*layers):
    return nn.Sequential(OrderedDict(convs=nn.Sequential(*layers)))  # "convs": so the stored weights are named


def unpool(x, switches):
    return F.max_unpool2d(x, switches, 2)  # twice as high and wide


class FiveStages(nn.Module):
    """SegNet for pictures whose sides can be halved five times."""

    def __init__(self, in_channels=3, num_classes=5, enlarge=unpool):
        super().__init__()
        first, last = layer(in_channels, 16), nn.Conv2d(16, num_classes, 3, padding=1)  # the last one stays bare
        down = [stage(first, layer(16, 16))] + [
            stage(layer(a, b)) for a, b in ((16, 32), (32, 64), (64, 96), (96, 128))
        ]
        back = [stage(layer(a, b)) for a, b in ((128, 96), (96, 64), (64, 32), (32, 16))] + [stage(layer(16, 16), last)]
        self.encoder, self.decoder, self.enlarge = nn.ModuleList(down), nn.ModuleList(back), enlarge

    def forward(self, x):
        kept = []
        for stage in self.encoder:
            x, switches = F.max_pool2d(stage(x), 2, return_indices=True)  # half as high and wide, both
            kept.append(switches)
        for stage in self.decoder:
            x = stage(self.enlarge(x, kept.pop()))  # the switches that were kept last come first
        return x  # (N, num_classes, H, W)


torch.manual_seed(0)
network = FiveStages().to(memory_format=torch.channels_last)
weights = sum(p.numel() for p in network.parameters())
print(f"{weights:,} weights; a picture of 3 x 128 x 128 gives {tuple(network(torch.rand(1, 3, 128, 128)).shape[1:])}")
assert weights == 385_349

# %% [markdown]
# Four details matter. A decoder layer is convolution, normalization, **ReLU**, as in the encoder. (You may read that
# SegNet's decoder has no ReLU. That holds for SegNet-Basic, the small variant of the paper.) The last convolution is
# **bare**, since scores may be negative. The number of channels changes *after* the unpooling, because values and
# switches must have the same shape. And `kept` is emptied from its end.
#
# Gradients go the same ways backwards. Pooling sends a gradient to the one pixel that was the maximum; unpooling
# collects it from the one pixel where the value was put. Switches themselves have no gradient: the network learns what
# to make the largest, and never a switch directly.
#
# ## What switches cost
#
# Whatever the decoder uses again must be kept until then. A switch says which of four pixels held the maximum: **2
# bits**. Whole maps of the encoder would cost 32 bits per pixel, of which there are four for each switch. That is a
# factor of 64, and the paper's argument for switches.
#
# PyTorch stores each switch as a 64-bit integer. Count the five stages of the original at the paper's 360 × 480 pixels,
# and ours at 128 × 128.

# %%
kept_of = {
    "original, 360 × 480": [(64, 180, 240), (128, 90, 120), (256, 45, 60), (512, 22, 30), (512, 11, 15)],
    "ours, 128 × 128": [(16, 64, 64), (32, 32, 32), (64, 16, 16), (96, 8, 8), (128, 4, 4)],
}
maps_of = {
    "original, 360 × 480": [(64, 360, 480), (128, 180, 240), (256, 90, 120), (512, 45, 60), (512, 22, 30)],
    "ours, 128 × 128": [(16, 128, 128), (32, 64, 64), (64, 32, 32), (96, 16, 16), (128, 8, 8)],
}
sizes = {}
for name, shapes in kept_of.items():
    values, floats = (sum(math.prod(shape) for shape in some) for some in (shapes, maps_of[name]))
    sizes[name] = {"switches of 2 bits": values // 4, "PyTorch's switches": 8 * values, "float maps": 4 * floats}
assert list(sizes["original, 360 × 480"].values()) == [1_315_200, 42_086_400, 84_295_680]
assert list(sizes["ours, 128 × 128"].values()) == [30_720, 983_040, 1_966_080]
show(
    draw.bytes_bars(sizes),
    alt="Bars on a logarithmic axis of bytes. Original: 1,315,200 with 2-bit switches, 42,086,400 with PyTorch's, "
    "84,295,680 with float maps. Ours: 30,720, 983,040 and 1,966,080.",
)

for_gradients = {}  # what PyTorch keeps for the backward pass, each piece of memory once


def keep(tensor):
    for_gradients[tensor.untyped_storage().data_ptr()] = tensor
    return tensor


with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
    network(torch.rand(1, 3, 128, 128))
megabytes = sum(tensor.untyped_storage().nbytes() for tensor in for_gradients.values()) / 1e6
print(f"in training PyTorch keeps {megabytes:.0f} MB for one picture, weights included")
assert megabytes > 10

# %% [markdown]
# With PyTorch's integers a factor of 2 is left of the 64. And in *training* you save nothing: the gradient needs most
# maps of both halves anyway, more than 10 MB for one picture of ours. The argument is one about prediction on a small
# device, with switches that somebody packs.
#
# SegNet is small, but it is not fast, since its decoder convolves at full size. The paper's table 6 has a stored model
# of 117 MB against 539 MB for FCN, and 422.5 ms for a forward pass against 317.1 ms. Ours takes 3.2 times FCN-8s'
# multiply-adds.
#
# ## Training
#
# From random weights, in the open, on scenes as in lesson 05. The cell takes about half a minute.

# %%
assert round(table["SegNet"]["multiply_adds"] / table["FCN-8s"]["multiply_adds"], 1) == 3.2
train, scenes = load_scenes("train", size=128, count=600, seed=0), load_scenes("val", size=128, count=100, seed=0)
seen_scenes, truth = load_scenes("train", size=128, count=100, seed=0), scenes.masks  # truth: (100, 128, 128)

history = fit(network, train.images, train.masks, steps=150, batch_size=8, lr=6e-3, seed=0, augment=mirror_and_recolour)
at_first = predict_logits(network, scenes.images)  # (100, 5, 128, 128)
show(
    loss_curve(history.losses, math.log(5), 5, "SegNet, 150 steps of 8 scenes"),
    alt="The loss of 150 steps. It begins near the dashed line of log 5, 1.61, falls to about 0.9 within some 40 "
    "steps, and then hardly any further.",
)
print(f"mIoU {miou(at_first, truth):.2f}, nothing but background {1 / 5 * (truth == 0).float().mean():.2f}")
assert miou(at_first, truth) < 0.3

# %% [markdown]
# That is little more than a mask of background gets. Before you blame a network, train it longer. The table's minute,
# eight times as many scenes, brings SegNet to 0.49. Here it is after 9,000 steps of 16 scenes, when it still gained a
# little; one seed, as for all networks trained out.

# %%
trained_out = load_weights(FiveStages(), "segnet_scenes").to(memory_format=torch.channels_last)
logits = predict_logits(trained_out, scenes.images)  # (100, 5, 128, 128)
on_seen = predict_logits(trained_out, seen_scenes.images)
print(f"trained out: mIoU {miou(logits, truth):.2f}, on training scenes {miou(on_seen, seen_scenes.masks):.2f}")
print(f"on 200 scenes: SegNet {long['segnet']['miou']:.2f}, FCN-8s {long['fcn_8s']['miou']:.2f}")
assert miou(logits, truth) > 0.69 and miou(on_seen, seen_scenes.masks) > 0.86
assert 600 * 16 == 8 * 150 * 8  # the table's minute, and ours
assert not records()["segnet_scenes"]["trained_out"] and records()["segnet_scenes"]["steps"] == 9000
assert round(table["SegNet"]["scenes"]["validation"]["miou"], 2) == 0.49 and 0.72 < long["segnet"]["miou"] < 0.74

pictures, titles = [], []
for number in (11, 2, 40):
    pictures += [scenes.images[number], truth[number], at_first[number].argmax(0), logits[number].argmax(0)]
    titles += ["scene", "truth", "150 steps", "trained out"]
show(
    show_images(pictures, titles, columns=4, class_names=CLASSES),
    alt="Three validation scenes: scene, truth, SegNet after 150 steps and trained out. After 150 steps nearly all is "
    "background. Trained out, the outlines are sharp and fit the objects nearly everywhere; some objects have parts "
    "in a wrong class.",
)

# %% [markdown]
# Look at the outlines: the boot, the gap between two trouser legs, the handle of the little bag. (Large objects still
# come apart.) On the table's 200 validation scenes SegNet has 0.73 where FCN-8s has 0.68. Does that difference say how
# much better the outlines are?
#
# ## What the mIoU does not see
#
# Here is a square of 8 × 8 pixels, and two answers that miss 8 pixels each. One has lost its top row. The other has a
# cut through its middle. IoU counts pixels, so both have the same, the background's included.
#
# To judge an outline, take the **contour**: the pixels with a neighbour, above, below, left or right, of another class.
# Allow a **tolerance** in pixels. **Precision** is the share of the answer's contour that lies at most so far from the
# true contour, **recall** the share of the true contour that lies so near to the answer's, and the **boundary F-score**
# is 2 · precision · recall / (precision + recall). Where one of the two has a contour and the other has none, F is 0.


# %%
def contour(inside):
    """The pixels of one shape, (H, W) bool, that touch something else; the edge of the picture does not count."""
    below, right = inside[1:] != inside[:-1], inside[:, 1:] != inside[:, :-1]
    touches = F.pad(below, (0, 0, 0, 1)) | F.pad(below, (0, 0, 1, 0)) | F.pad(right, (0, 1)) | F.pad(right, (1, 0))
    return inside & touches


def precision_and_recall(found, true, tolerances):
    """Of two shapes, (H, W) bool, that both have a contour; a value for each tolerance."""
    places = [contour(shape).nonzero().float() for shape in (found, true)]  # (pixels, 2)
    apart = torch.cdist(*places)  # (pixels of one, pixels of the other)
    shortest = apart.amin(1), apart.amin(0)
    return [(near[:, None] <= torch.tensor(tolerances)).float().mean(0) for near in shortest]


def f_score(precision, recall):
    return torch.where(precision + recall > 0, 2 * precision * recall / (precision + recall), 0.0)


square = torch.zeros(14, 14, dtype=torch.bool)
square[3:11, 3:11] = True
no_top, cut = square.clone(), square.clone()
no_top[3], cut[:, 7] = False, False
titles, scores = [], {}
for name, answer in (("no top row", no_top), ("a cut", cut)):
    iou = (answer & square).sum() / (answer | square).sum()
    parts = [values.item() for values in precision_and_recall(answer, square, [1.0])]
    scores[name] = (iou.item(), *parts, f_score(*torch.tensor(parts)).item())
    titles.append(f"{name}: IoU {iou:.3f}, F {scores[name][3]:.2f}")
    print(f"{name:10} IoU {iou:.3f}; within 1 pixel: precision {parts[0]:.2f}, recall {parts[1]:.2f}")
assert scores["no top row"] == (0.875, 1, 1, 1) and scores["a cut"][0] == 0.875 and scores["a cut"][2] == 1
assert round(scores["a cut"][1], 2) == 0.79 and round(scores["a cut"][3], 2) == 0.88
diagonals = [0.0075 * math.hypot(*shape) for shape in ((360, 480), (128, 128))]
assert [round(value, 2) for value in diagonals] == [4.5, 1.36]
show(
    draw.outlines(
        square, dict(zip(titles, (no_top, cut), strict=True)), [contour(no_top), contour(cut)], contour(square)
    ),
    alt="Three pictures of 14 by 14 pixels with the outline of the true square in orange and contour pixels dark. The "
    "truth fills the outline. The first answer lacks the top row. The second is parted by an empty column; the two "
    "columns beside it are contour, too. " + "; ".join(titles),
)

# %% [markdown]
# Within 1 pixel the first answer is faultless, and the second has a precision of 0.79 and an F of 0.88. The paper's
# tolerance is 0.75 % of the diagonal: 4.5 pixels at its size, 1.36 at ours. Instead of picking one, draw F over
# several. Each class of each picture has its own F; we take the mean over the pictures, then over the classes.

# %%
panels = {}
for split in ("training", "validation"):
    panels[split] = {}
    for name, stem in (("SegNet", "segnet"), ("DeconvNet", "deconvnet"), ("FCN-8s", "fcn_8s")):
        found = records()[f"{stem}_scenes"][split]
        panels[split][f"{name}, mIoU {found['miou']:.2f}"] = found["boundary"]
        print(f"{split:10} {name:10} mIoU {found['miou']:.3f}, F within 1 pixel {found['boundary'][0]:.2f}")
show(
    draw.outline_curves({f"trained out, {split} scenes": lines for split, lines in panels.items()}, TOLERANCES),
    alt="Boundary F over tolerances of 1 to 8 pixels, training scenes left, validation scenes right. SegNet's curve is "
    "highest everywhere. On validation scenes DeconvNet lies above FCN-8s up to 2 pixels and below it from 5 on, "
    "though their mIoU is about the same.",
)
sharp = {name: scores["boundary"] for name, scores in long.items()}
assert [round(sharp[name][0], 2) for name in ("fcn_8s", "deconvnet", "segnet")] == [0.41, 0.5, 0.59]
assert sharp["deconvnet"][0] > sharp["fcn_8s"][0] + 0.05 and sharp["fcn_8s"][4] > sharp["deconvnet"][4] + 0.01

# %% [markdown]
# DeconvNet and FCN-8s have nearly the same mIoU, and within 1 pixel an F of 0.50 and 0.41: both networks with switches
# draw finer outlines. SegNet has 0.59. (One seed each.) With 8 pixels of tolerance FCN-8s passes DeconvNet: its hills
# lie in the right regions.
#
# The paper found much the same on streets (CamVid, table 3, in percent): SegNet 60.1 mIoU and a boundary F of 46.8,
# DeconvNet 59.8 and 52.2, FCN 49.8 and 28.0. There the DeconvNet has the best outlines.
#
# ## What do switches carry?
#
# FCN-8s and SegNet differ in too many things to say. So change one. Let every switch point to a **random pixel of its
# own window**: the same values in the same windows, an equal number of gaps, the knowledge of the place gone. First
# in the trained-out network, which expects its switches; bilinear enlarging for comparison.


# %%
def unpool_somewhere(x, switches):
    corner = 2 * torch.arange(x.shape[2])[:, None] * 2 * x.shape[3] + 2 * torch.arange(x.shape[3])  # (H, W)
    down, right = torch.randint(2, x.shape), torch.randint(2, x.shape)
    return F.max_unpool2d(x, corner + down * 2 * x.shape[3] + right, 2)  # twice as high and wide


def bilinear(x, switches):
    return F.interpolate(x, scale_factor=2, mode="bilinear")  # twice as high and wide


def outline_curve(masks, truth, num_classes):
    """Boundary F for each of TOLERANCES: the mean over the pictures that have a class, then over the classes."""
    by_class = []
    for number in range(num_classes):
        values = []
        for shapes in zip(masks == number, truth == number, strict=True):
            lengths = [contour(shape).any() for shape in shapes]
            if all(lengths):
                values.append(f_score(*precision_and_recall(*shapes, TOLERANCES)))
            elif any(lengths):  # an object of this class where there is none, or the other way round
                values.append(torch.zeros(len(TOLERANCES)))
        by_class.append(torch.stack(values).mean(0))
    return torch.stack(by_class).mean(0)  # (tolerances,)


ways = {"its own switches": unpool, "switches shuffled": unpool_somewhere, "bilinear": bilinear}
panels, answers, quality = {}, {}, {}
for split, some in (("training", seen_scenes), ("validation", scenes)):
    lines = panels[f"trained out, {split} scenes"] = {}
    for name, trained_out.enlarge in ways.items():
        torch.manual_seed(0)
        answers[split, name] = predict_logits(trained_out, some.images)  # (100, 5, 128, 128)
        quality[split, name] = miou(answers[split, name], some.masks)
        curve = outline_curve(answers[split, name].argmax(1), some.masks, 5)
        lines[f"{name}, mIoU {quality[split, name]:.2f}"] = curve
        print(f"{split:10} {name:18} mIoU {quality[split, name]:.2f}, F within 1 pixel {curve[0]:.2f}")
        if name == "switches shuffled":
            assert quality[split, name] < quality[split, "its own switches"] - 0.2 and curve[0] < 0.2
trained_out.enlarge = unpool
show(
    draw.outline_curves(panels, TOLERANCES),
    alt="Boundary F over tolerances for the trained-out SegNet, training left, validation right. With its own switches "
    "F rises from about 0.7 or 0.6; with shuffled switches it begins near 0.13 and climbs to about 0.5; with bilinear "
    "enlarging it lies still lower.",
)

shown = 11
show(
    show_images(
        [truth[shown], *(answers["validation", name][shown].argmax(0) for name in ways)],
        ["truth", *ways],
        class_names=CLASSES,
    ),
    alt="One scene: the true mask; SegNet's own, with clean outlines; with shuffled switches the same objects with "
    "frayed and ragged edges and wrong labels; with bilinear enlarging, shapeless patches.",
)

# %% [markdown]
# The trained network leans on the places, on training scenes just as on others. On which? Neighbouring places of the
# first pooling lie 1 pixel apart, those of the fifth 16. Shuffle one stage at a time.


# %%
def shuffled_at(side):
    """Unpooling that has false switches where the pooled map is `side` high, and true ones elsewhere."""
    return lambda x, switches: (unpool_somewhere if x.shape[2] == side else unpool)(x, switches)


stages, untouched = {}, {}
for split, some in (("training", seen_scenes), ("validation", scenes)):
    few, target, scores = some.images[:50], some.masks[:50], []
    for side in (128, 64, 32, 16, 8, 4):  # no pooled map is 128 high: the first is the network as it is
        torch.manual_seed(0)
        trained_out.enlarge = shuffled_at(side)
        found = predict_logits(trained_out, few)  # (50, 5, 128, 128)
        scores.append((miou(found, target), outline_curve(found.argmax(1), target, 5)[0].item()))
    title = f"{split}, 50 scenes"
    untouched[title], *shuffled = [dict(zip(("mIoU", "F within 1 pixel"), pair, strict=True)) for pair in scores]
    stages[title] = {name: [one[name] for one in shuffled] for name in untouched[title]}
    for name, values in stages[title].items():
        print(f"{split:10} {name:16} {untouched[title][name]:.2f}; stages 1 to 5:", *(f"{one:.2f}" for one in values))
        assert untouched[title][name] - values[0] < 0.06 < untouched[title][name] - values[4]
trained_out.enlarge = unpool
show(
    draw.by_stage(stages, untouched, [f"{n}\n{2 ** (n - 1)} px" for n in range(1, 6)]),
    alt="mIoU and F within 1 pixel over the stage whose switches are shuffled, training left, validation right, with "
    "dotted lines for the network as it is. Both fall from stage 1, where they nearly touch the dotted lines, to stage "
    "5, where they are lowest.",
)

# %% [markdown]
# The finest switches, on which you might have bet, cost this network little: F falls by a few hundredths. The coarsest
# cost most. A likely reason: a value in a wrong place of the 8 × 8 map is off by 16 pixels in the picture, and later
# layers can hardly tell; one in a wrong place of the last map has neighbours enough that say what belongs there.
#
# All this is one network that has never learned to do without. Whether a network *needs* switches is another question.
# So train all three, from the same weights, with the table's minute and three seeds. The shuffled control is shuffled
# in training, too, anew at each step.

# %%
panels = {}
for task in ("scenes", "nuclei"):
    for split in ("training", "validation"):
        lines = panels[f"{task}, {split}"] = {}
        for title, name in (
            ("switches", "SegNet"),
            ("shuffled", "SegNet, switches shuffled"),
            ("bilinear", "SegNet, bilinear"),
        ):
            found = table[name][task][split]
            lines[f"{title}, mIoU {found['miou']:.2f}"] = found["boundary"]
            low, high = found["range"]
            print(f"{task} {split:10} {title:9} mIoU {found['miou']:.2f} ({low:.2f} to {high:.2f})", end="")
            print(f"  F within 1 pixel {found['boundary'][0]:.2f}, 8 pixels {found['boundary'][4]:.2f}")
show(
    draw.outline_curves(panels, TOLERANCES),
    alt="Four panels of boundary F over tolerances after a minute of training: scenes and nuclei, training and "
    "validation. With switches the curve is highest in all four. On scenes bilinear begins at 0.14 against 0.35; on "
    "validation nuclei at 0.38 against 0.69. Shuffled is lowest everywhere.",
)
own, smooth, mixed = (
    {task: table[name][task]["validation"] for task in ("scenes", "nuclei")}
    for name in ("SegNet", "SegNet, bilinear", "SegNet, switches shuffled")
)
assert own["scenes"]["range"][0] < smooth["scenes"]["range"][1]  # the ranges overlap
ahead = [one - other for one, other in zip(own["scenes"]["runs"], smooth["scenes"]["runs"], strict=True)]
assert [round(min(ahead), 2), round(max(ahead), 2)] == [0.02, 0.04]
learned = [table[name]["scenes"]["training"]["runs"] for name in ("SegNet", "SegNet, bilinear")]
assert any(one < other for one, other in zip(*learned, strict=True))
assert mixed["scenes"]["range"][1] < smooth["scenes"]["range"][0] and mixed["nuclei"]["range"][1] < 0.55
assert [round(one["scenes"]["boundary"][0], 2) for one in (own, smooth)] == [0.35, 0.14]
assert [round(one["scenes"]["boundary"][4], 2) for one in (own, smooth)] == [0.56, 0.46]
assert [round(one["nuclei"]["miou"], 2) for one in (own, smooth)] == [0.78, 0.58]
assert round(table["SegNet, bilinear"]["nuclei"]["training"]["miou"], 2) == 0.88

# %% [markdown]
# On scenes the mIoU of switches and bilinear hardly differs, 0.49 and 0.47: their ranges overlap, though with each seed
# switches are ahead, by 0.02 to 0.04. (On training scenes not even that.) The outlines differ: F within 1 pixel is 0.35
# against 0.14, and the gap shrinks with the tolerance, to 0.56 against 0.46 at 8 pixels.
#
# On the nuclei outlines are nearly everything, since the boundary class is 4 pixels wide: mIoU 0.78 against 0.58. There
# the bilinear network reaches 0.88 on its training tiles, so on twelve tiles its failure is largely one of
# generalisation. Of the three, trained each in its own way, shuffled is worst: false places, new ones at every step,
# are worse than none.
#
# Two reservations. Bilinear differs in more than the places, because it leaves no gaps; and it has not been trained out
# here, so it may catch up. The paper trained several decoders of its small variant, on CamVid (table 1, mIoU in
# percent): 47.7 with switches, 43.3 with bilinear enlarging, and 48.5 if the encoder's maps are *added* as well, for
# 64 times the memory. That last line is where lesson 08 begins.
#
# ## Under the name of SegNet
#
# Public code that is called SegNet often is something else. Four findings, each run. **First: normalization and ReLU
# on the scores** (meetps/pytorch-semseg, `segnet.py`). Learn one batch by heart, with a bare last layer, and with this.

# %%
batch = load_scenes("train", size=64, count=8, seed=0)
losses, chances, quality = {}, {}, {}  # chances: the mean probability of the right class
for name in ("bare scores", "scores with normalization and ReLU"):
    torch.manual_seed(0)
    one = FiveStages()
    if name != "bare scores":
        one.decoder[4].convs[1] = nn.Sequential(one.decoder[4].convs[1], nn.BatchNorm2d(5), nn.ReLU())
    optimizer, losses[name] = torch.optim.AdamW(one.to(memory_format=torch.channels_last).parameters(), lr=1e-3), []
    for _ in range(100):
        logits_now = one(batch.images)  # (8, 5, 64, 64)
        loss = F.cross_entropy(logits_now, batch.masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[name].append(loss.item())
    chances[name] = logits_now.softmax(1).gather(1, batch.masks[:, None]).mean().item()
    quality[name] = miou(logits_now, batch.masks)
    print(f"{name:35} loss {losses[name][-1]:.2f}, mIoU {quality[name]:.2f}, right class {chances[name]:.2f}")
show(
    draw.losses_side_by_side(losses, "one batch of 8 scenes, over and over"),
    alt="Two losses over 100 steps on a logarithmic scale. With bare scores it falls to about 0.2; with normalization "
    "and ReLU it stays near 1.",
)
bare, cropped = (values[-1] for values in losses.values())
assert bare < 0.35 and cropped > 2.5 * bare
assert all(abs(chance - said) < 0.04 for chance, said in zip(chances.values(), (0.89, 0.43), strict=True))
assert quality["scores with normalization and ReLU"] > quality["bare scores"] + 0.1

# %% [markdown]
# A score that cannot be negative can never say "surely not": four zeros and a score s for the right class leave a loss
# of log(1 + 4e⁻ˢ). And a normalized score has mean 0, so the background's cannot be high in nearly all pixels. The
# network stays unsure, with 0.43 for the right class where bare scores give 0.89. Its *labels* are even better in this
# run, one seed: they need only the order of the scores, and normalization puts rare classes on a level with the
# background. Whoever reads the loss or the probabilities is misled.
#
# **Second: no switches at all.** A transposed convolution enlarges, and the encoder's maps are concatenated
# (zijundeng/pytorch-semantic-segmentation, `seg_net.py`). That is nearer to the U-Net of lesson 08, and may be the
# better network, but it keeps maps. **Third**, in the same file: a list times a number, `[conv, norm, relu] * 4`,
# repeats *the same* layers.

# %%
four = nn.Sequential(*[nn.Conv2d(512, 512, 3, padding=1), nn.BatchNorm2d(512), nn.ReLU()] * 4)
meant = nn.Sequential(*(layer(512, 512) for _ in range(4)))
written, wanted = (sum(p.numel() for p in one.parameters()) for one in (four, meant))
print(f"{len(four)} layers written, {len(set(four))} there; weights {written:,} instead of {wanted:,}")
assert (len(four), len(set(four))) == (12, 3) and wanted == 4 * written

concatenated = 4 * sum(math.prod(shape) for shape in kept_of["ours, 128 × 128"][:4])  # pooled maps, as floats
ours = sizes["ours, 128 × 128"]["switches of 2 bits"]
print(f"at our size it hands over {concatenated:,} bytes; switches of 2 bits are {ours:,}")
assert (concatenated, ours) == (483_328, 30_720)

# %% [markdown]
# Torch counts a shared layer once: a quarter of the weights, and no error message. Count parameters and compare them
# with the published number.
#
# **Fourth: switches read in another way than they were written.** A map with an odd side cannot be guessed from the
# pooled one: unpooling gives 4 × 4 where 5 × 5 was meant, unless you pass `output_size`. (Even the paper's 360 × 480
# becomes 45 × 60 after three halvings.) And a switch may be counted within its window, or, as TensorFlow does, over
# all channels together (tf-keras-SegNet stumbled there).

# %%
odd = torch.zeros(1, 1, 5, 5)
odd[0, 0, [0, 1, 2, 2], [1, 3, 0, 2]] = torch.tensor([5.0, 4, 7, 6])
odd_pooled, odd_switches = F.max_pool2d(odd, 2, return_indices=True)  # (1, 1, 2, 2) both
right = F.max_unpool2d(odd_pooled, odd_switches, 2, output_size=(5, 5))  # (1, 1, 5, 5)
guessed = F.max_unpool2d(odd_pooled, odd_switches, 2)  # (1, 1, 4, 4)
within = switches // 4 % 2 * 2 + switches % 2  # 0 1 above 2 3, in the window
confused = F.max_unpool2d(pooled, within, 2)  # (1, 1, 4, 4)
moved = ((guessed[0, 0] != odd[0, 0, :4, :4]) & (guessed[0, 0] > 0)).sum().item()
print(f"without output_size: {moved} of 4 values in a wrong place; within the window: {within.flatten().tolist()}")
try:
    F.max_unpool2d(pooled, switches * 2, 2)  # two channels: (row * width + column) * 2 + channel
except RuntimeError as error:
    print("counted with channels:", error)
assert torch.equal(right, odd) and guessed.shape[2:] == (4, 4) and moved == 3
assert within.flatten().tolist() == [1, 3, 2, 0] and confused[0, 0, 0].tolist() == [6, 5, 7, 4]
named = {"odd map": odd, "without output_size": guessed, "4 × 4 map": small, "read within windows": confused}
show(
    draw.maps_in_a_row({name: values[0, 0] for name, values in named.items()}),
    alt="Four maps of numbers. A map of 5 by 5 with four values; unpooled without output_size it is 4 by 4, and three "
    "of the values have slid to other places. The map of 4 by 4 from above; with switches read within windows all four "
    "values stand in the first row.",
)

# %% [markdown]
# Two of these three gave no error message: the values are scrambled, and training goes on. A test with numbers finds
# it: pool, unpool, and compare with the map where it had its maxima.
#
# ## Real pictures: nuclei
#
# Nuclei are learned much faster than clothes, so here both ways can be watched: SegNet and its bilinear twin, with the
# same start and batches, 80 steps each on the twelve tiles. Half a minute in all.

# %%
tiles, instances = load_nuclei("train")  # (12, 1, 128, 128), (12, 128, 128)
new_tiles, new_instances = load_nuclei("test")  # (4, 1, 128, 128), (4, 128, 128)
target, new_target = three_classes(instances), three_classes(new_instances)
nuclei = {}
for name, enlarge in (("switches", unpool), ("bilinear", bilinear)):
    torch.manual_seed(0)
    one = FiveStages(1, 3, enlarge).to(memory_format=torch.channels_last)
    fit(one, tiles, target, steps=80, batch_size=8, lr=3e-3, seed=0, augment=turn_and_brighten)
    nuclei[name] = predict_logits(one, new_tiles)  # (4, 3, 128, 128)
    known = miou(predict_logits(one, tiles), target)
    print(f"{name}: mIoU {miou(nuclei[name], new_target):.2f}, on training tiles {known:.2f}")
nuclei["trained out"] = predict_logits(load_weights(FiveStages(1, 3), "segnet_nuclei"), new_tiles)
assert miou(nuclei["switches"], new_target) > miou(nuclei["bilinear"], new_target) + 0.08
assert miou(nuclei["trained out"], new_target) > 0.7

pictures, titles = [], []
for number in (0, 2):
    pictures += [(3 * new_tiles[number]).clamp(max=1), new_target[number]]
    pictures += [answer[number].argmax(0) for answer in nuclei.values()]
    titles += ["nuclei, brightened", "truth", "switches, 80 steps", "bilinear, 80 steps", "switches, long"]
show(
    show_images(pictures, titles, columns=5, class_names=NUCLEUS_CLASSES, width=10),
    alt="Two microscope tiles: picture, truth, SegNet with switches and with bilinear enlarging after 80 steps, and "
    "SegNet trained out. With switches after 80 steps a ragged boundary runs around most nuclei, and some "
    "that touch are run together; with bilinear enlarging several nuclei are one large blob; trained out, "
    "the boundaries are smooth and most nuclei are parted.",
)

# %% [markdown]
# Training and validation tiles score nearly alike as yet: both networks are far from done, and the one with switches is
# ahead from the start. The bilinear one has nothing finer to go by than 4 × 4 numbers per channel, and it must learn to
# draw a ring of 4 pixels with convolutions alone. (By the end of the table's minute it can, on the tiles it knows.)
#
# ## The table so far

# %%
show_tables("07")
low, high = (table[name]["scenes"]["validation"]["range"] for name in ("SegNet", "DeconvNet"))
assert (round(low[0], 2), round(high[1], 2)) == (0.46, 0.42)
assert round(records()["deconvnet_nuclei"]["validation"]["miou"], 2) == 0.72
assert round(table["SegNet"]["multiply_adds"] / table["DeconvNet"]["multiply_adds"], 1) == 1.3
short = {name: table[name]["nuclei"]["validation"] for name in ("SegNet", "FCN-8s")}
assert short["SegNet"]["range"][0] > short["FCN-8s"]["range"][1]
assert [round(one["miou"], 2) for one in short.values()] == [0.78, 0.76]
assert round(table["SegNet"]["parameters"] / table["FCN-8s"]["parameters"], 1) == 2
done = [records()[f"{name}_nuclei"]["validation"]["miou"] for name in ("segnet", "fcn_8s")]
assert abs(done[0] - done[1]) < 0.005 and round(done[0], 2) == 0.75
first = [table[name]["scenes"]["validation"]["miou"] for name in ("SegNet", "FCN-8s", "FCN-8s, from a classifier")]
assert [round(one, 2) for one in first] == [0.49, 0.51, 0.55]
assert round(records()["segnet_scenes"]["training"]["miou"], 2) == 0.89
window = records()["sliding_window_scenes"]["validation"]
tiny = [(one["recall"][0], one["precision"]) for one in (long["segnet"], long["fcn_8s"], window)]
assert [f"{found:.0%} at {right:.0%}" for found, right in tiny] == ["51% at 81%", "22% at 77%", "51% at 36%"]

# %% [markdown]
# **The repair worked.** After the minute the worst seed of SegNet, 0.46, is above the best of DeconvNet, 0.42; trained
# out it is 0.73 against 0.67, and on the nuclei 0.75 against 0.72, with one seed each. The dense middle is not all that
# went: SegNet convolves where DeconvNet stamps, and does 1.3 times its multiply-adds.
#
# Trained out on scenes, SegNet leads the table, with one seed. Of the tiny objects it finds 51 %, and 81 % of its paint
# is right. FCN-8s finds 22 % at 77 %, and the sliding window as many as SegNet at 36 %. But SegNet has twice the
# weights of FCN-8s and the larger cost: the budget counts pixels, and leaves the work per pixel free.
#
# **After a minute the older network wins**: FCN-8s has 0.51 against 0.49 (their seeds overlap), and 0.55 if it starts
# from a classifier. On the nuclei SegNet is ahead after the minute, 0.78 against 0.76, with seeds that do not overlap;
# trained out, on nine tiles instead of twelve and with one seed, both have 0.75.
#
# These pictures favour outlines: cut-outs with sharp edges, and a class that is a boundary. Where objects are large
# and borders vague, an F within 1 pixel says less.
#
# ## Summary
#
# 1. SegNet is encoder, switches, decoder: unpool, then convolve; no dense layers, 29 million weights instead of 252.
# 2. A switch needs 2 bits, a 64th of float maps; PyTorch stores 64 bits, and training keeps the maps anyway.
# 3. The boundary F-score judges outlines within a tolerance; networks of equal mIoU can differ much in it.
# 4. Switches hand over places, the coarse ones above all: worth much for outlines, after a minute little for the mIoU.
# 5. Leave scores bare, give every layer its own weights, pass `output_size`, and check unpooling with numbers.
#
# ## What to read
#
# * Vijay Badrinarayanan, Alex Kendall, Roberto Cipolla: *SegNet: a deep convolutional encoder-decoder architecture for
#   image segmentation*, PAMI 2017 (arXiv 1511.00561): section 3.1 (the decoder variants), section 4, tables 1, 3 and 6.
# * Gabriela Csurka, Diane Larlus, Florent Perronnin: *What is a good evaluation measure for semantic segmentation?*,
#   BMVC 2013: the boundary F-score.
#
# ## What the next lesson repairs
#
# Switches hand over **places and no values**. Of four pixels the decoder learns which was largest; what the encoder saw
# in the other three, at full resolution, is lost, and every value that is placed has been through the narrow middle.
# SegNet has 0.73 on new scenes and 0.89 on those it knows, and half of the tiny objects it still does not find. U-Net,
# lesson 08, hands over **the maps themselves**.
