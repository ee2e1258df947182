"""How the kernel's objects speak: numbers, times and states, as text and as HTML. Pure but for the clock."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

from ragent_jupyter.domain.run import MetricSummary, Run, RunStatus

# Glyph and colour of a state: the same in every surface. The colours are Lab's where there is Lab.
STATE: dict[str, tuple[str, str]] = {
    "ready": ("○", "var(--jp-ui-font-color2, #616161)"),
    "queued": ("○", "var(--jp-ui-font-color2, #616161)"),
    "launching": ("●", "var(--jp-info-color0, #0b6ea8)"),
    "running": ("●", "var(--jp-info-color0, #0b6ea8)"),
    "stopping": ("●", "var(--jp-warn-color0, #9a5b00)"),
    "finished": ("✓", "var(--jp-success-color0, #1b6e20)"),
    "failed": ("✕", "var(--jp-error-color0, #b3261e)"),
    "stopped": ("■", "var(--jp-ui-font-color2, #616161)"),
    "draft": ("○", "var(--jp-ui-font-color2, #616161)"),
    "info": ("i", "var(--jp-info-color0, #0b6ea8)"),
    "warning": ("!", "var(--jp-warn-color0, #9a5b00)"),
    "critical": ("!", "var(--jp-error-color0, #b3261e)"),
}
QUIET = "color: var(--jp-ui-font-color2, #616161)"
_FRAME = "font: 13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif); color: var(--jp-ui-font-color1, inherit)"
_CODE = "font-family: var(--jp-code-font-family, monospace); font-size: 12px"


def number(value: float | str | None) -> str:
    """Four significant digits; what JSON cannot say ("nan", "inf") as it is; "–" for nothing.

    >>> number(0.123456), number(1234567.0), number(3.0), number("nan"), number(None)
    ('0.1235', '1.235e+06', '3', 'nan', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.4g}"


def span(seconds: float) -> str:
    """A duration as a person says it.

    >>> span(0.4), span(75), span(3725), span(200000)
    ('0 s', '1 min 15 s', '1 h 2 min', '2 d 7 h')
    """
    s = int(max(0.0, seconds))
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60} s"
    if s < 86400:
        return f"{s // 3600} h {s % 3600 // 60} min"
    return f"{s // 86400} d {s % 86400 // 3600} h"


def ago(at: float | None) -> str:
    return "" if at is None else f"{span(time.time() - at)} ago"


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def primary(run: Run) -> tuple[str, MetricSummary] | None:
    """The metric a run is judged by: its own choice, else a loss, else its first."""
    if run.primary is not None:
        return (run.primary, run.summary[run.primary]) if run.primary in run.summary else None
    names = list(run.summary)
    name = next(
        (n for n in names if n.split("/")[-1] in ("loss", "val_loss", "train_loss")), names[0] if names else None
    )
    return (name, run.summary[name]) if name is not None else None


def key_metric(run: Run) -> str:
    found = primary(run)
    if found is None:
        return ""
    name, summary = found
    return f"{name} {number(summary.last)}"


def progress(run: Run) -> str:
    """What a live run has done and about how long it will take; how long an ended one took."""
    if run.status.terminal:
        return span((run.ended_at or 0) - run.started_at) if run.started_at and run.ended_at else ""
    if run.status is RunStatus.QUEUED:
        return run.waits
    p = run.progress
    if p is None:
        return ago(run.started_at).replace(" ago", "") if run.started_at else ""
    parts = []
    if p.fraction is not None:
        parts.append(f"{p.fraction:.0%}")
    elif p.step is not None:
        parts.append(f"step {p.step}" + (f" of {p.total}" if p.total else ""))
    if p.eta_s is not None:
        parts.append(f"~{span(p.eta_s)} left")
    return " · ".join(parts) or p.text


def title(run: Run) -> str:
    return run.alias or run.name


# --- HTML -------------------------------------------------------------------------------------------------------
def esc(value: Any) -> str:
    return html.escape(str(value), quote=True)


def state_html(state: str) -> str:
    glyph, colour = STATE.get(state, ("·", "inherit"))
    mark = f'<span aria-hidden="true">{glyph}</span>'
    return f'<span style="color: {colour}; white-space: nowrap">{mark} {esc(state)}</span>'


def code_html(text: Any) -> str:
    return f'<code style="{_CODE}">{esc(text)}</code>'


def quiet_html(text: Any) -> str:
    return f'<span style="{QUIET}">{esc(text)}</span>'


def frame_html(inner: str) -> str:
    return f'<div class="ragent-output" style="{_FRAME}">{inner}</div>'


def table_html(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A plain table of cells that are HTML already. right: columns with numbers."""

    def cell(tag: str, text: str, i: int) -> str:
        side = "right; font-variant-numeric: tabular-nums" if i in right else "left"
        return f'<{tag} style="text-align: {side}; padding: 2px 12px 2px 0; font-weight: normal">{text}</{tag}>'

    top = "".join(cell("th", quiet_html(name), i) for i, name in enumerate(head))
    body = "".join("<tr>" + "".join(cell("td", text, i) for i, text in enumerate(row)) + "</tr>" for row in rows)
    # Lab centres and stripes tables of outputs unless they say otherwise.
    style = "border-collapse: collapse; margin: 0; text-align: left"
    return f'<table style="{style}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Plain text, aligned."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
