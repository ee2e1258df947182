"""What looks like a gain on fresh seeds and is none: numbers written down, seeds that repeat, runs that are missing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ragent_jupyter.domain.wild import TrialView
from ragent_jupyter.rules.confirm import baseline, needs_confirm, verdicts
from ragent_jupyter.rules.noise import counts
from ragent_jupyter.rules.student_t import paired_p, sigma
from ragent_jupyter.rules.wild_builtin.standing import spread

from .wild_worlds import base_runs, confirm_runs, loop, trial, view

SEEDS = [2000, 2001, 2002, 2003, 2004]
BASE = [1.00, 1.10, 0.95, 1.05, 1.02]
GOOD = [0.80, 0.91, 0.76, 0.84, 0.83]
EIGHT = [*SEEDS, 2005, 2006, 2007]
BASE_8, GOOD_8 = [*BASE, 1.01, 0.99, 1.04], [*GOOD, 0.81, 0.82, 0.86]


def _without(runs: list[TrialView], ends: tuple[str, ...], failure: str) -> list[TrialView]:
    return [replace(t, status="failed", value=None, failure=failure) if t.run.endswith(ends) else t for t in runs]


@pytest.mark.parametrize(("base", "mine", "whose"), [(BASE, [0.5] * 5, "Its"), ([1.0] * 5, GOOD, "The baseline's")])
def test_a_value_that_no_seed_moves_is_not_confirmed(base: list[float], mine: list[float], whose: str) -> None:
    """A script that prints a number, or a baseline that is frozen on one unlucky seed."""
    (found,) = verdicts(view(confirm_runs({None: base, 0.2: mine}, SEEDS)), "swp_2")
    assert found.verdict == "unconfirmed" and found.why.startswith(f"{whose} value is exactly ")


def test_seeds_that_give_the_same_run_again_count_once() -> None:
    """A flag of which the script takes the last bit: five pairs, two of them different."""
    base, mine = [1.0, 1.07, 1.0, 1.07, 1.0], [0.9, 0.95, 0.9, 0.95, 0.9]
    (found,) = verdicts(view(confirm_runs({None: base, 0.2: mine}, SEEDS)), "swp_2")
    assert found.verdict == "unconfirmed" and "Only 2 of the 5 pairs differ from each other" in found.why


@pytest.mark.parametrize("failure", ["nan", "oom", "exit", "stopped"])
def test_what_survives_is_not_better_than_what_failed(failure: str) -> None:
    """Eight seeds, three lost by the candidate's own fault or stopped in the middle: five good ones are left."""
    arms = confirm_runs({None: BASE_8, 0.2: GOOD_8}, EIGHT)
    gone = ("0.2_2005", "0.2_2006", "0.2_2007")
    (found,) = verdicts(view(_without(arms, gone, failure)), "swp_2")
    assert found.verdict == "unconfirmed" and "3 of its pairs are missing" in found.why
    again = [replace(t, run=f"{t.run}_again") for t in arms if t.run.endswith(gone)]
    assert verdicts(view([*_without(arms, gone, failure), *again]), "swp_2")[0].verdict == "confirmed"


def test_a_baseline_that_was_stopped_where_it_was_good_proves_nothing() -> None:
    arms = confirm_runs({None: BASE_8, 0.2: GOOD_8}, EIGHT)
    (found,) = verdicts(view(_without(arms, ("None_2006",), "stopped")), "swp_2")
    assert found.verdict == "unconfirmed" and "1 of its pairs is missing" in found.why
    changed = [replace(t, void="evaluate.py changed") if t.run.endswith("None_2006") else t for t in arms]
    assert verdicts(view(changed), "swp_2")[0].verdict == "unconfirmed"


def test_what_the_machine_lost_takes_nothing_from_a_verdict() -> None:
    arms = confirm_runs({None: BASE_8, 0.2: GOOD_8}, EIGHT)
    assert verdicts(view(_without(arms, ("0.2_2005", "None_2006"), "lost")), "swp_2")[0].verdict == "confirmed"
    # That the baseline breaks where the candidate does not is no reason to doubt the candidate.
    assert verdicts(view(_without(arms, ("None_2006",), "nan")), "swp_2")[0].verdict == "confirmed"


def test_the_same_difference_on_every_seed_is_said_in_words() -> None:
    base = [0.5, 0.75, 0.625, 0.25, 0.875]
    (found,) = verdicts(view(confirm_runs({None: base, 0.2: [v - 0.125 for v in base]}, SEEDS)), "swp_2")
    assert found.verdict == "not distinguishable"
    assert found.why.startswith("The same difference on every seed, which 5 pairs cannot tell from luck; more seeds")


@pytest.mark.parametrize("size", [1e149, 1e200, 1e300, 1.7e308])
def test_huge_values_raise_nothing(size: float) -> None:
    """A loss that has diverged and is still a number: it was OverflowError for the whole loop."""
    runs = [*base_runs([size, -size, 0.5 * size]), trial("s", value=-size, seed=1000, params={"lr": 0.3})]
    seen = view([*runs, *confirm_runs({None: [v * size / 2 for v in BASE], 0.2: [-v * size / 2 for v in GOOD]}, SEEDS)])
    baseline(seen), needs_confirm(seen)
    (found,) = verdicts(seen, "swp_2")
    assert found.verdict == ("confirmed" if size < 1e150 else "unconfirmed")
    assert counts(runs[0]) == (size < 1e150)


def test_tiny_values_keep_their_spread() -> None:
    values = [1e-300, 2e-300, 4e-300, 3e-300, 5e-300]
    assert sigma(values) == pytest.approx(1.5811e-300, rel=1e-4)
    assert paired_p(values) == pytest.approx(paired_p([v * 1e300 for v in values]))


def test_each_further_stage_has_a_higher_bar() -> None:
    """Or a policy that tests one idea after the other is right by luck in the end."""
    runs: list[TrialView] = []
    adjusted = []
    for n in range(6):
        runs += confirm_runs({None: BASE, 0.2 + n / 10: GOOD}, [3000 + 10 * n + i for i in range(5)], f"swp_{n + 2}")
        of = loop(sweeps=[f"swp_{i}" for i in range(n + 3)])
        (found,) = verdicts(view(runs, of=of), f"swp_{n + 2}")
        assert found.p is not None and found.p_holm is not None
        adjusted.append(found.p_holm / found.p)
    assert adjusted == pytest.approx([1, 3, 6, 10, 15, 21])


def test_the_built_in_policy_s_spread_has_no_end_either() -> None:
    """Halving compares curves, and a curve may have reached 1e200 before its run is stopped."""
    assert spread([1e200, -1e200, 1e199]) == pytest.approx(1.00166e200, rel=1e-3)
    assert spread([1e-300, 3e-300]) == pytest.approx(1.41421e-300, rel=1e-4)
    assert (spread([0.0, 0.0]), spread([1.0]), spread([2.0, 2.0])) == (0.0, None, 0.0)
