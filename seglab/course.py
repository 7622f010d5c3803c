"""The student's own copy of the course: `lay` puts it into a folder, `reset` puts one exercise's stub back.

Lessons are released anew now and then, and a student's work must outlive that. So what was laid is remembered by a hash
of each file (in `.laid.json`): what still is as it was laid follows the release, what the student has changed stays.
"""

import hashlib
import itertools
import json
import os
import re
from datetime import datetime
from pathlib import Path

FOLDER = "course"  # in the folder where lectures/ and exercises/ are released
START = "start.ipynb"
_MEMORY = ".laid.json"

_START_PAGE = """# How image segmentation became deep learning

| lesson | lecture | exercises |
|---|---|---|
{rows}

1. Read the lecture and run it.
2. Open the exercises. Each has a statement, a cell for your code, hints, and a check that you can run as often as you
   like.
3. Run the cell below to see which exercises pass their visible checks and what comes next.

This folder is yours: a newer release of the course is laid around your work and never over it."""
_START_CODE = "from seglab.checking.progress import status\n\nstatus();"


# Laying the course


def lay(root: Path = Path(), course: Path | None = None) -> int:
    """Lay what is released below `root` into the folder `course` (by default root/course), and say what was done.

    Returns the exit code: 0, or 2 if nothing is released there.
    """
    course = course or root / FOLDER
    released = released_files(root)
    if not released:
        print(f"no lessons in {root.resolve()}: there should be lectures/ and exercises/")
        return 2
    laid = _remembered(course)
    new, updated, kept = [], [], []
    for name, content in released.items():
        path, digest = course / name, _digest(name, content)
        now = _digest(name, path.read_bytes()) if path.exists() else None
        if now is None or now == laid.get(name) != digest:
            _write(path, content)
            (new if now is None else updated).append(name)
        elif now != digest:
            kept.append((name, laid.get(name) != digest))
            continue  # remembered as it was laid: whoever undoes their changes gets the newer one
        laid[name] = digest
    _write(course / _MEMORY, json.dumps(laid, indent=1, sort_keys=True).encode())
    counts = ((new, "laid"), (updated, "brought up to date"), (kept, "changed by you and kept"))
    print(f"{course}: " + (", ".join(f"{len(names)} {what}" for names, what in counts if names) or "all as it was"))
    for name in [name for name, is_newer in kept if is_newer]:
        print(f"  there is a newer {name}: to get it, rename yours and lay the course again")
    return 0


def released_files(root: Path) -> dict[str, bytes]:
    """What a student's course consists of, by its place in it: the start page, notebooks, and their pictures."""
    lectures = sorted(root.glob("lectures/[0-9][0-9]_*.ipynb"))
    exercises = sorted(path for path in root.glob("exercises/*/*.ipynb") if path.stem == path.parent.name)
    # Pictures are kept once: beside the solutions in the workshop, beside the exercises in what is released.
    folder = "solutions" if (root / "solutions").is_dir() else "exercises"
    pictures = [
        (f"exercises/{notebook.stem}/{path.name}", path)
        for notebook in exercises
        for path in sorted(root.glob(f"{folder}/{notebook.stem}/*.png"))
    ]
    if not exercises:
        return {}
    notebooks = [(path.relative_to(root).as_posix(), path) for path in (*lectures, *exercises)]
    start = {START: _start_page(lectures, exercises)}
    return start | {name: path.read_bytes() for name, path in (*notebooks, *pictures)}


def _start_page(lectures, exercises) -> bytes:
    """The notebook that JupyterLab opens first: every lesson with its links, and where the student stands."""
    titles = {path.stem: _title(path) for path in lectures}
    rows = []
    for path in exercises:
        points = [cell["metadata"]["nbgrader"]["points"] for cell in _cells(path.read_bytes()) if _is_check(cell)]
        lecture = f"[lecture](lectures/{path.stem}.ipynb)" if path.stem in titles else ""
        work = f"[{len(points)} exercises, {sum(points):g} points](exercises/{path.stem}/{path.name})"
        rows.append(f"| {titles.get(path.stem, path.stem)} | {lecture} | {work} |")
    text = {
        "cell_type": "markdown",
        "id": "lessons",
        "metadata": {},
        "source": _START_PAGE.format(rows="\n".join(rows)),
    }
    code = {"cell_type": "code", "id": "status", "metadata": {}, "source": _START_CODE}
    code |= {"outputs": [], "execution_count": None}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return _as_bytes({"cells": [text, code], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


def _title(lecture: Path) -> str:
    """The first heading of a lecture: `01 · Tasks, loss, metric`."""
    text = "\n".join(_source(cell) for cell in _cells(lecture.read_bytes()))
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else lecture.stem


def _remembered(course: Path) -> dict[str, str]:
    """Name -> digest of what was laid. Nothing remembered is no harm: what differs then counts as the student's."""
    try:
        return dict(json.loads((course / _MEMORY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _digest(name: str, content: bytes) -> str:
    """Of a notebook, what is written in it: one that was run and saved is still as it was laid."""
    if name.endswith(".ipynb"):
        try:
            cells = [[c["cell_type"], _source(c), c.get("metadata", {}).get("nbgrader")] for c in _cells(content)]
            content = json.dumps(cells, sort_keys=True).encode()
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # no notebook any more: its bytes have to do
    return hashlib.sha256(content).hexdigest()


# Starting an exercise again


def reset(exercise: str, root: Path = Path(), course: Path | None = None) -> int:
    """Put the stub of an exercise back into the student's notebook; the old answer is kept in a dated file beside it.

    Returns the exit code: 0, or 2 if there is no such exercise, or no notebook of the student's to put it into.
    """
    course = course or root / FOLDER
    stubs = {
        _name(cell): (path, cell)
        for path in sorted(root.glob("exercises/*/*.ipynb"))
        for cell in _cells(path.read_bytes())
        if _nbgrader(cell).get("solution")
    }
    if exercise not in stubs:
        print(f"there is no exercise {exercise!r}; there are: {', '.join(stubs) or 'none'}")
        return 2
    released, stub = stubs[exercise]
    path = course / released.relative_to(root)
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        old = _put_back(notebook["cells"], exercise, stub)
    except OSError:
        print(f"there is no {path}: lay the course first")
        return 2
    except (ValueError, KeyError, TypeError, AttributeError):
        print(f"{path} cannot be read as a notebook: rename it, and lay the course again")
        return 2
    if old == [_source(stub)]:
        print(f"{exercise} is a stub already, in {path}")
        return 0
    kept = _keep(path.parent, exercise, old)
    _write(path, _as_bytes(notebook))
    print(f"{exercise} is a stub again, in {path}" + (f"; your answer is kept in {kept}" if kept else ""))
    print("If the notebook is open, reload it now: File, Reload Notebook from Disk.")
    return 0


def _put_back(cells: list[dict], exercise: str, stub: dict) -> list[str]:
    """Put the stub in place of the answer, or before its check if there is none. Returns what stood there.

    A copied cell has its original's name, and would define the function again: copies go, too.
    """
    answers = [cell for cell in cells if _name(cell) == exercise]
    check = next((cell for cell in cells if _name(cell) == f"check_{exercise}"), None)
    place = next((cells.index(cell) for cell in (*answers, check) if cell), len(cells))
    old = [_source(cell) for cell in answers]
    cells[:] = [*cells[:place], stub, *(cell for cell in cells[place:] if _name(cell) != exercise)]
    if check:
        check |= {"outputs": [], "execution_count": None}  # what it said of the old answer
    return old


def _keep(folder: Path, exercise: str, answers: list[str]) -> Path | None:
    """Write what stood in the cells to a new file that says when."""
    if not answers:
        return None
    name = f"{exercise}_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    path = next(path for path in (folder / f"{name}.py" for name in names) if not path.exists())
    _write(path, ("\n\n\n".join(answers) + "\n").encode())
    return path


# Notebooks as plain JSON: nothing that a student's file holds is lost or mended on the way


def _cells(content: bytes) -> list[dict]:
    return json.loads(content)["cells"]


def _source(cell: dict) -> str:
    return "".join(cell["source"])  # a text, or a list of lines


def _nbgrader(cell: dict) -> dict:
    return cell.get("metadata", {}).get("nbgrader", {})


def _name(cell: dict) -> str | None:
    return _nbgrader(cell).get("grade_id")


def _is_check(cell: dict) -> bool:
    return bool(_nbgrader(cell).get("grade"))


def _as_bytes(notebook: dict) -> bytes:
    """As Jupyter writes it."""
    return (json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)
