"""Hidden graders of lesson 06. Random inputs come from `rng`; what is right is computed here, in another way."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from autograde.graders.kit import draw, random_tensor
from seglab.checking.compare import Mismatch, assert_same


def rows_stamped(size, kernel_size, stride=1, padding=0, output_padding=0, dilation=1):
    """The number of rows, by noting each row that a stamp writes on."""
    written = {i * stride + t * dilation for i in range(size) for t in range(kernel_size)}
    return len(range(padding, max(written) + 1 - padding)) + output_padding


def asked(function, cases):
    """The answer to each case, all of them before one is judged: that tells mistakes apart."""
    return [function(*case[:-1], **case[-1]) if type(case[-1]) is dict else function(*case) for case in cases]


def assert_sizes(student, cases):
    assert_same(asked(student.transposed_conv_size, cases), asked(rows_stamped, cases))


class TestTransposedConvSize:
    """transposed_conv_size: how large a map comes out"""

    def test_stride(self, student, rng):
        """Strides from 1 up, kernels larger and smaller than they are"""
        cases = [(draw(rng, 5, 40), kernel, stride) for kernel, stride in ((3, 2), (7, 3), (2, 5), (1, 4), (64, 32))]
        assert_sizes(student, [*cases, (draw(rng, 5, 40), draw(rng, 3, 7))])

    def test_padding(self, student, rng):
        """With padding"""
        cases = [(draw(rng, 7, 40), 2 * padding + draw(rng, 1, 3), draw(rng, 2, 5), padding) for padding in (1, 2, 4)]
        assert_sizes(student, [*cases, (draw(rng, 7, 40), 3, 1, 1)])

    def test_output_padding(self, student, rng):
        """With output_padding, with padding and without"""
        cases = [(draw(rng, 5, 40), draw(rng, 3, 7), stride, 0, stride - 1) for stride in (2, 3, 5)]
        cases += [(draw(rng, 5, 40), draw(rng, 5, 9), 4, 2, {"output_padding": extra}) for extra in (1, 2, 3)]
        assert_sizes(student, cases)

    def test_dilation(self, student, rng):
        """With dilation, alone and together with all the rest"""
        cases = [(draw(rng, 5, 40), kernel, draw(rng, 2, 4), {"dilation": kernel - 1}) for kernel in (3, 4, 6)]
        cases += [(draw(rng, 5, 40), draw(rng, 4, 6), 3, 2, 1, dilation) for dilation in (2, 3)]
        assert_sizes(student, cases)

    def test_small(self, student, rng):
        """One row becomes one stamp; kernels of 1; a single row is left"""
        k, stride = draw(rng, 5, 9), draw(rng, 2, 6)
        cases = [
            (1, k, stride),
            (1, k, stride, 2),
            (1, 1, stride),
            (draw(rng, 3, 9), 1, stride, 0, 1),
            (1, k, 1, 0, 0, 3),
        ]
        assert_sizes(student, [*cases, (1, 2 * k + 1, stride, k), (3, 1, 4, 4)])


def sizes_that_become(size, kernel_size, stride=1, padding=0, dilation=1):
    """Counts, for each number of rows, the places where a window can begin."""
    reach, found = dilation * (kernel_size - 1), []
    for rows in range(1, size * stride + reach + 2):
        starts = [i for i in range(-padding, rows + padding, stride) if i + reach < rows + padding]
        if len(starts) == size:
            found.append(rows)
    return found


def assert_lists(student, cases):
    assert_same(asked(student.colliding_sizes, cases), [sizes_that_become(*case) for case in cases])


class TestCollidingSizes:
    """colliding_sizes: pictures that a convolution makes equally large"""

    def test_strides(self, student, rng):
        """Strides of 2 and more, without padding"""
        assert_lists(student, [(draw(rng, 4, 12), draw(rng, 2, 7), stride) for stride in (2, 5, 3, 8)])

    def test_stride_one(self, student, rng):
        """Stride 1: there is one size"""
        assert_lists(student, [(draw(rng, 6, 30), draw(rng, 2, 9)), (draw(rng, 6, 30), 7, 1, draw(rng, 1, 3))])

    def test_padding(self, student, rng):
        """With padding, which lies at both ends"""
        assert_lists(student, [(draw(rng, 6, 12), draw(rng, 5, 9), draw(rng, 3, 6), padding) for padding in (1, 2, 4)])

    def test_dilation(self, student, rng):
        """With dilation, alone and with padding"""
        cases = [(draw(rng, 4, 9), draw(rng, 3, 6), 4, 0, dilation) for dilation in (2, 3)]
        assert_lists(student, [*cases, (draw(rng, 6, 9), 5, 3, 2, 4)])

    def test_must_fit(self, student, rng):
        """One row, or few, from a large kernel: pictures into which no window fits are not in the list"""
        assert_lists(student, [(1, draw(rng, 8, 15), 4), (1, draw(rng, 8, 15), 3, 1), (2, draw(rng, 20, 30), 5)])

    def test_at_least_one_row(self, student, rng):
        """No size below 1, however much padding there is; the list may be empty, the first size may be 1"""
        cases = [(1, 3, 6, draw(rng, 2, 3)), (1, 1, 2, draw(rng, 3, 9)), (2, 2, 7, 4), (draw(rng, 2, 4), 5, 1, 9)]
        assert_lists(student, [*cases, (3, 3, 1, 2)])

    def probe_strides(self, student, rng):
        cases = [(draw(rng, 12, 20), draw(rng, 3, 5), stride) for stride in (4, 6, 7)]
        return asked(student.colliding_sizes, cases)

    def probe_padding(self, student, rng):
        return asked(student.colliding_sizes, [(draw(rng, 12, 20), 7, stride, 3) for stride in (4, 5)])

    def probe_dilation(self, student, rng):
        return asked(student.colliding_sizes, [(draw(rng, 12, 20), 4, 5, 0, dilation) for dilation in (3, 2)])


def placed(weight, height, width, stride=1, padding=0):
    """The matrix, by cutting the pixels' numbers, not their values, into windows."""
    numbers = torch.arange(1.0, weight.shape[1] * height * width + 1).reshape(1, weight.shape[1], height, width)
    windows = F.unfold(numbers, weight.shape[2], padding=padding, stride=stride)[0].T.long()  # (H' * W', weights)
    matrix = torch.zeros(len(weight), *windows.shape[:1], numbers.numel() + 1)  # the padding has the number 0
    values = weight.flatten(1)[:, None].expand(-1, *windows.shape)
    return matrix.scatter(2, windows.expand_as(values), values)[..., 1:].flatten(0, 1)


def assert_matrix(student, weight, *more):
    assert_same(student.conv_matrix(weight, *more), placed(weight, *more))


class TestConvMatrix:
    """conv_matrix: a convolution as a product with a matrix"""

    @pytest.mark.weight(2)
    def test_all_at_once(self, student, rng):
        """Several channels, stride, padding, a picture that is not square, rows left over"""
        assert_matrix(student, random_tensor(rng, 3, 2, 3, 3), 6, 9, 2, 1)
        assert_matrix(student, random_tensor(rng, 2, 3, 3, 3), 8, 5, 3, draw(rng, 1, 2))

    def test_one_channel(self, student, rng):
        """One channel, stride 1, no padding, even and odd kernels, pictures that are not square"""
        for k in (2, 3, 1):
            assert_matrix(student, random_tensor(rng, 1, 1, k, k), draw(rng, 3, 4), draw(rng, 5, 7))

    @pytest.mark.weight(2)
    def test_stride(self, student, rng):
        """Strides of 2 and more, larger than the kernel too; what is left over is not seen"""
        for k, stride in ((3, 2), (2, 3), (4, 3)):
            assert_matrix(student, random_tensor(rng, 1, 1, k, k), 2 * stride + k - 1, stride + k + 1, stride)

    @pytest.mark.weight(2)
    def test_padding(self, student, rng):
        """Padding has no columns, on any side, and no weight comes back in at another place"""
        for k, padding in ((3, 1), (2, 1), (5, 3)):
            assert_matrix(student, random_tensor(rng, 1, 1, k, k), draw(rng, 3, 4), draw(rng, 5, 6), 1, padding)

    @pytest.mark.weight(2)
    def test_channels(self, student, rng):
        """Several channels in, several out, in the order in which `flatten` lays them out"""
        for channels in ((1, 3), (3, 1), (2, 4)):
            assert_matrix(student, random_tensor(rng, *channels, 2, 2), 3, draw(rng, 4, 5))

    def test_small(self, student, rng):
        """Pictures of one row, of one column, and as large as the window"""
        weight = random_tensor(rng, 2, 2, 3, 3)
        for height, width in ((1, 4), (5, 1)):
            assert_matrix(student, weight, height, width, 1, 1)
        assert_matrix(student, weight, 3, 3)

    # As many channels out as in, a picture that is square: what survives more mistakes than the tests do.
    def probe_square(self, student, rng):
        return student.conv_matrix(random_tensor(rng, 2, 2, 3, 3), 5, 5, 2, 1)

    def probe_equal_channels(self, student, rng):
        return student.conv_matrix(random_tensor(rng, 2, 2, 2, 2), 4, 3)


def adjoint(x, weight, bias=None, stride=1, padding=0):
    """The transposed convolution, as the gradient of the convolution that it is the transpose of."""
    size = [(number - 1) * stride + weight.shape[2] - 2 * padding for number in x.shape[2:]]
    with torch.enable_grad():
        large = torch.zeros(len(x), weight.shape[1], *size, requires_grad=True)
        small = F.conv2d(large, weight, stride=stride, padding=padding)
        (large,) = torch.autograd.grad(small, large, x, create_graph=True)
    return large if bias is None else large + bias[:, None, None]


def assert_enlarged(student, x, weight, *more):
    assert_same(student.transposed_conv2d(x, weight, *more), adjoint(x, weight, *more).detach())


class TestTransposedConv2d:
    """transposed_conv2d: each value stamps the kernel"""

    @pytest.mark.weight(2)
    def test_all_at_once(self, student, rng):
        """Several maps, several channels in and out, not square, with stride, padding and bias"""
        for k, stride, padding in ((3, 2, 1), (5, 3, 2)):
            x, weight = random_tensor(rng, 2, 3, 3, 4), random_tensor(rng, 3, 2, k, k)
            assert_enlarged(student, x, weight, random_tensor(rng, 2), stride, padding)

    @pytest.mark.weight(2)
    def test_overlap(self, student, rng):
        """Kernels larger than the stride: up to nine stamps meet in a pixel"""
        for k, stride in ((3, 2), (4, 2), (3, 1)):
            assert_enlarged(
                student, random_tensor(rng, 1, 1, 4, draw(rng, 2, 3)), random_tensor(rng, 1, 1, k, k), None, stride
            )

    def test_gaps(self, student, rng):
        """Kernels as large as the stride, and smaller: stamps side by side, and apart"""
        for k, stride in ((2, 2), (2, 3), (1, draw(rng, 2, 4))):
            assert_enlarged(student, random_tensor(rng, 2, 1, 2, 4), random_tensor(rng, 1, 1, k, k), None, stride)

    @pytest.mark.weight(2)
    def test_padding(self, student, rng):
        """Padding cuts on all four sides; with kernel 3, stride 1 and padding 1 the size stays"""
        for k, stride, padding in ((3, 1, 1), (4, 2, 1), (5, 2, 3), (2, 3, 1)):
            assert_enlarged(
                student, random_tensor(rng, 1, 1, 3, 5), random_tensor(rng, 1, 1, k, k), None, stride, padding
            )

    @pytest.mark.weight(2)
    def test_channels(self, student, rng):
        """Each output channel gets the stamps of all input channels, and no picture those of another"""
        for before, after in ((3, 2), (1, 3), (4, 1)):
            assert_enlarged(
                student, random_tensor(rng, 2, before, 2, 3), random_tensor(rng, before, after, 2, 2), None, 2
            )

    def test_bias(self, student, rng):
        """The bias, once in each pixel of its channel, in gaps too"""
        for k, stride in ((2, 3), (3, 2)):
            x, weight = random_tensor(rng, 2, 2, 2, 3), random_tensor(rng, 2, 3, k, k)
            assert_enlarged(student, x, weight, random_tensor(rng, 3), stride)
        assert_enlarged(student, x, weight, random_tensor(rng, 3))

    def test_one_value(self, student, rng):
        """Maps of one value become one kernel; as DeconvNet goes from 1 x 1 back to its map"""
        assert_enlarged(student, random_tensor(rng, 2, 3, 1, 1), random_tensor(rng, 3, 2, 4, 4), None, draw(rng, 1, 3))

    @pytest.mark.weight(2)
    def test_gradient(self, student, rng):
        """Gradients of the map, the weights and the bias"""
        x, weight, bias = random_tensor(rng, 2, 2, 2, 3), random_tensor(rng, 2, 3, 3, 3), random_tensor(rng, 3)
        leaves = [student.keep(leaf.clone().requires_grad_()) for leaf in (x, weight, bias)]
        here = [leaf.requires_grad_() for leaf in (x, weight, bias)]
        expected = adjoint(*here, 2, 1)
        arriving = random_tensor(rng, *expected.shape)
        (expected * arriving).sum().backward()
        answer = student.transposed_conv2d.kept(*leaves, 2, 1)
        answer.call("mul", arriving, keep=True).call("sum", keep=True).call("backward")
        grads = [leaf.get("grad") for leaf in leaves]
        student.seen[-3:] = [[0.5 if grad is None else grad for grad in grads]]  # on record together: which are missing
        assert_same(grads, [leaf.grad for leaf in here])

    # Sizes alone, for maps of which nothing is left.
    def probe_sizes(self, student, rng):
        for shape in ((2, 3, 4, 5), (4, 3, 5, 3)):
            student.transposed_conv2d.kept(random_tensor(rng, *shape), torch.ones(3, 2, 3, 3)).call("size")

    # As many channels out as in, maps that are square: what survives more mistakes than the tests do.
    def probe_square(self, student, rng):
        x, weight = random_tensor(rng, 1, 2, 3, 3), random_tensor(rng, 2, 2, 3, 3)
        return student.transposed_conv2d(x, weight, random_tensor(rng, 2), 2, 1)

    def probe_equal_channels(self, student, rng):
        return student.transposed_conv2d(random_tensor(rng, 2, 3, 2, 4), random_tensor(rng, 3, 3, 3, 3), None, 2)

    def probe_one_channel(self, student, rng):
        return student.transposed_conv2d(
            random_tensor(rng, 1, 1, 3, 2), random_tensor(rng, 1, 1, 3, 3), random_tensor(rng, 1)
        )


def stamps_over(size, kernel_size, stride, padding=0):
    """Asks each pixel which stamps reach it."""
    rows, cols = ((number - 1) * stride + kernel_size for number in size)
    return torch.tensor(
        [
            [
                sum(
                    0 <= row - i * stride < kernel_size and 0 <= col - j * stride < kernel_size
                    for i in range(size[0])
                    for j in range(size[1])
                )
                for col in range(padding, cols - padding)
            ]
            for row in range(padding, rows - padding)
        ]
    )


def assert_counted(student, *case):
    assert_same(student.overlap_count(*case), stamps_over(*case))


class TestOverlapCount:
    """overlap_count: how many stamps cover each pixel"""

    @pytest.mark.weight(2)
    def test_uneven(self, student, rng):
        """Kernels that are no multiple of the stride, maps that are not square"""
        for kernel_size, stride in ((3, 2), (5, 3), (5, 2)):
            assert_counted(student, (draw(rng, 2, 3), draw(rng, 4, 5)), kernel_size, stride)

    def test_even(self, student, rng):
        """Kernels that are a multiple of the stride: even inside, less at the border"""
        for kernel_size, stride in ((4, 2), (6, 2), (3, 1)):
            assert_counted(student, (draw(rng, 4, 5), draw(rng, 2, 3)), kernel_size, stride)

    @pytest.mark.weight(2)
    def test_padding(self, student, rng):
        """Padding cuts on all sides, and leaves what is inside as it was"""
        for kernel_size, stride, padding in ((3, 2, 1), (5, 2, draw(rng, 1, 2)), (4, 3, 2)):
            assert_counted(student, (draw(rng, 2, 3), draw(rng, 4, 5)), kernel_size, stride, padding)

    def test_gaps(self, student, rng):
        """Strides larger than the kernel: gaps are 0"""
        for kernel_size, stride in ((1, 2), (2, draw(rng, 3, 4))):
            assert_counted(student, (3, draw(rng, 4, 5)), kernel_size, stride)

    def test_small(self, student, rng):
        """Maps of one row, one column, one value"""
        for size in ((1, 4), (draw(rng, 3, 5), 1), (1, 1)):
            assert_counted(student, size, 3, 2)

    def probe_square(self, student, rng):
        return student.overlap_count((4, 4), 5, 2, 1), student.overlap_count((3, 3), 5, 3)

    def probe_large(self, student, rng):
        return student.overlap_count((5, 6), 7, draw(rng, 3, 4))


def gradient(student, x, function, arriving):
    """What arrives at the kept x when `arriving` comes back through what `function` makes of it."""
    kept = student.keep(x.clone().requires_grad_())
    function(kept).call("mul", arriving, keep=True).call("sum", keep=True).call("backward")
    return kept.get("grad")


def pooled_by_torch(x, k):
    return F.max_pool2d(x, k, return_indices=True)


def with_ties(rng, *shape):
    """A few whole numbers, as floats: many blocks hold their largest value more than once."""
    return torch.from_numpy(rng.integers(0, 4, shape)).float()


class TestMaxPoolWithSwitches:
    """max_pool_with_switches: the largest value of each block, and where it stood"""

    def assert_pooled(self, student, x, k):
        assert_same(student.max_pool_with_switches(x, k), pooled_by_torch(x, k))

    @pytest.mark.weight(2)
    def test_values_and_switches(self, student, rng):
        """Several maps with several channels, not square, in blocks of several sizes that leave nothing over"""
        for shape, k in (((2, 3, 4, 6), 2), ((3, 2, 9, 6), 3), ((1, 2, 4, 12), 4)):
            self.assert_pooled(student, random_tensor(rng, *shape).abs(), k)

    @pytest.mark.weight(2)
    def test_odd_sizes(self, student, rng):
        """Rows or columns, or both, are left over"""
        for shape, k in (((2, 2, 5, 7), 2), ((1, 3, 6, 9), 2), ((2, 1, 8, 10), 3), ((1, 1, 7, 4), 4)):
            self.assert_pooled(student, random_tensor(rng, *shape).abs(), k)

    def test_ties(self, student, rng):
        """Equal values within a block, and blocks of nothing but zeros, as after a ReLU"""
        self.assert_pooled(student, with_ties(rng, 2, 3, 6, 9), 3)
        self.assert_pooled(student, random_tensor(rng, 3, 2, 8, 10).sub(1).relu(), 2)

    def test_negative(self, student, rng):
        """Maps without a positive value"""
        for shape, k in (((2, 3, 4, 10), 2), ((1, 2, 7, 11), 3)):
            self.assert_pooled(student, random_tensor(rng, *shape) - 8, k)

    def test_largest_and_smallest_blocks(self, student, rng):
        """One block that is the whole map, and blocks of one pixel"""
        for shape, k in (((2, 2, 5, 5), 5), ((1, 2, draw(rng, 3, 5), 6), 3), ((2, 2, 3, 4), 1)):
            self.assert_pooled(student, random_tensor(rng, *shape).abs(), k)

    def test_gradient(self, student, rng):
        """A gradient that comes back to a pooled value arrives at its switch, all of it, at ties too"""
        for x in (random_tensor(rng, 2, 2, 5, 6), with_ties(rng, 2, 2, 4, 6)):
            arriving = random_tensor(rng, 2, 2, 2, 3)
            flat = x.clone().flatten(2).requires_grad_()
            (flat.gather(2, pooled_by_torch(x, 2)[1].flatten(2)) * arriving.flatten(2)).sum().backward()
            got = gradient(
                student,
                x,
                lambda kept: student.max_pool_with_switches.kept(kept, 2).call("__getitem__", 0, keep=True),
                arriving,
            )
            assert_same(got, flat.grad.reshape(x.shape))

    def probe_square(self, student, rng):
        return student.max_pool_with_switches(random_tensor(rng, 1, 1, 6, 6), 2)

    def probe_one_column_of_blocks(self, student, rng):
        return student.max_pool_with_switches(random_tensor(rng, 1, 3, 9, 3), 3)


def scattered(y, switches, output_size):
    """Unpooled value by value, with row and column of each switch."""
    large = np.zeros((*y.shape[:2], *output_size), dtype=np.float32)
    row, col = np.unravel_index(switches.numpy(), output_size)
    for place in np.ndindex(*y.shape):
        large[place[0], place[1], row[place], col[place]] = y[place]
    return torch.from_numpy(large)


def random_switches(rng, n, c, height, width, k):
    """Those of a random picture: (n, c, height // k, width // k), and values to put there, of any sign."""
    switches = pooled_by_torch(random_tensor(rng, n, c, height, width), k)[1]
    return random_tensor(rng, *switches.shape), switches


class TestMaxUnpool:
    """max_unpool: each value back where it came from"""

    def assert_unpooled(self, student, y, switches, output_size):
        assert_same(student.max_unpool(y, switches, output_size), scattered(y, switches, output_size))

    @pytest.mark.weight(2)
    def test_blocks(self, student, rng):
        """Switches of blocks of 2 x 2 that leave nothing over: one map, then several maps with several channels"""
        for n, c, height, width in ((1, 1, 4, 8), (2, 3, 8, 6), (3, 2, 4, 10)):
            self.assert_unpooled(student, *random_switches(rng, n, c, height, width, 2), (height, width))

    @pytest.mark.weight(2)
    def test_odd_sizes(self, student, rng):
        """Rows and columns are left over, blocks of 2 x 2 and of 3 x 3"""
        for height, width, k in ((4, 7, 2), (5, 8, 2), (7, 9, 2), (7, 11, 3)):
            self.assert_unpooled(student, *random_switches(rng, 2, 2, height, width, k), (height, width))

    def test_any_places(self, student, rng):
        """Switches that no blocks have made: the last place, the first one, places side by side"""
        for height, width in ((3, 5), (draw(rng, 4, 6), 7)):
            last = height * width - 1
            places = [rng.permutation([0, last, *(rng.permutation(last - 1)[:3] + 1)]) for _ in range(4)]
            switches = torch.from_numpy(np.stack(places)).reshape(2, 2, 1, 5)
            self.assert_unpooled(student, random_tensor(rng, 2, 2, 1, 5), switches, (height, width))

    def test_small(self, student, rng):
        """One value; one row; one column"""
        for height, width, k in ((2, 3, 2), (2, 9, 2), (draw(rng, 6, 9), 2, 2)):
            self.assert_unpooled(student, *random_switches(rng, 2, 1, height, width, k), (height, width))

    def test_gradient(self, student, rng):
        """What arrives at the place of a value goes back to it"""
        y, switches = random_switches(rng, 2, 3, 5, 8, 2)
        arriving = random_tensor(rng, 2, 3, 5, 8)
        got = gradient(student, y, lambda kept: student.max_unpool.kept(kept, switches, (5, 8)), arriving)
        assert_same(got, arriving.flatten(2).gather(2, switches.flatten(2)).reshape(y.shape))

    def probe_square(self, student, rng):
        return student.max_unpool(*random_switches(rng, 1, 1, 6, 6, 2), (6, 6))

    def probe_one_channel(self, student, rng):
        return student.max_unpool(*random_switches(rng, 1, 1, 5, 9, 2), (5, 9))


def deconvnet_weights(in_channels, num_classes, widths, dense_width, dense_kernel):
    """Name -> shape of every weight. Layers are (name, channels in, channels out, side), transposed behind dense."""
    pairs = list(pairwise([in_channels, *widths]))
    forward = [(f"encoder.{i}", *pair, 3) for i, pair in enumerate(pairs)]
    forward.append(("dense", widths[-1], dense_width, dense_kernel))
    back = [("dense_back", dense_width, widths[-1], dense_kernel)]
    ends = [*reversed(widths), widths[0]]
    back += [(f"decoder.{i}", *pair, 3) for i, pair in enumerate(pairwise(ends))]
    shapes = {"score.weight": [num_classes, widths[0], 1, 1], "score.bias": [num_classes]}
    for name, coming, going, side in forward + back:
        first = [going, coming] if (name, coming, going, side) in forward else [coming, going]
        shapes |= {f"{name}.0.weight": [*first, side, side], f"{name}.1.weight": [going], f"{name}.1.bias": [going]}
    return shapes


def random_state(rng, shapes):
    """Weights of the run, running statistics of the batch normalizations among them."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith(".1.weight"):
            layer = name[: -len("weight")]
            state[name] = 1 + random_tensor(rng, *shape) / 4
            state[f"{layer}running_mean"] = random_tensor(rng, *shape) / 4
            state[f"{layer}running_var"] = 0.5 + torch.from_numpy(rng.random(shape, dtype=np.float32))
        elif len(shape) == 4:
            state[name] = random_tensor(rng, *shape) * (2 / (shape[0] * shape[2] * shape[3])) ** 0.5
        else:
            state[name] = random_tensor(rng, *shape) / 4
    state["score.bias"] = state["score.bias"] - 1  # so that logits of both signs come out
    return state


def unpooled(y, large):
    """y at the places of the maxima of `large`: the gradient of what max pooling makes of it."""
    large = large.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad((F.max_pool2d(large, 2) * y).sum(), large, create_graph=True)[0]


def expected_deconvnet(state, x, training=False):
    """What the network must answer, from its weights by name."""

    def block(name, x, convolve, **how):
        x = convolve(x, state[f"{name}.0.weight"], **how)
        statistics = [state[f"{name}.1.running_{kind}"].clone() for kind in ("mean", "var")]
        return F.batch_norm(x, *statistics, state[f"{name}.1.weight"], state[f"{name}.1.bias"], training).relu()

    maps, stages = [], len({name.split(".")[1] for name in state if name.startswith("encoder.")})
    for i in range(stages):
        maps.append(block(f"encoder.{i}", x, F.conv2d, padding=1))
        x = F.max_pool2d(maps[-1], 2)
    x = block("dense_back", block("dense", x, F.conv2d), F.conv_transpose2d)
    for i in range(stages):
        x = block(f"decoder.{i}", unpooled(x, maps[-1 - i]), F.conv_transpose2d, padding=1)
    return torch.einsum("kd,ndhw->nkhw", state["score.weight"][:, :, 0, 0], x) + state["score.bias"][:, None, None]


def built(student, *case):
    """A network of the student's, and the shape of each of its weights by name."""
    net = student.DeconvNet.module(*case)
    weights = net.parameters()
    del student.seen[-1]  # which there are is on record once, by `test_weights`
    return net, {name: [*weight.shape] for name, weight in weights.items()}


def flaw(shapes, expected):
    """A number for the layers that differ: it goes on record in place of the shapes, which are random."""
    wrong = {key.partition(".")[0] for key in {*shapes, *expected} if shapes.get(key) != expected.get(key)}
    if wrong - {"dense"} == {"dense_back"}:
        return 2.5
    if wrong == {"score"} and "score.0.weight" in shapes:
        return 3.5
    return 1.5 if wrong else 1.0


def loaded(student, rng, *case):
    """A network of the student's with weights of the run, in evaluation mode, and these weights."""
    net, shapes = built(student, *case)
    expected = deconvnet_weights(*case)
    state = random_state(rng, expected)
    layers = ", ".join(dict.fromkeys(name.partition(".")[0] for name in sorted(shapes)))
    for key, sides in expected.items():
        if shapes.get(key) != sides:
            raise Mismatch("rule", f"{key} of shape {sides}", shapes.get(key, f"weights in {layers or 'no layer'}"))
    net.call("load_state_dict", student.keep(state), strict=False, keep=True)  # kept: no report should print it
    net.call("eval", keep=True)
    return net, state


class TestDeconvNet:
    """DeconvNet: a network and its mirror image"""

    def check_logits(self, student, rng, size, *case, pictures=2):
        net, state = loaded(student, rng, *case)
        x = random_tensor(rng, pictures, case[0], *size)
        with torch.no_grad():
            got = net(x)
        assert_same(got, expected_deconvnet(state, x).detach())

    def test_one_stage(self, student, rng):
        """One stage, one picture: convolution, pooling, the dense layers, unpooling with the switches, scores"""
        self.check_logits(student, rng, (8, 6), 3, 4, [5], 6, 2, pictures=1)

    @pytest.mark.weight(2)
    def test_stages(self, student, rng):
        """Several stages whose widths differ, several pictures that are not square"""
        self.check_logits(student, rng, (16, 24), 3, 4, [4, 6, 5], 7, 2)
        self.check_logits(student, rng, (8, 12), 2, 1, [6, 3], 4, 1)

    @pytest.mark.weight(2)
    def test_any_size(self, student, rng):
        """Sizes that are rounded down: one side in the first stage, then both sides in several stages"""
        self.check_logits(student, rng, (13, 8), 3, 2, [4, 5], 6, 2)
        self.check_logits(student, rng, (12, 9), 3, 2, [4, 5], 6, 2)
        self.check_logits(student, rng, (15, 22), 1, 3, [3, 5, 4], 5, 1, pictures=1)

    def test_dense_kernel(self, student, rng):
        """`dense` with kernels of other sizes: the whole last map becomes one vector, or there are several"""
        self.check_logits(student, rng, (12, 12), 2, 3, [4, 5], 6, 3)
        self.check_logits(student, rng, (12, 20), 2, 3, [4, 5], 3, 3)

    def test_weights(self, student, rng):
        """Names and shapes of all weights, for several widths, equal ones among them; no others are there"""
        pairs = []
        for widths, k in (([draw(rng, 3, 5), draw(rng, 6, 8), draw(rng, 9, 11)], 2), ([5, 5], 3), ([4], 1)):
            case = (draw(rng, 1, 3), draw(rng, 6, 9), widths, draw(rng, 12, 15), k)
            pairs.append([built(student, *case)[1], deconvnet_weights(*case)])
        wrong = [pair for pair in pairs if pair[0] != pair[1]]
        student.seen[:] = [flaw(*(wrong or pairs)[0])]  # on record: what kind of others they are
        assert_same(*(wrong or pairs)[0])

    def test_training(self, student, rng):
        """In training, with the statistics of the batch: each stage runs once, equal widths do not share a stage"""
        net, state = loaded(student, rng, 2, 3, [4, 4], 5, 2)
        net.call("train", keep=True)
        x = random_tensor(rng, 3, 2, 12, 8)
        with torch.no_grad():
            assert_same(net(x), expected_deconvnet(state, x, training=True).detach())
        names = ("encoder.0", "encoder.1", "dense", "dense_back", "decoder.0", "decoder.1")
        runs = [net.get(f"{name}.1.num_batches_tracked") for name in names]
        student.seen[-6:] = [[int(one) if isinstance(one, torch.Tensor) and one.numel() == 1 else 0 for one in runs]]
        assert_same(runs, [torch.tensor(1)] * 6)

    def test_gradients(self, student, rng):
        """Every weight learns: its gradient"""
        net, state = loaded(student, rng, 2, 3, [4, 3], 5, 2)
        x, arriving = random_tensor(rng, 2, 2, 8, 12), random_tensor(rng, 2, 3, 8, 12) / 30
        here = {name: one.clone().requires_grad_("running" not in name) for name, one in state.items()}
        (expected_deconvnet(here, x) * arriving).sum().backward()
        found = net.gradients(x, arriving)
        student.seen[-1] = {name: found[name] for name in sorted(found)}  # on record: values, in whatever order
        assert_same(found, {name: here[name].grad for name in found})
