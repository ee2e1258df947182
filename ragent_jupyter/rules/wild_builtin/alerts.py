"""What is done about an alert when only rules decide. Choices are found by their typed action, never by their words."""

from __future__ import annotations

from msgspec import Struct

from ragent_jupyter.domain.alert import Alert, Choice, Severity
from ragent_jupyter.domain.wild import ResolveAlert, Seen, TrialView, View

from ..answers import shipped_answer
from ..stats import span
from ..watch_names import EVAL, LOSS, classify
from .shares import usual_seconds

# Faults after which no number of the run can be trusted, or nothing more will come.
_FATAL = frozenset({"xid", "nccl", "cuda_error"})
_FULL = frozenset({"disk_full"})
_LEAST_SILENCE_S = 60.0  # a run may be slow to start or to write


class Ruling(Struct, frozen=True):
    action: ResolveAlert
    reasoning: str
    evidence: list[Seen]
    who: str


def rule_on(view: View, alert: Alert) -> Ruling | None:
    """The answer to one alert; None where it offers nothing that could be chosen."""
    trial = next((t for t in view.trials if t.run == alert.run_id), None)
    found = _stop(view, alert, trial)
    if found is not None:
        choice, why, who = found
    else:
        quiet = _find(alert, "acknowledge") or _find(alert, "ignore") or _default(alert)
        if quiet is None:
            return None
        choice, who = quiet, f"rule:{alert.rule}_noted"
        why = _why_not(alert, trial)
    evidence = [
        Seen(kind="alert", ref=alert.id, value=alert.evidence.value, text=alert.title),
        Seen(kind="run", ref=alert.run_id, value=None if trial is None else trial.value),
    ]
    return Ruling(ResolveAlert(alert=alert.id, choice=choice.id, reason=why), why, evidence, who)


def _stop(view: View, alert: Alert, trial: TrialView | None) -> tuple[Choice, str, str] | None:
    stop = _find(alert, "stop") or _find(alert, "stop_now")
    if stop is None:
        return None
    if shipped_answer(alert) is not None or _lost(alert):
        return stop, f"{alert.title}: no later step repairs the weights, so it is stopped.", "rule:nan_stops"
    if alert.rule in _FATAL and alert.severity is Severity.CRITICAL:
        return stop, f"{alert.title}: what the run says from here on cannot be trusted.", f"rule:{alert.rule}_stops"
    if alert.rule == "hang" and alert.severity is Severity.CRITICAL:
        return stop, f"{alert.title}: it was told before, and nothing has moved since.", "rule:hang_stops"
    if alert.rule == "stall" and trial is not None:
        usual, silent = usual_seconds(view), alert.evidence.value
        if usual and isinstance(silent, float) and silent > max(usual, _LEAST_SILENCE_S):
            why = f"It has said nothing for {span(silent)}, and a whole run of the default takes {span(usual)}."
            return stop, why, "rule:hang_stops"
    if alert.rule in _FULL:
        return stop, f"{alert.title}: what it writes from here on is lost.", "rule:disk_full_stops"
    return None


def _lost(alert: Alert) -> bool:
    """A training or evaluation loss that is not finite, however loud the alert is."""
    return (
        alert.rule == "non_finite"
        and alert.severity is not Severity.INFO
        and classify(alert.evidence.metric) in (LOSS, EVAL)
    )


def _why_not(alert: Alert, trial: TrialView | None) -> str:
    if alert.rule == "out_of_memory":
        return f"{alert.title}: the run ends by itself; its configuration counts as infeasible, not as bad."
    if trial is not None and trial.status in ("finished", "failed", "stopped"):
        return f"{alert.title}: the run has ended, there is nothing to stop."
    return f"{alert.title}: it may heal, and halving stops what falls behind; the run goes on."


def _find(alert: Alert, action: str) -> Choice | None:
    return next((choice for choice in alert.choices if choice.action == action), None)


def _default(alert: Alert) -> Choice | None:
    """The alert's own safe choice, unless it would start something."""
    found = next((choice for choice in alert.choices if choice.id == alert.default), None)
    return found if found is not None and found.action != "retry_with" else None
