"""Which Python script a command line runs, where its name stands, and what it is given. A line is read, never run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from msgspec import Struct

from .vocabulary import word_set

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_PYTHON = re.compile(r"(python|pypy|pythonw|ipython)[\d.]*$")
_WITH_VALUE = word_set("-W -X --check-hash-based-pycs")
# Modules that run another script: it is that one which counts.
_RUNNERS = word_set(
    "torch.distributed.run torch.distributed.launch accelerate.commands.launch deepspeed.launcher.runner cProfile "
    "profile pdb ipdb debugpy scalene kernprof line_profiler memory_profiler coverage trace torch.utils.bottleneck "
    "viztracer pyinstrument horovod.runner.launch torchrun"
)
_RUN_MODULES = word_set("torchrun accelerate deepspeed uv poetry pipenv pdm rye hatch")
_NO_LAUNCHERS = word_set(
    "cat less more head tail ls cp mv rm mkdir touch chmod echo printf grep sed awk vim vi nano code git ruff black "
    "mypy flake8 isort pytest wc diff tar zip unzip scp rsync tee export source set kill sleep test true false pip "
    "pip3 conda-build"
)
_LONGEST = 64 * 1024  # characters of a command line; what is longer was not typed


class Word(Struct, frozen=True):
    """A word as the shell sees it (quotes taken off), and where it stands in the line."""

    text: str
    start: int
    end: int


class Where(Struct, frozen=True, kw_only=True):
    """script: its path as written, relative to `folder`; module: of `python -m`; both "" where there is none.

    start, end: where that word stands in the line.  args: what follows it.  folder: of `cd` before it.
    tail: what would follow the script's own arguments ("| tee log"), "" where the line ends with them.
    problem: why nothing was found.
    """

    script: str = ""
    module: str = ""
    args: list[str] = []
    folder: str = ""
    start: int = 0
    end: int = 0
    tail: str = ""
    problem: str = ""


class _Simple(Struct):
    """One simple command: its words without redirections, and the operator that follows."""

    words: list[Word] = []
    op: str = ""
    op_at: int = 0


class _Unreadable(Exception):
    pass


def locate(command: str) -> Where:
    """The last Python script that a command line runs.

    >>> where = locate("FOO=1 python -u train.py --lr 0.1")
    >>> where.script, where.args
    ('train.py', ['--lr', '0.1'])
    >>> locate("cd sub && torchrun --nproc_per_node=2 train.py | tee log").tail
    '| tee log'
    >>> locate("python -m pkg.train -b 4").module
    'pkg.train'
    """
    if len(command) > _LONGEST:
        return Where(problem=f"The command is longer than {_LONGEST // 1024} KiB.")
    try:
        simple = _split(command)
    except _Unreadable as error:
        return Where(problem=str(error))
    folder, found = "", Where(problem="The command names no Python script.")
    for number, one in enumerate(simple):
        texts = [w.text for w in one.words]
        if len(texts) == 2 and texts[0] == "cd":
            folder = posixpath.normpath(posixpath.join(folder, texts[1]))
            continue
        place = _script_at(texts)
        if place is None:
            continue
        index, module = place
        word = one.words[index]
        last = number == len(simple) - 1 and not one.op
        found = Where(
            script="" if module else word.text,
            module=word.text if module else "",
            args=texts[index + 1 :],
            folder=folder,
            start=word.start,
            end=word.end,
            tail="" if last else command[one.op_at :].strip(),
        )
    return found


def _split(command: str) -> list[_Simple]:
    """The simple commands of a line. Raises _Unreadable where a quote is left open."""
    commands, now = [], _Simple()
    at, n = 0, len(command)
    drop = False  # the next word is the target of a redirection
    while at < n:
        char = command[at]
        if char in " \t\r":
            at += 1
        elif command.startswith("\\\n", at):
            at += 2
        elif char == "#":
            end = command.find("\n", at)
            end = n if end < 0 else end
            if not command[at:end].strip("# \t"):
                at = end
                continue
            now.op, now.op_at = "#", at
            commands.append(now)
            now, at = _Simple(), end
        elif char in ";|&\n()":
            if char == "&" and command[at + 1 : at + 2] == ">":  # &> file
                at, drop = at + 2, True
                continue
            end = at + 1
            while end < n and command[end] in ";|&" and char in ";|&":
                end += 1
            if char == "\n" and not command[at:].strip():
                break  # the line's own end
            now.op, now.op_at = command[at:end], at
            commands.append(now)
            now, at = _Simple(), end
        elif char in "<>":
            while at < n and command[at] in "<>&|":
                at += 1
            while at < n and command[at] in " \t":
                at += 1
            drop = True
        else:
            word = _word(command, at)
            if word.text.isdigit() and command[word.end : word.end + 1] in ("<", ">"):
                pass  # the number of a descriptor: 2>
            elif drop:
                drop = False
            else:
                now.words.append(word)
            at = word.end
    if now.words:
        commands.append(now)
    return [one for one in commands if one.words or one.op.strip()]


def _word(command: str, start: int) -> Word:
    at, n, text = start, len(command), []
    while at < n:
        char = command[at]
        if char in " \t\r\n;|&()<>":
            break
        if char == "'":
            end = command.find("'", at + 1)
            if end < 0:
                raise _Unreadable("The command has an open quote.")
            text.append(command[at + 1 : end])
            at = end + 1
        elif char == '"':
            at += 1
            while at < n and command[at] != '"':
                if command[at] == "\\" and at + 1 < n and command[at + 1] in '"\\$`\n':
                    at += 1
                text.append(command[at])
                at += 1
            if at >= n:
                raise _Unreadable("The command has an open quote.")
            at += 1
        elif char == "\\":
            if command[at + 1 : at + 2] != "\n":
                text.append(command[at + 1 : at + 2])
            at += 2
        elif char == "`" or command.startswith("$(", at):
            end = _substitution(command, at)
            text.append(command[at:end])
            at = end
        else:
            text.append(char)
            at += 1
    return Word("".join(text), start, at)


def _substitution(command: str, at: int) -> int:
    """The end of `…` or $(…): what a program would print is not known, so it stays as it is written."""
    if command[at] == "`":
        end = command.find("`", at + 1)
        if end < 0:
            raise _Unreadable("The command has an open `.")
        return end + 1
    depth = 0
    for index in range(at + 1, len(command)):
        depth += (command[index] == "(") - (command[index] == ")")
        if depth == 0:
            return index + 1
    raise _Unreadable("The command has an open $(.")


def _script_at(words: Sequence[str]) -> tuple[int, bool] | None:
    """(index of the script's word, whether it is a module's name) in a simple command."""
    at = 0
    while at < len(words) and _ASSIGNMENT.match(words[at]):
        at += 1
    if at == len(words) or posixpath.basename(words[at]) in _NO_LAUNCHERS:
        return None
    runs_modules = False
    while at < len(words):
        word = words[at]
        name = posixpath.basename(word)
        if _PYTHON.match(name):
            found = _after_python(words, at + 1)
            if found is None or not found[1] or words[found[0]] not in _RUNNERS:
                return found
            at, runs_modules = found[0] + 1, True
            continue
        if name in _RUN_MODULES:
            runs_modules = True
        elif word.endswith(".py") and not word.startswith("-"):
            return at, False
        elif runs_modules and word in ("-m", "--module") and at + 1 < len(words):
            return at + 1, True
        at += 1
    return None


def _after_python(words: Sequence[str], at: int) -> tuple[int, bool] | None:
    while at < len(words):
        word = words[at]
        if word in _WITH_VALUE:
            at += 2
        elif word == "-" or re.match(r"-[a-zA-Z]*c$", word):
            return None  # the program itself stands in the line or comes from a pipe
        elif re.match(r"-[a-zA-Z]*m$", word):
            return (at + 1, True) if at + 1 < len(words) else None
        elif word.startswith("-m") and not word.startswith("--"):
            return None
        elif word.startswith("-"):
            at += 1
        else:
            return at, False
    return None
