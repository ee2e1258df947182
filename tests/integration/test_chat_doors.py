"""The terminal's and the notebook's doors to a chat, against the real engine with a scripted model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ragent_jupyter.client import Client
from ragent_jupyter.domain.chat import TextPart
from tests.support.engine import Project, project
from tests.support.wait import wait_until
from tests.unit.cli.test_chat_terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = {"name": "launch_run", "input": {"command": "touch made.txt", "executor": "process"}}


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Door:
    """A project with a script, and `ragent` in it."""

    def __init__(self, p: Project) -> None:
        self.p = p
        self.client = Client(p.folder, door="terminal")
        self.scripts = 0

    def script(self, *replies: dict[str, Any], **more: Any) -> str:
        self.scripts += 1  # the engine keeps a script where it stands: each has a file of its own
        path = self.p.folder / f"script{self.scripts}.json"
        path.write_text(json.dumps({"replies": replies, **more}))
        return f"scripted:{path}"

    def ragent(self, *argv: str, stdin: str = "") -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "ragent_jupyter.cli.main", *argv], cwd=self.p.folder, input=stdin, text=True,
            capture_output=True, timeout=60, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def last_text(self) -> str:
        reply = self.client.session(self.client.sessions().sessions[0].id)
        return "\n".join(part.text for part in reply.parts if isinstance(part, TextPart) and part.status == "done")


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with project("process") as made:
        yield Door(made)


@pytest.fixture
def terminal(door: Door) -> Iterator[Any]:
    opened: list[Terminal] = []

    def open_(*argv: str) -> Terminal:
        opened.append(Terminal(door.p.folder, *argv))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def test_one_question_and_its_answer(door: Door) -> None:
    said = door.ragent("chat", "--model", "scripted:echo", "hello there")
    assert said.code == 0, said.err
    assert said.out == "You said: hello there\n"
    said = door.ragent("chat", "--session", "last", "--json", "and again")
    events = said.lines
    assert events[0]["type"] == "snapshot" and events[-1]["type"] == "end"
    assert events[-1]["data"]["text"] == "You said: and again"
    listed = json.loads(door.ragent("chat", "--list", "--json").out)["sessions"]
    assert listed[0]["turns"] == 2 and listed[0]["title"] == "hello there"


def test_without_a_terminal_what_needs_a_person_is_exit_3_and_not_done(door: Door) -> None:
    model = door.script({"text": "I launch.", "calls": [LAUNCH]}, {"text": "Not allowed, then."})
    said = door.ragent("chat", "--model", model, "make it", stdin="")
    assert said.code == 3, said
    assert "needs a person's word" in said.err and not (door.p.folder / "made.txt").exists()


def test_in_a_terminal_a_person_says_yes(door: Door, terminal: Any) -> None:
    model = door.script({"text": "I launch.", "calls": [LAUNCH]}, {"text": "Made it."})
    at = terminal("chat", "--model", model, "make it")
    at.shows("touch made.txt")
    at.shows("[y] once")
    assert not (door.p.folder / "made.txt").exists()
    at.type("y\n")
    at.shows("Made it.")
    assert at.ends() == 0
    wait_until(lambda: (door.p.folder / "made.txt").exists(), what="the run to have run")
    (door.p.folder / "made.txt").unlink()


def test_ctrl_c_stops_the_model_and_keeps_what_it_said(door: Door, terminal: Any) -> None:
    model = door.script({"text": "word " * 400, "chunk": 5, "delay": 0.05})
    at = terminal("chat", "--model", model, "a long story")
    at.shows("word word word")
    at.type("\x03")
    assert at.ends() == 130
    text = door.last_text()
    assert text.startswith("word word") and len(text) < 1900
    session = door.client.sessions().sessions[0]
    assert (session.turn, session.status) == ("", "idle")


def test_slash_commands_do_what_they_say(door: Door) -> None:
    said = door.ragent("chat", "--model", "scripted:echo", "/launch --name mine --executor process true")
    assert said.code == 0 and "Started" in said.out, said
    run = next(r for r in door.client.all_runs() if r.name == "mine")
    door.p.wait(run)
    offered = door.ragent("chat", "--session", "last", "/help").out
    assert "/launch" in offered and "/wild" in offered
    assert "/research" not in offered  # what is not built is not offered
    said = door.ragent("chat", "--session", "last", "/memory add Use seed 0.")
    assert said.code == 0 and [r.text for r in door.client.memory()] == ["Use seed 0."]
    said = door.ragent("chat", "--session", "last", f"/analyze {run.id}")
    assert f"You said: Analyze run {run.id}." in said.out
    said = door.ragent("chat", "--session", "last", "/nope")
    assert said.code == 2 and "There is no command /nope" in said.err
    said = door.ragent("chat", "--session", "last", f"/stop {run.id}")
    assert said.code == 1 and said.err, "it has ended"


def test_a_mention_reaches_the_model(door: Door) -> None:
    run = door.p.wait(door.p.run("echo the-word-of-the-log", name="spoken"))
    session = door.client.create_session(model="scripted:echo")
    reply = door.client.send(session.id, f"what of @run:{run.id} and @file:gone.txt?")
    assert reply.turn is not None
    first, second = reply.turn.message.mentions
    assert (first.id, first.label, first.problem) == (run.id, "spoken", "") and second.problem
    wait_until(lambda: not door.client.session(session.id).session.turn)
    calls = door.client.get(f"sessions/{session.id}/turns/{reply.turn.id}/provenance")["calls"]
    assert "the-word-of-the-log" in json.dumps(calls[0]["messages"])
    assert door.client.get("sessions/suggest", query={"q": "run:spok"})["suggestions"][0]["id"] == run.id


def test_memory_keys_models_and_usage_speak_with_the_engine(door: Door) -> None:
    assert json.loads(door.ragent("memory", "--json").out)["rules"] is not None
    for argv in (["keys"], ["models"], ["usage"]):
        said = door.ragent(*argv, "--json")
        assert said.code == 0, said
        json.loads(said.out)
    said = door.ragent("models", "--test", "scripted:echo")
    assert said.code == 1 and "did not call the tool" in said.out, "the echo can talk and nothing else"


def test_a_failing_model_is_exit_1_with_its_remedy(door: Door) -> None:
    model = door.script({"fail": {"kind": "bad_request", "problem": "The script breaks."}})
    said = door.ragent("chat", "--model", model, "x")
    assert said.code == 1 and "The script breaks." in said.err


@pytest.mark.slow
def test_an_engine_that_dies_in_the_middle_costs_the_reader_nothing(door: Door, terminal: Any) -> None:
    model = door.script(
        default={"text": "begin " + "word " * 100 + "end of it", "chunk": 5, "delay": 0.03},
    )
    at = terminal("chat", "--model", model, "a story")
    at.shows("word word")
    door.p.kill_engine()
    at.shows("end of it")
    assert at.ends() == 0
    assert door.last_text() == "begin " + "word " * 100 + "end of it", "asked again, told once"
