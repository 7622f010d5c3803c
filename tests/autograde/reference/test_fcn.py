"""The reference of lesson 05 against independent oracles: torch's resizing, scipy, the FCN authors' numbers."""

import math

import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import nn

from autograde.reference.fcn import (
    FCN,
    bilinear_kernel,
    crop_offset,
    recall_by_size,
    train_epoch,
    upsample_bilinear,
    upsample_nearest,
)
from seglab.data.scenes import load_scenes
from seglab.layers import conv, pool
from seglab.networks import WIDTHS, halving_encoder

FACTORS = [1, 2, 3, 4, 5, 8, 32]
each_factor = pytest.mark.parametrize("factor", FACTORS)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def torch_bilinear(x, factor):
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class TestUpsampleNearest:
    def test_slide(self):
        got = upsample_nearest(torch.tensor([[[[1, 2], [3, 4]]]]), 2)
        assert got[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]

    @each_factor
    def test_agrees_with_both_kinds_of_torch(self, factor):
        """For whole factors `nearest` and `nearest-exact` are the same."""
        x = torch.randn(2, 3, 4, 7)
        for mode in ("nearest", "nearest-exact"):
            assert torch.equal(upsample_nearest(x, factor), F.interpolate(x, scale_factor=factor, mode=mode))

    @pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
    def test_dtype(self, dtype):
        x = torch.tensor([[[[0, 1], [1, 0]]]]).to(dtype)
        assert upsample_nearest(x, 3).dtype == dtype and torch.equal(upsample_nearest(x, 3)[:, :, 1::3, 1::3], x)


class TestUpsampleBilinear:
    def test_slide(self):
        """The slide's table is the exact one, rounded down."""
        got = upsample_bilinear(torch.tensor([[[[10.0, 20.0], [30.0, 40.0]]]]), 2)[0, 0]
        assert got[0].tolist() == [10, 12.5, 17.5, 20]
        slide = [[10, 12, 17, 20], [15, 17, 22, 25], [25, 27, 32, 35], [30, 32, 37, 40]]
        assert got.floor().int().tolist() == slide

    @each_factor
    @pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 7)])
    def test_agrees_with_torch(self, factor, size):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(upsample_bilinear(x, factor), torch_bilinear(x, factor))

    @pytest.mark.parametrize("factor", [2, 3, 4])
    def test_agrees_with_scipy(self, factor):
        """scipy's `grid_mode` has half-pixel centres too; `nearest` lets the border's values go on."""
        x = torch.randn(5, 6, dtype=torch.float64)
        expected = scipy.ndimage.zoom(x.numpy(), factor, order=1, mode="nearest", grid_mode=True)
        torch.testing.assert_close(upsample_bilinear(x[None, None], factor)[0, 0], torch.from_numpy(expected))

    @each_factor
    def test_a_ramp_stays_a_ramp(self, factor):
        x = torch.arange(6.0).expand(1, 1, 3, 6)
        inside = upsample_bilinear(x, factor)[0, 0, 0, factor // 2 : 6 * factor - factor // 2].double()
        torch.testing.assert_close(inside.diff(), torch.full_like(inside[1:], 1 / factor), atol=1e-5, rtol=1e-5)

    def test_gradient(self):
        x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda y: upsample_bilinear(y, 3), x)


class TestBilinearKernel:
    @each_factor
    def test_inside_it_is_interpolation(self, factor):
        x, rim = torch.randn(2, 3, 4, 5), factor // 2
        got = F.conv_transpose2d(x, bilinear_kernel(factor, 3), stride=factor, padding=rim)
        expected = torch_bilinear(x, factor)
        assert got.shape == expected.shape
        inside = (..., slice(rim, 4 * factor - rim), slice(rim, 5 * factor - rim))
        torch.testing.assert_close(got[inside], expected[inside])

    @each_factor
    def test_exact_with_the_border_repeated_and_cropped(self, factor):
        x = torch.randn(1, 2, 3, 4)
        ringed = F.pad(x, (1, 1, 1, 1), mode="replicate")
        got = F.conv_transpose2d(ringed, bilinear_kernel(factor, 2), stride=factor, padding=factor // 2)
        torch.testing.assert_close(got[:, :, factor:-factor, factor:-factor], torch_bilinear(x, factor))

    def test_ones_become_three_quarters_at_the_edge(self):
        got = F.conv_transpose2d(torch.ones(1, 1, 3, 3), bilinear_kernel(2, 1), stride=2, padding=1)[0, 0]
        assert got[0].tolist() == [0.5625, 0.75, 0.75, 0.75, 0.75, 0.5625] and got[2, 2] == 1

    def test_parameters_of_the_original(self):
        """FCN-32s' frozen deconvolution, 64 x 64 for 21 classes: 1,806,336 weights, of which one in 21 is not zero."""
        weight = bilinear_kernel(32, 21)
        assert weight.numel() == 1_806_336 and weight.dtype == torch.float32
        assert weight.count_nonzero() == 21 * 64 * 64


def deconv(kernel_size, stride, padding=0):
    return {"kind": "deconv", "kernel_size": kernel_size, "stride": stride, "padding": padding}


def original(pools=5):
    """The layers of the authors' FCN up to a pooling; after the fifth, up to the scores."""
    layers = []
    for number, convolutions in enumerate((2, 2, 3, 3, 3)[:pools]):
        layers += [conv(1, 1, 3, padding=1)] * convolutions + [pool()]
        if number == 0:
            layers[0] = conv(1, 1, 3, padding=100)
    return layers + [conv(1, 1, 7), conv(1, 1, 1), conv(1, 1, 1)] * (pools == 5)


def build(layers):
    """The described layers as a linear network of ones: convolutions, mean pooling, transposed convolutions."""
    modules = []
    for one in layers:
        words = {name: value for name, value in one.items() if name not in ("kind", "in_channels", "out_channels")}
        if one["kind"] == "pool":
            modules.append(nn.AvgPool2d(**words, ceil_mode=True, count_include_pad=True))
        else:
            kind = {"conv": nn.Conv2d, "deconv": nn.ConvTranspose2d}[one["kind"]]
            modules.append(kind(1, 1, **words, bias=False))
            nn.init.ones_(modules[-1].weight)
    return nn.Sequential(*modules).double()


class TestCropOffset:
    def test_fcn_32s(self):
        assert crop_offset([*original(), deconv(64, 32)]) == 19

    def test_fcn_16s(self):
        by_2 = [*original(), deconv(4, 2)]
        assert crop_offset(original(4), by_2) == 5
        assert crop_offset([*by_2, deconv(32, 16)]) == 27

    def test_fcn_8s(self):
        by_2 = [*original(), deconv(4, 2)]
        by_4 = [*by_2, deconv(4, 2)]
        assert crop_offset(original(4), by_2) == 5
        assert crop_offset(original(3), by_4) == 9
        assert crop_offset([*by_4, deconv(16, 8)]) == 31

    @pytest.mark.parametrize(
        "up", [[deconv(64, 32)], [deconv(4, 2), deconv(32, 16)], [deconv(4, 2)] * 2 + [deconv(16, 8)]]
    )
    def test_every_picture_up_to_1024_rows_is_covered(self, up):
        """With pooling that rounds up, as in Caffe, the enlarged map always reaches beyond the cropped picture."""
        layers = [*original(), *up]
        offset = crop_offset(layers)
        for picture in range(1, 1025):
            size = picture
            for one in layers:
                room = size + 2 * one.get("padding", 0) - one["kernel_size"]
                if one["kind"] == "deconv":
                    size = (size - 1) * one["stride"] + one["kernel_size"]
                else:
                    size = (-(-room // 2) if one["kind"] == "pool" else room) + 1
            assert size >= offset + picture

    @pytest.mark.parametrize("more", [[], [conv(1, 1, 3, padding=1)], [conv(1, 1, 7, padding=4)]])
    def test_a_mirrored_picture_gives_the_mirrored_crop(self, more):
        """The oracle that knows no arithmetic: run a symmetric network, crop, mirror, compare."""
        layers = [conv(1, 1, 3, padding=20), pool(), *more, conv(1, 1, 3), pool(), deconv(4, 2), deconv(4, 2)]
        offset, network = crop_offset(layers), build(layers)
        picture = torch.rand(1, 1, 30, 30, dtype=torch.float64)  # 30 rows fit the strides exactly
        with torch.no_grad():
            answer, mirrored = (
                network(x)[..., offset : offset + 30, offset : offset + 30] for x in (picture, picture.flip(2, 3))
            )
        assert answer.shape[2:] == (30, 30)
        torch.testing.assert_close(answer.flip(2, 3), mirrored)

    @pytest.mark.parametrize(
        ("layers", "words"),
        [
            ([conv(1, 1, 2, padding=5)], "row 4.5"),
            ([conv(1, 1, 3)], "row -1.0"),
            ([conv(1, 1, 1, padding=4), pool(1, 2)], "jumps of 2.0 and 1.0"),
        ],
    )
    def test_refuses(self, layers, words):
        with pytest.raises(ValueError, match=words):
            crop_offset(layers)


class TestFCN:
    @pytest.mark.parametrize("stride", [32, 16, 8])
    @pytest.mark.parametrize("size", [(64, 96), (33, 47), (125, 70)])
    def test_the_size_of_the_picture(self, stride, size):
        network = FCN(halving_encoder((2, 3, 4, 5, 6)), (2, 3, 4, 5, 6), 7, stride)
        assert network(torch.randn(2, 3, *size)).shape == (2, 7, *size)

    def test_fcn_32s_is_the_convolutional_classifier_enlarged(self):
        network = FCN(halving_encoder(), WIDTHS, 5, 32).eval()
        x = torch.randn(1, 3, 96, 64)
        coarse = nn.Sequential(network.encoder, network.score_32)(x)  # (1, 5, 3, 2)
        torch.testing.assert_close(network(x), upsample_bilinear(coarse, 32))

    def test_fcn_8s_with_the_course_own_upsampling(self):
        network = FCN(halving_encoder(), WIDTHS, 5, 8).eval()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.1)
        x = torch.randn(2, 3, 64, 96)
        third = network.encoder[:3](x)
        fourth = network.encoder[3](third)
        scores = upsample_bilinear(network.score_32(network.encoder[4](fourth)), 2) + network.score_16(fourth)
        scores = upsample_bilinear(scores, 2) + network.score_8(third)
        torch.testing.assert_close(network(x), upsample_bilinear(scores, 8), atol=1e-5, rtol=1e-4)

    def test_weights_of_vggs_widths(self):
        """The originals' skips on pool4 and pool3 cost 10,773 and 5,397 weights for 21 classes."""
        widths, counts = (64, 128, 256, 512, 512), []
        for stride in (32, 16, 8):
            with torch.device("meta"):
                network = FCN(halving_encoder(widths), widths, 21, stride)
            counts.append(sum(weight.numel() for weight in network.parameters()))
        assert counts[1] - counts[0] == 10_773 and counts[2] - counts[1] == 5_397

    def test_training_goes_on_from_the_coarser_network(self):
        coarse = FCN(halving_encoder(), WIDTHS, 5, 32).eval()
        fine = FCN(halving_encoder(), WIDTHS, 5, 16).eval()
        left = fine.load_state_dict(coarse.state_dict(), strict=False)
        assert left.missing_keys == ["score_16.weight", "score_16.bias"] and not left.unexpected_keys
        x = torch.randn(1, 3, 64, 64)
        scores = coarse.score_32(coarse.encoder(x))
        torch.testing.assert_close(fine(x), upsample_bilinear(upsample_bilinear(scores, 2), 16))
        fine(x).square().sum().backward()
        assert fine.score_16.weight.grad.abs().max() > 0  # from zero, and yet it learns


class TestTrainEpoch:
    def test_agrees_with_a_loop_over_single_pixels(self):
        """Without a step in between, the mean is that of all valid pixels, each on its own."""
        network = nn.Conv2d(3, 5, 1)
        batches = [(torch.randn(n, 3, 4, 6), torch.randint(5, (n, 4, 6))) for n in (3, 1, 2)]
        for number, (_, target) in enumerate(batches):
            target[:, : number + 1] = 255
        got = train_epoch(network, torch.optim.SGD(network.parameters(), lr=0.0), batches)
        each = [F.cross_entropy(network(x), t, ignore_index=255, reduction="none")[t != 255] for x, t in batches]
        assert isinstance(got, float) and got == pytest.approx(torch.cat(each).mean().item(), rel=1e-5)

    def test_one_batch_is_learned_by_heart(self):
        scenes = load_scenes("train", size=64, count=2, seed=0)
        network = nn.Sequential(nn.Conv2d(3, 32, 7, padding=3), nn.ReLU(), nn.Conv2d(32, 5, 1)).eval()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
        losses = [train_epoch(network, optimizer, [(scenes.images, scenes.masks)]) for _ in range(40)]
        assert network.training and losses[0] == pytest.approx(math.log(5), abs=0.3) and losses[-1] < 0.4

    def test_a_batch_without_valid_pixels_changes_nothing(self):
        network = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        batch = torch.randn(2, 2, 3, 4), torch.randint(3, (2, 3, 4))
        train_epoch(network, optimizer, [batch])
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        with pytest.raises(ZeroDivisionError):  # of an epoch without any there is no mean
            train_epoch(network, optimizer, [(batch[0], torch.full_like(batch[1], 7))], ignore_index=7)
        assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


class TestRecallBySize:
    def test_the_truth_finds_everything_and_background_nothing(self):
        scenes = load_scenes("val", size=64, count=20, seed=0)
        edges = [0, 100, 400, math.inf]
        everything = recall_by_size(scenes.masks, scenes.masks, scenes.instances, edges)
        assert everything.tolist() == [1, 1, 1] and everything.dtype == torch.float64
        nothing = recall_by_size(torch.zeros_like(scenes.masks), scenes.masks, scenes.instances, edges)
        assert nothing.tolist() == [0, 0, 0]

    def test_agrees_with_scipy_on_scenes(self):
        """Areas and right pixels per object by scipy's labelled statistics, picture by picture."""
        scenes = load_scenes("val", size=64, count=20, seed=0)
        pred = scenes.masks.roll(5, dims=2)
        edges = [20, 150, 500, 5000]
        found, there = [0, 0, 0], [0, 0, 0]
        for p, t, m in zip(pred.numpy(), scenes.masks.numpy(), scenes.instances.numpy(), strict=True):
            for number in range(1, m.max() + 1):
                area = (m == number).sum()
                share = scipy.ndimage.mean(p == t, m, number) if area else 0
                for i in range(3):
                    there[i] += bool(edges[i] <= area < edges[i + 1])
                    found[i] += bool(edges[i] <= area < edges[i + 1] and share > 0.5)
        expected = [a / b for a, b in zip(found, there, strict=True)]
        assert 0 < min(expected) < 1
        assert recall_by_size(pred, scenes.masks, scenes.instances, edges).tolist() == pytest.approx(expected)

    def test_does_not_depend_on_how_objects_are_numbered_or_pictures_ordered(self):
        scenes = load_scenes("val", size=64, count=12, seed=0)
        pred, edges = scenes.masks.roll(6, dims=1), [1, 200, 10_000]
        expected = recall_by_size(pred, scenes.masks, scenes.instances, edges)
        order = torch.randperm(12)
        renumbered = torch.where(scenes.instances > 0, 1000 - 7 * scenes.instances, 0)
        got = recall_by_size(pred[order], scenes.masks[order], renumbered[order], edges)
        torch.testing.assert_close(got, expected)

    def test_ignored_pixels_and_empty_ranges(self):
        target = torch.tensor([[[3, 3, 255, 255, 255]]])
        instances = torch.ones_like(target)
        got = recall_by_size(torch.tensor([[[3, 3, 0, 0, 0]]]), target, instances, [1, 2, 3, 6])
        torch.testing.assert_close(got, torch.tensor([math.nan, 1, math.nan], dtype=torch.float64), equal_nan=True)
        nothing = recall_by_size(target[:0], target[:0], target[:0], [0, 9])
        assert nothing.shape == (1,) and nothing.isnan().all()
