"""Visible checks of lesson 05. `check(upsample_nearest)` in the notebook runs the class of that function's name."""

import math

import torch
from torch import nn

from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, linear, pool

RESIZING = dict.fromkeys(
    ("interpolate", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "grid_sample"),
    "enlarging is what you write here",
)
TRANSPOSED = dict.fromkeys(("conv_transpose2d", "ConvTranspose2d"), "enlarging is what you write here")


def maps(*rows):
    """One map of one channel, float32: (1, 1, H, W)."""
    return torch.tensor([[rows]], dtype=torch.float32)


class TestUpsampleNearest:
    """upsample_nearest: every value becomes a block"""

    forbidden = RESIZING | TRANSPOSED

    def test_the_slide(self, student):
        """1 2 / 3 4, twice as large"""
        expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
        assert_same(student.upsample_nearest(torch.tensor([[[[1, 2], [3, 4]]]]), 2), torch.tensor([[expected]]))

    def test_not_square(self, student):
        """One row of three values, three times as large: 3 x 9"""
        row = (5.0, 5.0, 5.0, 6.0, 6.0, 6.0, 7.0, 7.0, 7.0)
        assert_same(student.upsample_nearest(maps([5.0, 6.0, 7.0]), 3), maps(row, row, row))

    def test_dtype(self, student):
        """Two channels of bytes stay two channels of bytes"""
        x = torch.tensor([[[[1]], [[200]]]], dtype=torch.uint8)
        expected = torch.tensor([[[[1, 1], [1, 1]], [[200, 200], [200, 200]]]], dtype=torch.uint8)
        assert_same(student.upsample_nearest(x, 2), expected)

    def test_bad_arguments(self, student):
        """A factor of 2 is fine; 0, or a tensor (H, W), raises ValueError, a factor of 1.5 TypeError or ValueError"""
        assert_same(student.upsample_nearest(maps([8.0]), 2), maps([8.0, 8.0], [8.0, 8.0]))
        with student.raises(ValueError):
            student.upsample_nearest(maps([8.0]), 0)
        with student.raises(ValueError):
            student.upsample_nearest(torch.ones(2, 3), 2)
        with student.raises(TypeError, ValueError):
            student.upsample_nearest(maps([8.0]), 1.5)


class TestUpsampleBilinear:
    """upsample_bilinear: gradual between half-pixel centres"""

    forbidden = RESIZING | TRANSPOSED

    def test_the_slide(self, student):
        """10 20 / 30 40, twice as large: the slide's table before it was rounded down"""
        first, second = [10.0, 12.5, 17.5, 20.0], [15.0, 17.5, 22.5, 25.0]
        third, fourth = [25.0, 27.5, 32.5, 35.0], [30.0, 32.5, 37.5, 40.0]
        got = student.upsample_bilinear(maps([10.0, 20.0], [30.0, 40.0]), 2)
        assert_same(got, maps(first, second, third, fourth))

    def test_odd_factor(self, student):
        """One row 0 3 9, three times as large: the middle of each third is the value itself"""
        row = (0.0, 0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0, 9.0)
        assert_same(student.upsample_bilinear(maps([0.0, 3.0, 9.0]), 3), maps(row, row, row))

    def test_one_value(self, student):
        """A map of one value, four times as large, shows this value sixteen times"""
        assert_same(student.upsample_bilinear(maps([7.0]), 4), torch.full((1, 1, 4, 4), 7.0))

    def test_dtype(self, student):
        """Two values of float64, ten times as large, are right to nine digits"""
        x = torch.tensor([[[[0.0], [1.0]]]], dtype=torch.float64)
        inside = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]
        along = torch.tensor([0.0] * 5 + inside + [1.0] * 5, dtype=torch.float64)
        wide, got = along[:, None].repeat(1, 10)[None, None], student.upsample_bilinear(x, 10)
        assert_same(got, wide, tolerance=(1e-4, 1e-4))
        student.calls[-1].value = [got, torch.allclose(got, wide, rtol=1e-7, atol=1e-9)]  # the last digits, on record
        assert_same(got, wide)

    def test_bad_arguments(self, student):
        """A factor of 1 is fine; a factor of -1 and a mask of int64 raise ValueError with a message"""
        assert_same(student.upsample_bilinear(maps([4.0, 4.0]), 1), maps([4.0, 4.0]))
        with student.raises(ValueError):
            student.upsample_bilinear(maps([4.0, 4.0]), -1)
        with student.raises(ValueError):
            student.upsample_bilinear(torch.ones(1, 1, 2, 2, dtype=torch.int64), 2)


class TestBilinearKernel:
    """bilinear_kernel: weights that make a transposed convolution interpolate"""

    forbidden = RESIZING

    def test_even(self, student):
        """Factor 2, one channel: sixteenths of 1 3 3 1 / 3 9 9 3 / 3 9 9 3 / 1 3 3 1"""
        expected = maps([1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]) / 16
        assert_same(student.bilinear_kernel(2, 1), expected)

    def test_odd(self, student):
        """Factor 3, one channel: ninths of 1 2 3 2 1 / 2 4 6 4 2 / 3 6 9 6 3 and back"""
        first, second, middle = [1, 2, 3, 2, 1], [2, 4, 6, 4, 2], [3, 6, 9, 6, 3]
        assert_same(student.bilinear_kernel(3, 1), maps(first, second, middle, second, first) / 9)

    def test_channels(self, student):
        """Factor 1, three channels: each comes out of itself alone"""
        expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        assert_same(student.bilinear_kernel(1, 3), expected[:, :, None, None])

    def test_size(self, student):
        """Factor 4, one channel: 8 x 8 weights, in 64ths, along each side in proportion to 1 3 5 7 7 5 3 1"""
        side = [1, 3, 5, 7, 7, 5, 3, 1]
        assert_same(student.bilinear_kernel(4, 1), maps(*([down * across for across in side] for down in side)) / 64)

    def test_bad_arguments(self, student):
        """A factor of 1 is fine; a factor of 0 raises ValueError with a message"""
        assert_same(student.bilinear_kernel(1, 1), maps([1.0]))
        with student.raises(ValueError):
            student.bilinear_kernel(0, 1)


def deconv(kernel_size, stride, padding=0):
    return {"kind": "deconv", "kernel_size": kernel_size, "stride": stride, "padding": padding}


def vgg(pools):
    """The layers of VGG-16 up to a pooling, the first convolution padded by 100 as in FCN."""
    layers = []
    for number in (2, 2, 3, 3, 3)[:pools]:
        layers += [conv(1, 1, 3, padding=1)] * number + [pool()]
    return [conv(1, 1, 3, padding=100), *layers[1:]]


class TestCropOffset:
    """crop_offset: where one map lies on another"""

    def test_one_layer(self, student):
        """A convolution 3 x 3 with padding 100: the picture begins at row 99"""
        assert_same(student.crop_offset([conv(1, 1, 3, padding=100)]), 99)

    def test_fcn_32s(self, student):
        """VGG-16 padded by 100, a 7 x 7 layer, a deconv of 64 with stride 32: 19"""
        assert_same(student.crop_offset([*vgg(5), conv(1, 1, 7), deconv(64, 32)]), 19)

    def test_fcn_16s(self, student):
        """pool4 on the scores enlarged twice: 5; then the whole chain on the picture: 27"""
        twice = [*vgg(5), conv(1, 1, 7), deconv(4, 2)]
        assert_same([student.crop_offset(vgg(4), twice), student.crop_offset([*twice, deconv(32, 16)])], [5, 27])

    def test_padded_deconv(self, student):
        """Padding 3 and pooling, enlarged again by a deconv of 4 with stride 2 and padding 1: 3"""
        assert_same(student.crop_offset([conv(1, 1, 1, padding=3), pool(), deconv(4, 2, 1)]), 3)

    def test_no_offset(self, student):
        """Row 2 is fine; half a row, a negative row and different jumps raise ValueError with a message"""
        assert_same(student.crop_offset([conv(1, 1, 5, padding=4)]), 2)
        for layers in ([conv(1, 1, 2, padding=3)], [conv(1, 1, 5)], [conv(1, 1, 1, padding=4), pool(1, 2)]):
            with student.raises(ValueError):
                student.crop_offset(layers)

    def test_unknown_kind(self, student):
        """A convolution is fine; with a dense layer behind it, ValueError with a message"""
        assert_same(student.crop_offset([conv(1, 1, 1, padding=7)]), 7)
        with student.raises(ValueError):
            student.crop_offset([conv(1, 1, 1, padding=7), linear(4, 2)])


def averaging_encoder():
    """Five stages that average 2 x 2 pixels, so that the channels stay as they are."""
    return nn.Sequential(*(nn.Sequential(nn.AvgPool2d(2)) for _ in range(5)))


def names_of(net):
    """The names of its weights, sorted. They alone go on record: the values of new weights are chance, not mistakes."""
    names = sorted(net.parameters())
    net.student.calls[-1].value = names
    return names


def network(student, stride, encoder=None, **weights):
    """The student's network on three channels for one class; `score_16=2.0` sets all weights of that layer to 2."""
    net = student.FCN.module(encoder or averaging_encoder(), [3] * 5, 1, stride)
    state = {}
    for name, value in weights.items():
        state |= {f"{name}.weight": torch.full((1, 3, 1, 1), value), f"{name}.bias": torch.zeros(1)}
    there = names_of(net)
    missing = sorted(set(state) - set(there))
    if missing:
        raise Mismatch("rule", f"weights named {', '.join(missing)}", ", ".join(there) or "no weights")
    net.call("load_state_dict", state, strict=False, keep=True)
    return net


class TestFCN:
    """FCN: scores at 32, 16 and 8 pixels, summed and enlarged"""

    def test_fcn_32s(self, student):
        """Two squares of 32, the left one 0, the right one 32: scores 0 and 96, from one to the other in 32 steps"""
        picture = torch.zeros(1, 3, 32, 64)
        picture[..., 32:] = 32.0
        between = torch.arange(32) * 3.0 + 1.5
        expected = torch.cat([torch.zeros(16), between, torch.full((16,), 96.0)])
        assert_same(network(student, 32, score_32=1.0)(picture), expected.repeat(1, 1, 32, 1))

    def test_fcn_16s(self, student):
        """The same squares: scores 0 96 at 1/32 become 0 24 72 96, plus 0 0 96 96 at 1/16 is 0 24 168 192"""
        picture = torch.zeros(1, 3, 32, 64)
        picture[..., 32:] = 32.0
        steps = torch.arange(16) + 0.5
        parts = [torch.zeros(8), steps * 1.5, 24 + steps * 9, 168 + steps * 1.5, torch.full((8,), 192.0)]
        net = network(student, 16, score_32=1.0, score_16=1.0)
        assert_same(net(picture), torch.cat(parts).repeat(1, 1, 32, 1))

    def test_sum_of_scores(self, student):
        """A picture of ones: 3 from score_32, 30 from score_16, -300 from score_8"""
        net = network(student, 8, score_32=1.0, score_16=10.0, score_8=-100.0)
        assert_same(net(torch.ones(1, 3, 64, 32)), torch.full((1, 1, 64, 32), -267.0))

    def test_any_size(self, student):
        """A picture of ones with 61 x 79 pixels, both odd: logits of 61 x 79"""
        for stride, expected in ((16, 33.0), (8, 34.0)):
            more = {"score_8": 1 / 3} if stride == 8 else {}
            net = network(student, stride, score_32=1.0, score_16=10.0, **more)
            assert_same(net(torch.ones(1, 3, 61, 79)), torch.full((1, 1, 61, 79), expected))

    def test_weights(self, student):
        """A new FCN-16s has two score layers: that of the skip is zero, score_32 is as torch makes it"""
        net = student.FCN.module(averaging_encoder(), [3] * 5, 2, 16)
        names = ["score_16.bias", "score_16.weight", "score_32.bias", "score_32.weight"]
        there = names_of(net)
        if there != names:
            raise Mismatch("rule", f"weights named {', '.join(names)}", ", ".join(there) or "no weights")
        bias, skip, _, deep = (int(net.get(name, keep=True).call("count_nonzero")) for name in names)
        got = {"score_16": "not zero" if bias or skip else "zero", "score_32": "not zero" if deep else "zero"}
        assert_same(got, {"score_16": "zero", "score_32": "not zero"})

    def test_each_stage_once(self, student):
        """Stages with batch normalization, in training: each has seen one batch after one call"""
        stages = nn.Sequential(*(nn.Sequential(nn.BatchNorm2d(3), nn.AvgPool2d(2)) for _ in range(5)))
        net = network(student, 8, stages, score_32=1.0, score_16=1.0, score_8=1.0)
        assert_same(net(torch.ones(1, 3, 64, 64)), torch.zeros(1, 1, 64, 64))
        seen = [int(net.call("get_buffer", f"encoder.{number}.0.num_batches_tracked")) for number in range(5)]
        assert_same(seen, [1, 1, 1, 1, 1])

    def test_bad_arguments(self, student):
        """Stride 32 and five widths are fine; a stride of 4, or four widths, raises ValueError with a message"""
        assert_same(network(student, 32, score_32=1.0)(torch.ones(1, 3, 32, 32)), torch.full((1, 1, 32, 32), 3.0))
        with student.raises(ValueError):
            student.FCN(averaging_encoder(), [3] * 5, 1, 4)
        with student.raises(ValueError):
            student.FCN(averaging_encoder(), [3] * 4, 1, 8)


def mask(*pictures):
    """Masks (N, H, W) from strings of digits; 9 stands for 255."""
    rows = [[[int(digit) for digit in row] for row in picture.split()] for picture in pictures]
    labels = torch.tensor(rows)
    return labels.where(labels != 9, torch.tensor(255))


class TestRecallBySize:
    """recall_by_size: which objects are found, by their area"""

    def test_two_sizes(self, student):
        """Objects of 2 and 6 pixels; all of the small one is missing, four of the six are right"""
        target = mask("1100 0222 0222")
        got = student.recall_by_size(mask("0000 0022 0022"), target, target, [1, 4, 10])
        assert_same(got, torch.tensor([0.0, 1.0], dtype=torch.float64))

    def test_half(self, student):
        """Four objects of four pixels, of which 2, 3, 1 and 1 are right: only 3 is more than half"""
        target = mask("1111 2222 3333 4444")
        got = student.recall_by_size(mask("1133 2223 3444 4000"), target, target, [4, 5])
        assert_same(got, torch.tensor([0.25], dtype=torch.float64))

    def test_two_pictures(self, student):
        """Object 1 in each of two pictures, found in the first, taken for another class in the second"""
        target = mask("11", "11")
        got = student.recall_by_size(mask("11", "22"), target, target, [1, 3])
        assert_same(got, torch.tensor([0.5], dtype=torch.float64))

    def test_ignored(self, student):
        """An object of five pixels, three of them ignored: area 2, and both are right"""
        got = student.recall_by_size(mask("33000"), mask("33999"), mask("11111"), [2, 3, math.inf])
        assert_same(got, torch.tensor([1.0, math.nan], dtype=torch.float64))

    def test_limits(self, student):
        """An area of 3 with the ranges 1 to 3 and 3 to 5: it belongs to the second; the first is NaN"""
        target = mask("4440")
        got = student.recall_by_size(target, target, target, [1, 3, 5])
        assert_same(got, torch.tensor([math.nan, 1.0], dtype=torch.float64))

    def test_no_object(self, student):
        """The same mask with the ranges 1 to 2 and 2 to 5: the one pixel of no object is no object of area 1"""
        target = mask("4440")
        got = student.recall_by_size(target, target, target, [1, 2, 5])
        assert_same(got, torch.tensor([math.nan, 1.0], dtype=torch.float64))

    def test_bad_arguments(self, student):
        """Equal shapes and rising edges are fine; different shapes and falling edges raise ValueError with a message"""
        target = mask("10")
        assert_same(student.recall_by_size(target, target, target, [1, 2]), torch.tensor([1.0], dtype=torch.float64))
        with student.raises(ValueError):
            student.recall_by_size(mask("100"), target, target, [1, 2])
        with student.raises(ValueError):
            student.recall_by_size(target, target, target, [2, 1])
