"""Places where a test may kill this process with SIGKILL, in the middle of an operation.

`RAGENT_KILL_AT=<point>:<n>[:<marker>]` kills at the n-th passing (from 1) of a point whose name matches the pattern
<point> (`*` and `?` as in file names). With <marker>, the file of that name is created first, with O_EXCL: a process
that was restarted with the same environment finds it there and lives. Unset, a point costs one test of a flag.

Standard library only; `wrapper.py`, which is a file of its own, holds the same few lines.
"""

from __future__ import annotations

import os
import signal
from fnmatch import fnmatchcase

_pattern, _left, _marker = "", 0, ""
armed = False


def arm(text: str | None) -> None:
    """Read a value of RAGENT_KILL_AT; None or "" disarms. Raises ValueError if it is not <point>:<n>[:<marker>]."""
    global _pattern, _left, _marker, armed
    armed = bool(text)
    if text:
        point, _, rest = text.partition(":")
        number, _, marker = rest.partition(":")
        _pattern, _left, _marker = point, int(number), marker


def kill_point(name: str) -> None:
    """Pass the point `name`; the process may end here, without any clean-up, as under `kill -9`."""
    global _left
    if not armed or not fnmatchcase(name, _pattern):
        return
    _left -= 1
    if _left != 0:
        return
    if _marker:
        try:
            os.close(os.open(_marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("RAGENT_KILL_AT"))
