"""The course's table of architectures: every network on the same scenes with the same budget, three seeds.

    python -m benchmarks.architectures [--out docs/architectures.md] [--pixels N] [--seeds N] [--only NAME]

A lesson that has networks names them in `benchmarks/networks/NN_topic.py`, as ARCHITECTURES; what is the same for all
of them is in `benchmarks/protocol.py`.
"""

import argparse
import statistics
import textwrap
from itertools import pairwise
from pathlib import Path

import torch

from autograde.lessons import all_lessons, load
from benchmarks.protocol import EDGES, LR, SIZE, Architecture, Budget, Result, measure
from seglab.data.scenes import CLASSES, Scenes, load_scenes
from seglab.training import miou

SIZES = ("small", "medium", "large")


HOW = f"""Computed by `make compare`; nobody edits this file.

Scenes of {SIZE} × {SIZE} pixels, {len(CLASSES)} classes. Each network is trained on {{millions}} million pixels
from {{budget.scenes}} scenes, or from crops of scenes, with AdamW, one learning-rate cycle up to {LR:g}
and the same augmentation. It is looked at on {{val}} scenes whose clothes and backgrounds it has never seen.
mIoU and recall are means over {{seeds}} seeds, the smallest and the largest mIoU in brackets. Recall is the share of
objects of which more than half of the pixels got their class: {{sizes}}.

Multiply-adds are those of one scene. Seconds are of training, on one thread of the machine that computed the
table: only their ratios mean anything. A mask of nothing but background has mIoU {{base:.3f}}."""


def architectures() -> list[tuple[str, Architecture]]:
    """(number of the lesson, network) of every lesson that has networks, in the order of the course."""
    files = [(lesson.number, lesson.network_file) for lesson in all_lessons()]
    return [(number, one) for number, path in files if path.exists() for one in load(path).ARCHITECTURES]


def all_background(val: Scenes) -> float:
    """mIoU of a mask of nothing but background: what every row has to beat."""
    logits = torch.zeros(len(val), len(CLASSES), SIZE, SIZE)
    logits[:, 0] = 1
    return miou(logits, val.masks)


def table(results: dict[str, list[Result]], budget: Budget, val: Scenes) -> str:
    """The table as Markdown, with a sentence on how it came about."""
    seeds = len(next(iter(results.values())))
    ranges = (f"below {EDGES[1]} pixels", f"up to {EDGES[2] - 1}", f"{EDGES[2]} and more")
    objects = zip(SIZES, ranges, _objects_by_size(val), strict=True)
    sizes = ", ".join(f"{name} ({pixels}; {count} objects)" for name, pixels, count in objects)
    said = HOW.format(
        budget=budget, millions=budget.pixels // 10**6, val=len(val), seeds=seeds, sizes=sizes, base=all_background(val)
    )
    lines = [
        "# The course's networks, side by side",
        "",
        *(line for paragraph in said.split("\n\n") for line in (*textwrap.wrap(paragraph, 120), "")),
        "| lesson | network | parameters | multiply-adds | training, s | mIoU | recall: " + " | ".join(SIZES) + " |",
        "|---|---|---|---|---|---|" + "---|" * len(SIZES),
    ]
    for number, one in architectures():
        if runs := results.get(one.name):
            scores = [run.miou for run in runs]
            recalls = [statistics.mean(run.recall[i] for run in runs) for i in range(len(SIZES))]
            cells = [number, one.name, f"{runs[0].parameters:,}", f"{runs[0].multiply_adds / 1e6:,.1f} M"]
            cells.append(f"{statistics.median(run.seconds for run in runs):.0f}")
            cells.append(f"{statistics.mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})")
            cells += [f"{recall:.2f}" for recall in recalls]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _objects_by_size(val: Scenes) -> list[int]:
    areas = val.areas[:, 1:][val.areas[:, 1:] > 0]
    return [int(((low <= areas) & (areas < high)).sum()) for low, high in pairwise(EDGES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to write the table; it is always printed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pixels", type=int, default=Budget.pixels, help="training pixels (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=Budget.scenes)
    parser.add_argument("--val-scenes", type=int, default=Budget.val_scenes)
    parser.add_argument("--only", nargs="*", help="names of rows")
    given = parser.parse_args()
    torch.set_num_threads(1)
    budget = Budget(given.pixels, given.scenes, given.val_scenes)
    val = load_scenes("val", size=SIZE, count=budget.val_scenes, seed=0)
    results: dict[str, list[Result]] = {}
    for _, one in architectures():
        if not given.only or one.name in given.only:
            for seed in range(given.seeds):
                print(f"{one.name}, seed {seed}", flush=True)
                results.setdefault(one.name, []).append(measure(one, seed, budget, val))
    text = table(results, budget, val)
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
