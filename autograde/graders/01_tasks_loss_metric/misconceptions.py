"""Wrong answers of lesson 01, as people write them. Each docstring is what a student reads: what is wrong, no more."""

import math

import torch
import torch.nn.functional as F

from autograde.graders.candidates import misconception, variant, ways
from autograde.reference.tasks_loss_metric import iou_per_class

STUDENTS = "students' answers"


# ---------------------------------------------------------------------------------------------------------------------
# instances_to_semantic
# ---------------------------------------------------------------------------------------------------------------------


def painted(canvas, numbers, instances, class_of, ignore_index):
    """The canvas, changed: the class of each of these numbers on its pixels, then the ignored ones."""
    for number in numbers:
        canvas[instances == number] = class_of[number]
    canvas[instances == ignore_index] = ignore_index
    return canvas


def replaced(numbers, instances, class_of, ignore_index):
    """What has become a class is taken for an object later."""
    semantic = instances.clone()
    for number in numbers:
        semantic[semantic == number] = class_of[number]
    return semantic.masked_fill(instances == ignore_index, ignore_index)


@misconception(
    "instances_to_semantic",
    breaks=("test_every_object", "test_background", "test_ignored"),
    hint=1,
    source=STUDENTS,
)
def background_is_always_zero(instances, class_of, ignore_index=255):
    """The background stays 0. It has a class of its own, which is written in `class_of` too."""
    return painted(torch.zeros_like(instances), range(1, len(class_of)), instances, class_of, ignore_index)


@misconception("instances_to_semantic", breaks=("test_every_object", "test_background"), hint=2, source=STUDENTS)
def one_entry_too_early(instances, class_of, ignore_index=255):
    """Classes are shifted by one: an object gets what stands in `class_of` one place before its own entry."""
    ignored = instances == ignore_index
    return class_of[torch.where(ignored, 0, instances) - 1].masked_fill(ignored, ignore_index)


ways(
    one_entry_too_early,
    ("test_every_object", "test_background"),
    first_object_at_entry_zero=lambda instances, class_of, ignore_index=255: painted(
        torch.zeros_like(instances), range(1, len(class_of)), instances, class_of.roll(1), ignore_index
    ),
)


@misconception("instances_to_semantic", breaks="test_every_object", hint=2, source=STUDENTS)
def replaced_one_after_the_other(instances, class_of, ignore_index=255):
    """Numbers are replaced in the same tensor one after the other: what has become a class is taken for an object."""
    return replaced(range(len(class_of)), instances, class_of, ignore_index)


ways(
    replaced_one_after_the_other,
    "test_every_object",
    replaced_from_the_last=lambda instances, class_of, ignore_index=255: replaced(
        reversed(range(len(class_of))), instances, class_of, ignore_index
    ),
)


@misconception(
    "instances_to_semantic",
    breaks=("test_ignored", "test_many_objects", "test_other_ignore_index"),
    hint=1,
    source=STUDENTS,
)
def ignored_made_background(instances, class_of, ignore_index=255):
    """Ignored pixels become background, or 0. That says "nothing is here", where it should say "we do not know"."""
    return class_of[instances * (instances != ignore_index)]


ways(
    ignored_made_background,
    ("test_ignored", "test_many_objects", "test_other_ignore_index"),
    ignored_made_zero=lambda instances, class_of, ignore_index=255: (
        class_of[instances * (instances != ignore_index)] * (instances != ignore_index)
    ),
)


@misconception(
    "instances_to_semantic", breaks=("test_ignored", "test_many_objects"), hint=2, source="the threads on label 255"
)
def ignored_looked_up(instances, class_of, ignore_index=255):
    """Ignored pixels are looked up like objects. They have no entry, or they get the entry of an object."""
    return class_of[instances]


@misconception("instances_to_semantic", breaks="test_other_ignore_index", hint=2, source=STUDENTS)
def always_255(instances, class_of, ignore_index=255):
    """255 is written into the code: the argument `ignore_index` changes nothing."""
    return class_of[torch.where(instances == 255, 0, instances)].masked_fill(instances == 255, 255)


@misconception("instances_to_semantic", breaks="test_objects_without_class", hint=3, source=STUDENTS)
def unknown_not_refused(instances, class_of, ignore_index=255):
    """A number without an entry in `class_of` is not refused: it gets some class (an index of -1 counts from the end),
    or ends in an error that is not yours."""
    ignored = instances == ignore_index
    return class_of[torch.where(ignored, 0, instances)].masked_fill(ignored, ignore_index)


@variant(unknown_not_refused, breaks="test_objects_without_class")
def looked_up_in_a_dictionary(instances, class_of, ignore_index=255):
    table = dict(enumerate(class_of.tolist())) | {ignore_index: ignore_index}
    return torch.tensor([[table[number] for number in row] for row in instances.tolist()])


def on_a_canvas_of(number):
    def painted_on_it(instances, class_of, ignore_index=255):
        canvas = instances.clone() if number is None else torch.full_like(instances, number)
        return painted(canvas, range(len(class_of)), instances, class_of, ignore_index)

    return painted_on_it


ways(
    unknown_not_refused,
    "test_objects_without_class",
    unknown_keeps_its_number=on_a_canvas_of(None),
    unknown_becomes_zero=on_a_canvas_of(0),
    unknown_becomes_ignored=on_a_canvas_of(255),
)


@misconception("instances_to_semantic", breaks="test_ignored", hint=3, source=STUDENTS)
def smallest_of_nothing(instances, class_of, ignore_index=255):
    """A picture of nothing but ignored pixels ends in an error: the smallest or largest of no numbers was asked for."""
    known = instances[instances != ignore_index]
    if known.min() < 0 or known.max() >= len(class_of):
        raise ValueError(f"numbers {known.unique()}")
    return unknown_not_refused(instances, class_of, ignore_index)


@variant(smallest_of_nothing, breaks="test_ignored")
def largest_of_nothing(instances, class_of, ignore_index=255):
    if instances[instances != ignore_index].max() >= len(class_of):
        raise ValueError("too large")
    return smallest_of_nothing(instances, class_of, ignore_index)


# ---------------------------------------------------------------------------------------------------------------------
# boundary_mask
# ---------------------------------------------------------------------------------------------------------------------


def borders(mask):
    """Whether a border runs below each pixel (..., H - 1, W), and to the right of each (..., H, W - 1)."""
    return mask[..., 1:, :] != mask[..., :-1, :], mask[..., 1:] != mask[..., :-1]


def marked(mask, below, right, first=True, second=True):
    """A mask with the pixels before the borders marked, or those after them, or both."""
    boundary = torch.zeros(mask.shape, dtype=torch.bool)
    if first:
        boundary[..., :-1, :] |= below
        boundary[..., :-1] |= right
    if second:
        boundary[..., 1:, :] |= below
        boundary[..., 1:] |= right
    return boundary


def four_neighbours(padded):
    """Above, below, left and right of each pixel of a mask that has a frame one pixel wide."""
    rows, cols = padded[..., 1:-1], padded[..., 1:-1, :]
    return rows[..., :-2, :], rows[..., 2:, :], cols[..., :-2], cols[..., 2:]


def framed(mask):
    """The mask with its edge repeated once, (..., H + 2, W + 2)."""
    rows, cols = (torch.arange(-1, side + 1).clamp(0, side - 1) for side in mask.shape[-2:])
    return mask[..., rows, :][..., cols]


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels"), hint=2, source=STUDENTS)
def one_side_only(mask):
    """A border has two sides, and only one is marked: always the same one, that of the larger or smaller label, or that
    of the object."""
    return marked(mask, *borders(mask), first=False)


def larger_side(mask):
    below, right = mask.diff(dim=-2), mask.diff(dim=-1)
    return marked(mask, below < 0, right < 0, second=False) | marked(mask, below > 0, right > 0, first=False)


ways(
    one_side_only,
    ("test_patches", "test_touching_objects"),
    other_side_only=lambda mask: marked(mask, *borders(mask), second=False),
    larger_side_only=larger_side,
    smaller_side_only=lambda mask: larger_side(-mask),
)
ways(one_side_only, "test_touching_objects", side_of_the_object=lambda mask: marked(mask, *borders(mask)) & (mask != 0))


@misconception("boundary_mask", breaks=("test_picture_edge", "test_patches"), hint=2, source=STUDENTS)
def rolled_around(mask):
    """Pixels at the edge are compared with what is no neighbour: with padding, or with the opposite edge."""
    boundary = torch.zeros(mask.shape, dtype=torch.bool)
    for step in (1, -1):
        boundary |= (mask != mask.roll(step, -2)) | (mask != mask.roll(step, -1))
    return boundary


def padded(mask, value):
    return sum(one != mask for one in four_neighbours(F.pad(mask, (1, 1, 1, 1), value=value))) > 0


ways(
    rolled_around,
    ("test_picture_edge", "test_patches"),
    padded_with_zeros=lambda mask: padded(mask, 0),
    padded_with_another_label=lambda mask: padded(mask, -(2**40)),
)


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels"), hint=1, source=STUDENTS)
def edge_pixels_skipped(mask):
    """The outermost rows and columns are never marked. A pixel there has neighbours as well, if not four."""
    boundary = marked(mask, *borders(mask))
    boundary[..., [0, -1], :], boundary[..., [0, -1]] = False, False
    return boundary


@misconception("boundary_mask", breaks="test_batches", hint=3, source=STUDENTS)
def one_tall_picture(mask):
    """One picture is right, several are not: each is on its own, and its rows and columns are the last dimensions."""
    tall = mask.reshape(-1, mask.shape[-1])
    return marked(tall, *borders(tall)).reshape(mask.shape)


def along(mask, rows, columns):
    """The boundary with these two dimensions taken for rows and columns."""
    labels = mask.movedim((rows, columns), (-2, -1))
    return marked(labels, *borders(labels)).movedim((-2, -1), (rows, columns))


ways(
    one_tall_picture,
    "test_batches",
    first_two_dimensions=lambda mask: along(mask, 0, 1),
    first_and_last_dimension=lambda mask: along(mask, 0, -1),
)


@variant(one_tall_picture, breaks="test_batches")
def two_dimensions_only(mask):
    height, width = mask.shape
    return marked(mask, *borders(mask)).reshape(height, width)


@misconception("boundary_mask", breaks=("test_patches", "test_steps"), hint=2, source=STUDENTS)
def larger_instead_of_different(mask):
    """A border is found only where the label gets larger in one direction. It also runs where it gets smaller."""
    return marked(mask, mask.diff(dim=-2) > 0, mask.diff(dim=-1) > 0)


ways(
    larger_instead_of_different,
    ("test_patches", "test_steps"),
    smaller_instead_of_different=lambda mask: larger_instead_of_different(-mask),
)


@misconception("boundary_mask", breaks="test_single_pixels", hint=1, source="the lecture's own 3 x 3 neighbourhood")
def diagonal_neighbours_too(mask):
    """Pixels that touch another label only at a corner are marked. A neighbour has a common side."""
    around = framed(mask).unfold(-2, 3, 1).unfold(-2, 3, 1)  # (..., H, W, 3, 3)
    return (around != mask[..., None, None]).flatten(-2).any(-1)


@misconception("boundary_mask", breaks="test_steps", hint=2, source="Laplacians and Sobel filters on labels")
def sum_of_the_neighbours(mask):
    """It is not asked whether two neighbours differ as they are. Labels are added, subtracted from each other across a
    pixel, or made bytes or floats first, and then different ones can come out alike."""
    return sum(four_neighbours(framed(mask))) != 4 * mask


@variant(sum_of_the_neighbours, breaks="test_single_pixels")
def one_side_against_the_other(mask):
    above, below, left, right = four_neighbours(framed(mask))
    return (above != below) | (left != right)


ways(
    sum_of_the_neighbours,
    "test_any_numbers",
    labels_as_floats=lambda mask: marked(mask, *borders(mask.float())),
    labels_as_bytes=lambda mask: marked(mask, *borders(mask.to(torch.uint8))),
)


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels"), hint=3, source=STUDENTS)
def overwritten(mask):
    """Borders are lost that were found, or never looked for: a later comparison overwrites an earlier one, or only rows
    are compared, or only columns."""
    below, right = borders(mask)
    boundary = torch.zeros(mask.shape, dtype=torch.bool)
    boundary[..., 1:, :], boundary[..., :-1, :] = below, below
    boundary[..., 1:], boundary[..., :-1] = right, right
    return boundary


ways(
    overwritten,
    ("test_patches", "test_single_pixels"),
    overwritten_the_other_way_round=lambda mask: overwritten(mask.flip(-2, -1)).flip(-2, -1),
    overwritten_by_rows=lambda mask: overwritten(mask.mT).mT,
    only_columns_compared=lambda mask: marked(mask, False, borders(mask)[1]),
    only_rows_compared=lambda mask: marked(mask, borders(mask)[0], False),
)


# ---------------------------------------------------------------------------------------------------------------------
# pixel_cross_entropy
# ---------------------------------------------------------------------------------------------------------------------


def each_pixel(logits, own):
    return logits.logsumexp(dim=1) - own(logits)


def mean_of_valid(losses, valid):
    return losses[valid].sum() / valid.sum().clamp(min=1)


def loss(each=each_pixel, mean=mean_of_valid):
    """An answer from the losses `each(logits, own)`, (N, H, W), and their `mean(losses, valid)`.

    `own(x)` is what x (N, C, H, W) has at the label of each pixel, and at class 0 where the pixel is ignored.
    """

    def answer(logits, target, ignore_index=255):
        labels = target.masked_fill(target == ignore_index, 0).unsqueeze(1)
        return mean(each(logits, lambda x: x.gather(1, labels).squeeze(1)), target != ignore_index)

    return answer


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=1, source=STUDENTS)
def softmax_twice(*args, **kwargs):
    """The loss of one pixel alone is another number: there is a softmax too many, no logarithm or one of another base,
    a wrong sign, or the two terms of the loss do not have the same logits in them."""
    return loss(lambda z, own: each_pixel(z.softmax(1), own))(*args, **kwargs)


ways(
    softmax_twice,
    ("test_values", "test_gradient"),
    logarithm_of_base_two=loss(lambda z, own: each_pixel(z, own) / math.log(2)),
    sign_forgotten=loss(lambda z, own: -each_pixel(z, own)),
    shifted_in_one_term=loss(lambda z, own: each_pixel(z, own) - z.amax(1)),
)


@misconception("pixel_cross_entropy", breaks=("test_large_logits", "test_levels"), hint=1, source=STUDENTS)
def exp_overflows(*args, **kwargs):
    """Large logits leave the range of float32: exp becomes infinite, or a probability is rounded to 0 before its log is
    taken. A small number that is added to it, or a clamp, hides that and makes loss and gradient wrong."""
    return loss(lambda z, own: -(own(z.exp()) / z.exp().sum(1)).log())(*args, **kwargs)


ways(
    exp_overflows,
    ("test_large_logits", "test_gradient_of_large_logits"),
    sum_overflows=loss(lambda z, own: z.exp().sum(1).log() - own(z)),
    log_of_the_softmax=loss(lambda z, own: -own(z.softmax(1)).log()),
    small_number_added=loss(lambda z, own: -(own(z.softmax(1)) + 1e-8).log()),
)


@misconception("pixel_cross_entropy", breaks="test_levels", hint=2, source=STUDENTS)
def largest_logit_of_all(*args, **kwargs):
    """What is subtracted is not the largest logit of each pixel, but that of the batch, a picture or a class: at pixels
    of a much lower level every exp is still rounded to 0."""
    return loss(lambda z, own: (z - z.max()).exp().sum(1).log() - own(z - z.max()))(*args, **kwargs)


@misconception(
    "pixel_cross_entropy",
    breaks=("test_ignored", "test_gradient"),
    hint=1,
    source="segmentation-models-pytorch, issue 852",
)
def divided_by_all_pixels(*args, **kwargs):
    """Ignored pixels still count: in the sum, in the number that you divide by, or in both. It may happen only where
    `ignore_index` is not 255, or is one of the classes."""
    return loss(mean=lambda losses, valid: (losses * valid).mean())(*args, **kwargs)


ways(
    divided_by_all_pixels,
    "test_other_ignore_index",
    counted_as_class_zero=loss(mean=lambda losses, valid: losses.mean()),
    in_the_sum_only=loss(mean=lambda losses, valid: losses.sum() / valid.sum().clamp(min=1)),
    always_255_ignored=lambda logits, target, ignore_index=255: loss()(logits, target),
)


@misconception("pixel_cross_entropy", breaks=("test_values", "test_ignored"), hint=2, source=STUDENTS)
def summed(*args, **kwargs):
    """It is not one mean over all valid pixels: a sum, a mean of the pictures' means, or a mean over the classes as
    well."""
    return loss(mean=lambda losses, valid: losses[valid].sum())(*args, **kwargs)


ways(
    summed,
    "test_ignored",
    mean_of_the_pictures=loss(
        mean=lambda losses, valid: torch.stack([*map(mean_of_valid, losses, valid)]).mean()  # picture by picture
    ),
    mean_over_classes=loss(lambda z, own: each_pixel(z, own) / z.shape[1]),
)


@misconception("pixel_cross_entropy", breaks=("test_values", "test_ignored"), hint=2, source=STUDENTS)
def reshaped_only(*args, **kwargs):
    """Numbers of different pixels are mixed: a reshape does not move the classes to the end, height and width are
    swapped, or the softmax runs along another dimension than the classes."""
    return loss(lambda z, own: each_pixel(z.reshape(z.movedim(1, -1).shape).movedim(-1, 1), own))(*args, **kwargs)


ways(
    reshaped_only,
    ("test_values", "test_ignored"),
    transposed=loss(lambda z, own: each_pixel(z.mT.reshape(z.shape), own)),
    softmax_over_columns=loss(lambda z, own: -own(z.log_softmax(-1))),
)


@misconception("pixel_cross_entropy", breaks="test_gradient", hint=3, source=STUDENTS)
def half_a_gradient(*args, **kwargs):
    """The value is right, the gradient is not: one term of the loss or all of it was cut off from the logits (`detach`,
    `no_grad`, `item`, a new tensor)."""
    return loss(lambda z, own: z.logsumexp(1).detach() - own(z))(*args, **kwargs)


ways(
    half_a_gradient,
    "test_gradient",
    no_gradient=loss(lambda z, own: each_pixel(z, own).detach()),
    gradient_of_a_new_tensor=loss(lambda z, own: each_pixel(z, own).detach().requires_grad_()),
)


@misconception("pixel_cross_entropy", breaks="test_nothing_valid", hint=3, source="torch's own loss")
def nothing_valid_is_nan(*args, **kwargs):
    """Without a valid pixel something else comes than asked: NaN (0 divided by 0, the mean of nothing), an error, or a
    0 that does not depend on the logits."""
    return loss(mean=lambda losses, valid: losses[valid].mean())(*args, **kwargs)


ways(
    nothing_valid_is_nan,
    "test_nothing_valid",
    zero_over_zero=loss(mean=lambda losses, valid: (losses * valid).sum() / valid.sum()),
    a_new_zero=loss(mean=lambda losses, valid: losses[valid].mean() if valid.any() else torch.tensor(0.0)),
    a_new_zero_with_a_gradient=loss(
        mean=lambda losses, valid: losses[valid].mean() if valid.any() else torch.zeros((), requires_grad=True)
    ),
)


# ---------------------------------------------------------------------------------------------------------------------
# confusion_matrix
# ---------------------------------------------------------------------------------------------------------------------


def counted(keep, change=lambda labels, valid: labels[valid]):
    """An answer that counts pixels where `keep(pred, target, ignore_index, num_classes)`, after a `change` of both."""

    def answer(pred, target, num_classes, ignore_index=255):
        valid = keep(pred, target, ignore_index, num_classes)
        truth, found = change(target.long(), valid), change(pred.long(), valid)
        cells = torch.bincount((truth * num_classes + found).flatten(), minlength=num_classes**2)
        return cells[: num_classes**2].reshape(num_classes, num_classes)

    return answer


def not_ignored(pred, target, ignored, num_classes):
    return target.long() != ignored


def classes_only(pred, target, ignored, num_classes):
    inside = [(labels.long() >= 0) & (labels.long() < num_classes) for labels in (pred, target)]
    return not_ignored(pred, target, ignored, num_classes) & inside[0] & inside[1]


right_counts = counted(not_ignored)


@misconception("confusion_matrix", breaks=("test_counts", "test_absent_classes"), hint=1, source=STUDENTS)
def rows_are_the_prediction(*args, **kwargs):
    """The matrix is mirrored at its diagonal: rows are the prediction, columns the truth."""
    return right_counts(*args, **kwargs).T


@misconception("confusion_matrix", breaks=("test_ignored", "test_other_ignore_index"), hint=1, source=STUDENTS)
def ignored_in_the_row_of_background(pred, target, num_classes, ignore_index=255):
    """Pixels whose target is `ignore_index` are not left out, or not these alone: such pixels are counted somewhere or
    end in an error, or others are left out because of their prediction."""
    return right_counts(pred, target.long().masked_fill(target.long() == ignore_index, 0), num_classes, -1)


ways(
    ignored_in_the_row_of_background,
    "test_other_ignore_index",
    ignored_as_right_background=counted(not_ignored, lambda labels, valid: labels * valid),
    always_255_left_out=counted(lambda pred, target, ignored, num_classes: target != 255),
    ignored_in_the_prediction_too=counted(
        lambda pred, target, ignored, num_classes: (target.long() != ignored) & (pred.long() != ignored)
    ),
)


@misconception("confusion_matrix", breaks=("test_counts", "test_bytes"), hint=2, source=STUDENTS)
def each_pair_once(*args, **kwargs):
    """`matrix[target, pred] += 1` adds 1 once to each cell, however often the pair occurs."""
    return right_counts(*args, **kwargs).clamp(max=1)


@misconception("confusion_matrix", breaks="test_absent_classes", hint=3, source=STUDENTS)
def as_large_as_what_occurs(pred, target, num_classes, ignore_index=255):
    """The counts end at the largest cell that occurs, and do not fill a matrix when the last classes are absent."""
    valid = target.long() != ignore_index
    cells = target[valid].long() * num_classes + pred[valid].long()
    return cells.bincount().reshape(num_classes, num_classes)


@misconception("confusion_matrix", breaks="test_bytes", hint=2, source=STUDENTS)
def multiplied_in_bytes(pred, target, num_classes, ignore_index=255):
    """Labels are still bytes where they are multiplied or compared. A byte begins again at 0 after 255."""
    valid = target != ignore_index
    cells = target[valid] * num_classes + pred[valid]
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


ways(
    multiplied_in_bytes,
    "test_bytes",
    compared_in_bytes=counted(lambda pred, target, ignored, num_classes: target != ignored),
)


@misconception(
    "confusion_matrix", breaks="test_labels_outside", hint=3, source="fast_hist of shelhamer/fcn.berkeleyvision.org"
)
def labels_outside_dropped(*args, **kwargs):
    """Not every label outside the classes is refused. It is left out, or counted in a cell of another class, or ends in
    an error that is not yours."""
    return counted(classes_only)(*args, **kwargs)


ways(labels_outside_dropped, "test_labels_outside", counted_in_another_row=counted(not_ignored))


@variant(labels_outside_dropped, breaks="test_labels_outside")
def negative_counted_from_the_end(pred, target, num_classes, ignore_index=255):
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for found, truth in zip(pred.flatten().tolist(), target.flatten().tolist(), strict=True):
        if truth != ignore_index:
            matrix[truth, found] += 1
    return matrix


@misconception("confusion_matrix", breaks="test_ignored", hint=3, source=STUDENTS)
def smallest_label_of_nothing(pred, target, num_classes, ignore_index=255):
    """Without a valid pixel an error comes: the smallest or largest of no labels was asked for."""
    valid = target.long() != ignore_index
    if min(pred[valid].min(), target[valid].min()) < 0 or max(pred[valid].max(), target[valid].max()) >= num_classes:
        raise ValueError("a label is no class")
    return right_counts(pred, target, num_classes, ignore_index)


@variant(smallest_label_of_nothing, breaks="test_ignored")
def largest_label_of_nothing(pred, target, num_classes, ignore_index=255):
    valid = target.long() != ignore_index
    if max(pred[valid].max(), target[valid].max()) >= num_classes:
        raise ValueError("a label is no class")
    return smallest_label_of_nothing(pred, target, num_classes, ignore_index)


@misconception("confusion_matrix", breaks="test_counts", hint=3, source=STUDENTS)
def counts_are_floats(*args, **kwargs):
    """The counts are floating point numbers. A float32 stays where it is when 1 is added to 16,777,216."""
    return right_counts(*args, **kwargs).float()


# ---------------------------------------------------------------------------------------------------------------------
# iou_per_class
# ---------------------------------------------------------------------------------------------------------------------


def ratio(confusion, truth, found, right=0):
    """Right pixels of each class over a sum of these many times those of the truth, the prediction, and both."""
    counts = confusion.double()
    return counts.diagonal() / (truth * counts.sum(1) + found * counts.sum(0) + right * counts.diagonal())


@misconception("iou_per_class", breaks=("test_random_counts", "test_absent"), hint=1, source=STUDENTS)
def right_pixels_counted_twice(confusion):
    """The right pixels are in the union twice, or not at all. They are both in the row and in the column."""
    return ratio(confusion, 1, 1)


@misconception("iou_per_class", breaks=("test_random_counts", "test_few_pixels"), hint=1, source=STUDENTS)
def dice(confusion):
    """That is the Dice score, twice the intersection over the sum of both areas. It is larger than IoU."""
    return 2 * ratio(confusion, 1, 1)


@misconception("iou_per_class", breaks="test_random_counts", hint=1, source=STUDENTS)
def share_of_the_truth(confusion):
    """Only one side is in the denominator: the truth alone gives the recall, the prediction alone the precision."""
    return ratio(confusion, 1, 0)


@misconception("iou_per_class", breaks=("test_absent", "test_extremes"), hint=2, source="torchmetrics, issue 2866")
def absent_is_zero(confusion):
    """A class that occurs nowhere has no NaN: it gets a number, because NaN was replaced or the division made harmless,
    or it is missing in the answer."""
    return iou_per_class(confusion).nan_to_num(0.0)


@misconception("iou_per_class", breaks="test_only_predicted", hint=2, source="MONAI, compute_iou(ignore_empty=True)")
def truth_decides_who_counts(confusion):
    """A class that occurs, but without a right pixel, gets NaN: to miss it, or to invent it, would cost nothing."""
    return iou_per_class(confusion).masked_fill(confusion.sum(dim=1) == 0, torch.nan)


@misconception("iou_per_class", breaks="test_random_counts", hint=1, source=STUDENTS)
def share_of_all_pixels(confusion):
    """Pixels that have nothing to do with a class are in its number: all pixels of the matrix were divided by."""
    return confusion.diagonal().double() / confusion.sum()


@misconception("iou_per_class", breaks="test_large_counts", hint=3, source=STUDENTS)
def divided_in_float32(confusion):
    """The division was done in float32, which has about seven digits: too few for the counts of a large data set."""
    right = confusion.diagonal()
    return right / (confusion.sum(0) + confusion.sum(1) - right)


ALL, ABSENT = "test_random_counts", "test_absent"
ways(right_pixels_counted_twice, ALL, right_pixels_not_in_the_union=lambda confusion: ratio(confusion, 1, 1, -2))
ways(share_of_the_truth, ALL, share_of_the_prediction=lambda confusion: ratio(confusion, 0, 1))
ways(
    absent_is_zero,
    ABSENT,
    absent_is_one=lambda confusion: iou_per_class(confusion).nan_to_num(1.0),
    absent_is_missing=lambda confusion: iou_per_class(confusion)[confusion.sum(0) + confusion.sum(1) > 0],
    one_added_on_both_sides=lambda confusion: iou_per_class(confusion + torch.eye(len(confusion))),
)
ways(
    truth_decides_who_counts,
    "test_only_predicted",
    zero_is_nan=lambda confusion: iou_per_class(confusion).masked_fill(confusion.diagonal() == 0, torch.nan),
)
ways(
    share_of_all_pixels,
    ALL,
    true_negatives_too=lambda confusion: (
        1 - (confusion.sum(1) + confusion.sum(0) - 2 * confusion.diagonal()).double() / confusion.sum()
    ),
)
ways(
    divided_in_float32, "test_large_counts", converted_too_late=lambda confusion: divided_in_float32(confusion).double()
)


# ---------------------------------------------------------------------------------------------------------------------
# mean_iou
# ---------------------------------------------------------------------------------------------------------------------


@misconception("mean_iou", breaks="test_absent", hint=1, source="torchvision's training script")
def nan_spreads(confusion):
    """One absent class is enough to make the mean NaN."""
    return iou_per_class(confusion).mean().item()


@misconception("mean_iou", breaks="test_absent", hint=1, source="the evaluation script of SegNet")
def absent_counts_zero(confusion):
    """Absent classes are in the mean, with a 0 or a 1 for each. Then a longer list of classes moves the score."""
    return iou_per_class(confusion).nan_to_num(0.0).mean().item()


@misconception("mean_iou", breaks="test_only_predicted", hint=1, source="a footnote of the FCN paper")
def classes_of_the_truth_only(confusion):
    """A class that occurs is left out where it has no right pixel: to invent a class, or to miss it, costs nothing."""
    return iou_per_class(confusion)[confusion.sum(dim=1) > 0].mean().item()


@misconception("mean_iou", breaks="test_random_counts", hint=2, source="papers that report micro averages")
def all_classes_pooled(confusion):
    """Classes do not weigh the same: pixels of all of them are added up before dividing, or large classes weigh more. A
    prediction of nothing but background looks good in such a number."""
    right = confusion.trace()
    return (right.double() / (2 * confusion.sum() - right)).item()


@misconception("mean_iou", breaks=("test_random_counts", "test_missed_class"), hint=2, source=STUDENTS)
def background_left_out(confusion):
    """Class 0 is left out of the mean. The background is a class like the others here."""
    return iou_per_class(confusion)[1:].nanmean().item()


@misconception("mean_iou", breaks="test_random_counts", hint=1, source=STUDENTS)
def mean_of_the_recalls(confusion):
    """It is the mean of another ratio than IoU: recall, precision, Dice, or a union that has the right pixels twice."""
    return share_of_the_truth(confusion).nanmean().item()


@misconception("mean_iou", breaks="test_nothing_seen", hint=2, source=STUDENTS)
def nothing_is_zero(confusion):
    """Without a pixel comes 0, or an error. Nothing is known then, which is not the same."""
    return iou_per_class(confusion).nanmean().nan_to_num(0.0).item()


@variant(nothing_is_zero, breaks="test_nothing_seen")
def nothing_is_an_error(confusion):
    ious = [iou for iou in iou_per_class(confusion).tolist() if iou == iou]
    return sum(ious) / len(ious)


@misconception("mean_iou", breaks="test_random_counts", hint=3, source=STUDENTS)
def still_a_tensor(confusion):
    """The value is a tensor with one number in it, not a Python float."""
    return iou_per_class(confusion).nanmean()


ways(
    absent_counts_zero,
    ABSENT,
    absent_counts_one=lambda confusion: iou_per_class(confusion).nan_to_num(1.0).mean().item(),
)
ways(
    classes_of_the_truth_only,
    "test_missed_class",
    zeros_left_out=lambda confusion: iou_per_class(confusion)[confusion.diagonal() > 0].mean().item(),
)
ways(
    all_classes_pooled,
    ALL,
    pixel_accuracy=lambda confusion: (confusion.trace().double() / confusion.sum()).item(),
    weighted_by_size=lambda confusion: (iou_per_class(confusion) * confusion.sum(1) / confusion.sum()).nansum().item(),
)
ways(
    mean_of_the_recalls,
    ALL,
    mean_of_the_precisions=lambda confusion: ratio(confusion, 0, 1).nanmean().item(),
    mean_of_dice=lambda confusion: dice(confusion).nanmean().item(),
    mean_with_unions_too_large=lambda confusion: ratio(confusion, 1, 1).nanmean().item(),
)
