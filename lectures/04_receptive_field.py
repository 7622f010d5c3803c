# %% [markdown]
# # 04 · Receptive field
#
# Lesson 03 ended well and badly. One pass of a convolutional network answers everywhere at once. But a picture of
# 256 × 256 pixels became a map of 57 × 57 answers, because LeNet halves its maps twice. We want one answer per pixel.
# And large objects came out hollow: a window of 32 pixels inside large trousers shows nothing but cloth.
#
# Begin with the first complaint. Why halve at all? Leave the poolings out, pad every convolution so that it keeps the
# size, and the last layer has a score for each class at each pixel. The slide draws this network: 3 × H × W goes in,
# convolution follows convolution, the largest score wins, H × W labels come out. Below the drawing it asks: **will it
# work? What problems are there?**
#
# This lesson answers by building it. You will see
#
# * how far one output can see, counted by following wires, then by a formula, then by gradients,
# * the two laws of growth on the slide, as curves,
# * what full resolution costs in memory and in multiply-adds,
# * the slide's network, trained in this notebook, failing on large objects, beside two networks that see farther,
# * that a network does not use all it could see.
#
# Slides: "and why did we compress at all?", from the question to "so we will compress".

# %%
import copy

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from seglab.data.scenes import CLASSES, load_scenes
from seglab.figures import show, show_images
from seglab.layers import conv, network, pool
from seglab.training import fit, miou, mirror_and_recolour, predict_logits

BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"

# %% [markdown]
# ## What can one output see?
#
# Pick one number in the last map. It was computed from a few numbers in the map before, these from a few numbers in
# the map before that, and so on down to the pixels. The pixels you arrive at are its **receptive field**. Whatever
# lies outside cannot change it, whatever the weights are.
#
# The direct way is to follow the wires. Rows and columns behave alike, so we do it in one dimension. A
# convolution with a kernel of 3 needs three neighbours. A pooling of 2 needs two, and its next output begins two
# places further on.


# %%
def pixels_seen(chain, place=0):
    """The pixels that output `place` depends on; `chain` has (kernel, stride) pairs, the first layer first."""
    places = {place}
    for kernel, stride in reversed(chain):
        places = {stride * p + offset for p in places for offset in range(kernel)}
    return sorted(places)


def draw_wires(axis, chain, title):
    """One output at the top, all it depends on below; a unit is drawn above the middle of its pixels."""
    places = {0}
    for level in range(len(chain), -1, -1):
        across = {p: np.mean(pixels_seen(chain[:level], p)) for p in places}
        axis.plot(list(across.values()), [level] * len(across), "o", color=BLUE, markersize=5)
        if level == 0:
            break
        kernel, stride = chain[level - 1]
        below = {stride * p + offset for p in places for offset in range(kernel)}
        for p, x in across.items():
            for offset in range(kernel):
                target = np.mean(pixels_seen(chain[: level - 1], stride * p + offset))
                axis.plot([x, target], [level, level - 1], color="#999999", linewidth=0.8, zorder=0)
        places = below
    names = ["pixels", *("conv 3" if kernel == 3 else "pool 2" for kernel, _ in chain)]
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("position (pixels)")
    axis.set_title(title, fontsize=10)


CONV, POOL = (3, 1), (2, 2)
plain, pooled = [CONV, CONV, CONV], [CONV, POOL, CONV, POOL, CONV]

figure = Figure(figsize=(9, 3), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=[1, 2])
draw_wires(left, plain, f"three convolutions: {len(pixels_seen(plain))} pixels")
draw_wires(right, pooled, f"three convolutions, two poolings: {len(pixels_seen(pooled))} pixels")
show(
    figure,
    alt="Two fans of wires from one output at the top down to the pixels: through three convolutions it spreads to 7 "
    "pixels, through three convolutions with two poolings between them to 18.",
)
assert (len(pixels_seen(plain)), len(pixels_seen(pooled))) == (7, 18)

# %% [markdown]
# Three convolutions each, with nine weights each. One network sees 7 pixels, the other 18. Look at the right fan to
# see why. The upper convolution takes three neighbours like any other, but its neighbours stand four pixels apart.
#
# ## The formula
#
# Following wires is slow. Three numbers of the field, carried from layer to layer, do the same:
#
# * **size**: how many pixels an output sees; before any layer, 1;
# * **jump**: how many pixels the field moves from one output to the next, as in the two lessons before; before any
#   layer, 1;
# * **start**: the first pixel that the first output sees; before any layer, 0.
#
# So output i sees the pixels from start + i · jump to start + i · jump + size − 1.
#
# A layer with kernel k and stride s takes k neighbours, which stand a jump apart. The outermost of them lie k − 1
# jumps apart. So the size grows by (k − 1) · jump. Then the stride multiplies the jump. The start stays 0 as long as
# nothing is padded. Here is LeNet, the network of lesson 03, and each line is checked against the wires.

# %%
lenet = [(5, 1), (2, 2), (5, 1), (2, 2), (5, 1)]  # the last one is its first dense layer, as a convolution

size, jump = 1, 1  # a pixel, before any layer
start = 0
print("layer     size  jump  start")
for number, (k, s) in enumerate(lenet, 1):
    size, jump = size + (k - 1) * jump, jump * s
    print(f"{'pool' if s == 2 else 'conv'} {k}x{k}  {size:5} {jump:5} {start:6}")

    first, second = pixels_seen(lenet[:number], 0), pixels_seen(lenet[:number], 1)
    assert (len(first), second[0] - first[0], first[0]) == (size, jump, start)
assert (size, jump, start) == (32, 4, 0) and np.mean(first) == 15.5

# %% [markdown]
# **Size 32, jump 4, start 0.** Old friends: 32 is the picture that LeNet was made for, 4 is the jump of its map in
# lesson 03, and the middle of the pixels 0 to 31 is 15.5, where we laid its first answer. Middles lie
# (size − 1) / 2 behind the first pixel.
#
# What about padding? It adds zeros around the map, and no wires. So it **leaves the size alone and moves the
# start**: p places of padding move it p jumps to the left, out of the picture. With a padding of 1, a 3 × 3
# convolution has start −1, and the middle of its first field is pixel 0. That is all that "keeps the size" means.
#
# Size and jump are often mixed up. Lesson 05 is about a network called FCN-32s, and the 32 in its name is its jump. Let
# us compute what it sees, with some other networks that you will meet. FCN begins with **VGG-16**, a classifier with
# thirteen convolutions of 3 × 3 in five stages and a pooling after each stage. Its first two dense layers, fc6 and fc7,
# become convolutions, as in lesson 03.


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
# FCN's paper prints the 404 in its table 1, as "rf size", and 32 as "max stride". (SegNet and U-Net are lessons 07 and
# 08.)
#
# ## Measured by gradients
#
# A formula can be applied to the wrong network. A gradient is computed through the network that you have. If a pixel
# can change an output, the derivative of that output with respect to the pixel is not zero, for some picture at
# least.
#
# "For some picture" is the catch. Below is LeNet, with random weights and 48 × 48 pixels. By the formula, the output
# in the middle of its 5 × 5 map sees 32 pixels from 0 + 2 · 4 = 8 on, to 39: the white frame.
# Bright pixels have a gradient.

# %%
val = load_scenes("val", size=64, count=100, seed=0)

torch.manual_seed(2)
random_lenet = network([conv(3, 6, 5), pool(), conv(6, 16, 5), pool(), conv(16, 120, 5)])

touched = []
for pictures in (torch.zeros(1, 3, 48, 48), val.images[:1, :, :48, :48], val.images[:30, :, :48, :48]):
    pictures = pictures.clone().requires_grad_()
    outputs = random_lenet(pictures)  # (N, 120, 5, 5)
    outputs[:, :, 2, 2].sum().backward()
    touched.append((pictures.grad != 0).any(0).any(0))  # (48, 48)

figure = show_images(
    [one.float() for one in touched],
    [
        f"a black picture:\n{touched[0].sum()} pixels",
        f"a scene:\n{touched[1].sum()} pixels",
        f"30 scenes:\n{touched[2].sum()} pixels",
    ],
    width=8,
)
for axis in figure.axes:
    axis.add_patch(Rectangle((7.5, 7.5), 32, 32, fill=False, edgecolor="white", linewidth=2))
show(
    figure,
    alt="Three maps of the pixels that have a gradient, with the square of 32 by 32 pixels that the formula gives: a "
    "black picture leaves its right and lower edge out, one scene leaves some holes, thirty scenes fill it exactly.",
)
boxes = [(one.nonzero().min().item(), one.nonzero().max().item()) for one in touched]
print("first and last row or column with a gradient:", boxes)
assert boxes[0][1] < 39 and boxes[2] == (8, 39)
assert touched[1].sum() < touched[2].sum() == 32 * 32

# %% [markdown]
# The black picture gives a box that is too small. Max-pooling passes the gradient to one place of four, the largest.
# On a black picture all four are equal, and the first one gets it, never the last. A scene is better, but where a
# ReLU is off or another place won, there are holes. Thirty scenes together fill the frame and do not leave it.
# **Formula and measurement agree: 32 × 32.**
#
# ## Two laws of growth
#
# Now the slide's sentence: *the receptive field grows about linearly with the number and size of the convolutions;
# by compressing we increase it multiplicatively.* Without a stride the jump stays 1, and L convolutions of k × k see
# 1 + L · (k − 1) pixels: linear in the number, linear in the size. With a pooling the jump doubles, and every
# convolution **from there on** brings twice as much.
#
# The curves count convolutions and end with one: a pooling behind the last convolution is not in them. VGG-16 is drawn
# in, there with the pooling behind each stage. The right panel has a logarithmic scale, on which doubling
# again and again is a straight line.

# %%
number = np.arange(0, 21)
laws = {
    "3 × 3": ([sees([(3, 1)] * n) for n in number], "o-", BLUE),
    "7 × 7": ([sees([(7, 1)] * n) for n in number], "s-", ORANGE),
    "3 × 3, pooling after every second": (
        [sees(([CONV, CONV, POOL] * 10)[: n + max(n - 1, 0) // 2]) for n in number],
        "^-",
        GREEN,
    ),
}
figure = Figure(figsize=(9, 3.6), layout="constrained")
for axis, scale, highest in zip(figure.subplots(1, 2), ("linear", "log"), (450, 3000), strict=True):
    for name, (values, marker, colour) in laws.items():
        axis.plot(number, values, marker, color=colour, label=name, markersize=4)
    axis.plot([2, 4, 7, 10, 13], after_pool, "k*", markersize=11, label="VGG-16 after each pooling")
    axis.set_yscale(scale)
    axis.set_ylim(0 if scale == "linear" else 0.9, highest)
    axis.set_xticks(range(0, 21, 4))
    axis.set_xlabel("convolutions")
    axis.set_ylabel("receptive field (pixels)")
    axis.set_title(f"{'linear' if scale == 'linear' else 'logarithmic'} scale", fontsize=10)
axis.legend(fontsize=8, loc="lower right")
show(
    figure,
    alt="Receptive field against the number of convolutions: 3 by 3 and 7 by 7 grow along straight lines to 41 and 121 "
    "pixels after twenty; with a pooling after every second one it more than doubles and passes a thousand pixels.",
)
assert all(sees([(k, 1)] * n) == 1 + n * (k - 1) for k in (3, 5, 7) for n in range(50))

needed = {}
for name, layers in {"3x3": [(3, 1)], "7x7": [(7, 1)], "3x3 and poolings": [CONV, CONV, POOL]}.items():
    chain = []
    while sees(chain) < 256:
        chain.append(layers[len(chain) % len(layers)])
    needed[name] = sum(layer != POOL for layer in chain)
print("convolutions until one output sees 256 pixels:", needed)
assert needed == {"3x3": 128, "7x7": 43, "3x3 and poolings": 12}

# %% [markdown]
# To see a picture of 256 pixels it takes **128 convolutions of 3 × 3, or 43 of 7 × 7, or 12 with poolings between
# them.** The slide is right in both halves. One word more precisely: a pooling does not multiply the field itself, it
# multiplies what every later layer adds to it. In VGG-16 that comes to a bit more than doubling per stage: 6, 16, 44,
# 100, 212.
#
# (VGG's designers chose 3 × 3 because two of them see 5 pixels and three of them 7, for fewer weights than one large
# kernel. That is the linear law in the service of thrift.)

# %% [markdown]
# ## What would full resolution cost?
#
# 128 convolutions, then? Modern networks have as many. But theirs work mostly on small maps. Let us take VGG-16's
# thirteen convolutions, leave the poolings out, and read the bill for one picture of 224 × 224 pixels.
#
# * **Memory.** Training keeps the output of every layer until the gradient comes back: channels · height · width
#   numbers of 4 bytes. We count convolutions and poolings. What is kept for ReLU, for the pooling's choice, and by
#   the optimizer comes on top.
# * **Multiply-adds**, as in lesson 02: weights times positions.

# %%
memory = {"with poolings": [], "full resolution": []}  # bytes of each stage
work = {"with poolings": [], "full resolution": []}  # multiply-adds of each stage
channels_before, side = 3, 224
for convs, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
    weights = 3 * 3 * channels * (channels_before + (convs - 1) * channels)
    memory["with poolings"].append(4 * channels * (convs * side**2 + (side // 2) ** 2))
    memory["full resolution"].append(4 * channels * convs * 224**2)
    work["with poolings"].append(weights * side**2)
    work["full resolution"].append(weights * 224**2)
    channels_before, side = channels, side // 2

figure = Figure(figsize=(9, 3), layout="constrained")
for axis, title, values, unit in zip(
    figure.subplots(1, 2),
    ["outputs kept for one picture", "work for one picture"],
    [memory, work],
    ["megabytes (10⁶ bytes)", "billions of multiply-adds"],
    strict=True,
):
    for shift, (name, colour, hatch) in enumerate([("with poolings", BLUE, ""), ("full resolution", ORANGE, "//")]):
        heights = np.array(values[name]) / (1e6 if values is memory else 1e9)
        axis.bar(
            np.arange(5) + 0.4 * shift - 0.2, heights, 0.4, color=colour, hatch=hatch, edgecolor="black", label=name
        )
    axis.set_yscale("log")
    axis.set_ylim(0.5, 1000)
    axis.set_xticks(range(5), [f"stage {i}" for i in range(1, 6)])
    axis.set_ylabel(unit)
    axis.set_title(title, fontsize=10)
axis.legend(fontsize=9, loc="upper left")
show(
    figure,
    alt="Bars on a logarithmic scale for the five stages of VGG-16: with poolings memory falls from stage to stage and "
    "work stays about level; at full resolution both rise, a hundred times and more above it in the last stage.",
)
total = {name: sum(values) for name, values in memory.items()}
adds = {name: sum(values) for name, values in work.items()}
for name, chain in (("with poolings", vgg), ("full resolution", [CONV] * 13)):
    print(f"{name:16} {total[name] / 1e6:5.0f} MB  {adds[name] / 1e9:5.0f} billion multiply-adds, sees {sees(chain)}")
assert [round(value / 1e6) for value in total.values()] == [60, 848]
assert [round(value / 1e9) for value in adds.values()] == [15, 738]
assert sees([CONV] * 13) == 27
assert round(total["full resolution"] / total["with poolings"]) == 14
assert round(adds["full resolution"] / adds["with poolings"]) == 48
assert round(16 * total["full resolution"] / 1e9, 1) == 13.6 and round(16 * total["with poolings"] / 1e9) == 1

# %% [markdown]
# Fourteen times the memory and 48 times the work, **to see 27 pixels instead of 212.** Both sides have the same
# weights. A batch of 16 pictures would keep 13.6 gigabytes instead of one. (In stage 1 the bar with poolings is the
# higher one, because the pooling's output counts, too.)
#
# Counting is worth a test. The cell below builds both networks, sends a picture through them, and adds up the bytes
# of what really comes out of the layers. The picture is 32 × 32, which is 7 · 7 = 49 times smaller than 224 × 224.

# %%
with_poolings, channels_before = [], 3
for convs, channels in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
    for _ in range(convs):
        with_poolings.append(conv(channels_before, channels, 3, padding=1))
        channels_before = channels
    with_poolings.append(pool())

for name, layers in (
    ("with poolings", with_poolings),
    ("full resolution", [layer for layer in with_poolings if layer["kind"] == "conv"]),
):
    x, kept = torch.rand(1, 3, 32, 32), 0
    with torch.no_grad():
        for layer in network(layers):
            x = layer(x)
            kept += x.nbytes if not isinstance(layer, nn.ReLU) else 0
    print(f"{name:16} {kept / 1e6:5.2f} MB at 32 x 32, the output is", tuple(x.shape[1:]))
    assert 49 * kept == total[name]

# %% [markdown]
# ## The slide's network, trained
#
# Money aside: will it work? We train it on the small scenes, 64 × 64 pixels with two to five clothes. Three networks,
# each of at most six 3 × 3 convolutions with batch normalization, and a 1 × 1 convolution at the end that gives the
# scores:
#
# * **full resolution**: the slide's network, six convolutions of 16 channels. It sees 1 + 6 · 2 = 13 pixels.
# * **compressed**: three times convolution and pooling, one more convolution; 8 × 8 pixels get one answer, painted on
#   its block as in lesson 02. On a smaller map a convolution is cheaper, so for the same work it affords 32, 64 and
#   128 channels.
# * **dilated**: the slide's network again, with nothing changed but the distance between the taps of a kernel. With
#   dilation d, the three taps stand d pixels apart, so a 3 × 3 kernel reaches as far as one of 2d + 1. The dilations
#   are 1, 2, 4, 8, 4, 2.
#
# Why the third? The compressed network has many more weights than the first one. If it wins, you could say that it
# won by its weights. The dilated network has **the same weights and the same work** as the slide's network. Only its
# sight differs.


# %%
def six_convolutions(dilations):
    """Full resolution from end to end."""
    layers, channels = [], 3
    for dilation in dilations:
        layers += [nn.Conv2d(channels, 16, 3, padding=dilation, dilation=dilation, bias=False)]
        layers += [nn.BatchNorm2d(16), nn.ReLU()]
        channels = 16
    return nn.Sequential(*layers, nn.Conv2d(16, len(CLASSES), 1))


def three_poolings():
    """A map of one eighth, each answer painted on its block of 8 x 8 pixels."""
    layers, channels = [], 3
    for width in (32, 64, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.MaxPool2d(2)]
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    layers += [nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(128, len(CLASSES), 1), nn.Upsample(scale_factor=8, mode="nearest"))


models = {}
for name, build in {
    "full resolution": lambda: six_convolutions([1, 1, 1, 1, 1, 1]),
    "dilated": lambda: six_convolutions([1, 2, 4, 8, 4, 2]),
    "compressed": three_poolings,
}.items():
    torch.manual_seed(0)
    models[name] = build().to(memory_format=torch.channels_last)
untrained = copy.deepcopy(models)
seen = {
    "full resolution": sees([CONV] * 6),
    "dilated": sees([(2 * d + 1, 1) for d in (1, 2, 4, 8, 4, 2)]),
    "compressed": sees([CONV, POOL] * 3 + [CONV]),
}

print("                  sees  weights  million multiply-adds  kilobytes kept by convolutions and poolings")
million_adds, weights = {}, {}
for name, model in models.items():
    x, work_here, kept = torch.zeros(1, 3, 64, 64), 0, 0
    with torch.no_grad():
        for module in copy.deepcopy(model).eval():
            x = module(x)
            if isinstance(module, nn.Conv2d):
                work_here += module.weight.numel() * x.shape[2] * x.shape[3]
            if isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
                kept += x.nbytes
    million_adds[name], weights[name] = work_here / 1e6, sum(p.numel() for p in model.parameters())
    print(f"{name:16} {seen[name]:5} {weights[name]:8,} {million_adds[name]:22.1f} {kept / 1e3:10.0f}")
assert seen == {"full resolution": 13, "dilated": 43, "compressed": 38}
assert weights["full resolution"] == weights["dilated"]
assert million_adds["full resolution"] == million_adds["dilated"]
assert 0.97 < million_adds["compressed"] / million_adds["dilated"] < 1.05

# %% [markdown]
# Now train all three on the same batches, with masks this time: every pixel counts in the loss. Each gets one run with
# one seed, so a difference of a few hundredths says nothing.

# %%
train = load_scenes("train", size=64, count=600, seed=0)
for name, model in models.items():
    print(name)
    fit(model, train.images, train.masks, steps=450, batch_size=16, lr=1e-2, seed=0, augment=mirror_and_recolour)

masks = {name: predict_logits(model, val.images).argmax(1) for name, model in models.items()}  # (100, 64, 64) each

# %% [markdown]
# Here are the four validation scenes with the largest objects, and what the networks say.

# %%
largest = val.areas[:, 1:].max(1).values.argsort(descending=True)[:4].tolist()
rows = {"scene": val.images, "truth": val.masks, **masks}
figure = show_images(
    [pictures[index] for pictures in rows.values() for index in largest],
    [name for name in rows for _ in largest],
    columns=4,
    class_names=CLASSES,
    width=7.5,
)
show(
    figure,
    alt="Four scenes with large objects, their true masks, and three rows of answers: at full resolution the objects "
    "fall into patches of several classes and background, the dilated network and the blocks of the compressed one "
    "are more of one piece.",
)

# %% [markdown]
# The slide's network sees 13 × 13 pixels, and inside a large object that is cloth. It finds edges, and it follows
# textures. What the edge belongs to, it has to guess, and the middle often falls to the background: hollow again. The
# answers of the other two come in larger pieces. They are not good either, with so few scenes and such a short
# training, and you may find a scene in which the slide's network wins. So do not trust four pictures.
#
# Count it. We call an object **found** if more than half of its pixels carry its class; the share of objects found is
# called **recall**. And we sort the objects by area: small ones have less than 64 pixels (one block of 8 × 8), large
# ones 400 or more (20 × 20, beyond a view of 13 × 13). A fourth answer is there for comparison: the truth itself,
# reduced to the most frequent class of each block. No network that paints blocks can have more pixels right.

# %%
blocks = nn.functional.one_hot(val.masks, len(CLASSES)).view(100, 8, 8, 8, 8, len(CLASSES)).sum((2, 4)).argmax(-1)
answers = {**masks, "perfect blocks": blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)}  # (100, 64, 64) each
limits = {"small": (1, 64), "medium": (64, 400), "large": (400, 64 * 64)}


def share_found(answer):
    """The share of objects found, for each of the three sizes."""
    hits = {size: [] for size in limits}
    for scene in range(100):
        for number in range(1, val.class_of.shape[1]):
            own = val.instances[scene] == number  # (64, 64)
            right = own & (answer[scene] == val.class_of[scene, number])
            for size, (least, most) in limits.items():
                if least <= own.sum() < most:
                    hits[size].append((2 * right.sum() > own.sum()).item())
    return {size: np.mean(values) for size, values in hits.items()}


recall = {name: share_found(answer) for name, answer in answers.items()}
score = {name: miou(nn.functional.one_hot(a, len(CLASSES)).movedim(3, 1), val.masks) for name, a in answers.items()}

figure = Figure(figsize=(9, 3), layout="constrained")
axis = figure.subplots()
for shift, (name, colour, hatch) in enumerate(
    zip(recall, (ORANGE, "#cc79a7", BLUE, "#dddddd"), ("//", "..", "", "xx"), strict=True)
):
    heights = [100 * recall[name][size] for size in limits]
    bars = axis.bar(np.arange(3) + 0.2 * shift - 0.3, heights, 0.2, color=colour, hatch=hatch, edgecolor="black")
    axis.bar_label(bars, fmt="%.0f", fontsize=9)
    bars.set_label(f"{name}, mIoU {score[name]:.2f}")
axis.set_xticks(range(3), ["small (below 64 px)", "medium", "large (400 px and more)"])
axis.set_ylabel("recall: objects found (%)")
axis.set_ylim(0, 118)
axis.legend(fontsize=8, ncols=4, loc="upper center")
show(
    figure,
    alt="Bars of the objects found by size. Large objects: full resolution finds about one in five, the dilated "
    "network about twice as many, the compressed one still more. Small objects: the compressed network finds the "
    "fewest.",
)
for name in answers:
    print(f"{name:16} mIoU {score[name]:.2f}  " + "  ".join(f"{size} {recall[name][size]:4.0%}" for size in limits))
assert 0.1 < recall["full resolution"]["large"] < 0.3
assert recall["dilated"]["large"] > 1.5 * recall["full resolution"]["large"]
assert recall["compressed"]["large"] > recall["full resolution"]["large"] + 0.15
assert recall["compressed"]["small"] < recall["dilated"]["small"]
assert 0.25 < recall["perfect blocks"]["small"] < 0.4 and recall["perfect blocks"]["large"] == 1
assert 0.65 < score["perfect blocks"] < 0.75
assert min(score["dilated"], score["compressed"]) > score["full resolution"] + 0.05

# %% [markdown]
# Read the bars from the right.
#
# * **Large objects.** The slide's network finds about one in five. The dilated one finds about twice as many, with the
#   same weights and the same work. So it was the sight that was missing. The compressed one finds still more,
#   although it sees a little less than the dilated one. Here its weights may help: twenty times as many, for the same
#   work.
# * **Small objects.** Here the order turns round. The compressed network is the worst of all: one answer per 64 pixels
#   is too few for objects below 64 pixels. Even perfect blocks lose two thirds of them.
# * **Perfect blocks** get all the large objects and an mIoU of about 0.7. That is what coarseness alone costs.
#
# And why not dilate everywhere, then? Look at the table above once more. Full resolution pays for all its channels at
# every pixel, so it affords 16 of them where the compressed network has up to 128. The dilated masks also show combs:
# neighbouring outputs look at largely different pixels. Dilation has its place, in networks that halve a few times
# first. As a replacement for compressing it is too dear.
#
# Is the slide's network only slow to learn? Try it with four times the steps. Whatever it gains, it still sees 13
# pixels.

# %% [markdown]
# ## Strides out, dilation in
#
# Dilation has a second use, and it is exact. Take a network with poolings, set every stride to 1, and dilate every
# later kernel, poolings included, by the jump that its map used to have. Its taps then lie on the pixels on which they
# lay before. With the same weights, the network answers at every pixel, as if its window were slid there. This is the
# *algorithme à trous*, the one with holes. For LeNet, by hand: the second convolution and the second pooling are
# dilated by 2, the last convolution by 4.

# %%
everywhere = copy.deepcopy(random_lenet)
for place, dilation in ((2, 1), (3, 2), (5, 2), (6, 4)):  # both poolings, and the convolutions behind them
    everywhere[place].stride, everywhere[place].dilation = 1, dilation

with torch.no_grad():
    picture = val.images[:1, :, :48, :48]
    coarse, fine = random_lenet(picture), everywhere(picture)
    window = random_lenet(picture[:, :, 3 : 3 + 32, 10 : 10 + 32])  # slid to row 3, column 10
print(f"with strides {tuple(coarse.shape[2:])}, without {tuple(fine.shape[2:])}")
assert torch.allclose(fine[:, :, ::4, ::4], coarse, atol=1e-5)
assert torch.allclose(fine[:, :, 3:4, 10:11], window, atol=1e-5)

# %% [markdown]
# Nothing was trained for it. Exercise 4 does this for any network without padding. The price stays: every map now has
# full resolution.

# %% [markdown]
# ## Seeing and using
#
# The receptive field is what an output **can** see. Does it use all of it alike? Take the simplest case: n convolutions
# in one dimension, three equal weights each. A pixel's influence is the number of paths from it to the output. Many
# paths lead from the middle, a single one from each end.

# %%
figure = Figure(figsize=(7.5, 3), layout="constrained")
axis = figure.subplots()
for depth, style, colour in ((5, "o-", BLUE), (20, "s-", ORANGE), (80, "-", GREEN)):
    influence = np.ones(1)
    for _ in range(depth):
        influence = np.convolve(influence, [1 / 3, 1 / 3, 1 / 3])
    place = np.arange(-depth, depth + 1)  # pixels from the middle
    spread = np.sqrt((influence * place**2).sum())
    half = 1 + int(np.searchsorted(np.sort(influence)[::-1].cumsum(), 0.5))  # so few pixels hold half of it
    axis.plot(place / depth, influence / influence.max(), style, color=colour, markersize=4, label=f"{depth} layers")
    print(
        f"{depth:2} layers see {len(influence):3} pixels, standard deviation {spread:.1f}; "
        f"half of the influence comes from {half:2} pixels, {half / len(influence):.0%} of them"
    )
    assert np.isclose(spread, np.sqrt(2 * depth / 3))
assert (half, len(influence)) == (10, 161)
axis.set_xlabel("place in the receptive field (−1 and 1 are its ends)")
axis.set_ylabel("influence (middle = 1)")
axis.legend()
show(
    figure,
    alt="Three bell curves over the receptive field, for 5, 20 and 80 layers: the deeper the network, the narrower the "
    "bell is in relation to what the network sees.",
)

# %% [markdown]
# It is a bell curve, as when you add up dice. Its width grows with the **square root** of the depth: √(2n / 3) pixels.
# What the network sees grows with n. So of 161 pixels that 80 layers see, the ten in the middle decide half. Luo and
# others found this in 2016 and called it the **effective receptive field**: only a fraction of the theoretical one. For
# the slide's network that is one more blow. Even 128 convolutions would see 256 pixels in name only.
#
# Training may change it. Here are our three networks before and after. For every pixel, we take the gradient of the
# winning score at row 36, column 36, without its sign, averaged over fifty scenes. The frame is the receptive field by
# the formula. Each title says how large a square would be that has as many pixels as hold half of the influence.


# %%
def influence_on_centre(model):
    """Mean size of the gradient of the winning score at (36, 36), for each pixel."""
    pictures = val.images[:50].clone().requires_grad_()
    winning = model.eval()(pictures)[:, :, 36, 36].max(1).values  # (50,)
    winning.sum().backward()
    return pictures.grad.abs().sum(1).mean(0)  # (64, 64)


maps, titles, half_side = [], [], {}
for when, networks in (("before", untrained), ("after", models)):
    for name, model in networks.items():
        one = influence_on_centre(model)  # (64, 64)
        strongest_first = one.flatten().sort(descending=True).values
        pixels = 1 + int((strongest_first.cumsum(0) < one.sum() / 2).sum())
        half_side[name, when] = pixels**0.5
        rows_touched = one.sum(1).nonzero()
        assert rows_touched.max() - rows_touched.min() + 1 == seen[name]  # the formula, once more
        maps.append(one / one.max())
        titles.append(f"{name}, {when}:\nhalf in {pixels**0.5:.0f} × {pixels**0.5:.0f} of {seen[name]} × {seen[name]}")

figure = show_images(maps, titles, columns=3, width=8)
for axis, name in zip(figure.axes, [*models] * 2, strict=True):
    corner = 35.5 - seen[name] / 2 if name == "compressed" else 36 - seen[name] / 2
    axis.add_patch(Rectangle((corner, corner), seen[name], seen[name], fill=False, edgecolor="white"))
show(
    figure,
    alt="Six maps of influence within white frames. Before training the wide networks use most of their field, the "
    "dilated one in a grid; after training all have a bright spot in the middle and a weak glow up to the frame.",
)
for name in models:
    print(
        f"{name:16} half of the influence: {half_side[name, 'before']:.1f} pixels square before training, "
        f"{half_side[name, 'after']:.1f} after"
    )
assert all(half_side[name, when] < 0.75 * seen[name] for name, when in half_side)
assert half_side["full resolution", "after"] < half_side["compressed", "after"]
assert half_side["compressed", "after"] < half_side["compressed", "before"]

# %% [markdown]
# Each frame fits exactly: formula and gradients agree on three more networks. Inside, the influence is uneven.
# The trained networks look hard at the middle, where the pixel in question is, and take a weak but wide impression of
# the rest.
#
# The paper reports that training made the field **larger**, in networks that were deep and began with a narrow bell. In
# our wide networks it went the other way. They are shallow and began almost flat, so there was little to gain
# at the rim. Measure your own network before you quote either.
#
# What does that mean for a design? Let the receptive field be clearly larger than the largest object. Being just as
# large is not enough.
#
# ## Summary
#
# 1. Output i sees `size` pixels from start + i · jump on: each layer adds (k − 1) · jump to the size, each stride
#    multiplies the jump, padding moves the start only. LeNet: 32, 4, 0; VGG-16 sees 6, 16, 44, 100, 212; FCN 404.
# 2. Without strides the field grows linearly, 1 + L · (k − 1); with poolings it about doubles per stage. For 256 pixels
#    that means 128 convolutions of 3 × 3, or 12.
# 3. Full resolution costs VGG-16 fourteen times the memory and 48 times the work, and it sees 27 pixels instead of 212.
# 4. Trained for equal work, the network that never compresses loses the large objects; dilation alone brings many of
#    them back. The network that compresses finds most of the large objects and loses the small ones.
# 5. What is used is less than what is seen: the influence is a bell whose width grows only with the root of the depth.
#
# ## What to read
#
# * Karen Simonyan, Andrew Zisserman: *Very deep convolutional networks for large-scale image recognition*, ICLR 2015,
#   section 2.3: why three layers of 3 × 3 and not one of 7 × 7.
# * Wenjie Luo, Yujia Li, Raquel Urtasun, Richard Zemel: *Understanding the effective receptive field in deep
#   convolutional neural networks*, NIPS 2016, sections 2 (the bell) and 3 (before and after training).
# * André Araujo, Wade Norris, Jack Sim: *Computing receptive fields of convolutional neural networks*, Distill 2019:
#   the formulas derived, and networks with branches.
# * Fisher Yu, Vladlen Koltun: *Multi-scale context aggregation by dilated convolutions*, ICLR 2016, section 2.
#
# ## What the next lesson repairs
#
# So we compress to see far, and then the map is coarse and the small objects are lost. There is no cheap way around the
# first half. But who says that we have to stop at the coarse map, and paint blocks? Lesson 05 goes on compressing, and
# **brings the scores back to the full size** inside the network: the fully convolutional network.
