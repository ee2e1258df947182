"""What every metric source looks like, and the two small tools that all of them use."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

from ...domain.metrics import Row

MIN_INT64, MAX_INT64 = -(1 << 63), (1 << 63) - 1

# Which source is believed when several give a metric of the same name: the smaller rank wins.
RANKS = {"metrics_jsonl": 0, "tensorboard": 1, "hf_state": 2, "csv": 3, "pairs": 3, "stdout": 4}


class Block(Struct, frozen=True):
    """Rows that carry the same metrics, columnar: what a writer of columns wants.

    names: (m,); steps: array('q') (n,); times: array('d') (n,) unix seconds; columns: m tuples of floats or
    arrays('d') of shape (n,), in the order of names; offsets: (n,) where each row begins in its source, in bytes (for a
    source without bytes of its own: the row's number). NaN and infinities are floats.
    """

    names: list[str]
    steps: array[int]
    times: array[float]
    columns: Sequence[Sequence[float]]
    offsets: Sequence[int]

    @property
    def points(self) -> int:
        return len(self.names) * len(self.steps)

    def rows(self) -> Iterator[Row]:
        """The same as single rows, for those who are not in a hurry."""
        names = self.names
        for i, (step, at, offset) in enumerate(zip(self.steps, self.times, self.offsets, strict=True)):
            yield Row(step, at, {name: column[i] for name, column in zip(names, self.columns, strict=True)}, offset)

    def only(self, keep: Iterable[int]) -> Block:
        """The block with some of its columns, by position."""
        keep = list(keep)
        return Block(
            [self.names[k] for k in keep], self.steps, self.times, [self.columns[k] for k in keep], self.offsets
        )


class Source(Protocol):
    """A file (or a folder of files) with metrics, read from where the last commit left it.

    `read` never raises for what is *in* a file: garbage is skipped and counted. It may raise OSError for the file
    itself; the caller shows that as health and goes on with the other sources.
    """

    path: str  # the file or folder
    id: str  # stable over restarts; part of alert ids and of the commit records
    format: str  # a key of RANKS

    @property
    def garbage(self) -> int:
        """Lines or records that could not be read, so far."""

    @property
    def generation(self) -> int:
        """Grows when the file was truncated or replaced, so that offsets begin anew."""

    @property
    def more(self) -> bool:
        """The last read stopped at its limit, not at the end."""

    def read(self, limit: int, now: float, *, final: bool = False, until: dict[str, Any] | None = None) -> list[Block]:
        """New rows, at most about `limit` bytes of them. now: unix seconds, the time of rows that carry none.

        final: nobody writes any more, so a last line without its newline counts if it can be read.
        until: an earlier state of this source; nothing beyond it is read (to derive again what a crash cut off).
        """

    def state(self) -> dict[str, Any]:
        """What a new object needs to go on exactly here. JSON."""

    def reached(self, state: dict[str, Any]) -> bool:
        """This object stands at or beyond where `state` was taken (used to derive again what a crash cut off)."""

    def close(self) -> None: ...


class BlockBuilder:
    """Collects single rows into blocks: neighbours with the same metrics share one."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._names: tuple[str, ...] = ()
        self._steps: array[int] = array("q")
        self._times: array[float] = array("d")
        self._rows: list[tuple[float, ...]] = []
        self._offsets: list[int] = []

    def add(self, step: int, at: float, values: dict[str, float], offset: int) -> None:
        if not values:
            return
        names = tuple(values)
        if names != self._names:
            self._flush()
            self._names = names
        self._steps.append(step)
        self._times.append(at)
        self._rows.append(tuple(values.values()))
        self._offsets.append(offset)

    def add_block(self, block: Block) -> None:
        self._flush()
        self.blocks.append(block)

    def _flush(self) -> None:
        if self._rows:
            columns = list(zip(*self._rows, strict=True))
            self.blocks.append(Block(list(self._names), self._steps, self._times, columns, self._offsets))
            self._steps, self._times, self._rows, self._offsets = array("q"), array("d"), [], []
        self._names = ()

    def done(self) -> list[Block]:
        self._flush()
        return self.blocks


class StepKeeper:
    """Gives a step to rows that came without one.

    Such a row belongs to the current step, unless it repeats a metric of it: then a new step begins. So `loss` lines
    count 0, 1, 2 …, and an `eval_loss` line between them stands beside the loss that it was taken at.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self.step: int = int(state.get("step", -1))
        self._names: set[str] = set(state.get("names", ()))

    def given(self, step: int, names: Iterable[str]) -> int:
        """A row told its own step."""
        if step != self.step:
            self.step = min(step, MAX_INT64 >> 1)  # rows without a step may follow: their count must fit as well
            self._names = set(names)
        else:
            self._names.update(names)
        return step

    def implied(self, names: Iterable[str]) -> int:
        """A row told none."""
        new = set(names)
        if self.step < 0 or new & self._names:
            self.step += 1
            self._names = new
        else:
            self._names |= new
        return self.step

    def implied_many(self, names: list[str], count: int) -> array[int]:
        """`count` rows with the same metrics and no step."""
        first = self.implied(names)
        self.step = first + count - 1
        self._names = set(names) if count > 1 else self._names
        return array("q", range(first, first + count))

    def state(self) -> dict[str, Any]:
        return {"step": self.step, "names": sorted(self._names)}


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORDS = {
    "nan": math.nan,
    "+nan": math.nan,
    "-nan": math.nan,
    "inf": math.inf,
    "+inf": math.inf,
    "-inf": -math.inf,
    "infinity": math.inf,
    "+infinity": math.inf,
    "-infinity": -math.inf,
}


def to_float(text: str) -> float | None:
    """The number that a text spells, None if it spells none. Underscores, hex and such are not numbers in a log.

    >>> to_float("1e400"), to_float("-inf"), to_float("0x10"), to_float("1_000"), to_float("")
    (inf, -inf, None, None, None)
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    return _WORDS.get(text.lower())


def to_step(value: float | int | None) -> int | None:
    """A count that fits a 64-bit column, None for anything that is not one (0.5, NaN, 10**30).

    >>> to_step(12.0), to_step(0.5), to_step(float("nan")), to_step(10**30)
    (12, None, None, None)
    """
    if value is None or (isinstance(value, float) and not value.is_integer()):
        return None
    step = int(value)
    return step if MIN_INT64 <= step <= MAX_INT64 else None


def to_time(value: float | int | None) -> float | None:
    """Unix seconds from a clock's number (seconds or milliseconds); None for what is no date, such as a duration.

    >>> to_time(1790000000.5), to_time(1790000000500), to_time(12.5), to_time(float("nan"))
    (1790000000.5, 1790000000.5, None, None)
    """
    if value is None or not 1e8 < value < 1e14:
        return None
    if value < 1e11:
        return float(value)
    return value / 1000
