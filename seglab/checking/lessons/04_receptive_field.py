"""Visible checks of lesson 04. `check(receptive_field)` in the notebook runs the class of that function's name."""

import torch
from torch import nn

from seglab.checking.compare import assert_same
from seglab.layers import conv, linear, pool


class TestReceptiveField:
    """receptive_field: what one output sees, by arithmetic"""

    def test_three_convolutions(self, student):
        """Three convolutions 3 x 3 see 7 pixels; the first output is centred at pixel 3"""
        assert_same(student.receptive_field([conv(1, 1, 3), conv(1, 1, 3), conv(1, 1, 3)]), (7, 1, 3.0))

    def test_lenet(self, student):
        """LeNet up to the former dense layer: 32 pixels, jump 4, first centre 15.5"""
        lenet = [conv(1, 6, 5), pool(2), conv(6, 16, 5), pool(2), conv(16, 120, 5)]
        assert_same(student.receptive_field(lenet), (32, 4, 15.5))

    def test_padding(self, student):
        """Kernel 7, stride 2, padding 3, then pooling 3 x 3, stride 2, padding 1: 11 pixels, first centre 0"""
        assert_same(student.receptive_field([conv(3, 64, 7, 2, 3), pool(3, 2, 1)]), (11, 4, 0.0))

    def test_dilation(self, student):
        """Pooling 2 x 2, then 3 x 3 with dilation 3: the outer taps lie 6 outputs of 2 pixels apart"""
        assert_same(student.receptive_field([pool(2), conv(1, 1, 3, dilation=3)]), (14, 2, 6.5))

    def test_nonsense(self, student):
        """A convolution 2 x 2 sees 2 pixels; a dense layer, or a stride of 0, raises ValueError with a message"""
        assert_same(student.receptive_field([conv(1, 1, 2)]), (2, 1, 0.5))
        with student.raises(ValueError):
            student.receptive_field([conv(1, 6, 5), linear(400, 120)])
        with student.raises(ValueError):
            student.receptive_field([conv(1, 1, 3, stride=0)])


class TestLayersToSee:
    """layers_to_see: how many convolutions it takes"""

    def test_without_pooling(self, student):
        """Convolutions 3 x 3, no pooling: 7 pixels take 3 of them, 8 pixels take 4"""
        assert_same(student.layers_to_see(7, 3), 3)
        assert_same(student.layers_to_see(8, 3), 4)

    def test_with_pooling(self, student):
        """3 x 3 with a pooling after every 2: the fourth sees 14 pixels, so 14 pixels take 4 and 15 take 5"""
        assert_same(student.layers_to_see(14, 3, pool_every=2), 4)
        assert_same(student.layers_to_see(15, 3, pool_every=2), 5)

    def test_last_is_a_convolution(self, student):
        """3 x 3, a pooling after each: the first sees 3 pixels, so 4 take a second one, though a pooling would see 4"""
        assert_same(student.layers_to_see(4, 3, pool_every=1), 2)

    def test_one_pixel(self, student):
        """2 pixels take one convolution 2 x 2, 1 pixel takes none"""
        assert_same(student.layers_to_see(2, 2), 1)
        assert_same(student.layers_to_see(1, 2), 0)

    def test_never(self, student):
        """1 x 1 convolutions see 2 pixels through a pooling (C P C); without one never: ValueError with a message"""
        assert_same(student.layers_to_see(2, 1, pool_every=1), 2)
        with student.raises(ValueError):
            student.layers_to_see(2, 1)

    def test_zero(self, student):
        """9 pixels take 2 convolutions 5 x 5; with a pool_every of 0 they raise ValueError with a message"""
        assert_same(student.layers_to_see(9, 5), 2)
        with student.raises(ValueError):
            student.layers_to_see(9, 5, pool_every=0)


class TestActivationBytes:
    """activation_bytes: what one forward pass keeps"""

    def test_one_layer(self, student):
        """3 channels to 8, kernel 3 on 10 x 6 pixels: 8 maps of 8 x 4 numbers of 4 bytes; the picture is not counted"""
        assert_same(student.activation_bytes([conv(3, 8, 3)], 10, 6, 1), 1024)

    def test_every_layer(self, student):
        """4 maps of 6 x 6, pooled to 3 x 3, then 2 maps of 3 x 3: 198 numbers, for each of 5 pictures"""
        layers = [conv(3, 4, 3, padding=1), pool(2), conv(4, 2, 3, padding=1)]
        assert_same(student.activation_bytes(layers, 6, 6, 5), 3960)

    def test_dilation(self, student):
        """Kernel 3, dilation 4 spans 9 pixels: 2 x 4 places on 10 x 12 pixels; stride 2 leaves 1 x 2 of them"""
        assert_same(student.activation_bytes([conv(1, 1, 3, dilation=4)], 10, 12, 1), 32)
        assert_same(student.activation_bytes([conv(1, 1, 3, stride=2, dilation=4)], 10, 12, 1), 8)

    def test_misfit(self, student):
        """Two fitting layers keep 48 bytes; wrong channels, or too large a kernel, raise ValueError with a message"""
        assert_same(student.activation_bytes([conv(1, 2, 2), conv(2, 1, 1)], 3, 3, 1), 48)
        with student.raises(ValueError):
            student.activation_bytes([conv(1, 2, 2), conv(3, 1, 1)], 3, 3, 1)
        with student.raises(ValueError):
            student.activation_bytes([conv(1, 2, 4)], 5, 3, 1)


class TestGradientReceptiveField:
    """gradient_receptive_field: what one output sees, measured"""

    def test_convolutions(self, student):
        """Two convolutions 3 x 3 on 9 x 12 pixels: output (2, 4) of 5 x 8 sees rows 2 to 6, columns 4 to 8"""
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 1, 3))
        assert_same(student.gradient_receptive_field(network, (2, 9, 12)), (2, 6, 4, 8))

    def test_nothing_hides(self, student):
        """Weights of zero, and biases of -100 that keep ReLUs at zero, hide nothing: it is 5 x 5 pixels all the same"""
        network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 3, padding=1))
        nn.init.dirac_(network[0].weight, groups=2)  # 1 in the middle of each kernel, 0 around it
        network[0].bias.data = torch.tensor([-100.0, 100.0])
        assert_same(student.gradient_receptive_field(network, (1, 11, 8)), (3, 7, 2, 6))
        nn.init.constant_(network[0].bias, -100.0)
        assert_same(student.gradient_receptive_field(network, (1, 11, 8)), (3, 7, 2, 6))

    def test_max_pooling(self, student):
        """Max-pooling looks at its whole window, not only at the winner: two poolings see 4 x 4 pixels"""
        network = nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2))
        assert_same(student.gradient_receptive_field(network, (1, 12, 16)), (4, 7, 8, 11))

    def test_parts(self, student):
        """The same with each pooling in a Sequential of its own, and with one pooling that stands in both places"""
        network = nn.Sequential(nn.Sequential(nn.MaxPool2d(2)), nn.Sequential(nn.MaxPool2d(2)))
        assert_same(student.gradient_receptive_field(network, (1, 12, 16)), (4, 7, 8, 11))
        kept = student.keep(nn.Sequential(nn.MaxPool2d(2)))
        kept.call("append", kept.get("0", keep=True))
        assert_same(student.gradient_receptive_field(kept, (1, 12, 16)), (4, 7, 8, 11))

    def test_edge(self, student):
        """Kernel 9 with padding 4 on 6 x 20 pixels: the box ends where the picture ends"""
        network = nn.Sequential(nn.Conv2d(1, 1, 9, padding=4))
        assert_same(student.gradient_receptive_field(network, (1, 6, 20)), (0, 5, 6, 14))

    def test_model_untouched(self, student):
        """After the call the network's weights are what they were"""
        layer = nn.Conv2d(1, 1, 2, bias=False)
        nn.init.constant_(layer.weight, -1.0)
        kept = student.keep(nn.Sequential(layer))
        assert_same(student.gradient_receptive_field(kept, (1, 4, 4)), (1, 2, 1, 2))
        assert_same(kept.call("get_parameter", "0.weight").detach(), torch.full((1, 1, 2, 2), -1.0))
