"""`ragent chat` in a real terminal: a person reads, is asked, and presses Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragent_jupyter.domain.errors import WrongMoment
from tests.support.fake_chat import FakeChat, approval, piece, text, tool
from tests.support.fake_engine import FakeEngine
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\r")


class Terminal:
    """`ragent …` on a pty of 100 x 40. `screen` is all that it ever wrote."""

    def __init__(self, project: Path, *argv: str) -> None:
        self.primary, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        root = Path(__file__).resolve().parents[3]
        env = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": str(root), "COLUMNS": "100"}
        env.pop("NO_COLOR", None)
        self.child = subprocess.Popen(
            [sys.executable, "-m", "ragent_jupyter.cli.main", *argv], cwd=project, env=env,
            stdin=secondary, stdout=secondary, stderr=secondary, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(secondary)
        self._raw = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self.primary, 65536):
                self._raw += piece
        except OSError:
            return  # how Linux says that the other end is closed

    @property
    def screen(self) -> str:
        return _CONTROL.sub("", self._raw.decode("utf-8", "replace"))

    def shows(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.screen.count(words) >= times, 20, what=f"{words!r} in {self.screen!r}")

    def type(self, keys: str) -> None:
        os.write(self.primary, keys.encode())

    def ends(self) -> int:
        """Its exit code; `screen` is whole then."""
        code = self.child.wait(20)
        self._reader.join(20)
        return code

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self.primary)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(engine: FakeEngine) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_(*argv: str) -> Terminal:
        opened.append(Terminal(engine.project, *argv))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def _wait(event: threading.Event) -> None:
    assert event.wait(20)


def test_a_conversation(engine: FakeEngine, terminal: Open) -> None:
    more = threading.Event()
    answer = "# Result\n\nIt was **lr**.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    chat = FakeChat(engine, [piece(0, 0, answer[:20]), lambda: _wait(more), text(0, answer)], [text(0, "Second.")])
    at = terminal("chat")
    at.shows("built-in assistant")
    at.type("why\\\nreally?\n")
    at.shows("It")
    more.set()
    at.shows("It was lr.")
    at.shows("› ", 2)
    at.type("again\n")
    at.shows("Second.")
    at.type("\x04")
    assert at.ends() == 0
    assert [body["text"] for body in chat.sent] == ["why\nreally?", "again"]
    assert at.screen.count("It was lr.") == 1, "what is finished is printed once"
    assert "**lr**" not in at.screen
    assert "terminal" in engine.doors


def test_what_broke_off_after_it_was_printed_is_said_to_have(engine: FakeEngine, terminal: Open) -> None:
    half = "A block.\n\nAnd ha"
    FakeChat(engine, [piece(0, 0, half), text(0, half, "cut"), text(1, "Another block.\n\nAnd its end.")])
    at = terminal("chat", "a story")
    at.shows("And its end.")
    assert at.ends() == 0
    assert at.screen.index("A block.") < at.screen.index("asked anew") < at.screen.index("Another block.")


def test_a_person_is_asked_and_one_key_answers(engine: FakeEngine, terminal: Open) -> None:
    chat = FakeChat(engine)
    chat.plays = [[approval(0), lambda: _wait(chat.answered), tool(0, "run_shell"), text(1, "Cleaned.")]]
    at = terminal("chat", "clean up")
    at.shows("$ rm -r build")
    at.shows("[a] always run_shell:rm*")
    at.type("x\ns\n")
    at.shows("Cleaned.")
    assert at.ends() == 0
    ((id_, body),) = chat.answers
    assert (id_, body["choice"], body["hash"]) == ("apr_0", "session", "h1")


def test_somebody_else_was_first(engine: FakeEngine, terminal: Open) -> None:
    chat = FakeChat(engine)
    chat.late = WrongMoment("This was already refused by ann.", "")
    chat.plays = [[approval(0), lambda: _wait(chat.answered), tool(0, "run_shell", "refused"), text(1, "Then not.")]]
    at = terminal("chat", "clean up")
    at.shows("[y] once")
    at.type("y\n")
    at.shows("already refused by ann")
    at.shows("Then not.")
    assert at.ends() == 0


def test_a_call_that_changed_meanwhile_is_asked_anew(engine: FakeEngine, terminal: Open) -> None:
    chat = FakeChat(engine)
    chat.late = WrongMoment("The call is not the one that you were shown.", "Look at it again.")
    again = approval(0, command="rm -r build2")
    again["data"]["approval"]["hash"] = "h2"

    def mend() -> None:
        _wait(chat.answered)
        chat.answered.clear()
        chat.late = None

    chat.plays = [[approval(0), mend, again, lambda: _wait(chat.answered), tool(0, "run_shell"), text(1, "Done.")]]
    at = terminal("chat", "clean up")
    at.shows("$ rm -r build")
    at.type("y\n")
    at.shows("$ rm -r build2")
    at.type("y\n")
    at.shows("Done.")
    assert at.ends() == 0 and [body["hash"] for _, body in chat.answers] == ["h1", "h2"]


def test_ctrl_c_stops_the_turn_and_what_was_said_stays(engine: FakeEngine, terminal: Open) -> None:
    chat = FakeChat(engine)
    chat.plays = [[piece(0, 0, "Half an answer"), lambda: _wait(chat.stopped)]]
    at = terminal("chat", "a long story")
    at.shows("Half an answer")
    at.type("\x03")
    at.shows("Stopping.")
    assert at.ends() == 130 and chat.stops == 1
    assert "Stopped." in at.screen


def test_a_second_ctrl_c_leaves(engine: FakeEngine, terminal: Open) -> None:
    chat = FakeChat(engine)
    never = threading.Event()
    chat.plays = [[piece(0, 0, "Half"), lambda: _wait(never)]]
    at = terminal("chat", "a long story")
    at.shows("Half")
    at.type("\x03")
    at.shows("Stopping.")
    at.type("\x03")
    assert at.ends() == 130
    never.set()


def test_ctrl_c_at_an_approval_stops_the_turn(engine: FakeEngine, terminal: Open) -> None:
    chat = FakeChat(engine)
    chat.plays = [[approval(0), lambda: _wait(chat.stopped)]]
    at = terminal("chat", "clean up")
    at.shows("[y] once")
    at.type("\x03")
    assert at.ends() == 130
    assert chat.answers == [] and chat.stops == 1


def test_a_chat_that_waits_for_a_person_is_opened_and_answered(engine: FakeEngine, terminal: Open) -> None:
    chat = FakeChat(engine)
    chat._message({"text": "clean up"})
    chat.plays = [[approval(0), lambda: _wait(chat.answered), tool(0, "run_shell"), text(1, "Cleaned.")]]
    at = terminal("chat", "--session", "ses_1")
    at.shows("[y] once")
    at.type("n keep it\n")
    at.shows("Cleaned.")
    at.type("/quit\n")
    assert at.ends() == 0
    assert (chat.answers[0][1]["choice"], chat.answers[0][1]["note"]) == ("no", "keep it")


def test_a_key_is_typed_and_not_shown(engine: FakeEngine, terminal: Open) -> None:
    engine.on["PUT", "keys"] = lambda q, b: {
        "keys": [{"name": b["name"], "set": True, "source": "keyring", "hint": "ends in 1234"}]
    }
    at = terminal("keys", "set", "ANTHROPIC_API_KEY")
    at.shows("it is not shown")
    at.type("sk-ant-secret-1234\n")
    at.shows("ends in 1234")
    assert at.ends() == 0 and "sk-ant-secret" not in at.screen
    assert engine.bodies("PUT", "keys") == [{"name": "ANTHROPIC_API_KEY", "value": "sk-ant-secret-1234"}]
