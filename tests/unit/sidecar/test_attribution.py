"""Which files outside its folder belong to a run: only what is proven, and never what was there before."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.domain.facts import SourceFound
from ragent_jupyter.runfiles.sources.discover import note_launch
from tests.support.wait import wait_until

from .conftest import RunFolder, Spawn

Job = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def job() -> Iterator[Job]:
    """A job: a Python process with the run's id in its environment that executes `code`, and the run's claim."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run: RunFolder, code: str) -> subprocess.Popen[bytes]:
        (run.path / "claim.json").write_text(
            json.dumps(
                {"run_id": run.run_id, "host": "h", "boot_id": "b", "pid": 1, "start_time": 1, "at": time.time()}
            )
        )
        process = subprocess.Popen(
            [sys.executable, "-c", "import time, sys, os\n" + code],
            cwd=run.cwd,
            env={"PATH": os.environ["PATH"], "RAGENT_RUN_ID": run.run_id},
            stdin=subprocess.PIPE,
        )
        fact = {"type": "job_started", "seq": 1, "at": time.time(), "pid": process.pid}
        (run.path / "wrapper.jsonl").write_text(json.dumps(fact) + "\n")
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path


def make(project: Path, name: str, cwd: Path | None = None, **spec: object) -> RunFolder:
    return RunFolder(project / ".ragent" / "runs" / name, name, cwd=cwd or project / "work", **spec)


def losses(run: RunFolder, name: str = "loss") -> list[float]:
    series = ColumnReader().series(str(run.path), run.run_id, name, x="step", points=0, from_=None, to=None, since=None)
    return [] if series is None else list(series.x)


def sources(run: RunFolder) -> dict[str, str]:
    return {fact.source: fact.proof for fact in run.facts() if isinstance(fact, SourceFound)}


def text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def end(run: RunFolder, process: subprocess.Popen[bytes], sidecar: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    run.exit()
    assert sidecar.wait(20) == 0


# Opens, writes and closes for each row, as Lightning does; only the folder can prove whose it is.
CLOSING = """
for i in range(5):
    with open({path!r}, "a") as f:
        f.write(("step,loss\\n" if i == 0 else "") + f"{{i}},0.{{i}}\\n")
time.sleep(60)
"""
# Keeps its file open while it lives.
HOLDING = """
f = open({path!r}, {mode!r})
f.write("step,loss\\n" + "".join(f"{{i}},0.{{i}}\\n" for i in range({first}, {first} + 5)))
f.flush()
time.sleep(60)
"""


def test_in_a_working_folder_of_its_own_a_file_is_the_runs(project: Path, job: Job, spawn: Spawn) -> None:
    run = make(project, "run_a")
    process = job(run, CLOSING.format(path="lightning_logs.csv"))
    sidecar = spawn(run)
    wait_until(lambda: losses(run) == [0, 1, 2, 3, 4])
    assert "no other run shared" in sources(run)["lightning_logs.csv"]
    end(run, process, sidecar)


def test_two_trials_in_one_folder_each_has_what_its_process_holds_open(project: Path, job: Job, spawn: Spawn) -> None:
    a, b = make(project, "run_a"), make(project, "run_b")
    jobs = [
        job(a, HOLDING.format(path="a.csv", mode="w", first=0)),
        job(b, HOLDING.format(path="b.csv", mode="w", first=10)),
    ]
    sidecars = [spawn(a), spawn(b)]
    wait_until(lambda: losses(a) and losses(b))
    assert losses(a) == [0, 1, 2, 3, 4]
    assert losses(b) == [10, 11, 12, 13, 14]
    assert sources(a) == {"a.csv": "a process of this run holds it open"}
    for run, process, sidecar in zip((a, b), jobs, sidecars, strict=True):
        end(run, process, sidecar)
    assert losses(a) == [0, 1, 2, 3, 4]
    assert not a.alerts() and not b.alerts()


def test_what_a_neighbour_was_seen_to_hold_stays_its_own_when_it_has_ended(
    project: Path, job: Job, spawn: Spawn
) -> None:
    a, b = make(project, "run_a"), make(project, "run_b")
    jobs = [
        job(a, HOLDING.format(path="a.csv", mode="w", first=0)),
        job(b, HOLDING.format(path="b.csv", mode="w", first=10)),
    ]
    sidecars = [spawn(a), spawn(b)]
    wait_until(lambda: losses(a) and losses(b))
    for run, process, sidecar in zip((b, a), jobs[::-1], sidecars[::-1], strict=True):
        end(run, process, sidecar)
    assert (losses(a), losses(b)) == ([0, 1, 2, 3, 4], [10, 11, 12, 13, 14])
    assert not a.alerts() and not b.alerts()


def test_what_two_trials_could_have_written_is_read_for_none_and_asked_about_once(
    project: Path, job: Job, spawn: Spawn
) -> None:
    a, b = make(project, "run_a"), make(project, "run_b")
    jobs = [job(a, "time.sleep(60)"), job(b, "time.sleep(60)")]
    sidecars = [spawn(a), spawn(b)]
    (project / "work" / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.4\n")
    (alert,) = wait_until(lambda: a.alerts() + b.alerts())
    assert alert.rule == "ambiguous_source"
    assert "$RAGENT_METRICS_FILE" in alert.text and "metrics.csv" in alert.title
    for run, process, sidecar in zip((a, b), jobs, sidecars, strict=True):
        end(run, process, sidecar)
    assert losses(a) == losses(b) == []
    assert len(a.alerts() + b.alerts()) == 1


def test_two_processes_that_write_one_file_are_told_apart_by_nobody(project: Path, job: Job, spawn: Spawn) -> None:
    a, b = make(project, "run_a"), make(project, "run_b")
    jobs = [
        job(a, HOLDING.format(path="metrics.csv", mode="a", first=0)),
        job(b, HOLDING.format(path="metrics.csv", mode="a", first=9)),
    ]
    wait_until(lambda: all(step in text(project / "work" / "metrics.csv") for step in ("\n4,", "\n13,")))
    sidecars = [spawn(a), spawn(b)]
    wait_until(lambda: a.alerts() + b.alerts())
    for run, process, sidecar in zip((a, b), jobs, sidecars, strict=True):
        end(run, process, sidecar)
    assert losses(a) == losses(b) == []


def test_a_file_that_a_second_process_opens_later_is_given_up(project: Path, job: Job, spawn: Spawn) -> None:
    a, b = make(project, "run_a"), make(project, "run_b")
    jobs = [job(a, HOLDING.format(path="metrics.csv", mode="a", first=0))]
    sidecars = [spawn(a)]
    wait_until(lambda: len(losses(a)) == 5)
    jobs.append(job(b, "f = open('metrics.csv', 'a')\ntime.sleep(60)"))
    sidecars.append(spawn(b))
    wait_until(lambda: [alert for alert in a.alerts() if alert.rule == "ambiguous_source"], timeout=40)
    with (project / "work" / "metrics.csv").open("a") as out:
        out.write("5,0.5\n")
    for run, process, sidecar in zip((a, b), jobs, sidecars, strict=True):
        end(run, process, sidecar)
    assert len(losses(a)) == 5 and losses(b) == []
    assert len(a.alerts() + b.alerts()) == 1


def test_a_folder_that_only_this_run_names_is_its_own_in_a_shared_working_folder(
    project: Path, job: Job, spawn: Spawn
) -> None:
    a = make(project, "run_a", argv=["python", "train.py", "--output_dir", "out/a"])
    b = make(project, "run_b", argv=["python", "train.py", "--output_dir=out/b"])
    jobs = [
        job(a, "os.makedirs('out/a', exist_ok=True)\n" + CLOSING.format(path="out/a/metrics.csv")),
        job(b, "time.sleep(60)"),
    ]
    sidecars = [spawn(a), spawn(b)]
    wait_until(lambda: losses(a) == [0, 1, 2, 3, 4])
    assert sources(a) == {"out/a/metrics.csv": "in a folder that only this run names"}
    for run, process, sidecar in zip((a, b), jobs, sidecars, strict=True):
        end(run, process, sidecar)
    assert losses(b) == [] and not b.alerts()


def test_rows_from_before_the_launch_never_count(project: Path, job: Job, spawn: Spawn) -> None:
    csv, jsonl = project / "work" / "metrics.csv", project / "work" / "log.jsonl"
    csv.write_text("step,loss\n" + "".join(f"{i},1\n" for i in range(50)))
    jsonl.write_text("".join(f'{{"step": {i}, "acc": 1}}\n' for i in range(50)))
    for file in (csv, jsonl):
        os.utime(file, (time.time() - 100, time.time() - 100))
    run = make(project, "run_a")
    process = job(run, "sys.stdin.readline()\ntime.sleep(60)")
    sidecar = spawn(run)
    wait_until(lambda: (run.path / "baseline.json").exists())
    with csv.open("a") as out:
        out.write("50,0.5\n51,0.4\n")
    with jsonl.open("a") as out:
        out.write('{"step": 60, "acc": 2}\n')
    wait_until(lambda: losses(run) and losses(run, "acc"))
    assert losses(run) == [50, 51]
    assert losses(run, "acc") == [60]
    end(run, process, sidecar)


# What a program with a fixed seed writes each time, at once; "a" goes on where the last run stopped.
AT_ONCE = """
import json
with open("{name}", "{mode}") as f:
    if "{name}".endswith("csv"):
        f.write("step,loss\\n" + "".join(f"{{i}},0.{{i}}\\n" for i in range(9)))
    else:
        f.write("".join(json.dumps({{"step": i, "loss": i}}) + "\\n" for i in range(9)))
"""


@pytest.mark.parametrize("mode", ["a", "w"])
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_short_job_that_runs_again_in_the_same_folder_loses_no_row(
    project: Path, job: Job, spawn: Spawn, name: str, mode: str
) -> None:
    for run in (make(project, "run_a"), make(project, "run_b")):
        note_launch(str(run.path), str(run.cwd), [])  # as whoever launches does it
        process = job(run, AT_ONCE.format(name=name, mode=mode))
        process.wait()
        sidecar = spawn(run)
        end(run, process, sidecar)
        assert losses(run) == list(range(9)), run.run_id


def test_a_file_that_another_run_left_behind_is_not_the_next_ones(project: Path, job: Job, spawn: Spawn) -> None:
    first = make(project, "run_a")
    process = job(first, CLOSING.format(path="metrics.csv"))
    sidecar = spawn(first)
    wait_until(lambda: len(losses(first)) == 5)
    end(first, process, sidecar)
    second = make(project, "run_b")
    process = job(second, "time.sleep(60)")
    sidecar = spawn(second)
    wait_until(lambda: (second.path / "baseline.json").exists())
    end(second, process, sidecar)
    assert losses(second) == [] and sources(second) == {} and not second.alerts()


def test_a_run_of_a_second_gives_all_it_wrote(project: Path, job: Job, spawn: Spawn) -> None:
    run = make(project, "run_a")
    process = job(run, CLOSING.format(path="metrics.csv"))
    wait_until(
        lambda: (
            (project / "work" / "metrics.csv").exists() and "4,0.4" in (project / "work" / "metrics.csv").read_text()
        )
    )
    process.kill()
    process.wait()
    run.exit()
    assert spawn(run).wait(20) == 0
    assert losses(run) == [0, 1, 2, 3, 4]


def test_data_sets_and_predictions_are_no_metrics(project: Path, job: Job, spawn: Spawn) -> None:
    run = make(project, "run_a")
    code = "f = open('predictions.csv', 'w'); f.write('id,label,prob\\n1,0,0.5\\n'); f.flush()\n"
    code += (
        "g = open('samples.jsonl', 'w'); g.write('{\"text\": \"x\", \"tokens\": 12}\\n'); g.flush()\ntime.sleep(60)\n"
    )
    process = job(run, code)
    sidecar = spawn(run)
    wait_until(lambda: (project / "work" / "samples.jsonl").exists())
    end(run, process, sidecar)
    assert sources(run) == {}


def test_event_files_in_two_folders_and_a_trainer_state(project: Path, job: Job, spawn: Spawn) -> None:
    run = make(project, "run_a")
    process = job(run, "time.sleep(60)")
    sidecar = spawn(run)
    work = project / "work"
    value = b"\n\nepoch_loss\x15" + struct.pack("<f", 0.5)
    body = (
        b"\x09"
        + struct.pack("<d", time.time() + 5)
        + b"\x10\x01"
        + b"\x2a"
        + bytes([len(value) + 2, 10, len(value)])
        + value
    )
    for name in ("train", "validation"):
        (work / "logs" / name).mkdir(parents=True)
        (work / "logs" / name / "events.out.tfevents.1.host.99.0").write_bytes(
            struct.pack("<Q", len(body)) + b"xxxx" + body + b"xxxx"
        )
    (work / "out" / "checkpoint-10").mkdir(parents=True)
    (work / "out" / "checkpoint-10" / "trainer_state.json").write_text(
        json.dumps({"log_history": [{"step": 10, "loss": 0.5, "epoch": 1.0}]})
    )
    wait_until(lambda: len(sources(run)) == 3)
    end(run, process, sidecar)
    assert losses(run, "train/epoch_loss") == losses(run, "validation/epoch_loss") == [1]
    assert losses(run) == [10]


def test_a_new_sidecar_goes_on_with_the_sources_of_the_last(project: Path, job: Job, spawn: Spawn) -> None:
    run = make(project, "run_a")
    process = job(run, CLOSING.format(path="metrics.csv"))
    sidecar = spawn(run)
    wait_until(lambda: len(losses(run)) == 5)
    sidecar.kill()
    sidecar.wait()
    with (project / "work" / "metrics.csv").open("a") as out:
        out.write("5,0.5\n")
    sidecar = spawn(run)
    wait_until(lambda: len(losses(run)) == 6)
    end(run, process, sidecar)
    assert losses(run) == [0, 1, 2, 3, 4, 5]
    assert len(sources(run)) == 1
