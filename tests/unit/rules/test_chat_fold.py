"""What a reader holds is what the engine holds, however often it reconnects and whatever it hears twice."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.chat import PartDelta, Session, TextPart, ToolPart, ToolProgress
from ragent_jupyter.domain.wire_chat import SessionReply
from ragent_jupyter.rules.chat_fold import Chat, begin, fold

SESSION = Session(id="s", created_at=0.0, updated_at=0.0)
EMPTY = begin(SessionReply(session=SESSION, turns=[], parts=[], seq=5))


def event(kind: str, data: Any, seq: int = 6) -> dict[str, Any]:
    return {"seq": seq, "time": 0.0, "topic": "sessions", "type": kind, "data": msgspec.to_builtins(data)}


def piece(at: int, text: str, part: str = "p", index: int = 0) -> dict[str, Any]:
    made = PartDelta(session_id="s", turn_id="t", part_id=part, index=index, step=1, kind="text", at=at, delta=text)
    return event("part_delta", made)


def text_of(chat: Chat, index: int = 0) -> str:
    return chat.parts["t"][index].text  # type: ignore[union-attr]


def whole(text: str, status: Any = "done") -> dict[str, Any]:
    part = TextPart(id="p", session_id="s", turn_id="t", index=0, step=1, text=text, status=status)
    return event("part_update", part)


def test_the_newest_lines_of_a_tool_stand_in_it_while_it_runs_and_no_longer() -> None:
    def tool(status: Any) -> dict[str, Any]:
        part = ToolPart(id="p", session_id="s", turn_id="t", index=0, step=1, call_id="c", name="shell", status=status)
        return event("part_update", part)

    def says(tail: str, part: str = "p") -> dict[str, Any]:
        return event("tool_progress", ToolProgress(session_id="s", turn_id="t", part_id=part, index=0, tail=tail), 5)

    assert fold(EMPTY, says("too early")) == EMPTY
    chat = fold(fold(fold(fold(EMPTY, tool("running")), says("1 of 3")), says("2 of 3")), says("of another", "q"))
    assert chat.parts["t"][0].progress == "2 of 3"  # type: ignore[union-attr]
    over = fold(fold(chat, tool("done")), says("too late"))
    assert over.parts["t"][0] == msgspec.convert(tool("done")["data"], ToolPart)


@given(st.text(min_size=1, max_size=40), st.data())
def test_pieces_heard_twice_or_from_the_middle_make_the_same_text(text: str, data: st.DataObject) -> None:
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=6))})
    pieces = [piece(a, text[a:b]) for a, b in itertools.pairwise(cuts)]
    heard = list(pieces)
    for again in data.draw(st.lists(st.integers(0, len(pieces) - 1), max_size=5)):
        first = next(i for i, one in enumerate(heard) if one is pieces[again])
        heard.insert(data.draw(st.integers(first + 1, len(heard))), pieces[again])
    chat = EMPTY
    for one in heard:
        chat = fold(chat, one)
    assert text_of(chat) == text and not chat.gap


def test_a_missed_piece_is_noticed_and_nothing_is_made_up() -> None:
    chat = fold(fold(EMPTY, piece(0, "ab")), piece(3, "d"))
    assert chat.gap and text_of(chat) == "ab"


def test_an_older_picture_of_a_part_does_not_take_text_away() -> None:
    chat = fold(fold(EMPTY, piece(0, "abcdef")), whole("abc", "streaming"))
    assert text_of(chat) == "abcdef"
    chat = fold(chat, whole("abcdefg"))
    assert text_of(fold(chat, piece(6, "gh"))) == "abcdefg"  # it is whole: a late piece is a repetition
    assert text_of(fold(chat, whole("abcd", "streaming"))) == "abcdefg"


def test_emoji_count_as_one_character_each() -> None:
    chat = fold(fold(EMPTY, piece(0, "a😀")), piece(1, "😀b"))
    assert text_of(chat) == "a😀b" and not chat.gap


def test_a_record_seen_twice_changes_nothing_and_other_chats_are_not_ours() -> None:
    renamed = msgspec.structs.replace(SESSION, title="new")
    chat = fold(EMPTY, event("session_changed", renamed, 7))
    assert chat.session.title == "new" and chat.seq == 7
    assert fold(chat, event("session_changed", SESSION, 6)) == chat
    other = msgspec.structs.replace(SESSION, id="other")
    assert fold(chat, event("session_changed", other, 9)) == chat
    assert fold(chat, event("plan_changed", {"id": "pln"}, 10)) == chat


def test_a_tool_goes_forward_only() -> None:
    def tool(status: Any) -> dict[str, Any]:
        return event(
            "part_update", ToolPart(id="x", session_id="s", turn_id="t", index=1, call_id="c", name="n", status=status)
        )

    chat = EMPTY
    for status in ("writing", "waiting", "running", "done", "running", "writing"):
        chat = fold(chat, tool(status))
    assert chat.parts["t"][1].status == "done"  # type: ignore[union-attr]
