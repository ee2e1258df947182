"""A sweep: a search space and its trials."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from msgspec import Struct


class SweepStatus(str, Enum):
    DRAFT = "draft"
    READY = "ready"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def terminal(self) -> bool:
        return self in (SweepStatus.FINISHED, SweepStatus.FAILED, SweepStatus.STOPPED)


class Values(Struct, frozen=True, tag="values", tag_field="kind"):
    """Each of these, in this order."""

    values: list[Any]


class Range(Struct, frozen=True, tag="range", tag_field="kind"):
    """low..high inclusive. With `step` or `num` it can stand in a grid; without, only in a random sweep."""

    low: float
    high: float
    step: float | None = None
    num: int | None = None
    log: bool = False
    integer: bool = False


Dimension = Values | Range
SweepMethod = Literal["grid", "random", "list"]


class SearchSpace(Struct, frozen=True, kw_only=True):
    """`parameters` for grid and random; `points` for list. `flag` is how a parameter reaches the command.

    flag: "--{name} {value}" | "--{name}={value}" | "{name}={value}" (hydra) | "" where the command holds {name} itself.
    flags: the same for single parameters, by name; "ON|OFF" says what true and false add to the command ("--amp|" adds
    --amp or nothing).
    """

    method: SweepMethod = "grid"
    parameters: dict[str, Dimension] = {}
    points: list[dict[str, Any]] = []
    seed: int = 0
    flag: str = "--{name} {value}"
    flags: dict[str, str] = {}


class Trial(Struct, frozen=True, kw_only=True):
    """One point of the space. `run_ids`: its executions, oldest first; a retried trial has several."""

    index: int
    params: dict[str, Any]
    run_ids: list[str] = []
    tree: str = ""  # another commit than the sweep's, where its code differs


class Estimate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the rest of a sweep or loop will take, from runs that were measured.

    of: the run it was measured on.  seconds: of one run; wall_seconds: of all with `parallel` at a time.
    runs: how many are left (of a loop: how many still fit its limits).  disk_bytes: of their run folders.
    cost_usd: where a price is known (of a loop: the model's; of a sweep: the GPUs').
    """

    of: str
    seconds: float
    runs: int
    parallel: int
    wall_seconds: float
    gpu_hours: float = 0.0
    cpu_hours: float = 0.0
    disk_bytes: int = 0
    cost_usd: float | None = None
    text: str = ""


class Sweep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    name: str
    command: str  # the base command, without parameters
    cwd: str
    created_at: float
    space: SearchSpace
    status: SweepStatus = SweepStatus.DRAFT
    reason: str = ""
    trials: list[Trial] = []
    max_runs: int = 100
    parallel: int = 1
    smoke: bool = True  # the first trial runs alone; the others only once it has shown that it works
    max_equal_failures: int = 3
    primary: str = "loss"
    mode: Literal["min", "max"] = "min"
    gpus: int = 0
    share_gpu: bool = False
    executor: str | None = None
    interpreter: str | None = None
    env: dict[str, str] = {}
    goal: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    archived: bool = False
    request_id: str | None = None
    loop_id: str = ""  # the wild loop that it belongs to
    purpose: str = ""  # why, in the loop's words
    tree: str = ""  # the commit whose immutable tree its runs execute in
    by: list[str] = []  # who thought of each trial: rule, model or human
    estimate: Estimate | None = None  # what its rest will take, while it has not ended; a loop's sweep has none
