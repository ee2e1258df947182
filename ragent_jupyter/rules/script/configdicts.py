"""Settings of ml_collections: a `get_config()` that fills a ConfigDict, of which each leaf is `--config.a.b=…`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Kind, Module, Reading, keyword, kind_of, plain, usable
from .imported import Import, imports
from .vocabulary import word_set

_MOST = 500  # leaves
_DEEP = 8  # of trees within trees, and of functions that call one another
_HOW = ("type_safe", "convert_dict", "sort_keys", "allow_dotted_keys", "initial_dictionary")

# What a tree of settings is kept in, in small letters.
_BAGS = word_set(
    "configdict frozenconfigdict config_dict dict edict easydict attrdict attributedict simplenamespace namespace "
    "munch box dotmap bunch ordereddict dotdict objectdict dictconfig hparams cn cfgnode hyperparams objdict dictobj"
)

Leaf = tuple[ast.expr, Module]
Tree = dict[str, Any]  # of Tree and Leaf


def read_config_dicts(modules: Sequence[Module], reading: Reading, args: Sequence[str] = ()) -> None:
    """The leaves of the files that `config_flags.DEFINE_config_file("config", "configs/x.py")` takes, and those of the
    dicts that `DEFINE_config_dict("model", CONFIG)` takes.

    Where the file named is not there, the one that holds a `get_config` is taken, if it is the only one.
    """
    for module in modules:
        for call in ast.walk(module.tree):
            if not isinstance(call, ast.Call):
                continue
            what = dotted(call.func).rpartition("config_")[2]
            if what not in ("file", "dict") or "config_" not in dotted(call.func):
                continue
            flag = fold(call.args[0] if call.args else keyword(call, "name"), module.names)
            if not isinstance(flag, str):
                continue
            if what == "file":
                path = fold(call.args[1] if len(call.args) > 1 else keyword(call, "default"), module.names)
                at = next((n for n, word in enumerate(args) if word.lstrip("-").partition("=")[0] == flag), None)
                if at is not None:
                    path = args[at].partition("=")[2] or next(iter(args[at + 1 : at + 2]), path)
                reading.found += _of_file(flag, path, modules)
            else:
                given = call.args[1] if len(call.args) > 1 else keyword(call, "config")
                filled = Filled(modules).value(given, module, {}) if given is not None else None
                reading.found += leaves_of(flag, filled or {})


def _of_file(flag: str, path: Any, modules: Sequence[Module]) -> list[Found]:
    makers = {module.path: module for module in modules if _maker(module) is not None}
    file = path.partition(":")[0].lstrip("./") if isinstance(path, str) else ""
    named = [one for one in makers if file and one.endswith(file)]
    chosen = named[0] if named else next(iter(makers)) if len(makers) == 1 else ""
    maker = _maker(makers[chosen]) if chosen else None
    return leaves_of(flag, Filled(modules).made(maker, makers[chosen]) or {}) if maker is not None else []


def _maker(module: Module) -> ast.FunctionDef | None:
    return next((n for n in module.tree.body if isinstance(n, ast.FunctionDef) and n.name == "get_config"), None)


class Filled:
    """What a tree of settings is filled with, read from the code that fills it.

    A tree is a dict of trees and of leaves; a leaf is (its expression, its module).
    """

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        self.within: list[ast.AST] = []

    def made(self, function: ast.FunctionDef, module: Module) -> Tree | None:
        """The tree that a function returns."""
        if function in self.within or len(self.within) >= _DEEP:
            return None
        self.within.append(function)
        trees: dict[str, Tree] = {}
        nodes = [node for node in ast.walk(function) if isinstance(node, ast.stmt) and node is not function]
        nodes.sort(key=lambda node: (node.lineno, node.col_offset))
        self.filled(nodes, module, trees)
        returned = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
        made = self.value(returned[-1], module, trees) if returned else None
        self.within.pop()
        # What it returns may have gone through a call that is not read: the first that it fills is meant.
        return made if made is not None else next((tree for tree in trees.values() if tree), None)

    def locals(self, function: ast.FunctionDef, module: Module) -> Tree:
        """What a function assigns: trees and leaves by name."""
        self.within.append(function)
        trees: dict[str, Tree] = {}
        found: Tree = {}
        for node in flat(function.body):
            self.filled([node], module, trees)
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(target, ast.Name) and value is not None:
                found[target.id] = (value, module)
        self.within.pop()
        return {name: trees.get(name) or leaf for name, leaf in found.items()}

    def filled(self, nodes: Sequence[ast.stmt], module: Module, trees: dict[str, Tree]) -> None:
        for node in nodes:
            if isinstance(node, ast.Assign):
                value = self.value(node.value, module, trees)
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        if value is not None:
                            trees[target.id] = value
                        continue
                    keys = _keys(target)
                    if len(keys) > 1 and keys[0] in trees:
                        _put(trees[keys[0]], keys[1:], (node.value, module) if value is None else value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                value = self.value(node.value, module, trees)
                if value is not None:
                    trees[node.target.id] = value
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                keys = _keys(node.value.func)
                known = bool(keys) and (
                    keys[0] in trees or not self.within
                )  # at the top only what is asked for is read
                if len(keys) > 1 and keys[-1] == "update" and known:
                    for key, one in self.given(node.value, module, trees).items():
                        _put(trees.setdefault(keys[0], {}), [*keys[1:-1], key], one)

    def value(self, node: ast.expr, module: Module, trees: dict[str, Tree]) -> Tree | None:
        """The tree that an expression stands for; None where it stands for none."""
        if isinstance(node, ast.Dict):
            return self.pairs(node, module, trees)
        if isinstance(node, ast.Name) and node.id not in trees and not self.within:
            for other in (module, *(one for one in self.modules if one is not module)):
                shared: dict[str, Tree] = {}
                self.filled([one for one in flat(other.tree.body) if node.id in _named(one)], other, shared)
                if node.id in shared:
                    return shared[node.id]
            return None
        if isinstance(node, ast.Name | ast.Attribute):
            keys = _keys(node)
            tree: Any = trees.get(keys[0]) if keys else None
            for key in keys[1:]:
                tree = tree.get(key) if isinstance(tree, dict) else None
            return tree if isinstance(tree, dict) else None
        if not isinstance(node, ast.Call):
            return None
        if _makes(node):
            return self.given(node, module, trees)
        full = dotted(node.func)
        if module.taken is None:
            module.taken = {one.local: one for one in imports(module, self.modules) if one.attr}
        taken: Import | None = module.taken.get(full)
        places = [(taken.module, taken.attr)] if taken is not None else [(one, full) for one in (module, *self.modules)]
        found = [one for other, name in places for one in _functions(other, name, name.split(".")[-1])]
        # `Learner.get_default_config()`: that class's own before a function that is called alike.
        found.sort(key=lambda one: one[0] in one[1].tree.body and "." in full)
        function = found[0] if found else None
        return self.made(*function) if function is not None else None

    def given(self, call: ast.Call, module: Module, trees: dict[str, Tree]) -> Tree:
        """What a dict is filled with where it is made."""
        tree: Tree = {}
        for arg in call.args[:1]:
            tree |= self.value(arg, module, trees) or {}
        for word in call.keywords:
            if word.arg is None:
                tree |= self.value(word.value, module, trees) or {}
            elif word.arg not in _HOW:
                inner = self.value(word.value, module, trees)
                tree[word.arg] = (word.value, module) if inner is None else inner
        return tree

    def pairs(self, node: ast.Dict, module: Module, trees: dict[str, Tree]) -> Tree:
        tree: Tree = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                tree |= self.value(value, module, trees) or {}
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                inner = self.value(value, module, trees)
                tree[key.value] = (value, module) if inner is None else inner
        return tree


def flat(body: Sequence[ast.stmt], depth: int = 0) -> Iterator[ast.stmt]:
    """The statements of a module's top, those in `if`, `try` and `with` included."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With) and depth < _DEEP:
            yield from flat(node.body, depth + 1)


def _makes(node: ast.expr) -> bool:
    last = dotted(node.func).split(".")[-1].lower() if isinstance(node, ast.Call) else ""
    made = isinstance(node, ast.Call) and last == "create" and "OmegaConf" in dotted(node.func)
    return isinstance(node, ast.Dict) or last in _BAGS or made


def _named(node: ast.stmt) -> set[str]:
    """Whose tree a statement at the module's top may fill."""
    at = node.targets[0] if isinstance(node, ast.Assign) else node.value if isinstance(node, ast.Expr) else None
    at = at.func if isinstance(at, ast.Call) else at
    return set(_keys(at)[:1]) if at is not None else set()


def _functions(module: Module, full: str, last: str) -> list[tuple[ast.FunctionDef, Module]]:
    """The functions of a module that a call may mean: its own, or a method of the class that is named before it."""
    owner = full.split(".")[-2] if "." in full else ""
    found = []
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == last:
            found.append((node, module))
        elif isinstance(node, ast.ClassDef) and node.name == owner:
            found += [(one, module) for one in node.body if isinstance(one, ast.FunctionDef) and one.name == last]
    return found


def _keys(node: ast.AST) -> list[str]:
    """`config.a["b"]` → ["config", "a", "b"]; [] where it is spelt otherwise."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        before, last = _keys(node.value), node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        before, last = _keys(node.value), node.slice.value
    else:
        return []
    return [*before, last] if before else []


def _put(tree: Tree, keys: Sequence[str], value: Tree | Leaf) -> None:
    for key in keys[:-1]:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = tree[key] = {}
        tree = inner
    tree[keys[-1]] = value


def flattened(tree: Tree, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, ast.expr, Module]]:
    """The leaves of a tree by dotted name."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.", depth + 1) if depth < _DEEP else ()
        else:
            yield prefix + key, *value


def leaves_of(prefix: str, tree: Tree, depth: int = 0, said: dict[str, Comments] | None = None) -> list[Found]:
    """The options `--prefix.a.b=…` of a tree."""
    found: list[Found] = []
    said = {} if said is None else said  # the comments of each file
    for key, value in tree.items():
        name = f"{prefix}.{key}"
        if isinstance(value, dict):
            found += leaves_of(name, value, depth + 1, said) if depth < _DEEP else []
        elif usable(name):
            node, module = value
            if module.path not in said:
                said[module.path] = Comments(module.source)
            found.append(_leaf(name, node, module, said[module.path]))
    return found[:_MOST]


def _leaf(name: str, node: ast.expr, module: Module, comments: Comments) -> Found:
    value, kind = _placeholder(node) if _is_placeholder(node) else (fold(node, module.names), None)
    kind = kind or kind_of(plain(value))
    return Found(
        name=name,
        style="argparse",
        template="--{name}={value}" if kind != "bool" else "--{name}=True|--{name}=False",
        kind=kind,
        default=value,
        help=comments.behind(node.lineno),
        section=comments.above(node.lineno),
        spellings=[f"--{name}"],
        dest=name.rpartition(".")[2],
        many=isinstance(value, list | dict),
        computed=value is UNKNOWN,
        file=module.path,
        line=node.lineno,
    )


def _is_placeholder(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in ("placeholder", "required_placeholder")


def _placeholder(node: ast.expr) -> tuple[Any, Kind | None]:
    """`config_dict.placeholder(int)`: nothing yet, of that kind."""
    of = dotted(node.args[0]) if isinstance(node, ast.Call) and node.args else ""
    kinds: dict[str, Kind] = {"int": "int", "float": "float", "str": "str", "bool": "bool"}
    return None, kinds.get(of, "unknown")
