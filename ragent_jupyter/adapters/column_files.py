"""One metric's column files, as its reader sees them: read by position, never mapped."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np

from ..runfiles import columns_format as fmt
from .buckets import Floats, Ints, summary


class View(NamedTuple):
    """One metric as the commits have it."""

    folder: str
    number: int
    points: int
    first_row: int
    id: str


class CutShort(Exception):
    """A file holds less than the commits count."""


class MetricFiles:
    """A metric's files, opened on first use; with it, everything that its index and marks tell."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._fds: dict[str, int] = {}
        self.extent_rows, self.extent_values = np.array([view.first_row]), np.zeros(1, np.int64)
        self.rewinds: list[tuple[int, int]] = []
        self.repeats = self.clock_back = False
        self.changed_at = -1  # the newest value that hides an older one
        if data := self._small(fmt.extents_file(view.number), fmt.EXTENT_SIZE):
            self._read_extents(data)
        if data := self._small(fmt.marks_file(view.number), fmt.MARK_SIZE):
            self._read_marks(data)

    def _read_extents(self, data: bytes) -> None:
        records = np.frombuffer(data, np.uint32).reshape(-1, 2)
        records = records[: int(np.searchsorted(records[:, 1], self.view.points))].astype(np.int64)
        self.extent_rows = np.concatenate((self.extent_rows, records[:, 0]))
        self.extent_values = np.concatenate((self.extent_values, records[:, 1]))

    def _read_marks(self, data: bytes) -> None:
        marks = np.frombuffer(data, [("value", "<u4"), ("kind", "<u4"), ("step", "<i8")])
        marks = marks[: int(np.searchsorted(marks["value"], self.view.points))]
        kinds = marks["kind"]
        rewinds = marks[kinds == fmt.REWIND]
        self.rewinds = list(zip(rewinds["value"].tolist(), rewinds["step"].tolist(), strict=True))
        self.repeats = bool((kinds == fmt.REPEAT).any())
        self.clock_back = bool((kinds == fmt.CLOCK_BACK).any())
        changes = marks["value"][kinds != fmt.CLOCK_BACK]
        self.changed_at = int(changes[-1]) if len(changes) else -1

    def __enter__(self) -> MetricFiles:
        return self

    def __exit__(self, *exc: object) -> None:
        for fd in self._fds.values():
            os.close(fd)

    # --- files
    def _fd(self, name: str) -> int:
        fd = self._fds.get(name)
        if fd is None:
            fd = self._fds[name] = os.open(f"{self.view.folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        return fd

    def _small(self, name: str, record: int) -> bytes:
        """All whole records of an index file; most metrics have none."""
        try:
            fd = os.open(f"{self.view.folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            data = read_at(fd, os.fstat(fd).st_size, 0)
            return data[: len(data) // record * record]
        finally:
            os.close(fd)

    def _read(self, name: str, kind_: Any, start: int, count: int) -> Any:
        data = read_at(self._fd(name), 8 * count, 8 * start)
        if len(data) != 8 * count:
            raise CutShort(f"{name} ends before number {start + count}")
        return np.frombuffer(data, kind_)

    def values(self, start: int, end: int) -> Floats:
        return self._read(fmt.values_file(self.view.number), np.float64, start, end - start)  # type: ignore[no-any-return]

    def blocks(self, blocks: Ints) -> Floats:
        """The values of single blocks: shape (blocks, 64). A last block may hold void numbers at its end."""
        fd = self._fd(fmt.values_file(self.view.number))
        size = 8 * fmt.BLOCK
        parts = [os.pread(fd, size, size * block) for block in blocks.tolist()]
        if len(parts[-1]) < size and blocks[-1] == self.view.points // fmt.BLOCK:
            parts[-1] = parts[-1].ljust(size, b"\0")
        data = b"".join(parts)
        if len(data) != size * len(blocks):
            raise CutShort(fmt.values_file(self.view.number))
        return np.frombuffer(data, np.float64).reshape(-1, fmt.BLOCK)

    def cells(self, start: int, end: int) -> Floats:
        """The pyramid over the values [start, end): shape (blocks touched, 6), its edges computed from the values."""
        first, last = start // fmt.BLOCK, (end - 1) // fmt.BLOCK
        cells = np.empty((last - first + 1, fmt.PYRAMID_FIELDS))
        stored = min(last + 1, self.view.points // fmt.BLOCK) - first
        if stored > 0:
            buffer = memoryview(cells[:stored]).cast("B")  # type: ignore[arg-type]
            fd, done = self._fd(fmt.pyramid_file(self.view.number)), 0
            while done < len(buffer):
                got = os.preadv(fd, [buffer[done:]], fmt.PYRAMID_SIZE * first + done)
                if not got:
                    raise CutShort(fmt.pyramid_file(self.view.number))
                done += got
        for block in {first, last}:
            low, high = max(start, block * fmt.BLOCK), min(end, (block + 1) * fmt.BLOCK)
            if high - low < fmt.BLOCK:
                at = self.rows(np.array([high - 1]))
                cells[block - first] = (*summary(self.values(low, high)), self.steps(at)[0], self.times(at)[0])
        return cells

    # --- x
    def rows(self, indexes: Ints) -> Ints:
        """In which row each value stands."""
        extent = np.searchsorted(self.extent_values, indexes, "right") - 1 if len(self.extent_rows) > 1 else 0
        rows: Ints = indexes - self.extent_values[extent] + self.extent_rows[extent]
        return rows

    def steps(self, rows: Ints) -> Ints:
        return self._of_rows(fmt.STEPS, np.int64, rows)  # type: ignore[no-any-return]

    def times(self, rows: Ints) -> Floats:
        return self._of_rows(fmt.TIMES, np.float64, rows)  # type: ignore[no-any-return]

    def _of_rows(self, name: str, kind_: Any, rows: Ints) -> Any:
        """One entry for each of the ascending rows: by one read of all that lies between, or one by one if few."""
        if not len(rows):
            return np.empty(0, kind_)
        first, span = int(rows[0]), int(rows[-1] - rows[0]) + 1
        if span > 2000 * len(rows):
            fd = self._fd(name)
            data = b"".join([os.pread(fd, 8, 8 * row) for row in rows.tolist()])
            if len(data) != 8 * len(rows):
                raise CutShort(name)
            return np.frombuffer(data, kind_)
        all_ = self._read(name, kind_, first, span)
        return all_ if span == len(rows) else all_[rows - first]

    def step_at(self, index: int) -> int:
        return int(self._read(fmt.STEPS, np.int64, int(self.rows(np.array([index]))[0]), 1)[0])

    def time_at(self, index: int) -> float:
        return float(self._read(fmt.TIMES, np.float64, int(self.rows(np.array([index]))[0]), 1)[0])

    def origin(self, x: str) -> float:
        """What `relative` counts from: the time of the run's first row."""
        return float(self._read(fmt.TIMES, np.float64, 0, 1)[0]) if x == "relative" else 0.0

    def x_of(self, indexes: Ints, x: str) -> Floats:
        rows = self.rows(indexes)
        return self.steps(rows).astype(np.float64) if x == "step" else self.times(rows) - self.origin(x)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes; fewer only at the end of the file (one call of the system gives at most 2 GiB)."""
    data = os.pread(fd, size, offset)
    if len(data) == size or not data:
        return data
    parts = [data]
    got = len(data)
    while got < size and (data := os.pread(fd, size - got, offset + got)):
        parts.append(data)
        got += len(data)
    return b"".join(parts)
