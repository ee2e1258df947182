"""Seeds are ragent's: candidates share the baseline's, repetitions draw new ones."""

from __future__ import annotations

from typing import Any

from ragent_jupyter.domain.wild import Launch, ProposeSweep
from ragent_jupyter.rules.wild_seeds import seeded
from tests.support.wild_views import setup, trial, view

BASE = [trial(n, 1.0 + n / 10, seed=1000 + n, purpose="baseline", params={}) for n in range(3)]


def sweep(points: list[dict[str, Any]], **more: Any) -> ProposeSweep:
    return ProposeSweep(name="s", points=points, **more)


def points(action: Any) -> Any:
    return action.points


def test_candidates_run_with_the_seed_of_a_baseline_run_whatever_the_model_says() -> None:
    made = seeded(view(BASE), sweep([{"lr": 0.1}, {"lr": 0.2, "seed": 7}]))
    assert points(made) == [{"lr": 0.1, "seed": 1000}, {"lr": 0.2, "seed": 1000}]
    assert seeded(view(BASE[1:]), Launch(params={"lr": 0.1})) == Launch(params={"lr": 0.1, "seed": 1001})
    assert points(seeded(view(), sweep([{"lr": 0.1}]))) == [{"lr": 0.1, "seed": 1000}]


def test_a_repetition_draws_seeds_that_were_not_used() -> None:
    made = seeded(view(BASE), sweep([{"lr": 0.1}, {"lr": 0.1}, {"lr": 0.1, "seed": 5}], replicate=True))
    assert points(made) == [{"lr": 0.1, "seed": 1003}, {"lr": 0.1, "seed": 1004}, {"lr": 0.1, "seed": 5}]


def test_a_baseline_without_points_is_the_default_over_seeds() -> None:
    made = seeded(view(), sweep([], purpose="baseline"))
    assert [list(point) for point in points(made)] == [["seed"]] * len(points(made)) and len(points(made)) >= 3
    assert len({point["seed"] for point in points(made)}) == len(points(made))
    plain = seeded(view(setup=setup(seed=None)), sweep([], purpose="baseline"))
    assert points(plain) == [{}, {}] and isinstance(plain, ProposeSweep) and plain.replicate
    own = sweep([{"seed": 4}], purpose="baseline")
    assert seeded(view(), own) == own


def test_without_a_seed_flag_nothing_is_added() -> None:
    for seed in (None, ""):
        assert points(seeded(view(setup=setup(seed=seed)), sweep([{"lr": 0.1}]))) == [{"lr": 0.1}]
