"""What the tools about experiments share: finding what is meant, naming it, and choosing the metric that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.run import MetricSummary, Run, RunStatus
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.rules.digest import Direction, direction_of
from ragent_jupyter.rules.lookup import Named, lookup, nearest
from ragent_jupyter.rules.tool_text import num, word
from ragent_jupyter.rules.watch_names import EVAL, GAME, LOSS, QUALITY, classify

from ..alerts import AlertsDesk
from ..runs import RunsDesk
from ..sweeps import SweepsDesk
from .base import ToolContext

T = TypeVar("T")
Ref = str | int  # "run_…", the beginning of an id, a name, "17" (the 17th), "latest"
HOW_TO_REFER = 'An id, the beginning of one, a name, a number (17 is the 17th) or "latest".'


def find_run(desk: RunsDesk, ref: Ref) -> Run:
    """The run as doors see it. Raises NotFound with the nearest ones, BadInput where several may be meant."""
    runs = in_order(desk.shell.runs.values())
    one = _find(ref, runs, [Named(r.id, _names(r.alias, r.name)) for r in runs], "run", "list_runs", run_label)
    return desk.shown(one)


def find_runs(desk: RunsDesk, refs: Sequence[Ref]) -> list[Run]:
    """Each once, in the order given."""
    found = [find_run(desk, ref) for ref in refs]
    return list({run.id: run for run in found}.values())


def find_sweep(desk: SweepsDesk, ref: Ref) -> Sweep:
    sweeps = sorted(desk.shell.sweeps.values(), key=lambda s: (s.created_at, s.id))
    named = [Named(s.id, _names(s.name)) for s in sweeps]
    return _find(ref, sweeps, named, "sweep", "list_sweeps", lambda s: f"{s.id} ({word(s.name, 60)}, {s.status.value})")


def find_alert(desk: AlertsDesk, ref: Ref) -> Alert:
    alerts = sorted(desk.shell.alerts.values(), key=lambda a: (a.raised_at, a.id))
    named = [Named(a.id) for a in alerts]
    return _find(
        ref, alerts, named, "alert", "list_alerts", lambda a: f"{a.id} ({word(a.title, 80)}, {a.status.value})"
    )


def find_name(ref: str, names: Sequence[str], what: str) -> str:
    """One of some names (of metrics), in any case. Raises NotFound with the most alike.

    No guess beyond that: who asks for `loss` must not be told of `val_loss`.
    """
    if ref in names:
        return ref
    folded = [name for name in names if name.casefold() == ref.casefold()]
    if len(folded) == 1:
        return folded[0]
    shown = ", ".join(word(name, 60) for name in nearest(ref, [Named(name) for name in names], 12))
    raise NotFound(f"There is no {what} {word(ref, 60)}.", f"There is: {shown}." if names else f"No {what} is there.")


def _find(
    ref: Ref, things: Sequence[T], named: Sequence[Named], what: str, listing: str, label: Callable[[T], str]
) -> T:
    ids = lookup(ref, named)
    by_id = {name.id: thing for name, thing in zip(named, things, strict=True)}
    if len(ids) == 1:
        return by_id[ids[0]]
    if ids:
        shown = "; ".join(label(by_id[i]) for i in reversed(ids[-8:]))
        more = f" and {len(ids) - 8} older ones" if len(ids) > 8 else ""
        raise BadInput(f"{word(ref, 60)} may mean {len(ids)} {what}s.", f"Give the id: {shown}{more}.")
    if not things:
        raise NotFound(f"There is no {what} {word(ref, 60)}: this project has no {what}s yet.", "")
    shown = "; ".join(label(by_id[i]) for i in nearest(ref, named))
    raise NotFound(f"There is no {what} {word(ref, 60)}.", f"The nearest: {shown}. {listing} shows all.")


def _names(*names: str) -> tuple[str, ...]:
    return tuple(name for name in names if name)


def in_order(runs: Iterable[Run]) -> list[Run]:
    """Oldest first: the order that numbers count in."""
    return sorted(runs, key=lambda r: (r.created_at, r.id))


def run_label(run: Run) -> str:
    return f"{run.id} ({word(run.alias or run.name, 60)}, {run.status.value})"


def who(ctx: ToolContext) -> str:
    """Who acts, for the record."""
    return f"assistant for {word(ctx.by, 60)}" if ctx.by else "assistant"


# --- the metric that counts ------------------------------------------------------------------------------------------
_RANK = {EVAL: 0, LOSS: 1, QUALITY: 2, GAME: 3}


def ranked_names(names: Iterable[str], primary: str | None = None) -> list[str]:
    """Metrics by how much they say of a run: its primary, losses on held-out data, training losses, scores, the rest;
    the machine's own last."""

    def place(name: str) -> tuple[int, int, str]:
        if name == primary:
            return -1, 0, name
        return (9 if name.startswith("system/") else _RANK.get(classify(name), 5)), len(name), name

    return sorted(names, key=place)


def key_metric(runs: Sequence[Run], wanted: str | None = None) -> tuple[str, Direction]:
    """The metric to judge these runs by and which way is better: the one wanted, else what the newest run that says
    so is judged by, else the weightiest by name. ("", "") where nothing was logged."""
    declared = next((r for r in reversed(in_order(runs)) if r.primary), None)
    names = list(dict.fromkeys(n for r in runs for n in r.summary))
    if wanted is not None:
        name = find_name(wanted, names, "metric")
    elif declared is not None and declared.primary:
        name = declared.primary
    else:
        known = [n for n in names if direction_of(n)]
        name = (ranked_names(known or names) or [""])[0]
    says = next((r for r in reversed(in_order(runs)) if r.primary == name), None)
    return name, direction_of(name, says.primary if says else None, says.mode if says else "min")


def best_of(summary: MetricSummary | None, direction: Direction) -> tuple[float, int | None] | None:
    """(value, step) of the best finite value; None is "no data". Without a direction there is no best."""
    if summary is None or not direction:
        return None
    value, step = (summary.max, summary.max_step) if direction == "max" else (summary.min, summary.min_step)
    return None if value is None else (value, step)


def at(value: float | str | None, step: int | None, *, exact: bool = False) -> str:
    """`0.1421 @ 90`."""
    return num(value, exact=exact) + (f" @ {step}" if step is not None and value is not None else "")


def status_of(run: Run) -> str:
    """The status with what belongs to it: exit code, share done."""
    if run.status is RunStatus.FAILED:
        how = (
            f"exit code {run.exit_code}" if run.exit_code is not None else f"signal {run.signal}" if run.signal else ""
        )
        return f"failed ({how})" if how else "failed"
    if run.status is RunStatus.RUNNING and run.progress and run.progress.fraction is not None:
        return f"running ({run.progress.fraction:.0%})"
    return str(run.status.value)


def how_it_stops(now: bool) -> str:
    """What a person reads before a run or a sweep is stopped."""
    return "at once (SIGKILL), nothing is saved" if now else "with grace: INT, then TERM, then KILL"
