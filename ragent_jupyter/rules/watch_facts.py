"""What the watch rules are told, and what they answer: plain words, no behaviour.

Two clocks. `at` is the witness's monotonic clock in seconds, used to decide about silence; a replay may use any clock
that never runs back. `Row.time` is the log's own clock in unix seconds, used to learn a run's pace and to space alerts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ..domain.alert import Choice, Evidence, Severity
from ..domain.ids import alert_id
from ..domain.metrics import Row


# --- facts -----------------------------------------------------------------------------------------------------
class Points(Struct, frozen=True, kw_only=True, tag="points"):
    """Rows of one source, oldest first. How rows are cut into Points never changes what the rules conclude."""

    source: str
    rows: list[Row]
    at: float


class Block(Struct, frozen=True, kw_only=True):
    """The same as Points for rows that all have the same names, columnar, for catching up fast.

    names: shape (k,).  columns: k sequences of n floats (NaN and infinities are values here, never "missing").
    steps (ints), times (unix seconds) and offsets (bytes): n each; offsets may be empty if unknown.
    """

    source: str
    names: Sequence[str]
    steps: Sequence[int]
    times: Sequence[float]
    columns: Sequence[Sequence[float]]
    offsets: Sequence[int] = ()
    at: float = 0.0


class Tick(Struct, frozen=True, kw_only=True, tag="tick"):
    """Time has passed. Send one every second or so; they are cheap.

    log_bytes: size of the job's log so far, None if unknown; growth means that the job is alive.
    eta_s: seconds that the run still needs, None if unknown.
    """

    at: float
    log_bytes: int | None = None
    eta_s: float | None = None


class LogLines(Struct, frozen=True, kw_only=True, tag="log_lines"):
    """Complete lines of the job's log as (offset in bytes, text), oldest first, without their line ends."""

    at: float
    lines: list[tuple[int, str]]
    source: str = "job.log"


class System(Struct, frozen=True, kw_only=True, tag="system"):
    """One sample of the machine as this run uses it, every 5 to 60 s. Names that the rules know; others are skipped:

    gpu_util: percent, the busiest GPU of the run.  gpu_mem_used_bytes, gpu_mem_total_bytes: of its fullest GPU.
    rss_bytes: of the whole process tree.  mem_limit_bytes: the cgroup's limit, else the machine's memory.
    """

    at: float
    values: dict[str, float]


class Activity(Struct, frozen=True, kw_only=True, tag="activity"):
    """What the job's process tree does, sampled every few seconds while the run is silent. None: not known here.

    cpu_s: CPU seconds of the tree so far, ended children included.  io_bytes: read and written so far.
    net_bytes: seen by the tree's network so far, but only while it holds a connection to another machine.
    connected: to one, or to another program of this machine.
    waits: a thread is runnable or in uninterruptible IO at this moment.  held: stopped by a signal or a debugger.
    gpu_util: percent, of its GPUs.  uses_gpu: it holds one, whether or not its use can be read.
    """

    at: float
    cpu_s: float | None = None
    io_bytes: float | None = None
    net_bytes: float | None = None
    connected: bool = False
    waits: bool = False
    held: bool = False
    gpu_util: float | None = None
    uses_gpu: bool = False


class Answered(Struct, frozen=True, kw_only=True, tag="answered"):
    """Somebody chose. alert_id: as made by `Raise.alert_id`. An id that is not known here changes nothing."""

    at: float
    alert_id: str
    choice: str
    action: str = ""


class JobEnded(Struct, frozen=True, kw_only=True, tag="job_ended"):
    """The job is over. stopped: a stop order was under way, so its code or signal is no news."""

    at: float
    exit_code: int | None = None
    signal: int | None = None
    oom: bool = False
    stopped: bool = False
    source: str = "exit.json"


class Slept(Struct, frozen=True, kw_only=True, tag="slept"):
    """The witness itself was away for `gap_s` seconds (sleep, SIGSTOP): that gap is nobody's silence."""

    at: float
    gap_s: float


WatchFact = Points | Block | Tick | LogLines | System | Activity | Answered | JobEnded | Slept


# --- the effect ------------------------------------------------------------------------------------------------
class Raise(Struct, frozen=True, kw_only=True, tag="raise", omit_defaults=True):
    """Raise this alert. (rule, metric, source, offset) is its identity: seen twice, it is the same alert.

    after_end: it is about how the job ended, so the job's end must not expire it.
    """

    rule: str
    severity: Severity
    title: str
    text: str = ""
    metric: str = ""
    source: str = ""
    offset: int = 0
    evidence: Evidence = Evidence()
    choices: list[Choice] = []
    default: str | None = "ignore"
    after_end: bool = False

    def alert_id(self, run_id: str) -> str:
        """The id that this alert has in the run `run_id`, whoever works it out."""
        return alert_id(run_id, self.rule, self.metric, self.source, self.offset)


Params = dict[str, Any]
