"""`python -m seglab status`: which exercises pass their visible checks, the points so far, and what comes next.

Every notebook runs in a process of its own, with a time limit, so that a crash or an endless loop costs that notebook
only. Nothing is remembered between runs: what you see is what the notebooks say now.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60  # per notebook


class Unreadable(ValueError):
    """A notebook that cannot be read as one; the message says why."""


@dataclass
class Exercise:
    """One row of the table. state: 'passed', '3 of 5', 'not started' or 'error'; detail explains an error."""

    name: str
    points: float
    state: str = "error"
    detail: str = ""


def status(root: Path = Path(), lesson: str | None = None, seconds: float = SECONDS) -> int:
    """Print the table for the notebooks under `root`/exercises, all of them or one lesson's.

    lesson: '02', 'sliding_window' or '02_sliding_window'. Returns the exit code: 0, or 2 if there is nothing to show.
    """
    notebooks = [path for path in sorted(root.glob("exercises/*/*.ipynb")) if path.stem == path.parent.name]
    chosen = [path for path in notebooks if lesson in (None, path.stem, *path.stem.split("_", 1))]
    if not chosen:
        there = ", ".join(path.stem for path in notebooks) or f"none in {root / 'exercises'}"
        print(f"no lesson {lesson}; lessons: {there}" if lesson else f"no exercise notebooks: {there}")
        return 2
    done, possible, following = 0, 0, None
    for path in chosen:
        print(path.stem, flush=True)
        try:
            exercises = examine_notebook(path, seconds)
        except Unreadable as error:
            print(f"  {error}")
            continue
        for exercise in exercises:
            passed = exercise.state == "passed"
            done, possible = done + exercise.points * passed, possible + exercise.points
            following = following or (None if passed else (exercise, path))
            print(f"  {exercise.name:<28}{exercise.points:>4g}  {exercise.state}")
            if exercise.detail:
                print(f"      {exercise.detail}")
    print(f"\n{done:g} of {possible:g} points so far, by the visible checks only; hidden checks run at grading.")
    if following:
        print(f"Next: {following[0].name}, in {following[1]}")
    return 0


def examine_notebook(path: Path, seconds: float = SECONDS) -> list[Exercise]:
    """Run a notebook's cells in a fresh process and the visible checks of its exercises where they stand.

    Raises Unreadable if the file is no notebook, or has no graded exercise.
    """
    exercises = {name: Exercise(name, points) for name, points in _exercises_of(_read_cells(path))}
    if not exercises:
        raise Unreadable(f"{path.name}: no graded exercises in it; was it saved by another program?")
    with tempfile.TemporaryDirectory() as folder:
        results, ended = Path(folder) / "results", _run(path, Path(folder), seconds)
        lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    for exercise in exercises.values():
        exercise.detail = f"not reached: {ended}"
    for name, state, detail in map(json.loads, lines):
        exercises[name].state, exercises[name].detail = state, detail
    return list(exercises.values())


def _run(path, folder, seconds):
    """Run a notebook in a process; say how that ended."""
    package = str(Path(__file__).parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
        "IPYTHONDIR": str(folder),  # the student's own IPython profile stays out of it
        "MPLBACKEND": "Agg",
    }
    command = [sys.executable, "-m", "seglab.checking.progress", str(path.resolve()), str(folder / "results")]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        ended = subprocess.run(command, cwd=path.parent, env=environment, timeout=seconds, **quiet)
    except subprocess.TimeoutExpired:
        return f"the notebook was stopped after {seconds:g} seconds; an endless loop?"
    return f"the notebook's process ended with exit code {ended.returncode}"


def _read_cells(path):
    """(source, nbgrader metadata) of every code cell."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            ("".join(cell["source"]), cell.get("metadata", {}).get("nbgrader", {}))
            for cell in cells
            if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"{path.name}: not a notebook that can be read ({type(error).__name__}: {error})") from None


def _exercises_of(cells):
    """(exercise, points) of every check cell."""
    checks = [(checked_exercise(metadata), metadata) for _, metadata in cells]
    return [(name, float(metadata.get("points") or 0)) for name, metadata in checks if name]


def checked_exercise(metadata) -> str | None:
    """The exercise that a cell with this nbgrader metadata checks (its grade_id is check_<exercise>), or None."""
    grade_id = str(metadata.get("grade_id", ""))
    return grade_id.removeprefix("check_") if metadata.get("grade") and grade_id.startswith("check_") else None


# ---------------------------------------------------------------------------------------------------------------------
# In the notebook's own process
# ---------------------------------------------------------------------------------------------------------------------


def _run_cells(notebook: Path, results: Path) -> None:
    """Run the cells up to the last check and write a line for every check, at once: that survives a later crash.

    What follows the last check is a notebook's finale, and may train for a minute.
    """
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from seglab.checking.run import examine

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    trouble = ""
    cells = _read_cells(notebook)
    last = max(number for number, (_, metadata) in enumerate(cells) if checked_exercise(metadata))
    for source, metadata in cells[: last + 1]:
        name = checked_exercise(metadata)
        if not name:
            outcome = shell.run_cell(source)
            error = outcome.error_before_exec or outcome.error_in_exec
            trouble = f"{type(error).__name__}: {error}"[:200] if error else trouble
            continue
        try:
            line = [name, *_state(examine(name, shell.user_ns.get(name)), trouble)]
        except LookupError as error:
            line = [name, "error", str(error)]
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _state(report, trouble):
    """(state, detail) of a report, in the table's words."""
    if report.state == "missing":
        return "error", f"{report.name} is not defined" + (f"; a cell stopped with {trouble}" if trouble else "")
    if report.state == "failed":
        return f"{report.passed} of {len(report.outcomes)}", ""
    return report.state, ""


if __name__ == "__main__":
    _run_cells(Path(sys.argv[1]), Path(sys.argv[2]))
