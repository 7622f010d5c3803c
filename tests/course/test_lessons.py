"""Every lesson is complete, in the form that the design asks for, and its built notebooks are what its text says."""

import doctest
import json
import re
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

from autograde.authoring.build import build, with_lesson_table
from autograde.lessons import ROOT, Lesson, all_lessons, read_script
from seglab.checking.explain import MARKS
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
    assert len(built) == 4 * len(LESSONS) + 1
    for path in built:
        committed = ROOT / path.relative_to(tmp_path)
        assert path.read_bytes() == committed.read_bytes(), (
            f"{committed.name} is not what its source says: make notebooks"
        )
    assert {path.name for path in (ROOT / "exercises").iterdir() if path.is_dir()} == {one.name for one in LESSONS}
    for lesson in LESSONS:  # nbgrader hands on the pictures; in a fresh clone they are beside the solutions only
        folder = tmp_path / "exercises" / lesson.name
        assert {path.name for path in folder.iterdir()} == {f"{lesson.name}.ipynb", *(p.name for p in lesson.pictures)}


def test_the_table_of_lessons_needs_its_marks():
    text = (ROOT / "README.md").read_text()
    for mark in ("<!-- lessons: built by make notebooks -->", "<!-- end of lessons -->"):
        with pytest.raises(ValueError, match="no marks"):
            with_lesson_table(text.replace(mark, ""), LESSONS)


@each_lesson
def test_title_points_and_pictures_are_found(lesson):
    assert lesson.title.startswith(f"{lesson.number} · ") and lesson.points == 20
    marked = {cell.metadata["picture"] for cell in lesson.cells if "picture" in cell.metadata}
    assert {path.name for path in lesson.pictures} == {f"expected_{name}.png" for name in marked}
    text = lesson.source.read_text()
    assert set(re.findall(r"\]\((expected_\w+\.png)\)", text)) == {path.name for path in lesson.pictures}


def test_a_lecture_without_a_heading_has_no_title(tmp_path):
    lesson = Lesson("42_trial", tmp_path)
    with pytest.raises(ValueError, match="no heading"):
        _ = lesson.title
    lesson.lecture.parent.mkdir()
    lesson.lecture.write_text("# %% [markdown]\n# Text\n# ## Not the first\n")
    with pytest.raises(ValueError, match="no heading"):
        _ = lesson.title


@each_lesson
def test_a_lecture_has_the_form_of_one(lesson):
    cells = read_script(lesson.lecture).cells
    assert 1200 <= words(cells) <= 2500
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    appendix = next((n for n, cell in enumerate(cells) if "## Appendix" in cell.source), len(cells))
    assert sum(cell.cell_type == "code" for cell in cells[:appendix]) <= 20 and len(code) <= 24
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
            passed, of = re.search(r"(\d+) of (\d+) visible checks passed", shown).groups()
            assert int(passed) == int(of) > 0 and MARKS[False] not in shown, cell.source


@each_lesson
def test_docstring_examples_of_solutions_and_reference_are_right(lesson):
    solutions = ModuleType("solutions")
    first = next(cell for cell in lesson.cells if cell.cell_type == "code")  # its imports, and what is given
    for cell in [first, *(cell for cell in lesson.cells if "solution" in cell.metadata)]:
        exec(cell.source, vars(solutions))
    tried = doctest.testmod(solutions)
    assert tried.failed == 0 and tried.attempted >= len(lesson.exercises)
    assert doctest.testmod(lesson.reference).failed == 0


def test_unknown_lessons_are_refused_with_the_names_of_those_there_are():
    with pytest.raises(ValueError, match="02_sliding_window"):
        all_lessons(Path(ROOT), "77")
