"""What the watch rules remember of one run: small, bounded, and JSON from end to end (so only finite numbers)."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from ..domain.silence import Usual
from .watch_facts import Params

MAX_METRICS = 500  # watched ones; what comes later is counted, not watched
MAX_NAMES = 2000  # whose kind is remembered; further names are judged again each time (and cached by the process)
MAX_SHAPES = 64  # kinds of rows whose order is learned
MAX_RAISED = 400  # alerts remembered for cooldown and for answers
KEEP = 64  # recent values kept; lists grow to twice that before they are cut
FAR = 1.7e308  # "no best yet": larger than any loss, and JSON-able


class Limits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rules' thresholds, all relative to the metric's own past; a project may set its own.

    spike: times the median of the last 20.  noise: and that many robust log-standard-deviations of them.
    divergence, hold: median of 5 above that many times its best, for so many values.  eval_ratio, eval_hold: the same
    for evaluations.  overfit_ratio, overfit_hold: while the training loss falls, and given_back, the least share lost
    of all that was gained since the first evaluation.  eval_noise: for both, sigmas of the curve's own roughness.
    stuck_evals: evaluations that were all worse than the first.  cooldown_s: before a rule speaks about the same metric
    again.  stall_s: the least silence that counts, whatever the processes do meanwhile; None: as `watch_stall` says.
    """

    spike: float = 3.0
    noise: float = 3.0
    divergence: float = 2.0
    hold: int = 10
    eval_ratio: float = 2.0
    eval_hold: int = 2
    eval_noise: float = 5.0
    overfit_ratio: float = 1.1
    overfit_hold: int = 5
    given_back: float = 0.02
    stuck_evals: int = 20
    cooldown_s: float = 1800.0
    stall_s: float | None = None


class Metric(Struct, kw_only=True, omit_defaults=True):
    """One watched metric. `recent`, `steps`: its last 64 to 128 finite values and their steps, oldest first.

    sorted20: the last 20 finite values, ascending.  best: the smallest median of 5 (LOSS) or the smallest value (EVAL).
    hot, held, over, stuck: how many values in a row met a rule's condition.  bad: "nan", "inf", "-inf" while it is so.
    """

    kind: int
    count: int = 0  # finite values in this segment
    step: int = -(1 << 62)
    recent: list[float] = []
    steps: list[int] = []
    sorted20: list[float] = []
    first: float = 0.0
    best: float = FAR
    best_step: int = 0
    hot: int = 0
    held: int = 0
    over: int = 0
    told: int = 0  # bits: which conditions have been reported and not cleared since
    signed: bool = False  # it has been negative, so ratios of it mean nothing
    together: int = 0  # how often in a row it was logged at the step of an evaluation
    rewinds: int = 0
    bad: str = ""
    partner_at_best: float = FAR  # EVAL: the training loss when `best` was reached
    checked: float = FAR  # best median of 20 up to `checked_at` (plateau), or the best speed
    checked_at: int = 0
    low_since: float = -1.0  # SPEED: when it fell, by the log's clock
    offset: int = 0


class Shape(Struct, kw_only=True, omit_defaults=True):
    """Rows with the same names. run[k]: rows of this shape since shape k, which has more names, was last seen."""

    names: list[str]
    count: int = 0
    richer: list[str] = []
    poorer: list[str] = []
    run: dict[str, int] = {}
    longest: dict[str, int] = {}


class Quiet(Struct, kw_only=True, omit_defaults=True):
    """A run's own silences and what its processes did in the newest one; times by the witness's clock, -1 for never.

    begun: the first tick.  life: the newest sign of life, -1 after a pause of the witness.  start_s, gap_s: the longest
    silence before and after the first row.  starts, gaps: how many there were.
    first, first_cpu_s: the first sample since there are rows.
    cpu_s, io_bytes, net_bytes: the newest sample's, taken at `seen`.  since_*: the sample since when all were idle.
    cpu: percent of a core between the newest two samples.  waits: samples in a row with something runnable.
    """

    begun: float = -1.0
    life: float = -1.0
    start_s: float = 0.0
    starts: int = 0
    gap_s: float = 0.0
    gaps: int = 0
    first: float = -1.0
    first_cpu_s: float = 0.0
    seen: float = -1.0
    cpu_s: float = 0.0
    io_bytes: float | None = None
    net_bytes: float | None = None
    since: float = -1.0
    since_cpu_s: float = 0.0
    since_io_bytes: float = 0.0
    since_net_bytes: float | None = None
    cpu: float | None = None
    waits: int = 0
    connected: bool = False
    uses_gpu: bool = False
    hung: bool = False


class Watch(Struct, kw_only=True, omit_defaults=True):
    """Everything that the rules remember. Start with `Watch(run_id=…, params=…)`; keep it as JSON between processes.

    run_id: whose alerts these are.  params: the run's parameters; a learning rate among them becomes a choice.
    limits: the thresholds, where a project has its own.  usual: what is known of runs like it.
    """

    run_id: str = ""
    params: Params = {}
    limits: Limits = Limits()
    usual: Usual = Usual()
    quiet: Quiet = msgspec.field(default_factory=Quiet)
    kinds: dict[str, int] = {}
    metrics: dict[str, Metric] = {}
    shapes: dict[str, Shape] = {}
    counters: dict[str, int] = {}  # source -> rows without a step of their own so far
    main_loss: str = ""  # the training loss that evaluations are compared with
    eval_step: int = -(1 << 62)  # of the newest evaluation
    evals: int = 0  # evaluations so far
    quality_best: dict[str, float] = {}  # held-out quality metrics
    evals_since_quality: int = 1 << 30  # evaluations since one of them improved; large if there is none
    # alerts
    raised: dict[str, float] = {}  # "rule\nmetric" -> when, by that rule's clock
    asked: dict[str, float] = {}  # rule -> when one of its alerts last interrupted (rules with siblings)
    ids: dict[str, str] = {}  # alert id -> the key above
    patience: dict[str, float] = {}  # key -> cooldown in seconds where it is not the usual one
    per_rule: dict[str, int] = {}
    stopping: bool = False
    ended: bool = False
    # pace and silence
    rows: int = 0
    row_time: float = 0.0
    gaps: list[float] = []
    largest_gap: float = 0.0
    skip_gap: bool = False
    heard_at: float = -1.0
    log_bytes: int = -1
    log_at: float = -1.0
    stalled: bool = False
    eta_s: float | None = None
    # the machine
    gpu_util: float | None = None
    gpu_at: float = 0.0
    gpu_worked: bool = False
    gpu_idle_since: float = -1.0
    gpu_longest_idle: float = 0.0
    gpu_told: bool = False
    memory: dict[str, list[list[float]]] = {}  # "rss" | "gpu_mem" -> [at, used / limit], thinned to <= 64
    # the log
    traceback: str = ""  # its last line, once it ended
    traceback_offset: int = 0
    in_traceback: bool = False
