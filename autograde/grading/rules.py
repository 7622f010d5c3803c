"""Which names an answer uses: its function, and everything of the student's own that it leans on.

Reading source can only find what is written: a name put together from pieces, or hidden behind `exec`, is not found.
The behaviour tests do not depend on it.
"""

import ast

from IPython.core.inputtransformer2 import TransformerManager

from seglab.checking.rules import names_in


def names_behind(exercise: str, cells: list[str]) -> set[str]:
    """The names that the function `exercise` uses, through helpers, classes and imports written in any of the cells."""
    statements: dict[str, list[ast.stmt]] = {}
    for source in cells:
        for statement in _parse(source):
            for name in _bound(statement):
                statements.setdefault(name, []).append(statement)
    seen, todo, found = set(), [exercise], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for statement in statements.get(name, []):
            found |= names_in(statement)
            todo += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return found


def broken_rule(exercise: str, cells: list[str], forbidden: dict[str, str]) -> str:
    """The sentence for the student about the first forbidden name in use, or nothing."""
    used = names_behind(exercise, cells) & set(forbidden) if forbidden else set()
    return f"`{min(used)}` is not allowed here: {forbidden[min(used)]}" if used else ""


def _parse(source: str) -> list[ast.stmt]:
    """The statements of a cell as IPython would run it: `%time f()` and `!ls` are calls."""
    try:
        return ast.parse(TransformerManager().transform_cell(source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # the kernel cannot run it either


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement gives a meaning to, in its blocks too, but no local ones."""
    names, todo = set(), [statement]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            names |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        todo += ast.iter_child_nodes(node)
    return names
