"""Chats at their edges: ids that a provider uses twice, what waited when the engine was killed, things said twice."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

import pytest

from ragent_jupyter.domain.chat import TextPart, ToolPart
from ragent_jupyter.domain.errors import BadInput, MissingPart, TooLarge
from ragent_jupyter.domain.model import Message, Text, ToolResult, ToolUse
from ragent_jupyter.domain.wire_chat import ChangeQueue, PatchSession, SendMessage
from ragent_jupyter.services.commands import Done, NewSession
from tests.support.mind import Desk, ToldModel, approve, call, run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragent_jupyter.rules.turn.FIRST_WAIT_S", 0.02)


def blocks(messages: list[Message], kind: type) -> list[Any]:
    return [block for message in messages for block in message.content if isinstance(block, kind)]


# --- calls and their ids -------------------------------------------------------------------------------------------
def test_two_calls_of_one_message_with_the_same_id_are_two_calls() -> None:
    async def body() -> None:
        model = ToldModel([call("look", "x"), call("write", "y")], [Text("Both done.")])
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "go")
        await approve(desk, session, "once")
        assert (await desk.over(session)).status == "done"
        assert desk.hands.done == [("look", "x"), ("write", "y")]
        looked, wrote = (part for part in desk.parts(session) if isinstance(part, ToolPart))
        assert (looked.status, wrote.status) == ("done", "done")
        assert looked.approval is None and wrote.approval is not None and "+y" in wrote.approval.shows.diff
        told = model.asked[1].messages
        ids = [use.id for use in blocks(told, ToolUse)]
        assert len(set(ids)) == 2 and [result.tool_use_id for result in blocks(told, ToolResult)] == ids

    run(body)


def test_an_id_that_was_used_before_or_that_no_provider_takes_back_is_replaced() -> None:
    async def body() -> None:
        odd = ["c1", "c1", "", "a b\n\0", "é", "x" * 200]
        model = ToldModel(*([call("look", str(n), id=id)] for n, id in enumerate(odd)), [Text("Done.")])
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "go")
        assert (await desk.over(session)).status == "done"
        told = model.asked[-1].messages
        ids = [use.id for use in blocks(told, ToolUse)]
        assert ids[0] == "c1" and len(set(ids)) == len(odd)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", id) for id in ids)
        assert [result.tool_use_id for result in blocks(told, ToolResult)] == ids
        assert [word for _, word in desk.hands.done] == [str(n) for n in range(len(odd))]

    run(body)


def test_a_name_that_is_none_comes_back_to_the_model_as_one_that_providers_take() -> None:
    async def body() -> None:
        model = ToldModel(
            [call("no such\ntool", id="a"), call("n" * 100_000, id="b"), call("", id="c")], [Text("I see.")]
        )
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "go")
        assert (await desk.over(session)).status == "done"
        names = [use.name for use in blocks(model.asked[1].messages, ToolUse)]
        assert names[0] == "no_such_tool" and all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
        tools = [part for part in desk.parts(session) if isinstance(part, ToolPart)]
        assert [tool.status for tool in tools] == ["error"] * 3 and all(len(tool.name) <= 200 for tool in tools)

    run(body)


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


def test_a_text_that_is_too_long_is_refused_before_anything_else_is_done_with_it() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([Text("slow"), asyncio.Event()]))
        session = await desk.begin()
        await desk.say(session, "one")
        queued = (await desk.say(session, "two")).queued
        looked: list[int] = []
        desk.kit.redact = lambda text: looked.append(len(text)) or text  # type: ignore[func-returns-value]
        with pytest.raises(TooLarge):
            await desk.say(session, "x" * 5_000_000)
        with pytest.raises(BadInput):
            await desk.chat.queue(session, ChangeQueue(order=[queued], texts={queued: "x" * 5_000_000}))
        assert max(looked, default=0) < 1000 and [m.text for m in desk.sessions.get(session).queue] == ["two"]
        await desk.chat.stop(session)

    run(body)


class Clearing:
    """Commands of which there is only /clear; remembers whether a person spoke."""

    def __init__(self) -> None:
        self.spoke: list[bool] = []

    async def expand(self, session: Any, text: str, *, by: str = "", person: bool = True, request_id: str = "") -> Any:
        self.spoke.append(person)
        await asyncio.sleep(0)
        if text.startswith("/clear"):
            return NewSession(text=text.removeprefix("/clear").strip())
        return Done(markdown="Done.")


def test_a_new_chat_is_begun_once_and_what_comes_along_is_said_by_who_said_it() -> None:
    async def body() -> None:
        desk = Desk(ToldModel())
        desk.chat.commands = commands = Clearing()
        session = await desk.begin()
        wish = SendMessage(text="/clear /memory approve rul_1", request_id="r1")
        first = await desk.chat.send(session, wish, "nb", person=False)
        again = await desk.chat.send(session, wish, "nb", person=False)
        assert first.session.id == again.session.id != session and len(desk.shell.sessions) == 2
        assert len(desk.turns(first.session.id)) == 1
        assert commands.spoke and not any(commands.spoke)

    run(body)


def test_a_command_that_comes_twice_at_once_is_one_turn() -> None:
    async def body() -> None:
        desk = Desk(ToldModel())
        desk.chat.commands = Clearing()
        session = await desk.begin()
        wish = SendMessage(text="/launch x", request_id="r1")
        replies = await asyncio.gather(*(desk.chat.send(session, wish) for _ in range(5)))
        assert len(desk.turns(session)) == 1 and len({reply.turn.id for reply in replies if reply.turn}) == 1

    run(body)


# --- a disk that refuses --------------------------------------------------------------------------------------------
def test_a_turn_that_broke_off_with_a_full_disk_says_so_once_there_is_room_and_the_chat_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ragent_jupyter.services.chat._AGAIN_S", 0.01)

    async def body() -> None:
        gate = asyncio.Event()
        desk = Desk(ToldModel([Text("half of"), gate, Text("it")], [Text("fine")]))
        session = await desk.begin()
        await desk.say(session, "one")
        await desk.until(lambda: any(isinstance(p, TextPart) for p in desk.shell.parts[session].values()))
        full = True
        commit = desk.shell.store.commit
        refused = 0

        async def refusing(tx: Any) -> Any:
            nonlocal refused
            if full:
                refused += 1
                raise MissingPart("The disk is full.", "Free some space.")
            return await commit(tx)

        monkeypatch.setattr(desk.shell.store, "commit", refusing)
        gate.set()
        await desk.until(lambda: refused > 3)
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(MissingPart):
            await desk.chat.stop(session)
        assert asyncio.get_running_loop().time() - began < 5
        full = False
        turn = await desk.over(session)
        assert turn.status == "failed" and turn.error is not None and "The disk is full." in turn.error.problem
        assert [p.status for p in desk.parts(session) if isinstance(p, TextPart)] == ["cut"]
        await desk.say(session, "two")
        assert (await desk.over(session)).status == "done" and not desk.chat._broken

    run(body)


def test_a_write_that_is_refused_once_while_a_text_is_written_costs_the_turn_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body() -> None:
        gate = asyncio.Event()
        desk = Desk(ToldModel([Text("half of"), gate, Text("it")]))
        session, other = await desk.begin(), await desk.begin()
        await desk.say(session, "one")
        await desk.until(lambda: any(isinstance(p, TextPart) for p in desk.shell.parts[session].values()))

        async def refusing(tx: Any) -> Any:
            raise MissingPart("The disk is full.", "Free some space.")

        with monkeypatch.context() as full:
            full.setattr(desk.shell.store, "commit", refusing)
            with pytest.raises(MissingPart):
                await desk.sessions.patch(other, PatchSession(title="elsewhere"))
        gate.set()
        assert (await desk.over(session)).status == "done"
        assert [p.text for p in desk.parts(session) if isinstance(p, TextPart)] == ["half of", "it"]

    run(body)


@pytest.mark.parametrize("field", ["model", "notebook"])
def test_what_a_chat_keeps_of_itself_is_never_endless(field: str) -> None:
    async def body() -> None:
        desk = Desk(ToldModel())
        long: dict[str, Any] = {field: "x" * 1001}
        session = await desk.begin(**{field: "x" * 1000})
        for wish in (
            desk.sessions.patch(session, PatchSession(**long)),
            desk.begin(**long),
        ):
            with pytest.raises(BadInput):
                await wish
        assert len(getattr(desk.sessions.get(session), field)) == 1000 and len(desk.shell.sessions) == 1

    run(body)
