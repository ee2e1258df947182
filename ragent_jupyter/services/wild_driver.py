"""One loop under way: asks the rules what comes next, has it decided or carries it out, and remembers it.

The driver keeps nothing that the record does not hold: after kill -9 another one goes on from the same loop. What is
carried out is known by an id (a sweep's request id, a run, an alert), so doing it twice is doing it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.errors import NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.model import ModelFailed
from ragent_jupyter.domain.ports_wild import Policy, Thought, Trees
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wild import (
    Action,
    ChangeSetup,
    Confirm,
    EditCode,
    Entry,
    Launch,
    Loop,
    LoopEvent,
    Option,
    Promise,
    ProposeSweep,
    ResolveAlert,
    Seen,
    Stage,
    StopRun,
    Verdict,
    View,
)
from ragent_jupyter.rules import wild_loop as rules
from ragent_jupyter.rules.confirm import candidates
from ragent_jupyter.rules.noise import baseline

from .shell import Shell
from .wild_book import Book
from .wild_estimate import estimate
from .wild_hands import DecisionHands, make_edit
from .wild_view import WildViews

log = logging.getLogger("ragent.engine")

_TICK_S = 5.0  # how often time is counted and hard limits are looked at while nothing else happens
_WATCH_S = 2.0  # how often streamed metrics are looked at while a search runs
_AGAIN_S = 2.0
_DISK_S = 15.0  # how often the run folders are measured
_MODEL_AGAIN_S = (30.0, 900.0)
_PERSON = frozenset({"auth", "spend_limit", "missing", "bad_request"})  # a model's failures that waiting does not mend


# Said when nothing runs, these lead somewhere; whoever says none of them has decided nothing.
_MOVES = (ProposeSweep, Launch, Confirm, EditCode, ChangeSetup, Promise)


class Hands(Protocol):
    """What carrying out needs of the desk."""

    async def begin_sweep(self, loop: Loop, view: View, action: Action) -> tuple[str, str, str]:
        """(sweep id, purpose, words). Repeating it for the same loop state gives the same sweep."""

    async def stop_run(self, run_id: str, by: str) -> str: ...
    async def answer_alert(self, alert_id: str, choice: str, by: str) -> str: ...
    async def stop_sweeps(self, loop: Loop, *, now: bool) -> None: ...
    async def hold_sweeps(self, loop: Loop) -> None: ...
    @property
    def look_again(self) -> Callable[[Run], Awaitable[str]]:
        """Whether what judges a run was changed under it; what a person should hear of it, or ""."""

    async def judged(self, loop: Loop, view: View) -> list[Verdict]: ...
    async def finish(self, loop_id: str, remember: Callable[[Entry], None]) -> None:
        """What belongs to an end that stands in the record: its score on a hold-out, its report."""

    def disk(self, loop: Loop) -> Awaitable[int]: ...


class Driver(Book):
    def __init__(
        self,
        loop_id: str,
        shell: Shell,
        views: WildViews,
        hands: Hands,
        policy: Callable[[Loop, LoopEvent], Policy],
        trees: Trees | None,
        remember: Callable[[Entry], None],
    ) -> None:
        super().__init__(loop_id, shell, views, remember)
        self.hands = hands
        self.policy = policy
        self.trees = trees
        self.wake = asyncio.Event()
        self._deciding: asyncio.Task[None] | None = None
        self._watched = 0.0
        self._disk_at = -1e9
        self.interrupted: Callable[[Loop, LoopEvent], Awaitable[str]] | None = None
        self.redact: Callable[[str], str] = lambda text: text

    @property
    def deciding(self) -> bool:
        return self._deciding is not None

    # --- the loop's loop ----------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Until the loop has ended. Cancelling it (the engine ends) leaves the loop as it is, to be gone on with."""
        try:
            await self._recovered()
            while not self.loop.over:
                self.wake.clear()
                wait = _AGAIN_S
                try:
                    wait = await self._step()
                except RagentError as error:
                    log.error("loop %s does not get on: %s", self.loop_id, error)
                except Exception:
                    log.exception("a step of loop %s failed; it is tried again", self.loop_id)
                if wait > 0:
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(self.wake.wait(), wait)
        finally:
            await self.drop()

    async def drop(self) -> None:
        """End the decision under way, if there is one; its event stays to be decided anew."""
        task, self._deciding = self._deciding, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})

    async def _recovered(self) -> None:
        """A decision that a crash broke off: the ledger says so, and its event is decided anew."""
        self.caught_up()
        loop = self.loop
        if loop.over or loop.current is None or self.interrupted is None:
            return
        lost = await self.interrupted(loop, loop.current)
        if lost:
            entry = self.entry(self.loop, "engine", event=loop.current, outcome="outcome_unknown", result=lost)
            await self.commit(self.loop, [entry])

    async def _step(self) -> float:
        """One step; how long to rest before the next one, seconds (0: none)."""
        self.count()
        await self._measure()
        for run in self.views.runs_of(self.loop):
            if self.views.read_out(run) and not self.views.checked(run):
                try:
                    if told := await self.hands.look_again(run):
                        seen = [Seen(kind="run", ref=run.id)]
                        line = self.entry(self.loop, "engine", evidence=seen, outcome="noted", result=told)
                        await self.commit(self.loop, [line])
                except (RagentError, OSError) as error:  # tried again; until then its value does not count
                    log.error("run %s was not looked at again: %s", run.id, error)
        spent = self.spent(self.loop)
        loop = replace(self.loop, spent=spent)
        world = self.views.world(loop, spent)
        synced = rules.sync(loop, world)
        if synced.queue != self.loop.queue or synced.told != self.loop.told or self.save_due():
            await self.commit(synced)
            loop = self.loop
        move = rules.next_move(replace(self.loop, spent=spent), world)
        if self._deciding is not None:
            stop = self.loop.paused or isinstance(move, rules.EndLoop)
            if not stop:
                return _TICK_S
            await self.drop()
        return await self._move(self.loop, world, move)

    async def _move(self, loop: Loop, world: rules.World, move: rules.Move) -> float:
        now = world.now
        match move:
            case rules.Rest(until=until):
                await self._watch(loop)
                rest = _TICK_S if until is None else min(_TICK_S, max(0.05, until - now))
                return min(rest, _WATCH_S) if world.live and loop.purpose == "search" and not loop.paused else rest
            case rules.Decide(event=event):
                await self._begin_decision(loop, event)
                return _TICK_S
            case rules.Perform(action=action):
                await self._perform(loop, action)
            case rules.Analyze():
                await self._analyze(loop, now)
            case rules.Judge():
                await self._judge(loop, now)
            case rules.ConfirmFirst(why=why):
                await self._confirm_first(loop, why)
            case rules.TakeDefault():
                await self._take_default(loop, now)
            case rules.Explore():
                await self.commit(rules.explored(loop))
            case rules.EndLoop():
                await self._end(loop, move, now)
        return 0.0

    async def _measure(self, *, now: bool = False) -> None:
        mono = self.shell.clock.mono()
        if now or mono - self._disk_at > _DISK_S:
            self._disk_at = mono
            self.disk = await self.hands.disk(self.loop)

    # --- deciding -----------------------------------------------------------------------------------------------------
    async def _begin_decision(self, loop: Loop, event: LoopEvent) -> None:
        if loop.current is None or loop.current.id != event.id:
            await self.commit(rules.taken(loop, event))
        self._deciding = asyncio.ensure_future(self._decide(event))

    async def _decide(self, event: LoopEvent) -> None:
        try:
            await self._decided(event)
        except asyncio.CancelledError:
            raise
        except ModelFailed as failed:
            await self._model_failed(event, failed)
        except Exception as error:
            log.exception("loop %s: the decision about %s failed", self.loop_id, event.id)
            await self._broke(event, error)
        finally:
            if self._deciding is asyncio.current_task():
                self._deciding = None
            self.wake.set()

    async def _decided(self, event: LoopEvent) -> None:
        view = self.views.view(self.loop, await self._curves(self.loop, event))
        hands = DecisionHands(view, event, self.trees, self.shell.clock.now())
        policy = self.policy(self.loop, event)
        try:
            thought = await policy.decide(view, event, hands)
        finally:
            hands.close()
        loop = self.loop  # wishes may have come meanwhile; they stay
        if loop.current is None or loop.current.id != event.id:
            return  # stopped, or taken out of its hands
        moves = [*hands.accepted, *(action for action, _ in hands.asked)]
        empty = event.kind == "explore" and not any(isinstance(action, _MOVES) for action in moves)
        entries = self._lines(loop, event, hands, thought)
        question = hands.question
        loop = rules.decided(loop, hands.accepted, question, empty=empty, refusal=hands.refusal)
        if hands.commits:
            loop = replace(loop, commits=[*loop.commits, *hands.commits])
        loop = self._measured(replace(loop, waiting=None))
        need = rules.blocked(loop)
        if need and loop.question is None:
            loop = replace(loop, question=self.ask(loop, need, "blocked"), strikes=0)
        await self.commit(loop, entries)

    async def _curves(self, loop: Loop, event: LoopEvent) -> dict[str, list[tuple[float, float]]]:
        """Of the runs that have ended, for who weighs candidates; a model reads digests instead."""
        if loop.policy == "llm" or not loop.setup.metric or event.kind not in ("explore", "analysis"):
            return {}
        wanted = [(run, over) for run, over in self.views.wanted_curves(loop) if over]
        return await asyncio.to_thread(self.views.read_curves, loop.setup.metric, wanted)

    def _measured(self, loop: Loop) -> Loop:
        """With the baseline, where this decision said by which metric the runs that were measured are judged."""
        if loop.baseline is not None or not loop.setup.metric or loop.setup.metric == self.loop.setup.metric:
            return loop
        view = self.views.view(loop)
        measured = baseline(view)
        if measured is None:
            return loop
        loop = replace(loop, baseline=measured, best=next(iter(candidates(view, 1)), None))
        return replace(loop, estimate=estimate(loop, view))

    def _lines(self, loop: Loop, event: LoopEvent, hands: DecisionHands, thought: Thought) -> list[Entry]:
        lines: list[Entry] = []
        for said in hands.said:
            who = said.who or thought.who
            lines.append(
                self.entry(
                    loop,
                    "rule" if who.startswith("rule") or not who else "model",
                    offset=len(lines) + 1,
                    who=who,
                    event=event,
                    evidence=said.evidence,
                    reasoning=self.redact(said.reasoning or thought.reasoning),
                    action=msgspec.to_builtins(said.action),
                    outcome=said.outcome,
                    result=self.redact(said.result),
                    usage=thought.usage if not lines and thought.usage.calls else None,
                    turn_id=thought.turn_id,
                )
            )
        if not lines and (thought.reasoning or event.kind not in ("completion", "failure")):
            by = "rule" if thought.who.startswith("rule") or not thought.who else "model"
            about = [Seen(kind="run" if event.kind in ("completion", "failure") else event.kind, ref=event.ref)]
            usage = thought.usage if thought.usage.calls else None
            lines.append(
                self.entry(loop, by, who=thought.who, event=event, evidence=about if event.ref else [],
                           reasoning=self.redact(thought.reasoning), outcome="noted", usage=usage,
                           turn_id=thought.turn_id)
            )  # fmt: skip
        return lines

    async def _model_failed(self, event: LoopEvent, failed: ModelFailed) -> None:
        loop = self.loop
        if loop.current is None or loop.current.id != event.id:
            return
        why = f"{failed.problem} {failed.remedy}".strip()
        entry = self.entry(loop, "engine", event=event, outcome="noted", result=f"The model was not reached: {why}")
        if failed.kind in _PERSON:
            options = [Option("again", "Try again"), Option("builtin", "Go on with the built-in policy"),
                       Option("stop", "Stop the loop")]  # fmt: skip
            asked = self.ask(loop, f"The model cannot be used: {why}", "model", options, "again")
            await self.commit(replace(loop, question=asked, waiting=None), [entry])
            return
        tries = loop.waiting.tries if loop.waiting else 0
        low, high = _MODEL_AGAIN_S
        pause = failed.retry_after or min(high, low * 2**tries)
        lines = [entry] if tries == 0 else []  # one line an outage, not one a try
        await self.commit(rules.waits_for_model(loop, self.shell.clock.now() + pause, why), lines)

    async def _broke(self, event: LoopEvent, error: Exception) -> None:
        """A decision that failed by our own fault or a disk's: said, counted, and a person asked after three."""
        loop = self.loop
        if loop.current is None or loop.current.id != event.id:
            return
        problem = error.problem if isinstance(error, RagentError) else f"{type(error).__name__}: {error}"
        entry = self.entry(loop, "engine", event=event, outcome="noted", result=f"The decision broke off: {problem}")
        loop = replace(loop, strikes=loop.strikes + 1, strike=problem[:300])
        need = rules.blocked(loop)
        if need:
            loop = replace(loop, question=self.ask(loop, need, "blocked"), strikes=0)
        else:
            loop = rules.waits_for_model(loop, self.shell.clock.now() + _AGAIN_S, f"A decision broke off: {problem}")
        with contextlib.suppress(RagentError):  # the disk refuses: tried again at the next step
            await self.commit(loop, [entry])

    # --- carrying out -------------------------------------------------------------------------------------------------
    async def _perform(self, loop: Loop, action: Action) -> None:
        by = f"wild:{loop.id}"
        try:
            match action:
                case ProposeSweep() | Launch() | Confirm():
                    sweep_id, purpose, words = await self.hands.begin_sweep(loop, self.views.view(loop), action)
                    if self.loop.over:  # stopped while it was being made
                        await self.hands.stop_sweeps(self.loop, now=False)
                        return
                    entry = self.entry(self.loop, "engine", evidence=[Seen(kind="sweep", ref=sweep_id)], result=words)
                    await self.commit(rules.began_sweep(self.loop, sweep_id, purpose), [entry])
                    return
                case StopRun(run=run):
                    words = await self.hands.stop_run(run, by)
                case ResolveAlert(alert=alert, choice=choice):
                    words = await self.hands.answer_alert(alert, choice, by)
                case EditCode():
                    commit = await make_edit(self.trees, self.views.view(loop), action, loop.commits)
                    words = f"Committed as {commit[:12]}."
                    loop = replace(self.loop, commits=[*self.loop.commits, commit])
                    await self.commit(rules.carried_out(loop), [self.entry(loop, "engine", result=words)])
                    return
                case _:
                    words = ""
            if words:  # what could not be done any more
                await self.commit(
                    rules.carried_out(self.loop),
                    [
                        self.entry(
                            self.loop, "engine", action=msgspec.to_builtins(action), outcome="noted", result=words
                        )
                    ],
                )
            else:
                await self.commit(rules.carried_out(self.loop))
        except (NotFound, WrongMoment, RagentError) as error:
            if isinstance(error, RagentError) and error.status >= 500:
                raise  # the disk or a missing part: tried again
            line = self.entry(
                self.loop, "engine", action=msgspec.to_builtins(action), outcome="refused",
                result=f"{error.problem} {error.remedy}",
            )  # fmt: skip
            failed = replace(rules.carried_out(self.loop), strikes=self.loop.strikes + 1, strike=error.problem)
            need = rules.blocked(failed)
            if need:
                failed = replace(failed, question=self.ask(failed, need, "blocked"), strikes=0)
            await self.commit(failed, [line])

    async def _watch(self, loop: Loop) -> None:
        """Between events: what streamed metrics call for."""
        mono = self.shell.clock.mono()
        idle = loop.paused or loop.question is not None or loop.purpose != "search" or not loop.setup.metric
        if idle or loop.policy == "llm" or mono - self._watched < _WATCH_S:
            return
        self._watched = mono
        wanted = self.views.wanted_curves(loop)
        if all(over for _, over in wanted):
            return
        curves = await asyncio.to_thread(self.views.read_curves, loop.setup.metric, wanted)
        event = rules.event("completion", "", self.shell.clock.now(), id="watch")
        view = self.views.view(self.loop, curves)
        chosen: list[tuple[StopRun, str]] = []
        for action, why in self.policy(loop, event).watch(view):
            if isinstance(action, StopRun):
                with contextlib.suppress(NotFound):
                    too_late = await self.hands.stop_run(action.run, f"wild:{loop.id}")
                    chosen += [] if too_late else [(action, why)]
        if not chosen:
            return
        lines: list[Entry] = []
        for action, why in chosen:
            seen = [Seen(kind="run", ref=action.run)]
            lines.append(
                self.entry(self.loop, "rule", offset=len(lines) + 1, who="rule:halving", evidence=seen, reasoning=why,
                           action=msgspec.to_builtins(action))
            )  # fmt: skip
        await self.commit(self.loop, lines)

    # --- stages -------------------------------------------------------------------------------------------------------
    async def _analyze(self, loop: Loop, now: float) -> None:
        await self._measure(now=True)
        loop = self.loop
        if loop.over or loop.stage is not Stage.RUNNING:
            return  # a person was faster
        view = self.views.view(loop)
        measured = baseline(view)
        best = next(iter(candidates(view, 1)), None)
        loop = rules.to_analysis(loop, now, measured, best)
        if measured is not None and loop.setup.metric:
            loop = replace(loop, estimate=estimate(loop, view))
        await self.commit(loop)

    async def _judge(self, loop: Loop, now: float) -> None:
        view = self.views.view(loop)
        found = await self.hands.judged(loop, view)
        loop = self.loop  # a wish may have come meanwhile, and has a line of its own
        if loop.over:
            return
        lines: list[Entry] = []
        for one in found:
            seen = [Seen(kind="run", ref=run) for run in [*one.runs, *one.baseline_runs]][:40]
            lines.append(
                self.entry(loop, "rule", offset=len(lines) + 1, who="rule:confirm", evidence=seen, reasoning=one.why,
                           action={"do": "verdict", **msgspec.to_builtins(one)}, result=one.verdict)
            )  # fmt: skip
        best = next(iter(candidates(view, 1)), None)
        await self.commit(rules.judged(self.loop, now, found, best), lines)

    async def _confirm_first(self, loop: Loop, why: str) -> None:
        action = Confirm(reason=f"Before it ends: {why}")
        line = self.entry(
            loop, "rule", who="rule:confirm_before_end", reasoning=action.reason, action=msgspec.to_builtins(action)
        )
        await self.commit(replace(loop, owed=[*loop.owed, *rules.encode_actions([action])]), [line])

    async def _take_default(self, loop: Loop, now: float) -> None:
        question = loop.question
        assert question is not None
        if question.default == "stop":
            why = f"Nobody answered in time: {question.text}"
            await self._end(loop, rules.EndLoop("stopped", why, stop_runs=True), now)
            return
        loop, _, words = rules.answered(loop, question.id, question.default, "", now)
        line = self.entry(
            loop, "rule", who="rule:default", reasoning="Nobody answered in time.", result=f"{question.text} → {words}"
        )
        await self.commit(loop, [line])

    async def _end(self, loop: Loop, move: rules.EndLoop, now: float) -> None:
        if move.stop_runs:
            await self.hands.stop_sweeps(loop, now=False)
        else:
            await self.hands.hold_sweeps(loop)
        loop = self.loop
        if loop.over:
            return  # a person was faster
        line = self.entry(
            loop, "rule", who=f"rule:{move.budget or move.end}", reasoning=move.why, result=f"Ended: {move.end}."
        )
        await self.commit(rules.ended(loop, move, now), [line], type="wild_ended")
        await self.hands.finish(loop.id, self.remember)


__all__ = ["Driver"]
