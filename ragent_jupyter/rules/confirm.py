"""What may be called better: the baseline, who is put to the test, fresh paired seeds, and the verdicts.

A value that was picked as the best of many is too good by the luck of its seed. Here nothing is "confirmed" but what
beats the baseline on seeds that no run of the loop had used when it was picked, pair by pair. The seeds are fresh, so
having looked at many configurations before does not bias the test; having tested several does, and Holm's correction
counts every candidate that the loop has put to the test so far, in this confirm stage and in those before it. From
stage to stage the bar rises as well: of 1,500 loops that tested twenty candidates without a gain one after the other,
6.5 % called one confirmed by Holm's correction alone, 3.7 % with it.

Measured (tests/unit/rules/test_confirm.py, normal noise, the best 3 of 40 configurations confirmed at n = 5):
where none is better than the baseline, a "confirmed" in 2.2 % of 600 loops and for 0.9 % of candidates;
where all are better by 1, 2, 3 sigma of a single run, some candidate is confirmed in 18, 61, 88 % of 150 loops, and
8, 37, 67 % of candidates are. Eight pairs instead of five find 2 sigma in 96 % of 300 loops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from ragent_jupyter.domain.wild import Baseline, Candidate, Setup, TrialView, Verdict, VerdictWord, View

from .noise import baseline, better, counts, value_of
from .stats import short
from .student_t import holm, interval, mean, paired_p, sigma
from .wild_novelty import base_commit, canonical, changes, full_length, key, key_of, seed_of
from .wild_suspect import suspicious

FEWEST = 5  # pairs below which nothing is confirmed
ALPHA = 0.05
_NOT_ITS_FAULT = ("lost", "launch")  # ends of the machine, which do not depend on how good a run is
_LOOKED = ("search", "screen")  # purposes whose runs look for something better


# --- who is put to the test -------------------------------------------------------------------------------------------
def candidates(view: View, top: int, *, untested: bool = False) -> list[Candidate]:
    """The best configurations, by the mean of their search runs at full length, best first; at most `top`.

    Only those that look better than the baseline, never the default itself. untested: without those that a confirm
    stage of this loop has put to the test before. A suspicious one keeps its place and says why it is not believed.
    """
    loop, mode = view.loop, view.loop.setup.mode
    base = baseline(view)
    default = key({}, loop.setup, base_commit(loop))
    gone = {default} | (tested(view) if untested else set())
    groups: dict[str, list[TrialView]] = {}
    for trial in view.trials:
        if trial.purpose in _LOOKED and counts(trial) and full_length(trial.params, loop.setup):
            groups.setdefault(key_of(loop, trial), []).append(trial)
    found: list[tuple[float, list[TrialView]]] = []
    for name, runs in groups.items():
        value = mean([value_of(t) for t in runs])
        if name not in gone and (base is None or better(value, base.mean, mode)):
            found.append((value, runs))
    found.sort(key=lambda one: (one[0] if mode == "min" else -one[0], one[1][0].run))
    # Doubts look at every other run, so only those at the top are looked at.
    return [_candidate(view, value, runs, base) for value, runs in found[: max(0, top)]]


def _candidate(view: View, value: float, runs: list[TrialView], base: Baseline | None) -> Candidate:
    doubts = (why for t in runs if (why := suspicious(view, t, base)))
    return Candidate(
        params=_without_seed(runs[0].params, view.loop.setup),
        runs=[t.run for t in runs],
        value=value,
        commit=runs[0].commit,
        suspicious=next(doubts, ""),
    )


def _without_seed(params: dict[str, Any], setup: Setup) -> dict[str, Any]:
    return {name: value for name, value in params.items() if not (setup.seed and name == setup.seed)}


def tested(view: View) -> set[str]:
    """Keys (`wild_novelty.key_of`) of configurations that a confirm stage has given a real verdict."""
    loop = view.loop
    real = ("confirmed", "not distinguishable", "worse")
    return {key(v.params, loop.setup, v.commit or base_commit(loop)) for v in loop.verdicts if v.verdict in real}


def plan_seeds(view: View, n: int) -> list[int]:
    """n seeds that no run of the loop has used or is about to use, ascending from `seed_base`. All arms take the same.

    Once a sweep with them stands, they are used: the next call gives others.
    """
    setup = view.loop.setup
    used = {seed_of(trial, setup) for trial in view.trials}
    for action in view.loop.owed:
        points = action.get("points") if isinstance(action, dict) else getattr(action, "points", None)
        for point in points if isinstance(points, list) else []:
            if setup.seed and isinstance(point, dict):
                used.add(canonical(point.get(setup.seed)))
    found: list[int] = []
    seed = setup.seed_base
    while len(found) < n:
        if seed not in used:
            found.append(seed)
        seed += 1
    return found


def shared_seeds(view: View, sweep_id: str) -> list[int]:
    """Seeds of a confirm sweep on which the baseline has a value: further candidates may be paired with it there.

    They are as fresh for a candidate as new ones while no search has used them; `verdicts` leaves out those that one
    has. That the baseline is the same makes no candidate look better: one that is tested because another failed meets a
    baseline that was, if anything, lucky.
    """
    default = key({}, view.loop.setup, base_commit(view.loop))
    mine = [t for t in view.trials if t.sweep == sweep_id and t.purpose == "confirm" and counts(t)]
    found = {seed_of(t, view.loop.setup) for t in mine if key_of(view.loop, t) == default}
    return sorted(seed for seed in found if seed is not None)


# --- verdicts ---------------------------------------------------------------------------------------------------------
class Arm(Struct, frozen=True, kw_only=True):
    """A configuration in a confirm sweep: all of its runs there, in order."""

    key: str
    params: dict[str, Any]
    commit: str
    trials: list[TrialView]


class Pairs(Struct, frozen=True, kw_only=True):
    seeds: list[int]
    runs: list[TrialView]
    base: list[TrialView]
    stale: int = 0  # pairs left out because their seed was not fresh

    @property
    def differences(self) -> list[float]:
        return [value_of(a) - value_of(b) for a, b in zip(self.runs, self.base, strict=True)]


def verdicts(view: View, sweep_id: str) -> list[Verdict]:
    """What a confirm sweep says about each of its candidates, in the order of their trials; [] for an unknown sweep.

    The baseline's runs may stand in another confirm sweep of the loop on the same seeds (other code, other tree).
    """
    loop = view.loop
    default = key({}, loop.setup, base_commit(loop))
    arms = [arm for arm in _arms(view, [sweep_id]) if arm.key != default]
    if not arms:
        return []
    family = _family(view, sweep_id, default)
    adjusted = holm(list(family.values()))
    stage = _stage(view, sweep_id, family)
    # Holm alone over 1, 2, 3 … tests would let 1 + 1/2 + 1/3 + … errors through, which has no end.
    steps = [min(1.0, p * stage * (stage + 1) / 2) for p in family.values()]
    by_name = dict(zip(family, map(max, adjusted, steps), strict=True))
    return [_verdict(view, sweep_id, arm, default, by_name.get((sweep_id, arm.key)), len(family)) for arm in arms]


def _arms(view: View, sweeps: Sequence[str]) -> list[Arm]:
    groups: dict[str, list[TrialView]] = {}
    for trial in view.trials:
        if trial.sweep in sweeps:
            groups.setdefault(key_of(view.loop, trial), []).append(trial)
    setup = view.loop.setup
    return [
        Arm(key=k, params=_without_seed(ts[0].params, setup), commit=ts[0].commit, trials=ts)
        for k, ts in groups.items()
    ]


def _confirm_sweeps(view: View) -> list[str]:
    """In the order in which they were made."""
    seen = list(dict.fromkeys(t.sweep for t in view.trials if t.purpose == "confirm"))
    places = {name: i for i, name in enumerate(view.loop.sweeps)}
    return sorted(seen, key=lambda name: places.get(name, len(places)))


def _family(view: View, sweep_id: str, default: str) -> dict[tuple[str, str], float]:
    """p of every candidate tested up to this sweep: (sweep, key) -> p. Later stages do not change earlier verdicts.

    Sweeps of one stage (one for each commit) share their seeds and count together, whichever was made first.
    """
    order = _confirm_sweeps(view)
    mine = _seeds(view, sweep_id)
    upto = order.index(sweep_id) + 1 if sweep_id in order else 0
    found: dict[tuple[str, str], float] = {}
    for name in dict.fromkeys([*order[:upto], sweep_id, *(s for s in order[upto:] if mine & _seeds(view, s))]):
        for arm in _arms(view, [name]):
            if arm.key != default:
                pairs = _pairs(view, name, arm, default)
                if len(pairs.seeds) >= 2:
                    found[name, arm.key] = paired_p(pairs.differences)
    return found


def _stage(view: View, sweep_id: str, family: Mapping[tuple[str, str], float]) -> int:
    """The how-manieth confirm stage of the loop this is, from 1.

    Sweeps that share seeds are one stage, unless the verdicts of one were known when the other was made.
    """
    mine, seen, stage = _seeds(view, sweep_id), set[int](), 1
    places = {name: i for i, name in enumerate(view.loop.sweeps)}
    here, judged = places.get(sweep_id, len(places)), {v.sweep for v in view.loop.verdicts}
    for name in dict.fromkeys(sweep for sweep, _ in family):
        seeds = _seeds(view, name)
        known = name in judged and places.get(name, here) < here
        if known or not seeds & (mine | seen):
            stage += 1
        seen |= seeds
    return stage


def _seeds(view: View, sweep: str) -> set[int]:
    found = {seed_of(t, view.loop.setup) for t in view.trials if t.sweep == sweep}
    return {seed for seed in found if seed is not None}


def _base_runs(view: View, sweep_id: str, default: str) -> list[TrialView]:
    """The baseline's runs, those of this sweep first."""
    all_of = [t for t in view.trials if t.purpose == "confirm" or t.sweep == sweep_id]
    mine = [t for t in all_of if key_of(view.loop, t) == default]
    return sorted(mine, key=lambda t: t.sweep != sweep_id)


def _pairs(view: View, sweep_id: str, arm: Arm, default: str) -> Pairs:
    """Seeds on which both have a value that counts. A seed that the loop had used before this stage is not fresh."""
    setup = view.loop.setup
    places = {name: i for i, name in enumerate(view.loop.sweeps)}
    here = places.get(sweep_id, len(places))
    old = {
        seed_of(t, setup)
        for t in view.trials
        if t.sweep != sweep_id and t.purpose != "confirm" and places.get(t.sweep, -1) < here
    }
    first: dict[int, TrialView] = {}
    for trial in (t for t in arm.trials if counts(t)):
        seed = seed_of(trial, setup)
        if seed is not None:
            first.setdefault(seed, trial)
    base: dict[int, TrialView] = {}
    for trial in (t for t in _base_runs(view, sweep_id, default) if counts(t)):
        seed = seed_of(trial, setup)
        if seed is not None:
            base.setdefault(seed, trial)
    both = sorted(first.keys() & base.keys())
    fresh = [seed for seed in both if seed not in old]
    return Pairs(
        seeds=fresh, runs=[first[s] for s in fresh], base=[base[s] for s in fresh], stale=len(both) - len(fresh)
    )


def _verdict(view: View, sweep_id: str, arm: Arm, default: str, p_holm: float | None, family: int) -> Verdict:
    setup = view.loop.setup
    pairs = _pairs(view, sweep_id, arm, default)
    # Where nothing can be paired, the means of both are still worth saying.
    runs = pairs.runs or [t for t in arm.trials if counts(t)]
    base = pairs.base or [t for t in _base_runs(view, sweep_id, default) if counts(t) and t.sweep == sweep_id]
    values, others = [value_of(t) for t in runs], [value_of(t) for t in base]
    differences = pairs.differences
    effect = mean(differences) if differences else (mean(values) - mean(others) if values and others else None)
    n = len(differences)
    ci = interval(differences, view.loop.seed) if n >= 2 else None
    word, why = _word(view, sweep_id, default, arm, pairs, values, others, effect, ci, p_holm, family)
    # JSON has no infinity, and two pairs may have an interval without an end.
    shown = ci if ci is not None and all(map(math.isfinite, ci)) else None
    return Verdict(
        params=arm.params,
        verdict=word,
        why=why,
        metric=setup.metric,
        seeds=pairs.seeds,
        runs=[t.run for t in runs],
        baseline_runs=[t.run for t in base],
        values=values,
        baseline_values=others,
        mean=mean(values) if values else None,
        baseline_mean=mean(others) if others else None,
        effect=effect,
        ci=shown,
        p=paired_p(differences) if n >= 2 else None,
        p_holm=p_holm,
        claimed=_claimed(view, arm.key),
        commit=arm.commit,
        sweep=sweep_id,
    )


def _claimed(view: View, name: str) -> float | None:
    """The value for which it was chosen: the mean of its search runs."""
    runs = [t for t in view.trials if t.purpose in _LOOKED and counts(t) and key_of(view.loop, t) == name]
    return mean([value_of(t) for t in runs]) if runs else None


def _word(
    view: View,
    sweep_id: str,
    default: str,
    arm: Arm,
    pairs: Pairs,
    values: list[float],
    others: list[float],
    effect: float | None,
    ci: tuple[float, float] | None,
    p_holm: float | None,
    family: int,
) -> tuple[VerdictWord, str]:
    """The verdict, and one sentence for people."""
    setup, n = view.loop.setup, len(pairs.seeds)
    void = [t for t in arm.trials if t.void]
    if void and len(void) == len(arm.trials):
        return "void", f"None of its runs counts: {void[0].void}"
    if not setup.metric:
        return "unconfirmed", "It is not known which metric decides."
    if not values:
        return "unconfirmed", f"No run of it has a value that counts{_lost(arm.trials)}."
    if not others:
        return "unconfirmed", "The baseline has no run beside it that counts, so there is nothing to compare with."
    if len(values) >= 2 and len(others) >= 2 and len(set(values)) == len(set(others)) == 1:
        exact = f"exactly {effect!r}" if effect else "exactly 0"
        return "unconfirmed", (
            f"Deterministic: repeats are bit-identical, noise is not measurable; the difference is {exact}."
        )
    still = _still(values, others)
    if still:
        return "unconfirmed", f"{still}{_means(values, others)}"
    if not setup.seed:
        told = "The script has no seed flag" if setup.seed == "" else "The seed's flag is not known"
        return "unconfirmed", f"{told}, so runs cannot be paired on fresh seeds.{_means(values, others)}"
    if n < FEWEST or effect is None or ci is None or p_holm is None:
        stale = f"; {pairs.stale} had seeds that were used before" if pairs.stale else ""
        return "unconfirmed", (
            f"Only {n} of the {FEWEST} pairs on fresh seeds that it takes{_lost(arm.trials)}{stale}."
            f"{_means(values, others)}"
        )
    apart = len({(value_of(a), value_of(b)) for a, b in zip(pairs.runs, pairs.base, strict=True)})
    if apart <= (n + 1) // 2:
        return "unconfirmed", (
            f"Only {apart} of the {n} pairs differ from each other: other seeds of {setup.seed} give the same runs "
            f"again, which are not counted twice.{_means(values, others)}"
        )
    numbers = (
        f"{short(mean(values))} against {short(mean(others))} on {n} fresh seeds: {_signed(effect)} "
        f"(95 % {_signed(ci[0])} to {_signed(ci[1])}), p = {short(p_holm)}{_over(family)}"
        f"{_lost(arm.trials)}{_looked(view)}."
    )
    if effect == 0.0 and max(pairs.differences) == min(pairs.differences):
        return "not distinguishable", f"The same value as the baseline on each of {n} fresh seeds{_looked(view)}."
    if p_holm <= ALPHA and (ci[0] > 0.0 or ci[1] < 0.0):
        gain = (ci[1] < 0.0) == (setup.mode == "min")
        picked = _picked(view, sweep_id, arm, default) if gain else 0
        if picked:
            return "unconfirmed", (
                f"Better where it has values, but {picked} of its pairs {'is' if picked == 1 else 'are'} missing, and "
                f"what is left may be the lucky ones: {numbers}"
            )
        return ("confirmed" if gain else "worse"), ("Better: " if gain else "Worse: ") + numbers
    if ci[0] == ci[1]:
        return "not distinguishable", (
            f"The same difference on every seed, which {n} pairs cannot tell from luck; more seeds may: " + numbers
        )
    return "not distinguishable", "Not told apart from the baseline: " + numbers


def _still(values: Sequence[float], others: Sequence[float]) -> str:
    """Why one arm has no noise while the other has, "" where both vary.

    A seed that does not reach it, or a number that is written down: its one value may be a lucky one, and repeating
    it does not show that.
    """
    for mine, theirs, whose in ((values, others, "Its"), (others, values, "The baseline's")):
        if len(mine) >= 2 and len(theirs) >= 2 and len(set(mine)) == 1 < len(set(theirs)):
            other = "the baseline's varies" if whose == "Its" else "the candidate's varies"
            said = f"{whose} value is exactly {mine[0]!r} on each of {len(mine)} seeds"
            return f"{said} while {other}: there is no noise to measure."
    return ""


def _picked(view: View, sweep_id: str, arm: Arm, default: str) -> int:
    """Seeds without a pair although the machine is not to blame.

    A configuration that fails where its value would be bad, and runs that somebody stopped, leave the better ones.
    That the baseline failed by itself where the candidate did not speaks for the candidate.
    """
    setup = view.loop.setup
    mine = {seed_of(t, setup) for t in arm.trials if counts(t)}
    base = _base_runs(view, sweep_id, default)
    theirs = {seed_of(t, setup) for t in base if counts(t)}
    lost = {seed_of(t, setup) for t in arm.trials if not counts(t) and t.failure not in _NOT_ITS_FAULT} - mine
    chosen = {seed_of(t, setup) for t in base if t.sweep == sweep_id and (t.void or t.failure == "stopped")} - theirs
    return len(lost | chosen)


def _means(values: list[float], others: list[float]) -> str:
    return f" So far {short(mean(values))} ({len(values)} runs) against {short(mean(others))} ({len(others)})."


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + short(value)


def _over(family: int) -> str:
    return f" after Holm over {family}" if family > 1 else ""


def _lost(trials: Sequence[TrialView]) -> str:
    """Runs that gave no value. A configuration that fails on some seeds is not shown better than it is in silence."""
    gone = [t for t in trials if not counts(t)]
    if not gone:
        return ""
    reasons = dict.fromkeys("void" if t.void else t.failure or t.status for t in gone)
    return f"; {len(gone)} of its {len(trials)} runs gave none ({', '.join(reasons)})"


def _looked(view: View) -> str:
    loop = view.loop
    seen = {key_of(loop, t) for t in view.trials if t.purpose in _LOOKED and changes(t.params, loop.setup)}
    return f"; {len(seen)} configurations were looked at before" if len(seen) > 1 else ""


# --- what follows from it ---------------------------------------------------------------------------------------------
def overclaim(verdict: Verdict, mode: Literal["min", "max"]) -> float | None:
    """By what share the claimed value was too good: (fresh mean - claimed) / |claimed|, above 0: worse on fresh seeds.

    None where one of both is missing, or the claim is 0.
    """
    if verdict.mean is None or not verdict.claimed:
        return None
    return (verdict.mean - verdict.claimed) * (1.0 if mode == "min" else -1.0) / abs(verdict.claimed)


def expected(verdict: Verdict, mode: Literal["min", "max"]) -> float | None:
    """What is claimed of a configuration: the mean of its fresh runs, and one standard error worse.

    None below two values. The mean alone is too good more often than not: where one seed in twenty falls apart, those
    whose test met such a seed are not confirmed. On digits (`tests/benchmarks/wild`, 60 nights that no rule was written
    with) the mean of ten further seeds was 11.8 % worse than the mean of the five (95 %: 4.9 to 19.9) and 5.0 % worse
    than what is claimed so (-1.5 to 12.6); the best value of as many random draws was 19 % too good.
    """
    if verdict.mean is None or len(verdict.values) < 2:
        return None
    error = sigma(verdict.values) / math.sqrt(len(verdict.values))
    return verdict.mean + (error if mode == "min" else -error)


def needs_confirm(view: View) -> bool:
    """Whether an untested best stands, and testing it could say something: a seed flag, noise, runs for five pairs."""
    setup, base = view.loop.setup, baseline(view)
    if not setup.metric or not setup.seed or (base is not None and base.deterministic):
        return False
    if view.runs_left is not None and view.runs_left < 2 * FEWEST:
        return False
    places = {name: i for i, name in enumerate(view.loop.sweeps)}
    looked = max((places.get(t.sweep, -1) for t in view.trials if t.purpose in _LOOKED), default=-1)
    if any(places.get(t.sweep, -1) > looked for t in view.trials if t.purpose == "confirm"):
        return False  # the best of all that was looked at has been tested; its runners-up need not be, one by one
    return any(not c.suspicious for c in candidates(view, setup.top + 5, untested=True))
