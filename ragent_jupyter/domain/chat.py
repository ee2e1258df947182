"""Sessions, turns and their parts. A session is one chat; a turn is one message and all that is done for it."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .model import Usage

Mode = Literal["ask", "accept_edits", "plan", "bypass"]
SessionStatus = Literal["idle", "streaming", "waiting", "waiting_api", "failed"]
TurnStatus = Literal["queued", "streaming", "waiting", "waiting_api", "done", "stopped", "failed"]
TURN_OVER: frozenset[str] = frozenset({"done", "stopped", "failed"})


class Attachment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file or a pasted image; its bytes lie under `.ragent/attachments/SHA256`. size: bytes."""

    id: str  # the sha256, hex
    name: str
    media_type: str
    size: int


class Mention(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`@kind:id` in a message, as the engine understood it. problem: why it could not be resolved."""

    kind: str  # run sweep metric alert chart file cell notebook var report session
    id: str
    label: str = ""
    problem: str = ""


class UserMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person asked. shown: what the chat shows where it differs from what the model gets (`/analyze …`)."""

    id: str
    text: str
    at: float
    by: str = ""
    shown: str = ""
    attachments: list[Attachment] = []
    mentions: list[Mention] = []
    mode: Mode | None = None  # for this message alone
    cell: str = ""  # id of the cell that was selected in the session's notebook
    variables: list[str] = []  # names in that notebook's kernel whose summaries come along


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One chat. turn: the id of the turn under way.  queue: messages that wait for it to end.

    titled_by: "" no title yet, "auto", "user".  wake_at: when the model is asked again (waiting_api), unix seconds.
    context_tokens: size of the newest prompt, of at most context_limit.
    """

    id: str
    created_at: float
    updated_at: float
    title: str = ""
    titled_by: str = ""
    archived: bool = False
    mode: Mode = "ask"
    model: str = ""  # "" the role's
    notebook: str = ""  # path of the notebook that it is about
    forked_from: str = ""
    about: dict[str, str] = {}  # {"alert": id, "run": id}: what it was opened for
    queue: list[UserMessage] = []
    status: SessionStatus = "idle"
    note: str = ""
    wake_at: float | None = None
    turn: str = ""
    turns: int = 0
    usage: Usage = Usage()
    context_tokens: int = 0
    context_limit: int = 0
    by: str = ""


class Problem(Struct, frozen=True):
    type: str
    problem: str
    remedy: str


class Turn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message and the work for it. context: what the engine told the model of the project at its start.

    n: place in the session, from 1.  rules: ids of the memory rules that were in the prompt.  parts: how many.
    """

    id: str
    session_id: str
    n: int
    message: UserMessage
    status: TurnStatus
    created_at: float
    mode: Mode = "ask"
    model: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    context: str = ""
    rules: list[str] = []
    error: Problem | None = None
    note: str = ""
    steps: int = 0
    parts: int = 0
    usage: Usage = Usage()
    undo: str = ""  # id of a notebook or file checkpoint that takes the turn's edits back
    retry_of: str = ""


# --- approvals -------------------------------------------------------------------------------------------------------
class Touched(Struct, frozen=True):
    """A file that a call will change, as it was when the approval was asked. sha256: "" where there is none yet."""

    path: str
    sha256: str


class FormField(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """kind: "text", "choice" (options), "number", "yes_no"."""

    name: str
    label: str
    kind: Literal["text", "choice", "choices", "number", "yes_no"] = "text"
    options: list[str] = []
    default: Any = None


class Preview(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What exactly will happen, for a person to read before it does.

    title: a sentence, "Run a shell command".  pattern: what "always" would allow, in the words of
    rules/permissions.py; "" where it cannot be allowed for good.  danger: the button says so in red.
    """

    title: str
    command: str = ""
    cwd: str = ""
    diff: str = ""
    cost: str = ""
    details: list[str] = []
    touches: list[Touched] = []
    pattern: str = ""
    danger: bool = False
    plan: list[str] = []  # the steps of a plan that asks to be executed
    form: list[FormField] = []


Scope = Literal["once", "session", "always", "no"]


class Approval(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question that only a person answers; the first answer wins. hash: of the exact call and what it touches."""

    id: str
    shows: Preview
    hash: str
    asked_at: float
    status: Literal["pending", "approved", "refused", "void"] = "pending"
    scope: Scope | None = None
    answered_by: str = ""
    answered_at: float | None = None
    note: str = ""  # what the person said with a no
    answers: dict[str, Any] = {}  # of a form


class Grant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is allowed from now on. session_id: "" for always."""

    id: str
    pattern: str
    created_at: float
    session_id: str = ""
    by: str = ""


# --- parts -----------------------------------------------------------------------------------------------------------
class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """index: place in the turn, from 0; step: the model call that it belongs to, from 1."""

    id: str
    session_id: str
    turn_id: str
    index: int
    step: int = 0


class TextPart(_Part, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """status "cut": the stream broke or the engine ended here; asked again, its text is not the model's word."""

    text: str = ""
    status: Literal["streaming", "done", "cut"] = "streaming"


class ThinkingPart(_Part, frozen=True, kw_only=True, omit_defaults=True, tag="thinking"):
    text: str = ""
    signature: str = ""
    redacted: str = ""
    status: Literal["streaming", "done", "cut"] = "streaming"


ToolStatus = Literal["writing", "waiting", "running", "done", "error", "refused", "stopped", "outcome_unknown", "cut"]


class ToolPart(_Part, frozen=True, kw_only=True, omit_defaults=True, tag="tool"):
    """A call of a tool. title: what it does in plain words.  output: what the model reads.

    data: what a card draws, {"card": "run" | "chart" | "diff" | "plan" | …, …}.  progress: newest lines while it runs.
    """

    call_id: str
    name: str
    title: str = ""
    input: dict[str, Any] = {}
    bad_input: str = ""
    status: ToolStatus = "writing"
    output: str = ""
    images: list[str] = []  # ids of attachments
    data: dict[str, Any] = {}
    progress: str = ""
    approval: Approval | None = None
    started_at: float | None = None
    ended_at: float | None = None


class NoticePart(_Part, frozen=True, kw_only=True, omit_defaults=True, tag="notice"):
    """A word of ragent itself, between the model's: a retry, a compaction, a restart, a budget."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


Part = TextPart | ThinkingPart | ToolPart | NoticePart


class PartDelta(Struct, frozen=True, kw_only=True):
    """Unsaved: a piece of a text or thinking part. at: characters (Unicode code points) that stand before it.

    A reader whose text is shorter than `at` has missed something and reads the session again; one whose text is longer
    has it already.
    """

    session_id: str
    turn_id: str
    part_id: str
    index: int
    step: int
    kind: Literal["text", "thinking"]
    at: int
    delta: str


class ToolProgress(Struct, frozen=True, kw_only=True):
    """Unsaved: what a tool that runs has said last. tail: its newest lines, in place of those told before."""

    session_id: str
    turn_id: str
    part_id: str
    index: int
    tail: str


class Provenance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one model call was given and what came of it; secrets are out of it. messages: JSON of the request.

    kept: how many messages are those of the call before (stored once, whole again in a reply); images are named only.
    """

    id: str
    session_id: str
    turn_id: str
    step: int
    at: float
    model: str
    provider: str = ""
    system: str = ""
    messages: list[dict[str, Any]] = []
    kept: int = 0
    tools: list[str] = []
    rules: list[str] = []
    usage: Usage = Usage()
    stop_reason: str = ""
    first_token_ms: float | None = None
    latency_ms: float | None = None
    tries: int = 1


# --- plans, memory ---------------------------------------------------------------------------------------------------
class Task(Struct, frozen=True, kw_only=True, omit_defaults=True):
    title: str
    status: Literal["pending", "running", "done", "failed", "skipped"] = "pending"
    note: str = ""


class Plan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tasks that a person approved, or is asked to."""

    id: str
    session_id: str
    title: str
    created_at: float
    status: Literal["proposed", "approved", "refused", "executing", "done"] = "proposed"
    tasks: list[Task] = []
    by: str = ""


class MemoryRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A heuristic that every agent must heed. scope: "" the whole project, else a path, a sweep's or a script's name.

    status "proposed": an agent wrote it and a person has not agreed yet; it is in no prompt.
    """

    id: str
    title: str
    text: str
    created_at: float
    updated_at: float
    source: Literal["user", "agent", "reflection"] = "user"
    tags: list[str] = []
    scope: str = ""
    on: bool = True
    status: Literal["active", "proposed", "refused"] = "active"
    by: str = ""

    @property
    def heeded(self) -> bool:
        return self.on and self.status == "active"
