"""A chat leaves as a document that others can read, and run."""

from __future__ import annotations

from ragent_jupyter.domain.chat import NoticePart, Session, TextPart, ToolPart, Turn, UserMessage
from ragent_jupyter.rules.chat_export import as_markdown, cells, fenced, split

SESSION = Session(id="ses_a", created_at=0.0, updated_at=0.0, title="Why so slow")


def turn(n: int, text: str, **more: object) -> Turn:
    message = UserMessage(id=f"m{n}", text=text, at=0.0)
    return Turn(id=f"t{n}", session_id="s", n=n, message=message, status="done", created_at=0.0, **more)  # type: ignore[arg-type]


def test_questions_answers_calls_and_code_each_in_their_cell() -> None:
    shared = {"session_id": "s", "turn_id": "t1"}
    parts = {
        "t1": [
            ToolPart(
                id="a",
                index=0,
                call_id="c",
                name="read_log",
                title="Read a log",
                status="done",
                output="x ``` y",
                input={"run": "r"},
                **shared,
            ),
            TextPart(id="b", index=1, text="Try:\n\n```python\nx = 1\n```\n\nDone.", status="done", **shared),
            TextPart(id="c", index=2, text="half", status="cut", **shared),
            NoticePart(id="d", index=3, text="restarted", **shared),
            ToolPart(id="e", index=4, call_id="", name="card", status="done", **shared),
        ]
    }
    found = cells(SESSION, [turn(1, "Why?\n# not a heading")], parts)
    assert [kind for kind, _ in found] == ["markdown"] * 4 + ["code", "markdown", "markdown"]
    assert found[1][1].endswith("> Why?\n> # not a heading")
    assert "<details><summary>Read a log (done)</summary>" in found[2][1] and "````\nx ``` y\n````" in found[2][1]
    assert found[4] == ("code", "x = 1") and "half" not in as_markdown(found)
    assert as_markdown(found).count("```python") == 1


def test_other_languages_stay_text() -> None:
    assert split("```bash\nls\n```") == [("markdown", "```bash\nls\n```")]
    assert split("") == []


def test_no_text_ends_its_own_fence() -> None:
    assert fenced("````\nx\n````").startswith("`````\n")
