"""Small wrong versions of the reference, to measure whether the hidden graders notice them.

cosmic-ray makes the mutants: it is maintained, and its operators can be driven in this very process (mutmut 3 only
works on a project of files that it copies and runs pytest over, once per mutant: minutes instead of seconds).
Docstrings and annotations are taken out first: no test could tell a mutant of those.
"""

import ast
import inspect
import itertools
from dataclasses import dataclass

import parso.python.tree  # noqa: F401 - cosmic-ray's operators import parso in an order that only works after this
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

from autograde.lessons import Lesson


@dataclass(frozen=True)
class Mutant:
    """One mutant of an exercise's reference: its source, and the changed lines for people."""

    exercise: str
    source: str
    change: str


def mutants(lesson: Lesson, exercise: str) -> list[Mutant]:
    """Every mutant of an exercise's reference function and of the private helpers that it alone uses."""
    source = _unit(lesson, exercise)
    provider = OperatorProvider()
    found: dict[str, Mutant] = {}
    for name in sorted(provider):
        operator_class = provider[name]
        if operator_class.arguments():
            continue  # replaces or inserts a variable that has to be named: not for a general run
        for occurrence in itertools.count():
            mutated = mutate_code(source, operator_class(), occurrence)
            if mutated is None:
                break
            if mutated != source and _compiles(mutated):
                found.setdefault(mutated, Mutant(exercise, mutated, _change(source, mutated)))
    return list(found.values())


def mutant_function(lesson: Lesson, mutant: Mutant):
    """The function of a mutant, in a copy of the reference module's names."""
    namespace = dict(vars(lesson.reference))
    exec(compile(mutant.source, f"<mutant of {mutant.exercise}>", "exec"), namespace)
    return namespace[mutant.exercise]


def _unit(lesson: Lesson, exercise: str) -> str:
    """The source of the reference function and its helpers, without docstrings and annotations."""
    tree = ast.parse(inspect.getsource(lesson.reference))
    definitions = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    others = {one.name for one in lesson.exercises} - {exercise}
    names, todo = [], [exercise]
    while todo:
        name = todo.pop()
        if name in definitions and name not in others and name not in names:
            names.append(name)
            todo += [node.id for node in ast.walk(definitions[name]) if isinstance(node, ast.Name)]
    module = ast.Module(body=[definitions[name] for name in sorted(names)], type_ignores=[])
    return ast.unparse(ast.fix_missing_locations(_Bare().visit(module))) + "\n"


class _Bare(ast.NodeTransformer):
    """Takes out docstrings and annotations."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.returns = None
        for argument in [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]:
            argument.annotation = None
        return self._without_docstring(node)

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        return self._without_docstring(node)

    def visit_AnnAssign(self, node):
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def _without_docstring(self, node):
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node


def _compiles(source: str) -> bool:
    try:
        compile(source, "<mutant>", "exec")
    except SyntaxError:
        return False
    return True


def _change(source: str, mutated: str) -> str:
    pairs = itertools.zip_longest(source.splitlines(), mutated.splitlines(), fillvalue="")
    return "; ".join(f"{old.strip()} -> {new.strip()}" for old, new in pairs if old != new)
