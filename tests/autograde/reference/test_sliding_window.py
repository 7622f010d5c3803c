"""The reference of lesson 02 against independent oracles: torch's unfold, convolution, resizing, and the slide."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograde.reference.sliding_window import (
    extract_windows,
    multiply_adds,
    scores_to_mask,
    shared_feature_scores,
    sliding_window_scores,
    window_starts,
)
from seglab.layers import conv, linear, pool


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class TestWindowStarts:
    def test_slide_numbers(self):
        """Without padding 25 per side, 625 in all; the slide's 32 come out with 28 pixels of padding on each side."""
        assert len(window_starts(256, 64, 8)) == 25
        assert len(window_starts(256 + 2 * 28, 64, 8)) == 32

    def test_is_exactly_the_set_of_starts_that_fit(self):
        for size in range(1, 12):
            for window in range(1, 13):
                for stride in range(1, 7):
                    expected = [s for s in range(size) if s % stride == 0 and s + window <= size]
                    assert window_starts(size, window, stride) == expected


class TestExtractWindows:
    @pytest.mark.parametrize(("size", "window", "stride"), [((7, 11), 3, 2), ((8, 5), 5, 1), ((9, 13), 2, 4)])
    def test_agrees_with_unfold_of_torch(self, size, window, stride):
        image = torch.randn(3, *size)
        windows = extract_windows(image, window, stride)
        columns = F.unfold(image[None], window, stride=stride)[0]  # (C * window * window, rows * cols)
        assert torch.equal(windows.flatten(2).flatten(0, 1).T, columns)
        assert windows.shape[:2] == tuple(len(window_starts(pixels, window, stride)) for pixels in size)

    @pytest.mark.parametrize("image", [torch.zeros(2, 6, 7), torch.zeros(6, 7, 2).permute(2, 0, 1)])
    def test_shares_memory_in_both_directions(self, image):
        windows = extract_windows(image, 3, 2)
        assert windows.untyped_storage().data_ptr() == image.untyped_storage().data_ptr()
        windows[1, 2, 0, 2, 0] = 5
        assert image[0, 4, 4] == 5 and image.sum() == 5

    def test_gradient_counts_the_windows_of_each_pixel(self):
        image = torch.zeros(1, 5, 5, requires_grad=True)
        extract_windows(image, 3, 1).sum().backward()
        along = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0])
        assert torch.equal(image.grad[0], along[:, None] * along)


class TestSlidingWindowScores:
    @pytest.mark.parametrize("batch_size", [1, 7, 24, 1000])
    def test_linear_classifier_is_a_convolution(self, batch_size):
        """The lesson's point, and lesson 03's: a linear classifier at every place is a convolution with its weights."""
        image, weight = torch.randn(3, 12, 16), torch.randn(4, 3, 5, 5)
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(75, 4, bias=False))
        classifier[1].weight.data = weight.flatten(1)
        got = sliding_window_scores(classifier, image, 5, 2, batch_size)
        torch.testing.assert_close(got, F.conv2d(image[None], weight, stride=2)[0])
        assert not got.requires_grad

    def test_batches(self):
        sizes = []

        def classifier(batch):
            sizes.append(len(batch))
            return batch.flatten(1)[:, :2]

        sliding_window_scores(classifier, torch.zeros(1, 256, 256), 64, 8, 100)
        assert sizes == [100] * 6 + [25]


class TestScoresToMask:
    @pytest.mark.parametrize(("window", "stride"), [(2, 2), (6, 2), (9, 3), (4, 8), (5, 2), (3, 4), (1, 4), (64, 8)])
    def test_agrees_with_distances(self, window, stride):
        rows, cols = 4, 3
        size = (window + (rows - 1) * stride + 1, window + (cols - 1) * stride + stride - 1)
        scores = torch.randn(5, rows, cols)
        axes = []
        for pixels, count in zip(size, (rows, cols), strict=True):
            centres = [i * stride + (window - 1) / 2 for i in range(count)]
            axes.append([min(range(count), key=lambda i, p=p, c=centres: (abs(p - c[i]), i)) for p in range(pixels)])
        expected = scores.argmax(0)[axes[0]][:, axes[1]]
        assert torch.equal(scores_to_mask(scores, size, window, stride), expected)

    def test_agrees_with_resizing_where_windows_lie_side_by_side(self):
        scores = torch.randn(3, 4, 6)
        expected = F.interpolate(scores.argmax(0)[None, None].float(), scale_factor=8, mode="nearest")[0, 0].long()
        assert torch.equal(scores_to_mask(scores, (32, 48), 8, 8), expected)

    def test_a_classifier_of_the_centre_recovers_the_picture(self):
        """Windows of odd side at stride 1 and a classifier that reads the centre pixel: the mask is the picture."""
        picture = torch.randint(0, 2, (1, 12, 15)).float()
        scores = sliding_window_scores(lambda b: torch.stack([1 - b[:, 0, 2, 2], b[:, 0, 2, 2]], 1), picture, 5, 1, 50)
        mask = scores_to_mask(scores, (12, 15), 5, 1)
        assert mask.dtype == torch.int64
        assert torch.equal(mask[2:-2, 2:-2], picture[0, 2:-2, 2:-2].long())


class TestSharedFeatureScores:
    @pytest.mark.parametrize(("size", "window"), [((40, 56), 32), ((49, 47), 33), ((45, 38), 34), ((52, 35), 35)])
    def test_equals_naive_for_valid_layers(self, size, window):
        """Also for windows whose last pixels reach no feature (33, 34 and 35 pixels)."""
        features = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 5), nn.MaxPool2d(2))
        head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 5 * 5, 4))
        image = torch.randn(3, *size)
        naive = sliding_window_scores(nn.Sequential(features, head), image, window, 4, 16)
        shared = shared_feature_scores(features, head, image, window, 4, 4)
        torch.testing.assert_close(shared, naive, atol=1e-5, rtol=1e-4)

    def test_padding_breaks_the_equality(self):
        features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2))
        head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 8 * 8, 2))
        image = torch.randn(3, 32, 24)
        naive = sliding_window_scores(nn.Sequential(features, head), image, 16, 4, 16)
        shared = shared_feature_scores(features, head, image, 16, 4, 2)
        assert shared.shape == naive.shape
        assert (shared - naive).abs().max() > 1e-2

    def test_slide_sizes(self):
        """64 x 64 x 3 -> 8 x 8 x 256 and 256 x 256 x 3 -> 32 x 32 x 256 after three poolings; 25 x 25 scores."""
        seen = []

        def features(pictures):
            return F.avg_pool2d(pictures, 8)[:, :1].expand(-1, 256, -1, -1)

        def head(windows):
            seen.append(tuple(windows.shape))
            return windows.mean(dim=(1, 2, 3))[:, None]

        got = shared_feature_scores(features, head, torch.rand(3, 256, 256), 64, 8, 8)
        assert got.shape == (1, 25, 25)
        assert seen == [(625, 256, 8, 8)]


class TestMultiplyAdds:
    def test_agrees_with_torchs_flop_counter(self):
        from torch.utils.flop_counter import FlopCounterMode

        features = nn.Sequential(nn.Conv2d(3, 6, 5, stride=2, padding=2), nn.MaxPool2d(2), nn.Conv2d(6, 7, 3))
        network = nn.Sequential(features, nn.Flatten(), nn.Linear(280, 9))
        layers = [conv(3, 6, 5, 2, 2), pool(), conv(6, 7, 3), linear(280, 9)]
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 30, 42))
        assert 2 * multiply_adds(layers, 30, 42) == counter.get_total_flops()

    def test_slide_ratio(self):
        """LeNet on 256 x 256, window 64, stride 8: shared is 8.2 times cheaper, its convolutions alone 31.5."""
        features = [conv(3, 6, 5), pool(), conv(6, 16, 5), pool()]
        head = [linear(2704, 120), linear(120, 84), linear(84, 10)]
        naive = 625 * multiply_adds(features + head, 64, 64)
        shared = multiply_adds(features, 256, 256) + 625 * multiply_adds(head, 13, 13)
        assert naive == 2_236_125_000
        assert math.isclose(naive / shared, 8.16, abs_tol=0.01)
        only_features = 625 * multiply_adds(features, 64, 64) / multiply_adds(features, 256, 256)
        assert math.isclose(only_features, 31.5, abs_tol=0.1)

    def test_costs_of_parts_add_up(self):
        features, head = [conv(1, 4, 3, 1, 1), pool()], [linear(4 * 4 * 3, 5), linear(5, 2)]
        assert multiply_adds(features + head, 8, 6) == multiply_adds(features, 8, 6) + multiply_adds(head, 4, 3)
