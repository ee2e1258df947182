"""Runs that execute a commit's files while the user goes on editing theirs: a real engine, real processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from ragent_jupyter.adapters.executors.process import ProcessExecutor
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wild import FileEdit
from ragent_jupyter.domain.wire import CreateRun
from ragent_jupyter.engine.app import Engine
from ragent_jupyter.runfiles.spec import read_spec
from tests.support.engine import project
from tests.support.git_repo import Repo

TRAIN = """
import csv, os, time
import model
while not os.path.exists("go"):
    time.sleep(0.01)
import late
with open("log.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["step", "loss"])
    rows.writerows([[n, model.VALUE / (n + 1)] for n in range(20)])
with open(os.path.join(os.environ["RAGENT_OUTPUT_DIR"], "out.txt"), "w") as file:
    file.write(f"{model.VALUE} {late.VALUE} {late.__file__}")
"""
LOOP = "wld_1"


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = Repo(folder)
        files = {"train.py": TRAIN, "model.py": "VALUE = 1\n", "late.py": "VALUE = 1\n", ".gitignore": ".ragent/\n"}
        self.repo.commit(files)
        self.engine = Engine(folder, executors={"process": ProcessExecutor(str(folder))})
        self.trees = self.engine.trees

    async def launch(self, commit: str) -> Run:
        body = CreateRun(command="python train.py", cwd=str(self.folder), python=sys.executable, executor="process")
        return await self.engine.runs.create(body, tree=commit)

    async def until(self, run: Run, *statuses: str) -> Run:
        for _ in range(1200):
            found = self.engine.runs.get(run.id)
            if found.status.value in statuses and (found.settled or "running" in statuses or found.reason):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"not {statuses}: {self.engine.runs.get(run.id)}")

    def work(self, run: Run) -> Path:
        return self.folder / ".ragent" / "runs" / run.id / "work"


def on_bench(do: Callable[[Bench], Awaitable[None]]) -> None:
    async def go(folder: Path) -> None:
        bench = Bench(folder)
        serving = asyncio.ensure_future(bench.engine.run())
        try:
            await do(bench)
        finally:
            bench.engine.drain("the test is over")
            await serving

    with project("process") as here:
        asyncio.run(go(here.folder))


def test_W17_a_run_executes_its_commit_whatever_the_user_edits_meanwhile() -> None:
    async def do(bench: Bench) -> None:
        base = bench.trees.base(str(bench.folder), LOOP)
        edit = FileEdit(path="model.py", old="1", new="2")
        made = bench.trees.edit(LOOP, base.commit, [edit], "twice", "k1")
        run = await bench.launch(made)
        await bench.until(run, "running")
        # The user works on, in the middle of the run and on the very files.
        bench.repo.put({"model.py": "VALUE = 'user'\n", "late.py": "VALUE = 'user'\n"})
        bench.repo.commit(message="the user's")
        before = bench.repo.state()
        (bench.work(run) / "go").touch()
        over = await bench.until(run, "finished", "failed")
        assert over.status.value == "finished", over.reason
        tree = bench.folder / ".ragent" / "trees" / made
        assert (bench.work(run) / "out.txt").read_text() == f"2 1 {tree}/late.py"
        assert not (bench.folder / "out.txt").exists() and not (bench.folder / "log.csv").exists()
        assert bench.repo.state() == before
        assert bench.trees.changed(made) == []
        # The run is the user's own in words; where it executed stands in its folder.
        assert (over.cwd, over.command, over.tree) == (str(bench.folder), "python train.py", made)
        spec = read_spec(bench.work(run).parent)
        assert spec.git is not None and (spec.git.commit, spec.cwd) == (made, str(bench.work(run)))
        # Metrics that the script writes beside itself are found there.
        assert over.summary["loss"].count == 20 and over.summary["loss"].last == 0.1

    on_bench(do)


def test_a_run_whose_code_is_not_the_commit_s_is_not_launched() -> None:
    async def do(bench: Bench) -> None:
        base = bench.trees.base(str(bench.folder), LOOP)
        tree = bench.trees.tree(base.commit)
        (tree / "model.py").chmod(0o644)
        (tree / "model.py").write_text("VALUE = 'changed'\n")
        refused = await bench.until(await bench.launch(base.commit), "failed")
        assert refused.reason is not None and refused.reason.kind == "launch_error"
        assert "model.py" in refused.reason.text and "restored" in refused.reason.text
        assert not bench.work(refused).exists()
        again = await bench.launch(base.commit)
        await bench.until(again, "running")
        (bench.work(again) / "go").touch()
        assert (await bench.until(again, "finished", "failed")).status.value == "finished"
        nowhere = await bench.until(await bench.launch("f" * 40), "failed")
        assert nowhere.reason is not None and "no commit" in nowhere.reason.text

    on_bench(do)


def test_a_run_without_a_tree_runs_where_it_always_did() -> None:
    async def do(bench: Bench) -> None:
        bench.repo.put({"go": ""})
        run = await bench.launch("")
        over = await bench.until(run, "finished", "failed")
        # RAGENT_OUTPUT_DIR is a thing of trees: the script ends at it, after its metrics.
        assert over.reason is not None and "RAGENT_OUTPUT_DIR" in msgspec.json.encode(over.reason).decode()
        assert (bench.folder / "log.csv").exists() and not bench.work(run).exists()

    on_bench(do)
