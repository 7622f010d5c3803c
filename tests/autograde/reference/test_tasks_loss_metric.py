"""The reference of lesson 01 against independent oracles: torch, torchmetrics, scikit-image, scipy, known numbers."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage.segmentation import find_boundaries
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from autograde.reference.tasks_loss_metric import (
    boundary_mask,
    confusion_matrix,
    instances_to_semantic,
    iou_per_class,
    mean_iou,
    pixel_cross_entropy,
)
from seglab.data.nuclei import load_nuclei
from seglab.data.scenes import load_scenes
from seglab.training import miou

LECTURE = torch.tensor([[10, 0, 1, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])  # where libraries disagree


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class TestInstancesToSemantic:
    def test_agrees_with_the_masks_of_the_scenes(self):
        scenes = load_scenes("val", size=64, count=3)
        for instances, class_of, mask in zip(scenes.instances, scenes.class_of, scenes.masks, strict=True):
            assert torch.equal(instances_to_semantic(instances, class_of), mask)

    def test_agrees_with_numpy_take(self):
        class_of = torch.randint(0, 9, (40,))
        instances = torch.randint(0, 40, (13, 17))
        expected = np.take(class_of.numpy(), instances.numpy())
        assert np.array_equal(instances_to_semantic(instances, class_of).numpy(), expected)

    @pytest.mark.parametrize("ignore_index", [255, -1, 0])
    def test_ignored(self, ignore_index):
        instances = torch.randint(0, 3, (9, 8))
        instances[2:5, 3] = ignore_index
        before = instances.clone()
        semantic = instances_to_semantic(instances, torch.tensor([4, 5, 6]), ignore_index)
        assert torch.equal(semantic == ignore_index, instances == ignore_index)
        kept = instances != ignore_index
        assert torch.equal(semantic[kept], instances[kept] + 4)
        assert torch.equal(instances, before)

    @pytest.mark.parametrize("bad", [2, 254, -1, -2])
    def test_refuses_an_object_without_class(self, bad):
        with pytest.raises(ValueError, match="2 classes"):
            instances_to_semantic(torch.tensor([[0, bad]]), torch.tensor([0, 1]))


class TestBoundaryMask:
    def test_agrees_with_scikit_image(self):
        """On real objects, on noise, and on labels that only touch at corners."""
        nuclei = load_nuclei()[1][0]
        for labels in (nuclei, (nuclei > 0).long(), torch.randint(0, 3, (40, 31)), torch.eye(9).long()):
            expected = find_boundaries(labels.numpy(), connectivity=1, mode="thick")
            assert np.array_equal(boundary_mask(labels).numpy(), expected)

    def test_agrees_with_the_range_of_the_neighbourhood(self):
        """A pixel is on the boundary if largest and smallest label of the cross around it differ."""
        labels = np.random.default_rng(0).integers(-3, 4, (4, 20, 15)).repeat(3, axis=2)
        cross = ndimage.generate_binary_structure(2, 1)
        expected = [
            ndimage.maximum_filter(one, footprint=cross) != ndimage.minimum_filter(one, footprint=cross)
            for one in labels  # both filters mirror at the edge
        ]
        assert np.array_equal(boundary_mask(torch.from_numpy(labels)).numpy(), np.stack(expected))

    def test_leading_dimensions(self):
        labels = torch.randint(0, 3, (2, 3, 8, 7))
        got = boundary_mask(labels)
        assert got.dtype == torch.bool
        for i in range(2):
            for j in range(3):
                assert torch.equal(got[i, j], boundary_mask(labels[i, j]))

    def test_parts_touching_nuclei(self):
        """The lesson's point: objects have boundaries that their semantic mask lost."""
        nuclei = load_nuclei()[1][0]
        lost = boundary_mask(nuclei) & ~boundary_mask((nuclei > 0).long())
        assert lost.sum() > 100
        assert (nuclei[lost] > 0).all()


class TestPixelCrossEntropy:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("ignore_index", [255, -100, 1])
    def test_agrees_with_torch_in_value_and_gradient(self, dtype, ignore_index):
        logits = torch.randn(2, 4, 7, 5, dtype=dtype, requires_grad=True)
        target = torch.randint(0, 4, (2, 7, 5))
        target[0, :4] = ignore_index
        loss = pixel_cross_entropy(logits, target, ignore_index)
        (gradient,) = torch.autograd.grad(loss, logits)
        expected = F.cross_entropy(logits, target, ignore_index=ignore_index)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient, torch.autograd.grad(expected, logits)[0])

    def test_gradient_by_finite_differences(self):
        logits = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
        target = torch.tensor([[[0, 255], [2, 1]]])
        assert torch.autograd.gradcheck(lambda z: pixel_cross_entropy(z, target), logits)

    def test_gradient_is_softmax_minus_one_hot(self):
        logits = torch.randn(2, 3, 4, 5, requires_grad=True)
        target = torch.randint(0, 3, (2, 4, 5))
        target[1, 2] = 255
        pixel_cross_entropy(logits, target).backward()
        valid = (target != 255)[:, None]
        one_hot = F.one_hot(target * (target != 255), 3).permute(0, 3, 1, 2)
        expected = valid * (logits.detach().softmax(1) - one_hot) / valid.sum()
        torch.testing.assert_close(logits.grad, expected)

    @pytest.mark.parametrize("num_classes", [2, 3, 21])
    def test_known_values(self, num_classes):
        """log C without any idea; and the floor that a softmax before the loss puts under it (.313, .551, 2.123)."""
        target = torch.randint(0, num_classes, (2, 3, 4))
        uniform = pixel_cross_entropy(torch.full((2, num_classes, 3, 4), 5.0), target)
        assert math.isclose(uniform, math.log(num_classes), rel_tol=1e-6)
        perfect = F.one_hot(target, num_classes).permute(0, 3, 1, 2).float()
        floor = {2: 0.313, 3: 0.551, 21: 2.123}[num_classes]
        assert math.isclose(pixel_cross_entropy(perfect, target), floor, abs_tol=6e-4)

    def test_large_logits(self):
        logits = (1e4 * torch.randn(2, 3, 6, 6)).requires_grad_()
        target = torch.randint(0, 3, (2, 6, 6))
        loss = pixel_cross_entropy(logits, target)
        torch.testing.assert_close(loss, F.cross_entropy(logits, target))
        loss.backward()
        assert torch.isfinite(logits.grad).all()

    def test_mean_over_valid_pixels_only(self):
        """Two libraries divide by all pixels: of four pixels three count, 1.35 becomes 1.0125."""
        one_pixel = torch.tensor([math.log(math.exp(1.35) - 1), 0.0])  # log(1 + e^z) = 1.35
        logits = one_pixel[None, :, None, None].expand(1, 2, 2, 2)
        target = torch.tensor([[[1, 1], [1, 255]]])
        assert math.isclose(pixel_cross_entropy(logits, target), 1.35, rel_tol=1e-5)
        assert math.isclose(pixel_cross_entropy(logits, target) * 3 / 4, 1.0125, rel_tol=1e-5)

    def test_nothing_valid(self):
        logits, target = torch.randn(1, 2, 3, 3, requires_grad=True), torch.full((1, 3, 3), 255)
        assert F.cross_entropy(logits, target, ignore_index=255).isnan()
        loss = pixel_cross_entropy(logits, target)
        loss.backward()
        assert loss == 0 and (logits.grad == 0).all()


class TestConfusionMatrix:
    @pytest.mark.parametrize("ignore_index", [255, -1])
    def test_agrees_with_torchmetrics(self, ignore_index):
        pred, target = torch.randint(0, 5, (3, 9, 11)), torch.randint(0, 5, (3, 9, 11))
        target[0, 2:6] = ignore_index
        expected = multiclass_confusion_matrix(pred, target, num_classes=5, ignore_index=ignore_index)
        assert torch.equal(confusion_matrix(pred, target, 5, ignore_index), expected)

    def test_sums_are_the_sizes_of_the_classes(self):
        pred, target = torch.randint(0, 4, (6, 7)), torch.randint(0, 4, (6, 7))
        counts = confusion_matrix(pred, target, 4)
        assert torch.equal(counts.sum(dim=1), torch.bincount(target.flatten(), minlength=4))
        assert torch.equal(counts.sum(dim=0), torch.bincount(pred.flatten(), minlength=4))

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
    def test_no_overflow(self, dtype):
        pred, target = torch.randint(0, 250, (2, 40, 40))
        expected = confusion_matrix(pred, target, 250)
        assert torch.equal(confusion_matrix(pred.to(dtype), target.to(dtype), 250), expected)

    def test_a_byte_is_not_taken_for_a_negative_ignore_index(self):
        """In uint8, -100 and 156 are one number: labels must become int64 before they are compared."""
        labels = torch.full((3, 3), 156, dtype=torch.uint8)
        assert confusion_matrix(labels, labels, 200, ignore_index=-100)[156, 156] == 9

    def test_batches_add_up(self):
        pred, target = torch.randint(0, 3, (4, 8, 8)), torch.randint(0, 3, (4, 8, 8))
        parts = sum(confusion_matrix(p, t, 3) for p, t in zip(pred, target, strict=True))
        assert torch.equal(parts, confusion_matrix(pred, target, 3))

    def test_prediction_is_free_where_the_truth_is_ignored(self):
        counts = confusion_matrix(torch.tensor([1, 255, -7]), torch.tensor([1, 255, 255]), 2)
        assert counts.tolist() == [[0, 0], [0, 1]]

    @pytest.mark.parametrize(
        ("pred", "target"), [([0, 2], [0, 1]), ([0, -1], [0, 1]), ([0, 1], [0, 2]), ([0, 1], [0, -1])]
    )
    def test_refuses_labels_outside(self, pred, target):
        with pytest.raises(ValueError, match="2 classes"):
            confusion_matrix(torch.tensor(pred), torch.tensor(target), 2)


class TestIou:
    def test_agrees_with_torchmetrics(self):
        """Also for classes that are only predicted (0), and for those that occur nowhere (left out)."""
        for classes_of_the_truth in (5, 4, 2):
            pred, target = torch.randint(0, 4, (2, 9, 11)), torch.randint(0, classes_of_the_truth, (2, 9, 11))
            target[1, 3:5] = 255
            expected = multiclass_jaccard_index(pred, target, 6, average="macro", ignore_index=255)
            assert math.isclose(mean_iou(confusion_matrix(pred, target, 6)), expected, rel_tol=1e-6)

    def test_agrees_with_the_training_metric(self):
        logits, target = torch.randn(2, 4, 8, 9), torch.randint(0, 4, (2, 8, 9))
        target[0, :3] = 255
        counts = confusion_matrix(logits.argmax(1), target, 4)
        assert math.isclose(mean_iou(counts), miou(logits, target), rel_tol=1e-6)

    def test_where_libraries_disagree(self):
        """Of seven published conventions ours is the first: 0.5278."""
        ious = iou_per_class(LECTURE)
        torch.testing.assert_close(ious, torch.tensor([10 / 12, 0.75, 0, math.nan]).double(), equal_nan=True)
        assert math.isclose(mean_iou(LECTURE), 0.5278, abs_tol=5e-5)
        assert math.isclose(ious.nan_to_num(0).mean(), 0.3958, abs_tol=5e-5)
        assert math.isclose(ious.nan_to_num(1).mean(), 0.6458, abs_tol=5e-5)
        assert math.isclose(ious[LECTURE.sum(1) > 0].mean(), 0.7917, abs_tol=5e-5)

    def test_transposing_changes_nothing(self):
        confusion = torch.randint(0, 50, (5, 5))
        torch.testing.assert_close(iou_per_class(confusion), iou_per_class(confusion.T))

    def test_perfect_and_empty(self):
        assert mean_iou(torch.diag(torch.tensor([3, 0, 7]))) == 1.0
        assert type(mean_iou(LECTURE)) is float
        assert math.isnan(mean_iou(torch.zeros(3, 3).long()))
        assert iou_per_class(LECTURE).dtype == torch.float64
