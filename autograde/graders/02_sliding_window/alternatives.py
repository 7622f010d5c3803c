"""Right answers of lesson 02, written differently: the hidden grader must accept each of them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from autograde.graders.candidates import alternative

# --- window_starts ---


@alternative("window_starts")
def by_loop(size, window, stride):
    starts, start = [], 0
    while start + window <= size:
        starts.append(start)
        start += stride
    return starts


@alternative("window_starts")
def by_formula(size, window, stride):
    return (stride * np.arange(max(0, (size - window) // stride + 1))).tolist()


# --- extract_windows ---


@alternative("extract_windows")
def by_as_strided(image, window, stride):
    channels, height, width = image.shape
    by_channel, by_row, by_col = image.stride()
    return image.as_strided(
        ((height - window) // stride + 1, (width - window) // stride + 1, channels, window, window),
        (by_row * stride, by_col * stride, by_channel, by_row, by_col),
        image.storage_offset(),
    )


@alternative("extract_windows")
def by_numpy(image, window, stride):
    windows = np.lib.stride_tricks.sliding_window_view(image.numpy(), (window, window), axis=(1, 2), writeable=True)
    return torch.from_numpy(windows[:, ::stride, ::stride].transpose(1, 2, 0, 3, 4))


@alternative("extract_windows")
def columns_first(image, window, stride):
    windows = image.movedim(0, -1).unfold(1, window, stride).unfold(0, window, stride)  # (rows, cols, C, across, down)
    return windows.mT


# --- sliding_window_scores ---


@alternative("sliding_window_scores")
@torch.no_grad()
def by_list_of_crops(classifier, image, window, stride, batch_size):
    tops = range(0, image.shape[1] - window + 1, stride)
    lefts = range(0, image.shape[2] - window + 1, stride)
    crops = [image[:, y : y + window, x : x + window] for y in tops for x in lefts]
    scores = []
    for begin in range(0, len(crops), batch_size):
        scores.extend(classifier(torch.stack(crops[begin : begin + batch_size])))
    return torch.stack(scores, dim=1).unflatten(1, (len(tops), len(lefts)))


@alternative("sliding_window_scores")
@torch.inference_mode()
def with_even_batches(classifier, image, window, stride, batch_size):
    windows = by_as_strided(image, window, stride)
    rows, cols = windows.shape[:2]
    batches = windows.flatten(0, 1).tensor_split(math.ceil(rows * cols / batch_size))  # of nearly equal size
    return torch.cat([classifier(batch) for batch in batches]).unflatten(0, (rows, cols)).permute(2, 0, 1)


@alternative("sliding_window_scores")
def from_the_end(classifier, image, window, stride, batch_size):
    windows = by_as_strided(image, window, stride)
    scores = []
    for batch in windows.flatten(0, 1).flip(0).split(batch_size):
        with torch.no_grad():  # around the classifier alone
            scores.append(classifier(batch))
    return torch.cat(scores).flip(0).T.view(-1, *windows.shape[:2])


# --- scores_to_mask ---


@alternative("scores_to_mask")
def by_distances(scores, image_size, window, stride):
    nearest = []
    for size, count in zip(image_size, scores.shape[1:], strict=True):
        centres = torch.arange(count) * stride + (window - 1) / 2
        distances = (torch.arange(size)[:, None] - centres).abs()
        nearest.append(torch.from_numpy(distances.numpy().argmin(1)))  # numpy promises the first of equals
    return scores.argmax(0)[nearest[0]][:, nearest[1]]


@alternative("scores_to_mask")
def by_loops(scores, image_size, window, stride):
    def interpolate(pixel, count):
        return min(range(count), key=lambda i: (abs(2 * pixel - 2 * i * stride - window + 1), i))

    rows = [interpolate(y, scores.shape[1]) for y in range(image_size[0])]
    cols = [interpolate(x, scores.shape[2]) for x in range(image_size[1])]
    mask = torch.empty(image_size, dtype=torch.long)
    for y, row in enumerate(rows):
        for x, col in enumerate(cols):
            mask[y, x] = scores[:, row, col].max(0).indices
    return mask


@alternative("scores_to_mask")
def scores_first(scores, image_size, window, stride):
    for axis, size in zip((1, 2), image_size, strict=True):
        borders = torch.arange(scores.shape[axis] - 1) * stride + (window - 1 + stride) / 2  # half-way between centres
        index = torch.bucketize(torch.arange(size).float(), borders)  # at a border: the earlier window
        scores = scores.index_select(axis, index)
    return scores.argmax(0)


@alternative("scores_to_mask", uses_forbidden=True)
def by_interpolate(scores, image_size, window, stride):
    height, width = image_size
    margin = max(height, width)
    labels = scores.argmax(0)[None, None].double()
    blocks = F.interpolate(labels, scale_factor=stride, mode="nearest")  # each label becomes stride x stride pixels
    padded = F.pad(blocks, (margin, margin, margin, margin), mode="replicate")[0, 0].long()
    shift = margin - (window - stride + 1) // 2  # the first block begins this far from the picture's corner
    return padded[shift : shift + height, shift : shift + width]


# --- shared_feature_scores ---


def grid_of(image, window, stride):
    return (image.shape[1] - window) // stride + 1, (image.shape[2] - window) // stride + 1


@alternative("shared_feature_scores")
@torch.no_grad()
def head_one_by_one(features, head, image, window, stride, jump):
    rows, cols = grid_of(image, window, stride)
    k = features(torch.zeros(1, image.shape[0], window, window)).shape[2]
    feature_map = features(image.unsqueeze(0))
    step = stride // jump
    scores = [
        head(feature_map[:, :, y : y + k, x : x + k])[0]
        for y in range(0, rows * step, step)
        for x in range(0, cols * step, step)
    ]
    return torch.stack(scores, 1).view(-1, rows, cols)


@alternative("shared_feature_scores")
@torch.no_grad()
def by_unfold(features, head, image, window, stride, jump):
    rows, cols = grid_of(image, window, stride)
    whole = features(image[None])
    k = whole.shape[-1] if image.shape[-1] == window else features(image[None, :, -window:, -window:]).shape[-1]
    columns = F.unfold(whole, k, stride=stride // jump)  # (1, D * k * k, windows)
    grid = [(size - k) // (stride // jump) + 1 for size in whole.shape[2:]]
    windows = columns[0].T.reshape(*grid, whole.shape[1], k, k)[:rows, :cols]
    return head(windows.flatten(0, 1)).T.reshape(-1, rows, cols)


@alternative("shared_feature_scores")
@torch.no_grad()
def pixels_that_no_window_reaches_cut_off(features, head, image, window, stride, jump):
    rows, cols = grid_of(image, window, stride)
    k = features(image[None, :, :window, :window]).shape[-1]
    reached = features(image[None, :, : (rows - 1) * stride + window, : (cols - 1) * stride + window])[0]
    windows = by_as_strided(reached, k, stride // jump)  # (rows, cols, D, k, k)
    return torch.stack([head(row).T for row in windows], dim=1)


# --- multiply_adds ---


@alternative("multiply_adds")
def by_recursion(layers, height, width):
    if not layers:
        return 0
    layer, *rest = layers
    if layer["kind"] == "linear":
        return layer["in_features"] * layer["out_features"] + by_recursion(rest, 1, 1)
    kernel, stride, padding = layer["kernel_size"], layer["stride"], layer.get("padding", 0)
    height, width = ((size + 2 * padding - kernel + stride) // stride for size in (height, width))
    own = layer["in_channels"] * layer["out_channels"] * kernel**2 if layer["kind"] == "conv" else 0
    return height * width * own + by_recursion(rest, height, width)


@alternative("multiply_adds")
@torch.no_grad()
def by_running(layers, height, width):
    """Runs a map of one channel through, for the sizes alone."""
    total, x = 0, torch.zeros(1, 1, height, width)
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
        else:
            x = F.max_pool2d(F.pad(x, [layer.get("padding", 0)] * 4), layer["kernel_size"], layer["stride"])
        if layer["kind"] == "conv":
            total += x.numel() * layer["in_channels"] * layer["out_channels"] * layer["kernel_size"] ** 2
    return total


@alternative("multiply_adds")
def by_ranges(layers, height, width):
    total, sizes = 0, (height, width)
    for layer in layers:
        if layer["kind"] == "linear":
            total += math.prod((layer["in_features"], layer["out_features"]))
        else:
            p, k, s = layer.get("padding", 0), layer["kernel_size"], layer["stride"]
            sizes = [len(range(-p, size + p - k + 1, s)) for size in sizes]
            total += math.prod((*sizes, k, k, layer.get("in_channels", 0), layer.get("out_channels", 0)))
    return total
