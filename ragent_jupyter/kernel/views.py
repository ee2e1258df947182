"""What `%ragent` and `ragent.runs()` return: values that a script can use and a notebook shows well.

Each wraps a struct of the wire, shows it as of the moment it was asked for, and has the verbs of its thing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec

from ragent_jupyter.domain.alert import Alert, AlertStatus
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wire import DoctorReply, LogsReply, ReportReply, StatusReply

from . import words as w

if TYPE_CHECKING:
    import pandas as pd

    from ragent_jupyter.client import Client
    from ragent_jupyter.domain.metrics import Series
    from ragent_jupyter.domain.report import FigureSpec

    from .live_report import LiveReport


class View:
    """Plain text and HTML of one value. `at`: when it was asked for."""

    def __init__(self) -> None:
        self.at = time.time()

    def html(self) -> str:
        raise NotImplementedError

    def text(self) -> str:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return w.frame_html(self.html())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": self.text(), "text/html": self._repr_html_()}


class _Wraps(View):
    """A view with the fields of the struct it wraps: `run.status`, `run.summary["loss"].last`."""

    _struct: msgspec.Struct

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not there yet while unpickling, and never the struct's
            raise AttributeError(name)
        return getattr(self._struct, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._struct.__struct_fields__]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other._struct == self._struct

    def __hash__(self) -> int:
        return hash(getattr(self._struct, "id", None))


class RunView(_Wraps):
    """One run, as it was when it was asked for; `refresh()` asks again."""

    def __init__(self, client: Client, run: Run) -> None:
        super().__init__()
        self._client = client
        self._struct: Run = run

    def refresh(self) -> RunView:
        self._struct = self._client.run(self._struct.id)
        self.at = time.time()
        return self

    def stop(self, now: bool = False) -> RunView:
        """INT, then TERM, then KILL, with grace between; now=True skips the grace. Returns at once."""
        return RunView(self._client, self._client.stop(self._struct.id, now=now))

    def retry(self, **changes: Any) -> RunView:
        """A new run of the same command, with these parameters changed: `run.retry(lr=1e-4)`."""
        return RunView(self._client, self._client.retry(self._struct.id, changes))

    def logs(self, lines: int = 40) -> LogView:
        """The end of its output."""
        return LogView(self._struct, tail(self._client, self._struct.id, lines))

    def metrics(self, *names: str) -> pd.DataFrame:
        """All its points as a DataFrame, one row a step."""
        from .surface import frame

        return frame(self._client, self._struct.id, names)

    def chart(self, *names: str) -> ChartView:
        """A chart of these metrics (default: the one it is judged by)."""
        from .surface import drawing

        found = w.primary(self._struct)
        return drawing(self._client, list(names) or ([found[0]] if found else []), [self._struct.id])

    def text(self) -> str:
        run = self._struct
        glyph = w.STATE.get(run.status.value, ("·", ""))[0]
        parts = [f"{glyph} {run.status.value}", w.title(run), run.id, w.key_metric(run), w.progress(run)]
        lines = [" · ".join(part for part in parts if part)]
        if run.reason is not None:
            lines.append(f"  {run.reason.text}")
        return "\n".join(lines)

    def html(self) -> str:
        run = self._struct
        head = f"{w.state_html(run.status.value)} &nbsp;<b>{w.esc(w.title(run))}</b> {w.code_html(run.id)}"
        lines = [f'<div data-ragent-run="{w.esc(run.id)}">{head}</div>', f"<div>{w.code_html(run.command)}</div>"]
        if run.reason is not None:
            said = f" {w.code_html(run.reason.log_line)}" if run.reason.log_line else ""
            lines.append(f"<div>{w.esc(run.reason.text)}{said}</div>")
        if run.health:
            lines.append(f"<div>{w.quiet_html(run.health)}</div>")
        if run.summary:
            rows = [
                [w.esc(name), w.number(s.last), w.esc(s.step) if s.step is not None else "–", w.number(s.min),
                 w.number(s.max), w.esc(s.nonfinite or "")]
                for name, s in list(run.summary.items())[:20]
            ]  # fmt: skip
            lines.append(w.table_html(["metric", "last", "step", "min", "max", "NaN/∞"], rows, right=(1, 2, 3, 4, 5)))
        told = [w.progress(run), run.executor, f"as of {w.clock(self.at)}"]
        lines.append(f"<div>{w.quiet_html(' · '.join(t for t in told if t))}</div>")
        return "".join(lines)


class RunsView(View, Sequence[RunView]):
    """Runs, newest first. A sequence of runs; `.df` is a DataFrame of them."""

    def __init__(self, client: Client, runs: Sequence[Run], total: int) -> None:
        super().__init__()
        self._runs = [RunView(client, run) for run in runs]
        self.total = total

    @overload
    def __getitem__(self, at: int) -> RunView: ...
    @overload
    def __getitem__(self, at: slice) -> list[RunView]: ...
    @overload
    def __getitem__(self, at: str) -> RunView: ...
    def __getitem__(self, at: int | slice | str) -> RunView | list[RunView]:
        """By place, or by id, name or alias."""
        if isinstance(at, str):
            for run in self._runs:
                if at in (run.id, run.name, run.alias):
                    return run
            raise KeyError(at)
        return self._runs[at]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[RunView]:
        return iter(self._runs)

    @property
    def df(self) -> pd.DataFrame:
        """One row a run: id, name, status, times, parameters (`params.lr`) and the last value of each metric."""
        import pandas as pd

        rows = []
        for run in self._runs:
            row: dict[str, Any] = {
                "id": run.id, "name": w.title(run._struct), "status": run.status.value, "created_at": run.created_at,
                "started_at": run.started_at, "ended_at": run.ended_at, "exit_code": run.exit_code,
                "sweep": run.sweep_id, "command": run.command,
            }  # fmt: skip
            row |= {f"params.{name}": value for name, value in run.params.items()}
            # "nan", "inf" and "-inf" are what JSON can say; here they are numbers again.
            row |= {name: None if s.last is None else float(s.last) for name, s in run.summary.items()}
            rows.append(row)
        table = pd.DataFrame(rows)
        for name in ("created_at", "started_at", "ended_at"):
            if name in table:
                table[name] = pd.to_datetime(table[name], unit="s", utc=True)
        return table.set_index("id") if rows else table

    def text(self) -> str:
        if not self._runs:
            return "No runs yet. Start one: %ragent run python train.py"
        rows = [
            [f"{w.STATE.get(r.status.value, ('·', ''))[0]} {r.status.value}", w.title(r._struct), r.id,
             w.key_metric(r._struct), w.progress(r._struct)]
            for r in self._runs
        ]  # fmt: skip
        more = f"\n{self.total - len(self._runs)} more" if self.total > len(self._runs) else ""
        return w.columns(rows) + more

    def html(self) -> str:
        if not self._runs:
            return (
                "<div>No runs yet.</div>"
                f"<div>Start one: {w.code_html('%ragent run python train.py')}, or log from this notebook: "
                f"{w.code_html('ragent.log({...})')}</div>"
            )
        rows = [
            [w.state_html(r.status.value), f'<span data-ragent-run="{w.esc(r.id)}">{w.esc(w.title(r._struct))}</span>',
             w.code_html(r.id), w.esc(w.key_metric(r._struct)), w.esc(w.progress(r._struct))]
            for r in self._runs
        ]  # fmt: skip
        told = f"{len(self._runs)} of {self.total} runs, as of {w.clock(self.at)}"
        return w.table_html(["", "run", "id", "metric", ""], rows, right=(3, 4)) + f"<div>{w.quiet_html(told)}</div>"


class LogView(View):
    """The end of a run's output. `str(view)` is the text alone."""

    def __init__(self, run: Run, reply: LogsReply) -> None:
        super().__init__()
        self._run = run
        self.reply = reply

    def __str__(self) -> str:
        return self.reply.text

    def text(self) -> str:
        return self.reply.text or f"{w.title(self._run)} has written nothing yet."

    def html(self) -> str:
        style = (
            "max-height: 320px; overflow: auto; margin: 0; font: 12px/1.4 var(--jp-code-font-family, monospace); "
            "white-space: pre-wrap; overflow-wrap: anywhere"
        )
        told = f"{w.title(self._run)} · {self.reply.size} bytes · as of {w.clock(self.at)}"
        return f'<pre style="{style}">{w.esc(self.text())}</pre><div>{w.quiet_html(told)}</div>'


class AlertView(_Wraps):
    """One alert; `respond(choice)` answers it."""

    def __init__(self, client: Client, alert: Alert) -> None:
        super().__init__()
        self._client = client
        self._struct: Alert = alert

    def respond(self, choice: str) -> AlertView:
        """Answer with a choice's id, e.g. "ignore" or "stop"."""
        return AlertView(self._client, self._client.respond(self._struct.id, choice))

    def text(self) -> str:
        a = self._struct
        lines = [f"! {a.severity.value} · {a.title} · {a.id} of {a.run_id} · {w.ago(a.raised_at)}"]
        if a.text:
            lines.append(f"  {a.text}")
        lines += (
            [f"  %ragent respond {a.id} {c.id}   {c.label}" for c in a.choices] if self._open() else [self._answer()]
        )
        return "\n".join(lines)

    def _open(self) -> bool:
        return self._struct.status is AlertStatus.PENDING

    def _answer(self) -> str:
        a = self._struct
        by = f" by {a.answered_by}" if a.answered_by else ""
        return f"  {a.status.value}: {a.choice or '–'}{by} {a.note}".rstrip()

    def html(self) -> str:
        a = self._struct
        head = (
            f'<div data-ragent-run="{w.esc(a.run_id)}">{w.state_html(a.severity.value)} &nbsp;<b>{w.esc(a.title)}</b> '
            f"{w.quiet_html(w.ago(a.raised_at))}</div>"
        )
        lines = [head, f"<div>{w.esc(a.text)}</div>" if a.text else ""]
        if self._open():
            rows = [
                [w.esc(c.label) + (" (the safe one)" if c.id == a.default else ""),
                 w.code_html(f"%ragent respond {a.id} {c.id}")]
                for c in a.choices
            ]  # fmt: skip
            lines.append(w.table_html(["choice", "answer"], rows))
        else:
            lines.append(f"<div>{w.quiet_html(self._answer().strip())}</div>")
        return "".join(lines)


class AlertsView(View, Sequence[AlertView]):
    """Alerts, as they wait for an answer."""

    def __init__(self, client: Client, alerts: Sequence[Alert]) -> None:
        super().__init__()
        self._alerts = [AlertView(client, alert) for alert in alerts]

    @overload
    def __getitem__(self, at: int) -> AlertView: ...
    @overload
    def __getitem__(self, at: slice) -> list[AlertView]: ...
    def __getitem__(self, at: int | slice) -> AlertView | list[AlertView]:
        return self._alerts[at]

    def __len__(self) -> int:
        return len(self._alerts)

    def text(self) -> str:
        return "\n".join(alert.text() for alert in self._alerts) or "Nothing waits for an answer."

    def html(self) -> str:
        if not self._alerts:
            return "<div>Nothing waits for an answer.</div>"
        return "".join(f'<div style="margin-bottom: 8px">{alert.html()}</div>' for alert in self._alerts)


class SweepView(_Wraps):
    def __init__(self, client: Client, sweep: Sweep) -> None:
        super().__init__()
        self._client = client
        self._struct: Sweep = sweep

    def refresh(self) -> SweepView:
        self._struct = self._client.sweep(self._struct.id)
        self.at = time.time()
        return self

    def runs(self) -> RunsView:
        found = self._client.all_runs(sweep=self._struct.id)
        return RunsView(self._client, found, len(found))

    def stop(self) -> SweepView:
        return SweepView(self._client, self._client.stop_sweep(self._struct.id))

    def report(self, **how: Any) -> LiveReport:
        """Computed from what is recorded now; its `.save()` writes a notebook."""
        from .surface import report

        return report(self._struct.id, project=self._client.project, **how)

    def _told(self) -> list[str]:
        s = self._struct
        begun = sum(bool(trial.run_ids) for trial in s.trials)
        estimate = f"estimate: {s.estimate.text}" if s.estimate is not None else ""
        return [f"{begun} of {len(s.trials)} trials begun", f"{s.mode} {s.primary}", s.reason, estimate]

    def text(self) -> str:
        s = self._struct
        glyph = w.STATE.get(s.status.value, ("·", ""))[0]
        return " · ".join(part for part in (f"{glyph} {s.status.value}", s.name, s.id, *self._told()) if part)

    def html(self) -> str:
        s = self._struct
        told = w.quiet_html(" · ".join(part for part in (*self._told(), f"as of {w.clock(self.at)}") if part))
        return (
            f"<div>{w.state_html(s.status.value)} &nbsp;<b>{w.esc(s.name)}</b> {w.code_html(s.id)}</div>"
            f"<div>{w.code_html(s.command)}</div><div>{told}</div>"
        )


class SweepsView(View, Sequence[SweepView]):
    def __init__(self, client: Client, sweeps: Sequence[Sweep]) -> None:
        super().__init__()
        self._sweeps = [SweepView(client, sweep) for sweep in sweeps]

    @overload
    def __getitem__(self, at: int) -> SweepView: ...
    @overload
    def __getitem__(self, at: slice) -> list[SweepView]: ...
    def __getitem__(self, at: int | slice) -> SweepView | list[SweepView]:
        return self._sweeps[at]

    def __len__(self) -> int:
        return len(self._sweeps)

    def text(self) -> str:
        return "\n".join(sweep.text() for sweep in self._sweeps) or "No sweeps yet."

    def html(self) -> str:
        return "".join(sweep.html() for sweep in self._sweeps) or "<div>No sweeps yet.</div>"


class StatusView(_Wraps):
    """The one line on top of every surface: what runs, what is best, what needs a person."""

    def __init__(self, status: StatusReply) -> None:
        super().__init__()
        self._struct: StatusReply = status

    def parts(self) -> list[str]:
        s = self._struct
        found = [f"{s.live} running" if s.live else "nothing running"]
        if s.queued:
            found.append(f"{s.queued} queued")
        if s.best:
            found.append(
                f"best {s.best.get('metric')} {w.number(s.best.get('value'))} ({s.best.get('name')}, unconfirmed)"
            )
        if s.alerts:
            found.append(f"{s.alerts} alert{'s' if s.alerts > 1 else ''}")
        return found

    def text(self) -> str:
        problem = f"\n! {self._struct.problem}" if self._struct.problem else ""
        return " · ".join(self.parts()) + problem

    def html(self) -> str:
        s = self._struct
        problem = f"<div>{w.state_html('critical')} {w.esc(s.problem)}</div>" if s.problem else ""
        where = w.quiet_html(f"{s.project} · ragent {s.version} · as of {w.clock(self.at)}")
        return f"<div>{w.esc(' · '.join(self.parts()))}</div>{problem}<div>{where}</div>"


class DoctorView(_Wraps):
    def __init__(self, reply: DoctorReply) -> None:
        super().__init__()
        self._struct: DoctorReply = reply

    def text(self) -> str:
        return "\n".join(
            f"{'✓' if c.ok else '✕'} {c.name}: {c.detail}" + (f"\n    {c.remedy}" if c.remedy and not c.ok else "")
            for c in self._struct.checks
        )

    def html(self) -> str:
        rows = [
            [w.state_html("finished" if c.ok else "failed").replace("finished", "fine").replace("failed", "not well"),
             w.esc(c.name), w.esc(c.detail) + (f"<br>{w.esc(c.remedy)}" if c.remedy and not c.ok else "")]
            for c in self._struct.checks
        ]  # fmt: skip
        return w.table_html(["", "what", ""], rows)


class ChartView(View):
    """Curves as of a moment: interactive where plotly is shown, an SVG and numbers elsewhere. `.figure` is plotly's
    own object, `.series` what was drawn."""

    def __init__(self, spec: FigureSpec, series: Sequence[Series]) -> None:
        super().__init__()
        self.spec = spec
        self.series = list(series)

    @property
    def figure(self) -> Any:
        from ragent_jupyter.adapters import figures

        return figures.figure(self.spec)

    def text(self) -> str:
        from ragent_jupyter.adapters import figures

        return figures.text(self.spec)

    def _repr_html_(self) -> None:  # type: ignore[override]
        return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from ragent_jupyter.adapters import figures

        return figures.bundle(self.spec)


class ReportView(_Wraps):
    """A written report: its notebook's path and the sentences of its summary."""

    def __init__(self, reply: ReportReply) -> None:
        super().__init__()
        self._struct: ReportReply = reply

    def text(self) -> str:
        r = self._struct
        return "\n".join([f"{r.title}: {r.path}", *(f"  {finding}" for finding in r.findings)])

    def html(self) -> str:
        r = self._struct
        found = "".join(f"<li>{w.esc(finding)}</li>" for finding in r.findings)
        return f"<div><b>{w.esc(r.title)}</b></div><ul>{found}</ul><div>{w.code_html(r.path)}</div>"


def tail(client: Client, run_id: str, lines: int) -> LogsReply:
    """The last `lines` lines of a run's log."""
    reply = client.logs(run_id, offset=-max(4096, min(lines, 5000) * 200), limit=1024 * 1024)
    text = "\n".join(reply.text.rstrip("\n").split("\n")[-lines:])
    return msgspec.structs.replace(reply, text=text)
