"""The figures of a wild loop's report: the winner beside the baseline, and the search, value by value. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.report import Curve, FigureSpec
from ragent_jupyter.domain.wild import Loop, TrialView, Verdict, View

from . import wild_words as words
from .noise import better, counts
from .wild_novelty import full_length
from .wild_summary import unproven, winner

_BANDS = 2.0  # sd around the baseline's mean that seeds alone reach 19 times in 20


def shown_verdict(loop: Loop) -> Verdict | None:
    """The candidate that is drawn beside the baseline: the winner, else the one that came nearest to it."""
    won = winner(loop)
    if won is not None:
        return won
    sign = 1.0 if loop.setup.mode == "min" else -1.0
    tested = [v for v in loop.verdicts if v.effect is not None]
    return min(tested, key=lambda v: sign * (v.effect or 0.0)) if tested else None


def confirm_figure(view: View, series: Sequence[Series]) -> FigureSpec | None:
    """The metric over the steps, candidate and baseline on the same fresh seeds; before that, best and baseline.

    None where no run of them logged it.
    """
    loop = view.loop
    metric = loop.setup.metric
    verdict = shown_verdict(loop)
    if verdict is not None and verdict.runs:
        name = f"{verdict.verdict}: {words.configuration(loop, verdict.params, verdict.commit)}"
        mine, base, what = verdict.runs, verdict.baseline_runs, "on the same fresh seeds"
    else:
        best = unproven(loop)
        name = f"unconfirmed: {words.configuration(loop, best.params, best.commit)}" if best else ""
        mine, base = (best.runs if best else []), (loop.baseline.runs if loop.baseline else [])
        what = "as they were found, unconfirmed" if best else "of the baseline"
    by_run = {s.run: s for s in series if s.name == metric and s.x}
    seeds = {t.run: t.seed for t in view.trials}

    def curve(run: str, group: str, *, candidate: bool) -> Curve:
        one = by_run[run]
        seed = f", seed {seeds[run]}" if seeds.get(run) is not None else ""
        return Curve(
            name=f"{group}{seed} ({run})",
            run=run,
            x=one.x,
            y=one.last,
            low=one.min,
            high=one.max,
            best=candidate,
            nonfinite=one.nonfinite,
            group=group,
            style="line" if candidate else "dashed",
        )

    curves = [curve(run, "baseline", candidate=False) for run in base if run in by_run]
    curves += [curve(run, name, candidate=True) for run in mine if run in by_run]
    if not curves:
        return None
    values = [v for c in curves for v in c.y if v is not None]
    log = bool(values) and min(values) > 0 and max(values) / min(values) > 100
    return FigureSpec(title=f"{metric} {what}", x_title="step", y_title=metric, curves=curves, log_y=log)


def history_figure(view: View) -> FigureSpec | None:
    """Each run's value in the order in which they were made, the best so far, and where the noise of seeds lies.

    Only runs of full length: a shorter one's value cannot stand beside them. None where none has a value.
    """
    loop = view.loop
    setup = loop.setup
    shown = [t for t in view.trials if full_length(t.params, setup)]
    points = [(n, t) for n, t in enumerate(shown, 1) if counts(t)]
    if not points:
        return None
    curves = []
    base = loop.baseline
    ends = [1.0, float(len(shown))]
    if base is not None:
        reach = _BANDS * (base.sigma or 0.0)
        curves.append(
            Curve(
                name="baseline ± 2 sd" if reach else "baseline",
                run="baseline",
                x=ends,
                y=[base.mean, base.mean],
                low=[base.mean - reach] * 2 if reach else [],
                high=[base.mean + reach] * 2 if reach else [],
                style="dashed",
            )
        )
    for purpose in dict.fromkeys(t.purpose for _, t in points):
        some = [(n, t) for n, t in points if t.purpose == purpose]
        curves.append(
            Curve(
                name=words.PURPOSES.get(purpose, purpose or "one look"),
                run=f"purpose:{purpose}",
                x=[float(n) for n, _ in some],
                y=[t.value for _, t in some],
                style="dots",
                labels=[_label(loop, t) for _, t in some],
            )
        )
    curves.append(_best_so_far(loop, points, len(shown)))
    failed = [float(n) for n, t in enumerate(shown, 1) if t.failure and t.failure != "stopped"]
    if failed:
        curves.append(Curve(name="failed", run="failed", x=[], y=[], nonfinite=failed))
    metric = setup.metric or "metric"
    return FigureSpec(title=f"The search: {metric} by run", x_title="run", y_title=metric, curves=curves, kind="dots")


def _label(loop: Loop, trial: TrialView) -> str:
    seed = f", seed {trial.seed}" if trial.seed is not None else ""
    return f"{trial.run}: {words.setting(trial.params, loop.setup)}{seed}"


def _best_so_far(loop: Loop, points: Sequence[tuple[int, TrialView]], end: int) -> Curve:
    """Of single runs while searching; what fresh seeds made of it is the dots of the confirm stage."""
    best: float | None = None
    x: list[float] = []
    y: list[float | None] = []
    for n, trial in points:
        if trial.purpose in ("confirm", "explain", "holdout", "reproduce") or trial.value is None:
            continue
        if best is None or better(trial.value, best, loop.setup.mode):
            if best is not None:
                x, y = [*x, float(n)], [*y, best]
            best = trial.value
            x, y = [*x, float(n)], [*y, best]
    if best is not None and x[-1] < end:
        x, y = [*x, float(end)], [*y, best]
    return Curve(name="best single run so far, unconfirmed", run="best", x=x, y=y, best=True)
