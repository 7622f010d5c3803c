"""What is the same for every network that the course compares: pictures, budget, learning rate, and how it is judged.

The budget is a number of pixels: a network that is trained on crops sees as many of them as one that is trained on
whole pictures. Nothing is tuned per network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from autograde.reference.fcn import recall_by_size
from autograde.reference.segnet import boundary_f_score
from autograde.reference.tasks_loss_metric import confusion_matrix, iou_per_class
from seglab.data.nuclei import NUCLEUS_CLASSES, load_nuclei, load_nucleus_crops, three_classes
from seglab.data.scenes import CLASSES, SIZE_EDGES, load_crops, load_scenes
from seglab.results import TOLERANCES
from seglab.training import Augment, fit, mirror_and_recolour, predict_logits, turn_and_brighten

SIZE = 128  # side of a picture
BATCH_PIXELS = 16 * SIZE * SIZE
LR = 3e-3
EDGES = (*SIZE_EDGES, torch.inf)  # areas of tiny, small, medium and large objects


@dataclass(frozen=True)
class Budget:
    """What every network gets: training pixels, and scenes to take them from."""

    pixels: int = 600 * BATCH_PIXELS
    scenes: int = 1200
    val_scenes: int = 200

    def steps(self) -> int:
        return max(2, self.pixels // BATCH_PIXELS)


@dataclass(frozen=True)
class Pictures:
    """Images (N, channels, SIZE, SIZE) and masks (N, SIZE, SIZE), and the objects in them where recall is asked for."""

    images: Tensor
    masks: Tensor
    instances: Tensor | None = None


@dataclass(frozen=True)
class Task:
    """What there is to learn, and to be judged by.

    training(count) and validation(count) give pictures, at most so many; crops(window, budget) gives square crops of
    the training pictures and the class at the centre of each. split() gives what whole pictures are trained out on,
    and what is only watched meanwhile.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    training: Callable[[int], Pictures]
    validation: Callable[[int], Pictures]
    crops: Callable[[int, Budget], tuple[Tensor, Tensor]]
    split: Callable[[int], tuple[Pictures, Pictures]]
    augment: Augment


def _scenes(split: str, count: int, seed: int = 0) -> Pictures:
    scenes = load_scenes(split, size=SIZE, count=count, seed=seed)
    return Pictures(scenes.images, scenes.masks, scenes.instances)


def _nuclei(split: str, tiles: slice = slice(None)) -> Pictures:
    images, instances = load_nuclei(split)
    return Pictures(images[tiles], three_classes(instances)[tiles])


SCENES = Task(
    name="scenes",
    classes=CLASSES,
    channels=3,
    training=lambda count: _scenes("train", count),
    validation=lambda count: _scenes("val", count),
    crops=lambda window, budget: load_crops("train", size=window, count=8 * budget.scenes, seed=0),
    split=lambda count: (_scenes("train", count), _scenes("val", 100, seed=1)),
    augment=mirror_and_recolour,
)
NUCLEI = Task(
    name="nuclei",
    classes=NUCLEUS_CLASSES,
    channels=1,
    training=lambda count: _nuclei("train"),
    validation=lambda count: _nuclei("test"),
    crops=lambda window, budget: load_nucleus_crops("train", size=window, count=8 * budget.scenes, seed=0),
    split=lambda count: (_nuclei("train", slice(9)), _nuclei("train", slice(9, None))),
    augment=turn_and_brighten,
)
TASKS = (SCENES, NUCLEI)


@dataclass(frozen=True)
class Architecture:
    """A row of the table: `build(task)` makes the network, `predict(network, (C, H, W))` gives a mask (H, W).

    window: the side of the crops that it learns from, each with one label; None: whole pictures with masks.
    before: a network that is trained first; `build(task, trained)` then takes over what it can use.
    weights: the name of another row whose trained-out weights are this network's, too.
    control: it only shows what a part of another row is worth, and is not trained out.
    """

    name: str
    build: Callable[..., nn.Module]
    predict: Callable[[nn.Module, Tensor], Tensor]
    window: int | None = None
    before: "Architecture | None" = None
    weights: str | None = None
    control: bool = False


@dataclass(frozen=True)
class Scores:
    """How good masks are. Recall: share of objects of which more than half of the pixels got their class, by size."""

    iou: tuple[float, ...]  # per class
    precision: float  # share of the pixels painted with anything but background that are right
    boundary: tuple[float, ...]  # F of the outlines within each of TOLERANCES, the mean over the classes
    recall: tuple[float, ...] | None = None

    @property
    def miou(self) -> float:
        return torch.tensor(self.iou).nanmean().item()


@dataclass(frozen=True)
class Result:
    """One training run."""

    parameters: int
    multiply_adds: int  # of one picture
    training: Scores
    validation: Scores


class Brief(nn.Module):
    """A network that computes in bfloat16, up to twice as fast where the processor can; its weights stay float32."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.network(x).float()


def new_network(architecture: Architecture, task: Task, seed: int, budget: Budget) -> nn.Module:
    """An untrained network, or one that starts from what `before` has learned."""
    if architecture.before is None:
        torch.manual_seed(seed)
        return architecture.build(task).to(memory_format=torch.channels_last)
    first = new_network(architecture.before, task, seed, budget)
    train(architecture.before, first, task, seed, budget)
    torch.manual_seed(seed)
    return architecture.build(task, first).to(memory_format=torch.channels_last)


def cycle(
    architecture: Architecture, model: nn.Module, task: Task, data: tuple[Tensor, Tensor], steps: int, seed: int
) -> None:
    """One cycle of the learning rate on images and their targets, in place."""
    batch_size = BATCH_PIXELS // (architecture.window or SIZE) ** 2
    fit(Brief(model), *data, steps=steps, batch_size=batch_size, lr=LR, seed=seed, augment=task.augment)


def train(architecture: Architecture, model: nn.Module, task: Task, seed: int, budget: Budget) -> None:
    """What the budget pays for, in place."""
    if architecture.window:
        data = task.crops(architecture.window, budget)
    else:
        pictures = task.training(budget.scenes)
        data = pictures.images, pictures.masks
    cycle(architecture, model, task, data, budget.steps(), seed)


def arg_max(model: nn.Module, picture: Tensor) -> Tensor:
    """One pass, one class per pixel."""
    return predict_logits(model, picture[None])[0].argmax(0)  # (H, W)


def predict_all(architecture: Architecture, model: nn.Module, images: Tensor) -> Tensor:
    """Masks (N, H, W) of pictures (N, C, H, W)."""
    return torch.stack([architecture.predict(model, picture) for picture in images])


def judge(found: Tensor, pictures: Pictures, task: Task) -> Scores:
    """The scores of masks (N, H, W); recall by size where the objects are known."""
    matrix = confusion_matrix(found, pictures.masks, len(task.classes))
    painted, recall = found != 0, None
    if pictures.instances is not None:
        recall = tuple(recall_by_size(found, pictures.masks, pictures.instances, EDGES).tolist())
    return Scores(
        iou=tuple(iou_per_class(matrix).tolist()),
        precision=(found == pictures.masks)[painted].float().mean().item(),
        boundary=tuple(
            boundary_f_score(found, pictures.masks, len(task.classes), tolerance).nanmean().item()
            for tolerance in TOLERANCES
        ),
        recall=recall,
    )


def scores(architecture: Architecture, model: nn.Module, pictures: Pictures, task: Task) -> Scores:
    """How good a network's masks of pictures are."""
    return judge(predict_all(architecture, model, pictures.images), pictures, task)


def training_and_validation(architecture: Architecture, model: nn.Module, task: Task, budget: Budget) -> list[Scores]:
    """The scores on both, on equally many scenes."""
    both = task.training(budget.val_scenes), task.validation(budget.val_scenes)
    return [scores(architecture, model, pictures, task) for pictures in both]


def measure(architecture: Architecture, task: Task, seed: int, budget: Budget) -> Result:
    """Train once and look at training and validation pictures."""
    model = new_network(architecture, task, seed, budget)
    train(architecture, model, task, seed, budget)
    with FlopCounterMode(display=False) as counter:
        architecture.predict(model, task.validation(1).images[0])
    training, validation = training_and_validation(architecture, model, task, budget)
    return Result(
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=counter.get_total_flops() // 2,  # torch counts a multiplication and an addition as two
        training=training,
        validation=validation,
    )
