"""Wrong answers of lesson 01. Each docstring is what a student reads: what is wrong, not what is right."""

import torch
import torch.nn.functional as F

from autograde.graders.candidates import misconception
from autograde.reference.tasks_loss_metric import (
    boundary_mask,
    confusion_matrix,
    instances_to_semantic,
    iou_per_class,
    mean_iou,
    pixel_cross_entropy,
)

# ---------------------------------------------------------------------------------------------------------------------
# instances_to_semantic
# ---------------------------------------------------------------------------------------------------------------------


@misconception("instances_to_semantic", breaks=("test_background", "test_every_object"), hint=1)
def background_is_always_zero(instances, class_of, ignore_index=255):
    """The background stays 0. It has a class of its own, which is written in `class_of` too."""
    semantic = instances_to_semantic(instances, class_of, ignore_index)
    return semantic.masked_fill(instances == 0, 0)


@misconception("instances_to_semantic", breaks=("test_every_object", "test_missing_numbers", "test_background"), hint=2)
def first_object_at_entry_zero(instances, class_of, ignore_index=255):
    """Object k gets the class of object k - 1: the first entry of `class_of` is that of the background."""
    classes = torch.cat([class_of[:1], class_of[:-1]])
    return instances_to_semantic(instances, classes, ignore_index)


@misconception("instances_to_semantic", breaks=("test_every_object", "test_missing_numbers"), hint=2)
def replaced_one_after_the_other(instances, class_of, ignore_index=255):
    """Numbers are replaced in the same tensor one after the other: what has become a class is taken for an object."""
    instances_to_semantic(instances, class_of, ignore_index)
    semantic = instances.clone()
    for number, one in enumerate(class_of):
        semantic[semantic == number] = one
    return semantic


@misconception("instances_to_semantic", breaks="test_missing_numbers", hint=2)
def numbers_without_gaps(instances, class_of, ignore_index=255):
    """Objects are counted as they appear in the picture. One without a pixel then shifts all that follow."""
    instances_to_semantic(instances, class_of, ignore_index)
    semantic = instances.clone()
    for position, number in enumerate(instances[instances != ignore_index].unique()):
        semantic[instances == number] = class_of[position]
    return semantic


@misconception("instances_to_semantic", breaks="test_ignored", hint=1)
def ignored_made_background(instances, class_of, ignore_index=255):
    """Ignored pixels become background. That says "nothing is here", where it should say "we do not know"."""
    semantic = instances_to_semantic(instances, class_of, ignore_index)
    return torch.where(instances == ignore_index, class_of[0], semantic)


@misconception("instances_to_semantic", breaks=("test_ignored", "test_all_ignored"), hint=1)
def ignored_is_an_unknown_object(instances, class_of, ignore_index=255):
    """A pixel of `ignore_index` is refused as an object without a class."""
    if (instances == ignore_index).any():
        raise ValueError(f"there is no class for {ignore_index}")
    return instances_to_semantic(instances, class_of, ignore_index)


@misconception("instances_to_semantic", breaks=("test_ignored", "test_all_ignored", "test_other_ignore_index"), hint=2)
def ignored_looked_up(instances, class_of, ignore_index=255):
    """Ignored pixels are looked up as well: 255 is an IndexError, and -1 gives the class of the last object."""
    instances_to_semantic(instances, class_of, ignore_index)
    return class_of[instances]


@misconception("instances_to_semantic", breaks="test_other_ignore_index", hint=2)
def always_255(instances, class_of, ignore_index=255):
    """255 is written into the code: the argument `ignore_index` changes nothing."""
    return instances_to_semantic(instances, class_of)


@misconception("instances_to_semantic", breaks="test_all_ignored", hint=3)
def largest_number_of_nothing(instances, class_of, ignore_index=255):
    """The largest number is asked of the pixels that are not ignored; if all are, there is none, and torch stops."""
    numbers = instances[instances != ignore_index]
    if numbers.max() >= len(class_of):
        raise ValueError(f"object {numbers.max()} has no class")
    return instances_to_semantic(instances, class_of, ignore_index)


@misconception("instances_to_semantic", breaks="test_class_that_is_ignored", hint=1)
def class_must_not_be_ignored(instances, class_of, ignore_index=255):
    """An object whose class is `ignore_index` is refused. It is an object that nobody could name, and that is fine."""
    if (class_of == ignore_index).any():
        raise ValueError(f"{ignore_index} is no class")
    return instances_to_semantic(instances, class_of, ignore_index)


@misconception("instances_to_semantic", breaks="test_inputs_unchanged", hint=2)
def written_into_the_map(instances, class_of, ignore_index=255):
    """The classes are right, but they are written into the map of objects, which is then lost for the caller."""
    return instances.copy_(instances_to_semantic(instances, class_of, ignore_index))


@misconception("instances_to_semantic", breaks="test_objects_without_class", hint=3)
def negative_numbers_count_from_the_end(instances, class_of, ignore_index=255):
    """Object -1 gets the class of the last object: a negative index counts from the end, and nothing refuses it."""
    count = len(class_of)
    ignored = instances == ignore_index
    wrapped = torch.where((instances < 0) & (instances >= -count) & ~ignored, instances + count, instances)
    return instances_to_semantic(wrapped, class_of, ignore_index)


@misconception("instances_to_semantic", breaks="test_objects_without_class", hint=3)
def unknown_objects_ignored(instances, class_of, ignore_index=255):
    """An object without a class is quietly made something else instead of being refused."""
    unknown = (instances < 0) | (instances >= len(class_of))
    return instances_to_semantic(instances.masked_fill(unknown, ignore_index), class_of, ignore_index)


@misconception("instances_to_semantic", breaks=("test_objects_without_class", "test_shapes", "test_dtypes"), hint=3)
def nothing_checked(instances, class_of, ignore_index=255):
    """Nothing is checked: torch's own IndexError surfaces, or a wrong input goes through."""
    ignored = instances == ignore_index
    return class_of[torch.where(ignored, 0, instances)].masked_fill(ignored, ignore_index)


@misconception("instances_to_semantic", breaks="test_dtypes", hint=3)
def every_dtype_converted(instances, class_of, ignore_index=255):
    """Floats and bytes are converted without a word. A map of fractions is a mistake, and that wants saying."""
    return instances_to_semantic(instances.long(), class_of.long(), ignore_index)


# ---------------------------------------------------------------------------------------------------------------------
# boundary_mask
# ---------------------------------------------------------------------------------------------------------------------


def padded_neighbours(mask, mode="replicate", value=None):
    """The four neighbours of each pixel of (..., H, W), with something beyond the picture's edge."""
    pictures = mask.reshape(-1, 1, *mask.shape[-2:]).double()
    around = (
        F.pad(pictures, (1, 1, 1, 1), mode, value)
        .to(mask.dtype)
        .reshape(*mask.shape[:-2], *(s + 2 for s in mask.shape[-2:]))
    )
    return around[..., :-2, 1:-1], around[..., 2:, 1:-1], around[..., 1:-1, :-2], around[..., 1:-1, 2:]


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels", "test_touching_objects"), hint=2)
def one_side_only(mask):
    """Only one side of each border is marked: the pixel above or left of it does not know that it has a neighbour."""
    boundary_mask(mask)
    found = torch.zeros_like(mask, dtype=torch.bool)
    found[..., 1:, :] |= mask[..., 1:, :] != mask[..., :-1, :]
    found[..., :, 1:] |= mask[..., :, 1:] != mask[..., :, :-1]
    return found


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels", "test_touching_objects"), hint=2)
def other_side_only(mask):
    """Only one side of each border is marked: the pixel below or right of it does not know that it has a neighbour."""
    return one_side_only(mask.flip(-2, -1)).flip(-2, -1)


@misconception("boundary_mask", breaks="test_touching_objects", hint=1)
def inside_of_objects_only(mask):
    """Only pixels of objects are marked. The background has a boundary as well, on its own side."""
    return boundary_mask(mask) & (mask != 0)


@misconception("boundary_mask", breaks="test_single_pixels", hint=1)
def diagonal_neighbours_too(mask):
    """Pixels that touch another label only at a corner are marked. A neighbour has a common side."""
    found = boundary_mask(mask)
    corner = mask[..., 1:, 1:] != mask[..., :-1, :-1]
    other = mask[..., 1:, :-1] != mask[..., :-1, 1:]
    found[..., 1:, 1:] |= corner
    found[..., :-1, :-1] |= corner
    found[..., 1:, :-1] |= other
    found[..., :-1, 1:] |= other
    return found


@misconception("boundary_mask", breaks=("test_picture_edge", "test_patches", "test_single_pixels"), hint=1)
def picture_edge_marked(mask):
    """The picture's edge is marked, though no other label lies beyond it: there is nothing to compare with."""
    found = boundary_mask(mask)
    found[..., 0, :] = found[..., -1, :] = True
    found[..., :, 0] = found[..., :, -1] = True
    return found


@misconception("boundary_mask", breaks=("test_picture_edge", "test_single_pixels"), hint=2)
def padded_with_zeros(mask):
    """The picture was padded with zeros, and its edge became a boundary wherever the label is not 0."""
    boundary_mask(mask)
    above, below, left, right = padded_neighbours(mask, "constant", 0)
    return (above != mask) | (below != mask) | (left != mask) | (right != mask)


@misconception("boundary_mask", breaks="test_picture_edge", hint=2)
def rolled_around(mask):
    """`torch.roll` brings the last row to the top: opposite edges of the picture are compared."""
    boundary_mask(mask)
    return sum((mask != mask.roll(step, dim)).int() for step in (1, -1) for dim in (-2, -1)) > 0


@misconception("boundary_mask", breaks="test_steps", hint=2)
def mean_of_the_neighbours(mask):
    """The pixel is compared with the mean of its neighbours. Labels are names, and 1 and 3 do not make 2."""
    boundary_mask(mask)
    above, below, left, right = padded_neighbours(mask)
    return above + below + left + right != 4 * mask


@misconception("boundary_mask", breaks=("test_patches", "test_touching_objects"), hint=1)
def background_and_objects_only(mask):
    """Only the border between 0 and the rest is found: two objects that touch run into each other."""
    return boundary_mask((mask != 0).long())


@misconception("boundary_mask", breaks=("test_patches", "test_steps"), hint=2)
def rows_only(mask):
    """Only neighbours above and below are compared; a border between left and right goes unnoticed."""
    found = torch.zeros_like(boundary_mask(mask))
    below = mask[..., 1:, :] != mask[..., :-1, :]
    found[..., 1:, :] |= below
    found[..., :-1, :] |= below
    return found


@misconception("boundary_mask", breaks=("test_patches", "test_single_pixels"), hint=2)
def both_directions_needed(mask):
    """A pixel is marked only where labels change in both directions, at corners. One direction is enough."""
    boundary_mask(mask)
    above, below, left, right = padded_neighbours(mask)
    return ((above != mask) | (below != mask)) & ((left != mask) | (right != mask))


@misconception("boundary_mask", breaks="test_ignored_label", hint=1)
def ignored_label_skipped(mask):
    """No boundary is drawn around pixels of 255. Here it is a label like any other."""
    found = boundary_mask(mask)
    above, below, left, right = padded_neighbours(torch.where(mask == 255, 255, 0))
    return found & (mask != 255) & ((above + below + left + right) == 0)


@misconception("boundary_mask", breaks=("test_patches", "test_thin_pictures"), hint=3)
def numbers_instead_of_truth_values(mask):
    """The boundary comes as numbers 0 and 1; what is asked for is a mask of dtype bool."""
    return boundary_mask(mask).to(mask.dtype)


@misconception("boundary_mask", breaks="test_batches", hint=3)
def first_two_dimensions_compared(mask):
    """Rows and columns are taken to be dimensions 0 and 1. In a batch these are the pictures and their rows."""
    if mask.ndim < 2:
        return boundary_mask(mask)
    return boundary_mask(mask.movedim((0, 1), (-2, -1))).movedim((-2, -1), (0, 1))


@misconception("boundary_mask", breaks="test_batches", hint=3)
def one_picture_only(mask):
    """Batches are refused; the mask may have any number of dimensions before height and width."""
    if mask.ndim != 2:
        raise ValueError(f"expected (H, W), got {tuple(mask.shape)}")
    return boundary_mask(mask)


@misconception("boundary_mask", breaks="test_thin_pictures", hint=2)
def two_pixels_at_least(mask):
    """A picture one pixel high or wide is refused. It has neighbours along its other side, or none."""
    if mask.ndim >= 2 and min(mask.shape[-2:]) < 2:
        raise ValueError("too small for a boundary")
    return boundary_mask(mask)


@misconception("boundary_mask", breaks="test_any_numbers", hint=2)
def labels_as_floats(mask):
    """Labels are converted to float: large numbers that differ by one become the same."""
    return boundary_mask(mask.double())


@misconception("boundary_mask", breaks="test_input_unchanged", hint=3)
def drawn_into_the_mask(mask):
    """The boundary is right, but the mask of the caller was changed on the way."""
    found = boundary_mask(mask)
    mask[found] = 0
    return found


@misconception("boundary_mask", breaks="test_not_a_mask", hint=3)
def a_row_taken_for_a_picture(mask):
    """A tensor of one dimension is made a picture, or torch's own error surfaces, instead of a ValueError."""
    if mask.ndim < 2:
        return boundary_mask(mask.reshape(1, -1)).reshape(mask.shape)
    return boundary_mask(mask)


# ---------------------------------------------------------------------------------------------------------------------
# pixel_cross_entropy
# ---------------------------------------------------------------------------------------------------------------------


def require_pixels(logits, target, ignore_index):
    """Raise what the statement asks for; the loss itself is not used."""
    pixel_cross_entropy(logits.detach(), target, ignore_index)


def reduce(losses, target, ignore_index):
    """The mean of losses (N, H, W) over valid pixels."""
    valid = target != ignore_index
    return torch.where(valid, losses, 0).sum() / valid.sum().clamp(min=1)


def labels_of(target, ignore_index):
    return torch.where(target == ignore_index, 0, target)[:, None]


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=1)
def softmax_first(logits, target, ignore_index=255):
    """A softmax is applied twice: probabilities are treated as logits, so the loss can never come near 0."""
    return pixel_cross_entropy(logits.softmax(dim=1), target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_large_logits", "test_gradient_of_large_logits"), hint=1)
def log_of_the_softmax(logits, target, ignore_index=255):
    """The softmax rounds to 0 where a logit is far below the largest, and the log of 0 is infinite."""
    require_pixels(logits, target, ignore_index)
    right = logits.softmax(dim=1).gather(1, labels_of(target, ignore_index))[:, 0]
    return reduce(-right.log(), target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_large_logits", "test_gradient_of_large_logits"), hint=1)
def exp_overflows(logits, target, ignore_index=255):
    """exp of a logit of 100 does not fit into float32 any more: the loss becomes infinite or NaN."""
    require_pixels(logits, target, ignore_index)
    right = logits.gather(1, labels_of(target, ignore_index))[:, 0]
    return reduce(logits.exp().sum(dim=1).log() - right, target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_large_logits", "test_levels"), hint=1)
def infinity_over_infinity(logits, target, ignore_index=255):
    """exp of a logit of 100 does not fit into float32 any more, and infinity divided by infinity is NaN."""
    require_pixels(logits, target, ignore_index)
    powers = logits.exp()
    right = (powers / powers.sum(dim=1, keepdim=True)).gather(1, labels_of(target, ignore_index))[:, 0]
    return reduce(-right.log(), target, ignore_index)


@misconception("pixel_cross_entropy", breaks="test_large_logits", hint=1)
def zero_times_infinity(logits, target, ignore_index=255):
    """The log of every class's probability is multiplied by y_true. Where it is infinite, 0 times infinity is NaN."""
    require_pixels(logits, target, ignore_index)
    truth = F.one_hot(labels_of(target, ignore_index)[:, 0], logits.shape[1]).movedim(-1, 1)
    losses = -(truth * logits.softmax(dim=1).log()).sum(dim=1)
    return reduce(losses, target, ignore_index)


@misconception("pixel_cross_entropy", breaks="test_large_logits", hint=2)
def small_number_added(logits, target, ignore_index=255):
    """A small number was added inside the log. It hides the infinity, and no loss can get larger than about 18."""
    require_pixels(logits, target, ignore_index)
    right = logits.softmax(dim=1).gather(1, labels_of(target, ignore_index))[:, 0]
    return reduce(-(right + 1e-8).log(), target, ignore_index)


@misconception("pixel_cross_entropy", breaks="test_levels", hint=2)
def largest_logit_of_all(logits, target, ignore_index=255):
    """The largest logit of the whole batch is subtracted. In a pixel of a lower level every exp then rounds to 0."""
    require_pixels(logits, target, ignore_index)
    shifted = logits - logits.detach().max()
    right = shifted.gather(1, labels_of(target, ignore_index))[:, 0]
    return reduce(shifted.exp().sum(dim=1).log() - right, target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_ignored", "test_gradient", "test_single_pixels"), hint=1)
def divided_by_all_pixels(logits, target, ignore_index=255):
    """The sum over valid pixels is divided by all pixels: the more is ignored, the smaller the loss gets."""
    share = (target != ignore_index).double().mean().to(logits.dtype)
    return pixel_cross_entropy(logits, target, ignore_index) * share


@misconception("pixel_cross_entropy", breaks=("test_ignored", "test_nothing_valid", "test_gradient"), hint=1)
def ignored_counted_as_class_zero(logits, target, ignore_index=255):
    """Ignored pixels are counted as if their label were 0."""
    require_pixels(logits, target, ignore_index)
    return pixel_cross_entropy(logits, labels_of(target, ignore_index)[:, 0], ignore_index=-(2**60))


@misconception("pixel_cross_entropy", breaks=("test_values", "test_ignored", "test_gradient"), hint=1)
def sum_over_pixels(logits, target, ignore_index=255):
    """The losses of all pixels are added up and never divided by their number."""
    return pixel_cross_entropy(logits, target, ignore_index) * (target != ignore_index).sum()


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=1)
def mean_over_pictures(logits, target, ignore_index=255):
    """The losses are added up over the pixels of each picture; only then is there a mean, over pictures."""
    return pixel_cross_entropy(logits, target, ignore_index) * (target != ignore_index).sum() / len(target)


@misconception("pixel_cross_entropy", breaks="test_ignored", hint=1)
def mean_of_means(logits, target, ignore_index=255):
    """Each picture gets its own mean, and then these are averaged: where few pixels are valid, each weighs more."""
    require_pixels(logits, target, ignore_index)
    means = [pixel_cross_entropy(logits[i : i + 1], target[i : i + 1], ignore_index) for i in range(len(target))]
    kept = [mean for mean, one in zip(means, target, strict=True) if (one != ignore_index).any()] or means
    return torch.stack(kept).mean()


@misconception("pixel_cross_entropy", breaks=("test_values", "test_dtype", "test_gradient"), hint=2)
def reshaped_without_permuting(logits, target, ignore_index=255):
    """(N, C, H, W) was reshaped to (pixels, C) at once: right shape, but a row mixes logits of several pixels."""
    require_pixels(logits, target, ignore_index)
    rows = logits.reshape(-1, logits.shape[1])[:, :, None, None]
    return pixel_cross_entropy(rows, target.reshape(-1, 1, 1), ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_values", "test_dtype", "test_gradient"), hint=1)
def softmax_along_the_width(logits, target, ignore_index=255):
    """The exponentials are added up along the width of the picture, the last dimension. Classes are in another one."""
    require_pixels(logits, target, ignore_index)
    chosen = logits.log_softmax(dim=-1).gather(1, labels_of(target, ignore_index))[:, 0]
    return reduce(-chosen, target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=2)
def mean_over_classes_too(logits, target, ignore_index=255):
    """The mean runs over the classes as well, so that the loss is too small by their number."""
    return pixel_cross_entropy(logits, target, ignore_index) / logits.shape[1]


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=1)
def other_classes_scored_too(logits, target, ignore_index=255):
    """Each class is scored as a yes-or-no question of its own, and "no" costs too. The slide's y_true is 0 there."""
    require_pixels(logits, target, ignore_index)
    truth = F.one_hot(labels_of(target, ignore_index)[:, 0], logits.shape[1]).movedim(-1, 1)
    probability = logits.softmax(dim=1)
    losses = -torch.where(truth == 1, probability, 1 - probability).log().sum(dim=1)
    return reduce(losses, target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=1)
def sign_forgotten(logits, target, ignore_index=255):
    """The minus sign is missing: the better the prediction, the larger this loss."""
    return -pixel_cross_entropy(logits, target, ignore_index)


@misconception("pixel_cross_entropy", breaks="test_other_ignore_index", hint=2)
def always_255_ignored(logits, target, ignore_index=255):
    """255 is written into the code: the argument `ignore_index` changes nothing."""
    return pixel_cross_entropy(logits, target)


@misconception("pixel_cross_entropy", breaks="test_dtype", hint=3)
def float32_inside(logits, target, ignore_index=255):
    """The loss is computed in float32 whatever the logits are: that costs half of the digits of float64."""
    return pixel_cross_entropy(logits.float(), target, ignore_index)


@misconception("pixel_cross_entropy", breaks=("test_gradient", "test_nothing_valid"), hint=3)
def gradient_lost(logits, target, ignore_index=255):
    """The number is right, but it has no gradient: `detach`, `item`, `numpy` or `no_grad` cut it off."""
    return pixel_cross_entropy(logits, target, ignore_index).detach()


@misconception("pixel_cross_entropy", breaks=("test_values", "test_gradient"), hint=3)
def number_instead_of_a_tensor(logits, target, ignore_index=255):
    """A Python number is returned. Nothing can be trained with it: what is asked for is a tensor of shape ()."""
    return pixel_cross_entropy(logits, target, ignore_index).item()


@misconception("pixel_cross_entropy", breaks="test_nothing_valid", hint=2)
def nan_without_valid_pixels(logits, target, ignore_index=255):
    """Without a valid pixel the loss is 0 / 0, NaN, and one such batch makes all the weights NaN."""
    loss = pixel_cross_entropy(logits, target, ignore_index)
    return loss if (target != ignore_index).any() else loss * torch.nan


@misconception("pixel_cross_entropy", breaks="test_nothing_valid", hint=2)
def zero_without_a_gradient(logits, target, ignore_index=255):
    """Without a valid pixel a new tensor of 0 is returned. It does not depend on the logits: `backward` raises."""
    loss = pixel_cross_entropy(logits, target, ignore_index)
    return loss if (target != ignore_index).any() else torch.zeros((), dtype=logits.dtype)


@misconception("pixel_cross_entropy", breaks="test_nothing_valid", hint=2)
def zero_of_its_own(logits, target, ignore_index=255):
    """Without a valid pixel a new 0 with `requires_grad=True` is returned: its gradient never reaches the logits."""
    loss = pixel_cross_entropy(logits, target, ignore_index)
    return loss if (target != ignore_index).any() else torch.zeros((), dtype=logits.dtype, requires_grad=True)


@misconception("pixel_cross_entropy", breaks="test_nothing_valid", hint=2)
def plain_zero(logits, target, ignore_index=255):
    """Without a valid pixel a Python 0.0 is returned. That is no tensor, and it has no `backward`."""
    loss = pixel_cross_entropy(logits, target, ignore_index)
    return loss if (target != ignore_index).any() else 0.0


@misconception("pixel_cross_entropy", breaks="test_single_pixels", hint=3)
def squeezed(logits, target, ignore_index=255):
    """`squeeze` without a dimension removes each one of size 1: also a batch, a height or classes of 1."""
    require_pixels(logits, target, ignore_index)
    likely = logits.squeeze().log_softmax(dim=1)
    chosen = likely.gather(1, labels_of(target, ignore_index).squeeze()[:, None]).squeeze()
    return reduce(-chosen, target, ignore_index)


@misconception("pixel_cross_entropy", breaks="test_inputs_unchanged", hint=3)
def target_changed(logits, target, ignore_index=255):
    """Ignored pixels are overwritten in the target itself: the next epoch takes them for real labels."""
    loss = pixel_cross_entropy(logits, target, ignore_index)
    target[target == ignore_index] = 0
    return loss


@misconception("pixel_cross_entropy", breaks="test_shapes", hint=3)
def shapes_made_to_fit(logits, target, ignore_index=255):
    """A target (N, 1, H, W), as it comes from a picture file, is reshaped until it passes."""
    if logits.ndim == 4 and target.numel() == logits[:, 0].numel():
        target = target.reshape(len(logits), *logits.shape[2:])
    return pixel_cross_entropy(logits, target, ignore_index)


@misconception("pixel_cross_entropy", breaks="test_labels", hint=3)
def labels_pressed_into_range(logits, target, ignore_index=255):
    """Labels beyond the last class are taken for the last one, so that a wrong mask goes unnoticed."""
    pressed = torch.where(target == ignore_index, ignore_index, target.clamp(0, logits.shape[1] - 1))
    return pixel_cross_entropy(logits, pressed.long(), ignore_index)


@misconception("pixel_cross_entropy", breaks="test_labels", hint=3)
def labels_outside_ignored(logits, target, ignore_index=255):
    """Every label that is no class is ignored, and a mask that was coded in another way goes unnoticed."""
    outside = (target < 0) | (target >= logits.shape[1])
    return pixel_cross_entropy(logits, target.masked_fill(outside, ignore_index), ignore_index)


# ---------------------------------------------------------------------------------------------------------------------
# confusion_matrix
# ---------------------------------------------------------------------------------------------------------------------


@misconception("confusion_matrix", breaks=("test_counts", "test_ignored", "test_absent_classes"), hint=1)
def rows_are_the_prediction(pred, target, num_classes, ignore_index=255):
    """The matrix is mirrored at its diagonal: rows are the prediction, columns the truth."""
    return confusion_matrix(pred, target, num_classes, ignore_index).T.contiguous()


@misconception("confusion_matrix", breaks=("test_ignored", "test_nothing_valid"), hint=1)
def ignored_counted_as_background(pred, target, num_classes, ignore_index=255):
    """Ignored pixels are counted in the row of class 0."""
    known = torch.where(target == ignore_index, torch.zeros_like(target), target)
    return confusion_matrix(pred, known, num_classes, ignore_index=-(2**60))


@misconception("confusion_matrix", breaks="test_ignored", hint=2)
def prediction_checked_everywhere(pred, target, num_classes, ignore_index=255):
    """A prediction that is no class is refused also where the truth is ignored and the pixel does not count."""
    if ((pred < 0) | (pred >= num_classes)).any():
        raise ValueError(f"pred has labels outside 0 to {num_classes - 1}")
    return confusion_matrix(pred, target, num_classes, ignore_index)


@misconception("confusion_matrix", breaks=("test_labels_outside", "test_other_ignore_index"), hint=2)
def prediction_ignored_too(pred, target, num_classes, ignore_index=255):
    """Pixels are also left out where the *prediction* is `ignore_index`: a network could hide its mistakes so."""
    keep = torch.ones_like(target, dtype=torch.bool)
    if pred.shape == target.shape:
        keep = pred != ignore_index
        pred, target = pred[keep], target[keep]
    return confusion_matrix(pred, target, num_classes, ignore_index)


@misconception("confusion_matrix", breaks="test_other_ignore_index", hint=2)
def always_255_left_out(pred, target, num_classes, ignore_index=255):
    """255 is written into the code: the argument `ignore_index` changes nothing."""
    return confusion_matrix(pred, target, num_classes)


@misconception("confusion_matrix", breaks="test_other_ignore_index", hint=2)
def ignored_after_counting(pred, target, num_classes, ignore_index=255):
    """The ignored class is set to zero in the finished matrix, in its column too: there, pixels that count are lost."""
    counts = confusion_matrix(pred, target, num_classes, ignore_index)
    if 0 <= ignore_index < num_classes:
        counts[:, ignore_index] = 0
    return counts


@misconception("confusion_matrix", breaks="test_small_integers", hint=2)
def multiplied_in_the_dtype_of_the_labels(pred, target, num_classes, ignore_index=255):
    """The cell's number is computed in the dtype of the labels. In uint8 it begins again at 0 after 255."""
    confusion_matrix(pred, target, num_classes, ignore_index)
    valid = target != ignore_index
    cells = (target[valid] * num_classes + pred[valid]).long() % num_classes**2
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


@misconception("confusion_matrix", breaks="test_absent_classes", hint=3)
def as_large_as_what_occurs(pred, target, num_classes, ignore_index=255):
    """The counts end at the largest cell that occurs, and do not fill a matrix when the last classes are absent."""
    counts = confusion_matrix(pred, target, num_classes, ignore_index).flatten()
    occurs = counts.nonzero()
    last = int(occurs.max()) + 1 if len(occurs) else 0
    if last < num_classes**2:
        raise RuntimeError(f"shape '[{num_classes}, {num_classes}]' is invalid for input of size {last}")
    return counts.reshape(num_classes, num_classes)


@misconception("confusion_matrix", breaks="test_small_integers", hint=3)
def counted_in_bytes(pred, target, num_classes, ignore_index=255):
    """The counts themselves are kept in the dtype of the labels: a byte cannot count further than 255."""
    return confusion_matrix(pred, target, num_classes, ignore_index).to(pred.dtype).long()


@misconception("confusion_matrix", breaks=("test_counts", "test_nothing_valid"), hint=3)
def counted_in_floats(pred, target, num_classes, ignore_index=255):
    """The counts come as float32, which counts in steps of 2 from 16,777,216 on. Counts are int64."""
    return confusion_matrix(pred, target, num_classes, ignore_index).float()


@misconception("confusion_matrix", breaks=("test_counts", "test_ignored"), hint=2)
def each_pair_once(pred, target, num_classes, ignore_index=255):
    """`matrix[target, pred] += 1` adds 1 once to each cell, however often the pair occurs."""
    return confusion_matrix(pred, target, num_classes, ignore_index).clamp(max=1)


@misconception("confusion_matrix", breaks=("test_counts", "test_absent_classes"), hint=1)
def shares_instead_of_counts(pred, target, num_classes, ignore_index=255):
    """Each row is divided by its sum. Shares cannot be added over batches, and the sizes of the classes are lost."""
    counts = confusion_matrix(pred, target, num_classes, ignore_index)
    return (100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)).long()


@misconception("confusion_matrix", breaks="test_absent_classes", hint=3)
def classes_that_occur_only(pred, target, num_classes, ignore_index=255):
    """The matrix is as large as the labels that occur. If the last class is missing it cannot be added to others."""
    counts = confusion_matrix(pred, target, num_classes, ignore_index)
    size = max([1, *(counts.sum(dim=0) + counts.sum(dim=1)).nonzero().flatten().add(1).tolist()])
    return counts[:size, :size]


@misconception("confusion_matrix", breaks="test_any_shape", hint=3)
def something_must_be_there(pred, target, num_classes, ignore_index=255):
    """Without a pixel torch raises an error, because the largest of no labels is asked for."""
    if pred.numel() and max(pred.max(), target.max()) < 0:
        raise ValueError("negative labels")
    if not pred.numel():
        raise RuntimeError("max(): Expected reduction dim to be specified for input.numel() == 0")
    return confusion_matrix(pred, target, num_classes, ignore_index)


@misconception("confusion_matrix", breaks="test_inputs_unchanged", hint=3)
def ignored_overwritten(pred, target, num_classes, ignore_index=255):
    """Ignored pixels are overwritten in the truth itself, and the next epoch counts them."""
    counts = confusion_matrix(pred, target, num_classes, ignore_index)
    target[target == ignore_index] = 0
    return counts


@misconception("confusion_matrix", breaks="test_shapes", hint=3)
def flattened_and_compared(pred, target, num_classes, ignore_index=255):
    """Both are flattened before anything is checked: a transposed prediction has as many pixels, and goes through."""
    return confusion_matrix(pred.flatten(), target.flatten(), num_classes, ignore_index)


@misconception("confusion_matrix", breaks="test_shapes", hint=3)
def stretched_to_the_same_shape(pred, target, num_classes, ignore_index=255):
    """One prediction is compared with every picture of the batch: torch stretches shapes that nearly fit."""
    try:
        pred, target = torch.broadcast_tensors(pred, target)
    except RuntimeError:
        raise ValueError("different shapes") from None
    return confusion_matrix(pred, target, num_classes, ignore_index)


@misconception("confusion_matrix", breaks="test_labels_outside", hint=3)
def labels_outside_dropped(pred, target, num_classes, ignore_index=255):
    """Labels that are no class are left out without a word. A mask that was coded wrongly then looks good."""
    if pred.shape == target.shape:
        known = (pred >= 0) & (pred < num_classes) & (target >= 0) & (target < num_classes)
        pred, target = pred[known], target[known]
    return confusion_matrix(pred, target, num_classes, ignore_index)


@misconception("confusion_matrix", breaks="test_labels_outside", hint=3)
def only_the_truth_checked(pred, target, num_classes, ignore_index=255):
    """A prediction that is no class is counted in a cell of another row: the number of the cell is too large."""
    if pred.shape != target.shape or pred.is_floating_point() or target.is_floating_point():
        raise ValueError("pred and target do not belong together")
    valid = target != ignore_index
    truth, found = target[valid].long(), pred[valid].long()
    if ((truth < 0) | (truth >= num_classes)).any():
        raise ValueError("target has labels outside the classes")
    cells = (truth * num_classes + found) % num_classes**2
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


@misconception("confusion_matrix", breaks="test_not_integers", hint=3)
def floats_rounded(pred, target, num_classes, ignore_index=255):
    """Floats are rounded down without a word: probabilities below 1 all become class 0."""
    return confusion_matrix(pred.long(), target.long(), num_classes, ignore_index)


# ---------------------------------------------------------------------------------------------------------------------
# iou_per_class
# ---------------------------------------------------------------------------------------------------------------------


def parts(confusion):
    """Right pixels, pixels of the truth, pixels of the prediction, per class, in float64."""
    iou_per_class(confusion)
    counts = confusion.double()
    return counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)


@misconception("iou_per_class", breaks=("test_random_counts", "test_absent", "test_large_counts"), hint=1)
def right_pixels_counted_twice(confusion):
    """The right pixels are counted twice in the union, once in the row and once in the column."""
    right, truth, found = parts(confusion)
    return right / (truth + found)


@misconception("iou_per_class", breaks=("test_random_counts", "test_few_pixels"), hint=1)
def dice(confusion):
    """That is the Dice score, twice the intersection over the sum of both areas. It is larger than IoU."""
    right, truth, found = parts(confusion)
    return 2 * right / (truth + found)


@misconception("iou_per_class", breaks=("test_random_counts", "test_only_predicted"), hint=1)
def share_of_the_truth(confusion):
    """That is the recall: how much of the truth was found. Pixels that were claimed wrongly do not show in it."""
    right, truth, _ = parts(confusion)
    return right / truth


@misconception("iou_per_class", breaks=("test_random_counts", "test_only_in_the_truth"), hint=1)
def share_of_the_prediction(confusion):
    """That is the precision: how much of the prediction is right. Pixels that were missed do not show in it."""
    right, _, found = parts(confusion)
    return right / found


@misconception("iou_per_class", breaks=("test_random_counts", "test_only_predicted"), hint=1)
def union_is_everything(confusion):
    """The right pixels are divided by all pixels of all classes."""
    right, truth, _ = parts(confusion)
    return right / truth.sum()


@misconception("iou_per_class", breaks=("test_absent", "test_extremes"), hint=2)
def absent_is_zero(confusion):
    """A class that occurs nowhere gets 0, as if it had been missed. There was nothing to find."""
    return iou_per_class(confusion).nan_to_num(0.0)


@misconception("iou_per_class", breaks=("test_absent", "test_extremes"), hint=2)
def absent_is_one(confusion):
    """A class that occurs nowhere gets 1, a present for the mean: more classes in the list, a better network."""
    return iou_per_class(confusion).nan_to_num(1.0)


@misconception("iou_per_class", breaks=("test_absent", "test_few_pixels", "test_extremes"), hint=2)
def small_number_against_zero(confusion):
    """A small number is added to avoid 0 / 0. It changes every IoU a little, and absent classes get a number."""
    right, truth, found = parts(confusion)
    return (right + 1e-6) / (truth + found - right + 1e-6)


@misconception("iou_per_class", breaks="test_only_predicted", hint=2)
def truth_decides_who_counts(confusion):
    """A class that was predicted where there is none gets NaN: these mistakes would cost nothing."""
    _, truth, _ = parts(confusion)
    return iou_per_class(confusion).masked_fill(truth == 0, torch.nan)


@misconception("iou_per_class", breaks="test_only_in_the_truth", hint=2)
def never_predicted_is_left_out(confusion):
    """A class that was never predicted gets NaN. It is there, and all of it was missed."""
    _, _, found = parts(confusion)
    return iou_per_class(confusion).masked_fill(found == 0, torch.nan)


@misconception("iou_per_class", breaks=("test_absent", "test_extremes"), hint=2)
def absent_classes_dropped(confusion):
    """Absent classes are left out of the list: the rest moves up, and nobody knows which number is whose."""
    ious = iou_per_class(confusion)
    return ious[~ious.isnan()]


@misconception("iou_per_class", breaks=("test_random_counts", "test_extremes"), hint=2)
def background_dropped(confusion):
    """Class 0 is left out. The background is a class like the others here."""
    return iou_per_class(confusion)[1:]


@misconception("iou_per_class", breaks=("test_random_counts", "test_large_counts"), hint=3)
def in_float32(confusion):
    """The result is float32; what is asked for is float64, as counts get large."""
    return iou_per_class(confusion).float()


@misconception("iou_per_class", breaks=("test_random_counts", "test_extremes"), hint=3)
def in_percent(confusion):
    """The numbers are percentages; what is asked for lies between 0 and 1."""
    return 100 * iou_per_class(confusion)


@misconception("iou_per_class", breaks="test_input_unchanged", hint=3)
def diagonal_taken_out(confusion):
    """The result is right, but the diagonal of the matrix itself was changed, and it is lost for the caller."""
    ious = iou_per_class(confusion)
    confusion.fill_diagonal_(0)
    return ious


@misconception("iou_per_class", breaks="test_not_square", hint=3)
def any_matrix_accepted(confusion):
    """A matrix that is not square is cut until it is, or torch's own error surfaces, instead of a ValueError."""
    side = min(confusion.shape)
    return iou_per_class(confusion.reshape(-1, confusion.shape[-1])[:side, :side])


# ---------------------------------------------------------------------------------------------------------------------
# mean_iou
# ---------------------------------------------------------------------------------------------------------------------


@misconception("mean_iou", breaks=("test_absent", "test_nothing_seen"), hint=1)
def nan_spreads(confusion):
    """One absent class is enough to make the mean NaN."""
    ious = iou_per_class(confusion)
    return ious.mean().item() if not ious.isnan().all() else 0.0


@misconception("mean_iou", breaks=("test_absent", "test_nothing_seen"), hint=1)
def absent_counts_zero(confusion):
    """Absent classes count with 0: the sum is divided by all classes, also those that are not there."""
    return iou_per_class(confusion).nan_to_num(0.0).mean().item()


@misconception("mean_iou", breaks=("test_absent", "test_nothing_seen"), hint=1)
def absent_counts_one(confusion):
    """Absent classes count with 1: every class that does not occur makes the network look better."""
    return iou_per_class(confusion).nan_to_num(1.0).mean().item()


@misconception("mean_iou", breaks="test_never_right", hint=1)
def classes_of_the_truth_only(confusion):
    """Only classes of the truth are averaged. One that was predicted where there is none costs nothing."""
    ious = iou_per_class(confusion)
    return ious[(confusion.sum(dim=1) > 0) | (confusion.sum() == 0)].nanmean().item()


@misconception("mean_iou", breaks="test_never_right", hint=1)
def zeros_left_out(confusion):
    """Classes with an IoU of 0 are left out together with those that do not occur."""
    ious = iou_per_class(confusion)
    return ious[~(ious == 0)].nanmean().item()


@misconception("mean_iou", breaks=("test_random_counts", "test_all_background"), hint=2)
def all_classes_pooled(confusion):
    """Intersections and unions of all classes are added up before dividing: large classes decide alone."""
    iou_per_class(confusion)
    counts = confusion.double()
    right = counts.diagonal().sum()
    return (right / (2 * counts.sum() - right)).item()


@misconception("mean_iou", breaks=("test_random_counts", "test_all_background"), hint=1)
def pixel_accuracy(confusion):
    """That is the share of right pixels. A prediction of nothing but background looks excellent in it."""
    iou_per_class(confusion)
    return (confusion.diagonal().sum() / confusion.sum()).item()


@misconception("mean_iou", breaks=("test_random_counts", "test_all_background"), hint=2)
def weighted_by_size(confusion):
    """The classes are weighted by their pixels. The mean IoU gives each of them the same weight."""
    ious = iou_per_class(confusion)
    share = confusion.sum(dim=1).double() / confusion.sum()
    return (share * ious).nansum().item() if confusion.sum() else float("nan")


@misconception("mean_iou", breaks=("test_random_counts", "test_all_background"), hint=2)
def background_left_out(confusion):
    """Class 0 is left out of the mean. The background is a class like the others here."""
    return iou_per_class(confusion)[1:].nanmean().item()


@misconception("mean_iou", breaks=("test_random_counts", "test_never_right"), hint=1)
def mean_recall(confusion):
    """That is the mean of the recalls, sometimes called mean accuracy: pixels claimed wrongly do not show in it."""
    iou_per_class(confusion)
    counts = confusion.double()
    return (counts.diagonal() / counts.sum(dim=1)).nanmean().item()


@misconception("mean_iou", breaks=("test_random_counts", "test_nothing_seen", "test_large_counts"), hint=3)
def tensor_returned(confusion):
    """A tensor is returned; what is asked for is a Python float."""
    return iou_per_class(confusion).nanmean()


@misconception("mean_iou", breaks="test_nothing_seen", hint=2)
def zero_for_nothing(confusion):
    """Without a single pixel the answer is 0, as if everything had been wrong. Nothing is known."""
    value = mean_iou(confusion)
    return value if value == value else 0.0


@misconception("mean_iou", breaks="test_large_counts", hint=3)
def counts_in_int32(confusion):
    """Counts are converted to int32 on the way and begin again below zero after 2,147,483,647."""
    iou_per_class(confusion)
    return mean_iou(confusion.int().long())


@misconception("mean_iou", breaks="test_not_square", hint=3)
def square_part_taken(confusion):
    """A matrix that is not square is cut until it is, or torch's own error surfaces, instead of a ValueError."""
    side = min(confusion.shape)
    return mean_iou(confusion.reshape(-1, confusion.shape[-1])[:side, :side])
