"""Hidden graders of lesson 04. Random inputs come from `rng`; what is right is computed here, in another way."""

import pytest
import torch
from torch import nn

from autograde.graders.kit import draw, fill
from seglab.checking.compare import Mismatch, assert_same


def describe(kind, kernel, stride=1, **more):
    """A layer in the exercise's words; what is missing in `more` stays missing."""
    return {"kind": kind, "kernel_size": kernel, "stride": stride, **more}


def traced(layers):
    """(size, jump, start) by following the first two outputs back to the pixels that they read."""
    boxes = []
    for first in (0, 1):
        low = high = first
        for layer in reversed(layers):
            low = low * layer["stride"] - layer.get("padding", 0)
            high = high * layer["stride"] - layer.get("padding", 0)
            high += (layer["kernel_size"] - 1) * layer.get("dilation", 1)
        boxes.append((low, high))
    (low, high), (following, _) = boxes
    return high - low + 1, following - low, (low + high) / 2


class TestReceptiveField:
    """receptive_field: what one output sees, by arithmetic"""

    @pytest.mark.weight(2)
    def test_strides(self, student, rng):
        """Chains of convolutions: a later layer reaches farther, by the strides of all layers before it"""
        for _ in range(3):
            layers = [describe("conv", 2 * draw(rng, 1, 3) + 1, draw(rng, 2, 4)) for _ in range(draw(rng, 3, 4))]
            assert_same(student.receptive_field(layers), traced(layers))

    def test_pooling(self, student, rng):
        """Pooling enlarges what is seen, also where its windows overlap, and spreads what comes after"""
        for stride in (2, 3):
            layers = [
                describe("conv", 3),
                describe("pool", 3, stride),
                describe("conv", 2 * draw(rng, 1, 2) + 1, 2),
                describe("pool", draw(rng, 2, 4), 2),
            ]
            assert_same(student.receptive_field(layers), traced(layers))

    def test_padding(self, student, rng):
        """Padding moves the centre and makes nothing see less, in convolutions and poolings"""
        layers = [
            describe("conv", 7, 2, padding=draw(rng, 1, 2)),
            describe("pool", 3, 2, padding=1),
            describe("conv", 3, padding=draw(rng, 2, 3)),
        ]
        assert_same(student.receptive_field(layers), traced(layers))

    def test_dilation(self, student, rng):
        """Dilation spreads the taps of its own layer only, in convolutions and poolings"""
        layers = [
            describe("conv", 3, dilation=draw(rng, 2, 4), padding=1),
            describe("conv", 2 * draw(rng, 1, 2), 2, dilation=3),
            describe("pool", 3, 2, dilation=2),
            describe("conv", 3),
        ]
        assert_same(student.receptive_field(layers), traced(layers))

    def test_even_kernels(self, student, rng):
        """Even kernels put the centre between two pixels"""
        for kernel in (2, 4):
            layers = [describe("conv", kernel, padding=1), describe("conv", 3, 2), describe("conv", kernel)]
            layers += [describe("conv", 2)] * draw(rng, 1, 2)
            assert_same(student.receptive_field(layers), traced(layers))

    def test_published(self, student):
        """VGG-16, FCN, LeNet, SegNet-Basic and U-Net see what the literature says"""
        halving = describe("pool", 2, 2)
        vgg, sizes = [], []
        for count in (2, 2, 3, 3, 3):
            vgg += [describe("conv", 3, padding=1)] * count + [halving]
            sizes.append(student.receptive_field(vgg))
        assert_same(sizes, [(6, 2, 0.5), (16, 4, 1.5), (44, 8, 3.5), (100, 16, 7.5), (212, 32, 15.5)])
        heads = [describe("conv", 7), describe("conv", 1)]
        assert_same(student.receptive_field(vgg + heads), (404, 32, 111.5))
        reading = [describe("conv", 5), halving, describe("conv", 5), halving, describe("conv", 5)]
        assert_same(student.receptive_field(reading), (32, 4, 15.5))
        assert_same(student.receptive_field([describe("conv", 7, padding=3), halving] * 4), (106, 16, 7.5))
        unpadded = ([describe("conv", 3)] * 2 + [halving]) * 4 + [describe("conv", 3)] * 2
        assert_same(student.receptive_field(unpadded), (140, 16, 69.5))

    def test_no_layers(self, student, rng):
        """A pixel sees itself: no layers, or layers 1 x 1"""
        stride = 2 * draw(rng, 1, 3) + 1
        assert_same(student.receptive_field([describe("pool", 1, stride), describe("conv", 2)]), traced_pair(stride))
        assert_same(student.receptive_field([]), (1, 1, 0.0))
        assert_same(student.receptive_field([describe("conv", 1)] * 3), (1, 1, 0.0))

    def test_words(self, student, rng):
        """Channels do not matter, and descriptions may leave padding and dilation out"""
        full = describe("conv", 3, 2, padding=draw(rng, 1, 2), dilation=draw(rng, 2, 3))
        layers = [full | {"in_channels": 3, "out_channels": draw(rng, 1, 9)}, describe("conv", 4, 3)]
        assert_same(student.receptive_field(layers), traced(layers))

    def test_nonsense(self, student, rng):
        """Unknown kinds, and numbers that no layer can have, raise ValueError"""
        good = describe("conv", 3, 2)
        kernel = draw(rng, 3, 5)
        assert_same(student.receptive_field([good, describe("conv", kernel)]), traced([good, describe("conv", kernel)]))
        for bad in (
            {"kind": "linear", "in_features": 400, "out_features": 120},
            describe("attention", 3),
            describe("conv", 0),
            describe("pool", -draw(rng, 1, 3), 2),
            describe("conv", 3, 0),
            describe("pool", 3, -draw(rng, 1, 3)),
            describe("conv", 3, padding=-1),
            describe("pool", 3, padding=-draw(rng, 2, 3)),
            describe("conv", 3, dilation=0),
            describe("conv", 3, dilation=-draw(rng, 1, 3)),
        ):
            with student.raises(ValueError):
                student.receptive_field([good, bad, good])


def traced_pair(stride):
    """A 1 x 1 pooling, then a 2 x 2 convolution: two pixels, `stride` apart."""
    return stride + 1, stride, stride / 2


def seen_after(count, kernel, pool_every):
    """Pixels that the last of `count` convolutions sees, written out layer by layer and followed backwards."""
    layers = []
    for number in range(count):
        if pool_every and number and number % pool_every == 0:
            layers.append(describe("pool", 2, 2))
        layers.append(describe("conv", kernel))
    return traced(layers)[0]


class TestLayersToSee:
    """layers_to_see: how many convolutions it takes"""

    @pytest.mark.weight(2)
    def test_without_pooling(self, student, rng):
        """Without pooling: exactly enough, and one pixel more takes one convolution more"""
        for kernel in (2, 3, 2 * draw(rng, 2, 5) + 1):
            count = draw(rng, 3, 30)
            pixels = seen_after(count, kernel, None)
            assert_same(student.layers_to_see(pixels, kernel), count)
            assert_same(student.layers_to_see(pixels + 1, kernel), count + 1)

    @pytest.mark.weight(2)
    def test_with_pooling(self, student, rng):
        """With pooling: exactly enough, and one pixel more takes one convolution more"""
        for pool_every in (1, 2, draw(rng, 3, 4)):
            kernel, count = draw(rng, 3, 5), pool_every * draw(rng, 2, 3) + draw(rng, 0, pool_every - 1)
            pixels = seen_after(count, kernel, pool_every)
            assert_same(student.layers_to_see(pixels, kernel, pool_every), count)
            assert_same(student.layers_to_see(pixels + 1, kernel, pool_every), count + 1)

    def test_last_is_a_convolution(self, student, rng):
        """A pooling behind the last convolution does not count, even if it would see enough"""
        for pool_every in (1, 2, draw(rng, 3, 4)):
            for stages in (1, 2, 3):
                before = seen_after(stages * pool_every, 3, pool_every)
                beside = draw(rng, 1, 2 ** (stages - 1))  # within what the pooling would add
                assert_same(student.layers_to_see(before + beside, 3, pool_every), stages * pool_every + 1)

    def test_kernel_one(self, student, rng):
        """1 x 1 convolutions see farther through the poolings between them"""
        pool_every, doublings = draw(rng, 2, 3), draw(rng, 3, 6)
        assert_same(student.layers_to_see(2**doublings, 1, pool_every), doublings * pool_every + 1)
        assert_same(student.layers_to_see(2**doublings + 1, 1, 1), doublings + 2)
        for pixels in (2, 3):
            assert_same(student.layers_to_see(pixels, 1, 1), pixels)
        pool_every = draw(rng, 7, 12)
        assert_same(student.layers_to_see(3, 1, pool_every), 2 * pool_every + 1)

    def test_far(self, student, rng):
        """Tens of thousands of pixels take few convolutions where there is pooling"""
        pool_every = draw(rng, 2, 3)
        count = 14 * pool_every + 1
        pixels = seen_after(count, 3, pool_every)
        assert_same(student.layers_to_see(pixels, 3, pool_every), count)
        assert_same(student.layers_to_see(pixels + 1, 3, pool_every), count + 1)

    def test_one_pixel(self, student, rng):
        """A single pixel takes no convolution, whatever the kernel and the pooling"""
        kernel = draw(rng, 3, 9)
        assert_same(student.layers_to_see(kernel + 1, kernel), 2)
        assert_same(student.layers_to_see(1, kernel), 0)
        assert_same(student.layers_to_see(1, kernel, draw(rng, 1, 3)), 0)
        assert_same(student.layers_to_see(1, 1), 0)
        assert_same(student.layers_to_see(kernel, kernel, 1), 1)

    def test_never(self, student, rng):
        """1 x 1 convolutions alone never see a second pixel: ValueError"""
        assert_same(student.layers_to_see(5, 3), 2)
        for pixels in (2, draw(rng, 3, 99)):
            with student.raises(ValueError):
                student.layers_to_see(pixels, 1)

    def test_not_positive(self, student, rng):
        """Pixels, kernel or pool_every of zero or less raise ValueError"""
        assert_same(student.layers_to_see(8, 3, 2), seen_count(8))
        for bad in (0, -draw(rng, 1, 9)):
            for arguments in ((bad, 3), (bad, 3, 2), (9, bad), (9, bad, 2), (9, 3, bad)):
                with student.raises(ValueError):
                    student.layers_to_see(*arguments)


def seen_count(pixels):
    """3 x 3 with a pooling after every two: the first count that is enough, by trying all."""
    return next(count for count in range(99) if count and seen_after(count, 3, 2) >= pixels)


def build(layers):
    """The described convolutions and poolings as torch modules."""
    modules = []
    for layer in layers:
        words = {word: value for word, value in layer.items() if word != "kind"}
        modules.append((nn.Conv2d if layer["kind"] == "conv" else nn.MaxPool2d)(**words))
    return nn.Sequential(*modules)


def count_by_running(layers, height, width, batch_size):
    """Bytes of the real outputs of a real forward pass."""
    x, total = torch.zeros(batch_size, layers[0]["in_channels"], height, width), 0
    with torch.no_grad():
        for module in build(layers):
            x = module(x)
            total += x.numel() * x.element_size()
    return total


def between(channels_in, channels_out, kernel, stride=1, **more):
    """A convolution with its channels."""
    return describe("conv", kernel, stride, in_channels=channels_in, out_channels=channels_out, **more)


class TestActivationBytes:
    """activation_bytes: what one forward pass keeps"""

    @pytest.mark.weight(2)
    def test_convolutions(self, student, rng):
        """Chains of convolutions with any kernel, stride and padding, on pictures of any shape"""
        for _ in range(3):
            a, b, c = draw(rng, 2, 4), draw(rng, 5, 7), draw(rng, 8, 9)
            layers = [
                between(a, b, draw(rng, 2, 5), draw(rng, 2, 3), padding=draw(rng, 1, 2)),
                between(b, c, 3, padding=draw(rng, 0, 1)),
                between(c, draw(rng, 10, 12), 1),
            ]
            height, width = draw(rng, 15, 20), draw(rng, 21, 30)
            expected = count_by_running(layers, height, width, 2)
            assert_same(student.activation_bytes(layers, height, width, 2), expected)

    def test_pooling(self, student, rng):
        """Pooled maps are kept too; windows may overlap, be padded, or leave a row over"""
        for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (2, 3, 0)):
            pooling = describe("pool", kernel, stride, padding=padding)
            layers = [between(2, 5, 2, padding=1), pooling, between(5, 3, 2), describe("pool", 2, 2)]
            height, width = 2 * draw(rng, 6, 9) + 1, 2 * draw(rng, 10, 14)
            expected = count_by_running(layers, height, width, 1)
            assert_same(student.activation_bytes(layers, height, width, 1), expected)

    def test_dilation(self, student, rng):
        """A dilated kernel has fewer places, in convolutions and poolings"""
        layers = [
            between(1, 3, 3, dilation=draw(rng, 2, 4)),
            describe("pool", 2, 1, dilation=draw(rng, 2, 3)),
            between(3, 2, 2, 2, dilation=draw(rng, 2, 4), padding=1),
        ]
        height, width = draw(rng, 16, 20), draw(rng, 21, 30)
        for rows in (height, height + 1):  # one of them leaves a row over
            assert_same(
                student.activation_bytes(layers, rows, width, 1),
                count_by_running(layers, rows, width, 1),
            )

    def test_batch(self, student, rng):
        """A batch costs as often as it has pictures"""
        layers, batch_size = [between(3, 4, 3), describe("pool", 2, 2)], draw(rng, 3, 9)
        one = count_by_running(layers, 11, 14, 1)
        assert_same(student.activation_bytes(layers, 11, 14, batch_size), batch_size * one)

    def test_deep(self, student, rng):
        """Every layer counts, not only the largest or the last"""
        channels, depth = draw(rng, 2, 9), draw(rng, 20, 40)
        layers = [between(1, channels, 3, padding=1)] + [between(channels, channels, 3, padding=1)] * depth
        expected = 4 * channels * 50 * 70 * (depth + 1)
        assert_same(student.activation_bytes(layers, 50, 70, 1), expected)

    def test_huge(self, student, rng):
        """Petabytes are exact"""
        channels, side = 2 * draw(rng, 1000, 2000) + 1, 2 * draw(rng, 500_000, 900_000) + 1
        got = student.activation_bytes([between(channels, channels, 3, padding=1)], side, side, 7)
        assert_same(got, 28 * channels * side**2)

    def test_nothing(self, student, rng):
        """No layers keep nothing: the pictures are not counted; a map of one pixel is"""
        height, channels = draw(rng, 2, 9), draw(rng, 2, 9)
        assert_same(student.activation_bytes([between(1, channels, height)], height, height, 1), 4 * channels)
        assert_same(student.activation_bytes([], height, 9, 3), 0)

    def test_misfits(self, student, rng):
        """Layers that do not fit each other or the map, and nothing to compute, raise ValueError"""
        height, width = 2 * draw(rng, 4, 5), 2 * draw(rng, 6, 7)
        first, pooling = between(2, 3, 3), describe("pool", 2, 2)
        expected = count_by_running([first, pooling], height, width, 1)
        assert_same(student.activation_bytes([first, pooling], height, width, 1), expected)
        for layers in (
            [first, pooling, between(2, 3, 1)],  # the pooling keeps three channels
            [first, between(3, 3, height - 1)],
            [first, describe("pool", height - 1, 1)],
            [between(2, 3, 3, dilation=height // 2 + 1)],
            [pooling, first],
            [first, {"kind": "linear", "in_features": 3, "out_features": 4}],
            [first, describe("attention", 1)],
            [between(2, 3, 0)],
            [between(2, 3, 1, 0)],
            [between(2, 3, 1, padding=-1)],
            [first, describe("pool", 2, 2, dilation=0)],
        ):
            with student.raises(ValueError):
                student.activation_bytes(layers, height, width, 1)
        tall = [between(1, 1, height + 1)]
        for arguments in ((tall, height, 20, 1), (tall, 20, height, 1)):  # one side is enough
            with student.raises(ValueError):
                student.activation_bytes(*arguments)
        for sizes in ((0, width, 1), (height, 0, 1), (height, width, 0), (height, width, -1)):
            with student.raises(ValueError):
                student.activation_bytes([], *sizes)


def sides(module, index):
    """A setting of a layer along rows (0) or columns (1)."""
    found = []
    for name, default in (("kernel_size", None), ("stride", None), ("padding", 0), ("dilation", 1)):
        value = getattr(module, name, default)
        found.append(value[index] if isinstance(value, tuple) else value)
    return found


def flat(network):
    """All layers, nested or not, in order."""
    if not isinstance(network, nn.Sequential):
        return [network]
    return [layer for part in network for layer in flat(part)]  # one that stands in two places comes twice


def box(network, shape):
    """The box of the centre output, by following its taps back through every layer that has a kernel."""
    sizes, layers, x = [], [], torch.zeros(1, *shape)
    with torch.no_grad():
        for layer in flat(network):
            if hasattr(layer, "kernel_size"):
                layers.append(layer)
                sizes.append(x.shape[2:])
            x = layer(x)
    ends = []
    for index in (0, 1):
        places = {x.shape[2 + index] // 2}
        for layer, size in zip(reversed(layers), reversed(sizes), strict=True):
            kernel, stride, padding, dilation = sides(layer, index)
            taps = {place * stride - padding + tap * dilation for place in places for tap in range(kernel)}
            places = {tap for tap in taps if 0 <= tap < size[index]}  # what lies outside is padding
        ends += [min(places), max(places)]
    return tuple(ends)


def measured(student, network, *shape):
    """Ask for the box of a network and compare."""
    assert_same(student.gradient_receptive_field(network, shape), box(network, shape))


class TestGradientReceptiveField:
    """gradient_receptive_field: what one output sees, measured"""

    @pytest.mark.weight(2)
    def test_convolutions(self, student, rng):
        """Chains of convolutions with strides, on pictures higher than wide and wider than high"""
        for height, width in ((31, 44), (46, 33)):
            probe = nn.Sequential(
                nn.Conv2d(2, 3, draw(rng, 2, 4), padding=draw(rng, 0, 1)),
                nn.Conv2d(3, 4, 3, stride=2),
                nn.Conv2d(4, 2, draw(rng, 2, 3)),
            )
            fill(rng, probe)
            for more in (0, 2):  # maps of even and of odd sides
                measured(student, probe, 2, height + more, width + more)

    def test_even_maps(self, student, rng):
        """The centre of a map is at half its height and half its width, rounded down"""
        for size in ((8, 10), (9, 8), (7, 9)):
            measured(student, fill(rng, nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 3, padding=1))), 1, *size)

    @pytest.mark.weight(2)
    def test_pooling(self, student, rng):
        """Max- and average pooling read their whole windows, also where these overlap or stick out"""
        for pooling in (
            nn.MaxPool2d(2),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.AvgPool2d(3, stride=2),
        ):
            probe = nn.Sequential(nn.Conv2d(2, 3, 3), pooling, nn.Conv2d(3, 1, 3, padding=1), nn.MaxPool2d(2))
            measured(student, fill(rng, probe), 2, 21 + draw(rng, 0, 1), 29 + draw(rng, 0, 1))
        # Rounded up, the map has an even side one larger than rounded down, and so another centre.
        probe = nn.Sequential(nn.Conv2d(1, 2, 2), nn.MaxPool2d(4, ceil_mode=True), nn.Conv2d(2, 1, 3, padding=1))
        measured(student, fill(rng, probe), 1, 22 + draw(rng, 0, 2), 30 + draw(rng, 0, 2))

    def test_relu(self, student, rng):
        """Units that never fire hide nothing: weights and biases below zero; ReLU may work in place"""
        probe = nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3, dilation=2, padding=2), nn.ReLU(), nn.Conv2d(3, 1, 2)
        )
        fill(rng, probe)
        for layer in (probe[0], probe[2]):
            layer.bias.data.fill_(-50.0 - draw(rng, 1, 9))
        measured(student, probe, 2, 17, 22)
        probe = fill(rng, nn.Sequential(nn.ReLU(), nn.Conv2d(2, 1, draw(rng, 3, 4))))
        kept = student.keep(probe)
        kept.get("0", keep=True).call("__setattr__", "inplace", True)
        assert_same(student.gradient_receptive_field(kept, (2, 11, 13)), box(probe, (2, 11, 13)))

    def test_zero_weights(self, student, rng):
        """A weight that is zero hides nothing: it may be another one tomorrow"""
        probe = fill(rng, nn.Sequential(nn.Conv2d(1, 2, 5, padding=2), nn.ReLU(), nn.Conv2d(2, 1, 3)))
        probe[0].weight.data[:, :, 0] = probe[0].weight.data[..., -1] = 0.0
        probe[0].bias.data.abs_()
        measured(student, probe, 1, 15, 18)

    def test_normalization(self, student, rng):
        """Batch normalization and dropout see no neighbours, whatever their statistics, and in training mode too"""
        probe = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.9), nn.Conv2d(4, 2, 3)
        )
        fill(rng, probe)
        probe[1].running_mean.fill_(100.0 + draw(rng, 1, 9))
        probe[1].weight.data.abs_()  # so that no channel fires
        for training in (False, True):
            measured(student, probe.train(training), 1, 12, 15)

    def test_nested(self, student, rng):
        """Networks inside networks, a network of a single layer, and one layer in several places"""
        block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, groups=3), nn.BatchNorm2d(3), nn.ReLU())
        probe = nn.Sequential(nn.Sequential(block, nn.MaxPool2d(2)), nn.Identity(), nn.Sequential(nn.MaxPool2d(3)))
        fill(rng, probe)
        block[0].bias.data.abs_()
        measured(student, probe, 3, 26, 26 + draw(rng, 1, 9))
        measured(student, nn.MaxPool2d(3, stride=1), 1, 9, 12)
        measured(student, fill(rng, nn.Conv2d(1, 1, draw(rng, 3, 4))), 1, 9, 12)
        front = fill(
            rng, nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(2, 1, draw(rng, 2, 3)))
        )
        kept = student.keep(front)
        kept.call("append", kept.get("1", keep=True))  # the very same pooling once more
        expected = box(nn.Sequential(*front, front[1]), (1, 24, 30))
        assert_same(student.gradient_receptive_field(kept, (1, 24, 30)), expected)

    def test_edges(self, student, rng):
        """Padding is no pixel: where the network sees beyond the picture, the box ends at its edge"""
        probe = nn.Sequential(nn.Conv2d(1, 2, 7, padding=3), nn.Conv2d(2, 1, 5, padding=2), nn.MaxPool2d(2))
        measured(student, fill(rng, probe), 1, draw(rng, 9, 12), 40)
        measured(student, probe, 1, 40, draw(rng, 9, 12))

    def test_gaps(self, student, rng):
        """Dilation and strides leave pixels out; the box goes from the first to the last that is seen"""
        probe = nn.Sequential(nn.Conv2d(1, 2, 2, stride=3), nn.Conv2d(2, 2, 3, dilation=draw(rng, 2, 3)))
        measured(student, fill(rng, probe), 1, 34, 43)
        measured(student, fill(rng, nn.Sequential(nn.Conv2d(1, 1, (3, 1), dilation=(4, 1)))), 1, 16, 19)

    def test_model_untouched(self, student, rng):
        """After the call the network is what it was: weights, statistics, gradients, mode, and every layer"""
        probe = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 2), nn.MaxPool2d(2))
        fill(rng, probe)
        probe[0].bias.data.abs_()
        expected = box(probe, (1, 14, 17))
        before = {name: value.clone() for name, value in probe.state_dict().items()}
        for training in (True, False):
            kept = student.keep(probe.train(training))
            assert_same(student.gradient_receptive_field(kept, (1, 14, 17)), expected)
            modes = [kept.get("training"), kept.get("1.training")]
            if modes != [training, training]:
                raise Mismatch("rule", f"training mode {training}, as before", f"training mode {modes}")
            for name, _ in probe.named_parameters():
                assert_same(kept.call("get_parameter", name).detach(), before[name], where=name)
            for name, _ in probe.named_buffers():
                assert_same(kept.get(name), before[name], where=name)
            for name, _ in probe.named_parameters():
                if kept.get(f"{name}.grad") is not None:
                    raise Mismatch("rule", "no gradients left in the network", f"a gradient of {name}")
                if kept.get(f"{name}.requires_grad") is not True:
                    raise Mismatch("rule", "weights that can be trained", f"{name} that cannot")
            if kept.get("4.dilation") != 1:  # an average pooling has none
                raise Mismatch("rule", "the max-pooling that was there", "another layer")
            if any(len(kept.get(f"{layer}._forward_hooks")) for layer in range(5)):
                raise Mismatch("rule", "layers without hooks", "a hook that was left")

    def test_no_map(self, student, rng):
        """An output that is no map, a centre that sees no pixel, and a shape that is not (C, H, W) raise ValueError"""
        convolution = fill(rng, nn.Sequential(nn.Conv2d(2, 2, 2)))
        measured(student, convolution, 2, 7, 8)
        with student.raises(ValueError):
            student.gradient_receptive_field(nn.Sequential(convolution, nn.Flatten()), (2, 7, 8))
        side = 2 * draw(rng, 1, 3) + 1  # taps of the centre output at -1 and at `side`, both in the padding
        blind = fill(rng, nn.Sequential(nn.Conv2d(1, 1, 2, dilation=side + 1, padding=(side + 1) // 2)))
        with student.raises(ValueError):
            student.gradient_receptive_field(blind, (1, side, side))
        for shape in ((7, 8), (1, 2, 7, 8)):
            with student.raises(ValueError):
                student.gradient_receptive_field(convolution, shape)
