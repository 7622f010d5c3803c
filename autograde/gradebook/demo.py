"""A whole class from release to grade table, through the real nbgrader, in a temporary course folder."""

import ast
import inspect
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from tqdm import tqdm

from autograde.gradebook.course import gradebook_scores, hand_in, nbgrader_environment, prepare_course, run_nbgrader
from autograde.gradebook.tables import class_table
from autograde.graders.candidates import Candidate
from autograde.grading.report import read_json
from autograde.lessons import ROOT, Lesson, all_lessons


@dataclass(frozen=True)
class Sample:
    """One student of the demonstration.

    `expected(lesson)` maps each exercise to the share that it must earn, or to None: anything below 1.
    """

    name: str
    notebook: Callable[[Lesson, nbformat.NotebookNode, nbformat.NotebookNode], nbformat.NotebookNode | bytes]
    expected: Callable[[Lesson], dict[str, float | None]]


def demo(folder: Path | None = None, only: str | None = None, students: list[str] | None = None) -> Path:
    """Run the demonstration for every lesson (or one) and print what came of it. Returns the course folder.

    With `students`, only the samples of these names hand in.
    Raises AssertionError at the end if a sample earned anything but what it must.
    """
    course = Path(folder or tempfile.mkdtemp(prefix="course-"))
    course.mkdir(parents=True, exist_ok=True)
    odd = []
    for lesson in all_lessons(ROOT, only):
        print(f"\n{lesson.name}: release to the class")
        released, solution = prepare_course(lesson, course)
        samples = [sample for sample in sample_class(lesson) if not students or sample.name in students]
        for sample in samples:
            hand_in(course, lesson.name, sample.name, sample.notebook(lesson, released, solution))
        _autograde(course, lesson.name, len(samples))
        run_nbgrader(course, "generate_feedback", lesson.name)
        print(class_table(course, lesson.name))
        odd += [f"{lesson.name}, {text}" for sample in samples for text in surprises(course, lesson, sample)]
        print("feedback pages:")
        for page in sorted((course / "feedback").glob(f"*/{lesson.name}/*.html")):
            print(f"  {page}")
    run_nbgrader(course, "export", f"--CsvExportPlugin.to={course / 'grades.csv'}")
    print(f"grades for the office: {course / 'grades.csv'}")
    if odd:
        raise AssertionError("not what was to be earned:\n" + "\n".join(odd))
    print("every sample earned what it must")
    return course


def surprises(course: Path, lesson: Lesson, sample: Sample) -> list[str]:
    """Where the gradebook says anything but what the sample must earn."""
    earned = gradebook_scores(course, lesson.name).get(sample.name, {})
    found = []
    for exercise in lesson.exercises:
        share, score = sample.expected(lesson)[exercise.name], earned.get(f"check_{exercise.name}")
        right = score is not None and (
            0 <= score < exercise.points if share is None else score == share * exercise.points
        )
        if not right:
            wanted = f"less than {exercise.points:g}" if share is None else f"{share * exercise.points:g}"
            found.append(f"{sample.name}: {exercise.name} earned {score}, not {wanted}")
    return found


def sample_class(lesson: Lesson) -> list[Sample]:
    """Right, differently right, half right, blank, every misconception of one exercise, and the hostile ones."""
    names = [exercise.name for exercise in lesson.exercises]
    believed, last = misunderstood(lesson), alone(lesson)[-1]

    def all_at(share, **other) -> Callable:
        return lambda _: dict.fromkeys(names, share) | other

    samples = [
        Sample("right", lambda _, released, solution: solution, all_at(1.0)),
        Sample("right_differently", _with_alternatives, all_at(1.0)),
        Sample("half_right", _half, lambda _: {name: float(i < len(names) // 2) for i, name in enumerate(names)}),
        Sample("blank", lambda _, released, solution: released, all_at(0.0)),
    ]
    for candidate in lesson.misconceptions:
        if candidate.exercise == believed:
            samples.append(Sample(f"believes_{candidate.name}", _believing(candidate), all_at(1.0, **{believed: None})))
    crash = f"import os\ndef {last}(*args):\n    os._exit(0)\n"
    loop = f"def {last}(*args):\n    while True:\n        pass\n"
    samples += [
        Sample("crashes", _replacing({last: crash}), all_at(1.0, **{last: 0.0})),
        Sample("loops_forever", _replacing({last: loop}), all_at(1.0, **{last: 0.0})),
        Sample("spies", _replacing({last: SPY.format(name=last)}), all_at(1.0, **{last: 0.0})),
        Sample("tags_cells", _tagging, all_at(0.0)),
        Sample("is_no_notebook", lambda *_: b"not a notebook", all_at(0.0)),
    ]
    return samples


def alone(lesson: Lesson) -> list[str]:
    """The exercises that no other solution calls: what happens in one of them can cost only that one."""
    sources = {cell.metadata["solution"]: cell.source for cell in lesson.cells if "solution" in cell.metadata}
    return [name for name in sources if not any(name in text for other, text in sources.items() if other != name)]


def misunderstood(lesson: Lesson) -> str:
    """The exercise whose misconceptions are handed in: of those that stand alone, the one with the fewest."""
    counts = {name: sum(c.exercise == name for c in lesson.misconceptions) for name in alone(lesson)}
    return min(counts, key=counts.get)


SPY = """
import os, socket, sqlite3
_found = []
for _top in ("/home", "/root", "/tmp", "/work", "/srv", "/mnt", "/opt", ".."):
    for _folder, _folders, _files in os.walk(_top):
        _folders[:] = [_n for _n in _folders if _n != "site-packages"]  # the libraries that it imports itself
        _names = set(_folders) & {{"submitted", "autograde", "graders"}} | set(_files) & {{"gradebook.db"}}
        _found += [os.path.join(_folder, _n) for _n in _names]
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    _found.append("network")
except OSError as _error:
    print("no network:", _error)
print("found:", _found)
for _path in _found:
    if _path.endswith("gradebook.db"):
        sqlite3.connect(_path).execute("UPDATE grade SET manual_score = 99")
def {name}(*args):
    return open(_found[0]).read()
"""


def _with_alternatives(lesson, released, solution):
    chosen = {}
    for candidate in lesson.alternatives:
        if not candidate.uses_forbidden:
            chosen.setdefault(candidate.exercise, answer_source(candidate, lesson))
    return _replace(solution, chosen)


def _half(lesson, released, solution):
    """The first half of the answers in the released notebook."""
    names = [exercise.name for exercise in lesson.exercises]
    return _replace(released, {name: _source_of(solution, name) for name in names[: len(names) // 2]})


def _believing(candidate):
    return lambda lesson, released, solution: _replace(solution, {candidate.exercise: answer_source(candidate, lesson)})


def _replacing(sources: dict[str, str]):
    return lambda lesson, released, solution: _replace(solution, sources)


def _tagging(lesson, released, solution):
    """The tag that gave full marks: every cell asks not to be run, and claims a thousand points."""
    notebook = _copy(released)
    for cell in notebook.cells:
        cell.metadata["tags"] = ["skip-execution"]
        if "points" in cell.metadata.get("nbgrader", {}):
            cell.metadata.nbgrader["points"] = 1000
    return notebook


def _replace(notebook, sources: dict[str, str]):
    notebook = _copy(notebook)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in sources:
            cell.source = sources[name]
    return notebook


def _source_of(notebook, name) -> str:
    return next(c.source for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def _copy(notebook):
    return nbformat.from_dict(json.loads(json.dumps(notebook)))


MARKS = ("misconception(", "variant(", "alternative(")  # of autograde.graders.candidates: ours, not a student's


def answer_source(candidate: Candidate, lesson: Lesson) -> str:
    """A candidate as a student would write it: imports, helpers, and its function under the exercise's name."""
    module = inspect.getmodule(candidate.function) or inspect.getmodule(inspect.unwrap(candidate.function))
    prefix = "_reference_"
    lines = _unit(ast.parse(inspect.getsource(module)), candidate.name)
    source = "\n\n".join(ast.unparse(node) for node in lines)
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    tree = ast.parse(inspect.getsource(lesson.reference))
    borrowed = sorted(
        names
        & {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
        - {n.name for n in lines if hasattr(n, "name")}
    )
    parts = []
    for name in borrowed:
        parts += [ast.unparse(node) for node in _unit(tree, name)]
    # The exercise's own name must not hide the reference function that a misconception builds on.
    text = "\n\n".join([*dict.fromkeys(parts), source])
    if candidate.exercise in borrowed:
        text = _rename(text, candidate.exercise, prefix + candidate.exercise)
    return f"{text}\n\n{candidate.exercise} = {candidate.name}\n"


def _unit(tree: ast.Module, name: str) -> list[ast.stmt]:
    """The imports, and the definitions that a function needs, without our own packages and marks."""
    definitions = {n.name: n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    constants = [n for n in tree.body if isinstance(n, ast.Assign)]
    definitions |= {t.id: n for n in constants for t in n.targets if isinstance(t, ast.Name)}
    needed, todo = set(), [name]
    while todo:
        one = todo.pop()
        if one in definitions and one not in needed:
            needed.add(one)
            todo += [n.id for n in ast.walk(definitions[one]) if isinstance(n, ast.Name)]
    result = []
    for node in tree.body:
        if (
            isinstance(node, ast.Import)
            or (isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("autograde"))
            or (node in constants and any(definitions.get(name) is node for name in needed))
        ):
            result.append(node)
        elif getattr(node, "name", None) in needed:
            node.decorator_list = [one for one in node.decorator_list if not ast.unparse(one).startswith(MARKS)]
            result.append(node)
    return result


def _rename(source: str, old: str, new: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == old:
            node.name = new
    return ast.unparse(tree)


def _autograde(course: Path, assignment: str, count: int) -> None:
    """nbgrader autograde, with a bar that follows the journals."""
    command = [sys.executable, "-m", "nbgrader", "autograde", assignment, f"--CourseDirectory.root={course}"]
    with open(course / "autograde.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=course, env=nbgrader_environment(course), stdout=log, stderr=log)
        with tqdm(total=count, desc="autograde", unit="submission") as bar:
            while process.poll() is None:
                time.sleep(0.5)
                reports = (course / "reports" / assignment).glob("*.json")
                bar.update(sum(read_json(path).get("state") == "done" for path in reports) - bar.n)
            bar.update(count - bar.n if process.returncode == 0 else 0)
    if process.returncode != 0:
        raise RuntimeError(f"nbgrader autograde ended with {process.returncode}; see {course / 'autograde.log'}")
