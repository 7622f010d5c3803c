"""Runs the visible checks of an exercise on a function, and leaves everything of the student's as it was.

The checks of lesson NN are the classes of `lessons/NN_topic.py`; the hidden grader runs others, on other inputs.
`NN_topic.json` beside them holds fingerprints of known wrong answers, so that a check can say which one yours is like.
"""

import importlib.util
import io
import json
import os
import random
import re
import sys
import warnings
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from seglab.bridge.student import Student, StudentError, local_student
from seglab.checking.compare import Mismatch
from seglab.checking.explain import Outcome, Report, first_line, is_stub, key, not_defined, not_written
from seglab.checking.fingerprints import either, name_misconceptions, observation
from seglab.checking.rules import Rule, names_used

LESSONS = Path(__file__).parent / "lessons"


def examine(name: str, function) -> Report:
    """Run the visible checks of the exercise `name` on a function (None: it is not defined).

    Raises LookupError if there is no such exercise.
    """
    path, tests = find_tests(name)
    title = first_line(tests, tests.__name__)
    if function is None:
        return Report(name, "missing", title, not_defined(name))
    outcomes, seen, called = _run_all(tests, {name: function}, "test_")
    rule = _follows_rules(tests, function, called)
    if all(is_stub(outcome.error) for outcome in outcomes):
        return Report(name, "not started", title, not_written(name, outcomes[0].error, exercises()))
    if all(outcome.passed for outcome in [*rule, *outcomes]):
        return Report(name, "passed", title, outcomes=rule + outcomes)
    report = Report(name, "failed", title, outcomes=rule + outcomes)
    if not all(outcome.passed for outcome in outcomes):
        known = _known_answers(path, name)
        wrong = known.get("wrong", {})
        seen |= _run_all(tests, {name: function}, "probe_")[1]
        found = name_misconceptions(seen, {key: one["shows"] for key, one in wrong.items()}, known.get("right", {}))
        if found:
            report.misconception = either([wrong[key]["explanation"] for key in found])
            report.hint = wrong[found[0]]["hint"]
    return report


def observe(tests: type, functions) -> dict[str, dict]:
    """What `functions` (name -> function) do in each test and probe of a class of visible checks.

    The build writes it for every known wrong answer; `examine` compares a student's with them.
    """
    return _run_all(tests, functions, "test_")[1] | _run_all(tests, functions, "probe_")[1]


def find_tests(name: str) -> tuple[Path, type]:
    """The file and the class of the visible checks of an exercise. Raises LookupError if there are none."""
    if key(name) not in exercises():
        raise LookupError(f"there is no exercise named {name}")
    path, class_name = exercises()[key(name)]
    return path, getattr(_load(path), class_name)


def _run_all(tests, functions, prefix) -> tuple[list[Outcome], dict[str, dict], set[str]]:
    """The outcomes of all tests (or probes, which are for recognising mistakes and never fail), what they saw, and
    which of torch's functions were called, if there is a rule."""
    outcomes, seen, called = [], {}, set()
    for name in [name for name in vars(tests) if name.startswith(prefix)]:
        outcome, student = _run_test(tests, name, functions)
        outcomes.append(outcome)
        called |= student.used
        seen[name] = observation(student.seen, outcome.error if prefix == "test_" else None)
    return outcomes, seen, called


def _run_test(tests, test, functions) -> tuple[Outcome, Student]:
    student, error = local_student(functions), None
    student.watch = hasattr(tests, "forbidden")
    with _untouched() as printed:
        try:
            getattr(tests(), test)(student)
        except Exception as problem:
            error = problem
    if isinstance(error, StudentError) and error.types[0] == "KeyboardInterrupt":
        raise KeyboardInterrupt  # the student pressed stop while their function ran
    return Outcome(first_line(getattr(tests, test), test), error, student.calls, printed.getvalue()), student


def _follows_rules(tests, function, called) -> list[Outcome]:
    """The row about what the function must not use (nor have called), where the exercise has such a rule."""
    forbidden = getattr(tests, "forbidden", {})
    if not forbidden:
        return []
    outcome = Outcome(f"Does without {', '.join(forbidden)}")
    rule = Rule(forbidden)
    used = rule.broken_by(names_used(function) | called)
    if used:
        outcome.error = Mismatch("rule", f"your own code: {rule.reason(used[0])}", f"a use of {', '.join(used)}")
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
        if shell() is not None:
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


# Finding exercises, tests, known wrong answers


def exercises():
    """Exercise (by `_key`) -> (file, name of its test class), from the texts alone: nothing is imported."""
    return {
        key(name): (path, f"Test{name}")
        for path in sorted(LESSONS.glob("[0-9][0-9]_*.py"))
        for name in re.findall(r"^class Test(\w+)", _read(path, path.stat().st_mtime_ns), re.MULTILINE)
    }


@lru_cache
def _read(path, _modified):
    return path.read_text(encoding="utf-8")


@lru_cache
def _load(path):
    # A file name that begins with a digit is no module name, hence the loading by path.
    spec = importlib.util.spec_from_file_location(f"seglab.checking.lessons.lesson_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _known_answers(path, name):
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8")).get(name, {})
    except (OSError, ValueError):
        return {}  # a check without names for mistakes is still a check


def shell():
    """The running IPython shell, or None; IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
