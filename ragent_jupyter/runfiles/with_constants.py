"""Run a script with some of its constants set anew: for scripts that have no command line of their own.

    python with_constants.py train.py ARGS… --ragent-set LEARNING_RATE=0.01 --ragent-set Config.depth=4

One file, standard library only, any Python from 3.8 on. The script's file is not touched: its syntax tree is, between
reading and executing it. NAME is a name that the module assigns at its top level, or `Class.field`, or `DICT.key` of a
dict that is written there. The script sees itself as `__main__`, its own path, its own arguments, its folder first on
sys.path, and its own line numbers in tracebacks. A VALUE is a Python literal, else text.

Not reached: a process that is *spawned* (not forked) imports the script's file anew, with the constants as they stand
in it.
"""

from __future__ import annotations

import ast
import os
import sys
import tokenize

TYPE_CHECKING = False  # typing is not imported at run time: it would cost a good part of our start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

OPTION = "--ragent-set"


class Refused(Exception):
    """What was asked cannot be done; the text says why, for a person."""


def asked(argv: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The arguments that are the script's own, and the constants to set; of a name that comes twice the last counts."""
    own: list[str] = []
    values: dict[str, Any] = {}
    at = 0
    while at < len(argv):
        word = argv[at]
        at += 1
        if word == OPTION:
            if at == len(argv):
                raise Refused(f"{OPTION} is the last word: NAME=VALUE must follow.")
            word = f"{OPTION}={argv[at]}"
            at += 1
        if not word.startswith(OPTION + "="):
            own.append(word)
            continue
        name, equals, text = word[len(OPTION) + 1 :].partition("=")
        if not equals or not all(part.isidentifier() for part in name.split(".")):
            raise Refused(f"{OPTION} {word[len(OPTION) + 1 :][:100]}: NAME=VALUE was expected.")
        values[name] = literal(text)
    return own, values


def literal(text: str) -> Any:
    """A Python literal, else the text; true, false and none as other tools spell them."""
    known = {"true": True, "false": False, "none": None}
    if text.lower() in known:
        return known[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def made(value: Any, like: ast.expr) -> ast.expr:
    """The node of a value, at the place of the node that it takes. A whole number stays one where one stood."""
    old = like.value if isinstance(like, ast.Constant) else None
    whole = isinstance(old, int) and not isinstance(old, bool)
    if whole and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float) and value - value != 0:  # inf and nan have no literal; 1e999 is infinite
        value = float(f"{value}")
        node = ast.parse("(1e999 - 1e999)" if value != value else "1e999" if value > 0 else "-1e999", mode="eval").body
    else:
        node = ast.parse(repr(value), mode="eval").body
    for one in ast.walk(node):
        ast.copy_location(one, like)
    return node


def pairs(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    """(name, statement) of each assignment to one name, those within if, try and with included."""
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            parts = [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
            parts += [handler.body for handler in getattr(node, "handlers", [])]
            for part in parts:
                yield from pairs(part)


def put(body: list[ast.stmt], name: str, value: Any) -> int:
    """Replace the values that a name is given; how many there were."""
    head, dot, rest = name.partition(".")
    times = 0
    if not dot:
        for found, node in pairs(body):
            if found == head:
                node.value = made(value, node.value)
                times += 1
        return times
    for part in body:
        if isinstance(part, ast.ClassDef) and part.name == head:
            times += put(part.body, rest, value)
    for found, node in pairs(body):
        if found == head and isinstance(node.value, ast.Dict):
            times += put_key(node.value, rest, value)
        elif found == head and isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "dict":
            for word in node.value.keywords:
                if word.arg == rest:
                    word.value = made(value, word.value)
                    times += 1
    return times


def put_key(table: ast.Dict, name: str, value: Any) -> int:
    head, dot, rest = name.partition(".")
    times = 0
    for at, key in enumerate(table.keys):
        if isinstance(key, ast.Constant) and key.value == head:
            inner = table.values[at]
            if dot and isinstance(inner, ast.Dict):
                times += put_key(inner, rest, value)
            elif not dot:
                table.values[at] = made(value, inner)
                times += 1
    return times


def changed(path: str, values: dict[str, Any]) -> ast.Module:
    """The script's tree with the constants set. Raises Refused, OSError, SyntaxError."""
    with open(path, "rb") as file:
        encoding, _ = tokenize.detect_encoding(file.readline)
    with open(path, encoding=encoding) as text:
        tree = ast.parse(text.read(), path)
    for name in values:
        if not put(tree.body, name, values[name]):
            known = ", ".join(sorted({found for found, _ in pairs(tree.body)})) or "nothing"
            raise Refused(f"{path} assigns no {name} at its top level. It assigns {known[:500]}.")
    return tree


def main(argv: list[str]) -> None:
    if not argv or argv[0].startswith("-"):
        raise Refused(f"usage: with_constants.py SCRIPT ARGS… {OPTION} NAME=VALUE …")
    path = argv[0]
    own, values = asked(argv[1:])
    try:
        tree = changed(path, values)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None
    code = compile(tree, path, "exec", dont_inherit=True)
    sys.argv = [path, *own]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    # In the place of this module: what is pickled looks for its classes in `__main__`.
    scope = sys.modules["__main__"].__dict__
    kept = {name: scope[name] for name in ("__name__", "__builtins__")}
    scope.clear()
    scope.update(kept, __file__=path, __doc__=None, __package__=None, __spec__=None, __cached__=None, __loader__=None)
    exec(code, scope)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refused as refusal:
        sys.stderr.write(f"with_constants: {refusal}\n")
        sys.exit(2)
