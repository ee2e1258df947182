"""When a person must say yes, and the question: read at two in the morning by somebody who was asleep. Pure.

cautious  asks before anything is started or changed, and before an alert is answered with more than a nod.
balanced  asks before a critical alert's answer does something to a run, and before a search sweep that takes more than
          a quarter of a limit of time, hours of CPU or GPU, disk or money. Measuring the baseline, confirming and
          explaining are what the person asked for when they started the loop.
full      never asks.
"""

from __future__ import annotations

import math

from msgspec import Struct

from ragent_jupyter.domain.alert import Alert, Severity
from ragent_jupyter.domain.wild import (
    Action,
    ChangeSetup,
    Confirm,
    EditCode,
    Launch,
    LoopEvent,
    Option,
    ProposeSweep,
    ResolveAlert,
    StopRun,
    View,
)

from .stats import span
from .wild_room import usual_seconds

_QUARTER = 0.25
_NODS = ("ignore", "acknowledge")


class Passed(Struct, frozen=True):
    """action: as it is to be done, which may be less than was asked for.  note: what was cut, and why.

    seeds: of a confirm, how many fresh seeds fit; 0: as the setup says.
    """

    action: Action
    note: str = ""
    seeds: int = 0


class Refused(Struct, frozen=True):
    problem: str
    remedy: str = ""


class NeedsPerson(Struct, frozen=True):
    """text: the question.  default: the option that is taken when nobody answers.  passed: what goes ahead on "yes"."""

    text: str
    options: list[Option]
    default: str
    passed: Passed


def asked(view: View, event: LoopEvent, passed: Passed) -> Passed | NeedsPerson:
    """The action, or the question that comes before it."""
    autonomy, action = view.loop.autonomy, passed.action
    if autonomy == "full":
        return passed
    alert = _alert_of(view, event, action)
    if alert is not None:
        if autonomy == "balanced" and alert.severity is not Severity.CRITICAL:
            return passed
        return _about_alert(alert, passed)
    if autonomy == "cautious":
        return _before_starting(view, passed)
    share = _share(view, action)
    if share:
        return _sweep_question(view, passed, f" That is {share}.", "yes")
    return passed


def _alert_of(view: View, event: LoopEvent, action: Action) -> Alert | None:
    """The alert whose answer does something to a run, given as an answer or by stopping the run behind its back."""
    if isinstance(action, ResolveAlert):
        alert = next((a for a in view.alerts if a.id == action.alert), None)
        choice = next((c for c in alert.choices if c.id == action.choice), None) if alert else None
        return alert if choice is not None and choice.action not in _NODS else None
    if isinstance(action, StopRun):
        of_run = [a for a in view.alerts if a.run_id == action.run]
        named = next((a for a in of_run if a.id == event.ref), None)
        return named or next((a for a in of_run if a.severity is Severity.CRITICAL), None)
    return None


def _about_alert(alert: Alert, passed: Passed) -> NeedsPerson:
    action = passed.action
    choice = next((c for c in alert.choices if isinstance(action, ResolveAlert) and c.id == action.choice), None)
    does = choice.label if choice is not None else "Stop the run"
    text = f"Alert on {alert.run_id}: {line(alert.title, 160)}. Answer it with “{line(does, 80)}”?"
    safe = choice is not None and choice.id == alert.default
    options = [Option("yes", line(does, 60)), Option("no", "Leave it as it is")]
    return NeedsPerson(text, options, "yes" if safe else "no", passed)


def _before_starting(view: View, passed: Passed) -> Passed | NeedsPerson:
    action = passed.action
    if isinstance(action, (ProposeSweep, Launch, Confirm)):
        return _sweep_question(view, passed, "", "no")
    if isinstance(action, EditCode):
        files = sorted({edit.path for edit in action.edits})
        listed = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        text = (
            f"Change {line(listed, 160)} on the loop's own branch: “{line(action.summary, 120)}”? "
            "Your own files stay as they are."
        )
        return NeedsPerson(text, [Option("yes", "Make the change"), Option("no", "Do not")], "no", passed)
    return passed


def _sweep_question(view: View, passed: Passed, more: str, default: str) -> NeedsPerson:
    action, setup = passed.action, view.loop.setup
    n = runs_in(view, passed)
    what = f"Start {n} {'run' if n == 1 else 'runs'}"
    if isinstance(action, Confirm):
        arms = len(action.runs)
        seeds = passed.seeds or setup.seeds
        what += f" to test {arms} {'candidate' if arms == 1 else 'candidates'} and the baseline on {seeds} fresh seeds"
    elif isinstance(action, ProposeSweep):
        what += f" (“{line(action.name, 60)}”)"
    elif isinstance(action, Launch):
        set_to = ", ".join(f"{name} {value}" for name, value in action.params.items())
        what += f" with {line(set_to, 120)}" if set_to else ""
    seconds = usual_seconds(view)
    if seconds:
        what += f", about {span(seconds * math.ceil(n / max(1, view.slots)))}"
    left = f" {view.runs_left} runs are left." if view.runs_left is not None else ""
    label = "Start it" if n == 1 else f"Start the {n} runs"
    return NeedsPerson(f"{what}?{more}{left}", [Option("yes", label), Option("no", "Do not")], default, passed)


def runs_in(view: View, passed: Passed) -> int:
    match passed.action:
        case ProposeSweep(points=points):
            return len(points)
        case Launch():
            return 1
        case Confirm(runs=runs):
            return (len(runs) + 1) * (passed.seeds or view.loop.setup.seeds)
        case ChangeSetup():
            return 0
    return 0


def _share(view: View, action: Action) -> str:
    """Which limit a search sweep takes more than a quarter of, in words; "" if none."""
    if isinstance(action, ProposeSweep) and action.purpose in ("search", "screen"):
        n = len(action.points)
    elif isinstance(action, Launch):
        n = 1
    else:
        return ""
    loop, limits = view.loop, view.loop.limits
    seconds = usual_seconds(view)
    took: list[tuple[float, float | None, str]] = []
    if seconds:
        took.append((seconds * math.ceil(n / max(1, view.slots)) / 3600, limits.hours, "time limit"))
        took.append((seconds * n * loop.setup.gpus / 3600, limits.gpu_hours, "GPU limit"))
    estimate = loop.estimate
    if estimate is not None and estimate.runs > 0:
        each = n / estimate.runs
        took.append((estimate.cpu_hours * each, limits.cpu_hours, "CPU limit"))
        took.append((estimate.disk_bytes * each / 1e9, limits.disk_gb, "disk limit"))
        took.append(((estimate.cost_usd or 0.0) * each, limits.cost_usd, "money limit"))
    over = [(use / limit, name) for use, limit, name in took if limit and use > _QUARTER * limit]
    if not over:
        return ""
    share, name = max(over)
    return f"{min(share, 9.99):.0%} of the {name}"


def line(text: str, most: int) -> str:
    """Text of others in a sentence of ours: one line, nothing unprintable, cut."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * most]).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"
