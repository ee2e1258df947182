"""A finished log through the same sources and rules as a live run, by the log's own time: what would have been said?"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.alert import Severity
from ragent_jupyter.domain.facts import Exit
from ragent_jupyter.rules.watch import JobEnded, LogLines, Points, Tick, Watch, WatchFact, watch
from ragent_jupyter.runfiles.sources.make import make_source
from ragent_jupyter.runfiles.sources.protocol import RANKS, Source
from ragent_jupyter.runfiles.sources.sniff import sniff
from ragent_jupyter.runfiles.sources.stdout import Stdout
from ragent_jupyter.runfiles.spec import read_spec

from .feed import Owners

_DEPTH = 4  # folders below the one that was named
_FILES = 2000
_SKIP = {"facts.jsonl", "orders.jsonl", "wrapper.jsonl", "commits.jsonl", "sidecar.log"}


class ReplayedSource(Struct, frozen=True, kw_only=True):
    run: str
    source: str
    format: str
    path: str
    points: int
    rows: int
    garbage: int = 0


class ReplayedAlert(Struct, frozen=True, kw_only=True):
    """value: "nan", "inf", "-inf" or a number. time: unix seconds by the log; 0 if the log tells no time."""

    run: str
    rule: str
    severity: Severity
    metric: str
    step: int | None
    value: float | str | None
    baseline: float | None
    title: str
    text: str
    source: str
    offset: int
    time: float


class Result(Struct, frozen=True, kw_only=True):
    """points: all metric values read.  runs: their names, in the order of the paths.  alerts: run by run, in order."""

    points: int
    runs: list[str]
    sources: list[ReplayedSource]
    alerts: list[ReplayedAlert]


def replay(paths: Iterable[str | os.PathLike[str]]) -> Result:
    """Read files or folders as if their runs were live. A folder is one run, unless it holds several run folders.

    Raises FileNotFoundError for a path that is not there. A file that is no metric log is a run without points.
    """
    sources: list[ReplayedSource] = []
    alerts: list[ReplayedAlert] = []
    runs: list[str] = []
    for named in paths:
        path = os.fspath(named)
        if not os.path.exists(path):
            raise FileNotFoundError(2, "No such file or folder", path)
        for folder in _run_folders(path):
            run = _Replay(folder, os.path.basename(os.path.normpath(folder)))
            run.play()
            runs.append(run.name)
            sources += run.told
            alerts += run.alerts
    return Result(points=sum(s.points for s in sources), runs=runs, sources=sources, alerts=alerts)


def _run_folders(path: str) -> list[str]:
    """The run folders in a path; itself if there are fewer than two."""
    if not os.path.isdir(path) or _is_run_folder(path):
        return [path]
    for folder in (path, os.path.join(path, "runs"), os.path.join(path, ".ragent", "runs")):
        if os.path.isdir(folder):
            found = sorted(e.path for e in os.scandir(folder) if os.path.isdir(e.path) and _is_run_folder(e.path))
            if len(found) > 1 or (found and folder != path):
                return found
    return [path]


def _is_run_folder(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in ("spec.json", "metrics.jsonl", "job.log"))


def _metric_files(path: str) -> Iterator[tuple[str, str]]:
    """(path, format) of what a run's path holds."""
    if not os.path.isdir(path):
        format = sniff(path)
        if format is not None:
            yield path, format
        return
    ragent = os.path.isfile(os.path.join(path, "spec.json"))
    seen = 0
    for folder, folders, files in os.walk(path):
        depth = os.path.relpath(folder, path).count(os.sep)
        folders[:] = [] if depth >= _DEPTH else sorted(f for f in folders if not f.startswith((".", "checkpoint-")))
        if ragent:
            folders[:] = [f for f in folders if f != "metrics"]
        for name in sorted(files):
            seen += 1
            if seen > _FILES:
                return
            file = os.path.join(folder, name)
            if name.startswith(".") or name in _SKIP or not os.path.isfile(file):
                continue
            format = sniff(file)
            if format is not None and (format != "stdout" or name.endswith((".log", ".out", ".txt"))):
                yield file, format
    from ragent_jupyter.runfiles.sources.hf_state import state_files

    if any(os.path.exists(file) for file in state_files(path)[1:]):
        yield path, "hf_state"


class _Replay:
    """One run."""

    def __init__(self, path: str, name: str) -> None:
        self.name = name
        self.path = path
        self.told: list[ReplayedSource] = []
        self.alerts: list[ReplayedAlert] = []
        self._time = 0.0
        try:
            params = read_spec(path).params if os.path.isdir(path) else {}
        except (OSError, msgspec.DecodeError):
            params = {}
        self._watch = Watch(run_id=name, params=params)
        self._owners = Owners()
        self._counts: dict[str, list[int]] = {}

    def play(self) -> None:
        sources: list[Source] = []
        root = self.path if os.path.isdir(self.path) else os.path.dirname(self.path)
        for path, format in _metric_files(self.path):
            source = make_source(format, path, os.path.relpath(path, root))
            self._owners.know(source)
            sources.append(source)
        sources.sort(key=lambda source: (RANKS[source.format], source.id))
        if sources:
            self._play(sources)
        for source in sources:
            points, rows = self._counts.get(source.id, [0, 0])
            self.told.append(
                ReplayedSource(
                    run=self.name,
                    source=source.id,
                    format=source.format,
                    path=source.path,
                    points=points,
                    rows=rows,
                    garbage=source.garbage,
                )
            )
            source.close()
        self._end()

    def _play(self, sources: list[Source]) -> None:
        streams = [self._facts(source) for source in sources]
        if len(streams) > 1:
            # Sources whose rows tell their time are interleaved by it; those that tell none come first, best first.
            for at, fact in heapq.merge(*streams, key=lambda pair: pair[0]):
                self._tell(at, fact)
        else:
            for at, fact in streams[0]:
                self._tell(at, fact)

    def _facts(self, source: Source) -> Iterator[tuple[float, WatchFact]]:
        """(time so far, fact) of one source, to its end."""
        newest = 0.0
        while True:
            blocks = source.read(1 << 16, 0.0, final=True)
            if isinstance(source, Stdout) and source.lines:
                yield newest, LogLines(at=newest, lines=source.lines, source=source.id)
            for block in blocks:
                admitted = self._owners.admit(source.id, block)
                if admitted is None:
                    continue
                count = self._counts.setdefault(source.id, [0, 0])
                count[0] += admitted.points
                count[1] += len(admitted.steps)
                for row in admitted.rows():
                    newest = max(newest, row.time)
                    yield newest, Points(source=source.id, rows=[row], at=newest)
            if not blocks and not source.more:
                return

    def _tell(self, at: float, fact: WatchFact) -> None:
        self._time = max(self._time, at)
        if isinstance(fact, Points):
            if self._time > 0.0:
                self._hear(Tick(at=self._time))  # a silence is judged as it would have been then
            fact = Points(source=fact.source, rows=fact.rows, at=self._time)
        self._hear(fact)

    def _hear(self, fact: WatchFact) -> None:
        self._watch, raised = watch(self._watch, fact)
        for alert in raised:
            seen = alert.evidence
            self.alerts.append(
                ReplayedAlert(
                    run=self.name,
                    rule=alert.rule,
                    severity=alert.severity,
                    metric=alert.metric or seen.metric,
                    step=seen.step,
                    value=seen.value,
                    baseline=seen.baseline,
                    title=alert.title,
                    text=alert.text,
                    source=alert.source or seen.source,
                    offset=alert.offset,
                    time=self._time,
                )
            )

    def _end(self) -> None:
        """A run folder knows how its job ended."""
        try:
            with open(os.path.join(self.path, "exit.json"), "rb") as file:
                exit = msgspec.json.decode(file.read(), type=Exit)
        except (OSError, msgspec.DecodeError):
            return
        stopped = exit.order_id is not None
        self._hear(JobEnded(at=self._time, exit_code=exit.exit_code, signal=exit.signal, oom=exit.oom, stopped=stopped))
