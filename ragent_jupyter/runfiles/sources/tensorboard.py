"""TensorBoard event files: our own TFRecord framing and just enough protobuf, on the standard library alone.

Format (github.com/tensorflow/tensorflow: core/lib/io/record_writer.h, core/util/event.proto): a record is a 64-bit
length, its CRC, the bytes, their CRC. An Event has wall_time = 1 (double), step = 2 (varint), summary = 5; a
Summary.Value has tag = 1, simple_value = 2 (float), tensor = 8. Only scalars are read: version 1 writes simple_value,
version 2 a tensor of one element. Events of one step that stand together become one row.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from typing import Any

from .protocol import Block, BlockBuilder, to_step

_LENGTH = struct.Struct("<Q")
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_MAX_RECORD = 4 << 20  # scalars are small; a larger record is a picture or a graph and is stepped over unread
_ABSURD = 1 << 40  # no record is that long: this is no event file
_DTYPES = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 4: "<B", 6: "<b", 5: "<h", 17: "<H", 19: "<e"}


class EventFile:
    """One event file. state: what `state()` gave before.

    prefix: put before every tag (two folders of one run write the same tags).  since: unix seconds; events from before
    are not this run's.
    """

    format = "tensorboard"

    def __init__(
        self, path: str, state: dict[str, Any] | None = None, *, id: str, prefix: str = "", since: float = 0.0
    ) -> None:
        state = state or {}
        self.path = path
        self.id = id
        self.more = False
        self.garbage: int = int(state.get("garbage", 0))
        self.generation: int = int(state.get("generation", 0))
        self._offset: int = int(state.get("offset", 0))
        self._prefix: str = state.get("prefix", prefix)
        self._since: float = float(state.get("since", since))
        self._ino: int | None = state.get("ino")
        self._dead: bool = bool(state.get("dead"))
        self._file: int | None = None

    def read(self, limit: int, now: float, *, final: bool = False, until: dict[str, Any] | None = None) -> list[Block]:
        self.more = False
        file = self._open()
        if file is None or self._dead:
            return []
        size = os.fstat(file).st_size
        if size < self._offset:
            self._restart()
        if until is not None and int(until.get("generation", 0)) == self.generation:
            size = min(size, int(until["offset"]))
        if size <= self._offset:
            return []
        data = os.pread(file, min(max(limit, 16), size - self._offset), self._offset)
        return self._rows(file, data, size)

    def _open(self) -> int | None:
        try:
            inode = os.stat(self.path).st_ino
            if self._file is not None and inode == self._ino:
                return self._file
            self.close()
            self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return self._file
        if self._ino is not None and inode != self._ino:
            self._restart()
        self._ino = inode
        return self._file

    def _restart(self) -> None:
        self.generation += 1
        self._offset, self._dead = 0, False

    def _rows(self, file: int, data: bytes, size: int) -> list[Block]:
        out = BlockBuilder()
        row: tuple[int, float, dict[str, float], int] | None = None
        at, start = 0, self._offset
        while at + 12 <= len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            if length > _ABSURD:
                self._dead = True
                self.garbage += 1
                break
            end = at + 16 + length
            if end > len(data):
                if start + end > size:
                    break  # torn: the rest is not written yet
                if at == 0:  # larger than the limit, but there
                    if length > _MAX_RECORD:
                        self._offset = start + end
                        self.more = self._offset < size
                        return []
                    data = os.pread(file, end, start)
                    if len(data) < end:
                        break
                else:
                    break
            try:
                event = _event(memoryview(data)[at + 12 : at + 12 + length])
            except (IndexError, struct.error, ValueError, OverflowError):
                self.garbage += 1
                event = None
            if event is not None:
                step, wall, values = event
                if wall >= self._since and values and to_step(step) is not None:
                    named = {self._prefix + tag: value for tag, value in values}
                    if row is not None and row[0] == step and not row[2].keys() & named.keys():
                        row[2].update(named)
                    else:
                        if row is not None:
                            out.add(*row)
                        row = (step, wall, named, start + at)
            at = end
        done = start + at
        self.more = done < size and len(data) > at and size > start + len(data)
        self.more = self.more or (size > start + len(data) and at > 0)
        if row is not None:
            if self.more and row[3] > start:
                done = row[3]  # its step may go on in the next read: give it out whole then
            else:
                out.add(*row)
        self._offset = done
        return out.done()

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"offset": self._offset, "ino": self._ino, "since": self._since}
        for key, value in (
            ("prefix", self._prefix), ("generation", self.generation), ("garbage", self.garbage), ("dead", self._dead),
        ):  # fmt: skip
            if value:
                state[key] = value
        return state

    def reached(self, state: dict[str, Any]) -> bool:
        generation = int(state.get("generation", 0))
        return self.generation > generation or (self.generation == generation and self._offset >= int(state["offset"]))

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None


# -- protobuf -----------------------------------------------------------------------------------------------------
def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value) of a message; sub-messages and texts as memoryviews."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, wire, value
        elif wire == 1:
            yield number, wire, data[at : at + 8]
            at += 8
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("a field runs beyond its message")
            yield number, wire, data[at : at + length]
            at += length
        elif wire == 5:
            yield number, wire, data[at : at + 4]
            at += 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _event(data: memoryview) -> tuple[int, float, list[tuple[str, float]]] | None:
    step, wall = 0, 0.0
    values: list[tuple[str, float]] = []
    for number, wire, value in _fields(data):
        if number == 1 and wire == 1:
            (wall,) = _DOUBLE.unpack(value)
        elif number == 2 and wire == 0:
            step = value - (1 << 64) if value >= 1 << 63 else value
        elif number == 5 and wire == 2:
            values += _summary(value)
    return (step, wall, values) if values else None


def _summary(data: memoryview) -> Iterator[tuple[str, float]]:
    for number, wire, value in _fields(data):
        if number != 1 or wire != 2:
            continue
        tag, scalar = "", None
        for inner, kind, content in _fields(value):
            if inner == 1 and kind == 2:
                tag = bytes(content).decode("utf-8", "replace")
            elif inner == 2 and kind == 5:
                (scalar,) = _FLOAT.unpack(content)
            elif inner == 8 and kind == 2:
                scalar = _tensor(content)
        if tag and scalar is not None:
            yield tag, scalar


def _tensor(data: memoryview) -> float | None:
    """The one number of a scalar tensor; None if it is none."""
    dtype = 0
    content: memoryview | None = None
    numbers: list[float] = []
    for number, wire, value in _fields(data):
        if number == 1 and wire == 0:
            dtype = value
        elif number == 2 and wire == 2:
            if _elements(value) != 1:
                return None
        elif number == 4 and wire == 2:
            content = value
        elif number == 5:  # float_val
            numbers += [x for (x,) in struct.iter_unpack("<f", value)]
        elif number == 6:  # double_val
            numbers += [x for (x,) in struct.iter_unpack("<d", value)]
        elif number in (7, 10, 11):  # int_val, int64_val, bool_val: packed or one by one
            numbers += _varints(value) if wire == 2 else [_signed(value)]
    if content is not None and dtype in _DTYPES and len(content) == struct.calcsize(_DTYPES[dtype]):
        return float(struct.unpack(_DTYPES[dtype], content)[0])
    if content is not None and dtype == 14 and len(content) == 2:  # bfloat16 is the upper half of a float
        return float(_FLOAT.unpack(b"\0\0" + bytes(content))[0])
    return float(numbers[0]) if len(numbers) == 1 else None


def _elements(shape: memoryview) -> int:
    total = 1
    for number, wire, dim in _fields(shape):
        if number == 2 and wire == 2:
            size = next((value for inner, kind, value in _fields(dim) if inner == 1 and kind == 0), 0)
            total *= size
    return total


def _varints(data: memoryview) -> list[float]:
    at, found = 0, []
    while at < len(data):
        value, at = _varint(data, at)
        found.append(_signed(value))
    return found


def _signed(value: int) -> float:
    return float(value - (1 << 64) if value >= 1 << 63 else value)
