"""Reading tracebacks out of a log: plain, chained, of ranks and workers, of notebooks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct, structs

from .words import LogLine

_HEADER = re.compile(r"Traceback \(most recent call last\)")
_FRAME = re.compile(r'^\s*File "(?P<path>[^"\n]{1,1000})", line (?P<line>\d{1,9})(?:, in (?P<name>.{1,200}))?\s*$')
_CELL = re.compile(
    r"^(?:File (?P<path>[^\n:]{1,1000}):(?P<line>\d{1,9}), in (?P<name>[^\n(]{1,200})"
    r"|(?P<cell>(?:Cell|Input) In ?\[\d{1,6}\]),? (?:line (?P<cell_line>\d{1,9})|in <[^\n>]{1,80}>))"
)
_ARROW = re.compile(r"^-+> ?(?P<line>\d{1,9}) (?P<code>.*)$")
_EXCEPTION = re.compile(r"^(?P<name>[A-Za-z_][\w.]{0,200})(?:: ?(?P<text>.*))?$")
_LIKE_AN_EXCEPTION = re.compile(r"(?:Error|Exception|Interrupt|Exit|Warning|Failure|Timeout|Abort|Failed|Killed)$")
_CAUSE = "direct cause of the following exception"
_CONTEXT = "During handling of the above exception, another"
_MARKER = re.compile(r"^\s*[\^~\- ]+\s*$")
_RANK = re.compile(r"^\s*(?:\[rank ?\d+\]:?|\d{1,4}:|\([\w.]+ pid=\d+[^)]*\)|\[\d{1,4}\]:?)\s*$")
_LIBRARY = re.compile(r"site-packages|dist-packages|/lib/python\d|<frozen|<__array_function__")
_MESSAGE_LINES = 25


class Frame(Struct, frozen=True):
    path: str
    line: int
    name: str
    code: str
    at: LogLine

    @property
    def library(self) -> bool:
        return bool(_LIBRARY.search(self.path))

    @property
    def shown(self) -> str:
        """`train.py:12 in load`, the path's end only."""
        short = "/".join(self.path.split("/")[-2:]) if self.path.startswith("/") else self.path
        return f"{short}:{self.line}" + (f" in {self.name}" if self.name and self.name != "<module>" else "")


class Trace(Struct, frozen=True):
    """One traceback. at: the line of its exception.  message: that line and those of the message that follow it.

    span: the lines that it takes, [first, after) as places in the list that was read.
    link: how it hangs together with the one before: "" it does not, "cause" and "context" (Python's two chains),
    "inner" (it stands inside the other's message: a worker's).  rank: what stood before its lines.
    """

    frames: list[Frame]
    name: str
    at: LogLine
    message: list[LogLine]
    span: tuple[int, int]
    link: str = ""
    rank: str = ""

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.message)

    @property
    def own_frame(self) -> Frame | None:
        """The innermost frame of the run's own code."""
        own = [frame for frame in self.frames if not frame.library]
        return own[-1] if own else None


def read_tracebacks(lines: Sequence[LogLine]) -> list[list[Trace]]:
    """The tracebacks of a log, oldest first; each is a list of those that are chained, as they stand.

    >>> texts = ["Traceback (most recent call last):", '  File "a.py", line 3, in f', "    g()", "ValueError: no"]
    >>> [[trace]] = read_tracebacks([LogLine(n, 0, text) for n, text in enumerate(texts, 1)])
    >>> trace.name, trace.own_frame.shown, trace.at.number
    ('ValueError', 'a.py:3 in f', 4)
    """
    groups: list[list[Trace]] = []
    link, index = "", 0
    while index < len(lines):
        text = lines[index].text
        header = _HEADER.search(text)
        bare = None if header else _FRAME.match(text)
        if header or (bare and bare["name"] is None and _soon_syntax(lines, index)):
            trace, after = _one(lines, index, header, link)
            if trace is not None:
                inner = trace.link == "" and "Original Traceback" in text and bool(groups)
                if inner:
                    trace = structs.replace(trace, link="inner")
                if trace.link and groups:
                    groups[-1].append(trace)
                else:
                    groups.append([trace])
            link, index = "", max(after, index + 1)
            continue
        if _CAUSE in text:
            link = "cause"
        elif _CONTEXT in text:
            link = "context"
        elif text.strip():
            link = link if _RANK.match(text) else ""
        index += 1
    return groups


def _soon_syntax(lines: Sequence[LogLine], index: int) -> bool:
    """A script that cannot be parsed is told by its frame alone, without a header."""
    return any(
        line.text.startswith(("SyntaxError", "IndentationError", "TabError")) for line in lines[index : index + 5]
    )


def _one(lines: Sequence[LogLine], start: int, header: re.Match[str] | None, link: str) -> tuple[Trace | None, int]:
    """The traceback that begins at `start`, and the index after it."""
    first = lines[start].text
    rank = first[: header.start()] if header else ""
    following = [line.text for line in lines[start + 1 : start + 8]]
    if not rank.strip() or not any(text.startswith(rank) for text in following):
        rank = ""  # a progress bar, the words "Original", a notebook's exception name
    frames: list[Frame] = []
    index = start if header is None else start + 1
    while index < len(lines):
        line = lines[index]
        if rank and not line.text.startswith(rank):
            index += 1  # another rank speaks in between
            if index - start > 400:
                return None, start + 1
            continue
        text = line.text[len(rank) :]
        frame = _FRAME.match(text) or _CELL.match(text)
        arrow = _ARROW.match(text)
        if frame:
            frames.append(_frame(frame, line))
        elif arrow and frames:
            frames[-1] = Frame(frames[-1].path, int(arrow["line"]), frames[-1].name, arrow["code"].strip(), line)
        elif text[:1].isspace() or not text.strip() or text[:1].isdigit():
            if frames and not frames[-1].code and text.strip() and not _MARKER.match(text):
                last = frames[-1]
                frames[-1] = Frame(last.path, last.line, last.name, text.strip(), line)
        elif _HEADER.search(text):
            return None, index
        elif (named := _exception(text, sure=bool(frames))) is not None:
            message, after = _message(lines, index, rank)
            at = LogLine(line.number, line.offset, text)
            return Trace(frames, named, at, message, (start, after), link, rank.strip()), after
        elif not frames or index - start > 2000:
            return None, index
        index += 1
    return None, len(lines)


def _frame(found: re.Match[str], line: LogLine) -> Frame:
    groups = found.groupdict()
    if groups.get("cell"):
        return Frame(groups["cell"], int(groups["cell_line"] or 0), "", "", line)
    return Frame(groups["path"] or "", int(groups["line"]), (groups["name"] or "").strip(), "", line)


def _exception(text: str, sure: bool) -> str | None:
    """The exception's name if the line tells one."""
    found = _EXCEPTION.match(text.rstrip())
    if found is None:
        return None
    name = found["name"]
    if sure or _LIKE_AN_EXCEPTION.search(name):
        return name
    return None


def _message(lines: Sequence[LogLine], start: int, rank: str) -> tuple[list[LogLine], int]:
    """The exception's line and those that belong to its message, and the index after them."""
    message: list[LogLine] = []
    index = start
    while index < len(lines) and len(message) < _MESSAGE_LINES:
        text = lines[index].text
        if rank and not text.startswith(rank):
            break
        text = text[len(rank) :]
        # Only what is set in, or announced by a colon: the next line may be anybody's.
        joins = index == start or text[:1].isspace() or (index == start + 1 and message[0].text.endswith(":"))
        if not joins or (index > start and (not text.strip() or _HEADER.search(text) or _FRAME.match(text))):
            break
        message.append(LogLine(lines[index].number, lines[index].offset, text))
        index += 1
    return message, index


def main_trace(group: Sequence[Trace]) -> Trace:
    """Of chained exceptions that say nothing special, the one to believe.

    What was raised *from* another hides it, so the first is the root; what came up while another was handled says more
    than it ("unknown model" after a KeyError); what a worker raised is the root of what its parent says.
    """
    best = group[0]
    for trace in group[1:]:
        if trace.link in ("context", "inner"):
            best = trace
    return best
