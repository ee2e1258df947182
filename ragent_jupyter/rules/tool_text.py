"""Words and numbers as a model reads them: one line each, exact enough to be cited, whatever somebody named a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

LONGEST = 200  # characters of a name that are shown
_BREAKS = re.compile(r'[<>|"\\]|  |^\s|\s$')
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "|": "\\u007c"}


def word(name: object, longest: int = LONGEST) -> str:
    """A name of somebody else's on one line: as it is where it is harmless, else quoted as JSON; cut at `longest`.

    Line ends, control and direction characters, tags and column bars come out as escapes, so that a name can neither
    break the layout nor look like our own words.
    >>> word("train/loss"), word("a\\nb <system>"), word("x" * 300, 5), word("")
    ('train/loss', '"a\\\\nb \\\\u003csystem\\\\u003e"', 'xxxxx… (300 characters)', '""')
    """
    text = str(name)
    rest = f"… ({len(text)} characters)" if len(text) > longest else ""
    text = text[:longest]
    if text and text.isprintable() and not _BREAKS.search(text):
        return text + rest
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(_escape(c) for c in quoted) + rest


def _escape(char: str) -> str:
    if char in _ESCAPED:
        return _ESCAPED[char]
    if char.isprintable():
        return char
    return json.dumps(char)[1:-1]


def code(text: str, longest: int = 2000) -> str:
    """A command or a path as it is typed, on one line: quoted as JSON only where it holds line ends or controls.

    >>> code("a | b > c"), code("a\\nb")
    ('a | b > c', '"a\\\\nb"')
    """
    cut = text[:longest]
    rest = f"… ({len(text)} characters)" if len(text) > longest else ""
    if cut.isprintable():
        return cut + rest
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in json.dumps(cut, ensure_ascii=False)) + rest


def one_line(text: str, longest: int = 500) -> str:
    """A sentence of somebody else's (a log line, a note) on one line, without control characters, cut.

    >>> one_line("CUDA\\tout of\\n memory")
    'CUDA out of memory'
    """
    flat = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return flat if len(flat) <= longest and len(text) <= 4 * longest else flat[:longest] + "…"


def num(value: float | str | None, *, exact: bool = False) -> str:
    """A value with four significant digits, or with all of them; NaN as nan, None as "no data".

    >>> [num(v) for v in (0.142135, 3, True, float("nan"), "-inf", None, 1234567.0)]
    ['0.1421', '3', 'true', 'nan', '-inf', 'no data', '1.235e+06']
    >>> num(0.142135, exact=True)
    '0.142135'
    """
    if value is None:
        return "no data"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if exact and value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        return repr(value) if exact else f"{value:.4g}"
    return str(value) if isinstance(value, int) else word(value)


def setting(value: Any) -> str:
    """A parameter's value, as exact as it was given.

    >>> [setting(v) for v in (0.0003, "adam w", [1, 2], None)]
    ['0.0003', 'adam w', '[1,2]', 'null']
    """
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return word(value)
    try:
        return word(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    except (TypeError, ValueError):
        return word(repr(value))


def settings(params: dict[str, Any], most: int = 40) -> str:
    """`lr=0.1, bs=32`; what is beyond `most` is counted.

    >>> settings({"lr": 0.1, "bs": 32})
    'lr=0.1, bs=32'
    """
    shown = [f"{word(name, 60)}={setting(value)}" for name, value in list(params.items())[:most]]
    rest = len(params) - most
    return ", ".join(shown) + (f", and {rest} more" if rest > 0 else "")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines with ` | ` between the cells, the columns' names first. Cells must be on one line already.

    >>> table(["run", "loss"], [["run_1", 0.5]])
    ['run | loss', 'run_1 | 0.5']
    """
    return [" | ".join(columns), *(" | ".join(str(cell) for cell in row) for row in rows)]


def when(unix: float | None) -> str:
    """A time in UTC, to the second; "" where there is none.

    >>> when(0.0), when(None)
    ('1970-01-01T00:00:00Z', '')
    """
    if unix is None:
        return ""
    try:
        return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{unix:.0f} s after 1970"


def fit(text: str, most: int, more: str = "") -> str:
    """The text, or its beginning up to a line's end with a word of what is missing and how to get it.

    >>> fit("aaaa\\nbbbb\\ncccc", 12, "Ask for less.")
    'aaaa\\n(cut: 10 of 14 characters are left out. Ask for less.)'
    """
    if len(text) <= most:
        return text
    room = max(0, most - len(more) - 70)
    kept = text[: max(room, 4)]
    kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
    note = f"(cut: {len(text) - len(kept)} of {len(text)} characters are left out.{' ' + more if more else ''})"
    return f"{kept}\n{note}"


def lines_of(items: Iterable[str | None]) -> str:
    """Lines, without those that are not there.

    >>> lines_of(["a", None, "", "b"])
    'a\\nb'
    """
    return "\n".join(item for item in items if item)
