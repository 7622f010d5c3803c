# %% [markdown]
# # 03 · Convolutionalization
#
# Lesson 02 left us with a fast half and a slow half. The convolutions run once, on the whole picture. The **head**
# still runs 625 times, on feature windows of one fixed size that two Python loops cut out by hand. It was 1.4 % of the
# work at first and 30 % at the end.
#
# The slide says what we want: *throw away the dense layers with their fixed input, and compute everything in one
# pass*. You may expect a new network for that. It needs none. The dense layers are convolutions already, written down
# in another way. In this lesson you see
#
# * why a dense layer fixes the size of the input, and a convolution does not,
# * the slide's LeNet, trained here and turned into convolutions layer by layer, with the same numbers as result,
# * the same weights on a large picture: a map of 57 × 57 answers in one call,
# * a common wrong conversion, which raises no error,
# * what global average pooling changes,
# * what one pass costs and buys, and what is still wrong with the map.
#
# Slides: "convolutionalization", from "we want to throw away the dense layers" to "the mask is smaller than the
# picture".

# %%
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from seglab.data.scenes import CLASSES, load_crops, load_scenes
from seglab.figures import overlay, show, show_images
from seglab.timing import side_by_side, times_faster
from seglab.training import fit, miou, mirror_and_recolour, predict_logits

# %% [markdown]
# ## LeNet, and where its parameters are
#
# The slides use LeNet, because its numbers are small enough to follow by hand: two times a 5 × 5 convolution and a
# 2 × 2 pooling, then three dense layers. No padding anywhere. We take max-pooling and ReLU, as everybody does today.
#
# Follow one picture of 32 × 32 pixels through it, and count.


# %%
def lenet(in_channels, num_classes):
    """The slide's LeNet in two parts, as in lesson 02."""
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
assert grey_head[1].weight.numel() == 400 * 120 == 48_000  # the slide's 400 x 120
assert total == 61_706 and count(*lenet(3, 10)) == 62_006  # grey, and the same with three colours

# %% [markdown]
# The slide's two numbers are there: `Flatten` makes **400** of 16 × 5 × 5, and the dense layer has **400 × 120**
# weights. That layer is most of the network.
#
# Our version sees colours and knows the five classes of our scenes. It is trained on crops of 32 × 32 pixels, the size
# that LeNet was made for, and not 64 × 64 as before. As in lesson 02, the label of a crop is the class of the pixel at
# its centre.

# %%
crops, labels = load_crops("train", size=32, count=8000, seed=0)  # (8000, 3, 32, 32), (8000,)
val_crops, val_labels = load_crops("val", size=32, count=500, seed=0)  # (500, 3, 32, 32), (500,)

torch.manual_seed(0)
features, head = lenet(3, len(CLASSES))
classifier = nn.Sequential(features, head)
fit(classifier, crops, labels, epochs=10, batch_size=32, lr=3e-3, seed=0, augment=mirror_and_recolour)

crop_logits = predict_logits(classifier, val_crops)  # (500, 5)
accuracy = (crop_logits.argmax(1) == val_labels).float().mean()
print(f"{accuracy:.0%} of the validation crops are right; guessing gives 20 %")
assert accuracy > 0.4

guesses = [CLASSES[label] for label in crop_logits[::50].argmax(1)]
titles = [f"{CLASSES[truth]}\nLeNet: {guess}" for truth, guess in zip(val_labels[::50], guesses, strict=True)]
figure = show_images(val_crops[::50], titles, columns=5, width=8)
show(
    figure,
    alt="Ten validation crops of 32 by 32 pixels. Truth and answer: "
    + "; ".join(title.replace("\nLeNet:", ",") for title in titles),
)

# %% [markdown]
# ## Why the size is fixed
#
# Now give it a scene of 256 × 256 pixels.

# %%
scenes = load_scenes("val", size=256, count=8, seed=0)
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
# The convolutions do not mind. They do their small sum at as many places as there are. The dense layer has exactly 400
# weights per output, and 59,536 numbers come. So the **dense layers fix the size**, and among them only the first: the
# others take vectors of 120 and of 84, whatever the picture was.
#
# ## A dense unit is a kernel
#
# What does one of the 120 units compute? It multiplies 400 numbers with 400 weights, adds them up, and adds a bias.
# `Flatten` has put the 400 numbers in a row, but they did not lose their places: number 25 · c + 5 · row + col is
# channel c at (row, col). Put the weights back the same way. You have a kernel of 16 × 5 × 5, laid once on a feature
# window that is just as large. That is what a convolution does **at one place**.

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
# All 120 units together are one convolution with 120 output channels: **16 × 5 × 5 → 120 × 1 × 1**, the slide's next
# line. It has 5 · 5 · 16 · 120 = 48,000 weights, the very same ones. (The kernel is 5 × 5 because the features of one
# window are. That LeNet's other kernels have this size too is chance: lesson 02's network would need 6 × 6.)
#
# What about 120 → 84? Its input is now 120 × 1 × 1: 120 channels at one place. A kernel that covers it is 1 × 1. So
# the next slides follow: **120 × 1 × 1 → 84 × 1 × 1 → 10 × 1 × 1** (for us, 5 × 1 × 1). Here is the whole conversion,
# by hand.

# %%
convs = [nn.Conv2d(16, 120, 5), nn.Conv2d(120, 84, 1), nn.Conv2d(84, 5, 1)]
with torch.no_grad():
    convs[0].weight.copy_(head[1].weight.view(120, 16, 5, 5))  # (120, 400) -> (120, 16, 5, 5)
    convs[1].weight.copy_(head[3].weight.view(84, 120, 1, 1))  # (84, 120) -> (84, 120, 1, 1)
    convs[2].weight.copy_(head[5].weight.view(5, 84, 1, 1))  # (5, 84) -> (5, 84, 1, 1)
    for conv, dense in zip(convs, [head[1], head[3], head[5]], strict=True):
        conv.bias.copy_(dense.bias)
conv_head = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
map_net = nn.Sequential(features, conv_head)

x = val_crops  # (500, 3, 32, 32)
with torch.no_grad():
    for layer in [features, *conv_head]:
        x = layer(x)
        if layer is features or isinstance(layer, nn.Conv2d):
            print(tuple(x.shape[1:]))
difference = (x.flatten(1) - crop_logits).abs().max()
print(f"500 crops: largest difference of a logit {difference:.0e}, largest logit {crop_logits.abs().max():.0f}")
assert x.shape == (500, 5, 1, 1) and difference < 1e-5 * crop_logits.abs().max()
assert convs[0].weight.numel() == 5 * 5 * 16 * 120 == 48_000
assert count(conv_head) == count(head)

# %% [markdown]
# Equal on every crop, up to rounding. Do not ask for equality of every bit: a convolution adds the 400 products in
# another order, and floating-point sums depend on the order.
#
# Nothing was learned here, and nothing was lost. `Flatten` is gone, because there is nothing left to flatten. The two
# heads have the same parameters, laid out differently.
#
# Yann LeCun and his colleagues knew this in 1998. Their paper calls the layer with the 120 units, C5, a
# *convolutional* layer, and gives the reason: on a larger input its feature map would be larger than 1 × 1. Let us
# make the input larger.
#
# ## One pass
#
# The same weights, the whole scene, one call. Beside it runs lesson 02's sliding window with the classifier as it was
# trained: every window of 32 × 32 pixels, every 4 pixels.


# %%
@torch.no_grad()
def map_in_batches(picture, step=4):
    """Every window through the whole classifier, a row of the map at a time."""
    rows = []
    for top in range(0, 256 - 32 + 1, step):
        windows = [picture[:, top : top + 32, left : left + 32] for left in range(0, 256 - 32 + 1, step)]
        rows.append(classifier(torch.stack(windows)))  # (57, 5)
    return torch.stack(rows).permute(2, 0, 1)  # (5, 57, 57)


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
same_label = (naive.argmax(0) == logits.argmax(0)).sum()
print(
    f"{naive[0].numel():,} windows: largest difference {(naive - logits).abs().max():.0e}, {same_label:,} equal labels"
)
assert logits.shape == naive.shape == (5, 57, 57) and naive[0].numel() == 3249
assert F.conv2d(window, convs[0].weight, padding=2).shape == (1, 120, 5, 5)  # padded, one window gives no 1 x 1
assert (naive - logits).abs().max() < 1e-5 * logits.abs().max()

# %% [markdown]
# **All 3,249 places agree.** No loop, no cutting, no batch to choose. The 57 is no accident: the feature map has
# 61 × 61 places, and a kernel of 5 × 5 fits into 61 at 61 − 5 + 1 = 57 of them.
#
# The condition is that of lesson 02: it is exact because no layer pads. That holds for the converted layer too. It is
# tempting to write `padding=2` there, so that 61 stays 61. Then a window of 32 pixels gives 5 × 5 answers instead of
# one, and the outer ones lean on zeros that the dense layer never saw.
#
# ### Where does an answer belong?
#
# Two poolings halve the resolution twice, so the jump of the map is 2 · 2 = **4 pixels**. Answer (0, 0) comes from
# pixels 0 to 31, and its centre is **15.5**. From answer to answer it is 4 pixels more: answer (i, j) comes from rows
# 4i to 4i + 31 and columns 4j to 4j + 31, and its centre is (4i + 15.5, 4j + 15.5). You need not believe it. Take one
# place, keep its window, and replace all the rest of the picture by noise. If the claim is right, this one answer does
# not move.

# %%
i, j = 46, 22  # on the bag: rows 184 to 215, columns 88 to 119
noisy = torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(0))
noisy[:, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32] = scene[:, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32]
with torch.no_grad():
    moved = (map_net(noisy[None])[0] - logits).abs().sum(0)  # (57, 57)
still = (moved < 1e-4).nonzero()  # (1, 2)

figure = show_images(
    [scene, noisy, moved.sqrt()],
    ["scene, and one window", "only the window kept", "change of the answers, dark = none"],
)
for axis in figure.axes[:2]:
    axis.add_patch(Rectangle((4 * j - 0.5, 4 * i - 0.5), 32, 32, fill=False, edgecolor="white", linewidth=1.5))
figure.axes[2].add_patch(Rectangle((j - 2.5, i - 2.5), 5, 5, fill=False, edgecolor="white", linewidth=1.5))
show(
    figure,
    alt="A scene with a small square window on a bag; the same picture with noise everywhere outside it; and a map "
    "of how much each of the 57 by 57 answers changed: dark at exactly one place, inside a small white frame.",
)
print("answers that did not change:", still.tolist())
assert still.tolist() == [[i, j]]

# %% [markdown]
# ### The map on the picture
#
# So we paint answer (i, j) on the block of 4 × 4 pixels around its centre. For (0, 0) these are the pixels 14 to 17.
# All blocks together reach from pixel 14 to pixel 241. Pale: no answer there.
#
# The network gives logits. A softmax over the **classes** makes them probabilities, at each place for itself: this is
# `dim=1` of (N, C, H, W). (Over `dim=-1`, which is right for the vector of a classifier, it would make the places of
# one row compete.) These are the probability maps that the slides speak of.


# %%
def paint(labels, step):
    """A square map of labels, each on a block of step x step pixels about its window's centre; 255 elsewhere."""
    side, begin = step * labels.shape[-1], 14 * step // 4
    painted = torch.full((256, 256), 255)
    painted[begin : begin + side, begin : begin + side] = labels.repeat_interleave(step, 0).repeat_interleave(step, 1)
    return painted  # (256, 256)


probabilities = logits[None].softmax(1)[0]  # (5, 57, 57)
painted = paint(logits.argmax(0), 4)  # (256, 256)
covered = painted != 255
figure = show_images(
    [scene, truth, logits.argmax(0), overlay(scene, painted), probabilities[2], probabilities[4]],
    [
        "scene",
        "truth",
        "map, 57 × 57",
        "laid on the window centres",
        "probability of trousers, 0 to 1",
        "probability of bag, 0 to 1",
    ],
    columns=3,
    class_names=CLASSES,
)
for axis in figure.axes[4:]:
    axis.images[0].set_clim(0, 1)
show(
    figure,
    alt="A scene; its true mask; the map of 57 by 57 labels; the map laid over the scene; and the probability maps "
    "of trousers and bag, bright where the small ones are. Large trousers and a large shirt are only outlined.",
)
right = (painted == truth)[covered].float().mean()
print(f"{right:.0%} of the covered pixels are right")
assert (covered.nonzero().min(), covered.nonzero().max()) == (14, 241)
assert torch.allclose(probabilities.sum(0), torch.ones(57, 57))

# %% [markdown]
# It is a segmentation network: a picture goes in, a map comes out. The small objects are found, at the right
# place and mostly with the right label (a mast is taken for trousers). And there is something new to see. **Large
# objects are hollow.** Their outlines get labels, their insides are called background. Do not blame the conversion,
# which changed no number. A window of 32 pixels inside large trousers shows cloth and nothing else, and hardly any
# training crop looked like that: the object in its middle had at most three quarters of the crop's area.
#
# ## Any size
#
# One network, no fixed input. We can give it whatever is at hand.

# %%
answers = {}
with torch.no_grad():
    for size in (32, 33, 34, 35, 36, 40, 64, 128, 256):
        answers[size] = map_net(torch.rand(1, 3, size, size)).shape[-1]
    oblong = map_net(torch.rand(1, 3, 200, 320)).shape
print("pixels: ", *(f"{size:4}" for size in answers))
print("answers:", *(f"{answer:4}" for answer in answers.values()))
print("200 x 320 pixels give a map of", " x ".join(str(n) for n in oblong[2:]))
assert answers == {32: 1, 33: 1, 34: 1, 35: 1, 36: 2, 40: 3, 64: 9, 128: 25, 256: 57}
assert oblong == (1, 5, 43, 73)

# %% [markdown]
# Another answer comes with every 4 pixels; what is left over is seen by nobody. Per side, the map is smaller than a
# fourth of the picture, because the first answer costs 32 pixels and only the following ones cost 4.
#
# Any size means also that the **same scene may come smaller**. If a window of 32 pixels is too small for the large
# trousers, make the trousers smaller: average 2 × 2 or 4 × 4 pixels into one, and run the same network. A window then
# covers 64 or 128 pixels of the scene, and the jump is 8 or 16 of them. Pale: no answer there.

# %%
chosen = [4, 0, 3]
pictures, scores = [], {}
for factor in (1, 2, 4):
    with torch.no_grad():
        small = map_net(F.avg_pool2d(scenes.images, factor)).argmax(1)  # (8, 57, 57), (8, 25, 25), (8, 9, 9)
    masks = torch.stack([paint(one, 4 * factor) for one in small])  # (8, 256, 256)
    inner = masks[:, 56:200, 56:200]  # (8, 144, 144): what all three maps cover
    guess = F.one_hot(inner, 5).permute(0, 3, 1, 2)  # (8, 5, 144, 144)
    scores[factor] = miou(guess, scenes.masks[:, 56:200, 56:200])
    pictures.append([overlay(picture, mask) for picture, mask in zip(scenes.images, masks, strict=True)])
    print(f"{256 // factor:3} pixels, map {small.shape[-1]:2} x {small.shape[-1]:<2}  mIoU {scores[factor]:.2f}")

columns = [scenes.masks, *pictures]
figure = show_images(
    [column[number] for number in chosen for column in columns],
    ["truth", "256 pixels, 57 × 57", "128 pixels, 25 × 25", "64 pixels, 9 × 9"] + [""] * 8,
    columns=4,
    class_names=CLASSES,
)
show(
    figure,
    alt="Three scenes. At full size, small objects are found and large ones only outlined; at half size, "
    "middle-sized objects are filled; at a quarter, large objects are filled with coarse blocks and small ones gone.",
)
assert scores[1] < scores[4]

# %% [markdown]
# The same weights, and three different mistakes. At full size small things are found and large ones are hollow. At a
# quarter large things are filled, in blocks of 16 pixels, and small ones are swollen or gone. The mIoU rises all
# the same, since large objects own most of the pixels. **To see far, this network must have the picture compressed; to
# place an edge, it must not.** Keep this in mind: it is what the next lessons are about.
#
# ## The wrong conversion
#
# In our conversion, one word decides: `view(120, 16, 5, 5)`. It says that the 400 weights are ordered by channel, then
# row, then column, since `Flatten` reads (C, H, W) in that order. Some frameworks keep channels last, and their
# `Flatten` reads (H, W, C). Code that was written for one and used with the other looks like this:
#
# `weight.view(120, 5, 5, 16).permute(0, 3, 1, 2)`
#
# The shape is right, and so is the number of weights. No error comes. Another slip exchanges rows and columns. The
# figure shows which of the 400 weights end up in the 5 × 5 kernel of channel 1.

# %%
number = torch.arange(400)
orders = {
    "right: C, H, W": number.view(16, 5, 5),
    "wrong: H, W, C": number.view(5, 5, 16).permute(2, 0, 1),
    "wrong: C, W, H": number.view(16, 5, 5).permute(0, 2, 1),
}
figure = Figure(figsize=(9, 3.1), layout="constrained")
for axis, (name, order) in zip(figure.subplots(1, 3), orders.items(), strict=True):
    image = axis.pcolormesh(range(5), range(5), order[1], vmin=0, vmax=400, cmap="cividis")
    axis.set_aspect("equal")
    axis.invert_yaxis()
    for row in range(5):
        for col in range(5):
            light = order[1, row, col] < 200
            axis.text(
                col, row, order[1, row, col].item(), ha="center", va="center", color="white" if light else "black"
            )
    axis.set(title=name, xlabel="column of the kernel", ylabel="row of the kernel", xticks=range(5), yticks=range(5))
figure.colorbar(image, ax=figure.axes, label="number of the weight")
show(
    figure,
    alt="Three grids of 5 by 5 numbers. Right: 25 to 49, row by row. Channels read last: 1, 17, 33 and so on up to "
    "385, weights from all over the row. Rows and columns exchanged: 25 to 49, but column by column.",
)
assert orders["right: C, H, W"][1].flatten().tolist() == list(range(25, 50))
assert orders["wrong: H, W, C"][1, 4, 4] == 385

# %% [markdown]
# And this is what the three networks predict. Everything else in them is equal. Pale: no answer there.

# %%
pictures, results = [], {}
for name, order in orders.items():
    wrong = nn.Conv2d(16, 120, 5)
    with torch.no_grad():
        wrong.weight.copy_(head[1].weight[:, order.flatten()].view(120, 16, 5, 5))
        wrong.bias.copy_(head[1].bias)
        net = nn.Sequential(features, wrong, *conv_head[1:])
        crop_answers = net(val_crops).flatten(1)  # (500, 5)
        pictures.append(paint(net(scene[None])[0].argmax(0), 4))
    results[name] = (crop_answers.argmax(1) == val_labels).float().mean().item()
    gap = (crop_answers - crop_logits).abs().max()
    print(f"{name:15} crops right {results[name]:4.0%}, largest difference of a logit {gap:.0e}")

figure = show_images(
    [scene, *pictures],
    ["scene", *(f"{name}\n{share:.0%} of the crops right" for name, share in results.items())],
    class_names=CLASSES,
)
show(
    figure,
    alt="The scene and the maps of three conversions. With the right order small objects are found; with channels "
    "read last or with rows and columns exchanged there are outlines too, but the small objects get wrong labels.",
)
assert abs(results["right: C, H, W"] - accuracy) < 0.005
assert results["wrong: H, W, C"] < 0.35 and results["wrong: C, W, H"] < accuracy - 0.05

# %% [markdown]
# On the crops, the first slip is hardly better than guessing. But look at the maps. Would you notice? They have
# outlines and blobs in the same places as the right one, since the convolutions before are as good as ever. **Shapes
# prove nothing, and neither does a map that looks reasonable.** Compare numbers: run the old classifier and the new
# network on a few crops and ask for equality, up to rounding.
#
# ## Global average pooling
#
# Newer classifiers end in another way. They have no `Flatten`: they take the **mean of each channel** over all places
# and put one dense layer on it. Such a network takes pictures of any size as it is. Yet it gives one vector, not a
# map. Where is the map?
#
# Taking a mean is linear, and so is a dense layer; their order may be exchanged. First the dense layer, at each place
# for itself, which is a 1 × 1 convolution; then the mean. The numbers are the same, and between the two stands a map.

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
fit(pooled, crops, labels, epochs=6, batch_size=32, lr=5e-3, seed=0, augment=mirror_and_recolour)
pooled_accuracy = (predict_logits(pooled, val_crops).argmax(1) == val_labels).float().mean()
print(f"{pooled_accuracy:.0%} of the crops right; {count(last)} parameters in the head, LeNet has {count(head):,}")

with torch.no_grad():
    vectors = pooled(scenes.images)  # (8, 5)
    places = trunk(scenes.images)  # (8, 64, 60, 60)
    maps = F.conv2d(places, last.weight[:, :, None, None], last.bias)  # (8, 5, 60, 60)
mean_of_maps = maps.mean((2, 3))  # (8, 5)
print(f"mean of the map against the vector: largest difference {(mean_of_maps - vectors).abs().max():.0e}")
print("the vector says of the eight scenes:", ", ".join(CLASSES[label] for label in vectors.argmax(1)))
assert torch.allclose(mean_of_maps, vectors, atol=1e-4) and maps.shape == (8, 5, 60, 60)
with torch.no_grad():  # 20 pixels are one place, a window of 32 is 4 x 4 places
    assert [trunk(torch.rand(1, 3, size, size)).shape[-1] for size in (20, 32)] == [1, 4]

figure = show_images(
    [scene, maps[1].argmax(0), maps[1, 2], maps[1, 3]],
    ["scene", "class with the highest score", "score of trousers, 60 × 60", "score of shoe, 60 × 60"],
    class_names=CLASSES,
)
show(
    figure,
    alt="A scene; at each of 60 by 60 places the class with the highest score, mostly along outlines; the map of "
    "scores for trousers, brightest at the small trousers; and the map for shoe, brightest at the small shoe.",
)

# %% [markdown]
# This map is known as the **class activation map**: it shows which places voted for a class, in a network that was
# trained with one label per picture. What changed, compared with LeNet?
#
# * The 5 × 5 kernel is gone, and with it nearly all parameters of the head.
# * The vote of a place depends on a square of 20 pixels. What holds a window together is the mean alone. So a place of
#   this map is **not** what the classifier says of a 32-pixel window there. For that you need the mean over the 4 × 4
#   places of the window; you build it in the exercises.
# * The vector accepts any size, and that is a trap. On a whole scene it is the mean of all votes, so it says what
#   fills the picture. Its answers for our eight scenes are printed above.
#
# ## What does one pass cost, and what does it buy?
#
# Count first. There are three ways to the same answers: every window for itself, lesson 02's shared features, and one
# pass. We ask for an answer every 4 pixels, and then only every 8, as in lesson 02.

# %%
conv1, conv2, dense = 5 * 5 * 3 * 6, 5 * 5 * 6 * 16, 400 * 120 + 120 * 84 + 84 * 5  # multiply-adds per place
one_window = conv1 * 28**2 + conv2 * 10**2 + dense
whole_convs = conv1 * 252**2 + conv2 * 122**2
cost = {}
for step, side in ((4, 57), (8, 29)):
    cost[step] = {
        "windows": side**2 * one_window,
        "shared": whole_convs + side**2 * dense,
        "one pass": whole_convs + 57**2 * dense,  # 57 x 57, whether we want them all or not
    }
    print(f"an answer every {step} pixels, {side**2:,} answers")
    for name, adds in cost[step].items():
        gain = f"{cost[step]['windows'] / adds:.1f} times less" if name != "windows" else ""
        print(f"  {name:9}{adds / 1e6:6.0f} M multiply-adds {gain:15}{adds / side**2:8,.0f} per answer")

head_share = 57**2 * dense / cost[4]["one pass"]
print(f"the dense layers do {dense / one_window:.0%} of the work in a window, {head_share:.0%} in the one pass")
assert one_window == 651_300 and dense == 58_500
assert cost[4]["one pass"] == cost[4]["shared"] and round(cost[4]["windows"] / cost[4]["one pass"], 1) == 8.3
assert round(cost[8]["windows"] / cost[8]["one pass"], 1) == 2.2
assert round(dense / one_window, 2) == 0.09 and round(head_share, 2) == 0.75

# %% [markdown]
# Be honest about these numbers.
#
# * Every 4 pixels, one pass needs 8.3 times fewer multiply-adds than the windows, and **exactly as many as shared
#   features**. Convolutionalization saves no arithmetic there. The head is applied to the same 3,249 feature windows;
#   only, a convolution does the sliding.
# * Every 8 pixels, one pass computes about four times as many answers as we want and throws the rest away. It needs
#   **more** than shared features, and only 2.2 times less than the windows. Its jump is 4, because the network has two
#   poolings, and it cannot be told otherwise.
#
# So look at the clock.

# %%


@torch.no_grad()
def map_shared(picture, step=1):
    """Lesson 02: convolutions once, then the dense head on feature windows of 5 x 5; step in features."""
    whole = features(picture[None])[0]  # (16, 61, 61)
    rows = []
    for row in range(0, 57, step):
        windows = [whole[:, row : row + 5, col : col + 5] for col in range(0, 57, step)]
        rows.append(head(torch.stack(windows)))  # (57, 5)
    return torch.stack(rows).permute(2, 0, 1)  # (5, 57, 57)


@torch.no_grad()
def map_one_pass(picture, step=1):
    return map_net(picture[None])[0, :, ::step, ::step]  # (5, 57, 57)


assert torch.allclose(map_shared(scene, 2), map_one_pass(scene, 2), rtol=1e-5, atol=1e-4)
figure = Figure(figsize=(9, 4), layout="constrained")
axes = figure.subplots(2, 2, sharey=True)
for step, row in zip((4, 8), axes, strict=True):
    ways = {
        "one pass": lambda step=step: map_one_pass(scene, step // 4),
        "shared": lambda step=step: map_shared(scene, step // 4),
        "windows": lambda step=step: map_in_batches(scene, step),
    }
    faster = times_faster(side_by_side(ways), base="one pass")
    adds = [cost[step][name] / cost[step]["one pass"] for name in ways]
    spent = [1 / faster[name] for name in ways]
    for axis, kind, values in zip(row, ("multiply-adds", "seconds"), (adds, spent), strict=True):
        axis.bar_label(axis.barh(list(ways), values, color="#0072b2"), fmt="%.1f", padding=3)
        axis.set_title(f"every {step} pixels: {kind}", fontsize=10)
        axis.set_xlabel("one pass = 1")
        axis.margins(x=0.15)
    print(
        f"every {step} pixels, seconds, one pass = 1:",
        ", ".join(f"{n} {s:.1f}" for n, s in zip(ways, spent, strict=True)),
    )
show(
    figure,
    alt="Bars of multiply-adds and of seconds of this run for windows, shared features and one pass, for an answer "
    "every 4 and every 8 pixels, as multiples of one pass.",
)

# %% [markdown]
# The bars of the left column are counts and the same everywhere. Those of the right column were measured just now.
# Where shared features and one pass do equally much arithmetic, the difference that you see is the loop, the cutting
# and the copying: the feature windows overlap, so most features are copied 25 times. A convolution is handed the map
# once.
#
# The windows may lose by more than the count says. Not all multiply-adds are equally quick. In the windows 91 % of
# them are in convolutions with few channels, over many small pictures; in the one pass 75 % are in the converted head,
# with 400 products per sum, which is what computers do best.
#
# And time is not all that one pass buys. There is **no window size in the code any more**, no stride and no loop; the
# network is a function from a picture to a map. The gradient flows through it, too: a loss at all 3,249 places costs
# one pass, so the masks that we have been throwing away can be used for training. From lesson 04 on, they are.
#
# ## What is still wrong
#
# The last slide: *one pass now, but the mask is smaller than the picture*. How bad is that? Let us ask what the **best
# possible** map could do. Take the true mask at the centre of each block, as if a perfect network had answered there,
# and paint the whole block with it.

# %%
ceiling, perfect = {}, {}
for step in (4, 8, 16, 32):
    sampled = scenes.masks[:, step // 2 :: step, step // 2 :: step]  # (8, 256 / step, 256 / step)
    perfect[step] = sampled.repeat_interleave(step, 1).repeat_interleave(step, 2)  # (8, 256, 256)
    ceiling[step] = miou(F.one_hot(perfect[step], 5).permute(0, 3, 1, 2), scenes.masks)
    found = [  # an object is found when more than half of its pixels have its class
        (perfect[step][k][scenes.instances[k] == n] == scenes.class_of[k, n]).float().mean().item() > 0.5
        for k in range(8)
        for n in scenes.instances[k].unique()[1:]
    ]
    lost = f"{found.count(False)} of {len(found)} objects not found"
    print(f"an answer every {step:2} pixels, all of them right: mIoU {ceiling[step]:.2f}, {lost}")

figure = show_images(
    [truth, *(perfect[step][1] for step in perfect)],
    ["truth", *(f"every {step} pixels\nmIoU {ceiling[step]:.2f}" for step in perfect)],
    columns=5,
    class_names=CLASSES,
    width=10,
)
show(
    figure,
    alt="A true mask, and the same mask known only every 4, 8, 16 and 32 pixels and painted in blocks: outlines "
    "become stairs, small objects turn into single blocks or disappear.",
)
assert 1 > ceiling[4] > ceiling[8] > ceiling[16] > ceiling[32]

# %% [markdown]
# Not one answer is wrong in these masks. All that is missing are the answers between them. At LeNet's 4 pixels it is
# tolerable; networks that do better on photographs compress by 32, and there whole objects are gone.
#
# ## Summary
#
# 1. Only the first dense layer fixes the size. On 16 × 5 × 5 features it **is** a 5 × 5 convolution:
#    400 · 120 = 48,000 weights either way. The dense layers after it are 1 × 1 convolutions.
# 2. Converted, the classifier gives the same numbers on every crop and, without padding, on every window: one pass
#    over 256 pixels is 57 × 57 answers, 4 pixels apart, the first centred at 15.5.
# 3. The order of axes decides. A wrong `view` raises no error; only a comparison of numbers finds it.
# 4. With global average pooling the map is a 1 × 1 convolution before the mean, and the mean of the map is the vector.
# 5. One pass costs as much arithmetic as shared features, or more if you want fewer answers. It removes the loop, the
#    copies and the fixed size, not the coarseness.
#
# ## What to read
#
# * Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner: *Gradient-based learning applied to document recognition*,
#   1998, section II.B (LeNet-5, and why C5 is a convolution) and section VII (the "space displacement neural
#   network").
# * Jonathan Long, Evan Shelhamer, Trevor Darrell: *Fully convolutional networks for semantic segmentation*, CVPR 2015,
#   section 3.1, "Adapting classifiers for dense prediction" ("dense" means there: at every pixel).
# * Min Lin, Qiang Chen, Shuicheng Yan: *Network in network*, ICLR 2014, section 3.2: global average pooling. Bolei
#   Zhou and others: *Learning deep features for discriminative localization*, CVPR 2016, section 2: class activation
#   maps.
#
# ## What the next lesson repairs
#
# The mask is smaller than the picture because the network compresses: each pooling halves the map. The obvious cure is
# to leave the poolings out. Then the map has the size of the picture and everything seems solved. So **why did we
# compress at all?** You have seen half of the answer: the hollow trousers. Lesson 04 measures how far a network sees.
