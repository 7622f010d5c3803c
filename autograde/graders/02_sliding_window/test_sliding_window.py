"""Hidden graders of lesson 02. Random inputs come from `rng`; what is right is computed here, in another way."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.kit import Counter, draw, fill, random_tensor
from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, linear, pool


def cut(image, window, stride):
    """All windows, each cut out on its own: (rows, cols, C, window, window)."""
    height, width = image.shape[1:]
    tops, lefts = range(0, height - window + 1, stride), range(0, width - window + 1, stride)
    return torch.stack([torch.stack([image[:, y : y + window, x : x + window] for x in lefts]) for y in tops])


class TestWindowStarts:
    """window_starts: where a sliding window may begin"""

    def probe_too_large(self, student, rng):
        student.window_starts(draw(rng, 5, 90), draw(rng, 91, 200), draw(rng, 1, 9))

    def test_leftover(self, student, rng):
        """Pixels are left over: no window sticks out, and none is moved to touch the edge"""
        for extra_of in (lambda stride: stride - 1, lambda stride: 1, lambda stride: draw(rng, 1, stride - 1)):
            stride, steps = draw(rng, 3, 12), draw(rng, 2, 9)
            extra = extra_of(stride)
            window = draw(rng, 3, 6) * stride - extra  # so that the stride divides the size
            got = student.window_starts(window + steps * stride + extra, window, stride)
            assert_same(got, [i * stride for i in range(steps + 1)])

    def test_exact_fit(self, student, rng):
        """No pixel is left over: the last window ends at the last pixel"""
        for odd in (0, 1, 1):
            stride, steps = 2 * draw(rng, 1, 5) + odd, 2 * draw(rng, 1, 4) + odd
            window = draw(rng, 3, 6) * stride
            size = window + steps * stride
            assert_same(student.window_starts(size, window, stride), [i * stride for i in range(steps + 1)])

    def test_gaps(self, student, rng):
        """A stride larger than the window: pixels between windows are skipped"""
        window = draw(rng, 2, 6)
        stride = window + draw(rng, 1, 9)
        got = student.window_starts(4 * stride + window, window, stride)
        assert_same(got, [0, stride, 2 * stride, 3 * stride, 4 * stride])

    def test_one_or_none(self, student, rng):
        """A window as large as the picture fits once, a larger one nowhere: an empty list"""
        size = draw(rng, 5, 90)
        assert_same(student.window_starts(2 * size, size, size), [0, size])
        for stride in (1, size, draw(rng, 91, 200)):
            assert_same(student.window_starts(size, size, stride), [0])
            assert_same(student.window_starts(size, size + draw(rng, 1, 99), stride), [])


class TestExtractWindows:
    """extract_windows: every window of a picture, without copying one"""

    @pytest.mark.weight(2)
    def test_every_window(self, student, rng):
        """Each window of pictures higher than wide and wider than high holds its own pixels"""
        for rows, cols in ((2, 5), (4, 3)):
            stride = draw(rng, 2, 3)
            window = stride + draw(rng, 1, 3)
            image = random_tensor(rng, 2, window + (rows - 1) * stride + 1, window + (cols - 1) * stride)
            assert_same(student.extract_windows(image, window, stride), cut(image, window, stride))

    def test_gaps(self, student, rng):
        """A stride larger than the window skips pixels"""
        window = draw(rng, 2, 4)
        stride = window + draw(rng, 1, 3)
        image = random_tensor(rng, 3, window + 2 * stride, window + 3 * stride + 1)
        assert_same(student.extract_windows(image, window, stride), cut(image, window, stride))

    @pytest.mark.weight(2)
    def test_no_copy(self, student, rng):
        """What is drawn into the picture after the call appears in the windows: they are a view of it"""
        image, change = random_tensor(rng, 2, 7, 9), draw(rng, 2, 9)
        kept = student.keep(image)
        windows = student.extract_windows.kept(kept, 3, 2)
        assert_same(windows.value(), cut(image, 3, 2))
        kept.call("mul_", change)
        assert_same(windows.value(), cut(image * change, 3, 2))

    def test_picture_is_a_view(self, student, rng):
        """Pictures that are views themselves, with the channels in the last dimension of the memory, or cropped"""
        memory = random_tensor(rng, 8, 10, 3)
        kept = student.keep(memory)
        turned = kept.call("permute", 2, 0, 1, keep=True)
        assert_same(student.extract_windows.kept(turned, 4, 2).value(), cut(memory.permute(2, 0, 1), 4, 2))
        cropped = turned.call("narrow", 1, 1, 5, keep=True).call("narrow", 2, 2, 7, keep=True)
        windows = student.extract_windows.kept(cropped, 3, 2)
        kept.call("mul_", 3)
        assert_same(windows.value(), cut(3 * memory.permute(2, 0, 1)[:, 1:6, 2:9], 3, 2))

    def test_one_window(self, student, rng):
        """A picture of one channel and the size of one window: all five dimensions are there"""
        side = draw(rng, 2, 6)
        image = random_tensor(rng, 1, side, side)
        assert_same(student.extract_windows(image, side, draw(rng, 1, 9)), image[None, None])


def random_classifier(rng, channels, window, num_classes):
    """A linear classifier (B, channels, window, window) -> (B, num_classes), so that every pixel counts."""
    weight = random_tensor(rng, num_classes, channels, window, window)
    return lambda batch: torch.einsum("bchw,kchw->bk", batch, weight)


@torch.no_grad()
def classify_all(classifier, image, window, stride):
    """The classifier at all windows in one call: (num_classes, rows, cols)."""
    windows = cut(image, window, stride)
    return classifier(windows.flatten(0, 1)).unflatten(0, windows.shape[:2]).movedim(2, 0)


def watch(student, network, layer):
    """Keep a network on the student's side, and put what reaches one of its layers into a dict there."""
    kept, seen = student.keep(network), student.keep({})
    # The layer is the key, and its last inputs are the value: a hook that needs no function of this side.
    note = seen.get("__setitem__", keep=True)
    kept.get(layer, keep=True).call("register_forward_pre_hook", note, keep=True)
    return kept, seen


def require_no_gradient(student, *watched):
    """Raise if what reached a watched layer was part of a graph: detaching the scores afterwards is too late."""
    recorded = []
    for seen in watched:
        reached = seen.call("popitem", keep=True).call("__getitem__", 1, keep=True).call("__getitem__", 0, keep=True)
        # Asked beside the record: gradients do not show in the values by which a mistake is recognised.
        recorded.append(reached.peek("requires_grad"))
    if any(recorded):
        raise Mismatch("rule", "no gradient recorded while the network runs", "activations kept for a gradient")


class TestSlidingWindowScores:
    """sliding_window_scores: a classifier at every place, in batches"""

    def probe_lost_batch(self, student, rng):
        """Four windows, three to a batch, four classes: a map can be made of three windows, too."""
        student.sliding_window_scores(random_classifier(rng, 1, 2, 4), random_tensor(rng, 1, 3, 3), 2, 1, 3)

    def probe_full_batches(self, student, rng):
        student.sliding_window_scores(random_classifier(rng, 2, 3, 5), random_tensor(rng, 2, 5, 8), 3, 1, 6)

    @pytest.mark.weight(2)
    def test_every_window(self, student, rng):
        """The scores of each window are where they belong, on pictures of any shape"""
        for size in ((9, 17), (17, 8)):
            image, classifier = random_tensor(rng, 2, *size), random_classifier(rng, 2, 3, 5)
            got = student.sliding_window_scores(classifier, image, 3, 2, 8)
            assert_same(got, classify_all(classifier, image, 3, 2))

    @pytest.mark.weight(2)
    def test_number_of_calls(self, student, rng):
        """n windows take ceil(n / batch_size) calls with at most batch_size windows each"""
        image, plain = random_tensor(rng, 2, 8, 10), random_classifier(rng, 2, 2, 3)
        scores = classify_all(plain, image, 2, 1)  # of 7 x 9 = 63 windows
        for batch_size in (21, draw(rng, 10, 13), draw(rng, 40, 60)):
            expected, counted = scores, Counter(plain)
            if batch_size == 21:  # all batches are full, and the scores tell how full the student's are
                expected, counted = scores + batch_size, Counter(lambda batch: plain(batch) + len(batch))
            assert_same(student.sliding_window_scores(counted, image, 2, 1, batch_size), expected)
            sizes = [shape[0] for shape in counted.shapes]
            if len(sizes) != -(-63 // batch_size) or max(sizes) > batch_size or sum(sizes) != 63:
                wanted = f"{-(-63 // batch_size)} calls with at most {batch_size} windows, 63 in all"
                raise Mismatch("rule", wanted, f"calls with {sizes} windows")

    def test_any_batch_size(self, student, rng):
        """A batch size beyond the number of windows, and one of a single window, give the same scores"""
        image, classifier = random_tensor(rng, 1, 6, 5), random_classifier(rng, 1, 4, 2)
        for batch_size in (1, draw(rng, 7, 99)):
            got = student.sliding_window_scores(classifier, image, 4, 1, batch_size)
            assert_same(got, classify_all(classifier, image, 4, 1))

    def test_mode_kept(self, student, rng):
        """A network in training mode stays in it, as its dropout shows: the mode is the caller's decision"""
        image = random_tensor(rng, 2, 5, 6)
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Dropout(1.0), nn.Linear(18, 4))).train()  # drops everything
        expected = network[2].bias.detach()[:, None, None].repeat(1, 3, 4)
        assert_same(student.sliding_window_scores(student.keep(network), image, 3, 1, 5), expected)

    def test_one_of_each(self, student, rng):
        """One class, one row, one column, or one window: the map has three dimensions all the same"""
        classifier = random_classifier(rng, 1, 3, 2)
        for num_classes, size in ((2, (3, 7)), (1, (6, 4)), (2, (6, 3)), (1, (3, 3))):
            image, chosen = random_tensor(rng, 1, *size), lambda batch, n=num_classes: classifier(batch)[:, :n]
            got = student.sliding_window_scores(chosen, image, 3, 1, 4)
            assert_same(got, classify_all(chosen, image, 3, 1))

    def test_no_gradient(self, student, rng):
        """A network with weights gives the right scores, and no gradient is recorded while it runs"""
        image = random_tensor(rng, 2, 5, 6)
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(18, 4), nn.Tanh(), nn.Linear(4, 3)))
        kept, seen = watch(student, network, "3")
        got = student.sliding_window_scores(kept, image, 3, 1, 5)
        assert_same(got, classify_all(network, image, 3, 1))
        require_no_gradient(student, seen)


def nearest_by_distance(scores, image_size, window, stride):
    """Every pixel measures its distance to every centre and takes the first of the nearest."""
    axes = []
    for size in image_size:
        centres = torch.arange(0, size - window + 1, stride) + (window - 1) / 2
        distances = (torch.arange(size)[:, None] - centres).abs().tolist()  # exact: halves
        axes.append([row.index(min(row)) for row in distances])
    return scores.argmax(dim=0)[axes[0]][:, axes[1]]


def different_neighbours(rng, num_classes, rows, cols):
    """Random scores whose arg-max is never 0 and differs between any two neighbours, so that each border shows."""
    labels = 1 + (torch.arange(rows)[:, None] + 2 * torch.arange(cols) + draw(rng, 0, 9)) % (num_classes - 1)
    return random_tensor(rng, num_classes, rows, cols).clamp(-2, 2).scatter(0, labels[None], draw(rng, 3, 5))


class TestScoresToMask:
    """scores_to_mask: the coarse map, laid on the pixels"""

    def probe_gaps(self, student, rng):
        """Windows far apart: no index leaves the map here, clamped or not."""
        student.scores_to_mask(different_neighbours(rng, 5, 3, 2), (10, 6), 2, 4)

    @pytest.mark.weight(2)
    def test_centres(self, student, rng):
        """Each pixel takes the class of the window whose centre is nearest; picture wider than high, then higher"""
        for rows, cols in ((3, 6), (5, 2)):
            window, stride = 2 * draw(rng, 4, 6), 2 * draw(rng, 2, 3)
            size = (window + (rows - 1) * stride, window + (cols - 1) * stride)
            scores = different_neighbours(rng, 5, rows, cols)
            expected = nearest_by_distance(scores, size, window, stride)
            assert_same(student.scores_to_mask(scores, size, window, stride), expected)

    def test_equal_distance(self, student, rng):
        """Of two equally near windows the earlier one wins"""
        for window, stride in ((2 * draw(rng, 3, 5) + 1, 4), (2 * draw(rng, 3, 5), 5), (2, 3)):
            size = (window + 2 * stride, window + 3 * stride)
            scores = different_neighbours(rng, 5, 3, 4)
            expected = nearest_by_distance(scores, size, window, stride)
            assert_same(student.scores_to_mask(scores, size, window, stride), expected)

    def test_leftover_margin(self, student, rng):
        """Pixels beyond the last window, below and to the right, take the nearest window too"""
        window, stride = 4, 2 * draw(rng, 4, 5)
        size = (window + 2 * stride + draw(rng, 5, 7), window + stride + draw(rng, 5, 7))
        scores = different_neighbours(rng, 5, 3, 2)
        expected = nearest_by_distance(scores, size, window, stride)
        assert_same(student.scores_to_mask(scores, size, window, stride), expected)

    def test_one_window(self, student, rng):
        """One window in the whole picture colours all of it; with a single class, all of it is class 0"""
        window = draw(rng, 2, 5)
        size = (window + 1, window + 2)
        scores, best = random_tensor(rng, 3, 1, 1).clamp(-2, 2), draw(rng, 1, 2)
        scores[best] += 5
        assert_same(student.scores_to_mask(scores, size, window, 3), torch.full(size, best))
        zeros = torch.zeros(size, dtype=torch.int64)
        assert_same(student.scores_to_mask(scores[:1], size, window, 3), zeros)

    def test_best_class(self, student, rng):
        """The class of the largest score, whatever its sign; the first of them where several are as large"""
        labels = different_neighbours(rng, 5, 3, 4).argmax(0)
        rising = np.sort(rng.permutation(60).reshape(5, 3, 4), axis=0)  # all different, the largest last
        moved = (torch.arange(5)[:, None, None] - labels - 1) % 5  # and now in its class
        scores = torch.from_numpy(rising.astype(np.float32)).gather(0, moved)
        for shifted in (scores - 70, 1e4 * (scores - 30), (scores - 70) // 20):
            expected = nearest_by_distance(shifted, (6, 8), 2, 2)
            assert_same(student.scores_to_mask(shifted, (6, 8), 2, 2), expected)


def random_features(rng):
    """Two valid convolutions with pooling behind each, the second overlapping: jump 4, 10 pixels seen."""
    first, second = random_tensor(rng, 3, 2, 3, 3) / 4, random_tensor(rng, 4, 3, 2, 2) / 3

    def features(pictures):
        half = F.max_pool2d(F.conv2d(pictures, first).relu(), 2)
        return F.avg_pool2d(F.conv2d(half, second).tanh(), 3, stride=2)

    return features


def random_head(rng, side):
    """Two dense layers, for feature windows of this width alone: five classes."""
    first, second = random_tensor(rng, 4 * side * side, 6) / (2 * side), random_tensor(rng, 6, 5)
    return lambda windows: (windows.flatten(1) @ first).tanh() @ second


def chain(features, head):
    """The classifier that the two are together."""
    return lambda windows: head(features(windows))


def head_of_any_size(windows):
    """The first and the last feature of a window, and the mean: three classes, whatever its size."""
    numbers = windows.flatten(1)  # (B, D * k * k)
    return torch.stack([numbers[:, 0], numbers[:, -1], numbers.mean(1)], dim=1)


class TestSharedFeatureScores:
    """shared_feature_scores: the convolutions once, the head at every place"""

    def probe_wide_windows(self, student, rng):
        """So many features are left between windows that there is room for windows of a wrong width."""
        image, features = random_tensor(rng, 2, 37, 49), random_features(rng)
        student.shared_feature_scores(features, head_of_any_size, image, 14, 12, 4)

    @pytest.mark.weight(2)
    def test_equals_naive(self, student, rng):
        """Networks without padding: the same scores as classifying every window on its own, on pictures of any shape"""
        features = random_features(rng)
        for size, window, head in (
            ((25, 34), 14, head_of_any_size),
            ((39, 26), 18, random_head(rng, 3)),
        ):
            image = random_tensor(rng, 2, *size)
            naive = classify_all(chain(features, head), image, window, 4)
            assert_same(student.shared_feature_scores(features, head, image, window, 4, 4), naive)

    def test_larger_strides(self, student, rng):
        """A stride of several jumps leaves features out between two windows"""
        image, features, stride = random_tensor(rng, 2, 38, 50), random_features(rng), 4 * draw(rng, 2, 3)
        naive = classify_all(chain(features, head_of_any_size), image, 14, stride)
        assert_same(student.shared_feature_scores(features, head_of_any_size, image, 14, stride, 4), naive)

    @pytest.mark.weight(2)
    def test_features_once(self, student, rng):
        """Features of the whole picture once, of a single window at most once more, of nothing else"""
        image, plain = random_tensor(rng, 2, 26, 34), random_features(rng)
        # The features tell how large the picture was that they were computed from.
        features = Counter(lambda pictures: plain(pictures) + pictures.shape[2] + 0.1 * pictures.shape[3])
        got = student.shared_feature_scores(features, head_of_any_size, image, 14, 4, 4)
        seen = features.shapes[:]
        assert_same(got, classify_all(head_of_any_size, features(image[None])[0], 2, 1))
        whole, window = (1, 2, 26, 34), (1, 2, 14, 14)
        if sorted(seen) not in ([whole], [window, whole]):
            raise Mismatch("rule", f"one call with {whole}, at most one with {window}", f"calls with {sorted(seen)}")

    def test_head_sees_windows(self, student, rng):
        """The head is given every feature window exactly once, and nothing else, in batches (B, D, k, k)"""
        features = random_features(rng)
        for size, window, stride, count, side in (((30, 22), 17, 4, 8, 2), ((34, 26), 18, 8, 6, 3)):
            image, head = random_tensor(rng, 2, *size), Counter(head_of_any_size)
            naive = classify_all(chain(features, head_of_any_size), image, window, stride)
            assert_same(student.shared_feature_scores(features, head, image, window, stride, 4), naive)
            if sum(shape[0] for shape in head.shapes) != count or {s[1:] for s in head.shapes} != {(4, side, side)}:
                got = f"{sum(s[0] for s in head.shapes)} of {head.shapes[0][1:]}"
                raise Mismatch("rule", f"{count} feature windows of {(4, side, side)}", got)

    def test_leftover_pixels(self, student, rng):
        """Windows whose last pixels reach no feature: rows and columns are still those of the whole windows"""
        features, head = random_features(rng), random_head(rng, 2)
        image = random_tensor(rng, 2, 17 + 8 + draw(rng, 1, 3), 17 + 4 + draw(rng, 1, 3))
        naive = classify_all(chain(features, head), image, 17, 4)
        assert_same(student.shared_feature_scores(features, head, image, 17, 4, 4), naive)

    def test_one_window(self, student, rng):
        """A picture of exactly one window, and features without any pooling (jump 1)"""
        weight, head = random_tensor(rng, 4, 2, 3, 3), random_head(rng, 2)
        features = lambda pictures: F.conv2d(pictures, weight).sigmoid()  # noqa: E731
        for size, stride in (((9, 6), 3), ((4, 4), draw(rng, 1, 5))):
            image = random_tensor(rng, 2, *size)
            naive = classify_all(chain(features, head), image, 4, stride)
            assert_same(student.shared_feature_scores(features, head, image, 4, stride, 1), naive)

    def test_no_gradient(self, student, rng):
        """Networks with weights give the right scores, and no gradient is recorded while they run"""
        image = random_tensor(rng, 2, 7, 10)
        features = fill(rng, nn.Sequential(nn.Conv2d(2, 3, 2), nn.Tanh(), nn.AvgPool2d(2)))
        head = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Sigmoid()))
        kept_features, seen = watch(student, features, "2")
        kept_head, seen_by_head = watch(student, head, "2")
        got = student.shared_feature_scores(kept_features, kept_head, image, 5, 2, 2)
        assert_same(got, classify_all(nn.Sequential(features, head), image, 5, 2))
        require_no_gradient(student, seen, seen_by_head)


def count_by_sliding(layers, height, width):
    """Multiply-adds where every kernel is laid on a real map of one channel, place by place."""
    x, total = torch.zeros(height, width), 0
    for layer in layers:
        if layer["kind"] == "linear":
            total += layer["in_features"] * layer["out_features"]
            continue
        kernel, stride = layer["kernel_size"], layer["stride"]
        places = F.pad(x, [layer.get("padding", 0)] * 4).unfold(0, kernel, stride).unfold(1, kernel, stride)
        if layer["kind"] == "conv":
            total += places.numel() * layer["in_channels"] * layer["out_channels"]
        x = places[:, :, 0, 0]
    return total


class TestMultiplyAdds:
    """multiply_adds: what one forward pass costs"""

    def probe_padded(self, student):
        student.multiply_adds([conv(5, 7, 3, padding=1)], 19, 37)

    def probe_strided(self, student):
        student.multiply_adds([conv(5, 7, 3, stride=3)], 21, 39)

    def probe_plain(self, student):
        student.multiply_adds([conv(5, 7, 3)], 19, 37)

    @pytest.mark.weight(2)
    def test_convolutions(self, student, rng):
        """Chains of convolutions with any kernel, stride and padding, on pictures of any shape"""
        for stride, left_over in ((3, 2), (2, 1)):
            a, b, c = (draw(rng, 2, 9) for _ in range(3))
            kernel, padding = draw(rng, 3, 5), draw(rng, 1, 2)
            layers = [conv(a, b, kernel, stride, padding), conv(b, c, 4, padding=1)]
            height = kernel - 2 * padding + stride * draw(rng, 6, 9) + left_over
            width = kernel - 2 * padding + stride * draw(rng, 11, 14)
            assert_same(student.multiply_adds(layers, height, width), count_by_sliding(layers, height, width))

    def test_pooling(self, student, rng):
        """Pooling costs nothing and shrinks the map, also when its windows overlap or leave a row over"""
        for kernel, stride in ((2, 2), (3, 2), (2, 3)):
            layers = [conv(2, 3, 3), pool(kernel, stride), conv(3, 4, 2)]
            size = 2 * draw(rng, 6, 9) + 1, 2 * draw(rng, 10, 14)  # odd and even
            assert_same(student.multiply_adds(layers, *size), count_by_sliding(layers, *size))

    def test_dense(self, student, rng):
        """A dense layer flattens the map and runs once, and dense layers follow one another"""
        channels, height, width = draw(rng, 2, 5), draw(rng, 5, 8), draw(rng, 9, 12)
        flat = channels * (height // 2) * (width // 2)
        layers = [conv(3, channels, 3, padding=1), pool(2), linear(flat, 11), linear(11, 7), linear(7, 4)]
        assert_same(student.multiply_adds(layers, height, width), count_by_sliding(layers, height, width))

    def test_naive_and_shared(self, student):
        """256 x 256 pixels, window 64, the layers of LeNet: the cost of both ways comes out"""
        features = [conv(3, 6, 5), pool(2), conv(6, 16, 5), pool(2)]
        head = [linear(2704, 120), linear(120, 84), linear(84, 10)]
        assert_same(student.multiply_adds(features + head, 64, 64), 3_577_800)
        assert_same(student.multiply_adds(features, 256, 256), count_by_sliding(features, 256, 256))
        assert_same(student.multiply_adds(head, 13, 13), 335_400)
        assert_same(student.multiply_adds([], 13, 13), 0)
