"""The desk of sessions: what a chat is called, what stands in it, its copies. Turns are carried by services/chat.py."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from ragent_jupyter.domain.chat import TURN_OVER, Part, Provenance, Session, Turn
from ragent_jupyter.domain.errors import BadInput, NotAllowed, NotFound, WrongMoment
from ragent_jupyter.domain.wire_chat import CreateSession, PatchSession, SessionReply, SessionsReply
from ragent_jupyter.rules.prompt import one_line, standing

from .shell import Change, Shell


def stable_id(prefix: str, key: str) -> str:
    """The same key gives the same id: what is asked twice is made once."""
    return f"{prefix}_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _short(text: str | None, what: str) -> None:
    """A chat is told whole with every change of its status, so nothing in it may be endless. Raises BadInput."""
    if text is not None and len(text) > 1000:
        raise BadInput(f"The {what} of a chat has {len(text):,} characters.", "Give at most 1,000.")


class SessionsDesk:
    def __init__(
        self,
        shell: Shell,
        make_id: Callable[[str], str],
        *,
        bypass_allowed: Callable[[], bool] = lambda: False,
    ) -> None:
        """live: parts of a session that are being written; undo: what takes a turn's edits back."""
        self.shell = shell
        self.make_id = make_id
        self.bypass_allowed = bypass_allowed
        self.live: Callable[[str], Sequence[Part]] = lambda session_id: ()
        self.undo: list[Callable[[str], Awaitable[list[str]]]] = []

    def get(self, session_id: str) -> Session:
        session = self.shell.sessions.get(session_id)
        if session is None:
            raise NotFound(f"There is no chat {session_id!r} in this project.", "List them with `ragent chat --list`.")
        return session

    def page(self, q: str = "", archived: bool = False, limit: int = 100) -> SessionsReply:
        words = q.lower().split()
        found = [
            s
            for s in self.shell.sessions.values()
            if s.archived == archived and all(word in f"{s.title} {s.id}".lower() for word in words)
        ]
        if words and len(found) < limit:
            seen = {s.id for s in found}
            for session in self.shell.sessions.values():
                if session.archived == archived and session.id not in seen and self._said(session.id, words):
                    found.append(session)
        found.sort(key=lambda s: -s.updated_at)
        return SessionsReply(sessions=found[:limit], more=len(found) > limit)

    def _said(self, session_id: str, words: list[str]) -> bool:
        """Whether all words stand in what was said; the store is read, not kept in memory."""
        rows = self.shell.store.load("turn", parent=session_id) + self.shell.store.load("part", parent=session_id)
        text = b"\n".join(rows).lower()
        return all(msgspec.json.encode(word)[1:-1] in text for word in words)

    async def create(self, wish: CreateSession, by: str = "") -> Session:
        if wish.mode == "bypass":
            self.may_bypass()
        id = stable_id("ses", wish.request_id) if wish.request_id else self.make_id("ses")
        if id in self.shell.sessions:
            return self.shell.sessions[id]
        _short(wish.model, "model")
        _short(wish.notebook, "notebook")
        now = self.shell.clock.now()
        session = Session(
            id=id,
            created_at=now,
            updated_at=now,
            title=one_line(wish.title, 200),
            titled_by="user" if wish.title.strip() else "",
            mode=wish.mode,
            model=wish.model,
            notebook=wish.notebook,
            about={key[:40]: value[:200] for key, value in list(wish.about.items())[:10]},
            by=by,
        )
        changes: list[Change] = []
        if wish.fork:
            session, changes = self._forked(session, wish)
        await self.shell.commit([Change("session_created", session), *changes])
        return session

    def _forked(self, session: Session, wish: CreateSession) -> tuple[Session, list[Change]]:
        origin = self.get(wish.fork)
        self.shell.open_session(origin.id)
        turns = [t for t in standing(self.shell.turns[origin.id].values()) if t.status in TURN_OVER]
        if wish.fork_turn:
            at = next((i for i, t in enumerate(turns) if t.id == wish.fork_turn), None)
            if at is None:
                raise NotFound(f"There is no finished turn {wish.fork_turn!r} in that chat.", "Fork from another turn.")
            turns = turns[: at + 1]
        changes: list[Change] = []
        for n, turn in enumerate(turns, 1):
            new = msgspec.structs.replace(
                turn, id=self.make_id("trn"), session_id=session.id, n=n, retry_of="", undo=""
            )
            changes.append(Change("turn_created", new))
            for part in self._parts_of(origin.id, turn.id):
                copy = msgspec.structs.replace(part, id=self.make_id("prt"), session_id=session.id, turn_id=new.id)
                changes.append(Change("part_update", copy))
        return (
            msgspec.structs.replace(
                session,
                title=session.title or f"{origin.title or 'Chat'} (fork)",
                titled_by="user",
                forked_from=origin.id,
                turns=len(turns),
                notebook=session.notebook or origin.notebook,
                # A copy of a loop's chat is a chat about it, no second place in which it decides.
                about=session.about or {k: v for k, v in origin.about.items() if k != "wild"},
            ),
            changes,
        )

    async def patch(self, session_id: str, wish: PatchSession) -> Session:
        session = self.get(session_id)
        new: dict[str, Any] = {"updated_at": self.shell.clock.now()}
        if wish.title is not None:
            new |= {"title": one_line(wish.title, 200), "titled_by": "user" if wish.title.strip() else ""}
        if wish.mode is not None:
            if wish.mode == "bypass":
                self.may_bypass()
            new["mode"] = wish.mode
        _short(wish.model, "model")
        _short(wish.notebook, "notebook")
        for name in ("model", "notebook", "archived"):
            if getattr(wish, name) is not None:
                new[name] = getattr(wish, name)
        session = msgspec.structs.replace(session, **new)
        await self.shell.commit([Change("session_changed", session)])
        return session

    def may_bypass(self) -> None:
        if not self.bypass_allowed():
            raise NotAllowed(
                "Bypass mode is not allowed here.",
                "An administrator allows it with c.RagentApp.allow_bypass = True, or RAGENT_ALLOW_BYPASS=1.",
            )

    def read(self, session_id: str, turns: int = 20, before: str = "") -> SessionReply:
        """A session's newest turns, with the text that is being written as far as it is."""
        session = self.get(session_id)
        self.shell.open_session(session_id)
        all_turns = sorted(self.shell.turns[session_id].values(), key=lambda t: t.n)
        if before:
            at = next((i for i, t in enumerate(all_turns) if t.id == before), None)
            if at is None:
                raise NotFound(f"There is no turn {before!r} in this chat.", "Read the chat again.")
            all_turns = all_turns[:at]
        chosen = all_turns[-max(1, min(turns, 500)) :] if all_turns else []
        wanted = {turn.id for turn in chosen}
        parts = {p.id: p for p in self.shell.parts[session_id].values() if p.turn_id in wanted}
        parts |= {part.id: part for part in self.live(session_id) if part.turn_id in wanted}
        order = {turn.id: turn.n for turn in chosen}
        return SessionReply(
            session=session,
            turns=chosen,
            parts=sorted(parts.values(), key=lambda p: (order[p.turn_id], p.index)),
            seq=self.shell.newest_seq(),
            more=len(all_turns) > len(chosen),
        )

    def _parts_of(self, session_id: str, turn_id: str) -> Sequence[Part]:
        found = [p for p in self.shell.parts[session_id].values() if p.turn_id == turn_id]
        return sorted(found, key=lambda p: p.index)

    async def provenance(self, session_id: str, turn_id: str) -> list[Provenance]:
        """Each model call of a turn with its whole prompt. Blocks little: read from the store."""
        self.get(session_id)
        rows = [msgspec.json.decode(d, type=Provenance) for d in self.shell.store.load("provenance", parent=turn_id)]
        whole: list[Provenance] = []
        before: list[dict[str, Any]] = []
        for row in rows:
            before = [*before[: row.kept], *row.messages]
            whole.append(msgspec.structs.replace(row, messages=before, kept=0))
        return whole

    async def take_back(self, session_id: str, turn_id: str) -> list[str]:
        """Undo the edits of a turn, in files and notebooks. Returns paths."""
        self.get(session_id)
        self.shell.open_session(session_id)
        self.finished(session_id, turn_id)
        paths: list[str] = []
        for undo in self.undo:
            paths += await undo(turn_id)
        return paths

    def finished(self, session_id: str, turn_id: str) -> Turn:
        """A turn that is over. Raises NotFound, WrongMoment."""
        self.shell.open_session(session_id)
        turn = self.shell.turns[session_id].get(turn_id)
        if turn is None:
            raise NotFound(f"There is no turn {turn_id!r} in this chat.", "Read the chat again.")
        if turn.status not in TURN_OVER:
            raise WrongMoment("This turn is still under way.", "Stop it first.")
        return turn
