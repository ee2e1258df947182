"""Rules on training losses and gradient norms: not finite, spikes, divergence, plateau.

Every limit is a ratio to the metric's own past, never an absolute value: a healthy language model starts at 11. One
value above the limit is news at most; what interrupts somebody has lasted. The hot path keeps two things up to date,
the last 20 values in order and the best median of five, and looks no further while they say that all is well.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort

from ..domain.alert import Severity
from .stats import log_spread, median_of_sorted, short
from .watch_names import EVAL, GAME, GRAD, LOSS, PERPLEXITY, QUALITY
from .watch_raise import Spot, offer, seen, spelled
from .watch_state import FAR, KEEP, Metric, Watch

DIVERGED, WORSE, OVERFIT, STUCK, PLATEAU = 1, 2, 4, 8, 16  # bits of Metric.told

_PHRASES = {
    LOSS: "training loss",
    EVAL: "evaluation loss",
    GRAD: "gradient norm",
    GAME: "loss",
    PERPLEXITY: "perplexity",
}
# Which of several that are not finite is the news: the training loss, then what was measured with its weights.
_RANK = {LOSS: 3, EVAL: 2, GAME: 2, PERPLEXITY: 1, GRAD: 1, QUALITY: 0}
_GRAD_SPIKE = 10.0  # gradient norms have heavy tails


def remember(metric: Metric, step: int, value: float) -> None:
    """Keep a finite value: the recent ones in order of arrival, the last 20 also in order of size."""
    recent = metric.recent
    ordered = metric.sorted20
    if len(ordered) == 20:
        del ordered[bisect_left(ordered, recent[-20])]
    insort(ordered, value)
    recent.append(value)
    metric.steps.append(step)
    if len(recent) > 2 * KEEP - 1:
        del recent[:KEEP]
        del metric.steps[:KEEP]
    metric.count += 1


def not_finite(state: Watch, spot: Spot, values: list[tuple[int, str, float]]) -> None:
    """All values of one row that are not finite, as (kind, name, value): one alert, about the one that matters most.

    It asks once for each metric, and again only after that metric has been finite in between. What follows from a loss
    that is already known to be lost (its evaluations, its gradients) is told as info.
    """
    values = sorted(values, key=lambda item: (-_RANK[item[0]], len(item[1]), item[1]))
    fresh = []
    for kind, name, value in values:
        metric = state.metrics[name]
        known, metric.bad = metric.bad, str(spelled(value))
        if not known:
            fresh.append((kind, name, value))
    if not fresh:
        return
    kind, name, value = fresh[0]
    metric = state.metrics[name]
    names = {other for _, other, _ in fresh}
    lost = any(m.bad and n not in names and _RANK.get(m.kind, 0) >= _RANK[kind] for n, m in state.metrics.items())
    severity = Severity.CRITICAL
    text = f"The {_PHRASES.get(kind, 'score')} {name!r} is {short(value)} after {metric.count} finite values"
    text += f", the last of them {short(metric.recent[-1])}. " if metric.recent else ". "
    if len(fresh) > 1:
        text += f"So are {', '.join(other for _, other, _ in fresh[1:6])} in the same row. "
    if kind == QUALITY:
        severity = Severity.INFO
        text += "A score that is not a number is often 0/0 rather than a broken model."
    elif kind == PERPLEXITY and value == math.inf:
        severity = Severity.WARNING
        text += "A perplexity overflows long before its loss does; look at the loss."
    elif kind == GRAD:
        text += (
            "The next update most likely ruins the weights, unless a loss scaler skips it (with float16 a rare "
            "infinite norm is normal). If it stays, restart from a checkpoint with a lower learning rate or clip."
        )
    else:
        text += (
            "Once weights are not finite, no later step repairs them. Stop, and restart from a checkpoint before this "
            "step with a lower learning rate, gradient clipping or higher precision."
        )
    if lost:
        severity = Severity.INFO
    title = f"{name} became {short(value)} at step {spot.step}"
    offer(state, spot, "non_finite", severity, title, text, seen(spot, name, metric, value), lower_lr=True)


def train_loss(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    """A finite value of a training loss."""
    limits = state.limits
    recent = metric.recent
    if metric.count >= 5:
        ordered = metric.sorted20
        half = len(ordered) >> 1
        middle = ordered[half] if len(ordered) & 1 else 0.5 * ordered[half - 1] + 0.5 * ordered[half]
        if value > limits.spike * middle and not metric.signed and _beyond_noise(state, metric, value, middle):
            metric.hot += 1
            if metric.hot <= 2:
                _spike(state, spot, name, metric, value, middle)
        elif metric.hot:
            metric.hot = 0
    if value < 0.0:
        metric.signed = True
    remember(metric, spot.step, value)
    if metric.count < 5:
        if metric.count == 1:
            metric.first = value
        return
    middle = sorted(recent[-5:])[2]
    if middle < metric.best:
        metric.best = middle
        metric.best_step = spot.step
        if metric.told:
            recovered(state, spot, name, metric, value)
    if (
        middle > limits.divergence * metric.best
        and not metric.signed
        and _beyond_noise(state, metric, middle, metric.best)
    ):
        metric.held += 1
        if metric.held >= limits.hold and not metric.told & DIVERGED:
            _diverged(state, spot, name, metric, value, middle)
    elif metric.held:
        metric.held = 0
    if not metric.count % 20:
        _plateau(state, spot, name, metric, value)


def lone_spike(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    """A single jump of a loss that is logged beside each evaluation: told as info, however that loss is judged."""
    if metric.count < 5 or metric.signed:
        return
    middle = median_of_sorted(metric.sorted20)
    if value > state.limits.spike * middle and _beyond_noise(state, metric, value, middle):
        _jumped(state, spot, name, metric, value, middle)


def _beyond_noise(state: Watch, metric: Metric, value: float, base: float) -> bool:
    """Whether it also stands out of the window's own scatter: a loss near zero triples from batch to batch."""
    if base <= 0.0:
        return False
    ratio = value / base
    return ratio == math.inf or math.log(ratio) > state.limits.noise * log_spread(metric.sorted20)


def _spike(state: Watch, spot: Spot, name: str, metric: Metric, value: float, middle: float) -> None:
    if metric.hot == 1:
        _jumped(state, spot, name, metric, value, middle)
        return
    evidence = seen(spot, name, metric, value, middle, state.limits.spike * middle)
    title = f"{name} jumped to {short(value)} and stayed up at step {spot.step}"
    text = (
        f"{name!r} is {_times(metric, value, middle)}, for the second value in a row. If it does not come back within "
        "some tens of steps, restart from a checkpoint before the jump with a lower learning rate or clipping, or skip "
        "that data."
    )
    offer(state, spot, "spike_held", Severity.WARNING, title, text, evidence, lower_lr=True)


def _jumped(state: Watch, spot: Spot, name: str, metric: Metric, value: float, middle: float) -> None:
    evidence = seen(spot, name, metric, value, middle, state.limits.spike * middle)
    title = f"{name} jumped to {short(value)} at step {spot.step}"
    told = _times(metric, value, middle)
    text = f"It is {told}. One jump often heals by itself; a second in a row would be a warning."
    offer(state, spot, "spike", Severity.INFO, title, text, evidence)


def _times(metric: Metric, value: float, middle: float) -> str:
    return f"{short(value / middle)} times the median of the last {len(metric.sorted20)} values ({short(middle)})"


def _diverged(state: Watch, spot: Spot, name: str, metric: Metric, value: float, middle: float) -> None:
    metric.told |= DIVERGED
    limit = state.limits.divergence
    title = f"{name} is diverging: above {short(limit)}x its best for {metric.held} values at step {spot.step}"
    text = (
        f"Its median of five is {short(middle)}; the best was {short(metric.best)} at step {metric.best_step}. The run "
        "loses what it had learned: lower the learning rate, or go back to the checkpoint nearest to the best step."
    )
    evidence = seen(spot, name, metric, value, metric.best, limit * metric.best)
    offer(state, spot, "divergence", Severity.WARNING, title, text, evidence, lower_lr=True)


def _plateau(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    """Told as info once the best median of 20 has not improved by 0.5 % over the last half of at least 400 values."""
    if metric.signed:
        return
    middle = median_of_sorted(metric.sorted20)
    if metric.checked == FAR or middle < 0.995 * metric.checked:
        metric.checked, metric.checked_at = middle, metric.count
        metric.told &= ~PLATEAU
    elif metric.count >= 400 and metric.checked_at * 2 < metric.count and not metric.told & PLATEAU:
        metric.told |= PLATEAU
        title = f"{name} has stood still for {metric.count - metric.checked_at} values at step {spot.step}"
        text = (
            f"The best median of 20 values, {short(metric.checked)}, is that old: half of the run so far brought less "
            "than 0.5 %."
        )
        offer(state, spot, "plateau", Severity.INFO, title, text, seen(spot, name, metric, value, metric.checked))


def recovered(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    """A new best after trouble that was reported: worth a word, and the rules are armed again."""
    if metric.told & ~PLATEAU:
        title = f"{name} has recovered: a new best at step {spot.step}"
        text = f"It is {short(value)}, better than before the trouble that was reported."
        offer(state, spot, "new_best", Severity.INFO, title, text, seen(spot, name, metric, value, metric.best))
    metric.told &= PLATEAU


def grad_norm(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    """A finite gradient norm. Its jumps are told as info only: they often lead a loss spike and often mean nothing."""
    if metric.count >= 20 and value > _GRAD_SPIKE * metric.sorted20[9]:
        middle = median_of_sorted(metric.sorted20)
        if value > _GRAD_SPIKE * middle and _beyond_noise(state, metric, value, middle):
            metric.hot += 1
            if metric.hot == 1:
                title = f"{name} jumped to {short(value)} at step {spot.step}"
                text = (
                    f"It is {short(value / middle)} times the median of the last 20 values ({short(middle)}). Such "
                    "jumps often come before a spike of the loss; gradient clipping tames them."
                )
                evidence = seen(spot, name, metric, value, middle, _GRAD_SPIKE * middle)
                offer(state, spot, "spike", Severity.INFO, title, text, evidence)
    elif metric.hot:
        metric.hot = 0
    remember(metric, spot.step, value)
