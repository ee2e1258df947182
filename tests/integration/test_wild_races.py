"""Wishes and crashes at the worst moments of a wild loop: between two things that belong together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.adapters.executors.process import ProcessExecutor
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, MissingPart, WrongMoment
from ragent_jupyter.domain.wild import Entry, Limits, Loop
from ragent_jupyter.domain.wire_wild import ChangeLimits, CreateLoop, PatchLoop, ReorderEvents, StopLoop
from ragent_jupyter.engine.app import Engine
from tests.support.engine import Project

from .test_wild import SCRIPT

pytestmark = pytest.mark.timeout(120)


class Night:
    """An engine within the test, so that the test can step between any two lines of it."""

    def __init__(self, one: Project) -> None:
        self.one = one
        self.engine: Engine

    async def begin(self, **fields: Any) -> Loop:
        self.one.script("train.py", SCRIPT)
        fields.setdefault("limits", Limits(runs=12))
        body = CreateLoop(
            goal="lower val_loss", command=f"{sys.executable} train.py", executor="process",
            **{"parallel": 2, **fields},
        )  # fmt: skip
        made: Loop = await self.desk.create(body)
        return made

    @property
    def desk(self) -> Any:
        return self.engine.wild.desk

    def loop(self, loop: Loop) -> Loop:
        return self.engine.shell.loops[loop.id]

    async def until(self, condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
        for _ in range(int(timeout / 0.02)):
            if found := condition():
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"not within {timeout:.0f} s: {what}")

    async def quiet(self) -> None:
        """Nothing runs and nothing will."""
        shell = self.engine.shell
        await self.until(lambda: all(s.status.terminal for s in shell.sweeps.values()), "all sweeps to end")
        await self.until(lambda: all(r.status.terminal for r in shell.runs.values()), "all runs to end")

    def ledger(self, loop: Loop) -> list[Entry]:
        entries: list[Entry] = self.desk.journal(loop.id).entries
        return entries

    async def serve(self, do: Callable[[], Awaitable[None]]) -> None:
        folder: Path = self.one.folder
        self.engine = Engine(folder, executors={"process": ProcessExecutor(str(folder))})
        serving = asyncio.ensure_future(self.engine.run())
        try:
            await do()
        finally:
            self.engine.drain("the test is over")
            await serving


@contextmanager
def slowed(owner: Any, name: str) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """(somebody is about to call it, let them): the first call of a coroutine function waits."""
    called, go, real = asyncio.Event(), asyncio.Event(), getattr(owner, name)

    async def waits(*args: Any, **more: Any) -> Any:
        called.set()
        await go.wait()
        return await real(*args, **more)

    setattr(owner, name, waits)
    try:
        yield called, go
    finally:
        setattr(owner, name, real)


def test_a_stop_while_a_sweep_is_being_made_stops_that_sweep_too(one: Project) -> None:
    night = Night(one)

    async def do() -> None:
        with slowed(night.engine.sweeps, "create") as (called, go):
            loop = await night.begin()
            await called.wait()
            await night.desk.stop(loop.id, StopLoop())
            go.set()
            await night.until(lambda: night.engine.shell.sweeps, "the sweep to come to be")
        await night.until(lambda: night.loop(loop).report, "the report")
        await night.quiet()
        now = night.loop(loop)
        assert (now.stage.value, now.end) == ("ended", "stopped")
        assert {sweep.status.value for sweep in night.engine.shell.sweeps.values()} == {"stopped"}
        assert not [run for run in night.engine.shell.runs.values() if run.started_at]

    asyncio.run(night.serve(do))


def test_a_stop_whose_sweeps_a_crash_left_running_is_carried_out_by_the_next_engine(one: Project) -> None:
    night = Night(one)
    found: list[Loop] = []

    async def cut() -> None:
        loop = await night.begin(env={"STEP_S": "0.3"})
        found.append(loop)
        await night.until(lambda: night.engine.shell.live_runs(), "a run to live")
        with slowed(night.engine.sweeps, "stop") as (called, _):
            asking = asyncio.ensure_future(night.desk.stop(loop.id, StopLoop()))
            await called.wait()
            asking.cancel()  # what kill -9 leaves: the wish is remembered, its sweeps are not stopped

    async def again() -> None:
        await night.until(lambda: night.loop(found[0]).report, "the report")
        await night.quiet()
        assert night.loop(found[0]).end == "stopped"
        assert {sweep.status.value for sweep in night.engine.shell.sweeps.values()} == {"stopped"}

    asyncio.run(night.serve(cut))
    asyncio.run(night.serve(again))


def test_a_stop_that_the_disk_refused_halfway_is_carried_out_when_it_is_said_again(one: Project) -> None:
    night = Night(one)

    async def do() -> None:
        loop = await night.begin(env={"STEP_S": "0.3"})
        await night.until(lambda: night.engine.shell.live_runs(), "a run to live")
        real = night.engine.sweeps.stop

        async def refuses(*_: Any, **__: Any) -> Any:
            night.engine.sweeps.stop = real  # type: ignore[method-assign]
            raise MissingPart("The disk is full.", "Make room.")

        night.engine.sweeps.stop = refuses  # type: ignore[method-assign]
        with pytest.raises(MissingPart):
            await night.desk.stop(loop.id, StopLoop())
        await night.desk.stop(loop.id, StopLoop())
        assert {sweep.status.value for sweep in night.engine.shell.sweeps.values()} == {"stopped"}
        await night.quiet()
        assert [e.action["wish"] for e in night.ledger(loop) if e.by == "human"] == ["start", "stop"]

    asyncio.run(night.serve(do))


def test_a_report_that_a_crash_cut_off_is_written_by_the_next_engine(one: Project) -> None:
    night = Night(one)
    found: list[Loop] = []

    async def cut() -> None:
        with slowed(night.engine.wild.work.reports, "write") as (called, _):
            found.append(await night.begin(limits=Limits(runs=4)))
            await asyncio.wait_for(called.wait(), 60)

    async def again() -> None:
        await night.until(lambda: night.loop(found[0]).report, "the report", 30)
        assert night.loop(found[0]).over

    asyncio.run(night.serve(cut))
    asyncio.run(night.serve(again))


def test_no_run_is_started_while_a_loop_is_paused_queued_or_not(one: Project) -> None:
    night = Night(one)

    async def do() -> None:
        await night.engine.set_prefs({"parallel": 1})
        loop = await night.begin(parallel=8, env={"STEP_S": "0.1"}, limits=Limits(runs=20))
        shell = night.engine.shell
        await night.until(lambda: night.engine.scheduler.queue(), "runs to wait for a slot")
        await night.desk.pause(loop.id)
        began = {run.id for run in shell.runs.values() if run.started_at or run.status.live}
        await night.until(lambda: not shell.live_runs(), "what lives to end")
        other = await night.engine.runs.create(one_run(one))
        await night.until(lambda: shell.runs[other.id].status.terminal, "a run of the person's own")
        assert {r.id for r in shell.runs.values() if r.started_at or r.status.live} == began | {other.id}
        await night.desk.resume(loop.id)
        await night.until(lambda: len([r for r in shell.runs.values() if r.started_at]) > len(began) + 1, "a next run")
        await night.desk.stop(loop.id, StopLoop(now=True))

    asyncio.run(night.serve(do))


def one_run(one: Project) -> Any:
    from ragent_jupyter.domain.wire import CreateRun

    return CreateRun(command="true", cwd=str(one.folder), python=sys.executable, executor="process")


def test_after_a_stop_that_spares_its_runs_none_of_the_queue_is_started(one: Project) -> None:
    night = Night(one)

    async def do() -> None:
        await night.engine.set_prefs({"parallel": 1})
        loop = await night.begin(parallel=8, env={"STEP_S": "0.1"}, limits=Limits(runs=20))
        shell = night.engine.shell
        await night.until(lambda: night.engine.scheduler.queue() and shell.live_runs(), "runs to wait for a slot")
        await night.desk.stop(loop.id, StopLoop(runs=False))
        began = {run.id for run in shell.runs.values() if run.started_at or run.status.live}
        await night.quiet()
        assert {run.id for run in shell.runs.values() if run.started_at} == began
        assert {shell.runs[id].status.value for id in began} == {"finished"}

    asyncio.run(night.serve(do))


def test_a_loop_that_has_ended_is_changed_by_no_wish(one: Project) -> None:
    night = Night(one)

    async def do() -> None:
        loop = await night.begin(env={"STEP_S": "0.3"})
        await night.desk.stop(loop.id, StopLoop(now=True))
        await night.until(lambda: night.loop(loop).report, "the report")
        before = night.loop(loop)
        wishes = [
            night.desk.patch(loop.id, PatchLoop(goal="something else")),
            night.desk.limits(loop.id, ChangeLimits(limits={"runs": 99})),
            night.desk.reorder(loop.id, ReorderEvents()),
        ]
        for wish in wishes:
            with pytest.raises(WrongMoment, match="ended"):
                await wish
        assert night.loop(loop) == before

    asyncio.run(night.serve(do))


def test_what_a_patch_may_say_is_what_a_start_may_say(one: Project) -> None:
    night = Night(one)

    async def do() -> None:
        loop = await night.begin(autonomy="cautious")
        for patch in (PatchLoop(goal="x" * 5000), PatchLoop(goal=" "), PatchLoop(model="m" * 5000)):
            with pytest.raises(BadInput):
                await night.desk.patch(loop.id, patch)
        assert night.loop(loop).goal == "lower val_loss"
        fields: list[dict[str, Any]] = [{"cwd": "a" * 5000}, {"eval_files": ["a" * 5000]}]
        for wrong in fields:
            with pytest.raises(CannotBeDone, match="does not exist"):
                await night.begin(**wrong)
        await night.desk.stop(loop.id, StopLoop())

    asyncio.run(night.serve(do))


def test_a_run_that_cannot_be_looked_at_again_does_not_stop_the_clock(one: Project) -> None:
    night = Night(one)

    async def do() -> None:
        async def refuses(_: Any) -> None:
            raise PermissionError("not yours")

        night.engine.wild.work.look_again = refuses
        loop = await night.begin(eval_files=["train.py"], limits=Limits(hours=4 / 3600))
        await night.until(lambda: night.loop(loop).over, "the time limit to be kept", 30)
        assert night.loop(loop).budget == "hours"
        await night.quiet()

    asyncio.run(night.serve(do))
