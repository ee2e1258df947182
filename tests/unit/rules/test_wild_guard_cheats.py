"""What a cheating policy tries at the guard: flags under a wrong name, modules that stand in for others, old points."""

from __future__ import annotations

from typing import Any

import pytest

from ragent_jupyter.domain.wild import ChangeSetup, EditCode, FileEdit, ProposeSweep
from ragent_jupyter.rules.wild_guard import Passed, Refused, check

from .wild_worlds import EXPLORE, event, loop, trial, view


@pytest.mark.parametrize(
    "fields",
    [
        {"fidelity": "val-size", "full": 1},  # then {"val-size": 1} would be no change at all
        {"full": 1000},  # a candidate of a thousand epochs against a baseline of ten
        {"seed": "log-every"},  # runs that differ in nothing are no noise
        {"seed": "epochs"},
    ],
)
def test_a_flag_is_not_given_another_meaning_by_a_policy(fields: dict[str, Any]) -> None:
    of = loop({"seed": None, "fidelity": "", "full": None})
    assert isinstance(check(view(of=of), EXPLORE, ChangeSetup(fields=fields), []), Refused)
    assert isinstance(check(view(of=of), event("human"), ChangeSetup(fields=fields), []), Passed)


@pytest.mark.parametrize("name", ["seed", "random-seed", "trainer.seed", "data_seed", "rng"])
def test_a_flag_that_is_called_a_seed_may_be_one(name: str) -> None:
    of = loop({"seed": None})
    assert isinstance(check(view(of=of), EXPLORE, ChangeSetup(fields={"seed": name}), []), Passed)


@pytest.mark.parametrize(
    "path", ["src/random.py", "src/json/__init__.py", "src/NumPy.py", "src/sub/torch.py", "src/sklearn/__init__.py"]
)
def test_a_new_file_is_not_imported_in_the_place_of_another_module(path: str) -> None:
    made = EditCode(summary="a helper", edits=[FileEdit(path=path, old="", new="x = 1\n")])
    found = check(view(), EXPLORE, made, [])
    assert isinstance(found, Refused) and "imported instead of" in found.problem
    # The user's own file of that name is there already, and is what it was.
    there = EditCode(summary="a change", edits=[FileEdit(path=path, old="x = 1", new="x = 2")])
    assert isinstance(check(view(), EXPLORE, there, []), Passed)


def test_a_digit_far_behind_the_point_makes_no_new_experiment() -> None:
    tried = [trial("r1", value=1.0, seed=1, params={"lr": 0.2})]
    again = ProposeSweep(name="x", points=[{"lr": 0.2000000001, "seed": 1}])
    assert isinstance(check(view(tried), EXPLORE, again, []), Refused)
    other = ProposeSweep(name="x", points=[{"lr": 0.2001, "seed": 1}])
    assert isinstance(check(view(tried), EXPLORE, other, []), Passed)
    flood = ProposeSweep(name="x", points=[{"lr": 0.3 + n * 1e-12} for n in range(200)])
    found = check(view(), EXPLORE, flood, [])
    assert isinstance(found, Passed) and isinstance(found.action, ProposeSweep) and len(found.action.points) == 1
