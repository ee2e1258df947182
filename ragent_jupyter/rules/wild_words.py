"""How a wild loop's numbers are said: values, settings, seeds, durations, money. Every view says them alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ragent_jupyter.domain.wild import Loop, Setup, Verdict

from .report import number
from .wild_novelty import base_commit, changes

# (one run, several runs) of what a failed run did.
_FAILED = {
    "oom": ("ran out of memory", "ran out of memory"),
    "nan": ("became NaN", "became NaN"),
    "exit": ("ended with an error", "ended with an error"),
    "signal": ("was killed by a signal", "were killed by a signal"),
    "lost": ("was lost", "were lost"),
    "launch": ("could not be started", "could not be started"),
    "walltime": ("ran out of time", "ran out of time"),
    "stopped": ("was stopped", "were stopped"),
}
PURPOSES = {
    "baseline": "the baseline",
    "screen": "screening",
    "search": "search",
    "confirm": "confirming",
    "explain": "explaining",
    "holdout": "the hold-out",
    "reproduce": "reproducing",
}


def plural(n: int, one: str, many: str = "") -> str:
    """
    >>> plural(1, "run"), plural(1200, "run"), plural(2, "entry", "entries")
    ('1 run', '1,200 runs', '2 entries')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def failed(kind: str, n: int) -> str:
    """
    >>> failed("oom", 2), failed("", 1)
    ('2 runs ran out of memory', '1 run failed')
    """
    one, many = _FAILED.get(kind, ("failed", "failed"))
    return f"{plural(n, 'run')} {one if n == 1 else many}"


def signed(value: float | None) -> str:
    """A difference, with its sign.

    >>> [signed(v) for v in (-0.0208, 0.5, 0.0, None)]
    ['-0.0208', '+0.5', '0', 'no data']
    """
    if value is None:
        return "no data"
    if value == 0:
        return "0"
    return ("+" if value > 0 else "-") + number(abs(float(value)))


def shown(value: Any) -> str:
    """A parameter's value.

    >>> [shown(v) for v in (0.30000000000000004, True, None, "adam", [1, 2], 64)]
    ['0.3', 'true', 'none', 'adam', '[1, 2]', '64']
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return number(value)
    return str(value)


def setting(params: Mapping[str, Any], setup: Setup | None = None, *, most: int = 6) -> str:
    """A configuration in words: what differs from the baseline, where that is known.

    >>> setting({"lr": 0.1, "amp": True}), setting({})
    ('lr 0.1, amp true', 'the baseline')
    """
    changed = changes(dict(params), setup) if setup is not None else params
    said = [f"{name} {shown(value)}" for name, value in changed.items()]
    if not said:
        return "the baseline"
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return quoted(", ".join(said[:most]) + more, 200)


def configuration(loop: Loop, params: Mapping[str, Any], commit: str) -> str:
    """A configuration with the code it ran, where that is not the baseline's: `lr 0.1, code 1a2b3c4`."""
    words, base = setting(params, loop.setup), base_commit(loop)
    if not commit or not base or commit == base:
        return words
    return f"code {commit[:7]}" if words == "the baseline" else f"{words}, code {commit[:7]}"


def seeds(values: Sequence[int]) -> str:
    """
    >>> seeds([1000, 1001, 1002, 1003, 1004]), seeds([7]), seeds([3, 9]), seeds([])
    ('seeds 1000 to 1004', 'seed 7', 'seeds 3, 9', 'no seed')
    """
    if not values:
        return "no seed"
    if len(values) == 1:
        return f"seed {values[0]}"
    ordered = sorted(values)
    if len(ordered) > 2 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"seeds {ordered[0]} to {ordered[-1]}"
    return "seeds " + ", ".join(map(str, values[:8])) + (" …" if len(values) > 8 else "")


def duration(seconds: float) -> str:
    """Two units are enough.

    >>> [duration(s) for s in (0.4, 59.7, 61, 3725, 200000)]
    ['0 s', '1 min', '1 min 1 s', '1 h 2 min', '2 d 7 h']
    """
    whole = max(0, round(seconds)) if math.isfinite(seconds) else 0
    for size, name, small, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def hours(seconds: float) -> str:
    """
    >>> hours(5400), hours(3.0), hours(0)
    ('1.5', '0.00083', '0')
    """
    return number(seconds / 3600, 3 if seconds >= 360 else 2) if seconds else "0"


def money(usd: float) -> str:
    """Made from a price list, so always about.

    >>> money(1.234), money(0.0004), money(0.0)
    ('~$1.23', '~$0.0004', '$0')
    """
    if not usd:
        return "$0"
    return f"~${usd:.2f}" if usd >= 0.01 else f"~${usd:.1g}"


def size(n: float) -> str:
    """Bytes, in powers of 1000 as the limit is.

    >>> size(0), size(2_500_000), size(12_300_000_000)
    ('0 B', '2.5 MB', '12.3 GB')
    """
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(n) < 1000 or unit == "TB":
            break
        n /= 1000
    return f"{n:.1f} {unit}" if n % 1 else f"{n:.0f} {unit}"


def quoted(text: str, most: int = 160) -> str:
    """One line of what somebody else wrote, cut; it is data."""
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1] + "…"


def change(effect: float | None, of: float | None) -> str:
    """A difference, and what share of the old value it is.

    >>> change(-0.1, 0.3), change(0.5, 0.0), change(None, 1.0)
    ('-0.1 (-33 %)', '+0.5', 'no data')
    """
    if not effect or not of:
        return signed(effect)
    return f"{signed(effect)} ({signed(float(f'{100 * effect / abs(of):.2g}'))} %)"


def first_sentence(text: str, most: int = 100) -> str:
    """
    >>> first_sentence("The limit of runs is used up: 0.5 of 12. It rests."), first_sentence("no stop")
    ('The limit of runs is used up: 0.5 of 12', 'no stop')
    """
    return quoted(text.strip().split(". ")[0].rstrip("."), most)


def interval(ci: tuple[float, float] | None) -> str:
    """
    >>> interval((-0.0251, -0.0165))
    '95 % CI -0.0251 to -0.0165'
    """
    return f"95 % CI {signed(ci[0])} to {signed(ci[1])}" if ci else "no interval"


def probability(verdict: Verdict) -> str:
    """
    >>> probability(Verdict(params={}, verdict="confirmed", why="", p=0.0012, p_holm=0.0036))
    'p 0.0036 after Holm'
    """
    p = verdict.p if verdict.p_holm is None else verdict.p_holm
    if p is None:
        return "no test"
    return f"p {number(p, 2) if p >= 1e-4 else '< 0.0001'}{'' if verdict.p_holm is None else ' after Holm'}"
