"""The training loop learns, is reproducible, and refuses nonsense."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seglab.training import (
    cross_entropy,
    fit,
    miou,
    mirror_and_recolour,
    pixel_accuracy,
    predict_logits,
    turn_and_brighten,
)


def colour_data(count=64):
    """Pictures that are red or blue, and masks in which the brighter half is class 1."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 2, (count,), generator=generator)
    images = torch.rand(count, 3, 8, 8, generator=generator) * 0.5
    images[torch.arange(count), labels * 2] += 0.5
    return images, labels


def classifier(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(192, 2))


class TestFit:
    def test_learns_to_classify(self):
        images, labels = colour_data()
        model = classifier()
        before = pixel_accuracy(predict_logits(model, images), labels)
        history = fit(model, images, labels, epochs=20, batch_size=16, lr=0.02, val=(images, labels))
        assert before < 0.9 and history.scores[-1][1] > 0.95
        assert len(history.losses) == 20 * 4 and history.scores[-1][0] == 80
        assert sum(history.losses[-4:]) < 0.5 * sum(history.losses[:4])

    def test_learns_to_segment(self):
        images, _ = colour_data()
        masks = (images[:, 1] > 0.25).long()  # (N, 8, 8)
        masks[:, 0] = 255  # ignored, and of no use
        torch.manual_seed(0)
        model = nn.Conv2d(3, 2, 1)
        history = fit(model, images, masks, steps=60, lr=0.3, val=(images, masks), metric=pixel_accuracy)
        assert history.scores[-1][1] > 0.95

    def test_same_seed_same_weights_and_another_seed_others(self):
        images, labels = colour_data()
        weights = []
        for seed in (0, 0, 1):
            model = classifier()
            torch.rand(seed + 3)  # the global state must not matter
            fit(model, images, labels, steps=5, batch_size=8, seed=seed)
            weights.append(model[2].weight.detach())
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])

    def test_global_random_state_is_left_alone(self):
        images, labels = colour_data()
        torch.manual_seed(7)
        expected = torch.rand(3)
        model = classifier()
        torch.manual_seed(7)
        fit(model, images, labels, steps=3)
        assert torch.equal(torch.rand(3), expected)

    def test_an_epoch_shows_each_example_once(self):
        images = torch.arange(12.0).view(12, 1, 1, 1)
        seen = []

        def remember(batch, answer, generator):
            seen.extend(batch.flatten().tolist())
            return batch, answer

        fit(
            nn.Sequential(nn.Flatten(), nn.Linear(1, 2)),
            images / 100,
            torch.zeros(12, dtype=torch.int64),
            epochs=2,
            batch_size=4,
            augment=remember,
        )
        first, second = seen[:12], seen[12:]
        assert sorted(first) == sorted(second) == pytest.approx([i / 100 for i in range(12)])
        assert first != second

    def test_ends_in_evaluation_mode_also_after_validation_on_the_way(self):
        images, labels = colour_data()
        model = classifier()
        modes = []
        model[1].register_forward_hook(lambda layer, given, result: modes.append(layer.training))
        fit(model, images, labels, steps=4, val=(images, labels))
        assert not model.training
        assert modes == [True, False] * 4

    def test_batch_larger_than_the_data(self):
        images, labels = colour_data(5)
        assert len(fit(classifier(), images, labels, epochs=2, batch_size=64).losses) == 2

    def test_loss_and_metric_of_the_caller(self):
        images, labels = colour_data()
        calls = []

        def loss(logits, target):
            calls.append((logits.shape, target.shape))
            return F.cross_entropy(logits, target)

        history = fit(
            classifier(),
            images,
            labels,
            loss=loss,
            steps=2,
            batch_size=8,
            val=(images, labels),
            metric=lambda logits, target: 42.0,
        )
        assert calls == [((8, 2), (8,))] * 2
        assert history.scores == [(1, 42.0), (2, 42.0)]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"target": torch.zeros(3, dtype=torch.int64)}, "64 images with 3 targets"),
            ({"epochs": None}, "exactly one"),
            ({"steps": 3}, "exactly one"),
            ({"epochs": 0}, "epochs 0; expected at least one"),
            ({"epochs": None, "steps": 0}, "steps 0, .*at least one"),
            ({"batch_size": 0}, "at least one"),
            ({"images": torch.zeros(0, 3, 8, 8), "target": torch.zeros(0, dtype=torch.int64)}, "at least one"),
        ],
    )
    def test_bad_arguments(self, changes, message):
        images, labels = colour_data()
        arguments = {"images": images, "target": labels, "epochs": 1} | changes
        with pytest.raises(ValueError, match=message):
            fit(classifier(), **arguments)

    def test_a_loss_that_is_no_number_stops_the_training(self):
        images, labels = colour_data()
        with pytest.raises(FloatingPointError, match=r"nan at step 1.*smaller lr"):
            fit(classifier(), images * float("nan"), labels, steps=2)


class TestHelpers:
    def test_predict_logits_in_batches_equals_one_pass(self):
        images, _ = colour_data()
        model = classifier().eval()
        assert torch.allclose(predict_logits(model, images, batch_size=7), model(images), atol=1e-6)
        assert not predict_logits(model, images).requires_grad

    def test_predict_logits_restores_the_mode(self):
        images, _ = colour_data()
        model = classifier().train()
        first, second = predict_logits(model, images), predict_logits(model, images)
        assert model.training and torch.equal(first, second)  # no dropout while predicting

    def test_pixel_accuracy_does_not_count_ignored_pixels(self):
        logits = torch.tensor([[[[2.0, 0.0], [2.0, 2.0]], [[0.0, 2.0], [0.0, 0.0]]]])  # (1, 2, 2, 2), says 0 1 0 0
        target = torch.tensor([[[0, 1], [1, 255]]])
        assert pixel_accuracy(logits, target) == pytest.approx(2 / 3)
        assert pixel_accuracy(logits, torch.full_like(target, 255)) == 0

    def test_cross_entropy_ignores_255(self):
        logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        target = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(0))
        target[0] = 255
        assert torch.allclose(cross_entropy(logits, target), F.cross_entropy(logits[1:], target[1:]))

    def test_miou_agrees_with_torchmetrics(self):
        from torchmetrics.classification import MulticlassJaccardIndex

        oracle = MulticlassJaccardIndex(5, average="macro", ignore_index=255)
        for classes in (5, 3):  # with 3, two classes occur nowhere
            logits = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(classes))
            logits[:, classes:] = -9
            target = torch.randint(0, classes, (2, 6, 7), generator=torch.Generator().manual_seed(1))
            target[0, :2] = 255
            assert miou(logits, target) == pytest.approx(oracle(logits, target).item())
        assert math.isnan(miou(logits, torch.full_like(target, 255)))

    def test_masks_are_mirrored_with_their_pictures_and_labels_stay(self):
        images = torch.rand(8, 3, 4, 6, generator=torch.Generator().manual_seed(0))
        masks = (images.sum(1) > 1.5).long()
        got, got_masks = mirror_and_recolour(images, masks, torch.Generator().manual_seed(3))
        mirrored = (got_masks != masks).flatten(1).any(1)
        assert 0 < mirrored.sum() < 8
        for picture, mask, old, flipped in zip(got, got_masks, masks, mirrored, strict=True):
            assert torch.equal(mask, old.flip(1) if flipped else old)
            bright = picture.sum(0)  # a recoloured picture keeps its order of brightness
            assert bright[mask == 1].min() > bright[mask == 0].max()
        labels = torch.arange(8)
        assert torch.equal(mirror_and_recolour(images, labels, torch.Generator())[1], labels)

    def test_turned_masks_go_with_their_pictures(self):
        images = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
        masks = (images[:, 0] > 0.5).long()
        kinds = set()
        for seed in range(20):
            got, got_masks = turn_and_brighten(images, masks, torch.Generator().manual_seed(seed))
            for old, old_mask, picture, mask in zip(images, masks, got, got_masks, strict=True):
                ways = [(flip, turn) for flip in (False, True) for turn in range(4)]
                moved = {w: (lambda x, w=w: (x.flip(-1) if w[0] else x).rot90(w[1], (-2, -1))) for w in ways}
                (way,) = [w for w in ways if torch.equal(moved[w](old_mask), mask)]
                ratio = picture / moved[way](old)
                assert ratio.max() - ratio.min() < 1e-5 and 0.6 <= ratio.mean() <= 1.4
                kinds.add(way)
        assert len(kinds) == 8
        labels = torch.arange(8)
        assert torch.equal(turn_and_brighten(images, labels, torch.Generator())[1], labels)
