"""What a metric's columns must say, in the most obvious way: a list of points and three rules."""

from __future__ import annotations

import math
from typing import NamedTuple

from ragent_jupyter.domain.metrics import Row, Series


class Point(NamedTuple):
    step: int
    time: float
    value: float


class MetricModel:
    """One metric's points in the order in which they came."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def visible(self) -> list[Point]:
        """A lower step hides what stood from there on; an equal one replaces the last."""
        shown: list[Point] = []
        before: Point | None = None
        for point in self.points:
            if before is not None and point.step <= before.step:
                shown = [old for old in shown if old.step < point.step]
            shown.append(point)
            before = point
        return shown


def model_of(rows: list[Row]) -> dict[str, MetricModel]:
    """Rows that all have steps, as one model a metric."""
    models: dict[str, MetricModel] = {}
    for row in rows:
        for name, value in row.values.items():
            assert row.step is not None
            models.setdefault(name, MetricModel()).points.append(Point(row.step, row.time, value))
    return models


def same(a: float | None, b: float | None) -> bool:
    """Equal, NaN and None included."""
    if a is None or b is None:
        return a is b
    return a == b or (math.isnan(a) and math.isnan(b))


def finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def kind(value: float) -> str:
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def check_series(series: Series, expected: list[tuple[float, float]], points: int) -> None:
    """The series shows exactly `expected`, (x, value) with ascending x, in at most `points` buckets."""
    odd = [(x, value) for x, value in expected if not math.isfinite(value)]
    assert series.nonfinite == [x for x, _ in odd][:1000]
    assert series.nonfinite_kinds == [kind(value) for _, value in odd][:1000]
    assert series.nonfinite_count == len(odd)
    if series.raw:
        assert series.x == [x for x, _ in expected]
        assert series.last == [finite_or_none(value) for _, value in expected]
        assert series.min == [] == series.max
        return
    assert 0 < len(series.x) <= points < len(expected)
    assert len(series.x) == len(series.last) == len(series.min) == len(series.max)
    assert series.x[-1] == expected[-1][0]
    at = 0
    for x, low, high, last in zip(series.x, series.min, series.max, series.last, strict=True):
        bucket = []
        while at < len(expected) and expected[at][0] <= x:
            bucket.append(expected[at])
            at += 1
        assert bucket and bucket[-1][0] == x, f"no point at {x}"
        finite = [value for _, value in bucket if math.isfinite(value)]
        assert same(low, min(finite, default=None)), (x, low)
        assert same(high, max(finite, default=None)), (x, high)
        assert same(last, finite[-1] if finite else None), (x, last)
    assert at == len(expected)
