"""`ragent.runs() .metrics() .chart() .panel() .report() .wild()`: the project from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wire import CreateReport

from . import words
from .views import ChartView, RunsView, RunView, SweepView

if TYPE_CHECKING:
    import pandas as pd

    from .live_report import LiveReport
    from .live_wild import LiveWild
    from .panels import Panel
    from .wild_views import LoopView, SetupView

X = Literal["step", "time", "relative"]
Where = str | os.PathLike[str] | None
MOST_LINES = 10  # more curves than colours cannot be told apart


def runs(
    *,
    status: str | Sequence[str] | None = None,
    sweep: str | None = None,
    q: str | None = None,
    limit: int = 100,
    project: Where = None,
) -> RunsView:
    """The project's runs, newest first: a sequence of runs with `.df`, a DataFrame of them.

    status: "running", ["failed", "stopped"] …  q: words of their name, command, tags.  project: a folder inside it.
    """
    client = Client(project)
    page = client.runs(status=status, sweep=sweep, q=q, limit=limit)
    return RunsView(client, page.runs, page.total)


def metrics(run: str | RunView | Run, *names: str, x: X = "step", project: Where = None) -> pd.DataFrame:
    """All points of a run as a DataFrame: one row a step (index), one column a metric, NaN where there is none.

    run: a run, or an id, name or alias.  names: only these metrics.  x: what the index is ("time": unix seconds,
    "relative": seconds since the first point). Of a step that was logged twice the later value counts.
    """
    client = Client(project)
    return frame(client, _id(client, run), names, x)


def frame(client: Client, run_id: str, names: Sequence[str] = (), x: X = "step") -> pd.DataFrame:
    """`metrics` of a run that is known by its id. Raises NotFound for a metric that it never logged."""
    import pandas as pd

    known = client.metric_names(run_id)
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise NotFound(
            f"Run {run_id} has no metric {unknown[0]!r}.", f"It has: {', '.join(known[:20]) or 'none so far'}."
        )
    # The machine's own metrics are counted in seconds, not in steps: they come when they are named.
    wanted = list(names) or [name for name in known if not name.startswith("system/")]
    reply = client.series([run_id], wanted, x=x, points=0) if wanted else None
    found = {}
    for series in reply.series if reply is not None else []:
        column = pd.Series(values(series), index=series.x, dtype="float64")
        found[series.name] = column[~column.index.duplicated(keep="last")]
    table = pd.DataFrame({name: found.get(name, pd.Series(dtype="float64")) for name in wanted}).sort_index()
    if x == "step" and len(table) and all(float(step).is_integer() for step in table.index):
        table.index = table.index.astype("int64")
    table.index.name = x
    return table


def values(series: Series) -> list[float]:
    """The series' values with its NaNs and infinities in their places (the wire keeps them apart)."""
    said = dict(zip(series.nonfinite, series.nonfinite_kinds, strict=False))
    return [float(said.get(at, "nan")) if y is None else y for at, y in zip(series.x, series.last, strict=True)]


def chart(
    metric: str | Sequence[str],
    runs: str | RunView | Run | Sequence[str | RunView | Run] | None = None,
    *,
    x: X = "step",
    title: str | None = None,
    project: Where = None,
) -> Any:
    """A plotly figure of one or more metrics.

    runs: which (ids, names, aliases, runs); default: the newest ten that have the metric. Raises NotFound if none has.
    """
    return chart_view(metric, runs, x=x, title=title, project=project).figure


def chart_view(
    metric: str | Sequence[str],
    runs: str | RunView | Run | Sequence[str | RunView | Run] | None = None,
    *,
    x: X = "step",
    title: str | None = None,
    project: Where = None,
) -> ChartView:
    """What `%ragent chart` shows: `chart` with an SVG and numbers for where plotly is not."""
    client = Client(project)
    names = [metric] if isinstance(metric, str) else list(metric)
    if runs is None:
        ids = [run.id for run in newest_with(client, names)]
    elif isinstance(runs, (str, RunView, Run)):
        ids = [_id(client, runs)]
    else:
        ids = [_id(client, run) for run in runs]
    return drawing(client, names, ids, x=x, title=title)


def drawing(
    client: Client, names: Sequence[str], ids: Sequence[str], *, x: X = "step", title: str | None = None
) -> ChartView:
    """A chart of runs that are known by their ids. Raises NotFound where there is nothing to draw."""
    from msgspec.structs import replace

    from ragent_jupyter.adapters import figures

    if not names:
        raise NotFound("No metric was named, and the run has none so far.", "`%ragent show RUN` lists its metrics.")
    drawn, labels = curves(client, names, ids, x)
    spec = figures.of_series(drawn, {}, title or ", ".join(names), x)
    named = [replace(curve, name=label) for curve, label in zip(spec.curves, labels, strict=True)]
    return ChartView(replace(spec, curves=named), drawn)


def curves(client: Client, names: Sequence[str], ids: Sequence[str], x: X) -> tuple[list[Series], list[str]]:
    """The series that have points, and what to call each. Raises NotFound if there is none."""
    reply = client.series(ids, names, x=x, points=2000)
    drawn = [series for series in reply.series if series.total]
    if not drawn:
        raise NotFound(
            f"No data for {', '.join(names)} in {', '.join(ids) or 'any run'}.", "`%ragent show RUN` lists its metrics."
        )
    titles = {run_id: words.title(client.run(run_id)) for run_id in {series.run for series in drawn}}
    several_runs, several_names = len(titles) > 1, len({series.name for series in drawn}) > 1
    labels = [" ".join([titles[s.run]] * (several_runs or not several_names) + [s.name] * several_names) for s in drawn]
    return drawn, labels


def newest_with(client: Client, names: Sequence[str], most: int = MOST_LINES) -> list[Run]:
    """The newest runs that have one of these metrics. Raises NotFound, naming the metrics that there are."""
    page = client.runs(limit=200).runs
    found = [run for run in page if any(name in run.summary for name in names)][:most]
    if not found:
        known = sorted({name for run in page for name in run.summary})
        raise NotFound(
            f"No run has logged {', '.join(names)}.",
            f"There are: {', '.join(known[:20])}." if known else "No run has logged any metric yet.",
        )
    return found


def panel(
    metric: str | None = None,
    runs: Sequence[str | RunView | Run] | None = None,
    *,
    project: Where = None,
) -> Panel:
    """Runs and a live chart below a cell. It follows by itself until `.close()` or the kernel's end.

    metric: what to draw (default: what the newest run is judged by).  runs: only these.
    """
    from .panels import Panel

    client = Client(project)
    return Panel(client, metric, [_id(client, run) for run in runs] if runs is not None else None)


def report(
    subject: str | RunView | SweepView | Sequence[str | RunView],
    *,
    title: str | None = None,
    project: Where = None,
) -> LiveReport:
    """A report about a sweep, a run or several runs, computed from what is recorded now; `.save()` writes a notebook.

    subject: a sweep's id or name, or runs.
    """
    from .live_report import fetch

    client = Client(project)
    if isinstance(subject, str):
        body = _subject(client, subject)
    elif isinstance(subject, SweepView):
        body = {"sweep": subject.id}
    elif isinstance(subject, RunView):
        body = {"runs": [subject.id]}
    else:
        body = {"runs": [_id(client, run) for run in subject]}
    if body.get("runs") == []:
        raise BadInput("No run was named.", "Give a sweep, a run, or a list of runs.")
    return fetch(client, CreateReport(**body, title=title))


@overload
def wild(loop: str | None = None, *, project: Where = None) -> LiveWild: ...
@overload
def wild(*, goal: str, command: str, draft: Literal[True], project: Where = None, **options: Any) -> SetupView: ...
@overload
def wild(
    *, goal: str, command: str, draft: Literal[False] = False, project: Where = None, **options: Any
) -> LoopView: ...
def wild(
    loop: str | None = None,
    *,
    goal: str | None = None,
    command: str = "",
    draft: bool = False,
    project: Where = None,
    **options: Any,
) -> LiveWild | LoopView | SetupView:
    """A wild loop as it is recorded now: `.summary()`, `.claim(id)`, `.candidates()`, `.history()` and the rest. With a
    goal: begin one, and return at once; the loop that comes back has `.watch()`, `.steer(text)`, `.stop()` and others.

    loop: its id or the beginning of one; default: the newest.
    goal, command: what to reach, and the training command; draft: only show what would be run and searched.
    options: those of `ragent wild --help`, such as max_runs=40, metric="val_loss", minimize=True,
    set_range=["lr=1e-4..1e-1:log"]; in lists where they may be repeated.
    Raises NotFound, BadInput, CannotBeDone where something must be said first.
    """
    if goal is None:
        from .live_wild import fetch, find

        if command or draft or options:
            raise BadInput(
                "No goal was given.", 'Say it: ragent.wild(goal="lower val_loss", command="python train.py")'
            )
        client = Client(project)
        return fetch(client, find(client, loop))
    from .wild_verbs import begun

    return begun(goal, command, draft=draft, project=project, options=options)


def _subject(client: Client, ref: str) -> dict[str, Any]:
    if ref.startswith("run_"):
        return {"runs": [client.find_run(ref).id]}
    try:
        return {"sweep": client.find_sweep(ref).id}
    except NotFound:
        return {"runs": [client.find_run(ref).id]}


def _id(client: Client, run: str | RunView | Run) -> str:
    return client.find_run(run).id if isinstance(run, str) else str(run.id)
