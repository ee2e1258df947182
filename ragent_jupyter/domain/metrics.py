"""Rows of metrics as the sidecar, the store and the chart API exchange them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Row(Struct, frozen=True):
    """One step's values. NaN and infinities are floats here; JSON spells them "nan", "inf", "-inf".

    step: the training code's own count, None if it gave none (the reader then counts rows).
    time: unix seconds by the log's own clock if it has one, else when the row was first seen.
    offset: where the row begins in its source, in bytes.
    """

    step: int | None
    time: float
    values: dict[str, float]
    offset: int = 0


class Series(Struct, frozen=True, kw_only=True):
    """One metric of one run, cut to at most `points` buckets, columnar. Lists are of equal length.

    x: the x of each bucket's last point (step; unix seconds; seconds since the run's first point).
    last, min, max: of the bucket's finite values; null where a bucket holds none. `raw` means one point a bucket:
    min and max are then left empty.
    nonfinite: x of each NaN or infinity (the first 1,000), nonfinite_count: how many in all, kinds beside them.
    total: committed points.  cursor: opaque; give it back as `since` for what came after.
    reset: a delta could not be given (rewind, too many points): this is the whole series anew.
    rewinds: x values where a later segment took over (the run was restarted from an older step).
    """

    run: str
    name: str
    x: list[float]
    last: list[float | None]
    min: list[float | None] = []
    max: list[float | None] = []
    raw: bool = False
    nonfinite: list[float] = []
    nonfinite_kinds: list[str] = []
    nonfinite_count: int = 0
    total: int = 0
    cursor: str = ""
    reset: bool = True
    rewinds: list[float] = []
    forks: list[dict[str, Any]] = []  # hidden older tails: {"x": [...], "last": [...]}
