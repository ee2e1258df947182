"""Files of JSON lines with one writer and any number of readers, and files that are replaced whole.

The writer's rule: one write(2) a line on an O_APPEND descriptor, and a newline first if the file's last byte is none.
So a writer that died within a line costs that line and no other. The reader's rule: only what ends in a newline is a
line; a torn tail is left for the next look.

Standard library only at import; msgspec comes in with the functions that decode.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from typing import Any, TypeVar

from .kill_points import kill_point

T = TypeVar("T")
PathLike = str | os.PathLike[str]

MAX_LINE = 16 << 20  # bytes; a longer "line" is no line of ours (a binary file, a log without newlines)
_LOOK_BACK = 64 << 10


def _fsync_folder(folder: str) -> None:
    fd = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:  # some network file systems refuse this on a folder; the file itself was synced
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def append_line(target: PathLike | int, line: bytes) -> None:
    """Append one line with one write(2).

    target: a path (created if absent), or a descriptor opened with O_APPEND and O_RDWR (the last byte is read).
    line: without its newline; must hold none.  Raises ValueError for a newline within, OSError if the disk refused:
    then the file may end in a part of the line, which the next call closes with a newline.
    """
    if b"\n" in line:
        raise ValueError("a line must not hold a newline")
    if not isinstance(target, int):
        fd = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            append_line(fd, line)
        finally:
            os.close(fd)
        return
    size = os.fstat(target).st_size
    torn = size > 0 and os.pread(target, 1, size - 1) != b"\n"
    data = b"\n" + line + b"\n" if torn else line + b"\n"
    kill_point("jsonl.append")
    written = os.write(target, data)
    kill_point("jsonl.appended")
    if written != len(data):
        raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes of a line were written")


class LineWriter:
    """The one writer of a JSONL file whose lines carry `seq`, counted from 1.

    `next_seq` is what the next line must carry: one more than the `seq` of the last line that can be read. A torn tail
    that is a whole JSON object counts, because the next append makes it a line.
    """

    def __init__(self, path: PathLike, *, fsync: bool = False) -> None:
        """fsync: whether each append waits for the disk, unless it says otherwise itself."""
        self.path = os.fspath(path)
        self.fsync = fsync
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._folder_synced = False
        self.next_seq = _last_seq(self._fd) + 1

    def append(self, line: bytes, *, fsync: bool | None = None) -> int:
        """Append one line, which carries `next_seq`; returns that seq.

        Raises as `append_line`; the seq is not used up then, and the same line may be tried again.
        """
        append_line(self._fd, line)
        if self.fsync if fsync is None else fsync:
            self.sync()
        self.next_seq += 1
        return self.next_seq - 1

    def sync(self) -> None:
        """Wait until all that was appended is on the disk."""
        kill_point("jsonl.fsync")
        os.fsync(self._fd)
        if not self._folder_synced:  # the file's name must be as durable as its bytes
            _fsync_folder(os.path.dirname(self.path))
            self._folder_synced = True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> LineWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _last_seq(fd: int) -> int:
    """The seq of the last line that is a JSON object with one; 0 if there is none."""
    end = os.fstat(fd).st_size
    tail, start = b"", end
    while start > 0:
        length = min(max(_LOOK_BACK, len(tail)), start)
        start -= length
        tail = os.pread(fd, length, start) + tail
        lines = tail.split(b"\n")
        for line in reversed(lines if start == 0 else lines[1:]):  # the first piece may be the end of a line
            try:
                seq = json.loads(line)["seq"]
            except (ValueError, TypeError, KeyError):
                continue
            if isinstance(seq, int):
                return seq
    return 0


class Tail:
    """Reads the complete lines that were appended to a file since the last look.

    `offset`: bytes, right after the last line given out; persist it, and give it back to go on.
    `reset`: set by a read that found another or a shorter file (rotation, truncation): it began anew at 0.
    `skipped`: bytes of over-long lines (more than MAX_LINE) that were passed over.
    A missing file reads as no lines. No descriptor is kept: a thousand tails cost no open files.
    """

    def __init__(self, path: PathLike, offset: int = 0) -> None:
        self.path = os.fspath(path)
        self.offset = offset
        self.reset = False
        self.skipped = 0
        self._inode: tuple[int, int] | None = None
        self._searched = 0  # no newline stands between offset and here (an over-long line is being passed over)

    def read(self, limit: int = 1 << 20) -> list[bytes]:
        """The next complete lines without their newlines, blank ones left out; about `limit` bytes of them at most."""
        return [line for _, line in self.read_at(limit)]

    def read_at(self, limit: int = 1 << 20) -> list[tuple[int, bytes]]:
        """As `read`, with the offset in the file where each line begins."""
        lines: list[tuple[int, bytes]] = []
        reset = False
        while not lines and (block := self.read_block(limit)):  # [] must mean "no more", not "blank lines"
            reset = reset or self.reset
            at = self.offset - len(block)
            for line in block.split(b"\n"):
                if line:
                    lines.append((at, line))
                at += len(line) + 1
        self.reset = self.reset or reset
        return lines

    def read_block(self, limit: int = 1 << 20) -> bytes:
        """As `read`, undivided: b"" or bytes that end in a newline. They began at `offset - len(block)`."""
        self.reset = False
        try:
            found = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        inode = (found.st_dev, found.st_ino)
        if inode == self._inode and found.st_size == self.offset:
            return b""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            found = os.fstat(fd)
            self._settle(fd, (found.st_dev, found.st_ino), found.st_size)
            return self._block(fd, found.st_size, limit)
        finally:
            os.close(fd)

    def _settle(self, fd: int, inode: tuple[int, int], size: int) -> None:
        """Begin anew if this is not the file of the last look, or no longer what it was."""
        other = self._inode is not None and inode != self._inode
        # Truncated and grown past our offset since: then the byte before it is hardly a newline.
        rewritten = 0 < self.offset <= size and os.pread(fd, 1, self.offset - 1) != b"\n"
        if other or size < self.offset or rewritten:
            self.offset = self._searched = 0
            self.reset = True
        self._inode = inode

    def _block(self, fd: int, size: int, limit: int) -> bytes:
        want = max(limit, 1)
        while self.offset < size:
            if self._searched - self.offset >= MAX_LINE:
                if not self._pass_over(fd, size):
                    return b""
                continue
            data = os.pread(fd, min(want, size - self.offset), self.offset)
            end = data.rfind(b"\n") + 1
            if end:
                self.offset += end
                self._searched = self.offset
                return data[:end]
            if self.offset + len(data) >= size:  # a torn tail
                if len(data) >= MAX_LINE:
                    self._searched = self.offset + len(data)
                return b""
            want = min(want * 4, MAX_LINE)
            if len(data) >= MAX_LINE:
                self._searched = self.offset + len(data)
        return b""

    def _pass_over(self, fd: int, size: int) -> bool:
        """Look for the end of an over-long line; True once `offset` stands after it."""
        while self._searched < size:
            data = os.pread(fd, 1 << 20, self._searched)
            if not data:
                break
            end = data.find(b"\n")
            if end >= 0:
                self.skipped += self._searched + end + 1 - self.offset
                self.offset = self._searched = self._searched + end + 1
                return True
            self._searched += len(data)
        return False


def decode_lines(lines: Iterable[bytes], type: Any, garbage: list[bytes] | None = None) -> list[Any]:
    """Each line as `type` (a msgspec Struct, a union of tagged ones, or Any); what does not decode goes to `garbage`.

    A line with a tag that this version does not know is garbage too: a newer writer may say more than we understand.
    """
    import msgspec

    decoder = msgspec.json.Decoder(type)
    values = []
    for line in lines:
        try:
            values.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            if garbage is not None:
                garbage.append(line)
    return values


def read_json_lines(path: PathLike, type: Any, garbage: list[bytes] | None = None) -> list[Any]:
    """All complete lines of a file, decoded as by `decode_lines`; [] if there is no such file."""
    tail = Tail(path)
    values: list[Any] = []
    while lines := tail.read():
        values += decode_lines(lines, type, garbage)
    return values


def _write_temp(path: str, data: bytes, fsync: bool, mode: int) -> str:
    folder, name = os.path.split(path)
    temp = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(3).hex()}.tmp")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if fsync:
            kill_point("jsonl.fsync")
            os.fsync(fd)
    except BaseException:
        os.unlink(temp)
        raise
    finally:
        os.close(fd)
    return temp


def atomic_write(path: PathLike, data: bytes, fsync: bool = True, mode: int = 0o644) -> None:
    """Replace a file whole: a reader sees the old bytes or the new ones, also after a crash if `fsync`.

    Raises OSError if the disk refused; then the old file stands as it was.
    """
    path = os.fspath(path)
    temp = _write_temp(path, data, fsync, mode)
    try:
        kill_point("jsonl.rename")
        os.replace(temp, path)
        kill_point("jsonl.renamed")
    except BaseException:
        os.unlink(temp)
        raise
    if fsync:
        _fsync_folder(os.path.dirname(path))


def publish(path: PathLike, data: bytes, mode: int = 0o644) -> bool:
    """Create a file whole and durably, unless it exists: of several who try, link(2) lets the first one win.

    Returns whether it was us. Raises OSError if the disk refused.
    """
    path = os.fspath(path)
    temp = _write_temp(path, data, True, mode)
    try:
        kill_point("jsonl.link")
        os.link(temp, path)
        kill_point("jsonl.linked")
    except FileExistsError:
        return False
    finally:
        os.unlink(temp)
    _fsync_folder(os.path.dirname(path))
    return True
