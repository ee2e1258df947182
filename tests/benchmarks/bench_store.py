"""The store by itself: `python -m tests.benchmarks.bench_store [--postgres URL] [--json]`.

Prints how long a database of 100,000 records and 10,000 runs takes to open and load, how many small transactions a
second many callers get, and what a lone caller waits. Goals: < 0.6 s, >= 2,000/s. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ragent_jupyter.adapters.store import SqlStore, open_store
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import RowPut, Tx

RUN = b'{"id":"run_%05d","name":"trial","command":"%s","cwd":"/home/ada/project","created_at":1790000000.0}'


def small(n: int) -> Tx:
    run = f"run_{n % 100:05}"
    data = RUN % (n % 100, b"python train.py " + b"x" * 400)
    record = Record(stream=run, topic="runs", type="run_changed", data={"id": run, "text": "x" * 400})
    return Tx(records=[record], puts=[RowPut(kind="run", id=run, data=data)])


def fill(store: SqlStore, records: int, runs: int) -> None:
    for start in range(0, runs, 1000):
        puts = [
            RowPut(kind="run", id=f"run_{n:05}", data=RUN % (n, b"python train.py " + b"x" * 800), sort=n)
            for n in range(start, start + 1000)
        ]
        store.commit_now(Tx(puts=puts))
    for _ in range(0, records, 1000):
        store.commit_now(Tx(records=[small(n).records[0] for n in range(1000)]))


async def crowd(store: SqlStore, callers: int, seconds: float) -> float:
    """Transactions a second that `callers` get who each wait for their answer before they ask again."""
    done, end = 0, time.perf_counter() + seconds

    async def caller(n: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await store.commit(small(n))
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*[caller(n) for n in range(callers)])
    return done / (time.perf_counter() - began)


async def lone(store: SqlStore, times: int) -> list[float]:
    waits = []
    for n in range(times):
        began = time.perf_counter()
        await store.commit(small(n))
        waits.append(time.perf_counter() - began)
    return waits


def measure(place: str, namespace: str) -> dict[str, Any]:
    store = open_store(place, namespace=namespace)
    result: dict[str, Any] = {}
    for callers in (10, 100, 400):
        result[f"tx_per_s_{callers}_callers"] = round(asyncio.run(crowd(store, callers, 2.0)))
    waits = asyncio.run(lone(store, 200))
    result["lone_commit_ms_median"] = round(statistics.median(waits) * 1000, 2)
    result["lone_commit_ms_p95"] = round(statistics.quantiles(waits, n=20)[-1] * 1000, 2)
    fill(store, 100_000, 10_000)
    store.close()
    times = []
    for _ in range(3):
        began = time.perf_counter()
        store = open_store(place, namespace=namespace)
        runs = store.load("run")
        owed, offsets = store.owed(), store.offsets()
        times.append(time.perf_counter() - began)
        assert len(runs) >= 10_000 and not owed and not offsets
        store.close()
    result["open_and_load_s"] = round(statistics.median(times), 3)
    store = open_store(place, namespace=namespace)
    began = time.perf_counter()
    page = store.read_log(store.newest_seq() - 90_000, None, 1000)
    result["read_1000_old_records_ms"] = round((time.perf_counter() - began) * 1000, 2)
    assert len(page) == 1000
    began = time.perf_counter()
    removed = store.prune(0, 1000)
    result["prune_records_per_s"] = round(removed / (time.perf_counter() - began))
    store.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # the disk, not a /tmp in memory
        results = {"sqlite": measure(f"{folder}/ragent.db", "ragent")}
    if args.postgres:
        results["postgresql"] = measure(args.postgres, f"bench_{secrets.token_hex(4)}")
    if args.json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        for what, value in result.items():
            print(f"{name:11} {what:26} {value}")


if __name__ == "__main__":
    main()
