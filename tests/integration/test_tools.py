"""The assistant's tools on a real engine, with real runs: what they tell is what the files hold."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.adapters import git_diff
from ragent_jupyter.adapters.executors.process import ProcessExecutor
from ragent_jupyter.domain.errors import WrongMoment
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.tools import ToolOutcome
from ragent_jupyter.engine.app import Engine
from ragent_jupyter.services.tools.alerts import alert_tools
from ragent_jupyter.services.tools.base import Toolbox, ToolContext
from ragent_jupyter.services.tools.compare import compare_tools
from ragent_jupyter.services.tools.launch import launch_tools
from ragent_jupyter.services.tools.logs import log_tools
from ragent_jupyter.services.tools.metrics import metric_tools
from ragent_jupyter.services.tools.plots import plot_tools
from ragent_jupyter.services.tools.reports import report_tools
from ragent_jupyter.services.tools.runs import run_tools
from ragent_jupyter.services.tools.sweeps import sweep_tools
from tests.support.engine import Project, project

pytestmark = pytest.mark.slow

TRAIN = """
import argparse, json, math, os, sys
args = argparse.ArgumentParser()
args.add_argument("--lr", type=float, default=0.1)
args.add_argument("--nan-at", type=int, default=-1)
args.add_argument("--fail", type=int, default=0)
args = args.parse_args()
out = open(os.environ["RAGENT_METRICS_FILE"], "a")
for step in range(300):
    loss = 2.0 * math.exp(-args.lr * step) + 0.1 + 0.01 * math.sin(step) + abs(args.lr - 0.2)
    if args.nan_at >= 0 and step >= args.nan_at:
        loss = float("nan")
    out.write(json.dumps({"step": step, "loss": loss, "lr": args.lr}) + "\\n")
out.close()
print("done with lr", args.lr, flush=True)
if args.fail:
    raise ValueError("lr %s is too high" % args.lr)
"""


@pytest.fixture
def here() -> Iterator[Project]:
    with project("process") as made:
        (made.folder / "train.py").write_text(TRAIN)
        yield made


class Bench:
    """An engine in this process, and the tools on its desks."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.box = Toolbox()
        for family in (
            run_tools(engine.runs, engine.alerts), launch_tools(engine.runs),
            compare_tools(engine.runs, git_diff.between), metric_tools(engine.runs, engine.metrics),
            log_tools(engine.runs), sweep_tools(engine.sweeps), alert_tools(engine.alerts),
            plot_tools(engine.runs, engine.metrics), report_tools(engine.reports),
        ):  # fmt: skip
            for tool in family:
                self.box.add(tool)
        self.calls = 0

    async def call(self, name: str, /, call_id: str = "", **input: Any) -> ToolOutcome:
        self.calls += 1
        ctx = ToolContext("ses_1", "trn_1", call_id or f"prt_{self.calls}", "ask", by="ada")
        tool, args = self.box.get(name), self.box.arguments(name, input)
        await tool.preview(args, ctx)
        return await tool.run(args, ctx)

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        news = self.engine.shell.subscribe()

        async def wait() -> Any:
            while not (found := condition()):
                await news.wait()
                news.clear()
            return found

        try:
            return await asyncio.wait_for(wait(), 60)
        except asyncio.TimeoutError:
            raise AssertionError(f"not so after 60 s: {what}") from None
        finally:
            self.engine.shell.unsubscribe(news)

    async def launched(self, command: str, call_id: str = "") -> str:
        outcome = await self.call("launch_run", call_id, command=command, python=sys.executable)
        return str(outcome.data["run"])

    async def over(self, run_id: str) -> Run:
        def settled() -> Run | None:
            run = self.engine.shell.runs[run_id]
            return run if run.status.terminal and run.settled else None

        found: Run = await self.until(settled, f"{run_id} to be over")
        return found


def rows_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def on_bench(here: Project, do: Callable[[Bench], Awaitable[None]]) -> None:
    async def go() -> None:
        engine = Engine(here.folder, executors={"process": ProcessExecutor(str(here.folder))})
        serving = asyncio.ensure_future(engine.run())
        try:
            await do(Bench(engine))
        finally:
            engine.drain("the test is over")
            await serving

    asyncio.run(go())


def test_a_launch_is_made_once_and_its_curve_is_told_exactly(here: Project) -> None:
    async def do(bench: Bench) -> None:
        command = "python train.py --lr 0.2 --nan-at 250"
        first = await bench.launched(command, "prt_once")
        assert await bench.launched(command, "prt_once") == first
        assert len(bench.engine.shell.runs) == 1
        run = await bench.over(first)
        assert run.status.value == "finished"

        rows = rows_of(bench.engine.runs.folder(first))
        finite = [(r["step"], r["loss"]) for r in rows if math.isfinite(r["loss"])]
        best = min(finite, key=lambda p: p[1])
        text = (await bench.call("read_metrics", runs=[first], metrics=["loss"], exact=True)).text
        assert "loss: 300 points, steps 0..299" in text
        assert f"first {finite[0][1]!r} at step 0; last {finite[-1][1]!r} at step 249" in text
        assert f"best (min) {best[1]!r} at step {best[0]}" in text
        assert "not finite: 50: nan at step 250, nan at step 251" in text and "nothing finite after" in text
        near = (await bench.call("read_metrics", runs=[first], metrics=["loss"], around=100, points=3)).text
        assert near.splitlines()[0].endswith(", ".join(f"{n}: {rows[n]['loss']!r}" for n in (99, 100, 101)))

        shown = (await bench.call("show_run", run="latest", exact=True)).text
        assert f"{best[1]!r} @ {best[0]}" in shown and "settings: lr=0.2, nan-at=250" in shown
        alerts = (await bench.call("list_alerts", status="all", run=first)).text
        assert "loss became NaN at step 250" in alerts and "critical" in alerts
        log = await bench.call("search_log", run=first, pattern="done with")
        assert "> 1: done with lr 0.2" in log.text and log.untrusted == f"job.log of {first}"
        chart = await bench.call("plot_chart", metric="loss", runs=[first])
        assert chart.data == {"card": "chart", "metric": "loss", "runs": [first], "x": "step"}

    on_bench(here, do)


def test_the_changed_lr_is_found_and_the_better_run_named(here: Project) -> None:
    async def do(bench: Bench) -> None:
        good = await bench.over(await bench.launched("python train.py --lr 0.2"))
        bad = await bench.over(await bench.launched("python train.py --lr 3.5 --fail 1"))
        assert (good.status.value, bad.status.value) == ("finished", "failed")
        outcome = await bench.call("diff_config", run=bad.id)
        assert f"against {good.id}" in outcome.text
        assert ["setting", "lr", "0.2", "3.5"] in outcome.data["rows"]
        text = (await bench.call("compare_runs", runs=[good.id, bad.id])).text
        assert "lr | 0.2 | 3.5" in text and f"better by loss (min): {good.id}" in text and "unconfirmed" in text
        assert "ValueError: lr 3.5 is too high" in (await bench.call("show_run", run=bad.id)).text
        assert "ValueError: lr 3.5 is too high" in (await bench.call("read_log", run=bad.id)).text
        listed = await bench.call("list_runs", status=["failed"])
        assert listed.data["runs"] == [bad.id]
        report = await bench.call("create_report", runs=[good.id, bad.id], title="Two runs")
        assert (here.folder / report.data["path"]).is_file() and "Best loss" in report.text

    on_bench(here, do)


def test_stop_stops_and_a_retry_is_made_once(here: Project) -> None:
    async def do(bench: Bench) -> None:
        run_id = await bench.launched("sleep 100")
        await bench.until(lambda: bench.engine.shell.runs[run_id].status.value == "running", "it to run")
        assert "is being stopped" in (await bench.call("stop_run", run=run_id)).text
        run = await bench.over(run_id)
        assert run.status.value == "stopped" and run.reason is not None and "assistant for ada" in run.reason.text
        with pytest.raises(WrongMoment):
            await bench.call("stop_run", run=run_id)
        made = {(await bench.call("retry_run", "prt_again", run=run_id)).data["run"] for _ in range(2)}
        assert len(made) == 1
        await bench.call("stop_run", run=made.pop(), now=True)

    on_bench(here, do)


def test_a_sweep_is_created_started_and_ends_with_its_best(here: Project) -> None:
    async def do(bench: Bench) -> None:
        sweep = {
            "command": "python train.py", "parameters": {"lr": [0.1, 0.2, 0.4]}, "primary": "loss", "parallel": 3,
            "python": sys.executable, "start": False,
        }  # fmt: skip
        made = [(await bench.call("create_sweep", "prt_s", **sweep)).data["sweep"] for _ in range(2)]
        assert made[0] == made[1] and len(bench.engine.shell.sweeps) == 1 and not bench.engine.shell.runs
        assert "status running" in (await bench.call("start_sweep", sweep=made[0])).text
        await bench.until(lambda: bench.engine.shell.sweeps[made[0]].status.terminal, "the sweep to end")
        runs = list(bench.engine.shell.runs.values())
        assert len(runs) == 3
        for run in runs:
            await bench.over(run.id)
        text = (await bench.call("show_sweep", sweep=made[0])).text
        best = re.search(r"best: (\S+) in (run_\w+) \(lr=0\.2\), unconfirmed", text)
        assert best is not None, text
        summary = bench.engine.shell.runs[best[2]].summary["loss"]
        assert summary.min is not None and best[1] == f"{summary.min:.4g}"
        assert (await bench.call("list_runs", sweep=made[0], sort="best")).data["runs"][0] == best[2]

    on_bench(here, do)
