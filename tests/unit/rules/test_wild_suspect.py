"""Gains that are not believed as they stand, and the real ones that must be."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ragent_jupyter.domain.wild import TrialView, View
from ragent_jupyter.rules.wild_suspect import suspicious

from .wild_worlds import base_runs, loop, trial, view


def doubt(value: float, base: list[float], of: View | None = None, **fields: Any) -> str:
    run = trial("run_x", value=value, seed=1000, params={"lr": 0.9}, **fields)
    seen = of or view(base_runs(base))
    return suspicious(view([*seen.trials, run], of=seen.loop), run)


def accuracy(base: list[float]) -> View:
    return view(base_runs(base), of=loop({"metric": "val/acc", "mode": "max"}))


@pytest.mark.parametrize(("value", "says"), [(0.0, "at its bound"), (1e-9, "at its bound"), (0.001, ""), (2.0, "")])
def test_a_loss_at_its_bound(value: float, says: str) -> None:
    found = doubt(value, [1.4, 1.5, 1.3])
    assert (says in found) and bool(says) == bool(found)


def test_what_a_metric_cannot_be() -> None:
    errors = view(base_runs([0.2, 0.3]), of=loop({"metric": "val_mse"}))
    assert "cannot be" in doubt(-0.1, [], errors)
    assert doubt(-0.1, [0.2, 0.3]) == ""  # a likelihood's loss may fall below 0
    assert "more than a share" in doubt(1.2, [], accuracy([0.90, 0.91]))


@pytest.mark.parametrize(
    ("value", "base", "doubted"),
    [(1.0, 0.90, True), (0.9996, 0.90, True), (0.99, 0.90, False), (1.0, 0.985, False), (0.9996, 0.9991, False)],
)
def test_a_share_that_is_perfect_all_at_once(value: float, base: float, doubted: bool) -> None:
    assert bool(doubt(value, [], accuracy([base, base - 0.002]))) == doubted


def test_percent_are_shares_too() -> None:
    assert doubt(99.99, [], accuracy([88.0, 89.0])).startswith("val/acc is 99.99, as good as it can be")
    assert doubt(95.0, [], accuracy([88.0, 89.0])) == ""
    low = [*base_runs([0.9, 1.0]), trial("run_1", value=20.0, params={"lr": 0.3})]  # chance, of a hundred classes
    assert doubt(35.0, [], view(low, of=loop({"metric": "acc", "mode": "max"}))) == ""


def test_only_what_looks_better_can_be_suspicious() -> None:
    assert doubt(0.0, [1.0, 1.1], status="failed") == "" == doubt(0.0, [1.0, 1.1], void="changed")
    assert suspicious(view(base_runs([1.0])), base_runs([1.0])[0]) == ""
    assert suspicious(view(), trial("run_1", value=0.0)) == ""


def test_much_less_work_for_the_same_setting() -> None:
    base = base_runs([1.0, 1.1], seconds=60.0, curve=[(float(s), 1.0) for s in range(0, 1001, 50)])
    slow = view(base)
    short = [(float(s), 0.9) for s in range(0, 151, 50)]
    assert doubt(0.8, [], slow, seconds=5.0, curve=short).startswith("It took 5 s where the baseline takes 60 s")
    assert doubt(0.8, [], slow, seconds=50.0, curve=short).startswith("It logged 4 values of val_loss")
    # A large batch takes fewer steps; a small model is fast. One of both alone is nothing.
    assert doubt(0.8, [], slow, seconds=5.0, curve=base[0].curve) == ""
    assert doubt(0.8, [], slow, seconds=40.0, curve=[(100.0, 0.9)] * 20) == ""
    quick = view(base_runs([1.0, 1.1], seconds=2.0))
    assert doubt(0.8, [], quick, seconds=0.3) == ""  # most of it is the start of Python


def others(values: list[float]) -> View:
    runs = [trial(f"run_{i}", value=v, seed=1000, params={"lr": 0.01 * (i + 1)}) for i, v in enumerate(values)]
    return view([*base_runs([1.00, 1.01, 0.99, 1.02]), *runs])


def test_a_value_that_stands_alone() -> None:
    near = [0.98, 0.97, 1.01, 1.03, 0.99, 0.96, 1.00, 1.02, 0.98]
    assert "stands alone: the next best of 9 others has 0.96" in doubt(0.3, [], others(near))
    assert doubt(0.3, [], others(near[:6])) == ""  # too little is known
    assert doubt(0.94, [], others(near)) == ""
    # A search that closes in on something good has its neighbours near, however far the default is.
    assert doubt(0.30, [], others([0.98, 0.9, 0.7, 0.5, 0.41, 0.35, 0.33, 0.32, 0.31])) == ""
    # Nor does it where the others lie far apart, or where one of them has gone ahead already.
    assert doubt(0.3, [], others([0.9, 1.0, 1.2, 1.4, 1.5, 1.6, 1.8, 2.0, 1.3])) == ""
    assert doubt(0.1, [], others([*near[:8], 0.4])) == ""


def test_real_gains_over_a_bad_default_are_believed() -> None:
    """1.41 to 0.14, as a real search on a real script found it: nothing on the way is doubted."""
    for seed in range(40):
        rng = random.Random(seed)
        runs: list[TrialView] = base_runs([1.41 * (1 + rng.gauss(0, 0.068)) for _ in range(5)])
        best = 1.3
        for i in range(40):
            # A search that explores by factors and comes closer: most points are ordinary, the good ones are few.
            best = max(0.135, best * rng.choice([1, 1, 0.9, 0.75, 0.55]))
            value = best * 10 ** abs(rng.gauss(0, 0.4))
            runs.append(trial(f"run_{i}", value=value, seed=1000, params={"lr": 0.001 * 1.15**i}))
        seen = view(runs)
        assert [why for t in runs if (why := suspicious(seen, t))] == []
