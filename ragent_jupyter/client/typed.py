"""From what people type to the words of the wire: values, parameters, search spaces, sweep files. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.sweep import Dimension, Range, Values
from ragent_jupyter.domain.wire import CreateSweep

_RANGE = re.compile(r"^range\((.*)\)$", re.DOTALL)
_SPACE_FIELDS = ("method", "parameters", "points", "seed", "flag")
_SWEEP_FIELDS = tuple(name for name in CreateSweep.__struct_fields__ if name not in ("space", "request_id"))


def value_of(text: str) -> Any:
    """A value as it is written on a command line: JSON where it reads as such, else text.

    >>> [value_of(t) for t in ("0.1", "true", "relu", '"3"', "")]
    [0.1, True, 'relu', '3', '']
    """
    try:
        return msgspec.json.decode(text.strip())
    except msgspec.DecodeError:
        return text.strip()


def pairs(items: Sequence[str], option: str) -> dict[str, Any]:
    """`["lr=0.1", "act=relu"]` as parameters. Raises BadInput for what is not NAME=VALUE.

    >>> pairs(["lr=0.1", "act=relu", "name="], "--set")
    {'lr': 0.1, 'act': 'relu', 'name': ''}
    """
    return {name: value_of(text) for name, text in _split(items, option)}


def _split(items: Sequence[str], option: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in items:
        name, sign, text = item.partition("=")
        if not sign or not name.strip():
            raise BadInput(f"{option} {item!r} is not NAME=VALUE.", f"Write it like {option} lr=0.1")
        found.append((name.strip(), text))
    return found


def dimension_of(name: str, given: Any) -> Dimension:
    """One axis of a search space, from any of the ways to write it.

    A list, or a text such as "0.1,0.01", is its values. "range(16,64,step=16)" and "range(1e-4,0.1,num=4,log)", or a
    mapping with low and high (or min and max), is a range; it is one of integers if all its numbers are written so.
    Raises BadInput.

    >>> dimension_of("lr", "0.1,0.01")
    Values(values=[0.1, 0.01])
    >>> dimension_of("bs", "range(16,64,step=16)")
    Range(low=16.0, high=64.0, step=16.0, num=None, log=False, integer=True)
    """
    if isinstance(given, str):
        text = given.strip()
        match = _RANGE.match(text)
        if match:
            return _range(name, _arguments(name, match[1]))
        if text.startswith("range("):
            raise BadInput(f"Parameter {name!r}: {text} has no closing bracket.", f"Write it like {name}=range(1,5)")
        if text.startswith("["):
            given = value_of(text)
            if not isinstance(given, list):
                raise BadInput(f"Parameter {name!r}: {text} is not a JSON list.", 'Write it like ["a", "b"].')
        elif not text:
            raise BadInput(f"Parameter {name!r} has no values.", f"Write it like {name}=0.1,0.01")
        else:
            parts = text.split(",")
            # "log(1e-4,1e-1)" is somebody's idea of a range, not the two values "log(1e-4" and "1e-1)".
            if any(part.count("(") != part.count(")") for part in parts):
                raise BadInput(
                    f"Parameter {name!r}: {text} is neither a list of values nor a range.",
                    f"Write it like {name}=0.1,0.01 or {name}=range(1e-4,0.1,num=4,log)",
                )
            given = [value_of(part) for part in parts]
    if isinstance(given, list):
        return Values(list(given))
    if isinstance(given, Mapping):
        fields = {key: value for key, value in given.items() if key != "kind"}
        if set(fields) == {"values"} and isinstance(fields["values"], list):
            return Values(list(fields["values"]))
        return _range(name, fields)
    return Values([given])


def _arguments(name: str, text: str) -> dict[str, Any]:
    """The arguments of range(low, high, step=…, num=…, log): a bare word is a switch."""
    fields: dict[str, Any] = {}
    places = ["low", "high", "step", "num"]
    for part in text.split(","):
        key, sign, value = (piece.strip() for piece in part.partition("="))
        if sign:
            fields[key] = value_of(value.lower() if value in ("True", "False") else value)
        elif key.isidentifier():
            fields[key] = True
        elif places and key:
            fields[places.pop(0)] = value_of(key)
    if not {"low", "high"} <= set(fields):
        raise BadInput(
            f"Parameter {name!r}: range({text}) has no low and high end.",
            f"Write it like {name}=range(16,64,step=16) or {name}=range(1e-4,0.1,num=4,log)",
        )
    return fields


def _range(name: str, fields: dict[str, Any]) -> Range:
    fields = {{"min": "low", "max": "high"}.get(key, key): value for key, value in fields.items()}
    unknown = sorted(set(fields) - set(Range.__struct_fields__))
    if unknown:
        known = ", ".join(Range.__struct_fields__)
        raise BadInput(f"Parameter {name!r}: a range has no {unknown[0]!r}.", f"It has {known}.")
    if "integer" not in fields:
        numbers = [fields[key] for key in ("low", "high", "step") if fields.get(key) is not None]
        fields["integer"] = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    try:
        return msgspec.convert(fields, Range)
    except msgspec.ValidationError as error:
        raise BadInput(f"Parameter {name!r}: {error}.", "A range has a low and a high number.") from error


def space_of(params: Sequence[str]) -> dict[str, Dimension]:
    """`["lr=0.1,0.01", "bs=range(16,64,step=16)"]` as the parameters of a search space."""
    found: dict[str, Dimension] = {}
    for name, text in _split(params, "--param"):
        if name in found:
            raise BadInput(f"Parameter {name!r} is given twice.", f"Write its values together: {name}=0.1,0.01")
        found[name] = dimension_of(name, text)
    return found


def sweep_of(data: Any) -> CreateSweep:
    """A sweep from a file's content: the fields of CreateSweep, with the search space's fields beside them or under
    `space`, and parameters in any of the ways that `dimension_of` reads. Raises BadInput, naming the field.

    >>> sweep = sweep_of({"command": "python train.py", "parameters": {"lr": [0.1, 0.01]}})
    >>> sweep.space.method, sweep.space.parameters
    ('grid', {'lr': Values(values=[0.1, 0.01])})
    """
    if not isinstance(data, Mapping):
        raise BadInput("A sweep is an object with fields.", 'Such as {"command": "…", "parameters": {"lr": [0.1]}}')
    fields = dict(data)
    space = fields.pop("space", {})
    if not isinstance(space, Mapping):
        raise BadInput("`space` is not an object.", "It holds `parameters` or `points`.")
    space = {**space, **{name: fields.pop(name) for name in _SPACE_FIELDS if name in fields}}
    for place, given, known in (("", fields, _SWEEP_FIELDS), ("space.", space, _SPACE_FIELDS)):
        unknown = sorted(set(map(str, given)) - set(known))
        if unknown:
            names = ", ".join([*known, *(_SPACE_FIELDS if not place else ())])
            raise BadInput(f"A sweep has no field {place}{unknown[0]!r}.", f"It has {names}.")
    if not str(fields.get("command") or "").strip():
        raise BadInput("The sweep has no command.", 'Add one, such as "command": "python train.py".')
    parameters = space.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise BadInput("`parameters` is not an object.", 'Write it like {"lr": [0.1, 0.01]}.')
    space["parameters"] = {str(name): dimension_of(str(name), given) for name, given in parameters.items()}
    space.setdefault("method", "list" if space.get("points") and not parameters else "grid")
    try:
        return msgspec.convert({**fields, "space": _space(space)}, CreateSweep)
    except msgspec.ValidationError as error:
        raise BadInput(f"The sweep is not understood: {error}.", "See `ragent sweep --help`.") from error


def _space(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "parameters": msgspec.to_builtins(fields["parameters"])}
