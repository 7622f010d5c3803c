"""Visible checks of lesson 05. `check(upsample_nearest)` in the notebook runs the class of that function's name."""

import math
from itertools import pairwise

import torch
from torch import nn

from seglab.checking.compare import Mismatch, assert_same
from seglab.layers import conv, pool

RESIZING = dict.fromkeys(
    ("interpolate", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "grid_sample"),
    "enlarging is what you write here",
)
TRANSPOSED = dict.fromkeys(("conv_transpose2d", "ConvTranspose2d"), "enlarging is what you write here")


def maps(*rows):
    """One map of one channel, float32: (1, 1, H, W)."""
    return torch.tensor([[rows]], dtype=torch.float32)


def two_of_two(make):
    """Two maps of two channels, (2, 2, H, W): `make` gives one map of the four numbers 1, 2, 3 and 4."""
    return torch.cat([torch.cat([make(1.0), make(2.0)], 1), torch.cat([make(3.0), make(4.0)], 1)])


def sum_gradient(student, function, x, factor, weights):
    """What arrives at x from the sum of the enlarged values, each times its weight."""
    map_of_theirs = student.keep(x.clone().requires_grad_())
    function.kept(map_of_theirs, factor).call("mul", weights, keep=True).call("sum", keep=True).call("backward")
    return map_of_theirs.get("grad")


class TestUpsampleNearest:
    """upsample_nearest: every value becomes a block"""

    forbidden = RESIZING | TRANSPOSED

    def test_the_slide(self, student):
        """The slide's 1 2 / 3 4, enlarged by 2, as integers"""
        expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
        assert_same(student.upsample_nearest(torch.tensor([[[[1, 2], [3, 4]]]]), 2), torch.tensor([[expected]]))

    def test_not_square(self, student):
        """One row of four values, enlarged by 3, is 3 rows of 12"""
        row = (5.0, 5.0, 5.0, 6.0, 6.0, 6.0, 7.0, 7.0, 7.0, 9.0, 9.0, 9.0)
        assert_same(student.upsample_nearest(maps([5.0, 6.0, 7.0, 9.0]), 3), maps(row, row, row))

    def test_batch(self, student):
        """Two maps of two channels, two rows and one column each, enlarged by 2"""
        x = two_of_two(lambda value: maps([value], [10 * value]))
        expected = two_of_two(lambda value: maps(*([value] * 2, [value] * 2, [10 * value] * 2, [10 * value] * 2)))
        assert_same(student.upsample_nearest(x, 2), expected)

    def test_gradient(self, student):
        """A gradient of 1 to 8 in the eight pixels of two blocks arrives as 14 and 22"""
        weights = maps([1, 2, 3, 4], [5, 6, 7, 8])
        assert_same(sum_gradient(student, student.upsample_nearest, maps([8.0, 9.0]), 2, weights), maps([14, 22]))


class TestUpsampleBilinear:
    """upsample_bilinear: gradual between half-pixel centres"""

    forbidden = RESIZING | TRANSPOSED

    def test_the_slide(self, student):
        """10 20 / 30 40, enlarged by 2: the slide's table before it was rounded down"""
        first, second = [10.0, 12.5, 17.5, 20.0], [15.0, 17.5, 22.5, 25.0]
        third, fourth = [25.0, 27.5, 32.5, 35.0], [30.0, 32.5, 37.5, 40.0]
        got = student.upsample_bilinear(maps([10.0, 20.0], [30.0, 40.0]), 2)
        assert_same(got, maps(first, second, third, fourth))

    def test_odd_factor(self, student):
        """One row 0 3 9, enlarged by 3: the middle of each third is the value itself"""
        row = (0.0, 0.0, 1.0, 2.0, 3.0, 5.0, 7.0, 9.0, 9.0)
        assert_same(student.upsample_bilinear(maps([0.0, 3.0, 9.0]), 3), maps(row, row, row))

    def test_one_value(self, student):
        """A map of one value, enlarged by 4, shows this value sixteen times"""
        assert_same(student.upsample_bilinear(maps([7.0]), 4), torch.full((1, 1, 4, 4), 7.0))

    def test_batch(self, student):
        """Two maps of two channels, two rows and three columns each, enlarged by 2"""
        x = two_of_two(lambda value: maps([0, value, 2 * value], [0, value, 6 * value]))
        first, last = torch.tensor([0, 1, 3, 5, 7, 8]) / 4, torch.tensor([0, 1, 3, 9, 19, 24]) / 4
        rows = [first, 0.75 * first + 0.25 * last, 0.25 * first + 0.75 * last, last]
        expected = two_of_two(lambda value: value * torch.stack(rows)[None, None])
        assert_same(student.upsample_bilinear(x, 2), expected)

    def test_gradient(self, student):
        """A gradient of 0, 4, 8 and 12 in each row of two values enlarged by 2 arrives as 10 and 38"""
        got = sum_gradient(student, student.upsample_bilinear, maps([1.0, 5.0]), 2, maps([0, 4, 8, 12], [0, 4, 8, 12]))
        assert_same(got, maps([10, 38]))

    def probe_wide(self, student):
        return student.upsample_bilinear(maps([1.0, 4.0, 2.0, 8.0], [5.0, 7.0, 3.0, 9.0]), 2)


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
        """Factor 2, three channels: the kernel where channel in = channel out, zeros elsewhere"""
        expected = torch.zeros(3, 3, 4, 4)
        for channel in range(3):
            expected[channel, channel] = maps([1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1])[0, 0] / 16
        assert_same(student.bilinear_kernel(2, 3), expected)

    def test_larger(self, student):
        """Factor 4, one channel: 8 x 8 weights, in 64ths, along each side in proportion to 1 3 5 7 7 5 3 1"""
        side = [1, 3, 5, 7, 7, 5, 3, 1]
        assert_same(student.bilinear_kernel(4, 1), maps(*([down * across for across in side] for down in side)) / 64)


def deconv(kernel_size, stride, padding=0):
    return {"kind": "deconv", "kernel_size": kernel_size, "stride": stride, "padding": padding}


def vgg(pools):
    """The layers of VGG-16 up to a pooling, the first convolution padded by 100 as in FCN."""
    layers = []
    for number in (2, 2, 3, 3, 3)[:pools]:
        layers += [conv(1, 1, 3, padding=1)] * number + [pool()]
    return [conv(1, 1, 3, padding=100), *layers[1:]]


def offset(student, *chains):
    """The student's answer; a float that is a whole number is taken, and put on record, as that number."""
    got = student.crop_offset(*chains)
    if isinstance(got, float) and got.is_integer():
        got = student.seen[-1] = int(got)
    return got


class TestCropOffset:
    """crop_offset: where one map lies on another"""

    def test_one_layer(self, student):
        """A convolution 3 x 3 with padding 100: the picture begins at row 99"""
        assert_same(offset(student, [conv(1, 1, 3, padding=100)]), 99)

    def test_padded_deconv(self, student):
        """Padding 3 and pooling, enlarged again by a deconv of 4 with stride 2 and padding 1: 3"""
        assert_same(offset(student, [conv(1, 1, 1, padding=3), pool(), deconv(4, 2, 1)]), 3)

    def test_fcn_32s(self, student):
        """VGG-16 padded by 100, a 7 x 7 layer, a deconv of 64 with stride 32: 19"""
        assert_same(offset(student, [*vgg(5), conv(1, 1, 7), deconv(64, 32)]), 19)

    def test_fcn_16s(self, student):
        """pool4 on the scores enlarged by 2: 5; then the whole chain on the picture: 27"""
        by_two = [*vgg(5), conv(1, 1, 7), deconv(4, 2)]
        assert_same([offset(student, vgg(4), by_two), offset(student, [*by_two, deconv(32, 16)])], [5, 27])

    def test_no_such_row(self, student):
        """Row 2 is one; half a row, a negative row and different jumps raise ValueError with a message"""
        assert_same(offset(student, [conv(1, 1, 5, padding=4)]), 2)
        for layers in ([conv(1, 1, 2, padding=3)], [conv(1, 1, 5)], [conv(1, 1, 1, padding=4), pool(1, 2)]):
            with student.raises(ValueError):
                student.crop_offset(layers)

    # Rows that are whole and not negative also where halves, jumps or signs are wrong: two of each kind.
    def probe_two_convolutions(self, student):
        return offset(student, [conv(1, 1, 5, padding=8), conv(1, 1, 3, padding=9)])

    def probe_four_convolutions(self, student):
        return offset(student, [conv(1, 1, 3, padding=7), conv(1, 1, 3, padding=8), conv(1, 1, 1), conv(1, 1, 7)])

    def probe_deconv(self, student):
        return offset(student, [conv(1, 1, 1, padding=25), pool(3, 2), deconv(5, 2)])

    def probe_large_deconv(self, student):
        return offset(student, [conv(1, 1, 1, padding=37), pool(3, 2), pool(3, 2), deconv(5, 4)])

    def probe_before_the_first(self, student):
        return offset(student, [conv(1, 1, 15)])

    def probe_far_before_the_first(self, student):
        return offset(student, [conv(1, 1, 15), conv(1, 1, 21)])

    def probe_onto(self, student):
        shared = [conv(1, 1, 3, padding=26), pool(3, 4)]
        return offset(student, shared, [*shared, conv(1, 1, 7), pool(3, 2), deconv(5, 2)])

    # A kernel so large that the row is there whatever happens to the padding.
    def probe_padding(self, student):
        return offset(student, [conv(1, 1, 3, padding=6)], [conv(1, 1, 61, padding=13)])

    def probe_more_padding(self, student):
        return offset(student, [conv(1, 1, 1, padding=5)], [conv(1, 1, 81, padding=14)])

    # Rows that do not exist: no map with that jump, half a row.
    def probe_two_jumps(self, student):
        return offset(student, [conv(1, 1, 1, padding=46), pool(1, 2)])

    def probe_two_other_jumps(self, student):
        return offset(student, [conv(1, 1, 3, padding=33)], [conv(1, 1, 5), pool(1, 2)])

    def probe_half_a_row(self, student):
        return offset(student, [conv(1, 1, 4, padding=25)])

    def probe_another_half(self, student):
        return offset(student, [conv(1, 1, 1, padding=35), pool(), deconv(3, 2)])


def averaging_encoder():
    """Five stages that average 2 x 2 pixels, so that the channels stay as they are."""
    return nn.Sequential(*(nn.Sequential(nn.AvgPool2d(2)) for _ in range(5)))


def normalizing_encoder():
    """The same with batch normalization in front."""
    return nn.Sequential(*(nn.Sequential(nn.BatchNorm2d(3), nn.AvgPool2d(2)) for _ in range(5)))


def network(student, stride, encoder=None, **weights):
    """The student's network on three channels for one class; `score_16=2.0` sets all weights of that layer to 2."""
    net = student.FCN.module(encoder or averaging_encoder(), [3] * 5, 1, stride)
    there, state = sorted(net.parameters()), {}
    student.seen.pop()  # `test_weights` puts on record which there are
    strange = [name for name in there if name.split(".")[0] not in ("encoder", "score_32", "score_16", "score_8")]
    for name, value in weights.items():
        if f"{name}.weight" in there:
            state[f"{name}.weight"] = torch.full((1, 3, 1, 1), value)
        elif strange or name == "score_32":
            raise Mismatch("rule", f"weights named {name}.weight", ", ".join(there) or "no weights")
        if f"{name}.bias" in there:
            state[f"{name}.bias"] = torch.zeros(1)
    net.call("load_state_dict", state, strict=False, keep=True)
    return net


def squares(wide=True):
    """Two squares of 32 pixels, the first 0, the second 32: side by side, or one above the other."""
    picture = torch.zeros(1, 3, 32, 64)
    picture[..., 32:] = 32.0
    return picture if wide else picture.mT


def slopes(values, steps):
    """The logits of such a picture, (1, 1, 32, 64): straight from each value to the next one, flat at both ends."""
    shares = (torch.arange(steps) + 0.5) / steps
    parts = [one + (other - one) * shares for one, other in pairwise(values)]
    ends = [torch.full((steps // 2,), float(values[i])) for i in (0, -1)]
    return torch.cat([ends[0], *parts, ends[1]]).repeat(1, 1, 32, 1)


class TestFCN:
    """FCN: scores at 32, 16 and 8 pixels, summed and enlarged"""

    def test_fcn_32s(self, student):
        """Two squares of 32 pixels with scores -48 and 48, enlarged: 64 pixels, from one to the other in 32 of them"""
        assert_same(network(student, 32, score_32=1.0)(squares() - 16), slopes([-48, 48], 32))

    def test_fcn_16s(self, student):
        """The same squares: scores 0 96 at 1/32 become 0 24 72 96, plus 0 0 96 96 at 1/16 is 0 24 168 192"""
        net = network(student, 16, score_32=1.0, score_16=1.0)
        assert_same(net(squares()), slopes([0, 24, 168, 192], 16))

    def test_fcn_8s(self, student):
        """One above the other: 0 24 168 192 become 0 6 18 60 132 174 186 192, plus 0 0 0 0 96 96 96 96 at 1/8"""
        net = network(student, 8, score_32=1.0, score_16=1.0, score_8=1.0)
        assert_same(net(squares(wide=False)), slopes([0, 6, 18, 60, 228, 270, 282, 288], 8).mT)

    def test_any_size(self, student):
        """A picture of ones with 61 x 79 pixels, both odd: logits of 61 x 79"""
        for stride, expected in ((32, 3.0), (16, 33.0), (8, 34.0)):
            more = {32: {}, 16: {"score_16": 10.0}, 8: {"score_16": 10.0, "score_8": 1 / 3}}[stride]
            net = network(student, stride, score_32=1.0, **more)
            assert_same(net(torch.ones(1, 3, 61, 79)), torch.full((1, 1, 61, 79), expected))

    def test_weights(self, student):
        """A new FCN-8s has three score layers with bias, a new FCN-32s one, and no other weights"""
        for stride, layers in ((8, ("score_16", "score_32", "score_8")), (32, ("score_32",))):
            names = [f"{layer}.{kind}" for layer in layers for kind in ("bias", "weight")]
            there = sorted(student.FCN.module(averaging_encoder(), [3] * 5, 2, stride).parameters())
            student.seen[:] = [1.0 if there == names else 1.5]  # only this goes on record
            if there != names:
                raise Mismatch("rule", f"weights named {', '.join(names)}", ", ".join(there) or "no weights")

    def test_start(self, student):
        """In a new FCN-8s, weights and biases of the skips are zero; score_32 is as torch makes it"""
        new = student.FCN.module(averaging_encoder(), [3] * 5, 2, 8).parameters()
        start = {name: "not zero" if new[name].any() else "zero" for name in sorted(new) if name.startswith("score_")}
        expected = {name: "not zero" if name.startswith("score_32") else "zero" for name in start}
        student.seen[-1] = 1.0 if start == expected else 1.5  # only this goes on record
        assert_same(start, expected)

    def test_each_stage_once(self, student):
        """Stages with batch normalization, in training: each has seen one batch after one call"""
        net = network(student, 8, normalizing_encoder(), score_32=1.0, score_16=1.0, score_8=1.0)
        assert_same(net(torch.ones(1, 3, 64, 64)), torch.zeros(1, 1, 64, 64))
        runs = [int(net.get(f"encoder.{number}.0.num_batches_tracked")) for number in range(5)]
        student.seen[-5:] = [1 + (max(runs) > 1)]  # on record: whether one ran again, not which
        assert_same(runs, [1, 1, 1, 1, 1])

    def test_gradient(self, student):
        """FCN-8s: the mean of the logits, sent back, reaches the encoder passed: 7 at stage 2's bias, 1 at stage 4's"""
        encoder = student.keep(normalizing_encoder().eval())
        net = network(student, 8, encoder, score_32=1.0, score_16=2.0, score_8=4.0)
        net.call("__call__", torch.ones(1, 3, 32, 32), keep=True).call("mean", keep=True).call("backward")
        biases = [encoder.get(f"{stage}.0.bias", keep=True) for stage in (2, 4)]
        others = [net.get(name, keep=True) for name in ("encoder.2.0.bias", "score_32.weight")]
        found = [weight.get("grad") for weight in [*biases, *others]]
        found = [torch.zeros(3) if one is None else one for one in found]
        student.seen[-8:] = [found]  # on record together: a copy has what the original lacks
        assert_same(found[:2], [torch.full((3,), 7.0), torch.ones(3)])


def one_pixel_network(bias=0.0):
    """A 1 x 1 convolution from one channel to two classes, without weights yet; `bias` is the second class's."""
    net = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(net.weight)
    net.bias.data = torch.tensor([0.0, bias])
    return net


def batch(value, *masks):
    """Pictures of one row that have the same value everywhere, and their masks: a list of labels each."""
    return torch.full((len(masks), 1, 1, len(masks[0])), value), torch.tensor([[mask] for mask in masks])


def epoch(student, network, batches, lr=0.5, momentum=0.0, **more):
    """One epoch of the student's: what it returned, and the network's weights after it; both are on record."""
    kept = student.keep(network)
    loss = student.train_epoch(kept, kept.optimizer(lr=lr, momentum=momentum), batches, **more)
    state = kept.call("state_dict")
    return loss, {name: state[name].flatten() for name in sorted(state)}


class TestTrainEpoch:
    """train_epoch: the training loop"""

    def test_one_batch(self, student):
        """From weights of zero, one batch of value 2 and class 1, rate 0.5: loss log 2, weights -0.5 and 0.5"""
        loss, weights = epoch(student, one_pixel_network(), [batch(2.0, [1, 1])])
        assert_same(weights, {"bias": torch.tensor([-0.25, 0.25]), "weight": torch.tensor([-0.5, 0.5])})
        assert_same(loss, math.log(2), tolerance=(1e-4, 1e-5))

    def test_two_batches(self, student):
        """The same batch once more, each with its own gradient: the first step is larger than the second"""
        _, weights = epoch(student, one_pixel_network(), [batch(2.0, [1, 1]), batch(2.0, [1, 1])])
        share = 1 / (1 + math.exp(2.5))  # of class 0, after one step: the scores are then -1.25 and 1.25
        bias, weight = torch.tensor([-0.25 - share / 2, 0.25 + share / 2]), torch.tensor([-0.5 - share, 0.5 + share])
        assert_same(weights, {"bias": bias, "weight": weight})

    def test_mean(self, student):
        """Three pixels with loss log 4 in one batch, one with log 4/3 in the next, four ignored: the mean of four"""
        batches = [batch(0.0, [0, 0], [0, 255]), batch(0.0, [255, 1, 255, 255])]
        loss, _ = epoch(student, one_pixel_network(bias=math.log(3)), batches, lr=0.0)
        assert_same(loss, (3 * math.log(4) + math.log(4 / 3)) / 4, tolerance=(1e-4, 1e-5))

    def test_old_gradients(self, student):
        """The weights hold gradients of 4 from elsewhere: after one batch they are -0.5 and 0.5 all the same"""
        kept, one = student.keep(one_pixel_network()), batch(2.0, [1, 1])
        kept.call("forward", one[0], keep=True).call("sum", keep=True).call("backward")
        student.train_epoch(kept, kept.optimizer(lr=0.5), [one])
        assert_same(kept.call("state_dict")["weight"].flatten(), torch.tensor([-0.5, 0.5]))

    def test_training_mode(self, student):
        """From evaluation mode: batch normalization has the statistics of both batches, and counts one more later"""
        net = nn.Sequential(nn.BatchNorm2d(1, momentum=0.5, affine=False), one_pixel_network()).eval()
        kept = student.keep(net)
        student.train_epoch(kept, kept.optimizer(lr=0.5), [batch(4.0, [1, 1]), batch(8.0, [0, 1])])
        assert_same(kept.get("0.running_mean"), torch.tensor([5.0]))
        kept.call("forward", batch(2.0, [1, 1])[0], keep=True)
        assert_same(int(kept.get("0.num_batches_tracked")), 3)

    def test_ignored_batch(self, student):
        """Three black batches, with momentum: the second holds nothing but 255, and leaves bias and mean as they are"""
        batches = [batch(0.0, [1, 1]), batch(0.0, [255, 255]), batch(0.0, [1, 1])]
        loss, weights = epoch(student, one_pixel_network(), batches, momentum=0.5)
        share = 1 / (1 + math.exp(0.5))  # of class 0, after one step: the biases are then -0.25 and 0.25
        last = 0.25 + 0.5 * (0.25 + share)  # the second step goes on with half of the first one's gradient
        assert_same(weights, {"bias": torch.tensor([-last, last]), "weight": torch.zeros(2)})
        assert_same(loss, (math.log(2) - math.log(1 - share)) / 2, tolerance=(1e-4, 1e-5))

    def test_ignore_index(self, student):
        """With ignore_index=1, the one pixel of class 0 is left: loss log 2, bias 0.25 and -0.25"""
        loss, weights = epoch(student, one_pixel_network(), [batch(0.0, [1, 0, 1])], ignore_index=1)
        assert_same(weights, {"bias": torch.tensor([0.25, -0.25]), "weight": torch.zeros(2)})
        assert_same(loss, math.log(2), tolerance=(1e-4, 1e-5))

    # Nothing ignored, and batches of different sizes: what survives more mistakes than the tests do.
    def probe_sizes(self, student):
        return epoch(student, one_pixel_network(), [batch(3.0, [1, 1], [1, 0]), batch(1.0, [0])])

    def probe_one_batch(self, student):
        return epoch(student, one_pixel_network(bias=1.0), [batch(3.0, [1, 1, 0])])


def mask(*pictures):
    """Masks (N, H, W) from strings of digits; 9 stands for 255."""
    rows = [[[int(digit) for digit in row] for row in picture.split()] for picture in pictures]
    labels = torch.tensor(rows)
    return labels.where(labels != 9, torch.tensor(255))


def shares(*ranges):
    """The recall of each range, float64."""
    return torch.tensor(ranges, dtype=torch.float64)


class TestRecallBySize:
    """recall_by_size: which objects are found, by their area"""

    def test_two_sizes(self, student):
        """Objects of 2 and 6 pixels; all of the small one is missing, four of the six are right"""
        target = mask("1100 0222 0222")
        got = student.recall_by_size(mask("0000 0022 0022"), target, target, [1, 4, 10])
        assert_same(got, shares(0, 1))

    def test_half(self, student):
        """Four objects of four pixels, of which 2, 3, 1 and 1 are right: only 3 is more than half"""
        target = mask("1111 2222 3333 4444")
        got = student.recall_by_size(mask("1133 2223 3444 4000"), target, target, [4, 5])
        assert_same(got, shares(0.25))

    def test_false_positives(self, student):
        """Three objects: two are right, one of them with its class painted all around it, and one is missing"""
        target = mask("01100 00000 02220 00000 00033")
        got = student.recall_by_size(mask("11111 00000 02220 00000 00000"), target, target, [1, 4])
        assert_same(got, shares(2 / 3))

    def test_numbers(self, student):
        """Objects 1, 4 and 6 in one picture, other objects 1 and 4 in the next: three of the five are found"""
        target, instances = mask("33033033", "33033300"), mask("11044066", "11044400")
        got = student.recall_by_size(mask("33000033", "11033300"), target, instances, [0, 9])
        assert_same(got, shares(3 / 5))

    def test_ignored(self, student):
        """An object of five pixels, two of them ignored: area 3, and two right are more than half of that"""
        got = student.recall_by_size(mask("33000"), mask("33399"), mask("11111"), [2, 4, math.inf])
        assert_same(got, shares(1, math.nan))

    def test_nothing_left(self, student):
        """Number 1 is ignored throughout: the only object is number 2, of three pixels, two of them right"""
        got = student.recall_by_size(mask("00022"), mask("99222"), mask("11222"), [0, 5])
        assert_same(got, shares(1))

    def test_missing_numbers(self, student):
        """The only object has number 3; numbers 1 and 2 do not occur"""
        target = mask("4440")
        assert_same(student.recall_by_size(target, target, mask("3330"), [0, 5]), shares(1))

    def test_limits(self, student):
        """Ranges 1 to 3 and 3 to 5, areas 3 (found) and 5 (not): 3 belongs to the second range, 5 to none"""
        target = mask("44400 22222")
        got = student.recall_by_size(mask("44400 00000"), target, target, [1, 3, 5])
        assert_same(got, shares(math.nan, 1))

    def probe_pictures(self, student):
        """Shares of right pixels, halves and numbers, all different."""
        instances = mask("1112222000333334", "1111111022222000")
        pred = mask("1102221300222344", "1111000022000000")
        return student.recall_by_size(pred, mask("1112222000222224", "1111111022222000"), instances, [2, 4, 7, 9])
