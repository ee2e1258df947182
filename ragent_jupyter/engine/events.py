"""One read, three frames: WebSocket, NDJSON, long poll. A subscriber is a cursor, never a queue."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.events import TOPICS

from .base import EngineHandler

if TYPE_CHECKING:
    from .app import Engine

PING_S = 15.0
_BATCH = 500
_GATHER_S = 0.02  # events that come within this time share a write


class Cursor:
    """Where one subscriber is: a seq in the log and a number of doorbells."""

    def __init__(self, engine: Engine, after: int | None, topics: frozenset[str] | None) -> None:
        self.shell = engine.shell
        self.after = self.shell.newest_seq() if after is None else after
        self.topics = topics
        self.bell = self.shell.bells_after(1 << 60, None)[0]
        self.whisper = self.shell.whispers_after(1 << 60, None)[0]

    def hello(self) -> dict[str, Any]:
        return {"seq": self.shell.newest_seq(), "log_id": self.shell.store.log_id, "after": self.after}

    def read(self) -> list[bytes]:
        """What is new, encoded; moves the cursor."""
        if self.after < self.shell.store.oldest_seq() - 1:
            # Pruned: what was there cannot be told one by one any more.
            self.after = self.shell.newest_seq()
            return [self.frame("snapshot_needed", self.hello())]
        # Pieces of a text before the record that holds it whole, bells last: they only say where to look.
        self.whisper, pieces = self.shell.whispers_after(self.whisper, self.topics, self.after)
        self.after, lines = self.shell.events_after(self.after, self.topics, _BATCH)
        self.bell, bells = self.shell.bells_after(self.bell, self.topics, self.after)
        return pieces + lines + bells

    def frame(self, type_: str, data: dict[str, Any]) -> bytes:
        """A word of the stream itself. Its seq is what the listener has reached: who is cut off goes on from there."""
        now = self.shell.clock.now()
        return msgspec.json.encode({"seq": self.after, "time": now, "topic": "engine", "type": type_, "data": data})


def topics_of(text: str | None) -> frozenset[str] | None:
    if not text:
        return None
    topics = frozenset(filter(None, text.split(",")))
    unknown = topics - set(TOPICS)
    if unknown:
        raise BadInput(f"Unknown topics: {', '.join(sorted(unknown))}.", f"Choose from: {', '.join(TOPICS)}.")
    return topics


class Events(EngineHandler):
    async def get(self) -> None:
        after = self.int_arg("after", -1)
        cursor = Cursor(self.engine, None if after < 0 else after, topics_of(self.arg("topics")))
        if "application/x-ndjson" in self.request.headers.get("Accept", ""):
            await self._stream(cursor)
        else:
            await self._poll(cursor, min(self.float_arg("wait") or 0.0, 60.0))

    async def _poll(self, cursor: Cursor, wait: float) -> None:
        news = self.engine.shell.subscribe()
        try:
            lines = cursor.read()
            deadline = asyncio.get_running_loop().time() + wait
            while not lines:
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(news.wait(), left)
                news.clear()
                lines = cursor.read()
        finally:
            self.engine.shell.unsubscribe(news)
        log_id = msgspec.json.encode(self.engine.shell.store.log_id)
        body = b'{"events":[' + b",".join(lines) + b'],"next":%d,"log_id":' % cursor.after + log_id + b"}"
        self.reply(200, body)

    async def _stream(self, cursor: Cursor) -> None:
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        self.write(cursor.frame("hello", cursor.hello()) + b"\n")
        news = self.engine.shell.subscribe()
        try:
            await self.flush()
            async for lines in follow(cursor, news):
                self.engine.touch()
                self.write(b"".join(line + b"\n" for line in lines))
                await self.flush()
        except StreamClosedError:
            return
        finally:
            self.engine.shell.unsubscribe(news)


async def follow(cursor: Cursor, news: asyncio.Event) -> Any:
    """Batches of new lines, for ever; a ping with the newest seq where nothing happens for a while."""
    while True:
        lines = cursor.read()
        if lines:
            yield lines
            if len(lines) < _BATCH:
                await asyncio.sleep(_GATHER_S)
            continue
        news.clear()
        try:
            await asyncio.wait_for(news.wait(), PING_S)
        except asyncio.TimeoutError:
            yield [cursor.frame("ping", cursor.hello())]


class EventsSocket(WebSocketHandler):
    """The client's first message says where it is: {"after": seq, "topics": […]}; a later one moves it."""

    def initialize(self, engine: Engine) -> None:
        self.engine = engine
        self.task: asyncio.Task[None] | None = None

    def check_origin(self, origin: str) -> bool:
        return True  # only doors reach this socket; they check

    def open(self, *args: str, **kwargs: str) -> None:
        self.engine.touch()

    async def on_message(self, message: str | bytes) -> None:
        try:
            wish = msgspec.json.decode(message, type=dict[str, Any])
            topics = topics_of(",".join(wish.get("topics") or []))
            after = wish.get("after")
            after = int(after) if after is not None else None
        except (msgspec.DecodeError, BadInput, ValueError, TypeError) as error:
            self.close(4400, str(error)[:100])
            return
        if self.task is not None:
            self.task.cancel()
        self.task = asyncio.get_running_loop().create_task(self._follow(Cursor(self.engine, after, topics)))

    async def _follow(self, cursor: Cursor) -> None:
        news = self.engine.shell.subscribe()
        try:
            await self.write_message(cursor.frame("hello", cursor.hello()))
            async for lines in follow(cursor, news):
                self.engine.touch()
                # One frame for many events: JSON lines, as in the NDJSON stream.
                await self.write_message(b"\n".join(lines).decode())
        except (WebSocketClosedError, StreamClosedError):
            return
        finally:
            self.engine.shell.unsubscribe(news)

    def on_close(self) -> None:
        if self.task is not None:
            self.task.cancel()
