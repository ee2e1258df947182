"""Who proposes points of a search space: Optuna's TPE that starts from the default, and a plain random draw.

Both are stateless: what was tried is given with each call and the study is rebuilt from it, so that nothing has to be
kept or recovered, and the same call gives the same points. Optuna (0.5 s) is imported at the first call.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.ports_wild import Tried
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

Mode = Literal["min", "max"]
STARTUP = 8  # points that are spread over the space before the model of it is trusted
NEAR = 1  # of them: in the neighbourhood of the default
_WIDTH = 0.15  # of that neighbourhood: standard deviation, as a share of each axis
_FEW = 4096  # a space of at most this many points is counted through when it runs dry
_FINE = 1000  # more grid points than this are as good as a continuous axis
_LEAST = 6  # finite values that importances rest on


class Axis:
    """One parameter as a coordinate.

    grid: the values in their order, or None for a continuous axis.  ordered: neighbours in the grid are alike.
    Raises CannotBeDone for a dimension that holds no value.
    """

    def __init__(self, name: str, knob: Knob) -> None:
        self.name = name
        self.default = knob.default
        self.low = self.high = 0.0
        self.log = self.integer = False
        self.grid: list[Any] | None = None
        self.ordered = True
        dim = knob.dim
        if isinstance(dim, Values):
            if not dim.values:
                raise CannotBeDone(f"Parameter {name!r} has no values.", "Give at least one value.")
            self.grid = list({_spelled(value): value for value in dim.values}.values())
            numbers = [value for value in self.grid if _number(value) is not None]
            self.ordered = len(numbers) == len(self.grid) and numbers in (sorted(numbers), sorted(numbers)[::-1])
        else:
            self._range(name, dim)

    def _range(self, name: str, dim: Range) -> None:
        low, high = dim.low, dim.high
        if not (math.isfinite(low) and math.isfinite(high)) or low > high or (dim.log and low <= 0):
            raise CannotBeDone(f"Parameter {name!r}: {low}..{high} cannot be searched.", "Give finite low <= high.")
        self.low, self.high, self.log, self.integer = low, high, dim.log, dim.integer
        count = None
        if dim.step is not None and dim.step > 0:
            count = math.floor((high - low) / dim.step + 1e-9) + 1
            points = (low + i * (dim.step or 0.0) for i in range(min(count, _FINE + 1)))
        elif dim.num is not None and dim.num > 0:
            count = dim.num
            points = (self._at(i / max(1, count - 1)) for i in range(min(count, _FINE + 1)))
        elif dim.integer and not dim.log and high - low < _FINE:
            count = math.floor(high) - math.ceil(low) + 1
            points = (math.ceil(low) + i for i in range(count))
        if low == high:
            self.grid = [self._rounded(low)]
        elif count is not None and count <= _FINE:
            self.grid = list(dict.fromkeys(self._rounded(point) for point in points))

    def _at(self, unit: float) -> float:
        if self.log:
            return math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        return self.low + unit * (self.high - self.low)

    def _rounded(self, value: float) -> Any:
        if self.integer:
            return min(max(round(value), math.ceil(self.low)), math.floor(self.high))
        return min(max(float(f"{value:.6g}"), self.low), self.high)

    def value(self, unit: float) -> Any:
        """The value at a coordinate 0..1."""
        unit = min(max(unit, 0.0), 1.0)
        if self.grid is not None:
            return self.grid[min(int(unit * len(self.grid)), len(self.grid) - 1)]
        return self._rounded(self._at(unit))

    def unit(self, value: Any) -> float | None:
        """The coordinate of a value; None for one that is not of this axis."""
        if self.grid is not None:
            place = self.place(value)
            return None if place is None else (place + 0.5) / len(self.grid)
        number = _number(value)
        if number is None or not self.low * (1 - 1e-9) <= number <= self.high * (1 + 1e-9):
            return None
        if self.log:
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)

    def place(self, value: Any) -> int | None:
        """Where in the grid a value stands."""
        spelled = _spelled(value)
        return next((i for i, known in enumerate(self.grid or ()) if _spelled(known) == spelled), None)

    def near(self, rng: random.Random) -> Any:
        """A value in the neighbourhood of the default; anywhere, where the default is not on the axis."""
        middle = self.unit(self.default)
        if middle is None:
            return self.value(rng.random())
        if self.grid is not None and not self.ordered:
            return self.default if rng.random() < 0.7 else rng.choice(self.grid)
        return self.value(middle + rng.gauss(0.0, _WIDTH))


class _Space:
    def __init__(self, space: dict[str, Knob]) -> None:
        self.axes = {name: Axis(name, knob) for name, knob in sorted(space.items())}

    def key(self, params: dict[str, Any]) -> str:
        return json.dumps([_spelled(params.get(name, axis.default)) for name, axis in self.axes.items()])

    def full(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """The point with its defaults filled in; None where it lies outside the space."""
        point = {name: params.get(name, axis.default) for name, axis in self.axes.items()}
        return point if all(axis.unit(point[name]) is not None for name, axis in self.axes.items()) else None

    def size(self) -> float:
        return math.prod(math.inf if axis.grid is None else len(axis.grid) for axis in self.axes.values())

    def all(self) -> Iterator[dict[str, Any]]:
        grids = [axis.grid or [] for axis in self.axes.values()]
        return (dict(zip(self.axes, point, strict=True)) for point in itertools.product(*grids))

    def spread(self, rng: random.Random, n: int) -> list[dict[str, Any]]:
        """n points of which each axis sees every nth of its length once (a Latin hypercube)."""
        columns = []
        for _ in self.axes:
            cells = list(range(n))
            rng.shuffle(cells)
            columns.append([(cell + rng.random()) / n for cell in cells])
        return [{a.name: a.value(c[i]) for a, c in zip(self.axes.values(), columns, strict=True)} for i in range(n)]

    def near(self, rng: random.Random) -> dict[str, Any]:
        return {name: axis.near(rng) for name, axis in self.axes.items()}

    def anywhere(self, rng: random.Random) -> dict[str, Any]:
        return {name: axis.value(rng.random()) for name, axis in self.axes.items()}


class _Basket:
    """Points that are new, up to n of them."""

    def __init__(self, space: _Space, tried: Sequence[Tried], n: int) -> None:
        self.space, self.n = space, n
        self.known = {space.key(point.params) for point in tried}
        self.points: list[dict[str, Any]] = []

    @property
    def full(self) -> bool:
        return len(self.points) >= self.n

    def put(self, point: dict[str, Any]) -> bool:
        key = self.space.key(point)
        if self.full or key in self.known:
            return False
        self.known.add(key)
        self.points.append(point)
        return True

    def fill(self, rng: random.Random) -> list[dict[str, Any]]:
        """The rest at random; where few points remain in a small space, those that remain."""
        for _ in range(20 * self.n):
            if self.full:
                break
            self.put(self.space.anywhere(rng))
        if not self.full and self.space.size() <= _FEW:
            rest = list(self.space.all())
            rng.shuffle(rest)
            for point in rest:
                self.put(point)
        return self.points


class RandomOptimiser:
    """Uniform draws, without repeats. For tests, and as what TPE has to beat."""

    def suggest(
        self, space: dict[str, Knob], tried: Sequence[Tried], n: int, *, mode: Mode, seed: int
    ) -> list[dict[str, Any]]:
        if not space or n <= 0:
            return []
        return _Basket(_Space(space), tried, n).fill(random.Random(f"random {seed} {len(tried)}"))

    def importance(self, space: dict[str, Knob], tried: Sequence[Tried], *, mode: Mode, seed: int) -> dict[str, float]:
        return {}  # it keeps no model of the space


class OptunaOptimiser:
    """TPE over all parameters at once. It starts from the default: the first points lie near it or are spread evenly.

    A point that broke a constraint counts as infeasible, never as a bad value; one that failed is only not repeated.
    """

    def suggest(
        self, space: dict[str, Knob], tried: Sequence[Tried], n: int, *, mode: Mode, seed: int
    ) -> list[dict[str, Any]]:
        if not space or n <= 0:
            return []
        known = _Space(space)
        basket = _Basket(known, tried, n)
        rng = random.Random(f"tpe {seed} {len(tried)}")
        told = sum(_value_of(point) is not None or point.infeasible for point in tried)
        # The plan of the first points is one plan, drawn once: a later batch takes it up where the last one ended.
        plan = random.Random(f"start {seed}")
        start = [known.near(plan) for _ in range(NEAR)] + known.spread(plan, STARTUP - NEAR)
        for point in start[max(0, told - 1) :]:
            basket.put(point)
        if basket.full:
            return basket.points
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = _study(known, tried, mode, seed + 7919 * len(tried))
            axes = {name: _distribution(axis) for name, axis in known.axes.items()}
            for point in basket.points:
                study.enqueue_trial({name: _inner(axis, point[name]) for name, axis in known.axes.items()})
                study.ask(axes)  # under way: the next points keep away from it
            for _ in range(6 * n):
                if basket.full:
                    break
                asked = study.ask(axes)
                basket.put({name: _outer(axis, asked.params[name]) for name, axis in known.axes.items()})
        return basket.fill(rng)

    def importance(self, space: dict[str, Knob], tried: Sequence[Tried], *, mode: Mode, seed: int) -> dict[str, float]:
        """Source: Watanabe, Bansal, Hutter 2023, PED-ANOVA, IJCAI."""
        known = _Space(space)
        finite = [point for point in tried if _value_of(point) is not None and known.full(point.params) is not None]
        if len(finite) < _LEAST or len({point.value for point in finite}) < 3:
            return {}
        from optuna.importance import get_param_importances

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = get_param_importances(_study(known, finite, mode, seed))
            except (RuntimeError, ValueError):
                return {}  # every parameter stood still: nothing can be said
        return {name: float(share) for name, share in found.items() if math.isfinite(share)}


def _study(space: _Space, tried: Sequence[Tried], mode: Mode, seed: int) -> Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # One real value, the default's, is enough to sample around: how the first points are spread is not left to chance.
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, gamma=_good, seed=seed % (2**32))
    study = optuna.create_study(direction="minimize" if mode == "min" else "maximize", sampler=sampler)
    distributions = {name: _distribution(axis) for name, axis in space.axes.items()}
    for point in tried:
        full, value = space.full(point.params), _value_of(point)
        if full is None or (value is None and not point.infeasible):
            continue
        inner = {name: _inner(axis, full[name]) for name, axis in space.axes.items()}
        if point.infeasible:
            trial = optuna.trial.create_trial(
                state=optuna.trial.TrialState.PRUNED,
                params=inner,
                distributions=distributions,
                constraints={"feasible": 1.0},
            )
        else:
            trial = optuna.trial.create_trial(value=value, params=inner, distributions=distributions)
        study.add_trial(trial)
    return study


def _good(n: int) -> int:
    """How many of n points count as good ones. Optuna's tenth is two or three of a night's forty: too few to trust.

    On a landscape like a small network's (tests/unit/adapters/test_optimiser.py), 40 points, 30 repeats: mean of the
    true loss 0.141 so, 0.151 with a tenth, 0.150 with a quarter; random draws 0.160.
    """
    return max(2, math.ceil(0.7 * math.sqrt(n)))


def _distribution(axis: Axis) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.grid is None:
        return FloatDistribution(0.0, 1.0)
    if axis.ordered and len(axis.grid) > 2:
        return IntDistribution(0, len(axis.grid) - 1)
    return CategoricalDistribution(tuple(range(len(axis.grid))))


def _inner(axis: Axis, value: Any) -> Any:
    if axis.grid is not None:
        return axis.place(value)
    return min(max(axis.unit(value) or 0.0, 0.0), 1.0)


def _outer(axis: Axis, inner: Any) -> Any:
    return axis.grid[int(inner)] if axis.grid is not None else axis.value(float(inner))


def _value_of(point: Tried) -> float | None:
    good = point.value is not None and math.isfinite(point.value) and not point.infeasible
    return point.value if good else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _spelled(value: Any) -> str:
    """A value's identity: 1 and 1.0 are one number, True is none."""
    number = _number(value)
    return f"{number:.9g}" if number is not None else json.dumps(value, sort_keys=True, default=str)
