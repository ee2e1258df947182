"""The books of a loop: its time goes on over crashes, stands still while it rests, and sleep spends nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.model import Usage
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.wild import Loop, Option, Question, Setup, Spent
from ragent_jupyter.services.wild_book import Book, of_session
from ragent_jupyter.services.wild_view import WildViews

LOOP = Loop(
    id="wld_1", goal="g", created_at=0.0, setup=Setup(command="c", cwd="/"), spent=Spent(seconds=10.0, since=100.0)
)
ASKED = Question(id="q", text="?", options=[Option("yes", "Yes")], default="yes", asked_at=1.0)


class Clock:
    def __init__(self, now: float, mono: float) -> None:
        self.at, self.ticks = now, mono

    def now(self) -> float:
        return self.at

    def mono(self) -> float:
        return self.ticks


def book(loop: Loop, clock: Clock) -> Book:
    shell: Any = SimpleNamespace(clock=clock, loops={loop.id: loop}, sessions={})
    views: Any = SimpleNamespace(spent=lambda loop, disk: loop.spent)
    return Book(loop.id, shell, views, lambda entry: None)


def test_what_a_crash_kept_from_being_written_is_counted_up_to_a_minute() -> None:
    for now, seconds in [(130.0, 40.0), (5000.0, 70.0), (90.0, 10.0)]:
        made = book(LOOP, Clock(now, 7.0))
        made.caught_up()
        assert (made.loop.spent.seconds, made.loop.spent.since) == (seconds, now)


def test_a_loop_that_rested_lost_no_time() -> None:
    for rests in (replace(LOOP, paused=True), replace(LOOP, question=ASKED)):
        made = book(rests, Clock(130.0, 7.0))
        made.caught_up()
        assert made.loop.spent.seconds == 10.0


def test_time_is_counted_between_looks_and_sleep_is_not() -> None:
    clock = Clock(100.0, 0.0)
    made = book(LOOP, clock)
    clock.ticks, clock.at = 5.0, 105.0
    made.count()
    assert made.loop.spent.seconds == 15.0
    clock.ticks, clock.at = 5000.0, 5100.0
    made.count()
    assert made.loop.spent.seconds == 15.0


def test_a_question_is_not_answered_by_a_machine_that_slept() -> None:
    asked = replace(ASKED, asked_at=90.0, default_at=3690.0)
    clock = Clock(100.0, 0.0)
    made = book(replace(LOOP, question=asked), clock)
    clock.ticks, clock.at = 5.0, 105.0
    made.count()
    assert made.loop.question == asked
    clock.ticks, clock.at = 10.0, 30_110.0  # eight hours and twenty minutes with the lid closed
    made.count()
    assert made.loop.question == replace(asked, default_at=33_690.0)
    made.count()
    assert made.loop.question is not None and made.loop.question.default_at == 33_690.0
    clock.ticks, clock.at = 15.0, 100.0  # set back: waited for as it was shown
    made.count()
    assert made.loop.question.default_at == 33_690.0


def test_a_question_that_was_asked_after_the_sleep_is_not_put_off() -> None:
    clock = Clock(100.0, 0.0)
    made = book(LOOP, clock)
    clock.ticks, clock.at = 4.0, 9_004.0
    late = replace(ASKED, asked_at=9_003.0, default_at=9_100.0)
    made.shell.loops[LOOP.id] = replace(LOOP, question=late)
    made.count()
    assert made.loop.question == late


def test_a_run_spends_no_hours_while_the_machine_sleeps() -> None:
    clock = Clock(1000.0, 0.0)
    run = Run(
        id="run_1", name="", command="", argv=[], cwd="/", created_at=0.0, status=RunStatus.RUNNING, started_at=1000.0,
        gpus=2, sweep_id="swp_1",
    )  # fmt: skip
    shell: Any = SimpleNamespace(clock=clock, runs={run.id: run}, sweeps={}, alerts={})
    nothing: Any = SimpleNamespace()
    views = WildViews(shell, nothing, nothing, recent=lambda id: [], memory=list, slots=lambda loop: 1)
    loop = replace(LOOP, sweeps=["swp_1"])
    clock.ticks, clock.at = 5.0, 1005.0
    assert views.spent(loop).gpu_seconds == 10.0
    clock.ticks, clock.at = 10.0, 31_010.0
    spent = views.spent(loop)
    assert (spent.gpu_seconds, spent.cpu_seconds) == (20.0, 10.0)
    # It ends; another one begins after the sleep.
    shell.runs["run_1"] = replace(run, status=RunStatus.FINISHED, ended_at=31_015.0, cpu_s=3.0)
    shell.runs["run_2"] = replace(run, id="run_2", started_at=31_008.0)
    assert not views.read_out(shell.runs["run_1"])
    clock.ticks, clock.at = 20.0, 31_020.0
    spent = views.spent(loop)
    assert (spent.gpu_seconds, spent.cpu_seconds) == (2 * 15.0 + 2 * 12.0, 3.0 + 12.0)
    clock.ticks, clock.at = 21.0, 99_000.0  # asleep again right after the end: nobody could have read it out
    views.spent(loop)
    assert not views.read_out(shell.runs["run_1"])
    clock.ticks, clock.at = 60.0, 99_039.0
    assert views.read_out(shell.runs["run_1"])
    clock.at = 500.0  # set back: nothing is below nothing
    assert views.spent(loop).gpu_seconds >= 0.0


def test_tokens_are_what_the_chat_has_counted_and_never_become_fewer() -> None:
    used = of_session(Spent(tokens=50), Usage(input=30, output=40, cost=0.5, calls=2))
    assert (used.tokens, used.cost_usd, used.model_calls) == (70, 0.5, 2)
    assert of_session(used, Usage(input=1)).tokens == 70
    assert of_session(Spent(), Usage(input=1)).cost_usd is None
