"""The sandbox: what runs inside reaches nothing outside, and whatever it does to itself, the grader goes on."""

import os
import sys
from pathlib import Path

import pytest
import torch

from autograde.grading.sandbox import MIB, Limits, isolation
from autograde.grading.submission import Submission, Timeouts
from seglab.bridge.student import Missing, StudentError
from seglab.checking.compare import Mismatch, assert_same

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = """
import os, sys, time, threading
import torch
def double(x): return x * 2
def apply(function, x): return function(x)
def loop():
    while True: pass
def deaf():
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True: pass
def die(): os._exit(0)
def crash(): os.kill(os.getpid(), 11)
def leave(): sys.exit()
def interrupt(): raise KeyboardInterrupt
def hungry(): return len(bytearray(2 * 2**30))
def flood():
    for _ in range(10**6): print("x" * 1000)
    return 1
def garbage():
    import seglab.bridge.kernel, gc, socket
    for thing in gc.get_objects():
        if isinstance(thing, socket.socket) and thing.family == socket.AF_UNIX:
            thing.sendall(b"r" + b"\\xff" * 500)
    return 1
def closed():
    import gc, socket
    for thing in gc.get_objects():
        if isinstance(thing, socket.socket) and thing.family == socket.AF_UNIX: thing.close()
def endless_callbacks(function):
    while True: function(1)
def change(x):
    x.fill_(7)
    return x
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the sandbox needs Unix sockets")


@pytest.fixture(scope="module")
def submission():
    limits = Limits(memory=1500 * MIB, output=2 * MIB)
    with Submission(limits, Timeouts(cell=6, call=1.5, exercise=60, grace=1)) as submission:
        submission.run_cell(FUNCTIONS)
        yield submission


@pytest.fixture
def student(submission):
    submission.begin_exercise()
    yield submission.student()
    submission.begin_exercise()
    assert submission.student().double(2) == 4, "the submission must still answer afterwards"


def shown(outputs) -> str:
    return " ".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") + o.get("evalue", "") for o in outputs)


def test_this_machine_has_the_strong_isolation():
    """Where the project's own set-up installs bubblewrap, anything weaker would be a silent loss."""
    if not os.environ.get("CI"):
        pytest.skip("only where .ci/run has installed bubblewrap")
    assert isolation() == "bubblewrap"


needs_bubblewrap = pytest.mark.skipif(isolation() != "bubblewrap", reason="bubblewrap is not available here")


@needs_bubblewrap
@pytest.mark.parametrize(
    "probe",
    [
        "import autograde",
        "from autograde.reference import sliding_window",
        f"open({str(ROOT / 'autograde' / '__init__.py')!r})",
        f"open({str(ROOT / 'nbgrader_config.py')!r})",
        f"import os; os.listdir({str(ROOT / 'solutions')!r})",
        "open('/etc/passwd')",
        "import socket; socket.create_connection(('127.0.0.1', 22), timeout=1)",
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "open('/usr/evil', 'w')",
        "open('/evil', 'w')",
        "open('/dev/evil', 'w')",
        "import seglab; open(seglab.__file__, 'a')",
        "import os; os.setuid(0)",
        "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0, 'no new user namespace'",
        "import os; os.kill(os.getppid() + 100000, 0)",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    ],
)
def test_what_is_outside_is_out_of_reach(submission, probe):
    outputs = submission.run_cell(probe)
    assert any(o.output_type == "error" for o in outputs), shown(outputs)


@needs_bubblewrap
def test_the_environment_says_nothing_about_outside(submission, monkeypatch):
    outputs = submission.run_cell(
        "import os; print(sorted(os.environ)); print(os.getcwd(), os.environ['HOME'], os.getuid())"
    )
    text = shown(outputs)
    assert "/home /home 1000" in text
    for name in ("NBGRADER", "CI", "PIP", "USER", "VIRTUAL_ENV", "PYTEST"):
        assert f"'{name}" not in text


@needs_bubblewrap
def test_no_process_of_outside_is_visible(submission):
    text = shown(submission.run_cell("import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))"))
    assert eval(text.strip())[0] == 1 and len(eval(text.strip())) < 10


def test_values_and_callbacks_cross(student):
    assert_same(student.double(torch.ones(2)), torch.full((2,), 2.0))
    assert_same(student.apply(lambda x: x + 1, 4), 5)
    with pytest.raises(Missing):
        student.nothing(1)


def test_an_input_changed_in_place_is_unchanged_here(student):
    x = torch.zeros(3)
    student.change(x)
    assert x.sum() == 0


@pytest.mark.parametrize("name", ["loop", "deaf"])
def test_a_loop_costs_its_call_only(student, name):
    with pytest.raises(StudentError) as caught:
        getattr(student, name)()
    assert caught.value.types == ["TimeoutError"]


@pytest.mark.parametrize("name", ["die", "crash", "closed", "hungry"])
def test_a_death_costs_its_call_only(student, name):
    with pytest.raises(StudentError) as caught:
        getattr(student, name)()
    assert caught.value.types[0] in ("KernelDied", "TimeoutError")


@pytest.mark.parametrize(("name", "error"), [("leave", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
def test_leaving_is_an_answer_like_any_other(student, name, error):
    with pytest.raises(StudentError) as caught:
        getattr(student, name)()
    assert caught.value.types[0] == error


def test_a_flood_of_prints_is_no_harm(student):
    try:
        assert student.flood() == 1
    except StudentError as error:
        assert error.types == ["TimeoutError"]  # a slow machine may not print it all in time


def test_garbage_on_the_wire_is_a_failure_of_the_call(student):
    with pytest.raises(StudentError):
        student.garbage()


def test_endless_callbacks_end(student):
    with pytest.raises(StudentError) as caught:
        student.endless_callbacks(lambda x: x)
    assert caught.value.types[0] in ("TimeoutError", "KeyboardInterrupt")


def test_a_failed_expectation_in_a_callback_is_the_verdict(student):
    def refuse(x):
        raise Mismatch("shape", (1,), (2,))

    with pytest.raises(Mismatch):
        student.apply(refuse, 1)


@pytest.mark.parametrize(
    "cell",
    [
        "import os; os._exit(1)",
        "while True: pass",
        "x = bytearray(2 * 2**30)",
        "for _ in range(10**6): print('x' * 1000)",
        "raise SystemExit",
        "(((",
    ],
)
def test_a_bad_cell_costs_itself_only(submission, cell):
    outputs = submission.run_cell(cell)
    assert any(o.output_type == "error" for o in outputs)
    assert "still here" in shown(submission.run_cell("print('still here')"))
    submission.begin_exercise()
    assert submission.student().double(3) == 6


def test_forks_do_not_outlive_the_limit(submission):
    outputs = submission.run_cell("import os\nwhile True:\n    os.fork()")
    assert any(o.output_type == "error" for o in outputs)
    submission.begin_exercise()
    assert submission.student().double(3) == 6


def test_nothing_that_could_run_in_a_browser_is_kept(submission):
    outputs = submission.run_cell(
        "from IPython.display import HTML, Javascript, display\ndisplay(Javascript('1'))\nHTML('<script>1</script>')"
    )
    assert all(set(o.get("data", {})) <= {"text/plain", "image/png"} for o in outputs)


def test_hooks_in_the_shell_change_nothing(submission):
    submission.run_cell("get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])")
    submission.begin_exercise()
    assert submission.student().double(3) == 6
    submission._restart()


def test_what_hangs_again_and_again_is_not_tried_for_ever():
    with Submission(timeouts=Timeouts(call=1, grace=0.5)) as submission:
        submission.run_cell(FUNCTIONS)
        submission.begin_exercise()
        texts = []
        for _ in range(4):
            with pytest.raises(StudentError) as caught:
                submission.student().loop()
            texts.append(str(caught.value))
        assert ["not tried again" in text for text in texts] == [False, False, True, True]
        submission.begin_exercise()
        assert submission.student().double(1) == 2


@pytest.mark.parametrize("which", ["exercise", "notebook"])
def test_the_budgets_are_kept(which):
    with Submission(timeouts=Timeouts(**{which: 0.0})) as submission:
        outputs = submission.run_cell(FUNCTIONS)
        assert any(o.output_type == "error" for o in outputs) == (which == "notebook")
        submission.begin_exercise()
        with pytest.raises(StudentError, match="no time is left"):
            submission.student().double(1)


def test_nothing_is_left_behind():
    submission = Submission()
    with submission:
        folder, process = submission._manager.folder, submission._manager.provisioner.process
        submission.run_cell("import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)")
        assert folder.exists()
    assert not folder.exists()
    assert process.poll() is not None
    if isolation() == "bubblewrap":
        sleeping = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"sleep\x001000" in _read(p)]
        assert sleeping == []


def _read(path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_weaker_isolation_still_keeps_two_processes(monkeypatch):
    monkeypatch.setenv("SEGLAB_ISOLATION", "process")
    isolation.cache_clear()
    try:
        with Submission(timeouts=Timeouts(call=2)) as submission:
            assert submission.isolation == "process"
            submission.run_cell(FUNCTIONS)
            submission.begin_exercise()
            assert submission.student().double(2) == 4
            text = shown(
                submission.run_cell(
                    "import os; print(os.getpid(), os.environ.get('HOME'), os.environ.get('SEGLAB_ISOLATION'))"
                )
            )
            assert str(os.getpid()) not in text.split() and "None" in text
    finally:
        isolation.cache_clear()
