"""How silent runs like a new one were: asked when it is launched, told to its sidecar. And how silent it may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.silence import Usual
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.rules.stats import median

SETTING = "stall_s"
VARIABLE = "RAGENT_STALL_S"
_NEWEST = 8  # runs that are read: each costs one small file
_LEAST_S, _MOST_S = 1.0, 30 * 86400.0


def checked(value: float, name: str = SETTING) -> float:
    """Seconds of silence that a person may set. Raises BadInput."""
    if not (math.isfinite(value) and _LEAST_S <= value <= _MOST_S):
        raise BadInput(f"{name} is {value:g}.", "Give seconds, from 1 to 2592000 (30 days).")
    return float(value)


def wanted(env: Mapping[str, str], otherwise: object = None) -> float | None:
    """The run's own setting in its environment, else the project's; None: the rules' own. Raises BadInput."""
    text = env.get(VARIABLE, "").strip()
    if text:
        try:
            return checked(float(text), VARIABLE)
        except ValueError:
            raise BadInput(f"{VARIABLE} is {text[:40]!r}.", "Give seconds, as in RAGENT_STALL_S=120.") from None
    return checked(float(otherwise)) if isinstance(otherwise, (int, float)) else None


def alike(run: Run, runs: Iterable[Run], sweeps: Mapping[str, Sweep]) -> list[str]:
    """Finished runs of the same loop, sweep or command in the same folder, as many GPUs; ids, the newest first.

    None of a notebook's kernel: how long its user thinks says nothing of the next time.
    """
    if run.kind == "interactive":
        return []

    def key(one: Run) -> tuple[str, str]:
        parent = sweeps.get(one.sweep_id or "")
        if parent is None:
            return "command", " ".join(one.command.split())
        return ("loop", parent.loop_id) if parent.loop_id else ("sweep", " ".join(parent.command.split()))

    like = key(run)
    found = [
        one for one in runs
        if one.status is RunStatus.FINISHED and not one.void and one.id != run.id and one.kind == run.kind
        and one.cwd == run.cwd and one.gpus == run.gpus and key(one) == like
    ]  # fmt: skip
    found.sort(key=lambda one: (one.created_at, one.id), reverse=True)
    return [one.id for one in found[:_NEWEST]]


class _Live(Struct):
    quiet: dict[str, float] = {}


def learnt(runs_dir: Path, ids: Iterable[str]) -> Usual:
    """What their sidecars wrote down last. Runs that left nothing are passed over."""
    told: list[dict[str, float]] = []
    for id in ids:
        try:
            quiet = msgspec.json.decode((runs_dir / id / "live.json").read_bytes(), type=_Live).quiet
        except (OSError, msgspec.DecodeError):
            continue  # archived, deleted, or watched by nobody
        if quiet.get("gap_s", 0.0) > 0.0 or quiet.get("start_s", 0.0) > 0.0:
            told.append(quiet)
    if not told:
        return Usual()
    most = {name: max(quiet.get(name, 0.0) for quiet in told) for name in ("start_s", "gap_s", "whole_s")}
    return Usual(runs=len(told), pace_s=median([quiet.get("pace_s", 0.0) for quiet in told]), **most)
