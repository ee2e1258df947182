"""`ragent wild` as a program, against a real engine and real runs of a script that takes a second."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.wait import wait_until

from .conftest import Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SCRIPT = """import argparse, json, math, os, random, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--momentum", type=float, default=0.5)
parser.add_argument("--steps", type=int, default=10)
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()
noise = random.Random(f"{args.seed} {args.lr} {args.momentum}")
loss = abs(math.log10(args.lr) + 1) + 0.3 * abs(args.momentum - 0.9) + 0.02 * noise.random()
with open(os.environ["RAGENT_METRICS_FILE"], "a", buffering=1) as file:
    for step in range(1, args.steps + 1):
        file.write(json.dumps({"step": step, "val_loss": loss + 1 / step, "time": time.time()}) + "\\n")
        time.sleep(args.pause)
"""
SLOW = ("python", "train.py", "--pause", "0.2", "--steps", "300")
GOAL = "lower val_loss"


@pytest.fixture
def project(place: Place) -> Iterator[Path]:
    (place.folder / "train.py").write_text(SCRIPT)
    (place.folder / ".ragent").mkdir()
    yield place.folder
    place.ragent("wild", "stop", "--now")


def document(place: Place, *argv: str, timeout: float = 60) -> dict[str, Any]:
    done = place.ragent(argv[0], "--json", *argv[1:], timeout=timeout)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def status(place: Place) -> dict[str, Any]:
    return document(place, "wild", "status")


def live(place: Place) -> int:
    counts = status(place)["counts"]
    return sum(counts.get(name, 0) for name in ("running", "launching", "stopping"))


@pytest.mark.parametrize("executor", ["tmux", "process"])
def test_a_goal_ends_in_a_confirmed_gain(place: Place, project: Path, executor: str) -> None:
    if executor == "tmux" and shutil.which("tmux") is None:
        pytest.skip("no tmux here")
    argv = [
        "wild",
        GOAL,
        "--max-runs",
        "30",
        "--policy",
        "builtin",
        "--executor",
        executor,
        "--parallel",
        "2",
        "--json",
    ]
    done = place.ragent(*argv, "--", "python", "train.py", timeout=200)
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert (ended["end"], ended["exit"]) == ("complete", 0)
    loop = ended["loop"]
    assert loop["setup"]["metric"] == "val_loss" and loop["setup"]["seed"] == "seed"
    (won,) = [verdict for verdict in loop["verdicts"] if verdict["verdict"] == "confirmed"]
    assert won["effect"] < -0.3 and len(won["seeds"]) >= 5
    assert sum(ended["counts"].values()) <= 30
    assert Path(ended["report"]).is_file()
    runs = json.loads(place.ragent("runs", "--json", "--limit", "100").stdout)["runs"]
    assert {run.get("executor", "tmux") for run in runs} == {executor}


def test_what_it_would_do_is_shown_and_nothing_is_started(place: Place, project: Path) -> None:
    draft = document(place, "wild", GOAL, "--dry-run", "--set-range", "lr=1e-3..1:log", "--", "python", "train.py")
    assert draft["setup"]["space"]["lr"]["dim"]["high"] == 1.0 and draft["setup"]["fidelity"] == "steps"
    assert draft["asks"] == [] and draft["setup"].get("isolation", "in_place") == "in_place"
    asked = place.ragent("wild", GOAL, "--yes")
    assert asked.returncode == 3 and "Which command runs one training?" in asked.stderr
    assert "python train.py" in asked.stderr
    assert document(place, "wild", "list") == {"loops": []}


def test_ctrl_c_detaches_and_wishes_are_honoured(place: Place, project: Path) -> None:
    following = place.start("wild", GOAL, "--max-runs", "20", "--executor", "process", "--", *SLOW)
    assert following.stdout is not None
    while "baseline" not in (line := following.stdout.readline()):
        assert line, following.communicate()
    os.killpg(following.pid, signal.SIGINT)
    _, err = following.communicate(timeout=30)
    assert following.returncode == 130 and "goes on without this terminal" in err
    wait_until(lambda: live(place) > 0, 30, 0.2, "a run of it to live")

    assert document(place, "wild", "pause")["paused"] is True
    assert document(place, "wild", "steer", "try a higher lr first")["steer"] == ["try a higher lr first"]
    assert status(place)["state"] == "paused"
    assert [event["kind"] for event in document(place, "wild", "queue")["queue"]] == ["human"]
    assert document(place, "wild", "resume").get("paused", False) is False
    # Nobody sits at this terminal: what is a person's to say is refused, with where it is said.
    refused = place.ragent("wild", "limits", "runs=5")
    assert refused.returncode == 1 and "person" in refused.stderr
    stopped = document(place, "wild", "stop", "--now")
    assert (stopped["stage"], stopped["end"]) == ("ended", "stopped")
    wait_until(lambda: live(place) == 0, 30, 0.2, "its runs to end")
    said = place.ragent("wild", "journal", "--jsonl").stdout
    actions = [entry.get("action") or {} for entry in map(json.loads, said.splitlines())]
    wishes = [action["wish"] for action in actions if action.get("do") == "wish"]
    assert wishes == ["start", "pause", "steer", "resume", "stop"]
    assert place.ragent("wild", "pause").returncode == 1, "what has ended cannot be paused"
    followed = place.ragent("wild", "follow", "--json", timeout=150)
    assert followed.returncode == 1 and json.loads(followed.stdout)["end"] == "stopped"


def test_a_killed_engine_is_another_one_a_moment_later(place: Place, project: Path) -> None:
    argv = ("wild", GOAL, "--max-runs", "24", "--executor", "process", "--parallel", "2", "--json")
    with place.start(*argv, "--", "python", "train.py", "--pause", "0.1") as following:
        try:
            wait_until(lambda: sum(status(place)["counts"].values()) >= 4 if _begun(place) else False, 60, 0.2)
            os.kill(json.loads(place.ragent("status", "--json").stdout)["pid"], signal.SIGKILL)
            out, err = following.communicate(timeout=200)
        except BaseException:
            following.kill()
            raise
    assert following.returncode == 0, err
    ended = json.loads(out)
    assert ended["end"] == "complete" and sum(ended["counts"].values()) <= 24
    entries = [json.loads(line) for line in place.ragent("wild", "journal", "--jsonl").stdout.splitlines()]
    assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))


def _begun(place: Place) -> bool:
    return bool(json.loads(place.ragent("wild", "list", "--json").stdout)["loops"])
