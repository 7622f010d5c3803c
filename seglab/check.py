"""`check(window_starts)`: the visible checks of an exercise, at once, in the notebook where it is written.

The checks of lesson NN are the classes of `seglab/checks/NN_topic.py`; the hidden grader runs others, on other inputs.
`NN_topic.json` beside them holds fingerprints of known wrong answers, so that a check can say which one yours is like.
"""

import base64
import html
import importlib.util
import io
import json
import os
import random
import re
import sys
import sysconfig
import warnings
from collections import Counter
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from seglab.compare import Mismatch, describe
from seglab.fingerprints import either, name_misconceptions, trace
from seglab.student import Call, StudentError, local_student
from seglab.syntax import reached_names

CHECKS = Path(__file__).parent / "checks"
HINTS = 3

_failing_runs = Counter()  # per exercise, in this process: each failing run suggests the next hint


def check(function) -> None:
    """Run the visible checks of your function and show how they went.

    Pass the function itself, `check(window_starts)`, or its name, `check("window_starts")`, as often as you like: your
    variables, random numbers, figures and settings stay as they are.
    """
    _show(_checked(function, sys._getframe(1).f_globals))


@contextmanager
def once_written():
    """For the cells that draw with your functions: if one is not there yet, say so in a sentence."""
    try:
        yield
    except NotImplementedError:
        print("A function that this cell needs is still a stub. Write it, then run this cell again.")
    except Exception as error:
        print(f"This cell cannot draw with your functions yet: {type(error).__name__}: {error}")
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot:
        pyplot.close("all")


# ---------------------------------------------------------------------------------------------------------------------
# Running
# ---------------------------------------------------------------------------------------------------------------------


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
        return _as_text(self)

    def _repr_html_(self):
        return _as_html(self)


def examine(name: str, function) -> Report:
    """Run the visible checks of the exercise `name` on a function (None: it is not defined).

    Raises LookupError if there is no such exercise.
    """
    path, tests = find_tests(name)
    title = _first_line(tests)
    if function is None:
        return Report(name, "missing", title, _not_defined(name))
    rule = _follows_rules(tests, function)
    outcomes, traces = [], {}
    for test in _tests_of(tests):
        outcomes.append(_run_test(tests, test, {name: function}))
        traces[test] = trace(outcomes[-1].calls)
    if all(_is_stub(outcome.error) for outcome in outcomes):
        return Report(name, "not started", title, _not_written(name, outcomes[0].error))
    if all(outcome.passed for outcome in [*rule, *outcomes]):
        return Report(name, "passed", title, outcomes=rule + outcomes)
    report = Report(name, "failed", title, outcomes=rule + outcomes)
    if not all(outcome.passed for outcome in outcomes):
        known = _known_answers(path, name)
        wrong = known.get("wrong", {})
        found = name_misconceptions(traces, {key: one["traces"] for key, one in wrong.items()}, known.get("right", {}))
        if found:
            report.misconception = either([wrong[key]["explanation"] for key in found])
            report.hint = wrong[found[0]]["hint"]
    return report


def public_traces(tests: type, functions) -> dict[str, list]:
    """The fingerprints of what `functions` (name -> function) return in each test of a class of visible checks.

    The build writes them for every known wrong answer; `examine` compares a student's with them.
    """
    return {test: trace(_run_test(tests, test, functions).calls) for test in _tests_of(tests)}


def find_tests(name: str) -> tuple[Path, type]:
    """The file and the class of the visible checks of an exercise. Raises LookupError if there are none."""
    if _key(name) not in _exercises():
        raise LookupError(f"there is no exercise named {name}")
    path, class_name = _exercises()[_key(name)]
    return path, getattr(_load(path), class_name)


def _checked(target, namespace) -> Report:
    """The report for whatever a student passed to `check`, hint included. Never raises for a student's mistake."""
    named = isinstance(target, str)
    if not named and not callable(target):
        message = (
            f"check needs the function itself, as in check(window_starts), without a call; this is {describe(target)}"
        )
        return Report("check", "missing", message=message)
    # A lambda, or a function under a second name, is recognised by the variable that holds it.
    names = [target] if named else [getattr(target, "__name__", ""), *(n for n, v in namespace.items() if v is target)]
    name = next((name for name in names if _key(name) in _exercises()), None)
    if name is None:
        return Report(names[0], "missing", message=f"there is no exercise named {names[0] or describe(target)}")
    try:
        report = examine(name, namespace.get(target) if named else target)
    except KeyboardInterrupt:
        return Report(name, "stopped", message=f"{name}: stopped. An endless loop? Nothing of yours has changed.")
    if report.state == "failed":
        _failing_runs[name] += 1
        report.hint = report.hint or min(_failing_runs[name], HINTS)
    elif report.state == "passed":
        _failing_runs[name] = 0
    return report


def _run_test(tests, test, functions) -> Outcome:
    student, error = local_student(functions), None
    with _untouched() as printed:
        try:
            getattr(tests(), test)(student)
        except Exception as problem:
            error = problem
    if isinstance(error, StudentError) and error.types[0] == "KeyboardInterrupt":
        raise KeyboardInterrupt  # the student pressed stop while their function ran
    return Outcome(_first_line(getattr(tests, test)), error, student.calls, printed.getvalue())


def _follows_rules(tests, function) -> list[Outcome]:
    """The row about names that the function must not use, where the exercise has such a rule."""
    forbidden = getattr(tests, "forbidden", {})
    if not forbidden:
        return []
    outcome = Outcome(f"Does without {', '.join(forbidden)}")
    try:
        used = sorted(reached_names(function) & forbidden.keys())
        if used:
            outcome.error = Mismatch("rule", f"your own code: {forbidden[used[0]]}", f"a use of {', '.join(used)}")
    except SyntaxError as error:
        outcome.error = Mismatch("rule", "a function written in a cell of this notebook", str(error))
    return [outcome]


@contextmanager
def _untouched():
    """Put back everything that a function could change, even on an error, and catch what it prints and displays.

    Inside, settings and random numbers are the same in every run, so that the same function gets the same verdict.
    """
    generators = torch.get_rng_state(), np.random.get_state(), random.getstate()
    dtype, threads, folder = torch.get_default_dtype(), torch.get_num_threads(), os.getcwd()
    printed = io.StringIO()
    with ExitStack() as stack:
        if _shell() is not None:
            from IPython.utils.capture import capture_output

            stack.enter_context(capture_output())  # what is displayed, too
        for redirect in (redirect_stdout, redirect_stderr):
            stack.enter_context(redirect(printed))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(_own_figures())
        stack.enter_context(torch.enable_grad())
        warnings.simplefilter("ignore")
        try:
            torch.set_default_dtype(torch.float32)
            torch.manual_seed(0)
            np.random.seed(0)
            random.seed(0)
            yield printed
        finally:
            torch.set_default_dtype(dtype)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            os.chdir(folder)
            torch.set_rng_state(generators[0])
            np.random.set_state(generators[1])
            random.setstate(generators[2])


@contextmanager
def _own_figures():
    """Let a function draw with pyplot without a trace: its figures are closed, the student's stays the current one."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    before = pyplot.get_fignums() if pyplot else []
    current = pyplot.gcf().number if before else None
    if before:
        pyplot.figure()  # so that plt.plot draws here, and not on the student's figure
    try:
        yield
    finally:
        pyplot = sys.modules.get("matplotlib.pyplot")  # the function may have been the first to import it
        for number in pyplot.get_fignums() if pyplot else []:
            if number not in before:
                pyplot.close(number)
        if current is not None and pyplot.fignum_exists(current):
            pyplot.figure(current)


# ---------------------------------------------------------------------------------------------------------------------
# Finding: exercises, tests, known wrong answers
# ---------------------------------------------------------------------------------------------------------------------


def _key(name):
    """window_starts and TestWindowStarts mean the same exercise."""
    return str(name).lower().replace("_", "")


def _exercises():
    """Exercise (by `_key`) -> (file, name of its test class), from the texts alone: nothing is imported."""
    return {
        _key(name): (path, f"Test{name}")
        for path in sorted(CHECKS.glob("[0-9][0-9]_*.py"))
        for name in re.findall(r"^class Test(\w+)", _read(path, path.stat().st_mtime_ns), re.MULTILINE)
    }


@lru_cache
def _read(path, _modified):
    return path.read_text(encoding="utf-8")


@lru_cache
def _load(path):
    # A file name that begins with a digit is no module name, hence the loading by path.
    spec = importlib.util.spec_from_file_location(f"seglab.checks.lesson_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tests_of(tests):
    return [name for name in vars(tests) if name.startswith("test_")]


def _known_answers(path, name):
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8")).get(name, {})
    except (OSError, ValueError):
        return {}  # a check without names for mistakes is still a check


def _first_line(documented):
    return (documented.__doc__ or documented.__name__).strip().splitlines()[0]


# ---------------------------------------------------------------------------------------------------------------------
# Explaining
# ---------------------------------------------------------------------------------------------------------------------


def _not_defined(name):
    return f"{name} is not defined yet: run the cell above that defines it"


def _not_written(name, error):
    _, function, _ = _own_line(error) or ("", name, "")
    if function != name and _key(function) in _exercises():
        return f"{name} calls {function}, which is not written yet: write {function} first, and run its cell"
    return f"{name} is not written yet: write it in its cell above, run that cell, then run this one again"


def _is_stub(error):
    return isinstance(error, StudentError) and error.types[0] == "NotImplementedError"


def _own_line(error: StudentError) -> tuple[str, str, str] | None:
    """(line number, function, text) of the last line of the student's own code in a traceback."""
    frames = re.findall(r'^  File "(.*)", line (\d+), in (.*)(?:\n    (\S.*))?', error.traceback, re.MULTILINE)
    libraries = (str(Path(__file__).parent), sysconfig.get_paths()["stdlib"], "<frozen")
    for file, number, function, text in reversed(frames):
        if "site-packages" not in file and not file.startswith(libraries):
            return number, function, text
    return None


def _details(outcome: Outcome) -> list[tuple[str, str]]:
    """What to say about one criterion, as (label, text)."""
    if outcome.passed:
        more = f"  and {len(outcome.calls) - 1} more" if len(outcome.calls) > 1 else ""
        return [("call", _short(outcome.calls[0].text) + more)] if outcome.calls else []
    rows = [("call", outcome.calls[-1].text)] if outcome.calls else []
    rows += _sides(outcome.error, outcome.calls)
    if outcome.printed.strip():
        rows.append(("printed", _short(outcome.printed.strip(), 120)))
    return [(label, _short(text)) for label, text in rows]


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


def _summary(report):
    count = f"{report.passed} of {len(report.outcomes)} visible checks passed"
    if report.state == "passed":
        return f"{count}; hidden checks with other inputs run at grading"
    return report.message or count


def _advice(report):
    """What follows the table: (label, text)."""
    rows = [("Looks like", report.misconception)] if report.misconception else []
    return rows + ([("Next", f"open hint {report.hint}, above this cell")] if report.hint else [])


# ---------------------------------------------------------------------------------------------------------------------
# Showing
# ---------------------------------------------------------------------------------------------------------------------

_MARKS = {True: ("pass", "✓ pass"), False: ("fail", "✗ fail")}  # symbol and word, never colour alone

_STYLE = """
.seglab-check { background: var(--jp-layout-color1, #fff); color: var(--jp-content-font-color1, #1f1f1f);
  font: 14px/1.5 var(--jp-ui-font-family, system-ui, sans-serif); max-width: 54rem; padding: 4px 0; }
.seglab-check p { margin: 0 0 8px; }
.seglab-check .seglab-title { font-weight: 600; font-size: 15px; margin: 0; }
.seglab-check .seglab-advice { border-left: 4px solid #b26a00; padding-left: 10px; margin: 8px 0 0; }
.seglab-check table.seglab-rows { border-collapse: collapse; table-layout: auto; width: 100%; margin: 0 0 8px;
  font-size: 14px; color: inherit; border: 0; }
.seglab-check table.seglab-rows tr > * { background: var(--jp-layout-color1, #fff); color: inherit; text-align: left;
  vertical-align: top; padding: 6px 12px 6px 0; border: 0; border-top: 1px solid var(--jp-border-color2, #ddd);
  max-width: none; white-space: normal; overflow-wrap: anywhere; }
.seglab-check table.seglab-rows tr > :first-child { width: 5.5em; }
.seglab-check thead th { font-weight: 600; }
.seglab-check .seglab-mark { display: inline-block; padding: 0 8px; border-radius: 10px; white-space: nowrap;
  font-weight: 600; font-size: 13px; color: #fff; }
.seglab-check .seglab-pass { background: #1a7237; }
.seglab-check .seglab-fail { background: #b3261e; }
.seglab-check dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 12px; margin: 4px 0 0;
  font-size: 13px; }
.seglab-check dl > dt { float: none; width: auto; font-weight: 400; opacity: .85; }
.seglab-check dl > dd { margin: 0; width: auto; font-family: var(--jp-code-font-family, ui-monospace, monospace);
  white-space: pre-wrap; overflow-wrap: anywhere; }
.seglab-check img { display: block; max-width: 100%; height: auto; margin-top: 8px; border-radius: 4px; }
@media (max-width: 480px) { .seglab-check dl { grid-template-columns: minmax(0, 1fr); } }
"""


def _show(report):
    """Display a report exactly once: HTML in a notebook, text in a terminal."""
    if _shell() is not None:
        from IPython.display import display

        display(report)
        return
    encoding = sys.stdout.encoding or "utf-8"
    print(repr(report).encode(encoding, "replace").decode(encoding))


def _as_text(report):
    lines = [report.title] if report.title else []
    for outcome in report.outcomes:
        lines.append(f"  {_MARKS[outcome.passed][1]}  {outcome.criterion}")
        lines += [f"          {label}: {text}" for label, text in _details(outcome)]
    lines.append(_summary(report))
    return "\n".join(lines + [f"{label}: {text}" for label, text in _advice(report)])


def _as_html(report):
    picture = next((o for o in report.outcomes if _has_picture(o.error)), None)  # one is enough
    rows = "".join(_html_row(outcome, outcome is picture) for outcome in report.outcomes)
    head = "<thead><tr><th scope='col'>Result</th><th scope='col'>Criterion</th></tr></thead>"
    table = f"<table class='seglab-rows'>{head}<tbody>{rows}</tbody></table>"
    advice = "".join(f"<p class='seglab-advice'><b>{a}:</b> {html.escape(b)}</p>" for a, b in _advice(report))
    title = f"<p class='seglab-title'>{html.escape(report.title)}</p>" if report.title else ""
    return f"""<div class="seglab-check"><style>{_STYLE}</style>
{title}<p>{html.escape(_summary(report))}</p>{table if rows else ""}{advice}</div>"""


def _html_row(outcome, with_picture):
    kind, words = _MARKS[outcome.passed]
    details = "".join(f"<dt>{a}</dt><dd>{html.escape(b)}</dd>" for a, b in _details(outcome))
    return f"""<tr><td><span class="seglab-mark seglab-{kind}">{words}</span></td>
<td>{html.escape(outcome.criterion)}<dl>{details}</dl>{_picture(outcome.error) if with_picture else ""}</td></tr>"""


def _has_picture(error):
    value = error.got_value if isinstance(error, Mismatch) else None
    return value is not None and value.dim() >= 2 and min(value.shape[-2:]) > 1


def _picture(error: Mismatch) -> str:
    """Expected, got and difference side by side, as an <img>: the 2-D map that holds the first wrong value."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    plane = error.index[:-2]
    pair = [value[plane].double().numpy() for value in (error.expected_value, error.got_value)]  # each (H, W)
    finite = [x for value in pair for x in (value[np.isfinite(value)],) if x.size]
    low, high = min((x.min() for x in finite), default=0), max((x.max() for x in finite), default=1)
    difference = np.abs(pair[1] - pair[0])
    height = min(max(1.44 * difference.shape[0] / difference.shape[1], 0.4), 1.6)  # inches; a panel is 1.44 wide
    figure = Figure(figsize=(4.8, height + 0.4), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    for left, title, value, limits, colours in (
        (0.02, "expected", pair[0], (low, high), "cividis"),
        (0.35, "yours", pair[1], (low, high), "cividis"),
        (0.68, "difference (black: none)", difference, (0, None), "inferno"),
    ):
        axes = figure.add_axes((left, 0.1 / (height + 0.4), 0.3, height / (height + 0.4)))
        shown = np.ma.masked_invalid(value)
        axes.imshow(
            shown, colours, vmin=limits[0], vmax=limits[1], interpolation="nearest", origin="upper", aspect="equal"
        )
        axes.set_title(title, fontsize=8, color="black")
        axes.set_axis_off()
    png = io.BytesIO()
    canvas.print_png(png)
    wrong = int(np.sum(~np.isclose(pair[0], pair[1], rtol=1e-4, atol=1e-5, equal_nan=True)))
    differ = f"{wrong} of {difference.size} values differ, first at {error.index}"
    alt = f"Expected map, your map and their difference: {differ}."
    return f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}">'


# ---------------------------------------------------------------------------------------------------------------------
# The notebook
# ---------------------------------------------------------------------------------------------------------------------


def _shell():
    """The running IPython shell, or None; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def _explain_name_error(shell, kind, error, trace, tb_offset=None):
    """`check(window_starts)` before its cell has run: one sentence in place of a traceback."""
    if kind is NameError and _key(error.name) in _exercises():
        print(_not_defined(error.name), file=sys.stderr)
    else:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def _install_name_error_handler():
    shell = _shell()
    if shell is not None and not shell.custom_exceptions:  # never in place of somebody else's handler
        shell.set_custom_exc((NameError,), _explain_name_error)


_install_name_error_handler()
