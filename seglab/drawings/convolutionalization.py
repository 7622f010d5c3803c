"""The figures of lesson 03."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from seglab.figures import GREEN, YELLOW, add_frame, add_legend, class_colours, show_images

GREY = "#8c8c8c"


def crops_with_answers(crops: Tensor, truth: Tensor, answers: Tensor, class_names: Sequence[str]) -> Figure:
    """Ten crops, and over each its class and what the classifier says."""
    titles = [f"{class_names[t]}\nLeNet: {class_names[a]}" for t, a in zip(truth, answers, strict=True)]
    return show_images(crops, titles, columns=5, width=8)


def one_window(scene: Tensor, noisy: Tensor, moved: Tensor, row: int, col: int) -> Figure:
    """A scene, the same with noise outside one window of 32 pixels, and how far each answer of the map moved."""
    titles = ["scene, and one window", "only the window kept", "change of the answers, dark = none"]
    figure = show_images([scene, noisy, moved.sqrt()], titles)
    for axis in figure.axes[:2]:
        add_frame(axis, 4 * col, 4 * row, 32)
    add_frame(figure.axes[2], col - 2, row - 2, 5)
    return figure


def map_and_probabilities(pictures: Mapping[str, Tensor], class_names: Sequence[str]) -> Figure:
    """Pictures and maps in two rows; maps of probabilities have one scale, from 0 (dark) to 1 (bright)."""
    figure = show_images(list(pictures.values()), list(pictures), columns=3, class_names=class_names)
    for axis, picture in zip(figure.axes, pictures.values(), strict=True):
        if picture.ndim == 2 and picture.is_floating_point():
            axis.images[0].set_clim(0, 1)
    return figure


def hollow(
    maps: Mapping[str, Tensor], shares: Mapping[str, Mapping[str, Sequence[float]]], class_names: Sequence[str]
) -> Figure:
    """Above: class maps of one scene. Below: what networks say of windows, one chart per kind of window.

    shares: kind of window -> name of a network and its pictures -> shares that are right, of another class of
    clothes, and called background; they add up to 1.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2.5, 2.6))
    for axis, (title, labels) in zip(above.subplots(1, len(maps)), maps.items(), strict=True):
        axis.imshow(class_colours(labels).numpy(), interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    add_legend(above, class_names)
    for axis, (title, bars) in zip(below.subplots(1, len(shares), sharey=True), shares.items(), strict=True):
        left = [0.0] * len(bars)
        for part, colour in enumerate((GREEN, YELLOW, GREY)):
            widths = [values[part] for values in bars.values()]
            label = ("right", "other clothes", "background")[part]
            axis.barh(list(bars), widths, left=left, color=colour, label=label)
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axis.set(title=title, xlabel="share of the windows", xlim=(0, 1))
        axis.title.set_fontsize(10)
        axis.invert_yaxis() if axis is below.axes[0] else None
    below.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def scales(scenes: Sequence[tuple[Tensor, ...]], titles: Sequence[str], class_names: Sequence[str]) -> Figure:
    """A row per scene: the scene, its truth, and the class maps of the same network at several sizes."""
    pictures = [picture for row in scenes for picture in row]
    blank = [""] * (len(pictures) - len(titles))
    return show_images(pictures, [*titles, *blank], columns=len(titles), class_names=class_names)


def kernel_numbers(orders: Mapping[str, Tensor], channel: int = 1) -> Figure:
    """Which of the 400 weights of a dense unit become the 5 x 5 kernel of one channel, for each order of reading."""
    figure = Figure(figsize=(9, 3.1), layout="constrained")
    for axis, (name, order) in zip(figure.subplots(1, len(orders)), orders.items(), strict=True):
        image = axis.pcolormesh(range(5), range(5), order[channel], vmin=0, vmax=400, cmap="cividis")
        axis.set_aspect("equal")
        axis.invert_yaxis()
        for (row, col), number in _each(order[channel]):
            axis.text(col, row, number, ha="center", va="center", color="white" if number < 200 else "black")
        axis.set(title=name, xlabel="column of the kernel", ylabel="row of the kernel")
        axis.set(xticks=range(5), yticks=range(5))
    figure.colorbar(image, ax=figure.axes, label="number of the weight")
    return figure


def _each(table: Tensor) -> list[tuple[tuple[int, int], int]]:
    return [((row, col), value) for row, values in enumerate(table.tolist()) for col, value in enumerate(values)]
