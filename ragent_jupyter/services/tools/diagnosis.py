"""Tools that work out by code what happened in a run: no model is asked, and every number is a recorded one."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.rules.diagnose import diagnose
from ragent_jupyter.rules.diagnose.markdown import analysis_text, comparison_text, diagnosis_text
from ragent_jupyter.rules.diagnose.words import Case, Diagnosis
from ragent_jupyter.rules.tool_text import fit

from ..alerts import AlertsDesk
from ..evidence import Evidence, newest
from ..runs import RunsDesk
from .base import SimpleTool, Tool, ToolContext
from .metrics import CurveReader
from .refs import HOW_TO_REFER, Ref, find_run, find_runs, in_order, key_metric

_COMPARED = 6  # runs that are compared where none is named
_MOST = 30


class AnalyzeRun(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref = ""


class DiagnoseRun(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref = ""


class CompareModels(Struct, frozen=True, forbid_unknown_fields=True):
    runs: list[Ref] = []
    metric: str = ""


class DiagnosisTools:
    def __init__(self, runs: RunsDesk, alerts: AlertsDesk, metrics: MetricReader) -> None:
        self.runs = runs
        self.alerts = alerts
        self.evidence = Evidence(runs, metrics, CurveReader(runs, metrics))

    async def look(self, run: Run) -> tuple[Case, Diagnosis]:
        """The case of a run and what the rules make of it."""
        shell = self.runs.shell
        case = await self.evidence.case(run, shell.runs.values(), shell.alerts.values(), shell.clock.now())
        return case, await asyncio.get_running_loop().run_in_executor(None, diagnose, case)

    async def analyze(self, args: AnalyzeRun, ctx: ToolContext) -> ToolOutcome:
        run = self._run(args.run, broken=False)
        case, diagnosis = await self.look(run)
        return _outcome(run, analysis_text(case, diagnosis))

    async def diagnose(self, args: DiagnoseRun, ctx: ToolContext) -> ToolOutcome:
        run = self._run(args.run, broken=True)
        case, diagnosis = await self.look(run)
        text = diagnosis_text(case, diagnosis)
        if args.run == "" and run.status is not RunStatus.FAILED:
            text = f"No run of this project has failed; this is the newest one.\n\n{text}"
        return _outcome(run, text)

    async def compare(self, args: CompareModels, ctx: ToolContext) -> ToolOutcome:
        shell = self.runs.shell
        if args.runs:
            found = find_runs(self.runs, args.runs)
        else:
            every = [r for r in in_order(shell.runs.values()) if not r.archived]
            logged = [r for r in every if self.runs.shown(r).summary]
            found = [self.runs.shown(r) for r in (logged if len(logged) > 1 else every)[-_COMPARED:]]
        if len(found) < 2:
            raise BadInput(
                f"{len(found)} run is there to compare." if found else "There is no run to compare yet.",
                "Name two or more runs.",
            )
        if len(found) > _MOST:
            raise BadInput(f"{len(found)} runs are too many to put side by side.", f"Name at most {_MOST}.")
        metric, direction = key_metric(found, args.metric or None)
        text = comparison_text(found, metric, direction)
        return ToolOutcome(
            text=fit(text, MAX_TOOL_TEXT, "Name fewer runs."),
            data={"card": "chart", "metric": metric, "runs": [r.id for r in found]}
            if metric
            else {"card": "runs", "runs": [r.id for r in found]},
            untrusted="names, settings and metrics of runs",
        )

    def _run(self, ref: Ref, *, broken: bool) -> Run:
        if ref != "":
            return find_run(self.runs, ref)
        shown = [r for r in self.runs.shell.runs.values() if not r.archived]
        run = newest(shown, broken=broken)
        if run is None:
            raise NotFound("There is no run in this project yet.", "Launch one first.")
        return self.runs.shown(run)


def _outcome(run: Run, text: str) -> ToolOutcome:
    return ToolOutcome(
        text=fit(text, MAX_TOOL_TEXT, "search_log and read_metrics show the rest."),
        data={"card": "run", "run": run.id},
        untrusted=f"job.log, metrics and settings of {run.id}",
    )


def diagnosis_tools(runs: RunsDesk, alerts: AlertsDesk, metrics: MetricReader) -> list[Tool]:
    made = DiagnosisTools(runs, alerts, metrics)
    return [
        SimpleTool(
            ToolSpec(
                name="analyze_run",
                title="Analyze a run",
                description="How a run went, worked out by code: first, last and best values with their steps, "
                "plateaus, "
                "spikes, NaN, overfitting, alerts, its likely trouble with the proving line, and what changed since "
                f"the last good run. run: which one; empty for the newest. {HOW_TO_REFER}",
                args=AnalyzeRun,
                effect="read",
                repeat="again",
            ),
            made.analyze,
        ),
        SimpleTool(
            ToolSpec(
                name="diagnose_run",
                title="Find out why a run failed",
                description="Why a run failed or stands still, worked out by code from its exit, log, curves and "
                "settings: "
                "ranked causes, each with the line of the log (or the step of the metric) that proves it, the frame in "
                "the run's own code, what to do, and what changed since the last good run. run: which one; empty for "
                f"the newest that failed. {HOW_TO_REFER}",
                args=DiagnoseRun,
                effect="read",
                repeat="again",
            ),
            made.diagnose,
        ),
        SimpleTool(
            ToolSpec(
                name="compare_models",
                title="Compare runs and their settings",
                description="Settings that differ between runs side by side with what came of them, and which is "
                "best so far. "
                f"runs: which ones; empty for the newest {_COMPARED} with metrics. metric: what to judge by; empty for "
                f"the one they are judged by. {HOW_TO_REFER}",
                args=CompareModels,
                effect="read",
                repeat="again",
            ),
            made.compare,
        ),
    ]
