"""Whether a point lies in the space that a person gave: names, types, ranges. Pure and total."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob, Setup

from .stats import short
from .wild_novelty import canonical, same

MOST_POINTS = 200
MOST_NAMES = 100
_LONGEST = 200
_SEED_BITS = 32  # what numpy and torch both take
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-/@+]{0,79}")


def fitted(setup: Setup, params: Any) -> tuple[dict[str, Any], str]:
    """(the point with its values as the space writes them, "" or why it cannot be run).

    A parameter must be one of the space, the seed or the fidelity. A template in `setup.flags` only says how a flag is
    written: there is one for each flag of the script, also for paths and for what evaluates. Numbers that were sent as
    text are read; 32.0 for a whole number becomes 32.
    """
    if not isinstance(params, dict):
        return {}, f"a point is a {type(params).__name__}, not a set of parameters"
    if len(params) > MOST_NAMES:
        return {}, f"a point sets {len(params)} parameters"
    point: dict[str, Any] = {}
    for name, value in params.items():
        found, why = _fit(setup, name, value)
        if why:
            return {}, why
        point[name] = found
    return point, ""


def _fit(setup: Setup, name: Any, value: Any) -> tuple[Any, str]:
    if not isinstance(name, str):
        return None, f"{str(name)[:40]!r} is no name of a parameter"
    if setup.seed and name == setup.seed:
        return _seed(name, value)
    knob = setup.space.get(name)
    if knob is not None:
        return _in_knob(name, knob, value)
    if setup.fidelity and name == setup.fidelity:
        return _fidelity(name, setup.full, value)
    known = [*setup.space, *filter(None, (setup.fidelity, setup.seed))]
    return None, f"{name[:60]!r} is no parameter that may be set (there are: {', '.join(known[:20]) or 'none'})"


def _seed(name: str, value: Any) -> tuple[Any, str]:
    found = _number(value)
    if found is None or not float(found).is_integer() or not 0 <= found < 2**_SEED_BITS:
        return None, f"the seed {name} is {_shown(value)}, not a whole number from 0 to 2^{_SEED_BITS} - 1"
    return int(found), ""


def _fidelity(name: str, full: Any, value: Any) -> tuple[Any, str]:
    found, whole = _number(value), _number(full)
    if found is None or found <= 0:
        return None, f"{name} is {_shown(value)}, not a number above 0"
    if whole is not None:
        if found > whole:
            return None, f"{name} is {_shown(value)}, more training than the baseline's {_shown(full)}"
        if isinstance(whole, int) and not float(found).is_integer():
            return None, f"{name} is {_shown(value)}, not a whole number"
    return int(found) if float(found).is_integer() and not isinstance(whole, float) else found, ""


def _in_knob(name: str, knob: Knob, value: Any) -> tuple[Any, str]:
    if knob.default is not None and same(value, knob.default):
        return knob.default, ""
    if isinstance(knob.dim, Values):
        for known in knob.dim.values:
            if same(value, known):
                return known, ""
        return None, f"{name} is {_shown(value)}, none of {', '.join(_shown(v) for v in knob.dim.values[:12])}"
    return _in_range(name, knob.dim, value)


def _in_range(name: str, dim: Range, value: Any) -> tuple[Any, str]:
    found = _number(value)
    if found is None:
        return None, f"{name} is {_shown(value)}, not a finite number"
    # The ends of a logarithmic range come out of exp(log(x)).
    slack = 1e-9 * max(abs(dim.low), abs(dim.high))
    if not dim.low - slack <= found <= dim.high + slack:
        return None, f"{name} is {_shown(value)}, outside {short(dim.low)} to {short(dim.high)}"
    kept = min(max(found, dim.low), dim.high)
    if dim.integer:
        if not float(kept).is_integer():
            return None, f"{name} is {_shown(value)}, not a whole number"
        return int(kept), ""
    return kept if isinstance(found, float) or kept != found else found, ""


def _number(value: Any) -> int | float | None:
    """A finite number, also one that was sent as text; None for anything else. A switch is no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = canonical(value)
        if isinstance(value, (str, bool)):
            return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, float) and math.isfinite(value):
        return value
    return None


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value) if isinstance(value, (int, float, bool)) else str(value)
    plain = "".join(c if c.isprintable() else "?" for c in text[:60])
    return plain + ("…" if len(text) > 60 else "")


# --- a smaller space --------------------------------------------------------------------------------------------------
def narrowed(setup: Setup, wanted: Any) -> tuple[dict[str, Knob], str]:
    """(the smaller space, "" or why it is not one). Parameters that are left out stay at their default from now on."""
    if not isinstance(wanted, Mapping) or not wanted:
        return {}, "a space names at least one parameter"
    space: dict[str, Knob] = {}
    for name, raw in wanted.items():
        old = setup.space.get(name) if isinstance(name, str) else None
        if old is None:
            return {}, f"{str(name)[:60]!r} is not in the space, which a person widens"
        try:
            knob = raw if isinstance(raw, Knob) else msgspec.convert(raw, Knob)
        except msgspec.ValidationError as error:
            return {}, f"{name}: {error}"
        dim, why = _within(str(name), old, knob)
        if why or dim is None:
            return {}, why
        # What a parameter is at in the baseline is not changed by searching less of it.
        space[str(name)] = Knob(dim=dim, default=old.default, why=knob.why[:_LONGEST] or old.why)
    return space, ""


def _within(name: str, old: Knob, new: Knob) -> tuple[Values | Range | None, str]:
    if isinstance(new.dim, Values):
        if not new.dim.values:
            return None, f"{name} has no values"
        kept = []
        for value in new.dim.values[:MOST_POINTS]:
            found, why = _in_knob(name, old, value)
            if why:
                return None, why
            kept.append(found)
        return Values(kept), ""
    if isinstance(old.dim, Values):
        return None, f"{name} has single values, not a range"
    dim = new.dim
    if not (math.isfinite(dim.low) and math.isfinite(dim.high)) or dim.low > dim.high:
        return None, f"{name}: {dim.low} to {dim.high} is no range"
    for end in (dim.low, dim.high):
        _, why = _in_range(name, Range(low=old.dim.low, high=old.dim.high), end)
        if why:
            return None, why
    steps = (dim.step is None or (math.isfinite(dim.step) and dim.step > 0)) and (dim.num is None or dim.num >= 1)
    if not steps or (dim.log and dim.low <= 0):
        return None, f"{name}: its steps or its logarithm make no sense"
    return msgspec.structs.replace(dim, integer=old.dim.integer), ""


def is_flag_name(text: Any) -> bool:
    """What may be taken for a flag's name: it reaches a command line as it stands."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None
