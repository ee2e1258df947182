"""A gateway on 127.0.0.1 in a thread of its own, in front of a fake provider, with a real database."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.domain.model import Usage
from ragent_jupyter.gateway.calls import KIND, Call, decode_all
from ragent_jupyter.gateway.core import Gateway
from ragent_jupyter.gateway.serve import application
from ragent_jupyter.gateway.tokens import CreateToken
from tests.support.fake_provider import FakeProvider
from tests.support.wait import wait_until

KEY = "sk-real-0123456789abcdefghijklmnop"
T = TypeVar("T")


class HeldKeys:
    """The real key, by the names in `names`."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)

    def get(self, name: str) -> str | None:
        return KEY if name in self.names else None


def price(model: str, usage: Usage) -> float | None:
    """A dollar for a thousand tokens; nobody knows what a mystery costs."""
    return None if "mystery" in model else (usage.prompt + usage.output) / 1000.0


class RunningGateway:
    """url: base URL of Anthropic's wire; openai_url: of OpenAI's. `token()` makes a token."""

    def __init__(self, folder: Path, provider: FakeProvider, **settings: Any) -> None:
        self.folder = folder
        env = {"ANTHROPIC_BASE_URL": provider.url, "OPENAI_BASE_URL": provider.openai_url}
        self.settings: dict[str, Any] = {
            "keys": HeldKeys("ANTHROPIC_API_KEY", "OPENAI_API_KEY"), "env": env, "price": price,
            "table": folder / "upstreams.json", **settings,
        }  # fmt: skip
        self.port = 0

    def __enter__(self) -> RunningGateway:
        ready, self.loop = threading.Event(), asyncio.new_event_loop()
        sockets = bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]

        async def serve() -> None:
            self.store = open_store(self.folder / "gateway.db")
            self.gateway = Gateway(self.store, **self.settings)
            self._over = asyncio.Event()
            server = HTTPServer(application(self.gateway), max_body_size=1 << 20)
            server.add_sockets(sockets)
            ready.set()
            await self._over.wait()
            server.stop()
            await self.gateway.close()
            await server.close_all_connections()
            self.store.close()

        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(serve()), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._over.set)
            self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ragent/gateway"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/openai/v1"

    def inside(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(10)

    def token(self, **wish: Any) -> str:
        return self.inside(self.gateway.create(CreateToken(**wish)))[1]

    def calls(self) -> list[Call]:
        """All that is in the database, oldest first."""
        return decode_all(self.store.load(KIND))

    def wait_calls(self, count: int, true: Callable[[Call], bool] = lambda call: True) -> list[Call]:
        def there() -> list[Call]:
            found = [call for call in self.calls() if true(call)]
            return found if len(found) >= count else []

        return wait_until(there, what=f"{count} calls in the database")

    def ask(
        self, path: str, body: Any = None, token: str = "", *, method: str = "", headers: dict[str, str] | None = None
    ) -> Reply:
        """One request without any client's help. body: an object, or bytes as they are."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Content-Type": "application/json", **({"x-api-key": token} if token else {}), **(headers or {})}
        try:
            connection.request(method or ("GET" if data is None else "POST"), "/ragent/gateway" + path, data, sent)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()


class Reply:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def hello(**more: Any) -> dict[str, Any]:
    return {"model": "claude-test", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **more}
