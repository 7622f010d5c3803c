"""How an answer is compared with the right one: type, then shape, then dtype, then finiteness, then values.

Every check and every hidden grader compares with `assert_same`, so that tolerances stand in one place and every failure
says the same things in the same order.
"""

import re

import numpy as np
import torch

# What torch prints of a layer, and what nobody needs to read because it is as it always is.
_USUAL = re.compile(
    r"(in|out)_features=|kernel_size=(?=\d)|, (padding=0|dilation=1|ceil_mode=False|bias=True|inplace=True)\b"
    r"|, (eps=1e-05|momentum=0.1|affine=True|track_running_stats=True)\b|start_dim=1, end_dim=-1"
)
SHOWN = 24  # of a tensor with no more numbers, all are printed

# (relative, absolute): wide enough for float32 sums in any order on any CPU, narrow enough for each known wrong answer.
TOLERANCES = {
    torch.float16: (1e-2, 1e-2),
    torch.bfloat16: (2e-2, 2e-2),
    torch.float32: (1e-4, 1e-5),
    torch.float64: (1e-7, 1e-9),
}


class Mismatch(AssertionError):
    """A wrong answer, taken apart for whoever explains it.

    kind: 'type', 'length', 'shape', 'dtype', 'not finite', 'values', 'error', 'no error' or 'rule'.
    expected, got: short texts. index: the first wrong place, or None. largest: the largest difference, or None.
    got_value, expected_value: the two tensors where they have the same shape, for a picture of the difference.
    """

    def __init__(self, kind, expected, got, *, where="", index=None, largest=None, values=(None, None)):
        self.kind, self.expected, self.got, self.where = kind, expected, got, where
        self.index, self.largest = index, largest
        self.got_value, self.expected_value = values
        self.whole: tuple[str, str] | None = None  # expected and got, where `where` is a part of them
        super().__init__(self._text())

    def _text(self):
        text = f"{self.where + ': ' if self.where else ''}{self.kind}: expected {self.expected}, got {self.got}"
        if self.largest is not None:
            text += f"; largest difference {self.largest:.4g}"
        if self.index is not None:
            text += f"; first wrong index {self.index}"
        return text


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
            raise Mismatch("length", f"{len(expected)} items", f"{len(got)} items: {describe(got)}", where=where)
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


def describe(value) -> str:
    """A value in a few words: shape and dtype first, then the values if they are few."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        text = f"{kind} of shape {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}"
        count = value.numel() if kind == "tensor" else value.size
        return f"{text}: {_numbers(value)}" if 0 < count <= SHOWN else text
    if isinstance(value, (list, tuple)) and len(value) > 8:
        inner = ", ".join(describe(item) for item in value[:4])
        return f"{type(value).__name__} of {len(value)}: {inner}, …, {describe(value[-1])}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(describe(item) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if isinstance(value, torch.nn.Module):
        return _layers(value)
    if callable(value):
        return getattr(value, "described", None) or getattr(value, "__name__", type(value).__name__)
    if isinstance(value, dict) and "kind" in value:
        return _layer(value)
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _layer(layer: dict) -> str:
    """A layer's description as `seglab.layers` would make it: conv(3, 6, kernel_size=5, padding=2)."""
    usual = {"stride": 1, "padding": 0, "dilation": 1}
    words = [
        f"{k}={describe(v)}" for k, v in layer.items() if k != "kind" and (k not in usual or repr(usual[k]) != repr(v))
    ]
    return f"{layer['kind']}({', '.join(words)})"


def _numbers(value) -> str:
    """All numbers of a small tensor or array, floats to six digits, as nested lists."""
    text = str(value.tolist())
    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", lambda found: f"{float(found[0]):.6g}", text)


def _layers(module: torch.nn.Module) -> str:
    """A network in one line, so that it can be built again: Sequential(Conv2d(1, 2, ...), Flatten(), Linear(8, 2))."""
    inside = [_layers(child) for child in module.children()] or [_USUAL.sub("", module.extra_repr())]
    return f"{type(module).__name__}({', '.join(inside)})"
