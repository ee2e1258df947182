"""The life of a run: `ready → queued → launching → running → finished | failed | stopped`, with `stopping` between.

`decide` says what a wish or a fact leads to and may refuse a wish; a fact is never refused: the world reports late,
and twice. `evolve` is total and is all that replay uses. Terminal is terminal.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.effects import Effect, Launch, SendFinish, SendStop
from ragent_jupyter.domain.errors import WrongMoment
from ragent_jupyter.domain.facts import Exit
from ragent_jupyter.domain.run import MetricSummary, Progress, Reason, Run, RunStatus

S = RunStatus


# --- what can come in --------------------------------------------------------------------------------------------
class Enqueue(Struct, frozen=True):
    """Wish: start it as soon as there is room. order: its place; smaller goes first."""

    at: float
    order: float


class Place(Struct, frozen=True):
    """The scheduler gives it a slot."""

    at: float
    gpu_ids: list[int]
    executor: str


class Waits(Struct, frozen=True):
    """The scheduler has no room for it. why: a sentence; "" where it is only not its turn."""

    why: str


class Stop(Struct, frozen=True):
    """Wish: end it. reason: why, where it is not a person's plain wish."""

    at: float
    order_id: str
    by: str = "user"
    now: bool = False


class Finish(Struct, frozen=True):
    """Wish: an interactive run is over (`ragent.finish()`)."""

    at: float
    order_id: str


class Edit(Struct, frozen=True):
    """Wish: how a person sees it. fields: alias, tags, notes, favourite, archived, colour, order."""

    fields: dict[str, Any]


class Submitted(Struct, frozen=True):
    """Fact: the executor took it."""

    handle: str


class Claimed(Struct, frozen=True):
    """Fact: its wrapper holds claim.json."""

    at: float


class Started(Struct, frozen=True):
    """Fact: the job's process exists."""

    at: float
    pid: int


class Ended(Struct, frozen=True):
    """Fact: there is a verdict. reason: what the log's end showed, already put into words."""

    exit: Exit
    reason: Reason


class Refused(Struct, frozen=True):
    """Fact: it could not be launched at all."""

    at: float
    problem: str
    remedy: str


class Seen(Struct, frozen=True):
    """Fact about the witness, not the job: health ("" is well), or unreachable since when."""

    health: str = ""
    unreachable_since: float | None = None


class Settled(Struct, frozen=True):
    """Fact: its sidecar has read everything to the end."""

    summary: dict[str, MetricSummary]
    progress: Progress | None = None


Wish = Enqueue | Place | Waits | Stop | Finish | Edit
Fact = Submitted | Claimed | Started | Ended | Refused | Seen | Settled


class RunRecord(Struct, frozen=True):
    """What is remembered: which kind of change, and the fields that changed."""

    type: str
    fields: dict[str, Any]


Decision = tuple[list[RunRecord], list[Effect]]
_NOTHING: Decision = ([], [])


def evolve(run: Run, record: RunRecord) -> Run:
    """The run after the record. Total: it decides nothing and refuses nothing."""
    return msgspec.structs.replace(run, **record.fields)


def _changed(**fields: Any) -> RunRecord:
    return RunRecord("run_changed", fields)


def _refuse(run: Run, wish: str) -> WrongMoment:
    now = {
        S.READY: "It waits to be started: start it.",
        S.QUEUED: "It is queued: stop it to take it out of the queue, or move it.",
        S.LAUNCHING: "It is being launched: stop it, or wait.",
        S.RUNNING: "It is running: stop it, or wait for its end.",
        S.STOPPING: "It is being stopped: wait, or stop it now (without grace).",
        S.FINISHED: "It has finished: retry it.",
        S.FAILED: "It has failed: retry it.",
        S.STOPPED: "It was stopped: retry it.",
    }[run.status]
    return WrongMoment(f"Run {run.id} cannot be {wish}: it is {run.status.value}.", now)


def decide(run: Run, event: Wish | Fact) -> Decision:
    """What `event` leads to. Raises WrongMoment for a wish that this state does not honour; never for a fact."""
    match event:
        case Enqueue(at=at, order=order):
            if run.status is not S.READY:
                raise _refuse(run, "started")
            return [_changed(status=S.QUEUED, queued_at=at, order=order)], []
        case Place(at=at, gpu_ids=gpu_ids, executor=executor):
            if run.status is not S.QUEUED:
                raise _refuse(run, "launched")
            fields = {"status": S.LAUNCHING, "launched_at": at, "gpu_ids": gpu_ids, "executor": executor}
            return [_changed(**fields, **_no_longer(run))], [Launch(run_id=run.id)]
        case Waits(why=why):
            if run.status is not S.QUEUED:
                raise _refuse(run, "kept waiting")
            return ([_changed(waits=why)], []) if run.waits != why else _NOTHING
        case Stop():
            return _stop(run, event)
        case Finish(order_id=order_id):
            if run.status.terminal:
                return _NOTHING  # the kernel says so twice: once by finish(), once by its end
            if run.kind != "interactive":
                raise _refuse(run, "finished by hand")
            return [_changed(stop_order=order_id)], [SendFinish(run_id=run.id, order_id=order_id)]
        case Edit(fields=fields):
            if "order" in fields and run.status is not S.QUEUED:
                raise _refuse(run, "moved in the queue")
            news = {name: value for name, value in fields.items() if getattr(run, name) != value}
            return ([_changed(**news)], []) if news else _NOTHING
        case _:
            return _fact(run, event), []


def _no_longer(run: Run) -> dict[str, str]:
    """It waits for nothing any more."""
    return {"waits": ""} if run.waits else {}


def _stop(run: Run, wish: Stop) -> Decision:
    if run.status.terminal:
        raise _refuse(run, "stopped")
    if run.status in (S.READY, S.QUEUED):
        reason = Reason("cancelled", f"Cancelled before it was launched ({wish.by}).")
        fields = {"status": S.STOPPED, "ended_at": wish.at, "reason": reason, "stop_by": wish.by, "settled": True}
        return [RunRecord("run_ended", fields | _no_longer(run))], []
    send = SendStop(run_id=run.id, order_id=wish.order_id, by=wish.by, now=wish.now)
    if run.status is S.STOPPING and not wish.now:
        return _NOTHING  # asked twice: the first order is under way
    fields = {"status": S.STOPPING, "stop_order": wish.order_id, "stop_by": run.stop_by or wish.by}
    return [_changed(**fields)], [send]


def _fact(run: Run, fact: Fact) -> list[RunRecord]:
    match fact:
        case Settled(summary=summary, progress=progress):
            if run.settled:
                return []
            return [_changed(settled=True, summary=summary, progress=progress)]
        case Seen(health=health, unreachable_since=since):
            # A run that is over may still be found to be unwatched: what it wrote last was then not read.
            if (run.health, run.unreachable_since) == (health, since) or run.settled:
                return []
            return [_changed(health=health, unreachable_since=since)]
        case _ if run.status.terminal:
            return []  # a late `running` revives nothing
        case Submitted(handle=handle):
            return [_changed(executor_handle=handle)] if run.executor_handle != handle else []
        case Claimed(at=at):
            # An interactive run runs from the claim on: its process was there before us.
            if run.kind == "interactive" and run.status is S.LAUNCHING:
                return [_changed(status=S.RUNNING, started_at=run.started_at or at)]
            return []
        case Started(at=at, pid=pid):
            if run.started_at is not None and run.pid == pid:
                return []
            status = S.RUNNING if run.status in (S.LAUNCHING, S.QUEUED, S.READY) else run.status
            return [_changed(status=status, started_at=at, pid=pid)]
        case Refused(at=at, problem=problem, remedy=remedy):
            reason = Reason("launch_error", f"{problem} {remedy}".strip())
            return [RunRecord("run_ended", {"status": S.FAILED, "ended_at": at, "reason": reason, "settled": True})]
        case Ended(exit=exit, reason=reason):
            return [RunRecord("run_ended", _ended(run, exit, reason))]
    return []


def after(run: Run, exit: Exit) -> RunStatus:
    """What a verdict makes of a run.

    A run that ends after a stop was asked for is stopped, whatever its exit code; a lost one is failed all the same,
    unless it was being stopped: then it did what it was told.
    """
    if exit.kind == "launch_error":
        return S.FAILED
    if run.status is S.STOPPING or (exit.order_id is not None and exit.kind != "finished"):
        return S.STOPPED
    if exit.kind == "finished" or (exit.kind == "exited" and exit.exit_code == 0):
        return S.FINISHED
    return S.FAILED


def _ended(run: Run, exit: Exit, reason: Reason) -> dict[str, Any]:
    status = after(run, exit)
    if status is S.STOPPED and reason.kind != "nan":
        who = run.stop_by or "user"
        reason = Reason("stop", f"Stopped ({who}). {reason.text}".strip(), reason.log_line)
    return {
        "status": status,
        "ended_at": exit.at,
        "started_at": run.started_at if run.started_at is not None else exit.started_at,
        "reason": None if status is S.FINISHED else reason,
        "exit_code": exit.exit_code,
        "signal": exit.signal,
        "max_rss_bytes": exit.max_rss_bytes or None,
        "cpu_s": round(exit.utime_s + exit.stime_s, 3),
        "unreachable_since": None,
    }
