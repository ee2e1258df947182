"""What a reference means; and never a thing that does not fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.rules.lookup import Named, lookup, nearest

RUNS = [
    Named("run_65jyk1000007", ("train 1", "baseline")),
    Named("run_65jyk2000007", ("train 2",)),
    Named("run_7zzzz3000007", ("17",)),
    Named("run_7zzzz4000007", ("sweep #1",)),
]


def test_in_order_of_certainty() -> None:
    assert lookup("run_65jyk2000007", RUNS) == ["run_65jyk2000007"]
    assert lookup("baseline", RUNS) == ["run_65jyk1000007"]
    assert lookup(2, RUNS) == lookup("#2", RUNS) == lookup("run 2", RUNS) == ["run_65jyk2000007"]
    assert lookup("17", RUNS) == ["run_7zzzz3000007"], "a name goes before a number"
    assert lookup("65jyk1", RUNS) == lookup("run_65jyk1", RUNS) == ["run_65jyk1000007"]
    assert lookup("BASE", RUNS) == ["run_65jyk1000007"]
    assert lookup("latest", RUNS) == ["run_7zzzz4000007"]


def test_ambiguous_is_said_and_unknown_is_nothing() -> None:
    assert lookup("train", RUNS) == ["run_65jyk1000007", "run_65jyk2000007"]
    assert lookup("run_65jyk", RUNS) == ["run_65jyk1000007", "run_65jyk2000007"]
    assert lookup("9", RUNS[:2]) == lookup("0", RUNS) == lookup("", RUNS) == lookup("latest", []) == []
    assert lookup("x" * 10_000, RUNS) == []


def test_the_nearest_are_alike_or_the_newest() -> None:
    assert nearest("run_65jyk100007", RUNS, 1) == ["run_65jyk1000007"]
    assert nearest("baselin", RUNS, 1) == ["run_65jyk1000007"]
    assert nearest("§§§", RUNS, 2) == ["run_7zzzz4000007", "run_7zzzz3000007"]


@given(st.text(max_size=40) | st.integers(), st.lists(st.text(max_size=12), max_size=6))
def test_it_is_total_and_names_only_what_is_there(ref: str | int, names: list[str]) -> None:
    things = [Named(f"run_{n}", (name,)) for n, name in enumerate(names)]
    ids = {t.id for t in things}
    assert set(lookup(ref, things)) <= ids and set(nearest(ref, things)) <= ids
    assert bool(nearest(ref, things)) == bool(things)
