"""Answers to the exercises of lesson 02, right and wrong, as students with different habits write them."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative, wrong

# 1 · window_starts


@alternative("window_starts")
def right_starts_while(size, window, stride):
    """Steps while a window fits."""
    starts, at = [], 0
    while at + window <= size:
        starts.append(at)
        at += stride
    return starts


@alternative("window_starts")
def right_starts_filtered(size, window, stride):
    """All multiples of the stride that leave room for a window."""
    return [p for p in range(size) if p % stride == 0 and size - p >= window]


@alternative("window_starts")
def right_starts_counted(size, window, stride):
    """Counts steps, then multiplies."""
    if size < window:
        return []
    n = int((size - window) / stride) + 1
    return [i * stride for i in range(n)]


@wrong("window_starts", "stride_divides_picture")
def starts_slide_division(size, window, stride):
    """As many windows as strides fit into the picture."""
    n = size // stride
    return [k * stride for k in range(n)]


@wrong("window_starts", "stride_divides_picture")
def starts_whole_range(size, window, stride):
    """The window's size is never used."""
    return list(range(0, size, stride))


@wrong("window_starts", "last_window_forgotten")
def starts_stop_before_the_last(size, window, stride):
    """The last start is cut off by range."""
    return [start for start in range(0, size - window, stride)]


@wrong("window_starts", "last_window_forgotten")
def starts_strictly_inside(size, window, stride):
    """A window that ends with the picture is refused."""
    result, x = [], 0
    while x + window < size:
        result += [x]
        x += stride
    return result


@wrong("window_starts", "steps_counted_for_windows")
def starts_steps_are_not_windows(size, window, stride):
    """Counts the steps, one less than the windows."""
    if window > size:
        return []
    steps = (size - window) // stride
    return [step * stride for step in range(steps)]


@wrong("window_starts", "rounded_up")
def starts_rounded_up(size, window, stride):
    """Rounds the number of steps up."""
    if window > size:
        return []
    count = math.ceil((size - window) / stride) + 1
    return [i * stride for i in range(count)]


@wrong("window_starts", "rounded_up")
def starts_end_plus_stride(size, window, stride):
    """The range ends a stride later instead of a pixel."""
    return list(range(0, size - window + stride, stride))


@wrong("window_starts", "rounded_up")
def starts_rounded_to_nearest(size, window, stride):
    """Rounds the number of steps to the nearest."""
    if window > size:
        return []
    return [i * stride for i in range(round((size - window) / stride) + 1)]


@wrong("window_starts", "last_window_moved_to_the_edge")
def starts_reach_the_edge(size, window, stride):
    """One more window, moved to the edge."""
    if window > size:
        return []
    starts = list(range(0, size - window + 1, stride))
    if starts[-1] + window < size:
        starts.append(size - window)
    return starts


@wrong("window_starts", "step_of_one")
def starts_side_by_side(size, window, stride):
    """Steps by the window, not by the stride."""
    return list(range(0, size - window + 1, window))


@wrong("window_starts", "one_window_at_least")
def starts_at_least_one(size, window, stride):
    """A window that is too large gets a start all the same."""
    room = max(size - window, 0)
    return list(range(0, room + 1, stride))


@wrong("window_starts")
def starts_equal_does_not_fit(size, window, stride):
    """A window as large as the picture is refused."""
    if window >= size:
        return []
    return list(range(0, size - window + 1, stride))


@wrong("window_starts", "stride_divides_picture")
def starts_of_a_padded_picture(size, window, stride):
    """Counts the windows of a padded picture."""
    padding = (window - stride) // 2
    n = (size + 2 * padding - window) // stride + 1
    return [i * stride for i in range(max(n, 0))]


@wrong("window_starts")
def starts_spread_evenly(size, window, stride):
    """The right number of starts, spread over the room."""
    if window > size:
        return []
    n = (size - window) // stride + 1
    if n == 1:
        return [0]
    return [round(i * (size - window) / (n - 1)) for i in range(n)]


@wrong("window_starts")
def starts_as_centres(size, window, stride):
    """Centres, not starts."""
    return [s + window // 2 for s in range(0, size - window + 1, stride)]


# 2 · extract_windows


@alternative("extract_windows")
def right_windows_columns_first(image, window, stride):
    """Unfolds the columns first."""
    w = image.unfold(2, window, stride).unfold(1, window, stride)  # (C, rows, cols, across, down)
    return w.transpose(3, 4).movedim(0, 2)


@alternative("extract_windows")
def right_windows_strided(image, window, stride):
    """Steps through the memory by hand."""
    c, h, w = image.shape
    sc, sh, sw = image.stride()
    rows, cols = (h - window) // stride + 1, (w - window) // stride + 1
    return image.as_strided((rows, cols, c, window, window), (sh * stride, sw * stride, sc, sh, sw))


@alternative("extract_windows")
def right_windows_channels_last(image, window, stride):
    """Moves the channels away first."""
    return image.permute(1, 2, 0).unfold(0, window, stride).unfold(1, window, stride)


@wrong("extract_windows", "every_window_copied")
def windows_stacked(image, window, stride):
    """Copies every window into a new tensor."""
    rows = []
    for top in range(0, image.shape[1] - window + 1, stride):
        row = []
        for left in range(0, image.shape[2] - window + 1, stride):
            row.append(image[:, top : top + window, left : left + window])
        rows.append(torch.stack(row))
    return torch.stack(rows)


@wrong("extract_windows", "reshaped_instead_of_permuted", "every_window_copied")
def windows_reshaped(image, window, stride):
    """Reshapes instead of permuting."""
    patches = image.unfold(1, window, stride).unfold(2, window, stride)
    c, rows, cols = patches.shape[:3]
    return patches.reshape(rows, cols, c, window, window)


@wrong("extract_windows", "every_window_copied")
def windows_contiguous(image, window, stride):
    """Makes the view contiguous, which copies it."""
    patches = image.unfold(1, window, stride).unfold(2, window, stride)
    return patches.permute(1, 2, 0, 3, 4).contiguous()


@wrong("extract_windows", "columns_before_rows")
def windows_cols_rows(image, window, stride):
    """Columns before rows."""
    patches = image.unfold(1, window, stride).unfold(2, window, stride)
    return patches.permute(2, 1, 0, 3, 4)


@wrong("extract_windows", "columns_before_rows")
def windows_flipped_inside(image, window, stride):
    """Each window is transposed."""
    patches = image.unfold(2, window, stride).unfold(1, window, stride)
    return patches.permute(1, 2, 0, 3, 4)


@wrong("extract_windows", "strides_of_a_contiguous_picture")
def windows_fresh_strides(image, window, stride):
    """Assumes the memory of a fresh picture."""
    c, h, w = image.shape
    shape = ((h - window) // stride + 1, (w - window) // stride + 1, c, window, window)
    return torch.as_strided(image, shape, (stride * w, stride, h * w, w, 1), image.storage_offset())


@wrong("extract_windows", "strides_of_a_contiguous_picture")
def windows_offset_zero(image, window, stride):
    """Starts at the beginning of the memory, not of the picture."""
    c, h, w = image.shape
    a, b, d = image.stride()
    shape = ((h - window) // stride + 1, (w - window) // stride + 1, c, window, window)
    return torch.as_strided(image, shape, (stride * b, stride * d, a, b, d), 0)


@wrong("extract_windows", "every_window_copied")
def windows_contiguous_first(image, window, stride):
    """Copies pictures whose memory is in another order."""
    image = image.contiguous()
    return image.unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 0, 3, 4)


@wrong("extract_windows", "squeezed")
def windows_squeezed(image, window, stride):
    """Drops the dimensions of size 1."""
    return image.unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 0, 3, 4).squeeze()


@wrong("extract_windows", "side_by_side")
def windows_without_overlap(image, window, stride):
    """Steps by the window."""
    tiles = image.unfold(1, window, window).unfold(2, window, window)
    return tiles.permute(1, 2, 0, 3, 4)


@wrong("extract_windows", "as_many_columns_as_rows")
def windows_square_picture(image, window, stride):
    """As many columns as rows."""
    n = (image.shape[1] - window) // stride + 1
    c = image.shape[0]
    a, b, d = image.stride()
    return image.as_strided((n, n, c, window, window), (stride * b, stride * d, a, b, d))


@wrong("extract_windows", "every_window_copied")
def windows_im2col(image, window, stride):
    """Goes through F.unfold, which copies."""
    c, h, w = image.shape
    columns = F.unfold(image[None].float(), window, stride=stride)[0]
    rows, cols = (h - window) // stride + 1, (w - window) // stride + 1
    return columns.view(c, window, window, rows, cols).permute(3, 4, 0, 1, 2).to(image.dtype)


@wrong("extract_windows", "channels_left_in_front")
def windows_channels_at_the_end(image, window, stride):
    """Channels last, as pictures are drawn."""
    return image.unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 3, 4, 0)


@wrong("extract_windows", "every_window_copied", "squeezed")
def windows_in_a_list(image, window, stride):
    """One flat list of windows, copied."""
    c = image.shape[0]
    patches = image.unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 0, 3, 4)
    return patches.reshape(-1, c, window, window)


@wrong("extract_windows", "every_window_copied", "as_many_columns_as_rows")
def windows_loop_square(image, window, stride):
    """Copies, and takes the rows' starts for the columns."""
    starts = range(0, min(image.shape[1:]) - window + 1, stride)
    return torch.stack([torch.stack([image[:, y : y + window, x : x + window] for x in starts]) for y in starts])


# 3 · sliding_window_scores


def _all_windows(image, window, stride):
    """(rows, cols, C, window, window)"""
    return image.unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 0, 3, 4)


@alternative("sliding_window_scores")
@torch.inference_mode()
def right_scores_split(classifier, image, window, stride, batch_size):
    """All windows flat, split, stacked."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    outputs = [classifier(part) for part in windows.flatten(0, 1).split(batch_size)]
    return torch.cat(outputs).reshape(rows, cols, -1).permute(2, 0, 1)


@alternative("sliding_window_scores")
def right_scores_lists(classifier, image, window, stride, batch_size):
    """Corners in a list, batches by islice."""
    tops = range(0, image.shape[1] - window + 1, stride)
    lefts = range(0, image.shape[2] - window + 1, stride)
    corners, columns = iter(list(itertools.product(tops, lefts))), []
    while group := list(itertools.islice(corners, batch_size)):
        batch = torch.stack([image[:, y : y + window, x : x + window] for y, x in group])
        with torch.no_grad():
            columns.append(classifier(batch).T)
    return torch.cat(columns, dim=1).unflatten(1, (len(tops), len(lefts)))


@wrong("sliding_window_scores", "reshaped_without_transposing")
def scores_not_transposed(classifier, image, window, stride, batch_size):
    """Reshapes (n, classes) to (classes, rows, cols)."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    flat = windows.reshape(-1, *windows.shape[2:])
    found = []
    with torch.no_grad():
        for i in range(0, len(flat), batch_size):
            found.append(classifier(flat[i : i + batch_size]))
    found = torch.cat(found)
    return found.reshape(found.shape[1], rows, cols)


@wrong("sliding_window_scores", "probabilities_returned")
@torch.no_grad()
def scores_as_probabilities(classifier, image, window, stride, batch_size):
    """Applies softmax."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = [classifier(part).softmax(1) for part in windows.flatten(0, 1).split(batch_size)]
    return torch.cat(out).T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "gradient_recorded")
def scores_detached(classifier, image, window, stride, batch_size):
    """Records the gradient and detaches the scores."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = [classifier(part).detach() for part in windows.flatten(0, 1).split(batch_size)]
    return torch.cat(out).T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "gradient_recorded")
def scores_with_gradient(classifier, image, window, stride, batch_size):
    """Calls no_grad as a statement, which does nothing."""
    torch.no_grad()
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    windows = windows.reshape(rows * cols, *windows.shape[2:])
    out = torch.cat([classifier(windows[i : i + batch_size]) for i in range(0, rows * cols, batch_size)])
    return out.reshape(rows, cols, -1).permute(2, 0, 1)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_row_by_row(classifier, image, window, stride, batch_size):
    """A new batch begins with each row."""
    lines = []
    for row in _all_windows(image, window, stride):
        lines.append(torch.cat([classifier(part) for part in row.split(batch_size)]))
    return torch.stack(lines).permute(2, 0, 1)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_row_is_a_batch(classifier, image, window, stride, batch_size):
    """A row of the map is a batch, whatever its length."""
    lines = [classifier(row) for row in _all_windows(image, window, stride)]
    return torch.stack(lines).permute(2, 0, 1)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_all_at_once(classifier, image, window, stride, batch_size):
    """One call for all windows."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    return classifier(windows.flatten(0, 1)).T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_one_by_one(classifier, image, window, stride, batch_size):
    """A call for each window."""
    rows = []
    for line in _all_windows(image, window, stride):
        rows.append(torch.stack([classifier(one[None])[0] for one in line], dim=1))
    return torch.stack(rows, dim=1)


@wrong("sliding_window_scores", "last_batch_lost")
@torch.no_grad()
def scores_rest_stays_zero(classifier, image, window, stride, batch_size):
    """The windows of a batch that is not full keep a score of zero."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    windows = windows.flatten(0, 1)
    scores = None
    for b in range(len(windows) // batch_size):
        out = classifier(windows[b * batch_size : (b + 1) * batch_size])
        if scores is None:
            scores = torch.zeros(len(windows), out.shape[1], dtype=out.dtype)
        scores[b * batch_size : (b + 1) * batch_size] = out
    return scores.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "last_batch_lost")
@torch.no_grad()
def scores_rest_is_lost(classifier, image, window, stride, batch_size):
    """The last batch is dropped when it is not full."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    windows = windows.flatten(0, 1)
    full = len(windows) // batch_size
    out = torch.cat([classifier(windows[b * batch_size : (b + 1) * batch_size]) for b in range(full)])
    return out.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "columns_times_rows")
@torch.no_grad()
def scores_cols_rows(classifier, image, window, stride, batch_size):
    """Columns and rows exchanged in the last reshape."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    return out.t().reshape(out.shape[1], cols, rows)


@wrong("sliding_window_scores", "squeezed_map")
@torch.no_grad()
def scores_squeezed(classifier, image, window, stride, batch_size):
    """Squeezes the result."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    return out.reshape(rows, cols, -1).permute(2, 0, 1).squeeze()


@wrong("sliding_window_scores", "squeezed_map")
@torch.no_grad()
def scores_squeezed_batches(classifier, image, window, stride, batch_size):
    """Squeezes each batch's output, so that one class or one window loses a dimension."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = [classifier(part).squeeze() for part in windows.flatten(0, 1).split(batch_size)]
    out = torch.cat(out)
    return out.T.reshape(*out.shape[1:], rows, cols)


@wrong("sliding_window_scores", "switched_to_evaluation")
def scores_in_eval_mode(classifier, image, window, stride, batch_size):
    """Switches the network to evaluation mode."""
    if isinstance(classifier, nn.Module):
        classifier.eval()
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    with torch.no_grad():
        out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    return out.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_asks_for_classes(classifier, image, window, stride, batch_size):
    """An additional call to learn the number of classes."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    num_classes = classifier(windows[0, 0][None]).shape[1]
    windows = windows.flatten(0, 1)
    scores = torch.empty(num_classes, rows * cols)
    for first in range(0, rows * cols, batch_size):
        scores[:, first : first + batch_size] = classifier(windows[first : first + batch_size]).T
    return scores.reshape(num_classes, rows, cols)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_by_chunk(classifier, image, window, stride, batch_size):
    """The batch size is taken for the number of batches."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).chunk(batch_size)])
    return out.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_last_batch_filled_up(classifier, image, window, stride, batch_size):
    """Fills the last batch up with empty windows."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    windows = windows.flatten(0, 1)
    missing = -len(windows) % batch_size
    windows = torch.cat([windows, windows.new_zeros(missing, *windows.shape[1:])])
    out = torch.cat([classifier(part) for part in windows.split(batch_size)])[: rows * cols]
    return out.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "reshaped_without_transposing")
@torch.no_grad()
def scores_classes_last(classifier, image, window, stride, batch_size):
    """Leaves the classes at the end."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    return out.reshape(rows, cols, -1)


@wrong("sliding_window_scores", "columns_times_rows")
@torch.no_grad()
def scores_column_by_column(classifier, image, window, stride, batch_size):
    """Lists the windows column by column and reads them row by row."""
    tops = range(0, image.shape[1] - window + 1, stride)
    lefts = range(0, image.shape[2] - window + 1, stride)
    windows = torch.stack([image[:, t : t + window, s : s + window] for s in lefts for t in tops])
    out = torch.cat([classifier(part) for part in windows.split(batch_size)])
    return out.T.reshape(-1, len(tops), len(lefts))


# 4 · scores_to_mask


@alternative("scores_to_mask")
def right_mask_all_distances(scores, image_size, window, stride):
    """Smallest distance, by Python's own min."""
    labels = scores.argmax(0)

    def nearest(length, count):
        centres = [i * stride + (window - 1) / 2 for i in range(count)]
        return [min(range(count), key=lambda i, p=p: abs(p - centres[i])) for p in range(length)]

    ys, xs = nearest(image_size[0], scores.shape[1]), nearest(image_size[1], scores.shape[2])
    return torch.stack([torch.stack([labels[y, x] for x in xs]) for y in ys])


@alternative("scores_to_mask")
def right_mask_ceil(scores, image_size, window, stride):
    """The last window whose centre is not nearer than the next one's."""
    labels = torch.argmax(scores, dim=0)
    index = []
    for length, count in zip(image_size, labels.shape, strict=True):
        p = torch.arange(length, dtype=torch.float64)
        i = torch.ceil((p - (window - 1) / 2) / stride - 0.5).long()
        index.append(i.clamp(0, count - 1))
    return labels[index[0][:, None], index[1][None, :]]


@alternative("scores_to_mask")
def right_mask_searchsorted(scores, image_size, window, stride):
    """Where the borders between two centres lie."""
    labels = scores.max(dim=0).indices
    halves = [(window - 1) / 2 + stride * (torch.arange(n - 1) + 0.5) for n in labels.shape]
    rows = torch.searchsorted(halves[0], torch.arange(image_size[0]).float())
    cols = torch.searchsorted(halves[1], torch.arange(image_size[1]).float())
    return labels[rows].index_select(1, cols)


def _lay(labels, rows, cols):
    return labels[rows][:, cols]


@wrong("scores_to_mask", "label_at_the_corner")
def mask_at_the_corner(scores, image_size, window, stride):
    """Each label begins at its window's start."""
    labels = scores.argmax(0)
    rows = (torch.arange(image_size[0]) // stride).clamp(max=labels.shape[0] - 1)
    cols = (torch.arange(image_size[1]) // stride).clamp(max=labels.shape[1] - 1)
    return _lay(labels, rows, cols)


@wrong("scores_to_mask", "label_at_the_corner")
def mask_blocks_repeated(scores, image_size, window, stride):
    """Each label is repeated `stride` times from the corner on, the rest is filled from the edge."""
    labels = scores.argmax(0)
    big = labels.repeat_interleave(stride, 0).repeat_interleave(stride, 1)[: image_size[0], : image_size[1]]
    down, right = image_size[0] - big.shape[0], image_size[1] - big.shape[1]
    return F.pad(big[None].float(), (0, right, 0, down), mode="replicate")[0].long()


@wrong("scores_to_mask", "centre_half_a_pixel_off")
def mask_whole_centre(scores, image_size, window, stride):
    """The centre is window // 2."""
    labels = scores.argmax(0)
    out = []
    for n, count in zip(image_size, labels.shape, strict=True):
        centres = torch.arange(count) * stride + window // 2
        distance = (torch.arange(n)[:, None] - centres).abs()
        out.append(distance.argmin(1))
    return _lay(labels, *out)


@wrong("scores_to_mask", "stretched_to_picture")
def mask_stretched(scores, image_size, window, stride):
    """The map is stretched to the picture."""
    labels = scores.argmax(dim=0)
    height, width = image_size
    rows = torch.arange(height) * labels.shape[0] // height
    cols = torch.arange(width) * labels.shape[1] // width
    return _lay(labels, rows, cols)


@wrong("scores_to_mask", "margin_left")
def mask_painted_as_in_the_lecture(scores, image_size, window, stride):
    """Blocks around the centres, 255 in the margin."""
    coarse = scores.argmax(0)
    margin = (window - stride) // 2
    mask = torch.full(image_size, 255)
    for i in range(coarse.shape[0]):
        for j in range(coarse.shape[1]):
            y, x = margin + i * stride, margin + j * stride
            mask[max(y, 0) : y + stride, max(x, 0) : x + stride] = coarse[i, j]
    return mask


@wrong("scores_to_mask", "margin_left")
def mask_margin_is_background(scores, image_size, window, stride):
    """Blocks around the centres, class 0 in the margin."""
    coarse = scores.argmax(0)
    mask = torch.zeros(image_size, dtype=torch.long)
    offset = max((window - stride) // 2, 0)
    for i in range(coarse.shape[0]):
        for j in range(coarse.shape[1]):
            top, left = offset + i * stride, offset + j * stride
            mask[top : top + stride, left : left + stride] = coarse[i, j]
    return mask


@wrong("scores_to_mask", "margin_left")
def mask_between_centres_only(scores, image_size, window, stride):
    """Nearest centre, but class 0 before the first and behind the last centre."""
    labels = scores.argmax(0)
    half = (window - 1) / 2
    index, inside = [], []
    for n, count in zip(image_size, labels.shape, strict=True):
        p = torch.arange(n).double()
        index.append(torch.ceil((p - half) / stride - 0.5).long().clamp(0, count - 1))
        inside.append((p >= half) & (p <= half + (count - 1) * stride))
    mask = _lay(labels, *index)
    mask[~inside[0]] = 0
    mask[:, ~inside[1]] = 0
    return mask


@wrong("scores_to_mask", "later_window_wins")
def mask_tie_to_the_later(scores, image_size, window, stride):
    """A tie goes to the later window."""
    labels = scores.argmax(0)
    index = []
    for n, count in zip(image_size, labels.shape, strict=True):
        where = (torch.arange(n) - (window - 1) / 2) / stride
        index.append((where + 0.5).floor().long().clamp(0, count - 1))
    return _lay(labels, *index)


@wrong("scores_to_mask", "later_window_wins")
def mask_tie_to_the_even(scores, image_size, window, stride):
    """round() takes the even one of two."""
    labels = scores.argmax(0)

    def index(n, count):
        places = [round((p - (window - 1) / 2) / stride) for p in range(n)]
        return torch.tensor([min(max(i, 0), count - 1) for i in places])

    return _lay(labels, index(image_size[0], labels.shape[0]), index(image_size[1], labels.shape[1]))


@wrong("scores_to_mask", "height_and_width_swapped")
def mask_width_first(scores, image_size, window, stride):
    """Reads the size as (width, height)."""
    labels = scores.argmax(0)
    width, height = image_size
    half = (window - 1) / 2
    y = torch.ceil((torch.arange(height) - half) / stride - 0.5).long().clamp(0, labels.shape[0] - 1)
    x = torch.ceil((torch.arange(width) - half) / stride - 0.5).long().clamp(0, labels.shape[1] - 1)
    return _lay(labels, y, x)


@wrong("scores_to_mask", "height_and_width_swapped")
def mask_transposed(scores, image_size, window, stride):
    """The mask comes out as (width, height): rows and columns are exchanged."""
    labels = scores.argmax(0)
    half = (window - 1) / 2
    y = torch.ceil((torch.arange(image_size[0]) - half) / stride - 0.5).long().clamp(0, labels.shape[0] - 1)
    x = torch.ceil((torch.arange(image_size[1]) - half) / stride - 0.5).long().clamp(0, labels.shape[1] - 1)
    across, down = torch.meshgrid(x, y, indexing="ij")
    return labels[down, across]


@wrong("scores_to_mask", "margin_left")
def mask_wraps_around(scores, image_size, window, stride):
    """The first pixels get a negative index, which counts from the end."""
    labels = scores.argmax(0)
    half = (window - 1) / 2
    y = torch.ceil((torch.arange(image_size[0]) - half) / stride - 0.5).long().clamp(max=labels.shape[0] - 1)
    x = torch.ceil((torch.arange(image_size[1]) - half) / stride - 0.5).long().clamp(max=labels.shape[1] - 1)
    return labels[y % labels.shape[0]][:, x % labels.shape[1]]


@wrong("scores_to_mask", "label_from_the_centre_on")
def mask_last_centre_passed(scores, image_size, window, stride):
    """The last centre that was passed, not the nearest."""
    labels = scores.argmax(0)
    half = (window - 1) / 2
    y = ((torch.arange(image_size[0]) - half) // stride).long().clamp(0, labels.shape[0] - 1)
    x = ((torch.arange(image_size[1]) - half) // stride).long().clamp(0, labels.shape[1] - 1)
    return _lay(labels, y, x)


@wrong("scores_to_mask", "label_at_the_corner")
def mask_last_window_wins(scores, image_size, window, stride):
    """Each window paints all its pixels, and the last one stays."""
    labels = scores.argmax(0)
    mask = torch.zeros(image_size, dtype=torch.int64)
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            mask[i * stride : i * stride + window, j * stride : j * stride + window] = labels[i, j]
    return mask


@wrong("scores_to_mask", "all_windows_vote")
def mask_votes(scores, image_size, window, stride):
    """Adds the scores of all windows that cover a pixel."""
    total = torch.zeros(len(scores), *image_size)
    for i in range(scores.shape[1]):
        for j in range(scores.shape[2]):
            y, x = i * stride, j * stride
            total[:, y : y + window, x : x + window] += scores[:, i, j][:, None, None]
    return total.argmax(0)


@wrong("scores_to_mask", "height_and_width_swapped")
def mask_one_index_for_both(scores, image_size, window, stride):
    """The rows' index serves the columns as well."""
    labels = scores.argmax(0)
    half = (window - 1) / 2
    p = torch.arange(max(image_size))
    near = torch.ceil((p - half) / stride - 0.5).long().clamp(0, labels.shape[0] - 1)
    cols = near[: image_size[1]].clamp(max=labels.shape[1] - 1)
    return _lay(labels, near[: image_size[0]], cols)


# 5 · shared_feature_scores


@alternative("shared_feature_scores")
@torch.no_grad()
def right_shared_loops(features, head, image, window, stride, jump):
    """Two loops over the places, one call of the head for all."""
    k = features(image[:, -window:, -window:][None]).shape[-1]
    whole = features(image[None])
    ys = [y // jump for y in range(0, image.shape[1] - window + 1, stride)]
    xs = [x // jump for x in range(0, image.shape[2] - window + 1, stride)]
    pieces = torch.cat([whole[:, :, y : y + k, x : x + k] for y in ys for x in xs])
    return head(pieces).T.reshape(-1, len(ys), len(xs))


@alternative("shared_feature_scores")
def right_shared_head_one_by_one(features, head, image, window, stride, jump):
    """The picture is cut to what the windows reach; the head runs on one place after another."""
    rows = (image.shape[1] - window) // stride + 1
    cols = (image.shape[2] - window) // stride + 1
    reached = image[:, : (rows - 1) * stride + window, : (cols - 1) * stride + window]
    step = stride // jump
    with torch.no_grad():
        whole = features(reached.unsqueeze(0)).squeeze(0)
        k = whole.shape[1] - (rows - 1) * step
        lines = []
        for i in range(rows):
            line = whole[:, i * step : i * step + k]
            lines.append(torch.cat([head(line[None, :, :, j * step : j * step + k]) for j in range(cols)]))
    return torch.stack(lines).movedim(2, 0)


@alternative("shared_feature_scores")
@torch.inference_mode()
def right_shared_unfold(features, head, image, window, stride, jump):
    """unfold on the feature map, cut to the rows and columns of the picture before the head runs."""
    rows, cols = ((n - window) // stride + 1 for n in image.shape[1:])
    k = features(torch.zeros(1, image.shape[0], window, window, dtype=image.dtype)).shape[3]
    whole, step = features(image[None])[0], stride // jump
    pieces = whole.unfold(1, k, step).unfold(2, k, step)[:, :rows, :cols]  # (D, rows, cols, k, k)
    scores = head(pieces.permute(1, 2, 0, 3, 4).flatten(0, 1))
    return scores.view(rows, cols, scores.shape[1]).permute(2, 0, 1)


def _grid(image, window, stride):
    return [(n - window) // stride + 1 for n in image.shape[1:]]


@torch.no_grad()
def _slide(whole, head, rows, cols, k, step):
    """Scores (num_classes, rows, cols) of the feature windows of a map (D, h, w)."""
    pieces = [whole[:, i * step : i * step + k, j * step : j * step + k] for i in range(rows) for j in range(cols)]
    return head(torch.stack(pieces)).T.reshape(-1, rows, cols)


@wrong("shared_feature_scores", "window_divided_by_jump")
@torch.no_grad()
def shared_k_divided(features, head, image, window, stride, jump):
    """The feature window is window // jump."""
    rows, cols = _grid(image, window, stride)
    return _slide(features(image[None])[0], head, rows, cols, window // jump, stride // jump)


@wrong("shared_feature_scores", "window_divided_by_jump")
@torch.no_grad()
def shared_k_rounded_up(features, head, image, window, stride, jump):
    """The feature window is window / jump, rounded up."""
    rows, cols = _grid(image, window, stride)
    k = (window + jump - 1) // jump
    return _slide(features(image[None])[0], head, rows, cols, k, stride // jump)


@wrong("shared_feature_scores", "stride_of_pixels_on_features")
@torch.no_grad()
def shared_steps_in_pixels(features, head, image, window, stride, jump):
    """Moves by `stride` features."""
    k = features(image[None, :, :window, :window]).shape[-1]
    whole = features(image[None])[0]
    rows, cols = ((n - k) // stride + 1 for n in whole.shape[1:])
    return _slide(whole, head, rows, cols, k, stride)


@wrong("shared_feature_scores", "stride_of_pixels_on_features")
@torch.no_grad()
def shared_steps_by_one(features, head, image, window, stride, jump):
    """Moves by one feature, as in the lecture."""
    rows, cols = _grid(image, window, stride)
    k = features(image[None, :, :window, :window]).shape[-1]
    return _slide(features(image[None])[0], head, rows, cols, k, 1)


@wrong("shared_feature_scores", "windows_that_stick_out")
@torch.no_grad()
def shared_all_that_fit(features, head, image, window, stride, jump):
    """As many windows as fit into the feature map."""
    k = features(image[None, :, :window, :window]).shape[-1]
    whole, step = features(image[None])[0], stride // jump
    rows, cols = (whole.shape[1] - k) // step + 1, (whole.shape[2] - k) // step + 1
    return _slide(whole, head, rows, cols, k, step)


@wrong("shared_feature_scores", "surplus_windows_cut_off")
@torch.no_grad()
def shared_surplus_cut_off(features, head, image, window, stride, jump):
    """The head runs on surplus windows, whose scores are cut off."""
    k = features(image[None, :, :window, :window]).shape[-1]
    whole, step = features(image[None])[0], stride // jump
    rows, cols = _grid(image, window, stride)
    scores = _slide(whole, head, (whole.shape[1] - k) // step + 1, (whole.shape[2] - k) // step + 1, k, step)
    return scores[:, :rows, :cols]


@wrong("shared_feature_scores", "features_of_every_window")
@torch.no_grad()
def shared_features_of_each_row(features, head, image, window, stride, jump):
    """Features once for each row of windows."""
    lines = []
    for top in range(0, image.shape[1] - window + 1, stride):
        strip = features(image[None, :, top : top + window])[0]  # (D, k, w)
        k, step = strip.shape[1], stride // jump
        cols = (image.shape[2] - window) // stride + 1
        lines.append(head(torch.stack([strip[:, :, j * step : j * step + k] for j in range(cols)])))
    return torch.stack(lines).permute(2, 0, 1)


@wrong("shared_feature_scores", "features_of_every_window")
@torch.no_grad()
def shared_nothing(features, head, image, window, stride, jump):
    """The naive way: features of each window."""
    rows, cols = _grid(image, window, stride)
    windows = _all_windows(image, window, stride).flatten(0, 1)
    return torch.cat([head(features(one[None])) for one in windows]).T.reshape(-1, rows, cols)


@wrong("shared_feature_scores", "gradient_recorded_in_features")
def shared_features_recorded(features, head, image, window, stride, jump):
    """Records the gradient of the features."""
    rows, cols = _grid(image, window, stride)
    k = features(image[None, :, :window, :window]).shape[-1]
    whole = features(image[None])[0]
    return _slide(whole, head, rows, cols, k, stride // jump)


@wrong("shared_feature_scores", "gradient_recorded_in_features")
def shared_detached(features, head, image, window, stride, jump):
    """Records gradients and detaches."""
    rows, cols = _grid(image, window, stride)
    k, step = features(image[None, :, :window, :window]).shape[-1], stride // jump
    whole = features(image[None]).detach()[0]
    pieces = [whole[:, i * step : i * step + k, j * step : j * step + k] for i in range(rows) for j in range(cols)]
    return head(torch.stack(pieces)).detach().T.reshape(-1, rows, cols)


@wrong("shared_feature_scores", "window_divided_by_jump")
@torch.no_grad()
def shared_k_from_the_map(features, head, image, window, stride, jump):
    """k is what the steps leave of the whole feature map."""
    rows, cols = _grid(image, window, stride)
    whole, step = features(image[None])[0], stride // jump
    k = whole.shape[1] - (rows - 1) * step
    return _slide(whole, head, rows, cols, k, step)


@wrong("shared_feature_scores", "scores_in_wrong_places")
@torch.no_grad()
def shared_not_transposed(features, head, image, window, stride, jump):
    """Reshapes (n, classes) to (classes, rows, cols)."""
    rows, cols = _grid(image, window, stride)
    k, step = features(image[None, :, :window, :window]).shape[-1], stride // jump
    whole = features(image[None])[0]
    pieces = whole.unfold(1, k, step).unfold(2, k, step)[:, :rows, :cols].permute(1, 2, 0, 3, 4)
    scores = head(pieces.reshape(rows * cols, -1, k, k))
    return scores.reshape(scores.shape[1], rows, cols)


@wrong("shared_feature_scores", "shared_map_squeezed")
@torch.no_grad()
def shared_squeezed(features, head, image, window, stride, jump):
    """Squeezes the scores."""
    rows, cols = _grid(image, window, stride)
    k = features(image[None, :, :window, :window]).shape[-1]
    return _slide(features(image[None]).squeeze(0), head, rows, cols, k, stride // jump).squeeze()


@wrong("shared_feature_scores", "scores_in_wrong_places")
@torch.no_grad()
def shared_cols_rows(features, head, image, window, stride, jump):
    """Columns and rows exchanged in the last reshape."""
    rows, cols = _grid(image, window, stride)
    k = features(image[None, :, :window, :window]).shape[-1]
    scores = _slide(features(image[None])[0], head, rows, cols, k, stride // jump)
    return scores.reshape(-1, cols, rows)


@wrong("shared_feature_scores", "windows_that_stick_out")
@torch.no_grad()
def shared_rows_for_both(features, head, image, window, stride, jump):
    """The shorter side decides the rows and the columns."""
    n = (min(image.shape[1:]) - window) // stride + 1
    k = features(image[None, :, :window, :window]).shape[-1]
    return _slide(features(image[None])[0], head, n, n, k, stride // jump)


# 6 · multiply_adds


@alternative("multiply_adds")
def right_adds_recursive(layers, height, width):
    """The first layer, then the others."""
    if not layers:
        return 0
    first, rest = layers[0], layers[1:]
    if first["kind"] == "linear":
        return first["in_features"] * first["out_features"] + multiply_adds_of(rest, height, width)
    k, s, p = first["kernel_size"], first["stride"], first.get("padding", 0)
    h, w = (height + 2 * p - k) // s + 1, (width + 2 * p - k) // s + 1
    weights = first["in_channels"] * first["out_channels"] * k**2 if first["kind"] == "conv" else 0
    return weights * h * w + multiply_adds_of(rest, h, w)


multiply_adds_of = right_adds_recursive


@alternative("multiply_adds")
def right_adds_by_torch(layers, height, width):
    """Lets torch find the sizes."""
    total, x = 0, torch.zeros(1, 1, height, width)
    for layer in layers:
        match layer["kind"]:
            case "linear":
                total += nn.Linear(layer["in_features"], layer["out_features"]).weight.numel()
            case "pool":
                x = F.max_pool2d(x, layer["kernel_size"], layer["stride"])
            case "conv":
                k = layer["kernel_size"]
                x = F.conv2d(x, torch.zeros(1, 1, k, k), stride=layer["stride"], padding=layer["padding"])
                total += x.numel() * k * k * layer["in_channels"] * layer["out_channels"]
    return total


def _out(n, layer):
    return (n + 2 * layer.get("padding", 0) - layer["kernel_size"]) // layer["stride"] + 1


def _weights(layer):
    return layer["in_channels"] * layer["out_channels"] * layer["kernel_size"] ** 2


@wrong("multiply_adds", "places_of_the_input")
def adds_of_the_input(layers, height, width):
    """Counts a sum for each pixel of the input."""
    total = 0
    for layer in layers:
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
        else:
            height, width = _out(height, layer), _out(width, layer)
    return total


@wrong("multiply_adds", "multiplications_and_additions")
def adds_with_biases(layers, height, width):
    """Biases are counted."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += (layer["in_features"] + 1) * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            total += height * width * layer["out_channels"] * (layer["in_channels"] * layer["kernel_size"] ** 2 + 1)
    return total


@wrong("multiply_adds", "output_channels_forgotten")
def adds_one_input_channel(layers, height, width):
    """The input channels are forgotten."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            total += height * width * layer["out_channels"] * layer["kernel_size"] * layer["kernel_size"]
    return total


@wrong("multiply_adds", "output_channels_forgotten")
def adds_one_output_channel(layers, height, width):
    """The output channels are forgotten."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            total += height * width * layer["in_channels"] * layer["kernel_size"] ** 2
    return total


@wrong("multiply_adds", "output_channels_forgotten")
def adds_kernel_once(layers, height, width):
    """The kernel is not squared."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            total += height * width * layer["in_channels"] * layer["out_channels"] * layer["kernel_size"]
    return total


@wrong("multiply_adds", "multiplications_and_additions")
def adds_flops(layers, height, width):
    """Counts the product and the sum apart."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += 2 * layer["in_features"] * layer["out_features"]
        else:
            height, width = _out(height, layer), _out(width, layer)
            total += 2 * height * width * _weights(layer) if layer["kind"] == "conv" else 0
    return total


@wrong("multiply_adds", "padding_forgotten")
def adds_padding_once(layers, height, width):
    """Padding is counted on one side."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        p, k, s = layer.get("padding", 0), layer["kernel_size"], layer["stride"]
        height, width = (height + p - k) // s + 1, (width + p - k) // s + 1
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "padding_forgotten")
def adds_no_padding(layers, height, width):
    """Padding is forgotten."""
    total = 0
    for layer in layers:
        if layer["kind"] in ("conv", "pool"):
            k, s = layer["kernel_size"], layer["stride"]
            height, width = (height - k) // s + 1, (width - k) // s + 1
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
    return total


@wrong("multiply_adds", "padding_forgotten")
def adds_conv_stride_one(layers, height, width):
    """Convolutions always step by one."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        step = layer["stride"] if layer["kind"] == "pool" else 1
        reach = 2 * layer.get("padding", 0) - layer["kernel_size"]
        height, width = (height + reach) // step + 1, (width + reach) // step + 1
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "pooling_keeps_the_size")
def adds_pooling_halves(layers, height, width):
    """Pooling divides the size by its kernel."""
    total = 0
    for layer in layers:
        if layer["kind"] == "conv":
            height, width = _out(height, layer), _out(width, layer)
            total += height * width * _weights(layer)
        elif layer["kind"] == "pool":
            height, width = height // layer["kernel_size"], width // layer["kernel_size"]
        else:
            total += layer["in_features"] * layer["out_features"]
    return total


@wrong("multiply_adds", "pooling_keeps_the_size")
def adds_pooling_skipped(layers, height, width):
    """Pooling does not change the size."""
    total = 0
    for layer in layers:
        if layer["kind"] == "pool":
            continue
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
        else:
            height, width = _out(height, layer), _out(width, layer)
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "dense_layer_at_every_pixel")
def adds_dense_everywhere(layers, height, width):
    """A dense layer runs at every pixel."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"] * height * width
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "height_for_both")
def adds_square(layers, height, width):
    """The height is used for both sides."""
    total, size = 0, height
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        size = _out(size, layer)
        if layer["kind"] == "conv":
            total += size**2 * _weights(layer)
    return total


@wrong("multiply_adds", "rounded_up_to_whole_steps")
def adds_without_plus_one(layers, height, width):
    """The + 1 of the size is missing."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _out(height, layer) - 1, _out(width, layer) - 1
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "rounded_up_to_whole_steps")
def adds_rounded_up(layers, height, width):
    """Sizes are rounded up."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        reach = 2 * layer.get("padding", 0) - layer["kernel_size"]
        height, width = (math.ceil((n + reach) / layer["stride"]) + 1 for n in (height, width))
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "rounded_up_to_whole_steps")
def adds_fractions_of_pixels(layers, height, width):
    """Sizes are divided without rounding, the total is rounded at the end."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        reach = 2 * layer.get("padding", 0) - layer["kernel_size"]
        height, width = (height + reach) / layer["stride"] + 1, (width + reach) / layer["stride"] + 1
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return int(total)


@wrong("multiply_adds", "output_channels_forgotten")
def adds_weights_only(layers, height, width):
    """Counts each weight once, wherever it slides."""
    total = 0
    for layer in layers:
        if layer["kind"] == "conv":
            total += _weights(layer)
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
    return total


# Answers of other students, each beside a guard, a special case or a second slip where that is natural


@wrong("window_starts", "last_window_forgotten")
def starts_numpy_arange(size, window, stride):
    """arange stops before the last start; a window of the picture's size is looked after."""
    if window == size:
        return [0]
    return np.arange(0, size - window, stride).tolist()


@wrong("window_starts", "steps_counted_for_windows")
def starts_recursive_steps(size, window, stride):
    """One window too few, but never none where one fits."""
    if window > size:
        return []
    n = max((size - window) // stride, 1)
    return [i * stride for i in range(n)]


@wrong("window_starts", "stride_divides_picture")
def starts_division_with_guard(size, window, stride):
    """As many starts as strides fit, but for a window that does not fit."""
    if window > size:
        return []
    return list(range(0, stride * (size // stride), stride))


@wrong("window_starts", "last_window_moved_to_the_edge")
def starts_clamped(size, window, stride):
    """Rounds up and pulls the last window back into the picture."""
    count = max(0, -(-(size - window) // stride) + 1)
    return [min(i * stride, size - window) for i in range(count)]


@wrong("window_starts")
def starts_and_ends(size, window, stride):
    """Pairs of start and end."""
    return [(s, s + window) for s in range(0, size - window + 1, stride)]


@wrong("window_starts", "step_of_one")
def starts_overlap_taken_for_step(size, window, stride):
    """Every start, stride or not, with a guard."""
    if window > size:
        return []
    return [p for p in range(size) if p + window <= size]


@wrong("extract_windows", "every_window_copied")
def windows_preallocated(image, window, stride):
    """Copies each window into a new tensor, as numbers with fractions."""
    c, h, w = image.shape
    rows, cols = (h - window) // stride + 1, (w - window) // stride + 1
    out = torch.empty(rows, cols, c, window, window)
    for i in range(rows):
        for j in range(cols):
            out[i, j] = image[:, i * stride : i * stride + window, j * stride : j * stride + window]
    return out


@wrong("extract_windows", "reshaped_instead_of_permuted", "every_window_copied")
def windows_unfold_view(image, window, stride):
    """F.unfold, then reshaped in the wrong order."""
    c, h, w = image.shape
    rows, cols = (h - window) // stride + 1, (w - window) // stride + 1
    return F.unfold(image[None], window, stride=stride).reshape(rows, cols, c, window, window)


@wrong("extract_windows", "columns_before_rows")
def windows_movedim_wrong(image, window, stride):
    """Columns come first, and the picture's rows run across."""
    return image.unfold(2, window, stride).unfold(1, window, stride).movedim(0, 2).transpose(0, 1)


@wrong("extract_windows", "as_many_columns_as_rows")
def windows_strided_square(image, window, stride):
    """One count for both sides, taken from the width where the picture is higher than wide."""
    n = (min(image.shape[-2:]) - window) // stride + 1
    return image.unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 0, 3, 4)[:n, :n]


@wrong("extract_windows", "channels_left_in_front")
def windows_channels_second(image, window, stride):
    """(rows, C, cols, ...): the channels are in the second place."""
    return image.unfold(1, window, stride).unfold(2, window, stride).transpose(0, 1)


@wrong("extract_windows", "every_window_copied")
def windows_view_of_a_clone(image, window, stride):
    """A view, but of a copy."""
    return image.clone().unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 0, 3, 4)


@wrong("sliding_window_scores", "last_batch_lost")
@torch.no_grad()
def scores_range_too_short(classifier, image, window, stride, batch_size):
    """The last batch is never run, full or not, but for pictures with a single batch."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    windows = windows.flatten(0, 1)
    first = classifier(windows[:batch_size])
    scores = torch.zeros(rows * cols, first.shape[1])
    scores[: len(first)] = first
    for i in range(batch_size, rows * cols - batch_size, batch_size):
        scores[i : i + batch_size] = classifier(windows[i : i + batch_size])
    return scores.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "reshaped_without_transposing", "gradient_recorded")
def scores_view_and_gradient(classifier, image, window, stride, batch_size):
    """Not transposed, and gradients recorded."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    return out.view(-1, rows, cols)


@wrong("sliding_window_scores", "gradient_recorded")
def scores_no_grad_around_the_windows(classifier, image, window, stride, batch_size):
    """no_grad stands around the cutting, not around the classifier."""
    with torch.no_grad():
        windows = _all_windows(image, window, stride)
        rows, cols = windows.shape[:2]
        parts = windows.flatten(0, 1).split(batch_size)
    return torch.cat([classifier(part) for part in parts]).T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "probabilities_returned")
@torch.no_grad()
def scores_softmax_if_several(classifier, image, window, stride, batch_size):
    """Softmax, and sigmoid for a single class."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    out = out.sigmoid() if out.shape[1] == 1 else F.softmax(out, dim=1)
    return out.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "columns_times_rows")
@torch.no_grad()
def scores_modulo_rows(classifier, image, window, stride, batch_size):
    """Window p is taken to stand in column p // rows."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    parts = []
    for p in torch.arange(rows * cols).split(batch_size):
        parts.append(classifier(windows[p % rows, p // rows]))
    return torch.cat(parts).T.reshape(-1, rows, cols)


@wrong("sliding_window_scores")
@torch.no_grad()
def scores_largest_over_windows(classifier, image, window, stride, batch_size):
    """The scores of each window have their mean taken away."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    out = out - out.mean(1, keepdim=True)
    return out.T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_batches_one_too_large(classifier, image, window, stride, batch_size):
    """A batch is sent off only after one window too many is in it."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out, batch = [], []
    for one in windows.flatten(0, 1):
        batch.append(one)
        if len(batch) > batch_size:
            out.append(classifier(torch.stack(batch)))
            batch = []
    if batch:
        out.append(classifier(torch.stack(batch)))
    return torch.cat(out).T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "switched_to_evaluation")
@torch.no_grad()
def scores_eval_and_back(classifier, image, window, stride, batch_size):
    """Evaluation mode for the time of the call."""
    was = getattr(classifier, "training", False)
    if hasattr(classifier, "eval"):
        classifier.eval()
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    if was:
        classifier.train()
    return out.T.reshape(-1, rows, cols)


@wrong("scores_to_mask", "margin_left")
def mask_covered_pixels_only(scores, image_size, window, stride):
    """Nearest centre, but class 0 where no window lies."""
    labels = scores.argmax(0)
    half = (window - 1) / 2
    index, seen = [], []
    for n, count in zip(image_size, labels.shape, strict=True):
        p = torch.arange(n)
        index.append(torch.ceil((p - half) / stride - 0.5).long().clamp(0, count - 1))
        seen.append(
            ((p % stride < window) & (p // stride < count)) | (p < (count - 1) * stride + window) & (stride <= window)
        )
    mask = _lay(labels, *index)
    mask[~seen[0]] = 0
    mask[:, ~seen[1]] = 0
    return mask


@wrong("scores_to_mask", "centre_half_a_pixel_off")
def mask_floor_division(scores, image_size, window, stride):
    """Whole numbers only: the centre is (window - 1) // 2."""
    labels = scores.argmax(0)
    out = []
    for n, count in zip(image_size, labels.shape, strict=True):
        centres = [i * stride + (window - 1) // 2 for i in range(count)]
        out.append([min(range(count), key=lambda i, p=p, c=centres: abs(p - c[i])) for p in range(n)])
    return labels[out[0]][:, out[1]]


@wrong("scores_to_mask", "later_window_wins")
def mask_later_by_sorting(scores, image_size, window, stride):
    """Distances compared with <=, so that the last of equals stays."""
    labels = scores.argmax(0)

    def find(p, count):
        best, best_distance = 0, math.inf
        for i in range(count):
            distance = abs(p - i * stride - (window - 1) / 2)
            if distance <= best_distance:
                best, best_distance = i, distance
        return best

    rows = [find(y, labels.shape[0]) for y in range(image_size[0])]
    cols = [find(x, labels.shape[1]) for x in range(image_size[1])]
    return labels[rows][:, cols]


@wrong("scores_to_mask", "stretched_to_picture")
def mask_upsampled_by_rounding(scores, image_size, window, stride):
    """The map is stretched, pixel centres and all."""
    labels = scores.argmax(0)
    rows = ((torch.arange(image_size[0]) + 0.5) * labels.shape[0] / image_size[0]).long()
    cols = ((torch.arange(image_size[1]) + 0.5) * labels.shape[1] / image_size[1]).long()
    return _lay(labels, rows, cols)


@wrong("scores_to_mask", "label_at_the_corner")
def mask_nearest_start(scores, image_size, window, stride):
    """The window whose start is nearest."""
    labels = scores.argmax(0)
    out = []
    for n, count in zip(image_size, labels.shape, strict=True):
        starts = torch.arange(count) * stride
        out.append((torch.arange(n)[:, None] - starts).abs().argmin(1))
    return _lay(labels, *out)


@wrong("scores_to_mask")
def mask_least_score(scores, image_size, window, stride):
    """The class of the smallest score."""
    labels = scores.argmin(0)
    half = (window - 1) / 2
    y = torch.ceil((torch.arange(image_size[0]) - half) / stride - 0.5).long().clamp(0, labels.shape[0] - 1)
    x = torch.ceil((torch.arange(image_size[1]) - half) / stride - 0.5).long().clamp(0, labels.shape[1] - 1)
    return _lay(labels, y, x)


@wrong("scores_to_mask", "all_windows_vote")
def mask_mean_of_windows(scores, image_size, window, stride):
    """The mean of the softmax of all windows that cover a pixel."""
    total, count = torch.zeros(len(scores), *image_size), torch.zeros(image_size)
    for i in range(scores.shape[1]):
        for j in range(scores.shape[2]):
            total[:, i * stride : i * stride + window, j * stride : j * stride + window] += scores[:, i, j].softmax(0)[
                :, None, None
            ]
            count[i * stride : i * stride + window, j * stride : j * stride + window] += 1
    return (total / count.clamp(min=1)).argmax(0)


@wrong("shared_feature_scores", "window_divided_by_jump")
@torch.no_grad()
def shared_k_of_all_features(features, head, image, window, stride, jump):
    """As many features as the map has for the picture, in proportion."""
    rows, cols = _grid(image, window, stride)
    whole = features(image[None])[0]
    k = round(whole.shape[1] * window / image.shape[1])
    return _slide(whole, head, rows, cols, k, stride // jump)


@wrong("shared_feature_scores", "gradient_recorded_in_features")
def shared_head_recorded(features, head, image, window, stride, jump):
    """no_grad around the features only."""
    rows, cols = _grid(image, window, stride)
    with torch.no_grad():
        k = features(image[None, :, :window, :window]).shape[-1]
        whole = features(image[None])[0]
    step = stride // jump
    pieces = [whole[:, i * step : i * step + k, j * step : j * step + k] for i in range(rows) for j in range(cols)]
    return head(torch.stack(pieces)).T.reshape(-1, rows, cols)


@wrong("shared_feature_scores", "stride_of_pixels_on_features")
@torch.no_grad()
def shared_starts_in_pixels(features, head, image, window, stride, jump):
    """The starts of windows in pixels cut the feature map; what sticks out is left out."""
    k = features(image[None, :, :window, :window]).shape[-1]
    whole = features(image[None])[0]
    ys = [y for y in range(0, image.shape[1] - window + 1, stride) if y + k <= whole.shape[1]]
    xs = [x for x in range(0, image.shape[2] - window + 1, stride) if x + k <= whole.shape[2]]
    pieces = torch.stack([whole[:, y : y + k, x : x + k] for y in ys for x in xs])
    return head(pieces).T.reshape(-1, len(ys), len(xs))


@wrong("shared_feature_scores", "features_of_every_window")
@torch.no_grad()
def shared_features_three_times(features, head, image, window, stride, jump):
    """Asks for the shape, then computes the features again."""
    rows, cols = _grid(image, window, stride)
    k = features(image[None, :, :window, :window]).shape[-1]
    if features(image[None]).ndim != 4:
        raise ValueError("features must be (1, D, h, w)")
    return _slide(features(image[None])[0], head, rows, cols, k, stride // jump)


@wrong("shared_feature_scores")
@torch.no_grad()
def shared_averaged(features, head, image, window, stride, jump):
    """The head runs on a feature map that was resized to the window grid."""
    rows, cols = _grid(image, window, stride)
    k = features(image[None, :, :window, :window]).shape[-1]
    whole = F.adaptive_avg_pool2d(features(image[None]), (rows + k - 1, cols + k - 1))[0]
    return _slide(whole, head, rows, cols, k, 1)


@wrong("multiply_adds", "rounded_up_to_whole_steps")
def adds_rounded_to_nearest(layers, height, width):
    """round() for the size."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        reach = 2 * layer.get("padding", 0) - layer["kernel_size"]
        height, width = (round((n + reach) / layer["stride"] + 1) for n in (height, width))
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "padding_forgotten")
def adds_padding_times_stride(layers, height, width):
    """Padding is left out, kernel and stride are used."""
    total, size = 0, [height, width]
    for layer in layers:
        if layer["kind"] == "linear":
            total += math.prod([layer["in_features"], layer["out_features"]])
        else:
            size = [len(range(0, n - layer["kernel_size"] + 1, layer["stride"])) for n in size]
        if layer["kind"] == "conv":
            total += math.prod(size) * _weights(layer)
    return total


@wrong("multiply_adds", "dense_layer_at_every_pixel")
def adds_dense_of_the_map(layers, height, width):
    """Dense layers cost their weights at each pixel, until the first one has flattened the map."""
    total, flat = 0, False
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"] * (1 if flat else height * width)
            flat = True
        else:
            height, width = _out(height, layer), _out(width, layer)
            total += height * width * _weights(layer) if layer["kind"] == "conv" else 0
    return total


@wrong("multiply_adds", "multiplications_and_additions")
def adds_pooling_costs(layers, height, width):
    """Poolings are counted, too."""
    total, channels = 0, layers[0].get("in_channels", 1) if layers else 1
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            channels = layer["out_channels"]
            total += height * width * _weights(layer)
        else:
            total += height * width * channels * layer["kernel_size"] ** 2
    return total


@wrong("multiply_adds", "output_channels_forgotten")
def adds_channels_squared_kernel(layers, height, width):
    """Neither input nor output channels are counted, only the kernel."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            total += height * width * layer["kernel_size"] ** 2
    return total


@wrong("multiply_adds")
def adds_padding_of_poolings(layers, height, width):
    """Poolings are taken to pad by half their kernel."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        padded = layer if layer["kind"] == "conv" else layer | {"padding": layer["kernel_size"] // 2}
        height, width = _out(height, padded), _out(width, padded)
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "height_for_both")
def adds_product_as_square(layers, height, width):
    """The map is taken for a square of the height, after the first layer."""
    total, first = 0, True
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width if first else height, layer)
        first = False
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("window_starts", "steps_counted_for_windows")
def starts_while_one_more_fits(size, window, stride):
    """Looks whether the next window fits before it notes this one."""
    starts, s = [], 0
    while s + stride + window <= size:
        starts.append(s)
        s += stride
    return starts


@wrong("window_starts", "stride_divides_picture")
def starts_anywhere_inside(size, window, stride):
    """A start counts if it lies in the picture, for windows that are small enough."""
    starts = []
    at = 0
    while window <= size and at < size:
        starts.append(at)
        at = at + stride
    return starts


@wrong("window_starts", "step_of_one")
def starts_skip_window(size, window, stride):
    """Steps by the larger of stride and window, so that no windows overlap."""
    return list(range(0, size - window + 1, max(stride, window)))


@wrong("window_starts", "last_window_forgotten")
def starts_float_end(size, window, stride):
    """Stops where the start reaches size - window, unless that is 0."""
    last = size - window
    if last < 0:
        return []
    return [0] + [s for s in range(stride, last, stride)]


@wrong("extract_windows", "every_window_copied")
def windows_by_index(image, window, stride):
    """Picks pixels by index tensors, which copies."""
    ys = torch.arange(0, image.shape[1] - window + 1, stride)[:, None] + torch.arange(window)
    xs = torch.arange(0, image.shape[2] - window + 1, stride)[:, None] + torch.arange(window)
    return image[:, ys[:, None, :, None], xs[None, :, None, :]].permute(1, 2, 0, 3, 4)


@wrong("extract_windows", "strides_of_a_contiguous_picture")
def windows_strides_of_a_copy(image, window, stride):
    """Takes the strides of a contiguous copy for those of the picture."""
    c, h, w = image.shape
    sc, sh, sw = image.contiguous().stride()
    size = ((h - window) // stride + 1, (w - window) // stride + 1, c, window, window)
    return image.as_strided(size, (sh * stride, sw * stride, sc, sh, sw))


@wrong("extract_windows", "squeezed")
def windows_first_channel(image, window, stride):
    """A grey picture gets no dimension for its channel."""
    out = image.unfold(1, window, stride).unfold(2, window, stride).permute(1, 2, 0, 3, 4)
    return out[:, :, 0] if image.shape[0] == 1 else out


@wrong("extract_windows", "side_by_side")
def windows_default_step(image, window, stride):
    """Rows are stepped by the stride, columns by the window."""
    return image.unfold(1, window, stride).unfold(2, window, window).permute(1, 2, 0, 3, 4)


@wrong("sliding_window_scores", "squeezed_map")
@torch.no_grad()
def scores_first_class_of_one(classifier, image, window, stride, batch_size):
    """A map of one class comes without its class."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    maps = out.T.reshape(-1, rows, cols)
    return maps if len(maps) > 1 else maps[0]


@wrong("sliding_window_scores", "one_by_one")
@torch.no_grad()
def scores_half_batches(classifier, image, window, stride, batch_size):
    """The rest goes through one by one."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    flat = windows.flatten(0, 1)
    full = len(flat) // batch_size * batch_size
    out = [classifier(flat[i : i + batch_size]) for i in range(0, full, batch_size)]
    out += [classifier(flat[i : i + 1]) for i in range(full, len(flat))]
    return torch.cat(out).T.reshape(-1, rows, cols)


@wrong("sliding_window_scores", "gradient_recorded")
def scores_requires_no_grad(classifier, image, window, stride, batch_size):
    """Only the picture is told not to require a gradient."""
    windows = _all_windows(image.detach().requires_grad_(False), window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    return out.T.reshape(-1, rows, cols).detach()


@wrong("sliding_window_scores", "columns_times_rows")
@torch.no_grad()
def scores_written_at_swapped_places(classifier, image, window, stride, batch_size):
    """Writes score p at row p % rows."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    out = torch.cat([classifier(part) for part in windows.flatten(0, 1).split(batch_size)])
    maps = torch.zeros(out.shape[1], rows, cols)
    for p in range(rows * cols):
        maps[:, p % rows, p // rows] = out[p]
    return maps


@wrong("sliding_window_scores", "last_batch_lost")
@torch.no_grad()
def scores_drop_last(classifier, image, window, stride, batch_size):
    """A loader that drops the last batch; the map is filled with zeros."""
    windows = _all_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    loader = torch.utils.data.DataLoader(list(windows.flatten(0, 1)), batch_size, drop_last=True)
    out = torch.cat([classifier(batch) for batch in loader])
    missing = rows * cols - len(out)
    return F.pad(out, (0, 0, 0, missing)).T.reshape(-1, rows, cols)


@wrong("scores_to_mask", "margin_left")
def mask_padded_with_zeros(scores, image_size, window, stride):
    """Blocks by repeat_interleave, padded with class 0."""
    blocks = scores.argmax(0).repeat_interleave(stride, 0).repeat_interleave(stride, 1)
    before = max((window - stride) // 2, 0)
    after = [max(n - before - b, 0) for n, b in zip(image_size, blocks.shape, strict=True)]
    return F.pad(blocks, (before, after[1], before, after[0]))[: image_size[0], : image_size[1]]


@wrong("scores_to_mask", "later_window_wins")
def mask_round_half_up(scores, image_size, window, stride):
    """int(x + 0.5) in Python."""
    labels = scores.argmax(0)

    def index(n, count):
        return [min(max(int((p - (window - 1) / 2) / stride + 0.5), 0), count - 1) for p in range(n)]

    return labels[index(image_size[0], labels.shape[0])][:, index(image_size[1], labels.shape[1])]


@wrong("scores_to_mask", "centre_half_a_pixel_off", "later_window_wins")
def mask_centre_and_tie(scores, image_size, window, stride):
    """Centre at window / 2, rounded with round()."""
    labels = scores.argmax(0)
    index = []
    for n, count in zip(image_size, labels.shape, strict=True):
        index.append(torch.round((torch.arange(n) - window / 2) / stride).long().clamp(0, count - 1))
    return _lay(labels, *index)


@wrong("scores_to_mask", "height_and_width_swapped")
def mask_square_of_the_height(scores, image_size, window, stride):
    """As wide as high."""
    labels = scores.argmax(0)
    h = image_size[0]
    mask = torch.zeros(h, h, dtype=torch.long)
    for y in range(h):
        for x in range(h):
            i = math.ceil((y - (window - 1) / 2) / stride - 0.5)
            j = math.ceil((x - (window - 1) / 2) / stride - 0.5)
            mask[y, x] = labels[min(max(i, 0), labels.shape[0] - 1), min(max(j, 0), labels.shape[1] - 1)]
    return mask


@wrong("scores_to_mask", "label_from_the_centre_on")
def mask_int_of_the_quotient(scores, image_size, window, stride):
    """int() of (pixel - centre) / stride."""
    labels = scores.argmax(0)
    c = (window - 1) / 2
    ys = [min(max(int((y - c) / stride), 0), labels.shape[0] - 1) for y in range(image_size[0])]
    xs = [min(max(int((x - c) / stride), 0), labels.shape[1] - 1) for x in range(image_size[1])]
    return labels[ys][:, xs]


@wrong("shared_feature_scores", "windows_that_stick_out")
@torch.no_grad()
def shared_counts_of_the_map(features, head, image, window, stride, jump):
    """Rows and columns by the size of the feature map over the step."""
    k, step = features(image[None, :, :window, :window]).shape[-1], stride // jump
    whole = features(image[None])[0]
    pieces = whole.unfold(1, k, step).unfold(2, k, step)
    out = [head(row.transpose(0, 1)) for row in pieces.unbind(1)]
    return torch.stack(out).permute(2, 0, 1)


@wrong("shared_feature_scores", "window_divided_by_jump")
@torch.no_grad()
def shared_cells(features, head, image, window, stride, jump):
    """Pixel coordinates divided by the jump, both ends."""
    whole, out = features(image[None]), []
    rows, cols = _grid(image, window, stride)
    for i in range(rows):
        for j in range(cols):
            y, x = i * stride, j * stride
            out.append(head(whole[:, :, y // jump : (y + window) // jump, x // jump : (x + window) // jump]))
    return torch.cat(out).T.reshape(-1, rows, cols)


@wrong("shared_feature_scores", "features_of_every_window", "gradient_recorded_in_features")
def shared_naive_with_gradient(features, head, image, window, stride, jump):
    """head(features(window)) for all windows in a batch, with gradients."""
    rows, cols = _grid(image, window, stride)
    windows = _all_windows(image, window, stride).flatten(0, 1)
    return head(features(windows)).T.reshape(-1, rows, cols)


@wrong("shared_feature_scores", "scores_in_wrong_places")
@torch.no_grad()
def shared_stacked_rows(features, head, image, window, stride, jump):
    """Stacks rows of scores and leaves the classes last."""
    rows, cols = _grid(image, window, stride)
    k, step = features(image[None, :, :window, :window]).shape[-1], stride // jump
    whole = features(image[None])
    lines = []
    for i in range(rows):
        line = [whole[:, :, i * step : i * step + k, j * step : j * step + k] for j in range(cols)]
        lines.append(head(torch.cat(line)))
    return torch.stack(lines)


@wrong("shared_feature_scores", "surplus_windows_cut_off")
@torch.no_grad()
def shared_cut_late(features, head, image, window, stride, jump):
    """All feature windows through the head, the map cut to the right size."""
    rows, cols = _grid(image, window, stride)
    k = features(torch.zeros(1, image.shape[0], window, window)).shape[-1]
    pieces = features(image[None])[0].unfold(1, k, stride // jump).unfold(2, k, stride // jump)
    scores = torch.stack([head(row.transpose(0, 1)) for row in pieces.unbind(1)])
    return scores[:rows, :cols].permute(2, 0, 1)


@wrong("multiply_adds", "places_of_the_input")
def adds_then_shrinks(layers, height, width):
    """Counts first, then computes the new size; poolings divide rightly."""
    total = 0
    for layer in layers:
        kind = layer["kind"]
        if kind == "conv":
            total += height * width * layer["kernel_size"] ** 2 * layer["in_channels"] * layer["out_channels"]
        elif kind == "linear":
            total += layer["in_features"] * layer["out_features"]
            height = width = 1
            continue
        height = int((height + 2 * layer.get("padding", 0) - layer["kernel_size"]) / layer["stride"] + 1)
        width = int((width + 2 * layer.get("padding", 0) - layer["kernel_size"]) / layer["stride"] + 1)
    return total


@wrong("multiply_adds", "dense_layer_at_every_pixel")
def adds_dense_as_pixels(layers, height, width):
    """Dense layers cost out_features times all that comes in, pixel by pixel."""
    total, pixels = 0, height * width
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["out_features"] * layer["in_features"] * pixels
        else:
            height, width = _out(height, layer), _out(width, layer)
            pixels = height * width
            total += pixels * _weights(layer) if layer["kind"] == "conv" else 0
    return total


@wrong("multiply_adds", "padding_forgotten", "rounded_up_to_whole_steps")
def adds_size_over_stride(layers, height, width):
    """The size after a layer is size // stride."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = height // layer["stride"], width // layer["stride"]
        if layer["kind"] == "conv":
            total += height * width * _weights(layer)
    return total


@wrong("multiply_adds", "multiplications_and_additions")
def adds_minus_one_addition(layers, height, width):
    """n products and n - 1 additions for each number."""
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += (2 * layer["in_features"] - 1) * layer["out_features"]
            continue
        height, width = _out(height, layer), _out(width, layer)
        if layer["kind"] == "conv":
            n = layer["in_channels"] * layer["kernel_size"] ** 2
            total += (2 * n - 1) * layer["out_channels"] * height * width
    return total
