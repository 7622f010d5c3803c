"""Trains the networks of the course until validation no longer rises, and writes the weights that the lectures show.

    python -m benchmarks.weights [NAME ...] [--cycles N] [--scenes N]

Training goes in cycles of the learning rate, each twice as long as the one before: at the end of a cycle the network is
as good as it is then, and if that is less than 0.005 mIoU better than a cycle ago, it has been trained out. (What is
looked at for that is neither trained on nor counted in the scores.) Stop it when you like: each finished cycle is kept
in build/weights/, and the next call goes on from there.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from autograde.lessons import all_lessons, load
from benchmarks.protocol import (
    BATCH_PIXELS,
    LR,
    SCENES,
    SIZE,
    TASKS,
    Architecture,
    Brief,
    Budget,
    Task,
    new_network,
    predict_all,
    scores,
    training_data,
)
from seglab.data.scenes import load_scenes
from seglab.training import fit, miou, predict_logits
from seglab.weights import WEIGHTS

FIRST_CYCLE = 600  # steps: the budget of the lectures
ENOUGH = 0.005  # a cycle that gains less in mIoU was the last one
KEPT = Path("build") / "weights"
SEED = 0


def networks() -> dict[str, tuple[Task, Architecture]]:
    """name of the weights -> what is trained: the rows of the table on both tasks, and what the lectures train."""
    found = {}
    for lesson in all_lessons():
        if lesson.network_file.exists():
            module = load(lesson.network_file)
            own = [one for one in module.ARCHITECTURES if one.weights is None and one.before is None]
            found |= {weights_name(task, one): (task, one) for task in TASKS for one in own}
            found |= {weights_name(SCENES, one): (SCENES, one) for one in getattr(module, "LECTURE", ())}
    return found


def weights_name(task: Task, architecture: Architecture) -> str:
    """As in `fcn_8s_nuclei`."""
    return f"{weights_stem(architecture)}_{task.name}"


def weights_stem(architecture: Architecture) -> str | None:
    """As in `fcn_8s`; None for a network of which no weights are kept."""
    if architecture.before is not None:
        return None
    return (architecture.weights or architecture.name).lower().replace(" ", "_").replace("-", "_")


def train_out(name: str, task: Task, architecture: Architecture, budget: Budget, cycles: int) -> None:
    """Train until it no longer pays, and write weights and record."""
    model = new_network(architecture, task, SEED, budget)
    images, target, watched = _split(task, architecture, budget)
    folder, best, steps = KEPT / name, -1.0, 0
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(cycles):
        length, kept = FIRST_CYCLE * 2**number, folder / f"cycle_{number}.pt"
        if not kept.exists():
            print(f"{name}, cycle {number + 1}: {length} steps", flush=True)
            batch = BATCH_PIXELS // (architecture.window or SIZE) ** 2
            fit(
                Brief(model),
                images,
                target,
                steps=length,
                batch_size=batch,
                lr=LR,
                seed=SEED + number,
                augment=task.augment,
            )
            reached = miou(*_answers(architecture, model, *watched))
            torch.save({"model": model.state_dict(), "reached": reached}, kept)
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        model.eval()
        gained, best, steps = state["reached"] - best, max(best, state["reached"]), steps + length
        print(f"{name}, cycle {number + 1}: mIoU {state['reached']:.3f} on the pictures that are watched", flush=True)
        if gained < ENOUGH:
            break
    _write(name, task, architecture, model, budget, steps, trained_out=gained < ENOUGH)


def _split(task, architecture, budget) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """What is trained on, and the pictures with masks that say when to stop."""
    images, target = training_data(architecture, task, budget)
    if task is SCENES:
        watched = load_scenes("val", size=SIZE, count=100, seed=1)
        return images, target, (watched.images, watched.masks)
    pictures, masks = task.training(budget)
    if not architecture.window:  # three of the twelve tiles are only watched
        images, target = images[:9], target[:9]
    return images, target, (pictures[9:], masks[9:])


def _answers(architecture, model, images, masks) -> tuple[Tensor, Tensor]:
    if architecture.window is None:
        return predict_logits(model, images), masks
    found = predict_all(architecture, model, images)
    return nn.functional.one_hot(found).permute(0, 3, 1, 2), masks


def _write(name, task, architecture, model, budget, steps, trained_out) -> None:
    stored = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    save_file(stored, WEIGHTS / f"{name}.safetensors")
    model.load_state_dict({key: value.float() for key, value in stored.items()})  # the scores of what is stored
    training, validation = scores(architecture, model, task, Budget(scenes=budget.val_scenes))
    record = {
        "command": f"python -m benchmarks.weights {name} --scenes {budget.scenes}",
        "seed": SEED,
        "steps": steps,
        "trained_out": trained_out,
        "training": asdict(training) | {"miou": training.miou},
        "validation": asdict(validation) | {"miou": validation.miou},
    }
    path = WEIGHTS / "records.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[name] = record
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
    print(
        f"{name}: {steps} steps, mIoU {training.miou:.3f} in training, {validation.miou:.3f} in validation", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = networks()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(every))
    parser.add_argument("--cycles", type=int, default=4, help="at most (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=4000, help="to train on (default: %(default)s)")
    given = parser.parse_args()
    if unknown := set(given.names) - set(every):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(every)}")
    torch.set_num_threads(1)
    budget = Budget(scenes=given.scenes)
    for name in given.names or every:
        train_out(name, *every[name], budget, given.cycles)


if __name__ == "__main__":
    main()
