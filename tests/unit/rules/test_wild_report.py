"""A loop's report says what was recorded, computes it again from the runs' metrics, and shows where both differ."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.report import Table
from ragent_jupyter.domain.wild import Loop, Verdict
from ragent_jupyter.domain.wild_report import WildData
from ragent_jupyter.rules.wild_claims import value_of
from ragent_jupyter.rules.wild_report import changes_of, compose, edits_as_diff, mattered
from tests.support.wild_made import (
    BASE,
    CODE,
    LEDGER,
    SETUP,
    Night,
    best_of,
    data_of,
    entry,
    judged,
    loop_of,
    night_with_gain,
    over,
)


@pytest.fixture
def data() -> WildData:
    return data_of(*night_with_gain())


def column(table: Table, name: str) -> list[Any]:
    return [row[table.columns.index(name)] for row in table.rows]


# --- claims -----------------------------------------------------------------------------------------------------------
def test_every_claim_comes_out_again_from_the_runs_metrics(data: WildData) -> None:
    report = compose(data)
    assert [c.claim.id for c in report.claims] == ["claim-1", "claim-2", "claim-baseline"]
    assert all(c.differs == [] and c.again is not None for c in report.claims)
    first = report.claims[0]
    assert first.text == (
        "Confirmed: lr 0.3, wd 0.01 gives val_loss 0.1996 against 0.2997 of the baseline, -0.1 "
        "(95 % CI -0.1004 to -0.09985), on seeds 1000 to 1004."
    )
    assert column(first.table, "run")[:10] == [f"run_{n}" for n in (*range(13, 18), *range(23, 28))]
    assert set(column(first.table, "code")[:10]) == {BASE[:12]}
    assert set(column(first.table, "same")) == {"yes"}
    # Twice the same, to the letter.
    assert compose(data) == report


def test_a_changed_metric_shows_in_the_claim_that_rests_on_it_and_in_no_other(data: WildData) -> None:
    changed = [
        replace(s, last=[*s.last[:-1], 0.25]) if s.run == "run_13" else s  # the candidate on seed 1000
        for s in data.series
    ]
    report = compose(replace(data, series=changed))
    one, two, base = report.claims
    assert "candidate, seed 1000" in one.differs and "mean" in one.differs
    # The verdict is computed anew too: a tenth of the gain on one seed does not undo it, the numbers say what it does.
    assert one.again is not None and one.again.effect is not None and one.claim.effect is not None
    assert one.again.effect == pytest.approx(one.claim.effect + (0.25 - one.claim.values[0]) / 5)
    # Holm's p of the other one hangs on the first one's, where that is the larger; here it is not.
    assert base.differs == [] and "candidate, seed 1000" not in two.differs


def test_a_metric_that_is_gone_is_no_data_and_never_the_recorded_one(data: WildData) -> None:
    blank = Series(run="run_14", name="val_loss", x=[], last=[])
    report = compose(replace(data, series=[s for s in data.series if s.run != "run_14"] + [blank]))
    one = report.claims[0]
    row = next(row for row in one.table.rows if row[4] == "run_14")
    assert row[1] == one.claim.values[1] and row[2] is None and row[3] == "no"
    assert one.again is not None and one.again.verdict == "unconfirmed" and "verdict" in one.differs


def test_an_edited_verdict_in_the_record_is_found_out(data: WildData) -> None:
    loop = data.view.loop
    praised = replace(loop.verdicts[1], verdict="confirmed", effect=-0.2, mean=0.1)
    loop = replace(loop, verdicts=[loop.verdicts[0], praised])
    report = compose(replace(data, view=replace(data.view, loop=loop)))
    assert report.claims[1].differs == ["mean", "effect (candidate - baseline)", "verdict"]


def test_an_unconfirmed_best_is_claimed_as_that() -> None:
    night = Night()
    night.baseline()
    night.search()
    loop = judged(night, best=best_of(night), **over("budget", "Runs are used up.", budget="runs"))
    report = compose(data_of(loop, night))
    assert [(c.claim.id, c.claim.verdict) for c in report.claims] == [
        ("claim-baseline", ""),
        ("claim-best", "unconfirmed"),
    ]
    assert report.claims[1].text == "Unconfirmed: lr 0.3, wd 0.01 gave val_loss 0.1976 (n = 1)."
    assert "Nothing was re-run on fresh seeds: no gain in this report is confirmed." in [n.text for n in report.nulls]
    assert "ablation" not in report.tables


def test_a_verdict_of_a_sweep_that_is_unknown_is_not_computed_again(data: WildData) -> None:
    odd = Verdict(params={"lr": 7.0}, verdict="confirmed", why="", sweep="swp_gone", runs=["run_x"], values=[0.1])
    report = compose(
        replace(data, view=replace(data.view, loop=replace(data.view.loop, verdicts=[odd])), series=data.series)
    )
    assert report.claims[0].again is None and "verdict" in report.claims[0].differs


@pytest.mark.parametrize(
    ("series", "last", "best"),
    [
        (Series(run="r", name="m", x=[0, 1, 2], last=[3.0, 1.0, 2.0], raw=True), 2.0, 1.0),
        (Series(run="r", name="m", x=[0, 1], last=[3.0, 1.0], raw=True, nonfinite=[2.0]), None, 1.0),
        (Series(run="r", name="m", x=[0, 2], last=[3.0, 1.0], raw=True, nonfinite=[1.0]), 1.0, 1.0),
        (Series(run="r", name="m", x=[9], last=[2.0], min=[0.5], max=[4.0]), 2.0, 0.5),
        (Series(run="r", name="m", x=[], last=[], nonfinite=[0.0]), None, None),
        (None, None, None),
    ],
)
def test_a_runs_value_by_the_score_rule(series: Series | None, last: float | None, best: float | None) -> None:
    assert (value_of(series, "last", "min"), value_of(series, "best", "min")) == (last, best)


# --- tables and figures -----------------------------------------------------------------------------------------------
def test_candidates_come_with_their_verdicts_first(data: WildData) -> None:
    table = compose(data).tables["candidates"]
    assert column(table, "verdict")[:3] == ["confirmed", "not distinguishable", "not tested"]
    looked = [v for v in column(table, "val_loss (looked)")[2:] if v is not None]
    assert looked[:3] == sorted(looked[:3])
    assert column(table, "runs")[0] == "run_09 run_13 run_14 run_15 run_16 run_17"


def test_the_ablation_names_the_change_that_carries_the_gain(data: WildData) -> None:
    table = compose(data).tables["ablation"]
    assert column(table, "change undone") == ["lr 0.3 back to its default", "wd 0.01 back to its default"]
    assert column(table, "share of the gain") == ["100%", "0%"]
    assert column(table, "paired") == [5, 5]


def test_the_winner_itself_is_no_ablation_of_it() -> None:
    loop, night = night_with_gain()
    night.run("swp_explain", "explain", {"lr": 0.3, "wd": 0.01}, 1005)
    night.run("swp_explain", "explain", {"lr": 0.3, "wd": 0.01, "momentum": 0.9}, 1005)
    assert len(compose(data_of(loop, night)).tables["ablation"].rows) == 2


def test_the_figures_show_candidate_and_baseline_apart(data: WildData) -> None:
    figures = compose(data).figures
    assert [c.group for c in figures["curves"].curves] == ["baseline"] * 5 + ["confirmed: lr 0.3, wd 0.01"] * 5
    assert {c.style for c in figures["curves"].curves[:5]} == {"dashed"}
    best = next(c for c in figures["history"].curves if c.run == "best")
    values = [v for v in best.y if v is not None]
    assert values == sorted(values, reverse=True) and "unconfirmed" in best.name
    dots = next(c for c in figures["history"].curves if c.run == "purpose:search")
    assert dots.labels[3] == "run_09: lr 0.3, wd 0.01, seed 0"
    band = figures["history"].curves[0]
    assert band.low[0] < band.y[0] < band.high[0]  # type: ignore[operator]


def test_the_method_says_how_noise_was_measured_and_what_the_test_is(data: WildData) -> None:
    said = dict(compose(data).tables["method"].rows)
    assert said["baseline"] == "mean 0.2992 of n = 5 (seeds 0 to 4); noise floor: sd 0.0015"
    assert said["confirmed on"] == "seeds 1000 to 1004, used by no run before"
    assert "Holm" in said["test"] and said["limits"] == "hours 8, runs 100"


# --- at any moment ----------------------------------------------------------------------------------------------------
def loops() -> list[tuple[str, Loop, Night]]:
    empty, going, failed = Night(), Night(), Night()
    going.baseline(2)
    going.run("swp_search", "search", {"lr": 0.3}, 0, status="running", value=None)
    failed.run("swp_base", "baseline", {}, 0, status="failed", value=None, failure="exit")
    bare = Night(replace(SETUP, metric="", seed=None, space={}))
    bare.run("swp_base", "baseline", {}, 0, value=None)
    return [
        ("no run", loop_of(empty), empty),
        ("failed", loop_of(failed, **over("failed", "It did not start.")), failed),
        ("going", judged(going), going),
        ("no metric", loop_of(bare, **over("stopped")), bare),
    ]


@pytest.mark.parametrize(("name", "loop", "night"), loops(), ids=lambda x: x if isinstance(x, str) else "")
def test_it_works_for_a_loop_that(name: str, loop: Loop, night: Night) -> None:
    report = compose(data_of(loop, night, ledger=[], entries=0))
    assert report.summary.real or name in ("no run", "going")
    assert report.tables["method"].rows and report.nulls
    assert all(c.differs == [] for c in report.claims)
    assert compose(data_of(loop, night, ledger=[], entries=0)) == report


# --- ledger and code --------------------------------------------------------------------------------------------------
def test_what_mattered_is_kept_of_a_long_ledger() -> None:
    refused = entry(6, action={"do": "change_setup", "fields": {}}, outcome="refused")
    kept = mattered([*LEDGER, refused, entry(7, action={"do": "change_setup", "fields": {}})])
    assert [e.n for e in kept] == [1, 2, 4, 5, 6]
    many = [entry(n, action={"do": "launch", "params": {}}) for n in range(1, 101)]
    assert [e.n for e in mattered(many, 4)] == [1, 2, 99, 100]


def test_changes_of_the_code_keep_refused_ones_with_their_diff() -> None:
    night = Night()
    edits = [{"path": "train.py", "old": "a", "new": "b"}]
    edit = {"do": "edit_code", "summary": "second", "edits": edits}
    entries = [*LEDGER, entry(6, "model", edit, result=f"Committed as {CODE[:12]} on ragent/wld_1.")]
    found = changes_of(entries, loop_of(night, commits=[BASE, CODE]), {CODE: "diff --git a b"})
    assert [(c.n, c.commit, c.problem, c.diff) for c in found] == [
        (4, "", "train.py may not be changed.", "--- train.py\n+++ train.py\n-lr = 0.1\n+lr = 0.1 * warm"),
        (6, CODE, "", "diff --git a b"),
    ]


@pytest.mark.parametrize("edits", [None, "x", [1, {"path": 3}], [{"path": "a", "old": None, "new": {}}]])
def test_edits_of_any_shape_give_some_text(edits: Any) -> None:
    assert isinstance(edits_as_diff(edits), str)


def test_a_best_that_was_judged_is_no_claim_of_its_own() -> None:
    loop, night = night_with_gain()
    report = compose(data_of(replace(loop, best=best_of(night)), night))
    assert "claim-best" not in [c.claim.id for c in report.claims]
    assert report.title == "Lower val_loss of train.py: complete, with a confirmed gain"
