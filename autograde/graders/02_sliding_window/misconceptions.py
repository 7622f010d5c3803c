"""Wrong answers of lesson 02. Each docstring is what a student reads: what is wrong, not what is right."""

import math

import torch

from autograde.graders.candidates import misconception
from autograde.reference.sliding_window import extract_windows, sliding_window_scores, window_starts

# --- window_starts ---


@misconception("window_starts", breaks=("test_exact_fit", "test_one_or_none"), hint=2, source="students' answers")
def last_window_forgotten(size, window, stride):
    """The window that ends exactly at the last pixel is missing: `range` stops before its second argument."""
    return list(range(0, size - window, stride))


@misconception("window_starts", breaks=("test_exact_fit", "test_leftover"), hint=1, source="students' answers")
def steps_counted_for_windows(size, window, stride):
    """There is always one window too few: you counted the steps from window to window, not the windows."""
    return [number * stride for number in range((size - window) // stride)]


@misconception(
    "window_starts", breaks=("test_exact_fit", "test_leftover"), hint=1, source="the 32 windows of the slide"
)
def stride_divides_picture(size, window, stride):
    """You begin a window at every stride, 32 times in 256 pixels; the last ones stick out over the edge."""
    return list(range(0, size, stride))


@misconception("window_starts", breaks="test_leftover", hint=2, source="mmsegmentation and MONAI, where it is meant")
def last_window_moved_to_the_edge(size, window, stride):
    """When pixels are left over you add a window that touches the edge. Some libraries do; here the grid stays even."""
    starts = list(range(0, size - window + 1, stride))
    if starts and starts[-1] + window < size:
        starts.append(size - window)
    return starts


@misconception("window_starts", breaks="test_leftover", hint=2, source="students' answers")
def rounded_up(size, window, stride):
    """The number of steps is rounded up, so that the last window ends outside the picture when pixels are left over."""
    return [number * stride for number in range(math.ceil((size - window) / stride) + 1)]


@misconception("window_starts", breaks=("test_exact_fit", "test_gaps"), hint=2, source="students' answers")
def step_of_one(size, window, stride):
    """The stride is not used: a window begins at every pixel."""
    return list(range(size - window + 1))


# --- extract_windows ---


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=3, source="students' answers")
def columns_before_rows(image, window, stride):
    """The first two dimensions are swapped: columns of windows first, rows second."""
    return image.unfold(1, window, stride).unfold(2, window, stride).permute(2, 1, 0, 3, 4)


@misconception("extract_windows", breaks=("test_every_window", "test_no_copy"), hint=3, source="students' answers")
def reshaped_instead_of_permuted(image, window, stride):
    """The shape is right, but `reshape` moves no dimension: it reads the numbers on in the old order."""
    windows = image.unfold(1, window, stride).unfold(2, window, stride)  # (C, rows, cols, window, window)
    return windows.reshape(windows.shape[1], windows.shape[2], len(image), window, window)


@misconception("extract_windows", breaks=("test_every_window", "test_no_copy"), hint=3, source="students' answers")
def channels_left_in_front(image, window, stride):
    """The channels are still in front: every number is there, but the order of the dimensions is another one."""
    return image.unfold(1, window, stride).unfold(2, window, stride)


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=3, source="students' answers")
def windows_mirrored(image, window, stride):
    """Each window is mirrored at its diagonal: the rows and columns inside it are swapped."""
    return image.unfold(2, window, stride).unfold(1, window, stride).permute(1, 2, 0, 3, 4)


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=2, source="students' answers")
def side_by_side(image, window, stride):
    """The stride is not used: windows lie side by side, as far apart as they are large."""
    return image.unfold(1, window, window).unfold(2, window, window).permute(1, 2, 0, 3, 4)


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=2, source="students' answers")
def step_of_one_pixel(image, window, stride):
    """The stride is not used: a window begins at every pixel."""
    return image.unfold(1, window, 1).unfold(2, window, 1).permute(1, 2, 0, 3, 4)


@misconception("extract_windows", breaks="test_no_copy", hint=2, source="students' answers")
def every_window_copied(image, window, stride):
    """The pixels were copied, at window 64 and stride 8 each one up to 64 times. A view shares them."""
    rows, cols = (range(0, size - window + 1, stride) for size in image.shape[1:])
    return torch.stack([torch.stack([image[:, y : y + window, x : x + window] for x in cols]) for y in rows])


@misconception("extract_windows", breaks="test_picture_is_a_view", hint=2, source="students' answers")
def strides_of_a_contiguous_picture(image, window, stride):
    """The steps through the memory are those of a fresh picture. One that is a view itself has others: ask it."""
    channels, height, width = image.shape
    shape = ((height - window) // stride + 1, (width - window) // stride + 1, channels, window, window)
    return image.as_strided(shape, (stride * width, stride, height * width, width, 1))


# --- sliding_window_scores ---


@torch.no_grad()
def in_batches(classifier, image, window, stride, batch_size):
    """The scores (n, num_classes) of all windows, row by row, and the number of rows and columns."""
    windows = extract_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    batches = windows.flatten(0, 1).split(batch_size)
    return torch.cat([classifier(batch) for batch in batches]), rows, cols


@misconception("sliding_window_scores", breaks="test_every_window", hint=3, source="pytorch's view without permute")
def reshaped_without_transposing(classifier, image, window, stride, batch_size):
    """The scores (n, num_classes) are reshaped at once to (num_classes, rows, cols): right shape, wrong pairs."""
    scores, rows, cols = in_batches(classifier, image, window, stride, batch_size)
    return scores.reshape(-1, rows, cols)


@misconception("sliding_window_scores", breaks="test_every_window", hint=3, source="students' answers")
def columns_times_rows(classifier, image, window, stride, batch_size):
    """The scores are reshaped to columns × rows. Windows are listed row by row, and a row has `cols` of them."""
    scores, rows, cols = in_batches(classifier, image, window, stride, batch_size)
    return scores.T.reshape(-1, cols, rows)


@misconception("sliding_window_scores", breaks="test_every_window", hint=1, source="students' answers")
def probabilities_returned(classifier, image, window, stride, batch_size):
    """A softmax was applied: the map holds probabilities instead of the scores that the classifier returned."""
    scores, rows, cols = in_batches(classifier, image, window, stride, batch_size)
    return scores.softmax(1).T.reshape(-1, rows, cols)


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2, source="students' answers")
@torch.no_grad()
def last_batch_lost(classifier, image, window, stride, batch_size):
    """The windows that are left over when the last batch is not full are never classified."""
    windows = extract_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    windows, scores = windows.flatten(0, 1), []
    for number in range(rows * cols // batch_size):
        scores.append(classifier(windows[number * batch_size : (number + 1) * batch_size]))
    return torch.cat(scores).T.reshape(-1, rows, cols)


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2, source="the lecture's first loop")
def one_by_one(classifier, image, window, stride, batch_size):
    """The classifier is called once per window. The scores are right; the batches are what the exercise is about."""
    return sliding_window_scores(classifier, image, window, stride, 1)


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2, source="students' answers")
def all_at_once(classifier, image, window, stride, batch_size):
    """All windows go through the classifier in one call: batch_size is not used, and memory is the price."""
    return sliding_window_scores(classifier, image, window, stride, 10**6)


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2, source="the lecture's second loop")
@torch.no_grad()
def row_by_row(classifier, image, window, stride, batch_size):
    """Each row of windows is a batch of its own, whatever batch_size says."""
    rows = extract_windows(image, window, stride)
    return torch.stack([classifier(row) for row in rows]).permute(2, 0, 1)


@misconception("sliding_window_scores", breaks="test_no_gradient", hint=3, source="students' answers")
def gradient_recorded(classifier, image, window, stride, batch_size):
    """Gradients are recorded while the classifier runs: its activations stay in memory, though nobody trains here.
    Detaching the scores afterwards comes too late."""
    scores, rows, cols = in_batches.__wrapped__(classifier, image, window, stride, batch_size)
    return scores.detach().T.reshape(-1, rows, cols)


# --- scores_to_mask ---


def lay(scores, image_size, index):
    """A mask by a rule of one's own: index(pixels) -> window numbers, clamped to those that there are."""
    rows, cols = (
        index(torch.arange(size)).long().clamp(0, count - 1)
        for size, count in zip(image_size, scores.shape[1:], strict=True)
    )
    return scores.argmax(0)[rows[:, None], cols]


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=1, source="students' answers")
def label_at_the_corner(scores, image_size, window, stride):
    """Each label is laid at its window's top left corner, so the whole map is shifted by half a window."""
    return lay(scores, image_size, lambda pixel: pixel // stride)


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=1, source="resizing the map")
def stretched_to_picture(scores, image_size, window, stride):
    """The map is stretched over the whole picture, margins included: objects grow and move outwards."""
    rows, cols = (torch.arange(size) * n // size for size, n in zip(image_size, scores.shape[1:], strict=True))
    return scores.argmax(0)[rows[:, None], cols]


@misconception("scores_to_mask", breaks=("test_centres", "test_best_class"), hint=3, source="the two usual centres")
def centre_half_a_pixel_off(scores, image_size, window, stride):
    """The centre is taken at start + window / 2: that is the corner between pixels, half a pixel too far."""
    return lay(scores, image_size, lambda pixel: torch.ceil((pixel - window / 2) / stride - 0.5))


@misconception("scores_to_mask", breaks="test_equal_distance", hint=3, source="students' answers")
def later_window_wins(scores, image_size, window, stride):
    """Where two windows are equally near, the later one wins."""
    return lay(scores, image_size, lambda pixel: torch.floor((pixel - (window - 1) / 2) / stride + 0.5))


@misconception("scores_to_mask", breaks="test_equal_distance", hint=3, source="torch.round, which rounds to even")
def rounded_to_even(scores, image_size, window, stride):
    """Where two windows are equally near, now the earlier one wins and now the later: `round` takes the even one."""
    return lay(scores, image_size, lambda pixel: torch.round((pixel - (window - 1) / 2) / stride))


def paint(scores, image_size, window, stride, margin):
    """The lecture's way, for any size: a block of stride x stride pixels around each centre."""
    mask = torch.full(image_size, margin)
    for row, labels in enumerate(scores.argmax(0)):
        for col, label in enumerate(labels):
            top, left = row * stride + (window - stride) // 2, col * stride + (window - stride) // 2
            mask[max(top, 0) : top + stride, max(left, 0) : left + stride] = label
    return mask


@misconception("scores_to_mask", breaks=("test_centres", "test_one_window"), hint=2, source="students' answers")
def margin_left_as_background(scores, image_size, window, stride):
    """Pixels beyond the outermost blocks are left at class 0, as if there were background."""
    return paint(scores, image_size, window, stride, margin=0)


@misconception("scores_to_mask", breaks=("test_centres", "test_one_window"), hint=2, source="the lecture's paint")
def margin_left_unknown(scores, image_size, window, stride):
    """Pixels beyond the outermost blocks are left at 255, as in the lecture; here they get a class as well."""
    return paint(scores, image_size, window, stride, margin=255)


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=3, source="students' answers")
def height_and_width_swapped(scores, image_size, window, stride):
    """Height and width are swapped: image_size is (height, width), and so is the mask."""
    width, height = image_size
    return lay(scores, (height, width), lambda pixel: torch.ceil((pixel - (window - 1) / 2) / stride - 0.5))


# --- shared_feature_scores ---


@torch.no_grad()
def slide(features, head, image, side, step, rows=None, cols=None):
    """The head at every feature window, with a window and a step of one's own choice."""
    windows = extract_windows(features(image[None])[0], side, step)[:rows, :cols]
    return head(windows.flatten(0, 1)).T.reshape(-1, *windows.shape[:2])


@torch.no_grad()
def grid(features, image, window, stride):
    """How many features one window is wide, and how many rows and columns of windows there are."""
    side = features(image[None, :, :window, :window]).shape[-1]
    return side, *(len(window_starts(size, window, stride)) for size in image.shape[1:])


@misconception("shared_feature_scores", breaks="test_equals_naive", hint=2, source="students' answers")
def stride_of_pixels_on_features(features, head, image, window, stride, jump):
    """The feature windows move by the stride in pixels. Features lie `jump` pixels apart: your map is too small."""
    side, _, _ = grid(features, image, window, stride)
    return slide(features, head, image, side, stride)


@misconception("shared_feature_scores", breaks="test_equals_naive", hint=2, source="64 / 4 = 16 instead of LeNet's 13")
def window_divided_by_jump(features, head, image, window, stride, jump):
    """The feature window is taken as window / jump. Convolutions without padding leave fewer: 13, not 16, for LeNet."""
    return slide(features, head, image, window // jump, stride // jump)


@misconception("shared_feature_scores", breaks="test_larger_strides", hint=2, source="students' answers")
def every_feature_window(features, head, image, window, stride, jump):
    """The head runs at every feature, one jump apart; for larger strides the map has too many rows and columns."""
    side, rows, cols = grid(features, image, window, jump)
    return slide(features, head, image, side, 1, rows, cols)


@misconception("shared_feature_scores", breaks="test_features_once", hint=1, source="students' answers")
def features_of_every_window(features, head, image, window, stride, jump):
    """Features are computed for each window on its own: that is the naive way, with the same answer and no gain."""
    return sliding_window_scores(lambda batch: head(features(batch)), image, window, stride, 64)


@misconception("shared_feature_scores", breaks="test_leftover_pixels", hint=3, source="students' answers")
def windows_that_stick_out(features, head, image, window, stride, jump):
    """A row or column too many: its feature windows fit the feature map, its windows stick out of the picture."""
    side, _, _ = grid(features, image, window, stride)
    return slide(features, head, image, side, stride // jump)


@misconception("shared_feature_scores", breaks="test_head_sees_windows", hint=3, source="students' answers")
def surplus_windows_cut_off(features, head, image, window, stride, jump):
    """The scores are right, but the head also ran on feature windows that do not count; you cut them off too late."""
    side, rows, cols = grid(features, image, window, stride)
    return slide(features, head, image, side, stride // jump)[:, :rows, :cols].clone()


@misconception("shared_feature_scores", breaks="test_no_gradient", hint=3, source="students' answers")
def gradient_recorded_in_features(features, head, image, window, stride, jump):
    """Gradients are recorded: the features of the whole picture stay in memory though nobody trains here."""
    side, rows, cols = grid(features, image, window, stride)
    return slide.__wrapped__(features, head, image, side, stride // jump, rows, cols).detach()


# --- multiply_adds ---


def count(layers, height, width, conv_cost, dense_cost, size_after):
    """Walk through the layers with rules of one's own; conv_cost is given the output's height and width."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += dense_cost(layer, height, width)
            height = width = 1
            continue
        height, width = (size_after(size, layer) for size in (height, width))
        if layer["kind"] == "conv":
            total += conv_cost(layer, height, width)
    return total


def products(layer, height, width):
    """The right cost of a convolution."""
    return layer["kernel_size"] ** 2 * layer["in_channels"] * layer["out_channels"] * height * width


def weights(layer, height, width):
    """The right cost of a dense layer."""
    return layer["in_features"] * layer["out_features"]


def positions(size, layer):
    """The right size after a layer."""
    return (size + 2 * layer.get("padding", 0) - layer["kernel_size"]) // layer["stride"] + 1


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def output_channels_forgotten(layers, height, width):
    """Each output channel has a kernel of its own; you counted one output channel."""
    cost = lambda layer, h, w: layer["kernel_size"] ** 2 * layer["in_channels"] * h * w  # noqa: E731
    return count(layers, height, width, cost, weights, positions)


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def stride_forgotten(layers, height, width):
    """The stride is not used: a kernel moves by one pixel in your count."""
    return count(layers, height, width, products, weights, lambda size, layer: positions(size, layer | {"stride": 1}))


@misconception("multiply_adds", breaks=("test_convolutions", "test_dense"), hint=2, source="students' answers")
def padding_forgotten(layers, height, width):
    """The padding is not used: the maps are smaller in your count than they are."""
    return count(layers, height, width, products, weights, lambda size, layer: positions(size, layer | {"padding": 0}))


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def rounded_up_to_whole_steps(layers, height, width):
    """Sizes are rounded up where the stride does not divide: a kernel that sticks out of the map is counted."""

    def size_after(size, layer):
        return math.ceil((size + 2 * layer.get("padding", 0) - layer["kernel_size"]) / layer["stride"]) + 1

    return count(layers, height, width, products, weights, size_after)


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def height_for_both(layers, height, width):
    """The width is taken to be the height. On square pictures that goes unnoticed."""
    return count(layers, height, height, products, weights, positions)


@misconception("multiply_adds", breaks=("test_convolutions", "test_naive_and_shared"), hint=1, source="FLOP counters")
def multiplications_and_additions(layers, height, width):
    """Multiplications and additions are counted apart: 2 for each product. One multiply-add is one."""
    return 2 * count(layers, height, width, products, weights, positions)


@misconception("multiply_adds", breaks=("test_convolutions", "test_dense"), hint=1, source="parameter counts")
def bias_counted(layers, height, width):
    """Biases are counted too: one more per output number. The exercise counts products only."""
    conv_cost = lambda layer, h, w: products(layer, h, w) + layer["out_channels"] * h * w  # noqa: E731
    dense_cost = lambda layer, h, w: weights(layer, h, w) + layer["out_features"]  # noqa: E731
    return count(layers, height, width, conv_cost, dense_cost, positions)


@misconception("multiply_adds", breaks=("test_dense", "test_naive_and_shared"), hint=2, source="students' answers")
def dense_layer_at_every_pixel(layers, height, width):
    """The first dense layer is counted once per pixel of the map before it. It flattens the map and runs once."""
    return count(layers, height, width, products, lambda layer, h, w: weights(layer, h, w) * h * w, positions)
