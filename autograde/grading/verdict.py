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
from _pytest.runner import SetupState, runtestprotocol

from autograde.lessons import PACKAGE, Lesson
from seglab.bridge.student import Missing, Student, StudentError, Unreachable, local_student
from seglab.checking.compare import Mismatch
from seglab.checking.explain import first_line
from seglab.checking.fingerprints import differences, either, name_misconceptions, observation
from seglab.checking.rules import Rule

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
    "MemoryError": "asked for more memory than a submission may use",
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
    used: set[str] = field(default_factory=set, repr=False)  # torch's functions that were called, if there is a rule
    seen: dict = field(default_factory=dict, repr=False)  # test or probe -> what it saw, for naming the mistake

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
        del result["seen"], result["used"]
        return result | {"share": self.share}


def grade(
    lesson: Lesson, exercise: str, make_student: Callable[[], Student], seed: int, *, refused: str = ""
) -> Verdict:
    """Grade one exercise. `make_student()` gives every test a fresh proxy of the same submission.

    refused: the rule that the source breaks; what was called while the tests ran may break one, too.
    """
    with_probes = not refused  # what has broken a rule is not explained further
    verdict = in_session(lesson, exercise, lambda run: run(make_student, seed, probes=with_probes))
    stumbled = [criterion for criterion in verdict.criteria if criterion.symptom == _FAULT]
    verdict.refused = refused or Rule(lesson.forbidden(exercise)).sentence(verdict.used)
    if stumbled or (verdict.share < 1 and not verdict.refused):
        known = known_answers(lesson, exercise, seed)
        for criterion in stumbled:
            # A test that the reference passes on this very seed is not broken: what came back made it stumble.
            if criterion.test in known.passed:
                criterion.symptom, criterion.grader_fault = SYMPTOMS["type"], False
        if not verdict.refused:
            name_mistake(verdict, lesson, known)
    return verdict


def name_mistake(verdict: Verdict, lesson: Lesson, known: "Known") -> None:
    """Write into a verdict which known mistake the submission has, if what came back says so."""
    found = name_misconceptions(verdict.seen, known.wrong, known.right)
    if found:
        named = {c.name: c for c in lesson.misconceptions if c.exercise == verdict.exercise}
        verdict.misconception, verdict.hint = found[0], named[found[0]].hint
        verdict.explanation = either([named[name].explanation for name in found])


@dataclass(frozen=True)
class Known:
    """What the reference and the known wrong answers do on one seed: the tests passed, and what was seen."""

    passed: frozenset[str]
    right: dict
    wrong: dict  # misconception -> where it differs from `right`


def known_answers(lesson: Lesson, exercise: str, seed: int) -> Known:
    """Remembered per seed and version of the lesson's files."""
    files = (lesson.misconception_file, lesson.grader_file, lesson.reference_file)
    stamps = tuple(path.stat().st_mtime_ns for path in files)
    return _known_answers(lesson.name, str(lesson.root), exercise, seed, stamps)


@functools.lru_cache(maxsize=256)
def _known_answers(name, root, exercise, seed, _stamps) -> Known:
    lesson = Lesson(name, root)

    def ask_all(run) -> Known:
        right = run(local_functions({exercise: getattr(lesson.reference, exercise)}), seed, probes=True)
        wrong = {}
        for candidate in [one for one in lesson.misconceptions if one.exercise == exercise]:
            verdict = run(local_functions({exercise: candidate.function}), seed, probes=True)
            wrong[candidate.name] = differences(verdict.seen, right.seen)
        return Known(frozenset(one.test for one in right.criteria if one.passed), right.seen, wrong)

    return in_session(lesson, exercise, ask_all)


def local_functions(functions: dict) -> Callable[[], Student]:
    """`make_student` for functions of this very process."""
    return functools.partial(local_student, functions)


def in_session(lesson: Lesson, exercise: str, ask: Callable):
    """Open one pytest session on the hidden tests of an exercise and return `ask(run)`.

    `run(make_student, seed, probes=False, stop_early=False, brief=False) -> Verdict` grades one submission: opening a
    session takes longer than most tests, so that whoever has many submissions grades them all in one.
    probes: also run the ungraded `probe_*`, where a test failed or nobody knows yet. stop_early: after the first
    failure; the share is then only known to be below 1. brief: what passed, without the words of the failures.

    Raises GraderFault if there are no tests, or pytest cannot collect them.
    """
    class_name = lesson.grader_class_name(exercise)
    if class_name is None:
        raise GraderFault(f"{lesson.grader_file.name} has no test class for {exercise}")
    cached = sys.modules.get(lesson.grader_file.stem)  # pytest would take a file of the same name for the same file
    if cached is not None and cached.__file__ != str(lesson.grader_file):
        del sys.modules[lesson.grader_file.stem]
    plugin = _Session(exercise, ask, has_rule=bool(lesson.forbidden(exercise)))
    arguments = [f"{lesson.grader_file}::{class_name}", "-c", str(PACKAGE / "graders" / "pytest.ini")]
    # pytest's own tracebacks parse whole files for every failure: most of the time, and nobody needs the prettier text.
    arguments += ["--rootdir", str(lesson.grader_file.parent), "--disable-plugin-autoload", "--tb=native"]
    arguments += [f"-pno:{name}" for name in _PLUGINS_WITHOUT_USE]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = pytest.main(arguments, plugins=[plugin])
    if plugin.error is not None:
        raise plugin.error
    if not plugin.asked:
        raise GraderFault(f"{exercise}: pytest ended with {code!r}\n{printed.getvalue()[-2000:]}")
    return plugin.answer


class _Session:
    """A pytest plugin: gives tests `student` and `rng`, and runs what was collected for each submission."""

    def __init__(self, exercise: str, ask: Callable, has_rule: bool):
        self.exercise, self.ask, self.has_rule = exercise, ask, has_rule
        self.answer, self.error, self.asked = None, None, False

    @pytest.fixture
    def student(self):
        return self.current

    @pytest.fixture
    def rng(self, request):
        return np.random.default_rng([self.seed, zlib.crc32(request.node.name.encode())])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self.session = session
        for item in session.items:
            item.repr_failure = functools.partial(self._tell, item.repr_failure)
        self.tests = [item for item in session.items if not item.name.startswith("probe_")]
        self.probes = [item for item in session.items if item.name.startswith("probe_")]
        if not self.tests or session.testsfailed:
            return None
        self.title = first_line(self.tests[0].parent.obj, self.exercise)
        self.asked = True
        try:
            self.answer = self.ask(self.run)
        except Exception as error:  # a fault of whoever asked: told after pytest has ended
            self.error = error
        return True

    def _tell(self, tell, failure):
        """The text of a failure, which takes longer than most tests: left out where nobody reads it."""
        return "" if self.brief else tell(failure)

    def run(
        self,
        make_student: Callable[[], Student],
        seed: int,
        *,
        probes: bool = False,
        stop_early: bool = False,
        brief: bool = False,
    ) -> Verdict:
        self.brief = brief
        self.seed, self.watch = seed, probes  # fingerprints take time, and only whoever names a mistake needs them
        verdict = Verdict(self.exercise, self.title, [])
        for item in self.tests:
            criterion = self._run_test(item, make_student, verdict)
            if stop_early and not criterion.passed:
                return verdict
        if probes:
            for item in self.probes:
                self._run_test(item, make_student, verdict, is_probe=True)
        return verdict

    def _run_test(self, item, make_student, verdict, is_probe=False) -> Criterion:
        marker = item.get_closest_marker("weight")
        title = first_line(item.obj, item.name)
        self.criterion = Criterion(item.name, title, float(marker.args[0]) if marker else 1.0)
        self.current, self.failure = make_student(), None
        self.current.watch = self.has_rule
        try:
            # A neighbour as the next one: what their class has set up stays.
            neighbour = next((one for one in self.session.items if one is not item), None)
            runtestprotocol(item, log=False, nextitem=neighbour)
        except Exception as error:  # a time limit that rang between two steps of pytest's own
            self.criterion.passed, self.failure = False, error
            self.session._setupstate = SetupState()
        verdict.used |= self.current.used
        if self.watch:
            verdict.seen[item.name] = observation(self.current.seen, None if is_probe else self.failure)
        if not is_probe:
            calls = self.current.calls[-20:]
            self.criterion.calls = [f"{call.text} -> {call.error or 'returned'}"[:500] for call in calls]
            verdict.criteria.append(self.criterion)
        return self.criterion

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        criterion = self.criterion
        criterion.seconds += call.duration
        if call.when == "call" and report.passed:
            criterion.passed = True
        elif not report.passed:
            criterion.passed = False
            self.failure = call.excinfo.value if call.excinfo else AssertionError()
            criterion.symptom, criterion.grader_fault = _symptom(self.failure)
            criterion.detail = str(report.longreprtext)[-6000:]
        return report


def grade_functions(lesson: Lesson, exercise: str, functions: dict, seed: int) -> Verdict:
    """Grade functions of this very process once."""
    return in_session(lesson, exercise, lambda run: run(local_functions(functions), seed))


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
