"""The desk of a wild loop's reports: gathers what was recorded, lets the rules compose, has a writer make the notebook.

It works at any moment: for a loop that goes on, that a limit ended, that failed, that never ran anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.errors import CannotBeDone, RagentError
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wild import Entry, Loop, View
from ragent_jupyter.domain.wild_report import RunFact, WildData, WildReport
from ragent_jupyter.rules.wild_claims import as_metadata, resting_on
from ragent_jupyter.rules.wild_report import compose, mattered

from .report_record import code_of, environment, python_of, remembered, reserved
from .runs import RunsDesk
from .shell import Shell
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
            environment=environment(runs, self.shell.store.log_id, "folder", loop.setup.cwd),
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

    async def write(self, loop_id: str) -> str:
        """Write the notebook and remember it; its path. Raises NotFound, CannotBeDone where the disk refuses.

        A file that is there is somebody's: the report gets a name of its own.
        """
        data = await self.data(loop_id)
        path, report = await asyncio.get_running_loop().run_in_executor(self.pool, self._write, data)
        summary = report.summary
        findings = [line.text for line in [*summary.real, *summary.tried, *summary.needs]]
        await remembered(self.shell, self.runs.new_id("rep"), path, report.title, findings)
        return str(path)

    def _write(self, data: WildData) -> tuple[Path, WildReport]:
        report = compose(data)
        folder = self.project / "reports"
        try:
            path = reserved(folder, data.view.loop.goal, start="wild-", most=50, usual="loop")
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


def fact_of(run: Run) -> RunFact:
    commit, dirty = code_of(run)
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
