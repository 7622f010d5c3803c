"""What an answer names in a submission: from the source of its cells, as IPython runs them. None of it is run."""

import ast
import re
import warnings
from collections import ChainMap
from contextlib import suppress

import torch
from IPython.core.inputtransformer2 import TransformerManager
from torch import nn
from torch.nn import functional as F

from seglab.checking.rules import Code, Rule, bind, names_used

USUAL = {"torch": torch, "nn": nn, "F": F}  # what the lesson's own cells import
MAGICS = re.compile(r"^[ \t]*[!%,;/]|=[\s\\]*[!%]|\?[ \t]*$|^[ \t]*\?", re.MULTILINE)
MAX_READ = 100_000  # characters of a cell that IPython reads, all of it once for each magic: two or three seconds


def broken_rule(exercise: str, cells: list[str], forbidden: dict[str, str]) -> str:
    """The sentence for the student about the first forbidden thing that the source of an exercise uses, or nothing.

    cells: the sources of the cells that run before the exercise is graded, in their order. A cell that cannot be read
    is left out: what is called is noted all the same (`seglab.bridge.student.Student.used`).
    """
    if not forbidden:
        return ""
    scope, left = ChainMap({}, USUAL), 5 * MAX_READ
    for source in cells:
        left -= (work := _to_read(source))
        if work and left < 0:
            continue
        with suppress(SyntaxError):
            bind(Code(ast.Module(statements(source), []), scope))
    return Rule(forbidden).sentence(names_used(scope.get(exercise)))


def statements(source: str) -> list[ast.stmt]:
    """The statements of a cell as IPython runs it: `%time f()` is a call, the code below `%%time` is code.

    Raises SyntaxError for what is not Python even so, is nested too deep, or holds too many magics to read them all.
    """
    with suppress(SyntaxError):
        return _parsed(source)
    if _to_read(source) > MAX_READ:
        raise SyntaxError("too many magics in a long cell")
    try:
        body = _parsed(TransformerManager().transform_cell(source))
    except RuntimeError as error:  # more magics than IPython takes
        raise SyntaxError(str(error)) from None
    match body:
        case [ast.Expr(ast.Call(ast.Attribute(attr="run_cell_magic"), [ast.Constant(magic), _, ast.Constant(below)]))]:
            return [] if magic in ("writefile", "file") else statements(below)
    return body


def _to_read(source: str) -> int:
    return len(MAGICS.findall(source)) * len(source)


def _parsed(source: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" is not what was asked
            return ast.parse(source).body
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"not Python that can be read: {type(error).__name__}") from None
