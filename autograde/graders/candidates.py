"""Named wrong answers, one module per lesson, and the marks for them and for right answers written differently.

A misconception serves three ends: the audit proves that the hidden grader rejects it, the grader names it when a
submission behaves the same, and its fingerprints let the student's own notebook name it.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A function offered as the answer to an exercise.

    breaks: the hidden tests that must reject it (none for a right answer). hint: which hint helps, 1 to 3.
    source: who really gives this wrong answer: a student, a repository, a thread, a paper's own mistake.
    variant_of: the misconception that this is another way to write of: same explanation, other values.
    causes: of a wrong answer that is no misconception itself, the misconceptions that are truly behind it.
    """

    exercise: str
    name: str
    function: Callable
    explanation: str
    breaks: tuple[str, ...] = ()
    hint: int = 1
    source: str = ""
    variant_of: str = ""
    causes: tuple[str, ...] = ()
    uses_forbidden: bool = False


def misconception(exercise: str, *, breaks: str | tuple[str, ...], hint: int, source: str = ""):
    """Mark a function as a known wrong answer; its docstring is what a student reads, so it never gives the answer."""
    tests = (breaks,) if isinstance(breaks, str) else tuple(breaks)
    return _mark(exercise, breaks=tests, hint=hint, source=source)


def variant(base: Callable, *, breaks: str | tuple[str, ...]):
    """Mark a function as another way to make the mistake of `base`: its explanation must be true of this one, too."""
    of = base.candidate
    tests = (breaks,) if isinstance(breaks, str) else tuple(breaks)

    def decorator(function):
        function.candidate = Candidate(
            of.exercise, function.__name__, function, of.explanation, tests, of.hint, of.source, variant_of=of.name
        )
        return function

    return decorator


def ways(base: Callable, breaks: str | tuple[str, ...], **functions: Callable) -> None:
    """Several variants of `base` at once, by name, where each is one expression."""
    for name, function in functions.items():
        function.__name__ = name
        base.__dict__.setdefault("ways", []).append(variant(base, breaks=breaks)(function))


def wrong(exercise: str, *causes: str):
    """Mark a wrong answer that is none of the misconceptions: to measure how often a cause is named, and truly.

    causes: the names of the misconceptions that would truly explain it; none if no known one does.
    """
    return _mark(exercise, causes=causes)


def alternative(exercise: str, *, uses_forbidden: bool = False):
    """Mark a function as a right answer, written differently from the reference."""
    return _mark(exercise, uses_forbidden=uses_forbidden)


def _mark(exercise, **fields):
    def decorator(function):
        explanation = " ".join((function.__doc__ or "").split())
        function.candidate = Candidate(exercise, function.__name__, function, explanation, **fields)
        return function

    return decorator


def candidates(module) -> list[Candidate]:
    """The marked functions of a module, in the order they are written."""
    # In its own namespace: a class that is built on a marked one is not marked itself.
    marked = [value for value in vars(module).values() if "candidate" in getattr(value, "__dict__", {})]
    return [one.candidate for value in marked for one in (value, *vars(value).get("ways", ()))]
