# %% [markdown]
# # 01 · Tasks, loss, metric
#
# A classifier looks at a picture and says "trousers". **Segmentation** answers for every pixel: these belong to the
# trousers, those to the shoe, and the rest to nothing at all. This course follows the ideas that brought deep learning
# there, each of which repairs what the one before had left broken.
#
# Lessons 02 and 03 make a network for masks out of a classifier. Lesson 04 asks why such networks compress the picture
# at all. Lessons 05 to 08 are four answers to the question that follows, how to get the resolution back: FCN,
# DeconvNet, SegNet and U-Net. Lesson 09 is about what people do today.
#
# You need to have trained a classifier in PyTorch; nothing about segmentation is assumed. Read and run the lecture,
# then solve its exercises. Each begins as a stub that raises `NotImplementedError`, so **red is where you start**:
# write the function, run its check, read what it expected and what it got, and repeat.
#
# This lesson settles what all later ones rely on: what we want (the **tasks**), how a network is trained for it (the
# **loss**) and how the result is measured (the **metric**).
#
# Slides: from "input image" to "metric in segmentation".

# %%
import torch
import torch.nn.functional as F
from torch import nn

from seglab.data.nuclei import load_nuclei
from seglab.data.scenes import CLASSES, SIZE_EDGES, load_scenes
from seglab.drawings import tasks_loss_metric as draw
from seglab.figures import loss_curve, show, show_images
from seglab.training import cross_entropy, fit, pixel_accuracy, predict_logits

# %% [markdown]
# ## One picture, three tasks
#
# Below is a piece of a real microscope picture, brightened for the eye. The bright spots are the nuclei of cells, each
# outlined by hand. The result is stored as an **instance map**: one integer per pixel, 0 for the background, then 1, 2,
# 3, … for one nucleus each. Three tasks ask for three different answers, and all targets follow from this map:
#
# * **Semantic segmentation:** the class of each pixel. Here there are two, background and nucleus, so the target is "is
#   the number above 0?". With more classes you also need a table of the class of each object.
# * **Boundary segmentation:** is this pixel on a border between two labels?
# * **Instance segmentation:** which *object* is it? This is the map itself.
#
# A border runs where the largest and the smallest number among the 3 × 3 pixels around a pixel differ. `max_pool2d`
# with a stride of 1 finds the largest; with the signs turned around it finds the smallest.

# %%
images, instances = load_nuclei("train")  # (12, 1, 128, 128), (12, 128, 128)
picture, objects = images[9], instances[9]  # (1, 128, 128), (128, 128)

semantic = (objects > 0).long()  # (128, 128)
numbers = objects[None].float()  # (1, 128, 128)
largest = F.max_pool2d(numbers, kernel_size=3, stride=1, padding=1)  # (1, 128, 128)
smallest = -F.max_pool2d(-numbers, kernel_size=3, stride=1, padding=1)  # (1, 128, 128)
boundary = (largest != smallest)[0].long()  # (128, 128)

answers = [1.5 * picture.sqrt(), semantic, boundary, objects]
show(
    show_images(answers, ["input image", "semantic", "boundary", f"instances: {objects.max()} nuclei"], width=10),
    alt="Four pictures side by side: bright oval nuclei on grey; the same nuclei as a mask of one colour, where those "
    "that touch have run together; the outlines of all nuclei; and the nuclei in colours that differ from neighbour to "
    "neighbour.",
)

# %% [markdown]
# In the semantic mask, nuclei that touch are one blob, and rightly so, because both have the same class. To see how
# much is lost in this way, count the connected pieces. The function below gives each pixel of the mask a number of its
# own, and lets it take the largest number among its neighbours, again and again, until nothing changes.


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
# Semantic and boundary mask **together** give the 16 objects back. So a network that gives one class to each pixel
# still separates cells if "boundary" is one of the classes (and no nucleus is so thin that all of it is boundary).
# Until lesson 08 comes back to this, our task is semantic segmentation.
#
# ## The parts we have
#
# You know the parts of classifiers: convolution, pooling, dense (fully connected) layers, activation, global average
# pooling, batch normalization, and residual connections, which add a part's input to what it computes. Here is a small
# classifier with all of them. Its weights are random, because we only watch the shapes.
#
# The input is a window of one of our **scenes**: real product photos of clothes, in invented colours, pasted on real
# photos of bricks, gravel and the like, which makes the masks exact. There are four classes, top, trousers, shoe and
# bag, and the background.

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
parts["batch norm"].eval()


@torch.no_grad()
def through(window):
    """The window (1, 3, 64, 64), and what every part makes of it, by the part's name."""
    given, x = {"window": window}, window
    for name, part in parts.items():
        x = x + part(x) if name == "residual" else part(x)
        given[name] = x
    return given


scene = load_scenes("val", size=256, count=8, seed=0).images[2:3]  # (1, 3, 256, 256)
before = through(scene[:, :, 152:216, 20:84])
for name, x in before.items():
    print(f"{name:16}{' x '.join(map(str, x.shape[1:])):>14}")
assert [before[f"pooling {i}"].shape[-1] for i in (1, 2, 3)] == [32, 16, 8]
assert before["dense"].shape == (1, 5)

# %% [markdown]
# Ask of every part of the table: **does it keep the place?**
#
# * Convolution, activation, batch normalization and residual connection do. With padding, what was at row 10 is at row
#   10 afterwards.
# * Pooling does it roughly. After three poolings one position stands for 8 × 8 pixels.
# * Global average pooling throws the place away and keeps one number per channel.
# * A dense layer has a weight for every input. Here only channels are left for it to weigh; on a flattened map it would
#   know every position, at the price of a fixed input size.
#
# Move the content of the window 16 pixels to the right, and the maps follow, by 8, 4 and 2 positions. One channel of
# each is drawn; bright is a large number.

# %%
after = through(scene[:, :, 152:216, 4:68])  # the window 16 pixels further left, so its content 16 further right
for name, positions in (("pooling 1", 8), ("pooling 2", 4), ("pooling 3", 2)):
    here = before[name][..., 2:-2, 2 : -2 - positions]  # without the rim, which sees the padding
    there = after[name][..., 2:-2, 2 + positions : -2]
    print(f"{name}: moved by {positions} positions")
    assert torch.allclose(here, there, atol=1e-5)

drawn = ("window", "pooling 1", "pooling 2", "pooling 3")
show(
    draw.moved_maps({name: before[name] for name in drawn}, {name: after[name] for name in drawn}),
    alt="A window with a pair of trousers at its left, and three maps that the network makes of it, each half as wide "
    "as the one before. Below, the same for a window in which the trousers are 16 pixels further right: in every map "
    "the trousers are further right as well.",
)

# %% [markdown]
# Now shuffle the 8 × 8 positions of the last map like a deck of cards. The classifier's answer stays what it was, while
# a dense layer that reads the flattened map notices.

# %%
last = before["pooling 3"].flatten(2)  # (1, 32, 64), 64 positions
shuffled = last[:, :, torch.randperm(64)]  # (1, 32, 64)
on_flat = nn.Linear(32 * 64, len(CLASSES))
with torch.no_grad():
    pooled_change = (parts["dense"](shuffled.mean(2)) - before["dense"]).abs().max().item()
    flat_change = (on_flat(shuffled.flatten(1)) - on_flat(last.flatten(1))).abs().max().item()
print(f"with global average pooling, the answer changes by {pooled_change:.0e}")
print(f"a dense layer on the flattened map changes by      {flat_change:.2f}")
assert pooled_change < 1e-5 and flat_change > 1e-3

# %% [markdown]
# Either way, five numbers come out for the whole window, though the classifier works on maps nearly to its end. The
# next two lessons live on that.
#
# ## The loss: cross entropy, pixel by pixel
#
# Suppose that a network gives, for each pixel, one number per class: the **logits**, of shape (N, C, H, W), for N
# pictures, C classes, H rows and W columns. The **target** is the class mask, integers of shape (N, H, W), so that
# each pixel is a little classification.
#
# > The slide says: "Pixel-wise loss is calculated as the log loss, summed over all possible classes. This scoring is
# > repeated over all pixels and averaged."
#
# $$-\sum_{classes} y_{true} \log(y_{pred})$$
#
# Here $y_{pred}$ is the predicted probability of a class, and $y_{true}$ is 1 for the true class and 0 for all others,
# so one term counts: **minus the logarithm of the probability of the true class.**
#
# A logit is the logarithm of a probability that has not been normalised yet. If the exponentials of a pixel's logits
# are 8, 1 and 1, the softmax divides them by their sum, and the probabilities are 0.8, 0.1 and 0.1.
#
# The next cell works this out for 2 × 2 pixels and three classes. The last pixel is labelled **255**, "nobody knows".
# Real data sets have such pixels, and they must count for nothing.

# %%
powers = torch.tensor([[8.0, 1, 1], [1, 2, 1], [1, 1, 8], [1, 1, 1]])  # (4, 3), exponentials, pixel by pixel
logits = powers.log().T.reshape(1, 3, 2, 2).requires_grad_()  # (1, 3, 2, 2)
labels = [0, 1, 1, 255]
target = torch.tensor(labels).view(1, 2, 2)  # (1, 2, 2)

probabilities = powers / powers.sum(1, keepdim=True)  # (4, 3)
losses = []
for pixel, label in enumerate(labels):
    if label == 255:
        print(f"pixel {divmod(pixel, 2)}: not labelled")
        continue
    losses.append(-probabilities[pixel, label].log().item())
    print(
        f"pixel {divmod(pixel, 2)}: class {label} has probability {probabilities[pixel, label]:.2f}, "
        f"loss {losses[-1]:.3f}"
    )
by_torch = F.cross_entropy(logits, target, ignore_index=255)
print(f"mean over 3 pixels: {sum(losses) / 3:.4f}; PyTorch says {by_torch:.4f}; divided by 4: {sum(losses) / 4:.4f}")
assert abs(sum(losses) / 3 - by_torch) < 1e-4 and abs(by_torch - 1.0730) < 1e-4
assert abs(sum(losses) / 4 - 0.8047) < 1e-4 and abs(max(losses) - 2.303) < 1e-3 and abs(sum(losses) - 3.219) < 1e-3

certain = torch.tensor([[1.0, 0, 0]])  # (1, 3), the probabilities of a perfect answer, where logits are expected
print(f"a perfect answer after a softmax of its own: loss {F.cross_entropy(certain, torch.tensor([0])):.3f}")
assert abs(F.cross_entropy(certain, torch.tensor([0])) - 0.551) < 1e-3 and torch.tensor(1e4).exp() == float("inf")

# %% [markdown]
# Four things to take along.
#
# * A pixel that is **sure and wrong** costs most: 2.3 of the 3.2 in the sum are from one pixel.
# * **"Averaged over all pixels" means over the valid ones.** In a library that divides by all of them, loss and
#   gradient shrink wherever a picture has unlabelled parts.
# * A logit of 10,000 is allowed, but its exponential is infinite. In the exercise you will avoid that.
# * PyTorch's function takes **logits**. If your network ends with a softmax, the loss applies another one, and with
#   three classes even a perfect answer costs 0.551. Nothing crashes to tell you.
#
# What the loss tells the network to do is simple, too. Its gradient is **the probabilities, minus 1 at the true class,
# divided by the number of valid pixels.**

# %%
by_torch.backward()
gradient = logits.grad[0].flatten(1).T  # (4, 3)
one_hot = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]])  # (3, 3)
assert torch.allclose(gradient[:3], (probabilities[:3] - one_hot) / 3, atol=1e-6)
assert gradient[3].eq(0).all() and gradient.sum(1).abs().max() < 1e-6

show(
    draw.pushes(probabilities, gradient, labels),
    alt="For each of the four pixels, bars of the three probabilities and below them bars of the gradient. The true "
    "class is hatched; its gradient is negative, those of the others are positive, and they add up to zero. The "
    "sure and wrong pixel has the longest bars, the pixel labelled 255 has none.",
)

# %% [markdown]
# A step against the gradient lifts the true class and lowers the others, more where the network was more wrong, while
# the pixel labelled 255 pulls at nothing.
#
# ## A first network: one pixel at a time
#
# If segmentation is a classification of pixels, let us classify pixels, from the brightness of **this one pixel** and
# nothing else. A convolution with a 1 × 1 kernel is a dense layer that is applied to every pixel by itself, so two of
# them are a small network for masks. The microscope picture is cut into 16 tiles, twelve for training, which takes a
# few seconds, and four for testing.


# %%
def new_pixel_net():
    """(N, 1, H, W) -> (N, 2, H, W)"""
    return nn.Sequential(nn.Conv2d(1, 16, kernel_size=1), nn.ReLU(), nn.Conv2d(16, 2, kernel_size=1))


mask = (instances > 0).long()  # (12, 128, 128)
torch.manual_seed(0)
pixel_net = new_pixel_net()
history = fit(pixel_net, images, mask, steps=300, batch_size=4, lr=3e-2, seed=0)

guessing = torch.tensor(2.0).log().item()
show(
    loss_curve(history.losses, guessing, 2, "a network that sees one pixel"),
    alt="The loss begins a little below the dashed line of guessing, log 2, and falls to a quarter of it within about "
    "120 of the 300 steps.",
)
assert sum(history.losses[-50:]) / 50 < 0.3 * guessing

# %% [markdown]
# Whoever gives each of C classes the same probability pays log C per pixel, here log 2 = 0.69, and the first loss of
# an untrained network should be near it. To see how near, ask 20 fresh networks. Then ask them again with a common
# mistake, brightness from 0 to 255 instead of 0 to 1.

# %%
first = {1: [], 255: []}  # losses before any training, by the largest possible brightness
for seed in range(20):
    torch.manual_seed(seed)
    fresh = new_pixel_net()
    for scale, values in first.items():
        values.append(cross_entropy(predict_logits(fresh, scale * images), mask).item())
for scale, values in first.items():
    low, middle, high = min(values), sorted(values)[10], max(values)
    print(f"brightness from 0 to {scale:3}: first loss {low:.2f} to {high:.2f}, in the middle {middle:.2f}")
assert (
    round(guessing, 2) == 0.69
    and min(first[1]) > 0.45
    and max(first[1]) < 1.1
    and sorted(first[255])[10] > 3 * guessing
)

# %% [markdown]
# With proper inputs the first loss lies between 0.5 and 1.1. From about twice log C on, look at the scale of your
# inputs, the labels and the initial weights of the last layer.
#
# What has the network learned? Hand it a picture of all greys, and see from which brightness on it says "nucleus". We
# compare that with the best of all thresholds and with the histograms of both classes, drawn in two ways.

# %%
greys = torch.linspace(0, 1, 1001).view(1, 1, 1, 1001)  # (1, 1, 1, 1001)
says_nucleus = predict_logits(pixel_net, greys).argmax(1).flatten() == 1  # (1001,)
learned = greys.flatten()[says_nucleus].min().item()


def histograms(images, mask):
    """Pixels of background and of nucleus at each of the 256 levels of brightness: (2, 256)."""
    levels = (255 * images[:, 0]).round().long()  # (N, 128, 128)
    return torch.stack([levels[mask == label].bincount(minlength=256) for label in (0, 1)])  # (2, 256)


counts = histograms(images, mask)  # (2, 256)
shares = counts / counts.sum(1, keepdim=True)  # (2, 256), each class adds up to 1
crossings = [((one[1] > one[0]).nonzero()[0] / 255).item() for one in (shares, counts)]
right = [counts[0, :level].sum() + counts[1, level:].sum() for level in range(256)]  # pixels, by threshold
best = torch.stack(right).argmax().item() / 255
print(f"curves cross at {crossings[0]:.3f} and {crossings[1]:.3f}, best threshold {best:.3f}, learned {learned:.3f}")
assert [round(value, 3) for value in (*crossings, best)] == [0.141, 0.169, 0.169] and abs(learned - best) < 0.015
assert counts[0].sum() > 4 * counts[1].sum()

show(
    draw.two_histograms(counts, crossings, learned),
    alt="Two histograms of brightness. As shares of each class, a high narrow curve for the background crosses that of "
    "the nuclei at 0.141, left of the learned threshold. As numbers of pixels the nuclei's curve is much lower, the "
    "crossing moves right to 0.169, and the learned threshold is beside it.",
)

# %% [markdown]
# It has learned a threshold, and a good one. If each class is drawn with an area of 1, as on the left, the curves cross
# at 0.141, but fewest pixels are wrong at 0.169. There are more than four times as many background pixels, so at a
# brightness of 0.141 most pixels still belong to the background. In numbers of pixels, on the right, the curves cross
# at the best threshold.
#
# Could longer training do better? A rule that sees only the brightness gives one answer per level, so the best of all
# such rules, threshold or not, can be counted: at each level, take the more frequent class.

# %%
test_images, test_instances = load_nuclei("test")  # (4, 1, 128, 128), (4, 128, 128)
test_mask = (test_instances > 0).long()  # (4, 128, 128)
limits = {}
for name, some_images, some_mask in (("training", images, mask), ("test", test_images, test_mask)):
    counts = histograms(some_images, some_mask)  # (2, 256)
    limits[name] = (counts.amax(0).sum() / counts.sum()).item()
    accuracy = pixel_accuracy(predict_logits(pixel_net, some_images), some_mask)
    nothing = (some_mask == 0).float().mean().item()
    print(
        f"{name:8} tiles: {accuracy:.1%} of the pixels right; best rule for these tiles {limits[name]:.1%}; "
        f"all background {nothing:.1%}"
    )
    assert limits[name] - 0.01 < accuracy < limits[name] + 1e-6
assert limits["test"] < limits["training"] - 0.01 and round(100 * limits["test"], 1) == 92.8
assert round(100 * nothing, 1) == 76.9

test_answer = predict_logits(pixel_net, test_images).argmax(1)  # (4, 128, 128)
shown = [1, 3]
show(
    draw.masks_and_errors(1.5 * test_images[shown].sqrt(), test_mask[shown], test_answer[shown]),
    alt="Two tiles with their true masks, the network's masks and the errors. Outlines are frayed. Bright nuclei come "
    "out too fat, dim ones too thin, and where nuclei are close, the haze between them is taken for nucleus, so that "
    "they run together.",
)

# %% [markdown]
# On its training tiles the network is where the best rule is: what is missing to 100 % cannot be seen in one pixel, and
# more training would not help. The test tiles are harder, even for the best rule made for them. Bright nuclei come out
# too fat, dim ones too thin, and the haze between nuclei that are close is taken for nucleus.
#
# ## The metric: intersection over union
#
# More than nine pixels in ten are right. But an answer that finds **no nucleus at all** has 76.9 % of the test pixels
# right. Most pixels are background, so pixel accuracy mostly says how well you find nothing. A better question, asked
# for one class: of the pixels that truth *or* answer call nucleus, what share do *both* call nucleus?
#
# > The slide says: IoU = Intersection / Union, beside two squares that overlap.
#
# It is 1 for a perfect answer and 0 if they have nothing in common, and easy pixels outside of both do not count. Try a
# square of 8 × 8 pixels, and the same square moved by two.

# %%
truth, moved = torch.zeros(32, 32, dtype=torch.bool), torch.zeros(32, 32, dtype=torch.bool)
truth[10:18, 10:18] = True  # 8 x 8 pixels
moved[12:20, 12:20] = True  # the same square, 2 pixels down and 2 to the right
both, either = (truth & moved).sum().item(), (truth | moved).sum().item()
print(f"{both} pixels in both, {either} in either, IoU {both / either:.2f}")
print(f"pixels right: {(truth == moved).float().mean():.1%}")
assert (both, either) == (6 * 6, 2 * 64 - 6 * 6) and abs((truth == moved).float().mean() - 0.945) < 1e-3

curves = {}
for side in (8, 16, 32):
    shared = [(side - shift) ** 2 for shift in range(7)]  # pixels in both, by shift
    curves[side] = [common / (2 * side**2 - common) for common in shared]
assert round(curves[8][2], 2) == round(both / either, 2) == 0.39 and round(curves[32][2], 2) == 0.78
show(
    draw.squares(10, 2, 8, curves),
    alt="Left: two overlapping squares of 8 by 8 pixels, one moved by 2 pixels in both directions. Right: IoU against "
    "the shift, for squares of 8, 16 and 32 pixels: it falls for all, and much faster for the smaller squares.",
)

# %% [markdown]
# Two pixels off, and the IoU is down to 0.39, while 94.5 % of the picture's pixels are right. IoU is strict, above all
# with small objects, of which a border of one pixel is a large part: a square of 32 × 32 still has 0.78.
#
# With several classes there is one IoU per class, and their mean is the **mean IoU, mIoU**. All that is needed is the
# **confusion matrix**: how many pixels of class t were called p. Its rows are the truth, its columns the answer. Here
# are two tiny pictures with four classes and one unlabelled pixel.

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
print("truth \\ answer", "".join(f"{p:4}" for p in range(4)))
for t in range(4):
    print(f"{t:14}", "".join(f"{n:4}" for n in whole[t]))
assert whole == [[10, 0, 1, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]

# %% [markdown]
# Class 0 has 11 pixels in the truth and 11 in the answer, 10 of them in both: an IoU of 10 / 12. Class 1 has 3 / 4.
# Class 2 was predicted once and is nowhere in the truth: 0 / 1, an IoU of 0. **Class 3 occurs nowhere: 0 / 0.** Is that
# right, wrong, or no answer?
#
# Everybody who writes a metric has to decide this, and also whether to count over all pictures together or in each by
# itself. Here are eight conventions from well known code and papers, on the 15 labelled pixels of our two pictures.


# %%
def overlaps(matrix):
    """Of each of the four classes: intersection, union, pixels in the truth."""
    columns = [sum(matrix[t][c] for t in range(4)) for c in range(4)]
    return [(matrix[c][c], sum(matrix[c]) + columns[c] - matrix[c][c], sum(matrix[c])) for c in range(4)]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


all_pixels = overlaps(whole)
pairs = [*overlaps(matrices[0]), *overlaps(matrices[1])]  # one entry per picture and class
ours = "class nowhere: left out\n(mmsegmentation, torchmetrics Jaccard; this course)"
conventions = {
    "0 / 0 left in\n(torchvision's training script)": mean(i / u if u else float("nan") for i, u, _ in all_pixels),
    "class absent = 0\n(SegNet's script)": mean(i / u if u else 0 for i, u, _ in all_pixels),
    ours: mean(i / u for i, u, _ in all_pixels if u),
    "left out, each picture by itself\n(formula of torchmetrics MeanIoU)": mean(i / u for i, u, _ in pairs if u),
    "class absent = 1\n(segmentation-models-pytorch, macro)": mean(i / u if u else 1 for i, u, _ in all_pixels),
    "all classes in one pot\n(micro)": sum(i for i, _, _ in all_pixels) / sum(u for _, u, _ in all_pixels),
    "only classes in the truth\n(the FCN paper, for SIFT Flow)": mean(i / u for i, u, t in all_pixels if t),
    "only in the truth, each picture by itself\n(MONAI)": mean(i / u for i, u, t in pairs if t),
}
show(
    draw.convention_bars(conventions, ours),
    alt="Bars of the mean IoU of the same answer by eight conventions: nan, 0.3958, 0.5278, 0.6018, 0.6458, 0.7647, "
    "0.7917 and 0.8024. The third is the one of this course.",
)
found = [round(value, 4) for value in conventions.values() if value == value]
assert found == [0.3958, 0.5278, 0.6018, 0.6458, 0.7647, 0.7917, 0.8024]

# %% [markdown]
# From 0.40 to 0.80 for one and the same answer: before you compare two published numbers, compare the code that made
# them. The authors of FCN used two conventions themselves: their code leaves out classes that are nowhere, while a
# footnote of their paper counts only classes of the truth, for the data set SIFT Flow. Nor does every metric know
# unlabelled pixels: torchmetrics' `MeanIoU` has no `ignore_index` and refuses the label 255, so its formula is applied
# here without that pixel.
#
# Ours is the third. **Add up the confusion matrix over all pictures. Leave out classes that are neither in the truth
# nor in the answer. Keep a class that was only predicted: it counts 0.** Never average the mIoU of batches, since the
# result would depend on how you cut them.
#
# ## Words about objects
#
# Said of objects, these words have one meaning in the whole course. The **size** is the number of visible pixels; in
# pictures of 128 × 128, *tiny* begins at 20, *small* at 80, *medium* at 320 and *large* at 1,280 square pixels, and in
# other pictures these limits grow or shrink with the area of the picture. An
# object is **found** if more than half of its pixels were given its class; otherwise it is **lost**. **Recall** is the
# share of objects that are found. Since it can be bought by painting a lot, **precision** always stands beside it, the
# share of painted pixels (called anything but background) whose class is right. Here are three answers for the test
# tiles.


# %%
def object_recall(answer, truth, instances):
    """The share of objects of which more than half of the pixels have their class in the answer."""
    found = []
    for right, numbers in zip(answer == truth, instances, strict=True):
        found += [right[numbers == number].float().mean() > 0.5 for number in range(1, numbers.max() + 1)]
    return sum(found).item() / len(found)


def precision(answer, truth):
    """The share of painted pixels whose class is right; NaN if nothing is painted."""
    return (answer == truth)[answer > 0].float().mean().item()


def ious(answer, truth):
    """Intersection over union of the classes in the truth."""
    return [
        ((answer == c) & (truth == c)).sum().item() / ((answer == c) | (truth == c)).sum().item()
        for c in truth.unique()
    ]


assert SIZE_EDGES == (20, 80, 320, 1280)
three = {"all background": 0 * test_mask, "single pixels": test_answer, "all nucleus": 0 * test_mask + 1}
measured = {}
print(f"{'':16}accuracy   mIoU  IoU background, nucleus  recall  precision")
for name, answer in three.items():
    background, nucleus = ious(answer, test_mask)
    recall, exact = object_recall(answer, test_mask, test_instances), precision(answer, test_mask)
    measured[name] = (answer == test_mask).float().mean().item(), (background + nucleus) / 2, recall, exact
    print(
        f"{name:16}{measured[name][0]:8.3f}{measured[name][1]:7.3f}{background:12.3f}{nucleus:13.3f}"
        f"{recall:8.2f}{exact:11.2f}"
    )
assert abs(measured["all background"][1] - 0.385) < 1e-3 and measured["all background"][2] == 0
assert measured["all nucleus"][2] == 1 and abs(measured["all nucleus"][3] - 0.23) < 0.005
assert measured["single pixels"][0] > 0.9 and measured["single pixels"][1] > 0.8
assert measured["single pixels"][2] > 0.8 and measured["single pixels"][3] > 0.75

# %% [markdown]
# From "all background" to the network, accuracy rises from 0.77 to above 0.9, and mIoU from 0.385 to above 0.8. "All
# nucleus" finds every object, with a precision of 0.23.
#
# ## Where one pixel is not enough
#
# The same kind of network now learns the five classes of our scenes from their colours, one pixel at a time. We train
# it twice from the same initial weights, on colours $x$ from 0 to 1 as they are, and on $4x - 2$, which spreads them
# from −2 to
# 2. Starting weights are made for inputs around 0 with a spread near 1, so training is quicker there; the exercises
# scale scenes in this way. Each training takes about five seconds.

# %%
train, val = load_scenes("train", size=64, count=400, seed=0), load_scenes("val", size=64, count=100, seed=0)
colour_logits, last_loss = {}, {}
for name, factor, shift in (("x", 1, 0), ("4x - 2", 4, 2)):
    inputs = factor * train.images - shift  # (400, 3, 64, 64)
    torch.manual_seed(0)
    colour_net = nn.Sequential(
        *(nn.Conv2d(3, 32, kernel_size=1), nn.ReLU()),
        *(nn.Conv2d(32, 32, kernel_size=1), nn.ReLU()),
        nn.Conv2d(32, len(CLASSES), kernel_size=1),
    )
    history = fit(colour_net, inputs, train.masks, steps=300, batch_size=8, lr=1e-2, seed=0)
    colour_logits[name] = [predict_logits(colour_net, factor * one.images - shift) for one in (train, val)]
    last_loss[name] = sum(history.losses[-50:]) / 50
    print(f"{name:6}: mean {inputs.mean():5.2f}, spread {inputs.std():.2f}, loss after 300 steps {last_loss[name]:.2f}")
assert last_loss["4x - 2"] < last_loss["x"] - 0.03

# %% [markdown]
# Both networks (one seed each) on the scenes they were trained on and on new ones, beside "all background":

# %%
rows = {"all background": [0 * train.masks, 0 * val.masks]}
rows |= {f"single pixels, {name}": [logits.argmax(1) for logits in both] for name, both in colour_logits.items()}
scores = {}
print(f"{'':22}training: acc.   mIoU   validation: acc.   mIoU   IoU of {', '.join(CLASSES)}")
for name, (on_train, on_val) in rows.items():
    each = ious(on_val, val.masks)
    accuracies = [(got == one.masks).float().mean().item() for got, one in ((on_train, train), (on_val, val))]
    scores[name] = *accuracies, mean(ious(on_train, train.masks)), mean(each)
    print(
        f"{name:22}{accuracies[0]:14.3f}{scores[name][2]:7.3f}{accuracies[1]:18.3f}{scores[name][3]:7.3f}   "
        + " ".join(f"{value:.2f}" for value in each)
    )
nothing, network = scores["all background"], scores["single pixels, 4x - 2"]
assert round(nothing[1], 3) == 0.772 and round(nothing[3], 3) == 0.154
assert (
    0.77 < network[1] < 0.82
    and max(each[1:]) < 0.2
    and network[2] < 0.3
    and network[3] < 0.3
    and abs(network[2] - network[3]) < 0.06
)

# %% [markdown]
# By accuracy this looks comfortable, with nearly four pixels in five right. But mIoU is below 0.3, of which "all
# background" gets 0.154 already, and every class of clothes has an IoU below 0.2. Training and validation scenes agree,
# so the network has not learned its scenes by heart.
#
# Is it the **class imbalance**? More than three quarters of the pixels are background, so a network in doubt says
# "background". We can take that away afterwards, dividing each probability by the share of its class in the training
# scenes, which means subtracting the logarithm of the share from the logits.

# %%
prior = train.masks.flatten().bincount() / train.masks.numel()  # (5,), the share of each class
logits = colour_logits["4x - 2"][1]  # (100, 5, 64, 64)
two = {"as trained": logits.argmax(1), "balanced": (logits - prior.log().view(1, 5, 1, 1)).argmax(1)}
objects_found, exact = {}, {}
for name, answer in two.items():
    objects_found[name] = object_recall(answer, val.masks, val.instances)
    exact[name] = precision(answer, val.masks)
    print(f"{name:10}: recall {objects_found[name]:.2f}, precision {exact[name]:.2f}")
any_clothes = (val.masks > 0)[two["balanced"] > 0].float().mean().item()
print(f"of what the balanced answer paints, {any_clothes:.0%} is clothes of some kind")
assert (
    prior[0] > 0.75
    and any_clothes > 0.5
    and objects_found["balanced"] > objects_found["as trained"] + 0.05
    and objects_found["balanced"] < 0.35
)
assert exact["balanced"] < exact["as trained"] - 0.03 and exact["as trained"] < 0.5

some = val.masks.flatten(1).gt(0).float().mean(1).sub(0.3).abs().argsort()[:4]  # about 30 % clothes
pictures = [*val.images[some], *val.masks[some], *two["as trained"][some], *two["balanced"][some]]
titles = [title for title in ("scene", "truth", "as trained", "balanced") for _ in some]
show(
    show_images(pictures, titles, columns=4, class_names=CLASSES, width=8.5),
    alt="Four scenes and their true masks. Below these the network's answer, background with parts of some objects, "
    "and the balanced one, which paints most of the clothes, often in two or three classes at once.",
)

# %% [markdown]
# Balanced, the network finds more objects, and its precision falls. Most of what it paints is clothes of some kind, but
# it guesses which, so imbalance is only a part of the matter.
#
# The best of all rules for single pixels can be counted again: a table with the most frequent class of every colour in
# the training scenes, with 16 levels per colour channel, or with all 256.

# %%
by_heart = {}
for levels in (16, 256):
    cells = [(one.images * 255).round().long() * levels // 256 for one in (train, val)]  # (N, 3, 64, 64) each
    names = [(cell[:, 0] * levels + cell[:, 1]) * levels + cell[:, 2] for cell in cells]  # (N, 64, 64) each
    known, entry = torch.cat(names).unique(return_inverse=True)  # the colours that occur, (500, 64, 64)
    on_train, on_val = entry.split([len(train), len(val)])
    table = torch.stack([on_train[train.masks == c].bincount(minlength=len(known)) for c in range(5)])  # (5, colours)
    best = table.argmax(0)  # a colour that never occurred in training is background
    by_heart[levels] = mean(ious(best[on_train], train.masks)), mean(ious(best[on_val], val.masks))
    print(
        f"{levels:3} levels: mIoU on training scenes {by_heart[levels][0]:.2f}, on new ones {by_heart[levels][1]:.2f}"
    )
assert by_heart[256][0] > 0.9 and by_heart[256][1] < 0.17 and by_heart[16][1] < 0.25

# %% [markdown]
# With all its colours the table fits the training scenes to a mIoU above 0.9, so single pixels *can* fit. On new scenes
# it falls to 0.16, the level of "all background". It has learned by heart which colours this shirt and that bag have,
# and the next shirt has others. For the nuclei the input set a limit that shows in training too; here the rule fits and
# does not **generalise**. What helps is the same: **what a pixel belongs to is written in its surroundings.** A sleeve,
# a handle, two legs: one has to see them.
#
# ## Summary
#
# 1. Semantic, boundary and instance segmentation ask for different answers; all targets come from one instance map.
# 2. Convolution keeps the place of things, pooling makes it coarser, and global average pooling throws it away.
# 3. The loss is cross entropy, averaged over the valid pixels; its gradient is probability minus one-hot, and a first
#    loss of twice log C points to a mistake.
# 4. Pixel accuracy mostly measures the background. IoU = intersection / union does not, and it is strict with small
#    objects. Recall of objects needs precision beside it.
# 5. Our mIoU: one confusion matrix over all pictures, classes that occur nowhere left out, the mean over the rest.
#
# ## What to read
#
# * Jonathan Long, Evan Shelhamer, Trevor Darrell: *Fully convolutional networks for semantic segmentation*, CVPR 2015,
#   section 5: the four metrics that many papers report, mean IU (our mIoU) among them.
# * Mark Everingham and others: *The PASCAL Visual Object Classes Challenge: a retrospective*, IJCV 2015, section 2.4:
#   the competition that made IoU common.
# * Ian Goodfellow, Yoshua Bengio, Aaron Courville: *Deep learning*, MIT Press 2016, section 6.2.2.3: softmax and its
#   log loss, without overflow.
#
# ## What the next lesson repairs
#
# You have a task, a loss and a metric, and a network that sees one pixel at a time. Classifiers do see surroundings, 64
# × 64 pixels at once, and they tell shoes from bags, but they give one label for a whole picture. Lesson 02 takes such
# a classifier as it is, without changing a weight, and asks it about every place of the picture.
