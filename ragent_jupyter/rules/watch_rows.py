"""Rows of metrics: what kind each name is, which rules see its value, and what a row no longer says."""

from __future__ import annotations

from ..domain.alert import Severity
from .watch_facts import Block, Points, Raise
from .watch_loss import eval_loss, grad_norm, not_finite, train_loss
from .watch_names import EVAL, GAME, GRAD, LOSS, PERPLEXITY, QUALITY, SPEED, classify, is_eval_name, is_reward
from .watch_raise import became, offer, seen
from .watch_shapes import shape_seen
from .watch_state import FAR, MAX_METRICS, MAX_NAMES, Metric, Watch
from .watch_time import clock_row, speed

_STEP_LIMIT = 1 << 53  # beyond it a JSON reader elsewhere may round
_WATCHED_SHAPES = frozenset({LOSS, EVAL, GRAD})


def points(state: Watch, fact: Points, out: list[Raise]) -> None:
    """Each row in its order; nothing depends on where a fact ends."""
    source = fact.source
    kinds = state.kinds
    for row in fact.rows:
        step = row.step
        if step is None:
            step = state.counters.get(source, 0)
            state.counters[source] = step + 1
        values = row.values
        now = clock_row(state, row.time)
        shape_seen(state, out, source, values, step, now, row.offset)
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is None:
                kind = _meet(state, name)
            if kind:
                _feed(state, out, kind, name, step, now, value, source, row.offset)


def block(state: Watch, fact: Block, out: list[Raise]) -> None:
    """The same rows as columns: names that no rule watches cost nothing."""
    names = fact.names
    offsets = fact.offsets
    watched = []
    for name, column in zip(names, fact.columns, strict=True):
        kind = state.kinds.get(name)
        if kind is None:
            kind = _meet(state, name)
        if kind:
            watched.append((kind, name, column))
    keys = dict.fromkeys(names, 0.0)
    for index, step in enumerate(fact.steps):
        offset = offsets[index] if offsets else 0
        now = clock_row(state, fact.times[index])
        shape_seen(state, out, fact.source, keys, step, now, offset)
        for kind, name, column in watched:
            _feed(state, out, kind, name, step, now, column[index], fact.source, offset)


def _meet(state: Watch, name: str) -> int:
    kind = classify(name)
    if len(state.kinds) < MAX_NAMES:
        state.kinds[name] = kind
    return kind


def _feed(
    state: Watch, out: list[Raise], kind: int, name: str, step: int, now: float, value: float, source: str, offset: int
) -> None:
    metric = state.metrics.get(name)
    if metric is None:
        if len(state.metrics) >= MAX_METRICS:
            return
        metric = state.metrics[name] = Metric(kind=kind)
        if kind == LOSS and (not state.main_loss or len(name) < len(state.main_loss)):
            state.main_loss = name
    if not -_STEP_LIMIT < step < _STEP_LIMIT:
        step = _STEP_LIMIT if step > 0 else -_STEP_LIMIT
    if step <= metric.step:
        if step < metric.step:
            _rewound(metric)
    metric_step, metric.step = metric.step, step
    if value - value != 0.0:  # NaN and both infinities
        if kind in (LOSS, EVAL, GRAD, GAME, PERPLEXITY):
            not_finite(state, out, name, metric, step, now, value, source, offset)
        elif kind == QUALITY and not metric.bad:
            metric.bad = "nan"
            offer(
                state, out, now, "non_finite", Severity.INFO, f"{name} {became(value)} at step {step}",
                "A score that is not a number is often 0/0, not a broken model.",
                seen(name, metric, step, value, source, offset),
            )  # fmt: skip
        return
    if metric.bad:
        metric.bad = ""
    if kind == LOSS:
        if metric_step == state.eval_step:
            metric.together += 1
        elif metric.together:
            metric.together = 0
        if metric.together >= 3:
            eval_loss(state, out, name, metric, step, now, value, source, offset)
        else:
            train_loss(state, out, name, metric, step, now, value, source, offset)
    elif kind == EVAL:
        if step != state.eval_step:
            state.eval_step = step
            state.evals_since_quality += 1
        eval_loss(state, out, name, metric, step, now, value, source, offset)
    elif kind == GRAD:
        grad_norm(state, out, name, metric, step, now, value, source, offset)
    elif kind == SPEED:
        speed(state, out, name, metric, step, now, value, source, offset)
    elif kind == QUALITY:
        _quality(state, name, value)


def _quality(state: Watch, name: str, value: float) -> None:
    """Held-out scores only tell the overfit rule whether a rising loss is harmful. Rewards get no rule at all."""
    if is_reward(name) or not is_eval_name(name):
        return
    best = state.quality_best.get(name)
    if best is None or value > best:
        if best is not None or len(state.quality_best) < 50:
            state.quality_best[name] = value
        state.evals_since_quality = 0


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
    metric.hot = metric.held = metric.over = metric.told = metric.together = 0
    metric.low_since = -1.0
