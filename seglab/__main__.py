"""`python -m seglab lay`, `status [LESSON]`, `reset EXERCISE`: what the student's Makefile calls."""

import argparse
import sys
from pathlib import Path

from seglab.checking.progress import SECONDS, status
from seglab.course import FOLDER, lay, reset


def main(arguments=None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seglab", description="The student's companion.")
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("lay", help="put the released lessons into course/, around the work that is there")
    _folders(command)
    command.set_defaults(run=lambda given: lay(given.root, given.course))

    command = commands.add_parser("reset", help="put the stub of an exercise back; the old answer is kept beside it")
    command.add_argument("exercise", help="the name of its function")
    _folders(command)
    command.set_defaults(run=lambda given: reset(given.exercise, given.root, given.course))

    command = commands.add_parser("status", help="which exercises pass their visible checks, and what comes next")
    command.add_argument("lesson", nargs="?", help="one lesson only: 02, sliding_window or 02_sliding_window")
    command.add_argument("--root", type=Path, help=f"the folder that holds exercises/ (default: {FOLDER}, or here)")
    command.add_argument(
        "--seconds", type=float, default=SECONDS, help="time limit per notebook (default: %(default)s)"
    )
    command.set_defaults(run=lambda given: status(given.root or _own_course(), given.lesson, given.seconds))

    given = parser.parse_args(arguments)
    return given.run(given)


def _folders(command):
    command.add_argument("--root", type=Path, default=Path(), help="where lectures/ and exercises/ are (default: here)")
    command.add_argument("--course", type=Path, help=f"the student's folder (default: {FOLDER}, in the same place)")


def _own_course() -> Path:
    """The student's folder where it has been laid, and otherwise the one that this is."""
    return Path(FOLDER) if (Path(FOLDER) / "exercises").is_dir() else Path()


if __name__ == "__main__":
    sys.exit(main())
