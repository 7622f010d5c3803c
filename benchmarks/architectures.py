"""The course's table of networks: each on the same scenes and nuclei with the same budget, three seeds.

    python -m benchmarks.architectures [--out FILE.json] [--docs FILE.md] [--pixels N] [--seeds N] [--only NAME ...]

A lesson that has networks names them in `benchmarks/networks/NN_topic.py`, as ARCHITECTURES; what is the same for all
of them is in `benchmarks/protocol.py`. What they reach trained out, `benchmarks/weights.py` has found.
"""

import argparse
import json
import statistics
import textwrap
from pathlib import Path

import torch

from benchmarks.protocol import LR, NUCLEI, SCENES, SIZE, TASKS, Architecture, Budget, Result, Task, judge, measure
from benchmarks.weights import network_modules, weights_stem
from seglab.results import cost_table, objects_table, outlines_table, quality_table, results

HOW = """Computed by `make compare` and `make weights`; nobody edits this file.

Scenes of {size} × {size} pixels in 5 classes, and nuclei in 3 (background, nucleus, boundary). **A minute**: each
network is trained on {millions} million pixels of {scenes} scenes (or of 12 tiles of nuclei), or of crops of them,
with AdamW, one learning-rate cycle up to {lr:g} and the same augmentation; means over {seeds} seeds, the smallest and
the largest validation mIoU in brackets. **Trained out**: cycle after cycle, on 4,000 scenes or 9 tiles
(crops of nuclei: 12), until pictures that are watched gain less than 0.005 mIoU from a cycle, or for 9,000 steps; one
seed.

Validation scenes ({val}) have clothes and backgrounds that no training scene has; of nuclei, 4 tiles are never trained
on. A mask of nothing but background has mIoU {scenes_base:.2f} on the scenes and {nuclei_base:.2f} on the nuclei. The
IoU of each class is that of the network trained out, or of the minute's where there is no such network.

An object is found if more than half of its pixels got its class. Precision is the share of the painted pixels, that
is of those that are not called background, whose class is right. Outlines are judged by the boundary F-score of lesson
07, within so many pixels, the mean over the classes. Multiply-adds are those of one scene.

Windows slide over a picture that is mirrored at its edges, so that every pixel gets an answer. FCN-8s from a
classifier: its encoder has first been trained as a classifier, on as many pixels of crops again. SegNet with switches
shuffled, or with bilinear enlarging in their place, is a control, and has not been trained out.
"""


def architectures() -> list[tuple[str, Architecture]]:
    """(number of the lesson, network) of every lesson that has networks, in the order of the course."""
    return [(number, one) for number, module in network_modules() for one in module.ARCHITECTURES]


def all_background(task: Task, budget: Budget) -> float:
    """mIoU of a mask of nothing but background: what every row has to beat."""
    pictures = task.validation(budget.val_scenes)
    return judge(torch.zeros_like(pictures.masks), pictures, task).miou


def row(number: str, one: Architecture, measured: dict[str, list[Result]]) -> dict:
    """What the table knows of a network: means over its runs, by task."""
    first = measured[SCENES.name][0]
    found = {"lesson": number, "name": one.name, "weights": weights_stem(one)}
    found |= {"parameters": first.parameters, "multiply_adds": first.multiply_adds}
    for task, runs in measured.items():
        found[task] = {split: _mean([getattr(run, split) for run in runs]) for split in ("training", "validation")}
    return found


def _mean(scores) -> dict:
    by_run = [one.miou for one in scores]
    mean = {
        "miou": round(statistics.mean(by_run), 4),
        "range": [round(min(by_run), 4), round(max(by_run), 4)],
        "runs": [round(one, 4) for one in by_run],
        "precision": round(statistics.mean(one.precision for one in scores), 4),
        "iou": [round(statistics.mean(values), 4) for values in zip(*(one.iou for one in scores), strict=True)],
    }
    for what in ("boundary", "recall"):
        if getattr(scores[0], what):
            by_place = zip(*(getattr(one, what) for one in scores), strict=True)
            mean[what] = [round(statistics.mean(values), 4) for values in by_place]
    return mean


def document() -> str:
    """docs/architectures.md, made of what is stored."""
    known = results()
    budget = Budget(**known["budget"])
    said = HOW.format(
        size=SIZE,
        millions=budget.pixels // 10**6,
        scenes=f"{budget.scenes:,}",
        lr=LR,
        seeds=known["seeds"],
        val=budget.val_scenes,
        scenes_base=known["all_background"]["scenes"],
        nuclei_base=known["all_background"]["nuclei"],
    )
    parts = ["# The course's networks, side by side"]
    parts += [textwrap.fill(part, 120, break_on_hyphens=False) for part in said.split("\n\n")]
    parts += ["## Scenes: mIoU", quality_table(), "## Scenes: objects by size", objects_table()]
    parts += ["## Scenes: outlines", outlines_table(), "## Nuclei: mIoU", quality_table(task="nuclei")]
    parts += ["## Nuclei: outlines", outlines_table(task="nuclei"), "## Cost", cost_table()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _stored_rows(found: dict) -> dict[str, dict]:
    """name -> row, of what has been measured with the budget and the seeds of `found`."""
    stored = results()
    same = all(stored[key] == found[key] for key in ("budget", "seeds"))
    return {row["name"]: row for row in stored["rows"]} if same else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where to write what was measured; it is always printed")
    parser.add_argument("--docs", type=Path, help="where to write the tables of what is stored, for readers")
    parser.add_argument("--seeds", type=int, default=3, help="0: measure nothing, only write --docs")
    parser.add_argument("--pixels", type=int, default=Budget.pixels, help="training pixels (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=Budget.scenes)
    parser.add_argument("--val-scenes", type=int, default=Budget.val_scenes)
    parser.add_argument("--only", nargs="*", help="names of rows; the others stay, if they had the same budget")
    given = parser.parse_args()
    torch.set_num_threads(1)
    budget = Budget(given.pixels, given.scenes, given.val_scenes)
    chosen = [(number, one) for number, one in architectures() if not given.only or one.name in given.only]
    found = {
        "budget": {"pixels": budget.pixels, "scenes": budget.scenes, "val_scenes": budget.val_scenes},
        "seeds": given.seeds,
        "classes": {task.name: task.classes for task in TASKS},
        "all_background": {task.name: all_background(task, budget) for task in (SCENES, NUCLEI)},
        "rows": [],
    }
    known = _stored_rows(found) if given.only else {}
    for number, one in chosen if given.seeds else ():
        print(f"{one.name}, {given.seeds} seeds, two tasks", flush=True)
        measured = {task.name: [measure(one, task, seed, budget) for seed in range(given.seeds)] for task in TASKS}
        known[one.name] = row(number, one, measured)
        print(json.dumps(known[one.name]), flush=True)
        found["rows"] = [known[other.name] for _, other in architectures() if other.name in known]
        if given.out:
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if given.docs:
        given.docs.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
