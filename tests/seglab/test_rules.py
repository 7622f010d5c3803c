"""What is not allowed: the row of the visible check, what is noted while a function runs, and the library's names.

The many ways to spell it stand in `tests/autograde/test_rules.py`, where the notebook and the grader must agree.
"""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seglab.bridge.student import Student, StudentError, local_student
from seglab.bridge.wire import pack
from seglab.checking import run
from seglab.checking.rules import PLACES, SYNONYMS, Rule, _plain, names_used
from seglab.checking.run import examine

LESSON = '''
class TestTwice:
    """twice: as large"""

    forbidden = {"interpolate": "you are building it", "repeat": "it copies"}

    def test_map(self, student):
        """A map"""
        import torch
        assert student.twice(torch.ones(1, 1, 2, 2)).shape == (1, 1, 4, 4)
'''


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def borrowed(x):
    return F.interpolate(x, scale_factor=2)


def through_a_helper(x):
    return borrowed(x)


magnify = F.interpolate


def through_an_alias(x):
    return magnify(x, scale_factor=2)


def from_pieces(x):
    name = "".join(reversed("etalopretni"))
    return getattr(F, name)(x, scale_factor=2)


def in_a_branch(x):
    return F.interpolate(x) if len(x) > 1 else twice(x)


class Wrapped(nn.Module):
    def forward(self, x):
        return F.interpolate(x)


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    (tmp_path / "07_trial.py").write_text(LESSON)
    monkeypatch.setattr(run, "LESSONS", tmp_path)


# --- the row ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [borrowed, through_a_helper, through_an_alias, from_pieces, in_a_branch, eval("lambda x: borrowed(x)")]
)
def test_what_is_not_allowed_is_the_first_row(answer, lesson):
    report = examine("twice", answer)
    assert report.state == "failed" and [outcome.passed for outcome in report.outcomes] == [False, True]
    assert "got: a use of interpolate" in repr(report) and "you are building it" in repr(report)


def test_a_right_answer_keeps_the_rule(lesson):
    assert examine("twice", twice).state == "passed"


def test_a_class_is_read_with_its_methods():
    assert "interpolate" in names_used(Wrapped) and "interpolate" not in names_used(nn.ReLU)


def test_a_function_that_wraps_itself_is_read_no_further():
    def round_and_round(x):
        return x

    round_and_round.__wrapped__ = round_and_round
    assert names_used(round_and_round) == set()


# --- what is called ---------------------------------------------------------------------------------------------------


CALLS = {
    "function": lambda x: F.interpolate(x, scale_factor=2),
    "older name": lambda x: F.upsample(x, scale_factor=2),
    "layer": lambda x: nn.Upsample(scale_factor=2)(x),
    "operator": lambda x: torch.ops.aten.upsample_nearest2d(x, [4, 4]),
    "overload": lambda x: torch.ops.aten.upsample_nearest2d.vec(x, [4, 4], None),
    "binding": lambda x: torch._C._nn.upsample_nearest2d(x, [4, 4]),
    "method": lambda x: x.log_softmax(1),
    "special": lambda x: torch.special.log_softmax(x, 1),
    "exec": lambda x: exec("F.interpolate(x, scale_factor=2)", {"F": F, "x": x}),
    "vmap": lambda x: torch.vmap(F.log_softmax)(x),
    "before an error": lambda x: F.interpolate(x, scale_factor=2) / "2",
}
RULE = Rule({"interpolate": "built", "log_softmax": "written"})


@pytest.fixture
def student():
    student = local_student(CALLS | {"twice": twice, "build": Wrapped})
    student.watch = True
    return student


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_called_is_noted(name, student):
    try:
        student._call(name, None, [torch.ones(1, 1, 2, 2)], {}, keep=True)
    except StudentError as error:
        assert error.types[0] == "TypeError"
    assert RULE.broken_by(student.used)


def test_what_a_kept_network_calls_is_noted(student):
    net = student.build.module()
    assert not RULE.broken_by(student.used)
    with pytest.raises(StudentError):
        net(torch.ones(1, 1, 2, 2))
    assert RULE.broken_by(student.used) == ["interpolate"]


def test_only_what_the_student_calls_is_noted(student):
    given = student.twice(torch.ones(1, 1, 2, 2))
    assert torch.equal(given, F.interpolate(torch.ones(1, 1, 2, 2), scale_factor=2))
    assert "repeat_interleave" in student.used and not RULE.broken_by(student.used)


@pytest.mark.parametrize("used", [None, "interpolate", ["a"] * 10_000, [1], {"a": 1}, ("a",)])
def test_names_that_are_none_are_refused(used):
    student = Student(lambda frame, ask: pack({"value": 1, "used": used}))
    with pytest.raises(StudentError, match="could not be read"):
        student.f()
    assert not student.used


def test_a_long_name_is_cut():
    student = Student(lambda frame, ask: pack({"value": 1, "used": ["a" * 10_000]}))
    assert student.f() == 1 and student.used == {"a" * 100}


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_short_name_stands_for_all_that_do_the_same():
    rule = Rule({"interpolate": "built", "nll_loss": "written", "one_hot": "counted"})
    assert all(rule.reason(name) == "built" for name in ("Upsample", "UpsamplingBilinear2d", "upsample_nearest2d"))
    assert rule.reason("NLLLoss2d") == "written" and rule.reason("one_hot") == "counted"
    others = ("pad", "binary_cross_entropy", "PoissonNLLLoss", "softmax", "hot", "", "pixel_shuffle", "resize_")
    assert not any(map(rule.reason, others))


def test_every_row_of_synonyms_holds_something_of_the_library():
    names = {_plain(name) for place in PLACES for name in dir(place)}
    for row in SYNONYMS:
        assert any(re.fullmatch(row, name) for name in names), row


def test_a_rule_that_forbids_nothing_is_a_mistake():
    with pytest.raises(LookupError, match="interpolte"):
        Rule({"interpolte": "a slip"})


@pytest.mark.parametrize("path", sorted(run.LESSONS.glob("[0-9][0-9]_*.py")), ids=lambda path: path.stem)
def test_the_names_that_lessons_forbid_are_there(path):
    for tests in vars(run._load(path)).values():
        Rule(getattr(tests, "forbidden", {}))
