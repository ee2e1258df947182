"""Options that stand in a text of usage, as docopt reads it."""

from __future__ import annotations

import ast
import re

from .folding import UNKNOWN, dotted, fold
from .found import Found, Kind, Module, Reading, keyword, kind_of, usable

_OPTION = re.compile(r"^\s+(-\S.*?)(?:\s{2,}(.*))?$")
_SPELT = re.compile(r"(--?[A-Za-z][\w-]*)(?:[= ]<?([A-Za-z][\w-]*)>?)?")
_DEFAULT = re.compile(r"\[default:\s*(.*?)\]", re.IGNORECASE)
_CASTS = ("int", "float")


def read_docopt(module: Module, reading: Reading) -> None:
    """`docopt(__doc__)`: the lines of the text that begin with an option."""
    for call in [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]:
        if dotted(call.func).split(".")[-1] != "docopt" or "docopt" not in module.source:
            continue
        node = call.args[0] if call.args else keyword(call, "doc")
        named = node is not None and dotted(node).split(".")[-1] == "__doc__"
        text = ast.get_docstring(module.tree, clean=False) if named else fold(node, module.names)
        if isinstance(text, str):
            _lines(text, module, call.lineno, reading)


def _lines(text: str, module: Module, line: int, reading: Reading) -> None:
    casts = _casts(module.tree)
    lines = text.splitlines()
    for at, one in enumerate(lines):
        match = _OPTION.match(one)
        if match is None:
            continue
        spelt = _SPELT.findall(match[1])
        words = [word for word, _ in spelt]
        long = next((word for word in words if word.startswith("--")), words[0] if words else "")
        name = long.lstrip("-")
        if not usable(name) or name in ("help", "h", "version"):
            continue
        more = match[2] or ""
        for further in lines[at + 1 :]:
            if not further.strip() or _OPTION.match(further):
                break
            more += " " + further.strip()
        takes = any(value for _, value in spelt)
        said = _DEFAULT.search(more)
        value = _value(said[1]) if said else UNKNOWN
        kind: Kind = casts.get(long) or (kind_of(value) if said else "str") if takes else "bool"
        if kind == "float" and isinstance(value, int):
            value = float(value)
        dashes = long[: len(long) - len(name)]
        reading.found.append(
            Found(
                name=name,
                style="argparse",
                template=f"{dashes}{{name}} {{value}}" if takes else f"{dashes}{{name}}|",
                kind=kind,
                default=value if takes else False,
                help=" ".join(more.split())[:400],
                spellings=words,
                dest=name.replace("-", "_"),
                file=module.path,
                line=line,
            )
        )


def _value(text: str) -> int | float | str:
    for cast in (int, float):
        try:
            return cast(text)
        except ValueError:
            continue
    return text


def _casts(tree: ast.Module) -> dict[str, Kind]:
    """`float(args["--lr"])`: what the script makes of a text."""
    found: dict[str, Kind] = {}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and dotted(call.func) in _CASTS and call.args:
            index = call.args[0]
            if isinstance(index, ast.Subscript) and isinstance(index.slice, ast.Constant):
                found[str(index.slice.value)] = "float" if dotted(call.func) == "float" else "int"
    return found
