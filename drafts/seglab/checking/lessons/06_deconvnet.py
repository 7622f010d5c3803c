"""Visible checks of lesson 06. `check(NAME)` in the notebook runs the class of that function's name."""

import torch

from seglab.checking.compare import Mismatch, assert_same


class TestTransposedConvSize:
    """transposed_conv_size: how large a map comes out"""

    def test_stride(self, student):
        """3 rows, kernel 3: 7 rows with stride 2, 5 with stride 1"""
        assert_same(student.transposed_conv_size(3, 3, 2), 7)
        assert_same(student.transposed_conv_size(3, 3), 5)

    def test_padding(self, student):
        """Kernel 3, stride 2, padding 1: 8 rows become 15, not 16; kernel 4 makes 16 of them"""
        assert_same(student.transposed_conv_size(8, 3, 2, 1), 15)
        assert_same(student.transposed_conv_size(8, 4, 2, 1), 16)

    def test_output_padding(self, student):
        """Kernel 5, stride 4, padding 2: 6 rows become 21, and 24 with output_padding 3"""
        assert_same(student.transposed_conv_size(6, 5, 4, 2), 21)
        assert_same(student.transposed_conv_size(6, 5, 4, 2, output_padding=3), 24)

    def test_dilation(self, student):
        """Kernel 4 with dilation 3 covers 10 rows: so does one stamp, and five with stride 2 cover 18"""
        assert_same(student.transposed_conv_size(1, 4, 2, dilation=3), 10)
        assert_same(student.transposed_conv_size(5, 4, 2, dilation=3), 18)

    def test_gaps(self, student):
        """Kernel 1, stride 3: five single rows with two empty ones between them are 13"""
        assert_same(student.transposed_conv_size(5, 1, 3), 13)

    # All words at once, twice.
    def probe_all(self, student):
        return student.transposed_conv_size(9, 5, 3, 2, 1, 2)

    def probe_all_again(self, student):
        return student.transposed_conv_size(14, 6, 4, 3, 3, 3)

    def probe_without_the_rest(self, student):
        return student.transposed_conv_size(11, 7, 5), student.transposed_conv_size(7, 6, 4, 1)

    def probe_padding(self, student):
        return student.transposed_conv_size(10, 9, 2, 4)


class TestCollidingSizes:
    """colliding_sizes: pictures that a convolution makes equally large"""

    def test_stride_two(self, student):
        """Kernel 3, stride 2, padding 1: 15 and 16 rows become 8"""
        assert_same(student.colliding_sizes(8, 3, 2, 1), [15, 16])

    def test_stride_one(self, student):
        """Kernel 3, stride 1: only 10 rows become 8"""
        assert_same(student.colliding_sizes(8, 3), [10])

    def test_stride_three(self, student):
        """Kernel 5, stride 3: 14, 15 and 16 rows become 4"""
        assert_same(student.colliding_sizes(4, 5, 3), [14, 15, 16])

    def test_dilation(self, student):
        """Kernel 3 with dilation 3, stride 4, padding 1: 13 to 16 rows become 3"""
        assert_same(student.colliding_sizes(3, 3, 4, 1, dilation=3), [13, 14, 15, 16])

    def test_must_fit(self, student):
        """Kernel 5, stride 3: 5, 6 and 7 rows become 1; into 4 rows no window fits"""
        assert_same(student.colliding_sizes(1, 5, 3), [5, 6, 7])

    def test_at_least_one_row(self, student):
        """Kernel 3, stride 4, padding 2: 1 and 2 rows become 1, and there are no 0 rows"""
        assert_same(student.colliding_sizes(1, 3, 4, 2), [1, 2])

    # Large kernels, much padding, dilation: two of each kind.
    def probe_large(self, student):
        return student.colliding_sizes(6, 4, 5), student.colliding_sizes(7, 5, 7), student.colliding_sizes(2, 12, 4)

    def probe_padding(self, student):
        return student.colliding_sizes(9, 7, 5, 3), student.colliding_sizes(6, 9, 4, 2)

    def probe_dilation(self, student):
        return student.colliding_sizes(5, 4, 5, 0, 3), student.colliding_sizes(7, 6, 4, 0, 2)


CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "convolution")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def table(*rows):
    """A matrix of the rows, float32."""
    return torch.tensor(rows, dtype=torch.float32)


class TestConvMatrix:
    """conv_matrix: a convolution as a product with a matrix"""

    forbidden = dict.fromkeys(
        (*CONVOLUTIONS, *TRANSPOSED, "unfold", "fold"),
        "where the weights of a convolution stand is what you write here",
    )

    def test_one_channel(self, student):
        """A picture of 2 x 3, the kernel 1 2 / 3 4: two outputs, six pixels"""
        got = student.conv_matrix(table([1, 2], [3, 4])[None, None], 2, 3)
        assert_same(got, table([1, 2, 0, 3, 4, 0], [0, 1, 2, 0, 3, 4]))

    def test_stride(self, student):
        """A picture of 5 x 4, the same kernel, stride 2: two outputs below two, the last row of pixels is not seen"""
        expected = torch.zeros(2, 2, 5, 4)
        expected[0, 0, :2, :2] = expected[0, 1, :2, 2:] = table([1, 2], [3, 4])
        expected[1, 0, 2:4, :2] = expected[1, 1, 2:4, 2:] = table([1, 2], [3, 4])
        got = student.conv_matrix(table([1, 2], [3, 4])[None, None], 5, 4, stride=2)
        assert_same(got, expected.reshape(4, 20))

    def test_padding(self, student):
        """A picture of 1 x 3, a kernel of 1 to 9, padding 1: at both ends weights meet the padding, and are left out"""
        got = student.conv_matrix(table([1, 2, 3], [4, 5, 6], [7, 8, 9])[None, None], 1, 3, padding=1)
        assert_same(got, table([5, 6, 0], [4, 5, 6], [0, 4, 5]))

    def test_channels(self, student):
        """Two channels in, three out, kernel 1 x 1, a picture of 1 x 2: each channel's pixels lie side by side"""
        weight = table([1, 2], [3, 4], [5, 6])[:, :, None, None]
        expected = [[1, 0, 2, 0], [0, 1, 0, 2], [3, 0, 4, 0], [0, 3, 0, 4], [5, 0, 6, 0], [0, 5, 0, 6]]
        assert_same(student.conv_matrix(weight, 1, 2), table(*expected))

    def test_all_at_once(self, student):
        """Two channels in, two out, kernel 2, stride 2, padding 1, a picture of 2 x 3: outputs of 2 x 2"""

        def block(a, b, c, d):
            """One channel out, one in, for the kernel a b / c d."""
            return table([d, 0, 0, 0, 0, 0], [0, c, d, 0, 0, 0], [0, 0, 0, b, 0, 0], [0, 0, 0, 0, a, b])

        first = torch.cat([block(1, 2, 3, 4), block(5, 6, 7, 8)], 1)
        second = torch.cat([block(9, 10, 11, 12), block(13, 14, 15, 16)], 1)
        weight = torch.arange(1.0, 17.0).reshape(2, 2, 2, 2)
        assert_same(student.conv_matrix(weight, 2, 3, 2, 1), torch.cat([first, second]))

    # As many channels out as in, a picture that is square.
    def probe_square(self, student):
        weight = torch.arange(1.0, 37.0).reshape(2, 2, 3, 3) / 8
        return student.conv_matrix(weight, 3, 3, 2, 1), student.conv_matrix(weight, 4, 4)

    def probe_equal_channels(self, student):
        return student.conv_matrix(torch.arange(1.0, 17.0).reshape(2, 2, 2, 2) / 8, 4, 3)


def gradients(student, x, weight, bias, *more):
    """What arrives at x, weight and bias from the sum of the enlarged map, each pixel times its number from 0."""
    kept = [student.keep(one.clone().requires_grad_()) for one in (x, weight, bias)]
    large = student.transposed_conv2d.kept(*kept, *more)
    numbers = torch.arange(float(large.call("numel"))).reshape(large.call("size"))
    large.call("mul", numbers, keep=True).call("sum", keep=True).call("backward")
    found = [one.get("grad") for one in kept]
    student.seen[-3:] = [[0.5 if one is None else one for one in found]]  # on record together: which are missing
    return found


class TestTransposedConv2d:
    """transposed_conv2d: each value stamps the kernel"""

    forbidden = dict.fromkeys(
        (*TRANSPOSED, "convolution", "fold", "interpolate", "grid_sample"), "enlarging is what you write here"
    )

    def test_overlap(self, student):
        """One row 1 10, kernel 1 2 3 / 4 5 6 / 7 8 9, stride 2: in the middle column both stamps add up"""
        got = student.transposed_conv2d(table([1, 10])[None, None], NINE[None, None], None, 2)
        expected = table([1, 2, 13, 20, 30], [4, 5, 46, 50, 60], [7, 8, 79, 80, 90])
        assert_same(got, expected[None, None])

    def test_gaps(self, student):
        """Two rows 1 2 5 / 3 4 6, kernel 0.5, stride 3, bias 0.25: single pixels, and between them the bias alone"""
        x = table([1, 2, 5], [3, 4, 6])[None, None]
        expected = torch.full((1, 1, 4, 7), 0.25)
        expected[..., ::3, ::3] = x / 2 + 0.25
        got = student.transposed_conv2d(x, torch.full((1, 1, 1, 1), 0.5), torch.tensor([0.25]), 3)
        assert_same(got, expected)

    def test_padding(self, student):
        """The first map again with padding 1: one row and one column less on each side"""
        got = student.transposed_conv2d(table([1, 10])[None, None], NINE[None, None], None, 2, 1)
        assert_same(got, table([5, 46, 50])[None, None])

    def test_bias(self, student):
        """Kernel 2 of ones, stride 1, bias 0.25: once for each pixel, however many stamps lie there"""
        got = student.transposed_conv2d(table([1, 2])[None, None], torch.ones(1, 1, 2, 2), torch.tensor([0.25]))
        assert_same(got, table([1.25, 3.25, 2.25], [1.25, 3.25, 2.25])[None, None])

    def test_channels(self, student):
        """Two pictures of three channels, kernel 1 x 1, two channels out: weights (3, 2, 1, 1), and a bias for each"""
        x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])[:, :, None, None]  # (2, 3, 1, 1)
        weight = table([1, 10], [0.5, 20], [0.25, 30])[:, :, None, None]
        got = student.transposed_conv2d(x, weight, torch.tensor([0.0, 0.125]))
        assert_same(got, table([2.75, 140.125], [8.25, 350.125])[:, :, None, None])

    def test_gradient(self, student):
        """Kernel 2, stride 2, bias: gradients of 0 to 7 in the eight pixels of two stamps"""
        x, weight = table([1, 2])[None, None], table([1, 2], [3, 4])[None, None]
        expected = table([34, 54])[None, None], table([4, 7], [16, 19])[None, None], torch.tensor([28.0])
        assert_same(gradients(student, x, weight, torch.zeros(1), 2), list(expected))

    # As many channels out as in, maps that are square: what survives more mistakes than the checks do.
    def probe_equal_channels(self, student):
        weight = torch.arange(1.0, 37.0).reshape(2, 2, 3, 3) / 8
        return student.transposed_conv2d(torch.tensor([[[[1.0, 3.0]], [[2.0, 7.0]]]]), weight, None, 2)

    def probe_square(self, student):
        x = table([1, 2], [4, 8])[None, None]
        return student.transposed_conv2d(x, NINE[None, None], torch.tensor([0.25]), 2, 1)


NINE = table([1, 2, 3], [4, 5, 6], [7, 8, 9])


class TestOverlapCount:
    """overlap_count: how many stamps cover each pixel"""

    def test_uneven(self, student):
        """A map of 2 x 3, kernel 3, stride 2: 1 and 2 in turn along both directions, 4 where they meet"""
        once = [1, 1, 2, 1, 2, 1, 1]
        expected = torch.tensor([once, once, [2 * one for one in once], once, once])
        assert_same(student.overlap_count((2, 3), 3, 2), expected)

    def test_even(self, student):
        """A map of 1 x 3, kernel 4, stride 2: 2 throughout, and 1 at both ends"""
        assert_same(student.overlap_count((1, 3), 4, 2), torch.tensor([[1, 1, 2, 2, 2, 2, 1, 1]] * 4))

    def test_padding(self, student):
        """A map of 3 x 1, kernel 5, stride 3, padding 2: both ends lose two pixels"""
        assert_same(student.overlap_count((3, 1), 5, 3, 2), torch.tensor([[1], [2], [2], [1], [2], [2], [1]]))

    def test_gaps(self, student):
        """A map of 2 x 3, kernel 1, stride 2: ones with zeros between them"""
        dots = [1, 0, 1, 0, 1]
        assert_same(student.overlap_count((2, 3), 1, 2), torch.tensor([dots, [0] * 5, dots]))

    def test_many(self, student):
        """A map of 1 x 4, kernel 3, stride 1: up to three stamps meet"""
        assert_same(student.overlap_count((1, 4), 3, 1), torch.tensor([[1, 2, 3, 3, 2, 1]] * 3))

    def probe_large(self, student):
        return student.overlap_count((4, 4), 5, 2, 1), student.overlap_count((5, 5), 7, 3)


POOLING = dict.fromkeys(
    (
        "max_pool1d",
        "max_pool2d",
        "max_pool3d",
        "max_pool2d_with_indices",
        "adaptive_max_pool2d",
        "fractional_max_pool2d",
    ),
    "pooling with switches is what you write here",
)
DRAWN = table([1, 5, 2, 0, 3, 1], [4, 3, 6, 1, 2, 9], [8, 2, 0, 3, 2, 3], [7, 1, 4, 0, 3, 1])  # the statement's map


def maps(*channels, pictures=1):
    """(pictures, C, H, W) of matrices, each of them one channel of one picture."""
    stacked = torch.stack(channels)
    return stacked.reshape(pictures, -1, *stacked.shape[1:])


def sum_gradient(student, x, large, arriving):
    """What arrives at the kept x from the kept answer `large` that it gave, where `arriving` comes back."""
    large.call("mul", arriving, keep=True).call("sum", keep=True).call("backward")
    return x.get("grad")


class TestMaxPoolWithSwitches:
    """max_pool_with_switches: the largest value of each block, and where it stood"""

    forbidden = POOLING

    def test_drawing(self, student):
        """The map of the statement, 4 x 6, in blocks of 2 x 2; one block has its largest value twice"""
        expected = maps(table([5, 6, 9], [8, 4, 3])), maps(torch.tensor([[1, 8, 11], [12, 20, 17]]))
        assert_same(student.max_pool_with_switches(maps(DRAWN), 2), expected)

    def test_odd_sizes(self, student):
        """A map of 5 x 7 in blocks of 2 x 2: the last row and the last column, with the largest values, are left out"""
        x = table([0, 1, 0, 0, 3, 0, 9], [2, 0, 0, 4, 0, 0, 9], [0, 0, 6, 0, 0, 0, 9], [0, 5, 0, 0, 0, 7, 9], [8] * 7)
        expected = maps(table([2, 4, 3], [5, 6, 7])), maps(torch.tensor([[7, 10, 4], [22, 16, 26]]))
        assert_same(student.max_pool_with_switches(maps(x), 2), expected)

    def test_blocks_of_three(self, student):
        """A map of 3 x 8 in blocks of 3 x 3"""
        x = table([0.5, 1, 2, 3.5, 1, 2, 7, 8], [3, 4.5, 0, 1, 2, 0, 7, 8], [4, 0, 1, 2, 5, 5.5, 7, 8])
        expected = maps(table([4.5, 5.5])), maps(torch.tensor([[9, 21]]))
        assert_same(student.max_pool_with_switches(maps(x), 3), expected)

    def test_negative(self, student):
        """Blocks without a positive value: -1 is the largest of -4 -3 -1 -2, and of four zeros the first counts"""
        x = table([0, 0, -4, -3, -1, 0.5], [0, 0, -1, -2, -2, -3])
        got = student.max_pool_with_switches(maps(x), 2)
        assert_same(got, (maps(table([0, -1, 0.5])), maps(torch.tensor([[0, 8, 5]]))))

    def test_batch(self, student):
        """Two pictures of two channels: in each channel places are numbered from 0"""
        corners = [table([9, 1, 8, 2], [3, 4, 5, 6]).roll(shift, 1) for shift in range(4)]
        got = student.max_pool_with_switches(maps(*corners, pictures=2), 2)
        pooled = maps(table([9, 8]), table([9, 8]), table([8, 9]), table([8, 9]), pictures=2)
        places = [torch.tensor([pair]) for pair in ([0, 2], [1, 3], [0, 2], [1, 3])]
        assert_same(got, (pooled, maps(*places, pictures=2)))

    def test_gradient(self, student):
        """A gradient of 1 to 6 in the pooled values of the statement's map: each arrives at one place, at ties too"""
        x = student.keep(maps(DRAWN).requires_grad_())
        answer = student.max_pool_with_switches.kept(x, 2)
        got = sum_gradient(student, x, answer.call("__getitem__", 0, keep=True), maps(table([1, 2, 3], [4, 5, 6])))
        expected = torch.zeros(24)
        expected[[1, 8, 11, 12, 20, 17]] = torch.arange(1.0, 7.0)
        assert_same(got, expected.reshape(1, 1, 4, 6))

    def probe_square(self, student):
        x = (torch.arange(36.0) * 7 % 37).reshape(1, 1, 6, 6)
        return student.max_pool_with_switches(x, 2), student.max_pool_with_switches(x - 40, 3)


class TestMaxUnpool:
    """max_unpool: each value back where it came from"""

    forbidden = dict.fromkeys(("max_unpool1d", "max_unpool2d", "max_unpool3d"), "unpooling is what you write here")

    def test_drawing(self, student):
        """The values of the statement, on a map of 4 x 6"""
        y = table([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
        expected = torch.zeros(4, 6)
        expected[[0, 1, 1, 2, 3, 2], [1, 2, 5, 0, 2, 5]] = y.flatten()
        got = student.max_unpool(maps(y), maps(torch.tensor([[1, 8, 11], [12, 20, 17]])), (4, 6))
        assert_same(got, maps(expected))

    def test_odd_sizes(self, student):
        """The switches 7 10 4 / 22 16 26 on a map of 5 x 7: its last row and column stay empty"""
        y = table([2, 4, 3], [-5, 6, 7]) / 8
        expected = torch.zeros(5, 7)
        expected[[1, 1, 0, 3, 2, 3], [0, 3, 4, 1, 2, 5]] = y.flatten()
        got = student.max_unpool(maps(y), maps(torch.tensor([[7, 10, 4], [22, 16, 26]])), (5, 7))
        assert_same(got, maps(expected))

    def test_another_width(self, student):
        """The same switches 3 and 14 on maps of 3 x 5 and of 2 x 8"""
        y, switches = maps(table([0.25, 0.75])), maps(torch.tensor([[3, 14]]))
        got = [student.max_unpool(y, switches, size) for size in ((3, 5), (2, 8))]
        wide = table([0, 0, 0, 0.25, 0], [0] * 5, [0, 0, 0, 0, 0.75])
        wider = table([0, 0, 0, 0.25, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0.75, 0])
        assert_same(got, [maps(wide), maps(wider)])

    def test_batch(self, student):
        """Two pictures of two channels, a value each, on maps of 2 x 3: every one has a switch of its own"""
        y = torch.tensor([1.5, 2.5, 3.5, 4.5]).reshape(2, 2, 1, 1)
        switches = torch.tensor([4, 0, 2, 3]).reshape(2, 2, 1, 1)
        lines = table([0, 0, 0, 0, 1.5, 0], [2.5, 0, 0, 0, 0, 0], [0, 0, 3.5, 0, 0, 0], [0, 0, 0, 4.5, 0, 0])
        assert_same(student.max_unpool(y, switches, (2, 3)), lines.reshape(2, 2, 2, 3))

    def test_gradient(self, student):
        """A gradient of 0 to 7 on a map of 2 x 4: what arrives at places 1 and 6 comes back"""
        y = student.keep(maps(table([0.5, 0.25])).requires_grad_())
        large = student.max_unpool.kept(y, maps(torch.tensor([[1, 6]])), (2, 4))
        got = sum_gradient(student, y, large, torch.arange(8.0).reshape(1, 1, 2, 4))
        assert_same(got, maps(table([1, 6])))

    def probe_square(self, student):
        y = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2) / 8
        return student.max_unpool(y, torch.tensor([[[[1, 7], [8, 15]]]]), (4, 4))

    def probe_one_row(self, student):
        return student.max_unpool(maps(table([0.5, 0.75, 0.25])), maps(torch.tensor([[1, 2, 4]])), (1, 6))


def deconvnet(student, in_channels, num_classes, widths, dense_width, dense_kernel):
    """A network of the student's, and the shape of each of its weights by name."""
    net = student.DeconvNet.module(in_channels, num_classes, widths, dense_width, dense_kernel)
    shapes = {name: list(one.shape) for name, one in net.parameters().items()}
    student.seen.pop()  # `test_weights` puts on record which there are
    return net, shapes


def its_weights(in_channels, num_classes, widths, dense_width, dense_kernel):
    """The shape of each weight that a DeconvNet has, by name."""
    layers, last = {}, len(widths) - 1
    for i, width in enumerate(widths):
        layers[f"encoder.{i}"] = [width, in_channels if i == 0 else widths[i - 1], 3]
        layers[f"decoder.{last - i}"] = [width, widths[max(i - 1, 0)], 3]
    layers["dense"] = [dense_width, widths[-1], dense_kernel]
    layers["dense_back"] = [dense_width, widths[-1], dense_kernel]
    shapes = {"score.bias": [num_classes], "score.weight": [num_classes, widths[0], 1, 1]}
    for name, (first, second, k) in layers.items():
        out = [first if name.startswith("encoder") or name == "dense" else second]  # channels that come out
        shapes |= {f"{name}.0.weight": [first, second, k, k], f"{name}.1.weight": out, f"{name}.1.bias": out}
    return shapes


def kind_of_weights(there, wanted):
    """On record instead of the shapes: 1.0 for the right ones, else a number for the parts that differ."""
    parts = {name.split(".")[0] for name in there | wanted if there.get(name) != wanted.get(name)}
    if parts == {"score"} and "score.1.weight" in there:
        return 3.5
    return 2.5 if "dense_back" in parts and parts <= {"dense", "dense_back"} else 1.5 if parts else 1.0


def compare_weights(there, wanted):
    """Raise `Mismatch` for the first weight, by name, that is missing, too many or of another shape."""
    parts = ", ".join(sorted({name.split(".")[0] for name in there})) or "no part"
    for name in sorted(there | wanted):
        if there.get(name) != wanted.get(name):
            expected, got = (f"{name} of shape {one.get(name)}" if name in one else "" for one in (wanted, there))
            raise Mismatch("rule", expected or f"no {name}", got or f"no {name}; {parts} has weights")


def passing_on(student, channels, widths, dense_kernel=1, score=(1.0,), corner=(0, 0), **more):
    """A network that passes values on: the middle weight of each layer is 1 from channel c to channel c, the rest is 0.

    score: the classes' weights, each for all channels; the bias of class i is i / 4. dense reads its upper left place,
    and dense_back writes at `corner`.
    """
    net, shapes = deconvnet(student, channels, len(score), widths, widths[-1], dense_kernel)
    expected = its_weights(channels, len(score), widths, widths[-1], dense_kernel)
    compare_weights(shapes, expected)
    state = {}
    for name, shape in expected.items():
        state[name] = torch.full(shape, float(name.endswith("1.weight")))
        if len(shape) == 4:
            row, col = corner if name.startswith("dense_back") else (1, 1) if shape[2] == 3 else (0, 0)
            for channel in range(min(shape[:2])):
                state[name][channel, channel, row, col] = 1.0
    state["score.weight"] = torch.tensor(score)[:, None, None, None].expand(-1, widths[0], 1, 1).clone()
    state["score.bias"] = torch.arange(len(score)) / 4
    for name in expected:
        if name.endswith("1.weight"):  # batch normalization that changes nothing, also to the last digit
            norm = name.removesuffix("weight")
            state[f"{norm}running_var"] = torch.full_like(state[name], 1 - 1e-5)
    net.call("load_state_dict", student.keep(state | more), strict=False, keep=True)
    net.call("eval", keep=True)
    return net


def lit(height, width, **places):
    """A picture of zeros, (1, 1, height, width), with `r2c3=0.5` at row 2, column 3."""
    picture = torch.zeros(1, 1, height, width)
    for place, value in places.items():
        row, col = place[1:].split("c")
        picture[0, 0, int(row), int(col)] = value
    return picture


class TestDeconvNet:
    """DeconvNet: a network and its mirror image"""

    def test_one_stage(self, student):
        """One stage that passes on what is positive: the largest value of each 2 x 2 block stays where it is"""
        got = passing_on(student, 1, [1])(maps(DRAWN - 4))
        expected = lit(4, 6, r0c1=1.0, r1c2=2.0, r1c5=5.0, r2c0=4.0)
        assert_same(got, expected)

    def test_three_stages(self, student):
        """Three stages, a picture of 16 x 24, two classes, the second with score -2 and bias 0.25: 8 x 8 blocks"""
        net = passing_on(student, 1, [1, 1, 1], score=(1.0, -2.0))
        kept = {"r3c5": 2.0, "r0c9": 1.5, "r7c23": 0.5, "r14c1": 3.0, "r9c15": 2.5, "r8c16": 1.25}
        other = {"r3c4": 1.0, "r6c1": 1.75, "r1c13": 1.0, "r15c0": 2.0, "r8c12": 0.5, "r15c23": 1.0}
        maxima = lit(16, 24, **kept)
        assert_same(net(lit(16, 24, **kept, **other)), torch.cat([maxima, 0.25 - 2 * maxima], 1))

    def test_any_size(self, student):
        """Two stages, a picture of 11 x 14, where sizes are rounded down: logits of 11 x 14"""
        kept = {"r3c2": 2.0, "r0c7": 1.5, "r2c11": 0.5, "r7c0": 3.0, "r4c4": 2.5, "r5c9": 1.25}
        got = passing_on(student, 1, [1, 1])(lit(11, 14, r10c3=8.0, r4c13=8.0, **kept))
        assert_same(got, lit(11, 14, **kept))

    def test_dense(self, student):
        """dense_kernel 2, last map 2 x 3: `dense` makes 1 x 2 of it, less 2.5, `dense_back` 2 x 3 again, plus 0.25"""
        more = {"dense.1.bias": torch.tensor([-2.5]), "dense_back.1.bias": torch.tensor([0.25])}
        net = passing_on(student, 1, [1], dense_kernel=2, corner=(1, 0), **more)
        x = maps(table([5, 1, 2, 0, 9, 0], [0, 0, 0, 1, 0, 0], [0, 3, 7, 0, 0, 0], [0, 0, 0, 0, 0, 8]))
        assert_same(net(x), lit(4, 6, r0c0=0.25, r0c2=0.25, r0c4=0.25, r2c1=2.75, r2c2=0.25, r3c5=0.25))

    def test_channels(self, student):
        """Channels drop in the decoder: widths 1 and 2, and the second channel of the last stage goes no further"""
        more = {"encoder.1.0.weight": torch.zeros(2, 1, 3, 3)}
        more["encoder.1.0.weight"][:, 0, 1, 1] = torch.tensor([1.0, 0.5])
        net = passing_on(student, 1, [1, 2], **more)
        x = torch.cat([lit(4, 8, r1c2=1.0, r3c0=0.5, r2c6=2.0), lit(4, 8, r3c3=4.0, r0c5=3.0)])
        assert_same(net(x), torch.cat([lit(4, 8, r1c2=1.0, r2c6=2.0), lit(4, 8, r3c3=4.0, r0c5=3.0)]))

    def test_weights(self, student):
        """Names and shapes of the weights of DeconvNet(3, 5, (8, 12, 16), 24, 2)"""
        case = (3, 5, (8, 12, 16), 24, 2)
        shapes = deconvnet(student, *case)[1]
        expected = its_weights(*case)
        student.seen[:] = [kind_of_weights(shapes, expected)]
        compare_weights(shapes, expected)

    def test_gradient(self, student):
        """One stage that passes on: a gradient of 0 to 23 reaches the weight of `dense` through the four values left"""
        net = passing_on(student, 1, [1])
        numbers = torch.arange(24.0).reshape(1, 1, 4, 6)
        found = net.gradients(maps(DRAWN - 4), numbers)["dense.0.weight"]
        student.seen[-1] = found if found is not None else 0.5  # on record instead of shapes
        assert_same(found, torch.full((1, 1, 1, 1), 1.0 * 1 + 2.0 * 8 + 5.0 * 11 + 4.0 * 12))

    # A picture that is odd in one direction only: what survives more mistakes than the checks do.
    def probe_odd_height(self, student):
        return passing_on(student, 1, [1])(lit(5, 8, r0c1=0.5, r2c4=1.5, r4c7=3.0))

    def probe_bright(self, student):
        picture = (torch.arange(48.0) * 7 % 37 / 8).reshape(1, 1, 6, 8)
        return passing_on(student, 1, [1], score=(1.0, -0.5))(picture)
