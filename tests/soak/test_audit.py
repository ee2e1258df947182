"""The auditor itself: each kind of loss and of repetition, made up, is seen; a truthful world is clean."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ragent_jupyter.domain.alert import Alert, Choice, Evidence, Severity
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import Reason, Run, RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.domain.wire import AlertsReply, SeriesReply

from . import job
from .audit import STOP_S, Verdict, Wishes, audit, judge_events

ROWS = 20
NAN_AT = 15


class MadeUp:
    """A client whose answers are made up: one run that finished and one that diverged."""

    def __init__(self, folder: Path) -> None:
        self.project, self.truth = folder / "p", folder / "t"
        self.truth.mkdir()
        self.wishes = Wishes(names={"soak-1", "soak-2"})
        self.runs: dict[str, Run] = {}
        self.series_of: dict[str, Series] = {}
        self.alerts_: list[Alert] = []
        self.sweeps_: list[Sweep] = []
        self.killed: set[str] = set()
        self.add("run_1", "soak-1", nan_at=None)
        self.add("run_2", "soak-2", nan_at=NAN_AT)

    def add(self, run_id: str, name: str, nan_at: int | None) -> None:
        self.runs[run_id] = Run(
            id=run_id, name=name, command="c", argv=["c"], cwd="/", created_at=0, status=RunStatus.FINISHED, exit_code=0
        )
        self.write(run_id, {"start": run_id, "nan_at": nan_at, "lr": 0.1}, {"rows": [0, ROWS]}, {"end": 0})
        self.exit(run_id, kind="exited", exit_code=0, at=20.0)
        values = [job.loss(step, nan_at, 0.1) for step in range(ROWS)]
        bad = [step for step, value in enumerate(values) if math.isnan(value)]
        self.series_of[run_id] = Series(
            run=run_id,
            name="loss",
            x=[float(step) for step in range(ROWS) if step not in bad],
            last=[value for value in values if not math.isnan(value)],
            nonfinite_count=len(bad),
            total=ROWS,
        )
        if nan_at is not None:
            self.alerts_.append(self.alert("alt_1", run_id))

    def alert(self, alert_id: str, run_id: str) -> Alert:
        return Alert(
            id=alert_id,
            run_id=run_id,
            rule="non_finite",
            severity=Severity.CRITICAL,
            title="t",
            raised_at=0,
            evidence=Evidence(metric="loss", value="nan"),
            choices=[Choice("ignore", "ignore", "Ignore")],
        )

    def write(self, run_id: str, *lines: dict[str, Any]) -> None:
        with open(self.truth / f"{run_id}.jsonl", "a") as file:
            for line in lines:
                file.write(json.dumps({"at": 10.0, **line}) + "\n")

    def exit(self, run_id: str, **fields: Any) -> None:
        folder = self.project / ".ragent" / "runs" / run_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "exit.json").write_text(json.dumps(fields))

    def change(self, run_id: str, **fields: Any) -> None:
        self.runs[run_id] = msgspec.structs.replace(self.runs[run_id], **fields)

    def change_series(self, run_id: str, **fields: Any) -> None:
        self.series_of[run_id] = msgspec.structs.replace(self.series_of[run_id], **fields)

    def audit(self, points: int = 0) -> Verdict:
        client: Any = self
        return audit(client, self.project, self.truth, self.wishes, self.killed, points)

    # --- the client's side
    def all_runs(self) -> list[Run]:
        return list(self.runs.values())

    def alerts(self) -> AlertsReply:
        return AlertsReply(alerts=self.alerts_, pending=0)

    def sweeps(self) -> list[Sweep]:
        return self.sweeps_

    def series(self, runs: list[str], names: list[str], points: int) -> SeriesReply:
        assert points == 0
        return SeriesReply(x="step", series=[self.series_of[run] for run in runs if run in self.series_of])


@pytest.fixture
def world(tmp_path: Path) -> MadeUp:
    return MadeUp(tmp_path)


def test_a_truthful_world_is_clean(world: MadeUp) -> None:
    verdict = world.audit()
    assert verdict.details == []
    assert (verdict.runs, verdict.rows, verdict.alerts) == (2, 2 * ROWS, 1)


def _forget(world: MadeUp) -> None:
    del world.runs["run_1"]


def _lose_all_rows(world: MadeUp) -> None:
    del world.series_of["run_1"]


CASES: dict[str, tuple[str, Any]] = {
    "not ended": ("lost_runs", lambda w: w.change("run_1", status=RunStatus.RUNNING)),
    "forgotten": ("lost_runs", _forget),
    "another exit code": ("lost_runs", lambda w: w.change("run_1", exit_code=3)),
    "failed though it exited with 0": ("lost_runs", lambda w: w.change("run_1", status=RunStatus.FAILED)),
    "lost though its exit is known": (
        "lost_runs",
        lambda w: w.change("run_1", status=RunStatus.FAILED, reason=Reason("lost", "?")),
    ),
    "stopped by nobody": ("lost_runs", lambda w: w.change("run_1", status=RunStatus.STOPPED)),
    "no verdict": ("lost_runs", lambda w: (w.project / ".ragent/runs/run_1/exit.json").unlink()),
    "a verdict that the job contradicts": ("lost_runs", lambda w: w.write("run_1", {"end": 5})),
    "never started": ("lost_runs", lambda w: (w.truth / "run_1.jsonl").unlink()),
    "lost with a living wrapper": ("lost_runs", lambda w: _lose(w, killed=False, at=20.0)),
    "lost while the job lived": ("lost_runs", lambda w: _lose(w, killed=True, at=5.0)),
    "started twice": ("duplicated_runs", lambda w: w.write("run_1", {"start": "run_1", "nan_at": None, "lr": 0.1})),
    "a wish made two runs": ("duplicated_runs", lambda w: w.add("run_3", "soak-1", None)),
    "a wish made none": ("lost_runs", lambda w: w.wishes.names.add("soak-9")),
    "no rows": ("lost_rows", _lose_all_rows),
    "the last row": ("lost_rows", lambda w: _cut(w)),
    "a NaN row": ("lost_rows", lambda w: w.change_series("run_2", nonfinite_count=1)),
    "another value": ("lost_rows", lambda w: w.change_series("run_1", last=[0.5] * ROWS)),
    "one row more": ("duplicated_rows", lambda w: w.change_series("run_1", total=ROWS + 1)),
    "a hidden fork": ("duplicated_rows", lambda w: w.change_series("run_1", forks=[{"x": [3.0], "last": [1.0]}])),
    "a rewind": ("duplicated_rows", lambda w: w.change_series("run_1", rewinds=[3.0])),
    "no alert": ("lost_alerts", lambda w: w.alerts_.clear()),
    "two alerts": ("duplicated_alerts", lambda w: w.alerts_.append(w.alert("alt_2", "run_2"))),
    "an alert for nothing": ("duplicated_alerts", lambda w: w.alerts_.append(w.alert("alt_2", "run_1"))),
    "an answer forgotten": ("lost_alerts", lambda w: w.wishes.answered.update(alt_1="ignore")),
    "a retry forgotten": ("lost_runs", lambda w: _retry(w, 0)),
    "a retry made twice": ("duplicated_runs", lambda w: _retry(w, 2)),
    "a stop that came too late": ("lost_runs", lambda w: w.wishes.promised.update(run_1=9.0 - STOP_S)),
    "an answer that stopped nothing": ("lost_runs", lambda w: _retry(w, 1, answered_at=9.0 - STOP_S)),
    "a sweep forgotten": ("lost_runs", lambda w: w.wishes.sweeps.add("s")),
    "a trial never run": ("lost_runs", lambda w: _sweep(w, [])),
    "a trial run twice": ("duplicated_runs", lambda w: _sweep(w, ["run_1", "run_2"])),
}  # fmt: skip


def _lose(world: MadeUp, killed: bool, at: float) -> None:
    world.change("run_1", status=RunStatus.FAILED, exit_code=None, reason=Reason("lost", "?"))
    world.exit("run_1", kind="lost", at=at)
    if killed:
        world.killed.add("run_1")


def _cut(world: MadeUp) -> None:
    series = world.series_of["run_1"]
    world.change_series("run_1", x=series.x[:-1], last=series.last[:-1])


def _retry(world: MadeUp, times: int, answered_at: float = 9.0) -> None:
    world.alerts_ = [msgspec.structs.replace(world.alerts_[0], choice="retry_lower_lr", answered_at=answered_at)]
    world.wishes.answered["alt_1"] = "retry_lower_lr"
    for number in range(times):
        world.add(f"run_r{number}", f"retry {number}", None)
        world.change(f"run_r{number}", retry_of="run_2")


def _sweep(world: MadeUp, runs: list[str]) -> None:
    world.wishes.sweeps.add("s")
    trial = Trial(index=0, params={}, run_ids=runs)
    space = SearchSpace()
    sweep = Sweep(id="swp_1", name="s", command="c", cwd="/", created_at=0, space=space, trials=[trial])
    world.sweeps_.append(msgspec.structs.replace(sweep, status=SweepStatus.FINISHED))


@pytest.mark.parametrize("case", list(CASES))
def test_each_loss_and_each_repetition_is_seen(world: MadeUp, case: str) -> None:
    what, do = CASES[case]
    do(world)
    verdict = world.audit()
    assert getattr(verdict, what) > 0, verdict.details
    assert not verdict.clean


def test_what_is_honest_is_not_blamed(world: MadeUp) -> None:
    _lose(world, killed=True, at=20.0)
    _retry(world, 1)
    _sweep(world, ["run_1"])
    assert world.audit().details == []


def test_a_wrapper_that_died_at_a_kill_point_excuses_one_lost_run(world: MadeUp) -> None:
    _lose(world, killed=False, at=20.0)
    assert world.audit(points=1).clean
    assert world.audit(points=0).lost_runs == 1


@pytest.mark.parametrize(
    ("heard", "bad"),
    [([1, 2, 3], 0), ([1, 2, 3, 4], 0), ([1, 2, 3, 5], 1), ([1, 3], 1), ([1, 2, 2, 3], 1), ([2, 1, 3], 1), ([], 3)],
)
def test_a_subscriber_must_hear_each_event_once_in_order(heard: list[int], bad: int) -> None:
    verdict = Verdict()
    judge_events(verdict, heard, 3)
    assert verdict.lost_events == bad
