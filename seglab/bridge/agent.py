"""The end of the wire that runs beside the student's code: it calls their functions and keeps what cannot cross.

One request is one frame holding a dict, and so is one reply. Nothing here knows what a right answer is: the agent runs
in the student's own process, and whatever it says is checked on the other side.
"""

import builtins
import functools
import traceback
from contextlib import nullcontext

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from seglab.bridge.wire import Reference, Unsendable, pack, unpack


class Recorder(TorchFunctionMode):
    """Notes the names of torch's functions, methods and operators that are called while it is entered, in `called`.

    By whatever way they were reached; not those that they call themselves, nor what a compiled (TorchScript) function
    or another thread calls.
    """

    def __init__(self):
        super().__init__()
        self.called: set[str] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.called.add(getattr(func, "__name__", "").partition(".")[0])  # `upsample_nearest2d.vec` is an overload
        return func(*args, **(kwargs or {}))


class Agent:
    """Answers requests with the functions of a namespace (any mapping from names to objects).

    Requests: `call` a function or a kept object, read an attribute (`get`), fetch (`value`) or `keep` an object, read
    the `parameters` of a network or their `gradients`, build an `optimizer` on them.
    A reply is `{"value": ...}` or `{"error": {"types", "message", "traceback"}}`, both with the names of torch's
    functions that were `used` if the request says `watch`, or `{"missing": name}`.
    """

    def __init__(self, namespace):
        self.namespace = namespace
        self.kept: list[object] = []

    def answer(self, frame: bytes, ask) -> bytes:
        """One request in, one reply out. `ask(frame) -> frame` reaches the grader for a callback, meanwhile."""
        recorder = Recorder()
        try:
            request = unpack(frame, lambda reference: self._resolve(reference, ask), modules=True)
            if (
                request["op"] == "call"
                and isinstance(request["target"], str)
                and request["target"] not in self.namespace
            ):
                return pack({"missing": request["target"]})
            with recorder if request.get("watch") else nullcontext():
                result = self._run(request)
            value = self._keep(result) if request.get("keep") else result
            return pack({"value": value, "used": sorted(recorder.called)}, refer=self._refer)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are a student's answer like any other
            return pack({"error": _describe(error), "used": sorted(recorder.called)})

    def _run(self, request):
        operation, target = request["op"], request["target"]
        if operation == "call":
            function = self.namespace[target] if isinstance(target, str) else target
            if isinstance(target, str):
                # What begins at random begins the same, so that the same answer gets the same words.
                # (`torch.manual_seed` would seed every kind of device as well: longer than most calls.)
                torch.default_generator.manual_seed(0)
            elif request.get("method"):
                function = getattr(function, request["method"])
            return function(*request["args"], **request["kwargs"])
        if operation == "get":
            return functools.reduce(getattr, request["name"].split("."), target)
        if operation == "parameters":
            return list(_weights(target).items())
        if operation == "gradients":
            x, grad = request["args"]
            weights = _weights(target)
            trained = [name for name, one in weights.items() if one.requires_grad]
            found = torch.autograd.grad(
                _weighted(target(x), grad), [weights[name] for name in trained], allow_unused=True
            )
            return list((dict.fromkeys(weights) | dict(zip(trained, found, strict=True))).items())
        if operation == "optimizer":
            return GradientDescent(_weights(target).values(), **request["kwargs"])
        return target  # "keep" and "value" differ only in whether the result is kept

    def _keep(self, value) -> Reference:
        self.kept.append(value)
        return Reference("handle", len(self.kept) - 1, type(value).__name__, _is_module(value))

    def _refer(self, value):
        """What is not plain stays here, and the grader gets a handle to it (an nn.Module, for one)."""
        return self._keep(value) if callable(value) else None

    def _resolve(self, reference: Reference, ask):
        if reference.kind == "handle":
            return self.kept[reference.number]

        def callback(*args, **kwargs):
            with torch._C.DisableTorchFunction():  # what the grader does is not on record
                reply = unpack(ask(pack({"callback": reference.number, "args": list(args), "kwargs": kwargs})))
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return reply["value"]

        callback.__name__ = callback.__qualname__ = reference.type_name or "callback"
        return callback


def _weighted(answer, grad):
    """A single number whose gradient is `grad`: going back from a tensor imports torch's compiler, half a second."""
    if answer.shape != grad.shape:
        raise RuntimeError(f"an answer of shape {tuple(answer.shape)}, a gradient of shape {tuple(grad.shape)}")
    return (answer * grad).sum()


class GradientDescent:
    """What `torch.optim.SGD` does, without importing torch's compiler, which takes a second on first use."""

    def __init__(self, weights, lr: float, momentum: float = 0.0):
        self.lr, self.momentum = lr, momentum
        self.velocities = {weight: torch.zeros_like(weight) for weight in weights}

    def zero_grad(self, set_to_none: bool = True) -> None:
        for weight in self.velocities:
            weight.grad = None if set_to_none or weight.grad is None else torch.zeros_like(weight)

    @torch.no_grad()
    def step(self) -> None:
        for weight, velocity in self.velocities.items():
            if weight.grad is not None:
                velocity.mul_(self.momentum).add_(weight.grad)
                weight.sub_(velocity, alpha=self.lr)


def _is_module(value) -> bool:
    return issubclass(type(value), nn.Module)  # `isinstance` would believe an object's own `__class__`


def _weights(network) -> dict:
    """A network's weights by name, each once, from where torch keeps them: its methods may say anything."""
    found, known = {}, set()

    def walk(module, prefix):
        for name, one in vars(module)["_parameters"].items():
            if one is not None and id(one) not in known:
                known.add(id(one))
                found[prefix + name] = one
        for name, child in vars(module)["_modules"].items():
            if child is not None:
                walk(child, f"{prefix}{name}.")

    if not _is_module(network):
        raise TypeError("only a network has weights")
    walk(network, "")
    return found


def _describe(error: BaseException) -> dict:
    try:
        types, message = [_name(cls) for cls in type(error).__mro__], _text(str(error), 1000)
        trace = "".join(traceback.format_exception(error))[-4000:]
    except BaseException:  # an exception whose own `__str__` raises, for one
        types, message, trace = ["Exception"], "(its message cannot be printed)", ""
    if type(error) is Unsendable:
        types, message, trace = ["Unsendable"], f"returned {message}", ""
    return {"types": types, "message": message, "traceback": trace}


def _name(cls: type) -> str:
    """Its name, and more of it where another class than Python's own is called `ValueError`."""
    own = getattr(builtins, cls.__name__, cls) is cls
    return _text(cls.__name__ if own else f"{cls.__module__}.{cls.__name__}", 100)


def _text(text: str, length: int) -> str:
    return str.__getitem__(text, slice(length))  # a plain str, also of a class that is derived from it
