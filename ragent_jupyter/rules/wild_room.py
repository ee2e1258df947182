"""How many more runs the limits allow, and which limit that is. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.wild import Confirm, Launch, ProposeSweep, View

from .noise import baseline
from .stats import short, span
from .wild_limits import OF_MODELS, hit, left
from .wild_novelty import full_length


class Room(Struct, frozen=True):
    """runs: None where nothing limits them.  why: which limit, for people."""

    runs: int | None
    why: str = ""


def room(view: View, accepted: Sequence[Any], points: Sequence[dict[str, Any]] = ()) -> Room:
    """Runs that may still be started, after those that this decision and the ones before it have taken.

    points: what is to be run; time only limits runs of full length, whose duration is known.
    """
    loop, rest = view.loop, left(view.loop.limits, view.loop.spent)
    taken = sum(runs_of(view, action) for action in accepted) + owed(view)
    found: list[Room] = []
    counted = [n for n in (view.runs_left, rest.runs) if n is not None]
    if counted:
        found.append(Room(min(counted) - taken, f"the limit of runs ({loop.spent.runs} of {loop.limits.runs} used)"))
    seconds = usual_seconds(view)
    if seconds and all(full_length(point, loop.setup) for point in points):
        # The first run that does not fit any more may begin: the limit itself stops it.
        slots = max(1, view.slots)
        if rest.seconds is not None:
            fits = math.ceil(rest.seconds / seconds) * slots
            found.append(Room(fits - taken, f"the time limit ({span(rest.seconds)} left, a run takes {span(seconds)})"))
        gpus = loop.setup.gpus
        if rest.gpu_seconds is not None and gpus > 0:
            fits = math.ceil(rest.gpu_seconds / (seconds * gpus))
            found.append(Room(fits - taken, f"the GPU limit ({short(rest.gpu_seconds / 3600)} GPU-hours left)"))
    if not found:
        return Room(None)
    tightest = min(found, key=lambda r: r.runs if r.runs is not None else math.inf)
    return Room(max(0, tightest.runs or 0), tightest.why)


def runs_of(view: View, action: Any) -> int:
    """Runs that an accepted action will start."""
    match action:
        case ProposeSweep(points=points):
            return len(points)
        case Launch():
            return 1
        case Confirm(runs=runs, beside=beside):
            return ((len(runs) or view.loop.setup.top) + (not beside)) * view.loop.setup.seeds
    return 0


def owed(view: View) -> int:
    """Runs of actions that were accepted before and are not carried out yet."""
    total = 0
    for action in view.loop.owed:
        if not isinstance(action, dict):
            total += runs_of(view, action)
        elif action.get("do") == "propose_sweep" and isinstance(action.get("points"), list):
            total += len(action["points"])
        elif action.get("do") == "launch":
            total += 1
        elif action.get("do") == "confirm":
            listed, beside = action.get("runs"), action.get("beside")
            total += runs_of(view, Confirm(runs=listed if isinstance(listed, list) else [], beside=str(beside or "")))
    return total


def usual_seconds(view: View) -> float | None:
    """How long a run of the default takes; None while none was measured."""
    base = view.loop.baseline or baseline(view)
    if base is not None and base.seconds > 0:
        return base.seconds
    estimate = view.loop.estimate
    return estimate.seconds if estimate is not None and estimate.seconds > 0 else None


def used_up(view: View, *, searching: bool) -> str:
    """The sentence of the limit that forbids to spend anything more, "" while all have room.

    Iterations are spent by searching alone. Tokens and money stop who pays with them: the built-in policy goes on.
    """
    loop = view.loop
    limits = loop.limits
    found = hit(limits, loop.spent)
    while found is not None:
        name, sentence = found
        if (name == "iterations" and not searching) or (name in OF_MODELS and loop.policy != "llm"):
            limits = _without(limits, name)
            found = hit(limits, loop.spent)
            continue
        return sentence
    return ""


def _without(limits: Any, name: str) -> Any:
    from msgspec.structs import replace

    return replace(limits, **{name: None})
