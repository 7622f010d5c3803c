"""The reference of lesson 03 against independent oracles: the classifier on every crop, torch's shapes, gradients."""

import copy

import pytest
import torch
from torch import nn

from autograde.reference.convolutionalization import convolutionalize, linear_to_conv, map_size, pool_head_to_conv
from autograde.reference.sliding_window import multiply_adds, sliding_window_scores
from seglab.layers import conv, linear, network, pool

LENET = [conv(1, 6, 5), pool(), conv(6, 16, 5), pool(), linear(400, 120), linear(120, 84), linear(84, 10)]
LENET_CONVERTED = [*LENET[:4], conv(16, 120, 5), conv(120, 84, 1), conv(84, 10, 1)]
VGG_16 = [
    one
    for widths in ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
    for one in [*(conv(1, width, 3, padding=1) for width in widths), pool()]
]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def parameter_count(module):
    return sum(weight.numel() for weight in module.parameters())


class TestLinearToConv:
    def test_slide_numbers(self):
        """16 x 5 x 5 -> 120: 400 x 120 = 48,000 weights as a fully connected layer and as a convolution."""
        dense = nn.Linear(400, 120)
        layer = linear_to_conv(dense, 16, 5)
        assert layer.weight.numel() == dense.weight.numel() == 400 * 120 == 5 * 5 * 16 * 120 == 48_000
        assert layer(torch.zeros(1, 16, 5, 5)).shape == (1, 120, 1, 1)

    def test_agrees_with_unfold(self):
        """torch's unfold lists windows in the order of flatten."""
        dense, features = nn.Linear(3 * 2 * 4, 5), torch.randn(2, 3, 6, 7)
        columns = nn.functional.unfold(features, (2, 4))  # (N, C * kh * kw, places)
        expected = dense(columns.mT).mT.reshape(2, 5, 5, 4)
        torch.testing.assert_close(linear_to_conv(dense, 3, (2, 4))(features), expected)

    def test_order_of_channels_matters(self):
        """The common wrong conversion has the right shape and other values."""
        dense, window = nn.Linear(400, 120), torch.randn(1, 16, 5, 5)
        wrong = nn.Conv2d(16, 120, 5)
        wrong.weight.data = dense.weight.data.view(120, 5, 5, 16).permute(0, 3, 1, 2)
        wrong.bias.data = dense.bias.data
        assert wrong(window).shape == (1, 120, 1, 1)
        assert (wrong(window).flatten(1) - dense(window.flatten(1))).abs().max() > 0.1

    @pytest.mark.parametrize("bias", [True, False])
    def test_bias_and_independence(self, bias):
        dense = nn.Linear(8, 3, bias=bias)
        before = copy.deepcopy(dense.state_dict())
        layer = linear_to_conv(dense, 2, 2)
        assert (layer.bias is not None) == bias
        assert all(weight.requires_grad and weight.is_leaf for weight in layer.parameters())
        for weight in layer.parameters():
            weight.data.fill_(7)
        assert all(torch.equal(value, dense.state_dict()[name]) for name, value in before.items())

    def test_draws_no_random_numbers(self):
        dense, state = nn.Linear(4, 2), torch.get_rng_state()
        linear_to_conv(dense, 1, 2)
        assert torch.equal(state, torch.get_rng_state())


class TestConvolutionalize:
    @pytest.mark.parametrize("stride", [4, 8])
    def test_equals_the_sliding_window_of_lesson_02(self, stride):
        """LeNet on 96 x 80 pixels: the map is what lesson 02 computes window by window."""
        lenet, image = network(LENET).eval(), torch.randn(1, 96, 80)
        with torch.no_grad():
            scores = convolutionalize(lenet, (16, 5, 5))(image[None])[0]
        naive = sliding_window_scores(lenet, image, 32, stride, 64)
        torch.testing.assert_close(scores[:, :: stride // 4, :: stride // 4], naive, atol=1e-5, rtol=1e-4)

    def test_slide_shapes_and_published_counts(self):
        """16 x 5 x 5 -> 120 x 1 x 1 -> 84 x 1 x 1 -> 10 x 1 x 1; 61,706 parameters, as LeNet-5 has with full C3."""
        lenet = network(LENET)
        converted = convolutionalize(lenet, (16, 5, 5))
        assert parameter_count(converted) == parameter_count(lenet) == 61_706
        shapes, x = [], torch.zeros(1, 1, 32, 32)
        for layer in converted:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                shapes.append(tuple(x.shape[1:]))
        assert shapes == [(6, 28, 28), (16, 10, 10), (120, 1, 1), (84, 1, 1), (10, 1, 1)]
        assert multiply_adds(LENET, 32, 32) == multiply_adds(LENET_CONVERTED, 32, 32)

    @pytest.mark.parametrize("training", [True, False])
    def test_everything_a_head_may_hold(self, training):
        relu = nn.ReLU()
        classifier = nn.Sequential(
            *(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), relu, nn.Dropout2d(0.0), nn.AvgPool2d(2), nn.Flatten(1, 3)),
            *(nn.Linear(4 * 3 * 5, 6, bias=False), nn.BatchNorm1d(6, eps=0.1, momentum=0.5), relu, nn.Dropout(0.0)),
            *(nn.Linear(6, 3), nn.BatchNorm1d(3, affine=False), relu),
        ).train()
        classifier(5 * torch.randn(50, 2, 8, 12))  # moves the statistics
        classifier.train(training)
        converted = convolutionalize(classifier, (4, 3, 5))
        windows = torch.randn(7, 2, 8, 12)
        torch.testing.assert_close(converted(windows)[:, :, 0, 0], classifier(windows))
        moved = [(one.running_mean, one.running_var) for one in classifier.modules() if hasattr(one, "running_mean")]
        again = [(one.running_mean, one.running_var) for one in converted if hasattr(one, "running_mean")]
        torch.testing.assert_close(again, moved)
        assert {one.training for one in converted} == {training}

    def test_frozen_layers_stay_frozen(self):
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).train()
        classifier[2].eval()
        assert [one.training for one in convolutionalize(classifier, (1, 2, 2))] == [True, False, True]

    def test_trains_as_the_classifier(self):
        """Ten steps of gradient descent on windows give the same weights."""
        classifier = network([conv(1, 3, 3), pool(), linear(3 * 3 * 3, 8), linear(8, 2)])
        converted = convolutionalize(classifier, (3, 3, 3))
        windows, target = torch.randn(16, 1, 8, 8), torch.randint(0, 2, (16,))
        for model, answer in ((classifier, target), (converted, target[:, None, None])):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for _ in range(10):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(windows), answer).backward()
                optimizer.step()
        for one, other in zip(classifier.parameters(), converted.parameters(), strict=True):
            torch.testing.assert_close(one.flatten(), other.flatten())

    def test_padding_is_exact_on_windows_only(self):
        classifier = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * 8 * 8, 3))
        converted, image = convolutionalize(classifier, (2, 8, 8)), torch.randn(1, 1, 12, 12)
        crop = image[:, :, 2:10, 2:10]
        torch.testing.assert_close(converted(crop)[:, :, 0, 0], classifier(crop))
        assert (converted(image)[:, :, 2, 2] - classifier(crop)).abs().max() > 1e-2


class TestPoolHeadToConv:
    def test_agrees_with_the_head_on_every_crop(self):
        dense, features = nn.Linear(5, 3), torch.randn(2, 5, 7, 9)
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), dense)
        got = pool_head_to_conv(dense, (5, 3, 4))(features)
        assert got.shape == (2, 3, 5, 6)
        for row in range(5):
            for col in range(6):
                torch.testing.assert_close(got[:, :, row, col], head(features[:, :, row : row + 3, col : col + 4]))

    def test_mean_of_the_class_activation_map_is_the_answer(self):
        """Zhou et al. 2016, section 2: pooling and the fully connected layer can be exchanged."""
        dense, features = nn.Linear(6, 4), torch.randn(3, 6, 8, 5)
        activation_map = pool_head_to_conv(dense, (6, 1, 1))(features)
        torch.testing.assert_close(activation_map.mean(dim=(2, 3)), dense(features.mean(dim=(2, 3))))

    def test_means_of_windows_side_by_side_add_up(self):
        dense, features = nn.Linear(6, 4), torch.randn(3, 6, 8, 6)
        quarters = pool_head_to_conv(dense, (6, 4, 3))(features)[:, :, ::4, ::3]
        torch.testing.assert_close(quarters.mean(dim=(2, 3)), dense(features.mean(dim=(2, 3))))


class TestMapSize:
    def test_published_numbers(self):
        """LeNet: 57 x 57 at jump 4 on 256 pixels. VGG-16: 7 at jump 32 on 224 (Simonyan and Zisserman 2015)."""
        assert map_size(32, LENET_CONVERTED) == (1, 4)
        assert map_size(256, LENET_CONVERTED) == (57, 4)
        assert map_size(224, VGG_16) == (7, 32)
        assert map_size(224, []) == (224, 1)

    def test_agrees_with_torch(self):
        generator = torch.Generator().manual_seed(0)

        def pick(low, high):
            return int(torch.randint(low, high + 1, (1,), generator=generator))

        for _ in range(200):
            layers, size = [], pick(1, 60)
            for _ in range(pick(0, 3)):
                kernel = pick(1, 6)
                if pick(0, 1):
                    layers.append(conv(1, 1, kernel, pick(1, 4), pick(0, 4), pick(1, 3)))
                else:
                    layers.append(pool(kernel, pick(1, 4), pick(0, kernel // 2)) | {"dilation": pick(1, 3)})
            try:
                expected = network(layers)(torch.zeros(1, 1, size, size)).shape[2]
            except RuntimeError:
                with pytest.raises(ValueError, match="does not fit"):
                    map_size(size, layers)
            else:
                assert map_size(size, layers)[0] == expected
