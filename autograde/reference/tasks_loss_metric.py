"""What segmentation asks for, what a network is trained with, and how its masks are measured (lesson 01).

Shapes: N pictures of H x W pixels, C classes; logits (N, C, H, W) float, masks (N, H, W) or (H, W) int64. A pixel whose
label is `ignore_index` has no known class. Confusion matrices have the truth in rows, the prediction in columns.

Sources: the slides on the three tasks, on pixel-wise cross entropy and on IoU; Long, Shelhamer and Darrell, "Fully
Convolutional Networks for Semantic Segmentation", 2015, section 5 (the metrics); Everingham et al., "The Pascal Visual
Object Classes (VOC) Challenge", 2010 (pixels that are labelled as void do not count).
"""

import torch
from torch import Tensor


def instances_to_semantic(instances: Tensor, class_of: Tensor, ignore_index: int = 255) -> Tensor:
    """Class mask (H, W), int64, of a map of objects.

    `instances` (H, W), int64: 0 is the background, k the object number k, `ignore_index` a pixel that stays ignored.
    `class_of` (K + 1,), int64: the class of each number, entry 0 that of the background.
    Raises ValueError for an object number that `class_of` does not have.
    """
    ignored = instances == ignore_index
    numbers = instances.masked_fill(ignored, 0)
    unknown = (numbers < 0) | (numbers >= len(class_of))  # an index of -1 would quietly mean the last object
    if unknown.any():
        raise ValueError(f"numbers from {numbers.min()} to {numbers.max()}, but {len(class_of)} classes, from 0 on")
    return class_of[numbers].masked_fill(ignored, ignore_index)


def boundary_mask(mask: Tensor) -> Tensor:
    """Pixels (..., H, W), bool, that have another label above, below, left or right of them.

    `mask` (..., H, W), int64: labels of any kind, classes or object numbers. Both sides of a border are marked, so its
    line is two pixels wide. Beyond the picture there is no label: its edge is no border.
    """
    below = mask[..., 1:, :] != mask[..., :-1, :]  # (..., H - 1, W): does the border run below pixel (i, j)?
    right = mask[..., :, 1:] != mask[..., :, :-1]  # (..., H, W - 1)
    boundary = torch.zeros_like(mask, dtype=torch.bool)  # (..., H, W)
    boundary[..., :-1, :] |= below
    boundary[..., 1:, :] |= below
    boundary[..., :, :-1] |= right
    boundary[..., :, 1:] |= right
    return boundary


def pixel_cross_entropy(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """Mean cross entropy of the pixels that are not ignored, in nats: a tensor of shape () in the dtype of `logits`.

    `logits` (N, C, H, W), `target` (N, H, W) int64. Finite for finite logits, and so is its gradient, which is
    (softmax - one-hot) / valid pixels. Without a valid pixel the loss is 0 and the gradient too, where torch gives NaN.
    """
    valid = target != ignore_index  # (N, H, W)
    labels = target.masked_fill(~valid, 0)
    # The largest logit of each pixel becomes 0: no exp overflows, and the sum is at least 1, so its log is finite.
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)  # (N, C, H, W)
    of_the_label = shifted.gather(1, labels[:, None]).squeeze(1)  # (N, H, W)
    losses = shifted.exp().sum(dim=1).log() - of_the_label  # (N, H, W): -log softmax
    return losses[valid].sum() / valid.sum().clamp(min=1)


def confusion_matrix(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Counts (num_classes, num_classes), int64: entry [i, j] is how many pixels of class i were predicted as j.

    `pred` and `target` have one shape, any, and any integer dtypes. Pixels whose target is `ignore_index` are left
    out, whatever was predicted there. Matrices of several batches may be added.
    Raises ValueError for labels outside 0 to num_classes - 1 in either of them, at pixels that count.
    """
    pred, target = pred.long(), target.long()  # before anything is compared or multiplied: uint8 ends at 255
    valid = target != ignore_index
    truth, found = target[valid], pred[valid]  # (valid pixels,)
    for name, labels in {"target": truth, "pred": found}.items():
        if ((labels < 0) | (labels >= num_classes)).any():
            raise ValueError(f"{name} has labels from {labels.min()} to {labels.max()} for {num_classes} classes")
    cells = num_classes * truth + found  # which cell of the matrix, in reading order
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou_per_class(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, (C,) float64, from a confusion matrix (C, C).

    A class that occurs neither in the truth nor in the prediction has no IoU: NaN.
    """
    counts = confusion.double()
    intersection = counts.diagonal()  # (C,)
    union = counts.sum(dim=0) + counts.sum(dim=1) - intersection  # (C,)
    return intersection / union  # 0 / 0 is NaN


def mean_iou(confusion: Tensor) -> float:
    """Mean IoU over the classes that occur in the truth or in the prediction; NaN if none does."""
    ious = iou_per_class(confusion)
    present = ~ious.isnan()
    return ious[present].mean().item()  # of no numbers: NaN
