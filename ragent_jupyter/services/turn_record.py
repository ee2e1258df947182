"""The parts of one turn as they come: pieces are told at once, whole steps are remembered with a durable commit."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ragent_jupyter.domain.chat import NoticePart, Part, PartDelta, TextPart, ThinkingPart, ToolPart, Turn
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.model import (
    BlockBegan,
    BlockEnded,
    ModelEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolUse,
)
from ragent_jupyter.services.shell import Change, Shell

log = logging.getLogger("ragent.engine")

SAVE_EVERY_S = 1.0  # how much of a text that is being written a power cut may cost
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every provider takes back
_LONGEST_NAME = 200  # of a tool, as the record keeps it: a model may say anything


@dataclass
class Writing:
    """A part under way. length: code points so far; saved: how many of them the store has been handed."""

    part: TextPart | ThinkingPart | ToolPart
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    saved: int = 0
    bad_input: str = ""

    def now(self) -> TextPart | ThinkingPart | ToolPart:
        if isinstance(self.part, ToolPart):
            return self.part
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return msgspec.structs.replace(self.part, text=self.pieces[0] if self.pieces else "")


class TurnRecord:
    """What the runner of a turn writes. Every method that changes the record commits through the one shell."""

    def __init__(
        self, shell: Shell, turn: Turn, make_id: Callable[[str], str], redact: Callable[[str], str] = str
    ) -> None:
        """redact: blacks out secrets; a model may say one, and then it is not kept."""
        self.shell = shell
        self.redact = redact
        self.session_id = turn.session_id
        self.turn_id = turn.id
        self.make_id = make_id
        shell.open_session(turn.session_id)
        held = [part for part in shell.parts[turn.session_id].values() if part.turn_id == turn.id]
        self._next = 1 + max((part.index for part in held), default=-1)
        self.step = 0
        self._live: dict[int, Writing] = {}  # by the block's place in the message
        self._saved_at = 0.0
        # Results find their calls by id, over the whole conversation: an id that is used again, or that no provider
        # takes back, would make every later prompt of this chat a bad one.
        self._call_ids = {part.call_id for part in shell.parts[turn.session_id].values() if isinstance(part, ToolPart)}
        self._background: set[asyncio.Future[None]] = set()

    # --- reading ----------------------------------------------------------------------------------------------------
    def live(self) -> list[Part]:
        """Parts under way, with their texts as far as they are."""
        return [writing.now() for writing in self._live.values()]

    def parts(self) -> list[Part]:
        """The turn's remembered parts in order."""
        held = self.shell.parts[self.session_id].values()
        return sorted((part for part in held if part.turn_id == self.turn_id), key=lambda part: part.index)

    def tool(self, call_id: str, step: int) -> ToolPart:
        for part in self.parts():
            if isinstance(part, ToolPart) and part.call_id == call_id and part.step == step:
                return part
        raise KeyError(call_id)

    # --- a message comes ----------------------------------------------------------------------------------------------
    def begin(self, step: int) -> None:
        self.step, self._live = step, {}

    def _new(self, make: Any, **more: Any) -> Any:
        index, self._next = self._next, self._next + 1
        return make(
            id=self.make_id("prt"),
            session_id=self.session_id,
            turn_id=self.turn_id,
            index=index,
            step=self.step,
            **more,
        )

    def _call(self, id: str, name: str) -> ToolPart:
        """A call as it begins, with its provider's id if that is one of its own."""
        name = name[:_LONGEST_NAME]
        part: ToolPart = self._new(ToolPart, call_id=id, name=name, title=name)
        if id in self._call_ids or not _CALL_ID.fullmatch(id):
            part = msgspec.structs.replace(part, call_id=part.id)
        self._call_ids.add(part.call_id)
        return part

    def calls(self, step: int) -> list[ToolPart]:
        """The calls of a whole message that are to be made, in its order."""
        return [p for p in self.parts() if isinstance(p, ToolPart) and p.step == step and p.status == "writing"]

    def hear(self, event: ModelEvent) -> None:
        """A piece of the message."""
        match event:
            case BlockBegan(index=place, kind="tool_use", id=id, name=name):
                part = self._call(id, name)
                self._live[place] = Writing(part)
                self.shell.whisper("sessions", "part_update", part)
            case TextDelta(index=place, text=text) if text:
                self._piece(place, TextPart, "text", text)
            case ThinkingDelta(index=place, text=text) if text:
                self._piece(place, ThinkingPart, "thinking", text)
            case BlockEnded(index=place, block=block, bad_input=bad):
                self._block(place, block, bad)

    def _piece(self, place: int, make: Any, kind: Any, text: str) -> None:
        writing = self._live.get(place)
        if writing is None:
            writing = self._live[place] = Writing(self._new(make))
        part = writing.part
        piece = PartDelta(
            session_id=self.session_id,
            turn_id=self.turn_id,
            part_id=part.id,
            index=part.index,
            step=part.step,
            kind=kind,
            at=writing.length,
            delta=text,
        )
        writing.pieces.append(text)
        writing.length += len(text)
        self.shell.whisper("sessions", "part_delta", piece)
        now = self.shell.clock.mono()
        if now - self._saved_at >= SAVE_EVERY_S:
            self._saved_at = now
            self._save_live()

    def _block(self, place: int, block: Any, bad: str) -> None:
        writing = self._live.get(place)
        match block:
            case ToolUse(id=id, name=name, input=input):
                if writing is None:
                    writing = self._live[place] = Writing(self._call(id, name))
                assert isinstance(writing.part, ToolPart)
                writing.part = msgspec.structs.replace(
                    writing.part, name=name[:_LONGEST_NAME], input=input, bad_input=bad[:4000]
                )
                self.shell.whisper("sessions", "part_update", writing.part)
            case Thinking(text=text, signature=signature, redacted=redacted):
                if writing is None:
                    writing = self._live[place] = Writing(self._new(ThinkingPart))
                assert isinstance(writing.part, ThinkingPart)
                writing.pieces = [text or "".join(writing.pieces)]
                writing.part = msgspec.structs.replace(writing.part, signature=signature, redacted=redacted)
            case Text(text=text) if writing is None and text:
                # A server that sends a text in one go, without pieces.
                self._piece(place, TextPart, "text", text)

    def _save_live(self) -> None:
        """Hand the store what is written so far; nobody waits for it."""
        changes = []
        for writing in self._live.values():
            if writing.length > writing.saved:
                writing.saved = writing.length
                changes.append(Change("part_update", self._kept(writing.now())))
        if changes:
            self.commit_soon(changes)

    def _kept(self, part: TextPart | ThinkingPart | ToolPart) -> TextPart | ThinkingPart | ToolPart:
        """A part as the store may have it. Thinking goes back to the provider with its signature: it stays as it is."""
        return msgspec.structs.replace(part, text=self.redact(part.text)) if isinstance(part, TextPart) else part

    def commit_soon(self, changes: Sequence[Change]) -> None:
        """Commit without being waited for. A refused write shows in the engine's status and in the next commit."""

        async def quietly() -> None:
            try:
                await self.shell.commit(changes)
            except RagentError as error:
                log.warning("a part of %s was not saved yet: %s", self.turn_id, error)

        task = asyncio.ensure_future(quietly())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def whole(self, *, calls_cut: bool = False) -> list[Change]:
        """The message is whole: its parts as changes, for the commit that also counts the step."""
        changes = []
        for writing in self._live.values():
            part = self._kept(writing.now())
            if isinstance(part, ToolPart):
                part = msgspec.structs.replace(part, status="cut") if calls_cut else part
            else:
                part = msgspec.structs.replace(part, status="done")
            changes.append(Change("part_update", part))
        self._live = {}
        return changes

    def cut(self) -> list[Change]:
        """The message broke off: what came of it is not the model's word."""
        changes = [
            Change("part_update", msgspec.structs.replace(self._kept(writing.now()), status="cut"))
            for writing in self._live.values()
        ]
        self._live = {}
        return changes

    def kept(self) -> list[Change]:
        """A person stopped the message: its text stays, and counts as said; calls that were being written do not."""
        changes = []
        for writing in self._live.values():
            part = self._kept(writing.now())
            status = "cut" if isinstance(part, ToolPart) else "done"
            changes.append(Change("part_update", msgspec.structs.replace(part, status=status)))
        self._live = {}
        return changes

    def notice(self, text: str, level: str = "info") -> Change:
        return Change("part_update", self._new(NoticePart, text=text, level=level))


def told_parts(turn: Turn, text: str, cards: Sequence[dict[str, Any]], make_id: Callable[[str], str]) -> list[Part]:
    """What ragent itself says in a turn that no model was asked for: a text, and cards below it."""
    here: dict[str, Any] = {"session_id": turn.session_id, "turn_id": turn.id, "step": 1}
    times: dict[str, Any] = {"started_at": turn.started_at, "ended_at": turn.ended_at}
    said: list[Part] = [TextPart(id=make_id("prt"), index=0, text=text, status="done", **here)]
    for index, card in enumerate(cards, 1):
        card_of = ToolPart(
            id=make_id("prt"), index=index, call_id="", name="card", status="done", data=card, **here, **times
        )
        said.append(card_of)
    return said
