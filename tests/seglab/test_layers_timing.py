"""Described networks become real ones, and times are taken in turn."""

import pytest
import torch
from torch import nn

from seglab.layers import conv, linear, network, pool, transposed_conv, upsample
from seglab.timing import side_by_side, times_faster


def test_a_described_lenet_is_lenet():
    lenet = network([conv(1, 6, 5), pool(), conv(6, 16, 5), pool(), linear(400, 120), linear(120, 84), linear(84, 10)])
    assert sum(p.numel() for p in lenet.parameters()) == 61_706
    assert lenet(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    dense = [type(layer).__name__ for layer in lenet[6:]]
    assert dense == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_every_word_of_a_description_counts():
    net = network([conv(2, 3, 3, stride=2, padding=2, dilation=2), pool(3, 2, padding=1)])
    assert net(torch.zeros(1, 2, 20, 30)).shape == (1, 3, 5, 8)
    oracle = nn.Sequential(nn.Conv2d(2, 3, 3, 2, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    oracle.load_state_dict(net.state_dict())
    x = torch.randn(1, 2, 20, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(x), oracle(x))
    assert "dilation" not in conv(1, 1, 3) and "padding" not in pool()


def test_a_described_decoder_is_one():
    layers = [
        transposed_conv(2, 3, 3, stride=3, padding=1, output_padding=2, dilation=2),
        upsample(2, "bilinear"),
        upsample(3),
    ]
    net = network(layers)
    oracle = nn.Sequential(
        nn.ConvTranspose2d(2, 3, 3, 3, 1, output_padding=2, dilation=2),
        nn.ReLU(),
        nn.UpsamplingBilinear2d(scale_factor=2),
        nn.UpsamplingNearest2d(scale_factor=3),
    )
    oracle[2].align_corners = None
    oracle.load_state_dict(net.state_dict())
    x = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(net(x), oracle(x))
    assert "output_padding" not in transposed_conv(1, 1, 2) and transposed_conv(1, 1, 2)["kind"] == "transposed_conv"


@pytest.mark.parametrize(
    "words", [{"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "stride": 3, "dilation": 2}], ids=str
)
def test_a_transposed_convolution_gives_the_size_back_that_its_convolution_came_from(words):
    """What the table at the top of seglab.layers says of sizes, asked of torch."""

    def size(layer, width):
        return network([layer])(torch.zeros(1, 1, width, width)).shape[-1]

    for width in range(8, 20):
        small = size(conv(1, 1, **words), width)
        same = [other for other in range(1, 40) if other >= 5 and size(conv(1, 1, **words), other) == small]
        back = [size(transposed_conv(1, 1, output_padding=extra, **words), small) for extra in range(words["stride"])]
        assert back == same


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'dropout'"):
        network([{"kind": "dropout"}])


def test_ways_are_measured_in_turn():
    calls = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds = side_by_side(ways, runs=3)
    assert calls == ["a", "b"] * 4  # one round to warm up
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_ratios_are_of_medians():
    assert times_faster({"slow": [8.0, 9.0, 90.0], "fast": [3.0, 1.0, 2.0]}, base="slow") == {"slow": 1, "fast": 4.5}
