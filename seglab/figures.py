"""Figures for the lessons: colours that colour-blind readers can tell apart, overlays, grids, and alternative text.

In a notebook the background is the page's own, and letters and axes have the ink of its theme, light or dark.
"""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Text
from torch import Tensor

IGNORE_INDEX = 255

# Okabe and Ito (2008), with a dark grey for class 0 and without black; class 8 and up begin again at 1.
PALETTE = np.array(
    [
        (70, 70, 70),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (204, 121, 167),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
    ],
    dtype=np.uint8,
)
# The same colours for lines, bars and frames; orange is their vermilion, which reads well on both pages.
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
CONTACT_SHEET_SEED = 5
INK = {"light": "#1f1f1f", "dark": "#e3e3e3"}  # letters and axes, by the theme of the page
# A figure is there twice, and the page shows the one of its theme (JupyterLab's, or that of VS Code).
_BY_THEME = """<style>
.seglab-figure img { max-width: 100%; height: auto; background: none; }
.seglab-figure .seglab-dark { display: none; }
[data-jp-theme-light="false"] .seglab-figure .seglab-dark, .vscode-dark .seglab-figure .seglab-dark { display: inline; }
[data-jp-theme-light="false"] .seglab-figure .seglab-light, .vscode-dark .seglab-figure .seglab-light { display: none; }
</style>"""
IGNORE_COLOUR = np.array((255, 255, 255), dtype=np.uint8)


def class_colours(classes: Tensor) -> Tensor:
    """The colour of each class number, float32 in [0, 1], with one more dimension of size 3; 255 is white."""
    numbers = np.asarray(classes)
    if not np.issubdtype(numbers.dtype, np.integer) or (numbers.size and numbers.min() < 0):
        raise ValueError(f"class numbers have dtype {numbers.dtype} and may not be negative; expected integers >= 0")
    wrapped = np.where(numbers < len(PALETTE), numbers, (numbers - 1) % (len(PALETTE) - 1) + 1)
    colours = np.where((numbers == IGNORE_INDEX)[..., None], IGNORE_COLOUR, PALETTE[wrapped])
    return torch.from_numpy(colours).float() / 255


def overlay(image: Tensor, mask: Tensor, alpha: float = 0.55) -> Tensor:
    """A picture with its mask on top, (3, H, W) float32 in [0, 1]. Class 0 stays as it is.

    Args:
        image: (3, H, W) or (1, H, W) float in [0, 1].
        mask: (H, W) integer classes.
        alpha: opacity of the mask.

    Raises:
        ValueError: image and mask differ in height or width.
    """
    if image.shape[-2:] != mask.shape:
        raise ValueError(f"image is {tuple(image.shape)}, mask {tuple(mask.shape)}; height and width must agree")
    image = image.expand(3, -1, -1)  # (3, H, W)
    colours = class_colours(mask).permute(2, 0, 1)  # (3, H, W)
    return torch.where(mask > 0, (1 - alpha) * image + alpha * colours, image)


def show_images(
    pictures: Sequence[Tensor],
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    class_names: Sequence[str] | None = None,
    width: float = 9.0,
) -> Figure:
    """A grid of pictures, masks and maps, as a figure; hand it to `show`.

    Args:
        pictures: each is an image (3, H, W) or (1, H, W) float in [0, 1], or a class mask (H, W) of integers, or a
            float map (H, W), which is drawn from its smallest value (dark) to its largest (bright).
        titles: one per picture.
        columns: pictures per row; all in one row by default.
        class_names: adds a legend with these names for the classes 0, 1, 2, ...
        width: of the figure, in inches.

    Raises:
        ValueError: no pictures, another number of titles, or a picture of another shape.
    """
    if len(pictures) == 0:
        raise ValueError("there are no pictures to show")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"{len(titles)} titles for {len(pictures)} pictures")
    columns = min(columns or len(pictures), len(pictures))
    rows = -(-len(pictures) // columns)
    side = width / columns
    tall = max(picture.shape[-2] / picture.shape[-1] for picture in pictures)
    title_lines = max((title.count("\n") + 1 for title in titles), default=1) if titles else 0
    cell_height = side * tall + 0.24 * title_lines
    figure = Figure(figsize=(width, rows * cell_height + (0.4 if class_names else 0)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if index < len(pictures):
            _draw(axis, pictures[index])
            if titles is not None:
                axis.set_title(titles[index], fontsize=10)
    if class_names:
        add_legend(figure, class_names)
    return figure


def add_legend(figure: Figure, class_names: Sequence[str]) -> None:
    """A legend below the figure with the colour of each class."""
    colours = class_colours(torch.arange(len(class_names))).numpy()
    patches = [
        Patch(facecolor=colour, edgecolor="black", label=name)
        for colour, name in zip(colours, class_names, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=10)


def add_frame(axis, left: float, top: float, width: float, height: float | None = None, colour: str = "white") -> None:
    """A frame on a picture around `width` columns from `left` on and `height` rows from `top` on; square by default."""
    height = width if height is None else height
    box = Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=colour, linewidth=1.5)
    axis.add_patch(box)


def loss_curve(losses: Sequence[float], guessing: float, classes: int, title: str, scale: str = "linear") -> Figure:
    """The loss of every training step, and the loss of guessing among so many classes."""
    figure = Figure(figsize=(6, 2.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(range(1, len(losses) + 1), losses, color=BLUE, label="training")
    axis.axhline(guessing, color=ORANGE, linestyle="--", label=f"guessing, log {classes}")
    axis.set(title=title, xlabel="step", ylabel="loss of the batch", yscale=scale)
    if scale == "linear":
        axis.set_ylim(0, None)
    axis.legend(frameon=False, fontsize=9)
    return figure


def _draw(axis, picture: Tensor) -> None:
    """Draw an image, a class mask or a float map on an axis."""
    picture = picture.detach().cpu()
    if picture.ndim == 3 and picture.shape[0] in (1, 3):
        axis.imshow(picture.expand(3, -1, -1).permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
    elif picture.ndim == 2 and picture.is_floating_point():
        axis.imshow(picture.numpy(), cmap="viridis", interpolation="nearest")
    elif picture.ndim == 2:
        axis.imshow(class_colours(picture).numpy(), interpolation="nearest")
    else:
        raise ValueError(f"a picture has shape {tuple(picture.shape)}, expected (3, H, W), (1, H, W) or (H, W)")


def show(figure: Figure, alt: str) -> None:
    """Show a figure in the notebook with a text that says what it shows, for those who cannot see it.

    Outside a notebook the text is printed.

    Raises:
        ValueError: the text is empty.
    """
    if not alt.strip():
        raise ValueError("alt is empty; say in a sentence what the figure shows")
    alt = " ".join(alt.split())
    if not in_notebook():
        print(f"[figure] {alt}")
        return
    from IPython.display import display

    pictures = []
    for theme in INK:
        source = f"data:image/png;base64,{base64.b64encode(to_png(figure, theme=theme)).decode()}"
        pictures.append(f'<img class="seglab-{theme}" src="{source}" alt="{html.escape(alt)}">')
    markup = f'{_BY_THEME}<div class="seglab-figure">{"".join(pictures)}</div>'
    display({"text/html": markup, "text/plain": f"[figure] {alt}"}, raw=True)


def to_png(figure: Figure, dpi: int = 100, theme: str | None = None) -> bytes:
    """The figure as a PNG file: on opaque white, or, for a page of a theme ("light", "dark"), on no background."""
    buffer = io.BytesIO()
    if theme is None:
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white", bbox_inches="tight")
    else:
        with _in_ink(figure, INK[theme]):
            figure.savefig(buffer, format="png", dpi=dpi, facecolor="none", bbox_inches="tight")
    return buffer.getvalue()


@contextmanager
def _in_ink(figure: Figure, ink: str) -> Iterator[None]:
    """Whatever is black by default has another colour for a while, and what is white is empty; pictures stay."""
    figure.draw_without_rendering()  # some ticks only come into being now
    undo = []

    def paint(artist, what, when, colour):
        old = getattr(artist, f"get_{what}")()
        if _hex(old) == when:
            undo.append((getattr(artist, f"set_{what}"), old))
            undo[-1][0](colour)

    on_pictures = {
        text for axis in figure.axes if axis.images or axis.findobj(QuadMesh) for text in axis.texts
    }  # their colours were chosen for what lies below
    for artist in figure.findobj():
        if isinstance(artist, Text) and artist not in on_pictures:
            paint(artist, "color", "#000000", ink)
        elif isinstance(artist, Line2D):
            for what in ("color", "markeredgecolor", "markerfacecolor"):
                paint(artist, what, "#000000", ink)
        elif isinstance(artist, Patch):
            paint(artist, "edgecolor", "#000000", ink)
            paint(artist, "facecolor", "#ffffff", "none")
    try:
        yield
    finally:
        for put, old in reversed(undo):
            put(old)


def _hex(colour) -> str | None:
    try:
        return to_hex(colour)
    except ValueError:  # "none", "auto", one colour per item
        return None


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this code."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


def contact_sheet(columns: int = 6, size: int = 128) -> Figure:
    """Scenes of all three splits above their masks; python -m seglab.figures docs/contact_sheet.png"""
    from seglab.data.scenes import CLASSES, SPLITS, load_scenes

    loaded = [load_scenes(split, size=size, count=4, seed=CONTACT_SHEET_SEED) for split in SPLITS]
    images = torch.cat([scenes.images for scenes in loaded])
    masks = torch.cat([scenes.masks for scenes in loaded])
    pictures = []
    for row, answers in zip(images.split(columns), masks.split(columns), strict=True):
        pictures += [*row, *answers]
    return show_images(pictures, columns=columns, class_names=CLASSES)


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_bytes(to_png(contact_sheet(), dpi=120))
