"""What a loop searches: the few options of a script that usually matter, each in a range around its default."""

from __future__ import annotations

import msgspec

from ragent_jupyter.domain.script import Flag, Script
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob

from .script.ranges import concept
from .script.vocabulary import words

MOST = 8  # knobs; a night of a hundred runs says little about more
_LEAST = 6  # weight below which an option is only taken where nothing better is there


def propose(script: Script) -> dict[str, Knob]:
    """Knobs by name, the most important first. Never a seed, the training length, or what is no hyper-parameter.

    Each default lies inside its range, so that the baseline is a point of the space.
    """
    ranked = sorted(
        ((concept(flag), flag) for flag in script.flags if flag.role == "tune" and flag.dim is not None),
        key=lambda pair: -pair[0].weight,
    )
    heads = next(
        (f for f in script.flags if "head" in words(f.name) and isinstance(f.value, int) and f.value > 0), None
    )
    strong = [pair for pair in ranked if pair[0].weight >= _LEAST]
    found: dict[str, Knob] = {}
    for kind, flag in strong or ranked:
        dim = flag.dim
        if dim is None or kind.name == "head":  # heads must divide the width: searched together, half would fail
            continue
        if kind.name == "width" and heads is not None and isinstance(dim, Values):
            dim = _divisible(dim, flag, heads)
        if kind.name == "warmup":
            dim = _within(dim, flag, script)
        if _alone(dim):
            continue
        found[flag.name] = Knob(dim=dim, default=flag.value, why=f"{kind.why}; {flag.why}" if flag.why else kind.why)
        if len(found) == MOST:
            break
    return found


def _alone(dim: Values | Range) -> bool:
    return len(dim.values) < 2 if isinstance(dim, Values) else dim.low >= dim.high


def _divisible(dim: Values, flag: Flag, heads: Flag) -> Values:
    if not isinstance(flag.value, int) or flag.value % heads.value:
        return dim
    return Values([v for v in dim.values if v % heads.value == 0])


def _within(dim: Values | Range, flag: Flag, script: Script) -> Values | Range:
    """A warm-up that is counted in the unit of the training length must not outlast half of it."""
    unit = {"step", "iter", "epoch", "timestep", "batch"} & set(words(flag.name)) or {"step", "iter"}
    for one in script.flags:
        if one.role == "fidelity" and unit & set(words(one.name)) and isinstance(one.value, int):
            half = one.value // 2
            if isinstance(dim, Range) and dim.integer and flag.value <= half < dim.high:
                return msgspec.structs.replace(dim, high=float(half))
    return dim
