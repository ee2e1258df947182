"""Tools about runs: list them, show one."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.rules.config_diff import script_of, settings_of
from ragent_jupyter.rules.digest import direction_of
from ragent_jupyter.rules.environment import shown_env
from ragent_jupyter.rules.stats import span
from ragent_jupyter.rules.tool_text import code, fit, lines_of, one_line, settings, table, when, word

from ..alerts import AlertsDesk
from ..runs import RunsDesk
from .base import SimpleTool, Tool, ToolContext
from .refs import (
    HOW_TO_REFER,
    Ref,
    at,
    best_of,
    find_run,
    in_order,
    key_metric,
    ranked_names,
    status_of,
)

_METRICS = 40  # shown of one run
_MOST = 200


class ListRuns(Struct, frozen=True, forbid_unknown_fields=True):
    status: list[RunStatus] = []
    sweep: str = ""
    tag: str = ""
    text: str = ""
    metric: str = ""
    sort: Literal["newest", "oldest", "name", "best", "duration"] = "newest"
    archived: bool = False
    limit: int = 30


class ShowRun(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref
    exact: bool = False


class RunTools:
    def __init__(self, runs: RunsDesk, alerts: AlertsDesk) -> None:
        self.runs = runs
        self.alerts = alerts

    # --- looking ---------------------------------------------------------------------------------------------------
    async def list_runs(self, args: ListRuns, ctx: ToolContext) -> ToolOutcome:
        everything = in_order(self.runs.shell.runs.values())
        numbers = {run.id: n for n, run in enumerate(everything, 1)}
        found = [self.runs.shown(r) for r in everything if args.archived or not r.archived]
        counts: dict[str, int] = {}
        for run in found:
            counts[run.status.value] = counts.get(run.status.value, 0) + 1
        total = len(found)
        found = [r for r in found if self._fits(r, args)]
        metric, direction = key_metric(found, args.metric or None) if found else ("", "")
        found = _sorted(found, args.sort, metric, direction, self.runs.shell.clock.now())
        shown = found[: max(1, min(args.limit, _MOST))]
        rows = []
        for run in shown:
            name, way = (metric, direction) if args.metric or args.sort == "best" else key_metric([run])
            summary = run.summary.get(name)
            best = best_of(summary, way)
            said = f"{word(name, 40)}: {way} {at(*best)}" if best else f"{word(name, 40)}" if name else ""
            last = at(summary.last, summary.step) if summary else "no data"
            tags = ",".join(word(t, 30) for t in run.tags[:5])
            label = word(run.alias or run.name, 60)
            rows.append(
                [numbers[run.id], run.id, label, status_of(run), said or "no metric", last, when(run.created_at), tags]
            )
        if not total:
            return ToolOutcome(text="There are no runs in this project yet.", data={"card": "runs", "runs": []})
        counted = ", ".join(f"{n} {status}" for status, n in counts.items())
        head = f"{len(shown)} of {len(found)} runs that fit; the project has {total} ({counted})."
        if not found:
            head = f"No run fits; the project has {total} ({counted})."
        lines = [head]
        if rows:
            lines += table(["n", "id", "name", "status", "best @ step", "last @ step", "created", "tags"], rows)
        return ToolOutcome(
            text=fit("\n".join(lines), MAX_TOOL_TEXT, "Ask for fewer with limit or a filter."),
            data={"card": "runs", "runs": [r.id for r in shown]},
            untrusted="names of runs, metrics and tags" if rows else "",
        )

    def _fits(self, run: Run, args: ListRuns) -> bool:
        if args.status and run.status not in args.status:
            return False
        if args.tag and args.tag not in run.tags:
            return False
        if args.sweep:
            sweep = self.runs.shell.sweeps.get(run.sweep_id or "")
            called = {run.sweep_id or "", (run.sweep_id or "").partition("_")[2], sweep.name if sweep else ""}
            if args.sweep not in called - {""}:
                return False
        text = f"{run.id} {run.name} {run.alias} {run.command} {' '.join(run.tags)} {run.notes}".casefold()
        return all(part in text for part in args.text.casefold().split())

    async def show_run(self, args: ShowRun, ctx: ToolContext) -> ToolOutcome:
        run = find_run(self.runs, args.run)
        number = [r.id for r in in_order(self.runs.shell.runs.values())].index(run.id) + 1
        now = self.runs.shell.clock.now()
        text = lines_of(
            [
                f"run {run.id}, number {number}, {word(run.alias or run.name)}",
                f"alias of: {word(run.name)}" if run.alias else None,
                f"status: {status_of(run)}",
                *_reason(run),
                f"command: {code(run.command)}",
                f"script: {code(script_of(run), 300)}",
                f"cwd: {code(run.cwd, 500)}",
                f"interpreter: {code(run.interpreter.path, 300)} {run.interpreter.version}".rstrip()
                if run.interpreter
                else None,
                f"settings: {settings(settings_of(run))}"
                if settings_of(run)
                else "settings: none in params or command",
                f"env set for it: {settings(dict(shown_env(run.env)))}" if run.env else None,
                _where(run),
                f"sweep: {run.sweep_id}, trial {(run.trial or 0) + 1}" if run.sweep_id else None,
                f"retry of: {run.retry_of}" if run.retry_of else None,
                _git(run),
                _times(run, now),
                _progress(run),
                f"health: {word(run.health)}" if run.health else None,
                f"tags: {', '.join(word(t, 60) for t in run.tags[:20])}" if run.tags else None,
                f"notes: {one_line(run.notes, 1000)}" if run.notes else None,
                *self._alerts(run),
                *_metrics(run, args.exact),
            ]
        )
        return ToolOutcome(
            text=fit(text, MAX_TOOL_TEXT),
            data={"card": "run", "run": run.id},
            untrusted=f"names, command and log of {run.id}",
        )

    def _alerts(self, run: Run) -> list[str]:
        alerts = self.alerts.page(run=run.id, limit=20).alerts
        loud = [a for a in alerts if a.severity.value != "info" or a.status.value == "pending"]
        calm = sum(a.run_id == run.id for a in self.runs.shell.alerts.values()) - len(loud)
        if not loud:
            return [f"alerts: none that asks{f', {calm} of info' if calm else ''}"]
        said = [
            f"  {a.id} {a.severity.value} {a.status.value}: {word(a.title)}"
            + (f"; answered {word(a.choice or '', 40)} by {word(a.answered_by or '', 60)}" if a.choice else "")
            for a in loud
        ]
        return [f"alerts: {len(loud)}{f' and {calm} of info' if calm else ''}", *said]


def _sorted(runs: list[Run], sort: str, metric: str, direction: Any, now: float) -> list[Run]:
    if sort == "oldest":
        return runs
    if sort == "name":
        return sorted(runs, key=lambda r: (r.alias or r.name).casefold())
    if sort == "duration":
        return sorted(runs, key=lambda r: -((r.ended_at or now) - r.started_at) if r.started_at else 0.0)
    if sort == "best":
        if not direction:
            raise BadInput(
                f"Which way {word(metric, 60) or 'the metric'} is better is not known.",
                "Name a metric that says it by its name (val_loss, accuracy), or sort by newest.",
            )
        sign = -1.0 if direction == "max" else 1.0

        def place(run: Run) -> tuple[bool, float]:
            best = best_of(run.summary.get(metric), direction)
            return best is None, sign * best[0] if best else 0.0

        return sorted(runs, key=place)
    return runs[::-1]


def _reason(run: Run) -> list[str]:
    if run.reason is None:
        return []
    line = f"  its log says: {one_line(run.reason.log_line)}" if run.reason.log_line else ""
    return [f"reason: {run.reason.kind}: {one_line(run.reason.text)}", *([line] if line else [])]


def _where(run: Run) -> str:
    gpus = (
        f", GPUs {', '.join(map(str, run.gpu_ids))}" if run.gpu_ids else f", {run.gpus} GPUs asked" if run.gpus else ""
    )
    return f"executor: {run.executor}{gpus}{f', kind {run.kind}' if run.kind != 'command' else ''}"


def _git(run: Run) -> str | None:
    if run.git is None:
        return None
    dirty = ", uncommitted changes (diff_config shows them)" if run.git.dirty else ""
    return f"git: {run.git.commit[:12]} on {word(run.git.branch, 60)}{dirty}"


def _times(run: Run, now: float) -> str:
    took = (run.ended_at or now) - run.started_at if run.started_at else None
    said = [f"created {when(run.created_at)}"]
    said += [f"started {when(run.started_at)}"] if run.started_at else []
    said += [f"ended {when(run.ended_at)}"] if run.ended_at else []
    said += [f"{'took' if run.ended_at else 'has run for'} {span(took)}"] if took is not None else []
    said += [f"peak memory {run.max_rss_bytes / 2**20:.0f} MiB"] if run.max_rss_bytes else []
    return f"times: {', '.join(said)}"


def _progress(run: Run) -> str | None:
    if run.progress is None or run.status.terminal:
        return None
    p = run.progress
    parts = [f"{p.fraction:.0%}" if p.fraction is not None else "", f"step {p.step}" if p.step is not None else ""]
    parts += [f"of {p.total}" if p.total else "", f"about {span(p.eta_s)} left" if p.eta_s is not None else ""]
    return f"progress: {' '.join(x for x in parts if x) or one_line(p.text, 100)}"


def _metrics(run: Run, exact: bool) -> list[str]:
    if not run.summary:
        return ["metrics: no data"]
    names = ranked_names(run.summary, run.primary)
    rows = []
    for name in names[:_METRICS]:
        m = run.summary[name]
        way = direction_of(name, run.primary, run.mode)
        low, high = at(m.min, m.min_step, exact=exact), at(m.max, m.max_step, exact=exact)
        better = f" ({way} is better)" if way else ""
        rows.append([word(name, 100) + better, at(m.last, m.step, exact=exact), low, high, m.count, m.nonfinite or 0])
    more = (
        [f"and {len(names) - _METRICS} more metrics; read_metrics shows them by name"] if len(names) > _METRICS else []
    )
    judged = f", judged by {word(run.primary, 100)} ({run.mode})" if run.primary else ""
    head = f"metrics: {len(names)}{judged}"
    return [head, *table(["metric", "last @ step", "min @ step", "max @ step", "points", "nan/inf"], rows), *more]


def run_tools(runs: RunsDesk, alerts: AlertsDesk) -> list[Tool]:
    """list_runs, show_run."""
    its = RunTools(runs, alerts)
    return [
        SimpleTool(
            ToolSpec(
                name="list_runs",
                title="List runs",
                description=(
                    "List the project's runs, newest first, with status and key metric. status: only these; sweep: a "
                    "sweep's id or name; tag: exact; text: words in id, name, command, tags or notes; metric: the "
                    "metric to show; sort: newest, oldest, name, best (by the metric), duration; limit: at most 200. "
                    "n is the number by which a run can be named."
                ),
                args=ListRuns,
                effect="read",
                repeat="again",
            ),
            its.list_runs,
        ),
        SimpleTool(
            ToolSpec(
                name="show_run",
                title="Show a run",
                description=(
                    "Everything that is recorded of one run: status and why, command, settings, interpreter, git, "
                    "times, progress, alerts, and each metric's last, min and max with their steps. "
                    f"run: {HOW_TO_REFER} exact: all digits of the values."
                ),
                args=ShowRun,
                effect="read",
                repeat="again",
            ),
            its.show_run,
        ),
    ]
