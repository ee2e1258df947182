"""A chat as a reader holds it: a snapshot, and every event after it. `models/chat.ts` is the same fold.

An event whose seq was seen changes nothing; a piece of text says where it stands; so a reader may reconnect at any
moment, and hear some things twice.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.chat import Part, PartDelta, Session, TextPart, ThinkingPart, ToolPart, ToolProgress, Turn
from ragent_jupyter.domain.wire_chat import SessionReply


class Chat(Struct, frozen=True, kw_only=True):
    """turns: by n.  parts: turn id → parts by index.  gap: a piece of text was missed; read the snapshot again."""

    session: Session
    turns: dict[str, Turn] = {}
    parts: dict[str, dict[int, Part]] = {}
    seq: int = 0
    gap: bool = False


def begin(reply: SessionReply) -> Chat:
    parts: dict[str, dict[int, Part]] = {}
    for part in reply.parts:
        parts.setdefault(part.turn_id, {})[part.index] = part
    return Chat(session=reply.session, turns={turn.id: turn for turn in reply.turns}, parts=parts, seq=reply.seq)


def fold(chat: Chat, event: dict[str, Any]) -> Chat:
    """One event of topic `sessions`, as it comes off the wire. Those of other sessions change nothing."""
    kind, data = event["type"], event["data"]
    if kind == "part_delta":
        return _piece(chat, msgspec.convert(data, PartDelta))
    if kind == "tool_progress":
        return _progress(chat, msgspec.convert(data, ToolProgress))
    seq = int(event["seq"])
    if kind == "part_update":
        part: Part = msgspec.convert(data, Part)
        if part.session_id != chat.session.id or _behind(chat, part):
            return chat
        parts = {**chat.parts, part.turn_id: {**chat.parts.get(part.turn_id, {}), part.index: part}}
        return msgspec.structs.replace(chat, parts=parts, seq=max(seq, chat.seq))
    if seq <= chat.seq:
        return chat
    if kind in ("session_created", "session_changed", "session_status"):
        session = msgspec.convert(data, Session)
        if session.id != chat.session.id:
            return chat
        return msgspec.structs.replace(chat, session=session, seq=seq)
    if kind in ("turn_created", "turn_changed", "error"):
        turn = msgspec.convert(data, Turn)
        if turn.session_id != chat.session.id:
            return chat
        return msgspec.structs.replace(chat, turns={**chat.turns, turn.id: turn}, seq=seq)
    return chat


_RANK = {"streaming": 0, "writing": 0, "waiting": 1, "running": 2}


def _rank(part: Part) -> int:
    return _RANK.get(getattr(part, "status", ""), 3)


def _behind(chat: Chat, part: Part) -> bool:
    """Whether we hold a later picture of this part: parts only go forward, so an older one is a repetition."""
    held = chat.parts.get(part.turn_id, {}).get(part.index)
    if held is None or held.id != part.id:
        return False
    if _rank(part) != _rank(held):
        return _rank(part) < _rank(held)
    if isinstance(part, (TextPart, ThinkingPart)) and isinstance(held, (TextPart, ThinkingPart)):
        return len(part.text) < len(held.text)
    return False


def _piece(chat: Chat, piece: PartDelta) -> Chat:
    if piece.session_id != chat.session.id:
        return chat
    of_turn = chat.parts.get(piece.turn_id, {})
    held = of_turn.get(piece.index)
    if held is not None and held.id != piece.part_id:
        return chat
    text = held.text if isinstance(held, (TextPart, ThinkingPart)) else ""
    if held is not None and (not isinstance(held, (TextPart, ThinkingPart)) or held.status != "streaming"):
        return chat
    if piece.at > len(text):
        return msgspec.structs.replace(chat, gap=True)
    fresh = piece.delta[len(text) - piece.at :]
    if not fresh:
        return chat
    if held is None:
        made = TextPart if piece.kind == "text" else ThinkingPart
        held = made(
            id=piece.part_id, session_id=piece.session_id, turn_id=piece.turn_id, index=piece.index, step=piece.step
        )
    grown = msgspec.structs.replace(held, text=text + fresh)
    return msgspec.structs.replace(chat, parts={**chat.parts, piece.turn_id: {**of_turn, piece.index: grown}})


def _progress(chat: Chat, told: ToolProgress) -> Chat:
    """What is told of a call that has ended, or was never seen, comes too late or too early."""
    of_turn = chat.parts.get(told.turn_id, {})
    held = of_turn.get(told.index)
    if not isinstance(held, ToolPart) or held.id != told.part_id or held.status != "running":
        return chat
    part = msgspec.structs.replace(held, progress=told.tail)
    return msgspec.structs.replace(chat, parts={**chat.parts, told.turn_id: {**of_turn, told.index: part}})
