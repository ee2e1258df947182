"""The group-commit thread by itself: what shares a commit, and who hears what."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from ragent_jupyter.adapters.store.writer import WINDOW_S, GroupWriter, Outcome, WriterClosed
from tests.support.wait import wait_until


class Disk:
    """Counts the batches; the first waits until it is let go."""

    def __init__(self, blocked: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.at: list[float] = []
        self.go = threading.Event()
        if not blocked:
            self.go.set()

    def perform(self, items: list[int]) -> Sequence[Outcome]:
        self.batches.append(items)
        self.at.append(time.monotonic())
        assert self.go.wait(5)
        return [[item] for item in items]


def test_what_queues_behind_a_commit_shares_the_next_one() -> None:
    disk = Disk(blocked=True)
    writer: GroupWriter[int] = GroupWriter(disk.perform)

    async def many() -> list[list[int]]:
        first = writer.put(0)
        await asyncio.to_thread(wait_until, lambda: disk.batches)
        rest = [writer.put(n) for n in range(1, 50)]
        disk.go.set()
        return [await first, *[await answer for answer in rest]]

    assert asyncio.run(many()) == [[n] for n in range(50)]
    assert disk.batches == [[0], list(range(1, 50))]
    writer.close()


def test_a_lone_caller_never_waits_for_company() -> None:
    disk = Disk()
    writer: GroupWriter[int] = GroupWriter(disk.perform)
    for n in range(100):
        assert writer.put_and_wait(n) == [n]
    gaps = sorted(b - a for a, b in zip(disk.at, disk.at[1:], strict=False))
    assert gaps[25] < WINDOW_S / 2, "whoever waits for company waits for a window each time"
    assert len(disk.batches) == 100
    writer.close()


def test_a_crowd_commits_at_most_once_a_window() -> None:
    disk = Disk()
    writer: GroupWriter[int] = GroupWriter(disk.perform)

    async def crowd() -> None:
        async def caller(start: int) -> None:
            for n in range(10):
                assert await writer.put(start + n) == [start + n]

        await asyncio.gather(*[caller(100 * n) for n in range(40)])

    asyncio.run(crowd())
    gaps = [b - a for a, b, batch in zip(disk.at, disk.at[1:], disk.batches, strict=False) if len(batch) > 1]
    assert len(gaps) >= 8
    assert min(gaps) > WINDOW_S * 0.9
    assert sum(len(batch) for batch in disk.batches) == 400
    writer.close()


def test_an_error_of_one_is_heard_by_that_one() -> None:
    def perform(items: list[int]) -> Sequence[Outcome]:
        return [ValueError(str(item)) if item % 2 else [item] for item in items]

    writer: GroupWriter[int] = GroupWriter(perform)

    async def both() -> list[list[int] | BaseException]:
        return await asyncio.gather(*[writer.put(n) for n in range(4)], return_exceptions=True)

    answers = asyncio.run(both())
    assert [answer if isinstance(answer, list) else str(answer) for answer in answers] == [[0], "1", [2], "3"]
    writer.close()


def test_a_bug_in_the_work_answers_its_callers_and_does_not_end_the_thread() -> None:
    broken = True

    def perform(items: list[int]) -> Sequence[Outcome]:
        if broken:
            raise ZeroDivisionError
        return [[item] for item in items]

    writer: GroupWriter[int] = GroupWriter(perform)
    with pytest.raises(ZeroDivisionError):
        writer.put_and_wait(1)
    broken = False
    assert writer.put_and_wait(2) == [2]
    writer.close()


def test_a_loop_that_ended_meanwhile_does_not_end_the_thread() -> None:
    disk = Disk(blocked=True)
    writer: GroupWriter[int] = GroupWriter(disk.perform)

    async def leave() -> None:
        writer.put(1)

    asyncio.run(leave())
    disk.go.set()
    assert writer.put_and_wait(2) == [2]
    writer.close()


def test_closing_commits_what_is_queued_and_takes_nothing_more() -> None:
    disk = Disk(blocked=True)
    writer: GroupWriter[int] = GroupWriter(disk.perform)

    async def three() -> list[list[int]]:
        answers = [writer.put(n) for n in range(3)]
        closing = asyncio.ensure_future(asyncio.to_thread(writer.close))
        await asyncio.to_thread(wait_until, lambda: writer.closing)
        with pytest.raises(WriterClosed):
            writer.put(9)
        disk.go.set()
        await closing
        return [await answer for answer in answers]

    assert asyncio.run(three()) == [[0], [1], [2]]
