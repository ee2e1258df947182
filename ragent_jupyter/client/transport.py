"""HTTP over the engine's Unix socket: one request, or one endless stream of lines."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from ragent_jupyter.domain.errors import BadInput, RagentError, Unreachable, from_wire
from ragent_jupyter.domain.wire import ErrorReply

API = "/ragent/api/v1/"
REQUEST_TIMEOUT_S = 30.0
# The engine pings a quiet stream every 15 s: three missed pings mean that nobody is there any more.
STREAM_TIMEOUT_S = 50.0


class NobodyListens(Unreachable):
    """No engine accepted the connection: nothing was asked, so asking again is harmless."""


class AnswerLost(Unreachable):
    """The connection broke after the request was sent: it may or may not have been done."""


class StreamQuiet(AnswerLost):
    """Nothing came on a stream for a while: either there was nothing to say, or nobody is there to say it."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, socket_path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = socket_path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            self._dial(sock)
        except BaseException:
            sock.close()
            raise
        self.sock = sock

    def _dial(self, sock: socket.socket) -> None:
        """A full backlog answers EAGAIN at once, whatever the timeout: a busy engine, not a missing one."""
        deadline = time.monotonic() + float(self.timeout or REQUEST_TIMEOUT_S)
        pause = threading.Event()
        while True:
            try:
                sock.connect(self._socket_path)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                pause.wait(0.02)


def url(path: str, query: Mapping[str, Any] | None = None) -> str:
    """`runs/run_1` and {"limit": 5, "after": None} as a path under the API; None values are left out, a list is
    joined by commas, a tuple repeats the name.

    >>> url("runs", {"limit": 5, "after": None, "status": ["failed", "stopped"]})
    '/ragent/api/v1/runs?limit=5&status=failed%2Cstopped'
    """
    path = API + quote(path, safe="/")
    pairs: list[tuple[str, Any]] = []
    for name, value in (query or {}).items():
        if value is None:
            continue
        if isinstance(value, tuple):
            pairs += [(name, one) for one in value]
            continue
        if isinstance(value, bool):
            value = int(value)
        elif isinstance(value, list):
            value = ",".join(map(str, value))
        pairs.append((name, value))
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _open(
    socket_path: str,
    method: str,
    path: str,
    query: Mapping[str, Any] | None,
    body: Any,
    accept: str,
    timeout: float,
    more: Mapping[str, str] | None = None,
) -> tuple[_UnixConnection, http.client.HTTPResponse]:
    connection = _UnixConnection(socket_path, timeout)
    try:
        connection.connect()
    except TimeoutError as error:
        raise _silent(socket_path, timeout) from error
    except OSError as error:
        raise NobodyListens(
            f"No engine listens at {socket_path}.", "Start it with `ragent serve`, or repeat the command."
        ) from error
    headers = {"Accept": accept, **(more or {})}
    data: bytes | None = None
    if body is not None:
        try:
            data = msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise BadInput(
                "The text holds bytes that are not UTF-8, or half a character.", "Send it as UTF-8."
            ) from None
        headers["Content-Type"] = "application/json"
    elif method != "GET":
        data = b""
    try:
        connection.request(method, url(path, query), body=data, headers=headers)
        return connection, connection.getresponse()
    except TimeoutError as error:
        connection.close()
        raise _silent(socket_path, timeout) from error
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise AnswerLost(
            f"The engine went away before it answered {method} {path}.",
            "Look with `ragent status` whether it was done, then repeat the command if not.",
        ) from error


def _silent(socket_path: str, timeout: float) -> Unreachable:
    return Unreachable(
        f"The engine did not answer within {timeout:g} s.",
        "It may be busy or stopped: its process id stands in "
        f"{socket_path.rsplit('/', 1)[0]}/engine.lock, its messages in engine.log beside it.",
    )


def _refusal(status: int, payload: bytes) -> RagentError:
    try:
        body = msgspec.json.decode(payload, type=ErrorReply).error
    except msgspec.DecodeError:
        text = payload[:200].decode("utf-8", "replace").strip()
        return from_wire(status, "", f"The engine refused with status {status}.", text)
    return from_wire(status, body.type, body.problem, body.remedy)


def request(
    socket_path: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: Mapping[str, Any] | None = None,
    timeout: float = REQUEST_TIMEOUT_S,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The reply's body. path: under the API, without its prefix. body: anything that msgspec encodes.

    Raises the engine's refusal as its RagentError; NobodyListens, AnswerLost or Unreachable if there is no answer.
    """
    connection, response = _open(socket_path, method, path, query, body, "application/json", timeout, headers)
    try:
        payload = response.read()
    except TimeoutError as error:
        raise _silent(socket_path, timeout) from error
    except (OSError, http.client.HTTPException) as error:
        raise AnswerLost(f"The engine went away while it answered {method} {path}.", "Repeat the command.") from error
    finally:
        connection.close()
    if response.status >= 400:
        raise _refusal(response.status, payload)
    return payload


def stream(
    socket_path: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    timeout: float = STREAM_TIMEOUT_S,
    headers: Mapping[str, str] | None = None,
) -> Iterator[bytes]:
    """Lines of an NDJSON stream, as they come, until the engine ends it.

    Raises AnswerLost if it broke off, so that a caller that knows where it stood can go on from there.
    """
    connection, response = _open(socket_path, "GET", path, query, None, "application/x-ndjson", timeout, headers)
    try:
        if response.status >= 400:
            raise _refusal(response.status, response.read())
        rest = b""
        while True:
            try:
                piece = response.read1(65536)
            except TimeoutError as error:
                raise StreamQuiet(
                    f"The engine's stream said nothing for {timeout:g} s.", "Repeat the command."
                ) from error
            except (OSError, http.client.HTTPException) as error:
                raise AnswerLost("The engine's stream broke off.", "Repeat the command.") from error
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line
        if rest.strip():
            yield rest
    finally:
        connection.close()
