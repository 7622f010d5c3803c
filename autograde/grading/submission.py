"""One submission in its sandbox: cells are run, functions are called, and whatever happens there stays there.

The kernel may die, hang or flood. Each of these costs the cell or the call in which it happened: the kernel is started
again, the earlier cells are run again without that one, and the rest goes on.
"""

import base64
import queue
import secrets
import socket
import time
from dataclasses import dataclass, field

import zmq
from jupyter_client.blocking import BlockingKernelClient
from nbformat.v4 import new_output

from autograde.grading.sandbox import Limits, SandboxKernelManager, Watchdog
from seglab.bridge.kernel import ANSWER, ASK, REPLY, REQUEST, receive, send
from seglab.bridge.student import Student, StudentError

MAX_MESSAGE = 4 * 2**20
MAX_STRIKES = 2  # after so many calls that hung or died, the other tests of an exercise are not worth their seconds


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    start: float = 60
    cell: float = 30
    call: float = 10
    exercise: float = 30  # all the calls for one exercise together
    notebook: float = 300  # everything together, restarts included
    grace: float = 2  # between asking a kernel to stop and killing it


class KernelGone(Exception):
    """The kernel died, hung or broke its limits; the message says which, for the report."""


@dataclass
class Submission:
    """A sandboxed kernel, the cells it has run, and a `Student` whose functions live in it.

    Use as a context manager. `run_cell` returns outputs; `student()` makes a fresh proxy with its own list of calls.
    `notes` collects what went wrong, in order, for the instructor.
    """

    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self):
        self._history: list[str] = []
        self._manager = self._client = self._agent = None
        self._output_bytes = self._kept_bytes = 0
        self._deadline = float("inf")
        self._interrupted = False
        self._strikes = 0

    def __enter__(self):
        self._end = time.monotonic() + self.timeouts.notebook
        self._start()
        return self

    def __exit__(self, *exception):
        self._stop()

    @property
    def isolation(self) -> str:
        return self._manager.isolation

    def run_cell(self, source: str) -> list:
        """Run one cell and return its outputs; an error, a death or a time-out is an output too."""
        if self._left() <= 0:
            return [_error_output("OutOfTime", f"the notebook took more than {self.timeouts.notebook:g} seconds")]
        try:
            outputs = self._execute(source, min(self.timeouts.cell, self._left()))
        except (KernelGone, zmq.ZMQError) as gone:
            self.notes.append(f"a cell was given up: {gone}")
            self._restart()
            return [_error_output("CellGivenUp", str(gone))]
        if not self._interrupted:  # one that ran into the limit would do so again
            self._history.append(source)
        self._kept_bytes += self._output_bytes
        if self._kept_bytes > self.limits.output:
            self.notes.append("the notebook's outputs were too long to keep them all")
            return []
        return outputs

    def student(self) -> Student:
        return Student(self._exchange)

    def begin_exercise(self) -> None:
        """From here on, the calls together may take `timeouts.exercise` seconds."""
        self._deadline = time.monotonic() + self.timeouts.exercise
        self._strikes = 0

    def _left(self) -> float:
        return self._end - time.monotonic()

    # The life of the kernel

    def _start(self):
        self._manager = SandboxKernelManager(self.limits)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(self._manager.socket_path)
            listener.listen(1)
            self._manager.start_kernel()
            self._watchdog = Watchdog(self._manager)
            self._watchdog.start()
            self._agent = self._accept(listener)
            context = zmq.Context()
            context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
            context.setsockopt(zmq.RCVHWM, 64)
            context.setsockopt(zmq.LINGER, 0)
            context.setsockopt(zmq.SNDTIMEO, 2000)
            self._client = BlockingKernelClient(context=context)
            self._client.load_connection_info(self._manager.get_connection_info())
            self._client.start_channels(stdin=False, hb=False)
            self._client.wait_for_ready(timeout=self.timeouts.start)
        except Exception:
            self._stop()
            raise
        finally:
            listener.close()

    def _accept(self, listener):
        listener.settimeout(0.2)
        deadline = time.monotonic() + self.timeouts.start
        while time.monotonic() < deadline:
            try:
                return listener.accept()[0]
            except TimeoutError:
                if not self._manager.is_alive():
                    break
        raise RuntimeError("the sandboxed kernel did not start; this is the grader's fault, not the submission's")

    def _stop(self):
        if self._manager is None:
            return
        if getattr(self, "_watchdog", None):
            self._watchdog.stop()
        if self._agent is not None:
            self._agent.close()
        if self._client is not None:
            self._client.stop_channels()
            self._client.context.destroy(linger=0)
        self._manager.destroy()
        self._manager = self._client = self._agent = None

    def _restart(self):
        self._stop()
        self._start()
        history, self._history = self._history, []
        for source in history:
            if self._left() <= 0:
                return
            try:
                self._execute(source, max(1, min(self.timeouts.cell, self._left())))
                self._history.append(source)
            except KernelGone as gone:
                self.notes.append(f"a cell that had run before was given up when it ran again: {gone}")
                self._stop()
                self._start()

    def _why_gone(self) -> str:
        if self._watchdog.fired:
            return f"it used more than {self.limits.memory // 2**20} MiB of memory"
        return "the process ended"

    # Cells

    def _execute(self, source, timeout) -> list:
        number = self._client.execute(source, allow_stdin=False, store_history=True)
        outputs, finished, quiet, reply = [], None, time.monotonic() + timeout, None
        self._output_bytes = 0
        poller = zmq.Poller()
        poller.register(self._client.iopub_channel.socket, zmq.POLLIN)
        poller.register(self._client.shell_channel.socket, zmq.POLLIN)
        interrupted = idle = False
        while True:
            poller.poll(100)
            idle = self._drain(number, outputs) or idle
            now = time.monotonic()
            if reply is None and (reply := self._replied(number)) is not None:
                finished = now
            if finished and idle:
                self._interrupted = interrupted
                return outputs + _unreported_error(outputs, reply)
            if finished and now > finished + self.timeouts.grace:
                raise KernelGone("its output could not be read to the end")
            if finished:
                continue
            if self._output_bytes > self.limits.output:
                raise KernelGone(f"it wrote more than {self.limits.output // 2**20} MiB of output")
            if not self._manager.is_alive():
                raise KernelGone(self._why_gone())
            if now > quiet and interrupted:
                raise KernelGone(f"it did not stop within {timeout:g} seconds")
            if now > quiet:
                self.notes.append(f"a cell was interrupted after {timeout:g} seconds")
                self._interrupt()
                interrupted, quiet = True, now + self.timeouts.grace

    def _interrupt(self):
        message = self._client.session.msg("interrupt_request", {})
        self._client.control_channel.send(message)

    def _replied(self, number):
        """The content of the reply to a request, or None as long as there is none."""
        for _ in range(50):
            try:
                message = self._client.get_shell_msg(timeout=0)
                if message["parent_header"].get("msg_id") == number:
                    return message["content"]
            except queue.Empty:
                return None
            except Exception:  # a message that is none
                continue
        return None

    def _drain(self, number, outputs) -> bool:
        """Take what has arrived on the output channel; whether the cell said that it is done."""
        idle = False
        for _ in range(200):
            try:
                message = self._client.get_iopub_msg(timeout=0)
            except queue.Empty:
                return idle
            except Exception:
                continue
            try:
                kind, content = message["msg_type"], message["content"]
                self._output_bytes += len(repr(content))
                if message["parent_header"].get("msg_id") != number:
                    continue
                if kind == "status":
                    idle = idle or content["execution_state"] == "idle"
                elif self._output_bytes <= self.limits.output:
                    _append(outputs, _checked_output(kind, content))
            except Exception:  # content made to be odd: it is not shown
                continue
        return idle

    # Calls

    def _exchange(self, frame: bytes, ask) -> bytes:
        """One request to the agent, one reply; a callback of the student's function is answered by `ask` meanwhile."""
        number = secrets.randbits(64)
        start = time.monotonic()
        allowed = min(self.timeouts.call, self._deadline - start, self._left())
        if self._strikes >= MAX_STRIKES:
            raise StudentError(["KernelDied"], f"it hung or died {MAX_STRIKES} times in this exercise; not tried again")
        if allowed <= 0:
            raise StudentError(["TimeoutError"], "no time is left for the whole exercise, or for the whole notebook")
        self._drain(None, [])
        try:
            return self._talk(frame, ask, number, start + allowed)
        except TimeoutError:
            self._strikes += 1
            error = StudentError(["TimeoutError"], f"no answer within {allowed:.0f} seconds")
            if not self._recovers(number):
                self.notes.append("a call did not return and could not be interrupted; the kernel was started again")
                self._restart()
        except (OSError, zmq.ZMQError):  # the socket is closed: the process is gone, or the memory limit took it
            self._strikes += 1
            why = self._why_gone()
            error = StudentError(["KernelDied"], f"the call ended the whole process: {why}")
            self.notes.append(f"a call ended the kernel ({why}); it was started again")
            self._restart()
        raise error

    def _talk(self, frame, ask, number, deadline) -> bytes:
        self._client.shell_channel.send(
            self._client.session.msg(
                "comm_open", {"comm_id": secrets.token_hex(8), "target_name": "seglab", "data": {}}
            )
        )
        self._agent.settimeout(max(0.1, deadline - time.monotonic()))
        send(self._agent, REQUEST, number, frame)
        while True:
            kind, theirs, content = receive(self._agent, lambda size: self._exactly(size, deadline))
            if theirs != number or kind not in (REPLY, ASK):
                raise ConnectionError("a message out of turn")
            if kind == REPLY:
                return content
            self._agent.settimeout(max(0.1, deadline - time.monotonic()))
            send(self._agent, ANSWER, number, ask(content))

    def _exactly(self, size, deadline) -> bytes:
        data = bytearray()
        while len(data) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._agent.settimeout(left)
            part = self._agent.recv(min(size - len(data), 2**20))
            if not part:
                raise ConnectionError("the kernel is gone")
            data += part
        return bytes(data)

    def _recovers(self, number) -> bool:
        """Interrupt the call; whether the agent then says something sensible within the grace."""
        self._interrupt()
        deadline = time.monotonic() + self.timeouts.grace
        try:
            kind, theirs, _ = receive(self._agent, lambda size: self._exactly(size, deadline))
            return kind == REPLY and theirs == number
        except OSError:
            return False


def _checked_output(kind: str, content: dict):
    """An output of the notebook format from a message of any content; only plain text and real PNG pictures are kept.

    Raises ValueError, KeyError or TypeError for anything else: nothing that could run in a browser gets through.
    """
    if kind == "stream":
        name = "stderr" if content["name"] == "stderr" else "stdout"
        return new_output("stream", name=name, text=_text(content["text"]))
    if kind == "error":
        trace = [_text(line) for line in list(content["traceback"])[:100]]
        return new_output("error", ename=_text(content["ename"]), evalue=_text(content["evalue"]), traceback=trace)
    if kind not in ("display_data", "execute_result"):
        raise ValueError(f"no output: {kind}")
    data = {"text/plain": _text(content["data"]["text/plain"])} if "text/plain" in content["data"] else {}
    if "image/png" in content["data"]:
        picture = _text(content["data"]["image/png"]).replace("\n", "")
        if not base64.b64decode(picture, validate=True).startswith(b"\x89PNG"):
            raise ValueError("no PNG")
        data["image/png"] = picture
    more = {"execution_count": None} if kind == "execute_result" else {}
    return new_output(kind, data=data, **more)


def _text(value) -> str:
    if type(value) is not str:
        raise ValueError("not a text")
    return value.encode("utf-8", "replace").decode()


def _append(outputs, output):
    """Add one output; neighbouring pieces of a stream become one."""
    last = outputs[-1] if outputs else None
    if (
        output.output_type == "stream"
        and last is not None
        and last.output_type == "stream"
        and last.name == output.name
    ):
        last.text += output.text
    else:
        outputs.append(output)


def _unreported_error(outputs, reply) -> list:
    """The error that the reply tells of, where the message that should have shown it was lost in a flood."""
    shown = any(output.output_type == "error" for output in outputs)
    if shown or not isinstance(reply, dict) or reply.get("status") != "error":
        return []
    return [_error_output(str(reply.get("ename"))[:100], str(reply.get("evalue"))[:1000])]


def _error_output(name, message):
    name, message = (text.encode("utf-8", "replace").decode() for text in (name, message))
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])
