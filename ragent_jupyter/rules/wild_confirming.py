"""Who may be put to the test, with how many seeds, and what makes a confirm sweep a fair one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.wild import Candidate, Confirm, LoopEvent, View

from .confirm import FEWEST, candidates, plan_seeds, shared_seeds, tested
from .noise import baseline, counts, value_of
from .student_t import mean
from .wild_asking import NeedsPerson, Passed, Refused, asked
from .wild_novelty import base_commit, full_length, key, key_of, seed_of
from .wild_repeats import newest_commit, seed_in
from .wild_room import room, used_up
from .wild_suspect import suspicious

_MOST = 20  # candidates in one stage; Holm makes more of them hopeless
_LEAST_PAIRS = 2


def check_confirm(
    view: View, event: LoopEvent, action: Confirm, accepted: Sequence[Any]
) -> Passed | Refused | NeedsPerson:
    """The candidates as a list of runs, as many as the limits allow, each with the baseline on the same fresh seeds."""
    setup = view.loop.setup
    spent = used_up(view, searching=False)
    if spent:
        return Refused(spent, "What is found stays unconfirmed; a person may raise the limit.")
    if not setup.metric:
        return Refused("It is not known which metric decides.", "Set it first: change_setup with metric and mode.")
    if any(isinstance(a, Confirm) for a in accepted):
        return Refused("This decision has a confirm stage already.", "Name all candidates in one.")
    found, notes = _named(view, action.runs) if action.runs else _best(view)
    if isinstance(found, Refused):
        return found
    beside = _shared(view, action.beside)
    if isinstance(beside, Refused):
        return beside
    sized = _sized(view, found, accepted, notes, beside)
    if isinstance(sized, Refused):
        return sized
    chosen, seeds = sized
    if not setup.seed:
        notes.append("the script has no seed flag, so the verdict will be “unconfirmed”")
    elif seeds < FEWEST:
        notes.append(
            f"only {seeds} pairs fit into the limits, so the verdict will be “unconfirmed” (it takes {FEWEST})"
        )
    note = "; ".join(notes)
    runs = [c.runs[0] for c in chosen]
    passed = Passed(
        replace(action, runs=runs, reason=action.reason[:4000]),
        note[:1].upper() + note[1:],
        seeds if seeds != setup.seeds else 0,
    )
    return asked(view, event, passed)


def _best(view: View) -> tuple[list[Candidate] | Refused, list[str]]:
    """The best untested ones. Those that are too good to be believed wait for a person."""
    setup = view.loop.setup
    found = candidates(view, setup.top + 5, untested=True)
    sound = [c for c in found if not c.suspicious]
    doubted = [c for c in found if c.suspicious]
    if not sound:
        why = f" {doubted[0].runs[0]} is not believed: {doubted[0].suspicious}" if doubted else ""
        return Refused(
            f"Nothing untested looks better than the baseline.{why}",
            "Search on, or promise COMPLETE: no improvement is a result.",
        ), []
    notes = [f"{doubted[0].runs[0]} left out as too good to be believed: {doubted[0].suspicious}"] if doubted else []
    return sound[: setup.top], notes


def _named(view: View, runs: Sequence[str]) -> tuple[list[Candidate] | Refused, list[str]]:
    """The configurations of these runs, each once."""
    loop, setup = view.loop, view.loop.setup
    default, done = key({}, setup, base_commit(loop)), tested(view)
    base = baseline(view)
    found: dict[str, Candidate] = {}
    for id in runs[:200]:
        trial = next((t for t in view.trials if t.run == id), None)
        if trial is None:
            return Refused(f"{id[:60]!r} is no run of this loop.", "Name runs of its search, or none for the best."), []
        name = key_of(loop, trial)
        if not counts(trial) or not full_length(trial.params, setup):
            return Refused(f"{id} has no value at full length that counts.", "Name a finished run of full length."), []
        if name == default:
            return Refused(f"{id} is the baseline itself.", "Name runs that change something."), []
        if name in done:
            # Tested again and again, something wins by luck in the end.
            return Refused(
                f"The configuration of {id} has its verdict already.", "A verdict stands; name one that has none."
            ), []
        why = suspicious(view, trial, base)
        if why:
            return Refused(
                f"{id} is too good to be believed as it stands: {why}",
                "Find out why, or promise NEEDS_HUMAN with what you see.",
            ), []
        same = [t for t in view.trials if counts(t) and t.purpose in ("search", "screen") and key_of(loop, t) == name]
        values = [value_of(t) for t in (same or [trial])]
        found.setdefault(name, Candidate(params=trial.params, runs=[id], value=mean(values), commit=trial.commit))
    if len(found) > _MOST:
        return Refused(f"{len(found)} candidates leave no power to tell any apart.", f"Name at most {_MOST}."), []
    sign = 1.0 if setup.mode == "min" else -1.0
    return sorted(found.values(), key=lambda c: sign * c.value), []


def _shared(view: View, beside: str) -> int | Refused | None:
    """How many seeds an earlier confirm sweep shares; None where new ones are drawn."""
    if not beside:
        return None
    n = len(shared_seeds(view, beside))
    if n >= FEWEST:
        return n
    return Refused(
        f"In {beside[:60]!r} the baseline has a value on {n} seeds, and a fair test takes {FEWEST}.",
        "Leave `beside` out: the baseline runs again, on new seeds.",
    )


def _sized(
    view: View, found: list[Candidate] | Refused, accepted: Sequence[Any], notes: list[str], shared: int | None = None
) -> tuple[list[Candidate], int] | Refused:
    """(candidates, seeds) that fit: fewer candidates first, then fewer seeds. shared: seeds with a baseline."""
    if isinstance(found, Refused):
        return found
    left = room(view, accepted)
    seeds = max(1, view.loop.setup.seeds) if shared is None else shared
    base = 1 if shared is None else 0
    if left.runs is None or (len(found) + base) * seeds <= left.runs:
        return found, seeds
    k = max(1, min(len(found), left.runs // seeds - base))
    if k < len(found):
        notes.append(f"cut from {len(found)} to {k} candidates by {left.why}")
    if (k + base) * seeds > left.runs:
        seeds = left.runs // (k + base)
    if seeds < _LEAST_PAIRS:
        return Refused(
            f"{left.runs} runs are left, too few for two pairs: {left.why}.",
            "What is found stays unconfirmed; a person may raise the limit.",
        )
    return found[:k], seeds


def paired_seeds(view: View, arms: int, beside: str = "") -> list[int]:
    """The seeds that a confirm stage of so many candidates takes, as the limits now stand."""
    left, wanted = room(view, ()), max(1, view.loop.setup.seeds)
    if beside:
        seeds = shared_seeds(view, beside)
        return seeds if left.runs is None else seeds[: left.runs // arms]
    return plan_seeds(view, wanted if left.runs is None else min(wanted, left.runs // (arms + 1)))


def check_fresh(view: View, purpose: str, points: Sequence[dict[str, Any]], commit: str) -> str:
    """Why a sweep may not call itself what it does, "" if it may.

    A baseline is the default. A confirm sweep has the baseline in it, all arms on the same seeds, none of them used.
    """
    loop, setup = view.loop, view.loop.setup
    code = commit or (base_commit(loop) if purpose == "baseline" else newest_commit(loop))
    default = key({}, setup, base_commit(loop))
    names = [key(point, setup, code) for point in points]
    if purpose == "baseline":
        # A baseline of edited code is the default parameters all the same.
        plain = key({}, setup, code)
        return "" if all(name == plain for name in names) else "A baseline changes nothing but the seed."
    if purpose != "confirm":
        return ""
    if not setup.seed:
        return "Without a seed flag nothing can be paired."
    arms: dict[str, list[int | None]] = {}
    for name, point in zip(names, points, strict=True):
        arms.setdefault(name, []).append(seed_in(setup, point))
    used = {seed_of(t, setup) for t in view.trials}
    first = sorted(next(iter(arms.values())), key=str)
    fair = all(sorted(seeds, key=str) == first for seeds in arms.values())
    if default not in arms or None in first or not fair:
        return "A confirm sweep runs the baseline and every candidate on the same seeds."
    if used & set(first) or len(set(first)) < len(first):
        return "A confirm sweep takes seeds that no run of the loop has used."
    return ""
