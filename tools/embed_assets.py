"""Make every file of seglab/data/assets/ from its public source. Maintainers run this; students never do.

    python tools/embed_assets.py --fashion dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb \\
        --stardist stardist-0.9.2.tar.gz --skimage path/to/site-packages/skimage/data

Needs scipy, tifffile and dpkg-deb. Inputs are checked by sha256, and the same inputs give the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

ASSETS = Path(__file__).resolve().parent.parent / "seglab" / "data" / "assets"

SHA256 = {
    "fashion": "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    "stardist": "65120fe0a092608f3d76fc664c67cdf147d02ac4a101937fb806a60a7bcb055a",
    "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "cell.png": "8d23a7fb81f7cc877cd09f330357fc7f595651306e84e17252f6e0a1b3f61515",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}
PHOTOS = sorted(name for name in SHA256 if "." in name)

# Fashion-MNIST label -> our class. Dresses (3) look like tops, and sandals (5) are mostly straps: both are left out.
CLASS_OF = {0: 1, 2: 1, 4: 1, 6: 1, 1: 2, 7: 3, 9: 3, 8: 4}
PER_CLASS = 480  # objects per class: two thirds train, one sixth val, one sixth test
SPLIT_OF = (0, 0, 0, 0, 1, 2)  # 0 train, 1 val, 2 test, by position within a class
INK = 12  # a Fashion-MNIST pixel above this belongs to the object; its background is exactly 0
BAG = 8


def main() -> None:
    """Check the sources, then write the assets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", type=Path, required=True, help="Debian package dataset-fashion-mnist (.deb)")
    parser.add_argument("--stardist", type=Path, required=True, help="source distribution stardist 0.9.2 (.tar.gz)")
    parser.add_argument("--skimage", type=Path, required=True, help="the data folder of scikit-image 0.26.0")
    parser.add_argument("--out", type=Path, default=ASSETS)
    args = parser.parse_args()
    check_sha256(args.fashion, SHA256["fashion"])
    check_sha256(args.stardist, SHA256["stardist"])
    for name in PHOTOS:
        check_sha256(args.skimage / name, SHA256[name])

    write_clothes(args.fashion, make_folder(args.out / "fashion_mnist"))
    write_nuclei(args.stardist, make_folder(args.out / "nuclei"))
    photos = make_folder(args.out / "photos")
    for name in PHOTOS:
        shutil.copyfile(args.skimage / name, photos / name)


def make_folder(path: Path) -> Path:
    """Make a folder, and its parents, unless it exists."""
    path.mkdir(parents=True, exist_ok=True)
    return path


def check_sha256(path: Path, expected: str) -> None:
    """Stop unless the file is exactly the one this script was written for."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise SystemExit(f"{path}: sha256 is {found}, expected {expected}")


def write_clothes(package: Path, folder: Path) -> None:
    """clothes.npz (grey values, opacity, class, split, index in the source) and the licence."""
    images, labels, licence = read_fashion(package)
    grey, alpha, source_index = [], [], []
    for label_group in ((0, 2, 4, 6), (1,), (7, 9), (8,)):
        quota = PER_CLASS // len(label_group)
        picked = []
        for label in label_group:
            good = (i for i in np.flatnonzero(labels == label) if is_clean(images[i], label))
            picked += [i for i, _ in zip(good, range(quota), strict=False)]
        for i in sorted(picked):
            fill, opacity = cut_out(images[i])
            grey.append(fill)
            alpha.append(opacity)
            source_index.append(i)

    source_index = np.array(source_index, dtype=np.uint16)
    classes = np.array([CLASS_OF[label] for label in labels[source_index]], dtype=np.uint8)
    rank = np.concatenate([np.arange((classes == c).sum()) for c in np.unique(classes)])
    write_arrays(
        folder / "clothes.npz",
        grey=np.stack(grey),
        alpha=np.stack(alpha),
        classes=classes,
        split=np.array(SPLIT_OF, dtype=np.uint8)[rank % len(SPLIT_OF)],
        source_index=source_index,
    )
    (folder / "COPYRIGHT.txt").write_text(licence, encoding="utf-8")


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """What `np.savez_compressed` writes, packed by LZMA: a fifth smaller, and `np.load` reads it as any other."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # with a date of its own, so that the same arrays give the same file
            entry.compress_type = zipfile.ZIP_LZMA
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def read_fashion(package: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """The 60,000 training images of Fashion-MNIST (uint8, 28 x 28), their labels, and the licence text."""
    unpacked = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:

        def read(path: str) -> bytes:
            return tar.extractfile(path).read()

        data = "./usr/share/datasets/fashion-mnist/train-"
        images = gzip.decompress(read(data + "images-idx3-ubyte.gz"))
        labels = gzip.decompress(read(data + "labels-idx1-ubyte.gz"))
        licence = read("./usr/share/doc/dataset-fashion-mnist/copyright").decode()
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)  # (60000, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8), licence


def object_mask(image: np.ndarray) -> np.ndarray:
    """Pixels of the object: ink, plus holes of at most 6 pixels. Larger holes, as under a handle, stay open."""
    ink = image > INK
    holes, count = ndimage.label(ndimage.binary_fill_holes(ink) & ~ink)
    sizes = ndimage.sum_labels(np.ones_like(holes), holes, np.arange(count + 1))
    return ink | ((holes > 0) & (sizes[holes] <= 6))


def is_clean(image: np.ndarray, label: int) -> bool:
    """Whether the object has a crisp outline and is in one piece; a bag must have a handle above, others no hole."""
    mask = object_mask(image)
    pieces, _ = ndimage.label(mask)
    largest = np.bincount(pieces.ravel(), minlength=2)[1:].max()
    holes = np.argwhere(ndimage.binary_fill_holes(mask) & ~mask)  # (pixels, 2)
    handle = 12 <= len(holes) <= 150 and holes[:, 0].max() < np.argwhere(mask)[:, 0].mean()
    as_expected = handle if label == BAG else len(holes) == 0
    crisp = (image[mask] > 60).mean() > 0.88
    return bool(mask.sum() >= 130 and largest >= 0.98 * mask.sum() and as_expected and crisp)


def cut_out(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Separate grey value and opacity, both uint8, so that the object can be enlarged without a dark seam.

    A pixel on the outline mixes object and black background. Its grey value is taken from the nearest pixel well
    inside, and its opacity is the ratio of the two. Parts too thin to have an inside keep their own values.
    """
    mask = object_mask(image)
    inside = ndimage.binary_erosion(mask)
    solid = inside | (mask & (ndimage.distance_transform_cdt(~inside, "chessboard") > 1))
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    fill = image[tuple(nearest)]  # (28, 28), defined everywhere
    ratio = np.clip(image * 255.0 / np.maximum(fill, 1), 0, 255)
    opacity = np.where(solid, 255, np.where(mask, ratio, 0))
    return fill, np.round(opacity).astype(np.uint8)


def write_nuclei(archive: Path, folder: Path) -> None:
    """image.png (8 bits), instances.png (0 = none, 1 to 125) and the licence of the package they came in."""
    import tifffile

    with tarfile.open(archive) as tar:

        def read(path: str) -> bytes:
            return tar.extractfile(f"stardist-0.9.2/{path}").read()

        image = tifffile.imread(io.BytesIO(read("stardist/data/images/img2d.tif")))  # (512, 512) uint16, 0 to 235
        labels = tifffile.imread(io.BytesIO(read("stardist/data/images/mask2d.tif")))  # (512, 512) uint16, gaps in ids
        (folder / "STARDIST_LICENSE.txt").write_bytes(read("LICENSE.txt"))
    _, instances = np.unique(labels, return_inverse=True)
    instances = instances.reshape(labels.shape)
    if image.max() > 255 or instances.max() != 125:
        raise SystemExit(f"nuclei: brightest pixel {image.max()}, {instances.max()} nuclei; expected <= 255 and 125")
    Image.fromarray(image.astype(np.uint8)).save(folder / "image.png", optimize=True)
    Image.fromarray(instances.astype(np.uint8)).save(folder / "instances.png", optimize=True)


if __name__ == "__main__":
    main()
