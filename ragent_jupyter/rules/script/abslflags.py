"""Flags of absl and of old TensorFlow, also those that a helper defines of its keywords."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from .configdicts import Filled, leaves_of
from .folding import UNKNOWN, dotted, fold
from .found import Comments, Found, Kind, Module, Reading, keyword, kind_of, plain, scalars, text_of, usable

ABSL = re.compile(r"DEFINE_(?P<what>\w+)$")
_KINDS: dict[str, Kind] = {
    "float": "float",
    "integer": "int",
    "int": "int",
    "bool": "bool",
    "boolean": "bool",
    "string": "str",
    "enum": "str",
    "enum_class": "str",
    "spaceseplist": "str",
    "list": "str",
}


def read_absl(module: Module, reading: Reading) -> None:
    """`flags.DEFINE_float("lr", 0.1, "help")` of absl and of old TensorFlow."""
    for call in [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]:
        match = ABSL.search(dotted(call.func))
        if match is None:
            continue
        args = [fold(arg, module.names) for arg in call.args]
        name = args[0] if args else fold(keyword(call, "name"), module.names)
        if not isinstance(name, str) or not usable(name):
            if (module.path, call.lineno) in reading.read:
                continue
            reading.note(f"{module.path}:{call.lineno}: a flag whose name is made at run time was not read.")
            continue
        what = match["what"].removeprefix("multi_")
        if what in ("alias", "validator"):
            continue
        kind = _KINDS.get(what, "unknown")
        place = keyword(call, "default")
        texts = [word for word in args[2:] if isinstance(word, str)]
        choices = args[2] if what == "enum" and len(args) > 2 else fold(keyword(call, "enum_values"), module.names)
        found = Found(
            name=name,
            style="argparse",
            template="--{name}|--no{name}" if kind == "bool" else "--{name}={value}",
            kind=kind,
            default=fold(place, module.names) if place is not None else args[1] if len(args) > 1 else UNKNOWN,
            choices=scalars(choices),
            help=texts[-1] if texts else text_of(keyword(call, "help"), module.names),
            spellings=[f"--{name}", f"-{name}"],
            off=[f"--no{name}"] if kind == "bool" else [],
            dest=name,
            many=match["what"].startswith("multi_") or "list" in what or what == "config_file" or what == "config_dict",
            file=module.path,
            line=call.lineno,
        )
        if kind == "unknown":
            found.kind = kind_of(plain(found.default))
        if what in ("config_file", "config_dict"):
            found.path = True
        reading.found.append(found)


def read_flag_helpers(modules: Sequence[Module], reading: Reading) -> None:
    """`define_flags_with_default(lr=1e-3, sac=SAC.get_default_config())`: a flag for each keyword, of its type.

    The helper is a function of the project that defines flags whose names it makes of its keywords, or mlxu's own.
    """
    helpers = {"define_flags_with_default"}
    for module in modules:
        for function in [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef)]:
            made = [n for n in ast.walk(function) if isinstance(n, ast.Call) and ABSL.search(dotted(n.func))]
            lines = {n.lineno for n in made if not (n.args and isinstance(n.args[0], ast.Constant))}
            if function.args.kwarg is not None and lines:
                helpers.add(function.name)
                reading.read |= {(module.path, line) for line in lines}
    for module in modules:
        comments = Comments(module.source)
        for call in [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]:
            if dotted(call.func).split(".")[-1] not in helpers:
                continue
            filled = Filled(modules)
            for word in call.keywords:
                if word.arg is None or not usable(word.arg):
                    continue
                tree = filled.value(word.value, module, {})
                if tree:
                    reading.found += leaves_of(word.arg, tree)
                else:
                    reading.found.append(_of_keyword(word.arg, word.value, module, comments))


def _of_keyword(name: str, node: ast.expr, module: Module, comments: Comments) -> Found:
    value: Any = fold(node, module.names)
    kind = kind_of(plain(value))
    return Found(
        name=name,
        style="argparse",
        template="--{name}|--no{name}" if kind == "bool" else "--{name}={value}",
        kind=kind,
        default=value,
        help=comments.behind(node.lineno),
        section=comments.above(node.lineno),
        spellings=[f"--{name}", f"-{name}"],
        off=[f"--no{name}"] if kind == "bool" else [],
        dest=name,
        many=isinstance(value, list | dict),
        computed=value is UNKNOWN,
        file=module.path,
        line=node.lineno,
    )
