"""The desk of a wild loop's reports: gathers what was recorded, lets the rules compose, has a writer make the notebook.

It works at any moment: for a loop that goes on, that a limit ended, that failed, that never ran anything.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ragent_jupyter._version import __version__
from ragent_jupyter.domain.errors import CannotBeDone, RagentError
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wild import Entry, Loop, View
from ragent_jupyter.domain.wild_report import RunFact, WildData, WildReport
from ragent_jupyter.domain.wire import ReportReply
from ragent_jupyter.rules.wild_claims import as_metadata, resting_on
from ragent_jupyter.rules.wild_report import compose, mattered

from .runs import RunsDesk
from .shell import Change, Shell
from .sweeps import SweepsDesk

_POINTS = 400
_MOST_SERIES = 400  # runs whose curves are read; a value beyond that is the recorded summary's
_MOST_DIFFS = 50


class WildWriter(Protocol):
    def write(
        self, path: Path, shown: str, report: WildReport, data: WildData, claims: Mapping[str, dict[str, Any]]
    ) -> None:
        """A valid notebook with its outputs embedded, replaced whole. shown: its path for people. Raises OSError."""


class WildReports:
    """view_of: what is true about a loop now; raises NotFound.  diff: of two commits, where the loop edits code."""

    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        sweeps: SweepsDesk,
        metrics: MetricReader,
        project: Path,
        writer: WildWriter,
        view_of: Callable[[str], View],
        diff: Callable[[str, str], str] | None = None,
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.sweeps = sweeps
        self.metrics = metrics
        self.project = project
        self.writer = writer
        self.view_of = view_of
        self.diff = diff
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="wild-reports")

    async def data(self, loop_id: str) -> WildData:
        """What was recorded of a loop: a report, and each of its cells, is computed from it. Raises NotFound."""
        view = self.view_of(loop_id)
        loop = view.loop
        ids = {trial.run for trial in view.trials}
        runs = [self.shell.runs[trial.run] for trial in view.trials if trial.run in self.shell.runs]
        alerts = sorted((a for a in self.shell.alerts.values() if a.run_id in ids), key=lambda a: (a.raised_at, a.id))
        entries = self._entries(loop_id)
        wanted = resting_on(loop, view.trials)[:_MOST_SERIES]
        work = asyncio.get_running_loop()
        series = await work.run_in_executor(self.pool, self._series, loop.setup.metric, wanted)
        return WildData(
            view=msgspec.structs.replace(
                view,
                trials=[msgspec.structs.replace(t, curve=[]) if t.curve else t for t in view.trials],
                alerts=alerts,
                entries=[],
                rules=[],
            ),
            runs=[fact_of(run) for run in runs],
            series=series,
            ledger=mattered(entries),
            entries=len(entries),
            diffs=await work.run_in_executor(self.pool, self._diffs, loop),
            environment=self._environment(loop, runs),
            project=str(self.project),
        )

    def _entries(self, loop_id: str) -> list[Entry]:
        found = [msgspec.json.decode(data, type=Entry) for data in self.shell.store.load("entry", parent=loop_id)]
        return sorted(found, key=lambda e: e.n)

    def _series(self, metric: str, wanted: Sequence[str]) -> list[Series]:
        found = []
        for run in wanted if metric else []:
            folder = str(self.runs.folder(run))
            one = self.metrics.series(folder, run, metric, x="step", points=_POINTS, from_=None, to=None, since=None)
            if one is not None:
                found.append(one)
        return found

    def _diffs(self, loop: Loop) -> dict[str, str]:
        """commit -> its diff; a commit that git does not know any more has none, and the ledger's edit is shown."""
        found: dict[str, str] = {}
        if self.diff is None:
            return found
        for old, new in list(zip(loop.commits, loop.commits[1:], strict=False))[-_MOST_DIFFS:]:
            try:
                found[new] = self.diff(old, new)[:20_000]
            except RagentError as error:
                found[new] = f"The diff is not there any more: {error.problem}"
        return found

    def _environment(self, loop: Loop, runs: Sequence[Run]) -> dict[str, str]:
        about = {"ragent": __version__}
        if runs:
            about["Python of the runs"] = ", ".join(sorted({p for r in runs if (p := python_of(r))})) or "unknown"
            about["executor"] = ", ".join(sorted({r.executor for r in runs}))
        commits = {c[:12] + (" + uncommitted changes" if dirty else "") for r in runs for c, dirty in [_code(r)] if c}
        about["commit"] = ", ".join(sorted(commits)[:12]) or "not in a git repository"
        about["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        about["folder"] = loop.setup.cwd
        about["engine's Python"] = ".".join(map(str, sys.version_info[:3]))
        about["log"] = self.shell.store.log_id
        return about

    async def write(self, loop_id: str) -> str:
        """Write the notebook and remember it; its path. Raises NotFound, CannotBeDone where the disk refuses.

        A file that is there is somebody's: the report gets a name of its own.
        """
        data = await self.data(loop_id)
        path, report = await asyncio.get_running_loop().run_in_executor(self.pool, self._write, data)
        summary = report.summary
        reply = ReportReply(
            id=self.runs.new_id("rep"),
            path=str(path),
            title=report.title,
            sweep=None,
            created_at=self.shell.clock.now(),
            findings=[line.text for line in [*summary.real, *summary.tried, *summary.needs]],
        )
        await self.shell.commit([Change("report_created", msgspec.to_builtins(reply))])
        return str(path)

    def _write(self, data: WildData) -> tuple[Path, WildReport]:
        report = compose(data)
        folder = self.project / "reports"
        try:
            path = self._reserve(folder, data.view.loop)
            try:
                shown = str(path.relative_to(self.project))
                claims = {checked.claim.id: as_metadata(checked.claim) for checked in report.claims}
                self.writer.write(path, shown, report, data, claims)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise CannotBeDone(
                f"The report could not be written into {folder}: {error.strerror or error}.",
                "Free some disk space, or make the folder writable.",
            ) from error
        return path, report

    def _reserve(self, folder: Path, loop: Loop) -> Path:
        """A name that nobody has, taken by an empty file."""
        stem = re.sub(r"[^\w.-]+", "-", loop.goal.lower()).strip("-.")[:50].strip("-.") or "loop"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            path = folder / f"wild-{stem}{f'-{number}' if number > 1 else ''}.ipynb"
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            except FileExistsError:
                continue
            return path
        raise CannotBeDone(f"{folder} holds 10,000 reports of this name.", "Move some of them away.")


def python_of(run: Run) -> str:
    return f"{run.interpreter.version} ({run.interpreter.path})".strip() if run.interpreter else ""


def _code(run: Run) -> tuple[str, bool]:
    """(commit, whether the folder held more than it). A run in a tree executed that commit and nothing else."""
    if run.tree:
        return run.tree, False
    return (run.git.commit, run.git.dirty) if run.git else ("", False)


def fact_of(run: Run) -> RunFact:
    commit, dirty = _code(run)
    return RunFact(
        id=run.id,
        command=run.command,
        commit=commit,
        dirty=dirty,
        tree=bool(run.tree),
        python=python_of(run),
        executor=run.executor,
        started_at=run.started_at,
    )
