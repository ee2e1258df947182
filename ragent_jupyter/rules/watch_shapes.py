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
from .watch_names import EVAL, GRAD, LOSS, classify
from .watch_raise import Spot, offer, seen
from .watch_state import MAX_SHAPES, Shape, Watch

_ESTABLISHED = 10  # rows of the full shape before its absence means anything
_SILENT = 10  # rows without, at least
_MAX_NAMES = 200


def shape_seen(state: Watch, spot: Spot, values: Mapping[str, float]) -> None:
    """One row with these names."""
    key = f"{spot.source}\n" + "\0".join(values)
    shape = state.shapes.get(key)
    if shape is None:
        shape = _learn(state, key, spot.source, values)
        if shape is None:
            return
    shape.count += 1
    for poor in shape.poorer:
        other = state.shapes[poor]
        run = other.run.get(key, 0)
        if run:
            other.longest[key] = max(other.longest.get(key, 0), run)
            other.run[key] = 0
    for rich in shape.richer:
        run = shape.run.get(rich, 0) + 1
        shape.run[rich] = run
        if run == max(_SILENT, 3 * shape.longest.get(rich, 0)):
            full = state.shapes[rich]
            if full.count >= _ESTABLISHED:
                _silent(state, spot, full, shape, run)


def shape_again(state: Watch, spot: Spot, values: Mapping[str, float], count: int) -> bool:
    """Right after `shape_seen`: `count` more rows with the same names. False: each of them must be seen by itself."""
    shape = state.shapes.get(f"{spot.source}\n" + "\0".join(values))
    if shape is None:
        return True  # there are too many shapes, or too many names in this one
    if shape.richer:
        return False
    shape.count += count
    return True


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


def _silent(state: Watch, spot: Spot, full: Shape, left: Shape, run: int) -> None:
    """Critical if the last value was already far off. Else a warning: the script may only log it less often now."""
    gone = [name for name in _losses(set(full.names) - set(left.names)) if name in state.metrics]
    gone = [name for name in gone if state.metrics[name].step < spot.step]
    if not gone:
        return
    gone.sort(key=lambda name: (state.metrics[name].kind, len(name), name))  # a training loss first
    name = gone[0]
    metric = state.metrics[name]
    if metric.bad:
        return  # it said NaN itself before it left, and that has been told
    last = metric.recent[-1] if metric.recent else 0.0
    middle = median_of_sorted(metric.sorted20) if metric.sorted20 else 0.0
    wild = 0.0 < state.limits.spike * middle < last
    for other in gone:
        state.metrics[other].bad = "silent"
    also = f" Gone with it: {', '.join(gone[1:6])}." if len(gone) > 1 else ""
    title = f"{name} went silent after step {metric.step}, most likely NaN"
    text = (
        f"{run} rows came without {name!r} while {', '.join(left.names[:3])} went on; {full.count} rows had had it. "
        "Files that cannot say NaN leave the cell empty. "
        f"Its last value was {short(last)} (median of the last {len(metric.sorted20)}: {short(middle)}).{also} If it "
        "is NaN, no later step repairs it: restart from a checkpoint before it with a lower learning rate or clipping."
    )
    severity = Severity.CRITICAL if wild else Severity.WARNING
    there = Spot(spot.out, spot.now, spot.source, metric.step, spot.offset)  # the last value, not this row
    evidence = seen(there, name, metric, last, middle, state.limits.spike * middle)
    offer(state, spot, "silent", severity, title, text, evidence, lower_lr=True)
