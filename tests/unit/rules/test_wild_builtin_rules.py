"""The built-in policy's rules one by one: shares of the budget, alerts, halving, what people say, what is learnt."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.alert import Alert, Choice, Evidence, Severity
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import (
    ChangeSetup,
    Confirm,
    Knob,
    Limits,
    Loop,
    Promise,
    ProposeSweep,
    Setup,
    Spent,
    TrialView,
    Verdict,
    View,
)
from ragent_jupyter.rules.wild_builtin import Standing, halving, hear, on_answer, on_human, rule_on, runs_left, shares
from ragent_jupyter.rules.wild_builtin.screen import screened, screening
from ragent_jupyter.rules.wild_builtin.shares import baseline_seeds
from ragent_jupyter.rules.wild_builtin.space import half_batch, narrowed, retries, shrunk, tried

SPACE = {
    "lr": Knob(dim=Range(0.001, 1.0, log=True), default=0.1),
    "batch": Knob(dim=Values([16, 32, 64, 128]), default=64),
    "dropout": Knob(dim=Range(0.0, 0.6), default=0.0),
}


def trial(n: int, purpose: str = "search", value: float | None = 2.0, **more: Any) -> TrialView:
    status = more.pop("status", "finished" if value is not None else "failed")
    more.setdefault("params", {} if purpose == "baseline" else {"lr": 0.1 + 0.001 * n})
    more.setdefault("sweep", "swp_0" if purpose == "baseline" else "swp_1")
    return TrialView(run=f"run_{n:03d}", purpose=purpose, index=n, status=status, value=value, seconds=10.0, **more)


def view(trials: list[TrialView], *, slots: int = 2, limits: Limits | None = None, **setup: Any) -> View:
    made = {"metric": "val_loss", "seed": "seed", "space": SPACE, **setup}
    loop = Loop(
        id="wld_1", goal="better", created_at=0.0, setup=Setup(command="python t.py", cwd="/", **made),
        limits=limits or Limits(runs=40), spent=Spent(runs=len(trials)), sweeps=["swp_0", "swp_1"],
    )  # fmt: skip
    return View(loop=loop, trials=trials, alerts=[], now=0.0, slots=slots, metrics={"val_loss": len(trials)})


BASE = [trial(i, "baseline", 2.0 + 0.02 * (i - 1), seed=1000 + i) for i in range(3)]


# --- shares -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("runs", "seeds"), [(1, 1), (4, 1), (7, 2), (12, 2), (16, 3), (20, 3), (40, 3), (50, 4), (100, 5), (None, 5)]
)
def test_the_baseline_takes_three_to_five_seeds_and_less_of_a_tiny_budget(runs: int | None, seeds: int) -> None:
    assert baseline_seeds(view([], limits=Limits(runs=runs))) == seeds


@pytest.mark.parametrize(
    ("runs", "search", "top", "explain"),
    [(20, 6, 1, 1), (16, 3, 1, 0), (37, 22, 1, 2), (40, 22, 1, 5), (80, 52, 3, 5), (10, 7, 0, 0)],
)
def test_confirm_and_explain_are_kept_free(runs: int, search: int, top: int, explain: int) -> None:
    found = shares(view(BASE, limits=Limits(runs=runs)), searched=0, knobs=3)
    assert (found.search, found.top, found.explain) == (search, top, explain)
    assert found.seeds == 5 and found.search + found.confirm + found.explain <= runs - 3


def test_time_is_counted_in_whole_turns_of_the_slots() -> None:
    assert runs_left(view(BASE, limits=Limits(hours=100 / 3600))) == 2 * 8  # 0.85 of 100 s, at 10 s a run


@given(
    runs=st.integers(0, 200), slots=st.integers(1, 16), searched=st.integers(0, 60), top=st.integers(1, 6),
    seeds=st.integers(1, 12), knobs=st.integers(0, 9), rounds=st.one_of(st.none(), st.integers(0, 9)),
)  # fmt: skip
def test_no_share_is_more_than_what_is_left(
    runs: int, slots: int, searched: int, top: int, seeds: int, knobs: int, rounds: int | None
) -> None:
    limits = Limits(runs=runs + 3, iterations=rounds)
    found = shares(view(BASE, slots=slots, limits=limits, top=top, seeds=seeds), searched=searched, knobs=knobs)
    assert 0 <= found.batch <= found.search <= runs
    assert found.search == 0 or found.batch > 0 or rounds == 0
    assert found.confirm == 0 or found.seeds >= 5


# --- what is learnt ---------------------------------------------------------------------------------------------------
def test_the_optimiser_is_told_constraints_failures_and_values_apart() -> None:
    runs = [
        trial(10, value=1.9), trial(11, value=None, failure="oom"), trial(12, value=None, failure="nan"),
        trial(13, value=None, failure="exit"), trial(14, value=2.5, status="stopped", failure="stopped"),
        trial(15, value=1.0, status="stopped", failure="stopped"), trial(16, value=0.1, void="evaluation changed"),
    ]  # fmt: skip
    told = tried(Standing(view([*BASE, *runs])))
    assert [(t.value, t.infeasible) for t in told] == [
        (1.98, False), (1.9, False), (None, True), (None, True), (None, False), (2.5, False), (None, False),
        (None, False),
    ]  # fmt: skip
    assert told[0].params == {"lr": 0.1, "batch": 64, "dropout": 0.0}


def test_a_lucky_run_is_told_as_what_fresh_seeds_said() -> None:
    at = view([*BASE, trial(10, value=1.5)])
    verdict = Verdict(params={"lr": 0.11}, verdict="not distinguishable", why="", mean=2.01, effect=0.01)
    at = msgspec.structs.replace(at, loop=msgspec.structs.replace(at.loop, verdicts=[verdict]))
    assert tried(Standing(at))[1].value == pytest.approx(1.99)


def test_two_runs_that_became_nan_cut_the_learning_rate_above_all_that_were_fine() -> None:
    lost = [trial(i, value=None, failure="nan", params={"lr": lr}) for i, lr in ((10, 0.7), (11, 0.5))]
    fine = [trial(12, params={"lr": 0.3})]
    cut, why = narrowed(SPACE, [*lost, *fine])
    assert cut["lr"].dim == Range(0.001, 0.5, log=True) and "became NaN" in why
    assert narrowed(SPACE, lost[:1]) == (SPACE, "")
    assert narrowed(SPACE, [*lost, trial(13, params={"lr": 0.8})]) == (SPACE, "")
    low = [trial(i, value=None, failure="nan", params={"lr": lr}) for i, lr in ((10, 0.05), (11, 0.06))]
    assert narrowed(SPACE, low) == (SPACE, "")  # the default itself would be outside


def test_out_of_memory_is_tried_once_with_half_the_batch() -> None:
    lost = trial(10, value=None, failure="oom", params={"lr": 0.2, "batch": 128})
    assert [point for _, point in retries(Standing(view([*BASE, lost])))] == [{"lr": 0.2, "batch": 64}]
    again = trial(11, value=None, failure="oom", params={"lr": 0.2, "batch": 64})
    assert retries(Standing(view([*BASE, lost, again]))) == []
    assert half_batch(SPACE, {"batch": 16}) is None
    both = {**SPACE, "grad_accum": Knob(dim=Values([1, 2, 4]), default=1)}
    assert half_batch(both, {"batch": 32, "grad_accum": 2}) == {"batch": 16, "grad_accum": 4}


def test_a_shrunk_space_holds_the_default_and_half_of_each_axis() -> None:
    small = shrunk({**SPACE, "n": Knob(dim=Range(1, 8, integer=True), default=8)})
    lr, batch, n = small["lr"].dim, small["batch"].dim, small["n"].dim
    assert isinstance(lr, Range) and math.log(lr.high / lr.low) <= 0.5 * math.log(1000) * 1.001
    assert isinstance(batch, Values) and len(batch.values) == 2 and 64 in batch.values
    assert isinstance(n, Range) and n.high == 8 and n.low >= 4
    # What is best so far stays inside, or it could be neither confirmed nor taken apart.
    held = shrunk(SPACE, {"lr": 0.9, "batch": SPACE["batch"].dim.values[-1]})  # type: ignore[union-attr]
    assert isinstance(held["lr"].dim, Range) and held["lr"].dim.high == 0.9
    assert isinstance(held["batch"].dim, Values) and held["batch"].dim.values[-1] == SPACE["batch"].dim.values[-1]  # type: ignore[union-attr]


# --- screening --------------------------------------------------------------------------------------------------------
WIDE = {f"k{i}": Knob(dim=Range(0.0, 1.0), default=0.5) for i in range(6)}


def screen_view(trials: list[TrialView], runs: int = 200) -> View:
    return view([*BASE, *trials], limits=Limits(runs=runs), space=WIDE, fidelity="steps", full=400)


def test_a_long_search_over_many_parameters_is_preceded_by_a_cheap_look() -> None:
    at = Standing(screen_view([]))
    step = screening(at, shares(at.view, searched=0, knobs=6))
    assert step is not None and isinstance(step.action, ProposeSweep)
    assert len(step.action.points) == 13 and all(p["steps"] == 100 for p in step.action.points)
    few = Standing(screen_view([], runs=40))
    assert screening(few, shares(few.view, searched=0, knobs=6)) is None


def test_parameters_that_move_nothing_are_left_out_but_never_below_three() -> None:
    def moved(n: int, name: str, value: float) -> TrialView:
        return trial(n, "screen", value, params={name: 0.25 + 0.5 * (n % 2), "steps": 100}, sweep="swp_1")

    plain = trial(20, "screen", 3.0, params={"steps": 100})
    runs = [moved(30 + i, f"k{i // 2}", 3.0 + (0.5 if i < 4 else 0.001 * i)) for i in range(12)]
    step = screened(Standing(screen_view([plain, *runs])))
    assert step is not None and isinstance(step.action, ChangeSetup)
    assert set(step.action.fields["space"]) == {"k0", "k1", "k5"}


# --- alerts -----------------------------------------------------------------------------------------------------------
def alert(
    rule: str, severity: Severity = Severity.WARNING, *, choices: list[Choice] | None = None, **seen: Any
) -> Alert:
    # Words that say the contrary of the action: only the action counts.
    words = choices or [Choice("a", "ignore", "Stop"), Choice("b", "stop", "Ignore"), Choice("c", "retry_with", "Stop")]
    return Alert(
        id="alt_1", run_id="run_010", rule=rule, severity=severity, title="something", raised_at=0.0,
        evidence=Evidence(**seen), choices=words, default="c",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "severity", "seen", "choice"),
    [
        ("non_finite", Severity.CRITICAL, {"metric": "loss"}, "b"),
        ("non_finite", Severity.CRITICAL, {"metric": "grad_norm"}, "a"),
        ("spike_held", Severity.WARNING, {"metric": "loss"}, "a"),
        ("divergence", Severity.WARNING, {"metric": "loss"}, "a"),
        ("out_of_memory", Severity.CRITICAL, {}, "a"),
        ("xid", Severity.CRITICAL, {}, "b"),
        ("disk_full", Severity.WARNING, {}, "b"),
        ("gpu_idle", Severity.WARNING, {"value": 0.0}, "a"),
        ("stall", Severity.WARNING, {"value": 50.0}, "a"),
        ("stall", Severity.WARNING, {"value": 700.0}, "b"),
        ("hang", Severity.CRITICAL, {"value": 60.0}, "b"),
        ("a rule of tomorrow", Severity.CRITICAL, {}, "a"),
    ],
)
def test_alerts_are_answered_by_the_choices_action(rule: str, severity: Severity, seen: Any, choice: str) -> None:
    at = view([*BASE, trial(10, status="running", value=None)])
    ruling = rule_on(at, alert(rule, severity, **seen))
    assert ruling is not None and ruling.action.choice == choice
    assert ruling.who.startswith("rule:") and ruling.evidence and ruling.reasoning


def test_an_alert_that_only_offers_to_start_something_is_left_alone() -> None:
    assert rule_on(view(BASE), alert("spike_held", choices=[Choice("c", "retry_with", "Again")])) is None


# --- halving ----------------------------------------------------------------------------------------------------------
def curve(final: float, gap: float = 1.0, upto: float = 1.0, rate: float = 4.0) -> list[tuple[float, float]]:
    return [
        (50.0 * i, final + gap * (math.exp(-rate * i / 40) - math.exp(-rate))) for i in range(1, 41) if i <= 40 * upto
    ]


SEEDS = [trial(i, "baseline", 2.0 + 0.01 * i, seed=1000 + i, curve=curve(2.0 + 0.01 * i)) for i in range(3)]
DONE = [trial(10 + i, value=1.8 + 0.05 * i, curve=curve(1.8 + 0.05 * i)) for i in range(5)]


def live(final: float, upto: float, **more: Any) -> TrialView:
    return trial(30, value=None, status="running", curve=curve(final, upto=upto, **more))


def test_a_run_far_behind_is_stopped_at_the_first_rung_and_not_before() -> None:
    assert halving(view([*SEEDS, *DONE, live(5.0, 0.2)])) == []
    ((stop, why),) = halving(view([*SEEDS, *DONE, live(5.0, 0.25)]))
    assert stop.run == "run_030" and stop.reason == why and "25%" in why


def test_the_first_rung_takes_more_finished_runs_than_the_second() -> None:
    assert halving(view([*SEEDS, *DONE[:4], live(5.0, 0.25)])) == []
    assert len(halving(view([*SEEDS, *DONE[:4], live(5.0, 0.5)]))) == 1


def test_a_run_that_may_still_win_goes_on() -> None:
    assert halving(view([*SEEDS, *DONE, live(1.85, 0.5)])) == []
    # It starts far behind and falls steeply: what it may still gain is what the steepest has gained, and more.
    slow = trial(20, value=1.9, curve=curve(1.9, gap=4.0, rate=2.0))
    assert halving(view([*SEEDS, *DONE, slow, live(1.8, 0.25, gap=4.0, rate=2.0)])) == []


def test_only_search_runs_are_stopped() -> None:
    runs = [
        trial(40 + i, purpose, None, status="running", curve=curve(9.0, upto=0.5))
        for i, purpose in enumerate(("baseline", "confirm", "explain", "screen"))
    ]
    assert halving(view([*SEEDS, *DONE, *runs])) == []


def test_where_seeds_differ_as_much_as_configurations_nothing_is_stopped() -> None:
    noisy = [trial(i, "baseline", 2.0 + i, seed=1000 + i, curve=curve(2.0 + 2 * i)) for i in range(3)]
    assert halving(view([*noisy, *DONE, live(5.0, 0.5)])) == []


def test_too_little_to_compare_with_stops_nothing() -> None:
    assert halving(view([*DONE, live(9.0, 0.5)])) == []
    beside = [msgspec.structs.replace(live(1.9, 0.6), run=f"run_09{i}") for i in range(4)]
    assert halving(view([*SEEDS, *DONE[:1], *beside, live(9.0, 0.5)])) == []
    assert halving(view([*SEEDS[:1], *DONE, live(9.0, 0.5)])) == []
    longer = trial(21, value=1.9, curve=[(4 * s, v) for s, v in curve(1.9)])
    assert halving(view([*SEEDS, *DONE, longer, live(9.0, 0.5)])) == []  # steps that do not mean the same share
    assert halving(view([*SEEDS, *DONE, trial(30, value=None, status="running", curve=[(1000.0, math.nan)] * 3)])) == []


def test_where_higher_is_better_the_low_run_is_stopped() -> None:
    def up(t: TrialView) -> TrialView:
        value = None if t.value is None else -t.value
        return msgspec.structs.replace(t, value=value, curve=[(s, -v) for s, v in t.curve])

    runs = [up(t) for t in [*SEEDS, *DONE, live(5.0, 0.5)]]
    ((stop, why),) = halving(view(runs, mode="max"))
    assert stop.run == "run_030" and "stands at -5" in why


# --- people -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("only tune lr", ["lr"]),
        ("Please only tune lr and dropout.", ["lr", "dropout"]),
        ("just search learning rate", None),
        ("only tune learning_rate", ["lr"]),
        ("freeze dropout", ["lr", "batch"]),
        ("don't touch batch, please", ["lr", "dropout"]),
        ("keep batch as it is", ["lr", "dropout"]),
        ("freeze lr batch dropout", None),
        ("only tune temperature", None),
    ],
)
def test_which_parameters_are_searched(text: str, names: list[str] | None) -> None:
    heard = hear(Standing(view(BASE)), text)
    assert (list(heard.fields["space"]) if heard.fields else None) == names
    assert bool(heard.unknown) == (names is None)


@pytest.mark.parametrize("text", ["lr between 1e-4 and 1e-2", "lr from 0.0001 to 0.01", "lr in [1e-4, 1e-2]"])
def test_a_range_in_words(text: str) -> None:
    heard = hear(Standing(view(BASE)), text)
    assert heard.fields["space"]["lr"]["dim"] == {
        "kind": "range", "low": 1e-4, "high": 1e-2, "step": None, "num": None, "log": True, "integer": False
    }  # fmt: skip


def test_values_within_a_range_stay_values() -> None:
    heard = hear(Standing(view(BASE)), "batch between 30 and 100")
    assert heard.fields["space"]["batch"]["dim"]["values"] == [32, 64]


def test_seeds_goal_points_confirm_and_the_end() -> None:
    at = Standing(view(BASE))
    assert hear(at, "more seeds").fields == {"seeds": 8}
    assert hear(at, "use 12 seeds").fields == {"seeds": 12}
    assert hear(at, "maximise val_acc").fields == {"metric": "val_acc", "mode": "max"}
    assert hear(at, "try lr=0.3 batch=32").points == [{"lr": 0.3, "batch": 32}]
    assert hear(at, "confirm now").confirm and hear(at, "stop after this").stop


def test_two_commands_and_what_was_not_understood() -> None:
    steps = on_human(view(BASE), "freeze dropout; make it quick")
    assert [type(s.action) for s in steps][:1] == [ChangeSetup]
    assert "Not understood without a model: “make it quick”" in steps[-1].reasoning


@given(st.text(max_size=300))
def test_nothing_that_is_said_breaks_it(text: str) -> None:
    steps = on_human(view(BASE), text)
    assert steps and not any(isinstance(s.action, Confirm) for s in steps if "confirm" not in text.casefold())


def test_an_answer_to_no_question_of_ours_decides_nothing() -> None:
    assert on_answer(view(BASE), "Start 8 runs? → Start the 8 runs") is None
    lost = [trial(0, "baseline", None, failure="exit", log_line="KeyError: 'x'")]
    assert on_answer(view(lost), "…? → hm") is None
    (step,) = on_answer(view(lost), "…? → Stop the loop") or []
    assert step.action == Promise(word="COMPLETE", text="A person chose to stop.")
