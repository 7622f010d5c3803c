"""The end of the wire that runs beside the student's code: it calls their functions and keeps what cannot cross.

One request is one frame holding a dict, and so is one reply. Nothing here knows what a right answer is: the agent runs
in the student's own process, and whatever it says is checked on the other side.
"""

import functools
import traceback
import types

from torch import nn

from seglab.wire import Reference, Unsendable, pack, unpack


class Agent:
    """Answers requests with the functions of a namespace (any mapping from names to objects).

    Requests: `call` a function or a kept object, read an attribute (`get`), fetch (`value`) or `keep` an object.
    A reply is `{"value": ...}` or `{"error": {"types", "message", "traceback"}}`, or `{"missing": name}`.
    """

    def __init__(self, namespace):
        self.namespace = namespace
        self.kept: list[object] = []

    def answer(self, frame: bytes, ask) -> bytes:
        """One request in, one reply out. `ask(frame) -> frame` reaches the grader for a callback, meanwhile."""
        try:
            request = unpack(frame, lambda reference: self._resolve(reference, ask), modules=True)
            if (
                request["op"] == "call"
                and isinstance(request["target"], str)
                and request["target"] not in self.namespace
            ):
                return pack({"missing": request["target"]})
            result = self._run(request)
            return pack({"value": self._keep(result) if request.get("keep") else result}, refer=self._refer)
        except Unsendable as error:
            return pack({"error": {"types": ["Unsendable"], "message": f"returned {error}", "traceback": ""}})
        except BaseException as error:  # SystemExit and KeyboardInterrupt are a student's answer like any other
            return pack({"error": _describe(error)})

    def _run(self, request):
        operation, target = request["op"], request["target"]
        if operation == "call":
            function = self.namespace[target] if isinstance(target, str) else target
            if request.get("method"):
                function = getattr(function, request["method"])
            result = function(*request["args"], **request["kwargs"])
            return list(result) if request.get("method") and isinstance(result, types.GeneratorType) else result
        if operation == "get":
            return functools.reduce(getattr, request["name"].split("."), target)
        return target  # "keep" and "value" differ only in whether the result is kept

    def _keep(self, value) -> Reference:
        self.kept.append(value)
        return Reference("handle", len(self.kept) - 1, type(value).__name__, isinstance(value, nn.Module))

    def _refer(self, value):
        """What is not plain stays here, and the grader gets a handle to it (an nn.Module, for one)."""
        return self._keep(value) if callable(value) else None

    def _resolve(self, reference: Reference, ask):
        if reference.kind == "handle":
            return self.kept[reference.number]

        def callback(*args, **kwargs):
            reply = unpack(ask(pack({"callback": reference.number, "args": list(args), "kwargs": kwargs})))
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return reply["value"]

        callback.__name__ = callback.__qualname__ = reference.type_name or "callback"
        return callback


def _describe(error: BaseException) -> dict:
    try:
        message = str(error)[:1000]
        trace = "".join(traceback.format_exception(error))[-4000:]
    except Exception:  # an exception whose own __str__ raises
        message, trace = "(its message cannot be printed)", ""
    return {"types": [cls.__name__ for cls in type(error).__mro__], "message": message, "traceback": trace}
