"""Gathering what was recorded of a run, for a diagnosis: log lines, curves, pace, alerts, the last good run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.ports import MetricReader
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.rules.config_diff import Setup, compare, last_good
from ragent_jupyter.rules.diagnose.words import Case, LogLine, Pace
from ragent_jupyter.rules.digest import Curve
from ragent_jupyter.rules.redact import redact
from ragent_jupyter.rules.stats import median

from .logs import clean

_HEAD = 64 << 10
_TAIL = 768 << 10
_COUNTED = 256 << 20  # of a longer log the lines are not counted
_LONGEST = 2000  # characters of a line
_METRICS = 60
_PACE_POINTS = 2000
_DIFF = 1 << 20


class Folders(Protocol):
    def folder(self, run_id: str) -> Path: ...


class Curves(Protocol):
    """services.tools.metrics.CurveReader."""

    async def names(self, run: Run) -> list[str]: ...
    async def curve(self, run: Run, name: str, low: float | None = None, high: float | None = None) -> Curve | None: ...


class Evidence:
    """Reads run folders off the event loop; changes nothing."""

    def __init__(self, folders: Folders, metrics: MetricReader, curves: Curves) -> None:
        self.folders = folders
        self.metrics = metrics
        self.reader = curves

    async def case(self, run: Run, runs: Iterable[Run], alerts: Iterable[Alert], now: float) -> Case:
        """All that is known of a run. runs, alerts: of the whole project.  now: unix seconds."""
        loop = asyncio.get_running_loop()
        alerts = list(alerts)
        folder = self.folders.folder(run.id)
        names = _weighty(run, await self.reader.names(run))
        found = [await self.reader.curve(run, name) for name in names]
        log, pace = await loop.run_in_executor(None, self._read, folder, run, names, now)
        good = last_good(run, runs, alerts)
        changed = []
        if good is not None:
            setups = await loop.run_in_executor(None, self._setups, good, run)
            changed = compare(*setups)
        return Case(
            run=run,
            log=log,
            curves=[curve for curve in found if curve is not None and curve.x],
            alerts=sorted((a for a in alerts if a.run_id == run.id), key=lambda a: (a.raised_at, a.id)),
            pace=pace,
            good=good,
            changed=changed,
        )

    def _read(self, folder: Path, run: Run, names: Sequence[str], now: float) -> tuple[list[LogLine], Pace | None]:
        path = folder / "job.log"
        return log_lines(path), self._pace(folder, run, names, path, now)

    def _setups(self, good: Run, run: Run) -> tuple[Setup, Setup]:
        return (
            Setup(run=good, diff=_text(self.folders.folder(good.id) / "git.diff")),
            Setup(run=run, diff=_text(self.folders.folder(run.id) / "git.diff")),
        )

    def _pace(self, folder: Path, run: Run, names: Sequence[str], log: Path, now: float) -> Pace | None:
        """How rows came, by the metric with the most of them, and how long the run has been silent."""
        best: tuple[int, str] | None = None
        for name in names:
            seen = run.summary.get(name)
            if seen is not None and not name.startswith("system/") and (best is None or seen.count > best[0]):
                best = (seen.count, name)
        name = best[1] if best else next((n for n in names if not n.startswith("system/")), "")
        if not name:
            return None
        series = self.metrics.series(
            os.fspath(folder), run.id, name, x="time", points=_PACE_POINTS, from_=None, to=None, since=None
        )
        steps = self.metrics.series(
            os.fspath(folder), run.id, name, x="step", points=2, from_=None, to=None, since=None
        )
        if series is None or len(series.x) < 5:
            return None
        gaps = [b - a for a, b in zip(series.x, series.x[1:], strict=False) if b > a]
        if not gaps:
            return None
        heard = series.x[-1]
        try:
            heard = max(heard, os.stat(log).st_mtime)
        except FileNotFoundError:
            pass  # it printed nothing: its rows alone tell that it lived
        until = run.ended_at if run.status.terminal and run.ended_at is not None else now
        each = max(1.0, series.total / max(1, len(series.x)))
        return Pace(
            usual_s=median(gaps) / each,
            largest_s=max(gaps),
            silent_s=max(0.0, until - heard),
            last_step=steps.x[-1] if steps is not None and steps.x else None,
            metric=name,
        )


def _weighty(run: Run, names: Sequence[str]) -> list[str]:
    """At most `_METRICS` of them: what the run is judged by and what is no measure of the machine first."""
    ranked = sorted(names, key=lambda n: (n != run.primary, n.startswith("system/"), names.index(n)))
    return [n for n in ranked if not n.startswith("system/")][:_METRICS]


def log_lines(path: Path, head: int = _HEAD, tail: int = _TAIL) -> list[LogLine]:
    """The lines of a log, of a long one its beginning and its end: cleaned, without secrets, with number and offset.

    [] where there is no log. Lines of the end of a very long log have the number 0.
    """
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return []
    with file:
        size = os.fstat(file.fileno()).st_size
        if size <= head + tail:
            return _split(file.read(size), 0, 1)
        found = _split(file.read(head), 0, 1, whole=False)
        start = size - tail
        number: int | None = None
        if start <= _COUNTED:
            file.seek(0)
            number, left = 1, start
            while left > 0:
                block = file.read(min(1 << 20, left))
                if not block:
                    break
                number += block.count(b"\n")
                left -= len(block)
        file.seek(start)
        data = file.read(tail)
        cut = data.find(b"\n") + 1
        # Without a line's end it is a piece of one enormous line, and said to stand where the piece begins.
        return found + _split(data[cut:], start + cut, None if number is None else number + (1 if cut else 0))


def _split(data: bytes, offset: int, number: int | None, whole: bool = True) -> list[LogLine]:
    """whole: the last line counts even if it does not end yet."""
    lines = []
    for raw in data.split(b"\n"):
        text = clean(raw.replace(b"\0", b"").decode("utf-8", "replace"))
        lines.append(LogLine(number or 0, offset, text[:_LONGEST]))
        offset += len(raw) + 1
        number = None if number is None else number + 1
    if not whole or (lines and not lines[-1].text):
        lines.pop()
    texts = redact("\n".join(line.text.replace("\n", " ") for line in lines)).split("\n")
    if len(texts) == len(lines):  # a key that spans lines is blacked out as a whole, which may join them
        return [LogLine(line.number, line.offset, text) for line, text in zip(lines, texts, strict=True)]
    return [LogLine(line.number, line.offset, redact(line.text)) for line in lines]


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_DIFF).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def newest(runs: Mapping[str, Run] | Iterable[Run], *, broken: bool = False) -> Run | None:
    """The run that somebody means who names none: the newest; with `broken` the newest that failed, else that was
    stopped or is worth a look."""
    every = list(runs.values()) if isinstance(runs, Mapping) else list(runs)
    every.sort(key=lambda r: (r.created_at, r.id))
    if broken:
        failed = [r for r in every if r.status is RunStatus.FAILED]
        if failed:
            return failed[-1]
    return every[-1] if every else None
