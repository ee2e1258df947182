"""What a loop claims, and the same computed again from the runs' recorded metrics. Pure.

The recorded side is what the loop kept when it judged. The other side starts from the stored series of each run: its
value by the score rule, then the baseline and the verdicts by the same functions that judged. Where both differ the
report says so; it never prefers one of them in silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec.structs import asdict, replace

from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.report import Table
from ragent_jupyter.domain.wild import Baseline, Loop, Setup, TrialView, Verdict, View
from ragent_jupyter.domain.wild_report import Checked, Claim, RunFact

from . import confirm
from . import wild_words as words
from .noise import baseline as baseline_of
from .report import best_of, last_of, number
from .wild_novelty import base_commit, key, seed_of
from .wild_summary import unproven

_DIGITS = 1e-9  # of a computed number; a recorded one must come out the same to the last bit


def value_of(series: Series | None, score: Literal["last", "best"], mode: Literal["min", "max"]) -> float | None:
    """The value of a run by the score rule, from its stored metric; None is "no data".

    A run whose last point is NaN has no last value, whatever came before.
    """
    if series is None:
        return None
    if score == "best":
        return best_of(series, mode)
    finite = [x for x, y in zip(series.x, series.last, strict=True) if y is not None]
    if series.nonfinite and (not finite or series.nonfinite[-1] > finite[-1]):
        return None
    return last_of(series)


def rederived(view: View, series: Iterable[Series]) -> View:
    """The view with the value of each run computed anew from its stored metric, where that is given."""
    setup = view.loop.setup
    found = {s.run: value_of(s, setup.score, setup.mode) for s in series if s.name == setup.metric}
    return replace(view, trials=[replace(t, value=found.get(t.run, t.value)) for t in view.trials])


def resting_on(loop: Loop, trials: Sequence[TrialView]) -> list[str]:
    """The runs that claims and ablation rest on: their series are read again, and drawn."""
    wanted = [*(loop.baseline.runs if loop.baseline else []), *(loop.best.runs if loop.best else [])]
    for verdict in loop.verdicts:
        wanted += [*verdict.runs, *verdict.baseline_runs]
    wanted += [t.run for t in trials if t.purpose in ("baseline", "confirm", "explain", "holdout")]
    known = {t.run for t in trials}
    return [run for run in dict.fromkeys(wanted) if run in known]


# --- claims -----------------------------------------------------------------------------------------------------------
def claims_of(
    loop: Loop, baseline: Baseline | None, verdicts: Sequence[Verdict], trials: Sequence[TrialView]
) -> list[Claim]:
    """Numbered in the order in which they were judged, then the baseline, then a best that nobody confirmed.

    verdicts: to say which number each candidate has, this order is the loop's own.
    """
    values = {t.run: t.value for t in trials}
    seeds = {t.run: seed_of(t, loop.setup) for t in trials}
    found = [_verdict(loop, v, n, baseline) for n, v in enumerate(verdicts, 1)]
    if baseline is not None:
        found.append(
            Claim(
                **_head(loop, "claim-baseline", "baseline"),
                commit=baseline.commit,
                seeds=_seeds(seeds, baseline.runs),
                runs=baseline.runs,
                values=baseline.values,
                mean=baseline.mean,
                sigma=baseline.sigma,
                verdict="deterministic" if baseline.deterministic else "",
            )
        )
    best = unproven(loop)
    if best is not None:
        numbers = [v for run in best.runs if (v := values.get(run)) is not None]
        found.append(
            Claim(
                **_head(loop, "claim-best", "best"),
                params=best.params,
                commit=best.commit or base_commit(loop),
                seeds=_seeds(seeds, best.runs),
                runs=best.runs,
                values=numbers,
                mean=best.value,
                sigma=baseline.sigma if baseline else None,
                verdict="unconfirmed",
            )
        )
    return found


def _head(loop: Loop, id: str, kind: Literal["verdict", "baseline", "best"]) -> dict[str, Any]:
    setup = loop.setup
    return {
        "id": id,
        "kind": kind,
        "loop": loop.id,
        "metric": setup.metric,
        "mode": setup.mode,
        "score": setup.score,
    }


def _seeds(seeds: Mapping[str, int | None], runs: Sequence[str]) -> list[int]:
    """The seeds beside the runs; [] where one is not known."""
    found = [seed for run in runs if (seed := seeds.get(run)) is not None]
    return found if len(found) == len(runs) else []


def _verdict(loop: Loop, v: Verdict, n: int, baseline: Baseline | None) -> Claim:
    head = _head(loop, f"claim-{n}", "verdict")
    if v.metric:
        head["metric"] = v.metric
    return Claim(
        **head,
        params=v.params,
        commit=v.commit or base_commit(loop),
        sweep=v.sweep,
        seeds=v.seeds,
        runs=v.runs,
        values=v.values,
        baseline_runs=v.baseline_runs,
        baseline_values=v.baseline_values,
        mean=v.mean,
        baseline_mean=v.baseline_mean,
        sigma=baseline.sigma if baseline else None,
        effect=v.effect,
        ci=v.ci,
        p=v.p,
        p_holm=v.p_holm,
        verdict=v.verdict,
        holdout=v.holdout,
    )


def judged_again(view: View) -> list[Verdict]:
    """The verdicts as the runs' values give them now, in the loop's order; one that cannot be found again is left out.

    A loop's own verdict may say less than the numbers alone (a change of the evaluation's files voids it): that word
    stays, since no metric shows it.
    """
    loop, setup = view.loop, view.loop.setup
    fresh: dict[tuple[str, str], Verdict] = {}
    for sweep in dict.fromkeys(v.sweep for v in loop.verdicts):
        for verdict in confirm.verdicts(view, sweep):
            fresh[sweep, key(verdict.params, setup, verdict.commit or base_commit(loop))] = verdict
    found = []
    for old in loop.verdicts:
        new = fresh.get((old.sweep, key(old.params, setup, old.commit or base_commit(loop))))
        if new is not None:
            found.append(replace(new, holdout=old.holdout))
    return found


# --- recorded beside recomputed ---------------------------------------------------------------------------------------
def check(view: View, series: Sequence[Series], runs: Sequence[RunFact]) -> list[Checked]:
    """Every claim of the loop beside what its runs' stored metrics give now."""
    loop = view.loop
    anew = rederived(view, series)
    recorded = claims_of(loop, loop.baseline, loop.verdicts, view.trials)
    again_verdicts = judged_again(anew)
    # The baseline was fixed when it was measured: a later run of it does not move what was claimed then.
    kept = set(loop.baseline.runs) if loop.baseline else set()
    measured = [t for t in anew.trials if t.purpose != "baseline" or t.run in kept]
    base = baseline_of(replace(anew, trials=measured)) if loop.baseline else None
    by_place: dict[str, Claim] = {}
    for claim in claims_of(loop, base, again_verdicts, anew.trials):
        by_place[_place(claim, loop.setup)] = claim
    facts = {run.id: run for run in runs}
    found = []
    for claim in recorded:
        again = by_place.get(_place(claim, loop.setup))
        if again is not None and claim.kind == "best" and again.values:
            again = replace(again, mean=sum(again.values) / len(again.values))
        found.append(_checked(claim, again, loop, facts))
    return found


def _place(claim: Claim, setup: Setup) -> str:
    return (
        f"{claim.kind}:{claim.sweep}:{key(claim.params, setup, claim.commit)}" if claim.kind == "verdict" else claim.id
    )


def _checked(claim: Claim, again: Claim | None, loop: Loop, facts: Mapping[str, RunFact]) -> Checked:
    rows: list[list[Any]] = []
    differs: list[str] = []

    def row(what: str, old: Any, new: Any, run: str = "", *, exact: bool = True) -> None:
        same = alike(old, new, exact=exact)
        if not same:
            differs.append(what)
        rows.append([what, old, new, "yes" if same else "no", run, _code(facts.get(run))])

    for side, runs, values, now in (
        (_side(claim), claim.runs, claim.values, _by_run(again, "runs", "values")),
        ("baseline", claim.baseline_runs, claim.baseline_values, _by_run(again, "baseline_runs", "baseline_values")),
    ):
        for i, run in enumerate(runs):
            seed = f", seed {claim.seeds[i]}" if i < len(claim.seeds) else ""
            row(f"{side}{seed}", values[i] if i < len(values) else None, now.get(run), run)
    for name, label in _NUMBERS:
        old = getattr(claim, name)
        if old is not None:
            row(label, old, getattr(again, name) if again else None, exact=False)
    if claim.ci is not None:
        for i, label in enumerate(("95 % CI, low", "95 % CI, high")):
            row(label, claim.ci[i], again.ci[i] if again and again.ci else None, exact=False)
    if claim.verdict:
        row("verdict", claim.verdict, again.verdict if again else None)
    if claim.holdout is not None:
        rows.append(["sealed hold-out", claim.holdout, None, "scored once", "", ""])
    title = f"{claim.id}: recorded, and computed again from the runs' metrics"
    columns = ["what", "recorded", "computed again", "same", "run", "code"]
    table = Table(title, columns, rows, ["l", "r", "r", "l", "l", "l"])
    return Checked(claim=claim, text=sentence(claim, loop), again=again, differs=differs, table=table)


_NUMBERS = (
    ("mean", "mean"),
    ("baseline_mean", "baseline's mean"),
    ("effect", "effect (candidate - baseline)"),
    ("p", "p, paired t test"),
    ("p_holm", "p after Holm"),
)


def _side(claim: Claim) -> str:
    return "baseline" if claim.kind == "baseline" else "candidate"


def _by_run(claim: Claim | None, runs: str, values: str) -> dict[str, float]:
    return dict(zip(getattr(claim, runs), getattr(claim, values), strict=False)) if claim is not None else {}


def _code(run: RunFact | None) -> str:
    if run is None:
        return ""
    return (run.commit[:12] or "no git") + (" + uncommitted changes" if run.dirty else "")


def alike(old: Any, new: Any, *, exact: bool = True) -> bool:
    """
    >>> alike(0.1, 0.1), alike(0.1, 0.1 + 1e-12), alike(0.1, 0.1 + 1e-12, exact=False), alike(0.1, None)
    (True, False, True, False)
    """
    if exact or not isinstance(old, float | int) or not isinstance(new, float | int):
        return bool(old == new)
    return math.isclose(old, new, rel_tol=_DIGITS, abs_tol=1e-15)


def sentence(claim: Claim, loop: Loop) -> str:
    """The claim in one sentence."""
    metric = claim.metric or "the metric"
    n = len(claim.runs)
    if claim.kind == "baseline":
        text = f"The baseline gives {metric} {number(claim.mean)}"
        if claim.verdict == "deterministic":
            return f"{text} with every seed (n = {n}): deterministic."
        spread = f" ± {number(claim.sigma, 2)} (mean ± sd, n = {n})" if claim.sigma is not None else f" (n = {n})"
        return text + spread + "."
    who = words.configuration(loop, claim.params, claim.commit)
    if claim.kind == "best":
        return f"Unconfirmed: {who} gave {metric} {number(claim.mean)} (n = {n})."
    if claim.mean is None or claim.baseline_mean is None or claim.effect is None:
        return f"{claim.verdict.capitalize()}: {who}."
    interval = f" ({words.interval(claim.ci)})" if claim.ci else ""
    return (
        f"{claim.verdict.capitalize()}: {who} gives {metric} {number(claim.mean)} against "
        f"{number(claim.baseline_mean)} of the baseline, {words.signed(claim.effect)}{interval}, "
        f"on {words.seeds(claim.seeds)}."
    )


def as_metadata(claim: Claim) -> dict[str, Any]:
    """What the claim's cell carries: all of it, so that a later reader needs nothing else."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(claim).items()}
