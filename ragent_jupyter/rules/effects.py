"""Which parameter mattered: the share of the metric's rank variation that one parameter explains, against chance."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, Literal

from ragent_jupyter.domain.report import Effect

_PERMUTATIONS = 2000
_LEAST = 4  # fewer trials say nothing about a parameter


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, ties share their mean.

    >>> ranks([10.0, 30.0, 10.0])
    [1.5, 3.0, 1.5]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    result = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in range(i, j + 1):
            result[order[k]] = (i + j) / 2 + 1
        i = j + 1
    return result


def eta_squared(groups: Sequence[Hashable], values: Sequence[float]) -> float:
    """Between-group share of the variation, 0 to 1 (the correlation ratio squared).

    groups, values: shape (n,).
    Source: Fisher 1925, Statistical Methods for Research Workers, §45 (the correlation ratio).
    >>> eta_squared(["a", "a", "b", "b"], [1.0, 1.0, 2.0, 2.0])
    1.0
    """
    mean = sum(values) / len(values)
    total = sum((v - mean) ** 2 for v in values)
    if total == 0:
        return 0.0
    sums: dict[Hashable, list[float]] = defaultdict(list)
    for group, value in zip(groups, values, strict=True):
        sums[group].append(value)
    between = sum(len(g) * (sum(g) / len(g) - mean) ** 2 for g in sums.values())
    return between / total


def _groups(values: Sequence[Any]) -> list[Hashable] | None:
    """Levels of a parameter as groups; a number with many levels is cut into thirds. None where it never varied."""
    keys = [str(v) for v in values]
    levels = set(keys)
    if len(levels) < 2:
        return None
    if len(levels) <= max(2, len(values) // 2):
        return list(keys)
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        places = ranks([float(v) for v in values])
        return [min(2, int(3 * (p - 1) / len(places))) for p in places]
    return None  # a name that is new in almost every trial explains everything and nothing


def effects_of(trials: Sequence[tuple[dict[str, Any], float]], mode: Literal["min", "max"]) -> list[Effect]:
    """Parameters by how much they explain, most first; [] for fewer than four trials.

    trials: (parameters, value of the metric) of the finished trials.  The permutation test is seeded: the same trials
    give the same p.
    """
    if len(trials) < _LEAST:
        return []
    values = ranks([value for _, value in trials])
    names = list(dict.fromkeys(k for params, _ in trials for k in params))
    found = []
    for name in names:
        column = [params.get(name) for params, _ in trials]
        groups = _groups(column)
        if groups is None:
            continue
        share = eta_squared(groups, values)
        rng = random.Random(f"ragent:{name}:{len(trials)}")
        shuffled = list(values)
        as_much = 0
        for _ in range(_PERMUTATIONS):
            rng.shuffle(shuffled)
            as_much += eta_squared(groups, shuffled) >= share - 1e-12
        p = (as_much + 1) / (_PERMUTATIONS + 1)
        best = (min if mode == "min" else max)(trials, key=lambda t: t[1])[0].get(name)
        found.append(Effect(parameter=name, share=round(share, 4), p=round(p, 4), n=len(trials), best_value=best))
    return sorted(found, key=lambda e: (e.p, -e.share, e.parameter))
