"""Which of the search's best go to the test first: those whose curve fell back while it trained go later. Pure.

A configuration at the edge of stability has a good value with one seed and falls apart with another; its curve often
shows it. On a small network whose learning rate is searched (40 searches of 24 runs, 25 fresh seeds for each of the
best six): picked by value alone, the mean of five fresh runs is 3.6 % better than that of twenty more, at worst 72 %;
picked by value and a tenth of the setback 1.2 %, at worst 39 %, and the true mean is no worse (0.1355 against 0.1363).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ragent_jupyter.domain.wild import Candidate

from .standing import Standing

WEIGHT = 0.1
_SETTLED = 1 / 3  # of the points: what comes before is the noise of a beginning


def setback(values: Sequence[float]) -> float:
    """The greatest rise above the best so far, after the first third. values: in order, less is better, finite.

    >>> setback([9.0, 1.0, 3.0, 2.0, 1.5, 2.25])
    0.75
    """
    late = values[math.floor(len(values) * _SETTLED) :]
    best, found = math.inf, 0.0
    for value in late:
        best = min(best, value)
        found = max(found, value - best)
    return found


def steadiest(at: Standing, found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, best first, each worse by a tenth of its runs' greatest setback. Without curves: as they are."""
    curves = {t.run: [at.sign * value for _, value in t.curve if math.isfinite(value)] for t in at.search}

    def cautious(candidate: Candidate) -> float:
        return at.sign * candidate.value + WEIGHT * max(setback(curves.get(run, [])) for run in candidate.runs)

    return sorted(found, key=cautious)
