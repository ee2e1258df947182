"""Chats at their edges: ids that a provider uses twice, what waited when the engine was killed, things said twice."""

from __future__ import annotations

import asyncio

import pytest

from ragent_jupyter.domain.model import Text
from tests.support.mind import Desk, ToldModel, approve, call, run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragent_jupyter.rules.turn.FIRST_WAIT_S", 0.02)


# --- what waited ----------------------------------------------------------------------------------------------------
def test_a_queue_that_was_held_when_the_engine_ended_goes_on_with_the_next_word_of_the_person() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([Text("slow"), asyncio.Event()]))
        session = await desk.begin()
        for word in ("one", "two"):
            await desk.say(session, word)
        await desk.until(lambda: desk.chat._live(session))
        await desk.chat.stop(session)
        after = desk.killed(ToldModel())
        after.chat.begin()
        assert [m.text for m in after.sessions.get(session).queue] == ["two"] and not after.chat.busy
        await after.say(session, "three")
        await after.over(session)
        assert [turn.message.text for turn in after.turns(session)] == ["one", "two", "three"]
        assert not after.sessions.get(session).queue

    run(body)


def test_bypass_is_not_kept_for_a_turn_under_way_nor_for_a_message_that_waits() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([Text("slow"), asyncio.Event()]))
        desk.sessions.bypass_allowed = lambda: True
        session = await desk.begin()
        await desk.say(session, "one", mode="bypass")
        await desk.say(session, "two", mode="bypass")
        await desk.until(lambda: desk.chat._live(session))
        after = desk.killed(ToldModel([call("write", "x")], [Text("a")], [call("write", "y")], [Text("b")]))
        after.chat.begin()
        await approve(after, session, "no")
        await after.until(lambda: len(after.turns(session)) == 2)
        await approve(after, session, "no")
        await after.over(session)
        assert [turn.mode for turn in after.turns(session)] == ["ask", "ask"] and not after.hands.done

    run(body)
