"""A made night (`wild_made`) as a project's record: runs, sweeps and the loop stand in a shell, metrics in a table."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.adapters.wild_notebook import WildNotebooks
from ragent_jupyter.domain.run import Interpreter, MetricSummary, Run, RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.domain.wild import Entry, Loop, TrialView, View
from ragent_jupyter.services.shell import Change
from ragent_jupyter.services.wild_reports import WildReports
from ragent_jupyter.services.wild_view import WildViews
from tests.unit.services.desks import Desks

from .wild_made import LEDGER, Night


class Record:
    """`desks` with a loop in it. `reports` writes its report; `finish` ends runs with a value."""

    def __init__(self, project: Path, loop: Loop, night: Night) -> None:
        self.project = project
        self.desks = Desks(project)
        self.shell = self.desks.shell
        self.loop = msgspec.structs.replace(
            loop, setup=msgspec.structs.replace(loop.setup, cwd=str(project), executor="process")
        )
        self.shell.loops[loop.id] = self.loop
        places: dict[str, list[TrialView]] = defaultdict(list)
        for trial in night.trials:
            places[trial.sweep].append(trial)
            self._keep(trial)
        for sweep, trials in places.items():
            self.shell.sweeps[sweep] = Sweep(
                id=sweep,
                name=sweep,
                command=loop.setup.command,
                cwd=str(project),
                created_at=1.0,
                space=SearchSpace(method="list", flag=loop.setup.flag),
                status=SweepStatus.FINISHED,
                trials=[Trial(index=t.index, params=self._params(t), run_ids=[t.run], tree=t.commit) for t in trials],
                parallel=4,
                primary=loop.setup.metric,
                executor="process",
                interpreter="/usr/bin/python3",
                loop_id=loop.id,
                purpose=trials[0].purpose,
            )
        self.views = WildViews(
            self.shell,
            self.desks.runs,
            self.desks.curves,
            recent=lambda loop_id: [],
            memory=list,
            slots=lambda loop: 1,
        )
        self.reports = WildReports(
            self.shell,
            self.desks.runs,
            self.desks.sweeps,
            self.desks.curves,
            project,
            WildNotebooks(),
            self.view_of,
        )

    def _params(self, trial: TrialView) -> dict[str, Any]:
        return {**trial.params, self.loop.setup.seed or "seed": trial.seed}

    def _keep(self, trial: TrialView) -> None:
        metric = self.loop.setup.metric
        value = trial.value
        summary = {metric: MetricSummary(last=value, step=9, min=value, max=1.0, count=10)} if value is not None else {}
        if value is not None:
            self.desks.curves.values[trial.run, metric] = [value + 0.5, value + 0.2, value]
        self.desks.run(
            trial.run,
            trial.run,
            at=len(self.shell.runs),
            params=self._params(trial),
            seed=trial.seed,
            sweep_id=trial.sweep,
            trial=trial.index,
            status=RunStatus(trial.status),
            summary=summary,
            tree=trial.commit,
            primary=metric,
            interpreter=Interpreter("/usr/bin/python3", version="3.11.7"),
            started_at=1.0,
            ended_at=13.5,
            cwd=str(self.project),
            command=f"{self.loop.setup.command} --seed {trial.seed}",
        )

    def view_of(self, loop_id: str) -> View:
        from ragent_jupyter.domain.errors import NotFound

        loop = self.shell.loops.get(loop_id)
        if loop is None:
            raise NotFound(f"No wild loop {loop_id!r} in this project.", "List them.")
        return self.views.view(loop)

    async def remember(self, entries: list[Entry] = LEDGER) -> None:
        await self.shell.commit([Change("wild_entry", entry) for entry in entries])

    async def finish(self, run_id: str, value: float | None, **fields: Any) -> Run:
        """The run has ended with this value (None: it failed), and its sweep if it was the last."""
        run = self.shell.runs[run_id]
        summary = {self.loop.setup.metric: MetricSummary(last=value, min=value, max=1.0, count=1)}
        ended = msgspec.structs.replace(
            run,
            status=RunStatus.FAILED if value is None else RunStatus.FINISHED,
            summary={} if value is None else summary,
            settled=True,
            started_at=1.0,
            ended_at=2.0,
            **fields,
        )
        await self.shell.commit([Change("run_ended", ended)])
        await self.desks.sweeps.advance(run.sweep_id or "")
        return ended
