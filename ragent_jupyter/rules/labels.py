"""What people write beside a run: small, as it stands in every list and every event of the run. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragent_jupyter.domain.errors import TooLarge

MAX_ALIAS = 200
MAX_TAGS = 50
MAX_TAG = 100
MAX_NOTES = 20_000

# Control characters, and those that turn the direction of a line: a name must not look like another one.
_OBEYED = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]{0,100}[ -/]{0,10}[@-~]|\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\))")
_NOT_IN_TEXT = re.compile(f"[{_OBEYED}]")
_NOT_IN_LINE = re.compile(f"[{_OBEYED}\t\n]")


def line(text: str) -> str:
    """
    >>> line(" a\\x1b[2Jb\\x00\\n c ")
    'ab c'
    """
    return " ".join(_NOT_IN_LINE.sub(" ", _SEQUENCE.sub("", text)).split())


def alias(text: str) -> str:
    """Raises TooLarge."""
    if len(text) > MAX_ALIAS:
        raise TooLarge(f"A name has at most {MAX_ALIAS} characters; this one has {len(text):,}.", "Say it shorter.")
    return line(text)


def tags(given: Sequence[str]) -> list[str]:
    """Without empty ones and repeats, in their order. Raises TooLarge.

    >>> tags(["a", " a ", "\\x07", "b c"])
    ['a', 'b c']
    """
    if len(given) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in given):
        raise TooLarge(f"A run has at most {MAX_TAGS} tags of {MAX_TAG} characters.", "Use fewer, or shorter ones.")
    return list(dict.fromkeys(tag for tag in map(line, given) if tag))


def notes(text: str) -> str:
    """Raises TooLarge.

    >>> notes("a\\r\\n\\tb\\x1b[0m")
    'a\\n\\tb'
    """
    if len(text) > MAX_NOTES:
        raise TooLarge(f"Notes have at most {MAX_NOTES:,} characters; these have {len(text):,}.", "Say it shorter.")
    return _NOT_IN_TEXT.sub("", _SEQUENCE.sub("", text))
