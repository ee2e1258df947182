"""When a file was created, where the system knows: statx on Linux (Python's own stat does not tell), stat on macOS."""

from __future__ import annotations

import os
import struct
import sys

_AT_FDCWD = -100
_STATX_BTIME = 0x800
_statx = None


def birth(path: str) -> float | None:
    """Unix seconds of a file's creation; None if it is gone or the file system does not tell.

    Source: man 2 statx; the buffer holds stx_mask at 0 and stx_btime (seconds, nanoseconds) at 80.
    """
    global _statx
    try:
        stat = os.stat(path)
    except OSError:
        return None
    created = getattr(stat, "st_birthtime", None)
    if created is not None:
        return float(created)
    if sys.platform.startswith("linux"):
        import ctypes

        if _statx is None:
            try:
                _statx = ctypes.CDLL(None, use_errno=True).statx
            except (OSError, AttributeError):  # an old C library
                return None
        buffer = ctypes.create_string_buffer(256)
        if _statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, buffer) == 0:
            (mask,) = struct.unpack_from("=I", buffer.raw, 0)
            if mask & _STATX_BTIME:
                seconds, nanos = struct.unpack_from("=qI", buffer.raw, 80)
                return float(seconds) + float(nanos) / 1e9
    return None
