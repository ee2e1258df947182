"""`%ragent wild`, `ragent.wild(…)` and the live banner, against a stand-in engine."""

from __future__ import annotations

import os
import sys
from html import escape
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.testing.globalipapp import start_ipython

import ragent_jupyter as ragent
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, WrongMoment
from tests.support.fake_wild import ASK_METRIC, LOOP, QUESTION, FakeWild, entry
from tests.support.wait import wait_until

from .conftest import Engine

GOAL = '"lower val_loss"'
ENDED = {"stage": "ended", "end": "complete", "reason": "Nothing is left.", "report": "/p/reports/wild.ipynb"}


@pytest.fixture(scope="module")
def shell() -> InteractiveShell:
    shell = start_ipython() or InteractiveShell.instance()
    shell.run_line_magic("load_ext", "ragent_jupyter")
    return shell


@pytest.fixture
def say(shell: InteractiveShell, engine: Engine) -> Any:
    return lambda line: shell.run_line_magic("ragent", f"wild {line}".strip())


@pytest.fixture
def wild(engine: Engine) -> FakeWild:
    return FakeWild(engine)


def faces(value: Any) -> tuple[str, str]:
    bundle = value._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    return bundle["text/plain"], bundle["text/html"]


# --- a start ----------------------------------------------------------------------------------------------------------
def test_a_loop_begins_and_the_cell_returns_at_once(say: Any, wild: FakeWild, engine: Engine) -> None:
    loop = say(f"{GOAL} --max-runs 40 --seeds 3 --may-edit src/** --minimize -- python t.py --lr 0.1 | tee 'a b'")
    assert loop.id == LOOP and loop.state == "running" and loop.counts == {"finished": 3}
    (body,) = wild.created
    assert (body["goal"], body["command"]) == ("lower val_loss", "python t.py --lr 0.1 | tee 'a b'")
    assert (body["cwd"], body["caller_python"]) == (os.getcwd(), sys.executable)
    assert body["limits"] == {"runs": 40} and body["seeds"] == 3 and body["may_edit"] == ["src/**"]
    assert wild.drafted == [] and set(engine.doors) <= {"kernel", None}  # None: the handshake


def test_a_goal_may_hold_the_sign_that_ends_it(say: Any, wild: FakeWild) -> None:
    say('"reach -- at last -- 0.9" -- python t.py -- --x')
    assert (wild.created[0]["goal"], wild.created[0]["command"]) == ("reach -- at last -- 0.9", "python t.py -- --x")


def test_a_dry_run_is_a_draft_that_can_be_started(say: Any, wild: FakeWild) -> None:
    draft = say(f"{GOAL} --set-range lr=1e-3..1:log --dry-run -- python t.py")
    assert wild.created == [] and len(wild.drafted) == 2
    text, html = faces(draft)
    assert "lr     0.01  0.001 to 1, log" in text and "Nothing was started." in text
    assert "0.001 to 1, log" in html
    assert draft.setup.metric == "val_loss"
    assert draft.start().id == LOOP
    assert wild.created[0]["space"]["lr"]["dim"]["high"] == 1.0


def test_a_draft_shows_what_must_be_said_first(say: Any, wild: FakeWild, engine: Engine) -> None:
    wild.asks = [ASK_METRIC]
    text, html = faces(say(f"{GOAL} --dry-run -- true"))
    assert "! Which metric decides?" in text and "acc|max: acc, more" in text and "Which metric decides?" in html
    engine.on["POST", "wild"] = lambda q, b: CannotBeDone("Which metric decides?", "Say so at the start.")
    with pytest.raises(CannotBeDone):
        say(f"{GOAL} -- true")


@pytest.mark.parametrize(
    "line",
    [
        "--max-runs 3 -- true",
        f"{GOAL} --frob -- true",
        f"{GOAL} --max-runs few -- true",
        f"{GOAL} --autonomy much -- true",
        f"{GOAL} --command a -- b",
        f"{GOAL} --env A -- true",
        f"{GOAL} --minimize --maximize -- true",
        "pause a b",
        "steer",
        "steer ''",
        "limits frobs=3",
        "list more",
    ],
)
def test_a_wrong_line_is_said_with_a_remedy(say: Any, wild: FakeWild, line: str) -> None:
    with pytest.raises(BadInput) as raised:
        say(line)
    assert raised.value.remedy and wild.created == [] and wild.said == []


def test_the_same_from_python(wild: FakeWild) -> None:
    loop = ragent.wild(goal="lower val_loss", command="python t.py", max_runs=40, metric="acc", maximize=True)
    assert loop.id == LOOP and wild.created[0]["mode"] == "max" and wild.created[0]["limits"] == {"runs": 40}
    draft = ragent.wild(goal="x", command="t", set_range=["width=8..64"], draft=True)
    assert draft.setup.space["width"].dim.high == 64.0
    for wrong in ({"frob": 1}, {"set_range": "lr=1..2"}, {"seeds": 0}):
        with pytest.raises(BadInput):
            ragent.wild(goal="x", command="t", **wrong)
    with pytest.raises(BadInput):
        ragent.wild(command="t")  # type: ignore[call-overload]
    assert len(wild.created) == 1


# --- looking and wishing ----------------------------------------------------------------------------------------------
def test_a_loop_is_shown_with_where_it_stands(engine: Engine, say: Any) -> None:
    best = {"params": {"lr": 0.03}, "runs": ["run_1"], "value": 1.21}
    FakeWild(engine, goal="<b>lower</b> it", question=QUESTION, best=best)
    for line in ("", "status", f"status {LOOP}", "status a1"):
        text, html = faces(say(line))
        assert f"! waits for you · {LOOP} · <b>lower</b> it · iteration 2" in text
        assert "used: time 12 min of 2 h, runs 12 of 40" in text
        assert "best: val_loss 1.21 with lr 0.03 (unconfirmed)" in text
        assert f"ragent wild answer CHOICE --loop {LOOP}" in text
        assert "<b>lower</b> it" not in html and escape("<b>lower</b> it") in html
        assert "no: Do not (the default)" in html


def test_wishes_go_to_the_engine_and_come_back_as_the_loop(say: Any, wild: FakeWild) -> None:
    assert say("pause").paused is True
    say(f"resume {LOOP}")
    say("steer 'try smaller widths'")
    say(f"steer {LOOP} and it's fine so")
    say("limits runs=+20 hours=none")
    say("queue --first completion:run_1")
    assert say("merge --commit abc") == "2 commits are on main now."
    assert say("stop --keep-runs --now").state == "stopped"
    verbs = [verb for verb, _ in wild.said]
    assert verbs == ["pause", "resume", "steer", "steer", "limits", "queue", "merge", "stop"]
    bodies = [body for _, body in wild.said]
    assert [bodies[2]["text"], bodies[3]["text"]] == ["try smaller widths", "and it's fine so"]
    assert bodies[4]["limits"] == {"runs": 60, "hours": None} and bodies[7] == {"runs": False, "now": True}


def test_what_is_a_persons_is_refused_with_where_it_is_said(engine: Engine, say: Any) -> None:
    wild = FakeWild(engine, question=QUESTION)
    wild.late = NotAllowed("An answer to a loop is a person's.", "Do it in the sidebar.")
    with pytest.raises(NotAllowed) as raised:
        say("answer yes")
    assert raised.value._render_traceback_() == [
        "ragent: An answer to a loop is a person's.",
        "  Do it in the sidebar.",
    ]
    assert engine.doors[-1] == "kernel"
    with pytest.raises(BadInput):
        wild.loop["question"] = {**QUESTION, "free_text": False}
        say("answer perhaps")
    wild.loop.pop("question")
    with pytest.raises(WrongMoment):
        say("answer yes")


def test_the_ledger_is_a_sequence_and_a_data_frame(say: Any, wild: FakeWild) -> None:
    wild.entries = [entry(n, result=f"line {n}") for n in range(1, 41)]
    wild.loop["entries"] = 40
    ledger = say("journal -n 5")
    assert [one.n for one in ledger] == [36, 37, 38, 39, 40] and ledger[-1].result == "line 40"
    text, html = faces(ledger)
    assert "line 36" in text and "35 earlier" in text and "line 40" in html
    assert list(say("journal").df.index) == list(range(11, 41))
    assert len(say("status").journal(None)) == 40


def test_lists_queue_summary_and_diff(engine: Engine, say: Any) -> None:
    event = {"id": "critical:alt_1", "kind": "critical", "at": 1.0, "order": 20.0, "text": "loss became NaN"}
    wild = FakeWild(engine, queue=[{"id": "explore:1", "kind": "explore", "at": 0.5, "order": 90.0}, event])
    assert [one.id for one in say("queue")] == ["critical:alt_1", "explore:1"]
    assert say("list")[0].id == LOOP and "lower val_loss" in faces(say("list"))[1]
    text, html = faces(say("summary"))
    assert "lr 0.03 is better" in text and "lr 0.03 is better" in html and text.index("Tried") < text.index("Needs")
    assert "+new" in faces(say("merge --diff"))[1] and wild.said == []
    wild.loops = False
    assert "No wild loops yet" in faces(say("list"))[0]
    with pytest.raises(NotFound):
        say("status")


# --- the banner -------------------------------------------------------------------------------------------------------
def test_the_banner_follows_and_says_when_it_is_stale(engine: Engine, say: Any) -> None:
    import threading

    go = threading.Event()
    FakeWild(engine, lambda: go.wait(20), entry(1, result="A <first> look."), {"iteration": 7}, ENDED)
    panel = say("watch")
    assert "iteration 2" in panel._banner.value
    go.set()
    wait_until(lambda: "complete" in panel._banner.value and "iteration 7" in panel._banner.value)
    assert "A &lt;first&gt; look." in panel._banner.value
    assert panel.loop.id == LOOP and "complete" in repr(panel)
    panel.close()


def test_a_banner_without_an_engine_keeps_what_it_knew(engine: Engine, say: Any, monkeypatch: Any) -> None:
    from ragent_jupyter.kernel import wild_panel

    monkeypatch.setattr(wild_panel, "_AGAIN_S", 0.05)
    FakeWild(engine)
    engine.on["GET", "events"] = lambda q, b: NotFound("No events here.", "Wait.")
    panel = say("watch")
    wait_until(lambda: "What is shown is older than" in panel._note.value)
    assert "No events here. Wait." in panel._note.value and "lower val_loss" in panel._banner.value
    panel.close()
