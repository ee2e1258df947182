"""Searching a log for a pattern, in a process of its own.

A regular expression can take for ever and holds the interpreter while it does, so that no thread and no clock can end
it: the search runs as `python -c "…log_search.main()"` and is killed when its time is up. Asked by one line of JSON on
stdin; answers a line of JSON for each match, with the lines around it, and a last one with the totals.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from ragent_jupyter.rules.redact import GONE, redact

from .logs import clean

LONGEST_LINE = 16384  # bytes of a line that are looked at
KEY_LINES = 100  # of a private key at most
_SAY_EVERY = 20_000  # lines
_ENOUGH = 10_000  # matches: nobody learns anything from counting further


class Match(Struct, frozen=True, kw_only=True):
    """A line that fits. line: from 1; text, before, after: cleaned of terminal control; offset: bytes."""

    line: int
    offset: int
    text: str
    before: list[str] = []
    after: list[str] = []


class Found(Struct, frozen=True, kw_only=True):
    """matches: the first ones; total: how many in what was searched; lines, bytes: how much that was.

    complete: False where time ended it. enough: so many fit that the rest was not looked at.
    problem: why the pattern could not be used at all.
    """

    matches: list[Match]
    total: int = 0
    lines: int = 0
    bytes: int = 0
    complete: bool = True
    enough: bool = False
    problem: str = ""


async def search(
    path: Path,
    pattern: str,
    *,
    regex: bool,
    ignore_case: bool,
    context: int,
    most: int,
    last: bool,
    timeout_s: float,
    stop: asyncio.Event,
) -> Found:
    """Look for a pattern in a log. last: the last `most` matches instead of the first. Never takes much longer than
    `timeout_s` seconds, and ends within a moment of `stop`."""
    ask = {
        "path": os.fspath(path), "pattern": pattern, "regex": regex, "ignore_case": ignore_case, "context": context,
        "most": most, "last": last,
    }  # fmt: skip
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _program(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 24,
    )  # fmt: skip
    matches: list[Match] = []
    state: dict[str, Any] = {"total": 0, "lines": 0, "bytes": 0}

    async def listen() -> None:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(ask).encode() + b"\n")
        await child.stdin.drain()
        child.stdin.close()
        async for line in child.stdout:
            said = json.loads(line)
            if "line" in said:
                matches.append(Match(**said))
            else:
                state.update(said)
        await child.wait()

    listening = asyncio.ensure_future(listen())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({listening, stopping}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if child.returncode is None:
            try:
                child.kill()
            except ProcessLookupError:
                pass  # it ended by itself this moment
        listening.cancel()
        await asyncio.wait({listening})
        await child.wait()
    if not listening.cancelled() and (error := listening.exception()) is not None:
        raise error
    complete = bool(state.pop("complete", False))
    state["total"] = max(int(state["total"]), len(matches))
    return Found(matches=matches, complete=complete, **state)


def _program() -> str:
    """The child's program: isolated, without site, with just the folders on its path that it imports from."""
    import msgspec

    roots = list(dict.fromkeys([str(Path(__file__).parents[2]), str(Path(msgspec.__file__).parents[1])]))
    return f"import sys; sys.path[:0] = {roots!r}; from ragent_jupyter.services.log_search import main; main()"


def main() -> None:
    """The child. It also ends by itself where nobody kills it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    ask = json.loads(sys.stdin.buffer.readline())
    try:
        fits = re.compile(
            ask["pattern"] if ask["regex"] else re.escape(ask["pattern"]), re.IGNORECASE if ask["ignore_case"] else 0
        )
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        _say({"problem": f"{error}"[:300] or type(error).__name__, "complete": True})
        return
    try:
        file = open(ask["path"], "rb")
    except FileNotFoundError:
        _say({"complete": True})
        return
    with file:
        for said in matching(lines_of(file), fits, ask["context"], ask["most"], ask["last"]):
            _say(said)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Blackener:
    """Secrets out of a log that is read line by line: a private key goes whole, though it stands on many lines."""

    def __init__(self) -> None:
        self._inside = 0

    def line(self, text: str, wanted: bool = True) -> str:
        """The next line as it may be shown. wanted: whether it will be; what is not needs only be followed."""
        if self._inside:
            self._inside = 0 if "-----END " in text else self._inside - 1
            return GONE
        if "-----BEGIN " in text and "PRIVATE KEY" in text and "-----END " not in text:
            self._inside = KEY_LINES
            return GONE
        return redact(text) if wanted else text


def lines_of(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """(offset, the line's bytes, the offset after it) of each line and of a last rest without an end.

    A very long line is cut: to its end where it is a progress bar, whose last state counts, else to its beginning.
    """
    start = 0
    while True:
        head = tail = file.readline(LONGEST_LINE)
        if not head:
            return
        after = start + len(head)
        while not tail.endswith(b"\n") and (more := file.readline(LONGEST_LINE)):
            tail = (tail + more)[-LONGEST_LINE:]
            after += len(more)
        yield start, tail if after - start > len(head) and b"\r" in tail else head, after
        start = after


def matching(
    lines: Iterable[tuple[int, bytes, int]], fits: re.Pattern[str], context: int, most: int, last: bool
) -> Iterator[dict[str, Any]]:
    """Matches with the lines around them as JSON objects, without secrets; totals now and then and at the end."""
    before: deque[str] = deque(maxlen=context)
    waiting: list[tuple[dict[str, Any], int]] = []  # matches whose following lines are still to come
    kept: deque[dict[str, Any]] = deque(maxlen=most)
    blackener = Blackener()
    total = number = after = 0
    for number, (offset, raw, after) in enumerate(lines, 1):
        bare = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not bare.isprintable():  # most lines are, and need no cleaning
            bare = clean(bare.replace("\0", ""))
        fit = fits.search(bare) is not None
        text = blackener.line(bare, wanted=fit or bool(waiting))
        for match, _ in waiting:
            match["after"].append(text)
        while waiting and waiting[0][1] <= number:
            match, _ = waiting.pop(0)
            if not last:
                yield match
        # What fits only by its secret does not fit: else a search could guess it, letter by letter.
        if fit and (text == bare or fits.search(text)):
            total += 1
            if total <= most or last:
                around = [old if old == GONE else redact(old) for old in before]
                found = {"line": number, "offset": offset, "text": text, "before": around, "after": []}
                if last:
                    kept.append(found)
                if context:
                    waiting.append((found, number + context))
                elif not last:
                    yield found
            if total >= _ENOUGH and not last:
                break
        before.append(text)
        if number % _SAY_EVERY == 0:
            yield {"total": total, "lines": number, "bytes": after}
    if last:
        yield from kept
    else:
        yield from (match for match, _ in waiting)
    yield {"total": total, "lines": number, "bytes": after, "complete": True, "enough": total >= _ENOUGH and not last}
