"""One metric on its way to disk: its values, and what the reader needs to find and to sum them up."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from math import isfinite, nan
from struct import Struct as Packer
from typing import Any

from .columns_files import Files
from .columns_format import (
    BLOCK,
    CLOCK_BACK,
    EXTENT_SIZE,
    MARK_SIZE,
    PYRAMID_SIZE,
    REPEAT,
    REWIND,
    extents_file,
    marks_file,
    pyramid_file,
    values_file,
)

_EXTENT = Packer("<II")
_MARK = Packer("<IIq")
_PYRAMID = Packer("<6d")
LOWEST_STEP = -(2**63)


class Batch:
    """Rows on their way into the columns; `rising` and `in_time` spare each metric a look at every step."""

    __slots__ = ("count", "first_row", "in_time", "rising", "steps", "times")

    def __init__(
        self, first_row: int, count: int, steps: array[int], times: array[float], rising: bool, in_time: bool
    ) -> None:
        self.first_row = first_row
        self.count = count
        self.steps = steps
        self.times = times
        self.rising = rising
        self.in_time = in_time


class Column:
    """Bytes that belong at the end of a file: `pending` from `offset` on. Flushing twice writes the same place."""

    __slots__ = ("_files", "name", "offset", "pending")

    def __init__(self, files: Files, name: str, pending: Any, offset: int) -> None:
        self._files = files
        self.name = name
        self.pending = pending
        self.offset = offset

    def flush(self) -> None:
        if self.pending:
            data = bytes(self.pending)  # a copy: a view would forbid the array to grow while an error's traceback lives
            self._files.write(self.name, data, self.offset)
            self.offset += len(data)
            del self.pending[:]


class MetricColumns:
    """One metric's values, pyramid, extents and marks."""

    __slots__ = (
        "count",
        "extents",
        "flags",
        "last_step",
        "last_time",
        "marks",
        "next_row",
        "number",
        "pyramid",
        "tail",
        "values",
    )

    def __init__(self, files: Files, number: int, count: int, first_row: int) -> None:
        self.number = number
        self.count = count  # with what is pending
        extents = files.read_records(extents_file(number), _EXTENT, lambda entry: entry[1] < count)
        marks = files.read_records(marks_file(number), _MARK, lambda entry: entry[0] < count)
        row, value = extents[-1] if extents else (first_row, 0)
        self.next_row = row + count - value
        self.flags = {kind for _, kind, _ in marks}
        self.last_step, self.last_time = files.row(self.next_row - 1) if count else (LOWEST_STEP, -float("inf"))
        whole = count // BLOCK
        self.tail = files.read_values(values_file(number), 8 * whole * BLOCK, count - whole * BLOCK)
        self.values = Column(files, values_file(number), array("d"), 8 * count)
        self.pyramid = Column(files, pyramid_file(number), bytearray(), PYRAMID_SIZE * whole)
        self.extents = Column(files, extents_file(number), bytearray(), EXTENT_SIZE * len(extents))
        self.marks = Column(files, marks_file(number), bytearray(), MARK_SIZE * len(marks))

    def extend(self, batch: Batch, column: array[float], seen: Sequence[float]) -> None:
        """Take the values of a batch. seen: the same values, as floats if they are there already (a tuple): to look at
        64 floats in an array makes 64 new objects."""
        if batch.first_row != self.next_row:
            self.extents.pending += _EXTENT.pack(batch.first_row, self.count)
        self.next_row = batch.first_row + batch.count
        if not batch.rising or (self.count and batch.steps[0] <= self.last_step):
            self._mark_steps(batch.steps)
        if (not batch.in_time or batch.times[0] < self.last_time) and CLOCK_BACK not in self.flags:
            self._mark(self.count, CLOCK_BACK, batch.steps[0])
        self.last_step = batch.steps[-1]
        self.last_time = batch.times[-1]
        self.values.pending.extend(column)
        self.count += batch.count
        self._build_pyramid(batch, column, seen)

    def _build_pyramid(self, batch: Batch, column: array[float], seen: Sequence[float]) -> None:
        at = BLOCK - len(self.tail)
        if batch.count < at:
            self.tail.extend(column)
            return
        # All of them at once: a NaN, an infinity and what is beyond 2**1009 have a first byte of 0x7f or 0xff.
        first_bytes = column.tobytes()[7::8]
        finite = b"\x7f" not in first_bytes and b"\xff" not in first_bytes
        records = self.pyramid.pending
        block: Sequence[float] = [*self.tail, *seen[:at]]
        plain = finite and not self.tail
        while True:
            if plain or _all_finite(block):
                low, high, last, count = min(block), max(block), block[-1], 64.0
            else:
                low, high, last, count = _summary(block)
            records += _PYRAMID.pack(low, high, last, count, batch.steps[at - 1], batch.times[at - 1])
            if at + BLOCK > batch.count:
                break
            block = seen[at : at + BLOCK]
            if isinstance(block, array):
                block = block.tolist()
            at += BLOCK
            plain = finite
        self.tail = column[at:]

    def _mark_steps(self, steps: Iterable[int]) -> None:
        before = self.last_step
        for index, step in enumerate(steps, self.count):
            if step < before:
                self._mark(index, REWIND, step)
            elif step == before and index and REPEAT not in self.flags:
                self._mark(index, REPEAT, step)
            before = step

    def _mark(self, index: int, kind: int, step: int) -> None:
        self.flags.add(kind)
        self.marks.pending += _MARK.pack(index, kind, step)

    def flush(self) -> None:
        self.values.flush()
        self.pyramid.flush()
        self.extents.flush()
        self.marks.flush()


def _all_finite(block: Sequence[float]) -> bool:
    """Whether no value is a NaN or an infinity: it would have spread to the sum."""
    total = sum(block)
    return total - total == 0.0


def _summary(block: Sequence[float]) -> tuple[float, float, float, float]:
    """(min, max, last, how many) of the finite values; NaN where there is none."""
    finite = [value for value in block if isfinite(value)]
    if not finite:
        return nan, nan, nan, 0.0
    return min(finite), max(finite), finite[-1], float(len(finite))
