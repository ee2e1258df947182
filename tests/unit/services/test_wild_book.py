"""The books of a loop: its time goes on over crashes, stands still while it rests, and sleep spends nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.model import Usage
from ragent_jupyter.domain.wild import Loop, Option, Question, Setup, Spent
from ragent_jupyter.services.wild_book import Book, of_session

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


def test_tokens_are_what_the_chat_has_counted_and_never_become_fewer() -> None:
    used = of_session(Spent(tokens=50), Usage(input=30, output=40, cost=0.5, calls=2))
    assert (used.tokens, used.cost_usd, used.model_calls) == (70, 0.5, 2)
    assert of_session(used, Usage(input=1)).tokens == 70
    assert of_session(Spent(), Usage(input=1)).cost_usd is None
