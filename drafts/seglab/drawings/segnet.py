"""The figures of lesson 07."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from seglab.figures import BLUE, GREEN, ORANGE, PINK, SKY, YELLOW

STYLES = ((ORANGE, "o-"), (BLUE, "s--"), (GREEN, "^-."), (PINK, "v:"))


def maps_in_a_row(maps: Mapping[str, Tensor], tints: Sequence[int] | None = None) -> Figure:
    """Small maps of numbers with cells of one size; zeros are left pale.

    tints: for each map the number of the map from whose largest value its colours are taken; its own by default.
    """
    figure = Figure(figsize=(9, 2.5), layout="constrained")
    side = max(max(values.shape) for values in maps.values())
    tables = list(maps.values())
    for number, (axis, (title, table)) in enumerate(zip(figure.subplots(1, len(maps)), maps.items(), strict=True)):
        largest = tables[tints[number] if tints else number].max()
        axis.imshow(table, cmap="Blues", vmin=0, vmax=1.8 * largest)
        for row, values in enumerate(table.tolist()):
            for col, value in enumerate(values):
                axis.text(col, row, f"{value:.3g}", ha="center", va="center", fontsize=10)
        height, width = table.shape
        axis.set(xlim=(width / 2 - 0.5 - side / 2 - 0.1, width / 2 - 0.4 + side / 2), title=title)
        axis.set_ylim(height / 2 - 0.4 + side / 2, height / 2 - 0.6 - side / 2)
        axis.title.set_fontsize(10)
        axis.set_axis_off()
    return figure


def segnet_diagram() -> Figure:
    """Five stages down and five stages up as boxes; beside each pooling an arrow hands its switches over."""
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    axis = figure.subplots()
    heights, step = (3.0, 2.4, 1.8, 1.3, 0.9), 0.95
    for stage, height in enumerate(heights):
        for x, face in ((stage * step, SKY), (10.6 - stage * step, YELLOW)):
            axis.add_patch(Rectangle((x, -height / 2), 0.5, height, facecolor=face, edgecolor="black"))
        side = 128 >> stage
        for x in (stage * step, 10.6 - stage * step):
            axis.text(x + 0.25, height / 2 + 0.08, f"{side} × {side}", ha="center", va="bottom", fontsize=8)
        below = -1.75 - 0.45 * (4 - stage)
        begin, end = stage * step + 0.72, 10.6 - stage * step - 0.22
        axis.plot([begin, begin, end], [-0.3, below, below], color=GREEN, linewidth=1.2)
        axis.add_patch(FancyArrowPatch((end, below), (end, -0.2), arrowstyle="->", mutation_scale=11, color=GREEN))
        axis.text(5.55, below + 0.09, f"switches {side // 2} × {side // 2}", ha="center", fontsize=8, color=GREEN)
    axis.add_patch(Rectangle((5.3, -0.35), 0.5, 0.7, facecolor=PINK, edgecolor="black"))
    axis.text(5.55, 0.43, "4 × 4", ha="center", va="bottom", fontsize=8)
    places = [*(stage * step for stage in range(5)), 5.3, *(10.6 - stage * step for stage in range(4, -1, -1))]
    for begin, end in pairwise(places):
        axis.add_patch(FancyArrowPatch((begin + 0.5, 0), (end, 0), arrowstyle="->", mutation_scale=9, color=BLUE))
    axis.text(2.1, 2.05, "encoder: convolve, then pool", ha="center", fontsize=9)
    axis.text(9.0, 2.05, "decoder: unpool, then convolve", ha="center", fontsize=9)
    axis.set(xlim=(-0.3, 11.4), ylim=(-3.75, 2.4))
    axis.set_axis_off()
    axis.set_title("SegNet: each unpooling has the switches of its pooling", fontsize=10)
    return figure


def bytes_bars(sizes: Mapping[str, Mapping[str, int]]) -> Figure:
    """Bytes on a logarithmic axis: a group of bars for each setting, a bar for each way of keeping."""
    figure = Figure(figsize=(8, 2.9), layout="constrained")
    axis = figure.subplots()
    kinds = list(next(iter(sizes.values())))
    for number, (kind, colour) in enumerate(zip(kinds, (GREEN, BLUE, ORANGE), strict=True)):
        places = [group + 0.26 * (number - 1) for group in range(len(sizes))]
        values = [one[kind] for one in sizes.values()]
        axis.barh(places, values, height=0.22, color=colour, label=kind)
        for place, value in zip(places, values, strict=True):
            axis.text(value * 1.1, place, f"{value:,}", va="center", fontsize=8)
    axis.set_yticks(range(len(sizes)), list(sizes))
    axis.invert_yaxis()
    axis.set(xscale="log", xlim=(1e4, 6e8), xlabel="bytes for one picture", title="what the decoder needs kept")
    axis.set_ylabel("network and picture")
    axis.title.set_fontsize(10)
    figure.legend(fontsize=8, ncols=3, loc="outside lower center", frameon=False)
    return figure


def outlines(truth: Tensor, answers: Mapping[str, Tensor], contours: Sequence[Tensor], true_contour: Tensor) -> Figure:
    """Answers over the truth, both (H, W) bool: their pixels, the contour of each, and that of the truth as a line."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots(1, len(answers) + 1, sharey=True)
    shown = [("truth", truth, true_contour), *((n, a, c) for (n, a), c in zip(answers.items(), contours, strict=True))]
    for axis, (title, inside, contour) in zip(axes, shown, strict=True):
        axis.imshow(inside.float() + contour.float(), cmap="Blues", vmin=0, vmax=2.6)
        rows, cols = truth.nonzero().T
        box = (cols.min() - 0.5, rows.min() - 0.5)
        size = (cols.max() - cols.min() + 1, rows.max() - rows.min() + 1)
        axis.add_patch(Rectangle(box, *size, fill=False, edgecolor=ORANGE, linewidth=2))
        axis.set(title=title, xlabel="column (pixels)")
        axis.title.set_fontsize(10)
    axes[0].set_ylabel("row (pixels)")
    return figure


def outline_curves(panels: Mapping[str, Mapping[str, Sequence[float]]], tolerances: Sequence[int]) -> Figure:
    """Boundary F over tolerances: a panel for each title, a line for each name."""
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (name, values), (colour, style) in zip(lines.items(), STYLES, strict=False):
            axis.plot(tolerances, values, style, color=colour, label=name)
        axis.set(title=title, xlabel="tolerance (pixels)", ylim=(0, 1.02), xticks=tolerances)
        axis.title.set_fontsize(10)
        axis.legend(fontsize=8, frameon=False)
    figure.axes[0].set_ylabel("boundary F, mean of the classes")
    return figure


def losses_side_by_side(losses: Mapping[str, Sequence[float]], title: str) -> Figure:
    """The loss of every step of several trainings, on a logarithmic scale."""
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axis = figure.subplots()
    for (name, values), (colour, style) in zip(losses.items(), STYLES, strict=False):
        axis.plot(range(1, len(values) + 1), values, style[1:], color=colour, label=name)
    axis.set(title=title, xlabel="step", ylabel="loss of the batch", yscale="log")
    axis.title.set_fontsize(10)
    axis.legend(fontsize=9, frameon=False)
    return figure


def by_stage(
    panels: Mapping[str, Mapping[str, Sequence[float]]], untouched: Mapping[str, Mapping[str, float]], ticks
) -> Figure:
    """For each title a panel: a line for each score over the stages, and a thin line where nothing was changed."""
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (name, values), (colour, style) in zip(lines.items(), STYLES, strict=False):
            axis.plot(range(len(values)), values, style, color=colour, label=name)
            axis.axhline(untouched[title][name], color=colour, linewidth=1, linestyle=":")
        axis.set(title=title, xlabel="stage whose switches are shuffled", ylim=(0, 1.02))
        axis.set_xticks(range(len(ticks)), ticks, fontsize=8)
        axis.title.set_fontsize(10)
    axes[0].set_ylabel("score")
    axes[0].legend(fontsize=8, frameon=False, loc="lower left")
    return figure
