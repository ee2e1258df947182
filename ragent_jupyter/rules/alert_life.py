"""The life of an alert: `pending → resolved | dismissed | expired`. An unanswered alert blocks nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.alert import Alert, AlertStatus, Choice
from ragent_jupyter.domain.errors import BadInput, WrongMoment


class AlertRecord(Struct, frozen=True):
    type: str
    fields: dict[str, Any]


class Answer(Struct, frozen=True):
    at: float
    choice: str
    by: str


class Expire(Struct, frozen=True):
    at: float
    note: str


def evolve(alert: Alert, record: AlertRecord) -> Alert:
    return msgspec.structs.replace(alert, **record.fields)


def decide(alert: Alert, event: Answer | Expire) -> tuple[list[AlertRecord], Choice | None]:
    """Records, and the choice to act on. The same answer twice is one answer; another one later is refused (409)."""
    match event:
        case Answer(at=at, choice=choice_id, by=by):
            choice = next((c for c in alert.choices if c.id == choice_id), None)
            if choice is None:
                known = ", ".join(c.id for c in alert.choices) or "none"
                raise BadInput(f"Alert {alert.id} has no choice {choice_id!r}.", f"Its choices: {known}.")
            if alert.status in (AlertStatus.RESOLVED, AlertStatus.DISMISSED):
                if alert.choice == choice_id:
                    return [], None
                raise WrongMoment(
                    f"Alert {alert.id} was already answered with {alert.choice!r} by {alert.answered_by}.",
                    "The first answer holds. Act on the run itself if you want something else.",
                )
            if alert.status is AlertStatus.EXPIRED and choice.action in ("stop", "stop_now"):
                raise WrongMoment(f"Alert {alert.id} has expired: {alert.note}", "There is nothing left to stop.")
            calm = choice.action in ("ignore", "acknowledge")
            status = AlertStatus.DISMISSED if calm else AlertStatus.RESOLVED
            fields = {"status": status, "choice": choice_id, "answered_by": by, "answered_at": at}
            return [AlertRecord("alert_changed", fields)], choice
        case Expire(note=note):
            if alert.status is not AlertStatus.PENDING:
                return [], None
            return [AlertRecord("alert_changed", {"status": AlertStatus.EXPIRED, "note": note})], None
