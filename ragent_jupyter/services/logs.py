"""Reading a job's log: by byte offset, decoded, without terminal control, with progress bars folded to one line."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ragent_jupyter.domain.wire import LogsReply

_MOST = 1 << 20
# CSI, OSC (ended by BEL or ST; an unfinished one to the line's end), and two-byte escapes.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\|(?=\n)|$)"
    r"|\x1b[PX^_][^\x1b\n]*(?:\x1b\\|(?=\n)|$)"
    r"|\x1b[@-Z\\-_=>()78]?"
)
_OTHER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean(text: str) -> str:
    """Text as a person may see it anywhere: no escape sequences, `\\r` progress folded to its last state.

    >>> clean("\\x1b[31mred\\x1b[0m 10%\\r20%\\r\\n")
    '20%\\n'
    """
    text = _CONTROL.sub("", text).replace("\r\n", "\n")
    if "\r" in text:
        lines = []
        for line in text.split("\n"):
            parts = [p for p in line.split("\r") if p]
            lines.append(parts[-1] if parts else "")
        text = "\n".join(lines)
    return _OTHER.sub("", text)


def read_log(path: Path, offset: int, limit: int) -> LogsReply:
    """A piece of the log. offset: bytes; negative counts from the end.  limit: bytes, at most 1 MiB.

    A piece begins and ends where it can at a line's border, so that pieces put together read as the whole.
    """
    limit = max(1, min(limit, _MOST))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return LogsReply(text="", offset=0, next=0, size=0)
    try:
        size = os.fstat(fd).st_size
        start = max(0, size + offset) if offset < 0 else min(offset, size)
        data = os.pread(fd, limit, start)
        holes = _holes(fd, size)
    finally:
        os.close(fd)
    if offset < 0 and start > 0:
        first = data.find(b"\n")
        if 0 <= first < len(data) - 1:
            data = data[first + 1 :]
            start += first + 1
    end = start + len(data)
    if end < size:
        last = data.rfind(b"\n")
        if last >= 0:
            data = data[: last + 1]
            end = start + last + 1
    text = data.replace(b"\0", b"").decode("utf-8", "replace")
    return LogsReply(text=clean(text), offset=start, next=end, size=size, holes=holes)


def tail(path: Path, bytes_: int = 16384) -> str:
    """The end of a log, cleaned. "" where there is none."""
    return read_log(path, -bytes_, bytes_).text


def _holes(fd: int, size: int) -> list[tuple[int, int]]:
    """Byte ranges that were given back to the file system (the wrapper's cap); [] where that cannot be asked."""
    if not hasattr(os, "SEEK_HOLE") or size == 0:
        return []
    holes: list[tuple[int, int]] = []
    at = 0
    try:
        while at < size and len(holes) < 16:
            start = os.lseek(fd, at, os.SEEK_HOLE)
            if start >= size:
                break
            try:
                end = os.lseek(fd, start, os.SEEK_DATA)
            except OSError:
                end = size
            holes.append((start, end))
            at = end
    except OSError:
        return holes  # a file system without holes says so by refusing; the log reads all the same
    return holes
