"""The reference of lesson 06 against independent oracles: torch's own layers, scipy, published numbers."""

import pytest
import scipy.ndimage
import scipy.signal
import torch
import torch.nn.functional as F
from torch import nn

from autograde.reference.deconvnet import (
    DeconvNet,
    colliding_sizes,
    conv_matrix,
    max_pool_with_switches,
    max_unpool,
    overlap_count,
    transposed_conv2d,
    transposed_conv_size,
)
from autograde.reference.fcn import bilinear_kernel


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


CASES = [(3, 1, 0), (3, 2, 1), (4, 2, 1), (2, 3, 0), (5, 3, 2), (1, 2, 0), (7, 1, 3)]  # kernel_size, stride, padding
each_case = pytest.mark.parametrize(("k", "stride", "padding"), CASES)


class TestTransposedConvSize:
    @each_case
    @pytest.mark.parametrize("dilation", [1, 2, 3])
    def test_agrees_with_torch(self, k, stride, padding, dilation):
        for size in (4, 5, 9):
            for more in range(stride):
                layer = nn.ConvTranspose2d(1, 1, k, stride, padding, more, dilation=dilation, device="meta")
                expected = layer(torch.empty(1, 1, size, 2 * size, device="meta")).shape
                got = [transposed_conv_size(one, k, stride, padding, more, dilation) for one in (size, 2 * size)]
                assert got == list(expected[2:])

    def test_published(self):
        """FCN-32s' last layer; DeconvNet from one vector back to 7 x 7, and its layers that keep the size."""
        assert transposed_conv_size(16, 64, 32) == 544
        assert transposed_conv_size(1, 7) == 7
        assert transposed_conv_size(14, 3, 1, 1) == 14
        assert transposed_conv_size(8, 3, 2, 1) == 15 and transposed_conv_size(8, 3, 2, 1, 1) == 16


class TestCollidingSizes:
    @each_case
    @pytest.mark.parametrize("dilation", [1, 2, 3])
    def test_agrees_with_torch(self, k, stride, padding, dilation):
        """Each picture of up to 60 rows is in the list of what torch's convolution makes of it, and in no other."""
        layer = nn.Conv1d(1, 1, k, stride, padding, dilation, device="meta")
        made = {}
        for rows in range(max(1, dilation * (k - 1) + 1 - 2 * padding), 61):
            made.setdefault(layer(torch.empty(1, 1, rows, device="meta")).shape[2], []).append(rows)
        made.popitem()  # the last list may go on beyond 60
        for size, expected in made.items():
            assert colliding_sizes(size, k, stride, padding, dilation) == expected

    @each_case
    def test_output_padding_counts_along_the_list(self, k, stride, padding):
        sizes = colliding_sizes(9, k, stride, padding)
        assert sizes == [transposed_conv_size(9, k, stride, padding, more) for more in range(stride)]

    def test_nothing_below_one_row(self):
        assert colliding_sizes(1, 3, 4, 2) == [1, 2] and colliding_sizes(1, 1, 1, 1) == []


class TestConvMatrix:
    @each_case
    def test_agrees_with_torch(self, k, stride, padding):
        weight, x = torch.randn(3, 2, k, k), torch.randn(2, 7, 9)
        got = conv_matrix(weight, 7, 9, stride, padding) @ x.flatten()
        torch.testing.assert_close(got, F.conv2d(x, weight, stride=stride, padding=padding).flatten())

    def test_agrees_with_scipy(self):
        """scipy's correlation does not mirror the kernel either."""
        weight, x = torch.randn(1, 1, 3, 4), torch.randn(6, 8)
        expected = scipy.signal.correlate2d(x.numpy(), weight[0, 0].numpy(), mode="valid")
        got = (conv_matrix(weight, 6, 8) @ x.flatten()).reshape(4, 5)
        torch.testing.assert_close(got, torch.from_numpy(expected))

    @each_case
    def test_its_transpose_is_the_transposed_convolution(self, k, stride, padding):
        """On the smallest of the colliding sizes, and not its inverse: <M x, y> = <x, Mᵀ y>."""
        weight, y = torch.randn(3, 2, k, k), torch.randn(3, 4, 5)
        expected = F.conv_transpose2d(y[None], weight, stride=stride, padding=padding)[0]
        matrix = conv_matrix(weight, *expected.shape[1:], stride, padding)
        torch.testing.assert_close(matrix.T @ y.flatten(), expected.flatten(), atol=1e-5, rtol=1e-4)
        x = torch.randn(len(matrix.T))
        torch.testing.assert_close((matrix @ x) @ y.flatten(), x @ (matrix.T @ y.flatten()), atol=1e-3, rtol=1e-3)

    def test_most_of_it_is_zero(self):
        matrix = conv_matrix(torch.ones(1, 1, 3, 3), 32, 32, padding=1)
        assert matrix.shape == (1024, 1024) and matrix.count_nonzero() == 94**2  # 32 · 3 − 2 along each direction


class TestTransposedConv2d:
    @each_case
    @pytest.mark.parametrize("with_bias", [False, True])
    def test_agrees_with_torch(self, k, stride, padding, with_bias):
        x, weight = torch.randn(2, 3, 4, 6), torch.randn(3, 2, k, k)
        bias = torch.randn(2) if with_bias else None
        expected = F.conv_transpose2d(x, weight, bias, stride, padding)
        torch.testing.assert_close(transposed_conv2d(x, weight, bias, stride, padding), expected, atol=1e-5, rtol=1e-4)

    def test_gradient(self):
        x, weight, bias = (torch.randn(*shape, dtype=torch.float64) for shape in ((1, 2, 2, 3), (2, 3, 3, 3), (3,)))
        leaves = [one.requires_grad_() for one in (x, weight, bias)]
        assert torch.autograd.gradcheck(lambda *them: transposed_conv2d(*them, 2, 1), leaves)

    def test_it_is_the_adjoint_of_the_convolution(self):
        x, y, weight = torch.randn(1, 2, 9, 7), torch.randn(1, 3, 5, 4), torch.randn(3, 2, 3, 3)
        down, up = F.conv2d(x, weight, stride=2, padding=1), transposed_conv2d(y, weight, stride=2, padding=1)
        torch.testing.assert_close((down * y).sum(), (x * up).sum(), atol=1e-4, rtol=1e-4)

    def test_fcns_kernel_interpolates(self):
        x = torch.randn(1, 1, 4, 5)
        got = transposed_conv2d(x, bilinear_kernel(2, 1), stride=2, padding=1)
        expected = F.interpolate(x, scale_factor=2, mode="bilinear")
        torch.testing.assert_close(got[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


class TestOverlapCount:
    @each_case
    def test_agrees_with_col2im(self, k, stride, padding):
        """torch's `fold` adds up windows of ones."""
        got = overlap_count((4, 5), k, stride, padding)
        expected = F.fold(torch.ones(1, k * k, 20), tuple(got.shape), k, padding=padding, stride=stride)[0, 0]
        assert torch.equal(got, expected.long()) and got.dtype == torch.int64

    def test_every_stamp_is_counted(self):
        for k, stride in ((3, 2), (5, 3), (2, 3)):
            assert overlap_count((4, 7), k, stride).sum() == 4 * 7 * k * k

    def test_even_inside_where_the_stride_divides_the_kernel(self):
        """Odena et al. 2016: no checkerboard for a kernel that is a multiple of the stride."""
        assert overlap_count((6, 6), 4, 2)[2:-2, 2:-2].unique().tolist() == [4]
        assert overlap_count((6, 6), 3, 2)[2:-2, 2:-2].unique().tolist() == [1, 2, 4]

    def test_spread_of_random_weights(self):
        """The variance of a sum of independent weights is their number."""
        weight = torch.randn(1, 4000, 3, 3)
        spread = F.conv_transpose2d(torch.ones(1, 1, 3, 4), weight, stride=2)[0].var(0)
        torch.testing.assert_close(spread, overlap_count((3, 4), 3, 2).float(), atol=0.05, rtol=0.15)


class TestMaxPoolWithSwitches:
    @pytest.mark.parametrize(("size", "k"), [((6, 8), 2), ((7, 5), 2), ((9, 11), 3), ((4, 4), 4), ((3, 5), 1)])
    def test_agrees_with_torch(self, size, k):
        for x in (torch.randn(2, 3, *size), torch.randint(0, 3, (2, 3, *size)).float(), -torch.rand(1, 2, *size)):
            pooled, switches = max_pool_with_switches(x, k)
            expected, places = F.max_pool2d(x, k, return_indices=True)
            assert torch.equal(pooled, expected) and torch.equal(switches, places) and switches.dtype == torch.int64

    def test_agrees_with_scipy(self):
        """The largest value of the window that a place is in; it stands where the switch says."""
        x = torch.randn(1, 1, 8, 10, dtype=torch.float64)
        pooled, switches = max_pool_with_switches(x, 2)
        filtered = scipy.ndimage.maximum_filter(x[0, 0].numpy(), size=2, origin=-1)[::2, ::2]
        assert torch.equal(pooled[0, 0], torch.from_numpy(filtered))
        assert torch.equal(x.flatten()[switches.flatten()], pooled.flatten())

    def test_all_the_gradient_arrives_at_ties(self):
        x = torch.zeros(1, 1, 4, 4, requires_grad=True)
        max_pool_with_switches(x, 2)[0].sum().backward()
        assert x.grad[0, 0].tolist() == [[1, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4]


class TestMaxUnpool:
    @pytest.mark.parametrize(("size", "k"), [((6, 8), 2), ((7, 5), 2), ((9, 11), 3), ((3, 5), 1)])
    def test_agrees_with_torch(self, size, k):
        pooled, switches = F.max_pool2d(torch.randn(2, 3, *size), k, return_indices=True)
        y = torch.randn_like(pooled)
        assert torch.equal(max_unpool(y, switches, size), F.max_unpool2d(y, switches, k, output_size=size))

    def test_pooling_what_was_unpooled(self):
        """Pooling gives back what unpooling has placed, if it is positive, from the same places."""
        pooled, switches = max_pool_with_switches(torch.rand(2, 3, 7, 9) + 0.1, 2)
        again = max_pool_with_switches(max_unpool(pooled, switches, (7, 9)), 2)
        assert torch.equal(again[0], pooled) and torch.equal(again[1], switches)

    def test_gradient(self):
        switches = max_pool_with_switches(torch.randn(2, 2, 5, 7), 2)[1]
        y = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda y: max_unpool(y, switches, (5, 7)), y)


def parameters(network):
    return sum(weight.numel() for weight in network.parameters())


class TestDeconvNet:
    def test_published(self):
        """fc6 and fc6-deconv of the authors' network, 7 x 7 between 512 and 4,096 channels: 102.8 million each."""
        with torch.device("meta"):
            network = DeconvNet(3, 21, (64, 128, 256, 512, 512), 4096, 7)
        assert network.dense[0].weight.numel() == network.dense_back[0].weight.numel() == 102_760_448
        assert network.decoder[0][0].weight.shape[:2] == (512, 512) and network.decoder[-1][0].weight.shape[:2] == (
            64,
            64,
        )

    @pytest.mark.parametrize("size", [(16, 24), (17, 23), (31, 18), (40, 21)])
    def test_size(self, size):
        network = DeconvNet(2, 3, (4, 6, 5), 7, 2)
        assert network(torch.randn(2, 2, *size)).shape == (2, 3, *size)

    def test_parameters(self):
        """Each layer's weights and the two numbers per channel of its batch normalization, summed by hand."""
        encoder, decoder = 9 * (3 * 4 + 4 * 6), 9 * (6 * 4 + 4 * 4)
        dense = 2 * 4 * 6 * 8
        norms = 2 * (4 + 6 + 8 + 6 + 4 + 4)
        assert parameters(DeconvNet(3, 5, (4, 6), 8, 2)) == encoder + decoder + dense + norms + 4 * 5 + 5

    def test_passes_on_the_maxima(self):
        """With layers that pass everything on, the largest value of each block of 2 x 2 remains."""
        network = DeconvNet(1, 1, (1,), 1, 1).eval()
        for name, weight in network.named_parameters():
            if weight.ndim == 4:
                torch.nn.init.dirac_(weight)
            else:
                torch.nn.init.constant_(weight, float(name.endswith("1.weight")))
        x = torch.rand(2, 1, 7, 9)
        expected = max_unpool(*max_pool_with_switches(x, 2), (7, 9))
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)

    def test_every_weight_learns(self):
        network = DeconvNet(3, 4, (4, 6), 5, 2)
        network(torch.randn(4, 3, 13, 18)).square().mean().backward()
        assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())
