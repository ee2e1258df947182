"""The assistant's routes as typed calls: sessions, approvals, memory, keys, models, usage."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ragent_jupyter.domain.chat import MemoryRule, Mode, Scope, Session, ToolPart
from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.ports_mind import KeyState
from ragent_jupyter.domain.wire_chat import (
    AnswerApproval,
    ChatOptions,
    CreateSession,
    ImportRules,
    KeysReply,
    ModelsReply,
    PatchSession,
    Probe,
    PutKey,
    PutModels,
    PutRule,
    RulesReply,
    SendMessage,
    SendReply,
    SessionReply,
    SessionsReply,
    TestModel,
    UsageReply,
)

_PROBE_TIMEOUT_S = 130.0  # a model may think for two minutes before its first word


class ChatCalls:
    """Mixed into `Client`, which makes the calls."""

    # What `Client` brings along.
    get: Any
    post: Any
    put: Any
    patch: Any
    delete: Any
    _text: Any
    _stream: Any

    # --- sessions ----------------------------------------------------------------------------------------------
    def sessions(self, *, q: str | None = None, archived: bool = False, limit: int | None = None) -> SessionsReply:
        """Newest first, without their turns."""
        query = {"q": q, "archived": archived or None, "limit": limit}
        return self.get("sessions", type=SessionsReply, query=query)  # type: ignore[no-any-return]

    def session(self, session_id: str, *, turns: int | None = None, before: str | None = None) -> SessionReply:
        query = {"turns": turns, "before": before}
        return self.get(f"sessions/{session_id}", type=SessionReply, query=query)  # type: ignore[no-any-return]

    def find_session(self, ref: str) -> Session:
        """The session that is meant: its id, the beginning of one, its title, or "last". Raises NotFound, BadInput."""
        ref = ref.strip()
        if not ref:
            raise BadInput("No session was named.", "Give a session's id, its title, or `last`.")
        if ref.startswith("ses_"):
            try:
                return self.session(ref, turns=1).session
            except NotFound:
                pass  # it may be the beginning of one
        known = self.sessions(limit=500).sessions
        if ref == "last" and known:
            return known[0]
        found = [s for s in known if s.title == ref]
        found = found or [s for s in known if s.id.startswith(ref) or s.id.startswith("ses_" + ref)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(f"No session {ref!r} in this project.", "`ragent chat --list` lists what there is.")
        ids = ", ".join(s.id for s in found[:5])
        raise BadInput(f"{ref!r} may mean {len(found)} sessions: {ids}.", "Give more of the id.")

    def create_session(self, *, title: str = "", mode: Mode = "ask", model: str = "", notebook: str = "") -> Session:
        body = CreateSession(title=title, mode=mode, model=model, notebook=notebook, request_id=os.urandom(8).hex())
        return self.post("sessions", body, type=Session)  # type: ignore[no-any-return]

    def patch_session(self, session_id: str, **fields: Any) -> Session:
        """fields: title, mode, model, notebook, archived."""
        return self.patch(f"sessions/{session_id}", PatchSession(**fields), type=Session)  # type: ignore[no-any-return]

    def send(
        self,
        session_id: str,
        text: str,
        *,
        mode: Mode | None = None,
        notebook: str | None = None,
        variables: Sequence[str] = (),
    ) -> SendReply:
        """Send a message; it waits in the queue while another is answered."""
        body = SendMessage(
            text=text, mode=mode, notebook=notebook, variables=list(variables), request_id=os.urandom(8).hex()
        )
        return self.post(f"sessions/{session_id}/messages", body, type=SendReply)  # type: ignore[no-any-return]

    def stop_turn(self, session_id: str) -> Session:
        """Stop the turn under way, within a second; what was said stays."""
        return self.post(f"sessions/{session_id}/stop", type=Session)  # type: ignore[no-any-return]

    def approve(
        self,
        session_id: str,
        approval_id: str,
        choice: Scope,
        *,
        hash: str = "",
        note: str = "",
        answers: Mapping[str, Any] | None = None,
    ) -> ToolPart:
        """Answer an approval. hash: of what was shown. Raises WrongMoment if somebody else was first or it changed,
        NotAllowed where this door may not."""
        body = AnswerApproval(choice=choice, note=note, answers=dict(answers or {}), hash=hash)
        path = f"sessions/{session_id}/approvals/{approval_id}"
        return self.post(path, body, type=ToolPart)  # type: ignore[no-any-return]

    def stream(self, session_id: str) -> Iterator[dict[str, Any]]:
        """A snapshot (`{"type": "snapshot", "data": SessionReply}`), then the session's events until its turn ends.

        Survives a restart of the engine: there is another snapshot then, and what was heard may be heard again.
        """
        query: dict[str, Any] = {}
        for line in self._stream(f"sessions/{session_id}/stream", query):
            yield msgspec.json.decode(line)

    def chat_options(self) -> ChatOptions:
        return self.get("sessions/options", type=ChatOptions)  # type: ignore[no-any-return]

    # --- memory ------------------------------------------------------------------------------------------------
    def memory(self) -> list[MemoryRule]:
        return self.get("memory", type=RulesReply).rules  # type: ignore[no-any-return]

    def find_rule(self, ref: str) -> MemoryRule:
        """The rule with this id, the beginning of one, or this title. Raises NotFound, BadInput."""
        ref = ref.strip()
        if not ref:
            raise BadInput("No rule was named.", "Give a rule's id or its title.")
        rules = self.memory()
        found = [r for r in rules if ref in (r.id, r.title)]
        found = found or [r for r in rules if r.id.startswith(ref) or r.id.startswith("mem_" + ref)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(f"No memory rule {ref!r} in this project.", "`ragent memory` lists what there is.")
        raise BadInput(f"{ref!r} may mean {', '.join(r.id for r in found[:5])}.", "Give more of the id.")

    def add_rule(self, text: str, *, title: str | None = None, tags: Sequence[str] = (), scope: str = "") -> MemoryRule:
        body = PutRule(title=title, text=text, tags=list(tags), scope=scope)
        return self.post("memory", body, type=MemoryRule)  # type: ignore[no-any-return]

    def patch_rule(self, rule_id: str, **fields: Any) -> MemoryRule:
        """fields: title, text, tags, scope, on, status ("active" and "refused" answer a proposal)."""
        return self.patch(f"memory/{rule_id}", PutRule(**fields), type=MemoryRule)  # type: ignore[no-any-return]

    def remove_rule(self, rule_id: str) -> MemoryRule:
        return self.delete(f"memory/{rule_id}", type=MemoryRule)  # type: ignore[no-any-return]

    def import_rules(self, text: str) -> list[MemoryRule]:
        """The rules of a MEMORY.md; those that are new or changed."""
        return self.post("memory/import", ImportRules(text=text), type=RulesReply).rules  # type: ignore[no-any-return]

    def export_rules(self) -> str:
        return self._text("memory/export")  # type: ignore[no-any-return]

    # --- keys, models, usage -----------------------------------------------------------------------------------
    def keys(self) -> list[KeyState]:
        return self.get("keys", type=KeysReply).keys  # type: ignore[no-any-return]

    def put_key(self, name: str, value: str | None) -> list[KeyState]:
        """Set a key, or forget it (None). Every key's state; never a value."""
        return self.put("keys", PutKey(name=name, value=value), type=KeysReply).keys  # type: ignore[no-any-return]

    def models(self) -> ModelsReply:
        return self.get("models", type=ModelsReply)  # type: ignore[no-any-return]

    def put_models(self, roles: Mapping[str, str | None]) -> ModelsReply:
        return self.put("models", PutModels(roles=dict(roles)), type=ModelsReply)  # type: ignore[no-any-return]

    def test_model(self, model: str = "") -> Probe:
        """Ask a model for a word and a tool call. model: "provider:id", "" the chat's."""
        return self.post("models/test", TestModel(model=model), type=Probe, timeout=_PROBE_TIMEOUT_S)  # type: ignore[no-any-return]

    def usage(self, days: int = 30) -> UsageReply:
        return self.get("usage", type=UsageReply, query={"days": days})  # type: ignore[no-any-return]
