"""A sweep while it runs: a table that moves in a terminal, plain lines in a pipe, NDJSON for a program."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ragent_jupyter.domain.alert import Alert, AlertStatus
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.events import Envelope
from ragent_jupyter.domain.run import MetricSummary, Progress, Run, RunStatus
from ragent_jupyter.domain.sweep import Sweep

from .chat_view import harmless
from .output import STATE, Out, duration, number, short
from .picture import Picture

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

OnAlert = Callable[[Alert, Run], None]
_TOPICS = ("runs", "sweeps", "alerts", "metrics")


class SweepView:
    """What is known of a sweep, from one snapshot and the events after it."""

    def __init__(self, sweep: Sweep, runs: list[Run]) -> None:
        self.sweep = sweep
        self.runs = {run.id: run for run in runs}
        self.since = time.monotonic()
        self.pending: set[str] = set()

    @property
    def over(self) -> bool:
        """The sweep has ended and so has every run of it that is known."""
        return self.sweep.status.terminal and all(run.status.terminal for run in self.runs.values())

    def take(self, event: Envelope) -> Run | Sweep | Alert | None:
        """Apply an event; what of this sweep it changed, or None if it is not about it."""
        raw = event.data if isinstance(event.data, msgspec.Raw) else msgspec.json.encode(event.data)
        if event.type == "run_progress":
            self._progress(msgspec.json.decode(raw))
            return None
        if event.topic == "runs" and event.type.startswith("run_"):
            run = msgspec.json.decode(raw, type=Run)
            if run.sweep_id != self.sweep.id:
                return None
            known = self.runs.get(run.id)
            if known is not None and not run.summary:  # records carry the live part only once it is frozen
                run = msgspec.structs.replace(run, summary=known.summary, progress=known.progress)
            self.runs[run.id] = run
            return run
        if event.topic == "sweeps":
            sweep = msgspec.json.decode(raw, type=Sweep)
            if sweep.id != self.sweep.id:
                return None
            self.sweep = sweep
            return sweep
        if event.topic == "alerts":
            alert = msgspec.json.decode(raw, type=Alert)
            if alert.run_id not in self.runs:
                return None
            (self.pending.add if alert.status is AlertStatus.PENDING else self.pending.discard)(alert.id)
            return alert
        return None

    def _progress(self, data: dict[str, Any]) -> None:
        run = self.runs.get(str(data.get("run")))
        if run is None or run.status.terminal:
            return
        with contextlib.suppress(msgspec.ValidationError):  # a doorbell: the record that follows says it again
            progress = msgspec.convert(data.get("progress"), Progress | None)
            summary = msgspec.convert(data.get("summary") or {}, dict[str, MetricSummary])
            self.runs[run.id] = msgspec.structs.replace(run, progress=progress or run.progress, summary=summary)


def follow_sweep(
    out: Out, client: Client, sweep: Sweep, on_alert: OnAlert | None = None, *, lines: bool = True
) -> Sweep | None:
    """Show a sweep until it has ended; None if the person pressed Ctrl-C (it goes on then).

    on_alert: called for every alert of its runs that waits for an answer.  lines: with --json, an NDJSON line for
    every change (not where the verb's result is one document).
    """
    after = client.status().seq  # first the place in the stream, then the snapshot: nothing falls between them
    view = SweepView(client.sweep(sweep.id), client.all_runs(sweep=sweep.id))
    for alert in client.alerts(status="pending").alerts:
        if alert.run_id in view.runs:
            view.pending.add(alert.id)
            if on_alert:
                on_alert(alert, view.runs[alert.run_id])
    try:
        with _show(out, view) as changed:
            if view.over:
                return view.sweep
            for event in client.events(after=after, topics=_TOPICS):
                if event.type == "snapshot_needed":
                    view.sweep, runs = client.sweep(sweep.id), client.all_runs(sweep=sweep.id)
                    view.runs = {run.id: run for run in runs}
                what = view.take(event)
                if what is not None:
                    if lines:
                        out.line({"type": event.type, "seq": event.seq, "data": what})
                    changed(event.type, what)
                if isinstance(what, Alert) and what.status is AlertStatus.PENDING and on_alert:
                    on_alert(what, view.runs[what.run_id])
                if view.over:
                    break
    except KeyboardInterrupt:
        return None
    return view.sweep


def answer(client: Client, alert: Alert, choice: str, by: str) -> Alert | None:
    """Answer an alert; None if it no longer waits for one."""
    try:
        return client.respond(alert.id, choice, by=by)
    except RagentError as error:
        if error.status in (404, 409):
            return None
        raise


class _Lines:
    """One line for every change of a status: for pipes and logs. Nothing with --json."""

    def __init__(self, out: Out, view: SweepView) -> None:
        self.out = out
        self.view = view
        self.told: dict[str, RunStatus] = {}
        self.measured = ""  # the run on which the estimate that was told rests

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, type: str, what: Any) -> None:
        if isinstance(what, Run) and self.told.get(what.id) is not what.status:
            self.told[what.id] = what.status
            if what.status in (RunStatus.RUNNING, RunStatus.FINISHED, RunStatus.FAILED, RunStatus.STOPPED):
                words = [self.out.state(what.status.value), what.id, params_text(what)]
                if what.status.terminal:
                    words += [primary_text(what, self.view.sweep), took(what)]
                    if what.reason and what.status is RunStatus.FAILED:
                        words.append(what.reason.text)
                self.out.say("  ".join(word for word in words if word))
        elif isinstance(what, Sweep) and what.estimate is not None and what.estimate.of != self.measured:
            self.measured = what.estimate.of  # once: what changes as trials end is no news
            self.out.say(f"estimate  {harmless(what.estimate.text)}")
        elif isinstance(what, Alert) and what.status is AlertStatus.PENDING:
            self.out.say(f"{self.out.state(what.severity.value)}  {what.run_id}  {what.title}")


class _Table:
    """A table that rich redraws four times a second from what is known, whether or not something happened."""

    def __init__(self, out: Out, view: SweepView) -> None:
        self.view = view
        self.picture = Picture(out, self.draw)
        self.rows = max(4, self.picture.console.size.height - 6)

    def __enter__(self) -> _Table:
        self.picture.begin()
        return self

    def __exit__(self, *exc: object) -> None:
        self.picture.end()

    def __call__(self, type: str, what: Any) -> None: ...

    def draw(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        view = self.view
        sweep = view.sweep
        runs = sorted(view.runs.values(), key=lambda run: (run.trial or 0, run.created_at))
        ended = sum(run.status.terminal for run in runs)
        title = f"{short(sweep.name, 50)} · {ended} of {max(len(sweep.trials), len(runs))} ended"
        title += f" · {duration(time.monotonic() - view.since)}"
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for head, justify in (("", "left"), ("PARAMETERS", "left"), (sweep.primary.upper(), "right")):
            table.add_column(head, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        table.add_column("PROGRESS", width=24)
        table.add_column("", no_wrap=True)
        left_out = max(0, len(runs) - self.rows)
        for run in runs[left_out:]:
            glyph, code = STATE[run.status.value]
            style = {"34": "blue", "33": "yellow", "32": "green", "31": "red", "90": "bright_black"}.get(code, "")
            fraction = 1.0 if run.status is RunStatus.FINISHED else run.progress.fraction if run.progress else None
            bar: Any = ""
            if fraction is not None:
                colour = style or "blue"
                bar = ProgressBar(1.0, fraction, 24, style="bright_black", complete_style=colour, finished_style=colour)
            words = took(run) if run.status.terminal else _left(run)
            table.add_row(Text(glyph, style=style), params_text(run), primary_text(run, sweep, bare=True), bar, words)
        below = [f"and {left_out} earlier"] if left_out else []
        if sweep.estimate is not None:
            below.append(f"estimate  {sweep.estimate.text}")
        if below:
            table.caption, table.caption_justify = Text("\n".join(below)), "left"
        return table


def _left(run: Run) -> str:
    if run.progress is not None and run.progress.eta_s is not None:
        return f"~{duration(run.progress.eta_s)} left"
    return run.waits or run.status.value


def _show(out: Out, view: SweepView) -> _Lines | _Table:
    return _Table(out, view) if out.terminal else _Lines(out, view)


def params_text(run: Run) -> str:
    text = "  ".join(f"{k} {number(v) if isinstance(v, float) else v}" for k, v in run.params.items())
    return (text or run.name) + ("  (retry)" if run.retry_of else "")


def primary_text(run: Run, sweep: Sweep, *, bare: bool = False) -> str:
    """The best value of the sweep's metric so far, or that it was never finite."""
    summary = run.summary.get(sweep.primary)
    if summary is None:
        return ""
    best = summary.min if sweep.mode == "min" else summary.max
    text = number(best if best is not None else summary.last)
    if isinstance(summary.last, str) and best is not None:
        text = f"{summary.last} (best {text})"
    return text if bare else f"{sweep.primary} {text}"


def took(run: Run) -> str:
    return duration(run.ended_at - run.started_at) if run.started_at and run.ended_at else ""
