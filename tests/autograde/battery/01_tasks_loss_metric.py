"""Answers to the exercises of lesson 01, right and wrong ones, as students write them from what they are given."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograde.graders.candidates import alternative, wrong

# --------------------------------------------------------------------------- instances_to_semantic


@alternative("instances_to_semantic")
def right_mask_per_object(instances: Tensor, class_of: Tensor, ignore_index: int = 255) -> Tensor:
    """One mask per object, painted on a canvas that begins as ignored."""
    semantic = torch.full_like(instances, ignore_index)
    painted = instances == ignore_index
    for number, label in enumerate(class_of.tolist()):
        here = (instances == number) & (instances != ignore_index)
        semantic[here] = label
        painted |= here
    if not painted.all():
        raise ValueError("a number without a class")
    return semantic


@alternative("instances_to_semantic")
def right_pixel_by_pixel(instances: Tensor, class_of: Tensor, ignore_index: int = 255) -> Tensor:
    """Python lists and a dictionary."""
    table = dict(enumerate(class_of.tolist()))
    table[ignore_index] = ignore_index
    unknown = {n for row in instances.tolist() for n in row} - set(table)
    if unknown:
        raise ValueError(f"objects without a class: {sorted(unknown)}")
    rows = [[table[n] for n in row] for row in instances.tolist()]
    return torch.tensor(rows, dtype=torch.int64).reshape(instances.shape)


@wrong("instances_to_semantic", "replaced_one_after_the_other")
def replaced_one_after_the_other(instances, class_of, ignore_index=255):
    """Numbers are replaced in the tensor that is also searched, so a class is taken for an object later."""
    known = (instances == ignore_index) | ((instances >= 0) & (instances < len(class_of)))
    if not known.all():
        raise ValueError("unknown object")
    result = instances.clone()
    for k in range(len(class_of)):
        if k != ignore_index:
            result[result == k] = class_of[k]
    return result


@wrong("instances_to_semantic", "replaced_one_after_the_other")
def replaced_backwards(instances, class_of, ignore_index=255):
    """Replaced in place from the last object to the first; nothing is refused."""
    result = instances.clone()
    for k in reversed(range(len(class_of))):
        result = torch.where(result == k, class_of[k], result)
    result[instances == ignore_index] = ignore_index
    return result


@wrong("instances_to_semantic", "background_is_always_zero")
def background_zero(instances, class_of, ignore_index=255):
    """The background gets 0 whatever entry 0 says."""
    semantic = torch.zeros_like(instances)
    ignored = instances == ignore_index
    rest = instances[~ignored]
    if rest.numel() and (rest.min() < 0 or rest.max() >= class_of.numel()):
        raise ValueError("object number out of range")
    for k in range(1, class_of.numel()):
        semantic[instances == k] = class_of[k]
    semantic[ignored] = ignore_index
    return semantic


@wrong("instances_to_semantic", "one_entry_too_early", "background_is_always_zero")
def first_entry_is_object_one(instances, class_of, ignore_index=255):
    """Object k gets entry k - 1."""
    out = torch.full_like(instances, ignore_index)
    for i in range(len(class_of)):
        out[instances == i + 1] = class_of[i]
    out[instances == 0] = 0
    return out


@wrong("instances_to_semantic", "unknown_not_refused")
def looked_up_without_a_check(instances, class_of, ignore_index=255):
    """Negative numbers count from the end, and large ones end in torch's IndexError."""
    ignored = instances == ignore_index
    safe = instances.masked_fill(ignored, 0)
    return class_of[safe].masked_fill(ignored, ignore_index)


@wrong("instances_to_semantic")
def refused_before_ignoring(instances, class_of, ignore_index=255):
    """The range is checked while ignored pixels are still there."""
    if instances.min() < 0 or instances.max() >= len(class_of):
        raise ValueError("instance without class")
    out = class_of[instances]
    out[instances == ignore_index] = ignore_index
    return out


@wrong("instances_to_semantic", "always_255")
def always_255(instances, class_of, ignore_index=255):
    """The number 255 is written into the code."""
    ignored = instances == 255
    numbers = torch.where(ignored, torch.zeros_like(instances), instances)
    if (numbers < 0).any() or (numbers >= class_of.shape[0]).any():
        raise ValueError("unknown label")
    return torch.where(ignored, torch.full_like(instances, 255), class_of[numbers])


@wrong("instances_to_semantic", "unknown_not_refused")
def only_large_numbers_refused(instances, class_of, ignore_index=255):
    """A negative number passes and is looked up from the end."""
    valid = instances != ignore_index
    if (instances[valid] >= len(class_of)).any():
        raise ValueError("no class for this object")
    out = torch.full_like(instances, ignore_index)
    out[valid] = class_of[instances[valid]]
    return out


@wrong("instances_to_semantic", "unknown_not_refused")
def bound_one_too_high(instances, class_of, ignore_index=255):
    """The number K + 1 is let through and ends in IndexError."""
    valid = instances != ignore_index
    if ((instances < 0) | (instances > len(class_of)))[valid].any():
        raise ValueError("no class for this object")
    safe = instances * valid
    return torch.where(valid, class_of[safe], ignore_index)


@wrong("instances_to_semantic", "ignored_made_background")
def ignored_become_background(instances, class_of, ignore_index=255):
    """Ignored pixels are set to 0 for the look-up and never restored."""
    numbers = instances.clone()
    numbers[numbers == ignore_index] = 0
    if ((numbers < 0) | (numbers >= len(class_of))).any():
        raise ValueError("bad instance")
    return class_of[numbers]


@wrong("instances_to_semantic", "unknown_not_refused")
def unknown_become_ignored(instances, class_of, ignore_index=255):
    """A number without an entry is not refused but becomes ignore_index."""
    inside = (instances >= 0) & (instances < len(class_of)) & (instances != ignore_index)
    return torch.where(inside, class_of[instances.clamp(0, len(class_of) - 1)], ignore_index)


@wrong("instances_to_semantic", "smallest_of_nothing")
def maximum_of_nothing(instances, class_of, ignore_index=255):
    """A picture that is ignored as a whole crashes: the largest of no numbers."""
    keep = instances != ignore_index
    numbers = instances[keep]
    if numbers.min() < 0 or numbers.max() > len(class_of) - 1:
        raise ValueError("object without a class")
    out = torch.full_like(instances, ignore_index)
    out[keep] = class_of[numbers]
    return out


@wrong("instances_to_semantic", "ignored_looked_up")
def long_table_wins(instances, class_of, ignore_index=255):
    """Whether a pixel is ignored is asked only if the table has no entry of that number."""
    out = torch.empty_like(instances)
    for r in range(instances.shape[0]):
        for c in range(instances.shape[1]):
            n = instances[r, c].item()
            if 0 <= n < len(class_of):
                out[r, c] = class_of[n]
            elif n == ignore_index:
                out[r, c] = ignore_index
            else:
                raise ValueError(f"no class for {n}")
    return out


# --------------------------------------------------------------------------- boundary_mask


@alternative("boundary_mask")
def right_four_shifts_with_replication(mask: Tensor) -> Tensor:
    """The edge is repeated by indexing, so that nothing is compared with the outside."""
    h, w = mask.shape[-2:]
    rows, cols = torch.arange(h), torch.arange(w)
    up, down = mask[..., (rows - 1).clamp(min=0), :], mask[..., (rows + 1).clamp(max=h - 1), :]
    left, right = mask[..., (cols - 1).clamp(min=0)], mask[..., (cols + 1).clamp(max=w - 1)]
    return (mask != up) | (mask != down) | (mask != left) | (mask != right)


@alternative("boundary_mask")
def right_pixel_after_pixel(mask: Tensor) -> Tensor:
    """A loop over pixels and neighbours."""
    h, w = mask.shape[-2:]
    flat = mask.reshape(-1, h, w)
    out = torch.zeros(flat.shape, dtype=torch.bool)
    for n, one in enumerate(flat.tolist()):
        for i in range(h):
            for j in range(w):
                around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
                out[n, i, j] = any(one[a][b] != one[i][j] for a, b in around if 0 <= a < h and 0 <= b < w)
    return out.reshape(mask.shape)


@wrong("boundary_mask", "rolled_around")
def rolled(mask):
    """torch.roll compares each edge with the opposite one."""
    out = torch.zeros_like(mask, dtype=torch.bool)
    for shift in (1, -1):
        for dim in (-1, -2):
            out |= torch.roll(mask, shift, dim) != mask
    return out


@wrong("boundary_mask", "rolled_around")
def padded_with_zeros(mask):
    """The outside counts as label 0, so the picture gets a frame."""
    p = F.pad(mask, (1, 1, 1, 1))
    c = p[..., 1:-1, 1:-1]
    return (c != p[..., :-2, 1:-1]) | (c != p[..., 2:, 1:-1]) | (c != p[..., 1:-1, :-2]) | (c != p[..., 1:-1, 2:])


@wrong("boundary_mask", "rolled_around")
def padded_with_minus_one(mask):
    """The outside counts as a label of its own, so every pixel at the edge is marked."""
    h, w = mask.shape[-2:]
    p = F.pad(mask, (1, 1, 1, 1), value=-1)
    out = torch.zeros(mask.shape, dtype=torch.bool)
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        out |= p[..., dy : dy + h, dx : dx + w] != mask
    return out


@wrong("boundary_mask", "diagonal_neighbours_too", "sum_of_the_neighbours")
def eight_neighbours_of_the_lecture(mask):
    """The lecture's largest and smallest of 3 x 3: corners count as neighbours, and numbers become floats."""
    x = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    largest = F.max_pool2d(x, 3, stride=1, padding=1)
    smallest = -F.max_pool2d(-x, 3, stride=1, padding=1)
    return (largest != smallest).reshape(mask.shape)


@wrong("boundary_mask", "one_side_only")
def only_the_left_and_upper_side(mask):
    """One side of each border is marked."""
    out = torch.zeros_like(mask, dtype=torch.bool)
    out[..., :-1, :] |= mask[..., :-1, :] != mask[..., 1:, :]
    out[..., :-1] |= mask[..., :-1] != mask[..., 1:]
    return out


@wrong("boundary_mask", "one_side_only")
def only_the_lower_side(mask):
    """Each pixel is compared with those above and to the left of it only."""
    h, w = mask.shape[-2:]
    out = torch.zeros(mask.shape, dtype=torch.bool)
    for i in range(h):
        for j in range(w):
            if i > 0:
                out[..., i, j] |= mask[..., i, j] != mask[..., i - 1, j]
            if j > 0:
                out[..., i, j] |= mask[..., i, j] != mask[..., i, j - 1]
    return out


@wrong("boundary_mask", "edge_pixels_skipped")
def edge_pixels_skipped(mask):
    """Only pixels with all four neighbours are looked at."""
    out = torch.zeros(mask.shape, dtype=torch.bool)
    if mask.shape[-1] < 3 or mask.shape[-2] < 3:
        return out
    center = mask[..., 1:-1, 1:-1]
    out[..., 1:-1, 1:-1] = (
        (center != mask[..., :-2, 1:-1])
        | (center != mask[..., 2:, 1:-1])
        | (center != mask[..., 1:-1, :-2])
        | (center != mask[..., 1:-1, 2:])
    )
    return out


@wrong("boundary_mask", "one_tall_picture")
def first_two_dimensions(mask):
    """Rows and columns are taken to be dimensions 0 and 1, so a batch is compared picture with picture."""
    out = torch.zeros(mask.shape, dtype=torch.bool)
    vertical = mask[1:] != mask[:-1]
    horizontal = mask[:, 1:] != mask[:, :-1]
    out[1:] |= vertical
    out[:-1] |= vertical
    out[:, 1:] |= horizontal
    out[:, :-1] |= horizontal
    return out


@wrong("boundary_mask", "larger_instead_of_different")
def greater_instead_of_different(mask):
    """A border is seen only where the lower or right pixel has the larger label."""
    out = torch.zeros_like(mask).bool()
    rows = mask[..., 1:, :] > mask[..., :-1, :]
    cols = mask[..., :, 1:] > mask[..., :, :-1]
    out[..., 1:, :] |= rows
    out[..., :-1, :] |= rows
    out[..., :, 1:] |= cols
    out[..., :, :-1] |= cols
    return out


@wrong("boundary_mask", "one_side_only")
def positive_difference(mask):
    """Marked if a neighbour is smaller: the higher side only."""
    out = torch.zeros_like(mask, dtype=torch.bool)
    down = mask.diff(dim=-2)
    right = mask.diff(dim=-1)
    out[..., 1:, :] |= down > 0
    out[..., :-1, :] |= down < 0
    out[..., 1:] |= right > 0
    out[..., :-1] |= right < 0
    return out


@wrong("boundary_mask", "sum_of_the_neighbours")
def laplacian(mask):
    """A pixel is marked if its neighbours' sum is not four times its label, which can hold by chance."""
    x = mask.reshape(-1, 1, *mask.shape[-2:]).double()
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)[None, None]
    return (F.conv2d(p, kernel) != 0).reshape(mask.shape)


@wrong("boundary_mask", "sum_of_the_neighbours")
def through_float(mask):
    """Labels become float32, where large neighbours are the same number."""
    p = F.pad(mask.reshape(-1, 1, *mask.shape[-2:]).float(), (1, 1, 1, 1), mode="replicate")
    c = p[..., 1:-1, 1:-1]
    edge = (c != p[..., :-2, 1:-1]) | (c != p[..., 2:, 1:-1]) | (c != p[..., 1:-1, :-2]) | (c != p[..., 1:-1, 2:])
    return edge.reshape(mask.shape)


@wrong("boundary_mask", "one_side_only")
def objects_only(mask):
    """Only the object's side of a border is marked, never the background's."""
    out = torch.zeros_like(mask, dtype=torch.bool)
    rows = mask[..., 1:, :] != mask[..., :-1, :]
    cols = mask[..., 1:] != mask[..., :-1]
    out[..., 1:, :] |= rows
    out[..., :-1, :] |= rows
    out[..., 1:] |= cols
    out[..., :-1] |= cols
    return out & (mask != 0)


@wrong("boundary_mask")
def unknown_left_out(mask):
    """255 is treated as unknown: borders to it are not marked."""
    out = torch.zeros_like(mask, dtype=torch.bool)
    known = mask != 255
    rows = (mask[..., 1:, :] != mask[..., :-1, :]) & known[..., 1:, :] & known[..., :-1, :]
    cols = (mask[..., 1:] != mask[..., :-1]) & known[..., 1:] & known[..., :-1]
    out[..., 1:, :] |= rows
    out[..., :-1, :] |= rows
    out[..., 1:] |= cols
    out[..., :-1] |= cols
    return out


@wrong("boundary_mask", "one_tall_picture")
def one_tall_picture(mask):
    """A batch is laid out as one tall picture, so the last row of one meets the first of the next."""
    tall = mask.reshape(-1, mask.shape[-1])
    out = torch.zeros(tall.shape, dtype=torch.bool)
    out[1:] |= tall[1:] != tall[:-1]
    out[:-1] |= tall[1:] != tall[:-1]
    out[:, 1:] |= tall[:, 1:] != tall[:, :-1]
    out[:, :-1] |= tall[:, 1:] != tall[:, :-1]
    return out.reshape(mask.shape)


@wrong("boundary_mask", "overwritten")
def overwritten(mask):
    """Each comparison overwrites what the one before has marked."""
    out = torch.zeros(mask.shape, dtype=torch.bool)
    out[..., 1:, :] = mask[..., 1:, :] != mask[..., :-1, :]
    out[..., :-1, :] = mask[..., 1:, :] != mask[..., :-1, :]
    out[..., 1:] = mask[..., 1:] != mask[..., :-1]
    out[..., :-1] = mask[..., 1:] != mask[..., :-1]
    return out


@wrong("boundary_mask", "sum_of_the_neighbours")
def central_difference(mask):
    """Left is compared with right and above with below, never with the pixel itself."""
    p = F.pad(mask.reshape(-1, 1, *mask.shape[-2:]).double(), (1, 1, 1, 1), mode="replicate")
    gy = p[..., 2:, 1:-1] - p[..., :-2, 1:-1]
    gx = p[..., 1:-1, 2:] - p[..., 1:-1, :-2]
    return ((gy != 0) | (gx != 0)).reshape(mask.shape)


# --------------------------------------------------------------------------- pixel_cross_entropy


@alternative("pixel_cross_entropy")
def right_one_hot(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """One-hot products over the classes, the maximum without a gradient."""
    classes = torch.arange(logits.shape[1]).view(1, -1, 1, 1)
    valid = (target != ignore_index).unsqueeze(1)
    y = ((classes == target.unsqueeze(1)) & valid).float()
    z = logits - logits.detach().max(dim=1, keepdim=True).values
    log_softmax = z - z.exp().sum(dim=1, keepdim=True).log()
    return -(y * log_softmax).sum() / valid.sum().clamp(min=1)


@alternative("pixel_cross_entropy")
def right_flat_rows(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """Rows of classes, one per valid pixel, with a case of its own when none is valid."""
    c = logits.shape[1]
    rows = logits.permute(0, 2, 3, 1).reshape(-1, c)
    labels = target.flatten()
    keep = labels != ignore_index
    if not keep.any():
        return (logits * 0).sum()
    rows, labels = rows[keep], labels[keep]
    top, _ = rows.max(1, keepdim=True)
    logsumexp = top[:, 0] + torch.log(torch.exp(rows - top).sum(1))
    return (logsumexp - rows[torch.arange(len(rows)), labels]).mean()


@wrong("pixel_cross_entropy", "exp_overflows")
def as_it_stands(logits, target, ignore_index=255):
    """exp of the logits themselves overflows."""
    e = torch.exp(logits)
    p = e / e.sum(dim=1, keepdim=True)
    keep = target != ignore_index
    t = torch.where(keep, target, 0)
    picked = p.gather(1, t.unsqueeze(1)).squeeze(1)
    loss = torch.where(keep, -torch.log(picked), 0.0)
    return loss.sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "exp_overflows")
def log_of_a_rounded_zero(logits, target, ignore_index=255):
    """The maximum is subtracted, but the probability itself is rounded to 0 before its log is taken."""
    keep = target != ignore_index
    p = logits.softmax(dim=1).permute(0, 2, 3, 1)[keep]
    if len(p) == 0:
        return logits.sum() * 0.0
    return -p[torch.arange(len(p)), target[keep]].log().mean()


@wrong("pixel_cross_entropy", "exp_overflows")
def epsilon(logits, target, ignore_index=255):
    """A small number is added before the log: wrong for sure mistakes, and no gradient there."""
    keep = target != ignore_index
    t = target.clone()
    t[~keep] = 0
    p = torch.softmax(logits, dim=1)
    log_p = torch.log(p + 1e-8).gather(1, t[:, None])[:, 0]
    return -(log_p * keep).sum() / max(keep.sum().item(), 1)


@wrong("pixel_cross_entropy", "exp_overflows")
def clamped(logits, target, ignore_index=255):
    """Probabilities are clamped away from 0."""
    z = logits - logits.amax(1, keepdim=True)
    p = (z.exp() / z.exp().sum(1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    valid = (target != ignore_index).float()
    labels = (target * (target != ignore_index)).unsqueeze(1)
    nll = -p.log().gather(1, labels).squeeze(1) * valid
    return nll.sum() / valid.sum().clamp(min=1.0)


@wrong("pixel_cross_entropy", "largest_logit_of_all")
def one_maximum_for_all(logits, target, ignore_index=255):
    """The largest logit of the whole batch is subtracted, so pixels at a low level underflow."""
    z = logits - logits.max()
    keep = target != ignore_index
    safe = torch.where(keep, target, torch.zeros_like(target))
    lse = z.exp().sum(1).log()
    each = (lse - z.gather(1, safe[:, None]).squeeze(1)).masked_fill(~keep, 0)
    return each.sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "largest_logit_of_all")
def one_maximum_per_picture(logits, target, ignore_index=255):
    """One maximum for each picture instead of one for each pixel."""
    n = len(logits)
    z = logits - logits.reshape(n, -1).max(1).values.view(n, 1, 1, 1)
    keep = target != ignore_index
    if keep.sum() == 0:
        return (0 * logits).sum()
    index = target.masked_fill(~keep, 0).unsqueeze(1)
    log_p = z - torch.log(torch.sum(torch.exp(z), dim=1, keepdim=True))
    return -log_p.gather(1, index)[:, 0][keep].mean()


@wrong("pixel_cross_entropy", "divided_by_all_pixels")
def divided_by_all_pixels(logits, target, ignore_index=255):
    """The sum over valid pixels is divided by the number of all pixels."""
    keep = target != ignore_index
    z = logits - logits.amax(dim=1, keepdim=True)
    logp = z - z.exp().sum(1, keepdim=True).log()
    each = -logp.gather(1, torch.where(keep, target, 0)[:, None])[:, 0]
    return torch.where(keep, each, 0).mean()


@wrong("pixel_cross_entropy", "summed")
def summed(logits, target, ignore_index=255):
    """The sum over valid pixels is returned, not the mean."""
    total = (logits * 0).sum()
    m = logits.max(dim=1, keepdim=True)[0]
    lse = (m + (logits - m).exp().sum(dim=1, keepdim=True).log()).squeeze(1)
    for k in range(logits.shape[1]):
        here = (target == k) & (target != ignore_index)
        total = total + (lse - logits[:, k])[here].sum()
    return total


@wrong("pixel_cross_entropy", "reshaped_only")
def reshaped_without_permute(logits, target, ignore_index=255):
    """reshape(-1, C) without moving the classes to the end mixes pixels and classes."""
    rows = logits.reshape(-1, logits.shape[1])
    labels = target.reshape(-1)
    keep = labels != ignore_index
    rows, labels = rows[keep], labels[keep]
    rows = rows - rows.max(dim=1, keepdim=True).values
    nll = rows.exp().sum(1).log() - rows.gather(1, labels[:, None])[:, 0]
    return nll.sum() / max(1, len(labels))


@wrong("pixel_cross_entropy", "reshaped_only", "nothing_valid_is_nan")
def viewed_without_permute_nothing_valid(logits, target, ignore_index=255):
    """Pixels are mixed by a view, and the mean of nothing is NaN."""
    rows = logits.contiguous().view(-1, logits.size(1))
    labels = target.flatten()
    rows, labels = rows[labels != ignore_index], labels[labels != ignore_index]
    rows = rows - rows.amax(1, keepdim=True)
    log_p = rows - rows.exp().sum(1, keepdim=True).log()
    return -log_p[range(len(labels)), labels].mean()


@wrong("pixel_cross_entropy", "nothing_valid_is_nan")
def mean_of_nothing(logits, target, ignore_index=255):
    """Without a valid pixel the mean of nothing is NaN."""
    rows = logits.permute(0, 2, 3, 1)
    keep = target != ignore_index
    rows, labels = rows[keep], target[keep]
    shifted = rows - rows.max(dim=-1, keepdim=True).values
    return (shifted.exp().sum(-1).log() - shifted.gather(1, labels.unsqueeze(1)).squeeze(1)).mean()


@wrong("pixel_cross_entropy", "nothing_valid_is_nan")
def divided_by_zero(logits, target, ignore_index=255):
    """0 / 0 when nothing is valid."""
    keep = target != ignore_index
    z = logits - logits.amax(1, keepdim=True)
    per_pixel = z.exp().sum(1).log() - z.gather(1, (target * keep)[:, None])[:, 0]
    return (per_pixel * keep).sum() / keep.sum()


@wrong("pixel_cross_entropy", "nothing_valid_is_nan")
def a_zero_of_its_own(logits, target, ignore_index=255):
    """Without a valid pixel a new 0 is returned that does not depend on the logits."""
    keep = target != ignore_index
    if not keep.any():
        return torch.tensor(0.0)
    z = logits - logits.amax(1, keepdim=True)
    per_pixel = z.exp().sum(1).log() - z.gather(1, (target * keep)[:, None])[:, 0]
    return (per_pixel * keep).sum() / keep.sum()


@wrong("pixel_cross_entropy", "nothing_valid_is_nan")
def a_zero_that_asks_for_gradients(logits, target, ignore_index=255):
    """Without a valid pixel a new leaf is returned: backward runs, but nothing reaches the logits."""
    valid = target.ne(ignore_index)
    count = valid.sum()
    if count == 0:
        return torch.zeros((), requires_grad=True)
    peak = logits.amax(dim=1)
    lse = peak + (logits - peak[:, None]).exp().sum(dim=1).log()
    own = torch.gather(logits, 1, target.masked_fill(~valid, 0)[:, None]).squeeze(1)
    return (lse - own)[valid].sum() / count


@wrong("pixel_cross_entropy", "half_a_gradient")
def normaliser_without_gradient(logits, target, ignore_index=255):
    """The log of the sum of exponentials is computed under no_grad, so half of the gradient is missing."""
    keep = target != ignore_index
    with torch.no_grad():
        top = logits.amax(1, keepdim=True)
        lse = top[:, 0] + (logits - top).exp().sum(1).log()
    own = logits.gather(1, torch.where(keep, target, 0)[:, None])[:, 0]
    return torch.where(keep, lse - own, 0.0).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "half_a_gradient")
def wrapped_again(logits, target, ignore_index=255):
    """The loss is added up as a Python number and made a tensor again: no gradient."""
    total, count = 0.0, 0
    n, _, h, w = logits.shape
    for i in range(n):
        for y in range(h):
            for x in range(w):
                t = target[i, y, x].item()
                if t == ignore_index:
                    continue
                z = logits[i, :, y, x] - logits[i, :, y, x].max()
                total += (z.exp().sum().log() - z[t]).item()
                count += 1
    return torch.tensor(total / max(count, 1), requires_grad=True)


@wrong("pixel_cross_entropy", "softmax_twice")
def minus_forgotten(logits, target, ignore_index=255):
    """The sign is wrong: the mean of log p."""
    keep = target != ignore_index
    z = logits - logits.amax(1, keepdim=True)
    log_p = z - z.exp().sum(1, keepdim=True).log()
    picked = log_p.gather(1, target.masked_fill(~keep, 0).unsqueeze(1)).squeeze(1)
    return (picked * keep).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "summed")
def mean_of_picture_means(logits, target, ignore_index=255):
    """Each picture is averaged by itself, then the pictures."""
    losses = []
    for z, t in zip(logits, target, strict=True):
        keep = t != ignore_index
        z = z - z.amax(0, keepdim=True)
        each = z.exp().sum(0).log() - z.gather(0, torch.where(keep, t, 0)[None])[0]
        losses.append((each * keep).sum() / keep.sum().clamp(min=1))
    return torch.stack(losses).mean()


@wrong("pixel_cross_entropy", "divided_by_all_pixels")
def ignores_255(logits, target, ignore_index=255):
    """255 is written into the code; another ignore_index counts as a label."""
    keep = target != 255
    z = logits - logits.amax(1, keepdim=True)
    each = z.exp().sum(1).log() - z.gather(1, torch.where(keep, target, 0)[:, None])[:, 0]
    return torch.where(keep, each, 0.0).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "divided_by_all_pixels")
def whatever_is_no_class(logits, target, ignore_index=255):
    """Pixels are ignored if their label is no class, so an ignore_index among the classes counts."""
    c = logits.shape[1]
    keep = (target >= 0) & (target < c)
    z = logits - logits.amax(1, keepdim=True)
    each = z.exp().sum(1).log() - z.gather(1, target.clamp(0, c - 1)[:, None])[:, 0]
    return torch.where(keep, each, 0.0).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "divided_by_all_pixels")
def ignored_count_as_class_zero(logits, target, ignore_index=255):
    """Ignored pixels become class 0 and stay in the mean."""
    labels = target.masked_fill(target == ignore_index, 0)
    z = logits - logits.amax(1, keepdim=True)
    each = z.exp().sum(1).log() - z.gather(1, labels[:, None])[:, 0]
    return each.mean()


@wrong("pixel_cross_entropy", "divided_by_all_pixels")
def ignored_cost_log_c(logits, target, ignore_index=255):
    """Logits of ignored pixels are set to 0, so each of them still costs log C in the sum."""
    keep = target != ignore_index
    logits = logits * keep[:, None]
    labels = target * keep
    top = logits.amax(1, keepdim=True)
    z = logits - top
    each = z.exp().sum(1).log() - z.gather(1, labels[:, None]).squeeze(1)
    return each.sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "softmax_twice")
def softmax_twice(logits, target, ignore_index=255):
    """The softmax is applied to probabilities again."""
    p = logits.softmax(1)
    keep = target != ignore_index
    each = p.exp().sum(1).log() - p.gather(1, torch.where(keep, target, 0)[:, None])[:, 0]
    return torch.where(keep, each, 0.0).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "softmax_twice")
def in_bits(logits, target, ignore_index=255):
    """log2 in place of the natural logarithm."""
    keep = target != ignore_index
    z = logits - logits.amax(1, keepdim=True)
    own = z.gather(1, torch.where(keep, target, 0)[:, None])[:, 0]
    each = torch.log2(z.exp().sum(1)) - own / math.log(2)
    return torch.where(keep, each, 0.0).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "summed")
def mean_over_classes_too(logits, target, ignore_index=255):
    """The one-hot product is averaged over the classes as well: too small by C."""
    keep = (target != ignore_index)[:, None]
    labels = target.clone()
    labels[target == ignore_index] = 0
    y = F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2)
    z = logits - logits.amax(1, keepdim=True)
    log_p = z - z.exp().sum(1, keepdim=True).log()
    picked = -(y * log_p)[keep.expand_as(log_p)]
    return picked.mean() if picked.numel() else logits.sum() * 0


@wrong("pixel_cross_entropy", "reshaped_only")
def softmax_over_columns(logits, target, ignore_index=255):
    """The softmax runs over the last dimension, the columns, not over the classes."""
    keep = target != ignore_index
    z = logits - logits.amax(-1, keepdim=True)
    log_p = z - z.exp().sum(-1, keepdim=True).log()
    each = -log_p.gather(1, torch.where(keep, target, 0)[:, None])[:, 0]
    return torch.where(keep, each, 0.0).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy")
def binary_for_every_class(logits, target, ignore_index=255):
    """The other classes' log(1 - p) is added, as in binary cross entropy."""
    keep = target != ignore_index
    y = torch.stack([(target == k) for k in range(logits.shape[1])], dim=1).float()
    p = torch.softmax(logits, 1).clamp(1e-7, 1 - 1e-7)
    each = -(y * p.log() + (1 - y) * (1 - p).log()).sum(1)
    return (each * keep).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "reshaped_only")
def height_and_width_swapped(logits, target, ignore_index=255):
    """transpose(1, 3) swaps height and width, so pixels meet other pixels' labels."""
    rows = logits.transpose(1, 3).reshape(-1, logits.shape[1])
    labels = target.flatten()
    keep = labels != ignore_index
    if not keep.any():
        return 0 * logits.sum()
    rows, labels = rows[keep], labels[keep]
    rows = rows - rows.amax(1, keepdim=True)
    return (rows.exp().sum(1).log() - rows[torch.arange(len(labels)), labels]).mean()


@wrong("pixel_cross_entropy")
def one_more_than_valid(logits, target, ignore_index=255):
    """1 is added to the number of valid pixels against the division by 0."""
    keep = target != ignore_index
    z = logits - logits.amax(1, keepdim=True)
    each = z.exp().sum(1).log() - z.gather(1, torch.where(keep, target, 0)[:, None])[:, 0]
    return torch.where(keep, each, 0.0).sum() / (keep.sum() + 1)


@wrong("pixel_cross_entropy", "softmax_twice")
def maximum_forgotten_in_the_label(logits, target, ignore_index=255):
    """The maximum is subtracted in the sum of exponentials but not from the label's logit."""
    keep = target != ignore_index
    top = logits.max(1, keepdim=True).values
    lse = (logits - top).exp().sum(1).log()
    own = logits.gather(1, target.masked_fill(~keep, 0)[:, None])[:, 0]
    return ((lse - own) * keep).sum() / keep.sum().clamp(min=1)


@wrong("pixel_cross_entropy", "softmax_twice")
def probability_without_log(logits, target, ignore_index=255):
    """1 - p of the label is averaged; no logarithm."""
    keep = target != ignore_index
    p = logits.softmax(1).gather(1, target.masked_fill(~keep, 0)[:, None])[:, 0]
    return ((1 - p) * keep).sum() / keep.sum().clamp(min=1)


# --------------------------------------------------------------------------- confusion_matrix


@alternative("confusion_matrix")
def right_cells_one_by_one(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """Each cell counts its own pixels."""
    p, t = pred.to(torch.int64).flatten(), target.to(torch.int64).flatten()
    p, t = p[t != ignore_index], t[t != ignore_index]
    for x in (p, t):
        if ((x < 0) | (x >= num_classes)).any():
            raise ValueError("not a class")
    rows = [[((t == i) & (p == j)).sum() for j in range(num_classes)] for i in range(num_classes)]
    return torch.tensor(rows, dtype=torch.int64).reshape(num_classes, num_classes)


@alternative("confusion_matrix")
def right_python_loop(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """A loop over Python numbers."""
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for p, t in zip(pred.flatten().tolist(), target.flatten().tolist(), strict=True):
        if t == ignore_index:
            continue
        if p not in range(num_classes) or t not in range(num_classes):
            raise ValueError(f"{p} or {t} is no class")
        matrix[t, p] += 1
    return matrix


@alternative("confusion_matrix")
def right_numpy(pred: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255) -> Tensor:
    """numpy's unbuffered addition."""
    p, t = pred.numpy().astype(np.int64).ravel(), target.numpy().astype(np.int64).ravel()
    keep = t != ignore_index
    p, t = p[keep], t[keep]
    if p.size and (min(p.min(), t.min()) < 0 or max(p.max(), t.max()) >= num_classes):
        raise ValueError("label out of range")
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(counts, (t, p), 1)
    return torch.from_numpy(counts)


@wrong("confusion_matrix", "rows_are_the_prediction")
def rows_are_predictions(pred, target, num_classes, ignore_index=255):
    """Truth and prediction are swapped."""
    pred, target = pred.long(), target.long()
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if ((p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)).any():
        raise ValueError("label outside the classes")
    counts = torch.bincount(num_classes * p + t, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


@wrong("confusion_matrix", "rows_are_the_prediction", "labels_outside_dropped")
def swapped_and_unchecked(pred, target, num_classes, ignore_index=255):
    """Truth and prediction are swapped, and nothing is refused."""
    m = torch.zeros(num_classes, num_classes, dtype=torch.long)
    for p, t in zip(pred.flatten().tolist(), target.flatten().tolist(), strict=True):
        if t != ignore_index:
            m[p][t] += 1
    return m


@wrong("confusion_matrix", "as_large_as_what_occurs")
def no_minlength(pred, target, num_classes, ignore_index=255):
    """Cells at the end are missing if nothing fell into them."""
    pred, target = pred.long(), target.long()
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if ((p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)).any():
        raise ValueError("label outside the classes")
    return torch.bincount(t * num_classes + p).reshape(num_classes, num_classes)


@wrong("confusion_matrix", "multiplied_in_bytes")
def computed_in_bytes(pred, target, num_classes, ignore_index=255):
    """The cell's number is computed in bytes and does not fit."""
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if p.numel() and (p.min() < 0 or t.min() < 0 or p.max() >= num_classes or t.max() >= num_classes):
        raise ValueError("label outside the classes")
    cell = t * num_classes + p
    return torch.bincount(cell.flatten(), minlength=num_classes**2)[: num_classes**2].view(num_classes, num_classes)


@wrong("confusion_matrix", "multiplied_in_bytes")
def compared_in_bytes(pred, target, num_classes, ignore_index=255):
    """Ignored pixels are found while the truth is still in bytes, where -1 and 255 are the same."""
    keep = target != ignore_index
    p, t = pred[keep].long(), target[keep].long()
    if ((p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)).any():
        raise ValueError("label outside the classes")
    return torch.bincount(t * num_classes + p, minlength=num_classes**2).view(num_classes, num_classes)


@wrong("confusion_matrix", "labels_outside_dropped")
def nothing_refused(pred, target, num_classes, ignore_index=255):
    """A label outside the classes is counted in another cell."""
    pred, target = pred.long().flatten(), target.long().flatten()
    keep = target != ignore_index
    cells = target[keep] * num_classes + pred[keep]
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


@wrong("confusion_matrix", "labels_outside_dropped")
def outside_left_out(pred, target, num_classes, ignore_index=255):
    """Labels outside the classes are left out instead of refused."""
    pred, target = pred.long(), target.long()
    keep = (target != ignore_index) & (target >= 0) & (target < num_classes) & (pred >= 0) & (pred < num_classes)
    return torch.bincount(num_classes * target[keep] + pred[keep], minlength=num_classes**2).reshape(
        num_classes, num_classes
    )


@wrong("confusion_matrix", "labels_outside_dropped")
def only_truth_checked(pred, target, num_classes, ignore_index=255):
    """Only the truth's labels are checked."""
    pred, target = pred.long(), target.long()
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if (t < 0).any() or (t >= num_classes).any():
        raise ValueError("label outside the classes")
    return torch.bincount(t * num_classes + p, minlength=num_classes**2)[: num_classes**2].view(num_classes, -1)


@wrong("confusion_matrix")
def checked_before_ignoring(pred, target, num_classes, ignore_index=255):
    """Predictions at ignored pixels are refused as well."""
    pred, target = pred.long(), target.long()
    if pred.numel() and (pred.min() < 0 or pred.max() >= num_classes):
        raise ValueError("prediction outside the classes")
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if ((t < 0) | (t >= num_classes)).any():
        raise ValueError("target outside the classes")
    return torch.bincount(t * num_classes + p, minlength=num_classes**2).view(num_classes, num_classes)


@wrong("confusion_matrix", "each_pair_once")
def added_once_per_cell(pred, target, num_classes, ignore_index=255):
    """Indexing with tensors adds once per cell, however many pixels fall into it."""
    keep = target.long() != ignore_index
    p, t = pred.long()[keep], target.long()[keep]
    if torch.cat([p, t]).numel() and (torch.cat([p, t]).min() < 0 or torch.cat([p, t]).max() >= num_classes):
        raise ValueError("label outside the classes")
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    matrix[t, p] += 1
    return matrix


@wrong("confusion_matrix", "ignored_in_the_row_of_background")
def predictions_of_255_ignored(pred, target, num_classes, ignore_index=255):
    """Pixels are left out if the prediction is ignore_index, too."""
    pred, target = pred.long(), target.long()
    keep = (target != ignore_index) & (pred != ignore_index)
    p, t = pred[keep], target[keep]
    if ((p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)).any():
        raise ValueError("label outside the classes")
    return torch.bincount(t * num_classes + p, minlength=num_classes**2).view(num_classes, num_classes)


@wrong("confusion_matrix", "ignored_in_the_row_of_background")
def ignored_is_always_255(pred, target, num_classes, ignore_index=255):
    """255 is written into the code."""
    pred, target = pred.long(), target.long()
    mask = target != 255
    p, t = pred[mask], target[mask]
    if ((p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)).any():
        raise ValueError("label outside the classes")
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    return matrix.index_put((t, p), torch.ones_like(t), accumulate=True)


@wrong("confusion_matrix", "labels_outside_dropped")
def bound_too_wide(pred, target, num_classes, ignore_index=255):
    """The label num_classes itself passes."""
    pred, target = pred.long(), target.long()
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if ((p < 0) | (p > num_classes) | (t < 0) | (t > num_classes)).any():
        raise ValueError("label outside the classes")
    counts = torch.bincount(t * num_classes + p, minlength=num_classes**2)
    return counts[: num_classes**2].view(num_classes, num_classes)


@wrong("confusion_matrix", "smallest_label_of_nothing")
def largest_of_nothing(pred, target, num_classes, ignore_index=255):
    """Without a valid pixel min and max fail."""
    pred, target = pred.long(), target.long()
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if p.min() < 0 or t.min() < 0 or p.max() >= num_classes or t.max() >= num_classes:
        raise ValueError("label outside the classes")
    return torch.bincount(t * num_classes + p, minlength=num_classes**2).view(num_classes, num_classes)


@wrong("confusion_matrix", "ignored_in_the_row_of_background")
def ignored_counted_as_background(pred, target, num_classes, ignore_index=255):
    """Ignored pixels become class 0 and are counted."""
    pred, target = pred.long().clone(), target.long().clone()
    pred[target == ignore_index] = 0
    target[target == ignore_index] = 0
    if ((pred < 0) | (pred >= num_classes) | (target < 0) | (target >= num_classes)).any():
        raise ValueError("label outside the classes")
    cells = (target * num_classes + pred).flatten()
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


@wrong("confusion_matrix", "counts_are_floats")
def float_histogram(pred, target, num_classes, ignore_index=255):
    """Counts are floats."""
    pred, target = pred.long(), target.long()
    keep = target != ignore_index
    p, t = pred[keep], target[keep]
    if ((p < 0) | (p >= num_classes) | (t < 0) | (t >= num_classes)).any():
        raise ValueError("label outside the classes")
    return F.one_hot(t, num_classes).float().T @ F.one_hot(p, num_classes).float()


# --------------------------------------------------------------------------- iou_per_class


@alternative("iou_per_class")
def right_class_by_class(confusion: Tensor) -> Tensor:
    """A loop over classes with Python numbers."""
    m = confusion.tolist()
    values = []
    for k in range(len(m)):
        tp = m[k][k]
        fn = sum(m[k]) - tp
        fp = sum(row[k] for row in m) - tp
        union = tp + fp + fn
        values.append(tp / union if union else math.nan)
    return torch.tensor(values, dtype=torch.float64)


@alternative("iou_per_class")
def right_guarded_division(confusion: Tensor) -> Tensor:
    """NaN everywhere, then filled in where there is a union."""
    c = confusion.to(torch.float64)
    intersection = torch.diag(c)
    union = c.sum(0) + c.sum(1) - intersection
    out = torch.full_like(intersection, float("nan"))
    seen = union > 0
    out[seen] = intersection[seen] / union[seen]
    return out


@wrong("iou_per_class", "right_pixels_counted_twice")
def counted_twice(confusion):
    """The right pixels are in the union twice."""
    c = confusion.double()
    return c.diagonal() / (c.sum(0) + c.sum(1))


@wrong("iou_per_class", "right_pixels_counted_twice", "absent_is_zero")
def counted_twice_in_a_loop(confusion):
    """The right pixels are in the union twice, and an absent class gets 0."""
    out = torch.zeros(len(confusion), dtype=torch.float64)
    for k in range(len(confusion)):
        union = confusion[k].sum().item() + confusion[:, k].sum().item()
        if union > 0:
            out[k] = confusion[k, k].item() / union
    return out


@wrong("iou_per_class", "right_pixels_counted_twice")
def never_subtracted_but_excluded(confusion):
    """Only wrong pixels are in the union."""
    c = confusion.double()
    tp = c.diag()
    fp = c.sum(0) - tp
    fn = c.sum(1) - tp
    return tp / (fp + fn)


@wrong("iou_per_class", "dice")
def dice(confusion):
    """Dice, 2 I / (row + column)."""
    c = confusion.double()
    return 2 * torch.diagonal(c) / (c.sum(0) + c.sum(1))


@wrong("iou_per_class", "dice")
def dice_with_guard(confusion):
    """Dice, with NaN put in by hand for classes that occur nowhere."""
    tp = confusion.diagonal().double()
    size = confusion.sum(dim=0).double() + confusion.sum(dim=1).double()
    return torch.where(size > 0, 2 * tp / size.clamp(min=1), torch.nan)


@wrong("iou_per_class", "share_of_the_truth")
def recall(confusion):
    """Divided by the pixels of the truth: recall."""
    return confusion.diag().double() / confusion.sum(dim=1)


@wrong("iou_per_class", "share_of_the_truth")
def precision(confusion):
    """Divided by the predicted pixels: precision."""
    predicted = confusion.sum(dim=0).double()
    return confusion.diagonal() / predicted


@wrong("iou_per_class", "absent_is_zero")
def absent_is_zero(confusion):
    """An absent class gets 0."""
    c = confusion.double()
    tp = c.diagonal()
    union = c.sum(0) + c.sum(1) - tp
    return tp / union.clamp(min=1)


@wrong("iou_per_class", "absent_is_zero")
def nan_replaced(confusion):
    """NaN is replaced by 0."""
    tp = torch.diag(confusion).double()
    union = confusion.sum(0) + confusion.sum(1) - torch.diag(confusion)
    return torch.nan_to_num(tp / union)


@wrong("iou_per_class", "absent_is_zero")
def absent_is_perfect(confusion):
    """An absent class gets 1."""
    c = confusion.double()
    union = c.sum(0) + c.sum(1) - c.diagonal()
    return torch.where(union == 0, 1.0, c.diagonal() / union)


@wrong("iou_per_class", "absent_is_zero")
def smoothed(confusion):
    """A small number is added to the denominator."""
    c = confusion.double()
    tp = c.diagonal()
    return tp / (c.sum(0) + c.sum(1) - tp + 1e-6)


@wrong("iou_per_class", "absent_is_zero")
def smoothed_on_both_sides(confusion):
    """1 is added above and below, as in a loss."""
    c = confusion.double()
    tp = c.diagonal()
    return (tp + 1.0) / (c.sum(0) + c.sum(1) - tp + 1.0)


@wrong("iou_per_class", "divided_in_float32")
def single_precision(confusion):
    """float32."""
    tp = confusion.diagonal()
    return tp / (confusion.sum(0) + confusion.sum(1) - tp)


@wrong("iou_per_class", "divided_in_float32")
def converted_too_late(confusion):
    """Divided in float32, converted to float64 afterwards."""
    tp = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - tp
    return (tp / union).double()


@wrong("iou_per_class", "truth_decides_who_counts")
def only_predicted_is_nan(confusion):
    """A class that does not occur in the truth gets NaN even if it was predicted."""
    c = confusion.double()
    tp = c.diagonal()
    iou = tp / (c.sum(0) + c.sum(1) - tp)
    iou[c.sum(1) == 0] = torch.nan
    return iou


@wrong("iou_per_class", "truth_decides_who_counts")
def missed_is_nan(confusion):
    """A class without a right pixel gets NaN."""
    c = confusion.double()
    tp = c.diagonal()
    union = c.sum(0) + c.sum(1) - tp
    return torch.where(tp > 0, tp / union, float("nan"))


@wrong("iou_per_class", "share_of_all_pixels")
def share_of_all_pixels(confusion):
    """Divided by the number of all pixels."""
    return confusion.diagonal().double() / confusion.sum()


@wrong("iou_per_class", "share_of_all_pixels")
def pixel_accuracy_of_the_class(confusion):
    """(TP + TN) / all: binary accuracy of each class."""
    c = confusion.double()
    tp, total = c.diagonal(), c.sum()
    union = c.sum(0) + c.sum(1) - tp
    return (tp + total - union) / total


# --------------------------------------------------------------------------- mean_iou


@alternative("mean_iou")
def right_list(confusion: Tensor) -> float:
    """Python numbers, one class after the other."""
    rows = confusion.tolist()
    found = []
    for k, row in enumerate(rows):
        union = sum(row) + sum(other[k] for other in rows) - row[k]
        if union > 0:
            found.append(row[k] / union)
    return sum(found) / len(found) if found else float("nan")


@alternative("mean_iou")
def right_chosen(confusion: Tensor) -> float:
    """The classes that occur are chosen by their union."""
    c = confusion.double()
    tp = c.diag()
    union = c.sum(0) + c.sum(1) - tp
    return (tp[union > 0] / union[union > 0]).mean().item()


def _iou(confusion):
    c = confusion.double()
    return c.diagonal() / (c.sum(0) + c.sum(1) - c.diagonal())


@wrong("mean_iou", "nan_spreads")
def plain_mean(confusion):
    """NaN as soon as a class is absent."""
    return _iou(confusion).mean().item()


@wrong("mean_iou", "absent_counts_zero")
def absent_counts_zero(confusion):
    """An absent class counts with 0."""
    return torch.nan_to_num(_iou(confusion), nan=0.0).mean().item()


@wrong("mean_iou", "absent_counts_zero")
def absent_counts_zero_guarded(confusion):
    """An absent class counts with 0; an empty matrix gives NaN."""
    if confusion.sum() == 0:
        return math.nan
    c = confusion.double()
    union = c.sum(0) + c.sum(1) - c.diagonal()
    return float((c.diagonal() / union.clamp(min=1)).mean())


@wrong("mean_iou", "absent_counts_zero")
def sum_over_all_classes(confusion):
    """The sum skips NaN, the number of classes does not."""
    return (_iou(confusion).nansum() / confusion.shape[0]).item()


@wrong("mean_iou", "absent_counts_zero")
def absent_counts_one(confusion):
    """An absent class counts with 1."""
    iou = _iou(confusion)
    iou[iou.isnan()] = 1.0
    return iou.mean().item()


@wrong("mean_iou", "classes_of_the_truth_only")
def zeros_left_out(confusion):
    """Classes with IoU 0 are left out like absent ones."""
    values = [v for v in _iou(confusion).tolist() if v > 0]
    return sum(values) / len(values) if values else float("nan")


@wrong("mean_iou", "classes_of_the_truth_only")
def zeros_left_out_by_truth(confusion):
    """Classes that were only predicted are left out."""
    c = confusion.double()
    there = c.sum(1) > 0
    return _iou(confusion)[there].mean().item()


@wrong("mean_iou", "all_classes_pooled")
def one_pot(confusion):
    """Sums over all classes are divided."""
    c = confusion.double()
    tp = c.diagonal()
    union = c.sum(0) + c.sum(1) - tp
    return (tp.sum() / union.sum()).item()


@wrong("mean_iou", "all_classes_pooled")
def weighted_by_frequency(confusion):
    """Each class counts by its share of the pixels."""
    c = confusion.double()
    share = c.sum(1) / c.sum()
    return (share * _iou(confusion)).nansum().item()


@wrong("mean_iou", "nothing_is_zero")
def nothing_is_zero(confusion):
    """0 if no class occurs."""
    values = _iou(confusion)
    values = values[~values.isnan()]
    return values.mean().item() if len(values) else 0.0


@wrong("mean_iou", "nothing_is_zero")
def nothing_fails(confusion):
    """ZeroDivisionError if no class occurs."""
    values = [v for v in _iou(confusion).tolist() if v == v]
    return sum(values) / len(values)


@wrong("mean_iou", "background_left_out")
def without_background(confusion):
    """The background is left out."""
    return torch.nanmean(_iou(confusion)[1:]).item()


@wrong("mean_iou", "all_classes_pooled")
def pixel_accuracy(confusion):
    """The share of right pixels."""
    c = confusion.double()
    return (c.trace() / c.sum()).item()


@wrong("mean_iou", "mean_of_the_recalls")
def mean_recall(confusion):
    """The mean of the classes' recall."""
    c = confusion.double()
    return (c.diagonal() / c.sum(1)).nanmean().item()


@wrong("mean_iou", "mean_of_the_recalls")
def mean_dice(confusion):
    """The mean of the classes' Dice."""
    c = confusion.double()
    return (2 * c.diagonal() / (c.sum(0) + c.sum(1))).nanmean().item()


@wrong("mean_iou", "mean_of_the_recalls")
def union_twice(confusion):
    """The right pixels are in the union twice."""
    c = confusion.double()
    return (c.diagonal() / (c.sum(0) + c.sum(1))).nanmean().item()


@wrong("mean_iou", "still_a_tensor")
def still_a_tensor(confusion):
    """A tensor is returned instead of a Python float."""
    return _iou(confusion).nanmean()


@wrong("mean_iou")
def rounded(confusion):
    """Rounded to four digits."""
    return round(_iou(confusion).nanmean().item(), 4)
