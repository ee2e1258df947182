"""Tables and sentences as HTML, Markdown and text, from domain.report values."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ragent_jupyter.domain.report import Sentence, Table

_HEADINGS = {
    "result": "Result",
    "nothing": "Result",
    "spread": "Result",
    "parameter": "What mattered",
    "failure": "What failed and why",
    "alert": "Alerts",
    "caution": "Caution",
}


def cell(value: Any) -> str:
    """One value as people read it; None is "no data".

    >>> [cell(v) for v in (None, 0.123456, 3, "x", True)]
    ['no data', '0.1235', '3', 'x', 'true']
    """
    if value is None:
        return "no data"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def html(table: Table) -> str:
    """A plain HTML table; every value is escaped: names and logs are data."""
    if not table.rows:
        return f"<p>{escape(table.title)}: none.</p>"
    align = ["right" if a == "r" else "left" for a in table.align] or ["left"] * len(table.columns)

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:{side}">{escape(c)}</{tag}>' for c, side in zip(cells, align, strict=True)
        )

    head = row(table.columns, "th")
    body = "".join(f"<tr>{row([cell(v) for v in r], 'td')}</tr>" for r in table.rows)
    return (
        f'<table style="font-variant-numeric:tabular-nums"><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def text(table: Table) -> str:
    """Columns lined up, for terminals and for text/plain."""
    if not table.rows:
        return f"{table.title}: none."
    rows = [table.columns, *[[cell(v) for v in r] for r in table.rows]]
    widths = [max(len(r[i]) for r in rows) for i in range(len(table.columns))]
    align = table.align or ["l"] * len(widths)
    lines = [
        "  ".join(c.rjust(w) if a == "r" else c.ljust(w) for c, w, a in zip(r, widths, align, strict=True)).rstrip()
        for r in rows
    ]
    return "\n".join(lines)


def safe(words: str) -> str:
    """A sentence as Markdown that cannot become anything else: it may quote a log."""
    for mark in "\\`*_{}[]<>#|~$&":
        words = words.replace(mark, "\\" + mark)
    return " ".join(words.split())


def markdown(sentences: Sequence[Sentence]) -> str:
    """The narrative: a heading a kind, a bullet a sentence."""
    out: list[str] = []
    heading = ""
    for sentence in sentences:
        wanted = _HEADINGS[sentence.kind]
        if wanted != heading:
            out.append(f"\n### {wanted}\n")
            heading = wanted
        out.append(f"- {safe(sentence.text)}")
    return "\n".join(out).strip()


def plain(sentences: Sequence[Sentence]) -> str:
    return "\n".join(s.text for s in sentences)


def table_bundle(table: Table) -> dict[str, Any]:
    return {"text/html": html(table), "text/plain": text(table)}


def narrative_bundle(sentences: Sequence[Sentence]) -> dict[str, Any]:
    return {"text/markdown": markdown(sentences), "text/plain": plain(sentences)}
