"""Visible checks of lesson 03. `check(linear_to_conv)` in the notebook runs the class of that function's name."""

import torch
from torch import nn

from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, linear, pool


def counting(*shape):
    """A tensor whose numbers are 0, 1, 2, ... in reading order."""
    count = torch.Size(shape).numel()
    return torch.arange(count, dtype=torch.float32).reshape(shape)


def dense_layer(weight, bias=None):
    """A dense layer with these weights."""
    layer = nn.Linear(len(weight[0]), len(weight), bias=bias is not None)
    layer.weight.data = torch.tensor(weight, dtype=torch.float32)
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float32)
    return layer


class TestLinearToConv:
    """linear_to_conv: a dense layer as a convolution"""

    def test_the_slide(self, student):
        """LeNet's 400 to 120: on two windows of 16 x 5 x 5 features a map of 1 x 1, and 48,000 weights"""
        dense = dense_layer([[0.0] * 400] * 120, [0.25] * 120)
        layer = student.linear_to_conv.module(dense, 16, 5)
        assert_same(layer(torch.ones(2, 16, 5, 5)), torch.full((2, 120, 1, 1), 0.25))
        shape = tuple(layer.parameters()["weight"].shape)
        if shape != (120, 16, 5, 5):
            raise Mismatch("rule", "a weight of shape (120, 16, 5, 5)", f"one of {shape}")

    def test_values(self, student):
        """Weights 0 to 11 on 2 channels of 2 x 4 numbered features, kernel (2, 3): two places"""
        layer = student.linear_to_conv.module(dense_layer([list(range(12))]), 2, (2, 3))
        assert_same(layer(counting(1, 2, 2, 4)), torch.tensor([[[[650.0, 716.0]]]]))

    def test_bias(self, student):
        """Two units that sum up, with biases 100 and -100; kernel 2 on 2 x 2 features of one channel"""
        layer = student.linear_to_conv.module(dense_layer([[1, 1, 1, 1], [2, 2, 2, 2]], [100, -100]), 1, 2)
        assert_same(layer(counting(1, 1, 2, 2)), torch.tensor([[[[106.0]], [[-88.0]]]]))

    def test_copied(self, student):
        """Ten times the original's weights after the call: the convolution has the old ones, the original works on"""
        dense = student.keep(dense_layer([[1, 2]], [3]))
        layer = student.linear_to_conv.module(dense, 2, 1)
        dense.get("weight.data", keep=True).call("mul_", 10.0)
        assert_same(layer(torch.ones(1, 2, 1, 2)), torch.tensor([[[[6.0, 6.0]]]]))
        assert_same(dense(torch.ones(1, 2)), torch.tensor([[33.0]]))

    def test_dtype(self, student):
        """A dense layer of float64: features of float64 go in, and answers of float64 come out"""
        dense = student.keep(dense_layer([[1, 2]], [3]))
        dense.call("double")
        layer = student.linear_to_conv.module(dense, 2, 1)
        assert_same(layer(torch.ones(1, 2, 1, 2).double()), torch.tensor([[[[6.0, 6.0]]]]).double())

    def test_misfit(self, student):
        """12 inputs fit 3 channels with kernel 2; with kernel 3 they raise ValueError with a message"""
        dense = dense_layer([[1.0] * 12])
        layer = student.linear_to_conv.module(dense, 3, 2)
        assert_same(layer(torch.ones(1, 3, 2, 3)), torch.tensor([[[[12.0, 12.0]]]]))
        with student.raises(ValueError):
            student.linear_to_conv(dense, 3, 3)


def corner_classifier(*more):
    """Windows of 4 x 4 pixels, average pooling to 1 x 2 x 2; two classes: the first and the last of the features."""
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), dense_layer([[1, 0, 0, 0], [0, 0, 0, 1]]), *more).eval()


def trained_norm():
    """A batch normalization of two numbers, square roots of variance + eps: (2, 3)."""
    norm = nn.BatchNorm1d(2, eps=0.25)
    norm.load_state_dict(
        {
            "weight": torch.tensor([2.0, 3.0]),
            "bias": torch.tensor([0.0, 5.0]),
            "running_mean": torch.tensor([1.0, 2.0]),
            "running_var": torch.tensor([3.75, 8.75]),
            "num_batches_tracked": torch.tensor(7),
        }
    )
    return norm


def doubling(channels):
    """A convolution that doubles a picture of one channel, once per output channel."""
    layer = nn.Conv2d(1, channels, 1, bias=False)
    layer.weight.data.fill_(2.0)
    return layer


class TestConvolutionalize:
    """convolutionalize: a whole classifier as one pass"""

    # Feature (r, c) of a numbered picture W pixels wide is the mean of its four pixels: 2 W r + 2 c + (W + 1) / 2.

    def test_one_window(self, student):
        """Pooling and one dense layer, on a numbered window of 4 x 4 pixels: a map of 1 x 1"""
        network = student.convolutionalize.module(corner_classifier(), (1, 2, 2))
        assert_same(network(counting(1, 1, 4, 4)), torch.tensor([[[[2.5]], [[12.5]]]]))

    def test_larger_picture(self, student):
        """The same network on a picture of 4 x 8: three places, 2 pixels apart"""
        network = student.convolutionalize.module(corner_classifier(), (1, 2, 2))
        assert_same(network(counting(1, 1, 4, 8)), torch.tensor([[[[4.5, 6.5, 8.5]], [[22.5, 24.5, 26.5]]]]))

    def test_softmax(self, student):
        """A softmax over the classes behind scores 14 apart, on a map of 1 x 2: it is 0 and 1 at both places"""
        network = student.convolutionalize.module(corner_classifier(nn.Softmax(dim=-1)), (1, 2, 2))
        assert_same(network(counting(1, 1, 4, 6)), torch.tensor([[[[0.0, 0.0]], [[1.0, 1.0]]]]))

    def test_batch_norm(self, student):
        """Batch normalization in evaluation mode: mean (1, 2), variance (3.75, 8.75), eps 0.25, weights, biases"""
        network = student.convolutionalize.module(corner_classifier(trained_norm()), (1, 2, 2))
        assert_same(network(counting(1, 1, 4, 6)), torch.tensor([[[[2.5, 4.5]], [[20.5, 22.5]]]]))

    def test_modes(self, student):
        """Dropout of everything in training mode, and a frozen batch normalization: it gets 0 everywhere"""
        classifier = student.keep(corner_classifier(nn.Dropout(1.0), trained_norm()).train())
        classifier.get("4", keep=True).call("eval")
        network = student.convolutionalize.module(classifier, (1, 2, 2))
        assert_same(network(counting(1, 1, 4, 6)), torch.tensor([[[[-1.0, -1.0]], [[3.0, 3.0]]]]))

    def test_more_layers(self, student):
        """Two dense layers (kernels 2 x 2 and 1 x 1), ReLU, dropout that evaluates, and Sequentials in Sequentials"""
        head = nn.Sequential(
            nn.ReLU(), nn.Sequential(nn.Dropout(1.0), dense_layer([[1, -1], [0, 2], [1, 0]], [1, 0, 0]))
        )
        network = student.convolutionalize.module(corner_classifier(head).eval(), (1, 2, 2))
        expected = torch.tensor([[[[-1.5, -3.5]], [[5.0, 9.0]], [[0.0, 0.0]]]])
        assert_same(network(counting(1, 1, 4, 6) - 15), expected)

    def test_nothing_shared(self, student):
        """The classifier's convolution, then its dense layer is set to 7 after the call: no change in the network"""
        classifier = student.keep(nn.Sequential(doubling(1), *corner_classifier()).eval())
        network = student.convolutionalize.module(classifier, (1, 2, 2))
        for number in (0, 3):
            classifier.get(f"{number}.weight.data", keep=True).call("fill_", 7.0)
            assert_same(network(torch.ones(1, 1, 4, 4)), torch.tensor([[[[2.0]], [[2.0]]]]))

    def test_refused(self, student):
        """Features of 1 x 2 x 2 are fine; 1 x 3 x 2, two channels from a Conv2d, a fixed pooling raise ValueError"""
        network = student.convolutionalize.module(corner_classifier(), (1, 2, 2))
        assert_same(network(torch.zeros(1, 1, 6, 4)), torch.zeros(1, 2, 2, 1))
        with student.raises(ValueError):
            student.convolutionalize(corner_classifier(), (1, 3, 2))
        with student.raises(ValueError):
            student.convolutionalize(nn.Sequential(doubling(2), *corner_classifier()), (1, 2, 2))
        fixed = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), dense_layer([[1, 1, 1, 1]]))
        with student.raises(ValueError):
            student.convolutionalize(fixed, (1, 2, 2))


class TestPoolHeadToConv:
    """pool_head_to_conv: global average pooling and a dense layer, as a map"""

    def test_one_window(self, student):
        """Features of 2 x 2 x 2, numbered, weights (1, 10), bias 0.5: means 1.5 and 5.5"""
        head = student.pool_head_to_conv.module(dense_layer([[1, 10]], [0.5]), (2, 2, 2))
        assert_same(head(counting(1, 2, 2, 2)), torch.tensor([[[[57.0]]]]))

    def test_map(self, student):
        """The same head on features of 2 x 3 x 3: windows overlap, one feature apart"""
        head = student.pool_head_to_conv.module(dense_layer([[1, 10]], [0.5]), (2, 2, 2))
        assert_same(head(counting(1, 2, 3, 3)), torch.tensor([[[[112.5, 123.5], [145.5, 156.5]]]]))

    def test_class_activation_map(self, student):
        """Windows of 1 x 1: the dense layer at every feature"""
        head = student.pool_head_to_conv.module(dense_layer([[1, -1], [0, 2]], [0, 1]), (2, 1, 1))
        assert_same(head(counting(1, 2, 1, 3)), torch.tensor([[[[-3.0, -3.0, -3.0]], [[7.0, 9.0, 11.0]]]]))

    def test_copied(self, student):
        """Ten times the original's weights after the call: the head has the old ones, and the original works on"""
        dense = student.keep(dense_layer([[1, 2]], [3]))
        head = student.pool_head_to_conv.module(dense, (2, 1, 2))
        dense.get("weight.data", keep=True).call("mul_", 10.0)
        assert_same(head(torch.ones(1, 2, 1, 3)), torch.tensor([[[[6.0, 6.0]]]]))
        assert_same(dense(torch.ones(1, 2)), torch.tensor([[33.0]]))

    def test_misfit(self, student):
        """4 inputs fit four channels of 1 x 3; one channel of 2 x 2 raises ValueError with a message"""
        dense = dense_layer([[1, 1, 1, 1]])
        head = student.pool_head_to_conv.module(dense, (4, 1, 3))
        assert_same(head(torch.ones(1, 4, 2, 3)), torch.tensor([[[[4.0], [4.0]]]]))
        with student.raises(ValueError):
            student.pool_head_to_conv(dense, (1, 2, 2))


LENET_AS_CONVOLUTIONS = [conv(1, 6, 5), pool(), conv(6, 16, 5), pool(), conv(16, 120, 5), conv(120, 10, 1)]


class TestDenseOutputSize:
    """dense_output_size: how large the map is, and how coarse"""

    def test_lenet(self, student):
        """LeNet as convolutions: 1 output on 32 pixels, 57 on 256, one every 4 pixels"""
        assert_same(student.dense_output_size(32, LENET_AS_CONVOLUTIONS), (1, 4))
        assert_same(student.dense_output_size(256, LENET_AS_CONVOLUTIONS), (57, 4))

    def test_padding_and_rounding(self, student):
        """Kernel 3, stride 2, padding 1 on 10 pixels: 5 positions; pooling 2 behind it: 2, and one is left over"""
        assert_same(student.dense_output_size(10, [conv(3, 8, 3, stride=2, padding=1), pool()]), (2, 4))

    def test_dilation(self, student):
        """Kernel 3 with dilation 2 spans 5 pixels: 6 positions on 10 pixels"""
        assert_same(student.dense_output_size(10, [conv(3, 8, 3, dilation=2)]), (6, 1))

    def test_large(self, student):
        """Pooling 2 on 40,000,000,000,000,002 pixels: exactly half of them"""
        assert_same(student.dense_output_size(40_000_000_000_000_002, [pool()]), (20_000_000_000_000_001, 2))

    def test_refused(self, student):
        """A kernel of 5 fits 5 pixels; on 4 it raises ValueError with a message, and so does a dense layer"""
        assert_same(student.dense_output_size(5, [conv(3, 8, 5)]), (1, 1))
        with student.raises(ValueError):
            student.dense_output_size(4, [conv(3, 8, 5)])
        with student.raises(ValueError):
            student.dense_output_size(8, [conv(3, 8, 5), linear(128, 10)])


class TestDenseToPixels:
    """dense_to_pixels: which pixels an output looked at"""

    def test_lenet(self, student):
        """LeNet as convolutions: squares of 32 pixels, the first centred at 15.5, the next ones 4 pixels on"""
        assert_same(student.dense_to_pixels(0, 0, LENET_AS_CONVOLUTIONS), ((15.5, 15.5), 32))
        assert_same(student.dense_to_pixels(2, 5, LENET_AS_CONVOLUTIONS), ((23.5, 35.5), 32))

    def test_padding(self, student):
        """Kernel 3, padding 1: the first output is centred at pixel 0 and sees 3 pixels, one of them outside"""
        assert_same(student.dense_to_pixels(0, 1, [conv(3, 8, 3, padding=1)]), ((0.0, 1.0), 3))

    def test_behind_a_stride(self, student):
        """Two convolutions of kernel 3 and stride 2, the second with padding 1: its step is worth 2 pixels"""
        layers = [conv(3, 8, 3, stride=2), conv(8, 8, 3, stride=2, padding=1)]
        assert_same(student.dense_to_pixels(1, 0, layers), ((5.0, 1.0), 7))

    def test_refused(self, student):
        """Row 3 behind a pooling is fine; a dense layer behind it raises ValueError with a message, so does row -1"""
        assert_same(student.dense_to_pixels(3, 0, [pool()]), ((6.5, 0.5), 2))
        with student.raises(ValueError):
            student.dense_to_pixels(0, 0, [pool(), linear(64, 10)])
        with student.raises(ValueError):
            student.dense_to_pixels(-1, 0, [pool()])
