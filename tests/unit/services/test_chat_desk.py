"""A chat as its readers and its model see it, with everything that can go wrong in between."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest

from ragent_jupyter.domain.chat import NoticePart, TextPart, ThinkingPart, ToolPart
from ragent_jupyter.domain.errors import BadInput, NotFound, TooLarge, WrongMoment
from ragent_jupyter.domain.model import Text, Thinking, ToolResult, ToolUse
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.domain.wire_chat import ChangeQueue, PatchSession, SendMessage
from ragent_jupyter.rules.chat_fold import begin, fold
from ragent_jupyter.rules.turn import FIRST_WAIT_S
from ragent_jupyter.services.agent import TurnRunner
from ragent_jupyter.services.tools.base import SimpleTool
from tests.support.mind import Desk, Empty, Hands, ToldModel, approve, call, failing, run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragent_jupyter.rules.turn.FIRST_WAIT_S", 0.02)


def test_a_question_a_look_an_answer() -> None:
    async def body() -> None:
        model = ToldModel([Thinking("hm"), Text("I look."), call("look", "x")], [Text("It is x.")])
        desk = Desk(model)
        session = await desk.begin()
        reply = await desk.say(session, "What is the word? And why so?")
        assert reply.turn is not None and reply.session.status == "streaming"
        turn = await desk.over(session)
        assert (turn.status, turn.steps, turn.usage.cost, turn.usage.calls) == ("done", 2, 0.02, 2)
        thinking, text, tool, answer = desk.parts(session)
        assert isinstance(thinking, ThinkingPart) and thinking.text == "hm" and thinking.status == "done"
        assert isinstance(text, TextPart) and text.text == "I look."
        assert isinstance(tool, ToolPart) and (tool.status, tool.input, tool.data) == (
            "done",
            {"word": "x"},
            {"card": "table"},
        )
        assert tool.output == '<data from="a file">\nseen x\n</data>'
        assert isinstance(answer, TextPart) and (answer.text, answer.step) == ("It is x.", 2)
        assert desk.sessions.get(session).title == "What is the word?"
        (result,) = model.asked[1].messages[-1].content
        assert isinstance(result, ToolResult) and result.text == tool.output
        assert [offer.name for offer in model.asked[0].tools] == ["look", "write", "slow", "broken"]
        assert desk.models.accounts == [("chat", "told")] * 2

    run(body)


def test_what_a_reader_hears_folds_to_what_the_engine_holds() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([Text("one two three"), call("look", "x")], [failing("overloaded")], [Text("four five")]))
        session = await desk.begin()
        number, _ = desk.shell.whispers_after(1 << 60, None)
        chat = begin(desk.sessions.read(session))
        seq = chat.seq
        await desk.say(session, "go")
        await desk.over(session)
        _, whispers = desk.shell.whispers_after(number, None)
        _, lines = desk.shell.events_after(seq, frozenset({"sessions"}))
        for _ in range(2):  # twice: a reader that reconnects hears things again
            for line in [*whispers, *lines]:
                chat = fold(chat, msgspec.json.decode(line))
        held = desk.sessions.read(session)
        assert not chat.gap
        assert [p for of in chat.parts.values() for _, p in sorted(of.items())] == held.parts
        assert list(chat.turns.values()) == held.turns and chat.session == held.session

    run(body)


def test_messages_queue_and_come_in_their_order_edited_and_moved() -> None:
    async def body() -> None:
        gate = asyncio.Event()
        model = ToldModel([gate, Text("first")], [Text("second")], [Text("third")])
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "one")
        queued = [(await desk.say(session, word)).queued for word in ("two", "three", "four")]
        assert all(queued) and [m.text for m in desk.sessions.get(session).queue] == ["two", "three", "four"]
        await desk.chat.queue(session, ChangeQueue(order=[queued[2], queued[0], "gone"], texts={queued[2]: "FOUR"}))
        with pytest.raises(BadInput):
            await desk.chat.queue(session, ChangeQueue(order=[queued[0]], texts={queued[0]: "  "}))
        gate.set()
        await desk.until(lambda: len(desk.turns(session)) == 3 and not desk.sessions.get(session).turn)
        assert [t.message.text for t in desk.turns(session)] == ["one", "FOUR", "two"]

    run(body)


def test_the_same_message_twice_is_one_and_two_tabs_at_once_make_one_turn() -> None:
    async def body() -> None:
        gate = asyncio.Event()
        desk = Desk(ToldModel([gate, Text("a")], [Text("b")]))
        session = await desk.begin()
        replies = await asyncio.gather(
            desk.say(session, "left", request_id="l"),
            desk.say(session, "right"),
            desk.say(session, "left", request_id="l"),
        )
        assert sum(reply.turn is not None and not reply.queued for reply in replies) >= 1
        gate.set()
        await desk.until(lambda: len(desk.turns(session)) == 2 and not desk.sessions.get(session).turn)
        assert sorted(t.message.text for t in desk.turns(session)) == ["left", "right"]
        again = await desk.say(session, "left", request_id="l")
        assert again.turn is not None and again.turn.message.text == "left" and len(desk.turns(session)) == 2

    run(body)


def test_stop_closes_the_stream_keeps_the_text_and_holds_the_queue() -> None:
    async def body() -> None:
        model = ToldModel([Text("half a sentence"), asyncio.Event()], [Text("next")], [Text("last")])
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "talk")
        await desk.until(lambda: any("sentence" in getattr(p, "text", "") for p in desk.parts(session)))
        await desk.say(session, "later")
        began = asyncio.get_running_loop().time()
        await desk.chat.stop(session)
        assert asyncio.get_running_loop().time() - began < 5.0 and model.closed == 1
        turn = desk.turns(session)[0]
        (text,) = desk.parts(session, turn)
        assert (turn.status, getattr(text, "text", ""), getattr(text, "status", "")) == (
            "stopped",
            "half a sentence",
            "done",
        )
        assert [m.text for m in desk.sessions.get(session).queue] == ["later"]
        await desk.say(session, "")  # the person lets the queue go on
        await desk.until(lambda: len(desk.turns(session)) == 2 and not desk.sessions.get(session).turn)
        # What the reader saw of the stopped answer is in the next prompt.
        assert "half a sentence" in str(model.asked[1].messages)

    run(body)


def test_what_a_tool_says_is_shown_while_it_runs_and_is_not_told_afterwards() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("slow")], [Text("never said")]))
        session = await desk.begin()
        await desk.say(session, "work")
        await asyncio.wait_for(desk.hands.slow_began.wait(), 5)
        bells = await desk.until(lambda: desk.shell.bells_after(0, frozenset({"sessions"}))[1])
        chat = begin(desk.sessions.read(session))
        for line in bells:
            chat = fold(chat, msgspec.json.decode(line))
        [shown] = [part for of_turn in chat.parts.values() for part in of_turn.values()]
        assert isinstance(shown, ToolPart) and (shown.status, shown.progress) == ("running", "working\n")
        await desk.chat.stop(session)
        assert desk.shell.bells_after(0, frozenset({"sessions"}))[1] == []

    run(body)


def test_stop_ends_a_tool_that_ends_itself_and_one_that_does_not() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("slow")], [Text("never said")]))
        session = await desk.begin()
        await desk.say(session, "work")
        await asyncio.wait_for(desk.hands.slow_began.wait(), 5)
        await desk.chat.stop(session)
        assert desk.hands.slow_ended == "by itself"
        tool = desk.tool(session)
        assert (tool.status, tool.output) == ("stopped", "stopped half way")
        assert desk.turns(session)[0].status == "stopped" and not desk.chat.busy

    run(body)


def test_a_cut_stream_is_asked_again_and_its_call_never_runs() -> None:
    async def body() -> None:
        model = ToldModel([Text("bro"), call("look", "x"), "cut"], [Text("whole")])
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "go")
        turn = await desk.over(session)
        assert turn.status == "done" and desk.hands.done == []
        said = [(p.status, getattr(p, "text", "")) for p in desk.parts(session) if not isinstance(p, NoticePart)]  # type: ignore[union-attr]
        assert said == [("cut", "bro"), ("cut", ""), ("done", "whole")]
        assert model.asked[1].messages == model.asked[0].messages

    run(body)


def test_while_the_provider_is_waited_for_it_shows_and_can_be_tried_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragent_jupyter.rules.turn.FIRST_WAIT_S", 600.0)

    async def body() -> None:
        desk = Desk(ToldModel([failing("overloaded", "529: overloaded")], [Text("back")]))
        session = await desk.begin()
        await desk.say(session, "go")
        await desk.until(lambda: desk.sessions.get(session).status == "waiting_api")
        waiting = desk.sessions.get(session)
        assert "529" in waiting.note and waiting.wake_at and waiting.wake_at > desk.shell.clock.now() + 300
        desk.chat.try_now(session)
        assert (await desk.over(session)).status == "done"
        assert desk.sessions.get(session).wake_at is None

    run(body)


def test_a_key_that_is_refused_goes_to_a_person_with_the_remedy() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([failing("auth", "401: the key is not valid.", remedy="Set another key.")]))
        session = await desk.begin()
        await desk.say(session, "go")
        turn = await desk.over(session)
        assert turn.status == "failed" and turn.error is not None
        assert (turn.error.type, turn.error.remedy) == ("auth", "Set another key.")
        assert desk.sessions.get(session).status == "failed"
        types = [record.type for record in desk.disk.log]
        assert "error" in types

    run(body)


def test_silence_is_said_and_then_ends_the_try() -> None:
    async def body() -> None:
        model = ToldModel([asyncio.Event()], [Text("back")])
        desk = Desk(model, quiet_s=0.05, stalled_s=0.15)
        session = await desk.begin()
        await desk.say(session, "go")
        await desk.until(lambda: "Still waiting" in desk.sessions.get(session).note)
        assert (await desk.over(session)).status == "done"
        assert model.closed == 2 and "Still waiting" not in desk.sessions.get(session).note

    run(body)


def test_the_daily_limit_stops_before_the_model_is_asked() -> None:
    async def body() -> None:
        desk = Desk(ToldModel())
        desk.models.over = "The limit of $1.00 a day is spent."
        session = await desk.begin()
        await desk.say(session, "go")
        turn = await desk.over(session)
        assert turn.error is not None and turn.error.type == "spend_limit" and not desk.models.model.asked

    run(body)


def test_bad_calls_are_told_to_the_model_and_secrets_are_not() -> None:
    async def body() -> None:
        uses = [call("nothing", id="a"), ToolUse("b", "look", {"word": [1]}), call("broken", id="c")]
        model = ToldModel(uses, [Text("I see.")])
        desk = Desk(model)
        session = await desk.begin()
        await desk.say(session, "my key is sk-secret123")
        assert (await desk.over(session)).status == "done"
        tools = [p for p in desk.parts(session) if isinstance(p, ToolPart)]
        assert [t.status for t in tools] == ["error", "error", "error"]
        assert "There is no tool" in tools[0].output and "$.word" in tools[1].output and "[key]" in tools[2].output
        assert "sk-secret123" not in str(model.asked) and not any(
            b"sk-secret123" in bytes(r.data) for r in desk.disk.log
        )
        assert not any(b"sk-secret123" in put.data for put in desk.disk.objects.values())

    run(body)


@pytest.mark.parametrize("moment", ["text", "approval", "slow", "running_again"])
def test_killed_at_any_moment_a_turn_goes_on_and_does_nothing_twice(moment: str) -> None:
    async def body() -> None:
        gate = asyncio.Event()
        first: dict[str, list[Any]] = {
            "text": [Text("half"), gate],
            "approval": [call("write", "x")],
            "slow": [call("slow")],
            "running_again": [call("look", "x")],
        }
        hands = Hands()
        desk = Desk(ToldModel(first[moment], [gate, Text("x")]), hands=hands)
        session = await desk.begin()
        await desk.say(session, "go")
        if moment == "text":
            await desk.until(lambda: any(getattr(p, "text", "") == "half" for p in desk.shell.parts[session].values()))
        elif moment == "approval":
            await desk.until(lambda: desk.sessions.get(session).status == "waiting")
        elif moment == "slow":
            await asyncio.wait_for(hands.slow_began.wait(), 5)
        else:
            await desk.until(lambda: hands.done and desk.turns(session)[0].steps == 1 and desk.models.model.asked[1:])
        model = ToldModel([Text("and on")], [Text("and on")])
        after = desk.killed(model)
        after.chat.begin()
        if moment == "approval":
            await after.until(lambda: after.turns(session)[0].status == "waiting" and after.chat._runners)
            for _ in range(20):
                await asyncio.sleep(0)
            assert after.sessions.get(session).status == "waiting"
            await approve(after, session, "once")
        turn = await after.over(session)
        assert turn.status == "done"
        parts = after.parts(session)
        assert [p.text for p in parts if isinstance(p, NoticePart)] == ["ragent was restarted; it goes on from here."]
        assert [p.text for p in parts if isinstance(p, TextPart) and p.status == "done"] == ["and on"]
        if moment == "approval":
            assert hands.done == [("write", "x")]
        if moment == "slow":
            tool = after.tool(session)
            assert tool.status == "outcome_unknown" and "not known" in str(model.asked[0].messages[-1])
        if moment == "running_again":
            assert hands.done == [("look", "x")]
        assert [p.index for p in parts] == list(range(len(parts)))

    run(body)


def test_killed_after_its_last_word_a_turn_is_over_and_says_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        desk = Desk(ToldModel([Text("The whole answer.")]))
        session = await desk.begin()
        with monkeypatch.context() as patch:
            patch.setattr(TurnRunner, "finish", lambda *_: asyncio.Event().wait())
            await desk.say(session, "go")
            await desk.until(lambda: desk.turns(session)[0].steps == 1)
        model = ToldModel()
        after = desk.killed(model)
        after.chat.begin()
        turn = await after.over(session)
        assert turn.status == "done" and model.asked == []
        assert [p.text for p in after.parts(session)] == ["The whole answer."]  # type: ignore[union-attr]

    run(body)


def test_a_watcher_of_steps_only_watches() -> None:
    async def body() -> None:
        seen: list[Any] = []

        def spoil(step: Any) -> Any:
            seen.append(step)
            raise RuntimeError("not your business")

        told = [[call("look", "x")], [Text("done")]]
        with_watcher, without = Desk(ToldModel(*told), on_step_finish=[spoil]), Desk(ToldModel(*told))
        ended = []
        for desk in (with_watcher, without):
            session = await desk.begin()
            await desk.say(session, "go")
            await desk.over(session)
            ended.append(
                [(type(p).__name__, getattr(p, "text", ""), getattr(p, "output", "")) for p in desk.parts(session)]
            )
        assert ended[0] == ended[1] and [s.calls for s in seen] == [("look",), ()]

    run(body)


def test_bad_messages_are_refused_and_change_nothing() -> None:
    async def body() -> None:
        desk = Desk(ToldModel())
        session = await desk.begin()
        for wish, error in (
            (SendMessage(text="  "), BadInput),
            (SendMessage(text="x" * 200_001), TooLarge),
            (SendMessage(text="x", attachments=["nope"]), NotFound),
            (SendMessage(text="x", attachments=["a"] * 21), BadInput),
            (SendMessage(text="x", retry="trn_none"), NotFound),
        ):
            with pytest.raises(error):
                await desk.chat.send(session, wish)
        with pytest.raises(NotFound):
            await desk.say("ses_none", "x")
        await desk.sessions.patch(session, PatchSession(archived=True))
        with pytest.raises(WrongMoment):
            await desk.say(session, "x")
        assert desk.turns(session) == [] and desk.sessions.get(session).queue == []

    run(body)


def test_a_fork_has_the_turns_up_to_its_place_and_a_life_of_its_own() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([Text("a")], [Text("b")], [Text("c")]))
        session = await desk.begin()
        for word in ("one", "two"):
            await desk.say(session, word)
            await desk.over(session)
        fork = await desk.begin(fork=session, fork_turn=desk.turns(session)[0].id)
        assert [t.message.text for t in desk.turns(fork)] == ["one"] and desk.sessions.get(fork).title == "one (fork)"
        await desk.say(fork, "three")
        await desk.over(fork)
        assert [t.message.text for t in desk.turns(session)] == ["one", "two"]
        assert "'a'" in str(desk.models.model.asked[-1].messages) and "'b'" not in str(
            desk.models.model.asked[-1].messages
        )
        found = desk.sessions.page("three")
        assert [s.id for s in found.sessions] == [fork]

    run(body)


def test_what_the_model_saw_can_be_opened_whole() -> None:
    async def body() -> None:
        desk = Desk(ToldModel([call("look", "x")], [Text("done")]))
        session = await desk.begin()
        await desk.say(session, "go")
        turn = await desk.over(session)
        calls = await desk.sessions.provenance(session, turn.id)
        assert [c.step for c in calls] == [1, 2] and calls[1].messages[: len(calls[0].messages)] == calls[0].messages
        assert calls[0].tools and "ragent" in calls[0].system and calls[1].usage.output == 5
        import msgspec

        assert calls[1].messages == [msgspec.to_builtins(m) for m in desk.models.model.asked[1].messages]

    run(body)


def test_the_first_wait_is_short() -> None:
    assert FIRST_WAIT_S == 2.0


def test_a_result_is_cut_after_its_secrets_are_gone() -> None:
    async def body() -> None:
        async def long(args: Empty, ctx: Any) -> ToolOutcome:
            return ToolOutcome(text="".join(f"{n:05}sk-secret123" for n in range(4_000)))

        model = ToldModel([call("long", id="a")], [Text("I see.")])
        desk = Desk(model)
        desk.kit.tools.add(
            SimpleTool(ToolSpec(name="long", title="l", description="l", args=Empty, effect="read"), long)
        )
        session = await desk.begin()
        await desk.say(session, "go")
        await desk.over(session)
        told = desk.tool(session).output
        assert "left out" in told and not re.search("sk-|secret|et123", told)

    run(body)
