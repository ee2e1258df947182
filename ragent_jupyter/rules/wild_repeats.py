"""What was tried before and what keeps failing: no run is spent on it twice without being asked to. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ragent_jupyter.domain.sweep import Range
from ragent_jupyter.domain.wild import Launch, Loop, LoopEvent, ProposeSweep, Setup, TrialView, View

from .stats import short
from .wild_novelty import base_commit, canonical, changes, key, key_of, seed_of

EQUAL_FAILURES = 3
# Ends that say nothing about a configuration: it may come again.
_NOT_ITS_FAULT = frozenset({"lost", "launch", "stopped"})
_OF_REGION = frozenset({"oom", "nan"})
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|/[^\s:'\"]+")


def newest_commit(loop: Loop) -> str:
    """The code that an action without a commit runs."""
    return loop.commits[-1] if loop.commits else base_commit(loop)


# --- the same again ---------------------------------------------------------------------------------------------------
def repeats(view: View, action: ProposeSweep | Launch, accepted: Sequence[Any]) -> tuple[list[int], str]:
    """(which points are new, by index; what one of the others gave, for people).

    A point with a seed repeats a run of the same configuration, code and seed; one without repeats any of them.
    """
    loop, setup = view.loop, view.loop.setup
    points = action.points if isinstance(action, ProposeSweep) else [action.params]
    # A baseline without a commit is that of the code the loop started from.
    measures = isinstance(action, ProposeSweep) and action.purpose == "baseline"
    commit = action.commit or (base_commit(loop) if measures else newest_commit(loop))
    tried: dict[str, list[TrialView]] = {}
    for trial in view.trials:
        if not trial.void and trial.failure not in _NOT_ITS_FAULT:
            tried.setdefault(key_of(loop, trial), []).append(trial)
    planned = {point_id(setup, point, c) for c, point in _planned(loop, accepted)}
    fresh: list[int] = []
    said = ""
    for index, point in enumerate(points):
        seed, name = seed_in(setup, point), key(point, setup, commit)
        before = [t for t in tried.get(name, []) if seed is None or seed_of(t, setup) in (None, seed)]
        id = point_id(setup, point, commit)
        if not before and id not in planned:
            planned.add(id)
            fresh.append(index)
        elif not said:
            said = gave(before[-1]) if before else "the same point stands twice in this decision"
    return fresh, said


def _planned(loop: Loop, accepted: Sequence[Any]) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for action in accepted:
        if isinstance(action, ProposeSweep):
            found += [(action.commit or newest_commit(loop), point) for point in action.points]
        elif isinstance(action, Launch):
            found.append((action.commit or newest_commit(loop), action.params))
    return found


def seed_in(setup: Setup, point: dict[str, Any]) -> int | None:
    found = canonical(point.get(setup.seed)) if setup.seed else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def point_id(setup: Setup, point: dict[str, Any], commit: str) -> tuple[str, int | None]:
    return key(point, setup, commit), seed_in(setup, point)


def gave(trial: TrialView) -> str:
    """
    >>> gave(TrialView(run="run_1", sweep="", purpose="", index=0, params={}, status="finished", value=0.25))
    'run_1 gave 0.25'
    """
    if trial.value is not None:
        return f"{trial.run} gave {short(trial.value)}"
    return f"{trial.run} {'failed: ' + trial.failure if trial.failure else 'is ' + trial.status}"


# --- the same failure again -------------------------------------------------------------------------------------------
def signature(trial: TrialView) -> str:
    """What two equal failures have in common: the kind and the log's line, without numbers, addresses and paths."""
    if not trial.failure or trial.failure == "stopped":
        return ""
    if trial.failure in _OF_REGION:
        return trial.failure
    return f"{trial.failure} {_VARYING.sub('#', (trial.log_line or trial.reason)[:400])}".strip()


def failing(view: View, event: LoopEvent, commit: str) -> str:
    """Why nothing more runs on this code: its last three runs failed alike. "" where that is not so.

    Anything that was changed since the last sweep was proposed lifts it: code, setup, a person's word. Out of memory
    and NaN are a matter of the point, not of the code: `hopeless` looks at those.
    """
    if event.kind in ("human", "answer"):
        return ""
    loop = view.loop
    code = commit or newest_commit(loop)
    ended = [t for t in view.trials if (t.commit or base_commit(loop)) == code and t.status in ("finished", "failed")]
    last = ended[-EQUAL_FAILURES:]
    what = {signature(t) for t in last}
    if len(last) < EQUAL_FAILURES or len(what) != 1 or not (same := what.pop()) or same in _OF_REGION:
        return ""
    return "" if _changed(view) else same


def _changed(view: View) -> bool:
    """Whether the ledger shows a change after the newest sweep that was accepted."""
    for entry in reversed(view.entries):
        kind = entry.action.get("do") if isinstance(entry.action, dict) else ""
        if kind in ("propose_sweep", "launch", "confirm") and entry.outcome == "done":
            return False
        if entry.outcome == "done" and (kind in ("change_setup", "edit_code") or entry.by == "human"):
            return True
    return False


def hopeless(view: View, points: Sequence[dict[str, Any]], commit: str) -> dict[int, str]:
    """Points whose neighbourhood only ever failed alike, three times or more: index -> the failure."""
    loop, setup = view.loop, view.loop.setup
    code = commit or newest_commit(loop)
    counted: Counter[tuple[Any, str]] = Counter()
    fine: set[Any] = set()
    for trial in view.trials:
        if (trial.commit or base_commit(loop)) != code:
            continue
        place = region(setup, trial.params)
        if trial.status == "finished" and trial.value is not None:
            fine.add(place)
        elif signature(trial):
            counted[place, signature(trial)] += 1
    bad = {place: what for (place, what), n in counted.items() if n >= EQUAL_FAILURES and place not in fine}
    return {i: bad[place] for i, point in enumerate(points) if (place := region(setup, point)) in bad}


def region(setup: Setup, params: dict[str, Any]) -> tuple[Any, ...]:
    """The neighbourhood of a point: logarithmic ranges and whole numbers by factors of 2, others by tenths."""
    places: list[Any] = []
    for name, value in sorted(changes(params, setup).items()):
        knob = setup.space.get(name)
        number = canonical(value)
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if knob is None or not isinstance(knob.dim, Range) or not is_number:
            places.append((name, repr(number)))
            continue
        dim, worth = knob.dim, float(number)
        if (dim.log or dim.integer) and worth > 0:
            places.append((name, math.floor(math.log2(worth) + 1e-9)))
        else:
            width = dim.high - dim.low
            places.append((name, math.floor(10 * (worth - dim.low) / width + 1e-9) if width > 0 else 0))
    return tuple(places)
