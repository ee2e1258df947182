"""`ragent.panel()`: the project's runs and a live chart below a cell.

A thread listens for the engine's doorbells and asks for what changed, at most ten times a second and never while
nothing changes. A thread, because an asyncio task would starve while a cell runs. Nothing here stops or starts a
run: a widget's button is served only when the kernel is idle, so a stop goes through the sidebar or `%ragent stop`.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Sequence

import ipywidgets

from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import Run

from . import words as w
from .live_chart import ABSENT, LiveChart
from .views import RunsView, StatusView

TOPICS = ("runs", "alerts", "sweeps", "metrics", "engine")
EVERY_S = 0.1  # between two looks while things happen
WHOLE_EVERY_S = 0.5  # between two complete redraws: lines of several runs cannot be appended to
POINTS = 600
SHOWN_RUNS = 12
MOST_LINES = 8


class Panel(ipywidgets.VBox):  # type: ignore[misc]
    """The widget. `.close()` ends its following; so does the kernel's end."""

    def __init__(self, client: Client, metric: str | None = None, runs: Sequence[str] | None = None) -> None:
        self._client = client
        self._only = list(runs) if runs is not None else None
        self._head = ipywidgets.HTML()
        self._list = ipywidgets.HTML()
        self._pick = ipywidgets.Dropdown(options=[metric] if metric else [], value=metric, description="Metric")
        self._note = ipywidgets.HTML()
        self.chart = LiveChart()
        self._lines = Lines()
        self._whole_at = -WHOLE_EVERY_S
        self._stop = threading.Event()
        self._bell = threading.Event()
        super().__init__([self._head, self._pick, self.chart, self._note, self._list])
        self._pick.observe(lambda _: self._bell.set(), names="value")
        self.refresh()  # so that the first picture is there with the cell, even with no thread
        # The threads hold the panel weakly: one that nobody can see any more is let go of.
        me = weakref.ref(self)
        for work in (_listen, _follow):
            threading.Thread(
                target=work, args=(me, client, self._stop, self._bell), name="ragent-panel", daemon=True
            ).start()

    def close(self) -> None:
        self._stop.set()
        self._bell.set()
        super().close()

    # --- one look -----------------------------------------------------------------------------------------------
    def refresh(self) -> None:
        """Ask the engine once and show what it says. Safe from any thread."""
        try:
            status = StatusView(self._client.status())
            page = self._client.runs(limit=SHOWN_RUNS if self._only is None else 200)
            shown = [run for run in page.runs if self._only is None or run.id in self._only]
            self._head.value = w.frame_html(status.html())
            self._list.value = w.frame_html(RunsView(self._client, shown[:SHOWN_RUNS], page.total).html())
            self._choices(shown)
            self._draw(shown)
            self._note.value = ""
        except RagentError as error:
            # A stale view says how old it is; the runs themselves do not need the engine.
            self._note.value = w.frame_html(
                f"<div>{w.esc(error.problem)} {w.esc(error.remedy)}</div>"
                f"<div>{w.quiet_html(f'What is shown is older than {w.clock(time.time())}.')}</div>"
            )

    def _choices(self, shown: Sequence[Run]) -> None:
        names = sorted({name for run in shown for name in run.summary})
        value = self._pick.value
        if value is None and shown:
            found = next((found for run in shown if (found := w.primary(run)) is not None), None)
            value = found[0] if found else None
        options = tuple(names if value is None or value in names else [value, *names])
        if options != self._pick.options:
            self._pick.options = options  # this selects the first of them
        if value != self._pick.value:
            self._pick.value = value

    def _draw(self, shown: Sequence[Run]) -> None:
        metric = self._pick.value
        runs = [run for run in shown if metric in run.summary][:MOST_LINES] if metric else []
        self.chart.title = str(metric or "")
        self._lines.choose(metric, [(run.id, w.title(run)) for run in runs])
        if not runs:
            if self.chart.points:
                self.chart.show([], [])
            return
        reply = self._client.series(
            [run.id for run in runs], [str(metric)], points=POINTS, since=self._lines.cursors() or None
        )
        added = self._lines.take(reply.series)
        if added is None:
            # Rows of several runs interleave; the whole picture goes out then, but less often.
            if time.monotonic() - self._whole_at < WHOLE_EVERY_S:
                self._bell.set()
                self._lines.owed = True
                return
            self._whole_at = time.monotonic()
            self._lines.owed = False
            self.chart.show(self._lines.names, *self._lines.aligned())
        elif added[0]:
            self.chart.extend(*added)


class Lines:
    """The curves that a panel draws, kept between two looks so that only what is new is asked for."""

    def __init__(self) -> None:
        self.metric: str | None = None
        self.names: list[str] = []
        self.owed = True  # the whole picture has to be sent
        self._ids: list[str] = []
        self._points: list[dict[float, float]] = []
        self._cursors: list[str] = []

    def choose(self, metric: str | None, runs: Sequence[tuple[str, str]]) -> None:
        ids = [run_id for run_id, _ in runs]
        names = [name for _, name in runs]
        # Two runs of one name would be one line in the legend.
        names = [name if names.count(name) == 1 else f"{name} {ids[i][-4:]}" for i, name in enumerate(names)]
        if (metric, ids) == (self.metric, self._ids):
            self.owed = self.owed or names != self.names
            self.names = names
            return
        self.metric, self._ids, self.names = metric, ids, names
        self._points = [{} for _ in ids]
        self._cursors = []
        self.owed = True

    def cursors(self) -> list[str]:
        """What to send as `since`; empty: everything is wanted."""
        if any(len(points) > 3 * POINTS for points in self._points):
            self._cursors = []  # deltas have piled up: time for a fresh cut
        return self._cursors

    def take(self, series: Sequence[Series]) -> tuple[list[float], ...] | None:
        """Fold an answer in. The new rows if they can be appended to one line, ([],) if nothing is new, None if the
        whole picture has to be drawn."""
        whole = self.owed or not self._cursors
        by_run = {one.run: one for one in series}
        fresh: list[tuple[float, float]] = []
        for i, run_id in enumerate(self._ids):
            one = by_run.get(run_id)
            if one is None:
                continue
            points = self._points[i]
            if one.reset:
                whole = whole or bool(one.x)
                points.clear()
            said = dict(zip(one.nonfinite, one.nonfinite_kinds, strict=False))
            new = {x: y for x, y in zip(one.x, one.last, strict=True) if y is not None}
            new |= {x: float(said.get(x, "nan")) for x in one.nonfinite}
            end = max(points, default=float("-inf"))
            for x in sorted(new):
                if x > end:
                    fresh.append((x, new[x]))
                elif points.get(x) != new[x]:
                    whole = True
                points[x] = new[x]
        self._cursors = [by_run[run_id].cursor if run_id in by_run else "" for run_id in self._ids]
        if not all(self._cursors):
            self._cursors = []
        if fresh and len(self._ids) > 1:
            whole = True
        if whole:
            return None
        return ([x for x, _ in fresh], [y for _, y in fresh]) if fresh else ([],)

    def aligned(self) -> tuple[list[float], ...]:
        """x of all lines, then each line's values, ABSENT where it has none."""
        x = sorted({at for points in self._points for at in points})
        return x, *([points.get(at, ABSENT) for at in x] for points in self._points)


def _listen(me: weakref.ref[Panel], client: Client, stop: threading.Event, bell: threading.Event) -> None:
    """Ring the bell for every event of the engine; it pings, so a closed panel is noticed within seconds."""
    while not stop.is_set() and me() is not None:
        try:
            for event in client.events(topics=TOPICS):
                if stop.is_set() or me() is None:
                    return
                if event.type not in ("ping", "hello"):
                    bell.set()
        except RagentError:
            bell.set()  # the panel says what is wrong
            stop.wait(2.0)


def _follow(me: weakref.ref[Panel], client: Client, stop: threading.Event, bell: threading.Event) -> None:
    while not stop.is_set():
        bell.wait(30.0)
        if stop.is_set():
            return
        if not bell.is_set():
            if me() is None:
                return
            continue
        bell.clear()
        panel = me()
        if panel is None:
            return
        panel.refresh()
        del panel  # not held while we wait
        stop.wait(EVERY_S)
