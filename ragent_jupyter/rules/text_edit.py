"""Edits of a text by "this exact piece becomes that one", and the difference as a person reads it."""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, CannotBeDone

_SHOWN_PLACES = 8
_MOST_DIFF_LINES = 20_000  # of both texts together; difflib takes seconds beyond


class Replacement(Struct, frozen=True, forbid_unknown_fields=True):
    """old_text stands exactly once in the text and becomes new_text."""

    old_text: str
    new_text: str


def edited(text: str, edits: Sequence[Replacement]) -> str:
    """The text after all edits, each made on what the ones before left. All or none.

    Line ends do not count when a piece is looked for: each replaced piece gets those of the text around it. Raises
    BadInput for an edit that is none, CannotBeDone where a piece stands there not once; both say where to look.
    >>> edited("a = 1\\r\\nb = 2\\r\\n", [Replacement("a = 1\\nb", "a = 3\\nc\\nb")])
    'a = 3\\r\\nc\\r\\nb = 2\\r\\n'
    """
    if not edits:
        raise BadInput("There is nothing to edit.", "Give old_text and new_text.")
    for n, edit in enumerate(edits, 1):
        text = _replaced(text, edit, f"Edit {n} of {len(edits)}: " if len(edits) > 1 else "")
    return text


def _replaced(text: str, edit: Replacement, which: str) -> str:
    old, new = edit.old_text.replace("\r\n", "\n"), edit.new_text.replace("\r\n", "\n")
    if not old:
        raise BadInput(
            f"{which}old_text is empty.",
            "Give a piece of the file that stands there exactly once; repeat it in new_text.",
        )
    if old == new:
        raise BadInput(f"{which}old_text and new_text are the same.", "Leave the edit out, or say what should change.")
    plain = text.replace("\r\n", "\n")
    places = _places(plain, old)
    if not places:
        raise CannotBeDone(f"{which}old_text does not stand in the file.", _near(plain, old))
    if len(places) > 1:
        lines = [str(plain.count("\n", 0, at) + 1) for at in places[:_SHOWN_PLACES]]
        more = ", …" if len(places) > _SHOWN_PLACES else ""
        raise CannotBeDone(
            f"{which}old_text stands in the file {len(places)} times, at lines {', '.join(lines)}{more}.",
            "Take more of the lines around the one that you mean, so that it stands there once.",
        )
    # Where each CRLF lies once it is one character, so that a place in the plain text is found in the true one.
    crlf = [m.start() - n for n, m in enumerate(re.finditer("\r\n", text))]
    start, end = places[0], places[0] + len(old)
    start, end = start + bisect_left(crlf, start), end + bisect_left(crlf, end)
    ends = _line_end(text, text[start:end])
    return text[:start] + (new.replace("\n", "\r\n") if ends == "\r\n" else new) + text[end:]


def _places(text: str, piece: str) -> list[int]:
    """Where a piece stands, overlapping ones too: "aa" stands twice in "aaa"."""
    found: list[int] = []
    at = text.find(piece)
    while at >= 0 and len(found) < 1000:
        found.append(at)
        at = text.find(piece, at + 1)
    return found


def _line_end(text: str, piece: str) -> str:
    """The line end of what is replaced; where it has none, the one that the text has most."""
    for part in (piece, text):
        windows, all_ = part.count("\r\n"), part.count("\n")
        if all_:
            return "\r\n" if windows * 2 > all_ else "\n"
    return "\n"


def _near(text: str, old: str) -> str:
    """A remedy: where something like the piece stands."""
    lines, wanted = text.split("\n"), [line for line in old.split("\n") if line.strip()]
    if not wanted:
        return "Read the file again and copy the piece from it."
    first = wanted[0].strip()
    same = [n for n, line in enumerate(lines, 1) if line.strip() == first][:_SHOWN_PLACES]
    if same:
        at = ", ".join(map(str, same))
        return f"Its first line stands at line {at}, but with other blanks or other lines after it. Read them again."
    close = difflib.get_close_matches(first, [line.strip() for line in lines[:5000]], n=1, cutoff=0.75)
    if close:
        at = str(next(n for n, line in enumerate(lines, 1) if line.strip() == close[0]))
        return f"Line {at} is like its first line, but not the same. Read it again and copy it exactly."
    return "Read the file again and copy the piece exactly, with its indentation and without line numbers."


def diff(old: str, new: str, path: str) -> str:
    """The difference as a unified diff. old "": the file is new; new "": it is deleted.

    Names and lines cannot fake others: control characters stand escaped.
    >>> print(diff("a\\nb\\n", "a\\nc\\n", "x.py"))
    --- a/x.py
    +++ b/x.py
    @@ -1,2 +1,2 @@
     a
    -b
    +c
    """
    name = visible(path)
    before, after = _lines(old), _lines(new)
    if len(before) + len(after) > _MOST_DIFF_LINES:
        return _coarse(before, after, name)
    out = []
    made = difflib.unified_diff(before, after, f"a/{name}" if old else "/dev/null", f"b/{name}" if new else "/dev/null")
    for line in made:
        out.append(visible(line.rstrip("\r\n")))
        if not line.endswith("\n"):
            out.append("\\ No newline at end of file")
    return "\n".join(out)


def _lines(text: str) -> list[str]:
    """Lines with their ends, cut at LF alone: what else Python calls a line end stands inside a line."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _coarse(before: list[str], after: list[str], name: str) -> str:
    """Of very long texts the one stretch that differs, whole."""
    most = min(len(before), len(after))
    head = next((n for n in range(most) if before[n] != after[n]), most)
    tail = next((n for n in range(most - head) if before[-1 - n] != after[-1 - n]), most - head)
    gone, come = before[head : len(before) - tail], after[head : len(after) - tail]
    lines = [f"--- a/{name}", f"+++ b/{name}", f"@@ -{head + 1},{len(gone)} +{head + 1},{len(come)} @@"]
    lines += [visible("-" + line.rstrip("\r\n")) for line in gone]
    return "\n".join(lines + [visible("+" + line.rstrip("\r\n")) for line in come])


def visible(text: str) -> str:
    """A line with what is not seen made visible: controls, zero-width characters, changes of direction.

    >>> visible("a\\u202eb\\x1b[1mc\\td")
    'a\\\\u202eb\\\\x1b[1mc\\td'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode("ascii") for char in text
    )


def counted(diff_text: str) -> tuple[int, int]:
    """(lines added, lines removed) of a unified diff."""
    lines = diff_text.split("\n")[2:]
    return sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)


def syntax_problem(text: str, path: str) -> str:
    """What Python says of a .py file, "" if it can be read or is none: a warning, never a refusal.

    >>> syntax_problem("def f(:", "a.py")
    'line 1: invalid syntax'
    """
    if not path.endswith(".py"):
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.removeprefix("\ufeff"))
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return ""
