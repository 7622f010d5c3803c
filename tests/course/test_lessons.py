"""Every lesson is complete, in the form that the design asks for, and its built notebooks are what its text says."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograde.authoring.build import build
from autograde.lessons import ROOT, all_lessons, read_script
from seglab.checking.run import examine

LESSONS = all_lessons()
EXERCISES = [(lesson, exercise.name) for lesson in LESSONS for exercise in lesson.exercises]
each_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
each_exercise = pytest.mark.parametrize(
    ("lesson", "name"), EXERCISES, ids=[f"{lesson.name}-{e}" for lesson, e in EXERCISES]
)


def words(cells) -> int:
    text = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return len(re.findall(r"[^\W\d_]{2,}", re.sub(r"\|.*\||<[^>]+>", " ", text)))


def test_building_again_gives_the_same_files(tmp_path):
    built = build(ROOT, tmp_path)
    assert len(built) >= 4
    for path in built:
        committed = ROOT / path.relative_to(tmp_path)
        assert path.read_bytes() == committed.read_bytes(), (
            f"{committed.name} is not what its source says: make notebooks"
        )
    expected = {p.relative_to(tmp_path) for p in (tmp_path / "exercises").rglob("*") if p.is_file()}
    assert expected == {
        p.relative_to(ROOT)
        for p in (ROOT / "exercises").rglob("*")
        if p.is_file() and ".ipynb_checkpoints" not in p.parts
    }


@each_lesson
def test_a_lecture_has_the_form_of_one(lesson):
    cells = read_script(lesson.lecture).cells
    assert 1200 <= words(cells) <= 2500
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert len(code) <= 20
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for heading in ("## Summary", "## What to read", "## What the next lesson repairs"):
        assert heading in text
    assert len(re.findall(r"^\d\. ", text.split("## Summary")[1].split("## ")[0], re.MULTILINE)) == 5
    figures = sum(len(re.findall(r"(?<!\w)show\(", source)) for source in code)
    assert figures >= 4 and figures == sum(source.count("alt=") for source in code), "every figure has alt text"
    assert sum("assert " in source for source in code) >= 4, "slide numbers are computed and asserted"


@each_lesson
def test_built_notebooks_hold_no_outputs_and_no_names_of_one_machine(lesson):
    for path in (
        ROOT / "lectures" / f"{lesson.name}.ipynb",
        *(ROOT / f / lesson.name / f"{lesson.name}.ipynb" for f in ("solutions", "exercises")),
    ):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
        assert notebook.metadata.kernelspec.name == "python3"


@each_lesson
def test_the_released_notebook_holds_no_solution(lesson):
    text = (ROOT / "exercises" / lesson.name / f"{lesson.name}.ipynb").read_text()
    assert "BEGIN SOLUTION" not in text and "END SOLUTION" not in text
    assert text.count("raise NotImplementedError") >= len(lesson.exercises)


@each_exercise
def test_the_reference_passes_its_visible_check(lesson, name):
    report = examine(name, getattr(lesson.reference, name))
    assert report.passed == len(report.outcomes) > 2, str(report)


@each_exercise
def test_a_known_wrong_answer_is_named_by_the_visible_check(lesson, name):
    import json

    known = json.loads(lesson.fingerprint_file.read_text())[name]["wrong"]
    named = 0
    for candidate in lesson.misconceptions:
        if candidate.exercise == name and candidate.name in known:
            report = examine(name, candidate.function)
            named += candidate.explanation in str(report)
    assert named >= 3, "most known mistakes that show in the visible check are named there"


@each_lesson
@pytest.mark.parametrize("kind", ["lectures", "solutions"])
def test_it_runs_from_top_to_bottom(lesson, kind, tmp_path):
    """Every cell, in a real kernel; a lecture's asserts are the numbers of the slides."""
    folder = ROOT / "lectures" if kind == "lectures" else ROOT / "solutions" / lesson.name
    notebook = nbformat.read(folder / f"{lesson.name}.ipynb", as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    assert any(cell.get("outputs") for cell in notebook.cells)
    for cell in notebook.cells:
        if kind == "solutions" and cell.cell_type == "code" and cell.source.startswith("check("):
            shown = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
            assert "visible checks passed" in shown


@each_lesson
def test_docstring_examples_of_solutions_and_reference_are_right(lesson, tmp_path):
    path = tmp_path / "examples.py"
    cells = [cell.source for cell in lesson.cells if "solution" in cell.metadata]
    imports = "import torch\nfrom torch import Tensor, nn\nfrom collections.abc import Callable\n"
    path.write_text(imports + "\n\n".join(cells), encoding="utf-8")
    for file in (path, lesson.reference_file):
        done = subprocess.run(
            [sys.executable, "-m", "doctest", str(file)], cwd=ROOT, capture_output=True, text=True, env=None
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_unknown_lessons_are_refused_with_the_names_of_those_there_are():
    with pytest.raises(ValueError, match="02_sliding_window"):
        all_lessons(Path(ROOT), "77")


@each_lesson
def test_the_readme_lists_the_lesson_with_its_exercises_and_points(lesson):
    (row,) = [
        line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {lesson.name[:2]} ")
    ]
    points = sum(exercise.points for exercise in lesson.exercises)
    assert f"[{len(lesson.exercises)} exercises, {points:g} points](exercises/{lesson.name}/{lesson.name}.ipynb)" in row
    assert f"(lectures/{lesson.name}.ipynb)" in row
