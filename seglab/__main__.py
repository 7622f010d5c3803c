"""`python -m seglab status [LESSON]`."""

import argparse
import sys
from pathlib import Path

from seglab.checking.progress import SECONDS, status


def main(arguments=None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seglab", description="The student's companion.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("status", help="which exercises pass their visible checks, and what comes next")
    command.add_argument("lesson", nargs="?", help="one lesson only: 02, sliding_window or 02_sliding_window")
    command.add_argument("--root", type=Path, default=Path(), help="the folder that holds exercises/ (default: here)")
    command.add_argument(
        "--seconds", type=float, default=SECONDS, help="time limit per notebook (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    return status(given.root, given.lesson, given.seconds)


if __name__ == "__main__":
    sys.exit(main())
