"""The life of a sweep: which trial runs next, and when it is over. Pure; runs are seen as they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import WrongMoment
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import Sweep, SweepStatus, Trial

from .explain import failure_signature


class SweepRecord(Struct, frozen=True):
    type: str
    fields: dict[str, Any]


class Start(Struct, frozen=True):
    at: float


class StopSweep(Struct, frozen=True):
    at: float
    by: str = "user"


class TrialRun(Struct, frozen=True):
    """Fact: a run was created for a trial (a first one, or a retry)."""

    index: int
    run_id: str


class Over(Struct, frozen=True):
    """Fact: `plan` concluded that nothing is left to do."""

    at: float
    status: SweepStatus
    reason: str


def evolve(sweep: Sweep, record: SweepRecord) -> Sweep:
    return msgspec.structs.replace(sweep, **record.fields)


def decide(sweep: Sweep, event: Start | StopSweep | TrialRun | Over) -> list[SweepRecord]:
    match event:
        case Start(at=at):
            if sweep.status not in (SweepStatus.DRAFT, SweepStatus.READY):
                raise WrongMoment(f"Sweep {sweep.id} is {sweep.status.value}.", "Create a new sweep to run it again.")
            return [SweepRecord("sweep_changed", {"status": SweepStatus.RUNNING, "started_at": at})]
        case StopSweep(at=at, by=by):
            if sweep.status.terminal:
                raise WrongMoment(f"Sweep {sweep.id} has already {sweep.status.value}.", "There is nothing to stop.")
            fields = {"status": SweepStatus.STOPPED, "ended_at": at, "reason": f"Stopped ({by}).", "estimate": None}
            return [SweepRecord("sweep_ended", fields)]
        case TrialRun(index=index, run_id=run_id):
            trials = [
                msgspec.structs.replace(t, run_ids=[*t.run_ids, run_id])
                if t.index == index and run_id not in t.run_ids
                else t
                for t in sweep.trials
            ]
            return [SweepRecord("sweep_changed", {"trials": trials})] if trials != sweep.trials else []
        case Over(at=at, status=status, reason=reason):
            if sweep.status.terminal:
                return []
            # Nothing is left that could be estimated.
            fields = {"status": status, "ended_at": at, "reason": reason, "estimate": None}
            return [SweepRecord("sweep_ended", fields)]


class Plan(Struct, frozen=True):
    """launch: indices of trials to create a run for now.  over: set where the sweep has ended."""

    launch: list[int]
    over: Over | None = None
    waiting: str = ""  # why nothing more is launched just now, for people


def last_run(trial: Trial, runs: Mapping[str, Run]) -> Run | None:
    known = [runs[r] for r in trial.run_ids if r in runs]
    return known[-1] if known else None


def plan(sweep: Sweep, runs: Mapping[str, Run], has_metrics: frozenset[str], at: float) -> Plan:
    """What a running sweep does next.

    runs: its runs by id.  has_metrics: ids of runs that have logged at least one value (a smoke run that logs has
    shown that it works; it need not have ended).  at: wall clock, for the record of an end.
    """
    if sweep.status is not SweepStatus.RUNNING:
        return Plan([])
    last = {t.index: last_run(t, runs) for t in sweep.trials}
    ended = [r for r in last.values() if r is not None and r.status.terminal]
    live = [r for r in last.values() if r is not None and not r.status.terminal]
    fresh = [t.index for t in sweep.trials if not t.run_ids]
    finished = sum(r.status is RunStatus.FINISHED for r in ended)
    failed = [r for r in ended if r.status is RunStatus.FAILED]

    same = Counter(failure_signature(r.reason, r.exit_code) for r in failed)
    if not finished and same and fresh:
        signature, times = same.most_common(1)[0]
        if times >= sweep.max_equal_failures:
            example = next(r for r in failed if failure_signature(r.reason, r.exit_code) == signature)
            why = example.reason.text if example.reason else "it failed"
            line = f" ({example.reason.log_line})" if example.reason and example.reason.log_line else ""
            if live:
                return Plan([], waiting=f"{times} runs failed alike; no more are started.")
            reason = f"Given up after {times} runs failed alike: {why}{line}"
            return Plan([], Over(at, SweepStatus.FAILED, reason))

    if not fresh and not live:
        if finished:
            rest = f", {len(failed)} failed" if failed else ""
            return Plan([], Over(at, SweepStatus.FINISHED, f"{finished} of {len(sweep.trials)} trials finished{rest}."))
        return Plan([], Over(at, SweepStatus.FAILED, "No trial finished."))

    proven = bool(finished) or any(r.id in has_metrics and r.status is not RunStatus.FAILED for r in [*ended, *live])
    width = sweep.parallel if proven or not sweep.smoke else 1
    room = max(0, width - len(live))
    waiting = "The first trial runs alone until it has logged a metric." if sweep.smoke and not proven else ""
    return Plan(fresh[:room], waiting=waiting)


def best_run(sweep: Sweep, runs: Mapping[str, Run]) -> tuple[Run, float] | None:
    """The finished trial with the best primary metric (its best value of the run), or None: no data is no best."""
    sign = 1.0 if sweep.mode == "min" else -1.0
    found: list[tuple[float, Run]] = []
    for trial in sweep.trials:
        run = last_run(trial, runs)
        if run is None or run.status is not RunStatus.FINISHED:
            continue
        summary = run.summary.get(sweep.primary)
        value = None if summary is None else (summary.min if sweep.mode == "min" else summary.max)
        if value is not None:
            found.append((sign * value, run))
    if not found:
        return None
    value, run = min(found, key=lambda pair: (pair[0], pair[1].created_at))
    return run, sign * value
