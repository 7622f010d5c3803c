"""The visible check: what it says, what it leaves alone, and how it behaves where students are careless."""

import inspect
import io
import json
import os
import random
import re
import sys
import textwrap
import warnings
from contextlib import redirect_stdout

import matplotlib
import numpy as np
import pytest
import torch

from seglab import check
from seglab.bridge.student import Call
from seglab.checking import run as module
from seglab.checking import show
from seglab.checking.compare import Mismatch
from seglab.checking.explain import Outcome, details
from seglab.checking.fingerprints import differences
from seglab.checking.run import examine, find_tests, observe

matplotlib.use("Agg")

LESSON = '''
import torch

from seglab.checking.compare import assert_same


class TestDoubleAll:
    """double_all: <twice> as much"""

    forbidden = {"interpolate": "you are building it", "repeat": "it copies"}

    def test_numbers(self, student):
        """Twice each number"""
        assert_same(student.double_all([1, 2, 3]), [2, 4, 6])

    def test_map(self, student):
        """A map keeps its shape"""
        x = torch.arange(12.0).reshape(1, 3, 4)
        assert_same(student.double_all(x), x + x)

    def test_error(self, student):
        """A string is refused"""
        assert_same(student.double_all([1]), [2])
        with student.raises(TypeError):
            student.double_all("1")


class TestOneMore:
    """one_more: a number plus one"""

    def test_one(self, student):
        """1 gives 2"""
        assert student.one_more(1) == 2

    def test_length(self, student):
        """A list comes back for a list"""
        assert len(student.one_more([1])) == 1
'''


@pytest.fixture(autouse=True)
def lesson(tmp_path, monkeypatch):
    """A lesson with two small exercises in place of the course's own, and no memory of earlier runs."""
    (tmp_path / "07_trial.py").write_text(LESSON)
    monkeypatch.setattr(module, "LESSONS", tmp_path)
    show._failing_runs.clear()
    return tmp_path


def text_of(target, namespace=None):
    """What a terminal shows for `check(target)` called from a notebook with these variables."""
    shown = io.StringIO()
    with redirect_stdout(shown):
        eval("check(target)", {"check": check, "target": target, **(namespace or {})})
    return shown.getvalue()


def double_all(x):
    if isinstance(x, str):
        raise TypeError("a string is not a number")
    return [2 * item for item in x] if isinstance(x, list) else 2 * x


def html_of(function, name="double_all"):
    return show.as_html(examine(name, function))


# --- what it says -----------------------------------------------------------------------------------------------------


def test_a_right_answer_passes_and_hidden_checks_are_announced():
    text = text_of(double_all)
    assert "4 of 4 visible checks passed; hidden checks with other inputs run at grading" in text
    assert text.count("✓ pass") == 4 and "✗" not in text and "hint" not in text


def test_it_returns_nothing_and_shows_once(capsys):
    assert check(double_all) is None
    assert capsys.readouterr().out.count("visible checks passed") == 1


def test_by_name_and_by_a_variable_of_another_name():
    assert "4 of 4" in text_of("double_all", {"double_all": double_all})
    anonymous = lambda x: double_all(x)  # noqa: E731
    assert "4 of 4" in text_of(anonymous, {"double_all": anonymous})


def test_wrong_values_shape_before_largest_difference_before_first_index():
    def wrong(x):
        return x * 3 if isinstance(x, torch.Tensor) else double_all(x)

    text = text_of("double_all", {"double_all": wrong})
    wanted = [
        "✗ fail  A map",
        "tensor of shape (1, 3, 4)",
        "expected: tensor of shape (1, 3, 4), float32",
        "largest difference: 11",
    ]
    wanted += ["first wrong index: (0, 0, 1): expected 2, got 3", "3 of 4 visible checks passed", "open hint 1"]
    assert [text.index(part) for part in wanted] == sorted(text.index(part) for part in wanted)


@pytest.mark.parametrize(
    ("answer", "expected", "got"),
    [
        (lambda x: x[0] if isinstance(x, torch.Tensor) else double_all(x), "shape (1, 3, 4)", "shape (3, 4)"),
        (
            lambda x: (2 * x).double() if torch.is_tensor(x) else double_all(x),
            "dtype torch.float32",
            "dtype torch.float64",
        ),
        (lambda x: [2 * item for item in x][:2] if isinstance(x, list) else 2 * x, "3 items", "2 items"),
    ],
)
def test_wrong_shape_dtype_or_length(answer, expected, got):
    text = text_of("double_all", {"double_all": answer})
    assert f"expected: {expected}" in text and f"got: {got}" in text


def test_layers_and_networks_are_shown_so_that_they_can_be_built_again():
    from torch import nn

    from seglab.checking.compare import describe
    from seglab.layers import conv, pool

    assert describe([conv(3, 6, 5, padding=2), pool()]) == (
        "[conv(in_channels=3, out_channels=6, kernel_size=5, padding=2), pool(kernel_size=2, stride=2)]"
    )
    odd = describe({"kind": "conv", "stride": torch.zeros(2), 3: None})
    assert odd == "conv(stride=tensor of shape (2,), float32: [0, 0], 3=None)"
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    assert (
        describe(net) == "Sequential(Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1)), ReLU(), Flatten(), Linear(8, 2))"
    )


def test_numbers_that_look_alike_get_more_digits():
    from seglab.checking.compare import Mismatch, assert_same

    with pytest.raises(Mismatch) as caught:
        assert_same(torch.tensor([0.05 + 1e-7, 1.0]).double(), torch.tensor([0.05, 1.0]).double())
    assert caught.value.expected != caught.value.got


def test_a_wrong_item_is_named():
    text = text_of("double_all", {"double_all": lambda x: [2, 4, 7]})
    assert "expected: [2, 4, 6]" in text and "got: [2, 4, 7]" in text and "in item [2]: expected 6, got 7" in text


def test_a_forgotten_return_is_noted():
    assert "is a return missing?" in text_of("double_all", {"double_all": lambda x: None})


def test_an_error_names_the_students_line_and_hides_the_library_frames():
    def broken(x):
        return torch.zeros(2) @ torch.zeros(3)

    text = text_of("double_all", {"double_all": broken})
    assert "got: RuntimeError" in text and "return torch.zeros(2) @ torch.zeros(3)" in text
    assert "Traceback" not in text and "agent.py" not in text


def test_plain_asserts_and_unusable_answers_are_explained():
    text = text_of("one_more", {"one_more": lambda x: 5})
    assert "call: one_more(1)" in text and "got: 5" in text
    assert "expected: an answer that can be used (object of type 'int' has no len())" in text


def test_a_refusal_that_does_not_come_is_told():
    text = text_of("double_all", {"double_all": lambda x: x * 2 if torch.is_tensor(x) else [2 * int(i) for i in x]})
    assert "expected: TypeError" in text and "got: [2]" in text


def test_what_is_printed_is_caught_and_shown_short_under_a_failing_row():
    def chatty(x):
        print("spam " * 200)
        return x

    text = text_of("double_all", {"double_all": chatty})
    assert "printed: spam spam" in text and text.count("spam") < 150


# --- what is missing --------------------------------------------------------------------------------------------------


def test_a_stub_gets_one_sentence_and_no_table():
    def stub(x):
        raise NotImplementedError("write me")

    report = examine("double_all", stub)
    assert report.state == "not started" and not report.outcomes
    assert "double_all is not written yet" in repr(report) and "✗" not in show.as_html(report)
    text_of("double_all", {"double_all": stub})
    assert "hint 1" in text_of("double_all", {"double_all": lambda x: 0})  # a stub was no failing run


def test_a_stub_that_is_called_is_named():
    def one_more(x):
        raise NotImplementedError

    assert "double_all calls one_more, which is not written yet" in repr(examine("double_all", lambda x: one_more(x)))


def test_a_half_written_function_gets_its_table():
    def half(x):
        if isinstance(x, list):
            return [2 * item for item in x]
        raise NotImplementedError("maps come next")

    report = examine("double_all", half)
    assert report.state == "failed" and report.passed == 2  # the rule about names, and the numbers


def test_a_missing_function_and_a_missing_exercise():
    assert "double_all is not defined yet: run the cell above" in text_of("double_all")
    assert "there is no exercise named tripled" in text_of("tripled", {"tripled": double_all})
    assert "without a call" in text_of([2, 4])
    with pytest.raises(LookupError, match="tripled"):
        find_tests("tripled")


# --- hints and names for mistakes -------------------------------------------------------------------------------------


def test_each_failing_run_suggests_the_next_hint_and_a_pass_starts_again():
    wrong = {"double_all": lambda x: 0}
    hints = [re.search(r"hint (\d)", text_of("double_all", wrong)).group(1) for _ in range(4)]
    assert hints == ["1", "2", "3", "3"]
    text_of(double_all)
    assert "hint 1" in text_of("double_all", wrong)


def identity(x):
    return x


def remember(lesson, tests, **wrong):
    """Write the fingerprints of the right answer and of some wrong ones, as the build does."""
    right = observe(tests, {"double_all": double_all})
    for about in wrong.values():
        about["shows"] = differences(observe(tests, {"double_all": about.pop("function")}), right)
    (lesson / "07_trial.json").write_text(json.dumps({"double_all": {"right": right, "wrong": wrong}}))


def test_a_known_mistake_is_named_and_others_are_not(lesson):
    _, tests = find_tests("double_all")
    remember(lesson, tests, identity={"explanation": "It <returns> what it got.", "hint": 3, "function": identity})
    report = examine("double_all", lambda x: x)
    assert (report.misconception, report.hint) == ("It <returns> what it got.", 3)
    assert "Looks like: It <returns>" in repr(report) and "It &lt;returns&gt;" in show.as_html(report)
    assert not examine("double_all", lambda x: 0).misconception
    assert not examine("double_all", double_all).misconception


def test_mistakes_that_cannot_be_told_apart_are_both_named(lesson):
    _, tests = find_tests("double_all")
    one, other = ({"explanation": text, "hint": 2, "function": identity} for text in ("This.", "That."))
    remember(lesson, tests, one=one, other=other, third={"explanation": "Third.", "hint": 1, "function": identity})
    assert examine("double_all", identity).misconception == "This. Or: That."


@pytest.mark.parametrize("data", [None, "", "{", '{"one_more": {}}'])
def test_names_for_mistakes_may_be_absent(lesson, data):
    if data is not None:
        (lesson / "07_trial.json").write_text(data)
    assert not examine("double_all", identity).misconception


def test_a_mistake_that_draws_random_numbers_has_one_fingerprint():
    _, tests = find_tests("double_all")
    noisy = {"double_all": lambda x: [random.random(), np.random.rand(), torch.rand(1).item()]}
    assert observe(tests, noisy) == observe(tests, noisy)


# --- HTML -------------------------------------------------------------------------------------------------------------


def test_whatever_the_student_wrote_is_escaped():
    def attack(x):
        print("<script>print</script>")
        if isinstance(x, list):
            raise ValueError("<script>message</script>")
        return "<script>value</script>"

    page = html_of(attack)
    assert "<script" not in page and "&lt;twice&gt;" in page
    assert all(f"&lt;script&gt;{part}" in page for part in ("print", "message", "value"))


def test_symbol_and_word_in_every_row_and_one_picture_with_a_text():
    page = html_of(lambda x: -x if isinstance(x, torch.Tensor) else 0)
    assert page.count("✗ fail") == 3 and page.count("✓ pass") == 1
    assert page.count("<img ") == 1 and "11 of 12 values differ, first at (0, 0, 1)" in page
    assert "<img" not in html_of(double_all)


def test_a_picture_of_what_is_not_finite():
    assert "<img" in html_of(lambda x: x * float("nan") if isinstance(x, torch.Tensor) else 0)


# --- state ------------------------------------------------------------------------------------------------------------


def vandal(x):
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    torch.rand(3), np.random.rand(3), random.random()
    torch.set_default_dtype(torch.float64), torch.set_grad_enabled(False), torch.set_num_threads(1)
    os.chdir("/")
    sys.stdout = sys.stderr = io.StringIO()
    warnings.simplefilter("error")
    import matplotlib.pyplot as plt

    plt.plot([1, 2])
    plt.figure()
    if isinstance(x, list):
        x.append(1)
        raise ValueError("on the way out")
    return x.zero_()


def state():
    plt = sys.modules["matplotlib.pyplot"]
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),
        "random": random.getstate(),
        "settings": (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(), os.getcwd()),
        "streams": (id(sys.stdout), id(sys.stderr)),
        "warnings": list(warnings.filters),
        "figures": (plt.get_fignums(), plt.gcf().number, len(plt.gca().lines)),
    }


@pytest.mark.parametrize("function", [double_all, vandal])
@pytest.mark.parametrize("grad", [True, False])
def test_nothing_of_the_students_changes(function, grad):
    import matplotlib.pyplot as plt

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        first = plt.figure()
        plt.figure()
        plt.figure(first.number)
        with torch.set_grad_enabled(grad):
            before = state()
            examine("double_all", function)
            after = state()
        assert after == before
    finally:
        plt.close("all")
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)


def test_figures_of_the_function_are_closed_where_there_were_none():
    import matplotlib.pyplot as plt

    plt.close("all")
    examine("double_all", vandal)
    assert plt.get_fignums() == []


def test_any_order_and_twice_give_the_same_text():
    wrong = {"double_all": lambda x: torch.rand(2)}
    first = repr(examine("double_all", wrong["double_all"]))
    examine("one_more", lambda x: x)
    assert repr(examine("double_all", wrong["double_all"])) == first


def test_stopping_it_is_told_in_a_sentence_and_restores_the_state():
    def interrupted(x):
        os.chdir("/")
        raise KeyboardInterrupt

    folder = os.getcwd()
    assert "double_all: stopped." in text_of("double_all", {"double_all": interrupted})
    assert os.getcwd() == folder


def test_leaving_python_is_a_failed_criterion():
    assert "SystemExit" in text_of("double_all", {"double_all": lambda x: sys.exit(3)})


# --- in IPython -------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell():
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    yield shell
    shell.set_custom_exc((), None)
    InteractiveShell.clear_instance()


def run_cell(shell, source):
    """(what a cell printed, its result)"""
    from IPython.utils.capture import capture_output

    with capture_output() as caught:
        result = shell.run_cell(textwrap.dedent(source))
    return caught.stdout + caught.stderr, result, caught.outputs


def test_it_displays_once_wherever_it_stands_in_a_cell(shell):
    run_cell(shell, "from seglab import check")
    run_cell(shell, textwrap.dedent(inspect.getsource(double_all)))
    for cell in ("check(double_all)", "check(double_all);", "check(double_all)\n1", "result = check(double_all)"):
        _, result, outputs = run_cell(shell, cell)
        reports = [output for output in outputs if "visible checks" in str(output.data)]
        assert result.success and len(reports) == 1
        assert {"text/plain", "text/html"} <= reports[0].data.keys()


def test_what_the_function_displays_is_swallowed(shell):
    run_cell(shell, "from seglab import check\ndef one_more(x):\n    display('noise')\n    return x")
    assert len(run_cell(shell, "check(one_more)")[2]) == 1


def test_a_name_error_for_an_exercise_is_one_sentence_and_others_are_as_ever(shell):
    show._install_name_error_handler()
    printed, result, _ = run_cell(shell, "print(double_all)")
    assert printed.strip() == "double_all is not defined yet: run the cell above that defines it"
    assert isinstance(result.error_in_exec, NameError)
    printed, _, _ = run_cell(shell, "nobody_knows_me")
    assert "name 'nobody_knows_me' is not defined" in printed and "run the cell" not in printed


def test_somebody_elses_handler_stays(shell):
    shell.set_custom_exc((ZeroDivisionError,), lambda *_, **__: None)
    show._install_name_error_handler()
    assert shell.custom_exceptions == (ZeroDivisionError,)


# --- the course's own -------------------------------------------------------------------------------------------------

REAL = sorted(module.LESSONS.glob("[0-9][0-9]_*.py"))


@pytest.mark.parametrize("path", REAL, ids=[path.stem for path in REAL])
def test_every_visible_check_of_the_course(path, monkeypatch):
    monkeypatch.setattr(module, "LESSONS", path.parent)

    def not_written(*args, **kwargs):
        raise NotImplementedError

    classes = re.findall(r"^class Test(\w+)", path.read_text(), re.MULTILINE)
    assert classes
    for class_name in classes:
        _, tests = find_tests(class_name)
        name = tests.__doc__.partition(":")[0]  # the title begins with the function's name
        assert find_tests(name) == (path, tests)
        assert examine(name, not_written).state == "not started"
        report = examine(name, lambda *args, **kwargs: None)
        assert report.state == "failed" and not any(
            o.passed for o in report.outcomes if not o.criterion.startswith("Does")
        )
        assert all(getattr(tests, test).__doc__ for test in vars(tests) if test.startswith("test_"))


def test_what_is_asked_of_a_result_stands_behind_the_call_that_made_it():
    """A gradient that is wrong: without the function's own call, nobody could repeat it."""
    calls = [Call("enlarge", "enlarge(5, 2)"), Call("its Tensor.backward", "its Tensor.backward()")]
    wrong = Mismatch("values", "1", "2")
    assert details(Outcome("a gradient", wrong, calls))[:2] == [("call", calls[0].text), ("then", calls[1].text)]
    assert [label for label, _ in details(Outcome("a value", wrong, calls[:1]))].count("call") == 1
    assert "then" not in dict(details(Outcome("a value", wrong, calls[:1])))
    assert details(Outcome("of what the test made", wrong, calls[1:]))[0] == ("call", calls[1].text)
