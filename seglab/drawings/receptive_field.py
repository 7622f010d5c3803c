"""The figures of lesson 04."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from seglab.data.nuclei import NUCLEUS_CLASSES
from seglab.data.scenes import CLASSES
from seglab.figures import BLUE, GREEN, ORANGE, PINK, add_frame, add_legend, overlay, show_images

LOOKS = {"full resolution": (ORANGE, "//"), "dilated": (PINK, ".."), "compressed": (BLUE, "")}  # colour and hatch
Chain = Sequence[tuple[int, int]]  # (kernel, stride) of each layer, the first layer first


def fans(chains: Mapping[str, Chain]) -> Figure:
    """For each chain (by its title) one output at the top and all that it depends on below, down to the pixels."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, len(chains), width_ratios=[1, 2][: len(chains)])
    for axis, (title, chain) in zip(panels, chains.items(), strict=True):
        places = {0}
        for level in range(len(chain), 0, -1):
            kernel, stride = chain[level - 1]
            for place in places:
                for below in range(stride * place, stride * place + kernel):
                    ends = [_middle(chain[:level], place), _middle(chain[: level - 1], below)]
                    axis.plot(ends, [level, level - 1], color="#999999", linewidth=0.8, zorder=0)
            axis.plot([_middle(chain[:level], p) for p in places], [level] * len(places), "o", color=BLUE, markersize=5)
            places = {stride * place + tap for place in places for tap in range(kernel)}
        axis.plot(sorted(places), [0] * len(places), "o", color=BLUE, markersize=5)
        names = ["pixels", *(f"{'conv' if stride == 1 else 'pool'} {kernel}" for kernel, stride in chain)]
        axis.set_yticks(range(len(names)), names)
        axis.set(xlabel="position (pixels)", ylabel="layer", xticks=range(0, max(places) + 1, 2))
        axis.set_title(title, fontsize=10)
    return figure


def _middle(chain: Chain, place: int) -> float:
    """The middle of the pixels that output `place` of an unpadded chain sees."""
    size, jump = 1, 1
    for kernel, stride in chain:
        size, jump = size + (kernel - 1) * jump, jump * stride
    return place * jump + (size - 1) / 2


def touched_pixels(maps: Mapping[str, Tensor], first: int, size: int) -> Figure:
    """Maps (H, W) of the pixels with a gradient, and a frame where the formula sees the field."""
    titles = [f"{name}:\n{one.sum()} pixels" for name, one in maps.items()]
    figure = show_images([one.float() for one in maps.values()], titles, width=8)
    for axis in figure.axes:
        add_frame(axis, first, first, size)
    return figure


def growth(fields: Mapping[str, Sequence[int]], vgg: Mapping[int, int]) -> Figure:
    """Receptive fields after 0, 1, 2, ... convolutions; VGG-16 as stars. Linear and logarithmic."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axis, scale, highest in zip(figure.subplots(1, 2), ("linear", "log"), (450, 3000), strict=True):
        for (name, sizes), marker, colour in zip(
            fields.items(), ("o-", "s-", "^-"), (BLUE, ORANGE, GREEN), strict=True
        ):
            axis.plot(range(len(sizes)), sizes, marker, color=colour, label=name, markersize=4)
        axis.plot(list(vgg), list(vgg.values()), "*", color=PINK, markersize=11, label="VGG-16 after each pooling")
        axis.set(yscale=scale, ylim=(0 if scale == "linear" else 0.9, highest), xticks=range(0, 21, 4))
        axis.set(xlabel="convolutions", ylabel="size of the receptive field (pixels)")
        axis.set_title(f"{'linear' if scale == 'linear' else 'logarithmic'} scale", fontsize=10)
    axis.legend(fontsize=8, loc="lower right")
    return figure


def cost_of_stages(memory: Mapping[str, Sequence[float]], work: Mapping[str, Sequence[float]]) -> Figure:
    """Bytes and multiply-adds of the five stages of two networks, on logarithmic scales."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 2)
    for axis, title, values, unit, label in (
        (panels[0], "outputs kept for one picture", memory, 1e6, "megabytes (10⁶ bytes)"),
        (panels[1], "work for one picture", work, 1e9, "billions of multiply-adds"),
    ):
        for shift, ((name, heights), colour, hatch) in enumerate(
            zip(values.items(), (BLUE, ORANGE), ("", "//"), strict=True)
        ):
            places = np.arange(5) + 0.4 * shift - 0.2
            axis.bar(places, np.array(heights) / unit, 0.4, color=colour, hatch=hatch, label=name)
        axis.set(yscale="log", ylim=(0.5, 1000), ylabel=label)
        axis.set_xticks(range(5), [f"stage {i}" for i in range(1, 6)])
        axis.set_title(title, fontsize=10)
    axis.legend(fontsize=9, loc="upper left")
    return figure


def rows_of_scenes(rows: Mapping[str, Tensor], chosen: Sequence[int]) -> Figure:
    """The chosen ones of pictures (N, 3, H, W) and masks (N, H, W), a row each, with the legend of the classes."""
    titles = [name for name in rows for _ in chosen]
    pictures = [several[index] for several in rows.values() for index in chosen]
    return show_images(pictures, titles, columns=len(chosen), class_names=CLASSES, width=7.5)


def found_by_size(found: Mapping[str, Mapping[str, Sequence[float]]], sizes: Sequence[str]) -> Figure:
    """Bars: the share of objects found, by size; a panel for training and one for validation.

    found: title of the panel -> network -> shares.
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axis, (title, networks) in zip(figure.subplots(1, len(found), sharey=True), found.items(), strict=True):
        for shift, (name, shares) in enumerate(networks.items()):
            colour, hatch = LOOKS.get(name, ("#b0b0b0", "xx"))
            places = np.arange(len(sizes)) + (0.8 / len(networks)) * (shift + 0.5) - 0.4
            heights = [100 * share for share in shares]
            bars = axis.bar(places, heights, 0.8 / len(networks), color=colour, hatch=hatch, label=name)
            axis.bar_label(bars, fmt="%.0f", fontsize=8)
        axis.set_xticks(range(len(sizes)), sizes)
        axis.set(xlabel="area of the object (square pixels)", ylim=(0, 112))
        axis.set_title(title, fontsize=10)
    figure.axes[0].set_ylabel("recall: objects found (%)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncols=len(labels), loc="outside lower center", frameon=False)
    return figure


def nucleus_masks(picture: Tensor, masks: Mapping[str, Tensor]) -> Figure:
    """A tile (1, H, W) and masks of it, (H, W)."""
    return show_images([picture, *masks.values()], ["microscope", *masks], width=9, class_names=NUCLEUS_CLASSES)


def coarse_and_fine(scene: Tensor, coarse: Tensor, fine: Tensor) -> Figure:
    """A scene, and two maps of labels laid on it, each value on its block about the middle of its window of 32."""
    pictures, titles = [scene], ["scene"]
    for labels, step in ((coarse, 4), (fine, 1)):
        painted = torch.zeros(scene.shape[1:], dtype=torch.int64)
        first, side = 16 - step // 2, step * len(labels)
        painted[first : first + side, first : first + side] = labels.repeat_interleave(step, 0).repeat_interleave(
            step, 1
        )
        pictures.append(overlay(scene, painted))
        titles.append(f"{labels.shape[0]} × {labels.shape[1]} answers")
    figure = show_images(pictures, titles, width=9)
    add_legend(figure, CLASSES)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.4)
    return figure


def bells(curves: Mapping[int, Sequence[float]]) -> Figure:
    """Influence of each pixel of the field of n convolutions, the middle scaled to 1 and the field to −1 … 1."""
    figure = Figure(figsize=(7.5, 3), layout="constrained")
    axis = figure.subplots()
    for (depth, influence), style, colour in zip(curves.items(), ("o-", "s-", "-"), (BLUE, ORANGE, GREEN), strict=True):
        places = np.arange(-depth, depth + 1) / depth
        label = f"{depth} convolutions"
        axis.plot(places, np.array(influence) / max(influence), style, color=colour, markersize=4, label=label)
    axis.set(xlabel="place in the receptive field (−1 and 1 are its ends)", ylabel="influence (middle = 1)")
    axis.set_title("what counts within the receptive field", fontsize=10)
    axis.legend()
    return figure


def influence_maps(maps: Mapping[str, Tensor], frames: Sequence[tuple[float, float]]) -> Figure:
    """Maps of influence (H, W), three to a row, each with its frame: (first row and column, size)."""
    figure = show_images([one / one.max() for one in maps.values()], list(maps), columns=3, width=8)
    for axis, (first, size) in zip(figure.axes, frames, strict=True):
        add_frame(axis, first, first, size)
    return figure
