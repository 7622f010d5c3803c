"""Scenes are exact, reproducible, and their splits share nothing."""

import itertools

import numpy as np
import pytest
import torch

from autograde.reference.fcn import recall_by_size
from seglab.data import scenes
from seglab.data.scenes import (
    CLASSES,
    MIN_AREA,
    SIZE_EDGES,
    SPLITS,
    TEXTURES,
    clothes_of,
    label_shares,
    load_crops,
    load_scenes,
    problems,
)

RECORDED_CLASSES = [[0, 3, 4, 0, 0, 0], [0, 4, 1, 0, 0, 0], [0, 2, 4, 4, 1, 2]]
RECORDED_AREAS = [
    [3402.0, 598.0, 96.0, 0.0, 0.0, 0.0],
    [4010.0, 54.0, 32.0, 0.0, 0.0, 0.0],
    [3380.0, 26.0, 152.0, 44.0, 250.0, 244.0],
]
RECORDED_MEANS = [[0.6302, 0.4769, 0.446], [0.501, 0.5825, 0.4035], [0.6257, 0.429, 0.4425]]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Every test starts with an empty cache of its own."""
    monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """150 small scenes, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGLAB_CACHE", str(tmp_path_factory.mktemp("scenes")))
        return load_scenes("train", size=64, count=150, seed=3)


def same(one, other) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in vars(one))


class TestScenes:
    def test_shapes_types_and_ranges(self, many):
        slots = many.class_of.shape[1]
        assert many.images.shape == (150, 3, 64, 64) and many.images.dtype == torch.float32
        assert many.masks.shape == many.instances.shape == (150, 64, 64)
        assert many.areas.shape == (150, slots)
        assert {many.masks.dtype, many.instances.dtype, many.class_of.dtype, many.areas.dtype} == {torch.int64}
        assert many.images.min() >= 0 and many.images.max() <= 1
        assert sorted(many.masks.unique().tolist()) == list(range(len(CLASSES)))
        assert len(many) == 150

    def test_masks_instances_classes_and_areas_agree(self, many):
        for mask, instances, class_of, areas in zip(many.masks, many.instances, many.class_of, many.areas, strict=True):
            count = instances.max().item()
            assert 1 <= count <= 5
            assert class_of[0] == 0 and (class_of[1 : count + 1] > 0).all() and (class_of[count + 1 :] == 0).all()
            for number in range(len(class_of)):
                where = instances == number
                assert where.sum() == areas[number]
                assert (mask[where] == class_of[number]).all()

    def test_areas_from_twenty_pixels_to_a_third_of_the_picture(self, many):
        objects = many.areas[:, 1:][many.class_of[:, 1:] > 0].float()
        assert objects.min() >= MIN_AREA
        assert objects.max() <= 64 * 64 / 3
        middle = objects.log().median()  # log-uniform: the median lies near the geometric mean of the ends
        assert 0.35 < (middle - np.log(20)) / (np.log(64 * 64 / 3) - np.log(20)) < 0.65

    def test_objects_differ_from_what_is_around_them(self, many):
        """Otherwise no network could find them, or the picture and its mask do not belong together."""
        edge = torch.zeros_like(many.masks, dtype=torch.bool)
        edge[:, :, 1:] = many.instances[:, :, 1:] != many.instances[:, :, :-1]
        step = (many.images[:, :, :, 1:] - many.images[:, :, :, :-1]).abs().mean(1)
        assert step[edge[:, :, 1:]].mean() > 3 * step[~edge[:, :, 1:]].mean()

    def test_same_arguments_same_scenes_even_without_the_cache(self, monkeypatch, tmp_path):
        first = load_scenes("val", size=48, count=4, seed=5)
        monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "another"))
        assert same(first, load_scenes("val", size=48, count=4, seed=5))

    def test_pictures_are_those_of_every_other_machine(self):
        """Numbers recorded once; a tolerance allows another rounding in a library, not another picture."""
        loaded = load_scenes("test", size=64, count=3, seed=0)
        assert loaded.class_of.tolist() == RECORDED_CLASSES
        assert torch.allclose(loaded.areas.float(), torch.tensor(RECORDED_AREAS), rtol=0.02, atol=2)
        assert torch.allclose(loaded.images.mean((2, 3)), torch.tensor(RECORDED_MEANS), atol=2e-3)

    def test_first_scenes_do_not_depend_on_the_count(self):
        few, more = load_scenes("train", count=2), load_scenes("train", count=5)
        assert torch.equal(few.images, more.images[:2]) and torch.equal(few.instances, more.instances[:2])

    def test_seed_split_and_number_change_the_scene(self):
        base = load_scenes("train", count=2).images
        assert not torch.equal(base[0], base[1])
        assert not torch.equal(base, load_scenes("train", count=2, seed=1).images)
        assert not torch.equal(base, load_scenes("val", count=2).images)

    def test_large_scenes_have_more_objects(self):
        large = load_scenes("train", size=256, count=2)
        assert large.images.shape == (2, 3, 256, 256)
        assert (large.instances.amax((1, 2)) >= 3).all()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"split": "training"}, "'training'.*train, val, test"),
            ({"split": "train", "size": 16}, "size is 16.*at least 32"),
            ({"split": "train", "size": 64.0}, "size is 64.0.*integer"),
            ({"split": "train", "count": 0}, "count is 0.*at least 1"),
            ({"split": "train", "seed": -1}, "seed is -1.*at least 0"),
        ],
    )
    @pytest.mark.parametrize("load", [load_scenes, load_crops])
    def test_bad_arguments(self, load, arguments, message):
        with pytest.raises(ValueError, match=message):
            load(**arguments)

    def test_every_object_of_a_large_scene_has_its_size_bin(self):
        areas = load_scenes("val", size=128, count=30, seed=0).areas[:, 1:]
        bins = np.histogram(areas[areas > 0], [*SIZE_EDGES, np.inf])[0]
        assert SIZE_EDGES[0] == MIN_AREA and bins.sum() == (areas > 0).sum() and (bins > 5).all()


class TestSplits:
    def test_no_object_is_in_two_splits(self):
        sources = {split: set(clothes_of(split)["source_index"].tolist()) for split in SPLITS}
        assert all(len(numbers) >= 300 for numbers in sources.values())
        assert all(sources[a].isdisjoint(sources[b]) for a, b in itertools.combinations(SPLITS, 2))

    def test_no_object_is_there_twice(self):
        pixels = np.concatenate([clothes_of(split)["grey"].reshape(-1, 28 * 28) for split in SPLITS])
        assert len(np.unique(pixels, axis=0)) == len(pixels)

    def test_no_photo_is_in_two_splits(self):
        photos = {split: {name for name, _ in TEXTURES[split]} for split in SPLITS}
        assert all(photos[a].isdisjoint(photos[b]) for a, b in itertools.combinations(SPLITS, 2))
        assert all(len(names) >= 2 for names in photos.values())

    def test_scenes_use_their_own_split_only(self, monkeypatch):
        """With another split's sources gone, the scenes stay the same."""
        expected = load_scenes("val", count=3)
        monkeypatch.setattr(scenes, "_cached", lambda name, shapes, build: build())
        monkeypatch.setattr(scenes, "TEXTURES", {"val": TEXTURES["val"]})
        all_clothes = scenes._all_clothes()
        hidden = {key: values.copy() for key, values in all_clothes.items()}
        hidden["grey"][hidden["split"] != SPLITS.index("val")] = 0
        monkeypatch.setattr(scenes, "_all_clothes", lambda: hidden)
        scenes._split_clothes.cache_clear()
        scenes._texture_photos.cache_clear()
        try:
            assert same(expected, load_scenes("val", count=3))
        finally:
            scenes._split_clothes.cache_clear()

    def test_unknown_split(self):
        with pytest.raises(ValueError, match="train, val, test"):
            clothes_of("all")


class TestCrops:
    def test_shapes_and_balance(self):
        images, labels = load_crops("train", count=200)
        assert images.shape == (200, 3, 64, 64) and images.dtype == torch.float32
        assert labels.shape == (200,) and labels.dtype == torch.int64
        assert torch.bincount(labels, minlength=len(CLASSES)).min() >= 25

    def test_label_is_the_class_at_the_centre_of_a_piece_of_a_scene(self, monkeypatch):
        """Find each crop in the large scene it was cut from, and look its label up in the mask."""
        made = []
        make_scene = scenes._make_scene
        monkeypatch.setattr(scenes, "_make_scene", lambda *a, **k: made.append(make_scene(*a, **k)) or made[-1])
        images, labels = load_crops("val", size=32, count=16, seed=2)
        large = torch.stack([torch.from_numpy(image[..., 0]) for image, _, _ in made]).float() / 255  # (scenes, 96, 96)
        pieces = large.unfold(1, 32, 1).unfold(2, 32, 1)  # (scenes, 65, 65, 32, 32)
        for image, label in zip(images, labels, strict=True):
            scene, top, left = (pieces == image[0]).all(-1).all(-1).nonzero()[0].tolist()
            _, instances, class_of = made[scene]
            assert class_of[instances[top + 16, left + 16]] == label

    def test_reproducible(self, monkeypatch, tmp_path):
        first = load_crops("val", count=10)
        monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "another"))
        again = load_crops("val", count=10)
        assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


class TestProblems:
    def test_found_is_what_lesson_05_counts(self, many):
        """By bins, on masks that are wrong in places: the recall of the reference."""
        masks = torch.where(many.masks.roll(3, dims=2) > 0, many.masks, 0)
        shares, classes, bins = label_shares(masks, many)
        assert torch.allclose(shares.sum(1), torch.ones(len(shares))) and len(shares) == (many.class_of > 0).sum()
        found = problems(shares, classes)[0].double()
        recall = recall_by_size(masks, many.masks, many.instances, [0, *SIZE_EDGES[1:], torch.inf])
        by_bin = torch.stack([found[bins == size].mean() for size in range(4)])
        torch.testing.assert_close(by_bin, recall, equal_nan=True)
        assert 0 < found.mean() < 1

    def test_each_problem_by_its_shares(self):
        """Found, torn in two with the right label ahead, torn and lost, half of it, 14 % of another, all background."""
        shares = torch.tensor(
            [
                [0.2, 0.8, 0, 0, 0],
                [0, 0.8, 0.2, 0, 0],
                [0.4, 0.15, 0, 0.45, 0],
                [0.5, 0.5, 0, 0, 0],
                [0, 0.86, 0, 0.14, 0],
                [1.0, 0, 0, 0, 0],
            ]
        )
        found, inconsistent, missed = problems(shares, torch.ones(6, dtype=torch.int64))
        assert found.tolist() == [True, True, False, False, True, False]
        assert inconsistent.tolist() == [False, True, True, False, False, False]
        assert missed.tolist() == [False] * 5 + [True]


class TestCache:
    def test_second_load_reads_the_file(self, cache, monkeypatch):
        first = load_scenes("train", size=32, count=2)
        assert len(list(cache.iterdir())) == 1
        monkeypatch.setattr(scenes, "_make_scene", lambda *arguments: pytest.fail("generated again"))
        assert same(first, load_scenes("train", size=32, count=2))

    @pytest.mark.parametrize("damage", ["truncated", "flipped byte", "empty", "text", "other arrays", "other shape"])
    def test_damaged_file_is_rebuilt(self, cache, damage):
        first = load_scenes("train", size=32, count=2)
        (path,) = cache.iterdir()
        whole = path.read_bytes()
        if damage == "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        elif damage == "flipped byte":
            path.write_bytes(whole[:1000] + bytes([whole[1000] ^ 255]) + whole[1001:])
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "text":
            path.write_text("not a zip archive")
        elif damage == "other arrays":
            np.savez(path, nothing=np.zeros(3))
        else:
            np.savez(path, images=np.zeros(2), instances=np.zeros(2), class_of=np.zeros(2))
        assert same(first, load_scenes("train", size=32, count=2))
        assert path.read_bytes() == whole

    def test_unwritable_cache_is_no_error(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("SEGLAB_CACHE", str(tmp_path / "file" / "below"))
        assert len(load_scenes("train", size=32, count=1)) == 1

    def test_nothing_half_written_is_left(self, cache, monkeypatch):
        def full_disk(file, **arrays):
            file.write(b"half")
            raise OSError("no space left on device")

        monkeypatch.setattr(scenes.np, "savez", full_disk)
        assert len(load_scenes("train", size=32, count=1)) == 1
        assert list(cache.iterdir()) == []
