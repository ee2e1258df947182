"""Dicts and lists that options are made of in a loop: of a function, a class, or a YAML file."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from .classes import Classes
from .configdicts import Filled, Tree
from .folding import UNKNOWN, dotted, fold
from .found import Module
from .yamls import Files, named_by

_LOADS = frozenset({"safe_load", "load", "full_load", "unsafe_load"})


class Tables:
    """args: what the command gives the script."""

    def __init__(self, classes: Classes, files: Files, args: Sequence[str]) -> None:
        self.classes = classes
        self.files = files
        self.args = args

    def items(self, node: ast.expr, module: Module, names: Mapping[str, Any]) -> list[Any] | None:
        """What a loop goes through; None if that is not known."""
        value = fold(node, names)
        if isinstance(value, list | dict):
            return list(value)
        if isinstance(node, ast.List | ast.Tuple):  # what is known of it
            some = [fold(one, names) for one in node.elts if not isinstance(one, ast.Starred)]
            return [one for one in some if one is not UNKNOWN] or None
        if not isinstance(node, ast.Call):
            return None
        last = dotted(node.func).split(".")[-1] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        if last in ("sorted", "list", "tqdm", "reversed") and node.args:
            return self.items(node.args[0], module, names)
        if last == "fields" and len(node.args) == 1:
            name = self.classes.named(node.args[0])
            fields = self.classes.fields(name) if name else []
            return [{"name": f.name, "default": f.default, "type": f.kind} for f in fields] if name else None
        if last in ("items", "keys") and isinstance(node.func, ast.Attribute):
            known = self.table(node.func.value, module, names)
            if known is not None:
                return [[key, one] for key, one in known.items()] if last == "items" else list(known)
        return None

    def table(self, node: ast.expr, module: Module, names: Mapping[str, Any]) -> dict[str, Any] | None:
        """The dict that an expression stands for; None if it is none that is known."""
        value = fold(node, names)
        if isinstance(value, dict):
            return value
        if isinstance(node, ast.Attribute) and node.attr == "__dict__":
            return self._of_class(node.value)
        if not isinstance(node, ast.Call):
            return None
        name = dotted(node.func)
        last = name.split(".")[-1]
        if last in ("vars", "asdict") and node.args:
            return self._of_class(node.args[0])
        if last in _LOADS and "yaml" in name:
            return self._loaded(node, module)
        if last in self.classes.functions or last == "dict":
            tree = Filled(self.classes.modules).value(node, module, {})
            return _values(tree) if tree is not None else None
        return None

    def _of_class(self, node: ast.expr) -> dict[str, Any] | None:
        name = self.classes.named(node)
        if name not in self.classes.classes:
            return None
        found = {f.name: f.default for f in self.classes.fields(name) if f.default is not UNKNOWN}
        for part in self.classes.classes[name][0].body:
            for inner in part.body if isinstance(part, ast.FunctionDef) and part.name == "__init__" else []:
                if isinstance(inner, ast.Assign) and dotted(inner.targets[0]).startswith("self."):
                    value = fold(inner.value, self.classes.classes[name][1].names)
                    found |= {dotted(inner.targets[0])[5:]: value} if value is not UNKNOWN else {}
        return found or None

    def _loaded(self, call: ast.Call, module: Module) -> dict[str, Any] | None:
        """The YAML file that is named in the call, else in the module, else in the command."""
        for texts in (_texts(call, module), named_by(self.args), _texts(module.tree, module)):
            for text in texts:
                config = self.files.beside(text, module.path)
                if config is not None:
                    found: dict[str, Any] = {}
                    for name, (value, _, _) in config.leaves.items():
                        at = found
                        *before, last = name.split(".")
                        for part in before:
                            inner = at.setdefault(part, {})
                            at = inner if isinstance(inner, dict) else {}
                        at[last] = value
                    return found
        return None


def _texts(node: ast.AST, module: Module) -> list[str]:
    values = [fold(n, module.names) for n in ast.walk(node) if isinstance(n, ast.Constant | ast.Call | ast.BinOp)]
    return [v for v in values if isinstance(v, str) and v.endswith((".yaml", ".yml"))]


def _values(tree: Tree, depth: int = 0) -> dict[str, Any]:
    return {
        key: (_values(one, depth + 1) if depth < 8 else {}) if isinstance(one, dict) else fold(one[0], one[1].names)
        for key, one in tree.items()
    }
