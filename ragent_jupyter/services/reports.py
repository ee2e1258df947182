"""The desk of reports: gathers what was recorded, lets the rules compose, and has a writer make the notebook."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Protocol

from ragent_jupyter.domain.errors import BadInput, CannotBeDone
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.report import Report, ReportData
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wire import CreateReport, ReportReply
from ragent_jupyter.rules.report import compose

from .report_record import environment, remembered, reserved
from .runs import RunsDesk
from .shell import Shell
from .sweeps import SweepsDesk

_POINTS = 1000
_COMPANIONS = 3  # further metrics that get a figure
_MAX_RUNS = 500


class NotebookWriter(Protocol):
    def write(self, path: Path, report: Report, data: ReportData) -> None:
        """A valid notebook with its outputs embedded, replaced whole. Raises OSError."""


class ReportsDesk:
    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        sweeps: SweepsDesk,
        metrics: MetricReader,
        project: Path,
        writer: NotebookWriter,
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.sweeps = sweeps
        self.metrics = metrics
        self.project = project
        self.writer = writer
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="reports")

    async def data(self, sweep_id: str | None, run_ids: list[str], title: str | None = None) -> ReportData:
        """What was recorded of a sweep or of some runs. Raises NotFound, BadInput."""
        if bool(sweep_id) == bool(run_ids):
            raise BadInput("A report is of one sweep or of some runs.", "Name a sweep, or one or more runs.")
        sweep = self.sweeps.get(sweep_id) if sweep_id else None
        if sweep is not None:
            runs = [self.runs.shown(r) for r in self.shell.runs.values() if r.sweep_id == sweep.id]
        else:
            runs = [self.runs.shown(self.runs.get(r)) for r in run_ids]
        if not runs:
            raise CannotBeDone("There is no run to report on yet.", "Start the sweep, or wait for its first run.")
        if len(runs) > _MAX_RUNS:
            raise CannotBeDone(f"{len(runs)} runs are too many for one report.", f"Name at most {_MAX_RUNS}.")
        runs.sort(key=lambda r: (r.created_at, r.id))
        primary, mode = (sweep.primary, sweep.mode) if sweep else self._primary(runs)
        ids = {r.id for r in runs}
        alerts = sorted((a for a in self.shell.alerts.values() if a.run_id in ids), key=lambda a: (a.raised_at, a.id))
        names = [primary, *self._companions(runs, primary)]

        def read() -> list[object]:
            found = []
            for name in names:
                for run in runs:
                    folder = str(self.runs.folder(run.id))
                    one = self.metrics.series(
                        folder, run.id, name, x="step", points=_POINTS, from_=None, to=None, since=None
                    )
                    if one is not None:
                        found.append(one)
            return list(found)

        series = await asyncio.get_running_loop().run_in_executor(self.pool, read)
        return ReportData(
            runs=runs,
            alerts=alerts,
            series=series,  # type: ignore[arg-type]
            primary=primary,
            mode=mode,
            sweep=self.sweeps.shown(sweep) if sweep else None,
            environment=environment(runs, self.shell.store.log_id, "command", runs[0].command),
            project=str(self.project),
            title=title or "",
        )

    def _primary(self, runs: list[Run]) -> tuple[str, Literal["min", "max"]]:
        for run in reversed(runs):
            if run.primary:
                return run.primary, run.mode
        names = [n for r in runs for n in r.summary]
        for wanted in ("val_loss", "eval_loss", "val/loss", "eval/loss", "loss", "train_loss", "train/loss"):
            if wanted in names:
                return wanted, "min"
        return (names[0] if names else "loss"), "min"

    def _companions(self, runs: list[Run], primary: str) -> list[str]:
        counts: dict[str, int] = {}
        for run in runs:
            for name in run.summary:
                if name != primary and not name.startswith("system/"):
                    counts[name] = counts.get(name, 0) + 1
        losses = sorted(counts, key=lambda n: ("loss" not in n.lower(), -counts[n], n))
        return losses[:_COMPANIONS]

    async def create(self, body: CreateReport) -> ReportReply:
        """Write the notebook and remember it. Raises BadInput for a path outside the project."""
        data = await self.data(body.sweep, body.runs, body.title)
        report = compose(data)
        path = self.named(body.path) if body.path is not None else None
        work = asyncio.get_running_loop()
        path = await work.run_in_executor(self.pool, self._write, path, report, data)
        findings = [sentence.text for sentence in report.sentences]
        return await remembered(self.shell, self.runs.new_id("rep"), path, report.title, findings, body.sweep)

    def _write(self, path: Path | None, report: Report, data: ReportData) -> Path:
        """Blocks. path None: a name of its own beside what is there."""
        named, folder = path is not None, self.project / "reports"
        try:
            path = path or reserved(folder, report.title)
            try:
                self.writer.write(path, report, data)
            except BaseException:
                if not named:
                    path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise CannotBeDone(
                f"The report could not be written to {path or folder}: {error.strerror or error}.",
                "Free some disk space, or name another path.",
            ) from error
        return path

    def named(self, wanted: str) -> Path:
        """The place that a person named. Raises BadInput outside the project, CannotBeDone where something is."""
        path = Path(os.path.realpath(self.project / wanted))
        inside = path.is_relative_to(os.path.realpath(self.project)) and ".ragent" not in path.parts
        if not inside or path.suffix != ".ipynb":
            raise BadInput(f"{wanted!r} is not a notebook inside the project.", "Name a path such as reports/lr.ipynb.")
        if path.exists():
            raise CannotBeDone(f"{path} is there already.", "Name another path, or remove it first.")
        return path
