"""The course's photos, all CC0 or public domain; who took them is in assets/LICENSES.md."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ASSETS = Path(__file__).resolve().parent / "assets"

_FILES = {
    "brick": "brick.png",
    "camera": "camera.png",
    "cell": "cell.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}
PHOTOS = tuple(_FILES)


def photo(name: str) -> Tensor:
    """One photo, (3, H, W) float32 in [0, 1]; a grey photo has three equal channels.

    Raises:
        ValueError: no photo has this name; the message lists the names.
    """
    pixels = np.array(open_photo(name).convert("RGB"))  # (H, W, 3)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 255  # (3, H, W)


def open_photo(name: str) -> Image.Image:
    """The photo as a Pillow image, mode "RGB", or "L" if it is grey.

    Raises:
        ValueError: no photo has this name; the message lists the names.
    """
    if name not in _FILES:
        raise ValueError(f"there is no photo {name!r}; there are: {', '.join(PHOTOS)}")
    with Image.open(ASSETS / "photos" / _FILES[name]) as image:
        image.load()
        return image
