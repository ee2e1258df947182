"""A wild loop on the stand-in engine: its stages are played from a script, on the wire that domain/wire_wild.py names.

It shares no code with the engine. A script is a list of steps: fields of the loop to change, an entry of its ledger, or
a function to call between two of them (to wait for what a door does, for example).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from ragent_jupyter.domain.errors import NotAllowed, WrongMoment

from .fake_engine import FakeEngine

Step = dict[str, Any] | Callable[[], Any]
LOOP = "wld_a1"
SETUP: dict[str, Any] = {
    "command": "python train.py", "cwd": "/p", "metric": "val_loss", "mode": "min", "seed": "seed",
    "space": {
        "lr": {"dim": {"kind": "range", "low": 1e-4, "high": 0.1, "log": True}, "default": 0.01, "why": "its name"},
        "width": {"dim": {"kind": "values", "values": [16, 32]}, "default": 16},
    },
    "fidelity": "steps", "full": 300,
}  # fmt: skip
SCRIPT: dict[str, Any] = {
    "path": "train.py",
    "flags": [
        {"name": "lr", "role": "tune", "why": "a learning rate", "style": "argparse", "template": "", "default": 0.01},
        {"name": "width", "role": "tune", "why": "a size", "style": "argparse", "template": "", "default": 16},
        {"name": "drop-out", "role": "exclude", "why": "unsure", "style": "argparse", "template": "", "default": 0.1},
        {"name": "steps", "role": "fidelity", "why": "length", "style": "argparse", "template": "", "default": 300},
        {"name": "device", "role": "exclude", "why": "a device", "style": "argparse", "template": "", "default": "cpu"},
    ],
}  # fmt: skip
SUMMARY: dict[str, Any] = {
    "title": "lower val_loss: complete, with a confirmed gain",
    "tried": [{"text": "9 configurations in 21 runs."}],
    "real": [{"text": "lr 0.03 is better: val_loss 1.2 for 1.5.", "tone": "good"}],
    "cost": [{"text": "2 min 3 s."}],
    "needs": [{"text": "Nothing.", "tone": "plain"}],
}  # fmt: skip
QUESTION: dict[str, Any] = {
    "id": "qst_1", "text": "May I stop run 3?", "default": "no", "asked_at": 1.0,
    "options": [{"id": "yes", "label": "Go ahead"}, {"id": "no", "label": "Do not"}],
}  # fmt: skip
ASK_METRIC: dict[str, Any] = {
    "id": "qst_m", "text": "Which metric decides?", "default": "val_loss|min", "asked_at": 1.0, "about": "setup",
    "ref": "metric",
    "options": [{"id": "val_loss|min", "label": "val_loss, less"}, {"id": "acc|max", "label": "acc, more"}],
}  # fmt: skip


def entry(n: int, **fields: Any) -> dict[str, Any]:
    known = {
        "id": f"ent_{n}", "loop_id": LOOP, "n": n, "at": 1_795_000_000.0 + n, "by": "rule", "who": "rule:tpe",
        "stage": "exploring", "iteration": 1,
    }  # fmt: skip
    return {**known, **fields}


class FakeWild:
    """Answers wild/… of a FakeEngine. `plays`: what happens while somebody follows it.

    created: bodies of POST wild.  said: (verb, body) of wishes.  answers: bodies.  asks: what a draft asks, until its
    metric is given.  late: what an answer or a limit is refused with.
    """

    def __init__(self, engine: FakeEngine, *plays: Step, **fields: Any) -> None:
        self.engine = engine
        self.plays = list(plays)
        self.drafted: list[dict[str, Any]] = []
        self.created: list[dict[str, Any]] = []
        self.said: list[tuple[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.answered = threading.Event()
        self.asks: list[dict[str, Any]] = []
        self.late: WrongMoment | NotAllowed | None = None
        self.entries: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {"finished": 3}
        self.loops = True
        self.seq = 7
        self.loop: dict[str, Any] = {
            "id": LOOP, "goal": "lower val_loss", "created_at": 1_795_000_000.0, "setup": SETUP,
            "limits": {"runs": 40, "hours": 2.0}, "spent": {"runs": 12, "seconds": 720.0}, "stage": "running",
            "iteration": 2, **fields,
        }  # fmt: skip
        on = engine.on
        on["GET", "wild"] = lambda q, b: {"loops": [self.loop] if self.loops else []}
        on["POST", "wild"] = lambda q, b: self._post(b)
        on["GET", f"wild/{LOOP}"] = lambda q, b: self._reply()
        on["GET", f"wild/{LOOP}/journal"] = lambda q, b: self._journal(int(q.get("after", 0)))
        on["GET", "events"] = lambda q, b: self._stream()
        for verb in ("pause", "resume", "stop", "steer", "report"):
            on["POST", f"wild/{LOOP}/{verb}"] = lambda q, b, verb=verb: self._wish(verb, b)
        on["POST", f"wild/{LOOP}/answer"] = lambda q, b: self._answer(b)
        on["PUT", f"wild/{LOOP}/limits"] = lambda q, b: self._wish("limits", b)
        on["PUT", f"wild/{LOOP}/queue"] = lambda q, b: self._wish("queue", b)
        on["PATCH", f"wild/{LOOP}"] = lambda q, b: self._wish("patch", b)
        on["POST", f"wild/{LOOP}/merge"] = lambda q, b: self._merge(b)
        on["GET", f"wild/{LOOP}/diff"] = lambda q, b: b"--- a/train.py\n+++ b/train.py\n-old\n+new\n"

    def _post(self, body: dict[str, Any]) -> Any:
        if body.get("draft"):
            self.drafted.append(body)
            setup = {**SETUP, "metric": body.get("metric") or SETUP["metric"], "command": body.get("command", "")}
            if body.get("space") is not None:
                setup["space"] = body["space"]
            asks = [ask for ask in self.asks if not body.get(ask["ref"])]
            return {
                "setup": setup, "script": SCRIPT, "asks": asks, "policy": body.get("policy") or "builtin",
                "limits": body.get("limits", {}),
            }  # fmt: skip
        self.created.append(body)
        return 201, self.loop

    def _reply(self) -> dict[str, Any]:
        return {
            "loop": {**self.loop, "entries": len(self.entries)}, "counts": self.counts, "alerts": 1,
            "elapsed_s": 754.0, "summary": SUMMARY,
        }  # fmt: skip

    def _journal(self, after: int) -> dict[str, Any]:
        return {"entries": [one for one in self.entries if one["n"] > after], "total": len(self.entries)}

    def _wish(self, verb: str, body: Any) -> Any:
        self.said.append((verb, body))
        if self.late is not None and verb == "limits":
            return self.late
        if verb == "pause":
            self.loop["paused"] = True
        if verb == "stop":
            self.loop |= {"stage": "ended", "end": "stopped"}
        if verb == "report":
            self.loop["report"] = "/p/reports/wild.ipynb"
        return 202, self.loop

    def _answer(self, body: dict[str, Any]) -> Any:
        if self.late is not None:
            return self.late
        self.answers.append(body)
        self.loop.pop("question", None)
        self.answered.set()
        return 202, self.loop

    def _merge(self, body: Any) -> dict[str, Any]:
        self.said.append(("merge", body))
        return {"text": "2 commits are on main now.", "diff": ""}

    def _stream(self) -> Iterator[Any]:
        yield {"seq": self.seq, "time": 1.0, "topic": "engine", "type": "hello", "data": {}}
        while self.plays:
            step = self.plays.pop(0)
            if callable(step):
                step()
                continue
            self.seq += 1
            if "loop_id" in step:
                self.entries.append(step)
                data, type_ = step, "wild_entry"
            else:
                self.loop |= step
                data, type_ = self.loop, "wild_ended" if self.loop["stage"] == "ended" else "wild_changed"
            yield {"seq": self.seq, "time": 1.0, "topic": "wild", "type": type_, "data": data}
        threading.Event().wait(20)  # nothing more happens; the door leaves
