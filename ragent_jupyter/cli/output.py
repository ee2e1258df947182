"""How the command line speaks: to a person in a terminal, to a pipe, to a program (`--json`)."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import msgspec

from ragent_jupyter.domain.errors import RagentError

DONE, FAILED, USAGE, NEEDS_HUMAN = 0, 1, 2, 3
INTERRUPTED = 130

# One colour and one glyph a state, the same in every surface of ragent.
STATE = {
    "ready": ("○", ""),
    "queued": ("○", ""),
    "launching": ("●", "34"),
    "running": ("●", "34"),
    "stopping": ("●", "33"),
    "finished": ("✓", "32"),
    "failed": ("✗", "31"),
    "stopped": ("■", "90"),
    "draft": ("○", ""),
    "info": ("i", "34"),
    "warning": ("!", "33"),
    "critical": ("!", "31"),
}
_ASCII = str.maketrans("●○✓✗■·…│─└×→━", "*o+x#-~|-+x>-")


# What must not reach a terminal from names and quoted lines: every control character but our own colours.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[\d;]*m)")


class NeedsHuman(RagentError):
    """Only a person can go on from here, and none is at the other end."""

    status = 409
    type = "needs_human"


class Out:
    """Where a verb's words go. json: one document or NDJSON on stdout and nothing else, no words for people."""

    def __init__(self, json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.json = json
        # A stream that was closed before we began (`>&-`) is None.
        self.out = out or sys.stdout or open(os.devnull, "w")
        self.err = err or sys.stderr or open(os.devnull, "w")
        self.terminal = not json and self.out.isatty() and os.environ.get("TERM", "") != "dumb"
        self.colour = self.terminal and not os.environ.get("NO_COLOR")
        encoding = (getattr(self.out, "encoding", None) or "ascii").lower().replace("-", "")
        self.unicode = encoding.startswith("utf")

    @property
    def asks(self) -> bool:
        """Whether a person is there to be asked."""
        return self.terminal and sys.stdin is not None and sys.stdin.isatty()

    def say(self, text: str = "") -> None:
        """Words for people, on stdout; nothing with --json."""
        if not self.json:
            self._write(self.out, _CONTROL.sub("", text) + "\n")

    def note(self, text: str) -> None:
        """Words beside the result, on stderr; nothing with --json."""
        if not self.json:
            self._write(self.err, _CONTROL.sub("", text) + "\n")

    def raw(self, text: str) -> None:
        """A piece of a log, as it is."""
        self._write(self.out, text)

    def document(self, value: Any) -> None:
        """The one JSON document; nothing without --json."""
        if self.json:
            self._write(self.out, msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")

    def line(self, value: Any) -> None:
        """One line of NDJSON; nothing without --json."""
        if self.json:
            self._write(self.out, msgspec.json.encode(value).decode() + "\n")

    def problem(self, error: RagentError) -> None:
        """An error, on stderr: the problem, then the remedy."""
        if self.json:
            body = {"error": {"type": error.type, "problem": error.problem, "remedy": error.remedy}}
            self._write(self.err, msgspec.json.encode(body).decode() + "\n")
        else:
            self.note(f"ragent: {error.problem}" + (f"\n  {error.remedy}" if error.remedy else ""))

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def state(self, state: str) -> str:
        """`✓ finished`, in its colour."""
        glyph, code = STATE.get(state, ("·", ""))
        return self.paint(f"{glyph} {state}", code)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
        """Aligned columns. right: the columns with numbers. Cells may carry colour; it takes no width."""
        cells = [list(map(str, row)) for row in rows]
        widths = [max([len(title), *(width(row[i]) for row in cells)]) for i, title in enumerate(head)]

        def fit(text: str, i: int) -> str:
            gap = " " * (widths[i] - width(text))
            return gap + text if i in right else text + gap

        self.say(self.paint("  ".join(fit(title, i) for i, title in enumerate(head)).rstrip(), "2"))
        for row in cells:
            self.say("  ".join(fit(text, i) for i, text in enumerate(row)).rstrip())

    def _write(self, to: TextIO, text: str) -> None:
        if not self.unicode:
            text = text.translate(_ASCII)
            text = text.encode("ascii", "backslashreplace").decode()
        to.write(text)
        to.flush()


def width(text: str) -> int:
    """How many characters a person sees.

    >>> width("\\x1b[32mok\\x1b[0m")
    2
    """
    seen, i = 0, 0
    while i < len(text):
        if text[i] == "\x1b":
            i = text.find("m", i) + 1 or len(text)
            continue
        seen += 1
        i += 1
    return seen


def number(value: float | str | None) -> str:
    """Four significant digits.

    >>> [number(v) for v in (0.123456, 12345.6, 1e-7, 3, "nan", None)]
    ['0.1235', '1.235e+04', '1e-07', '3', 'nan', '']
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Two units are enough.

    >>> [duration(s) for s in (0.4, 59.7, 61, 3725, 200000, None)]
    ['0 s', '1 min', '1 min 1 s', '1 h 2 min', '2 d 7 h', '']
    """
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    for size, name, small, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def ago(at: float | None, now: float | None = None) -> str:
    if at is None:
        return ""
    seconds = (time.time() if now is None else now) - at
    return "just now" if seconds < 5 else duration(seconds) + " ago"


def short(text: str, most: int) -> str:
    """One line of at most `most` characters.

    >>> short("a long name", 8)
    'a long …'
    """
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
