"""Visible checks of lesson 03. `check(linear_to_conv)` in the notebook runs the class of that function's name."""

import torch
from torch import nn

from seglab.checking.compare import assert_same
from seglab.layers import conv, pool


def numbers(seed, *shape):
    """Random numbers between -1 and 1, two decimals each, the same in every run."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-100, 101, shape, generator=generator) / 100


def weighted(network):
    """The network with weights and statistics that are the same in every run, in evaluation mode."""
    for seed, weight in enumerate(network.parameters()):
        weight.data = numbers(seed, *weight.shape)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.copy_(numbers(50, layer.num_features))
            layer.running_var.copy_(1 + numbers(51, layer.num_features).abs())
    return network.eval()


@torch.no_grad()
def at_every_place(classify, maps, height, width, jump=1):
    """What `classify` says of each window, cut out: (N, num_classes, rows, cols)."""
    crops = maps.unfold(2, height, jump).unfold(3, width, jump).permute(0, 2, 3, 1, 4, 5)
    return classify(crops.flatten(0, 2)).unflatten(0, crops.shape[:3]).permute(0, 3, 1, 2)


class TestLinearToConv:
    """linear_to_conv: a fully connected layer as a convolution"""

    def test_one_window(self, student):
        """Two windows of 2 x 3 x 5 features, two units with a bias: a map of 1 x 1 for each"""
        dense, windows = weighted(nn.Linear(30, 2)), numbers(10, 2, 2, 3, 5)
        layer = student.linear_to_conv.module(dense, 2, (3, 5))
        assert_same(layer(windows), dense(windows.flatten(1))[:, :, None, None])

    def test_every_place(self, student):
        """The same layer on two maps of 2 x 4 x 8 features: 2 x 4 places, one feature apart"""
        dense, features = weighted(nn.Linear(30, 2)), numbers(11, 2, 2, 4, 8)
        layer = student.linear_to_conv.module(dense, 2, (3, 5))
        assert_same(layer(features), at_every_place(lambda x: dense(x.flatten(1)), features, 3, 5))

    def test_one_number(self, student):
        """A kernel given as one number: 3 means 3 x 3, and 2 means 2 x 2"""
        for side, seed in ((3, 12), (2, 17)):
            dense, features = weighted(nn.Linear(2 * side**2, 3)), numbers(seed, 1, 2, 4, 5)
            layer = student.linear_to_conv.module(dense, 2, side)
            assert_same(
                layer(features), at_every_place(lambda x, dense=dense: dense(x.flatten(1)), features, side, side)
            )

    def test_without_bias(self, student):
        """A fully connected layer that has no bias"""
        dense, windows = weighted(nn.Linear(6, 2, bias=False)), numbers(13, 2, 2, 1, 3)
        layer = student.linear_to_conv.module(dense, 2, (1, 3))
        assert_same(layer(windows), dense(windows.flatten(1))[:, :, None, None])

    def test_gradient(self, student):
        """The weights of the convolution get the gradients of the fully connected layer"""
        dense, windows, grad = weighted(nn.Linear(6, 2)), numbers(14, 3, 2, 3, 1), numbers(15, 3, 2)
        layer = student.linear_to_conv.module(dense, 2, (3, 1))
        assert_same(layer(windows), dense(windows.flatten(1))[:, :, None, None])
        (dense(windows.flatten(1)) * grad).sum().backward()
        expected = {"weight": dense.weight.grad.reshape(2, 2, 3, 1), "bias": dense.bias.grad}
        assert_same(layer.gradients(windows, grad[:, :, None, None]), expected)
        layer.call("requires_grad_", False, keep=True)  # torch refuses where a weight is computed from others, no leaf

    def probe_tall_without_bias(self, student):
        student.linear_to_conv.module(weighted(nn.Linear(16, 3, bias=False)), 2, (4, 2))(numbers(8, 3, 2, 4, 2))

    def probe_pixels(self, student):
        student.linear_to_conv.module(weighted(nn.Linear(3, 2)), 3, 1)(numbers(16, 2, 3, 2, 4))

    def probe_oblong_without_bias(self, student):
        student.linear_to_conv.module(weighted(nn.Linear(16, 3, bias=False)), 2, (2, 4))(numbers(18, 2, 2, 2, 4))

    def probe_square_without_bias(self, student):
        student.linear_to_conv.module(weighted(nn.Linear(27, 2, bias=False)), 3, 3)(numbers(19, 2, 3, 3, 3))

    def probe_even_square_without_bias(self, student):
        student.linear_to_conv.module(weighted(nn.Linear(32, 3, bias=False)), 2, (4, 4))(numbers(9, 2, 2, 5, 7))


class TestConvolutionalize:
    """convolutionalize: a whole classifier as one pass"""

    def test_one_layer(self, student):
        """Flatten and one fully connected layer with a bias, on two windows of 2 x 2 x 3 features"""
        network, windows = weighted(nn.Sequential(nn.Flatten(), nn.Linear(12, 4))), numbers(20, 2, 2, 2, 3)
        converted = student.convolutionalize.module(network, (2, 2, 3))
        assert_same(converted(windows), network(windows)[:, :, None, None])

    def test_larger_picture(self, student):
        """Convolution, pooling, two fully connected layers, dropout silent: windows of 6 x 8 pixels, 2 pixels apart"""
        features = nn.Conv2d(1, 3, 3), nn.Tanh(), nn.AvgPool2d(2)  # a window becomes 3 x 2 x 3 features
        head = nn.Flatten(), nn.Linear(18, 4), nn.ReLU(), nn.Dropout(1.0), nn.Linear(4, 2)
        network = weighted(nn.Sequential(*features, *head))
        pictures = numbers(21, 2, 1, 8, 14)
        converted = student.convolutionalize.module(network, (3, 2, 3))
        assert_same(converted(pictures), at_every_place(network, pictures, 6, 8, 2))

    def test_two_places(self, student):
        """The same tanh stands behind both fully connected layers"""
        tanh, windows = nn.Tanh(), numbers(22, 2, 2, 2, 3)
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(12, 3), tanh, nn.Linear(3, 2), tanh))
        converted = student.convolutionalize.module(network, (2, 2, 3))
        assert_same(converted(windows), network(windows)[:, :, None, None])

    def test_batch_norm(self, student):
        """Batch normalization behind a fully connected layer, in evaluation mode; then the same with eps 0.25"""
        for eps in (1e-5, 0.25):
            head = nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3, eps), nn.ReLU(), nn.Linear(3, 2)
            network, maps = weighted(nn.Sequential(*head)), numbers(23, 2, 2, 3, 4)
            converted = student.convolutionalize.module(network, (2, 2, 3))
            assert_same(converted(maps), at_every_place(network, maps, 2, 3))

    def test_batch_norm_in_training(self, student):
        """Batch normalization in training mode, momentum 0.4: it uses the batch, then in evaluation what it noted"""
        head = nn.Flatten(), nn.Linear(12, 3), nn.BatchNorm1d(3, momentum=0.4), nn.Linear(3, 2)
        network, windows = weighted(nn.Sequential(*head)).train(), numbers(31, 3, 2, 2, 3)
        converted = student.convolutionalize.module(network, (2, 2, 3))
        assert_same(converted(windows), network(windows)[:, :, None, None])
        converted.call("eval", keep=True)
        assert_same(converted(windows), network.eval()(windows)[:, :, None, None])

    def test_modes(self, student):
        """Dropout of everything in training mode, right behind Flatten, and a frozen batch normalization at the end"""
        head = nn.Sequential(nn.Flatten(), nn.Dropout(1.0), nn.Linear(12, 3), nn.BatchNorm1d(3))
        network, windows = weighted(head).train(), numbers(24, 2, 2, 2, 3)
        network[3].eval()
        converted = student.convolutionalize.module(network, (2, 2, 3))
        assert_same(converted(windows), network(windows)[:, :, None, None])

    def test_gradient(self, student):
        """The weights get the gradients of the classifier's weights, in the same order"""
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 2)))
        windows, grad = numbers(25, 3, 1, 2, 3), numbers(26, 3, 2)
        converted = student.convolutionalize.module(network, (1, 2, 3))
        assert_same(converted(windows), network(windows)[:, :, None, None])
        (network(windows) * grad).sum().backward()
        gradients = converted.gradients(windows, grad[:, :, None, None])
        given = [torch.zeros(0) if one is None else one.flatten() for one in gradients.values()]
        assert_same(given, [weight.grad.flatten() for weight in network.parameters()])

    def probe_square(self, student):
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(8, 3)))
        student.convolutionalize.module(network, (2, 2, 2))(numbers(27, 2, 2, 3, 4))

    def probe_without_bias(self, student):
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(18, 3, bias=False)))
        student.convolutionalize.module(network, (2, 3, 3))(numbers(32, 2, 2, 3, 3))

    def probe_activation(self, student):
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Tanh()))
        student.convolutionalize.module(network, (2, 2, 3))(numbers(33, 2, 2, 3, 5))

    def probe_dropout(self, student):
        network = weighted(nn.Sequential(nn.Flatten(), nn.Dropout(1.0), nn.Linear(8, 3))).train()
        converted = student.convolutionalize.module(network, (2, 2, 2))
        converted.call("train", keep=True)
        converted(numbers(28, 2, 2, 2, 2))

    def probe_batch_norm(self, student):
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.BatchNorm1d(3)))
        student.convolutionalize.module(network, (2, 2, 2))(numbers(29, 2, 2, 2, 3))

    def probe_batch_norm_with_eps(self, student):
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.BatchNorm1d(3, eps=0.5)))
        student.convolutionalize.module(network, (2, 2, 2))(numbers(30, 2, 2, 2, 3))

    def probe_batch_norm_in_training(self, student):
        network = weighted(nn.Sequential(nn.Flatten(), nn.Linear(8, 3), nn.BatchNorm1d(3))).train()
        student.convolutionalize.module(network, (2, 2, 2))(numbers(34, 4, 2, 2, 2))


class TestPoolHeadToConv:
    """pool_head_to_conv: global average pooling and a fully connected layer, as a map"""

    def test_one_window(self, student):
        """Two windows of 3 x 2 x 4 features: the layer's answer to the means of the channels"""
        dense, windows = weighted(nn.Linear(3, 2)), numbers(30, 2, 3, 2, 4)
        head = student.pool_head_to_conv.module(dense, (3, 2, 4))
        assert_same(head(windows), dense(windows.mean((2, 3)))[:, :, None, None])

    def test_map(self, student):
        """The same head on features of 3 x 4 x 6: 3 x 3 windows of 2 x 4, one feature apart"""
        dense, maps = weighted(nn.Linear(3, 2)), numbers(31, 2, 3, 4, 6)
        head = student.pool_head_to_conv.module(dense, (3, 2, 4))
        assert_same(head(maps), at_every_place(lambda x: dense(x.mean((2, 3))), maps, 2, 4))

    def test_class_activation_map(self, student):
        """Windows of 1 x 1: the layer's answer at every feature"""
        dense, maps = weighted(nn.Linear(2, 3)), numbers(32, 1, 2, 2, 3)
        head = student.pool_head_to_conv.module(dense, (2, 1, 1))
        assert_same(head(maps), at_every_place(lambda x: dense(x.flatten(1)), maps, 1, 1))

    def test_without_bias(self, student):
        """A fully connected layer that has no bias, and windows of 3 x 2"""
        dense, maps = weighted(nn.Linear(2, 3, bias=False)), numbers(33, 1, 2, 4, 4)
        head = student.pool_head_to_conv.module(dense, (2, 3, 2))
        assert_same(head(maps), at_every_place(lambda x: dense(x.mean((2, 3))), maps, 3, 2))

    def probe_square(self, student):
        student.pool_head_to_conv.module(weighted(nn.Linear(2, 3)), (2, 2, 2))(numbers(34, 2, 2, 3, 4))

    def probe_one_square_window(self, student):
        student.pool_head_to_conv.module(weighted(nn.Linear(3, 2)), (3, 3, 3))(numbers(35, 2, 3, 3, 3))

    def probe_one_window_without_bias(self, student):
        dense = weighted(nn.Linear(4, 2, bias=False))
        student.pool_head_to_conv.module(dense, (4, 3, 5))(numbers(36, 2, 4, 3, 5))

    def probe_one_even_square_without_bias(self, student):
        dense = weighted(nn.Linear(4, 2, bias=False))
        student.pool_head_to_conv.module(dense, (4, 2, 2))(numbers(37, 2, 4, 2, 2))

    def probe_square_without_bias(self, student):
        student.pool_head_to_conv.module(weighted(nn.Linear(3, 4, bias=False)), (3, 3, 3))(numbers(39, 1, 3, 5, 8))

    def probe_pixels(self, student):
        student.pool_head_to_conv.module(weighted(nn.Linear(5, 4)), (5, 1, 1))(numbers(38, 2, 5, 2, 3))


LENET_AS_CONVOLUTIONS = [conv(1, 6, 5), pool(), conv(6, 16, 5), pool(), conv(16, 120, 5), conv(120, 10, 1)]


class TestMapSize:
    """map_size: how large the map is, and how coarse"""

    def test_lenet(self, student):
        """LeNet as convolutions: 57 outputs on 256 pixels, 1 on 32, one every 4 pixels"""
        assert_same(student.map_size(256, LENET_AS_CONVOLUTIONS), (57, 4))
        assert_same(student.map_size(32, LENET_AS_CONVOLUTIONS), (1, 4))

    def test_padding(self, student):
        """Padding 2 on 50 pixels: kernel 5 leaves 50, kernel 7 leaves 48, and pooling 5 with stride 2 leaves 25"""
        assert_same(student.map_size(50, [conv(3, 8, 5, padding=2)]), (50, 1))
        assert_same(student.map_size(50, [conv(3, 8, 7, padding=2)]), (48, 1))
        assert_same(student.map_size(50, [pool(5, 2, 2)]), (25, 2))

    def test_strides(self, student):
        """Kernel 3, stride 2, padding 1 makes 51 of 101 pixels; pooling 5 with stride 2 makes 24 of them"""
        assert_same(student.map_size(101, [conv(3, 8, 3, stride=2, padding=1)]), (51, 2))
        assert_same(student.map_size(101, [conv(3, 8, 3, stride=2, padding=1), pool(5, 2)]), (24, 4))

    def test_rounding(self, student):
        """Kernel 4, stride 3: 14 places on 43 to 45 pixels, and 15 on 46"""
        for pixels in (43, 44, 45):
            assert_same(student.map_size(pixels, [conv(3, 8, 4, stride=3)]), (14, 3))
        assert_same(student.map_size(46, [conv(3, 8, 4, stride=3)]), (15, 3))

    def test_dilation(self, student):
        """Kernel 3 with dilation 4 spans 9 pixels, in a convolution and in a pooling: 22 places on 30 pixels"""
        assert_same(student.map_size(30, [conv(3, 8, 3, dilation=4)]), (22, 1))
        assert_same(student.map_size(30, [pool(3, 1) | {"dilation": 4}]), (22, 1))

    def test_fit(self, student):
        """Kernel 5 fits 5 pixels, or 2 with padding 2, and not 4: ValueError with a message, whatever comes later"""
        assert_same(student.map_size(5, [conv(3, 8, 5)]), (1, 1))
        assert_same(student.map_size(2, [conv(3, 8, 5, padding=2)]), (2, 1))
        for pixels, chain in (
            (4, [conv(3, 8, 5), conv(8, 8, 1, padding=20)]),
            (9, [pool(), conv(3, 8, 5)]),
            (4, [conv(3, 8, 5, stride=3)]),
        ):
            with student.raises(ValueError):
                student.map_size(pixels, chain)

    def probe_strides(self, student):
        student.map_size(144, [conv(3, 8, 2, 2), pool(3), conv(8, 8, 2, 2)])

    def probe_kernels_of_one(self, student):
        student.map_size(241, [conv(3, 8, 1, 4), pool(1, 3), conv(8, 8, 1, 2)])

    def probe_fit_of_a_large_stride(self, student):
        student.map_size(7, [conv(3, 8, 9, 5)])

    def probe_fit_of_a_large_pooling(self, student):
        student.map_size(2, [pool(4)])

    def probe_fit(self, student):
        student.map_size(3, [conv(3, 8, 7), conv(8, 8, 1, padding=30)])

    def probe_convolution(self, student):
        student.map_size(60, [conv(3, 8, 5, stride=3, padding=2)])

    def probe_chain(self, student):
        student.map_size(151, [conv(3, 8, 5), conv(8, 8, 3, 2, 1), pool(), conv(8, 8, 7)])

    def probe_pooling(self, student):
        student.map_size(79, [pool(6, 3, 2)])

    def probe_poolings(self, student):
        student.map_size(162, [pool(3, 2), pool(5, 3)])

    def probe_dilated_convolution(self, student):
        student.map_size(63, [conv(3, 8, 4, stride=2, dilation=3)])

    def probe_dilated_pooling(self, student):
        student.map_size(64, [pool(4, 2) | {"dilation": 3}])

    def probe_dilated_pooling_of_stride_one(self, student):
        student.map_size(57, [pool(4, 1) | {"dilation": 2}])

    def probe_fit_behind_a_pooling(self, student):
        student.map_size(12, [pool(), conv(3, 8, 9), conv(8, 8, 1, padding=25)])
