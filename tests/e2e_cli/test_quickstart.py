"""The first five minutes of a newcomer, on the real thing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.support.wait import wait_until

from .conftest import Place

SMALL = '{"name": "small", "command": "python train.py --steps 400 --warmup 100", "parameters": {"lr": [0.1, 3.0]}, '
SMALL += '"primary": "val_loss"}'


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_quickstart_ends_in_a_report_that_is_true(place: Place) -> None:
    project = place.folder / "ragent-quickstart"
    place.projects.add(project)
    began = time.monotonic()
    done = place.ragent("quickstart", "--json", timeout=200)
    took = time.monotonic() - began
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)

    assert took < 180
    assert result["status"] == "finished"
    assert sum(result["runs"].values()) >= 8
    # The highest learning rate diverges by itself, its sidecar sees it in the file, and the shipped rule answers.
    by_rule = {said["run"] for said in result["answers"]}
    stopped = {
        run["run"] for run in result["ended_early"] if "NaN" in run["reason"] and "rule:quickstart" in run["reason"]
    }
    assert by_rule and stopped == by_rule
    assert all(run["params"]["lr"] >= 1.0 for run in result["ended_early"])

    # The best value is the smallest that any run's own file holds.
    runs = json.loads(place.ragent("runs", "--json", "-C", str(project)).stdout)["runs"]
    finished = {run["id"] for run in runs if run.get("status") == "finished"}
    losses = {
        run: [row["val_loss"] for row in _rows(project, run) if row.get("val_loss") is not None] for run in finished
    }
    best = min(losses, key=lambda run: min(losses[run]))
    assert result["best"]["run"] == best
    assert result["best"]["value"] == min(losses[best])
    assert result["best"]["confirmed"] is False

    notebook = json.loads(Path(result["report"]).read_text())
    assert notebook["nbformat"] == 4 and len(notebook["cells"]) > 2
    assert any("nconfirmed" in finding for finding in result["findings"])
    assert project in Path(result["report"]).parents


def _rows(project: Path, run: str) -> list[dict[str, float]]:
    text = (project / ".ragent" / "runs" / run / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_quickstart_without_tmux_uses_processes_and_says_how_to_get_it(place: Place) -> None:
    programs = place.folder / "bin"
    programs.mkdir()
    for program in ("sh", "git", "env", "cat", "apt-get"):
        if found := shutil.which(program):
            (programs / program).symlink_to(found)
    place.env["PATH"] = str(programs)
    project = place.folder / "mine"
    project.mkdir()
    place.projects.add(project)
    (project / "sweep.json").write_text(SMALL)
    (project / "train.py").write_text("# mine\n" + _shipped("train.py"))

    done = place.ragent("quickstart", "mine", timeout=120)
    assert done.returncode == 0, done.stderr
    assert "tmux is not here" in done.stdout and "install tmux" in done.stdout
    assert "train.py differs" in done.stdout and "sweep.json differs" in done.stdout
    assert "2 runs" in done.stdout and "(process)" in done.stdout
    assert "answered by rule: Stop run" in done.stdout
    assert "\x1b" not in done.stdout
    assert (project / "train.py").read_text().startswith("# mine\n")

    again = json.loads(place.ragent("quickstart", "mine", "--json", timeout=120).stdout)
    assert again["executor"] == "process" and again["status"] == "finished"
    assert (project / "train.py").read_text().startswith("# mine\n")
    runs = json.loads(place.ragent("runs", "--json", "-C", str(project)).stdout)
    assert runs["total"] == 4


def _shipped(name: str) -> str:
    from ragent_jupyter.cli import quickstart

    return (Path(quickstart.__file__).parents[1] / "examples" / quickstart.EXAMPLE / name).read_text()


def test_ctrl_c_and_the_end_of_the_engine_leave_a_run_alone(place: Place) -> None:
    loop = "i=0; while [ $i -lt 600 ]; do echo tick $i; i=$((i+1)); sleep 0.1; done"
    following = place.start("run", "--name", "ticker", "--follow", "--", "sh", "-c", loop)
    assert following.stdout is not None
    assert following.stdout.readline().startswith("tick")
    engine = json.loads(place.ragent("status", "--json").stdout)["pid"]
    os.killpg(following.pid, signal.SIGINT)
    _, err = following.communicate(timeout=20)
    assert following.returncode == 130
    assert "goes on" in err
    assert json.loads(place.ragent("status", "--json").stdout)["pid"] == engine

    def status() -> str:
        return str(json.loads(place.ragent("show", "ticker", "--json").stdout).get("status"))

    assert status() == "running"
    stopped = json.loads(place.ragent("serve", "--stop", "--json").stdout)
    assert (stopped["stopped"], stopped["live"]) == (True, 1)
    assert status() == "running", "any verb takes it up again"
    ticks = place.ragent("logs", "ticker", "-n", "1").stdout
    wait_until(lambda: place.ragent("logs", "ticker", "-n", "1").stdout != ticks, what="the run goes on ticking")
    place.ragent("stop", "ticker", "--now")
    wait_until(lambda: status() == "stopped", timeout=20)
    assert place.ragent("stop", "ticker").returncode == 1


def test_two_doors_at_once_start_one_engine(place: Place) -> None:
    (place.folder / ".ragent").mkdir()
    doors = [place.start("status", "--json") for _ in range(4)]
    pids = {json.loads(door.communicate(timeout=60)[0])["pid"] for door in doors}
    assert len(pids) == 1
    assert Path(f"/proc/{pids.pop()}").exists() or not os.path.isdir("/proc")


def test_a_run_that_fails_is_exit_code_1_and_a_retry_can_mend_it(place: Place) -> None:
    failed = place.ragent(
        "run", "--name", "once", "--follow", "--", "sh", "-c", "test -e ok || { echo no ok; exit 3; }"
    )
    assert failed.returncode == 1
    assert failed.stdout == "no ok\n"
    assert "Exit code 3" in failed.stderr
    (place.folder / "ok").touch()
    again = place.ragent("retry", "once", "--follow", "--json")
    assert again.returncode == 0
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    assert lines[-1]["run"]["status"] == "finished"
