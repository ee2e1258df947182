"""Rules on losses and gradient norms: not finite, spikes, divergence, evaluations that get worse.

Every limit is a ratio to the metric's own past, never an absolute value: a healthy language model starts at 11. One
value above the limit is news at most; what interrupts somebody has lasted. The hot path keeps two things up to date,
the last 20 values in order and the best median of five, and looks no further while they say that all is well.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort

from ..domain.alert import Severity
from .stats import log_spread, median_of_sorted, short
from .watch_facts import Raise
from .watch_names import EVAL, GAME, GRAD, LOSS, PERPLEXITY
from .watch_raise import became, offer, seen, spelled
from .watch_state import FAR, KEEP, Metric, Watch

TOLD_DIVERGED, TOLD_WORSE, TOLD_OVERFIT, TOLD_STUCK, TOLD_PLATEAU = 1, 2, 4, 8, 16
_PHRASES = {LOSS: "training loss", EVAL: "evaluation loss", GRAD: "gradient norm"}


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


def not_finite(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str, offset: int
) -> None:
    """A value is NaN or infinite. It asks once; it may ask again after the metric has been finite again."""
    was, metric.bad = metric.bad, str(spelled(value))
    if was:
        return
    kind = metric.kind
    severity = Severity.CRITICAL
    text = (
        f"The {_PHRASES.get(kind, 'metric')} {name!r} {became(value)} after {metric.count} finite values"
        + (f", the last of them {short(metric.recent[-1])}" if metric.recent else "")
        + ". "
    )
    if kind == GRAD:
        text += (
            "The weights are most likely lost with the next update, unless a loss scaler skips it (with float16 a "
            "rare infinite norm is normal). Stop and restart from a checkpoint with a lower learning rate or clipping."
        )
    elif kind in (LOSS, EVAL) or (kind == GAME) or value != value:
        text += (
            "Once weights are NaN no later step repairs them. Stop, and restart from a checkpoint before this step "
            "with a lower learning rate, gradient clipping or higher precision."
        )
    if kind == PERPLEXITY and value == value:
        severity = Severity.WARNING
        text += "A perplexity overflows before its loss does; look at the loss."
    offer(
        state, out, now, "non_finite", severity, f"{name} {became(value)} at step {step}", text,
        seen(name, metric, step, value, source, offset), lower_lr=True,
    )  # fmt: skip


def train_loss(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str, offset: int
) -> None:
    """A finite value of a training loss."""
    limits = state.limits
    ordered = metric.sorted20
    recent = metric.recent
    if metric.count >= 5:
        size = len(ordered)
        middle = ordered[size >> 1] if size & 1 else 0.5 * ordered[(size >> 1) - 1] + 0.5 * ordered[size >> 1]
        if value > limits.spike * middle and not metric.signed and _beyond_noise(state, metric, value, middle):
            metric.hot += 1
            if metric.hot <= 2:
                _spike(state, out, name, metric, step, now, value, source, offset, middle)
        elif metric.hot:
            metric.hot = 0
    if value < 0.0:
        metric.signed = True
    remember(metric, step, value)
    if metric.count < 5:
        if metric.count == 1:
            metric.first = value
        return
    middle = sorted(recent[-5:])[2]
    if middle < metric.best:
        metric.best = middle
        metric.best_step = step
        if metric.told:
            _recovered(state, out, name, metric, step, now, value, source, offset)
    if middle > limits.divergence * metric.best and not metric.signed and metric.best > 0.0:
        metric.held += 1
        if metric.held == limits.hold and not metric.told & TOLD_DIVERGED:
            _diverged(state, out, name, metric, step, now, value, source, offset, middle)
    elif metric.held:
        metric.held = 0
    if not metric.count % 20:
        _plateau(state, out, name, metric, step, now, value, source, offset)


def _beyond_noise(state: Watch, metric: Metric, value: float, middle: float) -> bool:
    """Whether it also stands out of the window's own scatter: a loss near zero triples from batch to batch."""
    if middle <= 0.0:
        return False
    limit = state.limits.noise * log_spread(metric.sorted20)
    return math.log(value / middle) > limit if value / middle < math.inf else True


def _spike(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str,
    offset: int, middle: float,
) -> None:  # fmt: skip
    threshold = state.limits.spike * middle
    evidence = seen(name, metric, step, value, source, offset, middle, threshold)
    times = f"{short(value / middle)} times the median of the last {len(metric.sorted20)} values ({short(middle)})"
    if metric.hot == 1:
        offer(
            state, out, now, "spike", Severity.INFO, f"{name} jumped to {short(value)} at step {step}",
            f"It is {times}. One jump often heals by itself; a second in a row would be a warning.", evidence,
        )  # fmt: skip
        return
    offer(
        state, out, now, "spike_held", Severity.WARNING, f"{name} jumped and stayed up at step {step}",
        f"{name!r} is {short(value)}, {times}, for the second value in a row. If it does not come back within some tens "
        "of steps, restart from a checkpoint before the jump with a lower learning rate or clipping, or skip that data.",
        evidence, lower_lr=True,
    )  # fmt: skip


def _diverged(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str,
    offset: int, middle: float,
) -> None:  # fmt: skip
    metric.told |= TOLD_DIVERGED
    limit = state.limits.divergence
    offer(
        state, out, now, "divergence", Severity.WARNING,
        f"{name} has been above {short(limit)}x its best for {metric.held} values at step {step}",
        f"Its median of five is {short(middle)}; the best was {short(metric.best)} at step {metric.best_step}. The run is "
        "losing what it had learned: lower the learning rate, or go back to the checkpoint nearest to the best step.",
        seen(name, metric, step, value, source, offset, metric.best, limit * metric.best), lower_lr=True,
    )  # fmt: skip


def _plateau(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str, offset: int
) -> None:
    """Told as info once the best median of 20 has not improved by 0.5 % over the last half of at least 400 values."""
    if metric.signed:
        return
    middle = median_of_sorted(metric.sorted20)
    if metric.checked == FAR or middle < 0.995 * metric.checked:
        metric.checked, metric.checked_at = middle, metric.count
        metric.told &= ~TOLD_PLATEAU
    elif metric.count >= 400 and metric.checked_at * 2 < metric.count and not metric.told & TOLD_PLATEAU:
        metric.told |= TOLD_PLATEAU
        offer(
            state, out, now, "plateau", Severity.INFO, f"{name} has not improved since about value {metric.checked_at}",
            f"The best median of 20 values, {short(metric.checked)}, is {metric.count - metric.checked_at} values old: "
            "half of the run brought less than 0.5 %.",
            seen(name, metric, step, value, source, offset, metric.checked),
        )  # fmt: skip


def _recovered(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str, offset: int
) -> None:
    """A new best after trouble that we had reported: worth a word, and the rules are armed again."""
    if metric.told & ~TOLD_PLATEAU:
        offer(
            state, out, now, "new_best", Severity.INFO, f"{name} has recovered: a new best at step {step}",
            f"It is {short(metric.best)}, better than ever before the trouble that was reported.",
            seen(name, metric, step, value, source, offset, metric.best),
        )  # fmt: skip
    metric.told &= TOLD_PLATEAU


def grad_norm(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str, offset: int
) -> None:
    """A finite gradient norm. Its jumps are told as info only: they often lead a loss spike and often mean nothing."""
    if metric.count >= 20 and value > 10.0 * metric.sorted20[10]:
        middle = median_of_sorted(metric.sorted20)
        metric.hot += 1
        if metric.hot == 1 and value > 10.0 * middle and _beyond_noise(state, metric, value, middle):
            offer(
                state, out, now, "spike", Severity.INFO, f"{name} jumped to {short(value)} at step {step}",
                f"It is {short(value / middle)} times the median of the last 20 values ({short(middle)}). Such jumps "
                "often come before a loss spike; gradient clipping tames them.",
                seen(name, metric, step, value, source, offset, middle, 10.0 * middle),
            )  # fmt: skip
    elif metric.hot:
        metric.hot = 0
    remember(metric, step, value)


def eval_loss(
    state: Watch, out: list[Raise], name: str, metric: Metric, step: int, now: float, value: float, source: str, offset: int
) -> None:
    """A finite loss of an evaluation: an average over many samples, so smooth that a factor of two is a ruin."""
    limits = state.limits
    remember(metric, step, value)
    if metric.count == 1:
        metric.first = value
    if value < 0.0:
        metric.signed = True
    partner = state.metrics.get(state.main_loss) if metric.kind == EVAL else None
    level = median_of_sorted(partner.sorted20) if partner is not None and partner.sorted20 else FAR
    if value < metric.best:
        metric.best, metric.best_step, metric.partner_at_best = value, step, level
        metric.hot = metric.over = 0
        if metric.told:
            _recovered(state, out, name, metric, step, now, value, source, offset)
        return
    if metric.signed or metric.best <= 0.0:
        return
    metric.hot = metric.hot + 1 if value > limits.eval_ratio * metric.best else 0
    metric.over = metric.over + 1 if value > limits.overfit_ratio * metric.best else 0
    if metric.hot == limits.eval_hold and not metric.told & TOLD_WORSE:
        metric.told |= TOLD_WORSE
        offer(
            state, out, now, "eval_worse", Severity.WARNING,
            f"{name} is {short(value / metric.best)}x its best at step {step}",
            f"{name!r} is {short(value)} in {metric.hot} evaluations in a row; the best was {short(metric.best)} at step "
            f"{metric.best_step}. The training loss need not show it. The model is best kept from step {metric.best_step}.",
            seen(name, metric, step, value, source, offset, metric.best, limits.eval_ratio * metric.best),
            lower_lr=True, siblings=True,
        )  # fmt: skip
    if (
        metric.kind == EVAL and metric.over >= limits.overfit_hold and not metric.told & (TOLD_OVERFIT | TOLD_WORSE)
        and level < metric.partner_at_best
    ):  # fmt: skip
        metric.told |= TOLD_OVERFIT
        improving = state.evals_since_quality <= limits.overfit_hold
        offer(
            state, out, now, "overfit", Severity.INFO if improving else Severity.WARNING,
            f"{name} rises while the training loss falls, at step {step}: overfitting",
            f"{name!r} has been above {short(metric.best)} (its best, at step {metric.best_step}) for {metric.over} "
            f"evaluations and is {short(value)}, while {state.main_loss!r} fell from {short(metric.partner_at_best)} to "
            f"{short(level)}. "
            + ("A held-out score still improves, so it may be calibration only. " if improving else "")
            + f"Stop here, or keep the checkpoint of step {metric.best_step}.",
            seen(name, metric, step, value, source, offset, metric.best, limits.overfit_ratio * metric.best),
            siblings=True,
        )  # fmt: skip
    if (
        metric.count > limits.stuck_evals and metric.best >= 0.99 * metric.first and not metric.told & TOLD_STUCK
    ):  # fmt: skip
        metric.told |= TOLD_STUCK
        offer(
            state, out, now, "not_learning", Severity.WARNING,
            f"{name} is no better after {metric.count} evaluations than at the start",
            f"It began at {short(metric.first)}, its best is {short(metric.best)} and it is {short(value)} now. The model "
            "learns nothing: check the learning rate, the labels and that the optimizer sees the parameters.",
            seen(name, metric, step, value, source, offset, metric.first, 0.99 * metric.first), siblings=True,
        )  # fmt: skip
