"""Networks behind handles: what is forged earns nothing, and no reply of any kind becomes a fault of the grader."""

import functools
import random
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from autograde.grading.submission import Submission, Timeouts
from autograde.grading.verdict import grade, grade_functions
from autograde.lessons import Lesson, all_lessons
from autograde.reference.fcn import FCN
from seglab.bridge import student as student_module
from seglab.bridge.agent import Agent
from seglab.bridge.student import Student, StudentError, local_student
from seglab.bridge.wire import Reference, Unsendable, pack
from seglab.checking.compare import Mismatch

DENSE, NETWORKS = (all_lessons(only=only)[0] for only in ("03", "05"))


# Replies that no agent of ours would send: a student's code can reach the agent in its own process and change it.


def handle(number, is_module):
    return Reference("handle", number, "Conv2d", is_module)


ODD = [
    *(None, True, 3, -1, "s", "\ud800.x", 1.5, float("nan"), [], (), {}, {"a": 1, 2: 3}, [1, "a", None]),
    *(
        torch.tensor(2.0),
        torch.zeros(2, 3),
        torch.zeros(0),
        torch.zeros(4, dtype=torch.int64),
        torch.ones(2, 2).double(),
    ),
    *(torch.zeros(2, 2, 2, 2, dtype=torch.bool), torch.full((2, 3, 4, 6), float("nan")), torch.zeros(3).bfloat16()),
    *(np.zeros((2, 3)), np.zeros(3, dtype=np.uint16), np.bool_(True), np.float32(1)),
    *(handle(0, True), handle(0, False), handle(10**6, True), handle(-1, True)),
    *([("weight", 1)], [("weight", torch.zeros(2))] * 2, [("\ud800", torch.zeros(1))], {"weight": torch.zeros(3)}),
]
REPLIES = [pack({"value": value}) for value in ODD] + [
    pack({"error": {"types": [name], "message": "m", "traceback": ""}}) for name in ("ValueError", "\ud800", "Missing")
]


def odd_student(functions, seed):
    """Makes students that answer rightly until some request, and oddly there, or from there on."""
    choose = random.Random(seed)
    agent = Agent(functions)

    def make():
        begin, reply, for_ever = choose.randrange(choose.choice([3, 8, 20])), choose.choice(REPLIES), seed % 2
        asked = iter(range(10**6))

        def exchange(frame, ask):
            number = next(asked)
            return reply if number == begin or (for_ever and number > begin) else agent.answer(frame, ask)

        return Student(exchange)

    return make


@pytest.mark.parametrize(
    ("lesson", "exercise"),
    [
        (DENSE, "linear_to_conv"),
        (DENSE, "convolutionalize"),
        (DENSE, "pool_head_to_conv"),
        (NETWORKS, "upsample_nearest"),
        (NETWORKS, "FCN"),
    ],
    ids=lambda value: getattr(value, "topic", value),
)
def test_odd_replies_fail_and_are_no_fault(monkeypatch, lesson, exercise):
    functions = {exercise: getattr(lesson.reference, exercise)}
    for seed in range(8):
        monkeypatch.setattr(
            "autograde.grading.verdict.local_student", lambda _, seed=seed: odd_student(functions, seed)()
        )
        faults = [one.detail[-300:] for one in grade_functions(lesson, exercise, {}, seed).criteria if one.grader_fault]
        assert faults == []


@pytest.mark.parametrize("reply", [None, torch.zeros(1)], ids=["None", "tensor"])
def test_what_should_be_kept_is_a_handle_or_an_error(reply):
    student = Student(lambda frame, ask: pack({"value": reply}))
    for ask in (lambda: student.keep(1), lambda: student.f.kept(1)):
        with pytest.raises(StudentError, match="kept"):
            ask()


@pytest.mark.parametrize("named", [{"a": torch.zeros(1)}, [("a", torch.zeros(1))] * 2, [("a", 1)], 3])
def test_odd_parameters_and_gradients_are_wrong_answers(named):
    replies = iter([handle(0, True), named, named])
    net = Student(lambda frame, ask: pack({"value": next(replies)})).f.module()
    with pytest.raises(Mismatch, match="parameters"):
        net.parameters()
    with pytest.raises(Mismatch, match="gradients"):
        net.gradients(torch.zeros(1), torch.zeros(1))


def test_the_replies_to_one_test_are_bounded(monkeypatch):
    monkeypatch.setattr(student_module, "MAX_RECEIVED", 10_000)
    student = local_student({"much": lambda: torch.zeros(1000)})
    student.much()
    with pytest.raises(StudentError, match="bytes"):
        for _ in range(3):
            student.much()
    local_student({"much": lambda: torch.zeros(1000)}).much()


# Networks that lie


class Pretender:
    """Not a network, whatever it says."""

    __class__ = nn.Module

    def __call__(self, x):
        return x


class Hiding(nn.Linear):
    """It has more weights than it says."""

    def __init__(self):
        super().__init__(3, 2)
        self.more = nn.Linear(1, 1)

    def named_parameters(self, *args, **kwargs):
        return iter([("weight", self.weight), ("bias", self.bias)])

    def named_modules(self, *args, **kwargs):
        return iter([("", self)])


class Forging(nn.Linear):
    """Nothing is learned: the gradients were written into it, and its answer has a `backward` that does nothing."""

    def forward(self, x):
        answer = types.SimpleNamespace(backward=lambda grad: None)
        return answer if self.weight.grad is not None else super().forward(x).detach()

    def zero_grad(self, set_to_none=True):
        self.weight.grad, self.bias.grad = torch.ones(2, 3), torch.ones(2)


def test_no_object_becomes_a_network_by_saying_so():
    with pytest.raises(Mismatch, match=r"nn\.Module"):
        local_student({"build": Pretender}).build.module()


def test_weights_that_a_network_hides_are_seen():
    net = local_student({"build": Hiding}).build.module()
    assert list(net.parameters()) == ["weight", "bias", "more.weight", "more.bias"]
    shared = nn.Linear(2, 2)
    net = local_student({"build": lambda: nn.Sequential(shared, shared)}).build.module()
    assert list(net.parameters()) == ["0.weight", "0.bias"], "each once"


def test_gradients_are_those_of_the_answer():
    net = local_student({"build": lambda: Forging(3, 2)}).build.module()
    with pytest.raises(StudentError):
        net.gradients(torch.ones(1, 3), torch.ones(1, 2))
    net.call("zero_grad")
    with pytest.raises(StudentError):
        net.gradients(torch.ones(1, 3), torch.ones(1, 2))


def test_endless_generators_are_not_waited_for():
    class Endless(nn.Linear):
        def train(self, mode=True):
            while True:
                yield 1

    with pytest.raises(StudentError, match="Unsendable"):
        local_student({"build": lambda: Endless(1, 1)}).build.module().call("train")


def test_an_error_must_be_the_one_that_its_name_says():
    student = local_student({"f": lambda: (_ for _ in ()).throw(type("ValueError", (Exception,), {})("no"))})
    with pytest.raises(StudentError), student.raises(ValueError):
        student.f()


class Text(str):
    def __getitem__(self, index):
        return self


class Meta(type):
    __name__ = property(lambda cls: Text("ValueError"))


class Odd(Exception, metaclass=Meta):
    def __str__(self):
        return Text("odd")


class Leaving(Unsendable):
    def __str__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("error", [Odd, Leaving, Unsendable(Leaving())], ids=["odd", "leaving", "unsendable"])
def test_errors_that_cannot_be_told_are_errors_all_the_same(error):
    def f():
        raise error

    with pytest.raises(StudentError):
        local_student({"f": f}).f()


# Answers that look right to a careless test


def failed(lesson, exercise, answer):
    verdict = grade_functions(lesson, exercise, {exercise: answer}, 3)
    assert not any(one.grader_fault for one in verdict.criteria)
    return {one.test for one in verdict.criteria if not one.passed}


@pytest.mark.parametrize("answer", [None, 1, []], ids=repr)
def test_a_size_of_another_type_is_a_wrong_answer(answer):
    names = {one.test for one in grade_functions(DENSE, "map_size", {}, 3).criteria}
    assert failed(DENSE, "map_size", lambda *args: answer) == names


def test_a_convolution_of_any_weights_earns_nothing():
    names = {one.test for one in grade_functions(DENSE, "linear_to_conv", {}, 3).criteria}
    assert (
        failed(DENSE, "linear_to_conv", lambda linear, *shape: nn.Conv2d(shape[0], linear.out_features, shape[1]))
        == names
    )


def test_a_network_of_zeros_is_no_beginning():
    def zeros(*args):
        net = FCN(*args)
        for one in net.score_32.parameters():
            nn.init.zeros_(one)
        return net

    assert failed(NETWORKS, "FCN", zeros) == {"test_skips_start_at_zero"}


def test_score_layers_must_not_be_hidden():
    class AllThree(FCN):
        def __init__(self, encoder, widths, num_classes, stride):
            super().__init__(encoder, widths, num_classes, stride)
            self.spare = nn.Conv2d(widths[1], num_classes, 1)

        def named_parameters(self, *args, **kwargs):
            return (pair for pair in super().named_parameters(*args, **kwargs) if "spare" not in pair[0])

    assert "test_weights" in failed(NETWORKS, "FCN", AllThree)


# A test that stumbles over an answer

GRADER = '''
class TestF:
    """f"""

    def test_careless(self, student):
        """a"""
        assert student.f(1)[0] == 2

    def test_broken(self, student):
        """b"""
        student.f(1)
        return undefined
'''


@pytest.fixture
def careless(tmp_path):
    files = {
        "graders/99_careless/test_careless.py": GRADER,
        "reference/careless.py": "def f(x):\n    return [x + 1]\n",
        "graders/99_careless/misconceptions.py": "",
        "../seglab/checking/lessons/99_careless.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "autograde" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Lesson("99_careless", tmp_path)


def test_what_the_reference_passes_is_no_fault_of_the_grader(careless):
    verdict = grade(careless, "f", functools.partial(local_student, {"f": lambda x: None}), 0)
    assert {one.test: (one.passed, one.grader_fault) for one in verdict.criteria} == {
        "test_careless": (False, False),
        "test_broken": (False, True),
    }


def test_a_sandbox_that_cannot_be_reached_is_no_fault_of_the_student(careless):
    def unreachable(frame, ask):
        raise RuntimeError("the sandboxed kernel did not start")

    verdict = grade(careless, "f", lambda: Student(unreachable), 0)
    assert [one.grader_fault for one in verdict.criteria] == [True, True]
    assert all("sandbox" in one.symptom for one in verdict.criteria)


# In the sandbox

PATCHES = [
    "agent.Agent._keep = lambda self, value: 3",
    "agent._weights = lambda network: {'weight': torch.zeros(1)}",
    "agent.pack = lambda *a, **k: b'\\x02\\x00\\x00\\x00{}'",
]


@pytest.mark.skipif(sys.platform == "win32", reason="the sandbox needs Unix sockets")
def test_a_patched_agent_earns_nothing_and_breaks_nothing():
    answer = next(cell.source for cell in DENSE.cells if cell.metadata.get("solution") == "linear_to_conv")
    with Submission(timeouts=Timeouts(call=3)) as submission:
        submission.run_cell(f"import torch\nfrom torch import nn, Tensor\n{answer}")
        submission.begin_exercise()
        assert grade(DENSE, "linear_to_conv", submission.student, 0).share == 1
        submission.run_cell("from seglab.bridge import agent\nRIGHT = agent.pack, agent._weights, agent.Agent._keep")
        for patch in PATCHES:
            submission.run_cell(f"agent.pack, agent._weights, agent.Agent._keep = RIGHT\n{patch}")
            submission.begin_exercise()
            verdict = grade(DENSE, "linear_to_conv", submission.student, 0)
            assert verdict.share < 1, patch
            assert [one.detail[-300:] for one in verdict.criteria if one.grader_fault] == []
