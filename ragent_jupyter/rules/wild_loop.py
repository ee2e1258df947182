"""The wild loop: what comes next, given what is true. Pure; no clock, disk, model or log.

Three kinds of functions. `sync` turns what is true into events that wait. `next_move` says what the loop does now; it
looks at the state alone, so that after any crash the same state goes on the same way. `decided`, `began_sweep`,
`judged`, `wish` and the others say what the loop is after something happened. Facts are never refused, wishes may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, NotFound, WrongMoment
from ragent_jupyter.domain.wild import (
    PRIORITY,
    Action,
    Analyse,
    Baseline,
    Candidate,
    ChangeSetup,
    Confirm,
    EditCode,
    Launch,
    Loop,
    LoopEvent,
    LoopTask,
    Option,
    Promise,
    ProposeSweep,
    Question,
    ResolveAlert,
    Stage,
    StopRun,
    Verdict,
    Waiting,
)

from .wild_limits import OF_MODELS, STOPS_RUNS

MAX_STRIKES = 3
_KEEP_STEER = 20
_KEEP_FINDINGS = 60


# --- what is true -----------------------------------------------------------------------------------------------------
class RunSeen(Struct, frozen=True):
    id: str
    status: str
    terminal: bool
    text: str = ""


class AlertSeen(Struct, frozen=True):
    id: str
    run: str
    severity: str
    text: str = ""


class World(Struct, frozen=True, kw_only=True):
    """What stands outside the loop. runs: of all its sweeps.  alerts: pending ones of its runs, infos left out.

    sweep_over: the sweep under way has ended.  hit: the limit that is used up, (name, sentence); tight: the one
    that leaves no room to confirm anything.
    goal: why the goal condition is met, "" if it is not.  to_confirm: there is an unconfirmed best that could be
    confirmed.
    """

    now: float
    runs: list[RunSeen] = []
    alerts: list[AlertSeen] = []
    sweep_over: bool = True
    hit: tuple[str, str] | None = None
    tight: tuple[str, str] | None = None
    goal: str = ""
    to_confirm: bool = False

    @property
    def live(self) -> bool:
        return any(not run.terminal for run in self.runs)


# --- what comes next --------------------------------------------------------------------------------------------------
class Rest(Struct, frozen=True):
    """Nothing to do until something happens, or until a time. why: for people."""

    why: str
    until: float | None = None


class Decide(Struct, frozen=True):
    event: LoopEvent


class Perform(Struct, frozen=True):
    action: Action


class Analyze(Struct, frozen=True):
    """The sweep is over and nothing is pending: what did it tell?"""


class Judge(Struct, frozen=True):
    """The confirm sweep is over: verdicts."""


class ConfirmFirst(Struct, frozen=True):
    """Before it ends, what it would claim is put to the test."""

    why: str


class TakeDefault(Struct, frozen=True):
    """Nobody answered in time."""


class EndLoop(Struct, frozen=True):
    end: Literal["complete", "budget", "stopped", "failed"]
    why: str
    budget: str = ""
    stop_runs: bool = False


class Explore(Struct, frozen=True):
    """Back to exploring: an analysis has led to nothing further."""


Move = Rest | Decide | Perform | Analyze | Judge | ConfirmFirst | TakeDefault | EndLoop | Explore


def decode_actions(raw: Sequence[Any]) -> list[Action]:
    return [msgspec.convert(item, Action) for item in raw]


def encode_actions(actions: Sequence[Action]) -> list[Any]:
    return [msgspec.to_builtins(action) for action in actions]


def head(queue: Sequence[LoopEvent]) -> LoopEvent | None:
    """The event that is decided next: by place, which a person may have changed; a kind's priority is its first
    place."""
    return min(queue, key=lambda e: (e.order, e.at, e.id), default=None)


def event(kind: str, ref: str, at: float, text: str = "", id: str = "") -> LoopEvent:
    """An event of the world. The same thing has the same id, however often it is seen."""
    made = {
        "id": id or f"{kind}:{ref}",
        "kind": kind,
        "at": at,
        "order": float(PRIORITY[kind]),
        "ref": ref,
        "text": text,
    }
    return msgspec.convert(made, LoopEvent)


def sync(loop: Loop, world: World) -> Loop:
    """The loop with everything that is true and undecided in its queue, and nothing that is no longer true."""
    if loop.over:
        return loop
    told = set(loop.told)
    pending = {alert.id: alert for alert in world.alerts}
    queue = [e for e in loop.queue if e.kind not in ("critical", "warning") or e.ref in pending]
    known = {(e.kind in ("critical", "warning"), e.ref) for e in queue if e.ref}
    if loop.current is not None:
        known.add((loop.current.kind in ("critical", "warning"), loop.current.ref))
    fresh_told: list[str] = []
    for run in world.runs:
        if not run.terminal or run.id in told or (False, run.id) in known:
            continue
        if loop.stage is Stage.CONFIRMING:
            fresh_told.append(run.id)  # the verdict is computed from all of them; single ends decide nothing
            continue
        kind = "failure" if run.status == "failed" else "completion"
        queue.append(event(kind, run.id, world.now, run.text))
    for alert in world.alerts:
        if (True, alert.id) not in known and alert.id not in told:
            kind = "critical" if alert.severity == "critical" else "warning"
            queue.append(event(kind, alert.id, world.now, alert.text))
    if queue == loop.queue and not fresh_told:
        return loop
    return replace(loop, queue=queue, told=[*loop.told, *fresh_told])


def next_move(loop: Loop, world: World) -> Move:
    """What the loop does now. World and loop must be of the same moment (`sync` first)."""
    if loop.over:
        return Rest("It has ended.")
    if world.hit is not None and world.hit[0] in STOPS_RUNS:
        return EndLoop("budget", world.hit[1], budget=world.hit[0], stop_runs=True)
    if loop.paused:
        return Rest("Paused.")
    if loop.owed:
        return Perform(decode_actions(loop.owed[:1])[0])
    if loop.question is not None:
        if loop.question.default_at is not None and loop.question.default_at <= world.now:
            return TakeDefault()
        return Rest("It waits for an answer.", loop.question.default_at)
    if loop.waiting is not None and loop.waiting.until > world.now:
        return Rest(loop.waiting.why, loop.waiting.until)
    waiting = loop.current or head(loop.queue)
    if waiting is not None:
        return _decide(loop, world, waiting)
    match loop.stage:
        case Stage.RUNNING if _settled(world):
            return Analyze()
        case Stage.CONFIRMING if _settled(world):
            return Judge()
        case Stage.RUNNING | Stage.CONFIRMING:
            return Rest("Its runs are under way.")
        case Stage.ANALYZING:
            return Explore()
    return _explore(loop, world)


def _settled(world: World) -> bool:
    """The double guard: the sweep says it is over, every run has ended, and no alert waits for an answer."""
    return world.sweep_over and not world.live and not world.alerts


def _decide(loop: Loop, world: World, waiting: LoopEvent) -> Move:
    if world.hit is not None and world.hit[0] in OF_MODELS and loop.policy == "llm":
        # A model that may not be asked any more decides nothing; what runs goes on to its end.
        return EndLoop("budget", world.hit[1], budget=world.hit[0])
    if waiting.kind == "analysis" and not _settled(world):
        return Rest("Something began again under the analysis.")  # looked at twice: now, and when it was queued
    return Decide(waiting)


def _explore(loop: Loop, world: World) -> Move:
    if not _settled(world):
        return Rest("Runs of it are still under way.")
    if loop.promised and world.to_confirm:
        return ConfirmFirst(loop.promised)
    if loop.promised:
        out = world.tight if world.hit is None or world.hit[0] in OF_MODELS else world.hit
        # That the best was tested and not shown to be better is a result, also where the test took the last runs.
        if out is None or any(v.verdict in ("confirmed", "not distinguishable", "worse") for v in loop.verdicts):
            return EndLoop("complete", loop.promised)
        # What ran out before anything was tested is no success, whatever was promised.
        return EndLoop("budget", f"{loop.promised} {out[1]}", budget=out[0])
    if world.goal:
        return ConfirmFirst(world.goal) if world.to_confirm else EndLoop("complete", world.goal)
    if world.hit is not None and (world.hit[0] not in OF_MODELS or loop.policy == "llm"):
        name, why = world.hit
        if name == "iterations" and world.to_confirm:
            return ConfirmFirst(why)
        return EndLoop("budget", why, budget=name)
    return Decide(event("explore", "", world.now, id=f"explore:{loop.iteration}:{loop.entries}"))


# --- what the loop is after something happened ------------------------------------------------------------------------
def taken(loop: Loop, chosen: LoopEvent) -> Loop:
    """The event that is shown is the event that is consumed: it leaves the queue when its decision begins."""
    return replace(loop, current=chosen, queue=[e for e in loop.queue if e.id != chosen.id], waiting=None)


def decided(loop: Loop, accepted: Sequence[Action], question: Question | None, *, empty: bool, refusal: str) -> Loop:
    """After a decision. accepted: what passed the guard.  question: what a person is asked before the rest goes ahead.

    empty: nothing came of it though something had to.  refusal: the last refusal's problem, "" if there was none.
    """
    done = loop.current
    if done is None:
        return loop
    # An alert that was decided about is not asked about again; it expires with its run where it was left open.
    once = done.kind in ("completion", "failure", "critical", "warning")
    told = [*loop.told, done.ref] if once and done.ref else loop.told
    loop = replace(loop, current=None, told=told)
    # Only what really begins takes strikes back: what is accepted and then fails, again and again, leads nowhere too.
    if empty:
        loop = replace(loop, strikes=loop.strikes + 1, strike=refusal)
    owed = list(loop.owed)
    for action in accepted:
        match action:
            case ProposeSweep() | Launch() | Confirm() | StopRun() | ResolveAlert():
                owed += encode_actions([action])
            case Analyse(text=text, findings=findings, tasks=tasks):
                kept = [*loop.findings, *(findings or [text])][-_KEEP_FINDINGS:]
                loop = replace(loop, findings=kept, plan=_merged(loop.plan, tasks) if tasks else loop.plan)
            case ChangeSetup(fields=fields):
                loop = replace(loop, setup=changed_setup(loop, fields))
            case Promise(word="COMPLETE", text=text):
                loop = replace(loop, promised=text or "The policy has nothing left to try.")
            case Promise() | EditCode():
                pass  # asking is the question's; an edit was made while it was decided
    if any(waiting.kind == "human" for waiting in loop.queue):
        loop = replace(loop, promised="")  # promised without knowing what a person has said meanwhile
    loop = replace(loop, owed=owed, question=question)
    starts = any(isinstance(action, (ProposeSweep, Launch, Confirm)) for action in accepted)
    if done.kind == "analysis" and not starts and question is None:
        loop = replace(loop, stage=Stage.EXPLORING)
    return loop


def changed_setup(loop: Loop, fields: dict[str, Any]) -> Any:
    """The setup with fields set anew. Raises BadInput for what a setup does not have."""
    unknown = sorted(set(fields) - set(loop.setup.__struct_fields__))
    if unknown:
        raise BadInput(f"A setup has no {unknown[0][:60]!r}.", f"It has: {', '.join(loop.setup.__struct_fields__)}.")
    merged = {**msgspec.to_builtins(loop.setup), **msgspec.to_builtins(fields)}
    try:
        return msgspec.convert(merged, type(loop.setup), strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(f"The setup cannot be changed so: {error}.", "Send fields of the right type.") from None


def _merged(plan: Sequence[LoopTask], news: Sequence[LoopTask]) -> list[LoopTask]:
    """The plan with its tasks' new states; tasks that are not named stay; a done task is never undone."""
    said = {task.id: task for task in news}
    kept = [said.pop(t.id, t) if t.state != "done" else (said.pop(t.id, t) and t) for t in plan]
    return [*kept, *said.values()][:100]


def began_sweep(loop: Loop, sweep_id: str, purpose: str) -> Loop:
    """The first owed action was carried out: its sweep exists."""
    stage = Stage.CONFIRMING if purpose == "confirm" else Stage.RUNNING
    new = sweep_id not in loop.sweeps
    counted = new and purpose in ("search", "screen")
    iteration = loop.iteration + (1 if counted else 0)
    return replace(
        loop,
        owed=loop.owed[1:],
        sweep=sweep_id,
        sweeps=[*loop.sweeps, sweep_id] if new else loop.sweeps,
        purpose=purpose,
        stage=stage,
        iteration=iteration,
        spent=replace(loop.spent, iterations=iteration),
        promised="",  # whoever starts something has more to try
        strikes=0,
        strike="",
    )


def carried_out(loop: Loop) -> Loop:
    """The first owed action is done, or cannot be done any more."""
    return replace(loop, owed=loop.owed[1:])


def to_analysis(loop: Loop, at: float, baseline: Baseline | None, best: Candidate | None) -> Loop:
    asked = event("analysis", loop.sweep, at, id=f"analysis:{loop.sweep}")
    return replace(
        loop, stage=Stage.ANALYZING, queue=[*loop.queue, asked], baseline=baseline or loop.baseline, best=best
    )


def judged(loop: Loop, at: float, verdicts: Sequence[Verdict], best: Candidate | None) -> Loop:
    loop = replace(loop, verdicts=[*loop.verdicts, *verdicts])
    return to_analysis(loop, at, None, best)


def explored(loop: Loop) -> Loop:
    return replace(loop, stage=Stage.EXPLORING)


def ended(loop: Loop, move: EndLoop, at: float) -> Loop:
    return replace(
        loop,
        stage=Stage.ENDED,
        end=move.end,
        reason=move.why,
        budget=move.budget,
        ended_at=at,
        queue=[],
        current=None,
        owed=[],
        question=None,
        waiting=None,
        paused=False,
        spent=replace(loop.spent, since=None),
        plan=[
            replace(t, state="done" if move.end == "complete" else "dropped") if t.state == "doing" else t
            for t in loop.plan
        ],
    )


def blocked(loop: Loop) -> str:
    """Why a person is needed after decisions that came to nothing, "" while there is hope."""
    if loop.strikes < MAX_STRIKES:
        return ""
    what = f" The last obstacle: {loop.strike}" if loop.strike else ""
    return f"{loop.strikes} decisions in a row came to nothing.{what} What should happen?"


# --- what a person wishes ---------------------------------------------------------------------------------------------
def paused(loop: Loop) -> Loop:
    _alive(loop)
    return replace(loop, paused=True, waiting=None)


def resumed(loop: Loop, hit: tuple[str, str] | None) -> Loop:
    """Go on: after a pause, or after a budget's end once its limit has room."""
    if loop.over:
        if loop.end != "budget":
            raise WrongMoment(
                f"Loop {loop.id} has ended ({loop.end}).", "Start a new one; its report tells what it knew."
            )
        if hit is not None:
            raise WrongMoment(hit[1], "Raise that limit first.")
        return replace(
            loop, stage=Stage.EXPLORING, end=None, reason="", budget="", ended_at=None, strikes=0, promised=""
        )
    return replace(loop, paused=False, waiting=None)


def steered(loop: Loop, id: str, text: str, at: float) -> Loop:
    _alive(loop)
    if any(e.id == id for e in loop.queue) or (loop.current is not None and loop.current.id == id):
        return loop
    said = event("human", "", at, text, id)
    # What was promised was promised without knowing this.
    return replace(loop, queue=[*loop.queue, said], steer=[*loop.steer, text][-_KEEP_STEER:], promised="", strikes=0)


def answered(loop: Loop, question_id: str, choice: str, text: str, at: float) -> tuple[Loop, list[Action], str]:
    """(the loop, what goes ahead now, the answer in words). The first answer wins."""
    question = loop.question
    if question is None or question.id != question_id:
        raise WrongMoment("That question is no longer open.", "Look at the loop: it may have been answered elsewhere.")
    option = next((o for o in question.options if o.id == choice), None)
    if choice and option is None:
        known = ", ".join(o.id for o in question.options)
        raise NotFound(f"{choice[:60]!r} is not one of the choices.", f"Choose one of: {known}.")
    if not choice and not text.strip():
        raise BadInput("The answer is empty.", "Choose one of the options, or say something.")
    words = " ".join(filter(None, [option.label if option else "", text.strip()]))
    held = decode_actions(question.held) if choice == "yes" else []
    loop = replace(
        loop,
        question=None,
        answers=[*loop.answers, (question.text, words)][-50:],
        owed=[*loop.owed, *encode_actions(held)],
        strikes=0,
    )
    told = event("answer", question.ref, at, f"{question.text} → {words}", id=f"answer:{question.id}")
    if not held:  # what was asked for goes ahead: nothing is left to decide about it
        loop = replace(loop, queue=[*loop.queue, told])
    return loop, held, words


def reordered(loop: Loop, order: Sequence[str], drop: Sequence[str]) -> Loop:
    """A person's order of what waits. Raises WrongMoment for the drop of an alert: it has a life of its own."""
    by_id = {e.id: e for e in loop.queue}
    unknown = [id for id in [*order, *drop] if id not in by_id]
    if unknown:
        raise NotFound(f"{unknown[0][:80]!r} does not wait any more.", "Look at the queue again.")
    if any(by_id[id].kind in ("critical", "warning") for id in drop):
        raise WrongMoment("An alert cannot be dropped from the queue.", "Answer it, or dismiss it.")
    gone = set(drop)
    told = [by_id[id].ref for id in drop if by_id[id].kind in ("completion", "failure")]
    first = min((e.order for e in loop.queue), default=0.0)
    place = {id: first - len(order) + i for i, id in enumerate(order)}
    queue = [replace(e, order=place.get(e.id, e.order)) for e in loop.queue if e.id not in gone]
    return replace(loop, queue=queue, told=[*loop.told, *told])


def stopped(loop: Loop, by: str, at: float) -> Loop:
    _alive(loop)
    return ended(loop, EndLoop("stopped", f"Stopped by {by or 'a person'}."), at)


def waits_for_model(loop: Loop, until: float, why: str) -> Loop:
    tries = loop.waiting.tries + 1 if loop.waiting is not None else 1
    return replace(loop, waiting=Waiting(until=until, why=why, tries=tries))


def _alive(loop: Loop) -> None:
    if loop.over:
        raise WrongMoment(f"Loop {loop.id} has ended ({loop.end}).", "Start a new one.")


def yes_no(default: str = "no") -> tuple[list[Option], str]:
    return [Option("yes", "Go ahead"), Option("no", "Do not")], default
