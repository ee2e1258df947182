"""The alert rules of a run's sidecar: facts in, alerts to raise out. No clock, no disk, no network.

    state, effects = watch(state, fact)

The state is taken over: `watch` may change the one it was given, so keep only the one it returns. It is JSON-able
(`msgspec.json.encode(state)` / `decode(..., type=Watch)`) and bounded. Nothing here raises on any name or number.
"""

from __future__ import annotations

from .watch_facts import Answered, Block, JobEnded, LogLines, Points, Raise, Slept, System, Tick, WatchFact
from .watch_state import Watch

__all__ = [
    "Answered", "Block", "JobEnded", "LogLines", "Points", "Raise", "Slept", "System", "Tick", "Watch", "WatchFact",
    "watch",
]  # fmt: skip


def watch(state: Watch, fact: WatchFact) -> tuple[Watch, list[Raise]]:
    """One fact: the state after it, and the alerts that it raises, oldest first."""
    return state, []
