"""How an answer is compared with the right one: type, then shape, then dtype, then finiteness, then values.

Every check and every hidden grader compares with `assert_same`, so that tolerances stand in one place and every failure
says the same things in the same order.
"""

import numpy as np
import torch

from seglab.bridge.values import Mismatch, describe

__all__ = ["TOLERANCES", "Mismatch", "assert_same", "describe"]

# (relative, absolute): wide enough for float32 sums in any order on any CPU, narrow enough for each known wrong answer.
TOLERANCES = {
    torch.float16: (1e-2, 1e-2),
    torch.bfloat16: (2e-2, 2e-2),
    torch.float32: (1e-4, 1e-5),
    torch.float64: (1e-7, 1e-9),
}


def assert_same(got, expected, *, tolerance=None, where=""):
    """Raise `Mismatch` unless `got` is the same as `expected`.

    Tensors and arrays: same type, shape and dtype, NaN only where expected, values within `tolerance`
    (relative, absolute), by default the one of the dtype. Numbers: an int for an int (numpy's too), any real number for
    a float, never a bool for either. Lists, tuples and dicts: same type and length, then item by item.
    """
    try:
        _same(got, expected, tolerance, where)
    except Mismatch as mismatch:
        if mismatch.where != where:
            mismatch.whole = describe(expected), describe(got)
        raise


def _same(got, expected, tolerance, where):
    if isinstance(expected, torch.Tensor):
        _same_tensor(got, expected, tolerance, where)
    elif isinstance(expected, np.ndarray):
        if type(got) is not np.ndarray:
            raise Mismatch("type", "a numpy array", describe(got), where=where)
        if got.dtype != expected.dtype and got.shape == expected.shape:
            raise Mismatch("dtype", str(expected.dtype), str(got.dtype), where=where)
        _same_tensor(torch.from_numpy(got.copy()), torch.from_numpy(expected.copy()), tolerance, where)
    elif isinstance(expected, (list, tuple)):
        if type(got) is not type(expected):
            raise Mismatch("type", f"a {type(expected).__name__}", describe(got), where=where)
        for index, (one, other) in enumerate(zip(got, expected, strict=False)):
            _same(one, other, tolerance, f"{where}[{index}]")
        if len(got) != len(expected):
            raise Mismatch("length", _items(expected), _items(got), where=where)
    elif isinstance(expected, dict):
        if type(got) is not dict or set(got) != set(expected):
            raise Mismatch("type", f"a dict with keys {sorted(expected)}", describe(got), where=where)
        for key in expected:
            _same(got[key], expected[key], tolerance, f"{where}[{key!r}]")
    elif isinstance(expected, bool) or expected is None or isinstance(expected, str):
        if type(got) is not type(expected) or got != expected:
            raise Mismatch("values", repr(expected), describe(got), where=where)
    else:
        _same_number(got, expected, tolerance, where)


def _items(values) -> str:
    return f"{len(values)} item{'s' if len(values) != 1 else ''}: {describe(values)}"


def _same_tensor(got, expected, tolerance, where):
    if type(got) not in (torch.Tensor, torch.nn.Parameter):
        raise Mismatch("type", describe(expected), describe(got), where=where)
    if got.shape != expected.shape:
        raise Mismatch("shape", tuple(expected.shape), tuple(got.shape), where=where)
    if got.dtype != expected.dtype:
        raise Mismatch("dtype", str(expected.dtype), str(got.dtype), where=where)
    got, expected = got.detach(), expected.detach()
    unexpected = ~torch.isfinite(got) & torch.isfinite(expected)
    if unexpected.any():
        index = _first(unexpected)
        raise Mismatch("not finite", *_pair(expected, got, index), where=where, index=index, values=(got, expected))
    relative, absolute = tolerance or TOLERANCES.get(expected.dtype, (0, 0))
    wrong = ~torch.isclose(got.double(), expected.double(), rtol=relative, atol=absolute, equal_nan=True)
    if wrong.any():
        index = _first(wrong)
        largest = (got.double() - expected.double()).abs().nan_to_num(nan=float("inf")).max().item()
        raise Mismatch(
            "values",
            *_pair(expected, got, index),
            where=where,
            index=index,
            largest=largest,
            values=(got, expected),
        )


def _same_number(got, expected, tolerance, where):
    integral = isinstance(expected, (int, np.integer))
    wanted = (int, np.integer) if integral else (int, float, np.integer, np.floating)
    if isinstance(got, bool) or not isinstance(got, wanted):
        raise Mismatch("type", "an int" if integral else "a float", describe(got), where=where)
    relative, absolute = tolerance or TOLERANCES[torch.float64]
    # Integers are compared as integers: as floats, two neighbours above 2**53 would be the same.
    same = (
        int(got) == int(expected)
        if integral
        else np.isclose(got, expected, rtol=relative, atol=absolute, equal_nan=True)
    )
    if not same:
        largest = abs(int(got) - int(expected)) if integral else abs(float(got) - float(expected))
        raise Mismatch("values", expected, got, where=where, largest=largest)


def _first(wrong):
    return tuple(wrong.nonzero()[0].tolist())


def _pair(expected, got, index) -> tuple[str, str]:
    """Two numbers as texts, with as many digits as it takes to tell them apart."""
    pair = expected[index].item(), got[index].item()
    for digits in (6, 9, 17):
        texts = [f"{value:.{digits}g}" if isinstance(value, float) else str(value) for value in pair]
        if texts[0] != texts[1]:
            break
    return texts[0], texts[1]
