"""Write the golden database of a release, once: `python -m tests.logs.make_golden tests/logs/v1`.

It holds an object of every kind, a record of every type and an effect of every class, with their optional fields set.
Later releases must open what stands there (test_log_compatibility); it is never written again after the release.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.domain.alert import Alert, AlertStatus, Choice, Evidence, Severity
from ragent_jupyter.domain.effects import Launch, SendAnswer, SendFinish, SendStop
from ragent_jupyter.domain.ports import Store
from ragent_jupyter.domain.run import GitState, Interpreter, MetricSummary, Progress, Reason, Run, RunStatus
from ragent_jupyter.domain.sweep import Range, SearchSpace, Sweep, SweepStatus, Trial, Values
from ragent_jupyter.services.shell import Change, Shell

NOW = 1_790_000_000.0
REPORT = {"id": "rep_1", "path": "/p/r.ipynb", "title": "R", "sweep": "swp_1", "created_at": NOW, "findings": ["a"]}


def runs() -> list[Run]:
    ready = Run(
        id="run_0", name="ready", command="python train.py", argv=["python", "train.py"], cwd="/p", created_at=NOW
    )
    full = Run(
        id="run_1",
        name="lr=0.1",
        command="python train.py --lr 0.1",
        argv=["sh", "-c", "python train.py --lr 0.1"],
        cwd="/p/übung",
        created_at=NOW + 1,
        kind="notebook",
        status=RunStatus.FAILED,
        reason=Reason(kind="nan", text="loss became NaN", log_line="step 412 loss nan"),
        interpreter=Interpreter(path="/usr/bin/python3", kind="venv", name="env", version="3.11.2"),
        env={"LR": "0.1"},
        executor="process",
        executor_handle="4242:17.5",
        gpus=1,
        gpu_ids=[0],
        share_gpu=True,
        sweep_id="swp_1",
        trial=0,
        params={"lr": 0.1, "opt": "sgd"},
        seed=7,
        retry_of="run_0",
        git=GitState(commit="abc", branch="main", dirty=True, diff_file="git.diff"),
        primary="val/loss",
        mode="max",
        order=1.5,
        stop_order="ord_1",
        stop_by="alert:alt_1",
        queued_at=NOW + 2,
        launched_at=NOW + 3,
        started_at=NOW + 4,
        ended_at=NOW + 5,
        exit_code=1,
        signal=9,
        max_rss_bytes=1 << 33,
        cpu_s=3.5,
        unreachable_since=NOW + 4.5,
        health="unwatched: no Python",
        summary={"loss": MetricSummary(last="nan", step=412, min=0.1, min_step=3, max=9.0, max_step=1, count=413)},
        progress=Progress(fraction=0.5, step=5, total=10, eta_s=60.0, text="5/10"),
        archived=True,
        favourite=True,
        alias="the bad one",
        tags=["a", "b"],
        notes="said 'no'\n",
        colour="#ff0000",
        pid=12,
        kernel="python3",
        settled=True,
        request_id="request",
    )
    return [ready, full]


def sweep() -> Sweep:
    space = SearchSpace(
        method="random",
        parameters={"lr": Range(low=1e-4, high=1.0, log=True), "opt": Values(values=["sgd", None, 1])},
        seed=3,
        flag="{name}={value}",
    )
    return Sweep(
        id="swp_1",
        name="lr",
        command="python train.py",
        cwd="/p",
        created_at=NOW,
        space=space,
        status=SweepStatus.RUNNING,
        reason="said so",
        trials=[Trial(index=0, params={"lr": 0.1}, run_ids=["run_0", "run_1"])],
        parallel=2,
        smoke=False,
        env={"A": "b"},
        goal="find it",
        started_at=NOW,
        request_id="request",
    )


def alert() -> Alert:
    choices = [
        Choice(id="ignore", action="ignore", label="Ignore"),
        Choice(id="retry_lower_lr", action="retry_with", label="Lower lr to 0.01 and retry", set={"lr": 0.01}),
    ]
    return Alert(
        id="alt_1",
        run_id="run_1",
        rule="non_finite",
        severity=Severity.CRITICAL,
        title="loss became NaN at step 412",
        raised_at=NOW + 4.2,
        text="It will not recover.",
        evidence=Evidence(metric="loss", step=412, value="nan", window=[(411.0, 2.5), (412.0, "nan")], offset=17),
        choices=choices,
        default="ignore",
        status=AlertStatus.RESOLVED,
        choice="retry_lower_lr",
        answered_by="user",
        answered_at=NOW + 4.4,
        note="run_2 was made",
    )


async def fill(store: Store) -> None:
    """What a day's work leaves, through the engine's own shell."""
    shell = Shell(store)
    for run in runs():
        await shell.commit([Change("run_created", run)])
    await shell.commit([Change("run_changed", runs()[1]), Change("run_ended", runs()[1])])
    await shell.commit([Change(f"sweep_{what}", sweep()) for what in ("created", "changed", "ended")])
    await shell.commit([Change(f"alert_{what}", alert()) for what in ("raised", "changed")])
    await shell.commit([Change("report_created", REPORT)])
    await shell.commit([Change("prefs_changed", {"id": "parallel", "value": 3})])
    effects = [
        Launch(run_id="run_0"),
        SendStop(run_id="run_1", order_id="ord_1", by="user", now=True),
        SendAnswer(run_id="run_1", order_id="ord_2", alert_id="alt_1", choice="ignore", action="ignore"),
        SendFinish(run_id="run_1", order_id="ord_3"),
    ]
    await shell.commit([], effects, {"run_1/facts": 4096, "run_1/wrapper": 17})


def picture(store: Store) -> list[dict[str, Any]]:
    """All that the store holds, as plain JSON."""
    lines: list[dict[str, Any]] = [{"log_id": store.log_id, "newest": store.newest_seq(), "oldest": store.oldest_seq()}]
    lines += [{"record": msgspec.to_builtins(stored)} for stored in map(_plain, store.read_log(0, None, 1000))]
    for kind in ("run", "sweep", "alert", "report", "pref"):
        lines += [{"kind": kind, "data": msgspec.json.decode(data)} for data in store.load(kind)]
    lines += [{"owed": msgspec.to_builtins(owed)} for owed in store.owed()]
    lines += [{"offset": [file, size]} for file, size in sorted(store.offsets().items())]
    return lines


def _plain(stored: Any) -> dict[str, Any]:
    fields = {name: getattr(stored, name) for name in ("seq", "stream", "topic", "type", "v", "time")}
    return {**fields, "data": msgspec.json.decode(stored.data)}


def main(folder: Path) -> None:
    if (folder / "ragent.sql").exists():
        raise SystemExit(f"{folder} is written already. A release's log is never written again.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "ragent.db"
        store = open_store(path, lambda: NOW)
        asyncio.run(fill(store))
        lines = picture(store)
        store.close()
        connection = sqlite3.connect(path)
        (folder / "ragent.sql").write_text("\n".join(connection.iterdump()) + "\n")
        connection.close()
    (folder / "expected.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
