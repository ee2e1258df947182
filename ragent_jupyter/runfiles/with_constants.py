"""Run a script with some of its constants set anew: for scripts that have no command line of their own.

    python with_constants.py train.py ARGS… --ragent-set LEARNING_RATE=0.01 --ragent-set src/config.py:Config.depth=4

One file, standard library only, any Python from 3.8 on. The script's file is not touched: its syntax tree is, between
reading and executing it. NAME is a name that the module assigns at its top level, or `Class.field` (also what its
`__init__` assigns to self), or `DICT.key` of a dict or of a call's keywords that are written there, or `CFG.key` that
is assigned there. `FILE:NAME` is one of a module that the script imports; the FILE is relative to the script's folder.
The script sees itself as `__main__`, its own path, its own arguments, its folder first on sys.path, and its own line
numbers in tracebacks. A VALUE is a Python literal, else text.

Not reached: a process that is *spawned* (not forked) imports the files anew, with the constants as they stand in them.
"""

from __future__ import annotations

import ast
import os
import sys

TYPE_CHECKING = False  # typing is not imported at run time: it would cost a good part of our start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
        if not equals or not all(part.isidentifier() for part in name.rpartition(":")[2].split(".")):
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


def spelt(target: ast.AST) -> str:
    """`cfg.a["b"]` → "cfg.a.b"; "" where it is spelt otherwise."""
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        before, last = spelt(target.value), target.attr
    elif isinstance(target, ast.Subscript):
        index: Any = getattr(target.slice, "value", None)  # before Python 3.9 the constant lay one deeper
        index = index.value if isinstance(index, ast.Constant) else index
        before, last = spelt(target.value), index if isinstance(index, str) else ""
    else:
        return ""
    return f"{before}.{last}" if before and last else ""


def pairs(body: list[ast.stmt]) -> Iterator[tuple[str, Any, Any]]:
    """(name, what holds the value, under which attribute or index) of each assignment, those within if, try and with
    included."""
    for node in body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                many = target.elts if isinstance(target, (ast.Tuple, ast.List)) else []
                if many and isinstance(node.value, (ast.Tuple, ast.List)) and len(node.value.elts) == len(many):
                    for at, one in enumerate(many):
                        if spelt(one):
                            yield spelt(one), node.value.elts, at
                elif spelt(target):
                    yield spelt(target), node, "value"
        elif isinstance(node, ast.AnnAssign) and spelt(node.target) and node.value is not None:
            yield spelt(node.target), node, "value"
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            parts = [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
            parts += [handler.body for handler in getattr(node, "handlers", [])]
            for part in parts:
                yield from pairs(part)


def put(body: list[ast.stmt], name: str, value: Any) -> int:
    """Replace the values that a name is given; how many there were."""
    times = 0
    for found, owner, key in list(pairs(body)):
        old = owner[key] if isinstance(owner, list) else getattr(owner, key)
        if found == name and isinstance(owner, list):
            owner[key] = made(value, old)
        elif found == name:
            setattr(owner, key, made(value, old))
        elif name.startswith(found + "."):
            times += put_in(old, name[len(found) + 1 :], value)
            continue
        times += found == name
    head, dot, rest = name.partition(".")
    for part in body if dot else []:
        if isinstance(part, ast.ClassDef) and part.name == head:
            times += put(part.body, rest, value)
            for inner in part.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__init__" and inner.args.args:
                    times += put(inner.body, f"{inner.args.args[0].arg}.{rest}", value)
    return times


def put_in(held: ast.expr, name: str, value: Any) -> int:
    """The same within a dict, or the keywords of a call and the dict that it is given."""
    head, dot, rest = name.partition(".")
    times = 0
    if isinstance(held, ast.Dict):
        for at, key in enumerate(held.keys):
            if isinstance(key, ast.Constant) and key.value == head:
                if dot:
                    times += put_in(held.values[at], rest, value)
                else:
                    held.values[at] = made(value, held.values[at])
                    times += 1
    elif isinstance(held, ast.Call):
        for word in held.keywords:
            if word.arg == head and dot:
                times += put_in(word.value, rest, value)
            elif word.arg == head:
                word.value = made(value, word.value)
                times += 1
        for arg in held.args[:1]:
            times += put_in(arg, name, value)
    return times


def changed(path: str, values: dict[str, Any]) -> ast.Module:
    """The script's tree with the constants set. Raises Refused, OSError, SyntaxError."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read(), path)  # bytes: the parser itself sees in which encoding they are
    for name in values:
        if not put(tree.body, name, values[name]):
            known = ", ".join(sorted({found for found, _, _ in pairs(tree.body)})) or "nothing"
            raise Refused(f"{path} assigns no {name} at its top level. It assigns {known[:500]}.")
    return tree


def watched(trees: dict[str, ast.Module], names: list[str]) -> set[str]:
    """From now on the modules of these files (by real path) are imported as the trees that are given.

    names: the files as they were named, which may be links.  Returns those that were not imported yet, kept up to date.
    """
    import importlib.machinery
    import importlib.util
    import os  # again, as names of this function: the module's own are taken away before the script starts
    import sys

    files = [*trees, *names]
    stems = {os.path.basename(os.path.dirname(p) if os.path.basename(p) == "__init__.py" else p[:-3]) for p in files}
    left = set(trees)

    class Loader(importlib.machinery.SourceFileLoader):
        def get_code(self, fullname: str) -> Any:
            place = os.path.realpath(self.path)
            left.discard(place)
            return compile(trees[place], self.path, "exec", dont_inherit=True)

    class Finder:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            if name.rpartition(".")[2] not in stems:
                return None
            for finder in sys.meta_path:
                find: Any = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find is not None and finder is not self else None
                if spec is None:
                    continue
                if spec.origin is not None and os.path.realpath(spec.origin) in trees:
                    inner = spec.submodule_search_locations
                    loader = Loader(name, spec.origin)
                    return importlib.util.spec_from_file_location(
                        name, spec.origin, loader=loader, submodule_search_locations=inner
                    )
                return spec
            return None

    finder: Any = Finder()
    sys.meta_path.insert(0, finder)
    return left


def main(argv: list[str]) -> Callable[[], None]:
    """What executes the script. Raises Refused."""
    if not argv or argv[0].startswith("-"):
        raise Refused(f"usage: with_constants.py SCRIPT ARGS… {OPTION} NAME=VALUE …")
    path = os.path.join(argv[0], "__main__.py") if os.path.isdir(argv[0]) else argv[0]
    own, values = asked(argv[1:])
    files: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        file, _, inner = name.rpartition(":")
        place = os.path.join(os.path.dirname(os.path.realpath(path)), file) if file else path
        files.setdefault(place, {})[inner] = value
    place = path
    try:
        tree = changed(path, files.pop(path, {}))
        trees = {}
        for place in files:
            trees[os.path.realpath(place)] = changed(place, files[place])
    except OSError as error:
        raise Refused(f"{place} cannot be read: {error.strerror}.") from None
    code = compile(tree, path, "exec", dont_inherit=True)
    left = watched(trees, list(files)) if trees else set()
    sys.argv = [argv[0], *own]
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    tell, end = sys.stderr, sys.exit  # this module's names are gone when they are needed

    def execute() -> None:
        # In the place of this module: what is pickled looks for its classes in `__main__`.
        scope = sys.modules["__main__"].__dict__
        kept = {name: scope[name] for name in ("__name__", "__builtins__")}
        scope.clear()
        scope.update(
            kept, __file__=path, __doc__=None, __package__=None, __spec__=None, __cached__=None, __loader__=None
        )
        try:
            exec(code, scope)
        except SystemExit as ended:
            if ended.code or not left:
                raise
        # Values that were set in a file that nobody imports were not tried: the run must not count as if they were.
        for place in sorted(left):
            tell.write(f"with_constants: {place} was never imported: what was set in it had no effect.\n")
        if left:
            end(2)

    return execute


if __name__ == "__main__":
    try:
        script = main(sys.argv[1:])
    except Refused as refusal:
        sys.stderr.write(f"with_constants: {refusal}\n")
        sys.exit(2)
    script()  # outside of `try`: by now no name of ours is left to compare an exception with
