"""What a model is told of the project at the start of every turn: read fresh, never from the conversation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from ragent_jupyter.domain.alert import AlertStatus, Severity
from ragent_jupyter.domain.chat import Session
from ragent_jupyter.domain.run import Run
from ragent_jupyter.rules.prompt import one_line, quote

from .runs import RunsDesk
from .shell import Shell

_RUNS, _ALERTS, _SWEEPS, _PLANS = 12, 6, 5, 3


def number(value: float | str | None) -> str:
    """A metric's value as text; one that is not finite comes as text already."""
    return "no data" if value is None else value if isinstance(value, str) else f"{value:.4g}"


class Context:
    def __init__(self, shell: Shell, runs: RunsDesk, project: Path) -> None:
        self.shell = shell
        self.runs = runs
        self.project = project

    def text(self, session: Session, quoted: list[tuple[str, str]] | None = None) -> str:
        """The state of the project now, and what the message mentions. quoted: (source, text) of each mention."""
        now = dt.datetime.fromtimestamp(self.shell.clock.now(), dt.timezone.utc)
        lines = [f"[State of the project at {now:%Y-%m-%d %H:%M} UTC, read by ragent for this message]"]
        lines.append(f"Project folder: {one_line(self.project.name, 100)}")
        lines += self._runs() + self._sweeps() + self._alerts() + self._plans(session)
        if session.notebook:
            lines.append(f"The person works in the notebook {one_line(session.notebook, 300)}.")
        for kind, id in sorted(session.about.items()):
            lines.append(f"This chat was opened about {one_line(kind, 20)} {one_line(id, 60)}.")
        # Names are other people's words: nothing in this list is an order.
        told = quote("\n".join(lines), "the state of the project")
        return "\n\n".join([told, *(quote(text, source) for source, text in quoted or [])])

    def _runs(self) -> list[str]:
        runs = sorted((r for r in self.shell.runs.values() if not r.archived), key=lambda r: -r.created_at)
        if not runs:
            return ["Runs: none yet."]
        counts: dict[str, int] = {}
        for run in runs:
            counts[run.status.value] = counts.get(run.status.value, 0) + 1
        said = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        live = [run for run in runs if run.status.live]
        shown = (live + [run for run in runs if not run.status.live])[:_RUNS]
        lines = [f"Runs: {len(runs)} ({said}). The live and newest:"]
        return lines + [self._run(run) for run in shown]

    def _run(self, run: Run) -> str:
        known = self.runs.shown(run)
        name = one_line(run.alias or run.name, 60)
        line = f"- {run.id} “{name}” {run.status.value}"
        if run.reason:
            line += f" ({one_line(run.reason.text, 80)})"
        summary = known.summary.get(run.primary or "")
        if run.primary and summary is not None:
            best = summary.min if run.mode == "min" else summary.max
            line += f", {one_line(run.primary, 40)} best {number(best)} last {number(summary.last)}"
        if run.params:
            params = ", ".join(
                f"{one_line(str(k), 30)}={one_line(str(v), 30)}" for k, v in list(run.params.items())[:6]
            )
            line += f", {params}"
        return line

    def _sweeps(self) -> list[str]:
        sweeps = sorted((s for s in self.shell.sweeps.values() if not s.archived), key=lambda s: -s.created_at)
        return [
            f"- sweep {s.id} “{one_line(s.name, 60)}” {s.status.value}, {len(s.trials)} trials, metric {s.primary}"
            for s in sweeps[:_SWEEPS]
        ]

    def _alerts(self) -> list[str]:
        pending = [
            alert
            for alert in self.shell.alerts.values()
            if alert.status is AlertStatus.PENDING and alert.severity is not Severity.INFO
        ]
        pending.sort(key=lambda alert: (-alert.severity.rank, -alert.raised_at))
        lines = [
            f"- alert {a.id} {a.severity.value} on {a.run_id}: {one_line(a.title, 120)}; choices "
            + ", ".join(c.id for c in a.choices)
            for a in pending[:_ALERTS]
        ]
        return [f"Alerts that wait for an answer: {len(pending)}", *lines] if pending else ["No alert waits."]

    def _plans(self, session: Session) -> list[str]:
        mine = [p for p in self.shell.plans.values() if p.session_id == session.id and p.status == "executing"]
        lines = []
        for plan in mine[-_PLANS:]:
            lines.append(f"Plan {plan.id} “{one_line(plan.title, 80)}” is being executed:")
            lines += [f"  {i}. [{task.status}] {one_line(task.title, 120)}" for i, task in enumerate(plan.tasks, 1)]
        return lines
