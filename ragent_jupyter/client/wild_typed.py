"""From what people type about a wild loop to the words of the wire: ranges, spaces, limits, answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.script import Script
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob, Limits

from .typed import dimension_of, value_of

YOU = "you said so"  # why a knob is as it is
# Where nobody said how much: a night. The sidebar's form begins with the same.
USUAL = Limits(hours=8.0, runs=100)
_SPAN = re.compile(r"^\s*([^:\s]+?)\.\.([^:\s]+?)\s*(?::\s*([\w,\s]+))?\s*$")
# How a limit may be called, beside its own name.
_CALLED = {
    "cost": "cost_usd", "money": "cost_usd", "gpu": "gpu_hours", "cpu": "cpu_hours", "disk": "disk_gb",
    "time": "hours", "goal": "until",
}  # fmt: skip
_WHOLE = ("iterations", "tokens", "runs")
NONE = ("none", "null", "no", "off", "")


# --- the space --------------------------------------------------------------------------------------------------------
def range_of(name: str, text: str) -> Range | Values:
    """One parameter's range as a person types it. Raises BadInput.

    A span `low..high` with `:log` or `:int` behind it, values with commas, or any other form that `ragent sweep` takes.
    It is a range of integers where both ends are written so, or `:int` says it.

    >>> range_of("lr", "1e-4..1e-1:log")
    Range(low=0.0001, high=0.1, step=None, num=None, log=True, integer=False)
    >>> range_of("width", "16..256:log").integer, range_of("act", "relu,gelu")
    (True, Values(values=['relu', 'gelu']))
    """
    how = f"Write it like {name}=1e-4..1e-1:log or {name}=16,32,64"
    found = _SPAN.match(text)
    if found is None:
        if ".." in text:
            raise BadInput(f"{name}: {text.strip()[:80]!r} is not a range.", how)
        dim = dimension_of(name, text)
        return _checked(name, dim, how)
    low, high = value_of(found[1]), value_of(found[2])
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadInput(f"{name}: {value!r} is not a number.", how)
    flags = {word.strip() for word in (found[3] or "").split(",") if word.strip()}
    if flags - {"log", "int"}:
        raise BadInput(f"{name}: a range is nothing like {sorted(flags - {'log', 'int'})[0]!r}.", "log, int, or both.")
    integer = "int" in flags or (isinstance(low, int) and isinstance(high, int))
    return _checked(name, Range(low=float(low), high=float(high), log="log" in flags, integer=integer), how)


def _checked(name: str, dim: Range | Values, how: str) -> Range | Values:
    if isinstance(dim, Values):
        if not dim.values:
            raise BadInput(f"{name} has no values.", how)
        return dim
    if not dim.low < dim.high:
        raise BadInput(f"{name}: {dim.low:g} is not below {dim.high:g}.", how)
    if dim.log and dim.low <= 0:
        raise BadInput(f"{name}: a logarithmic range cannot begin at {dim.low:g}.", "Begin above 0, or leave out log.")
    return dim


def ranges_of(items: Sequence[str]) -> dict[str, Range | Values]:
    """`["lr=1e-4..1e-1:log"]` by parameter. Raises BadInput."""
    found: dict[str, Range | Values] = {}
    for item in items:
        name, sign, text = item.partition("=")
        name = name.strip().lstrip("-")
        if not sign or not name:
            raise BadInput(f"--set-range {item!r} is not NAME=RANGE.", "Write it like --set-range lr=1e-4..1e-1:log")
        if name in found:
            raise BadInput(f"--set-range gives {name!r} twice.", "Give it once.")
        found[name] = range_of(name, text)
    return found


def with_ranges(
    space: Mapping[str, Knob], ranges: Mapping[str, Range | Values], script: Script, why: str = YOU
) -> dict[str, Knob]:
    """The space with these ranges over it. Raises BadInput for a flag that the script, where it was read, has not."""
    made = dict(space)
    for name, dim in ranges.items():
        flag = script.flag(name) or script.flag(name.replace("_", "-")) or script.flag(name.replace("-", "_"))
        if flag is None and name not in made and script.flags:
            known = ", ".join(flag.name for flag in script.flags[:20])
            raise BadInput(f"The script has no flag {name!r}.", f"It has: {known}.")
        key = flag.name if flag is not None else name
        old = made.get(key)
        default = old.default if old is not None else flag.value if flag is not None else None
        made[key] = Knob(dim=dim, default=default, why=why)
    return made


def space_of_json(data: Any, known: Mapping[str, Knob] | None = None) -> dict[str, Knob]:
    """A space as it stands in a file or an editor: by name a list of values, or an object with `values`, or with `low`
    and `high` (`log`, `integer`, `step`), and `default`. Raises BadInput, naming the parameter.

    known: the space before; what did not change keeps its reason, and its default where none is given.

    >>> space_of_json({"lr": {"low": 0.001, "high": 0.1, "log": True, "default": 0.01}})["lr"].default
    0.01
    """
    if not isinstance(data, Mapping):
        raise BadInput("A space is an object.", 'Such as {"lr": {"low": 0.0001, "high": 0.1, "log": true}}')
    made: dict[str, Knob] = {}
    for name, given in data.items():
        name = str(name)
        how = f'Write it like "{name}": [1, 2] or "{name}": {{"low": 1, "high": 9}}'
        old = (known or {}).get(name)
        default = old.default if old is not None else None
        if isinstance(given, Mapping):
            fields = {str(key): value for key, value in given.items() if key not in ("kind", "why")}
            if isinstance(fields.get("dim"), Mapping):
                fields = {**fields.pop("dim"), **fields}
                fields.pop("kind", None)
            default = fields.pop("default", default)
            given = fields
        elif not isinstance(given, (list, str)):
            raise BadInput(f"{name} is neither a list nor a range.", how)
        dim = range_of(name, given) if isinstance(given, str) else _checked(name, dimension_of(name, given), how)
        same = old is not None and (old.dim, old.default) == (dim, default)
        made[name] = old if same and old is not None else Knob(dim=dim, default=default, why=YOU)
    return made


def space_json(space: Mapping[str, Knob]) -> dict[str, Any]:
    """A space as `space_of_json` reads it, to be edited.

    >>> space_json({"act": Knob(dim=Values(["relu", "gelu"]), default="relu")})
    {'act': {'values': ['relu', 'gelu'], 'default': 'relu'}}
    """
    found: dict[str, Any] = {}
    for name, knob in space.items():
        dim = knob.dim
        if isinstance(dim, Values):
            one: dict[str, Any] = {"values": list(dim.values)}
        else:
            whole = int if dim.integer else float
            one = {"low": whole(dim.low), "high": whole(dim.high)}
            one |= {"log": True} if dim.log else {}
            one |= {"step": dim.step} if dim.step is not None else {}
            one |= {"integer": True} if dim.integer else {}
        found[name] = {**one, "default": knob.default}
    return found


def dim_text(dim: Range | Values) -> str:
    """
    >>> dim_text(Range(low=1e-4, high=0.1, log=True)), dim_text(Values([32, 64]))
    ('0.0001 to 0.1, log', '32, 64')
    """
    if isinstance(dim, Values):
        said = ", ".join(value_text(v) for v in dim.values[:8])
        return said + (", …" if len(dim.values) > 8 else "")
    text = f"{dim.low:.6g} to {dim.high:.6g}"
    return text + (", log" if dim.log else "") + (", whole" if dim.integer else "")


def value_text(value: Any) -> str:
    """A value as it would be typed; "" for none.

    >>> [value_text(v) for v in ("relu", 0.1, True, None, [1])]
    ['relu', '0.1', 'true', '', '[1]']
    """
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError):
        return str(value)


# --- limits -----------------------------------------------------------------------------------------------------------
def limit_name(name: str) -> str:
    """The limit that is meant. Raises BadInput.

    >>> [limit_name(n) for n in ("runs", "max-gpu-hours", "cost", "--max-disk")]
    ['runs', 'gpu_hours', 'cost_usd', 'disk_gb']
    """
    short = name.strip().lstrip("-").replace("-", "_").lower().removeprefix("max_")
    short = _CALLED.get(short, short)
    if short not in Limits.__struct_fields__:
        raise BadInput(
            f"There is no limit {name.strip()[:60]!r}.", f"There are: {', '.join(Limits.__struct_fields__)}."
        )
    return short


def limit_value(name: str, text: str, now: Any = None) -> Any:
    """A limit's new value; None for "none". `+N` adds to `now`. Raises BadInput.

    >>> limit_value("runs", "+20", 100), limit_value("hours", "1.5"), limit_value("until", "none")
    (120, 1.5, None)
    """
    text = text.strip()
    if text.lower() in NONE:
        return None
    if name == "until":
        return text
    unit = "a whole number" if name in _WHOLE else "a number"
    try:
        amount = float(text.lstrip("+").replace("_", "").removeprefix("$"))
    except ValueError:
        raise BadInput(f"{name} takes {unit}, not {text[:40]!r}.", "Or none, for no limit.") from None
    if name in _WHOLE and amount != int(amount):
        raise BadInput(f"{name} takes {unit}, not {text[:40]!r}.", "Or none, for no limit.")
    if text.startswith("+"):
        amount += now or 0
    if not 0 < amount < float("inf"):
        raise BadInput(f"{name} cannot be {text[:40]}.", "Give a number above 0, or none for no limit.")
    return int(amount) if name in _WHOLE else amount


def limits_of(items: Sequence[str], now: Limits) -> dict[str, Any]:
    """`["runs=200", "hours=none"]` by the limits' own names. Raises BadInput."""
    found: dict[str, Any] = {}
    for item in items:
        name, sign, text = item.partition("=")
        if not sign:
            raise BadInput(f"{item!r} is not NAME=VALUE.", "Write it like runs=200, hours=none or cost=+5")
        name = limit_name(name)
        found[name] = limit_value(name, text, getattr(now, name))
    return found


def limits_from(given: Mapping[str, Any]) -> Limits:
    """Limits from options that were given (None: not given); the usual ones where not one was. Raises BadInput."""
    said = {name: value for name, value in given.items() if value is not None}
    if not any(name != "until" for name in said):
        return replace(USUAL, until=said.get("until", ""))
    values = {name: value if name == "until" else limit_value(name, str(value)) for name, value in said.items()}
    return Limits(**{name: value for name, value in values.items() if value is not None})


def limits_text(limits: Limits) -> str:
    """
    >>> limits_text(Limits(hours=8, runs=100, until="acc > 0.9"))
    '8 h, 100 runs, until acc > 0.9'
    """
    said = [
        form.format(value)
        for name, form in (
            ("hours", "{:g} h"), ("runs", "{} runs"), ("iterations", "{} iterations"), ("cost_usd", "${:.2f}"),
            ("tokens", "{:,} tokens"), ("gpu_hours", "{:g} GPU-hours"), ("cpu_hours", "{:g} CPU-hours"),
            ("disk_gb", "{:g} GB of disk"),
        )
        if (value := getattr(limits, name)) is not None
    ]  # fmt: skip
    if limits.until:
        said.append(f"until {limits.until}")
    return ", ".join(said) or "none"
