"""The Jupyter kernel that a submission runs in: an ordinary ipykernel with limits, and an agent on a socket.

Started by the grader as `python -m seglab.bridge.kernel CONNECTION_FILE SOCKET LIMITS`. It holds nothing worth
stealing: no tests, no expected values, no reference. The grader opens a comm named `seglab` to say "read one request";
request, callbacks and reply then travel over the socket as frames of `seglab.bridge.wire`, each behind a small prefix:

    1 byte: kind | 8 bytes: number of the request | 4 bytes: length | frame

What a cell shows is cut here already: Jupyter's output channel drops messages when many are waiting, so a cell that
shows no more than `Output` lets through loses nothing on the way, and the same cell shows the same every time.
"""

import json
import socket
import struct
import sys

from jupyter_client.session import Session
from traitlets import default

from seglab.bridge.wire import MAX_BYTES

PREFIX = struct.Struct("<cQI")
REQUEST, REPLY, ASK, ANSWER = b"q", b"r", b"a", b"b"

# Of what one cell shows. A thousand messages may wait on the channel before it drops one.
MAX_PIECES = 500
MAX_TEXT = 200_000  # characters, of all pieces together
MAX_PICTURES = 4 * 2**20  # characters of base64, of all pieces together
LEFT_OUT = "(output was left out here: it was too much)"


def send(connection: socket.socket, kind: bytes, number: int, frame: bytes) -> None:
    """Send one message."""
    connection.sendall(PREFIX.pack(kind, number, len(frame)) + frame)


def receive(connection: socket.socket, receive_exactly=None) -> tuple[bytes, int, bytes]:
    """One message: (kind, number, frame). Raises ConnectionError at the end of the stream or for a frame too large."""
    exactly = receive_exactly or (lambda size: _exactly(connection, size))
    kind, number, length = PREFIX.unpack(exactly(PREFIX.size))
    if length > MAX_BYTES:
        raise ConnectionError(f"a frame of {length:,} bytes")
    return kind, number, exactly(length)


def _exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 2**20))
        if not part:
            raise ConnectionError("the other side is gone")
        data += part
    return bytes(data)


def _limit(limits: dict) -> None:
    """Hard limits of this process and all its children; nobody without privileges can raise them again."""
    import resource

    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


class Output:
    """What still fits of the output of the cell that runs; more than that is left out, with one note."""

    def __init__(self):
        self.begin()

    def begin(self) -> None:
        """A new cell."""
        self.pieces, self.text, self.pictures, self.noted = MAX_PIECES, MAX_TEXT, MAX_PICTURES, False

    def mute(self) -> None:
        """Nothing more goes out, and nothing is said of it: nobody reads what a call of the grader's prints."""
        self.pieces, self.noted = 0, True

    def fit(self, kind: str, content: dict) -> dict | None:
        """The content of a message, cut to what fits; None where nothing is to be sent."""
        if kind in ("error", "execute_reply"):
            return _shortened(content)
        if kind == "stream":
            text = self._fit_text(content["text"])
            return content | {"text": text} if text else None
        if kind in ("display_data", "execute_result"):
            data = self._fit_data(content["data"])
            return content | {"data": data} if data else None
        return None if kind in _NOT_SHOWN else content

    def _fit_data(self, data: dict) -> dict:
        text, picture = str(data.get("text/plain", "")), data.get("image/png")
        if picture is None or not self.pieces or len(picture) > self.pictures:
            text = self._fit_text(text) if picture is None else self._note()
            return {"text/plain": text} if text else {}
        self.pieces, self.pictures = self.pieces - 1, self.pictures - len(picture)
        return {"text/plain": text[:1000], "image/png": picture}

    def _fit_text(self, text: str) -> str:
        if self.pieces and len(text) <= self.text:
            self.pieces, self.text = self.pieces - 1, self.text - len(text)
            return text
        kept, self.text = text[: self.text] if self.pieces else "", 0
        return kept + self._note()

    def _note(self) -> str:
        note, self.noted = "" if self.noted else f"\n{LEFT_OUT}\n", True
        return note


# Messages of widgets and the echo of a cell's code: a graded notebook has no use for them.
_NOT_SHOWN = {"comm_open", "comm_msg", "comm_close", "clear_output", "update_display_data", "execute_input"}


def _shortened(value, length: int = 10_000):
    """An error or a reply, its texts and lists no longer than a person reads."""
    if isinstance(value, str):
        return value if len(value) <= length else f"{value[:length]}…"
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    return [_shortened(item) for item in value[:100]] if isinstance(value, list) else value


class BoundedSession(Session):
    """Writes Jupyter's messages, those with output only as far as there is room for them."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.output = Output()

    def send(self, stream, msg_or_type, content=None, *arguments, **settings):
        """As `Session.send`; None where the message is left out."""
        whole = msg_or_type if isinstance(msg_or_type, dict) else None
        kind, content = (whole["header"]["msg_type"], whole["content"]) if whole else (msg_or_type, content)
        if kind == "status" and content["execution_state"] == "busy":
            self.output.begin()
        fitting = self.output.fit(kind, content)
        if fitting is None:
            return None
        if whole:
            return super().send(stream, whole | {"content": fitting}, None, *arguments, **settings)
        return super().send(stream, kind, fitting, *arguments, **settings)


def main(connection_file: str, socket_path: str, limits: str) -> None:
    _limit(json.loads(limits))
    import comm
    from ipykernel.kernelapp import IPKernelApp

    from seglab.bridge.agent import Agent

    class App(IPKernelApp):
        @default("session")
        def _bounded(self):
            return BoundedSession(parent=self)

    connection = socket.socket(socket.AF_UNIX)
    connection.connect(socket_path)
    app = App.instance()
    app.initialize(["-f", connection_file, "--HistoryManager.enabled=False"])
    agent = Agent(app.shell.user_ns)

    def serve(_comm, _message):
        kind, number, frame = receive(connection)
        if kind != REQUEST:
            raise ConnectionError(f"a message of kind {kind!r}")

        def ask(question: bytes) -> bytes:
            send(connection, ASK, number, question)
            return receive(connection)[2]

        app.session.output.mute()
        send(connection, REPLY, number, agent.answer(frame, ask))

    comm.get_comm_manager().register_target("seglab", serve)
    app.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
