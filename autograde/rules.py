"""Which names an answer uses: its function, and everything of the student's own that it leans on."""

import ast

from seglab.syntax import used_names


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
            found |= used_names(ast.unparse(statement))
            todo += [node.id for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return found


def broken_rule(exercise: str, cells: list[str], forbidden: dict[str, str]) -> str:
    """The sentence for the student about the first forbidden name in use, or nothing."""
    used = names_behind(exercise, cells) & set(forbidden) if forbidden else set()
    return f"`{min(used)}` is not allowed here: {forbidden[min(used)]}" if used else ""


def _parse(source: str) -> list[ast.stmt]:
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()]
    try:
        return ast.parse("\n".join(lines)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a top-level statement gives a meaning to."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
