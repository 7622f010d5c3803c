"""The grading process: killed when it uses too much, and the next submission is graded all the same."""

import sys

import pytest

from autograde.grading import worker
from autograde.grading.sandbox import MIB, Limits
from autograde.grading.submission import Timeouts
from autograde.grading.verdict import GraderFault
from autograde.grading.worker import Worker, WorkerDied, grade_notebook
from autograde.lessons import all_lessons

LESSON = all_lessons(only="02")[0]
ANSWER = next(cell.source for cell in LESSON.cells if cell.metadata.get("solution") == "window_starts")
CHECK = {"kind": "check", "exercise": "window_starts", "points": 2.0}
CELLS = [
    {"kind": "own", "source": ANSWER},
    CHECK,
    {"kind": "own", "source": "raise ValueError('\\ud800')"},
    {"kind": "locked", "source": "1/0"},
]


@pytest.fixture
def grader():
    grader = Worker()
    yield grader
    grader.stop()


def grade(grader, cells=CELLS, timeouts=None):
    return grader.grade(LESSON.name, cells, 0, Limits(), timeouts or Timeouts())


def test_an_answer_is_graded_and_the_process_is_kept(grader):
    result = grade(grader)
    assert result["scores"] == {"window_starts": 2.0}
    assert result["late"] == [False, False, True, False], "cells after a hidden test are marked"
    assert result["outputs"][1][1]["data"]["text/plain"] == "2.0"
    assert result["outputs"][2][0]["output_type"] == "error"
    assert result["outputs"][3] == [], "locked cells after the last check are not run"
    process = grader._process.pid
    with pytest.raises(GraderFault, match="no_such_exercise"):
        grade(grader, [CHECK | {"exercise": "no_such_exercise"}])
    assert grader._process.pid == process


# What nbgrader's end does is the same whatever answers; this answers at once.
STUB = """
import json, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    if asked["cells"] == ["grow"]:
        taken = bytearray(200 * 2**20)
    if asked["cells"] in (["grow"], ["hang"]):
        time.sleep(60)
    print(json.dumps({"result": {"scores": {}}}), flush=True)
"""
THREADS = "import json, torch; print(json.dumps({'result': torch.get_num_threads()}), flush=True); input()"


def test_one_thread(grader, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setattr(worker, "COMMAND", [sys.executable, "-c", THREADS])
    assert grade(grader) == 1


@pytest.mark.parametrize(
    ("does", "memory", "timeouts", "why"),
    [
        ("grow", 100 * MIB, Timeouts(), "memory"),
        ("hang", worker.MEMORY, Timeouts(notebook=0.0, start=0.5), "too long"),
        ("die", worker.MEMORY, Timeouts(), None),
    ],
)
def test_a_process_that_ends_or_is_ended_is_started_again(grader, monkeypatch, does, memory, timeouts, why):
    monkeypatch.setattr(worker, "COMMAND", [sys.executable, "-c", STUB])
    grader.memory = memory
    grade(grader, [])
    first = grader._process
    if does == "die":
        first.kill()
        first.wait()
    else:
        with pytest.raises(WorkerDied, match=why):
            grade(grader, [does], timeouts)
    assert grade(grader, []) == {"scores": {}}
    assert grader._process.pid != first.pid


# Honest people's cells. Each of them is more than Jupyter's output channel can be trusted with.
NOISY = {
    "flushed": "for i in range(1500): print(i, flush=True)",
    "shown": "from IPython.display import display\nfor i in range(1200): display(i)",
    "one long list": "print(list(range(10**6)))",
    "many lines": "for _ in range(60_000): print('x' * 100)",
    "one figure": "import numpy as np, matplotlib.pyplot as plt\nplt.figure(figsize=(13, 13))\n"
    "plt.imshow(np.random.default_rng(0).random((1100, 1100, 3)))",
    "several figures": "for _ in range(4):\n    plt.figure(figsize=(7, 7))\n"
    "    plt.imshow(np.random.default_rng(0).random((600, 600, 3)))",
    "a long error": "raise ValueError('x' * 6 * 10**6)",
}


def test_output_costs_nothing_but_itself():
    """Cells of every noisy kind, the answer in one of them, and a function that prints: full marks, short outputs."""
    speaking = f"{NOISY['flushed']}\n{ANSWER}\n_right = window_starts\n"
    speaking += "def window_starts(*args):\n    for i in range(300): print(i, flush=True)\n    return _right(*args)"
    sources = [*NOISY.values(), speaking, "defined = 'still here'", "print(defined)"]
    cells = [{"kind": "own", "source": source} for source in sources] + [CHECK]
    after = [{"kind": "own", "source": "print(defined, window_starts(256, 64, 8)[:2])"}]
    patient = {"cell": 200, "call": 200, "exercise": 300, "notebook": 1000, "grace": 60}  # the machine may be busy
    result = grade_notebook(LESSON.name, cells + after, 0, {}, patient)
    assert result["scores"] == {"window_starts": 2.0}
    errors = [one["ename"] for outputs in result["outputs"] for one in outputs if one["output_type"] == "error"]
    assert errors == ["ValueError"]
    assert result["notes"] == []
    for name, outputs in zip(NOISY, result["outputs"], strict=False):
        assert outputs and sum(len(repr(one)) for one in outputs) < 5 * MIB, name
        assert ("left out" in repr(outputs)) == (name != "a long error"), name
    assert result["outputs"][len(sources) - 1][0]["text"] == "still here\n"
    assert result["outputs"][-1][0]["text"].endswith("still here [0, 8]\n")
