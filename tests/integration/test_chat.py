"""Chats through a real engine, with a provider on a real socket that has every fault."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psutil
import pytest

from ragent_jupyter.client import Client
from ragent_jupyter.client.transport import _UnixConnection
from ragent_jupyter.domain.chat import NoticePart, TextPart, ToolPart
from ragent_jupyter.domain.errors import NotAllowed, WrongMoment
from ragent_jupyter.domain.wire_chat import SessionReply
from ragent_jupyter.rules.chat_fold import Chat, begin, fold
from ragent_jupyter.runfiles.project import socket_path
from tests.support.engine import Project, gone, project
from tests.support.fake_frames import Call
from tests.support.fake_provider import FakeProvider, Reply
from tests.support.wait import wait_until

KEY = "sk-ant-test-0123456789abcdefghij"
NUMBERS = itertools.count(1)


class Talk:
    """One project with a provider behind it, and the words of a person."""

    def __init__(self, p: Project, provider: FakeProvider) -> None:
        self.p = p
        self.provider = provider
        self.client = Client(p.folder, door="terminal")

    def begin(self, **wish: Any) -> str:
        return str(self.client.post("sessions", wish)["id"])

    def say(self, session: str, text: str, **wish: Any) -> dict[str, Any]:
        wish.setdefault("request_id", f"r{next(NUMBERS)}")
        return dict(self.client.post(f"sessions/{session}/messages", {"text": text, **wish}))

    def read(self, session: str) -> SessionReply:
        return self.client.get(f"sessions/{session}", type=SessionReply, query={"turns": 500})

    def until(self, session: str, condition: Any, timeout: float = 15.0, what: str = "") -> SessionReply:
        def look() -> SessionReply | None:
            held = self.read(session)
            return held if condition(held) else None

        return wait_until(look, timeout, every=0.05, what=what or "the chat to get there")

    def over(self, session: str, turns: int = 1, timeout: float = 20.0) -> SessionReply:
        return self.until(
            session, lambda h: len(h.turns) >= turns and not h.session.turn, timeout, f"{turns} turns to be over"
        )

    def waiting(self, session: str) -> ToolPart:
        held = self.until(session, lambda h: h.session.status == "waiting", what="an approval")
        return next(p for p in held.parts if isinstance(p, ToolPart) and p.status == "waiting")

    def answer(self, session: str, part: ToolPart, choice: str, **more: Any) -> None:
        assert part.approval is not None
        body = {"choice": choice, "hash": part.approval.hash, **more}
        self.client.post(f"sessions/{session}/approvals/{part.approval.id}", body)


@contextmanager
def talking() -> Iterator[Talk]:
    """A provider on a socket, and a project whose engine knows no other."""
    others = ("OPENAI_API_KEY", "DEEPINFRA_TOKEN", "MODEL_PROVIDER", "MODEL_ID", "RESEARCH_AGENT_KEY")
    with FakeProvider(key=KEY) as provider, pytest.MonkeyPatch.context() as patch:
        for name in others:
            patch.delenv(name, raising=False)
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        patch.setenv("ANTHROPIC_BASE_URL", provider.url)
        with project("process") as p:
            p.client.put("prefs", {"judge": False})  # it would ask the provider too, half a minute after a run
            yield Talk(p, provider)


@pytest.fixture
def talk() -> Iterator[Talk]:
    with talking() as made:
        yield made


@pytest.fixture(scope="module")
def one_for_many() -> Iterator[Talk]:
    with talking() as made:
        yield made


@pytest.fixture
def shared(one_for_many: Talk) -> Talk:
    """For the tests that leave nothing behind but a chat."""
    one_for_many.provider.queue.clear()
    return one_for_many


def text_of(held: SessionReply, turn: int = -1) -> str:
    """What the assistant's word is, in the newest turn."""
    id = held.turns[turn].id
    return "".join(p.text for p in held.parts if isinstance(p, TextPart) and p.turn_id == id and p.status == "done")


def tools_of(held: SessionReply) -> list[ToolPart]:
    return [part for part in held.parts if isinstance(part, ToolPart)]


TRAIN = """
import json, os
with open(os.environ["RAGENT_METRICS_FILE"], "a") as out:
    for step in range(1, 21):
        out.write(json.dumps({"step": step, "loss": 2.0 / step}) + "\\n")
print("done")
"""


def test_a_question_about_a_run_is_answered_from_its_data(talk: Talk) -> None:
    run = talk.p.wait(talk.p.run(talk.p.script("train.py", TRAIN), name="first", primary="loss"))
    talk.provider.reply(thinking="I look at it.", calls=[Call(name="show_run", input={"run": run.id})])
    talk.provider.answer(
        lambda seen: Reply(text=f"Best of @run:{run.id}: " + ("0.1" if "0.1" in seen.last_result else "?"))
    )
    session = talk.begin()
    talk.say(session, "How did my latest run go?")
    held = talk.over(session)
    assert text_of(held) == f"Best of @run:{run.id}: 0.1"
    (tool,) = tools_of(held)
    assert tool.status == "done" and tool.ended_at and tool.data["card"] == "run" and tool.data["run"] == run.id
    assert held.session.title == "How did my latest run go?"
    first, second = talk.provider.calls
    assert run.id in json.dumps(first.body["messages"])  # the state of the project, fresh
    assert second.last_result == tool.output
    (turn,) = held.turns
    assert turn.usage.calls == 2 and turn.usage.prompt > 0


def test_the_events_of_a_chat_fold_to_what_the_engine_holds_also_from_the_middle(shared: Talk) -> None:
    talk = shared
    words = " ".join(f"word{n}" for n in range(200))
    talk.provider.say(words, delay=0.005, chunk=7)
    session = talk.begin()
    folded: list[Chat] = []

    def follow() -> None:
        """A reader that comes in the middle and goes twice."""
        for _ in range(3):
            chat: Chat | None = None
            heard = 0
            for line in Client(talk.p.folder)._stream(f"sessions/{session}/stream", {}):
                event = msgspec.json.decode(line)
                if event["type"] == "snapshot":
                    chat = begin(msgspec.convert(event["data"], SessionReply))
                elif chat is not None and event["topic"] == "sessions":
                    chat = fold(chat, event)
                    heard += event["type"] == "part_delta"
                    if heard >= 40 and len(folded) < 2:
                        break
            assert chat is not None
            folded.append(chat)

    talk.say(session, "talk")
    talk.until(session, lambda h: any("word5" in getattr(p, "text", "") for p in h.parts))
    reader = threading.Thread(target=follow)
    reader.start()
    held = talk.over(session)
    reader.join(20)
    assert text_of(held) == words
    assert len(folded) == 3
    for chat in folded:
        assert not chat.gap
        (text,) = [p for of in chat.parts.values() for p in of.values() if isinstance(p, TextPart)]
        assert words.startswith(text.text) and len(text.text) > 20
    assert [p for of in folded[-1].parts.values() for _, p in sorted(of.items())] == held.parts
    assert list(folded[-1].turns.values()) == held.turns and folded[-1].session == held.session


def edit_of(p: Project) -> Call:
    (p.folder / "train.py").write_text("lr = 3.0\n")
    return Call(name="edit_file", input={"path": "train.py", "old_text": "lr = 3.0", "new_text": "lr = 0.3"})


def test_an_edit_is_made_when_a_person_allows_this_very_edit(talk: Talk) -> None:
    talk.provider.reply(calls=[edit_of(talk.p)]).say("Done.")
    session = talk.begin()
    talk.say(session, "lower the lr")
    part = talk.waiting(session)
    assert (
        part.approval is not None
        and "-lr = 3.0" in part.approval.shows.diff
        and "+lr = 0.3" in part.approval.shows.diff
    )
    with pytest.raises(NotAllowed):
        Client(talk.p.folder, door="kernel").post(
            f"sessions/{session}/approvals/{part.approval.id}", {"choice": "once", "hash": part.approval.hash}
        )
    assert (talk.p.folder / "train.py").read_text() == "lr = 3.0\n"
    talk.answer(session, part, "once")
    with pytest.raises(WrongMoment):
        talk.answer(session, part, "no")
    held = talk.over(session)
    assert (talk.p.folder / "train.py").read_text() == "lr = 0.3\n" and text_of(held) == "Done."
    undone = talk.client.post(f"sessions/{session}/turns/{held.turns[0].id}/undo")
    assert undone["paths"] == ["train.py"] and (talk.p.folder / "train.py").read_text() == "lr = 3.0\n"


def test_three_queued_messages_are_sent_in_order_and_a_second_tab_is_queued(shared: Talk) -> None:
    """A23"""
    talk = shared
    talk.provider.say(" ".join(["slow"] * 60), delay=0.1, chunk=5)
    for _ in range(3):
        talk.provider.answer(lambda seen: Reply(text=f"heard {seen.last_text[-5:]}"))
    session = talk.begin()
    talk.say(session, "first")
    talk.until(session, lambda h: any("slow" in getattr(p, "text", "") for p in h.parts))
    for word in ("two", "three"):
        assert talk.say(session, f"say {word}")["queued"]
    other_tab = Client(talk.p.folder, door="browser")
    assert other_tab.post(f"sessions/{session}/messages", {"text": "say four"})["queued"]
    held = talk.over(session, 4, timeout=40)
    assert [t.message.text for t in held.turns] == ["first", "say two", "say three", "say four"]
    assert [t.status for t in held.turns] == ["done"] * 4


def test_stop_ends_the_providers_stream_at_once_and_keeps_the_text(talk: Talk) -> None:
    """A23: within a second, where nothing else is done; the whole answer would take more than a minute."""
    talk.provider.say(" ".join(f"w{n}" for n in range(3000)), delay=0.02, chunk=5)
    session = talk.begin()
    talk.say(session, "talk for long")
    talk.until(session, lambda h: any("w10" in getattr(p, "text", "") for p in h.parts))
    began = time.monotonic()
    talk.client.post(f"sessions/{session}/stop")
    assert time.monotonic() - began < 5.0
    assert talk.provider.wait_closed(talk.provider.calls[0], timeout=5.0)
    held = talk.read(session)
    assert held.turns[0].status == "stopped" and text_of(held).startswith("w0 w1 w2") and "w2000" not in text_of(held)


def test_stop_ends_a_shell_command_and_its_children_at_once(talk: Talk) -> None:
    talk.provider.call("run_shell", {"command": "sleep 300 & sleep 301; wait"}).call(
        "run_shell", {"command": "sleep 302"}
    )
    session = talk.begin()
    talk.say(session, "wait for me")
    part = talk.until(session, lambda h: tools_of(h) and tools_of(h)[-1].status in ("waiting", "error", "done"))
    if tools_of(part)[-1].status == "error":  # a job in the background is refused; the plain one is not
        part = talk.until(session, lambda h: h.session.status == "waiting")
    talk.answer(session, tools_of(part)[-1], "once")
    commands = (["sleep", "302"], ["sleep", "301"])
    sleeping = wait_until(
        lambda: [x for x in psutil.process_iter(["cmdline"]) if x.info["cmdline"] in commands], 10, what="the command"
    )
    began = time.monotonic()
    talk.client.post(f"sessions/{session}/stop")
    assert time.monotonic() - began < 8.0
    wait_until(lambda: all(gone(x.pid) for x in sleeping), 5, what="the command to be ended")
    assert talk.read(session).turns[0].status == "stopped"


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "429 with retry-after": ({"fault": "http", "status": 429, "retry_after": "1"}, "waits"),
    "529": ({"fault": "http", "status": 529}, "waits"),
    "an SSE error": ({"fault": "sse_error", "text": "half of it"}, "waits"),
    "cut in a message": ({"fault": "cut", "text": "half of it and more"}, "waits"),
    "cut in a call": (
        {"fault": "cut", "in_call": True, "calls": [Call(name="list_runs", input={"status": "failed"})]},
        "waits",
    ),
    "an unknown event": ({"unknown": 3, "pings": 2, "text": "fine"}, "done"),
    "no usage": ({"usage": None, "text": "fine"}, "done"),
    "a slow drip": ({"text": "fine all the same", "delay": 0.05, "chunk": 1}, "done"),
    "401": ({"fault": "http", "status": 401}, "auth"),
    "a spend limit": ({"fault": "http", "status": 402}, "spend_limit"),
    "a refusal": ({"stop": "refusal", "text": "I cannot"}, "refusal"),
    "a cut connection": ({"fault": "rst", "text": "half of it and more"}, "waits"),
    "404": ({"fault": "http", "status": 404}, "not_found"),
}


@pytest.mark.parametrize("name", list(FAULTS))
def test_faults_of_the_provider(shared: Talk, name: str) -> None:
    talk, before = shared, len(shared.provider.calls)
    fields, outcome = FAULTS[name]
    talk.provider.reply(Reply(**fields)).say("whole")
    session = talk.begin()
    talk.say(session, "go")
    held = talk.over(session, timeout=30)
    turn = held.turns[0]
    if outcome == "waits":
        assert turn.status == "done" and text_of(held) == "whole" and len(talk.provider.calls) - before == 2
        assert not [t for t in tools_of(held) if t.status not in ("cut",)]
    elif outcome == "done":
        assert turn.status == "done" and text_of(held).startswith("fine")
    else:
        assert turn.status == "failed" and turn.error is not None and turn.error.type == outcome
        assert turn.error.problem and turn.error.remedy
        talk.say(session, "again", retry=turn.id)
        held = talk.over(session, 2)
        assert held.turns[-1].status == "done" and len(talk.provider.calls[-1].messages) == 1


def test_a_call_cut_by_its_length_never_runs_and_bad_json_is_told(shared: Talk) -> None:
    talk = shared
    talk.provider.reply(Reply(stop="max_tokens", calls=[Call(name="list_runs", input={})]))
    talk.provider.call("list_runs", raw='{"status": ')
    talk.provider.say("I see.")
    session = talk.begin()
    talk.say(session, "go")
    held = talk.over(session)
    assert [t.status for t in tools_of(held)] == ["cut", "error"] and "JSON" in tools_of(held)[1].output
    assert text_of(held) == "I see."


def test_a_rule_is_in_the_next_prompt_and_gone_when_it_is_off(talk: Talk) -> None:
    """A16"""
    rule = talk.client.post("memory", {"title": "Seeds", "text": "Always use five seeds."})
    session = talk.begin()
    talk.say(session, "one")
    held = talk.over(session)
    assert "Always use five seeds." in talk.provider.calls[0].system and held.turns[0].rules == [rule["id"]]
    (call,) = talk.client.get(f"sessions/{session}/turns/{held.turns[0].id}/provenance")["calls"]
    assert call["rules"] == [rule["id"]] and "five seeds" in call["system"] and call["messages"]
    talk.client.patch(f"memory/{rule['id']}", {"on": False})
    talk.say(session, "two")
    talk.over(session, 2)
    assert "five seeds" not in talk.provider.calls[1].system
    talk.provider.call("propose_rule", {"title": "Warm up", "text": "Warm up for 300 steps."}).say("Proposed.")
    talk.say(session, "remember that")
    talk.over(session, 3)
    proposed = next(r for r in talk.client.get("memory")["rules"] if r["title"] == "Warm up")
    assert proposed["status"] == "proposed" and proposed["source"] == "agent"
    talk.say(session, "three")
    talk.over(session, 4)
    assert "Warm up for" not in talk.provider.calls[-1].system


@pytest.mark.parametrize("moment", ["mid-text", "mid-approval", "mid-command"])
def test_the_engine_is_killed_and_the_turn_goes_on_by_itself(talk: Talk, moment: str) -> None:
    if moment == "mid-text":
        talk.provider.say(" ".join(f"w{n}" for n in range(300)), delay=0.05, chunk=5)
    elif moment == "mid-approval":
        talk.provider.reply(calls=[edit_of(talk.p)])
    else:
        talk.provider.call("run_shell", {"command": "echo once >> ran.txt; sleep 303"})
    talk.provider.say("It goes on.")
    session = talk.begin()
    talk.say(session, "go")
    if moment == "mid-text":
        talk.until(session, lambda h: any("w30" in getattr(p, "text", "") for p in h.parts))
    else:
        part = talk.waiting(session)
        if moment == "mid-command":
            talk.answer(session, part, "once")
            wait_until(lambda: (talk.p.folder / "ran.txt").exists(), 10)
    talk.p.kill_engine()
    if moment == "mid-approval":
        part = talk.waiting(session)
        talk.answer(session, part, "once")
    held = talk.over(session, timeout=30)
    assert held.turns[0].status == "done" and text_of(held) == "It goes on."
    assert any(isinstance(p, NoticePart) and "restarted" in p.text for p in held.parts)
    if moment == "mid-text":
        assert [p.status for p in held.parts if isinstance(p, TextPart)] == ["cut", "done"]
    if moment == "mid-approval":
        assert (talk.p.folder / "train.py").read_text() == "lr = 0.3\n"
    if moment == "mid-command":
        assert (talk.p.folder / "ran.txt").read_text() == "once\n"
        assert tools_of(held)[0].status == "outcome_unknown"
        # What nobody could read or stop any more was ended.
        assert not [x for x in psutil.process_iter(["cmdline"]) if x.info["cmdline"] == ["sleep", "303"]]


def test_no_key_reaches_a_prompt_a_log_the_database_or_a_reply(talk: Talk) -> None:
    secret = "hf_" + "Zq9" * 12
    (talk.p.folder / "notes.txt").write_text(f"token = {secret}\nplain line\n")
    run = talk.p.run(talk.p.script("show.py", "print('using', open('notes.txt').read())"))
    talk.p.wait(run)
    talk.provider.call("read_file", {"path": "notes.txt"}).call("read_log", {"run": run.id}).say(f"Your key is {KEY}?")
    session = talk.begin()
    talk.say(session, f"my key is {KEY}, and {secret}")
    held = talk.over(session)
    assert "plain line" in tools_of(held)[0].output
    for call in talk.provider.calls:
        assert secret.encode() not in call.raw and KEY.encode() not in call.raw
    pid = talk.p.engine_pid
    talk.client.post("drain")
    engine = psutil.Process(pid)
    wait_until(lambda: engine.status() == psutil.STATUS_ZOMBIE, 10, what="the engine to end")  # a child of ours
    for path in (talk.p.folder / ".ragent").rglob("*"):
        if path.is_file() and path.name not in ("job.log", "spec.json", "claim.json"):
            data = path.read_bytes()
            assert secret.encode() not in data and KEY.encode() not in data, path
    assert KEY not in json.dumps(talk.client.get("keys"))


def test_an_image_reaches_the_model_and_a_page_is_never_served_as_one(shared: Talk) -> None:
    talk = shared
    png = b"\x89PNG\r\n\x1a\n" + bytes(64)
    session = talk.begin()
    sent = upload(talk, f"sessions/{session}/attachments?name=a.png", png)
    page = upload(talk, f"sessions/{session}/attachments?name=b.png", b"<script>alert(1)</script>")
    talk.say(session, "what is this", attachments=[sent["id"], page["id"]])
    talk.over(session)
    assert '"image/png"' in talk.provider.calls[-1].raw.decode()
    assert "alert(1)" in talk.provider.calls[-1].raw.decode()  # a text, whatever its name says
    status, headers, body = raw(talk, "GET", f"attachments/{page['id']}")
    assert status == 200 and headers["Content-Type"] == "application/octet-stream" and b"alert" in body
    assert "sandbox" in headers["Content-Security-Policy"]
    assert raw(talk, "GET", f"attachments/{sent['id']}")[1]["Content-Type"] == "image/png"
    for bad in ("../engine.lock", "0" * 64, "..%2f..%2fetc%2fpasswd"):
        assert raw(talk, "GET", f"attachments/{bad}")[0] in (404, 400)


def raw(talk: Talk, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, bytes]:
    connection = _UnixConnection(str(socket_path(talk.p.folder)), 10)
    connection.request(method, f"/ragent/api/v1/{path}", body=body)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, response.headers, data


def upload(talk: Talk, path: str, body: bytes) -> dict[str, Any]:
    status, _, data = raw(talk, "POST", path, body)
    assert status == 201, data
    return dict(json.loads(data)["attachment"])
