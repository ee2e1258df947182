"""Wild Mode: a loop that works towards a goal within limits, and the words in which it decides and remembers.

The loop is one object; every decision leaves one `Entry` in its ledger. What runs are, sweeps and runs say; the loop
only lists which sweeps are its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from msgspec import Struct

from .alert import Alert
from .model import Usage
from .sweep import Estimate, Range, Values


class Stage(str, Enum):
    EXPLORING = "exploring"
    RUNNING = "running"
    ANALYZING = "analyzing"
    CONFIRMING = "confirming"
    ENDED = "ended"


End = Literal["complete", "budget", "stopped", "failed"]
Autonomy = Literal["cautious", "balanced", "full"]
PolicyKind = Literal["builtin", "llm", "hybrid"]
# Why a sweep of a loop runs. baseline: the default configuration over seeds; screen: cheap looks at single parameters;
# search: candidates; confirm: candidates and baseline on fresh paired seeds; explain: the winner with one change
# undone;
# holdout: the winner, once, on what nobody has seen; reproduce: a claim run again.
Purpose = Literal["baseline", "screen", "search", "confirm", "explain", "holdout", "reproduce"]


# --- what it may spend ------------------------------------------------------------------------------------------------
class Limits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All hard; None: no such limit. hours: wall clock, pauses excluded.  until: "val/acc > 0.95", a goal on a
    metric."""

    iterations: int | None = None
    hours: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    disk_gb: float | None = None
    runs: int | None = None
    until: str = ""


class Spent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """cost_usd: None while no call had a known price. since: wall clock of the last look, None while paused or over."""

    iterations: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost_usd: float | None = None
    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    disk_bytes: int = 0
    runs: int = 0
    model_calls: int = 0
    since: float | None = None


# --- what it works on -------------------------------------------------------------------------------------------------
class Knob(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A parameter that may be searched. default: its value in the baseline."""

    dim: Values | Range
    default: Any = None
    why: str = ""


class Holdout(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sealed hold-out: labels that no run is given; the engine scores a run's predictions.

    id: of the sealed copy.  predictions: the file that a run writes, relative to its output folder.
    score: accuracy | log_loss | mse | mae.  level: "sealed" (outside the project, this user could still read it).
    """

    id: str
    predictions: str
    score: str
    mode: Literal["min", "max"]
    sha256: str = ""
    level: str = "sealed"


class Setup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is run and what may be changed about it. Edited by the person before and during the loop.

    command: the base command as the user typed it; a trial adds its parameters (`flag`, `flags`: see SearchSpace).
    space: what may be searched.  fidelity: the flag of training length and its full value.  seed: the seed's flag, ""
    where the script has none, None where it is not known yet.  score: which value of the metric counts: a run's last
    or best.
    isolation: "tree" (an immutable copy of a commit), "in_place" (the user's folder as it is).
    inputs: ignored files and folders that trees link, relative to the project.  eval_files: hashed before and after
    each run.
    """

    command: str
    cwd: str
    python: str | None = None
    env: dict[str, str] = {}
    executor: str | None = None
    gpus: int = 0
    share_gpu: bool = False
    parallel: int = 1
    metric: str = ""
    mode: Literal["min", "max"] = "min"
    score: Literal["last", "best"] = "last"
    space: dict[str, Knob] = {}
    flag: str = "--{name} {value}"
    flags: dict[str, str] = {}
    fidelity: str = ""
    full: Any = None
    seed: str | None = None
    seed_base: int = 1000
    seeds: int = 5  # fresh paired seeds of a confirm stage
    top: int = 3  # candidates that a confirm stage looks at
    isolation: Literal["tree", "in_place"] = "in_place"
    inputs: list[str] = []
    eval_files: list[str] = []
    holdout: Holdout | None = None
    may_edit: list[str] = []  # globs of files that a policy may change; [] none


# --- what it asks, plans, hears ---------------------------------------------------------------------------------------
class Option(Struct, frozen=True):
    id: str
    label: str


class Question(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person is asked, in one sentence. about: what the answer decides.

    held: the actions that go ahead when the answer is "yes".  default_at: when `default` is taken if nobody answers.
    """

    id: str
    text: str
    options: list[Option]
    default: str
    asked_at: float
    about: Literal["approval", "alert", "setup", "need", "model", "blocked"] = "need"
    default_at: float | None = None
    free_text: bool = True
    held: list[Any] = []  # list[Action], as JSON
    ref: str = ""  # the alert's id, the setup's field


class LoopTask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    text: str
    state: Literal["todo", "doing", "done", "dropped"] = "todo"


EventKind = Literal["human", "critical", "warning", "failure", "completion", "analysis", "explore", "answer"]
PRIORITY: dict[str, int] = {
    "answer": 5, "human": 10, "critical": 20, "warning": 30, "failure": 40, "completion": 50, "analysis": 70,
    "explore": 90,
}  # fmt: skip


class LoopEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something to decide about. ref: the alert's, run's or sweep's id.  order: its place, smaller first."""

    id: str
    kind: EventKind
    at: float
    order: float
    ref: str = ""
    text: str = ""  # what a person said; what happened, in one line
    tries: int = 0  # decisions that came to nothing


class Waiting(Struct, frozen=True, kw_only=True):
    """The model cannot be reached; it is asked again at `until`."""

    until: float
    why: str
    tries: int = 1


# --- what a policy does -----------------------------------------------------------------------------------------------
class ProposeSweep(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="propose_sweep", tag_field="do"):
    """Run these points, each a change to the base command. commit: "" the newest accepted code."""

    name: str
    points: list[dict[str, Any]]
    purpose: Purpose = "search"
    reason: str = ""
    commit: str = ""
    replicate: bool = False  # the same points again is meant
    by: list[str] = []  # who thought of each point, "rule", "model" or "human"; []: whoever decides


class Launch(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="launch", tag_field="do"):
    """One run: a sweep of one point."""

    params: dict[str, Any]
    reason: str = ""
    commit: str = ""
    replicate: bool = False


class StopRun(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="stop_run", tag_field="do"):
    run: str
    reason: str = ""


class ResolveAlert(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="resolve_alert", tag_field="do"):
    alert: str
    choice: str
    reason: str = ""


class FileEdit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Replace `old` (which must occur exactly once; "" with a path that is not there: a new file) by `new`."""

    path: str
    old: str
    new: str


class EditCode(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="edit_code", tag_field="do"):
    """One change as one commit on the loop's own branch. hypothesis: what it should improve, and why."""

    summary: str
    edits: list[FileEdit]
    hypothesis: str = ""
    parent: str = ""  # the commit it stands on; "" the loop's base


class Analyse(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="analyse", tag_field="do"):
    """What was learnt. Its numbers are checked against the record before it is kept."""

    text: str
    findings: list[str] = []
    tasks: list[LoopTask] = []  # the plan as it now is; [] leaves it


class Confirm(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="confirm", tag_field="do"):
    """Put candidates to the test on fresh paired seeds. runs: a run of each candidate; [] the best ones.

    beside: an earlier confirm sweep, whose seeds and whose runs of the baseline the candidates are paired with; "": new
    seeds, and the baseline runs again.
    """

    runs: list[str] = []
    beside: str = ""
    reason: str = ""


class Promise(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="promise", tag_field="do"):
    """CONTINUE: another iteration; COMPLETE: the goal is reached or nothing is left to try; NEEDS_HUMAN: `text`
    asks."""

    word: Literal["CONTINUE", "COMPLETE", "NEEDS_HUMAN"]
    text: str = ""
    options: list[Option] = []
    default: str = ""


class ChangeSetup(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="change_setup", tag_field="do"):
    """What was found out about the script while it ran: the metric, the seed's flag, a smaller space. fields: of
    Setup."""

    fields: dict[str, Any]
    reason: str = ""


Action = (
    ProposeSweep | Launch | StopRun | ResolveAlert | EditCode | Analyse | Confirm | Promise | ChangeSetup
)  # every policy says these and nothing else


# --- what is true -----------------------------------------------------------------------------------------------------
class Baseline(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The default configuration, measured. sigma: standard deviation over seeds; None where it cannot be told.

    deterministic: repeats with different seeds were bit-identical: noise is not measurable.
    diff: whether it holds changes that the user had not committed.
    """

    runs: list[str]
    values: list[float]
    mean: float
    sigma: float | None = None
    n: int = 0
    deterministic: bool = False
    seconds: float = 0.0
    rss_bytes: int = 0
    commit: str = ""
    diff: bool = False


class Candidate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A configuration that looks better in one run or some. params: without the seed.  value: mean of `runs`."""

    params: dict[str, Any]
    runs: list[str]
    value: float
    commit: str = ""
    suspicious: str = ""  # why the gain is too good to be believed as it stands


VerdictWord = Literal["confirmed", "not distinguishable", "worse", "unconfirmed", "void"]


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate against the baseline on the same fresh seeds. effect: candidate - baseline, in the metric's unit.

    ci: 95 % bootstrap interval of the effect; p: of a paired t test; p_holm: adjusted over the candidates that were
    tested.
    claimed: the value it was chosen for; mean: its mean on the fresh seeds.  why: one sentence for people.
    """

    params: dict[str, Any]
    verdict: VerdictWord
    why: str
    metric: str = ""
    seeds: list[int] = []
    runs: list[str] = []
    baseline_runs: list[str] = []
    values: list[float] = []
    baseline_values: list[float] = []
    mean: float | None = None
    baseline_mean: float | None = None
    effect: float | None = None
    ci: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    claimed: float | None = None
    commit: str = ""
    holdout: float | None = None
    sweep: str = ""


# --- the ledger -------------------------------------------------------------------------------------------------------
class Seen(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Evidence: what the decision looked at. kind: run, metric, alert, sweep, baseline, limit, text."""

    kind: str
    ref: str = ""
    value: Any = None
    text: str = ""


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the ledger: event → evidence → reasoning → action → result. n counts from 1 within the loop.

    by: who decided.  who: "alice", "rule:nan_lowers_lr", "anthropic:claude-…".  outcome: what became of the action.
    """

    id: str
    loop_id: str
    n: int
    at: float
    by: Literal["human", "rule", "model", "engine"]
    stage: str
    iteration: int
    who: str = ""
    event: LoopEvent | None = None
    evidence: list[Seen] = []
    reasoning: str = ""
    action: Any = None  # an Action as JSON, or {"do": "wish", …} for what a person asked
    outcome: Literal["done", "refused", "asked", "outcome_unknown", "noted"] = "done"
    result: str = ""
    usage: Usage | None = None
    turn_id: str = ""


class Loop(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wild loop. current: the event that is being decided; queue: those that wait, in no particular order.

    sweeps: ids, oldest first; sweep: the one under way.  told: ids of runs whose end was decided about.
    owed: accepted actions that are not yet carried out, in order.  steer: what a person said, for the next prompts.
    """

    id: str
    goal: str
    created_at: float
    setup: Setup
    policy: PolicyKind = "builtin"
    autonomy: Autonomy = "balanced"
    limits: Limits = Limits()
    spent: Spent = Spent()
    stage: Stage = Stage.EXPLORING
    paused: bool = False
    waiting: Waiting | None = None
    question: Question | None = None
    end: End | None = None
    reason: str = ""  # why it ended or rests, in words
    budget: str = ""  # which limit ended it
    ended_at: float | None = None
    iteration: int = 0
    queue: list[LoopEvent] = []
    current: LoopEvent | None = None
    sweeps: list[str] = []
    sweep: str = ""
    purpose: str = ""
    told: list[str] = []
    owed: list[Any] = []  # list[Action], as JSON
    plan: list[LoopTask] = []
    steer: list[str] = []
    answers: list[tuple[str, str]] = []  # (question, answer), newest last
    baseline: Baseline | None = None
    best: Candidate | None = None
    estimate: Estimate | None = None
    verdicts: list[Verdict] = []
    findings: list[str] = []
    promised: str = ""  # why it is to end, once nothing is under way any more
    strikes: int = 0  # refusals and empty decisions in a row
    strike: str = ""  # what they had in common
    entries: int = 0
    commits: list[str] = []  # accepted code, oldest first; the first is the base
    branch: str = ""
    session_id: str = ""
    report: str = ""
    model: str = ""
    seed: int = 0
    by: str = ""
    request_id: str | None = None

    @property
    def over(self) -> bool:
        return self.stage is Stage.ENDED


# --- what a policy sees -----------------------------------------------------------------------------------------------
class TrialView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of the loop. params: without the seed.  value: the objective by `Setup.score`; None: no data.

    failure: "" or oom, nan, exit, signal, lost, launch, stopped.  void: why its value does not count.
    curve: (step, value) of the metric so far, for halving; at most 200 points.
    """

    run: str
    sweep: str
    purpose: str
    index: int
    params: dict[str, Any]
    status: str
    seed: int | None = None
    value: float | None = None
    failure: str = ""
    void: str = ""
    seconds: float | None = None
    rss_bytes: int | None = None
    commit: str = ""
    by: str = ""  # who proposed it: rule, model, human
    curve: list[tuple[float, float]] = []
    reason: str = ""
    log_line: str = ""


class View(Struct, frozen=True, kw_only=True):
    """Everything that a decision may rest on, read from the record at this moment.

    metrics: what the runs have logged so far: name -> how many of them.  slots: runs that may live at once.
    """

    loop: Loop
    trials: list[TrialView]
    alerts: list[Alert]
    now: float
    slots: int = 1
    metrics: dict[str, int] = {}
    runs_left: int | None = None
    rules: list[str] = []  # memory rules, as text
    entries: list[Entry] = []  # the newest of the ledger, oldest first, at most 50
