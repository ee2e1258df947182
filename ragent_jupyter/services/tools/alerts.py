"""Tools about alerts: list them with their choices, answer one."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ragent_jupyter.domain.alert import Alert, AlertStatus, Choice, Severity
from ragent_jupyter.domain.chat import Preview
from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.rules.tool_text import fit, num, one_line, settings, when, word

from ..alerts import AlertsDesk
from .base import SimpleTool, Tool, ToolContext
from .refs import HOW_TO_REFER, Ref, find_alert, find_run, who

_DOES = {
    "ignore": "the run goes on; the same rule stays quiet about this metric for longer",
    "stop": "the run is stopped with grace (INT, TERM, KILL)",
    "stop_now": "the run is killed at once",
    "retry_with": "the run is stopped, if it lives, and run again",
    "acknowledge": "nothing; the alert is put away",
}


class ListAlerts(Struct, frozen=True, forbid_unknown_fields=True):
    status: Literal["pending", "resolved", "dismissed", "expired", "all"] = "pending"
    run: Ref = ""
    severity: Literal["info", "warning", "critical"] | None = None
    limit: int = 30


class AnswerAlert(Struct, frozen=True, forbid_unknown_fields=True):
    alert: str
    choice: str


class AlertTools:
    def __init__(self, alerts: AlertsDesk) -> None:
        self.alerts = alerts
        self.runs = alerts.runs

    async def list_alerts(self, args: ListAlerts, ctx: ToolContext) -> ToolOutcome:
        run = find_run(self.runs, args.run).id if args.run != "" else None
        page = self.alerts.page(
            status=None if args.status == "all" else {args.status},
            run=run,
            severity={args.severity} if args.severity else None,
            limit=max(1, min(args.limit, 100)),
        )
        if not page.alerts:
            which = "" if args.status == "all" else f"{args.status} "
            of = f" of {run}" if run else ""
            return ToolOutcome(text=f"No {which}alert{of} ({page.pending} are pending in the whole project).")
        lines = [f"{len(page.alerts)} alerts; {page.pending} are pending in the whole project."]
        for alert in page.alerts:
            lines += _told(alert)
        data = {"card": "alert", "alert": page.alerts[0].id} if len(page.alerts) == 1 else {}
        return ToolOutcome(
            text=fit("\n".join(lines), MAX_TOOL_TEXT, "Ask for fewer with limit or run."),
            data=data,
            untrusted="alerts: names of metrics and lines of logs",
        )

    def _choice(self, args: AnswerAlert) -> tuple[Alert, Choice]:
        alert = find_alert(self.alerts, args.alert)
        choice = next((c for c in alert.choices if c.id == args.choice), None)
        if choice is None:
            known = "; ".join(f"{word(c.id, 40)} ({word(c.label, 100)})" for c in alert.choices) or "none"
            raise BadInput(f"Alert {alert.id} has no choice {word(args.choice, 60)}.", f"Its choices: {known}.")
        return alert, choice

    async def look_answer(self, args: AnswerAlert, ctx: ToolContext) -> Preview:
        alert, choice = self._choice(args)
        run = self.runs.shell.runs.get(alert.run_id)
        named = f" ({word(run.alias or run.name, 60)})" if run else ""
        return Preview(
            title=f"Answer an alert: {word(choice.label, 100)}",
            command=run.command if run and choice.action == "retry_with" else "",
            cwd=run.cwd if run and choice.action == "retry_with" else "",
            details=[
                f"alert: {alert.id}, {alert.severity.value}: {word(alert.title)}",
                f"run: {alert.run_id}{named}",
                f"what it does: {does(choice)}",
                *(f"other choice: {word(c.id, 40)}: {does(c)}" for c in alert.choices if c.id != choice.id),
            ],
            pattern="answer_alert",
            danger=choice.action == "stop_now",
        )

    async def answer_alert(self, args: AnswerAlert, ctx: ToolContext) -> ToolOutcome:
        alert, choice = self._choice(args)
        alert = await self.alerts.respond(alert.id, choice.id, who(ctx))
        run = self.runs.shell.runs.get(alert.run_id)
        state = f" Run {alert.run_id} is {run.status.value}." if run else ""
        more = ""
        if choice.action == "retry_with":
            retry = next((r for r in self.runs.shell.runs.values() if r.request_id == f"{alert.id}:{choice.id}"), None)
            more = f" Its retry is {retry.id}." if retry else " Its retry is made when it has ended."
        return ToolOutcome(
            text=f"{alert.id} is {alert.status.value} with {word(choice.id, 40)}: {does(choice)}.{state}{more}",
            data={"card": "alert", "alert": alert.id},
        )


def does(choice: Choice) -> str:
    """What a choice leads to.

    >>> does(Choice("retry_lower_lr", "retry_with", "Lower lr", {"lr": 0.03}))
    'the run is stopped, if it lives, and run again with lr=0.03'
    """
    with_ = f" with {settings(choice.set)}" if choice.action == "retry_with" and choice.set else ""
    return _DOES[choice.action] + with_


def _told(alert: Alert) -> list[str]:
    e = alert.evidence
    facts = [f"rule {alert.rule}", f"raised {when(alert.raised_at)}"]
    if e.metric:
        facts.append(f"{word(e.metric, 100)} = {num(e.value)}" + (f" @ step {e.step}" if e.step is not None else ""))
    if e.baseline is not None:
        facts.append(f"baseline {num(e.baseline)}")
    if e.threshold is not None:
        facts.append(f"limit {num(e.threshold)}")
    if e.source:
        facts.append(f"from {word(e.source, 100)} offset {e.offset}")
    lines = [
        f"{alert.id} | {alert.severity.value} | {alert.status.value} | {alert.run_id} | {word(alert.title)}",
        f"  {'; '.join(facts)}",
    ]
    if alert.text and alert.severity is not Severity.INFO:
        lines.append(f"  {one_line(alert.text, 600)}")
    if e.log_line:
        lines.append(f"  log: {one_line(e.log_line, 300)}")
    if alert.status is AlertStatus.PENDING:
        for choice in alert.choices:
            safe = " (the safe one)" if choice.id == alert.default else ""
            lines.append(f"  choice {word(choice.id, 40)}{safe}: {word(choice.label, 100)}: {does(choice)}")
    elif alert.choice:
        lines.append(f"  answered {word(alert.choice, 40)} by {word(alert.answered_by or '', 60)}")
    if alert.note:
        lines.append(f"  note: {one_line(alert.note, 200)}")
    return lines


def alert_tools(alerts: AlertsDesk) -> list[Tool]:
    """list_alerts, answer_alert."""
    its = AlertTools(alerts)
    return [
        SimpleTool(
            ToolSpec(
                name="list_alerts",
                title="List alerts",
                description=(
                    "List alerts, pending ones unless status says otherwise, with their evidence and the choices that "
                    f"each offers. run: only of this run. {HOW_TO_REFER}"
                ),
                args=ListAlerts,
                effect="read",
                repeat="again",
            ),
            its.list_alerts,
        ),
        SimpleTool(
            ToolSpec(
                name="answer_alert",
                title="Answer an alert",
                description=(
                    "Answer a pending alert with one of its own choices (list_alerts shows them and what each does). "
                    "alert: its id. choice: the choice's id. The first answer holds."
                ),
                args=AnswerAlert,
                effect="act",
                repeat="again",  # the same answer twice is one answer
            ),
            its.answer_alert,
            its.look_answer,
        ),
    ]
