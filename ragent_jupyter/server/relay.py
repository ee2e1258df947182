"""The relay: what a browser asks under `ragent/api/v1/` goes to the engine, its answer comes back as it flows.

Jupyter authenticates and authorizes; the engine is told only who asked. Credentials end here: headers are passed by
a list of what may go, never by a list of what may not.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.http1connection import HTTP1Connection
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import Resolver
from tornado.web import HTTPError, authenticated, stream_request_body
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    WebSocketHandler,
    websocket_connect,
)

from ragent_jupyter.domain.errors import RagentError, TooLarge, Unreachable
from ragent_jupyter.runfiles.project import socket_path

from .base import RESOURCE, RagentHandler
from .link import API, EngineLink
from .upstream import AnswerLost, exchange

MAX_BODY = 10 * 1024 * 1024
_FORTH = ("Accept", "Content-Type", "If-None-Match", "Last-Event-ID", "Prefer")
_BACK = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "ETag",
    "Last-Modified",
    "Location",
    "Retry-After",
)
# They tell Jupyter who asks, which is no business of the engine's.
_NOT_IN_THE_QUERY = frozenset({"token", "_xsrf", "no_track_activity"})
_FLUSH_AT = 256 * 1024
_READ_TIMEOUT_S = 120.0  # a long poll waits half a minute at most
_WISH_TIMEOUT_S = 900.0  # a report may run a notebook


def user_header(user: Any) -> str:
    """The name for X-Ragent-User: ASCII, whatever the identity provider calls its users."""
    return quote(str(getattr(user, "username", None) or "anonymous"), safe=" @.+-_")[:200]


def door_header(said: str | None) -> str:
    """The kind of door for X-Ragent-Door: what the client says it is, else a browser.

    Code of the same user could say anything here, as it could open the engine's socket itself; that it must say so is
    what keeps a notebook from pressing "Allow" by accident.
    """
    return said if said in ("terminal", "kernel", "script") else "browser"


def engine_target(path: str, query: str) -> str:
    """What to ask the engine for, from this request's path (with the server's base_url) and query."""
    rest = path.partition(API)[2]
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in _NOT_IN_THE_QUERY]
    return API + rest + ("?" + urlencode(kept) if kept else "")


@stream_request_body
class RelayHandler(RagentHandler):
    """Everything under api/v1. A body is read as it comes, so that one that is too large is refused, not kept."""

    def initialize(self, **kwargs: Any) -> None:
        self._body = bytearray()
        self._too_large = False
        self._refused: HTTPError | None = None
        self._upstream: IOStream | None = None
        self._gone = False
        self._flowing = False
        self._pending = 0
        self._content_type = "application/json"

    async def prepare(self) -> None:  # type: ignore[override]
        length = self.request.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() and length.isascii() else 0
        try:
            await super().prepare()
        except HTTPError as error:
            if not 0 < size <= MAX_BODY:
                raise
            # Most clients see no refusal while they send, only a broken line: the body is read to its end, unkept.
            self._refused = error
            return
        if not self._finished and size > MAX_BODY:
            self.refuse(_too_large())

    def data_received(self, chunk: bytes) -> None:
        if self._refused is not None:
            return
        if len(self._body) + len(chunk) > MAX_BODY:
            self._too_large = True
            self._body.clear()
        if not self._too_large:
            self._body += chunk

    @authenticated
    @authorized
    async def get(self, *_: str) -> None:
        await self.relay()

    @authenticated
    @authorized
    async def post(self, *_: str) -> None:
        await self.relay()

    @authenticated
    @authorized
    async def put(self, *_: str) -> None:
        await self.relay()

    @authenticated
    @authorized
    async def patch(self, *_: str) -> None:
        await self.relay()

    @authenticated
    @authorized
    async def delete(self, *_: str) -> None:
        await self.relay()

    async def relay(self) -> None:
        if self._refused is not None:
            raise self._refused
        if self._too_large:
            return self.refuse(_too_large())
        try:
            await self._ask(again=self.request.method == "GET" or _has_request_id(self._body))
        except RagentError as error:
            if not self._gone:
                self.refuse(error)

    async def _ask(self, *, again: bool) -> None:
        """One exchange; a second one if the engine went before it said a word and asking twice does no harm."""
        method = self.request.method or "GET"
        target = engine_target(self.request.path, self.request.query)
        headers = {name: self.request.headers[name] for name in _FORTH if name in self.request.headers}
        headers["X-Ragent-User"] = user_header(self.current_user)
        headers["X-Ragent-Door"] = door_header(self.request.headers.get("X-Ragent-Door"))
        self._upstream = await self.link.connect()
        if self._gone:  # while the engine was starting
            self._upstream.close()
            return
        try:
            timeout = _READ_TIMEOUT_S if method == "GET" else _WISH_TIMEOUT_S
            await exchange(self._upstream, method, target, headers, bytes(self._body), self, answer_timeout=timeout)
        except AnswerLost as lost:
            if self._gone:
                return
            if lost.begun:
                # The status is out. Cut the line, so that the reader sees a broken answer, not a short one.
                self._cut()
                return
            if lost.hung:
                raise Unreachable(
                    f"ragent's engine accepted the request, but has not answered in {timeout:.0f} s.",
                    "It may be stopped (SIGSTOP) or its disk may hang; `ragent doctor` looks. Runs go on without it.",
                ) from None
            self.link.lost()
            if again:
                return await self._ask(again=False)
            raise Unreachable(
                "ragent's engine went away while it worked on this; it may or may not have been done.",
                "The engine is started again by the next request: look at the list before you repeat it.",
            ) from None
        if not self._finished and not self._gone:
            self.finish(set_content_type=self._content_type)

    # --- the answer, as the engine sends it ---------------------------------------------------------------------
    def begin(self, status: int, headers: HTTPHeaders) -> Awaitable[None] | None:
        self.set_status(status)
        for name in _BACK:
            if name in headers:
                self.set_header(name, headers[name])
        self._content_type = headers.get("Content-Type", self._content_type)
        self.set_header("Content-Type", self._content_type)
        if "Cache-Control" not in headers:
            self.set_header("Cache-Control", "no-store")
        self._flowing = "Content-Length" not in headers and status not in (204, 304)
        if not self._flowing:
            return None
        # A proxy that collects an answer before passing it on would turn a live stream into a dead one.
        self.set_header("X-Accel-Buffering", "no")
        return self._push()  # a stream may be silent for long; its reader wants to know that it is open

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        if self._gone:
            return None
        self.write(chunk)
        self._pending += len(chunk)
        if self._flowing or self._pending >= _FLUSH_AT:
            return self._push()
        return None

    async def _push(self) -> None:
        """Awaited by the reader of the engine's socket: it reads no further than the browser does."""
        self._pending = 0
        try:
            await self.flush()
        except StreamClosedError:
            self.on_connection_close()

    def on_connection_close(self) -> None:
        """The browser is gone: so is the engine's reason to go on with this answer."""
        self._gone = True
        if self._upstream is not None:
            self._upstream.close()
        super().on_connection_close()

    def _cut(self) -> None:
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and connection.stream is not None:
            connection.stream.close()


class StartRelayHandler(RelayHandler):
    """Where a POST starts commands or answers for somebody: that is `execute`, not `write`."""

    @authenticated
    @authorized(action="execute")  # type: ignore[untyped-decorator]
    async def post(self, *_: str) -> None:
        await self.relay()


def _too_large() -> TooLarge:
    return TooLarge(
        f"The request is larger than {MAX_BODY // (1024 * 1024)} MB.",
        "Put large data into a file of the project and name the file.",
    )


def _has_request_id(body: bytearray) -> bool:
    """Whether the engine recognises a repetition of this wish by itself."""
    if b'"request_id"' not in body:
        return False
    try:
        wish = json.loads(body)
    except ValueError:
        return False
    return isinstance(wish, dict) and bool(wish.get("request_id"))


class _ToSocket(Resolver):
    """Any host is the engine's Unix socket."""

    def initialize(self, path: str = "") -> None:
        self.path = path

    async def resolve(self, host: str, port: int, family: int = 0) -> list[tuple[int, Any]]:
        return [(socket.AF_UNIX, self.path)]


class EventsSocket(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """`events/ws`: one WebSocket per tab, passed on frame by frame in both directions."""

    auth_resource = RESOURCE

    def initialize(self, **kwargs: Any) -> None:
        self._upstream: WebSocketClientConnection | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def link(self) -> EngineLink:
        return self.settings["ragent_link"]  # type: ignore[no-any-return]

    @ws_authenticated
    @authorized
    async def get(self, *args: Any, **kwargs: Any) -> None:
        await super().get(*args, **kwargs)

    async def open(self, *args: Any, **kwargs: Any) -> None:
        """Tornado delivers no message before this is through, so none is lost while the engine starts."""
        super().open(*args, **kwargs)
        try:
            upstream = await self._dial()
        except RagentError as error:
            # 1013, try again later; a close reason ends at 123 bytes.
            self.close(1013, error.problem.encode("ascii", "replace")[:120].decode())
            return
        if self.ws_connection is None:
            upstream.close()
            return
        self._upstream = upstream
        self.link.sockets.add(self)
        self._pump = asyncio.create_task(self._from_engine(upstream))

    async def _dial(self) -> WebSocketClientConnection:
        probe = await self.link.connect()  # wakes the engine, and tells in words why it cannot be reached
        probe.close()
        request = HTTPRequest(
            f"ws://engine{API}events/ws", headers={"X-Ragent-User": user_header(self.current_user)}, connect_timeout=20
        )
        try:
            resolver = _ToSocket(path=socket_path(self.link.project()))
            return await websocket_connect(request, resolver=resolver, max_message_size=64 * 1024 * 1024)
        except (OSError, HTTPClientError, WebSocketClosedError, StreamClosedError) as error:
            self.link.lost()
            raise Unreachable(f"ragent's engine took no event socket: {error}") from error

    async def _from_engine(self, upstream: WebSocketClientConnection) -> None:
        try:
            while (message := await upstream.read_message()) is not None:
                # Awaited: a tab that reads slowly slows its own stream, and only its own, down.
                await self.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError):
            pass  # the tab went first; on_close has been told
        finally:
            upstream.close()
            if upstream.close_code is None or upstream.close_code == 1006:
                self.link.lost()
                self.close(1012, "the engine went away; connect again")
            else:
                self.close(upstream.close_code, upstream.close_reason)

    async def on_message(self, message: str | bytes) -> None:
        if self._upstream is None:
            return
        try:
            await self._upstream.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError):
            self.close(1012, "the engine went away; connect again")

    def on_close(self) -> None:
        self.link.sockets.discard(self)
        if self._upstream is not None:
            self._upstream.close()
        super().on_close()
