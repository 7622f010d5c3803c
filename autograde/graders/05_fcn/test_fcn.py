"""Hidden graders of lesson 05. Random inputs come from `rng`; what is right is computed here, in another way."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.kit import draw, fill, random_labels, random_tensor
from seglab.checking.compare import Mismatch, assert_same


def blocks(x, factor):
    """Every value as a block, by a Kronecker product."""
    return torch.from_numpy(np.kron(x.numpy(), np.ones((1, 1, factor, factor), dtype=x.numpy().dtype)))


def gradient(student, function, x, factor, arriving):
    """What arrives at x when `arriving` comes back through the student's answer."""
    kept = student.keep(x.clone().requires_grad_())
    function.kept(kept, factor).call("backward", arriving)
    return kept.get("grad")


class TestUpsampleNearest:
    """upsample_nearest: every value becomes a block"""

    def test_blocks(self, student, rng):
        """Maps that are not square, several of them, with several channels"""
        for shape in ((2, 3, 4, 6), (3, 2, 7, 5)):
            x = random_tensor(rng, *shape)
            for factor in (2, 4):
                assert_same(student.upsample_nearest(x, factor), blocks(x, factor))

    def test_odd_factors(self, student, rng):
        """Odd factors, and large ones"""
        x = random_tensor(rng, 2, 2, 3, 5)
        for factor in (3, 2 * draw(rng, 2, 4) + 1, draw(rng, 16, 20)):
            assert_same(student.upsample_nearest(x, factor), blocks(x, factor))

    def test_once(self, student, rng):
        """A factor of 1 gives the maps back; maps of one row or one column are maps"""
        x = random_tensor(rng, 1, 2, 1, 4)
        for one in (x, x.mT):
            assert_same(student.upsample_nearest(one, 3), blocks(one, 3))
            assert_same(student.upsample_nearest(one, 1), one)

    def test_dtype_kept(self, student, rng):
        """Masks of integers, bytes, booleans and float64 keep their dtype and every value"""
        large = random_labels(rng, 1000, 2, 1, 3, 4) + 2**40  # no float32 holds these
        for x in (large, (large % 256).to(torch.uint8), large % 2 == 0, large.double() / 3):
            assert_same(student.upsample_nearest(x, 2), blocks(x, 2))

    def test_gradient(self, student, rng):
        """A gradient that comes back is collected in the value that it came from"""
        x, arriving = random_tensor(rng, 2, 2, 3, 4), random_tensor(rng, 2, 2, 6, 8)
        expected = 4 * F.avg_pool2d(arriving, 2)
        assert_same(gradient(student, student.upsample_nearest, x, 2, arriving), expected)

    def test_bad_factor(self, student, rng):
        """A factor below 1 raises ValueError; one that is no integer TypeError or ValueError"""
        x = random_tensor(rng, 1, 2, 3, 4)
        assert_same(student.upsample_nearest(x, 2), blocks(x, 2))
        for bad in (0, -draw(rng, 1, 4)):
            with student.raises(ValueError):
                student.upsample_nearest(x, bad)
        for bad in (2.0, 1.5, True, "2"):
            with student.raises(TypeError, ValueError):
                student.upsample_nearest(x, bad)

    def test_bad_shape(self, student, rng):
        """A tensor with three or five dimensions raises ValueError"""
        x = random_tensor(rng, 1, 2, 3, 4)
        assert_same(student.upsample_nearest(x, 2), blocks(x, 2))
        for bad in (x[0], x[None], x[0, 0]):
            with student.raises(ValueError):
                student.upsample_nearest(bad, 2)


def resized(x, size):
    """torch's own bilinear interpolation with half-pixel centres."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def enlarged(x, factor):
    return resized(x, (factor * x.shape[2], factor * x.shape[3]))


class TestUpsampleBilinear:
    """upsample_bilinear: gradual between half-pixel centres"""

    @pytest.mark.weight(2)
    def test_values(self, student, rng):
        """Maps that are not square, several of them, with several channels, enlarged by 2 and by 4"""
        for shape in ((2, 3, 4, 6), (3, 2, 7, 5)):
            x = random_tensor(rng, *shape)
            for factor in (2, 4):
                assert_same(student.upsample_bilinear(x, factor), enlarged(x, factor))

    def test_odd_factors(self, student, rng):
        """Odd factors"""
        x = random_tensor(rng, 2, 2, 4, 3)
        for factor in (3, 5, 2 * draw(rng, 3, 5) + 1):
            assert_same(student.upsample_bilinear(x, factor), enlarged(x, factor))

    def test_border(self, student, rng):
        """Beyond the outermost centres nothing changes, and no value leaves the range of the input"""
        factor = 2 * draw(rng, 4, 8)
        x = random_tensor(rng, 1, 2, 2, 3) + 5
        got = student.upsample_bilinear(x, factor)
        assert_same(got, enlarged(x, factor))
        half = factor // 2
        assert_same(got[:, :, :half, :half], x[:, :, :1, :1].expand(-1, -1, half, half))
        assert_same(got[:, :, -half:, -half:], x[:, :, -1:, -1:].expand(-1, -1, half, half))

    def test_one_row(self, student, rng):
        """Maps of one value, one row or one column; and a factor of 1 gives the map back"""
        x = random_tensor(rng, 2, 1, 1, 4)
        for one in (x, x.mT, x[..., :1]):
            assert_same(student.upsample_bilinear(one, 4), enlarged(one, 4))
            assert_same(student.upsample_bilinear(one, 1), one)

    def test_float64(self, student, rng):
        """float64 in, float64 out, with all its digits"""
        x = torch.from_numpy(rng.standard_normal((1, 2, 5, 4)))
        for factor in (3, 10):
            assert_same(student.upsample_bilinear(x, factor), enlarged(x, factor))

    def test_gradient(self, student, rng):
        """A gradient that comes back is shared out as the values were"""
        x, arriving = random_tensor(rng, 2, 2, 3, 4), random_tensor(rng, 2, 2, 9, 12)
        here = x.clone().requires_grad_()
        enlarged(here, 3).backward(arriving)
        assert_same(gradient(student, student.upsample_bilinear, x, 3, arriving), here.grad)

    def test_integers(self, student, rng):
        """Masks of classes, in any integer dtype or boolean, raise ValueError"""
        x = random_tensor(rng, 1, 2, 3, 4)
        assert_same(student.upsample_bilinear(x, 2), enlarged(x, 2))
        labels = random_labels(rng, 5, 1, 1, 3, 4)
        for bad in (labels, labels.to(torch.uint8), labels > 2):
            with student.raises(ValueError):
                student.upsample_bilinear(bad, 2)

    def test_bad_arguments(self, student, rng):
        """A factor below 1, one that is no integer, a tensor that is not (N, C, H, W)"""
        x = random_tensor(rng, 1, 2, 3, 4)
        assert_same(student.upsample_bilinear(x, 2), enlarged(x, 2))
        for bad in (0, -draw(rng, 1, 4)):
            with student.raises(ValueError):
                student.upsample_bilinear(x, bad)
        for bad in (2.0, True):
            with student.raises(TypeError, ValueError):
                student.upsample_bilinear(x, bad)
        for bad in (x[0], x[None]):
            with student.raises(ValueError):
                student.upsample_bilinear(bad, 2)


def tents(factor, num_channels):
    """The weights as the answer to single ones: each channel's 1 in a map of zeros, interpolated."""
    weight = torch.zeros(num_channels, num_channels, 2 * factor - factor % 2, 2 * factor - factor % 2)
    lit = torch.zeros(1, 1, 5, 5)
    lit[0, 0, 2, 2] = 1
    tent = enlarged(lit, factor)[0, 0]  # (5 * factor, 5 * factor)
    inside = slice(2 * factor - factor // 2, 2 * factor - factor // 2 + weight.shape[2])
    for channel in range(num_channels):
        weight[channel, channel] = tent[inside, inside]
    return weight


class TestBilinearKernel:
    """bilinear_kernel: weights that make a transposed convolution interpolate"""

    def test_even_factors(self, student, rng):
        """Even factors, one channel: every weight"""
        for factor in (2, 4, 2 * draw(rng, 3, 6)):
            assert_same(student.bilinear_kernel(factor, 1), tents(factor, 1))

    def test_odd_factors(self, student, rng):
        """Odd factors, one channel: every weight"""
        for factor in (3, 5, 2 * draw(rng, 3, 6) + 1):
            assert_same(student.bilinear_kernel(factor, 1), tents(factor, 1))

    def test_channels(self, student, rng):
        """Several channels: each on its own, with the same weights"""
        for factor in (2, 3):
            num_channels = draw(rng, 2, 6)
            assert_same(student.bilinear_kernel(factor, num_channels), tents(factor, num_channels))

    @pytest.mark.weight(2)
    def test_interpolates(self, student, rng):
        """In a transposed convolution it enlarges: inside as interpolation does, too small at the border"""
        for factor in (2, 3, 2 * draw(rng, 2, 4)):
            x = random_tensor(rng, 2, 3, 5, 4)
            weight = student.bilinear_kernel(factor, 3)
            assert_same(weight, tents(factor, 3))
            ringed = F.pad(x, (1, 1, 1, 1))  # zeros around the map are what a transposed convolution has there
            got = F.conv_transpose2d(x, weight, stride=factor, padding=factor // 2)
            assert_same(got, enlarged(ringed, factor)[:, :, factor:-factor, factor:-factor])

    def test_once(self, student, rng):
        """A factor of 1 leaves every map as it is"""
        x = random_tensor(rng, 1, 4, 3, 2)
        weight = student.bilinear_kernel(1, 4)
        assert_same(weight, tents(1, 4))
        assert_same(F.conv_transpose2d(x, weight), x)

    def test_bad_arguments(self, student, rng):
        """A factor or a number of channels below 1 raises ValueError"""
        assert_same(student.bilinear_kernel(2, 1), tents(2, 1))
        for bad in (0, -draw(rng, 1, 5)):
            with student.raises(ValueError):
                student.bilinear_kernel(bad, 2)
            with student.raises(ValueError):
                student.bilinear_kernel(2, bad)


def layer(kind, kernel_size, stride=1, padding=0, dilation=1):
    described = {"kind": kind, "kernel_size": kernel_size, "stride": stride}
    described |= {"padding": padding} if padding else {}
    return described | ({"dilation": dilation} if dilation != 1 else {})


def size_after(layers, size):
    """How many rows come out of `size` rows, or None where a stride leaves some over (or nothing is left)."""
    for one in layers:
        reach = one.get("dilation", 1) * (one["kernel_size"] - 1) + 1 - 2 * one.get("padding", 0)
        if one["kind"] == "deconv":
            size = (size - 1) * one["stride"] + reach
        else:
            if (size - reach) % one["stride"] or size < reach:
                return None
            size = (size - reach) // one["stride"] + 1
    return size


def offset_by_symmetry(layers, onto=()):
    """The offset for a picture that fits exactly: nothing then tells first from last, so both ends are cut alike."""
    for size in range(1, 3000):
        here, there = size_after(layers, size), size_after(onto, size)
        if here and there and here >= there:
            assert (here - there) % 2 == 0
            return (here - there) // 2
    raise AssertionError("no picture fits these layers")


def enlargement(stride, more=0):
    """A deconv that covers its stride twice."""
    return layer("deconv", 2 * stride - stride % 2 + 2 * more, stride)


class TestCropOffset:
    """crop_offset: where one map lies on another"""

    def test_convolutions(self, student, rng):
        """Convolutions with padding, none of them with a stride"""
        for _ in range(3):
            layers = [layer("conv", 2 * draw(rng, 0, 3) + 1, 1, draw(rng, 7, 90)) for _ in range(3)]
            assert_same(student.crop_offset(layers), offset_by_symmetry(layers))

    @pytest.mark.weight(2)
    def test_down_and_up(self, student, rng):
        """Convolutions and pooling, then one deconv back to the picture's step"""
        for stages in (1, 2, 4):
            layers = [layer("conv", 3, 1, draw(rng, 30, 60) * 2**stages)]
            for _ in range(stages):
                layers += [layer("pool", 2, 2), layer("conv", 2 * draw(rng, 0, 2) + 1)]
            layers.append(enlargement(2**stages))
            assert_same(student.crop_offset(layers), offset_by_symmetry(layers))

    def test_several_deconvs(self, student, rng):
        """Back in several steps, with convolutions between them"""
        layers = [layer("conv", 3, 1, draw(rng, 40, 60)), layer("conv", 2, 2), layer("pool", 3, 2), layer("pool", 2, 2)]
        layers += [enlargement(2, draw(rng, 0, 1)), layer("conv", 3, 1, 1), enlargement(2, draw(rng, 0, 1))]
        layers += [layer("conv", 5, 1, draw(rng, 0, 2)), layer("deconv", 4, 2)]
        assert_same(student.crop_offset(layers), offset_by_symmetry(layers))

    def test_padding_everywhere(self, student, rng):
        """Padding in convolutions, pooling and deconvs; where it is not named, it is zero"""
        for padding in (0, 1, 2):
            layers = [layer("conv", 5, 1, draw(rng, 20, 40)), layer("pool", 3, 2, 1), layer("conv", 3, 2, padding)]
            layers += [layer("conv", 1, 1, 2 * draw(rng, 1, 4)), layer("deconv", 5, 4, padding)]
            assert_same(student.crop_offset(layers), offset_by_symmetry(layers))

    def test_dilation(self, student, rng):
        """Dilated convolutions reach further"""
        for dilation in (2, draw(rng, 3, 6)):
            layers = [layer("conv", 3, 1, 50, dilation), layer("conv", 5, 1, draw(rng, 0, 9), dilation)]
            assert_same(student.crop_offset(layers), offset_by_symmetry(layers))

    def test_odd_strides(self, student, rng):
        """Strides of 3, 5 and 7, down and up, or up first, where floats are not exact"""
        for stride in (3, 5, 7):
            layers = [layer("conv", 3, stride, stride * draw(rng, 20, 40)), layer("conv", 3, 3)]
            layers += [enlargement(stride), enlargement(3)]
            assert_same(student.crop_offset(layers), offset_by_symmetry(layers))
        layers = [layer("conv", 1, 1, draw(rng, 10, 20)), enlargement(7), enlargement(7), layer("conv", 97, 49)]
        assert_same(student.crop_offset(layers), offset_by_symmetry(layers))

    @pytest.mark.weight(2)
    def test_onto_another_map(self, student, rng):
        """A skip on a map that went deeper and was enlarged: rows of the skip, not pixels"""
        for stages in (2, 3, 4):
            shared = [layer("conv", 3, 1, draw(rng, 40, 50) * 2)]
            for _ in range(stages - 1):
                shared += [layer("conv", 3, 1, 1), layer("pool", 2, 2)]
            deeper = [*shared, layer("conv", 3, 1, 1), layer("pool", 2, 2), layer("conv", 2 * draw(rng, 2, 4) + 1)]
            deeper.append(enlargement(2))
            assert_same(student.crop_offset(shared, deeper), offset_by_symmetry(shared, deeper))

    def test_other_steps(self, student, rng):
        """Two maps whose rows are not equally far apart raise ValueError"""
        padding = draw(rng, 5, 50)
        right = layer("conv", 3, 1, padding)
        assert_same(student.crop_offset([right]), padding - 1)
        for stride in (2, 3):
            pooled = [layer("conv", 1, 1, 61 * stride - 1), layer("pool", 2 * stride - 1, stride)]
            for pair in ((pooled,), ([right], pooled), (pooled, [right]), ([*pooled, enlargement(stride + 1)],)):
                with student.raises(ValueError):
                    student.crop_offset(*pair)

    def test_no_such_row(self, student, rng):
        """Half a row, or a row before the first, raises ValueError; row 0 does not"""
        padding = draw(rng, 5, 50)
        assert_same(student.crop_offset([layer("conv", 1, 1, padding)]), padding)
        assert_same(student.crop_offset([layer("conv", 3, 1, 1)]), 0)
        even, third = layer("conv", 2 * draw(rng, 1, 3), 1, padding), layer("pool", 3, 3)
        for layers in (
            [even],
            [layer("conv", 3, 1, 0)],
            [layer("conv", 2 * padding + 3, 1, padding)],
            [layer("conv", 1, 1, 61), layer("pool", 2, 2), layer("deconv", 3, 2)],
            [layer("conv", 1, 1, padding), layer("pool", 1, 3), enlargement(3), layer("conv", 2, 1)],
        ):
            with student.raises(ValueError):
                student.crop_offset(layers)
        with student.raises(ValueError):  # a third of a row
            student.crop_offset([layer("conv", 1, 1, 31), third], [layer("conv", 3, 3, 0)])

    def test_unknown_kind(self, student, rng):
        """A layer that is neither convolution, pooling nor deconv raises ValueError, in either chain"""
        padding = draw(rng, 5, 50)
        assert_same(student.crop_offset([layer("conv", 1, 1, padding)]), padding)
        for kind in ("linear", "unpool", "dropout"):
            for bad in (layer(kind, 1), {"kind": kind, "in_features": 4, "out_features": 4}):
                with student.raises(ValueError):
                    student.crop_offset([layer("conv", 1, 1, padding), bad])
                with student.raises(ValueError):
                    student.crop_offset([layer("conv", 1, 1, padding)], [bad])


STRIDES = (32, 16, 8)


def interpolation(count, size):
    """(size, count): the shares that each of `size` rows takes of `count` rows; numpy's line goes on flat outside."""
    places = (np.arange(size) + 0.5) * count / size - 0.5
    ones = np.eye(count)
    columns = [np.interp(places, np.arange(count), ones[row]) for row in range(count)]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def enlarged_to(scores, size):
    rows, cols = (interpolation(count, pixels) for count, pixels in zip(scores.shape[2:], size, strict=True))
    return torch.einsum("hr,nkrc,wc->nkhw", rows, scores, cols)


def halving_stages(rng, widths, in_channels=3):
    """Five stages in the manner of `seglab.networks`, with weights of the run, in evaluation mode.

    The shift of the normalization keeps the ReLUs open: where a map is zero, nothing can be seen of what follows it.
    """
    stages = nn.Sequential()
    for width in widths:
        block = (nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))
        stages.append(nn.Sequential(*block))
        in_channels = width
    fill(rng, stages)
    for stage in stages:
        nn.init.constant_(stage[1].bias, 1.0)
        nn.init.zeros_(stage[1].running_mean)
    return stages


def random_scores(rng, widths, num_classes, stride):
    """Weights for the score layers that this stride needs, by name."""
    state = {}
    for name, width in (("score_32", widths[4]), ("score_16", widths[3]), ("score_8", widths[2])):
        if int(name[6:]) >= stride:
            state[f"{name}.weight"] = random_tensor(rng, num_classes, width, 1, 1)
            state[f"{name}.bias"] = random_tensor(rng, num_classes)
            state[f"{name}.bias"][0] -= 10  # so that one class has negative scores only
    return state


def expected_logits(stages, state, x):
    """What the network must answer: scores by a product with the weights, enlarged row by row."""
    maps = {}
    y = x
    for number, stage in enumerate(stages):
        y = stage(y)
        maps[2 ** (number + 1)] = y
    scores = None
    for stride in STRIDES:
        if f"score_{stride}.weight" in state:
            weight, bias = state[f"score_{stride}.weight"], state[f"score_{stride}.bias"]
            here = torch.einsum("kd,ndhw->nkhw", weight[:, :, 0, 0], maps[stride]) + bias[:, None, None]
            scores = here if scores is None else enlarged_to(scores, here.shape[2:]) + here
    return enlarged_to(scores, x.shape[2:])


def new_weights(net):
    """A network's weights by name. On record are their shapes and which are zero: the other values are chance."""
    found = net.parameters()
    net.student.calls[-1].value = [(name, tuple(found[name].shape), bool(found[name].any())) for name in sorted(found)]
    return found


def answer(net, x):
    """What a network gives for x, under a name of its own: the record must tell it from a call of the class."""
    return net.call("__call__", x)


def load(net, state):
    """Give the student's network these score layers; it must have them, in these shapes."""
    there = {name: tuple(value.shape) for name, value in new_weights(net).items()}
    for name, value in state.items():
        if there.get(name) != tuple(value.shape):
            raise Mismatch("rule", f"{name} of shape {tuple(value.shape)}", there.get(name, "no such weights"))
    net.call("load_state_dict", state, strict=False, keep=True)
    net.call("eval", keep=True)
    return net


def random_widths(rng):
    return [int(width) for width in rng.permutation(5) + 3]  # no two alike


class TestFCN:
    """FCN: scores at 32, 16 and 8 pixels, summed and enlarged"""

    def check_logits(self, student, rng, stride, height, width, num_classes=4):
        widths = random_widths(rng)
        stages, state = halving_stages(rng, widths), random_scores(rng, widths, num_classes, stride)
        x = random_tensor(rng, 2, 3, height, width)
        net = load(student.FCN.module(stages, widths, num_classes, stride), state)
        with torch.no_grad():
            assert_same(answer(net, x), expected_logits(stages, state, x))

    def test_stride_32(self, student, rng):
        """FCN-32s: logits of the picture's size, the sides multiples of 32"""
        self.check_logits(student, rng, 32, 64, 96)

    def test_stride_16(self, student, rng):
        """FCN-16s: deep scores enlarged to the skip's size, summed, enlarged to the picture"""
        self.check_logits(student, rng, 16, 96, 64)

    def test_stride_8(self, student, rng):
        """FCN-8s: two sums, from deep to shallow"""
        self.check_logits(student, rng, 8, 64, 96)

    @pytest.mark.weight(2)
    def test_any_size(self, student, rng):
        """Pictures whose sides no 32 divides, not square, down to the smallest; one class and several"""
        for stride, size in ((32, (70, 45)), (16, (57, 90)), (8, (draw(rng, 56, 63), draw(rng, 104, 111)))):
            self.check_logits(student, rng, stride, *size)
        self.check_logits(student, rng, 8, 32, 47, num_classes=1)

    def test_weights(self, student, rng):
        """Only the score layers that the stride needs have weights, with bias, besides the encoder's own"""
        for stride in STRIDES:
            widths, num_classes = random_widths(rng), draw(rng, 7, 9)
            stages = halving_stages(rng, widths)
            net = student.FCN.module(stages, widths, num_classes, stride)
            got = {name: list(value.shape) for name, value in new_weights(net).items()}
            expected = {f"encoder.{name}": list(value.shape) for name, value in stages.named_parameters()}
            expected |= {name: list(v.shape) for name, v in random_scores(rng, widths, num_classes, stride).items()}
            assert_same(got, expected)

    def test_skips_start_at_zero(self, student, rng):
        """A new network's skips are zero and its deep scores are not: it answers as the coarser one would"""
        for stride in (16, 8):
            widths = random_widths(rng)
            stages, x = halving_stages(rng, widths), random_tensor(rng, 1, 3, 64, 80)
            net = student.FCN.module(stages, widths, 3, stride)
            state = random_scores(rng, widths, 3, 32)
            skips = {name: 0 * value for name, value in random_scores(rng, widths, 3, stride).items()}
            new = new_weights(net)
            for name in new.keys() & (skips.keys() - {"score_32.bias"}):
                if bool(new[name].any()) != (name == "score_32.weight"):
                    raise Mismatch("rule", "skips of zeros, score_32 as torch makes it", f"another start of {name}")
            load(net, state)
            with torch.no_grad():
                assert_same(answer(net, x), expected_logits(stages, skips | state, x))

    @pytest.mark.weight(2)
    def test_gradients(self, student, rng):
        """All score layers and the whole encoder learn: the gradient of every weight"""
        for stride in (32, 8):
            widths = random_widths(rng)
            stages, state = halving_stages(rng, widths), random_scores(rng, widths, 3, stride)
            x, arriving = random_tensor(rng, 1, 3, 64, 64), random_tensor(rng, 1, 3, 64, 64) / 300
            net = load(student.FCN.module(stages, widths, 3, stride), state)
            state = {name: value.clone().requires_grad_() for name, value in state.items()}
            expected_logits(stages, state, x).backward(arriving)
            expected = {f"encoder.{name}": value.grad for name, value in stages.named_parameters()}
            expected |= {name: value.grad for name, value in state.items()}
            found = net.gradients(x, arriving)
            student.calls[-1].value = {name: found[name] for name in sorted(found)}  # in whatever order they were made
            assert_same(found, expected)

    def test_each_stage_once(self, student, rng):
        """In training mode, with the statistics of the batch, each stage runs exactly once per call"""
        widths = random_widths(rng)
        stages, state = halving_stages(rng, widths), random_scores(rng, widths, 2, 8)
        net = load(student.FCN.module(stages, widths, 2, 8), state)
        x = random_tensor(rng, 3, 3, 64, 64)
        net.call("train", keep=True)
        here = copy.deepcopy(stages).train()
        with torch.no_grad():
            assert_same(answer(net, x), expected_logits(here, state, x))
        seen = [net.get(f"encoder.{number}.1.num_batches_tracked") for number in range(5)]
        assert_same(seen, [one[1].num_batches_tracked for one in here])

    def test_bad_arguments(self, student, rng):
        """Another stride, or not five stages or widths, raise ValueError"""
        widths = random_widths(rng)
        stages, state = halving_stages(rng, widths), random_scores(rng, widths, 2, 32)
        net, x = load(student.FCN.module(stages, widths, 2, 32), state), random_tensor(rng, 1, 3, 32, 32)
        with torch.no_grad():
            assert_same(answer(net, x), expected_logits(stages, state, x))
        kept = student.keep(stages)
        for stride in (4, 64, 24, 0, -8, 31, 33, 15, 17, 7, 9):
            with student.raises(ValueError):
                student.FCN(kept, widths, 2, stride)
        for bad in (widths[:4], [*widths, 3], []):
            with student.raises(ValueError):
                student.FCN(kept, bad, 2, 32)
        for bad in (stages[:4], nn.Sequential(*stages, nn.Sequential(nn.MaxPool2d(2)))):
            with student.raises(ValueError):
                student.FCN(bad, widths, 2, 32)
        with student.raises(ValueError):
            student.FCN(stages[:4], widths[:4], 2, 32)


def scatter(rng, objects, height=12, width=16):
    """One picture with objects of given (number, area, pixels that are right), their pixels anywhere.

    Every wrong pixel of an object shows another class, or background; pixels of no object show anything.
    Returns pred, target and instances, (H, W) each.
    """
    places = torch.from_numpy(rng.permutation(height * width))
    target, instances = torch.zeros(2, height * width, dtype=torch.int64)
    pred = random_labels(rng, 5, height * width)
    for number, area, right in objects:
        own, places = places[:area], places[area:]
        label = draw(rng, 1, 4)
        instances[own], target[own] = number, label
        pred[own] = label
        pred[own[right:]] = (label + random_labels(rng, 4, area - right) + 1) % 5
    return tuple(one.reshape(height, width) for one in (pred, target, instances))


def pictures(rng, *each):
    """Several pictures at once: pred, target and instances, (N, H, W) each."""
    return [torch.stack(maps) for maps in zip(*(scatter(rng, objects) for objects in each), strict=True)]


def shares(*values):
    return torch.tensor(values, dtype=torch.float64)


class TestRecallBySize:
    """recall_by_size: which objects are found, by their area"""

    @pytest.mark.weight(2)
    def test_ranges(self, student, rng):
        """Objects of several sizes in one picture, some found, some not"""
        small = [(1, 3, 2), (2, 4, 1), (3, 5, 4), (4, draw(rng, 3, 5), 0)]
        large = [(5, 20, 11), (6, 22, 19), (7, draw(rng, 20, 25), 9)]
        pred, target, instances = pictures(rng, small + large)
        assert_same(student.recall_by_size(pred, target, instances, [2, 6, 26]), shares(2 / 4, 2 / 3))
        assert_same(student.recall_by_size(pred, target, instances, [1, 100]), shares(4 / 7))

    def test_more_than_half(self, student, rng):
        """Exactly half is not enough, one pixel more is; for odd areas too"""
        for area in (2 * draw(rng, 2, 9), 2 * draw(rng, 2, 9) + 1):
            half = area // 2
            objects = [(1, area, half), (2, area, half + 1), (3, area, area)]
            assert_same(student.recall_by_size(*pictures(rng, objects), [1, 50]), shares(2 / 3))

    def test_limits(self, student, rng):
        """An area on a limit belongs to the range that begins there; objects outside all ranges are left out"""
        low, high = draw(rng, 5, 7), draw(rng, 10, 12)
        objects = [(1, low - 1, low - 1), (2, low, low), (3, high - 1, 0), (4, high, high), (5, 20, 0), (6, 21, 21)]
        got = student.recall_by_size(*pictures(rng, objects), [low, high, 20])
        assert_same(got, shares(1 / 2, 1))
        got = student.recall_by_size(*pictures(rng, objects), [high, 21, math.inf])
        assert_same(got, shares(1 / 2, 1))

    def test_numbers_per_picture(self, student, rng):
        """The same numbers in several pictures are different objects; numbers may be missing or large"""
        far = draw(rng, 50, 900)
        first, second, third = [(1, 6, 5), (far, 7, 0)], [(1, 6, 0), (2, 20, 18)], [(far, 9, 0), (1, 20, 1)]
        pred, target, instances = pictures(rng, first, second, third)
        assert_same(student.recall_by_size(pred, target, instances, [6, 10, 21]), shares(1 / 4, 1 / 2))

    def test_ignored(self, student, rng):
        """Ignored pixels count neither for the area nor for what was found; an object may vanish altogether"""
        pred, target, instances = pictures(rng, [(1, 12, 7), (2, 12, 7), (3, 8, 8), (4, 20, 0)])
        right = pred == target
        for number, hit, count in ((1, True, 4), (2, False, 4), (3, True, 8)):
            own = ((instances == number) & (right == hit)).nonzero()[:count]
            target[tuple(own.T)] = 255
        # What is left: 8 pixels with 3 right, 8 with 7 right, nothing, 20 with none.
        assert_same(student.recall_by_size(pred, target, instances, [1, 9, 13, 30]), shares(1 / 2, math.nan, 0))
        pred = pred.where(target != 255, target)  # a prediction of 255 there changes nothing
        assert_same(student.recall_by_size(pred, target, instances, [1, 9, 13, 30]), shares(1 / 2, math.nan, 0))

    def test_wrong_class(self, student, rng):
        """An object that shows up as another class, or as background, is not found; nor does it help its neighbour"""
        pred, target, instances = pictures(rng, [(1, 9, 9), (2, 9, 0), (3, 9, 0)])
        label = (target * (instances == 1)).amax()
        target = torch.where(instances == 3, label, target)
        pred = torch.where(instances == 2, (target % 4) + 1, pred)  # another object class throughout
        pred = torch.where(instances == 3, torch.zeros_like(pred), pred)
        pred = torch.where(instances == 0, label, pred)  # and its own class all around
        assert_same(student.recall_by_size(pred, target, instances, [9, 10]), shares(1 / 3))

    def test_nothing_there(self, student, rng):
        """A range without objects is NaN, in any place; so are all ranges of pictures without objects"""
        pred, target, instances = pictures(rng, [(1, 10, 9)], [])
        got = student.recall_by_size(pred, target, instances, [1, 5, 15, 20, 30])
        assert_same(got, shares(math.nan, 1, math.nan, math.nan))
        nothing = student.recall_by_size(pred[1:], target[1:], instances[1:], [1, 5, 15])
        assert_same(nothing, shares(math.nan, math.nan))

    def test_bad_arguments(self, student, rng):
        """Masks of different shapes, fewer than two edges, or edges that do not rise raise ValueError"""
        pred, target, instances = pictures(rng, [(1, 10, 9), (2, 5, 0)], [(2, 10, 0)])
        assert_same(student.recall_by_size(pred, target, instances, [5, 8, 11]), shares(0, 1 / 2))
        for bad in (
            (pred[:1], target, instances),
            (pred, target[:1], instances[:1]),
            (pred, target, instances[:1]),
            (pred, target[:, :-1], instances),
            (pred, target, instances.mT),
        ):
            with student.raises(ValueError):
                student.recall_by_size(*bad, [5, 8, 11])
        for edges in ([], [5], [5, 5], [8, 5], [5, 11, 8], [5, 8, 8]):
            with student.raises(ValueError):
                student.recall_by_size(pred, target, instances, edges)
