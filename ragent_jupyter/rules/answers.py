"""What a client that nobody sits at answers to an alert: one shipped rule, on purpose a timid one.

The engine never answers an alert by itself. `ragent quickstart` and scripts that run overnight may call this and send
what it returns as their own answer, so that the record names them.
"""

from __future__ import annotations

from ..domain.alert import Alert, Severity
from .watch_names import EVAL, LOSS, classify

_LOST = frozenset({"non_finite", "silent"})  # the rules that mean: the weights are gone


def shipped_answer(alert: Alert) -> str | None:
    """The id of the choice to take, or None: leave it for a person.

    Only a critical alert that a training or evaluation loss is no longer finite is answered, with "stop": no later step
    repairs NaN weights, so nothing is lost by it. A gradient norm that is infinite once, a spike, a divergence or a
    stall may heal or may be what somebody wants to look at; those wait. So does an alert that offers no "stop".

    >>> from ..domain.alert import Choice, Evidence
    >>> stop = Choice("stop", "stop", "Stop run")
    >>> nan = Alert(id="alt_1", run_id="run_1", rule="non_finite", severity=Severity.CRITICAL, title="loss became NaN",
    ...             raised_at=0.0, evidence=Evidence(metric="loss"), choices=[stop])
    >>> shipped_answer(nan)
    'stop'
    """
    if alert.severity is not Severity.CRITICAL or alert.rule not in _LOST:
        return None
    if classify(alert.evidence.metric) not in (LOSS, EVAL):
        return None
    return next((choice.id for choice in alert.choices if choice.action == "stop"), None)
