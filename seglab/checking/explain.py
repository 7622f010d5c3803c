"""What came of a visible check, in words: expected against got, what the mistake looks like, which hint to open."""

import re
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from seglab.bridge.student import Call, StudentError
from seglab.checking.compare import Mismatch, describe

MARKS = {True: "✓ pass", False: "✗ fail"}  # symbol and word, never colour alone


@dataclass
class Outcome:
    """What came of one criterion: its sentence, the calls it made, what was printed, and the error, if any."""

    criterion: str
    error: Exception | None = None
    calls: list[Call] = field(default_factory=list)
    printed: str = ""

    @property
    def passed(self) -> bool:
        return self.error is None


@dataclass
class Report:
    """What came of the visible checks of one exercise.

    state: 'passed', 'failed', 'not started' (still a stub), 'missing' (no such function), or 'stopped'.
    message: one sentence, where there is no table to show. misconception: what the wrong answer looks like, in words.
    hint: the hint (1 to 3) to open next.
    """

    name: str
    state: str
    title: str = ""
    message: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    misconception: str = ""
    hint: int | None = None

    @property
    def passed(self) -> int:
        """How many criteria passed."""
        return sum(outcome.passed for outcome in self.outcomes)

    def __repr__(self):
        return as_text(self)


def key(name) -> str:
    """window_starts and TestWindowStarts mean the same exercise."""
    return str(name).lower().replace("_", "")


def first_line(documented, otherwise: str = "") -> str:
    """The first line of what a class or a function says of itself; `otherwise` where it says nothing."""
    return (documented.__doc__ or otherwise).strip().split("\n")[0]


def not_defined(name):
    return f"{name} is not defined yet: run the cell above that defines it"


def not_written(name, error, exercises):
    """The sentence for a stub: its own, or that of another exercise (by name) that it calls."""
    _, function, _ = _own_line(error) or ("", name, "")
    if function != name and key(function) in exercises:
        return f"{name} calls {function}, which is not written yet: write {function} first, and run its cell"
    return f"{name} is not written yet: write it in its cell above, run that cell, then run this one again"


def is_stub(error):
    return isinstance(error, StudentError) and error.types[0] == "NotImplementedError"


def _own_line(error: StudentError) -> tuple[str, str, str] | None:
    """(line number, function, text) of the last line of the student's own code in a traceback."""
    frames = re.findall(r'^  File "(.*)", line (\d+), in (.*)(?:\n    (\S.*))?', error.traceback, re.MULTILINE)
    libraries = (str(Path(__file__).parents[1]), sysconfig.get_paths()["stdlib"], "<frozen")
    for file, number, function, text in reversed(frames):
        if "site-packages" not in file and not file.startswith(libraries):
            return number, function, text
    return None


def details(outcome: Outcome) -> list[tuple[str, str]]:
    """What to say about one criterion, as (label, text)."""
    if outcome.passed:
        more = f"  and {len(outcome.calls) - 1} more" if len(outcome.calls) > 1 else ""
        return [("call", _short(outcome.calls[0].text) + more)] if outcome.calls else []
    rows = _last_call(outcome.calls) + _sides(outcome.error, outcome.calls)
    if outcome.printed.strip():
        rows.append(("printed", _short(outcome.printed.strip(), 120)))
    return [(label, _short(text)) for label, text in rows]


def _last_call(calls: list[Call]) -> list[tuple[str, str]]:
    """The last call of a function of the student's, and what was asked of its result last, if anything was."""
    own = next((call for call in reversed(calls) if not call.name.startswith("its ")), None)
    rows = [("call", own.text)] if own else []
    if calls and calls[-1] is not own:
        rows.append(("then" if own else "call", calls[-1].text))
    return rows


def _sides(error, calls):
    if isinstance(error, Mismatch):
        return _mismatch(error)
    if isinstance(error, StudentError):
        line = _own_line(error)
        return [("got", str(error)), *([("your line", f"{line[0]}: {line[2]}")] if line else [])]
    said = str(error) if isinstance(error, AssertionError) else f"an answer that can be used ({error})"
    rows = [("expected", said)] if said else []
    return rows + ([("got", describe(calls[-1].value))] if calls else [])


def _mismatch(error: Mismatch):
    """Expected against got: shape and dtype first, then the largest difference and the first wrong index."""
    rows = []
    if error.whole:
        rows += [("expected", error.whole[0]), ("got", error.whole[1])]
        rows.append((f"in item {error.where}", f"expected {error.expected}, got {error.got}"))
    elif error.got_value is None:
        unit = f"{error.kind} " if error.kind in ("shape", "dtype") else ""
        rows += [("expected", f"{unit}{error.expected}"), ("got", f"{unit}{error.got}")]
    else:
        expected, got = describe(error.expected_value), describe(error.got_value)
        rows += [("expected", expected), ("got", got if got != expected else f"{got}, but other values")]
    if error.largest is not None and error.got_value is not None:
        rows.append(("largest difference", f"{error.largest:.4g}"))
    if error.index is not None:
        rows.append(("first wrong index", f"{error.index}: expected {error.expected}, got {error.got}"))
    if error.got == "None":
        rows.append(("note", "your function returned None: is a return missing?"))
    return rows


def _short(text, limit=300):
    text = str(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def summary(report):
    count = f"{report.passed} of {len(report.outcomes)} visible checks passed"
    if report.state == "passed":
        return f"{count}; hidden checks with other inputs run at grading"
    return report.message or count


def advice(report):
    """What follows the table: (label, text)."""
    rows = [("Looks like", report.misconception)] if report.misconception else []
    return rows + ([("Next", f"open hint {report.hint}, above this cell")] if report.hint else [])


def as_text(report):
    lines = [report.title] if report.title else []
    for outcome in report.outcomes:
        lines.append(f"  {MARKS[outcome.passed]}  {outcome.criterion}")
        lines += [f"          {label}: {text}" for label, text in details(outcome)]
    lines.append(summary(report))
    return "\n".join(lines + [f"{label}: {text}" for label, text in advice(report)])
