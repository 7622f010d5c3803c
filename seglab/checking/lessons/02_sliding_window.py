"""Visible checks of lesson 02. `check(window_starts)` in the notebook runs the class of that function's name."""

import torch
from torch import nn

from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, linear, pool


def counting_picture(height, width):
    """A picture (1, height, width) whose pixels are numbered 0, 1, 2, ... in reading order."""
    return torch.arange(height * width, dtype=torch.float32).reshape(1, height, width)


def corners(batch):
    """A classifier of two classes: the first and the last number of each window."""
    numbers = batch.flatten(1)  # (B, C * window * window)
    return numbers[:, [0, -1]]  # (B, 2)


class TestWindowStarts:
    """window_starts: where a sliding window may begin"""

    def test_the_slide(self, student):
        """256 pixels, window 64, stride 8: 25 starts, from 0 to 192"""
        first = [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96]
        others = [104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184, 192]
        assert_same(student.window_starts(256, 64, 8), first + others)

    def test_leftover_pixels(self, student):
        """11 pixels, window 4, stride 3: the last window ends at pixel 9, and pixel 10 is left over"""
        assert_same(student.window_starts(11, 4, 3), [0, 3, 6])

    def test_exactly_one(self, student):
        """A window as large as the picture fits once"""
        assert_same(student.window_starts(7, 7, 2), [0])

    def test_window_larger_than_picture(self, student):
        """9 pixels hold a window of 8 twice; 7 pixels hold none: an empty list"""
        assert_same(student.window_starts(9, 8, 1), [0, 1])
        assert_same(student.window_starts(7, 8, 1), [])

    def test_bad_arguments(self, student):
        """A stride of -1 raises ValueError, a stride of 1.5 TypeError or ValueError, each with a message"""
        assert_same(student.window_starts(6, 4, 2), [0, 2])
        with student.raises(ValueError):
            student.window_starts(6, 4, -1)
        with student.raises(TypeError, ValueError):
            student.window_starts(6, 4, 1.5)


class TestExtractWindows:
    """extract_windows: every window of a picture, without copying one"""

    def test_shape(self, student):
        """A picture of 3 x 6 x 9, window 4, stride 2: (rows, cols, C, window, window) = (2, 3, 3, 4, 4)"""
        got = student.extract_windows(torch.zeros(3, 6, 9), 4, 2)
        assert_same(got, torch.zeros(2, 3, 3, 4, 4))

    def test_values(self, student):
        """A picture of 4 x 6 numbered pixels, window 2, stride 2: first index down, second index to the right"""
        got = student.extract_windows(counting_picture(4, 6), 2, 2)
        upper = [[[[0, 1], [6, 7]]], [[[2, 3], [8, 9]]], [[[4, 5], [10, 11]]]]
        lower = [[[[12, 13], [18, 19]]], [[[14, 15], [20, 21]]], [[[16, 17], [22, 23]]]]
        assert_same(got, torch.tensor([upper, lower], dtype=torch.float32))

    def test_view(self, student):
        """The picture is painted over after the call, and the windows show it: they are a view"""
        picture = student.keep(counting_picture(3, 4))
        kept = student.extract_windows.kept(picture, 3, 1)
        picture.call("fill_", 7.0)
        assert_same(kept.call("clone"), torch.full((1, 2, 1, 3, 3), 7.0))

    def test_not_a_picture(self, student):
        """A tensor (H, W) or a window higher than the picture raises ValueError with a message"""
        assert_same(student.extract_windows(torch.ones(2, 3, 5), 3, 1), torch.ones(1, 3, 2, 3, 3))
        with student.raises(ValueError):
            student.extract_windows(torch.ones(3, 5), 3, 1)
        with student.raises(ValueError):
            student.extract_windows(torch.ones(2, 3, 5), 4, 1)


class TestSlidingWindowScores:
    """sliding_window_scores: a classifier at every place, in batches"""

    def test_values(self, student):
        """A classifier that returns the first and the last pixel of a window, on a picture of 4 x 6 numbered pixels"""
        got = student.sliding_window_scores(corners, counting_picture(4, 6), 2, 2, 4)
        first, last = [[0.0, 2.0, 4.0], [12.0, 14.0, 16.0]], [[7.0, 9.0, 11.0], [19.0, 21.0, 23.0]]
        assert_same(got, torch.tensor([first, last]))

    def test_calls(self, student):
        """Six windows in batches of at most 3 take two calls; class 1 is the number of windows in the call"""
        sizes = []

        def counted(batch):
            sizes.append(len(batch))
            return torch.stack([batch[:, 0, 0, 0], torch.full((len(batch),), float(len(batch)))], dim=1)

        got = student.sliding_window_scores(counted, counting_picture(6, 4), 2, 2, 3)
        first, calls = [[0.0, 2.0], [8.0, 10.0], [16.0, 18.0]], [[3.0, 3.0]] * 3
        assert_same(got, torch.tensor([first, calls]))
        if sizes != [3, 3]:
            raise Mismatch("rule", "2 calls with 3 windows each", f"calls with {sizes} windows")

    def test_dtype(self, student):
        """A classifier that returns float64 gives a map of float64"""
        got = student.sliding_window_scores(lambda batch: corners(batch).double(), counting_picture(2, 3), 2, 1, 9)
        assert_same(got, torch.tensor([[[0, 1]], [[4, 5]]], dtype=torch.float64))

    def test_no_gradient(self, student):
        """A classifier with weights: right scores, and no gradient is recorded"""
        dense = nn.Linear(4, 1)
        nn.init.ones_(dense.weight)
        nn.init.zeros_(dense.bias)
        got = student.sliding_window_scores(nn.Sequential(nn.Flatten(), dense), counting_picture(2, 3), 2, 1, 1)
        assert_same(got, torch.tensor([[[8.0, 12.0]]]))
        if got.requires_grad:
            raise Mismatch("rule", "scores without a gradient", "scores that require one")

    def test_wrong_classifier(self, student):
        """A classifier that returns one number per window, of shape (B,), raises ValueError with a message"""
        picture = counting_picture(3, 3)
        assert_same(student.sliding_window_scores(corners, picture, 3, 1, 1), torch.tensor([[[0.0]], [[8.0]]]))
        with student.raises(ValueError):
            student.sliding_window_scores(lambda batch: batch[:, 0, 0, 0], picture, 2, 1, 4)


def scores_of(labels):
    """Scores (num_classes, rows, cols) whose largest entry is at the given class."""
    return nn.functional.one_hot(torch.tensor(labels)).permute(2, 0, 1).float()


class TestScoresToMask:
    """scores_to_mask: the coarse map, laid on the pixels"""

    forbidden = {  # noqa: RUF012
        name: "laying the map on the pixels is what you write here; lesson 05 builds interpolation"
        for name in ("interpolate", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "grid_sample")
    }

    def test_side_by_side(self, student):
        """Windows of 2 side by side: each pixel belongs to the window that it lies in"""
        got = student.scores_to_mask(scores_of([[2, 1, 0], [1, 1, 2]]), (4, 6), 2, 2)
        upper, lower = [2, 2, 1, 1, 0, 0], [1, 1, 1, 1, 2, 2]
        assert_same(got, torch.tensor([upper, upper, lower, lower]))

    def test_centres_and_margins(self, student):
        """Window 4, stride 2 on 4 x 11 pixels: centres at 1.5, 3.5, 5.5, 7.5, and margins take the nearest"""
        got = student.scores_to_mask(scores_of([[0, 1, 2, 3]]), (4, 11), 4, 2)
        assert_same(got, torch.tensor([[0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3]] * 4))

    def test_equal_distance(self, student):
        """Window 3, stride 2 on 7 x 3 pixels: pixel 2 lies between centres 1 and 3; the earlier one wins"""
        got = student.scores_to_mask(scores_of([[0], [1], [2]]), (7, 3), 3, 2)
        assert_same(got, torch.tensor([0, 0, 0, 1, 1, 2, 2])[:, None].repeat(1, 3))

    def test_wrong_map(self, student):
        """Three columns of scores for a picture that has four: ValueError with a message"""
        one = student.scores_to_mask(scores_of([[1, 0, 1, 0]]), (1, 4), 1, 1)
        assert_same(one, torch.tensor([[1, 0, 1, 0]]))
        with student.raises(ValueError):
            student.scores_to_mask(scores_of([[1, 0, 1]]), (1, 4), 1, 1)


class TestSharedFeatureScores:
    """shared_feature_scores: the convolutions once, the head at every place"""

    # Pooling 2 x 2 is all the features there are: jump 2, and feature (r, c) of a numbered picture 8 pixels wide is
    # 16 r + 2 c + 4.5, the mean of its four pixels.

    def test_values(self, student):
        """Features: average pooling, jump 2; head: first and last feature; window 4, stride 2 on 6 x 8 pixels"""
        got = student.shared_feature_scores(nn.AvgPool2d(2), corners, counting_picture(6, 8), 4, 2, 2)
        first = torch.tensor([[4.5, 6.5, 8.5], [20.5, 22.5, 24.5]])
        assert_same(got, torch.stack([first, first + 18]))

    def test_features_once(self, student):
        """Features come once from the whole picture (they tell by 100 H + 10 W), besides from one window at most"""
        sizes = []

        def counted(pictures):
            height, width = pictures.shape[2:]
            sizes.append((height, width))
            return nn.functional.avg_pool2d(pictures, 2) + 100 * height + 10 * width

        got = student.shared_feature_scores(counted, corners, counting_picture(6, 8), 4, 4, 2)
        assert_same(got, torch.tensor([[[684.5, 688.5]], [[702.5, 706.5]]]))
        if sorted(sizes) not in ([(6, 8)], [(4, 4), (6, 8)]):
            raise Mismatch("rule", "features of (6, 8) once, of (4, 4) at most once", f"calls with {sizes}")

    def test_leftover_pixels(self, student):
        """Pooling 3 x 3 with stride 2, window 6: its last pixel reaches no feature; 7 x 9 pixels hold 1 x 2 windows"""
        got = student.shared_feature_scores(nn.AvgPool2d(3, 2), corners, counting_picture(7, 9), 6, 2, 2)
        assert_same(got, torch.tensor([[[10.0, 12.0]], [[30.0, 32.0]]]))

    def test_stride_and_jump(self, student):
        """A stride of 3 with a jump of 2 raises ValueError with a message"""
        picture = counting_picture(4, 4)
        whole = student.shared_feature_scores(nn.AvgPool2d(2), corners, picture, 4, 2, 2)
        assert_same(whole, torch.tensor([[[2.5]], [[12.5]]]))
        with student.raises(ValueError):
            student.shared_feature_scores(nn.AvgPool2d(2), corners, picture, 2, 3, 2)


class TestMultiplyAdds:
    """multiply_adds: what one forward pass costs"""

    def test_one_convolution(self, student):
        """3 channels to 6, kernel 5, on 32 x 20 pixels: 28 x 16 places of 5 x 5 x 3 x 6"""
        assert_same(student.multiply_adds([conv(3, 6, 5)], 32, 20), 201600)

    def test_stride_and_padding(self, student):
        """Kernel 3, stride 2, padding 1 on 8 x 7 pixels: 4 x 4 places of 3 x 3"""
        assert_same(student.multiply_adds([conv(1, 1, 3, 2, 1)], 8, 7), 144)

    def test_dense(self, student):
        """Pooling costs nothing but shrinks the map: 4 channels of 6 x 4 become 3 x 2, then 24 inputs to 10 outputs"""
        layers = [conv(1, 4, 1), pool(), linear(24, 10)]
        assert_same(student.multiply_adds(layers, 6, 4), 96 + 240)

    def test_misfit(self, student):
        """A dense layer for 25 inputs after a map of 24 numbers raises ValueError with a message"""
        assert_same(student.multiply_adds([conv(2, 3, 2), pool(), conv(3, 1, 1)], 5, 5), 384 + 12)
        with student.raises(ValueError):
            student.multiply_adds([conv(1, 4, 1), linear(25, 10)], 3, 2)
