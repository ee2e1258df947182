"""Small words for the tests of the watch rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ragent_jupyter.domain.alert import Severity
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.rules.watch import Points, Raise, Watch, WatchFact, watch

NAN, INF = math.nan, math.inf


def rows(name: str, values: Iterable[float], start: int = 0, every_s: float = 1.0, **beside: float) -> list[Row]:
    """One row a step with this metric (and others that stay as they are), a second apart, 20 bytes each."""
    return [
        Row(start + n, 1000.0 + (start + n) * every_s, {name: value, **beside}, (start + n) * 20)
        for n, value in enumerate(values)
    ]


def say(state: Watch, *facts: WatchFact) -> list[Raise]:
    """Everything that these facts raise, in order."""
    raised: list[Raise] = []
    for fact in facts:
        state, effects = watch(state, fact)
        raised += effects
    return raised


def hear(state: Watch, found: Sequence[Row], source: str = "metrics.jsonl", at: float = 1.0) -> list[Raise]:
    """What these rows raise."""
    return say(state, Points(source=source, rows=list(found), at=at))


def short(raised: Iterable[Raise]) -> list[tuple[str, str, str]]:
    """(severity, rule, metric) of each."""
    return [(r.severity.value, r.rule, r.metric) for r in raised]


def loud(raised: Iterable[Raise]) -> list[tuple[str, str, str]]:
    """The same, without what interrupts nobody."""
    return short(r for r in raised if r.severity is not Severity.INFO)


def wavy(level: float, count: int, wave: float = 0.02) -> list[float]:
    """`count` values around `level` that go up and down a little, without chance."""
    return [level * (1.0 + wave * math.sin(1.7 * n)) for n in range(count)]
