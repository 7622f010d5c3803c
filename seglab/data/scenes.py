"""Scenes: clothes on textures, with exact masks.

Every scene is a composite, not a photograph: real product photos (Fashion-MNIST, grey, 28 x 28) are cut out,
enlarged, coloured, sometimes printed with a pattern, and pasted on real photos of grass, brick, gravel and the like.
That gives class masks, instance masks and object sizes that are exact. Colours and patterns are invented.

Splits share neither objects nor background photos. A scene depends only on (split, size, seed) and its number, so
the first ten scenes of a hundred are the ten scenes you get when you ask for ten.
"""

import math
import os
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageChops, ImageFilter
from torch import Tensor
from tqdm import tqdm

from seglab.data.photos import ASSETS, open_photo

CLASSES = ("background", "top", "trousers", "shoe", "bag")
SPLITS = ("train", "val", "test")
MIN_AREA = 20  # visible pixels of the smallest object
MIN_SIZE = 32  # side of the smallest scene
SIZE_EDGES = (20, 80, 320, 1280)  # where tiny, small, medium and large objects begin: square pixels at 128 x 128

# Photo and box (left, upper, right, lower) of each background. No photo serves two splits.
TEXTURES = {
    "train": (
        ("grass", (0, 0, 512, 512)),
        ("brick", (0, 0, 512, 512)),
        ("hubble", (0, 0, 1000, 872)),
        ("chelsea", (0, 0, 451, 300)),
        ("coffee", (0, 0, 600, 400)),
    ),
    "val": (("gravel", (0, 0, 512, 512)), ("cell", (0, 0, 550, 660)), ("rocket", (0, 0, 640, 427))),
    "test": (("camera", (240, 240, 512, 512)), ("retina", (250, 250, 1150, 1150))),
}

_CACHE_VERSION = 2  # raise it whenever the pictures change
_RIM = 4  # rim around a 28 x 28 cut-out, in its own pixels: room for the shadow

Box = tuple[slice, slice]


@dataclass(frozen=True)
class Scenes:
    """N square scenes with S x S pixels and at most K objects each."""

    images: Tensor  # (N, 3, S, S) float32 in [0, 1]
    masks: Tensor  # (N, S, S) int64, index into CLASSES
    instances: Tensor  # (N, S, S) int64, 0 = no object, then 1, 2, ... within each scene
    class_of: Tensor  # (N, K + 1) int64, class of each instance number; entry 0 and unused entries are 0
    areas: Tensor  # (N, K + 1) int64, visible pixels of each instance number; entry 0 counts the background

    def __len__(self) -> int:
        return len(self.images)


def load_scenes(split: str, size: int = 64, count: int = 100, seed: int = 0) -> Scenes:
    """Composite scenes with 2 to 5 objects (4 to 9 from 128 pixels up), about log-uniform in area.

    Args:
        split: "train", "val" or "test"; they share neither objects nor background photos.
        size: side of the square scenes in pixels, at least 32.
        count: number of scenes.
        seed: another seed gives other scenes of the same split.

    Raises:
        ValueError: unknown split, or a size, count or seed out of range.
    """
    _check_arguments(split, size, count, seed)
    objects = (2, 5) if size < 128 else (4, 9)

    def build() -> dict[str, np.ndarray]:
        scenes = [_make_scene(split, size, seed, i, objects) for i in _progress(count, f"{split} scenes")]
        longest = max(len(class_of) for _, _, class_of in scenes)
        return {
            "images": np.stack([image for image, _, _ in scenes]),  # (N, S, S, 3) uint8
            "instances": np.stack([instances for _, instances, _ in scenes]),  # (N, S, S) uint8
            "class_of": np.stack([np.pad(c, (0, longest - len(c))) for _, _, c in scenes]),  # (N, K + 1) uint8
        }

    shapes = {"images": (count, size, size, 3), "instances": (count, size, size), "class_of": (count, None)}
    stored = _cached(f"scenes-{split}-{size}-{count}-{seed}", shapes, build)
    instances = torch.from_numpy(stored["instances"]).long()
    class_of = torch.from_numpy(stored["class_of"]).long()
    slots = class_of.shape[1]
    areas = torch.stack([torch.bincount(scene.flatten(), minlength=slots) for scene in instances])
    return Scenes(
        images=_to_images(stored["images"]),
        masks=class_of.gather(1, instances.flatten(1)).view_as(instances),
        instances=instances,
        class_of=class_of,
        areas=areas,
    )


def load_crops(split: str, size: int = 64, count: int = 1000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Crops of large scenes, each with one label: the class at its centre. About the same number per class.

    A crop is cut from a scene three times its size. Its centre lies between four pixels; the label is that of the
    lower right one, (size // 2, size // 2). An object at the centre has between 1/16 and 3/4 of the crop's area: of
    larger ones the crop would show little but cloth, and smaller ones are lost among their neighbours.

    Returns:
        images (N, 3, size, size) float32 in [0, 1], and labels (N,) int64, index into CLASSES.

    Raises:
        ValueError: unknown split, or a size, count or seed out of range.
    """
    _check_arguments(split, size, count, seed)
    per_scene = 8  # different places in the same scene; more would be too much alike

    def build() -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, size, SPLITS.index(split)])
        images, labels = [], []
        tally = np.zeros(len(CLASSES), dtype=np.int64)
        for i in _progress(math.ceil(count / per_scene), f"{split} crops"):
            image, instances, class_of = _make_scene(split, 3 * size, seed, i, objects=(3, 5))
            for _ in range(min(per_scene, count - len(images))):
                row, col, label = _pick_centre(rng, instances, class_of, tally, size)
                top, left = row - size // 2, col - size // 2
                images.append(image[top : top + size, left : left + size])
                labels.append(label)
                tally[label] += 1
        return {"images": np.stack(images), "labels": np.array(labels, dtype=np.uint8)}

    shapes = {"images": (count, size, size, 3), "labels": (count,)}
    stored = _cached(f"crops-{split}-{size}-{count}-{seed}", shapes, build)
    return _to_images(stored["images"]), torch.from_numpy(stored["labels"]).long()


def label_shares(masks: Tensor, scenes: Scenes) -> tuple[Tensor, Tensor, Tensor]:
    """What masks say of each object, all objects of all scenes in one row.

    Args:
        masks: (N, H, W) int64, a class for each pixel of the N scenes.

    Returns:
        the share of its pixels with each label (objects, classes), its class (objects,), and the bin of its area
        (objects,): 0 for areas of SIZE_EDGES[0] and more, up to 3.
    """
    shares, classes, areas = [], [], []
    for number in range(len(scenes)):
        for instance in scenes.instances[number].unique()[1:]:
            pixels = scenes.instances[number] == instance
            shares.append(torch.bincount(masks[number][pixels], minlength=len(CLASSES)) / pixels.sum())  # (classes,)
            classes.append(scenes.class_of[number, instance])
            areas.append(pixels.sum())
    bins = torch.bucketize(torch.stack(areas), torch.tensor(SIZE_EDGES[1:]), right=True)
    return torch.stack(shares), torch.stack(classes), bins


def problems(shares: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each object of `label_shares`, three bools (objects,).

    Found: more than half of its pixels have its class. Inconsistent: two kinds of clothes have 15 % of it or more each.
    Missed: all of it is called background.
    """
    second = shares[:, 1:].sort(dim=1).values[:, -2]  # the second most frequent kind of clothes
    return shares.gather(1, classes[:, None])[:, 0] > 0.5, second >= 0.15, shares[:, 0] == 1


def clothes_of(split: str) -> dict[str, np.ndarray]:
    """The cut-outs of one split: grey and alpha (M, 28, 28), classes (M,), source_index (M,) in Fashion-MNIST.

    Raises:
        ValueError: unknown split.
    """
    _check_arguments(split)
    clothes = _all_clothes()
    chosen = clothes["split"] == SPLITS.index(split)
    return {key: values[chosen] for key, values in clothes.items()}


def _check_arguments(split: str, size: int = MIN_SIZE, count: int = 1, seed: int = 0) -> None:
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)}")
    for name, value, least in (("size", size, MIN_SIZE), ("count", count, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is {value!r}, expected an integer of at least {least}")


def _progress(count: int, what: str) -> Iterable[int]:
    """A progress bar that appears only if the work takes longer than a second."""
    return tqdm(range(count), desc=what, delay=1.0, mininterval=0.5, leave=False, file=sys.stdout)


def _to_images(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 255  # (N, 3, S, S)


# --- one scene -------------------------------------------------------------------------------------------------


def _make_scene(
    split: str, size: int, seed: int, number: int, objects: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image (S, S, 3) uint8, instances (S, S) uint8, and the class of each instance, entry 0 for the background.

    `objects` are the smallest and the largest number of objects; fewer if there is no room.
    """
    rng = np.random.default_rng([seed, size, SPLITS.index(split), number])
    clothes = _split_clothes(split)
    canvas = _background(rng, split, size)
    instances = np.zeros((size, size), dtype=np.uint8)
    first_areas = []
    class_of = [0]
    wanted = rng.integers(*objects, endpoint=True)
    for _ in range(4 * wanted):
        if len(first_areas) == wanted:
            break
        label = int(rng.integers(1, len(CLASSES)))
        item = rng.choice(np.flatnonzero(clothes["classes"] == label))
        area = math.exp(rng.uniform(math.log(MIN_AREA * 1.2), math.log(size * size / 3.3)))
        grey, alpha = _pose(rng, clothes["grey"][item], clothes["alpha"][item], area)
        place = _find_place(rng, alpha, instances, first_areas)
        if place is None:
            continue
        on_canvas, of_object = place
        _paste(rng, canvas[on_canvas], grey, alpha, of_object)
        visible = alpha[of_object] >= 128
        class_of.append(label)
        instances[on_canvas][visible] = len(first_areas) + 1
        first_areas.append(visible.sum())
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8), instances, np.array(class_of, dtype=np.uint8)


def _background(rng: np.random.Generator, split: str, size: int) -> np.ndarray:
    """One texture, or in two scenes of five a wall and a floor; (S, S, 3) float32 in [0, 255]."""
    canvas = _texture(rng, split, size)
    if rng.random() < 0.4:
        horizon = int(rng.integers(size * 3 // 10, size * 7 // 10))
        canvas[horizon:] = _texture(rng, split, size)[horizon:]
    return canvas


def _texture(rng: np.random.Generator, split: str, size: int) -> np.ndarray:
    """A random square of a background photo with quiet colours, (S, S, 3) float32 in [0, 255]."""
    photo = _texture_photos(split)[rng.integers(len(TEXTURES[split]))]
    shortest = min(photo.size)
    side = rng.uniform(min(shortest, max(size, shortest / 2)), shortest)
    left, top = rng.uniform(0, photo.width - side), rng.uniform(0, photo.height - side)
    box = (left, top, left + side, top + side)
    patch = photo.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    pixels = np.rot90(np.asarray(patch, dtype=np.float32), rng.integers(4))
    if pixels.ndim == 2:  # a grey texture is coloured from dark to light
        light = _colours(rng, 1, strongest=0.4)[0]
        dark = light * rng.uniform(0.25, 0.6)
        pixels = dark + (light - dark) * pixels[..., None] / 255
    else:
        grey = pixels.mean(2, keepdims=True)
        pixels = (grey + (pixels - grey) * rng.uniform(0.25, 0.8)) * rng.uniform(0.8, 1.1, size=3).astype(np.float32)
    mean = pixels.mean((0, 1))
    return mean + (pixels - mean) * rng.uniform(0.45, 0.9)


def _colours(rng: np.random.Generator, count: int, strongest: float) -> np.ndarray:
    """Random colours, (count, 3) in [0, 255]: any hue, saturation up to `strongest`, never very dark."""
    position, saturation, value = rng.uniform((0, 0.08, 0.55), (6, strongest, 1), size=(count, 3)).T[..., None]
    hue = np.clip(np.abs((position + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)  # (count, 3), the pure colours
    return (255 * value * (1 - saturation * (1 - hue))).astype(np.float32)


def _pose(rng: np.random.Generator, grey: np.ndarray, alpha: np.ndarray, area: float) -> tuple[np.ndarray, np.ndarray]:
    """Enlarge, flip and turn a cut-out so that it covers about `area` pixels; grey and alpha, both uint8.

    Around the object there is room for its shadow.
    """
    scale = math.sqrt(area / (alpha.sum() / 255))
    turn = rng.uniform(-25, 25)
    step = -1 if rng.random() < 0.5 else 1
    side = max(4, round(len(alpha) * scale))
    layers = []
    for layer in (grey, alpha):
        image = Image.fromarray(layer[:, ::step])
        if layer is alpha and scale > 2:
            image = image.filter(ImageFilter.GaussianBlur(0.6))  # hides the steps of the small original
        image = image.resize((side, side), Image.Resampling.BICUBIC)
        layers.append(np.asarray(image.rotate(turn, Image.Resampling.BICUBIC, expand=True)))
    grey, alpha = layers
    sharpened = (alpha.astype(np.float32) - 127.5) * max(1.0, 0.7 * scale) + 127.5  # the outline stays where it was
    return grey, np.clip(sharpened, 0, 255).astype(np.uint8)


def _find_place(
    rng: np.random.Generator, alpha: np.ndarray, instances: np.ndarray, first_areas: list[int]
) -> tuple[Box, Box] | None:
    """Where the new object fits so that it and all the others stay visible, or None.

    Returns two boxes of the same size: in the canvas and in the object, which may stick out of the canvas.
    """
    size = len(instances)
    full = (alpha >= 128).sum()
    areas = np.bincount(instances.ravel(), minlength=len(first_areas) + 1)
    needed = np.array([0] + [max(MIN_AREA, 0.5 * first) for first in first_areas])
    for _ in range(8):
        centre = rng.integers(size, size=2)
        rows, in_rows = _overlap(int(centre[0]), alpha.shape[0], size)
        cols, in_cols = _overlap(int(centre[1]), alpha.shape[1], size)
        solid = alpha[in_rows, in_cols] >= 128
        hidden = np.bincount(instances[rows, cols][solid], minlength=len(areas))
        enough = max(MIN_AREA, 0.6 * full) <= solid.sum() <= size * size / 3
        if enough and ((areas - hidden)[1:] >= needed[1:]).all():
            return (rows, cols), (in_rows, in_cols)
    return None


def _overlap(centre: int, length: int, size: int) -> tuple[slice, slice]:
    """What an interval of this length about this centre shares with [0, size): as seen there, as seen inside it."""
    start = centre - length // 2
    first, last = max(0, start), min(size, start + length)
    return slice(first, last), slice(first - start, last - start)


def _paste(rng: np.random.Generator, canvas: np.ndarray, grey: np.ndarray, alpha: np.ndarray, of_object: Box) -> None:
    """Colour the object and draw its part `of_object` over the canvas, in place, with a soft shadow."""
    reach = max(1, round(0.02 * min(alpha.shape)))
    shadow = ImageChops.offset(Image.fromarray(alpha), reach).filter(ImageFilter.GaussianBlur(1.2 * reach))
    canvas *= 1 - 0.45 * np.asarray(shadow, dtype=np.float32)[of_object][..., None] / 255

    opacity = alpha[of_object]
    cloth = _dress(rng, grey, alpha, behind=canvas[opacity >= 128].mean(0))[of_object]
    canvas += (cloth - canvas) * (opacity[..., None].astype(np.float32) / 255)


def _dress(rng: np.random.Generator, grey: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Colours for a grey cut-out, (h, w, 3) float32 in [0, 255], clearly different from the colour behind it."""
    candidates = _colours(rng, 7, strongest=0.75)
    distances = np.abs(candidates[:6] * 0.85 - behind).sum(1)
    paint = candidates[np.argmax(np.minimum(distances, 200))]  # the first that is far enough, or else the farthest
    height, width = grey.shape
    if min(height, width) >= 16 and rng.random() < 0.3:
        paint = np.where(_pattern(rng, height, width)[..., None], candidates[6], paint)

    tone = 0.3 + 0.7 * grey.astype(np.float32) / max(1, grey[alpha >= 128].max())
    ramps = (np.linspace(-1, 1, length, dtype=np.float32) for length in (height, width))
    down, across = (rng.uniform(-0.12, 0.12) * ramp for ramp in ramps)  # light from one side
    tone *= 1 + down[:, None] + across
    grain = rng.integers(-6, 7, size=(height, width, 1), dtype=np.int8)
    return paint * tone[..., None] + grain


def _pattern(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stripes, checks or dots, (h, w) bool."""
    period = max(4, round(min(height, width) / rng.uniform(5, 11)))
    rows, cols = np.arange(height)[:, None] % period, np.arange(width) % period
    kind = rng.integers(4)
    if kind == 0:
        return np.broadcast_to(2 * rows < period, (height, width))
    if kind == 1:
        return np.broadcast_to(3 * cols < period, (height, width))
    if kind == 2:
        return (2 * rows < period) ^ (2 * cols < period)
    return (2 * rows - period) ** 2 + (2 * cols - period) ** 2 < (0.6 * period) ** 2


def _pick_centre(
    rng: np.random.Generator, instances: np.ndarray, class_of: np.ndarray, tally: np.ndarray, size: int
) -> tuple[int, int, int]:
    """Row, column and class of a crop's centre: the class that is rarest so far, any object of it, a pixel of it.

    Of three random pixels the one nearest to the object's middle is taken.
    """
    margin = size // 2
    inner = instances[margin:-margin, margin:-margin]
    areas = np.bincount(instances.ravel(), minlength=len(class_of))
    present = np.unique(inner)
    usable = [i for i in present if i == 0 or size * size / 16 <= areas[i] <= size * size * 3 / 4] or list(present)
    label = min({int(class_of[i]) for i in usable}, key=lambda c: (tally[c], c))
    instance = rng.choice([i for i in usable if class_of[i] == label])
    pixels = np.argwhere(inner == instance)  # (P, 2)
    candidates = pixels[rng.integers(len(pixels), size=3)]
    row, col = min(candidates, key=lambda pixel: ((pixel - pixels.mean(0)) ** 2).sum())
    return int(row) + margin, int(col) + margin, label


# --- sources and cache -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _all_clothes() -> dict[str, np.ndarray]:
    with np.load(ASSETS / "fashion_mnist" / "clothes.npz") as archive:
        return dict(archive)


@lru_cache
def _split_clothes(split: str) -> dict[str, np.ndarray]:
    """The cut-outs of one split with an empty rim: grey and alpha (M, 36, 36), classes (M,)."""
    clothes = clothes_of(split)
    rim = ((0, 0), (_RIM, _RIM), (_RIM, _RIM))
    grey = np.pad(clothes["grey"], rim, mode="edge")  # (M, 36, 36), no dark seam
    return {"grey": grey, "alpha": np.pad(clothes["alpha"], rim), "classes": clothes["classes"]}


@lru_cache
def _texture_photos(split: str) -> list[Image.Image]:
    """The background photos of a split, cut to their boxes, the largest ones reduced to 512 pixels."""
    photos = []
    for name, box in TEXTURES[split]:
        photo = open_photo(name).crop(box)
        factor = min(1.0, 512 / min(photo.size))
        photos.append(photo.resize((round(photo.width * factor), round(photo.height * factor))))
    return photos


def cache_folder() -> Path:
    """Where generated scenes are kept: $SEGLAB_CACHE, or ~/.cache/seglab."""
    return Path(os.environ.get("SEGLAB_CACHE") or Path.home() / ".cache" / "seglab")


def _cached(
    name: str, shapes: dict[str, tuple[int | None, ...]], build: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The stored arrays if they are whole and have these shapes, else new ones, stored if that is possible."""
    path = cache_folder() / f"v{_CACHE_VERSION}-{name}.npz"
    try:
        with np.load(path) as archive:  # zip archives carry checksums: a damaged file raises
            arrays = {key: archive[key] for key in shapes}
        if all(_has_shape(arrays[key], shape) for key, shape in shapes.items()):
            return arrays
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass
    arrays = build()
    _store(path, arrays)
    return arrays


def _has_shape(array: np.ndarray, shape: tuple[int | None, ...]) -> bool:
    """Whether a stored array is uint8 and has this shape; None allows any length."""
    same = len(array.shape) == len(shape) and all(b in (a, None) for a, b in zip(array.shape, shape, strict=True))
    return same and array.dtype == np.uint8


def _store(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write to a temporary file and rename it, so that a reader never meets half a file. Failing is no error."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            np.savez(file, **arrays)
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
