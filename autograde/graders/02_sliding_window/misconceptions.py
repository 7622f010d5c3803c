"""Wrong answers of lesson 02. Each docstring is what a student reads: what is wrong, not what is right."""

import math

import torch
from torch import nn

from autograde.graders.candidates import misconception, variant
from autograde.reference.sliding_window import extract_windows, sliding_window_scores, window_starts

# --- window_starts ---


@misconception("window_starts", breaks=("test_exact_fit", "test_one_or_none"), hint=2, source="students' answers")
def last_window_forgotten(size, window, stride):
    """A window that ends exactly at the last pixel fits as well, and yours is missing."""
    return list(range(0, size - window, stride))


@misconception("window_starts", breaks=("test_exact_fit", "test_leftover"), hint=1, source="students' answers")
def steps_counted_for_windows(size, window, stride):
    """There is always one window too few: you counted the steps from window to window, not the windows."""
    return [number * stride for number in range((size - window) // stride)]


@misconception(
    "window_starts", breaks=("test_exact_fit", "test_leftover"), hint=1, source="the 32 windows of the slide"
)
def stride_divides_picture(size, window, stride):
    """You count 32 windows in 256 pixels, one at every stride; the last ones stick out over the edge."""
    return list(range(0, size, stride))


@variant(stride_divides_picture, breaks=("test_exact_fit", "test_leftover"))
def starts_in_a_padded_picture(size, window, stride):
    padding = (window - stride) // 2
    return [number * stride for number in range((size + 2 * padding - window) // stride + 1)]


@misconception("window_starts", breaks="test_leftover", hint=2, source="mmsegmentation and MONAI, where it is meant")
def last_window_moved_to_the_edge(size, window, stride):
    """When pixels are left over you add a window that touches the edge. Some libraries do; here the grid stays even."""
    starts = list(range(0, size - window + 1, stride))
    if starts and starts[-1] + window < size:
        starts.append(size - window)
    return starts


@misconception("window_starts", breaks="test_leftover", hint=2, source="students' answers")
def rounded_up(size, window, stride):
    """The number of steps is rounded up, always or sometimes: where pixels are left over, a last window sticks out."""
    return [number * stride for number in range(math.ceil((size - window) / stride) + 1)]


@misconception("window_starts", breaks=("test_exact_fit", "test_gaps"), hint=2, source="students' answers")
def step_of_one(size, window, stride):
    """The stride is not used: a window begins at every pixel, or where the one before it ends."""
    return list(range(size - window + 1))


@variant(step_of_one, breaks=("test_exact_fit", "test_gaps"))
def step_of_a_window(size, window, stride):
    return list(range(0, size - window + 1, window))


@misconception("window_starts", breaks="test_one_or_none", hint=3, source="students' answers")
def one_window_at_least(size, window, stride):
    """A window that is larger than the picture is given a start, though it fits nowhere."""
    return list(range(0, max(size - window, 0) + 1, stride))


# --- extract_windows ---


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=3, source="students' answers")
def columns_before_rows(image, window, stride):
    """Rows and columns are swapped: those of the grid of windows, or those inside each window."""
    return image.unfold(1, window, stride).unfold(2, window, stride).permute(2, 1, 0, 3, 4)


@variant(columns_before_rows, breaks=("test_every_window", "test_gaps"))
def windows_mirrored(image, window, stride):
    return image.unfold(2, window, stride).unfold(1, window, stride).permute(1, 2, 0, 3, 4)


@variant(columns_before_rows, breaks=("test_every_window", "test_gaps"))
def picture_transposed(image, window, stride):
    return extract_windows(image.mT, window, stride)


@misconception("extract_windows", breaks=("test_every_window", "test_no_copy"), hint=3, source="students' answers")
def reshaped_instead_of_permuted(image, window, stride):
    """The shape is right, but `reshape` moves no dimension: it reads the numbers on in the old order."""
    windows = image.unfold(1, window, stride).unfold(2, window, stride)  # (C, rows, cols, window, window)
    return windows.reshape(windows.shape[1], windows.shape[2], len(image), window, window)


@variant(reshaped_instead_of_permuted, breaks=("test_every_window", "test_no_copy"))
def columns_of_pixels_reshaped(image, window, stride):
    rows, cols = extract_windows(image, window, stride).shape[:2]
    return nn.functional.unfold(image[None], window, stride=stride).reshape(rows, cols, len(image), window, window)


@misconception("extract_windows", breaks=("test_every_window", "test_no_copy"), hint=3, source="students' answers")
def channels_left_in_front(image, window, stride):
    """The channels stand in another place than the third: in front, at the end, or between rows and columns."""
    return image.unfold(1, window, stride).unfold(2, window, stride)


@variant(channels_left_in_front, breaks=("test_every_window", "test_no_copy"))
def channels_at_the_end(image, window, stride):
    return extract_windows(image, window, stride).movedim(2, -1)


@variant(channels_left_in_front, breaks=("test_every_window", "test_no_copy"))
def channels_between_rows_and_columns(image, window, stride):
    return extract_windows(image, window, stride).movedim(2, 1)


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=2, source="students' answers")
def side_by_side(image, window, stride):
    """The stride is not used: windows lie side by side, or begin at every pixel."""
    return extract_windows(image, window, window)


@variant(side_by_side, breaks=("test_every_window", "test_gaps"))
def step_of_one_pixel(image, window, stride):
    return extract_windows(image, window, 1)


@misconception("extract_windows", breaks="test_no_copy", hint=2, source="students' answers")
def every_window_copied(image, window, stride):
    """The pixels are copied, of some pictures at least. A view shares them with the picture."""
    rows, cols = (range(0, size - window + 1, stride) for size in image.shape[1:])
    return torch.stack([torch.stack([image[:, y : y + window, x : x + window] for x in cols]) for y in rows])


@variant(every_window_copied, breaks="test_picture_is_a_view")
def made_contiguous_first(image, window, stride):
    return extract_windows(image.contiguous(), window, stride)


@misconception("extract_windows", breaks="test_picture_is_a_view", hint=2, source="students' answers")
def strides_of_a_contiguous_picture(image, window, stride):
    """The place in memory, or the steps through it, are those of a fresh picture. A view has others: ask it."""
    channels, height, width = image.shape
    shape = ((height - window) // stride + 1, (width - window) // stride + 1, channels, window, window)
    return image.as_strided(shape, (stride * width, stride, height * width, width, 1))


@variant(strides_of_a_contiguous_picture, breaks="test_picture_is_a_view")
def offset_of_a_fresh_picture(image, window, stride):
    windows = extract_windows(image, window, stride)
    return image.as_strided(windows.shape, windows.stride(), 0)


@misconception("extract_windows", breaks="test_one_window", hint=3, source="students' answers")
def squeezed(image, window, stride):
    """Dimensions are missing: all five are always there, also for one window, one row or one channel."""
    return extract_windows(image, window, stride).squeeze()


@variant(squeezed, breaks="test_one_window")
def one_channel_squeezed(image, window, stride):
    return extract_windows(image, window, stride).squeeze(2)


@variant(squeezed, breaks="test_one_window")
def one_row_squeezed(image, window, stride):
    return extract_windows(image, window, stride).squeeze(0)


@variant(squeezed, breaks=("test_every_window", "test_no_copy"))
def windows_in_one_list(image, window, stride):
    return extract_windows(image, window, stride).flatten(0, 1)


@misconception("extract_windows", breaks=("test_every_window", "test_no_copy"), hint=1, source="students' answers")
def as_many_columns_as_rows(image, window, stride):
    """There are as many columns as rows, whatever the picture's shape: height and width decide apart."""
    windows = extract_windows(image, window, stride)
    return windows[:, : len(windows)]


@variant(as_many_columns_as_rows, breaks=("test_every_window", "test_no_copy"))
def square_of_the_shorter_side(image, window, stride):
    windows = extract_windows(image, window, stride)
    fewest = min(windows.shape[:2])
    return windows[:fewest, :fewest]


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
    """The classes never come to the front: (n, num_classes) was only reshaped, to a map of wrong pairs or of three
    dimensions in another order."""
    scores, rows, cols = in_batches(classifier, image, window, stride, batch_size)
    return scores.reshape(-1, rows, cols)


@variant(reshaped_without_transposing, breaks="test_every_window")
def classes_last(classifier, image, window, stride, batch_size):
    scores, rows, cols = in_batches(classifier, image, window, stride, batch_size)
    return scores.reshape(rows, cols, -1)


@misconception("sliding_window_scores", breaks="test_every_window", hint=3, source="students' answers")
def columns_times_rows(classifier, image, window, stride, batch_size):
    """Rows and columns are exchanged: in the list of windows, or in the map that is made of it."""
    scores, rows, cols = in_batches(classifier, image, window, stride, batch_size)
    return scores.T.reshape(-1, cols, rows)


@variant(columns_times_rows, breaks="test_every_window")
def filled_column_by_column(classifier, image, window, stride, batch_size):
    return columns_times_rows(classifier, image, window, stride, batch_size).mT


@variant(columns_times_rows, breaks="test_every_window")
def map_transposed(classifier, image, window, stride, batch_size):
    return sliding_window_scores(classifier, image, window, stride, batch_size).mT


@variant(columns_times_rows, breaks="test_every_window")
def listed_column_by_column(classifier, image, window, stride, batch_size):
    scores = sliding_window_scores(classifier, image, window, stride, batch_size)
    return scores.mT.reshape(scores.shape)


@misconception("sliding_window_scores", breaks="test_every_window", hint=1, source="students' answers")
def probabilities_returned(classifier, image, window, stride, batch_size):
    """The map does not hold the classifier's scores but something made of them: probabilities, or labels."""
    return sliding_window_scores(classifier, image, window, stride, batch_size).softmax(0)


@variant(probabilities_returned, breaks="test_every_window")
def log_probabilities_returned(classifier, image, window, stride, batch_size):
    return sliding_window_scores(classifier, image, window, stride, batch_size).log_softmax(0)


@variant(probabilities_returned, breaks="test_every_window")
def each_score_by_sigmoid(classifier, image, window, stride, batch_size):
    return sliding_window_scores(classifier, image, window, stride, batch_size).sigmoid()


@variant(probabilities_returned, breaks="test_every_window")
def labels_returned(classifier, image, window, stride, batch_size):
    return sliding_window_scores(classifier, image, window, stride, batch_size).argmax(0)


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2, source="students' answers")
@torch.no_grad()
def last_batch_lost(classifier, image, window, stride, batch_size):
    """The windows of the last batch are never classified, at least where it is not full: their scores are missing, or
    0."""
    windows = extract_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    windows, scores = windows.flatten(0, 1), []
    for number in range(rows * cols // batch_size):
        scores.append(classifier(windows[number * batch_size : (number + 1) * batch_size]))
    return torch.cat(scores).T.reshape(-1, rows, cols)


@variant(last_batch_lost, breaks="test_number_of_calls")
def last_batch_left_at_zero(classifier, image, window, stride, batch_size):
    scores = sliding_window_scores(classifier, image, window, stride, batch_size)
    count = scores[0].numel()
    scores.flatten(1)[:, count - count % batch_size :] = 0
    return scores


@variant(last_batch_lost, breaks="test_number_of_calls")
def last_batch_never_run(classifier, image, window, stride, batch_size):
    scores = sliding_window_scores(classifier, image, window, stride, batch_size)
    count = scores[0].numel()
    scores.flatten(1)[:, max(batch_size, (count - 1) // batch_size * batch_size) :] = 0
    return scores


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2, source="the lecture's first loop")
def one_by_one(classifier, image, window, stride, batch_size):
    """The scores are right, but not the calls: there are too many, they are too large, or they hold windows that do
    not count."""
    return sliding_window_scores(classifier, image, window, stride, 1)


@variant(one_by_one, breaks="test_number_of_calls")
def all_at_once(classifier, image, window, stride, batch_size):
    return sliding_window_scores(classifier, image, window, stride, 10**6)


@variant(one_by_one, breaks="test_number_of_calls")
@torch.no_grad()
def row_by_row(classifier, image, window, stride, batch_size):
    rows = extract_windows(image, window, stride)
    return torch.stack([classifier(row) for row in rows]).permute(2, 0, 1)


@variant(one_by_one, breaks="test_number_of_calls")
@torch.no_grad()
def batches_within_a_row(classifier, image, window, stride, batch_size):
    rows = extract_windows(image, window, stride)
    scores = [torch.cat([classifier(batch) for batch in row.split(batch_size)]) for row in rows]
    return torch.stack(scores).permute(2, 0, 1)


@variant(one_by_one, breaks="test_number_of_calls")
@torch.no_grad()
def number_of_batches(classifier, image, window, stride, batch_size):
    windows = extract_windows(image, window, stride)
    scores = torch.cat([classifier(batch) for batch in windows.flatten(0, 1).chunk(batch_size)])
    return scores.T.reshape(-1, *windows.shape[:2])


@variant(one_by_one, breaks="test_number_of_calls")
@torch.no_grad()
def one_call_for_the_classes(classifier, image, window, stride, batch_size):
    classifier(image[None, :, :window, :window])
    return sliding_window_scores(classifier, image, window, stride, batch_size)


@variant(one_by_one, breaks="test_number_of_calls")
@torch.no_grad()
def last_batch_filled_up(classifier, image, window, stride, batch_size):
    windows = extract_windows(image, window, stride)
    flat = windows.flatten(0, 1)
    full = torch.cat([flat, flat.new_zeros(-len(flat) % batch_size, *flat.shape[1:])])
    scores = torch.cat([classifier(batch) for batch in full.split(batch_size)])
    return scores[: len(flat)].T.reshape(-1, *windows.shape[:2])


@misconception("sliding_window_scores", breaks="test_no_gradient", hint=3, source="students' answers")
def gradient_recorded(classifier, image, window, stride, batch_size):
    """Gradients are recorded while the classifier runs: its activations stay in memory, though nobody trains here.
    Detaching the scores afterwards comes too late."""
    scores, rows, cols = in_batches.__wrapped__(classifier, image, window, stride, batch_size)
    return scores.detach().T.reshape(-1, rows, cols)


@misconception("sliding_window_scores", breaks="test_one_of_each", hint=2, source="students' answers")
def squeezed_map(classifier, image, window, stride, batch_size):
    """A dimension is missing: the map has three, also with one class, one row or one column."""
    return sliding_window_scores(classifier, image, window, stride, batch_size).squeeze()


@variant(squeezed_map, breaks="test_one_of_each")
def one_class_squeezed(classifier, image, window, stride, batch_size):
    return sliding_window_scores(classifier, image, window, stride, batch_size).squeeze(0)


@variant(squeezed_map, breaks=("test_one_of_each", "test_any_batch_size"))
def each_batch_squeezed(classifier, image, window, stride, batch_size):
    scores, rows, cols = in_batches(lambda batch: classifier(batch).squeeze(), image, window, stride, batch_size)
    return scores.T.reshape(-1, rows, cols)


@misconception("sliding_window_scores", breaks="test_mode_kept", hint=1, source="prediction loops of most tutorials")
def switched_to_evaluation(classifier, image, window, stride, batch_size):
    """The network was switched to evaluation mode. Whether it trains or predicts is the caller's decision."""
    if isinstance(classifier, nn.Module):
        classifier.eval()
    return sliding_window_scores(classifier, image, window, stride, batch_size)


# --- scores_to_mask ---


def lay(scores, image_size, index):
    """A mask by a rule of one's own: index(pixels) -> window numbers, clamped to those that there are."""
    rows, cols = (
        index(torch.arange(size)).long().clamp(0, count - 1)
        for size, count in zip(image_size, scores.shape[1:], strict=True)
    )
    return scores.argmax(0)[rows[:, None], cols]


def nearest(window, stride):
    """The right rule for `lay`."""
    return lambda pixel: torch.ceil((pixel - (window - 1) / 2) / stride - 0.5)


def paint(scores, image_size, stride, first, side, margin=0):
    """A block of side x side pixels for each label, the first one at pixel `first`; later ones cover earlier ones."""
    mask = torch.full(image_size, margin)
    for row, labels in enumerate(scores.argmax(0)):
        for col, label in enumerate(labels):
            top, left = row * stride + first, col * stride + first
            mask[max(top, 0) : top + side, max(left, 0) : left + side] = label
    return mask


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=1, source="students' answers")
def label_at_the_corner(scores, image_size, window, stride):
    """Each label is laid at its window's top left corner instead of its centre: the whole map is shifted."""
    return lay(scores, image_size, lambda pixel: pixel // stride)


@variant(label_at_the_corner, breaks=("test_centres", "test_leftover_margin"))
def windows_painted_over_each_other(scores, image_size, window, stride):
    return paint(scores, image_size, stride, 0, window)


@variant(label_at_the_corner, breaks=("test_centres", "test_leftover_margin"))
def blocks_at_the_corner(scores, image_size, window, stride):
    return paint(scores, image_size, stride, 0, stride)


@variant(label_at_the_corner, breaks=("test_centres", "test_leftover_margin"))
def nearest_corner(scores, image_size, window, stride):
    return lay(scores, image_size, nearest(1, stride))


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=1, source="resizing the map")
def stretched_to_picture(scores, image_size, window, stride):
    """The map is stretched over the whole picture, margins included: objects grow and move outwards."""
    rows, cols = (torch.arange(size) * n // size for size, n in zip(image_size, scores.shape[1:], strict=True))
    return scores.argmax(0)[rows[:, None], cols]


@variant(stretched_to_picture, breaks=("test_centres", "test_leftover_margin"))
def stretched_by_pixel_centres(scores, image_size, window, stride):
    sides = zip(image_size, scores.shape[1:], strict=True)
    rows, cols = (((torch.arange(size) + 0.5) * count / size).long() for size, count in sides)
    return scores.argmax(0)[rows[:, None], cols]


@variant(stretched_to_picture, breaks=("test_centres", "test_leftover_margin"))
def stretched_from_corner_to_corner(scores, image_size, window, stride):
    sides = zip(image_size, scores.shape[1:], strict=True)
    rows, cols = (torch.linspace(0, count - 1, size).round().long() for size, count in sides)
    return scores.argmax(0)[rows[:, None], cols]


@misconception("scores_to_mask", breaks=("test_centres", "test_best_class"), hint=3, source="the two usual centres")
def centre_half_a_pixel_off(scores, image_size, window, stride):
    """The centre is half a pixel off, for some windows at least: that of pixels 0 to 63 is neither 31 nor 32."""
    return lay(scores, image_size, lambda pixel: torch.ceil((pixel - window / 2) / stride - 0.5))


@variant(centre_half_a_pixel_off, breaks="test_equal_distance")
def centre_half_a_pixel_early(scores, image_size, window, stride):
    return lay(scores, image_size, lambda pixel: torch.ceil((pixel - (window - 1) // 2) / stride - 0.5))


@variant(centre_half_a_pixel_off, breaks="test_centres")
def rounded_from_half_the_window(scores, image_size, window, stride):
    return lay(scores, image_size, lambda pixel: torch.round((pixel - window / 2) / stride))


@misconception("scores_to_mask", breaks="test_equal_distance", hint=3, source="students' answers")
def later_window_wins(scores, image_size, window, stride):
    """Where two windows are equally near, the later one wins, always or sometimes (`round` takes the even one)."""
    return lay(scores, image_size, lambda pixel: torch.floor((pixel - (window - 1) / 2) / stride + 0.5))


@variant(later_window_wins, breaks="test_equal_distance")
def rounded_to_even(scores, image_size, window, stride):
    return lay(scores, image_size, lambda pixel: torch.round((pixel - (window - 1) / 2) / stride))


@misconception("scores_to_mask", breaks=("test_centres", "test_one_window"), hint=2, source="the lecture's paint")
def margin_left(scores, image_size, window, stride):
    """Pixels in the margin, or in no window at all, do not take the nearest window: they keep what the mask was filled
    with, such as 0 or 255, or get labels from the opposite side."""
    return paint(scores, image_size, stride, (window - stride) // 2, stride, margin=255)


@variant(margin_left, breaks=("test_centres", "test_one_window"))
def margin_left_as_background(scores, image_size, window, stride):
    return paint(scores, image_size, stride, (window - stride) // 2, stride)


@variant(margin_left, breaks=("test_centres", "test_one_window"))
def nothing_beyond_the_centres(scores, image_size, window, stride, fill=0):
    mask = lay(scores, image_size, nearest(window, stride))
    for axis, count in enumerate(scores.shape[1:]):
        place = (torch.arange(image_size[axis]) - (window - 1) / 2) / stride
        mask.index_fill_(axis, ((place < 0) | (place > count - 1)).nonzero()[:, 0], fill)
    return mask


@variant(margin_left, breaks=("test_centres", "test_one_window"))
def unknown_beyond_the_centres(scores, image_size, window, stride):
    return nothing_beyond_the_centres(scores, image_size, window, stride, fill=255)


@variant(margin_left, breaks="test_leftover_margin")
def nothing_between_windows(scores, image_size, window, stride):
    covered = paint(torch.ones(1, *scores.shape[1:]), image_size, stride, 0, window, margin=-1) == 0
    return lay(scores, image_size, nearest(window, stride)) * covered


@variant(margin_left, breaks="test_centres")
def wrapped_around(scores, image_size, window, stride):
    rows, cols = (
        nearest(window, stride)(torch.arange(size)).long().clamp(max=count - 1) % count
        for size, count in zip(image_size, scores.shape[1:], strict=True)
    )
    return scores.argmax(0)[rows[:, None], cols]


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=3, source="students' answers")
def height_and_width_swapped(scores, image_size, window, stride):
    """Height and width are mixed up: both image_size and the mask are (height, width), and rows and columns each have
    a number of their own."""
    width, height = image_size
    return lay(scores, (height, width), nearest(window, stride))


@variant(height_and_width_swapped, breaks=("test_centres", "test_leftover_margin"))
def mask_transposed(scores, image_size, window, stride):
    return lay(scores, image_size, nearest(window, stride)).T


@variant(height_and_width_swapped, breaks=("test_centres", "test_leftover_margin"))
def height_for_both_sides(scores, image_size, window, stride):
    return lay(scores, (image_size[0], image_size[0]), nearest(window, stride))


@variant(height_and_width_swapped, breaks="test_centres")
def rows_for_both_sides(scores, image_size, window, stride):
    fewest = min(scores.shape[1:])
    return lay(scores[:, :, :fewest], image_size, nearest(window, stride))


@misconception("scores_to_mask", breaks=("test_centres", "test_equal_distance"), hint=2, source="students' answers")
def label_from_the_centre_on(scores, image_size, window, stride):
    """Each label begins or ends at its window's centre: the index is only rounded down, or only up. A centre has
    nearest pixels on both sides."""
    return lay(scores, image_size, lambda pixel: torch.floor((pixel - (window - 1) / 2) / stride))


@variant(label_from_the_centre_on, breaks=("test_centres", "test_equal_distance"))
def label_up_to_the_centre(scores, image_size, window, stride):
    return lay(scores, image_size, lambda pixel: torch.ceil((pixel - (window - 1) / 2) / stride))


def votes(scores, image_size, window, stride):
    """The sum of what all windows that cover a pixel say of it."""
    total = torch.zeros(len(scores), *image_size)
    for row in range(scores.shape[1]):
        for col in range(scores.shape[2]):
            top, left = row * stride, col * stride
            total[:, top : top + window, left : left + window] += scores[:, row, col, None, None]
    return total.argmax(0)


@misconception("scores_to_mask", breaks="test_centres", hint=1, source="nnU-Net and MONAI, where it is meant")
def all_windows_vote(scores, image_size, window, stride):
    """All windows that cover a pixel have a say in it, by sum, mean or vote. Here the one with the nearest centre
    decides alone."""
    return votes(scores, image_size, window, stride)


@variant(all_windows_vote, breaks="test_centres")
def all_probabilities_vote(scores, image_size, window, stride):
    return votes(scores.softmax(0), image_size, window, stride)


@variant(all_windows_vote, breaks="test_centres")
def all_labels_vote(scores, image_size, window, stride):
    one_hot = nn.functional.one_hot(scores.argmax(0), len(scores)).permute(2, 0, 1)
    return votes(one_hot.float(), image_size, window, stride)


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


def shared(features, head, image, window, stride, jump):
    """The right scores."""
    side, rows, cols = grid(features, image, window, stride)
    return slide(features, head, image, side, stride // jump, rows, cols)


@misconception("shared_feature_scores", breaks="test_equals_naive", hint=2, source="students' answers")
def stride_of_pixels_on_features(features, head, image, window, stride, jump):
    """You move by the wrong number of features, by `stride` or always by one. Neighbouring features lie `jump` pixels
    apart, and a window moves by `stride` pixels."""
    side, _, _ = grid(features, image, window, stride)
    return slide(features, head, image, side, stride)


@variant(stride_of_pixels_on_features, breaks="test_larger_strides")
def every_feature_window(features, head, image, window, stride, jump):
    side, _, _ = grid(features, image, window, stride)
    return slide(features, head, image, side, 1)


@variant(stride_of_pixels_on_features, breaks="test_larger_strides")
def first_feature_windows(features, head, image, window, stride, jump):
    side, rows, cols = grid(features, image, window, stride)
    return slide(features, head, image, side, 1, rows, cols)


@misconception("shared_feature_scores", breaks="test_equals_naive", hint=2, source="64 / 4 = 16 instead of LeNet's 13")
def window_divided_by_jump(features, head, image, window, stride, jump):
    """The feature windows have the wrong width. It is neither window / jump nor what is left of the whole feature map:
    it is what `features` makes of one window, 13 in LeNet and not 16."""
    _, rows, cols = grid(features, image, window, stride)
    return slide(features, head, image, window // jump, stride // jump, rows, cols)


@variant(window_divided_by_jump, breaks="test_equals_naive")
def window_divided_and_rounded_up(features, head, image, window, stride, jump):
    _, rows, cols = grid(features, image, window, stride)
    return slide(features, head, image, -(-window // jump), stride // jump, rows, cols)


@variant(window_divided_by_jump, breaks="test_leftover_pixels")
@torch.no_grad()
def width_left_of_the_map(features, head, image, window, stride, jump):
    rows, cols = (len(window_starts(size, window, stride)) for size in image.shape[1:])
    whole = features(image[None])[0]
    side = whole.shape[1] - (rows - 1) * (stride // jump)
    return slide(lambda picture: whole[None], head, image, side, stride // jump, rows, cols)


@misconception("shared_feature_scores", breaks="test_features_once", hint=1, source="students' answers")
def features_of_every_window(features, head, image, window, stride, jump):
    """Features of the same pixels are computed again and again: for each window, for each row of windows, or twice for
    the whole picture."""
    return sliding_window_scores(lambda batch: head(features(batch)), image, window, stride, 64)


@variant(features_of_every_window, breaks="test_features_once")
def features_of_every_row(features, head, image, window, stride, jump):
    tops = window_starts(image.shape[1], window, stride)
    return torch.cat([shared(features, head, image[:, y : y + window], window, stride, jump) for y in tops], dim=1)


@variant(features_of_every_window, breaks="test_features_once")
@torch.no_grad()
def features_twice(features, head, image, window, stride, jump):
    features(image[None])
    return shared(features, head, image, window, stride, jump)


@misconception("shared_feature_scores", breaks="test_leftover_pixels", hint=3, source="students' answers")
def windows_that_stick_out(features, head, image, window, stride, jump):
    """Rows and columns are not those of `window_starts`: they are counted on the feature map, where one more may fit
    that sticks out of the picture, or one side decides for both."""
    side, _, _ = grid(features, image, window, stride)
    return slide(features, head, image, side, stride // jump)


@variant(windows_that_stick_out, breaks="test_equals_naive")
def one_side_for_both(features, head, image, window, stride, jump):
    side, rows, cols = grid(features, image, window, stride)
    return slide(features, head, image, side, stride // jump, min(rows, cols), min(rows, cols))


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


@misconception("shared_feature_scores", breaks="test_one_window", hint=3, source="students' answers")
def shared_map_squeezed(features, head, image, window, stride, jump):
    """A dimension is missing: the map has three, also with one class, one row or one column."""
    return shared(features, head, image, window, stride, jump).squeeze()


@misconception("shared_feature_scores", breaks="test_equals_naive", hint=3, source="students' answers")
def scores_in_wrong_places(features, head, image, window, stride, jump):
    """The scores are right but stand in the wrong places: classes, rows and columns are mixed up where (n, num_classes)
    becomes the map."""
    scores = shared(features, head, image, window, stride, jump)
    return scores.flatten(1).T.reshape(scores.shape)


@variant(scores_in_wrong_places, breaks="test_equals_naive")
def classes_at_the_end(features, head, image, window, stride, jump):
    return shared(features, head, image, window, stride, jump).permute(1, 2, 0)


@variant(scores_in_wrong_places, breaks="test_equals_naive")
def as_columns_times_rows(features, head, image, window, stride, jump):
    scores = shared(features, head, image, window, stride, jump)
    return scores.reshape(-1, *scores.shape[:0:-1])


@variant(scores_in_wrong_places, breaks="test_equals_naive")
def shared_map_transposed(features, head, image, window, stride, jump):
    return shared(features, head, image, window, stride, jump).mT


# --- multiply_adds ---


def weights(layer):
    """The weights of a convolution or of a dense layer; poolings have none."""
    if layer["kind"] == "conv":
        return layer["kernel_size"] ** 2 * layer["in_channels"] * layer["out_channels"]
    return layer["in_features"] * layer["out_features"] if layer["kind"] == "linear" else 0


def places(size, layer):
    """The right size after a convolution or pooling."""
    return (size + 2 * layer.get("padding", 0) - layer["kernel_size"]) // layer["stride"] + 1


def conv_cost(layer, height, width):
    return weights(layer) * height * width


def dense_cost(layer, height, width):
    return weights(layer)


def count(layers, height, width, conv=conv_cost, dense=dense_cost, size_after=places):
    """Walk through the layers with rules of one's own; `conv` is given the output's height and width."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += dense(layer, height, width)
            continue
        height, width = (size_after(size, layer) for size in (height, width))
        total += conv(layer, height, width)
    return total


def without(factor):
    """What a convolution costs when one of its factors is forgotten."""
    return lambda layer, h, w: conv_cost(layer, h, w) // layer.get(factor, 1)


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def output_channels_forgotten(layers, height, width):
    """A convolution costs too little: at least one factor is missing. There are channels on both sides, two sides of
    the kernel, and the places where it is laid."""
    return count(layers, height, width, conv=without("out_channels"))


@variant(output_channels_forgotten, breaks=("test_convolutions", "test_pooling"))
def input_channels_forgotten(layers, height, width):
    return count(layers, height, width, conv=without("in_channels"))


@variant(output_channels_forgotten, breaks=("test_convolutions", "test_pooling"))
def kernel_not_squared(layers, height, width):
    return count(layers, height, width, conv=without("kernel_size"))


@variant(output_channels_forgotten, breaks=("test_convolutions", "test_pooling"))
def both_channels_forgotten(layers, height, width):
    return count(
        layers,
        height,
        width,
        conv=lambda layer, h, w: layer.get("in_channels", 0) and layer["kernel_size"] ** 2 * h * w,
    )


@variant(output_channels_forgotten, breaks=("test_convolutions", "test_pooling"))
def weights_counted(layers, height, width):
    return sum(weights(layer) for layer in layers)


@misconception("multiply_adds", breaks=("test_convolutions", "test_dense"), hint=2, source="students' answers")
def padding_forgotten(layers, height, width):
    """Padding or stride is not used as it is given: it is left out, in some layers at least, or padding is on one side
    only."""
    return count([layer | {"padding": 0} for layer in layers], height, width)


@variant(padding_forgotten, breaks=("test_convolutions", "test_dense"))
def padding_on_one_side(layers, height, width):
    return count(layers, height, width, size_after=lambda size, layer: places(size - layer.get("padding", 0), layer))


@variant(padding_forgotten, breaks=("test_convolutions", "test_pooling"))
def stride_forgotten(layers, height, width):
    return count([layer | {"stride": 1} for layer in layers], height, width)


@variant(padding_forgotten, breaks="test_convolutions")
def stride_of_poolings_only(layers, height, width):
    changed = [layer | {"stride": 1} if layer["kind"] == "conv" else layer for layer in layers]
    return count(changed, height, width)


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def rounded_up_to_whole_steps(layers, height, width):
    """The places of a kernel are miscounted: the division is not rounded down, the + 1 is missing, or both the + 1 and
    the kernel are."""

    def size_after(size, layer):
        return math.ceil((size + 2 * layer.get("padding", 0) - layer["kernel_size"]) / layer["stride"]) + 1

    return count(layers, height, width, size_after=size_after)


@variant(rounded_up_to_whole_steps, breaks=("test_convolutions", "test_pooling"))
def fractions_of_a_pixel(layers, height, width):
    def size_after(size, layer):
        return (size + 2 * layer.get("padding", 0) - layer["kernel_size"]) / layer["stride"] + 1

    return int(count(layers, height, width, size_after=size_after))


@variant(rounded_up_to_whole_steps, breaks="test_pooling")
def rounded_to_the_nearest(layers, height, width):
    def size_after(size, layer):
        return round((size + 2 * layer.get("padding", 0) - layer["kernel_size"]) / layer["stride"] + 1)

    return count(layers, height, width, size_after=size_after)


@variant(rounded_up_to_whole_steps, breaks=("test_convolutions", "test_pooling"))
def plus_one_forgotten(layers, height, width):
    return count(layers, height, width, size_after=lambda size, layer: places(size, layer) - 1)


@variant(rounded_up_to_whole_steps, breaks=("test_convolutions", "test_pooling"))
def size_divided_by_stride(layers, height, width):
    return count(layers, height, width, size_after=lambda size, layer: size // layer["stride"])


@misconception("multiply_adds", breaks=("test_pooling", "test_naive_and_shared"), hint=3, source="students' answers")
def pooling_keeps_the_size(layers, height, width):
    """A pooling gives the wrong size: it is left out, or it only divides. Its size follows the rule of convolutions."""
    return count([layer for layer in layers if layer["kind"] != "pool"], height, width)


@variant(pooling_keeps_the_size, breaks="test_pooling")
def pooling_divides_by_its_kernel(layers, height, width):
    rule = {"pool": lambda size, layer: size // layer["kernel_size"], "conv": places}
    return count(layers, height, width, size_after=lambda size, layer: rule[layer["kind"]](size, layer))


@variant(pooling_keeps_the_size, breaks="test_pooling")
def pooling_divides_by_its_stride(layers, height, width):
    rule = {"pool": lambda size, layer: size // layer["stride"], "conv": places}
    return count(layers, height, width, size_after=lambda size, layer: rule[layer["kind"]](size, layer))


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def places_of_the_input(layers, height, width):
    """The size of a convolution's input is used where that of its output counts."""
    total = 0
    for layer in layers:
        total += weights(layer) * (height * width if layer["kind"] == "conv" else 1)
        if layer["kind"] != "linear":
            height, width = places(height, layer), places(width, layer)
    return total


@variant(places_of_the_input, breaks=("test_convolutions", "test_pooling"))
def convolutions_keep_the_size(layers, height, width):
    rule = {"pool": places, "conv": lambda size, layer: size}
    return count(layers, height, width, size_after=lambda size, layer: rule[layer["kind"]](size, layer))


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=2, source="students' answers")
def height_for_both(layers, height, width):
    """The width is taken to be the height. On square pictures that goes unnoticed."""
    return count(layers, height, height)


@misconception("multiply_adds", breaks=("test_convolutions", "test_naive_and_shared"), hint=1, source="FLOP counters")
def multiplications_and_additions(layers, height, width):
    """More is counted than one for each product: additions, biases, or what poolings compare."""
    return 2 * count(layers, height, width)


@variant(multiplications_and_additions, breaks=("test_convolutions", "test_dense"))
def bias_counted(layers, height, width):
    def with_bias(layer, h, w):
        return conv_cost(layer, h, w) + layer.get("out_channels", 0) * h * w

    return count(layers, height, width, with_bias, lambda layer, h, w: weights(layer) + layer["out_features"])


@variant(multiplications_and_additions, breaks=("test_pooling", "test_dense"))
def poolings_counted(layers, height, width):
    channels = 0

    def cost(layer, h, w):
        nonlocal channels
        channels = layer.get("out_channels", channels)
        return (weights(layer) or channels * layer["kernel_size"] ** 2) * h * w

    return count(layers, height, width, cost)


@misconception("multiply_adds", breaks=("test_dense", "test_naive_and_shared"), hint=2, source="students' answers")
def dense_layer_at_every_pixel(layers, height, width):
    """A dense layer is counted once for each pixel of the map before it. It flattens the map and runs once."""
    return count(layers, height, width, dense=conv_cost)


@variant(dense_layer_at_every_pixel, breaks=("test_dense", "test_naive_and_shared"))
def first_dense_layer_at_every_pixel(layers, height, width):
    """Behind it the map is one pixel large."""
    total = 0
    for layer in layers:
        if layer["kind"] != "linear":
            height, width = places(height, layer), places(width, layer)
        total += weights(layer) * height * width
        if layer["kind"] == "linear":
            height = width = 1
    return total
