"""What the built-in policy does when nothing runs: baseline, search, confirm, explain, and the end. Pure.

Which phase it is follows from the trials and the verdicts alone, so that it goes on the same way after any crash. The
optimiser is a port whose answers depend on nothing but what it is given.
"""

from __future__ import annotations

import math
from typing import Any

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.ports_wild import Optimiser
from ragent_jupyter.domain.script import Objective
from ragent_jupyter.domain.wild import Candidate, ChangeSetup, Confirm, LoopEvent, ProposeSweep, Seen, View

from .. import confirm, objective
from ..stats import short, span
from ..wild_limits import parse_until, reached
from .asking import asking, barren
from .results import changes, ending, explanation, null_result, unconfirmed, undo, verdict_said
from .screen import screened, screening
from .setbacks import steadiest
from .shares import LEAST_SEEDS, Shares, baseline_seeds, runs_left, shares
from .space import narrowed, retries, shrunk, space_fields, tried
from .standing import Standing, counted, counts, listed, seen, seen_baseline
from .steps import Step, complete, note, told

_PATIENT_ROUNDS = 4  # batches without an improvement
_PATIENT_RUNS = 16  # and so many runs at least, or three for each parameter
_LOOKED_AT = 6  # of the search's best: the steadiest of them go first
_STAGES = 3  # confirm stages: each further one meets a higher bar


def next_steps(view: View, event: LoopEvent, optimiser: Optimiser) -> list[Step]:
    """Everything to do about an explore or analysis event, in order. Never empty on explore, else nothing would move.

    event: an analysis also says what the sweep told.
    """
    at = Standing(view)
    analysis = event.kind == "analysis"
    if at.live:
        return []
    if at.loop.promised:  # it is to end: nothing more is begun
        return [note(at, "report", f"It ends now: {at.loop.promised}", [], "rule:end")] if analysis else []
    if not at.base:
        return _begin(at)
    asked = asking(at)
    if asked:
        return asked
    if not at.setup.metric:
        return _objective(at)
    steps = [] if told(at, "baseline") else [_measured(at)]
    short_of = _second_repeat(at)
    if short_of is not None:
        return [short_of]
    if at.confirmed is not None:
        return [*steps, *_after_confirmed(at, optimiser)]
    return [*steps, *_searching(at, optimiser, analysis)]


# --- baseline ---------------------------------------------------------------------------------------------------------
def _begin(at: Standing) -> list[Step]:
    n = baseline_seeds(at.view)
    left = runs_left(at.view)
    room = "no limit of runs" if left is None else counted(left, "run") + " in the budget"
    seeds = confirm.plan_seeds(at.view, n) if at.setup.seed else []
    points = [at.point({}, seed) for seed in seeds] or [{}] * min(n, 2)
    what = counted(len(points), "seed") if at.setup.seed else f"{counted(len(points), 'time')}, as it has no seed flag"
    why = (
        f"Nothing is measured yet, with {room}: the default runs on {what}, the first one alone. That gives the noise, "
        "the time and the memory of a run."
    )
    evidence = [Seen(kind="limit", ref="runs", value=left)]
    sweep = ProposeSweep(
        name="baseline", points=points, purpose="baseline", reason=why, replicate=not at.setup.seed,
        by=["rule"] * len(points),
    )  # fmt: skip
    plan = f"Plan: the default over seeds, then {counted(len(at.setup.space), 'parameter')} searched from it."
    return [note(at, "baseline", plan, evidence, "rule:plan"), Step(sweep, why, evidence, "rule:baseline")]


def _objective(at: Standing) -> list[Step]:
    found = objective.find(at.view.metrics, at.loop.goal)
    if not isinstance(found, Objective):
        return []  # `asking` has asked
    n = at.view.metrics.get(found.metric, 0)
    better = "lower" if found.mode == "min" else "higher"
    reason = found.why or "it is the clearest"
    why = f"{found.metric} decides, {better} is better: {reason} ({counted(n, 'run')} logged it)."
    evidence = [Seen(kind="metric", ref=name, value=count) for name, count in sorted(at.view.metrics.items())[:12]]
    fields = {"metric": found.metric, "mode": found.mode}
    return [Step(ChangeSetup(fields=fields, reason=why), why, evidence, "rule:metric")]


def _measured(at: Standing) -> Step:
    base = at.baseline
    good = [t for t in at.base if counts(t)]
    if base is None:
        return note(
            at, "search", f"{counted(len(good), 'run')} of the default measured.", seen(at.base), "rule:baseline"
        )
    text = f"The default has {at.setup.metric} {short(base.mean)} over {counted(len(good), 'run')}"
    if base.deterministic:
        text += "; the repeats are bit-identical: it is deterministic, its noise is not measurable"
    elif base.sigma is not None:
        text += f", with a standard deviation of {short(base.sigma)} between seeds: less than that is noise"
    if base.seconds > 0:
        text += f". A run takes {span(base.seconds)}"
    if base.rss_bytes:
        text += f" and at most {short(base.rss_bytes / 1e6)} MB of memory"
    lost = len(at.base) - len(good)
    text += f". {counted(lost, 'run')} gave no value." if lost else "."
    return note(at, "search", text, [*seen(at.base), *seen_baseline(base)], "rule:baseline")


def _second_repeat(at: Standing) -> Step | None:
    """A script without a seed whose equal points were run once only: once more, to see whether it varies at all."""
    left = runs_left(at.view)
    if at.setup.seed or at.search or len(at.base) != 1 or (left is not None and left < 4):
        return None
    why = "One run of the default says nothing about its noise: it runs once more, unchanged."
    sweep = ProposeSweep(
        name="baseline again", points=[{}], purpose="baseline", reason=why, replicate=True, by=["rule"]
    )
    return Step(sweep, why, seen(at.base), "rule:baseline")


# --- search -----------------------------------------------------------------------------------------------------------
def _searching(at: Standing, optimiser: Optimiser, analysis: bool) -> list[Step]:
    steps: list[Step] = []
    budget = shares(at.view, searched=len(at.search), knobs=len(at.setup.space))
    if analysis and at.search:
        steps.append(_told_batch(at))
    lighter = screened(at) if analysis and at.loop.purpose == "screen" else None
    if lighter is not None:
        return [*steps, lighter]  # the next decision searches what is left
    if analysis and len(barren(at)) == 1 and at.rounds:
        lost = at.rounds[-1]
        why = f"All {counted(len(lost), 'run')} of the batch failed: each range is halved around its default."
        fields = space_fields(shrunk(at.setup.space, at.best.params if at.best is not None else None))
        return [*steps, Step(ChangeSetup(fields=fields, reason=why), why, seen(lost), "rule:shrink")]
    over = _over(at, budget)
    batch = None
    if not over:
        batch = screening(at, budget) or _batch(at, optimiser, budget)
        over = "" if batch is not None else "The space holds no further point."
    if batch is not None:
        return [*steps, batch]
    return [*steps, *_to_confirm(at, optimiser, over)]


def _told_batch(at: Standing) -> Step:
    batch = at.rounds[-1]
    good = [t for t in batch if counts(t)]
    text = f"Batch {len(at.rounds)}: {len(good)} of {counted(len(batch), 'run')} have a value"
    failed = sorted({t.failure for t in batch if t.failure})
    text += f" ({', '.join(failed)})." if failed else "."
    best = at.best
    if best is not None and best.value is not None:
        text += f" Best so far {at.setup.metric} {short(best.value)} with {listed(changes(at, best.params))}"
        if at.anchor is not None and at.anchor.value is not None:
            text += f"; the default has {short(at.anchor.value)} on the same seed"
        text += ". Not confirmed yet."
    return note(at, "search", text, seen([*batch, *([best] if best else [])]), "rule:tpe")


def _over(at: Standing, budget: Shares) -> str:
    """Why the search ends, "" while it goes on."""
    if budget.search <= 0 or budget.batch <= 0:
        return "The share of the search is used up; the rest is kept for fresh seeds."
    met = _goal_met(at)
    if met:
        return met
    stale = stale_rounds(at)
    runs = sum(len(batch) for batch in at.rounds[len(at.rounds) - stale :]) if stale else 0
    if stale >= _PATIENT_ROUNDS and runs >= max(_PATIENT_RUNS, 3 * len(at.setup.space)):
        return f"{counted(stale, 'batch')} with {counted(runs, 'run')} brought nothing beyond the noise."
    return ""


def _goal_met(at: Standing) -> str:
    limits = at.loop.limits
    if not limits.until:
        return ""
    try:
        parse_until(limits.until)
    except RagentError:
        return ""  # a condition that nobody can read ends nothing; it was refused where it was given
    fresh = [t for t in at.search if counts(t) and at.tested(t.params) is None]
    trial = reached(limits, fresh, at.setup.metric)
    return f"{limits.until} is met by one run ({short(trial.value or 0.0)})." if trial is not None else ""


def stale_rounds(at: Standing) -> int:
    """Batches since the last one that was better than all before it by more than half of the noise."""
    best = at.sign * at.anchor.value if at.anchor is not None and at.anchor.value is not None else math.inf
    first, stale = best, 0
    for batch in at.rounds:
        values = [at.sign * (t.value or 0.0) for t in batch if counts(t)]
        step = max(0.5 * (at.sigma or 0.0), 0.01 * abs(first - best) if math.isfinite(first) else 0.0)
        newest = min(values, default=math.inf)
        stale = 0 if newest < best - step else stale + 1
        if math.isinf(first) and values:
            first = newest
        best = min(best, newest)
    return stale


def _batch(at: Standing, optimiser: Optimiser, budget: Shares) -> Step | None:
    space, cut = narrowed(at.setup.space, at.search)
    known = tried(at)
    again = retries(at)[: budget.batch]
    points: list[dict[str, Any]] = [point for _, point in again]
    rest = budget.batch - len(points)
    if rest > 0:
        points += optimiser.suggest(space, known, rest, mode=at.setup.mode, seed=at.loop.seed)
    if not points:
        return None
    seed = None if at.anchor is None else at.anchor.seed
    why = (
        f"Batch {len(at.rounds) + 1}: {counted(len(points), 'point')} proposed from {counted(len(known), 'tried one')}"
    )
    why += f", all on the default's seed {seed}" if seed is not None and at.setup.seed else ""
    why += f"; {counted(budget.search, 'run')} left for the search, {counted(budget.confirm, 'run')} kept to confirm."
    if again:
        why += f" {counted(len(again), 'run')} ran out of memory: its point comes again with half the batch."
    why += f" {cut}" if cut else ""
    sweep = ProposeSweep(
        name=f"search {len(at.rounds) + 1}", points=[at.point(p, seed) for p in points], purpose="search", reason=why,
        by=["rule"] * len(points),
    )  # fmt: skip
    evidence = seen([*([at.best] if at.best else []), *(t for t, _ in again), *([at.anchor] if at.anchor else [])])
    return Step(sweep, why, evidence, "rule:oom_half_batch" if again and not rest else "rule:tpe")


# --- confirm ----------------------------------------------------------------------------------------------------------
def _to_confirm(at: Standing, optimiser: Optimiser, over: str) -> list[Step]:
    """The search is over: put the best to the test, or say why not, and end."""
    left = runs_left(at.view)
    found = steadiest(at, confirm.candidates(at.view, max(at.setup.top, _LOOKED_AT), untested=True))
    if not found:
        return _end(at, null_result(at), "rule:null")
    stages = len({v.sweep for v in at.loop.verdicts})
    if stages >= _STAGES:
        return _end(at, null_result(at), "rule:null")
    beside, shared = _last_test(at)
    doubt = _cannot_confirm(at, left, LEAST_SEEDS if beside else 2 * LEAST_SEEDS)
    if doubt and at.loop.verdicts:
        return _end(at, null_result(at), "rule:null")
    if doubt:
        return _end(at, unconfirmed(at, doubt), "rule:unconfirmed")
    seeds = shared or max(at.setup.seeds, LEAST_SEEDS)
    arms = 0 if beside else 1  # beside the candidates
    if left is not None and (1 + arms) * seeds > left:
        seeds = max(LEAST_SEEDS, left // (1 + arms))
    chosen = _contenders(at, found)[: at.setup.top]
    if left is not None:
        chosen = chosen[: max(1, left // seeds - arms)]
    steps: list[Step] = []
    runs = [candidate.runs[0] for candidate in chosen]
    what = f"and the default run on {seeds} fresh paired seeds"
    if beside:
        what = f"of those behind them on {seeds} seeds that the default has run on and no search has"
        over = "The best were not shown to be better."
    why = (
        f"{over} {counted(len(chosen), 'candidate')} {what}: "
        f"{at.setup.metric} {', '.join(short(c.value) for c in chosen)} was seen in the search, which flatters."
    )
    evidence = [Seen(kind="run", ref=c.runs[0], value=c.value, text=listed(c.params)) for c in chosen]
    evidence += seen_baseline(at.baseline)
    if seeds != at.setup.seeds:
        fit = f"{seeds} paired seeds instead of {at.setup.seeds} fit into what is left."
        steps.append(Step(ChangeSetup(fields={"seeds": seeds}, reason=fit), fit, evidence, "rule:confirm"))
    steps.append(note(at, "confirm", why, evidence, "rule:confirm"))
    steps.append(Step(Confirm(runs=runs, beside=beside, reason=why), why, evidence, "rule:confirm"))
    return steps


def _last_test(at: Standing) -> tuple[str, int]:
    """(sweep, seeds) of the newest test, where its runs of the default can serve another one; ("", 0) where not."""
    for sweep in dict.fromkeys(v.sweep for v in reversed(at.loop.verdicts)):
        seeds = len(confirm.shared_seeds(at.view, sweep))
        if seeds >= LEAST_SEEDS:  # 0 for a test that itself stood beside another
            return sweep, seeds
    return "", 0


def _cannot_confirm(at: Standing, left: int | None, least: int) -> str:
    """Why no fair test is possible, "" if one is. least: runs that it takes."""
    if not at.setup.seed:
        return "the script has no seed flag, so nothing can be paired on fresh seeds."
    if at.baseline is not None and at.baseline.deterministic:
        return "it is deterministic: repeats are bit-identical, so noise is not measurable and seeds test nothing."
    if left is not None and left < least:
        return f"{counted(left, 'run')} left, and a fair test takes {least}."
    return ""


def _contenders(at: Standing, found: list[Candidate]) -> list[Candidate]:
    """The best, and those that noise may have put behind it. Each more costs the others power."""
    if at.sigma is None:
        return found[:1]
    near = 2.0 * math.sqrt(2.0) * at.sigma
    return [c for c in found if abs(c.value - found[0].value) <= near]


# --- explain, and the end ---------------------------------------------------------------------------------------------
def _after_confirmed(at: Standing, optimiser: Optimiser) -> list[Step]:
    winner = at.confirmed
    assert winner is not None
    importance = optimiser.importance(at.setup.space, tried(at), mode=at.setup.mode, seed=at.loop.seed)
    explain = at.of("explain")
    left = runs_left(at.view)
    if not explain:
        step = undo(at, winner, importance, 8 if left is None else left)
        if step is not None:
            return [note(at, "explain", verdict_said(at, winner), [*step.evidence], "rule:confirm"), step]
    said, evidence = explanation(at, winner, importance)
    text = " ".join(said)
    report = Step(note(at, "report", text, evidence, "rule:explain", said).action, text, evidence, "rule:explain")
    return [report, complete(*ending(at, winner), "rule:complete")]


def _end(at: Standing, said: tuple[str, list[Seen]], who: str) -> list[Step]:
    text, evidence = said
    return [note(at, "report", text, evidence, who), complete(text, evidence, who)]
