"""Setting runs side by side: which settings differ, who is better, and how far that can be believed."""

from __future__ import annotations

import statistics
from typing import Literal

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.rules.config_diff import (
    differing,
    is_seed,
    said,
    settings_of,
)
from ragent_jupyter.rules.digest import Direction, direction_of
from ragent_jupyter.rules.tool_text import fit, num, one_line, setting, table, word

from ..runs import RunsDesk
from .base import SimpleTool, Tool, ToolContext
from .configs import CodeDiff, config_tool
from .refs import HOW_TO_REFER, Ref, at, best_of, find_runs, key_metric, ranked_names, status_of

_METRICS = 8
_MOST = 20


class CompareRuns(Struct, frozen=True, forbid_unknown_fields=True):
    runs: list[Ref]
    metric: str = ""
    mode: Literal["min", "max"] | None = None


class CompareTools:
    def __init__(self, runs: RunsDesk) -> None:
        self.runs = runs

    async def compare_runs(self, args: CompareRuns, ctx: ToolContext) -> ToolOutcome:
        runs = find_runs(self.runs, args.runs)
        if not 2 <= len(runs) <= _MOST:
            raise BadInput(f"{len(runs)} different runs were named.", f"Name 2 to {_MOST}.")
        metric, way = key_metric(runs, args.metric or None)
        way = args.mode or way
        differ = differing(runs)
        lines = [f"{len(runs)} runs; differences are to the first one, {runs[0].id}."]
        lines += table(["run", "name", "status"], [[r.id, word(r.alias or r.name, 60), status_of(r)] for r in runs])
        lines.append(f"settings that differ: {len(differ)}" if differ else "settings that differ: none")
        if differ:
            ids = [r.id for r in runs]
            rows = [[word(name, 60), *(_set(v) for v in values)] for name, values in list(differ.items())[:30]]
            lines += table(["setting", *ids], rows)
            lines += [f"(and {len(differ) - 30} more settings)"] if len(differ) > 30 else []
        if not metric:
            lines.append("metrics: no data in any of them")
        else:
            lines += self._metrics(runs, metric, way)
            lines += verdict(runs, metric, way)
        lines += [f"reason of {r.id}: {one_line(r.reason.text, 300)}" for r in runs if r.reason is not None]
        rows_ = [[r.id, r.alias or r.name, r.status.value, _value(r, metric, way)] for r in runs]
        columns = ["run", "name", "status", f"best {metric}" if way else f"last {metric}"]
        return ToolOutcome(
            text=fit("\n".join(lines), MAX_TOOL_TEXT, "Name fewer runs."),
            data={"card": "table", "columns": columns, "rows": rows_},
            untrusted="names and settings of runs",
        )

    def _metrics(self, runs: list[Run], metric: str, way: Direction) -> list[str]:
        counts: dict[str, int] = {}
        for run in runs:
            for name in run.summary:
                counts[name] = counts.get(name, 0) + 1
        shared = [n for n in ranked_names(counts, metric) if n == metric or (counts[n] > 1 and direction_of(n))]
        rows = []
        for name in shared[:_METRICS]:
            towards = way if name == metric else direction_of(name)
            base = best_of(runs[0].summary.get(name), towards)
            for run in runs:
                summary = run.summary.get(name)
                best = best_of(summary, towards)
                odd = f", {summary.nonfinite} nan/inf" if summary and summary.nonfinite else ""
                last = at(summary.last, summary.step) + odd if summary else "no data"
                rows.append([word(name, 60), run.id, at(*best) if best else "no data", _delta(base, best), last])
        left_out = len(shared) - _METRICS
        more = [f"(and {left_out} more metrics: read_metrics)"] if left_out > 0 else []
        return [*table(["metric", "run", "best @ step", "best to the first", "last @ step"], rows), *more]


def verdict(runs: list[Run], metric: str, way: Direction) -> list[str]:
    """Who is better by the metric, and how far that can be believed. Only finished runs compete, if any has."""
    name = word(metric, 100)
    if not way:
        return [f"better: not known, because {name} does not say which way is better; give mode"]
    sign = -1.0 if way == "max" else 1.0
    scored = [(r, best) for r in runs if (best := best_of(r.summary.get(metric), way)) is not None]
    done = [(r, best) for r, best in scored if r.status is RunStatus.FINISHED]
    ranked = sorted(done or scored, key=lambda pair: sign * pair[1][0])
    if not ranked:
        return [f"better: not known, no run has a finite {name}"]
    first, (value, step) = ranked[0]
    said_ = f"better by {name} ({way}): {first.id} with {at(value, step)}"
    if len(ranked) > 1:
        second, (other, _) = ranked[1]
        said_ += f"; next {second.id} with {num(other)} ({_relative(value, other)})"
    lines = [said_]
    if not done:
        lines.append("none of them has finished: this is how they stand so far")
    elif len(done) < len(runs):
        out = ", ".join(r.id for r in runs if r.id not in {d.id for d, _ in done})
        lines.append(f"not ranked, as they did not finish or have no data: {out}")
    return [*lines, *_believe(first, ranked, metric)]


def _believe(first: Run, ranked: list[tuple[Run, tuple[float, int | None]]], metric: str) -> list[str]:
    """Unconfirmed, always: nothing here was re-run on fresh seeds after it was chosen. With the spread, if known."""
    twins = [(r, v) for r, (v, _) in ranked if _setting(r) == _setting(first)]
    seeds = {said(v) for r, _ in ranked for k, v in settings_of(r).items() if is_seed(k)}
    if len(twins) > 1:
        values = [v for _, v in twins]
        spread = f"mean {num(statistics.fmean(values))}, sd {num(statistics.stdev(values))}, n = {len(values)}"
        return [f"unconfirmed: this setting's runs give {spread}; the same runs also chose it"]
    if len(seeds) > 1:
        return ["unconfirmed: n = 1 for each setting and the seeds differ, so part of the difference may be the seed"]
    return ["unconfirmed: n = 1 for each setting, one seed; noise between seeds is not known"]


def _setting(run: Run) -> dict[str, str]:
    return {k: said(v) for k, v in settings_of(run).items() if not is_seed(k)}


def _value(run: Run, metric: str, way: Direction) -> float | str | None:
    summary = run.summary.get(metric)
    best = best_of(summary, way)
    return best[0] if best else summary.last if summary and not way else None


def _set(value: object) -> str:
    return "not set" if value is None else setting(value)


def _delta(base: tuple[float, int | None] | None, best: tuple[float, int | None] | None) -> str:
    if base is None or best is None:
        return "-"
    return "0" if best[0] == base[0] else f"{best[0] - base[0]:+.4g} ({_relative(best[0], base[0])})"


def _relative(value: float, base: float) -> str:
    if base == 0.0:
        return f"{value - base:+.4g}"
    return f"{100.0 * (value - base) / abs(base):+.3g} %"


def compare_tools(runs: RunsDesk, code_diff: CodeDiff | None = None) -> list[Tool]:
    """compare_runs, diff_config. code_diff: what lies between two commits, where git can be asked."""
    its = CompareTools(runs)
    return [
        SimpleTool(
            ToolSpec(
                name="compare_runs",
                title="Compare runs",
                description=(
                    "Set 2 to 20 runs side by side: settings that differ, best and last of each metric with the "
                    "difference to the first run, which one is better, and how far that can be believed. "
                    f"runs: {HOW_TO_REFER} metric, mode: what to judge by and which way is better; default: what the "
                    "runs declare."
                ),
                args=CompareRuns,
                effect="read",
                repeat="again",
            ),
            its.compare_runs,
        ),
        config_tool(runs, code_diff),
    ]
