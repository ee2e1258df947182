"""A curve in a few lines of text: what a mind needs of thousands of points, and where to look closer. Pure.

First, last and best are the recorded values themselves, with their steps; medians and bands are of what was read. The
limits are those of the watch rules, so that a digest and an alert do not tell two stories.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from ragent_jupyter.domain.metrics import Series

from .stats import log_roughness, log_spread, median, median_of_sorted
from .tool_text import num, word
from .watch_names import EVAL, LOSS, PERPLEXITY, QUALITY, SPEED, classify
from .watch_state import Limits

Direction = Literal["min", "max", ""]
LINES = 40
_LISTED = 12  # so few points are listed one by one
_SPIKES = 5
_ODD = 6
_STILL = 0.005  # an improvement below this share is none, as in the watch rules


class Curve(Struct, frozen=True, kw_only=True):
    """One metric of one run. x, last, low, high: equal lengths, x ascending; None in them is a place without a finite
    value. A place is a point, or a bucket of points (then raw is False; x is its last point's).

    first, lowest, highest: (step, value) of finite points, exact.  odd: (step, "nan" | "inf" | "-inf"), the first of
    them; odd_count: how many in all.  total: points, 0 if unknown.
    """

    name: str
    x: list[float]
    last: list[float | None]
    low: list[float | None]
    high: list[float | None]
    first: tuple[float, float] | None = None
    lowest: tuple[float, float] | None = None
    highest: tuple[float, float] | None = None
    odd: list[tuple[float, str]] = []
    odd_count: int = 0
    total: int = 0
    raw: bool = True
    rewinds: list[float] = []

    @property
    def newest(self) -> tuple[float, float] | None:
        """The last finite point."""
        return next(((x, v) for x, v in zip(reversed(self.x), reversed(self.last), strict=True) if v is not None), None)


class Spike(Struct, frozen=True):
    """A jump off the recent values. times: how far, by ratio (or in robust standard deviations if by_sigma)."""

    step: float
    until: float
    value: float
    baseline: float
    times: float
    by_sigma: bool = False


def direction_of(name: str, primary: str | None = None, mode: Literal["min", "max"] = "min") -> Direction:
    """Which way is better: by the run's own word for its primary metric, else by the name; "" where nobody knows.

    >>> [direction_of(n) for n in ("val_loss", "accuracy", "lr")]
    ['min', 'max', '']
    """
    if name == primary:
        return mode
    kind = classify(name)
    if kind in (LOSS, EVAL, PERPLEXITY):
        return "min"
    return "max" if kind in (QUALITY, SPEED) else ""


def curve_of_points(name: str, points: Iterable[tuple[float, float]]) -> Curve:
    """From (step, value) pairs, steps ascending; NaN and infinities are values.

    >>> curve = curve_of_points("loss", [(0, 2.0), (1, float("nan")), (2, 1.0)])
    >>> curve.lowest, curve.odd, curve.total
    ((2.0, 1.0), [(1.0, 'nan')], 3)
    """
    x: list[float] = []
    values: list[float | None] = []
    odd: list[tuple[float, str]] = []
    for step, value in points:
        x.append(float(step))
        if math.isfinite(value):
            values.append(float(value))
        else:
            values.append(None)
            odd.append((float(step), num(float(value))))
    return _raw(name, x, values, odd[:1000], len(odd), len(x), [])


def curve_of(series: Series) -> Curve:
    """From a series of the reader. One that was cut to buckets knows no exact first and best step yet: whoever can
    read again puts them in."""
    odd = list(zip(series.nonfinite, series.nonfinite_kinds, strict=False))
    if series.raw:
        made = _raw(series.name, series.x, series.last, odd, series.nonfinite_count, len(series.x), series.rewinds)
        return made
    return Curve(
        name=series.name,
        x=series.x,
        last=series.last,
        low=series.min,
        high=series.max,
        odd=odd,
        odd_count=series.nonfinite_count,
        total=series.total,
        raw=False,
        rewinds=series.rewinds,
    )


def _raw(
    name: str,
    x: list[float],
    values: list[float | None],
    odd: list[tuple[float, str]],
    odd_count: int,
    total: int,
    rewinds: list[float],
) -> Curve:
    finite = [(a, v) for a, v in zip(x, values, strict=True) if v is not None]
    return Curve(
        name=name,
        x=x,
        last=values,
        low=values,
        high=values,
        first=finite[0] if finite else None,
        lowest=min(finite, key=lambda p: p[1]) if finite else None,
        highest=max(finite, key=lambda p: p[1]) if finite else None,
        odd=odd,
        odd_count=odd_count,
        total=total,
        rewinds=rewinds,
    )


# --- what can be seen in a curve -----------------------------------------------------------------------------------
def spikes(curve: Curve, direction: Direction = "min", limits: Limits | None = None) -> list[Spike]:
    """Jumps for the worse, oldest first; neighbours are one. The measure is the watch rules': against the median of
    the 20 values before and their scatter.

    >>> values = [1.0, 1.1, 0.9] * 4 + [9.0] + [1.0] * 3
    >>> [(s.step, round(s.times, 1)) for s in spikes(curve_of_points("loss", enumerate(values)))]
    [(12.0, 9.0)]
    """
    limits = limits or Limits()
    window: list[float] = []
    found: list[Spike] = []
    before = -2
    for at, (x, last, low, high) in enumerate(zip(curve.x, curve.last, curve.low, curve.high, strict=True)):
        worst = low if direction == "max" else high
        if worst is not None and len(window) >= 5:
            times, by_sigma = _jump(worst, window, direction, limits)
            if times:
                middle = median(window)
                if found and before == at - 1:
                    old = found.pop()
                    value, times = (worst, times) if times > old.times else (old.value, old.times)
                    found.append(Spike(old.step, x, value, old.baseline, times, by_sigma))
                else:
                    found.append(Spike(x, x, worst, middle, times, by_sigma))
                before = at
        if last is not None:
            window.append(last)
            del window[:-20]
    return found


def _jump(value: float, window: list[float], direction: Direction, limits: Limits) -> tuple[float, bool]:
    """(how far, whether in sigmas); (0.0, False) where it is none."""
    ordered = sorted(window)
    middle = median_of_sorted(ordered)
    if ordered[0] > 0.0 and value > 0.0:
        times = middle / value if direction == "max" else value / middle
        if times <= limits.spike:
            return 0.0, False
        return (
            (times, False) if times == math.inf or math.log(times) > limits.noise * log_spread(window) else (0.0, False)
        )
    away = value - middle if direction != "max" else middle - value
    sigma = 1.4826 * median([abs(v - middle) for v in window])
    if sigma <= 0.0 or len(window) < 10 or not math.isfinite(away) or away <= 10.0 * sigma:
        return 0.0, False
    return away / sigma, True


def plateau(curve: Curve, direction: Direction = "min") -> tuple[float, float] | None:
    """(step since when, share of the curve) if the smoothed curve has not got better by 0.5 % for its last quarter or
    more; None where it still does, or is too short to tell.

    >>> plateau(curve_of_points("loss", enumerate([1.0 / (1 + n) for n in range(50)] + [0.02] * 50)))[0]
    49.0
    >>> plateau(curve_of_points("loss", enumerate(1.0 / (1 + n) for n in range(100)))) is None
    True
    """
    points = [(x, v) for x, v in zip(curve.x, curve.last, strict=True) if v is not None]
    n = len(points)
    if n < 20 or direction == "":
        return None
    sign = -1.0 if direction == "max" else 1.0
    values = [v for _, v in points]
    wide = max(20, n // 20) if n >= 80 else 5
    reach = max(values) - min(values)
    best, since = math.inf, 0
    for end in range(wide, n + 1, max(1, n // 1000)):
        middle = sign * median(values[end - wide : end])
        gain = _STILL * (abs(best) if min(values) > 0.0 else reach) if best < math.inf else 0.0
        if middle < best - gain or best == math.inf:
            best, since = middle, end - 1 - wide // 2
    still = n - 1 - since
    if reach == 0.0:
        since, still = 0, n - 1
    return (points[since][0], still / n) if still >= n / 4 and still >= 2 * wide else None


def lost_ground(
    curve: Curve, direction: Direction = "min", limits: Limits | None = None
) -> tuple[float, float, float] | None:
    """(median of the last five, best median of five, step of that) if the end is far worse than the best was: by the
    watch rules' ratio for a loss, by half of what was gained for a score.

    >>> lost_ground(curve_of_points("loss", enumerate([4.0, 3.0, 2.0] + [1.0] * 9 + [5.0] * 9)))
    (5.0, 1.0, 5.0)
    """
    limits = limits or Limits()
    points = [(x, v) for x, v in zip(curve.x, curve.last, strict=True) if v is not None]
    if len(points) < 10 or direction == "":
        return None
    values = [v for _, v in points]
    middles = [(median(values[i : i + 5]), points[i + 4][0]) for i in range(len(values) - 4)]
    now = middles[-1][0]
    if direction == "max":
        best, at = max(middles, key=lambda m: m[0])
        gained = best - middles[0][0]
        return (now, best, at) if gained > 0.0 and best - now > 0.5 * gained else None
    best, at = min(middles, key=lambda m: m[0])
    if best <= 0.0 or min(values) <= 0.0:
        return None
    ratio = now / best
    noise = limits.noise * log_roughness(values[-60:])
    far = ratio > limits.divergence and (ratio == math.inf or math.log(ratio) > noise)
    return (now, best, at) if far else None


# --- the text --------------------------------------------------------------------------------------------------------
def digest(curve: Curve, direction: Direction = "min", *, lines: int = LINES, exact: bool = False) -> list[str]:
    """The curve in at most `lines` lines (at least one), the weightiest ones if not all fit; in the order of reading.

    exact: first, last and best with all their digits.
    """
    said: list[tuple[int, str]] = [(0, _head(curve))]
    if curve.newest is None:
        if curve.odd_count:
            said.append((1, _odd(curve)))
        return [text for _, text in said][: max(1, lines)]
    said.append((1, _ends(curve, direction, exact)))
    if curve.odd_count:
        said.append((2, _odd(curve)))
    lost = lost_ground(curve, direction)
    if lost is not None:
        now, best, at = lost
        times = f", {num(now / best)} times it" if direction == "min" and best else ""
        word_ = "diverged" if direction == "min" else "fell back"
        said.append(
            (3, f"{word_}: median of the last 5 is {num(now)}; the best one was {num(best)} at step {step(at)}{times}")
        )
    still = plateau(curve, direction)
    if still is not None:
        said.append((4, f"plateau: no better by 0.5 % since step {step(still[0])}, {still[1]:.0%} of the curve"))
    jumps = spikes(curve, direction)
    if jumps:
        said.append((5, _spikes(jumps)))
    if curve.rewinds:
        where = ", ".join(step(x) for x in curve.rewinds[:5])
        said.append(
            (7, f"restarted from an older step {len(curve.rewinds)} times, at {where}; only the newest is shown")
        )
    bands = _bands(curve, lines >= 20)
    said += [(6, line) for line in bands]
    allowed = sorted(range(len(said)), key=lambda i: (said[i][0], i))[: max(1, lines)]
    return [said[i][1] for i in sorted(allowed)]


def digests(curves: Sequence[tuple[Curve, Direction]], *, lines: int = LINES, exact: bool = False) -> list[str]:
    """Several curves in at most `lines` lines together, the first ones in most detail; what has no room is named."""
    if not curves:
        return ["no metric was logged"][: max(1, lines)]
    lines = max(1, lines)
    room = max(1, (lines - 1) // 3)
    told, rest = list(curves[:room]), curves[room:]
    if len(curves) <= max(1, lines // 3):
        told, rest = list(curves), []
    left = lines - (1 if rest and lines > 1 else 0)
    found: list[str] = []
    for number, (curve, direction) in enumerate(told):
        share = (left - len(found)) // (len(told) - number)
        found += digest(curve, direction, lines=max(1, share), exact=exact)
    if rest and lines > 1:
        names = ", ".join(word(curve.name, 40) for curve, _ in rest[:20])
        found.append(f"also logged: {names}" + (f" and {len(rest) - 20} more" if len(rest) > 20 else ""))
    return found[:lines]


def step(x: float) -> str:
    """A step as a person writes it.

    >>> step(412.0), step(0.5)
    ('412', '0.5')
    """
    return str(int(x)) if float(x).is_integer() else f"{x:.6g}"


def _head(curve: Curve) -> str:
    name = word(curve.name)
    if not curve.x:
        return f"{name}: no data"
    count = f"{curve.total} points" if curve.total else "points"
    read = "" if curve.raw else f", read as {len(curve.x)} buckets"
    begin = min(curve.first[0], curve.x[0]) if curve.first else curve.x[0]
    return f"{name}: {count}, steps {step(begin)}..{step(curve.x[-1])}{read}"


def _ends(curve: Curve, direction: Direction, exact: bool) -> str:
    newest = curve.newest
    parts = []
    if curve.first is not None:
        parts.append(f"first {num(curve.first[1], exact=exact)} at step {step(curve.first[0])}")
    if newest is not None:
        parts.append(f"last {num(newest[1], exact=exact)} at step {step(newest[0])}")
    low = ("best (min)" if direction == "min" else "min", curve.lowest)
    high = ("best (max)" if direction == "max" else "max", curve.highest)
    for what, point in (high, low) if direction == "max" else (low, high):
        if point is not None:
            parts.append(f"{what} {num(point[1], exact=exact)} at step {step(point[0])}")
    return "; ".join(parts)


def _odd(curve: Curve) -> str:
    shown = ", ".join(f"{kind} at step {step(x)}" for x, kind in curve.odd[:_ODD])
    more = curve.odd_count - min(_ODD, len(curve.odd))
    after = ""
    newest = curve.newest
    if curve.odd and (newest is None or newest[0] < curve.odd[0][0]):
        after = "; nothing finite after the first of them" if newest else "; no finite value at all"
    return f"not finite: {curve.odd_count}: {shown}{f' and {more} more' if more > 0 else ''}{after}"


def _spikes(found: list[Spike]) -> str:
    largest = sorted(found, key=lambda s: -s.times)[:_SPIKES]
    said = []
    for one in sorted(largest, key=lambda s: s.step):
        unit = "sigmas off" if one.by_sigma else "times"
        until = f"..{step(one.until)}" if one.until > one.step else ""
        off = f"{num(one.times)} {unit} the median before, {num(one.baseline)}"
        said.append(f"step {step(one.step)}{until} {num(one.value)} ({off})")
    more = f"; {len(found) - _SPIKES} smaller" if len(found) > _SPIKES else ""
    return f"spikes: {len(found)}: {'; '.join(said)}{more}"


def _bands(curve: Curve, in_lines: bool) -> list[str]:
    """The course of the curve: every point of a short one, else tenths."""
    n = len(curve.x)
    if n <= _LISTED:
        odd = dict(curve.odd)
        said = ", ".join(
            f"{step(x)}: {num(v) if v is not None else odd.get(x, 'nan')}"
            for x, v in zip(curve.x, curve.last, strict=True)
        )
        return [f"all (step: value): {said}"]
    rows: list[tuple[str, float | None, str]] = []
    for tenth in range(10):
        start, end = tenth * n // 10, (tenth + 1) * n // 10
        values = [v for v in curve.last[start:end] if v is not None]
        lows = [v for v in curve.low[start:end] if v is not None]
        highs = [v for v in curve.high[start:end] if v is not None]
        where = f"{step(curve.x[start])}..{step(curve.x[end - 1])}"
        span = f"{num(min(lows))}..{num(max(highs))}" if lows and highs else ""
        rows.append((where, median(values) if values else None, span))
    if not in_lines:
        return ["medians by tenth: " + ", ".join(num(middle) for _, middle, _ in rows)]
    found = ["tenths (steps | median | change | min..max):"]
    before: float | None = None
    for where, middle, span in rows:
        found.append(f"  {where} | {num(middle)} | {_change(before, middle)} | {span}")
        before = middle if middle is not None else before
    return found


def _change(before: float | None, now: float | None) -> str:
    """In percent where that means something, else as a difference."""
    if before is None or now is None:
        return "-"
    if before > 0.0 and now > 0.0 and math.isfinite(now / before):
        return f"{100.0 * (now / before - 1.0):+.3g} %"
    return f"{now - before:+.3g}"
