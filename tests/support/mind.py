"""A chat desk without an engine around it: the store in memory, a model that is told what to say, tools that count."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ragent_jupyter.adapters.store.memory import MemoryDisk, MemoryStore
from ragent_jupyter.domain.chat import Part, Preview, ToolPart, Turn
from ragent_jupyter.domain.model import (
    Began,
    Block,
    BlockBegan,
    BlockEnded,
    Ended,
    ModelEvent,
    ModelFailed,
    ModelInfo,
    ModelRequest,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolUse,
    Usage,
)
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.domain.wire_chat import AnswerApproval, CreateSession, SendMessage
from ragent_jupyter.services.approvals import Approvals
from ragent_jupyter.services.chat import ChatDesk
from ragent_jupyter.services.sessions import SessionsDesk
from ragent_jupyter.services.shell import Shell
from ragent_jupyter.services.tools.base import SimpleTool, Toolbox, ToolContext
from ragent_jupyter.services.turn_seat import Kit

Reply = Sequence[Block | Exception | asyncio.Event | str] | Callable[[ModelRequest], Any]


class ToldModel:
    """Says what it is told, a reply a call: texts word by word, calls, failures; an Event is waited for.

    `"max_tokens"` and its like as the last item is the stop reason.
    """

    def __init__(self, *replies: Reply, **info: Any) -> None:
        self.replies = list(replies)
        self.info = ModelInfo(id="told", provider="anthropic", **info)
        self.asked: list[ModelRequest] = []
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelEvent]:
        self.asked.append(request)
        reply = self.replies.pop(0) if self.replies else [Text("Nothing more to say.")]
        items = list(reply(request) if callable(reply) else reply)
        stop = items.pop() if items and isinstance(items[-1], str) else ""
        content: list[Block] = []
        try:
            yield Began(model="told-1", usage=Usage(input=10))
            for item in items:
                place = len(content)
                match item:
                    case asyncio.Event():
                        await item.wait()
                        continue
                    case Exception():
                        raise item
                    case Text(text=text):
                        yield BlockBegan(place, "text")
                        for piece in text.split(" "):
                            yield TextDelta(place, piece if piece == text.split(" ")[0] else " " + piece)
                            await asyncio.sleep(0)
                    case Thinking(text=text):
                        yield BlockBegan(place, "thinking")
                        yield ThinkingDelta(place, text)
                    case ToolUse(id=id, name=name):
                        yield BlockBegan(place, "tool_use", id, name)
                content.append(item)
                yield BlockEnded(place, item)
            if stop == "cut":
                return
            uses = any(isinstance(block, ToolUse) for block in content)
            yield Ended(stop or ("tool_use" if uses else "end_turn"), Usage(input=10, output=5), content)  # type: ignore[arg-type]
        finally:
            self.closed += 1


class OneModel:
    """services/models.py for a test: one model for every role; a cent a call."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.over = ""
        self.accounts: list[tuple[str, str]] = []

    def model_for(self, role: str, override: str = "") -> Any:
        return self.model

    def price(self, model_id: str, usage: Usage) -> Usage:
        import msgspec

        return msgspec.structs.replace(usage, cost=0.01)

    async def spent(self, role: str, usage: Usage, model: str, who: str) -> None:
        self.accounts.append((role, model))

    def over_budget(self) -> str:
        return self.over


class Empty(Struct, frozen=True):
    word: str = ""


class Hands:
    """Tools that remember what they were asked to do. `write` edits, `look` reads, `slow` runs until stopped."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.version = "1"
        self.slow_began = asyncio.Event()
        self.slow_ended = ""

    def box(self) -> Toolbox:
        def spec(name: str, effect: Any, repeat: Any = "once") -> ToolSpec:
            return ToolSpec(name=name, title=name, description=name, args=Empty, effect=effect, repeat=repeat)

        async def look(args: Empty, ctx: ToolContext) -> ToolOutcome:
            self.done.append(("look", args.word))
            return ToolOutcome(text=f"seen {args.word}", untrusted="a file", data={"card": "table"})

        async def write(args: Empty, ctx: ToolContext) -> ToolOutcome:
            self.done.append(("write", args.word))
            return ToolOutcome(text="written")

        async def show(args: Empty, ctx: ToolContext) -> Preview:
            return Preview(title="Write a file", diff=f"+{args.word} on {self.version}", pattern="write:a/*")

        async def slow(args: Empty, ctx: ToolContext) -> ToolOutcome:
            self.slow_began.set()
            ctx.said("working\n")
            await ctx.stop.wait()
            self.slow_ended = "by itself"
            return ToolOutcome(text="stopped half way")

        async def broken(args: Empty, ctx: ToolContext) -> ToolOutcome:
            raise RuntimeError("boom sk-secret123")

        return Toolbox(
            [
                SimpleTool(spec("look", "read", "again"), look),
                SimpleTool(spec("write", "edit"), write, show),
                SimpleTool(spec("slow", "read"), slow),
                SimpleTool(spec("broken", "read"), broken),
            ]
        )


class NoContext:
    def text(self, session: Any, quoted: Any = None) -> str:
        return "[state]"


class NoRules:
    def active(self, hints: Any = None) -> list[Any]:
        return []


class Desk:
    """One chat desk on a disk that outlives it."""

    def __init__(self, model: Any, disk: MemoryDisk | None = None, hands: Hands | None = None, **kit: Any) -> None:
        self.disk = disk or MemoryDisk()
        self.shell = Shell(MemoryStore(self.disk))
        self.shell.load()
        self.hands = hands or Hands()
        self.models = OneModel(model)
        numbers = itertools.count(1)
        start = self.disk.seq

        def make_id(prefix: str) -> str:
            return f"{prefix}_{start:04}{next(numbers):05}"

        async def media(ids: Sequence[str]) -> Mapping[str, Block]:
            return {}

        self.approvals = Approvals(self.shell, make_id)
        self.kit = Kit(
            shell=self.shell,
            models=self.models,
            tools=self.hands.box(),
            approvals=self.approvals,
            redact=lambda text: text.replace("sk-secret123", "[key]"),
            media=media,
            make_id=make_id,
            **kit,
        )
        self.sessions = SessionsDesk(self.shell, make_id)
        self.chat = ChatDesk(self.kit, NoContext(), NoRules(), self.sessions)  # type: ignore[arg-type]

    async def begin(self, **wish: Any) -> str:
        return (await self.sessions.create(CreateSession(**wish))).id

    async def say(self, session: str, text: str, **wish: Any) -> Any:
        return await self.chat.send(session, SendMessage(text=text, **wish))

    async def until(self, condition: Callable[[], Any], timeout: float = 5.0) -> Any:
        """Wait for what must become true, looking whenever something was told."""
        news = self.shell.subscribe()
        try:
            async with asyncio.timeout(timeout) if hasattr(asyncio, "timeout") else _timeout(timeout):
                while not (found := condition()):
                    news.clear()
                    try:
                        await asyncio.wait_for(news.wait(), 0.05)
                    except asyncio.TimeoutError:
                        pass
                return found
        finally:
            self.shell.unsubscribe(news)

    async def over(self, session: str) -> Turn:
        await self.until(lambda: not self.sessions.get(session).turn and not self.chat.busy)
        return self.turns(session)[-1]

    def turns(self, session: str) -> list[Turn]:
        self.shell.open_session(session)
        return sorted(self.shell.turns[session].values(), key=lambda turn: turn.n)

    def parts(self, session: str, turn: Turn | None = None) -> list[Part]:
        found = self.sessions.read(session, turns=500).parts
        return [part for part in found if turn is None or part.turn_id == turn.id]

    def tool(self, session: str) -> ToolPart:
        return next(part for part in reversed(self.parts(session)) if isinstance(part, ToolPart))

    def killed(self, model: Any) -> Desk:
        """What the next engine finds: nothing but the disk."""
        for task in self.chat._tasks.values():
            task.cancel()
        return Desk(model, self.disk, self.hands)


class _timeout:
    """asyncio.timeout for Python 3.10, as far as a test needs it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handle = asyncio.get_running_loop().call_later(self.seconds, task.cancel)

    async def __aexit__(self, *_: object) -> None:
        self.handle.cancel()


def failing(kind: Any, problem: str = "No.", **more: Any) -> ModelFailed:
    return ModelFailed(kind, problem, **more)


def run(body: Callable[[], Awaitable[Any]]) -> None:
    """A test's body where an event loop runs, for at most 20 s."""
    asyncio.run(asyncio.wait_for(body(), 20))  # type: ignore[arg-type]


def call(name: str, word: str = "", id: str = "c1") -> ToolUse:
    return ToolUse(id, name, {"word": word})


async def approve(desk: Desk, session: str, choice: Any, note: str = "") -> None:
    part = await desk.until(
        lambda: next(
            (p for p in desk.parts(session) if isinstance(p, ToolPart) and p.status == "waiting" and p.approval), None
        )
    )
    await desk.approvals.answer(session, part.approval.id, AnswerApproval(choice=choice, note=note), "ann", "browser")
