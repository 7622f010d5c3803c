"""Which names a piece of source uses: how "do not call F.interpolate, you are building it" is enforced."""

import ast
import inspect
import textwrap
import warnings


def used_names(source: str) -> set[str]:
    """The names and attribute names that a piece of Python source uses.

    An import counts as a use of what is imported and of its alias: `from torch.nn.functional import interpolate as up`
    gives both `interpolate` and `up`, whether or not `up` is called. So does `getattr(F, "interpolate")`.
    Lines of IPython (`%time`, `!ls`, `conv?`) are skipped. Parameter names and plain strings are not uses.

    Raises SyntaxError for a source that is not Python even so; the message says where.
    """
    return names_in(_parse(source))


def names_in(tree: ast.AST) -> set[str]:
    """`used_names` of a piece that is parsed already."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((getattr(node, "module", None) or "").split("."))
            for alias in node.names:
                names.update(alias.name.split("."), [alias.asname or ""])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            names.update(a.value for a in node.args[1:2] if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return names - {""}


def reached_names(thing) -> set[str]:
    """`used_names` of a function or class, and of whatever it uses from the same module or notebook.

    Raises SyntaxError where a source cannot be found or read.
    """
    names, seen, todo = set(), set(), [thing]
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for function in _functions(one):
            used = used_names(_source(function))
            found = [function.__globals__[name] for name in used if name in function.__globals__]
            names |= used
            # The name a thing was born with, for one that another cell imported under an alias.
            names.update(str(getattr(value, "__name__", "")).rpartition(".")[2] for value in found)
            todo += [value for value in found if getattr(value, "__module__", None) == function.__module__]
    return names - {""}


def _parse(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is not what was asked
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
        try:
            return ast.parse("\n".join(map(_without_magic, source.splitlines())))
        except SyntaxError as error:
            raise SyntaxError(f"not Python that can be read, line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(f"not Python that can be read: {type(error).__name__}") from None


def _without_magic(line):
    """`pass` in place of a line that only IPython reads, so that line numbers and indented blocks stay whole."""
    bare = line.strip()
    magic = bare.startswith(("%", "!", "?")) or bare.endswith("?")
    return line[: len(line) - len(line.lstrip())] + "pass" if magic else line


def _functions(thing):
    """The Python functions that a function or a class (its methods) consists of."""
    if inspect.isclass(thing):
        members = [getattr(member, "__func__", member) for member in vars(thing).values()]
        members += [member.fget for member in vars(thing).values() if isinstance(member, property)]
    else:
        members = [thing]
    return [inspect.unwrap(member) for member in members if inspect.isfunction(inspect.unwrap(member))]


def _source(function):
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise SyntaxError(f"the source of {function.__name__} cannot be found") from None
