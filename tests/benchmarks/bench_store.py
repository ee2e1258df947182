"""The store by itself: `python -m tests.benchmarks.bench_store [--short] [--json]`.

How long a database of 100,000 records and 10,000 runs takes to open and load, how many small transactions a second many
callers get who each wait for theirs, what a lone caller waits. On the disk that holds this checkout, since /tmp may be
in memory. `RAGENT_TEST_POSTGRES=postgresql://…` adds that server; it gets a schema, which is dropped again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ragent_jupyter.adapters.store import SqlStore, open_store
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import RowPut, Tx

from .common import Result, main

RUN = b'{"id":"run_%05d","name":"trial","command":"%s","cwd":"/home/ada/project","created_at":1790000000.0}'


def small(n: int) -> Tx:
    """What a change of one run comes to."""
    run = f"run_{n % 100:05}"
    record = Record(stream=run, topic="runs", type="run_changed", data={"id": run, "text": "x" * 400})
    return Tx(records=[record], puts=[RowPut(kind="run", id=run, data=RUN % (n % 100, b"x" * 400))])


def fill(store: SqlStore, records: int, runs: int) -> None:
    for start in range(0, runs, 1000):
        rows = [
            RowPut(kind="run", id=f"run_{n:05}", data=RUN % (n, b"x" * 800), sort=n) for n in range(start, start + 1000)
        ]
        store.commit_now(Tx(puts=rows))
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


async def lone(store: SqlStore, times: int) -> float:
    """The median of what a caller waits who is alone, in milliseconds."""
    waits = []
    for n in range(times):
        began = time.perf_counter()
        await store.commit(small(n))
        waits.append((time.perf_counter() - began) * 1000)
    return statistics.median(waits)


def measure(who: str, reopen: Callable[[], SqlStore], short: bool) -> list[Result]:
    turns, seconds = (2, 0.5) if short else (5, 2.0)
    store = reopen()
    results = []
    for callers, goal in ((10, None), (100, 2000.0), (400, None)):
        values = [asyncio.run(crowd(store, callers, seconds)) for _ in range(turns)]
        what = f"small transactions, {callers} callers"
        results.append(Result(what=what, who=who, unit="tx/s", values=values, goal=goal))
    values = [asyncio.run(lone(store, 50)) for _ in range(turns)]
    results.append(Result(what="a lone caller's commit", who=who, unit="ms", better="less", values=values))
    fill(store, 100_000, 10_000)
    store.close()
    values = []
    for _ in range(turns):
        began = time.perf_counter()
        store = reopen()
        assert len(store.load("run")) >= 10_000 and not store.owed() and not store.offsets()
        values.append(time.perf_counter() - began)
        store.close()
    what = "open and load 100 k records, 10 k runs"
    results.append(Result(what=what, who=who, unit="s", better="less", values=values, goal=0.6))
    store = reopen()
    began = time.perf_counter()
    removed = store.prune(0, 1000)
    values = [removed / (time.perf_counter() - began)]
    results.append(Result(what="pruning the log", who=who, unit="records/s", values=values))
    store.close()
    return results


def run(short: bool) -> list[Result]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        results = measure("ragent", lambda: open_store(f"{folder}/ragent.db"), short)
    postgres = os.environ.get("RAGENT_TEST_POSTGRES")
    if postgres:
        import psycopg

        namespace = f"bench_{secrets.token_hex(4)}"
        try:
            results += measure("ragent/postgresql", lambda: open_store(postgres, namespace=namespace), short)
        finally:
            with psycopg.connect(postgres, autocommit=True) as admin:
                admin.execute(f"DROP SCHEMA IF EXISTS {namespace} CASCADE")
    return sorted(results, key=lambda result: result.what)


if __name__ == "__main__":
    main(run)
