"""What an instructor does, word for word from the README: collect, grade, report, export."""

import csv
import os
import re
import subprocess
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograde.gradebook.course import hand_in, new_course, run_nbgrader
from autograde.gradebook.exports import rounded
from autograde.gradebook.tables import class_rows, class_table
from autograde.lessons import ROOT, all_lessons

LESSON = all_lessons(only="02")[0]
NAME = LESSON.name
PROGRAMS = Path(os.sys.executable).parent


def instructor_blocks() -> list[str]:
    """The command blocks of the README's section for instructors."""
    section = (ROOT / "README.md").read_text().split("## Instructors")[1].split("\n## ")[0]
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .+\n)+", section, re.M)]


def solution_with_one_answer_gone() -> bytes:
    """All answers right but the last, which is still the stub."""
    notebook = nbformat.read(ROOT / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
    released = nbformat.read(ROOT / "exercises" / NAME / f"{NAME}.ipynb", as_version=4)
    last = LESSON.exercises[-1].name
    stub = next(cell for cell in released.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == last)
    next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == last).source = stub.source
    return nbformat.writes(notebook).encode()


def archives(folder: Path, work: bytes) -> None:
    """What Canvas and Moodle give: names of people, numbers, and what the student called the file."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "submissions.zip", "w") as canvas:
        canvas.writestr(f"doejane_LATE_4711_90001_{NAME}-1.ipynb", work)
        canvas.writestr("doejane_4711_90002_notes.txt", "not a notebook")
        canvas.writestr("mallory_4712_90003_submitted_doejane_02.ipynb", b"not a notebook at all")
    with zipfile.ZipFile(folder / "Course-02-1234.zip", "w") as moodle:
        moodle.writestr(f"Zoë Müller_815_assignsubmission_file_/{NAME}.ipynb", work)
        moodle.writestr("Ann Lee_816_assignsubmission_file_/Untitled (2).ipynb", b"{}")
        moodle.writestr("Ann Lee_817_assignsubmission_file_/mine.ipynb", b"{}")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The README's blocks, line by line; beside them only what a course system would have put there."""
    home = tmp_path_factory.mktemp("instructor") / "repository"
    home.mkdir()
    (home / ".venv").symlink_to(PROGRAMS.parent)
    folder = home.parent / "segmentation-course"
    _, setup, lesson = instructor_blocks()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_CONFIG_DIR": str(home / ".jupyter")}

    def run(script):
        done = subprocess.run(["bash", "-ec", script], cwd=home, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    run(setup)
    archives(folder / "downloaded" / NAME / "archive", solution_with_one_answer_gone())
    (folder / "students.csv").write_text('id,first_name,last_name\ndoejane,Jane,"Doe, Jr."\nabsent,Al,Bert\n')
    (folder / "submitted" / "empty" / NAME).mkdir(parents=True)
    printed = run(f"{setup.splitlines()[0]}\n{lesson}")
    return folder, printed


def test_the_blocks_are_those_of_the_readme():
    blocks = instructor_blocks()
    assert len(blocks) == 3 and blocks[0].startswith("make release")
    assert "nbgrader generate_assignment" in blocks[2] and "nbgrader export" in blocks[2]


def test_submissions_of_canvas_and_moodle_are_collected_and_graded(course):
    folder, _ = course
    collected = {path.parent.parent.name for path in (folder / "submitted").glob(f"*/{NAME}/{NAME}.ipynb")}
    assert collected == {"doejane", "mallory", "zoe_muller", "ann_lee_816", "ann_lee_817"}
    worth, rows = class_rows(folder, NAME)
    totals = {row.student: row.total for row in rows}
    full = sum(worth.values())
    assert full == sum(exercise.points for exercise in LESSON.exercises)
    assert totals["doejane"] == totals["zoe_muller"] == full - LESSON.exercises[-1].points
    assert totals["mallory"] == totals["ann_lee_816"] == 0


def test_whoever_handed_in_nothing_is_in_the_table(course):
    _, printed = course
    rows = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "nothing handed in" in rows["absent"]
    assert "no notebook in the folder" in rows["empty"]
    assert "(" not in rows["doejane"]


def test_the_export_is_rounded_and_quoted(course):
    folder, _ = course
    with open(folder / "grades.csv", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert rows["doejane"]["last_name"] == "Doe, Jr."
    assert rows["absent"]["score"] == "0.0"
    assert all(len(row["score"].partition(".")[2]) <= 2 for row in rows.values())
    assert rounded(14.653599999999999) == 14.65


def test_manual_scores_and_penalties_count(course):
    folder, _ = course
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        (notebook,) = gradebook.find_submission(NAME, "zoe_muller").notebooks
        grade = next(g for g in notebook.grades if g.name == f"check_{LESSON.exercises[-1].name}")
        grade.manual_score, notebook.late_submission_penalty = 1.25, 3.0
        gradebook.db.commit()
    row = next(row for row in class_rows(folder, NAME)[1] if row.student == "zoe_muller")
    full = sum(exercise.points for exercise in LESSON.exercises)
    assert row.total == full - LESSON.exercises[-1].points + 1.25 - 3
    assert "late" in class_table(folder, NAME)


def test_a_course_folder_is_not_laid_over_something_else(tmp_path):
    (tmp_path / "grades.csv").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        new_course(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["grades.csv"]


def test_the_later_of_two_files_counts_and_stops_nobody(tmp_path):
    new_course(tmp_path / "course")
    run_nbgrader(tmp_path / "course", "generate_assignment", NAME)
    folder = tmp_path / "course" / "downloaded" / NAME / "archive"
    folder.mkdir(parents=True)
    (folder / f"doejane_4711_90001_{NAME}.ipynb").write_text("first")
    (folder / f"doejane_4711_90002_{NAME}-1.ipynb").write_text("second")
    (folder / f"{NAME}.ipynb").write_text("whose?")
    run_nbgrader(tmp_path / "course", "zip_collect", NAME)
    (found,) = (tmp_path / "course" / "submitted").glob("*/*/*.ipynb")
    assert found.read_text() == "second" and found.parent.parent.name == "doejane"


def test_hand_in_puts_work_where_nbgrader_looks(tmp_path):
    path = hand_in(tmp_path, NAME, "ann", b"{}")
    assert path == tmp_path / "submitted" / "ann" / NAME / f"{NAME}.ipynb" and path.read_bytes() == b"{}"
