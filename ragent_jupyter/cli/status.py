"""`ragent status`: the one line on top of every surface, and what stands behind it."""

from __future__ import annotations

from .context import Context
from .output import ago, number


def status(context: Context) -> int:
    client = context.client()
    out = context.out
    reply = client.status()
    if out.json:
        out.document(reply)
        return 0
    parts = [f"{reply.live} running"]
    if reply.queued:
        parts.append(f"{reply.queued} queued")
    best = reply.best
    if best:
        confirmed = "" if best.get("confirmed") else ", unconfirmed"
        parts.append(f"best {best.get('metric')} {number(best.get('value'))} ({best.get('name')}{confirmed})")
    alerts = f"{reply.alerts} alert" + ("" if reply.alerts == 1 else "s")
    parts.append(out.paint(alerts, "33") if reply.alerts else alerts)
    out.say(" · ".join(parts))
    ended = [f"{reply.counts[s]} {s}" for s in ("finished", "failed", "stopped") if reply.counts.get(s)]
    if ended:
        out.say("ended: " + ", ".join(ended))
    out.say(f"project {reply.project} · engine {reply.version}, pid {reply.pid}, since {ago(reply.started_at)}")
    if reply.problem:
        out.say(out.paint(f"! {reply.problem}", "31"))
    if reply.alerts:
        out.say("`ragent alerts` shows what waits for an answer.")
    return 0
