"""Bodies of the assistant's routes: sessions, memory, keys, models, usage, plans."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .chat import Attachment, Grant, MemoryRule, Mode, Part, Plan, Provenance, Scope, Session, Turn
from .model import ModelInfo, Role, Usage
from .ports_mind import KeyState


class CreateSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST sessions. fork: id of a session to copy, up to and with turn `fork_turn` ("" = all of it)."""

    title: str = ""
    mode: Mode = "ask"
    model: str = ""
    notebook: str = ""
    about: dict[str, str] = {}
    fork: str = ""
    fork_turn: str = ""
    request_id: str | None = None


class PatchSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH sessions/ID. None leaves as it is."""

    title: str | None = None
    mode: Mode | None = None
    model: str | None = None
    notebook: str | None = None
    archived: bool | None = None


class SessionsReply(Struct, frozen=True, kw_only=True):
    """GET sessions?q=&archived=&limit=: newest first, without their turns."""

    sessions: list[Session]
    more: bool = False


class SessionReply(Struct, frozen=True, kw_only=True):
    """GET sessions/ID?turns=&before=: its newest turns with all their parts, texts as far as they are.

    seq: the event up to which this is the truth; read events after it.  more: there are older turns than `turns`.
    """

    session: Session
    turns: list[Turn]
    parts: list[Part]
    seq: int
    more: bool = False


class SendMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST sessions/ID/messages → 202 {"session", "turn" | "queued"}. The same request_id twice is one message.

    attachments: ids from POST …/attachments.  retry: id of a turn that this one asks anew (edited or not); what came
    from that turn on is left out of the prompt and folded away.
    """

    text: str
    attachments: list[str] = []
    mode: Mode | None = None
    notebook: str | None = None  # the notebook that is in front, as context
    cell: str | None = None  # id of the selected cell
    variables: list[str] = []
    retry: str = ""
    request_id: str | None = None


class SendReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Either a turn began or the message waits in the queue."""

    session: Session
    turn: Turn | None = None
    queued: str = ""  # id of the queued message


class ChangeQueue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT sessions/ID/queue. order: ids of all that shall stay, in order. texts: new texts by id."""

    order: list[str]
    texts: dict[str, str] = {}


class AnswerApproval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST sessions/ID/approvals/AID → the ToolPart. 409 with who decided, if somebody else was first."""

    choice: Scope
    note: str = ""
    answers: dict[str, Any] = {}
    hash: str = ""  # of what the person was shown; another one is 409


class AttachmentReply(Struct, frozen=True, kw_only=True):
    """POST sessions/ID/attachments?name=…, the bytes as body."""

    attachment: Attachment


class GrantsReply(Struct, frozen=True, kw_only=True):
    grants: list[Grant]


class ProvenanceReply(Struct, frozen=True, kw_only=True):
    """GET sessions/ID/turns/TID/provenance: a line a model call."""

    calls: list[Provenance]


class Starter(Struct, frozen=True, kw_only=True):
    """A suggestion of an empty chat. text: what is sent."""

    label: str
    text: str


class Verb(Struct, frozen=True, kw_only=True):
    """A slash command that is there. usage: "/compare RUN RUN …"."""

    name: str
    usage: str
    help: str


class Suggestion(Struct, frozen=True, kw_only=True):
    """A hit of the `@` pop-up. insert: what goes into the text, "@run:run_…"."""

    kind: str
    id: str
    label: str
    detail: str = ""
    insert: str = ""


class ChatOptions(Struct, frozen=True, kw_only=True):
    """GET sessions/options: what the composer offers. builtin: no model is set, the built-in assistant answers."""

    verbs: list[Verb]
    starters: list[Starter]
    modes: list[Mode]
    model: ModelInfo
    builtin: bool
    web_search: bool = False


class SuggestReply(Struct, frozen=True, kw_only=True):
    """GET sessions/suggest?q=run:lr&kind=&notebook=: at most 20, best first."""

    suggestions: list[Suggestion]


class PutRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST memory (title and text needed), PATCH memory/ID. None leaves as it is."""

    title: str | None = None
    text: str | None = None
    tags: list[str] | None = None
    scope: str | None = None
    on: bool | None = None
    status: Literal["active", "refused"] | None = None  # a person's word on a proposed one
    source: Literal["user", "agent", "reflection"] | None = None


class RulesReply(Struct, frozen=True, kw_only=True):
    rules: list[MemoryRule]


class ImportRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST memory/import: text of a MEMORY.md. GET memory/export gives one."""

    text: str


class KeysReply(Struct, frozen=True, kw_only=True):
    keys: list[KeyState]


class PutKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PUT keys: value null forgets it."""

    name: str
    value: str | None


class RoleModel(Struct, frozen=True, kw_only=True):
    """Which model a role uses, and why: "set", "default", "environment", "no key".

    A role that cannot ask anybody has no model (its id is ""); remedy: what helps then.
    """

    role: Role
    model: ModelInfo
    why: str
    remedy: str = ""


class ModelsReply(Struct, frozen=True, kw_only=True):
    """GET models. PUT models {"roles": {"chat": "anthropic:claude-…"}, "prices": {…}} sets; null resets."""

    roles: list[RoleModel]
    models: list[ModelInfo]


class PutModels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """prices: model id → {"input", "output", "cache_read", "cache_write"} in US dollars per million tokens."""

    roles: dict[str, str | None] = {}
    prices: dict[str, dict[str, float] | None] = {}


class TestModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST models/test → Probe. model: "provider:id"; "" the chat role's."""

    model: str = ""


class Probe(Struct, frozen=True, kw_only=True):
    """What an endpoint could do when it was tried."""

    model: str
    ok: bool
    streams: bool = False
    tools: bool = False
    usage: bool = False
    thinking: bool = False
    caching: bool = False
    first_token_ms: float | None = None
    problem: str = ""
    remedy: str = ""


class UsageLine(Struct, frozen=True, kw_only=True):
    """day: YYYY-MM-DD (UTC)."""

    day: str
    role: str
    model: str
    usage: Usage


class UsageReply(Struct, frozen=True, kw_only=True):
    """GET usage?days=30. today and month: totals. limit_day: US dollars, None no limit."""

    lines: list[UsageLine]
    today: Usage
    month: Usage
    limit_day: float | None = None


class PlansReply(Struct, frozen=True, kw_only=True):
    plans: list[Plan]
