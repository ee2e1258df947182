"""What a silent run's processes do, read from the system; and a sidecar that tells a hang of a real process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ragent_sidecar import activity
from ragent_sidecar.system import SystemProbe

from tests.support.wait import wait_until

from .conftest import RunFolder, Spawn

pytestmark = pytest.mark.skipif(not activity.LINUX, reason="the kernel's tables are Linux's")

Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Python code as a process that says so once it has come to its last line."""
    started: list[subprocess.Popen[bytes]] = []

    def go(code: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return process

    yield go
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and whoever it has started: a spinning child would go on for ever
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


READY = "import os, subprocess, sys, threading, time; print('ready', flush=True); "


def grown(root: int, what: str) -> float:
    first, second = activity.look(root), None
    time.sleep(0.3)
    second = activity.look(root)
    assert first is not None and second is not None
    return float(getattr(second, what)) - float(getattr(first, what))


def test_a_process_that_sleeps_uses_nothing_and_one_that_spins_does(start: Start) -> None:
    asleep = start(READY + "time.sleep(60)").pid
    assert grown(asleep, "cpu_s") == 0.0 and grown(asleep, "io") == 0.0
    tree = activity.look(asleep)
    assert tree is not None and not activity.waits(tree) and not activity.held(tree)
    spins = start(READY + "exec('while True: pass')").pid
    wait_until(lambda: grown(spins, "cpu_s") > 0.0, what="it has had its turn")
    spinning = activity.look(spins)
    assert spinning is not None and activity.waits(spinning)


def test_children_threads_and_ended_children_are_counted(start: Start) -> None:
    child = "subprocess.Popen([sys.executable, '-c', 'while True: pass']); time.sleep(60)"
    assert grown(start(READY + child).pid, "cpu_s") > 0.0
    thread = "threading.Thread(target=lambda: exec('while True: pass'), daemon=True).start(); time.sleep(60)"
    busy = activity.look(start(READY + thread).pid)
    assert busy is not None and "R" in busy.states
    one = "subprocess.run([sys.executable, '-c', 'sum(range(10**7))']); "
    after = activity.look(start("import subprocess, sys, time; " + one + READY + "time.sleep(60)").pid)
    assert after is not None and len(after.pids) == 1 and after.cpu_s > 0.1


def test_what_is_written_counts(start: Start) -> None:
    code = "f = open('big', 'wb'); [f.write(bytes(10**6)) or f.seek(0) or time.sleep(0.01) for _ in range(9000)]"
    assert grown(start(READY + code).pid, "io") > 1e6


def test_a_stopped_process_is_held(start: Start) -> None:
    process = start(READY + "time.sleep(60)")
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: (tree := activity.look(process.pid)) is not None and activity.held(tree))
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: (tree := activity.look(process.pid)) is not None and not activity.held(tree))


@pytest.mark.parametrize("other", ["'127.0.0.1'", "'::ffff:127.0.0.1', socket.AF_INET6"])
def test_a_connection_within_the_tree_is_none_and_one_to_another_program_is(start: Start, other: str) -> None:
    made = "import socket; l = socket.create_server(('127.0.0.1', 0)); port = l.getsockname()[1]; "
    with_itself = f"{made}c = socket.create_connection(('127.0.0.1', port)); a = l.accept(); "
    pid = start(with_itself + READY + "time.sleep(60)").pid
    device, sockets = activity.open_things([pid])
    assert len(sockets) == 3 and not device
    assert not activity.connected(pid, sockets) and not activity.connected(pid, {"1"})
    with socket.create_server(("127.0.0.1", 0)) as server:  # a database, a server of models
        to = f"({other.partition(',')[0]}, {server.getsockname()[1]})"
        family = other.partition(",")[2] or " socket.AF_INET"
        pid = start(f"import socket; s = socket.socket({family.strip()}); s.connect({to}); {READY}time.sleep(60)").pid
        sockets = activity.open_things([pid])[1]
        assert len(sockets) == 1
        assert not activity.connected(pid, sockets)  # nobody has taken it yet
        taken, _ = server.accept()
        with taken:
            assert activity.connected(pid, sockets) == "here"
    assert (activity.net_bytes(pid) or 0.0) >= 0.0


def test_a_connection_to_another_machine_is_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import socket; l = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(l.getsockname()); "
    pid = start(code + "a = l.accept(); " + READY + "time.sleep(60)").pid
    sockets = activity.open_things([pid])[1]
    monkeypatch.setattr(activity, "_this_machine", lambda address: False)
    assert activity.connected(pid, sockets) == "elsewhere"


def test_a_worker_that_left_the_tree_is_known_by_its_mark(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGENT_RUN_ID", "run_stray")
    left = "os.system(f'setsid {sys.executable} -c \"while 1: pass\" & echo $! > left'); "
    root = start(READY.replace("print(", left + "print(", 1) + "time.sleep(60)").pid
    strays = activity.Strays(b"RAGENT_RUN_ID=run_stray")
    assert os.getpid() not in strays.look(root)
    worker = wait_until(lambda: strays.look(root))[0]
    try:
        assert activity.Strays(b"RAGENT_RUN_ID=run_str").look(root) == []
        alone, both = activity.look(root), activity.look(root, strays.look(root))
        assert alone is not None and worker not in alone.pids
        assert both is not None and sorted(both.pids) == sorted({root, *strays.look(root)}) and activity.waits(both)
        before = SystemProbe(root, [], "run_stray").activity(1.0)
        assert before is not None

        def used() -> float:
            after = SystemProbe(root, [], "run_stray").activity(2.0)
            assert after is not None
            return after.cpu_s or 0.0

        wait_until(lambda: used() > (before.cpu_s or 0.0), what="it has had its turn")
    finally:
        for pid in strays.look(root):
            os.kill(pid, signal.SIGKILL)


def test_a_kernel_that_names_no_children_shows_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = start(READY + "time.sleep(60)").pid
    monkeypatch.setattr(activity, "_TOLD", False)
    assert activity.look(pid) is None


def test_who_is_gone_shows_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert activity.look(process.pid) is None
    assert SystemProbe(process.pid, []).activity(1.0) is None and SystemProbe(None, []).activity(1.0) is None


def test_a_gpu_that_was_given_counts_as_used(start: Start) -> None:
    pid = start(READY + "time.sleep(60)").pid
    fact, other = SystemProbe(pid, [0]).activity(2.0), SystemProbe(pid, []).activity(2.0)
    assert fact is not None and fact.uses_gpu and other is not None and not other.uses_gpu


def hangs(folder: RunFolder, start: Start, code: str) -> None:
    """A job that logs, and then does `code`, as its wrapper would have begun it."""
    path = folder.path / "metrics.jsonl"
    rows = f"f = open({str(path)!r}, 'a'); "
    rows += '[f.write(\'{"step": %d, "loss": 2.0}\\n\' % n) for n in range(20)]; f.flush(); '
    work = "sum(range(2 * 10**7)); "
    pid = start(f"import time; {work}{rows}{READY}{code}").pid
    line = f'{{"type": "job_started", "seq": 1, "at": {time.time()}, "pid": {pid}}}\n'
    (folder.path / "wrapper.jsonl").write_text(line)


@pytest.mark.slow
def test_a_hang_is_told_with_its_evidence_and_a_silent_computation_is_not(
    tmp_path: Path, spawn: Spawn, start: Start
) -> None:
    stuck = RunFolder(tmp_path / "runs" / "run_a", stall={"stall_s": 3.0})
    busy = RunFolder(
        tmp_path / "runs" / "run_b", run_id="run_b", stall={"stall_s": 3.0, "alike": {"runs": 3, "gap_s": 9.0}}
    )
    hangs(stuck, start, "time.sleep(600)")
    hangs(busy, start, "exec('while True: pass')")
    for folder in (stuck, busy):
        spawn(folder)
    alert = wait_until(stuck.alerts, 20)[0]
    assert (alert.rule, alert.severity.value) == ("stall", "warning")
    assert "its processes do nothing" in alert.title and "CPU 0 % of a core" in alert.text
    assert alert.evidence.threshold is not None and alert.evidence.threshold < 10.0
    assert busy.alerts() == []
    assert stuck.live()["quiet"].keys() == {"start_s", "gap_s", "pace_s", "whole_s"}


@pytest.mark.slow
def test_a_launcher_that_passes_on_what_others_say_shows_nothing_by_resting(
    tmp_path: Path, spawn: Spawn, start: Start
) -> None:
    folder = RunFolder(tmp_path / "runs" / "run_a", stall={"stall_s": 2.0})
    path = folder.path / "metrics.jsonl"
    row = 'f.write(\'{"step": %d, "loss": 2.0}\\n\' % n); f.flush(); time.sleep(0.6)'
    rows = f"f = open({str(path)!r}, 'a'); exec('for n in range(20): ' + {row!r}); "
    pid = start(f"import time; sum(range(2 * 10**7)); {READY}{rows}time.sleep(600)").pid
    line = f'{{"type": "job_started", "seq": 1, "at": {time.time()}, "pid": {pid}}}\n'
    (folder.path / "wrapper.jsonl").write_text(line)
    spawn(folder)
    wait_until(lambda: folder.live().get("points") == 20, 40)
    alert = wait_until(folder.alerts, 20)[0]
    pace = folder.live()["quiet"]["pace_s"]
    assert "do nothing" not in alert.title and pace > 0.5
    assert alert.evidence.threshold is not None and alert.evidence.baseline is not None
    # Ten paces, or three of the longest where this machine has held one of them up.
    assert 10 * pace - 0.01 <= alert.evidence.threshold <= max(10 * pace, 3 * alert.evidence.baseline) + 0.01


@pytest.mark.slow
def test_a_notebook_s_kernel_rests_while_its_user_thinks(run_folder: RunFolder, spawn: Spawn, start: Start) -> None:
    code = "import time; sum(range(2 * 10**7)); " + READY + "time.sleep(600)"
    pid = start(code).pid
    folder = RunFolder(run_folder.path, mode="attach", attach={"pid": pid, "start_time": 0.0}, stall={"stall_s": 2.0})
    folder.log(*({"step": n, "loss": 2.0} for n in range(20)))
    spawn(folder)
    wait_until(lambda: folder.live().get("points") == 20)
    time.sleep(7.0)
    assert [alert.rule for alert in folder.alerts()] == []
