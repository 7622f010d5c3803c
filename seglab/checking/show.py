"""`check(window_starts)`: the visible checks of an exercise, at once, in the notebook where it is written."""

import base64
import io
import re
import sys
from collections import Counter
from contextlib import contextmanager

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from seglab.checking.compare import Mismatch, describe
from seglab.checking.explain import MARKS, Report, advice, details, not_defined, summary
from seglab.checking.run import examine, exercises, key, shell

HINTS = 3

_failing_runs = Counter()  # per exercise, in this process: each failing run suggests the next hint
_templates = Environment(loader=PackageLoader("seglab.checking", "."), autoescape=True)


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
    name = next((name for name in names if key(name) in exercises()), None)
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


def table(title: str, remark: str, rows: list[dict], advice: list[tuple[str, str]]) -> str:
    """The table of criteria as HTML, the same for a visible check and for what the hidden grader says.

    rows: dicts of `passed`, `criterion`, `details` (label, text) and perhaps `picture`, HTML that is put in as it is.
    Everything else is text and is escaped; `code` in back quotes is set as code.
    """
    return _templates.get_template("table.html").render(title=title, remark=remark, rows=rows, advice=advice)


def code_marks(text: str) -> Markup:
    """Escaped text, with `code` in back quotes set as code."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))


_templates.filters["code_marks"] = code_marks
_templates.globals["marks"] = MARKS


def as_html(report: Report) -> str:
    """A report as a table, with a picture of the difference where one helps."""
    picture = next((one for one in report.outcomes if _has_picture(one.error)), None)  # one is enough
    rows = [
        {
            "passed": one.passed,
            "criterion": one.criterion,
            "details": details(one),
            "picture": Markup(_picture(one.error)) if one is picture else "",
        }
        for one in report.outcomes
    ]
    return table(report.title, summary(report), rows, advice(report))


def _show(report):
    """Display a report exactly once: HTML in a notebook, text in a terminal."""
    if shell() is not None:
        from IPython.display import display

        display({"text/html": as_html(report), "text/plain": repr(report)}, raw=True)
        return
    encoding = sys.stdout.encoding or "utf-8"
    print(repr(report).encode(encoding, "replace").decode(encoding))


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


# The notebook


def _explain_name_error(ipython, kind, error, trace, tb_offset=None):
    """`check(window_starts)` before its cell has run: one sentence in place of a traceback."""
    if kind is NameError and key(error.name) in exercises():
        print(not_defined(error.name), file=sys.stderr)
    else:
        ipython.showtraceback((kind, error, trace), tb_offset=tb_offset)


def _install_name_error_handler():
    ipython = shell()
    if ipython is not None and not ipython.custom_exceptions:  # never in place of somebody else's handler
        ipython.set_custom_exc((NameError,), _explain_name_error)


_install_name_error_handler()
