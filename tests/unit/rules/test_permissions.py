"""What goes ahead without a person, and what never does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ragent_jupyter.domain.chat import Approval, Grant, Preview, Touched
from ragent_jupyter.domain.tools import Allow, Ask, Refuse, ToolSpec
from ragent_jupyter.rules.permissions import call_hash, covers, grant_of, offered, permit

MODES = ("ask", "accept_edits", "plan", "bypass")
EFFECTS = ("read", "note", "edit", "run", "act", "reach", "ask")
TABLE = {  # what DESIGN and the modes' names promise, a row an effect
    "read": (Allow, Allow, Allow, Allow),
    "note": (Allow, Allow, Allow, Allow),
    "edit": (Ask, Allow, Refuse, Allow),
    "run": (Ask, Ask, Refuse, Allow),
    "act": (Ask, Ask, Refuse, Allow),
    "reach": (Ask, Ask, Refuse, Allow),
    "ask": (Ask, Ask, Ask, Ask),
}


@pytest.mark.parametrize(("mode", "effect"), list(itertools.product(MODES, EFFECTS)))
def test_each_mode_and_effect(mode: Any, effect: Any) -> None:
    assert type(permit(mode, effect, Preview(title="x"))) is TABLE[effect][MODES.index(mode)]


def test_a_grant_opens_its_pattern_and_no_more() -> None:
    git = Preview(title="x", pattern="run_shell:git status -s")
    assert isinstance(permit("ask", "run", git, [Grant(id="g", pattern="run_shell:git status*", created_at=0)]), Allow)
    for other in ("run_shell:git push*", "run_shell", "edit_file:git status*", "run_shell:GIT STATUS*", ""):
        assert isinstance(permit("ask", "run", git, [Grant(id="g", pattern=other, created_at=0)]), Ask), other


def test_no_grant_opens_what_is_dangerous_or_has_no_pattern() -> None:
    grants = [Grant(id="g", pattern="run_shell:*", created_at=0), Grant(id="h", pattern="", created_at=0)]
    assert isinstance(permit("ask", "run", Preview(title="x", pattern="run_shell:rm -rf x", danger=True), grants), Ask)
    assert isinstance(permit("ask", "run", Preview(title="x"), grants), Ask)


def test_a_grant_does_not_outvote_plan_mode() -> None:
    grants = [Grant(id="g", pattern="launch_run", created_at=0)]
    assert isinstance(permit("plan", "run", Preview(title="x", pattern="launch_run"), grants), Refuse)


@pytest.mark.parametrize("hidden", ["run_shell:git status\nrm -rf /", "run_shell:git status\rrm x"])
def test_a_second_line_hides_behind_no_pattern(hidden: str) -> None:
    assert not covers("run_shell:git status*", hidden)


def test_plan_mode_offers_only_what_looks_and_asks() -> None:
    specs = [ToolSpec(name=e, title=e, description="", args=object, effect=e) for e in EFFECTS]
    assert offered("plan", specs) == ["read", "note", "ask"]
    assert offered("ask", specs) == list(EFFECTS)


def test_an_approval_is_bound_to_the_call_and_to_the_files_as_they_were() -> None:
    shown = Preview(title="Edit", diff="-a\n+b", touches=[Touched("a.py", "1" * 64)])
    one = call_hash("edit_file", {"path": "a.py"}, shown)
    assert one == call_hash("edit_file", {"path": "a.py"}, shown)
    assert one != call_hash("edit_file", {"path": "b.py"}, shown)
    assert one != call_hash("run_shell", {"path": "a.py"}, shown)
    assert one != call_hash(
        "edit_file", {"path": "a.py"}, Preview(title="Edit", diff="-a\n+b", touches=[Touched("a.py", "2" * 64)])
    )
    assert one != call_hash("edit_file", {"path": "a.py"}, Preview(title="Edit", diff="-a\n+c", touches=shown.touches))


def answered(scope: Any, **shows: Any) -> Approval:
    status = "refused" if scope == "no" else "approved"
    return Approval(id="apr", shows=Preview(title="x", **shows), hash="h", asked_at=0, status=status, scope=scope)


def test_what_an_answer_allows_from_then_on() -> None:
    assert grant_of(answered("once", pattern="launch_run"), "ses", "g", 1.0) is None
    assert grant_of(answered("no", pattern="launch_run"), "ses", "g", 1.0) is None
    assert grant_of(answered("always"), "ses", "g", 1.0) is None
    assert grant_of(answered("always", pattern="run_shell:rm x", danger=True), "ses", "g", 1.0) is None
    session = grant_of(answered("session", pattern="launch_run"), "ses", "g", 1.0)
    always = grant_of(answered("always", pattern="launch_run"), "ses", "g", 1.0)
    assert session == Grant(id="g", pattern="launch_run", created_at=1.0, session_id="ses")
    assert always == Grant(id="g", pattern="launch_run", created_at=1.0)
