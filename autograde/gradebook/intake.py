"""What was handed in, before nbgrader reads any of it: whatever would stop the batch is set aside, with a clear word.

nbgrader takes a folder's name for a student's id, finds notebooks by patterns, and ends the whole batch at a name that
it cannot match. So every folder `submitted/<student>/<assignment>` is looked over here first; one that cannot be graded
gets a report that says why, and everybody else is graded.
"""

import fnmatch
import hashlib
import os
from pathlib import Path

from nbgrader import utils

from autograde.gradebook.repair import MAX_BYTES
from autograde.grading import report

REPORTS = "reports"
NOTHING = "nothing handed in"


class Refused(Exception):
    """This folder cannot be graded. `state` is the word for it, the message the reason."""

    def __init__(self, reason: str, state: str = "refused"):
        self.state = state
        super().__init__(reason)


def look_over(converter) -> dict[str, list[str]]:
    """Look over all the folders of a run of nbgrader's, and take those out that cannot be graded.

    Changes `converter.assignments` (folder -> notebooks). Returns the remarks on those that can: student -> sentences.
    """
    remarks = {}
    for folder in _folders(converter):
        student = folder.parent.name
        try:
            remarks[student] = _look_over(converter, folder)
        except Refused as refused:
            _leave_out(converter, folder, refused)
        except Exception as error:  # one odd folder must not keep the others from being graded
            _leave_out(converter, folder, Refused(f"{type(error).__name__}: {error}"))
    return remarks


def _folders(converter) -> list[Path]:
    """What nbgrader found, and what its patterns pass over: names with a dot in front, folders without a notebook."""
    course = converter.coursedir
    found = {Path(folder) for folder in converter.assignments}
    for student in (Path(course.root) / course.submitted_directory).iterdir():
        if fnmatch.fnmatchcase(student.name, course.student_id) and (student / course.assignment_id).is_dir():
            found.add(student / course.assignment_id)
    return sorted(found)


def _look_over(converter, folder: Path) -> list[str]:
    """Refuse odd names and links, find a renamed notebook, set a bad timestamp aside, forget what was not finished."""
    assignment, student = folder.name, folder.parent.name
    if odd := _odd_name(student):
        raise Refused(f"the folder's name {odd}")
    _refuse_odd_files(folder)
    notebook = _find_notebook(folder)
    if notebook.name != f"{assignment}.ipynb":
        converter.log.warning("%s: %s.ipynb was handed in as %s", student, assignment, notebook.name)
        copy = folder / f"{assignment}.ipynb"
        copy.write_bytes(notebook.read_bytes())  # beside the original, which stays
        notebook = copy
    converter.assignments[str(folder)] = [str(notebook)]
    remarks = _set_bad_timestamp_aside(folder)
    for remark in remarks:
        converter.log.warning("%s: %s", student, remark)
    _forget_unfinished(converter, assignment, student, notebook)
    return remarks


def _odd_name(name: str) -> str:
    """Why a folder of this name cannot be graded; empty where it can."""
    if not name.isprintable() or "\\" in name:
        return "holds a line break or another character that cannot be printed, or a backslash"
    if name.startswith(".") or name != name.strip():
        return "begins with a dot, or begins or ends with a space"
    if any(character in name for character in "*?[]"):
        return "holds one of * ? [ ], which nbgrader takes for a pattern"
    return "is too long" if len(name.encode()) > 200 else ""


def _refuse_odd_files(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise Refused(f"{path.name} is a link or no ordinary file")
        if path.suffix == ".ipynb" and (path.is_dir() or path.stat().st_size > MAX_BYTES):
            raise Refused(f"{path.name} is a folder, or larger than {MAX_BYTES // 2**20} MiB")


def _find_notebook(folder: Path) -> Path:
    """The notebook of the assignment's name, else the only one."""
    expected = folder / f"{folder.name}.ipynb"
    notebooks = [expected] if expected.exists() else sorted(folder.glob("*.ipynb"))
    if len(notebooks) > 1:
        names = ", ".join(path.name for path in notebooks[:5])
        raise Refused(f"there are {len(notebooks)} notebooks, and none is called {expected.name}: {names}")
    if not notebooks:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise Refused(f"there is no notebook in the folder; in it is: {there}", NOTHING)
    return notebooks[0]


def _set_bad_timestamp_aside(folder: Path) -> list[str]:
    """nbgrader stops at a `timestamp.txt` that is no time; under another name it is left alone."""
    stamp, aside = folder / "timestamp.txt", folder / "timestamp.txt.unreadable"
    if stamp.exists() and not _is_time(stamp):
        os.replace(stamp, aside)
    if aside.exists() and not stamp.exists():
        return ["timestamp.txt could not be read, so nobody knows when this was handed in; see " + aside.name]
    return []


def _is_time(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > 1000:
            return False
        text = path.read_text(encoding="utf-8").strip()
        return not text or utils.parse_utc(text) is not None
    except Exception:  # whatever a text can do to a parser
        return False


def _forget_unfinished(converter, assignment: str, student: str, notebook: Path) -> None:
    """What an earlier run has graded is graded again if that run was not finished, or if the file is another one."""
    graded = Path(converter.coursedir.root) / converter._format_dest(assignment, student)
    if graded.exists():
        journal = report.read_json(Path(converter.coursedir.root) / journal_path(assignment, student))
        if journal.get("state") != "done" or journal.get("sha256") != digest(notebook):
            converter.log.warning("%s: an earlier run was not finished, or the file has changed; graded again", student)
            utils.rmtree(str(graded))


def _leave_out(converter, folder: Path, refused: Refused) -> None:
    """Leave a submission out of the batch, and say so in the log and in its report."""
    assignment, student = folder.name, folder.parent.name
    converter.log.error("%s: %s: %s", report.shown_name(student), refused.state, refused)
    content = {"assignment": assignment, "student": report.shown_name(student), "state": refused.state}
    path = Path(converter.coursedir.root) / journal_path(assignment, student)
    report.write_json(path, content | {"notes": [str(refused)]})
    converter.assignments = {one: found for one, found in converter.assignments.items() if Path(one) != folder}


def journal_path(assignment: str, student: str) -> Path:
    """Where the report on a submission is; nbgrader works in the course folder, so it is relative to that."""
    return Path(REPORTS) / assignment / f"{report.shown_name(student)}.json"


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
