"""The files under the columns' writer: positioned writes, few descriptors, and what has yet to reach the disk."""

from __future__ import annotations

import os
from array import array
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from struct import Struct as Packer

from ..domain.errors import RagentError
from .columns_format import STEPS, TIMES
from .kill_points import kill_point

Valid = Callable[[tuple[int, ...]], bool]
OPEN_FILES = 96  # descriptors kept; a run with 12,000 metrics must not take 12,000


class Files:
    """The folder's files: positioned reads and writes, few descriptors, and the memory of what must be synced."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._open: OrderedDict[str, int] = OrderedDict()
        self._unsynced: set[str] = set()

    def open(self, name: str, flags: int = os.O_RDWR | os.O_CREAT) -> int:
        fd = self._open.get(name)
        if fd is not None:
            self._open.move_to_end(name)
        else:
            fd = os.open(f"{self.folder}/{name}", flags | os.O_CLOEXEC, 0o644)
            self._open[name] = fd
            if len(self._open) > OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
        self._unsynced.add(name)
        return fd

    def write(self, name: str, data: bytes, offset: int) -> None:
        """All of `data` at `offset`, or OSError; repeating it changes nothing."""
        fd = self.open(name)
        kill_point("columns.append")
        done = os.pwrite(fd, data, offset)
        while done < len(data):
            done += os.pwrite(fd, data[done:], offset + done)

    def read_records(
        self, name: str, packer: Packer, valid: Callable[[tuple[int, ...]], bool]
    ) -> list[tuple[int, ...]]:
        """The leading records that count; what a killed writer left behind them is overwritten, so that it cannot
        come to life when the metric has grown to its value numbers."""
        path = f"{self.folder}/{name}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            size = os.fstat(fd).st_size
            data = os.pread(fd, size, 0)
            records: list[tuple[int, ...]] = []
            for entry in packer.iter_unpack(data[: len(data) // packer.size * packer.size]):
                if not valid(entry):
                    break
                records.append(entry)
            used = len(records) * packer.size
            if used < len(data) and data[used:] != b"\xff" * (len(data) - used):
                kill_point("columns.append")
                os.pwrite(fd, b"\xff" * (len(data) - used), used)
            return records
        finally:
            os.close(fd)

    def read_values(self, name: str, offset: int, count: int) -> array[float]:
        values = array("d")
        if count:
            values.frombytes(os.pread(self.open(name), 8 * count, offset))
        if len(values) != count:
            raise self.damaged(name)
        return values

    def row(self, number: int) -> tuple[int, float]:
        """(step, time) of a committed row."""
        step = array("q", os.pread(self.open(STEPS), 8, 8 * number))
        when = array("d", os.pread(self.open(TIMES), 8, 8 * number))
        if not step or not when:
            raise self.damaged(STEPS)
        return step[0], when[0]

    def damaged(self, name: str) -> RagentError:
        return RagentError(
            f"{self.folder}/{name} is shorter than the commits say: something else has cut it.",
            f"Remove {self.folder}; it is built again from the run's sources.",
        )

    def sync(self) -> None:
        """Bring what was written since the last sync to the disk."""
        names = self._unsynced
        if not names:
            return
        kill_point("columns.fsync")
        if len(names) > 4 * OPEN_FILES:
            os.sync()  # one call for all beats opening thousands of files
        else:
            for name in names:
                fd = self._open.get(name)
                if fd is not None:
                    os.fsync(fd)
                else:
                    fd = os.open(f"{self.folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
                    try:
                        os.fsync(fd)
                    finally:
                        os.close(fd)
        self.sync_folder()
        self._unsynced = set()

    def sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def forget(self, name: str) -> None:
        fd = self._open.pop(name, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
