"""A16: a rule that is on is in the next prompt, and the prompt's provenance says which rules it held."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from ragent_jupyter.client import Client
from ragent_jupyter.client.following import Following
from ragent_jupyter.domain.chat import MemoryRule, Provenance
from ragent_jupyter.domain.errors import NotAllowed, NotFound
from ragent_jupyter.domain.wire_chat import ProvenanceReply
from tests.support.engine import Project, project
from tests.support.wait import wait_until


@pytest.fixture
def p() -> Iterator[Project]:
    with project("process") as made:
        yield made


def ask(client: Client, session: str, text: str) -> Provenance:
    """Ask, wait for the end, and what the model was given."""
    following = Following.of(client, client.send(session, text))
    while not following.over:
        following.next(0.2)
    assert following.turn is not None and following.turn.status == "done", following.turn
    reply = client.get(f"sessions/{session}/turns/{following.turn.id}/provenance", type=ProvenanceReply)
    assert following.turn.rules == reply.calls[0].rules
    return reply.calls[0]


def test_A16_memory_matters(p: Project) -> None:
    terminal = Client(p.folder, door="terminal")
    session = terminal.create_session(model="scripted:echo").id
    rule = terminal.add_rule("Always say the seed of a run.", title="Seeds")
    given = ask(terminal, session, "hello")
    assert rule.text in given.system and given.rules == [rule.id]
    terminal.patch_rule(rule.id, on=False)
    given = ask(terminal, session, "hello again")
    assert rule.text not in given.system and given.rules == []
    terminal.patch_rule(rule.id, on=True)
    assert ask(terminal, session, "and now?").rules == [rule.id]


def test_A16_an_agents_rule_waits_for_a_person(p: Project) -> None:
    terminal, script = Client(p.folder, door="terminal"), Client(p.folder)
    said = (
        '{"replies": [{"calls": [{"name": "propose_rule", "input": '
        '{"title": "Warm up", "text": "Warm up for 500 steps."}}]}, {"text": "Proposed."}], '
        '"default": {"text": "Yes."}}'
    )
    (p.folder / "script.json").write_text(said)
    session = terminal.create_session(model=f"scripted:{p.folder / 'script.json'}").id
    ask(terminal, session, "remember it")
    (rule,) = terminal.memory()
    assert (rule.status, rule.source) == ("proposed", "agent")
    other = terminal.create_session(model="scripted:echo").id
    assert rule.text not in ask(terminal, other, "hello").system
    with pytest.raises(NotAllowed):
        script.patch_rule(rule.id, status="active")
    with pytest.raises(NotAllowed):
        Client(p.folder, door="kernel").patch_rule(rule.id, status="active")
    terminal.patch_rule(rule.id, status="active")
    assert ask(terminal, other, "hello").rules == [rule.id]


def test_memory_survives_a_killed_engine_and_moves_to_another_project(p: Project) -> None:
    client = p.client
    rule = client.add_rule("Text with\n## a heading in it", title="One", tags=["a"], scope="train.py")
    client.patch_rule(rule.id, on=False)
    before = client.memory()
    os.kill(p.engine_pid, signal.SIGKILL)
    wait_until(lambda: client.memory() == before, what="the rules to be there again")
    text = client.export_rules()
    with project("process") as other:
        assert [same(r) for r in other.client.import_rules(text)] == [same(r) for r in before]
        assert other.client.import_rules(text) == []
        other.client.remove_rule(rule.id)
        with pytest.raises(NotFound):
            other.client.get(f"memory/{rule.id}")


def same(rule: MemoryRule) -> tuple[object, ...]:
    return rule.id, rule.title, rule.text, rule.tags, rule.scope, rule.on, rule.status
