"""What may be called better: baseline, candidates, fresh seeds, verdicts; and how often the verdicts are wrong."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ragent_jupyter.domain.wild import ProposeSweep, TrialView, Verdict, View
from ragent_jupyter.rules.confirm import (
    baseline,
    candidates,
    expected,
    needs_confirm,
    overclaim,
    plan_seeds,
    shared_seeds,
    verdicts,
)
from ragent_jupyter.rules.confirm import (
    tested as real_verdicts,
)
from ragent_jupyter.rules.student_t import holm, interval, paired_p, two_sided
from ragent_jupyter.rules.wild_loop import encode_actions

from .wild_worlds import LOOP, base_runs, confirm_runs, loop, noisy_night, trial, view

SEEDS = [2000, 2001, 2002, 2003, 2004]
BASE = [1.00, 1.10, 0.95, 1.05, 1.02]
GOOD = [0.80, 0.91, 0.76, 0.84, 0.83]


# --- the t distribution, against printed tables -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("t", "df", "p"),
    [
        (12.7062, 1, 0.05),
        (4.30265, 2, 0.05),
        (2.77645, 4, 0.05),
        (2.26216, 9, 0.05),
        (2.04227, 30, 0.05),
        (1.98397, 100, 0.05),
        (4.60409, 4, 0.01),
        (3.24984, 9, 0.01),
        (8.61030, 4, 0.001),
        (2.13185, 4, 0.10),
        (0.74070, 4, 0.50),
        (0.0, 4, 1.0),
    ],
)
def test_student_t_as_in_the_tables(t: float, df: int, p: float) -> None:
    assert two_sided(t, df) == pytest.approx(p, rel=1e-4)
    assert two_sided(-t, df) == two_sided(t, df)


def test_student_t_at_its_ends() -> None:
    assert two_sided(math.inf, 4) == 0.0 == two_sided(1e200, 4)
    assert two_sided(math.nan, 4) == 1.0 == two_sided(2.0, 0)
    # One degree of freedom is the Cauchy law, which has a formula.
    assert two_sided(3.0, 1) == pytest.approx(1 - 2 / math.pi * math.atan(3.0), rel=1e-12)


def test_a_paired_test_by_hand() -> None:
    # Differences 1, 2, 3, 4, 5: mean 3, standard error 0.7071, t = 4.2426 with 4 degrees of freedom.
    assert paired_p([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(two_sided(4.242641, 4), rel=1e-6)
    assert paired_p([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(0.01324, abs=1e-5)


def test_holm_keeps_the_order_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03, 0.005]) == [0.06, 0.03, 0.06, 0.02]
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=6))
def test_an_interval_holds_its_mean_and_says_the_same_twice(values: list[float]) -> None:
    low, high = interval(values, 3)
    assert low <= sum(values) / len(values) + 1e-6 and high >= sum(values) / len(values) - 1e-6
    assert interval(values, 3) == (low, high)  # nothing is drawn anew


def test_beyond_eight_values_an_interval_is_drawn_from_its_seed() -> None:
    values = [float(x * x) for x in range(10)]
    assert interval(values, 3) == interval(values, 3) != interval(values, 4)
    low, high = interval([1e12 + x for x in values], 3)
    assert (low - 1e12, high - 1e12) == pytest.approx(interval(values, 3), abs=1e-2)


def test_two_pairs_say_nothing_about_how_sure_it_is() -> None:
    assert interval([1.0, 2.0]) == (-math.inf, math.inf)
    (verdict,) = verdicts(view(confirm_runs({None: [1.0, 1.1], 0.2: [0.8, 0.7]}, [1, 2])), "swp_2")
    assert verdict.ci is None and verdict.verdict == "unconfirmed"


# --- baseline ---------------------------------------------------------------------------------------------------------
def test_the_baseline_is_the_default_over_seeds() -> None:
    runs = base_runs([1.0, 2.0, 3.0], rss_bytes=7)
    runs = [replace(t, seconds=s) for t, s in zip(runs, (4.0, 9.0, 5.0), strict=True)]
    found = baseline(view(runs))
    assert found is not None
    assert (found.mean, found.sigma, found.n, found.seconds, found.rss_bytes) == (2.0, 1.0, 3, 5.0, 7)
    assert found.runs == ["run_b0", "run_b1", "run_b2"] and not found.deterministic


def test_what_does_not_count_is_not_in_the_baseline() -> None:
    runs = base_runs([1.0, 3.0])
    odd = [
        trial("void", "baseline", value=9.0, seed=1, void="evaluate.py changed"),
        trial("failed", "baseline", value=9.0, seed=2, status="failed"),
        trial("nan", "baseline", value=math.nan, seed=3),
        trial("none", "baseline", seed=4),
        trial("short", "baseline", value=9.0, seed=5, params={"epochs": 1}),
        trial("other", "baseline", value=9.0, seed=6, params={"lr": 0.2}),
        trial("search", "search", value=9.0, seed=7),
    ]
    found = baseline(view([*runs, *odd]))
    assert found is not None and found.values == [1.0, 3.0]
    assert baseline(view(odd)) is None and baseline(view()) is None


def test_a_default_that_is_spelled_out_is_the_default() -> None:
    found = baseline(view(base_runs([1.0, 2.0], params={"lr": 0.1, "width": 64.0, "epochs": 10, "seed": 3})))
    assert found is not None and found.n == 2


def test_bit_identical_repeats_are_deterministic() -> None:
    found = baseline(view(base_runs([0.1, 0.1, 0.1])))
    assert found is not None and found.deterministic and found.sigma is None and found.mean == 0.1
    again = [trial(f"r{i}", "baseline", value=0.1) for i in range(2)]  # no seed flag at all
    found = baseline(view(again, of=loop({"seed": ""})))
    assert found is not None and found.deterministic
    # One seed twice says nothing about noise.
    same = [trial(f"r{i}", "baseline", value=0.1, seed=1) for i in range(2)]
    found = baseline(view(same))
    assert found is not None and not found.deterministic and found.sigma is None and found.n == 1


# --- candidates -------------------------------------------------------------------------------------------------------
def test_candidates_are_the_best_configurations_by_their_mean() -> None:
    runs = [
        trial("lucky", value=0.5, seed=1, params={"lr": 0.2}),
        trial("unlucky", value=1.1, seed=2, params={"lr": 0.2}),
        trial("steady", value=0.7, seed=1, params={"lr": 0.3}),
        trial("worse", value=2.0, seed=1, params={"lr": 0.4}),
        trial("default", value=0.1, seed=9, params={"lr": 0.1}),
        trial("void", value=0.1, seed=1, params={"lr": 0.5}, void="changed"),
        trial("short", value=0.1, seed=1, params={"lr": 0.6, "epochs": 2}),
    ]
    found = candidates(view([*base_runs([1.0, 1.2, 1.1]), *runs]), 5)
    assert [(c.runs, c.value) for c in found] == [(["steady"], 0.7), (["lucky", "unlucky"], 0.8)]
    assert found[0].params == {"lr": 0.3}
    assert candidates(view([*base_runs([1.0]), *runs]), 1) == found[:1]
    assert candidates(view(runs), 0) == []


def test_more_is_better_where_the_mode_is_max() -> None:
    runs = [
        *base_runs([0.5, 0.6]),
        trial("a", value=0.7, params={"lr": 0.2}),
        trial("b", value=0.4, params={"lr": 0.3}),
    ]
    assert [c.runs for c in candidates(view(runs, of=loop({"mode": "max"})), 3)] == [["a"]]


def test_the_same_parameters_on_other_code_are_another_configuration() -> None:
    edited = trial("edited", value=0.5, seed=1000, commit="b" * 40)
    (found,) = candidates(view([*base_runs([1.0, 1.1]), edited]), 3)
    assert found.commit == "b" * 40 and found.params == {}


# --- seeds ------------------------------------------------------------------------------------------------------------
def test_planned_seeds_are_fresh() -> None:
    runs = [*base_runs([1.0, 1.0]), trial("a", seed=1003), trial("b", params={"seed": "1004"})]
    assert plan_seeds(view(runs), 4) == [1002, 1005, 1006, 1007]
    waits = encode_actions([ProposeSweep(name="s", points=[{"seed": 1002}, {"seed": 1005.0}])])
    assert plan_seeds(view(runs, of=loop(owed=waits)), 2) == [1006, 1007]
    assert plan_seeds(view(runs), 0) == [] == plan_seeds(view(runs), -3)


@settings(deadline=None)
@given(st.sets(st.integers(0, 2000), max_size=60), st.integers(0, 30))
def test_no_planned_seed_was_used(used: set[int], n: int) -> None:
    found = plan_seeds(view([trial(f"r{s}", seed=s) for s in used]), n)
    assert len(found) == n == len(set(found)) and not used & set(found) and all(s >= 1000 for s in found)


# --- verdicts ---------------------------------------------------------------------------------------------------------
def test_better_on_every_fresh_seed_is_confirmed() -> None:
    searched = trial("won", value=0.70, seed=1000, params={"lr": 0.2})
    (found,) = verdicts(view([*base_runs(BASE), searched, *confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)]), "swp_2")
    assert found.verdict == "confirmed"
    assert found.effect == pytest.approx(-0.196) and found.mean == pytest.approx(0.828)
    assert found.ci is not None and found.ci[0] < -0.196 < found.ci[1] < 0
    assert found.p is not None and found.p < 0.001 and found.p_holm == found.p
    assert (found.claimed, found.seeds, found.params, found.sweep) == (0.70, SEEDS, {"lr": 0.2}, "swp_2")
    assert found.runs == [f"swp_2_0.2_{s}" for s in SEEDS] and found.values == GOOD and found.baseline_values == BASE
    assert overclaim(found, "min") == pytest.approx(0.183, abs=1e-3)
    assert found.why.startswith("Better: 0.828 against 1.024 on 5 fresh seeds: -0.196 (95 % ")


def test_the_direction_of_the_metric_decides_which_is_better() -> None:
    arms = confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)
    assert [v.verdict for v in verdicts(view(arms, of=loop({"mode": "max"})), "swp_2")] == ["worse"]
    turned = confirm_runs({None: GOOD, 0.2: BASE}, SEEDS)
    assert [v.verdict for v in verdicts(view(turned, of=loop({"mode": "max"})), "swp_2")] == ["confirmed"]
    assert [v.verdict for v in verdicts(view(turned), "swp_2")] == ["worse"]


def test_noise_is_not_distinguishable() -> None:
    noise = [0.90, 1.15, 0.99, 0.97, 1.04]
    (found,) = verdicts(view(confirm_runs({None: BASE, 0.2: noise}, SEEDS)), "swp_2")
    assert found.verdict == "not distinguishable" and found.why.startswith("Not told apart")


def test_holm_counts_every_candidate_of_this_stage_and_of_those_before() -> None:
    arms: dict[float | None, list[float]] = {None: BASE, 0.2: GOOD, 0.3: BASE[::-1], 0.4: [*BASE[1:], BASE[0]]}
    first = confirm_runs(arms, SEEDS)
    found = verdicts(view(first), "swp_2")
    assert [v.params["lr"] for v in found] == [0.2, 0.3, 0.4]
    assert found[0].p_holm == pytest.approx(3 * (found[0].p or 0))
    later = [*first, *confirm_runs({None: BASE, 0.5: GOOD}, [3000, 3001, 3002, 3003, 3004], "swp_3")]
    (second,) = verdicts(view(later), "swp_3")
    assert second.p_holm is not None and second.p is not None and second.p_holm > 3 * second.p
    assert verdicts(view(later), "swp_2") == found  # what comes later does not change what was said


def test_a_test_on_the_same_seeds_that_knew_the_verdicts_of_another_is_a_further_one() -> None:
    first = confirm_runs({None: BASE, 0.2: BASE[::-1]}, SEEDS)
    later = confirm_runs({0.3: GOOD}, SEEDS, "swp_3")
    assert shared_seeds(view([*base_runs(BASE), *first]), "swp_2") == SEEDS
    assert shared_seeds(view([*first, *later]), "swp_3") == [] == shared_seeds(view(first), "swp_9")
    (failed,) = verdicts(view(first), "swp_2")
    (together,) = verdicts(view([*first, *later]), "swp_3")
    (after,) = verdicts(view([*first, *later], of=loop(verdicts=[replace(failed, sweep="swp_2")])), "swp_3")
    assert together.p is not None and together.p_holm == pytest.approx(2 * together.p)
    assert after.p_holm == pytest.approx(3 * together.p) and after.verdict == "confirmed"
    assert after.baseline_runs == failed.baseline_runs
    # A search that came between has seen one of the seeds: it is not fresh any more.
    seen = trial("late", sweep="swp_2b", value=0.5, seed=SEEDS[0], params={"lr": 0.3})
    between = loop(verdicts=[replace(failed, sweep="swp_2")], sweeps=["swp_base", "swp_1", "swp_2", "swp_2b", "swp_3"])
    (stale,) = verdicts(view([*first, seen, *later], of=between), "swp_3")
    assert stale.verdict == "unconfirmed" and stale.seeds == SEEDS[1:]


def test_a_failed_or_void_run_drops_its_pair() -> None:
    arms = confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)
    lost = [replace(t, status="failed", value=None, failure="oom") if t.run.endswith("0.2_2003") else t for t in arms]
    (found,) = verdicts(view(lost), "swp_2")
    assert found.verdict == "unconfirmed" and found.seeds == [2000, 2001, 2002, 2004]
    assert "Only 4 of the 5 pairs" in found.why and "1 of its 5 runs gave none (oom)" in found.why
    changed = [replace(t, void="data changed") if t.run.endswith("None_2003") else t for t in arms]
    assert verdicts(view(changed), "swp_2")[0].verdict == "unconfirmed"


def test_a_retried_run_fills_its_pair() -> None:
    arms = confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)
    failed = [replace(t, status="failed", value=None) if t.run.endswith("0.2_2003") else t for t in arms]
    again = replace(next(t for t in arms if t.run.endswith("0.2_2003")), run="again")
    (found,) = verdicts(view([*failed, again]), "swp_2")
    assert found.verdict == "confirmed" and "again" in found.runs


def test_a_candidate_whose_runs_are_all_void_is_void() -> None:
    arms = confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)
    gone = [replace(t, void="evaluate.py changed") if "0.2" in t.run else t for t in arms]
    (found,) = verdicts(view(gone), "swp_2")
    assert (found.verdict, found.why) == ("void", "None of its runs counts: evaluate.py changed")


def test_no_baseline_beside_it_confirms_nothing() -> None:
    (found,) = verdicts(view([*base_runs(BASE), *confirm_runs({0.2: GOOD}, SEEDS)]), "swp_2")
    assert found.verdict == "unconfirmed" and "nothing to compare" in found.why
    assert verdicts(view(), "swp_2") == [] == verdicts(view(confirm_runs({None: BASE}, SEEDS)), "swp_2")


def test_a_seed_that_was_used_before_is_not_fresh() -> None:
    """Or the seed that made a candidate win would count for it once more."""
    used = [trial(f"s{s}", value=0.5, seed=s, params={"lr": 0.3}) for s in SEEDS[:2]]
    (found,) = verdicts(view([*used, *confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)]), "swp_2")
    assert found.verdict == "unconfirmed" and "2 had seeds that were used before" in found.why
    # What runs on the same seeds afterwards (the winner with one change undone) takes nothing back.
    after = [replace(t, sweep="swp_3", purpose="explain") for t in used]
    (found,) = verdicts(view([*after, *confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)]), "swp_2")
    assert found.verdict == "confirmed"


def test_deterministic_repeats_measure_no_noise() -> None:
    (found,) = verdicts(view(confirm_runs({None: [1.0] * 5, 0.2: [0.75] * 5}, SEEDS)), "swp_2")
    assert found.verdict == "unconfirmed"
    assert found.why == (
        "Deterministic: repeats are bit-identical, noise is not measurable; the difference is exactly -0.25."
    )


def test_without_a_seed_flag_nothing_is_confirmed() -> None:
    runs = [replace(t, seed=None) for t in confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)]
    (found,) = verdicts(view(runs, of=loop({"seed": ""})), "swp_2")
    assert found.verdict == "unconfirmed" and found.why.startswith("The script has no seed flag")
    assert found.effect == pytest.approx(-0.196) and found.p is None
    (found,) = verdicts(view(runs, of=loop({"seed": None})), "swp_2")
    assert found.why.startswith("The seed's flag is not known")


def test_the_same_step_on_every_seed_of_a_coarse_metric_is_no_proof_at_five() -> None:
    coarse = [0.5, 0.75, 0.625, 0.5, 0.875]
    (found,) = verdicts(view(confirm_runs({None: coarse, 0.2: [v - 0.125 for v in coarse]}, SEEDS)), "swp_2")
    assert found.p == 0.0625 and found.verdict == "not distinguishable"
    (found,) = verdicts(view(confirm_runs({None: coarse, 0.2: coarse}, SEEDS)), "swp_2")
    assert found.verdict == "not distinguishable" and found.why.startswith("The same value")


def test_the_baseline_of_a_stage_may_stand_in_a_sweep_beside_it() -> None:
    """Edited code runs in a sweep of its own; the baseline on the same seeds is in the other one."""
    ours = confirm_runs({None: BASE, 0.2: GOOD}, SEEDS)
    edited = confirm_runs({None: GOOD}, SEEDS, "swp_3", commit="b" * 40)
    (found,) = verdicts(view([*ours, *edited]), "swp_3")
    assert found.verdict == "confirmed" and found.commit == "b" * 40 and found.p_holm == 2 * (found.p or 0)


# --- what follows -----------------------------------------------------------------------------------------------------
def test_what_is_claimed_keeps_a_standard_error_in_hand() -> None:
    said = Verdict(params={}, verdict="confirmed", why="", mean=0.8, values=[0.7, 0.8, 0.9])
    error = 0.1 / math.sqrt(3)
    assert expected(said, "min") == pytest.approx(0.8 + error)
    assert expected(said, "max") == pytest.approx(0.8 - error)
    assert expected(replace(said, values=[0.8, 0.8]), "min") == 0.8
    assert expected(replace(said, values=[0.8]), "min") is None is expected(replace(said, mean=None), "min")


def test_needs_confirm_while_an_untested_best_stands() -> None:
    runs = [*base_runs(BASE), trial("won", value=0.8, seed=1000, params={"lr": 0.2})]
    assert needs_confirm(view(runs)) and needs_confirm(view(runs, runs_left=10))
    assert not needs_confirm(view(runs, runs_left=9))
    assert not needs_confirm(view(runs, of=loop({"seed": ""})))
    assert not needs_confirm(view(runs, of=loop({"metric": ""})))
    assert not needs_confirm(view(base_runs(BASE)))
    assert not needs_confirm(view([*base_runs([1.0, 1.0]), runs[-1]]))
    said = Verdict(params={"lr": 0.2}, verdict="not distinguishable", why="", commit="a" * 40)
    assert not needs_confirm(view(runs, of=loop(verdicts=[said])))
    assert needs_confirm(view(runs, of=loop(verdicts=[replace(said, verdict="unconfirmed")])))
    assert len(real_verdicts(view(of=loop(verdicts=[said])))) == 1


PARAMS = st.dictionaries(
    st.sampled_from(["lr", "act", "width", "seed", "epochs", "other"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers())),
    max_size=4,
)
TRIALS = st.builds(
    TrialView,
    run=st.text("abc", min_size=1, max_size=3),
    sweep=st.sampled_from(["swp_1", "swp_2"]),
    purpose=st.sampled_from(["baseline", "search", "screen", "confirm", "explain"]),
    index=st.integers(0, 3),
    params=PARAMS,
    status=st.sampled_from(["finished", "failed", "running"]),
    seed=st.one_of(st.none(), st.integers(0, 6)),
    value=st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 0.5, 1.0])),
    void=st.sampled_from(["", "", "changed"]),
    commit=st.sampled_from(["", "a" * 40, "b" * 40]),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(TRIALS, max_size=25), st.sampled_from(["seed", "", None]))
def test_whatever_the_runs_say_nothing_raises_and_nothing_odd_is_confirmed(
    trials: list[TrialView], seed: str | None
) -> None:
    seen = view(trials, of=loop({"seed": seed}))
    baseline(seen)
    candidates(seen, 3)
    needs_confirm(seen)
    for verdict in verdicts(seen, "swp_2"):
        if verdict.verdict in ("confirmed", "worse"):
            assert len(verdict.seeds) >= 5 and verdict.p_holm is not None and verdict.p_holm <= 0.05


def nights(n: int, effect: float, loops: int, seed: int) -> tuple[float, float]:
    """(share of loops with a confirmed candidate, share of candidates confirmed)."""
    rng = random.Random(seed)
    some = each = total = 0
    for _ in range(loops):
        seen, sweep = noisy_night(rng, effect=effect, n=n)
        words = [v.verdict for v in verdicts(seen, sweep)]
        some += "confirmed" in words
        each += words.count("confirmed")
        total += len(words)
    return some / loops, each / total


@pytest.mark.slow
def test_luck_is_wrongly_confirmed_in_at_most_5_percent_of_loops() -> None:
    some, each = nights(n=5, effect=0.0, loops=600, seed=11)
    print(f"null, best 3 of 40, n = 5: a wrong 'confirmed' in {some:.3f} of 600 loops, {each:.3f} of candidates")
    assert some <= 0.05 and each <= 0.05


@pytest.mark.slow
def test_the_power_that_five_pairs_have() -> None:
    found = {effect: nights(n=5, effect=effect, loops=150, seed=12) for effect in (1.0, 2.0, 3.0)}
    for effect, (some, each) in found.items():
        print(f"{effect:g} sigma, n = 5: some candidate confirmed in {some:.2f} of loops, {each:.2f} of candidates")
    assert found[1.0][1] < found[2.0][1] < found[3.0][1] and found[3.0][0] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 6, 8])
def test_intervals_hold_the_true_mean_as_often_as_they_say(n: int) -> None:
    rng = random.Random(n)
    held = 0
    for _ in range(600):
        low, high = interval([rng.gauss(0.0, 1.0) for _ in range(n)])
        held += low <= 0.0 <= high
    print(f"n = {n}: {held / 600:.3f} of the 95 % intervals hold the mean")
    assert 0.92 <= held / 600 <= 0.98


def test_the_loop_of_these_tests_is_sound() -> None:
    assert isinstance(view(of=LOOP), View)
