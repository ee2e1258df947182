"""What the modules of a project take from one another: constants by the names under which a module has them."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from .folding import constants, dotted
from .found import Module


class Import(Struct, frozen=True):
    """A local name, and what it stands for: a module, or (attr) something in it; attr "*": all that is in it."""

    local: str
    module: Module
    attr: str = ""


def imports(module: Module, modules: Sequence[Module]) -> Iterator[Import]:
    """The imports of a module that lead to one of the others."""
    known = {one.path: one for one in modules if one is not module}
    roots = list(dict.fromkeys((posixpath.dirname(modules[0].path), "", "src")))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                found = _find(name.name, roots, known)
                if found is not None:
                    yield Import(name.asname or name.name, found)
        elif isinstance(node, ast.ImportFrom):
            start = roots
            if node.level:
                folder = posixpath.dirname(module.path)
                for _ in range(node.level - 1):
                    folder = posixpath.dirname(folder)
                start = [folder]
            base = node.module or ""
            for name in node.names:
                inner = _find(f"{base}.{name.name}".lstrip("."), start, known) if name.name != "*" else None
                if inner is not None:
                    yield Import(name.asname or name.name, inner)
                elif (outer := _find(base, start, known)) is not None:
                    yield Import(name.asname or name.name, outer, name.name)


def _find(name: str, roots: Sequence[str], known: Mapping[str, Module]) -> Module | None:
    inner = name.replace(".", "/")
    for root in roots:
        for path in (f"{inner}.py", f"{inner}/__init__.py") if inner else ("__init__.py",):
            found = known.get(posixpath.normpath(posixpath.join(root, path)))
            if found is not None:
                return found
    return None


def share(modules: Sequence[Module]) -> None:
    """Let each module know the constants that it imports from the others, also through a package's `__init__`."""
    if len(modules) < 2:
        return
    taken = [(module, list(imports(module, modules))) for module in modules]
    for _ in range(2):  # what is imported may itself be imported
        for module, found in reversed(taken):
            given: dict[str, object] = {}
            for one in found:
                names = one.module.names
                if one.attr == "*":
                    given |= {k: v for k, v in names.items() if not k.startswith("_")}
                elif one.attr:
                    start = one.attr + "."
                    given |= {one.local: names[one.attr]} if one.attr in names else {}
                    given |= {f"{one.local}.{k[len(start) :]}": v for k, v in names.items() if k.startswith(start)}
                else:
                    given |= {f"{one.local}.{k}": v for k, v in names.items() if not k.startswith("_")}
            if given:
                kept = module.names["__name__"]
                module.names.clear()
                module.names.update(constants(module.tree, given))
                module.names["__name__"] = kept


def used_of(module: Module, local: str) -> set[str]:
    """The names that a module takes of one that it imports: of `config.LR` LR."""
    return {
        node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute) and dotted(node.value) == local
    }
