"""Cheap looks at single parameters before a long search: those that change nothing are left out of it."""

from __future__ import annotations

from typing import Any

from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import ChangeSetup, Knob, ProposeSweep

from ..stats import short
from .shares import Shares
from .space import space_fields
from .standing import Standing, counted, counts, seen, spread
from .steps import Step

_KNOBS = 5  # fewer are all searched
_SHARE = 0.25  # of the training length
_COST = 0.2  # of the search's runs, at most
_LEAST_SEARCH = 60
_KEPT = 3  # knobs that are searched whatever the screen says
_NOISES = 2.0


def screening(at: Standing, budget: Shares) -> Step | None:
    """One parameter at a time, a little and a lot, at a quarter of the length. None where it would not pay."""
    space, setup = at.setup.space, at.setup
    n = 2 * len(space) + 1
    if at.of("screen") or at.search or len(space) < _KNOBS or budget.search < _LEAST_SEARCH:
        return None
    cheap = _cheap(setup.full)
    if not setup.fidelity or cheap is None or n > _COST * budget.search:
        return None
    seed = None if at.anchor is None else at.anchor.seed
    points = [at.point({setup.fidelity: cheap}, seed)]
    for name, knob in space.items():
        points += [at.point({name: v, setup.fidelity: cheap}, seed) for v in _ends(knob) if v != knob.default]
    why = (
        f"{len(space)} parameters are many for {budget.search} runs: each is moved alone, at {setup.fidelity} {cheap} "
        f"instead of {setup.full}, to leave out those that change nothing."
    )
    sweep = ProposeSweep(name="screen", points=points, purpose="screen", reason=why)
    return Step(sweep, why, seen([at.anchor] if at.anchor else []), "rule:screen")


def screened(at: Standing) -> Step | None:
    """The space without parameters that changed nothing; None where all did something or too little is known."""
    setup = at.setup
    runs = [t for t in at.of("screen") if counts(t)]
    plain = next((t for t in runs if set(t.params) <= {setup.fidelity}), None)
    if plain is None or at.search:
        return None
    moved: dict[str, list[float]] = {}
    for trial in runs:
        names = [name for name in trial.params if name in setup.space]
        if len(names) == 1:
            moved.setdefault(names[0], []).append(abs((trial.value or 0.0) - (plain.value or 0.0)))
    noise = _noise(at)
    if noise is None:
        return None
    dead = sorted((max(d), name) for name, d in moved.items() if len(d) >= 2 and max(d) <= _NOISES * noise)
    dead = dead[: max(0, len(setup.space) - _KEPT)]
    if not dead:
        return None
    names = [name for _, name in dead]
    why = (
        f"{', '.join(names)} moved {setup.metric} by at most {short(dead[-1][0])}, within the noise of "
        f"{short(noise)}: {counted(len(setup.space) - len(names), 'parameter')} stay in the search."
    )
    space = {name: knob for name, knob in setup.space.items() if name not in names}
    return Step(ChangeSetup(fields=space_fields(space), reason=why), why, seen(runs), "rule:screen")


def _noise(at: Standing) -> float | None:
    """Seeds' spread at the cheap length, where the curves show it; never less than at the end."""
    if at.sigma is None:
        return None
    early = []
    for trial in at.base:
        if counts(trial) and len(trial.curve) >= 4:
            end = trial.curve[-1][0]
            early.append([value for step, value in trial.curve if step <= _SHARE * end][-1:])
    at_quarter = spread([values[0] for values in early if values])
    return max(at.sigma, at_quarter or 0.0)


def _cheap(full: Any) -> Any:
    if isinstance(full, bool) or not isinstance(full, (int, float)) or full * _SHARE < 1:
        return None
    return max(1, int(full * _SHARE)) if isinstance(full, int) else full * _SHARE


def _ends(knob: Knob) -> list[Any]:
    """A quarter and three quarters along the axis."""
    dim = knob.dim
    if isinstance(dim, Values):
        others = [value for value in dim.values if value != knob.default]
        return [others[0], others[-1]] if len(others) > 1 else others
    return [_along(dim, share) for share in (0.25, 0.75)]


def _along(dim: Range, share: float) -> Any:
    value = dim.low * (dim.high / dim.low) ** share if dim.log else dim.low + share * (dim.high - dim.low)
    return round(value) if dim.integer else float(f"{value:.6g}")
