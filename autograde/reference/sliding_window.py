"""A classifier of patches run at every place of a picture, naively and with shared features (lesson 02).

Shapes: image (C, H, W), windows (rows, cols, C, window, window), scores (num_classes, rows, cols), mask (H, W).
Sizes, windows, strides and jumps are in pixels.

Sources: the slides on naive segmentation (256 x 256, window 64, stride 8) and on its instant optimisation;
Sermanet et al., "OverFeat", 2014, section 3.5.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def window_starts(size: int, window: int, stride: int) -> list[int]:
    """All starts at which a whole window fits into `size` pixels; an empty list if the window is larger."""
    return list(range(0, size - window + 1, stride))


def extract_windows(image: Tensor, window: int, stride: int) -> Tensor:
    """All windows of a picture (C, H, W) as a view (rows, cols, C, window, window): no pixel is copied."""
    bands = image.unfold(1, window, stride)  # (C, rows, W, window)
    windows = bands.unfold(2, window, stride)  # (C, rows, cols, window, window)
    return windows.permute(1, 2, 0, 3, 4)  # (rows, cols, C, window, window)


@torch.no_grad()
def sliding_window_scores(
    classifier: Callable[[Tensor], Tensor], image: Tensor, window: int, stride: int, batch_size: int
) -> Tensor:
    """Scores (num_classes, rows, cols) of every window, in the dtype that the classifier returns.

    `classifier` maps (B, C, window, window) to (B, num_classes). It is called as rarely as batches of at most
    `batch_size` windows allow, and no gradient is recorded.
    """
    windows = extract_windows(image, window, stride)
    rows, cols = windows.shape[:2]
    scores = []
    for place in torch.arange(rows * cols).split(batch_size):
        batch = windows[place // cols, place % cols]  # (B, C, window, window); one batch is copied at a time
        scores.append(classifier(batch))  # (B, num_classes)
    return torch.cat(scores).T.reshape(-1, rows, cols)  # (num_classes, rows, cols)


def scores_to_mask(scores: Tensor, image_size: tuple[int, int], window: int, stride: int) -> Tensor:
    """Mask (H, W), int64: each pixel gets the arg-max class of the window whose centre is nearest.

    The centre of a window is start + (window - 1) / 2; of two equally near windows the earlier one wins (the upper,
    the left). Rows and columns are independent. `scores` is (num_classes, rows, cols), `image_size` (height, width).
    """
    row, col = (_nearest_window(size, window, stride) for size in image_size)
    return scores.argmax(0)[row[:, None], col]  # (rows, cols) -> (H, W)


def _nearest_window(size: int, window: int, stride: int) -> Tensor:
    """The index of the window nearest to each of `size` pixels: (size,), int64.

    Window i lies nearest to the pixels p with |p - i * stride - (window - 1) / 2| <= stride / 2. Doubled, so that
    whole numbers suffice, and with ties to the smaller i, that is i = floor((2p + stride - window) / (2 stride)).
    """
    index = (2 * torch.arange(size) + stride - window) // (2 * stride)
    return index.clamp(0, (size - window) // stride)  # the margin goes to the outermost windows


@torch.no_grad()
def shared_feature_scores(
    features: Callable[[Tensor], Tensor],
    head: Callable[[Tensor], Tensor],
    image: Tensor,
    window: int,
    stride: int,
    jump: int,
) -> Tensor:
    """Scores (num_classes, rows, cols) of every window, with the features of the whole picture computed once.

    `features` maps (1, C, H, W) to (1, D, h, w), neighbouring features being `jump` pixels apart (the product of all
    strides); `head` maps (B, D, k, k) to (B, num_classes). The jump divides the stride. Equal to
    `sliding_window_scores` of head(features(x)) if no layer of `features` pads. No gradient is recorded.
    """
    rows, cols = extract_windows(image, window, stride).shape[:2]  # a view: it costs nothing
    side = features(image[None, :, :window, :window]).shape[3]  # k: one window is this many features wide
    feature_map = features(image[None]).squeeze(0)  # (D, h, w)
    # Pixels at a window's edge may reach no feature; then a last window that sticks out of the picture seems to fit.
    windows = extract_windows(feature_map, side, stride // jump)[:rows, :cols]  # (rows, cols, D, k, k)
    return head(windows.flatten(0, 1)).T.reshape(-1, rows, cols)  # (num_classes, rows, cols)


def multiply_adds(layers: list[dict], height: int, width: int) -> int:
    """Multiply-adds of one forward pass over a picture of height x width; biases, ReLU and pooling count as none.

    Each layer is a dict, in the words of torch.nn, kernels and strides being square; each fits the one before it:
        {"kind": "conv", "in_channels": 3, "out_channels": 6, "kernel_size": 5, "stride": 1, "padding": 0}
        {"kind": "pool", "kernel_size": 2, "stride": 2}
        {"kind": "linear", "in_features": 400, "out_features": 120}    flattens the map before it
    """
    total = 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        height, width = _output_size(height, layer), _output_size(width, layer)
        if layer["kind"] == "conv":
            total += layer["kernel_size"] ** 2 * layer["in_channels"] * layer["out_channels"] * height * width
    return total


def _output_size(size: int, layer: dict) -> int:
    """How many positions a kernel has along one side."""
    return (size + 2 * layer.get("padding", 0) - layer["kernel_size"]) // layer["stride"] + 1
