"""What a cell showed, read from a channel that may drop messages and from a process that may say anything."""

import base64
import itertools

from nbformat.v4 import new_output

LEFT_OUT = "(some output of this cell was left out: it was too much)"
_SMALL = 4096  # bytes: messages that say how far a cell is are read also where there is no room any more


class CellOutput:
    """The output of one request, as far as there is room for it.

    request: the id of the message that asked for the cell. room: bytes of messages that may be kept. `size` of them
    are; `lost` says whether anything was not kept, `idle` whether the kernel said that nothing more will come.
    """

    def __init__(self, request: str, room: int):
        self.request, self.room = request, room
        self.size, self.lost, self.idle = 0, False, False
        self._pieces: list = []

    def take(self, frames: list[bytes], session) -> None:
        """One message as it came; what is none, or belongs to another request, is passed over."""
        size = sum(map(len, frames))
        fits = self.size + size <= self.room
        if not fits and size > _SMALL:
            self.lost = True  # without taking it apart, which may need many times its size
            return
        try:
            message = session.deserialize(session.feed_identities(frames)[1])
            if message["parent_header"].get("msg_id") != self.request:
                return
            kind, content = message["msg_type"], message["content"]
            if kind == "status":
                self.idle = self.idle or content["execution_state"] == "idle"
                return
            piece = checked_output(kind, content)
        except Exception:  # content made to be odd: it is not shown
            return
        if fits:
            self.size += size
            self._pieces.append(piece)
        self.lost = self.lost or not fits

    def outputs(self, reply) -> list:
        """The cell's outputs: streams in one piece, the error that the reply tells of, and a note if some were lost."""
        outputs = list(_merged(self._pieces))
        shown = any(output.output_type == "error" for output in outputs)
        if not shown and isinstance(reply, dict) and reply.get("status") == "error":
            outputs.append(error_output(str(reply.get("ename"))[:100], str(reply.get("evalue"))[:1000]))
        return outputs + ([new_output("stream", name="stdout", text=LEFT_OUT)] if self.lost else [])


def checked_output(kind: str, content: dict):
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


def _merged(pieces):
    """The same, with neighbouring pieces of one stream as one."""
    for (kind, name), same in itertools.groupby(pieces, key=lambda piece: (piece.output_type, piece.get("name"))):
        if kind == "stream":
            yield new_output(kind, name=name, text="".join(piece.text for piece in same))
        else:
            yield from same


def error_output(name: str, message: str):
    """An error that we tell of, in the notebook format."""
    name, message = (text.encode("utf-8", "replace").decode() for text in (name, message))
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])
