"""Nuclei: one real fluorescence picture with 125 hand-labelled nuclei (BBBC038, CC0), whole or cut into crops."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seglab.data.photos import ASSETS

TILE = 128  # the 512 x 512 picture is divided into 4 x 4 tiles; a tile belongs to one split only
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
