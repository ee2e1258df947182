"""A chart as a card: what is drawn is what was recorded, and what was not recorded is said."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.tools import ToolOutcome, ToolSpec
from ragent_jupyter.rules.digest import direction_of
from ragent_jupyter.rules.lookup import Named, nearest
from ragent_jupyter.rules.tool_text import word

from ..runs import RunsDesk
from .base import SimpleTool, Tool, ToolContext
from .metrics import CurveReader
from .refs import HOW_TO_REFER, Ref, at, best_of, find_name, find_runs

_MOST = 50


class PlotChart(Struct, frozen=True, forbid_unknown_fields=True):
    metric: str
    runs: list[Ref]
    x: Literal["step", "time", "relative"] = "step"
    title: str = ""


class PlotTools:
    def __init__(self, runs: RunsDesk, metrics: MetricReader) -> None:
        self.runs = runs
        self.reader = CurveReader(runs, metrics)

    async def plot_chart(self, args: PlotChart, ctx: ToolContext) -> ToolOutcome:
        if not args.runs:
            raise BadInput("No run was named.", f"Give runs: {HOW_TO_REFER}")
        runs = find_runs(self.runs, args.runs)
        if len(runs) > _MOST:
            raise BadInput(f"{len(runs)} runs are too many for one chart.", f"Name at most {_MOST}.")
        logged = {run.id: await self.reader.names(run) for run in runs}
        names = list(dict.fromkeys(n for each in logged.values() for n in each))
        if not names:
            raise NotFound("No data: none of these runs has logged a metric.", "read_log tells what they printed.")
        metric = find_name(args.metric, names, "metric")
        drawn = [run for run in runs if metric in logged[run.id]]
        lines = [f"Chart of {word(metric)} over {args.x}, {len(drawn)} of {len(runs)} runs:"]
        for run in runs:
            if metric not in logged[run.id]:
                like = nearest(metric, [Named(n) for n in logged[run.id]], 3)
                said = f"it logged {', '.join(word(n, 60) for n in like)}" if like else "it logged nothing"
                lines.append(f"{run.id}: no data ({said}); not drawn")
                continue
            summary = run.summary.get(metric)
            best = best_of(summary, direction_of(metric, run.primary, run.mode))
            ends = [f"best {at(*best)}" if best else "", f"last {at(summary.last, summary.step)}" if summary else ""]
            odd = f"{summary.nonfinite} not finite" if summary and summary.nonfinite else ""
            lines.append(f"{run.id}: {'; '.join(x for x in (*ends, odd) if x) or 'drawn'}")
        data = {"card": "chart", "metric": metric, "runs": [r.id for r in drawn], "x": args.x}
        if args.title:
            data["title"] = args.title[:200]
        return ToolOutcome(text="\n".join(lines), data=data, untrusted="names of metrics")


def plot_tools(runs: RunsDesk, metrics: MetricReader) -> list[Tool]:
    """plot_chart."""
    its = PlotTools(runs, metrics)
    return [
        SimpleTool(
            ToolSpec(
                name="plot_chart",
                title="Plot a chart",
                description=(
                    "Show the person a chart of one metric of some runs, drawn from what was recorded. "
                    f"runs: at most 50. {HOW_TO_REFER} x: step, time (clock) or relative (seconds since the start). "
                    "Runs without this metric are named, not drawn."
                ),
                args=PlotChart,
                effect="note",
                repeat="again",
            ),
            its.plot_chart,
        )
    ]
