"""The real pictures: nuclei, photos, and the terms under which all embedded data may be used."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from seglab.data.nuclei import load_nuclei, load_nucleus_crops, three_classes
from seglab.data.photos import ASSETS, PHOTOS, photo

ROOT = Path(__file__).resolve().parents[2]


class TestNuclei:
    def test_whole_picture(self):
        images, instances = load_nuclei()
        assert images.shape == (1, 1, 512, 512) and images.dtype == torch.float32
        assert instances.shape == (1, 512, 512) and instances.dtype == torch.int64
        assert instances.unique().tolist() == list(range(126))
        assert images.min() >= 0 and 0.5 < images.max() <= 1

    def test_nuclei_are_brighter_than_the_background(self):
        images, instances = load_nuclei()
        assert images[:, 0][instances > 0].mean() > 2 * images[:, 0][instances == 0].mean()

    def test_each_nucleus_is_one_piece(self):
        instances = load_nuclei()[1][0].numpy()
        touching = np.ones((3, 3))  # corners count
        assert all(ndimage.label(instances == number, touching)[1] == 1 for number in range(1, 126))

    @pytest.mark.parametrize(("crop", "train", "test"), [(128, 12, 4), (64, 48, 16), (32, 192, 64)])
    def test_crops_cover_the_picture_once(self, crop, train, test):
        whole = load_nuclei()[0]
        crops = torch.cat([load_nuclei("train", crop)[0], load_nuclei("test", crop)[0]])
        assert len(load_nuclei("train", crop)[0]) == train and len(load_nuclei("test", crop)[0]) == test
        pieces = whole[0, 0].unfold(0, crop, crop).unfold(1, crop, crop).reshape(-1, crop * crop)
        assert sorted(map(tuple, crops.flatten(1).tolist())) == sorted(map(tuple, pieces.tolist()))

    def test_instances_are_numbered_without_gaps_and_keep_their_pixels(self):
        images, instances = load_nuclei("test")
        whole_images, whole_instances = load_nuclei()
        assert instances.dtype == torch.int64
        for image, labels in zip(images, instances, strict=True):
            assert labels.unique().tolist() == list(range(labels.max() + 1))
            pieces = whole_images[0, 0].unfold(0, 128, 128).unfold(1, 128, 128)
            row, col = (pieces == image[0]).all(-1).all(-1).nonzero()[0].tolist()
            original = whole_instances[0, row * 128 : row * 128 + 128, col * 128 : col * 128 + 128]
            pairs = torch.stack([original, labels]).flatten(1).unique(dim=1)
            assert pairs.shape[1] == len(original.unique()) == len(labels.unique())  # one to one
            assert torch.equal(labels > 0, original > 0)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match=r"'val'.*train, test or None"):
            load_nuclei("val")
        with pytest.raises(ValueError, match=r"crop is 100.*128, 64 or 32"):
            load_nuclei("train", crop=100)


class TestPhotos:
    @pytest.mark.parametrize("name", PHOTOS)
    def test_every_photo(self, name):
        picture = photo(name)
        assert picture.dtype == torch.float32 and picture.shape[0] == 3 and min(picture.shape[1:]) >= 300
        assert picture.min() >= 0 and picture.max() <= 1 and picture.std() > 0.02

    def test_chelsea_is_upright_and_in_rgb_order(self):
        cat = photo("chelsea")
        assert cat.shape == (3, 300, 451)
        assert (cat.mean((1, 2)) * 255).round().tolist() == [148, 111, 87]  # means of scikit-image's array

    def test_grey_photo_has_three_equal_channels(self):
        camera = photo("camera")
        assert torch.equal(camera[0], camera[1]) and torch.equal(camera[0], camera[2])

    def test_unknown_name_lists_the_names(self):
        with pytest.raises(ValueError, match=r"'dog'.*chelsea.*coffee"):
            photo("dog")


class TestLicences:
    def test_every_asset_is_named_with_its_terms(self):
        terms = (ASSETS / "LICENSES.md").read_text(encoding="utf-8")
        for path in ASSETS.rglob("*"):
            if path.is_file() and path.name != "LICENSES.md":
                name = "weights/" if path.parent.name == "weights" else path.name
                assert name in terms, f"{name} is not in LICENSES.md"

    def test_licence_texts_travel_along(self):
        fashion = (ASSETS / "fashion_mnist" / "COPYRIGHT.txt").read_text(encoding="utf-8")
        assert "Zalando SE" in fashion and "Permission is hereby granted, free of charge" in fashion
        stardist = (ASSETS / "nuclei" / "STARDIST_LICENSE.txt").read_text(encoding="utf-8")
        assert "Uwe Schmidt, Martin Weigert" in stardist and "Redistribution and use" in stardist

    def test_photos_are_cc0_or_public_domain(self):
        terms = (ASSETS / "LICENSES.md").read_text(encoding="utf-8")
        rows = dict(re.findall(r"^\| `(\S+)` \|.*\| (.+?) \|$", terms, re.MULTILINE))
        assert set(rows) == {path.name for path in (ASSETS / "photos").iterdir()}
        assert all("CC0" in term or "public domain" in term for term in rows.values())

    def test_sizes(self):
        sizes = [path.stat().st_size for path in ASSETS.rglob("*") if path.is_file()]
        assert max(sizes) <= 2_000_000 and sum(sizes) <= 10_000_000
        assert (ROOT / "docs" / "contact_sheet.png").stat().st_size < 500_000


class TestThreeClasses:
    def test_a_boundary_is_what_has_another_number_near(self):
        """Against scikit-image, on every tile: boundaries of both sides, thickened to two pixels."""
        _, instances = load_nuclei("train")
        for labels, classes in zip(instances.numpy(), three_classes(instances).numpy(), strict=True):
            largest, smallest = (
                f(labels, size=5, mode="nearest") for f in (ndimage.maximum_filter, ndimage.minimum_filter)
            )
            assert np.array_equal(classes == 2, largest != smallest)
            assert np.array_equal(classes == 1, (labels > 0) & (largest == smallest))

    def test_nuclei_are_parted(self):
        """In the mask of two classes nuclei that touch run together; the pieces of class 1 are nuclei again."""
        _, instances = load_nuclei()
        together = ndimage.label(instances[0].numpy() > 0)[1]
        apart = ndimage.label(three_classes(instances)[0].numpy() == 1)[1]
        assert together < 110 and 110 <= apart <= 125  # the rest is too small to have an inside

    def test_large_numbers_and_one_nucleus_alone(self):
        labels = torch.zeros(1, 9, 9, dtype=torch.int64)
        labels[0, 2:7, 2:7] = 2**40
        assert three_classes(labels)[0].flatten().bincount().tolist() == [0, 1, 80]


class TestNucleusCrops:
    @pytest.mark.parametrize("size", [1, 9, 32, 64])
    def test_label_of_the_centre_from_within_a_tile(self, size):
        images, instances = load_nuclei("test")
        crops, labels = load_nucleus_crops("test", size=size, count=30, seed=1)
        assert crops.shape == (30, 1, size, size) and labels.bincount().tolist() == [10, 10, 10]
        classes, middle = three_classes(instances), size // 2
        windows = images[:, 0].unfold(1, size, 1).unfold(2, size, 1)  # (4, 129 - size, 129 - size, size, size)
        for crop, label in zip(crops, labels, strict=True):
            tile, row, col = (windows == crop[0]).all(-1).all(-1).nonzero()[:1].tolist()[0]
            if size > 1:  # a single pixel occurs in many places
                assert classes[tile, row + middle, col + middle] == label

    def test_a_seed_is_a_choice(self):
        first, again, other = (load_nucleus_crops("train", count=9, seed=seed)[0] for seed in (3, 3, 4))
        assert torch.equal(first, again) and not torch.equal(first, other)

    @pytest.mark.parametrize("bad", [{"size": 127}, {"size": 0}, {"count": 0}, {"split": "val"}])
    def test_bad_arguments(self, bad):
        with pytest.raises(ValueError, match="expected"):
            load_nucleus_crops(**{"split": "train"} | bad)
