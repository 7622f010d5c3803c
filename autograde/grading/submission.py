"""One submission in its sandbox: cells are run, functions are called, and whatever happens there stays there.

The kernel may die or hang. Each of these costs the cell or the call in which it happened: the kernel is started again,
the earlier cells are run again without that one, and the rest goes on. Output costs nothing but itself: whether a cell
is done is learnt from its reply, never from the output channel, which drops messages when many are waiting.
"""

import queue
import secrets
import socket
import time
from dataclasses import dataclass, field

import zmq
from jupyter_client.blocking import BlockingKernelClient

from autograde.grading.outputs import CellOutput, error_output
from autograde.grading.sandbox import Limits, SandboxKernelManager, Watchdog
from seglab.bridge.kernel import ANSWER, ASK, REPLY, REQUEST, receive, send
from seglab.bridge.student import Student, StudentError

MAX_MESSAGE = 8 * 2**20  # bytes; a larger one, which our kernel does not send, closes its channel
MAX_WAITING = 32  # messages of a channel that wait on our side: with the line above, a bound on our memory
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
        self._room = self.limits.output  # bytes of output that may still be kept
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
            return [error_output("OutOfTime", f"the notebook took more than {self.timeouts.notebook:g} seconds")]
        self._settle()
        try:
            output, reply = self._execute(source, min(self.timeouts.cell, self._left()))
        except (KernelGone, zmq.ZMQError) as gone:
            self.notes.append(f"a cell was given up: {gone}")
            self._restart()
            return [error_output("CellGivenUp", str(gone))]
        if not self._interrupted:  # one that ran into the limit would do so again
            self._history.append(source)
        self._room -= output.size
        if output.lost:
            self.notes.append("a cell showed too much; some of its output was left out")
        return output.outputs(reply)

    def student(self) -> Student:
        return Student(self._exchange)

    def begin_exercise(self) -> None:
        """From here on, the calls together may take `timeouts.exercise` seconds."""
        self._settle()
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
            context.setsockopt(zmq.RCVHWM, MAX_WAITING)
            context.setsockopt(zmq.LINGER, 0)
            context.setsockopt(zmq.SNDTIMEO, 2000)
            self._client = BlockingKernelClient(context=context)
            self._client.load_connection_info(self._manager.get_connection_info())
            self._client.start_channels(stdin=False, hb=False)
            self._client.wait_for_ready(timeout=self.timeouts.start)
            self._heard = True  # whether the output channel said to the end what the last cell showed
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
        """A fresh kernel in which the earlier cells have run; one that ends it now is left out, and all runs again."""
        while True:
            self._stop()
            self._start()
            bad = self._replay()
            if bad is None:
                return
            del self._history[bad]

    def _replay(self) -> int | None:
        """Run the earlier cells again; the index of the one that ended the kernel, or None."""
        for index, source in enumerate(self._history):
            if self._left() <= 0:
                break
            try:
                self._execute(source, max(1, min(self.timeouts.cell, self._left())))
            except (KernelGone, zmq.ZMQError) as gone:
                self.notes.append(f"a cell that had run before was given up when it ran again: {gone}")
                return index
        return None

    def _settle(self):
        """Before a cell or an exercise: memory that was taken earlier must not be counted against what comes."""
        if not self._watchdog.within_limits():
            self.notes.append(f"{self._why_gone()} after a cell or a call had ended; the kernel was started again")
            self._restart()

    def _why_gone(self) -> str:
        if self._watchdog.fired:
            return f"it used more than {self.limits.memory // 2**20} MiB of memory"
        return "the process ended"

    # Cells

    def _execute(self, source, timeout) -> tuple[CellOutput, object]:
        """Run a cell: what it showed, and the kernel's reply, which alone says that it is done."""
        output = CellOutput(self._client.execute(source, allow_stdin=False, store_history=True), self._room)
        reply = self._wait_for_reply(output, timeout)
        self._read_the_rest(output)
        if not self._watchdog.within_limits():
            raise KernelGone(self._why_gone())
        return output, reply

    def _wait_for_reply(self, output, timeout):
        """The content of the reply. Raises `KernelGone` where none comes, also after an interrupt."""
        deadline, self._interrupted = time.monotonic() + timeout, False
        while (reply := self._reply_to(output.request)) is None:
            self._wait_for(self._client.iopub_channel, self._client.shell_channel)
            self._drain(output)
            if not self._manager.is_alive():
                raise KernelGone(self._why_gone())
            if time.monotonic() <= deadline:
                continue
            if self._interrupted:
                raise KernelGone(f"it did not stop within {timeout:g} seconds")
            self.notes.append(f"a cell was interrupted after {timeout:g} seconds")
            self._interrupt()
            deadline, self._interrupted = time.monotonic() + self.timeouts.grace, True
        return reply

    def _read_the_rest(self, output):
        """Output may still be on its way when the reply is there; what does not come within the grace is lost.

        A channel that fell silent once is not waited for again, unless it speaks.
        """
        deadline = time.monotonic() + (self.timeouts.grace if self._heard else 0.1)
        self._drain(output)
        while not output.idle and time.monotonic() < deadline:
            self._wait_for(self._client.iopub_channel)
            self._drain(output)
        self._heard = output.idle
        output.lost = output.lost or not output.idle

    def _wait_for(self, *channels):
        poller = zmq.Poller()
        for channel in channels:
            poller.register(channel.socket, zmq.POLLIN)
        poller.poll(100)

    def _interrupt(self):
        message = self._client.session.msg("interrupt_request", {})
        self._client.control_channel.send(message)

    def _reply_to(self, request):
        """The content of the reply to a request, or None as long as there is none."""
        for _ in range(50):
            try:
                message = self._client.get_shell_msg(timeout=0)
                if message["parent_header"].get("msg_id") == request:
                    return message["content"]
            except queue.Empty:
                return None
            except Exception:  # a message that is none
                continue
        return None

    def _drain(self, output: CellOutput | None = None):
        """Give what has arrived on the output channel to `output`, or throw it away."""
        for _ in range(200):
            try:
                frames = self._client.iopub_channel.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if output is not None:
                output.take(frames, self._client.session)

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
        self._drain()
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
