"""The desk of alerts: the engine owns their answers; the sidecar owned their raising."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec

from ragent_jupyter.domain.alert import Alert, AlertStatus, Severity
from ragent_jupyter.domain.effects import Effect, SendAnswer
from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.facts import AlertRaised
from ragent_jupyter.domain.ids import make_id
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wire import AlertsReply
from ragent_jupyter.rules import alert_life

from .runs import RunsDesk
from .shell import Change, Shell


def raised(run: Run, fact: AlertRaised, after_end: bool) -> Alert:
    """An alert from its fact. One that is read only after the run's end has nothing left to ask."""
    alert = Alert(
        id=fact.id,
        run_id=run.id,
        rule=fact.rule,
        severity=fact.severity,
        title=fact.title,
        raised_at=fact.at,
        text=fact.text,
        evidence=fact.evidence,
        choices=fact.choices,
        default=fact.default,
    )
    if after_end:
        note = "The run had ended before this could be answered."
        return msgspec.structs.replace(alert, status=AlertStatus.EXPIRED, note=note)
    if fact.severity is Severity.INFO:
        # An info interrupts nobody: it asks nothing, and nothing waits for it.
        return msgspec.structs.replace(
            alert, status=AlertStatus.DISMISSED, answered_by="rule:info", choice=fact.default
        )
    return alert


class AlertsDesk:
    def __init__(self, shell: Shell, runs: RunsDesk) -> None:
        self.shell = shell
        self.runs = runs

    def get(self, alert_id: str) -> Alert:
        alert = self.shell.alerts.get(alert_id)
        if alert is None:
            raise NotFound(f"No alert {alert_id!r} in this project.", "List them with `ragent alerts --all`.")
        return alert

    def page(
        self,
        *,
        status: set[str] | None = None,
        run: str | None = None,
        severity: set[str] | None = None,
        limit: int = 500,
    ) -> AlertsReply:
        found = [
            a
            for a in self.shell.alerts.values()
            if (not status or a.status.value in status)
            and (run is None or a.run_id == run)
            and (not severity or a.severity.value in severity)
        ]
        found.sort(key=lambda a: (a.status is not AlertStatus.PENDING, -a.severity.rank, -a.raised_at))
        pending = sum(a.status is AlertStatus.PENDING for a in self.shell.alerts.values())
        return AlertsReply(alerts=found[:limit], pending=pending)

    async def respond(self, alert_id: str, choice_id: str, by: str) -> Alert:
        """Answer once; the same answer again changes nothing; another one is refused with who decided."""
        alert = self.get(alert_id)
        records, choice = alert_life.decide(alert, alert_life.Answer(self.shell.clock.now(), choice_id, by))
        if choice is None:
            return alert
        changes = []
        for record in records:
            alert = alert_life.evolve(alert, record)
            changes.append(Change(record.type, alert))
        order = make_id("ord", int(self.shell.clock.now() * 1000), random.getrandbits(20))
        answer = SendAnswer(
            run_id=alert.run_id, order_id=order, alert_id=alert.id, choice=choice.id, action=choice.action
        )
        effects: list[Effect] = [answer]
        run = self.shell.runs.get(alert.run_id)
        stops = choice.action in ("stop", "stop_now", "retry_with")
        if stops and run is not None and not run.status.terminal:
            # In the same transaction: an answer that is remembered without its stop would never be carried out.
            more, owed = self.runs.stopping(run, now=choice.action == "stop_now", by=f"alert:{alert.id}")
            changes += more
            effects += owed
        await self.shell.commit(changes, effects)
        self.runs.progressed()
        await self.follow_up(alert.run_id)
        return self.get(alert_id)

    async def follow_up(self, run_id: str) -> None:
        """What an answer owes once the run is over: the retry with changed parameters, made once whatever crashes."""
        run = self.shell.runs.get(run_id)
        if run is None or not run.status.terminal:
            return
        for alert in [a for a in self.shell.alerts.values() if a.run_id == run_id]:
            if alert.status is not AlertStatus.RESOLVED:
                continue
            choice = next((c for c in alert.choices if c.id == alert.choice), None)
            if choice is not None and choice.action == "retry_with":
                await self.runs.retry(run_id, choice.set, request_id=f"{alert.id}:{choice.id}")

    def expire(self, run_id: str, note: str) -> Iterable[Change]:
        """The changes that expire what is still pending for a run that has ended."""
        for alert in self.shell.pending_alerts(run_id):
            records, _ = alert_life.decide(alert, alert_life.Expire(self.shell.clock.now(), note))
            for record in records:
                alert = alert_life.evolve(alert, record)
                yield Change(record.type, alert)
