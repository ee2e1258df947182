"""What a command says: cleaned of terminal codes and secrets, told as it comes, its head and tail kept."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Callable

from .workspace.texts import blacked_out

# OSC, DCS, PM, APC, SOS with their ends; CSI; other escapes. A string without an end is cut at its line's end.
_CODES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c|(?=\n)|$)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_WHOLE = 1_000_000  # bytes that are looked at one by one; of what follows only the end
_TAIL = 200_000
_LONGEST = 8_000  # characters of a line that are waited for


def cleaned(text: str) -> str:
    """Text as a reader sees it on paper: no colours, no titles, no bells; of an overwritten line its last state.

    >>> cleaned("\\x1b]0;title\\x07\\x1b[31mred\\x1b[0m 10%\\r20%")
    '20%'
    """
    lines = _CONTROLS.sub("", _CODES.sub("", text).replace("\r\n", "\n")).split("\n")
    # A progress bar overwrites itself: what stands after the last carriage return is what is seen.
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


class Output:
    """Takes bytes, tells lines, keeps `most` characters. flooding: there is so much that only its end will be kept."""

    def __init__(self, redact: Callable[[str], str], most: int, said: Callable[[str], None]) -> None:
        self._redact = redact
        self._most = most
        self._said = said
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""  # a line that has not ended
        self._lines: list[str] = []
        self._seen = 0
        self._rest: deque[bytes] = deque()
        self._rest_size = 0
        self._in_key = False

    @property
    def flooding(self) -> bool:
        return self._seen > _WHOLE

    def take(self, data: bytes) -> None:
        if self._seen > _WHOLE:
            self._rest.append(data)
            self._rest_size += len(data)
            while self._rest_size - len(self._rest[0]) >= _TAIL:
                self._rest_size -= len(self._rest.popleft())
            if (self._seen + len(data)) // _WHOLE > self._seen // _WHOLE:  # a word now and then while it floods
                self._said(self._last_line(data))
        else:
            self._feed(self._decoder.decode(data))
        self._seen += len(data)

    def _last_line(self, data: bytes) -> str:
        lines = data[-_LONGEST:].decode("utf-8", "replace").split("\n")[1:-1]
        return "".join(f"{line}\n" for line in self._safe([cleaned(line) for line in lines[-1:]]))

    def _feed(self, text: str, end: bool = False) -> None:
        *lines, self._open = (self._open + text).split("\n")
        if len(self._open) > _LONGEST:  # a progress bar without line feeds, or a very long line: not kept for ever
            lines.append(self._open)
            self._open = ""
        if end and self._open:
            lines.append(self._open)
            self._open = ""
        if not lines:
            return
        safe = self._safe([cleaned(line) for line in lines])
        self._lines += safe
        self._said("\n".join(safe) + "\n")

    def _safe(self, lines: list[str]) -> list[str]:
        """Without secrets, also those of a private key whose first line came before."""
        if self._in_key:
            at = next((n for n, line in enumerate(lines) if "-----END " in line), None)
            if at is None:
                return ["[secret]"] * len(lines)
            self._in_key = False
            return ["[secret]"] * (at + 1) + self._safe(lines[at + 1 :])
        begun = [n for n, line in enumerate(lines) if "PRIVATE KEY" in line and "-----BEGIN " in line]
        if begun and not any("-----END " in line for line in lines[begun[-1] :]):
            self._in_key = True
        return blacked_out(lines, self._redact)

    def text(self) -> str:
        """What was said; beyond the limit its head and its tail, with what is missing between them said."""
        if self._rest:
            # The end of a flood: from its first whole line, and not from within a key.
            tail = b"".join(self._rest)[-_TAIL:].decode("utf-8", "replace").partition("\n")[2]
            if "-----END " in tail and "-----BEGIN " not in tail.partition("-----END ")[0]:
                tail = tail.partition("-----END ")[2].partition("\n")[2]
            self._open, self._in_key = "", False
            self._rest.clear()
            self._feed(tail, end=True)
        else:
            self._feed(self._decoder.decode(b"", final=True), end=True)
        whole = self._redact("\n".join(self._lines))
        missing = self._seen > _WHOLE + _TAIL
        if len(whole) <= self._most and not missing:
            return whole
        first, last = self._most * 2 // 5, self._most - self._most * 2 // 5
        said = f"[… of {self._seen:,} bytes the middle is left out …]"
        return f"{whole[:first]}\n{said}\n{whole[-last:]}"
