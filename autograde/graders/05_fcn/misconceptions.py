"""Wrong answers of lesson 05. Each docstring is what a student reads: what is wrong, not what is right."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import misconception
from autograde.reference.fcn import FCN

# --- upsample_nearest ---


@misconception("upsample_nearest", breaks=("test_blocks", "test_masks"), hint=2, source="students' answers")
def tiled(x, factor):
    """Whole copies of the map lie side by side: `repeat` and `tile` repeat the map, not each of its values."""
    return x.repeat(1, 1, factor, factor)


@misconception("upsample_nearest", breaks=("test_blocks", "test_masks"), hint=3, source="students' answers")
def flat_order(x, factor):
    """The repeated values are poured into the large shape in their flat order: they fill it row by row, not in blocks.

    That happens with `repeat_interleave` without `dim`, and with `reshape` after a repetition.
    """
    n, c, h, w = x.shape
    return x.repeat_interleave(factor * factor).reshape(n, c, factor * h, factor * w)


@misconception("upsample_nearest", breaks=("test_blocks", "test_masks"), hint=3, source="students' answers")
def height_for_both(x, factor):
    """The index of the rows is used for the columns as well: that fits square maps only."""
    index = torch.arange(factor * x.shape[2]) // factor
    return x[:, :, index][:, :, :, index]


@misconception("upsample_nearest", breaks=("test_blocks", "test_masks"), hint=2, source="students' answers")
def one_direction(x, factor):
    """One direction grows, the other still has the size of the input."""
    return x.repeat_interleave(factor, dim=3)


@misconception("upsample_nearest", breaks=("test_blocks", "test_masks"), hint=1, source="unpooling in Noh et al., 2015")
def bed_of_nails(x, factor):
    """Each value stands in a corner of its block, and the rest of the block is zero."""
    wide = x.new_zeros(*x.shape[:2], factor * x.shape[2], factor * x.shape[3])
    wide[:, :, ::factor, ::factor] = x
    return wide


@misconception("upsample_nearest", breaks="test_gradient", hint=2, source="students' answers")
def through_numpy(x, factor):
    """The values leave torch on the way (`detach`, `numpy`, `torch.tensor`), and no gradient comes back."""
    return torch.tensor(x.detach().numpy().repeat(factor, 2).repeat(factor, 3))


# --- upsample_bilinear ---


def interpolated(x, rows, cols):
    """Between two neighbours at each of these places; places are clamped to the map."""
    for dim, place in ((2, rows), (3, cols)):
        place = place.clamp(0, x.shape[dim] - 1)
        before = place.long()
        after = (before + 1).clamp(max=x.shape[dim] - 1)
        share = (place - before)[:, None] if dim == 2 else place - before
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    return x


@misconception(
    "upsample_bilinear",
    breaks=("test_inside", "test_odd_factors", "test_border"),
    hint=1,
    source="milesial/Pytorch-UNet: nn.Upsample(align_corners=True)",
)
def corners_aligned(x, factor):
    """The outermost output pixels lie on the outermost values, as with `align_corners=True`: 10, 13.3, 16.7, 20."""
    rows, cols = (torch.linspace(0, n - 1, factor * n) for n in x.shape[2:])
    return interpolated(x, rows, cols)


@misconception(
    "upsample_bilinear",
    breaks=("test_inside", "test_odd_factors", "test_border"),
    hint=1,
    source="students' answers",
)
def without_halves(x, factor):
    """Output pixel i is placed at i / factor: 10, 15, 20, 20. Everything is shifted up and left."""
    rows, cols = (torch.arange(factor * n) / factor for n in x.shape[2:])
    return interpolated(x, rows, cols)


@misconception("upsample_bilinear", breaks=("test_inside", "test_border"), hint=2, source="students' answers")
def height_for_both_directions(x, factor):
    """The places of the rows are used for the columns as well: that fits square maps only."""
    place = (torch.arange(factor * x.shape[2]) + 0.5) / factor - 0.5
    return interpolated(x, place, place)


@misconception("upsample_bilinear", breaks=("test_border", "test_odd_factors"), hint=2, source="students' answers")
def position_not_clamped(x, factor):
    """The position is not clamped: before the first value the line goes on, to values that the input does not have."""
    for dim in (2, 3):
        place = (torch.arange(factor * x.shape[dim]) + 0.5) / factor - 0.5
        before = place.long()  # cuts off the fraction: -0.25 becomes 0
        after = (before + 1).clamp(max=x.shape[dim] - 1)
        share = (place - before)[:, None] if dim == 2 else place - before
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, after) * share
    return x


@misconception(
    "upsample_bilinear", breaks=("test_border", "test_one_row"), hint=2, source="shelhamer/fcn.berkeleyvision.org"
)
def zeros_around(x, factor):
    """Beyond the border zeros are mixed in: the outer pixels come out too small, as in a transposed convolution."""
    x = F.pad(x, (1, 1, 1, 1))
    rows, cols = ((torch.arange(factor, factor * (n - 1)) + 0.5) / factor - 0.5 for n in x.shape[2:])
    return interpolated(x, rows, cols)


@misconception("upsample_bilinear", breaks="test_odd_factors", hint=2, source="students' answers")
def even_factors_only(x, factor):
    """Places are shifted by `factor // 2` output pixels: right for even factors, half a pixel off for odd ones."""
    rows, cols = ((torch.arange(factor * n) - factor // 2 + 0.5) / factor for n in x.shape[2:])
    return interpolated(x, rows, cols)


@misconception("upsample_bilinear", breaks="test_one_row", hint=2, source="students' answers")
def two_neighbours_needed(x, factor):
    """A map of one row or one column fails: there is no second neighbour that its places could lie between."""
    for dim in (2, 3):
        place = ((torch.arange(factor * x.shape[dim]) + 0.5) / factor - 0.5).clamp(0, x.shape[dim] - 1)
        before = place.long().clamp(max=x.shape[dim] - 2)
        share = (place - before)[:, None] if dim == 2 else place - before
        x = x.index_select(dim, before) * (1 - share) + x.index_select(dim, before + 1) * share
    return x


@misconception("upsample_bilinear", breaks="test_inside", hint=3, source="students' answers")
def shares_exchanged(x, factor):
    """The shares are exchanged: the neighbour that is nearer gets the smaller one."""
    for dim in (2, 3):
        place = ((torch.arange(factor * x.shape[dim]) + 0.5) / factor - 0.5).clamp(0, x.shape[dim] - 1)
        before = place.long()
        after = (before + 1).clamp(max=x.shape[dim] - 1)
        share = (place - before)[:, None] if dim == 2 else place - before
        x = x.index_select(dim, before) * share + x.index_select(dim, after) * (1 - share)
    return x


# --- bilinear_kernel ---


def spread(square, num_channels):
    """The square on the diagonal of the channels."""
    return torch.eye(num_channels)[:, :, None, None] * square


def tent(k, middle, width):
    return 1 - (torch.arange(k) - middle).abs() / width


@misconception("bilinear_kernel", breaks="test_channels", hint=2, source="BVLC/caffe, pull request 2213")
def every_pair_of_channels(factor, num_channels):
    """The kernel stands in every pair of channels, so that each class becomes the sum of all classes."""
    k = 2 * factor - factor % 2
    line = tent(k, (k - 1) / 2, factor)
    return torch.outer(line, line).repeat(num_channels, num_channels, 1, 1)


@misconception("bilinear_kernel", breaks="test_channels", hint=2, source="students' answers")
def first_channel_only(factor, num_channels):
    """Only channel 0 has a kernel; all other channels come out empty."""
    k = 2 * factor - factor % 2
    weight = torch.zeros(num_channels, num_channels, k, k)
    line = tent(k, (k - 1) / 2, factor)
    weight[0, 0] = torch.outer(line, line)
    return weight


@misconception("bilinear_kernel", breaks="test_channels", hint=2, source="grouped weights, as in d2l and piwise")
def one_channel_coming_in(factor, num_channels):
    """The shape is that of a grouped convolution, with 1 in its second place."""
    k = 2 * factor - factor % 2
    line = tent(k, (k - 1) / 2, factor)
    return torch.outer(line, line).repeat(num_channels, 1, 1, 1)


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_odd_factors"), hint=2, source="students' answers")
def rows_equal(factor, num_channels):
    """All rows of the kernel are equal: it falls off in one direction, the other is not multiplied in."""
    k = 2 * factor - factor % 2
    return spread(tent(k, (k - 1) / 2, factor).expand(k, k), num_channels)


@misconception("bilinear_kernel", breaks=("test_even_factors", "test_odd_factors"), hint=2, source="students' answers")
def divided_by_the_square(factor, num_channels):
    """The kernel is made to add up to one, as a smoothing filter would be: here all gets factor² times darker."""
    k = 2 * factor - factor % 2
    line = tent(k, (k - 1) / 2, factor) / factor
    return spread(torch.outer(line, line), num_channels)


@misconception("bilinear_kernel", breaks="test_even_factors", hint=1, source="students' answers")
def middle_is_a_place(factor, num_channels):
    """For an even k the middle is taken at place k / 2. But an even number of places has it between two of them."""
    k = 2 * factor - factor % 2
    line = tent(k, k // 2, factor)
    return spread(torch.outer(line, line), num_channels)


@misconception("bilinear_kernel", breaks="test_odd_factors", hint=1, source="students' answers")
def even_size_always(factor, num_channels):
    """k is 2 · factor also where the factor is odd, and the map is shifted by half a pixel."""
    line = tent(2 * factor, factor - 0.5, factor)
    return spread(torch.outer(line, line), num_channels)


@misconception("bilinear_kernel", breaks="test_odd_factors", hint=2, source="students' answers")
def distance_over_half_of_k(factor, num_channels):
    """The distance is divided by k / 2. For an odd factor that is half a pixel too little, and the tent too narrow."""
    k = 2 * factor - factor % 2
    line = tent(k, (k - 1) / 2, k / 2)
    return spread(torch.outer(line, line), num_channels)


# --- crop_offset ---


def grid(chain, more=0.0, down=lambda jump, stride: jump, up=lambda jump, stride: jump / stride):
    """Jump and start of a chain. `more` is added to each centre; `down` and `up` say in which jumps it is counted."""
    jump, start = 1, 0
    for layer in chain:
        centre = (layer["kernel_size"] - 1) / 2 + more - layer.get("padding", 0)
        if layer["kind"] == "deconv":
            start -= centre * up(jump, layer["stride"])
            jump /= layer["stride"]
        else:
            start += centre * down(jump, layer["stride"])
            jump *= layer["stride"]
    return jump, start


def row(layers, onto, **changes):
    (jump, start), (_, start_onto) = grid(layers, **changes), grid(onto, **changes)
    return int((start_onto - start) / jump)


@misconception("crop_offset", breaks=("test_convolutions", "test_down_and_up"), hint=1, source="students' answers")
def half_k(layers, onto=()):
    """The centre of k rows is taken as k / 2 behind the first one: every layer is half a row off."""
    return row(layers, onto, more=0.5)


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=1, source="students' answers")
def middle_rounded(layers, onto=()):
    """The centre of an even kernel is rounded down to a row; it lies between two rows."""
    odd = ([one | {"kernel_size": one["kernel_size"] - 1 | 1} for one in chain] for chain in (layers, onto))
    return row(*odd)


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=2, source="students' answers")
def old_jump(layers, onto=()):
    """In a deconv you move the centre before the jump is divided: the kernel is counted in rows that are too far apart.

    Its kernel lies on the finer map.
    """
    return row(layers, onto, up=lambda jump, stride: jump)


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=2, source="students' answers")
def jump_updated_first(layers, onto=()):
    """In a convolution or pooling you multiply the jump before you move the centre.

    Its kernel lies on the map before the layer, where rows are still closer together.
    """
    return row(layers, onto, down=lambda jump, stride: jump * stride)


@misconception("crop_offset", breaks=("test_convolutions", "test_onto_another_map"), hint=2, source="students' answers")
def sign_reversed(layers, onto=()):
    """The sign is reversed: you count from the second map's row 0 back to the first's, and rows come out negative."""
    (jump, start), (_, start_onto) = grid(layers), grid(onto)
    return int((start - start_onto) / jump)


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=2, source="students' answers")
def deconv_moves_like_a_convolution(layers, onto=()):
    """In your answer a deconv moves the centre the same way as a convolution; read the same sentence backwards."""
    return row(layers, onto, up=lambda jump, stride: -jump / stride)


@misconception("crop_offset", breaks=("test_down_and_up", "test_several_deconvs"), hint=1, source="students' answers")
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


# --- FCN ---


class Variant(FCN):
    """The right network in pieces; a wrong one replaces one of them."""

    def skips(self, maps):
        return [(s, m) for s, m in ((self.score_16, maps[3]), (self.score_8, maps[2])) if s is not None]

    def enlarge(self, scores, size):
        return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=False)

    def last(self, scores, x):
        return self.enlarge(scores, x.shape[2:])

    def forward(self, x):
        maps = [x]
        for stage in self.encoder:
            maps.append(stage(maps[-1]))
        scores = self.score_32(maps[5])
        for score, skip in self.skips(maps[1:]):
            scores = self.enlarge(scores, skip.shape[2:]) + score(skip)
        return self.last(scores, x)


@misconception(
    "FCN",
    breaks=("test_stride_32", "test_stride_16", "test_stride_8"),
    hint=2,
    source="meetps/pytorch-semseg: its loss",
)
class CornersAligned(Variant):
    """The maps are enlarged with `align_corners=True`: the scores do not lie where their pixels are."""

    def enlarge(self, scores, size):
        return F.interpolate(scores, size=tuple(size), mode="bilinear", align_corners=True)


@misconception("FCN", breaks="test_any_size", hint=3, source="students' answers")
class LastStepByAFactor(Variant):
    """The last step enlarges by a fixed factor: where a size was rounded down, the logits are too small."""

    def last(self, scores, x):
        factor = 8 if self.score_8 is not None else 16 if self.score_16 is not None else 32
        return F.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)


@misconception("FCN", breaks=("test_stride_32", "test_any_size"), hint=3, source="students' answers")
class HeightForBoth(Variant):
    """The logits are as wide as they are high: only the picture's height is used where the size is given."""

    def last(self, scores, x):
        return F.interpolate(scores, size=x.shape[2], mode="bilinear", align_corners=False)


@misconception("FCN", breaks="test_stride_8", hint=2, source="students' answers")
class WithoutTheMiddleSkip(Variant):
    """FCN-8s leaves out the scores at 1/16: it goes from the deepest map to the finest one."""

    def skips(self, maps):
        return super().skips(maps)[-1:]


@misconception("FCN", breaks="test_stride_8", hint=2, source="students' answers")
class StraightToTheFinest(Variant):
    """All scores are enlarged to the finest map at once and added there, not step by step."""

    def forward(self, x):
        maps = [x]
        for stage in self.encoder:
            maps.append(stage(maps[-1]))
        each = [self.score_32(maps[5]), *(score(skip) for score, skip in self.skips(maps[1:]))]
        return self.last(sum(self.enlarge(scores, each[-1].shape[2:]) for scores in each), x)


@misconception("FCN", breaks="test_weights", hint=2, source="students' answers")
class WithoutBias(FCN):
    """The score layers have no bias; how frequent a class is must then be squeezed into the weights."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__(encoder, widths, num_classes, stride)
        for name, score in list(self.named_children()):
            if name != "encoder" and score is not None:
                score.bias = None


@misconception("FCN", breaks=("test_weights", "test_stride_32"), hint=2, source="students' answers")
class Unregistered(nn.Module):
    """Score layers stand in a list or a dict, where torch does not see their weights: they would never be trained."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        self.encoder = encoder
        self.scores = [nn.Conv2d(width, num_classes, 1) for width in widths[::-1]][: 7 - stride.bit_length()]

    def forward(self, x):
        maps = [x]
        for stage in self.encoder:
            maps.append(stage(maps[-1]))
        total = self.scores[0](maps[5])
        for score, skip in zip(self.scores[1:], (maps[4], maps[3]), strict=False):
            total = F.interpolate(total, size=skip.shape[2:], mode="bilinear") + score(skip)
        return F.interpolate(total, size=x.shape[2:], mode="bilinear")


@misconception("FCN", breaks="test_any_size", hint=1, source="students' answers")
class Squeezed(Variant):
    """Dimensions of size 1 are squeezed away: for one picture or one class, the logits lose a dimension."""

    def last(self, scores, x):
        return super().last(scores, x).squeeze()


# --- train_epoch ---


def losses(network, optimizer, batches, ignore_index, change=lambda logits: logits, zero=True, step=True):
    """The loop: loss and valid pixels of each batch. A wrong answer changes the logits or leaves a step out."""
    for images, target in batches:
        count = (target != ignore_index).sum().item()
        if count:
            if zero:
                optimizer.zero_grad()
            loss = F.cross_entropy(change(network(images)), target, ignore_index=ignore_index)
            loss.backward()
            if step:
                optimizer.step()
            yield loss, count


def mean(found):
    found = [(loss.item(), count) for loss, count in found]
    return sum(loss * count for loss, count in found) / sum(count for _, count in found)


@misconception(
    "train_epoch", breaks=("test_weights", "test_momentum", "test_old_gradients"), hint=2, source="students' answers"
)
def zero_grad_forgotten(network, optimizer, batches, ignore_index=255):
    """Gradients pile up: torch adds each batch's to those that the weights hold already."""
    return mean(losses(network.train(), optimizer, batches, ignore_index, zero=False))


@misconception("train_epoch", breaks=("test_weights", "test_momentum"), hint=2, source="students' answers")
def no_step(network, optimizer, batches, ignore_index=255):
    """The weights never change: there is no step, or when it is taken there are no gradients."""
    return mean(losses(network.train(), optimizer, batches, ignore_index, step=False))


@misconception("train_epoch", breaks="test_training_mode", hint=1, source="students' answers")
def mode_left(network, optimizer, batches, ignore_index=255):
    """The network stays in the mode it came in: in evaluation mode, batch normalization and dropout do not train."""
    return mean(losses(network, optimizer, batches, ignore_index))


@misconception("train_epoch", breaks="test_mean", hint=3, source="students' answers")
def mean_over_batches(network, optimizer, batches, ignore_index=255):
    """Each batch counts the same, however few of its pixels are valid: that is a mean over batches, not over pixels."""
    found = [loss.item() for loss, _ in losses(network.train(), optimizer, batches, ignore_index)]
    return sum(found) / len(found)


@misconception("train_epoch", breaks="test_mean", hint=3, source="students' answers")
def sum_returned(network, optimizer, batches, ignore_index=255):
    """The losses of the batches are added up, and the sum is not divided: it grows with the number of batches."""
    return sum(loss.item() for loss, _ in losses(network.train(), optimizer, batches, ignore_index))


@misconception("train_epoch", breaks="test_mean", hint=3, source="students' answers")
def last_loss(network, optimizer, batches, ignore_index=255):
    """What comes back is the loss of the last batch, not the mean of the epoch."""
    return [loss.item() for loss, _ in losses(network.train(), optimizer, batches, ignore_index)][-1]


@misconception("train_epoch", breaks="test_mean", hint=3, source="students' answers")
def tensor_returned(network, optimizer, batches, ignore_index=255):
    """Losses are added up as tensors: what comes back is no float, and it keeps every batch's graph in memory."""
    found = list(losses(network.train(), optimizer, batches, ignore_index))
    return sum(loss * count for loss, count in found) / sum(count for _, count in found)


@misconception("train_epoch", breaks=("test_weights", "test_mean"), hint=1, source="students' answers")
def softmax_first(network, optimizer, batches, ignore_index=255):
    """A softmax stands before the cross entropy, which has one inside: gradients get small, the loss hardly falls."""
    return mean(losses(network.train(), optimizer, batches, ignore_index, change=lambda logits: logits.softmax(1)))


# --- recall_by_size ---


def objects(pred, target, instances, numbers_of=lambda numbers: numbers.unique()[numbers.unique() > 0].tolist()):
    """Picture by picture, each object's own pixels without the ignored ones, as (pred, target, own)."""
    for p, t, numbers in zip(pred, target, instances, strict=True):
        for number in numbers_of(numbers):
            yield p, t, (numbers == number) & (t != 255)


def recall(found, edges):
    """The answer, from (area, whether it was found) of each object."""
    found, result = list(found), []
    for i in range(len(edges) - 1):
        hits = [hit for area, hit in found if edges[i] <= area < edges[i + 1]]
        result.append(sum(hits) / len(hits) if hits else math.nan)
    return torch.tensor(result, dtype=torch.float64)


def judged(each):
    return [(own.sum().item(), (2 * (p == t)[own].sum() > own.sum()).item()) for p, t, own in each if own.any()]


@misconception("recall_by_size", breaks="test_more_than_half", hint=3, source="students' answers")
def half_is_enough(pred, target, instances, edges):
    """An object of which exactly half is right counts as found."""
    each = objects(pred, target, instances)
    found = [(own.sum().item(), (2 * (p == t)[own].sum() >= own.sum()).item()) for p, t, own in each if own.any()]
    return recall(found, edges)


@misconception("recall_by_size", breaks="test_more_than_half", hint=1, source="students' answers")
def most_frequent_label(pred, target, instances, edges):
    """An object counts as found if its class is the most frequent label on it; that may be less than half of it."""
    each = [one for one in objects(pred, target, instances) if one[2].any()]
    found = [(own.sum().item(), (p[own].mode().values == t[own][0]).item()) for p, t, own in each]
    return recall(found, edges)


@misconception("recall_by_size", breaks=("test_ranges", "test_wrong_class"), hint=1, source="students' answers")
def intersection_over_union(pred, target, instances, edges):
    """Pixels of the class outside the object count against it, as in an IoU; only its own pixels matter here."""
    found = []
    for p, t, own in objects(pred, target, instances):
        if own.any():
            same = (p == t[own][0]) & (t != 255)
            found.append((own.sum().item(), (2 * (same & own).sum() > (same | own).sum()).item()))
    return recall(found, edges)


@misconception("recall_by_size", breaks=("test_ranges", "test_limits"), hint=2, source="students' answers")
def last_number_lost(pred, target, instances, edges):
    """The object with the highest number of each picture is left out, as by `range(1, max)`."""
    return recall(judged(objects(pred, target, instances, lambda numbers: range(1, int(numbers.max())))), edges)


@misconception("recall_by_size", breaks="test_numbers_per_picture", hint=2, source="students' answers")
def numbers_of_all_pictures(pred, target, instances, edges):
    """Object 1 of one picture and object 1 of the next are taken for one object."""
    return recall(judged(objects(*(one.flatten(0, 1)[None] for one in (pred, target, instances)))), edges)


@misconception("recall_by_size", breaks="test_ignored", hint=2, source="students' answers")
def ignored_in_the_area(pred, target, instances, edges):
    """Ignored pixels are still in the area: the object seems larger than what is left of it, and half of it is more."""
    found = []
    for p, t, numbers in zip(pred, target, instances, strict=True):
        for number in numbers.unique():
            own = numbers == number
            if number > 0:
                found.append((own.sum().item(), (2 * (p == t)[own & (t != 255)].sum() > own.sum()).item()))
    return recall(found, edges)


@misconception("recall_by_size", breaks="test_nothing_left", hint=2, source="students' answers")
def nothing_is_an_object(pred, target, instances, edges):
    """An object of which nothing is left, or a number that does not occur, counts as an object of area 0."""
    each = objects(pred, target, instances, lambda numbers: range(1, int(numbers.max()) + 1) if numbers.numel() else ())
    return recall([(own.sum().item(), (2 * (p == t)[own].sum() > own.sum()).item()) for p, t, own in each], edges)


@misconception("recall_by_size", breaks="test_nothing_there", hint=3, source="students' answers")
def empty_is_zero(pred, target, instances, edges):
    """A range without objects gives 0, as if all of them had been missed."""
    return recall(judged(objects(pred, target, instances)), edges).nan_to_num(0.0)
