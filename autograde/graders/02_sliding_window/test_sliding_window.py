"""Hidden graders of lesson 02. Random inputs come from `rng`; what is right is computed here, in another way."""

import numpy as np
import pytest
import torch
from torch import nn

from autograde.graders.kit import Counter, draw, fill, random_tensor
from seglab.checking.compare import Mismatch, assert_same


def cut(image, window, stride):
    """All windows, each cut out on its own: (rows, cols, C, window, window)."""
    height, width = image.shape[1:]
    tops, lefts = range(0, height - window + 1, stride), range(0, width - window + 1, stride)
    return torch.stack([torch.stack([image[:, y : y + window, x : x + window] for x in lefts]) for y in tops])


class TestWindowStarts:
    """window_starts: where a sliding window may begin"""

    def test_exact_fit(self, student, rng):
        """When the stride divides the room, the last window ends at the last pixel"""
        for _ in range(3):
            window, stride, steps = draw(rng, 13, 40), draw(rng, 1, 12), draw(rng, 2, 9)
            size = window + steps * stride
            assert_same(student.window_starts(size, window, stride), [i * stride for i in range(steps + 1)])

    def test_leftover(self, student, rng):
        """When it does not, no window sticks out, and none is moved to touch the edge"""
        for _ in range(3):
            stride, steps = draw(rng, 3, 12), draw(rng, 1, 9)
            window, extra = draw(rng, 13, 40), draw(rng, 1, stride - 1)
            got = student.window_starts(window + steps * stride + extra, window, stride)
            assert_same(got, [i * stride for i in range(steps + 1)])

    def test_window_is_picture(self, student, rng):
        """A window as large as the picture fits exactly once, whatever the stride"""
        size = draw(rng, 2, 90)
        assert_same(student.window_starts(2 * size, size, size), [0, size])
        for stride in (1, size, draw(rng, 91, 200)):
            assert_same(student.window_starts(size, size, stride), [0])

    def test_gaps(self, student, rng):
        """A stride larger than the window is allowed: pixels between windows are skipped"""
        window = draw(rng, 1, 6)
        stride = window + draw(rng, 1, 9)
        got = student.window_starts(4 * stride + window, window, stride)
        assert_same(got, [0, stride, 2 * stride, 3 * stride, 4 * stride])

    def test_window_too_large(self, student, rng):
        """A window larger than the picture fits nowhere: an empty list, no error"""
        size, stride = draw(rng, 20, 50), draw(rng, 1, 9)
        assert_same(student.window_starts(size, size - stride, stride), [0, stride])
        for excess in (1, stride, draw(rng, 10, 99)):
            assert_same(student.window_starts(size, size + excess, stride), [])

    def test_not_positive(self, student, rng):
        """Zero or less raises ValueError, for each of the three arguments"""
        size, stride = draw(rng, 20, 50), draw(rng, 1, 5)
        assert_same(student.window_starts(size, size - stride, stride), [0, stride])
        for bad in (0, -draw(rng, 1, 9)):
            for arguments in ((bad, 8, 2), (size, bad, 2), (size, 8, bad)):
                with student.raises(ValueError):
                    student.window_starts(*arguments)

    def test_not_integers(self, student, rng):
        """What is no integer raises TypeError or ValueError, for each argument; True and False are no integers"""
        size, stride = draw(rng, 20, 50), draw(rng, 1, 5)
        assert_same(student.window_starts(size, size - stride, stride), [0, stride])
        for bad in (8.0, True, "8"):
            for arguments in ((bad, 8, 2), (size, bad, 2), (size, 8, bad)):
                with student.raises(TypeError, ValueError):
                    student.window_starts(*arguments)


class TestExtractWindows:
    """extract_windows: every window of a picture, without copying one"""

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

    def test_dtype_kept(self, student, rng):
        """Pictures of bytes give windows of bytes"""
        image = torch.from_numpy(rng.integers(0, 256, (3, 6, 8), dtype=np.uint8))
        assert_same(student.extract_windows(image, 4, 2), cut(image, 4, 2))

    def test_one_window(self, student, rng):
        """A picture of one channel and the size of one window: all five dimensions are there"""
        side = draw(rng, 2, 6)
        image = random_tensor(rng, 1, side, side)
        assert_same(student.extract_windows(image, side, draw(rng, 1, 9)), image[None, None])

    def test_not_a_picture(self, student, rng):
        """A tensor that is not (C, H, W), or without pixels, raises ValueError"""
        image = random_tensor(rng, 3, 5, 6)
        assert_same(student.extract_windows(image, 3, 2), cut(image, 3, 2))
        for bad in (image[0], image[None], image[:0], image[:, :0], image[:, :, :0]):
            with student.raises(ValueError):
                student.extract_windows(bad, 3, 2)

    def test_window_too_large(self, student, rng):
        """A window higher, or wider, than the picture raises ValueError"""
        image = random_tensor(rng, 3, 5, 8)
        assert_same(student.extract_windows(image, 4, 1), cut(image, 4, 1))
        for bad in (image, image.mT):
            with student.raises(ValueError):
                student.extract_windows(bad, draw(rng, 6, 8), 1)


def random_classifier(rng, channels, window, num_classes):
    """A linear classifier (B, channels, window, window) -> (B, num_classes), so that every pixel counts."""
    weight = torch.from_numpy(rng.standard_normal((num_classes, channels, window, window), dtype=np.float32))
    return lambda batch: torch.einsum("bchw,kchw->bk", batch, weight)


@torch.no_grad()
def classify_each(classifier, image, window, stride):
    """The classifier at every window, one by one: (num_classes, rows, cols)."""
    windows = cut(image, window, stride)
    return torch.stack([torch.cat([classifier(one[None]) for one in row]).T for row in windows], dim=1)


class TestSlidingWindowScores:
    """sliding_window_scores: a classifier at every place, in batches"""

    @pytest.mark.weight(2)
    def test_every_window(self, student, rng):
        """The scores of each window are where they belong, on pictures of any shape"""
        for size in ((9, 17), (17, 8)):
            image, classifier = random_tensor(rng, 2, *size), random_classifier(rng, 2, 3, 5)
            got = student.sliding_window_scores(classifier, image, 3, 2, int(rng.choice([5, 7])))
            assert_same(got, classify_each(classifier, image, 3, 2))

    @pytest.mark.weight(2)
    def test_number_of_calls(self, student, rng):
        """n windows take ceil(n / batch_size) calls with at most batch_size windows each"""
        image = random_tensor(rng, 2, 8, 10)  # 7 x 9 = 63 windows
        for batch_size in (draw(rng, 4, 6), 21, draw(rng, 40, 60)):
            classifier = Counter(random_classifier(rng, 2, 2, 3))
            got = student.sliding_window_scores(classifier, image, 2, 1, batch_size)
            assert_same(got, classify_each(classifier.function, image, 2, 1))
            sizes = [shape[0] for shape in classifier.shapes]
            if len(sizes) != -(-63 // batch_size) or max(sizes) > batch_size or sum(sizes) != 63:
                wanted = f"{-(-63 // batch_size)} calls with at most {batch_size} windows, 63 in all"
                raise Mismatch("rule", wanted, f"calls with {sizes} windows")

    def test_batch_of_all(self, student, rng):
        """A batch size beyond the number of windows, and one of a single window, give the same scores"""
        image, classifier = random_tensor(rng, 1, 6, 5), random_classifier(rng, 1, 4, 2)
        for batch_size in (1, draw(rng, 7, 99)):
            got = student.sliding_window_scores(classifier, image, 4, 1, batch_size)
            assert_same(got, classify_each(classifier, image, 4, 1))

    def test_dtype(self, student, rng):
        """The map has the dtype of what the classifier returns"""
        image, floats = random_tensor(rng, 1, 5, 7), random_classifier(rng, 1, 3, 2)

        def doubles(batch):
            return floats(batch).double()

        def counts(batch):
            return torch.stack([(batch > 0).sum(dim=(1, 2, 3)), (batch > 1).sum(dim=(1, 2, 3))], dim=1)

        for classifier in (floats, doubles, counts):
            got = student.sliding_window_scores(classifier, image, 3, 2, 3)
            assert_same(got, classify_each(classifier, image, 3, 2), tolerance=(1e-4, 1e-5))

    def test_no_gradient(self, student, rng):
        """A network with weights gives the right scores, and no gradient is recorded"""
        image, network = random_tensor(rng, 2, 5, 6), nn.Sequential(nn.Flatten(), nn.Linear(18, 3))
        fill(rng, network)
        got = student.sliding_window_scores(network, image, 3, 1, 5)
        assert_same(got, classify_each(network, image, 3, 1))
        if got.requires_grad:
            raise Mismatch("rule", "scores that record no gradient", "scores with requires_grad")

    def test_wrong_classifier(self, student, rng):
        """A classifier that does not return (B, num_classes) raises ValueError"""
        image, classifier = random_tensor(rng, 1, 4, 5), random_classifier(rng, 1, 2, 4)
        got = student.sliding_window_scores(classifier, image, 2, 1, 4)
        assert_same(got, classify_each(classifier, image, 2, 1))
        for wrong in (
            lambda batch: classifier(batch)[:, 0],
            lambda batch: classifier(batch)[:, :, None, None],
            lambda batch: classifier(batch)[:-1],
            lambda batch: classifier(batch).repeat(2, 1),
            lambda batch: classifier(batch).mean(0),
        ):
            with student.raises(ValueError):
                student.sliding_window_scores(wrong, image, 2, 1, 4)

    def test_bad_batch_size(self, student, rng):
        """A batch size below 1 raises ValueError"""
        image, classifier = random_tensor(rng, 1, 4, 5), random_classifier(rng, 1, 2, 4)
        got = student.sliding_window_scores(classifier, image, 2, 2, 1)
        assert_same(got, classify_each(classifier, image, 2, 2))
        for batch_size in (0, -draw(rng, 1, 9)):
            with student.raises(ValueError):
                student.sliding_window_scores(classifier, image, 2, 2, batch_size)


def nearest_by_distance(scores, image_size, window, stride):
    """Every pixel measures its distance to every centre and takes the first of the nearest."""
    axes = []
    for size in image_size:
        centres = torch.arange(0, size - window + 1, stride) + (window - 1) / 2
        distances = (torch.arange(size)[:, None] - centres).abs().tolist()  # exact: halves
        axes.append([row.index(min(row)) for row in distances])
    labels = scores.argmax(dim=0).tolist()
    return torch.tensor([[labels[row][col] for col in axes[1]] for row in axes[0]])


def different_neighbours(rng, num_classes, rows, cols):
    """Random scores whose arg-max differs between any two neighbouring windows, so that each border shows."""
    scores = torch.from_numpy(rng.random((num_classes, rows, cols), dtype=np.float32))
    labels = (torch.arange(rows)[:, None] + 2 * torch.arange(cols) + draw(rng, 0, num_classes - 1)) % num_classes
    return scores.scatter(0, labels[None], draw(rng, 2, 4))


class TestScoresToMask:
    """scores_to_mask: the coarse map, laid on the pixels"""

    @pytest.mark.weight(2)
    def test_centres(self, student, rng):
        """Each pixel takes the class of the window whose centre is nearest; picture wider than high, then higher"""
        for rows, cols in ((3, 6), (5, 2)):
            window, stride = 2 * draw(rng, 4, 6), 2 * draw(rng, 1, 2)
            size = (window + (rows - 1) * stride, window + (cols - 1) * stride)
            scores = different_neighbours(rng, 4, rows, cols)
            expected = nearest_by_distance(scores, size, window, stride)
            assert_same(student.scores_to_mask(scores, size, window, stride), expected)

    def test_equal_distance(self, student, rng):
        """Of two equally near windows the earlier one wins"""
        for window, stride in ((2 * draw(rng, 3, 5) + 1, 4), (2 * draw(rng, 3, 5), 5), (2, 3)):
            size = (window + 2 * stride, window + 3 * stride)
            scores = different_neighbours(rng, 4, 3, 4)
            expected = nearest_by_distance(scores, size, window, stride)
            assert_same(student.scores_to_mask(scores, size, window, stride), expected)

    def test_leftover_margin(self, student, rng):
        """Pixels beyond the last window, below and to the right, take the nearest window too"""
        window, stride = 4, 2 * draw(rng, 4, 5)
        size = (window + 2 * stride + draw(rng, 5, 7), window + stride + draw(rng, 5, 7))
        scores = different_neighbours(rng, 3, 3, 2)
        expected = nearest_by_distance(scores, size, window, stride)
        assert_same(student.scores_to_mask(scores, size, window, stride), expected)

    def test_one_window(self, student, rng):
        """One window in the whole picture colours all of it; one class in the scores is class 0"""
        window = draw(rng, 2, 5)
        size = (window + 1, window + 2)
        scores, best = torch.from_numpy(rng.random((3, 1, 1), dtype=np.float32)), draw(rng, 1, 2)
        scores[best] += 2
        assert_same(student.scores_to_mask(scores, size, window, 3), torch.full(size, best))
        zeros = torch.zeros(size, dtype=torch.int64)
        assert_same(student.scores_to_mask(scores[:1], size, window, 3), zeros)

    def test_best_class(self, student, rng):
        """The class of the largest score, whatever the sign of the scores and their dtype"""
        for dtype in (torch.float32, torch.float64):
            scores = torch.from_numpy(rng.permutation(60).reshape(5, 3, 4)).to(dtype)  # all different
            for shifted in (scores - 70, scores + 1, 1e4 * (scores - 30)):
                expected = nearest_by_distance(shifted, (6, 8), 2, 2)
                assert_same(student.scores_to_mask(shifted, (6, 8), 2, 2), expected)

    def test_map_of_another_size(self, student, rng):
        """Scores with too many or too few rows or columns, or that are not 3-D, raise ValueError"""
        scores = different_neighbours(rng, 3, 3, 4)
        expected = nearest_by_distance(scores, (8, 10), 4, 2)
        assert_same(student.scores_to_mask(scores, (8, 10), 4, 2), expected)
        for bad in (scores[:, 1:], scores[:, :, 1:], scores.mT, scores[:0], scores[0], scores[None]):
            with student.raises(ValueError):
                student.scores_to_mask(bad, (8, 10), 4, 2)
        for size in ((10, 8), (8, 12), (3, 10)):
            with student.raises(ValueError):
                student.scores_to_mask(scores, size, 4, 2)
        with student.raises(ValueError):
            student.scores_to_mask(scores[:, :0], (3, 10), 4, 2)


def random_features(rng):
    """Two valid convolutions with pooling behind each, the second overlapping: jump 4, 10 pixels seen."""
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.Tanh(), nn.AvgPool2d(3, stride=2)
    )
    fill(rng, network)
    return network


def random_head(rng, side):
    network = nn.Sequential(nn.Flatten(), nn.Linear(4 * side * side, 5))
    fill(rng, network)
    return network


class TestSharedFeatureScores:
    """shared_feature_scores: the convolutions once, the head at every place"""

    @pytest.mark.weight(2)
    def test_equals_naive(self, student, rng):
        """Networks without padding: the same scores as classifying every window on its own, on pictures of any shape"""
        for size, window, side in (((24, 33), 14, 2), ((39, 26), 18, 3)):
            image, features, head = random_tensor(rng, 2, *size), random_features(rng), random_head(rng, side)
            naive = classify_each(nn.Sequential(features, head), image, window, 4)
            assert_same(student.shared_feature_scores(features, head, image, window, 4, 4), naive)

    def test_larger_strides(self, student, rng):
        """A stride of several jumps leaves features out between two windows"""
        image, features, head = random_tensor(rng, 2, 36, 45), random_features(rng), random_head(rng, 2)
        for stride in (8, 12):
            naive = classify_each(nn.Sequential(features, head), image, 14, stride)
            assert_same(student.shared_feature_scores(features, head, image, 14, stride, 4), naive)

    @pytest.mark.weight(2)
    def test_features_once(self, student, rng):
        """Features of the whole picture once, of a single window at most once more, of nothing else"""
        image, network, head = random_tensor(rng, 2, 28, 32), random_features(rng), random_head(rng, 2)
        features = Counter(lambda pictures: network(pictures).detach())
        got = student.shared_feature_scores(features, head, image, 14, 4, 4)
        assert_same(got, classify_each(nn.Sequential(network, head), image, 14, 4))
        whole, window = (1, 2, 28, 32), (1, 2, 14, 14)
        if sorted(features.shapes) not in ([whole], [window, whole]):
            raise Mismatch("rule", f"one call with {whole}, at most one with {window}", f"calls with {features.shapes}")

    def test_head_sees_windows(self, student, rng):
        """The head is given every feature window exactly once, in batches (B, D, k, k)"""
        image, features = random_tensor(rng, 2, 34, 26), random_features(rng)
        classifier = random_classifier(rng, 4, 3, 5)
        head = Counter(classifier)
        naive = classify_each(lambda one: classifier(features(one)), image, 18, 8)
        assert_same(student.shared_feature_scores(features, head, image, 18, 8, 4), naive)
        if sum(shape[0] for shape in head.shapes) != 6 or {shape[1:] for shape in head.shapes} != {(4, 3, 3)}:
            raise Mismatch("rule", "6 feature windows of (4, 3, 3)", f"calls with {head.shapes}")

    def test_leftover_pixels(self, student, rng):
        """Windows whose last pixels reach no feature: rows and columns are still those of the whole windows"""
        features, head = random_features(rng), random_head(rng, 2)
        for size in ((17 + 8 + draw(rng, 1, 3), 17 + 12), (17 + 4, 17 + 8 + draw(rng, 1, 3))):
            image = random_tensor(rng, 2, *size)
            naive = classify_each(nn.Sequential(features, head), image, 17, 4)
            assert_same(student.shared_feature_scores(features, head, image, 17, 4, 4), naive)

    def test_one_window(self, student, rng):
        """A picture of exactly one window, and features without any pooling (jump 1)"""
        features, head = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Sigmoid()), random_head(rng, 2)
        fill(rng, features)
        for size, stride in (((4, 4), draw(rng, 1, 5)), ((5, 8), 1), ((9, 6), 3)):
            image = random_tensor(rng, 2, *size)
            naive = classify_each(nn.Sequential(features, head), image, 4, stride)
            assert_same(student.shared_feature_scores(features, head, image, 4, stride, 1), naive)

    def test_no_gradient(self, student, rng):
        """Networks with weights give the right scores, and no gradient is recorded"""
        image, features, head = random_tensor(rng, 2, 20, 24), random_features(rng), random_head(rng, 2)
        got = student.shared_feature_scores(features, head, image, 14, 4, 4)
        assert_same(got, classify_each(nn.Sequential(features, head), image, 14, 4))
        if got.requires_grad:
            raise Mismatch("rule", "scores that record no gradient", "scores with requires_grad")

    def test_bad_arguments(self, student, rng):
        """A stride that is no multiple of the jump, and a window larger than the picture, raise ValueError"""
        image, features, head = random_tensor(rng, 2, 24, 20), random_features(rng), random_head(rng, 2)
        naive = classify_each(nn.Sequential(features, head), image, 14, 4)
        assert_same(student.shared_feature_scores(features, head, image, 14, 4, 4), naive)
        for stride in (2, 4 * draw(rng, 1, 2) + draw(rng, 1, 3)):
            with student.raises(ValueError):
                student.shared_feature_scores(features, head, image, 14, stride, 4)
        with student.raises(ValueError):
            student.shared_feature_scores(features, head, image, 14, 4, 0)
        with student.raises(ValueError):
            student.shared_feature_scores(features, random_head(rng, 4), image, 22, 4, 4)


def describe_layer(layer):
    """A torch module in the exercise's words; None for one that costs nothing and changes no shape."""
    names = {
        nn.Conv2d: ("conv", "in_channels out_channels kernel_size stride padding"),
        nn.MaxPool2d: ("pool", "kernel_size stride"),
        nn.Linear: ("linear", "in_features out_features"),
    }
    if type(layer) not in names:
        return None
    kind, fields = names[type(layer)]
    values = {name: getattr(layer, name) for name in fields.split()}
    return {"kind": kind, **{name: value[0] if isinstance(value, tuple) else value for name, value in values.items()}}


def describe_layers(network):
    return [layer for layer in map(describe_layer, network) if layer]


def count_by_running(network, height, width):
    """Multiply-adds read off the real outputs: each number of an output is one dot product with a row of weights."""
    x, total = torch.zeros(1, network[0].in_channels, height, width), 0
    for layer in network:
        x = layer(x)
        if hasattr(layer, "weight"):
            total += x.numel() * layer.weight[0].numel()
    return total


class TestMultiplyAdds:
    """multiply_adds: what one forward pass costs"""

    @pytest.mark.weight(2)
    def test_convolutions(self, student, rng):
        """Chains of convolutions with any kernel, stride and padding, on pictures of any shape"""
        for _ in range(3):
            a, b, c = (draw(rng, 2, 9) for _ in range(3))
            network = nn.Sequential(
                nn.Conv2d(a, b, draw(rng, 2, 5), stride=draw(rng, 2, 3), padding=draw(rng, 1, 2)),
                nn.Conv2d(b, c, 3, padding=draw(rng, 0, 1)),
            )
            size = draw(rng, 20, 30), draw(rng, 31, 45)
            expected = count_by_running(network, *size)
            assert_same(student.multiply_adds(describe_layers(network), *size), expected)

    def test_pooling(self, student, rng):
        """Pooling costs nothing and shrinks the map, also when its windows overlap or leave a row over"""
        for kernel, stride in ((2, 2), (3, 2), (2, 3)):
            network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(kernel, stride), nn.Conv2d(3, 4, 2))
            size = 2 * draw(rng, 6, 9) + 1, 2 * draw(rng, 10, 14)  # odd and even
            expected = count_by_running(network, *size)
            assert_same(student.multiply_adds(describe_layers(network), *size), expected)

    def test_dense(self, student, rng):
        """A dense layer flattens the map, and dense layers follow one another"""
        channels, height, width = draw(rng, 2, 5), draw(rng, 5, 8), draw(rng, 9, 12)
        flat = channels * (height // 2) * (width // 2)
        network = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(flat, 7), nn.Linear(7, 4)
        )
        expected = count_by_running(network, height, width)
        assert_same(student.multiply_adds(describe_layers(network), height, width), expected)

    def test_naive_and_shared(self, student):
        """The slide's picture and window, LeNet's layers: the cost of both ways comes out"""
        convs = nn.Sequential(nn.Conv2d(3, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2))
        features = describe_layers(convs)
        head = describe_layers([nn.Linear(2704, 120), nn.Linear(120, 84), nn.Linear(84, 10)])
        assert_same(student.multiply_adds(features + head, 64, 64), 3_577_800)
        assert_same(student.multiply_adds(features, 256, 256), count_by_running(convs, 256, 256))
        assert_same(student.multiply_adds(head, 13, 13), 335_400)

    def test_huge(self, student, rng):
        """Counts of thousands of billions are exact"""
        channels, side = 2 * draw(rng, 1000, 2000) + 1, 2 * draw(rng, 5000, 9000) + 1
        layer = {"kind": "conv", "in_channels": channels, "out_channels": channels}
        layer |= {"kernel_size": 3, "stride": 1, "padding": 1}
        assert_same(student.multiply_adds([layer], side, side), 9 * channels**2 * side**2)

    def test_nothing_to_count(self, student, rng):
        """No layers, or pooling only, cost 0; a map of one pixel still counts"""
        pool = {"kind": "pool", "kernel_size": 2, "stride": 2}
        convolution = describe_layer(nn.Conv2d(2, 5, 1))
        assert_same(student.multiply_adds([pool, pool, convolution], 4, 4), 10)
        assert_same(student.multiply_adds([pool], draw(rng, 2, 9), 2), 0)
        assert_same(student.multiply_adds([], draw(rng, 1, 9), 1), 0)

    def test_misfits(self, student, rng):
        """A layer that does not fit the map before it, or of an unknown kind, raises ValueError"""
        height, width = draw(rng, 6, 7), draw(rng, 8, 9)
        expected = count_by_running(nn.Sequential(nn.Conv2d(2, 3, 3)), height, width)
        first = describe_layer(nn.Conv2d(2, 3, 3))
        assert_same(student.multiply_adds([first], height, width), expected)
        for misfit in (
            nn.Conv2d(2, 4, 1),  # other channels than the first layer gives
            nn.Conv2d(3, 4, 8),  # larger than what the first layer leaves
            nn.MaxPool2d(8, 1),
            nn.Linear(3, 4),  # the channels alone
            nn.Linear(3 * height * width, 4),  # the size before the first layer
        ):
            with student.raises(ValueError):
                student.multiply_adds([first, describe_layer(misfit)], height, width)
        for layers, size in (
            (describe_layers([nn.Conv2d(1, 1, height + 1)]), (height, 20)),  # one side is enough
            (describe_layers([nn.Conv2d(1, 1, width + 1)]), (20, width)),
            (describe_layers([nn.Linear(height * width + 1, 4)]), (height, width)),
            (describe_layers([nn.Linear(height * width, 4), nn.Linear(5, 2)]), (height, width)),
            ([{"kind": "attention", "in_features": height * width, "out_features": 2}], (height, width)),
            ([], (0, width)),
            ([], (height, 0)),
        ):
            with student.raises(ValueError):
                student.multiply_adds(layers, *size)
