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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_quickstart_ends_in_a_confirmed_gain_that_its_own_files_bear_out(place: Place) -> None:
    project = place.folder / "ragent-quickstart"
    place.projects.add(project)
    began = time.monotonic()
    done = place.ragent("quickstart", "--json", timeout=280)
    took = time.monotonic() - began
    print(f"quickstart: {took:.0f} s, load {os.getloadavg()[0]:.1f}")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)

    assert result["end"] == "complete" and sum(result["runs"].values()) <= 32
    assert len(result["stages"]["baseline"]) >= 3 and len(result["stages"]["confirm"]) >= 10
    # What is claimed is the mean of runs on fresh seeds, and each of them wrote its value itself.
    best, base = result["best"], result["baseline"]
    assert best["confirmed"] is True and best["metric"] == base["metric"] == "val_loss"
    assert len(best["runs"]) == len(best["baseline_runs"]) == len(best["seeds"]) >= 5
    ours, theirs = ([_last(project, run) for run in best[name]] for name in ("runs", "baseline_runs"))
    assert best["value"] == pytest.approx(sum(ours) / len(ours), abs=1e-9)
    assert best["effect"] == pytest.approx(best["value"] - sum(theirs) / len(theirs), abs=1e-9)
    assert all(mine < other for mine, other in zip(ours, theirs, strict=True))
    assert base["mean"] == pytest.approx(sum(_last(project, run) for run in base["runs"]) / len(base["runs"]))

    # No run of the baseline or the search had a seed that a confirming run has.
    runs = json.loads(place.ragent("runs", "--json", "--limit", "100", "-C", str(project)).stdout)["runs"]
    seeds = {run["id"]: run["params"]["seed"] for run in runs}
    fresh = [seeds[run] for run in best["runs"]]
    assert fresh == [seeds[run] for run in best["baseline_runs"]] == best["seeds"]
    assert not set(fresh) & {seeds[run] for name in ("baseline", "search") for run in result["stages"][name]}

    notebook = json.loads(Path(result["report"]).read_text())
    assert notebook["nbformat"] == 4 and len(notebook["cells"]) > 2
    assert project in Path(result["report"]).parents
    assert any("onfirmed" in line["text"] for line in result["summary"]["real"])
    said = place.ragent("wild", "journal", "--jsonl", "-C", str(project)).stdout
    ledger = [json.loads(line) for line in said.splitlines()]
    assert [entry["n"] for entry in ledger] == list(range(1, len(ledger) + 1))
    # A learning rate that is too high ends in NaN by itself, if the search looked there; the rule answered then.
    for answer in result["answers"]:
        assert answer["choice"] == "stop" and answer["by"]
        assert answer["run"] in {run["run"] for run in result["ended_early"]}


def _last(project: Path, run: str) -> float:
    text = (project / ".ragent" / "runs" / run / "metrics.jsonl").read_text()
    return [row["val_loss"] for row in map(json.loads, text.splitlines()) if "val_loss" in row][-1]


@pytest.mark.slow
@pytest.mark.timeout(300)
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
    (project / "train.py").write_text(MINE)

    done = place.ragent("quickstart", "mine", timeout=280)
    assert done.returncode == 0, done.stderr
    assert "tmux is not here" in done.stdout and "install tmux" in done.stdout
    assert "train.py differs" in done.stdout and "(process)" in done.stdout
    assert "speed" in done.stdout, "what was found in it is tuned"
    lines = done.stdout.splitlines()
    assert [lines.index(head) for head in ("Tried", "Real", "Cost", "Needs")] and "Report: " in done.stdout
    assert "\x1b" not in done.stdout
    assert (project / "train.py").read_text() == MINE


MINE = """import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01, help="learning rate")
parser.add_argument("--speed", type=float, default=0.5, help="momentum")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
loss = abs(args.lr - 0.05) + abs(args.speed - 0.9) / 10 + args.seed % 7 / 1000
with open(os.environ["RAGENT_METRICS_FILE"], "a") as file:
    for step in range(1, 11):
        file.write(json.dumps({"step": step, "val_loss": loss + 1 / step}) + "\\n")
"""


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
