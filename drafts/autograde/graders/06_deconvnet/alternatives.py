"""Right answers of lesson 06, written differently: the hidden grader must accept each of them."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograde.graders.candidates import alternative
from seglab.networks import conv_bn_relu, deconv_bn_relu

# --- transposed_conv_size ---


@alternative("transposed_conv_size")
def by_stamping_rows(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Count the rows of a map that is stamped, a list of marks."""
    marks = []
    for start in range(0, size * stride, stride):
        end = start + (kernel_size - 1) * dilation + 1
        marks += [0] * (end - len(marks))
    return len(marks[padding : len(marks) - padding]) + output_padding


@alternative("transposed_conv_size")
def by_asking_torch(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """Sizes without numbers."""
    with torch.device("meta"):
        layer = nn.ConvTranspose1d(1, 1, kernel_size, stride, padding, output_padding, dilation=dilation)
        return layer(torch.empty(1, 1, size)).shape[2]


@alternative("transposed_conv_size")
def by_inverting(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """size = (large + 2 padding - dilation (kernel - 1) - 1) / stride + 1, solved for large."""
    large = stride * (size - 1) - 2 * padding + dilation * (kernel_size - 1)
    return large + output_padding + 1


# --- colliding_sizes ---


@alternative("colliding_sizes")
def by_search(size, kernel_size, stride=1, padding=0, dilation=1):
    reach = dilation * (kernel_size - 1)
    found = []
    for rows in range(1, (size + 1) * stride + reach + 1):
        room = rows + 2 * padding - reach - 1
        if room >= 0 and room // stride + 1 == size:
            found.append(rows)
    return found


@alternative("colliding_sizes")
def by_output_padding(size, kernel_size, stride=1, padding=0, dilation=1):
    sizes = (by_inverting(size, kernel_size, stride, padding, extra, dilation) for extra in range(stride))
    return list(filter(lambda rows: rows > 0, sizes))


@alternative("colliding_sizes")
def by_trying_torchs_convolution(size, kernel_size, stride=1, padding=0, dilation=1):
    with torch.device("meta"):
        layer = nn.Conv1d(1, 1, kernel_size, stride, padding, dilation)
        first = max(1, dilation * (kernel_size - 1) + 1 - 2 * padding)
        last = size * stride + dilation * kernel_size
        return [rows for rows in range(first, last + 1) if layer(torch.empty(1, 1, rows)).shape[2] == size]


# --- conv_matrix ---


@alternative("conv_matrix")
def by_six_loops(weight, height, width, stride=1, padding=0):
    """Entry by entry, with places counted by hand."""
    outs, ins, k, _ = weight.shape
    rows = (height + 2 * padding - k) // stride + 1
    cols = (width + 2 * padding - k) // stride + 1
    fold = torch.zeros(outs * rows * cols, ins * height * width)  # named like the library's
    for o, i, c in itertools.product(range(outs), range(rows), range(cols)):
        for ch, a, b in itertools.product(range(ins), range(k), range(k)):
            y, x = i * stride + a - padding, c * stride + b - padding
            if 0 <= y < height and 0 <= x < width:
                fold[(o * rows + i) * cols + c, (ch * height + y) * width + x] = weight[o, ch, a, b]
    return fold


@alternative("conv_matrix")
def by_differences(weight, height, width, stride=1, padding=0):
    """All entries at once: the place of a pixel in an output's window, where there is one."""
    k = weight.shape[2]

    def place(size):
        starts = torch.arange(-padding, size + padding - k + 1, stride)
        return torch.arange(size) - starts[:, None]  # (outputs, pixels)

    down, across = place(height), place(width)
    inside = ((down >= 0) & (down < k))[:, None, :, None] & ((across >= 0) & (across < k))[:, None]
    down, across = down.clamp(0, k - 1), across.clamp(0, k - 1)
    picked = weight[:, :, down[:, None, :, None], across[:, None]]  # (outs, ins, rows, cols, height, width)
    return (picked * inside).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)


@alternative("conv_matrix", uses_forbidden=True)
def by_pictures_of_one_pixel(weight, height, width, stride=1, padding=0):
    columns = []
    for place in range(weight.shape[1] * height * width):
        picture = torch.zeros(weight.shape[1] * height * width)
        picture[place] = 1
        picture = picture.view(1, -1, height, width)
        columns.append(F.conv2d(picture, weight, stride=stride, padding=padding).reshape(-1))
    return torch.stack(columns, dim=1)


# --- transposed_conv2d ---


@alternative("transposed_conv2d", uses_forbidden=True)
def by_torchs_transposed_convolution(x, weight, bias=None, stride=1, padding=0):
    return F.conv_transpose2d(x, weight, bias, stride, padding)


@alternative("transposed_conv2d")
def by_inserting_zeros(x, weight, bias=None, stride=1, padding=0):
    """Zeros between the values, then a convolution with the mirrored kernel: FCN's "fractional stride"."""
    k = weight.shape[-1]
    n, c, h, w = x.shape
    spread = x.new_zeros(n, c, (h - 1) * stride + 1, (w - 1) * stride + 1)
    spread[:, :, ::stride, ::stride] = x
    large = F.conv2d(F.pad(spread, [k - 1] * 4), weight.flip(2, 3).transpose(0, 1), bias)
    return large[:, :, padding : large.shape[2] - padding, padding : large.shape[3] - padding]


@alternative("transposed_conv2d")
def by_the_matrix(x, weight, bias=None, stride=1, padding=0):
    """The transpose of the convolution's matrix, as in exercise 3."""
    size = [(side - 1) * stride + weight.shape[2] - 2 * padding for side in x.shape[2:]]
    conv_transpose2d = by_differences(weight, *size, stride, padding)  # named like the library's
    large = (x.flatten(1) @ conv_transpose2d).reshape(len(x), weight.shape[1], *size)
    return large if bias is None else large + bias.view(1, -1, 1, 1)


@alternative("transposed_conv2d")
def by_weights(x, weight, bias=None, stride=1, padding=0):
    """One weight of the kernel after the other: what each of them adds lies on a grid."""
    k = weight.shape[2]
    maps = []
    for a in range(k):
        for b in range(k):
            grid = torch.zeros(len(x), weight.shape[1], *((side - 1) * stride + k for side in x.shape[2:]))
            part = (x[:, :, None] * weight[:, :, a, b, None, None]).sum(1)
            grid[:, :, a::stride, b::stride][:, :, : x.shape[2], : x.shape[3]] = part
            maps.append(grid)
    large = sum(maps)
    if bias is not None:
        large = large + bias.unsqueeze(-1).unsqueeze(-1)
    rows, cols = large.shape[2:]
    return large[:, :, padding : rows - padding, padding : cols - padding]


# --- overlap_count ---


@alternative("overlap_count")
def by_stamping_ones(size, kernel_size, stride, padding=0):
    ones, kernel = torch.ones(1, 1, *size), torch.ones(1, 1, kernel_size, kernel_size)
    return by_inserting_zeros(ones, kernel, None, stride, padding)[0, 0].round().long()


@alternative("overlap_count")
def by_stamping_a_table(size, kernel_size, stride, padding=0):
    height, width = size
    table = np.zeros(((height - 1) * stride + kernel_size, (width - 1) * stride + kernel_size), dtype=np.int64)
    for i in range(height):
        for j in range(width):
            table[i * stride : i * stride + kernel_size, j * stride : j * stride + kernel_size] += 1
    return torch.from_numpy(table[padding : len(table) - padding, padding : table.shape[1] - padding].copy())


@alternative("overlap_count")
def by_division(size, kernel_size, stride, padding=0):
    """The stamps that reach place p are numbers ceil((p - k + 1) / stride) to floor(p / stride)."""

    def along(number):
        place = torch.arange(padding, (number - 1) * stride + kernel_size - padding)
        last = (place // stride).clamp(max=number - 1)
        first = (-((kernel_size - 1 - place) // stride)).clamp(min=0)
        return (last - first + 1).clamp(min=0)

    return torch.outer(along(size[0]), along(size[1]))


# --- max_pool_with_switches ---


@alternative("max_pool_with_switches")
def by_four_loops(x, k):
    """Pixel by pixel."""
    n, c, height, width = x.shape
    values, places = [], []
    for i, j in itertools.product(range(n), range(c)):
        for top, left in itertools.product(range(0, height - k + 1, k), range(0, width - k + 1, k)):
            best, where = x[i, j, top, left], (top, left)
            for row, col in itertools.product(range(top, top + k), range(left, left + k)):
                if x[i, j, row, col] > best:
                    best, where = x[i, j, row, col], (row, col)
            values.append(best)
            places.append(where[0] * width + where[1])
    size = (n, c, height // k, width // k)
    return torch.stack(values).reshape(size), torch.tensor(places).reshape(size)


@alternative("max_pool_with_switches")
def by_strided_maps(x, k):
    """The k * k places of a block are k * k maps; they take turns, and only a larger value replaces what is there."""
    height, width = x.shape[2] // k * k, x.shape[3] // k * k
    numbers = torch.arange(x.shape[2] * x.shape[3]).reshape(x.shape[2:]).expand(x.shape)
    max_pool2d = switches = None  # named like the library's
    for row in range(k):
        for col in range(k):
            here = x[:, :, row:height:k, col:width:k]
            number = numbers[:, :, row:height:k, col:width:k]
            if max_pool2d is None:
                max_pool2d, switches = here, number
            larger = here > max_pool2d
            max_pool2d, switches = torch.where(larger, here, max_pool2d), torch.where(larger, number, switches)
    return max_pool2d, switches


@alternative("max_pool_with_switches")
def by_numbering_and_gathering(x, k):
    """Windows of a table of numbers, and the values fetched from where they point."""
    table = torch.arange(x[0, 0].numel()).view(x.shape[2], x.shape[3])
    numbers = table.unfold(0, k, k).unfold(1, k, k).reshape(-1, k * k)  # (blocks, k * k)
    values = x.flatten(2)[:, :, numbers]  # (N, C, blocks, k * k)
    best = torch.argmax(values, dim=3)
    switches = numbers.expand(*values.shape[:2], -1, -1).gather(3, best.unsqueeze(3)).squeeze(3)
    pooled = torch.gather(x.flatten(2), 2, switches)
    shape = (*x.shape[:2], x.shape[2] // k, x.shape[3] // k)
    return pooled.reshape(shape), switches.reshape(shape)


@alternative("max_pool_with_switches", uses_forbidden=True)
def by_torchs_pooling(x, k):
    return nn.MaxPool2d(k, return_indices=True)(x)


# --- max_unpool ---


@alternative("max_unpool")
def by_index(y, switches, output_size):
    n, c = y.shape[:2]
    large = torch.zeros(n, c, *output_size)
    row, col = switches // output_size[1], switches % output_size[1]
    picture = torch.arange(n)[:, None, None, None]
    channel = torch.arange(c)[:, None, None]
    large[picture, channel, row, col] = y
    return large


@alternative("max_unpool")
def by_asking_each_place(y, switches, output_size):
    """Each place of the large map looks for the value whose switch it is."""
    places = torch.arange(output_size[0] * output_size[1])
    max_unpool2d = (switches.flatten(2)[:, :, None] == places[:, None]).to(y.dtype)  # (N, C, H * W, h * w)
    return (max_unpool2d @ y.flatten(2)[..., None]).reshape(*y.shape[:2], *output_size)


@alternative("max_unpool")
def one_after_the_other(y, switches, output_size):
    flat = [[torch.zeros(output_size[0] * output_size[1]) for _ in channels] for channels in y]
    for i, j in itertools.product(range(len(y)), range(y.shape[1])):
        for value, place in zip(y[i, j].flatten(), switches[i, j].flatten().tolist(), strict=True):
            flat[i][j][place] = value
    return torch.stack([torch.stack(channels) for channels in flat]).view(len(y), -1, *output_size)


@alternative("max_unpool", uses_forbidden=True)
def by_torchs_unpooling(y, switches, output_size):
    """The kernel only says which sizes it takes: here this one."""
    kernel = [large - small + 1 for large, small in zip(output_size, y.shape[2:], strict=True)]
    return F.max_unpool2d(y, switches, kernel_size=kernel, stride=1)


# --- DeconvNet ---


@alternative("DeconvNet")
class DeconvNetOfModules(nn.Module):
    """Pooling and unpooling as layers, stages by their numbers, counted backwards on the way up."""

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels = in_channels
        for width in widths:
            self.encoder.append(conv_bn_relu(channels, width))
            channels = width
        for i in range(len(widths) - 1, -1, -1):
            self.decoder.append(deconv_bn_relu(widths[i], widths[i - 1] if i > 0 else widths[0]))
        self.dense = conv_bn_relu(channels, dense_width, dense_kernel, 0)
        self.dense_back = deconv_bn_relu(dense_width, channels, dense_kernel, 0)
        self.score = nn.Conv2d(widths[0], num_classes, (1, 1))

    def forward(self, x):
        shapes, indices = {}, {}
        for i, stage in enumerate(self.encoder):
            y = stage(x)
            shapes[i] = y.size()
            x, indices[i] = self.pool(y)
        x = self.dense_back.forward(self.dense(x))
        for i in reversed(range(len(shapes))):
            x = self.unpool(x, indices[i], output_size=shapes[i])
            x = self.decoder[len(shapes) - 1 - i](x)
        return self.score.forward(x)


class Block(nn.Sequential):
    """The blocks of the library, written out."""

    def __init__(self, layer):
        super().__init__(layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True))


@alternative("DeconvNet")
class DeconvNetByRecursion(nn.Module):
    """A stage, whatever lies below it, and the stage's counterpart; pooling and unpooling of its own."""

    def __init__(self, in_channels, num_classes, widths, dense_width, dense_kernel):
        super().__init__()
        last = widths[-1]
        self.encoder = nn.ModuleList(
            Block(nn.Conv2d(a, b, 3, padding="same", bias=False))
            for a, b in itertools.pairwise(itertools.chain([in_channels], widths))
        )
        self.dense = Block(nn.Conv2d(last, dense_width, dense_kernel, bias=False))
        self.dense_back = Block(nn.ConvTranspose2d(dense_width, last, dense_kernel, bias=False))
        backwards = list(widths)[::-1]
        self.decoder = nn.ModuleList(
            Block(nn.ConvTranspose2d(a, b, 3, padding=1, bias=False))
            for a, b in itertools.zip_longest(backwards, backwards[1:], fillvalue=widths[0])
        )
        self.score = nn.Conv2d(widths[0], num_classes, 1)

    def below(self, x, i):
        if i == len(self.encoder):
            return self.dense_back(self.dense(x))
        x = self.encoder[i](x)
        pooled, switches = by_strided_maps(x, 2)
        back = by_index(self.below(pooled, i + 1), switches, x.shape[2:])
        return self.decoder[-1 - i](back)

    def forward(self, x):
        return self.score(self.below(x, 0))
