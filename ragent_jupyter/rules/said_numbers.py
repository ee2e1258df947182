"""Numbers that a text claims, checked against what was recorded. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from ragent_jupyter.domain.run import Run

from .config_diff import settings_of

# Not inside a word or an id (run_06fk), not part of a date, a version or a path.
_NUMBER = re.compile(
    r"(?<![\w./:-])([-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?)(\s?%)?(?![\w/:]|[.-]\d)"
)
_COUNTED = 10  # up to here an integer is a word ("3 runs", "step 2"), not a measurement


def numbers_of(runs: Iterable[Run]) -> set[float]:
    """What the runs' records hold: values and steps of their metrics, settings, exit codes, seconds."""
    found: set[float] = set()

    def take(value: object) -> None:
        if isinstance(value, bool) or value is None:
            return
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return
        if math.isfinite(number):
            found.add(number)

    for run in runs:
        for m in run.summary.values():
            for value in (m.last, m.step, m.min, m.min_step, m.max, m.max_step, m.count, m.nonfinite):
                take(value)
        for value in settings_of(run).values():
            take(value)
        took = run.ended_at - run.started_at if run.ended_at and run.started_at else None
        for value in (run.exit_code, run.signal, run.gpus, run.trial, run.seed, took, run.max_rss_bytes, run.cpu_s):
            take(value)
    return found


def unbacked(text: str, known: Iterable[float]) -> list[str]:
    """Numbers of a text that no known value rounds to, as they are written, each once. A percentage may also stand
    for a share.

    >>> unbacked("loss 0.142 at step 90, 12.5 % less than 0.7 in run_06fk, 3 runs", {0.14213, 90.0, 0.125})
    ['0.7']
    """
    values = sorted(known)
    found: dict[str, None] = {}
    for match in _NUMBER.finditer(text):
        written = match[1].replace(",", "").replace("−", "-")
        number = float(written)
        whole = re.fullmatch(r"[-+]?\d+", written) is not None
        if whole and abs(number) <= _COUNTED and not match[2]:
            continue
        scales = (1.0, 100.0) if match[2] else (1.0,)
        half = _half_unit(written)
        if not any(abs(abs(value) * scale - abs(number)) <= half * (1 + 1e-9) for value in values for scale in scales):
            found[match[0].strip()] = None
    return list(found)


def _half_unit(written: str) -> float:
    """Half of the last digit that is written: what rounding may have taken.

    >>> _half_unit("0.142"), _half_unit("90"), _half_unit("1.5e-3")
    (0.0005, 0.5, 5e-05)
    """
    mantissa, _, exponent = written.lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    return float(f"0.5e{(int(exponent) if exponent else 0) - digits}")
