"""What a benchmark of Wild Mode measured, as data, and the table of it.

A number is told as its mean with a 95 % interval and n: bootstrap over what was measured (median where a benchmark says
so). A share is told with n and Wilson's 95 % bound on its bad side, and that bound is what is held against the goal.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

from msgspec import Struct

from ragent_jupyter.rules.stats import wilson

DRAWS = 2000


class Figure(Struct, frozen=True, kw_only=True):
    """One number. who: "ragent" or a peer.  values: one an item; or hits of `of` for a share.

    better: which way is good.  goal: ours, in the same unit; for a share it is held against the bound.
    typical: what is told of the values.  missing: why there is nothing.
    """

    bench: str
    what: str
    who: str = "ragent"
    unit: str = ""
    values: list[float] = []
    hits: int | None = None
    of: int = 0
    better: Literal["less", "more"] = "less"
    typical: Literal["mean", "median", "worst"] = "mean"
    goal: float | None = None
    note: str = ""
    missing: str = ""
    never: bool = False  # not one hit may be

    @property
    def n(self) -> int:
        return self.of if self.hits is not None else len(self.values)

    @property
    def value(self) -> float:
        if self.hits is not None:
            return self.hits / max(1, self.of)
        if self.typical == "worst":
            return max(self.values) if self.better == "less" else min(self.values)
        return statistics.fmean(self.values) if self.typical == "mean" else statistics.median(self.values)

    @property
    def ci(self) -> tuple[float, float]:
        if self.hits is not None:
            return wilson(self.hits, self.of)
        return bootstrap(self.values, statistics.median if self.typical == "median" else statistics.fmean)

    @property
    def judged(self) -> float:
        """What the goal is held against: a share's bad bound, else the number itself."""
        if self.hits is None:
            return self.value
        return self.ci[1] if self.better == "less" else self.ci[0]

    @property
    def met(self) -> bool | None:
        if self.goal is None or self.missing or not self.n:
            return None
        return self.judged <= self.goal if self.better == "less" else self.judged >= self.goal

    @property
    def enough(self) -> bool:
        """Whether a goal could be met at all with so few cases; a single number decides as it stands."""
        if self.hits is None or self.goal is None:
            return True
        low, high = wilson(0 if self.better == "less" else self.of, self.of)
        return high <= self.goal if self.better == "less" else low >= self.goal


def bootstrap(
    values: Sequence[float], of: Callable[[Sequence[float]], float], draws: int = DRAWS
) -> tuple[float, float]:
    """95 % percentile interval. Seeded: the same values, the same interval. One value: that value twice."""
    if len(values) < 2:
        return (values[0], values[0]) if values else (float("nan"), float("nan"))
    drawn = random.Random(len(values))
    found = sorted(of(drawn.choices(values, k=len(values))) for _ in range(draws))
    return found[int(0.025 * draws)], found[int(0.975 * draws) - 1]


def table(figures: Sequence[Figure]) -> str:
    """`ratio`: a peer's number against ragent's for the same thing; above 1, ragent's is that many times better."""
    ours = {(f.bench, f.what): f for f in reversed(figures) if f.who == "ragent" and f.n}
    lines = [f"{'what':54} {'who':12} {'value':>9}  {'95 %':>20} {'n':>6} {'goal':>8}  {'':8}"]
    bench = ""
    for figure in figures:
        if figure.bench != bench:
            bench = figure.bench
            lines.append(f"-- {bench}")
        head = f"{figure.what[:54]:54} {figure.who[:12]:12}"
        if figure.missing or not figure.n:
            lines.append(f"{head} {figure.missing or 'nothing was measured'}")
            continue
        percent = figure.hits is not None
        low, high = figure.ci
        span = f"{_number(low, percent)} … {_number(high, percent)}" if figure.typical != "worst" else "worst of all"
        goal = "" if figure.goal is None else _number(figure.goal, percent)
        mine, word = ours.get((figure.bench, figure.what)), ""
        if figure.met is not None:
            word = "met" if figure.met else "NOT MET" if figure.enough else "too few"
        elif mine is not None and mine is not figure and min(mine.value, figure.value) > 0:
            times = figure.value / mine.value if figure.better == "less" else mine.value / figure.value
            word = f"{times:.2f} x"
        tail = f"{figure.unit} {figure.note}".strip()
        lines.append(
            f"{head} {_number(figure.value, percent):>9}  {span:>20} {figure.n:>6} {goal:>8}  {word:8} {tail}".rstrip()
        )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    lines.append(f"{os.cpu_count()} cores, load {load}, Python {sys.version.split()[0]}; of a share its bound counts.")
    return "\n".join(lines)


def _number(value: float, percent: bool = False) -> str:
    if percent:
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def plain(figures: Sequence[Figure]) -> str:
    """One line of JSON with everything, measured values included."""
    rows: list[dict[str, Any]] = []
    for figure in figures:
        row: dict[str, Any] = {name: getattr(figure, name) for name in figure.__struct_fields__}
        if figure.n and not figure.missing:
            row |= {"value": figure.value, "ci": figure.ci, "n": figure.n, "met": figure.met}
        rows.append(row)
    return json.dumps({"figures": rows, "load": os.getloadavg(), "cpus": os.cpu_count()})
