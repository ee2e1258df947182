"""Whole nights with the built-in policy, played in milliseconds: budgets, ends, honesty, determinism."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragent_jupyter.adapters.optimiser import OptunaOptimiser, RandomOptimiser
from ragent_jupyter.domain.alert import Alert, Choice, Evidence, Severity
from ragent_jupyter.domain.ports_wild import Outcome
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Action, Knob, Limits, LoopEvent, Question, TrialView
from ragent_jupyter.services.policies.builtin import BuiltinPolicy
from tests.support.wild_sim import Failed, Sim, SimResult

SPACE = {
    "lr": Knob(dim=Range(0.003, 3.0, log=True), default=0.1),
    "hidden": Knob(dim=Values([24, 48, 96, 192, 384]), default=96),
    "batch": Knob(dim=Values([16, 32, 64, 128]), default=64),
}
STOP = Choice("stop", "stop", "Stop run")


def letters(p: dict[str, Any], seed: int) -> float:
    """Like the quickstart's network: the default is 0.26 above the best, seeds differ by 0.02."""
    noise = random.Random(f"{seed} {sorted(p.items())}").gauss(0, 0.02)
    return 1.9 + 0.1 * math.log(p["lr"] / 0.5) ** 2 + 0.05 * math.log(p["hidden"] / 192) ** 2 + noise


def flat(p: dict[str, Any], seed: int) -> float:
    """No configuration is better than another."""
    return 2.0 + random.Random(f"{seed} {sorted(p.items())}").gauss(0, 0.05)


def mine() -> BuiltinPolicy:
    return BuiltinPolicy(RandomOptimiser())


def shape(result: SimResult) -> dict[str, int]:
    purposes = ("baseline", "screen", "search", "confirm", "explain")
    return {name: len(result.of(name)) for name in purposes if result.of(name)}


# --- a night that goes well -------------------------------------------------------------------------------------------
def test_twenty_runs_are_enough_for_baseline_search_confirm_and_explain() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=20), slots=2).run(BuiltinPolicy(OptunaOptimiser()))
    assert shape(result) == {"baseline": 3, "search": 6, "confirm": 10, "explain": 1}
    assert result.loop.end == "complete"
    assert result.claimed is not None and len(result.claimed.seeds) == 5
    assert result.seconds <= 130  # of 10 s a run on two slots
    assert "(5 fresh paired seeds): confirmed." in result.loop.reason


def test_the_sentences_numbers_are_those_of_the_verdict() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=20)).run(mine())
    verdict = result.claimed
    assert verdict is not None and verdict.mean is not None and verdict.baseline_mean is not None
    assert f"val_loss {verdict.mean:.4g} ± " in result.loop.reason
    assert f" against {verdict.baseline_mean:.4g} ± " in result.loop.reason


def test_search_shares_the_baselines_first_seed_and_confirm_takes_fresh_ones() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=30)).run(mine())
    base, search, fresh = ({t.seed for t in result.of(p)} for p in ("baseline", "search", "confirm"))
    assert base == {1000, 1001, 1002} and search == {1000}
    assert not fresh & (base | search) and len(fresh) == 5


@pytest.mark.parametrize(("runs", "slots"), [(60, 4), (40, 8)])
def test_a_search_learns_in_at_least_five_rounds(runs: int, slots: int) -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=runs), slots=slots).run(mine())
    assert len({t.sweep for t in result.of("search")}) >= 5


def test_every_action_says_why_and_what_it_saw() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=40)).run(mine())
    assert all(e.reasoning and e.evidence and e.who.startswith("rule:") for e in result.entries)


def test_the_plan_is_kept_up_to_date() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=40)).run(mine())
    states = {task.id: task.state for task in result.loop.plan}
    assert states == {"baseline": "done", "search": "done", "confirm": "done", "explain": "done", "report": "done"}


def test_where_the_best_falls_apart_on_fresh_seeds_the_next_is_tested_beside_the_same_runs_of_the_default() -> None:
    def edge(p: dict[str, Any], seed: int) -> float:
        if p["hidden"] == 384 and p["batch"] == 16:
            return 1.7 if seed == 1000 else 3.0 if seed % 2 else 1.7 + 1e-3 * (seed - 1000)
        return letters(p, seed)

    result = Sim(SPACE, edge, limits=Limits(runs=40), seed=2).run(mine())
    first, second = result.loop.verdicts
    assert (first.verdict, first.params["hidden"]) == ("not distinguishable", 384)
    assert (second.verdict, second.params["hidden"]) == ("confirmed", 192) and result.loop.end == "complete"
    assert second.baseline_runs == first.baseline_runs and second.seeds == first.seeds
    assert shape(result) == {"baseline": 3, "search": 22, "confirm": 15}
    # It is the second test of this loop: its bar is three times as high.
    assert second.p is not None and second.p_holm == pytest.approx(3 * second.p)
    assert not result.refused


def test_each_change_of_the_winner_is_undone_alone() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=40)).run(mine())
    winner = result.claimed
    assert winner is not None
    for trial in result.of("explain"):
        gone = set(winner.params) - set(trial.params)
        assert len(gone) == 1 and trial.seed in winner.seeds
    assert any(text.count("Without ") for text in result.said)


# --- the truth --------------------------------------------------------------------------------------------------------
def test_a_winner_at_the_end_of_its_range_says_so() -> None:
    def wider(p: dict[str, Any], seed: int) -> float:
        return 2.0 - 0.002 * p["hidden"] + random.Random(f"{seed} {sorted(p.items())}").gauss(0, 0.01)

    result = Sim(SPACE, wider, limits=Limits(runs=40)).run(mine())
    assert result.claimed is not None and result.claimed.params["hidden"] == 384
    assert any(
        "hidden 384 is the largest that was offered: a wider range may hold more." in said for said in result.said
    )


def test_where_nothing_is_better_the_result_is_null_and_complete() -> None:
    results = [Sim(SPACE, flat, limits=Limits(runs=40), seed=seed).run(mine()) for seed in range(5)]
    nulls = [r for r in results if r.claimed is None]
    assert len(nulls) >= 4
    assert all(r.loop.end == "complete" and "better than the default" in r.loop.reason for r in nulls)


def test_a_script_without_a_seed_is_repeated_twice_and_its_best_stays_unconfirmed() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=20), seed_flag="").run(mine())
    assert shape(result) == {"baseline": 2, "search": 18}
    assert result.claimed is None and "Unconfirmed: the script has no seed flag" in result.loop.reason


def test_a_tiny_budget_is_not_spent_on_repeats() -> None:
    assert shape(Sim(SPACE, letters, limits=Limits(runs=5)).run(mine())) == {"baseline": 1, "search": 4}


def test_a_deterministic_script_is_called_so_and_nothing_is_confirmed() -> None:
    result = Sim(SPACE, lambda p, seed: letters(p, 0), limits=Limits(runs=30)).run(mine())
    assert result.claimed is None and not result.of("confirm")
    assert "Unconfirmed: it is deterministic" in result.loop.reason
    assert any("bit-identical" in text for text in result.said)


def test_a_budget_too_small_for_five_pairs_confirms_nothing() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=10)).run(mine())
    assert shape(result) == {"baseline": 2, "search": 8}
    assert "Unconfirmed: 0 runs left, and a fair test takes 10." in result.loop.reason


def test_a_goal_that_one_run_meets_is_confirmed_before_it_counts() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=60, until="val_loss < 2.05")).run(mine())
    assert result.claimed is not None
    assert len(result.of("search")) < 30


# --- limits -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("hours", [0.05, 0.2])
def test_time_is_shared_like_runs(hours: float) -> None:
    result = Sim(SPACE, letters, limits=Limits(hours=hours), slots=2).run(mine())
    assert result.seconds < hours * 3600
    assert result.loop.end == "complete" and result.claimed is not None
    assert len(result.of("confirm")) in (10, 15, 20)  # one stage: runners-up are not tested one by one


def test_iterations_bound_the_batches_not_the_confirm_stage() -> None:
    result = Sim(SPACE, letters, limits=Limits(iterations=3, runs=60)).run(mine())
    assert len({t.sweep for t in result.of("search")}) == 3
    assert result.loop.end == "complete" and result.of("confirm")


def test_with_no_limit_at_all_its_own_patience_ends_it() -> None:
    result = Sim(SPACE, letters, limits=Limits()).run(mine())
    assert result.loop.end == "complete" and len(result.trials) < 150


# --- what goes wrong --------------------------------------------------------------------------------------------------
def test_a_script_that_never_runs_is_asked_about_with_its_own_error() -> None:
    asked: list[Question] = []
    broken = Failed("exit", "ModuleNotFoundError: No module named 'torch'")
    sim = Sim(SPACE, lambda p, s: broken, person=lambda q: asked.append(q) or "stop")  # type: ignore[func-returns-value]
    result = sim.run(mine())
    assert shape(result) == {"baseline": 3}
    assert [o.id for o in asked[0].options] == ["again", "stop"]
    assert "“ModuleNotFoundError: No module named 'torch'”" in asked[0].text
    assert result.loop.end == "complete" and len(asked) == 1


def test_a_repaired_script_goes_on_after_the_answer() -> None:
    fixed: list[bool] = []

    def script(p: dict[str, Any], seed: int) -> float | Failed:
        return letters(p, seed) if fixed else Failed("exit", "KeyError: 'data'")

    result = Sim(SPACE, script, person=lambda q: fixed.append(True) or "again").run(mine())  # type: ignore[func-returns-value]
    assert result.claimed is not None and [t.status for t in result.of("baseline")].count("failed") == 3


def test_the_metric_is_found_where_it_is_clear() -> None:
    result = Sim(SPACE, letters, metric_known=False, limits=Limits(runs=20)).run(mine())
    assert result.loop.setup.metric == "val_loss" and result.claimed is not None


def test_an_unclear_metric_is_asked_about_and_the_answer_decides() -> None:
    asked: list[Question] = []

    def person(question: Question) -> str:
        asked.append(question)
        return next(o.id for o in question.options if o.label.startswith("val_loss,"))

    sim = Sim(SPACE, letters, metric_known=False, logged=["val_ppl_a", "val_loss_b"], person=person)
    result = sim.run(mine())
    assert result.loop.setup.metric == "val_loss" and result.loop.end == "complete"
    assert len(asked) <= 1


def test_out_of_memory_comes_again_once_with_half_the_batch_and_is_no_bad_value() -> None:
    def script(p: dict[str, Any], seed: int) -> float | Failed:
        return Failed("oom", "CUDA out of memory") if p["batch"] > 64 else letters(p, seed)

    result = Sim(SPACE, script, limits=Limits(runs=40)).run(mine())
    lost = [t for t in result.of("search") if t.failure == "oom"]
    assert lost
    for trial in lost[:3]:
        half = {**trial.params, "batch": trial.params["batch"] // 2}
        assert sum(t.params == half for t in result.of("search")) == 1


def test_nan_lowers_the_learning_rate() -> None:
    def script(p: dict[str, Any], seed: int) -> float:
        return math.nan if p["lr"] > 0.6 else letters(p, seed)

    result = Sim(SPACE, script, limits=Limits(runs=60)).run(mine())
    lost = [t.params["lr"] for t in result.of("search") if t.failure == "nan"]
    after = [t for t in result.of("search") if t.run > sorted(t.run for t in result.of("search") if t.failure)[1]]
    assert 2 <= len(lost) <= 8  # a quarter of a log axis without the cut, of some thirty runs
    assert max(t.params["lr"] for t in after[8:]) <= sorted(lost)[0] * 1.0001 or len(lost) > 2


def test_batches_that_fail_whole_shrink_the_space_once_then_a_person_is_asked() -> None:
    asked: list[Question] = []

    def script(p: dict[str, Any], seed: int) -> float | Failed:
        at_default = all(p[name] == knob.default for name, knob in SPACE.items())
        return letters(p, seed) if at_default else Failed("exit", "RuntimeError: shapes")

    sim = Sim(SPACE, script, limits=Limits(runs=60), person=lambda q: asked.append(q) or "stop")  # type: ignore[func-returns-value]
    result = sim.run(mine())
    assert len({t.sweep for t in result.of("search")}) == 2
    assert len(asked) == 1 and "“RuntimeError: shapes”" in asked[0].text
    space = result.loop.setup.space["lr"].dim
    assert isinstance(space, Range) and 0.003 < space.low < 0.1 < space.high < 3.0


def test_a_loss_that_is_nan_stops_its_run_by_the_choices_action() -> None:
    def raised(trial: TrialView) -> list[Alert]:
        if trial.purpose != "search" or trial.index:
            return []
        words = [Choice("a", "ignore", "Stop run"), Choice("b", "stop", "Ignore"), Choice("c", "retry_with", "Again")]
        return [
            Alert(
                id=f"alt_{trial.run}", run_id=trial.run, rule="non_finite", severity=Severity.CRITICAL, title="NaN",
                raised_at=0.0, evidence=Evidence(metric="loss", value="nan"), choices=words, default="a",
            )
        ]  # fmt: skip

    result = Sim(SPACE, letters, limits=Limits(runs=30), alerts=raised).run(mine())
    answers = [e for e in result.entries if e.action["do"] == "resolve_alert"]
    assert answers and {e.action["choice"] for e in answers} == {"b"}
    assert {e.who for e in answers} == {"rule:nan_stops"}
    assert all(t.status == "stopped" for t in result.of("search") if t.index == 0)
    assert not any(t.run in (result.best.runs if result.best else []) for t in result.of("search") if t.index == 0)


# --- people -----------------------------------------------------------------------------------------------------------
def test_only_tune_lr_leaves_the_rest_alone() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=40), says={3: "only tune lr please"}).run(mine())
    assert list(result.loop.setup.space) == ["lr"]
    late = [t for t in result.of("search") if t.sweep > "swp_003"]
    assert late and all(set(t.params) == {"lr"} for t in late)


def test_stop_after_this_ends_it_with_what_there_is_put_to_the_test() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=60), says={3: "stop after this"}).run(mine())
    assert len({t.sweep for t in result.of("search")}) <= 2 and result.loop.end == "complete"


def test_what_is_not_understood_is_said() -> None:
    result = Sim(SPACE, letters, limits=Limits(runs=30), says={2: "freeze hidden. use a transformer"}).run(mine())
    answer = next(text for text in result.said if text.startswith("Understood"))
    assert "hidden stays at its default" in answer and "Not understood without a model: “use a transformer”" in answer
    assert "hidden" not in result.loop.setup.space


# --- whatever happens -------------------------------------------------------------------------------------------------
FATES = st.sampled_from(["fine", "flat", "same", "exit", "oom", "nan", "half", "default only", "seeds"])


def fated(fate: str, share: float) -> Callable[[dict[str, Any], int], float | Failed]:
    def script(p: dict[str, Any], seed: int) -> float | Failed:
        luck = random.Random(f"{fate} {seed} {sorted(p.items())}").random()
        match fate:
            case "flat":
                return flat(p, seed)
            case "same":
                return letters(p, 0)
            case "exit" | "oom":
                return Failed(fate, "it broke") if luck < share else letters(p, seed)
            case "nan":
                return math.nan if p["lr"] > 3 * share else letters(p, seed)
            case "half":
                return Failed("lost") if luck < 0.5 else math.inf if luck < 0.6 else flat(p, seed)
            case "default only":
                return letters(p, seed) if p["lr"] == 0.1 else Failed("signal", "killed")
            case "seeds":
                return Failed("exit", "bad seed") if seed % 2 else letters(p, seed)
        return letters(p, seed)

    return script


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fate=FATES,
    share=st.floats(0.0, 1.0),
    runs=st.one_of(st.none(), st.integers(1, 90)),
    iterations=st.one_of(st.none(), st.integers(1, 8)),
    hours=st.one_of(st.none(), st.floats(0.001, 0.5)),
    slots=st.integers(1, 9),
    seeds=st.integers(1, 9),
    top=st.integers(1, 5),
    flag=st.sampled_from(["seed", ""]),
    knobs=st.integers(0, 3),
    answer=st.sampled_from(["stop", "again", "smaller", "yes", "what?", ""]),
    seed=st.integers(0, 3),
)
def test_it_always_ends_never_overspends_and_claims_nothing_without_a_verdict(
    fate: str, share: float, runs: int | None, iterations: int | None, hours: float | None, slots: int, seeds: int,
    top: int, flag: str, knobs: int, answer: str, seed: int,
) -> None:  # fmt: skip
    asked: list[Question] = []

    def person(question: Question) -> str:
        asked.append(question)
        return answer if answer and len(asked) < 4 else "stop"

    sim = Sim(
        dict(list(SPACE.items())[:knobs]),
        lambda p, s: fated(fate, share)({"lr": 0.1, "hidden": 96, "batch": 64, **p}, s),
        limits=Limits(runs=runs, iterations=iterations, hours=hours),
        slots=slots, seed_flag=flag, seed=seed, setup={"seeds": seeds, "top": top}, person=person,
    )  # fmt: skip
    result = sim.run(mine(), most=3000)
    assert result.loop.over or result.loop.strikes >= 3
    if runs is not None:
        assert result.loop.spent.runs <= runs
    assert not [why for action, why in result.refused if "do not fit" in why]
    confirmed = [v for v in result.loop.verdicts if v.verdict == "confirmed"]
    said = " ".join([*result.said, result.loop.reason])
    if not confirmed:
        assert ": confirmed" not in said
    assert not (fate in ("flat", "same") and "better by" in said)


@pytest.mark.parametrize("fate", ["fine", "half"])
def test_the_same_night_twice_is_the_same_night(fate: str) -> None:
    def night() -> list[Any]:
        result = Sim(SPACE, fated(fate, 0.3), limits=Limits(runs=25)).run(BuiltinPolicy(OptunaOptimiser()))
        return [(e.action, e.reasoning) for e in result.entries]

    assert night() == night()


def test_it_keeps_nothing_between_decisions() -> None:
    """A policy that is made anew for each decision, as after a kill, decides the same."""

    class Fresh(BuiltinPolicy):
        async def decide(self, view: Any, event: Any, hands: Any) -> Any:
            return await BuiltinPolicy(RandomOptimiser()).decide(view, event, hands)

    one = Sim(SPACE, letters, limits=Limits(runs=40)).run(mine())
    other = Sim(SPACE, letters, limits=Limits(runs=40)).run(Fresh(RandomOptimiser()))
    assert [e.action for e in one.entries] == [e.action for e in other.entries]


def test_after_a_refusal_nothing_that_builds_on_it_is_begun() -> None:
    class Refusing:
        def __init__(self) -> None:
            self.said: list[Action] = []

        async def act(
            self, action: Action, *, reasoning: str = "", evidence: Sequence[Any] = (), who: str = ""
        ) -> Outcome:
            self.said.append(action)
            return Outcome(accepted=False, text="Not now.")

    sim = Sim({}, letters)
    hands = Refusing()
    event = LoopEvent(id="explore:0:0", kind="explore", at=0.0, order=90.0)
    thought = asyncio.run(mine().decide(sim.view(), event, hands))
    assert [type(a).__name__ for a in hands.said] == ["Analyse", "ProposeSweep"]  # a note holds nothing up
    assert "Not now." in thought.reasoning
