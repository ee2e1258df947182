"""The one gate of Wild Mode: every action of every policy passes here, or is told why not. Pure and total.

In order: is it well-formed; does it name what no policy may touch; is this the moment; does it lie in the space; was
it tried before or does it keep failing; do the limits allow it; must a person say yes. A sweep that is too large is cut
and the note says so. A refusal says what would be accepted instead: its reader may be a model, which then does that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.wild import (
    Action,
    Analyse,
    ChangeSetup,
    Confirm,
    EditCode,
    Launch,
    LoopEvent,
    Promise,
    ProposeSweep,
    ResolveAlert,
    Stage,
    StopRun,
    View,
)

from .wild_asking import NeedsPerson, Passed, Refused, asked
from .wild_confirming import check_confirm, check_fresh
from .wild_paths import SEALED, why_not
from .wild_points import MOST_POINTS, fitted
from .wild_repeats import failing, hopeless, repeats
from .wild_room import room, used_up
from .wild_setup_change import check_change

__all__ = ["NeedsPerson", "Passed", "Refused", "check"]

_NAME, _TEXT, _ANALYSIS = 120, 4000, 20_000
_HEX = re.compile(r"[0-9a-f]{7,64}")
_STARTS = (Stage.EXPLORING, Stage.ANALYZING)
_OF_ENGINE = {"holdout": "the engine scores the hold-out itself", "reproduce": "a person asks for a reproduction"}

Result = Passed | Refused | NeedsPerson


def check(view: View, event: LoopEvent, action: Action, accepted: Sequence[Action]) -> Result:
    """What becomes of an action. accepted: what passed before it in the same decision; it has taken its share.

    Never raises, whatever the action holds.
    """
    try:
        sound: Action = msgspec.convert(msgspec.to_builtins(action), Action)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as error:
        return Refused(f"This is not an action: {str(error)[:200]}.", "Send the fields that its tool describes.")
    if view.loop.over:
        return Refused("The loop has ended.", "Start a new one.")
    named = _names_holdout(view, sound)
    if named:
        return Refused(named, "Leave the hold-out alone: it is scored by the engine, once, after the confirm stage.")
    return _checked(view, event, sound, accepted)


def _checked(view: View, event: LoopEvent, action: Action, accepted: Sequence[Action]) -> Result:
    match action:
        case ProposeSweep() | Launch():
            return _not_now(view, event) or _sweep(view, event, action, accepted)
        case Confirm():
            return _not_now(view, event) or check_confirm(view, event, action, accepted)
        case EditCode():
            return _not_now(view, event) or _edit(view, event, action)
        case StopRun():
            return _stop(view, event, action, accepted)
        case ResolveAlert():
            return _alert(view, event, action, accepted)
        case Promise():
            return _promise(view, action, accepted)
        case ChangeSetup():
            return check_change(view, event, action)
        case Analyse():
            return _analysis(action)


def _not_now(view: View, event: LoopEvent) -> Refused | None:
    """Work begins while nothing runs, or when a person has just spoken."""
    if view.loop.stage in _STARTS or event.kind in ("human", "answer"):
        return None
    return Refused(
        f"The loop is {view.loop.stage.value}: its runs are still under way.",
        "Wait until they have ended; you are asked again then. Alerts and single runs can be dealt with now.",
    )


def _names_holdout(view: View, action: Action) -> str:
    """Why an action may not be done: it names the sealed labels. Texts for people may speak of a hold-out."""
    sealed = view.loop.setup.holdout
    said = action.edits if isinstance(action, EditCode) else action
    if isinstance(action, (Analyse, Promise, ResolveAlert, StopRun)):
        return ""
    names = [SEALED, *([sealed.id, sealed.sha256] if sealed is not None else [])]
    text = msgspec.json.encode(_plain(said)).decode("utf-8", "replace").casefold()
    hit = next((name for name in names if name and len(name) >= 4 and name.casefold() in text), "")
    return f"This names {hit[:60]!r}, which belongs to the sealed hold-out." if hit else ""


def _plain(value: Any) -> Any:
    """Without lone surrogates and integers that JSON cannot hold: it is only searched."""
    if isinstance(value, dict):
        return {_clean(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return _plain(msgspec.structs.asdict(value))
    return _clean(value) if isinstance(value, str) else None


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


# --- sweeps -----------------------------------------------------------------------------------------------------------
def _sweep(view: View, event: LoopEvent, action: ProposeSweep | Launch, accepted: Sequence[Action]) -> Result:
    setup = view.loop.setup
    purpose = action.purpose if isinstance(action, ProposeSweep) else "search"
    points = action.points if isinstance(action, ProposeSweep) else [action.params]
    spent = used_up(view, searching=purpose in ("search", "screen"))
    if spent:
        return Refused(spent, "Promise COMPLETE with what is known; a person may raise the limit.")
    if purpose in _OF_ENGINE:
        return Refused(f"A sweep for {purpose!r} is not a policy's: {_OF_ENGINE[purpose]}.", "Propose a search.")
    if not points or len(points) > MOST_POINTS:
        return Refused(f"The sweep has {len(points)} points.", f"Give 1 to {MOST_POINTS}.")
    commit, why = commit_of(view, action.commit, accepted)
    if why:
        return Refused(why, "Leave commit empty for the newest accepted code.")
    sound: list[dict[str, Any]] = []
    for number, point in enumerate(points):
        found, why = fitted(setup, point)
        if why:
            return Refused(f"Point {number + 1} cannot be run: {why}.", "Stay inside the space, as the setup has it.")
        sound.append(found)
    why = check_fresh(view, purpose, sound, commit)
    if why:
        return Refused(why, "Use `confirm`: it chooses fresh seeds and runs the baseline beside the candidates.")
    alike = failing(view, event, commit)
    if alike:
        return Refused(
            f"The last three runs of this code failed alike ({alike[:160]}).",
            "Change what makes them fail: edit the code, narrow the space, or promise NEEDS_HUMAN.",
        )
    action = _with(action, sound, commit, None)
    cut = _only_new(view, action, accepted)
    return cut if isinstance(cut, Refused) else asked(view, event, cut)


def _only_new(view: View, action: ProposeSweep | Launch, accepted: Sequence[Action]) -> Passed | Refused:
    """Without points that are known, without hope, or beyond the limits; the note says what was left out."""
    points = action.points if isinstance(action, ProposeSweep) else [action.params]
    keep, notes = list(range(len(points))), []
    # A script without a seed flag is repeated by running the same point again: there is no other way.
    repeated = isinstance(action, ProposeSweep) and action.purpose == "baseline" and not view.loop.setup.seed
    if not action.replicate and not repeated:
        keep, known = repeats(view, action, accepted)
        if not keep:
            return Refused(f"Already tried: {known}.", "Propose other points, or set replicate to repeat on purpose.")
        if len(keep) < len(points):
            notes.append(f"{_n(len(points) - len(keep), 'point')} left out as already tried ({known})")
    # A repaired script is measured again where it failed; `failing` sees to it that a person has spoken before.
    again = isinstance(action, ProposeSweep) and action.purpose == "baseline" and action.replicate
    lost = {} if again else hopeless(view, [points[i] for i in keep], action.commit)
    if lost:
        kept = [i for place, i in enumerate(keep) if place not in lost]
        what = next(iter(lost.values()))[:120]
        if not kept:
            return Refused(
                f"Three runs near each of these points failed alike ({what}).",
                "Go elsewhere in the space, for instance a smaller batch or a lower learning rate.",
            )
        notes.append(f"{_n(len(keep) - len(kept), 'point')} left out: three runs near it failed alike ({what})")
        keep = kept
    left = room(view, accepted, [points[i] for i in keep])
    if left.runs is not None and left.runs < len(keep):
        if left.runs < 1:
            return Refused(f"No run is left: {left.why}.", "Promise COMPLETE; a person may raise the limit.")
        notes.append(f"cut from {len(keep)} to {_n(left.runs, 'run')} by {left.why}")
        keep = keep[: left.runs]
    note = "; ".join(notes)
    return Passed(_with(action, [points[i] for i in keep], action.commit, keep), note[:1].upper() + note[1:])


def _with(
    action: ProposeSweep | Launch, points: list[dict[str, Any]], commit: str, keep: list[int] | None
) -> ProposeSweep | Launch:
    """The action with these points. keep: their places among those that it had; None: all of them, as they were."""
    if isinstance(action, Launch):
        return replace(action, params=points[0], commit=commit, reason=action.reason[:_TEXT])
    whole = len(action.by) == len(action.points) and set(action.by) <= {"rule", "model", "human"}
    by = action.by if whole else []
    return replace(
        action,
        name=" ".join(_printable(action.name).split())[:_NAME] or action.purpose,
        reason=action.reason[:_TEXT],
        points=points,
        commit=commit,
        by=by if keep is None or not by else [by[i] for i in keep],
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:1000])


def _n(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def commit_of(view: View, asked_for: str, accepted: Sequence[Action]) -> tuple[str, str]:
    """(the commit as the loop knows it, "" or why there is none). "" stays "": the newest."""
    if not asked_for:
        return "", ""
    loop = view.loop
    if loop.setup.isolation != "tree":
        return "", "This loop runs in the user's folder as it is, so no commit can be chosen"
    wanted = asked_for.strip().lower()
    known = [c for c in loop.commits if c == wanted or (len(wanted) >= 7 and c.startswith(wanted))]
    if len(known) == 1:
        return known[0], ""
    # An edit that was accepted in this decision is a commit already, but not yet one that this view knows.
    if not known and _HEX.fullmatch(wanted) and any(isinstance(a, EditCode) for a in accepted):
        return wanted, ""
    return "", f"{_printable(asked_for)[:60]!r} is no accepted commit of this loop"


# --- code -------------------------------------------------------------------------------------------------------------
def _edit(view: View, event: LoopEvent, action: EditCode) -> Result:
    spent = used_up(view, searching=False)
    if spent:
        return Refused(spent, "Promise COMPLETE with what is known; a person may raise the limit.")
    setup = view.loop.setup
    if setup.isolation != "tree":
        return Refused("This loop runs in the user's own folder, whose files are not changed.", "Search parameters.")
    if not action.summary.strip():
        return Refused("The change has no summary.", "Say in one line what it does, and in hypothesis why.")
    why = why_not(setup, action.edits)
    if why:
        return Refused(f"{why}.", "Change only files that the person named, and none that judges the result.")
    parent, why = commit_of(view, action.parent, [action])
    if why:
        return Refused(why, "Leave parent empty to stand on the newest accepted code.")
    summary = " ".join(_printable(action.summary).split())[:_NAME]
    return asked(
        view, event, Passed(replace(action, summary=summary, hypothesis=action.hypothesis[:_TEXT], parent=parent))
    )


# --- runs and alerts --------------------------------------------------------------------------------------------------
def _stop(view: View, event: LoopEvent, action: StopRun, accepted: Sequence[Action]) -> Result:
    trial = next((t for t in reversed(view.trials) if t.run == action.run), None)
    shown = _printable(action.run)[:60]
    if trial is None:
        return Refused(f"{shown!r} is no run of this loop.", "Only the loop's own runs can be stopped.")
    if trial.status in ("finished", "failed", "stopped"):
        return Refused(f"{shown} has already {trial.status}.", "There is nothing to stop.")
    if trial.status == "stopping" or any(isinstance(a, StopRun) and a.run == action.run for a in accepted):
        return Refused(f"{shown} is being stopped already.", "Wait for its end.")
    return asked(view, event, Passed(replace(action, reason=action.reason[:_TEXT])))


def _alert(view: View, event: LoopEvent, action: ResolveAlert, accepted: Sequence[Action]) -> Result:
    alert = next((a for a in view.alerts if a.id == action.alert), None)
    shown = _printable(action.alert)[:60]
    runs = {t.run for t in view.trials}
    if alert is None or alert.run_id not in runs:
        return Refused(
            f"{shown!r} is no pending alert of this loop: it was answered meanwhile, or its run is over.",
            "Look at the alerts that are pending now.",
        )
    if alert.status is not AlertStatus.PENDING:
        who = f" by {alert.answered_by}" if alert.answered_by else ""
        return Refused(f"Alert {shown} is {alert.status.value} already{who}.", "One answer counts; leave it.")
    if any(isinstance(a, ResolveAlert) and a.alert == action.alert for a in accepted):
        return Refused(f"Alert {shown} was answered in this decision already.", "One answer counts; leave it.")
    choice = next((c for c in alert.choices if c.id == action.choice), None)
    if choice is None:
        known = ", ".join(c.id for c in alert.choices)
        return Refused(f"{_printable(action.choice)[:60]!r} is no choice of this alert.", f"Choose one of: {known}.")
    if choice.action == "retry_with":
        _, why = fitted(view.loop.setup, choice.set)
        if why:
            return Refused(f"That retry leaves the space: {why}.", "Stop the run, and propose a point of your own.")
        spent = used_up(view, searching=True)
        left = room(view, accepted)
        if spent or left.runs == 0:
            return Refused(spent or f"No run is left for a retry: {left.why}.", "Stop the run instead.")
    return asked(view, event, Passed(replace(action, reason=action.reason[:_TEXT])))


# --- words ------------------------------------------------------------------------------------------------------------
def _promise(view: View, action: Promise, accepted: Sequence[Action]) -> Result:
    action = replace(action, text=action.text[:_TEXT], options=action.options[:8])
    if action.word == "NEEDS_HUMAN":
        if not action.text.strip():
            return Refused("A question without words asks nothing.", "Say in one sentence what you need.")
        ids = [o.id for o in action.options]
        if len(set(ids)) < len(ids) or not all(o.id.strip() and o.label.strip() for o in action.options):
            return Refused("The options are not distinct, or have no words.", "Give each an id and a label.")
        if action.default not in ids:
            action = replace(action, default=ids[0] if ids else "")
        return Passed(action)
    if action.word == "COMPLETE":
        if any(isinstance(a, (ProposeSweep, Launch, Confirm)) for a in accepted):
            return Refused("The same decision has started runs.", "Promise COMPLETE once they have been looked at.")
        live = [t for t in view.trials if t.status not in ("finished", "failed", "stopped")]
        if live:
            return Passed(action, f"{_n(len(live), 'run')} of it are under way; it ends after them.")
    return Passed(action)


def _analysis(action: Analyse) -> Result:
    if not action.text.strip() and not action.findings and not action.tasks:
        return Refused("The analysis says nothing.", "Say what was learnt.")
    ids = [t.id for t in action.tasks]
    if len(set(ids)) < len(ids):
        return Refused("Two tasks have the same id.", "Give each task an id of its own.")
    return Passed(
        replace(
            action,
            text=action.text[:_ANALYSIS],
            findings=[f[:_TEXT] for f in action.findings[:50]],
            tasks=action.tasks[:100],
        )
    )
