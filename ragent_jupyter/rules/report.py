"""What a report says: computed from recorded data, sentence by sentence. Change a number there, and it changes here.

A best that was not re-run on fresh seeds is called *unconfirmed*; what is missing is called missing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.report import Curve, Effect, FigureSpec, Report, ReportData, Sentence, Table
from ragent_jupyter.domain.run import Run, RunStatus

from .effects import effects_of

_SEED_NAMES = frozenset({"seed", "random_seed", "rng_seed", "random_state"})


def number(value: float | str | None, digits: int = 4) -> str:
    """A value as people read it.

    >>> [number(v) for v in (0.14213, 1234567.0, 3, None, "nan", 0.00001234)]
    ['0.1421', '1.235e+06', '3', 'no data', 'NaN', '1.234e-05']
    """
    if value is None:
        return "no data"
    if isinstance(value, str):
        return {"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}.get(value, value)
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.{digits}g}"


def best_of(series: Series | None, mode: Literal["min", "max"]) -> float | None:
    """The best finite value of a series; None is "no data". Exact however the series was cut: a bucket keeps both.

    The curve, the table and the sentence all come from this one stored series.
    """
    if series is None:
        return None
    low, high = (series.last, series.last) if series.raw else (series.min, series.max)
    values = [v for v in (low if mode == "min" else high) if v is not None]
    if not values:
        return None
    return min(values) if mode == "min" else max(values)


def last_of(series: Series | None) -> float | None:
    """The last finite value of a series."""
    return next((v for v in reversed(series.last) if v is not None), None) if series else None


def compose(data: ReportData) -> Report:
    """The report of the data. Pure: the same data gives the same report, to the letter."""
    latest = _latest(data.runs)
    judged = {s.run: s for s in data.series if s.name == data.primary}
    # Only a finished run competes: one that was stopped or failed may have looked good on its way.
    scored = [
        (run, value)
        for run in latest
        if run.status is RunStatus.FINISHED and (value := best_of(judged.get(run.id), data.mode)) is not None
    ]
    sign = 1.0 if data.mode == "min" else -1.0
    scored.sort(key=lambda pair: (sign * pair[1], pair[0].created_at, pair[0].id))
    best = scored[0] if scored else None
    diverged = [run for run in latest if run.reason is not None and run.reason.kind == "nan"]
    worst = math.inf if data.mode == "min" else -math.inf
    effects = effects_of(
        [*((run.params, value) for run, value in scored), *((run.params, worst) for run in diverged)], data.mode
    )
    sentences = [
        *_results(data, latest, scored),
        *_parameters(effects, len(diverged)),
        *_failures(latest),
        *_alerts(data.alerts, latest),
        *_cautions(data, scored),
    ]
    return Report(
        title=data.title or (f"Report of {data.sweep.name}" if data.sweep else f"Report of {len(latest)} runs"),
        sentences=sentences,
        trials=_trials(data, latest, judged, best[0].id if best else None),
        figures=_figures(data, latest, best[0].id if best else None),
        effects=effects,
        alerts=_alert_table(data.alerts, latest),
        failures=_failure_table(latest),
        environment=Table("Environment", ["what", "value"], [[k, v] for k, v in data.environment.items()], ["l", "l"]),
        best_run=best[0].id if best else None,
    )


def _latest(runs: Sequence[Run]) -> list[Run]:
    """One run a trial: a retried trial is judged by its newest run. Other runs stand for themselves."""
    newest: dict[Any, Run] = {}
    for run in sorted(runs, key=lambda r: (r.created_at, r.id)):
        newest[run.trial if run.sweep_id and run.trial is not None else run.id] = run
    return list(newest.values())


def _shown(run: Run) -> str:
    return run.alias or run.name


def _results(data: ReportData, runs: list[Run], scored: list[tuple[Run, float]]) -> list[Sentence]:
    counts = {s: sum(r.status is s for r in runs) for s in RunStatus}
    ended = ", ".join(
        f"{counts[s]} {s.value}" for s in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.STOPPED) if counts[s]
    )
    living = sum(not r.status.terminal for r in runs)
    rest = f", {living} not over yet" if living else ""
    what = "trial" if data.sweep else "run"
    head = f"{len(runs)} {what}{'' if len(runs) == 1 else 's'}: {ended or 'none over'}{rest}."
    found = [Sentence("result", head, [r.id for r in runs])]
    if not scored:
        text = f"No finished run logged a finite {data.primary}: there is no best."
        return [*found, Sentence("nothing", text)]
    run, value = scored[0]
    settings = ", ".join(f"{k} {number(v) if isinstance(v, float) else v}" for k, v in run.params.items())
    twins = _twins(run, scored)
    if len(twins) > 1:
        values = [v for _, v in twins]
        middle, around = number(statistics.fmean(values)), number(statistics.stdev(values), 2)
        spread = f"{middle} ± {around} (mean ± sd, n = {len(values)})"
        text = (
            f"Best {data.primary}: {number(value)} in {_shown(run)}{f' ({settings})' if settings else ''}; "
            f"over the seeds of this setting {spread}. Unconfirmed: these seeds also chose it."
        )
    else:
        text = (
            f"Best {data.primary}: {number(value)} in {_shown(run)}{f' ({settings})' if settings else ''}, n = 1. "
            f"Unconfirmed: it was not re-run on fresh seeds."
        )
    found.append(Sentence("result", text, [r.id for r, _ in twins]))
    if len(scored) > 1:
        values = [v for _, v in scored]
        sd = statistics.stdev(values)
        text = (
            f"Over all {len(values)} finished {what}s {data.primary} is {number(statistics.fmean(values))} ± "
            f"{number(sd, 2)} (mean ± sd), median {number(statistics.median(values))}, "
            f"from {number(min(values))} to {number(max(values))}."
        )
        found.append(Sentence("spread", text, [r.id for r, _ in scored]))
    return found


def _twins(best: Run, scored: list[tuple[Run, float]]) -> list[tuple[Run, float]]:
    """Runs of the best one's setting: the same parameters but for the seed."""

    def setting(run: Run) -> dict[str, Any]:
        return {k: v for k, v in run.params.items() if k not in _SEED_NAMES}

    if not best.params or not (_SEED_NAMES & best.params.keys()):
        return [(run, value) for run, value in scored if run.id == best.id]
    return [(run, value) for run, value in scored if setting(run) == setting(best)]


def _parameters(effects: list[Effect], diverged: int) -> list[Sentence]:
    found = []
    note = f"; {diverged} diverged, ranked last" if diverged else ""
    clear = [e for e in effects if e.p <= 0.05]
    for effect in clear:
        best = "" if effect.best_value is None else f"; its best value was {number(effect.best_value)}"
        text = (
            f"{effect.parameter} mattered: it explains {effect.share:.0%} of the variation in rank "
            f"(n = {effect.n}{note}; permutation p = {number(effect.p, 2)}){best}."
        )
        found.append(Sentence("parameter", text))
    if effects and not clear:
        top = effects[0]
        text = (
            f"No parameter clearly mattered (n = {top.n}{note}): {top.parameter} explains most, {top.share:.0%} of the "
            f"variation in rank, and chance does as much too often (p = {number(top.p, 2)})."
        )
        found.append(Sentence("parameter", text))
    return found


def _failures(runs: list[Run]) -> list[Sentence]:
    found = []
    for run in runs:
        if run.status not in (RunStatus.FAILED, RunStatus.STOPPED):
            continue
        setting = ", ".join(f"{k} {number(v) if isinstance(v, float) else v}" for k, v in run.params.items())
        who = f"{_shown(run)}{f' ({setting})' if setting else ''}"
        reason = run.reason.text if run.reason else "No reason was recorded."
        if run.status is RunStatus.STOPPED:
            text = f"{who}: {reason}"
        else:
            quoted = f' Its log says: "{run.reason.log_line}"' if run.reason and run.reason.log_line else ""
            text = f"{who} failed: {reason}{quoted}"
        found.append(Sentence("failure", text, [run.id]))
    return found


def _alerts(alerts: list[Alert], runs: list[Run]) -> list[Sentence]:
    names = {r.id: _shown(r) for r in runs}
    loud = [a for a in alerts if a.severity.rank > 0 and a.run_id in names]
    if not loud:
        return [Sentence("alert", "No warning and no critical alert was raised.")]
    found = []
    for alert in sorted(loud, key=lambda a: (-a.severity.rank, a.raised_at)):
        answer = {
            "resolved": f"answered with {alert.choice} by {alert.answered_by}",
            "dismissed": f"dismissed by {alert.answered_by}",
            "expired": "nobody answered before the run's end",
            "pending": "still waiting for an answer",
        }[alert.status.value]
        text = f"{alert.severity.value.capitalize()} in {names[alert.run_id]}: {alert.title}; {answer}."
        found.append(Sentence("alert", text, [alert.run_id]))
    return found


def _cautions(data: ReportData, scored: list[tuple[Run, float]]) -> list[Sentence]:
    found = []
    if len(scored) > 1 and not any(_SEED_NAMES & r.params.keys() for r, _ in scored):
        text = (
            "Each setting ran once, so the noise between seeds is not known: differences between neighbours in the "
            "table may be chance. Everything here is unconfirmed."
        )
        found.append(Sentence("caution", text))
    dirty = [r.id for r in data.runs if r.git and r.git.dirty]
    if dirty:
        text = f"{len(dirty)} runs ran with uncommitted changes; their diff is kept in the run's folder (git.diff)."
        found.append(Sentence("caution", text, dirty))
    return found


def _trials(data: ReportData, runs: list[Run], judged: Mapping[str, Series], best: str | None) -> Table:
    names = list(dict.fromkeys(k for r in runs for k in r.params))
    sign = 1.0 if data.mode == "min" else -1.0

    def rank(run: Run) -> tuple[bool, float, float]:
        value = best_of(judged.get(run.id), data.mode) if run.status is RunStatus.FINISHED else None
        return value is None, sign * (value or 0.0), run.created_at

    rows = []
    for run in sorted(runs, key=rank):
        series = judged.get(run.id)
        took = run.ended_at - run.started_at if run.ended_at and run.started_at else None
        mark = "best, unconfirmed" if run.id == best else ""
        rows.append(
            [
                _shown(run),
                *[run.params.get(k) for k in names],
                best_of(series, data.mode),
                last_of(series),
                run.status.value,
                round(took, 1) if took is not None else None,
                run.id,
                mark,
            ]
        )
    columns = ["run", *names, f"best {data.primary}", f"last {data.primary}", "status", "seconds", "id", ""]
    right: list[Literal["l", "r"]] = ["r"] * len(names)
    align: list[Literal["l", "r"]] = ["l", *right, "r", "r", "l", "r", "l", "l"]
    return Table("Trials", columns, rows, align)


def _figures(data: ReportData, runs: list[Run], best: str | None) -> list[FigureSpec]:
    names = {r.id: _labelled(r) for r in runs}
    places = {r.id: i for i, r in enumerate(runs)}
    metrics = list(dict.fromkeys([data.primary, *[s.name for s in data.series]]))
    figures = []
    for metric in metrics:
        shown = sorted((s for s in data.series if s.name == metric and s.run in names), key=lambda s: places[s.run])
        curves = [_curve(s, names[s.run], best, data.alerts) for s in shown]
        values = [v for c in curves for v in c.y if v is not None]
        log = bool(values) and min(values) > 0 and max(values) / min(values) > 100
        figures.append(FigureSpec(title=metric, x_title="step", y_title=metric, curves=curves, log_y=log))
    return figures


def _labelled(run: Run) -> str:
    """A run with its setting, as a legend names it."""
    setting = ", ".join(f"{k} {number(v) if isinstance(v, float) else v}" for k, v in run.params.items())
    return f"{_shown(run)} · {setting}" if setting and len(setting) <= 40 else _shown(run)


def _curve(series: Series, name: str, best: str | None, alerts: list[Alert]) -> Curve:
    flags = [
        float(a.evidence.step)
        for a in alerts
        if a.run_id == series.run and a.evidence.metric == series.name and a.evidence.step is not None
    ]
    return Curve(
        name=name,
        run=series.run,
        x=series.x,
        y=series.last,
        low=series.min,
        high=series.max,
        best=series.run == best,
        nonfinite=series.nonfinite,
        flags=flags,
    )


def _alert_table(alerts: list[Alert], runs: list[Run]) -> Table:
    names = {r.id: _shown(r) for r in runs}
    rows = [
        [
            a.severity.value,
            names.get(a.run_id, a.run_id),
            a.rule,
            a.evidence.metric,
            a.evidence.step,
            number(a.evidence.value),
            a.evidence.baseline,
            a.status.value,
            a.choice or "",
            a.answered_by or "",
        ]
        for a in sorted(alerts, key=lambda a: (-a.severity.rank, a.raised_at))
    ]
    columns = ["severity", "run", "rule", "metric", "step", "value", "baseline", "status", "answer", "by"]
    return Table("Alerts", columns, rows, ["l", "l", "l", "l", "r", "r", "r", "l", "l", "l"])


def _failure_table(runs: list[Run]) -> Table:
    rows = [
        [
            _shown(r),
            r.status.value,
            r.exit_code,
            r.reason.text if r.reason else "",
            (r.reason.log_line or "") if r.reason else "",
        ]
        for r in runs
        if r.status in (RunStatus.FAILED, RunStatus.STOPPED)
    ]
    columns = ["run", "status", "exit code", "reason", "log line"]
    return Table("What failed and why", columns, rows, ["l", "l", "r", "l", "l"])
