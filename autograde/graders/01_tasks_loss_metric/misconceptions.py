"""Wrong answers of lesson 01, as people write them. Each docstring is what a student reads: what is wrong, no more."""

import torch
import torch.nn.functional as F

from autograde.graders.candidates import misconception
from autograde.reference.tasks_loss_metric import iou_per_class

# ---------------------------------------------------------------------------------------------------------------------
# instances_to_semantic
# ---------------------------------------------------------------------------------------------------------------------


@misconception(
    "instances_to_semantic",
    breaks=("test_every_object", "test_background", "test_ignored"),
    hint=1,
    source="students' answers",
)
def background_is_always_zero(instances, class_of, ignore_index=255):
    """The background stays 0. It has a class of its own, which is written in `class_of` too."""
    semantic = torch.zeros_like(instances)
    for number in range(1, len(class_of)):
        semantic[instances == number] = class_of[number]
    semantic[instances == ignore_index] = ignore_index
    return semantic


@misconception(
    "instances_to_semantic", breaks=("test_every_object", "test_background"), hint=2, source="students' answers"
)
def shifted_by_one(instances, class_of, ignore_index=255):
    """Every class is shifted by one: object k gets what stands in `class_of` one place before its own."""
    ignored = instances == ignore_index
    semantic = class_of[torch.where(ignored, 0, instances) - 1]
    semantic[ignored] = ignore_index
    return semantic


@misconception(
    "instances_to_semantic", breaks=("test_every_object", "test_background"), hint=2, source="students' answers"
)
def first_object_at_entry_zero(instances, class_of, ignore_index=255):
    """The objects' classes are read from the first entry of `class_of` on. That entry is the background's."""
    semantic = torch.zeros_like(instances)
    for number in range(1, len(class_of)):
        semantic[instances == number] = class_of[number - 1]
    semantic[instances == ignore_index] = ignore_index
    return semantic


@misconception("instances_to_semantic", breaks="test_every_object", hint=2, source="students' answers")
def replaced_one_after_the_other(instances, class_of, ignore_index=255):
    """Numbers are replaced in the same tensor one after the other: what has become a class is taken for an object."""
    semantic = instances.clone()
    for number, its_class in enumerate(class_of):
        semantic[semantic == number] = its_class
    semantic[instances == ignore_index] = ignore_index
    return semantic


@misconception(
    "instances_to_semantic",
    breaks=("test_ignored", "test_many_objects", "test_other_ignore_index"),
    hint=1,
    source="students' answers",
)
def ignored_made_background(instances, class_of, ignore_index=255):
    """Ignored pixels become background. That says "nothing is here", where it should say "we do not know"."""
    return class_of[instances * (instances != ignore_index)]


@misconception(
    "instances_to_semantic", breaks=("test_ignored", "test_many_objects"), hint=2, source="the threads on label 255"
)
def ignored_looked_up(instances, class_of, ignore_index=255):
    """Ignored pixels are looked up like objects. They have no entry, or they get the entry of an object."""
    return class_of[instances]


@misconception("instances_to_semantic", breaks="test_other_ignore_index", hint=2, source="students' answers")
def always_255(instances, class_of, ignore_index=255):
    """255 is written into the code: the argument `ignore_index` changes nothing."""
    semantic = class_of[torch.where(instances == 255, 0, instances)]
    semantic[instances == 255] = 255
    return semantic


@misconception("instances_to_semantic", breaks="test_objects_without_class", hint=3, source="students' answers")
def negative_counts_from_the_end(instances, class_of, ignore_index=255):
    """A negative number is not refused: as an index, -1 counts from the end and gives the last object's class."""
    ignored = instances == ignore_index
    semantic = class_of[torch.where(ignored, 0, instances)]
    semantic[ignored] = ignore_index
    return semantic


# ---------------------------------------------------------------------------------------------------------------------
# boundary_mask
# ---------------------------------------------------------------------------------------------------------------------


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels"), hint=2, source="students' answers")
def one_side_only(mask):
    """Only one side of each border is marked: the pixel above or left of it does not know that it has a neighbour."""
    boundary = torch.zeros(mask.shape, dtype=torch.bool)
    boundary[..., 1:, :] |= mask[..., 1:, :] != mask[..., :-1, :]
    boundary[..., :, 1:] |= mask[..., :, 1:] != mask[..., :, :-1]
    return boundary


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels"), hint=2, source="students' answers")
def other_side_only(mask):
    """Only one side of each border is marked: the pixel below or right of it does not know that it has a neighbour."""
    boundary = torch.zeros(mask.shape, dtype=torch.bool)
    boundary[..., :-1, :] |= mask[..., 1:, :] != mask[..., :-1, :]
    boundary[..., :, :-1] |= mask[..., :, 1:] != mask[..., :, :-1]
    return boundary


@misconception("boundary_mask", breaks=("test_picture_edge", "test_patches"), hint=2, source="students' answers")
def padded_with_zeros(mask):
    """The picture was padded with zeros, and its edge became a boundary wherever the label is not 0."""
    padded = F.pad(mask, (1, 1, 1, 1))
    vertical = (padded[..., :-2, 1:-1] != mask) | (padded[..., 2:, 1:-1] != mask)
    return vertical | (padded[..., 1:-1, :-2] != mask) | (padded[..., 1:-1, 2:] != mask)


@misconception("boundary_mask", breaks=("test_picture_edge", "test_patches"), hint=2, source="students' answers")
def rolled_around(mask):
    """Opposite edges of the picture are compared: `torch.roll` brings the last row to the top."""
    boundary = torch.zeros(mask.shape, dtype=torch.bool)
    for step in (1, -1):
        boundary |= (mask != mask.roll(step, -2)) | (mask != mask.roll(step, -1))
    return boundary


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels"), hint=1, source="students' answers")
def edge_pixels_skipped(mask):
    """The outermost rows and columns are never marked. A pixel there has neighbours as well, if not four."""
    boundary, middle = torch.zeros(mask.shape, dtype=torch.bool), mask[..., 1:-1, 1:-1]
    vertical = (mask[..., :-2, 1:-1] != middle) | (mask[..., 2:, 1:-1] != middle)
    boundary[..., 1:-1, 1:-1] = vertical | (mask[..., 1:-1, :-2] != middle) | (mask[..., 1:-1, 2:] != middle)
    return boundary


@misconception("boundary_mask", breaks="test_batches", hint=3, source="students' answers")
def one_tall_picture(mask):
    """A batch is taken as one tall picture: the last row of a picture is compared with the first of the next one."""
    tall = mask.reshape(-1, mask.shape[-1])
    boundary = torch.zeros(tall.shape, dtype=torch.bool)
    down, across = tall[1:] != tall[:-1], tall[:, 1:] != tall[:, :-1]
    boundary[1:] |= down
    boundary[:-1] |= down
    boundary[:, 1:] |= across
    boundary[:, :-1] |= across
    return boundary.reshape(mask.shape)


@misconception("boundary_mask", breaks=("test_patches", "test_steps"), hint=2, source="students' answers")
def larger_instead_of_different(mask):
    """A border is found only where the label gets larger in one direction. It also runs where it gets smaller."""
    boundary = torch.zeros(mask.shape, dtype=torch.bool)
    down, across = mask[..., 1:, :] > mask[..., :-1, :], mask[..., 1:] > mask[..., :-1]
    boundary[..., 1:, :] |= down
    boundary[..., :-1, :] |= down
    boundary[..., 1:] |= across
    boundary[..., :-1] |= across
    return boundary


@misconception("boundary_mask", breaks="test_single_pixels", hint=1, source="the lecture's own 3 x 3 neighbourhood")
def diagonal_neighbours_too(mask):
    """Pixels that touch another label only at a corner are marked. A neighbour has a common side."""
    pictures = mask.reshape(-1, 1, *mask.shape[-2:]).double()
    largest = F.max_pool2d(pictures, 3, stride=1, padding=1)
    return (largest != -F.max_pool2d(-pictures, 3, stride=1, padding=1)).reshape(mask.shape)


# ---------------------------------------------------------------------------------------------------------------------
# pixel_cross_entropy
# ---------------------------------------------------------------------------------------------------------------------


def mean_over_valid(losses, target, ignore_index):
    valid = target != ignore_index
    return losses[valid].sum() / valid.sum().clamp(min=1)


def label_of(scores, target, ignore_index):
    """The entry of each pixel's label, (N, H, W)."""
    known = torch.where(target == ignore_index, 0, target)
    return scores.gather(1, known.unsqueeze(1)).squeeze(1)


@misconception(
    "pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=1, source="threads on a loss that stays high"
)
def softmax_twice(logits, target, ignore_index=255):
    """A softmax is applied twice: probabilities are treated as logits, so the loss can never come near 0."""
    scores = logits.softmax(dim=1).log_softmax(dim=1)
    return mean_over_valid(-label_of(scores, target, ignore_index), target, ignore_index)


@misconception(
    "pixel_cross_entropy",
    breaks=("test_large_logits", "test_levels", "test_gradient_of_large_logits"),
    hint=1,
    source="students' answers",
)
def exp_overflows(logits, target, ignore_index=255):
    """exp of a logit of 100 does not fit into float32 any more: the loss becomes infinite or NaN."""
    powers = logits.exp()
    probability = label_of(powers, target, ignore_index) / powers.sum(dim=1)
    return mean_over_valid(-probability.log(), target, ignore_index)


@misconception(
    "pixel_cross_entropy",
    breaks=("test_large_logits", "test_gradient_of_large_logits"),
    hint=2,
    source="students' answers",
)
def log_of_the_softmax(logits, target, ignore_index=255):
    """A probability is rounded to 0 where a logit is far below the largest one, and the log of 0 is infinite."""
    probability = label_of(logits.softmax(dim=1), target, ignore_index)
    return mean_over_valid(-probability.log(), target, ignore_index)


@misconception("pixel_cross_entropy", breaks="test_levels", hint=2, source="students' answers")
def largest_logit_of_all(logits, target, ignore_index=255):
    """The largest logit of the whole batch is subtracted. In a pixel of a lower level every exp is rounded to 0."""
    shifted = logits - logits.max()
    losses = shifted.exp().sum(dim=1).log() - label_of(shifted, target, ignore_index)
    return mean_over_valid(losses, target, ignore_index)


@misconception(
    "pixel_cross_entropy",
    breaks=("test_ignored", "test_gradient_where_ignored"),
    hint=1,
    source="segmentation-models-pytorch, issue 852",
)
def divided_by_all_pixels(logits, target, ignore_index=255):
    """The sum over valid pixels is divided by all pixels: the more is ignored, the smaller the loss gets."""
    losses = -label_of(logits.log_softmax(dim=1), target, ignore_index)
    return torch.where(target == ignore_index, 0, losses).mean()


@misconception(
    "pixel_cross_entropy",
    breaks=("test_ignored", "test_other_ignore_index", "test_nothing_valid"),
    hint=1,
    source="students' answers",
)
def ignored_counted_as_class_zero(logits, target, ignore_index=255):
    """Ignored pixels are counted as if their label were 0."""
    return -label_of(logits.log_softmax(dim=1), target, ignore_index).mean()


@misconception("pixel_cross_entropy", breaks="test_gradient", hint=3, source="students' answers")
def half_a_gradient(logits, target, ignore_index=255):
    """The value is right, the gradient is not: one of the two terms was cut off from it (`no_grad`, `detach`)."""
    with torch.no_grad():
        log_sum = logits.logsumexp(dim=1)
    return mean_over_valid(log_sum - label_of(logits, target, ignore_index), target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=3, source="students' answers")
def logarithm_of_base_two(logits, target, ignore_index=255):
    """The logarithm has another base: every loss is too large by the same factor, 1.44."""
    scores = logits.log_softmax(dim=1) / torch.log(torch.tensor(2.0))
    return mean_over_valid(-label_of(scores, target, ignore_index), target, ignore_index)


# ---------------------------------------------------------------------------------------------------------------------
# confusion_matrix
# ---------------------------------------------------------------------------------------------------------------------


def counted(truth, found, num_classes):
    cells = truth.flatten().long() * num_classes + found.flatten().long()
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


@misconception(
    "confusion_matrix",
    breaks=("test_counts", "test_ignored", "test_absent_classes"),
    hint=1,
    source="students' answers",
)
def rows_are_the_prediction(pred, target, num_classes, ignore_index=255):
    """The matrix is mirrored at its diagonal: rows are the prediction, columns the truth."""
    valid = target.long() != ignore_index
    return counted(pred[valid], target[valid], num_classes)


@misconception(
    "confusion_matrix", breaks=("test_ignored", "test_other_ignore_index"), hint=1, source="students' answers"
)
def ignored_counted_as_background(pred, target, num_classes, ignore_index=255):
    """Ignored pixels are counted in the row of class 0."""
    return counted(torch.where(target.long() == ignore_index, 0, target), pred, num_classes)


@misconception(
    "confusion_matrix", breaks=("test_ignored", "test_other_ignore_index"), hint=2, source="the threads on label 255"
)
def ignored_forgotten(pred, target, num_classes, ignore_index=255):
    """Ignored pixels are not left out: they are counted, or there is no cell for them and an error comes."""
    return counted(target, pred, num_classes)


@misconception("confusion_matrix", breaks=("test_counts", "test_bytes"), hint=2, source="students' answers")
def each_pair_once(pred, target, num_classes, ignore_index=255):
    """`matrix[target, pred] += 1` adds 1 once to each cell, however often the pair occurs."""
    matrix, valid = torch.zeros(num_classes, num_classes, dtype=torch.int64), target.long() != ignore_index
    matrix[target[valid].long(), pred[valid].long()] += 1
    return matrix


@misconception("confusion_matrix", breaks="test_absent_classes", hint=3, source="students' answers")
def as_large_as_what_occurs(pred, target, num_classes, ignore_index=255):
    """The counts end at the largest cell that occurs, and do not fill a matrix when the last classes are absent."""
    valid = target.long() != ignore_index
    cells = target[valid].long() * num_classes + pred[valid].long()
    return cells.bincount().reshape(num_classes, num_classes)


@misconception("confusion_matrix", breaks="test_bytes", hint=2, source="students' answers")
def multiplied_in_bytes(pred, target, num_classes, ignore_index=255):
    """The number of the cell is computed in the dtype of the labels. A byte begins again at 0 after 255."""
    valid = target != ignore_index
    cells = target[valid] * num_classes + pred[valid]
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


@misconception(
    "confusion_matrix", breaks="test_labels_outside", hint=3, source="fast_hist of shelhamer/fcn.berkeleyvision.org"
)
def labels_outside_dropped(pred, target, num_classes, ignore_index=255):
    """Labels that are no class are left out without a word. A mask that was coded wrongly then looks good."""
    pred, target = pred.long(), target.long()
    keep = (target != ignore_index) & (target >= 0) & (target < num_classes) & (pred >= 0) & (pred < num_classes)
    return counted(target[keep], pred[keep], num_classes)


@misconception("confusion_matrix", breaks="test_labels_outside", hint=3, source="students' answers")
def counted_in_another_row(pred, target, num_classes, ignore_index=255):
    """A prediction that is no class is not refused. It is counted, in a cell of another row."""
    valid = target.long() != ignore_index
    return counted(target[valid], pred[valid], num_classes)


# ---------------------------------------------------------------------------------------------------------------------
# iou_per_class
# ---------------------------------------------------------------------------------------------------------------------


def parts(confusion):
    """Right pixels, pixels of the truth, pixels of the prediction, per class, in float64."""
    counts = confusion.double()
    return counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)


@misconception("iou_per_class", breaks=("test_random_counts", "test_absent"), hint=1, source="students' answers")
def right_pixels_counted_twice(confusion):
    """The right pixels are counted twice in the union, once in the row and once in the column."""
    right, truth, found = parts(confusion)
    return right / (truth + found)


@misconception("iou_per_class", breaks=("test_random_counts", "test_few_pixels"), hint=1, source="students' answers")
def dice(confusion):
    """That is the Dice score, twice the intersection over the sum of both areas. It is larger than IoU."""
    right, truth, found = parts(confusion)
    return 2 * right / (truth + found)


@misconception(
    "iou_per_class", breaks=("test_random_counts", "test_only_predicted"), hint=1, source="students' answers"
)
def share_of_the_truth(confusion):
    """That is the recall: how much of the truth was found. Pixels that were claimed wrongly do not show in it."""
    right, truth, _ = parts(confusion)
    return right / truth


@misconception(
    "iou_per_class", breaks=("test_random_counts", "test_only_in_the_truth"), hint=1, source="students' answers"
)
def share_of_the_prediction(confusion):
    """That is the precision: how much of the prediction is right. Pixels that were missed do not show in it."""
    right, _, found = parts(confusion)
    return right / found


@misconception("iou_per_class", breaks=("test_absent", "test_extremes"), hint=2, source="torchmetrics, issue 2866")
def absent_is_zero(confusion):
    """A class that occurs nowhere gets 0, as if it had been missed. There was nothing to find."""
    right, truth, found = parts(confusion)
    return right / (truth + found - right).clamp(min=1)


@misconception(
    "iou_per_class",
    breaks=("test_absent", "test_extremes"),
    hint=2,
    source="segmentation-models-pytorch, zero_division",
)
def absent_is_one(confusion):
    """A class that occurs nowhere gets 1, a present for the mean: more classes in the list, a better network."""
    right, truth, found = parts(confusion)
    return (right / (truth + found - right)).nan_to_num(1.0)


@misconception("iou_per_class", breaks="test_only_predicted", hint=2, source="MONAI, compute_iou(ignore_empty=True)")
def truth_decides_who_counts(confusion):
    """A class that was predicted where there is none gets NaN: these mistakes would cost nothing."""
    right, truth, found = parts(confusion)
    return (right / (truth + found - right)).masked_fill(truth == 0, torch.nan)


# ---------------------------------------------------------------------------------------------------------------------
# mean_iou
# ---------------------------------------------------------------------------------------------------------------------


@misconception("mean_iou", breaks="test_absent", hint=1, source="torchvision's training script")
def nan_spreads(confusion):
    """One absent class is enough to make the mean NaN."""
    return iou_per_class(confusion).mean().item()


@misconception("mean_iou", breaks="test_absent", hint=1, source="the evaluation script of SegNet")
def absent_counts_zero(confusion):
    """Absent classes count with 0: the sum is divided by all classes, also those that are not there."""
    return iou_per_class(confusion).nan_to_num(0.0).mean().item()


@misconception("mean_iou", breaks="test_absent", hint=1, source="segmentation-models-pytorch, zero_division")
def absent_counts_one(confusion):
    """Absent classes count with 1: every class that does not occur makes the network look better."""
    return iou_per_class(confusion).nan_to_num(1.0).mean().item()


@misconception("mean_iou", breaks="test_only_predicted", hint=1, source="a footnote of the FCN paper")
def classes_of_the_truth_only(confusion):
    """Only classes of the truth are averaged. One that was predicted where there is none costs nothing."""
    return iou_per_class(confusion)[confusion.sum(dim=1) > 0].mean().item()


@misconception("mean_iou", breaks=("test_only_predicted", "test_missed_class"), hint=1, source="students' answers")
def zeros_left_out(confusion):
    """Classes with an IoU of 0 are left out together with those that do not occur."""
    ious = iou_per_class(confusion)
    return ious[ious > 0].mean().item()


@misconception(
    "mean_iou", breaks=("test_random_counts", "test_missed_class"), hint=2, source="papers that report micro averages"
)
def all_classes_pooled(confusion):
    """Intersections and unions of all classes are added up before dividing: large classes decide alone."""
    right = confusion.trace()
    return (right.double() / (2 * confusion.sum() - right)).item()


@misconception("mean_iou", breaks=("test_random_counts", "test_missed_class"), hint=2, source="students' answers")
def background_left_out(confusion):
    """Class 0 is left out of the mean. The background is a class like the others here."""
    return iou_per_class(confusion)[1:].nanmean().item()


@misconception(
    "mean_iou", breaks=("test_random_counts", "test_missed_class"), hint=1, source="papers that report pixel accuracy"
)
def pixel_accuracy(confusion):
    """That is the share of right pixels. A prediction of nothing but background looks excellent in it."""
    return (confusion.trace() / confusion.sum()).item()
