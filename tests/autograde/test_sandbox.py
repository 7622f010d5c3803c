"""The sandbox: what runs inside reaches nothing outside, and whatever it does to itself, the grader goes on."""

import os
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autograde.grading.outputs import LEFT_OUT
from autograde.grading.sandbox import MIB, Limits, SandboxKernelManager, Watchdog, isolation
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
def tensors(): return torch.zeros(2**28).shape
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
    with Submission(Limits(memory=900 * MIB), Timeouts(cell=20, call=1.5, exercise=60, grace=1)) as submission:
        submission.run_cell(FUNCTIONS)
        yield submission


@pytest.fixture
def impatient(submission, monkeypatch):
    """The same, where a cell may take two seconds, and longer to stop."""
    monkeypatch.setattr(submission, "timeouts", replace(submission.timeouts, cell=2, grace=30))
    return submission


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


def test_a_loop_that_hears_no_interrupt_costs_its_call_only(student):
    with pytest.raises(StudentError) as caught:
        student.deaf()
    assert caught.value.types == ["TimeoutError"]


@pytest.mark.parametrize("name", ["die", "closed"])
def test_a_death_costs_its_call_only(student, name):
    with pytest.raises(StudentError) as caught:
        getattr(student, name)()
    assert caught.value.types[0] in ("KernelDied", "TimeoutError")


@pytest.mark.parametrize(("name", "error"), [("hungry", "MemoryError"), ("tensors", "RuntimeError")])
def test_an_allocation_beyond_the_limit_is_an_error_where_it_is_made(student, name, error):
    with pytest.raises(StudentError) as caught:
        getattr(student, name)()
    assert caught.value.types[0] == error


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


def answers(submission) -> bool:
    submission.begin_exercise()
    return submission.student().double(3) == 6


@pytest.mark.parametrize("cell", ["import os; os._exit(1)", "x = bytearray(2 * 2**30)", "raise SystemExit", "((("])
def test_a_bad_cell_costs_itself_only(submission, cell):
    outputs = submission.run_cell(cell)
    assert any(o.output_type == "error" for o in outputs)
    assert "still here" in shown(submission.run_cell("print('still here')"))
    assert answers(submission)


@pytest.mark.parametrize("loop", ["pass", "print('x' * 1000)", "print('x', flush=True)"])
def test_an_endless_cell_is_interrupted_and_what_it_defined_stays(impatient, loop):
    outputs = impatient.run_cell(f"kept = {loop!r}\nwhile True: {loop}")
    assert outputs[-1].output_type == "error" and outputs[-1].ename == "KeyboardInterrupt"
    assert sum(len(repr(output)) for output in outputs) < 2**20
    assert loop in shown(impatient.run_cell("print(kept)"))
    assert answers(impatient)


@needs_bubblewrap  # without it the count would include the user's own processes, and there is no limit
def test_forks_do_not_outlive_the_limit(impatient):
    outputs = impatient.run_cell("import os\nwhile True:\n    os.fork()")
    assert any(o.output_type == "error" for o in outputs)
    assert answers(impatient)


# Around what the kernel of ours cuts: sockets that a submission finds in its own process.
FLOOD = """
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.session import Session
_app = IPKernelApp.instance()
def flood(kind, content, times):
    session = Session(key=_app.session.key)
    for _ in range(times):
        session.send(_app.iopub_socket, kind, content, parent=_app.kernel.get_parent())
def silence():
    _app.iopub_thread._really_send = lambda *arguments, **settings: None
"""


FLOODS = {  # whether a note must say that output was lost; None: as it happens
    "flood('stream', {'name': 'stdout', 'text': 'x' * 100}, 5_000)": None,
    "flood('stream', {'name': 'stdout', 'text': 'x' * 3 * 2**20}, 5)": True,
    "flood('stream', {'name': 'stdout', 'text': {'a': [[]] * 10**5}}, 3)": False,
    "flood('status', {'execution_state': 'idle'}, 3)": False,
    "flood('stream', {'name': 'stdout', 'text': 'x' * 9 * 2**20}, 1)": True,  # the channel is closed then
    "silence()": True,
}


def test_a_channel_that_floods_or_falls_silent_costs_no_cell():
    with Submission(timeouts=Timeouts(cell=120, notebook=1000, grace=5)) as submission:
        submission.run_cell(FLOOD)
        for call, lost in FLOODS.items():
            submission._room = submission.limits.output
            outputs = submission.run_cell(f"kept = {call!r}\n{call}")
            assert not any(o.output_type == "error" for o in outputs), shown(outputs)
            assert sum(len(repr(o)) for o in outputs) <= submission.limits.output + 10_000
            assert lost is None or (LEFT_OUT in shown(outputs)) == lost
        assert len(submission._history) == 1 + len(FLOODS), "nothing was given up"


# Memory that no limit of a single process sees: shared between processes, or held by several.
SHARED = "import mmap\nheld = mmap.mmap(-1, 500 * 2**20)\nfor at in range(0, len(held), 4096): held[at] = 1\n"
CHILDREN = """
import os, time
read, write = os.pipe()
for _ in range(2):
    if not os.fork():
        taken = b"x" * (200 * 2**20)
        os.write(write, b".")
        time.sleep(60)
        os._exit(0)
    os.read(read, 1)
"""


def never_look(monkeypatch):
    monkeypatch.setattr(Watchdog, "interval", 10**6)


def act_slowly(monkeypatch):
    measure = SandboxKernelManager.used_bytes

    def slowly(manager):
        used = measure(manager)
        time.sleep(0.3)
        return used

    monkeypatch.setattr(SandboxKernelManager, "used_bytes", slowly)


@pytest.mark.parametrize(("busy", "hungry"), [(never_look, SHARED), (act_slowly, CHILDREN)], ids=["never", "slowly"])
def test_memory_is_blamed_on_the_cell_that_took_it(monkeypatch, busy, hungry):
    """Also where the machine is busy with other things, so that the watchdog comes late."""
    busy(monkeypatch)
    with Submission(Limits(memory=600 * MIB)) as submission:
        for source in ("before = 1", hungry, "after = 2", "print(before + after)"):
            outputs = submission.run_cell(source)
            assert [o.output_type for o in outputs if o.output_type == "error"] == ["error"] * (source == hungry)
        assert "memory" in submission.notes[0] and len(submission.notes) == 1
        assert "3" in shown(outputs)


def test_memory_that_a_call_took_is_not_blamed_on_the_next_cell(monkeypatch):
    never_look(monkeypatch)
    with Submission(Limits(memory=600 * MIB)) as submission:
        submission.run_cell(f"def take():\n    global held\n{textwrap.indent(SHARED, '    ')}")
        submission.begin_exercise()
        submission.student().take()
        assert "fine" in shown(submission.run_cell("print('fine')"))
        assert "memory" in submission.notes[0] and len(submission.notes) == 1


def test_a_cell_that_dies_only_when_it_runs_again_costs_no_other(submission):
    submission.run_cell("first = 1")
    submission._history.append("import os; os._exit(1)")
    submission.run_cell("second = 2")
    submission._restart()
    assert "3" in shown(submission.run_cell("print(first + second)"))
    assert answers(submission)


def test_nothing_that_could_run_in_a_browser_is_kept(submission):
    outputs = submission.run_cell(
        "from IPython.display import HTML, Javascript, display\ndisplay(Javascript('1'))\nHTML('<script>1</script>')"
    )
    assert all(set(o.get("data", {})) <= {"text/plain", "image/png"} for o in outputs)


def test_hooks_in_the_shell_change_nothing():
    with Submission() as submission:
        submission.run_cell(FUNCTIONS)
        submission.run_cell("get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])")
        assert answers(submission)


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


def test_the_budget_of_an_exercise_is_kept(submission, monkeypatch):
    monkeypatch.setattr(submission, "timeouts", replace(submission.timeouts, exercise=0.0))
    submission.begin_exercise()
    with pytest.raises(StudentError, match="no time is left"):
        submission.student().double(1)


def test_the_budget_of_a_notebook_is_kept(submission, monkeypatch):
    monkeypatch.setattr(submission, "_end", 0.0)
    assert submission.run_cell("1")[0].ename == "OutOfTime"
    submission.begin_exercise()
    with pytest.raises(StudentError, match="no time is left"):
        submission.student().double(1)


def test_nothing_is_left_behind():
    submission = Submission()
    sleep = f"{1000 + os.getpid()}.5"  # seconds; nobody else's on this machine
    with submission:
        folder, process = submission._manager.folder, submission._manager.provisioner.process
        if submission.isolation == "bubblewrap":  # only there does what a submission starts end with it
            submission.run_cell(f"import subprocess; subprocess.Popen(['sleep', '{sleep}'], start_new_session=True)")
        assert folder.exists()
    assert not folder.exists()
    assert process.poll() is not None
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if f"sleep\0{sleep}".encode() in _read(p)]
    assert left == []


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
