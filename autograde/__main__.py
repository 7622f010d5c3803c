"""`autograde COMMAND`: what the Makefile calls."""

import argparse
import sys
from pathlib import Path


def main(arguments=None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="autograde", description="The instructor's and contributor's commands.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("notebooks", help="build every notebook from text")
    command.add_argument("lesson", nargs="?", help="one lesson only: 02 or 02_sliding_window")
    command = commands.add_parser("audit", help="test the graders; fails if any gate fails")
    command.add_argument("lesson", nargs="?", help="one lesson only: 02 or 02_sliding_window")
    command.add_argument("exercise", nargs="?", help="one exercise only, and only the gates that take seconds")
    command = commands.add_parser("demo", help="a whole class, from release to grade table")
    command.add_argument("lesson", nargs="?", help="one lesson only")
    command.add_argument("--folder", type=Path, help="where to put the course (default: a temporary folder)")
    command = commands.add_parser("course", help="a course folder for nbgrader, beside this repository")
    command.add_argument("folder", type=Path, help="where: it must be empty, or not be there yet")
    command = commands.add_parser("release", help="the student's bundle")
    command.add_argument("--out", type=Path, help="where to put it (default: dist/)")
    command = commands.add_parser("report", help="students by exercises, after nbgrader autograde")
    command.add_argument("assignment")
    command.add_argument("--course", type=Path, default=Path(), help="the course folder (default: here)")
    command = commands.add_parser("new-lesson", help="every piece of a lesson, to be filled in")
    command.add_argument("lesson", help="NN_topic")
    command.add_argument("exercises", nargs="*", help="its first exercises, by the names of their functions")
    command = commands.add_parser("new-exercise", help="every piece of an exercise, to be filled in")
    command.add_argument("lesson", help="NN or NN_topic")
    command.add_argument("exercise", help="the name of its function")
    given = parser.parse_args(arguments)
    try:
        return _COMMANDS[given.command](given)
    except ValueError as error:
        print(f"autograde {given.command}: {error}", file=sys.stderr)
        return 2


def _notebooks(given) -> int:
    from autograde.authoring.build import build
    from autograde.lessons import ROOT

    for path in build(only=given.lesson):
        print(path.relative_to(ROOT))
    return 0


def _audit(given) -> int:
    from autograde.authoring.audit import audit, table

    gates = audit(only=given.lesson, exercise=given.exercise)
    print(table(gates))
    return 1 if any(gate.failures for gate in gates) else 0


def _demo(given) -> int:
    from autograde.gradebook.demo import demo

    demo(given.folder, given.lesson)
    return 0


def _course(given) -> int:
    from autograde.gradebook.course import new_course

    lessons = new_course(given.folder)
    print(f"{given.folder} has {len(lessons)} lessons to release: {', '.join(lessons)}")
    print(f"Next: cd {given.folder}; nbgrader generate_assignment {lessons[0]}")
    return 0


def _release(given) -> int:
    from autograde.authoring.release import leaks, make_bundle
    from autograde.lessons import all_lessons

    folder = make_bundle(out=given.out)
    found = leaks(all_lessons(), folder)
    for leak in found:
        print(f"hidden code in the bundle: {leak}", file=sys.stderr)
    print(folder)
    return 1 if found else 0


def _report(given) -> int:
    from autograde.gradebook.tables import class_table

    print(class_table(given.course, given.assignment))
    return 0


def _new_lesson(given) -> int:
    from autograde.authoring.scaffold import new_lesson

    return _written(given.lesson, new_lesson(given.lesson, given.exercises))


def _new_exercise(given) -> int:
    from autograde.authoring.scaffold import new_exercise

    return _written(given.lesson, new_exercise(given.lesson, given.exercise))


def _written(lesson, paths) -> int:
    from autograde.lessons import ROOT

    for path in paths:
        print(path.relative_to(ROOT))
    print(f"What is left to write says TODO; then: make notebooks LESSON={lesson[:2]}, make audit LESSON={lesson[:2]}")
    return 0


_COMMANDS = {
    "notebooks": _notebooks,
    "audit": _audit,
    "demo": _demo,
    "course": _course,
    "release": _release,
    "report": _report,
    "new-lesson": _new_lesson,
    "new-exercise": _new_exercise,
}


if __name__ == "__main__":
    sys.exit(main())
