"""Builds every notebook from text, byte for byte the same each time, and the fingerprints of known wrong answers.

Lectures and solutions come from percent scripts through jupytext; exercises come from solutions through nbgrader's own
`generate_assignment`, and the README's table of lessons from what they hold. Nobody edits what is built; a test builds
again and compares.
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import nbformat
import torch

from autograde.gradebook.course import run_nbgrader
from autograde.lessons import ROOT, Lesson, all_lessons, read_script
from seglab.checking.fingerprints import differences
from seglab.checking.run import observe

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def build(root: Path = ROOT, out: Path | None = None, only: str | None = None) -> list[Path]:
    """Build every lesson (or one, "03") below `out`, by default in place; returns the built files."""
    root, out = Path(root), Path(out or root)
    built = []
    lessons = all_lessons(root, only)
    for lesson in lessons:
        there = Lesson(lesson.name, out)
        if lesson.lecture.exists():
            built.append(_write(there.lecture_notebook, lecture_notebook(lesson.lecture)))
        built.append(_write(there.solution_folder / f"{lesson.name}.ipynb", solution_notebook(lesson)))
        if out != root:
            for picture in lesson.pictures:
                shutil.copy(picture, there.solution_folder)
        digests = json.dumps(fingerprints(lesson), indent=1, sort_keys=True) + "\n"
        built.append(_write_text(there.fingerprint_file, digests))
    built += generate_exercises(lessons, out)
    readme = (root / "README.md").read_text(encoding="utf-8")
    return [*built, _write_text(out / "README.md", with_lesson_table(readme, all_lessons(root)))]


def with_lesson_table(text: str, lessons: list[Lesson]) -> str:
    """A text with the table of lessons between its marks. Raises ValueError if the marks are not there."""
    before, begin, rest = text.partition("<!-- lessons: built by make notebooks -->\n")
    _, end, after = rest.partition("<!-- end of lessons -->")
    if not begin or not end:
        raise ValueError("the README has no marks for the table of lessons")
    rows = []
    for lesson in lessons:
        notebook = lesson.exercise_folder.relative_to(lesson.root) / f"{lesson.name}.ipynb"
        lecture = lesson.lecture_notebook.relative_to(lesson.root)
        exercises = f"[{len(lesson.exercises)} exercises, {lesson.points:g} points]({notebook.as_posix()})"
        rows.append(f"| {lesson.title} | [{lecture.as_posix()}]({lecture.as_posix()}) | {exercises} |\n")
    return f"{before}{begin}| lesson | lecture | exercises |\n|---|---|---|\n{''.join(rows)}{end}{after}"


def lecture_notebook(source: Path) -> nbformat.NotebookNode:
    """The notebook of a lecture's percent script."""
    notebook = read_script(source)
    for cell in notebook.cells:
        cell.metadata = {}
    return _finish(notebook)


def solution_notebook(lesson: Lesson) -> nbformat.NotebookNode:
    """The notebook of a solution's script, with nbgrader's metadata on every cell.

    A script marks a cell `solution="name"`, `check="name" points=3`, or `locked="name"`; every other cell is locked
    too, so that a submission can be put together again from what was released.
    """
    notebook = read_script(lesson.source)
    used: set[str] = set()
    for cell in notebook.cells:
        marks = cell.metadata
        name = marks.get("solution") or (f"check_{marks['check']}" if "check" in marks else marks.get("locked"))
        name = name or f"{'text' if cell.cell_type == 'markdown' else 'code'}-{_short_digest(cell.source)}"
        while name in used:
            name += "-again"
        used.add(name)
        nbgrader = {
            "grade": "check" in marks,
            "grade_id": name,
            "locked": "solution" not in marks,
            "schema_version": 3,
            "solution": "solution" in marks,
            "task": False,
        }
        if "check" in marks:
            nbgrader["points"] = marks["points"]
        cell.metadata = {"nbgrader": nbgrader}
    return _finish(notebook)


def _finish(notebook):
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: set[str] = set()
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").replace("_", "-") or _short_digest(cell.source)
        while name in seen:
            name += "x"
        seen.add(name)
        cell.id = name[:64]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.validate(notebook)
    return notebook


def generate_exercises(lessons: list[Lesson], out: Path) -> list[Path]:
    """Run `nbgrader generate_assignment` in a folder of its own, and take the released folders from there."""
    built = []
    with tempfile.TemporaryDirectory(prefix="build-") as course:
        shutil.copy(ROOT / "nbgrader_config.py", course)
        for lesson in lessons:
            shutil.copytree(Lesson(lesson.name, out).solution_folder, Lesson(lesson.name, course).solution_folder)
        run_nbgrader(Path(course), "generate_assignment", "--assignment=*")  # all that are in this folder
        for lesson in lessons:
            target = Lesson(lesson.name, out).exercise_folder
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(Lesson(lesson.name, course).exercise_folder, target)
            for path in target.iterdir():
                path.chmod(0o644)
            notebook = nbformat.read(target / f"{lesson.name}.ipynb", as_version=4)
            notebook.metadata = nbformat.from_dict(_METADATA)
            built.append(_write(target / f"{lesson.name}.ipynb", notebook))
    return built


def fingerprints(lesson: Lesson) -> dict:
    """What right and known wrong answers do on the visible check: digests and explanations, not a line of code."""
    torch.set_num_threads(1)  # another number of threads rounds otherwise, and the built file would differ
    result: dict = {}
    for exercise in [one.name for one in lesson.exercises]:
        test_class = lesson.check_class(exercise)
        right = observe(test_class, {exercise: getattr(lesson.reference, exercise)})
        result[exercise] = {"right": right, "wrong": {}}
        for candidate in [one for one in lesson.misconceptions if one.exercise == exercise]:
            shows = differences(observe(test_class, {exercise: candidate.function}), right)
            if shows:  # one that the visible check cannot see is left for the hidden grader
                about = {"explanation": candidate.explanation, "hint": candidate.hint, "shows": shows}
                result[exercise]["wrong"][candidate.name] = about
    return result


def _write(path: Path, notebook: nbformat.NotebookNode) -> Path:
    return _write_text(path, nbformat.writes(notebook) + "\n")


def _write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
