"""Tools about curves: a digest of each, exact points where they are asked for, never thousands of numbers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.tools import MAX_TOOL_TEXT, ToolOutcome, ToolSpec
from ragent_jupyter.rules.digest import LINES, Curve, Direction, curve_of, digest, direction_of, step
from ragent_jupyter.rules.lookup import Named, nearest
from ragent_jupyter.rules.tool_text import fit, num, word

from ..runs import RunsDesk
from .base import SimpleTool, Tool, ToolContext
from .refs import HOW_TO_REFER, Ref, find_name, find_runs, ranked_names

_PLACES = 2000  # buckets that a long curve is read as
_CURVES = 24
_RUNS = 20
_NAMES = 60  # names of metrics that are listed


class ReadMetrics(Struct, frozen=True, forbid_unknown_fields=True):
    runs: list[Ref]
    metrics: list[str] = []
    from_step: float | None = None
    to_step: float | None = None
    around: float | None = None
    points: int = 20
    exact: bool = False


class CurveReader:
    """Reads curves off the event loop, as the digest needs them."""

    def __init__(self, runs: RunsDesk, metrics: MetricReader) -> None:
        self.runs = runs
        self.metrics = metrics

    async def names(self, run: Run) -> list[str]:
        folder = str(self.runs.folder(run.id))
        return await asyncio.get_running_loop().run_in_executor(None, self.metrics.names, folder)

    async def curve(self, run: Run, name: str, low: float | None = None, high: float | None = None) -> Curve | None:
        """The curve between two steps, both included; None: this run has no such metric."""
        return await asyncio.get_running_loop().run_in_executor(None, self._curve, run.id, name, low, high)

    async def points(self, run: Run, name: str, around: float, most: int) -> list[tuple[float, float]]:
        """The recorded points nearest to a step, at most `most`, NaN and infinities among them."""
        return await asyncio.get_running_loop().run_in_executor(None, self._points, run.id, name, around, most)

    def _series(self, run_id: str, name: str, low: float | None, high: float | None) -> Series | None:
        return self.metrics.series(
            str(self.runs.folder(run_id)), run_id, name, x="step", points=_PLACES, from_=low, to=high, since=None
        )

    def _curve(self, run_id: str, name: str, low: float | None, high: float | None) -> Curve | None:
        series = self._series(run_id, name, low, high)
        if series is None:
            return None
        curve = curve_of(series)
        if curve.raw or not curve.x:
            return curve
        if low is not None or high is not None:
            curve = msgspec.structs.replace(curve, total=0)  # how many lie between the two steps was not counted
        return msgspec.structs.replace(
            curve,
            first=self._first(run_id, name, low, curve),
            lowest=self._extreme(run_id, name, low, curve, 1.0),
            highest=self._extreme(run_id, name, low, curve, -1.0),
        )

    def _first(self, run_id: str, name: str, low: float | None, curve: Curve) -> tuple[float, float] | None:
        """The first finite point: in the first bucket that has one, looked at closer until its points are seen."""
        at = next((i for i, v in enumerate(curve.last) if v is not None), None)
        if at is None:
            return None
        inner = self._closer(run_id, name, low, curve, at)
        if inner is None:
            return None
        return inner.first if inner.raw else self._first(run_id, name, low if at == 0 else curve.x[at - 1], inner)

    def _extreme(
        self, run_id: str, name: str, low: float | None, curve: Curve, sign: float
    ) -> tuple[float, float] | None:
        """The smallest (sign 1) or largest (sign -1) point, exact, with its step."""
        column = curve.low if sign > 0 else curve.high
        at = min(
            (i for i, v in enumerate(column) if v is not None), key=lambda i: sign * (column[i] or 0.0), default=None
        )
        if at is None:
            return None
        inner = self._closer(run_id, name, low, curve, at)
        if inner is None:
            return None
        if inner.raw:
            return inner.lowest if sign > 0 else inner.highest
        return self._extreme(run_id, name, low if at == 0 else curve.x[at - 1], inner, sign)

    def _closer(self, run_id: str, name: str, low: float | None, curve: Curve, at: int) -> Curve | None:
        """One bucket of a curve, read for itself; None where it cannot be told any finer."""
        start = low if at == 0 else curve.x[at - 1]
        series = self._series(run_id, name, start, curve.x[at])
        if series is None or (not series.raw and len(series.x) <= 2):
            return None
        return curve_of(series)

    def _points(self, run_id: str, name: str, around: float, most: int) -> list[tuple[float, float]]:
        whole = self._series(run_id, name, None, None)
        if whole is None or not whole.x:
            return []
        reach = max(1.0, (whole.x[-1] - whole.x[0]) / max(1, whole.total) * most)
        low, high = around - reach, around + reach
        found: list[tuple[float, float]] = []
        for _ in range(60):
            series = self._series(run_id, name, low, high)
            if series is None:
                break
            if series.raw:
                found = _pairs(series)
                if len(found) >= most or (low <= whole.x[0] and high >= whole.x[-1]):
                    break
            elif found:
                break  # wider is too much: what the last look saw is the nearest there is
            # Wider until there are enough; closer where so many points stand together that they came as buckets.
            scale = 2.0 if series.raw else 0.25
            low, high = around - scale * (around - low), around + scale * (high - around)
        found.sort(key=lambda p: abs(p[0] - around))
        return sorted(found[:most])


def _pairs(series: Series) -> list[tuple[float, float]]:
    odd = dict(zip(series.nonfinite, series.nonfinite_kinds, strict=False))
    return [(x, v if v is not None else float(odd.get(x, "nan"))) for x, v in zip(series.x, series.last, strict=True)]


class MetricTools:
    def __init__(self, runs: RunsDesk, metrics: MetricReader) -> None:
        self.runs = runs
        self.reader = CurveReader(runs, metrics)

    async def read_metrics(self, args: ReadMetrics, ctx: ToolContext) -> ToolOutcome:
        if not args.runs:
            raise BadInput("No run was named.", f"Give runs: {HOW_TO_REFER}")
        runs = find_runs(self.runs, args.runs)
        if len(runs) > _RUNS:
            raise BadInput(f"{len(runs)} runs are too many to read at once.", f"Name at most {_RUNS}.")
        for name, value in (("from_step", args.from_step), ("to_step", args.to_step), ("around", args.around)):
            if value is not None and not math.isfinite(value):
                raise BadInput(f"{name} is {num(value)}.", "Give a finite step.")
        wanted = [(run, name) for run in runs for name in await self._wanted(run, args.metrics, len(runs))]
        if not wanted:
            missing = "; ".join([f"{run.id}: no metric was logged" for run in runs])
            return ToolOutcome(text=f"no data: {missing}.")
        left_out = wanted[_CURVES:]
        wanted = wanted[:_CURVES]
        share = LINES if len(wanted) <= 8 else max(8, 8 * LINES // len(wanted))
        blocks: list[str] = []
        for run, name in wanted:
            if args.around is not None:
                blocks.append(await self._exact(run, name, args.around, args.points))
            else:
                blocks.append(await self._digest(run, name, args, share))
        if left_out:
            blocks.append(f"(left out: {len(left_out)} more curves; ask for fewer runs or metrics at once)")
        blocks += [await self._others(run, args.metrics) for run in runs if not args.metrics]
        return ToolOutcome(
            text=fit("\n".join(b for b in blocks if b), MAX_TOOL_TEXT, "Ask for fewer curves at once."),
            data={"card": "chart", "metric": wanted[0][1], "runs": [run.id for run in runs]},
            untrusted="names of metrics and runs",
        )

    async def _wanted(self, run: Run, metrics: Sequence[str], runs: int) -> list[str]:
        """The metrics to read of one run: those named, else the weightiest. Where one of several runs lacks a metric,
        that is said with the rest; of a single run it is an error."""
        names = await self.reader.names(run)
        if metrics:
            found = []
            for metric in metrics:
                try:
                    found.append(find_name(metric, names, "metric"))
                except NotFound:
                    if runs == 1:
                        raise
                    found.append(metric)
            return list(dict.fromkeys(found))
        known = [n for n in ranked_names(names, run.primary) if n == run.primary or direction_of(n)]
        return (known or ranked_names(names))[: max(1, 6 // runs)]

    async def _digest(self, run: Run, name: str, args: ReadMetrics, lines: int) -> str:
        curve = await self.reader.curve(run, name, args.from_step, args.to_step)
        if curve is None:
            names = await self.reader.names(run)
            like = ", ".join(word(n, 60) for n in nearest(name, [Named(n) for n in names])) if names else "nothing"
            return f"[{run.id}] {word(name)}: no data (it logged {like})"
        way: Direction = direction_of(name, run.primary, run.mode)
        if not curve.x:
            return f"[{run.id}] {word(name)}: no data between these steps"
        told = digest(curve, way, lines=lines - 1, exact=args.exact)
        return "\n".join([f"[{run.id}] {told[0]}", *(f"  {line}" for line in told[1:])])

    async def _exact(self, run: Run, name: str, around: float, most: int) -> str:
        points = await self.reader.points(run, name, around, max(1, min(most, 60)))
        if not points:
            return f"[{run.id}] {word(name)}: no data"
        said = ", ".join(f"{step(x)}: {num(v, exact=True)}" for x, v in points)
        return f"[{run.id}] {word(name)}, exact points nearest to step {step(around)} (step: value): {said}"

    async def _others(self, run: Run, metrics: Sequence[str]) -> str:
        names = ranked_names(await self.reader.names(run), run.primary)
        if not names:
            return f"[{run.id}] no metric was logged"
        shown = ", ".join(word(n, 60) for n in names[:_NAMES])
        return f"[{run.id}] all {len(names)} metrics: {shown}{', …' if len(names) > _NAMES else ''}"


def metric_tools(runs: RunsDesk, metrics: MetricReader) -> list[Tool]:
    """read_metrics."""
    its = MetricTools(runs, metrics)
    return [
        SimpleTool(
            ToolSpec(
                name="read_metrics",
                title="Read metrics",
                description=(
                    "Digest of metric curves: first, last and best with their steps, course by tenths, spikes, NaN and "
                    "Inf steps, plateau, divergence; at most 40 lines a curve. runs: at most 20. "
                    f"{HOW_TO_REFER} metrics: names; default: the weightiest. from_step, to_step: only these steps. "
                    "around: instead of a digest, the exact points nearest to this step (points: how many, at most "
                    "60). exact: all digits. Values have four digits otherwise."
                ),
                args=ReadMetrics,
                effect="read",
                repeat="again",
            ),
            its.read_metrics,
        )
    ]
