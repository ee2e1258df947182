"""What doors see: records of the log, in one envelope, and unsaved doorbells beside them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

Topic = Literal[
    "runs", "sweeps", "alerts", "reports", "prefs", "engine", "metrics", "sessions", "memory", "wild", "research"
]
TOPICS: tuple[str, ...] = Topic.__args__  # type: ignore[attr-defined]


class Envelope(Struct, frozen=True, kw_only=True):
    """One event. `seq` grows by one per record and project and is never reused. What is no record (a doorbell, a piece
    of a text, a word of the frame) carries the seq that its listener has reached, so that the highest seq that came is
    always the place from which to go on.

    type: "run_created", "run_changed", "alert_raised", … ; for doorbells "metrics_changed", for the frame itself
    "hello", "ping", "snapshot_needed".  data: the object after the change, whole (a Run, Sweep, Alert …).
    """

    seq: int
    time: float
    topic: str
    type: str
    data: msgspec.Raw | dict[str, Any]


class Record(Struct, frozen=True, kw_only=True):
    """A line of the log before it has a seq. stream: the id of the run, sweep, alert … that it belongs to."""

    stream: str
    topic: str
    type: str
    data: Any
    v: int = 1


class StoredRecord(Struct, frozen=True, kw_only=True):
    seq: int
    stream: str
    topic: str
    type: str
    v: int
    time: float
    data: msgspec.Raw
