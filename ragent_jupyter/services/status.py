"""The one line on top of every surface, and what is well and what is not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragent_jupyter._version import __version__
from ragent_jupyter.domain.alert import AlertStatus, Severity
from ragent_jupyter.domain.ports import Executor
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wire import Check, StatusReply

from .runs import RunsDesk
from .scheduler import Scheduler
from .shell import Shell

_DISK_EVERY_S = 10.0
_DISK_WARN = 0.85
_DISK_ROOM_GIB = 50.0  # 85 % of a very large disk leaves room enough for a night


class StatusDesk:
    def __init__(
        self, shell: Shell, runs: RunsDesk, scheduler: Scheduler, executors: Mapping[str, Executor], project: Path
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.scheduler = scheduler
        self.executors = executors
        self.project = project
        self.started_at = shell.clock.now()
        self.draining = False
        self._disk_next = 0.0
        self._disk_said: str | None = None

    def status(self) -> StatusReply:
        counts: dict[str, int] = {}
        live = 0
        for run in self.shell.runs.values():
            counts[run.status.value] = counts.get(run.status.value, 0) + 1
            live += run.status.live
        alerts = sum(
            a.status is AlertStatus.PENDING and a.severity is not Severity.INFO for a in self.shell.alerts.values()
        )
        return StatusReply(
            project=str(self.project),
            version=__version__,
            log_id=self.shell.store.log_id,
            seq=self.shell.newest_seq(),
            pid=os.getpid(),
            started_at=self.started_at,
            counts=counts,
            live=live,
            queued=counts.get("queued", 0),
            alerts=alerts,
            best=self._best(),
            draining=self.draining,
            loops=sum(not loop.over for loop in self.shell.loops.values()),
            loops_waiting=sum(loop.question is not None for loop in self.shell.loops.values()),
            problem=str(self.shell.problem) if self.shell.problem else self._disk(),
        )

    def _disk(self) -> str | None:
        """A warning from 85 % on: a full disk fails every run at once."""
        now = self.shell.clock.mono()
        if now >= self._disk_next:
            self._disk_next = now + _DISK_EVERY_S
            try:
                used = shutil.disk_usage(self.project)
            except OSError as error:
                self._disk_said = f"The project's folder cannot be read: {error.strerror or error}."
                return self._disk_said
            share = 1 - used.free / used.total if used.total else 1.0
            room = used.free / (1 << 30)
            full = share > _DISK_WARN and room < _DISK_ROOM_GIB
            self._disk_said = (
                f"The disk is {share:.0%} full; {room:.1f} GiB are left. Free some space." if full else None
            )
        return self._disk_said

    def _confirmed(self, sweep: Sweep) -> dict[str, Any] | None:
        """What the loop of a sweep has confirmed: its mean on fresh seeds, and one of the runs it rests on."""
        loop = self.shell.loops.get(sweep.loop_id)
        won = [v for v in loop.verdicts if v.verdict == "confirmed" and v.mean is not None] if loop else []
        if loop is None or not won or not won[-1].runs or won[-1].runs[0] not in self.shell.runs:
            return None
        run = self.shell.runs[won[-1].runs[0]]
        return {
            "run": run.id,
            "name": run.alias or run.name,
            "metric": won[-1].metric or loop.setup.metric,
            "value": won[-1].mean,
            "mode": loop.setup.mode,
            "confirmed": True,
        }

    def _best(self) -> dict[str, Any] | None:
        """What the newest sweep's loop has confirmed; else the best finished run of that sweep, or of the newest run's
        primary metric."""
        sweeps = sorted((s for s in self.shell.sweeps.values() if not s.archived), key=lambda s: s.created_at)
        if sweeps:
            sweep = sweeps[-1]
            confirmed = self._confirmed(sweep)
            if confirmed is not None:
                return confirmed
            pool = [r for r in self.shell.runs.values() if r.sweep_id == sweep.id]
            primary, mode = sweep.primary, sweep.mode
        else:
            pool = [r for r in self.shell.runs.values() if r.primary]
            if not pool:
                return None
            newest = max(pool, key=lambda r: r.created_at)
            primary, mode = newest.primary or "", newest.mode
        sign = 1.0 if mode == "min" else -1.0
        found = []
        for run in pool:
            summary = self.runs.shown(run).summary.get(primary)
            value = None if summary is None else (summary.min if mode == "min" else summary.max)
            if value is not None and run.status.value in ("finished", "running"):
                found.append((sign * value, run.id, run.alias or run.name))
        if not found:
            return None
        value, run_id, name = min(found)
        return {
            "run": run_id,
            "name": name,
            "metric": primary,
            "value": sign * value,
            "mode": mode,
            "confirmed": False,
        }

    def doctor(self) -> list[Check]:
        """What the engine sees. Doors add what only they can see (the lab extension, the browser)."""
        checks = [Check(name="engine", ok=True, detail=f"ragent {__version__}, pid {os.getpid()}, {self.project}")]
        version = ".".join(map(str, sys.version_info[:3]))
        checks.append(Check(name="python", ok=sys.version_info >= (3, 10), detail=f"{version} at {sys.executable}"))
        asked = {name: executor.available() for name, executor in self.executors.items() if name != "fake"}
        served = any(ok for ok, _ in asked.values())
        for name, (ok, detail) in asked.items():
            # One that is missing is no fault while another stands in for it.
            said = detail if ok or not served else f"{detail} Runs start as plain processes until then."
            remedy = "" if ok or served else "No run can start before one of them is there."
            checks.append(Check(name=f"executor {name}", ok=ok or served, detail=said, remedy=remedy))
        gpus = self.scheduler.gpus.list()
        names = ", ".join(sorted({str(g.get("name", "GPU")) for g in gpus}))
        checks.append(Check(name="gpus", ok=True, detail=f"{len(gpus)}: {names}" if gpus else "none found"))
        free = shutil.disk_usage(self.project).free
        checks.append(
            Check(
                name="disk",
                ok=free > 1 << 30,
                detail=f"{free / (1 << 30):.1f} GiB free",
                remedy="" if free > 1 << 30 else "Free some space: runs fail when their logs cannot be written.",
            )
        )
        problem = self.shell.problem
        checks.append(
            Check(
                name="store",
                ok=problem is None,
                detail=f"log {self.shell.store.log_id}, {self.shell.newest_seq()} records"
                if problem is None
                else problem.problem,
                remedy=problem.remedy if problem else "",
            )
        )
        unwatched = [r.id for r in self.shell.live_runs() if r.health.startswith("unwatched")]
        if unwatched:
            checks.append(
                Check(
                    name="sidecars",
                    ok=False,
                    detail=f"{len(unwatched)} live runs are unwatched: {', '.join(unwatched[:3])}",
                    remedy="See sidecar.log in the run's folder.",
                )
            )
        return checks
