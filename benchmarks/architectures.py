"""The course's table of architectures: every network on the same scenes with the same budget, three seeds.

    python benchmarks/architectures.py [--out docs/architectures.md] [--pixels N] [--seeds N] [--only NAME]

The budget is a number of pixels: a network that is trained on crops sees as many of them as one that is trained on
whole scenes. The validation scenes and the learning rate are the same for all; nothing is tuned per network.
A later lesson adds its network to ARCHITECTURES, and the table grows by a row.
"""

import argparse
import statistics
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from autograde.reference.convolutionalization import convolutionalize
from autograde.reference.fcn import FCN, recall_by_size
from autograde.reference.sliding_window import scores_to_mask, sliding_window_scores
from seglab.data.scenes import CLASSES, Scenes, load_crops, load_scenes
from seglab.layers import conv, linear, network, pool
from seglab.networks import WIDTHS, halving_encoder
from seglab.training import History, fit, miou, mirror_and_recolour, predict_logits

SIZE = 128  # side of a scene
WINDOW, STRIDE = 32, 4  # of the patch classifier: a quarter of the scene's side, as on the slide
BATCH_PIXELS = 16 * SIZE * SIZE
LR = 3e-3
EDGES = (0, 150, 800, SIZE * SIZE + 1)  # areas of small, medium and large objects, in pixels
SIZES = ("small", "medium", "large")


HOW = f"""Computed by `make compare`; nobody edits this file.

Scenes of {SIZE} × {SIZE} pixels, {len(CLASSES)} classes. Each network is trained on {{millions}} million pixels
from {{budget.scenes}} scenes, or from crops of scenes, with AdamW, one learning-rate cycle up to {LR:g}
and the same augmentation. It is looked at on {{val}} scenes whose clothes and backgrounds it has never seen.
mIoU and recall are means over {{seeds}} seeds, the smallest and the largest mIoU in brackets. Recall is the share of
objects of which more than half of the pixels got their class: {{sizes}}.

Multiply-adds are those of one scene. Seconds are of training, on one thread of the machine that computed the
table: only their ratios mean anything. A mask of nothing but background has mIoU {{base:.3f}}."""


@dataclass(frozen=True)
class Budget:
    """What every network gets: training pixels, and pictures to take them from."""

    pixels: int = 600 * BATCH_PIXELS
    scenes: int = 1200
    val_scenes: int = 200

    def steps(self) -> int:
        return max(2, self.pixels // BATCH_PIXELS)


@dataclass(frozen=True)
class Result:
    """One training run."""

    parameters: int
    multiply_adds: int  # of one scene
    seconds: float  # of training
    miou: float
    recall: tuple[float, ...]  # of small, medium and large objects


@dataclass(frozen=True)
class Architecture:
    """A row: `train(seed, budget)` gives network and history; `predict(network, (3, H, W))` gives a mask (H, W)."""

    name: str
    lesson: str
    train: Callable[[int, Budget], tuple[nn.Module, History]]
    predict: Callable[[nn.Module, Tensor], Tensor]


# Networks that were shown crops with one label each


def train_patch_classifier(seed: int, budget: Budget) -> tuple[nn.Module, History]:
    """Lesson 02's kind of network: valid convolutions, two halvings, a dense head."""
    torch.manual_seed(seed)
    features = network([conv(3, 16, 5), pool(), conv(16, 32, 3), pool()])  # 32 -> 28 -> 14 -> 12 -> 6
    head = network([linear(32 * 6 * 6, 64), linear(64, len(CLASSES))])
    classifier = nn.Sequential(features, head)
    batch_size = BATCH_PIXELS // WINDOW**2
    crops, labels = load_crops("train", size=WINDOW, count=8 * budget.scenes, seed=0)
    history = fit(
        classifier,
        crops,
        labels,
        steps=budget.steps(),
        batch_size=batch_size,
        lr=LR,
        seed=seed,
        augment=mirror_and_recolour,
    )
    return classifier, history


def slide(classifier: nn.Module, picture: Tensor) -> Tensor:
    """Every window on its own, as lesson 02 begins."""
    scores = sliding_window_scores(classifier, picture, WINDOW, STRIDE, batch_size=64)  # (num_classes, 25, 25)
    return scores_to_mask(scores, picture.shape[1:], WINDOW, STRIDE)


@torch.no_grad()
def slide_in_one_pass(classifier: nn.Module, picture: Tensor) -> Tensor:
    """The same weights as convolutions, as lesson 03 ends."""
    features, head = classifier
    scores = nn.Sequential(features, convolutionalize(head, (32, 6, 6)))(picture[None])[0]  # (num_classes, 25, 25)
    return scores_to_mask(scores, picture.shape[1:], WINDOW, STRIDE)


# Networks that are trained with masks


def train_with_masks(build: Callable[[], nn.Module], seed: int, budget: Budget) -> tuple[nn.Module, History]:
    """Whole scenes, every pixel with its label."""
    torch.manual_seed(seed)
    model = build().to(memory_format=torch.channels_last)
    scenes = load_scenes("train", size=SIZE, count=budget.scenes, seed=0)
    history = fit(
        model,
        scenes.images,
        scenes.masks,
        steps=budget.steps(),
        batch_size=16,
        lr=LR,
        seed=seed,
        augment=mirror_and_recolour,
    )
    return model, history


def arg_max(model: nn.Module, picture: Tensor) -> Tensor:
    """One pass, one class per pixel."""
    return predict_logits(model, picture[None])[0].argmax(0)  # (H, W)


def fcn(stride: int) -> nn.Module:
    """Lesson 05's network on the course's encoder, from scratch."""
    return FCN(halving_encoder(WIDTHS), WIDTHS, len(CLASSES), stride)


ARCHITECTURES = [
    Architecture("sliding window", "02", train_patch_classifier, slide),
    Architecture("convolutionalized", "03", train_patch_classifier, slide_in_one_pass),
    *(
        Architecture(f"FCN-{stride}s", "05", partial(train_with_masks, partial(fcn, stride)), arg_max)
        for stride in (32, 16, 8)
    ),
]


def measure(architecture: Architecture, seed: int, budget: Budget, val: Scenes) -> Result:
    """Train once and look at the validation scenes."""
    model, history = architecture.train(seed, budget)
    with FlopCounterMode(display=False) as counter:
        architecture.predict(model, val.images[0])
    found = torch.stack([architecture.predict(model, picture) for picture in val.images])  # (N, H, W)
    logits = nn.functional.one_hot(found, len(CLASSES)).permute(0, 3, 1, 2)  # for `miou`, which takes the arg-max
    return Result(
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=counter.get_total_flops() // 2,  # torch counts a multiplication and an addition as two
        seconds=history.seconds,
        miou=miou(logits, val.masks),
        recall=tuple(recall_by_size(found, val.masks, val.instances, EDGES).tolist()),
    )


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
    for one in ARCHITECTURES:
        runs = results.get(one.name)
        if runs:
            scores = [run.miou for run in runs]
            recalls = [statistics.mean(run.recall[i] for run in runs) for i in range(len(SIZES))]
            cells = [one.lesson, one.name, f"{runs[0].parameters:,}", f"{runs[0].multiply_adds / 1e6:,.1f} M"]
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
    for one in ARCHITECTURES:
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
