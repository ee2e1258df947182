"""Rules, optimiser and model together: whose trials, whose words, and what happens while the model is away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.model import ModelFailed, Usage
from ragent_jupyter.domain.ports_wild import Hands, Thought
from ragent_jupyter.domain.wild import (
    Action,
    Analyse,
    Candidate,
    Confirm,
    EditCode,
    FileEdit,
    Launch,
    LoopEvent,
    Promise,
    ProposeSweep,
    Stage,
    TrialView,
    View,
)
from ragent_jupyter.rules.wild_shares import by_model, room, room_alone
from ragent_jupyter.services.policies.hybrid import HybridPolicy, new_failure
from tests.support.mind import run
from tests.support.wild_mind import names, provided
from tests.support.wild_views import Held, event, setup, trial, view

BATCH = ProposeSweep(name="tpe", points=[{"lr": n / 100} for n in range(1, 11)], reason="TPE")
EDIT = EditCode(summary="s", edits=[FileEdit(path="a.py", old="1", new="2")])


class Rules:
    """The built-in policy, told what to do."""

    def __init__(self, *actions: Action) -> None:
        self.actions = actions
        self.events: list[LoopEvent] = []

    async def decide(self, view: View, event: LoopEvent, hands: Hands) -> Thought:
        self.events.append(event)
        for action in self.actions:
            await hands.act(action, reasoning="by rule", who="rule:tpe")
        return Thought(reasoning="by rule", who="rule:tpe")

    def watch(self, view: View) -> list[tuple[Action, str]]:
        return [(Promise(word="CONTINUE"), "halving")]


class Model:
    """LLMPolicy, told what to say."""

    def __init__(self, *actions: Action, fails: Exception | None = None) -> None:
        self.actions = actions
        self.fails = fails
        self.asked: list[dict[str, Any]] = []
        self.heard: list[str] = []

    async def ask(self, view: View, event: LoopEvent, hands: Hands, **more: Any) -> Thought:
        self.asked.append({"kind": event.kind, **more})
        for action in self.actions:
            outcome = await hands.act(action, reasoning="I think", who="anthropic:m")
            self.heard.append(outcome.text)
        if self.fails is not None:
            raise self.fails
        return Thought(reasoning="I think", who="anthropic:m", usage=Usage(output=5, calls=1), turn_id="trn_1")


def decide(model: Model, rules: Rules, view: View, event: LoopEvent, hands: Held | None = None) -> tuple[Held, Thought]:
    held = hands or Held()
    found: list[Thought] = []

    async def body() -> None:
        found.append(await HybridPolicy(rules, model).decide(view, event, held))  # type: ignore[arg-type]

    run(body)
    return held, found[0]


def sweep(*values: float) -> ProposeSweep:
    return ProposeSweep(name="mine", points=[{"lr": value} for value in values], reason="why")


def test_the_model_s_points_take_at_most_their_share_of_a_batch() -> None:
    model = Model(sweep(0.5, 0.6, 0.7, 0.8, 0.9))
    held, thought = decide(model, Rules(BATCH), view(), event())
    (action,) = held.actions
    assert isinstance(action, ProposeSweep)
    assert action.points == [{"lr": 0.5}, {"lr": 0.6}, {"lr": 0.7}, *BATCH.points[:7]]
    assert action.by == ["model"] * 3 + ["rule"] * 7
    assert "3 of your 5 points" in model.heard[0]
    assert (thought.who, thought.turn_id, thought.usage.output) == ("anthropic:m", "trn_1", 5)
    assert model.asked[0]["only"] and "confirm" not in model.asked[0]["only"] and "at most 3" in model.asked[0]["note"]


def test_without_a_proposal_the_optimiser_s_batch_goes_ahead() -> None:
    held, thought = decide(Model(Promise(word="CONTINUE")), Rules(BATCH), view(), event())
    assert held.actions == [BATCH] and thought.reasoning == "I think\nby rule"
    assert held.said[0]["who"] == "rule:tpe"


def test_a_proposal_that_the_guard_refuses_leaves_the_batch_to_the_optimiser() -> None:
    class Once(Held):
        async def act(self, action: Action, **more: Any) -> Any:
            self.refuse = ("propose_sweep",) if not self.said else ()
            return await super().act(action, **more)

    held, _ = decide(Model(sweep(0.5)), Rules(BATCH), view(), event(), Once())
    assert held.actions == [BATCH]


def test_a_used_up_share_is_said_and_the_model_is_not_asked_for_nothing() -> None:
    used = [trial(n, 0.5, by="model") for n in range(5)] + [trial(n, 0.5) for n in range(5, 8)]
    model = Model(sweep(0.5))
    held, _ = decide(model, Rules(BATCH), view(used), event())
    assert held.actions == [BATCH] and model.asked == []
    edits = view(used, setup=setup(may_edit=["*.py"], isolation="tree"))
    held, _ = decide(model, Rules(BATCH), edits, event())
    assert "keeps 70 %" in model.heard[0] and held.actions == [BATCH]


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 15), st.booleans()), max_size=30),
)
def test_over_a_whole_loop_the_optimiser_keeps_seventy_percent(batches: list[tuple[int, int, bool]]) -> None:
    trials: list[TrialView] = []
    for n, wanted, alone in batches:
        mine = min(wanted, room_alone(trials) if alone else room(trials, n))
        rest = 0 if alone else n - mine
        trials += [trial(1, 0.1, by="model")] * mine + [trial(1, 0.1, by="rule")] * rest
        trials += [trial(1, 0.1, by="rule", purpose="confirm")] * 3
        search = [t for t in trials if t.purpose == "search"]
        assert 10 * sum(by_model(t.by) for t in search) <= 3 * len(search)


def test_code_of_its_own_is_measured_apart_and_the_optimiser_stays_on_what_is_measured() -> None:
    done = [trial(n, 0.5) for n in range(10)]
    tree = view(done, setup=setup(may_edit=["*.py"], isolation="tree"), commits=["base", "edit1"])
    held, _ = decide(Model(EDIT, sweep(0.1, 0.2, 0.3, 0.4, 0.5)), Rules(BATCH), tree, event())
    edit, mine = held.actions
    assert edit == EDIT and isinstance(mine, ProposeSweep)
    assert (len(mine.points), mine.by, mine.commit) == (4, ["model"] * 4, "")
    held, _ = decide(Model(EDIT), Rules(BATCH), tree, event())
    assert isinstance(held.actions[1], ProposeSweep) and held.actions[1].commit == "base"
    best = view(done, best=Candidate(params={}, runs=["run_1"], value=0.1, commit="edit1"), commits=["base", "edit1"])
    held, _ = decide(Model(Launch(params={"lr": 0.9})), Rules(BATCH), best, event())
    (both,) = held.actions
    assert isinstance(both, ProposeSweep) and both.commit == "edit1" and both.by[:2] == ["model", "rule"]


@pytest.mark.parametrize(
    "plan",
    [
        ProposeSweep(name="base", points=[{"seed": 1}], purpose="baseline"),
        Confirm(),
        ProposeSweep(name="why", points=[{"lr": 1}], purpose="explain"),
        Promise(word="COMPLETE"),
    ],
)
def test_baseline_confirm_explain_and_the_end_are_the_rules_own(plan: Action) -> None:
    model = Model(sweep(0.5))
    held, _ = decide(model, Rules(plan), view(), event())
    assert held.actions == [plan] and model.asked == []


def test_the_model_cannot_confirm_end_or_repeat_the_baseline() -> None:
    asked: Sequence[Action] = (
        Confirm(), Promise(word="COMPLETE"), ProposeSweep(name="b", points=[{}], purpose="baseline"),
    )  # fmt: skip
    model = Model(*asked)
    held, _ = decide(model, Rules(BATCH), view(), event())
    assert held.actions == [BATCH] and all(text.startswith("Refused") for text in model.heard)


@pytest.mark.parametrize("kind", ["critical", "warning", "completion"])
def test_alerts_and_ends_that_are_no_news_are_the_rules_own(kind: str) -> None:
    model = Model(sweep(0.5))
    decide(model, Rules(), view(stage=Stage.RUNNING), event(kind))
    assert model.asked == []


def test_after_a_sweep_the_model_writes_and_the_rules_go_on() -> None:
    note = Analyse(text="The rate matters most.")
    model = Model(note, sweep(0.5))
    held, _ = decide(model, Rules(BATCH), view(stage=Stage.ANALYZING), event("analysis"))
    assert names(held.actions) == ["analyse", "propose_sweep"] and held.said[1]["action"].by[:2] == ["model", "rule"]
    writer = Model(note)
    held, _ = decide(writer, Rules(Confirm()), view(stage=Stage.ANALYZING), event("analysis"))
    assert names(held.actions) == ["analyse", "confirm"] and "propose_sweep" not in writer.asked[0]["only"]
    quiet = Model(note)
    decide(quiet, Rules(), view(stage=Stage.ANALYZING, baseline=None), event("analysis"))
    assert quiet.asked == [], "of the baseline the rules know enough"


def test_a_question_to_a_person_comes_before_the_next_batch() -> None:
    need = Promise(word="NEEDS_HUMAN", text="Which data?")
    held, _ = decide(Model(need), Rules(BATCH), view(), event())
    assert held.actions == [need]


def test_a_failure_of_a_new_kind_is_shown_to_the_model_and_a_known_one_is_not() -> None:
    failed = [trial(n, None, status="failed", failure="exit", log_line=f"KeyError {n}") for n in (1, 2)]
    model = Model()
    decide(model, Rules(), view(failed[:1], stage=Stage.RUNNING), event("failure", ref="run_0001"))
    decide(model, Rules(), view(failed, stage=Stage.RUNNING, told=["run_0001"]), event("failure", ref="run_0002"))
    assert [asked["kind"] for asked in model.asked] == ["failure"]
    other = trial(3, None, status="failed", failure="oom", log_line="CUDA")
    assert new_failure(view([*failed, other], told=["run_0001"]), event("failure", ref="run_0003"))


def test_a_person_s_word_is_the_model_s_to_understand() -> None:
    model = Model(Promise(word="COMPLETE"))
    held, _ = decide(model, Rules(), view(), event("human", text="enough"))
    assert held.actions == [Promise(word="COMPLETE")], "a person may end it at any time"


@pytest.mark.parametrize("kind", ["explore", "analysis", "human", "answer"])
def test_while_the_model_is_away_the_optimiser_goes_on_and_says_so(kind: str) -> None:
    model = Model(fails=ModelFailed("auth", "The key was refused.", "Set another."))
    held, thought = decide(model, Rules(BATCH), view(), event(kind, text="go on"))
    assert held.actions == [BATCH]
    assert thought.reasoning.startswith(
        "The model cannot be reached (The key was refused); the optimiser goes on alone."
    )
    assert thought.who.startswith("rule:") and model.asked[0]["patience_s"] == 60.0


def test_between_events_the_rules_watch() -> None:
    assert HybridPolicy(Rules(), Model()).watch(view())[0][1] == "halving"  # type: ignore[arg-type]


def test_over_the_wire_a_provider_that_is_down_costs_a_minute_at_most(tmp_path: Path) -> None:
    with provided(tmp_path) as (provider, mind):
        provider.http(529, retry_after="3600").call("propose_sweep", {"name": "x", "points": [{"lr": 0.5}]})

        async def body() -> None:
            policy = HybridPolicy(Rules(BATCH), mind.policy)  # type: ignore[arg-type]
            away, back = Held(), Held()
            thought = await policy.decide(view(), event(id="evt_1"), away)
            assert away.actions == [BATCH] and "goes on alone" in thought.reasoning
            thought = await policy.decide(view(), event(id="evt_2"), back)
            (both,) = back.actions
            assert isinstance(both, ProposeSweep) and both.by[0] == "model" and thought.who == "compatible:claude-test"

        run(body)
        assert set(provider.calls[1].tools) == {"propose_sweep", "launch", "analyse", "promise", "read_log"}
