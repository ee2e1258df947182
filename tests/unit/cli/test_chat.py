"""`ragent chat` against a stand-in engine: what it sends, what it shows, who is asked, and its exit code."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.cli import chat_view
from ragent_jupyter.cli.approvals import _choice, _form, describe
from ragent_jupyter.cli.output import Out
from ragent_jupyter.domain.chat import Approval, FormField, Preview
from ragent_jupyter.domain.errors import NotAllowed, WrongMoment
from tests.support.fake_chat import FakeChat, approval, ends, part, piece, text, tool
from tests.support.fake_engine import FakeEngine

from .conftest import Ragent


@pytest.fixture(autouse=True)
def nobody_at_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))


# --- one question -------------------------------------------------------------------------------------------------
def test_one_question_prints_the_answer_and_nothing_else(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(
        engine,
        [
            part(0, "thinking", text="hm", status="done"),
            text(1, "Let me look."),
            tool(2, title="List runs"),
            piece(3, 0, "It was "),
            piece(3, 7, "**lr**."),
            text(3, "It was **lr**."),
        ],
    )
    said = ragent("chat", "why", "did", "it", "fail?")
    assert (said.code, said.out) == (0, "Let me look.\nIt was **lr**.\n")
    assert "✓ List runs" in said.err and "--session ses_1" in said.err
    (body,) = chat.sent
    assert body["text"] == "why did it fail?" and body["request_id"]
    assert set(engine.doors) == {None, "script"}, "nobody is at this stdin (the handshake says no door)"


def test_a_question_from_stdin_and_one_that_begins_with_a_dash(
    engine: FakeEngine, ragent: Ragent, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = FakeChat(engine, [text(0, "a")], [text(0, "b")], [text(0, "c")])
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
    assert ragent("chat").code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("piped"))
    assert ragent("chat", "-").code == 0
    assert ragent("chat", "--", "--odd").code == 0
    assert [body["text"] for body in chat.sent] == ["two\nlines", "piped", "--odd"]


def test_what_is_nothing_to_send_is_a_usage_error(engine: FakeEngine, ragent: Ragent) -> None:
    assert ragent("chat").code == 2
    assert ragent("chat", "-").code == 2


def test_cut_text_is_not_the_answer(engine: FakeEngine, ragent: Ragent) -> None:
    FakeChat(engine, [piece(0, 0, "Half a"), text(0, "Half a", "cut"), text(1, "Whole.")])
    assert ragent("chat", "x").out == "Whole.\n"


def test_a_missed_piece_is_read_from_the_snapshot(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(engine)
    chat.plays = [[lambda: chat.parts.update({0: text(0, "Whole.")["data"]}), piece(0, 5, "e.")]]
    assert ragent("chat", "x").out == "Whole.\n"
    assert ("GET", "sessions/ses_1") in [(m, p) for m, p, _, _ in engine.asked]


def test_a_stream_that_breaks_off_is_gone_on_with(engine: FakeEngine, ragent: Ragent) -> None:
    FakeChat(engine, [piece(0, 0, "Who"), ConnectionResetError, piece(0, 3, "le."), text(0, "Whole.")])
    assert ragent("chat", "x").out == "Whole.\n"


def test_json_is_every_event_and_an_end(engine: FakeEngine, ragent: Ragent) -> None:
    FakeChat(engine, [piece(0, 0, "Hi"), text(0, "Hi")])
    said = ragent("chat", "x", "--json")
    assert [line["type"] for line in said.lines[:3]] == ["snapshot", "part_delta", "part_update"]
    end = said.lines[-1]
    assert end["type"] == "end" and end["data"]["text"] == "Hi" and end["data"]["exit"] == said.code == 0


def test_hostile_words_do_not_reach_the_terminal(engine: FakeEngine, ragent: Ragent) -> None:
    FakeChat(engine, [tool(0, title="\x1b]0;x\x07T\x1b[2J"), text(1, "a\x1b[31mb\x1b]52;c;eA==\x07c\rd")])
    said = ragent("chat", "x")
    assert said.out == "abcd\n" and "✓ T\n" in said.err and "\x07" not in said.err


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("stopped", 1)])
def test_a_turn_that_did_not_end_well_is_exit_1(engine: FakeEngine, ragent: Ragent, status: str, code: int) -> None:
    error = {"type": "model_failed", "problem": "No credit is left.", "remedy": "Top up."}
    FakeChat(engine, [ends(status, **({"error": error} if status == "failed" else {}))])
    said = ragent("chat", "x")
    assert said.code == code and ("No credit is left.\n  Top up." if status == "failed" else "Stopped.") in said.err


# --- approvals where nobody is ------------------------------------------------------------------------------------
def test_what_needs_a_person_is_refused_and_exit_3(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(engine)
    refused = [tool(0, "run_shell", "refused", title="Run a shell command", output="no"), text(1, "Then not.")]
    chat.plays = [[approval(0), lambda: _wait(chat.answered), *refused]]
    said = ragent("chat", "clean up")
    assert said.code == 3 and said.out == "Then not.\n"
    ((id_, body),) = chat.answers
    assert (id_, body["choice"], body["hash"]) == ("apr_0", "no", "h1") and "terminal" in body["note"]
    assert "needs a person's word" in said.err
    assert "Something needed a person's word" in said.err


def _wait(event: Any) -> None:
    assert event.wait(10)


def test_where_not_even_a_no_is_taken_the_turn_is_stopped(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(engine)
    chat.late = NotAllowed("Only a person may answer this.", "In the sidebar.")
    chat.plays = [[approval(0), lambda: _wait(chat.stopped), text(1, "never")]]
    said = ragent("chat", "clean up", "--json")
    assert said.code == 3 and chat.stops == 1
    assert json.loads(said.err)["error"]["type"] == "needs_human"


def test_an_approval_that_somebody_else_answers_is_theirs(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(engine)
    chat.late = WrongMoment("It was approved by ann.", "")
    chat.plays = [[approval(0), lambda: _wait(chat.answered), tool(0, "run_shell"), text(1, "Done.")]]
    said = ragent("chat", "clean up")
    assert said.out == "Done.\n" and chat.stops == 0


# --- which chat ---------------------------------------------------------------------------------------------------
def test_a_chat_is_gone_on_with(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(engine, [text(0, "a")], [text(0, "b")])
    assert ragent("chat", "--session", "last", "--model", "scripted:x", "--mode", "plan", "hello").code == 0
    assert (chat.session["model"], chat.session["mode"]) == ("scripted:x", "plan")
    assert engine.bodies("POST", "sessions") == []
    assert ragent("chat", "--session", "A chat", "hello").code == 0
    assert ragent("chat", "--session", "nobody", "hello").code == 1


def test_a_new_chat_gets_what_was_asked(engine: FakeEngine, ragent: Ragent) -> None:
    FakeChat(engine, [text(0, "a")])
    ragent("chat", "--mode", "accept_edits", "--model", "m:x", "hello")
    (body,) = engine.bodies("POST", "sessions")
    assert (body["mode"], body["model"]) == ("accept_edits", "m:x") and body["request_id"]


def test_a_command_that_is_done_at_once_and_one_that_begins_anew(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(engine)

    def done(query: dict[str, str], body: Any) -> Any:
        chat._message(body)
        assert chat.turn is not None
        chat.turn |= {"status": "done", "model": "ragent"}
        chat.session.pop("turn")
        chat.parts = {0: text(0, "Started `run_1`.")["data"], 1: tool(1, "card", data={"card": "run"})["data"]}
        return 202, {"session": chat.session, "turn": chat.turn}

    engine.on["POST", "sessions/ses_1/messages"] = done
    said = ragent("chat", "/launch true")
    assert (said.code, said.out) == (0, "Started `run_1`.\n") and "card" not in said.err
    new = {"session": chat.session | {"id": "ses_2"}}
    engine.on["POST", "sessions/ses_1/messages"] = lambda q, b: (202, new)
    said = ragent("chat", "/clear")
    assert said.code == 0 and "ses_2" in said.err


def test_a_message_that_waits_its_turn_and_one_that_is_taken_out(engine: FakeEngine, ragent: Ragent) -> None:
    chat = FakeChat(engine)
    chat.session["queue"] = [{"id": "msg_q", "text": "x", "at": 1.0}]
    engine.on["POST", "sessions/ses_1/messages"] = lambda q, b: (202, {"session": chat.session, "queued": "msg_q"})
    looks = []

    def look(query: dict[str, str], body: Any) -> Any:
        looks.append(1)
        if len(looks) == 3:  # its turn has come and gone between two looks
            chat.session.pop("queue")
            message = {"id": "msg_q", "text": "x", "at": 1.0}
            chat.turn = {
                "id": "trn_1",
                "session_id": "ses_1",
                "n": 2,
                "message": message,
                "status": "done",
                "created_at": 1.0,
            }
            chat.parts = {0: text(0, "At last.")["data"]}
        return chat._reply()

    engine.on["GET", "sessions/ses_1"] = look
    said = ragent("chat", "x")
    assert (said.code, said.out) == (0, "At last.\n") and "waits for its turn" in said.err
    chat.turn, chat.parts = None, {}
    said = ragent("chat", "x")
    assert said.code == 1 and "taken out" in said.err


def test_the_list(engine: FakeEngine, ragent: Ragent) -> None:
    FakeChat(engine)
    assert "ses_1  A chat" in ragent("chat", "--list").out
    assert ragent("chat", "--list", "--json").document["sessions"][0]["id"] == "ses_1"
    engine.on["GET", "sessions"] = lambda q, b: {"sessions": []}
    assert "No chats yet" in ragent("chat", "--list").out


# --- what is shown ------------------------------------------------------------------------------------------------
@given(
    st.lists(st.sampled_from(["a", "\n", "\n\n", "```", "```py\n", "~~~\n", "- x\n", " "]), max_size=20).map("".join)
)
def test_blocks_and_rest_are_the_text_and_blocks_stay(said: str) -> None:
    found, rest = chat_view.blocks(said)
    assert "".join(found) + rest == said
    for end in range(len(said)):
        early, _ = chat_view.blocks(said[:end])
        assert found[: len(early)] == early, "what was printed is never taken back"


def test_an_empty_line_in_code_ends_no_block() -> None:
    assert chat_view.blocks("```\na\n\nb") == ([], "```\na\n\nb")


def an_approval(**shows: Any) -> Approval:
    return Approval(id="apr_1", hash="h", asked_at=1.0, shows=Preview(**({"title": "T"} | shows)))


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    left = list(lines)
    monkeypatch.setattr("builtins.input", lambda prompt="": left.pop(0))


def test_an_approval_shows_all_of_it() -> None:
    screen = io.StringIO()
    shows = an_approval(
        title="Edit \x1b[2Ja file", command="make\nmake install", cwd="/p", diff="@@ -1 +1 @@\n-a\n+b\x1b[0m",
        cost="$0.10", details=["line 1"], plan=["first"],
    )  # fmt: skip
    describe(Out(out=screen), shows)
    said = screen.getvalue()
    for line in ("Edit a file", "  $ make\n  | make install", "in /p", "  -a\n  +b\n", "$0.10", "line 1", "1. first"):
        assert line in said
    assert "\x1b" not in said


def test_keys_of_an_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Out(out=io.StringIO())
    once = an_approval()
    for line, answer in (("y", ("once", "", {})), ("n use less", ("no", "use less", {})), ("NO", ("no", "", {}))):
        typed(monkeypatch, line)
        assert _choice(out, once) == answer
    for line, choice in (("s", "session"), ("a", "always")):
        typed(monkeypatch, line)
        assert _choice(out, an_approval(pattern="edit_file:src/**"))[0] == choice
        typed(monkeypatch, line, "y please", "what?", "", "y")
        assert _choice(out, once)[0] == "once", "what is not offered is not taken"


def test_what_is_dangerous_is_allowed_once_only_and_a_plan_with_its_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Out(out=io.StringIO())
    typed(monkeypatch, "a", "s", "y")
    assert _choice(out, an_approval(pattern="run_shell:rm*", danger=True))[0] == "once"
    typed(monkeypatch, "a", "s")
    assert _choice(out, an_approval(plan=["first"]))[0] == "session"


def test_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Out(out=io.StringIO())
    form = an_approval(
        form=[
            FormField(name="metric", label="Which?", kind="choice", options=["loss", "acc"]),
            FormField(name="n", label="How many?", kind="number", default=3),
            FormField(name="ok", label="Sure?", kind="yes_no"),
            FormField(name="many", label="Some", kind="choices", options=["a", "b"]),
            FormField(name="why", label="Why?"),
        ]
    )
    typed(monkeypatch, "3", "2", "x", "", "maybe", "y", "1, b", "because")
    assert _form(out, form) == (
        "once", "", {"metric": "acc", "n": 3, "ok": True, "many": ["a", "b"], "why": "because"},
    )  # fmt: skip
    typed(monkeypatch, "")
    assert _form(out, form)[0] == "no"
