"""Plan, bypass and a chat about an alert, through a real engine."""

from __future__ import annotations

import pytest

from ragent_jupyter.client import Client
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


@pytest.mark.parametrize("door", ["kernel", "script"])
def test_code_cannot_choose_a_mode_that_asks_less(talk: Talk, door: str) -> None:
    code = Client(talk.p.folder, door=door)  # type: ignore[arg-type]
    session = talk.begin()
    for method, path, body in (
        (code.post, "sessions", {"mode": "accept_edits"}),
        (code.patch, f"sessions/{session}", {"mode": "accept_edits"}),
        (code.post, f"sessions/{session}/messages", {"text": "x", "mode": "accept_edits"}),
    ):
        with pytest.raises(NotAllowed):
            method(path, body)
    held = talk.read(session)
    assert held.session.mode == "ask" and not held.turns
    code.patch(f"sessions/{session}", {"mode": "plan"})
    assert talk.read(session).session.mode == "plan"


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


DIVERGES = """
import json, os, time
with open(os.environ["RAGENT_METRICS_FILE"], "a", buffering=1) as out:
    for step in range(1, 2000):
        loss = "NaN" if step >= 50 else 2.0 / step
        out.write(json.dumps({"step": step, "loss": loss}).replace('"NaN"', "NaN") + "\\n")
        if step == 50:
            print("the loss is gone", flush=True)
        time.sleep(0.01 if step < 60 else 0.5)
"""


def test_a_chat_about_an_alert_has_run_metrics_and_log_and_its_answer_resolves_the_alert(talk: Talk) -> None:
    """A12"""
    run = talk.p.run(talk.p.script("train.py", DIVERGES), primary="loss")
    alert = talk.p.until(lambda: next((a for a in talk.p.alerts() if a.severity.value == "critical"), None))
    talk.provider.call("answer_alert", {"alert": alert.id, "choice": "stop"}).say("Stopped it.")
    session = talk.begin(about={"alert": alert.id, "run": run.id})
    talk.say(session, "What now?")
    part = talk.waiting(session)
    told = str(talk.provider.calls[0].body["messages"])
    assert alert.id in told and run.id in told and "the loss is gone" in told and "step 50" in told
    assert part.approval is not None and "top" in str(part.approval.shows)
    assert next(a for a in talk.p.alerts() if a.id == alert.id).status.value == "pending"
    talk.answer(session, part, "once")
    assert text_of(talk.over(session)) == "Stopped it."
    ended = talk.p.wait(run)
    assert ended.status.value == "stopped" and ended.reason is not None and "NaN" in ended.reason.text
    answered = next(a for a in talk.p.alerts() if a.id == alert.id)
    assert answered.status.value == "resolved" and answered.choice == "stop"
