"""One turn of an agent, as a table: `(turn, event) → (turn, effects)`. No clock, network, disk or log.

The same rules drive chat, the wild loop, research and the judge. The shell around them (services/agent.py) calls the
model and the tools, remembers, and feeds back what happened. Nothing else decides: a watcher of steps may look, and
that is all it can do.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.model import FOR_A_PERSON, RETRIED, FailureKind, StopReason, Usage

QUIET_S = 60.0  # without a byte of the provider: say so
STALLED_S = 120.0  # end the try
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 900.0
GIVE_UP_S = 86_400.0  # a day of waiting in one turn: a person
CONTINUES = 3  # how often a message cut by its own length is continued
REPEATS = 3  # the same call with the same input, one after the other: a loop

Phase = Literal["idle", "calling", "acting", "waiting_api", "over"]


class Limits(Struct, frozen=True, kw_only=True):
    """When a turn ends by itself. None: no limit. wall_s leaves out the time in which a person was waited for."""

    steps: int | None = 50
    cost: float | None = None
    tokens: int | None = None
    wall_s: float | None = None
    stop_tools: tuple[str, ...] = ()  # one of them was called and done: the turn is over
    must_call: bool = False  # text where a tool was due is asked again, once


class Call(Struct, frozen=True, kw_only=True):
    """A tool call of the step under way. state: asked → running → over."""

    id: str
    name: str
    input: dict[str, Any]
    bad_input: str = ""
    state: Literal["asked", "running", "over"] = "asked"
    ends_turn: bool = False


class TurnState(Struct, frozen=True, kw_only=True):
    """step: model calls that gave a whole message or are under way.  tries: of this step.  waited_s: back-off so far.

    calls: of the step's message, in its order.  spent: of the whole turn.
    """

    limits: Limits = Limits()
    phase: Phase = "idle"
    step: int = 0
    tries: int = 0
    waited_s: float = 0.0
    continued: int = 0
    shrunk: bool = False
    nudged: bool = False
    began_at: float = 0.0
    person_s: float = 0.0
    calls: tuple[Call, ...] = ()
    last_calls: tuple[tuple[str, str], ...] = ()
    repeated: int = 0
    spent: Usage = Usage(known=True)


# --- events ----------------------------------------------------------------------------------------------------------
class Begin(Struct, frozen=True, kw_only=True):
    at: float


class Answered(Struct, frozen=True, kw_only=True):
    """A whole message came."""

    at: float
    stop_reason: StopReason
    calls: tuple[Call, ...]
    usage: Usage


class Failed(Struct, frozen=True, kw_only=True):
    """A model call gave no whole message. chance: 0 to 1, drawn by the shell, so that many do not wake at once."""

    at: float
    kind: FailureKind
    problem: str
    remedy: str = ""
    retry_after: float | None = None
    chance: float = 0.5


class Woken(Struct, frozen=True, kw_only=True):
    """The wait is over, or a person wants it tried now."""

    at: float


class Began(Struct, frozen=True, kw_only=True):
    """A tool runs (it was allowed)."""

    call_id: str


class Done(Struct, frozen=True, kw_only=True):
    """A tool is over, well or not; also refused by a rule or a person. person_s: how long a person was waited for."""

    at: float
    call_id: str
    ends_turn: bool = False
    person_s: float = 0.0


class Stop(Struct, frozen=True, kw_only=True):
    """A person says stop."""


TurnEvent = Begin | Answered | Failed | Woken | Began | Done | Stop


# --- effects ---------------------------------------------------------------------------------------------------------
class CallModel(Struct, frozen=True, kw_only=True):
    """note: what the model is told before it goes on, in ragent's own words; "" nothing.  shrink: leave out more."""

    step: int
    tries: int
    note: str = ""
    shrink: bool = False
    must_call: bool = False


class RunTool(Struct, frozen=True, kw_only=True):
    call: Call


class WaitApi(Struct, frozen=True, kw_only=True):
    seconds: float
    why: str


class Finish(Struct, frozen=True, kw_only=True):
    """status: done, stopped, failed.  reason: "" for a plain end, else a sentence a person reads."""

    status: Literal["done", "stopped", "failed"]
    reason: str = ""
    remedy: str = ""
    type: str = ""


TurnEffect = CallModel | RunTool | WaitApi | Finish


def turn(state: TurnState, event: TurnEvent) -> tuple[TurnState, list[TurnEffect]]:
    """What follows. Events that come too late (after the end, for another step) change nothing."""
    if state.phase == "over":
        return state, []
    match event:
        case Stop():
            return _over(state), [Finish(status="stopped", reason="You stopped it.")]
        case Begin(at=at) if state.phase == "idle":
            return _call(msgspec.structs.replace(state, began_at=at), at)
        case Answered() if state.phase == "calling":
            return _answered(state, event)
        case Failed() if state.phase == "calling":
            return _failed(state, event)
        case Woken() if state.phase == "waiting_api":
            again = msgspec.structs.replace(state, phase="calling", tries=state.tries + 1)
            return again, [CallModel(step=state.step, tries=again.tries, shrink=state.shrunk)]
        case Began(call_id=id) if state.phase == "acting":
            return _mark(state, id, "running"), []
        case Done() if state.phase == "acting":
            return _done(state, event)
    return state, []


def _over(state: TurnState) -> TurnState:
    return msgspec.structs.replace(state, phase="over")


def _fail(state: TurnState, type: str, reason: str, remedy: str) -> tuple[TurnState, list[TurnEffect]]:
    return _over(state), [Finish(status="failed", reason=reason, remedy=remedy, type=type)]


def _call(state: TurnState, at: float, note: str = "") -> tuple[TurnState, list[TurnEffect]]:
    """The next step, unless a limit is reached."""
    spent = _limit(state, at)
    if spent:
        return _over(state), [Finish(status="done", reason=spent, type="limit")]
    after = msgspec.structs.replace(
        state, phase="calling", step=state.step + 1, tries=1, calls=(), shrunk=False, waited_s=0.0
    )
    must = state.limits.must_call
    return after, [CallModel(step=after.step, tries=1, note=note, must_call=must and state.nudged)]


def _limit(state: TurnState, at: float) -> str:
    limits, spent = state.limits, state.spent
    if limits.steps is not None and state.step >= limits.steps:
        return f"It stopped after {limits.steps} steps, the limit of a turn. Say “go on” to continue."
    if limits.cost is not None and spent.cost and spent.cost >= limits.cost:  # what costs nothing has no limit
        return f"It stopped at ${spent.cost:.2f}, the limit of a turn is ${limits.cost:.2f}."
    if limits.tokens is not None and spent.prompt + spent.output >= limits.tokens:
        return f"It stopped after {spent.prompt + spent.output:,} tokens, the limit of a turn is {limits.tokens:,}."
    if limits.wall_s is not None and at - state.began_at - state.person_s >= limits.wall_s:
        return f"It stopped after {limits.wall_s / 60:.0f} minutes, the limit of a turn."
    return ""


def add(a: Usage, b: Usage) -> Usage:
    """The sum of two. A cost that is unknown counts as nothing, and `known` says so."""
    return Usage(
        input=a.input + b.input,
        output=a.output + b.output,
        cache_read=a.cache_read + b.cache_read,
        cache_write=a.cache_write + b.cache_write,
        cost=b.cost if a.cost is None else a.cost if b.cost is None else a.cost + b.cost,
        calls=a.calls + b.calls,
        known=a.known and b.known,
    )


def _answered(state: TurnState, event: Answered) -> tuple[TurnState, list[TurnEffect]]:
    state = msgspec.structs.replace(state, spent=add(state.spent, event.usage))
    match event.stop_reason:
        case "refusal":
            return _fail(
                state, "refusal", "The model declined to answer.", "Say it differently, or choose another model."
            )
        case "context_exceeded":
            return _too_large(state)
        case "max_tokens":
            # A call that was cut off by its own length is no call. The shell has marked it as cut.
            if state.continued >= CONTINUES:
                return _fail(
                    state,
                    "max_tokens",
                    "The model's answers were cut off by their length three times.",
                    "Ask for something smaller, or raise the model's output limit.",
                )
            after = msgspec.structs.replace(state, continued=state.continued + 1)
            note = "Your last message was cut off by the output limit. Go on from where it ended; keep calls short."
            return _call(after, event.at, note)
        case "pause_turn":
            return _call(state, event.at)
    if not event.calls:
        if state.limits.must_call and not state.nudged:
            after = msgspec.structs.replace(state, nudged=True)
            return _call(after, event.at, "A tool call is needed here, not text. Call one of the tools.")
        if state.limits.must_call:
            return _fail(
                state,
                "no_tool",
                "The model answered with text where it had to call a tool, twice.",
                "Choose a model that can use tools.",
            )
        return _over(state), [Finish(status="done")]
    key = tuple((call.name, _spelled(call.input)) for call in event.calls)
    repeated = state.repeated + 1 if key == state.last_calls else 0
    if repeated >= REPEATS:
        return _fail(
            state,
            "loop",
            f"The model made the same call {REPEATS + 1} times in a row ({event.calls[0].name}).",
            "Say what it should do instead.",
        )
    after = msgspec.structs.replace(state, phase="acting", calls=event.calls, last_calls=key, repeated=repeated)
    # One after the other, in the model's order: a later call may rest on what an earlier one did.
    return after, [RunTool(call=event.calls[0])]


def _spelled(input: dict[str, Any]) -> str:
    return msgspec.json.encode(input, order="deterministic").decode()


def _too_large(state: TurnState) -> tuple[TurnState, list[TurnEffect]]:
    if state.shrunk:
        return _fail(
            state,
            "too_large",
            "The conversation does not fit into the model's context, even shortened.",
            "Begin a new chat, or attach less.",
        )
    after = msgspec.structs.replace(state, phase="calling", shrunk=True, tries=state.tries + 1)
    return after, [CallModel(step=state.step, tries=after.tries, shrink=True)]


def backoff_s(tries: int, chance: float) -> float:
    """Seconds to wait after the try of this number: 2, 4, 8 … at most 15 minutes, each give or take a quarter."""
    base = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 30))
    return base * (0.75 + 0.5 * chance)


def _failed(state: TurnState, event: Failed) -> tuple[TurnState, list[TurnEffect]]:
    if event.kind == "too_large":
        return _too_large(state)
    if event.kind == "bad_reply" and state.tries < 2:
        again = msgspec.structs.replace(state, tries=state.tries + 1)
        return again, [CallModel(step=state.step, tries=again.tries, shrink=state.shrunk)]
    if event.kind in RETRIED:
        wait = backoff_s(state.tries, event.chance)
        if event.retry_after is not None:
            wait = max(wait, event.retry_after)
        if state.waited_s + wait <= GIVE_UP_S:
            after = msgspec.structs.replace(state, phase="waiting_api", waited_s=state.waited_s + wait)
            return after, [WaitApi(seconds=wait, why=event.problem)]
        return _fail(
            state,
            event.kind,
            f"The model could not be reached for a day: {event.problem}",
            event.remedy or "Look at the provider's status page, then send the message again.",
        )
    remedy = event.remedy
    if not remedy and event.kind in FOR_A_PERSON:
        remedy = "Check the key and the account, then press Retry."
    return _fail(state, event.kind, event.problem, remedy)


def _mark(state: TurnState, call_id: str, to: Literal["running", "over"], ends: bool = False) -> TurnState:
    calls = tuple(
        msgspec.structs.replace(call, state=to, ends_turn=ends) if call.id == call_id and call.state != "over" else call
        for call in state.calls
    )
    return msgspec.structs.replace(state, calls=calls)


def _done(state: TurnState, event: Done) -> tuple[TurnState, list[TurnEffect]]:
    # One after the other: only the first that is not over is under way, and nothing else can be done.
    known = next((call for call in state.calls if call.state != "over"), None)
    if known is None or known.id != event.call_id:
        return state, []
    stops = event.ends_turn or known.name in state.limits.stop_tools
    state = msgspec.structs.replace(
        _mark(state, event.call_id, "over", stops), person_s=state.person_s + event.person_s
    )
    waiting = [call for call in state.calls if call.state == "asked"]
    if waiting:
        return state, [RunTool(call=waiting[0])]
    if any(call.state != "over" for call in state.calls):
        return state, []
    if any(call.ends_turn for call in state.calls):
        return _over(state), [Finish(status="done")]
    return _call(state, event.at)


def resume(
    limits: Limits, steps: int, calls: tuple[Call, ...], spent: Usage, began_at: float, at: float, said: bool = False
) -> tuple[TurnState, list[TurnEffect]]:
    """Where a turn goes on after a crash. steps: whole messages so far; calls: those of the last one, as recorded.

    A message that was under way is asked anew; a call that is still "asked" is made; what was running is over (its
    outcome is known or said to be unknown by the shell).  said: the last message was an answer without calls; only its
    end was not remembered yet.
    """
    state = TurnState(limits=limits, step=steps, began_at=began_at, spent=spent, calls=calls, phase="acting")
    waiting = [call for call in calls if call.state == "asked"]
    if waiting:
        return state, [RunTool(call=waiting[0])]
    if said or any(call.ends_turn for call in calls):
        return _over(state), [Finish(status="done")]
    return _call(state, at)
