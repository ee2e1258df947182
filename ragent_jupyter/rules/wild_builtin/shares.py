"""Who gets how many runs: baseline, search, confirm and explain share one budget. Pure arithmetic."""

from __future__ import annotations

import math

from msgspec import Struct

from ragent_jupyter.domain.wild import View

from .. import confirm
from ..wild_limits import left

LEAST_SEEDS = confirm.FEWEST  # fewer fresh pairs confirm nothing
_MOST_CONFIRM = 0.4  # of what is left after the baseline, where more than one candidate is put to the test
_ROOM_FOR_NEXT = 7  # times the seeds: the least budget in which the next candidate's test has a place of its own
_FEW_SEARCHED = 4  # below this many search runs, the confirm stage gives up seeds first
_ROUNDS = 10  # batches that the search is cut into where the budget allows it
_LEAST_ROUNDS = 5
_TIME_MARGIN = 0.85  # of the hours left: starts, analyses and stragglers take the rest


class Shares(Struct, frozen=True, kw_only=True):
    """search: runs still to be searched with.  batch: of them, the next sweep.  top, seeds: of the confirm stage; top 0
    where the budget is too small for an honest one.  explain: runs kept for undoing single changes of a winner; where
    the first candidate fails, for testing the next one beside the default's runs.
    """

    search: int
    batch: int
    top: int
    seeds: int
    explain: int

    @property
    def confirm(self) -> int:
        return (self.top + 1) * self.seeds if self.top else 0


def runs_left(view: View) -> int | None:
    """How many more runs every limit allows, None where none is limited. Time is counted in runs as long as usual."""
    loop = view.loop
    rest = left(loop.limits, loop.spent)
    room: list[float] = [n for n in (view.runs_left, rest.runs) if n is not None]
    seconds = usual_seconds(view)
    if seconds:
        if rest.seconds is not None:
            # In whole turns of all slots: half a turn takes as long as one.
            room.append(math.floor(_TIME_MARGIN * rest.seconds / seconds) * max(1, view.slots))
        if rest.gpu_seconds is not None and loop.setup.gpus:
            room.append(rest.gpu_seconds / (seconds * loop.setup.gpus))
    for rest_of, used in ((rest.cpu_seconds, loop.spent.cpu_seconds), (rest.disk_bytes, loop.spent.disk_bytes)):
        if rest_of is not None and used and loop.spent.runs:
            room.append(rest_of / (used / loop.spent.runs))
    return max(0, math.floor(min(room) + 1e-9)) if room else None


def usual_seconds(view: View) -> float | None:
    """How long a run of the default takes: the baseline's mean, else the smoke run's, else nothing is known."""
    loop = view.loop
    if loop.baseline is not None and loop.baseline.seconds > 0:
        return loop.baseline.seconds
    took = [t.seconds for t in view.trials if t.purpose == "baseline" and t.status == "finished" and t.seconds]
    if took:
        return sum(took) / len(took)
    return loop.estimate.seconds if loop.estimate is not None and loop.estimate.seconds > 0 else None


def baseline_seeds(view: View) -> int:
    """How often the default is run: 3 to 5 times, less where a confirm stage would not fit beside it.

    A script with no seed is repeated twice: enough to see whether it varies at all.
    """
    left_now = runs_left(view)
    if left_now is not None and left_now < 8:
        return max(1, min(2, left_now // 3))
    if not view.loop.setup.seed:
        return 2
    if left_now is None:
        return 3 if view.loop.limits.hours is not None else 5  # how long a run takes is not known yet
    if left_now > 60:
        return 5
    return 2 if left_now <= 15 else 3 if left_now <= 45 else 4


def shares(view: View, *, searched: int, knobs: int) -> Shares:
    """How what is left is shared.

    searched: search runs there have been.  knobs: parameters that are searched.
    """
    setup = view.loop.setup
    now = runs_left(view)
    if now is None:
        # Nothing limits it: as many as pay off, then its own patience ends it.
        reserve = (setup.top + 1) * setup.seeds
        planned = min(120, 20 + 10 * knobs)
        search = max(0, planned - searched)
        return _cut(view, search, planned, Shares(search=0, batch=0, top=setup.top, seeds=setup.seeds, explain=4))
    total = now + searched
    explain = min(knobs, 4) if total >= 40 else 2 if total >= 24 else 1 if total >= 17 else 0
    top, seeds = setup.top, max(setup.seeds, LEAST_SEEDS)
    if setup.seed and total >= _ROOM_FOR_NEXT * seeds:
        explain = max(explain, seeds)
    while top > 1 and (top + 1) * seeds > _MOST_CONFIRM * total:
        top -= 1
    while seeds > LEAST_SEEDS and total - explain - (top + 1) * seeds < _FEW_SEARCHED:
        seeds -= 1
    if not setup.seed or total - (top + 1) * seeds < 1:
        top = explain = 0  # too little for a fair test: what is found stays unconfirmed
    reserve = (top + 1) * seeds if top else 0
    planned = max(0, total - explain - reserve)
    search = max(0, min(planned - searched, now))
    return _cut(view, search, planned, Shares(search=search, batch=0, top=top, seeds=seeds, explain=explain))


def _cut(view: View, search: int, planned: int, found: Shares) -> Shares:
    """The next batch: whole multiples of the slots, so that the search learns several times on its way."""
    slots = max(1, view.slots)
    batch = slots * min(max(round(planned / (slots * _ROUNDS)), 1), 4)
    batch = min(batch, max(1, math.ceil(planned / _LEAST_ROUNDS)))
    batch -= batch % slots if batch > slots else 0
    limits, seconds = view.loop.limits, usual_seconds(view)
    if limits.hours is not None and seconds:
        # A sweep of more than a quarter of the time is one that a person is asked about.
        batch = max(1, min(batch, math.floor(0.25 * limits.hours * 3600 / seconds) * slots))
    iterations = left(limits, view.loop.spent).iterations
    if iterations is not None:
        if iterations == 0:
            return Shares(search=0, batch=0, top=found.top, seeds=found.seeds, explain=found.explain)
        batch = max(batch, min(math.ceil(search / iterations), 8 * slots))
    if search - batch < max(1, batch // 3):
        batch = search  # no crumb of a batch at the end
    return Shares(search=search, batch=min(batch, search), top=found.top, seeds=found.seeds, explain=found.explain)
