"""Python that this Python cannot read whole: older than 3, newer than the engine's, or with a notebook's magics.

A job runs under its own interpreter, which may well know what the engine's does not; one line of it must not hide all
options of a script.
"""

from __future__ import annotations

import ast
import re

# What is common in scripts of before 2020, in words of today that mean the same to a reader of options.
_OLD = (
    (re.compile(r"\basync(?=\s*=[^=])"), "async_"),  # an argument's name until 3.6
    (re.compile(r"^([ \t]*)print\b(?![ \t]*[(=.,)\]:]|[ \t]*$).*$", re.M), r"\1pass"),
    (re.compile(r"^([ \t]*except[ \t]+[\w.() \t,]{1,200}?)[ \t]*,[ \t]*\w+[ \t]*:", re.M), r"\1:"),
)
_TEXTS = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\])*(?:\1|\\?$)|#.*""")  # one that does not close ends with its line
_MOST = 40  # lines that are passed over; a file with more is something else


def tree_of(source: str, path: str = "<script>") -> tuple[ast.Module, list[tuple[int, str]]]:
    """The tree of what can be read; and the lines (from 1) that were passed over, with the parser's words.

    Raises SyntaxError where too little can, and ValueError, RecursionError, MemoryError as ast.parse does.

    >>> tree, over = tree_of("LR = 0.1\\n%matplotlib inline\\nprint 'x'\\n")
    >>> [type(node).__name__ for node in tree.body], [line for line, _ in over]
    (['Assign', 'Pass', 'Pass'], [2])
    """
    try:
        return ast.parse(source, filename=path), []
    except SyntaxError as error:
        first = error
    for old, today in _OLD:
        source = old.sub(today, source)
    lines, over = source.split("\n"), dict[int, str]()
    for _ in range(_MOST):
        try:
            return ast.parse("\n".join(lines), filename=path), sorted(over.items())
        except SyntaxError as error:
            at = min(error.lineno or 1, len(lines)) - 1
            if not _passed_over(lines, at):
                break
            over.setdefault(at + 1, error.msg)
    raise first


def _passed_over(lines: list[str], at: int) -> bool:
    """Takes the statement that a line belongs to out of the lines; whether there was one to take."""
    text = lines[at].strip()
    if text in ("pass", "if 1:"):  # put here before, and still in the way: it stands too far in
        lines[at] = ""
        return True
    begin, end = _statement(lines, at)
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    made = "if 1:" if lines[end].rstrip().endswith(":") else "pass"  # what stands under it keeps its place
    lines[begin : end + 1] = [indent + made, *[""] * (end - begin)]
    return bool(text)


def _statement(lines: list[str], at: int) -> tuple[int, int]:
    """The first and last line of the brackets that a line stands in; that line alone where they never close."""
    depth, begin = 0, 0
    for number, line in enumerate(lines):
        begin = number if depth == 0 else begin
        bare = _TEXTS.sub("", line)
        depth = max(0, depth + sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}")))
        if number >= at and depth == 0:
            return begin, number
    return at, at
