"""A new lesson: the scaffold writes every piece, the audit rejects it until it is filled."""

import os
import shutil
import subprocess
import sys

import pytest

from autograde.authoring.scaffold import new_exercise, new_lesson
from autograde.lessons import ROOT

LESSON, EXERCISE = "42_running", "running_total"

# What an author writes in place of each placeholder, file by file.
FILLED = {
    f"lectures/{LESSON}.py": [
        ("TODO(42_running)", "filled"),
        ("show(show_images([], []), ", "show(show_images([torch.eye(3)], ['a map']), "),
        ("# %%\nfrom seglab", "# %%\nimport torch\n\nfrom seglab"),
    ],
    f"solutions/{LESSON}.py": [
        ("TODO(42_running)", "Running"),
        ("TODO(running_total): one sentence.", "The sum of all numbers up to each."),
        (
            ">>> running_total(torch.ones(1))\n    TODO(running_total)",
            ">>> running_total(torch.ones(2))\n    tensor([1., 2.])",
        ),
        (
            'raise NotImplementedError("TODO(running_total)")',
            "return (x[None] * torch.ones(len(x), len(x)).tril()).sum(1)  # (n, n) -> (n,)",
        ),
        ("TODO(running_total)", "(n,)"),
    ],
    f"seglab/checking/lessons/{LESSON}.py": [
        ("TODO(running_total)", "sums"),
        (
            "student.running_total(torch.ones(1)), torch.zeros(1)",
            "student.running_total(torch.ones(2)), torch.tensor([1.0, 2.0])",
        ),
    ],
    "autograde/reference/running.py": [
        ("TODO(42_running)", "Sums"),
        (
            "TODO(running_total): one sentence, shapes, errors raised, the source.",
            "All sums from the first number on: (n,) -> (n,).",
        ),
        ('raise NotImplementedError("TODO(running_total)")', "return x.cumsum(0)"),
    ],
    f"autograde/graders/test_{LESSON}.py": [
        ("TODO(running_total)", "Sums"),
        (
            "assert_same(student.running_total(x), x)",
            "assert_same(student.running_total(x), torch.stack([x[: i + 1].sum() for i in range(len(x))]))",
        ),
    ],
    f"autograde/graders/candidates/{LESSON}.py": [
        ("TODO(running_total): what is wrong, not what is right.", "The numbers come back as they are."),
    ],
    f"tests/equivalent_mutants/{LESSON}.json": [
        ("{}", '{"running_total": {"return x.cumsum(0) -> return x.cumsum( -1)": "x has one dimension"}}')
    ],
    f"tests/alternatives/{LESSON}.py": [
        ('raise NotImplementedError("TODO(running_total)")', "return torch.cumsum(x, 0)")
    ],
}
MORE_MISCONCEPTIONS = """
@misconception("running_total", breaks="test_values", hint=2)
def total_only(x):
    '''Only the last sum is there, once for each number.'''
    return x.sum().expand(len(x)).clone()


@misconception("running_total", breaks="test_values", hint=2)
def from_the_end(x):
    '''The sums run from the last number to the first.'''
    return x.flip(0).cumsum(0).flip(0)


@misconception("running_total", breaks="test_values", hint=3)
def without_itself(x):
    '''Each sum leaves out the number at its own place.'''
    return x.cumsum(0) - x
"""
ONE_MORE_ALTERNATIVE = """
@alternative("running_total")
def by_adding(x):
    total, sums = torch.zeros(()), []
    for number in x:
        total = total + number
        sums.append(total)
    return torch.stack(sums)
"""


@pytest.fixture
def copy(tmp_path):
    """A checkout of its own, so that what is generated is graded by the real nbgrader and lands nowhere else."""
    leave = shutil.ignore_patterns(".git", ".venv", "dist", "__pycache__", ".*_cache", "gradebook.db*", "*.egg-info")
    return shutil.copytree(ROOT, tmp_path / "course", ignore=leave)


def run(copy, *arguments):
    environment = os.environ | {"PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "autograde", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)


def test_a_new_lesson_fails_the_audit_until_it_is_filled(copy):
    made = run(copy, "new-lesson", LESSON, EXERCISE)
    assert made.returncode == 0, made.stderr
    assert run(copy, "notebooks", "42").returncode == 0
    audit = run(copy, "audit", "42")
    assert audit.returncode == 1
    for reason in (
        f"{EXERCISE}, pieces: still to be written: solutions/{LESSON}.py, lines",
        f"{EXERCISE}, pieces: still to be written: reference/running.py, lines",
        f"{EXERCISE}, pieces: still to be written: graders/test_{LESSON}.py, lines",
        f"{EXERCISE}, solution: the solution fails test_values",
        f"{EXERCISE}, reference: the reference fails test_values",
        f"{EXERCISE}, constants: the answer 'echo' passes test_values",
        f"{EXERCISE}, misconceptions: 1 misconceptions; at least 4 are wanted",
        f"{EXERCISE}, alternatives: 1 alternatives; at least 2 are wanted",
        f"{EXERCISE}, lecture: still to be written: lectures/{LESSON}.py, lines",
        f"{EXERCISE}, mutants: no mutant could be made",
    ):
        assert f"FAIL  {reason}" in audit.stdout, reason

    for name, replacements in FILLED.items():
        text = (copy / name).read_text()
        for placeholder, written in replacements:
            assert placeholder in text, (name, placeholder)
            text = text.replace(placeholder, written)
        (copy / name).write_text(text)
    for name, more in (
        (f"autograde/graders/candidates/{LESSON}.py", MORE_MISCONCEPTIONS),
        (f"tests/alternatives/{LESSON}.py", ONE_MORE_ALTERNATIVE),
    ):
        with open(copy / name, "a") as file:
            file.write("\n" + more)
    assert run(copy, "notebooks", "42").returncode == 0
    audit = run(copy, "audit", "42")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert audit.stdout.rstrip().endswith("12 gates passed, 0 failed")


def test_exercises_are_appended_in_order(copy):
    new_lesson(LESSON, [EXERCISE], root=copy)
    new_exercise("42", "RunningMean", root=copy)
    source = (copy / "solutions" / f"{LESSON}.py").read_text()
    rows = [
        line
        for line in source.splitlines()
        if line.startswith("# | ") and "`" in line and "TODO" in line and "●" in line
    ]
    assert [row.split("`")[1] for row in rows] == [EXERCISE, "RunningMean"]
    assert source.index('check="running_total"') < source.index('locked="about_RunningMean"')
    for name in ("seglab/checks", "autograde/graders"):
        (path,) = (copy / name).glob("*42_running.py")
        assert "class TestRunningTotal:" in path.read_text() and "class TestRunningMean:" in path.read_text()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda root: new_lesson("deconvnet", [], root), "named like"),
        (lambda root: new_lesson("42_class", [], root), "named like"),
        (lambda root: new_lesson("02_other", [], root), "taken by 02_sliding_window"),
        (lambda root: new_lesson("42_sliding_window", [], root), "taken by 02_sliding_window"),
        (lambda root: new_lesson("42_running", ["window_starts"], root), "already"),
        (lambda root: new_lesson("42_running", ["a", "a"], root), "already"),
        (lambda root: new_exercise("77", "f", root), "no lesson"),
        (lambda root: new_exercise("02", "two words", root), "named like"),
        (lambda root: new_exercise("02", "WindowStarts", root), "already"),
    ],
)
def test_bad_names_are_refused_and_nothing_is_written(call, message):
    def files():
        return sorted(path for path in (ROOT / "solutions").iterdir())

    before = files()
    with pytest.raises(ValueError, match=message):
        call(ROOT)
    assert files() == before


def test_the_command_line_says_what_was_wrong(copy):
    done = run(copy, "new-exercise", "02", "window_starts")
    assert done.returncode == 2 and "there is an exercise 'window_starts' already" in done.stderr
