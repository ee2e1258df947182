"""MEMORY.md: rules as a file that a person can read, write by hand, keep in git and bring back. Pure.

Each rule is a `##` heading, a comment with what is not text, and its text:

    ## Train in bfloat16
    <!-- ragent {"id": "mem_…", "tags": ["gpu"]} -->

    float16 overflowed in the second epoch.

A file that people wrote has no comments: headings with text are rules, and so is each item of a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.chat import MemoryRule

_HEAD = "# Memory\n\nRules that ragent's agents heed. `ragent memory import FILE` brings this file back.\n"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*$")
_COMMENT = re.compile(r"[ \t]*<!-- ragent (\{.*\}) -->[ \t]*$")
_ITEM = re.compile(r"(?P<indent> *)(?:[-*+]|\d{1,4}[.)])[ \t]+(?:\[(?P<box>[ xX])\][ \t]+)?(?P<text>\S.*)")
_BOLD = re.compile(r"\*\*(.+?)\*\*[ \t]*[:.—–-]*[ \t]*(.*)", re.DOTALL)
# What would be read as something else at the beginning of a line; a backslash makes it text, as in Markdown itself.
_SPECIAL = re.compile(r"\\*(?:#{1,6}(?:[ \t]|$)|<!-- ragent |`{3,}|~{3,})")
_LONGEST_TITLE = 80


class Draft(Struct, frozen=True, kw_only=True):
    """A rule as a file says it. id: "" where it has none, as in a file that a person wrote."""

    title: str
    text: str
    id: str = ""
    source: Literal["user", "agent", "reflection"] = "user"
    tags: list[str] = []
    scope: str = ""
    on: bool = True
    status: Literal["active", "proposed"] = "active"


class _Meta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The comment. Unknown fields are skipped: a later version may write more."""

    id: str = ""
    source: Literal["user", "agent", "reflection"] = "user"
    tags: list[str] = []
    scope: str = ""
    on: bool = True
    status: Literal["active", "proposed"] = "active"


def export(rules: Iterable[MemoryRule]) -> str:
    """Rules as Markdown; those that a person refused are left out. `parse` gives the same rules back."""
    parts = [_HEAD]
    for rule in rules:
        if rule.status == "refused":
            continue
        meta = _Meta(id=rule.id, source=rule.source, tags=rule.tags, scope=rule.scope, on=rule.on, status=rule.status)
        # "-->" in a tag would end the comment early; JSON has another way to write it.
        said = msgspec.json.encode(meta).decode().replace(">", "\\u003e")
        parts.append(f"## {' '.join(rule.title.split())}\n<!-- ragent {said} -->\n\n{_escape(rule.text)}\n")
    return "\n".join(parts)


def parse(text: str) -> list[Draft]:
    """The rules of a file, in its order. Never fails: what is no rule (an introduction, an empty section) is skipped.

    >>> [(d.title, d.on) for d in parse("- Use seed 0\\n- [ ] **Small batches**: at most 64")]
    [('Use seed 0', True), ('Small batches', False)]
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff").split("\n")
    fenced = _fenced(lines)
    drafts: list[Draft] = []
    title, level, body, start = "", 0, [], 0
    for n, line in enumerate(lines):
        heading = None if fenced[n] else _HEADING.match(line)
        if heading is None:
            body.append(line)
            continue
        drafts += _section(title, level, body, fenced[start:n])
        title, level, body, start = heading[2], len(heading[1]), [], n + 1
    return drafts + _section(title, level, body, fenced[start:])


def _section(title: str, level: int, body: Sequence[str], fenced: Sequence[bool]) -> list[Draft]:
    """What stands between two headings: one rule, or a list of them."""
    lines = list(body)
    meta: _Meta | None = None
    first = next((n for n, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return []
    comment = _COMMENT.match(lines[first])
    if comment:
        lines[first] = ""
        try:
            meta = msgspec.json.decode(comment[1], type=_Meta)
        except msgspec.DecodeError:  # edited by hand until it was no JSON: the rule itself is still there
            meta = _Meta()
    if meta is None:
        items = _items(lines, fenced)
        if items is not None:
            # Under a title of the file itself ("# Memory") the list is all there is; another heading names a group.
            tags = [] if level <= 1 else [_tag(title)]
            return [msgspec.structs.replace(item, tags=tags) for item in items]
        if level <= 1:
            return _loose_items(lines, fenced)
        meta = _Meta()
    said = _unescape(lines, fenced)
    if not said or not title:
        return []
    return [Draft(title=title, text=said, **{name: getattr(meta, name) for name in _Meta.__struct_fields__})]


def _items(lines: Sequence[str], fenced: Sequence[bool]) -> list[Draft] | None:
    """The rules of a section that is nothing but a list; None if there is other text in it."""
    groups: list[tuple[re.Match[str], list[str]]] = []
    for n, line in enumerate(lines):
        item = None if fenced[n] else _ITEM.match(line)
        if item is not None and not item["indent"]:
            groups.append((item, [item["text"]]))
        elif not line.strip():
            if groups:
                groups[-1][1].append("")
        elif groups and line.startswith((" ", "\t")):
            groups[-1][1].append(line.strip() if item is None else line[min(2, len(item["indent"])) :])
        else:
            return None
    return [draft for item, said in groups if (draft := _item(item, "\n".join(said).strip()))] if groups else None


def _loose_items(lines: Sequence[str], fenced: Sequence[bool]) -> list[Draft]:
    """The items of a list that stands among other words at the top of a file."""
    found = []
    for n, line in enumerate(lines):
        item = None if fenced[n] else _ITEM.match(line)
        if item is not None and not item["indent"]:
            found.append(_item(item, item["text"].strip()))
    return found


def _item(item: re.Match[str], text: str) -> Draft:
    bold = _BOLD.match(text)
    title, said = (bold[1].strip(), bold[2].strip() or bold[1].strip()) if bold else (title_of(text), text)
    return Draft(title=title, text=said, on=item["box"] != " ")


def title_of(text: str) -> str:
    """A title for a text that has none: its first sentence, of at most 80 characters.

    >>> title_of("Never use dropout. It hurt in all runs.")
    'Never use dropout'
    """
    line = text.strip().split("\n")[0].strip()
    sentence = re.split(r"(?<=[.!?])\s", line)[0].rstrip(".:;,")
    if len(sentence) <= _LONGEST_TITLE:
        return sentence or line[:_LONGEST_TITLE]
    cut = sentence[: _LONGEST_TITLE - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[20:] else cut) + "…"


def _tag(title: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", title.lower()).strip("-")[:50] or "imported"


def _fenced(lines: Sequence[str]) -> list[bool]:
    """For each line, whether it belongs to a block of code. One that is never closed is no block."""
    marks = [False] * len(lines)
    n = 0
    while n < len(lines):
        opening = _FENCE.fullmatch(lines[n])
        if opening is None or (opening[1][0] == "`" and "`" in opening[2]):
            n += 1
            continue
        end = next((m for m in range(n + 1, len(lines)) if _closes(lines[m], opening[1])), None)
        if end is None:
            n += 1
            continue
        marks[n : end + 1] = [True] * (end + 1 - n)
        n = end + 1
    return marks


def _closes(line: str, fence: str) -> bool:
    closing = _FENCE.fullmatch(line)
    return closing is not None and closing[1].startswith(fence) and not closing[2].strip()


def _escape(text: str) -> str:
    lines = text.strip().split("\n")
    fenced = _fenced(lines)
    return "\n".join(
        line if fenced[n] or not _SPECIAL.match(line.lstrip(" ")) else _backslash(line) for n, line in enumerate(lines)
    )


def _backslash(line: str) -> str:
    bare = line.lstrip(" ")
    return line[: len(line) - len(bare)] + "\\" + bare


def _unescape(lines: Sequence[str], fenced: Sequence[bool]) -> str:
    out: list[Any] = []
    for n, line in enumerate(lines):
        bare = line.lstrip(" ")
        if not fenced[n] and bare.startswith("\\") and _SPECIAL.match(bare):
            line = line[: len(line) - len(bare)] + bare[1:]
        out.append(line)
    return "\n".join(out).strip()
