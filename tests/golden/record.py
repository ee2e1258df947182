"""Records conversations between a reader, a real engine and a provider on a real socket.

python -m tests.golden.record
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.client import Client
from ragent_jupyter.domain.wire_chat import SessionReply
from ragent_jupyter.rules.chat_fold import Chat, begin, fold
from tests.support.engine import Project, project
from tests.support.fake_frames import Call
from tests.support.fake_provider import FakeProvider, Reply
from tests.support.wait import wait_until

HERE = Path(__file__).parent
KEY = "sk-ant-test-0123456789abcdefghij"


def folded(lines: list[str]) -> Chat:
    """What a reader of these lines holds."""
    chat: Chat | None = None
    for line in lines:
        event = json.loads(line)
        if event["type"] == "snapshot":
            chat = begin(msgspec.convert(event["data"], SessionReply))
        elif chat is not None and event["topic"] == "sessions":
            chat = fold(chat, event)
    assert chat is not None
    return chat


def shown(chat: Chat) -> dict[str, Any]:
    """A chat as JSON for comparison: absent fields mean their default."""
    turns = sorted(chat.turns.values(), key=lambda turn: turn.n)
    parts = [part for turn in turns for _, part in sorted(chat.parts.get(turn.id, {}).items())]
    made = {"session": chat.session, "turns": turns, "parts": parts, "gap": chat.gap}
    return dict(msgspec.json.decode(msgspec.json.encode(made)))


def hear(p: Project, session: str, turns: int) -> list[str]:
    """All lines of a chat's streams until so many turns are over: a reader that comes back for each turn."""
    lines: list[str] = []
    client = Client(p.folder)
    while True:
        lines += [line.decode() for line in client._stream(f"sessions/{session}/stream", {"turns": 100})]
        held = client.get(f"sessions/{session}", type=SessionReply)
        if len(held.turns) >= turns and not held.session.turn:
            return [line for line in lines if json.loads(line)["type"] not in ("ping", "tool_progress")]


def converse(p: Project, provider: FakeProvider) -> list[str]:
    """A chat with thinking, a tool, a table, an approval, a cut stream, a failure and a retry."""
    client = Client(p.folder, door="terminal")
    session = str(client.post("sessions", {})["id"])
    provider.reply(thinking="Which runs are there? 🤔", text="I look.", calls=[Call(name="list_runs", input={})])
    provider.fault("cut", text="This answer breaks off 😀 in the middle")
    provider.say("| run | loss |\n|---|---|\n| a | $0.1$ |\n\n```python\nx = 1  # 😀\n```\n", delay=0.002, chunk=3)
    provider.reply(calls=[Call(name="launch_run", input={"command": "true", "name": "nothing"})])
    provider.say("Launched.")
    provider.http(401)
    provider.say("Here again.")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(hear(p, session, 4)))

    def say(text: str, **wish: Any) -> None:
        client.post(f"sessions/{session}/messages", {"text": text, **wish})

    say("Compare my runs. Please.")
    reader.start()
    over(client, session, 1)
    say("launch something")
    held = wait_until(lambda: (h := read(client, session)).session.status == "waiting" and h, 20)
    part = next(p for p in reversed(held.parts) if getattr(p, "approval", None))
    client.post(f"sessions/{session}/approvals/{part.approval.id}", {"choice": "once"})  # type: ignore[union-attr]
    over(client, session, 2)
    say("and now")
    failed = over(client, session, 3).turns[-1]
    say("and now, again", retry=failed.id)
    over(client, session, 4)
    reader.join(30)
    return lines


def read(client: Client, session: str) -> SessionReply:
    return client.get(f"sessions/{session}", type=SessionReply)


def over(client: Client, session: str, turns: int) -> SessionReply:
    def look() -> SessionReply | None:
        held = read(client, session)
        return held if len(held.turns) >= turns and not held.session.turn else None

    return wait_until(look, 30, every=0.05, what=f"{turns} turns")


def main() -> None:
    with FakeProvider(key=KEY, default=Reply(text="ok")) as provider:
        os.environ |= {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
        with project("process") as p:
            lines = converse(p, provider)
            place = str(p.folder)
    text = "\n".join(lines).replace(place, "/project").replace(KEY, "KEY")
    text = text.replace(f"127.0.0.1:{provider.port}", "127.0.0.1:1").replace(sys.executable, "/python")
    (HERE / "conversation.jsonl").write_text(text + "\n")
    made = shown(folded(text.splitlines()))
    (HERE / "conversation.folded.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(lines)} lines, {len(made['parts'])} parts")


if __name__ == "__main__":
    main()
