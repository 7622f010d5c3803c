"""The Jupyter kernel that a submission runs in: an ordinary ipykernel with limits, and an agent on a socket.

Started by the grader as `python -m seglab.bridge.kernel CONNECTION_FILE SOCKET LIMITS`. It holds nothing worth
stealing: no tests, no expected values, no reference. The grader opens a comm named `seglab` to say "read one request";
request, callbacks and reply then travel over the socket as frames of `seglab.bridge.wire`, each behind a small prefix:

    1 byte: kind | 8 bytes: number of the request | 4 bytes: length | frame
"""

import json
import socket
import struct
import sys

from seglab.bridge.wire import MAX_BYTES

PREFIX = struct.Struct("<cQI")
REQUEST, REPLY, ASK, ANSWER = b"q", b"r", b"a", b"b"


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


def main(connection_file: str, socket_path: str, limits: str) -> None:
    _limit(json.loads(limits))
    import comm
    from ipykernel.kernelapp import IPKernelApp

    from seglab.bridge.agent import Agent

    connection = socket.socket(socket.AF_UNIX)
    connection.connect(socket_path)
    app = IPKernelApp.instance()
    app.initialize(["-f", connection_file, "--HistoryManager.enabled=False"])
    agent = Agent(app.shell.user_ns)

    def serve(_comm, _message):
        kind, number, frame = receive(connection)
        if kind != REQUEST:
            raise ConnectionError(f"a message of kind {kind!r}")

        def ask(question: bytes) -> bytes:
            send(connection, ASK, number, question)
            return receive(connection)[2]

        send(connection, REPLY, number, agent.answer(frame, ask))

    comm.get_comm_manager().register_target("seglab", serve)
    app.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
