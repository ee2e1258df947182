"""`ragent chart METRIC [RUN…]`: curves in the terminal, with the numbers under them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ragent_jupyter.domain.errors import NotFound
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import Run

from .context import Context
from .draw import COLOURS, LETTERS, Curve, plot
from .output import DONE, FAILED, Out, number, short

if TYPE_CHECKING:
    from ragent_jupyter.client import Client

_MOST = 6  # curves, where no run was named: more cannot be told apart


def chart(context: Context) -> int:
    args, out = context.args, context.out
    client = context.client()
    runs = [client.find_run(ref) for ref in args.runs] if args.runs else _newest_with(client, args.metric)
    size = shutil.get_terminal_size((80, 24))
    width = min(size.columns, 120) if out.terminal else 80
    reply = client.series([run.id for run in runs], [args.metric], x=args.x, points=2 * width)
    out.document(reply)
    if out.json:
        return DONE
    by_run = {series.run: series for series in reply.series if series.name == args.metric}
    shown = [(run, by_run[run.id]) for run in runs if run.id in by_run and by_run[run.id].total]
    out.say(f"{args.metric} by {args.x}" + (", log y" if args.log else ""))
    height = max(10, min(20, size.lines - len(runs) - 6))
    curves = [Curve(series.x, series.last, series.nonfinite) for _, series in shown]
    picture = plot(curves, width=width, height=height, log=args.log, braille=out.unicode, colour=out.colour)
    out.say(picture or "no data" + (" above 0" if args.log and shown else ""))
    _legend(out, runs, [series.run for _, series in shown], by_run)
    if not shown:
        return FAILED
    return DONE


def _newest_with(client: Client, metric: str) -> list[Run]:
    page = client.runs(limit=200).runs
    runs = [run for run in page if metric in run.summary][:_MOST]
    if not runs:
        known = sorted({name for run in page for name in run.summary})
        raise NotFound(
            f"No run has logged a metric {metric!r}.",
            f"There are: {', '.join(known[:20])}." if known else "No run has logged any metric yet.",
        )
    return runs


def _legend(out: Out, runs: list[Run], drawn: list[str], by_run: dict[str, Series]) -> None:
    rows = []
    for run in runs:
        series = by_run.get(run.id)
        if run.id not in drawn or series is None:
            rows.append([" ", run.id, short(run.alias or run.name, 40), "no data", "", "", ""])
            continue
        place = drawn.index(run.id)
        mark = out.paint("━━", COLOURS[place % len(COLOURS)]) if out.colour else LETTERS[place % 26]
        finite = [y for y in series.last if y is not None]
        low = min([*(y for y in series.min if y is not None), *finite], default=None)
        high = max([*(y for y in series.max if y is not None), *finite], default=None)
        last = finite[-1] if finite else None
        rows.append([
            mark, run.id, short(run.alias or run.name, 40), number(last), number(low), number(high),
            str(series.nonfinite_count or ""),
        ])  # fmt: skip
    out.table(["", "RUN", "NAME", "LAST", "MIN", "MAX", "NAN/INF"], rows, right=(3, 4, 5, 6))
