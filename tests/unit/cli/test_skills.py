"""`ragent skills`: what it sends, what it says, its exit codes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.errors import NotAllowed
from tests.support.fake_engine import FakeEngine

from .conftest import Ragent

SHIPPED: dict[str, Any] = {
    "name": "wild-alert", "title": "An \x1b[31malert", "description": "Asked when",
    "text": "---\nname: wild-alert\n---\nx", "path": "skills/wild-alert.md", "version": "abc123abc123",
}  # fmt: skip
EDITED = SHIPPED | {"name": "wild-explore", "source": "project", "edited": True}
MINE = SHIPPED | {"name": "mine", "source": "installed"}


@pytest.fixture(autouse=True)
def nobody_at_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("the new text"))


@pytest.fixture
def skills(engine: FakeEngine) -> FakeEngine:
    engine.on["GET", "skills"] = lambda q, b: {"skills": [SHIPPED, EDITED, MINE] if not q.get("q") else [MINE]}
    for skill in (SHIPPED, EDITED, MINE):
        path = f"skills/{skill['name']}"
        engine.on["GET", path] = lambda q, b, skill=skill: skill
        engine.on["PUT", path] = lambda q, b, skill=skill: skill | {"text": b["text"]}
        left = [SHIPPED] if skill is EDITED else []
        engine.on["DELETE", path] = lambda q, b, left=left: {"skills": left}
    engine.on["POST", "skills/install"] = lambda q, b: (201, {"skills": [MINE]})
    return engine


def test_skills_are_listed_searched_and_shown(skills: FakeEngine, ragent: Ragent) -> None:
    out = ragent("skills").out
    assert "wild-alert  shipped  An alert" in out and "wild-explore  edited" in out and "mine  installed" in out
    assert [s["name"] for s in ragent("skills", "search", "my", "own", "--json").document["skills"]] == ["mine"]
    assert skills.asked[-1][2] == {"q": "my own"}
    assert ragent("skills", "show", "wild-alert").out == "---\nname: wild-alert\n---\nx\n"
    skills.on["GET", "skills"] = lambda q, b: {"skills": []}
    assert "No skill fits." in ragent("skills", "search", "nothing").out


def test_a_skill_is_written_from_a_file_or_stdin(skills: FakeEngine, ragent: Ragent, project: Path) -> None:
    (project / "new.md").write_text("from a file")
    assert ragent("skills", "edit", "wild-alert", "--file", "new.md").code == 0
    assert "saved  wild-alert" in ragent("skills", "edit", "wild-alert", "--file", "-").out
    assert [body["text"] for body in skills.bodies("PUT", "skills/wild-alert")] == ["from a file", "the new text"]
    assert ragent("skills", "edit", "wild-alert", "--file", "missing.md").code == 1
    assert ragent("skills", "edit", "wild-alert").code == 3, "nobody is here to edit"


def test_installing_sends_a_folder_as_it_is_seen_from_here(skills: FakeEngine, ragent: Ragent, project: Path) -> None:
    (project / "some").mkdir()
    assert "installed  mine" in ragent("skills", "install", "some").out
    ragent("skills", "install", "https://example.org/skills.git")
    sources = [body["source"] for body in skills.bodies("POST", "skills/install")]
    assert sources == [str(project / "some"), "https://example.org/skills.git"]


def test_reset_and_remove_are_not_the_same(skills: FakeEngine, ragent: Ragent) -> None:
    assert "reset  wild-explore" in ragent("skills", "reset", "wild-explore").out
    assert "removed  mine" in ragent("skills", "remove", "mine").out
    wrong = ragent("skills", "remove", "wild-explore")
    assert wrong.code == 2 and "reset" in wrong.err
    assert ragent("skills", "reset", "mine").code == 2
    skills.on["DELETE", "skills/wild-explore"] = lambda q, b: NotAllowed("Only a person may.", "In a terminal.")
    refused = ragent("skills", "reset", "wild-explore")
    assert refused.code == 1 and "Only a person" in refused.err and skills.doors[-1] == "script"


@pytest.mark.parametrize(
    "words", [["list", "x"], ["search"], ["show"], ["show", "a/b"], ["install", "a", "b"], ["fly"]]
)
def test_what_it_does_not_take_is_usage(skills: FakeEngine, ragent: Ragent, words: list[str]) -> None:
    assert ragent("skills", *words).code == 2
