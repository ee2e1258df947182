"""The turns in which a loop's model decides: begun, watched while it waits, and closed where an engine died in one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.chat import TURN_OVER, Session, ToolPart, Turn, UserMessage
from ragent_jupyter.domain.wild import Loop, LoopEvent
from ragent_jupyter.rules.prompt import one_line
from ragent_jupyter.rules.turn import Finish

from ..agent import TurnRunner
from ..sessions import stable_id
from ..shell import Change
from ..turn_seat import Kit, Prepared

log = logging.getLogger("ragent.engine")

INTERRUPTED = "ragent was restarted while this was decided; what came of it is not known. It is decided anew."
_STOP_S = 5.0

# (loop id, wake time or None once it goes on, why)
OnWaiting = Callable[[str, float | None, str], None]


class Carrier(Protocol):
    """services/chat.py: shows a turn under way, wakes and stops it for people."""

    def carry(self, runner: TurnRunner, task: asyncio.Task[None]) -> None: ...


class TooLong(Exception):
    """The provider asks for more patience than there is. Its text: why."""


class WildTurns:
    def __init__(self, kit: Kit, carrier: Carrier | None = None) -> None:
        self.kit = kit
        self.shell = kit.shell
        self.carrier = carrier
        self.on_waiting: OnWaiting = lambda loop_id, until, why: None
        self._returned: set[str] = set()  # turns of this engine's life that were decided to the end

    async def session(self, loop: Loop) -> Session:
        """The loop's chat, made where there is none yet; the loop's model is its model."""
        id = loop.session_id or stable_id("ses", f"wild:{loop.id}")
        now = self.shell.clock.now()
        held = self.shell.sessions.get(id)
        # The loop also notes who decided last, which need not be a model.
        model = "" if loop.model.partition(":")[0] in ("rule", "human", "engine") else loop.model
        if held is None:
            made = Session(
                id=id,
                created_at=now,
                updated_at=now,
                title=one_line(f"Wild: {loop.goal}", 80),
                titled_by="auto",
                about={"wild": loop.id},
                model=model,
                by=loop.by,
            )
            await self.shell.commit([Change("session_created", made)])
            return made
        if held.model != model or held.about.get("wild") != loop.id:
            held = msgspec.structs.replace(held, model=model, about={**held.about, "wild": loop.id})
            await self.shell.commit([Change("session_changed", held)])
        return held

    # --- what a crash left --------------------------------------------------------------------------------------------
    def _about(self, session_id: str, loop: Loop, event: LoopEvent) -> tuple[str, list[Turn]]:
        """The beginning of the ids of messages about this event at this try, and the turns that have one, in order."""
        head = stable_id("msg", f"{loop.id}:{event.id}:{event.tries}")
        self.shell.open_session(session_id)
        turns = [turn for turn in self.shell.turns[session_id].values() if turn.message.id.startswith(head)]
        return head, sorted(turns, key=lambda turn: turn.n)

    async def interrupted(self, session_id: str, loop: Loop, event: LoopEvent) -> str:
        """A sentence if an earlier call about this event has an unknown outcome, else "". Nothing of it is done."""
        await self.close(session_id)
        _, turns = self._about(session_id, loop, event)
        if not turns or turns[-1].id in self._returned:
            return ""
        last = turns[-1]
        # One that is whole was not remembered by the loop: it ended between the model's word and the record.
        if last.status == "done" or last.note == INTERRUPTED:
            return f"An earlier call about this event ({last.id}) has an unknown outcome; nothing of it was done."
        return ""

    async def close(self, session_id: str) -> None:
        """Say of turns that nobody carries that they are over, and of their calls that their outcome is unknown."""
        if session_id not in self.shell.sessions:
            return
        self.shell.open_session(session_id)
        now = self.shell.clock.now()
        for turn in [t for t in self.shell.turns[session_id].values() if t.status not in TURN_OVER]:
            runner = TurnRunner(self.kit, turn, _nothing, role="wild")
            changes = [
                Change("part_update", msgspec.structs.replace(p, status="outcome_unknown", ended_at=now))
                for p in runner.record.parts()
                if isinstance(p, ToolPart) and p.status == "running"
            ]
            if changes:
                await self.shell.commit(changes)
            await runner.finish(Finish(status="stopped", reason=INTERRUPTED))

    async def begin(self) -> None:
        """An engine begins: no decision is under way yet, whatever the record says."""
        for session in list(self.shell.sessions.values()):
            if session.about.get("wild") and session.turn:
                await self.close(session.id)

    # --- a decision ---------------------------------------------------------------------------------------------------
    async def new(
        self, session: Session, loop: Loop, event: LoopEvent, *, text: str, shown: str, context: str, rules: list[str]
    ) -> Turn:
        head, before = self._about(session.id, loop, event)
        session = self.shell.sessions[session.id]
        now = self.shell.clock.now()
        n = 1 + max((turn.n for turn in self.shell.turns[session.id].values()), default=0)
        turn = Turn(
            id=self.kit.make_id("trn"),
            session_id=session.id,
            n=n,
            message=UserMessage(id=f"{head}-{len(before)}", text=text, shown=shown, at=now, by="ragent"),
            status="streaming",
            created_at=now,
            started_at=now,
            model=session.model,
            context=self.kit.redact(context),
            rules=rules,
        )
        under_way = msgspec.structs.replace(
            session, turn=turn.id, turns=n, status="streaming", note="", wake_at=None, updated_at=now
        )
        await self.shell.commit([Change("turn_created", turn), Change("session_status", under_way)])
        return turn

    async def through(self, runner: TurnRunner, loop_id: str, patience_s: float | None) -> None:
        """The turn, to its end. Cancelling stops it: the provider's stream is closed, nothing of it goes on.

        Raises TooLong, once the turn is stopped, where the provider would have to be waited for longer than patience_s.
        """
        task = asyncio.get_running_loop().create_task(runner.run())
        if self.carrier is not None:
            self.carrier.carry(runner, task)
        waited, waiting, too_long = 0.0, False, ""

        def hear(change: Change) -> None:
            nonlocal waited, waiting, too_long
            session = change.obj
            if not isinstance(session, Session) or session.id != runner.session_id:
                return
            if session.status == "waiting_api" and session.wake_at is not None:
                waiting = True
                waited += max(0.0, session.wake_at - self.shell.clock.now())
                if patience_s is not None and waited > patience_s:
                    too_long = session.note or "The model cannot be reached."
                    runner.stop()
                self._tell(loop_id, session.wake_at, session.note)
            elif waiting and session.status != "waiting_api":
                waiting = False
                self._tell(loop_id, None, "")

        self.shell.listeners.append(hear)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            runner.stop()
            await asyncio.wait({task}, timeout=_STOP_S)
            raise
        finally:
            self.shell.listeners.remove(hear)
            if not task.done():
                task.cancel()
            if waiting:
                self._tell(loop_id, None, "")
        if task.cancelled():  # the engine ends; the turn stays open, and is closed by the next one
            raise asyncio.CancelledError
        task.result()
        if too_long and runner.turn.status == "stopped":
            raise TooLong(too_long)
        self._returned.add(runner.turn_id)

    def _tell(self, loop_id: str, until: float | None, why: str) -> None:
        try:
            self.on_waiting(loop_id, until, why)
        except Exception:
            log.exception("the loop %s could not be told that its model is waited for", loop_id)


def _nothing(session: Session, turn: Turn, step: int) -> Any:
    return Prepared([], [])
