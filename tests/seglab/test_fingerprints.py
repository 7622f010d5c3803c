"""A mistake gets its name from the values that came back, and a weak match gives none."""

import math

import numpy as np
import pytest
import torch

from seglab.bridge.student import StudentError, local_student
from seglab.checking.compare import Mismatch, assert_same
from seglab.checking.fingerprints import _alike, differences, fingerprint, name_misconceptions, observation


def values(seed):
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))


class Checks:
    """`f`: twice its input, in one call; zeros stay, and a string is refused."""

    def test_first(self, student):
        assert_same(student.f(values(1)), 2 * values(1))

    def test_second(self, student):
        assert_same(student.f(values(2)), 2 * values(2))

    def test_third(self, student):
        assert_same(student.f(values(3)), 2 * values(3))
        assert_same(student.f(torch.zeros(2)), torch.zeros(2))

    def test_refuses(self, student):
        assert_same(student.f(values(4)), 2 * values(4))
        with student.raises(ValueError):
            student.f("text")

    def test_calls(self, student):
        calls = []
        student.f(values(5), lambda: calls.append(1))
        if len(calls) > 1:
            raise Mismatch("rule", "1 call", f"{len(calls)} calls")

    def probe_small(self, student):
        student.f(torch.tensor([0.25, 0.5]))


def see(function):
    seen = {}
    for name in [name for name in vars(Checks) if name.startswith(("test_", "probe_"))]:
        student, error = local_student({"f": function}), None
        try:
            getattr(Checks(), name)(student)
        except Exception as problem:
            error = problem
        seen[name] = observation(student.seen, None if name.startswith("probe_") else error)
    return seen


def refusing(function):
    def f(x, count=lambda: None):
        if isinstance(x, str):
            raise ValueError("no text")
        return function(x, count)

    return f


def right(x, count=lambda: None):
    if isinstance(x, str):
        raise ValueError("no text")
    count()
    return 2 * x


def thrice(x, count=lambda: None):
    return 3 * x


def mirrored(x, count=lambda: None):
    return 2 * torch.flip(x, [-1])


def counts_twice(x, count=lambda: None):
    count()
    return right(x, count)


def counts_three_times(x, count=lambda: None):
    count()
    return counts_twice(x, count)


KNOWN = {function.__name__: function for function in (thrice, mirrored, counts_twice, counts_three_times)}


def named(function, known=KNOWN):
    model = see(right)
    return name_misconceptions(see(function), {k: differences(see(f), model) for k, f in known.items()}, model)


@pytest.mark.parametrize("name", KNOWN)
def test_each_is_told_its_own_cause_also_by_the_careful(name):
    assert named(KNOWN[name]) == [name]
    assert named(refusing(KNOWN[name])) == [name]


def test_a_right_answer_has_no_mistake():
    assert named(right) == []


def test_a_guard_for_a_special_case_hides_nothing():
    assert named(lambda x, count=None: x if not isinstance(x, str) and not x.any() else 3 * x) == ["thrice"]


def test_a_second_slip_elsewhere_hides_nothing():
    def slipped(x, count=None):
        return 3 * x + (x.numel() == 6 and bool((x == values(2)).all()))

    assert named(slipped) == ["thrice"]


def test_a_mistake_in_most_places_something_else_is_not_named():
    assert named(lambda x, count=None: 3 * x if bool((x == values(1)).all()) else 5 * x) == []


def test_who_is_right_where_the_mistake_would_show_does_not_make_it():
    assert named(lambda x, count=None: 3 * x if x.shape == (2, 3) and x[0, 0] > 0 else 2 * x) == []


def test_another_mistake_is_not_named():
    assert named(lambda x, count=None: 5 * x) == []
    assert named(lambda x, count=None: None) == []


def test_errors_of_its_own_are_looked_through_by_a_probe():
    def timid(x, count=None):
        if x.shape == (2, 3):
            raise RuntimeError("only small ones")
        return 3 * x

    assert named(timid) == ["thrice"]
    assert named(lambda x, count=None: timid(torch.ones(2, 3))) == []


def test_mistakes_with_right_values_are_told_apart_by_how_they_fail():
    assert named(counts_twice) == ["counts_twice"]
    assert named(counts_three_times) == ["counts_three_times"]


def test_one_small_number_is_too_weak_a_match():
    model = {"test_a": observation([4], None), "test_b": observation([7], None)}
    off_by_one = {"test_a": observation([5], AssertionError()), "test_b": observation([7], None)}
    known = {"one_more": differences(off_by_one, model)}
    assert name_misconceptions(off_by_one, known, model) == ["one_more"], "the same in each and every test"
    other = {"test_a": observation([5], AssertionError()), "test_b": observation([9], AssertionError())}
    assert name_misconceptions(other, known, model) == []


def test_errors_count_by_their_words():
    def error(words):
        return StudentError(["RuntimeError"], words)

    model = {"test_a": observation([0.5], None), "test_b": observation([1.5], None)}
    crash = {"test_a": observation([error("sizes differ")], error("sizes differ")), "test_b": observation([1.5], None)}
    known = {"crash": differences(crash, model)}
    assert name_misconceptions(crash, known, model) == ["crash"]
    other = crash | {"test_a": observation([error("index out of range")], error("index out of range"))}
    assert name_misconceptions(other, known, model) == []


@pytest.mark.parametrize(
    ("value", "other", "same"),
    [
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-6]), True),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.01]), False),
        (torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 2.0]]), False),
        (torch.tensor([1.0, math.nan]), torch.tensor([math.nan, 1.0]), False),
        (torch.tensor([1.0, 2.0]), np.array([1.0, 2.0], dtype=np.float32), False),
        ([1, 2], (1, 2), False),
        (1, 1.0, False),
        (True, 1, False),
        ({"a": 1}, {"a": 1}, True),
        (None, 0, False),
    ],
)
def test_fingerprints_tell_values_apart_up_to_rounding(value, other, same):
    assert _alike(fingerprint(value), fingerprint(other)) is same


def test_nobody_can_read_the_value_from_its_fingerprint():
    text = fingerprint(torch.tensor([0.123456, 7.0]))
    assert "0.123456" not in text and len(text) < 80
