"""Rules on evaluations: an average over many samples, so smooth that a factor of two is a ruin.

They catch what the training loss hides: on 2,951 real curves 38 of 73 failed runs had a healthy training loss.
"""

from __future__ import annotations

import math

from ..domain.alert import Severity
from .stats import log_roughness, median, short
from .watch_loss import OVERFIT, STUCK, WORSE, recovered, remember
from .watch_names import EVAL, LOSS, is_eval_name, is_reward, is_test_name, training_names
from .watch_raise import Spot, offer, seen
from .watch_state import FAR, Metric, Watch


def eval_loss(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    """A finite loss of an evaluation, or of a training split that is evaluated beside it."""
    limits = state.limits
    remember(metric, spot.step, value)
    if metric.count == 1:
        metric.first = value
    if value < 0.0:
        metric.signed = True
    if value < metric.best:
        metric.best, metric.best_step = value, spot.step
        metric.partner_at_best = _training_level(state, name)[1] if metric.kind == EVAL else FAR
        metric.hot = metric.over = 0
        if metric.told:
            recovered(state, spot, name, metric, value)
        return
    if metric.signed or metric.best <= 0.0:
        return  # ratios mean nothing
    metric.hot = metric.hot + 1 if value > limits.eval_ratio * metric.best else 0
    metric.over = metric.over + 1 if value > limits.overfit_ratio * metric.best else 0
    if metric.hot >= limits.eval_hold and not metric.told & WORSE:
        _worse(state, spot, name, metric, value)
    if metric.over >= limits.overfit_hold and metric.kind == EVAL and not metric.told & (OVERFIT | WORSE):
        _overfit(state, spot, name, metric, value)
    if metric.count > limits.stuck_evals and metric.best >= metric.first and not metric.told & STUCK:
        _stuck(state, spot, name, metric, value)


def _significant(state: Watch, metric: Metric, excursion: int) -> bool:
    """Whether the distance to the best is out of what this curve's own roughness explains.

    excursion: so many of the newest values are the trouble itself and say nothing about roughness.
    """
    past = metric.recent[-21 - excursion : len(metric.recent) - excursion]
    ratio = metric.recent[-1] / metric.best
    return ratio == math.inf or math.log(ratio) > state.limits.eval_noise * log_roughness(past)


def _loudness(state: Watch, name: str) -> Severity:
    """A test set is not for decisions where there is a validation set, whose alert says it already."""
    if is_test_name(name) and any(m.kind == EVAL and not is_test_name(n) for n, m in state.metrics.items()):
        return Severity.INFO
    return Severity.WARNING


def _worse(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    if state.evals_since_quality <= 1 or not _significant(state, metric, metric.hot):
        return  # while a held-out score is better than ever the loss is badly calibrated, the model is not worse
    metric.told |= WORSE
    title = f"{name} is {short(value / metric.best)}x its best at step {spot.step}"
    text = (
        f"{name!r} is {short(value)}, high in {metric.hot} evaluations in a row; the best was {short(metric.best)} at "
        f"step {metric.best_step}. The training loss need not show it. Keep the checkpoint nearest to that step."
    )
    evidence = seen(spot, name, metric, value, metric.best, state.limits.eval_ratio * metric.best)
    offer(state, spot, "eval_worse", _loudness(state, name), title, text, evidence, lower_lr=True, siblings=True)


def _overfit(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    limits = state.limits
    partner, level = _training_level(state, name)
    if not level < 0.98 * metric.partner_at_best:
        return
    if any(m.bad and m.kind in (LOSS, EVAL) for m in state.metrics.values()):
        return  # with weights that are not finite every further number is noise
    if state.evals_since_quality <= limits.overfit_hold or not _significant(state, metric, 0):
        return
    if value - metric.best < limits.given_back * (metric.first - metric.best):
        return
    metric.told |= OVERFIT
    title = f"{name} rises while {partner} falls, at step {spot.step}: overfitting"
    text = (
        f"{name!r} is {short(value)} and has been more than {limits.overfit_ratio - 1.0:.0%} above its best "
        f"({short(metric.best)}, step {metric.best_step}) for {metric.over} evaluations, while {partner!r} fell from "
        f"{short(metric.partner_at_best)} to {short(level)}. Keep the checkpoint of step {metric.best_step}; more "
        "data, regularization or an earlier stop would help."
    )
    evidence = seen(spot, name, metric, value, metric.best, limits.overfit_ratio * metric.best)
    offer(state, spot, "overfit", _loudness(state, name), title, text, evidence, siblings=True)


def _stuck(state: Watch, spot: Spot, name: str, metric: Metric, value: float) -> None:
    if median(metric.recent[-10:]) <= metric.first:
        return  # level with the start, as a run that goes on from a good checkpoint may be
    metric.told |= STUCK
    title = f"{name} has not once been better than at the start in {metric.count} evaluations"
    text = (
        f"It began at {short(metric.first)} and is {short(value)} now. The model learns nothing that helps: check the "
        "learning rate, the labels, and that the optimizer sees the parameters."
    )
    evidence = seen(spot, name, metric, value, metric.first, metric.first)
    offer(state, spot, "not_learning", _loudness(state, name), title, text, evidence, siblings=True)


def _training_level(state: Watch, name: str) -> tuple[str, float]:
    """The training loss that belongs to an evaluation loss, and where it stands: its name, a median; FAR if unknown.

    `validation/loss` is compared with `train/loss` where there is one: both are averages over many samples, so noise
    of the weights moves them together and only overfitting moves them apart. Else with the main training loss.
    """
    for other in (*training_names(name), state.main_loss):
        partner = state.metrics.get(other)
        if partner is not None and partner.recent and partner.kind != EVAL:
            return other, median(partner.recent[-3:] if partner.together >= 3 else partner.recent[-20:])
    return "", FAR


def quality(state: Watch, name: str, value: float) -> None:
    """Held-out scores only tell the rules above whether a rising loss does harm. Rewards get no rule at all."""
    if is_reward(name) or not is_eval_name(name):
        return
    best = state.quality_best.get(name)
    if best is None:
        if len(state.quality_best) < 50:
            state.quality_best[name] = value
    elif value > best:
        state.quality_best[name] = value
        state.evals_since_quality = 0
