"""The auditor: compares the jobs' own books with what the API says. It never asks ragent what ragent lost."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ragent_jupyter.client import Client
from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import Run, RunStatus

from . import job

# Seconds from an acknowledged stop to the end of a job that obeys at once: it is delivered through deaths of all kinds,
# at worst by the engine's look at a run whose wrapper is dead. On a machine with other work a killed engine takes 5 s
# and more to be there again, and may be killed more than once meanwhile. The driver's long jobs live longer than this.
STOP_S = 40.0


@dataclass
class Books:
    """What one job wrote down."""

    starts: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0  # rows 0 … steps - 1 were logged
    end: int | None = None
    ended_at: float = 0.0

    @staticmethod
    def read(path: Path) -> Books:
        books = Books()
        if not path.exists():
            return books
        for line in path.read_text().splitlines():
            words = json.loads(line)
            if "start" in words:
                books.starts.append(words)
            elif "rows" in words:
                books.steps = max(books.steps, words["rows"][1])
            elif "end" in words:
                books.end, books.ended_at = words["end"], words["at"]
        return books

    def value(self, step: int) -> float:
        start = self.starts[0]
        return job.loss(step, start["nan_at"], start["lr"])

    @property
    def nan_logged(self) -> bool:
        return any(math.isnan(self.value(step)) for step in range(self.steps))


@dataclass
class Wishes:
    """What was asked for and acknowledged. names: run names, each for exactly one run."""

    names: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)  # runs whose stop was asked for, acknowledged or not
    promised: dict[str, float] = field(default_factory=dict)  # runs whose stop was acknowledged, and when
    answered: dict[str, str] = field(default_factory=dict)  # alert -> choice, acknowledged
    sweeps: set[str] = field(default_factory=set)
    stopped_sweeps: set[str] = field(default_factory=set)


@dataclass
class Verdict:
    runs: int = 0
    rows: int = 0
    alerts: int = 0
    events: int = 0
    lost_runs: int = 0
    duplicated_runs: int = 0
    lost_rows: int = 0
    duplicated_rows: int = 0
    lost_alerts: int = 0
    duplicated_alerts: int = 0
    lost_events: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.details

    def blame(self, what: str, words: str, number: int = 1) -> None:
        setattr(self, what, getattr(self, what) + number)
        self.details.append(f"{what}: {words}")


def audit(
    client: Client, project: Path, truth: Path, wishes: Wishes, killed_wrappers: set[str], wrapper_points_hit: int
) -> Verdict:
    """Everything has ended; was everything told as it was?

    killed_wrappers: runs whose wrapper the soak killed.  wrapper_points_hit: how many more died at a kill point.
    """
    verdict = Verdict()
    runs = {run.id: run for run in client.all_runs()}
    books = {run_id: Books.read(truth / f"{run_id}.jsonl") for run_id in runs}
    verdict.runs = len(runs)
    unexplained = 0
    for run in runs.values():
        killed = run.id in killed_wrappers
        if not killed and _exit(project, run.id).get("kind") == "lost":
            unexplained += 1
            killed = unexplained <= wrapper_points_hit
        _judge_run(verdict, run, books[run.id], _exit(project, run.id), killed, wishes)
        _judge_rows(verdict, client, run, books[run.id])
    for path in truth.iterdir():
        if path.stem not in runs:
            verdict.blame("lost_runs", f"{path.stem} was started, the API does not know it")
    _judge_names(verdict, runs, wishes)
    _judge_alerts(verdict, client.alerts().alerts, runs, books, wishes)
    _judge_sweeps(verdict, client, runs, wishes)
    return verdict


def _exit(project: Path, run_id: str) -> dict[str, Any]:
    path = project / ".ragent" / "runs" / run_id / "exit.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _judge_run(verdict: Verdict, run: Run, books: Books, exit: dict[str, Any], killed: bool, wishes: Wishes) -> None:
    """A truthful end: what the run says is what the job did, or honestly that this is not known."""
    told = f"{run.id} ({run.name}, {run.executor}) is {run.status.value}, {run.reason and run.reason.text!r}"

    def lost(why: str) -> None:
        verdict.blame("lost_runs", f"{told}: {why}; exit.json {exit}, books end {books.end}")

    if len(books.starts) > 1:
        verdict.blame("duplicated_runs", f"{run.id} was started {len(books.starts)} times")
    if not run.status.terminal:
        return lost("it has not ended")
    kind = exit.get("kind")
    stop_asked = run.id in wishes.stopped or bool(run.stop_by)
    if run.status is RunStatus.STOPPED and not stop_asked:
        lost("nobody asked for its stop")
    if kind is None:
        if books.starts or run.status is not RunStatus.STOPPED:
            lost("there is no verdict")
    elif kind in ("launch_error", "finished"):
        lost("it could have been started")
    elif kind == "lost":
        if not killed:
            lost("its wrapper was not killed")
        if books.end is not None and books.ended_at > exit["at"]:
            lost("its job lived on")
        if run.status is RunStatus.FINISHED:
            lost("nobody saw that")
    else:
        if run.exit_code != exit.get("exit_code") or run.signal != exit.get("signal"):
            lost(f"exit code {run.exit_code}, signal {run.signal}")
        if run.reason is not None and run.reason.kind == "lost":
            lost("its exit is known")
        if books.end is not None and exit.get("exit_code") != books.end:
            lost("its job ended otherwise")
        if books.end is None and books.starts and not stop_asked:
            lost("its job was killed")
        if not books.starts and not stop_asked:
            lost("its job never started")
        if books.ended_at > wishes.promised.get(run.id, math.inf) + STOP_S:
            lost("its stop was acknowledged long before its end")
        well = run.status is RunStatus.FINISHED
        if well != (exit.get("exit_code") == 0) and run.status is not RunStatus.STOPPED:
            lost("that is not what its exit code says")


def _judge_rows(verdict: Verdict, client: Client, run: Run, books: Books) -> None:
    verdict.rows += books.steps
    if not books.steps:
        return
    found = [s for s in client.series([run.id], ["loss"], points=0).series if s.name == "loss"]
    if not found:
        return verdict.blame("lost_rows", f"{run.id}: all {books.steps} rows", books.steps)
    _compare(verdict, run, books, found[0])


def _compare(verdict: Verdict, run: Run, books: Books, series: Series) -> None:
    told: Counter[int] = Counter()
    wrong = 0
    for x, last in zip(series.x, series.last, strict=True):
        if last is not None:
            told[int(x)] += 1
            wrong += last != books.value(int(x))
    nan = [step for step in range(books.steps) if math.isnan(books.value(step))]
    finite = set(range(books.steps)) - set(nan)
    # The job may have been killed between a row and its note of it: one burst more than noted is no invention.
    lost = sorted(finite - set(told))
    if lost:
        verdict.blame("lost_rows", f"{run.id}: {len(lost)} of {books.steps} rows, from step {lost[0]}", len(lost))
    if series.nonfinite_count < len(nan):
        verdict.blame("lost_rows", f"{run.id}: {series.nonfinite_count} of {len(nan)} NaN", 1)
    if wrong:
        verdict.blame("lost_rows", f"{run.id}: {wrong} rows have another value", wrong)
    again = [step for step, times in told.items() if times > 1]
    forked = sum(len(fork["x"]) for fork in series.forks)
    extra = series.total - max(books.steps, len(told) + series.nonfinite_count)
    if again or forked or extra > 0 or series.rewinds:
        words = f"{run.id}: {len(again)} steps twice, {forked} in forks, {extra} more than logged, {series.rewinds}"
        verdict.blame("duplicated_rows", words, max(1, len(again), forked, extra))


def _judge_names(verdict: Verdict, runs: dict[str, Run], wishes: Wishes) -> None:
    """Each acknowledged wish for a run made one run."""
    names = Counter(run.name for run in runs.values())
    for name in wishes.names:
        if not names[name]:
            verdict.blame("lost_runs", f"{name} was acknowledged and is not there")
        elif names[name] > 1:
            verdict.blame("duplicated_runs", f"{name} is there {names[name]} times")


def _judge_alerts(
    verdict: Verdict, alerts: list[Alert], runs: dict[str, Run], books: dict[str, Books], wishes: Wishes
) -> None:
    verdict.alerts = len(alerts)
    nan = Counter(alert.run_id for alert in alerts if _is_nan(alert))
    for run_id, book in books.items():
        wanted = int(bool(book.steps and book.nan_logged))
        if nan[run_id] < wanted:
            verdict.blame("lost_alerts", f"{run_id} logged NaN and has no alert of it")
        elif nan[run_id] > wanted:
            ids = [alert.id for alert in alerts if alert.run_id == run_id and _is_nan(alert)]
            verdict.blame("duplicated_alerts", f"{run_id} has {nan[run_id]} alerts of NaN, not {wanted}: {ids}")
    by_id = {alert.id: alert for alert in alerts}
    retries = Counter(run.retry_of for run in runs.values() if run.retry_of)
    for alert_id, choice in wishes.answered.items():
        alert = by_id.get(alert_id)
        if alert is None or alert.choice != choice:
            verdict.blame("lost_alerts", f"{alert_id} was answered {choice}, it says {alert and alert.choice}")
            continue
        if choice.startswith(("stop", "retry")):
            late = books[alert.run_id].ended_at - (alert.answered_at or 0.0)
            if late > STOP_S:
                verdict.blame("lost_runs", f"{alert.run_id} was to be stopped by {alert_id}, it went on for {late} s")
        if choice.startswith("retry") and retries[alert.run_id] != 1:
            what = "duplicated_runs" if retries[alert.run_id] else "lost_runs"
            verdict.blame(what, f"{alert.run_id} was to be retried once, and was {retries[alert.run_id]} times")


def _is_nan(alert: Alert) -> bool:
    return alert.evidence.metric == "loss" and alert.evidence.value == "nan"


def _judge_sweeps(verdict: Verdict, client: Client, runs: dict[str, Run], wishes: Wishes) -> None:
    sweeps = {sweep.name: sweep for sweep in client.sweeps()}
    for name in wishes.sweeps:
        sweep = sweeps.get(name)
        if sweep is None or not sweep.status.terminal:
            verdict.blame("lost_runs", f"sweep {name} is {sweep and sweep.status.value}")
            continue
        unlucky = any(runs[r].status is not RunStatus.FINISHED for t in sweep.trials for r in t.run_ids if r in runs)
        for trial in sweep.trials:
            if len(trial.run_ids) > 1:
                verdict.blame("duplicated_runs", f"trial {trial.index} of {name} has {trial.run_ids}")
            if not trial.run_ids and not unlucky and name not in wishes.stopped_sweeps:
                verdict.blame("lost_runs", f"trial {trial.index} of {name} never ran ({sweep.reason!r})")
    extra = [run.id for run in runs.values() if run.sweep_id and run.name.split(" #")[0] not in wishes.sweeps]
    if extra:
        verdict.blame("duplicated_runs", f"runs of unknown sweeps: {extra}")


def judge_events(verdict: Verdict, heard: list[int], newest: int) -> None:
    """A subscriber that lived through it all has every event once, in order.

    newest: the engine's newest seq, asked before the subscriber's list was read: what came in between is heard already.
    """
    verdict.events = len(heard)
    expected = list(range(1, max([newest, *heard]) + 1))
    if heard != expected:
        missing = sorted(set(expected) - set(heard))
        twice = sorted(seq for seq, times in Counter(heard).items() if times > 1)
        words = f"{len(missing)} of {newest} missing {missing[:5]}, {len(twice)} twice {twice[:5]}"
        verdict.blame("lost_events", words, max(1, len(missing) + len(twice)))
