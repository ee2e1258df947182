"""The way to a provider: one HTTP exchange over kept connections, its answer as it flows, the key kept out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from .limits import Refused

if TYPE_CHECKING:
    import httpx2

CONNECT_S = 10.0
# A model may think for long before its first byte, and a call that does not stream says nothing until it is done.
SILENT_S = 600.0

Headers = list[tuple[str, str]]


class Lost(Exception):
    """The provider hung up in the middle of its answer."""


class Scrubber:
    """Stars in place of the key, byte for byte, should a provider repeat it; all other bytes pass at once.

    The key's first few characters pass too: they are its kind (`sk-ant-…`), and a stream that comes byte by byte would
    stumble over each `s`. Only what goes on like the key from there waits for the next piece.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._open = min(8, len(self._key) // 3)
        self._stars = self._key[: self._open] + b"*" * (len(self._key) - self._open)
        self._passed = b""  # how the key begins, and has passed
        self._held = b""  # what follows it in the key, and waits

    def pass_on(self, chunk: bytes) -> bytes:
        if not self._key:
            return chunk
        data = self._passed + self._held + chunk
        passed = len(self._passed)
        if self._key in data:
            data = data.replace(self._key, self._stars)
        like = self._beginning_at_end(data)
        at = len(data) - like
        self._passed, self._held = data[at : at + self._open], data[at + self._open :]
        return data[passed : len(data) - len(self._held)]

    def rest(self) -> bytes:
        held, self._passed, self._held = self._held, b"", b""
        return held

    def _beginning_at_end(self, data: bytes) -> int:
        """How many bytes at the end of `data` are how the key begins."""
        tail = data[max(0, len(data) - len(self._key) + 1) :]
        at = tail.find(self._key[:1])
        while at >= 0:
            if self._key.startswith(tail[at:]):
                return len(tail) - at
            at = tail.find(self._key[:1], at + 1)
        return 0


class Answer:
    """A provider's answer whose headers are there. Close it, whatever happens."""

    def __init__(self, response: httpx2.Response, key: str) -> None:
        self._response = response
        self._scrub = Scrubber(key)
        self.status = response.status_code
        self.headers: Headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in response.headers.raw
            if not key or key.encode() not in value
        ]
        names = {name.lower() for name, _ in self.headers}
        # Without either of these the end of the connection is the end of the answer: a cut looks like one.
        self.marked_end = "content-length" in names or "transfer-encoding" in names
        self.streamed = response.headers.get("content-type", "").startswith("text/event-stream")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, byte for byte, as it comes. Raises Lost."""
        import httpx2

        try:
            async for chunk in self._response.aiter_raw():
                data = self._scrub.pass_on(chunk)
                if data:
                    yield data
        except httpx2.TransportError as error:
            raise Lost(type(error).__name__) from None
        rest = self._scrub.rest()
        if rest:
            yield rest

    async def close(self) -> None:
        """An answer that was not read to its end takes its connection along, at once."""
        await self._response.aclose()


class Provider:
    """Connections to all upstreams. silent_s: how long a provider may say nothing."""

    def __init__(self, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        self._client: httpx2.AsyncClient | None = None

    def warm(self) -> httpx2.AsyncClient:
        """Loads the HTTP client and its certificates, a fifth of a second, on first use."""
        if self._client is None:
            import httpx2

            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(self._silent_s, connect=CONNECT_S, pool=CONNECT_S),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=60.0),
                follow_redirects=False,  # the key goes where the table says, nowhere else
            )
            self._client.headers.clear()
        return self._client

    async def ask(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes | None, key: str
    ) -> Answer:
        """Raises Refused unreachable or timeout."""
        import httpx2

        client = self.warm()
        host = httpx2.URL(url).host
        try:
            request = client.build_request(method, url, headers=list(headers), content=body)
            return Answer(await client.send(request, stream=True), key)
        except httpx2.TimeoutException as error:
            if isinstance(error, (httpx2.ConnectTimeout, httpx2.PoolTimeout)):
                raise Refused("unreachable", f"{host} took no connection within {CONNECT_S:.0f} s.") from None
            raise Refused("timeout", f"{host} has said nothing for {self._silent_s:.0f} s.") from None
        except httpx2.TransportError as error:
            # Its own text may name what was sent; its kind says enough.
            raise Refused("unreachable", f"{host} could not be asked: {_words(error)}.") from None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _words(error: Exception) -> str:
    import httpx2

    kinds = (
        (httpx2.ConnectError, "no connection"),
        (httpx2.RemoteProtocolError, "it hung up without an answer"),
        (httpx2.ReadError, "the connection broke"),
        (httpx2.WriteError, "the connection broke while the request was sent"),
        (httpx2.ProxyError, "the proxy refused"),
        (httpx2.LocalProtocolError, "the request cannot be sent as it is"),
        (httpx2.UnsupportedProtocol, "its address is none of HTTP"),
    )
    return next((words for kind, words in kinds if isinstance(error, kind)), type(error).__name__)
