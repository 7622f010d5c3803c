"""Recognising a known wrong answer by what it returns, without a line of its code.

A fingerprint is a short digest of one returned value: its type, shape and dtype, and a few random projections of its
numbers. Projections are compared with a tolerance, so that another CPU's rounding changes nothing; from three of them
nobody can rebuild the value.
"""

import hashlib
import math

import numpy as np
import torch

PROJECTIONS = 3
MAX_NUMBERS = 100_000  # of a larger value an even sample of each array is taken, and no more than this in all


def fingerprint(value) -> dict:
    """The digest of a returned value (any value that crosses the wire): `{"what": text, "sketch": [floats]}`."""
    parts, numbers = [], []
    _walk(value, parts, numbers)
    numbers = np.asarray(numbers, dtype=np.float64) if numbers else np.zeros(0)
    kinds = np.where(np.isnan(numbers), 1, np.where(np.isposinf(numbers), 2, np.where(np.isneginf(numbers), 3, 0)))
    what = hashlib.sha256(f"{parts}{numbers.shape}{kinds.nonzero()}{kinds[kinds > 0]}".encode()).hexdigest()[:16]
    numbers = np.where(kinds > 0, 0.0, numbers)
    projections = np.random.default_rng(len(numbers)).standard_normal((PROJECTIONS, len(numbers)))
    scale = max(1.0, float(np.linalg.norm(numbers)))
    sketch = [float(f"{x:.4g}") for x in [scale, *(projections @ numbers / scale)]]
    return {"what": what, "sketch": sketch}


def alike(one: dict, other: dict) -> bool:
    """Whether two fingerprints are of the same value, up to rounding."""
    return one["what"] == other["what"] and all(
        math.isclose(a, b, rel_tol=2e-3, abs_tol=2e-3) for a, b in zip(one["sketch"], other["sketch"], strict=True)
    )


def trace(calls) -> list[dict]:
    """The fingerprints of a test's calls, in order: what was returned, or which error was raised."""
    return [fingerprint(f"raises {call.error.types[0]}" if call.error else call.value) for call in calls]


def name_misconceptions(traces: dict, known: dict, right: dict) -> list[str]:
    """The misconceptions in `known` (name -> traces) that a submission may have; several if they cannot be told apart.

    First those that did the same in every test. If there is none, those that show in this submission beside other
    mistakes: wherever they differ from the right answer, the submission does the same. Of these the ones that show in
    the most tests, and none that shows only where an error is asked for: a forgotten check is no explanation for wrong
    values.

    traces, right: test name -> list of fingerprints, of the submission and of a right answer.
    """
    same = [name for name, theirs in known.items() if theirs.keys() == traces.keys() and not _differ(theirs, traces)]
    if same:
        return same
    wrong, shown = _differ(traces, right), {}
    for name, theirs in known.items():
        shows = _differ(theirs, right)
        if shows <= wrong and not shows & _differ(theirs, traces) and not shows <= _wants_errors(right):
            shown[name] = len(shows)
    return [name for name, count in shown.items() if count == max(shown.values())]


def either(explanations: list[str]) -> str:
    """One text of the explanations of mistakes that cannot be told apart; two are enough."""
    return " Or: ".join(dict.fromkeys(explanations[:2]))


def _differ(one: dict, other: dict) -> set[str]:
    """The tests in which two answers did not do the same."""
    return {test for test in one.keys() | other.keys() if not _same(one.get(test, []), other.get(test, []))}


def _wants_errors(right: dict) -> set[str]:
    """The tests in which a right answer raises an error."""
    errors = [fingerprint(f"raises {name}") for name in ("ValueError", "TypeError")]
    return {test for test, ones in right.items() if any(alike(one, error) for one in ones for error in errors)}


def _same(one: list[dict], other: list[dict]) -> bool:
    return len(one) == len(other) and all(map(alike, one, other))


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
