"""Right answers of lesson 01, written differently: the hidden grader must accept each of them."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from autograde.graders.candidates import alternative

# --- instances_to_semantic ---


@alternative("instances_to_semantic")
def by_dictionary(instances, class_of, ignore_index=255):
    table = dict(enumerate(class_of.tolist()))
    table[ignore_index] = ignore_index
    try:
        return torch.tensor([[table[number] for number in row] for row in instances.tolist()])
    except KeyError as number:
        raise ValueError(f"object {number} has no class") from None


@alternative("instances_to_semantic")
def by_numpy_unique(instances, class_of, ignore_index=255):
    numbers, back = np.unique(instances.numpy(), return_inverse=True)
    numbers = torch.from_numpy(numbers)
    known = numbers[numbers != ignore_index]
    if len(known) and not 0 <= known.min() <= known.max() < len(class_of):
        raise ValueError(f"numbers {known.tolist()}")
    classes = torch.full_like(numbers, ignore_index)
    classes[numbers != ignore_index] = class_of[known]
    return classes[torch.from_numpy(back.reshape(instances.shape))]


# --- boundary_mask ---


@alternative("boundary_mask")
def by_loops(mask):
    height, width = mask.shape[-2:]
    found = torch.zeros(mask.shape, dtype=torch.bool)
    for one, out in zip(mask.reshape(-1, height, width), found.view(-1, height, width), strict=True):
        rows = one.tolist()
        for i in range(height):
            for j in range(width):
                for y, x in ((i + 1, j), (i, j + 1)):
                    if y < height and x < width and rows[i][j] != rows[y][x]:
                        out[i, j] = out[y, x] = True
    return found


@alternative("boundary_mask")
def by_padding_comparisons(mask):
    """The comparisons are padded, not the labels, so that nothing beyond the edge is ever compared."""
    down, across = F.pad(mask.diff(dim=-2) != 0, (0, 0, 1, 1)), F.pad(mask.diff(dim=-1) != 0, (1, 1))
    return down[..., 1:, :] | down[..., :-1, :] | across[..., 1:] | across[..., :-1]


# --- pixel_cross_entropy ---


@alternative("pixel_cross_entropy", uses_forbidden=True)
def by_the_library(logits, target, ignore_index=255):
    if (target == ignore_index).all():
        return 0 * logits.sum()
    return F.cross_entropy(logits, target, ignore_index=ignore_index)


@alternative("pixel_cross_entropy")
def by_rows_of_pixels(logits, target, ignore_index=255):
    """One row of logits per valid pixel, chosen before anything is computed."""
    valid = target != ignore_index
    rows, labels = logits.movedim(1, -1)[valid], target[valid]  # (P, C), (P,)
    if len(rows) == 0:
        return rows.sum()
    largest = rows.max(dim=1, keepdim=True).values
    total = largest[:, 0] + torch.log(torch.exp(rows - largest).sum(1))
    return torch.mean(total - rows[torch.arange(len(rows)), labels])


def log_softmax(scores):
    """A helper of the student's own, with the library's name."""
    scores = scores - scores.max(1, keepdim=True)[0]
    logsumexp = scores.exp().sum(1, keepdim=True).log()
    return scores - logsumexp


@alternative("pixel_cross_entropy")
def by_one_hot_and_a_helper(logits, target, ignore_index=255):
    hot = torch.stack([(target == k) & (target != ignore_index) for k in range(logits.shape[1])], 1)
    cross_entropy = -(log_softmax(logits) * hot).sum()
    return cross_entropy / max(1, int(hot.sum()))


# --- confusion_matrix ---


@alternative("confusion_matrix")
def by_comparing_all_classes(pred, target, num_classes, ignore_index=255):
    valid = target.int() != ignore_index
    truth, found = (labels.int()[valid][:, None] == torch.arange(num_classes) for labels in (target, pred))
    if not (truth.any(1).all() and found.any(1).all()):
        raise ValueError("a label is no class")
    return truth.double().T.matmul(found.double()).round().long()


@alternative("confusion_matrix")
def by_histogram(pred, target, num_classes, ignore_index=255):
    truth, found = target.numpy().astype(np.int64).ravel(), pred.numpy().astype(np.int64).ravel()
    truth, found = truth[truth != ignore_index], found[truth != ignore_index]
    edges = np.arange(num_classes + 1) - 0.5
    counts, _, _ = np.histogram2d(truth, found, bins=(edges, edges))
    if counts.sum() < len(truth):
        raise ValueError(f"labels outside 0 to {num_classes - 1}")
    return torch.from_numpy(counts.astype(np.int64))


# --- iou_per_class ---


@alternative("iou_per_class")
def by_class(confusion):
    ious = []
    for k in range(len(confusion)):
        right = confusion[k, k].item()
        missed = confusion[k].sum().item() - right
        invented = confusion[:, k].sum().item() - right
        union = right + missed + invented
        ious.append(right / union if union else math.nan)
    return torch.tensor(ious, dtype=torch.float64)


@alternative("iou_per_class")
def from_dice(confusion):
    """IoU and Dice say the same: IoU = D / (2 - D)."""
    both = (confusion + confusion.T).to(torch.float64)
    score = both.diagonal() / both.sum(1)
    return score / (2 - score)


# --- mean_iou ---


@alternative("mean_iou")
def by_nanmean(confusion):
    return from_dice(confusion).nanmean().item()


@alternative("mean_iou")
def by_sum_and_count(confusion):
    present = [value for value in by_class(confusion).tolist() if not math.isnan(value)]
    if not present:
        return math.nan
    return math.fsum(present) / len(present)
