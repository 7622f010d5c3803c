"""`python -m seglab status`: what it says about notebooks, good and broken ones."""

import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from seglab.__main__ import main
from seglab.checking import progress
from seglab.checking import run as check

ROOT = Path(__file__).resolve().parents[2]

# The exercises of a course in miniature. Notebooks run in processes of their own, so they find these checks by a cell.
CHECKS = '''
class TestDouble:
    """double: twice as much"""

    def test_number(self, student):
        """Twice a number"""
        assert student.double(2) == 4

    def test_negative(self, student):
        """Twice a negative number"""
        assert student.double(-2) == -4


class TestTriple:
    """triple: three times as much"""

    def test_number(self, student):
        """Three times a number"""
        assert student.triple(2) == 6
'''

DOUBLE, TRIPLE = "def double(x):\n    return 2 * x", "def triple(x):\n    return 3 * x"
STUB = "def triple(x):\n    raise NotImplementedError"


@pytest.fixture
def course(tmp_path):
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "01_trial.py").write_text(CHECKS)
    return tmp_path


def graded(name, points):
    metadata = {"grade": True, "grade_id": f"check_{name}", "locked": True, "points": points, "schema_version": 3}
    return new_code_cell(
        f"raise SystemExit('the check cell itself is not run, {name}')", metadata={"nbgrader": metadata}
    )


def write(course, lesson, double=DOUBLE, triple=TRIPLE, extra=""):
    """A notebook with two exercises, as nbgrader would release it."""
    setup = f"from pathlib import Path\nfrom seglab.checking import run\nrun.LESSONS = Path({str(course / 'checks')!r})"
    cells = [
        new_markdown_cell("# A lesson"),
        new_code_cell(setup),
        new_code_cell(extra),
        new_code_cell(double),
        graded("double", 2),
        new_code_cell(triple),
        graded("triple", 3),
    ]
    path = course / "exercises" / lesson / f"{lesson}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


def states(path):
    return {exercise.name: exercise.state for exercise in progress.examine_notebook(path)}


def test_the_table_of_cells_that_draw_print_ask_and_leave(course, capsys):
    drawing = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1]); plt.show()\nprint('x')\ninput()"
    write(course, "01_first", extra=drawing)
    write(course, "02_second", double="def double(x):\n    return 4", triple=STUB, extra="import sys; sys.exit(3)")
    assert main(["status", "--root", str(course)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [["01_first"], ["double", "2", "passed"], ["triple", "3", "passed"]]
    assert lines[3:6] == [["02_second"], ["double", "2", "1", "of", "2"], ["triple", "3", "not", "started"]]
    assert " ".join(lines[7]).startswith("5 of 10 points so far, by the visible checks only")
    assert lines[8] == ["Next:", "double,", "in", str(course / "exercises" / "02_second" / "02_second.ipynb")]


@pytest.mark.parametrize("lesson", ["02", "second", "02_second"])
def test_one_lesson(course, monkeypatch, lesson):
    write(course, "01_first")
    path = write(course, "02_second")
    seen = []
    monkeypatch.setattr(progress, "examine_notebook", lambda path, seconds: seen.append(path) or [])
    assert progress.status(course, lesson) == 0 and seen == [path]


def test_nothing_to_show(course, capsys):
    assert progress.status(course) == 2
    assert "no exercise notebooks: none in" in capsys.readouterr().out
    write(course, "01_first")
    assert progress.status(course, "09") == 2
    assert "no lesson 09; lessons: 01_first" in capsys.readouterr().out


def test_broken_notebooks_get_a_line_and_the_others_their_table(course, capsys):
    broken = {
        "01_empty": "",
        "02_text": "not json",
        "03_list": "[]",
        "04_cells": '{"cells": [1]}',
        "05_plain": '{"cells": []}',
    }
    for lesson, text in broken.items():
        path = course / "exercises" / lesson / f"{lesson}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    write(course, "06_good")
    assert progress.status(course) == 0
    out = capsys.readouterr().out
    assert out.count("not a notebook that can be read") == 4 and out.count("no graded exercises in it") == 1
    assert "5 of 5 points" in out and "Next" not in out


def test_an_error_in_a_cell_costs_its_exercise_only(course):
    path = write(course, "01_first", double="def double(x)\n    return 2 * x", extra="1 / 0")
    exercises = progress.examine_notebook(path)
    assert [exercise.state for exercise in exercises] == ["error", "passed"]
    assert exercises[0].detail.startswith("double is not defined; a cell stopped with SyntaxError")


def test_a_crash_keeps_what_was_found_before_it(course):
    path = write(course, "01_first", triple="import os; os._exit(7)")
    exercises = progress.examine_notebook(path)
    assert [exercise.state for exercise in exercises] == ["passed", "error"]
    assert exercises[1].detail == "not reached: the notebook's process ended with exit code 7"


def test_an_endless_loop_is_stopped_and_keeps_what_was_found_before_it(course, monkeypatch):
    def run(command, *, timeout, **options):
        """As subprocess.run, but the limit starts with the first result: it cannot fall before it on a slow machine."""
        with subprocess.Popen(command, **options) as process:
            while not Path(command[-1]).exists() and process.poll() is None:
                time.sleep(0.05)
            try:
                process.wait(timeout)
            finally:
                process.kill()

    monkeypatch.setattr(subprocess, "run", run)
    path = write(course, "01_first", triple="while True: pass")
    exercises = progress.examine_notebook(path, seconds=0.2)
    assert [exercise.state for exercise in exercises] == ["passed", "error"]
    assert "stopped after 0.2 seconds" in exercises[1].detail


def test_nothing_runs_after_the_last_check(course):
    path = write(course, "01_first")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell("Path('finale').touch()"))
    notebook.cells.insert(0, new_code_cell("from pathlib import Path\nPath('before').touch()"))
    nbformat.write(notebook, path)
    assert states(path) == {"double": "passed", "triple": "passed"}
    assert (path.parent / "before").exists() and not (path.parent / "finale").exists()


def test_it_runs_where_the_notebook_is_and_changes_nothing_there(course):
    path = write(course, "01_first", double="from helper import factor\ndef double(x):\n    return factor * x")
    (path.parent / "helper.py").write_text("factor = 2")
    path.write_text(path.read_text().replace("check_triple", "check_tripple"))
    before = path.read_bytes()
    assert states(path) == {"double": "passed", "tripple": "error"}  # a check that nobody wrote
    assert {file.name for file in path.parent.iterdir()} <= {path.name, "helper.py", "__pycache__"}
    assert path.read_bytes() == before


def test_the_command_from_another_folder(course):
    write(course, "01_first")
    command = [sys.executable, "-m", "seglab", "status", "01"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shown = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True, check=True)
    assert "5 of 5 points so far" in shown.stdout and not shown.stderr


def test_the_command_line_explains_itself(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "status" in capsys.readouterr().out


def test_the_checks_are_the_courses_own_by_default():
    assert check.LESSONS == ROOT / "seglab" / "checking" / "lessons"
