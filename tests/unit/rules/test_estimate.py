"""What the rest of a sweep will take: from its own runs, from earlier ones of the same command, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import Estimate, SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.rules import sweep_life
from ragent_jupyter.rules.estimate import earlier, measured, of_sweep, wall_seconds

S = RunStatus


def run(id: str, status: RunStatus = S.FINISHED, began: float = 0.0, seconds: float | None = 60.0, **more: Any) -> Run:
    fields: dict[str, Any] = {"command": "python t.py", "cwd": "/p", "sweep_id": "swp_a", **more}
    ended = None if seconds is None or not status.terminal else began + seconds
    return Run(id=id, name=id, argv=[], created_at=began, status=status, started_at=began, ended_at=ended, **fields)


def sweep(n: int, *ids: str, **more: Any) -> Sweep:
    fields: dict[str, Any] = {"parallel": 2, "gpus": 0, **more}
    trials = [Trial(index=i, params={}, run_ids=[ids[i]] if i < len(ids) else []) for i in range(n)]
    return Sweep(
        id="swp_a", name="s", command="python t.py", cwd="/p", created_at=0.0, space=SearchSpace(),
        status=SweepStatus.RUNNING, trials=trials, **fields,
    )  # fmt: skip


def rest(of: Sweep, *runs: Run, now: float = 60.0, at_once: int = 9, **more: Any) -> Estimate | None:
    known = {one.id: one for one in runs}
    return of_sweep(of, known, measured(of, known), now=now, at_once=at_once, disk_each=1e6, **more)


def test_after_a_good_smoke_run_the_rest_is_estimated_at_the_sweeps_width() -> None:
    made = rest(sweep(9, "a", gpus=2), run("a", cpu_s=30.0), gpu_hour_usd=3.0)
    assert made is not None
    assert (made.of, made.seconds, made.runs, made.parallel, made.wall_seconds) == ("a", 60.0, 8, 2, 240.0)
    assert made.gpu_hours == pytest.approx(8 * 2 / 60) and made.cpu_hours == pytest.approx(8 * 30 / 3600)
    assert made.disk_bytes == 8_000_000 and made.cost_usd == pytest.approx(0.8)
    assert made.text == (
        "One run takes ~60 s. 8 more: ~4 min with 2 at a time, ~8 MB of disk. ~0.27 GPU-hours. ~$0.80 for the GPUs."
    )


def test_no_price_no_money_and_no_gpu_no_price() -> None:
    without = rest(sweep(3, "a", gpus=1), run("a"))
    assert without is not None and without.cost_usd is None and "$" not in without.text
    cpu = rest(sweep(3, "a"), run("a"), gpu_hour_usd=3.0)
    assert cpu is not None and cpu.cost_usd is None and "GPU" not in cpu.text


@pytest.mark.parametrize("status", [S.FAILED, S.STOPPED, S.RUNNING])
def test_a_smoke_run_that_did_not_end_well_says_nothing(status: RunStatus) -> None:
    assert rest(sweep(3, "a"), run("a", status)) is None
    assert rest(sweep(3, "a"), run("a", void="its labels changed")) is None


def test_nothing_left_is_no_estimate() -> None:
    assert rest(sweep(2, "a", "b"), run("a"), run("b", S.FAILED)) is None
    assert rest(sweep(0)) is None


def test_what_lives_is_counted_by_what_it_still_takes() -> None:
    made = rest(sweep(3, "a", "b"), run("a"), run("b", S.RUNNING, began=50.0), now=90.0)
    assert made is not None and (made.runs, made.wall_seconds) == (2, 60.0)
    late = rest(sweep(2, "a", "b"), run("a"), run("b", S.RUNNING, began=0.0), now=500.0)
    assert late is not None and late.wall_seconds == 0.0  # it takes longer than the others did: nobody knows how long
    queued = rest(sweep(2, "a", "b"), run("a"), Run(id="b", name="", command="", argv=[], cwd="", created_at=0.0))
    assert queued is not None and queued.wall_seconds == 60.0
    ahead = rest(sweep(2, "a", "b"), run("a"), run("b", S.RUNNING, began=900.0), now=60.0)
    assert ahead is not None and ahead.wall_seconds == 60.0  # the clock was set back


def test_the_machine_may_be_narrower_than_the_sweep() -> None:
    made = rest(sweep(5, "a", parallel=4), run("a"), at_once=1)
    assert made is not None and (made.parallel, made.wall_seconds) == (1, 240.0)
    none = rest(sweep(5, "a"), run("a"), at_once=0)
    assert none is not None and none.parallel == 1


def test_slots_that_are_too_many_are_not_filled_again() -> None:
    assert wall_seconds(10.0, 1, 1, [9.0, 2.0]) == 18.0  # one at a time from now on: behind the later of the two
    assert wall_seconds(10.0, 0, 1, [9.0, 2.0]) == 8.0
    assert wall_seconds(0.0, 10_000, 3) == 0.0


def test_the_usual_run_is_the_median_of_those_that_ended_well() -> None:
    runs = [run("a", seconds=10.0), run("b", seconds=20.0), run("c", seconds=900.0), run("d", S.FAILED, seconds=1.0)]
    made = rest(sweep(6, "a", "b", "c", "d"), *runs)
    assert made is not None and made.seconds == 20.0 and made.of == "a"


def test_a_retried_trial_is_measured_by_its_last_run() -> None:
    one = sweep(3)
    trials = [Trial(index=0, params={}, run_ids=["a", "b"]), *one.trials[1:]]
    made = rest(sweep(3).__class__(**{f: getattr(one, f) for f in one.__struct_fields__} | {"trials": trials}),
                run("a", S.FAILED), run("b", seconds=5.0))  # fmt: skip
    assert made is not None and (made.of, made.runs) == ("b", 2)


# --- before it starts ------------------------------------------------------------------------------------------------
def test_earlier_runs_of_the_same_command_and_no_others() -> None:
    other = sweep(1)
    parent = {"swp_a": other}
    known = [
        run("in_a_sweep", command="python t.py --lr 0.1", began=5.0),
        run("alone", command="python  t.py --lr 1", sweep_id=None, began=9.0),
        run("longer_name", command="python t.pyx", sweep_id=None),
        run("elsewhere", cwd="/q"),
        run("on_a_gpu", gpus=1),
        run("failed", S.FAILED),
        run("lives", S.RUNNING),
        run("void", void="x"),
    ]
    assert [r.id for r in earlier("python t.py", "/p", 0, known, parent)] == ["alone", "in_a_sweep"]
    assert earlier("python t.py --lr", "/p", 0, known, parent) != []  # as it was typed: the beginning of one alone
    assert earlier("python u.py", "/p", 0, known, parent) == []


def test_a_draft_says_that_its_numbers_are_of_before() -> None:
    draft = sweep(4)
    made = of_sweep(draft, {}, [run("old", sweep_id="swp_old")], now=0.0, at_once=2, disk_each=0.0)
    assert made is not None and (made.of, made.runs, made.wall_seconds) == ("old", 4, 120.0)
    assert made.text.startswith("One run of this command took ~60 s. 4 runs: ~2 min")
    alone = of_sweep(sweep(1), {}, [run("old", sweep_id="swp_old")], now=0.0, at_once=2, disk_each=0.0)
    assert alone is not None and "~60 s. 1 run: ~60 s" in alone.text


def test_a_sweep_that_is_over_has_no_estimate() -> None:
    made = rest(sweep(3, "a"), run("a"))
    for event in (sweep_life.StopSweep(9.0), sweep_life.Over(9.0, SweepStatus.FAILED, "x")):
        one = sweep(3, "a", estimate=made)
        for record in sweep_life.decide(one, event):
            one = sweep_life.evolve(one, record)
        assert one.estimate is None
