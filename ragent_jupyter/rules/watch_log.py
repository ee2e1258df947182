"""Rules on the job's log and its end. What a log says is data: a matching line is quoted, never obeyed."""

from __future__ import annotations

import re
import signal as _signal

from ..domain.alert import Evidence, Severity
from .watch_facts import JobEnded, LogLines, Raise
from .watch_quiet import finite_at, heard_log
from .watch_raise import Spot, offer
from .watch_state import Watch

# Few enough lines hold one of these words, so that the patterns are rarely tried.
_HINT = re.compile(r"memory|oom|nccl|xid|cuda|traceback|space left|segmentation|bus error|killed", re.IGNORECASE)
_PATTERNS: list[tuple[str, Severity, re.Pattern[str], str, str]] = [
    (
        "out_of_memory", Severity.CRITICAL,
        re.compile(
            r"OutOfMemoryError|CUDA (error: )?out of memory|HIP out of memory|CUBLAS_STATUS_ALLOC_FAILED"
            r"|RESOURCE_EXHAUSTED: Out of memory|oom-kill|Out of memory: Killed|std::bad_alloc|\bMemoryError\b"
            r"|DefaultCPUAllocator: (not enough|can't allocate)"
        ),
        "out of memory", "The allocation failed. Lower the batch size, or use gradient accumulation or checkpointing.",
    ),
    (
        "nccl", Severity.CRITICAL,
        re.compile(
            r"NCCL (WARN|error|failure)|ncclSystemError|ncclUnhandledCudaError|ncclInternalError|ncclRemoteError"
            r"|ProcessGroupNCCL.*(timeout|timed out|Watchdog caught)|Watchdog caught collective operation timeout"
            r"|DistBackendError"
        ),
        "NCCL failure", "Workers can no longer talk to each other; the run usually hangs or dies. Look for the first "
        "rank that failed.",
    ),
    (
        "xid", Severity.CRITICAL, re.compile(r"NVRM: Xid|\bXid \(PCI|GPU has fallen off the bus|uncorrectable ECC"),
        "GPU hardware error", "The driver reported a fault of the GPU. Results from then on cannot be trusted; the "
        "machine may need a reset.",
    ),
    (
        "cuda_error", Severity.WARNING,
        re.compile(
            r"CUDA error: (?!out of memory)|device-side assert|CUBLAS_STATUS_(?!ALLOC)|CUDNN_STATUS_(?!SUCCESS)\w+"
            r"|illegal memory access|cudaError(?!_t)\w+"
        ),
        "CUDA error", "The GPU's context is lost for this process. CUDA_LAUNCH_BLOCKING=1 shows the true line.",
    ),
    (
        "disk_full", Severity.WARNING, re.compile(r"No space left on device|Disk quota exceeded"),
        "the disk is full", "Checkpoints and logs can no longer be written. Free some space before the next save.",
    ),
]  # fmt: skip
# "NCCL INFO" and "NCCL version" lines are normal; NCCL WARN also comes for harmless settings.
_HARMLESS = re.compile(r"NCCL WARN.*(NET/|plugin|ignor|not found|deprecated|environment variable)", re.IGNORECASE)
_EXCEPTION = re.compile(r"^([\w.]*(Error|Exception|Interrupt|Exit|Warning|Failure)|[\w.]+\.[A-Z]\w+)\b(:.*)?$")
_LINE = 2000  # characters of a line that are looked at
_QUOTE = 300


def log_lines(state: Watch, fact: LogLines, out: list[Raise]) -> None:
    """New lines of the job's log. These alerts are spaced by the witness's clock."""
    if fact.lines:
        heard_log(state, fact.at)
    spot = Spot(out, finite_at(state, fact.at))
    for offset, text in fact.lines:
        line = text[:_LINE]
        if state.in_traceback:
            _traceback(state, spot, fact.source, offset, line)
        if not _HINT.search(line):
            continue
        if line.lstrip().startswith("Traceback (most recent call last)"):
            state.in_traceback = True
            continue
        for rule, severity, pattern, what, advice in _PATTERNS:
            if pattern.search(line) and not (rule == "nccl" and _HARMLESS.search(line)):
                evidence = Evidence(source=fact.source, offset=offset, log_line=line.strip()[:_QUOTE])
                offer(state, spot, rule, severity, f"the log says: {what}", advice, evidence)
                break


def _traceback(state: Watch, spot: Spot, source: str, offset: int, line: str) -> None:
    """The first line after a traceback's frames that is not indented names the exception."""
    if not line.strip() or line[0] in " \t":
        return
    state.in_traceback = False
    if not _EXCEPTION.match(line.strip()):
        return
    state.traceback, state.traceback_offset = line.strip()[:_QUOTE], offset
    text = "It may have been caught: the run goes on. If the run ends with it, that is told as its own alert."
    evidence = Evidence(source=source, offset=offset, log_line=state.traceback)
    offer(state, spot, "traceback", Severity.INFO, f"a traceback: {state.traceback[:80]}", text, evidence)


def job_ended(state: Watch, fact: JobEnded, out: list[Raise]) -> None:
    """The job's end: news only if nobody asked for it and it did not end well."""
    state.ended = True
    if fact.stopped or state.stopping:
        return
    cause = f" The log's last exception: {state.traceback}" if state.traceback else ""
    evidence = Evidence(
        value=float(fact.exit_code) if fact.exit_code is not None else None,
        source=fact.source,
        offset=0,
        log_line=state.traceback or None,
    )
    if fact.oom:
        title = "the job was killed: out of memory"
        text = "The kernel's out-of-memory killer ended it. Lower the batch size or the number of workers." + cause
    elif fact.signal:
        title, text = f"the job was killed by {_name(fact.signal)}", "Nobody asked ragent for it." + cause
    elif fact.exit_code:
        title = f"the job ended with exit code {fact.exit_code}"
        text = cause.strip() or "The last lines of its log may say why."
    else:
        return
    offer(state, Spot(out, finite_at(state, fact.at)), "exit", Severity.CRITICAL, title, text, evidence, after_end=True)


def _name(number: int) -> str:
    try:
        return _signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
