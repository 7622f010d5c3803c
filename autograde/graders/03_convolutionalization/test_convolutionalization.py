"""Hidden graders of lesson 03. Random inputs come from `rng`; what is right is computed here, in another way."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.kit import draw, fill, random_tensor
from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, pool


@torch.no_grad()
def at_every_place(classify, maps, side, step=1):
    """What `classify` says of each window of (height, width) `side`, cut out: (N, num_classes, rows, cols)."""
    windows = maps.unfold(2, side[0], step).unfold(3, side[1], step)  # (N, C, rows, cols, height, width)
    windows = windows.permute(0, 2, 3, 1, 4, 5)
    return classify(windows.flatten(0, 2)).unflatten(0, windows.shape[:3]).permute(0, 3, 1, 2)


def flat(dense):
    """The fully connected layer as a classifier of feature windows."""
    return lambda window: dense(window.flatten(1))


def averaged(dense):
    """The fully connected layer behind global average pooling."""
    return lambda window: dense(window.mean(dim=(2, 3)))


def all_train(network):
    """The shapes of a network's weights by name, once each of them is known to train."""
    weights = network.parameters()
    if not weights:
        raise Mismatch("rule", "weights that train", "a network without weights")
    frozen = [name for name, weight in weights.items() if not weight.requires_grad]
    if frozen:
        raise Mismatch("rule", "weights that train", f"{frozen} do not")
    network.call("requires_grad_", False, keep=True)  # torch refuses where a weight is computed from others, no leaf
    network.call("requires_grad_", True, keep=True)
    return {name: tuple(weight.shape) for name, weight in weights.items()}


class TestLinearToConv:
    """linear_to_conv: a fully connected layer as a convolution"""

    @pytest.mark.weight(2)
    def test_one_window(self, student, rng):
        """On features of the kernel's size, the numbers of the fully connected layer, with a map of 1 x 1"""
        for channels, kernel in ((draw(rng, 4, 6), (3, 5)), (2, (4, 2))):
            dense = fill(rng, nn.Linear(channels * math.prod(kernel), 6))
            windows = random_tensor(rng, 3, channels, *kernel)
            got = student.linear_to_conv.module(dense, channels, kernel)(windows)
            assert_same(got, flat(dense)(windows)[:, :, None, None])

    @pytest.mark.weight(2)
    def test_every_place(self, student, rng):
        """On larger features, the numbers of the fully connected layer for every window"""
        for kernel in ((5, 3), (4, 1)):
            dense = fill(rng, nn.Linear(3 * math.prod(kernel), 4))
            features = random_tensor(rng, 2, 3, draw(rng, 6, 7), draw(rng, 8, 9))
            got = student.linear_to_conv.module(dense, 3, kernel)(features)
            assert_same(got, at_every_place(flat(dense), features, kernel))

    def test_one_number(self, student, rng):
        """A kernel given as one number is square; 1 is a fully connected layer at every pixel"""
        for side in (draw(rng, 3, 5), 1):
            dense = fill(rng, nn.Linear(4 * side**2, 3))
            features = random_tensor(rng, 2, 4, 5, 6)
            got = student.linear_to_conv.module(dense, 4, side)(features)
            assert_same(got, at_every_place(flat(dense), features, (side, side)))

    def test_without_bias(self, student, rng):
        """A layer without a bias gives a convolution without one"""
        dense = fill(rng, nn.Linear(27, 5, bias=False))
        network = student.linear_to_conv.module(dense, 3, (3, 3))
        features = random_tensor(rng, 2, 3, 5, 4)
        assert_same(network(features), at_every_place(flat(dense), features, (3, 3)))
        if set(all_train(network)) != {"weight"}:
            raise Mismatch("rule", "one weight, no bias", f"weights named {sorted(network.parameters())}")

    def test_trains(self, student, rng):
        """Its weights train: on windows they get the gradients of the fully connected layer"""
        dense, windows, grad = fill(rng, nn.Linear(30, 3)), random_tensor(rng, 4, 2, 3, 5), random_tensor(rng, 4, 3)
        network = student.linear_to_conv.module(dense, 2, (3, 5))
        assert_same(network(windows), flat(dense)(windows)[:, :, None, None])  # gradients alone depend on no weight
        all_train(network)
        (flat(dense)(windows) * grad).sum().backward()
        expected = {"weight": dense.weight.grad.reshape(3, 2, 3, 5), "bias": dense.bias.grad}
        assert_same(network.gradients(windows, grad[:, :, None, None]), expected)

    def probe_square(self, student, rng):
        student.linear_to_conv.module(fill(rng, nn.Linear(18, 4)), 2, (3, 3))(random_tensor(rng, 2, 2, 4, 5))

    def probe_tall_without_bias(self, student, rng):
        dense = fill(rng, nn.Linear(16, 5, bias=False))
        student.linear_to_conv.module(dense, 2, (4, 2))(random_tensor(rng, 3, 2, 4, 2))

    def probe_pixels(self, student, rng):
        student.linear_to_conv.module(fill(rng, nn.Linear(5, 4)), 5, 1)(random_tensor(rng, 2, 5, 2, 3))

    def probe_oblong_without_bias(self, student, rng):
        dense = fill(rng, nn.Linear(24, 3, bias=False))
        student.linear_to_conv.module(dense, 3, (2, 4))(random_tensor(rng, 2, 3, 2, 4))

    def probe_square_without_bias(self, student, rng):
        dense = fill(rng, nn.Linear(27, 4, bias=False))
        student.linear_to_conv.module(dense, 3, 3)(random_tensor(rng, 2, 3, 3, 3))

    def probe_even_square_without_bias(self, student, rng):
        dense = fill(rng, nn.Linear(32, 3, bias=False))
        student.linear_to_conv.module(dense, 2, (4, 4))(random_tensor(rng, 2, 2, 5, 7))


WINDOW, FEATURES, JUMP = (10, 12), (2, 3, 4), 2  # what `with_features` makes of a window, without padding


def head(rng, *between):
    """Flatten and two fully connected layers, with something between them."""
    return fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(24, 5), *between, nn.ReLU(), nn.Linear(5, 3)))


def with_features(rng):
    """A whole classifier: convolutions and a head."""
    features = nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 2), nn.Tanh()
    return fill(rng, nn.Sequential(*features, *head(rng)))


def window_scores(network, windows):
    """(N, num_classes, 1, 1): what the classifier says of whole windows."""
    return network(windows).detach()[:, :, None, None]


class TestConvolutionalize:
    """convolutionalize: a whole classifier as one pass"""

    @pytest.mark.weight(2)
    def test_one_window(self, student, rng):
        """On pictures of the window's size the scores of the classifier, with a map of 1 x 1"""
        network, windows = with_features(rng), random_tensor(rng, 3, 2, *WINDOW)
        got = student.convolutionalize.module(network, FEATURES)(windows)
        assert_same(got, window_scores(network, windows))

    @pytest.mark.weight(2)
    def test_every_place(self, student, rng):
        """On larger pictures the scores of every window, one jump apart, in rows and columns"""
        network = with_features(rng)
        pictures = random_tensor(rng, 2, 2, 14 + 2 * draw(rng, 1, 2), 17 + 2 * draw(rng, 1, 2))
        got = student.convolutionalize.module(network, FEATURES)(pictures)
        assert_same(got, at_every_place(network, pictures, WINDOW, JUMP))

    def test_head_alone(self, student, rng):
        """A head without convolutions works on a map of features, with one fully connected layer or three"""
        shape = (3, 2, draw(rng, 3, 4))
        inputs = math.prod(shape)
        for layers in (
            [nn.Flatten(1, 3), nn.Linear(inputs, 5)],
            [nn.Tanh(), nn.Flatten(), nn.Linear(inputs, 4, bias=False), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)],
        ):
            network, maps = fill(rng, nn.Sequential(*layers)), random_tensor(rng, 2, 3, 4, 6)
            got = student.convolutionalize.module(network, shape)(maps)
            assert_same(got, at_every_place(network, maps, shape[1:]))

    def test_two_places(self, student, rng):
        """A layer that stands in two places runs in both"""
        tanh, middle = nn.Tanh(), nn.Linear(5, 5)
        layers = nn.Flatten(), nn.Linear(24, 5), tanh, middle, tanh, middle, tanh, nn.Linear(5, 3)
        network, windows = fill(rng, nn.Sequential(*layers)), random_tensor(rng, 3, *FEATURES)
        got = student.convolutionalize.module(network, FEATURES)(windows)
        assert_same(got, window_scores(network, windows))

    @pytest.mark.weight(2)
    def test_batch_norm(self, student, rng):
        """Batch normalization of fully connected layers keeps weights, statistics and eps"""
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.BatchNorm1d(5), nn.Linear(5, 3), nn.BatchNorm1d(3)))
        maps = random_tensor(rng, 2, 5, 3, 4)
        got = student.convolutionalize.module(network, (5, 1, 1))(maps)
        assert_same(got, at_every_place(network, maps, (1, 1)))
        network, maps = head(rng, nn.BatchNorm1d(5, eps=0.7)), random_tensor(rng, 2, 2, 4, 6)
        got = student.convolutionalize.module(network, FEATURES)(maps)
        assert_same(got, at_every_place(network, maps, FEATURES[1:]))

    def test_batch_norm_in_training(self, student, rng):
        """In training mode it normalizes with the batch, and moves its own statistics as the original would"""
        network, windows = head(rng, nn.BatchNorm1d(5, momentum=0.3)).train(), random_tensor(rng, 4, *FEATURES)
        converted = student.convolutionalize.module(network, FEATURES)
        assert_same(converted(windows), window_scores(network, windows))
        converted.call("eval", keep=True)
        assert_same(converted(windows), window_scores(network.eval(), windows))

    def test_dropout(self, student, rng):
        """Dropout is kept with its probability: active in training, silent in evaluation"""
        windows = random_tensor(rng, 3, *FEATURES)
        network = head(rng, nn.Dropout(1.0))
        network.insert(1, nn.Dropout(0.0).eval())
        converted = student.convolutionalize.module(network, FEATURES)
        assert_same(converted(windows), window_scores(network, windows))
        converted.call("train", keep=True)
        assert_same(converted(windows), window_scores(network.train(), windows))
        difference = nn.Linear(12, 1, bias=False)  # of two features of one channel
        difference.weight.data = torch.eye(12)[:1] - torch.eye(12)[1:2]
        dropping = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), difference).train()
        converted = student.convolutionalize.module(dropping, (1, 3, 4))
        differ = []  # random outputs, so only looked at there; where whole channels are dropped they are all 0
        for size in (64, 65):
            differ.append(converted.call("forward", torch.ones(size, 1, 3, 4), keep=True).call("any"))
        assert_same(differ, [torch.tensor(True)] * 2)

    def test_modes(self, student, rng):
        """Every layer stays in its mode, training or evaluation, also when they differ"""
        windows = random_tensor(rng, 4, *FEATURES)
        network = head(rng, nn.BatchNorm1d(5), nn.Dropout(1.0)).append(fill(rng, nn.BatchNorm1d(3))).train()
        for layer in network[3], network[-1]:
            layer.eval()
        got = student.convolutionalize.module(network, FEATURES)(windows)
        assert_same(got, window_scores(network, windows))

    def test_trains(self, student, rng):
        """Its weights train: as many as the classifier's, and on windows they get the same gradients"""
        network = head(rng, nn.BatchNorm1d(5)).insert(0, fill(rng, nn.Conv2d(3, 2, 2)))
        windows, grad = random_tensor(rng, 4, 3, 4, 5), random_tensor(rng, 4, 3)
        converted = student.convolutionalize.module(network, FEATURES)
        assert_same(converted(windows), window_scores(network, windows))
        all_train(converted)
        (grad * network(windows)).sum().backward()
        got = converted.gradients(windows, grad[:, :, None, None]).values()
        none = torch.zeros(0)
        expected = [weight.grad.flatten() for weight in network.parameters()]
        assert_same([(none if one is None else one).flatten() for one in got], expected)

    def probe_square(self, student, rng):
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(18, 3)))
        student.convolutionalize.module(network, (2, 3, 3))(random_tensor(rng, 2, 2, 4, 5))

    def probe_without_bias(self, student, rng):
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(18, 3, bias=False)))
        student.convolutionalize.module(network, (2, 3, 3))(random_tensor(rng, 2, 2, 3, 3))

    def probe_activation(self, student, rng):
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Tanh()))
        student.convolutionalize.module(network, (2, 2, 3))(random_tensor(rng, 2, 2, 3, 5))

    def probe_batch_norm(self, student, rng):
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3)))
        student.convolutionalize.module(network, (2, 2, 3))(random_tensor(rng, 2, 2, 3, 5))

    def probe_batch_norm_with_eps(self, student, rng):
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3, eps=0.4)))
        student.convolutionalize.module(network, (2, 2, 3))(random_tensor(rng, 2, 2, 3, 5))

    def probe_batch_norm_in_training(self, student, rng):
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3))).train()
        student.convolutionalize.module(network, (2, 2, 3))(random_tensor(rng, 4, 2, 2, 3))

    def probe_dropout(self, student, rng):
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.Dropout(1.0), nn.Linear(12, 3))).train()
        dropping = student.convolutionalize.module(network, (2, 2, 3))
        dropping.call("train", keep=True)
        dropping(random_tensor(rng, 2, 2, 3, 5))


class TestPoolHeadToConv:
    """pool_head_to_conv: global average pooling and a fully connected layer, as a map"""

    def test_one_window(self, student, rng):
        """On one window of features the numbers of the head, with a map of 1 x 1"""
        dense, windows = fill(rng, nn.Linear(5, 3)), random_tensor(rng, 4, 5, 4, 6)
        got = student.pool_head_to_conv.module(dense, (5, 4, 6))(windows)
        assert_same(got, averaged(dense)(windows)[:, :, None, None])

    @pytest.mark.weight(2)
    def test_every_place(self, student, rng):
        """On larger features the numbers of the head for every window, also for windows that are not square"""
        for side in ((2, 3), (draw(rng, 3, 4), 2)):
            dense, maps = fill(rng, nn.Linear(4, 3)), random_tensor(rng, 2, 4, draw(rng, 5, 6), draw(rng, 7, 8))
            got = student.pool_head_to_conv.module(dense, (4, *side))(maps)
            assert_same(got, at_every_place(averaged(dense), maps, side))

    def test_class_activation_map(self, student, rng):
        """Windows of one feature give the class activation map; its mean is what the head says of the whole"""
        dense, maps = fill(rng, nn.Linear(6, 4)), random_tensor(rng, 2, 6, draw(rng, 4, 6), draw(rng, 7, 9))
        got = student.pool_head_to_conv.module(dense, (6, 1, 1))(maps)
        assert_same(got, at_every_place(flat(dense), maps, (1, 1)))
        assert_same(got.mean(dim=(2, 3)), averaged(dense)(maps))

    def test_without_bias(self, student, rng):
        """A fully connected layer without a bias"""
        dense, maps = fill(rng, nn.Linear(3, 5, bias=False)), random_tensor(rng, 1, 3, 5, 4)
        got = student.pool_head_to_conv.module(dense, (3, 3, 2))(maps)
        assert_same(got, at_every_place(averaged(dense), maps, (3, 2)))

    def probe_square(self, student, rng):
        student.pool_head_to_conv.module(fill(rng, nn.Linear(3, 2)), (3, 2, 2))(random_tensor(rng, 2, 3, 4, 5))

    def probe_one_square_window(self, student, rng):
        student.pool_head_to_conv.module(fill(rng, nn.Linear(3, 2)), (3, 3, 3))(random_tensor(rng, 2, 3, 3, 3))

    def probe_one_window_without_bias(self, student, rng):
        dense = fill(rng, nn.Linear(4, 2, bias=False))
        student.pool_head_to_conv.module(dense, (4, 3, 5))(random_tensor(rng, 2, 4, 3, 5))

    def probe_one_even_square_without_bias(self, student, rng):
        dense = fill(rng, nn.Linear(4, 2, bias=False))
        student.pool_head_to_conv.module(dense, (4, 2, 2))(random_tensor(rng, 2, 4, 2, 2))

    def probe_square_without_bias(self, student, rng):
        dense = fill(rng, nn.Linear(3, 4, bias=False))
        student.pool_head_to_conv.module(dense, (3, 3, 3))(random_tensor(rng, 1, 3, 5, 8))

    def probe_pixels(self, student, rng):
        student.pool_head_to_conv.module(fill(rng, nn.Linear(5, 4)), (5, 1, 1))(random_tensor(rng, 2, 5, 2, 3))


LENET = [conv(3, 6, 5), pool(), conv(6, 16, 5), pool(), conv(16, 120, 5), conv(120, 84, 1), conv(84, 10, 1)]


def run_along(size, layers):
    """How many positions the layers leave of `size` when they are run, and the product of their strides."""
    x = torch.zeros(1, 1, size)
    for layer in layers:
        kernel = torch.ones(1, 1, layer["kernel_size"])
        x = F.conv1d(x, kernel, None, layer["stride"], layer.get("padding", 0), layer.get("dilation", 1))
    return x.shape[2], math.prod(layer["stride"] for layer in layers)


def wide_pool(kernel, stride, dilation):
    return pool(kernel, stride) | {"dilation": dilation}


class TestMapSize:
    """map_size: how large the map is, and how coarse"""

    @pytest.mark.weight(2)
    def test_as_when_run(self, student, rng):
        """The size that running the layers gives, and the jump that their strides make"""
        for _ in range(4):
            layers = [conv(1, 1, 4, 3), conv(1, 1, draw(rng, 3, 5), draw(rng, 1, 2), draw(rng, 0, 2))]
            layers += [wide_pool(draw(rng, 2, 3), 2, 3), pool(5, 2, 1), conv(1, 1, 3, 1, 0, draw(rng, 1, 3))]
            size = draw(rng, 400, 600)
            assert_same(student.map_size(size, layers), run_along(size, layers))

    def test_lenet(self, student, rng):
        """LeNet as convolutions: one output on a window, and one more every 4 pixels; no layers: the picture"""
        steps = draw(rng, 12, 90)
        for more in range(8):
            assert_same(student.map_size(32 + 4 * steps + more, LENET), (1 + steps + more // 4, 4))
        assert_same(student.map_size(32, LENET), (1, 4))
        size = draw(rng, 5, 50)
        assert_same(student.map_size(size, []), (size, 1))

    def test_padding(self, student, rng):
        """At stride 1, padding on both sides keeps the size, or makes it larger"""
        for kernel, padding in ((7, 3), (4, 2), (3, 2), (8, 2)):
            size = draw(rng, 20, 40)
            layers = [conv(1, 1, kernel, 1, padding), conv(1, 1, 5, 1, 2)]
            assert_same(student.map_size(size, layers), (size + 2 * padding - kernel + 1, 1))

    def test_rounding(self, student, rng):
        """Pixels that no kernel reaches are left over: each layer rounds down"""
        for stride, padding in ((2, 1), (3, 2)):
            layers = [conv(1, 1, 4, stride, padding), pool(3, 2)]
            count = draw(rng, 7, 12)
            for positions in (2 * count + 1, 2 * count + 2):
                for rest in range(stride):
                    size = 4 - 2 * padding + stride * (positions - 1) + rest
                    assert_same(student.map_size(size, layers), (count, 2 * stride))

    @pytest.mark.weight(2)
    def test_dilation(self, student, rng):
        """Dilation spreads a kernel over more pixels, that of a convolution and that of a pooling"""
        for dilation in (2, draw(rng, 3, 5)):
            for layers in ([conv(1, 1, 3, 1, 1), conv(1, 1, 4, 2, 1, dilation)], [wide_pool(3, 2, dilation), pool()]):
                size = draw(rng, 40, 60)
                for pixels in range(size, size + 4):
                    assert_same(student.map_size(pixels, layers), run_along(pixels, layers))

    @pytest.mark.weight(2)
    def test_does_not_fit(self, student, rng):
        """A kernel that just fits gives one output; one that does not raises ValueError, in whichever layer"""
        kernel, padding = draw(rng, 5, 8), draw(rng, 1, 2)
        first, second = conv(1, 1, kernel, draw(rng, 2, 4), padding), wide_pool(3, 1, 2)
        assert_same(student.map_size(kernel - 2 * padding, [first]), (1, first["stride"]))
        assert_same(student.map_size(5, [second]), (1, 1))
        for size, layers in (
            (kernel - 2 * padding - 1, [first]),
            (4, [second]),
            (9, [pool(), second]),
            (1, [pool()]),
            (2 * kernel - 3, [pool(), conv(1, 1, kernel - 1)]),
            (3, [conv(1, 1, 5), conv(1, 1, 1, 1, draw(rng, 20, 40))]),  # the next padding comes too late
        ):
            with student.raises(ValueError):
                student.map_size(size, layers)

    def probe_convolution(self, student, rng):
        student.map_size(draw(rng, 50, 60), [conv(1, 1, 5, 3, 2)])

    def probe_dilated(self, student, rng):
        student.map_size(draw(rng, 50, 60), [conv(1, 1, 4, 1, 0, 3)])

    def probe_dilated_pooling(self, student, rng):
        student.map_size(draw(rng, 50, 60), [wide_pool(3, 2, 4)])

    def probe_dilated_pooling_of_stride_one(self, student, rng):
        student.map_size(draw(rng, 50, 60), [wide_pool(4, 1, 3)])

    def probe_pooling(self, student, rng):
        student.map_size(2 * draw(rng, 25, 30) + 1, [pool(5, 2, 2)])

    def probe_poolings(self, student, rng):
        student.map_size(6 * draw(rng, 25, 30), [pool(3, 2), pool(5, 3)])

    def probe_chain(self, student, rng):
        student.map_size(draw(rng, 150, 160), [conv(1, 1, 5), conv(1, 1, 3, 2, 1), pool(), pool(3)])

    def probe_strides(self, student, rng):
        student.map_size(12 * draw(rng, 20, 30), [conv(1, 1, 2, 2), pool(3), conv(1, 1, 2, 2)])

    def probe_kernels_of_one(self, student, rng):
        student.map_size(24 * draw(rng, 20, 30) + 1, [conv(1, 1, 1, 4), pool(1, 3), conv(1, 1, 1, 2)])

    def probe_fit(self, student, rng):
        student.map_size(3, [conv(1, 1, 7), conv(1, 1, 1, 1, draw(rng, 60, 90))])

    def probe_fit_of_a_large_stride(self, student, rng):
        student.map_size(draw(rng, 5, 7), [conv(1, 1, 8, 4)])

    def probe_fit_of_a_large_pooling(self, student, rng):
        student.map_size(2, [pool(draw(rng, 3, 4), 3)])

    def probe_fit_behind_a_pooling(self, student, rng):
        student.map_size(12, [pool(), conv(1, 1, 9), conv(1, 1, 1, 1, draw(rng, 30, 50))])
