"""One call of a tool: its arguments checked, a person asked where the rules say so, done, and remembered around it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ragent_jupyter.domain.chat import Approval, ToolPart, ToolProgress
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, Ask, Refuse, ToolOutcome
from ragent_jupyter.rules import turn as rules
from ragent_jupyter.rules.compaction import cut as shortened
from ragent_jupyter.rules.permissions import call_hash, mode_after_plan, permit
from ragent_jupyter.rules.prompt import one_line, quote

from .shell import Change
from .tools.base import Tool, ToolContext
from .turn_seat import Refused, Seat, Stopped

log = logging.getLogger("ragent.engine")

_STOP_S = 0.8  # how long a tool may take to end itself; then it is cancelled
TOLD = "tool_progress"
_TELL_EVERY_S = 0.1
_ASKED_AGAIN = 3  # how often a call whose files keep changing is shown anew


class _Saying:
    """What a running tool says, told now and then: looking through it for secrets takes its time."""

    def __init__(self, seat: Seat, part: ToolPart) -> None:
        self._seat = seat
        self._part = part
        self._newest = ""
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None

    def say(self, text: str) -> None:
        self._newest = (self._newest + text)[-20_000:]
        if self._next is None:
            self._next = self._loop.call_later(_TELL_EVERY_S, self._tell)

    def _tell(self) -> None:
        self._next = None
        part = self._part
        # Cut at a line: half a key is none that can be recognised.
        whole = self._newest if len(self._newest) < 20_000 else self._newest.partition("\n")[2]
        told = ToolProgress(
            session_id=part.session_id,
            turn_id=part.turn_id,
            part_id=part.id,
            index=part.index,
            tail=self._seat.kit.redact(whole)[-2000:],
        )
        self._seat.shell.ring_bell("sessions", TOLD, part.id, told)  # only the newest matters to who lags behind

    def end(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._seat.shell.hush(TOLD, self._part.id)


class ToolCalls:
    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    async def call(self, call: rules.Call) -> rules.TurnEvent:
        """One call, from its arguments to its outcome. Raises Stopped."""
        waited = [0.0]
        part = self.seat.record.tool(call.id, self.seat.turn.steps)
        try:
            outcome = await self._outcome(call, part, waited)
        except Refused as no:
            await self._close(part, ToolOutcome(text=str(no), is_error=True), "refused")
            return rules.Done(at=self.seat.shell.clock.now(), call_id=call.id, person_s=waited[0])
        except RagentError as error:
            outcome = ToolOutcome(text=str(error), is_error=True)
        except (Stopped, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("tool %s failed", call.name)
            outcome = ToolOutcome(text=f"{call.name} failed: {type(error).__name__}: {error}", is_error=True)
        await self._close(part, outcome, "error" if outcome.is_error else "done")
        return rules.Done(
            at=self.seat.shell.clock.now(), call_id=call.id, ends_turn=outcome.ends_turn, person_s=waited[0]
        )

    async def _outcome(self, call: rules.Call, part: ToolPart, waited: list[float]) -> ToolOutcome:
        if call.bad_input:
            return ToolOutcome(
                text=f"The input of this call was no JSON: {one_line(call.bad_input, 200)}. Send the call again.",
                is_error=True,
            )
        tool = self.seat.kit.tools.get(call.name)
        if call.name not in self.seat.prepare(self.seat.session, self.seat.turn, self.seat.turn.steps).tools:
            raise Refused(f"{call.name} is not offered here.")
        args = self.seat.kit.tools.arguments(call.name, call.input)
        context = self._context(part)
        answers = await self._permitted(tool, args, call, part, context, waited)
        now = self.seat.shell.clock.now()
        part = self.seat.record.tool(call.id, part.step)
        running = msgspec.structs.replace(
            part, status="running", title=tool.spec.title, started_at=now, approval=part.approval
        )
        await self.seat.shell.commit([Change("part_update", running), *self.seat.status("streaming")])
        saying = _Saying(self.seat, running)
        context = self._context(running, answers, saying.say)
        stopping = asyncio.ensure_future(self.seat.stopping.wait())
        stopping.add_done_callback(lambda _: context.stop.set() if self.seat.stopping.is_set() else None)
        try:
            outcome: ToolOutcome = await self.seat.race(tool.run(args, context), grace_s=_STOP_S)
        finally:
            stopping.cancel()
            saying.end()
        if self.seat.stopping.is_set():
            await self._close(running, outcome, "stopped")
            raise Stopped
        return outcome

    def _context(
        self, part: ToolPart, answers: Mapping[str, Any] | None = None, said: Callable[[str], None] = lambda text: None
    ) -> ToolContext:
        return ToolContext(
            session_id=self.seat.session_id,
            turn_id=self.seat.turn_id,
            call_id=part.id,  # ours: a provider may use an id twice
            mode=self.seat.turn.mode,
            by=self.seat.turn.message.by,
            said=said,
            answers=dict(answers or {}),
        )

    async def _permitted(
        self, tool: Tool, args: Any, call: rules.Call, part: ToolPart, context: ToolContext, waited: list[float]
    ) -> Mapping[str, Any]:
        """Returns the answers of a form, if there was one. Raises Refused, Stopped."""
        for _ in range(_ASKED_AGAIN):
            preview = await tool.preview(args, context)
            verdict = permit(
                self.seat.turn.mode, tool.spec.effect, preview, self.seat.kit.approvals.grants(self.seat.session_id)
            )
            if isinstance(verdict, Refuse):
                raise Refused(verdict.reason)
            if not isinstance(verdict, Ask):
                return {}
            hash = call_hash(call.name, call.input, preview)
            part = self.seat.record.tool(call.id, part.step)
            approval = part.approval
            if approval is None or approval.hash != hash or approval.status == "void":
                # First asked, or the files are not what the person was shown: what was said then does not count.
                approval = self.seat.kit.approvals.question(preview, hash)
                part = msgspec.structs.replace(part, status="waiting", title=tool.spec.title, approval=approval)
                self.seat.kit.approvals.expect(approval.id)
                await self.seat.shell.commit([Change("part_update", part), *self.seat.status("waiting", preview.title)])
            if approval.status == "pending":
                if self.seat.turn.status != "waiting":  # asked before a restart: it still waits, and says so
                    await self.seat.shell.commit(self.seat.status("waiting", preview.title))
                began = self.seat.shell.clock.mono()
                answered = self.seat.kit.approvals.expect(approval.id)
                try:
                    await self.seat.race(answered.wait())
                finally:
                    self.seat.kit.approvals.forget(approval.id)
                waited[0] += self.seat.shell.clock.mono() - began
                approval = self.seat.record.tool(call.id, part.step).approval
                assert approval is not None
            if approval.status == "refused":
                said = f": {approval.note}" if approval.note else "."
                raise Refused(f"The person said no{said}")
            again = call_hash(call.name, call.input, await tool.preview(args, context))
            if again == hash:
                return approval.answers
        raise Refused("What this call would change kept changing while it was asked about; nothing was done.")

    async def _close(self, part: ToolPart, outcome: ToolOutcome, status: Any) -> None:
        text = shortened(self.seat.kit.redact(outcome.text), MAX_TOOL_TEXT)
        if outcome.untrusted:
            text = quote(text, outcome.untrusted)
        now = self.seat.shell.clock.now()
        part = self.seat.record.tool(part.call_id, part.step)
        closed = msgspec.structs.replace(
            part,
            status=status,
            output=text,
            data=outcome.data,
            images=outcome.images,
            started_at=part.started_at or now,
            ended_at=now,
        )
        await self.seat.shell.commit([Change("part_update", closed), *self.seat.status("streaming")])
        approval = closed.approval
        if status == "done" and self.seat.turn.mode == "plan" and approval is not None and approval.shows.plan:
            await self._execute(approval)

    async def _execute(self, approval: Approval) -> None:
        """A plan was approved: the turn goes on and does what it says."""
        mode = mode_after_plan(approval)
        session, turn = self.seat.session, self.seat.turn
        changes = [Change("turn_changed", msgspec.structs.replace(turn, mode=mode))]
        if session.mode == "plan":
            changes.append(Change("session_changed", msgspec.structs.replace(session, mode=mode)))
        await self.seat.shell.commit(changes)
