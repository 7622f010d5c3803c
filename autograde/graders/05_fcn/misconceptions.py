"""Wrong answers of lesson 05. Each docstring is what a student reads: what is wrong, not what is right."""

import copy
import math
from itertools import pairwise

import torch
import torch.nn.functional as F

from autograde.graders.candidates import misconception, variant
from autograde.reference.fcn import FCN

# --- upsample_nearest ---

BLOCKS = ("test_blocks", "test_masks")


def both(x, rows, cols):
    return x[:, :, rows][:, :, :, cols]


@misconception("upsample_nearest", breaks=BLOCKS, hint=2, source="students' answers")
def tiled(x, factor):
    """Whole copies of the map lie side by side: `repeat` and `tile` repeat the map, not each of its values."""
    return x.repeat(1, 1, factor, factor)


@misconception("upsample_nearest", breaks=BLOCKS, hint=3, source="students' answers")
def flat_order(x, factor):
    """The repeated values are poured into the large shape in their flat order: they fill it row by row, not in blocks.

    That happens with `repeat_interleave` without `dim`, and with `reshape` after a repetition.
    """
    n, c, h, w = x.shape
    return x.repeat_interleave(factor * factor).reshape(n, c, factor * h, factor * w)


@misconception("upsample_nearest", breaks=BLOCKS, hint=3, source="students' answers")
def one_index_for_both(x, factor):
    """One index serves for rows and columns: that fits square maps only."""
    index = torch.arange(factor * x.shape[2]) // factor
    return both(x, index, index)


@misconception("upsample_nearest", breaks=BLOCKS, hint=2, source="students' answers")
def one_direction(x, factor):
    """One direction grows, the other still has the size of the input."""
    return x.repeat_interleave(factor, dim=3)


@variant(one_direction, breaks=BLOCKS)
def only_higher(x, factor):
    return x.repeat_interleave(factor, dim=2)


@misconception("upsample_nearest", breaks=BLOCKS, hint=1, source="unpooling in Noh et al., 2015")
def bed_of_nails(x, factor):
    """Each value stands in a corner of its block, and the rest of the block is zero."""
    wide = x.new_zeros(*x.shape[:2], factor * x.shape[2], factor * x.shape[3])
    wide[:, :, ::factor, ::factor] = x
    return wide


@misconception("upsample_nearest", breaks="test_gradient", hint=2, source="students' answers")
def through_numpy(x, factor):
    """The values leave torch on the way (`detach`, `numpy`, `torch.tensor`), and no gradient comes back."""
    return torch.tensor(x.detach().numpy().repeat(factor, 2).repeat(factor, 3))


@misconception("upsample_nearest", breaks="test_masks", hint=1, source="students' answers")
def floats_come_out(x, factor):
    """Floats come out whatever goes in, as from `torch.zeros(...)`: a mask of integers does not stay one."""
    return x.float().repeat_interleave(factor, 2).repeat_interleave(factor, 3)


@misconception("upsample_nearest", breaks="test_blocks", hint=1, source="students' answers")
def first_map_only(x, factor):
    """Only the first map is enlarged: all pictures and channels show that one."""
    large = x[:1, :1].repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return large.expand(*x.shape[:2], -1, -1).clone()


# --- upsample_bilinear ---


def places(size, factor, before=0.5, behind=0.5):
    return (torch.arange(factor * size) + before) / factor - behind


def clamped(place, size):
    place = place.clamp(0, size - 1)
    low = place.long()
    return low, (low + 1).clamp(max=size - 1), place - low


def interpolated(x, factor, places=places, neighbours=clamped):
    for dim in (2, 3):
        low, high, share = neighbours(places(x.shape[dim], factor), x.shape[dim])
        share = share[:, None] if dim == 2 else share
        x = x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share
    return x


EVERYWHERE = ("test_inside", "test_odd_factors", "test_border")


@misconception(
    "upsample_bilinear", breaks=EVERYWHERE, hint=1, source="milesial/Pytorch-UNet: nn.Upsample(align_corners=True)"
)
def corners_aligned(x, factor):
    """The outermost output pixels lie on the outermost values, as with `align_corners=True`: 10, 13.3, 16.7, 20."""
    return interpolated(x, factor, lambda size, factor: torch.linspace(0, size - 1, factor * size))


@misconception("upsample_bilinear", breaks=EVERYWHERE, hint=1, source="students' answers")
def without_halves(x, factor):
    """The positions lack one of the two halves, or both: everything is shifted to one side."""
    return interpolated(x, factor, lambda size, factor: places(size, factor, 0, 0))


@variant(without_halves, breaks=EVERYWHERE)
def without_the_second_half(x, factor):
    return interpolated(x, factor, lambda size, factor: places(size, factor, 0.5, 0))


@variant(without_halves, breaks=EVERYWHERE)
def without_the_first_half(x, factor):
    return interpolated(x, factor, lambda size, factor: places(size, factor, 0, 0.5))


@misconception("upsample_bilinear", breaks=("test_inside", "test_border"), hint=2, source="students' answers")
def height_for_both_directions(x, factor):
    """The places of the rows are used for the columns as well: that fits square maps only."""
    height = x.shape[2]
    return interpolated(x, factor, lambda size, factor: places(height, factor))


@variant(height_for_both_directions, breaks=("test_inside", "test_border"))
def one_matrix_for_both(x, factor):
    place = places(x.shape[2], factor).clamp(0, x.shape[2] - 1)
    shares = (1 - (place[:, None] - torch.arange(x.shape[2])).abs()).clamp(min=0)
    return shares @ x @ shares.T


@misconception(
    "upsample_bilinear", breaks=("test_border", "test_one_row"), hint=2, source="shelhamer/fcn.berkeleyvision.org"
)
def beyond_the_border(x, factor):
    """Before the first value, or behind the last one, something else is mixed in than that value.

    The line goes on beyond it, zeros come in, or index −1 fetches the value from the other end.
    """
    x = F.pad(x, (1, 1, 1, 1))
    return interpolated(x, factor, lambda size, factor: places(size, factor)[factor:-factor])


@variant(beyond_the_border, breaks=("test_border", "test_odd_factors"))
def fraction_cut_off(x, factor):
    def neighbours(place, size):
        low = place.long()  # cuts off the fraction: -0.25 becomes 0
        return low, (low + 1).clamp(max=size - 1), place - low

    return interpolated(x, factor, neighbours=neighbours)


@variant(beyond_the_border, breaks=("test_border", "test_odd_factors"))
def line_goes_on(x, factor):
    def neighbours(place, size):
        low = place.floor().long().clamp(0, max(size - 2, 0))
        return low, (low + 1).clamp(max=size - 1), place - low

    return interpolated(x, factor, neighbours=neighbours)


@variant(beyond_the_border, breaks=("test_border", "test_odd_factors"))
def wrapped_around(x, factor):
    def neighbours(place, size):
        low = place.floor().long()
        return low % size, (low + 1).clamp(max=size - 1), place - low

    return interpolated(x, factor, neighbours=neighbours)


@misconception("upsample_bilinear", breaks="test_odd_factors", hint=2, source="students' answers")
def even_factors_only(x, factor):
    """Places are shifted by `factor // 2` output pixels: right for even factors, half a pixel off for odd ones."""
    return interpolated(x, factor, lambda size, factor: places(size, factor, 0.5 - factor // 2, 0))


@misconception("upsample_bilinear", breaks="test_one_row", hint=2, source="students' answers")
def two_neighbours_needed(x, factor):
    """A map of one row or one column fails: there is no second neighbour that its places could lie between."""

    def neighbours(place, size):
        low = place.clamp(0, size - 1).long().clamp(max=size - 2)
        return low, low + 1, place.clamp(0, size - 1) - low

    return interpolated(x, factor, neighbours=neighbours)


@misconception("upsample_bilinear", breaks="test_inside", hint=3, source="students' answers")
def shares_exchanged(x, factor):
    """The shares are exchanged: the neighbour that is nearer gets the smaller one."""

    def neighbours(place, size):
        low, high, share = clamped(place, size)
        return high, low, share

    return interpolated(x, factor, neighbours=neighbours)


@misconception("upsample_bilinear", breaks="test_gradient", hint=2, source="students' answers")
def no_gradient(x, factor):
    """The values leave torch on the way (`detach`, `numpy`, `item`, `torch.tensor`), and no gradient comes back."""
    return interpolated(x.detach(), factor)


# --- bilinear_kernel ---

WEIGHTS = ("test_even_factors", "test_odd_factors")


def weights(factor, num_channels, k=None, middle=None, width=None, square=torch.outer, channels=torch.eye):
    """The right weights, where nothing is said about them."""
    k = k or 2 * factor - factor % 2
    middle = (k - 1) / 2 if middle is None else middle
    line = (1 - (torch.arange(k) - middle).abs() / (width or factor)).clamp(min=0)
    return channels(num_channels)[:, :, None, None] * square(line, line)


@misconception("bilinear_kernel", breaks="test_channels", hint=2, source="BVLC/caffe, pull request 2213")
def every_pair_of_channels(factor, num_channels):
    """The kernel stands in every pair of channels, so that each class becomes a mixture of all classes."""
    return weights(factor, num_channels, channels=lambda n: torch.ones(n, n))


@misconception("bilinear_kernel", breaks="test_channels", hint=2, source="students' answers")
def first_channel_only(factor, num_channels):
    """Only channel 0 has a kernel; all other channels come out empty."""
    return weights(factor, num_channels, channels=lambda n: torch.eye(n) * (torch.arange(n) == 0))


@misconception("bilinear_kernel", breaks="test_channels", hint=2, source="grouped weights, as in d2l and piwise")
def one_channel_on_one_side(factor, num_channels):
    """The shape has a 1 where the channels coming in, or those going out, belong, as for a convolution in groups."""
    return weights(factor, num_channels, channels=lambda n: torch.ones(n, 1))


@variant(one_channel_on_one_side, breaks="test_channels")
def one_kernel(factor, num_channels):
    return weights(factor, 1)


@misconception("bilinear_kernel", breaks=WEIGHTS, hint=2, source="students' answers")
def no_product(factor, num_channels):
    """The square is not the product of the two lines: one is left out, or they are put together in another way."""
    return weights(factor, num_channels, square=lambda down, across: across.expand(len(down), -1))


@variant(no_product, breaks=WEIGHTS)
def columns_equal(factor, num_channels):
    return weights(factor, num_channels, square=lambda down, across: down[:, None].expand(-1, len(across)))


@variant(no_product, breaks=WEIGHTS)
def larger_distance(factor, num_channels):
    return weights(factor, num_channels, square=lambda down, across: torch.minimum(down[:, None], across))


@variant(no_product, breaks=WEIGHTS)
def straight_distance(factor, num_channels):
    def cone(down, across):
        return (1 - torch.hypot(1 - down[:, None], 1 - across)).clamp(min=0)

    return weights(factor, num_channels, square=cone)


@misconception("bilinear_kernel", breaks=WEIGHTS, hint=2, source="students' answers")
def scaled(factor, num_channels):
    """The kernel is scaled, for instance so that it adds up to one: inside, ones do not stay ones."""
    return weights(factor, num_channels) / factor**2


@variant(scaled, breaks=WEIGHTS)
def divided_by_the_factor(factor, num_channels):
    return weights(factor, num_channels) / factor


@variant(scaled, breaks="test_even_factors")
def highest_is_one(factor, num_channels):
    return weights(factor, num_channels) / weights(factor, 1).max()


@misconception("bilinear_kernel", breaks="test_even_factors", hint=1, source="students' answers")
def lopsided(factor, num_channels):
    """The kernel is lopsided: for even k, for odd k or for both, its middle is taken half a place off."""
    return weights(factor, num_channels, middle=(2 * factor - factor % 2) // 2)


@variant(lopsided, breaks="test_even_factors")
def middle_before(factor, num_channels):
    return weights(factor, num_channels, middle=factor - 1)


@variant(lopsided, breaks=WEIGHTS)
def half_of_k(factor, num_channels):
    return weights(factor, num_channels, middle=(2 * factor - factor % 2) / 2)


@variant(lopsided, breaks="test_odd_factors")
def middle_of_even_ones(factor, num_channels):
    return weights(factor, num_channels, middle=factor - 0.5)


@misconception("bilinear_kernel", breaks="test_odd_factors", hint=1, source="students' answers")
def one_rule_for_k(factor, num_channels):
    """k follows one rule, where even and odd factors need two: for one kind the map is shifted by half a pixel."""
    return weights(factor, num_channels, k=2 * factor)


@variant(one_rule_for_k, breaks="test_even_factors")
def odd_size_always(factor, num_channels):
    return weights(factor, num_channels, k=2 * factor - 1)


@misconception("bilinear_kernel", breaks="test_odd_factors", hint=2, source="students' answers")
def another_slope(factor, num_channels):
    """The line is too steep or too flat: its distance from the middle is not counted in input pixels."""
    return weights(factor, num_channels, width=(2 * factor - factor % 2) / 2)


@variant(another_slope, breaks=WEIGHTS)
def down_to_zero(factor, num_channels):
    return weights(factor, num_channels, width=(2 * factor - factor % 2 - 1) / 2 or 1)


@variant(another_slope, breaks=WEIGHTS)
def in_output_pixels(factor, num_channels):
    return weights(factor, num_channels, width=1)


# --- crop_offset ---

UP_AND_DOWN = ("test_down_and_up", "test_several_deconvs")


def grid(chain, centre=lambda k: (k - 1) / 2, padding=-1, down=lambda jump, s: jump, up=lambda jump, s: jump / s):
    """Jump and start of a chain; `down` and `up` say in which jumps a centre is counted."""
    jump, start = 1, 0
    for layer in chain:
        c = centre(layer["kernel_size"]) + padding * layer.get("padding", 0)
        if layer["kind"] == "deconv":
            start -= c * up(jump, layer["stride"])
            jump /= layer["stride"]
        else:
            start += c * down(jump, layer["stride"])
            jump *= layer["stride"]
    return jump, start


def row(layers, onto, **changes):
    (jump, start), (_, start_onto) = grid(layers, **changes), grid(onto, **changes)
    return int((start_onto - start) / jump)


def refusing(layers, onto, jumps=True, halves=True, negative=True):
    (jump, start), (jump_onto, start_onto) = grid(layers), grid(onto)
    found = (start_onto - start) / jump
    if (jumps and jump != jump_onto) or (halves and found % 1) or (negative and found < 0):
        raise ValueError(f"there is no row {found}")
    return round(found)


@misconception("crop_offset", breaks=("test_convolutions", "test_down_and_up"), hint=1, source="students' answers")
def centre_half_a_row_off(layers, onto=()):
    """The centre of a kernel is half a row off: of every kernel, or of even ones, where it lies between two rows."""
    return row(layers, onto, centre=lambda k: k / 2)


@variant(centre_half_a_row_off, breaks=UP_AND_DOWN)
def centre_rounded_down(layers, onto=()):
    return row(layers, onto, centre=lambda k: (k - 1) // 2)


@variant(centre_half_a_row_off, breaks=UP_AND_DOWN)
def centre_rounded_up(layers, onto=()):
    return row(layers, onto, centre=lambda k: k // 2)


@misconception("crop_offset", breaks=UP_AND_DOWN, hint=2, source="students' answers")
def jump_of_another_map(layers, onto=()):
    """In a convolution or pooling you move the centre by the wrong jump: by the one after the layer, or by none at all.

    Its kernel lies on the map before the layer, and is counted in rows of that map.
    """
    return row(layers, onto, down=lambda jump, stride: jump * stride)


@variant(jump_of_another_map, breaks=UP_AND_DOWN)
def without_a_jump(layers, onto=()):
    return row(layers, onto, down=lambda jump, stride: 1, up=lambda jump, stride: 1)


@misconception("crop_offset", breaks=UP_AND_DOWN, hint=2, source="students' answers")
def deconv_not_read_backwards(layers, onto=()):
    """A deconv moves the centre forward, not at all, or by rows that are too far apart, as a convolution would.

    Its kernel lies on the finer map; read the same sentence backwards.
    """
    return row(layers, onto, up=lambda jump, stride: jump)


@variant(deconv_not_read_backwards, breaks=UP_AND_DOWN)
def deconv_forward(layers, onto=()):
    return row(layers, onto, up=lambda jump, stride: -jump / stride)


@variant(deconv_not_read_backwards, breaks=UP_AND_DOWN)
def deconv_like_a_convolution(layers, onto=()):
    return row(layers, onto, up=lambda jump, stride: -jump)


@misconception("crop_offset", breaks=("test_convolutions", "test_onto_another_map"), hint=2, source="students' answers")
def sign_reversed(layers, onto=()):
    """The sign is reversed: you count from the second map's row 0 back to the first's, and rows come out negative."""
    (jump, start), (_, start_onto) = grid(layers), grid(onto)
    return int((start - start_onto) / jump)


@misconception("crop_offset", breaks="test_padding_everywhere", hint=1, source="students' answers")
def padding_not_subtracted(layers, onto=()):
    """The padding goes into the centre with the wrong sign, or not at all."""
    return row(layers, onto, padding=1)


@variant(padding_not_subtracted, breaks="test_padding_everywhere")
def padding_ignored(layers, onto=()):
    return row(layers, onto, padding=0)


@misconception("crop_offset", breaks=UP_AND_DOWN, hint=1, source="students' answers")
def pooling_does_not_move(layers, onto=()):
    """Pooling changes the jump in your answer, but not the start: its window has a centre too."""
    point = {"kernel_size": 1, "padding": 0}
    return row(*([one | point if one["kind"] == "pool" else one for one in chain] for chain in (layers, onto)))


@misconception("crop_offset", breaks="test_onto_another_map", hint=3, source="students' answers")
def in_pixels(layers, onto=()):
    """The offset is counted in pixels of the picture; it must be in rows of the map that is cropped."""
    offset = grid(onto)[1] - grid(layers)[1]
    if grid(onto)[0] != grid(layers)[0] or offset < 0 or offset % 1:
        raise ValueError(f"there is no row {offset}")
    return int(offset)


@misconception("crop_offset", breaks="test_no_such_row", hint=3, source="students' answers")
def row_where_there_is_none(layers, onto=()):
    """A row comes back where there is none: different jumps, half a row or a row before the first are not refused."""
    return refusing(layers, onto, jumps=False, halves=False, negative=False)


@variant(row_where_there_is_none, breaks="test_no_such_row")
def jumps_not_compared(layers, onto=()):
    return refusing(layers, onto, jumps=False)


@variant(row_where_there_is_none, breaks="test_no_such_row")
def halves_rounded(layers, onto=()):
    return refusing(layers, onto, halves=False)


@variant(row_where_there_is_none, breaks="test_no_such_row")
def negative_rows(layers, onto=()):
    return refusing(layers, onto, negative=False)


# --- FCN ---

LOGITS = ("test_stride_16", "test_stride_8")


class Variant(FCN):
    """The right network in pieces; a wrong one replaces one of them."""

    mode, corners = "bilinear", False

    def maps(self, x):
        third = self.encoder[:3](x)
        fourth = self.encoder[3](third)
        return third, fourth, self.encoder[4](fourth)

    def skips(self, third, fourth):
        return [(layer, skip) for layer, skip in ((self.score_16, fourth), (self.score_8, third)) if layer is not None]

    def enlarge(self, scores, size):
        return F.interpolate(scores, size=tuple(size), mode=self.mode, align_corners=self.corners)

    def fuse(self, deep, skips, size):
        for layer, skip in skips:
            deep = self.enlarge(deep, skip.shape[2:]) + layer(skip)
        return deep

    def last(self, scores, size):
        return self.enlarge(scores, size)

    def forward(self, x):
        third, fourth, fifth = self.maps(x)
        return self.last(self.fuse(self.score_32(fifth), self.skips(third, fourth), x.shape[2:]), x.shape[2:])


@misconception("FCN", breaks=("test_stride_32", *LOGITS), hint=2, source="meetps/pytorch-semseg: its loss")
class EnlargedOtherwise(Variant):
    """The maps are not enlarged bilinearly between half-pixel centres, but with aligned corners or in another mode."""

    corners = True


@variant(EnlargedOtherwise, breaks=("test_stride_32", *LOGITS))
class InBlocks(Variant):
    mode, corners = "nearest", None


@variant(EnlargedOtherwise, breaks=("test_stride_32", *LOGITS))
class Bicubic(Variant):
    mode = "bicubic"


@misconception("FCN", breaks="test_any_size", hint=3, source="students' answers")
class ByAFactor(Variant):
    """A step enlarges by a fixed factor: where a size was rounded down, its result is too small."""

    def last(self, scores, size):
        factor = 8 if self.score_8 is not None else 16 if self.score_16 is not None else 32
        return F.interpolate(scores, scale_factor=factor, mode=self.mode, align_corners=self.corners)


@variant(ByAFactor, breaks="test_any_size")
class EveryStepByAFactor(ByAFactor):
    def enlarge(self, scores, size):
        return F.interpolate(scores, scale_factor=2, mode=self.mode, align_corners=self.corners)


@misconception("FCN", breaks="test_any_size", hint=3, source="students' answers")
class AnotherShape(Variant):
    """The logits do not have the picture's shape.

    The size is that of another map, one side is used for both, or dimensions of 1 are squeezed away.
    """

    def last(self, scores, size):
        return self.enlarge(scores, (size[0], size[0]))


@variant(AnotherShape, breaks="test_any_size")
class SizeOfTheLastMap(Variant):
    def last(self, scores, size):
        return self.enlarge(scores, [side // 32 for side in size])


@variant(AnotherShape, breaks="test_any_size")
class Squeezed(Variant):
    def last(self, scores, size):
        return self.enlarge(scores, size).squeeze()


@misconception("FCN", breaks="test_stride_8", hint=2, source="students' answers")
class NotStepByStep(Variant):
    """The scores are not summed step by step: some are left out, or added at another size than the next stage's map."""

    def fuse(self, deep, skips, size):
        each = [deep, *(layer(skip) for layer, skip in skips)]
        return sum(self.enlarge(one, each[-1].shape[2:]) for one in each)


@variant(NotStepByStep, breaks=LOGITS)
class SummedAtThePicture(Variant):
    def fuse(self, deep, skips, size):
        return sum(self.enlarge(one, size) for one in (deep, *(layer(skip) for layer, skip in skips)))


@variant(NotStepByStep, breaks="test_stride_8")
class WithoutTheMiddleSkip(Variant):
    def skips(self, third, fourth):
        return super().skips(third, fourth)[-1:]


@misconception("FCN", breaks="test_skips_start_at_zero", hint=2, source="students' answers")
class StartsOtherwise(FCN):
    """A new network does not start as it should: weights or biases of skips are not zero, or those of score_32 are."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        for layer in self.children():
            if layer is not self.encoder:
                layer.reset_parameters()


@misconception("FCN", breaks="test_weights", hint=2, source="students' answers")
class OtherWeights(Variant):
    """The network's weights are not those that the statement names: one is missing, too many or of another shape.

    Look at the names. Torch does not see layers in a plain list, and would never train them.
    """

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, 8)
        self.count = {32: 0, 16: 1, 8: 2}[stride]

    def skips(self, third, fourth):
        return super().skips(third, fourth)[: self.count]


@variant(OtherWeights, breaks="test_weights")
class WithoutBias(FCN):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        for layer in self.children():
            if layer is not self.encoder:
                layer.bias = None


@variant(OtherWeights, breaks=("test_weights", "test_stride_32"))
class InAList(FCN):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.layers = [self._modules.pop(name) for name in ("score_32", "score_16", "score_8")]

    def __getattr__(self, name):
        names = ["score_32", "score_16", "score_8"]
        return self.layers[names.index(name)] if name in names else super().__getattr__(name)


@misconception("FCN", breaks=("test_gradients", "test_own_encoder"), hint=2, source="students' answers")
class EncoderCutOff(Variant):
    """The encoder that was passed does not learn, or runs too often.

    It is copied, its maps are detached or computed without gradients, or some stages run more than once per call.
    """

    def maps(self, x):
        with torch.no_grad():
            return super().maps(x)


@variant(EncoderCutOff, breaks="test_own_encoder")
class EncoderCopied(FCN):
    def __init__(self, encoder, *arguments):
        super().__init__(copy.deepcopy(encoder), *arguments)


@variant(EncoderCutOff, breaks="test_gradients")
class SkipsDetached(Variant):
    def skips(self, third, fourth):
        return super().skips(third.detach(), fourth.detach())


@variant(EncoderCutOff, breaks="test_each_stage_once")
class FromThePictureAgain(Variant):
    def maps(self, x):
        return self.encoder[:3](x), self.encoder[:4](x), self.encoder(x)


@misconception("FCN", breaks=("test_stride_32", *LOGITS), hint=1, source="students' answers")
class NotBareScores(Variant):
    """Softmax, ReLU or another activation stands behind the scores: what comes out are not the bare sums."""

    def last(self, scores, size):
        return self.enlarge(scores, size).softmax(1)


@variant(NotBareScores, breaks=("test_stride_32", *LOGITS))
class ReluLast(Variant):
    def last(self, scores, size):
        return self.enlarge(scores, size).relu()


@variant(NotBareScores, breaks=("test_stride_32", *LOGITS))
class LogSoftmaxLast(Variant):
    def last(self, scores, size):
        return self.enlarge(scores, size).log_softmax(1)


@variant(NotBareScores, breaks=("test_stride_32", *LOGITS))
class SoftmaxEach(Variant):
    activation = staticmethod(lambda scores: scores.softmax(1))

    def fuse(self, deep, skips, size):
        skips = [(lambda skip, layer=layer: self.activation(layer(skip)), skip) for layer, skip in skips]
        return super().fuse(self.activation(deep), skips, size)


# --- train_epoch ---


def cross_entropy(logits, target, ignore_index):
    return F.cross_entropy(logits, target, ignore_index=ignore_index)


def losses(network, optimizer, batches, ignore_index, loss_of=cross_entropy, clear=True, step=True, skip=True):
    """The loop: loss, valid pixels and target of each batch. A wrong answer changes the loss or leaves a line out."""
    for images, target in batches:
        count = (target != ignore_index).sum().item()
        if count or not skip:
            if clear:
                optimizer.zero_grad()
            loss = loss_of(network(images), target, ignore_index)
            loss.backward()
            if step:
                optimizer.step()
            yield loss, count, target


def mean(found, weight=lambda count, target: count):
    found = [(loss.item(), weight(count, target)) for loss, count, target in found]
    return sum(loss * count for loss, count in found if count) / sum(count for _, count in found)


@misconception("train_epoch", breaks=("test_weights", "test_old_gradients"), hint=2, source="students' answers")
def old_gradients_count(network, optimizer, batches, ignore_index=255):
    """Old gradients count: torch adds a batch's to what the weights hold, from before the epoch or the last batch."""
    return mean(losses(network.train(), optimizer, batches, ignore_index, clear=False))


@variant(old_gradients_count, breaks="test_weights")
def cleared_once(network, optimizer, batches, ignore_index=255):
    optimizer.zero_grad()
    return mean(losses(network.train(), optimizer, batches, ignore_index, clear=False))


@variant(old_gradients_count, breaks="test_old_gradients")
def cleared_afterwards(network, optimizer, batches, ignore_index=255):
    found = []
    for one in losses(network.train(), optimizer, batches, ignore_index, clear=False):
        optimizer.zero_grad()
        found.append(one)
    return mean(found)


@misconception("train_epoch", breaks="test_weights", hint=2, source="students' answers")
def not_one_step_each(network, optimizer, batches, ignore_index=255):
    """There is not one step for each batch: none at all, one without gradients, or a single one after the last."""
    return mean(losses(network.train(), optimizer, batches, ignore_index, step=False))


@variant(not_one_step_each, breaks="test_weights")
def one_step_at_the_end(network, optimizer, batches, ignore_index=255):
    optimizer.zero_grad()
    loss = mean(losses(network.train(), optimizer, batches, ignore_index, clear=False, step=False))
    optimizer.step()
    return loss


@misconception("train_epoch", breaks="test_training_mode", hint=1, source="students' answers")
def mode_left(network, optimizer, batches, ignore_index=255):
    """The network is not in training mode, or not left in it: batch normalization and dropout do not train."""
    return mean(losses(network, optimizer, batches, ignore_index))


@variant(mode_left, breaks="test_training_mode")
def evaluation_afterwards(network, optimizer, batches, ignore_index=255):
    loss = mean(losses(network.train(), optimizer, batches, ignore_index))
    network.eval()
    return loss


@misconception("train_epoch", breaks="test_mean", hint=3, source="students' answers")
def another_weight_in_the_mean(network, optimizer, batches, ignore_index=255):
    """The mean is not one over valid pixels: batches are weighted, or their sum is divided, by something else.

    By one for each batch, for example, by its pictures, or by all its pixels.
    """
    return mean(losses(network.train(), optimizer, batches, ignore_index), lambda count, target: 1)


@variant(another_weight_in_the_mean, breaks="test_mean")
def mean_over_pictures(network, optimizer, batches, ignore_index=255):
    return mean(losses(network.train(), optimizer, batches, ignore_index), lambda count, target: len(target))


@variant(another_weight_in_the_mean, breaks="test_mean")
def mean_over_all_pixels(network, optimizer, batches, ignore_index=255):
    return mean(losses(network.train(), optimizer, batches, ignore_index), lambda count, target: target.numel())


@variant(another_weight_in_the_mean, breaks="test_mean")
def sum_over_all_pixels(network, optimizer, batches, ignore_index=255):
    found = [
        (loss.item() * n, len(y.view(-1))) for loss, n, y in losses(network.train(), optimizer, batches, ignore_index)
    ]
    return sum(loss for loss, _ in found) / sum(count for _, count in found)


@misconception("train_epoch", breaks="test_mean", hint=3, source="students' answers")
def not_the_mean(network, optimizer, batches, ignore_index=255):
    """What comes back is not the epoch's mean as a float: it is a sum, the loss of the last batch, or a tensor."""
    return sum(loss.item() for loss, *_ in losses(network.train(), optimizer, batches, ignore_index))


@variant(not_the_mean, breaks="test_mean")
def sum_over_pixels(network, optimizer, batches, ignore_index=255):
    return sum(loss.item() * count for loss, count, _ in losses(network.train(), optimizer, batches, ignore_index))


@variant(not_the_mean, breaks="test_mean")
def last_loss(network, optimizer, batches, ignore_index=255):
    return [loss.item() for loss, *_ in losses(network.train(), optimizer, batches, ignore_index)][-1]


@variant(not_the_mean, breaks="test_mean")
def tensor_returned(network, optimizer, batches, ignore_index=255):
    found = list(losses(network.train(), optimizer, batches, ignore_index))
    return sum(loss * count for loss, count, _ in found) / sum(count for _, count, _ in found)


@misconception("train_epoch", breaks=("test_weights", "test_mean"), hint=1, source="students' answers")
def softmax_first(network, optimizer, batches, ignore_index=255):
    """A softmax stands before the cross entropy, which has one inside: gradients get small, the loss hardly falls."""

    def loss_of(logits, *more):
        return cross_entropy(logits.softmax(1), *more)

    return mean(losses(network.train(), optimizer, batches, ignore_index, loss_of))


@misconception("train_epoch", breaks="test_weights", hint=2, source="students' answers")
def not_the_mean_of_valid_pixels(network, optimizer, batches, ignore_index=255):
    """The loss that goes backward is not the mean over the valid pixels.

    It is a sum, it is divided by all pixels, or something else than `ignore_index` decides which pixels count.
    """
    counts = []

    def loss_of(logits, target, ignore_index):
        counts.append((target != ignore_index).sum().item())
        return counts[-1] * cross_entropy(logits, target, ignore_index)

    summed = [loss.item() for loss, *_ in losses(network.train(), optimizer, batches, ignore_index, loss_of)]
    return sum(summed) / sum(counts)


@variant(not_the_mean_of_valid_pixels, breaks="test_weights")
def divided_by_all_pixels(network, optimizer, batches, ignore_index=255):
    def loss_of(logits, target, ignore_index):
        return F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none").mean()

    found = losses(network.train(), optimizer, batches, ignore_index, loss_of)
    return mean(found, lambda count, target: target.numel())


@variant(not_the_mean_of_valid_pixels, breaks="test_ignore_index")
def always_255(network, optimizer, batches, ignore_index=255):
    return mean(losses(network.train(), optimizer, batches, 255))


@variant(not_the_mean_of_valid_pixels, breaks=("test_weights", "test_ignore_index"))
def nothing_is_ignored(network, optimizer, batches, ignore_index=255):
    def loss_of(logits, target, ignore_index):
        return F.cross_entropy(logits, target)

    return mean(losses(network.train(), optimizer, batches, ignore_index, loss_of))


@variant(not_the_mean_of_valid_pixels, breaks=("test_weights", "test_ignore_index"))
def ignored_as_background(network, optimizer, batches, ignore_index=255):
    batches = ((images, target * (target != ignore_index)) for images, target in batches)
    return mean(losses(network.train(), optimizer, batches, -100))


@misconception("train_epoch", breaks="test_ignored_batch", hint=3, source="students' answers")
def empty_batch_not_passed_over(network, optimizer, batches, ignore_index=255):
    """A batch without a valid pixel is not passed over: its loss is NaN, it gets a step, or the epoch ends with it."""
    return mean(losses(network.train(), optimizer, batches, ignore_index, skip=False))


@variant(empty_batch_not_passed_over, breaks="test_ignored_batch")
def empty_batch_gets_a_step(network, optimizer, batches, ignore_index=255):
    def loss_of(*arguments):
        return cross_entropy(*arguments).nan_to_num()

    return mean(losses(network.train(), optimizer, batches, ignore_index, loss_of, skip=False))


@variant(empty_batch_not_passed_over, breaks="test_ignored_batch")
def epoch_ends_with_it(network, optimizer, batches, ignore_index=255):
    def until_empty():
        for images, target in batches:
            if not (target != ignore_index).any():
                return
            yield images, target

    return mean(losses(network.train(), optimizer, until_empty(), ignore_index))


# --- recall_by_size ---


def own_numbers(numbers):
    return [number for number in numbers.unique().tolist() if number > 0]


def objects(pred, target, instances, numbers_of=own_numbers):
    """Picture by picture, each object as (area, right pixels, area with ignored pixels, labels, its class, picture)."""
    for place, (p, t, numbers) in enumerate(zip(pred, target, instances, strict=True)):
        for number in numbers_of(numbers):
            whole = numbers == number
            own = whole & (t != 255)
            yield own.sum().item(), (p == t)[own].sum().item(), whole.sum().item(), p[own], t[own], place


def recall(each, edges, found=lambda area, right, *_: right > area / 2, area=lambda one: one[0], inside=None):
    """The share of objects found in each range, by whatever rule."""
    each, result = [one for one in each if one[0]], []
    inside = inside or (lambda low, area, high: low <= area < high)
    for i in range(len(edges) - 1):
        hits = [float(found(*one)) for one in each if inside(edges[i], area(one), edges[i + 1])]
        result.append(sum(hits) / len(hits) if hits else math.nan)
    return torch.tensor(result, dtype=torch.float64)


@misconception("recall_by_size", breaks="test_more_than_half", hint=3, source="students' answers")
def half_is_enough(pred, target, instances, edges):
    """An object of which exactly half is right counts as found."""
    return recall(objects(pred, target, instances), edges, lambda area, right, *_: right >= area / 2)


@misconception("recall_by_size", breaks="test_more_than_half", hint=1, source="students' answers")
def found_by_another_rule(pred, target, instances, edges):
    """It is another rule that decides whether an object is found: not whether more than half of its pixels are right.

    It asks for the most frequent label, for any label but background, for one right pixel, or for an IoU.
    """

    def found(area, right, whole, labels, truth, _):
        return labels.mode().values == truth[0]

    return recall(objects(pred, target, instances), edges, found)


@variant(found_by_another_rule, breaks="test_wrong_class")
def any_object(pred, target, instances, edges):
    def found(area, right, whole, labels, *_):
        return (labels > 0).sum() > area / 2

    return recall(objects(pred, target, instances), edges, found)


@variant(found_by_another_rule, breaks="test_ranges")
def one_right_pixel(pred, target, instances, edges):
    return recall(objects(pred, target, instances), edges, lambda area, right, *_: right > 0)


@variant(found_by_another_rule, breaks=("test_ranges", "test_wrong_class"))
def intersection_over_union(pred, target, instances, edges):
    def found(area, right, whole, labels, truth, place):
        painted = ((pred[place] == truth[0]) & (target[place] != 255)).sum().item()
        return 2 * right > area + painted - right

    return recall(objects(pred, target, instances), edges, found)


@misconception("recall_by_size", breaks=("test_ranges", "test_limits"), hint=2, source="students' answers")
def another_list_of_objects(pred, target, instances, edges):
    """The list of objects is wrong: 0 is on it, the highest number is missing, or one without pixels counts."""
    return recall(objects(pred, target, instances, lambda numbers: range(1, int(numbers.max()))), edges)


@variant(another_list_of_objects, breaks="test_limits")
def zero_is_an_object(pred, target, instances, edges):
    return recall(objects(pred, target, instances, lambda numbers: numbers.unique()), edges)


@variant(another_list_of_objects, breaks="test_nothing_left")
def nothing_is_an_object(pred, target, instances, edges):
    each = [one for one in objects(pred, target, instances, lambda numbers: range(1, int(numbers.max()) + 1))]
    return recall(
        [(True, *one) for one in each], edges, lambda _, area, right, *more: right > area / 2, lambda one: one[1]
    )


@misconception("recall_by_size", breaks="test_numbers_per_picture", hint=2, source="students' answers")
def numbers_of_all_pictures(pred, target, instances, edges):
    """Object 1 of one picture and object 1 of the next are taken for one object."""
    return recall(objects(*(one.flatten(0, 1)[None] for one in (pred, target, instances))), edges)


@misconception("recall_by_size", breaks="test_ignored", hint=2, source="students' answers")
def ignored_pixels_count(pred, target, instances, edges):
    """Ignored pixels still count: for the half, for the area that chooses the range, or for both."""
    return recall(
        objects(pred, target, instances), edges, lambda _, right, whole, *more: right > whole / 2, lambda one: one[2]
    )


@variant(ignored_pixels_count, breaks="test_ignored")
def ignored_in_the_range(pred, target, instances, edges):
    return recall(objects(pred, target, instances), edges, area=lambda one: one[2])


@variant(ignored_pixels_count, breaks="test_ignored")
def ignored_in_the_half(pred, target, instances, edges):
    return recall(objects(pred, target, instances), edges, lambda _, right, whole, *more: right > whole / 2)


@variant(ignored_pixels_count, breaks=("test_ignored", "test_nothing_left"))
def nothing_is_dropped(pred, target, instances, edges):
    each = objects(pred, target, instances)
    return recall(
        [(True, *one) for one in each],
        edges,
        lambda _, area, right, whole, *more: right > whole / 2,
        lambda one: one[3],
    )


@misconception("recall_by_size", breaks="test_nothing_there", hint=3, source="students' answers")
def empty_is_zero(pred, target, instances, edges):
    """A range without objects gives 0, as if all of them had been missed."""
    return recall(objects(pred, target, instances), edges).nan_to_num(0.0)


@misconception("recall_by_size", breaks="test_ranges", hint=1, source="students' answers")
def no_share_of_objects(pred, target, instances, edges):
    """It is not the objects of a range that are counted.

    Pixels, shares of right pixels, or pictures are averaged, or the number found is divided by all objects.
    """
    return recall(objects(pred, target, instances), edges, lambda area, right, *_: right / area)


@variant(no_share_of_objects, breaks="test_ranges")
def share_of_pixels(pred, target, instances, edges):
    each = [[one] * one[0] for one in objects(pred, target, instances)]
    return recall([one for many in each for one in many], edges, lambda area, right, *_: right / area)


@variant(no_share_of_objects, breaks="test_numbers_per_picture")
def mean_of_pictures(pred, target, instances, edges):
    each = [recall(objects(*(x[i : i + 1] for x in (pred, target, instances))), edges) for i in range(len(pred))]
    return torch.stack(each).nanmean(0) if each else torch.full((len(edges) - 1,), math.nan, dtype=torch.float64)


@variant(no_share_of_objects, breaks="test_ranges")
def divided_by_all_objects(pred, target, instances, edges):
    each = [one for one in objects(pred, target, instances) if one[0]]
    found = [[2 * right > area and low <= area < high for area, right, *_ in each] for low, high in pairwise(edges)]
    return torch.tensor([sum(hits) / len(hits) if hits else math.nan for hits in found], dtype=torch.float64)


@misconception("recall_by_size", breaks="test_limits", hint=3, source="numpy.histogram closes its last bin")
def other_limits(pred, target, instances, edges):
    """An object lands in the wrong range: one on a limit, or one outside all ranges."""
    return recall(objects(pred, target, instances), edges, inside=lambda low, area, high: low < area <= high)


@variant(other_limits, breaks="test_limits")
def both_limits(pred, target, instances, edges):
    return recall(objects(pred, target, instances), edges, inside=lambda low, area, high: low <= area <= high)


@variant(other_limits, breaks="test_limits")
def last_limit(pred, target, instances, edges):
    def inside(low, area, high):
        return low <= area < high or area == high == edges[-1]

    return recall(objects(pred, target, instances), edges, inside=inside)


@variant(other_limits, breaks="test_limits")
def outside_counts(pred, target, instances, edges):
    def inside(low, area, high):
        return (low <= area or low == edges[0]) and (area < high or high == edges[-1])

    return recall(objects(pred, target, instances), edges, inside=inside)
