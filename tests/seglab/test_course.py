"""The student's own folder: what is laid, what is kept, and how an exercise is started again."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from seglab.__main__ import main
from seglab.checking import progress
from seglab.course import lay, released_files, reset

ROOT = Path(__file__).resolve().parents[2]
EXERCISES, LECTURE = "exercises/01_trial/01_trial.ipynb", "lectures/01_trial.ipynb"
STUB, ANSWER = "def double(x):\n    raise NotImplementedError", "def double(x):\n    return 2 * x"


def marked(source, name, *, points=None):
    metadata = {"grade": points is not None, "grade_id": name, "solution": points is None, "locked": points is not None}
    metadata |= {"points": points} if points is not None else {}
    return new_code_cell(source, metadata={"nbgrader": metadata})


def release(root, lecture="# 01 · Trial and error", statement="Double a number.", stub=STUB):
    """A course of one lesson, as it is released."""
    cells = [
        new_markdown_cell(statement),
        marked(stub, "double"),
        marked("check(double)", "check_double", points=2.0),
        marked("def triple(x):\n    raise NotImplementedError", "triple"),
        marked("check(triple)", "check_triple", points=3.0),
    ]
    for name, notebook in ((EXERCISES, new_notebook(cells=cells)), (LECTURE, new_notebook())):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name == LECTURE:
            notebook.cells = [new_markdown_cell(lecture), new_code_cell("1 + 1")]
        nbformat.write(notebook, root / name)
    (root / "exercises/01_trial/expected_double.png").write_bytes(b"a picture")
    for twin in ("lectures/01_trial.py", "exercises/01_trial/notes.txt"):
        (root / twin).write_text("not for students")


@pytest.fixture
def root(tmp_path):
    release(tmp_path)
    return tmp_path


def edit(path, **sources):
    """Write into the cells of these names, as a student would, and run them all."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = sources.get(name, cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [new_output("stream", text="ran")], 1
    nbformat.write(notebook, path)


def source_of(path, name):
    (cell,) = [
        c for c in nbformat.read(path, as_version=4).cells if c.metadata.get("nbgrader", {}).get("grade_id") == name
    ]
    return cell.source


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_notebooks_and_pictures_are_laid_and_a_start_page(root, capsys):
    assert lay(root) == 0
    picture = "exercises/01_trial/expected_double.png"
    assert files(root / "course") == {"start.ipynb", ".laid.json", EXERCISES, LECTURE, picture}
    assert (root / "course" / EXERCISES).read_bytes() == (root / EXERCISES).read_bytes()
    assert capsys.readouterr().out.strip().endswith("4 laid")
    start = nbformat.read(root / "course" / "start.ipynb", as_version=4)
    nbformat.validate(start)
    row = next(line for line in start.cells[0].source.splitlines() if "Trial" in line)
    assert row == f"| 01 · Trial and error | [lecture]({LECTURE}) | [2 exercises, 5 points]({EXERCISES}) |"


def test_pictures_come_from_beside_the_solutions_where_there_are_any(root):
    folder = root / "solutions" / "01_trial"
    folder.mkdir(parents=True)
    (folder / "expected_triple.png").write_bytes(b"another")
    names = set(released_files(root))
    assert "exercises/01_trial/expected_triple.png" in names and "exercises/01_trial/expected_double.png" not in names
    assert not [name for name in names if name.startswith("solutions")]


def test_what_was_only_read_and_run_follows_the_release(root, capsys):
    lay(root)
    edit(root / "course" / LECTURE)
    release(root, lecture="# 01 · Trial, error, success")
    lay(root)
    assert "2 brought up to date" in capsys.readouterr().out  # and the start page, which has its title
    assert "success" in (root / "course" / LECTURE).read_text()
    assert lay(root) == 0 and "all as it was" in capsys.readouterr().out


def test_work_is_kept_whatever_is_released(root, capsys):
    lay(root)
    mine = root / "course" / EXERCISES
    edit(mine, double=ANSWER)
    before = mine.read_bytes()
    lay(root)
    assert mine.read_bytes() == before
    out = capsys.readouterr().out
    assert "1 changed by you and kept" in out and "newer" not in out
    for statement in ("Double any number.", "Double any real number."):
        release(root, statement=statement)
        lay(root)
        assert mine.read_bytes() == before
        assert f"there is a newer {EXERCISES}: to get it, rename yours" in capsys.readouterr().out
    mine.rename(mine.with_name("mine.ipynb"))
    lay(root)
    assert source_of(mine, "double") == STUB and mine.with_name("mine.ipynb").read_bytes() == before


def test_an_answer_that_was_undone_by_hand_follows_the_release_again(root):
    lay(root)
    mine = root / "course" / EXERCISES
    edit(mine, double=ANSWER)
    release(root, statement="Double any number.")
    lay(root)
    edit(mine, double=STUB)
    lay(root)
    assert "any number" in mine.read_text()


@pytest.mark.parametrize("memory", ["", "[1]", "{", None])
def test_without_a_memory_everything_that_differs_counts_as_work(root, memory):
    lay(root)
    mine = root / "course" / EXERCISES
    edit(mine, double=ANSWER)
    path = root / "course" / ".laid.json"
    path.unlink() if memory is None else path.write_text(memory)
    release(root, statement="Double any number.")
    lay(root)
    assert source_of(mine, "double") == ANSWER and "any number" not in mine.read_text()


def test_a_broken_notebook_of_the_students_is_kept_too(root):
    lay(root)
    mine = root / "course" / EXERCISES
    for text in ("", "not json", "[]", '{"cells": [1]}'):
        mine.write_text(text)
        assert lay(root) == 0 and mine.read_text() == text


def test_where_nothing_is_released_nothing_is_laid(tmp_path, capsys):
    assert lay(tmp_path) == 2 and "no lessons in" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_courses_own_lessons_are_all_there_and_nothing_else():
    names = set(released_files(ROOT))
    lessons = {path.stem for path in (ROOT / "solutions").glob("[0-9]*.py")}
    assert {f"exercises/{name}/{name}.ipynb" for name in lessons} | {
        f"lectures/{name}.ipynb" for name in lessons
    } <= names
    assert not [name for name in names if not name.endswith((".ipynb", ".png"))]
    for name in names:  # every picture that a notebook shows is beside it
        if name.startswith("exercises/") and name.endswith(".ipynb"):
            shown = set(re.findall(r"\]\((expected_\w+\.png)\)", (ROOT / name).read_text()))
            assert {f"{Path(name).parent.as_posix()}/{picture}" for picture in shown} <= names


def test_a_stub_comes_back_and_the_answer_is_kept_beside_it(root, capsys):
    lay(root)
    mine = root / "course" / EXERCISES
    edit(mine, double=ANSWER, triple="def triple(x):\n    return 3 * x")
    assert main(["reset", "double", "--root", str(root)]) == 0
    assert source_of(mine, "double") == STUB and "3 * x" in source_of(mine, "triple")
    (kept,) = mine.parent.glob("double_*.py")
    assert kept.read_text() == ANSWER + "\n" and str(kept) in capsys.readouterr().out
    notebook = nbformat.read(mine, as_version=4)
    nbformat.validate(notebook)
    shown = [bool(cell.get("outputs")) for cell in notebook.cells if cell.cell_type == "code"]
    assert shown == [False, False, True, True]  # of the stub and its check nothing is left

    assert reset("double", root) == 0 and "is a stub already" in capsys.readouterr().out
    for _ in range(3):  # within one second
        edit(mine, double=ANSWER)
        reset("double", root)
    assert [path.read_text() for path in mine.parent.glob("double_*.py")] == [ANSWER + "\n"] * 4


def test_a_cell_that_was_copied_or_deleted_is_put_right(root):
    lay(root)
    mine = root / "course" / EXERCISES
    notebook = nbformat.read(mine, as_version=4)
    copies = [marked(f"{ANSWER}  # {number}", "double") for number in range(2)]
    notebook.cells = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != "double"]
    deleted = nbformat.from_dict(json.loads(json.dumps(notebook)))
    notebook.cells = [*notebook.cells[:1], copies[0], *notebook.cells[1:], new_code_cell("mine = 1"), copies[1]]
    nbformat.write(notebook, mine)
    assert reset("double", root) == 0
    assert source_of(mine, "double") == STUB
    assert nbformat.read(mine, as_version=4).cells[-1].source == "mine = 1"
    (kept,) = mine.parent.glob("double_*.py")
    assert kept.read_text().count(ANSWER) == 2
    nbformat.write(deleted, mine)
    assert reset("double", root) == 0
    order = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nbformat.read(mine, as_version=4).cells]
    assert order == [None, "double", "check_double", "triple", "check_triple"]


def test_what_cannot_be_reset_is_left_alone(root, capsys):
    assert reset("double", root) == 2 and "lay the course first" in capsys.readouterr().out
    lay(root)
    assert reset("doubel", root) == 2 and "there are: double, triple" in capsys.readouterr().out
    mine = root / "course" / EXERCISES
    mine.write_text('{"cells": [1]}')
    assert reset("double", root) == 2 and "rename it" in capsys.readouterr().out
    assert mine.read_text() == '{"cells": [1]}' and not list(mine.parent.glob("*.py"))


def test_status_looks_at_the_students_folder_where_there_is_one(root, monkeypatch):
    seen = []
    monkeypatch.setattr(progress, "examine_notebook", lambda path, seconds: seen.append(path) or [])
    monkeypatch.chdir(root)
    main(["status"])
    lay(root)
    main(["status"])
    assert seen == [Path(EXERCISES), Path("course") / EXERCISES]
