"""A run: one execution of one command."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from msgspec import Struct


class RunStatus(str, Enum):
    READY = "ready"
    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL

    @property
    def live(self) -> bool:
        """A process of it may exist."""
        return self in LIVE


TERMINAL = frozenset({RunStatus.FINISHED, RunStatus.FAILED, RunStatus.STOPPED})
LIVE = frozenset({RunStatus.LAUNCHING, RunStatus.RUNNING, RunStatus.STOPPING})

RunKind = Literal["command", "notebook", "interactive"]
ReasonKind = Literal["exit_code", "signal", "oom", "nan", "walltime", "lost", "launch_error", "cancelled", "stop"]


class Reason(Struct, frozen=True):
    """Why a run ended as it did. `text` is a sentence for a person; `log_line` a quoted line that shows it."""

    kind: ReasonKind
    text: str
    log_line: str | None = None


class Progress(Struct, frozen=True):
    """How far a run is, as its sidecar read it (tqdm, step/max_steps, epoch/epochs). `eta_s` is an estimate."""

    fraction: float | None = None  # 0..1
    step: int | None = None
    total: int | None = None
    eta_s: float | None = None
    text: str = ""


class MetricSummary(Struct, frozen=True):
    """What is known of one metric of one run without reading its points. min and max are of finite values."""

    last: float | str | None = None  # "nan", "inf", "-inf" stand for what JSON cannot say
    step: int | None = None
    min: float | None = None
    min_step: int | None = None
    max: float | None = None
    max_step: int | None = None
    count: int = 0
    nonfinite: int = 0


class Interpreter(Struct, frozen=True):
    """The Python that a run sees first on its PATH."""

    path: str
    kind: Literal["caller", "venv", "conda", "kernelspec", "path"] = "caller"
    name: str = ""
    version: str = ""


class GitState(Struct, frozen=True):
    commit: str
    branch: str = ""
    dirty: bool = False
    diff_file: str | None = None  # inside the run's folder


class Run(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution. Times are unix seconds (wall clock, for showing); terminal is terminal."""

    id: str
    name: str
    command: str  # as a person would type it
    argv: list[str]  # as it is executed
    cwd: str
    created_at: float
    kind: RunKind = "command"
    status: RunStatus = RunStatus.READY
    reason: Reason | None = None
    interpreter: Interpreter | None = None
    env: dict[str, str] = {}  # what the user added, values redacted by the wire where they look like secrets
    executor: str = "tmux"
    executor_handle: str | None = None
    gpus: int = 0
    gpu_ids: list[int] = []
    share_gpu: bool = False
    sweep_id: str | None = None
    trial: int | None = None
    params: dict[str, Any] = {}
    seed: int | None = None
    retry_of: str | None = None
    git: GitState | None = None
    primary: str | None = None  # the metric it is judged by
    mode: Literal["min", "max"] = "min"
    order: float = 0.0  # place in the queue; smaller goes first
    waits: str = ""  # what it waits for in the queue, where that is more than its turn
    stop_order: str | None = None  # the id of the stop order under way
    stop_by: str | None = None  # who asked: "user", "alert:alt_…", "sweep:swp_…"
    queued_at: float | None = None
    launched_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    max_rss_bytes: int | None = None
    cpu_s: float | None = None
    unreachable_since: float | None = None
    health: str = ""  # "", "unwatched: …", "watched from HOST"
    summary: dict[str, MetricSummary] = {}  # frozen at the end; while it lives the sidecar's live.json is newer
    progress: Progress | None = None
    archived: bool = False
    favourite: bool = False
    alias: str = ""
    tags: list[str] = []
    notes: str = ""
    colour: str | None = None
    settled: bool = False  # its sidecar has read everything to the end; summary is final
    request_id: str | None = None
    tree: str = ""  # the commit whose immutable tree it executes in
    void: str = ""  # why its numbers do not count: its evaluation files changed under it
    pid: int | None = None  # interactive runs: the kernel's process
    kernel: str | None = None
