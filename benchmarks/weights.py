"""Trains the networks of the course until validation no longer rises, and writes the weights that the lectures show.

    python -m benchmarks.weights [NAME ...] [--cycles N] [--scenes N] [--judge]

Training goes in cycles of the learning rate, each twice as long as the one before: at the end of a cycle the network is
as good as it is then, and if that is less than 0.005 mIoU better than before, it has been trained out. What is watched
for that is not counted in the scores, and whole pictures are not trained on it; crops of nuclei come from all twelve
tiles, the three that are watched among them. Stop it when you like: each finished cycle is kept in build/weights/, and
the next call goes on from there.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import save_file
from torch import nn

from autograde.lessons import load
from benchmarks.protocol import (
    SCENES,
    TASKS,
    Architecture,
    Budget,
    Task,
    cycle,
    new_network,
    scores,
    training_and_validation,
)
from seglab.weights import WEIGHTS, load_weights, records

FIRST_CYCLE = 600  # steps: the budget of the lectures
ENOUGH = 0.005  # a cycle that gains less in mIoU was the last one
KEPT = Path("build") / "weights"
SEED = 0


def network_modules() -> list[tuple[str, ModuleType]]:
    """(number of the lesson, what its file names), in the order of the course."""
    files = sorted((Path(__file__).parent / "networks").glob("[0-9][0-9]_*.py"))
    return [(path.name[:2], load(path)) for path in files]


def networks() -> dict[str, tuple[Task, Architecture]]:
    """name of the weights -> what is trained: the rows of the table on both tasks, and what the lectures train."""
    found = {}
    for _, module in network_modules():
        own = [one for one in module.ARCHITECTURES if not (one.weights or one.before or one.control)]
        found |= {weights_name(task, one): (task, one) for task in TASKS for one in own}
        found |= {weights_name(SCENES, one): (SCENES, one) for one in getattr(module, "LECTURE", ())}
    return found


def weights_name(task: Task, architecture: Architecture) -> str:
    """As in `fcn_8s_nuclei`."""
    return f"{weights_stem(architecture)}_{task.name}"


def weights_stem(architecture: Architecture) -> str | None:
    """As in `fcn_8s`; None for a network of which no weights are kept."""
    if architecture.before is not None or architecture.control:
        return None
    return (architecture.weights or architecture.name).lower().replace(" ", "_").replace("-", "_")


def train_out(name: str, task: Task, architecture: Architecture, budget: Budget, cycles: int) -> None:
    """Train until it no longer pays, and write weights and record."""
    model = new_network(architecture, task, SEED, budget)
    pictures, watched = task.split(budget.scenes)
    data = task.crops(architecture.window, budget) if architecture.window else (pictures.images, pictures.masks)
    folder, reached, steps = KEPT / name, [], 0
    folder.mkdir(parents=True, exist_ok=True)
    while len(reached) < cycles and not _no_longer_pays(reached):
        number, length = len(reached), FIRST_CYCLE * 2 ** len(reached)
        kept = folder / f"cycle_{number}.pt"
        if not kept.exists():
            print(f"{name}, cycle {number + 1}: {length} steps", flush=True)
            cycle(architecture, model, task, data, length, seed=SEED + number)
            gained = scores(architecture, model, watched, task).miou
            torch.save({"model": model.state_dict(), "reached": gained}, kept)
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        model.eval()
        reached.append(state["reached"])
        steps += length
        print(f"{name}, cycle {number + 1}: mIoU {reached[-1]:.3f} on the pictures that are watched", flush=True)
    made = {
        "command": f"python -m benchmarks.weights {name} --scenes {budget.scenes}",
        "seed": SEED,
        "steps": steps,
        "watched": [round(one, 4) for one in reached],  # mIoU after each cycle, of which each doubles the one before
        "trained_out": _no_longer_pays(reached),
    }
    _record(name, made | _judged(architecture, _stored(name, model), task, budget))


def judge_again(name: str, task: Task, architecture: Architecture, budget: Budget) -> None:
    """Write the scores of stored weights anew, where the way of judging has changed."""
    model = load_weights(architecture.build(task), name)
    _record(name, records()[name] | _judged(architecture, model, task, budget))


def _judged(architecture: Architecture, model: nn.Module, task: Task, budget: Budget) -> dict:
    training, validation = training_and_validation(architecture, model, task, budget)
    return {
        "training": asdict(training) | {"miou": training.miou},
        "validation": asdict(validation) | {"miou": validation.miou},
    }


def _no_longer_pays(reached: list[float]) -> bool:
    """Whether the last cycle gained less than enough over the best one before it."""
    return len(reached) > 1 and reached[-1] - max(reached[:-1]) < ENOUGH


def _stored(name: str, model: nn.Module) -> nn.Module:
    """Write the weights, and give the network those that can be read again."""
    stored = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    save_file(stored, WEIGHTS / f"{name}.safetensors")
    model.load_state_dict({key: value.float() for key, value in stored.items()})
    return model


def _record(name: str, record: dict) -> None:
    path = WEIGHTS / "records.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[name] = record
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {record['steps']} steps, mIoU {record['validation']['miou']:.3f} in validation", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = networks()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(every))
    parser.add_argument("--cycles", type=int, default=4, help="at most (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=4000, help="to train on (default: %(default)s)")
    parser.add_argument("--judge", action="store_true", help="train nothing: judge the stored weights again")
    given = parser.parse_args()
    if unknown := set(given.names) - set(every):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(every)}")
    torch.set_num_threads(1)
    budget = Budget(scenes=given.scenes)
    for name in given.names or every:
        if given.judge:
            judge_again(name, *every[name], budget)
        else:
            train_out(name, *every[name], budget, given.cycles)


if __name__ == "__main__":
    main()
