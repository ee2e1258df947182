"""Successive halving on streamed metrics: which live search runs are not worth their end. Pure and cheap.

A run is stopped at a rung (a quarter, a half of the usual length) only where all of this holds:
- its value there is outside the best third of at least three comparable runs, by more than the noise of that rung;
- the rung tells runs apart: they differ there by more than seeds of one configuration do;
- even if it gains from here on as much as the steepest comparable run has gained, and half as much again, it does not
  reach the best value there is.
The last condition is what keeps slow starters alive: curves cross, and a small learning rate looks bad early.
Source of the rungs and of eta = 3: Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (ASHA).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from ragent_jupyter.domain.wild import StopRun, TrialView, View

from ..stats import median, short
from .standing import Standing, counts, spread

RUNGS = (0.25, 0.5)
ETA = 3
_LEAST = 3  # comparable runs
# Finished ones among them, at the half and at the quarter: what a slow starter can still gain is only known once one
# has ended.
_LEAST_FINISHED = (3, 6)
_GAIN = 1.5  # times the greatest gain seen after the rung
_NOISES = 2.0  # standard deviations that count as a difference
_SMOOTH = 3  # points whose median stands for the value at a rung


class Curve(Struct, frozen=True):
    """One run's finite points. Smaller is better: values carry the sign of the objective."""

    run: str
    steps: list[float]
    values: list[float]
    best: bool = False  # the objective is a run's best value, not its last

    @property
    def end(self) -> float:
        return self.steps[-1]

    @property
    def final(self) -> float:
        return min(self.values) if self.best else self.values[-1]

    def at(self, step: float) -> float | None:
        """Its value at a rung, None where it has not come that far."""
        if not self.steps or self.steps[-1] < step:
            return None
        upto = [value for at, value in zip(self.steps, self.values, strict=True) if at <= step]
        if not upto:
            return None
        return min(upto) if self.best else median(upto[-_SMOOTH:])


def halving(view: View) -> list[tuple[StopRun, str]]:
    """The live search runs to stop now, each with the reason."""
    at = Standing(view)
    live = [trial for trial in at.search if trial.status == "running" and len(trial.curve) >= 2]
    if not live:
        return []
    seeds = [_curve(at, trial) for trial in at.base if counts(trial) and len(trial.curve) >= 4]
    if len(seeds) < 2:
        return []  # how far seeds lie apart is not known: every difference may be noise
    usual = median([curve.end for curve in seeds])
    done = [_curve(at, trial) for trial in at.search if counts(trial) and len(trial.curve) >= 4]
    if any(not 0.8 * usual <= curve.end <= 1.25 * usual for curve in [*seeds, *done]):
        return []  # runs of different length: the same step is not the same share of a run
    anchor = next((c for c in seeds if at.anchor is not None and c.run == at.anchor.run), seeds[0])
    finished = [*done, anchor]
    known = {trial.run: _curve(at, trial) for trial in live}
    found = []
    for trial in live:
        others = [curve for run, curve in known.items() if run != trial.run]
        reason = _beaten(known[trial.run], finished, others, seeds, usual, at.sign)
        if reason:
            found.append((StopRun(run=trial.run, reason=reason), reason))
    return found


def _beaten(
    mine: Curve, finished: Sequence[Curve], live: Sequence[Curve], seeds: Sequence[Curve], usual: float, sign: float
) -> str:
    for share, least in zip(reversed(RUNGS), _LEAST_FINISHED, strict=True):
        if len(finished) < least:
            return ""
        step = share * usual
        value = mine.at(step)
        if value is None:
            continue
        peers = [v for v in (curve.at(step) for curve in [*finished, *live]) if v is not None]
        at_rung = [v for v in (curve.at(step) for curve in seeds) if v is not None]
        rung_noise, end_noise = spread(at_rung) or 0.0, spread([curve.final for curve in seeds]) or 0.0
        if len(peers) < _LEAST or len(at_rung) < 2:
            return ""
        if max(peers) - min(peers) <= 2 * _NOISES * rung_noise:
            return ""  # seeds differ as much as configurations do: nothing can be told yet
        cutoff = sorted(peers)[max(1, math.ceil((len(peers) + 1) / ETA)) - 1]
        gains = [v - curve.final for curve in finished if (v := curve.at(step)) is not None]
        hope = value - _GAIN * max(0.0, *gains)
        best = min(curve.final for curve in finished)
        if value > cutoff + _NOISES * rung_noise and hope > best + _NOISES * end_noise:
            return (
                f"At {share:.0%} of the usual length it stands at {short(sign * value)}, the best third at "
                f"{short(sign * cutoff)}; even the steepest gain seen after that would not reach {short(sign * best)}."
            )
    return ""


def _curve(at: Standing, trial: TrialView) -> Curve:
    points = [(step, at.sign * value) for step, value in trial.curve if math.isfinite(value)]
    return Curve(trial.run, [step for step, _ in points], [v for _, v in points], at.setup.score == "best")
