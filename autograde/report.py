"""What came of a submission, in words: a table for the student in each graded cell, and a file for the instructor."""

import html
import json
import os
import tempfile
from pathlib import Path

from autograde.grading import Verdict

# Colours that keep their contrast on the notebook's light page and on a dark one: the table brings its own background.
_STYLE = (
    "background:#fff;color:#1a1a1a;border:1px solid #767676;border-collapse:collapse;"
    "font:14px/1.5 system-ui,sans-serif;margin:4px 0;text-align:left"
)
_CELL = "border-top:1px solid #ccc;padding:4px 10px;text-align:left;vertical-align:top"


def student_html(verdict: Verdict, points: float) -> str:
    """The table for the student: every criterion, passed or not, how it failed; no inputs, no expected values."""
    rows = []
    for one in verdict.criteria:
        mark = "✓ passed" if one.passed else "✗ failed"
        colour = "#0b5d2a" if one.passed else "#9b1c1c"
        rows.append(
            f'<tr><td style="{_CELL};color:{colour};white-space:nowrap">{mark}</td>'
            f'<td style="{_CELL}">{_text(one.title)}</td><td style="{_CELL}">{_text(one.symptom)}</td></tr>'
        )
    remarks = [_text(verdict.refused)] if verdict.refused else []
    if verdict.misconception:
        remarks.append(
            f"This is what you get when: {_text(verdict.explanation)} Hint {verdict.hint} of the exercise helps."
        )
    foot = "".join(f'<tr><td style="{_CELL}" colspan="3">{remark}</td></tr>' for remark in remarks)
    title = f"{_text(verdict.title)}: {verdict.score(points):g} of {points:g} points"
    return (
        f'<table style="{_STYLE}"><caption style="{_CELL};font-weight:bold;background:#fff;color:#1a1a1a">{title}'
        f"</caption><tbody>{''.join(rows)}{foot}</tbody></table>"
    )


def student_text(verdict: Verdict, points: float) -> str:
    """The same as plain text."""
    lines = [f"{verdict.title}: {verdict.score(points):g} of {points:g} points"]
    lines += [
        f"  {'pass' if c.passed else 'FAIL'}  {c.title}{': ' + c.symptom if c.symptom else ''}"
        for c in verdict.criteria
    ]
    lines += [f"  {remark}" for remark in (verdict.refused, verdict.explanation) if remark]
    return "\n".join(lines)


def _text(text: str) -> str:
    """Escaped, with `code` in backquotes set as code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


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
