"""What came of a submission, in words: a table for the student in each graded cell, and a file for the instructor."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from autograde.grading.verdict import Verdict
from seglab.checking.show import table


def student_html(verdict: Verdict, points: float) -> str:
    """The table for the student: every criterion, passed or not, how it failed; no inputs, no expected values."""
    rows = [
        {
            "passed": one.passed,
            "criterion": one.title,
            "details": [("what came", one.symptom)] if one.symptom else [],
        }
        for one in verdict.criteria
    ]
    title = f"{verdict.title}: {round(verdict.score(points), 2):g} of {points:g} points"
    passed = sum(one.passed for one in verdict.criteria)
    return table(title, f"{passed} of {len(rows)} hidden checks passed", rows, _remarks(verdict))


def _remarks(verdict: Verdict) -> list[tuple[str, str]]:
    remarks = [("Not allowed", verdict.refused)] if verdict.refused else []
    if verdict.misconception:
        remarks.append(("Looks like", verdict.explanation))
        remarks.append(("Next", f"hint {verdict.hint} of the exercise helps"))
    return remarks


def student_text(verdict: Verdict, points: float) -> str:
    """The same as plain text."""
    lines = [f"{verdict.title}: {round(verdict.score(points), 2):g} of {points:g} points"]
    lines += [
        f"  {'pass' if c.passed else 'FAIL'}  {c.title}{': ' + c.symptom if c.symptom else ''}"
        for c in verdict.criteria
    ]
    return "\n".join(lines + [f"  {label}: {remark}" for label, remark in _remarks(verdict)])


def shown_name(student: str) -> str:
    """A student's id as tables, logs and file names can show it: most ids as they are, odd ones on one short line."""
    shown = student if student.isprintable() and "\\" not in student else student.encode("unicode_escape").decode()
    if len(shown.encode()) <= 200:
        return shown
    return f"{shown[:40]}…{hashlib.sha256(shown.encode()).hexdigest()[:8]}"


def write_json(path: Path, content: dict) -> None:
    """Write a whole file or none of it, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)  # ASCII: an error message may hold half a surrogate pair
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict:
    """What `write_json` wrote; an empty dict where there is nothing to read."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
