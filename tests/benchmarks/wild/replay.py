"""An engine that begins with a long past: a loop that rests after 100,000 entries, and as many records of the log."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.client import Client
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import RowPut, Tx
from ragent_jupyter.domain.wild import Entry, Limits, Loop, LoopEvent, Seen, Setup, Stage
from ragent_jupyter.runfiles.project import ensure_ragent_dir
from ragent_jupyter.services.wild_book import entry_id
from tests.benchmarks.bench_engine import _engine
from tests.support.engine import sweep_up

from .figures import Figure

BENCH = "replay"
LOOP = "wld_000000bench0"


def run(short: bool, times: int | None = None) -> list[Figure]:
    records, rounds = (10_000, 1) if short else (100_000, 10)
    # Both begin in turn, so that a busy minute hits them alike.
    starts: dict[str, list[float]] = {"ragent": [], "no past": []}
    cpu: dict[str, list[float]] = {"ragent": [], "no past": []}
    looks: list[float] = []
    pages: list[float] = []
    with tempfile.TemporaryDirectory(prefix="rg-past-", dir="/tmp") as name, compiled(Path(name) / "pyc"):
        folders = {"ragent": Path(name).resolve() / "long", "no past": Path(name).resolve() / "short"}
        for who, folder in folders.items():
            folder.mkdir()
            past(folder, records if who == "ragent" else 10)
        warm, _ = _engine(folders["no past"])  # compiles
        warm.kill()
        warm.wait()
        for _ in range(times or rounds):
            for who, folder in folders.items():
                process, took = _engine(folder)
                try:
                    used = psutil.Process(process.pid).cpu_times()
                    starts[who].append(took)
                    cpu[who].append(used.user + used.system)
                    if who == "ragent":
                        client = Client(folder, start=False)
                        looks.append(timed(lambda c=client: c.loop(LOOP)))
                        pages.append(timed(lambda c=client: c.journal(LOOP, after=records // 2)))
                finally:
                    process.kill()
                    process.wait()
        for folder in folders.values():
            sweep_up(folder)
    what = f"{records:,} entries and records"
    rows: list[Figure] = []
    for who in starts:
        goal = 2.0 if who == "ragent" else None
        rows.append(Figure(bench=BENCH, what=f"{what}: start → first answer", who=who, unit="s", values=starts[who],
                           goal=goal, typical="median"))  # fmt: skip
    for who in cpu:
        rows.append(Figure(bench=BENCH, what=f"{what}: its processor time", who=who, unit="s", values=cpu[who],
                           typical="median"))  # fmt: skip
    return [
        *rows,
        Figure(bench=BENCH, what=f"{what}: the loop, first look", unit="s", values=looks, typical="median"),
        Figure(bench=BENCH, what=f"{what}: a page of the ledger", unit="s", values=pages, typical="median"),
    ]


@contextmanager
def compiled(folder: Path) -> Iterator[None]:
    """Modules are compiled once, as they are where ragent is installed, whatever this environment says."""
    before = dict(os.environ)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def past(folder: Path, records: int) -> None:
    ensure_ragent_dir(folder)
    store = open_store(folder / ".ragent" / "ragent.db")
    loop = Loop(
        id=LOOP, goal="lower val_loss", created_at=1.7e9, setup=Setup(command="python train.py", cwd=os.fspath(folder)),
        stage=Stage.EXPLORING, paused=True, limits=Limits(runs=records), entries=records,
    )  # fmt: skip
    data = msgspec.json.encode(loop)
    store.commit_now(Tx(puts=[RowPut(kind="wild", id=LOOP, data=data, sort=loop.created_at)]))
    for start in range(0, records, 5000):
        puts, many = [], []
        for n in range(start + 1, min(start + 5000, records) + 1):
            entry = Entry(
                id=entry_id(LOOP, n), loop_id=LOOP, n=n, at=1.7e9 + n, by="rule", stage="running", iteration=n // 10,
                who="rule:tpe", event=LoopEvent(id=f"completion:{n}", kind="completion", at=1.7e9 + n, order=50.0),
                evidence=[Seen(kind="run", ref=f"run_{n:012d}", value=1.0 / n)],
                reasoning=f"Batch {n // 10} ended; the best so far is run_{n:012d} and the next one looks near it.",
                action={"do": "propose_sweep", "name": "search", "points": [{"lr": 1.0 / n}] * 4},
            )  # fmt: skip
            raw = msgspec.json.encode(entry)
            puts.append(RowPut(kind="entry", id=entry.id, data=raw, parent=LOOP, sort=float(n)))
            many.append(Record(stream=entry.id, topic="wild", type="wild_entry", data=msgspec.Raw(raw)))
        store.commit_now(Tx(puts=puts, records=many))
    store.close()
