"""One HTTP exchange with the engine over its Unix socket, as it flows.

Tornado's HTTP1Connection stands on the socket directly, below its HTTP client: the delegate's `data_received` may
return an awaitable, so a slow browser slows the engine's stream down instead of filling our memory, and closing the
stream ends the engine's work at once, even while it has nothing to say.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Mapping
from typing import Protocol

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

# A stream of events has no end; tornado counts the bytes of a body all the same.
_NO_LIMIT = 1 << 62
_BUSY_TRIES = 50  # x 20 ms: a full backlog of a busy engine


class Sink(Protocol):
    """Where an answer goes."""

    def begin(self, status: int, headers: HTTPHeaders) -> Awaitable[None] | None: ...
    def take(self, chunk: bytes) -> Awaitable[None] | None: ...


class AnswerLost(Exception):
    """The engine went away. begun: some of the answer had already been passed on."""

    def __init__(self, begun: bool, hung: bool = False) -> None:
        super().__init__("the engine went away")
        self.begun = begun
        self.hung = hung


async def dial(path: str) -> IOStream:
    """A connection to the Unix socket at `path`. Raises OSError (FileNotFoundError, ConnectionRefusedError …)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        for _ in range(_BUSY_TRIES):
            try:
                sock.connect(path)
                break
            except BlockingIOError:  # a full backlog; a Unix socket then tells nobody when there is room again
                await asyncio.sleep(0.02)
        else:
            raise OSError(errno.EAGAIN, "the engine accepts no connection")
    except BaseException:
        sock.close()
        raise
    return IOStream(sock)


async def exchange(
    stream: IOStream,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    sink: Sink,
    *,
    answer_timeout: float,
) -> None:
    """Send one request on `stream`, pass the answer to `sink`, close the stream.

    answer_timeout: seconds until the answer's headers must be there; its body may take for ever.
    Raises AnswerLost. Whoever loses interest closes the stream.
    """
    params = HTTP1ConnectionParameters(no_keep_alive=True, header_timeout=answer_timeout, max_body_size=_NO_LIMIT)
    connection = HTTP1Connection(stream, is_client=True, params=params)
    answer = Answer(sink)
    outgoing = HTTPHeaders(dict(headers))
    outgoing["Host"] = "engine"
    outgoing["Connection"] = "close"
    if body or method in ("POST", "PUT", "PATCH"):
        outgoing["Content-Length"] = str(len(body))
    alive = True
    try:
        # The error of a closed stream comes out of read_response as well; nobody awaits the writes.
        connection.write_headers(RequestStartLine(method, target, "HTTP/1.1"), outgoing, body or None)
        connection.finish()
        await connection.read_response(answer)
        alive = not stream.closed()
    except StreamClosedError:
        alive = False
    finally:
        stream.close()
    if not answer.complete:
        raise AnswerLost(begun=answer.begun, hung=alive)


class Answer(HTTPMessageDelegate):
    """Hands a reply to a sink as it comes; `complete` says whether all of it came."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.begun = False
        self.complete = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        if not isinstance(start_line, ResponseStartLine) or start_line.code < 200:
            return None
        self.begun = True
        return self._sink.begin(start_line.code, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._sink.take(chunk)

    def finish(self) -> None:
        self.complete = True

    def on_connection_close(self) -> None:
        pass  # `complete` stays False, which says it
