"""Charts: how long it takes until a curve of a million points has become a thousand buckets, and the JSON of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.runfiles.columns import ColumnWriter
from ragent_jupyter.runfiles.columns_format import COMMITS, pyramid_file

from .common import Peer, Result, main

MILLION = 1_000_000


def noisy_curve(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = 2.0 * np.exp(-np.arange(count) / (count / 5)) + 0.05 * rng.standard_normal(count)
    values[rng.integers(0, count, 20)] = np.nan
    values[count // 3] = 50.0
    return values


def write_run(folder: Path, count: int) -> None:
    values = noisy_curve(count)
    with ColumnWriter(folder / "metrics") as writer:
        for at in range(0, count, 50_000):
            end = min(at + 50_000, count)
            steps = array("q", range(at, end))
            writer.append_block(["loss"], steps, array("d", steps), [array("d", values[at:end].tobytes())])
        writer.commit({"metrics.jsonl": {"offset": count}})


def copy_run(source: Path, target: Path) -> None:
    """A run like another. What a wide chart reads (commits, pyramid) is copied, the rest is the same file: a hundred
    whole copies are 2.5 GB, of which this reads nothing but the last 64 values of each."""
    (target / "metrics").mkdir(parents=True)
    for file in (source / "metrics").iterdir():
        place = target / "metrics" / file.name
        if file.name in (COMMITS, pyramid_file(0)):
            shutil.copyfile(file, place)
        else:
            os.link(file, place)


def milliseconds(job: Callable[[], object], times: int, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """How long each of `times` goes took, warm. process_time: without what the machine's other work took."""
    job()  # the page cache, the commits' state
    found = []
    for _ in range(times):
        began = clock()
        job()
        found.append(1000 * (clock() - began))
    return found


def run(short: bool) -> list[Result]:
    times = 15 if short else 60
    results: list[Result] = []

    def note(what: str, values: list[float], goal: float | None = None, who: str = "ragent") -> None:
        results.append(Result(what=what, who=who, unit="ms", better="less", values=values, goal=goal))

    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        one = Path(folder) / "one"
        write_run(one, MILLION)
        reader = ColumnReader()

        def chart(**ask: object) -> object:
            return reader.series(str(one), "run", "loss", **{"x": "step", "points": 1000, **ask})  # type: ignore[arg-type]

        whole = chart()
        cursor = whole.cursor  # type: ignore[attr-defined]
        encode = msgspec.json.Encoder().encode
        first = "1 run x 1 M points -> 1,000 buckets"
        note(first, milliseconds(chart, times), 5)
        values = one / "metrics" / "m00000.f64"
        note(
            first,
            milliseconds(lambda: np.fromfile(values).reshape(1000, -1).max(1), times),
            who="numpy: read, max alone",
        )
        note("… by time, and its JSON", milliseconds(lambda: encode(chart(x="time")), times), 5)
        note("… zoomed to 10 k points", milliseconds(lambda: chart(from_=500_000, to=510_000), times))
        note("… zoomed to 100 points, raw", milliseconds(lambda: chart(from_=500_000, to=500_099), times))
        note("… nothing new since a cursor", milliseconds(lambda: chart(since=cursor), times))
        note("… into 5,000 buckets", milliseconds(lambda: chart(points=5000), times))

        runs = [Path(folder) / f"run{i}" for i in range(100)]
        for target in runs:
            copy_run(one, target)

        def hundred() -> object:
            return [reader.series(str(target), "run", "loss", x="step", points=1000) for target in runs]

        note("100 runs x 1 M points, one metric", milliseconds(hundred, 5 if short else 15), 50)
        note("… of CPU time", milliseconds(hundred, 5 if short else 15, time.process_time), 50)
        fresh = milliseconds(lambda: setattr(reader, "_known", type(reader._known)()) or hundred(), 5)
        note("… the first time (commits not known yet)", fresh)

        writers = []
        for i in range(200 if short else 1000):
            writer = ColumnWriter(Path(folder) / f"live{i}" / "metrics")
            writer.append([Row(0, 0.0, {"loss": 1.0})])
            writer.commit({"metrics.jsonl": {"offset": 0}})
            writer._files.close()  # a thousand sidecars are a thousand processes; here their files share one
            writers.append(writer)
        live = [str(writer.folder.parent) for writer in writers]
        label = f"{len(live):,} live runs"
        note(f"{label}: look whether any has grown", milliseconds(lambda: [reader.totals(d) for d in live], 5))
        grown = []
        for step in range(1, 6):
            for writer in writers:
                writer.append([Row(step, float(step), {"loss": 1.0})])
                writer.commit({"metrics.jsonl": {"offset": step}})
                writer._files.close()
            began = time.perf_counter()
            for folder_ in live:
                reader.totals(folder_)
            grown.append(1000 * (time.perf_counter() - began))
        note(f"{label}: all have grown", grown)
        for writer in writers:
            os.close(writer._lock)

        points = 20_000 if short else 100_000
        small = Path(folder) / "small"
        write_run(small, points)
        what = f"1 run x {points:,} points -> a chart"
        note(what, milliseconds(lambda: reader.series(str(small), "run", "loss", x="step", points=1000), times))
    for who, script in (("trackio", "trackio_chart"), ("tensorboard", "tensorboard_chart"), ("mlflow", "mlflow_chart")):
        peer = Peer(script, str(points))
        for mode, value in peer.ask().items():
            note(what, [value], who=f"{who} {mode}".strip())
        if peer.missing:
            results.append(Result(what=what, who=who, unit="ms", missing=peer.missing))
    return results


if __name__ == "__main__":
    main(run)
