"""The figures of lesson 06, and the film of the stamps."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image
from torch import Tensor

from seglab.figures import (
    _BY_THEME,
    BLUE,
    GREEN,
    INK,
    ORANGE,
    SKY,
    YELLOW,
    add_frame,
    in_notebook,
    show,
    to_png,
)

# A film is there four times: moving or still, light or dark. Paper and readers who want no motion get the still.
_ON_PAPER = """<style>
.seglab-film .seglab-still { display: none; }
@media print, (prefers-reduced-motion: reduce) {
  .seglab-film .seglab-moving { display: none; }
  .seglab-film .seglab-still { display: inline; }
}
</style>"""


@dataclass(frozen=True)
class Film:
    """Figures of one size, shown one after the other, and the figure that stands for them on paper."""

    frames: Sequence[Figure]
    still: Figure
    seconds: float = 1.0  # per frame; the last one stays three times as long
    rounds: int = 3  # then it rests at its last frame

    def show(self, alt: str) -> None:
        """Play it in the notebook, with a text that says what happens; outside a notebook the text is printed."""
        if not in_notebook():
            show(self.still, alt=alt)
            return
        from IPython.display import display

        alt = " ".join(alt.split())
        parts = []
        for kind, pictures in (
            ("moving", self.files()),
            ("still", {one: to_png(self.still, theme=one) for one in INK}),
        ):
            images = "".join(
                f'<img class="seglab-{theme}" src="data:image/png;base64,{base64.b64encode(picture).decode()}" '
                f'alt="{html.escape(alt)}">'
                for theme, picture in pictures.items()
            )
            parts.append(f'<span class="seglab-{kind}">{images}</span>')
        markup = f'{_BY_THEME}{_ON_PAPER}<div class="seglab-figure seglab-film">{"".join(parts)}</div>'
        display({"text/html": markup, "image/png": to_png(self.still), "text/plain": f"[film] {alt}"}, raw=True)

    def files(self) -> dict[str, bytes]:
        """The film for each theme, as a PNG file that moves (APNG): no script, no player, letters of full quality."""
        films = {}
        for theme in INK:
            pictures = [Image.open(io.BytesIO(to_png(frame, theme=theme))) for frame in self.frames]
            if len({picture.size for picture in pictures}) > 1:
                raise ValueError(f"the frames differ in size: {sorted({picture.size for picture in pictures})}")
            width, height = pictures[0].size
            strip = Image.new("RGBA", (width, height * len(pictures)))
            for number, picture in enumerate(pictures):
                strip.paste(picture, (0, number * height))
            strip = strip.quantize(64)  # one palette for all frames, as the format wants it
            pictures = [strip.crop((0, top, width, top + height)) for top in range(0, strip.height, height)]
            times = [int(1000 * self.seconds)] * (len(pictures) - 1) + [int(3000 * self.seconds)]
            buffer = io.BytesIO()
            pictures[0].save(buffer, "PNG", save_all=True, append_images=pictures[1:], duration=times, loop=self.rounds)
            films[theme] = buffer.getvalue()
        return films


def stamping(small: Tensor, stamp: Tensor, stride: int) -> Film:
    """A film of a transposed convolution: each number of `small` (H, W) lays `stamp` (k, k), multiplied by itself."""
    k, (rows, cols) = len(stamp), small.shape
    large = torch.zeros((rows - 1) * stride + k, (cols - 1) * stride + k)
    states = [(large.clone(), None)]  # the sum, and the place of the last stamp
    for row in range(rows):
        for col in range(cols):
            large[row * stride : row * stride + k, col * stride : col * stride + k] += small[row, col] * stamp
            states.append((large.clone(), (row, col)))
    top = 1.6 * large.max().item()

    frames = []
    for number, (total, place) in enumerate(states):
        figure = Figure(figsize=(8, 3.1), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=(rows, k, len(large)))
        _numbers(left, small, top, "small map")
        _numbers(middle, (0 if place is None else small[place].item()) * stamp, top, "number × stamp")
        _numbers(right, total, top, f"large map, {number} of {len(states) - 1} stamps")
        if place is not None:
            add_frame(left, place[1], place[0], 1, colour=ORANGE)
            add_frame(right, stride * place[1], stride * place[0], k, colour=ORANGE)
        # so that all frames have one size
        figure.add_artist(
            Rectangle((0, 0), 1, 1, transform=figure.transFigure, fill=False, linewidth=0, edgecolor="#808080")
        )
        frames.append(figure)

    still = Figure(figsize=(9, 3.2), layout="constrained")
    for axis, number in zip(still.subplots(1, 3), (1, 2, len(states) - 1), strict=True):
        total, place = states[number]
        _numbers(axis, total, top, f"{number} of {len(states) - 1} stamps")
        add_frame(axis, stride * place[1], stride * place[0], k, colour=ORANGE)
    return Film(frames, still)


def _numbers(axis, table: Tensor, top: float, title: str, kept: Tensor | None = None) -> None:
    """A table of numbers, tinted by value up to `top`; zeros are faint, and what is `kept` stands in orange frames."""
    axis.imshow(table, cmap="Blues", vmin=0, vmax=top)
    for row, values in enumerate(table.tolist()):
        for col, value in enumerate(values):
            colour = "#b0b0b0" if value == 0 else "black"
            axis.text(col, row, f"{value:g}", ha="center", va="center", fontsize=10, color=colour)
            if kept is not None and kept[row, col]:
                add_frame(axis, col, row, 1, colour=ORANGE)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()


def tables(numbers: Mapping[str, Tensor], kept: Mapping[str, Tensor] | None = None, width: float = 9) -> Figure:
    """Tables of numbers side by side, cells as large in each; `kept` frames some cells of the table of that name."""
    columns = [table.shape[1] for table in numbers.values()]
    tall = max(table.shape[0] for table in numbers.values())
    figure = Figure(figsize=(width, 0.4 + 0.92 * width * tall / (sum(columns) + len(columns))), layout="constrained")
    axes = figure.subplots(1, len(numbers), width_ratios=columns, squeeze=False)[0]
    top = 1.6 * max(table.max().item() for table in numbers.values())
    for axis, (title, table) in zip(axes, numbers.items(), strict=True):
        _numbers(axis, table, top, title, (kept or {}).get(title))
    return figure


def matrices(matrix: Tensor, kernel: Tensor) -> Figure:
    """A convolution's kernel, its matrix, and the matrix transposed."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    small, wide, tall = figure.subplots(1, 3, width_ratios=(3, 14, 5))
    top = 1.6 * kernel.max().item()
    _numbers(small, kernel, top, "kernel")
    for axis, table, title, size in (
        (wide, matrix, "A: gathers", 9),
        (tall, matrix.T, "A transposed: stamps", 7),
    ):
        _numbers(axis, table, top, title)
        axis.set_axis_on()
        for text in axis.texts:
            text.set_fontsize(size)
        axis.set(xticks=[], yticks=[])
    wide.set(xlabel="pixel of the picture", ylabel="place of the map")
    tall.set(xlabel="place of the map", ylabel="pixel of the picture")
    return figure


def staircase(sizes: Mapping[int, int]) -> Figure:
    """Size of a picture -> size of its map, a dot each; pictures that meet in one map are joined."""
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axis = figure.subplots()
    for map_size in sorted(set(sizes.values())):
        pictures = [size for size, its in sizes.items() if its == map_size]
        axis.plot(pictures, [map_size] * len(pictures), "o-", color=BLUE)
        back = 2 * map_size - 1
        if back in sizes:
            axis.plot(back, map_size, "s", color=ORANGE, markersize=11, fillstyle="none", markeredgewidth=2)
    axis.plot([], [], "o-", color=BLUE, label="convolution: picture to map")
    label = "transposed convolution: map to picture"
    axis.plot([], [], "s", color=ORANGE, markersize=9, fillstyle="none", markeredgewidth=2, label=label)
    axis.set(xlabel="size of the picture (pixels)", ylabel="size of the map", title="kernel 3, stride 2, padding 1")
    axis.set(xticks=list(sizes), yticks=sorted(set(sizes.values())))
    axis.margins(0.08, 0.14)
    axis.legend(fontsize=8, frameon=False)
    return figure


def close_ups_and_spectra(close_ups: Mapping[str, Tensor], spectra: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Above: a detail of each decoder's logits. Below: the power of its logits at each frequency, before and after."""
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, len(close_ups), height_ratios=(1.15, 1))
    for axis, (name, detail) in zip(upper, close_ups.items(), strict=True):
        image = axis.imshow(detail, cmap="viridis")
        axis.set(title=f"{name}: logits", xlabel="column (pixels)", ylabel="row (pixels)")
        figure.colorbar(image, ax=axis, shrink=0.8)
    for axis, (name, kinds) in zip(lower, spectra.items(), strict=True):
        for (kind, power), colour, line in zip(kinds.items(), (SKY, BLUE), ("--", "-"), strict=True):
            axis.semilogy(range(1, len(power)), power[1:] / power[1:].sum(), line, color=colour, label=kind)
        size = 2 * (len(power) - 1)
        for period in (8, 4, 2):
            axis.axvline(size / period, color=ORANGE, linestyle=":", linewidth=1.5)
        axis.set_xticks([size / period for period in (8, 4, 2)], ["8 px", "4 px", "2 px"])
        axis.set(title=f"{name}: spectrum", xlabel="period", ylabel="share of the power", ylim=(1e-4, 1))
        axis.legend(fontsize=8, frameon=False)
    return figure


def mirror_diagram() -> Figure:
    """The encoder, the vector in the middle, and the decoder as its mirror image; switches cross from left to right."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axis = figure.subplots()
    heights, sides = [3.0, 2.4, 1.85, 1.35, 0.95, 0.62], [128, 64, 32, 16, 8, 4]
    xs = [0.0, 0.95, 1.85, 2.7, 3.5, 4.25]
    for mirrored in (False, True):
        for number, (x, height, side) in enumerate(zip(xs, heights, sides, strict=True)):
            left = 11.1 - x - 0.45 if mirrored else x
            face = YELLOW if mirrored else SKY
            axis.add_patch(Rectangle((left, -height / 2), 0.45, height, facecolor=face, edgecolor="black"))
            axis.text(left + 0.22, -height / 2 - 0.1, f"{side}", ha="center", va="top", fontsize=8)
            if number:
                begin, end = (xs[number - 1] + 0.45, x) if not mirrored else (11.1 - x, 11.1 - xs[number - 1] - 0.45)
                axis.add_patch(FancyArrowPatch((begin, 0), (end, 0), arrowstyle="->", mutation_scale=9, color=BLUE))
    axis.add_patch(Rectangle((5.37, -0.22), 0.36, 0.44, facecolor="#f0e442", edgecolor="black"))
    axis.text(5.55, -0.32, "3", ha="center", va="top", fontsize=8)
    axis.text(5.55, -0.95, "dense", ha="center", va="top", fontsize=9)
    for begin, end in ((4.7, 5.37), (5.73, 6.4)):
        axis.add_patch(FancyArrowPatch((begin, 0), (end, 0), arrowstyle="->", mutation_scale=9, color=BLUE))
    for number in range(5):  # from between two maps to between their images
        x = (xs[number] + 0.45 + xs[number + 1]) / 2
        arrow = {"arrowstyle": "->", "connectionstyle": "arc3,rad=-0.28", "mutation_scale": 9, "linestyle": "--"}
        axis.add_patch(FancyArrowPatch((x, 0.08), (11.1 - x, 0.08), color=GREEN, **arrow))
    axis.text(5.55, 1.78, "switches", ha="center", va="bottom", fontsize=9, color=GREEN)
    axis.text(1.7, -2.05, "convolve, pool", ha="center", fontsize=9)
    axis.text(9.4, -2.05, "unpool, convolve transposed", ha="center", fontsize=9)
    axis.set(xlim=(-0.2, 11.3), ylim=(-2.2, 2.35))
    axis.set_axis_off()
    axis.set_title(
        "DeconvNet: a network and its mirror image (sides of the maps for a scene of 128 pixels)", fontsize=10
    )
    return figure


def learning_curves(curves: Mapping[str, Sequence[float]], steps: Sequence[int], floor: float) -> Figure:
    """mIoU on watched scenes after so many steps, for some networks, and that of all background."""
    figure = Figure(figsize=(6, 2.7), layout="constrained")
    axis = figure.subplots()
    for (name, values), colour, mark in zip(curves.items(), (BLUE, ORANGE, GREEN), "os^", strict=False):
        axis.plot(steps, values, f"{mark}-", color=colour, label=name)
    axis.axhline(floor, color="#999999", linestyle="--", label="all background")
    axis.set(xscale="log", xlabel="steps of 16 scenes", ylabel="mIoU", title="on scenes that were only watched")
    axis.set_xticks(steps, [f"{step:,}" for step in steps])
    axis.minorticks_off()
    axis.set_ylim(0, None)
    axis.legend(fontsize=8, frameon=False)
    return figure


def shares_by_size(shares: Mapping[str, Mapping[str, Sequence[float]]], edges: Sequence[int]) -> Figure:
    """For each panel, three in a row: bars of two networks over sizes of objects, which begin at these edges."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots(len(shares) // 3, 3, sharey=True, sharex=True)
    for axis, (title, networks) in zip(axes.flat, shares.items(), strict=True):
        for (name, values), shift, colour, hatch in zip(
            networks.items(), (-0.2, 0.2), (ORANGE, BLUE), ("//", ""), strict=True
        ):
            places = [place + shift for place in range(len(edges))]
            axis.bar(places, values, 0.4, color=colour, hatch=hatch, edgecolor="white", label=name)
        axis.set_xticks(range(len(edges)), [f"{edge:,}" for edge in edges])
        axis.set_title(title, fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("area from (square pixels)")
    for axis in axes[:, 0]:
        axis.set_ylabel("share of the objects")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def parameter_bars(parts: Mapping[str, int]) -> Figure:
    """How many parameters each part of a network has."""
    figure = Figure(figsize=(7, 2.2), layout="constrained")
    axis = figure.subplots()
    names, counts = list(parts), [count / 1e6 for count in parts.values()]
    axis.barh(range(len(names)), counts, color=[ORANGE if "fc" in name else BLUE for name in names])
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    for number, count in enumerate(counts):
        axis.text(count + 1, number, f"{count:.1f}", va="center", fontsize=9)
    axis.set(xlabel="parameters (millions)", title="the original DeconvNet, 251.8 million in all", xlim=(0, 118))
    return figure
