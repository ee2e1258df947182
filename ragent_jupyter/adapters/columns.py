"""The reader of metric columns: one metric of one run, cut to what a chart can show, in a millisecond or less.

It opens, reads by position and closes; it never maps a file, because a file that is cut under a map kills the process.
It sees what the commits count and nothing else, so it needs no lock and no word with the writer.
"""

from __future__ import annotations

import logging
import os
import zlib
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ..domain.metrics import Series
from ..runfiles import columns_format as fmt
from .buckets import (
    Buckets,
    Floats,
    Ints,
    bucket_cells,
    bucket_values,
    fitting_size,
    kind,
    or_none,
    starts_of,
)
from .column_files import CutShort, MetricFiles, View, read_at

log = logging.getLogger(__name__)

KNOWN_RUNS = 4096  # states of commits kept; each is some hundred bytes and the metrics' names
NONFINITE_LISTED = 1000
FORKS_LISTED = 20
FORK_POINTS = 200


class ColumnReader:
    """domain.ports.MetricReader on run folders. Safe to share between threads; all calls read files and may block."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = Lock()

    def names(self, run_dir: str) -> list[str]:
        """The metrics of the run in the order in which they appeared; [] if none is committed."""
        with self._lock:
            known = self._look(run_dir)
            return list(known.committed.names) if known else []

    def totals(self, run_dir: str) -> dict[str, Any]:
        """{"rows", "points", "metrics", "sources": ids, "seq": commits so far}; zeros if nothing is committed."""
        with self._lock:
            known = self._look(run_dir)
            if known is None:
                return {"rows": 0, "points": 0, "metrics": 0, "sources": [], "seq": 0}
            done = known.committed
            return {
                "rows": done.rows,
                "points": done.points,
                "metrics": len(done.names),
                "sources": list(done.sources),
                "seq": done.seq,
            }

    def series(
        self,
        run_dir: str,
        run: str,
        name: str,
        *,
        x: str = "step",
        points: int = 1000,
        from_: float | None = None,
        to: float | None = None,
        since: str | None = None,
    ) -> Series | None:
        """One metric, at most `points` buckets between from_ and to (x values, both included); None: no such metric.

        points=0: every point.  since: a cursor; if what came after it can be appended to what the cursor's owner has,
        the reply holds those points alone, raw, with `reset` False (min and max of such a point are its value).
        nonfinite_count counts the whole shown range also in a delta. A damaged folder gives an empty series.
        """
        with self._lock:
            known = self._look(run_dir)
            if known is None:
                return None
            done = known.committed
            number = done.numbers.get(name)
            if number is None:
                return None
            view = View(f"{run_dir}/metrics", number, done.counts[number], done.first_rows[number], done.id)
        ask = _Ask(x, points, from_, to)
        try:
            with MetricFiles(view) as metric:
                found = _delta(metric, ask, since) if since else None
                if found is None:
                    found = _whole(metric, ask)
        except (CutShort, OSError) as error:
            log.warning("metric %r of %s cannot be read: %s", name, run_dir, error)
            return Series(run=run, name=name, x=[], last=[], total=view.points)
        return Series(run=run, name=name, total=view.points, **found)

    def _look(self, run_dir: str) -> _Known | None:
        """The run's commits as they are now: one stat if nothing has changed, else only what is new is read."""
        path = f"{run_dir}/metrics/{fmt.COMMITS}"
        known = self._known.get(run_dir)
        try:
            now = os.stat(path)
            if known is not None and known.stamp == (now.st_ino, now.st_size, now.st_mtime_ns):
                self._known.move_to_end(run_dir)
                return known
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._known.pop(run_dir, None)
            return None
        try:
            known = _Known.read(fd, known)
        except OSError:
            return None
        finally:
            os.close(fd)
        self._known[run_dir] = known
        self._known.move_to_end(run_dir)
        if len(self._known) > KNOWN_RUNS:
            self._known.popitem(last=False)
        return known


class _Known:
    """A run's commits up to `offset`."""

    __slots__ = ("committed", "head", "offset", "stamp")

    def __init__(self) -> None:
        self.committed = fmt.Committed()
        self.offset = 0
        self.head = b""
        self.stamp = (0, 0, 0)

    @staticmethod
    def read(fd: int, before: _Known | None) -> _Known:
        now = os.fstat(fd)
        head = os.pread(fd, 32, 0)  # its checksum tells a rotated file from the old one, should the inode come back
        same = before is not None and before.stamp[0] == now.st_ino and now.st_size >= before.offset
        known = before if same and before is not None and before.head == head[: len(before.head)] else _Known()
        data = read_at(fd, now.st_size - known.offset, known.offset)
        end = data.rfind(b"\n") + 1
        for line in data[:end].split(b"\n"):
            commit = fmt.decode_commit(line) if line else None
            if commit is not None:
                known.committed.apply(commit)
        known.offset += end
        known.head = head if known.offset >= 32 else b""
        known.stamp = (now.st_ino, now.st_size, now.st_mtime_ns)
        return known


class _Ask(NamedTuple):
    x: str
    points: int
    from_: float | None
    to: float | None

    @property
    def digest(self) -> str:
        """A cursor is good for the same question only. How many points fit may change: the panel was widened."""
        return f"{zlib.crc32(repr((self.x, self.from_, self.to)).encode()):08x}"


# --- what is visible -----------------------------------------------------------------------------------------------
def _visible(metric: MetricFiles) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(visible, hidden) ranges of value numbers. A rewind to step s hides all earlier values from s on.

    The visible ranges, one after the other, have ascending steps.
    """
    count = metric.view.points
    if not metric.rewinds:
        return [(0, count)] if count else [], []
    starts = [(0, metric.step_at(0)), *metric.rewinds]
    visible: list[tuple[int, int, int]] = []  # start, end, step of the first
    hidden: list[tuple[int, int]] = []
    for number, (start, step) in enumerate(starts):
        end = starts[number + 1][0] if number + 1 < len(starts) else count
        while visible and visible[-1][2] >= step:
            hidden.append(visible.pop()[:2])
        if visible:
            low, high, first = visible[-1]
            cut = bisect_left(range(high), step, low, high, key=metric.step_at)
            if cut < high:
                hidden.append((cut, high))
                visible[-1] = (low, cut, first)
        visible.append((start, end, step))
    borders = {start for start, _ in starts}
    joined: list[tuple[int, int]] = []
    for start, end in sorted(hidden):
        if joined and joined[-1][1] == start and start not in borders:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return [(start, end) for start, end, _ in visible], joined


def _zoomed(metric: MetricFiles, ranges: Sequence[tuple[int, int]], ask: _Ask) -> list[tuple[int, int]]:
    """The parts of the ranges whose x lies between from_ and to; x must ascend in each range."""
    if ask.from_ is None and ask.to is None:
        return list(ranges)
    origin = metric.origin(ask.x)

    def key(index: int) -> float:
        return metric.step_at(index) if ask.x == "step" else metric.time_at(index) - origin

    cut = []
    for start, end in ranges:
        low = start if ask.from_ is None else bisect_left(range(end), ask.from_, start, end, key=key)
        high = end if ask.to is None else bisect_right(range(end), ask.to, low, end, key=key)
        if low < high:
            cut.append((low, high))
    return cut


# --- the whole series ----------------------------------------------------------------------------------------------
def _whole(metric: MetricFiles, ask: _Ask) -> dict[str, Any]:
    visible, hidden = _visible(metric)
    out_of_order = ask.x != "step" and metric.clock_back
    gathered = metric.repeats or out_of_order or (ask.points > 0 and len(visible) > max(1, ask.points // 4))
    found = _gathered(metric, visible, ask) if gathered else _ranged(metric, _zoomed(metric, visible, ask), ask)
    found["cursor"] = _cursor(metric, ask, len(found["x"]), found["nonfinite_count"])
    if len(visible) > 1:
        found["rewinds"] = metric.x_of(np.array([start for start, _ in visible[1:]]), ask.x).tolist()
    if hidden:
        found["forks"] = [_fork(metric, start, end, ask) for start, end in hidden[-FORKS_LISTED:]]
    return found


def _ranged(metric: MetricFiles, ranges: list[tuple[int, int]], ask: _Ask) -> dict[str, Any]:
    """Ranges without repeated steps, x ascending: raw if it fits, else buckets from the pyramid or the values."""
    total = sum(end - start for start, end in ranges)
    if ask.points <= 0 or total <= ask.points:
        values = _concatenate([metric.values(*part) for part in ranges])
        return _raw(metric, values, _concatenate([metric.x_of(np.arange(*part), ask.x) for part in ranges]))
    size = fitting_size(ranges, ask.points)
    by_cells = size >= fmt.BLOCK  # all such sizes are multiples of it
    parts = [(_from_cells if by_cells else _from_values)(metric, *part, size, ask.x) for part in ranges]
    xs = _concatenate([part.x for part in parts])
    buckets = Buckets(*(_concatenate([part.buckets[i] for part in parts]) for i in range(4)))
    odd = _concatenate([part.odd for part in parts])[:NONFINITE_LISTED]
    kinds = _concatenate([part.odd_values for part in parts])[:NONFINITE_LISTED]
    return {
        **_shown(buckets, xs),
        "nonfinite": metric.x_of(odd, ask.x).tolist(),
        "nonfinite_kinds": [kind(value) for value in kinds.tolist()],
        "nonfinite_count": sum(part.odd_count for part in parts),
    }


class _Part(NamedTuple):
    x: Floats
    buckets: Buckets
    odd: Ints  # the numbers of non-finite values, at least the first NONFINITE_LISTED of them
    odd_values: Floats
    odd_count: int


def _from_values(metric: MetricFiles, start: int, end: int, size: int, x: str) -> _Part:
    values = metric.values(start, end)
    buckets = bucket_values(values, starts_of(start, end, size))
    odd = np.flatnonzero(~np.isfinite(values))
    return _Part(metric.x_of(buckets.end + start, x), buckets, odd + start, values[odd], len(odd))


def _from_cells(metric: MetricFiles, start: int, end: int, size: int, x: str) -> _Part:
    cells = metric.cells(start, end)
    first, last = start // fmt.BLOCK, (end - 1) // fmt.BLOCK
    low, high, newest, finite, step, time = cells.T
    starts = starts_of(first, last + 1, size // fmt.BLOCK)
    missing = end - start - int(finite.sum())
    if not missing:
        buckets = bucket_cells(low, high, newest, None, starts)
        odd, values = np.empty(0, np.int64), np.empty(0)
    else:
        buckets = bucket_cells(low, high, newest, finite, starts)
        sizes = np.full(len(cells), fmt.BLOCK)
        sizes[0] -= start - first * fmt.BLOCK
        sizes[-1] -= (last + 1) * fmt.BLOCK - end
        blocks = np.flatnonzero(finite < sizes)[:NONFINITE_LISTED] + first
        numbers = blocks[:, None] * fmt.BLOCK + np.arange(fmt.BLOCK)
        inside = metric.blocks(blocks)
        found = ~np.isfinite(inside) & (numbers >= start) & (numbers < end)
        odd, values = numbers[found], inside[found]
    xs = step[buckets.end] if x == "step" else time[buckets.end] - metric.origin(x)
    return _Part(xs, buckets, odd, values, missing)


def _gathered(metric: MetricFiles, ranges: list[tuple[int, int]], ask: _Ask) -> dict[str, Any]:
    """The general case, from all values: repeated steps (the last wins), times out of order, very many rewinds."""
    values, xs = _gather(metric, ranges, ask)
    if ask.points <= 0 or len(values) <= ask.points:
        return _raw(metric, values, xs)
    buckets = bucket_values(values, starts_of(0, len(values), fitting_size([(0, len(values))], ask.points)))
    return {**_shown(buckets, xs[buckets.end]), **_odd(values, xs)}


def _gather(metric: MetricFiles, ranges: list[tuple[int, int]], ask: _Ask) -> tuple[Floats, Floats]:
    values = _concatenate([metric.values(*part) for part in ranges])
    rows = [metric.rows(np.arange(*part)) for part in ranges]
    steps = _concatenate([metric.steps(part) for part in rows])
    if ask.x == "step":
        xs = steps.astype(np.float64)
    else:
        xs = _concatenate([metric.times(part) for part in rows]) - metric.origin(ask.x)
    keep = np.ones(len(values), bool)
    keep[:-1] = steps[1:] != steps[:-1]
    if ask.from_ is not None:
        keep &= xs >= ask.from_
    if ask.to is not None:
        keep &= xs <= ask.to
    values, xs = values[keep], xs[keep]
    if ask.x != "step" and metric.clock_back:
        order = np.argsort(xs, kind="stable")
        values, xs = values[order], xs[order]
    return values, xs


def _raw(metric: MetricFiles, values: Floats, xs: Floats) -> dict[str, Any]:
    return {"x": xs.tolist(), "last": or_none(values), "raw": True, **_odd(values, xs)}


def _odd(values: Floats, xs: Floats) -> dict[str, Any]:
    odd = np.flatnonzero(~np.isfinite(values))
    listed = odd[:NONFINITE_LISTED]
    return {
        "nonfinite": xs[listed].tolist(),
        "nonfinite_kinds": [kind(value) for value in values[listed].tolist()],
        "nonfinite_count": len(odd),
    }


def _shown(buckets: Buckets, xs: Floats) -> dict[str, Any]:
    return {
        "x": xs.tolist(),
        "last": or_none(buckets.last),
        "min": or_none(buckets.min),
        "max": or_none(buckets.max),
    }


def _fork(metric: MetricFiles, start: int, end: int, ask: _Ask) -> dict[str, Any]:
    """A hidden older tail: {"x", "last"}, and "min", "max" if it was cut to buckets."""
    points = min(FORK_POINTS, ask.points) if ask.points > 0 else 0
    found = _ranged(metric, [(start, end)], _Ask(ask.x, points, None, None))
    return {key: found[key] for key in ("x", "last", "min", "max") if key in found}


def _concatenate(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0)


# --- what came after a cursor --------------------------------------------------------------------------------------
def _cursor(metric: MetricFiles, ask: _Ask, shown: int, nonfinite: int) -> str:
    return f"{metric.view.id}:{ask.digest}:{metric.view.points}:{shown}:{nonfinite}"


def _delta(metric: MetricFiles, ask: _Ask, since: str) -> dict[str, Any] | None:
    """The points after `since`, raw; None if they cannot simply be appended: the past has changed, or too many."""
    try:
        id_, digest, *numbers = since.split(":")
        before, shown, nonfinite = map(int, numbers)
    except ValueError:
        return None
    count = metric.view.points
    if id_ != metric.view.id or digest != ask.digest or not 0 < before <= count or metric.changed_at >= before:
        return None
    if ask.x != "step" and metric.clock_back:
        return None
    if ask.points > 0 and shown + count - before > 2 * ask.points:
        return None
    ranges = [(before, count)] if before < count else []
    if metric.repeats:
        if ranges and metric.step_at(before) == metric.step_at(before - 1):
            return None
        values, xs = _gather(metric, ranges, ask)
        found = _raw(metric, values, xs)
    else:
        found = _ranged(metric, _zoomed(metric, ranges, ask), ask._replace(points=0))
    found["nonfinite_count"] += nonfinite
    found["cursor"] = _cursor(metric, ask, shown + len(found["x"]), found["nonfinite_count"])
    found["reset"] = False
    return found
