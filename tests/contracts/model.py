"""What every model promises: the suite that the script, both wires and a real local server pass alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

import pytest

from ragent_jupyter.domain.model import (
    Alive,
    Began,
    BlockBegan,
    BlockEnded,
    Ended,
    InputDelta,
    Message,
    Model,
    ModelEvent,
    ModelFailed,
    ModelRequest,
    SystemText,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolOffer,
    ToolResult,
    ToolUse,
)
from tests.support.fake_provider import Call, Reply, Seen
from tests.support.wait import wait_until

T = TypeVar("T")
LOOK = ToolOffer(
    "look",
    "Look at a run.",
    {"type": "object", "properties": {"run": {"type": "string"}, "steps": {"type": "array"}}, "required": ["run"]},
)
QUESTION = [Message("user", [Text("How is run_a?")])]


def ask(messages: list[Message] = QUESTION, **more: Any) -> ModelRequest:
    return ModelRequest(
        system=[SystemText("You are terse.", cache=True)], messages=messages, **{"tools": [LOOK], **more}
    )


def do(what: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(asyncio.wait_for(what(), 30))


async def hear(stream: AsyncIterator[ModelEvent]) -> list[ModelEvent]:
    return [event async for event in stream]


def events_of(model: Model, request: ModelRequest | None = None) -> list[ModelEvent]:
    return do(lambda: hear(model.stream(request or ask())))


def end_of(model: Model, request: ModelRequest | None = None) -> Ended:
    last = events_of(model, request)[-1]
    assert isinstance(last, Ended)
    return last


def failure_of(model: Model, heard: list[ModelEvent] | None = None) -> ModelFailed:
    """The failure of a call; what came before it goes into `heard`."""

    async def fail() -> ModelFailed:
        with pytest.raises(ModelFailed) as caught:
            async for event in model.stream(ask()):
                if heard is not None:
                    heard.append(event)
        return caught.value

    return do(fail)


class Stage(Protocol):
    """Where one test has a model say what it shall. closed: when the model's side was left by the caller."""

    def model(self, *replies: Reply) -> Model: ...
    def closed(self) -> float | None: ...


async def gone_since(stage: Stage, left: float) -> None:
    """The other side saw the connection go. Asked while the loop runs: its end would close whatever was left open."""
    closed = await asyncio.to_thread(stage.closed)
    assert closed is None or abs(closed - left) < 5.0  # what was left would have taken 40 s and more


class ModelContract:
    """Of the wire or the script it needs a fixture `stage`."""

    def test_a_text_comes_in_pieces_and_ends_whole(self, stage: Stage) -> None:
        text = "The loss of run_a fell to 0.31, which is – as far as I see – fine: 损失下降。"
        events = events_of(stage.model(Reply(text=text, chunk=5)))
        assert isinstance(events[0], Began)
        pieces = [e.text for e in events if isinstance(e, TextDelta)]
        assert len(pieces) > 3 and "".join(pieces) == text
        ended = events[-1]
        assert isinstance(ended, Ended)
        assert ended.stop_reason == "end_turn" and ended.content == [Text(text)]
        assert sum(isinstance(e, Ended) for e in events) == 1

    def test_a_call_s_json_comes_in_pieces_and_ends_as_an_object(self, stage: Stage) -> None:
        input = {"run": 'a "quoted" \\ näme', "steps": [1, 2.5, None], "deep": {"x": True}}
        events = events_of(stage.model(Reply(calls=[Call(name="look", input=input)], chunk=7)))
        began = next(e for e in events if isinstance(e, BlockBegan))
        ended = events[-1]
        assert isinstance(ended, Ended) and ended.stop_reason == "tool_use"
        call = ended.content[0]
        assert isinstance(call, ToolUse)
        assert (call.name, call.input) == ("look", input)
        assert (began.kind, began.name, began.id) == ("tool_use", "look", call.id) and call.id
        assert sum(isinstance(e, InputDelta) for e in events) > 3

    def test_blocks_are_numbered_in_order_and_each_ends_once(self, stage: Stage) -> None:
        calls = [Call(name="look", input={"run": "a"}), Call(name="look", input={"run": "b"})]
        events = events_of(stage.model(Reply(thinking="Both of them.", text="I look at both.", calls=calls)))
        began = [(e.index, e.kind) for e in events if isinstance(e, BlockBegan)]
        assert began == [(0, "thinking"), (1, "text"), (2, "tool_use"), (3, "tool_use")]
        ended = [e for e in events if isinstance(e, BlockEnded)]
        assert sorted(e.index for e in ended) == [0, 1, 2, 3]
        last = events[-1]
        assert isinstance(last, Ended)
        assert [e.block for e in sorted(ended, key=lambda e: e.index)] == last.content
        uses = [b for b in last.content if isinstance(b, ToolUse)]
        assert [u.input["run"] for u in uses] == ["a", "b"] and uses[0].id != uses[1].id

    def test_thinking_is_told_apart_from_text(self, stage: Stage) -> None:
        events = events_of(stage.model(Reply(thinking="hidden", text="shown")), ask(thinking=True))
        assert "".join(e.text for e in events if isinstance(e, ThinkingDelta)) == "hidden"
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "shown"
        ended = events[-1]
        assert isinstance(ended, Ended) and isinstance(ended.content[0], Thinking)

    def test_a_result_goes_back_and_the_conversation_goes_on(self, stage: Stage) -> None:
        model = stage.model(Reply(calls=[Call(name="look", input={"run": "a"})]), Reply(text="It is fine."))
        first = end_of(model)
        call = first.content[0]
        assert isinstance(call, ToolUse)
        said = [
            *QUESTION,
            Message("assistant", first.content),
            Message("user", [ToolResult(call.id, "loss 0.31"), Text("and in short?")]),
        ]
        assert end_of(model, ask(said)).content == [Text("It is fine.")]

    def test_tokens_are_counted(self, stage: Stage) -> None:
        usage = end_of(
            stage.model(Reply(text="four words or so", usage={"input_tokens": 11, "output_tokens": 5}))
        ).usage
        assert usage.known and usage.calls == 1
        assert (usage.input, usage.output) == (11, 5)

    def test_json_that_is_none_is_handed_on_as_it_came(self, stage: Stage) -> None:
        for raw in ('{"run": "a"', "[1, 2]", '{"x": NaN}', '"run_a"'):
            events = events_of(stage.model(Reply(calls=[Call(name="look", raw=raw)], chunk=4)))
            block = next(e for e in events if isinstance(e, BlockEnded))
            assert block.bad_input == raw
            assert isinstance(block.block, ToolUse) and block.block.input == {}

    def test_a_call_cut_short_by_the_token_limit_says_so(self, stage: Stage) -> None:
        raw = '{"run": "run_a", "ste'
        ended = end_of(stage.model(Reply(calls=[Call(name="look", raw=raw)], stop="max_tokens")))
        assert ended.stop_reason == "max_tokens"

    def test_words_where_a_call_was_due_are_words(self, stage: Stage) -> None:
        ended = end_of(stage.model(Reply(text="I would rather talk.")), ask(force="look"))
        assert ended.stop_reason == "end_turn" and ended.content == [Text("I would rather talk.")]

    def test_a_refusal_is_told(self, stage: Stage) -> None:
        assert end_of(stage.model(Reply(text="No.", stop="refusal"))).stop_reason == "refusal"

    def test_nothing_said_is_a_message_too(self, stage: Stage) -> None:
        assert end_of(stage.model(Reply())).content == []

    @pytest.mark.parametrize("in_call", [False, True])
    def test_a_stream_that_stops_before_its_end_is_cut(self, stage: Stage, in_call: bool) -> None:
        heard: list[ModelEvent] = []
        calls = [Call(name="look", input={"run": "run_a", "steps": [1, 2, 3]})]
        reply = Reply(text="Let me see what there is.", calls=calls, fault="cut", in_call=in_call, chunk=6)
        assert failure_of(stage.model(reply), heard).kind == "cut"
        assert not any(isinstance(e, Ended) for e in heard)
        assert any(isinstance(e, TextDelta) for e in heard)
        assert any(isinstance(e, InputDelta) for e in heard) == in_call

    def test_rate_limits_say_how_long(self, stage: Stage) -> None:
        failed = failure_of(stage.model(Reply(fault="http", status=429, retry_after="7")))
        assert (failed.kind, failed.retry_after) == ("rate_limited", 7.0)

    def test_it_tries_once(self, stage: Stage) -> None:
        model = stage.model(Reply(fault="http", status=529), Reply(text="second"))
        assert failure_of(model).kind == "overloaded"
        assert end_of(model).content == [Text("second")]

    def test_leaving_the_stream_closes_it_at_once(self, stage: Stage) -> None:
        model = stage.model(Reply(text="a long story " * 200, chunk=3, delay=0.05))

        async def leave() -> None:
            async with aclosing(model.stream(ask())) as stream:  # type: ignore[type-var]
                async for event in stream:
                    if isinstance(event, TextDelta):
                        break
            await gone_since(stage, time.monotonic())

        do(leave)

    def test_cancelling_the_task_closes_it_at_once(self, stage: Stage) -> None:
        model = stage.model(Reply(text="a long story " * 200, chunk=3, delay=0.05))

        async def cancel() -> None:
            heard = asyncio.Event()

            async def listen() -> None:
                async for _ in model.stream(ask()):
                    heard.set()

            task = asyncio.ensure_future(listen())
            await heard.wait()
            task.cancel()
            before = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone_since(stage, before)

        do(cancel)

    def test_two_calls_at_once_do_not_mix(self, stage: Stage) -> None:
        words = ["alpha " * 20, "omega " * 20]
        model = stage.model(*[Reply(text=w, chunk=4, delay=0.001) for w in words])

        async def both() -> list[list[ModelEvent]]:
            return await asyncio.gather(hear(model.stream(ask())), hear(model.stream(ask())))

        texts = ["".join(e.text for e in one if isinstance(e, TextDelta)) for one in do(both)]
        assert sorted(texts) == sorted(words)


class WireContract(ModelContract):
    """And what a wire adds: faults that only a socket has."""

    def test_pings_and_unknown_events_are_signs_of_life(self, stage: Stage) -> None:
        events = events_of(stage.model(Reply(text="hello", pings=2, unknown=2)))
        assert sum(isinstance(e, Alive) for e in events) >= 4
        assert isinstance(events[-1], Ended) and events[-1].content == [Text("hello")]

    def test_a_ping_while_nothing_else_comes_is_heard(self, stage: Stage) -> None:
        events = events_of(stage.model(Reply(text="hello", pings=1, delay=0.2)))
        before = events[: next(i for i, e in enumerate(events) if isinstance(e, TextDelta))]
        assert [type(e) for e in before if not isinstance(e, BlockBegan)] == [Began, Alive]

    @pytest.mark.parametrize("fault", ["cut_tcp", "rst"])
    def test_a_broken_connection_is_cut(self, stage: Stage, fault: Any) -> None:
        heard: list[ModelEvent] = []
        assert failure_of(stage.model(Reply(text="some words that break off", fault=fault)), heard).kind == "cut"
        assert any(isinstance(e, TextDelta) for e in heard)

    def test_without_usage_the_message_is_still_whole(self, stage: Stage) -> None:
        ended = end_of(stage.model(Reply(text="fine", usage=None)))
        assert ended.content == [Text("fine")] and not ended.usage.known

    @pytest.mark.parametrize(
        ("type_", "kind"), [("overloaded_error", "overloaded"), ("rate_limit_error", "rate_limited"), ("odd", "server")]
    )
    def test_an_error_inside_the_stream_is_told_by_its_type(self, stage: Stage, type_: str, kind: str) -> None:
        assert failure_of(stage.model(Reply(text="words", fault="sse_error", error_type=type_))).kind == kind

    @pytest.mark.parametrize(
        ("status", "more", "kind"),
        [
            (400, {}, "bad_request"),
            (400, {"message": "prompt is too long: 300000 tokens > 200000 maximum"}, "too_large"),
            (400, {"message": "Your credit balance is too low"}, "spend_limit"),
            (401, {}, "auth"),
            (402, {}, "spend_limit"),
            (403, {}, "auth"),
            (404, {}, "not_found"),
            (408, {}, "server"),
            (413, {}, "too_large"),
            (429, {}, "rate_limited"),
            (429, {"error_code": "enforced_spend_limit_reached"}, "spend_limit"),
            (429, {"error_type": "insufficient_quota", "error_code": "insufficient_quota"}, "spend_limit"),
            (500, {}, "server"),
            (502, {}, "server"),
            (503, {}, "overloaded"),
            (529, {}, "overloaded"),
            (307, {}, "bad_request"),
        ],
    )
    def test_every_refusal_has_its_kind(self, stage: Stage, status: int, more: dict[str, str], kind: str) -> None:
        failed = failure_of(stage.model(Reply(fault="http", status=status, **more)))
        assert failed.kind == kind and failed.problem and failed.remedy

    def test_what_is_no_stream_is_a_bad_reply(self, stage: Stage) -> None:
        assert failure_of(stage.model(Reply(fault="html"))).kind == "bad_reply"

    def test_an_empty_stream_is_cut(self, stage: Stage) -> None:
        assert failure_of(stage.model(Reply(fault="empty"))).kind == "cut"

    def test_a_stall_can_be_left_at_once(self, stage: Stage) -> None:
        model = stage.model(Reply(text="begins and then", fault="stall", seconds=60))

        async def wait_a_little() -> None:
            begun = asyncio.Event()

            async def listen() -> None:
                async for event in model.stream(ask()):
                    if isinstance(event, TextDelta):
                        begun.set()

            task = asyncio.ensure_future(listen())
            await begun.wait()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.5)
            await gone_since(stage, time.monotonic())

        do(wait_a_little)

    def test_a_slow_drip_arrives_as_it_drips(self, stage: Stage) -> None:
        model = stage.model(Reply(text="drip drop drip", chunk=5, delay=0.5))

        async def times() -> list[float]:
            return [time.monotonic() async for e in model.stream(ask()) if isinstance(e, TextDelta)]

        at = do(times)
        sent: Seen = stage.provider.calls[-1]  # type: ignore[attr-defined]
        whole = wait_until(lambda: sent.done_at)
        # The last piece leaves a second after the first: that one was here before, it was not kept for the others.
        assert len(at) == 3 and whole is not None and at[0] < whole - 0.1

    def test_connections_are_used_again(self, stage: Stage) -> None:
        model = stage.model(Reply(text="one"), Reply(text="two"), Reply(text="three"))

        async def thrice() -> list[list[ModelEvent]]:
            return [await hear(model.stream(ask())) for _ in range(3)]

        assert len(do(thrice)) == 3
        assert stage.connections() == 1  # type: ignore[attr-defined]
