"""How soon the loop goes on: a slot is free → the next run starts; an alert → its answer by rule."""

from __future__ import annotations

import itertools
import shutil
import sys

from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Range
from ragent_jupyter.domain.wild import Knob, Limits
from ragent_jupyter.domain.wire_wild import CreateLoop
from tests.support.engine import Project, project
from tests.support.wait import wait_until

from .faults import SCRIPT as FAULTY
from .figures import Figure
from .kills import SCRIPT

BENCH = "latency"
# Every third of its points, by lr, logs a loss that is not finite: an alert that a rule answers by stopping the run.
SICK = FAULTY.read_text().replace('a.kind == "nan"', 'a.kind == "nan" or (a.lr > 0.1 and a.kind != "hang")')


def run(short: bool, times: int | None = None) -> list[Figure]:
    runs = times or (6 if short else 60)
    return [*slots(runs, 1 if short else 2), *alerts(6 if short else 30)]


def slots(count: int, parallel: int) -> list[Figure]:
    """Within a batch: the slot's next run is known already. Between batches: all runs are read out, it decides."""
    within: list[float] = []
    between: list[float] = []
    with project("process", "rg-lat-") as p:
        command = p.script("train.py", SCRIPT)
        loop = p.client.create_loop(
            CreateLoop(
                goal="lower val_loss", command=command, caller_python=sys.executable, executor="process",
                parallel=parallel, autonomy="full", limits=Limits(runs=count),
                env={"BENCH_TRUTH": str(p.folder / "t"), "BENCH_S": "0.5"},
            )
        )  # fmt: skip
        wait_until(lambda: p.client.loop(loop.id).loop.over, 900, every=0.5, what="the loop to end")
        runs = sorted((r for r in p.client.all_runs() if r.started_at), key=lambda r: r.started_at or 0.0)
    for sweep in {r.sweep_id for r in runs}:
        mine = [r for r in runs if r.sweep_id == sweep]
        within += gaps(mine, parallel)
    ordered = list(dict.fromkeys(r.sweep_id for r in runs))
    for before, after in itertools.pairwise(ordered):
        last = max(r.ended_at or 0.0 for r in runs if r.sweep_id == before)
        between.append(min(r.started_at or 0.0 for r in runs if r.sweep_id == after) - last)
    return [
        Figure(bench=BENCH, what="slot free → next run started, in a batch", unit="s", values=within, goal=1.5,
               note=f"slowest {max(within, default=0):.2f} s"),
        Figure(bench=BENCH, what="batch over → next batch's first run started", unit="s", values=between, goal=1.5,
               note=f"slowest {max(between, default=0):.2f} s; read out, analysed, decided, launched"),
    ]  # fmt: skip


def gaps(runs: list[Run], slots: int) -> list[float]:
    """Of each run that had to wait for a slot: from the end that freed it to its start."""
    found, ends = [], sorted(r.ended_at or 0.0 for r in runs)
    for number, one in enumerate(runs):
        if number >= slots and number - slots < len(ends):
            found.append((one.started_at or 0.0) - ends[number - slots])
    return [gap for gap in found if gap >= 0]


def alerts(count: int) -> list[Figure]:
    taken: list[float] = []
    with project("process", "rg-lat-") as p:
        (p.folder / "train.py").write_text(SICK)
        shutil.copy(FAULTY, p.folder / "fault.py")
        p.client.put("prefs", {"judge": False})
        loop = p.client.create_loop(
            CreateLoop(
                goal="lower loss", command=f"{sys.executable} train.py --pace 0.02", caller_python=sys.executable,
                executor="process", parallel=2, autonomy="full", limits=Limits(runs=count), metric="loss", mode="min",
                space={"lr": Knob(dim=Range(low=0.01, high=10.0, log=True), default=0.1)},
            )
        )  # fmt: skip
        wait_until(lambda: (now := p.client.loop(loop.id).loop).over or now.question, 900, every=0.5, what="its end")
        answered = answers(p)
    taken += answered
    missing = "" if taken else "no alert was raised"
    return [
        Figure(bench=BENCH, what="alert raised → answered by rule", unit="s", values=taken, goal=2.0, missing=missing,
               note=f"slowest {max(taken, default=0):.2f} s"),
    ]  # fmt: skip


def answers(p: Project) -> list[float]:
    found = []
    for alert in p.alerts():
        if alert.answered_at is not None and (alert.answered_by or "").startswith("wild"):
            found.append(alert.answered_at - alert.raised_at)
    return found
