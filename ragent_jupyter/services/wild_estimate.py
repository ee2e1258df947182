"""What the rest of a loop will take, from the runs that were measured."""

from __future__ import annotations

from ragent_jupyter.domain.sweep import Estimate
from ragent_jupyter.domain.wild import Loop, View
from ragent_jupyter.rules.estimate import estimated
from ragent_jupyter.rules.stats import median
from ragent_jupyter.rules.wild_limits import left


def estimate(loop: Loop, view: View) -> Estimate | None:
    """From the baseline's runs; None before one of them has ended. Money: from what a decision has cost so far."""
    ended = [t for t in view.trials if t.purpose == "baseline" and t.status == "finished" and t.seconds is not None]
    if not ended:
        return None
    seconds = median([t.seconds or 0.0 for t in ended])
    spent = view.loop.spent
    rest = left(loop.limits, spent)
    at_once = max(1, min(loop.setup.parallel, view.slots))
    runs = rest.runs
    if rest.seconds is not None and seconds > 0:
        fit = int(rest.seconds / seconds * at_once)
        runs = fit if runs is None else min(runs, fit)
    cost = None
    if spent.cost_usd is not None and spent.runs:
        cost = spent.cost_usd / spent.runs * (runs or 0)
    return estimated(
        of=ended[0].run,
        seconds=seconds,
        runs=runs,
        at_once=at_once,
        gpus=loop.setup.gpus,
        disk_each=spent.disk_bytes / max(1, spent.runs),
        cost_usd=cost,
        lead="One run takes",
        rest="~{n} more runs fit the limits",
        paid="the model",
    )
