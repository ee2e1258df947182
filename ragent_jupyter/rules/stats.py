"""Robust statistics on short windows, in plain Python: the sidecar has no numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence


def median_of_sorted(values: Sequence[float]) -> float:
    """The median. values: shape (n,), n >= 1, ascending, finite.

    >>> median_of_sorted([1.0, 2.0, 4.0, 8.0])
    3.0
    """
    half = len(values) >> 1
    if len(values) & 1:
        return values[half]
    return 0.5 * values[half - 1] + 0.5 * values[half]  # two halves: the sum of two huge values may overflow


def median(values: Sequence[float]) -> float:
    """The median of values in any order, n >= 1.

    >>> median([5.0, 1.0, 3.0])
    3.0
    """
    return median_of_sorted(sorted(values))


def log_spread(values: Sequence[float]) -> float:
    """How far positive values scatter by ratio: the robust standard deviation of their natural logarithm (no unit).

    values: shape (n,), n >= 1; values <= 0 are left out; 0.0 if fewer than 3 remain. It does not depend on the unit of
    the values, so one limit serves a loss of 11 and one of 0.0005.
    Source: Leys et al. 2013, J. Exp. Soc. Psychol. 49(4), 764-766. 1.4826 makes the MAD match sigma for a normal law.
    >>> log_spread([1.0, 1.0, 1.0, 50.0])
    0.0
    >>> round(log_spread([math.exp(x) for x in (-1.0, -0.5, 0.0, 0.5, 1.0)]), 4)
    0.7413
    """
    logs = sorted(math.log(value) for value in values if value > 0.0)
    if len(logs) < 3:
        return 0.0
    middle = median_of_sorted(logs)
    return 1.4826 * median([abs(value - middle) for value in logs])


def log_roughness(values: Sequence[float]) -> float:
    """How far positive values scatter around their own smooth trend, by ratio: sigma of the logarithm (no unit).

    values: shape (n,); 0.0 if n < 5 or one is <= 0. Second differences remove a trend and a bend, so a curve that falls
    or rises smoothly has none however steep it is. For white noise their standard deviation is sqrt(6) sigma.
    Source: Gasser, Sroka, Jennen-Steinmetz 1986, Biometrika 73(3), 625-633, with the median for robustness.
    >>> round(log_roughness([math.exp(-0.3 * x) for x in range(9)]), 6)
    0.0
    >>> round(log_roughness([1.0, 2.0, 1.0, 2.0, 1.0, 2.0]), 3)
    0.839
    """
    if len(values) < 5 or min(values) <= 0.0:
        return 0.0
    logs = [math.log(value) for value in values]
    bends = [abs(a - 2.0 * b + c) for a, b, c in zip(logs, logs[1:], logs[2:], strict=False)]
    return 1.4826 * median(bends) / math.sqrt(6.0)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Least-squares slope of ys over xs, in ys' unit per xs' unit. Equal lengths, n >= 2; 0.0 if xs do not vary.

    >>> slope([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    2.0
    """
    n = len(xs)
    mean_x, mean_y = sum(xs) / n, sum(ys) / n
    spread = sum((x - mean_x) ** 2 for x in xs)
    if not spread > 0.0:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


def wilson(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share (z gives another one). Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209-212.

    >>> [round(x, 3) for x in wilson(28, 32)]
    [0.719, 0.95]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if trials <= 0:
        return 0.0, 1.0
    share, zz = hits / trials, z * z
    middle = (share + zz / (2 * trials)) / (1 + zz / trials)
    half = z * math.sqrt(share * (1 - share) / trials + zz / (4 * trials * trials)) / (1 + zz / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def short(value: float) -> str:
    """A number as a person would write it in a sentence, four digits.

    >>> [short(x) for x in (3.7210714e9, 0.43275, 0.0, 12.0, float("nan"))]
    ['3.721e+09', '0.4328', '0', '12', 'NaN']
    """
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "infinite" if value > 0 else "-infinite"
    return f"{value:.4g}"


def span(seconds: float) -> str:
    """A duration in words.

    >>> [span(x) for x in (42.4, 600.0, 5400.0)]
    ['42 s', '10 min', '1.5 h']
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def finite_or_none(value: float | None) -> float | None:
    """JSON has no infinity: a threshold that overflowed is no threshold.

    >>> finite_or_none(float("inf")) is None
    True
    """
    return value if value is not None and math.isfinite(value) else None
