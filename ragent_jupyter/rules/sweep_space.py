"""From a search space to trials: grid, list, random, ranges. Pure and repeatable: the same space, the same points."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.sweep import Range, SearchSpace, Values

_MOST = 100_000  # a grid beyond this is a slip, not a plan


def range_values(name: str, dim: Range) -> list[float | int]:
    """The points of a range in a grid, both ends included. Raises CannotBeDone where it has neither step nor num.

    >>> range_values("bs", Range(low=16, high=64, step=16, integer=True))
    [16, 32, 48, 64]
    >>> range_values("lr", Range(low=0.001, high=0.1, num=3, log=True))
    [0.001, 0.01, 0.1]
    """
    _check_range(name, dim)
    if dim.step is not None:
        # Counted, not added up: 0.1 + 0.1 + … drifts past the end.
        n = math.floor((dim.high - dim.low) / dim.step + 1e-9) + 1
        if n > _MOST:
            raise CannotBeDone(f"Parameter {name!r} has {n} values.", "Give a larger step, or a random sweep.")
        points = [dim.low + i * dim.step for i in range(n)]
    elif dim.num is not None:
        n = dim.num
        if n == 1:
            points = [dim.low]
        elif dim.log:
            ratio = math.log(dim.high / dim.low) / (n - 1)
            points = [dim.low * math.exp(ratio * i) for i in range(n)]
        else:
            points = [dim.low + (dim.high - dim.low) * i / (n - 1) for i in range(n)]
    elif dim.integer:
        return range_values(name, Range(low=dim.low, high=dim.high, step=1, integer=True))
    else:
        raise CannotBeDone(
            f"Parameter {name!r} is a range without step or num, which a grid cannot count through.",
            "Add step or num, or make it a random sweep.",
        )
    if dim.integer:
        return list(dict.fromkeys(round(p) for p in points))
    return [float(f"{p:.12g}") for p in points]


def _check_range(name: str, dim: Range) -> None:
    if not (math.isfinite(dim.low) and math.isfinite(dim.high)) or dim.low > dim.high:
        raise CannotBeDone(f"Parameter {name!r}: {dim.low}..{dim.high} is not a range.", "Give finite low <= high.")
    if dim.step is not None and not dim.step > 0:
        raise CannotBeDone(f"Parameter {name!r}: step {dim.step} is not above 0.", "Give a step above 0.")
    if dim.num is not None and not 1 <= dim.num <= _MOST:
        raise CannotBeDone(f"Parameter {name!r}: num {dim.num} is not in 1..{_MOST}.", "Give a smaller number.")
    if dim.log and dim.low <= 0:
        raise CannotBeDone(f"Parameter {name!r}: a log range must start above 0.", "Give low > 0.")


def _draw(rng: random.Random, name: str, dim: Values | Range) -> Any:
    if isinstance(dim, Values):
        return rng.choice(dim.values)
    _check_range(name, dim)
    if dim.step is not None or dim.num is not None:
        return rng.choice(range_values(name, dim))
    low, high = (math.log(dim.low), math.log(dim.high)) if dim.log else (dim.low, dim.high)
    drawn = rng.uniform(low, high)
    value = math.exp(drawn) if dim.log else drawn
    return round(value) if dim.integer else float(f"{value:.6g}")


def expand(space: SearchSpace, max_runs: int) -> list[dict[str, Any]]:
    """The points of the space, at most `max_runs`, without repeats, in a fixed order.

    Raises CannotBeDone for an empty or impossible space: a sweep of no trials is a slip.
    """
    if max_runs < 1:
        raise CannotBeDone(f"max_runs is {max_runs}: the sweep would run nothing.", "Give max_runs of at least 1.")
    if space.method == "list":
        points = [dict(point) for point in space.points]
        if not points:
            raise CannotBeDone("The list of points is empty.", 'Give at least one point, such as {"lr": 0.1}.')
        return _distinct(points)[:max_runs]
    if not space.parameters:
        raise CannotBeDone("The search space has no parameters.", "Name at least one, such as lr: [0.1, 0.01].")
    for name, dim in space.parameters.items():
        if isinstance(dim, Values) and not dim.values:
            raise CannotBeDone(f"Parameter {name!r} has no values.", "Give at least one value.")
    names = list(space.parameters)
    if space.method == "grid":
        axes = [
            dim.values if isinstance(dim, Values) else range_values(name, dim) for name, dim in space.parameters.items()
        ]
        # Only as many as are wanted: a grid of 10^12 points must not be made to be cut.
        product = (dict(zip(names, point, strict=True)) for point in itertools.product(*axes))
        return _distinct(itertools.islice(product, max_runs))
    rng = random.Random(space.seed)
    seen: dict[str, dict[str, Any]] = {}
    for _ in range(max_runs * 20):  # a small discrete space runs dry: stop trying at some point
        point = {name: _draw(rng, name, dim) for name, dim in space.parameters.items()}
        seen.setdefault(_key(point), point)
        if len(seen) >= max_runs:
            break
    return list(seen.values())


def _key(point: dict[str, Any]) -> str:
    return json.dumps(point, sort_keys=True, default=str)


def _distinct(points: Any) -> list[dict[str, Any]]:
    return list({_key(point): point for point in points}.values())


def spell(value: Any) -> str:
    """A value as a command line takes it.

    >>> [spell(v) for v in (True, 0.001, 32, None, "a b", [1, 2])]
    ['true', '0.001', '32', 'none', 'a b', '[1, 2]']
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(int(value)) + ".0" if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value)
    return str(value)


_PLACE = re.compile(r"\{name\}|\{value\}")
_ON = frozenset({"true", "1", "1.0", "yes", "on"})
_OFF = frozenset({"false", "0", "0.0", "no", "off", "none", ""})


def _by_template(template: str, name: str, value: Any) -> str:
    """What one parameter adds to a command by a template of its own, quoted word by word.

    "ON|OFF" (no {value} in it) is a switch. Raises CannotBeDone for a value that is neither, and an open quote.
    """
    if "{value}" not in template and "|" in template:
        word = spell(value).lower()
        if word not in _ON | _OFF:
            raise CannotBeDone(f"{name!r} is a switch; {word[:60]!r} is neither on nor off.", "Give true or false.")
        on, _, off = template.partition("|")
        template = on if word in _ON else off
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise CannotBeDone(f"The template of {name!r} cannot be read: {error}.", "Close its quotes.") from None
    meant = {"{name}": name, "{value}": spell(value)}
    return " ".join(shlex.quote(_PLACE.sub(lambda match: meant[match[0]], word)) for word in words)


def command_for(command: str, params: dict[str, Any], flag: str, flags: Mapping[str, str] | None = None) -> str:
    """The base command with one trial's parameters. Values are quoted for the shell: a value cannot become a command.

    `{name}` in the command is filled in; a parameter that is not named there is added by its template in `flags`, else
    by `flag`.
    >>> command_for("python t.py", {"amp": True, "lr": 0.1}, "--{name} {value}", {"amp": "--amp|--no-amp"})
    'python t.py --amp --lr 0.1'
    >>> command_for("python t.py", {"amp": False}, "--{name} {value}", {"amp": "--amp|"})
    'python t.py'
    >>> command_for("python t.py", {"LR": 0.1, "seed": 3}, "--{name} {value}", {"LR": "LR {value}"})
    'python t.py --seed 3 LR 0.1'
    >>> command_for("python train.py", {"lr": 0.1, "act": "a;b"}, "--{name} {value}")
    "python train.py --lr 0.1 --act 'a;b'"
    >>> command_for("python train.py lr={lr}", {"lr": 0.1}, "--{name} {value}")
    'python train.py lr=0.1'
    """
    words = {name: shlex.quote(spell(value)) for name, value in params.items()}
    own = flags or {}
    extra = []
    for name, word in words.items():
        if "{" + name + "}" in command:
            continue
        if name in own:
            extra.append(_by_template(own[name], name, params[name]))
        elif flag:
            extra.append(flag.replace("{name}", shlex.quote(name)).replace("{value}", word))
    # `KEY VALUE` pairs last: a parser that takes the rest of the line for them takes options that follow, too.
    extra = sorted((one for one in extra if one), key=lambda one: not one.startswith("-"))
    # All at once: a value that reads like "{other}" must not be filled in again, inside its quotes.
    named = "|".join(re.escape("{" + name + "}") for name in words)
    if named:
        command = re.sub(named, lambda match: words[match[0][1:-1]], command)
    # A base command may end in a newline or hold several lines: the parameters belong to its last line.
    return " ".join([command.rstrip(), *extra]) if extra else command
