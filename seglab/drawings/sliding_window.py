"""The figures of lesson 02."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from seglab.figures import BLUE, YELLOW, add_frame, show_images
from seglab.results import SIZES

WINDOW = 64
FATES = {"its class": BLUE, "another garment": YELLOW, "background": "#b0b0b0"}


def windows_on_scene(
    scene: Tensor, truth: Tensor, corners: Sequence[tuple[int, int]], class_names: Sequence[str]
) -> Figure:
    """A scene with windows, given by (left, top), and a dot in the middle of each; beside it the true mask."""
    figure = show_images([scene, truth], ["scene with four of its windows", "truth"], class_names=class_names)
    axis, middle = figure.axes[0], (WINDOW - 1) / 2
    for left, top in corners:
        add_frame(axis, left, top, WINDOW)
        axis.plot(left + middle, top + middle, "o", color="white", markersize=4)
    return figure


def crops_with_crosses(crops: Tensor, titles: Sequence[str]) -> Figure:
    """Crops with a cross in the middle, where the label comes from."""
    figure = show_images(crops, titles, columns=5, width=8)
    for axis in figure.axes:
        axis.plot(*2 * [(crops.shape[-1] - 1) / 2], "+", color="white", markersize=12)
    return figure


def work_and_time(ways: Sequence[str], multiply_adds: Sequence[float], seconds: Sequence[float]) -> Figure:
    """Two rows of bars: multiply-adds and seconds of each way, as multiples of the first."""
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    panels = {"multiply-adds": multiply_adds, "seconds of this run": seconds}
    for axis, (title, values) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        axis.bar_label(axis.barh(ways, values, color=BLUE), fmt="%.1f", padding=3)
        axis.set(title=title, xlabel=f"{ways[0]} = 1")
        axis.margins(x=0.15)
    return figure


def window_and_differences(window: Tensor, padded: Tensor, valid: Tensor) -> Figure:
    """A window, and where its features differ from those cut out of the whole picture, with and without padding."""
    titles = ["a window in the middle", "with padding: difference, 8 × 8", "without padding: none, 6 × 6"]
    figure = show_images([window, padded, valid], titles)
    figure.axes[2].images[0].set_clim(0, padded.max())
    return figure


def fates_by_size(fates: Mapping[str, Tensor], columns: int) -> Figure:
    """For each title a panel of bars, one per size: what the pixels of objects were painted as, (4, 3) shares."""
    rows = len(fates) // columns
    figure = Figure(figsize=(9, 2.1 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis, (title, shares) in zip(axes.flat, fates.items(), strict=True):
        start = 0 * shares[:, 0]
        for (name, colour), share in zip(FATES.items(), shares.T, strict=True):
            axis.bar(range(len(SIZES)), share, bottom=start, color=colour, label=name)
            start = start + share
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(SIZES)), [name.replace(" and more", " +") for name in SIZES], fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("share of pixels")
    for axis in axes[-1]:
        axis.set_xlabel("size of the object (px²)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, title="painted as")
    return figure
