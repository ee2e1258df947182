"""metrics.jsonl: one JSON object a line. The fast path decodes whole chunks into typed rows, the slow one line by line.

What is read out of a line: numbers by their name; nested objects flattened with "/"; the strings "nan", "inf",
"-inf" and the tokens NaN, Infinity, 1e400 as what they say. Booleans, other strings, lists and nulls are no metrics.
`step` (or `_step`, `global_step`, `iteration`, `iter`) is the step, `time` (or `_timestamp`, `timestamp`) the time if
it can be a date. A line that is no JSON object is garbage: skipped and counted.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from itertools import accumulate
from struct import Struct
from struct import error as StructError
from typing import Any

import msgspec

from .protocol import Block, BlockBuilder, StepKeeper, to_float, to_step, to_time
from .tail import ByteTail

STEP_KEYS = ("step", "_step", "global_step", "trainer/global_step", "iteration", "iter")
TIME_KEYS = ("time", "_timestamp", "timestamp", "wall_time")
_NO_METRIC = frozenset({"_runtime", "_wandb"})
_BARE_WORD = re.compile(r"([:\[,]\s*[+-]?)(nan|inf(?:inity)?)(?=\s*[,}\]])", re.IGNORECASE)
_UNNAMEABLE = re.compile(r'[\x00-\x1f"\\]')  # msgspec takes no such field; such rows go line by line
_AT_ROW = re.compile(r"\$\[(\d+)\]")
_AT_BYTE = re.compile(r"\(byte (\d+)\)")
# Two numbers that nobody logs. Not larger: beyond 16 digits times 10**22 decoding one takes 300 times as long.
_STAND_IN_NAN = 8.071583942716051e37
_STAND_IN_INF = 8.073196042715839e37
_STOOD_FOR = {_STAND_IN_NAN: math.nan, -_STAND_IN_NAN: math.nan, _STAND_IN_INF: math.inf, -_STAND_IN_INF: -math.inf}
_PIECE = 1 << 18  # bytes
_SHORT_RUN = 16  # a fast run of fewer rows than this did not pay for itself
_SLOW_RUN = 64  # so many rows then go line by line before the fast path is tried again
_MAX_SHAPES = 32
_MAX_NAMES = 4096  # of one row; more is no row of metrics
_MAX_DEPTH = 64  # of nested objects; what lies deeper is no metric


def flatten(row: dict[str, Any], prefix: str = "", out: dict[str, Any] | None = None) -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a/b": 1}."""
    out = {} if out is None else out
    for key, value in row.items():
        if isinstance(value, dict):
            if prefix.count("/") < _MAX_DEPTH:
                flatten(value, f"{prefix}{key}/", out)
        else:
            out[f"{prefix}{key}"] = value
    return out


def number(value: Any) -> float | None:
    """The metric value of a JSON value, None if it is none."""
    if isinstance(value, float):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, str) and len(value) <= 32:
        return to_float(value)
    return None


def read_time(value: Any) -> float | None:
    """Unix seconds of a JSON value: a number that can be a date, or an ISO 8601 text (UTC unless it says otherwise)."""
    if isinstance(value, str):
        try:
            date = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return to_time(to_float(value))
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return to_time(value)


def split_row(row: dict[str, Any]) -> tuple[int | None, float | None, dict[str, float]]:
    """(step, time, metrics) of a decoded row; None where the row does not say."""
    flat = flatten(row)
    step: int | None = None
    at: float | None = None
    taken: set[str] = set(_NO_METRIC)
    for key in STEP_KEYS:
        if key in flat and (step := to_step(number(flat[key]))) is not None:
            taken.add(key)
            break
    for key in TIME_KEYS:
        if key in flat and (at := read_time(flat[key])) is not None:
            taken.add(key)
            break
    values: dict[str, float] = {}
    for key, value in flat.items():
        if key not in taken and key and (got := number(value)) is not None:
            values[key] = got
            if len(values) >= _MAX_NAMES:
                break
    return step, at, values


class _Shape:
    """A set of keys that many rows have, and the decoder made for it."""

    def __init__(self, row: dict[str, Any], step_key: str | None, time_key: str | None, names: list[str]) -> None:
        keys = list(row)
        fields: list[tuple[str, Any]] = []
        for i, key in enumerate(keys):
            kind: Any = str
            if key == step_key:
                kind = int
            elif key == time_key or key in names or key in _NO_METRIC:
                kind = float
            fields.append((f"f{i}", kind))
        row_type = msgspec.defstruct(
            "MetricsRow",
            fields,
            rename={f"f{i}": key for i, key in enumerate(keys)},
            forbid_unknown_fields=True,
            gc=False,
        )
        self.decode: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list[row_type]).decode  # type: ignore[valid-type]
        self.decode_one: Callable[[bytes], Any] = msgspec.json.Decoder(row_type).decode
        self.names = names
        self.columns = [keys.index(name) for name in names]
        self.step = keys.index(step_key) if step_key is not None else None
        self.time = keys.index(time_key) if time_key is not None else None


class MetricsJsonl:
    """The source for a JSON-lines file. state: what `state()` gave before.  start: bytes from before the launch."""

    format = "metrics_jsonl"

    def __init__(
        self, path: str, state: dict[str, Any] | None = None, *, id: str = "metrics.jsonl", start: int = 0
    ) -> None:
        state = state or {"offset": start}
        self.id = id
        self.path = path
        self._tail = ByteTail(path, state)
        self._steps = StepKeeper(state.get("steps"))
        self._garbage: int = int(state.get("garbage", 0))
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}
        self._last: _Shape | None = None  # of the newest fast rows
        self._recent: list[_Shape] = []  # of the newest rows that went line by line

    # -- the Source protocol --------------------------------------------------------------------------------------
    @property
    def more(self) -> bool:
        return self._tail.more

    @property
    def generation(self) -> int:
        return self._tail.generation

    @property
    def garbage(self) -> int:
        return self._garbage + self._tail.skipped

    def read(self, limit: int, now: float, *, final: bool = False, until: dict[str, Any] | None = None) -> list[Block]:
        blocks: list[Block] = []
        while limit > 0:
            # In pieces: 1 MiB of rows as objects leaves the processor's cache, and each then takes twice as long.
            piece = min(limit, _PIECE)
            generation = self._tail.generation
            start, data = self._tail.read(piece, final=final, until=until)
            if self._tail.generation != generation:
                self._steps = StepKeeper()  # another file: its rows count for themselves
            if data:
                blocks += self._parse(data, start, now)
            if not self._tail.more:
                break
            limit -= piece
        return blocks

    def state(self) -> dict[str, Any]:
        return {**self._tail.state(), "steps": self._steps.state(), "garbage": self.garbage}

    def reached(self, state: dict[str, Any]) -> bool:
        return self._tail.reached(state)

    def close(self) -> None:
        self._tail.close()

    # -- rows -----------------------------------------------------------------------------------------------------
    def _parse(self, data: bytes, start: int, now: float) -> list[Block]:
        whole = self._whole(data, start, now)
        if whole is not None:
            return [whole]
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        offsets = [start, *accumulate([len(line) + 1 for line in lines], initial=start)][1:]
        out = BlockBuilder()
        i, slow_until, count = 0, 0, len(lines)
        window = count  # how many lines to try at once: about as far as it went last time
        while i < count:
            shape = self._slow(lines[i], offsets[i], now, out)
            i += 1
            if shape is None or i < slow_until or i >= count:
                continue
            tried = lines[i : i + window]
            rows, odd = self._fast(shape, tried)
            if not rows and self._last is not None and self._last is not shape:
                shape = self._last  # one row of another kind, an evaluation, among many
                rows, odd = self._fast(shape, tried)
            if rows:
                self._last = shape
                block = self._block(shape, rows, offsets[i : i + len(rows)], now, odd)
                if block is None:  # the shape's idea of the time or the step does not hold for these rows
                    slow_until = i + _SLOW_RUN
                    continue
                out.add_block(block)
                i += len(rows)
            window = window * 4 if len(rows) == len(tried) else max(_SLOW_RUN, 2 * len(rows))
            if len(rows) < _SHORT_RUN:
                slow_until = i + _SLOW_RUN
        return out.done()

    def _whole(self, data: bytes, start: int, now: float) -> Block | None:
        """The usual chunk: every line has the shape of the last one before it. None: it is not so."""
        shape = self._last
        if shape is None or not data.endswith(b"\n"):
            return None
        try:
            rows, odd = _decode(shape, data[:-1])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        offsets = _line_offsets(data, start)
        if not rows or len(rows) != len(offsets):
            return None
        return self._block(shape, rows, offsets, now, odd)

    def _slow(self, line: bytes, offset: int, now: float, out: BlockBuilder) -> _Shape | None:
        """One line by hand. Returns the shape that the next lines may share."""
        line = line.strip(b"\0 \t\r")
        if not line:
            return None
        for shape in self._recent:
            if self._one(shape, line, offset, now, out):
                return shape
        row = decode_line(line)
        if row is None:
            self._garbage += 1
            return None
        step, at, values = split_row(row)
        self._take(step, at, values, offset, now, out)
        found = self._shape(row, values)
        if found is not None:
            self._recent = [found, *self._recent[:2]]
        return found

    def _one(self, shape: _Shape, line: bytes, offset: int, now: float, out: BlockBuilder) -> bool:
        """Take one line if it has exactly this shape and nothing odd about it."""
        try:
            fields = msgspec.structs.astuple(shape.decode_one(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        at = None if shape.time is None else fields[shape.time]
        step = None if shape.step is None else to_step(fields[shape.step])
        if (at is not None and not 1e8 < at < 1e11) or (step is None and shape.step is not None):
            return False
        values = {name: fields[c] for name, c in zip(shape.names, shape.columns, strict=True)}
        self._take(step, at, values, offset, now, out)
        return True

    def _take(
        self, step: int | None, at: float | None, values: dict[str, float], offset: int, now: float, out: BlockBuilder
    ) -> None:
        if values:
            step = self._steps.implied(values) if step is None else self._steps.given(step, values)
            out.add(step, now if at is None else at, values, offset)
        elif step is not None:
            self._steps.given(step, ())

    def _shape(self, row: dict[str, Any], values: dict[str, float]) -> _Shape | None:
        key = tuple(row)
        if key in self._shapes:
            return self._shapes[key]
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()  # keys that change all the time; the decoders must not pile up
        shape = None
        plain = all(type(value) in (int, float, str) for value in row.values())
        plain = plain and not any(_UNNAMEABLE.search(name) for name in row)
        if plain and values and not any(isinstance(row[name], str) for name in values):
            step_key = next((k for k in STEP_KEYS if k in row and k not in values), None)
            time_key = next((k for k in TIME_KEYS if k in row and k not in values), None)
            good_time = time_key is None or not isinstance(row[time_key], str)
            if good_time and (step_key is None or type(row[step_key]) is int):
                shape = _Shape(row, step_key, time_key, list(values))
        self._shapes[key] = shape
        return shape

    def _fast(self, shape: _Shape, rest: list[bytes]) -> tuple[list[Any], bool]:
        """As many of these lines as have exactly this shape, decoded; whether stand-ins are among their numbers."""
        while rest:
            joined = b"\n".join(rest)
            try:
                rows, odd = _decode(shape, joined)
            except msgspec.DecodeError as error:  # its ValidationError as well
                stop = _failed_row(str(error), _with_stand_ins(joined))
            except UnicodeDecodeError:
                return [], False
            else:
                # A line that holds several objects, such as "{…},{…}", would make more rows than lines.
                return (rows, odd) if len(rows) == len(rest) else ([], False)
            if not 0 <= stop < len(rest):
                return [], False
            rest = rest[:stop]
        return [], False

    def _block(self, shape: _Shape, rows: list[Any], offsets: Sequence[int], now: float, odd: bool) -> Block | None:
        # Columns stay tuples: packing one is four times as fast as array("d", tuple), and its floats are there already
        # for whoever looks for the smallest.
        count = len(rows)
        floats = Struct(f"{count}d").pack
        columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        if odd:
            for c in shape.columns:
                if max(columns[c]) >= _STAND_IN_NAN or min(columns[c]) <= -_STAND_IN_NAN:
                    columns[c] = tuple(_STOOD_FOR.get(value, value) for value in columns[c])
        times = array("d", [now]) * count if shape.time is None else array("d", floats(*columns[shape.time]))
        if shape.time is not None and not (min(times) > 1e8 and max(times) < 1e11):
            return None
        if shape.step is None:
            steps = self._steps.implied_many(shape.names, count)
        else:
            try:
                steps = array("q", Struct(f"{count}q").pack(*columns[shape.step]))
            except StructError:
                return None
            self._steps.given(steps[-1], shape.names)
        return Block(list(shape.names), steps, times, [columns[c] for c in shape.columns], offsets)


def _line_offsets(data: bytes, start: int) -> list[int]:
    """Where each line of a chunk begins."""
    offsets = []
    find, at = data.find, 0
    while at < len(data):  # each `find` is a memchr; counting or splitting goes through the bytes ten times as slowly
        offsets.append(start + at)
        at = find(b"\n", at) + 1 or len(data)
    return offsets


def _decode(shape: _Shape, lines: bytes) -> tuple[list[Any], bool]:
    """All lines, joined by newlines, as rows of one shape; whether stand-ins are among their numbers.

    Raises DecodeError for the first line that is not of this shape.
    """
    try:
        return shape.decode(b"[" + lines.replace(b"\n", b",") + b"]"), False
    except msgspec.DecodeError:
        # To look for the tokens first would take as long as the decoding.
        replaced = _with_stand_ins(lines)
        if replaced is lines:
            raise
        return shape.decode(b"[" + replaced.replace(b"\n", b",") + b"]"), True


def _with_stand_ins(text: bytes) -> bytes:
    """JSON has no NaN, and msgspec says so; the tokens of Python's json are replaced by two numbers that nobody logs.

    Within a text or a name it does no harm: a text is no metric, and a changed name sends the row the slow way.
    """
    if b"NaN" not in text and b"Infinity" not in text:
        return text
    return text.replace(b"NaN", b"%r" % _STAND_IN_NAN).replace(b"Infinity", b"%r" % _STAND_IN_INF)


def _failed_row(message: str, joined: bytes) -> int:
    """Which line an error message speaks of; -1 if it does not say. Its bytes count from the bracket before them."""
    at = _AT_ROW.search(message)
    if at:
        return int(at.group(1))
    byte = _AT_BYTE.search(message)
    return joined.count(b"\n", 0, int(byte.group(1)) - 1) if byte else -1


def decode_line(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line holds, NaN and its kin understood; None for garbage. Never raises.

    >>> decode_line(b'{"loss": NaN, "x": 1e400}')
    {'loss': nan, 'x': inf}
    >>> decode_line(b'{"loss": nan}'), decode_line(b'{"loss": 1'), decode_line(b"[1]")
    ({'loss': nan}, None, None)
    """
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            text = line.decode("utf-8", "replace")
            try:
                row = json.loads(text, object_pairs_hook=_encodable)
            except ValueError:
                text = _BARE_WORD.sub(lambda m: m[1] + ("NaN" if m[2][0] in "nN" else "Infinity"), text)
                row = json.loads(text, object_pairs_hook=_encodable)
        except (ValueError, RecursionError):
            return None
    return row if isinstance(row, dict) else None


def _encodable(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object with names that can be written again: half of a surrogate pair ("\\ud800") can not."""
    return {name.encode("utf-8", "replace").decode(): value for name, value in pairs}
