"""What a diagnosis is made of: what was recorded of a run goes in, ranked causes with their proof come out."""

from __future__ import annotations

from msgspec import Struct

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.run import Run

from ..config_diff import Difference
from ..digest import Curve


class LogLine(Struct, frozen=True):
    """A line of job.log, cleaned of control sequences and secrets. number: from 1, 0 if unknown.  offset: bytes."""

    number: int
    offset: int
    text: str


class Pace(Struct, frozen=True):
    """How far apart rows came, in seconds. silent_s: from the last sign of life to now, or to the run's end."""

    usual_s: float
    largest_s: float
    silent_s: float
    last_step: float | None = None
    metric: str = ""


class Case(Struct, frozen=True, kw_only=True):
    """All that is known of a run. log: its lines, oldest first, the middle of a long one left out.

    changed: what is otherwise than in the last run of the same script that ended well, `good`.
    """

    run: Run
    log: list[LogLine] = []
    curves: list[Curve] = []
    alerts: list[Alert] = []
    pace: Pace | None = None
    good: Run | None = None
    changed: list[Difference] = []


class Cite(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The place that proves something. source: "job.log", "exit.json", or a metric's name."""

    source: str
    text: str
    line: int = 0
    offset: int | None = None
    step: float | None = None


class Cause(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind: one of KINDS.  title: a sentence without its stop.  cites: the best proof first.  next: what to do.

    frame: "train.py:12 in load", the innermost frame of the run's own code, and `code`, the line that stands there.
    """

    kind: str
    title: str
    cites: list[Cite]
    next: list[str] = []
    score: float = 0.0
    frame: str = ""
    code: str = ""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """causes: ranked, the likeliest first; [] where nothing was found. verdict: how it ended, in a sentence."""

    verdict: str
    causes: list[Cause]
    checked: list[str]  # what was looked at, so that "nothing found" means something


# What a run can break of, and how each is called in a sentence.
KINDS: dict[str, str] = {
    "gpu_memory": "the GPU ran out of memory",
    "memory": "the machine ran out of memory",
    "missing_module": "a Python module is missing",
    "import": "an import failed, or versions of packages do not fit together",
    "missing_file": "a file or folder is not there",
    "disk_full": "the disk is full, or a size limit was reached",
    "not_finite": "a value became NaN or infinite",
    "diverged": "the training diverged",
    "overfit": "the model overfits",
    "not_learning": "the model learned nothing",
    "killed": "it was killed from outside",
    "time_limit": "its time limit was reached",
    "hang": "it stood still",
    "collective": "the workers lost each other",
    "device_assert": "a check failed on the GPU, most often an index out of range",
    "device": "the GPU cannot be used",
    "hardware": "the GPU reported a fault",
    "shape": "shapes do not fit",
    "dtype": "number types do not fit",
    "assertion": "an assertion of the code failed",
    "interrupted": "it was interrupted from the keyboard",
    "permission": "a permission is missing",
    "port": "a network port is taken",
    "usage": "the command line was not understood",
    "data_worker": "a data loader's worker died",
    "network": "something on the network could not be reached",
    "access": "an account or token is missing",
    "config": "a configuration file or value is wrong",
    "zero_division": "a division by zero",
    "checkpoint": "a checkpoint does not fit or is damaged",
    "autograd": "the gradients cannot be worked out",
    "index": "an index or a label is out of range",
    "empty_data": "the data set is empty",
    "data": "the data cannot be read",
    "compile": "compiling failed",
    "limit": "a limit of the system was reached",
    "crash": "native code crashed",
    "syntax": "the script cannot be parsed",
    "command": "a command was not found",
    "code": "an exception in the code",
    "launch": "it could not be launched",
    "lost": "its end was not seen",
    "stopped": "it was stopped on request",
    "error_line": "the log tells an error",
}
