"""The reference of lesson 04 against independent oracles: published numbers, measured pixels, torch's saved tensors."""

import itertools
import math

import pytest
import torch
from torch import nn

from autograde.reference.receptive_field import (
    activation_bytes,
    dilate,
    gradient_receptive_field,
    layers_to_see,
    receptive_field,
)
from seglab.layers import conv, network, pool
from seglab.networks import halving_encoder


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def convs(count, kernel=3, padding=0):
    return [conv(1, 1, kernel, padding=padding)] * count


def stages(*counts, kernel=3, padding=0):
    """Convolutions with a halving pooling after every group."""
    return [layer for count in counts for layer in [*convs(count, kernel, padding), pool()]]


CHAINS = [
    [conv(1, 1, 3), conv(1, 1, 4, stride=2), conv(1, 1, 2)],
    [conv(1, 1, 5, padding=2), pool(2), conv(1, 1, 3, padding=1), pool(3, 2)],
    [pool(3, 2, 1), conv(1, 1, 3, dilation=2, padding=2), conv(1, 1, 2, dilation=3)],
    [conv(1, 1, 1, stride=2), conv(1, 1, 3, stride=3, dilation=2), pool(2, 1)],
]


class TestReceptiveField:
    def test_published_numbers(self):
        """VGG-16 after each pooling; FCN's fc6 and fc7 (Long 2015, table 1); LeNet; SegNet-Basic; U-Net's bottom."""
        groups = (2, 2, 3, 3, 3)
        vgg = [receptive_field(stages(*groups[:depth], padding=1)) for depth in range(1, 6)]
        assert [(size, jump) for size, jump, _ in vgg] == [(6, 2), (16, 4), (44, 8), (100, 16), (212, 32)]
        fcn = [*stages(*groups, padding=1), *convs(1, 7), *convs(1, 1)]
        assert receptive_field(fcn)[:2] == (404, 32)
        assert receptive_field([*stages(1, 1, kernel=5), conv(1, 1, 5)]) == (32, 4, 0)
        assert receptive_field(stages(1, 1, 1, 1, kernel=7, padding=3))[0] == 106
        assert receptive_field([*stages(2, 2, 2, 2), *convs(2)])[0] == 140

    def test_fcn_crop_of_19(self):
        """FCN pads its first convolution by 100: cell 0 of fc6 is centred at pixel 12.5, and 31.5 - 12.5 = 19."""
        fcn = [conv(1, 1, 3, padding=100), *convs(1, padding=1), pool(), *stages(2, 3, 3, 3, padding=1), *convs(1, 7)]
        size, jump, start = receptive_field(fcn)
        assert (size, jump, start + (size - 1) / 2) == (404, 32, 12.5)

    @pytest.mark.parametrize("layers", CHAINS)
    def test_agrees_with_what_is_read(self, layers):
        """Light one pixel of a row at a time: which of the outputs 4 and 5 notice it?"""
        net = network(layers)
        for index, layer in enumerate(net):  # a mean notices every pixel of its window
            if isinstance(layer, nn.MaxPool2d):
                net[index] = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
            for weights in layer.parameters():
                nn.init.constant_(weights, 0.1)
        pixels = 120
        dark = torch.zeros(1, 1, 40, pixels)
        answers = net(dark.expand(pixels + 1, -1, -1, -1) + lit(pixels))[:, 0]  # (pixels + 1, h, w)
        noticed = ((answers[1:] - answers[0]).abs() > 1e-9).any(1)  # (pixels, w)
        boxes = [noticed[:, output].nonzero().flatten() for output in (4, 5)]
        size, jump, start = receptive_field(layers)
        for output, box in zip((4, 5), boxes, strict=True):
            first = start + output * jump
            assert (box[0].item(), box[-1].item()) == (first, first + size - 1)

    def test_no_layers(self):
        assert receptive_field([]) == (1, 1, 0)


def lit(pixels):
    """No light, then column 0, column 1, ...: (pixels + 1, 1, 1, pixels)."""
    return torch.cat([torch.zeros(1, pixels), torch.eye(pixels)])[:, None, None]


class TestLayersToSee:
    @pytest.mark.parametrize("kernel", [2, 3, 5])
    @pytest.mark.parametrize("pool_every", [None, 1, 2, 3])
    def test_is_the_first_that_is_enough(self, kernel, pool_every):
        """Against the receptive field of every chain, from no convolution on."""

        def seen(count):
            layers = []
            for number in range(count):
                if pool_every and number and number % pool_every == 0:
                    layers.append(pool())
                layers += convs(1, kernel)
            return receptive_field(layers)[0]

        fields = [seen(count) for count in range(40)]
        for pixels in range(1, fields[-1] + 1 if fields[-1] < 60 else 60):
            expected = next(count for count, field in enumerate(fields) if field >= pixels)
            assert layers_to_see(pixels, kernel, pool_every) == expected

    def test_growth_laws(self):
        """Twice as far takes twice as many convolutions without pooling, and a stage more with it."""
        assert layers_to_see(1001, 3) == 500 and layers_to_see(2001, 3) == 1000
        with_pooling = [layers_to_see(2**power, 3, 2) for power in range(6, 12)]
        assert [after - before for before, after in itertools.pairwise(with_pooling)] == [2] * 5

    def test_one_pixel_takes_nothing(self):
        assert layers_to_see(1, 2) == layers_to_see(1, 3, 1) == 0


class TestActivationBytes:
    def test_agrees_with_the_tensors_of_a_forward_pass(self):
        """Hooks on a real network; the ReLUs that `network` adds are left out, as they would work in place."""
        layers = [conv(3, 8, 5, padding=2), pool(), conv(8, 12, 3, 2, 1), pool(3, 2, 1), conv(12, 4, 3, 1, 4, 3)]
        net, kept = network(layers), []
        for layer in net:
            if not isinstance(layer, nn.ReLU):
                layer.register_forward_hook(lambda layer, given, output: kept.append(output.nbytes))
        net(torch.zeros(3, 3, 50, 37))
        assert activation_bytes(layers, 50, 37, 3) == sum(kept)
        assert len(kept) == 5

    def test_vgg_on_the_papers_picture(self):
        """VGG-16 at 224 x 224: Simonyan and Zisserman's maps, 224 x 224 x 64 twice, and so on, and their poolings."""
        groups, channels, layers = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 3, []
        by_hand, side = 0, 224
        for width, count in groups:
            for _ in range(count):
                layers.append(conv(channels, width, 3, padding=1))
                channels = width
            layers.append(pool())
            by_hand += width * (count * side**2 + (side // 2) ** 2)
            side //= 2
        assert activation_bytes(layers, 224, 224, 1) == 4 * by_hand
        flat = [layer for layer in layers if layer["kind"] == "conv"]
        assert math.isclose(
            activation_bytes(flat, 224, 224, 1) / activation_bytes(layers, 224, 224, 1), 14.1, abs_tol=0.1
        )

    def test_is_proportional_to_the_batch(self):
        layers = [conv(1, 4, 3), pool()]
        assert activation_bytes(layers, 9, 11, 7) == 7 * activation_bytes(layers, 9, 11, 1)
        assert activation_bytes([], 9, 11, 7) == 0


class TestDilate:
    def test_shift_and_stitch(self):
        """Long 2015, section 3.2: the strided network on every shift of the picture, its answers interlaced."""
        net = network([conv(3, 6, 5), pool(), conv(6, 8, 3, stride=2), pool(2), conv(8, 4, 2)]).eval()
        picture = torch.randn(1, 3, 64, 71)
        everywhere = dilate(net)(picture)
        size, jump, _ = receptive_field([conv(3, 6, 5), pool(), conv(6, 8, 3, stride=2), pool(2), conv(8, 4, 2)])
        assert jump == 8 and everywhere.shape == (1, 4, 64 - size + 1, 71 - size + 1)
        for down in range(jump):
            for right in range(jump):
                shifted = net(picture[..., down:, right:])
                torch.testing.assert_close(everywhere[..., down::jump, right::jump], shifted)

    def test_field_is_the_same(self):
        """The jump becomes 1, the field keeps its size; poolings are dilated, too."""
        net = network([conv(1, 2, 3), pool(3, 2), conv(2, 2, 2, dilation=3), pool(), conv(2, 1, 2)])
        shape = (1, 80, 95)
        boxes = [gradient_receptive_field(one, shape) for one in (net, dilate(net))]
        assert {(bottom - top, right - left) for top, bottom, left, right in boxes} == {(16, 16)}

    def test_leaves_the_network_alone(self):
        pooling = nn.MaxPool2d(2)
        net = nn.Sequential(pooling, nn.Sequential(nn.Conv2d(1, 1, 2, stride=(2, 2)), pooling))
        dilated = dilate(net)
        assert [layer.dilation for layer in dilated] == [(1, 1), (2, 2), (4, 4)]
        assert net[0] is net[1][1] and pooling.stride == 2 and net[1][0].stride == (2, 2)


class TestGradientReceptiveField:
    @pytest.mark.parametrize("layers", CHAINS)
    @pytest.mark.parametrize("size", [(90, 101), (102, 91)])
    def test_agrees_with_the_formula(self, layers, size):
        """Away from the edges the box is as the arithmetic says, around the centre output's own centre."""
        net = network(layers)
        top, bottom, left, right = gradient_receptive_field(net, (1, *size))
        field, jump, start = receptive_field(layers)
        rows, cols = net(torch.zeros(1, 1, *size)).shape[2:]
        assert (bottom - top + 1, right - left + 1) == (field, field)
        assert (top, left) == (start + jump * (rows // 2), start + jump * (cols // 2))

    def test_the_shared_encoder(self):
        """Batch normalization in training mode and five max-poolings: 4, 10, 22, 46 and 94 pixels."""
        encoder = halving_encoder()
        boxes = [gradient_receptive_field(encoder[:depth], (3, 256, 256)) for depth in range(1, 6)]
        assert [bottom - top + 1 for top, bottom, _, _ in boxes] == [4, 10, 22, 46, 94]

    def test_fcn_sees_404_pixels(self):
        layers = [*stages(2, 2, 3, 3, 3, padding=1), *convs(1, 7)]
        top, bottom, left, right = gradient_receptive_field(network(layers), (1, 640, 672))
        assert (bottom - top + 1, right - left + 1) == (404, 404)

    def test_a_hundred_layers(self):
        """Neither too large nor too small for a number."""
        net = nn.Sequential(*[nn.Conv2d(6, 6, 3, padding=1) for _ in range(100)])
        assert gradient_receptive_field(net, (6, 20, 230)) == (0, 19, 15, 215)

    def test_one_layer_in_several_places(self):
        """As if there were a copy of it in each place, also inside a network that stands in two places itself."""
        layer, pooling = nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2)
        half = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), pooling)
        for twice in (nn.Sequential(layer, pooling, layer, pooling), nn.Sequential(half, half)):
            assert gradient_receptive_field(twice, (1, 32, 32)) == (13, 22, 13, 22)

    def test_relu_in_place_at_the_front(self):
        net = nn.Sequential(nn.Dropout(), nn.ReLU(inplace=True), nn.Conv2d(1, 1, 3)).double()
        assert gradient_receptive_field(net, (1, 9, 9)) == (3, 5, 3, 5)

    def test_leaves_the_model_alone(self):
        net = network([conv(2, 3, 3), pool(), conv(3, 1, 3)]).train()
        before, layers = {name: value.clone() for name, value in net.state_dict().items()}, list(net)
        gradient_receptive_field(net, (2, 20, 20))
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert list(net) == layers and net.training and all(weights.grad is None for weights in net.parameters())
