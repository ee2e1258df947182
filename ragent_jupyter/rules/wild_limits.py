"""The limits of a wild loop: what is left, which one is hit, and the goal condition on a metric. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.wild import Limits, Spent, TrialView

from .stats import short, span

# A limit that ends what runs, too; the others let live runs end in peace: they cost nothing of what is used up.
STOPS_RUNS = frozenset({"hours", "gpu_hours", "cpu_hours", "disk_gb"})
# Limits that only a model spends: the built-in policy goes on without them.
OF_MODELS = frozenset({"tokens", "cost_usd"})

_UNTIL = re.compile(
    r"^\s*(?P<metric>[^\s<>=!][^<>=!]*?)\s*(?P<op><=|>=|<|>|==|=)\s*(?P<value>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*(?P<percent>%?)\s*$",
    re.IGNORECASE,
)


class Condition(Struct, frozen=True):
    metric: str
    op: Literal["<", "<=", ">", ">=", "=="]
    value: float

    def holds(self, value: float | None) -> bool:
        if value is None or not math.isfinite(value):
            return False
        match self.op:
            case "<":
                return value < self.value
            case "<=":
                return value <= self.value
            case ">":
                return value > self.value
            case ">=":
                return value >= self.value
        return value == self.value


class Left(Struct, frozen=True, kw_only=True):
    """What is left of each limit, None where there is none. Never below 0."""

    iterations: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    gpu_seconds: float | None = None
    cpu_seconds: float | None = None
    disk_bytes: int | None = None
    runs: int | None = None


def parse_until(text: str) -> Condition:
    """A goal condition. Raises BadInput for anything but METRIC OP NUMBER.

    >>> parse_until("val/acc > 95%")
    Condition(metric='val/acc', op='>', value=0.95)
    >>> parse_until("loss<=1e-3").value
    0.001
    """
    found = _UNTIL.match(text[:500])
    if found is None:
        raise BadInput(f"{text[:100]!r} is not a condition on a metric.", 'Write one such as "val/acc > 0.95".')
    value = float(found["value"]) / (100 if found["percent"] else 1)
    if not math.isfinite(value):
        raise BadInput(f"{text[:100]!r} compares with a number that is not finite.", "Give a finite number.")
    op = "==" if found["op"] == "=" else found["op"]
    return Condition(found["metric"].strip().strip("\"'"), op, value)  # type: ignore[arg-type]


def check_limits(limits: Limits) -> Limits:
    """The limits as given. Raises BadInput for one that could never be kept, or a condition that cannot be read."""
    for name, value in msgspec.structs.asdict(limits).items():
        if name == "until" or value is None:
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"The limit {name} is not a finite number.", "Give a number, or null for no limit.")
        if value <= 0:
            raise BadInput(f"The limit {name} is {value}.", "Give a number above 0, or null for no limit.")
    if limits.until:
        parse_until(limits.until)
    return limits


def changed_limits(limits: Limits, wanted: dict[str, Any]) -> Limits:
    """Limits with some set anew (None removes one). Raises BadInput for unknown names and wrong types."""
    unknown = sorted(set(wanted) - set(Limits.__struct_fields__))
    if unknown:
        known = ", ".join(Limits.__struct_fields__)
        raise BadInput(f"There is no limit {unknown[0][:60]!r}.", f"The limits are: {known}.")
    merged = {**msgspec.structs.asdict(limits), **wanted}
    merged["until"] = merged["until"] or ""
    try:
        return check_limits(msgspec.convert(merged, Limits, strict=False))
    except msgspec.ValidationError as error:
        raise BadInput(f"Limits: {error}.", "Give numbers above 0, or null for no limit.") from None


def left(limits: Limits, spent: Spent) -> Left:
    """
    >>> left(Limits(runs=5, hours=1.0), Spent(runs=7, seconds=1800)).runs
    0
    """

    def rest(limit: float | None, used: float) -> float | None:
        return None if limit is None else max(0.0, limit - used)

    def whole(limit: int | None, used: int) -> int | None:
        return None if limit is None else max(0, limit - used)

    def scaled(limit: float | None, unit: float, used: float) -> float | None:
        return rest(None if limit is None else limit * unit, used)

    disk = scaled(limits.disk_gb, 1e9, spent.disk_bytes)
    return Left(
        iterations=whole(limits.iterations, spent.iterations),
        seconds=scaled(limits.hours, 3600, spent.seconds),
        tokens=whole(limits.tokens, spent.tokens),
        cost_usd=rest(limits.cost_usd, spent.cost_usd or 0.0),
        gpu_seconds=scaled(limits.gpu_hours, 3600, spent.gpu_seconds),
        cpu_seconds=scaled(limits.cpu_hours, 3600, spent.cpu_seconds),
        disk_bytes=None if disk is None else int(disk),
        runs=whole(limits.runs, spent.runs),
    )


def hit(limits: Limits, spent: Spent) -> tuple[str, str] | None:
    """The limit that is used up, as (its name, a sentence); the one that stops runs first. None: all have room.

    >>> hit(Limits(tokens=100), Spent(tokens=120))
    ('tokens', 'The token limit is used up: 120 of 100.')
    """
    rest = left(limits, spent)
    said: list[tuple[str, float | None, str]] = [
        ("hours", rest.seconds, f"The time limit is used up: {span(spent.seconds)} of {short(limits.hours or 0)} h."),
        (
            "gpu_hours",
            rest.gpu_seconds,
            f"The GPU limit is used up: {short(spent.gpu_seconds / 3600)} of {short(limits.gpu_hours or 0)} GPU-hours.",
        ),
        (
            "cpu_hours",
            rest.cpu_seconds,
            f"The CPU limit is used up: {short(spent.cpu_seconds / 3600)} of {short(limits.cpu_hours or 0)} CPU-hours.",
        ),
        (
            "disk_gb",
            rest.disk_bytes,
            f"The disk limit is used up: {short(spent.disk_bytes / 1e9)} of {short(limits.disk_gb or 0)} GB.",
        ),
        (
            "cost_usd",
            rest.cost_usd,
            f"The money limit is used up: ${spent.cost_usd or 0:.2f} of ${limits.cost_usd or 0:.2f}.",
        ),
        ("tokens", rest.tokens, f"The token limit is used up: {spent.tokens:,} of {limits.tokens or 0:,}."),
        ("runs", rest.runs, f"The limit of runs is used up: {spent.runs} of {limits.runs}."),
        (
            "iterations",
            rest.iterations,
            f"The limit of iterations is used up: {spent.iterations} of {limits.iterations}.",
        ),
    ]
    return next(((name, text) for name, room, text in said if room is not None and room <= 0), None)


def reached(limits: Limits, trials: Sequence[TrialView], metric: str) -> TrialView | None:
    """The finished trial whose objective meets `until`; None where there is no condition or nothing meets it yet.

    A condition on another metric than the objective is for `values_of` of whoever holds the runs.
    """
    if not limits.until:
        return None
    condition = parse_until(limits.until)
    if condition.metric != metric:
        return None
    good = [t for t in trials if t.status == "finished" and not t.void and condition.holds(t.value)]
    if not good:
        return None
    low = condition.op in ("<", "<=")
    return min(good, key=lambda t: (t.value or 0.0) if low else -(t.value or 0.0))


def tight(limits: Limits, spent: Spent, seconds: float, at_once: int, runs: int) -> tuple[str, str] | None:
    """The limit that leaves no room for so many more runs, (its name, a sentence); None: they all fit.

    seconds: what one run takes; 0 where it is not known.  at_once: runs side by side.

    >>> tight(Limits(runs=8), Spent(runs=3), 0.0, 2, 10)
    ('runs', 'The limit of 8 runs leaves room for 5 more, too few to confirm anything.')
    """
    rest = left(limits, spent)
    few = "too few to confirm anything."
    if rest.runs is not None and rest.runs < runs:
        return "runs", f"The limit of {limits.runs} runs leaves room for {rest.runs} more, {few}"
    shares = {
        "hours": (rest.seconds, seconds / max(1, at_once)),
        "cpu_hours": (rest.cpu_seconds, spent.cpu_seconds / spent.runs if spent.runs else 0.0),
        "gpu_hours": (rest.gpu_seconds, spent.gpu_seconds / spent.runs if spent.runs else 0.0),
        "disk_gb": (rest.disk_bytes, spent.disk_bytes / spent.runs if spent.runs else 0.0),
    }
    for name, (room, each) in shares.items():
        if room is not None and room < each * runs:
            return name, f"The limit {name} leaves room for {int(room / each)} more runs, {few}"
    return None
