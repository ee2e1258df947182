"""The first half hour of somebody who has just cloned this: one install, one command, a finished experiment."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.newcomer import document, say
from tests.support.wait import wait_until

from .conftest import Newcomer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(800)]


def rows_of(project: Path, run: str) -> list[dict[str, Any]]:
    """What the training code itself wrote."""
    text = (project / ".ragent" / "runs" / run / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def check_runs(newcomer: Newcomer, project: Path, tmux: bool) -> list[dict[str, Any]]:
    """Every run has ended with its wrapper's word for it, and the API has each row that its own file has."""
    runs = document(newcomer.ragent("runs", "--json", "--limit", "100", cwd=project, tmux=tmux))["runs"]
    for run in runs:
        folder = project / ".ragent" / "runs" / run["id"]
        assert run["status"] in ("finished", "stopped"), run
        assert (folder / "claim.json").exists() and (folder / "exit.json").exists()
        rows = rows_of(project, run["id"])
        for name in ("loss", "val_loss"):
            written = sum(name in row for row in rows)
            stored = run["summary"].get(name, {}).get("count", 0)
            assert stored == written, f"{run['id']}: {stored} of {written} points of {name}"
    return list(runs)


def check_result(result: dict[str, Any], project: Path, executor: str) -> None:
    assert result["end"] == "complete" and result["executor"] == executor
    assert 20 <= sum(result["runs"].values()) <= 32
    assert len(list((project / ".ragent" / "runs").iterdir())) >= sum(result["runs"].values())
    # What is claimed is the mean over fresh seeds of what the runs' own files end with, pair by pair.
    best = result["best"]
    ours, theirs = ([last(project, run) for run in best[name]] for name in ("runs", "baseline_runs"))
    assert best["confirmed"] is True and len(ours) == len(theirs) == len(best["seeds"]) >= 5
    assert abs(best["value"] - sum(ours) / len(ours)) < 1e-9
    assert abs(best["effect"] - (best["value"] - sum(theirs) / len(theirs))) < 1e-9
    assert best["ci"][0] <= best["effect"] <= best["ci"][1] < 0
    # Where the search met a learning rate that is too high, the loss became NaN by itself and the rule answered.
    for answer in result["answers"]:
        (run,) = [one for one in result["ended_early"] if one["run"] == answer["run"]]
        assert answer["choice"] == "stop" and answer["by"]
        if "NaN" in answer["title"]:
            assert any(str(row.get("loss")).lower() in ("nan", "inf") for row in rows_of(project, run["run"]))


def last(project: Path, run: str) -> float:
    return float([row["val_loss"] for row in rows_of(project, run) if "val_loss" in row][-1])


def check_report(newcomer: Newcomer, result: dict[str, Any], tmux: bool) -> None:
    """The report is a valid notebook, complete as it lies there, and gives the same again in the new environment."""
    script = Path(__file__).with_name("re_execute.py")
    path = Path(result["report"])
    said = document(say([newcomer.bin / "python", script, path], newcomer.env(tmux), path.parent, timeout=180))
    assert said["outputs"] >= 4
    assert {"text/markdown", "text/html", "image/svg+xml", "application/vnd.plotly.v1+json"} <= set(said["kinds"])
    assert "Confirmed" in said["text"]
    assert said["same"], "the report re-executes to something else"


def test_without_tmux_one_command_ends_in_a_report(newcomer: Newcomer) -> None:
    folder = newcomer.folder("empty")
    project = folder / "ragent-quickstart"
    newcomer.projects.add(project)
    result = document(newcomer.ragent("quickstart", "--json", cwd=folder, timeout=300))
    print(f"quickstart without tmux: {result['took_s']} s, load {os.getloadavg()[0]:.1f}")

    assert sorted(path.name for path in folder.iterdir()) == ["ragent-quickstart"]
    check_result(result, project, executor="process")
    assert any("tmux is not here" in note and "install" in note for note in result["notes"])
    check_runs(newcomer, project, tmux=False)
    check_report(newcomer, result, tmux=False)
    checks = {c["name"]: c for c in document(newcomer.ragent("doctor", "--json", cwd=project))["checks"]}
    assert all(check.get("ok") for check in checks.values()), checks
    assert "not installed" in checks["tmux"]["detail"] and "install tmux" in checks["tmux"]["detail"]


def test_with_tmux_the_engine_may_die_and_the_command_may_be_given_again(newcomer: Newcomer) -> None:
    folder = newcomer.folder("second")
    project = folder / "ragent-quickstart"
    newcomer.projects.add(project)

    def status() -> dict[str, Any]:
        return dict(document(newcomer.ragent("status", "--json", cwd=project, tmux=True)))

    with newcomer.start("quickstart", "--json", cwd=folder, tmux=True) as child:
        try:
            wait_until(
                lambda: len(list(project.glob(".ragent/runs/*/exit.json"))) >= 3, 120, 0.1, "three runs to be over"
            )
            first = status()
            os.kill(first["pid"], signal.SIGKILL)
            out, err = child.communicate(timeout=300)
        except BaseException:
            child.kill()
            raise
    assert child.returncode == 0, err
    result = document(out)
    print(f"quickstart with tmux, engine killed after three runs: {result['took_s']} s")
    assert status()["pid"] != first["pid"]
    check_result(result, project, executor="tmux")
    assert result["notes"] == []
    for run in check_runs(newcomer, project, tmux=True):
        assert run.get("executor", "tmux") == "tmux"

    (project / "train.py").write_text("# mine now\n" + (project / "train.py").read_text())
    again = document(newcomer.ragent("quickstart", "--json", cwd=folder, tmux=True, timeout=300))
    print(f"quickstart given again in the same folder: {again['took_s']} s")
    check_result(again, project, executor="tmux")
    assert again["loop"] != result["loop"] and again["report"] != result["report"]
    assert (project / "train.py").read_text().startswith("# mine now\n")
    # The same seeds on the same data: a run is the same run again, to the last digit.
    assert again["baseline"]["mean"] == result["baseline"]["mean"]
    assert len(check_runs(newcomer, project, tmux=True)) == sum(again["runs"].values()) + sum(result["runs"].values())


def test_runs_end_and_are_watched_while_no_engine_lives(newcomer: Newcomer) -> None:
    """Nobody asks, nobody restarts it: only wrappers and sidecars are there."""
    project = newcomer.folder("alone")
    newcomer.projects.add(project)
    (project / "train.py").write_bytes((newcomer.home / "empty" / "ragent-quickstart" / "train.py").read_bytes())
    started = {}
    for name, lr in (("tame", "0.1"), ("wild", "3.0")):
        command = ["python", "train.py", "--lr", lr, "--steps", "1500", "--hidden", "32"]
        made = newcomer.ragent("run", "--json", "--name", name, "--", *command, cwd=project, tmux=True)
        started[name] = document(made)["id"]
    folders = {name: project / ".ragent" / "runs" / run for name, run in started.items()}
    wait_until(lambda: all((f / "claim.json").exists() for f in folders.values()), 60, what="both runs to be launched")
    pid = document(newcomer.ragent("status", "--json", cwd=project, tmux=True))["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    wait_until(lambda: all((f / "exit.json").exists() for f in folders.values()), 120, 0.1, "both runs to end")
    wait_until(lambda: not sidecars(project), 30, 0.1, "their sidecars to have read everything")

    def known() -> bool:
        listed = document(newcomer.ragent("runs", "--json", cwd=project, tmux=True))["runs"]
        return all(run.get("settled") for run in listed)

    wait_until(known, 30, 0.1, "the next engine to have learnt of it")
    runs = {run["name"]: run for run in check_runs(newcomer, project, tmux=True)}
    assert {run["status"] for run in runs.values()} == {"finished"}
    alerts = document(newcomer.ragent("alerts", "--all", "--json", cwd=project, tmux=True))["alerts"]
    nan = [alert for alert in alerts if alert["run_id"] == started["wild"] and alert["severity"] == "critical"]
    assert nan, alerts
    assert not [a for a in alerts if a["run_id"] == started["tame"] and a["severity"] == "critical"]


def sidecars(project: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "ragent_sidecar" in " ".join(words) and any(str(project) in word for word in words):
            found.append(process)
    return found
