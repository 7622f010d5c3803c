"""Hidden graders of lesson 04. Random inputs come from `rng`; what is right is computed here, in another way."""

import pytest
import torch
from torch import nn

from autograde.graders.kit import draw, fill, random_tensor
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
    return high - low + 1, following - low, low


class TestReceptiveField:
    """receptive_field: the field's size, jump and start, by arithmetic"""

    @pytest.mark.weight(2)
    def test_strides(self, student, rng):
        """Chains of convolutions: a later layer reaches farther, by the strides of all layers before it"""
        for _ in range(3):
            layers = [describe("conv", draw(rng, 3, 6), draw(rng, 2, 4)) for _ in range(draw(rng, 3, 4))]
            assert_same(student.receptive_field(layers), traced(layers))

    def test_pooling(self, student, rng):
        """Pooling enlarges what is seen, also where its windows overlap, and spreads what comes after"""
        for stride in (2, 3):
            layers = [describe("conv", 3), describe("pool", 3, stride)]
            layers += [describe("conv", draw(rng, 2, 5), 2), describe("pool", draw(rng, 2, 4), 2)]
            assert_same(student.receptive_field(layers), traced(layers))

    @pytest.mark.weight(2)
    def test_padding(self, student, rng):
        """Padding moves the start and makes nothing see less, in convolutions and poolings"""
        layers = [
            describe("conv", 7, 2, padding=draw(rng, 1, 2)),
            describe("pool", 3, 3, padding=1),
            describe("conv", 3, padding=draw(rng, 2, 3)),
        ]
        assert_same(student.receptive_field(layers), traced(layers))
        assert_same(student.receptive_field(layers[1:]), traced(layers[1:]))

    @pytest.mark.weight(2)
    def test_dilation(self, student, rng):
        """Dilation spreads the taps of its own layer only, in convolutions and poolings"""
        layers = [
            describe("conv", 3, dilation=draw(rng, 2, 4), padding=1),
            describe("conv", draw(rng, 2, 4), 2, dilation=3),
            describe("pool", 3, 2, dilation=2),
            describe("conv", 3),
        ]
        assert_same(student.receptive_field(layers), traced(layers))

    def test_published(self, student):
        """VGG-16, FCN, LeNet, SegNet-Basic and U-Net see what the literature says"""
        halving, vgg, found = describe("pool", 2, 2), [], []
        for count in (2, 2, 3, 3, 3):
            vgg += [describe("conv", 3, padding=1)] * count + [halving]
            found.append(student.receptive_field(vgg))
        assert_same(found, [(6, 2, -2), (16, 4, -6), (44, 8, -18), (100, 16, -42), (212, 32, -90)])
        assert_same(student.receptive_field([*vgg, describe("conv", 7), describe("conv", 1)]), (404, 32, -90))
        lenet = [describe("conv", 5), halving, describe("conv", 5), halving, describe("conv", 5)]
        assert_same(student.receptive_field(lenet), (32, 4, 0))
        assert_same(student.receptive_field([describe("conv", 7, padding=3), halving] * 4), (106, 16, -45))
        unet = ([describe("conv", 3)] * 2 + [halving]) * 4 + [describe("conv", 3)] * 2
        assert_same(student.receptive_field(unet), (140, 16, 0))

    def test_no_layers(self, student, rng):
        """A pixel sees itself: no layers, or layers 1 x 1"""
        stride = draw(rng, 2, 5)
        layers = [describe("pool", 1, stride), describe("conv", 2)]
        assert_same(student.receptive_field(layers), (stride + 1, stride, 0))
        assert_same(student.receptive_field([]), (1, 1, 0))
        assert_same(student.receptive_field([describe("conv", 1)] * 3), (1, 1, 0))

    def probe_every_word(self, student, rng):
        """Every layer says its padding and dilation"""
        student.receptive_field(
            [describe("conv", 4, 3, padding=1, dilation=2), describe("conv", 3, 2, padding=1, dilation=1)]
        )

    def probe_padding(self, student, rng):
        """Strides and paddings, without dilation"""
        layers = [describe("conv", draw(rng, 6, 9), 3, padding=3, dilation=1)]
        student.receptive_field(
            [*layers, describe("conv", 4, 2, padding=2, dilation=1), describe("conv", 3, padding=1)]
        )

    def probe_dilation(self, student, rng):
        """Strides and dilations, without padding"""
        layers = [describe("conv", draw(rng, 3, 5), 3, padding=0, dilation=4)]
        student.receptive_field([*layers, describe("conv", 4, 2, padding=0, dilation=3), describe("conv", 2)])


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
        for kernel in (2 * draw(rng, 2, 5) + 1, 2, 3):
            count = draw(rng, 40, 120)
            pixels = seen_after(count, kernel, None)
            assert_same(student.layers_to_see(pixels, kernel), count)
            assert_same(student.layers_to_see(pixels + 1, kernel), count + 1)

    @pytest.mark.weight(3)
    def test_with_pooling(self, student, rng):
        """With pooling: exactly enough, and one pixel more takes one convolution more"""
        for pool_every in (draw(rng, 6, 9), 2, 1):
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

    def test_far(self, student, rng):
        """Thousands of pixels take few convolutions where there is pooling"""
        pool_every = draw(rng, 2, 3)
        count = 10 * pool_every + 1
        pixels = seen_after(count, 3, pool_every)
        assert_same(student.layers_to_see(pixels, 3, pool_every), count)
        assert_same(student.layers_to_see(pixels + 1, 3, pool_every), count + 1)

    def test_one_pixel(self, student, rng):
        """A single pixel takes no convolution, whatever the kernel and the pooling"""
        kernel = draw(rng, 3, 9)
        assert_same(student.layers_to_see(kernel + 1, kernel), 2)
        assert_same(student.layers_to_see(1, kernel), 0)
        assert_same(student.layers_to_see(1, kernel, draw(rng, 1, 3)), 0)
        assert_same(student.layers_to_see(kernel, kernel, 1), 1)


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
            assert_same(student.activation_bytes(layers, height, width, 2), count_by_running(layers, height, width, 2))

    @pytest.mark.weight(2)
    def test_pooling(self, student, rng):
        """Pooled maps are kept too; windows may overlap, be padded, or leave a row over"""
        for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (2, 3, 0)):
            pooling = describe("pool", kernel, stride, padding=padding)
            layers = [between(2, 5, 2, padding=1), pooling, between(5, 3, 2), describe("pool", 2, 2)]
            height, width = 2 * draw(rng, 6, 9) + 1, 2 * draw(rng, 10, 14)
            assert_same(student.activation_bytes(layers, height, width, 1), count_by_running(layers, height, width, 1))

    def test_dilation(self, student, rng):
        """A dilated kernel has fewer places, in convolutions and poolings"""
        layers = [
            between(1, 3, 3, dilation=draw(rng, 2, 4)),
            describe("pool", 2, 1, dilation=draw(rng, 2, 3)),
            between(3, 2, 2, 2, dilation=2 * draw(rng, 1, 2), padding=1),
        ]
        height, width = draw(rng, 16, 20), draw(rng, 21, 30)
        for rows in (height, height + 1):  # one of them leaves a row over
            assert_same(student.activation_bytes(layers, rows, width, 1), count_by_running(layers, rows, width, 1))

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

    def test_nothing(self, student, rng):
        """No layers keep nothing: the pictures are not counted; a map of one pixel is"""
        height, channels = draw(rng, 2, 9), draw(rng, 10, 15)
        assert_same(student.activation_bytes([between(1, channels, height)], height, height, 1), 4 * channels)
        assert_same(student.activation_bytes([], height, 9, 3), 0)

    def probe_every_word(self, student, rng):
        """Convolutions only, and every one says its padding and dilation"""
        first = between(3, 5, 4, 2, padding=1, dilation=1)
        student.activation_bytes([first, between(5, 4, 3, padding=1, dilation=2)], 19, 26, 2)


def sides(module, index):
    """Kernel, stride, padding and dilation of a layer along rows (0) or columns (1)."""
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


def grid(network):
    """(side of the window that gives one output, pixels from one output to the next)."""
    window, jump = 1, 1
    for layer in reversed([layer for layer in flat(network) if hasattr(layer, "kernel_size")]):
        kernel, stride, _, dilation = sides(layer, 0)
        window = (window - 1) * stride + dilation * (kernel - 1) + 1
        jump *= stride
    return window, jump


def slide(network, pictures):
    """The network's answer to every window, one pixel apart, as a map: (N, K, h, w)."""
    window, _ = grid(network)
    windows = pictures.unfold(2, window, 1).unfold(3, window, 1).transpose(1, 2).transpose(2, 3)
    with torch.no_grad():
        answers = network(windows.flatten(0, 2))
    assert answers.shape[2:] == (1, 1)
    return answers.view(*windows.shape[:3], -1).movedim(3, 1)


def pictures_for(network, rng):
    """Two pictures, a few pixels larger than the network's window, higher or wider."""
    window, _ = grid(network)
    more = draw(rng, 4, 6), draw(rng, 7, 9)
    return random_tensor(rng, 2, 2, *(window + m for m in more[:: rng.choice([-1, 1])]))


def slid(student, rng, network):
    """Ask for the network without strides and compare it with the sliding window."""
    pictures = pictures_for(network, rng)
    assert_same(student.dilate.module(network)(pictures), slide(network, pictures))


class TestDilate:
    """dilate: the sliding window's answers at every pixel, from one network without strides"""

    @pytest.mark.weight(3)
    def test_sliding_window(self, student, rng):
        """Convolutions, poolings that overlap or not, batch norm, dropout: the sliding window everywhere"""
        network = nn.Sequential(
            *(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(5, 4, draw(rng, 2, 3), bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Dropout(), nn.Conv2d(4, 3, 2), nn.ReLU(), nn.Conv2d(3, 2, 1)),
        )
        slid(student, rng, fill(rng, network))

    @pytest.mark.weight(2)
    def test_own_places(self, student, rng):
        """At the strided network's own places: its answers"""
        network = nn.Sequential(
            *(nn.Conv2d(2, 4, 3), nn.MaxPool2d(3), nn.Conv2d(4, 4, 2, groups=2), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Conv2d(4, 3, 2)),
        )
        fill(rng, network)
        pictures = pictures_for(network, rng)
        _, jump = grid(network)
        got = student.dilate.module(network)(pictures)
        assert_same(got, slide(network, pictures))
        assert_same(got[:, :, ::jump, ::jump], network(pictures))

    @pytest.mark.weight(2)
    def test_strided_convolutions(self, student, rng):
        """Strides of convolutions count like those of poolings"""
        network = nn.Sequential(
            *(nn.Conv2d(2, 3, draw(rng, 3, 4), stride=3), nn.Conv2d(3, 4, 3, stride=2), nn.ReLU()),
            *(nn.Conv2d(4, 2, 2, stride=2), nn.Conv2d(2, 3, 2)),
        )
        slid(student, rng, fill(rng, network))

    @pytest.mark.weight(2)
    def test_dilated_before(self, student, rng):
        """Kernels that were dilated already are dilated further"""
        network = nn.Sequential(
            *(nn.Conv2d(2, 3, 2, dilation=3), nn.MaxPool2d(2), nn.Conv2d(3, 3, 2, dilation=draw(rng, 3, 4))),
            *(nn.MaxPool2d(2, stride=2, dilation=3), nn.Conv2d(3, 2, 2)),
        )
        slid(student, rng, fill(rng, network))

    def test_same_layers(self, student, rng):
        """The same layers in the same order, with the weights of the network that was given"""
        network = nn.Sequential(nn.Conv2d(2, 3, 3, stride=3), nn.MaxPool2d(2), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 2))
        pictures = pictures_for(fill(rng, network), rng)
        dilated = student.dilate.module(network)
        assert_same(dilated(pictures), slide(network, pictures))
        found, wanted = dilated.parameters(), dict(network.named_parameters())
        if found.keys() != wanted.keys():
            raise Mismatch("rule", f"a network with the weights {', '.join(wanted)}", ", ".join(sorted(found)))
        for name, weights in wanted.items():
            assert_same(found[name].detach(), weights.detach(), where=name)

    def test_in_two_places(self, student, rng):
        """One pooling that stands in two places, in Sequentials of their own"""
        parts = [nn.Conv2d(2, 3, 2), nn.MaxPool2d(2), nn.Conv2d(3, 2, draw(rng, 2, 3))]
        network = fill(rng, nn.Sequential(*parts))
        handle = student.keep(network)
        handle.call("append", handle.get("1", keep=True))  # the very same pooling once more
        whole = nn.Sequential(*network, nn.MaxPool2d(2))
        pictures = pictures_for(whole, rng)
        assert_same(student.dilate.module(handle)(pictures), slide(whole, pictures))
        nested = nn.Sequential(nn.Sequential(*network[:2]), nn.Sequential(nn.Sequential(network[2]), nn.MaxPool2d(2)))
        assert_same(student.dilate.module(nested)(pictures), slide(whole, pictures))

    def test_network_unchanged(self, student, rng):
        """The network that was given still answers as before, at its own places"""
        network = fill(rng, nn.Sequential(nn.Conv2d(2, 3, 2, stride=2), nn.MaxPool2d(2), nn.Conv2d(3, 3, 2)))
        pictures, handle = pictures_for(network, rng), student.keep(network)
        assert_same(student.dilate.module(handle)(pictures), slide(network, pictures))
        assert_same(handle(pictures), network(pictures).detach())

    def probe_two_poolings(self, student, rng):
        """A window of 10 pixels; on a picture this large no wrong dilation fails"""
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.Conv2d(3, 2, 2), nn.MaxPool2d(2))
        student.dilate.module(fill(rng, network))(random_tensor(rng, 1, 2, 30, 37))


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
            network = nn.Sequential(
                nn.Conv2d(2, 3, draw(rng, 2, 4), padding=1),
                nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 2, draw(rng, 2, 3))),
            )
            fill(rng, network)
            for more in (0, 2):  # maps of even and of odd sides
                measured(student, network, 2, height + more, width + more)

    def test_even_maps(self, student, rng):
        """The centre of a map is at half its height and half its width, rounded down"""
        for size in ((8, 10), (9, 8), (7, 9)):
            measured(student, fill(rng, nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 3, padding=1))), 1, *size)

    @pytest.mark.weight(2)
    def test_pooling(self, student, rng):
        """Max- and average pooling read their whole windows, also where these overlap, are dilated or stick out"""
        for pooling in (
            nn.MaxPool2d(2),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.AvgPool2d(3, stride=2),
            nn.MaxPool2d(2, stride=1, dilation=draw(rng, 2, 3)),
        ):
            network = nn.Sequential(nn.Conv2d(2, 3, 3), pooling, nn.Conv2d(3, 1, 3, padding=1), nn.MaxPool2d(2))
            measured(student, fill(rng, network), 2, 21 + draw(rng, 0, 1), 29 + draw(rng, 0, 1))
        measured(student, nn.MaxPool2d(3, stride=1), 1, 9, 12)

    @pytest.mark.weight(2)
    def test_nothing_hides(self, student, rng):
        """Units that never fire, weights of zero and any statistics hide nothing; the mode does not matter"""
        network = nn.Sequential(
            *(nn.Conv2d(2, 3, 5, padding=2), nn.ReLU(), nn.Conv2d(3, 3, 3, dilation=2), nn.BatchNorm2d(3), nn.ReLU()),
            *(nn.Dropout(0.9), nn.Conv2d(3, 1, 2)),
        )
        plain = nn.Sequential(nn.Conv2d(2, 3, 5), nn.Conv2d(3, 1, 4, stride=2))
        fill(rng, plain)[0].weight.data[:, :, :2] = plain[0].weight.data[..., -1] = 0.0
        measured(student, plain, 2, 20, 27)
        fill(rng, network)
        network[0].weight.data[:, :, 0] = network[0].weight.data[..., -1] = 0.0
        network[0].bias.data.fill_(-50.0 - draw(rng, 1, 9))
        network[3].running_mean.fill_(100.0 + draw(rng, 1, 9))
        for training in (False, True):
            measured(student, network.train(training), 2, 17, 22)

    def test_edges(self, student, rng):
        """Padding is no pixel: where the network sees beyond the picture, the box ends at its edge"""
        network = nn.Sequential(nn.Conv2d(1, 2, 7, padding=3), nn.Conv2d(2, 1, 5, padding=2), nn.MaxPool2d(2))
        measured(student, fill(rng, network), 1, draw(rng, 9, 12), 40)
        measured(student, network, 1, 40, draw(rng, 9, 12))

    def test_gaps(self, student, rng):
        """Dilation and strides leave pixels out; the box goes from the first to the last that is seen"""
        network = nn.Sequential(nn.Conv2d(1, 2, 2, stride=3), nn.Conv2d(2, 2, 3, dilation=draw(rng, 2, 3)))
        measured(student, fill(rng, network), 1, 34, 43)
        measured(student, fill(rng, nn.Sequential(nn.Conv2d(1, 1, (3, 1), dilation=(4, 1)))), 1, 16, 19)

    @pytest.mark.weight(2)
    def test_deep(self, student, rng):
        """Fifty layers with wide kernels: the outermost pixels are seen, however little they count"""
        first = 2 * draw(rng, 2, 4) + 1
        layers = [nn.Conv2d(2, 1, (3, first), padding=(1, first // 2))]
        layers += [nn.Conv2d(1, 1, (1, 9), padding=(0, 4)) for _ in range(50)]
        measured(student, fill(rng, nn.Sequential(*layers)), 2, 7, 440)

    def test_double_precision(self, student, rng):
        """A network of float64 is measured like one of float32"""
        network = fill(rng, nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Conv2d(2, 1, draw(rng, 2, 3))))
        handle = student.keep(network)
        handle.call("double", keep=True)
        assert_same(student.gradient_receptive_field(handle, (1, 20, 27)), box(network, (1, 20, 27)))

    def probe_zeros(self, student, rng):
        """Zeros at the rim of a kernel, which hide the same pixels of every picture"""
        network = fill(rng, nn.Sequential(nn.Conv2d(2, 3, 7, stride=2), nn.Conv2d(3, 2, 2)))
        network[0].weight.data[:, :, -2:] = network[0].weight.data[..., :3] = 0.0
        student.gradient_receptive_field(network, (2, draw(rng, 30, 35), draw(rng, 40, 49)))

    def probe_plain(self, student, rng):
        """Convolutions alone, random weights: gradients everywhere in the field"""
        network = nn.Sequential(nn.Conv2d(2, 3, 4), nn.Conv2d(3, 2, 3, stride=2))
        student.gradient_receptive_field(fill(rng, network), (2, 20, 31))
