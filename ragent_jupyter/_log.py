"""`ragent.log` for training code: one row, one write, visible at once. Standard library, and msgspec if importable.

    import ragent_jupyter as ragent

    ragent.log({"loss": loss, "lr": lr}, step=step)

Under ragent, $RAGENT_METRICS_FILE says where the rows go. Elsewhere (a notebook, a plain shell) the first call opens an
interactive run. Threads and forked children may log too: a row is a single append to one file. It never stops a
training for the sake of its log: if the disk is full, rows wait in memory and go out with a later call.
"""

from __future__ import annotations

import atexit
import errno
import json
import operator
import os
import threading
import warnings
from collections import deque
from collections.abc import Mapping
from time import time
from typing import Any

try:
    from msgspec.json import Encoder as _Encoder
except ImportError:  # a training environment needs nothing of ours
    _Encoder = None  # type: ignore[assignment,misc]

__all__ = ["finish", "log"]

METRICS_FILE = "RAGENT_METRICS_FILE"
WAITING_BYTES = 32 << 20  # rows kept while the disk refuses
LOOK_EVERY_S = 1.0  # how often to see whether the file is still the one at its path
_EXACT = 1 << 53  # integers up to here are exact as floats


_encode = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make a new one for each row


def _lines_by_json(rows: list[dict[str, Any]]) -> bytes:
    return b"".join([_encode(row).encode() + b"\n" for row in rows])


_write = os.write
_lines = _Encoder().encode_lines if _Encoder is not None else _lines_by_json


class _Out:
    """The open file and the rows that could not be written yet. One to a process; guarded by `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a signal handler may log in the middle of a log
        self.fd = -1
        self.path = ""
        self.interactive = False  # the path came from a run that the first log() opened
        self.inode = (0, 0)
        self.looked_at = 0.0
        self.waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.warned = False
        self.dropped = 0

    def open(self) -> None:
        """Open the file, on a new line: a process that was killed here may have left half a row."""
        if not self.path:
            path = os.environ.get(METRICS_FILE)
            if not path:
                from . import _interactive

                path = str(_interactive.open_run())
                self.interactive = True
            self.path = path
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            now = os.fstat(fd)
            if now.st_size and os.pread(fd, 1, now.st_size - 1) != b"\n":
                os.write(fd, b"\n")
        except OSError:
            pass  # /dev/stdout and pipes have no last byte
        self.inode = (now.st_dev, now.st_ino)
        self.fd = fd

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError:
                pass  # the training code has closed all descriptors, ours as well

    def moved(self) -> bool:
        """Whether the path now names another file (rotated, deleted): rows would go where nobody reads."""
        try:
            there = os.stat(self.path)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != self.inode

    def send(self, line: bytes, now: float) -> None:
        """Write a row, after those that wait. What the disk refuses waits."""
        if not 0.0 <= now - self.looked_at < LOOK_EVERY_S:  # the clock may have been set back
            self.looked_at = now
            if self.fd >= 0 and self.moved():
                self.close()
        try:
            if self.fd < 0:
                self.open()
            if self.waiting:
                self.drain()
            written = os.write(self.fd, line)
        except OSError as error:
            self.close()
            self.wait(line, error)
        else:
            if written != len(line):
                self.wait(_remainder(line, written), None)

    def drain(self) -> None:
        """Send the rows that wait; raises OSError at the first that is refused."""
        while self.waiting:
            line = self.waiting.popleft()
            self.waiting_bytes -= len(line)
            written = 0
            try:
                written = os.write(self.fd, line)
            finally:
                if written != len(line):
                    rest = _remainder(line, written)
                    self.waiting.appendleft(rest)
                    self.waiting_bytes += len(rest)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.warned = False
        if self.dropped:
            warnings.warn(f"ragent.log writes again; {self.dropped} rows did not fit into memory.", stacklevel=4)
            self.dropped = 0

    def wait(self, line: bytes, error: OSError | None) -> None:
        if self.waiting_bytes + len(line) > WAITING_BYTES:
            self.dropped += 1
        else:
            self.waiting.append(line)
            self.waiting_bytes += len(line)
        if not self.warned:
            self.warned = True
            reason = error.strerror if error is not None and error.strerror else os.strerror(errno.ENOSPC)
            warnings.warn(
                f"ragent.log cannot write {self.path}: {reason}. Rows wait in memory (up to {WAITING_BYTES >> 20} MiB) "
                "and are written as soon as it works again.",
                stacklevel=4,
            )

    def forget_parent(self) -> None:
        """In a forked child: the file can be shared (appends do not mix), the waiting rows are the parent's."""
        self.lock = threading.RLock()
        self.waiting = deque()
        self.waiting_bytes = 0
        self.dropped = 0


_out = _Out()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_out.forget_parent)


def _remainder(line: bytes, written: int) -> bytes:
    """What makes a row whole after only its first bytes were written: its newline if that is all that is missing,
    else the row again on a line of its own (readers skip the torn one)."""
    if written == len(line) - 1:
        return b"\n"
    return b"\n" + line if written else line


def log(values: Mapping[str, Any] | None = None, step: int | None = None, **more: Any) -> None:
    """Log one row of metrics, visible to readers when this returns.

    values: name -> number; NumPy and PyTorch scalars are numbers, NaN and infinities are kept, nested dicts become
    "outer/inner".  step: the training step; left out, rows are counted.  more: further metrics by keyword.
    Raises TypeError, naming the metric, for a value that is no single number; then nothing is logged.
    """
    if more:
        values = {**values, **more} if values else more
    elif values is None:
        raise TypeError("ragent.log() needs metrics, for example ragent.log({'loss': 0.5}, step=10).")
    now = time()
    try:
        for value in values.values():
            # The usual case must cost nothing: finite floats and small integers go as they are.
            if type(value) is float:
                if value - value == 0.0:
                    continue
            elif type(value) is int and -_EXACT < value < _EXACT:
                continue
            values = _plain(values)
            break
    except AttributeError:
        raise TypeError(f"ragent.log() takes a dict of metrics, not {type(values).__name__}.") from None
    if step is None:
        row = {"time": now, **values}
    else:
        row = {"time": now, **values, "step": step if type(step) is int else _step(step)}
    try:
        line = _lines([row])
    except (TypeError, ValueError, OverflowError):
        line = _lines_by_json([_texts(row)])
    out = _out
    with out.lock:
        # The usual case in line: file open and looked at a moment ago, nothing waits. All else is `send`'s.
        if 0.0 <= now - out.looked_at < LOOK_EVERY_S and out.fd >= 0 and not out.waiting:
            try:
                written = _write(out.fd, line)
            except OSError:
                out.send(line, now)
            else:
                if written != len(line):
                    out.wait(_remainder(line, written), None)
        else:
            out.send(line, now)


def finish() -> None:
    """Write what waits and close the file; the next `log` looks anew where to write. Ends an interactive run."""
    out = _out
    with out.lock:
        _last_try(out)
        interactive, out.interactive = out.interactive, False
        out.close()
        out.path = ""
    if interactive:
        from . import _interactive

        _interactive.close_run()


def _last_try(out: _Out) -> None:
    if out.waiting:
        try:
            if out.fd < 0:
                out.open()
            out.drain()
        except OSError as error:
            lost = len(out.waiting) + out.dropped
            warnings.warn(f"ragent.log lost {lost} rows: {out.path}: {error.strerror}.", stacklevel=3)
            out.waiting.clear()
            out.waiting_bytes = out.dropped = 0


@atexit.register
def _at_exit() -> None:
    with _out.lock:
        _last_try(_out)


def _plain(values: Mapping[str, Any], prefix: str = "", out: dict[str, Any] | None = None) -> dict[str, Any]:
    """The metrics flat, every value a float, an int or the text of a non-finite number (JSON has none)."""
    out = {} if out is None else out
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            _plain(value, f"{name}/", out)
        else:
            out[name] = _number(name, value)
    return out


def _number(name: str, value: Any) -> float | int | str:
    kind = type(value)
    if kind is int and -_EXACT < value < _EXACT:
        return value  # type: ignore[no-any-return]
    if kind is not float:
        try:
            # float("1.5") would work, but a text that looks like a number is a mistake worth hearing of.
            if not (hasattr(kind, "__float__") or hasattr(kind, "__index__")):
                raise TypeError("it is no number")
            value = float(value)
        except Exception as error:  # whatever a tensor library raises
            said = f"ragent.log(): metric {name!r} must be one number, not {_describe(value)} ({error})."
            raise TypeError(said) from None
    if value - value == 0.0:
        return value  # type: ignore[no-any-return]
    return "nan" if value != value else "inf" if value > 0 else "-inf"


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return f"{name} of shape {tuple(shape)}" if shape is not None else f"{name} {str(value)[:40]!r}"


def _step(step: Any) -> int:
    """An integer step from whatever counts steps: int, numpy.int64, a 0-d tensor, 12.0."""
    try:
        return operator.index(step)
    except TypeError:
        try:
            if not isinstance(step, (str, bytes)) and float(step).is_integer():
                return int(step)
        except Exception:  # whatever a tensor library raises; told below
            pass
    raise TypeError(f"ragent.log(): step must be a whole number, not {_describe(step)}.")


def _texts(row: dict[Any, Any]) -> dict[str, Any]:
    """Keys as texts that can be encoded: lone surrogates (from undecodable file names) are escaped."""
    return {str(key).encode("utf-8", "backslashreplace").decode(): value for key, value in row.items()}
