"""A course folder, and the real nbgrader in it: prepare one, hand in, grade, read the gradebook."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from autograde.lessons import ROOT, Lesson


def new_course(folder: Path, root: Path = ROOT) -> list[str]:
    """Lay out a course folder: nbgrader's settings, and the lessons as its source. Returns the lessons' names.

    Grades and other people's work then lie beside the course's repository, never in it.
    Raises ValueError if there is something in the folder.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; a course begins in a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "nbgrader_config.py", folder)
    lessons = [path for path in sorted((root / "solutions").iterdir()) if path.is_dir()]
    for path in lessons:
        kinds = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")
        shutil.copytree(path, folder / "solutions" / path.name, ignore=kinds)
    return [path.name for path in lessons]


def prepare_course(lesson: Lesson, course: Path) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    """A real course folder with one assignment; returns the released and the solution notebook."""
    shutil.copy(ROOT / "nbgrader_config.py", course)
    shutil.copytree(lesson.root / "solutions" / lesson.name, course / "solutions" / lesson.name)
    run_nbgrader(course, "generate_assignment", lesson.name)
    paths = (course / "exercises" / lesson.name, course / "solutions" / lesson.name)
    return tuple(nbformat.read(path / f"{lesson.name}.ipynb", as_version=4) for path in paths)


def hand_in(course: Path, assignment: str, student: str, notebook: nbformat.NotebookNode | bytes) -> Path:
    """Put a submission where nbgrader looks for it."""
    path = course / "submitted" / student / assignment / f"{assignment}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode())
    return path


def gradebook_scores(course: Path, assignment: str) -> dict[str, dict[str, float | None]]:
    """What nbgrader's gradebook says: student -> graded cell -> score."""
    scores: dict[str, dict[str, float | None]] = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for submission in gradebook.assignment_submissions(assignment):
            for notebook in submission.notebooks:
                for one in notebook.grades:
                    scores.setdefault(submission.student.id, {})[one.name] = one.auto_score
    return scores


def run_nbgrader(course: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Run the real nbgrader in a course folder, with this checkout's packages. Raises RuntimeError with its output."""
    command = [sys.executable, "-m", "nbgrader", *arguments, f"--CourseDirectory.root={course}"]
    done = subprocess.run(command, cwd=course, env=nbgrader_environment(course), capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"nbgrader {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done


def nbgrader_environment(course: Path) -> dict[str, str]:
    """This process's environment, this Python's programs first, and the user's own Jupyter settings out of the way."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # nbgrader calls `alembic`
    settings = {"JUPYTER_CONFIG_DIR": str(course / ".jupyter"), "JUPYTER_PLATFORM_DIRS": "1"}
    return os.environ | settings | {"PYTHONPATH": str(ROOT), "PATH": path}
