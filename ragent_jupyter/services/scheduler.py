"""Gives slots: whenever something changed, whoever may start now is placed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

from ragent_jupyter.domain.errors import RagentError, WrongMoment
from ragent_jupyter.domain.ports import Gpus
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.rules import run_life
from ragent_jupyter.rules.schedule import Placement, gpus_from, place, waits

from .runs import RunsDesk
from .shell import Shell
from .sweeps import SweepsDesk

log = logging.getLogger("ragent.engine")

_RETRY_S = 5.0  # a queue that waits for a foreign process on a GPU is looked at again this often


class Scheduler:
    def __init__(self, shell: Shell, runs: RunsDesk, sweeps: SweepsDesk, gpus: Gpus) -> None:
        self.shell = shell
        self.runs = runs
        self.sweeps = sweeps
        self.gpus = gpus
        self._wake = asyncio.Event()
        self._stopping = False
        self._gpus_seen = 0  # as many as the last look found

    @property
    def parallel(self) -> int:
        """How many runs without GPUs live at once: the pref, else one a core."""
        wanted = self.shell.prefs.get("parallel")
        return wanted if isinstance(wanted, int) and wanted > 0 else max(1, os.cpu_count() or 1)

    def at_once(self, wanted: int, gpus: int, share: bool = False) -> int:
        """How many of `wanted` runs, each on so many GPUs, may live together on this machine; at least 1."""
        if not gpus:
            return max(1, min(wanted, self.parallel))
        return max(1, wanted if share or not self._gpus_seen else min(wanted, self._gpus_seen // gpus))

    def nudge(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def queue(self) -> list[Run]:
        queued = [r for r in self.shell.runs.values() if r.status is RunStatus.QUEUED]
        return sorted(queued, key=lambda r: (r.order, r.id))

    def ready(self) -> list[Run]:
        """Those of the queue that may start: what a paused loop holds back takes nobody's place."""
        return [run for run in self.queue() if not self.sweeps.rests(run)]

    async def run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self.sweeps.advance_all()
                await self.place()
            except RagentError as error:
                log.error("the queue does not get on: %s", error)
            except Exception:
                log.exception("a round of the scheduler failed; the next one follows")
            try:
                await asyncio.wait_for(self._wake.wait(), _RETRY_S if self.queue() else 60.0)
            except asyncio.TimeoutError:
                continue

    async def place(self) -> None:
        queued = self.ready()
        if not queued:
            return
        live = self.shell.live_runs()
        gpus = []
        if any(r.gpus for r in queued):
            listing = await asyncio.get_running_loop().run_in_executor(None, self.gpus.list)
            self._gpus_seen = len(listing)
            own = frozenset(await asyncio.get_running_loop().run_in_executor(None, self.own_pids, live))
            gpus = gpus_from(listing, own)
            queued, live = self.ready(), self.shell.live_runs()  # the world went on while we looked
        # Together, so that many launches share one fsync; each is decided at once, in queue order.
        placed = place(queued, live, gpus, self.parallel)
        said = waits(queued, placed, gpus)
        started = {placement.run_id for placement in placed}
        others = [r for r in queued if r.id not in started and r.waits != said.get(r.id, "")]
        await asyncio.gather(
            *(self._launch(placement) for placement in placed),
            *(self._wait(run, said.get(run.id, "")) for run in others),
        )

    async def _launch(self, placement: Placement) -> None:
        run = self.shell.runs[placement.run_id]
        wish = run_life.Place(self.shell.clock.now(), placement.gpu_ids, run.executor)
        with contextlib.suppress(WrongMoment):  # cancelled a moment ago
            await self.runs.feed(run.id, wish)

    async def _wait(self, run: Run, why: str) -> None:
        with contextlib.suppress(WrongMoment):  # cancelled a moment ago
            await self.runs.feed(run.id, run_life.Waits(why))

    def own_pids(self, live: list[Run]) -> list[int]:
        """Processes of our live runs, with their descendants: what they hold is not foreign."""
        import psutil

        pids: list[int] = []
        for run in live:
            if run.pid is None:
                continue
            pids.append(run.pid)
            try:
                pids += [p.pid for p in psutil.Process(run.pid).children(recursive=True)]
            except psutil.Error:
                continue  # it ended while we looked
        return pids
