"""Wrong answers of lesson 07. Each docstring is what a student reads: what is wrong, not what is right."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import misconception, variant, ways
from autograde.reference.segnet import DecoderStage, SegNet, boundary_f_score

# --- EncoderStage ---


def encoder_pairs(in_channels, out_channels, convs):
    widths = [in_channels] + [out_channels] * convs
    return list(zip(widths, widths[1:], strict=False))


def block(in_channels, out_channels, order="cnr", bias=True):
    """Convolution, normalization, ReLU, each by its letter, in any order."""
    layers = {
        "c": lambda: nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias),
        "n": lambda: nn.BatchNorm2d(out_channels),
        "r": nn.ReLU,
    }
    return nn.Sequential(*(layers[letter]() for letter in order))


class Encoding(nn.Module):
    """The right stage in pieces; a wrong one replaces one of them."""

    order, bias = "cnr", True

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.convs = self.made(encoder_pairs(in_channels, out_channels, convs))

    def made(self, pairs):
        return nn.Sequential(*(block(*pair, self.order, self.bias) for pair in pairs))

    def forward(self, x):
        x = self.convs(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return self.handed(x, pooled, switches)

    def handed(self, x, pooled, switches):
        return pooled, switches, tuple(x.shape[2:])


ENCODED = ("test_pooled", "test_own_layers", "test_training")


@misconception("EncoderStage", breaks="test_own_layers", hint=2, source="zijundeng: seg_net.py; students' answers")
class OneBlockAgain(Encoding):
    """Several convolutions share their weights: one and the same layer stands in more than one place."""

    def made(self, pairs):
        last = block(*pairs[-1])
        return nn.Sequential(block(*pairs[0]), *[last] * (len(pairs) - 1))


@variant(OneBlockAgain, breaks="test_own_layers")
class OneNormAgain(Encoding):
    def made(self, pairs):
        norm = nn.BatchNorm2d(pairs[0][1])
        return nn.Sequential(*(nn.Sequential(nn.Conv2d(*pair, 3, padding=1), norm, nn.ReLU()) for pair in pairs))


@misconception("EncoderStage", breaks=ENCODED, hint=2, source="repositories with conv-ReLU-BN; students' answers")
class AnotherOrder(Encoding):
    """The layers of a block do not stand in the order of the drawing: normalization is not between its neighbours."""

    order = "crn"


@variant(AnotherOrder, breaks=ENCODED)
class NormOfTheLastOnly(Encoding):
    def made(self, pairs):
        first = [block(*pair, "cr") for pair in pairs[:-1]]
        return nn.Sequential(*first, block(*pairs[-1], "crn"))


@misconception("EncoderStage", breaks=("test_pooled", "test_training"), hint=2, source="VGG and SegNet-Basic")
class LayerMissing(Encoding):
    """What is pooled has not been through all three layers: a ReLU or a normalization is left out."""

    order = "cn"


@variant(LayerMissing, breaks=("test_pooled", "test_shapes"))
class WithoutNorm(Encoding):
    order = "cr"


@variant(LayerMissing, breaks="test_pooled")
class LastReluMissing(Encoding):
    def made(self, pairs):
        return nn.Sequential(*(block(*pair) for pair in pairs[:-1]), block(*pairs[-1], "cn"))


@variant(LayerMissing, breaks="test_pooled")
class OneReluAtTheEnd(Encoding):
    def made(self, pairs):
        return nn.Sequential(*(block(*pair, "cn") for pair in pairs), nn.ReLU())


@misconception("EncoderStage", breaks="test_size", hint=3, source="students' answers")
class AnotherSize(Encoding):
    """The size that is handed over is not the one asked for: of another map, or with its numbers in other places."""

    def handed(self, x, pooled, switches):
        return pooled, switches, tuple(pooled.shape[2:])


@variant(AnotherSize, breaks="test_size")
class WidthFirst(Encoding):
    def handed(self, x, pooled, switches):
        return pooled, switches, (x.shape[3], x.shape[2])


@variant(AnotherSize, breaks="test_size")
class WholeShape(Encoding):
    def handed(self, x, pooled, switches):
        return pooled, switches, tuple(x.shape)


@variant(AnotherSize, breaks="test_size")
class TwiceThePooled(Encoding):
    def handed(self, x, pooled, switches):
        return pooled, switches, (2 * pooled.shape[2], 2 * pooled.shape[3])


@misconception("EncoderStage", breaks="test_switches", hint=3, source="tf-keras-SegNet#4; TensorFlow's argmax")
class OtherIndices(Encoding):
    """The switches count something else: places in a window, or across channels or pictures, or along another width."""

    def handed(self, x, pooled, switches):
        row, col = switches // x.shape[3], switches % x.shape[3]
        return pooled, 2 * (row % 2) + col % 2, tuple(x.shape[2:])


@variant(OtherIndices, breaks="test_switches")
class ChannelsCounted(Encoding):
    def handed(self, x, pooled, switches):
        n, c, h, w = x.shape
        return pooled, switches * c + torch.arange(c)[:, None, None], (h, w)


@variant(OtherIndices, breaks="test_switches")
class AcrossTheBatch(Encoding):
    def handed(self, x, pooled, switches):
        n, c, h, w = x.shape
        return pooled, switches + h * w * torch.arange(n * c).reshape(n, c, 1, 1), (h, w)


@variant(OtherIndices, breaks="test_switches")
class ColumnByColumn(Encoding):
    def handed(self, x, pooled, switches):
        h, w = x.shape[2:]
        return pooled, switches % w * h + switches // w, (h, w)


@misconception("EncoderStage", breaks="test_odd_sizes", hint=2, source="Caffe's pooling, which rounds up")
class RoundedUp(Encoding):
    """Odd sizes are rounded up when they are halved: there is a value for a window that is not whole."""

    def forward(self, x):
        x = self.convs(x)
        return self.handed(x, *F.max_pool2d(x, 2, return_indices=True, ceil_mode=True))


@misconception("EncoderStage", breaks="test_shapes", hint=2, source="students' answers; milesial's bias=False")
class OtherShapes(Encoding):
    """The weights are not those of the statement: a bias is missing, or channels or numbers of layers are others.

    Layers in a plain list are unknown to torch, and so are their weights.
    """

    bias = False


@variant(OtherShapes, breaks="test_shapes")
class ChannelsInTheLast(Encoding):
    def __init__(self, in_channels, out_channels, convs):
        nn.Module.__init__(self)
        self.convs = self.made([(in_channels, in_channels)] * (convs - 1) + [(in_channels, out_channels)])


@variant(OtherShapes, breaks="test_shapes")
class AlwaysTwo(Encoding):
    def __init__(self, in_channels, out_channels, convs):
        super().__init__(in_channels, out_channels, 2)


@variant(OtherShapes, breaks="test_shapes")
class OneMore(Encoding):
    def __init__(self, in_channels, out_channels, convs):
        super().__init__(in_channels, out_channels, convs + 1)


@variant(OtherShapes, breaks="test_shapes")
class InAPlainList(Encoding):
    def made(self, pairs):
        blocks = [block(*pair) for pair in pairs]

        def run(x):
            for one in blocks:
                x = one.train(self.training)(x)
            return x

        return run


# --- DecoderStage ---

DECODED = ("test_values", "test_odd_sizes")


class Decoding(nn.Module):
    """The right stage in pieces; a wrong one replaces one of them."""

    order, bias = "cnr", True

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.convs = self.made([(in_channels, in_channels)] * (convs - 1) + [(in_channels, out_channels)], bare)

    def made(self, pairs, bare):
        blocks = [block(*pair, self.order, self.bias) for pair in pairs[:-1]]
        return nn.Sequential(*blocks, self.last(*pairs[-1], bare))

    def last(self, in_channels, out_channels, bare):
        return block(in_channels, out_channels, "c" if bare else self.order, self.bias)

    def enlarged(self, x, switches, size):
        return F.max_unpool2d(x, switches, 2, output_size=tuple(size))

    def forward(self, x, switches, size):
        return self.convs(self.enlarged(x, switches, size))


@misconception("DecoderStage", breaks=DECODED, hint=2, source="zijundeng: seg_net.py; the paper's own control")
class WithoutSwitches(Decoding):
    """The map is enlarged without looking at the switches: values do not stand where their maxima were."""

    def enlarged(self, x, switches, size):
        return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


@variant(WithoutSwitches, breaks=DECODED)
class InBlocks(Decoding):
    def enlarged(self, x, switches, size):
        return F.interpolate(x, size=tuple(size), mode="nearest")


@variant(WithoutSwitches, breaks=DECODED)
class BedOfNails(Decoding):
    def enlarged(self, x, switches, size):
        sparse = x.new_zeros(*x.shape[:2], *size)
        sparse[:, :, : 2 * x.shape[2] : 2, : 2 * x.shape[3] : 2] = x
        return sparse


@misconception("DecoderStage", breaks="test_odd_sizes", hint=3, source="pytorch#580: 134 instead of 135")
class SizeNotUsed(Decoding):
    """The map is enlarged by 2 whatever size is asked for: odd sizes do not come back."""

    def enlarged(self, x, switches, size):
        return F.max_unpool2d(x, switches, 2)


@variant(SizeNotUsed, breaks="test_odd_sizes")
class PaddedAfterwards(Decoding):
    def enlarged(self, x, switches, size):
        sparse = F.max_unpool2d(x, switches, 2)
        return F.pad(sparse, (0, size[1] - sparse.shape[3], 0, size[0] - sparse.shape[2]))


@misconception("DecoderStage", breaks="test_shapes", hint=1, source="meetps/pytorch-semseg#44; students' answers")
class ChannelsElsewhere(Decoding):
    """The channels do not change where the statement says, or there are more or fewer convolutions."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        nn.Module.__init__(self)
        self.convs = self.made([(in_channels, out_channels)] + [(out_channels, out_channels)] * (convs - 1), bare)


@variant(ChannelsElsewhere, breaks="test_shapes")
class OneConvolutionMore(Decoding):
    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__(in_channels, out_channels, convs + 1, bare)


@variant(ChannelsElsewhere, breaks="test_shapes")
class TwoConvolutions(Decoding):
    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__(in_channels, out_channels, 2, bare)


@misconception("DecoderStage", breaks="test_bare", hint=2, source="meetps: segnet.py; zijundeng; deepcell-tf#624")
class NotBare(Decoding):
    """With bare=True, something else than the convolution stands at the end: scores are normalized or cut off at 0."""

    def last(self, in_channels, out_channels, bare):
        return block(in_channels, out_channels)


@variant(NotBare, breaks="test_bare")
class ReluStays(Decoding):
    def last(self, in_channels, out_channels, bare):
        return block(in_channels, out_channels, "cr" if bare else "cnr")


@variant(NotBare, breaks="test_bare")
class NormStays(Decoding):
    def last(self, in_channels, out_channels, bare):
        return block(in_channels, out_channels, "cn" if bare else "cnr")


@variant(NotBare, breaks="test_bare")
class SoftmaxBehind(Decoding):
    def last(self, in_channels, out_channels, bare):
        return block(in_channels, out_channels).append(nn.Softmax(1)) if bare else block(in_channels, out_channels)


@misconception("DecoderStage", breaks="test_bare", hint=2, source="students' answers")
class BareEverywhere(Decoding):
    """With bare=True, more layers are left out than asked for: another convolution stands alone as well."""

    def made(self, pairs, bare):
        return nn.Sequential(*(block(*pair, "c" if bare else "cnr") for pair in pairs))


@variant(BareEverywhere, breaks="test_bare")
class NoReluWhenBare(Decoding):
    def made(self, pairs, bare):
        return nn.Sequential(
            *(block(*pair, "cn" if bare else "cnr") for pair in pairs[:-1]), self.last(*pairs[-1], bare)
        )


@misconception("DecoderStage", breaks=("test_values", "test_training"), hint=2, source="SegNet-Basic; conv-ReLU-BN")
class OtherLayers(Decoding):
    """The layers behind a convolution are not those of the statement: one is missing, or their order is another."""

    order = "cn"


@variant(OtherLayers, breaks=("test_values", "test_training"))
class ReluBeforeNorm(Decoding):
    order = "crn"


@variant(OtherLayers, breaks="test_values")
class DecoderWithoutNorm(Decoding):
    order = "cr"


@misconception("DecoderStage", breaks="test_own_layers", hint=2, source="zijundeng: [conv, bn, relu] * n")
class OneBlockInAllPlaces(Decoding):
    """Several convolutions share their weights: one and the same layer stands in more than one place."""

    def made(self, pairs, bare):
        repeated = [block(*pairs[0])] * (len(pairs) - 1)
        return nn.Sequential(*repeated, self.last(*pairs[-1], bare))


@misconception("DecoderStage", breaks="test_values", hint=1, source="students' answers")
class ConvolvedFirst(Decoding):
    """The convolutions come before the unpooling, on the small map: the gaps stay open."""

    def forward(self, x, switches, size):
        return self.enlarged(self.convs(x), switches, size)


# --- SegNet ---

LOGITS = ("test_logits", "test_any_size", "test_stages")


class Net(SegNet):
    """The right network in pieces; a wrong one replaces one of them."""

    def encoded(self, x):
        kept = []
        for stage in self.encoder:
            x, switches, size = stage(x)
            kept.append((switches, size))
        return x, kept

    def decoded(self, x, kept):
        for stage in self.decoder:
            x = stage(x, *kept.pop())
        return x

    def forward(self, x):
        return self.decoded(*self.encoded(x))


@misconception("SegNet", breaks=LOGITS[:2], hint=2, source="students' answers")
class AnotherStagesSwitches(Net):
    """A decoder stage gets the switches or the size of another encoder stage than its counterpart."""

    def decoded(self, x, kept):
        return super().decoded(x, kept[::-1])


@variant(AnotherStagesSwitches, breaks=LOGITS[:2])
class AlwaysTheLast(Net):
    def decoded(self, x, kept):
        for stage in self.decoder:
            x = stage(x, *kept[-1])
        return x


@misconception("SegNet", breaks="test_any_size", hint=3, source="pytorch#580; students' answers")
class SizesComputed(Net):
    """The sizes are computed from the small maps, not those that the encoder had: odd sizes go wrong on the way."""

    def decoded(self, x, kept):
        for stage in self.decoder:
            switches, _ = kept.pop()
            x = stage(x, switches, (2 * x.shape[2], 2 * x.shape[3]))
        return x


@variant(SizesComputed, breaks="test_any_size")
class ResizedInTheEnd(SizesComputed):
    def forward(self, x):
        return F.interpolate(super().forward(x), size=x.shape[2:], mode="bilinear", align_corners=False)


@variant(SizesComputed, breaks="test_any_size")
class PaddedToAFit(Net):
    def forward(self, x):
        factor = 2 ** len(self.encoder)
        padded = F.pad(x, (0, -x.shape[3] % factor, 0, -x.shape[2] % factor))
        return super().forward(padded)[:, :, : x.shape[2], : x.shape[3]]


@misconception("SegNet", breaks=LOGITS, hint=1, source="students' answers; deepcell-tf#624")
class SomethingAtTheEnd(Net):
    """What comes out are no bare scores: softmax, a sigmoid or a ReLU stands behind the last stage."""

    def forward(self, x):
        return super().forward(x).softmax(1)


@variant(SomethingAtTheEnd, breaks=LOGITS)
class SigmoidAtTheEnd(Net):
    def forward(self, x):
        return super().forward(x).sigmoid()


@variant(SomethingAtTheEnd, breaks=LOGITS)
class ReluAtTheEnd(Net):
    def forward(self, x):
        return super().forward(x).relu()


@variant(SomethingAtTheEnd, breaks=LOGITS)
class LogSoftmaxAtTheEnd(Net):
    def forward(self, x):
        return super().forward(x).log_softmax(1)


@misconception("SegNet", breaks="test_shapes", hint=2, source="meetps: segnet.py; zijundeng: seg_net.py")
class LastStageNotBare(Net):
    """The last decoder stage is not bare: its scores are normalized, and none of them is negative."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__(in_channels, num_classes, widths, convs_per_stage)
        self.decoder[-1] = DecoderStage(widths[0], num_classes, convs_per_stage[0])


@variant(LastStageNotBare, breaks="test_shapes")
class NoStageBare(LastStageNotBare):
    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__(in_channels, num_classes, widths, convs_per_stage)
        outputs = [*widths[:-1][::-1], num_classes]
        for number, (width, out) in enumerate(zip(widths[::-1], outputs, strict=True)):
            self.decoder[number] = DecoderStage(width, out, convs_per_stage[::-1][number])


@misconception("SegNet", breaks="test_shapes", hint=3, source="students' answers")
class NotMirrored(Net):
    """The decoder is not the mirrored encoder: a stage has other channels, or another number of convolutions."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__(in_channels, num_classes, widths, convs_per_stage)
        last = len(widths) - 1
        for number, convs in enumerate(convs_per_stage):
            i = last - number
            out = widths[i - 1] if i else num_classes
            self.decoder[number] = DecoderStage(widths[i], out, self.convs(convs, convs_per_stage, i), bare=i == 0)

    def convs(self, convs, convs_per_stage, i):
        return convs


@variant(NotMirrored, breaks="test_shapes")
class OneConvolutionEach(NotMirrored):
    def convs(self, convs, convs_per_stage, i):
        return 1


@variant(NotMirrored, breaks="test_shapes")
class TwoConvolutionsEach(NotMirrored):
    def convs(self, convs, convs_per_stage, i):
        return 2


@variant(NotMirrored, breaks="test_shapes")
class NextStagesNumber(NotMirrored):
    def convs(self, convs, convs_per_stage, i):
        return convs_per_stage[max(i - 1, 0)]


@misconception("SegNet", breaks="test_shapes", hint=2, source="SegNet-Basic's 1 x 1 classifier; students' answers")
class ScoreLayerExtra(Net):
    """There is a layer too many: the scores do not come from the last stage, but from a convolution behind it."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__(in_channels, num_classes, widths, convs_per_stage)
        self.decoder[-1] = DecoderStage(widths[0], widths[0], convs_per_stage[0])
        self.score = nn.Conv2d(widths[0], num_classes, self.side, padding=self.side // 2)

    side = 1

    def forward(self, x):
        return self.score(super().forward(x))


@variant(ScoreLayerExtra, breaks="test_shapes")
class ScoreLayerOfThree(ScoreLayerExtra):
    side = 3


@variant(ScoreLayerExtra, breaks="test_shapes")
class ScoreLayerAfterABareStage(ScoreLayerExtra):
    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__(in_channels, num_classes, widths, convs_per_stage)
        self.decoder[-1] = DecoderStage(widths[0], widths[0], convs_per_stage[0], bare=True)


@misconception("SegNet", breaks="test_logits", hint=1, source="zijundeng: seg_net.py; the paper's EncoderAddition")
class WithSkips(Net):
    """More crosses than switches and sizes: maps of the encoder are added to those of the decoder."""

    def encoded(self, x):
        kept = []
        for stage in self.encoder:
            x, switches, size = stage(x)
            kept.append((switches, size, x))
        return x, kept

    def decoded(self, x, kept):
        for number, stage in enumerate(self.decoder):
            switches, size, skip = kept.pop()
            x = stage(x + skip if number else x, switches, size)
        return x


@variant(WithSkips, breaks="test_logits")
class SkipsFromTheStart(WithSkips):
    def decoded(self, x, kept):
        for stage in self.decoder:
            switches, size, skip = kept.pop()
            x = stage(x + skip, switches, size)
        return x


@misconception("SegNet", breaks="test_shapes", hint=2, source="students' answers")
class StagesUnregistered(Net):
    """Stages are not where the statement says, each one once: in plain lists, under other names, or one for several."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.stages = [list(self.encoder), list(self.decoder)]
        del self.encoder, self.decoder

    def __getattr__(self, name):
        if name in ("encoder", "decoder"):
            return self.__dict__["stages"][name == "decoder"]
        return super().__getattr__(name)

    def forward(self, x):
        for stage in self.stages[0] + self.stages[1]:
            stage.train(self.training)
        return super().forward(x)


@variant(StagesUnregistered, breaks="test_shapes")
class EqualStagesShared(Net):
    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__(in_channels, num_classes, widths, convs_per_stage)
        pairs = list(zip([in_channels, *widths], widths, convs_per_stage, strict=False))
        for number, pair in enumerate(pairs):
            self.encoder[number] = self.encoder[pairs.index(pair)]


@variant(StagesUnregistered, breaks="test_shapes")
class DecoderBackToFront(Net):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.decoder = nn.ModuleList(self.decoder[::-1])

    def decoded(self, x, kept):
        for stage in reversed(self.decoder):
            x = stage(x, *kept.pop())
        return x


@variant(StagesUnregistered, breaks="test_shapes")
class OtherNames(Net):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.down, self.up = self.encoder, self.decoder
        del self.encoder, self.decoder

    def forward(self, x):
        kept = []
        for stage in self.down:
            x, switches, size = stage(x)
            kept.append((switches, size))
        for stage in self.up:
            x = stage(x, *kept.pop())
        return x


# --- handover_bytes ---


def counts(widths, height, width, half=lambda side: side // 2, channels=True):
    """(channels, values before pooling, pooled values) of each stage."""
    stages = []
    for width_of_stage in widths:
        c = width_of_stage if channels else 1
        whole = c * height * width
        height, width = half(height), half(width)
        stages.append((whole, c * height * width))
    return stages


def bytes_of(stages, kind, bits=2, index=8, value=4):
    whole, pooled = (sum(one) for one in zip(*stages, strict=True))
    return {"switches": -(-bits * pooled // 8), "indices": index * pooled, "maps": value * whole}[kind]


SWITCHES = ("test_switches", "test_packed")


@misconception("handover_bytes", breaks=SWITCHES, hint=3, source="students' answers")
def bits_for_bytes(widths, height, width, kind):
    """A switch does not take two bits: bits are taken for bytes, or a switch takes another number of them."""
    return bytes_of(counts(widths, height, width), kind, bits=16)


ways(
    bits_for_bytes,
    SWITCHES,
    one_byte_each=lambda widths, height, width, kind: bytes_of(counts(widths, height, width), kind, bits=8),
    one_bit_each=lambda widths, height, width, kind: bytes_of(counts(widths, height, width), kind, bits=1),
    four_bits_each=lambda widths, height, width, kind: bytes_of(counts(widths, height, width), kind, bits=4),
)


@misconception("handover_bytes", breaks="test_packed", hint=1, source="students' answers")
def rounded_every_stage(widths, height, width, kind):
    """The bytes are not rounded as asked: each stage on its own, downwards, to the nearest, or not at all."""
    if kind != "switches":
        return bytes_of(counts(widths, height, width), kind)
    return sum(-(-pooled // 4) for _, pooled in counts(widths, height, width))


ways(
    rounded_every_stage,
    "test_packed",
    rounded_down=lambda widths, height, width, kind: (
        sum(pooled for _, pooled in counts(widths, height, width)) // 4
        if kind == "switches"
        else bytes_of(counts(widths, height, width), kind)
    ),
    rounded_to_the_nearest=lambda widths, height, width, kind: (
        round(sum(pooled for _, pooled in counts(widths, height, width)) / 4)
        if kind == "switches"
        else bytes_of(counts(widths, height, width), kind)
    ),
    not_rounded=lambda widths, height, width, kind: (
        sum(pooled for _, pooled in counts(widths, height, width)) / 4
        if kind == "switches"
        else bytes_of(counts(widths, height, width), kind)
    ),
    every_stage_down=lambda widths, height, width, kind: (
        sum(pooled // 4 for _, pooled in counts(widths, height, width))
        if kind == "switches"
        else bytes_of(counts(widths, height, width), kind)
    ),
)


@misconception("handover_bytes", breaks=("test_switches", "test_indices"), hint=1, source="students' answers")
def switch_for_every_pixel(widths, height, width, kind):
    """There are too many switches: one for each value of the map before pooling."""
    stages = counts(widths, height, width)
    return bytes_of(stages if kind == "maps" else [(whole, whole) for whole, _ in stages], kind)


@misconception("handover_bytes", breaks="test_maps", hint=2, source="students' answers")
def pooled_maps(widths, height, width, kind):
    """The maps are counted after pooling, when they are smaller than what is kept."""
    return bytes_of([(pooled, pooled) for _, pooled in counts(widths, height, width)], kind)


@misconception("handover_bytes", breaks="test_odd_sizes", hint=2, source="Caffe: 45 rows become 23")
def halves_rounded_up(widths, height, width, kind):
    """Odd sides are not rounded down when they are halved."""
    return bytes_of(counts(widths, height, width, lambda side: -(-side // 2)), kind)


@variant(halves_rounded_up, breaks="test_odd_sizes")
def halves_with_fractions(widths, height, width, kind):
    return math.ceil(bytes_of(counts(widths, height, width, lambda side: side / 2), kind))


@misconception("handover_bytes", breaks=("test_switches", "test_indices", "test_maps"), hint=2, source="students")
def never_halved(widths, height, width, kind):
    """The sizes of the stages are wrong: a later stage is not half as high and half as wide as the one before."""
    whole = [(c * height * width, c * (height // 2) * (width // 2)) for c in widths]
    return bytes_of(whole, kind)


@variant(never_halved, breaks=("test_switches", "test_indices", "test_maps"))
def height_halved_only(widths, height, width, kind):
    stages = []
    for c in widths:
        stages.append((c * height * width, c * (height // 2) * width))
        height //= 2
    return bytes_of(stages, kind)


@misconception("handover_bytes", breaks=("test_switches", "test_indices", "test_maps"), hint=1, source="students")
def channels_forgotten(widths, height, width, kind):
    """Not every value of every stage is counted: channels, or a whole stage, are left out."""
    return bytes_of(counts(widths, height, width, channels=False), kind)


@variant(channels_forgotten, breaks=("test_switches", "test_indices", "test_maps"))
def last_stage_forgotten(widths, height, width, kind):
    return bytes_of([(0, 0), *counts(widths, height, width)[:-1]], kind)


@variant(channels_forgotten, breaks=("test_switches", "test_indices", "test_maps"))
def last_stage_only(widths, height, width, kind):
    return bytes_of(counts(widths, height, width)[-1:], kind)


@misconception("handover_bytes", breaks="test_indices", hint=1, source="students' answers")
def numbers_of_another_size(widths, height, width, kind):
    """A number takes another number of bytes than its type has: int64 or float32 is counted as something else."""
    return bytes_of(counts(widths, height, width), kind, index=4)


ways(
    numbers_of_another_size,
    "test_indices",
    indices_as_bits=lambda widths, height, width, kind: bytes_of(counts(widths, height, width), kind, index=64),
    maps_and_indices_in_half=lambda widths, height, width, kind: bytes_of(
        counts(widths, height, width), kind, index=4, value=2
    ),
)
ways(
    numbers_of_another_size,
    "test_maps",
    maps_as_float64=lambda widths, height, width, kind: bytes_of(counts(widths, height, width), kind, value=8),
    maps_as_bytes=lambda widths, height, width, kind: bytes_of(counts(widths, height, width), kind, value=1),
    maps_as_bits=lambda widths, height, width, kind: bytes_of(counts(widths, height, width), kind, value=32),
)


# --- boundary_f_score ---


def four_neighbours(other):
    other = F.pad(other, (1, 1, 1, 1))
    return other[..., 2:, 1:-1] | other[..., :-2, 1:-1] | other[..., 1:-1, 2:] | other[..., 1:-1, :-2]


def contours(mask, valid, num_classes):
    inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
    return inside & four_neighbours(~inside & valid[:, None])


def disc(other, tolerance, length=lambda y, x: (y * y + x * x) ** 0.5, inside=lambda d, t: d <= t + 1e-9):
    """Whatever lies near a pixel of `other`."""
    reach = math.ceil(tolerance) + 1
    padded, near = F.pad(other, (reach,) * 4), torch.zeros_like(other)
    height, width = other.shape[-2:]
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            if inside(length(y - reach, x - reach), tolerance):
                near |= padded[..., y : y + height, x : x + width]
    return near


def shares(found, truth, widened):
    """Precision and recall, (N, num_classes) each; 0 where there is no contour."""
    p, r = (found & widened(truth)).sum((2, 3)).double(), (truth & widened(found)).sum((2, 3)).double()
    return p / found.sum((2, 3)).clamp(min=1), r / truth.sum((2, 3)).clamp(min=1)


def harmonic(p, r):
    return torch.where(p + r > 0, 2 * p * r / (p + r), 0.0)


def mean_of_pictures(f, found, truth):
    either = found.flatten(2).any(2) | truth.flatten(2).any(2)
    return torch.where(either, f, torch.nan).nanmean(0)


def score(
    pred, target, num_classes, tolerance, ignore_index=255, *,
    contours=contours, widen=disc, join=harmonic, mean=mean_of_pictures, valid=None, valid_in_pred=None,
):  # fmt: skip
    """The right answer in pieces; a wrong one replaces one of them."""
    valid = target != ignore_index if valid is None else valid
    truth = contours(target, valid, num_classes)
    found = contours(pred, valid if valid_in_pred is None else valid_in_pred, num_classes)
    p, r = shares(found, truth, lambda other: widen(other, tolerance))
    return mean(join(p, r), found, truth)


@misconception("boundary_f_score", breaks="test_distance", hint=1, source="dilation with a square; students' answers")
def square_neighbourhood(pred, target, num_classes, tolerance, ignore_index=255):
    """Nearness is not the straight distance: what counts as near is no disc."""
    widen = lambda other, t: disc(other, t, lambda y, x: max(abs(y), abs(x)))  # noqa: E731
    return score(pred, target, num_classes, tolerance, ignore_index, widen=widen)


@variant(square_neighbourhood, breaks="test_distance")
def city_blocks(pred, target, num_classes, tolerance, ignore_index=255):
    widen = lambda other, t: disc(other, t, lambda y, x: abs(y) + abs(x))  # noqa: E731
    return score(pred, target, num_classes, tolerance, ignore_index, widen=widen)


@variant(square_neighbourhood, breaks="test_distance")
def along_rows_and_columns(pred, target, num_classes, tolerance, ignore_index=255):
    widen = lambda other, t: disc(other, t, lambda y, x: abs(y) + abs(x) if y == 0 or x == 0 else 999)  # noqa: E731
    return score(pred, target, num_classes, tolerance, ignore_index, widen=widen)


@misconception("boundary_f_score", breaks=("test_general", "test_distance"), hint=3, source="students' answers")
def limit_left_out(pred, target, num_classes, tolerance, ignore_index=255):
    """The limit of nearness is another one: less than the tolerance, a fraction cut off, or a root forgotten."""
    widen = lambda other, t: disc(other, t, inside=lambda d, limit: d < limit - 1e-9)  # noqa: E731
    return score(pred, target, num_classes, tolerance, ignore_index, widen=widen)


@variant(limit_left_out, breaks="test_general")
def whole_tolerances(pred, target, num_classes, tolerance, ignore_index=255):
    return score(pred, target, num_classes, int(tolerance), ignore_index)


@variant(limit_left_out, breaks="test_general")
def tolerance_rounded_up(pred, target, num_classes, tolerance, ignore_index=255):
    return score(pred, target, num_classes, math.ceil(tolerance), ignore_index)


@variant(limit_left_out, breaks="test_general")
def root_forgotten(pred, target, num_classes, tolerance, ignore_index=255):
    return score(pred, target, num_classes, tolerance**0.5, ignore_index)


@misconception("boundary_f_score", breaks=("test_general", "test_edge"), hint=2, source="students' answers")
def edge_is_contour(pred, target, num_classes, tolerance, ignore_index=255):
    """What lies beyond the picture's edge counts as another class: zeros, or the opposite side."""

    def with_edge(mask, valid, num_classes):
        inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
        other = F.pad(~inside & valid[:, None], (1, 1, 1, 1), value=True)
        touches = other[..., 2:, 1:-1] | other[..., :-2, 1:-1] | other[..., 1:-1, 2:] | other[..., 1:-1, :-2]
        return inside & touches

    return score(pred, target, num_classes, tolerance, ignore_index, contours=with_edge)


@variant(edge_is_contour, breaks=("test_general", "test_edge"))
def background_beyond(pred, target, num_classes, tolerance, ignore_index=255):
    def with_zeros(mask, valid, num_classes):
        wide, ok = F.pad(mask, (1, 1, 1, 1)), F.pad(valid, (1, 1, 1, 1), value=True)
        return contours(wide, ok, num_classes)[..., 1:-1, 1:-1]

    return score(pred, target, num_classes, tolerance, ignore_index, contours=with_zeros)


@variant(edge_is_contour, breaks=("test_general", "test_edge"))
def around_the_world(pred, target, num_classes, tolerance, ignore_index=255):
    def rolled(mask, valid, num_classes):
        inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
        other = ~inside & valid[:, None]
        return inside & (other.roll(1, 2) | other.roll(-1, 2) | other.roll(1, 3) | other.roll(-1, 3))

    return score(pred, target, num_classes, tolerance, ignore_index, contours=rolled)


@misconception("boundary_f_score", breaks=("test_general", "test_thick"), hint=1, source="students' answers")
def another_contour(pred, target, num_classes, tolerance, ignore_index=255):
    """The contour is another one: eight neighbours, outside the class, on both sides, too thick, or the whole area."""

    def eight(mask, valid, num_classes):
        inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
        return inside & disc(~inside & valid[:, None], 1.5)

    return score(pred, target, num_classes, tolerance, ignore_index, contours=eight)


@variant(another_contour, breaks=("test_general", "test_thick"))
def contour_outside(pred, target, num_classes, tolerance, ignore_index=255):
    def outside(mask, valid, num_classes):
        inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
        return ~inside & valid[:, None] & four_neighbours(inside)

    return score(pred, target, num_classes, tolerance, ignore_index, contours=outside)


@variant(another_contour, breaks=("test_general", "test_thick"))
def both_sides(pred, target, num_classes, tolerance, ignore_index=255):
    def both(mask, valid, num_classes):
        inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
        other = ~inside & valid[:, None]
        return inside & four_neighbours(other) | other & four_neighbours(inside)

    return score(pred, target, num_classes, tolerance, ignore_index, contours=both)


@variant(another_contour, breaks=("test_general", "test_thick"))
def whole_area(pred, target, num_classes, tolerance, ignore_index=255):
    def area(mask, valid, num_classes):
        return (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]

    return score(pred, target, num_classes, tolerance, ignore_index, contours=area)


@variant(another_contour, breaks=("test_general", "test_thick"))
def right_and_below(pred, target, num_classes, tolerance, ignore_index=255):
    def half(mask, valid, num_classes):
        inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
        other = F.pad(~inside & valid[:, None], (0, 1, 0, 1))
        return inside & (other[..., 1:, :-1] | other[..., :-1, 1:])

    return score(pred, target, num_classes, tolerance, ignore_index, contours=half)


@misconception("boundary_f_score", breaks="test_classes_apart", hint=2, source="boundary_mask of lesson 01; students")
def classes_in_one_pot(pred, target, num_classes, tolerance, ignore_index=255):
    """A contour may be met by that of another class: the classes' contours are compared all together."""
    valid = target != ignore_index
    found, truth = (contours(mask, valid, num_classes) for mask in (pred, target))
    any_found, any_truth = (one.any(1, keepdim=True) for one in (found, truth))
    p = shares(found, any_truth.expand_as(found), lambda other: disc(other, tolerance))[0]
    r = shares(any_found.expand_as(found), truth, lambda other: disc(other, tolerance))[1]
    return mean_of_pictures(harmonic(p, r), found, truth)


@variant(classes_in_one_pot, breaks="test_classes_apart")
def one_number_for_all(pred, target, num_classes, tolerance, ignore_index=255):
    valid = target != ignore_index
    found, truth = (contours(mask, valid, num_classes) for mask in (pred, target))
    p, r = shares(found.any(1, keepdim=True), truth.any(1, keepdim=True), lambda other: disc(other, tolerance))
    return mean_of_pictures(harmonic(p, r).expand(-1, num_classes), found, truth)


@misconception("boundary_f_score", breaks="test_ignored", hint=2, source="students' answers")
def ignored_is_a_class(pred, target, num_classes, tolerance, ignore_index=255):
    """Ignored pixels still count: as pixels or as neighbours, in the target or in the prediction."""
    return score(pred, target, num_classes, tolerance, valid=torch.ones_like(target, dtype=torch.bool))


@variant(ignored_is_a_class, breaks="test_ignored")
def ignored_in_the_target_only(pred, target, num_classes, tolerance, ignore_index=255):
    everywhere = torch.ones_like(target, dtype=torch.bool)
    return score(pred, target, num_classes, tolerance, ignore_index, valid_in_pred=everywhere)


@variant(ignored_is_a_class, breaks="test_ignored")
def ignored_as_neighbours(pred, target, num_classes, tolerance, ignore_index=255):
    def beside_anything(mask, valid, num_classes):
        inside = (mask[:, None] == torch.arange(num_classes)[:, None, None]) & valid[:, None]
        return inside & four_neighbours(~inside)

    return score(pred, target, num_classes, tolerance, ignore_index, contours=beside_anything)


@variant(ignored_is_a_class, breaks="test_ignored")
def ignored_dropped_afterwards(pred, target, num_classes, tolerance, ignore_index=255):
    def dropped(mask, valid, num_classes):
        return contours(mask, torch.ones_like(valid), num_classes) & valid[:, None]

    return score(pred, target, num_classes, tolerance, ignore_index, contours=dropped)


@variant(ignored_is_a_class, breaks="test_ignored")
def always_255(pred, target, num_classes, tolerance, ignore_index=255):
    return score(pred, target, num_classes, tolerance)


@variant(ignored_is_a_class, breaks="test_ignored")
def ignored_becomes_background(pred, target, num_classes, tolerance, ignore_index=255):
    clean = torch.where(target == ignore_index, 0, target)
    return score(torch.where(target == ignore_index, 0, pred), clean, num_classes, tolerance, ignore_index=-1)


@misconception("boundary_f_score", breaks=("test_general", "test_absent"), hint=3, source="students' answers")
def another_mean(pred, target, num_classes, tolerance, ignore_index=255):
    """The pictures are not averaged as asked: some count that should not, some are left out, or all are taken as one."""
    return score(pred, target, num_classes, tolerance, ignore_index, mean=lambda f, found, truth: f.mean(0))


@variant(another_mean, breaks=("test_general", "test_absent"))
def all_pixels_together(pred, target, num_classes, tolerance, ignore_index=255):
    valid = target != ignore_index
    found, truth = (contours(mask, valid, num_classes) for mask in (pred, target))
    p = (found & disc(truth, tolerance)).sum((0, 2, 3)).double() / found.sum((0, 2, 3)).clamp(min=1)
    r = (truth & disc(found, tolerance)).sum((0, 2, 3)).double() / truth.sum((0, 2, 3)).clamp(min=1)
    either = found.any(3).any(2).any(0) | truth.any(3).any(2).any(0)
    return torch.where(either, harmonic(p, r), torch.nan)


@variant(another_mean, breaks="test_absent")
def where_both_have_one(pred, target, num_classes, tolerance, ignore_index=255):
    def both(f, found, truth):
        return torch.where(found.flatten(2).any(2) & truth.flatten(2).any(2), f, torch.nan).nanmean(0)

    return score(pred, target, num_classes, tolerance, ignore_index, mean=both)


@variant(another_mean, breaks="test_absent")
def where_the_truth_has_one(pred, target, num_classes, tolerance, ignore_index=255):
    def there(f, found, truth):
        return torch.where(truth.flatten(2).any(2), f, torch.nan).nanmean(0)

    return score(pred, target, num_classes, tolerance, ignore_index, mean=there)


@variant(another_mean, breaks="test_absent")
def absent_is_perfect(pred, target, num_classes, tolerance, ignore_index=255):
    def perfect(f, found, truth):
        return torch.where(found.flatten(2).any(2) | truth.flatten(2).any(2), f, 1.0).mean(0)

    return score(pred, target, num_classes, tolerance, ignore_index, mean=perfect)


@variant(another_mean, breaks="test_absent")
def never_nan(pred, target, num_classes, tolerance, ignore_index=255):
    return boundary_f_score(pred, target, num_classes, tolerance, ignore_index).nan_to_num(0.0)


@misconception("boundary_f_score", breaks=("test_general", "test_precision_and_recall"), hint=2, source="students")
def not_harmonic(pred, target, num_classes, tolerance, ignore_index=255):
    """Precision and recall are not joined to F as asked: another mean, or one of them alone."""
    return score(pred, target, num_classes, tolerance, ignore_index, join=lambda p, r: (p + r) / 2)


TOGETHER = ("test_general", "test_precision_and_recall")
ways(
    not_harmonic,
    TOGETHER,
    recall_alone=lambda pred, target, num_classes, tolerance, ignore_index=255: score(
        pred, target, num_classes, tolerance, ignore_index, join=lambda p, r: r
    ),
    precision_alone=lambda pred, target, num_classes, tolerance, ignore_index=255: score(
        pred, target, num_classes, tolerance, ignore_index, join=lambda p, r: p
    ),
    without_the_two=lambda pred, target, num_classes, tolerance, ignore_index=255: score(
        pred, target, num_classes, tolerance, ignore_index, join=lambda p, r: harmonic(p, r) / 2
    ),
    product=lambda pred, target, num_classes, tolerance, ignore_index=255: score(
        pred, target, num_classes, tolerance, ignore_index, join=lambda p, r: p * r
    ),
)
