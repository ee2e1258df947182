"""The scripted model: from Python, from a file, by name; the same each time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ragent_jupyter.adapters.models.probe import probe
from ragent_jupyter.adapters.models.scripted import CallOf, Fail, Say, ScriptedModel
from ragent_jupyter.domain.model import (
    Ended,
    Message,
    ModelEvent,
    ModelFailed,
    ModelRequest,
    SystemText,
    Text,
    ToolOffer,
    ToolResult,
    ToolUse,
)

RUNS = ToolOffer("list_runs", "All runs.", {"type": "object", "properties": {}})


def ask(text: str, *more: Message, tools: list[ToolOffer] | None = None) -> ModelRequest:
    said = [Message("user", [Text("context of the engine"), Text(text)]), *more]
    return ModelRequest(system=[SystemText("be terse")], messages=said, tools=tools or [])


def hear(model: ScriptedModel, request: ModelRequest) -> list[ModelEvent]:
    async def listen() -> list[ModelEvent]:
        return [e async for e in model.stream(request)]

    return asyncio.run(listen())


def said(model: ScriptedModel, request: ModelRequest) -> str:
    ended = hear(model, request)[-1]
    assert isinstance(ended, Ended)
    return "".join(b.text for b in ended.content if isinstance(b, Text))


def test_replies_come_in_order_then_the_default() -> None:
    model = ScriptedModel([Say(text="one"), lambda r: None, lambda r: Say(text="two")], default=Say(text="rest"))
    assert [said(model, ask("x")) for _ in range(4)] == ["one", "two", "rest", "rest"]
    assert len(model.requests) == 4


def test_a_function_answers_every_request() -> None:
    model = ScriptedModel(lambda request: Say(text=f"{len(request.messages)} messages"))
    assert said(model, ask("x")) == "1 messages"


def test_a_file_can_answer_by_what_was_asked(tmp_path: Path) -> None:
    script = {
        "replies": [{"text": "first"}],
        "when": [
            {"contains": "runs", "tool": "list_runs", "reply": {"calls": [{"name": "list_runs"}]}},
            {"result": "run_a", "reply": {"text": "You have {last_result}"}},
            {"system": "title", "reply": {"text": "A title"}},
        ],
        "default": {"text": "You said {last_text} {and this} stays"},
    }
    (tmp_path / "s.json").write_text(json.dumps(script))
    model = ScriptedModel.named(str(tmp_path / "s.json"))
    ended = hear(model, ask("my runs?", tools=[RUNS]))[-1]
    assert isinstance(ended, Ended) and ended.stop_reason == "tool_use"
    back = Message("user", [ToolResult("t", "run_a")])
    assert said(model, ask("which?", Message("assistant", ended.content), back)) == "You have run_a"
    assert said(model, ask("hello")) == "first"
    assert said(model, ask("hello")) == "You said hello {and this} stays"


def test_repeated_replies_go_round() -> None:
    from ragent_jupyter.adapters.models.scripted import Script

    model = ScriptedModel(Script(replies=[Say(text="a"), Say(text="b")], repeat=True))
    assert [said(model, ask("x")) for _ in range(5)] == ["a", "b", "a", "b", "a"]


def test_the_same_script_gives_the_same_events() -> None:
    def play() -> list[list[ModelEvent]]:
        calls = [CallOf(name="look", input={"a": 1}), CallOf(name="look")]
        model = ScriptedModel([Say(text="I look", calls=calls), Say(text="done", calls=calls)])
        return [hear(model, ask("x")), hear(model, ask("x"))]

    first, second = play(), play()
    assert first == second
    ids = [b.id for events in first for b in events[-1].content if isinstance(b, ToolUse)]  # type: ignore[union-attr]
    assert len(set(ids)) == 4


def test_by_name_it_echoes_or_shows_the_runs() -> None:
    assert said(ScriptedModel.named("echo"), ask("hi")) == "You said: hi"
    demo = ScriptedModel.named("demo")
    ended = hear(demo, ask("hi", tools=[RUNS]))[-1]
    assert isinstance(ended, Ended) and isinstance(ended.content[-1], ToolUse)
    back = Message("user", [ToolResult(ended.content[-1].id, "no runs")])
    assert "no runs" in said(demo, ask("hi", Message("assistant", ended.content), back, tools=[RUNS]))
    assert "a script" in said(demo, ask("hi"))


@pytest.mark.parametrize(("text", "kind"), [("{", "bad_request"), ('{"replys": []}', "bad_request"), (None, "missing")])
def test_a_script_that_cannot_be_read_says_why(tmp_path: Path, text: str | None, kind: str) -> None:
    if text is not None:
        (tmp_path / "s.json").write_text(text)
    with pytest.raises(ModelFailed) as caught:
        ScriptedModel.named(str(tmp_path / "s.json"))
    assert caught.value.kind == kind and caught.value.remedy


def test_it_fails_when_told_to_and_goes_on_after() -> None:
    model = ScriptedModel([Say(text="a b c", fail=Fail(kind="overloaded", retry_after=3)), Say(text="well")])
    with pytest.raises(ModelFailed) as caught:
        hear(model, ask("x"))
    assert (caught.value.kind, caught.value.retry_after) == ("overloaded", 3)
    assert said(model, ask("x")) == "well"


def test_a_probe_of_a_script_tells_what_it_did() -> None:
    able = ScriptedModel([Say(calls=[CallOf(name="add", input={"a": 2, "b": 3})]), Say(text="5")])
    found = asyncio.run(probe(able))
    assert found.ok and found.tools and found.streams and found.usage and found.first_token_ms is not None
    deaf = ScriptedModel([Say(calls=[CallOf(name="add", input={"a": 2})]), Say(fail=Fail(kind="bad_request"))])
    found = asyncio.run(probe(deaf))
    assert not found.ok and "takes no results" in found.problem
    dumb = ScriptedModel([Say(calls=[CallOf(name="add", input={"a": 2})]), Say()])
    assert "said nothing" in asyncio.run(probe(dumb)).problem
