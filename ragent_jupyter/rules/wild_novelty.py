"""When two configurations are the same one: what identifies a point of a wild loop. Pure and total."""

from __future__ import annotations

import json
import math
from typing import Any

from ragent_jupyter.domain.wild import Loop, Setup, TrialView

_DEEPEST = 8
_LONGEST = 4096


def canonical(value: Any, depth: int = 0) -> Any:
    """A value as it is compared: numbers by their worth, however they were written. Never raises.

    True is not 1: a switch is no number. Values that are too deep or too long for a parameter are cut, so they may
    count as equal; the guard refuses them before that matters.
    >>> canonical(0.1) == canonical("1e-1") == canonical("0.10"), canonical(32.0), canonical(-0.0)
    (True, 32, 0)
    >>> canonical(float("nan")) == canonical(float("nan"))
    True
    """
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return value if abs(value) < 10**18 else f"int {hash(value)}"
    if isinstance(value, float):
        return _number(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, (list, tuple)):
        return [canonical(item, depth + 1) for item in value[:_LONGEST]]
    if isinstance(value, dict):
        return {str(name)[:_LONGEST]: canonical(item, depth + 1) for name, item in list(value.items())[:_LONGEST]}
    return str(type(value))


def _number(value: float) -> Any:
    if not math.isfinite(value):
        return f"float {value}"  # NaN equals itself here
    if value.is_integer() and abs(value) < 1e15:
        return int(value)
    # 0.1 + 0.2 is meant as 0.3, and 0.1000000001 is no other experiment than 0.1.
    rounded = float(f"{value:.7g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _text(value: str) -> Any:
    plain = value.strip()
    if plain[:1] in "+-.0123456789" and 0 < len(plain) <= 40:
        try:
            return _number(float(plain))
        except ValueError:
            return value
    return value[:_LONGEST]


def same(a: Any, b: Any) -> bool:
    return bool(canonical(a) == canonical(b) and isinstance(a, bool) == isinstance(b, bool))


def changes(params: dict[str, Any], setup: Setup) -> dict[str, Any]:
    """What a point changes of the base command: without the seed, and without what stands at its default anyway.

    A fidelity at its full value is no change either.
    """
    kept: dict[str, Any] = {}
    for name, value in params.items():
        if setup.seed and name == setup.seed:
            continue
        if setup.fidelity and name == setup.fidelity and setup.full is not None and same(value, setup.full):
            continue
        knob = setup.space.get(name)
        if knob is not None and knob.default is not None and same(value, knob.default):
            continue
        kept[name] = value
    return kept


def key(params: dict[str, Any], setup: Setup, commit: str = "") -> str:
    """What identifies a configuration: the changes and the code, without the seed. Equal keys: the same experiment."""
    changed = {str(name): canonical(value) for name, value in changes(params, setup).items()}
    return json.dumps([commit, changed], sort_keys=True, default=str)


def base_commit(loop: Loop) -> str:
    """The code of the baseline; "" where the loop runs in the user's folder."""
    if loop.baseline is not None and loop.baseline.commit:
        return loop.baseline.commit
    return loop.commits[0] if loop.commits else ""


def key_of(loop: Loop, trial: TrialView) -> str:
    """A run's configuration. A run without a commit ran the code that the loop started from."""
    return key(trial.params, loop.setup, trial.commit or base_commit(loop))


def full_length(params: dict[str, Any], setup: Setup) -> bool:
    """Whether the run trained as long as the baseline."""
    return not setup.fidelity or setup.fidelity not in changes(params, setup)


def seed_of(trial: TrialView, setup: Setup) -> int | None:
    """The seed that a run was given; None where none is known."""
    value = trial.seed if trial.seed is not None else trial.params.get(setup.seed or "")
    found = canonical(value)
    return found if isinstance(found, int) and not isinstance(found, bool) else None
