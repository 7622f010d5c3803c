"""Our end of nbgrader: repair what was handed in, run it in the sandbox, grade outside, write one float per exercise.

`configure(c)` in nbgrader_config.py is all that nbgrader needs; `nbgrader autograde` and the formgrader page then both
grade this way. For every submission there is a file `reports/<assignment>/<student>.json` in the course folder: the
instructor's full report, and the journal that makes a killed run be done again.
"""

import atexit
import os
import secrets
import warnings
from pathlib import Path

import nbformat
from nbconvert.exporters import NotebookExporter
from nbconvert.preprocessors import Preprocessor
from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.preprocessors import Execute
from sqlalchemy.exc import SAWarning
from traitlets import Bool, Float, Integer

from autograde.gradebook.intake import REPORTS, digest, journal_path, look_over
from autograde.gradebook.repair import read_submission
from autograde.grading import report
from autograde.grading.sandbox import MIB, Limits, isolation
from autograde.grading.submission import Timeouts
from autograde.grading.verdict import GraderFault
from autograde.grading.worker import Worker, WorkerDied, score_output
from autograde.lessons import Lesson
from seglab.checking.progress import checked_exercise

_WORKER = Worker()  # one for all the submissions of a run
atexit.register(_WORKER.stop)


def configure(c) -> None:
    """Fill nbgrader's configuration `c` for this course."""
    # nbgrader builds its objects in an order that newer SQLAlchemys warn of; what it writes is right.
    warnings.filterwarnings("ignore", "Object of type .* not in session", SAWarning)
    c.CourseDirectory.source_directory = "solutions"
    c.CourseDirectory.release_directory = "exercises"
    c.CourseDirectory.solution_directory = "solutions_with_feedback"  # nbgrader's default is confusingly near ours
    c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("your code here")'}
    c.Autograde.exporter_class = "autograde.gradebook.plugin.GradingExporter"
    c.Autograde.sanitize_preprocessors = [
        "nbgrader.preprocessors.ClearOutput",
        "nbgrader.preprocessors.OverwriteKernelspec",
        "nbgrader.preprocessors.OverwriteCells",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    c.Autograde.autograde_preprocessors = [
        "autograde.gradebook.plugin.GradeOutside",
        "nbgrader.preprocessors.LimitOutput",
        "nbgrader.preprocessors.SaveAutoGrades",
        "nbgrader.preprocessors.AssignLatePenalties",
        "nbgrader.preprocessors.CheckCellMetadata",
    ]
    c.ZipCollectApp.collector_plugin = "autograde.gradebook.collect.ArchiveCollector"
    c.ExportApp.plugin_class = "autograde.gradebook.exports.GradeSheet"
    c.Autograde.post_convert_hook = "autograde.gradebook.plugin.close_journal"
    c.GenerateFeedback.preprocessors = [
        "autograde.gradebook.plugin.HideLateOutputs",
        "nbgrader.preprocessors.GetGrades",
        "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
    ]


class GradingExporter(NotebookExporter):
    """Reads submissions through `repair`, so that no notebook, whatever it holds, reaches nbgrader as it came."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.remarks = look_over(self.parent)

    def from_filename(self, filename, resources=None, **kw):
        if not self.parent._sanitizing:
            return super().from_filename(filename, resources, **kw)
        names = resources["nbgrader"]
        release = _release_notebook(self.parent.coursedir, names["assignment"], names["notebook"])
        repaired = read_submission(Path(filename), release)
        for note in repaired.notes:
            self.log.warning("%s: %s", names["student"], note)
        started = {"assignment": names["assignment"], "student": names["student"], "state": "started"}
        started |= {"sha256": digest(Path(filename)), "problem": repaired.problem}
        started["notes"] = self.remarks.get(names["student"], [])
        report.write_json(journal_path(names["assignment"], names["student"]), started)
        resources["metadata"] = {"name": names["notebook"], "path": str(Path(filename).parent)}
        return self.from_notebook_node(repaired.notebook, resources, **kw)


class GradeOutside(Execute):
    """Runs the student's cells in the sandbox; graded cells are never sent there, their grade comes from outside."""

    timeout = Integer(30, help="Seconds that one cell of the student's may take.").tag(config=True)
    call_timeout = Float(10, help="Seconds that one call of a student's function may take.").tag(config=True)
    exercise_timeout = Float(30, help="Seconds that all the calls for one exercise may take.").tag(config=True)
    notebook_timeout = Float(300, help="Seconds that a whole submission may take.").tag(config=True)
    memory_mib = Integer(4096, help="MiB of memory for all the processes of a submission together.").tag(config=True)
    seed = Integer(
        None, allow_none=True, help="The seed of the hidden inputs; by default one that is drawn once per assignment."
    ).tag(config=True)

    def __call__(self, nb, resources):
        if not self.enabled:
            self.log.warning("--no-execute is not obeyed: stored outputs of a submission are never trusted")
        return self.preprocess(nb, resources)

    def preprocess(self, nb, resources, km=None):
        names = resources["nbgrader"]
        student, assignment, lesson = names["student"], names["assignment"], Lesson(names["notebook"])
        if not lesson.grader_file.exists():
            raise GraderFault(f"there is no hidden grader for {lesson.name!r}: {lesson.grader_file} is missing")
        if isolation() != "bubblewrap":
            self.log.warning(
                "bubblewrap is not available: submissions run in a process of their own, but with this user's rights"
            )
        seed = self.seed if self.seed is not None else _assignment_seed(assignment)
        timeouts = Timeouts(
            cell=self.timeout, call=self.call_timeout, exercise=self.exercise_timeout, notebook=self.notebook_timeout
        )
        cells = [cell for cell in nb.cells if cell.cell_type == "code"]
        requests = [_request(cell) for cell in cells]
        points = {one["exercise"]: one["points"] for one in requests if one["kind"] == "check"}
        try:
            result = _WORKER.grade(lesson.name, requests, seed, Limits(memory=self.memory_mib * MIB), timeouts)
        except WorkerDied as error:
            self.log.error("%s: could not be graded, and gets no points: %s", student, error)
            result = _ungraded(requests, points, str(error))
        for cell, outputs, late in zip(cells, result["outputs"], result["late"], strict=True):
            cell.outputs = [nbformat.from_dict(output) for output in outputs]
            cell.metadata["seglab"] = {"late": late}
        self._write_report(assignment, student, seed, points, nb.metadata.get("seglab", {}).get("notes", []), result)
        return nb, resources

    def _write_report(self, assignment, student, seed, points, notes, result):
        path = journal_path(assignment, student)
        started = report.read_json(path)
        for verdict in result["exercises"]:
            for criterion in verdict["criteria"]:
                if criterion["grader_fault"]:
                    self.log.error("the grader of %s has a fault: %s", verdict["exercise"], criterion["detail"])
        content = {
            "assignment": assignment,
            "student": student,
            "state": "graded",  # `close_journal` makes it "done" when nbgrader has written everything
            "sha256": started.get("sha256"),
            "problem": started.get("problem", ""),
            "seed": seed,
            "isolation": result["isolation"],
            "notes": [*started.get("notes", []), *notes, *result["notes"]],
            "earned": {name: [score, points[name]] for name, score in result["scores"].items()},
            "exercises": result["exercises"],
        }
        report.write_json(path, content)


def _request(cell) -> dict:
    """A code cell, as the worker gets it."""
    if name := checked_exercise(cell.metadata.get("nbgrader", {})):
        return {"kind": "check", "exercise": name, "points": float(cell.metadata.nbgrader.points)}
    return {"kind": "locked" if utils.is_locked(cell) else "own", "source": cell.source}


def _ungraded(requests, points, why) -> dict:
    """What a submission gets whose grading was ended: no points, a sentence, and the reason for the instructor."""
    text = "This notebook could not be graded: it used up the grader's time or memory. Ask your instructor."
    sentence = {"output_type": "stream", "name": "stdout", "text": text}
    return {
        "outputs": [[sentence, score_output(0.0)] if one["kind"] == "check" else [] for one in requests],
        "late": [False] * len(requests),
        "exercises": [],
        "scores": dict.fromkeys(points, 0.0),
        "notes": [f"could not be graded: {why}"],
        "isolation": isolation(),
    }


class HideLateOutputs(Preprocessor):
    """Takes outputs out of feedback pages that were made after the first hidden test.

    A function can remember the inputs it was called with, and a later cell can print them. The instructor's copy in
    `autograded/` keeps these outputs; the page that goes back to the student does not.
    """

    enabled = Bool(True, help="Whether these outputs are hidden.").tag(config=True)

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type == "code" and cell.metadata.get("seglab", {}).get("late") and cell.outputs:
            note = "(what this cell shows is left out: it ran after hidden tests, and could show their inputs)"
            cell.outputs = [new_output("stream", name="stdout", text=note)]
        return cell, resources


def close_journal(assignment, student, notebooks) -> None:
    """nbgrader calls this when a submission is written out: only now it is done."""
    for notebook in notebooks:
        folder = Path(notebook).parent
        path = journal_path(folder.name, folder.parent.name)
        content = report.read_json(path)
        if content.get("state") == "graded":
            report.write_json(path, content | {"state": "done"})


def _release_notebook(coursedir, assignment, notebook):
    path = Path(coursedir.format_path(coursedir.release_directory, ".", assignment)) / f"{notebook}.ipynb"
    if not path.exists():
        raise GraderFault(f"{path} is missing: run `nbgrader generate_assignment {assignment}` first")
    return nbformat.read(path, as_version=4)


def _assignment_seed(assignment: str) -> int:
    """Drawn once per assignment and kept, so that a regrade gives the same grade."""
    path = Path(REPORTS) / assignment / "seed"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return int(path.read_text())
    with os.fdopen(handle, "w") as file:
        file.write(str(seed := secrets.randbits(48)))
    return seed
