"""What an answer may not use: how "do not call F.interpolate, you are building it" is enforced.

Two means, and an answer is refused by either. What it *calls* while a check or a test runs is noted by the bridge, by
whatever way it was reached (`Student.used`). What it *names* is read here: each name and dotted path in its source is
followed to the object behind it, through imports, aliases and the student's own functions. So it is no matter how a
thing is spelled: a helper, variable or method of the student's own may be called `log_softmax`.

Reading is kept simple, since calls are noted, too: what is put together while the code runs, or stands in a list, is
not followed.
"""

import ast
import inspect
import re
import sys
import textwrap
import types
from collections import ChainMap
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

PLACES = (torch, F, nn, torch.special, torch._C._nn, *torch.Tensor.__mro__[:-1])  # where the library's names are
LIBRARY = {id(thing): name for place in PLACES for name, thing in vars(place).items() if callable(thing)}
# The library's names for one and the same thing, without `_` and capitals: who forbids one of a row means them all. A
# name in no row means all that differ in `_` and capitals only, as `max_pool2d` and `MaxPool2d` do.
SYNONYMS = (
    r"interpolate|upsampl(e|ing)\w*",
    r"(cudnn)?gridsample\w*",
    r"(linear)?crossentropy(loss)?",
    r"nllloss(nd|2d)?(forward|backward)?",
    r"(special|sparse)?(adaptive)?logsoftmax(withloss|backwarddata)?",
    r"(special)?logsumexp",
    r"logaddexp2?",
    r"(slow|lazy)?convtranspose[123]d",
    r"maxunpool[123]d",
    r"(mkldnn)?adaptiveavgpool[123]d",
    r"adaptivemaxpool[123]d(withindices)?",
)


class Rule:
    """What an exercise forbids: names of the library, each with the reason that a student is told.

    Raises LookupError for a name that the library does not have: a rule that forbids nothing is a mistake.
    """

    def __init__(self, forbidden: dict[str, str]):
        self._reasons = {_spellings(name): reason for name, reason in forbidden.items()}

    def reason(self, name: str) -> str:
        """Why the library's function of this name is forbidden, or nothing."""
        return next((why for names, why in self._reasons.items() if names.fullmatch(_plain(name))), "")

    def broken_by(self, names: Iterable[str]) -> list[str]:
        """Those of the library's names that are forbidden, sorted."""
        return sorted(name for name in names if self.reason(name))

    def sentence(self, names: Iterable[str]) -> str:
        """What the student is told if one of the library's names is forbidden, or nothing."""
        return next((f"`{name}` is not allowed here: {self.reason(name)}" for name in self.broken_by(names)), "")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _spellings(name: str) -> re.Pattern:
    if not any(hasattr(place, name) for place in PLACES):
        raise LookupError(f"the library has no {name} that could be forbidden")
    return re.compile(next((row for row in SYNONYMS if re.fullmatch(row, _plain(name))), _plain(name)))


# --- What a name stands for -------------------------------------------------------------------------------------------


class Code(NamedTuple):
    """A piece of the student's code that a name stands for, and where its own names are looked up."""

    node: ast.AST
    scope: ChainMap  # name -> Code, a live object, or None where nobody knows


INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.Module)
INNER += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)  # what has names of its own
PATHS = (ast.Name, ast.Attribute)
MAX_STEPS = 50  # of a dotted path, and from alias to alias


def bind(code: Code) -> None:
    """Note in the innermost scope what the code binds, in the order of the text: the last meaning of a name counts.

    Of what is assigned, only aliases and lambdas have a meaning: what was computed is a value like any other.
    """
    scope, given = code.scope, {}
    for node in _nodes(code.node):
        match node:
            case ast.Import():
                for one in node.names:
                    path = one.name if one.asname else one.name.partition(".")[0]
                    scope[one.asname or path] = sys.modules.get(path)
            case ast.ImportFrom():
                module = sys.modules.get(node.module)
                for one in node.names:
                    found = _public(module) if one.name == "*" else {one.asname or one.name: _part(module, one.name)}
                    scope.update(found)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                scope[node.name] = Code(node, scope)
            case ast.arg():
                scope[node.arg] = None
            case ast.Assign():
                given |= dict.fromkeys(node.targets, node.value)
            case ast.AnnAssign() | ast.NamedExpr():
                given[node.target] = node.value
            case ast.Name(ctx=ast.Store()):
                value = given.get(node)
                scope[node.id] = Code(value, scope) if isinstance(value, (*PATHS, ast.Lambda)) else None


def _public(module) -> dict:
    """What `from module import *` binds."""
    names = vars(module) if module else {}
    return {name: names.get(name) for name in names.get("__all__", names) if not name.startswith("_")}


def _part(thing, name: str):
    """`name` of a module or class, without running anything; None where there is no such thing."""
    parts = isinstance(thing, (types.ModuleType, type))
    return inspect.getattr_static(thing, name, None) if parts else None


def _meaning(node: ast.AST, scope: ChainMap, steps: int = MAX_STEPS):
    """What a name or a dotted path stands for: Code, a live object, or None."""
    if isinstance(node, ast.Attribute) and steps:
        return _part(_meaning(node.value, scope, steps - 1), node.attr)
    found = scope.get(node.id) if isinstance(node, ast.Name) else None
    alias = isinstance(found, Code) and isinstance(found.node, PATHS)
    return _meaning(*found, steps - 1) if alias and steps else found


# --- What a piece of code uses ----------------------------------------------------------------------------------------


def names_used(thing) -> set[str]:
    """The library's names of what a Code or a live function or class uses, itself or through own code that it names."""
    home, todo, seen, found = getattr(thing, "__module__", None), [thing], {}, set()
    while todo:
        one = todo.pop()
        key = id(one.node if isinstance(one, Code) else one)
        if key in seen:
            continue
        seen[key] = one  # kept, so that no other object gets its id
        if isinstance(one, Code):
            todo += _uses(one)
        elif key in LIBRARY:
            found.add(LIBRARY[key])
        elif isinstance(one, nn.Module):
            todo.append(type(one))
        elif isinstance(one, (types.FunctionType, type)) and one.__module__ == home:
            todo += _parts_of(one)
    return found


def _uses(code: Code) -> Iterator:
    """What the names and dotted paths in a piece of code stand for, and the functions and classes inside it."""
    inner = code
    if isinstance(code.node, INNER):
        inner = Code(code.node, code.scope.new_child())
        bind(inner)
    for node in _nodes(code.node):
        if isinstance(node, INNER):
            yield Code(node, inner.scope)
        elif isinstance(node, PATHS) and isinstance(node.ctx, ast.Load):
            yield _meaning(node, inner.scope)


def _parts_of(thing) -> list:
    """What a live function or class of the student's is made of: its source as Code; base classes and methods."""
    if isinstance(thing, type):
        members = [getattr(one, "__func__", getattr(one, "fget", one)) for one in vars(thing).values()]
        return [*thing.__bases__, *members]
    try:
        thing = inspect.unwrap(thing)  # what a decorator left behind
        [statement] = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
        scope = ChainMap(inspect.getclosurevars(thing).nonlocals, thing.__globals__)
    except (OSError, TypeError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    node = statement.value if isinstance(statement, ast.Assign) else statement  # `up = lambda x: ...`
    known = isinstance(node, ast.Lambda) or getattr(node, "name", None) == thing.__name__
    return [Code(node, scope)] if known else []


def _nodes(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a piece of code in the order of the text. Inner functions and classes are given, not entered."""
    todo = _children(root)[::-1] if isinstance(root, INNER) else [root]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, INNER):
            todo += _children(node)[::-1]


def _children(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that may run something: no annotations, and no question about a type."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
        return []
    parts = [value for name, value in ast.iter_fields(node) if name not in ("annotation", "returns")]
    flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
    return [one for one in flat if isinstance(one, ast.AST)]
