"""Why a run ended, in words, from its verdict and the end of its log. Pure: the text is given."""

from __future__ import annotations

import re
import signal as _signal

from ragent_jupyter.domain.facts import Exit
from ragent_jupyter.domain.run import Reason

_MISSING = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)'?")
# Only what cannot backtrack: a line may be 16 KiB of digits, and the engine reads it between two answers.
_NOT_FOUND = re.compile(r"[^\s:]: (?:command )?not found")
_OOM = re.compile(
    r"OutOfMemoryError|CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|\bMemoryError\b|Out of memory: Killed"
)
_DISK = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC")
_ERROR = re.compile(
    r"^(?:[\w.]+(?:Error|Exception|Interrupt|Exit|Warning)\b.*|.*\b(?:Error|ERROR|FATAL|fatal|error):? .*)$"
)


def error_line(log_tail: str) -> str | None:
    """The line of a log's end that says what went wrong: the last exception's, else the last that says error.

    >>> error_line("Traceback (most recent call last):\\n  File 'a.py', line 1\\nValueError: bad lr\\n")
    'ValueError: bad lr'
    """
    lines = [line.strip() for line in log_tail.splitlines() if line.strip()]
    for line in reversed(lines):
        if re.match(r"[\w.]+(?:Error|Exception|Interrupt|Exit)\b(?:: .*)?$", line):
            return line[:500]
    for line in reversed(lines[-50:]):
        if _ERROR.match(line) or _NOT_FOUND.search(line) or _DISK.search(line):
            return line[:500]
    return lines[-1][:500] if lines else None


def explain(exit: Exit, log_tail: str, python: str | None = None) -> Reason:
    """The reason of an end. log_tail: the last lines of the job's log, decoded.  python: the run's interpreter."""
    line = error_line(log_tail)
    if exit.kind == "launch_error":
        return Reason("launch_error", f"{exit.problem or 'It could not be launched.'} {exit.remedy or ''}".strip())
    if exit.kind == "lost":
        text = exit.problem or "Its wrapper died and nobody saw the job's end."
        return Reason("lost", f"Lost: {text}", line)
    if exit.kind == "finished":
        return Reason("exit_code", "Finished.")
    if exit.oom or (exit.exit_code not in (0, None) and _OOM.search(log_tail)):
        found = _last(_OOM, log_tail)
        return Reason(
            "oom", "Out of memory. Use a smaller batch or model, or a device with more memory.", found or line
        )
    if exit.kind == "signalled" or exit.signal:
        number = exit.signal or 0
        name = _signal_name(number)
        asked = exit.order_id is not None  # then the signal was ours
        hint = " Often the kernel's out-of-memory killer: see dmesg." if number == 9 and not asked else ""
        return Reason("signal", f"Ended by signal {number} ({name}).{hint}", line)
    if exit.exit_code == 0:
        return Reason("exit_code", "Finished.")
    missing = _MISSING.search(log_tail)
    if missing:
        where = f" in {python}" if python else ""
        text = (
            f"Module {missing[1]!r} is not installed{where}. "
            f"Install it there, or choose the interpreter that has it (--python)."
        )
        return Reason("exit_code", text, line)
    if exit.exit_code == 127:
        return Reason("exit_code", "Exit code 127: a command was not found. Check its spelling and PATH.", line)
    if _DISK.search(log_tail):
        return Reason("exit_code", f"Exit code {exit.exit_code}: the disk is full.", _last(_DISK, log_tail))
    return Reason("exit_code", f"Exit code {exit.exit_code}.", line)


def failure_signature(reason: Reason | None, exit_code: int | None) -> str:
    """What makes two failures the same: kind, code and the error line without its numbers, paths and quotes' insides.

    >>> a = Reason("exit_code", "", "ValueError: lr 0.1 at 0x7f")
    >>> failure_signature(a, 1) == failure_signature(Reason("exit_code", "", "ValueError: lr 0.5 at 0x9a"), 1)
    True
    """
    kind = reason.kind if reason else "unknown"
    line = (reason.log_line or reason.text) if reason else ""
    line = re.sub(r"0x[0-9a-fA-F]+|[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", "#", line)
    line = re.sub(r"(?:/[\w.\-]+)+", "/…", line)
    return f"{kind}|{exit_code}|{line[:200]}"


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    for line in reversed(text.splitlines()):
        if pattern.search(line):
            return line.strip()[:500]
    return None


def _signal_name(number: int) -> str:
    try:
        return _signal.Signals(number).name
    except ValueError:
        return "unknown"
