"""Settings of ml_collections: a `get_config()` that fills a ConfigDict, of which each leaf is `--config.a.b=…`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Module, Reading, keyword, kind_of, plain, usable

_MOST = 500  # leaves


def read_config_dicts(modules: Sequence[Module], reading: Reading) -> None:
    """The leaves of the files that `config_flags.DEFINE_config_file("config", "configs/x.py")` takes.

    Where the file named is not there, the one that holds a `get_config` is taken, if it is the only one.
    """
    for module in modules:
        for call in ast.walk(module.tree):
            if not (isinstance(call, ast.Call) and dotted(call.func).endswith(("config_file", "config_dict"))):
                continue
            values = [fold(arg, module.names) for arg in call.args]
            flag = values[0] if values else fold(keyword(call, "name"), module.names)
            path = values[1] if len(values) > 1 else fold(keyword(call, "default"), module.names)
            if isinstance(flag, str):
                _read(flag, path, modules, reading)


def _read(flag: str, path: Any, modules: Sequence[Module], reading: Reading) -> None:
    makers = {module.path: function for module in modules if (function := _maker(module)) is not None}
    file = path.partition(":")[0].lstrip("./") if isinstance(path, str) else ""
    named = [one for one in makers if file and one.endswith(file)]
    chosen = named[0] if named else next(iter(makers)) if len(makers) == 1 else ""
    for module in modules:
        if module.path == chosen:
            reading.found += list(_leaves(flag, makers[chosen], module))[:_MOST]


def _maker(module: Module) -> ast.FunctionDef | None:
    return next((n for n in module.tree.body if isinstance(n, ast.FunctionDef) and n.name == "get_config"), None)


def _leaves(flag: str, function: ast.FunctionDef, module: Module) -> Iterator[Found]:
    comments = Comments(module.source)
    roots: dict[str, str] = {}  # a local name → the prefix that its attributes have
    have: set[str] = set()
    for node in ast.walk(function):
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1):
            continue
        target, value = node.targets[0], node.value
        made = isinstance(value, ast.Call) and dotted(value.func).split(".")[-1] in ("ConfigDict", "FrozenConfigDict")
        if isinstance(target, ast.Name):
            if made:
                roots.setdefault(target.id, f"{flag}." if not roots else f"{flag}.{target.id}.")
            elif (owner := dotted(value).split(".")[0]) in roots:  # model = config.model
                roots[target.id] = roots[owner] + dotted(value).partition(".")[2] + "."
            continue
        if isinstance(target, ast.Attribute) and made is False:
            head, _, rest = dotted(target).partition(".")
            name = roots[head] + rest if head in roots and rest else ""
            if name and usable(name) and name not in have:
                have.add(name)
                yield _leaf(name, fold(value, module.names), node, module, comments)
        if made and isinstance(value, ast.Call):
            prefix = ""
            head, _, rest = dotted(target).partition(".")
            if head in roots and rest:
                prefix = f"{roots[head]}{rest}."
            for key, one in _given(value) if prefix else ():
                if usable(prefix + key) and prefix + key not in have:
                    have.add(prefix + key)
                    yield _leaf(prefix + key, fold(one, module.names), one, module, comments)


def _given(call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """What a ConfigDict is filled with where it is made."""
    for arg in call.args:
        if isinstance(arg, ast.Dict):
            for key, value in zip(arg.keys, arg.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        elif isinstance(arg, ast.Call) and dotted(arg.func) == "dict":
            yield from ((word.arg, word.value) for word in arg.keywords if word.arg)


def _leaf(name: str, value: Any, node: ast.stmt | ast.expr, module: Module, comments: Comments) -> Found:
    kind = kind_of(plain(value))
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
