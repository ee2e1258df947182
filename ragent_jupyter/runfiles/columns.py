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
import sys
import time
from array import array
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import le, lt
from pathlib import Path
from struct import Struct as Packer
from struct import error as StructError
from typing import Any

from ..domain.errors import Held, RagentError
from ..domain.metrics import Row
from .columns_files import Files
from .columns_format import (
    COMMITS,
    LOCK,
    NOWHERE,
    STEPS,
    TIMES,
    Commit,
    Committed,
    decode_commit,
    encode_commit,
    ranges,
)
from .columns_metric import Batch, Column, MetricColumns
from .kill_points import kill_point

_BIGGEST_STEP = 2**63 - 1
_LOCK_TRIES, _LOCK_S = 10, 0.02

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
        if not _locked(self._lock):
            os.close(self._lock)
            raise Held(
                f"Another sidecar writes {self.folder}.", "Wait until it has ended; two writers would mix up the rows."
            )
        self._sync_every_s = sync_every_s
        self._synced_at = time.monotonic()
        self._synced = False  # the newest commit is known to be on disk
        self._boot = _boot_id()
        self._metrics: dict[str, MetricColumns] = {}
        self._dirty: dict[int, MetricColumns] = {}
        self._changed_since_commit: dict[int, MetricColumns] = {}
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
        self._steps = Column(self._files, STEPS, array("q"), 8 * self.rows)
        self._times = Column(self._files, TIMES, array("d"), 8 * self.rows)

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
        """Take n rows that all carry the same metrics. The fast paths: array('q') for steps, array('d') or a tuple of
        floats for times and columns.

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
        packer = Packer(f"{count}d")
        values = [_packed(column, packer) for column in columns]
        clock = _packed(times, packer)
        counted = self._count(steps, count)

        rising = count == 1 or all(map(lt, counted, islice(counted, 1, None)))
        in_time = count == 1 or all(map(le, clock, islice(clock, 1, None)))
        batch = Batch(self.rows, count, counted, clock, rising, in_time)
        for name, column, packed in zip(names, columns, values, strict=True):
            metric = self._metrics.get(name) or self._metric(name)
            metric.extend(batch, packed, column if type(column) is tuple else packed)
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

    def _metric(self, name: str) -> MetricColumns:
        number = self._done.numbers.get(name)
        if number is None:
            number = len(self._done.names) + len(self._new_names)
            self._new_names.append((name, self.rows))
            metric = MetricColumns(self._files, number, 0, self.rows)
        else:
            metric = MetricColumns(self._files, number, self._done.counts[number], self._done.first_rows[number])
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
            id=os.urandom(4).hex() if first else "",
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
            done.id = os.urandom(4).hex()  # charts that have drawn more than this start anew
            return done, False, self._replace_log(done)
        return done, torn, len(data)


def _packed(numbers: Sequence[float], packer: Packer) -> array[float]:
    """As an array of doubles. Packing a tuple is four times as fast as array("d", tuple), which converts one by one."""
    if isinstance(numbers, array) and numbers.typecode == "d":
        return numbers
    try:
        return array("d", packer.pack(*numbers))
    except StructError:
        raise TypeError(f"metric values must be numbers: {list(numbers)[:5]!r}") from None


def _usable(step: int | None) -> bool:
    """Whether a row's step can be stored; others are counted as if they had none."""
    return step is not None and -_BIGGEST_STEP <= step <= _BIGGEST_STEP


def _locked(handle: int) -> bool:
    """Whether the lock is ours. A process that was forked while its last owner closed it holds it until it becomes
    another program: some milliseconds, which are waited for."""
    for tries in range(_LOCK_TRIES, 0, -1):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if tries > 1:
                time.sleep(_LOCK_S)
        else:
            return True
    return False


def _boot_id() -> str:
    """Which boot of the machine this is; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return ""
