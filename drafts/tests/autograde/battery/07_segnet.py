"""Answers of students with different habits to the exercises of lesson 07."""

import math
from collections import OrderedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograde.graders.candidates import alternative, wrong

# ------------------------------------------------------------------------------------------------ 1 EncoderStage


@alternative("EncoderStage")
class right_encoder_lists(nn.Module):
    """Two module lists, ReLU as a function."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        channels = [in_channels] + [out_channels] * convs
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(channels, channels[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for b in channels[1:])

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x)))
        pooled, switches = F.max_pool2d(x, kernel_size=2, stride=2, return_indices=True)
        return pooled, switches, x.shape[-2:]


class _Block(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel_size=3, stride=1, padding="same")
        self.bn = nn.BatchNorm2d(b)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


@alternative("EncoderStage")
class right_encoder_nested(nn.Module):
    """A small block of its own, and a pooling layer."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.first = _Block(in_channels, out_channels)
        self.others = nn.Sequential(*[_Block(out_channels, out_channels) for _ in range(convs - 1)])
        self.pool = nn.MaxPool2d(2, return_indices=True)

    def forward(self, x):
        x = self.others(self.first(x))
        _, _, height, width = x.size()
        return (*self.pool(x), (height, width))


@alternative("EncoderStage")
class right_encoder_by_hand(nn.Module):
    """Named layers in a dictionary; the pooling by four slices and comparisons."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        layers = OrderedDict()
        for i in range(1, convs + 1):
            layers[f"conv{i}"] = nn.Conv2d(in_channels if i == 1 else out_channels, out_channels, (3, 3), padding=(1, 1))
            layers[f"bn{i}"] = nn.BatchNorm2d(out_channels)
            layers[f"relu{i}"] = nn.ReLU()
        self.body = nn.Sequential(layers)

    def forward(self, x):
        x = self.body(x)
        h, w = x.shape[2:]
        places = torch.arange(h * w, device=x.device).view(1, 1, h, w).expand_as(x)
        best = where = None
        for i in (0, 1):
            for j in (0, 1):
                value = x[:, :, i : h // 2 * 2 : 2, j : w // 2 * 2 : 2]
                place = places[:, :, i : h // 2 * 2 : 2, j : w // 2 * 2 : 2]
                if best is None:
                    best, where = value, place
                else:
                    where = torch.where(value > best, place, where)
                    best = torch.maximum(best, value)
        return best, where, (h, w)


def _cbr(a, b, **options):
    return [nn.Conv2d(a, b, 3, padding=1, **options), nn.BatchNorm2d(b), nn.ReLU()]


def _encoder_layers(a, b, convs):
    layers = []
    for i in range(convs):
        layers += _cbr(a if i == 0 else b, b)
    return nn.Sequential(*layers)


@wrong("EncoderStage")
class wrong_encoder_repeated(nn.Module):
    """The second and all later convolutions are one and the same layer."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        again = _cbr(out_channels, out_channels)
        self.net = nn.Sequential(*_cbr(in_channels, out_channels), *(again * (convs - 1)))

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


@wrong("EncoderStage")
class wrong_encoder_one_norm(nn.Module):
    """All convolutions share one batch normalization."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.convs = nn.ModuleList()
        for i in range(convs):
            self.convs.append(nn.Conv2d(in_channels if i == 0 else out_channels, out_channels, 3, padding=1))
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        for conv in self.convs:
            x = self.norm(conv(x)).relu()
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


@wrong("EncoderStage")
class wrong_encoder_size_after(nn.Module):
    """The size is taken after the pooling."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        x = self.net(x)
        x, switches = F.max_pool2d(x, 2, return_indices=True)
        return x, switches, (x.shape[2], x.shape[3])


@wrong("EncoderStage")
class wrong_encoder_size_doubled(nn.Module):
    """The size is twice the pooled one, so an odd row or column is lost from it."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        x, switches = F.max_pool2d(self.net(x), 2, return_indices=True)
        return x, switches, (2 * x.shape[2], 2 * x.shape[3])


@wrong("EncoderStage")
class wrong_encoder_whole_shape(nn.Module):
    """The size is the whole shape of four numbers, not (H, W)."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)
        self.pool = nn.MaxPool2d(2, 2, return_indices=True)

    def forward(self, x):
        x = self.net(x)
        size = x.size()
        x, switches = self.pool(x)
        return x, switches, size


@wrong("EncoderStage")
class wrong_encoder_width_first(nn.Module):
    """The size is (W, H)."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        size = x.shape[-1], x.shape[-2]
        pooled, switches = F.max_pool2d(self.net(x), 2, return_indices=True)
        return pooled, switches, size


@wrong("EncoderStage")
class wrong_encoder_window_place(nn.Module):
    """A switch is the place in its window, 0 to 3."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        x = self.net(x)
        n, c, h, w = x.shape
        windows = x.unfold(2, 2, 2).unfold(3, 2, 2).reshape(n, c, h // 2, w // 2, 4)
        pooled, switches = windows.max(-1)
        return pooled, switches, (h, w)


@wrong("EncoderStage")
class wrong_encoder_ceil(nn.Module):
    """A last row or column that fills no window is pooled too (ceil_mode)."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)
        self.pool = nn.MaxPool2d(2, 2, return_indices=True, ceil_mode=True)

    def forward(self, x):
        x = self.net(x)
        pooled, switches = self.pool(x)
        return pooled, switches, tuple(x.shape[-2:])


@wrong("EncoderStage")
class wrong_encoder_relu_first(nn.Module):
    """Normalization stands behind ReLU."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        layers = []
        for _ in range(convs):
            layers += [nn.Conv2d(in_channels, out_channels, 3, 1, 1), nn.ReLU(True), nn.BatchNorm2d(out_channels)]
            in_channels = out_channels
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


@wrong("EncoderStage")
class wrong_encoder_no_bias(nn.Module):
    """Convolutions have no bias."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        layers = _cbr(in_channels, out_channels, bias=False)
        for _ in range(1, convs):
            layers += _cbr(out_channels, out_channels, bias=False)
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        x = self.net(x)
        return (*F.max_pool2d(x, 2, return_indices=True), tuple(x.shape[2:]))


@wrong("EncoderStage")
class wrong_encoder_norm_at_end(nn.Module):
    """Only the last convolution is normalized."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        layers = []
        for i in range(convs):
            layers.append(nn.Conv2d(in_channels if i == 0 else out_channels, out_channels, 3, padding=1))
            if i == convs - 1:
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU())
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        x = self.net(x)
        return (*F.max_pool2d(x, 2, return_indices=True), tuple(x.shape[2:]))


@wrong("EncoderStage")
class wrong_encoder_one_more(nn.Module):
    """One convolution more than asked for."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        layers = _cbr(in_channels, out_channels)
        for _ in range(convs):
            layers.extend(_cbr(out_channels, out_channels))
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


@wrong("EncoderStage")
class wrong_encoder_change_last(nn.Module):
    """The channels change in the last convolution, not in the first."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        layers = []
        for i in range(convs):
            layers += _cbr(in_channels, out_channels if i + 1 == convs else in_channels)
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


@wrong("EncoderStage")
class wrong_encoder_last_relu_missing(nn.Module):
    """No ReLU behind the last normalization."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)[:-1]

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


@wrong("EncoderStage")
class wrong_encoder_relu_after_pool(nn.Module):
    """The last ReLU comes after pooling: same maxima, but other switches where a whole window is negative."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)[:-1]

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled.relu(), switches, tuple(x.shape[2:])


@wrong("EncoderStage")
class wrong_encoder_cropped(nn.Module):
    """An odd column is cut off before pooling, so switches count along rows of W - 1."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        x = self.net(x)
        h, w = x.shape[-2:]
        pooled, switches = F.max_pool2d(x[..., : h - h % 2, : w - w % 2], 2, return_indices=True)
        return pooled, switches, (h, w)


@wrong("EncoderStage")
class wrong_encoder_ties(nn.Module):
    """Of equal values the last counts, not the first."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        x = self.net(x)
        h, w = x.shape[-2:]
        index = torch.arange(h * w, device=x.device).view(h, w).expand_as(x)
        pooled = switches = None
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            part = np.s_[:, :, i : h - h % 2 : 2, j : w - w % 2 : 2]
            if pooled is None:
                pooled, switches = x[part], index[part]
            else:
                switches = torch.where(x[part] >= pooled, index[part], switches)
                pooled = torch.maximum(pooled, x[part])
        return pooled, switches, (h, w)


@wrong("EncoderStage")
class wrong_encoder_overlap(nn.Module):
    """Pools overlapping windows of 3 x 3."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        x = self.net(x)
        h, w = x.shape[-2:]
        pooled, switches = F.max_pool2d(x, 3, stride=2, padding=1, return_indices=True)
        return pooled[..., : h // 2, : w // 2], switches[..., : h // 2, : w // 2], (h, w)


@wrong("EncoderStage")
class wrong_encoder_batch_statistics(nn.Module):
    """Batch normalization without running statistics, so evaluation depends on the batch."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        layers = []
        for i in range(convs):
            layers += [
                nn.Conv2d(in_channels if i == 0 else out_channels, out_channels, 3, padding=1),
                nn.BatchNorm2d(out_channels, track_running_stats=False),
                nn.ReLU(),
            ]
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


# ------------------------------------------------------------------------------------------------ 2 DecoderStage


def _given(x, switches):
    if x.shape != switches.shape:
        raise ValueError(f"values of shape {tuple(x.shape)} cannot go to switches of shape {tuple(switches.shape)}")


@alternative("DecoderStage")
class right_decoder_scatter(nn.Module):
    """Unpooling by scatter; a list of layers that loses its last two."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        channels = [in_channels] * convs + [out_channels]
        layers = [layer for a, b in zip(channels[:-1], channels[1:]) for layer in _cbr(a, b)]
        if bare:
            layers = layers[:-2]
        self.layers = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        h, w = size
        flat = x.new_zeros(*x.shape[:2], h * w).scatter(2, switches.flatten(2), x.flatten(2))
        return self.layers(flat.unflatten(2, (h, w)))


@alternative("DecoderStage")
class right_decoder_lists(nn.Module):
    """Convolutions and normalizations in lists, the end decided in forward."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.bare = bare
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for i in range(convs):
            last = i == convs - 1
            self.convs.append(nn.Conv2d(in_channels, out_channels if last else in_channels, 3, padding=1))
            if not (last and bare):
                self.norms.append(nn.BatchNorm2d(out_channels if last else in_channels))

    def forward(self, x, switches, size):
        if x.shape != switches.shape:
            raise ValueError("values and switches differ in shape")
        x = F.max_unpool2d(x, switches, kernel_size=2, output_size=list(size))
        for i, conv in enumerate(self.convs):
            x = conv(x)
            if i < len(self.norms):
                x = torch.relu(self.norms[i](x))
        return x


@alternative("DecoderStage")
class right_decoder_unpool_layer(nn.Module):
    """nn.MaxUnpool2d, Identity where the stage is bare."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.unpool = nn.MaxUnpool2d(2, 2)
        self.before = nn.Sequential(*(_Block(in_channels, in_channels) for _ in range(convs - 1)))
        self.last = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.end = nn.Identity() if bare else nn.Sequential(nn.BatchNorm2d(out_channels), nn.ReLU())

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.end(self.last(self.before(self.unpool(x, switches, output_size=tuple(size)))))


def _decoder_layers(a, b, convs, bare):
    layers = []
    for _ in range(convs - 1):
        layers += _cbr(a, a)
    layers += _cbr(a, b)
    return nn.Sequential(*(layers[:-2] if bare else layers))


@wrong("DecoderStage")
class wrong_decoder_enlarged(nn.Module):
    """Enlarges with the nearest value; the switches are not used."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.interpolate(x, size=tuple(size), mode="nearest"))


@wrong("DecoderStage")
class wrong_decoder_no_size(nn.Module):
    """Unpools without the size: an odd row or column does not come back."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.unpool = nn.MaxUnpool2d(2)
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(self.unpool(x, switches))


@wrong("DecoderStage")
class wrong_decoder_padded(nn.Module):
    """Unpools to twice the small map and pads after it: with an odd width the values stand in wrong places."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        n, c, h, w = x.shape
        flat = x.new_zeros(n, c, 4 * h * w)
        flat = flat.scatter(2, switches.flatten(2).clamp(max=4 * h * w - 1), x.flatten(2))
        big = F.pad(flat.view(n, c, 2 * h, 2 * w), (0, size[1] - 2 * w, 0, size[0] - 2 * h))
        return self.net(big)


@wrong("DecoderStage")
class wrong_decoder_first_changes(nn.Module):
    """The channels change in the first convolution."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        layers = []
        for i in range(convs):
            layers += _cbr(in_channels if i == 0 else out_channels, out_channels)
        if bare:
            del layers[-2:]
        self.net = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_all_bare(nn.Module):
    """With bare no convolution of the stage has normalization and ReLU."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        layers = []
        for i in range(convs):
            end = out_channels if i == convs - 1 else in_channels
            layers.append(nn.Conv2d(in_channels, end, 3, padding=1))
            if not bare:
                layers += [nn.BatchNorm2d(end), nn.ReLU()]
        self.net = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_bare_keeps_norm(nn.Module):
    """With bare only the ReLU is left out, the normalization stays."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        layers = list(_decoder_layers(in_channels, out_channels, convs, False))
        if bare:
            layers.pop()
        self.net = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_bare_keeps_relu(nn.Module):
    """With bare only the normalization is left out, ReLU stays."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(in_channels, in_channels, 3, padding=1) for _ in range(convs - 1))
        self.convs.append(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.norms = nn.ModuleList(nn.BatchNorm2d(in_channels) for _ in range(convs - 1))
        self.norms.append(nn.Identity() if bare else nn.BatchNorm2d(out_channels))

    def forward(self, x, switches, size):
        _given(x, switches)
        x = F.max_unpool2d(x, switches, 2, output_size=tuple(size))
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x)))
        return x


@wrong("DecoderStage")
class wrong_decoder_bare_single(nn.Module):
    """With one convolution bare is forgotten."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        if convs == 1:
            self.net = nn.Sequential(*_cbr(in_channels, out_channels))
        else:
            layers = []
            for _ in range(convs - 1):
                layers += _cbr(in_channels, in_channels)
            layers += [nn.Conv2d(in_channels, out_channels, 3, padding=1)]
            if not bare:
                layers += [nn.BatchNorm2d(out_channels), nn.ReLU()]
            self.net = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_convolve_first(nn.Module):
    """All convolutions but the last run before the unpooling."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        blocks = []
        for _ in range(convs - 1):
            blocks += _cbr(in_channels, in_channels)
        self.small = nn.Sequential(*blocks)
        self.large = _decoder_layers(in_channels, out_channels, 1, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.large(F.max_unpool2d(self.small(x), switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_upper_left(nn.Module):
    """Lays each value into the upper left pixel of its window."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        h, w = x.shape[-2:]
        big = x.new_zeros(*x.shape[:2], *size)
        big[:, :, 0 : 2 * h : 2, 0 : 2 * w : 2] = x
        return self.net(big)


@wrong("DecoderStage")
class wrong_decoder_shared(nn.Module):
    """All convolutions before the last are one layer."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.same = _Block(in_channels, in_channels)
        self.convs = convs
        self.last = _decoder_layers(in_channels, out_channels, 1, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        x = F.max_unpool2d(x, switches, 2, output_size=tuple(size))
        for _ in range(self.convs - 1):
            x = self.same(x)
        return self.last(x)


@wrong("DecoderStage")
class wrong_decoder_first_channel(nn.Module):
    """The switches of the first channel are used for all channels."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        where = switches[:, :1].expand_as(x).contiguous()
        return self.net(F.max_unpool2d(x, where, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_no_bias(nn.Module):
    """The convolutions with a normalization behind them have no bias."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        layers = []
        for _ in range(convs - 1):
            layers += _cbr(in_channels, in_channels, bias=False)
        if bare:
            layers.append(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        else:
            layers += _cbr(in_channels, out_channels, bias=False)
        self.net = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_bare_one_by_one(nn.Module):
    """The bare convolution is 1 x 1."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        layers = []
        for _ in range(convs - 1):
            layers += _cbr(in_channels, in_channels)
        layers += [nn.Conv2d(in_channels, out_channels, 1)] if bare else _cbr(in_channels, out_channels)
        self.net = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_one_more(nn.Module):
    """convs convolutions and then one more that changes the channels."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs + 1, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_relu_first(nn.Module):
    """Normalization stands behind ReLU in all convolutions but the last."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        layers = []
        for _ in range(convs - 1):
            conv, norm, relu = _cbr(in_channels, in_channels)
            layers += [conv, relu, norm]
        layers += list(_decoder_layers(in_channels, out_channels, 1, bare))
        self.net = nn.Sequential(*layers)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


@wrong("DecoderStage")
class wrong_decoder_gaps_filled(nn.Module):
    """Gaps get a quarter of the enlarged map in place of zeros."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        dots = F.max_unpool2d(x, switches, 2, output_size=tuple(size))
        soft = F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
        return self.net(torch.where(dots == 0, soft / 4, dots))


@wrong("DecoderStage")
class wrong_decoder_sized_after(nn.Module):
    """Unpools to the even size if no dimension is odd, and else resizes the enlarged map."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        if (2 * x.shape[2], 2 * x.shape[3]) == tuple(size):
            x = F.max_unpool2d(x, switches, 2)
        else:
            x = F.interpolate(x, size=tuple(size))
        return self.net(x)


# ------------------------------------------------------------------------------------------------ 3 SegNet


class _E(nn.Module):
    """A right encoder stage, for the networks below."""

    def __init__(self, in_channels, out_channels, convs):
        super().__init__()
        self.net = _encoder_layers(in_channels, out_channels, convs)

    def forward(self, x):
        x = self.net(x)
        pooled, switches = F.max_pool2d(x, 2, return_indices=True)
        return pooled, switches, tuple(x.shape[2:])


class _D(nn.Module):
    """A right decoder stage, for the networks below."""

    def __init__(self, in_channels, out_channels, convs, bare=False):
        super().__init__()
        self.net = _decoder_layers(in_channels, out_channels, convs, bare)

    def forward(self, x, switches, size):
        _given(x, switches)
        return self.net(F.max_unpool2d(x, switches, 2, output_size=tuple(size)))


def _given_net(widths, convs):
    if not len(widths) == len(convs) > 0:
        raise ValueError(f"{len(widths)} widths and {len(convs)} numbers of convolutions")


@alternative("SegNet")
class right_segnet_zip(nn.Module):
    """Channel pairs by zip, notes walked backwards."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        ins = [in_channels, *widths[:-1]]
        self.encoder = nn.ModuleList(_E(a, b, k) for a, b, k in zip(ins, widths, convs_per_stage))
        outs = [num_classes, *widths[:-1]]
        pairs = list(zip(widths, outs, convs_per_stage))[::-1]
        self.decoder = nn.ModuleList(_D(a, b, k, bare=n == len(pairs) - 1) for n, (a, b, k) in enumerate(pairs))

    def forward(self, x):
        notes = []
        for stage in self.encoder:
            x, *note = stage(x)
            notes.append(note)
        for stage, note in zip(self.decoder, reversed(notes)):
            x = stage(x, *note)
        return x


@alternative("SegNet")
class right_segnet_recursive(nn.Module):
    """Encode, recurse, decode."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder, decoder = nn.ModuleList(), []
        before = in_channels
        for i, width in enumerate(widths):
            self.encoder.append(_E(before, width, convs_per_stage[i]))
            decoder.insert(0, _D(width, num_classes if i == 0 else before, convs_per_stage[i], i == 0))
            before = width
        self.decoder = nn.ModuleList(decoder)

    def forward(self, x):
        return self._down(x, 0)

    def _down(self, x, level):
        if level == len(self.encoder):
            return x
        x, switches, size = self.encoder[level](x)
        return self.decoder[-1 - level](self._down(x, level + 1), switches, size)


@alternative("SegNet")
class right_segnet_pop(nn.Module):
    """A loop backwards, the outermost stage on its own, pop in forward."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = nn.ModuleList([_E(in_channels, widths[0], convs_per_stage[0])])
        for i in range(1, len(widths)):
            self.encoder.append(_E(widths[i - 1], widths[i], convs_per_stage[i]))
        self.decoder = nn.ModuleList()
        for i in range(len(widths) - 1, 0, -1):
            self.decoder.append(_D(widths[i], widths[i - 1], convs_per_stage[i]))
        self.decoder.append(_D(widths[0], num_classes, convs_per_stage[0], bare=True))

    def forward(self, x):
        all_switches, all_sizes = [], []
        for stage in self.encoder:
            x, switches, size = stage(x)
            all_switches.append(switches)
            all_sizes.append(size)
        for stage in self.decoder:
            x = stage(x, all_switches.pop(), all_sizes.pop())
        return x


def _encoders(in_channels, widths, convs):
    return nn.ModuleList(_E(a, b, k) for a, b, k in zip([in_channels, *widths], widths, convs))


def _decoders(num_classes, widths, convs):
    outs = [num_classes, *widths]
    return nn.ModuleList(_D(widths[i], outs[i], convs[i], bare=i == 0) for i in reversed(range(len(widths))))


def _run(encoder, decoder, x):
    notes = []
    for stage in encoder:
        x, switches, size = stage(x)
        notes.append((switches, size))
    for stage in decoder:
        x = stage(x, *notes.pop())
    return x


@wrong("SegNet")
class wrong_segnet_softmax(nn.Module):
    """A softmax over the classes at the end."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        return _run(self.encoder, self.decoder, x).softmax(dim=1)


@wrong("SegNet")
class wrong_segnet_sigmoid_for_one(nn.Module):
    """With a single class the logits go through a sigmoid."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.num_classes = num_classes
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        x = _run(self.encoder, self.decoder, x)
        return torch.sigmoid(x) if self.num_classes == 1 else x


@wrong("SegNet")
class wrong_segnet_convs_not_mirrored(nn.Module):
    """The decoder's numbers of convolutions are in the encoder's order."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        back = list(widths)[::-1] + [num_classes]
        self.decoder = nn.ModuleList(
            _D(back[i], back[i + 1], convs_per_stage[i], bare=i == len(widths) - 1) for i in range(len(widths))
        )

    def forward(self, x):
        return _run(self.encoder, self.decoder, x)


@wrong("SegNet")
class wrong_segnet_convs_of_neighbour(nn.Module):
    """A decoder stage has as many convolutions as the encoder stage whose width it gives, one too far out."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = nn.ModuleList()
        for i in range(len(widths) - 1, 0, -1):
            self.decoder.append(_D(widths[i], widths[i - 1], convs_per_stage[i - 1]))
        self.decoder.append(_D(widths[0], num_classes, convs_per_stage[0], bare=True))

    def forward(self, x):
        return _run(self.encoder, self.decoder, x)


@wrong("SegNet")
class wrong_segnet_not_bare(nn.Module):
    """The last decoder stage is not bare."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        outs = [num_classes] + list(widths)
        stages = [_D(w, o, k) for w, o, k in zip(widths, outs, convs_per_stage)]
        self.decoder = nn.ModuleList(stages[::-1])

    def forward(self, x):
        return _run(self.encoder, self.decoder, x)


@wrong("SegNet")
class wrong_segnet_all_bare(nn.Module):
    """All decoder stages are bare."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        outs = [num_classes] + list(widths)
        stages = [_D(w, o, k, bare=True) for w, o, k in zip(widths, outs, convs_per_stage)]
        self.decoder = nn.ModuleList(stages[::-1])

    def forward(self, x):
        return _run(self.encoder, self.decoder, x)


@wrong("SegNet")
class wrong_segnet_single_not_bare(nn.Module):
    """With a single stage the decoder is not bare."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = nn.ModuleList()
        outs = [num_classes, *widths]
        for i in range(len(widths) - 1, -1, -1):
            innermost = i == len(widths) - 1
            self.decoder.append(_D(widths[i], outs[i], convs_per_stage[i], bare=not innermost and i == 0))

    def forward(self, x):
        return _run(self.encoder, self.decoder, x)


@wrong("SegNet")
class wrong_segnet_classifier(nn.Module):
    """The last stage gives widths[0] channels, and a further 1 x 1 convolution makes the logits."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        outs = [widths[0], *widths]
        self.decoder = nn.ModuleList(
            _D(widths[i], outs[i], convs_per_stage[i]) for i in range(len(widths) - 1, -1, -1)
        )
        self.classifier = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, x):
        return self.classifier(_run(self.encoder, self.decoder, x))


@wrong("SegNet")
class wrong_segnet_skips(nn.Module):
    """The encoder's pooled maps are added to the decoder's, as skips."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        notes = []
        for stage in self.encoder:
            x, switches, size = stage(x)
            notes.append((x, switches, size))
        for n, stage in enumerate(self.decoder):
            skip, switches, size = notes.pop()
            x = stage(x if n == 0 else x + skip, switches, size)
        return x


@wrong("SegNet")
class wrong_segnet_encoder_order(nn.Module):
    """`decoder` holds its stages in the encoder's order and runs them backwards."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for i, (width, k) in enumerate(zip(widths, convs_per_stage)):
            self.encoder.append(_E(widths[i - 1] if i else in_channels, width, k))
            self.decoder.append(_D(width, widths[i - 1] if i else num_classes, k, bare=i == 0))

    def forward(self, x):
        notes = []
        for stage in self.encoder:
            x, *note = stage(x)
            notes.append(note)
        for i in reversed(range(len(notes))):
            x = self.decoder[i](x, *notes[i])
        return x


@wrong("SegNet")
class wrong_segnet_padded(nn.Module):
    """Pads the picture to a multiple of 2 to the number of stages, and crops the logits."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        h, w = x.shape[-2:]
        step = 2 ** len(self.encoder)
        x = F.pad(x, (0, -w % step, 0, -h % step))
        return _run(self.encoder, self.decoder, x)[..., :h, :w]


@wrong("SegNet")
class wrong_segnet_resized(nn.Module):
    """Odd pictures are resized before the network and the logits resized back."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        size = x.shape[-2:]
        step = 2 ** len(self.encoder)
        even = tuple(max(side // step, 1) * step for side in size)
        x = F.interpolate(x, size=even, mode="bilinear", align_corners=False)
        x = _run(self.encoder, self.decoder, x)
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


@wrong("SegNet")
class wrong_segnet_size_computed(nn.Module):
    """Sizes are computed as twice the small map, the one handed over is not used."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        switches = []
        for stage in self.encoder:
            x, where, _ = stage(x)
            switches.append(where)
        for stage in self.decoder:
            x = stage(x, switches.pop(), (2 * x.shape[2], 2 * x.shape[3]))
        return x


@wrong("SegNet")
class wrong_segnet_cached_stages(nn.Module):
    """Stages with the same numbers of channels and convolutions are one object."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        made = {}

        def make(kind, *numbers):
            if (kind, numbers) not in made:
                made[kind, numbers] = kind(*numbers)
            return made[kind, numbers]

        ins, outs = [in_channels, *widths], [num_classes, *widths]
        count = range(len(widths))
        self.encoder = nn.ModuleList(make(_E, ins[i], widths[i], convs_per_stage[i]) for i in count)
        self.decoder = nn.ModuleList(make(_D, widths[i], outs[i], convs_per_stage[i], i == 0) for i in reversed(count))

    def forward(self, x):
        return _run(self.encoder, self.decoder, x)


@wrong("SegNet")
class wrong_segnet_plain_list(nn.Module):
    """The decoder stages stand in a plain list: their weights are unknown to torch."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = list(_decoders(num_classes, widths, convs_per_stage))

    def forward(self, x):
        return _run(self.encoder, self.decoder, x)


@wrong("SegNet")
class wrong_segnet_stale_notes(nn.Module):
    """Notes are kept in the network and never cleared: a second picture is decoded with the first one's switches."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)
        self.notes = []

    def forward(self, x):
        for stage in self.encoder:
            x, switches, size = stage(x)
            self.notes.append((switches, size))
        for i, stage in enumerate(self.decoder):
            x = stage(x, *self.notes[len(self.encoder) - 1 - i])
        return x


@wrong("SegNet")
class wrong_segnet_queue(nn.Module):
    """The decoder reads the notes in the encoder's order: only a single stage gets its own."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        notes = []
        for stage in self.encoder:
            x, switches, size = stage(x)
            notes.append((switches, size))
        for stage, (switches, size) in zip(self.decoder, notes):
            x = stage(x, switches, size)
        return x


@wrong("SegNet")
class wrong_segnet_dropout(nn.Module):
    """A dropout between encoder and decoder, active in training."""

    def __init__(self, in_channels, num_classes, widths, convs_per_stage):
        super().__init__()
        _given_net(widths, convs_per_stage)
        self.encoder = _encoders(in_channels, widths, convs_per_stage)
        self.dropout = nn.Dropout(0.5)
        self.decoder = _decoders(num_classes, widths, convs_per_stage)

    def forward(self, x):
        notes = []
        for stage in self.encoder:
            x, switches, size = stage(x)
            notes.insert(0, (switches, size))
        x = self.dropout(x)
        for stage, note in zip(self.decoder, notes):
            x = stage(x, *note)
        return x


# ------------------------------------------------------------------------------------------------ 4 handover_bytes


def _kinds(kind):
    if kind not in ("switches", "indices", "maps"):
        raise ValueError(f"kind is {kind!r}, not 'switches', 'indices' or 'maps'")


@alternative("handover_bytes")
def right_bytes_bits(widths, height, width, kind):
    """Counts bits, by a table."""
    _kinds(kind)
    bits = {"switches": 2, "indices": 64, "maps": 32}[kind]
    shift = 0 if kind == "maps" else 1
    values = sum(c * (height >> i + shift) * (width >> i + shift) for i, c in enumerate(widths))
    return math.ceil(values * bits / 8)


@alternative("handover_bytes")
def right_bytes_loop(widths, height, width, kind):
    """One loop, two sums."""
    _kinds(kind)
    before = after = 0
    for channels in widths:
        before += channels * height * width
        height, width = height // 2, width // 2
        after += channels * height * width
    if kind == "maps":
        return 4 * before
    if kind == "indices":
        return 8 * after
    return -(-after // 4)


@alternative("handover_bytes")
def right_bytes_recursive(widths, height, width, kind):
    """Numbers of values by recursion."""
    _kinds(kind)

    def values(rest, h, w):
        if not len(rest):
            return 0
        own = h * w if kind == "maps" else (h // 2) * (w // 2)
        return rest[0] * own + values(rest[1:], h // 2, w // 2)

    n = values(list(widths), height, width)
    whole, left = divmod(n * {"switches": 1, "indices": 32, "maps": 16}[kind], 4)
    return whole + (left > 0)


@wrong("handover_bytes")
def wrong_bytes_each_rounded(widths, height, width, kind):
    """Rounds the bytes of the switches up in each stage."""
    _kinds(kind)
    total = 0
    for c in widths:
        if kind == "maps":
            total += 4 * c * height * width
        height //= 2
        width //= 2
        if kind == "indices":
            total += 8 * c * height * width
        elif kind == "switches":
            total += math.ceil(c * height * width / 4)
    return total


@wrong("handover_bytes")
def wrong_bytes_each_channel(widths, height, width, kind):
    """Rounds the bytes of the switches up for each channel's map."""
    _kinds(kind)
    total = 0
    for c in widths:
        before, after = height * width, (height // 2) * (width // 2)
        total += c * {"switches": -(-after // 4), "indices": 8 * after, "maps": 4 * before}[kind]
        height, width = height // 2, width // 2
    return total


@wrong("handover_bytes")
def wrong_bytes_rounded_down(widths, height, width, kind):
    """Rounds down to whole bytes."""
    _kinds(kind)
    before = after = 0
    for c in widths:
        before += c * height * width
        height, width = height // 2, width // 2
        after += c * height * width
    return {"switches": after * 2 // 8, "indices": after * 8, "maps": before * 4}[kind]


@wrong("handover_bytes")
def wrong_bytes_always_one_more(widths, height, width, kind):
    """Adds a byte for the rest even where nothing is left over."""
    _kinds(kind)
    before = after = 0
    for c in widths:
        before += c * height * width
        height, width = height // 2, width // 2
        after += c * height * width
    return {"switches": after // 4 + 1, "indices": after * 8, "maps": before * 4}[kind]


@wrong("handover_bytes")
def wrong_bytes_nearest(widths, height, width, kind):
    """Rounds to the nearest whole byte."""
    _kinds(kind)
    bits = {"switches": 2, "indices": 64, "maps": 32}[kind]
    total = 0
    for c in widths:
        small = height // 2, width // 2
        h, w = (height, width) if kind == "maps" else small
        total += bits * c * h * w
        height, width = small
    return round(total / 8)


@wrong("handover_bytes")
def wrong_bytes_float(widths, height, width, kind):
    """Fractions of a byte are left, as a float."""
    _kinds(kind)
    size = {"switches": 0.25, "indices": 8, "maps": 4}[kind]
    total = 0
    for i, c in enumerate(widths):
        k = i if kind == "maps" else i + 1
        total += c * (height // 2**k) * (width // 2**k) * size
    return total


@wrong("handover_bytes")
def wrong_bytes_switch_per_pixel(widths, height, width, kind):
    """One switch for each pixel of the map before pooling."""
    _kinds(kind)
    n = 0
    for c in widths:
        n += c * height * width
        height, width = height // 2, width // 2
    if kind == "switches":
        return (n + 3) // 4
    return n * (8 if kind == "indices" else 4)


@wrong("handover_bytes")
def wrong_bytes_maps_pooled(widths, height, width, kind):
    """Maps are counted after pooling."""
    _kinds(kind)
    n = 0
    for c in widths:
        height, width = height // 2, width // 2
        n += c * height * width
    return (n + 3) // 4 if kind == "switches" else n * (8 if kind == "indices" else 4)


@wrong("handover_bytes")
def wrong_bytes_bits_returned(widths, height, width, kind):
    """For switches bits are returned, not bytes."""
    _kinds(kind)
    sizes = []
    for c in widths:
        sizes.append((c, height, width))
        height, width = height // 2, width // 2
    if kind == "maps":
        return sum(4 * c * h * w for c, h, w in sizes)
    return sum(c * (h // 2) * (w // 2) for c, h, w in sizes) * (2 if kind == "switches" else 8)


@wrong("handover_bytes")
def wrong_bytes_halved_up(widths, height, width, kind):
    """Halving rounds up."""
    _kinds(kind)
    before = after = 0
    for c in widths:
        before += c * height * width
        height, width = (height + 1) // 2, (width + 1) // 2
        after += c * height * width
    return {"switches": -(-after // 4), "indices": after * 8, "maps": before * 4}[kind]


@wrong("handover_bytes")
def wrong_bytes_quarter_area(widths, height, width, kind):
    """The area is divided by four: too much for odd sides."""
    _kinds(kind)
    area, before, after = height * width, 0, 0
    for c in widths:
        before += c * area
        area //= 4
        after += c * area
    return {"switches": -(-after // 4), "indices": after * 8, "maps": before * 4}[kind]


@wrong("handover_bytes")
def wrong_bytes_same_size(widths, height, width, kind):
    """All stages are taken to have the first one's size."""
    _kinds(kind)
    channels = sum(widths)
    if kind == "maps":
        return channels * height * width * 4
    values = channels * (height // 2) * (width // 2)
    return values * 8 if kind == "indices" else math.ceil(values / 4)


@wrong("handover_bytes")
def wrong_bytes_int32(widths, height, width, kind):
    """An index takes 4 bytes."""
    _kinds(kind)
    before = after = 0
    for c in widths:
        before += c * height * width
        height, width = height // 2, width // 2
        after += c * height * width
    return {"switches": -(-after // 4), "indices": after * 4, "maps": before * 4}[kind]


@wrong("handover_bytes")
def wrong_bytes_no_channels(widths, height, width, kind):
    """One switch serves all channels of a stage."""
    _kinds(kind)
    before = after = 0
    for c in widths:
        before += c * height * width
        height, width = height // 2, width // 2
        after += height * width
    return {"switches": -(-after // 4), "indices": after * 8, "maps": before * 4}[kind]


@wrong("handover_bytes")
def wrong_bytes_last_left_out(widths, height, width, kind):
    """The last stage of several is left out, as the decoder starts there."""
    _kinds(kind)
    before = after = 0
    for c in widths[: max(1, len(widths) - 1)]:
        before += c * height * width
        height, width = height // 2, width // 2
        after += c * height * width
    return {"switches": -(-after // 4), "indices": after * 8, "maps": before * 4}[kind]


@wrong("handover_bytes")
def wrong_bytes_pooled_too(widths, height, width, kind):
    """With maps the last pooled map is counted too."""
    _kinds(kind)
    before = after = 0
    for c in widths:
        before += c * height * width
        height, width = height // 2, width // 2
        after += c * height * width
    if kind == "maps":
        return 4 * (before + widths[-1] * height * width)
    return after * 8 if kind == "indices" else (after + 3) // 4


@wrong("handover_bytes")
def wrong_bytes_real_halves(widths, height, width, kind):
    """Sides are halved without rounding, only the sum becomes whole."""
    _kinds(kind)
    before = after = 0
    for c in widths:
        before += c * height * width
        height, width = height / 2, width / 2
        after += c * height * width
    return math.ceil({"switches": after / 4, "indices": after * 8, "maps": before * 4}[kind])


# ------------------------------------------------------------------------------------------------ 5 boundary_f_score


def _two_masks(pred, target):
    if pred.shape != target.shape or pred.ndim != 3:
        raise ValueError(f"expected two masks (N, H, W), got {tuple(pred.shape)} and {tuple(target.shape)}")


@alternative("boundary_f_score")
def right_boundary_slices(pred, target, num_classes, tolerance, ignore_index=255):
    """Slices for neighbours, shifts in a padded mask for the widening, loops over pictures and classes."""
    _two_masks(pred, target)
    valid = target != ignore_index

    def contour(mask, ok, c):
        inside, other = (mask == c) & ok, (mask != c) & ok
        beside = torch.zeros_like(inside)
        beside[1:] |= other[:-1]
        beside[:-1] |= other[1:]
        beside[:, 1:] |= other[:, :-1]
        beside[:, :-1] |= other[:, 1:]
        return inside & beside

    def widen(line):
        h, w = line.shape
        r = int(tolerance)
        padded = F.pad(line, (r, r, r, r))
        out = torch.zeros_like(line)
        for y in range(-r, r + 1):
            for x in range(-r, r + 1):
                if y * y + x * x <= tolerance**2:
                    out |= padded[r + y : r + y + h, r + x : r + x + w]
        return out

    result = []
    for c in range(num_classes):
        scores = []
        for p, t, ok in zip(pred, target, valid):
            a, b = contour(p, ok, c), contour(t, ok, c)
            if not a.any() and not b.any():
                continue
            if not a.any() or not b.any():
                scores.append(0.0)
                continue
            precision = (a & widen(b)).sum().item() / a.sum().item()
            recall = (b & widen(a)).sum().item() / b.sum().item()
            scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
        result.append(sum(scores) / len(scores) if scores else float("nan"))
    return torch.tensor(result, dtype=torch.float64)


@alternative("boundary_f_score")
def right_boundary_conv(pred, target, num_classes, tolerance, ignore_index=255):
    """All pictures and classes at once: one-hot, two convolutions, nanmean."""
    _two_masks(pred, target)
    valid = (target != ignore_index)[:, None]
    classes = torch.arange(num_classes, device=pred.device).view(1, -1, 1, 1)
    cross = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]], device=pred.device)[None, None]
    r = math.floor(tolerance)
    line = torch.arange(-r, r + 1, device=pred.device)
    disc = (line[:, None] ** 2 + line**2 <= tolerance**2).float()[None, None]

    def spread(mask, kernel):
        n, c, h, w = mask.shape
        out = F.conv2d(mask.float().reshape(n * c, 1, h, w), kernel, padding=kernel.shape[-1] // 2)
        return out.reshape(n, c, h, w) > 0.5

    def contours(mask):
        own = mask[:, None] == classes
        return own & valid & spread(~own & valid, cross)

    p, t = contours(pred), contours(target)
    n_p, n_t = p.sum((2, 3)).double(), t.sum((2, 3)).double()
    precision = (p & spread(t, disc)).sum((2, 3)) / n_p.clamp(min=1)
    recall = (t & spread(p, disc)).sum((2, 3)) / n_t.clamp(min=1)
    f = 2 * precision * recall / (precision + recall).clamp(min=1e-300)
    f[(n_p == 0) & (n_t == 0)] = torch.nan
    return f.nanmean(0)


@alternative("boundary_f_score")
def right_boundary_distances(pred, target, num_classes, tolerance, ignore_index=255):
    """numpy, coordinates of contour pixels and their squared distances in whole numbers."""
    _two_masks(pred, target)
    pred, target = pred.cpu().numpy(), target.cpu().numpy()
    valid = target != ignore_index

    def points(mask, ok, c):
        other = np.pad((mask != c) & ok, 1)
        beside = other[:-2, 1:-1] | other[2:, 1:-1] | other[1:-1, :-2] | other[1:-1, 2:]
        return np.argwhere((mask == c) & ok & beside)

    f = np.full((len(pred), num_classes), np.nan)
    for n in range(len(pred)):
        for c in range(num_classes):
            a, b = points(pred[n], valid[n], c), points(target[n], valid[n], c)
            if len(a) + len(b) == 0:
                continue
            f[n, c] = 0
            if len(a) and len(b):
                near = ((a[:, None] - b[None]) ** 2).sum(-1) <= tolerance**2
                p, r = near.any(1).mean(), near.any(0).mean()
                if p + r > 0:
                    f[n, c] = 2 * p * r / (p + r)
    there = ~np.isnan(f)
    score = [f[there[:, c], c].mean() if there[:, c].any() else np.nan for c in range(num_classes)]
    return torch.tensor(score, dtype=torch.float64)


def _contour(mask, ok, c):
    """Right contour of class c: (N, H, W) bool."""
    inside = (mask == c) & ok
    other = F.pad((mask != c) & ok, (1, 1, 1, 1))
    near = other[:, :-2, 1:-1] | other[:, 2:, 1:-1] | other[:, 1:-1, :-2] | other[:, 1:-1, 2:]
    return inside & near


def _widen(line, tolerance, near=lambda y, x, t: y * y + x * x <= t * t):
    """Right widening, if `near` is."""
    r = int(tolerance)
    h, w = line.shape[-2:]
    big = F.pad(line, (r, r, r, r))
    out = torch.zeros_like(line)
    for y in range(-r, r + 1):
        for x in range(-r, r + 1):
            if near(y, x, tolerance):
                out = out | big[:, r + y : r + y + h, r + x : r + x + w]
    return out


def _f(a, b, wide_a, wide_b):
    """F for each picture, NaN where neither has a contour."""
    na, nb = a.sum((1, 2)).double(), b.sum((1, 2)).double()
    p = (a & wide_b).sum((1, 2)) / na.clamp(min=1)
    r = (b & wide_a).sum((1, 2)) / nb.clamp(min=1)
    f = torch.where(p + r > 0, 2 * p * r / (p + r).clamp(min=1e-12), torch.zeros_like(p))
    return torch.where((na == 0) & (nb == 0), torch.full_like(f, torch.nan), f)


@wrong("boundary_f_score")
def wrong_boundary_square(pred, target, num_classes, tolerance, ignore_index=255):
    """A square in place of a disc: diagonals count as near as rows and columns."""
    _two_masks(pred, target)
    ok = target != ignore_index
    k = 2 * int(tolerance) + 1
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        wide_a, wide_b = (F.max_pool2d(m.float(), k, stride=1, padding=k // 2) > 0 for m in (a, b))
        scores.append(_f(a, b, wide_a, wide_b).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_diamond(pred, target, num_classes, tolerance, ignore_index=255):
    """City-block distance: rows and columns are added."""
    _two_masks(pred, target)
    ok = target != ignore_index
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        wide_a, wide_b = (_widen(m, tolerance, lambda y, x, t: abs(y) + abs(x) <= t) for m in (a, b))
        scores.append(_f(a, b, wide_a, wide_b).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_whole_tolerance(pred, target, num_classes, tolerance, ignore_index=255):
    """The tolerance is cut to a whole number, so 1.5 no longer reaches the diagonal neighbour."""
    _two_masks(pred, target)
    ok = target != ignore_index
    radius = int(tolerance)
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        scores.append(_f(a, b, _widen(a, radius), _widen(b, radius)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_less_than(pred, target, num_classes, tolerance, ignore_index=255):
    """A distance of exactly the tolerance (above 0) is not near."""
    _two_masks(pred, target)
    ok = target != ignore_index
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        if tolerance > 0:
            wa, wb = (_widen(m, tolerance, lambda y, x, t: math.hypot(y, x) < t) for m in (a, b))
        else:
            wa, wb = a, b
        scores.append(_f(a, b, wa, wb).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_roll(pred, target, num_classes, tolerance, ignore_index=255):
    """Contours by torch.roll: the opposite edge is a neighbour."""
    _two_masks(pred, target)
    ok = target != ignore_index

    def contour(mask, c):
        other = (mask != c) & ok
        beside = torch.zeros_like(other)
        for shift, dim in ((1, 1), (-1, 1), (1, 2), (-1, 2)):
            beside |= other.roll(shift, dim)
        return (mask == c) & ok & beside

    scores = []
    for c in range(num_classes):
        a, b = contour(pred, c), contour(target, c)
        scores.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_roll_widen(pred, target, num_classes, tolerance, ignore_index=255):
    """Widens by torch.roll: pixels at opposite edges are near each other."""
    _two_masks(pred, target)
    ok = target != ignore_index
    r = int(tolerance)

    def widen(line):
        out = line.clone()
        for y in range(-r, r + 1):
            for x in range(-r, r + 1):
                if y**2 + x**2 <= tolerance**2:
                    out |= torch.roll(line, (y, x), (1, 2))
        return out

    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        scores.append(_f(a, b, widen(a), widen(b)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_frame(pred, target, num_classes, tolerance, ignore_index=255):
    """Beyond the picture's edge stands another class, so the edge is a contour."""
    _two_masks(pred, target)
    ok = target != ignore_index

    def contour(mask, c):
        inside = ((mask == c) & ok).float()
        excluded = ((mask == c) | ~ok).float()
        padded = F.pad(excluded, (1, 1, 1, 1), value=0)
        kept = padded[:, :-2, 1:-1] * padded[:, 2:, 1:-1] * padded[:, 1:-1, :-2] * padded[:, 1:-1, 2:]
        return (inside > 0) & (kept == 0)

    scores = []
    for c in range(num_classes):
        a, b = contour(pred, c), contour(target, c)
        scores.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_ignored_neighbour(pred, target, num_classes, tolerance, ignore_index=255):
    """Ignored pixels are taken for another class beside a contour."""
    _two_masks(pred, target)
    ok = target != ignore_index

    def contour(mask, c):
        inside = (mask == c) & ok
        other = F.pad(~inside, (1, 1, 1, 1), value=False)
        return inside & (other[:, :-2, 1:-1] | other[:, 2:, 1:-1] | other[:, 1:-1, :-2] | other[:, 1:-1, 2:])

    scores = []
    for c in range(num_classes):
        a, b = contour(pred, c), contour(target, c)
        scores.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_prediction_unmasked(pred, target, num_classes, tolerance, ignore_index=255):
    """Ignored pixels are left out of the target only, the prediction keeps its contours there."""
    _two_masks(pred, target)
    ok, everything = target != ignore_index, torch.ones_like(target, dtype=torch.bool)
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, everything, c), _contour(target, ok, c)
        scores.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_prediction_neighbours(pred, target, num_classes, tolerance, ignore_index=255):
    """The prediction's contour is cut out at ignored pixels, but made with them as neighbours."""
    _two_masks(pred, target)
    ok, everything = target != ignore_index, torch.ones_like(target, dtype=torch.bool)
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, everything, c) & ok, _contour(target, ok, c)
        scores.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_always_255(pred, target, num_classes, tolerance, ignore_index=255):
    """255 is ignored whatever ignore_index says."""
    _two_masks(pred, target)
    ok = target != 255
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        scores.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_one_pot(pred, target, num_classes, tolerance, ignore_index=255):
    """A class's contour may be near a contour of any class."""
    _two_masks(pred, target)
    ok = target != ignore_index
    lines_p = [_contour(pred, ok, c) for c in range(num_classes)]
    lines_t = [_contour(target, ok, c) for c in range(num_classes)]
    wide_p = _widen(torch.stack(lines_p).any(0), tolerance)
    wide_t = _widen(torch.stack(lines_t).any(0), tolerance)
    return torch.stack([_f(a, b, wide_p, wide_t).nanmean() for a, b in zip(lines_p, lines_t)])


@wrong("boundary_f_score")
def wrong_boundary_zero_for_nan(pred, target, num_classes, tolerance, ignore_index=255):
    """A class that is left out in all pictures gets 0, not NaN."""
    _two_masks(pred, target)
    ok = target != ignore_index
    scores = torch.zeros(num_classes, dtype=torch.float64)
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        f = _f(a, b, _widen(a, tolerance), _widen(b, tolerance))
        f = f[~f.isnan()]
        if len(f):
            scores[c] = f.mean()
    return scores


@wrong("boundary_f_score")
def wrong_boundary_absent_counts_zero(pred, target, num_classes, tolerance, ignore_index=255):
    """A picture without the class in both masks counts as 0 in the mean."""
    _two_masks(pred, target)
    ok = target != ignore_index
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        f = _f(a, b, _widen(a, tolerance), _widen(b, tolerance))
        scores.append(f if f.isnan().all() else f.nan_to_num(0.0))
    return torch.stack(scores).mean(1)


@wrong("boundary_f_score")
def wrong_boundary_absent_perfect(pred, target, num_classes, tolerance, ignore_index=255):
    """A picture without the class in both masks counts as 1."""
    _two_masks(pred, target)
    ok = target != ignore_index
    scores = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        scores.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nan_to_num(1.0).mean())
    return torch.stack(scores)


@wrong("boundary_f_score")
def wrong_boundary_one_sided_left_out(pred, target, num_classes, tolerance, ignore_index=255):
    """A picture where only the prediction has the class is left out instead of counting as 0."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        f = _f(a, b, _widen(a, tolerance), _widen(b, tolerance))
        result.append(f[b.flatten(1).any(1)].mean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_pooled_pictures(pred, target, num_classes, tolerance, ignore_index=255):
    """Pixels of all pictures are counted together, no F for each picture."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        na, nb = a.sum().item(), b.sum().item()
        if na + nb == 0:
            result.append(math.nan)
            continue
        p = (a & _widen(b, tolerance)).sum().item() / max(na, 1)
        r = (b & _widen(a, tolerance)).sum().item() / max(nb, 1)
        result.append(2 * p * r / (p + r) if p + r else 0.0)
    return torch.tensor(result, dtype=torch.float64)


@wrong("boundary_f_score")
def wrong_boundary_mean_pr_first(pred, target, num_classes, tolerance, ignore_index=255):
    """Precision and recall are averaged over pictures first, and F made of the means."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        ps, rs = [], []
        for n in range(len(pred)):
            a, b = (_contour(m[n : n + 1], ok[n : n + 1], c) for m in (pred, target))
            if not (a.any() or b.any()):
                continue
            ps.append((a & _widen(b, tolerance)).sum().item() / max(a.sum().item(), 1))
            rs.append((b & _widen(a, tolerance)).sum().item() / max(b.sum().item(), 1))
        if not ps:
            result.append(math.nan)
        else:
            p, r = sum(ps) / len(ps), sum(rs) / len(rs)
            result.append(2 * p * r / (p + r) if p + r > 0 else 0.0)
    return torch.tensor(result, dtype=torch.float64)


@wrong("boundary_f_score")
def wrong_boundary_plain_mean(pred, target, num_classes, tolerance, ignore_index=255):
    """The arithmetic mean of P and R in place of F."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        na, nb = a.sum((1, 2)).double(), b.sum((1, 2)).double()
        p = (a & _widen(b, tolerance)).sum((1, 2)) / na.clamp(min=1)
        r = (b & _widen(a, tolerance)).sum((1, 2)) / nb.clamp(min=1)
        result.append(((p + r) / 2)[na + nb > 0].mean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_symmetric_hits(pred, target, num_classes, tolerance, ignore_index=255):
    """Hits are counted once, on the prediction's side, and serve for the recall too."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        hits = (a & _widen(b, tolerance)).sum((1, 2)).double()
        total = a.sum((1, 2)) + b.sum((1, 2))
        result.append((2 * hits / total).nanmean())  # 2 TP / (2 TP + FP + FN)
    return torch.stack(result).clamp(max=1)


@wrong("boundary_f_score")
def wrong_boundary_bands(pred, target, num_classes, tolerance, ignore_index=255):
    """Both contours are widened, and the F of the two bands is taken."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        a, b = (_widen(_contour(m, ok, c), tolerance) for m in (pred, target))
        result.append(_f(a, b, a, b).nanmean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_eight_neighbours(pred, target, num_classes, tolerance, ignore_index=255):
    """Diagonal neighbours make a contour pixel as well."""
    _two_masks(pred, target)
    ok = target != ignore_index

    def contour(mask, c):
        other = ((mask != c) & ok).float()[:, None]
        return (mask == c) & ok & (F.max_pool2d(other, 3, stride=1, padding=1)[:, 0] > 0)

    result = []
    for c in range(num_classes):
        a, b = contour(pred, c), contour(target, c)
        result.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_both_sides(pred, target, num_classes, tolerance, ignore_index=255):
    """The contour takes the pixels just outside the class too."""
    _two_masks(pred, target)
    ok = target != ignore_index

    def contour(mask, c):
        own = mask == c
        edge = torch.zeros_like(own)
        v = (own[:, 1:] != own[:, :-1]) & ok[:, 1:] & ok[:, :-1]
        h = (own[:, :, 1:] != own[:, :, :-1]) & ok[:, :, 1:] & ok[:, :, :-1]
        edge[:, 1:] |= v
        edge[:, :-1] |= v
        edge[:, :, 1:] |= h
        edge[:, :, :-1] |= h
        return edge

    result = []
    for c in range(num_classes):
        a, b = contour(pred, c), contour(target, c)
        result.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_right_and_below(pred, target, num_classes, tolerance, ignore_index=255):
    """Only the neighbours to the right and below are looked at."""
    _two_masks(pred, target)
    ok = target != ignore_index

    def contour(mask, c):
        inside, other = (mask == c) & ok, (mask != c) & ok
        edge = torch.zeros_like(inside)
        edge[:, :-1] |= inside[:, :-1] & other[:, 1:]
        edge[:, :, :-1] |= inside[:, :, :-1] & other[:, :, 1:]
        return edge

    result = []
    for c in range(num_classes):
        a, b = contour(pred, c), contour(target, c)
        result.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_no_background(pred, target, num_classes, tolerance, ignore_index=255):
    """The background has no score, it is always NaN."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = torch.full((num_classes,), torch.nan, dtype=torch.float64)
    for c in range(1, num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        result[c] = _f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean()
    return result


@wrong("boundary_f_score")
def wrong_boundary_empty_nan(pred, target, num_classes, tolerance, ignore_index=255):
    """Where only one mask has a contour 0 / 0 makes F NaN, and nanmean leaves the picture out."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        p = (a & _widen(b, tolerance)).sum((1, 2)).double() / a.sum((1, 2))
        r = (b & _widen(a, tolerance)).sum((1, 2)).double() / b.sum((1, 2))
        f = 2 * p * r / (p + r)
        f[p + r == 0] = 0
        result.append(f.nanmean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_ignored_overwritten(pred, target, num_classes, tolerance, ignore_index=255):
    """The prediction is set to ignore_index and compared with it: wrong if that is also a class it predicts."""
    _two_masks(pred, target)
    pred = torch.where(target == ignore_index, target, pred)
    result = []
    for c in range(num_classes):
        a, b = (_contour(m, m != ignore_index, c) for m in (pred, target))
        result.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean())
    return torch.stack(result)


@wrong("boundary_f_score")
def wrong_boundary_single_precision(pred, target, num_classes, tolerance, ignore_index=255):
    """Comes back as float32."""
    _two_masks(pred, target)
    ok = target != ignore_index
    result = []
    for c in range(num_classes):
        a, b = _contour(pred, ok, c), _contour(target, ok, c)
        result.append(_f(a, b, _widen(a, tolerance), _widen(b, tolerance)).nanmean().item())
    return torch.tensor(result)
