"""The audit is green, and it is red as soon as a grader is weaker than it was."""

import ast
import shutil

import pytest
import torch

from autograde.authoring.audit import (
    GATES,
    Subject,
    _constants,
    _lecture,
    _misconceptions,
    _mutants,
    _named,
    _reference,
    audit,
    table,
)
from autograde.graders.candidates import misconception
from autograde.grading.verdict import in_session
from autograde.lessons import ROOT, Lesson


def ask(lesson, exercise, question):
    """A gate, or anything else that is asked of an exercise under audit."""
    return in_session(lesson, exercise, lambda run: question(Subject(lesson, exercise, run)))


@pytest.fixture
def copy(tmp_path):
    """A copy of what the fast gates read, to weaken: a new place for every test, since modules are cached by path."""
    for name in ("autograde", "lectures"):
        kinds = shutil.ignore_patterns("*.ipynb", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=kinds)
    for name in ("seglab", "solutions", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_the_fast_gates_of_an_exercise_are_green():
    """`make audit` runs all gates of all lessons; this is to see them when only the tests run."""
    gates = audit(only="02", exercise="window_starts")
    assert [failure for gate in gates for failure in gate.failures] == []
    assert {gate.name for gate in gates} == set(GATES) - {"solution", "stub", "leak", "sentinel"}


def test_a_hidden_test_without_a_body_makes_the_audit_fail(copy):
    lesson = Lesson("02_sliding_window", copy)
    tree = ast.parse(lesson.grader_file.read_text())
    tests = next(node for node in tree.body if getattr(node, "name", "") == "TestWindowStarts")
    emptied = [one for one in tests.body if getattr(one, "name", "").startswith("test_")]
    for method in emptied:
        method.body = [method.body[0], ast.Pass()]  # the docstring stays
    lesson.grader_file.write_text(ast.unparse(tree))
    gate = ask(lesson, "window_starts", _constants)
    for method in emptied:
        assert any(method.name in failure for failure in gate.failures), method.name


def offset(size, window, stride):
    """Every start is two pixels too far to the right."""
    return [start + 2 for start in range(0, size - window + 1, stride)]


def with_misconceptions(lesson, *functions, **marks):
    marks = {"breaks": ("test_leftover",), "hint": 1, "source": "a student"} | marks
    lesson.misconceptions = [misconception("window_starts", **marks)(one).candidate for one in functions]
    return lesson


def test_a_misconception_that_passes_its_test_is_reported():
    lesson = with_misconceptions(Lesson("02_sliding_window"), Lesson("02_sliding_window").reference.window_starts)
    gate = ask(lesson, "window_starts", _misconceptions)
    assert any("passes test_leftover" in failure for failure in gate.failures)
    assert any("not rejected" in failure for failure in gate.failures)
    assert any("4 to 8 are wanted" in failure for failure in gate.failures)


def test_a_misconception_without_a_source_is_reported():
    gate = ask(with_misconceptions(Lesson("02_sliding_window"), offset, source=""), "window_starts", _misconceptions)
    assert any("does not say who" in failure for failure in gate.failures)


def test_a_misconception_that_is_not_told_its_own_cause_is_reported(copy):
    """Known to the audit, but not to the check that students have: its fingerprints were not built."""
    gate = ask(with_misconceptions(Lesson("02_sliding_window", copy), offset), "window_starts", _named)
    assert any("offset, as it is: the check says" in failure for failure in gate.failures)


def test_a_broken_reference_is_reported(copy, monkeypatch):
    lesson = Lesson("02_sliding_window", copy)
    monkeypatch.setattr(lesson.reference, "window_starts", lambda *arguments: [])
    assert ask(lesson, "window_starts", _reference).failures


def test_a_candidate_that_switches_gradients_off_does_so_for_itself_only():
    lesson = Lesson("02_sliding_window")
    right = lesson.reference.sliding_window_scores.__wrapped__

    def careless(*arguments):
        torch.set_grad_enabled(False)
        return right(*arguments)

    def grade(function):
        return ask(lesson, "sliding_window_scores", lambda subject: subject.grade(function))

    assert grade(careless).passed("test_no_gradient")
    assert torch.is_grad_enabled()
    assert not grade(right).passed("test_no_gradient")


def test_a_candidate_that_never_ends_costs_itself_only(monkeypatch):
    monkeypatch.setattr("autograde.authoring.audit.SECONDS", 1)

    def endless(*arguments):
        while True:
            pass

    lesson = Lesson("02_sliding_window")
    verdicts = ask(lesson, "window_starts", lambda s: [s.grade(endless), s.grade(s.reference), s.grade(endless)])
    assert [verdict.share for verdict in verdicts] == [0, 1, 0]


def test_a_weak_grader_lets_mutants_live_and_is_reported(copy):
    lesson = Lesson("02_sliding_window", copy)
    lesson.grader_file.write_text(
        "class TestWindowStarts:\n    '''weak'''\n    def test_some(self, student):\n        '''some'''\n"
        "        assert student.window_starts(10, 5, 5) == [0, 5]\n"
    )
    gate = ask(lesson, "window_starts", _mutants)
    assert any("only" in failure for failure in gate.failures) and gate.notes


def test_a_lecture_that_gives_the_answer_is_reported(copy):
    lesson = Lesson("02_sliding_window", copy)
    reference = ast.parse(lesson.reference_file.read_text())
    function = next(n for n in reference.body if isinstance(n, ast.FunctionDef) and n.name == "window_starts")
    pasted = ast.unparse(function).replace("window_starts", "where_they_begin")
    lesson.lecture.write_text(f"{lesson.lecture.read_text()}\n\n# %%\n{pasted}\n")
    assert any("where_they_begin" in failure for failure in ask(lesson, "window_starts", _lecture).failures)


def test_the_table_shows_failures_and_counts_them():
    from autograde.authoring.audit import Gate

    text = table([Gate("f", "reference", "100 %"), Gate("f", "stub", "3", ["the released stub earns something"])])
    assert "3 FAIL" in text and "FAIL  f, stub: the released stub earns something" in text
    assert text.endswith("1 gates passed, 1 failed")
