"""The grading process: killed when it uses too much, and the next submission is graded all the same."""

import pytest

from autograde.grading import worker
from autograde.grading.sandbox import MIB, Limits
from autograde.grading.submission import Timeouts
from autograde.grading.verdict import GraderFault
from autograde.grading.worker import Worker, WorkerDied
from autograde.lessons import all_lessons

LESSON = all_lessons(only="02")[0]
ANSWER = next(cell.source for cell in LESSON.cells if cell.metadata.get("solution") == "window_starts")
CELLS = [
    {"kind": "own", "source": ANSWER},
    {"kind": "check", "exercise": "window_starts", "points": 2.0},
    {"kind": "own", "source": "raise ValueError('\\ud800')"},
    {"kind": "locked", "source": "1/0"},
]


@pytest.fixture
def grader():
    grader = Worker()
    yield grader
    grader.stop()


def grade(grader, cells=CELLS, lesson=LESSON.name, timeouts=None):
    return grader.grade(lesson, cells, 0, Limits(), timeouts or Timeouts())


def test_an_answer_is_graded_and_the_process_is_kept(grader):
    result = grade(grader)
    assert result["scores"] == {"window_starts": 2.0}
    assert result["late"] == [False, False, True, False], "cells after a hidden test are marked"
    assert result["outputs"][1][1]["data"]["text/plain"] == "2.0"
    assert result["outputs"][2][0]["output_type"] == "error"
    assert result["outputs"][3] == [], "locked cells after the last check are not run"
    process = grader._process.pid
    assert grade(grader)["scores"] == {"window_starts": 2.0}
    assert grader._process.pid == process


def test_a_process_that_grows_too_large_is_killed_and_started_again(grader):
    grader.memory = 50 * MIB  # less than torch alone
    with pytest.raises(WorkerDied, match="memory"):
        grade(grader)
    grader.memory = worker.MEMORY
    assert grade(grader)["scores"] == {"window_starts": 2.0}


def test_a_process_that_takes_too_long_is_killed(grader):
    with pytest.raises(WorkerDied, match="too long"):
        grade(grader, timeouts=Timeouts(notebook=0.0, start=0.5))


def test_a_process_that_died_meanwhile_is_started_again(grader):
    grade(grader)
    grader._process.kill()
    grader._process.wait()
    assert grade(grader)["scores"] == {"window_starts": 2.0}


def test_a_missing_grader_is_the_graders_fault(grader):
    cells = [{"kind": "check", "exercise": "no_such_exercise", "points": 1.0}]
    with pytest.raises(GraderFault, match="no_such_exercise"):
        grade(grader, cells)
