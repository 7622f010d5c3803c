"""Where the pieces of a lesson are. One name, `NN_topic`, ties them together."""

import functools
import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import jupytext
import nbformat

from autograde.graders.candidates import Candidate, candidates

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent


@dataclass(frozen=True)
class Exercise:
    """One graded function: its name and its points."""

    name: str
    points: float


class Lesson:
    """One lesson of the course, by its name: every path of it, and what is in the files."""

    def __init__(self, name: str, root: Path = ROOT):
        self.name, self.root = name, Path(root)
        self.number, self.topic = name.split("_", 1)
        # what is written by hand
        self.lecture = self.root / "lectures" / f"{name}.py"
        self.source = self.root / "solutions" / f"{name}.py"
        self.check_file = self.root / "seglab" / "checking" / "lessons" / f"{name}.py"
        self.reference_file = self.root / "autograde" / "reference" / f"{self.topic}.py"
        self.graders = self.root / "autograde" / "graders" / name
        self.grader_file = self.graders / f"test_{self.topic}.py"
        self.misconception_file = self.graders / "misconceptions.py"
        self.alternative_file = self.graders / "alternatives.py"
        self.equivalent_file = self.graders / "equivalent_mutants.json"
        self.reference_test_file = self.root / "tests" / "autograde" / "reference" / f"test_{self.topic}.py"
        self.battery_file = self.root / "tests" / "autograde" / "battery" / f"{name}.py"
        # what is built; pictures are drawn by tools/expected_pictures.py, looked at, and kept beside the solution
        self.lecture_notebook = self.root / "lectures" / f"{name}.ipynb"
        self.solution_folder = self.root / "solutions" / name
        self.exercise_folder = self.root / "exercises" / name
        self.fingerprint_file = self.check_file.with_suffix(".json")

    def __repr__(self):
        return f"Lesson({self.name!r})"

    @functools.cached_property
    def cells(self):
        """The cells of the solution's source, as notebook nodes."""
        return read_script(self.source).cells

    @functools.cached_property
    def exercises(self) -> list[Exercise]:
        """In the order of the notebook: every cell marked `check="name" points=N`."""
        return [
            Exercise(cell.metadata["check"], float(cell.metadata.get("points", 0)))
            for cell in self.cells
            if "check" in cell.metadata
        ]

    @functools.cached_property
    def title(self) -> str:
        """The first heading of the lecture: `02 · Sliding window`. Raises ValueError where there is none."""
        text = self.lecture.read_text(encoding="utf-8") if self.lecture.exists() else ""
        found = re.search(r"^# # (.+)$", text, re.MULTILINE)
        if not found:
            raise ValueError(f"there is no heading in {self.lecture}: it begins with `# # {self.number} · …`")
        return found[1]

    @property
    def points(self) -> float:
        return sum(exercise.points for exercise in self.exercises)

    @property
    def pictures(self) -> list[Path]:
        """The expected pictures, kept once: beside the solution."""
        return sorted(self.solution_folder.glob("*.png"))

    @property
    def hidden_files(self) -> list[Path]:
        """What no student may see a line of, besides the solutions between their marks."""
        return [self.reference_file, self.grader_file, self.misconception_file, self.alternative_file]

    @functools.cached_property
    def checks(self) -> ModuleType:
        return load(self.check_file)

    @functools.cached_property
    def reference(self) -> ModuleType:
        return load(self.reference_file)

    @functools.cached_property
    def misconceptions(self) -> list[Candidate]:
        return candidates(load(self.misconception_file))

    @functools.cached_property
    def alternatives(self) -> list[Candidate]:
        return candidates(load(self.alternative_file))

    def check_class(self, exercise: str) -> type | None:
        return find_class(self.checks, exercise)

    def forbidden(self, exercise: str) -> dict[str, str]:
        """Names that the answer must not use, each with the reason; the public check says them once for both sides."""
        return dict(getattr(self.check_class(exercise), "forbidden", {}))

    def grader_class_name(self, exercise: str) -> str | None:
        """The hidden test class of an exercise, by reading the file: nothing is imported."""
        if not self.grader_file.exists():
            return None
        names = re.findall(r"^class (Test\w+)", self.grader_file.read_text(encoding="utf-8"), re.MULTILINE)
        return next((name for name in names if plain(name) == f"test{plain(exercise)}"), None)


def read_script(path: Path) -> nbformat.NotebookNode:
    """A percent script as a notebook, its marks in the cells' metadata. A script needs no header of its own."""
    return jupytext.read(path, fmt="py:percent")


def plain(name: str) -> str:
    """`window_starts` and `WindowStarts` are one name."""
    return name.replace("_", "").lower()


def find_class(module: ModuleType, exercise: str) -> type | None:
    """The test class of an exercise in a module of checks or graders, or None."""
    wanted = f"test{plain(exercise)}"
    return next((value for name, value in vars(module).items() if plain(name) == wanted), None)


def all_lessons(root: Path = ROOT, only: str | None = None) -> list[Lesson]:
    """Every lesson that has a solution source; `only` picks those whose name begins so ("03"), or is so.

    Raises ValueError when nothing fits `only`.
    """
    names = sorted(path.stem for path in (Path(root) / "solutions").glob("[0-9][0-9]_*.py"))
    found = [Lesson(name, root) for name in names if not only or name == only or name.startswith(f"{only}_")]
    if only and not found:
        raise ValueError(f"no lesson {only!r}; there are: {', '.join(names) or 'none'}")
    return found


def load(path: Path) -> ModuleType:
    """Import a file whose name is no identifier (`02_sliding_window.py`), once per path and version of the file."""
    path = Path(path)
    name = "lesson_file_" + re.sub(r"\W", "_", str(path.resolve()))
    stamp = path.stat().st_mtime_ns
    module = sys.modules.get(name)
    if module is None or getattr(module, "__stamp__", None) != stamp:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        module.__stamp__ = stamp
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return module
