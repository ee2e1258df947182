"""Who goes to the test first: the best, unless its curve fell back on its way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.wild import Candidate, View
from ragent_jupyter.rules.wild_builtin.setbacks import setback, steadiest
from ragent_jupyter.rules.wild_builtin.standing import Standing

from .wild_worlds import loop, trial, view


def seen(curves: dict[str, list[float]], **fields: Any) -> View:
    runs = [
        trial(name, value=values[-1], curve=[(float(i), v) for i, v in enumerate(values)])
        for name, values in curves.items()
    ]
    return view(runs, of=loop(fields))


def named(of: View) -> list[Candidate]:
    return [Candidate(params={}, runs=[t.run], value=t.value or 0.0) for t in of.trials]


def order(of: View) -> list[str]:
    return [c.runs[0] for c in steadiest(Standing(of), named(of))]


def test_a_jump_late_in_training_costs_a_tenth_of_it() -> None:
    steady, jumped = [2.0, 1.0, 0.5, 0.22, 0.21], [2.0, 1.0, 0.3, 0.8, 0.20]
    assert order(seen({"jumped": jumped, "steady": steady})) == ["steady", "jumped"]
    # What is better by more than that stays first.
    assert order(seen({"jumped": [2.0, 1.0, 0.3, 0.8, 0.10], "steady": steady})) == ["jumped", "steady"]


def test_where_higher_is_better_a_fall_is_the_setback() -> None:
    curves = {"fell": [0.1, 0.5, 0.8, 0.2, 0.83], "steady": [0.1, 0.5, 0.8, 0.81, 0.82]}
    assert order(seen(curves, mode="max")) == ["steady", "fell"]


def test_without_curves_nothing_changes() -> None:
    of = view([trial("b", value=0.5), trial("a", value=0.4)])
    assert [c.runs[0] for c in steadiest(Standing(of), named(of))] == ["a", "b"]
    assert steadiest(Standing(of), []) == []


@pytest.mark.parametrize(("values", "found"), [([], 0.0), ([1.0], 0.0), ([3.0, 2.0, 1.0], 0.0), ([1.0, 9.0, 1.0], 0.0)])
def test_a_beginning_is_no_setback(values: list[float], found: float) -> None:
    assert setback(values) == found


@given(st.lists(st.floats(-1e6, 1e6), max_size=30), st.floats(-1e6, 1e6))
def test_it_is_a_height_whatever_the_level(values: list[float], level: float) -> None:
    assert setback(values) >= 0.0
    assert setback([v + level for v in values]) == pytest.approx(setback(values), abs=1e-6)
