"""A whole class through the real nbgrader: the demonstration, then everything odd that a class hands in."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from autograde.gradebook.course import gradebook_scores, hand_in, nbgrader_environment, run_nbgrader
from autograde.gradebook.demo import Sample, demo, misunderstood, sample_class, surprises
from autograde.gradebook.tables import class_table
from autograde.grading.report import read_json
from autograde.grading.sandbox import isolation
from autograde.lessons import all_lessons

LESSON = all_lessons(only="02")[0]
NAME = LESSON.name
POINTS = {exercise.name: exercise.points for exercise in LESSON.exercises}


def report(course, student):
    return read_json(course / "reports" / NAME / f"{student}.json")


def scores(course, student):
    return {
        name.removeprefix("check_"): score for name, score in gradebook_scores(course, NAME).get(student, {}).items()
    }


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return demo(tmp_path_factory.mktemp("course"), "02")


@pytest.fixture(scope="module")
def notebooks(course):
    released = nbformat.read(course / "exercises" / NAME / f"{NAME}.ipynb", as_version=4)
    return released, nbformat.read(course / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)


@pytest.mark.parametrize("sample", sample_class(LESSON), ids=lambda sample: sample.name)
def test_every_sample_earns_what_it_must(course, sample):
    assert not surprises(course, LESSON, sample), report(course, sample.name)["notes"]
    assert report(course, sample.name)["state"] == "done"


def test_what_a_sample_must_not_earn_is_reported(course):
    names = [exercise.name for exercise in LESSON.exercises]
    for sample, share in (("right", 0.0), ("right", None), ("blank", 1.0), ("nobody", 0.0)):
        wrong = Sample(sample, None, lambda _, share=share: dict.fromkeys(names, share))
        assert len(surprises(course, LESSON, wrong)) == len(names)


def test_a_small_class_where_answers_are_networks(tmp_path):
    """The demonstration of lesson 02 has everybody in it; here are those who may differ where networks are built."""
    demo(tmp_path, "05", students=["right_differently", "half_right", "crashes"])


def test_misconceptions_are_named(course):
    first = misunderstood(LESSON)
    for candidate in LESSON.misconceptions:
        if candidate.exercise == first:
            verdict = next(
                e for e in report(course, f"believes_{candidate.name}")["exercises"] if e["exercise"] == first
            )
            assert verdict["misconception"], candidate.name


@pytest.mark.skipif(isolation() != "bubblewrap", reason="only the strong isolation hides files")
def test_the_spy_found_nothing(course):
    notebook = nbformat.read(course / "autograded" / "spies" / NAME / f"{NAME}.ipynb", as_version=4)
    texts = [o.text for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "stream"]
    assert any("no network" in text for text in texts)
    assert any(re.search(r"found: \[\]", text) for text in texts), texts


def test_the_loop_and_the_crash_are_on_record(course):
    kinds = {c["symptom"] for e in report(course, "loops_forever")["exercises"] for c in e["criteria"]}
    assert "did not come back in time" in kinds
    kinds = {c["symptom"] for e in report(course, "crashes")["exercises"] for c in e["criteria"]}
    assert any(kind.startswith("ended the whole process") for kind in kinds)


def test_feedback_pages_say_what_failed_and_nothing_hidden(course):
    hidden = LESSON.grader_file.read_text()
    literals = {line.strip() for line in hidden.splitlines() if "student." in line and len(line.strip()) > 25}
    for sample in sample_class(LESSON):
        page = course / "feedback" / sample.name / NAME / f"{NAME}.html"
        text = page.read_text()
        assert "of 2 points" in text, page
        assert "<script>alert" not in text
        assert not any(line in text for line in literals)
        for one in report(course, sample.name)["exercises"]:
            for criterion in one["criteria"]:
                for call in criterion["calls"]:
                    assert call not in text, "a hidden call is on the student's page"
        told = [one["explanation"] for one in report(course, sample.name)["exercises"] if one["misconception"]]
        assert all(words(explanation) in words(text) for explanation in told)


def words(page: str) -> str:
    """What a person reads of a page, without marks and signs."""
    return re.sub(r"\W+", " ", html.unescape(re.sub(r"<[^<>]*>", " ", page)))


def test_the_export_holds_the_same_sums(course):
    rows = (course / "grades.csv").read_text().splitlines()
    heads = rows[0].split(",")
    for row in rows[1:]:
        cells = dict(zip(heads, row.split(","), strict=True))
        assert float(cells["raw_score"] or 0) == pytest.approx(sum(scores(course, cells["student_id"]).values()))


def test_the_table_has_a_row_for_everybody(course):
    table = class_table(course, NAME)
    for sample in sample_class(LESSON):
        assert sample.name in table
    assert f"isolation: {isolation()}" in table


# Everything odd, handed in together, in one batch.


def answer(notebook, name, source):
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == name:
            cell.source = source if source is not None else cell.source
    return notebook


def wrapped(notebook, name, before="", body="return _right(*args)"):
    """The right answer, in a wrapper."""
    cell = next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)
    return answer(notebook, name, f"{before}\n{cell.source}\n_right = {name}\ndef {name}(*args):\n    {body}\n")


def odd_submissions(released, solution):
    """name -> (what is handed in, the points of window_starts it must earn, of the rest)."""
    full = sum(POINTS.values()) - POINTS["window_starts"]

    def cell_index(notebook, name):
        return next(i for i, c in enumerate(notebook.cells) if c.metadata.get("nbgrader", {}).get("grade_id") == name)

    doubled = answer(solution, "", None)
    doubled.cells.insert(3, json.loads(json.dumps(doubled.cells[cell_index(doubled, "check_window_starts")])))
    doubled = nbformat.from_dict(doubled)
    deleted = answer(solution, "", None)
    del deleted.cells[cell_index(deleted, "check_window_starts")]
    schema = answer(solution, "", None)
    schema.cells[cell_index(schema, "check_window_starts")].metadata.nbgrader.schema_version = 99
    bare = answer(solution, "", None)
    for cell in bare.cells:
        cell.metadata = nbformat.NotebookNode()
    remembering = wrapped(solution, "window_starts", "_seen = []", "_seen.append(args); return _right(*args)")
    remembering.cells.append(nbformat.v4.new_code_cell("print('REMEMBERED', len(_seen), _seen)"))
    always_equal = "class Liar(list):\n    def __eq__(self, other): return True\n"
    noisy = "import sys, warnings\nwarnings.warn('at definition')\nprint('careful', file=sys.stderr)"
    hook = "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])\n"
    overwrite = (
        "import seglab.checking.compare, seglab.bridge.agent\n"
        "seglab.checking.compare.assert_same = lambda *a, **k: None\n"
        "def window_starts(*args):\n    return 'whatever'"
    )
    scalars = "return [__import__('numpy').int64(x) for x in _right(*args)]"
    return {
        "doubled": (doubled, 2, full),
        "deleted": (deleted, 2, full),
        "schema": (schema, 2, full),
        "bare": (bare, 2, full),
        "noisy": (
            wrapped(solution, "window_starts", noisy, "warnings.warn('x'); print('y' * 999); return _right(*args)"),
            2,
            full,
        ),
        "scalars": (wrapped(solution, "window_starts", "", scalars), 2, full),
        "float_cell": (
            answer(released, "window_starts", "import numpy as np\ndef window_starts(*args): return np.float64(0.0)"),
            0,
            0,
        ),
        "liar": (answer(solution, "window_starts", always_equal + "def window_starts(*args): return Liar()"), 0, None),
        "hooked": (answer(solution, "window_starts", hook + "def window_starts(*args): return 1"), 0, None),
        "patched": (answer(released, "window_starts", overwrite), 0, 0),
        "skips": (
            answer(released, "window_starts", "import unittest\ndef window_starts(*a): raise unittest.SkipTest('x')"),
            0,
            0,
        ),
        "exits": (answer(solution, "window_starts", "def window_starts(*a): raise SystemExit(0)"), 0, None),
        "imports": (
            answer(released, "window_starts", "from autograde.reference.sliding_window import window_starts"),
            0,
            0,
        ),
        "exits_at_once": (answer(released, "window_starts", "import os\nos._exit(0)"), 0, 0),
        "remembers": (remembering, 2, full),
        "windows": (nbformat.writes(solution).replace("\\n", "\\r\\n").encode(), 2, full),
        "empty_file": (b"", 0, 0),
    }


REFUSED = {"line\nbreak": "refused", "..a": "refused", "[abc]": "refused", "left": "nothing handed in"}


@pytest.fixture(scope="module")
def odd(course, notebooks):
    """Everything odd, in one batch, and with an option that would have stored outputs believed."""
    released, solution = notebooks
    submissions = odd_submissions(released, solution) | {"stored": (with_stored_points(released), 0, 0)}
    submissions["garbled"] = (solution, 2, sum(POINTS.values()) - 2)
    for student, (content, _, _) in submissions.items():
        hand_in(course, NAME, student, content)
    (course / "submitted" / "garbled" / NAME / "timestamp.txt").write_bytes(b"\xff\x00" * 99)
    for student in REFUSED:
        hand_in(course, NAME, student, solution)
    (course / "submitted" / "left" / NAME / f"{NAME}.ipynb").unlink()
    renamed = hand_in(course, NAME, "renamed", solution)
    renamed.rename(renamed.with_name("02_sliding_window (1).ipynb"))
    link = hand_in(course, NAME, "links", released)
    link.unlink()
    link.symlink_to(course / "solutions" / NAME / f"{NAME}.ipynb")
    shutil.rmtree(course / "submitted" / "half_right" / NAME)
    hand_in(course, NAME, "half_right", solution)
    before, untouched = scores(course, "right"), graded(course, "right").stat().st_mtime_ns
    done = run_nbgrader(course, "autograde", NAME, "--no-execute", check=False)
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    assert done.returncode == 0, done.stderr[-3000:]
    assert "SAWarning" not in done.stderr
    assert scores(course, "right") == before
    assert graded(course, "right").stat().st_mtime_ns == untouched, "what has not changed is not graded again"
    return submissions


def graded(course, student):
    return course / "autograded" / student / NAME / f"{NAME}.ipynb"


def with_stored_points(notebook):
    liar = answer(notebook, "", None)
    for cell in liar.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            data = {"text/plain": str(float(cell.metadata.nbgrader.points))}
            cell.outputs = [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]
    return liar


def test_nobody_with_an_odd_notebook_gains_or_loses(course, odd):
    wrong = []
    for student, (_, first, rest) in odd.items():
        earned = scores(course, student)
        total = sum(value for name, value in earned.items() if name != "window_starts")
        if earned.get("window_starts") != first or (rest is not None and total != rest):
            wrong.append((student, earned, report(course, student).get("notes")))
    assert not wrong


def test_no_stored_output_is_more_than_a_plain_float(course, odd):
    for student in [*odd, "renamed"]:
        notebook = nbformat.read(course / "autograded" / student / NAME / f"{NAME}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("grade"):
                kinds = [output.output_type for output in cell.outputs]
                assert kinds == ["display_data", "execute_result"]
                value = cell.outputs[1].data["text/plain"]
                assert value == repr(float(value)) and 0 <= float(value) <= cell.metadata.nbgrader.points


def test_a_renamed_notebook_is_found_and_a_link_is_refused(course, odd):
    assert sum(scores(course, "renamed").values()) == sum(POINTS.values())
    assert (course / "submitted" / "renamed" / NAME / "02_sliding_window (1).ipynb").exists(), "the original stays"
    assert report(course, "links")["state"] == "refused"
    assert "links" not in gradebook_scores(course, NAME)


def test_a_folder_that_cannot_be_graded_has_a_report_and_no_grade(course, odd):
    for student, state in REFUSED.items():
        one = report(course, student.replace("\n", "\\n"))
        assert (one["state"], one["assignment"], len(one["notes"])) == (state, NAME, 1)
        assert one["student"] == student.replace("\n", "\\n")
        assert student not in gradebook_scores(course, NAME)


def test_a_bad_timestamp_is_noted(course, odd):
    one = report(course, "garbled")
    assert one["state"] == "done" and "timestamp.txt" in one["notes"][0]


def test_remembered_inputs_are_for_the_instructor_only(course, odd):
    done = run_nbgrader(course, "generate_feedback", NAME, "--student", "remembers")
    assert "not recognized" not in done.stderr
    kept = graded(course, "remembers").read_text()
    page = (course / "feedback" / "remembers" / NAME / f"{NAME}.html").read_text()
    assert re.search(r"REMEMBERED [1-9]", kept)
    assert not re.search(r"REMEMBERED [1-9]", page)
    assert "ran after hidden tests" in page


def test_a_changed_file_is_graded_again(course, odd):
    assert sum(scores(course, "half_right").values()) == sum(POINTS.values())


def test_a_killed_run_leaves_no_silent_zero_and_the_next_gives_the_same_verdicts(course, odd):
    other = next(sample.name for sample in sample_class(LESSON) if sample.name.startswith("believes_"))
    hand_in(course, NAME, "killed", (course / "submitted" / other / NAME / f"{NAME}.ipynb").read_bytes())
    command = [
        sys.executable,
        "-m",
        "nbgrader",
        "autograde",
        NAME,
        "--student",
        "killed",
        f"--CourseDirectory.root={course}",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=course, env=nbgrader_environment(course), start_new_session=True, **quiet)
    while process.poll() is None and not graded(course, "killed").exists():
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert report(course, "killed")["state"] == "started"
    run_nbgrader(course, "autograde", NAME, "--student", "killed")
    first, second = report(course, other), report(course, "killed")
    assert second["state"] == "done"
    assert first["earned"] == second["earned"] and first["seed"] == second["seed"]

    def verdicts(one):
        return [(e["exercise"], c["test"], c["passed"], c["symptom"]) for e in one["exercises"] for c in e["criteria"]]

    assert verdicts(first) == verdicts(second)
