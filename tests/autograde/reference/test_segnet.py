"""The reference of lesson 07 against torch, scipy, and the paper's numbers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import nn

from autograde.reference.segnet import DecoderStage, EncoderStage, SegNet, boundary_f_score, handover_bytes

PAPER = (64, 128, 256, 512, 512)  # widths of VGG-16
CONVS = (2, 2, 3, 3, 3)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


class TestStages:
    @pytest.mark.parametrize("size", [(8, 6), (7, 9), (2, 3)])
    def test_switches_bring_each_maximum_back(self, size):
        stage = EncoderStage(3, 5, convs=2).eval()
        x = torch.randn(2, 3, *size)
        pooled, switches, known = stage(x)
        assert tuple(known) == size and pooled.shape == switches.shape == (2, 5, size[0] // 2, size[1] // 2)
        before = stage.convs(x)
        assert torch.equal(before.flatten(2).gather(2, switches.flatten(2)), pooled.flatten(2))
        assert torch.equal(pooled, nn.MaxPool2d(2)(before))

    def test_the_decoder_unpools_before_it_convolves(self):
        pooled, switches = F.max_pool2d(torch.randn(2, 4, 7, 10), 2, return_indices=True)
        stage = DecoderStage(4, 3, convs=3).eval()
        large = F.max_unpool2d(pooled, switches, 2, output_size=(7, 10))
        assert torch.equal(stage(pooled, switches, (7, 10)), stage.convs(large))
        assert (stage(pooled, switches, (7, 10)) >= 0).all()
        assert [layer.out_channels for layer in stage.modules() if isinstance(layer, nn.Conv2d)] == [4, 4, 3]

    def test_a_bare_stage_ends_with_a_convolution(self):
        kinds = [
            type(layer) for layer in DecoderStage(4, 3, convs=2, bare=True).modules() if not list(layer.children())
        ]
        assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d]


class TestSegNet:
    def test_parameters_of_the_paper(self):
        """29,433,483 and 15,872 of batch normalization: alexgkendall/SegNet-Tutorial, Models/segnet_train.prototxt."""
        with torch.device("meta"):
            network = SegNet(3, 11, PAPER, CONVS)
        normalizations = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert parameters(network) == 29_449_355 and sum(map(parameters, normalizations)) == 15_872
        assert len([layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]) == 26

    @pytest.mark.parametrize("size", [(16, 24), (37, 29), (8, 8)])
    def test_any_size(self, size):
        network = SegNet(2, 5, (4, 6, 8), (2, 1, 3)).eval()
        assert network(torch.randn(1, 2, *size)).shape == (1, 5, *size)

    def test_scores_may_be_negative(self):
        assert (SegNet(1, 3, (4, 4), (1, 1))(torch.randn(2, 1, 16, 16)) < 0).any()

    def test_every_weight_learns(self):
        network = SegNet(1, 3, (4, 6), (2, 1))
        network(torch.randn(2, 1, 16, 16)).square().sum().backward()
        assert all(p.grad is not None for p in network.parameters())


class TestHandoverBytes:
    def test_the_paper_s_size(self):
        assert handover_bytes(PAPER, 360, 480, "switches") == 1_315_200
        assert handover_bytes(PAPER, 360, 480, "indices") == 32 * 1_315_200
        assert handover_bytes(PAPER, 360, 480, "maps") == 84_295_680

    @pytest.mark.parametrize("size", [(64, 48), (37, 53)])
    def test_counts_what_a_network_hands_over(self, size):
        widths, x = (3, 5, 7), torch.randn(1, 2, *size)
        maps = indices = 0
        for stage in SegNet(2, 4, widths, (1, 1, 1)).encoder:
            maps += stage.convs(x).nbytes
            x, switches, _ = stage(x)
            indices += switches.nbytes
        assert handover_bytes(widths, *size, "maps") == maps and handover_bytes(widths, *size, "indices") == indices
        assert handover_bytes(widths, *size, "switches") == -(-indices // 32)


def contour(mask: np.ndarray, number: int) -> np.ndarray:
    """Pixels of a class that erosion with a cross takes away; the edge of the picture counts as inside."""
    inside = np.pad(mask == number, 1, mode="edge")
    kept = inside[2:, 1:-1] & inside[:-2, 1:-1] & inside[1:-1, 2:] & inside[1:-1, :-2]
    return inside[1:-1, 1:-1] & ~kept


def by_distance(pred, target, num_classes, tolerance):
    """The F-score from exact distances to the other contour."""
    means = []
    for number in range(num_classes):
        found = []
        for one, other in zip(pred.numpy(), target.numpy(), strict=True):
            here, there = contour(one, number), contour(other, number)
            if here.any() and there.any():
                p = (distance_transform_edt(~there)[here] <= tolerance).mean()
                r = (distance_transform_edt(~here)[there] <= tolerance).mean()
                found.append(2 * p * r / (p + r) if p + r else 0.0)
            elif here.any() or there.any():
                found.append(0.0)
        means.append(np.mean(found) if found else np.nan)
    return torch.tensor(means)


class TestBoundaryFScore:
    @pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2, 3.7])
    def test_agrees_with_exact_distances(self, tolerance):
        coarse = torch.randn(3, 4, 5, 6)
        target = F.interpolate(coarse, size=(31, 40), mode="bilinear").argmax(1)
        pred = F.interpolate(coarse + 0.5 * torch.randn_like(coarse), size=(31, 40), mode="bilinear").argmax(1)
        got = boundary_f_score(pred, target, 5, tolerance)
        assert got.dtype == torch.float64 and got[4].isnan() and 0.05 < got[:4].mean() < 0.95
        torch.testing.assert_close(got, by_distance(pred, target, 5, tolerance), equal_nan=True)

    def test_symmetric_and_one_for_the_truth(self):
        masks = F.interpolate(torch.randn(4, 3, 4, 4), size=(20, 28), mode="bilinear").argmax(1)
        one, other = masks[:2], masks[2:]
        assert torch.equal(boundary_f_score(one, one, 3, 0), torch.ones(3, dtype=torch.float64))
        torch.testing.assert_close(boundary_f_score(one, other, 3, 2), boundary_f_score(other, one, 3, 2))

    def test_grows_with_the_tolerance(self):
        target = F.interpolate(torch.randn(2, 3, 4, 4), size=(40, 40), mode="bilinear").argmax(1)
        scores = torch.stack([boundary_f_score(target.roll(3, 2), target, 3, t) for t in range(6)])
        assert (scores.diff(dim=0) >= 0).all() and scores[0].mean() < 0.5 < scores[3].mean()

    def test_ignored_pixels_are_no_class_and_make_no_contour(self):
        target = torch.zeros(1, 9, 12, dtype=torch.int64)
        target[:, 3:6, 3:6] = 1
        target[:, :, 8:] = 255
        pred = target.clone()
        pred[:, :, 8:] = 1  # whatever is said there
        assert torch.equal(boundary_f_score(pred, target, 2, 0), torch.ones(2, dtype=torch.float64))
