"""live.json: the newest picture of a run for those who want it now. A cache, never a truth."""

from __future__ import annotations

import math
import os
from typing import Any

import msgspec

from ragent_jupyter.domain.facts import Live
from ragent_jupyter.runfiles.jsonl import atomic_write
from ragent_jupyter.runfiles.sources.protocol import Block

_MAX_METRICS = 2000  # in live.json; the columns have them all


def spell(value: float) -> float | str:
    """A float as JSON says it.

    >>> spell(1.5), spell(float("nan")), spell(float("-inf"))
    (1.5, 'nan', '-inf')
    """
    if math.isfinite(value):
        return value
    return "nan" if value != value else ("inf" if value > 0 else "-inf")


class Summary:
    """domain.run.MetricSummary of every metric, kept up with the rows."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        self._metrics: dict[str, dict[str, Any]] = state or {}

    def note(self, block: Block) -> None:
        steps = block.steps
        count = len(steps)
        for name, column in zip(block.names, block.columns, strict=True):
            metric = self._metrics.get(name)
            if metric is None:
                if len(self._metrics) >= _MAX_METRICS:
                    continue
                metric = self._metrics[name] = {"count": 0}
            metric["count"] += count
            metric["last"] = spell(column[-1])
            metric["step"] = steps[-1]
            values = column if isinstance(column, tuple) else tuple(column)
            total = sum(values)
            if total - total != 0.0:  # some are not finite (or their sum overflowed, which costs only time)
                values = tuple(v for v in values if math.isfinite(v))
                metric["nonfinite"] = metric.get("nonfinite", 0) + count - len(values)
                if not values:
                    continue
            low, high = min(values), max(values)
            if "min" not in metric or low < metric["min"]:
                metric["min"], metric["min_step"] = low, steps[column.index(low)]
            if "max" not in metric or high > metric["max"]:
                metric["max"], metric["max_step"] = high, steps[column.index(high)]

    def json(self) -> dict[str, Any]:
        return self._metrics


def write_live(folder: str, live: Live) -> None:
    """Replace live.json. Raises OSError if the disk refused. Not fsynced: it is only a cache."""
    atomic_write(os.path.join(folder, "live.json"), msgspec.json.encode(live), fsync=False)
