"""The process that grades, one submission after the other, and the end of it that nbgrader holds.

nbgrader's own process never reads a byte that a submission wrote, apart from the notebook file: what comes out of the
sandbox is read here. If that exhausts this process's memory or time, it is killed and started again, the submission
gets what a submission gets that cannot be graded, and the batch goes on.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import asdict

import psutil

from autograde.grading import report
from autograde.grading.rules import broken_rule
from autograde.grading.sandbox import MIB, Limits
from autograde.grading.submission import Submission, Timeouts
from autograde.grading.verdict import GraderFault, grade
from autograde.lessons import Lesson

MAX_REPLY = 64 * MIB
MEMORY = 4096 * MIB  # of the grading process itself; the sandbox has its own limit
COMMAND = [sys.executable, "-m", "autograde.grading.worker"]
# Hidden tests are many small sums: threads cost more to wake than they save. torch counts them when it is loaded.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class WorkerDied(Exception):
    """The grading process was killed, by a limit or by something worse; the message says which."""


def grade_notebook(lesson: str, cells: list[dict], seed: int, limits: dict, timeouts: dict) -> dict:
    """Run and grade one notebook; everything in the result is plain JSON.

    cells: the code cells in order, each `{"kind": "own" | "locked" | "check", "source", "exercise", "points"}`.
    Returns `outputs` (one list per cell), `late` (whether a cell ran after hidden tests), `exercises` (the verdicts),
    `scores` by exercise, `notes` and `isolation`.
    """
    lesson = Lesson(lesson)
    outputs: list[list] = [[] for _ in cells]
    late = [False] * len(cells)
    verdicts, scores, own = [], {}, []
    last_check = max((index for index, cell in enumerate(cells) if cell["kind"] == "check"), default=-1)
    with Submission(Limits(**limits), Timeouts(**timeouts)) as submission:
        for index, cell in enumerate(cells):
            if cell["kind"] == "check":
                name, points = cell["exercise"], cell["points"]
                submission.begin_exercise()
                refused = broken_rule(name, own, lesson.forbidden(name))
                verdict = grade(lesson, name, submission.student, seed, refused=refused)
                verdicts.append(verdict)
                scores[name] = float(verdict.score(points))
                outputs[index] = _graded(verdict, points, scores[name])
            elif cell["kind"] == "own" or index < last_check:  # closing pictures of the course can change no grade
                if cell["kind"] == "own":
                    own.append(cell["source"])
                outputs[index] = submission.run_cell(cell["source"])
                late[index] = bool(verdicts)
        notes, isolation = submission.notes, submission.isolation
    return {
        "outputs": outputs,
        "late": late,
        "exercises": [verdict.as_dict() for verdict in verdicts],
        "scores": scores,
        "notes": notes,
        "isolation": isolation,
    }


def _graded(verdict, points, score) -> list[dict]:
    """The two outputs of a graded cell: the table, and exactly one plain float."""
    table = {"text/html": report.student_html(verdict, points), "text/plain": report.student_text(verdict, points)}
    return [{"output_type": "display_data", "metadata": {}, "data": table}, score_output(score)]


def score_output(score: float) -> dict:
    """The output that nbgrader reads a grade from."""
    text = {"text/plain": repr(float(score))}
    return {"output_type": "execute_result", "metadata": {}, "data": text, "execution_count": None}


class Worker:
    """nbgrader's end: `grade(...)` is `grade_notebook` in the other process, which is started when it is needed."""

    def __init__(self, memory: int = MEMORY):
        self.memory = memory
        self._process: subprocess.Popen | None = None

    def grade(self, lesson: str, cells: list[dict], seed: int, limits: Limits, timeouts: Timeouts) -> dict:
        """Raises `GraderFault` where the grader is wrong, `WorkerDied` where the process had to be killed."""
        request = {"lesson": lesson, "cells": cells, "seed": seed}
        request |= {"limits": asdict(limits), "timeouts": asdict(timeouts)}
        if self._process is None or self._process.poll() is not None:
            self._start()
        # Twice the notebook's time: starting, comparing and starting again after a death take their time too.
        deadline = time.monotonic() + 2 * timeouts.notebook + timeouts.start
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            reply = json.loads(self._read_line(deadline))
        except WorkerDied:
            self.stop()
            raise
        except (OSError, ValueError, RecursionError) as error:
            self.stop()
            raise WorkerDied(f"the grading process ended ({type(error).__name__})") from None
        if "fault" in reply:
            raise GraderFault(reply["fault"])
        if "broken" in reply:
            raise WorkerDied(reply["broken"])
        return reply["result"]

    def stop(self) -> None:
        """End the process and everything that it started."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except OSError:
                self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                try:
                    pipe.close()
                except OSError:
                    continue  # what was still to be written has no reader any more
            self._process = None

    def _start(self):
        self._process = subprocess.Popen(
            COMMAND,
            env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )

    def _read_line(self, deadline: float) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            if time.monotonic() > deadline:
                raise WorkerDied("grading took too long")
            if len(line) > MAX_REPLY:
                raise WorkerDied("the report was too long")
            if psutil.Process(self._process.pid).memory_info().rss > self.memory:
                raise WorkerDied("grading used too much memory")
            if select.select([self._process.stdout], [], [], 0.1)[0]:
                part = os.read(self._process.stdout.fileno(), 2**20)
                if not part:
                    raise WorkerDied("the grading process ended")
                line += part
        return bytes(line)


def main() -> None:
    """One request per line of standard input, one reply per line of standard output."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints by accident is no reply
    for line in sys.stdin.buffer:
        try:
            reply = {"result": grade_notebook(**json.loads(line))}
        except GraderFault as error:
            reply = {"fault": str(error)}
        except Exception:
            reply = {"broken": traceback.format_exc()[-4000:]}
        replies.write(json.dumps(reply).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    main()
