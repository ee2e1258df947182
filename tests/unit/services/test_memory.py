"""The desk of memory: what counts, what waits, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from ragent_jupyter.adapters.store.memory import MemoryStore
from ragent_jupyter.domain.chat import MemoryRule
from ragent_jupyter.domain.errors import (
    BadInput,
    BudgetSpent,
    CannotBeDone,
    NotAllowed,
    NotFound,
    RagentError,
    TooLarge,
)
from ragent_jupyter.domain.wire_chat import PutRule
from ragent_jupyter.services.memory import MAX_ACTIVE, MAX_PROPOSED, MAX_TEXT, MAX_TITLE, MemoryDesk, applies
from ragent_jupyter.services.shell import Shell

from .desks import Desks

T = TypeVar("T")


def run(do: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(do)


@pytest.fixture
def desks(tmp_path: Path) -> Desks:
    return Desks(tmp_path)


@pytest.fixture
def memory(desks: Desks) -> MemoryDesk:
    return MemoryDesk(desks.shell)


def events(desks: Desks) -> list[tuple[str, str]]:
    _, lines = desks.shell.events_after(0, frozenset({"memory"}))
    return [(e["type"], e["data"]["id"]) for e in map(msgspec.json.decode, lines)]


def test_what_a_person_adds_counts_at_once_and_is_told(desks: Desks, memory: MemoryDesk) -> None:
    async def go() -> None:
        rule = await memory.create(PutRule(text="Use bf16. It is stable.", tags=["gpu", "gpu", " "]), by="ann")
        assert (rule.title, rule.source, rule.by, rule.tags) == ("Use bf16", "user", "ann", ["gpu"])
        assert memory.active() == [rule]
        off = await memory.patch(rule.id, PutRule(on=False))
        assert memory.active() == [] and memory.get(rule.id) == off
        await memory.patch(rule.id, PutRule(on=True, text="Use bf16."))
        assert [r.text for r in memory.active()] == ["Use bf16."]
        await memory.remove(rule.id)
        with pytest.raises(NotFound):
            memory.get(rule.id)
        assert events(desks) == [(t, rule.id) for t in ("rule_created", "rule_changed", "rule_changed", "rule_removed")]

    run(go())


def test_a_change_that_changes_nothing_is_no_event(desks: Desks, memory: MemoryDesk) -> None:
    async def go() -> None:
        rule = await memory.create(PutRule(title="t", text="x"))
        assert await memory.patch(rule.id, PutRule(title="t", on=True, status="active")) == rule
        assert len(events(desks)) == 1

    run(go())


def test_rules_are_there_after_a_restart(desks: Desks, memory: MemoryDesk) -> None:
    async def go() -> None:
        kept = await memory.create(PutRule(title="kept", text="x"))
        gone = await memory.create(PutRule(title="gone", text="y"))
        await memory.remove(gone.id)
        again = Shell(desks.store, desks.clock)
        again.load()
        assert MemoryDesk(again).all() == [kept]

    run(go())


def test_a_proposal_waits_for_a_person(memory: MemoryDesk) -> None:
    async def go() -> None:
        rule = await memory.propose("lr", "Warm up.", ["lr"], "train.py", by="turn trn_1", request_id="call_1")
        assert rule.status == "proposed" and memory.active() == []
        with pytest.raises(NotAllowed):
            await memory.patch(rule.id, PutRule(status="active"), person=False)
        with pytest.raises(NotAllowed):
            await memory.patch(rule.id, PutRule(on=False), person=False)
        assert memory.active() == []
        agreed = await memory.patch(rule.id, PutRule(status="active"))
        assert memory.active() == [agreed]
        assert await memory.patch(rule.id, PutRule(status="active")) == agreed, "approving twice changes nothing"
        with pytest.raises(BadInput):
            await memory.patch(rule.id, PutRule(status="refused"))

    run(go())


def test_a_proposal_is_made_once(desks: Desks, memory: MemoryDesk) -> None:
    async def go() -> None:
        first = await memory.propose("a", "Text.", request_id="call_1")
        assert await memory.propose("a", "Text.", request_id="call_1") == first
        assert await memory.propose("a", "Said otherwise.", request_id="call_1") == first, "the same call"
        assert await memory.propose("other title", "Text.", request_id="call_2") == first, "the same words"
        again = Shell(desks.store, desks.clock)
        again.load()
        assert await MemoryDesk(again).propose("a", "Text.", request_id="call_1") == first, "after a crash"
        refused = await memory.patch(first.id, PutRule(status="refused"))
        assert await memory.propose("a", "Text.", request_id="call_3") == refused, "an agent reads that it was refused"
        assert len(memory.all()) == 1

    run(go())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (PutRule(), BadInput),
        (PutRule(title="t", text="  \n"), BadInput),
        (PutRule(title="t", text="x", status="active"), BadInput),
        (PutRule(title="t" * (MAX_TITLE + 1), text="x"), TooLarge),
        (PutRule(title="t", text="x" * (MAX_TEXT + 1)), TooLarge),
        (PutRule(title="t", text="x", tags=["t" * 51]), TooLarge),
        (PutRule(title="t", text="x", tags=[str(n) for n in range(21)]), TooLarge),
        (PutRule(title="t", text="x", scope="s" * 501), TooLarge),
        (PutRule(title="\x00\x1b", text="x"), BadInput),
    ],
)
def test_what_is_no_rule_is_refused_and_leaves_nothing(memory: MemoryDesk, body: PutRule, error: type) -> None:
    with pytest.raises(error) as refusal:
        run(memory.create(body))
    assert isinstance(refusal.value, RagentError) and refusal.value.remedy
    assert memory.all() == []


def test_an_edit_is_held_to_the_same(memory: MemoryDesk) -> None:
    async def go() -> None:
        rule = await memory.create(PutRule(title="t", text="x"))
        for body in (PutRule(title=" "), PutRule(text=""), PutRule(source="agent"), PutRule(status="refused")):
            with pytest.raises(BadInput):
                await memory.patch(rule.id, body)
        with pytest.raises(TooLarge):
            await memory.patch(rule.id, PutRule(text="x" * (MAX_TEXT + 1)))
        with pytest.raises(NotFound):
            await memory.patch("mem_nobody", PutRule(on=False))
        assert memory.get(rule.id) == rule

    run(go())


def test_there_is_room_for_so_many(memory: MemoryDesk) -> None:
    async def go() -> None:
        for n in range(MAX_ACTIVE):
            rule = await memory.create(PutRule(title=str(n), text=f"rule {n}"))
        with pytest.raises(CannotBeDone):
            await memory.create(PutRule(title="one more", text="x"))
        waiting = await memory.create(PutRule(title="off", text="x", on=False))
        with pytest.raises(CannotBeDone):
            await memory.patch(waiting.id, PutRule(on=True))
        with pytest.raises(CannotBeDone):
            await memory.import_("- one more")
        await memory.patch(rule.id, PutRule(text="an edit is no new rule"))
        await memory.patch(rule.id, PutRule(on=False))
        await memory.patch(waiting.id, PutRule(on=True))
        for n in range(MAX_PROPOSED):
            await memory.propose(str(n), f"idea {n}")
        with pytest.raises(BudgetSpent):
            await memory.propose("one more", "idea")

    run(go())


def test_secrets_and_control_characters_are_not_kept(desks: Desks, memory: MemoryDesk) -> None:
    secret = "sk-ant-api03-" + "aB3dE5" * 15
    rule = run(memory.create(PutRule(title=f"key {secret}", text=f"use {secret}\x1b[31m\x07 now", tags=[])))
    assert secret not in rule.title + rule.text and "\x1b" not in rule.text and "\x07" not in rule.text
    _, lines = desks.shell.events_after(0, None)
    assert all(secret.encode() not in line for line in lines)
    proposed = run(memory.propose("k", f"password={secret}"))
    assert secret not in proposed.text


def test_the_order_is_that_of_their_making(desks: Desks, memory: MemoryDesk) -> None:
    async def go() -> None:
        made = []
        for n in (3, 1, 2):
            desks.clock.at += 1
            made.append(await memory.create(PutRule(title=str(n), text=str(n))))
        await memory.patch(made[0].id, PutRule(text="edited"))
        assert [r.title for r in memory.active()] == ["3", "1", "2"]

    run(go())


@pytest.mark.parametrize(
    ("scope", "hints", "so"),
    [
        ("", ["x"], True), ("train.py", ["a/train.py"], True), ("./a/train.py", ["a/train.py"], True),
        ("a/", ["a/b/c.py"], True), ("a", ["ab/c.py"], False), ("*.ipynb", ["a.ipynb"], True),
        ("swp_1", ["run_1", "swp_1"], True), ("train.py", [], False), ("b.py", ["a/train.py"], False),
    ],
)  # fmt: skip
def test_a_scope(scope: str, hints: list[str], so: bool) -> None:
    assert applies(scope, hints) is so


def test_rules_for_something_else_are_left_out_only_for_those_who_say_what_they_do(
    desks: Desks, memory: MemoryDesk
) -> None:
    async def go() -> None:
        await memory.create(PutRule(title="all", text="1"))
        desks.clock.at += 1
        await memory.create(PutRule(title="train", text="2", scope="train.py"))
        assert [r.title for r in memory.active()] == ["all", "train"]
        assert [r.title for r in memory.active(["eval.py"])] == ["all"]

    run(go())


def test_memory_md_goes_out_and_comes_back(memory: MemoryDesk, tmp_path: Path) -> None:
    async def go() -> None:
        one = await memory.create(PutRule(title="one", text="## text", tags=["a"], scope="x.py"))
        await memory.patch(one.id, PutRule(on=False))
        await memory.propose("two", "waits")
        before = memory.all()
        text = memory.export()
        assert await memory.import_(text) == [], "the same file changes nothing"
        elsewhere = MemoryDesk(Desks(tmp_path).shell)
        await elsewhere.import_(text)
        assert [without_times(r) for r in elsewhere.all()] == [without_times(r) for r in before]
        (changed,) = await memory.import_(text.replace("## text", "## text"[:-1] + "s"))
        assert changed.id == one.id and changed.text == "## texs"

    run(go())


def without_times(rule: MemoryRule) -> MemoryRule:
    return msgspec.structs.replace(rule, created_at=0.0, updated_at=0.0)


def test_an_import_is_all_or_nothing_and_keeps_the_files_order(memory: MemoryDesk) -> None:
    async def go() -> None:
        with pytest.raises(TooLarge):
            await memory.import_(f"- fine\n\n## Too long\n{'x' * (MAX_TEXT + 1)}")
        with pytest.raises(BadInput):
            await memory.import_("nothing here")
        with pytest.raises(TooLarge):
            await memory.import_("- x\n" * 1_000_000)
        assert memory.all() == []
        await memory.import_("- b\n- a\n- b")
        assert [r.title for r in memory.all()] == ["b", "a"], "the same title twice is one rule"

    run(go())


def test_an_import_approves_only_where_a_person_brings_it(memory: MemoryDesk) -> None:
    async def go() -> None:
        rule = await memory.propose("idea", "do it")
        await memory.import_("## idea\ndo it at once", person=False)
        assert memory.get(rule.id).status == "proposed" and memory.active() == []
        await memory.import_("## idea\ndo it at once")
        assert [r.id for r in memory.active()] == [rule.id]

    run(go())


def test_a_hostile_id_in_a_file_is_not_taken(memory: MemoryDesk) -> None:
    (rule,) = run(memory.import_('## t\n<!-- ragent {"id": "mem_../../x"} -->\ntext'))
    assert rule.id.startswith("mem_") and "." not in rule.id


def test_a_store_that_refuses_leaves_memory_as_it_was(memory: MemoryDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: MemoryStore, tx: object) -> list[int]:
        raise CannotBeDone("The disk is full.", "Free some.")

    async def go() -> None:
        monkeypatch.setattr(MemoryStore, "commit", refuse)
        with pytest.raises(CannotBeDone):
            await memory.create(PutRule(title="t", text="x"))
        assert memory.all() == []

    run(go())
