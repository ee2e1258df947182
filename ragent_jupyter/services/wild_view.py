"""What is true about a loop, read from the record: for the rules (World) and for whoever decides (View)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ragent_jupyter.domain.alert import Alert, AlertStatus, Severity
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.run import MetricSummary, Run, RunStatus
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wild import Entry, Loop, Setup, Spent, TrialView, View
from ragent_jupyter.rules.confirm import FEWEST, needs_confirm
from ragent_jupyter.rules.stats import short
from ragent_jupyter.rules.wild_limits import hit, left, parse_until, tight
from ragent_jupyter.rules.wild_loop import AlertSeen, RunSeen, World

from .runs import RunsDesk
from .shell import Shell
from .sleeps import Sleeps

# Seconds after a run's end in which its sidecar must have read everything; then what was read counts as all there is.
_SETTLE_S = 30.0
_CURVE = 200
_NEWEST = 50
_UNIT = {"oom": "oom", "nan": "nan", "signal": "signal", "lost": "lost", "launch_error": "launch", "stop": "stopped",
         "cancelled": "stopped", "walltime": "signal", "exit_code": "exit"}  # fmt: skip


def objective(summary: MetricSummary | None, setup: Setup) -> float | None:
    """A run's value by the setup's rule; None where nothing was logged or the last value is not finite."""
    if summary is None:
        return None
    if setup.score == "best":
        return summary.min if setup.mode == "min" else summary.max
    last = summary.last
    return float(last) if isinstance(last, (int, float)) and math.isfinite(last) else None


class WildViews:
    """Reads; changes nothing. `recent`: the newest entries of a loop's ledger, oldest first."""

    def __init__(
        self,
        shell: Shell,
        runs: RunsDesk,
        metrics: MetricReader,
        *,
        recent: Callable[[str], Sequence[Entry]],
        memory: Callable[[], list[str]],
        slots: Callable[[Loop], int],
        checked: Callable[[Run], bool] = lambda run: True,
    ) -> None:
        self.shell = shell
        self.runs = runs
        self.metrics = metrics
        self.recent = recent
        self.memory = memory
        self.slots = slots
        self.checked = checked
        self.sleeps = Sleeps(shell.clock)
        self._curves: dict[tuple[str, str], list[tuple[float, float]]] = {}  # of ended runs; they do not change

    # --- runs ---------------------------------------------------------------------------------------------------------
    def sweeps_of(self, loop: Loop) -> list[Sweep]:
        return [self.shell.sweeps[id] for id in loop.sweeps if id in self.shell.sweeps]

    def runs_of(self, loop: Loop) -> list[Run]:
        """Every run of the loop's sweeps, also those that a crash kept their trial from listing."""
        ids = set(loop.sweeps)
        return [run for run in self.shell.runs.values() if run.sweep_id in ids]

    def settled(self, run: Run) -> bool:
        """Ended, read to its end, and what judges it looked at again."""
        return self.read_out(run) and self.checked(run)

    def read_out(self, run: Run) -> bool:
        if not run.status.terminal:
            return False
        return run.settled or self.sleeps.awake(run.ended_at or 0.0, self.shell.clock.now()) > _SETTLE_S

    def alerts_of(self, loop: Loop) -> list[Alert]:
        ids = {run.id for run in self.runs_of(loop)}
        return [
            a
            for a in self.shell.alerts.values()
            if a.run_id in ids and a.status is AlertStatus.PENDING and a.severity is not Severity.INFO
        ]

    def spent(self, loop: Loop, disk_bytes: int | None = None) -> Spent:
        """What the loop's runs have used up to now; time and tokens are the driver's to count."""
        self.sleeps.look()
        now = self.shell.clock.now()
        cpu = gpu = 0.0
        runs = self.runs_of(loop)
        for run in runs:
            took = self.sleeps.awake(run.started_at, run.ended_at or now) if run.started_at else 0.0
            cpu += run.cpu_s if run.cpu_s is not None else took  # of a living one: a core, until it is known
            gpu += took * run.gpus
        return msgspec.structs.replace(
            loop.spent,
            runs=len(runs),
            cpu_seconds=round(cpu, 1),
            gpu_seconds=round(gpu, 1),
            disk_bytes=loop.spent.disk_bytes if disk_bytes is None else disk_bytes,
        )

    # --- for the rules
    # ----------------------------------------------------------------------------------------------------
    def world(self, loop: Loop, spent: Spent) -> World:
        runs = self.runs_of(loop)
        sweep = self.shell.sweeps.get(loop.sweep)
        seen = [RunSeen(r.id, r.status.value, self.settled(r), self._told(r)) for r in runs]
        alerts = [AlertSeen(a.id, a.run_id, a.severity.value, a.title) for a in self.alerts_of(loop)]
        over = sweep is None or sweep.status.terminal
        quiet = over and all(run.terminal for run in seen)
        short_of = self._tight(loop, spent) if quiet else None
        return World(
            now=self.shell.clock.now(),
            runs=seen,
            alerts=alerts,
            sweep_over=over,
            hit=hit(loop.limits, spent),
            tight=short_of,
            goal=self._goal(loop, runs) if quiet else "",
            to_confirm=quiet and short_of is None and needs_confirm(self.view(loop)),
        )

    def _tight(self, loop: Loop, spent: Spent) -> tuple[str, str] | None:
        """The limit that leaves no room for a candidate and the baseline on the fewest seeds that a verdict takes."""
        usual = loop.baseline.seconds if loop.baseline else 0.0
        return tight(loop.limits, spent, usual, self.slots(loop), 2 * FEWEST)

    def _told(self, run: Run) -> str:
        reason = f": {run.reason.text}" if run.reason else ""
        return f"{run.name} {run.status.value}{reason}"

    def _goal(self, loop: Loop, runs: Sequence[Run]) -> str:
        """Why the goal condition is met by a finished run, "" if none meets it."""
        if not loop.limits.until:
            return ""
        condition = parse_until(loop.limits.until)
        low = condition.op in ("<", "<=")
        judged = msgspec.structs.replace(loop.setup, mode="min" if low else "max")
        found = []
        for run in runs:
            if run.status is not RunStatus.FINISHED or run.void:
                continue
            value = objective(run.summary.get(condition.metric), judged)
            if value is not None and condition.holds(value):
                found.append((value if low else -value, run))
        if not found:
            return ""
        value, run = min(found, key=lambda pair: (pair[0], pair[1].id))
        shown = short(value if low else -value)
        return f"The goal {loop.limits.until} is met: {condition.metric} {shown} in {run.name}."

    # --- for whoever decides
    # ----------------------------------------------------------------------------------------------
    def view(self, loop: Loop, curves: Mapping[str, list[tuple[float, float]]] | None = None) -> View:
        trials = [
            self._trial(loop, sweep, trial.index, run, curves or {})
            for sweep in self.sweeps_of(loop)
            for trial in sweep.trials
            for run in [self.shell.runs[id] for id in trial.run_ids if id in self.shell.runs]
        ]
        counts: dict[str, int] = {}
        for run in self.runs_of(loop):
            for name, summary in self.runs.shown(run).summary.items():
                if not name.startswith("system/") and summary.count:
                    counts[name] = counts.get(name, 0) + 1
        spent = self.spent(loop)
        return View(
            loop=msgspec.structs.replace(loop, spent=spent),
            trials=trials,
            alerts=self.alerts_of(loop),
            now=self.shell.clock.now(),
            slots=self.slots(loop),
            metrics=counts,
            runs_left=left(loop.limits, spent).runs,
            rules=self.memory(),
            entries=list(self.recent(loop.id))[-_NEWEST:],
        )

    def _trial(
        self, loop: Loop, sweep: Sweep, index: int, run: Run, curves: Mapping[str, list[tuple[float, float]]]
    ) -> TrialView:
        setup = loop.setup
        params = dict(run.params)
        seed = params.pop(setup.seed, None) if setup.seed else None
        shown = self.runs.shown(run)
        summary = shown.summary.get(setup.metric) if setup.metric else None
        value = objective(summary, setup)
        failure = ""
        if run.status in (RunStatus.FAILED, RunStatus.STOPPED):
            failure = _UNIT.get(run.reason.kind, "exit") if run.reason else "exit"
            if failure in ("stopped", "signal") and self._diverged(run):
                failure = "nan"
        elif run.status is RunStatus.FINISHED and summary is not None and value is None:
            failure = "nan"
        return TrialView(
            run=run.id,
            sweep=sweep.id,
            purpose=sweep.purpose,
            index=index,
            params=params,
            status=run.status.value,
            seed=seed if isinstance(seed, int) else None,
            value=value,
            failure=failure,
            void=run.void,
            seconds=(run.ended_at - run.started_at) if run.ended_at and run.started_at else None,
            rss_bytes=run.max_rss_bytes,
            commit=run.tree,
            by=sweep.by[index] if index < len(sweep.by) else "",
            curve=curves.get(run.id, []),
            reason=run.reason.text if run.reason else "",
            log_line=(run.reason.log_line or "") if run.reason else "",
        )

    def _diverged(self, run: Run) -> bool:
        return any(
            a.run_id == run.id and a.evidence.value in ("nan", "inf", "-inf") for a in self.shell.alerts.values()
        )

    # --- curves, for halving (blocks: called off the loop)
    # -------------------------------------------------------------------
    def wanted_curves(self, loop: Loop) -> list[tuple[str, bool]]:
        """(run, whether it has ended) of the runs whose curves halving compares."""
        return [
            (run.id, run.status.terminal)
            for sweep in self.sweeps_of(loop)
            if sweep.purpose in ("baseline", "search", "screen")
            for trial in sweep.trials
            for run in [self.shell.runs[id] for id in trial.run_ids if id in self.shell.runs]
            if run.started_at is not None
        ]

    def read_curves(self, metric: str, wanted: Sequence[tuple[str, bool]]) -> dict[str, list[tuple[float, float]]]:
        found = {}
        for run_id, over in wanted:
            kept = self._curves.get((run_id, metric))
            if kept is None:
                folder = str(self.runs.folder(run_id))
                series = self.metrics.series(
                    folder, run_id, metric, x="step", points=_CURVE, from_=None, to=None, since=None
                )
                kept = curve_of(series)
                if over:
                    self._curves[run_id, metric] = kept
            found[run_id] = kept
        return found


def curve_of(series: Series | None) -> list[tuple[float, float]]:
    if series is None:
        return []
    return [(x, y) for x, y in zip(series.x, series.last, strict=False) if y is not None and math.isfinite(y)]
