"""Values in words, and the error that says how one differs from another.

Both sides of the wire need them: a call is put on record as text, and what came back wrong is told as a `Mismatch`.
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
    usual = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
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
