"""What a shell command is, from its text alone: simple or compound, dangerous, and what "always" may allow of it.

This never permits anything. It decides which words a person is shown in red and which pattern they are offered; what
it does not understand counts as compound and gets no pattern.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Sequence

from msgspec import Struct

from .shell_dangers import CARRIERS, dangers, simple_commands

# Any of these makes a command more than one, or what it runs different from what it reads.
_COMPOUND = re.compile(r"[;|&`$<>\n\r(){}!\\#~*?\[\]]|^\s*\w+\+?=")
_BACKGROUND = re.compile(r"(?<![&>\d|])&(?![&>\d])")
_LEAVES = frozenset({"nohup", "disown", "setsid", "daemonize", "start-stop-daemon", "screen", "tmux", "at", "batch"})
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "fish", "csh", "tcsh", "busybox"})
_CODE = frozenset(
    {"python", "python3", "perl", "ruby", "node", "deno", "bun", "php", "lua", "osascript", "awk", "gawk"}
)
_NEVER_ALWAYS = (
    _SHELLS | CARRIERS | _CODE | {"eval", "source", ".", "find", "git", "make", "ssh", "docker", "podman", "kubectl"}
)
# What these begin may be allowed for good, whatever follows but _LOOKS_BUT: they look and change nothing.
_LOOKS: tuple[tuple[str, ...], ...] = (
    ("git", "status"),
    ("git", "log"),
    ("git", "diff"),
    ("git", "show"),
    ("nvidia-smi",),
    ("ls",),
    ("wc",),
    ("du",),
    ("df",),
    ("pip", "list"),
    ("pip", "show"),
    ("pytest",),
)
_LOOKS_BUT = re.compile(
    r"^--?(?:o|output|ext-diff|textconv|no-index|exec|pdbcls|rootdir|basetemp|confcutdir|p|c|files0-from)(?:=|$)|^-[opc]."
)


class Command(Struct, frozen=True, kw_only=True):
    """compound: more than one program may run, or one that the text does not name.  dangers: in plain words.

    pattern: what "always" would allow, as rules/permissions.py reads it; "" where nothing may be allowed for good.
    background: the command leaves something running behind it.  problem: why it cannot be run at all.
    """

    compound: bool
    dangers: list[str]
    pattern: str
    background: bool = False
    problem: str = ""


def understood(command: str) -> Command:
    """What a command is.

    >>> understood("git status -s").pattern
    'run_shell:git status *'
    >>> understood("rm -rf build && ls").dangers
    ['deletes files (rm)']
    """
    problem = _problem(command)
    if problem:
        return Command(compound=True, dangers=[], pattern="", problem=problem)
    unseen = unseen_in(command)
    words = _split(command)
    compound = words is None or bool(_COMPOUND.search(command))
    found = dangers(command)
    if unseen:
        found = [f"holds characters that are not seen ({', '.join(unseen[:5])})", *found]
    elif not command.isascii():
        found = [*found, *(_lookalikes(command))]
    pattern = "" if compound or found or words is None else _pattern(command, words)
    return Command(compound=compound, dangers=found, pattern=pattern, background=leaves_running(command))


def _problem(command: str) -> str:
    if not command.strip():
        return "The command is empty."
    if "\0" in command:
        return "The command holds a NUL character."
    if len(command) > 20_000:
        return "The command is longer than 20,000 characters; put it into a script file."
    if any("\ud800" <= char <= "\udfff" for char in command):
        return "The command holds half a character."
    return ""


def unseen_in(command: str) -> list[str]:
    """Characters that a reader does not see, or that turn the reading direction, as U+XXXX; line feed and tab are fine.

    >>> unseen_in("ls \\u200b\\u202e x")
    ['U+200B', 'U+202E']
    """
    odd = {
        char
        for char in command
        if char not in "\n\t" and (unicodedata.category(char) in ("Cc", "Cf", "Co", "Cn", "Zl", "Zp") or _blank(char))
    }
    return [f"U+{ord(char):04X}" for char in sorted(odd)]


def _blank(char: str) -> bool:
    # Blanks that no shell splits at: "rm\u00a0-rf" is one word to it and two to a reader.
    return char != " " and (unicodedata.category(char) == "Zs" or char in "\u2800\u3164\u115f\u1160\uffa0\u034f")


def _lookalikes(command: str) -> list[str]:
    """Words that mix Latin letters with ones of other scripts that look like them."""
    for word in re.findall(r"\w+", command):
        kinds = {unicodedata.name(char, "").split(" ")[0] for char in word if char.isalpha()}
        if "LATIN" in kinds and kinds & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "MATHEMATICAL"}:
            return [f"mixes alphabets in {word[:40]!r}"]
        if unicodedata.normalize("NFKC", word) != word and unicodedata.normalize("NFKC", word).isascii():
            return [f"writes {word[:40]!r} in unusual letters"]
    return []


def _split(command: str) -> list[str] | None:
    try:
        words = shlex.split(command, comments=False)
    except ValueError:
        return None  # an open quote: the shell would read on
    return words or None


def _pattern(command: str, words: Sequence[str]) -> str:
    """What "always" is offered for a simple command without danger."""
    for look in _LOOKS:
        if tuple(words[: len(look)]) == look:
            # Nothing rather than the exact command, which "always `git diff *`" would cover as well.
            # With the blank before the star: `ls *` must not cover `lsof`.
            safe = not any(_LOOKS_BUT.search(word) for word in words[len(look) :])
            return f"run_shell:{' '.join(look)} *" if safe else ""
    return f"run_shell:{command.strip()}" if _may_repeat(words) else ""


def _may_repeat(words: Sequence[str]) -> bool:
    """Whether exactly this command may be allowed for good."""
    name = words[0].rsplit("/", 1)[-1]
    if name in _CODE:  # a script by its name is fine, code on the line and code from standard input are not
        return (len(words) > 1 and not words[1].startswith("-")) or words[1:3] == ["-m", "pytest"]
    if name in ("git", "make"):
        return True
    return name not in _NEVER_ALWAYS


def leaves_running(command: str) -> bool:
    """Whether it puts something into the background, where a shell command's end would end it.

    >>> [leaves_running(c) for c in ("python train.py &", "a && b", "nohup x", "cmd 2>&1", "echo '&'")]
    [True, False, True, False, False]
    """
    bare = _without_quotes(command)
    if _BACKGROUND.search(bare):
        return True
    return any(words[0].rsplit("/", 1)[-1] in _LEAVES for words in simple_commands(bare) if words)


def _without_quotes(command: str) -> str:
    """The command with what stands in quotes or is escaped taken out; $(…) and `…` in double quotes stay."""
    out: list[str] = []
    at, quote = 0, ""
    while at < len(command):
        char = command[at]
        if quote == "'":
            quote = "" if char == "'" else quote
        elif char == "\\":
            at += 1
            out.append("_")
        elif quote == '"':
            if char == '"':
                quote = ""
            elif char == "`" or command.startswith("$(", at):
                out.append(char)
        elif char in "'\"":
            quote = char
            out.append("_")
        else:
            out.append(char)
        at += 1
    return "".join(out)


def head(command: str, most: int = 200) -> str:
    """A command on one line, for a title; what is not seen in it stands escaped."""
    flat = "".join(
        " ⏎ "
        if char == "\n"
        else char
        if char.isprintable() and not _blank(char)
        else char.encode("unicode_escape", "replace").decode()
        for char in command.strip()
    )
    return flat if len(flat) <= most else flat[: most - 1] + "…"
