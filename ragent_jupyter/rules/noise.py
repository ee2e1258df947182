"""The baseline and its noise: how far the default configuration scatters by itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ragent_jupyter.domain.wild import Baseline, Setup, TrialView, View

from .stats import median
from .student_t import mean, sigma
from .wild_novelty import base_commit, key, key_of, seed_of

_LARGEST = 1e150  # a metric beyond it has diverged; sums and squares of it would soon be no numbers


def counts(trial: TrialView) -> bool:
    """Whether a run has a value that counts: finished, finite, not void, not beyond 1e150."""
    value = trial.value
    return trial.status == "finished" and not trial.void and value is not None and abs(value) <= _LARGEST


def better(a: float, b: float, mode: Literal["min", "max"]) -> bool:
    return a < b if mode == "min" else a > b


def baseline(view: View) -> Baseline | None:
    """The default configuration as it was measured; None while no run of it counts.

    sigma is over seeds; runs of one seed are averaged first. Without a seed flag it is over repeats.
    """
    loop = view.loop
    default = key({}, loop.setup, base_commit(loop))
    runs = [t for t in view.trials if t.purpose == "baseline" and counts(t) and key_of(loop, t) == default]
    if not runs:
        return None
    values = [value_of(t) for t in runs]
    apart = _by_seed(runs, loop.setup)
    still = len(apart) >= 2 and len(set(values)) == 1
    seconds = [t.seconds for t in runs if t.seconds is not None]
    return Baseline(
        runs=[t.run for t in runs],
        values=values,
        mean=values[0] if still else mean(apart),
        sigma=sigma(apart) if len(apart) >= 2 and not still else None,
        n=len(apart),
        deterministic=still,
        seconds=median(seconds) if seconds else 0.0,
        rss_bytes=max((t.rss_bytes or 0 for t in runs), default=0),
        commit=next((t.commit for t in runs if t.commit), ""),
        diff=loop.baseline.diff if loop.baseline is not None else False,
    )


def value_of(trial: TrialView) -> float:
    return float(trial.value or 0.0)


def _by_seed(runs: Sequence[TrialView], setup: Setup) -> list[float]:
    """One value a seed. Runs whose seed is unknown are repeats, each on its own."""
    found: dict[Any, list[float]] = {}
    for trial in runs:
        seed = seed_of(trial, setup)
        found.setdefault(trial.run if seed is None else seed, []).append(value_of(trial))
    return [mean(values) for values in found.values()]
