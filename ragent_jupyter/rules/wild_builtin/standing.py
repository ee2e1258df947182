"""Where a loop stands, read from its trials: what is measured, what is best, what is still unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Baseline, Knob, Seen, TrialView, Verdict, View

from .. import noise
from ..stats import short

TERMINAL = frozenset({"finished", "failed", "stopped"})


class Standing:
    """A reading of one View. It keeps nothing beyond it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.loop = view.loop
        self.setup = view.loop.setup
        self.sign = 1.0 if self.setup.mode == "min" else -1.0  # sign * value: smaller is better

    def of(self, *purposes: str) -> list[TrialView]:
        return [trial for trial in self.view.trials if trial.purpose in purposes]

    @cached_property
    def live(self) -> bool:
        return any(trial.status not in TERMINAL for trial in self.view.trials)

    @cached_property
    def base(self) -> list[TrialView]:
        return self.of("baseline")

    @cached_property
    def search(self) -> list[TrialView]:
        return self.of("search")

    @cached_property
    def baseline(self) -> Baseline | None:
        return self.loop.baseline or (noise.baseline(self.view) if self.setup.metric else None)

    @cached_property
    def sigma(self) -> float | None:
        """Standard deviation of one run over seeds, None where it was not measured."""
        return None if self.baseline is None else self.baseline.sigma

    @cached_property
    def anchor(self) -> TrialView | None:
        """The baseline's run whose seed the search shares, so that each of its runs can be compared with it."""
        good = [trial for trial in self.base if counts(trial)]
        return min(good, key=lambda t: (t.index, t.run), default=None)

    @cached_property
    def rounds(self) -> list[list[TrialView]]:
        """The search's trials by sweep, oldest first."""
        found: dict[str, list[TrialView]] = {}
        for trial in self.search:
            found.setdefault(trial.sweep, []).append(trial)
        return list(found.values())

    @cached_property
    def best(self) -> TrialView | None:
        """The search's best run so far: chosen by looking, so its value flatters it."""
        good = [trial for trial in self.search if counts(trial)]
        return min(good, key=lambda t: (self.sign * (t.value or 0.0), t.run), default=None)

    @cached_property
    def confirmed(self) -> Verdict | None:
        """The best of the confirmed candidates by its mean on fresh seeds."""
        good = [v for v in self.loop.verdicts if v.verdict == "confirmed" and v.mean is not None]
        return min(good, key=lambda v: self.sign * (v.mean or 0.0), default=None)

    def better(self, value: float, than: float) -> bool:
        return self.sign * value < self.sign * than

    def tested(self, params: dict[str, Any]) -> Verdict | None:
        """The newest verdict about these parameters."""
        return next((v for v in reversed(self.loop.verdicts) if same(v.params, params)), None)

    def point(self, params: dict[str, Any], seed: Any = None) -> dict[str, Any]:
        """A sweep's point: the parameters, and the seed under its flag's name where there is one."""
        flag = self.setup.seed
        return {**params, flag: seed} if flag and seed is not None else dict(params)


def counts(trial: TrialView) -> bool:
    """Whether its value may be used."""
    return (
        trial.status == "finished"
        and not trial.void
        and not trial.failure
        and trial.value is not None
        and math.isfinite(trial.value)
    )


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return set(one) == set(other) and all(equal(value, other[name]) for name, value in one.items())


def equal(one: Any, other: Any) -> bool:
    """
    >>> equal(0.1, 0.1 + 1e-12), equal(1, True), equal("a", "a")
    (True, False, True)
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def changed(space: dict[str, Knob], params: dict[str, Any]) -> list[str]:
    """The parameters that differ from the default, in the order of the space."""
    return [name for name in space if name in params and not equal(params[name], space[name].default)]


# --- words ------------------------------------------------------------------------------------------------------------
def spelled(value: Any) -> str:
    return short(float(value)) if isinstance(value, float) else str(value)


def listed(params: dict[str, Any]) -> str:
    """
    >>> listed({"lr": 0.30000001, "act": "relu"})
    'lr 0.3, act relu'
    """
    return ", ".join(f"{name} {spelled(value)}" for name, value in params.items()) or "the default"


def said_range(knob: Knob) -> str:
    """
    >>> said_range(Knob(dim=Range(0.001, 0.1, log=True)))
    '0.001 to 0.1'
    """
    if isinstance(knob.dim, Values):
        return "one of " + ", ".join(spelled(value) for value in knob.dim.values[:12])
    return f"{short(knob.dim.low)} to {short(knob.dim.high)}"


def counted(n: int, what: str) -> str:
    """
    >>> counted(1, "run"), counted(3, "batch")
    ('1 run', '3 batches')
    """
    plural = what[:-1] + "ies" if what.endswith("y") else what + ("es" if what.endswith(("ch", "s", "x")) else "s")
    return f"{n} {what if n == 1 else plural}"


def seen(trials: Iterable[TrialView], most: int = 8) -> list[Seen]:
    """Evidence: runs and their values."""
    return [Seen(kind="run", ref=t.run, value=t.value, text=t.failure) for t in list(trials)[:most]]


def seen_baseline(baseline: Baseline | None) -> list[Seen]:
    if baseline is None:
        return []
    text = "" if baseline.sigma is None else f"standard deviation {short(baseline.sigma)} over {baseline.n} runs"
    return [Seen(kind="baseline", ref=(baseline.runs or [""])[0], value=baseline.mean, text=text)]


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation, None below two values.

    >>> round(spread([1.0, 3.0]), 6)
    1.414214
    """
    if len(values) < 2:
        return None
    # As in rules/student_t.sigma; values are taken in their own size, or a curve that has diverged has no sum.
    largest = max(map(abs, values))
    if not 0.0 < largest < math.inf:
        return 0.0 if largest == 0.0 else math.inf
    scaled = [v / largest for v in values]
    mean = math.fsum(scaled) / len(scaled)
    return math.hypot(*(v - mean for v in scaled)) / math.sqrt(len(scaled) - 1) * largest


__all__ = [
    "Range", "Standing", "Values", "changed", "counted", "counts", "equal", "listed", "said_range", "same", "seen",
    "seen_baseline", "spelled", "spread",
]  # fmt: skip
