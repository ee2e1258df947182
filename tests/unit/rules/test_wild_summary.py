"""The morning after on one screen: the whole text of six situations, and the edges of each part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.alert import Alert, AlertStatus, Severity
from ragent_jupyter.domain.wild import Limits, Loop, Option, Question, Spent, Stage, Verdict, Waiting
from ragent_jupyter.rules.wild_summary import as_text, summary, title
from tests.support.wild_made import (
    BASE,
    BEGAN,
    CODE,
    Night,
    alert,
    best_of,
    judged,
    loop_of,
    night_with_gain,
    over,
)

NOW = BEGAN + 9000.0


def text(loop: Loop, night: Night, alerts: Sequence[Alert] = (), now: float = NOW) -> str:
    return as_text(summary(loop, night.trials, alerts, now))


def searched() -> Night:
    night = Night()
    night.baseline()
    night.search()
    return night


def test_a_confirmed_gain() -> None:
    assert (
        text(*night_with_gain())
        == """\
Lower val_loss of train.py: complete, with a confirmed gain

Tried
  10 configurations in 37 runs: 5 for the baseline, 7 for search, 15 for confirming, 10 for explaining.
  1 run became NaN (lr 1).
  1 run ended with an error (lr 0.9). Log: "ValueError: `lr` is <b>too large</b>"

Real
  Confirmed: lr 0.3, wd 0.01: val_loss 0.1996 against 0.2997 of the baseline, -0.1 (-33 %); \
95 % CI -0.1004 to -0.09985, 5 fresh seeds, p < 0.0001 after Holm. Expect 0.2005 or better on average; \
that keeps one standard error in hand.
  Not distinguishable from the baseline: wd 0.01: val_loss 0.2997 against 0.2997 of the baseline, 0; \
95 % CI 0 to 0, 5 fresh seeds, p 1 after Holm.
  Baseline: val_loss 0.2992 ± 0.0015 (mean ± sd, n = 5).

Cost
  2 h 30 min from start to end, 2 h of it active (limit 8 h).
  37 runs (limit 100).
  3 iterations.
  1.5 CPU-hours.
  2.5 MB on disk.
  No model was asked: no tokens, no money.

Needs
  Nothing needs you."""
    )


def test_an_honest_null_result() -> None:
    night = searched()
    night.confirm([{"lr": 0.1, "wd": 0.01}])
    said = text(judged(night, **over()), night)
    assert said.splitlines()[0] == "Lower val_loss of train.py: complete; nothing better than the baseline was found"
    assert (
        said[said.index("Real") : said.index("Cost")]
        == """\
Real
  No gain: 1 candidate re-run on 5 fresh seeds; it could not be told from the baseline.
  Not distinguishable from the baseline: wd 0.01: val_loss 0.2997 against 0.2997 of the baseline, 0; \
95 % CI 0 to 0, 5 fresh seeds, p 1 after Holm.
  Baseline: val_loss 0.2992 ± 0.0015 (mean ± sd, n = 5).

"""
    )


def test_a_budget_ended_it_before_anything_was_confirmed() -> None:
    night = searched()
    ended = over("budget", "The limit of runs is used up: 12 of 12.", budget="runs", limits=Limits(runs=12))
    loop = judged(night, best=best_of(night), **ended)
    assert (
        text(loop, night)
        == """\
Lower val_loss of train.py: ended by its limit on runs, without a confirmed gain \
(The limit of runs is used up: 12 of 12)

Tried
  8 configurations in 12 runs: 5 for the baseline, 7 for search.
  1 run became NaN (lr 1).
  1 run ended with an error (lr 0.9). Log: "ValueError: `lr` is <b>too large</b>"

Real
  Unconfirmed best: val_loss 0.1976 with lr 0.3, wd 0.01 (n = 1). It was not re-run beside the baseline on fresh \
seeds, so it may be luck.
  Baseline: val_loss 0.2992 ± 0.0015 (mean ± sd, n = 5).

Cost
  2 h 30 min from start to end, 2 h of it active.
  12 runs (limit 12).
  3 iterations.
  1.5 CPU-hours.
  2.5 MB on disk.
  No model was asked: no tokens, no money.

Needs
  To go on, raise the limit: `ragent wild limits wld_1`."""
    )
    assert [line.tone for line in summary(loop, night.trials, [], NOW).cost] == ["plain", "wait", *["plain"] * 4]


def test_it_needs_a_person() -> None:
    night = searched()
    asks = Question(
        id="q1",
        text="Which metric decides?",
        options=[Option("a", "val_loss"), Option("b", "val_acc")],
        default="a",
        asked_at=BEGAN,
        default_at=NOW + 600,
    )
    loop = judged(night, question=asks, paused=True, best=best_of(night))
    said = text(loop, night, [alert(), alert(AlertStatus.RESOLVED), alert(severity=Severity.INFO)])
    assert said.splitlines()[0] == "Lower val_loss of train.py: needs you: Which metric decides?"
    assert (
        said[said.index("Needs") :]
        == """\
Needs
  Which metric decides? Choices: val_loss, val_acc. Without an answer: val_loss, in 10 min.
  Critical alert: loss became NaN at step 412."""
    )
    assert summary(loop, night.trials, [alert()], NOW).needs[1].refs == ["run_11", "alt_1"]


def test_it_failed_before_anything_ran() -> None:
    night = Night()
    loop = loop_of(night, **over("failed", "No trial of the baseline finished."), spent=Spent())
    assert (
        text(loop, night)
        == """\
Lower val_loss of train.py: failed (No trial of the baseline finished)

Tried
  Nothing was run.

Real
  No result: nothing was run.

Cost
  2 h 30 min from start to end, 0 s of it active (limit 8 h).
  0 runs (limit 100).
  0 iterations.
  0 CPU-hours.
  0 B on disk.
  No model was asked: no tokens, no money.

Needs
  Nothing needs you."""
    )


def test_it_still_goes_and_a_model_is_paid() -> None:
    night = Night()
    night.baseline(3)
    night.run("swp_search", "search", {"lr": 0.3}, 0, status="running", value=None)
    spent = Spent(
        iterations=2,
        seconds=600,
        tokens=12345,
        cost_usd=0.42,
        model_calls=7,
        runs=4,
        cpu_seconds=600,
        gpu_seconds=3600,
        since=BEGAN + 700,
    )
    loop = judged(night, stage=Stage.RUNNING, spent=spent, limits=Limits(cost_usd=5.0, tokens=100_000))
    assert (
        text(loop, night, now=BEGAN + 900)
        == """\
Lower val_loss of train.py: still going, running, iteration 3

Tried
  2 configurations in 4 runs: 3 for the baseline, 1 for search.
  1 run is not over yet.

Real
  Baseline: val_loss 0.2983 ± 0.00097 (mean ± sd, n = 3).

Cost
  15 min from start to now, 13 min 20 s of it active.
  4 runs.
  2 iterations.
  ~0.167 CPU-hours.
  ~1 GPU-hours.
  0 B on disk.
  12,345 tokens in 7 calls of a model (limit 100,000).
  ~$0.42 (limit $5).

Needs
  Nothing needs you."""
    )


# --- edges ------------------------------------------------------------------------------------------------------------
def test_each_way_to_end_or_rest_has_words_of_its_own() -> None:
    loop = loop_of(Night())
    waiting = Waiting(until=NOW + 60, why="it answers 529.")
    asks = Question(id="q", text="Go on?", options=[], default="", asked_at=BEGAN)
    ways: list[dict[str, Any]] = [
        *(over(end) for end in ("complete", "stopped", "failed")),
        over("budget", budget="hours"),
        over("budget", budget="tokens"),
        {},
        {"paused": True},
        {"waiting": waiting},
        {"question": asks},
        {"stage": Stage.CONFIRMING},
    ]
    said = [title(replace(loop, **way), NOW) for way in ways]
    assert len(set(said)) == len(ways)
    assert said[3] == "Lower val_loss of train.py: ended by its limit on time, without a confirmed gain"


def test_code_that_proved_good_is_offered_for_merging_and_only_that() -> None:
    night = searched()
    night.confirm([{"lr": 0.3, "wd": 0.01}], commit=CODE)
    loop = judged(night, commits=[BASE, CODE])
    (line,) = summary(loop, night.trials, [], NOW).needs
    assert line.text == (
        "The confirmed code is commit c0dec0dec0de on ragent/wld_1. "
        "`ragent wild merge wld_1` puts it on your branch, with --diff it only shows it."
    )
    worse = replace(loop, verdicts=[replace(v, verdict="not distinguishable") for v in loop.verdicts])
    assert [x.text for x in summary(worse, night.trials, [], NOW).needs] == ["Nothing needs you."]


def test_what_a_verdict_could_not_say_is_not_said_for_it() -> None:
    night = searched()
    why = "Only 3 of the 5 pairs on fresh seeds that it takes."
    verdict = Verdict(params={"lr": 0.3}, verdict="unconfirmed", why=why, mean=0.2, baseline_mean=0.3, effect=-0.1)
    void = Verdict(params={"lr": 0.5}, verdict="void", why="eval.py changed.", runs=["run_08"])
    lines = summary(replace(judged(night), verdicts=[void, verdict]), night.trials, [], NOW).real
    said = [("Unconfirmed: lr 0.3: " + why, "wait"), ("Void: lr 0.5: eval.py changed.", "bad")]
    assert [(line.text, line.tone) for line in lines[:2]] == said


@pytest.mark.parametrize("n", [0, 1, 30])
def test_many_failures_stay_one_screen(n: int) -> None:
    night = Night()
    kinds = ("oom", "nan", "exit", "signal", "lost", "launch", "walltime", "stopped")
    for i in range(n):
        night.run("swp_1", "search", {"lr": i / 7}, 0, status="failed", value=None, failure=kinds[i % len(kinds)])
    found = summary(loop_of(night), night.trials, [], NOW)
    assert len(found.tried) <= 8
    told = {ref for line in found.tried for ref in line.refs if ref.startswith("run_")}
    assert told == {t.run for t in night.trials}


def test_the_last_words_of_a_run_that_was_stopped_are_no_reason() -> None:
    night = Night()
    night.run("swp_1", "search", {"lr": 9}, 0, status="stopped", value=None, failure="nan", log_line="bye")
    night.run("swp_1", "search", {"lr": 8}, 0, status="failed", value=None, failure="exit", log_line="ValueError: no")
    said = text(loop_of(night), night)
    assert "became NaN (lr 9).\n" in said and 'Log: "ValueError: no"' in said and "bye" not in said


def test_a_void_run_and_hostile_words_are_said_in_one_line() -> None:
    night = Night()
    night.run("swp_1", "search", {"name": "x" * 5000}, 0, void="eval.py changed\nwhile it ran")
    loop = replace(loop_of(night), goal="a\nb" * 3000)
    said = text(loop, night)
    assert "1 run does not count: eval.py changed while it ran." in said
    assert max(map(len, said.splitlines())) < 500
