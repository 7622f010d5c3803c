"""Folders as they are handed in: what cannot be graded is refused with a reason, and everybody else stays in."""

import logging
import os
from types import SimpleNamespace

import pytest

from autograde.gradebook import intake
from autograde.grading.report import read_json

NAME = "02_topic"
ODD_NAMES = ["line\nbreak", "..a", ".hidden", "[abc]", "star*", " space", "back\\slash", "x" * 230, "tab\t"]


@pytest.fixture
def course(tmp_path):
    """Builds folders, looks them over as at the start of a run, and returns who stays and the reports."""

    def hand_in(student, files=(f"{NAME}.ipynb",)):
        folder = tmp_path / "submitted" / student / NAME
        folder.mkdir(parents=True)
        for name in files:
            (folder / name).write_text("{}")
        return folder

    def look_over(student_id="*"):
        coursedir = SimpleNamespace(
            root=str(tmp_path), submitted_directory="submitted", student_id=student_id, assignment_id=NAME
        )
        folders = [folder for folder in (tmp_path / "submitted").glob(f"*/{NAME}") if any(folder.glob("*.ipynb"))]
        converter = SimpleNamespace(
            coursedir=coursedir,
            log=logging.getLogger("test"),
            assignments={str(folder): [] for folder in folders if student_id in ("*", folder.parent.name)},
            _format_dest=lambda assignment, student: str(tmp_path / "autograded" / student / assignment),
        )
        remarks = intake.look_over(converter)
        stay = {
            folder.split("/")[-2]: [path.split("/")[-1] for path in found]
            for folder, found in converter.assignments.items()
        }
        reports = [read_json(path) for path in (tmp_path / "reports" / NAME).glob("*.json")]
        return stay, {one["student"]: (one["state"], one["notes"][0]) for one in reports}, remarks

    return SimpleNamespace(hand_in=hand_in, look_over=look_over, root=tmp_path)


def test_odd_names_are_refused_and_the_others_stay(course):
    for student in [*ODD_NAMES, "doe, jané (2) 'x' +%{y}", "a" * 100]:
        course.hand_in(student)
    stay, reports, _ = course.look_over()
    assert sorted(stay) == ["a" * 100, "doe, jané (2) 'x' +%{y}"]
    assert len(reports) == len(ODD_NAMES)
    assert all(state == "refused" and "name" in reason for state, reason in reports.values())
    assert {"line\\nbreak", "..a", ".hidden", "[abc]"} <= set(reports)
    assert all(name.isprintable() for name in reports)


def test_a_name_that_is_no_text_is_refused(course):
    folder = os.fsencode(course.root) + b"/submitted/\xff\xfe/" + NAME.encode()
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    course.hand_in("right")
    stay, reports, _ = course.look_over()
    assert list(stay) == ["right"] and len(reports) == 1


@pytest.mark.parametrize(
    ("files", "state", "reason"),
    [
        ([], "nothing handed in", "no notebook"),
        ([f"{NAME}.IPYNB", "notes.txt"], "nothing handed in", "notes.txt"),
        (["first.ipynb", "second.ipynb"], "refused", "2 notebooks"),
    ],
)
def test_a_folder_without_the_notebook_has_a_report(course, files, state, reason):
    course.hand_in("odd", files)
    course.hand_in("right")
    stay, reports, _ = course.look_over()
    assert list(stay) == ["right"]
    assert reports["odd"][0] == state and reason in reports["odd"][1]


def test_links_and_pipes_are_refused(course):
    (course.hand_in("link") / "more").symlink_to("/etc")
    os.mkfifo(course.hand_in("pipe") / "pipe")
    (course.hand_in("folder", []) / f"{NAME}.ipynb").mkdir()
    stay, reports, _ = course.look_over()
    assert stay == {} and {state for state, _ in reports.values()} == {"refused"}


def test_a_renamed_notebook_is_found_and_the_original_stays(course):
    folder = course.hand_in("renamed", ["mine (1).ipynb"])
    assert course.look_over()[0] == {"renamed": [f"{NAME}.ipynb"]}
    assert (folder / "mine (1).ipynb").exists()


@pytest.mark.parametrize(
    "stamp",
    [
        b"yesterday, I think",
        b"\xff\x00\x01",
        b"9" * 900,
        b"1" * 10**6,
        b"2015-02-02 15:58:23.948203 " + b"9" * 40,
        None,
    ],
    ids=["words", "binary", "overflow", "huge", "zone", "folder"],
)
def test_a_bad_timestamp_is_set_aside_and_the_notebook_is_graded(course, stamp):
    path = course.hand_in("late") / "timestamp.txt"
    path.mkdir() if stamp is None else path.write_bytes(stamp)
    for _ in range(2):  # another run says it again
        stay, _, remarks = course.look_over()
        assert list(stay) == ["late"] and "timestamp.txt could not be read" in remarks["late"][0]
    assert not path.exists() and path.with_name("timestamp.txt.unreadable").exists()


@pytest.mark.parametrize("stamp", ["2015-02-02 15:58:23.948203 UTC", "2015-02-02T15:58:23+01:00\n", ""])
def test_a_good_timestamp_stays(course, stamp):
    path = course.hand_in("punctual") / "timestamp.txt"
    path.write_text(stamp)
    assert course.look_over()[2] == {"punctual": []}
    assert path.read_text() == stamp


def test_a_run_for_one_student_looks_at_nobody_else(course):
    course.hand_in("one")
    course.hand_in("[other]")
    stay, reports, remarks = course.look_over("one")
    assert list(stay) == list(remarks) == ["one"] and reports == {}
