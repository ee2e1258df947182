"""A chat as a document: cells of Markdown and code, from which a .md and an .ipynb are made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ragent_jupyter.domain.chat import NoticePart, Part, Session, TextPart, ToolPart, Turn

from .prompt import one_line, standing

Cell = tuple[Literal["markdown", "code"], str]

_FENCE = re.compile(r"^(```+|~~~+)[ \t]*(python|py|ipython)[ \t]*\n(.*?)^\1[ \t]*$\n?", re.MULTILINE | re.DOTALL)


def cells(session: Session, turns: Sequence[Turn], parts: Mapping[str, Sequence[Part]]) -> list[Cell]:
    """The whole chat. Python blocks of the assistant become code cells; calls are told in a line, outputs folded."""
    out: list[Cell] = [("markdown", f"# {one_line(session.title or 'Chat', 200)}\n\nA chat with ragent, {session.id}.")]
    for turn in standing(turns):
        asked = turn.message.shown or turn.message.text
        out.append(("markdown", f"## {one_line(asked, 80)}\n\n{quoted(asked)}"))
        for part in parts.get(turn.id, []):
            out += _part(part)
        if turn.error is not None:
            out.append(("markdown", f"**Failed:** {turn.error.problem} {turn.error.remedy}".rstrip()))
        elif turn.status == "stopped":
            out.append(("markdown", "*Stopped by the person.*"))
    return out


def _part(part: Part) -> list[Cell]:
    match part:
        case TextPart(status="done", text=text) if text.strip():
            return split(text)
        case ToolPart() if part.call_id and part.status != "cut":
            given = msgspec.json.format(msgspec.json.encode(part.input), indent=2).decode()
            body = f"{fenced(given, 'json')}\n\n{fenced(part.output)}" if part.output else fenced(given, "json")
            head = f"{one_line(part.title or part.name, 80)} ({part.status})"
            return [("markdown", f"<details><summary>{escaped(head)}</summary>\n\n{body}\n\n</details>")]
        case NoticePart(text=text):
            return [("markdown", f"*{one_line(text, 400)}*")]
    return []


def split(text: str) -> list[Cell]:
    """Markdown with its Python blocks as cells of their own.

    >>> split("Try:\\n```python\\nx = 1\\n```\\nDone.")
    [('markdown', 'Try:'), ('code', 'x = 1'), ('markdown', 'Done.')]
    """
    out: list[Cell] = []
    end = 0
    for block in _FENCE.finditer(text):
        before = text[end : block.start()].strip()
        if before:
            out.append(("markdown", before))
        out.append(("code", block[3].rstrip("\n")))
        end = block.end()
    rest = text[end:].strip()
    if rest:
        out.append(("markdown", rest))
    return out


def fenced(text: str, language: str = "") -> str:
    """A code block that its own text cannot end."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines() or [""])


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_markdown(found: Sequence[Cell]) -> str:
    return "\n\n".join(text if kind == "markdown" else fenced(text, "python") for kind, text in found) + "\n"
