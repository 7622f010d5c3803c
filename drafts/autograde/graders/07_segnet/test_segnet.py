"""Hidden graders of lesson 07. Random inputs come from `rng`; what is right is computed here, in another way."""

import math
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autograde.graders.kit import draw, random_labels, random_tensor
from seglab.bridge.student import Missing
from seglab.checking.compare import Mismatch, assert_same

# A stage is described by its channels, (2, 5, 5) for two convolutions, and by whether the last of them is bare.


def encoder_channels(in_channels, out_channels, convs):
    return (in_channels, *[out_channels] * convs)


def decoder_channels(in_channels, out_channels, convs):
    return (*[in_channels] * convs, out_channels)


def parts(state):
    """The convolutions and the normalizations of a network, each by its prefix, in the order in which they were made."""
    norms = [key[: -len("running_mean")] for key in state if key.endswith("running_mean")]
    return [key[: -len("weight")] for key, value in state.items() if value.ndim == 4], norms


def random_layers(rng, channels, bare=False):
    """Weights of the run for a stage: a convolution's and a normalization's for each pair of channels."""
    layers = []
    for one, other in pairwise(channels):
        norm = [1 + random_tensor(rng, other) / 4, random_tensor(rng, other) / 2, random_tensor(rng, other) / 2]
        norm.append(0.5 + torch.from_numpy(rng.random(other, dtype=np.float32)))
        weight = random_tensor(rng, other, one, 3, 3) / (4 * one) ** 0.5
        layers.append({"weight": weight, "bias": random_tensor(rng, other) / 2, "norm": norm})
    if bare:
        del layers[-1]["norm"]
    return layers


def load(student, net, layers):
    """Give a student's network the weights of the run, the first layer that they made those of the first, and so on.

    Whatever has another shape than it should, or is not there, stays as it is: another test looks at that. Where a
    convolution has no bias, ours loses its own.
    """
    before = len(student.seen)
    state = net.call("state_dict")
    convolutions, norms = parts(state)
    for prefix, layer in zip(convolutions, layers, strict=False):
        if f"{prefix}bias" not in state:
            layer["bias"] = None
        put(state, prefix, weight=layer["weight"], bias=layer["bias"])
    for prefix, layer in zip(norms, [one for one in layers if "norm" in one], strict=False):
        put(state, prefix, **dict(zip(("weight", "bias", "running_mean", "running_var"), layer["norm"], strict=True)))
    net.call("load_state_dict", state, keep=True)
    net.call("eval", keep=True)
    del student.seen[before:]  # on record are answers, not what layers are called
    return net


def put(state, prefix, **values):
    for name, value in values.items():
        if value is not None and prefix + name in state and state[prefix + name].shape == value.shape:
            state[prefix + name] = value


def run(x, layers, training=False):
    """A stage's convolutions by hand."""
    for layer in layers:
        x = F.conv2d(x, layer["weight"], layer["bias"], padding=1)
        if "norm" in layer:
            factor, summand, mean, variance = (one[:, None, None] for one in layer["norm"])
            if training:
                mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
            x = ((x - mean) / (variance + 1e-5).sqrt() * factor + summand).clamp(min=0)
    return x


def pooled_with_places(x):
    """(pooled, switches, size): the first of the largest of each window, looked for from the last one on."""
    height, width = x.shape[2] // 2, x.shape[3] // 2
    best = torch.full((*x.shape[:2], height, width), -math.inf)
    place = torch.zeros(best.shape, dtype=torch.int64)
    for down, across in ((1, 1), (1, 0), (0, 1), (0, 0)):
        candidate = x[:, :, down::2, across::2][:, :, :height, :width]
        rows, cols = 2 * torch.arange(height)[:, None] + down, 2 * torch.arange(width) + across
        place = torch.where(candidate >= best, rows * x.shape[3] + cols, place)
        best = torch.maximum(candidate, best)
    return best, place, (x.shape[2], x.shape[3])


def laid_back(x, switches, size):
    """Every value to its place, by index."""
    n, c = torch.arange(x.shape[0])[:, None, None, None], torch.arange(x.shape[1])[:, None, None]
    sparse = torch.zeros(*x.shape[:2], *size)
    return sparse.index_put((n, c, switches // size[1], switches % size[1]), x)


def random_switches(rng, shape, size):
    """A place for each value of a pooled map, anywhere in its own window."""
    rows, cols = (torch.from_numpy(rng.integers(0, 2, shape)) for _ in range(2))
    rows, cols = rows + 2 * torch.arange(shape[2])[:, None], cols + 2 * torch.arange(shape[3])
    return rows * size[1] + cols


def shapes(parameters):
    """What a network is made of, whatever it is called: convolutions with their biases, and sizes of normalizations."""
    layers = defaultdict(dict)
    for name, value in parameters.items():
        prefix, _, kind = name.rpartition(".")
        layers[prefix][kind] = list(value.shape)
    found = [sorted(layer.items()) for layer in layers.values()]
    return [[one for one in found if len(dict(one).get("weight", ())) == rank] for rank in (4, 1)]


def expected_shapes(channels, bare=False):
    pairs = list(pairwise(channels))
    convolutions = [[("bias", [other]), ("weight", [other, one, 3, 3])] for one, other in pairs]
    return [convolutions, [[("bias", [other]), ("weight", [other])] for _, other in pairs[: len(pairs) - bare]]]


def assert_shapes(student, pairs):
    """Pairs of what a network is made of, and what it should be."""
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    student.seen[:] = [1.5 if wrong else 1.0, [found for found, _ in wrong]]  # on record without the layers' names
    if wrong:
        raise Mismatch("rule", "layers of other shapes, in another order, or more or fewer", str(wrong[0][0])[:300])


def handed_over(got):
    """The three things, if it is three."""
    if type(got) is not tuple or len(got) != 3:
        raise Mismatch("type", "a tuple of three", type(got).__name__)
    return got


class TestEncoderStage:
    """EncoderStage: convolutions, then a halving and what it hands over"""

    def handed(self, student, rng, channels, height, width, pictures=2):
        """What the student's stage hands over with weights of the run, and what it should."""
        layers = random_layers(rng, channels)
        x = random_tensor(rng, pictures, channels[0], height, width)
        net = load(student, student.EncoderStage.module(channels[0], channels[1], len(channels) - 1), layers)
        got = handed_over(net(x))
        return got, pooled_with_places(run(x, layers))

    @pytest.mark.weight(2)
    def test_pooled(self, student, rng):
        """The maxima, after convolution, normalization and ReLU: several channels, several convolutions"""
        for channels, height, width in (((3, 5, 5), 6, 10), ((2, 4), 4, 6)):
            got, expected = self.handed(student, rng, channels, height, width)
            assert_same(got[0], expected[0])

    def test_switches(self, student, rng):
        """Where the maxima stood, as flat indices into each channel's map"""
        got, expected = self.handed(student, rng, (2, 4, 4), 6, 2 * draw(rng, 4, 6))
        assert_same(got[1], expected[1])

    def test_size(self, student, rng):
        """The size before pooling, height first"""
        height, width = draw(rng, 4, 6), draw(rng, 7, 11)
        got, expected = self.handed(student, rng, (2, 3), height, width, pictures=1)
        assert_same(got[2], expected[2])

    def test_odd_sizes(self, student, rng):
        """Odd height, odd width, both: what fills no window is dropped, and all three fit together"""
        for height, width in ((5, 8), (4, 7), (7, 3)):
            got, expected = self.handed(student, rng, (2, 3), height, width)
            assert_same(got[:2], expected[:2])

    def test_own_layers(self, student, rng):
        """Three convolutions: each has weights of its own"""
        got, expected = self.handed(student, rng, (4, 4, 4, 4), 6, 8)
        assert_same(got[0], expected[0])

    def test_shapes(self, student, rng):
        """The shapes of all weights and biases"""
        pairs = []
        for in_channels, out_channels, convs in ((3, draw(rng, 5, 9), 1), (2, 7, 3), (draw(rng, 7, 9), 4, 2)):
            net = student.EncoderStage.module(in_channels, out_channels, convs)
            expected = expected_shapes(encoder_channels(in_channels, out_channels, convs))
            pairs.append((shapes(net.parameters()), expected))
        assert_shapes(student, pairs)

    def test_training(self, student, rng):
        """In training mode, with the statistics of the batch, which the stage remembers"""
        layers, x = random_layers(rng, (2, 3)), random_tensor(rng, 3, 2, 4, 6)
        net = load(student, student.EncoderStage.module(2, 3, 1), layers)
        net.call("train", keep=True)
        assert_same(
            handed_over(net(x))[0], pooled_with_places(run(x, layers, training=True))[0], tolerance=(1e-3, 1e-4)
        )
        before = F.conv2d(x, layers[0]["weight"], layers[0]["bias"], padding=1)
        seen = len(student.seen)
        state = net.call("state_dict")
        del student.seen[seen:]
        kept = [state[key] for key in state if key.endswith("running_mean")]
        expected = 0.9 * layers[0]["norm"][2] + 0.1 * before.mean((0, 2, 3))
        assert_same(kept, [expected])

    # In evaluation mode with as many channels before as after: for mistakes that end in an error otherwise.
    def probe_same_channels(self, student, rng):
        return self.handed(student, rng, (3, 3, 3), 6, 8)

    def probe_one_convolution(self, student, rng):
        return self.handed(student, rng, (1, 2), 4, 6)


class TestDecoderStage:
    """DecoderStage: values back to their places, then convolutions"""

    def check(self, student, rng, channels, size, bare=False, pictures=2):
        layers, shape = random_layers(rng, channels, bare), (pictures, channels[0], size[0] // 2, size[1] // 2)
        x, switches = random_tensor(rng, *shape), random_switches(rng, shape, size)
        net = load(student, student.DecoderStage.module(channels[0], channels[-1], len(channels) - 1, bare), layers)
        assert_same(net(x, switches, size), run(laid_back(x, switches, size), layers))

    @pytest.mark.weight(2)
    def test_values(self, student, rng):
        """Unpooling, convolution, normalization, ReLU: several channels, one convolution and two"""
        self.check(student, rng, (3, 4), (6, 10))
        self.check(student, rng, (4, 4, 3), (4, 2 * draw(rng, 3, 5)))

    def test_odd_sizes(self, student, rng):
        """The size that is asked for, odd height, odd width, both"""
        for size in ((7, 4), (4, 9), (5, 3)):
            self.check(student, rng, (2, 3), size)

    def test_bare(self, student, rng):
        """With bare=True the last convolution stands alone, and all others as they were"""
        self.check(student, rng, (3, 2), (4, 6), bare=True)
        self.check(student, rng, (3, 3, 3, 1), (6, 4), bare=True)

    def test_own_layers(self, student, rng):
        """Three convolutions: each has weights of its own"""
        self.check(student, rng, (3, 3, 3, 3), (6, 8))

    def test_shapes(self, student, rng):
        """The shapes of all weights and biases: the channels change in the last convolution"""
        pairs = []
        for in_channels, out_channels, convs in ((draw(rng, 5, 9), 3, 1), (6, draw(rng, 2, 4), 3), (4, 7, 2)):
            net = student.DecoderStage.module(in_channels, out_channels, convs)
            expected = expected_shapes(decoder_channels(in_channels, out_channels, convs))
            pairs.append((shapes(net.parameters()), expected))
        assert_shapes(student, pairs)

    def test_bare_shapes(self, student, rng):
        """With bare=True there is one normalization less, and it is the last one's"""
        in_channels, out_channels = draw(rng, 5, 9), draw(rng, 2, 4)
        pairs = []
        for convs in (3, 1):
            net = student.DecoderStage.module(in_channels, out_channels, convs, bare=True)
            expected = expected_shapes(decoder_channels(in_channels, out_channels, convs), bare=True)
            pairs.append((shapes(net.parameters()), expected))
        assert_shapes(student, pairs)

    def test_training(self, student, rng):
        """In training mode, with the statistics of the batch"""
        layers, shape, size = random_layers(rng, (2, 2, 3)), (3, 2, 2, 3), (4, 7)
        x, switches = random_tensor(rng, *shape), random_switches(rng, shape, size)
        net = load(student, student.DecoderStage.module(2, 3, 2), layers)
        net.call("train", keep=True)
        expected = run(laid_back(x, switches, size), layers, training=True)
        assert_same(net(x, switches, size), expected, tolerance=(1e-3, 1e-4))

    # With as many channels before as after: for mistakes that end in an error otherwise.
    def probe_same_channels(self, student, rng):
        self.check(student, rng, (3, 3, 3), (6, 8))

    def probe_one_convolution(self, student, rng):
        self.check(student, rng, (2, 2), (4, 6))


def plan(in_channels, num_classes, widths, convs):
    """The arguments of all stages of a SegNet, in the order in which they run: encoder, decoder."""
    outer = [in_channels, *widths[:-1]]
    encoder = [(a, b, n) for a, b, n in zip(outer, widths, convs, strict=True)]
    outer[0] = num_classes
    decoder = [(b, a, n, i == 0) for i, (a, b, n) in enumerate(zip(outer, widths, convs, strict=True))]
    return encoder, decoder[::-1]


def described(stage):
    """Channels and bareness of a stage with these arguments."""
    if len(stage) == 3:
        return encoder_channels(*stage), False
    return decoder_channels(*stage[:3]), stage[3]


def own_stage(student, stage):
    """The student's own stage with these arguments, so that a mistake in it costs nothing here; None if there is none."""
    before = len(student.seen)
    try:
        return (student.DecoderStage if len(stage) == 4 else student.EncoderStage).module(*stage)
    except Missing:
        return None
    finally:
        del student.seen[before:]


class TestSegNet:
    """SegNet: encoder and mirrored decoder, with switches and sizes between them"""

    def made(self, student, rng, *arguments):
        """A student's network with weights of the run, and the stages that it should be made of: functions."""
        net = student.SegNet.module(*arguments)
        halves, state, chains = plan(*arguments), {}, ([], [])
        layers = [[random_layers(rng, *described(stage)) for stage in half] for half in halves]
        load(student, net, [layer for half in layers for stage in half for layer in stage])
        for name, half, weights, chain in zip(("encoder", "decoder"), halves, layers, chains, strict=True):
            for number, stage in enumerate(half):
                own = own_stage(student, stage)
                if own is None:
                    chain.append(self.ours(weights[number], is_decoder=name == "decoder"))
                    continue
                before = len(student.seen)
                state = net.get(f"{name}.{number}", keep=True).call("state_dict")
                own.call("load_state_dict", state, keep=True)
                own.call("eval", keep=True)
                del student.seen[before:]
                chain.append(own)
        return net, chains

    @staticmethod
    def ours(layers, is_decoder):
        if is_decoder:
            return lambda x, switches, size: run(laid_back(x, switches, size), layers)
        return lambda x: pooled_with_places(run(x, layers))

    def check(self, student, rng, *arguments, size, pictures=2):
        net, (encoder, decoder) = self.made(student, rng, *arguments)
        x = random_tensor(rng, pictures, arguments[0], *size)
        got, before = net(x), len(student.seen)
        handed = []
        for stage in encoder:
            x, *rest = handed_over(stage(x))
            handed.insert(0, rest)
        for stage, rest in zip(decoder, handed, strict=True):
            x = stage(x, *rest)
        del student.seen[before:]
        assert_same(got, x, tolerance=(1e-3, 1e-4))

    @pytest.mark.weight(2)
    def test_logits(self, student, rng):
        """The logits of several stages, for pictures that can be halved so often"""
        self.check(student, rng, 2, 3, (3, 5, 4), (1, 2, 1), size=(8, 16))

    @pytest.mark.weight(2)
    def test_any_size(self, student, rng):
        """Pictures of odd sizes, at every stage, and the smallest possible one"""
        self.check(student, rng, 3, 2, (4, 3), (1, 1), size=(draw(rng, 2, 4) * 2 + 5, 7))
        self.check(student, rng, 1, 2, (2, 3, 4), (1, 1, 1), size=(15, 11), pictures=1)
        self.check(student, rng, 1, 1, (2, 3), (1, 1), size=(4, 5), pictures=1)

    def test_stages(self, student, rng):
        """One stage, and four: as many as there are widths"""
        self.check(student, rng, 3, 4, (5,), (draw(rng, 1, 2),), size=(4, 6))
        self.check(student, rng, 1, 2, (2, 3, 2, 4), (1, 1, 2, 1), size=(16, 32), pictures=1)

    def test_equal_widths(self, student, rng):
        """Where widths, channels and classes are the same, each stage still has weights and switches of its own"""
        self.check(student, rng, 3, 3, (3, 3, 3), (1, 1, 1), size=(8, 24))

    @pytest.mark.weight(2)
    def test_shapes(self, student, rng):
        """All layers of all stages: channels and numbers of convolutions are mirrored, the last one is bare"""
        pairs = []
        for arguments in (
            (3, draw(rng, 8, 9), (4, 6, 5), (2, 1, 3)),
            (2, 3, (5, 5, draw(rng, 6, 7), 7), (1, 3, 2, 2)),
            (1, 2, (4,), (2,)),
        ):
            there, found, expected = student.SegNet.module(*arguments).parameters(), [], []
            for half, stages in zip(("encoder", "decoder"), plan(*arguments), strict=True):
                for number, stage in enumerate(stages):
                    own, prefix = own_stage(student, stage), f"{half}.{number}."
                    expected.append(
                        shapes(self.parameters(student, own)) if own else expected_shapes(*described(stage))
                    )
                    found.append(shapes({name: one for name, one in there.items() if name.startswith(prefix)}))
            found += [name for name in there if name.split(".")[0] not in ("encoder", "decoder")]
            found.append(len({name.rpartition(".")[0] for name in there}))
            pairs.append((found, [*expected, sum(len(kind) for stage in expected for kind in stage)]))
        assert_shapes(student, pairs)

    @staticmethod
    def parameters(student, net):
        before = len(student.seen)
        found = net.parameters()
        del student.seen[before:]
        return found

    def test_gradients(self, student, rng):
        """Every weight of every stage learns"""
        arguments = (2, 3, (3, 4), (1, 2))
        net, _ = self.made(student, rng, *arguments)
        x, arriving = random_tensor(rng, 2, 2, 8, 12), random_tensor(rng, 2, 3, 8, 12)
        found = net.gradients(x, arriving)
        silent = [name for name, one in found.items() if one is None or not one.any()]
        halves = {name.split(".")[0] for name in found}
        student.seen[:] = [1.5 if silent or halves != {"encoder", "decoder"} else 1.0]  # on record without names
        if silent or halves != {"encoder", "decoder"}:
            raise Mismatch("rule", "a gradient for every weight", f"none for {silent or 'any'}"[:200])

    # One width throughout, so that what is handed to the wrong stage still fits as well as it can.
    def probe_two(self, student, rng):
        self.check(student, rng, 2, 2, (2, 2), (1, 1), size=(8, 8))

    def probe_one(self, student, rng):
        self.check(student, rng, 2, 2, (2,), (1,), size=(6, 4))


KINDS = ("switches", "indices", "maps")


def counted(widths, height, width, kind):
    """Bytes by counting the elements of the maps themselves."""
    bits = 0
    for channels in widths:
        whole = np.zeros((channels, height, width), dtype=np.uint8)
        pooled = whole[:, : height // 2 * 2 : 2, : width // 2 * 2 : 2]
        bits += {"switches": 2 * pooled.size, "indices": 64 * pooled.size, "maps": 32 * whole.size}[kind]
        _, height, width = pooled.shape
    return math.ceil(bits / 8)


class TestHandoverBytes:
    """handover_bytes: what waits for the decoder"""

    def check(self, student, rng, kind, stages, odd):
        for _ in range(3):
            widths = [draw(rng, 1, 9) for _ in range(stages)]
            height, width = (2**stages * draw(rng, 1, 3) + odd * draw(rng, 1, 2**stages - 1) for _ in range(2))
            width += 2**stages
            assert_same(student.handover_bytes(widths, height, width, kind), counted(widths, height, width, kind))

    def test_switches(self, student, rng):
        """Two bits for each pooled value, in bytes"""
        self.check(student, rng, "switches", 3, odd=False)

    def test_indices(self, student, rng):
        """int64 for each pooled value"""
        self.check(student, rng, "indices", 3, odd=False)

    def test_maps(self, student, rng):
        """float32 for each value before pooling"""
        self.check(student, rng, "maps", 3, odd=False)

    def test_one_stage(self, student, rng):
        """One stage only, all three kinds"""
        for kind in KINDS:
            self.check(student, rng, kind, 1, odd=False)

    def test_odd_sizes(self, student, rng):
        """Sides that cannot be halved so often, all three kinds"""
        for kind in KINDS:
            self.check(student, rng, kind, 4, odd=True)

    def test_packed(self, student, rng):
        """Few switches: packed over all stages, and a byte that is begun counts once"""
        widths, height, width = [1, 1, 3], 8, 8 * draw(rng, 1, 3)
        assert_same(
            student.handover_bytes(widths, height, width, "switches"), counted(widths, height, width, "switches")
        )
        got = [student.handover_bytes([1], 2, 2 * number, "switches") for number in range(1, 10)]
        assert_same(got, [1, 1, 1, 1, 2, 2, 2, 2, 3])


def contour_pixels(mask, valid, number):
    """The contour of a class in one mask, as a list of (row, column): pixel by pixel."""
    height, width = mask.shape
    pixels = []
    for y in range(height):
        for x in range(width):
            if not valid[y, x] or mask[y, x] != number:
                continue
            for row, col in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= row < height and 0 <= col < width and valid[row, col] and mask[row, col] != number:
                    pixels.append((y, x))
                    break
    return pixels


def share_near(pixels, others, tolerance):
    """By all distances, in whole numbers as long as they are squares."""
    if not pixels or not others:
        return 0.0
    steps = np.array(pixels)[:, None] - np.array(others)[None]
    return float(((steps**2).sum(2).min(1) <= tolerance**2).mean())


def expected_f(pred, target, num_classes, tolerance, ignore_index=255):
    per_class = [[] for _ in range(num_classes)]
    for one, truth in zip(pred.numpy(), target.numpy(), strict=True):
        valid = truth != ignore_index
        for number, values in enumerate(per_class):
            found, there = contour_pixels(one, valid, number), contour_pixels(truth, valid, number)
            if found or there:
                p, r = share_near(found, there, tolerance), share_near(there, found, tolerance)
                values.append(2 * p * r / (p + r) if p + r else 0.0)
    means = [sum(values) / len(values) if values else math.nan for values in per_class]
    return torch.tensor(means, dtype=torch.float64)


def random_masks(rng, pictures, num_classes, height, width, shapes=5):
    """Masks of overlapping boxes of random classes."""
    masks = torch.zeros(pictures, height, width, dtype=torch.int64)
    for mask in masks:
        for _ in range(shapes):
            top, left = draw(rng, 0, height - 3), draw(rng, 0, width - 3)
            mask[top : top + draw(rng, 2, 6), left : left + draw(rng, 2, 6)] = draw(rng, 0, num_classes - 1)
    return masks


def spoiled(rng, masks, num_classes):
    """The masks shifted by a pixel or two, with some wrong pixels."""
    moved = masks.roll((draw(rng, 1, 2), draw(rng, 0, 2)), (1, 2))
    wrong = torch.from_numpy(rng.random(masks.shape)) < 0.05
    return torch.where(wrong, random_labels(rng, num_classes, *masks.shape), moved)


class TestBoundaryFScore:
    """boundary_f_score: precision and recall of contours"""

    def check(self, student, pred, target, num_classes, tolerance, **more):
        got = student.boundary_f_score(pred, target, num_classes, tolerance, **more)
        assert_same(got, expected_f(pred, target, num_classes, tolerance, **more))

    def check_random(self, student, rng, tolerance, pictures=1):
        target = random_masks(rng, pictures, 4, 11, 15)
        self.check(student, spoiled(rng, target, 4), target, 4, tolerance)

    @pytest.mark.weight(2)
    def test_general(self, student, rng):
        """Several pictures and classes, tolerances of 1.5 and of whole pixels"""
        for tolerance in (1.5, 2):
            self.check_random(student, rng, tolerance, pictures=3)

    def test_zero(self, student, rng):
        """Tolerance 0: only the very same pixels"""
        self.check_random(student, rng, 0, pictures=2)

    @pytest.mark.weight(2)
    def test_distance(self, student, rng):
        """Straight distances, up to and including the tolerance, in every direction"""
        target, pred = (torch.zeros(1, 15, 23, dtype=torch.int64) for _ in range(2))
        target[0, 7, 11] = 1
        row, col = ((3, 4), (4, 3), (-3, 4), (4, -3))[draw(rng, 0, 3)]
        pred[0, 7 + row, 11 + col] = 1
        for tolerance in (5, 4.9, 4, 6):
            self.check(student, pred, target, 2, tolerance)
        pred[0, 7 + row, 11 + col] = 0
        pred[0, 7 + (2 if row > 0 else -2), 11 + 2] = 1
        for tolerance in (2, 2.5, 3):
            self.check(student, pred, target, 2, tolerance)

    def test_precision_and_recall(self, student, rng):
        """Much painted that is not there, and much there that is not painted"""
        target, pred = (torch.zeros(1, 9, 24, dtype=torch.int64) for _ in range(2))
        target[0, 2, 1 : 1 + draw(rng, 4, 8)] = 1
        pred[0, 2, 1:3] = 1
        for one, other in ((pred, target), (target, pred)):
            self.check(student, one, other, 2, 0)
        pred[0, 6, 12 : 12 + draw(rng, 3, 9)] = 1
        self.check(student, pred, target, 2, 1)

    def test_classes_apart(self, student, rng):
        """Contours of another class do not count"""
        target = random_masks(rng, 2, 3, 9, 13)
        self.check(student, (target + 1) % 3, target, 3, 1)

    def test_edge(self, student, rng):
        """The edge of the picture makes no contour, and nothing comes in from the other side"""
        target = torch.zeros(1, 8, 12, dtype=torch.int64)
        target[0, :, : draw(rng, 2, 4)] = 1
        pred = target.clone()
        pred[0, :, 8:] = 1
        for tolerance in (0, 1.5, 3):
            self.check(student, pred, target, 2, tolerance)

    @pytest.mark.weight(2)
    def test_ignored(self, student, rng):
        """Ignored pixels are on no contour and make none, in prediction and target, whatever their label"""
        target = random_masks(rng, 2, 3, 10, 14)
        pred = spoiled(rng, target, 3)
        target[torch.from_numpy(rng.random(target.shape)) < 0.15] = 255
        target[:, 4:6] = 255
        self.check(student, pred, target, 3, 1)
        self.check(student, pred, torch.where(target == 255, 1, target), 3, 1, ignore_index=1)

    @pytest.mark.weight(2)
    def test_absent(self, student, rng):
        """Classes in one mask only, in no mask, in some pictures only"""
        target = random_masks(rng, 3, 2, 9, 13)
        target[0] = 0
        pred = spoiled(rng, target, 2)
        pred[0], pred[1, 3, 4:6] = 0, 3
        target[2, 6, 5:9] = 4
        self.check(student, pred, target, 6, 1)

    def test_thick(self, student, rng):
        """Of a large object only the rim counts, four neighbours, inside it"""
        target, pred = (torch.zeros(1, 14, 20, dtype=torch.int64) for _ in range(2))
        target[0, 3:11, 4:14] = 1
        pred[0, 3:11, 4 : 14 + draw(rng, 1, 2)] = 1
        pred[0, 3, 4] = 0
        self.check(student, pred, target, 2, 0)

    def test_perfect(self, student, rng):
        """The truth itself"""
        target = random_masks(rng, 2, 4, 9, 16)
        self.check(student, target, target.clone(), 4, draw(rng, 0, 2))

    def test_small(self, student, rng):
        """Pictures smaller than the tolerance"""
        target, pred = random_labels(rng, 2, 3, 2, 3), random_labels(rng, 2, 3, 2, 3)
        self.check(student, pred, target, 2, 6)

    # Nothing ignored, every class in both masks of one picture: what most mistakes survive.
    def probe_plain(self, student, rng):
        target = random_masks(rng, 1, 3, 12, 17, shapes=9)
        target[0, :2] = 1
        target[0, 9:, :3] = 2
        return student.boundary_f_score(target.roll(1, 2), target, 3, 1.5)

    def probe_sharp(self, student, rng):
        target = random_masks(rng, 1, 2, 12, 17, shapes=6)
        target[0, 4:8, 5:9] = 1
        return student.boundary_f_score(target.roll(1, 1), target, 2, 0)
