"""What goes wrong around the engine: disks, clocks, databases, folders, other doors."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, RagentError
from ragent_jupyter.domain.sweep import SearchSpace, Values
from ragent_jupyter.domain.wire import CreateRun, CreateSweep
from ragent_jupyter.domain.wire_wild import CreateLoop
from tests.support.engine import Project, project, sweep_up
from tests.support.wait import wait_until


def test_A8_each_run_has_its_own_gpu_and_a_foreign_one_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGENT_FAKE_GPUS", json.dumps([[], [1], [], []]))  # pid 1 is nobody of ours
    with project("process") as p:
        go = p.folder / "go"
        runs = [p.run(f"echo $CUDA_VISIBLE_DEVICES; until [ -e {go} ]; do sleep 0.05; done", gpus=1) for _ in range(6)]
        p.until(lambda: p.client.runs(status="running").total == 3)
        live = p.client.runs(status="running").runs
        assert sorted(i for r in live for i in r.gpu_ids) == [0, 2, 3]
        told = "Waits for 1 of 4 GPUs (1 held by other programs)."
        p.until(lambda: [p.client.run(r.id).waits for r in runs] == [""] * 3 + [told, "", ""])
        go.touch()
        ended = [p.wait(r, timeout=60) for r in runs]
        assert [r.status.value for r in ended] == ["finished"] * 6
        for run in ended:
            assert p.client.logs(run.id).text.strip() == str(run.gpu_ids[0])
            assert p.alerts(run=run.id) == [] and run.waits == ""


def test_more_gpus_than_there_are_is_refused_at_every_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGENT_FAKE_GPUS", "2")
    with project("process") as p:
        space = SearchSpace(parameters={"lr": Values([0.1])})
        for ask in (
            lambda gpus: p.client.create_run(CreateRun(command="true", gpus=gpus)),
            lambda gpus: p.client.create_sweep(CreateSweep(command="true", space=space, gpus=gpus)),
            lambda gpus: p.client.create_loop(CreateLoop(goal="lower loss", command="true", gpus=gpus)),
        ):
            with pytest.raises(BadInput, match=r"3 GPUs asked for; this machine has 2\. Ask for at most 2\."):
                ask(3)
        assert not p.client.all_runs() and not p.client.sweeps() and not p.client.loops()
        assert p.wait(p.run("true", gpus=2)).status.value == "finished"


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 24 MB. Mounting needs root, as CI has; elsewhere this fails rather than pretend."""
    folder = Path(tempfile.mkdtemp(prefix="rg-disk-", dir="/tmp")).resolve()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, f"run as root, or in a user namespace: {done.stderr}"
    try:
        yield folder
    finally:
        sweep_up(folder)
        subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def test_W16_a_full_disk_is_said_loses_nothing_and_all_goes_on_when_there_is_room(small_disk: Path) -> None:
    (small_disk / ".ragent").mkdir()
    p = Project(small_disk, "process")
    script = """
import json, os, time
out = open(os.environ["RAGENT_METRICS_FILE"], "ab", buffering=0)
for step in range(300):
    row = json.dumps({"step": step, "loss": 1.0 / (step + 1)}).encode() + b"\\n"
    while True:  # a training that insists, as ragent.log does
        try:
            assert out.write(row) == len(row); break
        except OSError: time.sleep(0.05)
    time.sleep(0.005)
"""
    run = p.run(p.script("t.py", script))
    p.until(lambda: len(p.points(run, "loss")) > 20)
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        except OSError:
            pass

    def ask_for_room() -> None:
        p.client.put("prefs", {"colours": {"a": "x" * 60000}})
        p.client.create_run(CreateRun(command="true", start=False, executor="process"))

    with pytest.raises(RagentError) as refusal:
        for _ in range(200):  # whatever small room is left is used up first
            ask_for_room()
    assert refusal.value.status in (503, 422) and refusal.value.remedy

    def says_so() -> bool:
        """Right after a refusal: a little room that was given free meanwhile may let the engine write once more."""
        with contextlib.suppress(RagentError):
            ask_for_room()
        return bool(p.client.status().problem)

    p.until(says_so, what="the status to name the problem")
    ballast.unlink()
    run = p.wait(run, timeout=60)
    assert run.status.value == "finished"
    steps = [s for s, _ in p.points(run, "loss")]
    assert steps == [float(i) for i in range(300)]
    assert p.wait(p.run("true")).status.value == "finished"


def test_a_project_that_cannot_be_written_is_refused_with_the_remedy() -> None:
    with pytest.raises(CannotBeDone, match="cannot be written"):
        Client("/proc").status()


def test_the_home_folder_is_never_taken_silently(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CannotBeDone, match="home folder"):
        Client(tmp_path)


def test_a_deep_project_has_its_socket_elsewhere_and_works() -> None:
    with project("process") as outer:
        deep = outer.folder / ("d" * 60) / ("e" * 60)
        (deep / ".ragent").mkdir(parents=True)
        p = Project(deep, "process")
        try:
            assert p.wait(p.run("echo deep")).status.value == "finished"
            assert not (deep / ".ragent" / "engine.sock").exists()
        finally:
            p.close()


def test_a_newer_database_is_refused_and_left_alone(one: Project) -> None:
    one.wait(one.run("true"))
    database, pid = one.folder / ".ragent" / "ragent.db", one.engine_pid
    one.client.post("drain")
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    import sqlite3

    connection = sqlite3.connect(database)
    connection.execute(
        "update schema_version set version = 999 where version = (select max(version) from schema_version)"
    )
    assert connection.total_changes == 1
    connection.commit()
    connection.close()

    def dump() -> list[str]:
        with contextlib.closing(sqlite3.connect(database)) as reader:
            return list(reader.iterdump())

    before = dump()
    with pytest.raises(RagentError) as refusal:
        Client(one.folder).status()
    assert "newer" in str(refusal.value) or "ragent" in str(refusal.value)
    assert dump() == before


CLOCK = """
import asyncio, sys
from pathlib import Path
from ragent_jupyter.engine.app import Engine
from ragent_jupyter.services.shell import Clock

class Jumpy(Clock):
    calls = 0
    def now(self):
        Jumpy.calls += 1
        return super().now() + (0, 86400.0, -86400.0, 4e7)[Jumpy.calls // 40 % 4]

async def main():
    await Engine(Path(sys.argv[1]), idle_s=600, clock=Jumpy()).run()
asyncio.run(main())
"""


def test_W20_a_jumping_clock_loses_no_run_and_stops_none(one: Project) -> None:
    log = (one.folder / "engine.out").open("w")
    engine = subprocess.Popen([sys.executable, "-c", CLOCK, str(one.folder)], stdout=log, stderr=log)
    try:
        wait_until(lambda: (one.folder / ".ragent" / "engine.sock").exists(), 20)
        runs = [one.run("for i in 1 2 3 4 5 6; do echo step $i loss 0.5; sleep 0.3; done") for _ in range(2)]
        ended = [one.wait(r, timeout=40) for r in runs]
        assert [r.status.value for r in ended] == ["finished", "finished"]
        assert [a for r in runs for a in one.alerts(run=r.id) if a.severity.value != "info"] == []
    finally:
        engine.terminate()
        engine.wait(20)


def test_two_jupyter_servers_and_a_command_line_share_one_engine(one: Project) -> None:
    import socket
    import urllib.request

    def server(number: int) -> tuple[subprocess.Popen[bytes], str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        home = one.folder / f"jupyter{number}"
        env = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": f"{home}/c",
            "JUPYTER_DATA_DIR": f"{home}/d",
            "JUPYTER_RUNTIME_DIR": f"{home}/r",
        }
        argv = [
            sys.executable,
            "-m",
            "jupyter_server",
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
        ]
        argv += ["--ServerApp.port_retries=0", "--IdentityProvider.token=t", f"--ServerApp.root_dir={one.folder}"]
        argv += ["--ServerApp.jpserver_extensions={'ragent_jupyter': True}"]
        log = (one.folder / f"server{number}.log").open("wb")
        return subprocess.Popen(argv, env=env, stdout=log, stderr=log), f"http://127.0.0.1:{port}/ragent/api/v1"

    def ask(base: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{base}/{path}", data, {"Authorization": "token t"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)

    def answers(base: str) -> bool:
        try:
            return bool(ask(base, "status"))
        except OSError:
            return False

    servers = [server(1), server(2)]
    try:
        for _, base in servers:
            wait_until(lambda base=base: answers(base), 40, what=f"{base} to answer")
        run = ask(servers[0][1], "runs", {"command": "sleep 3; echo both", "executor": "process"})
        pids = {ask(base, "status")["pid"] for _, base in servers}
        told = subprocess.run(
            [sys.executable, "-m", "ragent_jupyter.cli.main", "--json", "-C", str(one.folder), "status"],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        pids.add(json.loads(told.stdout)["pid"])
        assert len(pids) == 1
        assert ask(servers[1][1], f"runs/{run['id']}")["id"] == run["id"]
        servers[0][0].kill()
        servers[1][0].terminate()
        for process, _ in servers:
            process.wait(30)
        assert one.engine_pid in pids
        assert one.wait(run["id"]).status.value == "finished"
    finally:
        for process, _ in servers:
            process.kill()
            process.wait(10)
