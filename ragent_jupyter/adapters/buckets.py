"""Many points to few buckets of (min, max, last) over the finite values; nothing but numpy, no files.

A bucket that holds a NaN beside a spike still shows the spike: non-finite values are counted and listed apart, they
never stand in for a bucket. Sizes come from a ladder and buckets begin at multiples of their size, so that a growing
curve keeps its buckets for a while instead of drawing anew at every point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Buckets(NamedTuple):
    """Equal lengths (n,). min, max, last: NaN where a bucket holds no finite value. end: the cell of its last point."""

    min: Floats
    max: Floats
    last: Floats
    end: Ints


def ladder(at_least: int) -> int:
    """The smallest bucket size of 1 … 8, 10, 12, 14, 16, 20, … that is not below `at_least`.

    From 64 on each is a multiple of 64, the pyramid's block.
    >>> [ladder(n) for n in (1, 5, 9, 65, 129, 1000, 1025)]
    [1, 5, 10, 128, 192, 1024, 1280]
    """
    quarter = 64 if at_least > 64 else 1
    while 8 * quarter < at_least:
        quarter *= 2
    return max(1, -(-at_least // quarter)) * quarter


def count_buckets(ranges: Sequence[tuple[int, int]], size: int) -> int:
    """How many buckets of `size` cover these half-open, non-empty ranges; none spans two ranges."""
    return sum((end - 1) // size - start // size + 1 for start, end in ranges)


def fitting_size(ranges: Sequence[tuple[int, int]], points: int) -> int:
    """The smallest size of the ladder that needs at most `points` buckets; there must not be more ranges than that."""
    size = ladder(-(-sum(end - start for start, end in ranges) // points))
    while count_buckets(ranges, size) > points:
        size = ladder(size + 1)
    return size


def starts_of(start: int, end: int, size: int) -> Ints:
    """Where the buckets of [start, end) begin, counted from `start`.

    >>> starts_of(5, 12, 4).tolist()
    [0, 3]
    """
    first = np.arange(start // size, (end - 1) // size + 1, dtype=np.int64) * size - start
    first[0] = 0
    return first


def bucket_values(values: Floats, starts: Ints) -> Buckets:
    """Buckets of raw values; each begins at one of `starts` (ascending, the first is 0)."""
    finite = np.isfinite(values)
    if finite.all():
        return _reduce(values, values, values, None, starts)
    return _reduce(np.where(finite, values, np.inf), np.where(finite, values, -np.inf), values, finite, starts)


def bucket_cells(low: Floats, high: Floats, last: Floats, finite: Floats | None, starts: Ints) -> Buckets:
    """Buckets of pyramid cells. finite: how many finite values each cell has; 0 makes its other numbers void. None: all
    are finite."""
    if finite is None:
        return _reduce(low, high, last, None, starts)
    filled = finite > 0
    if filled.all():
        return _reduce(low, high, last, None, starts)
    return _reduce(np.where(filled, low, np.inf), np.where(filled, high, -np.inf), last, filled, starts)


def _reduce(low: Floats, high: Floats, last: Floats, filled: npt.NDArray[np.bool_] | None, starts: Ints) -> Buckets:
    ends = np.append(starts[1:], len(low)) - 1
    lows = np.minimum.reduceat(low, starts)
    highs = np.maximum.reduceat(high, starts)
    if filled is None:
        return Buckets(lows, highs, last[ends], ends)
    newest = np.maximum.reduceat(np.where(filled, np.arange(len(low)), -1), starts)
    empty = newest < starts
    lows[empty] = highs[empty] = np.nan
    return Buckets(lows, highs, np.where(empty, np.nan, last[newest]), ends)


def summary(values: Floats) -> tuple[float, float, float, float]:
    """(min, max, last, how many) of the finite values; NaN where there is none. One cell of the pyramid."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.nan, np.nan, np.nan, 0.0
    return float(finite.min()), float(finite.max()), float(finite[-1]), float(len(finite))


def or_none(values: Floats) -> list[float | None]:
    """As a list for JSON: None where a value is not finite."""
    finite = np.isfinite(values)
    if finite.all():
        every: list[float | None] = values.tolist()
        return every
    return [value if ok else None for value, ok in zip(values.tolist(), finite.tolist(), strict=True)]


def kind(value: float) -> str:
    """How JSON spells a non-finite value.

    >>> kind(float("-inf"))
    '-inf'
    """
    return "nan" if value != value else "inf" if value > 0 else "-inf"
