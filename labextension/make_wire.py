"""Writes src/wire.ts from the Python structs, so that both languages say the same words.

python labextension/make_wire.py          writes the file
python labextension/make_wire.py --check  exits 1 if the file is not what would be written

A struct with `omit_defaults` travels without the fields that have their default: absent means default. Its interface
here has every field, and `NAME_DEFAULTS` beside it fills them in where a reply is read (api.ts).
"""

from __future__ import annotations

import enum
import inspect
import json
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import inspect as shape

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "labextension" / "src" / "wire.ts"
sys.path.insert(0, str(ROOT))

from ragent_jupyter.domain import (  # noqa: E402
    alert,
    chat,
    events,
    metrics,
    model,
    ports_mind,
    run,
    script,
    sweep,
    wild,
    wire,
    wire_chat,
    wire_wild,
)

MODULES = (run, sweep, alert, metrics, model, chat, ports_mind, events, script, wild, wire, wire_chat, wire_wild)
# These never reach a browser; of a loop's actions it is given plain JSON, whatever they will be.
SKIP = {"Row", "Record", "StoredRecord", "_Part", "View", "TrialView", "Objective", "Ambiguous", "FileEdit"} | {
    action.__name__ for action in get_args(wild.Action)
}
RENAMED: dict[type, str] = {}  # words that two modules use for different things
ONLY = {  # of these modules a browser sees no more than this
    model: {"Usage", "ModelInfo"},
    ports_mind: {"KeyState", "CellEdit", "CellView", "NotebookView"},
}
NOTE = "/** Made by make_wire.py from ragent_jupyter/domain; change it there. */\n"


def is_request(cls: type) -> bool:
    """A body that we send: what has a default may be left out."""
    return bool(cls.__struct_config__.forbid_unknown_fields)  # type: ignore[attr-defined]


def name_of(cls: type) -> str:
    return RENAMED.get(cls, cls.__name__)


def union(parts: list[str]) -> str:
    return "unknown" if "unknown" in parts else " | ".join(dict.fromkeys(parts))


def ts(kind: Any) -> str:
    """The TypeScript spelling of a msgspec type."""
    match kind:
        case shape.AnyType() | shape.RawType():
            return "unknown"
        case shape.NoneType():
            return "null"
        case shape.BoolType():
            return "boolean"
        case shape.IntType() | shape.FloatType():
            return "number"
        case shape.StrType():
            return "string"
        case shape.LiteralType(values=values):
            return union([json.dumps(v) for v in values])
        case shape.EnumType(cls=cls) | shape.StructType(cls=cls):
            return name_of(cls)
        case shape.TupleType(item_types=items):
            return f"[{', '.join(ts(i) for i in items)}]"
        case shape.ListType(item_type=item) | shape.VarTupleType(item_type=item):
            inner = ts(item)
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case shape.DictType(value_type=value):
            return f"Record<string, {ts(value)}>"
        case shape.UnionType(types=types):
            return union([ts(t) for t in types])
    raise TypeError(f"no TypeScript for {kind!r}")


def interface(cls: type) -> str:
    info = shape.type_info(cls)
    assert isinstance(info, shape.StructType)
    lines = []
    doc = cls.__dict__.get("__doc__")
    if doc:
        lines += ["/**", *(f" * {line}".rstrip() for line in inspect.cleandoc(doc).splitlines()), " */"]
    lines.append(f"export interface {name_of(cls)} {{")
    if info.tag is not None:
        lines.append(f"  {info.tag_field}: {json.dumps(info.tag)};")
    for field in info.fields:
        optional = "?" if is_request(cls) and not field.required else ""
        lines.append(f"  {field.encode_name}{optional}: {ts(field.type)};")
    return "\n".join([*lines, "}"])


def whole(value: Any) -> Any:
    """A default with every field of its own said: what a nested struct would leave out counts too."""
    if isinstance(value, msgspec.Struct):
        return {field.encode_name: whole(getattr(value, field.name)) for field in msgspec.structs.fields(type(value))}
    return msgspec.to_builtins(value)


def defaults(cls: type) -> str | None:
    """The constant with what an absent field means; None for a struct that always travels whole."""
    if not cls.__struct_config__.omit_defaults:  # type: ignore[attr-defined]
        return None
    info = shape.type_info(cls)
    assert isinstance(info, shape.StructType)
    values: dict[str, Any] = {}
    for field in info.fields:
        if field.default is not msgspec.NODEFAULT:
            values[field.encode_name] = whole(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            values[field.encode_name] = whole(field.default_factory())
    name = f"{name_of(cls).upper()}_DEFAULTS"
    return f"export const {name}: Partial<{name_of(cls)}> = {json.dumps(values, indent=2)};"


def text() -> str:
    parts: list[str] = []
    for module in MODULES:
        for name, value in vars(module).items():
            if not isinstance(value, type) or value.__module__ != module.__name__ or name in SKIP:
                continue
            if module in ONLY and name not in ONLY[module]:
                continue
            if issubclass(value, enum.Enum):
                parts.append(f"export type {name} = {union([json.dumps(m.value) for m in value])};")
            elif issubclass(value, msgspec.Struct):
                parts.append(interface(value))
                extra = defaults(value)
                if extra:
                    parts.append(extra)
    return NOTE + "\n" + "\n\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    wanted = text()
    if "--check" in arguments:
        fresh = TARGET.exists() and TARGET.read_text() == wanted
        if not fresh:
            print("src/wire.ts is stale: run python labextension/make_wire.py", file=sys.stderr)
        return 0 if fresh else 1
    TARGET.write_text(wanted)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
