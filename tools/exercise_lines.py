"""What an exercise costs to write: its lines by kind, without empty ones. python tools/exercise_lines.py [NN_topic]

What students read is the stretch of cells from the statement to the check. The rest backs it. Helpers that several
exercises of a lesson share are in the row "shared".
"""

import argparse
import ast
from pathlib import Path

from autograde.lessons import ROOT, Lesson, all_lessons, plain

BACKING = {
    "check": "check_file",
    "reference": "reference_file",
    "grader": "grader_file",
    "misconceptions": "misconception_file",
    "alternatives": "alternative_file",
    "battery": "battery_file",
}


def lines_by_kind(lesson: Lesson) -> dict[str, dict[str, int]]:
    """exercise (or "shared") -> kind -> lines that are not empty."""
    names = [exercise.name for exercise in lesson.exercises]
    counts = {name: {"read by students": _read_by_students(lesson, name)} for name in names}
    counts["shared"] = {"read by students": 0}
    for kind, attribute in BACKING.items():
        path = getattr(lesson, attribute)
        source = path.read_text(encoding="utf-8") if path.exists() else ""
        found, owner = dict.fromkeys(counts, 0), {}
        for node in ast.parse(source).body:
            exercise = _exercise_of(node, names, owner)
            owner[getattr(node, "name", None)] = exercise
            found[exercise] += _lines(source, node)
        for name, number in found.items():
            counts[name][kind] = number
    return counts


def _read_by_students(lesson, name) -> int:
    marks = [set(cell.metadata.values()) for cell in lesson.cells]
    first = next(number for number, mark in enumerate(marks) if f"about_{name}" in mark)
    last = next(number for number, cell in enumerate(lesson.cells) if cell.metadata.get("check") == name)
    text = "\n".join(cell.source for cell in lesson.cells[first : last + 1])
    return sum(bool(line.strip()) for line in text.splitlines())


def _exercise_of(node, names, owner) -> str:
    """The exercise that a definition belongs to: by its own name, its test class's, or the mark that it bears.

    A variant belongs where its misconception does; owner: name of a definition -> its exercise.
    """
    own = plain(getattr(node, "name", ""))
    calls = [*getattr(node, "decorator_list", []), getattr(node, "value", None)]
    for call in calls:
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("variant", "ways"):
            return owner.get(getattr(call.args[0], "id", None), "shared")
    for name in names:
        marked = any(
            isinstance(mark, ast.Call) and mark.args and getattr(mark.args[0], "value", None) == name
            for mark in getattr(node, "decorator_list", [])
        )
        if marked or own in (plain(name), f"test{plain(name)}"):
            return name
    return "shared"


def _lines(source, node) -> int:
    first = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", []))])
    return sum(bool(line.strip()) for line in source.splitlines()[first - 1 : node.end_lineno])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lesson", nargs="?", help="one lesson only")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout (default: this one)")
    given = parser.parse_args()
    kinds = ["read by students", *BACKING]
    print(f"{'':28}{'  '.join(kinds)}  backing")
    total = dict.fromkeys(kinds, 0)
    for lesson in all_lessons(given.root, given.lesson):
        print(lesson.name)
        for name, counts in lines_by_kind(lesson).items():
            backing = sum(counts[kind] for kind in BACKING)
            print(f"  {name:26}{'  '.join(f'{counts[kind]:{len(kind)}}' for kind in kinds)}  {backing:7}")
            total = {kind: total[kind] + counts[kind] for kind in kinds}
    backing = sum(total[kind] for kind in BACKING)
    print(f"{'all':28}{'  '.join(f'{total[kind]:{len(kind)}}' for kind in kinds)}  {backing:7}")


if __name__ == "__main__":
    main()
