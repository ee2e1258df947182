"""One streamed call through a provider's SDK: bytes in, our events out, every way of failing as ModelFailed.

The SDKs bring connections, headers and errors. Their own decoding of streams is passed by: it swallows pings, which
are signs of life, takes a message without an end for a whole one, and stumbles over missing usage.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from urllib.parse import urlsplit

from ragent_jupyter.domain.model import Alive, Ended, ModelEvent, ModelFailed

from .wire import CONNECT_S, READ_S, Endpoint, EventReader, cut, failed, refused

_DRAIN_S = 0.25  # how long the end of the body may lag behind the end of the message


class Fold(Protocol):
    """A provider's events in, ours out."""

    heard: bool
    ended: bool
    request_id: str

    def feed(self, type_: str, data: str) -> list[ModelEvent]: ...
    def check_ended(self) -> None: ...


def timeout(httpx2: Any) -> Any:
    return httpx2.Timeout(READ_S, connect=CONNECT_S, write=60.0, pool=CONNECT_S)


def loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def http_client(sdk: Any, httpx2: Any, endpoint: Endpoint) -> Any:
    """Follows no redirect (a header with a key must not go to another host), and no proxy to this machine itself."""
    if loopback(endpoint.base_url):
        return httpx2.AsyncClient(follow_redirects=False, trust_env=False)  # the SDK's asks for proxies in any case
    return sdk.DefaultAsyncHttpxClient(follow_redirects=False)


class Client:
    """An SDK's client for the running event loop, made off it: importing an SDK takes longer than a frame."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def get(self) -> Any:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            # A client's sockets belong to the loop that opened them; those of an ended loop are closed with it.
            self._client = await asyncio.to_thread(self._make)
            self._loop = loop
        return self._client


async def events(
    call: AbstractAsyncContextManager[Any], fold: Fold, endpoint: Endpoint, sdk: Any, httpx2: Any
) -> AsyncGenerator[ModelEvent, None]:
    """The events of one call. Ends after Ended, or raises ModelFailed. Leaving it closes the connection."""
    reader = EventReader()
    try:
        async with call as response:
            fold.request_id = response.headers.get("request-id") or response.headers.get("x-request-id") or ""
            chunks = response.iter_bytes().__aiter__()
            async for chunk in chunks:
                found = reader.feed(chunk)
                if not found:
                    yield Alive()  # a comment, or a piece of an event
                for event in found:
                    for ours in fold.feed(event.type, event.data):
                        if isinstance(ours, Ended):
                            await _drain(chunks, httpx2)
                        yield ours
                if fold.ended:
                    return
            kind = response.headers.get("content-type", "")
            if not fold.heard and "event-stream" not in kind:
                raise failed("bad_reply", endpoint, f"{endpoint.name} answered with {kind or 'something'}, no stream.")
            fold.check_ended()
            for ours in fold.feed("", "[DONE]"):
                yield ours
    except ModelFailed:
        raise
    except Exception as error:
        meant = translated(error, endpoint, sdk, httpx2)
        if meant is None:
            raise
        raise meant from None


async def _drain(chunks: AsyncIterator[bytes], httpx2: Any) -> None:
    """Read the end of the body, so that the connection can carry the next call; a server that lingers is left."""
    try:
        await asyncio.wait_for(chunks.__anext__(), _DRAIN_S)
    except (StopAsyncIteration, asyncio.TimeoutError, httpx2.TransportError):
        return  # the message is whole whatever becomes of its connection


def translated(error: Exception, endpoint: Endpoint, sdk: Any, httpx2: Any) -> ModelFailed | None:
    """What an SDK's or a connection's error means; None for errors of our own, which shall be seen."""
    cause = error.__cause__
    said = str(cause or error) or type(cause or error).__name__
    if isinstance(error, sdk.APIStatusError):
        return refused(endpoint, error.status_code, error.response.headers, error.body or error.message)
    if isinstance(error, sdk.APITimeoutError) and not isinstance(cause, (httpx2.ConnectTimeout, httpx2.PoolTimeout)):
        return failed("stalled", endpoint, f"{endpoint.name} said nothing for {READ_S:.0f} s.")
    if isinstance(cause, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL)):
        return failed("bad_request", endpoint, f"{endpoint.base_url} cannot be called: {said}.")
    if isinstance(error, sdk.APIConnectionError):
        return failed("network", endpoint, f"{endpoint.name} cannot be reached: {said}.")
    if isinstance(error, httpx2.ReadTimeout):
        return failed("stalled", endpoint, f"{endpoint.name} said nothing for {READ_S:.0f} s.")
    if isinstance(error, httpx2.TransportError):
        return cut(endpoint)
    if isinstance(error, (httpx2.InvalidURL, httpx2.HTTPError)):
        return failed("bad_request", endpoint, f"{endpoint.base_url} cannot be called: {said}.")
    if isinstance(error, sdk.APIError):
        return failed("bad_reply", endpoint, f"{endpoint.name} answered with what cannot be read: {said}.")
    return None
