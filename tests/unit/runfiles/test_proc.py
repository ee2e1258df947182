"""What can be known of processes: each by pid and start time, none signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ragent_jupyter.runfiles import proc
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(not proc.LINUX, reason="compares with /proc")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    script = (
        "import sys, time; f = open('held.log', 'w'); g = open('gone.log', 'w'); print(1, flush=True); time.sleep(60)"
    )
    env = {"RAGENT_RUN_ID": f"run_proc{os.getpid()}", "WORD": "a=b"}
    argv = [sys.executable, "-S", "-c", script]
    with subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_process_is_alive_under_its_own_start_time_and_boot_only(child: subprocess.Popen[bytes]) -> None:
    started = proc.start_time(child.pid)
    assert started is not None
    assert abs(psutil.Process(child.pid).create_time() - psutil.boot_time() - started / os.sysconf("SC_CLK_TCK")) < 2
    assert proc.alive(child.pid, started)
    assert proc.alive(child.pid, started, proc.boot_id())
    assert not proc.alive(child.pid, started + 1)
    assert not proc.alive(child.pid, started, "another boot")
    assert child.pid in proc.pids()


def test_a_zombie_is_dead(child: subprocess.Popen[bytes]) -> None:
    started = proc.start_time(child.pid)
    child.send_signal(signal.SIGKILL)
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert started is not None
    assert not proc.alive(child.pid, started)
    child.wait(10)
    assert proc.start_time(child.pid) is None


def test_a_name_with_brackets_and_blanks_does_not_shift_the_fields(tmp_path: Path) -> None:
    odd = tmp_path / ") R 1 (x"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "60"]) as process:
        wait_until(lambda: b") R 1" in Path(f"/proc/{process.pid}/stat").read_bytes())
        started = proc.start_time(process.pid)
        assert started is not None
        assert started > 1
        process.kill()


def test_processes_are_found_by_what_they_were_started_with(child: subprocess.Popen[bytes]) -> None:
    run_id = f"run_proc{os.getpid()}"
    found = proc.environ_scan("RAGENT_RUN_ID", run_id)
    assert [(one.pid, one.start_time) for one in found] == [(child.pid, proc.start_time(child.pid))]
    assert proc.environ_scan("RAGENT_RUN_ID", run_id[:-1]) == []  # whole, not a part
    assert proc.environ_of(child.pid) == {"RAGENT_RUN_ID": run_id, "WORD": "a=b"} | (
        {"LC_CTYPE": "C.UTF-8"} if "LC_CTYPE" in proc.environ_of(child.pid) else {}
    )
    assert proc.environ_of(2**22 + 1) == {}


def test_a_sidecar_is_not_one_of_the_jobs_processes(child: subprocess.Popen[bytes]) -> None:
    run_id = f"run_proc{os.getpid()}"
    side = {"RAGENT_RUN_ID": run_id, "RAGENT_ROLE": "sidecar"}
    with subprocess.Popen(["sleep", "60"], env=side) as sidecar:
        wait_until(lambda: len(proc.environ_scan("RAGENT_RUN_ID", run_id)) == 2)
        assert [one.pid for one in proc.run_processes(run_id)] == [child.pid]
        sidecar.kill()


def test_open_files_and_cwd_are_seen(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (tmp_path / "gone.log").unlink()
    assert proc.open_files(child.pid) == [str(tmp_path / "held.log")]
    assert proc.cwd_of(child.pid) == str(tmp_path)
    assert proc.open_files(2**22 + 1) == []
    assert proc.cwd_of(2**22 + 1) is None


def test_elsewhere_ps_tells(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    # The way for systems without /proc, tried with this system's ps; macOS's own was not at hand.
    monkeypatch.setattr(proc, "LINUX", False)
    started = proc.start_time(child.pid)
    assert started is not None
    assert abs(started - psutil.Process(child.pid).create_time()) < 5
    assert proc.alive(child.pid, started)
    assert child.pid in proc.pids()
    assert proc.start_time(2**22 + 1) is None


def test_the_wrapper_is_where_it_is_said_to_be() -> None:
    assert Path(proc.wrapper_path()).read_text().startswith('"""The wrapper')
