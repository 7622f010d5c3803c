"""One short training loop for the whole course: classification and segmentation."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

IGNORE_INDEX = 255
Augment = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]  # images, target, generator -> the same


@dataclass
class History:
    """What happened while training."""

    losses: list[float] = field(default_factory=list)  # one per step
    scores: list[tuple[int, float]] = field(default_factory=list)  # (step, metric on the validation data)
    seconds: float = 0.0  # all of it, validation included


def pixel_accuracy(logits: Tensor, target: Tensor) -> float:
    """Share of right answers, over pixels or over whole pictures; targets of 255 are not counted.

    Args:
        logits: (N, C) or (N, C, H, W).
        target: (N,) or (N, H, W) int64.
    """
    valid = target != IGNORE_INDEX
    right = (logits.argmax(1) == target) & valid
    return right.sum().item() / max(1, valid.sum().item())


def miou(logits: Tensor, target: Tensor) -> float:
    """Mean intersection over union of the arg-max, over the classes that occur in the truth or in the answer.

    Counted over all pixels of all pictures together; pixels with a target of 255 are left out. NaN if none is left.

    Args:
        logits: (N, C, H, W).
        target: (N, H, W) int64.
    """
    valid = target != IGNORE_INDEX
    found, truth = logits.argmax(1)[valid], target[valid]  # (number of valid pixels,) each
    ratios = []
    for number in torch.unique(torch.cat([found, truth])):
        here, there = found == number, truth == number
        ratios.append((here & there).sum() / (here | there).sum())
    return torch.stack(ratios).mean().item() if ratios else float("nan")


def mirror_and_recolour(images: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An `augment` for `fit`: mirror half of the batch, exchange colour channels, make pictures darker or brighter.

    The colours of our clothes are invented, so any other colours are as good. Masks are mirrored with their pictures.
    """
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if target.ndim == 3:
        target = torch.where(mirrored[:, None, None], target.flip(2), target)
    images = images[:, torch.randperm(images.shape[1], generator=generator)]
    return images * (0.6 + 0.8 * torch.rand(len(images), 1, 1, 1, generator=generator)), target


def turn_and_brighten(images: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An `augment` for `fit`, for square pictures without an up and a down: one of the eight turns and mirrorings for
    each half of the batch, and other brightness for each picture. Masks go with their pictures.
    """
    is_mask = target.ndim == 3
    turned, answers = [], []
    for half, answer in zip(images.chunk(2), target.chunk(2), strict=True):
        quarters, mirror = torch.randint(4, (), generator=generator).item(), torch.rand((), generator=generator) < 0.5
        half, answer = (half.flip(-1), answer.flip(-1) if is_mask else answer) if mirror else (half, answer)
        turned.append(half.rot90(quarters, (-2, -1)))
        answers.append(answer.rot90(quarters, (-2, -1)) if is_mask else answer)
    images = torch.cat(turned)
    return images * (0.6 + 0.8 * torch.rand(len(images), 1, 1, 1, generator=generator)), torch.cat(answers)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """PyTorch's cross entropy with the course's ignore label, 255."""
    return F.cross_entropy(logits, target, ignore_index=IGNORE_INDEX)


@torch.no_grad()
def predict_logits(model: nn.Module, images: Tensor, batch_size: int = 64) -> Tensor:
    """Logits for all images, in batches, in evaluation mode and without gradients; the model's mode is restored."""
    was_training = model.training
    model.eval()
    logits = torch.cat([model(batch) for batch in images.split(batch_size)])
    model.train(was_training)
    return logits


def fit(
    model: nn.Module,
    images: Tensor,
    target: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 32,
    lr: float = 1e-3,
    seed: int = 0,
    val: tuple[Tensor, Tensor] | None = None,
    metric: Callable[[Tensor, Tensor], float] | None = None,
    augment: Augment | None = None,
) -> History:
    """Train with AdamW; the learning rate rises to `lr` and falls again (one cycle). Leaves evaluation mode on.

    The same seed gives the same batches, dropout and augmentation. The initial weights are the caller's: call
    `torch.manual_seed` before you build the model. The global random state is left as it was.

    Args:
        model: gives logits (N, C) or (N, C, H, W).
        images: (N, channels, H, W) float32.
        target: (N,) or (N, H, W) int64.
        loss: called as loss(logits, target).
        steps, epochs: how long to train; give exactly one.
        batch_size: examples per step; the last, smaller batch of an epoch is left out.
        lr: the highest learning rate.
        val: images and target to score about ten times on the way, and at the end.
        metric: called as metric(logits, target) on the validation data; by default `miou` for masks and
            `pixel_accuracy` for labels.
        augment: called as augment(images, target, generator) on each batch.

    Raises:
        ValueError: sizes that do not fit, or not exactly one of steps and epochs.
        FloatingPointError: the loss became infinite or NaN.
    """
    if len(images) != len(target) or len(images) == 0:
        raise ValueError(f"{len(images)} images with {len(target)} targets; expected equal numbers, at least one")
    if (steps is None) == (epochs is None):
        raise ValueError(f"steps is {steps} and epochs is {epochs}; give exactly one of them")
    if min(batch_size, steps if epochs is None else epochs) < 1:
        raise ValueError(f"batch_size is {batch_size}, steps {steps}, epochs {epochs}; expected at least one of each")
    batch_size = min(batch_size, len(images))
    if steps is None:
        steps = epochs * (len(images) // batch_size)

    metric = metric or (miou if target.ndim == 3 else pixel_accuracy)
    history, began = History(), time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for dropout
        model.train()
        batches = _batches(len(images), batch_size, steps, generator)
        progress = tqdm(batches, total=steps, desc="training", file=sys.stdout, mininterval=0.5)
        for step, chosen in enumerate(progress, start=1):
            batch, answer = images[chosen], target[chosen]
            if augment is not None:
                batch, answer = augment(batch, answer, generator)
            value = loss(model(batch), answer)
            if not torch.isfinite(value):
                raise FloatingPointError(f"the loss is {value.item()} at step {step}; try a smaller lr than {lr}")
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()

            history.losses.append(value.item())
            if val is not None and (step % max(1, steps // 10) == 0 or step == steps):
                history.scores.append((step, metric(predict_logits(model, val[0]), val[1])))
            progress.set_postfix(_summary(history, metric), refresh=False)
    model.eval()
    history.seconds = time.perf_counter() - began
    return history


def _batches(count: int, batch_size: int, steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of `steps` batches: every epoch in a new order, without its last, smaller batch."""
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(order) < batch_size:
            order = torch.randperm(count, generator=generator)
        yield order[:batch_size]
        order = order[batch_size:]


def _summary(history: History, metric: Callable) -> dict[str, str]:
    """Numbers for the progress bar: the mean loss of the last 20 steps, and the last validation score."""
    recent = history.losses[-20:]
    numbers = {"loss": f"{sum(recent) / len(recent):.3f}"}
    if history.scores:
        name = {"miou": "mIoU", "pixel_accuracy": "accuracy"}.get(metric.__name__, metric.__name__)
        numbers[name] = f"{history.scores[-1][1]:.3f}"
    return numbers
