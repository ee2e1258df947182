"""The machine doors: a client's request in, the provider's answer out, byte for byte, as it flows.

No cookies, no pages, no cross-site forms: a token in a header is all that counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from http.client import responses
from typing import Any

from msgspec.structs import replace
from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from ragent_jupyter.domain.model import Usage

from . import wire
from .calls import Call
from .core import HOPS, Gateway
from .limits import RefusalKind, Refused, check_scope
from .provider import Answer, Lost
from .tokens import Token
from .upstreams import Upstream, at_home, choose, url
from .usage import Reader

log = logging.getLogger("ragent.gateway")

# A refused body is read to its end, unkept: most clients see no refusal while they send. Beyond this nobody waits.
_DRAINED = 4 * wire.MAX_BODY
_SESSIONS = ("X-Ragent-Session", "X-Claude-Code-Session-Id", "X-Session-Id")


@stream_request_body
class GatewayHandler(RequestHandler):
    """Every path of the gateway: which one it is says `wire.parse`."""

    def initialize(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._began = gateway.mono()
        self._request_id = gateway.new_id()
        self._token: Token | None = None
        self._refused: Refused | None = None
        self._format = wire.format_of(self.request.path)

    def set_default_headers(self) -> None:
        self.clear_header("Content-Type")
        self.set_header("Server", "ragent")

    def compute_etag(self) -> None:
        """Answers are the provider's, not ours to compare."""

    def check_xsrf_cookie(self) -> None:
        """Nothing here is done on a cookie's word."""

    # --- before the body --------------------------------------------------------------------------------------------
    def prepare(self) -> None:
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(_DRAINED)
            # Headers and first words go as two packets: the second shall not wait for the first one's receipt.
            connection.stream.set_nodelay(True)
        try:
            headers = list(self.request.headers.get_all())
            presented, self._sent_as = wire.credential(headers)
            formats = {name: u.format for name, u in self.gateway.upstreams().items()}
            self.ask = wire.parse(
                self.request.method or "", self.request.path, self.request.headers.get("User-Agent", ""), formats
            )
            self._format = self.ask.format
            self._token = self.gateway.admit(presented)
            if self.gateway.id in self.request.headers.get(HOPS, ""):
                raise Refused("loop", "This gateway is its own upstream: look at its ANTHROPIC_BASE_URL.")
            if self._length > wire.MAX_BODY:
                raise _too_large()
        except Refused as refused:
            self._refused = refused
            if self._length > _DRAINED or "100-continue" in self.request.headers.get("Expect", ""):
                self._refuse(refused)

    @property
    def _length(self) -> int:
        """As the client says; 0 where it does not."""
        length = self.request.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() and length.isascii() else 0

    def data_received(self, chunk: bytes) -> None:
        if self._refused is None:
            self._body += chunk
        if len(self._body) > wire.MAX_BODY:
            self._body.clear()
            self._refused = _too_large()

    # --- then ---------------------------------------------------------------------------------------------------------
    async def get(self) -> None:
        await self._run()

    post = put = patch = delete = get  # only GET and POST get further than `prepare`

    async def _run(self) -> None:
        """The exchange is a task of its own: the client's leaving, or our end, cancels it and the provider's too."""
        if self._finished:
            return
        if self._refused is not None:
            return self._refuse(self._refused)
        self._task = asyncio.ensure_future(self._exchange())
        self.gateway.live.add(self._task)
        try:
            await self._task
        except asyncio.CancelledError:
            self._cut()
        except Refused as refused:
            self._refuse(refused)
        finally:
            self.gateway.live.discard(self._task)

    def on_connection_close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _exchange(self) -> None:
        gateway, token, ask = self.gateway, self._token, self.ask
        assert token is not None  # or prepare has refused
        body = bytes(self._body)
        self._body.clear()
        read = None if ask.what == "models" else wire.read_body(body)
        try:
            name, upstream, model = choose(gateway.upstreams(), ask.named, ask.format, read.model if read else "")
            check_scope(token, name, [model, *read.models[1:]] if read else [])
            if read:
                body = wire.body_forth(body, read, model, exact=bool(token.models or token.has_budget))
            least = gateway.reserve(token, model, upstream, len(body)) if ask.paid else 0.0
        except Refused as refused:
            gateway.note_refusal(token, refused, model=read.model if read else "", what=ask.what)
            raise
        call = Call(
            id=self._request_id, at=gateway.clock(), who=token.name, token=token.id, role="gateway", upstream=name,
            what=ask.what, model=model[:200], stream=bool(read and read.stream), sent=len(body),
            n_messages=read.n_messages if read else None, session=self._session(),
        )  # fmt: skip
        passing = _Passing(self, call, upstream, Reader(ask.format, streamed=False))
        try:
            await passing.run(body)
        finally:
            gateway.book.release(token.id, least)
            passing.remember(body, ask.paid)

    def _session(self) -> str:
        found = next((self.request.headers[name] for name in _SESSIONS if name in self.request.headers), "")
        return "".join(c for c in found[:128] if c.isprintable())

    # --- what the exchange needs of the wire ------------------------------------------------------------------------
    def provider_headers(self, name: str, upstream: Upstream, key: str) -> list[tuple[str, str]]:
        headers = wire.forth(self.request.headers.get_all())
        if key:
            headers += wire.key_headers(key, upstream.header, self._sent_as)
        if not at_home(name, upstream):
            headers.append((HOPS, f"{self.request.headers.get(HOPS, '')},{self.gateway.id}".strip(",")))
        return headers

    async def begin(self, answer: Answer) -> None:
        self.set_status(answer.status, _reason(answer.status))
        for name, value in wire.back(answer.headers):
            self.add_header(name, value)
        # A proxy that collects an answer before passing it on would turn a live stream into a dead one.
        self.set_header("X-Accel-Buffering", "no")
        self.set_header("X-Content-Type-Options", "nosniff")
        if answer.streamed:
            await self.flush()

    async def pass_on(self, chunk: bytes) -> None:
        """Awaited: the provider is read no faster than the client reads."""
        self.write(chunk)
        await self.flush()

    def _refuse(self, refused: Refused) -> None:
        if self._headers_written:
            self._cut()
            return
        body, headers = wire.refusal(refused, self._format, self._request_id)
        self.clear()
        self.set_status(refused.status, _reason(refused.status))
        for name, value in headers:
            self.set_header(name, value)
        self.finish(body)

    def _cut(self) -> None:
        """The client sees a broken answer, never one that looks whole."""
        self._auto_finish = False
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and connection.stream is not None:
            connection.stream.close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if isinstance(error, HTTPError):
            kind: RefusalKind = "not_found" if status_code in (404, 405) else "bad_request"
            self._refuse(Refused(kind, _reason(status_code)))
        else:
            self._refuse(Refused("internal", "The gateway failed on this request; its log tells more."))

    @property
    def waited_ms(self) -> float:
        return (self.gateway.mono() - self._began) * 1000.0


class _Passing:
    """One answer on its way through, and what there is to say of it afterwards."""

    def __init__(self, handler: GatewayHandler, call: Call, upstream: Upstream, reader: Reader) -> None:
        self.handler = handler
        self.gateway = handler.gateway
        self.call = call
        self.upstream = upstream
        self.reader = reader
        self.key = ""
        self.asked = False
        self.status = 0
        self.outcome = "left"  # until we know better: a cancelled task says no more
        self.first_ms: float | None = None
        self.received = 0
        self.kept = bytearray()
        self.request_id = ""
        self.error = ""

    async def run(self, body: bytes) -> None:
        handler, ask = self.handler, self.handler.ask
        try:
            self.key = await self.gateway.key(self.upstream)
            target = url(self.upstream, ask.path)
            query = wire.query_forth(handler.request.query)
            headers = handler.provider_headers(self.call.upstream, self.upstream, self.key)
            self.asked = True
            answer = await self.gateway.provider.ask(
                handler.request.method or "", f"{target}?{query}" if query else target, headers,
                None if ask.what == "models" else body, self.key,
            )  # fmt: skip
        except Refused as refused:
            self.status, self.outcome, self.error = refused.status, "error", refused.kind
            raise
        try:
            await self._flow(answer)
        finally:
            # Shielded: a cancelled task closes the provider's connection all the same.
            await asyncio.shield(answer.close())

    async def _flow(self, answer: Answer) -> None:
        self.status = answer.status
        self.reader.streamed = answer.streamed
        named = HTTPHeaders()
        for name, value in answer.headers:
            named.add(name, value)
        self.request_id = (named.get("request-id") or named.get("x-request-id") or "")[:100]
        try:
            await self.handler.begin(answer)
            async for chunk in answer.pieces():
                await self.handler.pass_on(chunk)
                self._look(chunk)
        except Lost:
            self.outcome = "cut"
            self.handler._cut()
            return
        except StreamClosedError:
            return  # the client left
        self.reader.end()
        if answer.streamed and not answer.marked_end and not self.reader.whole:
            self.outcome = "cut"
            self.handler._cut()
            return
        self.outcome = "ok" if answer.status < 400 and not self.reader.error else "error"
        with contextlib.suppress(StreamClosedError):
            await self.handler.finish()

    def _look(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.gateway.log_bodies and len(self.kept) < 1 << 20:
            self.kept += chunk
        try:
            self.reader.feed(chunk)
        except Exception:
            # Whatever an answer looks like: it has been passed on, and only its numbers are missing.
            log.exception("an answer of %s could not be counted", self.call.upstream)
        if self.first_ms is None and self.reader.streamed and self.reader.began:
            self.first_ms = self.handler.waited_ms

    def remember(self, body: bytes, paid: bool) -> None:
        reader, call, gateway = self.reader, self.call, self.gateway
        reader.end()
        if self.outcome == "left" and gateway.closing:
            self.outcome = "cut"
        # A call that was broken off before its first word has been taken, and is paid for, as far as we know.
        taken = paid and (200 <= self.status < 300 or (self.asked and self.outcome == "left" and not self.status))
        usage = reader.usage(len(body), taken)
        cost = gateway.cost_of(self.upstream, call.model, usage, reader.cost)
        usage = replace(usage, cost=cost)
        said = bytes(self.kept)
        call = replace(
            call, usage=usage if paid else Usage(calls=1, cost=0.0), status=self.status, outcome=self.outcome,
            first_token_ms=self.first_ms, latency_ms=self.handler.waited_ms, finish_reason=reader.stop_reason[:50],
            error=(reader.error or self.error)[:80], received=self.received, request_id=self.request_id,
            request=gateway.kept(body, self.key) if call.what != "models" else None,
            response=gateway.kept(said, self.key),
        )  # fmt: skip
        gateway.note(call, charge=True)


def _too_large() -> Refused:
    return Refused("too_large", f"The request is larger than {wire.MAX_BODY >> 20} MiB.")


def _reason(status: int) -> str:
    """529 and its like have no name in the standard, and tornado wants one."""
    return responses.get(status, "Unknown")
