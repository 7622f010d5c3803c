"""`student`: what a test holds. `student.window_starts(256, 64, 8)` calls the student's function, wherever it runs.

The same tests grade a submission in a sandboxed kernel and check a function in this very process: only the exchange of
frames differs. Arguments are packed, so a function that changes its inputs in place changes nothing on this side.
"""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from seglab.bridge.agent import Agent
from seglab.bridge.values import Mismatch, describe
from seglab.bridge.wire import MAX_BYTES, Malformed, Reference, Unsendable, pack, unpack

MAX_RECEIVED = 4 * MAX_BYTES  # of all the replies to one test: they stay in memory until it ends
MAX_USED = 1_000  # names of torch's functions in one reply


class StudentError(Exception):
    """The student's function raised. `types` names its class and base classes, `message` is what it said."""

    def __init__(self, types: list[str], message: str, traceback: str = ""):
        self.types, self.message, self.traceback = types, message, traceback
        super().__init__(f"{types[0]}: {message}" if message else types[0])


class Missing(StudentError):
    """There is no function of that name."""

    def __init__(self, name: str):
        super().__init__(["Missing"], f"there is no function named {name}")


class Unreachable(Exception):
    """The student's functions could not be asked at all: the fault of whatever lies between, not theirs."""


@dataclass
class Call:
    """One call that a test made, for the report: the text of it and what came of it."""

    name: str
    text: str
    value: object = None
    error: StudentError | None = None


class Student:
    """The submission. `exchange(frame, ask) -> frame` carries one request to where the functions live.

    Attributes that begin with no underscore are the student's functions, called with plain values, `nn.Module`s,
    `Handle`s, or functions of the test (those are called back on this side: what they count cannot be forged).

    watch: whether to note the names of torch's functions that the student's code calls, in `used`.
    """

    def __init__(self, exchange: Callable[[bytes, Callable[[bytes], bytes]], bytes]):
        self._exchange = exchange
        self._received = 0
        self.watch = False
        self.used: set[str] = set()  # as the student's own process tells it
        self.calls: list[Call] = []
        self.seen: list = []  # all that came back, in order: values, and errors in place of values

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return Function(self, name)

    def keep(self, value) -> "Handle":
        """Put a value on the student's side and keep it there, so that several calls get the very same object."""
        return self._request({"op": "keep", "target": value, "keep": True})

    @contextmanager
    def raises(self, *errors: type[Exception]):
        """The calls inside must make the student's function raise one of these (or a subclass), with a message."""
        names = " or ".join(error.__name__ for error in errors)
        before = len(self.calls)
        try:
            yield
        except Missing:
            raise
        except StudentError as error:
            if not any(cls.__name__ in error.types for cls in errors):
                raise
            if not error.message.strip():
                raise Mismatch("error", f"a message that says what was wrong with {names}", "an empty one") from None
            return
        got = describe(self.calls[-1].value) if len(self.calls) > before else "nothing called"
        raise Mismatch("no error", names, got)

    def _call(self, target, method, args, kwargs, keep, operation="call"):
        # "its": a class may have the exercise's name, and a call of what it built is no call of the exercise.
        name = target if isinstance(target, str) else f"its {target.type_name}{'.' + method if method else ''}"
        texts = [describe(a) for a in args] + [f"{k}={describe(v)}" for k, v in kwargs.items()]
        call = Call(name, f"{name}({', '.join(texts)})")
        self.calls.append(call)
        request = {"op": operation, "target": target, "args": list(args), "kwargs": kwargs, "keep": keep}
        if method:
            request["method"] = method
        try:
            call.value = self._request(request)
        except StudentError as error:
            call.error = error
            self.seen.append(error)
            raise
        self.seen.append(call.value)
        return call.value

    def _request(self, request):
        callbacks = _Callbacks()
        frame = pack(request | {"watch": self.watch}, callbacks.refer)
        try:
            reply = self._exchange(frame, callbacks.answer)
        except StudentError:
            raise
        except Exception as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if callbacks.failures:
            raise callbacks.failures[0]
        try:
            return self._read(reply, kept=bool(request.get("keep")))
        except (Malformed, KeyError, TypeError) as error:
            raise StudentError(["Malformed"], f"the reply could not be read ({error})") from None

    def _read(self, reply: bytes, kept: bool):
        """The value of a reply. Raises the error that it tells of, or `Malformed` for what no agent of ours sends."""
        self._received += len(reply)
        if self._received > MAX_RECEIVED:
            raise Malformed(f"more than {MAX_RECEIVED:,} bytes in one test")
        reply = unpack(reply, lambda reference: Handle(self, reference))
        self._note(reply)
        if type(reply) is not dict or len(reply) != 1:
            raise Malformed("a reply that is not one of the three")
        if "missing" in reply:
            raise Missing(str(reply["missing"])[:100])
        if "error" in reply:
            raise _student_error(reply["error"])
        if kept and type(reply["value"]) is not Handle:
            raise Malformed("a value where one should have been kept")
        return reply["value"]

    def _note(self, reply):
        """Take the names of what was called out of a reply."""
        used = reply.pop("used", []) if type(reply) is dict else []
        if type(used) is not list or len(used) > MAX_USED or any(type(name) is not str for name in used):
            raise Malformed("names that are none")
        self.used.update(name[:100] for name in used)


class _Callbacks:
    """The functions of the test that went out with one request: the student's function calls back into them."""

    def __init__(self):
        self.functions: list[Callable] = []
        self.failures: list[Mismatch] = []

    def refer(self, value) -> Reference | None:
        """What stands for a value that cannot cross."""
        if isinstance(value, Handle):
            return Reference("handle", value.number, value.type_name)
        if callable(value) and not hasattr(value, "state_dict"):
            self.functions.append(value)
            return Reference("callback", len(self.functions) - 1, "callback")  # its name may say too much
        return None

    def answer(self, frame: bytes) -> bytes:
        """Make the call that is asked for; a failed expectation in it is the verdict, and remembered."""
        try:
            asked = unpack(frame)
            function = self.functions[asked["callback"]]
            return pack({"value": function(*asked["args"], **asked["kwargs"])}, self.refer)
        except Mismatch as error:
            self.failures.append(error)
            return pack({"error": "the classifier was not called as the exercise asks"})
        except Exception as error:
            return pack({"error": f"{type(error).__name__}: {error}"[:1000]})


def _student_error(error) -> StudentError:
    """The error of a reply; its parts may be anything, and only short texts are taken."""
    types, message, trace = error["types"], error["message"], error["traceback"]
    if type(types) is not list or not 0 < len(types) <= 50:
        raise Malformed("an error without its types")
    if any(type(text) is not str for text in [*types, message, trace]):
        raise Malformed("an error that is no text")
    return StudentError([name[:100] for name in types], message[:1000], trace[-4000:])


@dataclass(frozen=True)
class Function:
    """A function of the student's, by name."""

    student: Student = field(repr=False)
    name: str

    def __call__(self, *args, **kwargs):
        return self.student._call(self.name, None, args, kwargs, keep=False)

    def kept(self, *args, **kwargs) -> "Handle":
        """Call it, and leave the result where it is."""
        return self.student._call(self.name, None, args, kwargs, keep=True)

    def module(self, *args, **kwargs) -> "Handle":
        """Call it; what it builds must be a network, and that stays where it is.

        Raises `Mismatch` if something else comes back.
        """
        got = self(*args, **kwargs)
        if not isinstance(got, Handle):
            raise Mismatch("type", "an nn.Module", describe(got))
        if not got.is_module:
            raise Mismatch("type", "an nn.Module", f"a {got.type_name}")
        return got


class Handle:
    """An object on the student's side: an `nn.Module` they built, or a tensor that must not be copied."""

    def __init__(self, student: Student, reference: Reference):
        if reference.kind != "handle":
            raise Malformed("a callback is no result")
        self.student, self.number, self.type_name = student, reference.number, reference.type_name
        self.is_module = reference.is_module
        self.described = f"a network ({self.type_name})" if self.is_module else f"a {self.type_name}"

    def __call__(self, *args, **kwargs):
        return self.student._call(self, None, args, kwargs, keep=False)

    def call(self, method: str, *args, keep: bool = False, **kwargs):
        """Call one of its methods: `net.call("state_dict")`, `loss.call("backward")`."""
        return self.student._call(self, method, args, kwargs, keep=keep)

    def get(self, attribute: str, *, keep: bool = False):
        """Read one of its attributes, or one of a part of it: `x.get("grad")`, `net.get("0.weight")`."""
        return self._seen({"op": "get", "target": self, "name": attribute, "keep": keep})

    def peek(self, attribute: str):
        """Read one of its attributes beside the record of what was seen."""
        return self.student._request({"op": "get", "target": self, "name": attribute})

    def parameters(self) -> dict:
        """The weights of a network by name, each once, as they are now; those that train say so by `requires_grad`.

        What counts is what is in the network, not what its own methods say of it.
        """
        return self._named_tensors("parameters")

    def gradients(self, x: torch.Tensor, grad: torch.Tensor) -> dict:
        """What a network's weights get when `grad` comes back through its answer to `x`; None for one it did not use.

        The network is left in the mode it is in, and nothing is added to the gradients that it holds.
        """
        return self._named_tensors("gradients", x, grad)

    def optimizer(self, *, lr: float, momentum: float = 0.0) -> "Handle":
        """Gradient descent on a network's weights; it stays where they are."""
        settings = {"lr": lr, "momentum": momentum}
        return self.student._request({"op": "optimizer", "target": self, "kwargs": settings, "keep": True})

    def _named_tensors(self, operation, *args):
        named = self.student._call(self, operation, args, {}, keep=False, operation=operation)
        good = type(named) is list and all(
            type(pair) is tuple
            and len(pair) == 2
            and type(pair[0]) is str
            and (isinstance(pair[1], torch.Tensor) or (operation == "gradients" and pair[1] is None))
            for pair in named
        )
        if not good or len(dict(named)) != len(named):
            raise Mismatch("type", f"the {operation} of an nn.Module by name, each once", describe(named))
        # On record are names and shapes: weights that begin at random would make every answer look unlike all others.
        shapes = {name: list(one.shape) if one is not None else None for name, one in sorted(named)}
        self.student.calls[-1].value = self.student.seen[-1] = shapes
        return dict(named)

    def value(self):
        """Fetch it."""
        return self._seen({"op": "value", "target": self})

    def _seen(self, request):
        value = self.student._request(request)
        self.student.seen.append(value)
        return value

    def __repr__(self):
        return f"<{self.type_name} on the student's side>"


def local_student(functions: Mapping) -> Student:
    """A student whose functions are in this process: the fast gates and the visible check use it."""
    agent = Agent(functions)
    return Student(lambda frame, ask: agent.answer(frame, ask))


__all__ = ["Call", "Handle", "Missing", "Student", "StudentError", "Unsendable", "local_student"]
