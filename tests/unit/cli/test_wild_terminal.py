"""`ragent wild` in a real terminal: a person sees the draft, tunes it, is asked, and presses Ctrl-C."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator

import pytest

from tests.support.fake_engine import FakeEngine
from tests.support.fake_wild import ASK_METRIC, LOOP, QUESTION, FakeWild, entry
from tests.support.wait import wait_until

from .test_chat_terminal import Terminal
from .test_wild import ENDED, GOAL

pytestmark = pytest.mark.slow


@pytest.fixture
def terminal(engine: FakeEngine) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for one in opened:
        one.close()


def begin(opened: list[Terminal], engine: FakeEngine, *argv: str) -> Terminal:
    opened.append(Terminal(engine.project, "wild", *argv))
    return opened[-1]


def test_what_is_open_is_asked_the_draft_is_shown_and_enter_starts_it(
    engine: FakeEngine, terminal: list[Terminal]
) -> None:
    best = {"params": {"lr": 0.03}, "runs": ["run_1"], "value": 1.21}
    last = threading.Event()
    wild = FakeWild(engine, entry(1, result="A first look."), {"best": best}, lambda: last.wait(20), ENDED)
    wild.asks = [ASK_METRIC]
    at = begin(terminal, engine, GOAL, "--", "python", "train.py")
    at.shows("Which metric decides?")
    at.shows("1. val_loss|min: val_loss, less (the default)")
    at.type("2\n")
    at.shows("Enter starts it")
    assert "acc, less is better" in at.screen and "0.0001 to 0.1, log" in at.screen
    assert wild.created == []
    at.type("\n")
    at.shows("A first look.")
    at.shows("best      val_loss 1.21 with lr 0.03 (unconfirmed)")
    at.shows("time 12 min of 2 h  runs 12 of 40")
    last.set()
    at.shows("Report: /p/reports/wild.ipynb")
    assert at.ends() == 0
    assert (wild.created[0]["metric"], wild.created[0]["mode"]) == ("acc", "max")
    assert at.screen.count("lr 0.03 is better") == 1


def test_e_opens_the_editor_on_the_space_and_q_starts_nothing(
    engine: FakeEngine, terminal: list[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = FakeWild(engine)
    script = engine.project / "editor.sh"
    script.write_text('#!/bin/sh\ncp "$1" seen.json\necho \'{"lr": {"low": 1, "high": 2}}\' > "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    at = begin(terminal, engine, GOAL, "--", "true")
    at.shows("Enter starts it")
    at.type("e\n")
    at.shows("Enter starts it", 2)
    assert "1 to 2, whole" in at.screen.partition("Enter starts it")[2]
    at.type("q\n")
    at.shows("Nothing was started.")
    assert at.ends() == 0 and wild.created == []
    seen = json.loads((engine.project / "seen.json").read_text())
    assert seen["lr"] == {"low": 0.0001, "high": 0.1, "log": True, "default": 0.01}
    assert list(wild.drafted[-1]["space"]) == ["lr"] and wild.drafted[-1]["space"]["lr"]["default"] == 0.01


def test_an_editor_that_fails_changes_nothing(
    engine: FakeEngine, terminal: list[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = FakeWild(engine)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "false")
    at = begin(terminal, engine, GOAL, "-d", "--", "true")
    at.shows("Enter starts it")
    at.type("e\n")
    at.shows("nothing was changed")
    at.shows("Enter starts it", 2)
    at.type("\n")
    assert at.ends() == 0
    assert "space" not in wild.created[0] or wild.created[0]["space"] is None


def test_ctrl_c_leaves_it_alone_and_says_how_to_come_back(engine: FakeEngine, terminal: list[Terminal]) -> None:
    wild = FakeWild(engine, entry(1, result="A first look."))
    at = begin(terminal, engine, GOAL, "--yes", "--", "true")
    at.shows("A first look.")
    at.type("\x03")
    assert at.ends() == 130
    assert f"{LOOP} goes on without this terminal." in at.screen and "ragent wild follow" in at.screen
    assert wild.said == []


def test_a_question_is_asked_between_the_pictures(engine: FakeEngine, terminal: list[Terminal]) -> None:
    wild = FakeWild(engine, {"question": QUESTION})
    wild.plays += [lambda: wild.answered.wait(20), {"stage": "confirming"}, ENDED]
    at = begin(terminal, engine, "follow")
    at.shows("? May I stop run 3?")
    at.shows("2. no: Do not (the default)")
    at.type("perhaps not, it is near\n")
    assert at.ends() == 0
    assert wild.answers == [{"question": "qst_1", "choice": "", "text": "perhaps not, it is near"}]


def test_a_question_that_is_answered_elsewhere_is_let_go_of(engine: FakeEngine, terminal: list[Terminal]) -> None:
    seen = threading.Event()
    wild = FakeWild(engine, {"question": QUESTION}, lambda: seen.wait(20))

    def elsewhere() -> None:
        wild.loop.pop("question")

    wild.plays += [elsewhere, {"iteration": 3}, ENDED]
    at = begin(terminal, engine, "follow")
    at.shows("Enter for the default:")
    seen.set()
    at.shows("It was answered elsewhere.")
    assert at.ends() == 0 and wild.answers == []


def test_enter_takes_the_default_and_ctrl_d_leaves_the_question_open(
    engine: FakeEngine, terminal: list[Terminal]
) -> None:
    wild = FakeWild(engine, {"question": QUESTION})
    wild.plays += [lambda: wild.answered.wait(20), ENDED]
    at = begin(terminal, engine, "follow")
    at.shows("Enter for the default:")
    at.type("\n")
    assert at.ends() == 0 and wild.answers[0]["choice"] == "no"

    wild = FakeWild(engine, {"question": QUESTION})
    at = begin(terminal, engine, "follow")
    at.shows("Enter for the default:")
    at.type("\x04")
    at.shows("Left open.")
    at.type("\x03")
    assert at.ends() == 130 and wild.answers == []


def test_a_narrow_terminal_and_one_without_colours(
    engine: FakeEngine, terminal: list[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    FakeWild(engine, *[entry(n, result=f"line {n} " + "x" * 300) for n in range(1, 30)], ENDED)
    at = begin(terminal, engine, "follow")
    assert at.ends() == 0
    assert all(len(line) <= 100 for line in at.screen.splitlines() if "line 2" in line)
    wait_until(lambda: "Report:" in at.screen)
    assert os.environ["NO_COLOR"]
