"""`@kind:id` in a text, and how well a name answers to what somebody types. Pure.

What stands in code (a fenced block, `a span`) or in an address (`me@run:x` is none, nor is `me@host`) is no mention.
An id with spaces goes in quotes: `@file:"my data/a.csv"`. A backslash makes it text: `\\@run:x`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct

KINDS = ("run", "sweep", "metric", "alert", "chart", "file", "cell", "notebook", "var", "report", "session")
_BARE = frozenset({"cell", "notebook"})  # the selected cell, the notebook in front

_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})([^\n]*)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_MENTION = re.compile(
    r"(?<![\w@.\\/+-])@(?P<kind>[A-Za-z_]+):(?:\"(?P<quoted>[^\"\n]{1,500})\"(?P<of>@[^\s\"]{1,300})?|(?P<id>[^\s\"]{1,500}))"
    r"|(?<![\w@.\\/+-])@(?P<bare>cell|notebook)(?![\w:/@-])"
)
_TRAILING = ".,;:!?)]}>'’”*"

T = TypeVar("T")


class Found(Struct, frozen=True, kw_only=True):
    """A mention as it was written. known: its kind is one of ours.  start, end: where it stands in the text."""

    kind: str
    id: str
    start: int
    end: int
    known: bool = True


def parse(text: str) -> list[Found]:
    """The mentions of a text, in order, each once.

    >>> [(m.kind, m.id) for m in parse("Why is @metric:val/loss@run_a1 above @run:'x'? See `@run:no`.")]
    [('metric', 'val/loss@run_a1'), ('run', "'x")]
    >>> [(m.kind, m.id) for m in parse('@file:"my data/a.csv", @cell and me@run:x')]
    [('file', 'my data/a.csv'), ('cell', '')]
    """
    found: list[Found] = []
    seen: set[tuple[str, str]] = set()
    for match in _MENTION.finditer(_without_code(text)):
        if match["bare"]:
            kind, id_, end = match["bare"], "", match.end()
        elif match["quoted"]:
            kind, id_, end = match["kind"], match["quoted"].strip() + (match["of"] or "").rstrip(_TRAILING), match.end()
        else:
            id_ = _cut(match["id"])
            kind, end = match["kind"], match.start("id") + len(id_)
        kind = kind.lower()
        if (not id_ and kind not in _BARE) or (kind, id_) in seen:
            continue
        seen.add((kind, id_))
        found.append(Found(kind=kind, id=id_, start=match.start(), end=end, known=kind in KINDS))
    return found


def _cut(id_: str) -> str:
    """Without the sentence's punctuation. A bracket that was opened in the id belongs to it."""
    while id_ and id_[-1] in _TRAILING:
        pairs = {")": "(", "]": "[", "}": "{"}
        opening = pairs.get(id_[-1])
        if opening and id_.count(opening) >= id_.count(id_[-1]):
            break
        id_ = id_[:-1]
    return id_


def _without_code(text: str) -> str:
    """The text with its code blanked out, so that places stay what they are."""
    lines = text.split("\n")
    fence = ""
    for n, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            lines[n] = " " * len(line)
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
            lines[n] = " " * len(line)
    return _SPAN.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), "\n".join(lines))


def metric_and_runs(id_: str) -> tuple[str, list[str]]:
    """`val/loss@run_a,run_b` as a metric and the runs it is asked of.

    >>> metric_and_runs("val/loss@run_a,run_b"), metric_and_runs("loss")
    (('val/loss', ['run_a', 'run_b']), ('loss', []))
    """
    name, _, runs = id_.partition("@")
    return name, [run for run in runs.split(",") if run]


# --- what somebody types, against what there is ---------------------------------------------------------------------
def closeness(query: str, names: Iterable[str]) -> int | None:
    """How well a thing with these names answers to a query; smaller is better, None not at all.

    0 is it, 1 begins with it, 2 a word of it begins so, 3 holds it, 4 holds its letters in this order.

    >>> [closeness("lr", [name]) for name in ("lr", "lr-3", "big lr", "xlrx", "linear", "rl")]
    [0, 1, 2, 3, 4, None]
    """
    best: int | None = None
    query = query.lower()
    for name in names:
        name = name.lower()
        if name == query:
            return 0
        at = name.find(query)
        if at == 0:
            grade = 1
        elif at > 0:
            grade = 2 if _word_begins(name, query, at) else 3
        elif len(query) > 1 and _in_order(query, name):
            grade = 4
        else:
            continue
        if best is None or grade < best:
            best = grade
    return best


def _word_begins(name: str, query: str, at: int) -> bool:
    while at > 0:
        if not name[at - 1].isalnum():
            return True
        at = name.find(query, at + 1)
    return False


def _in_order(query: str, name: str) -> bool:
    at = -1
    for char in query:
        at = name.find(char, at + 1)
        if at < 0:
            return False
    return True


def best(query: str, things: Sequence[tuple[Sequence[str], T]], limit: int) -> list[tuple[int, T]]:
    """The things that answer best, with their grade; among equals the earlier one. things: (names, thing)."""
    if not query:
        return [(1, thing) for _, thing in things[:limit]]
    graded: list[tuple[int, T]] = []
    for names, thing in things:
        grade = closeness(query, names)
        if grade is not None:
            graded.append((grade, thing))
    graded.sort(key=lambda pair: pair[0])
    return graded[:limit]


def insert(kind: str, id_: str) -> str:
    """What goes into the text for a thing.

    >>> insert("run", "run_a1"), insert("file", "my data/a.csv")
    ('@run:run_a1', '@file:"my data/a.csv"')
    """
    plain = id_ and not re.search(r"[\s\"]", id_) and id_[-1] not in _TRAILING
    return f"@{kind}:{id_}" if plain else f'@{kind}:"{id_}"'
