"""Gains that are too good to be believed as they stand. A mark, never a verdict: nothing is deleted for it.

A real gain can be huge (a bad default: 1.41 to 0.14), so the size of a gain alone marks nothing. What marks is a value
that such a metric cannot have or only has where it is leaked, a run that did less work than the baseline, and a value
that stands alone, far from everything else that was tried. The strong evidence, evaluation files that changed, makes a
run void elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragent_jupyter.domain.wild import Baseline, TrialView, View

from .noise import baseline, better, counts, value_of
from .stats import median, short, span
from .wild_novelty import full_length, key_of

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Shares of what is right: between 0 and 1, or 0 and 100 where the baseline is written so.
_SHARES = frozenset({"acc", "accuracy", "auc", "auroc", "f1", "precision", "recall", "map", "iou", "dice", "top1"})
# What cannot fall below 0.
_ABOVE_0 = frozenset({"mse", "mae", "rmse", "error", "err", "perplexity", "ppl", "bpb", "bpc", "wer", "cer", "brier"})
_ALONE_AMONG = 8  # other configurations that must be known before one can stand alone
_WORTH_TIMING_S = 5.0  # below, the start of Python is most of a run


def suspicious(view: View, trial: TrialView, base: Baseline | None = None) -> str:
    """Why this run's gain is not believed as it stands, in one sentence; "" where nothing speaks against it.

    base: the baseline where the caller has it already. Only runs that look better than the baseline can be suspicious.
    """
    base = base or baseline(view)
    if base is None or not counts(trial) or trial.purpose in ("baseline", "confirm"):
        return ""
    value = value_of(trial)
    if not better(value, base.mean, view.loop.setup.mode):
        return ""
    return _bound(view, trial, value, base) or _less_work(view, trial, base) or _alone(view, trial, value, base)


def _bound(view: View, trial: TrialView, value: float, base: Baseline) -> str:
    """At or beyond what the metric can be."""
    metric, mode = view.loop.setup.metric, view.loop.setup.mode
    words = {word.lower() for word in _WORDS.findall(metric[:200])} | set(re.findall(r"[a-z]+\d", metric[:200].lower()))
    was = f"the baseline has {short(base.mean)}"
    if mode == "min" and base.mean > 0.0:
        if value < 0.0 and words & _ABOVE_0:
            return f"{metric} is {short(value)}, which it cannot be; {was}."
        if 0.0 <= value <= 1e-6 * base.mean:
            return f"{metric} is {short(value)}, at its bound; {was}."
    if mode == "max" and words & _SHARES and base.mean >= 0.0:
        # Written in percent if anything else says so: chance may be below 1 %.
        seen = [base.mean, *(value_of(t) for t in view.trials if counts(t) and t.run != trial.run)]
        top = 1.0 if max(seen) <= 1.0 else 100.0
        if value > top * (1.0 + 1e-9):
            return f"{metric} is {short(value)}, more than a share can be; {was}."
        if value >= 0.9995 * top and base.mean < 0.98 * top:
            return f"{metric} is {short(value)}, as good as it can be at all; {was}."
    return ""


def _less_work(view: View, trial: TrialView, base: Baseline) -> str:
    """Much faster or with far fewer values than the baseline, at what should be the same training."""
    if not full_length(trial.params, view.loop.setup):
        return ""
    others = [t for t in view.trials if t.run in base.runs]
    fast = trial.seconds is not None and base.seconds >= _WORTH_TIMING_S and 0.0 < trial.seconds < 0.25 * base.seconds
    last, rows = _last_step(trial), len(trial.curve)
    steps = [step for t in others if (step := _last_step(t)) is not None]
    counted = [len(t.curve) for t in others if t.curve]
    # A larger batch takes fewer steps and a smaller model less time: one of both alone marks nothing.
    shorter = bool(steps) and last is not None and last < 0.25 * min(steps)
    fewer = bool(counted) and min(counted) >= 8 and 0 < rows <= 0.25 * min(counted)
    if fast and (shorter or fewer or not steps or last is None):
        return (
            f"It took {span(trial.seconds or 0.0)} where the baseline takes {span(base.seconds)}, at the same setting "
            "of training length."
        )
    if fewer and shorter:
        return f"It logged {rows} values of {view.loop.setup.metric} where the baseline logged {min(counted)}."
    return ""


def _last_step(trial: TrialView) -> float | None:
    return trial.curve[-1][0] if trial.curve else None


def _alone(view: View, trial: TrialView, value: float, base: Baseline) -> str:
    """More than 10 sigma beyond the baseline, and far ahead of every other configuration that was tried."""
    if not base.sigma:
        return ""
    if abs(value - base.mean) <= 10.0 * base.sigma:
        return ""
    mine = key_of(view.loop, trial)
    groups: dict[str, list[float]] = {}
    for other in view.trials:
        if counts(other) and other.purpose in ("search", "screen") and full_length(other.params, view.loop.setup):
            groups.setdefault(key_of(view.loop, other), []).append(value_of(other))
    groups.pop(mine, None)
    others = sorted((median(values) for values in groups.values()), reverse=view.loop.setup.mode == "max")
    if len(others) < _ALONE_AMONG or not better(value, others[0], view.loop.setup.mode):
        return ""
    gap, field = abs(value - others[0]), _field(others)
    # Ahead of the runner-up by more than 10 sigma of the baseline, by more than the others scatter, and by more than
    # the runner-up is ahead of the middle: a search that closes in on something good has its neighbours near.
    if gap <= 10.0 * base.sigma or gap <= 5.0 * field or gap <= abs(others[0] - median(others)):
        return ""
    return (
        f"{short(value)} stands alone: the next best of {len(others)} others has {short(others[0])}, the baseline "
        f"{short(base.mean)} with a spread of {short(base.sigma)}."
    )


def _field(values: Sequence[float]) -> float:
    """Robust standard deviation: 1.4826 MAD."""
    middle = median(values)
    return 1.4826 * median([abs(v - middle) for v in values])
