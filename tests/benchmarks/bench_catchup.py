"""Catch-up: how fast a metrics.jsonl that is already there becomes committed columns, as a late sidecar does it."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path

import msgspec

from ragent_jupyter.runfiles.columns import ColumnWriter
from ragent_jupyter.runfiles.sources.metrics_jsonl import MetricsJsonl

from .common import Peer, Result, main, rounds

WIDTH = 20
READ_LIMIT = 1 << 20  # as the sidecar reads


def write_log(path: Path, rows: int, nan_every: int) -> None:
    """The rows of a script that uses json.dumps: NaN is a bare token then."""
    rng = random.Random(0)
    with path.open("w") as file:
        for step in range(rows):
            values = {f"m{i}": rng.random() for i in range(WIDTH)}
            if nan_every and step % nan_every == nan_every - 1:
                values["m3"] = float("nan")
            file.write(json.dumps({"step": step, "time": 1.79e9 + step / 10, **values}) + "\n")


def catch_up(path: Path, folder: Path) -> int:
    """Points that are committed at the end."""
    source = MetricsJsonl(str(path))
    with ColumnWriter(folder) as writer:
        while blocks := source.read(READ_LIMIT, 0.0):
            for block in blocks:
                writer.append_block(block.names, block.steps, block.times, block.columns)
            writer.commit({source.id: source.state()})
        return writer.points


def speed(path: Path, points: int, cpu: list[float] | None = None) -> float:
    """Points a second; by the processor's time into `cpu`, which the machine's other work does not spoil."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        began, used = time.perf_counter(), time.process_time()
        assert catch_up(path, Path(folder)) == points
        if cpu is not None:
            cpu.append(points / (time.process_time() - used))
        return points / (time.perf_counter() - began)


def whole_sidecar(path: Path, points: int) -> float:
    """The same with all that the sidecar does besides: its rules hear every row."""
    from ragent_sidecar.witness import Witness

    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        witness = Witness(folder, "run_bench")
        witness.add(MetricsJsonl(str(path)), "benchmark")
        used = time.process_time()
        while witness.read():
            witness.settle()
        took = time.process_time() - used
        assert witness.columns.points == points
        witness.close()
    return points / took


def typed_decode(path: Path, points: int) -> float:
    """What nobody who parses JSON here can beat: decoding the chunks into typed rows, and throwing them away."""
    fields = [("step", int), ("time", float), *((f"m{i}", float) for i in range(WIDTH))]
    decode = msgspec.json.Decoder(list[msgspec.defstruct("Bound", fields, gc=False)]).decode  # type: ignore[misc]
    began = time.perf_counter()
    with path.open("rb") as file:
        rest = b""
        while data := file.read(READ_LIMIT):
            end = data.rfind(b"\n")
            decode(b"[" + (rest + data[:end]).replace(b"\n", b",") + b"]")
            rest = data[end + 1 :]
    return points / (time.perf_counter() - began)


def json_loop(path: Path, points: int) -> float:
    """The loop that one writes oneself: json.loads a line, append to lists."""
    columns: dict[str, list[float]] = {}
    began = time.perf_counter()
    with path.open() as file:
        for line in file:
            for name, value in json.loads(line).items():
                columns.setdefault(name, []).append(value)
    return points / (time.perf_counter() - began)


def run(short: bool) -> list[Result]:
    rows = 25_000 if short else 200_000
    points = rows * WIDTH
    what = f"catch-up on metrics.jsonl, 20 metrics a row, {points / 1e6:g} M points"
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        path, odd = Path(folder) / "metrics.jsonl", Path(folder) / "odd.jsonl"
        write_log(path, rows, 0)
        write_log(odd, rows, 100)
        by_cpu: list[float] = []
        turns = {
            "ragent": lambda: speed(path, points, by_cpu),
            "floor: typed decode alone": lambda: typed_decode(path, points),
            "a json.loads loop": lambda: json_loop(path, points),
        }
        found = rounds(turns, 2 if short else 3)
        results = [
            Result(what=what, who=who, unit="points/s", values=values, goal=5e6 if who == "ragent" else None)
            for who, values in found.items()
        ]
        results.insert(1, Result(what=what, who="ragent", unit="points/s of CPU time", values=by_cpu, goal=5e6))
        values = [speed(odd, points) for _ in range(2)]
        results.append(Result(what="… with a NaN in every 100th row", who="ragent", unit="points/s", values=values))
        watched = "… and all that the sidecar does besides"
        try:
            values = [whole_sidecar(path, points) for _ in range(2)]
            results.append(Result(what=watched, who="ragent", unit="points/s of CPU time", values=values))
        except ImportError as error:
            results.append(Result(what=watched, who="ragent", unit="", missing=str(error)))
        catch_up(path, Path(folder) / "columns")
        size = sum(file.stat().st_size for file in (Path(folder) / "columns").iterdir())
    peer = Peer("tensorboard_chart", str(points // 50))
    answer = peer.ask()
    if answer:
        values = [points // 50 / (answer["all points"] / 1000)]
        results.append(Result(what=what, who="tensorboard reload", unit="points/s", values=values))
    else:
        results.append(Result(what=what, who="tensorboard reload", unit="points/s", missing=peer.missing))
    results.append(
        Result(
            what="disk, 20 metrics a row", who="ragent", unit="B/point", better="less", values=[size / points], goal=12
        )
    )
    return results


if __name__ == "__main__":
    main(run)
