"""The alert rules of a run's sidecar: facts in, alerts to raise out. No clock, no disk, no network.

    state, effects = watch(state, fact)

The state is taken over: `watch` may change the one it was given, so keep only the one it returns. It is JSON-able
(`msgspec.json.encode(state)` / `decode(..., type=Watch)`) and bounded. Nothing here raises on any name or number.
An unanswered alert holds nothing up: each rule goes on, and speaks again about the same metric after its cooldown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..domain.metrics import Row
from .watch_facts import Activity, Answered, Block, JobEnded, LogLines, Points, Raise, Slept, System, Tick, WatchFact
from .watch_log import job_ended, log_lines
from .watch_quiet import activity, ended, heard
from .watch_rows import block, points
from .watch_stall import tick
from .watch_state import Limits, Watch
from .watch_time import slept, system

__all__ = [
    "Activity", "Answered", "Block", "JobEnded", "Limits", "LogLines", "Points", "Raise", "Slept", "System", "Tick",
    "Watch", "WatchFact", "replayed", "watch",
]  # fmt: skip

_AFTER_IGNORE = 12.0  # times the cooldown: somebody has looked and did not mind


def watch(state: Watch, fact: WatchFact) -> tuple[Watch, list[Raise]]:
    """One fact: the state after it, and the alerts that it raises, oldest first."""
    out: list[Raise] = []
    if isinstance(fact, Points):
        heard(state, fact.at)
        points(state, fact, out)
    elif isinstance(fact, Block):
        heard(state, fact.at)
        block(state, fact, out)
    elif isinstance(fact, Tick):
        tick(state, fact, out)
    elif isinstance(fact, Activity):
        activity(state, fact)
    elif isinstance(fact, LogLines):
        log_lines(state, fact, out)
    elif isinstance(fact, System):
        system(state, fact, out)
    elif isinstance(fact, Answered):
        _answered(state, fact)
    elif isinstance(fact, JobEnded):
        ended(state, fact.at)
        job_ended(state, fact, out)
    else:
        slept(state, fact)
    return state, out


def _answered(state: Watch, fact: Answered) -> None:
    key = state.ids.get(fact.alert_id)
    if key is None:
        return
    if (fact.action or fact.choice) in ("stop", "stop_now"):
        state.stopping = True
    else:
        state.patience[key] = _AFTER_IGNORE * state.limits.cooldown_s


def replayed(rows: Iterable[Row], source: str) -> Iterator[Points | Tick]:
    """A finished log as the facts its watcher would have been told, by the log's own clock.

    A tick comes just before each row, so that a silence is judged as it would have been then.
    """
    last = 0.0
    for row in rows:
        if row.time > last:
            last = row.time
        if last > 0.0:
            yield Tick(at=last)
        yield Points(source=source, rows=[row], at=last)
