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


def back(answer, arriving):
    """Send a gradient back through a kept answer; from a single number, since that is faster for torch."""
    answer.call("mul", arriving, keep=True).call("sum", keep=True).call("backward")


def gradient(student, function, x, factor, arriving):
    """What arrives at x when `arriving` comes back through the student's answer."""
    kept = student.keep(x.clone().requires_grad_())
    back(function.kept(kept, factor), arriving)
    return kept.get("grad")


class TestUpsampleNearest:
    """upsample_nearest: every value becomes a block"""

    def test_blocks(self, student, rng):
        """Several maps with several channels, of any shape, enlarged by even and odd factors"""
        for shape in ((2, 3, 4, 6), (3, 2, 7, 5), (1, 2, 1, 4), (2, 1, 3, 1)):
            x = random_tensor(rng, *shape)
            for factor in (2, 3, draw(rng, 4, 9), 1):
                assert_same(student.upsample_nearest(x, factor), blocks(x, factor))

    def test_masks(self, student, rng):
        """Masks of classes stay masks: int64, and no value that was not there"""
        labels = random_labels(rng, 256, 2, 1, 3, 5)
        for factor in (2, draw(rng, 3, 6)):
            assert_same(student.upsample_nearest(labels, factor), blocks(labels, factor))

    def test_gradient(self, student, rng):
        """A gradient that comes back is collected in the value that it came from"""
        x, arriving = random_tensor(rng, 2, 2, 3, 4), random_tensor(rng, 2, 2, 6, 8)
        expected = 4 * F.avg_pool2d(arriving, 2)
        assert_same(gradient(student, student.upsample_nearest, x, 2, arriving), expected)


def resized(x, size):
    """torch's own bilinear interpolation with half-pixel centres."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def enlarged(x, factor):
    return resized(x, (factor * x.shape[2], factor * x.shape[3]))


def inside(got, expected, rim):
    """Both without their outermost pixels, where the shapes agree."""
    if isinstance(got, torch.Tensor) and got.shape == expected.shape:
        return [one[..., rim:-rim, rim:-rim] for one in (got, expected)]
    return got, expected


class TestUpsampleBilinear:
    """upsample_bilinear: gradual between half-pixel centres"""

    @pytest.mark.weight(2)
    def test_inside(self, student, rng):
        """Between the outermost centres: several maps with several channels, not square, enlarged by 2 and by 4"""
        for shape, factor in (((2, 3, 4, 6), 2), ((3, 2, 4, 3), 4)):
            x = random_tensor(rng, *shape)
            assert_same(*inside(student.upsample_bilinear(x, factor), enlarged(x, factor), factor // 2))

    @pytest.mark.weight(2)
    def test_border(self, student, rng):
        """Beyond the outermost centres their values go on, on all four sides"""
        for shape, factor in (((1, 2, 2, 3), 2 * draw(rng, 2, 4)), ((2, 1, 4, 2), 2)):
            x = random_tensor(rng, *shape) + 5
            assert_same(student.upsample_bilinear(x, factor), enlarged(x, factor))

    @pytest.mark.weight(2)
    def test_odd_factors(self, student, rng):
        """Odd factors, 1 among them"""
        x = random_tensor(rng, 2, 2, 2, 3)
        for factor in (3, 2 * draw(rng, 2, 3) + 1, 1):
            assert_same(student.upsample_bilinear(x, factor), enlarged(x, factor))

    def test_one_row(self, student, rng):
        """Maps of one row, one column, one value"""
        x = random_tensor(rng, 2, 1, 1, 4)
        for one in (x, x.mT, x[..., :1]):
            assert_same(student.upsample_bilinear(one, 2), enlarged(one, 2))

    def test_gradient(self, student, rng):
        """A gradient that comes back is shared out as the values were"""
        x, arriving = random_tensor(rng, 2, 2, 3, 4), random_tensor(rng, 2, 2, 9, 12)
        here = x.clone().requires_grad_()
        (enlarged(here, 3) * arriving).sum().backward()
        assert_same(gradient(student, student.upsample_bilinear, x, 3, arriving), here.grad)

    def probe_square(self, student, rng):
        return student.upsample_bilinear(random_tensor(rng, 2, 3, 3, 3), 2)

    def probe_one_channel(self, student, rng):
        return student.upsample_bilinear(random_tensor(rng, 1, 1, 2, 5), 4)


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
        for factor in (4, 2, 2 * draw(rng, 3, 6)):
            assert_same(student.bilinear_kernel(factor, 1), tents(factor, 1))

    def test_odd_factors(self, student, rng):
        """Odd factors, one channel: every weight"""
        for factor in (5, 3, 2 * draw(rng, 3, 6) + 1):
            assert_same(student.bilinear_kernel(factor, 1), tents(factor, 1))

    def test_channels(self, student, rng):
        """Several channels: each out of itself alone"""
        for factor in (2, 3, 1):
            num_channels = draw(rng, 2, 6)
            assert_same(student.bilinear_kernel(factor, num_channels), tents(factor, num_channels))


def layer(kind, kernel_size, stride=1, padding=0):
    described = {"kind": kind, "kernel_size": kernel_size, "stride": stride}
    return described | ({"padding": padding} if padding else {})


def size_after(layers, size):
    """How many rows come out of `size` rows, or None where a stride leaves some over (or nothing is left)."""
    for one in layers:
        reach = one["kernel_size"] - 2 * one.get("padding", 0)
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
    """A deconv whose kernel covers its stride and as much again."""
    return layer("deconv", 2 * stride + 2 * more, stride)


def offset(student, *chains):
    """The student's answer; a float that is a whole number is taken, and put on record, as that number."""
    row = student.crop_offset(*chains)
    if isinstance(row, float) and row.is_integer():
        row = student.seen[-1] = int(row)
    return row


class TestCropOffset:
    """crop_offset: where one map lies on another"""

    def test_convolutions(self, student, rng):
        """Convolutions with padding, none of them with a stride"""
        for _ in range(3):
            layers = [layer("conv", 2 * draw(rng, 0, 3) + 1, 1, draw(rng, 7, 90)) for _ in range(3)]
            assert_same(offset(student, layers), offset_by_symmetry(layers))

    @pytest.mark.weight(2)
    def test_down_and_up(self, student, rng):
        """Convolutions and pooling, then one deconv back to the picture's jump"""
        for stages in (2, 1, 4):
            layers = [layer("conv", 3, 1, draw(rng, 30, 60) * 2**stages)]
            for _ in range(stages):
                layers += [layer("pool", 2, 2), layer("conv", 2 * draw(rng, 0, 2) + 1)]
            layers.append(enlargement(2**stages))
            assert_same(offset(student, layers), offset_by_symmetry(layers))

    def test_several_deconvs(self, student, rng):
        """Back in several steps, with convolutions between them"""
        layers = [layer("conv", 3, 1, draw(rng, 40, 60)), layer("conv", 2, 2), layer("pool", 3, 2), layer("pool", 2, 2)]
        layers += [enlargement(2, draw(rng, 0, 1)), layer("conv", 3, 1, 1), enlargement(2, draw(rng, 0, 1))]
        layers += [layer("conv", 5, 1, draw(rng, 0, 2)), layer("deconv", 4, 2)]
        assert_same(offset(student, layers), offset_by_symmetry(layers))

    def test_padding_everywhere(self, student, rng):
        """Padding in convolutions, pooling and deconvs; where it is not named, it is zero"""
        for padding in (1, 0, 2):
            layers = [layer("conv", 5, 1, draw(rng, 20, 40)), layer("pool", 3, 2, 1), layer("conv", 3, 2, padding)]
            layers += [layer("conv", 1, 1, 2 * draw(rng, 1, 4)), layer("deconv", 5, 4, padding)]
            assert_same(offset(student, layers), offset_by_symmetry(layers))

    @pytest.mark.weight(2)
    def test_onto_another_map(self, student, rng):
        """A skip on a map that went deeper and was enlarged: rows of the skip, not pixels"""
        for stages in (3, 2, 4):
            shared = [layer("conv", 3, 1, draw(rng, 40, 50) * 2)]
            for _ in range(stages - 1):
                shared += [layer("conv", 3, 1, 1), layer("pool", 2, 2)]
            deeper = [*shared, layer("conv", 3, 1, 1), layer("pool", 2, 2), layer("conv", 2 * draw(rng, 2, 4) + 1)]
            deeper.append(enlargement(2))
            assert_same(offset(student, shared, deeper), offset_by_symmetry(shared, deeper))

    @pytest.mark.weight(2)
    def test_no_such_row(self, student, rng):
        """Maps of different jumps, half a row, a row before the first: ValueError. Row 0 is a row"""
        padding = draw(rng, 70, 90)
        padded, pooled = layer("conv", 3, 1, padding), [layer("conv", 1, 1, 60), layer("pool", 1, 2)]
        assert_same(offset(student, [padded]), padding - 1)
        assert_same(offset(student, [layer("conv", 3, 1, 1)]), 0)
        for pair in (
            (pooled,),
            ([padded], pooled),
            ([*pooled, layer("deconv", 5, 4)],),
            ([layer("conv", 2 * draw(rng, 1, 3), 1, padding)],),
            ([layer("conv", 1, 1, 61), layer("pool", 2, 2), layer("deconv", 3, 2)],),
            ([layer("conv", 2 * padding + 3, 1, padding)],),
        ):
            with student.raises(ValueError):
                student.crop_offset(*pair)

    # Rows that are whole and not negative also where halves, jumps or signs are wrong: two of each kind.
    def probe_two_convolutions(self, student, rng):
        return offset(student, [layer("conv", 3, 1, draw(rng, 11, 19)), layer("conv", 7, 1, draw(rng, 22, 39))])

    def probe_four_convolutions(self, student, rng):
        return offset(student, [layer("conv", size, 1, draw(rng, 11, 19)) for size in (5, 3, 9, 1)])

    def probe_deconv(self, student, rng):
        return offset(student, [layer("conv", 1, 1, draw(rng, 41, 59)), layer("pool", 3, 2), layer("deconv", 5, 2)])

    def probe_large_deconv(self, student, rng):
        layers = [layer("conv", 1, 1, draw(rng, 61, 79)), layer("pool", 3, 2), layer("pool", 3, 2)]
        return offset(student, [*layers, layer("deconv", 5, 4)])

    def probe_before_the_first(self, student, rng):
        return offset(student, [layer("conv", 2 * draw(rng, 20, 29) + 1)])

    def probe_far_before_the_first(self, student, rng):
        return offset(student, [layer("conv", 2 * draw(rng, 20, 29) + 1), layer("conv", 2 * draw(rng, 30, 39) + 1)])

    def probe_onto(self, student, rng):
        shared = [layer("conv", 3, 1, 2 * draw(rng, 31, 39)), layer("pool", 3, 4)]
        return offset(student, shared, [*shared, layer("conv", 7), layer("pool", 3, 2), layer("deconv", 5, 2)])

    # A kernel so large that the row is there whatever happens to the padding.
    def probe_padding(self, student, rng):
        return offset(student, [layer("conv", 3, 1, draw(rng, 4, 9))], [layer("conv", 61, 1, draw(rng, 11, 15))])

    def probe_more_padding(self, student, rng):
        return offset(student, [layer("conv", 1, 1, draw(rng, 4, 9))], [layer("conv", 81, 1, draw(rng, 11, 15))])

    # Rows that do not exist: no map with that jump, half a row, before the first.
    def probe_two_jumps(self, student, rng):
        return offset(student, [layer("conv", 1, 1, 2 * draw(rng, 21, 29)), layer("pool", 1, 2)])

    def probe_two_other_jumps(self, student, rng):
        return offset(student, [layer("conv", 3, 1, draw(rng, 31, 39))], [layer("conv", 5), layer("pool", 1, 2)])

    def probe_half_a_row(self, student, rng):
        return offset(student, [layer("conv", 4, 1, draw(rng, 21, 29))])

    def probe_another_half(self, student, rng):
        return offset(student, [layer("conv", 1, 1, draw(rng, 31, 39)), layer("pool", 2, 2), layer("deconv", 3, 2)])


def interpolation(count, size):
    """(size, count): the shares that each of `size` rows takes of `count` rows; numpy's line goes on flat outside."""
    places = (np.arange(size) + 0.5) * count / size - 0.5
    ones = np.eye(count)
    columns = [np.interp(places, np.arange(count), ones[row]) for row in range(count)]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def enlarged_to(scores, size):
    rows, cols = (interpolation(count, pixels) for count, pixels in zip(scores.shape[2:], size, strict=True))
    return torch.einsum("hr,nkrc,wc->nkhw", rows, scores, cols)


def halving_stages(rng, widths):
    """Five convolutions that halve, sizes rounded down, with weights of the run."""
    pairs = zip((3, *widths), widths, strict=False)
    return fill(rng, nn.Sequential(*(nn.Conv2d(coming, width, 2, stride=2) for coming, width in pairs)))


def pooling_stages(*before):
    """Five poolings of three channels: the cheapest encoder there is. `before` makes what stands before each."""
    return nn.Sequential(*(nn.Sequential(*(make(3) for make in before), nn.MaxPool2d(2)) for _ in range(5)))


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
    maps, scores = [x], None
    for stage in stages:
        maps.append(stage(maps[-1]))
    for name, features in (("score_32", maps[5]), ("score_16", maps[4]), ("score_8", maps[3])):
        if f"{name}.weight" in state:
            here = torch.einsum("kd,ndhw->nkhw", state[f"{name}.weight"][:, :, 0, 0], features)
            here = here + state[f"{name}.bias"][:, None, None]
            scores = here if scores is None else enlarged_to(scores, here.shape[2:]) + here
    return enlarged_to(scores, x.shape[2:])


def load(net, state):
    """Give the student's network these score layers, as far as it has them; `score_32` it must have.

    A bias that it lacks becomes 0 in `state`: `test_weights` asks for it, and no other test does.
    """
    there = {name: tuple(value.shape) for name, value in net.parameters().items()}
    net.student.seen.pop()  # which weights there are is on record once, by `test_weights`
    for name, value in state.items():
        if name not in there and name.endswith("bias"):
            value.zero_()
        elif there.get(name, "nothing") != tuple(value.shape) and (name in there or name == "score_32.weight"):
            raise Mismatch("rule", f"{name} of shape {tuple(value.shape)}", there.get(name, "no such weights"))
    net.call("load_state_dict", {name: state[name] for name in state if name in there}, strict=False, keep=True)
    return net


def random_widths(rng):
    return [int(width) for width in rng.permutation(5) + 3]  # no two alike


class TestFCN:
    """FCN: scores at 32, 16 and 8 pixels, summed and enlarged"""

    def check_logits(self, student, rng, stride, height, width, num_classes=4, pictures=2):
        stages, state = pooling_stages(), random_scores(rng, [3] * 5, num_classes, stride)
        x = random_tensor(rng, pictures, 3, height, width)
        net = load(student.FCN.module(stages, [3] * 5, num_classes, stride), state)
        with torch.no_grad():
            assert_same(net(x), expected_logits(stages, state, x))

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
        """Pictures whose sides no 32 divides, not square, down to the smallest; one class, one picture"""
        self.check_logits(student, rng, 32, 70, 45)
        self.check_logits(student, rng, 8, draw(rng, 56, 63), 32, num_classes=1, pictures=1)

    def test_weights(self, student, rng):
        """Each score layer that the stride needs has weights and bias of its own, and there are no others"""
        pairs = []
        for stride, widths in ((32, random_widths(rng)), (16, random_widths(rng)), (8, [4] * 5)):
            num_classes = draw(rng, 7, 9)
            new = student.FCN.module(pooling_stages(), widths, num_classes, stride).parameters()
            expected = random_scores(rng, widths, num_classes, stride)
            pairs.append([{name: list(value.shape) for name, value in one.items()} for one in (new, expected)])
        wrong = [pair for pair in pairs if pair[0] != pair[1]]
        student.seen[:] = [1.5 if wrong else 1.0]  # on record: whether they are others, not which
        assert_same(*(wrong or pairs)[0])

    def test_skips_start_at_zero(self, student, rng):
        """The skips of a new FCN-8s are zero, and its deep scores are not: it answers as an FCN-32s would"""
        new = student.FCN.module(pooling_stages(), random_widths(rng), 3, 8).parameters()
        scores = [name for name in sorted(new) if name.startswith("score_")]
        wrong = [name for name in scores if bool(new[name].any()) != name.startswith("score_32")]
        student.seen[-1] = 1.5 if wrong else 1.0  # on record: whether they start otherwise, not which
        if wrong or not scores:
            raise Mismatch("rule", "skips of zeros, score_32 as torch makes it", f"another start of {wrong or 'all'}")

    def test_gradients(self, student, rng):
        """All score layers and the whole encoder learn: the gradient of every weight"""
        widths = random_widths(rng)
        stages, state = halving_stages(rng, widths), random_scores(rng, widths, 3, 8)
        x, arriving = random_tensor(rng, 1, 3, 64, 64), random_tensor(rng, 1, 3, 64, 64) / 300
        net = load(student.FCN.module(stages, widths, 3, 8), state)
        here = {name: value.clone().requires_grad_() for name, value in state.items()}
        (expected_logits(stages, here, x) * arriving).sum().backward()
        expected = {f"encoder.{name}": value.grad for name, value in stages.named_parameters()}
        expected |= {name: value.grad for name, value in here.items()}
        found = net.gradients(x, arriving)
        student.seen[-1] = {name: found[name] for name in sorted(found)}  # on record, in whatever order they came
        assert_same(found, {name: expected[name] for name in expected if name in found or "bias" not in name})

    def test_own_encoder(self, student, rng):
        """The encoder is the one that was passed, not a copy: there the gradients arrive"""
        stages, state = pooling_stages(), random_scores(rng, [3] * 5, 3, 16)
        stages[0] = fill(rng, nn.Conv2d(3, 3, 2, stride=2))
        x, arriving = random_tensor(rng, 1, 3, 32, 64), random_tensor(rng, 1, 3, 32, 64) / 300
        kept = student.keep(stages)
        net = load(student.FCN.module(kept, [3] * 5, 3, 16), state)
        back(net.call("__call__", x, keep=True), arriving)
        (expected_logits(stages, state, x) * arriving).sum().backward()
        found = [one.get("grad") for one in (kept.get("0.weight", keep=True), net.get("encoder.0.weight", keep=True))]
        own, used = (torch.zeros_like(stages[0].weight) if one is None else one for one in found)
        student.seen[-4:] = [[own, used]]  # on record together: a copy has what the original lacks
        assert_same(own, stages[0].weight.grad)

    def test_each_stage_once(self, student, rng):
        """In training mode, with the statistics of the batch, each stage runs exactly once per call"""
        stages, state = pooling_stages(nn.BatchNorm2d), random_scores(rng, [3] * 5, 2, 8)
        net = load(student.FCN.module(stages, [3] * 5, 2, 8), state)
        x = random_tensor(rng, 3, 3, 64, 64)
        with torch.no_grad():
            assert_same(net(x), expected_logits(stages, state, x))
        runs = [net.get(f"encoder.{number}.0.num_batches_tracked") for number in range(5)]
        again = any(isinstance(one, torch.Tensor) and one.numel() == 1 and one > 1 for one in runs)
        student.seen[-5:] = [1 + again]  # on record: whether one ran again, not which
        assert_same(runs, [torch.tensor(1)] * 5)


def small_network(rng):
    """A convolution with weights of the run."""
    return fill(rng, nn.Conv2d(2, 3, 3, padding=1))


def random_batch(rng, count, ignored, num_classes=3, ignore_index=255):
    """Pictures (count, 2, 5, 6), and masks in which so many of the 30 * count pixels are ignored, anywhere."""
    target = random_labels(rng, num_classes, count * 30)
    target[torch.from_numpy(rng.permutation(count * 30)[:ignored])] = ignore_index
    return random_tensor(rng, count, 2, 5, 6), target.reshape(count, 5, 6)


def descended(network, batches, lr, momentum=0.0, ignore_index=255):
    """An epoch of gradient descent by hand: the network's state after it, and the loss of every valid pixel."""
    network, losses = copy.deepcopy(network).train(), []
    weights = list(network.parameters())
    velocities = [torch.zeros_like(weight) for weight in weights]
    for images, target in batches:
        valid = target != ignore_index
        log_shares = network(images).log_softmax(1).movedim(1, 3)[valid]  # (valid pixels, classes)
        losses.append(-log_shares[torch.arange(len(log_shares)), target[valid]])
        gradients = torch.autograd.grad(losses[-1].mean(), weights)
        for weight, velocity, gradient_of_weight in zip(weights, velocities, gradients, strict=True):
            velocity.mul_(momentum).add_(gradient_of_weight)
            weight.data -= lr * velocity
    return network.state_dict(), torch.cat(losses).detach()


def epoch(student, network, batches, *more, lr=0.5, momentum=0.0):
    """One epoch of the student's: what it returned, and the network's state after it; both are on record."""
    kept = student.keep(network)
    loss = student.train_epoch(kept, kept.optimizer(lr=lr, momentum=momentum), batches, *more)
    return loss, dict(kept.call("state_dict"))


def assert_mean(got, losses):
    assert_same(got, losses.double().mean().item(), tolerance=(1e-4, 1e-5))


class TestTrainEpoch:
    """train_epoch: the training loop"""

    @pytest.mark.weight(2)
    def test_weights(self, student, rng):
        """Gradient descent on several batches, some pixels ignored: the weights after the epoch"""
        network, batches = small_network(rng), [random_batch(rng, *one) for one in ((2, 7), (3, 20))]
        _, state = epoch(student, network, batches)
        assert_same(state, dict(descended(network, batches, 0.5)[0]))

    def test_old_gradients(self, student, rng):
        """What the weights hold as gradients before the epoch does not count"""
        network, batches = small_network(rng), [random_batch(rng, 2, 9), random_batch(rng, 2, 4)]
        kept = student.keep(network)
        back(kept.call("forward", batches[1][0], keep=True), random_tensor(rng, 2, 3, 5, 6))
        student.train_epoch(kept, kept.optimizer(lr=0.3), batches)
        assert_same(dict(kept.call("state_dict")), dict(descended(network, batches, 0.3)[0]))

    def test_training_mode(self, student, rng):
        """A network in evaluation mode is put into training mode and left there, and sees each batch exactly once"""
        network = fill(rng, nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1)))
        batches = [random_batch(rng, *one) for one in ((3, 10), (2, 0), (4, 31))]
        kept = student.keep(network)
        student.train_epoch(kept, kept.optimizer(lr=0.1), batches)
        assert_same(dict(kept.call("state_dict")), dict(descended(network, batches, 0.1)[0]))
        kept.call("forward", batches[0][0], keep=True)
        assert_same(kept.get("0.num_batches_tracked"), torch.tensor(4))

    @pytest.mark.weight(2)
    def test_mean(self, student, rng):
        """A float: the mean loss over all valid pixels of the epoch, whatever the batches' sizes"""
        network, batches = small_network(rng), [random_batch(rng, *one) for one in ((4, 100), (2, 3), (1, 28))]
        batches[1][0].mul_(4)  # a larger loss: a mean that is none shows
        once = student.keep(batches).call("__iter__", keep=True)  # like a generator, it has no length
        assert_mean(epoch(student, network, once, lr=0.0)[0], descended(network, batches, 0.0)[1])

    @pytest.mark.weight(2)
    def test_ignored_batch(self, student, rng):
        """With momentum: a batch in which every pixel is ignored changes neither the weights nor the mean"""
        network, batches = small_network(rng), [random_batch(rng, 2, 11), random_batch(rng, 2, 11)]
        loss, state = epoch(student, network, [batches[0], random_batch(rng, 1, 30), batches[1]], lr=0.2, momentum=0.9)
        expected, losses = descended(network, batches, 0.2, 0.9)
        assert_same(state, dict(expected))
        assert_mean(loss, losses)

    def test_ignore_index(self, student, rng):
        """Another label may be the one to ignore, here one of the classes"""
        network = small_network(rng)
        batches = [random_batch(rng, 2, number, ignore_index=1) for number in (14, 40)]
        batches[1][0].mul_(4)  # a larger loss: a mean that is none shows
        loss, state = epoch(student, network, batches, 1)
        expected, losses = descended(network, batches, 0.5, ignore_index=1)
        assert_same(state, dict(expected))
        assert_mean(loss, losses)

    # Nothing ignored, batches of one size: what survives more mistakes than the tests do.
    def probe_one_batch(self, student, rng):
        return epoch(student, small_network(rng), [random_batch(rng, 2, 0)])

    def probe_two_batches(self, student, rng):
        return epoch(student, small_network(rng), [random_batch(rng, 2, 0), random_batch(rng, 2, 0)])

    def probe_sizes(self, student, rng):
        return epoch(student, small_network(rng), [random_batch(rng, 3, 0), random_batch(rng, 1, 0)])


def scatter(rng, objects, spread, height=12, width=16):
    """One picture with objects of given (number, area, pixels that are right), their pixels anywhere.

    The wrong pixels of an object show one other label, or with `spread` all others in turn; pixels of no object show
    anything. Returns pred, target and instances, (H, W) each.
    """
    places = torch.from_numpy(rng.permutation(height * width))
    target, instances = torch.zeros(2, height * width, dtype=torch.int64)
    pred = random_labels(rng, 5, height * width)
    for number, area, right in objects:
        own, places = places[:area], places[area:]
        label = draw(rng, 1, 4)
        instances[own], target[own] = number, label
        pred[own] = label
        pred[own[right:]] = (label + 1 + (torch.arange(area - right) % 4 if spread else draw(rng, 0, 3))) % 5
    return tuple(one.reshape(height, width) for one in (pred, target, instances))


def pictures(rng, *each, spread=False):
    """Several pictures at once: pred, target and instances, (N, H, W) each."""
    return [torch.stack(maps) for maps in zip(*(scatter(rng, objects, spread) for objects in each), strict=True)]


def shares(*values):
    return torch.tensor(values, dtype=torch.float64)


class TestRecallBySize:
    """recall_by_size: which objects are found, by their area"""

    @pytest.mark.weight(2)
    def test_ranges(self, student, rng):
        """Objects of several sizes in one picture, some found, some not"""
        small = [(1, 3, 2), (2, 4, 1), (3, 5, 4), (4, draw(rng, 3, 5), 0), (8, 1, 1)]
        large = [(5, 20, 11), (6, 22, 19), (7, draw(rng, 20, 25), 9)]
        pred, target, instances = pictures(rng, small + large)
        assert_same(student.recall_by_size(pred, target, instances, [2, 6, 26]), shares(2 / 4, 2 / 3))
        assert_same(student.recall_by_size(pred, target, instances, [1, 100]), shares(5 / 8))

    def test_more_than_half(self, student, rng):
        """Exactly half is not enough, one pixel more is; for odd areas too, and whatever the other half shows"""
        for area in (2 * draw(rng, 2, 9), 2 * draw(rng, 2, 9) + 1):
            half = area // 2
            objects = [(1, area, half), (2, area, half + 1), (3, area, area)]
            assert_same(student.recall_by_size(*pictures(rng, objects, spread=True), [1, 50]), shares(2 / 3))

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
        far = draw(rng, 50, 90)
        first, second, third = [(1, 6, 5), (far, 7, 0)], [(1, 6, 0), (2, 20, 18)], [(far, 9, 0), (1, 20, 1)]
        pred, target, instances = pictures(rng, first, second, third)
        assert_same(student.recall_by_size(pred, target, instances, [0, 10, 21]), shares(1 / 4, 1 / 2))

    @pytest.mark.weight(2)
    def test_ignored(self, student, rng):
        """Ignored pixels count neither for the area nor for the half"""
        pred, target, instances = pictures(rng, [(1, 12, 7), (2, 12, 5), (3, 20, 0)])
        right = pred == target
        for number, hit, count in ((1, True, 4), (2, False, 4)):
            own = ((instances == number) & (right == hit)).nonzero()[:count]
            target[tuple(own.T)] = 255
        # What is left: 8 pixels with 3 right, 8 with 5 right, 20 with none.
        assert_same(student.recall_by_size(pred, target, instances, [1, 9, 13, 30]), shares(1 / 2, math.nan, 0))
        pred = pred.where(target != 255, target)  # a prediction of 255 there changes nothing
        assert_same(student.recall_by_size(pred, target, instances, [1, 9, 13, 30]), shares(1 / 2, math.nan, 0))

    def test_nothing_left(self, student, rng):
        """An object whose pixels are all ignored, or a number that does not occur, is no object, of no area"""
        pred, target, instances = pictures(rng, [(1, 10, 9), (2, 8, 8)])
        target[instances == 2] = 255
        assert_same(student.recall_by_size(pred, target, instances, [0, 30]), shares(1))
        assert_same(student.recall_by_size(*pictures(rng, [(draw(rng, 3, 9), 20, 15)]), [0, 30]), shares(1))

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
        """A range without objects is NaN, in any place; so are all ranges where there are no objects or no pictures"""
        pred, target, instances = pictures(rng, [(1, 10, 9)], [])
        got = student.recall_by_size(pred, target, instances, [1, 5, 15, 20, 30])
        assert_same(got, shares(math.nan, 1, math.nan, math.nan))
        for start in (1, 2):
            nothing = student.recall_by_size(pred[start:], target[start:], instances[start:], [0, 5])
            assert_same(nothing, shares(math.nan))

    def probe_halves(self, student, rng):
        objects = [(1, 8, 4), (2, 6, 3), (3, 9, 4), (4, 7, 3), (5, 10, 5), (6, 12, 7), (7, 5, 1)]
        return student.recall_by_size(*pictures(rng, objects, spread=True), [1, 50])

    def probe_pictures(self, student, rng):
        first, second = [(1, 9, 9), (4, 7, 0), (6, 8, 8)], [(1, 9, 0), (4, 11, 11)]
        return student.recall_by_size(*pictures(rng, first, second), [1, 50])
