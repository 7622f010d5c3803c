"""Right answers of lesson 02, written differently: the hidden grader must accept each of them."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative


def require(condition, message):
    if not condition:
        raise ValueError(message)


# --- window_starts ---


@alternative("window_starts")
def by_loop(size, window, stride):
    for value in (size, window, stride):
        require(isinstance(value, int) and not isinstance(value, bool), f"expected an int, got {value!r}")
        require(value > 0, f"expected a positive number, got {value}")
    starts, start = [], 0
    while start + window <= size:
        starts.append(start)
        start += stride
    return starts


@alternative("window_starts")
def by_filter(size, window, stride):
    if any(type(value) is not int for value in (size, window, stride)):
        raise TypeError("size, window and stride are ints")
    if min(size, window, stride) <= 0:
        raise ValueError("size, window and stride are positive")
    return [start for start in range(size) if start % stride == 0 and start + window <= size]


@alternative("window_starts")
def by_formula(size, window, stride):
    count = max(0, (size - window) // stride + 1) if len(by_filter(size, window, stride)) else 0
    return (stride * np.arange(count)).tolist()


# --- extract_windows ---


def check_picture(image, window):
    require(image.ndim == 3, f"expected (C, H, W), got {tuple(image.shape)}")
    require(all(image.shape), f"the picture of shape {tuple(image.shape)} is empty")
    require(window <= min(image.shape[1:]), f"window {window} is larger than the picture {tuple(image.shape)}")


@alternative("extract_windows")
def by_as_strided(image, window, stride):
    check_picture(image, window)
    channels, height, width = image.shape
    by_channel, by_row, by_col = image.stride()
    return image.as_strided(
        ((height - window) // stride + 1, (width - window) // stride + 1, channels, window, window),
        (by_row * stride, by_col * stride, by_channel, by_row, by_col),
        image.storage_offset(),
    )


@alternative("extract_windows")
def by_numpy(image, window, stride):
    check_picture(image, window)
    windows = np.lib.stride_tricks.sliding_window_view(image.numpy(), (window, window), axis=(1, 2), writeable=True)
    return torch.from_numpy(windows[:, ::stride, ::stride].transpose(1, 2, 0, 3, 4))


@alternative("extract_windows")
def columns_first(image, window, stride):
    check_picture(image, window)
    windows = image.movedim(0, -1).unfold(1, window, stride).unfold(0, window, stride)  # (rows, cols, C, across, down)
    return windows.mT


# --- sliding_window_scores ---


def checked(classifier, batch):
    scores = classifier(batch)
    require(scores.ndim == 2, f"the classifier returned shape {tuple(scores.shape)}, expected (B, num_classes)")
    require(scores.shape[0] == batch.shape[0], f"{scores.shape[0]} scores for {batch.shape[0]} windows")
    return scores


@alternative("sliding_window_scores")
@torch.no_grad()
def by_list_of_crops(classifier, image, window, stride, batch_size):
    require(batch_size > 0, f"batch_size is {batch_size}, expected at least 1")
    tops = range(0, image.shape[1] - window + 1, stride)
    lefts = range(0, image.shape[2] - window + 1, stride)
    crops = [image[:, y : y + window, x : x + window] for y in tops for x in lefts]
    scores = []
    for begin in range(0, len(crops), batch_size):
        scores.extend(checked(classifier, torch.stack(crops[begin : begin + batch_size])))
    return torch.stack(scores, dim=1).unflatten(1, (len(tops), len(lefts)))


@alternative("sliding_window_scores")
@torch.inference_mode()
def with_even_batches(classifier, image, window, stride, batch_size):
    require(batch_size > 0, f"batch_size is {batch_size}, expected at least 1")
    windows = by_as_strided(image, window, stride)
    rows, cols = windows.shape[:2]
    batches = windows.flatten(0, 1).tensor_split(math.ceil(rows * cols / batch_size))  # of nearly equal size
    scores = torch.cat([checked(classifier, batch) for batch in batches])
    return scores.unflatten(0, (rows, cols)).permute(2, 0, 1)


@alternative("sliding_window_scores")
def from_the_end(classifier, image, window, stride, batch_size):
    require(batch_size > 0, f"batch_size is {batch_size}, expected at least 1")
    windows = by_as_strided(image, window, stride)
    rows, cols = windows.shape[:2]
    scores = [checked(classifier, batch) for batch in windows.flatten(0, 1).flip(0).split(batch_size)]
    return torch.cat(scores).flip(0).detach().T.view(-1, rows, cols)


# --- scores_to_mask ---


def check_map(scores, image_size, window, stride):
    require(scores.ndim == 3 and scores.numel() > 0, f"scores of shape {tuple(scores.shape)}")
    for count, size in zip(scores.shape[1:], image_size, strict=True):
        require(size >= window and count == (size - window) // stride + 1, f"{count} windows do not belong to {size}")


@alternative("scores_to_mask")
def by_distances(scores, image_size, window, stride):
    check_map(scores, image_size, window, stride)
    nearest = []
    for size, count in zip(image_size, scores.shape[1:], strict=True):
        centres = torch.arange(count) * stride + (window - 1) / 2
        distances = (torch.arange(size)[:, None] - centres).abs()
        nearest.append(torch.from_numpy(distances.numpy().argmin(1)))  # numpy promises the first of equals
    return scores.argmax(0)[nearest[0]][:, nearest[1]]


@alternative("scores_to_mask")
def by_loops(scores, image_size, window, stride):
    check_map(scores, image_size, window, stride)

    def nearest(pixel, count):
        return min(range(count), key=lambda i: (abs(2 * pixel - 2 * i * stride - window + 1), i))

    rows = [nearest(y, scores.shape[1]) for y in range(image_size[0])]
    cols = [nearest(x, scores.shape[2]) for x in range(image_size[1])]
    mask = torch.empty(image_size, dtype=torch.long)
    for y, row in enumerate(rows):
        for x, col in enumerate(cols):
            mask[y, x] = scores[:, row, col].max(0).indices
    return mask


@alternative("scores_to_mask")
def scores_first(scores, image_size, window, stride):
    check_map(scores, image_size, window, stride)
    for axis, size in zip((1, 2), image_size, strict=True):
        borders = torch.arange(scores.shape[axis] - 1) * stride + (window - 1 + stride) / 2  # half-way between centres
        index = torch.bucketize(torch.arange(size).float(), borders)  # at a border: the earlier window
        scores = scores.index_select(axis, index)
    return scores.argmax(0)


@alternative("scores_to_mask", uses_forbidden=True)
def by_interpolate(scores, image_size, window, stride):
    check_map(scores, image_size, window, stride)
    height, width = image_size
    margin = max(height, width)
    labels = scores.argmax(0)[None, None].double()
    blocks = F.interpolate(labels, scale_factor=stride, mode="nearest")  # each label becomes stride x stride pixels
    padded = F.pad(blocks, (margin, margin, margin, margin), mode="replicate")[0, 0].long()
    shift = margin - (window - stride + 1) // 2  # the first block begins this far from the picture's corner
    return padded[shift : shift + height, shift : shift + width]


# --- shared_feature_scores ---


def check_jump(image, window, stride, jump):
    require(jump > 0 and stride % jump == 0, f"stride {stride} is no multiple of the jump {jump}")
    check_picture(image, window)
    return (image.shape[1] - window) // stride + 1, (image.shape[2] - window) // stride + 1


@alternative("shared_feature_scores")
@torch.no_grad()
def head_one_by_one(features, head, image, window, stride, jump):
    rows, cols = check_jump(image, window, stride, jump)
    k = features(torch.zeros(1, image.shape[0], window, window)).shape[2]
    feature_map = features(image.unsqueeze(0))
    scores = [
        head(feature_map[:, :, y : y + k, x : x + k])[0]
        for y in range(0, rows * (stride // jump), stride // jump)
        for x in range(0, cols * (stride // jump), stride // jump)
    ]
    return torch.stack(scores, 1).view(-1, rows, cols)


@alternative("shared_feature_scores")
@torch.no_grad()
def by_unfold(features, head, image, window, stride, jump):
    rows, cols = check_jump(image, window, stride, jump)
    whole = features(image[None])
    k = whole.shape[-1] if image.shape[-1] == window else features(image[None, :, -window:, -window:]).shape[-1]
    columns = F.unfold(whole, k, stride=stride // jump)  # (1, D * k * k, windows)
    grid = [(size - k) // (stride // jump) + 1 for size in whole.shape[2:]]
    windows = columns[0].T.reshape(*grid, whole.shape[1], k, k)[:rows, :cols]
    return head(windows.flatten(0, 1)).T.reshape(-1, rows, cols)


@alternative("shared_feature_scores")
@torch.no_grad()
def row_after_row(features, head, image, window, stride, jump):
    rows, cols = check_jump(image, window, stride, jump)
    k, feature_map = features(image[None, :, :window, :window]).shape[-1], features(image[None])[0]
    windows = by_as_strided(feature_map, k, stride // jump)
    return torch.stack([head(windows[i, :cols]).T for i in range(rows)], dim=1)


# --- multiply_adds ---


@alternative("multiply_adds")
def by_recursion(layers, height, width, channels=None):
    require(height > 0 and width > 0, f"a map of {height} x {width}")
    if not layers:
        return 0
    layer, *rest = layers
    kind = layer["kind"]
    require(kind in ("conv", "pool", "linear"), f"unknown kind {kind!r}")
    if kind == "linear":
        pixels = height * width
        require(layer["in_features"] % pixels == 0, f"{layer['in_features']} inputs for a map of {pixels} pixels")
        require(channels is None or channels * pixels == layer["in_features"], f"{channels} x {pixels} inputs")
        return layer["in_features"] * layer["out_features"] + by_recursion(rest, 1, 1, layer["out_features"])
    kernel, stride, padding = layer["kernel_size"], layer["stride"], layer.get("padding", 0)
    height, width = ((size + 2 * padding - kernel + stride) // stride for size in (height, width))
    require(height > 0 and width > 0, "the map is too small")
    if kind == "pool":
        return by_recursion(rest, height, width, channels)
    require(channels in (None, layer["in_channels"]), f"{channels} channels")
    weights = layer["out_channels"] * layer["in_channels"] * kernel * kernel
    return height * width * weights + by_recursion(rest, height, width, layer["out_channels"])


@alternative("multiply_adds")
def by_running_on_meta(layers, height, width):
    """Builds the layers on the meta device, where tensors have shapes and no numbers."""
    require(height > 0 and width > 0, f"a picture of {height} x {width}")
    total, x = 0, None
    for layer in layers:
        numbers = {key: value for key, value in layer.items() if key != "kind"}
        try:
            with torch.device("meta"):
                module = {"conv": nn.Conv2d, "pool": nn.MaxPool2d, "linear": nn.Linear}[layer["kind"]](**numbers)
            if x is None:
                first = next((other["in_channels"] for other in layers if other["kind"] == "conv"), None)
                channels = first or layer.get("in_features", height * width) // (height * width)
                x = torch.empty(1, channels, height, width, device="meta")
            x = module(x.flatten(1) if isinstance(module, nn.Linear) else x)
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"{layer}: {error}") from None
        x = x[:, :, None, None] if x.ndim == 2 else x
        if hasattr(module, "weight"):
            total += x.numel() * module.weight[0].numel()
    return total


@alternative("multiply_adds")
def by_ranges(layers, height, width):
    total, channels, sizes = 0, None, (height, width)
    for layer in layers:
        require(min(sizes) > 0, f"a map of {sizes}")
        if layer["kind"] in ("conv", "pool"):
            p, k, s = layer.get("padding", 0), layer["kernel_size"], layer["stride"]
            sizes = tuple(len(range(-p, size + p - k + 1, s)) for size in sizes)
        if layer["kind"] == "conv":
            require(channels in (None, layer["in_channels"]), "other channels")
            channels = layer["out_channels"]
            total += math.prod(sizes) * k * k * layer["in_channels"] * channels
        elif layer["kind"] == "linear":
            inputs = layer["in_features"]
            require(inputs == math.prod(sizes) * (channels or inputs // math.prod(sizes)), "other inputs")
            channels, sizes = layer["out_features"], (1, 1)
            total += inputs * channels
        else:
            require(layer["kind"] == "pool", "unknown layer")
    require(min(sizes) > 0, f"a map of {sizes}")
    return total
