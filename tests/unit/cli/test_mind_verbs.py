"""`ragent memory`, `keys`, `models`, `usage`: what they send, what they say, their exit codes."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from ragent_jupyter.domain.errors import NotAllowed
from tests.support.fake_engine import FakeEngine

from .conftest import Ragent

RULE: dict[str, Any] = {
    "id": "mem_a1", "title": "Use \x1b[31mbf16", "text": "It is stable.", "created_at": 1.0, "updated_at": 1.0,
    "tags": ["gpu"], "scope": "train.py",
}  # fmt: skip
IDEA = RULE | {"id": "mem_b2", "title": "Warm up", "status": "proposed", "source": "agent", "scope": ""}
MODEL = {"id": "claude-x", "provider": "anthropic", "title": "Claude X", "price_input": 3.0, "price_output": 15.0}


@pytest.fixture(autouse=True)
def nobody_at_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))


@pytest.fixture
def memory(engine: FakeEngine) -> FakeEngine:
    engine.on["GET", "memory"] = lambda q, b: {"rules": [RULE, IDEA]}
    engine.on["POST", "memory"] = lambda q, b: (201, RULE)
    for rule in (RULE, IDEA):
        path = f"memory/{rule['id']}"
        engine.on["PATCH", path] = lambda q, b, rule=rule: rule | {k: v for k, v in b.items() if v is not None}
        engine.on["DELETE", path] = lambda q, b, rule=rule: rule
    engine.on["POST", "memory/import"] = lambda q, b: {"rules": [RULE]}
    engine.on["GET", "memory/export"] = lambda q, b: b"# Memory\n"
    return engine


def test_rules_are_listed_those_that_wait_first(memory: FakeEngine, ragent: Ragent) -> None:
    out = ragent("memory").out
    assert out.index("? proposed  mem_b2") < out.index("✓ on  mem_a1  Use bf16  user #gpu for train.py")
    assert "ragent memory approve mem_b2" in out
    assert len(ragent("memory", "list", "--json").document["rules"]) == 2
    memory.on["GET", "memory"] = lambda q, b: {"rules": []}
    assert "No rules" in ragent("memory").out


def test_a_rule_is_added_from_words_or_stdin(
    memory: FakeEngine, ragent: Ragent, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ragent("memory", "add", "Use", "bf16", "--tags", "a,b", "--scope", "x.py", "--title", "T").code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("from\na file"))
    assert ragent("memory", "add").code == 0
    one, two = memory.bodies("POST", "memory")
    assert (one["text"], one["tags"], one["scope"], one["title"]) == ("Use bf16", ["a", "b"], "x.py", "T")
    assert two["text"] == "from\na file"


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [("on", "on", True), ("off", "on", False), ("approve", "status", "active"), ("refuse", "status", "refused")],
)
def test_switches(memory: FakeEngine, ragent: Ragent, action: str, field: str, value: Any) -> None:
    assert ragent("memory", action, "Warm up").code == 0
    (body,) = memory.bodies("PATCH", "memory/mem_b2")
    assert {k: v for k, v in body.items() if v is not None} == {field: value}
    assert memory.doors[-1] == "script", "nobody is at this stdin, and the engine refuses such an approval"


def test_what_the_engine_refuses_is_said(memory: FakeEngine, ragent: Ragent) -> None:
    memory.on["PATCH", "memory/mem_b2"] = lambda q, b: NotAllowed("It waits for a person's word.", "In a terminal.")
    said = ragent("memory", "approve", "b2")
    assert said.code == 1 and "waits for a person" in said.err


def test_remove_import_and_export(memory: FakeEngine, ragent: Ragent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "removed  mem_a1" in ragent("memory", "remove", "a1").out
    (memory.project / "MEMORY.md").write_text("- a rule")
    assert "1 rule new or changed" in ragent("memory", "import", "MEMORY.md").out
    monkeypatch.setattr(sys, "stdin", io.StringIO("- b"))
    assert ragent("memory", "import", "-").code == 0
    assert [b["text"] for b in memory.bodies("POST", "memory/import")] == ["- a rule", "- b"]
    assert ragent("memory", "export").out == "# Memory\n"
    assert ragent("memory", "export", "--json").document == {"text": "# Memory\n"}


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["list", "x"], 2), (["on"], 2), (["on", "a", "b"], 2), (["on", "nobody"], 1), (["off", "mem_"], 2),
        (["import"], 2), (["import", "gone.md"], 1), (["dance"], 2),
    ],
)  # fmt: skip
def test_bad_input(memory: FakeEngine, ragent: Ragent, argv: list[str], code: int) -> None:
    said = ragent("memory", *argv, "--json")
    assert said.code == code and said.error["remedy"] and said.out == ""


def test_a_file_that_is_no_text(memory: FakeEngine, ragent: Ragent) -> None:
    (memory.project / "x.md").write_bytes(b"\xff\xfe\x00")
    assert "it is no text" in ragent("memory", "import", "x.md").err


# --- keys ---------------------------------------------------------------------------------------------------------
STATE = {"name": "OPENAI_API_KEY", "set": True, "source": "file", "hint": "ends in 1234"}


def test_keys(engine: FakeEngine, ragent: Ragent, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.on["GET", "keys"] = lambda q, b: {"keys": [STATE, {"name": "X", "set": False}]}
    engine.on["PUT", "keys"] = lambda q, b: {"keys": [STATE]}
    out = ragent("keys").out
    assert "OPENAI_API_KEY" in out and "ends in 1234" in out and "○ not set" in out
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-secret-1234\n"))
    assert "sk-secret" not in ragent("keys", "set", "OPENAI_API_KEY").out
    assert ragent("keys", "remove", "OPENAI_API_KEY").code == 0
    assert [b["value"] for b in engine.bodies("PUT", "keys")] == ["sk-secret-1234", None]
    assert engine.doors[-1] == "script", "nobody is there"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-secret-1234\n"))
    assert ragent("keys", "set", "OPENAI_API_KEY").code == 0
    assert engine.doors[-1] == "terminal", "somebody sits at the screen, and pipes a key in"
    assert ragent("keys").code == 0 and engine.doors[-1] == "script"
    assert ragent("keys", "set").code == 2
    assert ragent("keys", "set", "X", "sk-on-the-command-line").code == 2, "never as an argument"
    assert ragent("keys", "set", "X").code == 2, "an empty stdin"
    assert ragent("keys", "list", "X").code == 2


# --- models, usage ------------------------------------------------------------------------------------------------
def test_models(engine: FakeEngine, ragent: Ragent) -> None:
    reply = {"roles": [{"role": "chat", "model": MODEL, "why": "no key"}], "models": [MODEL]}
    engine.on["GET", "models"] = lambda q, b: reply
    engine.on["PUT", "models"] = lambda q, b: reply
    out = ragent("models").out
    assert "anthropic:claude-x" in out and "3 in, 15 out" in out and "No key is set" in out
    shown = ragent("models", "--set", "chat=scripted:demo", "--set", "judge=", "--json").document
    assert shown["roles"][0]["model"]["id"] == "claude-x"
    (body,) = engine.bodies("PUT", "models")
    assert body["roles"] == {"chat": "scripted:demo", "judge": None}
    assert ragent("models", "--set", "nobody=x").code == ragent("models", "--set", "chat").code == 2


def test_a_model_is_tried(engine: FakeEngine, ragent: Ragent) -> None:
    good = {"model": "m:x", "ok": True, "streams": True, "tools": True, "first_token_ms": 120.4}
    engine.on["POST", "models/test"] = lambda q, b: good
    said = ragent("models", "--test", "m:x")
    assert said.code == 0 and "first token after 120 ms: streams, tools" in said.out
    engine.on["POST", "models/test"] = lambda q, b: {"model": "m:x", "ok": False, "problem": "401", "remedy": "Set it."}
    said = ragent("keys", "test", "--json")
    assert said.code == 1 and said.document["problem"] == "401"
    assert [b["model"] for b in engine.bodies("POST", "models/test")] == ["m:x", ""]


def test_usage(engine: FakeEngine, ragent: Ragent) -> None:
    used = {"input": 1000, "output": 50, "cache_read": 500, "cost": 0.0123, "calls": 2}
    engine.on["GET", "usage"] = lambda q, b: {
        "lines": [{"day": "2026-11-22", "role": "chat", "model": "m", "usage": used}],
        "today": used, "month": {"cost": None, "calls": 3}, "limit_day": 5.0,
    }  # fmt: skip
    out = ragent("usage", "--days", "7").out
    assert "today $0.012 of at most $5.00, this month cost unknown" in out and "1,500" in out
    assert engine.asked[-1][2] == {"days": "7"}
    assert ragent("usage", "--days", "0").code == 2


def test_a_daily_limit_is_set_and_taken_away(engine: FakeEngine, ragent: Ragent) -> None:
    engine.on["GET", "usage"] = lambda q, b: {"lines": [], "today": {}, "month": {}, "limit_day": 5.0}
    engine.on["PUT", "prefs"] = lambda q, b: {"prefs": b}
    assert "of at most $5.00" in ragent("usage", "--limit", "5").out
    ragent("usage", "--limit", "none")
    assert engine.bodies("PUT", "prefs") == [{"budget_day_usd": 5.0}, {"budget_day_usd": None}]
    for wrong in ("much", "-1", "nan", "inf"):
        assert ragent("usage", f"--limit={wrong}").code == 2
