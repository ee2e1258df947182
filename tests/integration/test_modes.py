"""Plan and bypass, through a real engine: what each lets happen."""

from __future__ import annotations

import pytest

from ragent_jupyter.domain.errors import NotAllowed
from tests.integration.test_chat import Talk, talk, text_of, tools_of

__all__ = ["talk"]

MAKE = {"path": "made.txt", "text": "made\n"}


def test_a_plan_changes_nothing_until_a_person_approves_it_and_is_executed_then(talk: Talk) -> None:
    made = talk.p.folder / "made.txt"
    talk.provider.call("create_file", MAKE)
    talk.provider.call("propose_plan", {"title": "Make a file", "steps": ["Make made.txt", "Say so"]})
    talk.provider.call("create_file", MAKE)
    talk.provider.call("update_task", {"task": 1, "status": "done"})
    talk.provider.call("update_task", {"task": 2, "status": "done"})
    talk.provider.say("Made.")
    session = talk.begin(mode="plan")
    talk.say(session, "make a file")
    part = talk.waiting(session)
    assert part.name == "propose_plan" and part.approval is not None
    assert part.approval.shows.plan == ["Make made.txt", "Say so"] and not made.exists()
    assert tools_of(talk.read(session))[0].status == "refused"
    offered = talk.provider.calls[0].tools
    assert "propose_plan" in offered and "create_file" not in offered and "run_shell" not in offered
    talk.answer(session, part, "session")  # its edits go ahead
    held = talk.over(session)
    assert made.read_text() == "made\n" and text_of(held) == "Made."
    assert held.session.mode == "accept_edits" and "create_file" in talk.provider.calls[2].tools
    (plan,) = talk.client.get("plans")["plans"]
    assert plan["status"] == "done" and [task["status"] for task in plan["tasks"]] == ["done", "done"]


def test_a_plan_that_is_refused_leaves_plan_mode_as_it_is(talk: Talk) -> None:
    talk.provider.call("propose_plan", {"title": "Make a file", "steps": ["Make made.txt"]}).call("create_file", MAKE)
    talk.provider.say("Then not.")
    session = talk.begin(mode="plan")
    talk.say(session, "make a file")
    talk.answer(session, talk.waiting(session), "no", note="too much")
    held = talk.over(session)
    assert [t.status for t in tools_of(held)] == ["refused", "refused"] and held.session.mode == "plan"
    assert "too much" in talk.provider.calls[1].last_result and not (talk.p.folder / "made.txt").exists()


def test_bypass_is_offered_where_an_administrator_says_so_and_is_never_kept(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = talk.begin()
    with pytest.raises(NotAllowed):
        talk.client.patch(f"sessions/{session}", {"mode": "bypass"})
    assert "bypass" not in talk.client.get("sessions/options")["modes"]
    monkeypatch.setenv("RAGENT_ALLOW_BYPASS", "1")
    talk.p.kill_engine()
    assert "bypass" in talk.client.get("sessions/options")["modes"]
    talk.client.patch(f"sessions/{session}", {"mode": "bypass"})
    talk.provider.call("create_file", MAKE).say("Made.")
    talk.say(session, "make it")
    assert text_of(talk.over(session)) == "Made." and (talk.p.folder / "made.txt").exists()
    talk.p.kill_engine()
    assert talk.read(session).session.mode == "ask"
