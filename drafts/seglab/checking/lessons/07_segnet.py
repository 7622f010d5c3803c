"""Visible checks of lesson 07. `check(EncoderStage)` in the notebook runs the class of that function's name."""

import math

import torch

from seglab.checking.compare import Mismatch, assert_same


def maps(*rows):
    """One map of one channel, float32: (1, 1, H, W)."""
    return torch.tensor([[rows]], dtype=torch.float32)


def network(student, name, *arguments, layers=(), training=False):
    """The student's network with weights of ours in its layers, the first one made first.

    layers: for each convolution the number in the middle of its kernels, or all nine, and its bias; then the factor and
    the summand of the normalization behind it, if there is one.
    """
    net = getattr(student, name).module(*arguments)
    state = net.call("state_dict")
    convolutions = [key.removesuffix("weight") for key, value in state.items() if value.ndim == 4]
    norms = [key.removesuffix("running_mean") for key in state if key.endswith("running_mean")]
    for prefix, (kernel, bias, *_) in zip(convolutions, layers, strict=False):
        weight = torch.zeros_like(state[f"{prefix}weight"])
        kernel = torch.as_tensor(kernel, dtype=torch.float32)
        if kernel.ndim == 2 and weight.shape[2:] == kernel.shape:
            weight += kernel
        elif kernel.ndim < 2:
            weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] = kernel
        fill(state, prefix, weight=weight, bias=bias)
    for prefix, (_, _, factor, summand) in zip(norms, [one for one in layers if len(one) == 4], strict=False):
        fill(state, prefix, weight=factor, bias=summand, running_var=1 - 1e-5)  # 1 with what it adds for safety
    net.call("load_state_dict", state, keep=True)
    net.call("train" if training else "eval", keep=True)
    student.seen.clear()  # what layers are called is no part of the answer
    return net


def fill(state, prefix, **values):
    """Values for the weights of one layer, where it has such."""
    for name, value in values.items():
        if f"{prefix}{name}" in state:
            state[f"{prefix}{name}"] = torch.zeros_like(state[f"{prefix}{name}"]) + value


def three(got):
    """What an encoder stage hands over, if it is three things."""
    if type(got) is not tuple or len(got) != 3:
        raise Mismatch("type", "a tuple of three: pooled, switches, size", f"{type(got).__name__}")
    return got


def layer_texts(parameters):
    """The layers of a network in words, in the order in which they were made."""
    kinds = {name.rpartition(".")[0]: [] for name in parameters}
    for name, value in parameters.items():
        kinds[name.rpartition(".")[0]].append(list(value.shape))
    texts = []
    for shapes in kinds.values():
        shapes.sort(key=len, reverse=True)
        if len(shapes[0]) == 4:
            out_channels, in_channels, height, width = shapes[0]
            bias = "" if len(shapes) == 2 else " without bias"
            texts.append(f"conv {in_channels} to {out_channels}, {height} x {width}{bias}")
        else:
            texts.append(f"norm {shapes[0][0]}")
    return sorted(texts, key=lambda text: text.startswith("norm"))  # which of the two kinds is made first is free


def assert_layers(student, net, expected):
    """The layers are those, in the order in which they were made: convolutions, then normalizations."""
    there = layer_texts(net.parameters())
    wanted = sorted(expected, key=lambda text: text.startswith("norm"))
    student.seen[:] = [there]  # on record without the names that the layers have
    if there != wanted:
        raise Mismatch("rule", "; ".join(wanted), "; ".join(there) or "no layers with weights")


class TestEncoderStage:
    """EncoderStage: convolutions, pooling, and what it hands over"""

    def test_one_convolution(self, student):
        """One row of windows, one convolution 2x + 1, its norm halves and subtracts 1: pooled is x - 0.5, or 0 below"""
        stage = network(student, "EncoderStage", 1, 1, 1, layers=[(2, 1, 0.5, -1)])
        x = maps([0.25, 1.75, -2.0, 0.0, -3.0, 0.4], [1.5, 2.25, 0.125, -1.0, 0.75, 0.5])
        assert_same(three(stage(x))[0], maps([1.75, 0.0, 0.25]))

    def test_switches(self, student):
        """Two pictures of 3 x 5 pixels, two channels: the same numbers, turned: their places in rows of five"""
        stage = network(student, "EncoderStage", 2, 2, 1, layers=[(0.5, 0, 1, 0)])
        one = maps([1.5, 3.0, 2.0, 9.5, 7.0], [4.25, 0.5, 8.0, 1.0, 9.0], [20.0, 21.0, 22.0, 23.0, 24.0])
        got = three(stage(torch.cat([one, one.flip(2, 3)]).repeat(1, 2, 1, 1)))
        first, second = torch.tensor([[5, 3]]), torch.tensor([[0, 2]])
        assert_same(got[1], torch.stack([first, second])[:, None].repeat(1, 2, 1, 1))

    def test_size(self, student):
        """A map of 3 x 5 pixels: pooled is 1 x 2, and the size handed over is (3, 5)"""
        stage = network(student, "EncoderStage", 1, 2, 1, layers=[(1, 0.25, 1, 0)])
        pooled, _, size = three(stage(torch.ones(1, 1, 3, 5)))
        assert_same(pooled, torch.full((1, 2, 1, 2), 1.25))
        assert_same(size, (3, 5))

    def test_three_convolutions(self, student):
        """Two channels become three, in three convolutions with 1, 0.5 and 0.25 in the middle, biases 0.5, 1 and 3"""
        layers = [(1, 0.5, 1, 0), (0.5, 1, 1, 0), (0.25, 3, 1, 0)]
        stage = network(student, "EncoderStage", 2, 3, 3, layers=layers)
        x = torch.cat([maps([1.0, 2.0], [3.0, 4.0]), maps([0.5, 0.0], [0.0, 0.5])], 1)
        assert_same(three(stage(x))[0], torch.full((1, 3, 1, 1), 0.25 * 3 * (0.5 * 3 * 5 + 1) + 3))

    def test_padding(self, student):
        """Kernels of nine ones on ones: 4 in each corner of a 2 x 4 map, 6 between them"""
        stage = network(student, "EncoderStage", 1, 1, 1, layers=[(torch.ones(3, 3), 0, 1, 0)])
        pooled, switches, _ = three(stage(torch.ones(1, 1, 2, 4)))
        assert_same([pooled, switches], [maps([6, 6]), torch.tensor([[[[1, 2]]]])])

    def test_layers(self, student):
        """From 2 to 5 channels in two convolutions: their shapes, their biases, two normalizations"""
        net = student.EncoderStage.module(2, 5, 2)
        assert_layers(student, net, ["conv 2 to 5, 3 x 3", "norm 5", "conv 5 to 5, 3 x 3", "norm 5"])

    def test_training(self, student):
        """In training mode, normalized with the map's own mean and spread: 1 and -1 before ReLU"""
        stage = network(student, "EncoderStage", 1, 1, 1, layers=[(3, 7, 1, 0)], training=True)
        pooled, *_ = three(stage(maps([2.0, 2.0, 6.0, 6.0], [2.0, 2.0, 6.0, 6.0])))
        assert_same(pooled, maps([0, 1]))

    # For mistakes that end in an error where the channels change.
    def probe_same_channels(self, student):
        return network(student, "EncoderStage", 2, 2, 2, layers=[(0.5, 1, 2, -3)] * 2)(
            torch.arange(2 * 2 * 4 * 6.0).reshape(2, 2, 4, 6) / 7
        )

    def probe_one_convolution(self, student):
        return network(student, "EncoderStage", 1, 2, 1, layers=[(0.5, 1, 2, -3)])(maps([1.5, 4.0], [2.5, 0.5]))


def switches_of(rows, channels=1):
    return torch.tensor([[rows]]).repeat(1, channels, 1, 1)


class TestDecoderStage:
    """DecoderStage: unpooling, then convolutions"""

    def test_one_convolution(self, student):
        """Values 1.5, -2 and 4 at places 7, 3 and 4 of a 2 x 6 map, then 2x + 1, half of it, minus 1, ReLU"""
        stage = network(student, "DecoderStage", 1, 1, 1, layers=[(2, 1, 0.5, -1)])
        got = stage(maps([1.5, -2.0, 4.0]), switches_of([7, 3, 4]), (2, 6))
        assert_same(got, maps([0, 0, 0, 0, 3.5, 0], [0, 1, 0, 0, 0, 0]))

    def test_odd_size(self, student):
        """Two values on a map of 3 x 5: the last row and the last column are back, and empty"""
        stage = network(student, "DecoderStage", 1, 1, 1, layers=[(1, 0, 1, 0.25)])
        got = stage(maps([1.5, 3.0]), switches_of([6, 2]), (3, 5))
        assert_same(got, maps([0.25, 0.25, 3.25, 0.25, 0.25], [0.25, 1.75, 0.25, 0.25, 0.25], [0.25] * 5))

    def test_bare(self, student):
        """The same with bare=True, the convolution -2x + 0.5: negative scores stay"""
        stage = network(student, "DecoderStage", 1, 2, 1, True, layers=[(-2, 0.5)])
        got = stage(maps([1.5, 3.0]), switches_of([0, 7]), (2, 4))
        assert_same(got, maps([-2.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, -5.5]).repeat(1, 2, 1, 1))

    def test_channels(self, student):
        """Three channels become one, in two convolutions, the last one bare; two maps"""
        stage = network(student, "DecoderStage", 3, 1, 2, True, layers=[(1, -4, 1, 0.5), (0.5, -1)])
        x = torch.cat([maps([2.0]), maps([3.0]), maps([0.5])], 1)
        got = stage(torch.cat([x, 2 * x]), switches_of([[0]], 3)[0].repeat(2, 1, 1, 1), (2, 2))
        first, second = [1.5 * 2 - 1, -1, -1, -1], [1.5 * 7.5 - 1, -1, -1, -1]
        assert_same(got, torch.tensor([first, second]).reshape(2, 1, 2, 2))

    def test_layers(self, student):
        """From 5 to 2 channels in three convolutions: their shapes, their biases, three normalizations"""
        net = student.DecoderStage.module(5, 2, 3)
        convolutions = ["conv 5 to 5, 3 x 3", "conv 5 to 5, 3 x 3", "conv 5 to 2, 3 x 3"]
        assert_layers(student, net, [*convolutions, "norm 5", "norm 5", "norm 2"])

    def test_bare_layers(self, student):
        """The same with bare=True: two normalizations are left"""
        net = student.DecoderStage.module(5, 2, 3, True)
        convolutions = ["conv 5 to 5, 3 x 3", "conv 5 to 5, 3 x 3", "conv 5 to 2, 3 x 3"]
        assert_layers(student, net, [*convolutions, "norm 5", "norm 5"])

    def test_padding(self, student):
        """A kernel of nine ones spreads one value over its neighbours, and the map keeps its size"""
        stage = network(student, "DecoderStage", 1, 1, 1, layers=[(torch.ones(3, 3), 0, 1, 0)])
        got = stage(maps([2.5, 0.5]), switches_of([4, 2]), (2, 4))
        assert_same(got, maps([2.5, 3.0, 0.5, 0.5], [2.5, 3.0, 0.5, 0.5]))

    # For mistakes that end in an error where the channels change.
    def probe_same_channels(self, student):
        stage = network(student, "DecoderStage", 2, 2, 2, layers=[(0.5, 1, 2, -3), (1.5, 0.25, 1, -1)])
        return stage(maps([1.5, -2.0], [4.0, 2.5]).repeat(1, 2, 1, 1), switches_of([[5, 2], [13, 11]], 2), (4, 4))

    def probe_three(self, student):
        stage = network(student, "DecoderStage", 2, 2, 3, layers=[(0.5, 1, 2, -3), (1.5, 0.25, 1, -1), (1, 0.5, 1, 0)])
        return stage(maps([1.5, -2.0], [4.0, 2.5]).repeat(1, 2, 1, 1), switches_of([[5, 2], [13, 11]], 2), (4, 4))


def segnet(student, in_channels, num_classes, widths, convs, scores):
    """A SegNet of the student's whose layers take the mean of their channels plus 1/8; `scores` are the last one's."""
    outputs = [width for width, count in zip(widths, convs, strict=True) for _ in range(count)]
    inputs = [in_channels, *outputs[:-1], *reversed(outputs)]
    layers = [(1 / side, 0.125, 1, 0) for side in inputs[:-1]]
    return network(student, "SegNet", in_channels, num_classes, widths, convs, layers=[*layers, scores])


class TestSegNet:
    """SegNet: encoder and mirrored decoder"""

    def test_layers(self, student):
        """Three stages of 4, 6 and 5 channels with 2, 1 and 3 convolutions: all layers, in the order in which they run"""
        net = student.SegNet.module(2, 3, (4, 6, 5), (2, 1, 3))
        pairs = [(2, 4), (4, 4), (4, 6), (6, 5), (5, 5), (5, 5), (5, 5), (5, 5), (5, 6), (6, 4), (4, 4), (4, 3)]
        norms = [f"norm {out}" for _, out in pairs[:-1]]
        assert_layers(student, net, [f"conv {a} to {b}, 3 x 3" for a, b in pairs] + norms)

    def test_names(self, student):
        """Five stages, two of the same width: encoder and decoder hold five each, with weights of their own"""
        net = student.SegNet.module(3, 4, (2, 3, 4, 5, 5), (2, 2, 3, 3, 3))
        stages = sorted({" ".join(name.split(".")[:2]) for name in net.parameters()})
        student.seen[:] = [stages]
        expected = [f"{half} {number}" for half in ("decoder", "encoder") for number in range(5)]
        if stages != expected:
            raise Mismatch("rule", ", ".join(expected), ", ".join(stages) or "no stages with weights")

    def test_one_stage(self, student):
        """One stage, one convolution each way: the largest of each window plus 1/8, where it stood, times -6, plus 0.5"""
        net = segnet(student, 1, 2, (3,), (1,), (-2, 0.5))
        expected = maps([0, 4.125, 0, 0], [0, 0, 7.125, 0]) * -6 + 0.5
        assert_same(net(maps([1.5, 4.0, 0.25, 3.0], [2.5, 0.5, 7.0, 1.0])), expected.repeat(1, 2, 1, 1))

    def test_two_stages(self, student):
        """Two stages, each convolution adds 1/8, the last takes 9 off: from two switches, one after the other"""
        net = segnet(student, 1, 1, (2, 3), (1, 2), (0.5, -9))
        first, second = [1.0, 2.0, 0.5, 3.0, 2.0, 1.0, 4.0, 0.5], [0.0, 9.0, 1.0, 2.0, 5.0, 3.0, 1.0, 2.0]
        third, fourth = [4.0, 1.0, 2.5, 0.0, 1.0, 6.0, 0.0, 1.0], [2.0, 3.0, 1.0, 0.5, 0.0, 2.0, 8.0, 3.0]
        expected = torch.full((1, 1, 4, 8), -9.0)
        for row, column in ((0, 3), (1, 4), (0, 6), (2, 0), (2, 2), (2, 5)):
            expected[..., row, column] = -8.75  # the largest of 2 x 2, but not of 4 x 4
        expected[..., 1, 1], expected[..., 3, 6] = 0.625, -0.375
        assert_same(net(maps(first, second, third, fourth)), expected)

    def test_any_size(self, student):
        """Two pictures of ones with 7 x 10 pixels: logits of 7 x 10, empty where the encoder dropped a row"""
        net = segnet(student, 3, 1, (2, 3), (1, 1), (0.5, -9))
        expected = torch.full((2, 1, 7, 10), -9.0)
        expected[:, :, 0:6:2, 0:10:2] = -8.875
        expected[:, :, 0, 0] = expected[:, :, 0, 4] = -7.625
        assert_same(net(torch.ones(2, 3, 7, 10)), expected)

    # Nothing changes its number of channels: for mistakes that end in an error where they do.
    def probe_equal_widths(self, student):
        net = segnet(student, 2, 2, (2, 2, 2), (1, 1, 1), (0.5, -3))
        return net(torch.arange(2 * 2 * 8 * 8.0).reshape(2, 2, 8, 8) % 37 / 4)

    def probe_large(self, student):
        net = segnet(student, 2, 2, (2, 2), (2, 1), (-1.5, 0.75))
        return net(torch.arange(2 * 8 * 12.0).reshape(1, 2, 8, 12) % 31 / 8)


class TestHandoverBytes:
    """handover_bytes: what waits for the decoder"""

    def test_switches(self, student):
        """One stage, 3 channels, 6 x 10 pixels: 45 switches are 90 bits, 12 bytes"""
        assert_same(student.handover_bytes([3], 6, 10, "switches"), 12)

    def test_indices(self, student):
        """The same as int64: 360 bytes"""
        assert_same(student.handover_bytes([3], 6, 10, "indices"), 360)

    def test_maps(self, student):
        """The same as maps before pooling: 720 bytes"""
        assert_same(student.handover_bytes([3], 6, 10, "maps"), 720)

    def test_odd(self, student):
        """Two stages, 13 x 11 pixels: rows and columns without a window are dropped"""
        got = [student.handover_bytes([3, 5], 13, 11, kind) for kind in ("switches", "indices", "maps")]
        assert_same(got, [30, 8 * 120, 4 * (3 * 143 + 5 * 30)])

    def test_packed(self, student):
        """Three stages of one channel, 12 x 12 pixels: 36, 9 and 1 switches, 92 bits, 12 bytes"""
        assert_same(student.handover_bytes((1, 1, 1), 12, 12, "switches"), 12)

    def test_paper(self, student):
        """The paper's network at 360 x 480: 1,315,200 bytes of switches, 42,086,400 of indices, 84,295,680 of maps"""
        widths = (64, 128, 256, 512, 512)
        got = [student.handover_bytes(widths, 360, 480, kind) for kind in ("switches", "indices", "maps")]
        assert_same(got, [1_315_200, 42_086_400, 84_295_680])


def mask(*rows):
    """Rows of digits, "." for ignored, as one mask (1, H, W)."""
    return torch.tensor([[[255 if one == "." else int(one) for one in row] for row in rows]])


def scores(*values):
    return torch.tensor(values, dtype=torch.float64)


NAN = math.nan


class TestBoundaryFScore:
    """boundary_f_score: how well outlines lie"""

    def test_shifted(self, student):
        """The statement's example, tolerance 0: a square of 2 x 2, moved one column; half of class 1 is met"""
        target, pred = mask("00000", "01100", "01100"), mask("00000", "00110", "00110")
        # Class 0 on the target: two above, and one on each side of both rows.
        assert_same(student.boundary_f_score(pred, target, 2, 0), scores(2 * 1 / (6 + 6), 0.5))

    def test_tolerance(self, student):
        """One pixel against one pixel, two to the side and one down, distance 2.24: met at 2.5, not at 2"""
        target, pred = mask("100000", "000000", "000000"), mask("000000", "001000", "000000")
        got = [student.boundary_f_score(pred, target, 2, tolerance)[1].item() for tolerance in (2, 2.5)]
        assert_same(got, [0.0, 1.0])

    def test_exactly(self, student):
        """Three to the side, tolerance 3: near"""
        target, pred = mask("1000000", "0000000"), mask("0001000", "0000000")
        assert_same(student.boundary_f_score(pred, target, 2, 3)[1].item(), 1.0)

    def test_precision_and_recall(self, student):
        """A bar of 2 is found, one of 4 is not, one of 1 is new, tolerance 0: P = 2/3, R = 2/6"""
        target = mask("0110000000", "0000000000", "0000011110")
        pred = mask("0110000001", "0000000000", "0000000000")
        p, r = 2 / 3, 2 / 6
        assert_same(student.boundary_f_score(pred, target, 2, 0)[1].item(), 2 * p * r / (p + r))

    def test_inside(self, student):
        """A bar in a wide picture, found one pixel thicker, tolerance 0: the contours lie inside, four neighbours"""
        target, pred = (
            mask("0000000", "0011100", "0011100", "0011100"),
            mask("0000000", "0111100", "0111100", "0111100"),
        )
        # Inner pixels are no contour, and the lower edge makes none: 7 and 8 pixels, of which 5 are the same.
        assert_same(student.boundary_f_score(pred, target, 2, 0)[1].item(), 2 * 5 / (7 + 8))

    def test_classes(self, student):
        """Where class 1 is in the truth class 2 is found, and class 3 nowhere: 0, 0 and NaN; background 1"""
        target, pred = mask("00000", "01100", "00000"), mask("00000", "02200", "00000")
        assert_same(student.boundary_f_score(pred, target, 4, 1), scores(1, 0, 0, NAN))

    def test_pictures(self, student):
        """Three pictures: found, found at half of its pixels, without class 1; and class 2 in one mask only"""
        target = torch.cat([mask("0110", "0000"), mask("0110", "0000"), mask("0000", "0000")])
        pred = torch.cat([mask("0110", "0000"), mask("0100", "0000"), mask("0000", "0002")])
        got = student.boundary_f_score(pred, target, 3, 0)
        assert_same(got[1:], scores((1 + 2 / 3) / 2, 0))

    def test_ignored(self, student):
        """Ignored pixels beside an object, and on it: no contour, and no neighbour, in either mask; tolerance 0"""
        target = mask("000000", "0..110", "0..110", "0..110")
        pred = mask("000000", "011110", "010110", "022110")
        assert_same(student.boundary_f_score(pred, target, 3, 0), scores(1, 1, NAN))

    def test_other_label(self, student):
        """ignore_index=1: a wrong pixel with this label in the target does not count"""
        target, pred = mask("001222", "000222"), mask("002222", "000222")
        assert_same(student.boundary_f_score(pred, target, 3, 0, ignore_index=1), scores(1, NAN, 1))

    def probe_scene(self, student):
        target = torch.cat([mask("00000000", "01112200", "01112200", "01110000", "00000033"), mask(*["00111222"] * 5)])
        pred = torch.cat([mask("00000000", "00111220", "00111220", "01111000", "00000000"), mask(*["00011222"] * 5)])
        return student.boundary_f_score(pred, target, 4, 1.5)

    def probe_only_objects(self, student):
        target = mask("0000000", "0111220", "0111220", "0111000", "0000000")
        pred = mask("0000000", "0011220", "0011220", "0111100", "0000000")
        return student.boundary_f_score(pred, target, 3, 0)

    def probe_sharp(self, student):
        target, pred = (
            mask("0000000", "0011100", "0011100", "0000000"),
            mask("0000000", "0111100", "0011000", "0000000"),
        )
        return student.boundary_f_score(pred, target, 2, 1)
