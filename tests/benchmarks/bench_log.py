"""`log()`, one scalar a row: how many rows a second a training can log, ours visible at once.

The peers run in their fastest documented mode, warmed, until their rows are stored (what a crash would leave).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .common import Peer, Result, main, rounds

WHAT = "log(), 1 scalar a row"
WIDE = "log(), 20 scalars a row (points)"

OURS = """
import sys, time
from ragent_jupyter._log import finish, log
rows, width = int(sys.argv[1]), int(sys.argv[2])
names = [f"m{i}" for i in range(width)]
for step in range(rows // 10):
    log({name: 1.0 / (step + 1) for name in names}, step=step)
finish()
began, cpu = time.perf_counter(), time.process_time()
if width == 1:
    for step in range(rows):
        log({"m0": 1.0 / (step + 1)}, step=step)
else:
    for step in range(rows):
        value = 1.0 / (step + 1)
        log({name: value for name in names}, step=step)
print(rows * width / (time.perf_counter() - began), rows * width / (time.process_time() - cpu))
"""

NO_MSGSPEC = 'import sys; sys.modules["msgspec"] = sys.modules["msgspec.json"] = None\n'

FLOOR = """
import os, sys, time
line = b'{"time":1790000000.1234567,"m0":0.3333333333333333,"step":12345}\\n'
fd = os.open(os.environ["RAGENT_METRICS_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
began = time.perf_counter()
for step in range(int(sys.argv[1])):
    os.write(fd, line)
print(int(sys.argv[1]) / (time.perf_counter() - began))
"""


def ours(code: str, rows: int, width: int = 1, cpu: list[float] | None = None) -> float:
    """Rows (points) a second; by the processor's time into `cpu`, which the machine's other work does not spoil."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        env = {**os.environ, "RAGENT_METRICS_FILE": str(Path(folder) / "metrics.jsonl")}
        done = subprocess.run(
            [sys.executable, "-c", code, str(rows), str(width)], env=env, capture_output=True, text=True, check=True
        )
        wall, *rest = map(float, done.stdout.split())
        if cpu is not None:
            cpu += rest
        return wall


def import_ms(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(1000 * (time.perf_counter() - t))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def run(short: bool) -> list[Result]:
    rows = 30_000 if short else 200_000
    by_cpu: list[float] = []
    turns = {
        "ragent": lambda: ours(OURS, rows, cpu=by_cpu),
        "ragent without msgspec": lambda: ours(NO_MSGSPEC + OURS, rows // 4),
        "floor: write(2) alone": lambda: ours(FLOOR, rows),
    }
    peers = {
        # So many rows that their start and their finish() do not count.
        "trackio": Peer("trackio_log", str(20_000 if short else 100_000)),
        "tensorboardX": Peer("tensorboardx_log", str(10_000 if short else 50_000)),
        "wandb offline": Peer("wandb_log", str(5_000 if short else 20_000)),
        "mlflow": Peer("mlflow_log", str(100 if short else 500)),
    }
    found: dict[str, list[float]] = {}
    wide: dict[str, list[float]] = {}
    for _ in range(1 if short else 2):
        for who, values in rounds(turns, 1).items():
            found.setdefault(who, []).extend(values)
        wide.setdefault("ragent", []).append(ours(OURS, rows // 10, 20))
        for who, peer in peers.items():
            for key, value in peer.ask().items():
                target, label = (wide, key.removeprefix("wide")) if key.startswith("wide") else (found, key)
                target.setdefault(f"{who} {label}".strip(), []).append(value)
    results = [
        Result(what=WHAT, who=who, unit="rows/s", values=values, goal=250_000 if who == "ragent" else None)
        for who, values in found.items()
    ]
    results.insert(1, Result(what=WHAT, who="ragent", unit="rows/s of CPU time", values=by_cpu, goal=250_000))
    results += [
        Result(what=WHAT, who=who, unit="rows/s", missing=peer.missing) for who, peer in peers.items() if peer.missing
    ]
    results += [Result(what=WIDE, who=who, unit="points/s", values=values) for who, values in wide.items()]
    imports = [import_ms("ragent_jupyter._log") for _ in range(3)]
    results.append(Result(what="import of what log() needs", who="ragent", unit="ms", better="less", values=imports))
    return results


if __name__ == "__main__":
    began = time.perf_counter()
    main(run)
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
