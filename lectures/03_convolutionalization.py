# %% [markdown]
# # 03 · Convolutionalization
#
# Lesson 02 left us with a fast half and a slow half. The convolutions run once, on the whole picture. The **head**,
# made of dense (fully connected) layers, still runs 625 times, on feature windows of a fixed size that Python loops
# cut out.
#
# You may expect a new network without dense layers. None is needed, for the dense layers are convolutions already,
# written down in another way. In this lesson you see
#
# * why a dense layer fixes the size of the input, and a convolution does not,
# * LeNet turned into convolutions layer by layer, and its map of 57 × 57 answers in one call,
# * what such a map gets wrong, and how much of it is the fault of the training crops,
# * a common wrong conversion, which raises no error,
# * what global average pooling changes, and what one pass costs and buys.
#
# Slides: "convolutionalization", from "throw away the dense layers" to "the mask is smaller than the picture".

# %%
import torch
import torch.nn.functional as F
from torch import nn

from seglab.data.nuclei import NUCLEUS_CLASSES, load_nuclei, three_classes
from seglab.data.scenes import CLASSES, load_crops, load_scenes
from seglab.drawings import convolutionalization as drawings
from seglab.figures import show, show_images
from seglab.results import rows, show_tables
from seglab.timing import side_by_side, times_faster
from seglab.training import fit, miou, mirror_and_recolour, predict_logits
from seglab.weights import load_weights, records

# %% [markdown]
# ## LeNet, and where its parameters are
#
# LeNet is small enough to follow by hand: a 5 × 5 convolution and a 2 × 2 pooling, the same again, then three dense
# layers. Nothing is padded. We take max-pooling and ReLU.
#
# > The slide says: 16 × 5 × 5 → 400 → dense layer → 120; 400 × 120 parameters, and a fixed size of input and output.
#
# Follow one picture of 32 × 32 pixels through it, and count.


# %%
def lenet(in_channels, num_classes):
    """LeNet in two parts, as in lesson 02: convolutions, and a dense head."""
    features = nn.Sequential(
        nn.Conv2d(in_channels, 6, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU()
    )
    dense = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, num_classes)]
    return features, nn.Sequential(nn.Flatten(), *dense)


def count(*parts):
    return sum(p.numel() for part in parts for p in part.parameters())


grey_features, grey_head = lenet(1, 10)
x = torch.rand(1, 1, 32, 32)
print(f"{'input':12}{'x'.join(str(n) for n in x.shape[1:]):>10}{'parameters':>14}")
for layer in [*grey_features, *grey_head]:
    x = layer(x)
    if not isinstance(layer, nn.ReLU):
        print(f"{type(layer).__name__:12}{'x'.join(str(n) for n in x.shape[1:]):>10}{count(layer) or '':14}")

total = count(grey_features, grey_head)
print(f"{total:,} parameters, {48_000 / total:.0%} of them are weights of the first dense layer")
assert grey_head[1].weight.numel() == 400 * 120 == 48_000
assert total == 61_706 and count(*lenet(3, 10)) == 62_006  # grey, and the same with three colours

# %% [markdown]
# Both numbers are there: `Flatten` makes **400** of 16 × 5 × 5, and the first dense layer has **400 × 120** weights,
# most of the network.
#
# Our version sees colours and knows the five classes of our scenes. It learns from crops of 32 × 32 pixels. As
# in lesson 02, the label of a crop is the class of the pixel at its centre, and each class has equally many crops.
# Training takes about fifteen seconds; cutting the crops takes half as long, the first time.

# %%
crops, labels = load_crops("train", size=32, count=8000, seed=0)  # (8000, 3, 32, 32), (8000,)
val_crops, val_labels = load_crops("val", size=32, count=500, seed=0)  # (500, 3, 32, 32), (500,)

torch.manual_seed(0)
features, head = lenet(3, len(CLASSES))
classifier = nn.Sequential(features, head)
fit(classifier, crops, labels, epochs=10, batch_size=32, lr=3e-3, seed=0, augment=mirror_and_recolour)

crop_logits = predict_logits(classifier, val_crops)  # (500, 5)
accuracy = (crop_logits.argmax(1) == val_labels).float().mean()
train_accuracy = (predict_logits(classifier, crops).argmax(1) == labels).float().mean()
print(f"right: {train_accuracy:.0%} of the training crops, {accuracy:.0%} of the validation crops; guessing gives 20 %")
assert accuracy > 0.4 and train_accuracy > 0.4

truths, answers = val_labels[::50], crop_logits[::50].argmax(1)  # (10,), (10,)
names = [f"{CLASSES[truth]} called {CLASSES[answer]}" for truth, answer in zip(truths, answers, strict=True)]
figure = drawings.crops_with_answers(val_crops[::50], truths, answers, CLASSES)
show(figure, alt="Ten validation crops of 32 by 32 pixels: " + ", ".join(names))

# %% [markdown]
# ## Why the size is fixed
#
# Now give it a scene of 256 × 256 pixels.

# %%
scenes = load_scenes("val", size=256, count=40, seed=0)
scene, truth = scenes.images[1], scenes.masks[1]  # (3, 256, 256), (256, 256)

with torch.no_grad():
    scene_features = features(scene[None])  # (1, 16, 61, 61)
print("features:", tuple(scene_features.shape), "- no complaint from the convolutions")
try:
    head(scene_features)
except RuntimeError as error:
    print("head:    ", error)
    message = str(error)
assert scene_features.shape == (1, 16, 61, 61)
assert "59536" in message and 16 * 61 * 61 == 59_536

# %% [markdown]
# The convolutions do not mind: they do their small sum at as many places as there are. The first dense layer has 400
# weights per output, and 59,536 numbers come. This layer alone **fixes the size**; the others take vectors of 120 and
# of 84 numbers, whatever the picture was.
#
# ## A dense unit is a kernel
#
# What does one of the 120 units compute? It multiplies 400 numbers with 400 weights and adds them up, with a bias.
# `Flatten` has put the 400 numbers in a row, but they did not lose their places: number 25 · c + 5 · row + col is
# channel c at (row, col). Put the weights back the same way, and you have a kernel of 16 × 5 × 5, laid once on a
# feature window that is just as large. That is what a convolution does **at one place**.

# %%
first = head[1]  # the dense layer 400 -> 120
with torch.no_grad():
    window = features(val_crops[:1])  # (1, 16, 5, 5)
    kernel = first.weight[7].view(16, 5, 5)  # (400,) -> (16, 5, 5): unit number 7
    by_dense = first(window.flatten(1))[0, 7]
    by_sum = (kernel * window[0]).sum() + first.bias[7]
    by_conv = F.conv2d(window, kernel[None], first.bias[7:8])  # (1, 1, 1, 1)
print(f"dense unit {by_dense:.6f}, sum by hand {by_sum:.6f}, convolution {by_conv.item():.6f}")
assert torch.allclose(by_dense, by_sum, atol=1e-5) and torch.allclose(by_dense, by_conv.squeeze(), atol=1e-5)
assert by_conv.shape == (1, 1, 1, 1)

# %% [markdown]
# > The slide says: 16 × 5 × 5 → 120 × 1 × 1 → 84 × 1 × 1 → 10 × 1 × 1, a classifier for 10 classes.
#
# All 120 units together are one convolution with 120 output channels, **16 × 5 × 5 → 120 × 1 × 1**, and its
# 5 · 5 · 16 · 120 = 48,000 weights are the very same ones. (The kernel is 5 × 5 because the features of one window
# are; lesson 02's network would need 6 × 6.)
#
# The next dense layer gets 120 × 1 × 1, that is, 120 channels at one place, and a kernel that covers this is 1 × 1. So
# **→ 84 × 1 × 1 → 10 × 1 × 1** follows (for us, 5 × 1 × 1). Here is the whole conversion, by hand.


# %%
@torch.no_grad()
def as_map(classifier):
    """LeNet with a head of convolutions that have the numbers of its dense layers."""
    features, head = classifier
    convs = [nn.Conv2d(16, 120, 5), nn.Conv2d(120, 84, 1), nn.Conv2d(84, 5, 1)]
    convs[0].weight.copy_(head[1].weight.view(120, 16, 5, 5))  # (120, 400) -> (120, 16, 5, 5)
    convs[1].weight.copy_(head[3].weight.view(84, 120, 1, 1))  # (84, 120) -> (84, 120, 1, 1)
    convs[2].weight.copy_(head[5].weight.view(5, 84, 1, 1))  # (5, 84) -> (5, 84, 1, 1)
    for layer, dense in zip(convs, [head[1], head[3], head[5]], strict=True):
        layer.bias.copy_(dense.bias)
    return nn.Sequential(features, nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2]))


map_net = as_map(classifier)
conv_head = map_net[1]
x = val_crops  # (500, 3, 32, 32)
with torch.no_grad():
    for layer in [features, *conv_head]:
        x = layer(x)
        if layer is features or isinstance(layer, nn.Conv2d):
            print(tuple(x.shape[1:]))
difference = (x.flatten(1) - crop_logits).abs().max()
print(f"500 crops: largest difference of a logit {difference:.0e}, largest logit {crop_logits.abs().max():.0f}")
assert x.shape == (500, 5, 1, 1) and difference < 1e-5 * crop_logits.abs().max()
assert conv_head[0].weight.numel() == 5 * 5 * 16 * 120 == 48_000
assert count(conv_head) == count(head)

# %% [markdown]
# The answers are equal on every crop, up to rounding: a convolution adds the 400 products in another order, and
# floating-point sums depend on it. Nothing was learned here and nothing was lost. Both heads have the same parameters,
# laid out differently; `Flatten` is gone because nothing is left to flatten.
#
# Yann LeCun and his colleagues knew this in 1998. Their paper calls the layer with the 120 units, C5, a
# *convolutional* layer, since on a larger input its feature map would be larger than 1 × 1. Let us make it larger.
#
# ## One pass
#
# The same weights, the whole scene, one call. Beside it runs lesson 02's sliding window with the classifier as it was
# trained: every window of 32 × 32 pixels, every 4 pixels.


# %%
@torch.no_grad()
def map_in_batches(picture):
    """Every window, every 4 pixels, through the whole classifier, a row of the map at a time."""
    rows_of_map = []
    for top in range(0, 256 - 32 + 1, 4):
        windows = [picture[:, top : top + 32, left : left + 32] for left in range(0, 256 - 32 + 1, 4)]
        rows_of_map.append(classifier(torch.stack(windows)))  # (57, 5)
    return torch.stack(rows_of_map).permute(2, 0, 1)  # (5, 57, 57)


sizes = []
x = scene[None]  # (1, 3, 256, 256)
with torch.no_grad():
    for layer in [*features, *conv_head]:
        x = layer(x)
        if not isinstance(layer, nn.ReLU):
            sizes.append(x.shape[-1])
logits = x[0]  # (5, 57, 57)
print("256 ->", " -> ".join(str(size) for size in sizes))
assert sizes == [252, 126, 122, 61, 57, 57, 57]

naive = map_in_batches(scene)  # (5, 57, 57)
print(f"{naive[0].numel():,} windows: largest difference of a logit {(naive - logits).abs().max():.0e}")
assert logits.shape == naive.shape == (5, 57, 57) and naive[0].numel() == 3249
assert ((256 - 64) // 8 + 1) ** 2 == 625  # lesson 02: windows of 64 pixels, every 8 pixels
assert (naive - logits).abs().max() < 1e-5 * logits.abs().max()
assert F.conv2d(window, conv_head[0].weight, padding=2).shape == (1, 120, 5, 5)  # padded, one window gives no 1 x 1

# %% [markdown]
# **All 3,249 places agree**, without a loop, without cutting, without a batch to choose. The 57 is no accident: the
# feature map has 61 × 61 places, and a kernel of 5 × 5 fits into 61 at 61 − 5 + 1 = 57 of them.
#
# As in lesson 02, this is exact because no layer pads. With `padding=2` in the converted layer, which is tempting, 61
# would stay 61; but a window of 32 pixels would give 5 × 5 answers instead of one, and the outer ones would lean on
# zeros that the dense layer never saw.
#
# ### Where does an answer belong?
#
# Two poolings halve the resolution twice, so neighbouring answers are 2 · 2 = **4 pixels** apart: the *jump* of the
# map. Answer (i, j) comes from rows 4i to 4i + 31 and columns 4j to 4j + 31, so its centre is (4i + 15.5, 4j + 15.5).
# Try it: keep the window of one place and replace the rest of the picture by noise. If the claim is right, this one
# answer does not move.

# %%
i, j = 46, 22  # on the bag: rows 184 to 215, columns 88 to 119
noisy = torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(0))
noisy[:, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32] = scene[:, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32]
with torch.no_grad():
    moved = (map_net(noisy[None])[0] - logits).abs().sum(0)  # (57, 57)
still = (moved < 1e-4).nonzero()  # (1, 2)

show(
    drawings.one_window(scene, noisy, moved, i, j),
    alt="A scene with a small square window on a bag; the same picture with noise everywhere outside it; and a map "
    "of how much each of the 57 by 57 answers changed: dark at exactly one place, inside a small white frame.",
)
print("answers that did not change:", still.tolist())
assert still.tolist() == [[i, j]]

# %% [markdown]
# ### The map on the picture
#
# So we paint each answer on a block of 4 × 4 pixels in the middle of its window. A block begins (32 − 4) / 2 = 14
# pixels inside the window, and all blocks together reach from pixel 14 to pixel 241. The pale margin has no answer.
#
# The network gives logits. A softmax over the **classes**, `dim=1` of (N, C, H, W), makes them probabilities at each
# place.


# %%
def paint(labels, window=32, step=4):
    """Maps of labels on the pixels: a block of step x step in the middle of each window; 255 where there is none."""
    margin = (window - step) // 2  # so far inside its window a block begins
    blocks = labels.repeat_interleave(step, -2).repeat_interleave(step, -1)  # (..., step * rows, step * columns)
    return F.pad(blocks, [margin] * 4, value=255)


probabilities = logits[None].softmax(1)[0]  # (5, 57, 57)
painted = paint(logits.argmax(0))  # (256, 256)
covered = painted != 255
pictures = {"scene": scene, "truth": truth, "map, 57 × 57, painted": painted}
pictures |= {f"probability of {CLASSES[c]}, 0 to 1": probabilities[c] for c in (0, 2, 4)}
show(
    drawings.map_and_probabilities(pictures, CLASSES),
    alt="A scene; its true mask; the painted map, in which large trousers and a large shirt are only outlined; and the "
    "probability maps of background, high inside the large trousers too, of trousers and of bag.",
)
print(f"{(painted == truth)[covered].float().mean():.0%} of the covered pixels are right")
assert painted.shape == truth.shape and (covered.nonzero().min(), covered.nonzero().max()) == (14, 241)
assert torch.allclose(probabilities.sum(0), torch.ones(57, 57))

# %% [markdown]
# A picture goes in and a map comes out: this is a segmentation network. And there is something new to see. **Large
# objects are hollow**: their outlines get labels, their insides are called background. The conversion changed no
# number, so it is not to blame. What is?
#
# ### Hollow: three suspects
#
# *Too little training?* `load_weights` fills in what the same LeNet learned from four times as many crops, for longer,
# until pictures that were only watched gained no more. *Bad luck with new pictures?* Then scenes of the training split,
# with the clothes and background photos of the crops, would look better. We ask the windows whose centre lies on an
# object, and tell those that see nothing but this object (*inside*) from those that see something else, too (*edge*).
# Precision and recall count windows here: recall is the share of the windows on objects that are right. All networks
# here are of one seed.


# %%
@torch.no_grad()
def judge(net, scenes):
    """Shares of windows (right, other clothes, called background), inside and at the edge; precision and recall."""
    found = torch.cat([net(batch).argmax(1) for batch in scenes.images[:40].split(8)])  # (40, 57, 57)
    target = scenes.masks[:40, 16:-15:4, 16:-15:4]  # (40, 57, 57), at the centres of the windows
    numbers = scenes.instances[:40].float()  # (40, 256, 256), which object a pixel belongs to
    alone = F.max_pool2d(numbers, 32, 4) == -F.max_pool2d(-numbers, 32, 4)  # (40, 57, 57), one number in the window
    shares = {}
    for name, where in (("inside", (target > 0) & alone), ("edge", (target > 0) & ~alone)):
        right, empty = (found == target)[where].float().mean().item(), (found == 0)[where].float().mean().item()
        shares[name] = [right, 1 - right - empty, empty]
    right = (found == target) & (target > 0)
    return shares | {
        "precision": (right.sum() / (found > 0).sum()).item(),
        "recall": (right.sum() / (target > 0).sum()).item(),
    }


def report(name, net):
    for split, pictures in splits.items():
        judged[name, split] = shares = judge(net, pictures)
        numbers = [shares[kind][part] for kind in ("inside", "edge") for part in (0, 2)]
        numbers += [shares["precision"], shares["recall"]]
        print(f"{name:16}{split:10}" + "".join(f"{number:13.0%}" for number in numbers))


splits = {"training": load_scenes("train", size=256, count=100, seed=0), "validation": scenes}
trained_out = load_weights(nn.Sequential(*lenet(3, len(CLASSES))), "lecture_03_scenes")
judged = {}
heads = ("inside right", "background", "edge right", "background", "precision", "recall")
print(" " * 26 + "".join(f"{name:>13}" for name in heads))
report("trained here", map_net)
report("trained out", as_map(trained_out))
for name, split in judged:
    assert judged[name, split]["inside"][2] > 0.7 > 0.65 > judged[name, split]["edge"][2]
record = records()["lecture_03_scenes"]
assert "--scenes 4000" in record["command"] and 4 * len(crops) == 8 * 4000  # eight crops of each scene
for split, known in ((split, record[split]) for split in splits):
    recall = ", ".join(f"{share:.0%}" for share in known["recall"])
    print(f"trained out, {split}, 128 pixels: found by size {recall}; precision {known['precision']:.0%}")
    assert known["recall"][1] > 0.5 and known["recall"][3] < 0.15 and 0.28 < known["precision"] < 0.38

# %% [markdown]
# Neither explains it. More than 70 % of the windows inside are called background, after short and after long training,
# in training scenes as in new ones. The two lines below the table are of scenes of 128 × 128 and count whole objects,
# from tiny to large, found when more than half of their pixels get their class. Most of the small ones (80–319 square
# pixels) are found and about a tenth of the large ones, with a third of the painted pixels right.
#
# The third suspect is the set of crops. The sampler behind `load_crops` (`_pick_centre` in `seglab/data/scenes.py`)
# passes over objects of more than three quarters of a crop's area. So the inside of a large object never was the
# centre of a training crop, and a window full of one surface meant background. LeNet learned what it was shown. Let us
# show it something else: as many crops, again equally many per class, cut from 100 large scenes around any pixel. The
# network, its initial weights and its training are the same; it takes about fifteen seconds again.


# %%
def crops_anywhere(scenes, count, generator):
    """Crops of 32 x 32 around any pixel, equally many per class, and the class of that pixel."""
    inner = scenes.masks[:, 16:-15, 16:-15]  # (N, 225, 225), the pixels with room for a crop around them
    chosen = []
    for number in range(len(CLASSES)):
        places = (inner == number).nonzero()  # (P, 3): scene, row and column of the crop's upper left corner
        chosen.append(places[torch.randint(len(places), (count // len(CLASSES),), generator=generator)])
    chosen = torch.cat(chosen)  # (count, 3)
    cut = [scenes.images[n, :, row : row + 32, col : col + 32] for n, row, col in chosen.tolist()]
    return torch.stack(cut), inner[tuple(chosen.T)]  # (count, 3, 32, 32), (count,)


other_crops = crops_anywhere(splits["training"], 8000, torch.Generator().manual_seed(0))
torch.manual_seed(0)
other = nn.Sequential(*lenet(3, len(CLASSES)))
fit(other, *other_crops, epochs=10, batch_size=32, lr=3e-3, seed=0, augment=mirror_and_recolour)
report("crops anywhere", as_map(other))

told = as_map(other)
share = splits["training"].masks.flatten().bincount() / splits["training"].masks.numel()  # (5,), of each class
with torch.no_grad():
    told[1][-1].bias += (share / 0.2).log()  # in the crops each class had a share of 0.2
report("told the shares", told)

with torch.no_grad():
    maps = {"truth": truth} | {
        name: paint(as_map(net)(scene[None])[0].argmax(0))
        for name, net in (("trained here", classifier), ("trained out", trained_out), ("crops anywhere", other))
    }
drawn = [one for one in judged if one[0] != "told the shares"]
bars = {kind: {f"{n}, {split}": judged[n, split][kind] for n, split in drawn} for kind in ("inside", "edge")}
show(
    drawings.hollow(maps, bars, CLASSES),
    alt="Above: a true mask and three maps; with the usual crops large objects are outlines, with crops from anywhere "
    "they are filled, often with a wrong class. Below: bars. Inside, the first two networks call most windows "
    "background, in training and validation scenes; the third far fewer, but few of its answers are right.",
)
for split in splits:
    before, after = judged["trained here", split], judged["crops anywhere", split]
    assert after["inside"][2] < before["inside"][2] - 0.15 and after["edge"][2] < before["edge"][2] - 0.15
    assert after["inside"][0] < 0.45 and max(before["precision"], after["precision"]) < 0.4
    assert judged["told the shares", split]["precision"] > after["precision"] + 0.08
    assert judged["told the shares", split]["recall"] < after["recall"] - 0.08
assert 0.7 < share[0] < 0.8

# %% [markdown]
# Much of the hollowness came from the crops, as the grey bars show. What comes instead is mostly the *wrong* clothes,
# on the very scenes of these crops, too: 32 pixels of cloth hardly tell trousers from a bag. (This run is too short to
# say that no LeNet could.)
#
# This network also paints too much, and a reason is **class imbalance**: four of five crops show clothes, but only one
# pixel in four of the scenes does. We can tell it the true shares by adding the logarithm of (share in the scenes /
# share in the crops) to the logits, that is, to the last bias. The line "told the shares" shows the price: precision
# rises, recall falls, and inside, where the window says little, nearly every window is called background.
#
# ## Any size
#
# One network, no fixed input. So the **same scene may come smaller**: average 2 × 2 or 4 × 4 pixels into one, and run
# the same network. A window then covers 64 or 128 pixels of the scene, and the jump is 8 or 16 of them.

# %%
results = {}
for factor in (1, 2, 4):
    for split, pictures in splits.items():
        with torch.no_grad():
            small = map_net(F.avg_pool2d(pictures.images[:40], factor)).argmax(
                1
            )  # (40, 57, 57), (40, 25, 25), (40, 9, 9)
        found = paint(small, 32 * factor, 4 * factor)  # (40, 256, 256)
        inner, target = found[:, 56:200, 56:200], pictures.masks[:40, 56:200, 56:200]  # what all three maps cover
        both = [((inner == c) & (target == c)).sum() / ((inner == c) | (target == c)).sum() for c in range(5)]
        precision = (inner == target)[inner > 0].float().mean()
        results[factor, split] = found, sum(both).item() / 5
        per_class = " ".join(f"{value:.2f}" for value in both)
        print(
            f"{256 // factor:3} pixels, map {small.shape[-1]:2} x {small.shape[-1]:<2}, {split:10}  "
            f"IoU per class {per_class}  mIoU {results[factor, split][1]:.2f}  precision {precision:.2f}"
        )

chosen = [4, 0, 3]
show(
    drawings.scales(
        [
            (scenes.images[n], scenes.masks[n], *(results[factor, "validation"][0][n] for factor in (1, 2, 4)))
            for n in chosen
        ],
        ["scene", "truth", "256 pixels, 57 × 57", "128 pixels, 25 × 25", "64 pixels, 9 × 9"],
        CLASSES,
    ),
    alt="Three scenes. At full size, small objects are found and large ones only outlined; at half size, "
    "middle-sized objects are filled; at a quarter, large objects are filled with coarse blocks and small ones gone.",
)
for split in splits:
    assert results[1, split][1] < results[4, split][1]

# %% [markdown]
# The same weights make three different mistakes. At full size small things are found and large ones are hollow. At a
# quarter large things are filled, in blocks of 16 pixels, and small ones are swollen or gone; mIoU is higher all the
# same, since large objects own most of the pixels. Two things have changed at once: the window sees more, and large
# objects have the size that training crops showed. This test does not say which of them helps. **For large objects
# this network needs the picture compressed; for small ones and for edges it needs it as it is.**
#
# Here is a real picture, nuclei under a fluorescence microscope, 512 × 512 pixels, in three classes. A small classifier
# of 32 × 32 crops has been trained out for it; its kernel is 6 × 6. Four of the sixteen tiles were kept out of the
# training.

# %%
small = nn.Sequential(
    nn.Sequential(nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
    nn.Sequential(nn.Flatten(), nn.Linear(32 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, 3)),
)
load_weights(small, "sliding_window_nuclei")
hidden, score = nn.Conv2d(32, 64, 6), nn.Conv2d(64, 3, 1)
with torch.no_grad():
    hidden.weight.copy_(small[1][1].weight.view(64, 32, 6, 6))  # (64, 1152) -> (64, 32, 6, 6)
    score.weight.copy_(small[1][3].weight.view(3, 64, 1, 1))  # (3, 64) -> (3, 64, 1, 1)
    hidden.bias.copy_(small[1][1].bias)
    score.bias.copy_(small[1][3].bias)
nucleus_net = nn.Sequential(small[0], hidden, nn.ReLU(), score)
nuclei, instances = load_nuclei()  # (1, 1, 512, 512), (1, 512, 512)
nucleus_map = predict_logits(nucleus_net, nuclei)[0].argmax(0)  # (121, 121)
figure = show_images(
    [nuclei[0], three_classes(instances)[0], paint(nucleus_map)],
    ["nuclei, 512 × 512", "truth", "one pass, 121 × 121"],
    class_names=NUCLEUS_CLASSES,
)
show(
    figure,
    alt="About a hundred bright nuclei on black; the true mask, each nucleus with a seam of boundary; and the map of "
    "one pass, which has nearly all of them, with coarser seams, some neighbours grown together.",
)
for split in ("train", "test"):
    tiles, instances = load_nuclei(split)  # (N, 1, 128, 128), (N, 128, 128)
    found, target = paint(predict_logits(nucleus_net, tiles).argmax(1)), three_classes(instances)  # (N, 128, 128)
    both = [((found == c) & (target == c)).sum() / ((found == c) | (target == c))[found < 255].sum() for c in range(3)]
    ious = ", ".join(f"{name} {value:.2f}" for name, value in zip(NUCLEUS_CLASSES, both, strict=True))
    precision = (found == target)[(found > 0) & (found < 255)].float().mean()
    answered = (found < 255).float().mean()
    print(f"{split:5} tiles, on the {answered:.0%} with an answer: IoU {ious}; precision {precision:.2f}")
    assert both[0] > 0.85 and both[1] > 0.6 and both[2] > 0.5
assert nucleus_map.shape == (121, 121) and round(answered.item(), 2) == 0.61
assert round((paint(nucleus_map) < 255).float().mean().item(), 2) == 0.89

# %% [markdown]
# The same method looks far better here, on tiles it has never seen as on the others. Nuclei are all of about one size,
# which fits the window, and they are brighter than what surrounds them, so that even lesson 01's single pixels found
# most of them. The boundary is the weakest class; it is about as wide as one answer.
#
# ## The wrong conversion
#
# In our conversion, one word decides: `view(120, 16, 5, 5)`. It says that the 400 weights are ordered by channel, then
# row, then column, since `Flatten` reads (C, H, W) in that order. Some frameworks keep channels last, and their
# `Flatten` reads (H, W, C). Code that was written for one and used with the other looks like this:
#
# `weight.view(120, 5, 5, 16).permute(0, 3, 1, 2)`
#
# The shape is right, and so is the number of weights, and no error comes. Another slip exchanges rows and columns. The
# figure shows which of the 400 weights end up in the 5 × 5 kernel of channel 1.

# %%
number = torch.arange(400)
orders = {
    "right: C, H, W": number.view(16, 5, 5),
    "wrong: H, W, C": number.view(5, 5, 16).permute(2, 0, 1),
    "wrong: C, W, H": number.view(16, 5, 5).permute(0, 2, 1),
}
show(
    drawings.kernel_numbers(orders),
    alt="Three grids of 5 by 5 numbers. Right: 25 to 49, row by row. Channels read last: 1, 17, 33 and so on up to "
    "385, weights from all over the row. Rows and columns exchanged: 25 to 49, but column by column.",
)
assert orders["right: C, H, W"][1].flatten().tolist() == list(range(25, 50))
assert orders["wrong: H, W, C"][1, 4, 4] == 385

# %% [markdown]
# And this is what the three networks predict. Everything else in them is equal.

# %%
maps, shares = {"truth": truth}, {}
for name, order in orders.items():
    layer = nn.Conv2d(16, 120, 5)
    with torch.no_grad():
        layer.weight.copy_(head[1].weight[:, order.flatten()].view(120, 16, 5, 5))
        layer.bias.copy_(head[1].bias)
        net = nn.Sequential(features, layer, *conv_head[1:])
        crop_answers = net(val_crops).flatten(1)  # (500, 5)
        shares[name] = (crop_answers.argmax(1) == val_labels).float().mean().item()
        maps[f"{name}\n{shares[name]:.0%} of the crops right"] = net(scene[None])[0].argmax(0)  # (57, 57)
    gap = (crop_answers - crop_logits).abs().max()
    print(f"{name:15} crops right {shares[name]:4.0%}, largest difference of a logit {gap:.0e}")

show(
    show_images(list(maps.values()), list(maps), class_names=CLASSES),
    alt="The true mask and the maps of three conversions. All three have outlines and blobs in the same places; with "
    "channels read last or rows and columns exchanged, the small objects get wrong labels.",
)
assert abs(shares["right: C, H, W"] - accuracy) < 0.005
assert shares["wrong: H, W, C"] < accuracy - 0.1 and shares["wrong: C, W, H"] < accuracy - 0.05

# %% [markdown]
# The scores on the crops tell at once. But look at the maps: would you notice? They have outlines and blobs in much the
# same places as the right one, since the convolutions before are as good as ever. **Shapes prove nothing, and neither
# does a map that looks reasonable.** Run the old classifier and the new network on a few crops and ask for equal
# numbers, up to rounding.
#
# ## Global average pooling
#
# Newer classifiers have no `Flatten`. They take the **mean of each channel** over all places and put one dense layer on
# it. Such a network takes pictures of any size, yet it gives one vector. Where is the map?
#
# Taking a mean is linear, and so is a dense layer, so their order may be exchanged: first the dense layer, at each
# place for itself, which is a 1 × 1 convolution, then the mean. The numbers are the same, and between the two stands a
# map. Training takes about ten seconds.

# %%
torch.manual_seed(0)
trunk = nn.Sequential()
for inputs, outputs, kernel, end in ((3, 16, 5, nn.MaxPool2d(2)), (16, 32, 3, nn.MaxPool2d(2)), (32, 64, 3, None)):
    trunk.extend(
        [nn.Conv2d(inputs, outputs, kernel, bias=False), end or nn.Identity(), nn.BatchNorm2d(outputs), nn.ReLU()]
    )
last = nn.Linear(64, len(CLASSES))
pooled = nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
pooled = pooled.to(memory_format=torch.channels_last)  # quicker on a CPU
fit(pooled, crops, labels, epochs=3, batch_size=32, lr=5e-3, seed=0, augment=mirror_and_recolour)
for split, images, target in (("training", crops, labels), ("validation", val_crops, val_labels)):
    right = (predict_logits(pooled, images).argmax(1) == target).float().mean()
    print(f"{right:.0%} of the {split} crops are right")
print(f"{count(last)} parameters in the head, LeNet has {count(head):,}")

with torch.no_grad():
    vectors = pooled(scenes.images[:8])  # (8, 5)
    places = trunk(scenes.images[:8])  # (8, 64, 60, 60)
    votes = F.conv2d(places, last.weight[:, :, None, None], last.bias)  # (8, 5, 60, 60)
mean_of_votes = votes.mean((2, 3))  # (8, 5)
print(f"mean of the map against the vector: largest difference {(mean_of_votes - vectors).abs().max():.0e}")
print("the vector says of eight scenes:", ", ".join(CLASSES[label] for label in vectors.argmax(1)))
assert torch.allclose(mean_of_votes, vectors, atol=1e-4) and votes.shape == (8, 5, 60, 60)
assert vectors.argmax(1).tolist() == [0] * 8 and scenes.class_of[:8].amax(1).min() > 0
with torch.no_grad():  # 20 pixels are one place, a window of 32 is 4 x 4 places
    assert [trunk(torch.rand(1, 3, size, size)).shape[-1] for size in (20, 32)] == [1, 4]

figure = show_images(
    [scene, votes[1].argmax(0), votes[1, 2], votes[1, 3]],
    ["scene", "class with the highest score", "score of trousers, 60 × 60", "score of shoe, 60 × 60"],
    class_names=CLASSES,
)
show(
    figure,
    alt="A scene; at each of 60 by 60 places the class with the highest score, mostly along outlines; the map of "
    "scores for trousers, brightest at the small trousers; and the map for shoe, brightest at the small shoe.",
)

# %% [markdown]
# This map is known as the **class activation map**: it shows which places voted for a class. Compared with LeNet,
#
# * the 5 × 5 kernel is gone, and with it nearly all parameters of the head,
# * the vote of a place depends on a square of 20 pixels, so it is **not** what the classifier says of a 32-pixel
#   window there (for that you need the mean over the 4 × 4 places of the window; you build it in the exercises),
# * the vector accepts any size, and that is a trap. Ask it about eight scenes, each with clothes in it, and it answers
#   **eight times background**. It is the mean of all votes, and background fills most of each picture. The map knew
#   where the clothes are; in the mean they are outvoted.
#
# ## What does one pass cost, and what does it buy?
#
# There are three ways to the same answers: every window for itself, lesson 02's shared features with the dense head in
# a loop, and one pass. Multiply-adds are counted. Seconds are measured side by side, as ratios.

# %%
conv1, conv2, dense = 5 * 5 * 3 * 6, 5 * 5 * 6 * 16, 400 * 120 + 120 * 84 + 84 * 5  # multiply-adds per place
one_window = conv1 * 28**2 + conv2 * 10**2 + dense
shared = conv1 * 252**2 + conv2 * 122**2 + 57**2 * dense
adds = {"one pass": shared, "shared": shared, "windows": 57**2 * one_window}


@torch.no_grad()
def map_shared(picture):
    """Lesson 02: convolutions once, then the dense head on every feature window of 5 x 5."""
    whole = features(picture[None])[0]  # (16, 61, 61)
    rows_of_map = []
    for row in range(57):
        windows = [whole[:, row : row + 5, col : col + 5] for col in range(57)]
        rows_of_map.append(head(torch.stack(windows)))  # (57, 5)
    return torch.stack(rows_of_map).permute(2, 0, 1)  # (5, 57, 57)


assert torch.allclose(map_shared(scene), logits, rtol=1e-5, atol=1e-4)
ways = {
    "one pass": lambda: predict_logits(map_net, scene[None]),
    "shared": lambda: map_shared(scene),
    "windows": lambda: map_in_batches(scene),
}
faster = times_faster(side_by_side(ways), base="one pass")
print(f"{'':10}{'multiply-adds':>15}{'one pass = 1':>15}{'seconds, one pass = 1':>24}")
for name, number in adds.items():
    print(f"{name:10}{number / 1e6:13.0f} M{number / shared:15.1f}{1 / faster[name]:24.1f}")
assert one_window == 651_300 and dense == 58_500 and round(adds["windows"] / shared, 1) == 8.3
assert round(1 - dense / one_window, 2) == 0.91

# %% [markdown]
# One pass needs 8.3 times fewer multiply-adds than the windows and **exactly as many as shared features**: the head
# meets the same 3,249 feature windows, only a convolution does the sliding. What the clock shows beyond that is the
# loop, the cutting and the copying, for most features are copied 25 times.
#
# One pass buys more than time. No window size, no stride and no loop stand in the code any more. The network is a
# function from a picture to a map, and a loss at all 3,249 places costs one pass, so masks can be used for training.
# From lesson 04 on, they are.
#
# ## The table of the course
#
# One table grows from lesson to lesson: every network on the same pictures of 128 × 128, with the same budget. "A
# minute" gives means of three seeds, "trained out" one seed.

# %%
show_tables("03")
before, after = rows("03")[-2:]
fewer = before["multiply_adds"] / after["multiply_adds"]
print(f"multiply-adds for one scene: {fewer:.1f} times fewer with one pass")
assert before["weights"] == after["weights"] and before["parameters"] == after["parameters"]
for task in ("scenes", "nuclei"):
    gap = before[task]["validation"]["miou"] - after[task]["validation"]["miou"]
    assert abs(gap) < 0.001
    for known in (before[task], records()[f"sliding_window_{task}"]):
        low, high = (0.27, 0.36) if task == "scenes" else (0.68, 0.80)
        assert all(low < known[split]["miou"] < high for split in splits)
best = records()["sliding_window_scenes"]["validation"]
assert round(fewer, 1) == 13.3 and 0.28 < best["precision"] < 0.38 and 0.08 < best["recall"][3] < 0.18

# %% [markdown]
# Lessons 02 and 03 have the same network with the same weights, and that is the point: every score is equal, and only
# the last line has changed, with 13.3 times fewer multiply-adds.
#
# On the scenes mIoU is about 0.3, in training no more than in validation: it was not learned by heart, and much was not
# learned at all. Training it out adds about 0.02 to mIoU. About two of three painted pixels are wrong; balanced crops,
# as seen above, are one likely reason. Of the large objects one in eight is found; the window is 32 pixels wide and the
# sampler is LeNet's. On the nuclei mIoU is above 0.7. (Here pictures are mirrored at their edges: every pixel gets an
# answer.)
#
# ## What is still wrong
#
# > The slide says: one pass now, but the mask is smaller than the picture; we compress a few times.
#
# How bad is that? Let us ask what the **best possible** map could do: take the true mask at the centre of each block
# and paint the whole block with it.

# %%
ceiling, perfect = {}, {}
for step in (4, 8, 16, 32):
    sampled = scenes.masks[:8, step // 2 :: step, step // 2 :: step]  # (8, 256 / step, 256 / step)
    perfect[step] = sampled.repeat_interleave(step, 1).repeat_interleave(step, 2)  # (8, 256, 256)
    ceiling[step] = miou(F.one_hot(perfect[step], 5).permute(0, 3, 1, 2), scenes.masks[:8])
    found = [  # an object is found when more than half of its pixels have its class
        (perfect[step][k][scenes.instances[k] == n] == scenes.class_of[k, n]).float().mean().item() > 0.5
        for k in range(8)
        for n in scenes.instances[k].unique()[1:]
    ]
    precision = (perfect[step] == scenes.masks[:8])[perfect[step] > 0].float().mean()
    print(
        f"an answer every {step:2} pixels, all of them right: mIoU {ceiling[step]:.2f}, "
        f"{found.count(True)} of {len(found)} objects found, precision {precision:.2f}"
    )

figure = show_images(
    [truth, *(perfect[step][1] for step in perfect)],
    ["truth", *(f"every {step} pixels\nmIoU {ceiling[step]:.2f}" for step in perfect)],
    class_names=CLASSES,
)
show(
    figure,
    alt="A true mask, and the same mask known only every 4, 8, 16 and 32 pixels and painted in blocks: outlines "
    "become stairs, small objects turn into single blocks or disappear.",
)
assert 1 > ceiling[4] > ceiling[8] > ceiling[16] > ceiling[32]

# %% [markdown]
# Not one answer is wrong in these masks; only the answers in between are missing. At LeNet's 4 pixels that is
# tolerable. Networks that do better on photographs compress by 32, and there whole objects are gone.
#
# ## Summary
#
# 1. Only the first dense layer fixes the size. On 16 × 5 × 5 features it **is** a 5 × 5 convolution:
#    400 · 120 = 48,000 weights either way. The dense layers after it are 1 × 1 convolutions.
# 2. Converted, the classifier gives the same numbers on every window: one pass over 256 pixels is 57 × 57 answers,
#    4 pixels apart. Part of what they get wrong is the crops' fault, which left out the insides of large objects.
# 3. The order of axes decides. A wrong `view` raises no error; only a comparison of numbers finds it.
# 4. With global average pooling the map is a 1 × 1 convolution before the mean, and the mean of the map is the vector.
# 5. One pass costs as much arithmetic as shared features. It removes the loop, the copies and the fixed size, and
#    leaves the coarseness.
#
# ## What to read
#
# * Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner: *Gradient-based learning applied to document recognition*,
#   1998, sections II.B (LeNet-5 and C5) and VII (the "space displacement neural network").
# * Jonathan Long, Evan Shelhamer, Trevor Darrell: *Fully convolutional networks for semantic segmentation*, CVPR 2015,
#   sections 3.1, "Adapting classifiers for dense prediction" ("dense" means there: at every pixel), and 3.2 (à trous).
# * Min Lin, Qiang Chen, Shuicheng Yan: *Network in network*, ICLR 2014, section 3.2: global average pooling. Bolei
#   Zhou and others: *Learning deep features for discriminative localization*, CVPR 2016, section 2: class activation
#   maps.
#
# ## What the next lesson repairs
#
# The map is smaller than the picture because the network compresses: each pooling halves it. One pass can answer at
# every pixel, too, with these very weights: take the strides out and spread the later kernels instead. Lesson 04 shows
# this, "à trous". First it asks **why we compress at all**, leaves the poolings out, and measures how far a network
# sees.
