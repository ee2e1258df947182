"""The assistant's routes, played beside the fake door's: sessions, an answer piece by piece, approvals, a queue.

The true wire (real structs, real events), no engine: for pictures, and for states that a model shows only by luck.
"""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec

from ragent_jupyter.domain.chat import (
    Attachment,
    Grant,
    Part,
    PartDelta,
    Plan,
    Provenance,
    Session,
    ThinkingPart,
    ToolPart,
    Turn,
    UserMessage,
)
from ragent_jupyter.domain.model import ModelInfo
from ragent_jupyter.domain.wire import ErrorBody, ErrorReply
from ragent_jupyter.domain.wire_chat import (
    AnswerApproval,
    AttachmentReply,
    ChangeQueue,
    ChatOptions,
    CreateSession,
    GrantsReply,
    ModelsReply,
    PatchSession,
    PlansReply,
    ProvenanceReply,
    RoleModel,
    SendMessage,
    SendReply,
    SessionReply,
    SessionsReply,
    Starter,
    Suggestion,
    SuggestReply,
    Verb,
)

from .fake_door import NOW, Door, Routes

MODEL = ModelInfo(
    id="claude-sonnet-5", provider="anthropic", title="Claude Sonnet 5", context=200_000, price_input=3, price_output=15
)
BUILTIN = ModelInfo(id="assistant", provider="builtin", title="Built-in assistant")
STARTERS = [
    Starter(label=text, text=text)
    for text in ("Analyze my latest run", "Why did training fail?", "Compare model configs")
]
VERBS = [
    Verb(name="analyze", usage="/analyze RUN", help="What happened in a run, from its curves, alerts and log"),
    Verb(name="compare", usage="/compare RUN RUN …", help="Parameters and results side by side"),
    Verb(name="launch", usage="/launch COMMAND", help="Start a command as a run"),
]


class ChatDoor(Door):
    """A door with chats. `push` grows a text as a stream does; all may be called from the test's thread."""

    def __init__(self, *args: Any, builtin: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sessions: dict[str, Session] = {}
        self.turns: dict[str, Turn] = {}
        self.parts: dict[str, list[Part]] = {}
        self.plans: dict[str, Plan] = {}
        self.calls: dict[str, list[Provenance]] = {}
        self.builtin = builtin
        self.model = BUILTIN if builtin else MODEL
        self.taken: dict[str, SendReply] = {}
        self.decided_by = ""  # somebody who is always first

    def __enter__(self) -> ChatDoor:
        super().__enter__()
        return self

    # -- what is
    def session(self, id_: str = "ses_a", **more: Any) -> Session:
        fields: dict[str, Any] = {
            "created_at": NOW - 600,
            "updated_at": NOW - 60,
            "title": "lr and the late spike",
        } | more
        self.sessions[id_] = Session(id=id_, **fields)
        return self.sessions[id_]

    def turn(self, session: str, text: str, status: str = "done", **more: Any) -> Turn:
        n = 1 + sum(turn.session_id == session for turn in self.turns.values())
        turn_id = f"trn_{session[4:]}{n}"
        message = more.pop("message", None) or UserMessage(id=f"msg_{n}", text=text, at=NOW - 100 + n)
        self.turns[turn_id] = Turn(
            id=turn_id,
            session_id=session,
            n=n,
            message=message,
            status=status,  # type: ignore[arg-type]
            created_at=NOW - 100 + n,
            **({"started_at": NOW - 100 + n, "ended_at": NOW - 82 + n} if status == "done" else {}) | more,
        )
        self.parts[turn_id] = []
        return self.turns[turn_id]

    def part(self, turn: Turn, kind: type[Any], **fields: Any) -> Any:
        index = len(self.parts[turn.id])
        part = kind(
            id=f"prt_{turn.id}_{index}", session_id=turn.session_id, turn_id=turn.id, index=index, step=1, **fields
        )
        self.parts[turn.id].append(part)
        return part

    # -- what happens, told
    def put_session(self, id_: str, **fields: Any) -> Session:
        self.sessions[id_] = msgspec.structs.replace(self.sessions[id_], updated_at=time.time(), **fields)
        self.tell("sessions", "session_status" if "status" in fields else "session_changed", self.sessions[id_])
        return self.sessions[id_]

    def put_turn(self, id_: str, **fields: Any) -> Turn:
        self.turns[id_] = msgspec.structs.replace(self.turns[id_], **fields)
        self.tell("sessions", "turn_changed", self.turns[id_])
        return self.turns[id_]

    def add_part(self, turn: Turn, kind: type[Any], **fields: Any) -> Any:
        part = self.part(turn, kind, **fields)
        self.tell("sessions", "part_update", part)
        return part

    def put_part(self, part: Any, **fields: Any) -> Any:
        part = msgspec.structs.replace(self.parts[part.turn_id][part.index], **fields)
        self.parts[part.turn_id][part.index] = part
        self.tell("sessions", "part_update", part)
        return part

    def push(self, part: Any, delta: str, *, lost: bool = False) -> None:
        """The next piece of a text; `lost`: nobody hears of it."""
        held = self.parts[part.turn_id][part.index]
        told = PartDelta(
            session_id=part.session_id,
            turn_id=part.turn_id,
            part_id=part.id,
            index=part.index,
            step=part.step,
            kind="thinking" if isinstance(part, ThinkingPart) else "text",
            at=len(held.text),
            delta=delta,
        )
        self.parts[part.turn_id][part.index] = msgspec.structs.replace(held, text=held.text + delta)
        if not lost:
            self.tell("sessions", "part_delta", told, saved=False)

    def begin(self, session: str, text: str, **more: Any) -> Turn:
        turn = self.turn(session, text, "streaming", started_at=time.time(), **more)
        self.tell("sessions", "turn_created", turn)
        self.put_session(session, status="streaming", turn=turn.id)
        return turn

    def finish(self, turn: Turn, status: str = "done", **more: Any) -> None:
        for part in list(self.parts[turn.id]):
            if getattr(part, "status", "") == "streaming":
                self.put_part(part, status="done")
        self.put_turn(turn.id, status=status, ended_at=time.time(), **more)
        self.put_session(turn.session_id, status="idle", turn="")

    def reply(self, session: str, turns: int, before: str) -> SessionReply:
        mine = sorted((t for t in self.turns.values() if t.session_id == session), key=lambda t: t.n)
        if before:
            mine = [t for t in mine if t.n < self.turns[before].n]
        some = mine[-turns:]
        return SessionReply(
            session=self.sessions[session],
            turns=some,
            parts=[part for turn in some for part in self.parts[turn.id]],
            seq=self.seq,
            more=len(some) < len(mine),
        )

    def say(self, session: str, asked: SendMessage) -> SendReply:
        """On the server's loop. Nothing answers by itself: the test does."""
        if asked.request_id and asked.request_id in self.taken:
            return self.taken[asked.request_id]
        held = self.sessions[session]
        if held.turn:
            message = UserMessage(id=f"que_{len(held.queue)}_{time.time_ns()}", text=asked.text, at=time.time())
            self.sessions[session] = msgspec.structs.replace(held, queue=[*held.queue, message])
            self.told("session_changed", self.sessions[session])
            reply = SendReply(session=self.sessions[session], queued=message.id)
        else:
            turn = self.turn(session, asked.text, "streaming", started_at=time.time(), retry_of=asked.retry)
            self.told("turn_created", turn)
            self.sessions[session] = msgspec.structs.replace(
                held, status="streaming", turn=turn.id, updated_at=time.time()
            )
            self.told("session_status", self.sessions[session])
            reply = SendReply(session=self.sessions[session], turn=turn)
        if asked.request_id:
            self.taken[asked.request_id] = reply
        return reply

    def told(self, type_: str, data: Any) -> None:
        """`tell` for code that is on the loop already."""
        self.seq += 1
        raw = json.loads(msgspec.json.encode(data))
        envelope = {"seq": self.seq, "time": time.time(), "topic": "sessions", "type": type_, "data": raw}
        self.log.append(envelope)
        for socket in list(self.sockets):
            socket.say(envelope)


class ChatRoutes(Routes):
    door: ChatDoor

    def body(self, kind: type[Any]) -> Any:
        raw = json.loads(self.request.body or b"{}")
        self.door.bodies.append((self.request.path.removeprefix("/ragent/api/v1/"), raw))
        return msgspec.convert(raw, kind)

    def missing(self, what: str) -> None:
        self.say(ErrorReply(ErrorBody("not_found", f"No {what} here.", "It may have been archived.")), 404)

    def get(self, path: str) -> None:
        door, query = self.door, self.get_query_argument
        match path.split("/"):
            case ["sessions"]:
                q = query("q", "").lower()
                archived = bool(query("archived", ""))
                found = [s for s in door.sessions.values() if s.archived == archived and q in s.title.lower()]
                self.say(SessionsReply(sessions=sorted(found, key=lambda s: -s.updated_at)))
            case ["sessions", "options"]:
                modes: Any = ["ask", "accept_edits", "plan"]
                self.say(
                    ChatOptions(verbs=VERBS, starters=STARTERS, modes=modes, model=door.model, builtin=door.builtin)
                )
            case ["sessions", "suggest"]:
                q = query("q", "").lower().removeprefix("run:")
                self.say(
                    SuggestReply(
                        suggestions=[
                            Suggestion(kind="run", id=r.id, label=r.name, detail=r.status.value, insert=f"@run:{r.id}")
                            for r in door.runs.values()
                            if q in r.name.lower() or q in r.id
                        ][:20]
                    )
                )
            case ["sessions", id_] if id_ in door.sessions:
                self.say(door.reply(id_, int(query("turns", "20")), query("before", "")))
            case ["sessions", id_]:
                self.missing(f"session {id_!r}")
            case ["sessions", _, "turns", turn, "provenance"]:
                self.say(ProvenanceReply(calls=door.calls.get(turn, [])))
            case ["sessions", id_, "export"]:
                self.set_header("Content-Type", "text/markdown")
                self.finish(f"# {door.sessions[id_].title}\n")
            case ["models"]:
                role = RoleModel(role="chat", model=door.model, why="default")
                self.say(ModelsReply(roles=[role], models=[MODEL, BUILTIN]))
            case ["grants"]:
                grants = [Grant(id="grt_a", pattern="run_shell:python -m pytest*", created_at=NOW)]
                self.say(GrantsReply(grants=grants))
            case ["plans"]:
                self.say(PlansReply(plans=list(door.plans.values())))
            case _:
                super().get(path)

    def post(self, path: str) -> None:
        door = self.door
        match path.split("/"):
            case ["sessions"]:
                asked = self.body(CreateSession)
                made = door.session(
                    f"ses_{len(door.sessions)}", title=asked.title, mode=asked.mode, about=asked.about,
                    created_at=time.time(), updated_at=time.time(), forked_from=asked.fork,
                )  # fmt: skip
                door.told("session_created", made)
                self.say(made, 201)
            case ["sessions", id_, "messages"]:
                self.say(door.say(id_, self.body(SendMessage)), 202)
            case ["sessions", id_, "stop"]:
                held = door.sessions[id_]
                self.body(dict)
                if held.turn:
                    turn = msgspec.structs.replace(door.turns[held.turn], status="stopped", ended_at=time.time())
                    door.turns[turn.id] = turn
                    door.told("turn_changed", turn)
                door.sessions[id_] = msgspec.structs.replace(held, status="idle", turn="")
                door.told("session_status", door.sessions[id_])
                self.say(door.sessions[id_])
            case ["sessions", id_, "try_now"]:
                door.sessions[id_] = msgspec.structs.replace(door.sessions[id_], status="streaming", wake_at=None)
                door.told("session_status", door.sessions[id_])
                self.say(door.sessions[id_])
            case ["sessions", id_, "approvals", approval]:
                asked = self.body(AnswerApproval)
                part = next(
                    p
                    for parts in door.parts.values()
                    for p in parts
                    if isinstance(p, ToolPart) and p.approval and p.approval.id == approval
                )
                if door.decided_by or part.approval is None or part.approval.status != "pending":
                    who = door.decided_by or (part.approval.answered_by if part.approval else "")
                    error = ErrorBody("already_answered", f"{who} has decided this.", "Look at what was decided.")
                    self.say(ErrorReply(error), 409)
                    return
                no = asked.choice == "no"
                answered = msgspec.structs.replace(
                    part.approval,
                    status="refused" if no else "approved",
                    scope=asked.choice,
                    answered_by="ada",
                    answered_at=time.time(),
                    note=asked.note,
                    answers=asked.answers,
                )
                status: Any = "refused" if no else "running"
                part = msgspec.structs.replace(part, approval=answered, status=status)
                door.parts[part.turn_id][part.index] = part
                door.told("part_update", part)
                door.sessions[id_] = msgspec.structs.replace(door.sessions[id_], status="streaming")
                door.told("session_status", door.sessions[id_])
                self.say(part)
            case ["sessions", id_, "attachments"]:
                name = self.get_query_argument("name")
                kind = self.request.headers.get("Content-Type", "application/octet-stream")
                sent = Attachment(id="ab" * 32, name=name, media_type=kind, size=len(self.request.body))
                door.bodies.append((path, len(self.request.body)))
                self.say(AttachmentReply(attachment=sent))
            case ["sessions", _, "turns", _, "undo"]:
                self.say({"paths": ["train.py"]})
            case _:
                super().post(path)

    def put(self, path: str) -> None:
        door = self.door
        match path.split("/"):
            case ["sessions", id_, "queue"]:
                asked = self.body(ChangeQueue)
                held = {m.id: m for m in door.sessions[id_].queue}
                queue = [
                    msgspec.structs.replace(held[i], text=asked.texts.get(i, held[i].text))
                    for i in asked.order
                    if i in held
                ]
                door.sessions[id_] = msgspec.structs.replace(door.sessions[id_], queue=queue)
                door.told("session_changed", door.sessions[id_])
                self.say(door.sessions[id_])
            case ["models"]:
                self.body(dict)
                door.builtin, door.model = False, MODEL
                self.say(ModelsReply(roles=[RoleModel(role="chat", model=MODEL, why="set")], models=[MODEL, BUILTIN]))
            case _:
                self.missing(path)

    def patch(self, path: str) -> None:
        door = self.door
        match path.split("/"):
            case ["sessions", id_]:
                asked = self.body(PatchSession)
                fields = {name: getattr(asked, name) for name in asked.__struct_fields__}
                known = {name: value for name, value in fields.items() if value is not None}
                door.sessions[id_] = msgspec.structs.replace(door.sessions[id_], **known)
                door.told("session_changed", door.sessions[id_])
                self.say(door.sessions[id_])
            case _:
                self.missing(path)

    def delete(self, path: str) -> None:
        door = self.door
        match path.split("/"):
            case ["sessions", id_]:
                door.sessions[id_] = msgspec.structs.replace(door.sessions[id_], archived=True)
                door.told("session_changed", door.sessions[id_])
                self.say(door.sessions[id_])
            case _:
                self.missing(path)


ChatDoor.routes = ChatRoutes
