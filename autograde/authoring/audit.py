"""Tests of the graders: one row per exercise, one column per gate, a reason for everything that is not as it must be.

The gates are those of an honest grader: what is right passes, what is wrong fails and fails where it was meant to, what
students receive holds nothing of what is hidden, and the function that was graded was the student's.
"""

import ast
import copy
import functools
import inspect
import json
import math
import re
import resource
import signal
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import nbformat
import torch
from torch import nn
from tqdm import tqdm

from autograde.authoring import mutation
from autograde.authoring.release import leaks, make_bundle
from autograde.authoring.scaffold import placeholders
from autograde.gradebook.course import gradebook_scores, hand_in, prepare_course, run_nbgrader
from autograde.graders.candidates import Candidate
from autograde.grading.report import read_json
from autograde.grading.rules import broken_rule
from autograde.grading.verdict import Verdict, in_session, known_answers, local_functions, name_mistake
from autograde.lessons import ROOT, Lesson, all_lessons
from seglab.checking.run import examine

SEEDS = range(20)  # for right answers
FEWER_SEEDS = SEEDS[:5], SEEDS[:2]  # for a misconception, and for another way to write one
MISCONCEPTIONS = 4, 8  # an exercise: what people really do; that the tests are strong, mutants prove
MUTATION_SHARE = 0.95
MEMORY = 12 * 2**30
SECONDS = 2  # of CPU time for one candidate: a mutant may loop for ever


@dataclass
class Gate:
    """One cell of the table. `text` is what it shows; `failures` say what is wrong, and none means passed."""

    exercise: str
    name: str
    text: str
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


GATES = [
    "pieces",
    "solution",
    "reference",
    "stub",
    "constants",
    "misconceptions",
    "named",
    "alternatives",
    "lecture",
    "mutants",
    "seeds",
    "leak",
    "sentinel",
]  # the columns, in the order of the design


def audit(root: Path = ROOT, only: str | None = None, exercise: str | None = None, workers: int = 2) -> list[Gate]:
    """Run every gate of every lesson (or of one) and return the cells of the table.

    With the name of an `exercise`, only its gates that need no nbgrader: seconds, for while one is being written.
    Raises ValueError if there is no such lesson or exercise.
    """
    lessons = all_lessons(root, only)
    tasks = [(lesson.name, str(root), one.name) for lesson in lessons for one in lesson.exercises]
    if exercise:
        chosen = [task for task in tasks if task[2] == exercise]
        if not chosen:
            raise ValueError(f"no exercise {exercise!r}; there are: {', '.join(name for *_, name in tasks)}")
        return _in_process(chosen[0])
    gates: list[Gate] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_prepare_worker) as pool:
        fast = pool.map(_in_process, tasks)
        for lesson in lessons:
            gates += _through_nbgrader(lesson)
        for results in tqdm(fast, total=len(tasks), desc="exercises", unit="exercise"):
            gates += results
    gates += _leak_gate(root, lessons)
    return gates


def table(gates: list[Gate]) -> str:
    """The table for people, and under it what failed and what is worth knowing."""
    exercises = list(dict.fromkeys(gate.exercise for gate in gates))
    cells = {(gate.exercise, gate.name): f"{gate.text}{' FAIL' if gate.failures else ''}" for gate in gates}
    widths = [max(len(name), *(len(cells.get((e, name), "-")) for e in exercises)) for name in GATES]
    first = max(len(e) for e in exercises)
    lines = ["  ".join(["exercise".ljust(first), *(n.ljust(w) for n, w in zip(GATES, widths, strict=True))])]
    for exercise in exercises:
        row = [cells.get((exercise, name), "-").ljust(w) for name, w in zip(GATES, widths, strict=True)]
        lines.append("  ".join([exercise.ljust(first), *row]))
    for gate in gates:
        lines += [f"FAIL  {gate.exercise}, {gate.name}: {failure}" for failure in gate.failures]
    for gate in gates:
        lines += [f"note  {gate.exercise}, {gate.name}: {note}" for note in gate.notes]
    failed = sum(bool(gate.failures) for gate in gates)
    lines.append(f"{len(gates) - failed} gates passed, {failed} failed")
    return "\n".join(lines)


# Gates in this process


@dataclass
class Subject:
    """The exercise under audit, in an open session of its hidden tests."""

    lesson: Lesson
    exercise: str
    run: Callable | None

    def grade(self, function, seed: int = 0, seconds: float = SECONDS, **how) -> Verdict:
        # Gradients on, whatever came before: a candidate that is stopped within torch.no_grad may leave them off.
        with _bounded(seconds), torch.enable_grad():
            return self.run(local_functions({self.exercise: function}), seed, **how)

    @property
    def reference(self):
        return getattr(self.lesson.reference, self.exercise)

    @property
    def misconceptions(self) -> list[Candidate]:
        return [one for one in self.lesson.misconceptions if one.exercise == self.exercise]

    @property
    def alternatives(self) -> list[Candidate]:
        return [one for one in self.lesson.alternatives if one.exercise == self.exercise]


def _in_process(task) -> list[Gate]:
    name, root, exercise = task
    lesson = Lesson(name, Path(root))
    first = _guarded(_pieces, Subject(lesson, exercise, None))  # the one that needs no tests to be there
    gates = (_reference, _constants, _misconceptions, _named, _alternatives, _lecture, _mutants, _seeds)
    try:
        results = in_session(
            lesson, exercise, lambda run: [_guarded(gate, Subject(lesson, exercise, run)) for gate in gates]
        )
    except Exception as error:  # there is no session without a grader
        results = [_broken(gate, exercise, error) for gate in gates]
    return [first, *results]


def _guarded(gate, subject) -> Gate:
    try:
        return gate(subject)
    except Exception as error:  # a missing piece, a broken grader: the gate fails and says so
        return _broken(gate, subject.exercise, error)


def _broken(gate, exercise, error) -> Gate:
    return Gate(exercise, gate.__name__.strip("_"), "error", [f"{type(error).__name__}: {error}"])


def _pieces(subject) -> Gate:
    """Everything that an exercise consists of is there, in order, and no placeholder is left."""
    lesson, exercise = subject.lesson, subject.exercise
    failures = _unwritten([lesson.source, lesson.check_file, *lesson.hidden_files, lesson.battery_file], exercise)
    marks = [("locked", f"about_{exercise}"), ("solution", exercise), ("locked", f"help_{exercise}")]
    marks.append(("check", exercise))
    places = [next((i for i, c in enumerate(lesson.cells) if c.metadata.get(key) == name), -1) for key, name in marks]
    if -1 in places or places != sorted(places):
        failures.append("statement, solution, help and check are not all there in this order")
    else:
        failures += _form(exercise, lesson.cells[places[0] : places[-1] + 1])
    for what, piece in (
        ("class of visible checks", lesson.check_class(exercise)),
        ("class of hidden tests", lesson.grader_class_name(exercise)),
        ("reference", getattr(lesson.reference, exercise, None)),
    ):
        failures += [] if piece else [f"there is no {what}"]
    return Gate(exercise, "pieces", "all" if not failures else "missing", failures)


def _unwritten(files, name) -> list[str]:
    return [f"still to be written: {places}" for path in files if (places := placeholders(path, name))]


def _form(exercise, cells) -> list[str]:
    """What the cells of an exercise, from its statement to its check, lack."""
    solution = next(cell for cell in cells if cell.metadata.get("solution") == exercise)
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    wanted = {
        "a table of arguments": "| argument" in cells[0].source,
        "its minutes": "minutes" in cells[0].source,
        "its difficulty": "difficulty" in cells[0].source,
        "a docstring with an example": '"""' in solution.source and ">>>" in solution.source,
        "three hints": re.findall(r"<summary>.*?Hint (\d)", text) == ["1", "2", "3"],
        "help by symptom": text.count("<details>") == text.count("</details>") > 3,
        f"the call check({exercise}), worth points": cells[-1].source.strip() == f"check({exercise})"
        and cells[-1].metadata.get("points", 0) > 0,
    }
    return [f"it lacks {what}" for what, there in wanted.items() if not there]


def _reference(subject) -> Gate:
    verdict = subject.grade(subject.reference)
    failures = [f"the reference fails {c.test}: {c.detail[-300:]}" for c in verdict.criteria if not c.passed]
    return Gate(subject.exercise, "reference", _percent(verdict.share), failures)


def _always_raise(*args, **kwargs):
    raise ValueError("never an answer")


def _echo(*args, **kwargs):
    return args[0] if args else None


CONSTANTS = {
    "None": lambda *a, **k: None,
    "0": lambda *a, **k: 0,
    "1": lambda *a, **k: 1,
    "True": lambda *a, **k: True,
    "NaN": lambda *a, **k: math.nan,
    "an empty list": lambda *a, **k: [],
    "echo": _echo,
    "always raises": _always_raise,
}


def _constants(subject) -> Gate:
    failures = []
    for name, function in CONSTANTS.items():
        verdict = subject.grade(function)
        failures += [f"the answer {name!r} passes {c.test}" for c in verdict.criteria if c.passed]
        failures += [f"the answer {name!r} makes {c.test} stumble" for c in verdict.criteria if c.grader_fault]
    return Gate(subject.exercise, "constants", "0 %" if not failures else "> 0", failures)


def _misconceptions(subject) -> Gate:
    known, fewest, most = subject.misconceptions, *MISCONCEPTIONS
    named = [one for one in known if not one.variant_of]
    failures = [] if fewest <= len(named) <= most else [f"{len(named)} misconceptions; {fewest} to {most} are wanted"]
    tests = {c.test for c in subject.grade(subject.reference).criteria}
    for candidate in known:
        verdict = subject.grade(candidate.function)
        failures += [
            f"{candidate.name} is meant to fail {t}, which is no test" for t in candidate.breaks if t not in tests
        ]
        failures += [
            f"{candidate.name} passes {t}, which is meant for it" for t in candidate.breaks if verdict.passed(t)
        ]
        if verdict.share == 1 or not candidate.breaks:
            failures.append(f"{candidate.name} is not rejected, or names no test")
        if not candidate.explanation or candidate.hint not in (1, 2, 3):
            failures.append(f"{candidate.name} has no explanation, or no hint from 1 to 3")
        if not candidate.source:
            failures.append(f"{candidate.name} does not say who gives this answer (source)")
    return Gate(subject.exercise, "misconceptions", f"{len(named)}, {len(known)} ways", failures)


def _named(subject) -> Gate:
    """Each misconception is told its own cause, by grader and visible check, with the demanded errors and without."""
    known, failures, notes = known_answers(subject.lesson, subject.exercise, 0), [], []
    times = 0
    for candidate in subject.misconceptions:
        for how, function in _ways_to_write(candidate.function, subject.reference).items():
            verdict = subject.grade(function, probes=True)
            name_mistake(verdict, subject.lesson, known)
            told = {"the grader": verdict.explanation if verdict.share < 1 else None}
            report = examine(subject.exercise, function)
            told["the check"] = report.misconception if report.state == "failed" else None
            if report.state == "passed" and how == "as it is":
                notes.append(f"{candidate.name} passes the visible check")
            for who, explanation in told.items():
                if explanation is not None and candidate.explanation not in explanation:
                    failures.append(f"{candidate.name}, {how}: {who} says {explanation or 'nothing'!r}")
                times += explanation is not None
    return Gate(subject.exercise, "named", f"{times - len(failures)} of {times}", failures, notes)


def _ways_to_write(wrong: Callable, right: Callable) -> dict[str, Callable]:
    """A wrong answer as it is, by somebody who refuses what is to be refused, and by somebody who never does."""
    refuses = "raise " in inspect.getsource(right)
    if isinstance(wrong, type) or not refuses:
        return {"as it is": wrong}

    def refusal(args, kwargs):
        if any(callable(one) and not isinstance(one, nn.Module) for one in [*args, *kwargs.values()]):
            return None  # a test may count how often this one is called
        try:
            right(*copy.deepcopy(args), **copy.deepcopy(kwargs))
        except (ValueError, TypeError, IndexError) as error:
            return error
        return None

    @functools.wraps(wrong)
    def careful(*args, **kwargs):
        if error := refusal(args, kwargs):
            raise error
        return wrong(*args, **kwargs)

    @functools.wraps(wrong)
    def careless(*args, **kwargs):
        try:
            return wrong(*args, **kwargs)
        except (ValueError, TypeError, IndexError):
            if refusal(args, kwargs):
                return 0
            raise

    return {"as it is": wrong, "with the errors": careful, "without the errors": careless}


def _alternatives(subject) -> Gate:
    lesson, known = subject.lesson, subject.alternatives
    failures = [] if len(known) >= 2 else [f"{len(known)} alternatives; at least 2 are wanted"]
    source = lesson.alternative_file.read_text(encoding="utf-8")
    for candidate in known:
        verdict = subject.grade(candidate.function)
        failures += [f"{candidate.name} fails {c.test}: {c.detail[-300:]}" for c in verdict.criteria if not c.passed]
        refused = broken_rule(candidate.name, [source], lesson.forbidden(subject.exercise))
        if bool(refused) != candidate.uses_forbidden:
            failures.append(f"{candidate.name}: the rule of the statement says {refused or 'nothing'!r}")
    return Gate(subject.exercise, "alternatives", f"{len(known)} at 100 %", failures)


def _lecture(subject) -> Gate:
    lesson, exercise = subject.lesson, subject.exercise
    if not lesson.lecture.exists():
        return Gate(exercise, "lecture", "missing", [f"{lesson.lecture.name} does not exist"])
    functions, best = _lecture_functions(lesson.lecture), 0.0
    failures = _unwritten([lesson.lecture, lesson.source, lesson.reference_file], lesson.name)
    for name, function in functions.items():
        verdict = subject.grade(function)
        best = max(best, verdict.share)
        if verdict.share == 1:
            failures.append(f"the lecture's {name} gets full marks when it is pasted")
    return Gate(exercise, "lecture", f"best {_percent(best)}", failures)


def _lecture_functions(path: Path) -> dict:
    """The functions and classes of a lecture, without running it: definitions, imports and plain constants only."""
    body = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        constant = isinstance(node, ast.Assign) and all(_is_plain(part) for part in (node.value, *node.targets))
        if constant or isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)):
            body.append(node)
    namespace: dict = {"__name__": "lecture"}
    for node in body:
        try:
            exec(compile(ast.Module([node], []), str(path), "exec"), namespace)
        except NameError:  # a constant made of a name that only exists when the lecture runs
            continue
    defined = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return {name: value for name, value in namespace.items() if name in defined}


def _is_plain(part: ast.expr) -> bool:
    """Numbers, names and tuples of them: nothing that would run."""
    allowed = (ast.Constant, ast.Name, ast.Tuple, ast.Store, ast.Load)
    return all(isinstance(node, allowed) for node in ast.walk(part))


def _mutants(subject) -> Gate:
    lesson, exercise = subject.lesson, subject.exercise
    equivalent = read_json(lesson.equivalent_file).get(exercise, {})
    every, survivors = mutation.mutants(lesson, exercise), []
    started = time.process_time()
    subject.grade(subject.reference)
    patience = min(SECONDS, max(0.1, 10 * (time.process_time() - started)))  # ten times what the right answer takes
    for mutant in every:
        try:
            function = mutation.mutant_function(lesson, mutant)
        except Exception:  # it cannot even be defined: any import would notice
            continue
        if subject.grade(function, seconds=patience, stop_early=True, brief=True).share == 1:
            survivors.append(mutant.change)
    unlisted = [change for change in survivors if change not in equivalent]
    counted = len(every) - (len(survivors) - len(unlisted))
    share = 1 - len(unlisted) / max(counted, 1)
    failures = [] if every else ["no mutant could be made"]
    if share < MUTATION_SHARE:
        failures.append(f"only {_percent(share)} of the mutants are rejected")
    failures += [f"listed as equivalent, but no survivor: {change}" for change in equivalent if change not in survivors]
    notes = [f"survives: {change}" for change in unlisted]
    notes += [f"equivalent: {change} ({reason})" for change, reason in equivalent.items()]
    return Gate(exercise, "mutants", f"{counted - len(unlisted)} of {counted}", failures, notes)


def _seeds(subject) -> Gate:
    failures = []
    right = {one.name: (one.function, SEEDS) for one in subject.alternatives}
    wrong = {one.name: (one.function, FEWER_SEEDS[bool(one.variant_of)]) for one in subject.misconceptions}
    seeds = {"the reference": (subject.reference, SEEDS)} | right | wrong
    for name, (function, chosen) in seeds.items():
        outcomes = {
            tuple((c.test, c.passed) for c in subject.grade(function, seed, brief=True).criteria) for seed in chosen
        }
        if len(outcomes) != 1:
            differ = {test for outcome in outcomes for test in set(outcome) ^ set(next(iter(outcomes)))}
            failures.append(f"{name}: the verdict depends on the seed ({', '.join(sorted({t for t, _ in differ}))})")
    return Gate(subject.exercise, "seeds", f"{len(SEEDS)} agree", failures)


# Gates through the real nbgrader


def _through_nbgrader(lesson: Lesson) -> list[Gate]:
    """Hand in the solution, the stub and a sentinel, and let nbgrader grade them."""
    with tempfile.TemporaryDirectory(prefix="audit-") as temporary:
        course = Path(temporary)
        released, solution = prepare_course(lesson, course)
        hand_in(course, lesson.name, "stub", released)
        hand_in(course, lesson.name, "solution", solution)
        hand_in(course, lesson.name, "sentinel", _sentinel(lesson, solution))
        run_nbgrader(course, "autograde", lesson.name)
        earned = {
            who: read_json(course / "reports" / lesson.name / f"{who}.json") for who in ("stub", "solution", "sentinel")
        }
        scores = gradebook_scores(course, lesson.name)
        recorded = _recorded_calls(course / "autograded" / "sentinel" / lesson.name / f"{lesson.name}.ipynb")
    gates = []
    for exercise in lesson.exercises:
        name, cell = exercise.name, f"check_{exercise.name}"
        right, blank = scores["solution"].get(cell), scores["stub"].get(cell)
        gates.append(
            Gate(
                name,
                "solution",
                f"{right:g}/{exercise.points:g}" if right is not None else "none",
                [] if right == exercise.points else [_why(earned["solution"], name)],
            )
        )
        gates.append(Gate(name, "stub", f"{blank}", [] if blank == 0 else ["the released stub earns something"]))
        asked = sum(
            call.startswith(f"{name}(")  # not what was called on a network that the function built
            for e in earned["sentinel"]["exercises"]
            if e["exercise"] == name
            for c in e["criteria"]
            for call in c["calls"]
        )
        seen = recorded.get(name, 0)
        ok = seen > 0 and seen >= asked > 0 and scores["sentinel"].get(cell) == exercise.points
        failures = [] if ok else [f"the grader made {asked} calls, the submission's own function saw {seen}"]
        gates.append(Gate(name, "sentinel", f"{seen} calls", failures))
    return gates


def _sentinel(lesson, solution):
    """The solution, with every function wrapped so that it counts its calls, and a last cell that tells."""
    notebook = nbformat.from_dict(json.loads(json.dumps(solution)))
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            name = cell.metadata.nbgrader.grade_id
            cell.source += (
                f"\n_calls = globals().setdefault('_calls', {{}})\n"
                f"def _counted(function, name={name!r}):\n"
                f"    def wrapper(*args, **kwargs):\n"
                f"        _calls[name] = _calls.get(name, 0) + 1\n"
                f"        return function(*args, **kwargs)\n"
                f"    return wrapper\n"
                f"{name} = _counted({name})\n"
            )
    tell = "import json\nprint('SENTINEL ' + json.dumps(_calls))"
    notebook.cells.append(nbformat.v4.new_code_cell(tell))
    return notebook


def _recorded_calls(path: Path) -> dict[str, int]:
    for cell in reversed(nbformat.read(path, as_version=4).cells):
        for output in cell.get("outputs", []):
            if output.get("text", "").startswith("SENTINEL "):
                return json.loads(output["text"].removeprefix("SENTINEL "))
    return {}


def _why(report, exercise) -> str:
    for one in report.get("exercises", []):
        if one["exercise"] == exercise:
            failed = [f"{c['test']}: {c['detail'][-300:]}" for c in one["criteria"] if not c["passed"]]
            return "the solution fails " + "; ".join(
                failed or [one["refused"] or "nothing, and still has no full marks"]
            )
    return "the solution was not graded"


def _leak_gate(root, lessons) -> list[Gate]:
    with tempfile.TemporaryDirectory(prefix="bundle-") as temporary:
        found = leaks(lessons, make_bundle(root, Path(temporary)))
    return [
        Gate(exercise.name, "leak", "none" if not found else f"{len(found)} lines", found if number == 0 else [])
        for number, exercise in enumerate(e for lesson in lessons for e in lesson.exercises)
    ]


# Small things


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _prepare_worker():
    """One thread each, no warnings about mutants that say `x is 3`, and nothing left to import within a time limit."""
    torch.set_num_threads(1)
    shapes_only = torch.empty(1, 1, 3, device="meta")  # the first of its kind imports a good part of torch
    nn.functional.conv1d(shapes_only, shapes_only)
    warnings.simplefilter("ignore", SyntaxWarning)


@contextmanager
def _bounded(seconds: float):
    """Interrupt what takes longer; what asks for any amount of memory gets a MemoryError. Mutants do both."""

    def ring(*_):
        signal.setitimer(signal.ITIMER_PROF, 1)  # again, for a function that catches everything
        raise TimeoutError(f"more than {seconds} seconds of CPU time")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
