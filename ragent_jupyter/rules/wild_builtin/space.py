"""What is searched, and what was learnt about it: defaults, retries, regions that break."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from ragent_jupyter.domain.ports_wild import Tried
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob, TrialView

from ..stats import median
from ..watch_names import is_learning_rate
from .standing import Standing, counts, equal, same

_BATCH = re.compile(r"(^|[._/-])(micro|mini|train|per_device|device)?[._-]?(batch|bs|bsz)([._-]?size)?$", re.IGNORECASE)
_ACCUMULATE = re.compile(r"(grad(ient)?s?[._-]?)?accum(ulat(e|ion))?([._-]?(steps|grad(s|_batches)?))?$", re.IGNORECASE)


def is_batch(name: str) -> bool:
    """
    >>> [is_batch(n) for n in ("batch_size", "batch", "per_device_train_batch_size", "batchnorm")]
    [True, True, True, False]
    """
    return bool(_BATCH.search(name)) or name.lower().endswith("batch_size")


def default_point(space: dict[str, Knob]) -> dict[str, Any]:
    return {name: knob.default for name, knob in space.items() if knob.default is not None}


def tried(at: Standing) -> list[Tried]:
    """What the optimiser is told: the default, then every search run in the order of its proposal.

    Out of memory and NaN are constraints that were broken, other failures are no values at all; nothing is ever told as
    a bad number that nobody measured. A candidate that was re-run on fresh seeds is told as what those said.
    """
    told: list[Tried] = []
    if at.anchor is not None:
        told.append(Tried(params=default_point(at.setup.space), value=at.anchor.value))
    good = [at.sign * (t.value or 0.0) for t in at.search if counts(t)]
    middle = median(good) if good else math.inf
    for trial in at.search:
        value = trial.value if counts(trial) else None
        verdict = at.tested(trial.params)
        if value is not None and verdict is not None and None not in (verdict.effect, at.anchor and at.anchor.value):
            value = (at.anchor.value or 0.0) + (verdict.effect or 0.0)  # type: ignore[union-attr]
        if value is None and trial.failure == "stopped":
            # Stopped half way because it was bad: what it had reached is real, and says where not to go. Where it
            # would flatter, it stays untold.
            last = trial.value if trial.value is not None else trial.curve[-1][1] if trial.curve else math.nan
            value = last if math.isfinite(last) and at.sign * last >= middle else None
        told.append(Tried(params=trial.params, value=value, infeasible=trial.failure in ("oom", "nan")))
    return told


def narrowed(space: dict[str, Knob], trials: Sequence[TrialView]) -> tuple[dict[str, Knob], str]:
    """The space without learning rates that gave NaN, and why.

    Two runs have to have diverged, and no run with a value may stand at or above the cut; the default stays inside.
    """
    for name, knob in space.items():
        dim = knob.dim
        if not is_learning_rate(name) or not isinstance(dim, Range):
            continue
        lost = sorted(t.params[name] for t in trials if t.failure == "nan" and _is_number(t.params.get(name)))
        fine = [t.params[name] for t in trials if counts(t) and _is_number(t.params.get(name))]
        lost = [value for value in lost if value > max([*fine, dim.low])]
        if len(lost) < 2 or not dim.low < lost[0] < dim.high:
            continue
        if _is_number(knob.default) and dim.low <= knob.default <= dim.high and lost[0] <= knob.default:
            continue
        cut = {**space, name: replace(knob, dim=replace(dim, high=lost[0]))}
        return cut, f"{len(lost)} runs with {name} of {lost[0]:.4g} or more became NaN; it stays below that."
    return space, ""


def shrunk(space: dict[str, Knob], best: Mapping[str, Any] | None = None) -> dict[str, Knob]:
    """Half of each axis around the default: geometric where it is searched so. Choices shrink to the default and half
    of the rest; an axis whose default is not on it keeps its middle.

    best: the parameters of the best run so far. They stay inside, for it is tested and taken apart later.

    >>> shrunk({"lr": Knob(dim=Range(0.001, 0.1, log=True), default=0.01)})["lr"].dim.high
    0.0316228
    """
    found, held = {}, dict(best or {})
    for name, knob in space.items():
        dim = knob.dim
        if isinstance(dim, Values):
            place = next((i for i, value in enumerate(dim.values) if equal(value, knob.default)), 0)
            keep = max(1, (len(dim.values) + 1) // 2)
            first = min(max(0, place - keep // 2), len(dim.values) - keep)
            at = [i for i, value in enumerate(dim.values) if name in held and equal(value, held[name])]
            start, end = min([first, *at]), max([first + keep, *(i + 1 for i in at)])
            found[name] = replace(knob, dim=Values(dim.values[start:end]))
            continue
        log = dim.log and dim.low > 0
        low, high = (math.log(dim.low), math.log(dim.high)) if log else (dim.low, dim.high)
        middle = (low + high) / 2
        if _is_number(knob.default) and dim.low <= knob.default <= dim.high:
            middle = math.log(knob.default) if log else float(knob.default)
        ends = [max(low, middle - (high - low) / 4), min(high, middle + (high - low) / 4)]
        ends = [float(f"{math.exp(end) if log else end:.6g}") for end in ends]
        if dim.integer:
            ends = [float(math.floor(ends[0])), float(math.ceil(ends[1]))]
        kept = held.get(name)
        if isinstance(kept, (int, float)) and _is_number(kept):
            ends = [min(ends[0], float(kept)), max(ends[1], float(kept))]
        found[name] = replace(knob, dim=replace(dim, low=ends[0], high=max(ends)))
    return found


def retries(at: Standing) -> list[tuple[TrialView, dict[str, Any]]]:
    """Runs that were out of memory, each with half its batch (and twice the accumulation): once a point."""
    found: list[tuple[TrialView, dict[str, Any]]] = []
    for trial in at.search:
        half = half_batch(at.setup.space, trial.params) if trial.failure == "oom" else None
        if half is None or any(same(other.params, half) for other in at.search):
            continue
        if any(twice is not None and same(twice, trial.params) for twice in _halves_of(at)):
            continue  # it was such a retry itself
        if not any(same(half, point) for _, point in found):
            found.append((trial, half))
    return found


def _halves_of(at: Standing) -> list[dict[str, Any] | None]:
    return [half_batch(at.setup.space, t.params) for t in at.search if t.failure == "oom"]


def half_batch(space: dict[str, Knob], params: dict[str, Any]) -> dict[str, Any] | None:
    name = next((n for n in space if is_batch(n) and _is_number(params.get(n))), None)
    if name is None:
        return None
    half = type(params[name])(params[name] / 2)
    if half < 1 or not holds(space[name], half):
        return None
    point = {**params, name: half}
    other = next((n for n in space if _ACCUMULATE.search(n) and _is_number(params.get(n))), None)
    if other is not None and holds(space[other], params[other] * 2):
        point[other] = params[other] * 2
    return point


def holds(knob: Knob, value: Any) -> bool:
    if isinstance(knob.dim, Values):
        return any(equal(value, known) for known in knob.dim.values)
    return _is_number(value) and bool(knob.dim.low <= value <= knob.dim.high)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def space_fields(space: dict[str, Knob]) -> dict[str, Any]:
    """A space as a change of the setup: plain JSON, as it is remembered."""
    return {"space": to_builtins(space)}
