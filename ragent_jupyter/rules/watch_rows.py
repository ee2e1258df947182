"""Rows of metrics: what kind each name is, and which rules see its value."""

from __future__ import annotations

import math

from .watch_eval import eval_loss, quality
from .watch_facts import Block, Points, Raise
from .watch_loss import grad_norm, lone_spike, not_finite, train_loss
from .watch_names import EVAL, GAME, GRAD, LOSS, PERPLEXITY, QUALITY, SPEED, classify
from .watch_raise import Spot
from .watch_shapes import shape_again, shape_seen
from .watch_state import FAR, MAX_METRICS, MAX_NAMES, Metric, Watch
from .watch_time import clock_row, clock_rows, speed

_STEP_LIMIT = 1 << 53  # beyond it a JSON reader elsewhere may round
_MUST_BE_FINITE = frozenset({LOSS, EVAL, GRAD, GAME, PERPLEXITY, QUALITY})

Late = list[tuple[int, str, float]]  # kind, name, value that is not finite


def points(state: Watch, fact: Points, out: list[Raise]) -> None:
    """Each row in its order; nothing depends on where a fact ends."""
    source = fact.source
    kinds = state.kinds
    spot = Spot(out, source=source)
    for row in fact.rows:
        step = row.step
        if step is None:
            step = state.counters.get(source, 0)
            state.counters[source] = step + 1
        elif not -_STEP_LIMIT < step < _STEP_LIMIT:
            step = _STEP_LIMIT if step > 0 else -_STEP_LIMIT
        spot.step = step
        spot.offset = row.offset
        spot.now = clock_row(state, row.time)
        values = row.values
        shape_seen(state, spot, values)
        late: Late = []
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is None:
                kind = _meet(state, name)
            if kind:
                _feed(state, spot, kind, name, value, late)
        if late:
            not_finite(state, spot, late)


def block(state: Watch, fact: Block, out: list[Raise]) -> None:
    """The same rows as columns: names that no rule watches cost nothing."""
    names, offsets = fact.names, fact.offsets
    if not fact.steps:
        return
    watched = []
    for name, column in zip(names, fact.columns, strict=True):
        kind = state.kinds.get(name)
        if kind is None:
            kind = _meet(state, name)
        if kind:
            watched.append((kind, name, column))
    keys = dict.fromkeys(names, 0.0)
    spot = Spot(out, source=fact.source)
    settled = False  # the rows after the first teach nothing new about shapes
    for index, step in enumerate(fact.steps):
        spot.step = step if -_STEP_LIMIT < step < _STEP_LIMIT else _STEP_LIMIT if step > 0 else -_STEP_LIMIT
        spot.offset = offsets[index] if offsets else 0
        spot.now = clock_row(state, fact.times[index])
        if not settled:
            shape_seen(state, spot, keys)
            if index == 0:
                settled = shape_again(state, spot, keys, len(fact.steps) - 1)
                if settled and not watched:
                    clock_rows(state, fact.times[1:])
                    return
        late: Late = []
        for kind, name, column in watched:
            _feed(state, spot, kind, name, column[index], late)
        if late:
            not_finite(state, spot, late)


def _meet(state: Watch, name: str) -> int:
    kind = classify(name)
    if len(state.kinds) < MAX_NAMES:
        state.kinds[name] = kind
    return kind


def _feed(state: Watch, spot: Spot, kind: int, name: str, value: float, late: Late) -> None:
    metric = state.metrics.get(name)
    if metric is None:
        if len(state.metrics) >= MAX_METRICS:
            return
        metric = state.metrics[name] = Metric(kind=kind)
        if kind == LOSS and (not state.main_loss or len(name) < len(state.main_loss)):
            state.main_loss = name
    step = spot.step
    before = metric.step
    if step < before:
        _rewound(metric)
    metric.step = step
    if value.__class__ is not float:
        value = _as_float(value)
    if value - value != 0.0:  # NaN and both infinities
        if kind in _MUST_BE_FINITE:
            late.append((kind, name, value))
        return
    if metric.bad:
        metric.bad = ""
    if kind == LOSS:
        if before == state.eval_step:
            metric.together += 1
        elif metric.together:
            metric.together = 0
        if metric.together >= 3:  # logged with each evaluation: an average like those
            lone_spike(state, spot, name, metric, value)
            eval_loss(state, spot, name, metric, value)
        else:
            train_loss(state, spot, name, metric, value)
    elif kind == GRAD:
        grad_norm(state, spot, name, metric, value)
    elif kind == EVAL:
        if step != state.eval_step:
            state.eval_step = step
            state.evals += 1
            state.evals_since_quality += 1
        eval_loss(state, spot, name, metric, value)
    elif kind == SPEED:
        speed(state, spot, name, metric, value)
    elif kind == QUALITY:
        quality(state, name, value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an int of hundreds of digits
        return math.inf if value > 0 else -math.inf


def _rewound(metric: Metric) -> None:
    """The step went back: a restart from a checkpoint, so the past is another segment's.

    A script that counts batches anew in each epoch rewinds all the time; from the third time on it is no news.
    """
    metric.rewinds += 1
    if metric.rewinds > 2:
        return
    metric.count = 0
    metric.recent.clear()
    metric.steps.clear()
    metric.sorted20.clear()
    metric.best = metric.checked = metric.partner_at_best = FAR
    metric.hot = metric.held = metric.over = metric.told = metric.together = metric.checked_at = 0
    metric.low_since = -1.0
