"""`%%ragent` in a real kernel against the real engine: it streams, its value goes on, an interrupt stops the turn."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from ragent_jupyter.client import Client
from tests.support.engine import Project, project
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow


class Cells:
    """A kernel in the project's folder. `run` gives all that a cell sent, in order."""

    def __init__(self, folder: Path) -> None:
        env = os.environ | {"JPY_SESSION_NAME": str(folder / "nb.ipynb")}
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=env)
        assert not self.problem(self.run("%load_ext ragent_jupyter"))

    def run(self, source: str, timeout: float = 60.0, during: Any = None) -> list[dict[str, Any]]:
        """during: called with every message."""
        id_ = self.client.execute(source)
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != id_:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
            found.append(message)
            if during:
                during(message)
        reply = self.client.get_shell_msg(timeout=10)
        while reply["parent_header"].get("msg_id") != id_:
            reply = self.client.get_shell_msg(timeout=10)
        return [*found, {"msg_type": "reply", **reply}]

    @staticmethod
    def problem(messages: list[dict[str, Any]]) -> str:
        return next((m["content"]["ename"] for m in messages if m["msg_type"] == "error"), "")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def p() -> Iterator[Project]:
    with project("process") as made:
        yield made


@pytest.fixture(scope="module")
def cells(p: Project) -> Iterator[Cells]:
    made = Cells(p.folder)
    yield made
    made.close()


def talk(p: Project, name: str, *replies: dict[str, Any]) -> None:
    """What the chat's model says from now on."""
    path = p.folder / name
    path.write_text(json.dumps({"replies": replies}))
    p.client.put_models({"chat": f"scripted:{path}"})


def drawn(messages: list[dict[str, Any]]) -> list[str]:
    kinds = ("display_data", "update_display_data")
    return [m["content"]["data"].get("text/markdown", "") for m in messages if m["msg_type"] in kinds]


def text(messages: list[dict[str, Any]]) -> str:
    return "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")


def test_a_cell_asks_and_goes_on_with_the_value(p: Project, cells: Cells) -> None:
    p.client.put_models({"chat": "scripted:echo"})
    cells.run("lr = 0.5")
    said = cells.run("%%ragent -o first\nIs {lr} too high?")
    assert not cells.problem(said)
    assert drawn(said)[-1] == "You said: Is 0.5 too high?"
    assert not any(m["msg_type"] == "execute_result" for m in said), "shown once"
    assert text(cells.run("print(first.status, first.text == _.text)")) == "done True\n"
    session = p.client.sessions().sessions[0]
    assert (session.notebook, session.turns) == ("nb.ipynb", 1)
    cells.run("%%ragent\nAgain.")
    assert p.client.session(session.id).session.turns == 2, "the notebook's own chat"


def test_it_streams_at_most_ten_pictures_a_second(p: Project, cells: Cells) -> None:
    talk(p, "stream.json", {"text": "word " * 120, "chunk": 5, "delay": 0.02})
    said = cells.run("%%ragent\nA story.")
    pictures = [m for m in said if m["msg_type"] in ("display_data", "update_display_data")]
    # The kernel's own stamps: how late a picture arrives says nothing about how often they are sent.
    span = (pictures[-1]["header"]["date"] - pictures[0]["header"]["date"]).total_seconds()
    assert 4 <= len(pictures) <= 10 * span + 3
    texts = drawn(said)
    assert texts[-1] == ("word " * 120).strip() and any(0 < one.count("word") < 100 for one in texts)
    handles = {m["content"]["transient"]["display_id"] for m in pictures}
    assert len(handles) == 1


def test_an_interrupt_stops_the_turn(p: Project, cells: Cells) -> None:
    talk(p, "long.json", {"text": "word " * 2000, "chunk": 5, "delay": 0.05})
    pressed: list[str] = []

    def press(message: dict[str, Any]) -> None:
        if not pressed and "word word" in message["content"].get("data", {}).get("text/markdown", ""):
            pressed.append(message["msg_type"])
            cells.manager.interrupt_kernel()

    said = cells.run("%%ragent\nA long story.", during=press)
    assert cells.problem(said) == "KeyboardInterrupt"
    error = next(m for m in said if m["msg_type"] == "error")
    assert error["content"]["traceback"] == ["ragent: stopped."]
    assert drawn(said)[-1].endswith("*Stopped.*") and "word word" in drawn(said)[-1]
    session = p.client.sessions().sessions[0]
    assert (session.turn, session.status) == ("", "idle")


def test_code_lands_in_the_next_cell_and_a_failure_is_fixed(p: Project, cells: Cells) -> None:
    talk(
        p, "code.json",
        {"text": "```python\nx = 2\n```"},
        {"text": "`y` was never set.\n\n```python\ny = 1\n```"},
    )  # fmt: skip
    said = cells.run("%%ragent -f code\nSet x.")
    assert said[-1]["content"]["payload"] == [{"source": "set_next_input", "text": "x = 2", "replace": False}]
    assert cells.problem(cells.run("not_set_anywhere + 1")) == "NameError"
    said = cells.run("fixed = %ragent fix")
    assert not cells.problem(said) and text(cells.run("print(fixed.code)")) == "y = 1\n"
    session = p.client.sessions().sessions[0]
    asked = max(p.client.session(session.id).turns, key=lambda turn: turn.n).message.text
    assert "not_set_anywhere + 1" in asked and "NameError" in asked


def test_an_approval_is_told_and_answered_elsewhere(p: Project, cells: Cells) -> None:
    call = {"name": "launch_run", "input": {"command": "true", "executor": "process"}}
    talk(p, "ask.json", {"calls": [call]}, {"text": "It runs."})
    terminal = Client(p.folder, door="terminal")
    told: list[str] = []

    def answer(message: dict[str, Any]) -> None:
        said = message["content"].get("data", {}).get("text/markdown", "")
        if told or "Waits for you" not in said:
            return
        told.append(said)
        session = terminal.sessions().sessions[0]
        held = terminal.session(session.id)
        call = next(part for part in held.parts if getattr(part, "approval", None) and part.status == "waiting")
        terminal.approve(session.id, call.approval.id, "once", hash=call.approval.hash)

    said = cells.run("%%ragent\nRun it.", during=answer)
    assert told and "ragent chat --session ses_" in told[0] and "true" in told[0]
    assert drawn(said)[-1].endswith("It runs.")
    wait_until(lambda: p.client.all_runs())


def test_memory_from_a_cell(p: Project, cells: Cells) -> None:
    said = cells.run("%ragent memory add Use {seed} 0.")
    assert not cells.problem(said)
    assert [rule.text for rule in p.client.memory()] == ["Use {seed} 0."]
    assert cells.problem(cells.run("%ragent memory approve x")) == "BadInput"
