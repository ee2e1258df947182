"""Silence, pace, the GPU and memory: time is a field of the fact, so ten silent minutes cost nothing here."""

from __future__ import annotations

import pytest

from ragent_jupyter.rules.watch import LogLines, Points, Slept, System, Tick, Watch, replayed
from tests.unit.rules.watching import hear, loud, rows, say, short, wavy


def running(count: int = 60, every_s: float = 1.0) -> Watch:
    """A run that has logged a loss every `every_s` seconds; its last row was read at `count * every_s`."""
    state = Watch(run_id="run_a")
    for n, row in enumerate(rows("loss", wavy(2.0, count), every_s=every_s)):
        say(state, Points(source="m", rows=[row], at=(n + 1) * every_s))
    return state


def first_stall(state: Watch, start: float, stop: float = 20000.0, **more: object) -> float | None:
    """The first second of ticks, ten seconds apart, at which a stall is told."""
    at = start
    while at < stop:
        if short(say(state, Tick(at=at, **more))) == [("warning", "stall", "")]:  # type: ignore[arg-type]
            return at
        at += 10.0
    return None


def test_a_quick_run_that_is_silent_for_ten_minutes_has_stalled() -> None:
    assert first_stall(running(60), 60.0) == 660.0


def test_a_slow_run_is_given_ten_of_its_own_gaps() -> None:
    assert first_stall(running(60, every_s=120.0), 7200.0) == 7200.0 + 1200.0


def test_a_run_that_has_once_been_away_for_long_is_given_three_times_that() -> None:
    state = running(60)
    hear(state, rows("loss", [2.0], start=60 + 900), at=960.0)
    assert first_stall(state, 960.0) == pytest.approx(960.0 + 3 * 901.0, abs=10.0)


def test_a_stall_is_told_once_and_again_only_after_the_run_has_moved_and_the_cooldown_is_over() -> None:
    state = running(60)
    assert first_stall(state, 60.0) == 660.0
    assert first_stall(state, 670.0) is None
    again = hear(state, rows("loss", wavy(2.0, 10), start=61), at=30000.0)
    assert again == []
    assert first_stall(state, 30000.0, 40000.0) == 30600.0


def test_two_stalls_are_two_alerts() -> None:
    state = running(60)
    one = say(state, Tick(at=700.0))
    hear(state, rows("loss", wavy(2.0, 10), start=61), at=30000.0)
    two = say(state, Tick(at=30700.0))
    assert one[0].alert_id("run_a") != two[0].alert_id("run_a")


@pytest.mark.parametrize(
    "fact",
    [
        Tick(at=640.0, log_bytes=500),
        LogLines(at=640.0, lines=[(0, "saving checkpoint")]),
        Slept(at=640.0, gap_s=580.0),
        System(at=640.0, values={"gpu_util": 93.0}),
        Points(source="other", rows=rows("x", [1.0]), at=640.0),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_what_shows_life_or_a_witness_that_slept_is_no_stall(fact: object) -> None:
    state = running(60)
    say(state, Tick(at=61.0, log_bytes=100))
    say(state, fact)  # type: ignore[arg-type]
    assert say(state, Tick(at=700.0, log_bytes=state.log_bytes)) == []


def test_an_idle_gpu_is_no_sign_of_life() -> None:
    state = running(60)
    say(state, System(at=640.0, values={"gpu_util": 1.0}))
    assert short(say(state, Tick(at=700.0))) == [("warning", "stall", "")]


def test_a_run_that_logs_no_metrics_is_quiet_and_not_stalled() -> None:
    assert first_stall(Watch(), 0.0) is None


def test_after_a_first_evaluation_the_second_may_take_half_an_hour() -> None:
    state = running(60)
    hear(state, rows("val_loss", [2.0], start=60), at=60.0)
    assert first_stall(state, 60.0) == 60.0 + 1800.0


def test_an_ended_job_does_not_stall() -> None:
    from ragent_jupyter.rules.watch import JobEnded

    state = running(60)
    say(state, JobEnded(at=61.0, exit_code=0))
    assert first_stall(state, 61.0) is None


def test_a_clock_that_runs_back_after_a_reboot_starts_the_silence_anew() -> None:
    state = running(600)
    assert first_stall(state, 5.0, 5000.0) == 605.0


def test_a_replayed_log_is_judged_by_its_own_clock() -> None:
    found = rows("loss", wavy(2.0, 60))
    late = rows("loss", [2.0], start=60 + 5000)
    assert loud(say(Watch(), *replayed([*found, *late], "m"))) == [("warning", "stall", "")]
    assert loud(say(Watch(), *replayed(found, "m"))) == []


def test_throughput_that_stays_below_seven_tenths_of_its_best_for_ten_minutes_is_told() -> None:
    slow = rows("tokens_per_sec", [*[1000.0] * 60, *[600.0] * 140], every_s=10.0)
    raised = hear(Watch(), slow)
    assert short(raised) == [("warning", "throughput", "tokens_per_sec")]
    assert raised[0].evidence.threshold == 700.0
    assert 60 + 10 + 60 <= (raised[0].evidence.step or 0) <= 60 + 11 + 61
    assert hear(Watch(), rows("tokens_per_sec", [*[1000.0] * 60, *[600.0] * 50, *[1000.0] * 60], every_s=10.0)) == []


def test_evaluation_throughput_is_nobody_s_business() -> None:
    assert hear(Watch(), rows("eval_samples_per_second", [*[100.0] * 60, *[1.0] * 200], every_s=10.0)) == []


def test_a_gpu_that_worked_and_then_rests_for_ten_minutes_is_told_once() -> None:
    state = Watch()
    busy = [System(at=float(t), values={"gpu_util": 90.0}) for t in range(0, 100, 10)]
    idle = [System(at=float(t), values={"gpu_util": 0.0}) for t in range(100, 3000, 10)]
    raised = say(state, *busy, *idle)
    assert short(raised) == [("warning", "gpu_idle", "gpu_util")]
    assert raised[0].evidence.threshold == 600.0
    assert say(Watch(), *idle) == []  # it never worked: a run without a GPU of its own


def leak(step: float) -> list[System]:
    return [
        System(at=30.0 * n, values={"rss_bytes": (50.0 + step * n) * 1e9, "mem_limit_bytes": 100e9}) for n in range(60)
    ]


def test_memory_that_rises_steadily_to_its_limit_is_told_before_it_gets_there() -> None:
    raised = say(Watch(), *leak(0.5))
    assert short(raised) == [("warning", "memory", "rss")]
    assert raised[0].evidence.value is not None and 0.5 < float(raised[0].evidence.value) < 0.9


@pytest.mark.parametrize(
    "gigabytes",
    [[90.0] * 60, [min(85.0, 50.0 + 5.0 * n) for n in range(60)], [min(80.0, 50.0 + 1.5 * n) for n in range(40)]],
    ids=["level", "a cache that fills at once", "a cache that fills slowly"],
)
def test_memory_that_is_high_or_fills_a_cache_once_is_not(gigabytes: list[float]) -> None:
    samples = [
        System(at=30.0 * n, values={"rss_bytes": used * 1e9, "mem_limit_bytes": 100e9})
        for n, used in enumerate(gigabytes)
    ]
    assert say(Watch(), *samples[10:]) == []


def test_memory_that_will_not_reach_its_limit_before_the_run_ends_is_not() -> None:
    state = Watch()
    found = []
    for sample in leak(0.1):
        found += say(state, Tick(at=sample.at, eta_s=600.0), sample)
    assert found == []
