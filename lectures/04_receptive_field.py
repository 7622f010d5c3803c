# %% [markdown]
# # 04 · Receptive field
#
# At the end of lesson 03, one pass of a convolutional network answered everywhere at once, but two things were wrong. A
# picture of 256 × 256 pixels became a map of 57 × 57 answers, because LeNet halves its maps twice. And large objects
# came out hollow.
#
# Begin with the first complaint: why halve at all? Leave the poolings out, pad every convolution so that it keeps the
# size, and the last layer has a score for each class at each pixel.
#
# > The slide says: 3 × H × W goes in, convolution follows convolution, the largest score wins, H × W labels come out.
# > Will it work? What problems are there?
#
# You will find out by building this network. How far can an output see, and what does full resolution cost? What does
# the network learn, beside two that see farther? And how much of what it can see does a network use?
#
# This lesson covers the slides from "and why did we compress at all?" to "so we will compress".

# %%
import copy
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from seglab.data.nuclei import NUCLEUS_CLASSES, load_nuclei, three_classes
from seglab.data.scenes import CLASSES, SIZE_EDGES, load_scenes
from seglab.drawings import receptive_field as drawings
from seglab.figures import show
from seglab.layers import conv, network, pool
from seglab.training import fit, mirror_and_recolour, predict_logits, turn_and_brighten
from seglab.weights import load_weights

# %% [markdown]
# ## What can one output see?
#
# Pick one number in the last map. It was computed from a few numbers in the map before, these from a few numbers in the
# map before that, and so on down to the pixels. The pixels you arrive at are its **receptive field**. Whatever lies
# outside cannot change it, whatever the weights are.
#
# The direct way to find them is to follow the wires. Rows and columns behave alike, so one dimension is enough. A
# convolution of 3 needs three neighbours. A pooling of 2 needs two, and its next output begins two places further on.


# %%
def pixels_seen(chain, place=0):
    """The pixels that output `place` depends on; `chain` has (kernel, stride) pairs, the first layer first."""
    places = {place}
    for kernel, stride in reversed(chain):
        places = {stride * p + offset for p in places for offset in range(kernel)}
    return sorted(places)


CONV, POOL = (3, 1), (2, 2)
plain, pooled = [CONV, CONV, CONV], [CONV, POOL, CONV, POOL, CONV]
figure = drawings.fans(
    {
        f"three convolutions: {len(pixels_seen(plain))} pixels": plain,
        f"three convolutions, two poolings: {len(pixels_seen(pooled))} pixels": pooled,
    }
)
show(
    figure,
    alt="Two fans of wires from one output at the top down to the pixels: through three convolutions it spreads to 7 "
    "pixels, through three convolutions with two poolings between them to 18.",
)
assert (len(pixels_seen(plain)), len(pixels_seen(pooled))) == (7, 18)

# %% [markdown]
# With three convolutions each, one network sees 7 pixels, the other 18. The right fan shows why: its upper convolution
# takes three neighbours like any other, but these stand four pixels apart.
#
# ## The formula
#
# Three numbers of the field, carried from layer to layer, replace the wires:
#
# * **size**: how many pixels an output sees; before any layer, 1;
# * **jump**: how many pixels the field moves from one output to the next; before any layer, 1;
# * **start**: the first pixel that the first output sees; before any layer, 0.
#
# So output i, counted from 0, sees the pixels from start + i · jump to start + i · jump + size − 1, and the middle of
# its field, which lessons 02 and 03 called the centre, is start + i · jump + (size − 1) / 2.
#
# A layer with kernel k and stride s takes k neighbours, which stand a jump apart. The outermost of them lie k − 1 jumps
# apart, so the size grows by (k − 1) · jump. Then the stride multiplies the jump by s. The start stays 0 as long as
# nothing is padded. Here is LeNet, the network of lesson 03, and each line is checked against the wires.

# %%
lenet = [(5, 1), (2, 2), (5, 1), (2, 2), (5, 1)]  # the last one is its first dense layer, as a convolution

start, size, jump = 0, 1, 1  # a pixel, before any layer
print("layer     size  jump  start")
for number, (k, s) in enumerate(lenet, 1):
    size, jump = size + (k - 1) * jump, jump * s
    print(f"{'pool' if s == 2 else 'conv'} {k}x{k}  {size:5} {jump:5} {start:6}")

    first, second = pixels_seen(lenet[:number], 0), pixels_seen(lenet[:number], 1)
    assert (len(first), second[0] - first[0], first[0]) == (size, jump, start)
assert (size, jump, start) == (32, 4, 0) and np.mean(first) == start + (size - 1) / 2 == 15.5

# %% [markdown]
# **Size 32, jump 4, start 0**: in lesson 03, 32 was the picture that LeNet was made for and 4 the jump of its map, and
# the first answer was laid on 15.5, the middle of the pixels 0 to 31.
#
# Padding adds zeros around the map and no wires. So it leaves the size alone and moves the start: p places of padding
# move it p jumps to the left, out of the picture. With a padding of 1, a 3 × 3 convolution has start −1, and the middle
# of its first field is pixel 0.
#
# Size and jump are often mixed up: in FCN-32s, the network of lesson 05, the 32 is the jump. What it sees is computed
# below. FCN begins with **VGG-16**, a classifier with thirteen convolutions of 3 × 3 in five stages and a pooling after
# each. Its first two dense layers, fc6 and fc7, become convolutions, as in lesson 03.


# %%
def sees(chain):
    """Side of the square that one output sees."""
    side, apart = 1, 1
    for k, s in chain:
        side, apart = side + (k - 1) * apart, apart * s
    return side


vgg = [layer for count in (2, 2, 3, 3, 3) for layer in [CONV] * count + [POOL]]
after_pool = [sees(vgg[: end + 1]) for end, layer in enumerate(vgg) if layer == POOL]
fcn = sees([*vgg, (7, 1), (1, 1)])  # fc6 has seen 7 x 7 places, so it is a convolution of 7 x 7; fc7 is one of 1 x 1
segnet_basic = sees([(7, 1), POOL] * 4)
unet_bottom = sees([CONV, CONV, POOL] * 4 + [CONV, CONV])

print("VGG-16 after its five poolings:", after_pool)
print("FCN, fc6 and fc7:              ", fcn)
print("SegNet-Basic, end of encoder:  ", segnet_basic)
print("U-Net, bottom:                 ", unet_bottom)
assert after_pool == [6, 16, 44, 100, 212]
assert (fcn, segnet_basic, unet_bottom) == (404, 106, 140)
assert all(sees(chain) == len(pixels_seen(chain)) for chain in (lenet, vgg, [CONV, CONV, POOL] * 4 + [CONV, CONV]))

# %% [markdown]
# FCN's paper prints the 404 in its table 1 as "rf size", and 32 as "max stride".
#
# ## Measured by gradients
#
# A formula can be applied to the wrong network, while a gradient is computed through the network that you have. If a
# pixel can change an output, the derivative of the output with respect to it is not zero, for some picture at least.
#
# Below is LeNet, with random weights and 48 × 48 pixels. By the formula, the output in the middle of its 5 × 5 map sees
# the 32 pixels from 0 + 2 · 4 = 8 to 39: the white frame. Bright pixels have a gradient.

# %%
val = load_scenes("val", size=64, count=100, seed=0)

torch.manual_seed(2)
random_lenet = network([conv(3, 6, 5), pool(), conv(6, 16, 5), pool(), conv(16, 120, 5)])

touched = {}
for name, pictures in {"a black picture": torch.zeros(1, 3, 64, 64), "a scene": val.images[:1]}.items():
    touched[name] = pictures[:, :, :48, :48]
touched["30 scenes"] = val.images[:30, :, :48, :48]
for name, pictures in touched.items():
    pictures = pictures.clone().requires_grad_()
    outputs = random_lenet(pictures)  # (N, 120, 5, 5)
    outputs[:, :, 2, 2].sum().backward()
    touched[name] = (pictures.grad != 0).any(0).any(0)  # (48, 48)

show(
    drawings.touched_pixels(touched, first=8, size=32),
    alt="Three maps of the pixels that have a gradient, with the square of 32 by 32 pixels that the formula gives: a "
    "black picture leaves its right and lower edge out, one scene leaves some holes, thirty scenes fill it exactly.",
)
boxes = {name: (one.nonzero().min().item(), one.nonzero().max().item()) for name, one in touched.items()}
print("first and last row or column with a gradient:", boxes)
assert boxes["a black picture"][1] < 39 and boxes["30 scenes"] == (8, 39)
assert touched["a scene"].sum() < touched["30 scenes"].sum() == 32 * 32

# %% [markdown]
# The black picture gives a box that is too small: max-pooling passes the gradient to the largest of four places, and
# where all four are equal, the first one gets it. One scene leaves holes, where a ReLU is off or another place won.
# Thirty scenes together fill the frame and do not leave it: formula and measurement agree on **32 × 32**.
#
# ## Two laws of growth
#
# > The slide says: the receptive field grows about linearly with the number and the size of the convolutions; by
# > compressing we increase it multiplicatively. So we will compress.
#
# Without a stride the jump stays 1, and L convolutions of k × k see 1 + L · (k − 1) pixels: linear in the number,
# linear in the size. With a pooling the jump doubles, and every convolution **from there on** brings twice as much.
#
# The curves count convolutions, and each chain ends with one; only VGG-16's stars include the pooling behind a stage.
# On the logarithmic scale, doubling again and again is a straight line.

# %%
number = range(21)
fields = {"3 × 3": [sees([(3, 1)] * n) for n in number], "7 × 7": [sees([(7, 1)] * n) for n in number]}
every_second = [CONV, CONV, POOL] * 10
fields["3 × 3, pooling after every second"] = [sees(every_second[: n + max(n - 1, 0) // 2]) for n in number]
show(
    drawings.growth(fields, dict(zip((2, 4, 7, 10, 13), after_pool, strict=True))),
    alt="Receptive field against the number of convolutions: 3 by 3 and 7 by 7 grow along straight lines to 41 and 121 "
    "pixels after twenty; with a pooling after every second one it more than doubles and passes a thousand pixels.",
)
assert all(sees([(k, 1)] * n) == 1 + n * (k - 1) for k in (3, 5, 7) for n in range(50))
assert fields["3 × 3"][20] == 41 and fields["7 × 7"][20] == 121

needed = {"3x3": 128, "7x7": 43, "3x3 and poolings": 12}  # convolutions until one output sees 256 pixels
assert sees([(3, 1)] * 127) < 256 <= sees([(3, 1)] * 128)
assert sees([(7, 1)] * 42) < 256 <= sees([(7, 1)] * 43)
assert fields["3 × 3, pooling after every second"][11] < 256 <= fields["3 × 3, pooling after every second"][12]

# %% [markdown]
# To see 256 pixels it takes **128 convolutions of 3 × 3, or 43 of 7 × 7, or 12 of 3 × 3 with poolings between them**.
# Both halves of the sentence hold. What a pooling multiplies is what every later layer adds to the field, and in VGG-16
# the field grows between 2.1 and 2.75 times per stage.
#
# ## What would full resolution cost?
#
# Take VGG-16's thirteen convolutions, leave the poolings out, and count for one picture of 224 × 224 pixels.
#
# * **Memory.** Training keeps the output of every layer until the gradient comes back: channels · height · width
#   numbers of 4 bytes. Convolutions and poolings are counted here.
# * **Multiply-adds**, as in lesson 02: weights times positions.
#
# The cell counts what comes out of the layers for 32 × 32 pixels; all maps of a picture of 224 × 224 are 7 · 7 = 49
# times larger.


# %%
@torch.no_grad()
def run_and_count(layers, x):
    """The output for x, the bytes of what convolutions and poolings give, and the multiply-adds."""
    kept, adds = 0, 0
    for layer in layers:
        x = layer(x)
        kept += x.nbytes if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)) else 0
        adds += layer.weight.numel() * x.shape[2] * x.shape[3] if isinstance(layer, nn.Conv2d) else 0
    return x, kept, adds


memory, work = {}, {}  # of each stage
for name in ("with poolings", "full resolution"):
    memory[name], work[name], x = [], [], torch.rand(1, 3, 32, 32)
    for convolutions, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        widths = [x.shape[1], *[channels] * convolutions]
        layers = [nn.Conv2d(before, after, 3, padding=1, bias=False) for before, after in pairwise(widths)]
        x, kept, adds = run_and_count([*layers, nn.MaxPool2d(2)] if name == "with poolings" else layers, x)
        memory[name].append(49 * kept)
        work[name].append(49 * adds)

show(
    drawings.cost_of_stages(memory, work),
    alt="Bars on a logarithmic scale for the five stages of VGG-16: with poolings memory falls from stage to stage and "
    "work stays about level; at full resolution both rise, a hundred times and more above it in the last stage.",
)
total = {name: sum(values) for name, values in memory.items()}
adds = {name: sum(values) for name, values in work.items()}
for name, chain in (("with poolings", vgg), ("full resolution", [CONV] * 13)):
    print(f"{name:16} {total[name] / 1e6:5.0f} MB  {adds[name] / 1e9:5.0f} billion multiply-adds, sees {sees(chain)}")
assert round(total["full resolution"] / total["with poolings"]) == 14 and round(total["full resolution"] / 1e6) == 848
assert round(adds["full resolution"] / adds["with poolings"]) == 48 and round(adds["full resolution"] / 1e9) == 738
assert (sees([CONV] * 13), sees(vgg)) == (27, 212)

# %% [markdown]
# With the same weights, full resolution takes fourteen times the memory and 48 times the work **to see 27 pixels
# instead of 212**. (In stage 1 the bar with poolings is the higher one, because the pooling's output counts, too.)
#
# ## The network of the question, trained
#
# Suppose you can pay. Will it work? Try it on small scenes, 64 × 64 pixels with two to five clothes. Each of three
# networks has batch normalization after its 3 × 3 convolutions, and a 1 × 1 convolution at the end for the logits:
#
# * **full resolution**: six convolutions of 16 channels, which see 1 + 6 · 2 = 13 pixels.
# * **compressed**: three times convolution and pooling, one more convolution. Each answer is painted on its block of
#   8 × 8 pixels. On a smaller map a convolution is cheaper, so for the same work it affords 32, 64 and 128 channels.
# * **dilated**: the first network again, but with dilations of 1, 2, 4, 8, 4, 2. With dilation d, the three taps of a
#   kernel stand d pixels apart, so it reaches as far as one of 2d + 1.
#
# The third is the control. The compressed network has twenty times as many weights as the first, so it might win by its
# weights. The dilated one has as many weights and the same work as the first. Only its taps lie farther apart, so that
# it sees farther.
#
# (Lesson 02 pools before its batch normalization, which then sees only the maxima. From here on the pooling comes last,
# which is another network.)


# %%
def six_convolutions(dilations, in_channels, num_classes):
    """Full resolution from end to end."""
    layers = []
    for dilation in dilations:
        layers += [nn.Conv2d(in_channels, 16, 3, padding=dilation, dilation=dilation, bias=False)]
        layers += [nn.BatchNorm2d(16), nn.ReLU()]
        in_channels = 16
    return nn.Sequential(*layers, nn.Conv2d(16, num_classes, 1)).to(memory_format=torch.channels_last)


def three_poolings(in_channels, num_classes):
    """A map of one eighth, each answer painted on its block of 8 x 8 pixels."""
    layers = []
    for width in (32, 64, 128):
        layers += [nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        in_channels = width
    layers += [nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU()]
    layers += [nn.Conv2d(128, num_classes, 1), nn.Upsample(scale_factor=8, mode="nearest")]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


BUILD = {
    "full resolution": lambda *channels: six_convolutions([1, 1, 1, 1, 1, 1], *channels),
    "dilated": lambda *channels: six_convolutions([1, 2, 4, 8, 4, 2], *channels),
    "compressed": three_poolings,
}
seen = {
    "full resolution": sees([CONV] * 6),
    "dilated": sees([(2 * d + 1, 1) for d in (1, 2, 4, 8, 4, 2)]),
    "compressed": sees([CONV, POOL] * 3 + [CONV]),
}
weights, million_adds = {}, {}
for name, build in BUILD.items():
    model = build(3, len(CLASSES)).eval()
    weights[name] = sum(p.numel() for p in model.parameters())
    million_adds[name] = run_and_count(model, torch.zeros(1, 3, 64, 64))[2] / 1e6
    print(f"{name:16} sees {seen[name]}, {weights[name]:7,} weights, {million_adds[name]:.0f} million multiply-adds")
assert seen == {"full resolution": 13, "dilated": 43, "compressed": 38}
assert weights["full resolution"] == weights["dilated"] and round(weights["compressed"] / weights["dilated"]) == 20
assert million_adds["full resolution"] == million_adds["dilated"]
assert 0.97 < million_adds["compressed"] / million_adds["dilated"] < 1.05

# %% [markdown]
# Now train all three on the same batches, with masks this time: every pixel counts in the loss. It takes about a
# quarter of a minute for each.

# %%
STEPS, SEED = 300, 0
rules = {"steps": STEPS, "batch_size": 16, "lr": 1e-2, "seed": SEED, "augment": mirror_and_recolour}
train = load_scenes("train", size=64, count=600, seed=0)
models, untrained = {}, {}
for name, build in BUILD.items():
    torch.manual_seed(SEED)
    models[name] = build(3, len(CLASSES))
    untrained[name] = copy.deepcopy(models[name])
    print(name)
    fit(models[name], train.images, train.masks, **rules)

# %% [markdown]
# Here are the four validation scenes with the largest objects.

# %%
masks = {name: predict_logits(model, val.images).argmax(1) for name, model in models.items()}  # (100, 64, 64) each
largest = val.areas[:, 1:].amax(1).argsort(descending=True)[:4]
show(
    drawings.rows_of_scenes({"scene": val.images, "truth": val.masks, **masks}, largest),
    alt="Four scenes with large objects, their true masks, and three rows of answers: at full resolution the objects "
    "fall into patches of several classes and background, the dilated network and the blocks of the compressed one "
    "are more of one piece.",
)

# %% [markdown]
# The first network sees 13 × 13 pixels, and inside a large object that is cloth. It follows edges and textures, and the
# middle often falls to another class or to the background: hollow again. Four pictures prove little, so count over all
# of them, and over training scenes, too. What fails there has not been learned; what fails on validation scenes only
# has been learned without generalising.
#
# * **IoU** for each class, and its mean, mIoU.
# * **Precision**: the share of right pixels among those that are painted as clothes.
# * **Recall**: the share of objects found. An object is found if more than half of its pixels have its class. These
#   scenes have half the side of those in the tables, so the limits of lesson 01 are divided by four: small begins at
#   20 square pixels, medium at 80, large at 320.
#
# A fourth answer is for comparison, **perfect blocks**: the truth, reduced to the most frequent class of each 8 × 8
# block. No network that paints such blocks can have more pixels right.


# %%
def found_of_size(answer, scenes):
    """The share of objects found among the small, medium and large ones."""
    areas, right = scenes.areas[:, 1:], answer == scenes.masks
    hits = [
        numbers[hit].bincount(minlength=scenes.areas.shape[1])
        for numbers, hit in zip(scenes.instances, right, strict=True)
    ]
    found = 2 * torch.stack(hits)[:, 1:] > areas  # (N, K)
    return [found[(areas >= low) & (areas < high)].float().mean().item() for low, high in pairwise(BOUNDS)]


def judge(answer, masks, classes):
    """IoU of each class, and precision."""
    iou = [((answer == c) & (masks == c)).sum() / ((answer == c) | (masks == c)).sum() for c in range(len(classes))]
    return torch.stack(iou), (answer == masks)[answer > 0].float().mean().item()


BOUNDS = (*SIZE_EDGES[:3], 64 * 64)  # no object of these scenes has 1,280 square pixels
recall, score, precision = {}, {}, {}
for split, scenes in {"training": train, "validation": val}.items():
    blocks = F.one_hot(scenes.masks).view(-1, 8, 8, 8, 8, len(CLASSES)).sum((2, 4)).argmax(-1)  # (N, 8, 8)
    answers = {name: predict_logits(model, scenes.images).argmax(1) for name, model in models.items()}
    answers["perfect blocks"] = blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)  # (N, 64, 64)
    recall[split] = {name: found_of_size(answer, scenes) for name, answer in answers.items()}
    print(f"{split:16} mIoU  precision   IoU of {', '.join(CLASSES)}")
    for name, answer in answers.items():
        iou, precision[split, name] = judge(answer, scenes.masks, CLASSES)
        score[split, name] = iou.mean().item()
        print(f"{name:16} {iou.mean():.2f}       {precision[split, name]:.2f}  ", *(f"{one:5.2f}" for one in iou))
assert train.areas[:, 1:].max() < SIZE_EDGES[3] and val.areas[:, 1:].max() < SIZE_EDGES[3]

# %%
show(
    drawings.found_by_size(recall, ["20–79", "80–319", "320 and more"]),
    alt="Bars of the objects found by size, in training and in validation scenes alike: of the large objects full "
    "resolution finds the fewest and the dilated and the compressed network about twice as many or more; of the small "
    "ones the compressed network finds the fewest.",
)
for split, found in recall.items():
    assert found["full resolution"][2] < 0.35 < found["perfect blocks"][2]
    assert min(found["dilated"][2], found["compressed"][2]) > 1.4 * found["full resolution"][2]
    assert found["compressed"][0] < found["dilated"][0] and found["perfect blocks"][0] < 0.4
    assert score[split, "full resolution"] < min(score[split, "dilated"], score[split, "compressed"])
assert round(recall["training"]["perfect blocks"][0], 2) == 0.29

# %% [markdown]
# Full resolution finds the fewest large objects and the compressed network the fewest small ones, in training scenes as
# in new ones. But this is one seed and less than a minute. What stays? Trained six times as long (three seeds: the cell
# above with `STEPS = 1800` and `SEED` 0, 1, 2, in bfloat16), they reach, as means, training / validation:
#
# | | mIoU | precision | small found | medium found | large found | validation IoU by class |
# |---|---|---|---|---|---|---|
# | full resolution | 0.37 / 0.39 | 0.45 / 0.50 | 0.34 / 0.42 | 0.35 / 0.33 | 0.23 / 0.33 | 0.91 0.11 0.48 0.25 0.19 |
# | dilated | 0.59 / 0.58 | 0.70 / 0.70 | 0.39 / 0.40 | 0.69 / 0.63 | 0.73 / 0.73 | 0.94 0.36 0.68 0.46 0.47 |
# | compressed | 0.68 / 0.50 | 0.80 / 0.68 | 0.25 / 0.16 | 0.77 / 0.44 | 0.99 / 0.69 | 0.87 0.35 0.47 0.42 0.39 |
#
# The seeds of a network lie within 0.03 mIoU of each other. Read it row by row:
#
# * **Full resolution** misses most large objects of its own training scenes, too, so generalisation is not its trouble.
#   Nor is the number of its weights: with as many, and the same work, the dilated network finds three times as many of
#   these objects. What it lacks is sight. (The choice of crops, a cause in lesson 03, plays no part: these networks
#   learn from masks.)
# * **Compressed** has learned nearly every large training object and finds seven in ten of the new ones. That gap is
#   generalisation, and the likely reason is twenty times as many weights on only 600 scenes.
# * **Small objects** are another matter. In its training scenes the compressed network finds 25 % of them, perfect
#   blocks 29 %. With one answer per 64 pixels it could hardly find more without painting their surroundings, too.
# * **Dilated** is the best on new scenes, so seeing far does not demand compressing. Cost does: the dilated network
#   pays for its 16 channels at every pixel, where compressing buys up to 128 for the same work. In VGG-16, dilating
#   instead of pooling would cost the 848 megabytes and the 738 billion multiply-adds from above.

# %% [markdown]
# ## How far is far enough?
#
# That depends on the objects. Take the nuclei, a real microscope picture, with three classes: background, nucleus, and
# a boundary that parts nuclei which touch. Here brightness tells a nucleus from the background, from close by. The two
# networks at full resolution learn it in about ten seconds.

# %%
tiles, instances = load_nuclei("train")  # (12, 1, 128, 128), (12, 128, 128)
test_tiles, test_instances = load_nuclei("test")  # (4, 1, 128, 128), (4, 128, 128)
target, test_target = three_classes(instances), three_classes(test_instances)
nucleus_masks, nucleus_iou = {"truth": test_target[0]}, {}
for name in ("full resolution", "dilated"):
    torch.manual_seed(SEED)
    model = BUILD[name](1, len(NUCLEUS_CLASSES))
    fit(model, tiles, target, steps=120, batch_size=4, lr=1e-2, seed=SEED, augment=turn_and_brighten)
    for split, pictures, truth in (("training", tiles, target), ("test", test_tiles, test_target)):
        answer = predict_logits(model, pictures).argmax(1)  # (N, 128, 128)
        nucleus_iou[name, split], _ = judge(answer, truth, NUCLEUS_CLASSES)
        values = zip(NUCLEUS_CLASSES, nucleus_iou[name, split], strict=True)
        print(f"{name:16} {split:9} IoU of", *(f"{kind} {value:.2f} " for kind, value in values))
    nucleus_masks[f"{name}, {seen[name]} pixels"] = answer[0]
show(
    drawings.nucleus_masks(test_tiles[0], nucleus_masks),
    alt="A microscope tile with bright nuclei, the true mask of nuclei with their boundaries, and two answers that are "
    "close to it; the one with the wider view has fewer holes.",
)
assert all(iou.min() > 0.5 and iou.mean() > 0.65 for iou in nucleus_iou.values())
assert abs(nucleus_iou["full resolution", "test"].mean() - nucleus_iou["dilated", "test"].mean()) < 0.1

# %% [markdown]
# Here 13 pixels are enough for good masks. After 600 steps instead of 120 (three seeds) the two reach a test mIoU of
# 0.83 and 0.84, with 0.80 and 0.82 for nuclei and 0.73 and 0.74 for boundaries (training tiles: mIoU 0.84 and 0.87).
# (The compressed network is left out: blocks of 8 pixels cannot draw a boundary that is 4 wide. The course's table of
# networks, in lessons 02, 03 and 05, has both kinds of pictures.)
#
# ## Strides out, dilation in
#
# Dilation has a second use, and it is exact. Take a network with poolings and set every stride to 1. The first pooling
# used to give every second maximum and now gives them all, so what the next kernel needs lies two places apart: dilate
# it by 2. So with every later kernel, poolings included: dilated by the jump that its map used to have, its taps lie on
# the pixels on which they lay before. The network then answers at every pixel, as if its window were slid there. This
# is the *algorithme à trous*, the one with holes.
#
# Try it on the LeNet of lesson 03, its dense layers turned into convolutions as there. By hand, the second convolution
# and the second pooling are dilated by 2, the first of the former dense layers by 4. Nothing is trained.

# %%
features = [nn.Conv2d(3, 6, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU()]
dense = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, len(CLASSES))]
classifier = nn.Sequential(nn.Sequential(*features), nn.Sequential(nn.Flatten(), *dense))
load_weights(classifier, "lecture_03_scenes")

convolutions = [nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Conv2d(120, 84, 1), nn.ReLU(), nn.Conv2d(84, len(CLASSES), 1)]
for layer, source in zip(convolutions[::2], dense[::2], strict=True):
    layer.weight.data, layer.bias.data = source.weight.data.view_as(layer.weight), source.bias.data
one_pass = nn.Sequential(*features, *convolutions)

everywhere = copy.deepcopy(one_pass)
for place, dilation in ((1, 1), (3, 2), (4, 2), (6, 4)):  # both poolings, and the convolutions behind them
    everywhere[place].stride, everywhere[place].dilation = 1, dilation

scene = load_scenes("val", size=256, count=8, seed=0).images[1]  # (3, 256, 256), the one of lesson 03
coarse, _, coarse_adds = run_and_count(one_pass, scene[None])  # (1, 5, 57, 57)
fine, _, fine_adds = run_and_count(everywhere, scene[None])  # (1, 5, 225, 225)
show(
    drawings.coarse_and_fine(scene, coarse[0].argmax(0), fine[0].argmax(0)),
    alt="A scene; the map of 57 by 57 labels laid on it in blocks; and the map of 225 by 225 labels, in which the "
    "outlines are finer and large objects are as hollow as before.",
)

# %% [markdown]
# At every fourth place, the new map must say what the old one said. In between, it must say what the sliding window of
# lesson 02 says: the classifier with its dense layers, on the 32 × 32 pixels that begin there.

# %%
assert coarse.shape[2:] == (57, 57) and fine.shape[2:] == (225, 225)
assert torch.allclose(fine[:, :, ::4, ::4], coarse, atol=1e-4)
with torch.no_grad():
    for row, col in ((3, 10), (101, 62), (190, 223)):
        window = classifier(scene[None, :, row : row + 32, col : col + 32])  # (1, 5)
        assert torch.allclose(fine[:, :, row, col], window, atol=1e-4)
    _, _, window_adds = run_and_count(one_pass, scene[None, :, :32, :32])
print(f"answers: {fine[0, 0].numel() / coarse[0, 0].numel():.1f} times as many as with strides")
print(f"work: {fine_adds / coarse_adds:.1f} times that with strides,", end=" ")
print(f"one of {225 * 225 * window_adds / fine_adds:.1f} parts of what the windows would take one by one")
assert round(fine_adds / coarse_adds) == 12 and 10 < 225 * 225 * window_adds / fine_adds < 11

# %% [markdown]
# That is about sixteen times as many answers for twelve times the work of one pass, and the windows one by one would
# take ten times as much as that. Exercise 4 asks for this conversion in general. It brings resolution and no sight:
# each answer still sees 32 pixels, so large objects stay as hollow as they were.
#
# ## Seeing and using
#
# The receptive field is what an output **can** see. Does it use all of it alike? Take n convolutions in one dimension,
# each with three equal weights. A pixel's influence is its share of the paths to the output. Many paths lead from the
# middle, a single one from each end.
#
# Walk such a path down from the output: each convolution moves it by −1, 0 or 1 pixel, with equal chances. The variance
# of one step is (1 + 0 + 1) / 3 = 2/3. Variances of independent steps add, so n steps have a variance of 2n / 3 and a
# standard deviation of √(2n / 3) pixels.

# %%
curves = {}
for depth in (5, 20, 80):
    influence = np.ones(1)
    for _ in range(depth):
        influence = np.convolve(influence, [1 / 3, 1 / 3, 1 / 3])
    curves[depth] = influence
    place = np.arange(-depth, depth + 1)  # pixels from the middle
    spread = np.sqrt((influence * place**2).sum())
    half = 1 + int(np.searchsorted(np.sort(influence)[::-1].cumsum(), 0.5))  # so few pixels hold half of it
    print(
        f"{depth:2} layers see {len(influence):3} pixels, deviation {spread:.1f}; {half:2} hold half of the influence"
    )
    assert np.isclose(spread, np.sqrt(2 * depth / 3))
assert (half, len(influence)) == (10, 161)
show(
    drawings.bells(curves),
    alt="Three bell curves over the receptive field, for 5, 20 and 80 layers: the deeper the network, the narrower the "
    "bell is in relation to what the network sees.",
)

# %% [markdown]
# The sum of many steps is a bell curve. Its width grows with the **square root** of the depth, while what the network
# sees grows with the depth. Of the 161 pixels that 80 layers see, the ten in the middle decide half. Luo and others
# found this in 2016 and called it the **effective receptive field**. With such weights, even 128 convolutions of
# 3 × 3 would see 256 pixels in name only.
#
# Training may change the bell. Here are the three networks before and after. For every pixel, the map shows the
# gradient of the winning score at row 36, column 36, without its sign, averaged over fifty scenes. The frame is the
# receptive field by the formula. Each title says how large a square has as many pixels as hold half of the influence.


# %%
def influence_on_centre(model):
    """Mean size of the gradient of the winning score at (36, 36), for each pixel."""
    pictures = val.images[:50].clone().requires_grad_()
    winning = model.eval()(pictures)[:, :, 36, 36].amax(1)  # (50,)
    winning.sum().backward()
    return pictures.grad.abs().sum(1).mean(0)  # (64, 64)


FIRST = {"full resolution": 36 - 6, "dilated": 36 - 21, "compressed": -15 + 4 * 8}  # start + i * jump
maps, frames, half_side = {}, [], {}
for when, networks in (("before", untrained), ("after", models)):
    for name, model in networks.items():
        one = influence_on_centre(model)  # (64, 64)
        strongest_first = one.flatten().sort(descending=True).values
        side = (1 + int((strongest_first.cumsum(0) < one.sum() / 2).sum())) ** 0.5
        half_side[name, when] = side
        maps[f"{name}, {when}:\nhalf in {side:.0f} × {side:.0f} of {seen[name]} × {seen[name]}"] = one
        frames.append((FIRST[name], seen[name]))
        rows = one.sum(1).nonzero()
        assert (rows.min(), rows.max()) == (FIRST[name], FIRST[name] + seen[name] - 1)  # formula and gradient agree
show(
    drawings.influence_maps(maps, frames),
    alt="Six maps of influence within white frames. Before training the wide networks use most of their field, the "
    "dilated one in a grid; after training all have a bright spot in the middle and a weak glow up to the frame.",
)
for name in models:
    print(f"{name:16} half of the influence: {half_side[name, 'before']:.1f} pixels square,", end=" ")
    print(f"{half_side[name, 'after']:.1f} after training")
assert all(side < 0.75 * seen[name] for (name, _), side in half_side.items())
assert half_side["full resolution", "after"] < min(half_side[name, "after"] for name in ("dilated", "compressed"))

# %% [markdown]
# Each frame fits exactly. Inside, the trained networks look hard at the middle, where the pixel in question is, and
# take a weak but wide impression of the rest. Trained six times as long (three seeds), half of the influence comes from
# 5.7 pixels square at full resolution, as before training, from 18.8 in the dilated network (before: 21.5) and from
# 19.2 in the compressed one (before: 21.1).
#
# The paper reports that training made the effective field **larger**, in networks that were deep and began with a
# narrow bell. Ours are shallow and began wide. Either way, the formula gives the most that a network can see and not
# what it uses: leave it some room.
#
# ## Summary
#
# 1. Output i sees `size` pixels from start + i · jump on: each layer adds (k − 1) · jump to the size, each stride
#    multiplies the jump, padding moves the start only. LeNet: 32, 4, 0; VGG-16 sees 6, 16, 44, 100, 212; FCN 404.
# 2. Without strides the field grows linearly, 1 + L · (k − 1); with poolings it about doubles per stage. For 256 pixels
#    that means 128 convolutions of 3 × 3, or 12.
# 3. Full resolution costs VGG-16 fourteen times the memory and 48 times the work, and it sees 27 pixels instead of 212.
# 4. With as many weights and the same work, the network that sees 43 pixels instead of 13 finds three times as many
#    large training objects. The one that compresses learns nearly all of them, and loses the small ones in its blocks.
# 5. Strides can be exchanged for dilation exactly. What is used is less than what is seen: a bell whose width grows
#    with the root of the depth.
#
# ## What to read
#
# * Jonathan Long, Evan Shelhamer, Trevor Darrell: *Fully convolutional networks for semantic segmentation*, CVPR 2015,
#   section 3.2: strides exchanged for dilation.
# * Wenjie Luo, Yujia Li, Raquel Urtasun, Richard Zemel: *Understanding the effective receptive field in deep
#   convolutional neural networks*, NIPS 2016, sections 2 (the bell) and 3 (before and after training).
# * Fisher Yu, Vladlen Koltun: *Multi-scale context aggregation by dilated convolutions*, ICLR 2016, section 2.
#
# ## What the next lesson repairs
#
# Compressing is how a network affords many channels and sees far. Then its map is coarse, and small objects are lost in
# the blocks. But who says that we have to stop at the coarse map and paint blocks? Lesson 05 goes on compressing, and
# **brings the scores back to the full size** inside the network: the fully convolutional network.
