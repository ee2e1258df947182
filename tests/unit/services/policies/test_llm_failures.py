"""Every way in which a loop's provider or engine fails while a decision is made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.chat import NoticePart, ToolPart
from ragent_jupyter.domain.errors import RagentError, WrongMoment
from ragent_jupyter.domain.model import ModelFailed, Text, ToolUse
from ragent_jupyter.domain.wild import Limits, Stage
from tests.support.fake_frames import Call
from tests.support.fake_provider import Reply
from tests.support.mind import ToldModel, run
from tests.support.wild_mind import Mind, names, provided
from tests.support.wild_views import Held, event, loop, view


# --- the provider fails -----------------------------------------------------------------------------------------------
def test_a_busy_provider_is_waited_for_in_the_turn_and_the_loop_is_told(tmp_path: Path) -> None:
    with provided(tmp_path) as (provider, mind):
        provider.http(429, retry_after="600", message="slow down").call("promise", {"word": "CONTINUE"})

        async def body() -> None:
            hands = Held()
            deciding = asyncio.ensure_future(mind.policy.decide(view(), event(), hands))
            await mind.desk.until(lambda: mind.waited)
            (loop_id, until, why) = mind.waited[0]
            assert loop_id == "wld_1" and until is not None and "slow down" in why
            session = mind.desk.sessions.get(mind.session)
            assert (session.status, session.wake_at) == ("waiting_api", until)
            mind.desk.chat.try_now(mind.session)
            await deciding
            assert names(hands.actions) == ["promise"] and mind.waited[-1] == ("wld_1", None, "")

        run(body)


def test_with_little_patience_it_says_that_it_cannot_be_reached(tmp_path: Path) -> None:
    with provided(tmp_path) as (provider, mind):
        provider.http(529, retry_after="900")

        async def body() -> None:
            with pytest.raises(ModelFailed) as failed:
                await mind.policy.ask(view(), event(), Held(), patience_s=30.0)
            assert failed.value.kind == "network"
            assert mind.turns()[0].status == "stopped" and mind.desk.sessions.get(mind.session).turn == ""
            assert mind.waited[-1] == ("wld_1", None, "")

        run(body)


@pytest.mark.parametrize("fault", ["cut", "cut_tcp", "rst", "sse_error"])
def test_a_call_that_was_cut_off_is_asked_anew_and_never_done(tmp_path: Path, fault: Any) -> None:
    with provided(tmp_path) as (provider, mind):
        stop = Call(name="stop_run", input={"run": "run_0001", "reason": "It is " + "long " * 30})
        extra = {"error_type": "overloaded_error"} if fault == "sse_error" else {}
        provider.reply(text="On it.", calls=[stop], fault=fault, in_call=True, **extra).say("Better let it run.")

        async def body() -> None:
            hands = Held()
            deciding = asyncio.ensure_future(mind.policy.decide(view(stage=Stage.RUNNING), event("warning"), hands))
            await mind.desk.until(lambda: mind.waited)
            mind.desk.chat.try_now(mind.session)
            thought = await deciding
            assert hands.said == [] and thought.reasoning == "Better let it run."

        run(body)


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (402, "spend_limit"), (404, "not_found")])
def test_what_only_a_person_can_mend_is_raised(tmp_path: Path, status: int, kind: str) -> None:
    with provided(tmp_path) as (provider, mind):
        provider.http(status, message="no")

        async def body() -> None:
            with pytest.raises(ModelFailed) as failed:
                await mind.policy.decide(view(), event(), Held())
            assert failed.value.kind == kind and failed.value.remedy
            assert mind.turns()[0].status == "failed"

        run(body)
        assert len(provider.calls) == 1


def test_the_day_s_budget_is_a_spend_limit(tmp_path: Path) -> None:
    mind = Mind(ToldModel(), tmp_path)
    mind.desk.models.over = "Today's $5 are spent."

    async def body() -> None:
        with pytest.raises(ModelFailed) as failed:
            await mind.policy.decide(view(), event(), Held())
        assert failed.value.kind == "spend_limit" and "Today's $5" in failed.value.problem

    run(body)


def test_a_provider_that_says_nothing_is_given_up_and_asked_again(tmp_path: Path) -> None:
    with provided(tmp_path, quiet_s=0.2, stalled_s=0.4) as (provider, mind):
        provider.fault("stall", seconds=30.0).call("promise", {"word": "CONTINUE"})

        async def body() -> None:
            hands = Held()
            deciding = asyncio.ensure_future(mind.policy.decide(view(), event(), hands))
            await mind.desk.until(lambda: mind.waited)
            assert "Nothing came from the model" in mind.waited[0][2]
            mind.desk.chat.try_now(mind.session)
            await deciding
            assert names(hands.actions) == ["promise"]

        run(body)


def test_a_refusal_of_the_model_is_an_error_that_says_so(tmp_path: Path) -> None:
    with provided(tmp_path) as (provider, mind):
        provider.say("No.", stop="refusal")

        async def body() -> None:
            with pytest.raises(RagentError, match="declined"):
                await mind.policy.decide(view(), event(), Held())

        run(body)


def test_the_loop_s_tokens_end_a_decision(tmp_path: Path) -> None:
    with provided(tmp_path) as (provider, mind):
        provider.default = Reply(calls=[Call(name="read_log", input={"word": "x"})], usage={"input_tokens": 600})

        async def body() -> None:
            await mind.policy.decide(view(limits=Limits(tokens=1000)), event(), Held())
            assert any(isinstance(p, NoticePart) and "tokens" in p.text for p in mind.parts())

        run(body)
        assert len(provider.calls) == 2


def test_cancelling_closes_the_provider_s_stream_and_stops_the_turn(tmp_path: Path) -> None:
    with provided(tmp_path) as (provider, mind):
        provider.say("word " * 500, delay=0.02)

        async def body() -> None:
            deciding = asyncio.ensure_future(mind.policy.decide(view(), event(), Held()))
            await mind.desk.until(lambda: provider.calls and provider.calls[0].sent)
            deciding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await deciding
            assert mind.turns()[0].status == "stopped"
            await asyncio.to_thread(provider.wait_closed, provider.calls[0])

        run(body)


def test_a_person_s_stop_ends_the_decision_and_a_person_s_words_steer(tmp_path: Path) -> None:
    gate = asyncio.Event()
    mind = Mind(ToldModel([gate, Text("late")]), tmp_path)

    async def body() -> None:
        heard: list[tuple[str, str]] = []

        async def steer(loop_id: str, text: str) -> None:
            heard.append((loop_id, text))

        mind.desk.chat.steer = steer
        hands = Held()
        deciding = asyncio.ensure_future(mind.policy.decide(view(), event(), hands))
        await mind.desk.until(lambda: mind.desk.shell.sessions and mind.desk.chat.busy)
        sent = await mind.desk.say(mind.session, "try the big model", request_id="r1")
        again = await mind.desk.say(mind.session, "try the big model", request_id="r1")
        assert heard == [("wld_1", "try the big model")] and sent.turn is not None and again.turn == sent.turn
        assert mind.desk.sessions.get(mind.session).queue == []
        await mind.desk.chat.stop(mind.session)
        with pytest.raises(WrongMoment, match="stopped"):
            await deciding
        assert hands.said == [] and not mind.desk.chat.busy

    run(body)


# --- crashes ----------------------------------------------------------------------------------------------------------
def test_a_decision_that_a_crash_cut_off_is_not_gone_on_with_but_made_anew(tmp_path: Path) -> None:
    model = ToldModel([Text("I stop it."), ToolUse("t1", "stop_run", {"run": "run_0001", "reason": "x"})])
    mind = Mind(model, tmp_path)
    seen, what = view(stage=Stage.RUNNING), event("warning")

    async def body() -> None:
        reached = asyncio.Event()

        class Killed(Held):
            async def act(self, *args: Any, **more: Any) -> Any:
                reached.set()
                await asyncio.Event().wait()

        deciding = asyncio.ensure_future(mind.policy.decide(seen, what, Killed()))
        await reached.wait()  # the call is on record as running: here the power goes
        after = mind.again(ToldModel([Text("It may run on.")], [Text("Well.")]))
        deciding.cancel()
        after.desk.chat.begin()
        assert not after.desk.chat.busy, "no chat's turn: a loop's decision is made anew"
        assert after.desk.sessions.get(after.session).status == "streaming"
        await after.policy.begin()
        (lost,) = after.turns()
        assert lost.status == "stopped" and "decided anew" in lost.note
        tool = next(p for p in after.parts() if isinstance(p, ToolPart))
        assert tool.status == "outcome_unknown"
        told = await after.policy.interrupted(loop(stage=Stage.RUNNING), what)
        assert lost.id in told and "unknown outcome" in told
        hands = Held()
        thought = await after.policy.decide(seen, what, hands)
        assert (
            hands.said == []
            and thought.reasoning.startswith("An earlier call")
            and "It may run on." in thought.reasoning
        )
        assert await after.policy.interrupted(loop(stage=Stage.RUNNING), what) == ""
        assert "I stop it." not in str(after.policy.kit.models.model.asked)  # type: ignore[attr-defined]

    run(body)


def test_a_decision_that_was_whole_but_not_remembered_by_the_loop_counts_as_unknown(tmp_path: Path) -> None:
    mind = Mind(ToldModel([Text("Fine.")]), tmp_path)
    seen, what = view(stage=Stage.RUNNING), event("completion")

    async def body() -> None:
        await mind.policy.decide(seen, what, Held())
        assert await mind.policy.interrupted(loop(), what) == ""
        after = mind.again(ToldModel([Text("Fine.")]))
        assert "unknown outcome" in await after.policy.interrupted(loop(), what)
        assert await after.policy.interrupted(loop(), event("completion", tries=1)) == ""

    run(body)
