"""From a rule's finding to an alert: cooldown, evidence, choices."""

from __future__ import annotations

import math
from typing import Any

from msgspec import structs

from ..domain.alert import Choice, Evidence, Severity
from .stats import finite_or_none
from .watch_facts import Raise
from .watch_names import is_learning_rate
from .watch_state import MAX_RAISED, Metric, Watch

IGNORE = Choice("ignore", "ignore", "Ignore")
STOP = Choice("stop", "stop", "Stop run")
SEEN = Choice("acknowledge", "acknowledge", "Got it")
AGAIN = Choice("retry", "retry_with", "Run it again")
MAX_PER_RULE = 50  # of one rule in one run: a broken script must not fill the list


class Spot:
    """Where the rules stand while they look at one row, and the list that alerts go to.

    now: seconds by the clock that spaces this rule's alerts (rows: the log's; ticks and logs: the witness's).
    """

    __slots__ = ("now", "offset", "out", "source", "step")

    def __init__(self, out: list[Raise], now: float = 0.0, source: str = "", step: int = 0, offset: int = 0) -> None:
        self.out = out
        self.now = now
        self.source = source
        self.step = step
        self.offset = offset


def offer(
    state: Watch,
    spot: Spot,
    rule: str,
    severity: Severity,
    title: str,
    text: str,
    evidence: Evidence,
    *,
    lower_lr: bool = False,
    after_end: bool = False,
    siblings: bool = False,
) -> bool:
    """Raise it unless the same rule spoke about the same metric within its cooldown. Whether it was raised.

    siblings: the rule often fires for several metrics at once (six validation sets); the first one asks, the others
    within the cooldown are told as info.
    """
    if state.stopping and not after_end:
        return False
    now = spot.now
    key = f"{rule}\n{evidence.metric}"
    last = state.raised.get(key)
    if last is not None and abs(now - last) < state.patience.get(key, state.limits.cooldown_s):
        return False
    if state.per_rule.get(rule, 0) >= MAX_PER_RULE:
        return False
    if siblings and severity is not Severity.INFO:
        if abs(now - state.asked.get(rule, -math.inf)) < state.limits.cooldown_s:
            severity = Severity.INFO
        else:
            state.asked[rule] = now
    while len(state.raised) >= MAX_RAISED:
        del state.raised[next(iter(state.raised))]
    state.raised[key] = now
    state.per_rule[rule] = state.per_rule.get(rule, 0) + 1
    if not evidence.source:  # no bytes to point at: the how-manieth of its rule keeps two stalls apart
        evidence = structs.replace(evidence, offset=state.per_rule[rule])
    effect = Raise(
        rule=rule,
        severity=severity,
        metric=evidence.metric,
        source=evidence.source,
        offset=evidence.offset,
        title=title,
        text=text,
        evidence=evidence,
        choices=[SEEN, AGAIN] if after_end else choices(state, lower_lr),
        default="acknowledge" if after_end else "ignore",
        after_end=after_end,
    )
    while len(state.ids) >= MAX_RAISED:
        del state.ids[next(iter(state.ids))]
    state.ids[effect.alert_id(state.run_id)] = key
    spot.out.append(effect)
    return True


def choices(state: Watch, lower_lr: bool) -> list[Choice]:
    """What can be done: always ignore and stop; where the learning rate is known and to blame, a retry with less."""
    found = [IGNORE, STOP]
    if lower_lr:
        for name, value in state.params.items():
            rate = _number(value)
            if rate is not None and rate > 0.0 and is_learning_rate(name):
                less = float(f"{rate * 0.3:.2g}")
                found.append(
                    Choice("retry_lower_lr", "retry_with", f"Lower {name} to {less:g} and retry", {name: less})
                )
                break
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def seen(
    spot: Spot, name: str, metric: Metric, value: float, baseline: float | None = None, threshold: float | None = None
) -> Evidence:
    """What the rule saw: the newest value and at most 63 before it."""
    window: list[tuple[float, float | str]] = [
        (float(step), old) for step, old in zip(metric.steps[-63:], metric.recent[-63:], strict=True)
    ]
    if not window or window[-1] != (float(spot.step), value):
        window.append((float(spot.step), spelled(value)))
    return Evidence(
        metric=name,
        step=spot.step,
        value=spelled(value),
        baseline=finite_or_none(baseline),
        threshold=finite_or_none(threshold),
        window=window,
        source=spot.source,
        offset=spot.offset,
    )


def spelled(value: float) -> float | str:
    """JSON has no NaN: "nan", "inf" and "-inf" stand for what is not finite.

    >>> spelled(float("-inf")), spelled(1.5)
    ('-inf', 1.5)
    """
    if value != value:
        return "nan"
    if value in (math.inf, -math.inf):
        return "inf" if value > 0 else "-inf"
    return value
