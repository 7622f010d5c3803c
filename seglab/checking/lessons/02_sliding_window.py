"""Visible checks of lesson 02. `check(window_starts)` in the notebook runs the class of that function's name."""

import torch
from torch import nn

from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, linear, pool


def counting_picture(height, width, channels=1):
    """A picture whose pixels are numbered 0, 1, 2, ... in reading order, from 100 on in the second channel."""
    return torch.stack([100.0 * c + torch.arange(height * width).reshape(height, width) for c in range(channels)])


def corners(batch):
    """A classifier of two classes: the first and the last number of each window."""
    numbers = batch.flatten(1)  # (B, C * window * window)
    return numbers[:, [0, -1]]  # (B, 2)


class TestWindowStarts:
    """window_starts: where a sliding window may begin"""

    def probe_too_large(self, student):
        student.window_starts(6, 11, 2)

    def test_lecture_numbers(self, student):
        """256 pixels, window 64, stride 8: 25 starts, from 0 to 192"""
        first = [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96]
        others = [104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184, 192]
        assert_same(student.window_starts(256, 64, 8), first + others)

    def test_leftover_pixels(self, student):
        """15 pixels, window 7, stride 3: the last window covers pixels 6 to 12, and 13 and 14 are left over"""
        assert_same(student.window_starts(15, 7, 3), [0, 3, 6])

    def test_exactly_one(self, student):
        """A window as large as the picture fits once"""
        assert_same(student.window_starts(8, 8, 2), [0])

    def test_window_larger_than_picture(self, student):
        """9 pixels hold a window of 8 at two places; 7 pixels hold none: an empty list"""
        assert_same(student.window_starts(9, 8, 1), [0, 1])
        assert_same(student.window_starts(7, 8, 1), [])


class TestExtractWindows:
    """extract_windows: every window of a picture, without copying one"""

    def test_shape(self, student):
        """A picture of 3 x 6 x 9, window 4, stride 2: (rows, cols, C, window, window) = (2, 3, 3, 4, 4)"""
        got = student.extract_windows(torch.zeros(3, 6, 9), 4, 2)
        assert_same(got, torch.zeros(2, 3, 3, 4, 4))

    def test_values(self, student):
        """Two channels of 5 x 8 numbered pixels, window 3, stride 2: first index down, second index to the right"""
        got = student.extract_windows(counting_picture(5, 8, channels=2), 3, 2)
        sides = torch.meshgrid(*(torch.arange(n) for n in (2, 3, 2, 3, 3)), indexing="ij")
        row, col, channel, down, across = sides
        assert_same(got, 100.0 * channel + 8 * (2 * row + down) + 2 * col + across)

    def test_view(self, student):
        """The picture is painted over after the call, and the windows show it: they are a view"""
        picture = student.keep(counting_picture(4, 5, channels=2))
        kept = student.extract_windows.kept(picture, 3, 1)
        picture.call("fill_", 7.0)
        assert_same(kept.call("clone"), torch.full((2, 3, 2, 3, 3), 7.0))

    def test_view_of_a_view(self, student):
        """The picture is a view itself, cropped and transposed from 4 x 2 numbered pixels; then it is painted over"""
        memory = student.keep(counting_picture(4, 2))
        picture = memory.call("narrow", 1, 1, 3, keep=True).call("transpose", 1, 2, keep=True)  # pixels 2 4 6, 3 5 7
        kept = student.extract_windows.kept(picture, 2, 1)
        assert_same(kept.call("clone"), torch.tensor([[[[[2.0, 4], [3, 5]]], [[[4, 6], [5, 7]]]]]))
        memory.call("fill_", 9.0)
        assert_same(kept.call("clone"), torch.full((1, 2, 1, 2, 2), 9.0))


class TestSlidingWindowScores:
    """sliding_window_scores: a classifier at every place, in batches"""

    def probe_full_batches(self, student):
        student.sliding_window_scores(corners, counting_picture(5, 7), 3, 2, 6)

    def probe_lost_batch(self, student):
        """Four windows, three to a batch, four classes: a map can be made of three windows, too."""
        student.sliding_window_scores(lambda batch: batch.flatten(1), counting_picture(3, 3), 2, 1, 3)

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

    def test_one_class_one_row(self, student):
        """One class and one row of 3 windows, in a batch that is not full: one call, a map of shape (1, 1, 3)"""
        sizes = []

        def counted(batch):
            sizes.append(len(batch))
            return corners(batch)[:, :1]

        got = student.sliding_window_scores(counted, counting_picture(2, 4), 2, 1, 9)
        assert_same(got, torch.tensor([[[0.0, 1.0, 2.0]]]))
        if sizes != [3]:
            raise Mismatch("rule", "1 call with 3 windows", f"calls with {sizes} windows")

    def test_mode_kept(self, student):
        """A network in training mode stays in it, so that its dropout, of every number, leaves zeros"""
        network = nn.Sequential(nn.Flatten(), nn.Dropout(1.0)).train()
        got = student.sliding_window_scores(network, counting_picture(2, 4), 2, 1, 3)
        assert_same(got, torch.zeros(4, 1, 3))

    def test_no_gradient(self, student):
        """A classifier with weights: right scores, and gradients are switched off while it runs"""
        dense, recording = nn.Linear(4, 1), []
        nn.init.ones_(dense.weight)
        nn.init.zeros_(dense.bias)

        def classifier(batch):
            recording.append(torch.is_grad_enabled())
            return dense(batch.flatten(1))

        got = student.sliding_window_scores(classifier, counting_picture(2, 3), 2, 1, 1)
        assert_same(got.detach(), torch.tensor([[[8.0, 12.0]]]))
        if any(recording):
            raise Mismatch("rule", "no gradient recorded while the classifier runs", "gradients switched on")


def scores_of(labels):
    """Scores (num_classes, rows, cols): -1 for the given class, -3 for the others."""
    return 2.0 * nn.functional.one_hot(torch.tensor(labels)).permute(2, 0, 1) - 3


class TestScoresToMask:
    """scores_to_mask: the coarse map, laid on the pixels"""

    forbidden = {  # noqa: RUF012
        name: "laying the map on the pixels is what you write here; lesson 05 builds interpolation"
        for name in ("interpolate", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "grid_sample")
    }

    def probe_gaps(self, student):
        """Windows far apart: no index leaves the map here, clamped or not."""
        student.scores_to_mask(scores_of([[1, 2], [2, 3], [3, 1]]), (10, 6), 2, 4)

    def test_side_by_side(self, student):
        """Windows of 2 side by side: each pixel belongs to the window that it lies in"""
        got = student.scores_to_mask(scores_of([[2, 1, 3], [1, 1, 2]]), (4, 6), 2, 2)
        upper, lower = [2, 2, 1, 1, 3, 3], [1, 1, 1, 1, 2, 2]
        assert_same(got, torch.tensor([upper, upper, lower, lower]))

    def test_centres_and_margins(self, student):
        """Window 6, stride 4 on 10 x 16 pixels: centres at 2.5, 6.5 and 10.5, and margins take the nearest"""
        got = student.scores_to_mask(scores_of([[4, 1, 2], [5, 6, 3]]), (10, 16), 6, 4)
        upper, lower = [4] * 5 + [1] * 4 + [2] * 7, [5] * 5 + [6] * 4 + [3] * 7
        assert_same(got, torch.tensor([upper] * 5 + [lower] * 5))

    def test_equal_distance(self, student):
        """Window 5, stride 2 on 9 x 5 pixels: pixel 3 lies between centres 2 and 4; the earlier one wins"""
        got = student.scores_to_mask(scores_of([[3], [1], [2]]), (9, 5), 5, 2)
        assert_same(got, torch.tensor([3, 3, 3, 3, 1, 1, 2, 2, 2])[:, None].repeat(1, 5))

    def test_equal_distance_even(self, student):
        """Window 6, stride 3 on 6 x 12 pixels: centres at 2.5, 5.5, 8.5, and pixels 4 and 7 lie between two"""
        got = student.scores_to_mask(scores_of([[3, 1, 2]]), (6, 12), 6, 3)
        assert_same(got, torch.tensor([[3, 3, 3, 3, 3, 1, 1, 1, 2, 2, 2, 2]] * 6))


class TestSharedFeatureScores:
    """shared_feature_scores: the convolutions once, the head at every place"""

    # Pooling 2 x 2 is all the features there are: jump 2, and feature (r, c) of a numbered picture 8 pixels wide is
    # 16 r + 2 c + 4.5, the mean of its four pixels.

    def test_values(self, student):
        """Features: average pooling, jump 2; head: first and last feature; window 4, stride 2 on 6 x 8 pixels"""
        got = student.shared_feature_scores(nn.AvgPool2d(2), corners, counting_picture(6, 8), 4, 2, 2)
        first = torch.tensor([[4.5, 6.5, 8.5], [20.5, 22.5, 24.5]])
        assert_same(got, torch.stack([first, first + 18]))

    def test_stride_of_two_jumps(self, student):
        """The same with stride 4 on 8 x 8 pixels: the window moves by 4 pixels, which is by 2 features"""
        got = student.shared_feature_scores(nn.AvgPool2d(2), corners, counting_picture(8, 8), 4, 4, 2)
        first = torch.tensor([[4.5, 8.5], [36.5, 40.5]])
        assert_same(got, torch.stack([first, first + 18]))

    def test_feature_window(self, student):
        """A 3 x 3 mean and pooling 2 x 2, no padding: a window of 8 pixels is 3 features wide, not 8 / 2"""
        features = nn.Sequential(nn.AvgPool2d(3, 1), nn.AvgPool2d(2))
        got = student.shared_feature_scores(features, corners, counting_picture(10, 12), 8, 2, 2)
        first = torch.tensor([[19.5, 21.5, 23.5], [43.5, 45.5, 47.5]])
        assert_same(got, torch.stack([first, first + 52]))

    def test_features_once(self, student):
        """Features are computed once from the whole picture; one picture of a single window may come besides"""
        sizes = []

        def counted(pictures):
            height, width = pictures.shape[2:]
            sizes.append((height, width))
            return nn.functional.avg_pool2d(pictures, 2) + 100 * height + 10 * width

        got = student.shared_feature_scores(counted, corners, counting_picture(6, 8), 4, 2, 2)
        first = 680 + torch.tensor([[4.5, 6.5, 8.5], [20.5, 22.5, 24.5]])
        assert_same(got, torch.stack([first, first + 18]))
        if sorted(sizes) not in ([(6, 8)], [(4, 4), (6, 8)]):
            raise Mismatch("rule", "features of (6, 8) once, of (4, 4) at most once", f"calls with {sorted(sizes)}")

    def test_leftover_pixels(self, student):
        """Window 6, its last pixel reaches no feature: 7 x 9 pixels hold 1 x 2 windows, and the head sees only these"""
        seen = []

        def counted(windows):
            seen.extend(windows)
            return corners(windows)

        got = student.shared_feature_scores(nn.AvgPool2d(3, 2), counted, counting_picture(7, 9), 6, 2, 2)
        assert_same(got, torch.tensor([[[10.0, 12.0]], [[30.0, 32.0]]]))
        if len(seen) != 2:
            raise Mismatch("rule", "a head that is given 2 feature windows", f"{len(seen)} of them")

    def test_no_gradient(self, student):
        """Gradients are switched off while the features and the head run"""
        recording = []

        def noting(function):
            return lambda x: recording.append(torch.is_grad_enabled()) or function(x)

        features, head = noting(nn.AvgPool2d(2)), noting(corners)
        got = student.shared_feature_scores(features, head, counting_picture(4, 6), 4, 2, 2)
        assert_same(got, torch.tensor([[[3.5, 5.5]], [[17.5, 19.5]]]))
        if any(recording):
            raise Mismatch("rule", "no gradient recorded", "gradients switched on")


class TestMultiplyAdds:
    """multiply_adds: what one forward pass costs"""

    def probe_padded(self, student):
        student.multiply_adds([conv(3, 5, 3, padding=1)], 17, 31)

    def probe_strided(self, student):
        student.multiply_adds([conv(3, 5, 3, stride=3)], 18, 33)

    def test_one_convolution(self, student):
        """3 channels to 6, kernel 5, on 32 x 20 pixels: 28 x 16 places of 5 x 5 x 3 x 6"""
        assert_same(student.multiply_adds([conv(3, 6, 5)], 32, 20), 201600)

    def test_stride_and_padding(self, student):
        """Kernel 3, stride 3, padding 1 on 12 x 7 pixels: 4 x 3 places of 3 x 3"""
        assert_same(student.multiply_adds([conv(1, 1, 3, 3, 1)], 12, 7), 108)

    def test_pooling(self, student):
        """Pooling 4 x 4 with stride 3 costs nothing but shrinks the map, 14 x 9 pixels to 4 x 2: 252 before, then 80"""
        assert_same(student.multiply_adds([conv(1, 2, 1), pool(4, 3), conv(2, 5, 1)], 14, 9), 252 + 80)

    def test_dense(self, student):
        """Three dense layers after 4 channels of 3 x 2: 24 inputs to 10 outputs, 10 to 5, 5 to 3"""
        layers = [conv(1, 4, 1), pool(), linear(24, 10), linear(10, 5), linear(5, 3)]
        assert_same(student.multiply_adds(layers, 6, 4), 96 + 240 + 50 + 15)
