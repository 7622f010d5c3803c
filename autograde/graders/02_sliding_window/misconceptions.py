"""Wrong answers of lesson 02. Each docstring is what a student reads: what is wrong, not what is right."""

import torch
import torch.nn.functional as F

from autograde.graders.candidates import misconception
from autograde.reference.sliding_window import (
    extract_windows,
    multiply_adds,
    scores_to_mask,
    shared_feature_scores,
    sliding_window_scores,
    window_starts,
)

# ---------------------------------------------------------------------------------------------------------------------
# window_starts
# ---------------------------------------------------------------------------------------------------------------------


def fits(size, window, stride):
    """The starts of valid arguments; no questions asked."""
    return list(range(0, size - window + 1, stride)) if stride > 0 else []


@misconception("window_starts", breaks=("test_exact_fit", "test_window_is_picture", "test_gaps"), hint=2)
def last_window_forgotten(size, window, stride):
    """The window that ends exactly at the last pixel is missing: `range` stops before its second argument."""
    return list(range(0, size - window, stride)) if window_starts(size, window, stride) else []


@misconception("window_starts", breaks=("test_exact_fit", "test_leftover", "test_window_is_picture"), hint=1)
def stride_divides_picture(size, window, stride):
    """You get size / stride windows, 32 on the slide's picture; the last ones stick out over the edge."""
    window_starts(size, window, stride)
    return list(range(0, size, stride)) if window <= size else []


@misconception("window_starts", breaks="test_leftover", hint=2)
def last_window_moved_to_the_edge(size, window, stride):
    """When pixels are left over you add a window that touches the edge. Some libraries do; here the grid stays even."""
    starts = window_starts(size, window, stride)
    return starts + [size - window] * bool(starts and starts[-1] != size - window)


@misconception("window_starts", breaks="test_leftover", hint=2)
def rounded_up(size, window, stride):
    """The number of steps is rounded up, so that the last window ends outside the picture when pixels are left over."""
    if not window_starts(size, window, stride):
        return []
    return [i * stride for i in range(-(-(size - window) // stride) + 1)]


@misconception("window_starts", breaks="test_window_is_picture", hint=1)
def picture_must_be_larger(size, window, stride):
    """A window exactly as large as the picture is refused, though it fits."""
    starts = window_starts(size, window, stride)
    return starts if window < size else []


@misconception("window_starts", breaks="test_gaps", hint=1)
def stride_cut_to_window(size, window, stride):
    """A stride larger than the window is cut down to the window. Gaps between windows are allowed."""
    window_starts(size, window, stride)
    return window_starts(size, window, min(window, stride))


@misconception("window_starts", breaks="test_window_too_large", hint=1)
def one_window_at_least(size, window, stride):
    """There is always a first window at 0, even where it does not fit into the picture."""
    return window_starts(size, window, stride) or [0]


@misconception("window_starts", breaks="test_window_too_large", hint=1)
def large_window_refused(size, window, stride):
    """A window larger than the picture raises an error. It is no mistake of the caller: there are just no windows."""
    if size < window:
        raise ValueError(f"a window of {window} does not fit into {size}")
    return window_starts(size, window, stride)


@misconception("window_starts", breaks="test_not_positive", hint=3)
def signs_not_checked(size, window, stride):
    """Zero or negative sizes, windows or strides give a list instead of a ValueError."""
    for value in (size, window, stride):
        if type(value) is not int:
            raise TypeError(f"expected an int, got {value!r}")
    return fits(size, window, stride)


@misconception("window_starts", breaks="test_not_positive", hint=3)
def only_stride_checked(size, window, stride):
    """A stride of zero or less raises ValueError, but a size or window of zero or less does not."""
    return window_starts(max(size, 1), max(window, 1), stride)


@misconception("window_starts", breaks="test_not_integers", hint=3)
def types_not_checked(size, window, stride):
    """What is no integer is rounded or taken as it comes instead of being refused."""
    return window_starts(int(size), int(window), int(stride))


@misconception("window_starts", breaks="test_not_integers", hint=3)
def bool_taken_for_an_integer(size, window, stride):
    """True passes as the number 1: in Python, bool is a subclass of int."""
    return window_starts(*(int(value) if isinstance(value, bool) else value for value in (size, window, stride)))


# ---------------------------------------------------------------------------------------------------------------------
# extract_windows
# ---------------------------------------------------------------------------------------------------------------------


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=3)
def columns_before_rows(image, window, stride):
    """The first two dimensions are swapped: columns of windows first, rows second."""
    return extract_windows(image, window, stride).transpose(0, 1)


@misconception("extract_windows", breaks=("test_every_window", "test_dtype_kept", "test_no_copy"), hint=3)
def channels_left_in_front(image, window, stride):
    """The channels are still in front: every number is there, but the order of the dimensions is another one."""
    return extract_windows(image, window, stride).permute(2, 0, 1, 3, 4)


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=3)
def windows_mirrored(image, window, stride):
    """Each window is mirrored at its diagonal: the rows and columns inside it are swapped."""
    return extract_windows(image, window, stride).transpose(3, 4)


@misconception("extract_windows", breaks=("test_every_window", "test_gaps"), hint=1)
def height_for_both(image, window, stride):
    """The number of columns comes from the height. On square pictures that goes unnoticed."""
    windows = extract_windows(image, window, stride)
    return windows[:, : len(window_starts(image.shape[1], window, stride))]


@misconception("extract_windows", breaks=("test_every_window", "test_gaps", "test_no_copy"), hint=1)
def side_by_side(image, window, stride):
    """The stride is not used: windows lie side by side, as far apart as they are large."""
    return extract_windows(image, window, window)


@misconception("extract_windows", breaks="test_gaps", hint=1)
def overlap_required(image, window, stride):
    """A stride larger than the window is cut down to the window. Gaps between windows are allowed."""
    return extract_windows(image, window, min(window, stride))


@misconception("extract_windows", breaks="test_no_copy", hint=2)
def every_window_copied(image, window, stride):
    """The values are right, but the pixels were copied: at stride 8 each one up to 64 times. A view shares them."""
    return extract_windows(image, window, stride).contiguous().clone()


@misconception("extract_windows", breaks=("test_no_copy", "test_dtype_kept"), hint=2)
def collected_with_stack(image, window, stride):
    """Windows are cut one by one and stacked as floats: that copies every pixel and changes the dtype."""
    rows = window_starts(image.shape[1], window, stride)
    cols = window_starts(image.shape[2], window, stride)
    extract_windows(image, window, stride)
    return torch.stack([torch.stack([image[:, y : y + window, x : x + window] for x in cols]) for y in rows]).float()


@misconception("extract_windows", breaks="test_dtype_kept", hint=2)
def converted_to_float(image, window, stride):
    """Bytes become floats, which also copies the picture. The windows have the picture's own dtype."""
    return extract_windows(image.float(), window, stride)


@misconception("extract_windows", breaks="test_one_window", hint=3)
def single_dimensions_dropped(image, window, stride):
    """`squeeze` removes every dimension of size 1: also the rows, columns or channels, when there is just one."""
    return extract_windows(image, window, stride).squeeze()


@misconception("extract_windows", breaks="test_not_a_picture", hint=1)
def batch_taken_for_a_picture(image, window, stride):
    """A tensor with more or fewer than three dimensions is reshaped until it passes, instead of being refused."""
    return extract_windows(image.reshape(-1, *image.shape[-2:]), window, stride)


@misconception("extract_windows", breaks="test_not_a_picture", hint=1)
def empty_picture_accepted(image, window, stride):
    """A picture without pixels gives windows without pixels instead of a ValueError."""
    if image.ndim == 3 and image.numel() == 0:
        return image.new_zeros(0, 0, 0, window, window)
    return extract_windows(image, window, stride)


@misconception("extract_windows", breaks=("test_not_a_picture", "test_window_too_large"), hint=1)
def error_left_to_torch(image, window, stride):
    """Nothing is checked: torch's own error surfaces, a RuntimeError about strides or sizes that explains little."""
    windows = image.unfold(1, window, stride).unfold(2, window, stride)
    return windows.permute(1, 2, 0, 3, 4)


@misconception("extract_windows", breaks="test_window_too_large", hint=1)
def too_large_gives_none(image, window, stride):
    """A window larger than the picture gives an empty tensor; here it is an error that wants saying."""
    if image.ndim == 3 and image.numel() and min(image.shape[1:]) < window:
        return image.new_zeros(0, 0, image.shape[0], window, window)
    return extract_windows(image, window, stride)


# ---------------------------------------------------------------------------------------------------------------------
# sliding_window_scores
# ---------------------------------------------------------------------------------------------------------------------


@misconception("sliding_window_scores", breaks=("test_every_window", "test_number_of_calls"), hint=3)
def map_filled_by_columns(classifier, image, window, stride, batch_size):
    """Rows and columns are swapped: the map is filled column by column. On square pictures it is mirrored."""
    return sliding_window_scores(classifier, image, window, stride, batch_size).transpose(1, 2)


@misconception("sliding_window_scores", breaks=("test_every_window", "test_batch_of_all"), hint=3)
def reshaped_without_transposing(classifier, image, window, stride, batch_size):
    """The scores (n, num_classes) are reshaped at once to (num_classes, rows, cols): right shape, wrong pairs."""
    scores = sliding_window_scores(classifier, image, window, stride, batch_size)
    return scores.permute(1, 2, 0).reshape(scores.shape)


@misconception("sliding_window_scores", breaks=("test_every_window", "test_dtype"), hint=3)
def classes_last(classifier, image, window, stride, batch_size):
    """The classes are in the last dimension; networks and losses here expect them in front."""
    return sliding_window_scores(classifier, image, window, stride, batch_size).permute(1, 2, 0)


@misconception("sliding_window_scores", breaks=("test_every_window", "test_no_gradient"), hint=1)
def probabilities_returned(classifier, image, window, stride, batch_size):
    """A softmax was applied: the map holds probabilities instead of the scores that the classifier returned."""
    return sliding_window_scores(classifier, image, window, stride, batch_size).double().softmax(0).float()


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2)
def one_by_one(classifier, image, window, stride, batch_size):
    """The classifier is called once per window. The scores are right; the batches are what the exercise is about."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}")
    return sliding_window_scores(classifier, image, window, stride, 1)


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2)
def all_at_once(classifier, image, window, stride, batch_size):
    """All windows go through the classifier in one call: batch_size is not used, and memory is the price."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}")
    return sliding_window_scores(classifier, image, window, stride, 1_000_000)


@misconception("sliding_window_scores", breaks="test_number_of_calls", hint=2)
def row_by_row(classifier, image, window, stride, batch_size):
    """Each row of windows begins a new batch, so that there are more calls than needed."""
    windows = extract_windows(image, window, stride)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}")
    bands = [image[:, i * stride : i * stride + window] for i in range(len(windows))]
    return torch.cat([sliding_window_scores(classifier, band, window, stride, batch_size) for band in bands], dim=1)


@misconception("sliding_window_scores", breaks=("test_number_of_calls", "test_batch_of_all"), hint=2)
def last_batch_dropped(classifier, image, window, stride, batch_size):
    """The last batch is thrown away when it is not full; its places in the map stay zero."""
    scores = sliding_window_scores(classifier, image, window, stride, batch_size)
    whole = scores[0].numel() // batch_size * batch_size
    scores.flatten(1)[:, whole:] = 0
    return scores


@misconception("sliding_window_scores", breaks="test_batch_of_all", hint=2)
def batch_must_fit(classifier, image, window, stride, batch_size):
    """A batch size larger than the number of windows is refused; one smaller batch would do."""
    windows = extract_windows(image, window, stride)
    if batch_size > windows.shape[0] * windows.shape[1]:
        raise ValueError("the batch is larger than the number of windows")
    return sliding_window_scores(classifier, image, window, stride, batch_size)


@misconception("sliding_window_scores", breaks="test_dtype", hint=3)
def map_prepared_as_float(classifier, image, window, stride, batch_size):
    """The map was made with `torch.zeros`, so it is float32 whatever the classifier returns."""
    return sliding_window_scores(classifier, image, window, stride, batch_size).float()


@misconception("sliding_window_scores", breaks="test_no_gradient", hint=3)
def gradient_recorded(classifier, image, window, stride, batch_size):
    """Gradients are recorded: the activations of all batches stay in memory though nobody trains here."""
    return sliding_window_scores.__wrapped__(classifier, image, window, stride, batch_size)


@misconception("sliding_window_scores", breaks="test_wrong_classifier", hint=1)
def any_output_accepted(classifier, image, window, stride, batch_size):
    """Whatever the classifier returns is pressed into the map: a classifier of a wrong shape goes unnoticed."""

    def pressed(batch):
        scores = classifier(batch)
        if scores.ndim == 2 and len(scores) == len(batch):
            return scores
        return scores.expand(len(batch), -1) if scores.ndim == 1 else scores.new_zeros(len(batch), 1)

    return sliding_window_scores(pressed, image, window, stride, batch_size)


@misconception("sliding_window_scores", breaks="test_wrong_classifier", hint=1)
def only_dimensions_counted(classifier, image, window, stride, batch_size):
    """A classifier that returns too few rows of scores is not refused with a ValueError of its own."""

    def padded(batch):
        scores = classifier(batch)
        return F.pad(scores, (0, 0, 0, len(batch) - len(scores))) if scores.ndim == 2 else scores

    return sliding_window_scores(padded, image, window, stride, batch_size)


@misconception("sliding_window_scores", breaks="test_bad_batch_size", hint=1)
def batch_size_repaired(classifier, image, window, stride, batch_size):
    """A batch size of zero or less is silently replaced by 1 instead of being refused."""
    return sliding_window_scores(classifier, image, window, stride, max(1, batch_size))


# ---------------------------------------------------------------------------------------------------------------------
# scores_to_mask
# ---------------------------------------------------------------------------------------------------------------------


def lookup(scores, image_size, window, stride, index):
    """A mask by an index rule of one's own: index(pixels, count) -> window numbers."""
    mask = scores_to_mask(scores, image_size, window, stride)
    rows = index(torch.arange(mask.shape[0]), scores.shape[1]).clamp(0, scores.shape[1] - 1)
    cols = index(torch.arange(mask.shape[1]), scores.shape[2]).clamp(0, scores.shape[2] - 1)
    return scores.argmax(0)[rows[:, None], cols]


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=1)
def label_at_top_left(scores, image_size, window, stride):
    """Each label is laid at its window's top left corner, so the whole map is shifted by half a window."""
    return lookup(scores, image_size, window, stride, lambda pixel, count: pixel // stride)


@misconception("scores_to_mask", breaks=("test_centres", "test_equal_distance"), hint=1)
def top_left_corner_nearest(scores, image_size, window, stride):
    """The nearest start is taken instead of the nearest centre: the map is shifted by half a window."""
    return lookup(scores, image_size, window, stride, lambda pixel, count: (2 * pixel + stride - 1) // (2 * stride))


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=1)
def stretched_to_picture(scores, image_size, window, stride):
    """The map is stretched over the whole picture, margins included: objects grow and move outwards."""
    height, width = image_size
    scores_to_mask(scores, image_size, window, stride)
    rows = torch.arange(height) * scores.shape[1] // height
    cols = torch.arange(width) * scores.shape[2] // width
    return scores.argmax(0)[rows[:, None], cols]


@misconception("scores_to_mask", breaks="test_equal_distance", hint=3)
def later_window_wins(scores, image_size, window, stride):
    """Where two windows are equally near, the later one wins."""
    start, step = window - stride - 1, 2 * stride
    return lookup(scores, image_size, window, stride, lambda pixel, count: (2 * pixel - start) // step)


@misconception("scores_to_mask", breaks=("test_centres", "test_best_class"), hint=3)
def centre_half_a_pixel_off(scores, image_size, window, stride):
    """The centre is taken at start + window / 2: that is the corner between pixels, half a pixel too far."""
    first, step = window + 1 - stride, 2 * stride
    return lookup(scores, image_size, window, stride, lambda pixel, count: (2 * pixel - first) // step)


@misconception("scores_to_mask", breaks=("test_leftover_margin", "test_centres"), hint=2)
def margin_left_as_background(scores, image_size, window, stride):
    """Pixels beyond the outermost centres are left at class 0; they should take the nearest window's class."""
    mask = scores_to_mask(scores, image_size, window, stride)
    inner = torch.zeros_like(mask)
    first = (window - 1) // 2
    last = [window // 2 + (count - 1) * stride for count in scores.shape[1:]]
    inner[first : last[0] + 1, first : last[1] + 1] = 1
    return mask * inner


@misconception("scores_to_mask", breaks="test_leftover_margin", hint=2)
def uncovered_left_as_background(scores, image_size, window, stride):
    """Pixels that no window covers are left at class 0; they should take the nearest window's class."""
    mask = scores_to_mask(scores, image_size, window, stride)
    ends = [window + (count - 1) * stride for count in scores.shape[1:]]
    mask[ends[0] :], mask[:, ends[1] :] = 0, 0
    return mask


@misconception("scores_to_mask", breaks="test_one_window", hint=2)
def at_least_two_windows(scores, image_size, window, stride):
    """A map of a single row or column is not handled: the step between two centres cannot be measured there."""
    if 1 in scores.shape[1:]:
        return torch.zeros(image_size, dtype=torch.int64)
    return scores_to_mask(scores, image_size, window, stride)


@misconception("scores_to_mask", breaks=("test_centres", "test_leftover_margin"), hint=3)
def height_and_width_swapped(scores, image_size, window, stride):
    """Height and width are swapped: image_size is (height, width), and so is the mask."""
    return scores_to_mask(scores, image_size, window, stride).mT


@misconception("scores_to_mask", breaks=("test_centres", "test_best_class"), hint=3)
def mask_of_floats(scores, image_size, window, stride):
    """The mask is float; classes are whole numbers, int64."""
    return scores_to_mask(scores, image_size, window, stride).float()


@misconception("scores_to_mask", breaks="test_best_class", hint=1)
def scores_taken_for_probabilities(scores, image_size, window, stride):
    """Scores are compared with a threshold as if they were probabilities: what is not above 0 becomes class 0."""
    scores_to_mask(scores, image_size, window, stride)
    confident = F.one_hot(scores.argmax(0) * (scores.amax(0) > 0)).permute(2, 0, 1)
    return scores_to_mask(confident, image_size, window, stride)


@misconception("scores_to_mask", breaks="test_best_class", hint=1)
def sign_dropped(scores, image_size, window, stride):
    """The score that is largest without its sign wins; the largest score itself should."""
    return scores_to_mask(scores.abs(), image_size, window, stride)


@misconception("scores_to_mask", breaks="test_map_of_another_size", hint=1)
def any_map_accepted(scores, image_size, window, stride):
    """A map that does not belong to a picture of this size is drawn all the same, cut off or repeated."""
    if scores.ndim != 3 or 0 in scores.shape:
        raise ValueError(f"scores of shape {tuple(scores.shape)}")
    height, width = (window + (count - 1) * stride for count in scores.shape[1:])
    fitting = scores_to_mask(scores, (height, width), window, stride)
    rows, cols = torch.arange(image_size[0]).clamp(max=height - 1), torch.arange(image_size[1]).clamp(max=width - 1)
    return fitting[rows[:, None], cols]


@misconception("scores_to_mask", breaks="test_map_of_another_size", hint=1)
def empty_map_accepted(scores, image_size, window, stride):
    """Scores of no class, or of no window, give a mask of zeros instead of a ValueError."""
    if scores.ndim == 3 and scores.numel() == 0:
        return torch.zeros(image_size, dtype=torch.int64)
    return scores_to_mask(scores, image_size, window, stride)


# ---------------------------------------------------------------------------------------------------------------------
# shared_feature_scores
# ---------------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def slide_over_features(features, head, image, side, step):
    """The head at every feature window, with a window and a step of one's own choice."""
    return sliding_window_scores(head, features(image[None])[0], side, step, batch_size=64)


def feature_side(features, image, window):
    """How many features one window is wide."""
    return features(image[None, :, :window, :window]).shape[-1]


@misconception("shared_feature_scores", breaks=("test_equals_naive", "test_larger_strides"), hint=2)
def stride_of_pixels_on_features(features, head, image, window, stride, jump):
    """The feature windows move by the stride in pixels. Features lie `jump` pixels apart: your map is too small."""
    shared_feature_scores(features, head, image, window, stride, jump)
    return slide_over_features(features, head, image, feature_side(features, image, window), stride)


@misconception("shared_feature_scores", breaks=("test_equals_naive", "test_head_sees_windows"), hint=2)
def window_divided_by_jump(features, head, image, window, stride, jump):
    """The feature window is taken as window / jump. Convolutions without padding leave fewer: 13, not 16, for LeNet."""
    shared_feature_scores(features, head, image, window, stride, jump)
    return slide_over_features(features, head, image, window // jump, stride // jump)


@misconception("shared_feature_scores", breaks="test_larger_strides", hint=2)
def every_feature_window(features, head, image, window, stride, jump):
    """The head runs at every feature, one jump apart; for larger strides the map has too many rows and columns."""
    shared_feature_scores(features, head, image, window, stride, jump)
    return shared_feature_scores(features, head, image, window, jump, jump)


@misconception("shared_feature_scores", breaks="test_features_once", hint=1)
def features_of_every_window(features, head, image, window, stride, jump):
    """Features are computed for each window on its own: that is the naive way, with the same answer and no gain."""
    shared_feature_scores(features, head, image, window, stride, jump)
    return sliding_window_scores(lambda batch: head(features(batch)), image, window, stride, batch_size=64)


@misconception("shared_feature_scores", breaks="test_features_once", hint=1)
def features_of_every_row(features, head, image, window, stride, jump):
    """Features are computed for each row of windows again; overlapping rows share theirs."""
    tops = window_starts(image.shape[1], window, stride)
    bands = [image[:, top : top + window] for top in tops]
    scores = [shared_feature_scores(features, head, band, window, stride, jump) for band in bands]
    return torch.cat(scores, dim=1)


@misconception("shared_feature_scores", breaks="test_features_once", hint=2)
def probed_until_it_fits(features, head, image, window, stride, jump):
    """Features are computed at many sizes to find the feature window; one picture of the window's size is enough."""
    for size in range(window, min(image.shape[1:]), stride):
        features(image[None, :, :size, :size])
    return shared_feature_scores(features, head, image, window, stride, jump)


@misconception("shared_feature_scores", breaks="test_head_sees_windows", hint=1)
def dense_then_thinned(features, head, image, window, stride, jump):
    """The head runs at every feature and most of its scores are thrown away; give it the windows that count."""
    rows, cols = extract_windows(image, window, stride).shape[:2]
    if jump < 1 or stride % jump:
        raise ValueError(f"stride {stride}, jump {jump}")
    step = stride // jump
    dense = slide_over_features(features, head, image, feature_side(features, image, window), 1)
    return dense[:, ::step, ::step][:, :rows, :cols].clone()


@misconception("shared_feature_scores", breaks="test_leftover_pixels", hint=3)
def windows_that_stick_out(features, head, image, window, stride, jump):
    """A row or column too many: its feature windows fit the feature map, its windows stick out of the picture."""
    shared_feature_scores(features, head, image, window, stride, jump)
    side = feature_side(features, image, window)
    return slide_over_features(features, head, image, side, stride // jump)


@misconception("shared_feature_scores", breaks="test_one_window", hint=2)
def pooling_expected(features, head, image, window, stride, jump):
    """A jump of 1 is not handled: features without pooling lie one pixel apart, and that is fine."""
    if jump < 2:
        raise ValueError("the features do not reduce the picture")
    return shared_feature_scores(features, head, image, window, stride, jump)


@misconception("shared_feature_scores", breaks="test_no_gradient", hint=3)
def gradient_recorded_in_features(features, head, image, window, stride, jump):
    """Gradients are recorded: the features of the whole picture stay in memory though nobody trains here."""
    rows, cols = extract_windows(image, window, stride).shape[:2]
    if jump < 1 or stride % jump:
        raise ValueError(f"stride {stride}, jump {jump}")
    side = feature_side(features, image, window)
    windows = extract_windows(features(image[None])[0], side, stride // jump)[:rows, :cols]
    return head(windows.flatten(0, 1)).T.reshape(-1, rows, cols)


@misconception("shared_feature_scores", breaks="test_bad_arguments", hint=1)
def stride_rounded_to_jumps(features, head, image, window, stride, jump):
    """A stride that is no multiple of the jump is rounded down; the windows are then not where they should be."""
    return shared_feature_scores(features, head, image, window, max(1, stride // jump) * jump, jump)


@misconception("shared_feature_scores", breaks="test_bad_arguments", hint=1)
def window_size_not_checked(features, head, image, window, stride, jump):
    """A window larger than the picture is not refused."""
    if min(image.shape[1:]) < window:
        return torch.zeros(1, 0, 0)
    return shared_feature_scores(features, head, image, window, stride, jump)


# ---------------------------------------------------------------------------------------------------------------------
# multiply_adds
# ---------------------------------------------------------------------------------------------------------------------


def of_kind(layers, kind):
    return [layer for layer in layers if layer["kind"] == kind]


def count(layers, height, width, cost):
    """Adds up cost(layer, height, width) over the layers, with the map's size before each."""
    multiply_adds(layers, height, width)
    total = 0
    for layer in layers:
        total += cost(layer, height, width)
        if layer["kind"] != "linear":
            room = 2 * layer.get("padding", 0) - layer["kernel_size"]
            height, width = ((size + room) // layer["stride"] + 1 for size in (height, width))
    return total


def costs(layers, height, width):
    """Each layer with its own multiply-adds."""
    totals = [multiply_adds(layers[:i], height, width) for i in range(len(layers) + 1)]
    return [(layer, totals[i + 1] - totals[i]) for i, layer in enumerate(layers)]


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=1)
def input_places_counted(layers, height, width):
    """The kernel is applied at every pixel of the input; count the places of the output, which are fewer."""

    def cost(layer, height, width):
        if layer["kind"] == "conv":
            return layer["kernel_size"] ** 2 * layer["in_channels"] * layer["out_channels"] * height * width
        return multiply_adds([layer], 1, 1) if layer["kind"] == "linear" else 0

    return count(layers, height, width, cost)


@misconception("multiply_adds", breaks=("test_convolutions", "test_huge"), hint=1)
def one_input_channel(layers, height, width):
    """Each output channel looks at all input channels; your kernel looks at one."""

    return sum(
        total // (layer["in_channels"] if layer["kind"] == "conv" else 1)
        for layer, total in costs(layers, height, width)
    )


@misconception("multiply_adds", breaks=("test_convolutions", "test_pooling"), hint=1)
def kernel_counted_in_one_dimension(layers, height, width):
    """The kernel has kernel_size numbers in each of two dimensions; you counted one of them."""

    return sum(total // layer.get("kernel_size", 1) for layer, total in costs(layers, height, width))


@misconception("multiply_adds", breaks=("test_convolutions", "test_dense", "test_naive_and_shared"), hint=1)
def bias_counted(layers, height, width):
    """Biases are counted too: one more per output number. The exercise counts products only."""
    per_output = {
        "conv": lambda layer: layer["kernel_size"] ** 2 * layer["in_channels"],
        "pool": lambda layer: 1,
        "linear": lambda layer: layer["in_features"],
    }
    return sum(total + total // per_output[layer["kind"]](layer) for layer, total in costs(layers, height, width))


@misconception("multiply_adds", breaks=("test_convolutions", "test_naive_and_shared", "test_huge"), hint=1)
def multiplications_and_additions(layers, height, width):
    """Multiplications and additions are counted apart: twice the number. One multiply-add is one."""
    return 2 * multiply_adds(layers, height, width)


@misconception("multiply_adds", breaks=("test_convolutions", "test_huge"), hint=2)
def padding_on_one_side(layers, height, width):
    """The padding is added once; it lies on both sides of the picture."""
    shrunk = [layer | {"padding": layer["padding"] / 2} if layer.get("padding") else layer for layer in layers]
    return int(multiply_adds(shrunk, height, width))


@misconception("multiply_adds", breaks="test_convolutions", hint=2)
def width_taken_from_height(layers, height, width):
    """The width is taken to be the height. On square pictures that goes unnoticed."""
    multiply_adds(layers, height, width)
    if of_kind(layers, "linear"):
        return multiply_adds(layers, height, width)
    return multiply_adds(layers, height, height)


@misconception("multiply_adds", breaks=("test_pooling", "test_nothing_to_count"), hint=1)
def pooling_counted(layers, height, width):
    """Pooling is counted as well; it multiplies nothing."""
    extra = count(layers, height, width, lambda layer, h, w: h * w if layer["kind"] == "pool" else 0)
    return multiply_adds(layers, height, width) + extra


@misconception("multiply_adds", breaks="test_pooling", hint=2)
def pooling_always_halves(layers, height, width):
    """Every pooling layer halves the map; kernel and stride of the layer say by how much it shrinks."""
    if of_kind(layers, "linear"):
        return multiply_adds(layers, height, width)
    halved = [layer | {"kernel_size": 2, "stride": 2} if layer["kind"] == "pool" else layer for layer in layers]
    return multiply_adds(halved, height, width)


@misconception("multiply_adds", breaks="test_pooling", hint=2)
def pooling_rounded_up(layers, height, width):
    """A last pooling window that sticks out of the map is counted; only whole windows are."""
    rounded = [layer | {"padding": (layer["stride"] - 1) / 2} if layer["kind"] == "pool" else layer for layer in layers]
    if of_kind(layers, "linear") or not of_kind(layers, "conv"):
        return multiply_adds(layers, height, width)
    return int(multiply_adds(rounded, height, width))


@misconception("multiply_adds", breaks=("test_dense", "test_naive_and_shared"), hint=2)
def dense_layers_forgotten(layers, height, width):
    """Dense layers cost nothing in your count; they have one product for each of their weights."""
    multiply_adds(layers, height, width)
    return multiply_adds([layer for layer in layers if layer["kind"] != "linear"], height, width)


@misconception("multiply_adds", breaks=("test_dense", "test_naive_and_shared"), hint=2)
def dense_layer_at_every_pixel(layers, height, width):
    """The first dense layer is counted once per pixel of the map before it. It flattens the map and runs once."""

    def cost(layer, height, width):
        return layer["in_features"] * layer["out_features"] * height * width if layer["kind"] == "linear" else 0

    return dense_layers_forgotten(layers, height, width) + count(layers, height, width, cost)


@misconception("multiply_adds", breaks="test_huge", hint=3)
def counted_in_floats(layers, height, width):
    """The count went through a float32, which is exact only up to 16,777,216."""
    return int(torch.tensor(multiply_adds(layers, height, width), dtype=torch.float32))


@misconception("multiply_adds", breaks="test_nothing_to_count", hint=2)
def one_pixel_refused(layers, height, width):
    """A map of one row or one column is refused as if nothing were left; one pixel is still a map."""
    areas = []
    count(layers, height, width, lambda layer, h, w: areas.append(h * w) or 0)
    if 1 in areas:
        raise ValueError("nothing is left of the picture")
    return multiply_adds(layers, height, width)


@misconception("multiply_adds", breaks="test_misfits", hint=3)
def nothing_checked(layers, height, width):
    """Layers that do not fit one another are counted all the same, down to maps of no or negative size."""
    total = 0
    for layer in layers:
        if layer["kind"] == "conv":
            height, width = (
                (s + 2 * layer["padding"] - layer["kernel_size"]) // layer["stride"] + 1 for s in (height, width)
            )
            total += layer["kernel_size"] ** 2 * layer["in_channels"] * layer["out_channels"] * height * width
        elif layer["kind"] == "pool":
            height, width = ((s - layer["kernel_size"]) // layer["stride"] + 1 for s in (height, width))
        else:
            total += layer["in_features"] * layer["out_features"]
    return total


@misconception("multiply_adds", breaks="test_misfits", hint=3)
def dense_input_not_checked(layers, height, width):
    """A dense layer is not compared with the map before it: a wrong in_features goes unnoticed."""
    try:
        return multiply_adds(layers, height, width)
    except ValueError:
        if not of_kind(layers, "linear"):
            raise
        return nothing_checked(layers, height, width)
