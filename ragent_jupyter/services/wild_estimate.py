"""What the rest of a loop will take, from the runs that were measured."""

from __future__ import annotations

import math

from ragent_jupyter.domain.wild import Estimate, Loop, View
from ragent_jupyter.rules.stats import median, short, span
from ragent_jupyter.rules.wild_limits import left


def estimate(loop: Loop, view: View) -> Estimate | None:
    """From the baseline's runs; None before one of them has ended. Money: from what a decision has cost so far."""
    ended = [t for t in view.trials if t.purpose == "baseline" and t.status == "finished" and t.seconds is not None]
    if not ended:
        return None
    seconds = median([t.seconds or 0.0 for t in ended])
    rest = left(loop.limits, view.loop.spent)
    at_once = max(1, min(loop.setup.parallel, view.slots))
    runs = rest.runs
    if rest.seconds is not None and seconds > 0:
        fit = int(rest.seconds / seconds * at_once)
        runs = fit if runs is None else min(runs, fit)
    known = runs is not None
    runs = runs if runs is not None else 0
    wall = math.ceil(runs / at_once) * seconds
    spent = view.loop.spent
    cost = None
    if spent.cost_usd is not None and spent.runs:
        cost = spent.cost_usd / spent.runs * runs
    disk = int(spent.disk_bytes / max(1, spent.runs) * runs)
    text = f"One run takes ~{span(seconds)}."
    if known:
        text += f" ~{runs} more runs fit the limits: ~{span(wall)} with {at_once} at a time"
        text += f", ~{short(disk / 1e6)} MB of disk."
        if loop.setup.gpus:
            text += f" ~{short(runs * seconds * loop.setup.gpus / 3600)} GPU-hours."
        if cost is not None:
            text += f" ~${cost:.2f} for the model."
    return Estimate(
        of=ended[0].run,
        seconds=seconds,
        runs=runs,
        parallel=at_once,
        wall_seconds=wall,
        gpu_hours=runs * seconds * loop.setup.gpus / 3600,
        cpu_hours=runs * seconds / 3600,
        disk_bytes=disk,
        cost_usd=cost,
        text=text,
    )
