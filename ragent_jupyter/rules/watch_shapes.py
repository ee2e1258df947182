"""A metric that is no longer in the rows where it always was.

CSV writers spell NaN as an empty cell and some JSON encoders as null, so that a loss which became NaN just goes
missing while its neighbours (`lr`, `grad_norm`) go on. The rule learns which sets of names ("shapes") rows have: once
rows that lack a loss, and otherwise say a part of what rows with it said, have come in a longer series than ever
before, the loss has gone silent. That evaluation rows have other names, and that a script logs its loss only for the
first hundred steps together with everything else in that row, raises nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..domain.alert import Severity
from .stats import median_of_sorted, short
from .watch_facts import Raise
from .watch_names import EVAL, GRAD, LOSS, classify
from .watch_raise import offer, seen
from .watch_state import MAX_SHAPES, Shape, Watch

_ESTABLISHED = 10  # rows of the full shape before its absence means anything
_SILENT = 10  # rows without, at least
_MAX_NAMES = 200


def shape_seen(
    state: Watch, out: list[Raise], source: str, values: Mapping[str, float], step: int, now: float, offset: int
) -> None:
    """One row with these names."""
    key = f"{source}\n" + "\0".join(values)
    shape = state.shapes.get(key)
    if shape is None:
        shape = _learn(state, key, source, values)
        if shape is None:
            return
    shape.count += 1
    shape.last_step = step
    for poor in shape.poorer:
        other = state.shapes[poor]
        run = other.run.get(key, 0)
        if run:
            other.longest[key] = max(other.longest.get(key, 0), run)
            other.run[key] = 0
    for rich in shape.richer:
        run = shape.run.get(rich, 0) + 1
        shape.run[rich] = run
        if run >= _SILENT and run == max(_SILENT, 3 * shape.longest.get(rich, 0)):
            full = state.shapes[rich]
            if full.count >= _ESTABLISHED:
                _silent(state, out, source, full, shape, run, step, now, offset)


def _learn(state: Watch, key: str, source: str, values: Mapping[str, float]) -> Shape | None:
    if len(state.shapes) >= MAX_SHAPES or not 0 < len(values) <= _MAX_NAMES:
        return None
    shape = Shape(names=list(values))
    mine = set(values)
    for other_key, other in state.shapes.items():
        if not other_key.startswith(source + "\n"):
            continue
        theirs = set(other.names)
        if theirs > mine and _losses(theirs - mine):
            shape.richer.append(other_key)
            other.poorer.append(key)
        elif theirs < mine and _losses(mine - theirs):
            shape.poorer.append(other_key)
            other.richer.append(key)
    state.shapes[key] = shape
    return shape


def _losses(names: set[str]) -> list[str]:
    return sorted(name for name in names if classify(name) in (LOSS, EVAL, GRAD))


def _silent(
    state: Watch, out: list[Raise], source: str, full: Shape, left: Shape, run: int, step: int, now: float, offset: int
) -> None:
    """Critical if the last values were already far off or loss and gradient norm left together, else a warning."""
    gone = [name for name in _losses(set(full.names) - set(left.names)) if name in state.metrics]
    gone.sort(key=lambda name: (state.metrics[name].kind, len(name), name))
    gone = [name for name in gone if state.metrics[name].step < step]
    if not gone:
        return
    name = gone[0]
    metric = state.metrics[name]
    if metric.bad:
        return  # it said NaN itself, and that has been told
    last = metric.recent[-1] if metric.recent else 0.0
    middle = median_of_sorted(metric.sorted20) if metric.sorted20 else 0.0
    wild = 0.0 < state.limits.spike * middle < last
    both = {state.metrics[n].kind for n in gone} >= {LOSS, GRAD}
    metric.bad = "silent"
    others = f" Gone with it: {', '.join(gone[1:6])}." if len(gone) > 1 else ""
    offer(
        state, out, now, "silent", Severity.CRITICAL if wild or both else Severity.WARNING,
        f"{name} went silent after step {metric.step}, most likely NaN",
        f"{run} rows came without {name!r} while {', '.join(left.names[:3])} went on; it had been in all {full.count} rows "
        f"of its kind. Files that cannot say NaN leave the cell empty. Its last value was {short(last)} (median of the "
        f"last {len(metric.sorted20)}: {short(middle)}).{others} Look at the log, and restart from a checkpoint if so.",
        seen(name, metric, metric.step, last, source, offset, middle, state.limits.spike * middle), lower_lr=True,
    )  # fmt: skip
