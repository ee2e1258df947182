"""The turn machine: what follows what, whatever happens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.model import Usage
from ragent_jupyter.rules.turn import (
    GIVE_UP_S,
    LONGEST_WAIT_S,
    Answered,
    Began,
    Begin,
    Call,
    CallModel,
    Done,
    Failed,
    Finish,
    Limits,
    RunTool,
    Stop,
    TurnEvent,
    TurnState,
    WaitApi,
    Woken,
    backoff_s,
    resume,
    turn,
)


def call(id: str = "c1", name: str = "list_runs", **input: Any) -> Call:
    return Call(id=id, name=name, input=input)


def said(*calls: Call, stop: Any = None, at: float = 1.0, **usage: Any) -> Answered:
    reason = stop or ("tool_use" if calls else "end_turn")
    return Answered(at=at, stop_reason=reason, calls=calls, usage=Usage(calls=1, **usage))


def through(*events: TurnEvent, limits: Limits | None = None) -> tuple[TurnState, list[Any]]:
    state, effects = turn(TurnState(limits=limits or Limits()), Begin(at=0.0))
    for event in events:
        state, effects = turn(state, event)
    return state, effects


def test_text_alone_ends_the_turn() -> None:
    state, effects = through(said())
    assert effects == [Finish(status="done")] and state.phase == "over"


def test_calls_are_made_one_after_the_other_and_the_model_reads_all_results_at_once() -> None:
    a, b = call("a"), call("b")
    state, effects = through(said(a, b))
    assert effects == [RunTool(call=a)]
    state, effects = turn(state, Began(call_id="a"))
    assert effects == []
    state, effects = turn(state, Done(at=2.0, call_id="a"))
    assert effects == [RunTool(call=b)]
    state, effects = turn(state, Done(at=3.0, call_id="b"))
    assert effects == [CallModel(step=2, tries=1)]


def test_a_call_that_was_not_asked_for_yet_cannot_be_done() -> None:
    state, _ = through(said(call("a"), call("b")))
    assert turn(state, Done(at=1.0, call_id="b")) == (state, [])
    assert turn(state, Done(at=1.0, call_id="z")) == (state, [])


def test_a_broken_stream_is_asked_again_and_its_step_counts_once() -> None:
    state, effects = through(Failed(at=1.0, kind="cut", problem="broke off", chance=0.5))
    assert effects == [WaitApi(seconds=2.0, why="broke off")] and state.phase == "waiting_api"
    state, effects = turn(state, Woken(at=3.0))
    assert effects == [CallModel(step=1, tries=2)]


def test_the_provider_is_waited_for_as_long_as_it_asks() -> None:
    _, effects = through(Failed(at=1.0, kind="rate_limited", problem="429", retry_after=77.0))
    assert effects == [WaitApi(seconds=77.0, why="429")]


def test_after_a_day_of_waiting_a_person_is_told() -> None:
    state, effects = through()
    for _ in range(1000):
        state, effects = turn(state, Failed(at=1.0, kind="overloaded", problem="529", chance=1.0))
        if not isinstance(effects[0], WaitApi):
            break
        state, _ = turn(state, Woken(at=1.0))
    assert isinstance(effects[0], Finish) and effects[0].status == "failed" and "day" in effects[0].reason
    assert state.waited_s <= GIVE_UP_S


@pytest.mark.parametrize("kind", ["auth", "spend_limit", "not_found", "missing", "bad_request"])
def test_what_waiting_does_not_mend_ends_the_turn_with_a_remedy(kind: Any) -> None:
    _, effects = through(Failed(at=1.0, kind=kind, problem="No.", remedy="Do this."))
    assert effects == [Finish(status="failed", reason="No.", remedy="Do this.", type=kind)]


def test_a_prompt_that_is_too_large_is_shortened_once() -> None:
    state, effects = through(Failed(at=1.0, kind="too_large", problem="413"))
    assert effects == [CallModel(step=1, tries=2, shrink=True)]
    _, effects = turn(state, Failed(at=1.0, kind="too_large", problem="413"))
    assert effects[0].status == "failed" and effects[0].type == "too_large"


def test_a_message_cut_by_its_length_makes_no_call_and_goes_on() -> None:
    state, effects = through(said(call(), stop="max_tokens"))
    assert isinstance(effects[0], CallModel) and effects[0].step == 2 and "cut off" in effects[0].note
    for _ in range(3):
        assert isinstance(effects[0], CallModel)
        state, effects = turn(state, said(stop="max_tokens"))
    assert (effects[0].status, effects[0].type) == ("failed", "max_tokens")  # half an answer is never called done


def test_pause_turn_is_sent_back_as_it_is() -> None:
    _, effects = through(said(stop="pause_turn"))
    assert effects == [CallModel(step=2, tries=1)]


def test_text_where_a_call_was_due_is_asked_once_more_then_given_up() -> None:
    limits = Limits(must_call=True)
    state, effects = through(said(), limits=limits)
    assert isinstance(effects[0], CallModel) and effects[0].must_call
    _, effects = turn(state, said())
    assert effects[0].type == "no_tool"


def test_a_refusal_is_a_failure_that_says_so() -> None:
    _, effects = through(said(stop="refusal"))
    assert effects[0].status == "failed" and effects[0].type == "refusal"


def test_the_same_call_four_times_in_a_row_is_a_loop() -> None:
    state, effects = through()
    for n in range(4):
        state, effects = turn(state, said(call(f"c{n}", run="run_a")))
        if isinstance(effects[0], Finish):
            break
        state, effects = turn(state, Done(at=1.0, call_id=f"c{n}"))
    assert effects[0].type == "loop"
    state, effects = through()
    for n in range(6):  # other arguments: work, no loop
        state, effects = turn(state, said(call(f"c{n}", run=n)))
        state, effects = turn(state, Done(at=1.0, call_id=f"c{n}"))
    assert effects == [CallModel(step=7, tries=1)]


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(steps=1), "1 steps"),
        (Limits(cost=0.5), "$0.60"),
        (Limits(cost=0.0), "$0.60"),
        (Limits(tokens=10), "12 tokens"),
        (Limits(wall_s=5), "minutes"),
    ],
)
def test_a_limit_ends_the_turn_with_its_own_reason(limits: Limits, word: str) -> None:
    state, _ = through(said(call(), cost=0.6, input=10, output=2), limits=limits)
    _, effects = turn(state, Done(at=6.0, call_id="c1"))
    assert isinstance(effects[0], Finish) and effects[0].status == "done" and word in effects[0].reason


def test_no_money_at_all_is_enough_for_what_is_free() -> None:
    state, _ = through(said(call(), cost=0.0), limits=Limits(cost=0.0))
    _, effects = turn(state, Done(at=1.0, call_id="c1"))
    assert effects == [CallModel(step=2, tries=1)]


def test_waiting_for_a_person_does_not_eat_the_time_limit() -> None:
    state, _ = through(said(call()), limits=Limits(wall_s=5))
    _, effects = turn(state, Done(at=1000.0, call_id="c1", person_s=996.0))
    assert effects == [CallModel(step=2, tries=1)]


def test_a_tool_that_ends_the_turn_does_so_after_its_neighbours() -> None:
    state, _ = through(said(call("a", "finish"), call("b")), limits=Limits(stop_tools=("finish",)))
    state, effects = turn(state, Done(at=1.0, call_id="a"))
    assert effects == [RunTool(call=call("b"))]
    _, effects = turn(state, Done(at=1.0, call_id="b"))
    assert effects == [Finish(status="done")]


def test_stop_stops_at_any_moment_and_nothing_follows() -> None:
    for events in ([], [said(call())], [Failed(at=1.0, kind="network", problem="x")]):
        state, effects = through(*events, Stop())
        assert effects[0].status == "stopped"
        assert turn(state, said(call())) == (state, [])


def test_a_crash_makes_what_was_not_made_and_repeats_nothing() -> None:
    a, b = Call(id="a", name="x", input={}, state="over"), call("b")
    _, effects = resume(Limits(), 3, (a, b), Usage(), 0.0, 9.0)
    assert effects == [RunTool(call=b)]
    _, effects = resume(Limits(), 3, (a,), Usage(), 0.0, 9.0)
    assert effects == [CallModel(step=4, tries=1)]
    _, effects = resume(Limits(), 3, (), Usage(), 0.0, 9.0, said=True)
    assert effects == [Finish(status="done")]


def test_waits_grow_to_a_quarter_of_an_hour() -> None:
    waits = [backoff_s(n, 0.5) for n in range(1, 40)]
    assert waits[:4] == [2, 4, 8, 16] and max(waits) == LONGEST_WAIT_S
    assert backoff_s(3, 0.0) == 6.0 and backoff_s(3, 1.0) == 10.0


KINDS = st.sampled_from(["rate_limited", "cut", "auth", "too_large", "bad_reply", "stalled", "bad_request"])
EVENTS = st.one_of(
    st.builds(Begin, at=st.just(0.0)),
    st.builds(
        Answered,
        at=st.floats(0, 100),
        stop_reason=st.sampled_from(
            ["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn", "context_exceeded"]
        ),
        calls=st.lists(st.sampled_from("abc"), unique=True, max_size=3).map(lambda ids: tuple(call(i) for i in ids)),
        usage=st.builds(Usage, output=st.integers(0, 9), calls=st.just(1)),
    ),
    st.builds(Failed, at=st.just(1.0), kind=KINDS, problem=st.just("x"), chance=st.floats(0, 1)),
    st.builds(Woken, at=st.just(1.0)),
    st.builds(Began, call_id=st.sampled_from("abcd")),
    st.builds(Done, at=st.just(1.0), call_id=st.sampled_from("abcd"), ends_turn=st.booleans()),
    st.builds(Stop),
)


@given(st.lists(EVENTS, max_size=60))
def test_whatever_happens_a_turn_ends_once_and_never_makes_a_call_twice(events: list[TurnEvent]) -> None:
    state, finished, made = TurnState(limits=Limits(steps=8)), 0, []
    for event in events:
        before = state
        state, effects = turn(state, event)
        finished += sum(isinstance(effect, Finish) for effect in effects)
        made += [(state.step, effect.call.id) for effect in effects if isinstance(effect, RunTool)]
        if before.phase == "over":
            assert effects == [] and state == before
        if any(isinstance(effect, CallModel) for effect in effects):
            assert state.phase == "calling"
        assert len(effects) <= 1
    assert finished == (state.phase == "over")
    assert len(made) == len(set(made))
    assert state.step <= 8
