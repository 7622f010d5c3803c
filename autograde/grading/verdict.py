"""Runs the hidden pytest grader of one exercise against one student, and says what came of it."""

import contextlib
import functools
import io
import sys
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np
import pytest

from autograde.lessons import PACKAGE, Lesson
from seglab.bridge.student import Missing, Student, StudentError, Unreachable, local_student
from seglab.checking.compare import Mismatch
from seglab.checking.fingerprints import either, name_misconceptions, trace

# What a student may read about a failure: how it looked, never on which input or against which value.
SYMPTOMS = {
    "type": "returned a value of another type than the one asked for",
    "length": "returned another number of items",
    "shape": "returned another shape",
    "dtype": "returned another dtype",
    "not finite": "returned NaN or infinity where a number is expected",
    "values": "type, shape and dtype are right, the values are not",
    "no error": "did not refuse an input that it should refuse",
    "error": "refused the input, but its message is empty",
    "rule": "broke a rule of the statement",
}
_FAULT = "could not be graded: the grader has a fault, your instructor can see it"
_UNREACHED = "could not be graded: the sandbox has a fault, your instructor can see it"
# Few names, because a function can choose which one it raises, and so tell its author about the inputs.
_NAMED_ERRORS = {"TypeError", "ValueError", "IndexError", "KeyError", "NameError", "AttributeError", "RuntimeError"}
_KNOWN_ERRORS = {
    "NotImplementedError": "is not written yet",
    "Missing": "is not defined when the cells are run from top to bottom",
    "TimeoutError": "did not come back in time",
    "KernelDied": "ended the whole process, or was not tried again after it had hung or died",
    "Malformed": "returned something that could not be read",
    "Unsendable": "returned something that is no plain value, tensor or network",
}


# Parts of pytest that a hidden grader has no use for. The audit grades thousands of times, and two of them collect all
# the garbage of the process after every session, which takes longer than the tests.
_PLUGINS_WITHOUT_USE = [
    "unraisableexception",
    "threadexception",
    "cacheprovider",
    "doctest",
    "junitxml",
    "logging",
    "pastebin",
    "stepwise",
    "setuponly",
    "setupplan",
    "legacypath",
    "faulthandler",
    "recwarn",
    "tmpdir",
    "subtests",
]


class GraderFault(Exception):
    """The grader itself is broken or missing; never the student's fault."""


@dataclass
class Criterion:
    """One hidden test. `title` and `symptom` are for the student; `detail` and `calls` for the instructor only."""

    test: str
    title: str
    weight: float
    passed: bool = False
    symptom: str = ""
    detail: str = ""
    calls: list[str] = field(default_factory=list)
    seconds: float = 0.0
    grader_fault: bool = False


@dataclass
class Verdict:
    """What one exercise earned. `share` is the weight that passed over all the weight, from 0 to 1."""

    exercise: str
    title: str
    criteria: list[Criterion]
    misconception: str | None = None
    explanation: str = ""
    hint: int | None = None
    refused: str = ""  # the rule that was broken, where one was: then nothing is earned
    traces: dict = field(default_factory=dict, repr=False)

    @property
    def share(self) -> float:
        total = sum(c.weight for c in self.criteria)
        return 0.0 if self.refused or not total else sum(c.weight for c in self.criteria if c.passed) / total

    def score(self, points: float) -> float:
        """A plain float in [0, points]."""
        return points if self.share == 1 else round(min(max(self.share * points, 0.0), points), 4)

    def passed(self, test: str) -> bool:
        return any(c.passed for c in self.criteria if c.test == test)

    def as_dict(self) -> dict:
        result = asdict(self)
        result.pop("traces")
        return result | {"share": self.share}


def grade(
    lesson: Lesson, exercise: str, make_student: Callable[[], Student], seed: int, *, refused: str = ""
) -> Verdict:
    """Grade one exercise. `make_student()` gives every test a fresh proxy of the same submission."""
    verdict = _run(lesson, exercise, make_student, seed)
    for criterion in verdict.criteria:
        # A test that the reference passes on this very seed is not broken: what the answer returned made it stumble.
        if criterion.symptom == _FAULT and criterion.test in _reference_passes(
            lesson.name, str(lesson.root), exercise, seed, lesson.grader_file.stat().st_mtime_ns
        ):
            criterion.symptom, criterion.grader_fault = SYMPTOMS["type"], False
    verdict.refused = refused
    if verdict.share < 1 and not refused:
        stamp = lesson.misconception_file.stat().st_mtime_ns
        known = dict(_known_traces(lesson.name, str(lesson.root), exercise, seed, stamp))
        right = known.pop(None)
        found = name_misconceptions(verdict.traces, known, right)
        if found:
            named = {c.name: c for c in lesson.misconceptions if c.exercise == exercise}
            verdict.misconception, verdict.hint = found[0], named[found[0]].hint
            verdict.explanation = either([named[name].explanation for name in found])
    return verdict


def grade_functions(lesson: Lesson, exercise: str, functions: dict, seed: int) -> Verdict:
    """Grade functions of this very process: for the reference, misconceptions, alternatives and mutants."""
    return _run(lesson, exercise, lambda: local_student(functions), seed)


@functools.lru_cache(maxsize=256)
def _reference_passes(name, root, exercise, seed, _stamp) -> frozenset:
    lesson = Lesson(name, root)
    verdict = grade_functions(lesson, exercise, {exercise: getattr(lesson.reference, exercise)}, seed)
    return frozenset(criterion.test for criterion in verdict.criteria if criterion.passed)


@functools.lru_cache(maxsize=256)
def _known_traces(name, root, exercise, seed, _stamp) -> dict:
    """What each known wrong answer, and under None the reference, does on this seed: test -> fingerprints of calls."""
    lesson = Lesson(name, root)
    known = {c.name: c.function for c in lesson.misconceptions if c.exercise == exercise}
    known[None] = getattr(lesson.reference, exercise)
    return {who: grade_functions(lesson, exercise, {exercise: one}, seed).traces for who, one in known.items()}


def _run(lesson, exercise, make_student, seed) -> Verdict:
    class_name = lesson.grader_class_name(exercise)
    if class_name is None:
        raise GraderFault(f"{lesson.grader_file.name} has no test class for {exercise}")
    cached = sys.modules.get(lesson.grader_file.stem)  # pytest would take a file of the same name for the same file
    if cached is not None and cached.__file__ != str(lesson.grader_file):
        del sys.modules[lesson.grader_file.stem]
    plugin = _Plugin(make_student, seed)
    arguments = [f"{lesson.grader_file}::{class_name}", "-c", str(PACKAGE / "graders" / "pytest.ini")]
    # pytest's own tracebacks parse whole files for every failure: most of the time, and nobody needs the prettier text.
    arguments += ["--rootdir", str(lesson.grader_file.parent), "--disable-plugin-autoload", "--tb=native"]
    arguments += [f"-pno:{name}" for name in _PLUGINS_WITHOUT_USE]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = pytest.main(arguments, plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not plugin.criteria:
        raise GraderFault(f"{exercise}: pytest ended with {code!r}\n{printed.getvalue()[-2000:]}")
    title = plugin.title or exercise
    return Verdict(exercise, title, list(plugin.criteria.values()), traces=plugin.traces)


class _Plugin:
    """Gives tests `student` and `rng`, and takes their outcomes."""

    def __init__(self, make_student, seed):
        self.make_student, self.seed = make_student, seed
        self.criteria: dict[str, Criterion] = {}
        self.traces: dict[str, list] = {}
        self.title = ""

    @pytest.fixture
    def student(self, request):
        student = self.make_student()
        yield student
        key = request.node.name
        self.traces[key] = trace(student.calls)
        self.criteria[key].calls = [f"{call.text} -> {call.error or 'returned'}"[:500] for call in student.calls[-20:]]

    @pytest.fixture
    def rng(self, request):
        return np.random.default_rng([self.seed, zlib.crc32(request.node.name.encode())])

    def pytest_collection_modifyitems(self, items):
        for item in items:
            self.title = self.title or _first_line(item.parent.obj.__doc__)
            marker = item.get_closest_marker("weight")
            title = _first_line(item.obj.__doc__) or item.name
            self.criteria[item.name] = Criterion(item.name, title, float(marker.args[0]) if marker else 1.0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        criterion = self.criteria[item.name]
        criterion.seconds += call.duration
        if call.when == "call" and report.passed:
            criterion.passed = True
        elif not report.passed:
            criterion.passed = False
            error = call.excinfo.value if call.excinfo else None
            criterion.symptom, criterion.grader_fault = _symptom(error)
            criterion.detail = str(report.longreprtext)[-6000:]
        return report


def _symptom(error) -> tuple[str, bool]:
    """What the student reads of a failure, and whether it is the grader's fault."""
    if isinstance(error, Mismatch):
        return SYMPTOMS[error.kind], False
    if isinstance(error, (StudentError, Missing)):
        name = error.types[0]
        if name in _KNOWN_ERRORS:
            return _KNOWN_ERRORS[name], False
        return f"raised {name if name in _NAMED_ERRORS else 'another error'}", False
    if isinstance(error, AssertionError):
        return SYMPTOMS["values"], False
    return _UNREACHED if isinstance(error, Unreachable) else _FAULT, True


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]
