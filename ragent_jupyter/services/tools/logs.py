"""Tools about logs: read a piece, search for a pattern. What a log says is quoted, numbered and never obeyed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.rules.tool_text import word

from ..log_search import KEY_LINES, Blackener, Found, Match, search
from ..logs import clean
from ..runs import RunsDesk
from .base import SimpleTool, Tool, ToolContext
from .refs import HOW_TO_REFER, Ref, find_run

_LINES = 400
_WIDTH = 600  # characters of a line that are shown
_TEXT = 24_000
_REACH = 1 << 20  # bytes that one reading looks at
_PIECE = 1 << 20
_SEARCH_S = 10.0


class ReadLog(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref
    lines: int = 100
    head: bool = False
    around_line: int | None = None
    around_offset: int | None = None


class SearchLog(Struct, frozen=True, forbid_unknown_fields=True):
    run: Ref
    pattern: str
    regex: bool = False
    case: bool = False
    context: int = 2
    limit: int = 20
    last: bool = False


class Piece(Struct, frozen=True):
    """Some lines of a log, without secrets. first: number of the first one, from 1. total: how many. size: bytes."""

    first: int
    lines: list[str]
    total: int
    size: int


class LogTools:
    def __init__(self, runs: RunsDesk) -> None:
        self.runs = runs

    async def read_log(self, args: ReadLog, ctx: ToolContext) -> ToolOutcome:
        run = find_run(self.runs, args.run)
        if args.head + (args.around_line is not None) + (args.around_offset is not None) > 1:
            raise BadInput("Only one place can be read at once.", "Give one of head, around_line, around_offset.")
        if args.lines < 1:
            raise BadInput(f"{args.lines} lines say nothing.", f"Give 1 to {_LINES}.")
        path = self.runs.folder(run.id) / "job.log"
        loop = asyncio.get_running_loop()
        piece = await loop.run_in_executor(None, read_piece, path, args, min(args.lines, _LINES))
        if not piece.lines:
            more = "" if run.status.terminal else " yet"
            return ToolOutcome(text=f"{run.id} has written nothing{more} (status {run.status.value}).")
        last = piece.first + len(piece.lines) - 1
        # From the end backwards where the end is what was asked for: the newest lines are the ones to keep.
        tail = not args.head and args.around_line is None and args.around_offset is None
        body, shown_first, shown_last = _numbered(piece, keep_end=tail)
        cut = "" if (shown_first, shown_last) == (piece.first, last) else ", cut to what fits"
        head = f"job.log of {run.id}: lines {shown_first}..{shown_last} of {piece.total} ({piece.size} bytes){cut}"
        return ToolOutcome(text=f"{head}\n{body}", untrusted=f"job.log of {run.id}")

    async def search_log(self, args: SearchLog, ctx: ToolContext) -> ToolOutcome:
        run = find_run(self.runs, args.run)
        if not args.pattern or len(args.pattern) > 1000:
            raise BadInput("The pattern is empty or longer than 1,000 characters.", "Give some words of the line.")
        path = self.runs.folder(run.id) / "job.log"
        found = await search(
            path,
            args.pattern,
            regex=args.regex,
            ignore_case=not args.case,
            context=max(0, min(args.context, 10)),
            most=max(1, min(args.limit, 100)),
            last=args.last,
            timeout_s=_SEARCH_S,
            stop=ctx.stop,
        )
        if found.problem:
            raise BadInput(
                f"{word(args.pattern, 80)} is not a regular expression: {found.problem}.", "Set regex to false."
            )
        return ToolOutcome(text=_told(run.id, args, found), untrusted=f"job.log of {run.id}")


def read_piece(path: Path, args: ReadLog, lines: int) -> Piece:
    """The lines that were asked for. Reads the file once to number them, keeps no more than it shows."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Piece(1, [], 0, 0)
    try:
        size = os.fstat(fd).st_size
        counted, marks = _count(fd, size)
        total = counted + (1 if size and os.pread(fd, 1, size - 1) != b"\n" else 0)
        if args.head:
            first = 1
        elif args.around_line is not None:
            first = max(1, min(args.around_line, total) - lines // 2)
        elif args.around_offset is not None:
            at = max(0, min(args.around_offset, size))
            first = max(1, _line_at(fd, marks, at) - lines // 2)
        else:
            first = max(1, total - lines + 1)
        # A private key that began before the first line is known only from there.
        before = _offset_of(fd, marks, max(1, first - KEY_LINES))
        start = _offset_of(fd, marks, first)
        margin = os.pread(fd, min(start - before, _REACH), max(before, start - _REACH))
        data = os.pread(fd, _REACH, start)
        if start + len(data) < size and data.count(b"\n") < lines and first + lines > total:
            # A few enormous lines: the end is what counts, so the reach ends at the end.
            data, margin = os.pread(fd, _REACH, size - _REACH), b""
            first = total - data.count(b"\n") + (1 if data.endswith(b"\n") else 0)
    finally:
        os.close(fd)
    blackener = Blackener()
    for line in _texts(margin)[:-1]:
        blackener.line(line, wanted=False)
    every = _texts(data)
    shown = every[:lines]
    if shown and shown[-1] == "" and len(every) <= lines:
        shown = shown[:-1]  # after the last line's end there is no line
    return Piece(first, [blackener.line(line) for line in shown], total, size)


def _texts(data: bytes) -> list[str]:
    return clean(data.replace(b"\0", b"").decode("utf-8", "replace")).split("\n")


def _count(fd: int, size: int) -> tuple[int, list[tuple[int, int]]]:
    """(line ends in the file, (offset, line ends before it) of each piece)."""
    ends, at, marks = 0, 0, []
    while at < size:
        marks.append((at, ends))
        piece = os.pread(fd, _PIECE, at)
        if not piece:
            break
        ends += piece.count(b"\n")
        at += len(piece)
    return ends, marks


def _line_at(fd: int, marks: Sequence[tuple[int, int]], offset: int) -> int:
    """The number of the line that a byte stands in."""
    at, ends = max((m for m in marks if m[0] <= offset), default=(0, 0))
    return ends + os.pread(fd, offset - at, at).count(b"\n") + 1


def _offset_of(fd: int, marks: Sequence[tuple[int, int]], line: int) -> int:
    """Where a line begins, in bytes."""
    wanted = line - 1  # line ends before it
    at, ends = max((m for m in marks if m[1] < wanted or m == (0, 0)), default=(0, 0))
    if wanted <= 0:
        return 0
    piece = os.pread(fd, _PIECE, at)
    place = -1
    for _ in range(wanted - ends):
        place = piece.find(b"\n", place + 1)
        if place < 0:
            return at + len(piece)
    return at + place + 1


def _numbered(piece: Piece, *, keep_end: bool) -> tuple[str, int, int]:
    """The lines with their numbers, as many as fit; and the first and last number shown."""
    numbered = [(piece.first + i, f"{piece.first + i}: {_cut(line)}") for i, line in enumerate(piece.lines)]
    kept: list[tuple[int, str]] = []
    room = _TEXT
    for number, text in reversed(numbered) if keep_end else numbered:
        room -= len(text) + 1
        if room < 0:
            break
        kept.append((number, text))
    kept.sort()
    return "\n".join(text for _, text in kept), kept[0][0], kept[-1][0]


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}… ({len(line)} characters)"


def _told(run_id: str, args: SearchLog, found: Found) -> str:
    searched = f"{found.lines} lines, {found.bytes} bytes"
    limit = "" if found.complete else f"; ended after {_SEARCH_S:.0f} s or by a stop, so only {searched} were searched"
    if not found.matches:
        return f"No line of job.log of {run_id} fits {word(args.pattern, 80)} ({searched}){limit}."
    which = "last" if args.last else "first"
    more = f", the {which} {len(found.matches)} shown" if found.total > len(found.matches) else ""
    count = f"{found.total} or more" if found.enough else str(found.total)
    head = f"{count} lines of job.log of {run_id} fit {word(args.pattern, 80)}{more} ({searched}){limit}."
    said: list[str] = [head]
    room = _TEXT
    for number, match in enumerate(found.matches):
        block = _block(match)
        room -= sum(len(line) + 1 for line in block)
        if room < 0:
            said.append(f"({len(found.matches) - number} more are left out: too long. Ask for a smaller limit.)")
            break
        said += block
    return "\n".join(said)


def _block(match: Match) -> list[str]:
    lines = [*match.before, match.text, *match.after]
    first = match.line - len(match.before)
    return [f"{'>' if first + i == match.line else ' '} {first + i}: {_cut(line)}" for i, line in enumerate(lines)] + [
        "--"
    ]


def log_tools(runs: RunsDesk) -> list[Tool]:
    """read_log, search_log."""
    its = LogTools(runs)
    return [
        SimpleTool(
            ToolSpec(
                name="read_log",
                title="Read a log",
                description=(
                    "Read lines of what a run printed, numbered from 1; the last ones, unless head, around_line or "
                    f"around_offset (bytes, as alerts cite it) says otherwise. run: {HOW_TO_REFER} lines: at most 400. "
                    "Secrets are blacked out."
                ),
                args=ReadLog,
                effect="read",
                repeat="again",
            ),
            its.read_log,
        ),
        SimpleTool(
            ToolSpec(
                name="search_log",
                title="Search a log",
                description=(
                    "Find lines of a run's log by words or, with regex, a Python regular expression; with line "
                    f"numbers and context. run: {HOW_TO_REFER} case: heed upper and lower case. context: lines around "
                    "each, at most 10. limit: matches shown, at most 100. last: the last matches instead of the first."
                ),
                args=SearchLog,
                effect="read",
                repeat="again",
            ),
            its.search_log,
        ),
    ]
