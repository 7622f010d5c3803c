"""Visible checks of lesson 01. `check(boundary_mask)` in the notebook runs the class of that function's name."""

import math

import torch

from seglab.checking.compare import Mismatch, assert_same


class TestInstancesToSemantic:
    """instances_to_semantic: from numbered objects to classes"""

    def test_small_picture(self, student):
        """Objects 1, 2 and 3 have the classes 2, 1 and 2, the background has 0"""
        picture = torch.tensor([[0, 1, 1, 0], [2, 2, 0, 3]])
        got = student.instances_to_semantic(picture, torch.tensor([0, 2, 1, 2]))
        assert_same(got, torch.tensor([[0, 2, 2, 0], [1, 1, 0, 2]]))

    def test_background(self, student):
        """The background has a class like the others, here 3, and object 2 is not in the picture"""
        picture = torch.tensor([[0, 1], [3, 0], [0, 0]])
        got = student.instances_to_semantic(picture, torch.tensor([3, 1, 4, 0]))
        assert_same(got, torch.tensor([[3, 1], [0, 3], [3, 3]]))

    def test_ignored(self, student):
        """Pixels of 255 stay 255, though there are only two classes; so does a picture that has no others"""
        picture = torch.tensor([[255, 1, 255], [0, 1, 0]])
        got = student.instances_to_semantic(picture, torch.tensor([4, 1]))
        assert_same(got, torch.tensor([[255, 1, 255], [4, 1, 4]]))
        unknown = torch.full((2, 3), 255)
        assert_same(student.instances_to_semantic(unknown, torch.tensor([4, 1])), unknown)

    def test_other_ignored(self, student):
        """With ignore_index=2, pixels of 2 stay 2, although class_of has an entry there; with -1, pixels of -1"""
        class_of = torch.tensor([0, 1, 5, 3])
        got = student.instances_to_semantic(torch.tensor([[2, 3], [1, 0]]), class_of, ignore_index=2)
        assert_same(got, torch.tensor([[2, 3], [1, 0]]))
        got = student.instances_to_semantic(torch.tensor([[-1, 2], [1, 0]]), class_of, ignore_index=-1)
        assert_same(got, torch.tensor([[-1, 5], [1, 0]]))

    def test_object_without_class(self, student):
        """class_of has entries for 0 to 3: a picture in which there is a -1 or a 4 raises ValueError with a message"""
        for number in (-1, 4):
            with student.raises(ValueError):
                student.instances_to_semantic(torch.tensor([[number, 0, 1], [2, 0, 3]]), torch.tensor([5, 4, 7, 9]))

    def probe_nothing_known(self, student):
        student.instances_to_semantic(torch.full((1, 2), 255), torch.tensor([3, 8, 1]))

    def probe_many_objects(self, student):
        student.instances_to_semantic(torch.tensor([[255, 0, 299]]), torch.arange(300) % 7)


def drawn(*rows):
    """The boundary as drawn: '#' is True, '.' is False."""
    return torch.tensor([[letter == "#" for letter in row] for row in rows])


class TestBoundaryMask:
    """boundary_mask: where two labels meet"""

    def test_two_halves(self, student):
        """Three columns of 1 beside two columns of 0: the two columns in the middle are the boundary"""
        got = student.boundary_mask(torch.tensor([[1, 1, 1, 0, 0]] * 3))
        assert_same(got, drawn("..##.", "..##.", "..##."))

    def test_one_pixel(self, student):
        """One pixel of class 7 in a picture of class 4: that pixel and its four neighbours, no diagonal ones"""
        labels = torch.full((4, 5), 4)
        labels[1, 2] = 7
        assert_same(student.boundary_mask(labels), drawn("..#..", ".###.", "..#..", "....."))

    def test_no_boundary(self, student):
        """A picture of one class only has no boundary: its edge is none"""
        assert_same(student.boundary_mask(torch.full((3, 4), 2)), drawn("....", "....", "...."))

    def test_steps(self, student):
        """Stripes of 1, 2 and 3, each a row high: all of it is boundary"""
        assert_same(student.boundary_mask(torch.tensor([[1] * 4, [2] * 4, [3] * 4])), drawn("####", "####", "####"))

    def test_batch(self, student):
        """Two pictures, one of class 0, one with a border inside: they do not touch; (2, 2, 3), then (2, 1, 2, 3)"""
        pictures = torch.tensor([[[0, 0, 0]] * 2, [[0, 0, 2]] * 2])
        expected = torch.stack([drawn("...", "..."), drawn(".##", ".##")])
        assert_same(student.boundary_mask(pictures), expected)
        assert_same(student.boundary_mask(pictures[:, None]), expected[:, None])

    def test_object_numbers(self, student):
        """A row of the labels 1, 1, 257, 257, -1, 255, 255, 255, a million of millions and one more: five borders"""
        row = torch.tensor([[1, 1, 257, 257, -1, 255, 255, 255, 10**12, 10**12 + 1]])
        assert_same(student.boundary_mask(row), drawn(".#####.###"))


def look_at_gradient(student, scores, target):
    kept = student.keep(torch.tensor(scores, requires_grad=True))
    student.pixel_cross_entropy.kept(kept, torch.tensor(target)).call("backward")
    kept.get("grad", keep=True).call("clone")  # where there is none, an error that says so


class TestPixelCrossEntropy:
    """pixel_cross_entropy: the loss that segmentation networks are trained with"""

    forbidden = {  # noqa: RUF012
        name: "the loss is what you write here, from exp, sum and log"
        for name in (
            *("cross_entropy", "CrossEntropyLoss", "nll_loss", "nll_loss2d", "NLLLoss", "NLLLoss2d"),
            *("log_softmax", "LogSoftmax", "logsumexp", "logaddexp", "logcumsumexp"),
        )
    }

    # Odds of 3 to 1 between two classes are probabilities of 3/4 and 1/4; of 8 to 1 to 1, they are 0.8, 0.1, 0.1.

    def test_two_pixels(self, student):
        """Probabilities 3/4 and 1/4 in both pixels, the labels are 0 and 1: the mean of log 4/3 and log 4"""
        scores = torch.tensor([math.log(3), 0.0])[None, :, None, None].repeat(1, 1, 1, 2)
        got = student.pixel_cross_entropy(scores, torch.tensor([[[0, 1]]]))
        assert_same(got, torch.tensor((math.log(4 / 3) + math.log(4)) / 2))

    def test_batch(self, student):
        """Two pictures of 2 x 3 pixels; each pixel favours one of three classes with 0.8, in 7 of 12 the right one"""
        favoured = torch.tensor([[[0, 1, 2], [0, 0, 1]], [[2, 2, 1], [1, 0, 2]]])
        scores = math.log(8) * torch.stack([favoured == k for k in range(3)], dim=1)  # (2, 3, 2, 3)
        truth = torch.tensor([[[0, 1, 2], [1, 0, 2]], [[2, 0, 1], [0, 0, 1]]])
        expected = (7 * math.log(1 / 0.8) + 5 * math.log(1 / 0.1)) / 12
        assert_same(student.pixel_cross_entropy(scores.float(), truth), torch.tensor(expected))

    def test_ignored(self, student):
        """Two pictures of three pixels, two of the first are ignored; the other four labels have 0.8, 0.8, 0.8, 0.1"""
        scores = torch.tensor([0.0, math.log(8), 0.0])[None, :, None, None].repeat(2, 1, 1, 3)
        got = student.pixel_cross_entropy(scores, torch.tensor([[[1, 255, 255]], [[1, 1, 2]]]))
        assert_same(got, torch.tensor((3 * math.log(1.25) + math.log(10)) / 4))

    def test_other_ignored(self, student):
        """With ignore_index=1, two pixels of class 1 do not count; the labels of the others have 0.8 and 0.1"""
        scores = torch.tensor([math.log(8), 0.0, 0.0])[None, :, None, None].repeat(1, 1, 1, 4)
        got = student.pixel_cross_entropy(scores, torch.tensor([[[0, 1, 1, 2]]]), ignore_index=1)
        assert_same(got, torch.tensor((math.log(1.25) + math.log(10)) / 2))

    def test_large_logits(self, student):
        """Logits of 10000 and -10000: a right answer costs 0, a wrong one 20000, half of each 10000"""
        scores = torch.tensor([1e4, -1e4])[None, :, None, None].repeat(1, 1, 1, 2)
        assert_same(student.pixel_cross_entropy(scores, torch.tensor([[[0, 0]]])), torch.tensor(0.0))
        assert_same(student.pixel_cross_entropy(scores, torch.tensor([[[0, 1]]])), torch.tensor(1e4))

    def test_levels(self, student):
        """Probabilities 3/4 and 1/4 in all of 2 x 2 x 3 pixels, but each at a level of its own, from -500 to 600"""
        level = torch.tensor([[[0.0, 300, -200], [500, -400, 100]], [[-100, 400, -500], [200, 600, -300]]])
        scores = torch.stack([level + math.log(3), level], dim=1)  # (2, 2, 2, 3)
        truth = torch.tensor([[[0, 0, 1], [0, 1, 0]], [[0, 0, 0], [1, 0, 0]]])
        expected = (9 * math.log(4 / 3) + 3 * math.log(4)) / 12
        assert_same(student.pixel_cross_entropy(scores, truth), torch.tensor(expected))

    def test_gradient(self, student):
        """Four pixels of probabilities 3/4 and 1/4, labels 0, 1, 255, 255: gradient for class 0 -1/8, 3/8, 0, 0"""
        scores = torch.tensor([math.log(3), 0.0])[None, :, None, None].repeat(1, 1, 1, 4)  # (1, 2, 1, 4)
        kept = student.keep(scores.requires_grad_())
        loss = student.pixel_cross_entropy.kept(kept, torch.tensor([[[0, 1, 255, 255]]]))
        if loss.get("requires_grad") is not True:
            raise Mismatch("rule", "a loss that knows its gradient", "one that does not: nothing could be trained")
        loss.call("backward")
        assert_same(kept.get("grad"), torch.tensor([[[[-0.125, 0.375, 0, 0]], [[0.125, -0.375, 0, 0]]]]))

    def test_all_ignored(self, student):
        """Every pixel is ignored: the loss is 0, and so is the gradient that comes back from it"""
        scores, unknown = torch.ones(1, 2, 1, 3), torch.full((1, 1, 3), 255)
        assert_same(student.pixel_cross_entropy(scores, unknown), torch.tensor(0.0))
        kept = student.keep(scores.requires_grad_())
        loss = student.pixel_cross_entropy.kept(kept, unknown)
        loss.call("backward")
        assert_same(kept.get("grad"), torch.zeros(1, 2, 1, 3))

    def probe_nothing_valid(self, student):
        for width in (1, 2):
            student.pixel_cross_entropy(torch.ones(1, 2, 1, width), torch.full((1, 1, width), 255))

    def probe_gradient_of_nothing(self, student):
        look_at_gradient(student, [[[[1.0, 0.5]], [[0.2, 0.1]]]], [[[255, 255]]])

    def probe_far_apart(self, student):
        look_at_gradient(student, [[[[1.0, 0.0, 0.3]], [[0.5, 1000.0, -0.7]]]], [[[0, 0, 1]]])


class TestConfusionMatrix:
    """confusion_matrix: what was taken for what"""

    def test_rows_are_truth(self, student):
        """Two pixels of class 0 were taken for class 1, and none the other way round"""
        found, truth = torch.tensor([[0, 1, 1], [1, 2, 2]]), torch.tensor([[0, 0, 0], [1, 2, 2]])
        assert_same(student.confusion_matrix(found, truth, 3), torch.tensor([[1, 2, 0], [0, 1, 0], [0, 0, 2]]))

    def test_ignored(self, student):
        """Two of four pixels have the target 255, and do not count, whatever was predicted there; then all of them"""
        found, truth = torch.tensor([[1, 0], [0, 1]]), torch.tensor([[1, 255], [255, 0]])
        for everywhere in (found, torch.where(truth == 255, 255, found)):
            assert_same(student.confusion_matrix(everywhere, truth, 2), torch.tensor([[0, 1], [0, 1]]))
        got = student.confusion_matrix(found, torch.full((2, 2), 255), 2)
        assert_same(got, torch.zeros(2, 2, dtype=torch.int64))

    def test_other_ignored(self, student):
        """With ignore_index=1, pixels of class 1 do not count; a pixel of class 0 that was taken for 1 does"""
        found, truth = torch.tensor([[0, 1, 2], [1, 1, 0]]), torch.tensor([[1, 0, 2], [1, 1, 0]])
        expected = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 0, 1]])
        assert_same(student.confusion_matrix(found, truth, 3, ignore_index=1), expected)

    def test_absent_class(self, student):
        """All of four classes occur, then only two of them: both times a matrix of 4 x 4"""
        every = torch.tensor([0, 1, 2, 3])
        assert_same(student.confusion_matrix(every, every, 4), torch.eye(4, dtype=torch.int64))
        got = student.confusion_matrix(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]), 4)
        assert_same(got, torch.tensor([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))

    def test_bytes(self, student):
        """300 pixels of class 29 of 30, and a few others, in bytes: ignore_index is 255, then 285, in bytes also 29"""
        labels = torch.tensor([29] * 300 + [2] * 5 + [3] * 7, dtype=torch.uint8)
        expected = torch.zeros(30, 30, dtype=torch.int64)
        expected[29, 29], expected[2, 2], expected[3, 3] = 300, 5, 7
        for ignored in (255, 285):
            assert_same(student.confusion_matrix(labels, labels, 30, ignored), expected)

    def test_labels_outside(self, student):
        """With three classes, a label -1 or 3 raises ValueError, in the prediction as well as in the truth"""
        good = torch.tensor([[0, 1, 2, 2, 2]])
        for label in (-1, 3):
            bad = torch.tensor([[0, label, 1, 2, 2]])
            for pair in ((bad, good), (good, bad)):
                with student.raises(ValueError):
                    student.confusion_matrix(*pair, 3)

    def probe_nothing_valid(self, student):
        student.confusion_matrix(torch.tensor([2, 0]), torch.tensor([255, 255]), 3)

    def probe_prediction_outside(self, student):
        student.confusion_matrix(torch.tensor([3, 1, 2, 0, 3, 1]), torch.tensor([0, 1, 2, 0, 1, 1]), 3)

    def probe_last_class_absent(self, student):
        student.confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 5)


NAN = math.nan


class TestIouPerClass:
    """iou_per_class: intersection over union"""

    def test_three_classes(self, student):
        """[[6, 2, 0], [1, 3, 1], [0, 4, 8]]: 6 of 9 pixels, 3 of 11, 8 of 13"""
        got = student.iou_per_class(torch.tensor([[6, 2, 0], [1, 3, 1], [0, 4, 8]]))
        assert_same(got, torch.tensor([6 / 9, 3 / 11, 8 / 13], dtype=torch.float64))

    def test_absent_class(self, student):
        """Class 1 occurs neither in the truth nor in the prediction: NaN"""
        got = student.iou_per_class(torch.tensor([[3, 0, 1], [0, 0, 0], [0, 0, 4]]))
        assert_same(got, torch.tensor([0.75, NAN, 0.8], dtype=torch.float64))

    def test_found_but_not_there(self, student):
        """Class 1 is predicted once, and not in the truth; class 2 the other way round: 0 for both"""
        got = student.iou_per_class(torch.tensor([[4, 1, 0], [0, 0, 0], [3, 0, 0]]))
        assert_same(got, torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64))


class TestMeanIou:
    """mean_iou: one number for a whole data set"""

    def test_two_classes(self, student):
        """[[8, 2], [1, 3]]: the mean of 8/11 and 1/2, a Python float"""
        assert_same(student.mean_iou(torch.tensor([[8, 2], [1, 3]])), (8 / 11 + 1 / 2) / 2)

    def test_absent_class(self, student):
        """IoU 3/4, NaN and 8/9: the mean of the two that are numbers"""
        assert_same(student.mean_iou(torch.tensor([[3, 0, 1], [0, 0, 0], [0, 0, 8]])), (3 / 4 + 8 / 9) / 2)

    def test_never_right(self, student):
        """IoU 1/2, 0 for a class that is only predicted, 0 for one only in the truth, and 1: the mean of all four"""
        rows = [[4, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 2]]
        assert_same(student.mean_iou(torch.tensor(rows)), 1.5 / 4)

    def test_libraries_disagree(self, student):
        """The lecture's matrix, on which eight conventions give eight answers: class 2 counts 0, class 3 not at all"""
        rows = [[10, 0, 1, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
        assert_same(student.mean_iou(torch.tensor(rows)), (10 / 12 + 3 / 4 + 0) / 3)

    def test_nothing_seen(self, student):
        """One pixel, found: 1; no pixel at all: NaN, not an error"""
        one = torch.tensor([[0, 0], [0, 1]])
        assert_same(student.mean_iou(one), 1.0)
        assert_same(student.mean_iou(0 * one), NAN)

    def probe_nothing_seen(self, student):
        student.mean_iou(torch.zeros(3, 3, dtype=torch.int64))
