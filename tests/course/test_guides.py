"""The commands of the guides, run as they stand there, in a clone as a newcomer has it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograde.lessons import ROOT

GUIDES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "autograde" / "authoring" / "student_bundle" / "README.md",
]

# Proved elsewhere, each by running it: whole suites, an open JupyterLab, a class of submissions, minutes of training.
ELSEWHERE = {
    "make lab": "tests/seglab/test_course.py opens what it lays in JupyterLab",
    "make lint": "tests/course/test_project.py",
    "make test": "this is it; .ci/run",
    "make demo": "tests/autograde/test_class.py",
    "make audit": ".ci/run",
    "make audit LESSON=02": ".ci/run",
    "make bench": "minutes, and its ratios are no test's business",
    "make compare": "half an hour of training; tests/course/test_architectures.py trains for seconds",
    "make weights": "an hour of training; tests/course/test_architectures.py trains for seconds",
    ".venv/bin/python -m pytest tests -k sliding_window": "these tests",
    ".venv/bin/python tests/autograde/test_battery.py": "its own tests",
    "python -m venv .venv": "every virtual environment there is",
}


def commands(path: Path) -> list[str]:
    """The command lines of a guide: indented, outside of Python blocks, without the remark behind them.

    Those for each lesson of an instructor's course are left to tests/autograde/test_instructor.py, which runs them all.
    """
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"(?<=For every lesson, in that folder:).*?(?=\n\* )", "", text, flags=re.DOTALL)
    lines = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    return [re.sub(r"\s+#.*", "", line) for line in lines if not line.startswith(("<", "|"))]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of what is tracked now, with this environment in the place of `.venv`."""
    folder = tmp_path_factory.mktemp("clone") / "segmentation-course"
    tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True)
    if names.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, names.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for program in Path(sys.executable).parent.iterdir():
        (programs / program.name).symlink_to(program)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", folder / ".venv")
    (folder / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
    for stamp in ("student", "dev"):
        (folder / ".venv" / stamp).touch()
    return folder


def run(clone, command):
    environment = os.environ | {"PYTHONPATH": str(clone)}
    done = subprocess.run(["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_every_command_of_a_guide_is_run_somewhere():
    here = {"make release", "make status", "make reset EXERCISE=window_starts", "make reset EXERCISE=name"}
    here |= {"make notebooks", "make notebooks LESSON=02", "make audit LESSON=02 EXERCISE=window_starts"}
    here |= {". .venv/bin/activate", "autograde new-lesson 02_sliding_window"}
    here |= {"autograde new-exercise 02_sliding_window window_starts", "autograde course ../segmentation-course"}
    for guide in GUIDES:
        for command in commands(guide):
            windows = command.startswith(".venv\\Scripts")  # the same words as the student's Makefile
            assert command in here or command in ELSEWHERE or windows, f"{guide.name}: {command} is run nowhere"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("make notebooks LESSON=02", "exercises/02_sliding_window/02_sliding_window.ipynb"),
        ("make release", "dist/segmentation-course"),
        ("make audit LESSON=02 EXERCISE=window_starts", "0 failed"),
        (".venv/bin/python -m seglab lay", "laid"),
        ("make status LESSON=02", "0 of 20 points so far"),
        ("make reset EXERCISE=window_starts", "window_starts"),
        (". .venv/bin/activate 2>/dev/null; .venv/bin/autograde course ../my-course", "lessons to release"),
    ],
)
def test_a_newcomer_can_say_it(clone, command, said):
    code, printed = run(clone, command)
    assert code == 0 and said in printed, printed[-2000:]


def test_the_scaffold_refuses_what_is_there_already(clone):
    """The guide shows the smallest exercise, which exists; with names of your own it is test_scaffold's."""
    for command in ("new-lesson 02_sliding_window", "new-exercise 02_sliding_window window_starts"):
        code, printed = run(clone, f".venv/bin/autograde {command}")
        assert code == 2 and ("taken" in printed or "already" in printed), printed


def test_what_was_said_left_the_tracked_files_as_they_are(clone):
    for name in ("README.md", "solutions/02_sliding_window/02_sliding_window.ipynb", "seglab/course.py"):
        assert (clone / name).read_bytes() == (ROOT / name).read_bytes(), name
