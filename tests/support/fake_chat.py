"""A chat on the stand-in engine: turns are played from a script, on the wire that the contracts name.

It shares no code with the engine. A script is a list of steps: an event to tell, or a function to call between two of
them (to wait for what a door does, for example).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from ragent_jupyter.domain.errors import NotAllowed, WrongMoment

from .fake_engine import FakeEngine

Step = dict[str, Any] | Callable[[], None] | type
TURN = "trn_1"
SESSION = "ses_1"


def part(index: int, type_: str, **fields: Any) -> dict[str, Any]:
    """A part_update."""
    data = {"type": type_, "id": f"prt_{index}", "session_id": SESSION, "turn_id": TURN, "index": index, **fields}
    return {"topic": "sessions", "type": "part_update", "data": data}


def text(index: int, said: str, status: str = "done") -> dict[str, Any]:
    return part(index, "text", text=said, status=status)


def tool(index: int, name: str = "list_runs", status: str = "done", **fields: Any) -> dict[str, Any]:
    return part(index, "tool", call_id=f"call_{index}", name=name, status=status, **fields)


def piece(index: int, at: int, delta: str, kind: str = "text") -> dict[str, Any]:
    """A part_delta. at: characters before it."""
    data = {"session_id": SESSION, "turn_id": TURN, "part_id": f"prt_{index}", "index": index, "step": 1}
    return {"topic": "sessions", "type": "part_delta", "data": {**data, "kind": kind, "at": at, "delta": delta}}


def approval(index: int = 1, **shows: Any) -> dict[str, Any]:
    """A call that waits for a person."""
    asked = {
        "id": f"apr_{index}", "hash": "h1", "asked_at": 1.0,
        "shows": {
            "title": "Run a shell command", "command": "rm -r build", "cwd": "/p", "pattern": "run_shell:rm*", **shows,
        },
    }  # fmt: skip
    return tool(index, "run_shell", "waiting", title="Run a shell command", input={}, approval=asked)


class FakeChat:
    """Answers sessions/… of a FakeEngine. `plays`: the scripts of the turns, first message first.

    sent: bodies of messages.  answers: (approval id, body) of approvals.  stops: how often the turn was stopped.
    person: whether approvals may be answered.
    """

    def __init__(self, engine: FakeEngine, *plays: list[Step]) -> None:
        self.engine = engine
        self.plays = list(plays)
        self.sent: list[dict[str, Any]] = []
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.answered = threading.Event()
        self.stopped = threading.Event()
        self.stops = 0
        self.session: dict[str, Any] = {"id": SESSION, "created_at": 1.0, "updated_at": 2.0, "title": "A chat"}
        self.parts: dict[int, dict[str, Any]] = {}
        self.turn: dict[str, Any] | None = None
        self.seq = 7
        self.late: WrongMoment | NotAllowed | None = None  # what an answer to an approval is refused with
        on = engine.on
        on["POST", "sessions"] = lambda q, b: (201, self._created(b))
        on["GET", "sessions"] = lambda q, b: {"sessions": [self.session]}
        on["GET", f"sessions/{SESSION}"] = lambda q, b: self._reply()
        on["PATCH", f"sessions/{SESSION}"] = lambda q, b: self._patched(b)
        on["POST", f"sessions/{SESSION}/messages"] = lambda q, b: (202, self._message(b))
        on["POST", f"sessions/{SESSION}/stop"] = lambda q, b: self._stop()
        on["GET", f"sessions/{SESSION}/stream"] = lambda q, b: self._stream()
        on["GET", "sessions/options"] = lambda q, b: {
            "verbs": [], "starters": [], "modes": ["ask"], "builtin": True,
            "model": {"id": "assistant", "provider": "builtin"},
        }  # fmt: skip
        for n in range(6):
            on["POST", f"sessions/{SESSION}/approvals/apr_{n}"] = lambda q, b, n=n: self._answer(f"apr_{n}", b)

    def _created(self, body: dict[str, Any]) -> dict[str, Any]:
        self.session |= {name: body[name] for name in ("mode", "model", "notebook") if body.get(name)}
        return self.session

    def _patched(self, body: dict[str, Any]) -> dict[str, Any]:
        self.session |= {name: value for name, value in body.items() if value is not None}
        return self.session

    def _reply(self) -> dict[str, Any]:
        turns = [self.turn] if self.turn else []
        return {"session": self.session, "turns": turns, "parts": list(self.parts.values()), "seq": self.seq}

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append(body)
        n = len(self.sent)
        self.parts = {}
        message = {"id": f"msg_{n}", "text": body["text"], "at": 1.0}
        self.turn = {
            "id": TURN, "session_id": SESSION, "n": n, "message": message, "status": "streaming", "created_at": 1.0,
        }  # fmt: skip
        self.session = self.session | {"turn": TURN, "status": "streaming", "turns": n}
        return {"session": self.session, "turn": self.turn}

    def _stop(self) -> dict[str, Any]:
        self.stops += 1
        self.stopped.set()
        return self.session

    def _answer(self, id_: str, body: dict[str, Any]) -> Any:
        self.answers.append((id_, body))
        self.answered.set()
        if self.late is not None:
            return self.late
        return {**next(iter(self.parts.values())), "type": "tool", "call_id": "c", "name": "run_shell"}

    def _end(self, status: str) -> Iterator[dict[str, Any]]:
        assert self.turn is not None
        self.turn = self.turn | {"status": status}
        yield self._event({"topic": "sessions", "type": "turn_changed", "data": self.turn})
        self.session = {k: v for k, v in self.session.items() if k not in ("turn", "status")}
        yield self._event({"topic": "sessions", "type": "session_status", "data": self.session})

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["type"] != "part_delta":
            self.seq += 1
        if event["type"] == "part_update":
            self.parts[event["data"]["index"]] = event["data"]
        return {"seq": self.seq, "time": 1.0, **event}

    def _stream(self) -> Iterator[Any]:
        yield {"seq": self.seq, "time": 1.0, "topic": "engine", "type": "snapshot", "data": self._reply()}
        script = self.plays[0] if self.plays else []
        while script:
            step = script.pop(0)
            if isinstance(step, type):
                yield step  # ConnectionResetError: the engine dies here
            elif callable(step):
                step()
            elif step["type"] == "turn":
                self.turn = (self.turn or {}) | step["data"]
                yield self._event({"topic": "sessions", "type": "turn_changed", "data": self.turn})
            else:
                yield self._event(step)
            if self.stopped.is_set():
                break
        if self.plays:
            self.plays.pop(0)
        if self.turn and self.turn["status"] in ("streaming", "waiting"):
            yield from self._end("stopped" if self.stopped.is_set() else "done")


def ends(status: str, **fields: Any) -> dict[str, Any]:
    return {"type": "turn", "data": {"status": status, **fields}}
