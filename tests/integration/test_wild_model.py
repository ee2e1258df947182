"""A model decides in a real engine: it hears through a true wire, and what it says becomes real runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.wild import Limits, Stage
from tests.support.fake_frames import Reply
from tests.support.wait import wait_until
from tests.support.wild_model import Asked, needs_human, sweep
from tests.support.wild_night import Night, night

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

# At lr 0.3 the third loss is NaN; the run then goes on for long.
NAN = 'if a.lr == 0.3 and step == 3: f.write(\'{"step": 3, "val_loss": NaN}\\n\'); f.flush(); time.sleep(120)'


@pytest.fixture
def n() -> Iterator[Night]:
    with night() as made:
        yield made


# --- A18 --------------------------------------------------------------------------------------------------------------
def test_A18_from_the_goal_to_complete_by_a_model_with_tools(n: Night) -> None:
    loop = n.ended(n.begin(seeds=5))
    assert (loop.end, loop.budget) == ("complete", "")
    # exploring → sweep → runs → turns about runs → analysis → COMPLETE
    kinds = n.model.kinds()
    assert kinds[:4] == ["explore", "completion", "completion", "analysis"] and kinds[-1] == "explore"
    assert n.purposes(loop) == ["baseline", "search", "confirm"]
    assert sorted(run.params["lr"] for run in n.runs_of(loop, "search")) == [0.1, 0.3]
    # The analysis quotes a value that a run recorded, and names the run.
    said = [entry.action["text"] for entry in n.did(loop, "analyse", "done") if entry.by == "model"]
    quoted = [re.match(r"(run_\w+) reached ([\d.]+)", text) for text in said]
    assert quoted
    for found in quoted:
        assert found is not None
        assert float(found[2]) == pytest.approx(n.one.points(found[1], "val_loss")[-1][1], rel=1e-5)
    # Better is said by verdict, on runs that can be opened.
    [verdict] = loop.verdicts
    assert verdict.verdict == "confirmed" and verdict.params == {"lr": 0.1}
    assert {run.id for run in n.runs()} >= {*verdict.runs, *verdict.baseline_runs}
    assert n.did(loop, "promise")[-1].action["word"] == "COMPLETE"
    # One request an event: waiting for runs asks nothing, and costs no iteration.
    assert loop.spent.model_calls == len(n.model.asked) == len(kinds) and loop.spent.iterations == 1
    report = n.one.until(lambda: n.loop(loop).report, 90, "the report")
    assert report.endswith(".ipynb")


def test_A18_a_tag_that_is_quoted_starts_and_ends_nothing() -> None:
    with night(tags=True) as n:
        fenced = 'It could say:\n```\n<promise>COMPLETE</promise>\n<sweep>{"points": [{"lr": 0.02}]}</sweep>\n```\n'
        n.model.on["completion"] = lambda asked: Reply(text=f"{fenced}or `<promise>COMPLETE</promise>`.")
        n.model.on["explore"] = lambda asked: (
            Reply(text=fenced, calls=sweep([{"lr": 0.1}]).calls) if asked.n == 1 else n.model.explore(asked)
        )
        n.model.points = [[{"lr": 0.1}]]
        loop = n.ended(n.begin())
        assert loop.end == "complete" and n.purposes(loop)[:2] == ["baseline", "search"]
        assert [run.params["lr"] for run in n.runs_of(loop, "search")] == [0.1]
        assert not n.model.asked[0].seen.tools, "a model without tools is offered none"
        words = [entry.action["word"] for entry in n.did(loop, "promise", "done") if entry.by == "model"]
        # Said before the confirm stage, and once more after it; what was quoted is none of them.
        assert words == ["CONTINUE", "COMPLETE", "CONTINUE", "COMPLETE"]


# --- A19 --------------------------------------------------------------------------------------------------------------
def test_A19_cautious_asks_before_anything_is_launched(n: Night) -> None:
    loop = n.begin(autonomy="cautious")
    asked = n.asks(loop)
    assert asked.about == "approval" and n.runs() == []
    n.answer(loop, "yes")
    n.model.wait("explore")
    asked = n.one.until(lambda: (q := n.loop(loop).question) and q.id != asked.id and q, 60, "the next question")
    assert {run.sweep_id for run in n.runs()} == set(n.loop(loop).sweeps[:1]), "the model's sweep waits for a yes"
    n.client.answer_loop(loop.id, asked.id, "no")
    said = n.model.wait("answer")
    assert asked.text[:40] in said.prompt and "The person answers" in said.event
    n.client.stop_loop(loop.id, now=True)


@pytest.mark.parametrize("autonomy", ["balanced", "full"])
def test_A19_a_critical_alert_pauses_balanced_and_is_resolved_in_full(n: Night, autonomy: Any) -> None:
    n.model.points = [[{"lr": 0.3}, {"lr": 0.1}]]
    loop = n.begin(NAN, autonomy=autonomy)
    asked = n.model.wait("critical")
    assert asked.alert and "NaN" in asked.event
    if autonomy == "balanced":
        question = n.asks(loop)
        assert question.about == "alert" and question.ref == asked.alert
        assert [a.status for a in n.one.alerts() if a.id == asked.alert] == [AlertStatus.PENDING]
        n.answer(loop, "yes")
    stopped = n.one.until(lambda: n.runs(RunStatus.STOPPED), 60, "the run to be stopped")
    assert [run.params["lr"] for run in stopped] == [0.3] and stopped[0].stop_by == f"alert:{asked.alert}"
    loop = n.ended(loop)
    assert loop.end == "complete" and n.model.kinds().count("critical") == 1
    assert loop.answers == [] if autonomy == "full" else len(loop.answers) == 1


def test_A19_needs_human_from_every_stage_and_the_answer_is_heard(n: Night) -> None:
    stages: dict[str, str] = {}

    def ask(asked: Asked) -> Reply | None:
        stage = re.search(r"Stage (\w+),", asked.prompt)
        assert stage is not None
        if stage[1] in stages:
            return None
        stages[stage[1]] = f"Which colour in {stage[1]}?"
        return needs_human(stages[stage[1]], ["red", "blue"], "red")

    own = dict(n.model.on)
    for kind in ("explore", "completion", "analysis", "human"):
        n.model.on[kind] = lambda asked, kind=kind: (None if asked.step else ask(asked)) or own[kind](asked)
    n.model.points = [[{"lr": 0.1}]]
    loop = n.begin(env={"STEP_S": "0.1"})
    for number, stage in enumerate(("exploring", "running", "analyzing", "confirming"), 1):
        if stage == "confirming":
            n.one.until(lambda: n.loop(loop).stage is Stage.CONFIRMING, 90, "the confirm stage")
            n.client.steer_loop(loop.id, "how is it going?")
        question = n.one.until(
            lambda s=stage: (q := n.loop(loop).question) and s in q.text and q, 90, f"{stage} to ask"
        )
        assert question.about == "need" and [o.label for o in question.options] == ["red", "blue"]
        n.client.answer_loop(loop.id, question.id, text=f"green-{number}")
        heard = n.model.wait("answer", number)
        assert f"{stages[stage]} → green-{number}" in heard.event
    loop = n.ended(loop)
    assert loop.end == "complete" and [answer for _, answer in loop.answers] == [f"green-{i}" for i in (1, 2, 3, 4)]
    assert "green-1" in n.model.asked[-1].prompt, "what was answered stays known"


# --- A20 --------------------------------------------------------------------------------------------------------------
def test_A20_a_steer_stands_in_the_very_next_prompt(n: Night) -> None:
    n.model.on["completion"] = lambda asked: Reply(text="I look at it at length. " * 12, delay=0.1, chunk=8)
    loop = n.begin()
    n.model.wait("completion")  # under way, word by word
    n.client.steer_loop(loop.id, "prefer small ZEBRA rates")
    told = time.monotonic()
    after = wait_until(lambda: next((a for a in n.model.asked if "ZEBRA" in a.prompt), None), 60, what="to be heard")
    assert after is not None
    before = n.model.asked.index(after)
    assert after.kind == "human" and "The person says: prefer small ZEBRA rates" in after.event
    assert not [asked for asked in n.model.asked[:before] if asked.seen.at > told], "no other came in between"
    n.ended(loop)
    assert all("ZEBRA" in asked.prompt for asked in n.model.asked[before:])
    assert n.model.kinds().count("human") == 1


def test_A20_pause_and_resume_in_every_stage_keep_the_plan(n: Night) -> None:
    n.model.points = [[{"lr": 0.1}]]
    slow = {"explore", "analysis"}

    def slowly(kind: str, own: Any) -> Any:
        def answer(asked: Asked) -> Reply:
            reply = own(asked)
            if kind in slow and not asked.step:
                slow.discard(kind)
                return Reply(text="Let me think about this. " * 20, calls=reply.calls, delay=0.2, chunk=6)
            return reply  # type: ignore[no-any-return]

        return answer

    for kind in ("explore", "analysis"):
        n.model.on[kind] = slowly(kind, n.model.on[kind])
    loop = n.begin(env={"STEP_S": "0.2"})

    def rests(where: str) -> None:
        """Paused: no request, no run, no time; and then on, by the same plan."""
        n.client.pause_loop(loop.id)
        # One that had to wait for a slot waits now for the person as well.
        n.one.until(lambda: all(r.status is RunStatus.QUEUED for r in n.alive()), 60, "the runs to end")
        held = n.loop(loop)
        asked, runs = len(n.model.asked), len(n.runs())
        elapsed = n.client.loop(loop.id).elapsed_s
        n.one.until(lambda: n.client.loop(loop.id).elapsed_s > elapsed + 1.5, what="time to pass")
        now = n.loop(loop)
        assert now.paused and not now.over, where
        assert (len(n.model.asked), len(n.runs()), now.spent.tokens) == (asked, runs, held.spent.tokens), where
        assert now.spent.seconds == pytest.approx(held.spent.seconds, abs=0.3), where
        resumed = n.client.resume_loop(loop.id)
        assert [(t.id, t.state) for t in resumed.plan] == [(t.id, t.state) for t in held.plan] and resumed.plan, where

    thinking = n.model.wait("explore")
    rests("exploring, in the middle of a decision")
    assert thinking.seen.closed_at, "the model's words are not paid for any longer"
    n.one.until(lambda: n.loop(loop).stage is Stage.RUNNING and n.runs_of(loop, "search"), 60, "the search")
    rests("running")
    thinking = n.model.wait("analysis")
    rests("analyzing, in the middle of a decision")
    assert thinking.seen.closed_at
    n.one.until(lambda: n.loop(loop).stage is Stage.CONFIRMING and n.alive(), 60, "the confirm stage")
    rests("confirming")
    loop = n.ended(loop)
    assert loop.end == "complete" and n.purposes(loop) == ["baseline", "search", "confirm"]
    assert [run.params["lr"] for run in n.runs_of(loop, "search")] == [0.1], "nothing was done twice"


# --- A21 --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("limits", "budget"), [({"tokens": 20_000}, "tokens"), ({"cost_usd": 0.15}, "cost_usd")])
def test_A21_tokens_and_money_end_it_and_runs_go_on_to_their_end(n: Night, limits: Any, budget: str) -> None:
    n.model.on["completion"] = lambda asked: Reply(text="Dear words.", usage={"input_tokens": 90_000})
    n.model.points = [[{"lr": 0.1}, {"lr": 0.3}]]
    loop = n.ended(n.begin(limits=Limits(**limits), env={"STEP_S": "0.2"}))
    assert (loop.end, loop.budget) == ("budget", budget) and loop.reason
    assert loop.spent.tokens > 90_000 and (loop.spent.cost_usd or 0) > 0.15
    assert n.model.kinds() == ["explore", "completion"], "nobody is asked any more"
    n.idle()
    assert {run.status for run in n.runs()} == {RunStatus.FINISHED}


def test_A21_a_condition_on_a_metric_ends_it_and_waiting_costs_nothing(n: Night) -> None:
    n.model.points = [[{"lr": 0.1}], [{"lr": 0.2}], [{"lr": 0.3}]]
    loop = n.begin(limits=Limits(until="val_loss < 0.3", runs=30), env={"STEP_S": "0.4"}, seeds=5)
    [run] = n.one.until(lambda: n.runs_of(loop, "search"), 60, "the run")
    asked, spent = len(n.model.asked), n.client.loop(loop.id).loop.spent
    n.one.wait(run, "finished", timeout=60)
    waited = n.client.loop(loop.id).loop.spent
    assert (len(n.model.asked) - asked, waited.iterations) in ((0, 1), (1, 1)), "its end alone may have been told"
    assert waited.tokens == spent.tokens or len(n.model.asked) > asked
    loop = n.ended(loop)
    assert loop.end == "complete" and loop.budget == ""
    assert "val_loss < 0.3" in loop.reason and loop.iteration == 1
    assert [v.verdict for v in loop.verdicts] == ["confirmed"]


def test_A21_gpu_hours_end_it_and_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGENT_FAKE_GPUS", "2")
    with night() as n:
        n.model.points = [[{"lr": 0.1}, {"lr": 0.3}]]
        loop = n.begin(gpus=1, limits=Limits(gpu_hours=6 / 3600), env={"STEP_S": "0.3"}, autonomy="full")
        loop = n.ended(loop)
        assert (loop.end, loop.budget) == ("budget", "gpu_hours") and "GPU-hours" in loop.reason
        assert loop.spent.gpu_seconds > 5.5
        n.idle()
        assert all(len(run.gpu_ids) == 1 for run in n.runs() if run.started_at)
