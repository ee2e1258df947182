"""What stands in a run's `metrics/` folder: the one description that the writer and the reader of columns share.

All numbers are little-endian.

    commits.jsonl   one JSON line a commit: how many rows and values count, new metrics' names, the sources' offsets
    steps.i64       the step of each row (int64)
    times.f64       the time of each row (unix seconds, float64)
    m00007.f64      the values of metric 7 (float64; NaN and infinities as they are)
    m00007.pyr      one record for every 64 values: min, max, last of the finite ones, how many are finite,
                    and the step and time of the 64th (6 x float64)
    m00007.ext      where the metric skipped rows: (row, value) pairs of uint32; value number `value` and those after
                    it stand in row `row` and those after it. The first extent is in the commit that named the metric.
    m00007.mrk      what a reader must know of: (value uint32, kind uint32, step int64), see the kinds below
    writer.lock     flock of the one writer

A value exists if a commit says so. Files may be longer: what lies beyond is what a killed writer left, and the next
one overwrites it. A file is never made shorter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

COMMITS = "commits.jsonl"
STEPS = "steps.i64"
TIMES = "times.f64"
LOCK = "writer.lock"

BLOCK = 64  # values a pyramid record stands for
PYRAMID_FIELDS = 6  # min, max, last, finite, step, time
PYRAMID_SIZE = 8 * PYRAMID_FIELDS
EXTENT_SIZE = 8
MARK_SIZE = 16
NOWHERE = 0xFFFFFFFF  # overwrites leftover extents and marks: no value has this number, so they stay at the end

REWIND = 1  # this value's step is lower than the one before: a new segment; the older tail is hidden
REPEAT = 2  # from here on steps repeat: the last value of a step wins (written once)
CLOCK_BACK = 3  # from here on times are not in order (written once)


def values_file(number: int) -> str:
    return f"m{number:05d}.f64"


def pyramid_file(number: int) -> str:
    return f"m{number:05d}.pyr"


def extents_file(number: int) -> str:
    return f"m{number:05d}.ext"


def marks_file(number: int) -> str:
    return f"m{number:05d}.mrk"


class Commit(Struct, frozen=True, omit_defaults=True):
    """One line of commits.jsonl. Counts are totals, not increments; what a commit does not name has not changed.

    seq: 1 more than the line before. A line that breaks the count is ignored, and so is all after it up to a `whole`.
    names: new metrics, numbered in order, each with the row of its first value.
    counts: (first metric, last metric, values that each of them now has).
    sources: source id -> the state from which its reader goes on after these rows.
    auto: (last step given to a row that had none, highest step of rows that had one); -1: none yet.
    whole: this line is the whole state; forget the lines before.
    synced: all that this commit counts had reached the disk. boot: which boot of the machine wrote it.
    """

    seq: int
    rows: int
    names: list[tuple[str, int]] = []
    counts: list[tuple[int, int, int]] = []
    sources: dict[str, Any] = {}
    auto: tuple[int, int] = (-1, -1)
    whole: bool = False
    synced: bool = False
    boot: str = ""
    id: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Commit).decode


def encode_commit(commit: Commit) -> bytes:
    """One line, newline included; its first key is the checksum of the rest.

    >>> encode_commit(Commit(seq=1, rows=2))
    b'{"crc":"256453c8","seq":1,"rows":2}\\n'
    """
    rest = _encode(commit)[1:]
    return b'{"crc":"%08x",%b\n' % (zlib.crc32(rest), rest)


def decode_commit(line: bytes) -> Commit | None:
    """The commit of a line without its newline; None if the line is torn, damaged or disowned.

    >>> decode_commit(b'{"crc":"256453c8","seq":1,"rows":2}').rows
    2
    >>> decode_commit(b'{"crc":"256453c8","seq":1,"rows":3}') is None
    True
    """
    if line[:8] != b'{"crc":"' or line[16:18] != b'",':
        return None
    try:
        if int(line[8:16], 16) != zlib.crc32(line[18:]):
            return None
        return _decode(line)
    except (ValueError, msgspec.DecodeError):
        return None


class Committed:
    """What the commits add up to. Mutable: the writer owns one, the reader keeps one for each run it knows."""

    __slots__ = ("auto", "boot", "counts", "first_rows", "id", "names", "numbers", "rows", "seq", "sources")

    def __init__(self) -> None:
        self.seq = 0
        self.rows = 0
        self.id = ""
        self.boot = ""
        self.auto = (-1, -1)
        self.names: list[str] = []
        self.first_rows: list[int] = []
        self.counts: list[int] = []
        self.numbers: dict[str, int] = {}
        self.sources: dict[str, Any] = {}

    def apply(self, commit: Commit) -> bool:
        """Take one more commit; False if it does not follow and was ignored."""
        if commit.whole:
            self.__init__()  # type: ignore[misc]
            self.id = commit.id
        elif commit.seq != self.seq + 1:
            return False
        self.seq = commit.seq
        self.rows = commit.rows
        self.boot = commit.boot or self.boot
        self.auto = commit.auto
        for name, first_row in commit.names:
            self.numbers[name] = len(self.names)
            self.names.append(name)
            self.first_rows.append(first_row)
            self.counts.append(0)
        for first, last, count in commit.counts:
            self.counts[first : last + 1] = [count] * (last + 1 - first)
        self.sources.update(commit.sources)
        return True

    def whole(self, *, synced: bool, boot: str, seq: int | None = None) -> Commit:
        """The one commit that says all of this."""
        return Commit(
            seq=self.seq if seq is None else seq,
            rows=self.rows,
            names=list(zip(self.names, self.first_rows, strict=True)),
            counts=ranges((i, n) for i, n in enumerate(self.counts) if n),
            sources=self.sources,
            auto=self.auto,
            whole=True,
            synced=synced,
            boot=boot,
            id=self.id,
        )

    @property
    def points(self) -> int:
        """Values of all metrics."""
        return sum(self.counts)


def ranges(counts: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(metric, count) pairs in order of metric, as (first, last, count): 12,000 metrics of one table take one entry.

    >>> ranges([(0, 5), (1, 5), (3, 5), (4, 2)])
    [(0, 1, 5), (3, 3, 5), (4, 4, 2)]
    """
    out: list[tuple[int, int, int]] = []
    for number, count in counts:
        if out and out[-1][1] == number - 1 and out[-1][2] == count:
            out[-1] = (out[-1][0], number, count)
        else:
            out.append((number, number, count))
    return out
