"""What a Python file that judges runs imports from the project: a change of that changes the judgement too.

Found by reading, never by running. Not found: modules whose name is computed, and files that are opened and executed.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ragent_jupyter.domain.wild import Setup
from ragent_jupyter.rules.script.readable import tree_of
from ragent_jupyter.rules.wild_paths import path_refused

MOST_MODULES = 500
_MOST_BYTES = 1_000_000  # a longer file was generated, and is not read
_ENTRIES = 20_000  # looked at in folders that judge
_NATIVE = (".so", ".pyd")


def named(source: bytes) -> list[tuple[int, str]]:
    """(how many dots, module) of every import, wherever it stands; [] for what is no Python.

    >>> named(b"import a.b\\nfrom .c import d\\n__import__('e')")
    [(0, 'a.b'), (1, 'c'), (1, 'c.d'), (0, 'e')]
    """
    try:
        tree, _ = tree_of(source.decode("utf-8", "replace"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [(0, one.name) for one in names]
            case ast.ImportFrom(module=module, names=names, level=level):
                base = module or ""
                found += [(level, base)] if base or level else []
                found += [(level, f"{base}.{one.name}" if base else one.name) for one in names]
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.append((len(name) - len(name.lstrip(".")), name.lstrip(".")))
    return list(dict.fromkeys(found))


class Imports:
    """Of files as they are now. What a content imports is remembered by its hash."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[tuple[int, str]]] = {}

    def of(self, judges: Mapping[str, str], root: str, top: str) -> dict[str, str]:
        """path relative to root -> path, of all that these files import, and of what would be imported in their place.

        judges: name -> path.  top: the project's folder; what lies outside it is not the project's.
        """
        found: dict[str, str] = {}
        top = os.path.normpath(top)
        mine = {os.path.normpath(path) for path in judges.values()}
        waiting = sorted(mine)
        while waiting and len(found) < MOST_MODULES:
            path = waiting.pop(0)
            if not path.endswith(".py") or not os.path.isfile(path):
                continue
            for one in [*_before(path), *self._modules(path, root, top)]:
                if one not in mine and (one + os.sep).startswith(top + os.sep):
                    mine.add(one)
                    found[os.path.relpath(one, root)] = one
                    waiting.append(one)
        return found

    def _modules(self, path: str, root: str, top: str) -> Iterator[str]:
        folder = os.path.dirname(path)
        for level, name in self._named(path):
            parts = name.split(".") if name else []
            if not all(part.isidentifier() for part in parts):
                continue
            if level:
                start = folder
                for _ in range(level - 1):
                    start = os.path.dirname(start)
                yield from _files(start, parts)
                continue
            # Which of them Python takes depends on the script that runs: a change of any of them may count.
            for place in _roots(folder, root, top):
                yield from _files(place, parts)

    def _named(self, path: str) -> list[tuple[int, str]]:
        try:
            with open(path, "rb") as file:
                source = file.read(_MOST_BYTES + 1)
        except OSError:
            return []
        if len(source) > _MOST_BYTES:
            return []
        digest = hashlib.sha256(source).digest()
        if digest not in self._known:
            if len(self._known) > 4 * MOST_MODULES:
                self._known.clear()
            self._known[digest] = named(source)
        return self._known[digest]


def imported_by(setup: Setup, root: Path, top: Path) -> list[str]:
    """What the evaluation files of a setup import from the project, relative to root; less what they name themselves
    and what a person let the loop change. Nothing is hashed."""
    named = {name: os.path.join(root, os.path.expanduser(name)) for name in setup.eval_files}
    judges = dict(named)
    left = _ENTRIES
    for name, path in named.items():
        for place, folders, files in os.walk(path):
            folders[:] = sorted(one for one in folders if not one.startswith((".", "__pycache__")))
            left -= len(files) + 1
            if left < 0:
                break
            judges |= {f"{name}/{one}": os.path.join(place, one) for one in files if one.endswith(".py")}
    found = Imports().of(judges, os.fspath(root), os.fspath(top))
    return [name for name in sorted(found) if not allowed(setup, name, os.fspath(root), os.fspath(top))]


def _roots(folder: str, root: str, top: str) -> list[str]:
    """Where imports of a file in this folder may begin."""
    outer = folder
    while os.path.isfile(os.path.join(outer, "__init__.py")) and len(outer) > 1:
        outer = os.path.dirname(outer)
    places = [folder, outer, root, top]
    return list(dict.fromkeys(os.path.normpath(p) for place in places for p in (place, os.path.join(place, "src"))))


def _files(start: str, parts: Sequence[str]) -> Iterator[str]:
    """The files that an import executes: the packages on the way, and the module."""
    place = os.path.normpath(start)
    steps = [place] if not parts else []  # `from . import x`: the package itself
    for part in parts:
        place = os.path.join(place, part)
        steps.append(place)
    for at, step in enumerate(steps):
        here = os.path.join(step, "__init__.py")
        if os.path.isfile(here):
            yield here
        if at == len(steps) - 1 and parts and os.path.isfile(step + ".py"):
            yield step + ".py"


def _before(path: str) -> Iterator[str]:
    """Files that Python would import in this one's place: a package or a compiled module of its name."""
    folder, name = os.path.split(path)
    stem = name.removesuffix(".py")
    if stem == "__init__":
        return
    package = os.path.join(folder, stem, "__init__.py")
    if os.path.isfile(package):
        yield package
    try:
        beside = os.listdir(folder)
    except OSError:
        return
    yield from (os.path.join(folder, one) for one in beside if one.startswith(stem + ".") and one.endswith(_NATIVE))


def allowed(setup: Setup, name: str, root: str, top: str) -> bool:
    """Whether a person let the loop change this file: what is imported is protected, but not against their word.

    name: relative to root, the loop's folder. Globs may be meant from any folder between that and the project's.
    """
    if not setup.may_edit:
        return False
    free = Setup(command="", cwd="", may_edit=setup.may_edit)
    place, top = os.path.normpath(root), os.path.normpath(top)
    full = os.path.normpath(os.path.join(place, name))
    while True:
        if not path_refused(free, os.path.relpath(full, place)):
            return True
        if place == top or not place.startswith(top + os.sep):
            return False
        place = os.path.dirname(place)
