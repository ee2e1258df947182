"""`ragent alerts` and `ragent respond`."""

from __future__ import annotations

from ragent_jupyter.domain.alert import Alert, AlertStatus
from ragent_jupyter.domain.errors import BadInput, WrongMoment

from .context import Context
from .output import DONE, NeedsHuman, Out, ago


def alerts(context: Context) -> int:
    out = context.out
    client = context.client()
    reply = client.alerts(status=None if context.args.all else "pending")
    out.document(reply)
    if out.json:
        return DONE
    if not reply.alerts:
        out.say("No alerts." if context.args.all else "Nothing waits for an answer.")
        return DONE
    for alert in reply.alerts:
        _say(out, alert)
    return DONE


def _say(out: Out, alert: Alert) -> None:
    out.say(f"{out.state(alert.severity.value)}  {alert.title}  {out.paint(ago(alert.raised_at), '2')}")
    if alert.text:
        out.say(f"  {alert.text}")
    out.say(f"  {alert.id} of {alert.run_id}")
    if alert.status is AlertStatus.PENDING:
        for choice in alert.choices:
            safe = "  (the safe one)" if choice.id == alert.default else ""
            out.say(f"  ragent respond {alert.id} {choice.id:<16} {choice.label}{safe}")
    else:
        by = f" by {alert.answered_by}" if alert.answered_by else ""
        words = [alert.status.value, alert.choice or "", by, alert.note]
        out.say("  " + " ".join(word.strip() for word in words if word))


def respond(context: Context) -> int:
    out, wanted = context.out, context.args.choice
    client = context.client()
    alert = client.find_alert(context.args.alert)
    if alert.status is not AlertStatus.PENDING and wanted is None:
        raise WrongMoment(f"{alert.id} is {alert.status.value} already.", "`ragent alerts` shows what still waits.")
    ids = [choice.id for choice in alert.choices]
    if wanted is None:
        if not out.asks:
            raise NeedsHuman(
                f"{alert.title}: no choice was given, and nobody is here to be asked.",
                f"Give one of: {', '.join(ids)}.",
            )
        wanted = _ask(out, alert)
    if wanted not in ids:  # the engine refuses it too; here the words can be the person's own
        raise BadInput(f"{wanted!r} is not a choice of {alert.id}.", f"One of: {', '.join(ids) or 'none'}.")
    answered = client.respond(alert.id, wanted)
    out.document(answered)
    label = next((choice.label for choice in alert.choices if choice.id == wanted), wanted)
    out.say(f"✓ {label}. {answered.note}".rstrip())
    return DONE


def _ask(out: Out, alert: Alert) -> str:
    _say(out, alert)
    try:
        text = input(f"choice [{alert.default or ''}]: ").strip()
    except EOFError:
        text = ""
    if not text and alert.default is None:
        raise NeedsHuman("No choice was made.", "Nothing was answered.")
    return text or str(alert.default)
