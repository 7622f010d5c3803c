"""The audit is green, and it is red as soon as a grader is weaker than it was."""

import ast
import shutil

import pytest
import torch

from autograde.authoring.audit import (
    GATES,
    _constants,
    _grade,
    _lecture,
    _misconceptions,
    _mutants,
    _reference,
    audit,
    table,
)
from autograde.lessons import ROOT, Lesson, all_lessons

LESSONS = all_lessons()


def hidden_tests():
    for lesson in LESSONS:
        tree = ast.parse(lesson.grader_file.read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name.startswith("test_"):
                        yield lesson.name, node.name, method.name


def exercise_of(lesson, class_name):
    return next(e.name for e in lesson.exercises if lesson.grader_class_name(e.name) == class_name)


@pytest.fixture
def copy(tmp_path):
    """A copy of what the fast gates read, to weaken: a new place for every test, since modules are cached by path."""
    for name in ("autograde", "lectures"):
        kinds = shutil.ignore_patterns("*.ipynb", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=kinds)
    for name in ("seglab", "solutions", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_gate_of_a_lesson_is_green(lesson):
    gates = audit(only=lesson.name, workers=1)
    print(table(gates))
    failed = [f"{gate.exercise}, {gate.name}: {failure}" for gate in gates for failure in gate.failures]
    assert not failed
    assert len(gates) == len(GATES) * len(lesson.exercises), "every gate for each exercise"


@pytest.mark.parametrize(("name", "class_name", "test"), list(hidden_tests()))
def test_deleting_the_body_of_a_hidden_test_makes_the_audit_fail(copy, name, class_name, test):
    lesson = Lesson(name, copy)
    tree = ast.parse(lesson.grader_file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == test:
                    method.body = [method.body[0], ast.Pass()]  # the docstring stays
    lesson.grader_file.write_text(ast.unparse(tree))
    gate = _constants(lesson, exercise_of(lesson, class_name))
    assert any(test in failure for failure in gate.failures)


def test_a_misconception_that_passes_its_test_is_reported(copy):
    lesson = Lesson("02_sliding_window", copy)
    text = lesson.misconception_file.read_text()
    lesson.misconception_file.write_text(text.replace('breaks="test_leftover"', 'breaks="test_not_positive"', 1))
    gate = _misconceptions(lesson, "window_starts")
    assert any("passes test_not_positive" in failure for failure in gate.failures)


def test_a_broken_reference_is_reported(copy, monkeypatch):
    lesson = Lesson("02_sliding_window", copy)
    monkeypatch.setattr(lesson.reference, "window_starts", lambda *arguments: [])
    assert _reference(lesson, "window_starts").failures


def test_a_candidate_that_switches_gradients_off_does_so_for_itself_only():
    lesson = Lesson("02_sliding_window")
    right = lesson.reference.sliding_window_scores.__wrapped__

    def careless(*arguments):
        torch.set_grad_enabled(False)
        return right(*arguments)

    assert _grade(lesson, "sliding_window_scores", careless).passed("test_no_gradient")
    assert torch.is_grad_enabled()
    assert not _grade(lesson, "sliding_window_scores", right).passed("test_no_gradient")


def test_a_weak_grader_lets_mutants_live_and_is_reported(copy):
    lesson = Lesson("02_sliding_window", copy)
    lesson.grader_file.write_text(
        "class TestWindowStarts:\n    '''weak'''\n    def test_some(self, student):\n        '''some'''\n"
        "        assert student.window_starts(10, 5, 5) == [0, 5]\n"
    )
    gate = _mutants(lesson, "window_starts")
    assert any("only" in failure for failure in gate.failures) and gate.notes


def test_a_lecture_that_gives_the_answer_is_reported(copy):
    lesson = Lesson("02_sliding_window", copy)
    reference = ast.parse(lesson.reference_file.read_text())
    function = next(n for n in reference.body if isinstance(n, ast.FunctionDef) and n.name == "window_starts")
    pasted = ast.unparse(function).replace("window_starts", "where_they_begin")
    lesson.lecture.write_text(f"{lesson.lecture.read_text()}\n\n# %%\n{pasted}\n")
    assert any("where_they_begin" in failure for failure in _lecture(lesson, "window_starts").failures)


def test_the_table_shows_failures_and_counts_them():
    from autograde.authoring.audit import Gate

    text = table([Gate("f", "reference", "100 %"), Gate("f", "stub", "3", ["the released stub earns something"])])
    assert "3 FAIL" in text and "FAIL  f, stub: the released stub earns something" in text
    assert text.endswith("1 gates passed, 1 failed")
