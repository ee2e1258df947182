"""Bodies of requests and replies. `labextension/src/wire.ts` is made from this file's structs and the domain's."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .alert import Alert
from .metrics import Series
from .run import Run, RunKind
from .sweep import SearchSpace, Sweep


class ErrorBody(Struct, frozen=True):
    type: str
    problem: str
    remedy: str


class ErrorReply(Struct, frozen=True):
    error: ErrorBody


class CreateRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST runs. command: a list is executed as it is; a text goes to `sh -c` (kind notebook: it is a path)."""

    command: str | list[str]
    name: str | None = None
    cwd: str | None = None  # default: the project's folder
    python: str | None = (
        None  # path of an interpreter, a venv folder, "conda:NAME", "kernel:NAME"; default: the caller's
    )
    caller_python: str | None = None  # sys.executable of the door's caller
    caller_env: dict[str, str] | None = None  # what the job's environment starts from; default: the engine's
    env: dict[str, str] = {}
    executor: str | None = None
    gpus: int = 0
    share_gpu: bool = False
    primary: str | None = None
    mode: Literal["min", "max"] = "min"
    params: dict[str, Any] = {}
    start: bool = True
    tags: list[str] = []
    notes: str = ""
    kind: RunKind = "command"
    pid: int | None = None  # interactive: the process that logs
    kernel: str | None = None
    request_id: str | None = None  # the same id twice creates one run


class StopRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    now: bool = False


class RetryRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    set: dict[str, Any] = {}
    request_id: str | None = None


class PatchRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH runs/ID: how a person sees it, and its place in the queue."""

    alias: str | None = None
    tags: list[str] | None = None
    notes: str | None = None
    favourite: bool | None = None
    archived: bool | None = None
    colour: str | None = None
    before: str | None = None  # a queued run's id: go right before it; "first" or "last"


class RunsReply(Struct, frozen=True, kw_only=True):
    runs: list[Run]
    total: int
    counts: dict[str, int]
    next: str | None = None  # give back as ?after=


class CreateSweep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: str
    space: SearchSpace
    name: str | None = None
    cwd: str | None = None
    python: str | None = None
    caller_python: str | None = None
    caller_env: dict[str, str] | None = None
    env: dict[str, str] = {}
    executor: str | None = None
    gpus: int = 0
    share_gpu: bool = False
    max_runs: int = 100
    parallel: int = 1
    smoke: bool = True
    max_equal_failures: int = 3
    primary: str = "loss"
    mode: Literal["min", "max"] = "min"
    goal: str = ""
    start: bool = True
    request_id: str | None = None


class SweepsReply(Struct, frozen=True, kw_only=True):
    sweeps: list[Sweep]


class AlertsReply(Struct, frozen=True, kw_only=True):
    alerts: list[Alert]
    pending: int


class Respond(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST alerts/ID/respond. choice: a choice's id.  by: who decides ("user", "rule:quickstart")."""

    choice: str
    by: str = "user"


class SeriesReply(Struct, frozen=True, kw_only=True):
    x: Literal["step", "time", "relative"]
    series: list[Series]


class MetricNames(Struct, frozen=True, kw_only=True):
    """GET runs/ID/metrics."""

    run: str
    names: list[str]


class LogsReply(Struct, frozen=True, kw_only=True):
    """GET runs/ID/logs?offset=&limit=. Offsets are bytes; a negative offset counts from the end. text: decoded with
    replacement, terminal control sequences stripped, carriage-return progress folded to its last state."""

    text: str
    offset: int
    next: int
    size: int
    holes: list[tuple[int, int]] = []  # byte ranges given back to the file system


class ExecutorInfo(Struct, frozen=True, kw_only=True):
    name: str
    available: bool
    detail: str = ""
    default: bool = False


class ExecutorsReply(Struct, frozen=True, kw_only=True):
    executors: list[ExecutorInfo]
    gpus: list[dict[str, Any]]
    parallel: int


class StatusReply(Struct, frozen=True, kw_only=True):
    """GET status: the one line on top of every surface."""

    project: str
    version: str
    log_id: str
    seq: int
    pid: int
    started_at: float
    counts: dict[str, int]  # runs by status
    live: int
    queued: int
    alerts: int  # pending warnings and criticals
    best: dict[str, Any] | None = None  # {"run", "name", "metric", "value", "mode", "confirmed": false}
    draining: bool = False
    loops: int = 0  # wild loops that have not ended
    loops_waiting: int = 0  # of them, those that ask a person
    problem: str | None = None  # "the disk is full: …"


class Check(Struct, frozen=True, kw_only=True):
    name: str
    ok: bool
    detail: str
    remedy: str = ""


class DoctorReply(Struct, frozen=True, kw_only=True):
    checks: list[Check]


class CreateReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST reports. One of sweep or runs. path: where to write, inside the project; default reports/NAME.ipynb."""

    sweep: str | None = None
    runs: list[str] = []
    path: str | None = None
    title: str | None = None


class ReportReply(Struct, frozen=True, kw_only=True):
    id: str
    path: str  # absolute
    title: str
    sweep: str | None
    created_at: float
    findings: list[str]  # the sentences of the summary, plain text
    created: bool = True


class Prefs(Struct, frozen=True, kw_only=True):
    prefs: dict[str, Any]
