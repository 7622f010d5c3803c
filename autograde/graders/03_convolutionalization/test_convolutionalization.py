"""Hidden graders of lesson 03. Random inputs come from `rng`; what is right is computed here, in another way."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.kit import draw, fill, random_tensor
from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, linear, pool


@torch.no_grad()
def at_every_place(classify, maps, side, step=1):
    """What `classify` says of each crop of (height, width) `side`, cut out on its own: (N, num_classes, rows, cols)."""
    (height, width), (down, across) = maps.shape[2:], side
    return torch.stack(
        [
            torch.stack(
                [classify(maps[:, :, y : y + down, x : x + across]) for x in range(0, width - across + 1, step)], 2
            )
            for y in range(0, height - down + 1, step)
        ],
        2,
    )


def flat(dense):
    """The dense layer as a classifier of feature windows."""
    return lambda window: dense(window.flatten(1))


def averaged(dense):
    """The dense layer behind global average pooling."""
    return lambda window: dense(window.mean(dim=(2, 3)))


def overwrite(kept, attribute, value):
    """Change a weight or statistic in place, on the student's side."""
    kept.get(f"{attribute}.data", keep=True).call("fill_", value)


def all_train(network):
    """The names and shapes of a network's weights, once each of them is known to train."""
    weights = network.parameters()
    frozen = [name for name, weight in weights.items() if not weight.requires_grad]
    if frozen or not weights:
        raise Mismatch("rule", "weights that train", f"{frozen} do not" if frozen else "a network without weights")
    return {name: tuple(weight.shape) for name, weight in weights.items()}


class TestLinearToConv:
    """linear_to_conv: a dense layer as a convolution"""

    @pytest.mark.weight(2)
    def test_one_window(self, student, rng):
        """On features of the kernel's size, the numbers of the dense layer, with a map of 1 x 1"""
        for channels, kernel in ((draw(rng, 4, 6), (9, 9)), (2, (4, 3))):
            dense = fill(rng, nn.Linear(channels * math.prod(kernel), 6))
            windows = random_tensor(rng, 3, channels, *kernel)
            got = student.linear_to_conv.module(dense, channels, kernel)(windows)
            assert_same(got, flat(dense)(windows)[:, :, None, None])

    @pytest.mark.weight(2)
    def test_every_place(self, student, rng):
        """On larger features, the numbers of the dense layer for every window, also for kernels that are not square"""
        for kernel in ((2, 3), (4, 1)):
            dense = fill(rng, nn.Linear(3 * math.prod(kernel), 4))
            features = random_tensor(rng, 2, 3, draw(rng, 6, 7), draw(rng, 8, 9))
            got = student.linear_to_conv.module(dense, 3, kernel)(features)
            assert_same(got, at_every_place(flat(dense), features, kernel))

    def test_one_number(self, student, rng):
        """A kernel given as one number is square; 1 is a dense layer at every pixel"""
        for side in (1, draw(rng, 2, 4)):
            dense = fill(rng, nn.Linear(4 * side**2, 3))
            features = random_tensor(rng, 1, 4, 5, 6)
            got = student.linear_to_conv.module(dense, 4, side)(features)
            assert_same(got, at_every_place(flat(dense), features, (side, side)))

    def test_without_bias(self, student, rng):
        """A dense layer without a bias gives a convolution without one"""
        dense = fill(rng, nn.Linear(12, 5, bias=False))
        network = student.linear_to_conv.module(dense, 3, (2, 2))
        features = random_tensor(rng, 2, 3, 4, 3)
        assert_same(network(features), at_every_place(flat(dense), features, (2, 2)))
        if set(all_train(network)) != {"weight"}:
            raise Mismatch("rule", "one weight, no bias", f"weights named {sorted(network.parameters())}")

    def test_copied(self, student, rng):
        """The weights are copied: changing either layer afterwards leaves the other as it is"""
        dense = fill(rng, nn.Linear(18, 4))
        for one in ("weight", "bias"):
            kept, value, features = student.keep(dense), draw(rng, 2, 9), random_tensor(rng, 2, 3, 4, 5)
            network = student.linear_to_conv.module(kept, 3, (2, 3))
            overwrite(kept, one, value)  # before its first call: nothing is remembered, nor copied only now
            assert_same(network(features), at_every_place(flat(dense), features, (2, 3)))
            overwrite(network, one, draw(rng, 10, 19))
            assert_same(kept.get(one), torch.full_like(getattr(dense, one), value))

    def test_left_as_it_was(self, student, rng):
        """The dense layer still works as before: same shapes, same numbers"""
        dense, rows = fill(rng, nn.Linear(8, 3)), random_tensor(rng, 4, 8)
        kept = student.keep(dense)
        network = student.linear_to_conv.module(kept, 2, 2)
        assert_same(network(rows.reshape(4, 2, 2, 2)), dense(rows)[:, :, None, None])
        assert_same(kept(rows), dense(rows))
        assert_same(kept.parameters(), dict(dense.named_parameters()))

    def test_dtype(self, student, rng):
        """A dense layer of float64 gives a convolution of float64"""
        dense = fill(rng, nn.Linear(12, 3))
        kept = student.keep(dense)
        kept.call("double")
        features = random_tensor(rng, 1, 2, 4, 5).double()
        network = student.linear_to_conv.module(kept, 2, (2, 3))
        assert_same(network(features), at_every_place(flat(dense.double()), features, (2, 3)))

    def test_trains(self, student, rng):
        """It is a convolution that trains: on one window its gradients are those of the dense layer"""
        dense, windows, grad = fill(rng, nn.Linear(12, 3)), random_tensor(rng, 4, 2, 3, 2), random_tensor(rng, 4, 3)
        network = student.linear_to_conv.module(dense, 2, (3, 2))
        shapes = {"weight": (3, 2, 3, 2), "bias": (3,)}
        if all_train(network) != shapes:
            raise Mismatch("rule", f"weights {shapes}", f"weights {all_train(network)}")
        assert_same(network(windows), flat(dense)(windows)[:, :, None, None])  # the gradients alone depend on no weight
        flat(dense)(windows).backward(grad)
        expected = {"weight": dense.weight.grad.reshape(3, 2, 3, 2), "bias": dense.bias.grad}
        assert_same(network.gradients(windows, grad[:, :, None, None]), expected)

    def test_misfit(self, student, rng):
        """A dense layer that takes another number of features raises ValueError"""
        side = draw(rng, 2, 3)
        dense, window = fill(rng, nn.Linear(4 * side**2, 3)), random_tensor(rng, 1, 4, side, side)
        network = student.linear_to_conv.module(dense, 4, side)
        assert_same(network(window), flat(dense)(window)[:, :, None, None])
        for channels, kernel in ((3, side), (5, side), (4, side + 1), (4, 1), (4, (side, side + 1)), (1, (1, 4))):
            with student.raises(ValueError):
                student.linear_to_conv(dense, channels, kernel)


WINDOW, FEATURES, JUMP = (10, 14), (4, 3, 5), 2  # what `features()` makes of a window, without padding


def features():
    return [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.Tanh()]


def classifier(rng, *between, head=()):
    """Convolutions, the layers `between`, flatten, and a head: by default two dense layers."""
    head = head or (nn.Linear(60, 6), nn.ReLU(), nn.Linear(6, 3))
    return fill(rng, nn.Sequential(*features(), *between, nn.Flatten(), *head))


def window_scores(network, windows):
    """(N, num_classes, 1, 1): what the classifier says of whole windows."""
    return network(windows).detach()[:, :, None, None]


class TestConvolutionalize:
    """convolutionalize: a whole classifier as one pass"""

    @pytest.mark.weight(2)
    def test_one_window(self, student, rng):
        """On window-size pictures the scores of the classifier, with a map of 1 x 1"""
        network, windows = classifier(rng), random_tensor(rng, 3, 2, *WINDOW)
        got = student.convolutionalize.module(network, FEATURES)(windows)
        assert_same(got, window_scores(network, windows))

    @pytest.mark.weight(2)
    def test_every_place(self, student, rng):
        """On larger pictures the scores of every window, one jump apart, in rows and columns"""
        network = classifier(rng)
        pictures = random_tensor(rng, 2, 2, 14 + 2 * draw(rng, 1, 2), 17 + 2 * draw(rng, 1, 2))
        got = student.convolutionalize.module(network, FEATURES)(pictures)
        assert_same(got, at_every_place(network, pictures, WINDOW, JUMP))

    def test_nested(self, student, rng):
        """Sequentials inside Sequentials, with nn.Flatten in any of them"""
        parts = features()
        deep = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(60, 7)), nn.Sigmoid())
        network = fill(rng, nn.Sequential(nn.Sequential(*parts[:3]), *parts[3:], deep, nn.Sequential(nn.Linear(7, 3))))
        pictures = random_tensor(rng, 1, 2, 12, 18)
        got = student.convolutionalize.module(network, FEATURES)(pictures)
        assert_same(got, at_every_place(network, pictures, WINDOW, JUMP))

    def test_head_alone(self, student, rng):
        """A head without convolutions works on a map of features, also with one dense layer or activations first"""
        shape = (3, 2, draw(rng, 3, 4))
        inputs = math.prod(shape)
        for head in (
            [nn.Flatten(), nn.Linear(inputs, 5)],
            [nn.Tanh(), nn.Flatten(), nn.Identity(), nn.ReLU(), nn.Linear(inputs, 4), nn.Linear(4, 4), nn.Linear(4, 2)],
        ):
            network, maps = fill(rng, nn.Sequential(*head)), random_tensor(rng, 2, 3, 4, 6)
            got = student.convolutionalize.module(network, shape)(maps)
            assert_same(got, at_every_place(network, maps, shape[1:]))

    @pytest.mark.weight(2)
    def test_batch_norm(self, student, rng):
        """Batch normalization of dense layers keeps weights, statistics and settings"""
        for settings in ({}, {"affine": False}, {"eps": 0.7}):
            norm, later = nn.BatchNorm1d(6, **settings), nn.BatchNorm1d(3)
            network = classifier(
                rng, nn.BatchNorm2d(4), head=(nn.Linear(60, 6), norm, nn.ReLU(), nn.Linear(6, 3), later)
            )
            pictures = random_tensor(rng, 1, 2, 12, 16)
            got = student.convolutionalize.module(network, FEATURES)(pictures)
            assert_same(got, at_every_place(network, pictures, WINDOW, JUMP))

    def test_batch_norm_in_training(self, student, rng):
        """In training mode it normalizes with the batch, and moves its own statistics as the original would"""
        for settings in ({"momentum": 0.3}, {"track_running_stats": False}):
            norm = nn.BatchNorm1d(6, **settings)
            network = classifier(rng, head=(nn.Linear(60, 6), norm, nn.Linear(6, 3)))
            windows = random_tensor(rng, 4, 2, *WINDOW)
            dense = student.convolutionalize.module(network.train(), FEATURES)
            assert_same(dense(windows), window_scores(network, windows))
            dense.call("eval")
            assert_same(dense(windows), window_scores(network.eval(), windows))

    def test_batch_norm_first(self, student, rng):
        """Behind nn.Flatten at once, it can be kept where one window is one feature per channel, and only there"""
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.BatchNorm1d(5), nn.Linear(5, 3)))
        maps = random_tensor(rng, 2, 5, 3, 4)
        got = student.convolutionalize.module(network, (5, 1, 1))(maps)
        assert_same(got, at_every_place(network, maps, (1, 1)))
        network = fill(rng, nn.Sequential(nn.Flatten(), nn.BatchNorm1d(20), nn.Linear(20, 3)))
        with student.raises(ValueError):
            student.convolutionalize(network, (5, 2, 2))

    def test_dropout(self, student, rng):
        """Dropout is kept with its probability: active in training, silent in evaluation"""
        windows = random_tensor(rng, 3, 2, *WINDOW)
        for probability in (1.0, 0.0):
            head = (nn.Dropout(probability), nn.Linear(60, 6), nn.Dropout(1 - probability), nn.ReLU(), nn.Linear(6, 3))
            network = classifier(rng, head=head)
            dense = student.convolutionalize.module(network, FEATURES)
            assert_same(dense(windows), window_scores(network, windows))
            dense.call("train")
            assert_same(dense(windows), window_scores(network.train(), windows))

    def test_modes(self, student, rng):
        """Every layer stays in its mode, training or evaluation, also when they differ; so does the whole"""
        windows = random_tensor(rng, 4, 2, *WINDOW)
        for mode in (True, False):
            head = (nn.Linear(60, 6), nn.BatchNorm1d(6), nn.Dropout(1.0), nn.Linear(6, 3), nn.BatchNorm1d(3))
            network = classifier(rng, nn.Dropout2d(1.0), head=head).train(mode)
            kept = student.keep(network)
            for number, own in ((5, False), (8, not mode), (9, False), (11, mode)):
                network[number].train(own)
                kept.get(f"{number}", keep=True).call("train", own)
            dense = student.convolutionalize.module(kept, FEATURES)
            if dense.get("training") is not mode:
                raise Mismatch("rule", f"a network whose training is {mode}", f"training is {dense.get('training')}")
            assert_same(dense(windows), window_scores(network, windows))

    def test_softmax(self, student, rng):
        """A softmax over the classes of the vector is one over the classes of the map"""
        for dim in (1, -1):
            head = (nn.Linear(60, 6), nn.Tanh(), nn.Linear(6, 3), nn.Softmax(dim))
            network, pictures = classifier(rng, head=head), random_tensor(rng, 1, 2, 12, 18)
            got = student.convolutionalize.module(network, FEATURES)(pictures)
            assert_same(got, at_every_place(network, pictures, WINDOW, JUMP))

    def test_nothing_shared(self, student, rng):
        """Weights and statistics are copied: changing or running either network leaves the other as it is"""
        head = (nn.Linear(60, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
        network, windows = classifier(rng, nn.BatchNorm2d(4), head=head), random_tensor(rng, 3, 2, *WINDOW)
        expected = window_scores(network, windows)
        kept = student.keep(network)
        dense = student.convolutionalize.module(kept, FEATURES)
        assert_same(dense(windows), expected)
        dense.call("train")
        dense(windows)  # moves its statistics
        for name in dense.parameters():
            overwrite(dense, name, draw(rng, 2, 9))
        assert_same(kept(windows), network(windows))
        dense = student.convolutionalize.module(kept, FEATURES)
        for name in [*dict(network.named_parameters()), "5.running_mean", "8.running_mean", "8.running_var"]:
            overwrite(kept, name, draw(rng, 2, 9))
        windows = random_tensor(rng, 3, 2, *WINDOW)  # others, so that nothing can be remembered
        assert_same(dense(windows), window_scores(network, windows))

    def test_dtype(self, student, rng):
        """A classifier of float64 gives a network of float64"""
        network = classifier(rng, head=(nn.Linear(60, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)))
        kept = student.keep(network)
        kept.call("double")
        windows = random_tensor(rng, 2, 2, *WINDOW).double()
        got = student.convolutionalize.module(kept, FEATURES)(windows)
        assert_same(got, window_scores(network.double(), windows))

    def test_trains(self, student, rng):
        """It has the classifier's weights, as many and in their order, and on windows they get its gradients"""
        network = classifier(rng, head=(nn.Linear(60, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)))
        windows, grad = random_tensor(rng, 4, 2, *WINDOW), random_tensor(rng, 4, 3)
        dense = student.convolutionalize.module(network, FEATURES)
        network(windows).backward(grad)
        expected = [weight.grad for weight in network.parameters()]
        counts = [math.prod(shape) for shape in all_train(dense).values()]
        if counts != [one.numel() for one in expected]:
            raise Mismatch("rule", f"weights of {[one.numel() for one in expected]} numbers", f"of {counts}")
        got = dense.gradients(windows, grad[:, :, None, None]).values()
        none = torch.zeros(0)
        assert_same([(none if one is None else one).flatten() for one in got], [one.flatten() for one in expected])

    def test_misfit(self, student, rng):
        """Shapes that do not fit raise ValueError: features, dense layers and normalizations"""
        network, windows = classifier(rng), random_tensor(rng, 2, 2, *WINDOW)
        got = student.convolutionalize.module(network, FEATURES)(windows)
        assert_same(got, window_scores(network, windows))
        for shape in ((4, 5, 5), (4, 3, 4), (3, 5, 4), (60, 1, 1), (4, 1, 1)):
            with student.raises(ValueError):
                student.convolutionalize(network, shape)
        for misfit in (nn.Linear(5, 3), nn.BatchNorm1d(5), nn.BatchNorm1d(7)):
            with student.raises(ValueError):
                student.convolutionalize(classifier(rng, head=(nn.Linear(60, 6), nn.ReLU(), misfit)), FEATURES)

    def test_not_convertible(self, student, rng):
        """What cannot work on a map raises ValueError: pooling to a fixed size, dense layers or flattening elsewhere"""
        network, windows = classifier(rng), random_tensor(rng, 2, 2, *WINDOW)
        got = student.convolutionalize.module(network, FEATURES)(windows)
        assert_same(got, window_scores(network, windows))
        dense = nn.Linear(60, 3)
        for bad in (
            classifier(rng, nn.AdaptiveAvgPool2d((3, 5))),
            classifier(rng, nn.Linear(5, 5)),
            classifier(rng, head=(dense, nn.Conv2d(3, 3, 1))),
            classifier(rng, head=(dense, nn.Softmax(0))),
            classifier(rng, head=(nn.Softmax(1), dense)),
            classifier(rng, nn.Flatten(), head=(dense,)),
            classifier(rng, head=(nn.ReLU(),)),
            fill(rng, nn.Sequential(*features())),
            fill(rng, nn.Sequential(*features(), nn.Flatten(0), dense)),
            fill(rng, nn.Sequential(*features(), nn.Flatten(1, 2), dense)),
        ):
            with student.raises(ValueError):
                student.convolutionalize(bad, FEATURES)


class TestPoolHeadToConv:
    """pool_head_to_conv: global average pooling and a dense layer, as a map"""

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
        """A dense layer without a bias"""
        dense, maps = fill(rng, nn.Linear(3, 5, bias=False)), random_tensor(rng, 1, 3, 5, 4)
        network = student.pool_head_to_conv.module(dense, (3, 2, 2))
        assert_same(network(maps), at_every_place(averaged(dense), maps, (2, 2)))
        if len(all_train(network)) != 1:
            raise Mismatch("rule", "weights, and no bias", f"weights {all_train(network)}")

    def test_copied(self, student, rng):
        """The weights are copied: the dense layer is as it was, and changing either leaves the other alone"""
        dense, maps, value = fill(rng, nn.Linear(4, 3)), random_tensor(rng, 2, 4, 4, 5), draw(rng, 2, 9)
        kept = student.keep(dense)
        network = student.pool_head_to_conv.module(kept, (4, 2, 3))
        assert_same(kept.parameters(), dict(dense.named_parameters()))
        for one in ("weight", "bias"):  # before its first call: nothing is remembered, nor copied only now
            overwrite(kept, one, value)
        assert_same(network(maps), at_every_place(averaged(dense), maps, (2, 3)))
        for one in network.parameters():
            overwrite(network, one, draw(rng, 10, 19))
        for one in ("weight", "bias"):
            assert_same(kept.get(one), torch.full_like(getattr(dense, one), value))

    def test_dtype(self, student, rng):
        """A dense layer of float64 takes features of float64"""
        dense = fill(rng, nn.Linear(3, 2))
        kept = student.keep(dense)
        kept.call("double")
        maps = random_tensor(rng, 1, 3, 4, 5).double()
        got = student.pool_head_to_conv.module(kept, (3, 3, 2))(maps)
        assert_same(got, at_every_place(averaged(dense.double()), maps, (3, 2)))

    def test_trains(self, student, rng):
        """All its weights train: those of the dense layer, once in all or once per place of the window"""
        dense, windows, grad = fill(rng, nn.Linear(4, 3)), random_tensor(rng, 2, 4, 2, 3), random_tensor(rng, 2, 3)
        network = student.pool_head_to_conv.module(dense, (4, 2, 3))
        assert_same(network(windows), averaged(dense)(windows)[:, :, None, None])
        count = sum(math.prod(shape) for shape in all_train(network).values())
        if count not in (15, 4 * 6 * 3 + 3):
            raise Mismatch("rule", "15 weights, or 75 with one convolution", f"{count} weights")
        averaged(dense)(windows).backward(grad)
        got = network.gradients(windows, grad[:, :, None, None])
        biases = [one for one in got.values() if one is not None and one.shape == (3,)]
        assert_same(biases, [dense.bias.grad])
        if any(one is None or not one.any() for one in got.values()):
            raise Mismatch("rule", "a gradient for every weight", "weights without one")

    def test_misfit(self, student, rng):
        """A dense layer that takes other features, and windows without any, raise ValueError"""
        dense, windows = fill(rng, nn.Linear(12, 3)), random_tensor(rng, 2, 12, 2, 3)
        got = student.pool_head_to_conv.module(dense, (12, 2, 3))(windows)
        assert_same(got, averaged(dense)(windows)[:, :, None, None])
        for shape in ((2, 2, 3), (3, 2, 2), (11, 2, 3), (12, 0, 3), (12, 3, 0), (12, -1, 2)):
            with student.raises(ValueError):
                student.pool_head_to_conv(dense, shape)


def random_layers(rng, depth, padding=True):
    """Convolutions and poolings in turn, as the exercise describes them; kernels leave no gap between outputs."""
    layers = []
    for number in range(depth):
        kernel = draw(rng, 2, 5)
        stride, pad = draw(rng, 1, min(kernel, 3)), draw(rng, 0, kernel // 2) if padding else 0
        layers.append(
            conv(draw(rng, 1, 9), draw(rng, 1, 9), kernel, stride, pad)
            if number % 2 == 0
            else pool(kernel, stride, pad)
        )
    return layers


def run_along(layers, x):
    """Run the described layers along one side: (1, 1, size) -> (1, 1, positions). Every pixel seen counts."""
    for layer in layers:
        kernel = torch.ones(1, 1, layer["kernel_size"], dtype=x.dtype)
        x = F.conv1d(x, kernel, None, layer["stride"], layer.get("padding", 0), layer.get("dilation", 1))
    return x


def seen(layers):
    """(first pixel, last pixel, jump, row) of an output whose square does not touch the border, by gradients."""
    x = torch.zeros(1, 1, 1200, dtype=torch.float64, requires_grad=True)
    out = run_along(layers, x)[0, 0]
    row = len(out) // 2
    boxes = []
    for one in (row, row + 1):
        (gradient,) = torch.autograd.grad(out[one], x, retain_graph=True)
        pixels = gradient[0, 0].nonzero().flatten()
        boxes.append((int(pixels[0]), int(pixels[-1])))
    return *boxes[0], boxes[1][0] - boxes[0][0], row


LENET = [conv(3, 6, 5), pool(), conv(6, 16, 5), pool(), conv(16, 120, 5), conv(120, 84, 1), conv(84, 10, 1)]


class TestDenseOutputSize:
    """dense_output_size: how large the map is, and how coarse"""

    @pytest.mark.weight(2)
    def test_as_when_run(self, student, rng):
        """The size that running the layers gives, and the product of all strides"""
        for _ in range(6):
            layers = [conv(1, 1, 4, 3), *random_layers(rng, 2), conv(1, 1, 2, 2), pool(5, 1, 1)]
            size = draw(rng, 400, 600)
            expected = run_along(layers, torch.zeros(1, 1, size)).shape[2]
            assert_same(student.dense_output_size(size, layers), (expected, math.prod(one["stride"] for one in layers)))

    def test_lenet(self, student, rng):
        """LeNet as convolutions: one output on a window, and one more every 4 pixels"""
        assert_same(student.dense_output_size(32, LENET), (1, 4))
        assert_same(student.dense_output_size(256, LENET), (57, 4))
        for rest in range(4):
            steps = draw(rng, 2, 90)
            assert_same(student.dense_output_size(32 + 4 * steps + rest, LENET), (1 + steps, 4))

    def test_rounding(self, student, rng):
        """Pixels that no kernel reaches are left over: each layer rounds down, with padding on both sides"""
        for stride, padding in ((2, 1), (3, 1), (2, 2), (3, 2)):
            count = draw(rng, 4, 9)
            layers = [conv(1, 1, 4, stride, padding), pool(3, 2)]
            for positions in (2 * count + 1, 2 * count + 2):
                for rest in range(stride):
                    size = 4 - 2 * padding + stride * (positions - 1) + rest
                    assert_same(student.dense_output_size(size, layers), (count, 2 * stride))

    def test_dilation(self, student, rng):
        """Dilation spreads a kernel over more pixels"""
        for dilation in (2, draw(rng, 3, 5)):
            layers, size = [conv(1, 1, 3, 1, 1), conv(1, 1, 4, 2, 1, dilation)], draw(rng, 40, 60)
            for pixels in (size, size + 1):
                expected = run_along(layers, torch.zeros(1, 1, pixels)).shape[2]
                assert_same(student.dense_output_size(pixels, layers), (expected, 2))

    def test_no_layers(self, student, rng):
        """No layers: the picture itself, at stride 1"""
        size = draw(rng, 5, 50)
        assert_same(student.dense_output_size(size, []), (size, 1))

    def test_large(self, student, rng):
        """Pictures of any size, exactly: nothing is run"""
        count = 2 * draw(rng, 5 * 10**15, 10**16) + 1
        assert_same(student.dense_output_size(count * 64 + 63, [pool()] * 6), (count, 64))

    def test_does_not_fit(self, student, rng):
        """A kernel that just fits gives one output; one that does not fit raises ValueError, in whichever layer"""
        kernel, padding = draw(rng, 5, 8), draw(rng, 1, 2)
        first, second = conv(1, 1, kernel, draw(rng, 2, 4), padding), conv(1, 1, 3, 1, 0, 2)
        assert_same(student.dense_output_size(kernel - 2 * padding, [first]), (1, first["stride"]))
        assert_same(student.dense_output_size(5, [second]), (1, 1))
        for size, layers in (
            (kernel - 2 * padding - 1, [first]),
            (4, [second]),
            (9, [pool(), second]),
            (2 * kernel - 3, [pool(), conv(1, 1, kernel - 1)]),
            (1, [pool(2, 4)]),
        ):
            with student.raises(ValueError):
                student.dense_output_size(size, layers)

    def test_no_pixels(self, student, rng):
        """A picture without pixels raises ValueError, also where padding would make room; one pixel is a picture"""
        assert_same(student.dense_output_size(1, [conv(1, 1, 3, 1, 1)]), (1, 1))
        for size in (0, -draw(rng, 1, 9)):
            for layers in ([], [conv(1, 1, 3, 1, 20)]):
                with student.raises(ValueError):
                    student.dense_output_size(size, layers)

    def test_other_layers(self, student, rng):
        """Dense layers and unknown kinds raise ValueError: a map of any size has no room for them"""
        size = draw(rng, 10, 20)
        assert_same(student.dense_output_size(size, [pool(2, 1), conv(2, 3, 1)]), (size - 1, 1))
        for bad in (linear(size, 3), {"kind": "attention", "kernel_size": 1, "stride": 1}):
            for layers in ([bad], [conv(1, 1, 1), bad]):
                with student.raises(ValueError):
                    student.dense_output_size(size, layers)


class TestDenseToPixels:
    """dense_to_pixels: which pixels an output looked at"""

    @pytest.mark.weight(2)
    def test_as_when_run(self, student, rng):
        """Centre and side are those of the pixels that change the output, for chains of convolutions and poolings"""
        for _ in range(4):
            layers = [conv(1, 1, 2 * draw(rng, 1, 2), 2), *random_layers(rng, 2, padding=False)]
            first, last, jump, row = seen(layers)
            centre, col = (first + last) / 2, draw(rng, 0, 9)
            expected = ((centre, centre + (col - row) * jump), last - first + 1)
            assert_same(student.dense_to_pixels(row, col, layers), expected)

    def test_padding(self, student, rng):
        """Padding moves the centre, by more behind a stride, and changes nothing else"""
        for _ in range(4):
            layers = [
                conv(1, 1, 3, 2, draw(rng, 0, 1)),
                *random_layers(rng, 2),
                conv(1, 1, 5, 1, draw(rng, 1, 2)),
            ]
            first, last, jump, row = seen(layers)
            centre, col = (first + last) / 2, draw(rng, 10, 19)
            expected = ((centre, centre + (col - row) * jump), last - first + 1)
            assert_same(student.dense_to_pixels(row, col, layers), expected)

    def test_lenet(self, student, rng):
        """LeNet as convolutions: squares of 32 pixels, 4 pixels apart, the first centred at 15.5"""
        row, col = draw(rng, 1, 20), draw(rng, 21, 56)
        assert_same(student.dense_to_pixels(0, 0, LENET), ((15.5, 15.5), 32))
        assert_same(student.dense_to_pixels(row, col, LENET), ((15.5 + 4 * row, 15.5 + 4 * col), 32))

    def test_rows_and_columns(self, student, rng):
        """The row comes first, and neither depends on the other"""
        row, col = draw(rng, 1, 9), draw(rng, 10, 19)
        assert_same(student.dense_to_pixels(row, col, [pool(3)]), ((1.0 + 3 * row, 1.0 + 3 * col), 3))
        assert_same(student.dense_to_pixels(col, 0, [pool(3)]), ((1.0 + 3 * col, 1.0), 3))

    def test_dilation(self, student, rng):
        """Dilation spreads a kernel over more pixels"""
        for dilation in (2, draw(rng, 3, 5)):
            layers = [pool(), conv(1, 1, 3, 1, 0, dilation), conv(1, 1, 2, 2, 1, dilation)]
            first, last, jump, row = seen(layers)
            expected = ((first + last) / 2, (first + last) / 2 + jump), last - first + 1
            assert_same(student.dense_to_pixels(row, row + 1, layers), expected)

    def test_beyond_the_border(self, student, rng):
        """Nothing is clipped: at the border the square sticks out, and even its centre may"""
        padding, jump = draw(rng, 2, 4), 2 * draw(rng, 1, 2)
        got = student.dense_to_pixels(0, 1, [pool(jump), conv(1, 1, 1, 1, padding)])
        centre = (jump - 1) / 2 - padding * jump
        assert_same(got, ((centre, centre + jump), jump))

    def test_gaps(self, student, rng):
        """A stride larger than the kernel leaves pixels out between two outputs"""
        stride, row = draw(rng, 4, 7), draw(rng, 1, 9)
        layers = [conv(1, 1, 3, stride), conv(1, 1, 1, 2)]
        assert_same(student.dense_to_pixels(row, 0, layers), ((1.0 + 2 * stride * row, 1.0), 3))

    def test_no_layers(self, student, rng):
        """No layers: an output is its own pixel"""
        row, col = draw(rng, 1, 9), draw(rng, 10, 19)
        assert_same(student.dense_to_pixels(row, col, []), ((float(row), float(col)), 1))

    def test_refused(self, student, rng):
        """Dense layers, unknown kinds and negative rows or columns raise ValueError"""
        row = draw(rng, 2, 9)
        assert_same(student.dense_to_pixels(row, 0, [pool(2)]), ((2.0 * row + 0.5, 0.5), 2))
        for bad in (linear(4, 3), {"kind": "attention", "kernel_size": 1, "stride": 1}):
            with student.raises(ValueError):
                student.dense_to_pixels(row, 0, [pool(2), bad])
        for place in ((-row, 1), (1, -row), (-1, 0), (0, -1)):
            with student.raises(ValueError):
                student.dense_to_pixels(*place, [pool(2)])
