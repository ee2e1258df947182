"""A provider that says exactly the bytes a test gives it, piece by piece, and knows when it is left."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


class RawProvider:
    """play: gets the connection and the request's bytes; the connection is closed when it returns."""

    def __init__(self, play: Callable[[socket.socket, bytes], None]) -> None:
        self.play = play
        self.requests: list[bytes] = []
        self.left = threading.Event()

    def __enter__(self) -> RawProvider:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.openai_url = f"{self.url}/v1"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(1 << 16)
            head, _, body = data.partition(b"\r\n\r\n")
            length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
            while len(body) < length:
                body += connection.recv(1 << 16)
            self.requests.append(head + b"\r\n\r\n" + body)
            try:
                self.play(connection, self.requests[-1])
            except OSError:
                self.left.set()

    def until_left(self, connection: socket.socket) -> None:
        """Say nothing more; wait for the other side to hang up."""
        connection.settimeout(10)
        if connection.recv(1) == b"":
            self.left.set()


def head(status: str = "200 OK", type_: str = "text/event-stream", *more: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {type_}", *more, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
