"""A turn while it is written: Markdown that grows in a terminal, whole texts in a pipe, events for a program."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragent_jupyter.domain.chat import NoticePart, Part, TextPart, ThinkingPart, ToolPart

from .output import Out, duration, short
from .picture import Picture

if TYPE_CHECKING:
    from ragent_jupyter.client.following import Following

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
# Everything that a terminal obeys. A model's words bring no colours of their own, unlike our lines.
_OBEYED = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_GLYPH = {"done": ("✓", "32"), "error": ("✗", "31"), "refused": ("–", "33"), "stopped": ("■", "90")}


def harmless(text: str) -> str:
    """Text without what a terminal would obey.

    >>> harmless("a\\x1b[31mb\\x1b]0;title\\x07c\\r\\n")
    'abc\\n'
    """
    return _OBEYED.sub("", text)


def blocks(text: str) -> tuple[list[str], str]:
    """What of a growing Markdown text is finished, in blocks, and the rest that may still change.

    A block ends at an empty line outside of a block of code; joined, the blocks and the rest are the text.

    >>> blocks("one\\n\\n```\\na\\n\\nb\\n```\\n\\ntw")
    (['one\\n\\n', '```\\na\\n\\nb\\n```\\n\\n'], 'tw')
    """
    found: list[str] = []
    held: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        held.append(line)
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        elif not line.strip() and line.endswith("\n") and any(one.strip() for one in held):
            found.append("".join(held))
            held = []
    return found, "".join(held)


def answer_of(parts: Sequence[Part]) -> str:
    """All that the model said, without its thoughts and tools."""
    return "\n\n".join(p.text.strip() for p in parts if isinstance(p, TextPart) and p.text.strip())


class View:
    """Shows what a turn has come to. Every method may be called at any time, also with what it has seen."""

    def __init__(self, out: Out) -> None:
        self.out = out

    def __enter__(self) -> View:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def show(self, turn: Following, event: dict[str, Any] | None) -> None:
        """event: what was just heard; None where only time has passed."""

    def pause(self) -> None:
        """Something else writes to the terminal now; `show` goes on."""


class Events(View):
    """NDJSON: every event as it came."""

    def show(self, turn: Following, event: dict[str, Any] | None) -> None:
        if event is not None:
            self.out.line(event)


class Lines(View):
    """For pipes: each text once it is whole, on stdout; what was done for it, on stderr."""

    def __init__(self, out: Out) -> None:
        super().__init__(out)
        self.told: set[str] = set()
        self.waits = ""

    def show(self, turn: Following, event: dict[str, Any] | None) -> None:
        for part in turn.parts:
            if part.id in self.told or not _settled(part):
                continue
            self.told.add(part.id)
            if isinstance(part, TextPart):
                if part.text.strip():
                    self.out.raw(harmless(part.text.strip()) + "\n")
            elif isinstance(part, (ToolPart, NoticePart)):
                line = part_line(self.out, part)
                if line:
                    self.out.note(line)
        waits = wait_line(turn)
        if waits and waits != self.waits:
            self.out.note(waits)
        self.waits = waits


class Growing(View):
    """For terminals: finished blocks are printed for good, what may still change is drawn again ten times a second."""

    def __init__(self, out: Out) -> None:
        super().__init__(out)
        self.picture = Picture(out, self._draw, per_second=8, transient=True)
        self.printed: dict[str, int] = {}  # part → characters that stand on the screen for good
        self.tail: str = ""
        self.line: str = ""

    def __exit__(self, *exc: object) -> None:
        self.pause()

    def pause(self) -> None:
        self.picture.end()

    def show(self, turn: Following, event: dict[str, Any] | None) -> None:
        self.tail = self.line = ""
        for part in turn.cut:
            if self.printed.pop(part.id, 0):  # what stands on a screen cannot be taken back
                self._print(self.out.paint("– it broke off here and is asked anew", "33") + "\n")
        for part in turn.parts:
            if isinstance(part, TextPart):
                self._text(part)
            elif not _settled(part):
                self.line = part_line(self.out, part)
            elif part.id not in self.printed:
                self.printed[part.id] = 0
                line = part_line(self.out, part)
                if line:
                    self._print(line)
        self.line = wait_line(turn) or self.line
        if turn.over or not (self.tail or self.line):
            self.pause()
        else:
            self.picture.begin()

    def _text(self, part: TextPart) -> None:
        text = harmless(part.text)
        done = self.printed.get(part.id, 0)
        finished, rest = blocks(text[done:])
        if _settled(part):
            finished, rest = [*finished, rest], ""
        for block in finished:
            done += len(block)
            if block.strip():
                self._block(block)
        self.printed[part.id] = done
        if rest.strip():
            self.tail = rest

    def _block(self, text: str) -> None:
        """A finished block with one empty line after it, whatever margins its kind brings along."""
        from rich.console import Console
        from rich.text import Text

        # Drawn apart: in our own console the picture that is drawn again and again would come in between.
        apart = Console(
            file=io.StringIO(), width=self.picture.console.width, force_terminal=True, color_system="standard",
            no_color=not self.out.colour, highlight=False,
        )  # fmt: skip
        apart.print(self._markdown(text))
        lines = list(Text.from_ansi(apart.file.getvalue()).split("\n", allow_blank=True))  # type: ignore[attr-defined]
        drawn = [n for n, line in enumerate(lines) if line.plain.strip()]
        kept = lines[drawn[0] : drawn[-1] + 1] if drawn else []
        for line in kept:
            line.rstrip()
        self.picture.console.print(Text("\n").join([*kept, Text()]), soft_wrap=True)

    def _markdown(self, text: str) -> Any:
        from rich.markdown import Markdown

        # Addresses are shown, not hidden behind words: what a link says and where it goes may differ.
        return Markdown(text, hyperlinks=False, code_theme="ansi_dark")

    def _print(self, what: Any) -> None:
        from rich.text import Text

        self.picture.console.print(Text.from_ansi(what) if isinstance(what, str) else what)

    def _draw(self) -> Any:
        from rich.console import Group
        from rich.text import Text

        room = max(4, self.picture.console.size.height - 4)
        shown: list[Any] = []
        if self.tail:
            shown.append(self._markdown("\n".join(self.tail.splitlines()[-room:])))
        if self.line:
            shown.append(Text.from_ansi(self.line, no_wrap=True, overflow="ellipsis"))
        return Group(*shown)


def view_for(out: Out) -> View:
    return Events(out) if out.json else Growing(out) if out.terminal else Lines(out)


def part_line(out: Out, part: Part) -> str:
    """A part that is no text, on one line: `✓ Read a file  0.2 s`; "" for what is nothing to see."""
    if isinstance(part, ThinkingPart):
        last = next((line for line in reversed(harmless(part.text).splitlines()) if line.strip()), "")
        return out.paint(f"… {short(last, 100) or 'thinking'}", "2") if not _settled(part) else ""
    if isinstance(part, NoticePart):
        return out.paint(f"! {short(harmless(part.text), 300)}", {"error": "31", "warning": "33"}.get(part.level, "2"))
    if not isinstance(part, ToolPart) or part.name == "card":
        return ""
    title = short(harmless(part.title or part.name), 200)
    if not _settled(part):
        more = short(harmless(part.progress.rstrip().rsplit("\n", 1)[-1]), 80)
        return f"{out.paint('●', '34')} {title}" + (out.paint(f"  {more}", "2") if more else "")
    glyph, colour = _GLYPH.get(part.status, ("?", "33"))
    took = part.ended_at - part.started_at if part.ended_at and part.started_at else 0.0
    words = [f"{out.paint(glyph, colour)} {title}"]
    if part.status == "done" and took >= 1:
        words.append(out.paint(duration(took), "2"))
    if part.status in ("error", "refused", "outcome_unknown"):
        words.append(out.paint(short(harmless(part.output), 200) or part.status, "2"))
    return "  ".join(words)


def wait_line(turn: Following) -> str:
    """What the session waits for, if it does."""
    session = turn.chat.session if turn.chat is not None else None
    if session is None or session.status != "waiting_api" or turn.over:
        return ""
    until = f" until {time.strftime('%H:%M:%S', time.localtime(session.wake_at))}" if session.wake_at else ""
    return f"… waiting for the model{until}. {short(harmless(session.note), 200)}".rstrip()


def _settled(part: Part) -> bool:
    return getattr(part, "status", "done") not in ("streaming", "writing", "waiting", "running")
