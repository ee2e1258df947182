"""What every optimiser promises, whatever proposes its points."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.ports_wild import Optimiser, Tried
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob

SPACE = {
    "lr": Knob(dim=Range(0.001, 1.0, log=True), default=0.03),
    "dropout": Knob(dim=Range(0.0, 0.6), default=0.1),
    "layers": Knob(dim=Range(1, 4, integer=True), default=2),
    "batch": Knob(dim=Values([16, 32, 64, 128]), default=64),
    "width": Knob(dim=Range(8, 1024, log=True, integer=True), default=64),
    "act": Knob(dim=Values(["relu", "tanh"]), default="relu"),
    "norm": Knob(dim=Values([True, False]), default=False),
}


def inside(space: dict[str, Knob], point: dict[str, Any]) -> bool:
    for name, knob in space.items():
        value, dim = point[name], knob.dim
        if isinstance(dim, Values):
            if not any(type(value) is type(known) and value == known for known in dim.values):
                return False
        elif not dim.low <= value <= dim.high or (dim.integer and not isinstance(value, int)):
            return False
    return set(point) == set(space)


def default(space: dict[str, Knob]) -> dict[str, Any]:
    return {name: knob.default for name, knob in space.items()}


class OptimiserContract:
    @pytest.fixture
    def optimiser(self) -> Optimiser:
        raise NotImplementedError

    def night(self, optimiser: Optimiser, n: int, batch: int, seed: int = 0) -> list[Tried]:
        """A search of n points, of which some fail and some break a constraint."""
        rng = random.Random(seed)
        tried = [Tried(params=default(SPACE), value=1.0)]
        while len(tried) < n:
            for point in optimiser.suggest(SPACE, tried, batch, mode="min", seed=seed):
                fate = rng.random()
                value = None if fate < 0.3 else abs(math.log(point["lr"] / 0.2)) + point["dropout"]
                tried.append(Tried(params=point, value=value, infeasible=fate < 0.15))
        return tried

    def test_points_lie_in_the_space_and_have_its_types(self, optimiser: Optimiser) -> None:
        assert all(inside(SPACE, t.params) for t in self.night(optimiser, 30, 4))

    def test_no_point_comes_twice(self, optimiser: Optimiser) -> None:
        keys = [json.dumps(t.params, sort_keys=True) for t in self.night(optimiser, 40, 5)]
        assert len(set(keys)) == len(keys)

    def test_the_same_input_has_the_same_answer(self, optimiser: Optimiser) -> None:
        tried = self.night(optimiser, 20, 4)
        one = optimiser.suggest(SPACE, tried, 3, mode="max", seed=5)
        assert one == optimiser.suggest(dict(reversed(SPACE.items())), list(tried), 3, mode="max", seed=5)
        assert one != optimiser.suggest(SPACE, tried, 3, mode="max", seed=6)

    def test_a_dry_space_gives_what_is_left_and_then_nothing(self, optimiser: Optimiser) -> None:
        space = {"a": Knob(dim=Values([1, 2, 3]), default=1), "b": Knob(dim=Range(0.0, 1.0, step=0.5), default=0.0)}
        tried = [Tried(params={"a": 1, "b": 0.0}, value=1.0)]
        points = optimiser.suggest(space, tried, 50, mode="min", seed=0)
        assert sorted((p["a"], p["b"]) for p in points) == sorted(
            (a, b) for a in (1, 2, 3) for b in (0.0, 0.5, 1.0) if (a, b) != (1, 0.0)
        )
        tried += [Tried(params=p, value=2.0) for p in points]
        assert optimiser.suggest(space, tried, 1, mode="min", seed=0) == []

    def test_nothing_to_search_and_nothing_wanted_give_nothing(self, optimiser: Optimiser) -> None:
        assert optimiser.suggest({}, [], 3, mode="min", seed=0) == []
        assert optimiser.suggest(SPACE, [], 0, mode="min", seed=0) == []

    def test_only_failures_are_no_obstacle(self, optimiser: Optimiser) -> None:
        lost = [Tried(params={**default(SPACE), "lr": 0.01 * i}, value=None) for i in range(1, 15)]
        broke = [Tried(params={**default(SPACE), "lr": 0.5}, value=None, infeasible=True)]
        bad = [Tried(params={**default(SPACE), "lr": 0.6}, value=math.nan)]
        assert len(optimiser.suggest(SPACE, [*lost, *broke, *bad], 4, mode="min", seed=0)) == 4

    def test_what_lies_outside_of_a_narrowed_space_is_no_obstacle(self, optimiser: Optimiser) -> None:
        tried = self.night(optimiser, 20, 4)
        narrow = {**SPACE, "lr": Knob(dim=Range(0.001, 0.01, log=True), default=0.03)}
        points = optimiser.suggest(narrow, tried, 4, mode="min", seed=0)
        assert len(points) == 4
        assert all(inside(narrow, p) for p in points)

    def test_a_missing_parameter_stands_at_its_default(self, optimiser: Optimiser) -> None:
        space = {"a": Knob(dim=Values([1, 2]), default=1)}
        assert optimiser.suggest(space, [Tried(params={}, value=1.0)], 5, mode="min", seed=0) == [{"a": 2}]

    @pytest.mark.parametrize("dim", [Values([]), Range(1.0, 0.0), Range(0.0, 1.0, log=True), Range(0.0, math.inf)])
    def test_an_impossible_dimension_is_named(self, optimiser: Optimiser, dim: Values | Range) -> None:
        with pytest.raises(CannotBeDone, match="'broken'"):
            optimiser.suggest({"broken": Knob(dim=dim)}, [], 1, mode="min", seed=0)

    @pytest.mark.parametrize(
        "dim",
        [
            Values([None, "a", [1, 2]]), Range(3.0, 3.0), Range(0.0, 1.0, num=1), Range(1e-8, 1e-2, log=True, num=4),
            Range(0, 10**9, integer=True), Range(0.0, 1e6, step=1e-4), Values([1, 1.0, True]),
        ],
    )  # fmt: skip
    def test_odd_dimensions_can_be_searched(self, optimiser: Optimiser, dim: Values | Range) -> None:
        space = {"odd": Knob(dim=dim), "lr": SPACE["lr"]}
        tried = [Tried(params={"odd": None, "lr": 0.03}, value=1.0)]
        for _ in range(4):
            points = optimiser.suggest(space, tried, 3, mode="min", seed=1)
            assert len(points) == 3
            tried += [Tried(params=p, value=p["lr"]) for p in points]

    def test_importance_is_a_share_and_nothing_where_nothing_is_known(self, optimiser: Optimiser) -> None:
        assert optimiser.importance(SPACE, [], mode="min", seed=0) == {}
        same = [Tried(params={**default(SPACE), "dropout": 0.01 * i}, value=1.0) for i in range(12)]
        assert all(v == v for v in optimiser.importance(SPACE, same, mode="min", seed=0).values())
        found = optimiser.importance(SPACE, self.night(optimiser, 40, 5), mode="min", seed=0)
        assert all(0.0 <= share <= 1.0 for share in found.values())
        assert set(found) <= set(SPACE)
