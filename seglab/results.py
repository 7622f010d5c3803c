"""The course's table of networks, as far as a lesson has come: what `make compare` and `make weights` found."""

import itertools
import json
from collections.abc import Iterator
from functools import cache

from seglab.data.photos import ASSETS
from seglab.data.scenes import SIZE_EDGES
from seglab.figures import in_notebook
from seglab.weights import records

RESULTS = ASSETS / "results.json"
SIZES = [f"{low}–{high - 1}" for low, high in itertools.pairwise(SIZE_EDGES)]
SIZES.append(f"{SIZE_EDGES[-1]:,} and more")
TOLERANCES = (1, 2, 3, 5, 8)  # pixels, of the boundary F-score


@cache
def results() -> dict:
    """`budget`: steps, scenes, seeds; `rows`: what each network reached, means over the seeds."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def rows(upto: str = "99") -> list[dict]:
    """The rows of lessons up to this number, in the order of the course."""
    return [row for row in results()["rows"] if row["lesson"] <= upto]


def trained_out(row: dict, task: str) -> dict | None:
    """The record of a row's trained-out weights, if there are any."""
    return records().get(f"{row['weights']}_{task}")


def quality_table(upto: str = "99", task: str = "scenes") -> str:
    """Markdown: mIoU on training and validation pictures, after a minute and trained out, and IoU of each class."""
    classes = results()["classes"][task]
    head = ["lesson", "network", "a minute: training", "a minute: validation", "trained out: training"]
    head += ["trained out: validation", *(f"IoU {name}" for name in classes)]
    lines = []
    for row in rows(upto):
        short, long = row[task], trained_out(row, task)
        low, high = short["validation"]["range"]
        cells = [row["lesson"], row["name"], f"{short['training']['miou']:.2f}"]
        cells.append(f"{short['validation']['miou']:.3f} ({low:.3f} to {high:.3f})")
        cells += [f"{long[split]['miou']:.2f}" if long else "–" for split in ("training", "validation")]
        best = (long or short)["validation"]
        lines.append([*cells, *(f"{value:.2f}" for value in best["iou"])])
    return _markdown(head, lines)


def objects_table(upto: str = "99") -> str:
    """Markdown: how many objects of which size are found in validation scenes, and how much of the paint is right."""
    head = ["lesson", "network", "training", "precision", *(f"found, {size} px²" for size in SIZES)]
    lines = []
    for cells, scores in _at_both_budgets(upto, "scenes"):
        lines.append([*cells, *(f"{value:.2f}" for value in (scores["precision"], *scores["recall"]))])
    return _markdown(head, lines)


def outlines_table(upto: str = "99", task: str = "scenes") -> str:
    """Markdown: the boundary F-score of validation pictures within some pixels, where it was measured."""
    head = ["lesson", "network", "training", *(f"boundary F, {tolerance} px" for tolerance in TOLERANCES)]
    lines = []
    for cells, scores in _at_both_budgets(upto, task):
        if "boundary" in scores:
            lines.append([*cells, *(f"{value:.2f}" for value in scores["boundary"])])
    return _markdown(head, lines)


def _at_both_budgets(upto: str, task: str) -> Iterator[tuple[list[str], dict]]:
    """The first cells of a line, and the scores on validation pictures, for each network and budget that there is."""
    for row in rows(upto):
        kinds = {"a minute": row[task], "trained out": trained_out(row, task)}
        for kind, known in kinds.items():
            if known:
                yield [row["lesson"], row["name"], kind], known["validation"]


def cost_table(upto: str = "99") -> str:
    """Markdown: parameters, and multiply-adds for one scene."""
    lines = [
        [row["lesson"], row["name"], f"{row['parameters']:,}", f"{row['multiply_adds'] / 1e6:,.0f} M"]
        for row in rows(upto)
    ]
    return _markdown(["lesson", "network", "parameters", "multiply-adds"], lines)


def show_tables(upto: str) -> None:
    """In a lesson: quality on scenes and on nuclei, objects by size, and from lesson 07 on the outlines."""
    parts = ["**Scenes**, mIoU:", quality_table(upto, "scenes")]
    parts += ["**Objects of the scenes**, validation:", objects_table(upto)]
    parts += ["**Nuclei**, mIoU:", quality_table(upto, "nuclei")]
    if upto >= "07":
        parts += ["**Outlines of the scenes**, validation:", outlines_table(upto)]
        parts += ["**Outlines of the nuclei**, validation:", outlines_table(upto, "nuclei")]
    text = "\n\n".join(parts)
    if not in_notebook():
        print(text)
        return
    from IPython.display import Markdown, display

    display(Markdown(text))


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *lines])
