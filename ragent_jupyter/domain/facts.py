"""Facts: what a witness saw. Orders: what the engine asks of a run's wrapper and sidecar. Both are lines in files.

`wrapper.jsonl` has one writer, the wrapper; `facts.jsonl` one, the sidecar; `orders.jsonl` one, the engine.
Each line is one of these, tagged by "type"; `seq` counts lines of its file from 1. Unknown fields are skipped,
so an old sidecar can talk to a new engine.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .alert import Choice, Evidence, Severity


class Claim(Struct, frozen=True, kw_only=True):
    """claim.json: whoever created it is the run's one wrapper. start_time: field 22 of /proc/PID/stat (or psutil's)."""

    run_id: str
    host: str
    boot_id: str
    pid: int
    start_time: float
    executor_id: str = ""
    at: float = 0.0


class Exit(Struct, frozen=True, kw_only=True):
    """exit.json: the one verdict. `kind` says who wrote it and how the job ended."""

    run_id: str
    kind: Literal["exited", "signalled", "launch_error", "lost", "finished"]  # finished: an interactive run said so
    at: float
    exit_code: int | None = None
    signal: int | None = None
    problem: str | None = None
    remedy: str | None = None
    order_id: str | None = None  # the stop order that was under way when it ended
    job_pid: int | None = None
    started_at: float | None = None
    utime_s: float = 0.0
    stime_s: float = 0.0
    max_rss_bytes: int = 0
    oom: bool = False  # the kernel's out-of-memory killer is known to have done it
    survivors: int = 0  # children that had left the group and were killed after the job
    host: str = ""


# --- wrapper.jsonl ---------------------------------------------------------------------------------------------
class JobStarted(Struct, frozen=True, kw_only=True, tag="job_started"):
    seq: int
    at: float
    pid: int
    start_time: float = 0.0


class StopSeen(Struct, frozen=True, kw_only=True, tag="stop_seen"):
    seq: int
    at: float
    order_id: str


class SignalSent(Struct, frozen=True, kw_only=True, tag="signal_sent"):
    seq: int
    at: float
    order_id: str
    signal: str  # INT, TERM, KILL
    grace_s: float  # how long it now waits before the next


class SidecarState(Struct, frozen=True, kw_only=True, tag="sidecar_state"):
    seq: int
    at: float
    state: Literal["started", "died", "given_up"]
    pid: int | None = None
    detail: str = ""


class LogTruncated(Struct, frozen=True, kw_only=True, tag="log_punched"):
    """The middle of job.log was given back to the file system; offsets have not moved."""

    seq: int
    at: float
    start: int
    end: int


WrapperFact = JobStarted | StopSeen | SignalSent | SidecarState | LogTruncated


# --- facts.jsonl -----------------------------------------------------------------------------------------------
class AlertRaised(Struct, frozen=True, kw_only=True, tag="alert_raised"):
    seq: int
    at: float
    id: str
    rule: str
    severity: Severity
    title: str
    text: str = ""
    evidence: Evidence = Evidence()
    choices: list[Choice] = []
    default: str | None = None


class SourceFound(Struct, frozen=True, kw_only=True, tag="source_found"):
    seq: int
    at: float
    source: str
    format: str
    proof: str  # why it belongs to this run


class Asleep(Struct, frozen=True, kw_only=True, tag="asleep"):
    """A gap in the witness's own time (sleep, SIGSTOP, stall): neither silence nor budget."""

    seq: int
    at: float
    gap_s: float


class WatchEnded(Struct, frozen=True, kw_only=True, tag="watch_ended"):
    """The sidecar has read every source to its end after the job's exit; nothing more will come."""

    seq: int
    at: float
    points: int


SidecarFact = AlertRaised | SourceFound | Asleep | WatchEnded


# --- orders.jsonl ----------------------------------------------------------------------------------------------
class StopOrder(Struct, frozen=True, kw_only=True, tag="stop"):
    seq: int
    order_id: str
    at: float
    by: str = "user"
    now: bool = False  # skip the grace


class AnswerOrder(Struct, frozen=True, kw_only=True, tag="answer"):
    """For the sidecar: an alert was answered; rules may calm down about it."""

    seq: int
    order_id: str
    at: float
    alert_id: str
    choice: str
    action: str


class FinishOrder(Struct, frozen=True, kw_only=True, tag="finish"):
    """For the wrapper of an interactive run: the kernel said `ragent.finish()`."""

    seq: int
    order_id: str
    at: float


Order = StopOrder | AnswerOrder | FinishOrder


class Live(Struct, frozen=True, kw_only=True):
    """live.json: the sidecar's newest picture, replaced by rename at most once a second. A cache, never a truth."""

    at: float
    pid: int
    points: int = 0
    rows: int = 0
    progress: dict[str, Any] | None = None  # domain.run.Progress as JSON
    summary: dict[str, Any] = {}  # name -> domain.run.MetricSummary as JSON
    system: dict[str, float] = {}
    sources: list[str] = []
    health: str = ""
    quiet: dict[str, float] = {}  # its longest silences: what runs like it may learn from it
