"""The wild loop's rules: what comes next, one event at a time, wishes in every stage, and a walk through a whole
night."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, NotFound, WrongMoment
from ragent_jupyter.domain.wild import (
    Analyse,
    ChangeSetup,
    Confirm,
    Limits,
    Loop,
    LoopTask,
    Option,
    Promise,
    ProposeSweep,
    Question,
    ResolveAlert,
    Setup,
    Spent,
    Stage,
    StopRun,
    Verdict,
)
from ragent_jupyter.rules import wild_loop as w
from ragent_jupyter.rules.wild_limits import changed_limits, hit, left, parse_until
from ragent_jupyter.rules.wild_loop import AlertSeen, RunSeen, World
from ragent_jupyter.rules.wild_stages import TRANSITIONS

SETUP = Setup(command="python t.py", cwd="/p", metric="loss", seed="seed")
SWEEP = ProposeSweep(name="one", points=[{"lr": 0.1}])


def loop(**fields: object) -> Loop:
    return replace(Loop(id="wld_1", goal="lower loss", created_at=1.0, setup=SETUP), **fields)


def world(**fields: object) -> World:
    return replace(World(now=100.0), **fields)


def run(id: str, status: str = "finished", terminal: bool = True) -> RunSeen:
    return RunSeen(id, status, terminal)


def running(**fields: object) -> Loop:
    return loop(**{"stage": Stage.RUNNING, "sweep": "swp_1", "sweeps": ["swp_1"], "purpose": "search", **fields})


# --- what comes next --------------------------------------------------------------------------------------------------
def test_a_new_loop_explores() -> None:
    move = w.next_move(loop(), world())
    assert isinstance(move, w.Decide) and move.event.kind == "explore"


def test_what_is_pending_comes_in_the_order_of_its_importance_and_the_shown_event_is_the_consumed_one() -> None:
    state = w.sync(
        running(),
        world(
            runs=[run("run_ok"), run("run_bad", "failed"), run("run_live", "running", False)],
            alerts=[AlertSeen("alt_w", "run_live", "warning"), AlertSeen("alt_c", "run_live", "critical")],
            sweep_over=False,
        ),
    )
    state = w.steered(state, "human:1", "try a smaller lr", 50.0)
    seen = []
    while (first := w.head(state.queue)) is not None:
        shown = w.taken(state, first)
        # A critical alert that comes while this one is decided takes nobody's place.
        shown = w.sync(shown, world(alerts=[AlertSeen("alt_w", "run_live", "warning"),
                                            AlertSeen("alt_c", "run_live", "critical")]))  # fmt: skip
        assert shown.current == first
        seen.append(first.ref or first.kind)
        state = w.decided(shown, [], None, empty=False, refusal="")
    assert seen == ["human", "alt_c", "alt_w", "run_bad", "run_ok"]


def test_the_same_thing_is_decided_about_once() -> None:
    there = world(runs=[run("run_1")], alerts=[AlertSeen("alt_1", "run_2", "warning")], sweep_over=False)
    state = w.sync(running(), there)
    assert w.sync(state, there) is state
    for _ in range(2):
        first = w.head(state.queue)
        assert first is not None
        state = w.decided(w.taken(state, first), [], None, empty=False, refusal="")
    assert w.sync(state, there).queue == []


def test_an_alert_that_somebody_else_answered_is_no_longer_asked_about() -> None:
    state = w.sync(running(), world(alerts=[AlertSeen("alt_1", "run_1", "critical")]))
    assert [e.ref for e in state.queue] == ["alt_1"]
    assert w.sync(state, world()).queue == []


@pytest.mark.parametrize(
    "blocker",
    [
        {"sweep_over": False},
        {"runs": [run("run_1", "running", False)]},
        {"alerts": [AlertSeen("alt_1", "run_1", "warning")]},
    ],
)
def test_nothing_is_analyzed_while_something_is_open(blocker: dict[str, object]) -> None:
    state = running(told=["run_1", "alt_1"])
    assert isinstance(w.next_move(state, world()), w.Analyze)
    assert isinstance(w.next_move(state, world(**blocker)), w.Rest)
    # And it is looked at again when the analysis is about to be decided.
    queued = w.to_analysis(state, 100.0, None, None)
    assert isinstance(w.next_move(queued, world()), w.Decide)
    assert isinstance(w.next_move(queued, world(**blocker)), w.Rest)


def test_a_confirm_sweep_is_judged_and_its_single_ends_are_not_asked_about() -> None:
    state = running(stage=Stage.CONFIRMING, purpose="confirm")
    there = world(runs=[run("run_1"), run("run_2", "failed")])
    state = w.sync(state, there)
    assert state.queue == [] and state.told == ["run_1", "run_2"]
    assert isinstance(w.next_move(state, there), w.Judge)


def test_after_an_analysis_that_led_to_nothing_it_explores_again() -> None:
    state = w.to_analysis(running(), 100.0, None, None)
    first = w.head(state.queue)
    assert first is not None
    state = w.decided(w.taken(state, first), [Analyse(text="lr matters")], None, empty=False, refusal="")
    assert state.stage is Stage.EXPLORING and state.findings == ["lr matters"]


def test_owed_actions_are_carried_out_in_order_before_anything_else_is_decided() -> None:
    actions = [StopRun(run="run_1"), ResolveAlert(alert="alt_1", choice="stop"), SWEEP]
    state = w.decided(w.taken(running(), w.event("human", "", 1.0, "x")), actions, None, empty=False, refusal="")
    done = []
    while isinstance(move := w.next_move(state, world(alerts=[AlertSeen("a", "r", "critical")])), w.Perform):
        done.append(move.action)
        state = w.carried_out(state)
    assert done == actions


# --- ends -------------------------------------------------------------------------------------------------------------
def test_what_is_used_up_ends_it_with_its_own_reason_and_never_as_success() -> None:
    for name, limits, spent in [
        ("iterations", Limits(iterations=2), Spent(iterations=2)),
        ("runs", Limits(runs=5), Spent(runs=5)),
        ("hours", Limits(hours=1.0), Spent(seconds=3601)),
        ("gpu_hours", Limits(gpu_hours=1.0), Spent(gpu_seconds=3601)),
        ("cpu_hours", Limits(cpu_hours=1.0), Spent(cpu_seconds=3601)),
        ("disk_gb", Limits(disk_gb=1.0), Spent(disk_bytes=10**9)),
    ]:
        move = w.next_move(loop(), world(hit=hit(limits, spent)))
        assert isinstance(move, w.EndLoop)
        assert (move.end, move.budget) == ("budget", name)


def test_time_stops_runs_and_a_limit_of_runs_lets_them_end() -> None:
    live = world(runs=[run("run_1", "running", False)], sweep_over=False)
    over_time = w.next_move(running(), replace(live, hit=("hours", "Time is up.")))
    assert isinstance(over_time, w.EndLoop) and over_time.stop_runs
    assert isinstance(w.next_move(running(), replace(live, hit=("runs", "No run is left."))), w.Rest)


def test_money_ends_a_model_s_loop_at_its_next_decision_and_leaves_the_rules_alone() -> None:
    broke = world(hit=("cost_usd", "The money is gone."))
    asked = w.sync(running(policy="llm"), replace(broke, runs=[run("run_1")]))
    move = w.next_move(asked, broke)
    assert isinstance(move, w.EndLoop) and move.budget == "cost_usd" and not move.stop_runs
    assert isinstance(w.next_move(loop(policy="builtin"), broke), w.Decide)
    assert isinstance(w.next_move(loop(policy="hybrid"), broke), w.Decide)


def test_nothing_is_claimed_that_was_not_put_to_the_test() -> None:
    state = w.decided(
        w.taken(loop(), w.event("explore", "", 1.0)),
        [Promise(word="COMPLETE", text="lr 0.3 is best")],
        None,
        empty=False,
        refusal="",
    )
    assert isinstance(w.next_move(state, world(to_confirm=True)), w.ConfirmFirst)
    assert w.next_move(state, world()) == w.EndLoop("complete", "lr 0.3 is best")


def test_what_ran_out_before_anything_was_tested_is_no_success() -> None:
    out = world(hit=("runs", "No run is left."))
    move = w.next_move(loop(promised="nothing better was found"), out)
    assert isinstance(move, w.EndLoop) and (move.end, move.budget) == ("budget", "runs")
    short = w.next_move(loop(promised="it stops here"), world(tight=("hours", "Too few hours.")))
    assert isinstance(short, w.EndLoop) and (short.end, short.budget) == ("budget", "hours")
    won = Verdict(params={"lr": 1}, verdict="confirmed", why="")
    assert w.next_move(loop(promised="lr 1", verdicts=[won]), out) == w.EndLoop("complete", "lr 1")
    null = Verdict(params={"lr": 1}, verdict="not distinguishable", why="")
    assert w.next_move(loop(promised="no gain", verdicts=[null]), out) == w.EndLoop("complete", "no gain")
    few = Verdict(params={"lr": 1}, verdict="unconfirmed", why="Only 3 of 5 pairs.")
    assert isinstance(cut := w.next_move(loop(promised="it stops", verdicts=[few]), out), w.EndLoop)
    assert cut.end == "budget"


def test_the_goal_is_confirmed_before_it_counts() -> None:
    assert isinstance(w.next_move(loop(), world(goal="loss < 1 is met", to_confirm=True)), w.ConfirmFirst)
    assert w.next_move(loop(), world(goal="loss < 1 is met")) == w.EndLoop("complete", "loss < 1 is met")


def test_a_promise_made_while_runs_live_waits_for_them() -> None:
    live = world(runs=[run("run_1", "running", False)], sweep_over=False)
    state = w.decided(
        w.taken(running(), w.event("completion", "run_0", 1.0)),
        [Promise(word="COMPLETE", text="done")],
        None,
        empty=False,
        refusal="",
    )
    assert isinstance(w.next_move(state, live), w.Rest)
    assert state.promised == "done"


def test_what_a_person_says_meanwhile_is_heard_before_a_promise_ends_it() -> None:
    state = w.taken(running(), w.event("analysis", "swp_1", 1.0))
    state = w.steered(state, "human:1", "try dropout too", 2.0)
    state = w.decided(state, [Promise(word="COMPLETE", text="done")], None, empty=False, refusal="")
    assert state.promised == ""
    move = w.next_move(state, world())
    assert isinstance(move, w.Decide) and move.event.kind == "human"


# --- wishes -----------------------------------------------------------------------------------------------------------
STATES = [
    loop(),
    running(),
    running(stage=Stage.CONFIRMING),
    running(stage=Stage.ANALYZING),
    running(question=Question(id="q", text="?", options=[Option("yes", "Yes")], default="yes", asked_at=1.0)),
    running(owed=w.encode_actions([SWEEP])),
]


@pytest.mark.parametrize("state", STATES)
def test_pause_rests_in_every_stage_and_resume_goes_on_with_the_same_plan(state: Loop) -> None:
    held = w.paused(state)
    assert w.next_move(held, world()) == w.Rest("Paused.")
    assert w.resumed(held, None) == state


@pytest.mark.parametrize("state", STATES)
def test_stop_ends_it_in_every_stage(state: Loop) -> None:
    over = w.stopped(state, "alice", 9.0)
    assert (over.end, over.ended_at, over.queue, over.owed, over.question) == ("stopped", 9.0, [], [], None)
    with pytest.raises(WrongMoment):
        w.paused(over)
    with pytest.raises(WrongMoment):
        w.resumed(over, None)


@pytest.mark.parametrize("state", STATES)
def test_steering_is_kept_in_every_stage_and_heard_once(state: Loop) -> None:
    told = w.steered(state, "human:1", "smaller models only", 5.0)
    assert told.steer == ["smaller models only"]
    assert w.steered(told, "human:1", "smaller models only", 6.0) is told
    assert [e.text for e in told.queue if e.kind == "human"] == ["smaller models only"]


def test_what_ended_by_a_limit_goes_on_once_the_limit_has_room() -> None:
    over = w.ended(loop(), w.EndLoop("budget", "No run is left.", budget="runs"), 9.0)
    with pytest.raises(WrongMoment, match="No run"):
        w.resumed(over, ("runs", "No run is left."))
    again = w.resumed(over, None)
    assert (again.stage, again.end, again.budget) == (Stage.EXPLORING, None, "")


def test_an_order_of_a_person_holds_and_an_alert_cannot_be_dropped() -> None:
    state = w.sync(running(), world(runs=[run("a"), run("b", "failed")], alerts=[AlertSeen("alt", "c", "critical")]))
    moved = w.reordered(state, ["completion:a"], ["failure:b"])
    first = w.head(moved.queue)
    assert first is not None and first.ref == "a"
    assert "b" in moved.told
    with pytest.raises(WrongMoment):
        w.reordered(state, [], ["critical:alt"])
    with pytest.raises(NotFound):
        w.reordered(state, ["completion:nobody"], [])


# --- questions --------------------------------------------------------------------------------------------------------
def asked(**fields: object) -> Loop:
    options, default = w.yes_no()
    held = w.encode_actions([SWEEP])
    question = Question(id="q1", text="Run 1?", options=options, default=default, asked_at=1.0, held=held)
    return loop(question=replace(question, **fields))


def test_what_was_asked_for_goes_ahead_on_yes_alone() -> None:
    yes, held, _ = w.answered(asked(), "q1", "yes", "", 2.0)
    assert held == [SWEEP] and isinstance(w.next_move(yes, world()), w.Perform) and yes.queue == []
    no, held, words = w.answered(asked(), "q1", "no", "too dear", 2.0)
    assert held == [] and no.owed == [] and words == "Do not too dear"
    move = w.next_move(no, world())
    assert isinstance(move, w.Decide) and move.event.kind == "answer" and "too dear" in move.event.text


def test_the_first_answer_wins_and_a_wrong_one_changes_nothing() -> None:
    yes, _, _ = w.answered(asked(), "q1", "yes", "", 2.0)
    with pytest.raises(WrongMoment):
        w.answered(yes, "q1", "no", "", 3.0)
    with pytest.raises(NotFound):
        w.answered(asked(), "q1", "perhaps", "", 3.0)
    with pytest.raises(BadInput):
        w.answered(asked(), "q1", "", " ", 3.0)


def test_a_default_is_taken_when_its_time_has_come() -> None:
    assert w.next_move(asked(default_at=200.0), world()) == w.Rest("It waits for an answer.", 200.0)
    assert isinstance(w.next_move(asked(default_at=99.0), world()), w.TakeDefault)
    assert w.next_move(asked(), world()) == w.Rest("It waits for an answer.", None)


# --- the rest ---------------------------------------------------------------------------------------------------------
def test_three_decisions_for_nothing_need_a_person() -> None:
    state = loop()
    for times in range(3):
        assert (w.blocked(state) == "") is (times < 3)
        state = w.decided(w.taken(state, w.event("explore", "", 1.0)), [], None, empty=True, refusal="already tried")
    assert "already tried" in w.blocked(state)
    # What was accepted has not led anywhere yet; what began has.
    again = w.decided(w.taken(state, w.event("explore", "", 1.0)), [SWEEP], None, empty=False, refusal="")
    assert w.blocked(again)
    assert w.blocked(w.began_sweep(again, "swp_1", "search")) == ""


def test_a_sweep_that_begins_counts_once_however_often_it_is_told() -> None:
    state = replace(loop(), owed=w.encode_actions([SWEEP]))
    once = w.began_sweep(state, "swp_1", "search")
    twice = w.began_sweep(once, "swp_1", "search")
    assert once.iteration == twice.iteration == 1 and twice.sweeps == ["swp_1"]
    assert w.began_sweep(state, "swp_2", "baseline").iteration == 0
    assert w.began_sweep(state, "swp_3", "confirm").stage is Stage.CONFIRMING


def test_the_plan_s_done_tasks_stay_done() -> None:
    state = loop(plan=[LoopTask(id="a", text="baseline", state="done"), LoopTask(id="b", text="search")])
    news = [
        LoopTask(id="a", text="baseline", state="todo"),
        LoopTask(id="b", text="search", state="doing"),
        LoopTask(id="c", text="x"),
    ]
    state = w.decided(
        w.taken(state, w.event("human", "", 1.0)), [Analyse(text="x", tasks=news)], None, empty=False, refusal=""
    )
    assert [(t.id, t.state) for t in state.plan] == [("a", "done"), ("b", "doing"), ("c", "todo")]


def test_a_setup_is_changed_by_name_and_type() -> None:
    state = w.decided(
        w.taken(loop(), w.event("answer", "", 1.0)), [ChangeSetup(fields={"metric": "acc", "mode": "max"})], None,
        empty=False, refusal="",
    )  # fmt: skip
    assert (state.setup.metric, state.setup.mode) == ("acc", "max")
    with pytest.raises(BadInput):
        w.changed_setup(loop(), {"nonsense": 1})
    with pytest.raises(BadInput):
        w.changed_setup(loop(), {"mode": "sideways"})


def test_only_a_confirm_leads_to_confirming_and_every_stage_can_be_left() -> None:
    starts = {start for start, _, _ in TRANSITIONS}
    assert {"exploring", "running", "analyzing", "confirming"} <= starts
    assert all(goal != "confirming" or "test" in why for _, why, goal in TRANSITIONS)
    assert isinstance(w.next_move(replace(loop(), owed=w.encode_actions([Confirm()])), world()), w.Perform)


@given(
    runs=st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["finished", "failed", "running"])), max_size=8),
    alerts=st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(["warning", "critical"])), max_size=4),
    told=st.lists(st.sampled_from("abcdefxyz"), max_size=4),
)
def test_seeing_the_same_world_twice_changes_nothing(
    runs: list[tuple[str, str]], alerts: list[tuple[str, str]], told: list[str]
) -> None:
    there = world(
        runs=[run(id, status, status != "running") for id, status in dict(runs).items()],
        alerts=[AlertSeen(id, "r", severity) for id, severity in dict(alerts).items()],
    )
    once = w.sync(running(told=told), there)
    assert w.sync(once, there) is once
    assert len({e.id for e in once.queue}) == len(once.queue)
    assert {e.ref for e in once.queue}.isdisjoint(told)


# --- limits -----------------------------------------------------------------------------------------------------------
def test_conditions_are_read_as_people_write_them() -> None:
    assert parse_until("val acc >= 0.9").holds(0.9)
    assert not parse_until("loss < 1").holds(float("nan"))
    assert not parse_until("loss < 1").holds(None)
    for bad in ("", "loss", "loss <", "< 3", "loss < x", "loss < 1e999", "loss << 3"):
        with pytest.raises(BadInput):
            parse_until(bad)


def test_limits_are_changed_by_name_and_never_nonsense() -> None:
    limits = changed_limits(Limits(runs=5), {"runs": None, "hours": 2})
    assert limits.runs is None and limits.hours == 2.0
    for bad in ({"rns": 3}, {"runs": 0}, {"hours": -1}, {"hours": "soon"}, {"until": "?"}, {"hours": float("nan")}):
        with pytest.raises(BadInput):
            changed_limits(Limits(), bad)


@given(used=st.integers(0, 20), limit=st.integers(1, 20))
def test_what_is_left_is_never_below_nothing(used: int, limit: int) -> None:
    rest = left(Limits(runs=limit), Spent(runs=used)).runs
    assert rest is not None and rest == max(0, limit - used)
    assert (hit(Limits(runs=limit), Spent(runs=used)) is None) is (rest > 0)
