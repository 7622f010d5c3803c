"""What is the same for every network that the course compares: scenes, budget, learning rate, and how it is looked at.

The budget is a number of pixels: a network that is trained on crops sees as many of them as one that is trained on
whole scenes. Nothing is tuned per network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from autograde.reference.fcn import recall_by_size
from seglab.data.scenes import CLASSES, Scenes, load_scenes
from seglab.training import History, fit, miou, mirror_and_recolour, predict_logits

SIZE = 128  # side of a scene
BATCH_PIXELS = 16 * SIZE * SIZE
LR = 3e-3
EDGES = (0, 150, 800, SIZE * SIZE + 1)  # areas of small, medium and large objects, in pixels


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
    train: Callable[[int, Budget], tuple[nn.Module, History]]
    predict: Callable[[nn.Module, Tensor], Tensor]


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
