"""Wild Mode's routes, played beside the fake door's: loops, a ledger, verdicts, a script that was read.

The true wire (real structs, real events), no engine: for pictures, and for states that a night shows only by luck.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from ragent_jupyter.domain.script import Flag, Script
from ragent_jupyter.domain.sweep import Estimate, Range, Values
from ragent_jupyter.domain.wild import (
    PRIORITY,
    Entry,
    EventKind,
    Knob,
    Limits,
    Loop,
    LoopEvent,
    Option,
    Question,
    Setup,
    Spent,
    Stage,
)
from ragent_jupyter.domain.wire import ErrorBody, ErrorReply
from ragent_jupyter.domain.wire_wild import (
    AnswerLoop,
    ChangeLimits,
    CreateLoop,
    JournalReply,
    Line,
    LoopReply,
    LoopsReply,
    MergeLoop,
    MergeReply,
    PatchLoop,
    ReorderEvents,
    SetupReply,
    Steer,
    StopLoop,
    Summary,
)

from .fake_chat import ChatDoor, ChatRoutes
from .fake_door import NOW

SPACE = {
    "lr": Knob(dim=Range(low=1e-4, high=1e-1, log=True), default=3e-4, why="named like a learning rate"),
    "dropout": Knob(dim=Range(low=0.0, high=0.5), default=0.1, why="named like a dropout"),
    "optimizer": Knob(dim=Values(["adamw", "sgd"]), default="adamw", why="has choices"),
}
FLAGS = [
    Flag(
        name="lr", role="tune", why="named like a learning rate", style="argparse", template="--lr {value}",
        kind="float", default=3e-4, dim=SPACE["lr"].dim, file="train.py", line=14,
    ),
    Flag(
        name="dropout", role="tune", why="named like a dropout", style="argparse", template="--dropout {value}",
        kind="float", default=0.1, dim=SPACE["dropout"].dim, file="train.py", line=15,
    ),
    Flag(
        name="optimizer", role="tune", why="has choices", style="argparse", template="--optimizer {value}",
        kind="str", default="adamw", choices=["adamw", "sgd"], dim=SPACE["optimizer"].dim, file="train.py", line=16,
    ),
    Flag(
        name="epochs", role="fidelity", why="how long it trains", style="argparse", template="--epochs {value}",
        kind="int", default=20, file="train.py", line=17,
    ),
    Flag(
        name="seed", role="seed", why="named seed", style="argparse", template="--seed {value}", kind="int", default=0,
    ),
    Flag(
        name="batch-size", role="exclude", why="changes the training budget", style="argparse",
        template="--batch-size {value}", kind="int", default=128,
    ),
    Flag(
        name="data-dir", role="exclude", why="a path", style="argparse", template="--data-dir {value}", kind="str",
        default="data",
    ),
]  # fmt: skip
SETUP = Setup(
    command="python train.py", cwd="/home/ada/projects/vision", metric="val_loss", mode="min", space=SPACE,
    fidelity="epochs", full=20, seed="seed",
)  # fmt: skip
DIFF = """--- a/model.py
+++ b/model.py
@@ -18,7 +18,8 @@ class Block(nn.Module):
         self.norm = nn.LayerNorm(width)
-        self.drop = nn.Dropout(p)
+        self.drop = nn.Dropout(p)
+        self.gate = nn.Parameter(torch.ones(width))
"""


def event(i: int, kind: EventKind, text: str = "", **more: Any) -> LoopEvent:
    return LoopEvent(id=f"evt_{i:08d}", kind=kind, at=NOW - 60, order=PRIORITY[kind] + i / 1000, text=text, **more)


class WildDoor(ChatDoor):
    """A door with loops. What is done to them is kept in `bodies`; all may be called from the test's thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loops: dict[str, Loop] = {}
        self.ledger: dict[str, list[Entry]] = {}
        self.summaries: dict[str, Summary] = {}
        self.counted: dict[str, dict[str, int]] = {}
        self.asks: list[Question] = []
        self.refuse_wild: ErrorBody | None = None

    def __enter__(self) -> WildDoor:
        super().__enter__()
        return self

    def loop_of(self, id_: str = "wld_00000001", **more: Any) -> Loop:
        fields: dict[str, Any] = {
            "goal": "Get val_loss as low as possible without a larger model",
            "created_at": NOW - 7500,
            "setup": SETUP,
            "stage": Stage.RUNNING,
            "iteration": 3,
            "limits": Limits(hours=8, runs=100, cost_usd=5.0),
            "spent": Spent(
                iterations=3, seconds=7320.0, since=NOW, runs=41, tokens=182_000, cost_usd=0.42, model_calls=19,
                cpu_seconds=41_000, disk_bytes=2_400_000_000,
            ),
        } | more  # fmt: skip
        self.loops[id_] = Loop(id=id_, **fields)
        self.ledger.setdefault(id_, [])
        return self.loops[id_]

    def put_loop(self, id_: str, **fields: Any) -> Loop:
        self.loops[id_] = msgspec.structs.replace(self.loops[id_], **fields)
        over = self.loops[id_].stage is Stage.ENDED
        self.tell("wild", "wild_ended" if over else "wild_changed", self.loops[id_])
        return self.loops[id_]

    def add_entry(self, id_: str, *, tell: bool = True, lost: bool = False, **more: Any) -> Entry:
        held = self.ledger[id_]
        n = len(held) + 1
        fields: dict[str, Any] = {"at": time.time(), "by": "rule", "stage": "running", "iteration": 3} | more
        entry = Entry(id=f"ent_{n:08d}", loop_id=id_, n=n, **fields)
        held.append(entry)
        self.loops[id_] = msgspec.structs.replace(self.loops[id_], entries=n)
        if tell and not lost:
            self.tell("wild", "wild_entry", entry)
        return entry

    def reply_of(self, id_: str) -> LoopReply:
        loop = self.loops[id_]
        empty = Summary(title="", tried=[], real=[], cost=[], needs=[])
        return LoopReply(
            loop=loop,
            counts=self.counted.get(id_, {}),
            alerts=1 if any(e.kind == "critical" for e in loop.queue) else 0,
            elapsed_s=(loop.ended_at or time.time()) - loop.created_at,
            summary=self.summaries.get(id_, empty),
        )

    def draft_of(self, asked: CreateLoop) -> SetupReply:
        return SetupReply(
            setup=msgspec.structs.replace(SETUP, command=asked.command or "python train.py"),
            script=Script(path="train.py", flags=FLAGS, notes=["configs/*.yaml was not read: no hydra in the script."]),
            asks=[ask for ask in self.asks if ask.ref != "command" or not asked.command],
            policy=asked.policy or ("builtin" if self.builtin else "llm"),
            limits=asked.limits,
            estimate=Estimate(of="run_00000004", seconds=94.0, runs=100, parallel=2, wall_seconds=4800.0),
        )

    def change_loop(self, id_: str, **fields: Any) -> Loop:
        """`put_loop` for code that is on the server's loop already."""
        self.loops[id_] = msgspec.structs.replace(self.loops[id_], **fields)
        self.seq += 1
        raw = msgspec.json.decode(msgspec.json.encode(self.loops[id_]))
        envelope = {"seq": self.seq, "time": time.time(), "topic": "wild", "type": "wild_changed", "data": raw}
        self.log.append(envelope)
        for socket in list(self.sockets):
            socket.say(envelope)
        return self.loops[id_]


class WildRoutes(ChatRoutes):
    door: WildDoor

    def get(self, path: str) -> None:
        door, query = self.door, self.get_query_argument
        match path.split("/"):
            case ["wild", *_] if door.refuse_wild:
                self.say(ErrorReply(door.refuse_wild), 409)
            case ["wild"]:
                self.say(LoopsReply(loops=list(door.loops.values())))
            case ["wild", id_] if id_ in door.loops:
                self.say(door.reply_of(id_))
            case ["wild", id_, "journal"] if id_ in door.loops:
                after, limit = int(query("after", "0")), int(query("limit", "200"))
                held = door.ledger[id_]
                self.say(JournalReply(entries=held[after : after + limit], total=len(held)))
            case ["wild", id_, "diff"] if id_ in door.loops:
                self.set_header("Content-Type", "text/plain")
                self.finish(DIFF)
            case ["wild", *_]:
                self.missing("loop")
            case _:
                super().get(path)

    def post(self, path: str) -> None:
        door = self.door
        match path.split("/"):
            case ["wild", *_] if door.refuse_wild:
                self.body(dict)
                self.say(ErrorReply(door.refuse_wild), 409)
            case ["wild"]:
                asked = self.body(CreateLoop)
                if asked.draft:
                    self.say(door.draft_of(asked))
                    return
                same = [loop for loop in door.loops.values() if loop.request_id == asked.request_id]
                loop = same[0] if same else door.loop_of(
                    f"wld_{len(door.loops) + 1:08d}", goal=asked.goal, created_at=time.time(), limits=asked.limits,
                    iteration=0, spent=Spent(since=time.time()), stage=Stage.EXPLORING, request_id=asked.request_id,
                    policy=asked.policy or "builtin", autonomy=asked.autonomy,
                )  # fmt: skip
                self.say(loop, 202)
            case ["wild", id_, "pause" | "resume" as verb]:
                self.body(dict)
                self.say(door.change_loop(id_, paused=verb == "pause"), 202)
            case ["wild", id_, "stop"]:
                self.body(StopLoop)
                ended = {"stage": Stage.ENDED, "end": "stopped", "ended_at": time.time(), "queue": [], "question": None}
                self.say(door.change_loop(id_, **ended), 202)
            case ["wild", id_, "steer"]:
                said = self.body(Steer)
                queue = [*door.loops[id_].queue, event(900 + len(door.loops[id_].queue), "human", said.text)]
                self.say(door.change_loop(id_, queue=queue), 202)
            case ["wild", id_, "answer"]:
                self.body(AnswerLoop)
                self.say(door.change_loop(id_, question=None), 202)
            case ["wild", id_, "merge"]:
                self.body(MergeLoop)
                self.say(MergeReply(text="Merged 1 commit into main."), 202)
            case ["wild", id_, "report"]:
                self.body(dict)
                self.say(door.change_loop(id_, report="reports/wild.ipynb"), 202)
            case _:
                super().post(path)

    def put(self, path: str) -> None:
        door = self.door
        match path.split("/"):
            case ["wild", id_, "limits"]:
                asked = self.body(ChangeLimits)
                limits = msgspec.structs.replace(door.loops[id_].limits, **asked.limits)
                on = {"stage": Stage.EXPLORING, "end": None, "ended_at": None} if door.loops[id_].over else {}
                self.say(door.change_loop(id_, limits=limits, **on), 202)
            case ["wild", id_, "queue"]:
                asked = self.body(ReorderEvents)
                held = {e.id: e for e in door.loops[id_].queue if e.id not in asked.drop}
                queue = [
                    msgspec.structs.replace(held[one], order=i) for i, one in enumerate(asked.order) if one in held
                ]
                self.say(door.change_loop(id_, queue=queue), 202)
            case _:
                super().put(path)

    def patch(self, path: str) -> None:
        door = self.door
        match path.split("/"):
            case ["wild", id_]:
                asked = self.body(PatchLoop)
                fields: dict[str, Any] = {}
                if asked.autonomy:
                    fields["autonomy"] = asked.autonomy
                if asked.space is not None:
                    fields["setup"] = msgspec.structs.replace(door.loops[id_].setup, space=asked.space)
                self.say(door.change_loop(id_, **fields))
            case _:
                super().patch(path)


WildDoor.routes = WildRoutes


def line(text: str, tone: Any = "plain", *refs: str) -> Line:
    return Line(text=text, tone=tone, refs=list(refs))


def question(**more: Any) -> Question:
    fields: dict[str, Any] = {
        "id": "qst_00000001",
        "text": "Run 7 needs 21 GB and this GPU has 16: may batch_size go down to 64 for all runs?",
        "options": [Option("yes", "Yes, lower it"), Option("no", "No, skip such runs"), Option("stop", "Stop it")],
        "default": "no",
        "asked_at": NOW - 120,
        "default_at": NOW + 1900,
        "held": [{"do": "propose_sweep", "name": "wide", "points": [{"width": 512}, {"width": 768}], "reason": "room"}],
    }  # fmt: skip
    return Question(**(fields | more))
