"""Hidden graders of lesson 01. Random inputs come from `rng`; what is right is computed here, in another way."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autograde.graders.kit import draw, random_labels, random_tensor
from seglab.checking.compare import Mismatch, assert_same

# ---------------------------------------------------------------------------------------------------------------------
# instances_to_semantic
# ---------------------------------------------------------------------------------------------------------------------


def scattered(rng, numbers, height, width):
    """A map (height, width) in which each of the numbers occurs, and nothing else."""
    values = np.resize(np.array(numbers), height * width)
    return torch.from_numpy(rng.permutation(values).reshape(height, width))


def shuffled_classes(rng, count):
    """Classes of `count` numbers, such that no number is its own class and the background's class is not 0."""
    order = rng.permutation(count)
    classes = np.empty(count, dtype=np.int64)
    classes[order] = np.roll(order, 1)  # one long cycle: replacing numbers one after the other goes wrong
    return torch.from_numpy(classes)


def look_up(numbers, classes, ignored=255):
    """One pixel after the other."""
    table = {number: one for number, one in enumerate(classes.tolist())} | {ignored: ignored}
    return torch.tensor([[table[number] for number in row] for row in numbers.tolist()])


class TestInstancesToSemantic:
    """instances_to_semantic: from numbered objects to classes"""

    @pytest.mark.weight(2)
    def test_every_object(self, student, rng):
        """Each object gets its class, on pictures that are not square; some objects have no pixel"""
        for size, left_out, step in (((6, 9), 0, 1), ((11, 5), 2, 3)):
            count = draw(rng, 7, 20)
            numbers, classes = scattered(rng, range(0, count - left_out, step), *size), shuffled_classes(rng, count)
            assert_same(student.instances_to_semantic(numbers, classes), look_up(numbers, classes))

    def test_background(self, student, rng):
        """The background's class is the first entry, whatever it is; an object may have class 0"""
        classes = torch.tensor([draw(rng, 3, 9), 0, draw(rng, 10, 20)])
        numbers = scattered(rng, [0, 0, 1, 2], 4, 7)
        assert_same(student.instances_to_semantic(numbers, classes), look_up(numbers, classes))

    @pytest.mark.weight(2)
    def test_ignored(self, student, rng):
        """Ignored pixels stay ignored, also when all of them are, or when an object's own class is the ignored one"""
        count = draw(rng, 4, 9)
        numbers, classes = scattered(rng, [*range(count), 255, 255], 8, 6), shuffled_classes(rng, count)
        assert_same(student.instances_to_semantic(numbers, classes), look_up(numbers, classes))
        classes[draw(rng, 1, count - 1)] = 255
        assert_same(student.instances_to_semantic(numbers, classes), look_up(numbers, classes))
        unknown = torch.full((3, draw(rng, 4, 7)), 255)
        assert_same(student.instances_to_semantic(unknown, classes[:1]), unknown)  # no object at all

    def test_many_objects(self, student, rng):
        """With hundreds of objects, too, a pixel of the ignored number is ignored, although a class stands there"""
        count = draw(rng, 257, 400)
        numbers, classes = scattered(rng, [0, 1, 254, 255, count - 1], 5, 8), 1000 + shuffled_classes(rng, count)
        assert_same(student.instances_to_semantic(numbers, classes), look_up(numbers, classes))

    def test_other_ignore_index(self, student, rng):
        """Another ignore_index is used as given: small, negative or large; then 255 is an object like the others"""
        count = draw(rng, 256, 400)
        classes = 1001 + shuffled_classes(rng, count)
        for ignored in (2, -1, 1000):
            numbers = scattered(rng, [0, 1, 2, 255, count - 1, ignored], 5, 8)
            expected = look_up(numbers, classes, ignored)
            assert_same(student.instances_to_semantic(numbers, classes, ignore_index=ignored), expected)

    def test_objects_without_class(self, student, rng):
        """Numbers that have an entry are looked up; one without, negative or too large, raises ValueError"""
        count = draw(rng, 3, 9)
        numbers, classes = scattered(rng, range(count), 5, 6), shuffled_classes(rng, count)
        assert_same(student.instances_to_semantic(numbers, classes), look_up(numbers, classes))
        for bad in (-1, -count, count, count + draw(rng, 1, 99), 254):
            wrong = numbers.clone()
            wrong[draw(rng, 0, 4), draw(rng, 0, 5)] = bad
            with student.raises(ValueError):
                student.instances_to_semantic(wrong, classes)

    def probe_nothing_known(self, student, rng):
        student.instances_to_semantic(torch.full((2, 3), 255), torch.tensor([4, 7]))


# ---------------------------------------------------------------------------------------------------------------------
# boundary_mask
# ---------------------------------------------------------------------------------------------------------------------


def by_neighbours(labels):
    """The boundary of one mask (H, W): each pixel asks its four neighbours."""
    rows = labels.tolist()
    height, width = len(rows), len(rows[0])

    def at_a_border(i, j):
        around = ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))
        return any(rows[y][x] != rows[i][j] for y, x in around if 0 <= y < height and 0 <= x < width)

    return torch.tensor([[at_a_border(i, j) for j in range(width)] for i in range(height)])


def patches(rng, rows, cols, side, low=0):
    """Patches of `side` pixels, (rows * side, cols * side): no two labels alike, and none the mean of two others."""
    labels = torch.from_numpy(2 ** rng.permutation(rows * cols).reshape(rows, cols)) + low
    return labels.repeat_interleave(side, 0).repeat_interleave(side, 1)


class TestBoundaryMask:
    """boundary_mask: where two labels meet"""

    @pytest.mark.weight(2)
    def test_patches(self, student, rng):
        """Patches of different labels, pictures higher than wide and wider than high"""
        for rows, cols, side in ((2, 3, 3), (3, 2, 4), (2, 4, 5)):
            labels = patches(rng, rows, cols, side)
            assert_same(student.boundary_mask(labels), by_neighbours(labels))

    def test_single_pixels(self, student, rng):
        """A pixel alone makes a boundary of itself and its four neighbours, wherever it lies"""
        for place in ((draw(rng, 2, 4), draw(rng, 2, 5)), (0, draw(rng, 2, 5)), (draw(rng, 2, 4), 7), (0, 0)):
            labels = torch.full((7, 8), draw(rng, 1, 5))
            labels[place] += draw(rng, 1, 3)
            assert_same(student.boundary_mask(labels), by_neighbours(labels))

    def test_picture_edge(self, student, rng):
        """The picture's edge is no boundary, and opposite edges are no neighbours"""
        stripes = torch.tensor([1, 3, 2]).repeat_interleave(3).repeat(4, 1) + draw(rng, 1, 9)  # (4, 9)
        for labels in (stripes, stripes.mT, torch.full((5, 6), draw(rng, 1, 9))):
            assert_same(student.boundary_mask(labels), by_neighbours(labels))

    def test_steps(self, student, rng):
        """Labels that grow by one from pixel to pixel, in both directions or in one of them"""
        start, rows, cols = draw(rng, 11, 20), torch.arange(5)[:, None], torch.arange(7)
        for labels in (start + rows + cols, start + rows.repeat(1, 4), start - rows - cols):
            assert_same(student.boundary_mask(labels), torch.ones(labels.shape, dtype=torch.bool))

    def test_touching_objects(self, student, rng):
        """Objects that touch have a boundary between them, also far from the background"""
        labels = torch.zeros(9, 10, dtype=torch.int64)
        labels[1:8, 1:5], labels[1:8, 5:9] = draw(rng, 1, 2), draw(rng, 5, 9)
        assert_same(student.boundary_mask(labels), by_neighbours(labels))

    @pytest.mark.weight(2)
    def test_batches(self, student, rng):
        """Leading dimensions, one or two: each picture on its own"""
        whole, several, columns = torch.full((4, 6), draw(rng, 1, 9)), patches(rng, 2, 3, 2), patches(rng, 1, 3, 2)
        pictures = torch.stack([several, several, several, whole, columns.repeat(2, 1), whole + 1])
        borders = torch.stack([by_neighbours(one) for one in pictures])
        assert_same(student.boundary_mask(pictures), borders)
        assert_same(student.boundary_mask(pictures.reshape(2, 3, 4, 6)), borders.reshape(2, 3, 4, 6))

    def test_thin_pictures(self, student, rng):
        """Pictures one pixel high or wide, and a single pixel"""
        row = torch.tensor([[1, 1, 1, 2, 2, 2, 2]]) * draw(rng, 1, 9)
        assert_same(student.boundary_mask(row), by_neighbours(row))
        assert_same(student.boundary_mask(row.mT), by_neighbours(row).mT)
        assert_same(student.boundary_mask(row[:, :1]), torch.tensor([[False]]))

    def test_any_numbers(self, student, rng):
        """Labels may be any numbers: 255, negative ones, and large ones"""
        labels = patches(rng, 2, 2, 4)
        labels[labels == 2 ** draw(rng, 0, 3)] = 255
        assert_same(student.boundary_mask(labels), by_neighbours(labels))
        # Some or all of them are alike as bytes, as int32, as float32, as float64.
        for start, step in ((-1, 64), (draw(rng, 1, 9), 2**30), (2**26, 1), (-(2**62), 1)):
            labels = start + step * patches(rng, 2, 3, 3)
            assert_same(student.boundary_mask(labels), by_neighbours(labels))


# ---------------------------------------------------------------------------------------------------------------------
# pixel_cross_entropy
# ---------------------------------------------------------------------------------------------------------------------


def with_ignored(rng, target, share, label=255):
    """The same labels, with that share of all pixels ignored, at least one, and not as many in each picture."""
    count = max(1, round(share * target.numel()))
    flat = target.flatten().clone()
    first = 2 * count // 3
    flat[:first] = label  # the first picture has more of them than the others
    flat[rng.permutation(np.arange(first, len(flat)))[: count - first]] = label
    return flat.view(target.shape)


def expected_loss(logits, target, ignored=255):
    """torch's loss, computed in float64, in the dtype of the logits."""
    return F.cross_entropy(logits.detach().double(), target, ignore_index=ignored).to(logits.dtype)


def expected_gradient(logits, target, ignored=255):
    exact = logits.detach().double().requires_grad_()
    F.cross_entropy(exact, target, ignore_index=ignored).backward()
    return exact.grad.to(logits.dtype)


def gradient_of(student, logits, target):
    """The loss and the gradient of the student's function, which stays on the student's side meanwhile."""
    kept = student.keep(logits.detach().clone().requires_grad_())
    loss = student.pixel_cross_entropy.kept(kept, target)
    value = loss.value()
    if not isinstance(value, torch.Tensor):
        raise Mismatch("type", "a tensor", type(value).__name__)
    if not value.requires_grad:
        raise Mismatch("rule", "a loss with a gradient", "one without")
    loss.call("backward")
    return value, kept.get("grad")


def look_at_gradient(student, logits, target):
    kept = student.keep(logits.requires_grad_())
    student.pixel_cross_entropy.kept(kept, target).call("backward")
    kept.get("grad", keep=True).call("detach")  # an error, if none has come back


class TestPixelCrossEntropy:
    """pixel_cross_entropy: the loss that segmentation networks are trained with"""

    @pytest.mark.weight(2)
    def test_values(self, student, rng):
        """Random logits of batches of pictures that are not square, and of a single pixel: the mean over all pixels"""
        for shape in ((2, 3, 4, 6), (3, 5, 5, 2), (1, 3, 1, 1)):
            logits, target = 2 * random_tensor(rng, *shape), random_labels(rng, shape[1], shape[0], *shape[2:])
            assert_same(student.pixel_cross_entropy(logits, target), expected_loss(logits, target))

    @pytest.mark.weight(2)
    def test_ignored(self, student, rng):
        """Ignored pixels count neither in the sum nor in the number it is divided by; then all but one are ignored"""
        logits, labels = 2 * random_tensor(rng, 3, 4, 5, 6), random_labels(rng, 4, 3, 5, 6)
        for ignored in (36, 89):
            target = with_ignored(rng, labels, ignored / 90)
            assert_same(student.pixel_cross_entropy(logits, target), expected_loss(logits, target))

    def test_other_ignore_index(self, student, rng):
        """Another ignore_index is used as given, also one that is a class"""
        for ignored in (2, 0, -100):
            logits = 2 * random_tensor(rng, 2, 3, 4, 7)
            target = with_ignored(rng, random_labels(rng, 3, 2, 4, 7), 0.4, ignored)
            expected = expected_loss(logits, target, ignored)
            assert_same(student.pixel_cross_entropy(logits, target, ignore_index=ignored), expected)

    @pytest.mark.weight(2)
    def test_large_logits(self, student, rng):
        """Logits of tens of thousands: the loss is finite and right"""
        logits = 1e4 * random_tensor(rng, 2, 4, 5, 6)
        target = random_labels(rng, 4, 2, 5, 6)
        assert_same(student.pixel_cross_entropy(logits, target), expected_loss(logits, target))

    def test_levels(self, student, rng):
        """Logits of quite another level in each pixel: adding a number to all logits of a pixel changes nothing"""
        logits, target = random_tensor(rng, 2, 3, 4, 5), random_labels(rng, 3, 2, 4, 5)
        level = 100.0 * torch.from_numpy(rng.permutation(40) - 20).view(2, 1, 4, 5)
        lifted = (logits + level).float()
        assert_same(student.pixel_cross_entropy(lifted, target), expected_loss(lifted, target))

    @pytest.mark.weight(3)
    def test_gradient(self, student, rng):
        """The gradient is right at every pixel, and 0 at those that are ignored"""
        for share in (0, 0.4):
            logits, target = 2 * random_tensor(rng, 2, 4, 3, 5), random_labels(rng, 4, 2, 3, 5)
            target = with_ignored(rng, target, share) if share else target
            loss, gradient = gradient_of(student, logits, target)
            assert_same(loss, expected_loss(logits, target))
            assert_same(gradient, expected_gradient(logits, target))

    def test_gradient_of_large_logits(self, student, rng):
        """Large logits: the gradient is finite and right"""
        # Many pixels, so that each gradient is small: near 10000, float32 counts in steps of 0.001.
        logits = random_tensor(rng, 2, 3, 10, 12) + 1e4 * torch.from_numpy(rng.choice([-1, 1], (2, 3, 10, 12)))
        logits, target = logits.float(), random_labels(rng, 3, 2, 10, 12)
        loss, gradient = gradient_of(student, logits, target)
        assert_same(loss, expected_loss(logits, target))
        assert_same(gradient, expected_gradient(logits, target))

    def test_nothing_valid(self, student, rng):
        """Without a valid pixel the loss is 0, it can be sent backwards, and the gradient is 0"""
        logits, ignored = random_tensor(rng, 2, 3, 4, 5), torch.full((2, 4, 5), 255)
        loss, gradient = gradient_of(student, logits, ignored)
        assert_same(loss, torch.tensor(0.0))
        assert_same(gradient, torch.zeros(2, 3, 4, 5))

    def probe_nothing_valid(self, student, rng):
        for side in (2, 3):
            student.pixel_cross_entropy(random_tensor(rng, 1, 2, side, 1), torch.full((1, side, 1), 255))

    def probe_gradient_of_nothing(self, student, rng):
        look_at_gradient(student, random_tensor(rng, 1, 2, 3, 1), torch.full((1, 3, 1), 255))

    def probe_far_apart(self, student, rng):
        logits, target = random_tensor(rng, 1, 3, 2, 4), random_labels(rng, 3, 1, 2, 4)
        far = 200.0 * torch.arange(8).remainder(2).view(1, 1, 2, 4)  # every second pixel is sure, and wrong
        look_at_gradient(student, logits - far * F.one_hot(target, 3).movedim(-1, 1), target)


# ---------------------------------------------------------------------------------------------------------------------
# confusion_matrix
# ---------------------------------------------------------------------------------------------------------------------


def count_pairs(pred, target, num_classes, ignored=255):
    """One pixel after the other."""
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    for one, truth in zip(pred.flatten().tolist(), target.flatten().tolist(), strict=True):
        if truth != ignored:
            counts[truth, one] += 1
    return torch.from_numpy(counts)


def noisy_prediction(rng, target, num_classes):
    """Right in about half of the pixels; elsewhere often the class after the right one, so that it is not symmetric."""
    step = torch.from_numpy(rng.choice([0, 1, 2], tuple(target.shape), p=[0.5, 0.4, 0.1]))
    return (target + step) % num_classes


class TestConfusionMatrix:
    """confusion_matrix: what was taken for what"""

    @pytest.mark.weight(2)
    def test_counts(self, student, rng):
        """Random masks: rows are the truth, columns the prediction, and every pixel is counted"""
        for num_classes, shape in ((3, (2, 9, 8)), (7, (3, 6, 10)), (4, (37,))):
            target = random_labels(rng, num_classes, *shape)
            pred = noisy_prediction(rng, target, num_classes)
            assert_same(student.confusion_matrix(pred, target, num_classes), count_pairs(pred, target, num_classes))

    @pytest.mark.weight(2)
    def test_ignored(self, student, rng):
        """Pixels whose target is ignored do not count, whatever was predicted there; if all are, the counts are 0"""
        target = with_ignored(rng, random_labels(rng, 4, 2, 8, 7), 0.3)
        pred = noisy_prediction(rng, target, 4)
        assert_same(student.confusion_matrix(pred, target, 4), count_pairs(pred, target, 4))
        pred[target == 255] = 255
        assert_same(student.confusion_matrix(pred, target, 4), count_pairs(pred, target, 4))
        unknown = torch.full_like(pred, 255)
        assert_same(student.confusion_matrix(pred, unknown, 4), torch.zeros(4, 4, dtype=torch.int64))

    def test_other_ignore_index(self, student, rng):
        """Another ignore_index is used as given, also one that is a class; then it may still be predicted"""
        for ignored in (2, 0, -1, -100):
            target = random_labels(rng, 4, 2, 8, 7)
            pred = noisy_prediction(rng, target, 4)
            target = with_ignored(rng, target, 0.3, ignored)
            expected = count_pairs(pred, target, 4, ignored)
            assert_same(student.confusion_matrix(pred, target, 4, ignore_index=ignored), expected)

    def test_absent_classes(self, student, rng):
        """Classes that do not occur have rows and columns of zeros; without a pixel, all are zeros"""
        num_classes = draw(rng, 8, 12)
        target, pred = random_labels(rng, 3, 6, 8) + 2, random_labels(rng, 2, 6, 8) + 3
        for part in (slice(None), slice(0, 0)):
            expected = count_pairs(pred[part], target[part], num_classes)
            assert_same(student.confusion_matrix(pred[part], target[part], num_classes), expected)

    def test_bytes(self, student, rng):
        """Labels in bytes, as image files hold them: nothing overflows, and no label is taken for another"""
        for num_classes, ignored in ((21, 255), (18, 256 + draw(rng, 0, 17))):  # in bytes, the latter is a class
            target = random_labels(rng, num_classes, 20, 16)
            target[:, 3:10] = num_classes - 1
            pred = noisy_prediction(rng, target, num_classes)
            pred[:, 3:18] = num_classes - 1  # more than a byte can count
            expected = count_pairs(pred, target, num_classes, ignored)
            got = student.confusion_matrix(pred.to(torch.uint8), target.to(torch.uint8), num_classes, ignored)
            assert_same(got, expected)

    @pytest.mark.weight(2)
    def test_labels_outside(self, student, rng):
        """Labels of classes are counted; one outside them raises ValueError, in prediction and truth"""
        num_classes = draw(rng, 3, 6)
        target = random_labels(rng, num_classes, 5, 6)
        pred = noisy_prediction(rng, target, num_classes)
        assert_same(student.confusion_matrix(pred, target, num_classes), count_pairs(pred, target, num_classes))
        for number in range(2):
            for bad in (-1, -num_classes, num_classes, num_classes + draw(rng, 1, 99)):
                pair, column = [pred.clone(), target.clone()], draw(rng, 0, 4)
                pair[0][0, column], pair[1][0, column] = 1, 1
                pair[number][0, column] = bad
                with student.raises(ValueError):
                    student.confusion_matrix(*pair, num_classes)
        pred[2, 3] = 255  # ignored is what the truth says, not the prediction
        with student.raises(ValueError):
            student.confusion_matrix(pred, target, num_classes)

    def probe_nothing_valid(self, student, rng):
        student.confusion_matrix(torch.tensor([1, 0]), torch.tensor([255, 255]), 2)

    def probe_prediction_outside(self, student, rng):
        target = random_labels(rng, 3, 5, 6)
        pred = noisy_prediction(rng, target, 3)
        pred[target == 1] = 3
        student.confusion_matrix(pred, target, 3)


# ---------------------------------------------------------------------------------------------------------------------
# iou_per_class, mean_iou
# ---------------------------------------------------------------------------------------------------------------------


def random_matrix(rng, num_classes, high=50):
    """A confusion matrix without zeros, quite unsymmetric, with a strong diagonal."""
    counts = torch.from_numpy(rng.integers(1, high, (num_classes, num_classes)))
    counts += torch.diag(torch.from_numpy(rng.integers(high, 9 * high, num_classes)))
    return counts + 3 * counts.triu(1)


def exact_ious(confusion):
    """A fraction per class, or None for a class that occurs nowhere; from the pixels that a class concerns."""
    rows = confusion.tolist()
    ious = []
    for k in range(len(rows)):
        concerned = sum(n for i, row in enumerate(rows) for j, n in enumerate(row) if k in (i, j))
        ious.append(Fraction(rows[k][k], concerned) if concerned else None)
    return ious


def expected_ious(confusion):
    return torch.tensor([math.nan if x is None else float(x) for x in exact_ious(confusion)], dtype=torch.float64)


def expected_mean(confusion):
    present = [x for x in exact_ious(confusion) if x is not None]
    return float(sum(present) / len(present)) if present else math.nan


def without(confusion, *classes):
    """The matrix without any pixel of these classes."""
    confusion = confusion.clone()
    for k in classes:
        confusion[k], confusion[:, k] = 0, 0
    return confusion


class TestIouPerClass:
    """iou_per_class: intersection over union"""

    @pytest.mark.weight(2)
    def test_random_counts(self, student, rng):
        """Matrices of 2 to 9 classes, all of which occur"""
        for num_classes in (draw(rng, 3, 5), 2, draw(rng, 6, 9)):
            confusion = random_matrix(rng, num_classes)
            assert_same(student.iou_per_class(confusion), expected_ious(confusion))

    def test_absent(self, student, rng):
        """Classes that occur nowhere have NaN, the others their numbers"""
        confusion = without(random_matrix(rng, 6), draw(rng, 0, 2), draw(rng, 3, 5))
        assert_same(student.iou_per_class(confusion), expected_ious(confusion))

    def test_only_predicted(self, student, rng):
        """A class that is only predicted has 0, and so has another one that is only in the truth"""
        confusion = random_matrix(rng, 5)
        confusion[draw(rng, 0, 2)], confusion[:, draw(rng, 3, 4)] = 0, 0
        assert_same(student.iou_per_class(confusion), expected_ious(confusion))

    def test_only_in_the_truth(self, student, rng):
        """A class that is never predicted has 0"""
        confusion = random_matrix(rng, 4)
        confusion[:, draw(rng, 0, 3)] = 0
        assert_same(student.iou_per_class(confusion), expected_ious(confusion))

    def test_few_pixels(self, student, rng):
        """Counts of a few pixels: nothing is added to avoid a division"""
        confusion = torch.eye(4, dtype=torch.int64)
        confusion[0, draw(rng, 1, 3)] = draw(rng, 1, 3)
        assert_same(student.iou_per_class(confusion), expected_ious(confusion))

    def test_large_counts(self, student, rng):
        """Counts of a large data set, up to a million of millions"""
        right = torch.eye(draw(rng, 3, 6), dtype=torch.int64)
        nearly = (2**24 + 1) * right + right.roll(1, 0)  # float32 has neither 2**24 + 1 nor 2**24 + 3
        for confusion in (nearly, random_matrix(rng, 4) * 10**10 + random_labels(rng, 1000, 4, 4)):
            assert_same(student.iou_per_class(confusion), expected_ious(confusion))

    def test_extremes(self, student, rng):
        """Everything right gives 1, everything wrong 0, no pixel at all NaN"""
        right = torch.diag(random_labels(rng, 90, 3) + 1)
        for confusion in (right, right.roll(1, 0), 0 * right):
            assert_same(student.iou_per_class(confusion), expected_ious(confusion))


class TestMeanIou:
    """mean_iou: one number for a whole data set"""

    @pytest.mark.weight(2)
    def test_random_counts(self, student, rng):
        """Matrices of 2 to 9 classes, all of which occur: a Python float"""
        for num_classes in (draw(rng, 3, 5), 2, draw(rng, 6, 9)):
            confusion = random_matrix(rng, num_classes)
            assert_same(student.mean_iou(confusion), expected_mean(confusion))

    @pytest.mark.weight(2)
    def test_absent(self, student, rng):
        """Classes that occur nowhere are left out of the mean"""
        for absent in ((draw(rng, 0, 5),), (draw(rng, 0, 2), draw(rng, 3, 5))):
            confusion = without(random_matrix(rng, 6), *absent)
            assert_same(student.mean_iou(confusion), expected_mean(confusion))

    def test_only_predicted(self, student, rng):
        """A class that is predicted though it is not in the truth counts with 0"""
        confusion = random_matrix(rng, 4)
        confusion[draw(rng, 0, 3)] = 0
        assert_same(student.mean_iou(confusion), expected_mean(confusion))

    def test_missed_class(self, student, rng):
        """Nearly all is background, and predicted so: a class that was missed counts with 0"""
        confusion = torch.zeros(3, 3, dtype=torch.int64)
        confusion[:, 0] = torch.tensor([draw(rng, 900, 999), draw(rng, 5, 40), draw(rng, 5, 40)])
        confusion[1, 1] = draw(rng, 3, 9)
        assert_same(student.mean_iou(confusion), expected_mean(confusion))

    def test_nothing_seen(self, student, rng):
        """A single pixel that is right gives 1; no pixel at all, NaN"""
        num_classes = draw(rng, 2, 6)
        confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        confusion[1, 1] = 1
        assert_same(student.mean_iou(confusion), 1.0)
        assert_same(student.mean_iou(0 * confusion), math.nan)

    def probe_nothing_seen(self, student, rng):
        student.mean_iou(torch.zeros(5, 5, dtype=torch.int64))
