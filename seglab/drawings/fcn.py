"""The figures of lesson 05."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from seglab.figures import BLUE, GREEN, ORANGE, SKY, YELLOW, add_frame, show_images


def number_tables(tables: Mapping[str, Tensor]) -> Figure:
    """Small square tables of numbers, each cell tinted by its value."""
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for axis, (title, table) in zip(figure.subplots(1, len(tables)), tables.items(), strict=True):
        axis.imshow(table, cmap="Blues", vmax=1.8 * table.max())
        for row, values in enumerate(table.tolist()):
            for col, value in enumerate(values):
                axis.text(col, row, f"{value:g}", ha="center", va="center", fontsize=11)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    return figure


def roofs_and_stamp(roofs: Sequence[Tensor], stamp: Tensor) -> Figure:
    """Left: the stamps of a row of cells, and their sum. Right: one stamp from above."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 1))
    columns = torch.arange(len(roofs[0]))
    for cell, (values, line) in enumerate(zip(roofs, ("-", "--", "-.", ":"), strict=True)):
        above = values > 0
        left.plot(columns[above], values[above], line, color=BLUE, label=f"stamp of cell {cell}")
    left.plot(columns, sum(roofs), color=ORANGE, linewidth=2.5, label="their sum")
    left.set(xlabel="column of the large map (pixels)", ylabel="weight", title="a row of four cells, enlarged by 32")
    image = right.imshow(stamp, cmap="viridis")
    right.set(title="one stamp, 64 × 64", xlabel="column (pixels)", ylabel="row (pixels)")
    figure.colorbar(image, ax=right, label="weight")
    figure.legend(fontsize=8, ncols=5, loc="outside lower center", frameon=False)
    return figure


def learned_stamp(before: Tensor, after: Tensor) -> Figure:
    """A stamp before and after training, from above and along its middle row."""
    figure = Figure(figsize=(9, 2.7), layout="constrained")
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1.6))
    for axis, stamp, title in ((first, before, "the roof"), (second, after, "after training")):
        image = axis.imshow(stamp, cmap="viridis", vmin=min(0, after.min()), vmax=max(before.max(), after.max()))
        axis.set(title=title, xlabel="column (pixels)", ylabel="row (pixels)")
    figure.colorbar(image, ax=second, label="weight")
    middle = len(before) // 2
    third.plot(before[middle], "--", color=BLUE, label="the roof")
    third.plot(after[middle], color=ORANGE, label="after training")
    third.set(title="along the middle row", xlabel="column (pixels)", ylabel="weight")
    third.legend(fontsize=8)
    return figure


def fcn_diagram() -> Figure:
    """Five stages as boxes whose height is the size of their map, and the ways of FCN-32s, 16s and 8s back."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axis = figure.subplots()
    sides, places = [128, 64, 32, 16, 8, 4], [0, 1.3, 2.4, 3.4, 4.3, 5.1]
    heights = [3.0, 2.4, 1.8, 1.3, 0.9, 0.55]
    for number, (x, side, height) in enumerate(zip(places, sides, heights, strict=True)):
        axis.add_patch(Rectangle((x, -height / 2), 0.5, height, facecolor=SKY, edgecolor="black"))
        name = "picture" if number == 0 else f"stage {number}"
        axis.text(x + 0.25, height / 2 + 0.08, f"{name}\n{side} × {side}", ha="center", va="bottom", fontsize=8)
    scores = {5: (7.0, 0.55), 4: (7.0, -1.0), 3: (7.0, -2.5)}
    for stage, (x, y) in scores.items():
        axis.add_patch(Rectangle((x, y - 0.25), 1.15, 0.5, facecolor="#f0e442", edgecolor="black"))
        axis.text(x + 0.57, y, f"scores {2 ** (7 - stage)} × {2 ** (7 - stage)}", ha="center", va="center", fontsize=8)
        begin = (places[stage] + 0.25, -heights[stage] / 2) if stage < 5 else (places[5] + 0.5, 0)
        bend = "angle,angleA=-90,angleB=180,rad=6" if stage < 5 else "arc3,rad=-0.1"
        arrow = {"arrowstyle": "->", "connectionstyle": bend, "mutation_scale": 12, "color": GREEN}
        axis.add_patch(FancyArrowPatch(begin, (x, y), **arrow))
    names = {"FCN-32s": 0.55, "FCN-16s": -1.0, "FCN-8s": -2.5}
    for (name, y), factor in zip(names.items(), (32, 16, 8), strict=True):
        axis.add_patch(FancyArrowPatch((8.15, y), (10.3, y), arrowstyle="->", mutation_scale=12, color=ORANGE))
        axis.text(9.2, y + 0.08, f"enlarge by {factor}", ha="center", va="bottom", fontsize=8)
        axis.text(10.4, y, name, ha="left", va="center", fontsize=10)
    for upper, lower in ((0.55, -1.0), (-1.0, -2.5)):
        axis.add_patch(
            FancyArrowPatch((7.57, upper - 0.25), (7.57, lower + 0.25), arrowstyle="->", mutation_scale=12, color=BLUE)
        )
        axis.text(7.65, (upper + lower) / 2, "enlarge by 2, add", va="center", fontsize=8)
    axis.text(3.6, -2.75, "skips: a 1 × 1 convolution each", fontsize=8, color=GREEN)
    axis.set(xlim=(-0.2, 11.4), ylim=(-3.0, 2.2))
    axis.set_axis_off()
    axis.set_title("FCN: one way down, three ways back", fontsize=10)
    return figure


def boxed(
    scenes, masks: Tensor, numbers: Sequence[int], wanted: Sequence[Sequence[int]], titles, class_names
) -> Figure:
    """Scenes above masks, with a box around each wanted object: `wanted` holds instance numbers per scene."""
    figure = show_images([*scenes.images[numbers], *masks[numbers]], titles, columns=4, class_names=class_names)
    for place, number in enumerate(numbers):
        for instance in wanted[place]:
            rows, cols = (scenes.instances[number] == instance).nonzero().T
            width, height = cols.max() - cols.min() + 5, rows.max() - rows.min() + 5
            for axis in (figure.axes[place], figure.axes[len(numbers) + place]):
                add_frame(axis, cols.min() - 2, rows.min() - 2, width, height)
    return figure


def deep_inside(instances: Tensor, side: int) -> tuple[int, int, int]:
    """Scene, row and column of the square, `side` pixels wide, that lies most fully within one object.

    instances: (N, H, W) int64.
    """
    best, place = -1.0, (0, 0, 0)
    for number, scene in enumerate(instances):
        objects = F.one_hot(scene).permute(2, 0, 1)[1:].float()  # (objects, H, W)
        share = F.avg_pool2d(objects, side, stride=4).amax(0)  # (H', W')
        row, col = divmod(share.argmax().item(), share.shape[1])
        if share.max() > best:
            best, place = share.max().item(), (number, 4 * row + side // 2, 4 * col + side // 2)
    return place


def fields_on(picture: Tensor, row: int, col: int, fields: Mapping[str, int]) -> Figure:
    """A picture with the squares that a place of each stage sees, all about the same pixel."""
    figure = show_images([picture], ["what one place of a stage sees"], width=3.6)
    axis = figure.axes[0]
    for (name, side), colour in zip(fields.items(), (YELLOW, SKY, "#f0e442"), strict=True):
        square = Rectangle((col - side / 2, row - side / 2), side, side, fill=False, edgecolor=colour, linewidth=2)
        square.set_label(f"{name}: {side} pixels")
        axis.add_patch(square)
    height, width = picture.shape[-2:]
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    figure.legend(fontsize=8, ncols=3, loc="outside lower center", frameon=False)
    return figure


def maps_on_columns(maps: Mapping[str, tuple[float, float]]) -> Figure:
    """Where the cells of each map lie on the columns of the picture: name -> middle of the first cell, and jump."""
    figure = Figure(figsize=(9, 3.0), layout="constrained")
    axis = figure.subplots()
    for level, (first, jump) in enumerate(maps.values()):
        for cell in range(200):
            middle = first + cell * jump
            if -34 < middle < 80:
                face = SKY if middle >= 0 else YELLOW
                edge = "black" if jump > 1 else "none"
                axis.barh(-level, jump, left=middle - jump / 2, height=0.6, facecolor=face, edgecolor=edge)
                if jump > 1:
                    axis.plot(middle, -level, ".", color="black", markersize=4)
    axis.axvline(-0.5, linestyle="--", linewidth=1, color=ORANGE)
    axis.text(-18, 1 - len(maps), "crop 19", ha="left", va="center", fontsize=9)
    axis.set_yticks([-level for level in range(len(maps))], list(maps))
    note = "column of the picture (pixels); dots: middles of cells; orange: middle outside the picture"
    axis.set(xlim=(-30, 62), xlabel=note)
    axis.set_title("where the maps of the original FCN lie", fontsize=10)
    return figure
