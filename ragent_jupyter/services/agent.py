"""The one loop of every agent: performs what rules/turn.py decides, remembers it, and feeds back what happened."""

from __future__ import annotations

import logging
from typing import Literal

import msgspec

from ragent_jupyter.domain.chat import NoticePart, Problem, TextPart, ToolPart, Turn
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.rules import turn as rules

from .model_calls import ModelCalls
from .shell import Change
from .tool_calls import ToolCalls
from .turn_seat import Kit, Prepare, Seat, StepSeen, Stopped

log = logging.getLogger("ragent.engine")

_RESTARTED = "ragent was restarted while this ran; whether it was done is not known. Look before repeating it."


class TurnRunner(Seat):
    """One turn from its beginning, or from where a crash left it, to its end."""

    def __init__(
        self, kit: Kit, turn: Turn, prepare: Prepare, *, role: str = "chat", limits: rules.Limits | None = None
    ) -> None:
        super().__init__(kit, turn, prepare, role)
        self.limits = limits or rules.Limits()
        self.models = ModelCalls(self)
        self.tools = ToolCalls(self)

    def stop(self) -> None:
        """A person says stop: the model's stream and the tool's processes are closed within a second."""
        self.stopping.set()

    def try_now(self) -> None:
        """Do not wait any longer for the provider."""
        self.wake.set()

    async def run(self) -> None:
        """Until the turn is over. Cancelling it (the engine ends) leaves the turn as it is, to be gone on with."""
        state, effects = await self._begin()
        while effects:
            effect, *effects = effects
            try:
                event = await self._perform(effect)
            except Stopped:
                event = rules.Stop()
            if event is None:
                return
            state, more = rules.turn(state, event)
            effects = [*effects, *more] if not isinstance(event, rules.Stop) else more
            self._watch(state, event)

    async def _perform(self, effect: rules.TurnEffect) -> rules.TurnEvent | None:
        match effect:
            case rules.Finish():
                await self.finish(effect)
                return None
            case rules.CallModel():
                called: rules.TurnEvent = await self.race(self.models.call(effect))
                return called
            case rules.RunTool(call=call):
                return await self.tools.call(call)
            case rules.WaitApi():
                woken: rules.TurnEvent = await self.race(self.models.wait(effect))
                return woken

    async def _begin(self) -> tuple[rules.TurnState, list[rules.TurnEffect]]:
        now = self.shell.clock.now()
        turn = self.turn
        parts = self.record.parts()
        if not parts and not turn.steps:
            return rules.turn(rules.TurnState(limits=self.limits), rules.Begin(at=now))
        # After a crash. What was being written is not the model's word; what was running has an unknown outcome.
        changes, calls = [], []
        for part in parts:
            if part.step > turn.steps and getattr(part, "status", "") in ("streaming", "writing"):
                changes.append(Change("part_update", msgspec.structs.replace(part, status="cut")))
            if not isinstance(part, ToolPart) or part.step != turn.steps or part.status == "cut":
                continue
            state: Literal["asked", "over"] = "asked" if part.status in ("writing", "waiting") else "over"
            if part.status == "running":
                if self._again(part.name):
                    state = "asked"
                else:
                    lost = msgspec.structs.replace(part, status="outcome_unknown", output=_RESTARTED, ended_at=now)
                    changes.append(Change("part_update", lost))
            calls.append(
                rules.Call(id=part.call_id, name=part.name, input=part.input, bad_input=part.bad_input, state=state)
            )
        last = [part for part in parts if part.step == turn.steps]
        said = not any(isinstance(part, ToolPart) for part in last) and any(isinstance(p, TextPart) for p in last)
        if not said:
            changes.append(self.record.notice("ragent was restarted; it goes on from here."))
        await self.shell.commit([*changes, *self.status("streaming")])
        began = turn.started_at or now
        return rules.resume(self.limits, turn.steps, tuple(calls), turn.usage, began, now, said)

    def _again(self, name: str) -> bool:
        try:
            return self.kit.tools.get(name).spec.repeat == "again"
        except RagentError:
            return False

    def _watch(self, state: rules.TurnState, event: rules.TurnEvent) -> None:
        if not isinstance(event, rules.Answered):
            return
        seen = StepSeen(
            self.session_id,
            self.turn_id,
            self.turn.steps,
            tuple(call.name for call in event.calls),
            event.usage,
            event.stop_reason,
        )
        for watcher in self.kit.on_step_finish:
            try:
                watcher(seen)
            except Exception:
                log.exception("a watcher of steps failed")

    async def finish(self, finish: rules.Finish) -> None:
        """The turn is over: its record says how, and nothing of it is left open. Raises StoreFailed."""
        now = self.shell.clock.now()
        changes = self.record.kept() if finish.status == "stopped" else self.record.cut()
        told = {change.obj.id for change in changes}
        for part in self.record.parts():
            if not isinstance(part, (ToolPart, NoticePart)) and part.status == "streaming" and part.id not in told:
                # Left from before the disk refused: nobody writes on it any more.
                changes.append(Change("part_update", msgspec.structs.replace(part, status="cut")))
            if isinstance(part, ToolPart) and part.status in ("writing", "waiting", "running"):
                ended = msgspec.structs.replace(part, status="stopped", ended_at=now)
                if ended.approval is not None and ended.approval.status == "pending":
                    ended = msgspec.structs.replace(
                        ended, approval=msgspec.structs.replace(ended.approval, status="void")
                    )
                changes.append(Change("part_update", ended))
        if finish.reason and finish.status == "done":
            changes.append(self.record.notice(finish.reason, "warning"))
        error = None
        if finish.status == "failed":
            error = Problem(finish.type or "failed", finish.reason, finish.remedy)
        # Kept text counts as a step: the next turn's prompt must show what the reader was shown.
        steps = self.turn.steps + (1 if finish.status == "stopped" and self.record.step > self.turn.steps else 0)
        turn = msgspec.structs.replace(
            self.turn,
            status=finish.status,
            ended_at=now,
            error=error,
            note=finish.reason if finish.status != "done" else "",
            steps=steps,
            parts=len(self.record.parts()),
        )
        session = msgspec.structs.replace(
            self.session,
            status="failed" if finish.status == "failed" else "idle",
            note=finish.reason if finish.status == "failed" else "",
            wake_at=None,
            turn="",
            updated_at=now,
        )
        kind = "error" if error is not None else "turn_changed"
        await self.shell.commit([*changes, Change(kind, turn), Change("session_status", session)])
