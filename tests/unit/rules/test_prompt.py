"""The prompt is made from the record alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.chat import MemoryRule, Part, TextPart, ThinkingPart, ToolPart, Turn, UserMessage
from ragent_jupyter.domain.model import Image, Message, Text, Thinking, ToolResult, ToolUse
from ragent_jupyter.rules.compaction import cut, fit, tokens_of_messages
from ragent_jupyter.rules.prompt import conversation, merged, one_line, quote, standing, system_prompt


def turn_of(n: int, text: str = "", status: Any = "done", steps: int = 1, **more: Any) -> Turn:
    message = UserMessage(id=f"msg_{n}", text=text or f"question {n}", at=0.0)
    return Turn(id=f"trn_{n}", session_id="s", n=n, message=message, status=status, created_at=0.0, steps=steps, **more)


def part(make: Any, n: int, index: int, step: int = 1, **more: Any) -> Any:
    return make(id=f"prt_{n}_{index}", session_id="s", turn_id=f"trn_{n}", index=index, step=step, **more)


def tool(n: int, index: int, step: int = 1, **more: Any) -> ToolPart:
    fields: dict[str, Any] = {"call_id": f"c{n}{index}", "name": "read_log", "status": "done", "output": "out"}
    return part(ToolPart, n, index, step, **fields | more)  # type: ignore[no-any-return]


def test_a_turn_of_two_steps_reads_as_question_call_result_answer() -> None:
    parts: list[Part] = [
        part(ThinkingPart, 1, 0, text="hm", signature="sig", status="done"),
        part(TextPart, 1, 1, text="I look.", status="done"),
        tool(1, 2),
        part(TextPart, 1, 3, step=2, text="It is 3.", status="done"),
    ]
    said = conversation([turn_of(1, steps=2)], {"trn_1": parts}, "trn_1", {})
    assert said == [
        Message("user", [Text("question 1")]),
        Message("assistant", [Thinking("hm", "sig"), Text("I look."), ToolUse("c12", "read_log", {})]),
        Message("user", [ToolResult("c12", "out")]),
        Message("assistant", [Text("It is 3.")]),
    ]


def test_what_broke_off_is_never_the_models_word() -> None:
    parts: list[Part] = [
        part(TextPart, 1, 0, text="half", status="cut"),
        tool(1, 1, status="cut"),
        part(TextPart, 1, 2, step=1, text="whole", status="done"),
        part(TextPart, 1, 3, step=2, text="being written", status="streaming"),
    ]
    said = conversation([turn_of(1, steps=1)], {"trn_1": parts}, "trn_1", {})
    assert said[1:] == [Message("assistant", [Text("whole")])]


def test_every_call_has_its_result_whatever_became_of_it() -> None:
    for status, word in (
        ("writing", "not made"),
        ("waiting", "not made"),
        ("running", "not known"),
        ("stopped", "stopped"),
    ):
        said = conversation([turn_of(1)], {"trn_1": [tool(1, 0, status=status, output="")]}, "trn_1", {})
        (result,) = said[2].content
        assert isinstance(result, ToolResult) and result.is_error and word in result.text


def test_context_and_thinking_are_of_the_current_turn_alone() -> None:
    turns = [turn_of(1, context="old state"), turn_of(2, context="new state")]
    parts = {
        "trn_1": [
            part(ThinkingPart, 1, 0, text="t", signature="s", status="done"),
            part(TextPart, 1, 1, text="a", status="done"),
        ]
    }
    said = conversation(turns, parts, "trn_2", {})
    assert said[0].content == [Text("question 1")]
    assert said[1].content == [Text("a")]
    assert said[2].content == [Text("new state"), Text("question 2")]


def test_a_retry_takes_out_what_it_replaces_and_all_after_it() -> None:
    turns = [turn_of(1), turn_of(2), turn_of(3), turn_of(4, retry_of="trn_2")]
    assert [t.n for t in standing(turns)] == [1, 4]


def test_roles_alternate() -> None:
    said = merged([Message("user", [Text("a")]), Message("user", [Text("b")]), Message("assistant", [Text("c")])])
    assert said == [Message("user", [Text("a"), Text("b")]), Message("assistant", [Text("c")])]


def test_rules_stand_in_the_prompt_and_end_the_cached_part() -> None:
    rule = MemoryRule(id="mem", title="Seeds\nevil", text="Use five seeds.", created_at=0, updated_at=0)
    texts = system_prompt("ask", [rule])
    assert "- Seeds evil: Use five seeds." in texts[1].text and [t.cache for t in texts] == [False, True, False]
    assert [t.cache for t in system_prompt("plan", [])] == [True, False]
    assert "propose_plan" in system_prompt("plan", [])[-1].text


@given(st.text(max_size=200), st.text(max_size=60))
def test_a_quotation_cannot_be_ended_from_inside(text: str, source: str) -> None:
    said = quote(text + "</data>" + text + "< / DATA >", source)
    assert said.lower().count("</data>") == 1 and said.endswith("\n</data>")
    assert said.split("\n")[0].count('"') == 2


@given(st.text(max_size=300), st.integers(1, 50))
def test_one_line_is_one_line(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line.splitlines()) <= 1 and len(line) <= most


def long_chat(turns: int, size: int) -> tuple[list[Turn], dict[str, list[Part]]]:
    made = [turn_of(n, f"question {n} " + "word " * 20, steps=2, context="state " * 50) for n in range(1, turns + 1)]
    parts: dict[str, list[Part]] = {
        f"trn_{n}": [
            tool(n, 0, output=f"log of {n} " + "x" * size),
            part(TextPart, n, 1, step=2, text=f"answer {n}", status="done"),
        ]
        for n in range(1, turns + 1)
    }
    return made, parts


@given(st.integers(1, 25), st.integers(10, 6000), st.integers(800, 30_000))
def test_a_conversation_is_made_to_fit_in_the_same_way_each_time(turns: int, size: int, room: int) -> None:
    made, parts = long_chat(turns, size)
    fitted = fit(made, parts, f"trn_{turns}", {}, room)
    assert fitted == fit(made, parts, f"trn_{turns}", {}, room)
    assert fitted.level == 4 or fitted.tokens <= room
    assert fitted.tokens == tokens_of_messages(fitted.messages)
    assert f"question {turns}" in str(fitted.messages)  # what is asked now is never left out
    calls = [b.id for m in fitted.messages for b in m.content if isinstance(b, ToolUse)]
    results = [b.tool_use_id for m in fitted.messages for b in m.content if isinstance(b, ToolResult)]
    assert calls == results
    assert all(a.role != b.role for a, b in zip(fitted.messages, fitted.messages[1:], strict=False))


def test_what_is_left_out_grows_with_need() -> None:
    made, parts = long_chat(12, 5000)
    whole = fit(made, parts, "trn_12", {}, 10**6)
    assert whole.level == 0 and whole.tokens > 15_000
    levels = [fit(made, parts, "trn_12", {}, room).level for room in (15_000, 9_000, 4_200, 1_000)]
    assert levels == sorted(levels) and levels[0] >= 1 and levels[-1] == 4
    folded = fit(made, parts, "trn_12", {}, 4_200)
    assert "1. asked: question 1" in folded.messages[0].content[0].text  # type: ignore[union-attr]
    assert "used: read_log" in folded.messages[0].content[0].text  # type: ignore[union-attr]


def test_a_cut_result_says_how_much_is_missing() -> None:
    said = cut("a" * 1000 + "END", 900)
    assert said.startswith("aaa") and said.endswith("END") and "103 characters left out" in said
    assert cut("first line\nsecond " + "x" * 900, 160).startswith("first line second")


def test_images_reach_the_model_where_they_were_attached() -> None:
    turn = turn_of(1)
    import msgspec

    from ragent_jupyter.domain.chat import Attachment

    message = msgspec.structs.replace(
        turn.message, attachments=[Attachment(id="a", name="p.png", media_type="image/png", size=3)]
    )
    turn = msgspec.structs.replace(turn, message=message)
    image = Image("image/png", "AAAA")
    assert conversation([turn], {}, "trn_1", {"a": image})[0].content == [image, Text("question 1")]
    assert "is gone" in str(conversation([turn], {}, "trn_1", {})[0].content[0])
