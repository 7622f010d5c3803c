"""A new lesson: the scaffold writes every piece, the audit rejects it until it is filled."""

import os
import shutil
import subprocess
import sys

import pytest

from autograde.__main__ import main
from autograde.authoring.scaffold import new_exercise, new_lesson
from autograde.lessons import ROOT, Lesson

LESSON, EXERCISE = "42_running", "running_total"

# What an author writes in place of each placeholder, piece by piece of the lesson.
FILLED = {
    "lecture": [
        ("TODO(42_running)", "filled"),
        ("show(show_images([], []), ", "show(show_images([torch.eye(3)], ['a map']), "),
        ("# %%\nfrom seglab", "# %%\nimport torch\n\nfrom seglab"),
    ],
    "source": [
        ("TODO(42_running)", "Running"),
        ("TODO(running_total): one sentence.", "The sum of all numbers up to each."),
        (
            ">>> running_total(torch.ones(1))\n    TODO(running_total)",
            ">>> running_total(torch.ones(2))\n    tensor([1., 2.])",
        ),
        ("  # TODO(running_total): the checks of the arguments are given, in one to three lines", ""),
        (
            'raise NotImplementedError("TODO(running_total)")',
            "return (x[None] * torch.ones(len(x), len(x)).tril()).sum(1)  # (n, n) -> (n,)",
        ),
        ("TODO(running_total)", "(n,)"),
    ],
    "check_file": [
        ("TODO(running_total)", "sums"),
        (
            "student.running_total(torch.tensor([0.3, -1.7])), torch.zeros(2)",
            "student.running_total(torch.tensor([0.3, -1.7, 2.5])), torch.tensor([0.3, -1.4, 1.1])",
        ),
    ],
    "reference_file": [
        ("TODO(42_running)", "Sums"),
        (
            "TODO(running_total): one sentence, shapes, the source.",
            "All sums from the first number on: (n,) -> (n,).",
        ),
        ('raise NotImplementedError("TODO(running_total)")', "return x.cumsum(0)"),
    ],
    "grader_file": [
        ("TODO(running_total)", "Sums"),
        (
            "assert_same(student.running_total(x), x)",
            "assert_same(student.running_total(x), torch.stack([x[: i + 1].sum() for i in range(len(x))]))",
        ),
        ("draw(rng, 2, 5)", "draw(rng, 3, 5)"),
    ],
    "misconception_file": [
        ("TODO(running_total): who really answers so", "students' answers"),
        ("TODO(running_total): what is wrong, not what is right.", "The numbers come back as they are."),
    ],
    "equivalent_file": [
        ("{}", '{"running_total": {"return x.cumsum(0) -> return x.cumsum( -1)": "x has one dimension"}}')
    ],
    "battery_file": [
        (
            'raise NotImplementedError("TODO(running_total): right answers; then eight wrong ones with their causes")',
            "return torch.cumsum(x, dim=0)",
        )
    ],
    "alternative_file": [('raise NotImplementedError("TODO(running_total)")', "return torch.cumsum(x, 0)")],
}
MORE_MISCONCEPTIONS = """
@misconception("running_total", breaks="test_values", hint=2, source="students' answers")
def total_only(x):
    '''Only the last sum is there, once for each number.'''
    return x.sum().expand(len(x)).clone()


@misconception("running_total", breaks="test_values", hint=2, source="students' answers")
def from_the_end(x):
    '''The sums run from the last number to the first.'''
    return x.flip(0).cumsum(0).flip(0)


@misconception("running_total", breaks="test_values", hint=3, source="students' answers")
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
    leave = shutil.ignore_patterns(
        ".git", ".venv", "dist", "course", "__pycache__", ".*_cache", "gradebook.db*", "*.egg-info"
    )
    for name in ("autograde", "seglab", "solutions", "lectures", "exercises", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    return tmp_path


def run(copy, *arguments):
    environment = os.environ | {"PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "autograde", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)


def test_a_new_lesson_fails_the_audit_until_it_is_filled(copy):
    made = run(copy, "new-lesson", LESSON, EXERCISE)
    assert made.returncode == 0, made.stderr
    assert len(made.stdout.splitlines()) == 10 + 1  # the pieces of a lesson, and what to do next
    audit = run(copy, "audit", "42", EXERCISE)
    assert audit.returncode == 1
    for reason in (
        f"{EXERCISE}, pieces: still to be written: solutions/{LESSON}.py, lines",
        f"{EXERCISE}, pieces: still to be written: reference/running.py, lines",
        f"{EXERCISE}, pieces: still to be written: {LESSON}/test_running.py, lines",
        f"{EXERCISE}, pieces: still to be written: {LESSON}/misconceptions.py, lines",
        f"{EXERCISE}, reference: the reference fails test_values",
        f"{EXERCISE}, constants: the answer 'echo' passes test_values",
        f"{EXERCISE}, misconceptions: 1 misconceptions",
        f"{EXERCISE}, alternatives: 1 alternatives",
        f"{EXERCISE}, lecture: still to be written: lectures/{LESSON}.py, lines",
        f"{EXERCISE}, mutants: no mutant could be made",
    ):
        assert f"FAIL  {reason}" in audit.stdout, (reason, audit.stdout)

    lesson = Lesson(LESSON, copy)
    for piece, replacements in FILLED.items():
        path = getattr(lesson, piece)
        text = path.read_text()
        for placeholder, written in replacements:
            assert placeholder in text, (piece, placeholder)
            text = text.replace(placeholder, written)
        path.write_text(text)
    for path, more in (
        (lesson.misconception_file, MORE_MISCONCEPTIONS),
        (lesson.alternative_file, ONE_MORE_ALTERNATIVE),
    ):
        path.write_text(path.read_text() + "\n" + more)
    assert run(copy, "notebooks", "42").returncode == 0
    assert f"| 42 · filled: title | [lectures/{LESSON}.ipynb]" in (copy / "README.md").read_text()
    audit = run(copy, "audit", "42")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert audit.stdout.rstrip().endswith(" gates passed, 0 failed")


def test_exercises_are_appended_in_order(tmp_path):
    new_lesson(LESSON, [EXERCISE], root=tmp_path)
    new_exercise("42", "RunningMean", root=tmp_path)
    lesson = Lesson(LESSON, tmp_path)
    source = lesson.source.read_text()
    rows = [
        line
        for line in source.splitlines()
        if line.startswith("# | ") and "`" in line and "TODO" in line and "●" in line
    ]
    assert [row.split("`")[1] for row in rows] == [EXERCISE, "RunningMean"]
    assert source.index('check="running_total"') < source.index('locked="about_RunningMean"')
    for path in (lesson.check_file, lesson.grader_file):
        assert "class TestRunningTotal:" in path.read_text() and "class TestRunningMean:" in path.read_text()
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*") if path.is_file()} == {
        path.relative_to(tmp_path)
        for path in (*lesson.hidden_files, lesson.lecture, lesson.source, lesson.check_file, lesson.equivalent_file)
    } | {path.relative_to(tmp_path) for path in (lesson.reference_test_file, lesson.battery_file)}
    with pytest.raises(ValueError, match="already"):
        new_exercise("42", "running_mean", root=tmp_path)


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


def test_the_command_line_says_what_was_wrong(capsys):
    assert main(["new-exercise", "02", "window_starts"]) == 2
    assert "there is an exercise 'window_starts' already" in capsys.readouterr().err
