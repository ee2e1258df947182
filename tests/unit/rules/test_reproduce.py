"""Running a claim again: what a notebook may say, what is executed for it, and what counts as the same."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound
from ragent_jupyter.domain.run import GitState, Run
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, Trial
from ragent_jupyter.domain.wild_report import Claim, Pair
from ragent_jupyter.rules.reproduce import Outcome, claims_in, compare, pick, plan, progress

CLAIM = Claim(
    id="claim-1",
    kind="verdict",
    loop="wld_1",
    metric="loss",
    params={"lr": 0.3},
    commit="c0de",
    sweep="swp_1",
    seeds=[7, 8],
    runs=["run_a", "run_b"],
    values=[0.2, 0.21],
    baseline_runs=["run_c", "run_d"],
    baseline_values=[0.3, 0.31],
    effect=-0.1,
    ci=(-0.11, -0.09),
    verdict="confirmed",
)


def run(id: str, trial: int, params: dict[str, Any], **more: Any) -> Run:
    fields: dict[str, Any] = {"sweep_id": "swp_1", "seed": params.get("seed"), "tree": "c0de", **more}
    return Run(id=id, name=id, command="t", argv=["t"], cwd="/", created_at=1.0, trial=trial, params=params, **fields)


POINTS: list[dict[str, Any]] = [{"lr": 0.3, "seed": 7}, {"lr": 0.3, "seed": 8}, {"seed": 7}, {"seed": 8}]
RUNS = {id: run(id, i, POINTS[i]) for i, id in enumerate(["run_a", "run_b", "run_c", "run_d"])}
SWEEP = Sweep(
    id="swp_1",
    name="confirm",
    command="python train.py",
    cwd="/",
    created_at=1.0,
    space=SearchSpace(flag="--{name}={value}"),
    trials=[Trial(index=i, params=p) for i, p in enumerate(POINTS)],
    loop_id="wld_1",
    purpose="confirm",
)
SWEEPS = {"swp_1": SWEEP}


def test_the_same_points_code_and_flags_are_run_again() -> None:
    (group,) = plan(CLAIM, RUNS, SWEEPS)
    assert group.points == POINTS and group.was == ["run_a", "run_b", "run_c", "run_d"]
    assert group.trees == ["c0de"] * 4 and group.like is SWEEP
    assert group.space == SearchSpace(method="list", points=POINTS, flag="--{name}={value}")


def test_runs_of_two_sweeps_are_repeated_by_two() -> None:
    other = replace(SWEEP, id="swp_2", command="python old.py")
    runs = RUNS | {"run_d": replace(RUNS["run_d"], sweep_id="swp_2")}
    assert [g.was for g in plan(CLAIM, runs, {**SWEEPS, "swp_2": other})] == [["run_a", "run_b", "run_c"], ["run_d"]]


@pytest.mark.parametrize(
    ("claim", "runs", "problem"),
    [
        ({"runs": ["run_x", "run_b"]}, {}, "no record of"),
        ({"params": {"lr": 0.1}}, {}, "The claim says lr 0.1, run run_a had 0.3."),
        ({"params": {"lr": 0.3, "hook": "rm -rf ~"}}, {}, "was not given it"),
        ({"seeds": [7, 9]}, {}, "seed 9"),
        ({"commit": "f00d"}, {}, "code f00d"),
        ({"values": [0.2]}, {}, "one value for each"),
        ({"runs": [], "values": [], "baseline_runs": [], "baseline_values": []}, {}, "rests on no run"),
        ({"runs": ["run_a"] * 500, "values": [0.1] * 500}, {}, "names 502 runs"),
        ({}, {"run_a": replace(RUNS["run_a"], sweep_id=None)}, "no run of a wild loop"),
        ({}, {"run_a": replace(RUNS["run_a"], kind="interactive")}, "no run of a wild loop"),
        ({}, {"run_a": replace(RUNS["run_a"], params={"lr": 0.3, "seed": 7, "wd": 1})}, "retried with other settings"),
        ({}, {"run_a": replace(RUNS["run_a"], tree="", git=GitState("beef"))}, "had beef"),
    ],
)
def test_a_claim_that_is_not_what_was_recorded_is_refused(
    claim: dict[str, Any], runs: dict[str, Run], problem: str
) -> None:
    with pytest.raises(CannotBeDone) as refused:
        plan(replace(CLAIM, **claim), RUNS | runs, SWEEPS)
    assert problem in refused.value.problem and refused.value.remedy


# --- the notebook -----------------------------------------------------------------------------------------------------
def notebook(*claims: Any) -> dict[str, Any]:
    return {"cells": [{"metadata": {"ragent": {"claim": claim}}} for claim in claims]}


GOOD = {"id": "claim-1", "kind": "verdict", "loop": "wld_1", "metric": "loss"}


def test_claims_are_found_and_a_broken_one_does_not_hide_the_others() -> None:
    found = claims_in({"cells": [1, {"metadata": []}, {"source": "x"}, *notebook({"id": 3}, GOOD)["cells"]]})
    assert list(found) == ["claim-1"] and found["claim-1"].loop == "wld_1"


@pytest.mark.parametrize(
    "file", [None, [], {"cells": 3}, {"cells": [{"metadata": {"ragent": 1}}]}, notebook({"id": 3})]
)
def test_what_is_no_report_is_said_to_be_none(file: Any) -> None:
    with pytest.raises(BadInput):
        claims_in(file)


def test_an_unknown_claim_lists_those_that_there_are() -> None:
    claims = claims_in(notebook(GOOD, {**GOOD, "id": "claim-baseline"}))
    with pytest.raises(NotFound) as refused:
        pick(claims, "claim-9")
    assert refused.value.remedy == "It has: claim-1, claim-baseline. Write REPORT#CLAIM."


# --- was and now ------------------------------------------------------------------------------------------------------
def pairs(*now: float | None) -> list[Pair]:
    was = [0.2, 0.21, 0.3, 0.31]
    sides = ("candidate", "candidate", "baseline", "baseline")
    return [
        Pair(was_run=f"run_{i}", was=w, now=n, side=s)  # type: ignore[arg-type]
        for i, (w, n, s) in enumerate(zip(was, now, sides, strict=True))
    ]


@pytest.mark.parametrize(
    ("now", "verdict", "outcome", "text"),
    [
        ((0.2, 0.21, 0.3, 0.31), "confirmed", "identical", "Reproduced to the last bit: 4 runs gave the same"),
        (
            (0.2, 0.21, 0.3, 0.312),
            "confirmed",
            "within",
            "Reproduced within the noise: the effect on loss was -0.1, is -0.101, inside the 95 % CI -0.11 to -0.09; "
            "the verdict is confirmed again.",
        ),
        ((0.2, 0.21, 0.3, 0.312), "not distinguishable", "differs", "Not reproduced: the verdict was confirmed, is"),
        ((0.25, 0.21, 0.3, 0.31), "confirmed", "differs", "outside the 95 % CI"),
        ((0.2, None, 0.3, 0.31), "unconfirmed", "failed", "1 run of 4 gave no value (run_1)"),
    ],
)
def test_how_a_claim_came_out_again(now: tuple[float | None, ...], verdict: str, outcome: Outcome, text: str) -> None:
    found = compare(CLAIM, pairs(*now), verdict)
    assert found.outcome == outcome and text in found.text
    assert found.reproduced is (outcome in ("identical", "within"))


def test_a_claim_without_an_interval_has_the_noise_of_seeds() -> None:
    base = Claim(id="claim-baseline", kind="baseline", loop="l", metric="loss", runs=["a", "b"], sigma=0.01)

    def out(shift: float, sigma: float | None) -> Outcome:
        pair = [Pair(was_run=r, was=0.3, now=0.3 + shift) for r in "ab"]
        return compare(replace(base, sigma=sigma), pair, None).outcome

    # Two standard deviations of the difference of two means of two: 2 * 0.01 * sqrt(2 / 2).
    assert [out(0.0199, 0.01), out(0.0201, 0.01), out(1e-9, None), out(0.0, None)] == [
        "within",
        "differs",
        "differs",
        "identical",
    ]


def test_progress_counts_what_is_over() -> None:
    mixed = [Pair(was_run="a", was=1.0, status=s) for s in ("finished", "failed", "running", "")]
    assert progress(mixed) == "Under way: 2 of 4 runs over."
