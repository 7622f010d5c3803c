"""Right answers of lesson 05, written differently: the hidden grader must accept each of them."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative


def require(condition, message):
    if not condition:
        raise ValueError(message)


def require_maps(x, factor):
    require(isinstance(factor, int) and not isinstance(factor, bool), f"the factor {factor!r} is no int")
    require(factor > 0, f"the factor {factor} is not positive")
    require(x.dim() == 4, f"{tuple(x.shape)} is not (N, C, H, W)")


# --- upsample_nearest ---


@alternative("upsample_nearest")
def by_expanding(x, factor):
    require_maps(x, factor)
    n, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(n, c, h, factor, w, factor).reshape(n, c, h * factor, w * factor)


@alternative("upsample_nearest")
def by_painting(x, factor):
    require_maps(x, factor)
    wide = x.new_zeros(*x.shape[:2], factor * x.shape[2], factor * x.shape[3])
    for down in range(factor):
        for across in range(factor):
            wide[:, :, down::factor, across::factor] = x
    return wide


@alternative("upsample_nearest")
def by_stacking(x, factor):
    require_maps(x, factor)
    rows = torch.stack([x] * factor, dim=3).flatten(2, 3)
    return torch.stack([rows] * factor, dim=4).flatten(3, 4)


@alternative("upsample_nearest", uses_forbidden=True)
def by_torch_in_float64(x, factor):
    """Exact for integers up to 2 ** 53."""
    require_maps(x, factor)
    return F.interpolate(x if x.is_floating_point() else x.double(), scale_factor=factor, mode="nearest").to(x.dtype)


# --- upsample_bilinear ---


@alternative("upsample_bilinear", uses_forbidden=True)
def by_torch(x, factor):
    require_maps(x, factor)
    require(x.is_floating_point(), f"{x.dtype} has no in-between")
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


@alternative("upsample_bilinear", uses_forbidden=True)
def by_transposed_convolution(x, factor):
    """The border's values once more around the map, a transposed convolution per channel, and a crop."""
    require_maps(x, factor)
    require(x.is_floating_point(), f"{x.dtype} has no in-between")
    size = 2 * factor - factor % 2
    along = 1 - (torch.arange(size, dtype=x.dtype) - (size - 1) / 2).abs() / factor
    n, c, h, w = x.shape
    ringed = F.pad(x, (1, 1, 1, 1), mode="replicate").reshape(n * c, 1, h + 2, w + 2)
    wide = F.conv_transpose2d(ringed, torch.outer(along, along)[None, None], stride=factor, padding=factor // 2)
    return wide[:, :, factor:-factor, factor:-factor].reshape(n, c, factor * h, factor * w)


@alternative("upsample_bilinear")
def by_four_neighbours(x, factor):
    """Pixel by pixel, as one would by hand."""
    require_maps(x, factor)
    require(x.dtype in (torch.float16, torch.float32, torch.float64, torch.bfloat16), f"{x.dtype} is no float")
    n, c, h, w = x.shape
    rows = []
    for i in range(factor * h):
        y = min(max((i + 0.5) / factor - 0.5, 0), h - 1)
        top = math.floor(y)
        bottom = min(top + 1, h - 1)
        for j in range(factor * w):
            z = min(max((j + 0.5) / factor - 0.5, 0), w - 1)
            left = math.floor(z)
            right = min(left + 1, w - 1)
            upper = x[:, :, top, left] + (z - left) * (x[:, :, top, right] - x[:, :, top, left])
            lower = x[:, :, bottom, left] + (z - left) * (x[:, :, bottom, right] - x[:, :, bottom, left])
            rows.append(upper + (y - top) * (lower - upper))
    return torch.stack(rows, dim=2).reshape(n, c, factor * h, factor * w)


@alternative("upsample_bilinear")
def by_phases(x, factor):
    """All output pixels at the same place between their neighbours are one weighted sum of shifted maps."""
    require_maps(x, factor)
    require(torch.is_floating_point(x), f"{x.dtype} is no float")
    for dim in (3, 2):
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
        before, after = torch.cat([first, x], dim), torch.cat([x, last], dim)
        phases = []
        for phase in range(factor):
            place = (2 * phase + 1) / (2 * factor) - 0.5
            start, share = (0, 1 + place) if place < 0 else (1, place)
            mixed = before * (1 - share) + after * share
            phases.append(mixed.narrow(dim, start, x.shape[dim]))
        x = torch.stack(phases, dim + 1).flatten(dim, dim + 1)
    return x


# --- bilinear_kernel ---


def require_positive(*numbers):
    require(all(number >= 1 for number in numbers), f"{numbers} must be positive")


@alternative("bilinear_kernel")
def by_the_authors_code(factor, num_channels):
    """The way of shelhamer/fcn.berkeleyvision.org, surgery.py, and of d2l."""
    require_positive(factor, num_channels)
    size = 2 * factor - factor % 2
    half = (size + 1) // 2
    center = half - 1 if size % 2 == 1 else half - 0.5
    og = np.ogrid[:size, :size]
    tent = (1 - abs(og[0] - center) / half) * (1 - abs(og[1] - center) / half)
    weight = np.zeros((num_channels, num_channels, size, size), dtype=np.float32)
    weight[range(num_channels), range(num_channels)] = tent
    return torch.from_numpy(weight)


@alternative("bilinear_kernel")
def by_convolving_two_boxes(factor, num_channels):
    """A tent is a box convolved with a box; for an even factor the tops fall between two places."""
    require_positive(factor, num_channels)
    if factor % 2:
        along = np.convolve(np.ones(factor), np.ones(factor)) / factor
    else:
        along = np.convolve(np.convolve(np.ones(factor), np.ones(factor)), [0.5, 0.5]) / factor
    along = torch.tensor(along, dtype=torch.float32)
    weight = torch.zeros(num_channels, num_channels, len(along), len(along))
    for channel in range(num_channels):
        for row in range(len(along)):
            weight[channel, channel, row] = along[row] * along
    return weight


@alternative("bilinear_kernel", uses_forbidden=True)
def by_enlarging_a_one(factor, num_channels):
    require_positive(factor, num_channels)
    lit = F.pad(torch.ones(1, 1, 1, 1), (1, 1, 1, 1))
    wide = F.interpolate(lit, scale_factor=factor, mode="bilinear", align_corners=False)[0, 0]
    rim = factor - factor // 2
    tent = wide[rim : 3 * factor - rim, rim : 3 * factor - rim]
    return torch.einsum("ab,hw->abhw", torch.eye(num_channels), tent)


# --- crop_offset ---

KINDS = {"conv": 1, "pool": 1, "deconv": -1}


@alternative("crop_offset")
def in_whole_numbers(layers, onto=()):
    """Everything in whole numbers."""
    for one in [*layers, *onto]:
        require(one["kind"] in KINDS, f"{one['kind']} is no kind")

    def grid(chain):
        """Step and start, both over one denominator."""
        step, start, denominator = 1, 0, 1
        for one in chain:
            twice = one.get("dilation", 1) * (one["kernel_size"] - 1) - 2 * one.get("padding", 0)
            if KINDS[one["kind"]] > 0:
                start, step, denominator = 2 * start + step * twice, 2 * step * one["stride"], 2 * denominator
            else:
                start, step = 2 * start * one["stride"] - step * twice, 2 * step
                denominator *= 2 * one["stride"]
        return step, start, denominator

    (step, start, under), (other, there, other_under) = grid(layers), grid(onto)
    require(step * other_under == other * under, "rows of different steps")
    row, rest = divmod(there * under - start * other_under, step * other_under)
    require(rest == 0 and row >= 0, f"row {row}, and {rest} left over")
    return row


@alternative("crop_offset")
def from_the_end(layers, onto=()):
    """Backwards: which row of the map before lies on row r of the map after?  Solved for the picture's row."""

    def to_picture(chain, row):
        for one in reversed(chain):
            require(one["kind"] in KINDS, f"{one['kind']} is no kind")
            centre = Fraction(one.get("dilation", 1) * (one["kernel_size"] - 1), 2) - one.get("padding", 0)
            row = (row - centre) / one["stride"] if one["kind"] == "deconv" else row * one["stride"] + centre
        return row

    layers, onto = list(layers), list(onto)
    first, step = to_picture(layers, Fraction(0)), to_picture(layers, Fraction(1)) - to_picture(layers, Fraction(0))
    target = to_picture(onto, Fraction(0))
    require(to_picture(onto, Fraction(1)) - target == step, "the maps have different steps")
    row = (target - first) / step
    require(row == math.floor(row) and row >= 0, f"there is no row {row}")
    return math.floor(row)


@alternative("crop_offset")
def in_rounded_floats(layers, onto=()):
    """Floats, but compared with some room: good enough for every network that there is."""

    def grid(chain):
        step, start = 1.0, 0.0
        for one in chain:
            kind = one["kind"]
            if kind != "conv" and kind != "pool" and kind != "deconv":
                raise ValueError(f"a layer of kind {kind}")
            centre = one.get("dilation", 1) * (one["kernel_size"] - 1) / 2 - one.get("padding", 0)
            if kind.startswith("de"):
                start, step = start - step / one["stride"] * centre, step / one["stride"]
            else:
                start, step = start + step * centre, step * one["stride"]
        return step, start

    (step, start), (other, there) = grid(layers), grid(onto)
    require(math.isclose(step, other), "the maps have different steps")
    row = (there - start) / step
    require(abs(row - round(row)) < 1e-6 and round(row) >= 0, f"there is no row {row}")
    return round(row)


# --- FCN ---


@alternative("FCN")
class FCNInALoop(nn.Module):
    """Score layers in a loop, from deep to shallow."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        require({32: 1, 16: 1, 8: 1}.get(stride), f"stride {stride}")
        require(len(list(encoder.children())) == 5 and len(widths) == 5, "five stages and widths")
        self.encoder = encoder
        self.strides = [s for s in (32, 16, 8) if s >= stride]
        for s, width in zip(self.strides, reversed(widths), strict=False):
            score = nn.Conv2d(width, num_classes, kernel_size=(1, 1))
            if s < 32:
                score.load_state_dict({name: torch.zeros_like(value) for name, value in score.state_dict().items()})
            self.add_module(f"score_{s}", score)

    def forward(self, x):
        maps = [x]
        for stage in self.encoder.children():
            maps.append(stage(maps[-1]))
        sizes = [tuple(one.shape[2:]) for one in maps]
        total = None
        for s in self.strides:
            number = s.bit_length() - 1
            score = getattr(self, f"score_{s}")(maps[number])
            total = score if total is None else score + F.interpolate(total, sizes[number], mode="bilinear")
        return F.interpolate(total, sizes[0], mode="bilinear")


def shares_of(count, size):
    place = ((torch.arange(size) + 0.5) * (count / size) - 0.5).clamp(0, count - 1)
    return (1 - (place[:, None] - torch.arange(count)).abs()).clamp(min=0)


@alternative("FCN")
class FCNByMatrices(nn.Module):
    """Its own interpolation, by products with matrices of shares, and three branches."""

    def __init__(self, encoder, widths, num_classes, stride):
        super().__init__()
        if stride != 32 and stride != 16 and stride != 8:
            raise ValueError(f"{stride} is not 32, 16 or 8")
        *_, before_16, before_32, deepest = [None, None, *widths]
        if (len(encoder), len(widths)) != (5, 5):
            raise ValueError(f"{len(encoder)} stages and {len(widths)} widths")
        self.encoder, self.stride = encoder, stride
        self.score_32 = nn.Conv2d(deepest, num_classes, 1)
        if stride in (16, 8):
            self.score_16 = nn.Conv2d(before_32, num_classes, 1)
            self.score_16.weight.data.zero_()
            self.score_16.bias.data.zero_()
        if stride == 8:
            self.score_8 = nn.Conv2d(before_16, num_classes, 1)
            self.score_8.weight.data.zero_()
            self.score_8.bias.data.zero_()

    @staticmethod
    def to_size_of(scores, other):
        return shares_of(scores.shape[2], other.shape[2]) @ scores @ shares_of(scores.shape[3], other.shape[3]).T

    def forward(self, x):
        third = self.encoder[2](self.encoder[1](self.encoder[0](x)))
        fourth = self.encoder[3](third)
        scores = self.score_32(self.encoder[4](fourth))
        if self.stride != 32:
            scores = self.score_16(fourth) + self.to_size_of(scores, fourth)
        if self.stride == 8:
            scores = self.score_8(third) + self.to_size_of(scores, third)
        return self.to_size_of(scores, x)


@alternative("FCN")
def fcn_by_a_function(encoder, widths, num_classes, stride):
    """A function that builds the network is as good as a class."""

    class Net(nn.Module):
        def forward(self, x):
            size, kept = x.shape[-2:], {}
            for number, stage in enumerate(self.encoder, start=1):
                x = kept[2**number] = stage(x)
            scores = self.score_32(kept[32])
            for number in (16, 8):
                if hasattr(self, f"score_{number}"):
                    skip = getattr(self, f"score_{number}")(kept[number])
                    scores = nn.Upsample(skip.shape[-2:], mode="bilinear", align_corners=False)(scores) + skip
            return nn.Upsample(size, mode="bilinear", align_corners=False)(scores)

    require(stride in {8, 16, 32}, f"stride {stride}")
    require(len(encoder) == 5, f"{len(encoder)} stages")
    require(len(widths) == 5, f"{len(widths)} widths")
    net = Net()
    net.encoder = encoder
    for number, width in ((8, widths[2]), (16, widths[3]), (32, widths[4])):
        if number >= stride:
            score = nn.Conv2d(width, num_classes, 1)
            if number != 32:
                nn.init.constant_(score.weight, 0.0)
                nn.init.constant_(score.bias, 0.0)
            setattr(net, f"score_{number}", score)
    return net


# --- recall_by_size ---


def require_masks(pred, target, instances, edges):
    require(tuple(pred.shape) == tuple(target.shape), "pred and target differ")
    require(tuple(pred.shape) == tuple(instances.shape), "pred and instances differ")
    edges = list(edges)
    require(len(edges) >= 2 and edges == sorted(set(edges)), f"{edges} do not rise")


@alternative("recall_by_size")
def by_counters(pred, target, instances, edges):
    """Pixel by pixel, with a dictionary of objects."""
    require_masks(pred, target, instances, edges)
    area, right = Counter(), Counter()
    n, h, w = pred.shape
    for i in range(n):
        for y in range(h):
            for x in range(w):
                number, label = int(instances[i, y, x]), int(target[i, y, x])
                if number and label != 255:
                    area[i, number] += 1
                    right[i, number] += int(pred[i, y, x]) == label
    recall = []
    for i, low in enumerate(edges[:-1]):
        high = edges[i + 1]
        objects = [one for one in area if low <= area[one] < high]
        recall.append(sum(right[one] > area[one] / 2 for one in objects) / len(objects) if objects else float("nan"))
    return torch.tensor(recall, dtype=torch.float64)


@alternative("recall_by_size")
def by_histogram(pred, target, instances, edges):
    """numpy, with one number for each object of all pictures."""
    require_masks(pred, target, instances, edges)
    p, t, m = (np.asarray(one) for one in (pred, target, instances))
    stride = m.max(initial=0) + 1
    names = m + stride * np.arange(len(m)).reshape(-1, 1, 1)
    keep = (m != 0) & (t != 255)
    names, hits = names[keep], (p == t)[keep]
    area = np.bincount(names, minlength=1)
    share = np.bincount(names, weights=hits, minlength=1) / np.maximum(area, 1)
    bins = np.digitize(area, np.asarray(edges, dtype=float)) - 1
    recall = np.full(len(edges) - 1, np.nan)
    for i in range(len(recall)):
        inside = (bins == i) & (area > 0)
        if inside.any():
            recall[i] = np.mean(share[inside] > 0.5)
    return torch.from_numpy(recall)


@alternative("recall_by_size")
def by_one_mask_per_object(pred, target, instances, edges):
    require_masks(pred, target, instances, edges)
    objects = []
    for i in range(pred.shape[0]):
        valid = torch.ne(target[i], 255)
        for number in range(1, int(instances[i].max()) + 1):
            own = torch.logical_and(instances[i] == number, valid)
            if own.any():
                share = (pred[i][own] == target[i][own]).double().mean()
                objects.append((own.sum().item(), share.item() > 0.5))
    recall = torch.full((len(edges) - 1,), math.nan, dtype=torch.float64)
    for i in range(len(edges) - 1):
        hits = [hit for area, hit in objects if edges[i] <= area and not edges[i + 1] <= area]
        if hits:
            recall[i] = sum(hits) / len(hits)
    return recall
