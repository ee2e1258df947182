"""What a decision may do, action by action."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.ports_wild import Outcome
from ragent_jupyter.domain.wild import Action, EditCode, FileEdit, ProposeSweep
from ragent_jupyter.services.wild_hands import DecisionHands
from tests.support.wild_views import event, loop, setup, trial, view

BASE, NEW = "a" * 40, "b" * 40


class Commits:
    """Of trees: an edit always applies."""

    def edit(self, loop_id: str, parent: str, edits: Any, message: str, key: str) -> str:
        assert parent == BASE
        return NEW


def said(*actions: Action) -> list[Outcome]:
    of = loop(commits=[BASE], setup=setup(isolation="tree", may_edit=["*.py"]), autonomy="full", stage="exploring")
    known = [trial(n, 1.0, commit=BASE, params={}, purpose="baseline", seed=n) for n in range(3)]
    seen = replace(view(known), loop=of)
    hands = DecisionHands(seen, event("explore"), Commits(), 10.0)  # type: ignore[arg-type]

    async def play() -> list[Outcome]:
        return [await hands.act(action) for action in actions]

    return asyncio.run(play())


def test_a_change_is_measured_in_the_decision_that_made_it() -> None:
    """The default has been run with the old code; with the new one it has not."""
    measure = ProposeSweep(name="measure", points=[{"seed": 0}])
    change = EditCode(summary="a change", edits=[FileEdit(path="model.py", old="a", new="b")])
    [alone] = said(measure)
    assert not alone.accepted and "Already tried" in alone.text
    made, measured = said(change, measure)
    assert made.accepted and measured.accepted, measured.text
