"""What the rest of a sweep or a loop will take, from runs that were measured. Pure: one rule for both."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.sweep import Estimate, Sweep

from .stats import median, span
from .sweep_life import last_run

_NEWEST = 20  # earlier runs of a command that a draft is estimated from


def wall_seconds(seconds: float, fresh: int, at_once: int, elapsed: Sequence[float] = ()) -> float:
    """Until the last run ends, seconds. fresh: runs that have not begun.  elapsed: how long those that live have run.

    >>> wall_seconds(10.0, 5, 2), wall_seconds(10.0, 2, 2, [4.0, 12.0]), wall_seconds(10.0, 0, 2)
    (30.0, 16.0, 0.0)
    """
    # Where more live than may, the slots of those that end first are not filled again.
    ends = sorted(max(0.0, seconds - one) for one in elapsed)
    ends = ends[-at_once:]
    ends += [0.0] * min(fresh, at_once - len(ends))
    heapq.heapify(ends)
    for _ in range(fresh if ends else 0):
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends, default=0.0)


def rough(value: float) -> str:
    """A number that is only known roughly, two digits.

    >>> [rough(x) for x in (0.066667, 3.0, 1234.0, 0.0)]
    ['0.067', '3', '1,200', '0']
    """
    return f"{float(f'{value:.2g}'):,.10g}"


def estimated(
    *,
    of: str,
    seconds: float,
    runs: int | None,
    at_once: int,
    gpus: int,
    disk_each: float,
    cost_usd: float | None,
    lead: str,
    rest: str,
    paid: str,
    wall: float | None = None,
    cpu_each: float | None = None,
) -> Estimate:
    """runs: None where nobody can say how many.  cost_usd: of the rest.  cpu_each: CPU-seconds of one run, if known.

    lead, rest, paid: what is said of one run, of the rest ("{n} more runs"), and what the money is for.

    >>> estimated(of="run_1", seconds=60.0, runs=4, at_once=2, gpus=1, disk_each=5e5, cost_usd=None,
    ...           lead="One run takes", rest="~{n} more", paid="").text
    'One run takes ~60 s. ~4 more: ~2 min with 2 at a time, ~2 MB of disk. ~0.067 GPU-hours.'
    """
    known = runs is not None
    runs = runs or 0
    at_once = max(1, at_once)
    wall = wall_seconds(seconds, runs, at_once) if wall is None else wall
    gpu_hours = runs * seconds * gpus / 3600
    disk = int(disk_each * runs)
    text = f"{lead} ~{span(seconds)}."
    if known:
        text += f" {rest.format(n=runs)}: ~{span(wall)} with {at_once} at a time, ~{rough(disk / 1e6)} MB of disk."
        if gpus:
            text += f" ~{rough(gpu_hours)} GPU-hours."
        if cost_usd is not None:
            text += f" ~${cost_usd:.2f} for {paid}."
    return Estimate(
        of=of,
        seconds=seconds,
        runs=runs,
        parallel=at_once,
        wall_seconds=wall,
        gpu_hours=gpu_hours,
        cpu_hours=runs * (seconds if cpu_each is None else cpu_each) / 3600,
        disk_bytes=disk,
        cost_usd=cost_usd,
        text=text,
    )


def took(run: Run) -> float | None:
    """How long a run took that ended well, seconds; None for any other: what broke off says nothing of the rest."""
    if run.status is not RunStatus.FINISHED or run.void or run.started_at is None or run.ended_at is None:
        return None
    return max(0.0, run.ended_at - run.started_at)


def measured(sweep: Sweep, runs: Mapping[str, Run]) -> list[Run]:
    """The trials' runs that ended well, in the trials' order: the smoke run first."""
    last = [last_run(trial, runs) for trial in sweep.trials]
    return [run for run in last if run is not None and took(run) is not None]


def earlier(command: str, cwd: str, gpus: int, runs: Iterable[Run], sweeps: Mapping[str, Sweep]) -> list[Run]:
    """Runs of the same command in the same folder on as many GPUs that ended well before, the newest first.

    command: a sweep's, without parameters; a run outside a sweep may have some behind it.
    """
    command = " ".join(command.split())

    def same(run: Run) -> bool:
        parent = sweeps.get(run.sweep_id or "")
        if parent is not None:
            return " ".join(parent.command.split()) == command
        return f"{' '.join(run.command.split())} ".startswith(f"{command} ")

    found = [r for r in runs if r.cwd == cwd and r.gpus == gpus and took(r) is not None and same(r)]
    return sorted(found, key=lambda run: (run.created_at, run.id), reverse=True)[:_NEWEST]


def of_sweep(
    sweep: Sweep,
    runs: Mapping[str, Run],
    known: Sequence[Run],
    *,
    now: float,
    at_once: int,
    disk_each: float,
    gpu_hour_usd: float | None = None,
) -> Estimate | None:
    """The rest of a sweep; None where nothing was measured or nothing is left.

    runs: the sweep's, by id.  known: what is measured on, its own (`measured`) or those of before (`earlier`).
    now: wall clock.  at_once: how many the machine lets live together.  disk_each: bytes of one run's folder.
    gpu_hour_usd: what an hour of one GPU costs, where that is known.
    """
    last = [last_run(trial, runs) for trial in sweep.trials]
    fresh = sum(run is None for run in last)
    living = [run for run in last if run is not None and not run.status.terminal]
    left = fresh + len(living)
    if not known or not left:
        return None
    seconds = median([took(run) or 0.0 for run in known])
    cpu = [run.cpu_s for run in known if run.cpu_s is not None]
    at_once = max(1, min(at_once, sweep.parallel, left))
    begun = [max(0.0, now - run.started_at) for run in living if run.started_at is not None]
    waiting = left - len(begun)
    own = known[0].sweep_id == sweep.id
    hours = left * seconds * sweep.gpus / 3600
    return estimated(
        of=known[0].id,
        seconds=seconds,
        runs=left,
        at_once=at_once,
        gpus=sweep.gpus,
        disk_each=disk_each,
        cost_usd=hours * gpu_hour_usd if gpu_hour_usd is not None and sweep.gpus else None,
        lead="One run takes" if own else "One run of this command took",
        rest="{n} more" if own else "{n} run" if left == 1 else "{n} runs",
        paid="the GPUs",
        wall=wall_seconds(seconds, waiting, at_once, begun),
        cpu_each=median(cpu) if cpu else None,
    )
