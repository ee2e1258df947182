"""`/name arguments` as it is typed into a chat: what was meant, and the options of what starts something. Pure."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput

_COMMAND = re.compile(r"/([a-zA-Z][a-zA-Z_-]{0,30})(?=\s|$)")


class Command(Struct, frozen=True):
    """name: in lower case, without its slash.  args: as they were typed, line ends and all."""

    name: str
    args: str


def parse(text: str) -> Command | None:
    """The command that a message is, or None where it is a message.

    Only the very first character counts: a path (`/data/x.py`), a slash after a space, and `//` are text.

    >>> parse("/compare a b"), parse("/data/train.py fails"), parse(" /stop")
    (Command(name='compare', args='a b'), None, None)
    """
    match = _COMMAND.match(text)
    return Command(match[1].lower(), text[match.end() :].strip()) if match else None


def plain(text: str) -> str:
    """A message that is none of our commands, as the model gets it: a doubled slash was only there to be one.

    >>> plain("//etc is full")
    '/etc is full'
    """
    return text[1:] if text.startswith("//") else text


def unknown(name: str, names: Sequence[str]) -> BadInput:
    """The refusal of a name that nobody listens to."""
    near = difflib.get_close_matches(name, names, n=1)
    offer = f"Did you mean /{near[0]}? " if near else ""
    listed = " ".join(f"/{one}" for one in names)
    return BadInput(
        f"There is no command /{name[:40]}.", f"{offer}There are {listed}. To send it as text, write //{name[:40]}."
    )


def split(args: str, usage: str) -> list[str]:
    """Arguments as words, quotes respected. Raises BadInput with the usage.

    >>> split("run_a 'my run'", "/compare RUN RUN")
    ['run_a', 'my run']
    """
    try:
        return shlex.split(args)
    except ValueError as error:
        raise BadInput(f"{args[:100]!r} cannot be read: {error}.", f"Usage: {usage}") from None


def launch_options(args: str, known: Mapping[str, type], usage: str) -> tuple[dict[str, Any], str]:
    """The `--name value` options before a command, and the command exactly as it was typed.

    Raises BadInput for an option that is unknown, lacks its value or is no number.

    >>> launch_options("--gpus 2 python t.py --lr 0.1 | tee 'a b'", {"gpus": int}, "")
    ({'gpus': 2}, "python t.py --lr 0.1 | tee 'a b'")
    """
    found: dict[str, Any] = {}
    while args.startswith("--"):
        word, args = _first(args, usage)
        if word == "--":
            break
        name, equals, value = word[2:].partition("=")
        if name not in known:
            options = ", ".join(f"--{option}" for option in known)
            raise BadInput(f"There is no option --{name[:40]}.", f"There are {options}; after -- comes the command.")
        if not equals:
            if not args:
                raise BadInput(f"--{name} has no value.", f"Usage: {usage}")
            value, args = _first(args, usage)
        try:
            found[name] = known[name](value)
        except ValueError:
            raise BadInput(f"--{name} takes a whole number, not {value[:40]!r}.", f"Usage: {usage}") from None
    return found, args


_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""", re.DOTALL)


def _first(text: str, usage: str) -> tuple[str, str]:
    """The first word (quotes respected), and what follows, untouched."""
    match = _WORD.match(text)
    if match is None:
        raise BadInput(f"{text[:60]!r} has an open quote.", f"Usage: {usage}")
    return split(match[0], usage)[0], text[match.end() :].lstrip()
