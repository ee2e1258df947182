"""A language model's provider on 127.0.0.1: real sockets, the true wires, replies and faults as a scenario says.

    with FakeProvider().say("Hello").call("list_runs", {"status": "failed"}).fault("cut") as provider:
        ...                                     # ANTHROPIC_BASE_URL=provider.url, OPENAI_BASE_URL=provider.openai_url
        assert provider.seen[0].key == "sk-test"
        assert provider.wait_closed(provider.seen[2])     # the client hung up in the middle of the stream

Each of `say`, `call`, `reply`, `fault`, `http` and `answer` queues one reply; they are consumed in order, by both
wires. Replies of `when` come first and are not consumed; `default` answers when the queue is empty. In place of a
Reply a function `Seen -> Reply | None` may stand (None: it has nothing to say, ask the next one). `go.set()` ends every
stall before its seconds are over.

As a program it takes the same as JSON and serves until it is ended:

    python -m tests.support.fake_provider --scenario FILE --port-file FILE [--port N]
    {"replies": [{"text": "Hello {last_text}"}, {"calls": [{"name": "list_runs"}]}, {"fault": "http", "status": 529}],
     "when": [{"contains": "title", "tool": "", "system": "", "result": "", "reply": {"text": "A title"}}],
     "default": {"text": "ok"}, "models": ["claude-test"], "key": ""}

GET /_fake/seen tells what was asked (JSON), POST /_fake/replies queues more, POST /_fake/default sets the default.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tornado.httpserver
import tornado.netutil
import tornado.web
from tornado.iostream import StreamClosedError

from tests.support import fake_frames as wire
from tests.support.fake_frames import Call, Fault, Reply
from tests.support.wait import wait_until


@dataclass(eq=False)
class Seen:
    """One request. Times are of the monotonic clock. closed_at: the client hung up before the reply was whole."""

    method: str
    path: str
    query: str
    headers: dict[str, str]  # names in lower case
    raw: bytes
    body: dict[str, Any]
    at: float
    peer: str = ""  # the client's connection
    sent: int = 0  # bytes of body
    first_byte_at: float | None = None
    done_at: float | None = None
    closed_at: float | None = None

    @property
    def key(self) -> str:
        """The credential, however it was sent."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ").strip()
        return bearer or self.headers.get("x-api-key", "")

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body.get("messages", [])
        return found

    @property
    def system(self) -> str:
        own = self.body.get("system") or [m["content"] for m in self.messages if m["role"] in ("system", "developer")]
        return _flat(own)

    @property
    def last_text(self) -> str:
        """The last words of the user."""
        return next((t for m in reversed(self.messages) if m["role"] == "user" and (t := _flat(m["content"]))), "")

    @property
    def last_result(self) -> str:
        """The result of the last tool call, "" if the last message holds none."""
        if not self.messages:
            return ""
        last = self.messages[-1]
        if last["role"] == "tool":
            return _flat(last["content"])
        blocks = last["content"] if isinstance(last["content"], list) else []
        return "".join(_flat(b.get("content", "")) for b in blocks if b.get("type") == "tool_result")

    @property
    def tools(self) -> list[str]:
        """Names of the tools that were offered."""
        return [t.get("name") or t.get("function", {}).get("name", "") for t in self.body.get("tools") or []]


def _flat(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return content.get("text", "") if content.get("type", "text") == "text" else ""
    return "\n".join(filter(None, (_flat(c) for c in content or [])))


Answer = Reply | Callable[[Seen], Reply | None]


class FakeProvider:
    """See the module's words. key: the credential it demands; "" takes any."""

    def __init__(self, *, key: str = "", models: list[str] | None = None, default: Answer | None = None) -> None:
        self.key = key
        self.models = models or ["claude-test", "gpt-test"]
        self.default: Answer = default or Reply(text="ok")
        self.queue: deque[Answer] = deque()
        self.rules: list[Answer] = []
        self.seen: list[Seen] = []
        self.go = threading.Event()
        self.port = 0
        self._n = 0
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # --- the scenario -----------------------------------------------------------------------------------------------
    def reply(self, reply: Reply | None = None, **fields: Any) -> FakeProvider:
        self.queue.append(reply or Reply(**fields))
        return self

    def say(self, text: str, **fields: Any) -> FakeProvider:
        return self.reply(text=text, **fields)

    def call(self, name: str, input: dict[str, Any] | None = None, *, raw: str | None = None, **f: Any) -> FakeProvider:
        """One tool call; raw is sent instead of the input's JSON."""
        return self.reply(calls=[Call(name=name, input=input or {}, raw=raw)], **f)

    def fault(self, fault: Fault, **fields: Any) -> FakeProvider:
        """A reply of some length with a fault in it."""
        if "calls" not in fields:
            fields = {"text": "These words were on their way when it happened.", **fields}
        return self.reply(fault=fault, **fields)

    def http(self, status: int, **fields: Any) -> FakeProvider:
        return self.reply(fault="http", status=status, **fields)

    def answer(self, make: Callable[[Seen], Reply | None]) -> FakeProvider:
        self.queue.append(make)
        return self

    def when(self, true: Callable[[Seen], bool], reply: Reply) -> FakeProvider:
        """Answer so whenever this is true, before the queue is asked."""
        self.rules.append(lambda seen: reply if true(seen) else None)
        return self

    def choose(self, seen: Seen) -> tuple[Reply, int]:
        """The reply to a request, and its number."""
        with self._lock:
            self._n += 1
            for rule in self.rules:
                found = rule if isinstance(rule, Reply) else rule(seen)
                if found is not None:
                    return found, self._n
            while self.queue:
                answer = self.queue.popleft()
                found = answer if isinstance(answer, Reply) else answer(seen)
                if found is not None:
                    return found, self._n
            found = self.default if isinstance(self.default, Reply) else self.default(seen)
            return found or Reply(text="ok"), self._n

    @classmethod
    def from_json(cls, scenario: dict[str, Any]) -> FakeProvider:
        provider = cls(key=scenario.get("key", ""), models=scenario.get("models"))
        for one in scenario.get("replies", []):
            provider.queue.append(templated(one))
        for one in scenario.get("when", []):
            provider.rules.append(_rule(one))
        if "default" in scenario:
            provider.default = templated(scenario["default"])
        return provider

    # --- life -------------------------------------------------------------------------------------------------------
    def start(self, port: int = 0) -> FakeProvider:
        ready = threading.Event()
        sockets = tornado.netutil.bind_sockets(port, "127.0.0.1", family=socket.AF_INET)
        self.port = sockets[0].getsockname()[1]

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            server = tornado.httpserver.HTTPServer(application(self), max_body_size=64 << 20)
            server.add_sockets(sockets)
            ready.set()
            await self._stop.wait()
            server.stop()
            await server.close_all_connections()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="fake-provider", daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)
        self._loop = None

    def __enter__(self) -> FakeProvider:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL of the Anthropic wire, without /v1."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/openai/v1"

    # --- what was seen ----------------------------------------------------------------------------------------------
    @property
    def calls(self) -> list[Seen]:
        """Requests for a message, of either wire."""
        return [s for s in self.seen if s.path.endswith(("/messages", "/chat/completions"))]

    def wait_calls(self, count: int, timeout: float = 10.0) -> list[Seen]:
        wait_until(lambda: len(self.calls) >= count, timeout, what=f"{count} calls of the model")
        return self.calls

    def wait_closed(self, seen: Seen, timeout: float = 5.0) -> float:
        """When the client hung up in the middle of this reply."""
        return wait_until(lambda: seen.closed_at, timeout, what="the client closes the stream") or 0.0


def templated(data: dict[str, Any]) -> Answer:
    """A reply from JSON; {last_text} and {last_result} in its text stand for words of the request."""
    reply = msgspec.convert(data, Reply)
    if "{last_" not in reply.text:
        return reply

    def fill(seen: Seen) -> Reply:
        text = reply.text.replace("{last_text}", seen.last_text).replace("{last_result}", seen.last_result)
        return msgspec.structs.replace(reply, text=text)

    return fill


def _rule(data: dict[str, Any]) -> Answer:
    made = templated(data["reply"])

    def rule(seen: Seen) -> Reply | None:
        fits = (
            data.get("contains", "") in seen.last_text
            and data.get("system", "") in seen.system
            and data.get("result", "") in seen.last_result
            and (not data.get("tool") or data["tool"] in seen.tools)
        )
        return (made if isinstance(made, Reply) else made(seen)) if fits else None

    return rule


# --- the server -------------------------------------------------------------------------------------------------------
class _Handler(tornado.web.RequestHandler):
    provider: FakeProvider
    seen: Seen

    def initialize(self, provider: FakeProvider) -> None:
        self.provider = provider
        self.gone = asyncio.Event()

    def prepare(self) -> None:
        request = self.request
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            body = {}
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        self.seen = Seen(
            request.method or "", request.path, request.query, headers, request.body, body, time.monotonic()
        )
        self.seen.peer = str(request.connection.context.address)  # type: ignore[union-attr]
        # As providers do; else the kernel holds a second small write back for 40 ms, and the client seems slow.
        request.connection.stream.set_nodelay(True)  # type: ignore[union-attr]
        self.provider.seen.append(self.seen)
        if self.provider.key and self.seen.key != self.provider.key:
            self.fail(Reply(status=401, message="invalid x-api-key"), 0)

    def on_connection_close(self) -> None:
        if self.seen.done_at is None:
            self.seen.closed_at = time.monotonic()
        self.gone.set()

    @property
    def openai(self) -> bool:
        return "/openai/" in self.request.path or self.request.path.endswith("/chat/completions")

    def fail(self, reply: Reply, n: int) -> None:
        self.set_status(reply.status, "as the scenario has it")
        self.set_header("request-id", f"req_{n}")
        if reply.retry_after:
            self.set_header("retry-after", reply.retry_after)
        if reply.location:
            self.set_header("location", reply.location)
        self.finish(wire.openai_error(reply) if self.openai else wire.anthropic_error(reply, f"req_{n}"))

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that is gone."""
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except asyncio.TimeoutError:
            return

    async def send(self, data: bytes) -> None:
        self.write(data)
        await self.flush()
        self.seen.first_byte_at = self.seen.first_byte_at or time.monotonic()
        self.seen.sent += len(data)

    def hang_up(self, rude: bool) -> None:
        stream = self.request.connection.stream  # type: ignore[union-attr]
        if rude:  # lingering for 0 s makes the close a reset
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.seen.done_at = time.monotonic()
        stream.close()


class Messages(_Handler):
    """POST /v1/messages and POST …/chat/completions."""

    async def post(self) -> None:
        reply, n = self.provider.choose(self.seen)
        model = str(self.seen.body.get("model", "claude-test"))
        if reply.fault == "silent":
            await self.pause(reply.seconds)
        if reply.fault == "http":
            self.fail(reply, n)
        elif reply.fault in ("html", "empty"):
            self.set_header("content-type", "text/html" if reply.fault == "html" else "text/event-stream")
            self.finish("<html><body>Sign in to the Wi-Fi</body></html>" if reply.fault == "html" else b"")
        elif not self.seen.body.get("stream"):
            self.set_header("request-id", f"req_{n}")
            make = wire.openai_message if self.openai else wire.anthropic_message
            self.finish(make(reply, n, model))
        else:
            self.set_header("content-type", "text/event-stream; charset=utf-8")
            self.set_header("request-id", f"req_{n}")
            options = self.seen.body.get("stream_options") or {}
            frames = (
                wire.openai_frames(reply, n, model, bool(options.get("include_usage")))
                if self.openai
                else wire.anthropic_frames(reply, n, model)
            )
            await self.play(reply, n, frames)
        if self.seen.closed_at is None:
            self.seen.done_at = self.seen.done_at or time.monotonic()

    async def play(self, reply: Reply, n: int, frames: list[wire.Frame]) -> None:
        fault_at = wire.place_of_fault(reply, frames)
        try:
            for i, frame in enumerate(frames):
                if i == fault_at and not await self.strike(reply, n):
                    return
                if frame.piece and reply.delay:
                    await self.pause(reply.delay)
                if self.gone.is_set():
                    return
                await self.send(frame.data)
        except StreamClosedError:
            self.on_connection_close()
            return
        self.finish()

    async def strike(self, reply: Reply, n: int) -> bool:
        """The fault; False where nothing comes after it."""
        match reply.fault:
            case "stall":
                over = time.monotonic() + reply.seconds
                while not (self.gone.is_set() or self.provider.go.is_set()) and (left := over - time.monotonic()) > 0:
                    await self.pause(min(0.02, left))
                return True
            case "sse_error":
                said = wire.openai_error(reply) if self.openai else wire.anthropic_error(reply, f"req_{n}")
                line = f"data: {json.dumps(said)}\n\n"
                await self.send((line if self.openai else f"event: error\n{line}").encode())
                self.finish()
            case "cut":
                self.finish()
            case _:
                # What was written shall arrive before the connection goes.
                await asyncio.sleep(0.02)
                self.hang_up(rude=reply.fault == "rst")
        return False


class CountTokens(_Handler):
    def post(self) -> None:
        self.finish({"input_tokens": max(1, len(self.seen.raw) // 4)})
        self.seen.done_at = time.monotonic()


class Models(_Handler):
    def get(self) -> None:
        names = self.provider.models
        if self.openai or "anthropic-version" not in self.seen.headers:
            self.finish({"object": "list", "data": [{"id": m, "object": "model", "created": 1} for m in names]})
        else:
            data = [{"id": m, "type": "model", "display_name": m, "created_at": "2026-01-01T00:00:00Z"} for m in names]
            self.finish({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})
        self.seen.done_at = time.monotonic()


class Control(tornado.web.RequestHandler):
    """For a test in another process."""

    def initialize(self, provider: FakeProvider) -> None:
        self.provider = provider

    def get(self, _: str) -> None:
        fields = ("method", "path", "query", "headers", "body", "at", "sent", "first_byte_at", "done_at", "closed_at")
        self.finish({"seen": [{name: getattr(s, name) for name in fields} for s in self.provider.seen]})

    def post(self, what: str) -> None:
        data = json.loads(self.request.body)
        if what == "default":
            self.provider.default = templated(data)
        else:
            self.provider.queue.extend(templated(one) for one in (data if isinstance(data, list) else [data]))
        self.finish({})


def application(provider: FakeProvider) -> tornado.web.Application:
    own = {"provider": provider}
    return tornado.web.Application(
        [
            (r"(?:/openai)?/v1/(?:openai/)?chat/completions", Messages, own),
            (r"/v1/messages/count_tokens", CountTokens, own),
            (r"/v1/messages", Messages, own),
            (r"(?:/openai)?/v1/(?:openai/)?models", Models, own),
            (r"/_fake/(seen|replies|default)", Control, own),
        ],
        log_function=lambda handler: None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A language model's provider that plays a scenario.")
    parser.add_argument("--scenario", type=Path)
    parser.add_argument("--port-file", type=Path)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    scenario = json.loads(args.scenario.read_text()) if args.scenario else {}
    provider = FakeProvider.from_json(scenario).start(args.port)
    if args.port_file:
        beside = args.port_file.with_suffix(".new")
        beside.write_text(str(provider.port))
        os.replace(beside, args.port_file)  # whoever waits for the file finds it whole
    try:
        threading.Event().wait()
    finally:
        provider.stop()


if __name__ == "__main__":
    main()
