"""The engine at work: launches, freshness, a thousand live runs, a restart, many listeners, one sidecar.

python -m tests.benchmarks.bench_engine [--short] [--json]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil

from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.client import Client
from ragent_jupyter.client.start import engine_argv
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.facts import Claim, Live
from ragent_jupyter.domain.metrics import Row
from ragent_jupyter.domain.ports import RowPut, Tx
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.wire import CreateRun
from ragent_jupyter.engine.machine import sidecar_argv
from ragent_jupyter.runfiles import proc
from ragent_jupyter.runfiles.columns import ColumnWriter
from ragent_jupyter.runfiles.project import ensure_ragent_dir, socket_path
from ragent_jupyter.runfiles.spec import Spec, write_spec
from tests.support.engine import project, sweep_up
from tests.support.wait import wait_until

from .common import Result, main


def run(short: bool) -> list[Result]:
    return [
        *launches(10 if short else 60),
        *freshness(40 if short else 200),
        *live_runs(200 if short else 1000, 6.0 if short else 20.0),
        *restart(1000 if short else 10_000, 10_000 if short else 100_000),
        *listeners(20, 2.0 if short else 10.0),
        *one_sidecar(5.0 if short else 20.0),
    ]


# --- launches ---------------------------------------------------------------------------------------------------------
def launches(count: int) -> list[Result]:
    found = []
    for executor, goal in (("tmux", 10.0), ("process", None)):
        with project(executor) as p:
            p.client.put("prefs", {"parallel": 500})
            began = time.perf_counter()
            runs = [p.client.create_run(CreateRun(command="true", executor=executor)) for _ in range(count)]

            def ended(p: Any = p, runs: Any = runs) -> bool:
                return all(r.status.terminal for r in p.client.all_runs() if r.id in {x.id for x in runs})

            wait_until(ended, 120, every=0.05)
            took = time.perf_counter() - began
            done = p.client.all_runs()
            starting = max(r.started_at or 0.0 for r in done) - min(r.created_at for r in done)
            slowest = max(r.ended_at - r.created_at for r in done)
            mine = "ragent" if executor == "tmux" else f"ragent, {executor}"
            found.append(
                Result(
                    what="launch: asked → job started", who=mine, unit="runs/s", values=[count / starting], goal=goal
                )
            )
            found.append(
                Result(
                    what="asked → ended and told (job = true)",
                    who=mine,
                    unit="runs/s",
                    values=[count / took],
                    note=f"{executor}, {count} at once, slowest {slowest:.2f} s",
                )
            )
            line = '{"step": 0, "loss": 1}'
            began = time.perf_counter()
            first = p.client.create_run(CreateRun(command=f"echo '{line}' >> $RAGENT_METRICS_FILE; sleep 2"))
            wait_until(lambda p=p, first=first: p.points(first, "loss"), 20, every=0.01)
            found.append(
                Result(
                    what="asked for → first metric in the API",
                    who="ragent" if executor == "tmux" else f"ragent, {executor}",
                    unit="s",
                    better="less",
                    values=[time.perf_counter() - began],
                    goal=1.5,
                )
            )
            p.client.stop(first.id, now=True)
    return found


# --- freshness --------------------------------------------------------------------------------------------------------
_WRITER = """
import json, os, sys, time
with open(os.environ["RAGENT_METRICS_FILE"], "a") as out:
    for step in range(int(sys.argv[1])):
        out.write(json.dumps({"step": step, "loss": 1.0, "at": time.time()}) + "\\n"); out.flush()
        time.sleep(0.05)
"""


def freshness(rows: int) -> list[Result]:
    """How long after its write(2) a row is in an answer of the chart API, asked every 10 ms."""
    with project("process") as p:
        run_ = p.run(p.script("w.py", _WRITER) + f" {rows}")
        lags: list[float] = []
        seen = 0
        while seen < rows:
            found = p.client.series([run_.id], ["at"], points=0).series
            now = time.time()
            values = found[0].last if found else []
            lags += [now - float(v) for v in values[seen:] if v is not None]
            seen = max(seen, len(values))
            if p.client.run(run_.id).settled and len(values) == seen:
                break
            time.sleep(0.01)
    lags.sort()
    p95 = lags[int(0.95 * (len(lags) - 1))] * 1000
    note = f"p50 {statistics.median(lags) * 1000:.0f} ms, {len(lags)} rows at 20/s"
    what = "row on disk → in the API, p95"
    return [Result(what=what, who="ragent", unit="ms", better="less", values=[p95], goal=300, note=note)]


# --- a thousand live runs ---------------------------------------------------------------------------------------------
def _some_run(number: int, folder: Path, status: RunStatus) -> Run:
    return Run(
        id=f"run_{number:012d}",
        name=f"run {number}",
        command="python train.py --lr 0.1",
        argv=["/bin/sh", "-c", "python train.py --lr 0.1"],
        cwd=str(folder),
        created_at=1.7e9 + number,
        status=status,
        executor="process",
        launched_at=1.7e9 + number,
        started_at=1.7e9 + number,
        ended_at=None if status.live else 1.7e9 + number + 60,
        exit_code=None if status.live else 0,
        settled=not status.live,
        primary="loss",
        params={"lr": 0.1, "seed": number},
    )


def _put(run_: Run) -> RowPut:
    return RowPut(
        kind="run", id=run_.id, data=msgspec.json.encode(run_), status=run_.status.value, sort=run_.created_at
    )


def _engine(folder: Path) -> tuple[subprocess.Popen[bytes], float]:
    """A started engine and the seconds until its first answer."""
    began = time.perf_counter()
    log = (folder / ".ragent" / "engine.log").open("ab")
    process = subprocess.Popen(engine_argv(folder), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    client = Client(folder, start=False)

    def answers() -> bool:
        if not os.path.exists(socket_path(folder)):
            return False
        try:
            return client.status().pid == process.pid
        except OSError:
            return False
        except Exception as error:
            if "engine" in str(error).lower():
                return False
            raise

    wait_until(answers, 60, every=0.005)
    return process, time.perf_counter() - began


def live_runs(count: int, seconds: float) -> list[Result]:
    """Growing run folders fed by one writer: 20 rows a second and one live.json a second for all of them together."""
    with tempfile.TemporaryDirectory(prefix="rg-live-", dir="/tmp") as name:
        folder = Path(name).resolve()
        ensure_ragent_dir(folder)
        runs = [_some_run(i, folder, RunStatus.RUNNING) for i in range(count)]
        store = open_store(folder / ".ragent" / "ragent.db")
        store.commit_now(Tx(puts=[_put(r) for r in runs]))
        store.close()
        me = os.getpid()
        claim = Claim(
            run_id="", host=os.uname().nodename, boot_id=proc.boot_id(), pid=me, start_time=proc.start_time(me) or 0.0
        )
        for run_ in runs:
            run_dir = folder / ".ragent" / "runs" / run_.id
            (run_dir / "metrics").mkdir(parents=True)
            (run_dir / "claim.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(claim, run_id=run_.id)))
        stop = threading.Event()

        def write() -> None:
            step = 0
            writers: dict[str, ColumnWriter] = {}
            while not stop.is_set():
                began = time.monotonic()
                for run_ in runs:
                    run_dir = folder / ".ragent" / "runs" / run_.id
                    with_writer = writers.get(run_.id) or writers.setdefault(
                        run_.id, ColumnWriter(os.fspath(run_dir / "metrics"))
                    )
                    with_writer.append([Row(step, time.time(), {"loss": 1.0 / (step + 1)})])
                    with_writer.commit({"m": {"offset": step}})
                    live = Live(at=time.time(), pid=me, points=step, summary={"loss": {"last": 1.0, "count": step}})
                    (run_dir / "live.tmp").write_bytes(msgspec.json.encode(live))
                    os.replace(run_dir / "live.tmp", run_dir / "live.json")
                    if stop.is_set():
                        return
                step += 1
                stop.wait(max(0.0, 1.0 - (time.monotonic() - began)))

        process, _ = _engine(folder)
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            about = psutil.Process(process.pid)
            time.sleep(2.0)  # the first look reads everything; what is measured is living with them
            before, at = about.cpu_times(), time.monotonic()
            time.sleep(seconds)
            after, took = about.cpu_times(), time.monotonic() - at
            share = (after.user + after.system - before.user - before.system) / took * 100
            memory = about.memory_info().rss / 1e6
        finally:
            stop.set()
            writer.join(10)
            process.kill()
            process.wait()
            sweep_up(folder)
    what = f"{count} live runs, each growing once a second"
    return [
        Result(what=what, who="ragent", unit="% of a core", better="less", values=[share], goal=10, note="engine"),
        Result(
            what=what + ": memory", who="ragent", unit="MB", better="less", values=[memory], goal=400, note="engine"
        ),
    ]


# --- restart ----------------------------------------------------------------------------------------------------------
def restart(runs: int, records: int) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="rg-old-", dir="/tmp") as name:
        folder = Path(name).resolve()
        ensure_ragent_dir(folder)
        store = open_store(folder / ".ragent" / "ragent.db")
        made = [_some_run(i, folder, RunStatus.FINISHED) for i in range(runs)]
        store.commit_now(Tx(puts=[_put(r) for r in made]))
        encoded = [msgspec.Raw(msgspec.json.encode(r)) for r in made]
        for start in range(0, records, 5000):
            many = [
                Record(stream=made[i % runs].id, topic="runs", type="run_changed", data=encoded[i % runs])
                for i in range(start, min(start + 5000, records))
            ]
            store.commit_now(Tx(records=many))
        store.close()
        times = []
        for _ in range(3):
            process, took = _engine(folder)
            times.append(took)
            process.kill()
            process.wait()
        sweep_up(folder)
    what = f"restart with {runs:,} runs, {records:,} records"
    note = "process start to first answer"
    return [Result(what=what, who="ragent", unit="s", better="less", values=times, goal=2.0, note=note)]


# --- listeners --------------------------------------------------------------------------------------------------------
def listeners(tabs: int, seconds: float) -> list[Result]:
    """Tabs that hear 1,000 events a second each, over WebSockets; none may be lost."""
    with project("process") as p:
        p.client.status()
        lags, lost = asyncio.run(_listen(p, tabs, seconds))
    lags.sort()
    p99 = lags[int(0.99 * (len(lags) - 1))] * 1000
    note = f"p50 {statistics.median(lags) * 1000:.0f} ms, {len(lags):,} heard, {lost} lost"
    what = f"{tabs} tabs x 1,000 events/s, p99"
    return [Result(what=what, who="ragent", unit="ms", better="less", values=[p99], goal=100, note=note)]


async def _listen(p: Any, tabs: int, seconds: float) -> tuple[list[float], int]:
    import socket

    from tornado.httpclient import HTTPRequest
    from tornado.netutil import Resolver
    from tornado.websocket import websocket_connect

    path = socket_path(p.folder)

    class ToSocket(Resolver):
        async def resolve(self, *args: Any, **kwargs: Any) -> list[Any]:  # type: ignore[override]
            return [(socket.AF_UNIX, path)]

    lags: list[float] = []
    counts = [0] * tabs
    after = p.client.status().seq

    async def tab(number: int, ready: asyncio.Event) -> None:
        wire = await websocket_connect(HTTPRequest("ws://engine/ragent/api/v1/events/ws"), resolver=ToSocket())
        await wire.write_message(json.dumps({"after": after, "topics": ["prefs"]}))
        await wire.read_message()  # hello
        ready.set()
        while True:
            message = await wire.read_message()
            if message is None:
                return
            now = time.time()
            for line in message.split("\n"):
                envelope = msgspec.json.decode(line, type=dict[str, Any])
                if envelope["type"] == "prefs_changed":
                    counts[number] += 1
                    if number % 5 == 0:
                        lags.append(now - envelope["time"])

    readies = [asyncio.Event() for _ in range(tabs)]
    tasks = [asyncio.create_task(tab(i, ready)) for i, ready in enumerate(readies)]
    await asyncio.gather(*(ready.wait() for ready in readies))
    sent = 0
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < seconds:
        many = {f"b{i}": sent + i for i in range(50)}
        await loop.run_in_executor(None, p.client.put, "prefs", many)
        sent += 50
        await asyncio.sleep(max(0.0, began + sent / 1000 - loop.time()))
    deadline = loop.time() + 10
    while any(c < sent for c in counts) and loop.time() < deadline:  # noqa: ASYNC110 (a test's wait, with a deadline)
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    return lags, sum(max(0, sent - c) for c in counts)


# --- one sidecar ------------------------------------------------------------------------------------------------------
def one_sidecar(seconds: float) -> list[Result]:
    starts, sizes, shares = [], [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="rg-side-", dir="/tmp") as name:
            folder = Path(name).resolve()
            spec = Spec(run_id="run_x", project=str(folder), argv=["true"], cwd=str(folder))
            write_spec(folder, spec, {})
            me = os.getpid()
            claim = Claim(
                run_id="run_x", host=os.uname().nodename, boot_id=proc.boot_id(), pid=me, start_time=proc.start_time(me)
            )
            (folder / "claim.json").write_bytes(msgspec.json.encode(claim))
            (folder / "metrics.jsonl").write_text('{"step": 0, "loss": 1.0}\n')
            began = time.perf_counter()
            process = subprocess.Popen(
                [*sidecar_argv(), str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                commits = folder / "metrics" / "commits.jsonl"
                wait_until(lambda commits=commits: commits.exists() and commits.stat().st_size, 10, every=0.002)
                starts.append((time.perf_counter() - began) * 1000)
                about = psutil.Process(process.pid)
                time.sleep(2.0)
                before = about.cpu_times()
                time.sleep(seconds / 3)
                after = about.cpu_times()
                shares.append((after.user + after.system - before.user - before.system) / (seconds / 3) * 100)
                sizes.append(about.memory_info().rss / 1e6)
            finally:
                process.kill()
                process.wait()
    return [
        Result(what="one sidecar: start to first row", who="ragent", unit="ms", better="less", values=starts, goal=150),
        Result(what="one sidecar: memory", who="ragent", unit="MB", better="less", values=sizes, goal=25),
        Result(what="one sidecar: idle", who="ragent", unit="% of a core", better="less", values=shares, goal=0.5),
    ]


if __name__ == "__main__":
    main(run)
    sys.exit(0)
