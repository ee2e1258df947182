"""The assistant's routes, played beside the fake door's: sessions, an answer piece by piece, approvals, a queue.

The true wire (real structs, real events), no engine: for pictures, and for states that a model shows only by luck.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from playwright.sync_api import Page

from ragent_jupyter.domain.chat import (
    Approval,
    Attachment,
    FormField,
    Grant,
    Mention,
    NoticePart,
    Part,
    PartDelta,
    Plan,
    Preview,
    Problem,
    Provenance,
    Session,
    Task,
    TextPart,
    ThinkingPart,
    ToolPart,
    Turn,
    UserMessage,
)
from ragent_jupyter.domain.model import ModelInfo, Usage
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

from .fake_door import NOW, Door, Routes, a_day

Scene = Callable[[Page], None]

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

ANSWER = r"""The best run is `run_00000004` with **val_loss 0.1421** at step 2,000. The run that failed,
`run_00000003`, is a different matter: its learning rate was ten times as high.

## What differs

| run | lr | val_loss | ended |
|:--|--:|--:|:--|
| run_00000004 | 0.0003 | 0.1421 | finished |
| run_00000003 | 0.01 | NaN | failed at step 412 |

The update is $\theta_{t+1} = \theta_t - \eta \nabla L$; with $\eta = 0.01$ the product $\eta\lambda_{max}$ exceeds 2:

$$
\eta \lambda_{\max} = 0.01 \cdot 310 = 3.1 > 2
$$

1. Lower `lr` to 0.001, or
2. clip the gradient:

```python
# before optimizer.step()
norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
if norm > 10:
    print(f"step {step}: gradient norm {norm:.1f}")
```

See [the note on stability](https://example.org/stability) or ![plot](https://tracker.example.net/p.png?x=1).
"""

DIFF = """--- a/train.py
+++ b/train.py
@@ -41,6 +41,7 @@ for step in range(args.steps):
     loss = criterion(model(x), y)
     loss.backward()
-    optimizer.step()
+    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
+    optimizer.step()
     scheduler.step()
"""


def tool(door: ChatDoor, turn: Turn, name: str, title: str, seconds: float = 0.4, **more: Any) -> ToolPart:
    fields: dict[str, Any] = {"status": "done", "started_at": NOW - 20, "ended_at": NOW - 20 + seconds} | more
    made: ToolPart = door.part(
        turn, ToolPart, call_id=f"call_{len(door.parts[turn.id])}", name=name, title=title, **fields
    )
    return made


def question(door: ChatDoor, turn: Turn, shows: Preview, name: str, title: str, **more: Any) -> ToolPart:
    approval = Approval(id=f"apr_{len(door.parts[turn.id])}", shows=shows, hash="h" * 8, asked_at=time.time())
    return tool(door, turn, name, title, status="waiting", ended_at=None, approval=approval, **more)


USAGE = Usage(input=18_240, output=912, cache_read=15_100, cost=0.031, calls=3)


def a_conversation(n: int = 30, **more: Any) -> ChatDoor:
    """One chat with everything a chat shows, on top of a day's runs; some others beside it."""
    day = a_day(n)
    door = ChatDoor(day.runs.values(), day.alerts.values(), day.sweeps.values(), **more)
    door.nan_from = day.nan_from
    runs = list(door.runs)
    for i, (title, status) in enumerate(
        [("Sweep over weight decay", "streaming"), ("Clip gradients in train.py", "waiting"),
         ("Why is the GPU idle between epochs of the long run on node 7?", "idle"), ("", "idle"),
         ("Report for Friday", "failed"), ("Provider is overloaded", "waiting_api")]
    ):  # fmt: skip
        door.session(f"ses_old{i}", title=title, status=status, updated_at=NOW - 700 * 4**i)
    door.session(usage=USAGE, context_tokens=19_152, context_limit=200_000)
    mention = Mention(kind="run", id=runs[3], label=door.runs[runs[3]].name)
    first = door.turn(
        "ses_a",
        "",
        message=UserMessage(
            id="m1", text=f"Why did @run:{runs[3]} fail, and which run is best?", at=NOW - 90, mentions=[mention]
        ),
        usage=USAGE,
        model="claude-sonnet-5",
    )
    door.part(
        first,
        ThinkingPart,
        text="The run failed at step 412. First its log, then the configurations of both runs, then the curves.",
        status="done",
    )
    tool(door, first, "search_logs", "Search the log of resnet-lr-0.01-s3 for errors", output="412: RuntimeError: …")
    tool(door, first, "compare_runs", "Compare resnet-lr-0.01-s3 with resnet-lr-0.0003-s4", 1.2,
         input={"runs": runs[3:5]}, data={"card": "runs", "runs": runs[3:5]}, output="lr: 0.01 → 0.0003")  # fmt: skip
    door.part(first, TextPart, text=ANSWER, status="done")
    tool(door, first, "plot", "Chart val_loss of both runs", 0.1,
         data={"card": "chart", "metric": "val_loss", "runs": runs[0:3]})  # fmt: skip
    second = door.turn("ses_a", "Put the clipping into train.py and start it again with lr 0.001.", undo="chk_1")
    tool(door, second, "edit_file", "Edit train.py", 0.1, data={"card": "diff", "path": "train.py", "diff": DIFF})
    tool(door, second, "launch_run", "Start python train.py --lr 0.001", 0.8, data={"card": "run", "run": runs[0]})
    tool(door, second, "run_shell", "Run pytest -q", 3.2, status="error",
         output="FAILED tests/test_data.py::test_shapes - AssertionError\n1 failed, 12 passed",
         data={"card": "shell", "command": "pytest -q", "exit_code": 1})  # fmt: skip
    door.part(second, NoticePart, text="The provider was overloaded; asked again after 4 s.", level="warning")
    door.part(second, TextPart, text="It runs. One test fails as it did before the change.", status="done")
    return door


def long_chat(turns: int, parts: int) -> ChatDoor:
    """turns × parts parts, most of them tool calls."""
    door = ChatDoor(a_day(3).runs.values())
    door.session()
    for i in range(turns):
        turn = door.turn("ses_a", f"question {i}")
        for k in range(parts - 1):
            tool(door, turn, "read_file", f"Read lines {k} to {k + 40} of train.py", output="x = 1\n" * 20)
        door.part(turn, TextPart, text=ANSWER, status="done")
    return door


def shell_question(door: ChatDoor, session: str = "ses_a") -> ToolPart:
    """A turn that asks whether it may run a command."""
    turn = door.begin(session, "Run the tests.")
    made = question(
        door,
        turn,
        Preview(
            title="Run a shell command",
            command="python -m pytest -q tests/test_data.py",
            cwd="/home/ada/projects/vision",
            cost="no money; about 20 s",
            pattern="run_shell:python -m pytest*",
            details=["It may write to the project's folder."],
        ),
        "run_shell",
        "Run python -m pytest -q tests/test_data.py",
    )
    door.tell("sessions", "part_update", made)
    door.put_session(session, status="waiting")
    return made


FORM = [
    FormField(name="lr", label="Which learning rates?", kind="choices", options=["1e-4", "3e-4", "1e-3"]),
    FormField(name="seeds", label="How many seeds each?", kind="number", default=3),
    FormField(name="go", label="May it use both GPUs?", kind="yes_no"),
]


def plan_of(door: ChatDoor, session: str = "ses_a") -> Plan:
    titles = ["Clip gradients in train.py", "Start a smoke run of 50 steps", "Sweep lr over 3 values", "Report"]
    states: Iterable[Any] = ("done", "running", "pending", "pending")
    tasks = [Task(title=t, status=s) for t, s in zip(titles, states, strict=True)]
    door.plans["pln_a"] = Plan(
        id="pln_a", session_id=session, title="Stabilise and sweep", created_at=NOW, status="executing", tasks=tasks
    )
    return door.plans["pln_a"]


def open_chat(page: Page, title: str = "lr and the late spike") -> None:
    """Opens a chat by its title, from wherever the panel is."""
    if page.locator(".rg-sessions").count() == 0:
        page.get_by_role("button", name="All chats").click()
    page.locator(".rg-session-open", has_text=title).first.click()
    page.wait_for_selector(".rg-turn")


def _talk() -> tuple[ChatDoor, Scene]:
    return a_conversation(), open_chat


def _top() -> tuple[ChatDoor, Scene]:
    def scene(page: Page) -> None:
        open_chat(page)
        page.locator(".rg-stream").evaluate("box => { box.scrollTop = 150 }")

    return a_conversation(), scene


def _ask() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        shell_question(door)
        page.wait_for_selector(".rg-ask")

    return door, scene


def _edit() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Clip the gradient.")
        shows = Preview(
            title="Edit train.py", diff=DIFF, cwd="/home/ada/projects/vision", pattern="edit_file:*.py", danger=True
        )
        door.tell("sessions", "part_update", question(door, turn, shows, "edit_file", "Edit train.py"))
        door.put_session("ses_a", status="waiting")
        page.wait_for_selector(".rg-ask")

    return door, scene


def _form() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Set up a sweep.")
        shows = Preview(title="Before I set up the sweep", form=FORM)
        door.tell("sessions", "part_update", question(door, turn, shows, "ask_user", "Ask about the sweep"))
        door.put_session("ses_a", status="waiting")
        page.wait_for_selector(".rg-ask")

    return door, scene


def _plan() -> tuple[ChatDoor, Scene]:
    door = a_conversation()
    plan_of(door)

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Make it stable, then sweep.")
        door.tell(
            "sessions",
            "part_update",
            tool(door, turn, "make_plan", "Plan: 4 tasks", data={"card": "plan", "plan": "pln_a"}),
        )
        shows = Preview(title="Carry out this plan?", plan=[task.title for task in door.plans["pln_a"].tasks])
        door.tell("sessions", "part_update", question(door, turn, shows, "propose_plan", "Propose a plan"))
        door.put_session("ses_a", status="waiting")
        page.wait_for_selector(".rg-ask")

    return door, scene


def _busy() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Is the learning rate the reason?")
        door.add_part(turn, ThinkingPart, text="Look at the gradient norms before step 412, then", status="done")
        running = tool(door, turn, "metric_series", "Read grad_norm of resnet-lr-0.01-s3", status="running",
                       started_at=time.time() - 3, ended_at=None, progress="read 1,200 of 2,000 points")  # fmt: skip
        door.tell("sessions", "part_update", running)
        part = door.add_part(turn, TextPart)
        for piece in (
            "Yes. The norm of the gradient grows from step 380 on:\n\n- step 380: **4.1**\n- step 400: **31",
            ".7** and the",
        ):
            door.push(part, piece)
        door.put_session(
            "ses_a",
            queue=[
                UserMessage(id=f"que_{i}", text=text, at=time.time())
                for i, text in enumerate(["Then start it again with lr 0.001", "And write that into the report"])
            ],
        )
        page.wait_for_selector(".rg-queue")

    return door, scene


def _api() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        door.begin("ses_a", "Go on.")
        door.put_session(
            "ses_a", status="waiting_api", wake_at=time.time() + 95, note="The provider is overloaded (529)."
        )
        page.get_by_role("button", name="Try now").wait_for()

    return door, scene


def _failed() -> tuple[ChatDoor, Scene]:
    door = a_conversation()

    def scene(page: Page) -> None:
        open_chat(page)
        turn = door.begin("ses_a", "Go on.")
        door.finish(turn, "failed", error=FAILED)
        page.wait_for_selector(".rg-turn .rg-notice")

    return door, scene


def _new() -> tuple[ChatDoor, Scene]:
    return a_conversation(builtin=True), lambda page: None


def _list() -> tuple[ChatDoor, Scene]:
    def scene(page: Page) -> None:
        if page.locator(".rg-sessions").count() == 0:
            page.get_by_role("button", name="All chats").click()
        page.get_by_role("button", name="More for Report for Friday").click()

    return a_conversation(), scene


def _popup() -> tuple[ChatDoor, Scene]:
    def scene(page: Page) -> None:
        open_chat(page)
        page.get_by_label("Message to ragent").fill("")
        page.get_by_label("Message to ragent").type("Compare @res")
        page.wait_for_selector(".rg-hits li")

    return a_conversation(), scene


def _saw() -> tuple[ChatDoor, Scene]:
    door = a_conversation()
    door.calls["trn_a2"] = [
        Provenance(
            id=f"prv_{i}", session_id="ses_a", turn_id="trn_a2", step=i + 1, at=NOW, model="claude-sonnet-5",
            provider="anthropic", system="You are ragent. …", tools=["show_run", "edit_file", "launch_run"],
            messages=[{"role": "user", "content": "Put the clipping into train.py"}], usage=USAGE,
            stop_reason="end_turn", first_token_ms=640, latency_ms=4100,
        )
        for i in range(2)
    ]  # fmt: skip

    def scene(page: Page) -> None:
        open_chat(page)
        page.get_by_role("button", name="What the model saw").last.click()
        page.wait_for_selector(".rg-call")

    return door, scene


CHAT_SCENES: dict[str, Callable[[], tuple[ChatDoor, Scene]]] = {
    "talk": _talk, "top": _top, "ask": _ask, "edit": _edit, "form": _form, "plan": _plan, "busy": _busy, "api": _api,
    "failed": _failed, "new": _new, "list": _list, "popup": _popup, "saw": _saw,
}  # fmt: skip

FAILED = Problem(
    type="model_failed", problem="The provider refused the key (401).", remedy='Set another with "ragent keys set".'
)
