"""Nuclei: one real fluorescence picture with 125 hand-labelled nuclei (BBBC038, CC0), whole or cut into crops."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from seglab.data.photos import ASSETS

TILE = 128  # the 512 x 512 picture is divided into 4 x 4 tiles; a tile belongs to one split only
NUCLEUS_CLASSES = ("background", "nucleus", "boundary")
BOUNDARY = 2  # how far a boundary reaches, in pixels, to both sides of the line between two numbers
_TEST_TILES = ((0, 2), (1, 0), (2, 3), (3, 1))  # one per row and per column


def load_nuclei(split: str | None = None, crop: int = TILE) -> tuple[Tensor, Tensor]:
    """The whole picture, or the crops of one split: 12 for training and 4 for testing when `crop` is 128.

    Args:
        split: "train" or "test"; None gives the whole 512 x 512 picture.
        crop: side of the square crops in pixels: 128, 64 or 32. Without a split it is not used.

    Returns:
        images (N, 1, H, W) float32 in [0, 1], and instances (N, H, W) int64: 0 = background, then 1, 2, ... within
        each crop. A nucleus on the border of a crop is cut. The semantic mask is `instances > 0`.

    Raises:
        ValueError: unknown split, or a crop that does not divide a tile.
    """
    image, instances = _read("image.png"), _read("instances.png")  # (512, 512) each
    if split is None:
        return _to_images(image[None]), torch.from_numpy(instances[None].astype(np.int64))
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}, expected train, test or None for the whole picture")
    if crop not in (TILE, TILE // 2, TILE // 4):
        raise ValueError(f"crop is {crop!r}, expected {TILE}, {TILE // 2} or {TILE // 4}")
    corners = [
        (row, col)
        for row in range(0, len(image), crop)
        for col in range(0, len(image), crop)
        if ((row // TILE, col // TILE) in _TEST_TILES) == (split == "test")
    ]
    crops = np.stack([image[row : row + crop, col : col + crop] for row, col in corners])  # (N, crop, crop)
    labels = np.stack([_renumber(instances[row : row + crop, col : col + crop]) for row, col in corners])
    return _to_images(crops), torch.from_numpy(labels)


def three_classes(instances: Tensor) -> Tensor:
    """Background, nucleus and boundary: (N, H, W) int64, index into NUCLEUS_CLASSES.

    Boundary are the pixels that have another instance, or the background, within 2 pixels in any direction. So nuclei
    that touch are parted, and a prediction can be counted: the connected pieces of class 1 are the nuclei.

    Args:
        instances: (N, H, W) int64, 0 = background.
    """
    numbers = instances[:, None].double()  # (N, 1, H, W); float64 holds every number exactly
    side = 2 * BOUNDARY + 1
    largest = F.max_pool2d(numbers, side, stride=1, padding=BOUNDARY)[:, 0]  # (N, H, W)
    smallest = -F.max_pool2d(-numbers, side, stride=1, padding=BOUNDARY)[:, 0]  # (N, H, W)
    return torch.where(largest != smallest, 2, (instances > 0).long())


def load_nucleus_crops(split: str, size: int = 32, count: int = 1000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Crops with one label each, the class of `three_classes` at the centre; equally many of each class.

    Crops overlap, but none reaches over the border of its tile, so the splits share no pixel. As in `load_crops` of
    the scenes, the centre of an even side is the lower right one of the four pixels in the middle.

    Args:
        split: "train" or "test".
        size: side of the crops in pixels, at most 126.
        count: number of crops.
        seed: another seed gives other crops.

    Returns:
        images (count, 1, size, size) float32 in [0, 1], and labels (count,) int64.

    Raises:
        ValueError: unknown split, or a size or count out of range.
    """
    if not 1 <= size <= TILE - 2 or count < 1:
        raise ValueError(f"size is {size!r} and count {count!r}; expected a size of 1 to {TILE - 2} and a count from 1")
    images, instances = load_nuclei(split)  # (N, 1, 128, 128), (N, 128, 128)
    before = size // 2
    inner = three_classes(instances)[:, before : before + TILE - size + 1, before : before + TILE - size + 1]
    rng = np.random.default_rng([seed, size])
    chosen = []
    for number in range(len(NUCLEUS_CLASSES)):
        places = (inner == number).nonzero()  # (P, 3): tile, row and column of the crop's upper left corner
        share = len(range(number, count, len(NUCLEUS_CLASSES)))
        chosen.append(places[torch.from_numpy(rng.integers(len(places), size=share))])  # (share, 3)
    chosen = torch.cat(chosen)[torch.from_numpy(rng.permutation(count))]  # (count, 3)
    crops = torch.stack([images[tile, :, row : row + size, col : col + size] for tile, row, col in chosen.tolist()])
    return crops, inner[tuple(chosen.T)]


def _read(name: str) -> np.ndarray:
    with Image.open(ASSETS / "nuclei" / name) as picture:
        return np.array(picture)


def _to_images(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels)[:, None].float() / 255  # (N, 1, H, W)


def _renumber(instances: np.ndarray) -> np.ndarray:
    """The same nuclei, numbered 1, 2, ... without gaps; 0 stays 0."""
    numbers, renumbered = np.unique(np.append(0, instances), return_inverse=True)
    assert numbers[0] == 0
    return renumbered[1:].reshape(instances.shape).astype(np.int64)
