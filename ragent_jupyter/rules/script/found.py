"""What a reader has found: one option of a script before it is judged."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from ragent_jupyter.domain.script import Style

from .folding import UNKNOWN, dotted, fold

Kind = Literal["float", "int", "bool", "str", "unknown"]
_NAME = re.compile(r"[A-Za-z0-9_][\w.\-/@]*\Z", re.ASCII)
_COMMENT = re.compile(r"""^(?:[^#'"]|'[^'\n]*'|"[^"\n]*")*#\s?(.*)$""")


class Found(Struct, kw_only=True):
    """One option. spellings: all that select it on a command line, dashes and all.

    off: spellings that set it to false.  dest: under which name the script keeps it.  many: it takes several values.
    positional: it is no option; it cannot be searched.  set_by: how the command line is read for its current value.
    computed: its value is another option's or is made at run time.  section: the comment over its group.
    fixed: a switch that is on already; to give it changes nothing.
    """

    name: str
    style: Style
    template: str
    kind: Kind = "unknown"
    default: Any = UNKNOWN
    choices: list[Any] = []
    help: str = ""
    section: str = ""
    spellings: list[str] = []
    off: list[str] = []
    dest: str = ""
    many: bool = False
    positional: bool = False
    computed: bool = False
    fixed: bool = False
    path: bool = False
    equals: bool = False  # `name=value` without dashes
    home: frozenset[str] = frozenset()  # words of the group's title or the class that it stands in
    group: str = ""  # the subcommand that it belongs to
    file: str = ""
    line: int = 0


class Module(Struct, kw_only=True):
    """A parsed file. names: its constants. taken: by local name, what it imports of other modules, once that was asked
    for. over: lines that could not be read, with why."""

    path: str
    source: str
    tree: ast.Module
    names: dict[str, Any]
    over: list[tuple[int, str]] = []
    taken: dict[str, Any] | None = None


class Reading(Struct):
    """What all readers write into. read: (file, line) of the calls that were read from elsewhere."""

    found: list[Found]
    notes: list[str]
    read: set[tuple[str, int]] = set()

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < 50:
            self.notes.append(text)


def usable(name: str) -> bool:
    """Whether a name can stand in a command line as it is. What is spelt otherwise was not meant to be typed."""
    return len(name) <= 120 and bool(_NAME.match(name))


def kind_of(value: Any) -> Kind:
    """The kind of a default.

    >>> [kind_of(v) for v in (True, 1, 0.1, "a", None)]
    ['bool', 'int', 'float', 'str', 'unknown']
    """
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    return "str" if isinstance(value, str) else "unknown"


def plain(value: Any) -> Any:
    """A value as it can be sent: what is unknown, or no JSON, becomes None."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, list):
        return [plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return {str(k): plain(v) for k, v in value.items()} if isinstance(value, dict) else None


def scalars(value: Any) -> list[Any]:
    """Choices, if they are plain values."""
    if isinstance(value, dict):
        value = list(value)
    if not isinstance(value, list) or len(value) > 200:
        return []
    return [v for v in value if isinstance(v, (str, int, float, bool))]


def annotated(node: ast.AST | None, names: Mapping[str, Any], depth: int = 0) -> tuple[Kind, list[Any], bool, bool]:
    """(kind, choices, takes several values, is a path) of a type annotation.

    >>> annotated(ast.parse("Optional[Literal['a', 'b']]", mode="eval").body, {})
    ('str', ['a', 'b'], False, False)
    """
    nothing: tuple[Kind, list[Any], bool, bool] = ("unknown", [], False, False)
    if node is None or depth > 8:
        return nothing
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 500:
        try:
            node = ast.parse(node.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return nothing
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        for side in (node.left, node.right):
            if not (isinstance(side, ast.Constant) and side.value is None):
                return annotated(side, names, depth + 1)
        return nothing
    if isinstance(node, ast.Subscript):
        outer = dotted(node.value).split(".")[-1]
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Literal":
            choices = scalars(fold(ast.List(elts=inside, ctx=ast.Load()), names))
            return (kind_of(choices[0]) if choices else "str", choices, False, False)
        if outer in ("Optional", "Annotated", "Final", "ClassVar", "Positional", "Suppress", "Required"):
            return annotated(inside[0], names, depth + 1)
        if outer == "Union":
            sides = [s for s in inside if not (isinstance(s, ast.Constant) and s.value is None)]
            return annotated(sides[0], names, depth + 1) if sides else nothing
        if outer.lower() in ("list", "tuple", "sequence", "set", "iterable", "dict", "mapping", "collection"):
            kind = annotated(inside[0], names, depth + 1)[0]
            return (kind, [], True, False)
        return nothing
    name = dotted(node)
    last = name.split(".")[-1]
    simple: dict[str, Kind] = {"int": "int", "float": "float", "bool": "bool", "str": "str"}
    if last in simple:
        return (simple[last], [], False, False)
    for word, kind in (("Float", "float"), ("Int", "int")):  # PositiveInt, NonNegativeFloat
        if last.endswith(word):
            return (kind, [], False, False)
    if "Path" in last or last == "FileType":
        return ("str", [], False, True)
    if last in ("list", "tuple", "List", "Tuple", "dict", "Dict", "Sequence"):
        return ("unknown", [], True, False)
    members = names.get(name)
    if isinstance(members, list) and members:
        return (kind_of(members[0]), scalars(members), False, False)
    return nothing


class Comments:
    """The comments of a source, by line: what stands behind a line, and what heads the block it is in."""

    def __init__(self, source: str) -> None:
        self.lines = source.splitlines()

    def behind(self, line: int) -> str:
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        if "#" not in text or len(text) > 1000:
            return ""
        match = _COMMENT.match(text)
        return match[1].strip() if match else ""

    def over(self, line: int, last: int) -> str:
        """The comment lines right above a statement (lines line..last) that speak of it alone: what follows it is no
        further statement of the same block."""
        at = line - 2
        text: list[str] = []
        while at >= 0 and self.lines[at].strip().startswith("#") and len(text) < 8:
            text.insert(0, self.lines[at].strip().lstrip("# ").strip())
            at -= 1
        after = self.lines[last].strip() if 0 <= last < len(self.lines) else ""
        return " ".join(text)[:400] if not after or after.startswith("#") else ""

    def above(self, line: int, most: int = 40) -> str:
        """The nearest line above that is a comment alone, within the same block: no blank line between."""
        for at in range(line - 2, max(-1, line - 2 - most), -1):
            text = self.lines[at].strip() if at < len(self.lines) else ""
            if not text:
                return ""
            if text.startswith("#"):
                return text.lstrip("# ").strip()
        return ""


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """The value node of a keyword argument."""
    return next((word.value for word in call.keywords if word.arg in names), None)


def text_of(node: ast.expr | None, names: Mapping[str, Any]) -> str:
    """A text that helps a person, on one line."""
    value = fold(node, names)
    return " ".join(value.split())[:400] if isinstance(value, str) and value != "==SUPPRESS==" else ""
