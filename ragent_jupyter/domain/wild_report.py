"""What a wild loop's report is computed from, what it claims, and what running a claim again gave."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .metrics import Series
from .report import Effect, FigureSpec, Table
from .wild import Entry, View
from .wire_wild import Line, ReproduceReply, Summary


class RunFact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a run's numbers come from. commit: of the tree that it executed in, else of the user's folder at its start.

    dirty: that folder held changes which the commit does not have.
    """

    id: str
    command: str
    commit: str = ""
    dirty: bool = False
    tree: bool = False
    python: str = ""
    executor: str = ""
    started_at: float | None = None


class WildData(Struct, frozen=True, kw_only=True):
    """Everything a loop's report is computed from, as recorded. GET reports/data?loop= gives it.

    view: without the trials' curves and without entries.  series: of the metric, at most 400 points each, for the runs
    that a verdict, the baseline, the best or the ablation rests on.  ledger: the decisions that mattered, oldest first,
    of `entries` in all.  diffs: commit -> its diff against the code before it.
    """

    view: View
    runs: list[RunFact]
    series: list[Series]
    ledger: list[Entry] = []
    entries: int = 0
    diffs: dict[str, str] = {}
    environment: dict[str, str] = {}
    project: str = ""


class Claim(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A statement of a report that can be run again. It stands in the metadata of the cell that shows it.

    verdict: a candidate against the baseline on the same seeds; baseline: what the defaults give; best: the best so
    far, unconfirmed.  values: of `runs`, in their order, by `score`; seeds beside them where the runs had any.
    """

    id: str
    kind: Literal["verdict", "baseline", "best"]
    loop: str
    metric: str
    mode: Literal["min", "max"] = "min"
    score: Literal["last", "best"] = "last"
    params: dict[str, Any] = {}
    commit: str = ""
    sweep: str = ""
    seeds: list[int] = []
    runs: list[str] = []
    values: list[float] = []
    baseline_runs: list[str] = []
    baseline_values: list[float] = []
    mean: float | None = None
    baseline_mean: float | None = None
    sigma: float | None = None  # sd of one run over seeds, as the baseline showed it
    effect: float | None = None
    ci: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    verdict: str = ""
    holdout: float | None = None


class Checked(Struct, frozen=True, kw_only=True):
    """A claim beside the same, computed again from the runs' recorded metrics. differs: what did not come out alike."""

    claim: Claim
    text: str
    again: Claim | None
    differs: list[str]
    table: Table


class CodeChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One edit of the loop's code. commit: "" where it was refused; problem says why then."""

    n: int  # of the ledger's entry
    summary: str
    hypothesis: str = ""
    commit: str = ""
    problem: str = ""
    diff: str = ""


class WildReport(Struct, frozen=True, kw_only=True):
    """The report of a loop, before anything draws it. Where there is nothing to show, a figure is None, a list empty.

    tables: by name: candidates, ablation, failures, alerts, method, ledger, runs, environment; those that hold nothing
    are left out.
    """

    title: str
    summary: Summary
    claims: list[Checked]
    tables: dict[str, Table]
    figures: dict[str, FigureSpec]
    importance: list[Effect]
    nulls: list[Line]
    changes: list[CodeChange]


class Pair(Struct, frozen=True, kw_only=True):
    """A run of a claim and the run that repeated it. now: None while it is under way, and where it gave no value."""

    was_run: str
    was: float
    now_run: str = ""
    now: float | None = None
    seed: int | None = None
    side: Literal["candidate", "baseline"] = "candidate"
    status: str = ""


class Reproduction(ReproduceReply, frozen=True, kw_only=True):
    """GET reproductions/ID. outcome: "" while it is under way.

    identical: every value the same to the last bit; within: inside the claim's own interval (or noise), and the verdict
    is the same; differs: outside of it, or another verdict; failed: some run gave no value.
    """

    id: str
    report: str
    outcome: Literal["", "identical", "within", "differs", "failed"] = ""
    reproduced: bool = False
    pairs: list[Pair] = []
    notes: list[str] = []  # what is not as it was: code, interpreter, an edited notebook
    was_effect: float | None = None
    now_effect: float | None = None
    ci: tuple[float, float] | None = None
