"""Recognising a known wrong answer by what it returns, without a line of its code.

A fingerprint is a short text about one returned value: a digest of its type, shape and dtype, how telling it is, and a
few random projections of its numbers. Projections are compared with a tolerance, so that another CPU's rounding changes
nothing; from three of them nobody can rebuild the value.
"""

import hashlib
import math

import numpy as np
import torch

from seglab.checking.compare import Mismatch

PROJECTIONS = 3
MAX_NUMBERS = 100_000  # of a larger value an even sample of each array is taken, and no more than this in all
TOLERANCE = 1e-4  # of projections of a value that was scaled to length 1

# How much a match must say before it gives a mistake its name, in the units of `_telling`: one value with fractions in
# it is enough, one small integer is not. An answer that did the same in each and every test needs less.
ENOUGH, ENOUGH_IF_ALL_THE_SAME = 3, 2


def fingerprint(value) -> str:
    """The text about a returned value (any value that crosses the wire): digest, how telling, projections."""
    parts, numbers = [], []
    _walk(value, parts, numbers)
    numbers = np.asarray(numbers, dtype=np.float64) if numbers else np.zeros(0)
    kinds = np.where(np.isnan(numbers), 1, np.where(np.isposinf(numbers), 2, np.where(np.isneginf(numbers), 3, 0)))
    what = _digest(f"{parts}{numbers.shape}{kinds.nonzero()}{kinds[kinds > 0]}")
    telling = min(3, _telling(numbers[kinds == 0]) + bool(kinds.any()))
    numbers = np.where(kinds > 0, 0.0, numbers)
    projections = np.random.default_rng(len(numbers)).standard_normal((PROJECTIONS, len(numbers)))
    scale = max(1.0, float(np.linalg.norm(numbers)))
    sketch = " ".join(f"{x:.6g}" for x in [scale, *(projections @ numbers / scale)])
    return f"{what} {telling} {sketch}"


def fingerprint_of_error(error) -> str:
    """The text about an error that a student's function raised (a `StudentError`): its class, and what it said."""
    return f"raises {error.types[0]} {_digest(error.message)}"


def observation(seen: list, error: Exception | None) -> dict:
    """What one test saw: the fingerprint of all that came back, in order, and how the test failed ("" if it passed).

    seen: values, and `StudentError`s in place of values. error: what ended the test.
    """
    calls = [fingerprint_of_error(one) if isinstance(one, Exception) else fingerprint(one) for one in seen]
    return {"calls": calls, "failure": "" if error is None else _failure(error)}


def differences(one: dict, right: dict) -> dict:
    """The part of an answer's observations (test -> observation) that a right answer does not share."""
    return {test: seen for test, seen in one.items() if not _same(seen, right.get(test, {"calls": [], "failure": ""}))}


def name_misconceptions(seen: dict, known: dict, right: dict) -> list[str]:
    """The misconceptions that explain a submission best: usually one, several if they cannot be told apart, or none.

    What counts are the places where a misconception does not do what a right answer does. There the submission must do
    the same, and often enough to be no chance. Where it does something else, it has a second mistake, or another one;
    where it is right, it is not this mistake, unless the right value is that of a special case (0, NaN, nothing). An
    error of its own says nothing: it hides the value.

    seen, right: test -> observation, of the submission and of a right answer, probes included.
    known: name -> `differences` of that misconception.
    """
    scores = {}
    for name, shows in known.items():
        told, missed, denied = _compare(shows, seen, right)
        same = all(_same(seen.get(test, {"calls": [], "failure": ""}), shows.get(test, right[test])) for test in right)
        enough = told >= (ENOUGH_IF_ALL_THE_SAME if same else ENOUGH)
        if enough and not denied and missed <= told:
            scores[name] = (same, told - missed)
    best = max(scores.values(), default=None)
    return [name for name, score in scores.items() if score == best]


def either(explanations: list[str]) -> str:
    """One text of the explanations of mistakes that cannot be told apart; two are enough."""
    return " Or: ".join(dict.fromkeys(explanations[:2]))


def _compare(shows, seen, right) -> tuple[int, int, int]:
    """How much the telling places say: for a misconception, against it but for a mistake, and for a right answer."""
    told = missed = denied = 0
    for test, theirs in shows.items():
        ours = seen.get(test, {"calls": [], "failure": ""})
        model = right.get(test, {"calls": [], "failure": ""})
        telling = False
        for place, wrong in enumerate(theirs["calls"]):
            good = model["calls"][place] if place < len(model["calls"]) else ""
            if good and _alike(wrong, good):
                continue
            telling = True
            if place >= len(ours["calls"]):
                break
            mine = ours["calls"][place]
            if _alike(mine, wrong):
                told += _weight(mine, wrong)
            elif _is_error(mine):
                break
            elif good and _alike(mine, good):
                denied += _weight(good, good) >= 2 and not _is_error(wrong)
            else:
                missed += _weight(wrong, wrong)
        if not telling:  # its values are right ones: a counter or a rule of the test caught it
            same = len(ours["calls"]) == len(theirs["calls"]) and all(map(_alike, ours["calls"], theirs["calls"]))
            if ours["failure"] == theirs["failure"] and same:
                told += 2
            elif not ours["failure"]:
                denied += 1
    return told, missed, denied


def _same(one: dict, other: dict) -> bool:
    return (
        one["failure"] == other["failure"]
        and len(one["calls"]) == len(other["calls"])
        and all(map(_alike, one["calls"], other["calls"]))
    )


def _alike(one: str, other: str) -> bool:
    """Whether two fingerprints are of the same value, up to rounding, or of errors of the same class."""
    if _is_error(one) or _is_error(other):
        return one.split()[:2] == other.split()[:2]
    (what, _, *sketch), (their_what, _, *their_sketch) = one.split(), other.split()
    return what == their_what and all(
        math.isclose(float(a), float(b), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for a, b in zip(sketch, their_sketch, strict=True)
    )


def _is_error(one: str) -> bool:
    return one.startswith("raises ")


def _weight(one: str, other: str) -> int:
    """How much it says that two fingerprints are alike."""
    if _is_error(one):
        return 2 if one == other else 0  # the same words too; a class alone is anybody's
    return int(one.split()[1])


def _telling(numbers: np.ndarray) -> int:
    """How hard a value is to hit by chance: 0 (no number), 1 (0 or 1), 2 (an integer), 3 (fractions, many integers)."""
    different = np.unique(np.round(numbers, 6))
    if np.any(different != np.round(different)) or len(different) > 3 or (len(different) > 1 and len(numbers) >= 8):
        return 3
    return 2 if np.any(np.abs(different) > 1) else min(len(different), 1)


def _failure(error: Exception) -> str:
    """A digest of how a test failed, without the numbers that came: those are in the calls."""
    if isinstance(error, Mismatch):
        words = [error.kind] + ([error.expected, error.got] if error.kind not in ("values", "not finite") else [])
    else:
        words = [type(error).__name__, str(error).split("\n")[0]]
    return _digest(str(words))[:8]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _walk(value, parts, numbers):
    if isinstance(value, (torch.Tensor, np.ndarray)):
        parts.append((type(value).__name__, str(value.dtype), tuple(value.shape)))
        flat = (value.detach() if isinstance(value, torch.Tensor) else torch.from_numpy(value.copy())).reshape(-1)
        room = MAX_NUMBERS - len(numbers)
        if len(flat) and room > 0:
            numbers.extend(flat[:: -(-len(flat) // room)].double().tolist())
    elif isinstance(value, (bool, str)) or value is None:
        parts.append(value)
    elif isinstance(value, (int, float, np.generic)):
        parts.append("int" if isinstance(value, (int, np.integer)) else "float")
        numbers.append(float(value))
    elif isinstance(value, (list, tuple)):
        parts.append((type(value).__name__, len(value)))
        for item in value:
            _walk(item, parts, numbers)
    elif isinstance(value, dict):
        parts.append(("dict", len(value)))
        for key in value:
            parts.append(key)
            _walk(value[key], parts, numbers)
    else:
        parts.append(type(value).__name__)
