# %% [markdown]
# # 02 · Sliding window
#
# A network that sees one pixel at a time cannot tell a shoe from a bag; that is where lesson 01 ended. A classifier
# sees a whole piece of a picture, and can. But it gives **one label for one picture**, and segmentation wants one label
# for every pixel. The shortest way from the first to the second is to change nothing about the network: cut a small
# window out of the picture, ask the network what is in the middle of it, move on by a few pixels, ask again.
#
# This lesson does exactly that, and then makes it about twenty times cheaper without changing the answer. You will
# see
#
# * how many windows there are, and why the slide's 32 · 32 needs padding,
# * a patch classifier, trained in this notebook, and the coarse map it draws,
# * the same map computed three ways: one window at a time, in batches, and with shared features,
# * what each way costs in multiply-adds and in seconds, side by side,
# * the one condition under which shared features are exact, and what padding does to it.
#
# Slides: "naive segmentation", from the first one to "run the convolutions on the whole picture".

# %%
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from seglab.data.scenes import CLASSES, load_crops, load_scenes
from seglab.figures import overlay, show, show_images
from seglab.timing import side_by_side, times_faster
from seglab.training import fit, mirror_and_recolour, predict_logits

# %% [markdown]
# ## The picture and its windows
#
# Our pictures are the scenes of lesson 01, now with 256 × 256 pixels. Their objects have an area from about 20 pixels
# to a third of the picture, and the validation scenes contain clothes and backgrounds that no training picture has.
#
# On the left, a scene of 256 × 256 pixels. The slide proposes a window of 64 × 64 pixels and a stride of 8: three
# windows of the first row, and the very last one, are drawn on it. The dot in the middle of each window is the place
# its answer is about.

# %%
scenes = load_scenes("val", size=256, count=8, seed=0)
scene, truth = scenes.images[5], scenes.masks[5]  # (3, 256, 256), (256, 256)

figure = show_images([scene, truth], ["scene with four of its windows", "truth"], class_names=CLASSES)
for left, top in ((0, 0), (8, 0), (16, 0), (192, 192)):
    figure.axes[0].add_patch(Rectangle((left - 0.5, top - 0.5), 64, 64, fill=False, edgecolor="white", linewidth=1.5))
    figure.axes[0].plot(left + 31.5, top + 31.5, "o", color="white", markersize=4)
show(
    figure,
    alt="A scene with clothes and four square windows drawn on it, three overlapping in the top left corner and "
    "one in the bottom right corner, each with a dot in its middle; beside it the true mask in five colours.",
)

# %% [markdown]
# ## How many windows are there?
#
# The slide says 32 · 32 runs of the network. Count them yourself: begin at 0, step by 8, and stop when the window
# would leave the picture.

# %%
per_row = 0
start = 0
while start + 64 <= 256:
    last = start
    per_row += 1
    start += 8
print(f"{per_row} windows per row, the last one begins at pixel {last} and ends at pixel {last + 64}")
print(f"{per_row} x {per_row} = {per_row**2} windows; their centres lie between {0 + 31.5} and {last + 31.5}")
assert (per_row, per_row**2, last) == (25, 625, 192)

padded_size = 28 + 256 + 28
per_row_padded = (padded_size - 64) // 8 + 1
first_centre = -28 + 31.5
print(f"with 28 pixels of padding on each side: {per_row_padded} windows per row, first centre at {first_centre}")
assert per_row_padded == 32 == 256 // 8
assert first_centre == (0 + 7) / 2  # the middle of the first block of 8 pixels, 0 to 7

# %% [markdown]
# So there are **25 · 25 = 625** windows that lie fully in the picture. The slide's number is right as well, with one
# thing added that it does not mention: **32 · 32 runs need 28 pixels of padding on each side.** 28 is no accident.
# With it, the first window has its centre at 3.5, the middle of the pixels 0 to 7. The picture falls into 32 · 32
# blocks of 8 × 8 pixels, and each block gets one window.
#
# That also settles the size of the result. One answer per block of 8 pixels gives 256 / 8 = 32 answers per side: the
# result is **32 × 32**, not the 64 × 64 that the slide prints beside "256/8 × 256/8". It is a slip that is easy to
# make, since 64 is the window and stands right above it. The division on the slide is the right one.
#
# We do not pad in this lesson, so our maps have 25 × 25 answers. They say nothing about a margin of 28 pixels, for
# lack of a window whose middle lies there.

# %% [markdown]
# ## A classifier of patches
#
# The network is trained on crops of 64 × 64 pixels. Each crop has **one label: the class of the pixel at its
# centre.** (The centre of pixels 0 to 63 is 31.5, between four pixels; the label is that of the lower right one of the
# four.)
#
# Look at what is thrown away here. Each training scene has a label for every one of its pixels, and of the 4,096
# labels under a crop we use one. That is the second complaint of the slide: "slow, and masks are not used in
# training". (The first run of the next cell makes the crops and takes a while; then they are kept in a cache.)

# %%
crops, labels = load_crops("train", size=64, count=4000, seed=0)  # (4000, 3, 64, 64), (4000,)
val_crops, val_labels = load_crops("val", size=64, count=500, seed=0)  # (500, 3, 64, 64), (500,)

titles = [CLASSES[label] for label in labels[::400]]
figure = show_images(crops[::400], titles, columns=5, width=8)
for axis in figure.axes:
    axis.plot(31.5, 31.5, "+", color="white", markersize=12)
show(
    figure,
    alt="Ten training crops with a cross at their centre; the title of each is the class under the cross: "
    + ", ".join(titles),
)

# %% [markdown]
# The network is a relative of LeNet, which is in lesson 03: three times convolution and 2 × 2 pooling, then two dense
# layers. Two choices matter later. All convolutions are **valid**: they have no padding. And it comes in two parts,
# `features` (convolutions) and `head` (dense layers), so that we can use them apart. Batch normalization makes it learn
# faster; it works on every position alike, so it changes nothing in what follows. Pooling before the ReLU gives the
# same as after it and has four times less to do.
#
# The table below is printed by the network itself. One window becomes 64 × 6 × 6.


# %%
def stage(in_channels, out_channels, kernel_size, padding=0):
    """Convolution, then half the resolution."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


torch.manual_seed(0)
features = nn.Sequential(*stage(3, 16, 5), *stage(16, 32, 3), *stage(32, 64, 3))
head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, len(CLASSES)))
classifier = nn.Sequential(features, head)
classifier.to(memory_format=torch.channels_last)  # the same numbers, faster on a CPU

x = crops[:2]
print("input      ", tuple(x.shape[1:]))
for layer in [*features, *head]:
    x = layer(x)
    if isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.Linear)):
        print(f"{type(layer).__name__:11}", tuple(x.shape[1:]))
print(sum(p.numel() for p in classifier.parameters()), "parameters")

# %% [markdown]
# Training takes half a minute or so. The colours of our clothes are invented, so trousers with red and blue exchanged
# are as good as before: `mirror_and_recolour` mirrors pictures, exchanges colour channels and changes the brightness.

# %%
fit(classifier, crops, labels, epochs=6, batch_size=32, lr=3e-3, seed=0, augment=mirror_and_recolour)

guesses = predict_logits(classifier, val_crops).argmax(1)  # (500,)
for number, name in enumerate(CLASSES):
    print(f"{name:11} {(guesses[val_labels == number] == number).float().mean():4.0%} right")
accuracy = (guesses == val_labels).float().mean().item()
print(f"all         {accuracy:4.0%} right, on clothes and backgrounds it has never seen; guessing gives 20 %")

# %% [markdown]
# That is no great classifier, and it does not have to be. It has seen four thousand small pictures, and the question
# is hard: decide by the middle of a crop, not by whatever is large in it. In segmentation its mistakes will have
# neighbours that are right.
#
# ## Naive: one window at a time
#
# Now slide it. The code is as simple as the idea: two loops, one run of the network per window, one label written
# into a map of 25 × 25.


# %%
@torch.no_grad()
def map_one_by_one(picture):
    """25 x 25 windows, one run of the network for each."""
    scores = torch.zeros(len(CLASSES), 25, 25)
    for row in range(25):
        for col in range(25):
            window = picture[:, 8 * row : 8 * row + 64, 8 * col : 8 * col + 64]  # (3, 64, 64)
            scores[:, row, col] = classifier(window[None])[0]  # (5,)
    return scores  # (5, 25, 25)


naive = map_one_by_one(scene)  # (5, 25, 25)
coarse = naive.argmax(0)  # (25, 25)

# %% [markdown]
# To compare it with the picture, each answer has to go where it belongs: not to the top left corner of its window,
# but to its **centre**. Window (0, 0) is about the point (31.5, 31.5), the middle of the pixels 28 to 35. So answer
# (row, col) is painted on the block of 8 × 8 pixels that begins at (28 + 8 · row, 28 + 8 · col). Together the blocks
# cover pixels 28 to 227. White is the margin about which we know nothing.


# %%
def paint(coarse):
    """A map of 25 x 25 labels on 256 x 256 pixels; 255 in the margin."""
    painted = torch.full((256, 256), 255)
    for row in range(25):
        for col in range(25):
            painted[28 + 8 * row : 36 + 8 * row, 28 + 8 * col : 36 + 8 * col] = coarse[row, col]
    return painted  # (256, 256)


painted = paint(coarse)
wrong_place = torch.full((256, 256), 255)
wrong_place[:200, :200] = painted[28:228, 28:228]  # the same map, laid at the top left corners
seen = painted != 255  # (256, 256)

figure = show_images(
    [coarse, overlay(scene, painted), overlay(scene, truth), overlay(scene, wrong_place)],
    ["coarse map, 25 × 25", "laid on the window centres", "truth", "laid on the corners: wrong"],
    columns=2,
    class_names=CLASSES,
    width=7.5,
)
show(
    figure,
    alt="A coarse map of 25 by 25 labels; the same map laid over the scene at the window centres, where its blobs "
    "lie on the objects; the true mask; and the map laid at the window corners, where it is shifted to the top left.",
)
right = (painted == truth)[seen].float().mean()
shifted = (wrong_place == truth)[wrong_place != 255].float().mean()
print(f"pixels right in the covered part: {right:.0%} on the centres, {shifted:.0%} on the corners")
assert (seen.sum(), seen.nonzero().min(), seen.nonzero().max()) == (200 * 200, 28, 227)

# %% [markdown]
# The map **works**: a network that has never seen a mask draws one. The objects are where they should be, and some even
# have the right label all over. It is **coarse**: blobs of 8 × 8 pixels, fatter than the objects, because a window
# answers "trousers" as soon as trousers come near its middle. And the large objects are a patchwork of labels. We come
# back to that at the end.
#
# ## Naive, in batches
#
# A network with a batch of one keeps a computer badly busy. The windows do not depend on each other, so they can go
# through together, a few dozen at a time. It is the same work, in better portions.


# %%
@torch.no_grad()
def map_in_batches(picture):
    """The same windows, 25 at a time: a batch is a row of the map."""
    rows = []
    for row in range(25):
        windows = [picture[:, 8 * row : 8 * row + 64, 8 * col : 8 * col + 64] for col in range(25)]
        rows.append(classifier(torch.stack(windows)))  # (25, 5)
    return torch.stack(rows).permute(2, 0, 1)  # (5, 25, 25)


batched = map_in_batches(scene)  # (5, 25, 25)
seconds = side_by_side({"one by one": lambda: map_one_by_one(scene), "batches": lambda: map_in_batches(scene)})
faster = times_faster(seconds, base="one by one")

assert torch.allclose(batched, naive, atol=1e-4)
print(f"largest difference {(batched - naive).abs().max():.0e}; {faster['batches']:.1f} times as fast")

# %% [markdown]
# ## Where does the work go?
#
# Batches help the computer. They do not help against the real waste. Here is how often each pixel of the picture is
# read: once in the corners, and 64 times in the middle, by 64 windows that all see the same thing.

# %%
reads = torch.zeros(256, 256)
for row in range(25):
    for col in range(25):
        reads[8 * row : 8 * row + 64, 8 * col : 8 * col + 64] += 1

figure = show_images([scene, reads], ["scene", "how many windows read a pixel: 1 to 64"], width=7)
show(figure, alt="The scene, and a map of how many windows read each pixel: dark at the border, bright in the middle.")
print(f"in a corner {reads[0, 0]:.0f}, in the middle {reads[128, 128]:.0f}, on average {reads.mean():.1f}")
assert (reads.min(), reads.max()) == (1, 64)
assert reads.sum() == 625 * 64**2

# %% [markdown]
# Each pixel is read **39 times** on average. Remember the number: it is the most that can be saved.
#
# And which layers do the work? Count multiply-adds. A convolution does, for each position of its output, one
# multiplication and one addition per weight. A dense layer uses each weight once.

# %%
conv1, conv2, conv3 = 5 * 5 * 3 * 16, 3 * 3 * 16 * 32, 3 * 3 * 32 * 64  # weights = multiply-adds per position
dense = 64 * 6 * 6 * 64 + 64 * 5

window_convs = conv1 * 60**2 + conv2 * 28**2 + conv3 * 12**2  # a window: 64 -> 60 -> 30 -> 28 -> 14 -> 12 -> 6
print(f"one window: {window_convs / 1e6:.2f} M in the convolutions, {dense / 1e6:.2f} M in the dense layers")
print(f"the convolutions do {window_convs / (window_convs + dense):.1%} of the work")
assert conv1 + conv2 + conv3 == sum(layer.weight.numel() for layer in features if isinstance(layer, nn.Conv2d))
assert window_convs / (window_convs + dense) > 0.98

# %% [markdown]
# "Most of the computation is in the convolutions", says the slide. Here it is 98.6 %.
#
# ## Shared features
#
# A convolution does not care how large its input is. It does the same small sum at every position. So what it
# computes for a window is a piece of what it would compute for the **whole picture**, and two overlapping windows
# need the same numbers in their overlap. The slide's instant optimisation:
#
# 1. run the convolutions once, on the whole picture;
# 2. cut windows out of the **features** instead of the pixels;
# 3. run only the dense layers on each of them.
#
# | | one window | whole picture |
# |---|---|---|
# | input | 3 × 64 × 64 | 3 × 256 × 256 |
# | stage 1 | 16 × 30 × 30 | 16 × 126 × 126 |
# | stage 2 | 32 × 14 × 14 | 32 × 62 × 62 |
# | stage 3 | **64 × 6 × 6** | **64 × 30 × 30** |
# | feature windows | 1 | 25 × 25 |
#
# Three poolings halve the resolution three times, so neighbouring features lie 2 · 2 · 2 = 8 pixels apart. We call this
# distance the **jump** of the map. It is just our stride, so the feature window moves by **one**. It is **six** wide,
# because that is what becomes of 64 pixels, not 64 / 8 = 8: valid convolutions eat the rim. And 30 − 6 + 1 = 25, the
# same 25 as before.


# %%
@torch.no_grad()
def map_shared(picture):
    """Convolutions once, the head 25 x 25 times."""
    whole = features(picture[None])[0]  # (64, 30, 30)
    rows = []
    for row in range(25):
        windows = [whole[:, row : row + 6, col : col + 6] for col in range(25)]
        rows.append(head(torch.stack(windows)))  # (25, 5)
    return torch.stack(rows).permute(2, 0, 1)  # (5, 25, 25)


shared = map_shared(scene)  # (5, 25, 25)

with torch.no_grad():
    assert features(scene[None]).shape == (1, 64, 30, 30)
    assert features(scene[None, :, :64, :64]).shape == (1, 64, 6, 6)
assert torch.allclose(shared, naive, atol=1e-4)
print(
    f"largest difference to one by one: {(shared - naive).abs().max():.0e}, labels that differ: "
    f"{(shared.argmax(0) != coarse).sum()} of 625"
)

# %% [markdown]
# The same map. Not a similar one: the differences are rounding, because sums are added up in another order.
#
# Now the bill. The bars show the multiply-adds and the seconds of this run, both as multiples of the shared way.

# %%
picture_convs = conv1 * 252**2 + conv2 * 124**2 + conv3 * 60**2  # 256 -> 252 -> 126 -> 124 -> 62 -> 60 -> 30
naive_cost = 625 * (window_convs + dense)
shared_cost = picture_convs + 625 * dense

ways = {"shared features": map_shared, "naive, in batches": map_in_batches, "naive, one by one": map_one_by_one}
seconds = side_by_side({name: lambda way=way: way(scene) for name, way in ways.items()})
faster = times_faster(seconds, base="shared features")
adds = [1, naive_cost / shared_cost, naive_cost / shared_cost]
figure = Figure(figsize=(9, 2.4), layout="constrained")
for axis, title, values in zip(
    figure.subplots(1, 2, sharey=True),
    ["multiply-adds", "seconds of this run"],
    [adds, [1 / faster[name] for name in ways]],
    strict=True,
):
    axis.bar_label(axis.barh(list(ways), values, color="#0072b2"), fmt="%.1f", padding=3)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("shared features = 1")
    axis.margins(x=0.15)
show(
    figure,
    alt="Bars: both naive ways need the same number of multiply-adds, about 22 times as many as shared features; "
    "in seconds of this run shared features are also far ahead, and one by one is the slowest.",
)

print("                        multiply-adds")
print(f"naive, 625 windows     {naive_cost / 1e6:8.0f} M")
print(f"shared: convolutions   {picture_convs / 1e6:8.0f} M   ({625 * window_convs / picture_convs:.1f} times less)")
print(f"shared: 625 heads      {625 * dense / 1e6:8.0f} M   (as before)")
print(f"shared: together       {shared_cost / 1e6:8.0f} M   ({naive_cost / shared_cost:.1f} times less)")
assert round(naive_cost / shared_cost) == 22 and round(625 * window_convs / picture_convs) == 31
assert round(dense / (window_convs + dense), 3) == 0.014 and round(625 * dense / shared_cost, 2) == 0.30
assert round(169 * (window_convs + dense) / (picture_convs + 169 * dense), 1) == 7.6  # every 16 pixels, 13 x 13 windows
assert naive_cost / shared_cost < reads.mean()  # 39.1 is never reached

# %% [markdown]
# The pixels promised 39, and we get 22. Where is the rest?
#
# * The convolutions alone became 31 times cheaper, not 39: a valid convolution leaves out the rim of each window, so
#   the naive way was never as wasteful as the pixels say.
# * The heads are as many as before. They were 1.4 % of the work and are now 30 %. Save on one part, and the other one
#   is the bill. The next lesson begins with this part.
#
# Seconds are another matter than multiply-adds. They depend on the machine, on memory, on how well a batch fits. So
# believe the count first, and then look at the clock. With a stride of 16 instead of 8 there would be 13 · 13 = 169
# windows, and sharing would save 7.6 times instead of 22: it pays where windows overlap.

# %% [markdown]
# ## The trap: padding
#
# The slide's own network has padding. It takes 64 × 64 × 3 to 8 × 8 × 256 and, on the whole picture, 256 × 256 × 3 to
# 32 × 32 × 256: every convolution keeps the size, three poolings halve it. That is how most networks are built, and
# the numbers are rounder than ours. Is the map still the same?
#
# Here is that network, with random weights. We compute the features of one window twice: from the window alone, and
# cut out of the features of the whole picture. The picture shows the difference at each of the 8 × 8 positions.

# %%
torch.manual_seed(1)
slide_features = nn.Sequential(
    *stage(3, 64, 3, padding=1), *stage(64, 128, 3, padding=1), *stage(128, 256, 3, padding=1)
).eval()

with torch.no_grad():
    whole = slide_features(scene[None])[0]  # (256, 32, 32)
    alone = slide_features(scene[None, :, 96:160, 96:160])[0]  # (256, 8, 8)
    cut_out = whole[:, 12:20, 12:20]  # (256, 8, 8), 96 / 8 = 12
difference = (alone - cut_out).abs().mean(0)  # (8, 8)
valid_alone = features(scene[None, :, 96:160, 96:160])[0]  # (64, 6, 6), our network without padding
valid_cut_out = features(scene[None])[0, :, 12:18, 12:18]  # (64, 6, 6)
valid_difference = (valid_alone - valid_cut_out).abs().mean(0)  # (6, 6)

figure = show_images(
    [scene[:, 96:160, 96:160], difference, (valid_difference > 1e-4).float()],
    ["a window in the middle", "with padding: difference, 8 × 8", "without padding: none, 6 × 6"],
)
figure.axes[2].images[0].set_clim(0, 1)
show(
    figure,
    alt="A window; the difference between its features computed alone and cut out of the whole: zero inside and "
    "large on the outer ring of the 8 by 8 positions; and the same for the network without padding: zero everywhere.",
)

touched = difference > 1e-5
print(
    f"with padding {touched.sum()} of 64 positions differ; "
    f"without padding the largest difference is {valid_difference.max():.0e}"
)
assert whole.shape == (256, 32, 32) and alone.shape == (256, 8, 8)
assert touched.sum() == 64 - 6 * 6 and not touched[1:7, 1:7].any()  # exactly the outer ring
assert valid_difference.max() < 1e-5

# %% [markdown]
# The inside is equal to the last digit, and the **whole outer ring differs: 28 of 64 positions.** The reason is
# simple. A window alone is surrounded by zeros. The same window in the picture is surrounded by the picture. Padding
# tells the network "the world ends here", and in one case that is not true.
#
# Does it matter for the labels? Let us see. This is our classifier once more, with padding, trained for a shorter
# time. Its map is computed both ways.

# %%
torch.manual_seed(0)
padded_features = nn.Sequential(*stage(3, 16, 5, 2), *stage(16, 32, 3, 1), *stage(32, 64, 3, 1))  # 64 -> 32 -> 16 -> 8
padded_head = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 8 * 8, 64), nn.ReLU(), nn.Linear(64, 5))
padded_classifier = nn.Sequential(padded_features, padded_head).to(memory_format=torch.channels_last)
fit(padded_classifier, crops, labels, epochs=2, batch_size=32, lr=3e-3, seed=0, augment=mirror_and_recolour)

with torch.no_grad():
    whole = padded_features(scene[None])[0]  # (64, 32, 32)
    padded_naive, padded_shared = torch.zeros(25, 25, dtype=torch.int64), torch.zeros(25, 25, dtype=torch.int64)
    for row in range(25):
        windows = [scene[:, 8 * row : 8 * row + 64, 8 * col : 8 * col + 64] for col in range(25)]
        padded_naive[row] = padded_classifier(torch.stack(windows)).argmax(1)  # (25,)
        windows = [whole[:, row : row + 8, col : col + 8] for col in range(25)]
        padded_shared[row] = padded_head(torch.stack(windows)).argmax(1)  # (25,)

changed = padded_naive != padded_shared  # (25, 25)
figure = show_images(
    [padded_naive, padded_shared, changed.float()],
    ["with padding, naive", "with padding, shared", f"bright: {changed.sum()} of 625 labels differ"],
    class_names=CLASSES,
)
show(
    figure,
    alt="Two coarse maps of the network with padding, one computed naively and one with shared features, and a map "
    "of the positions where their labels differ.",
)
print(f"labels that differ: {changed.sum()} of 625 with padding, {(shared.argmax(0) != coarse).sum()} without")

# %% [markdown]
# With padding, "shared" is **another classifier**, similar but not equal. Which one is better is an open question:
# the shared one sees true neighbours, but features at the border that it was not trained on. Often people shrug and
# take it. What you must not do is to use one in training, the other in production, and wonder about the difference.
#
# So the rule is: **shared features are exact if all convolutions and poolings are valid and the window's stride is a
# multiple of the jump** (8 pixels here). With a stride of 12 the second window would begin between two features, and no
# feature window would fit it.

# %% [markdown]
# ## How good is it?
#
# One more look, at all eight validation scenes. Most of a picture is background, so besides the share of right pixels
# we count with the metric of lesson 01: for each class, the pixels that truth and map share, divided by those that
# either has.

# %%
found = torch.stack([paint(map_shared(picture).argmax(0)) for picture in scenes.images])  # (8, 256, 256)
covered = found != 255

print("IoU")
ious = []
for number, name in enumerate(CLASSES):
    both = (found == number) & (scenes.masks == number)
    either = ((found == number) | (scenes.masks == number)) & covered
    ious.append((both.sum() / either.sum()).item())
    print(f"  {name:11} {ious[-1]:.2f}")
right = (found == scenes.masks)[covered].float().mean()
background = (scenes.masks == 0)[covered].float().mean()
print(f"sliding window:   {right:.0%} of the pixels right, mIoU {sum(ious) / 5:.2f}")
print(f"all background:   {background:.0%} of the pixels right, mIoU {background / 5:.2f}")

some = [0, 1, 4, 6]
figure = show_images(
    [*scenes.images[some], *scenes.masks[some], *found[some]],
    [*["scene"] * 4, *["truth"] * 4, *["sliding window"] * 4],
    columns=4,
    class_names=CLASSES,
)
show(
    figure,
    alt="Four scenes, below them their true masks, and below these the coarse masks of the sliding window: "
    "middle-sized objects are found as blobs, small ones are swollen or missed, and large ones carry several labels.",
)

# %% [markdown]
# Large things come apart into several labels, because a window of 64 pixels inside them shows nothing but cloth.
# Small things vanish, or are swollen to the size of the blobs. Both come from the same decision: **one window size
# and one answer per 8 × 8 pixels.** You will meet both complaints again in lesson 05, on a much better network.
#
# ## Summary
#
# 1. A classifier of patches becomes a segmentation network by sliding: 256, 64 and 8 give 25 · 25 = 625 windows, or
#    32 · 32 with 28 pixels of padding on each side, and a map with one answer per 8 × 8 pixels.
# 2. Each answer belongs to the **centre** of its window. Laid on the corner, everything is shifted by half a window.
# 3. Nearly all work is in the convolutions, and overlapping windows repeat it: 39 reads per pixel.
# 4. Convolutions once, head per feature window: the same numbers for 22 times less work, not 39, since the heads
#    remain.
# 5. It is exact without padding. With padding, the ring of features at the window's border differs, and so do some
#    labels.
#
# ## What to read
#
# * Dan Cireşan, Alessandro Giusti, Luca Gambardella, Jürgen Schmidhuber: *Deep neural networks segment neuronal
#   membranes in electron microscopy images*, NIPS 2012: the naive way, winning a competition.
# * Pierre Sermanet and others: *OverFeat*, ICLR 2014, section 3.5, "ConvNets and sliding window efficiency": sharing,
#   as here.
# * Jonathan Long, Evan Shelhamer, Trevor Darrell: *Fully convolutional networks for semantic segmentation*, CVPR
#   2015, section 3.1: 22 ms for a 10 × 10 map against 1.2 ms for one crop, more than five times faster than the naive
#   way.
#
# ## What the next lesson repairs
#
# The head still runs 625 times, on windows of one fixed size that we cut out by hand. But a dense layer on a 6 × 6
# window is a sum over 6 × 6 positions, and you know a layer that slides such a sum over a map all by itself. Lesson
# 03 turns the head into convolutions, and the loops disappear.
