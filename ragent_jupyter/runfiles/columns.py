"""The writer of a run's metric columns: what the sidecar reads from the sources becomes rows on disk, exactly once.

    writer = ColumnWriter(run_dir / "metrics")      # goes on after the last commit
    tail = Tail(path, writer.sources.get("metrics.jsonl", {}).get("offset", 0))
    writer.append(rows)
    writer.commit({"metrics.jsonl": {"offset": tail.offset}})

`commit` makes the rows and the sources' new offsets visible together, by one write(2) of one line. Killed before that
line, the rows are not there and the offset is the old one, so the next writer reads and writes them again; killed
after it, both are. The standard library and msgspec only: this runs in the sidecar.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import sys
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from math import isfinite, nan
from operator import le, lt
from pathlib import Path
from struct import Struct as Packer
from typing import Any

from ..domain.errors import Held, RagentError
from ..domain.metrics import Row
from .columns_files import Files
from .columns_format import (
    BLOCK,
    CLOCK_BACK,
    COMMITS,
    EXTENT_SIZE,
    LOCK,
    MARK_SIZE,
    NOWHERE,
    PYRAMID_SIZE,
    REPEAT,
    REWIND,
    STEPS,
    TIMES,
    Commit,
    Committed,
    decode_commit,
    encode_commit,
    extents_file,
    marks_file,
    pyramid_file,
    ranges,
    values_file,
)
from .kill_points import kill_point

_EXTENT = Packer("<II")
_MARK = Packer("<IIq")
_PYRAMID = Packer("<6d")
_BIGGEST_STEP = 2**63 - 1

BUFFER_BYTES = 4 << 20  # pending values are written (not committed) beyond this
ROTATE_BYTES = 1 << 20  # commits.jsonl is replaced by one `whole` line beyond this
SYNC_EVERY_S = 60.0


class ColumnsNotWritten(RagentError):
    """The disk refused. Nothing is lost or doubled: the rows are kept in memory, and the next commit tries again."""

    status = 503
    type = "columns_not_written"

    def __init__(self, folder: str, error: OSError) -> None:
        super().__init__(
            problem=f"Metrics were not written to {folder}: {error.strerror or error}.",
            remedy="Free space on that disk (or raise its quota); writing goes on by itself."
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            else "Check that the folder is there and writable; writing goes on by itself.",
        )
        self.errno = error.errno


class ColumnWriter:
    """The one writer of a `metrics/` folder. Not thread-safe. Raises Held if another writer has the folder.

    sources: the last committed state of each source.  rows, points: how many are appended (committed or not).
    """

    def __init__(self, folder: str | os.PathLike[str], *, sync_every_s: float = SYNC_EVERY_S) -> None:
        if sys.byteorder != "little":
            raise RagentError("Metric columns are little-endian, and this machine is not.", "Use another host.")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._files = Files(self.folder)
        self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise Held(
                f"Another sidecar writes {self.folder}.", "Wait until it has ended; two writers would mix up the rows."
            ) from None
        self._sync_every_s = sync_every_s
        self._synced_at = time.monotonic()
        self._synced = False  # the newest commit is known to be on disk
        self._boot = _boot_id()
        self._metrics: dict[str, _Metric] = {}
        self._dirty: dict[int, _Metric] = {}
        self._changed_since_commit: dict[int, _Metric] = {}
        self._new_names: list[tuple[str, int]] = []
        self._pending = 0
        try:
            self._done, self._torn, self._log_size = self._recover()
        except OSError as error:
            os.close(self._lock)
            raise ColumnsNotWritten(str(self.folder), error) from error
        self._rotate_at = ROTATE_BYTES
        self.sources: dict[str, Any] = dict(self._done.sources)
        self.rows = self._done.rows
        self.points = self._done.points
        self._auto, self._highest = self._done.auto
        self._steps = _Column(self._files, STEPS, array("q"), 8 * self.rows)
        self._times = _Column(self._files, TIMES, array("d"), 8 * self.rows)

    # --- taking rows ---------------------------------------------------------------------------------------------
    def append(self, rows: Sequence[Row]) -> None:
        """Take rows; nothing of them is visible before `commit`. Neighbours with the same metrics go as one block."""
        start = 0
        while start < len(rows):
            names = tuple(rows[start].values)
            has_step = _usable(rows[start].step)
            end = start + 1
            while end < len(rows) and _usable(rows[end].step) == has_step and tuple(rows[end].values) == names:
                end += 1
            group = rows[start:end]
            start = end
            if names:
                steps = [row.step or 0 for row in group] if has_step else None
                columns = list(zip(*[row.values.values() for row in group], strict=True))
                self.append_block(names, steps, [row.time for row in group], columns)

    def append_block(
        self,
        names: Sequence[str],
        steps: Sequence[int] | None,
        times: Sequence[float],
        columns: Sequence[Sequence[float]],
    ) -> None:
        """Take n rows that all carry the same metrics; the fast path (array('q'), array('d') are taken as they are).

        names: each once.  steps, times: shape (n,); steps None: these rows gave none, they are counted.
        columns: shape (len(names), n).  Raises ValueError for unequal lengths, TypeError for what is not a number;
        then nothing was taken.
        """
        count = len(times)
        if len(names) != len(columns) or len(set(names)) != len(names):
            raise ValueError(f"{len(names)} names ({len(set(names))} different) for {len(columns)} columns")
        if any(len(column) != count for column in columns) or (steps is not None and len(steps) != count):
            raise ValueError(f"columns and steps must have {count} entries, as times has")
        if not count:
            return
        if self.rows + count >= NOWHERE:
            raise ValueError(f"a run holds at most {NOWHERE} rows")
        values = [c if isinstance(c, array) and c.typecode == "d" else array("d", c) for c in columns]
        clock = times if isinstance(times, array) and times.typecode == "d" else array("d", times)
        counted = self._count(steps, count)

        rising = count == 1 or all(map(lt, counted, islice(counted, 1, None)))
        in_time = count == 1 or all(map(le, clock, islice(clock, 1, None)))
        batch = _Batch(self.rows, count, counted, clock, rising, in_time)
        for name, column in zip(names, values, strict=True):
            metric = self._metrics.get(name) or self._metric(name)
            metric.extend(batch, column)
            self._dirty[metric.number] = metric
        self._steps.pending.extend(counted)
        self._times.pending.extend(clock)
        self.rows += count
        self.points += count * len(names)
        self._pending += 8 * count * (len(names) + 2)
        if self._pending > BUFFER_BYTES:
            try:
                self._flush()
            except OSError:
                # The rows are taken; raising here would make the caller append them again. commit() tells.
                self._pending = 0

    def commit(self, sources: Mapping[str, Any], *, sync: bool = False) -> None:
        """Make all appended rows and these sources' states visible together. Sources that are not named keep theirs.

        sync: also bring it to the disk (done by itself every minute), so that it outlives the machine's power.
        Raises ColumnsNotWritten if the disk refuses; the rows stay in memory, call again (append nothing twice).
        """
        nothing_new = self.rows == self._done.rows and all(self.sources.get(k) == v for k, v in sources.items())
        due = time.monotonic() - self._synced_at >= self._sync_every_s
        if nothing_new and self._done.seq and (self._synced or not (sync or due)):
            return  # an idle run costs no write
        try:
            self._flush()
            sync = sync or due
            if sync:
                self._files.sync()
            self._write_commit(sources, sync)
        except OSError as error:
            raise ColumnsNotWritten(str(self.folder), error) from error
        if self._log_size > self._rotate_at:
            try:
                self._log_size = self._replace_log(self._done)
                self._rotate_at = max(ROTATE_BYTES, 8 * self._log_size)
            except OSError:
                self._rotate_at = self._log_size + ROTATE_BYTES  # the old file says the same; try again later

    def close(self) -> None:
        """Bring what is committed to the disk and give the folder back. The rest is forgotten, as after a kill."""
        if self.rows == self._done.rows and self._done.seq:
            try:
                self.commit({}, sync=True)
            except ColumnsNotWritten:
                pass  # only a loss of power could tell the difference: all that was committed stands in the files
        self._files.close()
        os.close(self._lock)

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- inside --------------------------------------------------------------------------------------------------
    def _count(self, steps: Sequence[int] | None, count: int) -> array[int]:
        """The steps as they are stored. Rows without one go on counting, never below the training code's own steps:
        an evaluation logged without a step then stands where the training was."""
        if steps is None:
            first = max(self._auto + 1, self._highest)
            self._auto = first + count - 1
            return array("q", range(first, first + count))
        given = steps if isinstance(steps, array) and steps.typecode == "q" else array("q", steps)
        self._highest = max(self._highest, max(given))
        return given

    def _metric(self, name: str) -> _Metric:
        number = self._done.numbers.get(name)
        if number is None:
            number = len(self._done.names) + len(self._new_names)
            self._new_names.append((name, self.rows))
            metric = _Metric(self._files, number, 0, self.rows)
        else:
            metric = _Metric(self._files, number, self._done.counts[number], self._done.first_rows[number])
        self._metrics[name] = metric
        return metric

    def _flush(self) -> None:
        """Write what is pending. Safe to repeat: each piece has its place in its file and is dropped once written."""
        self._steps.flush()
        self._times.flush()
        for number in list(self._dirty):
            metric = self._dirty[number]
            metric.flush()
            self._changed_since_commit[number] = metric
            del self._dirty[number]
        self._pending = 0

    def _write_commit(self, sources: Mapping[str, Any], synced: bool) -> None:
        first = not self._done.seq
        commit = Commit(
            seq=self._done.seq + 1,
            rows=self.rows,
            names=self._new_names,
            counts=ranges(
                (number, self._changed_since_commit[number].count) for number in sorted(self._changed_since_commit)
            ),
            sources=dict(sources),
            auto=(self._auto, self._highest),
            whole=first,
            synced=synced,
            boot=self._boot,
            id=secrets.token_hex(4) if first else "",
        )
        line = encode_commit(commit)
        if self._torn:
            line = b"#\n" + line  # ends the torn line and disowns it, even if only its newline is missing
        kill_point("columns.commit.before")
        fd = self._files.open(COMMITS, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        written = os.write(fd, line)
        if written != len(line):
            self._torn = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kill_point("columns.commit.after")
        self._torn = False
        self._synced = synced
        self._log_size += written
        self._done.apply(commit)
        self.sources.update(sources)
        self._new_names = []
        self._changed_since_commit = {}
        if synced:
            self._files.sync()
            self._synced_at = time.monotonic()

    def _replace_log(self, done: Committed) -> int:
        """Replace commits.jsonl by one line that says `done`; its size. A reader has the old file or the new one."""
        new = self.folder / f"{COMMITS}.new"
        self._files.sync()
        line = encode_commit(done.whole(synced=True, boot=self._boot))
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            kill_point("columns.commit.whole")
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            kill_point("columns.fsync")
            os.fsync(fd)
        finally:
            os.close(fd)
        kill_point("columns.rename")
        os.rename(new, self.folder / COMMITS)
        self._files.forget(COMMITS)
        self._files.sync_folder()
        return len(line)

    def _recover(self) -> tuple[Committed, bool, int]:
        """(what is committed, whether the file ends in a torn line, its size)."""
        try:
            data = (self.folder / COMMITS).read_bytes()
        except FileNotFoundError:
            return Committed(), False, 0
        *lines, rest = data.split(b"\n")
        commits = [commit for commit in map(decode_commit, lines) if commit is not None]
        done = Committed()
        for commit in commits:
            done.apply(commit)
        torn = bool(rest)
        if done.boot != self._boot and not (commits and commits[-1].synced):
            # The machine went down: a commit line may have reached the disk before the values that it counts.
            # Go back to the last state that was known to be on disk whole; the sources give the rest again.
            seq = done.seq
            last = max((i for i, commit in enumerate(commits) if commit.synced), default=-1)
            done = Committed()
            for commit in commits[: last + 1]:
                done.apply(commit)
            done.seq = seq
            done.id = secrets.token_hex(4)  # charts that have drawn more than this start anew
            return done, False, self._replace_log(done)
        return done, torn, len(data)


class _Batch:
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


class _Column:
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


class _Metric:
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
        self.last_step, self.last_time = files.row(self.next_row - 1) if count else (-_BIGGEST_STEP - 1, -float("inf"))
        whole = count // BLOCK
        self.tail = files.read_values(values_file(number), 8 * whole * BLOCK, count - whole * BLOCK)
        self.values = _Column(files, values_file(number), array("d"), 8 * count)
        self.pyramid = _Column(files, pyramid_file(number), bytearray(), PYRAMID_SIZE * whole)
        self.extents = _Column(files, extents_file(number), bytearray(), EXTENT_SIZE * len(extents))
        self.marks = _Column(files, marks_file(number), bytearray(), MARK_SIZE * len(marks))

    def extend(self, batch: _Batch, column: array[float]) -> None:
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
        self._build_pyramid(batch, column)

    def _build_pyramid(self, batch: _Batch, column: array[float]) -> None:
        at = BLOCK - len(self.tail)
        if batch.count < at:
            self.tail.extend(column)
            return
        block = self.tail.tolist() + column[:at].tolist()
        records = self.pyramid.pending
        while True:
            low = min(block)
            high = max(block)
            total = sum(block)
            if total - total == 0.0:  # all finite: any NaN or infinity would have spread to the sum
                records += _PYRAMID.pack(low, high, block[-1], BLOCK, batch.steps[at - 1], batch.times[at - 1])
            else:
                records += _PYRAMID.pack(*_summary(block), batch.steps[at - 1], batch.times[at - 1])
            if at + BLOCK > batch.count:
                break
            block = column[at : at + BLOCK].tolist()
            at += BLOCK
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


def _usable(step: int | None) -> bool:
    """Whether a row's step can be stored; others are counted as if they had none."""
    return step is not None and -_BIGGEST_STEP <= step <= _BIGGEST_STEP


def _summary(block: Sequence[float]) -> tuple[float, float, float, float]:
    """(min, max, last, how many) of the finite values; NaN where there is none."""
    finite = [value for value in block if isfinite(value)]
    if not finite:
        return nan, nan, nan, 0.0
    return min(finite), max(finite), finite[-1], float(len(finite))


def _boot_id() -> str:
    """Which boot of the machine this is; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return ""
