"""Answers that the graders have never seen: right ones pass, wrong ones fail, a cause that is named is the true one.

The answers stand in `battery/NN_topic.py`. They were written from what students receive: the same mistakes as the
misconceptions written differently, beside a guard or a second slip, and mistakes that no misconception describes.
`python tests/autograde/test_battery.py` prints the figures, `… 02` those of lesson 02.
"""

import sys
from dataclasses import dataclass

import pytest
import torch

from autograde.graders.candidates import Candidate, candidates
from autograde.grading.rules import broken_rule
from autograde.grading.verdict import grade, local_functions
from autograde.lessons import Lesson, all_lessons, load
from seglab.checking.run import examine

SEED = 7
LESSONS = [lesson for lesson in all_lessons() if lesson.battery_file.exists()]
NAMED_AT_LEAST, FALSE_AT_MOST, ACCEPTED_AT_MOST = 0.75, 0.01, 0.01


@dataclass(frozen=True)
class Outcome:
    """What became of one answer: by 'grader' or 'check'."""

    candidate: Candidate
    who: str
    passed: bool
    explanation: str
    named: str  # 'truly', 'falsely' or 'not'


def outcomes(lesson: Lesson) -> list[Outcome]:
    """Every answer of a lesson's battery, graded and checked."""
    source = lesson.battery_file.read_text(encoding="utf-8")
    found = []
    for one in candidates(load(lesson.battery_file)):
        refused = broken_rule(one.name, [source], lesson.forbidden(one.exercise))
        verdict = grade(lesson, one.exercise, local_functions({one.exercise: one.function}), SEED, refused=refused)
        with torch.enable_grad():
            report = examine(one.exercise, one.function)
        for who, passed, said in (
            ("grader", verdict.share == 1, verdict.explanation),
            ("check", report.state == "passed", report.misconception),
        ):
            found.append(Outcome(one, who, passed, said, _named(lesson, one, said)))
    return found


def _named(lesson, one, said) -> str:
    true = [c.explanation for c in lesson.misconceptions if c.exercise == one.exercise and c.name in one.causes]
    return "not" if not said else "truly" if any(text in said for text in true) else "falsely"


def is_right(one: Candidate) -> bool:
    return one.name.startswith("right_")


@pytest.fixture(scope="module")
def all_outcomes():
    return {lesson.name: outcomes(lesson) for lesson in LESSONS}


def test_every_exercise_has_a_battery(all_outcomes):
    for lesson in all_lessons():
        answers = [one.candidate for one in all_outcomes[lesson.name] if one.who == "grader"]
        known = {c.name for c in lesson.misconceptions}
        for exercise in lesson.exercises:
            wrong = [one for one in answers if one.exercise == exercise.name and not is_right(one)]
            assert len(wrong) >= 8, f"{exercise.name}: {len(wrong)} wrong answers"
            assert all(cause in known for one in wrong for cause in one.causes), "causes are misconceptions"
            assert any(is_right(one) for one in answers if one.exercise == exercise.name), exercise.name


def test_right_answers_pass(all_outcomes):
    rejected = [one for found in all_outcomes.values() for one in found if is_right(one.candidate) and not one.passed]
    assert [(one.candidate.exercise, one.candidate.name, one.who) for one in rejected] == []


def test_wrong_answers_fail(all_outcomes):
    wrong = [one for found in all_outcomes.values() for one in found if not is_right(one.candidate)]
    graded = [one for one in wrong if one.who == "grader"]
    accepted = [(one.candidate.exercise, one.candidate.name) for one in graded if one.passed]
    assert len(accepted) <= ACCEPTED_AT_MOST * len(graded), accepted


@pytest.mark.parametrize("who", ["grader", "check"])
def test_a_named_cause_is_the_true_cause(all_outcomes, who):
    failed = [one for found in all_outcomes.values() for one in found if one.who == who and not one.passed]
    false = [(one.candidate.exercise, one.candidate.name, one.explanation) for one in failed if one.named == "falsely"]
    assert len(false) <= FALSE_AT_MOST * len(failed), false
    truly = sum(one.named == "truly" for one in failed)
    assert truly >= NAMED_AT_LEAST * len(failed), f"{truly} of {len(failed)}"


def figures(found: list[Outcome]) -> str:
    """What the tests above look at, in words."""
    lines = []
    for who in ("grader", "check"):
        mine = [one for one in found if one.who == who]
        right, wrong = ([one for one in mine if is_right(one.candidate) is kind] for kind in (True, False))
        failed = [one for one in wrong if not one.passed]
        counts = ", ".join(f"{sum(one.named == how for one in failed)} {how}" for how in ("truly", "falsely", "not"))
        lines.append(
            f"{who}: right {sum(one.passed for one in right)} of {len(right)} pass; "
            f"wrong {len(wrong) - len(failed)} of {len(wrong)} accepted; named: {counts}"
        )
    return "\n".join(lines)


def main() -> None:
    everything, chosen = [], sys.argv[1:]
    for lesson in [one for one in LESSONS if not chosen or one.name[:2] in chosen]:
        found = outcomes(lesson)
        everything += found
        print(f"{lesson.name}\n{figures(found)}")
        for one in found:
            name = f"{one.candidate.exercise}, {one.candidate.name}, {one.who}"
            if is_right(one.candidate) is not one.passed:
                print(f"  {name}: {'accepted' if one.passed else 'rejected'}")
            elif not is_right(one.candidate) and one.named != "truly" and not one.passed:
                wanted = f" (true: {', '.join(one.candidate.causes) or 'none known'})"
                print(f"  {name}: {one.named} named{wanted}{': ' + one.explanation if one.explanation else ''}")
    print(f"all\n{figures(everything)}")


if __name__ == "__main__":
    main()
