"""The figures of lesson 01."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from seglab.figures import BLUE, GREEN, ORANGE, PINK, SKY, YELLOW, class_colours, show_images


def moved_maps(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Figure:
    """Two rows: a window and one channel of each map made of it, for the window and for a moved one.

    A map (1, channels, side, side) shows the channel that varies most in the upper row, in the same colours in both.
    """
    pictures, titles, channels = [], [], {}
    for row, maps in (("", before), ("moved, ", after)):
        for name, stack in maps.items():
            side = stack.shape[-1]
            titles.append(f"{row}{name}\n{side} × {side}")
            if name == "window":
                pictures.append(stack[0])
                continue
            channels.setdefault(name, stack[0].std((1, 2)).argmax())
            pictures.append(stack[0, channels[name]])
    figure = show_images(pictures, titles, columns=len(before), width=8)
    for upper, lower in zip(figure.axes[: len(before)], figure.axes[len(before) :], strict=True):
        lower.images[0].set_clim(upper.images[0].get_clim())
    return figure


def pushes(probabilities: Tensor, gradient: Tensor, labels: Sequence[int]) -> Figure:
    """Bars of the probabilities (pixels, classes) above bars of the gradient; the true class is hatched."""
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    axes = figure.subplots(2, len(labels), sharex=True, sharey="row")
    names = [str(number) for number in range(probabilities.shape[1])]
    for pixel, label in enumerate(labels):
        for axis, values in zip(axes[:, pixel], (probabilities[pixel], gradient[pixel]), strict=True):
            bars = axis.bar(names, values.tolist(), color=SKY, edgecolor=SKY)
            axis.axhline(0, color=BLUE, linewidth=0.8)
            if label < len(names):
                bars[label].set(facecolor=YELLOW, edgecolor=ORANGE, hatch="///")
        said = f"class {label}" if label < len(names) else f"not labelled ({label})"
        axes[0, pixel].set_title(f"pixel {divmod(pixel, 2)}: {said}", fontsize=10)
        axes[1, pixel].set_xlabel("class")
    axes[0, 0].set_ylabel("probability")
    axes[1, 0].set_ylabel("gradient")
    true = Patch(facecolor=YELLOW, edgecolor=ORANGE, hatch="///", label="true class")
    handles = [true, Patch(facecolor=SKY, label="other class")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def two_histograms(counts: Tensor, crossings: Sequence[float], learned: float) -> Figure:
    """Histograms of brightness by class (2, 256), each class as shares of itself, and as numbers of pixels."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    brightness = torch.arange(counts.shape[1]) / 255
    shares = counts / counts.sum(1, keepdim=True)
    shown = brightness <= 0.4
    for axis, values, crossing, what in zip(
        figure.subplots(1, 2),
        (shares, counts / 1000),
        crossings,
        ("share of the class", "thousands of pixels"),
        strict=True,
    ):
        for number, (name, colour, line) in enumerate((("background", BLUE, "-"), ("nucleus", ORANGE, "--"))):
            axis.plot(brightness[shown], values[number][shown], color=colour, linestyle=line, label=name)
        axis.axvline(crossing, color=PINK, linestyle=":", label="the curves cross")
        axis.axvline(learned, color=GREEN, linestyle="-.", label="learned threshold")
        axis.set(title=f"{what}: crossing at {crossing:.3f}", xlabel="brightness, 0 to 1", ylabel=what)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def masks_and_errors(images: Tensor, truth: Tensor, answer: Tensor) -> Figure:
    """Per picture a row: the picture, the true mask, the answer, and where it is wrong; masks and errors each have
    colours and a legend of their own."""
    kinds = {"too much": PINK, "missed": SKY}
    pictures, titles = [], []
    for image, right, got in zip(images, truth, answer, strict=True):
        errors = 0.6 * image.expand(3, -1, -1)  # (3, H, W)
        for colour, wrong in zip(kinds.values(), (got > right, got < right), strict=True):
            paint = torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])  # (3,)
            errors = torch.where(wrong, paint[:, None, None], errors)
        pictures += [image, right, got, errors]
        titles += ["test tile", "truth", "answer", "errors"]
    figure = show_images(pictures, titles, columns=4, width=9)
    figure.set_size_inches(9, figure.get_figheight() + 0.5)
    grey, yellow = class_colours(torch.arange(2)).numpy()
    masks = [Patch(facecolor=grey, label="background"), Patch(facecolor=yellow, label="nucleus")]
    errors = [Patch(facecolor=colour, label=name) for name, colour in kinds.items()]
    for handles, title, place in ((masks, "in the masks", "left"), (errors, "in the errors", "right")):
        figure.legend(handles=handles, title=title, loc=f"outside lower {place}", ncols=2, frameon=False, fontsize=9)
    return figure


def squares(start: int, shift: int, side: int, curves: Mapping[int, Sequence[float]]) -> Figure:
    """Left: a square and its copy, moved along the diagonal. Right: IoU against the shift, by side of the square."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    for corner, colour, name, line in ((start, BLUE, "truth", "-"), (start + shift, ORANGE, "answer", "--")):
        left.add_patch(Rectangle((corner, corner), side, side, facecolor=colour, alpha=0.35))
        look = {"fill": False, "edgecolor": colour, "linewidth": 2, "linestyle": line}
        left.add_patch(Rectangle((corner, corner), side, side, label=name, **look))
    left.set(xlim=(0, 32), ylim=(32, 0), aspect="equal", xlabel="column (pixels)", ylabel="row (pixels)")
    left.set_title(f"IoU = {curves[side][shift]:.2f}")
    left.legend(frameon=False, loc="lower left", fontsize=9)
    for (length, ious), look in zip(curves.items(), ("o-", "s--", "^-."), strict=True):
        right.plot(range(len(ious)), ious, look, label=f"{length} × {length} pixels")
    for line, colour in zip(right.lines, (BLUE, ORANGE, GREEN), strict=True):
        line.set_color(colour)
    right.set(title="a square, moved along the diagonal", ylabel="IoU", ylim=(0, 1.05))
    right.set_xlabel("moved by, in each direction (pixels)")
    right.legend(frameon=False, fontsize=9)
    return figure


def convention_bars(scores: Mapping[str, float], ours: str) -> Figure:
    """A bar per convention of the mean IoU, one of them in another colour."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axis = figure.subplots()
    heights = [0.0 if value != value else value for value in scores.values()]
    colours = [YELLOW if name == ours else SKY for name in scores]
    bars = axis.barh(list(scores), heights, color=colours, edgecolor=colours)
    axis.bar_label(bars, ["nan" if value != value else f"{value:.4f}" for value in scores.values()], padding=4)
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=8)
    axis.set(title='the same 15 pixels, eight times "mean IoU"', xlabel="mean IoU", ylabel="convention", xlim=(0, 1))
    return figure
