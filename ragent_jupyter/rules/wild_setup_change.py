"""What a policy may find out about the script while it runs, and what stays a person's to say. Pure.

Moving the goalposts is the easiest way to win, so the metric, its direction and the length of training are settled
once: a policy fills in what is not known yet and searches a smaller space; the rest is changed by people.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.wild import ChangeSetup, LoopEvent, Option, View

from .confirm import FEWEST
from .wild_asking import NeedsPerson, Passed, Refused, line
from .wild_points import is_flag_name, narrowed

ALLOWED = ("metric", "mode", "score", "seed", "space", "top", "seeds", "fidelity", "full")
_GOAL = ("metric", "mode", "score")
_WORD = re.compile(r"[a-z]+")
_SEED_WORDS = frozenset({"seed", "rng", "randomseed", "randseed", "rngseed", "manualseed", "globalseed"})


def check_change(view: View, event: LoopEvent, action: ChangeSetup) -> Passed | Refused | NeedsPerson:
    fields = action.fields
    if not fields:
        return Refused("The change names no field.", f"A policy may set: {', '.join(ALLOWED)}.")
    foreign = next((name for name in fields if name not in ALLOWED), None)
    if foreign is not None:
        return Refused(
            f"{line(str(foreign), 60)!r} is a person's to change.", f"A policy may set: {', '.join(ALLOWED)}."
        )
    found: dict[str, Any] = {}
    for name, value in fields.items():
        kept, why = _one(view, name, value)
        if why:
            return Refused(f"{name} cannot be changed so: {why}.", "See what the setup has, and what its runs logged.")
        found[name] = kept
    passed = Passed(replace(action, fields=found, reason=action.reason[:4000]))
    if event.kind not in ("human", "answer"):
        blind = _blind(found)
        if blind:
            return Refused(f"{blind}.", "Promise NEEDS_HUMAN and ask; a person knows what that flag does.")
    return _goalposts(view, event, passed)


def _blind(found: dict[str, Any]) -> str:
    """Why a flag may not be taken for something on a policy's word alone, "" if it may.

    What is called the seed is not judged, and what is called the full length is no change: by a wrong name a policy
    could set any flag of the script, or compare ten epochs with a thousand.
    """
    if found.get("seed") and not (_SEED_WORDS & set(_WORD.findall(found["seed"].lower()))):
        return f"{line(found['seed'], 60)!r} does not look like the flag of a seed"
    moved = [name for name in ("fidelity", "full") if name in found]
    return f"The length of training ({' and '.join(moved)}) is a person's to name" if moved else ""


def _goalposts(view: View, event: LoopEvent, passed: Passed) -> Passed | Refused | NeedsPerson:
    """Another goal than the one that was set takes a person's word."""
    setup = view.loop.setup
    fields = passed.action.fields if isinstance(passed.action, ChangeSetup) else {}
    moved = [name for name in _GOAL if name in fields and fields[name] != getattr(setup, name)]
    if not setup.metric or not moved or event.kind == "answer":
        return passed
    to = ", ".join(f"{name} {fields[name]}" for name in moved)
    if event.kind != "human":
        return Refused(
            f"What decides is settled: {setup.metric}, {setup.mode}, {setup.score}.",
            "Promise NEEDS_HUMAN if that is wrong; a person changes it.",
        )
    if view.loop.autonomy == "full":
        return passed
    text = f"Judge by {line(to, 160)} from now on, instead of {setup.metric}, {setup.mode}, {setup.score}?"
    return NeedsPerson(text, [Option("yes", "Change it"), Option("no", "Keep it")], "no", passed)


def _one(view: View, name: str, value: Any) -> tuple[Any, str]:
    """(the value as it is kept, "" or why it is refused)."""
    setup = view.loop.setup
    match name:
        case "metric":
            if not isinstance(value, str) or value not in view.metrics:
                return None, f"no run logged {line(str(value), 60)!r}"
            return value, ""
        case "mode":
            return (value, "") if value in ("min", "max") else (None, "it is min or max")
        case "score":
            return (value, "") if value in ("last", "best") else (None, "it is last or best")
        case "seed":
            if setup.seed:
                return None, f"the seed's flag is {setup.seed}"
            if value != "" and (not is_flag_name(value) or value in setup.space):
                return None, "that is no flag of a seed"
            return value, ""
        case "fidelity":
            if setup.fidelity:
                return None, f"the length of training is set by {setup.fidelity}"
            if not is_flag_name(value) or value in setup.space or value == setup.seed:
                return None, "that is no flag of a length of training"
            return value, ""
        case "full":
            if setup.full is not None:
                return None, f"full training is {setup.full}"
            ok = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e15
            return (value, "") if ok else (None, "it is a number above 0")
        case "top":
            return (value, "") if _whole(value, 1, 10) else (None, "1 to 10 candidates")
        case "seeds":
            return (value, "") if _whole(value, FEWEST, 50) else (None, f"{FEWEST} to 50 seeds")
    space, why = narrowed(setup, value)
    return msgspec.to_builtins(space) if not why else None, why


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
