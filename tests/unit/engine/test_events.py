"""The cursor of a subscriber: nothing that it is told lets it believe that it has heard more than it has."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.ports import Tx
from ragent_jupyter.engine.events import Cursor
from ragent_jupyter.services.shell import Change, Shell
from tests.support.mind import MemoryDisk, MemoryStore

SAVED = "prefs_changed"


def opened(store: MemoryStore | None = None) -> tuple[Shell, Any]:
    shell = Shell(store or MemoryStore(MemoryDisk()))
    shell.load()
    return shell, cast(Any, SimpleNamespace(shell=shell))


async def save(shell: Shell, times: int) -> None:
    for n in range(times):
        await shell.commit([Change(SAVED, {"id": "parallel", "value": n})])


@given(st.lists(st.sampled_from(["save", "whisper", "ring", "read", "cut"]), min_size=1, max_size=40))
def test_a_listener_that_goes_on_from_the_highest_seq_it_saw_hears_every_record_once(acts: list[str]) -> None:
    """Cut off after any line, the greeting among them, and connected again."""

    async def body() -> None:
        shell, engine = opened()
        cursor, heard, reached, unread = Cursor(engine, 0, None), [], 0, []

        def hear(lines: list[bytes]) -> None:
            nonlocal reached
            for line in lines:
                event = msgspec.json.decode(line)
                if event["type"] == SAVED:
                    heard.append(event["seq"])
                reached = max(reached, event["seq"])

        for act in [*acts, "cut", "read"]:
            match act:
                case "save":
                    await save(shell, 1)
                case "whisper":
                    shell.whisper("sessions", "part_delta", {"delta": "x"})
                case "ring":
                    shell.ring_bell("metrics", "metrics_changed", "run_1", {"run": "run_1"})
                case "read":
                    unread += cursor.read()
                    hear(unread[:1])
                    del unread[:1]
                case "cut":
                    cursor = Cursor(engine, reached, None)
                    hear([cursor.frame("hello", cursor.hello())])
                    unread = []
        hear(unread)
        assert heard == list(range(1, shell.newest_seq() + 1))

    asyncio.run(body())


def test_more_than_one_batch_lies_before_a_bell() -> None:
    async def body() -> None:
        shell, engine = opened()
        await save(shell, 600)
        cursor = Cursor(engine, 0, None)
        shell.ring_bell("metrics", "metrics_changed", "run_1", {"run": "run_1"})
        *lines, bell = [msgspec.json.decode(line) for line in cursor.read()]
        assert (len(lines), lines[-1]["seq"], bell["seq"]) == (500, 500, 500)

    asyncio.run(body())


class SlowStore(MemoryStore):
    """Its disk answers when it is let."""

    def __init__(self) -> None:
        super().__init__(MemoryDisk())
        self.let = asyncio.Event()

    async def commit(self, tx: Tx) -> list[int]:  # type: ignore[override]
        await self.let.wait()
        return await super().commit(tx)


def test_what_was_committed_is_told_although_its_caller_went_away() -> None:
    async def body() -> None:
        store = SlowStore()
        shell, engine = opened(store)
        cursor, told = Cursor(engine, 0, None), list[Change]()
        shell.listeners.append(told.append)
        leaving, staying = asyncio.ensure_future(save(shell, 1)), asyncio.ensure_future(save(shell, 1))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        store.let.set()
        await staying
        assert leaving.cancelled()
        assert [msgspec.json.decode(line)["seq"] for line in cursor.read()] == [1, 2]
        assert len(told) == 2

    asyncio.run(body())
