"""Visible checks of lesson 04. `check(receptive_field)` in the notebook runs the class of that function's name."""

import torch
from torch import nn

from seglab.checking.compare import assert_same
from seglab.layers import conv, pool

LENET = [conv(1, 6, 5), pool(2), conv(6, 16, 5), pool(2), conv(16, 120, 5)]


class TestReceptiveField:
    """receptive_field: the field's size, jump and start, by arithmetic"""

    def test_three_convolutions(self, student):
        """Three convolutions 3 x 3: output 0 sees pixels 0 to 6, output 1 pixels 1 to 7"""
        assert_same(student.receptive_field([conv(1, 1, 3), conv(1, 1, 3), conv(1, 1, 3)]), (7, 1, 0))

    def test_lenet(self, student):
        """LeNet up to its first fully connected layer: outputs 0 and 1 see pixels 0 to 31 and 4 to 35"""
        assert_same(student.receptive_field(LENET), (32, 4, 0))

    def test_padding(self, student):
        """Kernel 7, stride 2, padding 3, then pooling 3 x 3, stride 2, padding 1: 11 pixels, from pixel -5 on"""
        assert_same(student.receptive_field([conv(3, 64, 7, 2, 3), pool(3, 2, 1)]), (11, 4, -5))

    def test_dilation(self, student):
        """Pooling 2 x 2, then 4 x 4 with dilation 3 and padding 5: the outer taps lie 9 outputs of 2 pixels apart"""
        assert_same(student.receptive_field([pool(2), conv(1, 1, 4, padding=5, dilation=3)]), (20, 2, -10))

    def test_even(self, student):
        """A convolution 2 x 2 with stride 3 sees 2 pixels; another one behind it sees 5"""
        assert_same(student.receptive_field([conv(1, 1, 2, 3)]), (2, 3, 0))
        assert_same(student.receptive_field([conv(1, 1, 2, 3), conv(1, 1, 2)]), (5, 3, 0))

    def probe_every_word(self, student):
        """Every layer says its padding and dilation"""
        student.receptive_field([conv(1, 1, 6, 3, 1, 2), conv(1, 1, 5, 2, 2, 3)])

    def probe_padding(self, student):
        """Strides and paddings, without dilation"""
        student.receptive_field([conv(1, 1, 9, 3, 3), conv(1, 1, 5, 2, 2), conv(1, 1, 4, 1, 3)])

    def probe_dilation(self, student):
        """Strides and dilations, without padding"""
        student.receptive_field([conv(1, 1, 4, 3, 0, 4), conv(1, 1, 6, 2, 0, 3), conv(1, 1, 2)])


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

    def test_several_poolings(self, student):
        """60 pixels: 8 convolutions 3 x 3 with a pooling after every 2; 5 convolutions 4 x 4 with one after each"""
        assert_same(student.layers_to_see(60, 3, pool_every=2), 8)
        assert_same(student.layers_to_see(60, 4, pool_every=1), 5)

    def test_last_is_a_convolution(self, student):
        """3 x 3, a pooling after each: the first sees 3 pixels, so 4 take a second one, though a pooling would see 4"""
        assert_same(student.layers_to_see(4, 3, pool_every=1), 2)

    def test_one_pixel(self, student):
        """2 pixels take one convolution 2 x 2, 1 pixel takes none"""
        assert_same(student.layers_to_see(2, 2), 1)
        assert_same(student.layers_to_see(1, 2), 0)


class TestActivationBytes:
    """activation_bytes: what one forward pass keeps"""

    def test_one_layer(self, student):
        """3 channels to 8, kernel 3 on 10 x 6 pixels: 8 maps of 8 x 4 numbers of 4 bytes; the picture is not counted"""
        assert_same(student.activation_bytes([conv(3, 8, 3)], 10, 6, 1), 1024)

    def test_every_layer(self, student):
        """4 maps of 6 x 8, pooled to 3 x 4, then 2 maps of 3 x 4: 264 numbers, for each of 5 pictures"""
        layers = [conv(3, 4, 3, padding=1), pool(2), conv(4, 2, 3, padding=1)]
        assert_same(student.activation_bytes(layers, 6, 8, 5), 5280)

    def test_rows_left_over(self, student):
        """2 maps of 9 x 7, pooled 2 x 2 to 4 x 3, and again to 2 x 1: the last row or column may be left over"""
        assert_same(student.activation_bytes([conv(1, 2, 1), pool(2), pool(2)], 9, 7, 1), 4 * (126 + 24 + 4))

    def test_dilation(self, student):
        """Kernel 3, dilation 4 spans 9 pixels: 2 x 4 places on 10 x 12 pixels; stride 2 leaves 1 x 2 of them"""
        assert_same(student.activation_bytes([conv(1, 1, 3, dilation=4)], 10, 12, 1), 32)
        assert_same(student.activation_bytes([conv(1, 1, 3, stride=2, dilation=4)], 10, 12, 1), 8)

    def probe_every_word(self, student):
        """Convolutions only, and every one says its padding and dilation"""
        student.activation_bytes([conv(2, 4, 4, 2, 1, 2), conv(4, 3, 3, 1, 2, 2)], 23, 31, 3)


def numbered(network):
    """The network in evaluation mode, with weights of which no two are alike."""
    for parameter in network.parameters():
        parameter.data = torch.arange(1.0, parameter.numel() + 1).mul(1.7).cos().reshape(parameter.shape)
    return network.eval()


def one_by_one(network, pictures, window):
    """Lesson 02's sliding window, one pixel further each time, without any cleverness: (N, K, rows, cols)."""
    height, width = pictures.shape[2:]
    rows = []
    for top in range(height - window + 1):
        cuts = [pictures[:, :, top : top + window, left : left + window] for left in range(width - window + 1)]
        rows.append(torch.cat([network(cut).detach() for cut in cuts], dim=3))
    return torch.cat(rows, dim=2)


class TestDilate:
    """dilate: the sliding window's answers at every pixel, from one network without strides"""

    def test_pooling_then_convolution(self, student):
        """Pooling 2 x 2, then a convolution 2 x 2, on 6 x 7 pixels: windows of 4 x 4 at 3 x 4 places"""
        network, pictures = numbered(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 2))), waves(1, 1, 6, 7)
        assert_same(student.dilate.module(network)(pictures), one_by_one(network, pictures, 4))

    def test_two_poolings(self, student):
        """Poolings 2 x 2 and 3 x 3 among convolutions, 2 pictures: windows of 16 x 16 at 2 x 4 places"""
        network = numbered(
            nn.Sequential(
                *(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.Conv2d(3, 3, 2), nn.BatchNorm2d(3), nn.ReLU()),
                *(nn.MaxPool2d(3), nn.Dropout(), nn.Conv2d(3, 2, 2)),
            )
        )
        pictures = waves(2, 2, 17, 19)
        assert_same(student.dilate.module(network)(pictures), one_by_one(network, pictures, 16))

    def test_own_places(self, student):
        """Strides of 3 and 2: at every sixth place stand the answers of the network with strides"""
        network = numbered(nn.Sequential(nn.MaxPool2d(3), nn.Conv2d(1, 2, 2, stride=2), nn.Conv2d(2, 2, 2)))
        pictures = waves(1, 1, 18, 25)
        answers = student.dilate.module(network)(pictures)
        assert_same(answers, one_by_one(network, pictures, 12))
        assert_same(answers[:, :, ::6, ::6], network(pictures))

    def test_strided_convolution(self, student):
        """Convolutions 3 x 3 with strides 2 and 3, then 2 x 2: windows of 13 x 13 at 2 x 4 places"""
        network = numbered(nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.Conv2d(2, 2, 3, 3), nn.Conv2d(2, 1, 2)))
        pictures = waves(1, 1, 14, 16)
        assert_same(student.dilate.module(network)(pictures), one_by_one(network, pictures, 13))

    def test_dilated_before(self, student):
        """Pooling 3 x 3, stride 2; then 2 x 2 kernels dilated by 3 and 2 already: windows of 13 x 13 at 4 x 5 places"""
        layers = nn.MaxPool2d(3, 2), nn.Conv2d(1, 1, 2, dilation=3), nn.MaxPool2d(2, 1, dilation=2)
        network, pictures = numbered(nn.Sequential(*layers)), waves(1, 1, 16, 17)
        assert_same(student.dilate.module(network)(pictures), one_by_one(network, pictures, 13))

    def test_same_pooling_again(self, student):
        """One pooling 2 x 2 that stands in two places, a convolution 2 x 2 behind: windows of 8 x 8 at 2 x 3 places"""
        pooling = nn.MaxPool2d(2)
        network, pictures = numbered(nn.Sequential(pooling, pooling, nn.Conv2d(1, 2, 2))), waves(1, 1, 9, 10)
        kept = student.keep(nn.Sequential(pooling))
        kept.call("append", kept.get("0", keep=True))
        kept.call("append", student.keep(network[2]))
        assert_same(student.dilate.module(kept)(pictures), one_by_one(network, pictures, 8))

    def test_network_unchanged(self, student):
        """The network that was given keeps its strides: it still makes 1 x 2 answers of 8 x 10 pixels"""
        network, pictures = numbered(nn.Sequential(nn.MaxPool2d(3), nn.Conv2d(1, 1, 2))), waves(1, 1, 8, 10)
        given = student.keep(network)
        assert_same(student.dilate.module(given)(pictures), one_by_one(network, pictures, 6))
        assert_same(given(pictures), network(pictures))

    def probe_large_picture(self, student):
        """Room for every wrong dilation"""
        network = nn.Sequential(nn.Conv2d(1, 2, 2, stride=2), nn.MaxPool2d(2), nn.Conv2d(2, 1, 3))
        student.dilate.module(numbered(network))(waves(1, 1, 33, 38))


def waves(*shape):
    """Pictures of which no two pixels are alike, and no row or column is like another."""
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).mul(0.37).sin().reshape(shape)


class TestGradientReceptiveField:
    """gradient_receptive_field: what one output sees, measured"""

    def test_convolutions(self, student):
        """Two convolutions 3 x 3 on 9 x 12 pixels: output (2, 4) of 5 x 8 sees rows 2 to 6, columns 4 to 8"""
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 1, 3))
        assert_same(student.gradient_receptive_field(network, (2, 9, 12)), (2, 6, 4, 8))

    def test_one_layer_each(self, student):
        """Kernels 3 x 3 on 10 x 16 pixels, dilated by 4, with stride 3, with padding 1: spans of 9, 3 and 3 pixels"""
        assert_same(student.gradient_receptive_field(nn.Conv2d(1, 1, 3, dilation=4), (1, 10, 16)), (1, 9, 4, 12))
        assert_same(student.gradient_receptive_field(nn.Conv2d(1, 1, 3, stride=3), (1, 10, 16)), (3, 5, 6, 8))
        assert_same(student.gradient_receptive_field(nn.Conv2d(1, 1, 3, padding=1), (1, 10, 16)), (4, 6, 7, 9))

    def test_nothing_hides(self, student):
        """Weights of zero, and biases of -100 that keep ReLUs at zero, hide nothing: it is 5 x 5 pixels all the same"""
        network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 3, padding=1))
        nn.init.dirac_(network[0].weight, groups=2)  # 1 in the middle of each kernel, 0 around it
        network[0].bias.data = torch.tensor([-100.0, 100.0])
        assert_same(student.gradient_receptive_field(network, (1, 11, 8)), (3, 7, 2, 6))
        nn.init.constant_(network[0].bias, -100.0)
        assert_same(student.gradient_receptive_field(network, (1, 11, 8)), (3, 7, 2, 6))

    def test_pooling(self, student):
        """Max-pooling looks at the whole window, not at the winner, also dilated by 4; average pooling 3 x 3 as well"""
        pooled = nn.Sequential(nn.MaxPool2d(2), nn.Sequential(nn.MaxPool2d(2)))
        assert_same(student.gradient_receptive_field(pooled, (1, 12, 16)), (4, 7, 8, 11))
        dilated = nn.Sequential(nn.MaxPool2d(2, stride=1), nn.MaxPool2d(2, stride=1, dilation=4))
        assert_same(student.gradient_receptive_field(dilated, (1, 12, 16)), (3, 8, 5, 10))
        assert_same(student.gradient_receptive_field(nn.AvgPool2d(3, stride=2), (1, 12, 16)), (4, 6, 6, 8))

    def test_edge(self, student):
        """Kernel 9 with padding 4 on 6 x 20 pixels: the box ends where the picture ends"""
        network = nn.Sequential(nn.Conv2d(1, 1, 9, padding=4))
        assert_same(student.gradient_receptive_field(network, (1, 6, 20)), (0, 5, 6, 14))

    def test_deep(self, student):
        """Forty-five convolutions of 1 x 11 on 4 x 480 pixels: the centre sees columns 15 to 465 of its row"""
        network = nn.Sequential(*(nn.Conv2d(1, 1, (1, 11), padding=(0, 5)) for _ in range(45)))
        assert_same(student.gradient_receptive_field(network, (1, 4, 480)), (2, 2, 15, 465))

    def probe_pooling(self, student):
        """A pooling whose windows overlap, between convolutions"""
        network = numbered(nn.Sequential(nn.Conv2d(1, 2, 4), nn.MaxPool2d(3, stride=2), nn.Conv2d(2, 1, 3)))
        student.gradient_receptive_field(network, (1, 22, 35))

    def probe_plain(self, student):
        """Random weights and no other layers: every pixel of the field has a gradient"""
        network = numbered(nn.Sequential(nn.Conv2d(1, 2, 5), nn.Conv2d(2, 1, 2, stride=2)))
        student.gradient_receptive_field(network, (1, 17, 26))
