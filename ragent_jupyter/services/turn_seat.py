"""What every piece of a turn's runner stands on: the kit, the record, and the person's stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from ragent_jupyter.domain.chat import Session, Turn
from ragent_jupyter.domain.model import Block, Model, SystemText, Usage
from ragent_jupyter.rules.turn import QUIET_S, STALLED_S

from .approvals import Approvals
from .shell import Change, Shell
from .tools.base import Toolbox
from .turn_record import TurnRecord


class Models(Protocol):
    """What the loop asks of services/models.py."""

    def model_for(self, role: str, override: str = "") -> Model: ...
    def price(self, model_id: str, usage: Usage) -> Usage: ...
    def spent(self, role: str, usage: Usage, model: str, who: str) -> Awaitable[None]: ...
    def over_budget(self) -> str: ...


@dataclass(frozen=True)
class Prepared:
    """What a step is given. tools: which are offered; force: which must be called (None: any or none)."""

    system: list[SystemText]
    tools: list[str]
    force: str | None = None


@dataclass(frozen=True)
class StepSeen:
    """What a watcher of steps is told. It cannot answer: nothing it does changes what comes next."""

    session_id: str
    turn_id: str
    step: int
    calls: tuple[str, ...]
    usage: Usage
    stop_reason: str


@dataclass
class Kit:
    """Everything a runner works with; one for all turns of an engine."""

    shell: Shell
    models: Models
    tools: Toolbox
    approvals: Approvals
    redact: Callable[[str], str]
    media: Callable[[Sequence[str]], Awaitable[Mapping[str, Block]]]
    make_id: Callable[[str], str]
    on_step_finish: list[Callable[[StepSeen], None]] = field(default_factory=list)
    quiet_s: float = QUIET_S
    stalled_s: float = STALLED_S


class Stopped(Exception):
    """A person said stop."""


class Refused(Exception):
    """A call that is not made. Its text is for the model."""


Prepare = Callable[[Session, Turn, int], Prepared]


class Seat:
    """One turn under way. stop: set when a person says so; wake: do not wait any longer for the provider."""

    def __init__(self, kit: Kit, turn: Turn, prepare: Prepare, role: str) -> None:
        self.kit = kit
        self.shell = kit.shell
        self.prepare = prepare
        self.role = role
        self.session_id, self.turn_id = turn.session_id, turn.id
        self.record = TurnRecord(kit.shell, turn, kit.make_id, kit.redact)
        self.stopping = asyncio.Event()
        self.wake = asyncio.Event()

    @property
    def session(self) -> Session:
        return self.shell.sessions[self.session_id]

    @property
    def turn(self) -> Turn:
        return self.shell.turns[self.session_id][self.turn_id]

    def status(self, status: Any, note: str = "", wake_at: float | None = None) -> list[Change]:
        """Turn and session say the same about themselves."""
        changes = []
        if self.turn.status != status or self.turn.note != note:
            changes.append(Change("turn_changed", msgspec.structs.replace(self.turn, status=status, note=note)))
        session = self.session
        if (session.status, session.note, session.wake_at) != (status, note, wake_at):
            now = self.shell.clock.now()
            new = msgspec.structs.replace(session, status=status, note=note, wake_at=wake_at, updated_at=now)
            changes.append(Change("session_status", new))
        return changes

    async def race(self, work: Any, grace_s: float = 0.0) -> Any:
        """A piece of work, unless a person says stop first. Raises Stopped; the work is over by then."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and grace_s:
                await asyncio.wait({task}, timeout=grace_s)
            if task.done():
                return task.result()
            raise Stopped
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})  # whatever it ends with, nobody waits for its result any more
