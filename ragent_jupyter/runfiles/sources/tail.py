"""Follows a growing file by offset, in bounded memory, through everything that happens to log files.

Torn tail: only whole lines are given out. Truncation: read anew from 0. Rotation: the old file is finished, then the
new one is opened. NUL padding (a crash) and holes (a sparse file, a punched log) are stepped over, never read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from binascii import crc32
from typing import Any

MAX_LINE = 4 << 20  # bytes; a longer line is no metric row
_PRINT = 64  # bytes before the offset that are remembered by their checksum
_NO_NUL = re.compile(rb"[^\0]")


class ByteTail:
    """Whole lines of `path` from `state` on.

    state: what `state()` gave before, or {"offset": n} to begin there.  separators: bytes that end a line; a stdout
    log has b"\\n\\r", because a progress bar never sends a newline.
    """

    def __init__(self, path: str, state: dict[str, Any] | None = None, *, separators: bytes = b"\n") -> None:
        state = state or {}
        self.path = path
        self.offset: int = int(state.get("offset", 0))
        self.generation: int = int(state.get("generation", 0))
        self.more = False
        self.skipped = 0  # lines given up because they were longer than MAX_LINE
        self._file: int | None = None
        self._key: tuple[int, int] | None = None
        if "ino" in state:
            self._key = (int(state["dev"]), int(state["ino"]))
        self._crc: int | None = state.get("crc")
        self._skipping: bool = bool(state.get("skipping"))
        self._separators = [bytes([b]) for b in separators]
        self._until: tuple[int, int] | None = None  # (generation, offset)
        self._seen: tuple[int, int] | None = None  # (size, mtime_ns) when there was nothing to give

    # -- the file -------------------------------------------------------------------------------------------------
    def _open(self) -> int | None:
        if self._file is not None:
            return self._file
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        stat = os.fstat(file)
        key = (stat.st_dev, stat.st_ino)
        if self._key is not None and key != self._key:
            old = self._find_rotated(self._key)
            if old is not None:
                os.close(file)  # the old one first; `_rotate` comes back to the new one
                self._file = old
                return old
            self._restart()
        self._key = key
        self._file = file
        return file

    def _find_rotated(self, key: tuple[int, int]) -> int | None:
        """The file that was ours, under the name that a rotation gave it ("metrics.jsonl.1") while we were away."""
        folder, name = os.path.split(self.path)
        try:
            with os.scandir(folder or ".") as entries:
                for entry in entries:
                    if entry.name.startswith(name) and entry.inode() == key[1]:
                        file = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                        stat = os.fstat(file)
                        if (stat.st_dev, stat.st_ino) == key and stat.st_size >= self.offset:
                            return file
                        os.close(file)
        except OSError:
            return None
        return None

    def _restart(self) -> None:
        """Offsets begin anew."""
        if self.offset:
            self.generation += 1
        self.offset = 0
        self._crc = None
        self._skipping = False
        self._seen = None

    def _rotate(self) -> bool:
        """Our file is read to its end: is another one at its path now? Then open that."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return False  # renamed away, the new one not there yet: keep what we have
        if (stat.st_dev, stat.st_ino) == self._key:
            return False
        self.close()
        self._key = None
        self.offset, self._crc, self._skipping, self._seen = 0, None, False, None
        self.generation += 1
        return self._open() is not None

    # -- reading --------------------------------------------------------------------------------------------------
    def read(self, limit: int, *, final: bool = False, until: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """(offset of the first byte, whole lines). Empty bytes: nothing new now. Raises OSError as the file does.

        final: a last line without its end counts.  until: an earlier state of this tail; nothing beyond it is read.
        """
        self.more = False
        self._until = None if until is None else (int(until.get("generation", 0)), int(until.get("offset", 0)))
        file = self._open()
        if file is None:
            return self.offset, b""
        start, data = self._read_file(file, limit, final)
        if data or self.more:
            return start, data
        if self._rotate():  # what the old file still had without a newline was given up by `_read_file(final)`
            file = self._file
            assert file is not None
            return self._read_file(file, limit, final)
        return start, b""

    def _read_file(self, file: int, limit: int, final: bool) -> tuple[int, bytes]:
        stat = os.fstat(file)
        size = stat.st_size
        if size < self.offset:
            self._restart()
        if self._until is not None and self._until[0] <= self.generation:
            size = min(size, self._until[1]) if self._until[0] == self.generation else 0
        if size <= self.offset:
            return self.offset, b""
        if not final and self._seen == (size, stat.st_mtime_ns) and not self._is_orphan():
            return self.offset, b""
        self._seen = None
        if not self._same_past(file):
            self._restart()
        self._skip_hole(file, size)
        start = self.offset
        data = os.pread(file, min(limit, size - start), start)
        data = self._skip_nuls(data, start + len(data) >= size)
        start = self.offset
        cut = self._last_separator(data)
        at_end = start + len(data) >= size
        if cut == 0 and not at_end and len(data) < MAX_LINE and data:
            data = os.pread(file, min(MAX_LINE, size - start), start)  # a line longer than the limit
            cut = self._last_separator(data)
            at_end = start + len(data) >= size
        if cut == 0 and len(data) >= MAX_LINE:
            self.skipped += 0 if self._skipping else 1
            self._skipping = True
            self._advance(file, start + len(data))
            self.more = not at_end
            return self.offset, b""
        if cut == 0 and at_end and data and (final or self._is_orphan()):
            cut = len(data)
        if cut == 0:
            if at_end:
                self._seen = (size, stat.st_mtime_ns)
            return self.offset, b""
        lines = data[:cut]
        self._advance(file, start + cut)
        self.more = self.offset < size and not (at_end and not final)
        if self._skipping:
            # The last piece of an over-long line may have no end at all: then nothing of it is left.
            first = min((i for i in (lines.find(s) for s in self._separators) if i >= 0), default=len(lines))
            lines = lines[first + 1 :]
            start += first + 1
            self._skipping = False
        return start, lines

    def _is_orphan(self) -> bool:
        """Another file stands at our path: nobody will ever finish this one's last line."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return False
        return (stat.st_dev, stat.st_ino) != self._key

    def _last_separator(self, data: bytes) -> int:
        return max(data.rfind(s) for s in self._separators) + 1

    def _skip_hole(self, file: int, size: int) -> None:
        if not hasattr(os, "SEEK_DATA"):
            return
        try:
            data = os.lseek(file, self.offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.EINVAL):
                raise
            return
        if data > self.offset:
            self.offset = data
            self._crc = None

    def _skip_nuls(self, data: bytes, at_end: bool) -> bytes:
        if not data.startswith(b"\0"):
            return data
        first = _NO_NUL.search(data)
        if first is None and at_end:
            return b""  # space reserved by a writer that may still fill it
        count = first.start() if first else len(data)
        self.offset += count
        self._crc = None
        self.more = True
        return data[count:]

    def _advance(self, file: int, offset: int) -> None:
        self.offset = offset
        self._crc = crc32(os.pread(file, min(_PRINT, offset), max(0, offset - _PRINT)))

    def _same_past(self, file: int) -> bool:
        """The bytes before the offset are those that we read. A file cut short and grown again would show others."""
        if self._crc is None or self.offset == 0:
            return True
        past = os.pread(file, min(_PRINT, self.offset), max(0, self.offset - _PRINT))
        # A hole punched into a capped log reads as NULs; a page of it may still hold the end of what was there.
        return crc32(past) == self._crc or b"\0" in past

    # -- going on later -------------------------------------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"offset": self.offset}
        if self._key is not None:
            state["dev"], state["ino"] = self._key
        if self._crc is not None:
            state["crc"] = self._crc
        if self.generation:
            state["generation"] = self.generation
        if self._skipping:
            state["skipping"] = True
        return state

    def reached(self, state: dict[str, Any]) -> bool:
        generation = int(state.get("generation", 0))
        return self.generation > generation or (
            self.generation == generation and self.offset >= int(state.get("offset", 0))
        )

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None
