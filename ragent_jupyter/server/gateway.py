"""The machine door: programs that hold a gateway token reach the engine's gateway through the Jupyter server.

The only handler of ours that Jupyter's own authentication does not guard. No cookie counts here and no form of another
site can do anything: without a token of the gateway in a header nothing is relayed, and whether it is a good one says
the engine, which alone knows their hashes. Requests and answers flow; nothing is collected on the way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable
from http.client import responses
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from ragent_jupyter.domain.errors import RagentError

from .link import EngineLink
from .upstream import Answer

PATH = "/ragent/gateway/"
MAX_BODY = 32 * 1024 * 1024
# A refused body is read to its end, unkept: most clients see no refusal while they send. Beyond this nobody waits.
_DRAINED = 4 * MAX_BODY
_NO_LIMIT = 1 << 62
# The gateway waits ten minutes for a provider; it is the one to say so.
_ANSWER_TIMEOUT_S = 660.0

# The same lists as the gateway's own, and what is between the two of us; a test compares them.
FORTH = re.compile(
    r"accept|content-type|user-agent|idempotency-key|anthropic-.+|openai-beta|x-stainless-.+|x-app|x-claude-.+"
    r"|x-session-.+|x-client-request-id|x-title|http-referer"
    r"|x-ragent-session|x-ragent-gateway",
    re.IGNORECASE,
)
BACK = re.compile(
    r"content-type|content-length|content-encoding|cache-control|retry-after|retry-after-ms|x-should-retry|request-id"
    r"|x-request-id|anthropic-.+|openai-.+|x-ratelimit-.+|cf-ray|date"
    r"|x-accel-buffering|x-content-type-options",
    re.IGNORECASE,
)


def credentials(headers: HTTPHeaders) -> dict[str, str]:
    """The header that carries a gateway token, alone: what opens Jupyter or a hub is no business of the engine's."""
    found = {}
    for name in ("Authorization", "X-Api-Key"):
        value = headers.get(name, "")
        if value.removeprefix("Bearer ").strip().startswith("rgt_"):
            found[name] = value
    return found


def target(path: str, query: str) -> str:
    """What to ask the engine for, from this request's path (with the server's base_url) and query."""
    kept = [p for p in query.split("&") if p and p.partition("=")[0].lower() not in ("token", "_xsrf")]
    return PATH + path.partition(PATH)[2] + ("?" + "&".join(kept) if kept else "")


@stream_request_body
class GatewayDoor(RequestHandler):
    """`ragent/gateway/…`, both ways as it flows."""

    def initialize(self) -> None:
        self._engine: IOStream | None = None
        self._asking: HTTP1Connection | None = None
        self._refusal: tuple[int, str] | None = None
        self._got = 0
        self._gone = False

    @property
    def link(self) -> EngineLink:
        return self.settings["ragent_link"]  # type: ignore[no-any-return]

    def set_default_headers(self) -> None:
        self.clear_header("Content-Type")

    def compute_etag(self) -> None:
        """Answers are the provider's, not ours to compare."""

    def check_xsrf_cookie(self) -> None:
        """Nothing here is done on a cookie's word."""

    # --- the request, as it comes -------------------------------------------------------------------------------
    async def prepare(self) -> None:
        if self.request.method not in ("GET", "POST"):
            return  # the verb says no
        if isinstance(self.request.connection, HTTP1Connection):
            self.request.connection.set_max_body_size(_DRAINED)
            # Headers and first words go as two packets: the second shall not wait for the first one's receipt.
            self.request.connection.stream.set_nodelay(True)
        own = credentials(self.request.headers)
        if not own:
            # Nobody without one wakes an engine.
            self._refusal = (401, "No token: send one of this gateway as x-api-key or as a Bearer token.")
        elif self._length > MAX_BODY:
            self._refusal = (413, f"The request is larger than {MAX_BODY >> 20} MiB.")
        else:
            await self._begin(own)
        if self._refusal and (self._length > _DRAINED or "100-continue" in self.request.headers.get("Expect", "")):
            self.refuse()

    @property
    def _length(self) -> int:
        """As the client says; 0 where it does not."""
        length = self.request.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() and length.isascii() else 0

    async def _begin(self, own: dict[str, str]) -> None:
        try:
            self._engine = await self.link.connect()
        except RagentError as error:
            self._refusal = (error.status, str(error))
            return
        if self._gone:  # while the engine was starting
            self._engine.close()
            return
        headers = HTTPHeaders({"Host": "engine", "Connection": "close", **own})
        for name, value in self.request.headers.get_all():
            if FORTH.fullmatch(name):
                headers.add(name, value)
        if "Content-Length" in self.request.headers:
            headers["Content-Length"] = self.request.headers["Content-Length"]
        params = HTTP1ConnectionParameters(
            no_keep_alive=True, header_timeout=_ANSWER_TIMEOUT_S, max_body_size=_NO_LIMIT
        )
        self._asking = HTTP1Connection(self._engine, is_client=True, params=params)
        line = RequestStartLine(self.request.method or "", target(self.request.path, self.request.query), "HTTP/1.1")
        # A closed stream is told by the answer's reading; nobody awaits the writes but a body's.
        self._asking.write_headers(line, headers)

    async def data_received(self, chunk: bytes) -> None:
        self._got += len(chunk)
        if self._asking is None or self._gone or self._refusal is not None:
            return
        if self._got > MAX_BODY:  # nobody had said how much would come
            self._refusal = (413, f"The request is larger than {MAX_BODY >> 20} MiB.")
            self._hang_up()
            return
        try:
            # Awaited: the client sends no faster than the engine reads.
            await self._asking.write(chunk)
        except StreamClosedError:
            self._refusal = (502, "The gateway went away; ask again.")

    # --- the answer -----------------------------------------------------------------------------------------------
    @allow_unauthenticated
    async def get(self) -> None:
        await self._relay()

    @allow_unauthenticated
    async def post(self) -> None:
        await self._relay()

    async def _relay(self) -> None:
        if self._refusal is not None:
            return self.refuse()
        if self._asking is None or self._gone:
            return
        answer = Answer(self)
        hung = False
        try:
            self._asking.finish()
            await self._asking.read_response(answer)
            hung = not answer.begun and self._engine is not None and not self._engine.closed()
        except StreamClosedError:
            hung = False
        finally:
            self._hang_up()
        if self._gone:
            return
        if answer.complete:
            self.finish()
        elif answer.begun:
            self._cut()
        else:
            self.link.lost()
            self._refusal = (504 if hung else 502, "The gateway did not answer." if hung else "The gateway went away.")
            self.refuse()

    def begin(self, status: int, headers: HTTPHeaders) -> Awaitable[None] | None:
        self.set_status(status, responses.get(status, "Unknown"))  # 529 and its like have no name in the standard
        for name, value in headers.get_all():
            if BACK.fullmatch(name):
                self.add_header(name, value)
        return None if "Content-Length" in headers else self.push()

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        if self._gone:
            return None
        self.write(chunk)
        return self.push()

    async def push(self) -> None:
        """Awaited by the reader of the engine's socket: it reads no further than the client does."""
        try:
            await self.flush()
        except StreamClosedError:
            self.on_connection_close()

    def on_connection_close(self) -> None:
        """The client is gone: the engine is told by its closed socket, and closes the provider's."""
        self._gone = True
        self._auto_finish = False
        self._hang_up()

    def _hang_up(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def _cut(self) -> None:
        """The client sees a broken answer, never one that looks whole."""
        self._auto_finish = False
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and connection.stream is not None:
            connection.stream.close()

    # --- our own no -------------------------------------------------------------------------------------------------
    def refuse(self) -> None:
        """In the words of the provider whose wire it is."""
        assert self._refusal is not None
        status, message = self._refusal
        self.clear()
        self.set_status(status, responses.get(status, "Unknown"))
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        if status == 503:
            self.set_header("Retry-After", "2")
        if status == 401:
            self.set_header("X-Should-Retry", "false")
        self.finish(json.dumps(refusal_body(self.request.path, status, message)))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self._refusal = (status_code, responses.get(status_code, "The gateway's door failed on this request."))
        self.refuse()


def refusal_body(path: str, status: int, message: str) -> dict[str, Any]:
    """
    >>> refusal_body("/ragent/gateway/v1/messages", 401, "No.")
    {'type': 'error', 'error': {'type': 'authentication_error', 'message': 'No.'}}
    """
    rest = path.partition(PATH)[2]
    if "openai" in rest or "chat" in rest:
        type_ = "invalid_request_error" if status < 500 else "server_error"
        code = "invalid_api_key" if status == 401 else None
        return {"error": {"message": message, "type": type_, "param": None, "code": code}}
    types = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large"}
    return {"type": "error", "error": {"type": types.get(status, "api_error"), "message": message}}
