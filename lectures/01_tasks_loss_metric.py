# %% [markdown]
# # 01 · Tasks, loss, metric
#
# A classifier looks at a picture and says "trousers". **Segmentation** says it for every pixel: which ones belong to
# the trousers, which to the shoe, which to nothing at all. This course shows how that problem became deep learning.
# It follows the ideas in the order in which each one repaired what the one before had left broken.
#
# Here is the whole way. Lessons 02 and 03 make a network for masks out of a classifier, first by sliding it, then by
# turning its dense layers into convolutions. Lesson 04 asks why such networks compress the picture at all. Lessons
# 05 to 08 are four answers to the question that follows, how to get the resolution back: FCN, DeconvNet, SegNet,
# U-Net. Lesson 09 is about what people do today.
#
# **What you need:** you have trained a classifier in PyTorch. Nothing about segmentation is assumed.
#
# **How to work:** read and run the lecture, then solve its exercises. **Red is where you start.** Every exercise
# begins as a stub that raises `NotImplementedError`, so no check can pass yet. At first a check only says that the
# function is not written; later it shows a table, red where something is wrong. Nothing is broken. Write the function,
# run the check, read what it expected and what it got, and repeat. When you hand in, hidden checks with other inputs
# decide, so write what the statement says.
#
# This first lesson has no network worth the name. It settles the three things that all later lessons rely on: what we
# want (the **tasks**), how we train it (the **loss**) and how we measure it (the **metric**).
#
# Slides: from "input image" to "metric in segmentation".

# %%
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from seglab.data.nuclei import load_nuclei
from seglab.data.scenes import CLASSES, load_scenes
from seglab.figures import show, show_images
from seglab.training import cross_entropy, fit, miou, pixel_accuracy, predict_logits

# %% [markdown]
# ## One picture, three tasks
#
# Below is a piece of a real microscope picture. The bright spots are the nuclei of cells, and each of them has been
# outlined by hand. The result is stored as an **instance map**: one integer per pixel, 0 for the background, then 1,
# 2, 3, … for one nucleus each. (The picture is brightened for the eye. Nuclei at the edge are cut.)
#
# The slide's three tasks ask for three different answers, and all of them follow from this one map:
#
# * **Semantic segmentation:** the class of each pixel. Here there are only two, background and nucleus, so the target
#   is "is the number above 0?". With more classes you also need a table that says which class each object has.
# * **Boundary segmentation:** is this pixel on a border between two labels?
# * **Instance segmentation:** which *object* is it? This is the map itself.
#
# For the boundary, the next cell looks at the 3 × 3 pixels around each pixel: if the largest and the smallest number
# in there differ, a border runs through. `max_pool2d` with a stride of 1 finds the largest; with the signs turned
# around it finds the smallest. (The exercise asks for the four direct neighbours only.)

# %%
images, instances = load_nuclei("train")  # (12, 1, 128, 128), (12, 128, 128)
picture, objects = images[9], instances[9]  # (1, 128, 128), (128, 128)

semantic = (objects > 0).long()  # (128, 128)
numbers = objects[None].float()  # (1, 128, 128)
largest = F.max_pool2d(numbers, kernel_size=3, stride=1, padding=1)  # (1, 128, 128)
smallest = -F.max_pool2d(-numbers, kernel_size=3, stride=1, padding=1)  # (1, 128, 128)
boundary = (largest != smallest)[0].long()  # (128, 128)

figure = show_images(
    [1.5 * picture.sqrt(), semantic, boundary, objects],
    ["input image", "semantic", "boundary", f"instances: {objects.max()} nuclei"],
    width=10,
)
show(
    figure,
    alt="Four pictures side by side: bright oval nuclei on grey; the same nuclei as a mask of one colour, where those "
    "that touch have run together; the outlines of all nuclei; and the nuclei in colours that differ from neighbour to "
    "neighbour.",
)

# %% [markdown]
# Look at the nuclei that touch. The semantic mask cannot tell them apart: two nuclei side by side are one blob. That
# is no mistake of the mask. It answers another question.
#
# How much is lost? Count the connected pieces. The function below gives each pixel of the mask a number of its own.
# Then each pixel takes the largest number among its neighbours, again and again, until nothing changes. What is
# connected ends up with one number.


# %%
def count_blobs(mask):
    """The number of connected pieces in a mask of 128 x 128 pixels."""
    numbers = torch.arange(1.0, 128 * 128 + 1).view(1, 128, 128) * mask  # (1, 128, 128)
    while True:
        spread = F.max_pool2d(numbers, kernel_size=3, stride=1, padding=1) * mask  # (1, 128, 128)
        if spread.equal(numbers):
            return len(numbers.unique()) - 1  # without the 0 outside
        numbers = spread


together, apart = count_blobs(semantic), count_blobs(semantic * (1 - boundary))
print(f"{objects.max()} nuclei in the instance map")
print(f"{together} blobs in the semantic mask")
print(f"{apart} blobs if the boundary is taken out of it")
assert (objects.max(), together, apart) == (16, 11, 16)

# %% [markdown]
# Semantic and boundary **together** give the objects back. This is why boundary segmentation has a slide of its own:
# a network that can only give one class to each pixel still separates cells, if "border" is one of the classes. (It
# is no magic: a piece so thin that all of it is border disappears.) Lesson 08 comes back to this. Until then our task
# is semantic segmentation.
#
# ## The parts we have
#
# You know the components from classification: convolution, pooling, dense (fully connected) layers, activation. The
# slide adds global average pooling, batch normalization and residual connections, which add a part's input to what it
# computes. Here is one small classifier with all of them. Its weights are random, for we only watch the shapes.
#
# The input is a window of 64 × 64 pixels from one of our **scenes**. They are composites: real product photos of
# clothes, in invented colours, pasted on real photos of bricks, gravel and the like. That makes the masks exact. There
# are four classes, top, trousers, shoe and bag, and the background. You will meet the scenes in three sizes, 64, 128
# and 256 pixels a side: the small ones are quick to train on, the large ones have room for large and small objects.


# %%
torch.manual_seed(0)
parts = {
    "convolution 1": nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False),
    "batch norm": nn.BatchNorm2d(16),
    "activation": nn.ReLU(),
    "pooling 1": nn.MaxPool2d(2),
    "convolution 2": nn.Conv2d(16, 32, kernel_size=3, padding=1),
    "pooling 2": nn.MaxPool2d(2),
    "residual": nn.Sequential(nn.Conv2d(32, 32, kernel_size=3, padding=1), nn.ReLU()),
    "pooling 3": nn.MaxPool2d(2),
    "global avg pool": nn.AdaptiveAvgPool2d(1),
    "flatten": nn.Flatten(),
    "dense": nn.Linear(32, len(CLASSES)),
}


@torch.no_grad()
def through(window):
    """What every part gives for a window (3, 64, 64), by the part's name."""
    given, x = {}, window[None]  # (1, 3, 64, 64)
    for name, part in parts.items():
        given[name] = x = x + part(x) if name == "residual" else part.eval()(x)
    return given


scene = load_scenes("val", size=256, count=8, seed=0).images[2]  # (3, 256, 256)
before = through(scene[:, 152:216, 20:84])
print(f"{'input':16}{'3 x 64 x 64':>14}")
for name, x in before.items():
    weights = sum(p.numel() for p in parts[name].parameters())
    print(f"{name:16}{' x '.join(map(str, x.shape[1:])):>14}   {weights or 'no':>5} parameters")
assert [before[f"pooling {i}"].shape[-1] for i in (1, 2, 3)] == [32, 16, 8]
assert before["dense"].shape == (1, 5)

# %% [markdown]
# Read the table with a segmenter's eyes, and ask of every part: **does it keep the place?**
#
# * Convolution, activation, batch normalization and residual connection do. What was at row 10 is at row 10 (with
#   padding; without it, a constant few rows further up).
# * Pooling does it roughly. After three poolings one position stands for 8 × 8 pixels.
# * Global average pooling and the dense layer throw it away. Five numbers have no rows and no columns.
#
# The next cell shows both. First it moves the window, so that everything in it goes 16 pixels to the right. The maps
# follow, by 8, 4 and 2 positions. (One channel of each is drawn; bright is a large number.) Then the cell shuffles the
# 8 × 8 positions of the last map like a deck of cards. The answer does not change.

# %%
after = through(scene[:, 152:216, 4:68])  # the window 16 pixels further left, so its content 16 further right

pictures, titles = [], []
for row, given, left in (("", before, 20), ("moved, ", after, 4)):
    pictures.append(scene[:, 152:216, left : left + 64])
    titles.append(f"{row}64 × 64")
    for i, side in ((1, 32), (2, 16), (3, 8)):
        shown = before[f"pooling {i}"][0]  # (channels, side, side)
        channel = shown.std((1, 2)).argmax()  # the one that has most to show
        pictures.append(given[f"pooling {i}"][0, channel])
        titles.append(f"{row}{side} × {side}")
figure = show_images(pictures, titles, columns=4, width=8)
for column in (1, 2, 3):  # the same colours above and below
    upper, lower = figure.axes[column].images[0], figure.axes[column + 4].images[0]
    lower.set_clim(upper.get_clim())
show(
    figure,
    alt="A window with a pair of trousers at its left, and three maps that the network makes of it, each half as wide "
    "as the one before. Below, the same for a window in which the trousers are 16 pixels further right: in every map "
    "the trousers are further right as well.",
)

for i, positions in ((1, 8), (2, 4), (3, 2)):
    here, there = before[f"pooling {i}"][0], after[f"pooling {i}"][0]  # (channels, side, side)
    inner = slice(2, -2)  # the rim sees the padding, and other neighbours
    same = torch.isclose(there[:, inner, positions:][..., inner], here[:, inner, :-positions][..., inner], atol=1e-5)
    print(f"pooling {i}: moved by {positions} positions, {same.float().mean():.0%} of the inner numbers are the same")
    assert same.all()

last = before["pooling 3"].flatten(2)  # (1, 32, 64), 64 positions
shuffled = last[:, :, torch.randperm(64)]  # (1, 32, 64)
change = (parts["dense"](shuffled.mean(2)) - before["dense"]).abs().max().item()
print(f"the 64 positions shuffled: the answer changes by {change:.0e}")
assert change < 1e-5

# %% [markdown]
# So a classifier works on maps nearly to its end, and forgets the place in its last layers. Keep this in mind; the
# next two lessons live on it.
#
# ## The loss: cross entropy, pixel by pixel
#
# Suppose that a network gives, for each pixel, one number per class: the **logits**, of shape (N, C, H, W). The
# target is the class mask, of shape (N, H, W), integers. Then each pixel is a little classification. The slide says:
# "pixel-wise loss is calculated as the log loss, summed over all possible classes",
#
# $$-\sum_{classes} y_{true} \log(y_{pred}),$$
#
# "this scoring is repeated over all pixels and averaged". Since $y_{true}$ is 1 for one class and 0 for all others,
# the sum has one term that counts: **minus the logarithm of the probability of the true class.**
#
# Here it is for a picture of 2 × 2 pixels and three classes. A logit is the logarithm of odds, up to a constant: odds
# of 8 : 1 : 1 mean a probability of 0.8. The last pixel is labelled **255**, which says "nobody knows". Real data
# sets have such pixels, often along the outlines, and they must count for nothing.

# %%
odds = torch.tensor([[8.0, 1, 1], [1, 2, 1], [1, 1, 8], [1, 1, 1]])  # (4, 3), pixel by pixel
logits = odds.log().T.reshape(1, 3, 2, 2).requires_grad_()  # (1, 3, 2, 2)
target = torch.tensor([[[0, 1], [1, 255]]])  # (1, 2, 2)

total, valid = 0.0, 0
for row in range(2):
    for col in range(2):
        truth = target[0, row, col].item()
        if truth == 255:
            print(f"pixel ({row}, {col}): not labelled")
            continue
        powers = logits[0, :, row, col].exp()  # (3,)
        probability = powers[truth] / powers.sum()
        total, valid = total - probability.log(), valid + 1
        print(f"pixel ({row}, {col}): class {truth} has probability {probability:.2f}, loss {-probability.log():.3f}")
loss = total / valid
theirs = F.cross_entropy(logits, target, ignore_index=255)
print(f"mean over {valid} pixels: {loss:.4f}; PyTorch says {theirs:.4f}; divided by all 4 pixels: {total / 4:.4f}")
assert torch.isclose(loss, theirs) and abs(loss - 1.0730) < 1e-4 and abs(total / 4 - 0.8047) < 1e-4
assert torch.tensor(1e4).exp() == float("inf")  # by hand, this only works for small logits

perfect = torch.tensor([[1.0, 0, 0]])  # (1, 3), probabilities, and certain
print(f"a perfect answer, given as probabilities: loss {F.cross_entropy(perfect, torch.tensor([0])):.3f}")
assert abs(F.cross_entropy(perfect, torch.tensor([0])) - 0.551) < 1e-3

# %% [markdown]
# Four things to take along.
#
# * A pixel that is **sure and wrong** costs most: 2.3 of the 3.2 in the sum are from one pixel.
# * **"Averaged over all pixels" means over the valid ones.** There are libraries that divide by all of them. Then the
#   loss and its gradient shrink wherever a picture has unlabelled parts.
# * The exponential is a trap. A logit of 10,000 is allowed, and its exponential is infinite. In the exercise you will
#   avoid that.
# * PyTorch's function takes **logits**. If your network ends with a softmax, the loss applies another one, and with
#   three classes even a perfect answer costs 0.551. Nothing crashes; it just learns badly.
#
# And what does the loss tell the network to do? Its gradient is as simple as it could be: **the probabilities, minus 1
# at the true class, divided by the number of valid pixels.**

# %%
theirs.backward()
gradient = logits.grad[0].flatten(1).T  # (4, 3)
probabilities = odds / odds.sum(1, keepdim=True)  # (4, 3)
one_hot = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]])  # (3, 3)
assert torch.allclose(gradient[:3], (probabilities[:3] - one_hot) / 3, atol=1e-6)
assert gradient[3].eq(0).all() and gradient.sum(1).abs().max() < 1e-6

figure = Figure(figsize=(9, 3.6), layout="constrained")
axes = figure.subplots(2, 4, sharex=True, sharey="row")
for pixel, truth in enumerate((0, 1, 1, None)):
    for axis, values in ((axes[0, pixel], probabilities[pixel]), (axes[1, pixel], gradient[pixel])):
        bars = axis.bar(["0", "1", "2"], values.tolist(), color="#56b4e9", edgecolor="black")
        if truth is not None:
            bars[truth].set(facecolor="#e69f00", hatch="///")
        axis.axhline(0, color="black", linewidth=0.8)
    axes[0, pixel].set_title(f"pixel {divmod(pixel, 2)}: {'255' if truth is None else f'class {truth}'}", fontsize=10)
    axes[1, pixel].set_xlabel("class")
axes[0, 0].set_ylabel("probability")
axes[1, 0].set_ylabel("gradient")
show(
    figure,
    alt="For each of the four pixels, bars of the three probabilities and below them bars of the gradient. The true "
    "class is hatched; its gradient is negative, those of the others are positive, and they add up to zero. The "
    "sure and wrong pixel has the longest bars, the pixel labelled 255 has none.",
)

# %% [markdown]
# A step against the gradient lifts the true class (hatched) and lowers the others, more where the network was more
# wrong. The pixel labelled 255 pulls at nothing.
#
# ## A first network: one pixel at a time
#
# Take the loss at its word. If segmentation is a classification of pixels, let us classify pixels: from the
# brightness of **this one pixel** and nothing else. A convolution with a 1 × 1 kernel is a dense layer that is
# applied to every pixel by itself, so two of them are a small network for masks. The microscope picture is cut
# into 16 tiles; twelve are for training, four for testing.

# %%
test_images, test_instances = load_nuclei("test")  # (4, 1, 128, 128), (4, 128, 128)
mask, test_mask = (instances > 0).long(), (test_instances > 0).long()  # (12, 128, 128), (4, 128, 128)

torch.manual_seed(0)
pixel_net = nn.Sequential(nn.Conv2d(1, 16, kernel_size=1), nn.ReLU(), nn.Conv2d(16, 2, kernel_size=1))
history = fit(pixel_net, images, mask, steps=300, batch_size=4, lr=3e-2, seed=0)

test_logits = predict_logits(pixel_net, test_images)  # (4, 2, 128, 128)
guessing = torch.tensor(2.0).log().item()
print(f"loss: {history.losses[0]:.2f} in the first step, guessing costs log 2 = {guessing:.2f}")
print(f"loss on the test tiles: {cross_entropy(test_logits, test_mask):.2f}")

brightness = torch.linspace(0, 1, 1001).view(1, 1, 1, 1001)  # (1, 1, 1, 1001), a picture of all greys
chance = predict_logits(pixel_net, brightness).softmax(1)[0, 1, 0]  # (1001,)
threshold = brightness.flatten()[chance > 0.5].min().item()
figure = Figure(figsize=(9, 2.8), layout="constrained")
left, right = figure.subplots(1, 2)
left.plot(history.losses, color="#0072b2")
left.axhline(guessing, color="black", linestyle="--")
left.annotate("guessing: log 2", (150, guessing), xytext=(0, -12), textcoords="offset points")
left.set(title="training", xlabel="step", ylabel="loss", ylim=(0, 0.8))
for label, name, colour, line in ((0, "background", "#0072b2", "-"), (1, "nucleus", "#d55e00", "--")):
    values = images[:, 0][mask == label].numpy()  # multiples of 1 / 255, so a bar is 3 / 255 wide
    bins = torch.arange(-0.5, 102, 3).div(255).tolist()
    right.hist(values, bins, density=True, histtype="step", color=colour, linestyle=line, label=name)
right.axvline(threshold, color="black", linewidth=1)
right.set(title=f"learned threshold: {threshold:.3f}", xlabel="brightness, 0 to 1", ylabel="density of pixels")
right.legend(frameon=False)
show(
    figure,
    alt="Left: the loss falls from near the level of guessing to a quarter of it or so within about a hundred steps. "
    "Right: histograms of brightness, a narrow dark one for the background and a wide brighter one for nuclei, with "
    "some overlap; a line between them marks where the network changes its answer.",
)
assert cross_entropy(test_logits, test_mask) < 0.4 * guessing
assert abs(history.losses[0] - guessing) < 0.3

# %% [markdown]
# Before any training the loss is not far from the **logarithm of the number of classes**, log C. It is the cheapest
# test there is: if your first loss is far from it, something is wrong with logits or targets.
#
# What the network has learned is a threshold. Where the histograms overlap, no threshold can be right. See what that
# looks like on two test tiles: bright nuclei come out too fat, dim ones too thin, and the haze between nuclei that are
# close is taken for nucleus.

# %%
guesses = test_logits.argmax(1)  # (4, 128, 128)
some = [1, 3]
errors = torch.where(guesses == test_mask, 0, torch.where(test_mask == 1, 2, 1))  # (4, 128, 128)
pictures, titles = [], []
for tile in some:
    pictures += [1.5 * test_images[tile].sqrt(), test_mask[tile], guesses[tile], errors[tile]]
    titles += ["test tile", "truth", "prediction", "errors"]
legend = ["background, or no error", "nucleus, or too much", "missed"]
show(
    show_images(pictures, titles, columns=4, class_names=legend, width=10),
    alt="Two tiles with their true masks, the predicted masks and the errors. Nearly all nuclei are found, with frayed "
    "outlines. Bright nuclei come out too fat, dim ones too thin, and where nuclei are close, the haze between them is "
    "taken for nucleus, so that they run together.",
)

accuracy = pixel_accuracy(test_logits, test_mask)
background = (test_mask == 0).float().mean().item()
print(f"this network:    {accuracy:.1%} of the pixels right")
print(f"all background:  {background:.1%} of the pixels right")
assert accuracy > 0.9 and 0.7 < background < 0.8

# %% [markdown]
# ## The metric: intersection over union
#
# More than nine pixels in ten are right. But an answer that finds **no nucleus at all** has more than seven in ten.
# Pixel accuracy is an average over pixels, and most pixels are background, so it mostly says how well you find
# nothing.
#
# The last slide of this lesson has the better question. Take the pixels that truth and prediction share, and divide by
# those that either of them has:
#
# $$\text{IoU} = \frac{\text{Intersection}}{\text{Union}}$$
#
# It is 1 for a perfect answer and 0 if they have nothing in common. What lies outside of both is not in it, so an ocean
# of easy pixels helps nobody. The slide draws two squares; let us count them.

# %%
truth, moved = torch.zeros(32, 32, dtype=torch.bool), torch.zeros(32, 32, dtype=torch.bool)
truth[10:18, 10:18] = True  # 8 x 8 pixels
moved[12:20, 12:20] = True  # the same square, 2 pixels down and 2 to the right
both, either = (truth & moved).sum().item(), (truth | moved).sum().item()
print(f"{both} pixels in both, {either} in either, IoU {both / either:.2f}")
print(f"pixels right: {(truth == moved).float().mean():.1%}")
assert (both, either) == (6 * 6, 2 * 64 - 6 * 6) and abs((truth == moved).float().mean() - 0.945) < 1e-3

figure = Figure(figsize=(9, 3.2), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
for start, colour, name in ((10, "#0072b2", "truth"), (12, "#d55e00", "prediction")):
    left.add_patch(Rectangle((start, start), 8, 8, facecolor=colour, alpha=0.35))
    line = "-" if name == "truth" else "--"
    left.add_patch(
        Rectangle((start, start), 8, 8, fill=False, edgecolor=colour, linewidth=2, linestyle=line, label=name)
    )
left.set(xlim=(0, 32), ylim=(32, 0), aspect="equal", xlabel="column, pixels", ylabel="row, pixels")
left.set_title(f"IoU = {both} / {either} = {both / either:.2f}", fontsize=10)
left.legend(frameon=False, loc="lower left", fontsize=9)
for side, marker, colour in ((8, "o", "#0072b2"), (16, "s", "#d55e00"), (32, "^", "#009e73")):
    shared = [(side - shift) ** 2 for shift in range(7)]
    ious = [common / (2 * side**2 - common) for common in shared]
    right.plot(range(7), ious, marker=marker, color=colour, label=f"{side} × {side} pixels")
right.set(
    title="a square, moved along the diagonal",
    xlabel="moved by, pixels in each direction",
    ylabel="IoU",
    ylim=(0, 1.05),
)
right.legend(frameon=False)
show(
    figure,
    alt="Left: two overlapping squares of 8 by 8 pixels, one moved by 2 pixels in both directions. Right: IoU against "
    "the shift, for squares of 8, 16 and 32 pixels: it falls for all, and much faster for the smaller squares.",
)
assert round(both / either, 2) == 0.39 and ious[2] > 0.75  # the last curve is that of 32 x 32

# %% [markdown]
# Two pixels off, and the IoU of a square of 8 × 8 pixels is down to 0.39, while 94.5 % of the picture's pixels are
# right. IoU is strict, and it is stricter with small objects: a border of one pixel is a large part of them.
#
# With several classes there is one IoU per class, and their mean is the **mean IoU, mIoU**. All that is needed is the
# **confusion matrix**: how many pixels of class t were called p. Its rows are the truth, its columns the prediction.
# Here are two tiny pictures with four classes and one unlabelled pixel.

# %%
truths = [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 255]]  # two pictures of 2 x 4 pixels, row after row
answers = [[0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 2, 0]]

matrices = []  # one per picture
for picture_truth, picture_answer in zip(truths, answers, strict=True):
    matrix = [[0] * 4 for _ in range(4)]
    for t, p in zip(picture_truth, picture_answer, strict=True):
        if t != 255:
            matrix[t][p] += 1
    matrices.append(matrix)
whole = [[matrices[0][t][p] + matrices[1][t][p] for p in range(4)] for t in range(4)]
print("truth \\ prediction", "".join(f"{p:4}" for p in range(4)))
for t in range(4):
    print(f"{t:18} ", "".join(f"{n:4}" for n in whole[t]))

for c in range(4):
    here, there = sum(whole[c]), sum(whole[t][c] for t in range(4))  # pixels in the truth, pixels predicted
    union = here + there - whole[c][c]
    print(f"class {c}: intersection {whole[c][c]:2}, union {here:2} + {there} - {whole[c][c]} = {union}")
assert whole == [[10, 0, 1, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]

# %% [markdown]
# Class 0 has an IoU of 10 / 12, class 1 has 3 / 4. Class 2 was predicted once and is nowhere in the truth: 0 / 1, an
# IoU of 0. **Class 3 occurs nowhere: 0 / 0.** Nothing was there, nothing was said. Is that right, wrong, or no answer?
#
# Everybody who writes a metric has to decide this, and two things more: what a class counts that was only predicted,
# and whether to count over all pictures together or in each by itself. They decide differently. These are conventions
# from well known code and papers, on these two pictures.


# %%
def overlaps(matrix):
    """Of each of the four classes: intersection, union, pixels in the truth."""
    columns = [sum(matrix[t][c] for t in range(4)) for c in range(4)]
    return [(matrix[c][c], sum(matrix[c]) + columns[c] - matrix[c][c], sum(matrix[c])) for c in range(4)]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


all_pixels = overlaps(whole)
counts = torch.tensor(all_pixels).T  # (3, 4)
pairs = [*overlaps(matrices[0]), *overlaps(matrices[1])]  # one entry per picture and class
conventions = {
    "0 / 0 left in\n(torchvision's training script)": (counts[0] / counts[1]).mean().item(),
    "class absent = 0\n(SegNet's script)": mean(i / u if u else 0 for i, u, _ in all_pixels),
    "class nowhere: left out\n(FCN, torchmetrics Jaccard; this course)": mean(i / u for i, u, _ in all_pixels if u),
    "left out, each picture for itself\n(torchmetrics MeanIoU)": mean(i / u for i, u, _ in pairs if u),
    "class absent = 1\n(segmentation-models-pytorch, macro)": mean(i / u if u else 1 for i, u, _ in all_pixels),
    "all classes in one pot\n(micro)": sum(i for i, _, _ in all_pixels) / sum(u for _, u, _ in all_pixels),
    "only classes in the truth\n(a footnote of the FCN paper)": mean(i / u for i, u, t in all_pixels if t),
    "only in the truth, each picture for itself\n(MONAI)": mean(i / u for i, u, t in pairs if t),
}
figure = Figure(figsize=(9, 4.2), layout="constrained")
axis = figure.subplots()
heights = [0.0 if value != value else value for value in conventions.values()]
colours = ["#e69f00" if "this course" in name else "#56b4e9" for name in conventions]
bars = axis.barh(list(conventions), heights, color=colours, edgecolor="black")
axis.bar_label(bars, ["nan" if value != value else f"{value:.4f}" for value in conventions.values()], padding=4)
axis.invert_yaxis()
axis.tick_params(axis="y", labelsize=8)
axis.set(title='the same 15 pixels, eight times "mean IoU"', xlabel="mean IoU", xlim=(0, 1))
show(
    figure,
    alt="Bars of the mean IoU of the same confusion matrix by eight conventions: nan, 0.3958, 0.5278, 0.6018, 0.6458, "
    "0.7647, 0.7917 and 0.8024. The third is the one of this course.",
)
found = [round(value, 4) for value in conventions.values() if value == value]
assert found == [0.3958, 0.5278, 0.6018, 0.6458, 0.7647, 0.7917, 0.8024]

# %% [markdown]
# From 0.40 to 0.80 for one and the same prediction. Nobody is lying; they answer different questions and call them by
# one name. So when you compare two published numbers, first compare the code that made them.
#
# Ours is the most common convention. **Add up the confusion matrix over all pictures. Leave out classes that are
# neither in the truth nor in the prediction. Keep a class that was only predicted: it counts 0**, for somebody
# invented it. And never average the mIoU of batches, since the result would depend on how you cut them.
#
# ## Where one pixel is not enough
#
# Now both measures on both data sets. The same kind of network, again one pixel at a time, learns the five classes of
# our scenes from their colours, and we compare it with an answer that says "background" everywhere.

# %%
train, val = load_scenes("train", size=64, count=400, seed=0), load_scenes("val", size=64, count=100, seed=0)
torch.manual_seed(0)
colour_net = nn.Sequential(
    *(nn.Conv2d(3, 32, kernel_size=1), nn.ReLU()),
    *(nn.Conv2d(32, 32, kernel_size=1), nn.ReLU()),
    nn.Conv2d(32, len(CLASSES), kernel_size=1),
)
fit(colour_net, train.images, train.masks, steps=300, batch_size=8, lr=1e-2, seed=0)
scene_logits = predict_logits(colour_net, val.images)  # (100, 5, 64, 64)

nuclei_nothing = F.one_hot(torch.zeros_like(test_mask), 2).permute(0, 3, 1, 2)  # (4, 2, 128, 128), always class 0
scenes_nothing = F.one_hot(torch.zeros_like(val.masks), 5).permute(0, 3, 1, 2)  # (100, 5, 64, 64), always class 0
results = {}
print(f"{'':24}{'pixel accuracy':>15}{'mIoU':>8}")
for name, answer, truth in (
    ("nuclei, all background", nuclei_nothing, test_mask),
    ("nuclei, single pixels", test_logits, test_mask),
    ("scenes, all background", scenes_nothing, val.masks),
    ("scenes, single pixels", scene_logits, val.masks),
):
    results[name] = pixel_accuracy(answer, truth), miou(answer, truth)
    print(f"{name:24}{results[name][0]:15.3f}{results[name][1]:8.3f}")

shares = train.masks.flatten().bincount() / train.masks.numel()  # (5,)
constant = shares.log().view(1, 5, 1, 1).expand_as(scene_logits)  # (100, 5, 64, 64), the same odds for every pixel
losses = cross_entropy(constant, val.masks).item(), cross_entropy(scene_logits, val.masks).item()
print(f"loss on the scenes: {losses[0]:.2f} if every pixel gets the classes' shares, {losses[1]:.2f} by its colour")

chances = 1 - scene_logits.softmax(1)[:, 0]  # (100, 64, 64), that it is any of the clothes
pixels = torch.stack([val.images.mean(1).flatten(), chances.flatten()])  # (2, number of pixels)
print(f"correlation of brightness and probability of clothes: {torch.corrcoef(pixels)[0, 1]:.2f}")
assert torch.corrcoef(pixels)[0, 1] > 0.7

some = val.masks.flatten(1).gt(0).float().mean(1).sub(0.3).abs().argsort()[:4]  # about 30 % clothes
figure = show_images(
    [*val.images[some], *val.masks[some], *chances[some], *scene_logits.argmax(1)[some]],
    [*["scene"] * 4, *["truth"] * 4, *["probability of clothes, 0 to 1"] * 4, *["prediction"] * 4],
    columns=4,
    class_names=CLASSES,
    width=8.5,
)
for axis in figure.axes[8:12]:
    axis.images[0].set_clim(0, 1)
show(
    figure,
    alt="Four scenes and their true masks; below these maps of the probability of clothes, which is higher where "
    "the scene is bright; and the predicted masks: background nearly everywhere, with a few specks.",
)
assert results["nuclei, single pixels"][1] > 0.8 and round(results["nuclei, all background"][1], 3) == 0.385
assert round(results["scenes, all background"][1], 3) == 0.154
assert abs(results["scenes, single pixels"][0] - results["scenes, all background"][0]) < 0.04
assert results["scenes, single pixels"][1] < 0.25 and losses[1] < losses[0] - 0.08

# %% [markdown]
# On the nuclei both measures see that something was learned, and mIoU sees it far more clearly: from 0.385 to above
# 0.8, where accuracy only goes from 0.77 to above 0.9. On the scenes accuracy tells a comfortable story: three pixels
# in four are right. **The mIoU tells the truth: as good as nothing was found.** With five classes, the answer "all
# background" gets one fifth of the background's IoU, 0.154.
#
# The third row shows that the network is not asleep. It has learned that bright pixels are more likely to be clothes,
# and its loss is well below that of a constant. But a colour cannot tell a shoe from a bag, so the chance of clothes is
# divided among four classes, and background wins nearly everywhere. No amount of training changes that: two pixels of
# one colour always get one answer. **What a pixel belongs to is written in its surroundings.** A sleeve, a handle, two
# legs: one has to see them.
#
# ## Summary
#
# 1. Semantic, boundary and instance segmentation ask for different answers, and the targets of all three come from
#    one instance map.
# 2. Convolution keeps the place of things, pooling makes it coarser, and a classifier's last layers throw it away.
# 3. The loss is cross entropy at each pixel, averaged over the valid ones; its gradient is probability minus one-hot,
#    and a first loss far from log C means a mistake.
# 4. Pixel accuracy mostly measures the background. IoU = intersection / union does not, and it is strict with small
#    objects.
# 5. One confusion matrix over all pictures, classes that occur nowhere left out, the mean over the rest: this is our
#    mIoU, and other people's may be another number.
#
# ## What to read
#
# * Jonathan Long, Evan Shelhamer, Trevor Darrell: *Fully convolutional networks for semantic segmentation*, CVPR
#   2015, section 5: the four metrics that everybody has reported since, from one confusion matrix.
# * Mark Everingham and others: *The PASCAL Visual Object Classes Challenge: a retrospective*, IJCV 2015, section 2.4:
#   how the competition that made IoU common measured its entries.
# * Ian Goodfellow, Yoshua Bengio, Aaron Courville: *Deep learning*, MIT Press 2016, section 6.2.2.3: softmax, its log
#   loss, and how to compute them without overflow.
#
# ## What the next lesson repairs
#
# We have a task, a loss and a metric, and a network that sees one pixel at a time. Classifiers do see surroundings: 64
# × 64 pixels at once, and they tell shoes from bags. But they give one label for a whole picture. Lesson 02 takes such
# a classifier as it is, without changing a weight, and asks it about every place of the picture.
