"""The wrapper as a process of its own: what it starts, stops, survives and leaves behind."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.facts import JobStarted, LogTruncated, SidecarState, SignalSent, StopSeen
from ragent_jupyter.runfiles import proc
from ragent_jupyter.runfiles.spec import AttachSpec, SidecarSpec, StopSpec
from tests.support.run_folders import make_run, order, read_claim, read_exit, read_facts
from tests.support.wait import wait_until

PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
OLDEST = next(map(str, PYENV.glob("versions/3.8.*/bin/python")), None) or shutil.which("python3.8")
linux = pytest.mark.skipif(not proc.LINUX, reason="looks into /proc")

RUN = f"run_{os.getpid()}"
NUMBERS = itertools.count()
Start = Callable[..., "Wrapped"]


class Wrapped:
    """A run whose wrapper was started by hand."""

    def __init__(self, spec: Any, process: subprocess.Popen[bytes]) -> None:
        self.dir, self.process, self.run_id = Path(spec.run_dir), process, spec.run_id

    @property
    def log(self) -> bytes:
        path = self.dir / "job.log"
        return path.read_bytes() if path.exists() else b""

    def facts(self, kind: type) -> list[Any]:
        return [fact for fact in read_facts(self.dir) if isinstance(fact, kind)]

    def started(self) -> int:
        """The job's pid, once it has one."""
        return int(wait_until(lambda: self.facts(JobStarted))[0].pid)

    def says(self, words: bytes) -> None:
        wait_until(lambda: words in self.log, what=f"{words!r} in job.log")

    def verdict(self, timeout: float = 20) -> Any:
        return wait_until(lambda: read_exit(self.dir), timeout)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Makes a run and starts its wrapper; ends whatever is left of it afterwards."""
    wrapped: list[Wrapped] = []

    def begin(argv: list[str], *, python: str = sys.executable, before: str = "", **more: Any) -> Wrapped:
        # The mark is the run's id: other tests at this moment must have others.
        run_id = f"run_{os.getpid()}x{next(NUMBERS)}"
        popen = more.pop("popen", {"stdout": subprocess.DEVNULL})
        environ = {**os.environ, **more.pop("environ", {})}
        spec = more.pop("spec", None) or make_run(tmp_path, argv, run_id, **more)
        command = [python, *spec.wrapper[1:]]
        if before:  # another value for a constant of the wrapper's
            load = f"import runpy, sys; w = runpy.run_path({spec.wrapper[3]!r}); g = w['main'].__globals__; {before}"
            command = [python, "-I", "-S", "-c", f"{load}; sys.exit(w['main'](sys.argv[1:]))", spec.run_dir]
        one = Wrapped(spec, subprocess.Popen(command, env=environ, **popen))
        wrapped.append(one)
        return one

    yield begin
    for one in wrapped:
        for left in [*proc.run_processes(one.run_id), *proc.environ_scan("SIDECAR_OF", RUN)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(left.pid, signal.SIGKILL)
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(10)


@pytest.fixture(params=["this python", "the oldest"])
def python(request: pytest.FixtureRequest) -> str:
    """The interpreters that a cluster's node may have: ours, and the oldest that is promised."""
    if request.param == "this python":
        return sys.executable
    if OLDEST is None:
        pytest.skip("no Python 3.8 here")
    return OLDEST


# --- the job and its output ---------------------------------------------------------------------------------------
def test_a_run_leaves_a_claim_a_log_and_a_verdict(start: Start, python: str) -> None:
    run = start(["sh", "-c", "echo out; echo err >&2; exit 3"], python=python)
    verdict = run.verdict()
    assert (verdict.kind, verdict.exit_code, verdict.signal, verdict.run_id) == ("exited", 3, None, run.run_id)
    assert run.log == b"out\nerr\n"
    claim = read_claim(run.dir)
    assert claim is not None
    assert (claim.pid, claim.boot_id, claim.host) == (run.process.pid, proc.boot_id(), os.uname().nodename)
    assert verdict.job_pid == run.started()
    assert claim.at <= verdict.started_at <= verdict.at
    assert verdict.max_rss_bytes > 100_000
    assert run.process.wait(10) == 0
    left = {"claim.json", "env.json", "exit.json", "job.log", "spec.json", "wrapper.jsonl"}
    assert set(os.listdir(run.dir)) == left


def test_a_command_of_many_lines_with_quotes_and_comments(start: Start) -> None:
    script = """# a comment first
echo "it's $((1+1))"  # and one after
cat <<'END'
"quoted" # not a comment
END
exit 4 # the end"""
    run = start(["sh", "-c", script])
    assert run.verdict().exit_code == 4
    assert run.log == b'it\'s 2\n"quoted" # not a comment\n'


def test_arguments_and_environment_arrive_as_they_are(start: Start, python: str) -> None:
    words = ["", "a b", "new\nline", "$HOME", "'\"`", "grün", ";", "#{pid}"]
    show = "import os, sys; print([os.fsencode(w) for w in sys.argv[1:]], os.environb[b'WORD'], sorted(os.environ))"
    run = start(
        [sys.executable, "-c", show, *words], python=python, env={"WORD": "a\n\udcfe=ü"}, environ={"LC_ALL": "C"}
    )
    assert run.verdict().exit_code == 0
    said = run.log.decode()
    assert str([os.fsencode(word) for word in words]) in said
    assert str(b"a\n\xfe=\xc3\xbc") in said
    assert "RAGENT_RUN_ID" in said
    assert "HOME" not in said.split("]", 1)[1]  # nothing but what env.json says


def test_bytes_of_the_output_are_not_touched(start: Start) -> None:
    wanted = bytes(range(256)) * 20 + b"\x00\xff no newline at the end"
    run = start([sys.executable, "-c", f"import os; os.write(1, {wanted!r})"])
    run.verdict()
    assert run.log == wanted


def test_the_job_finds_default_signals_and_no_terminal(start: Start) -> None:
    show = (
        "import os, signal as s; print([s.getsignal(n) == s.SIG_IGN for n in (s.SIGHUP, s.SIGINT, s.SIGTERM)],"
        "s.pthread_sigmask(s.SIG_BLOCK, []), os.getpgid(0) == os.getsid(0) == os.getpid(), os.read(0, 1))"
    )
    run = start([sys.executable, "-c", show])
    assert run.verdict().exit_code == 0
    assert run.log == b"[False, False, False] set() True b''\n"


def test_a_job_that_dies_of_a_signal_says_which(start: Start, python: str) -> None:
    run = start(["sh", "-c", "kill -SEGV $$"], python=python)
    verdict = run.verdict()
    assert (verdict.kind, verdict.exit_code, verdict.signal, verdict.oom) == ("signalled", None, 11, False)


@linux
def test_a_huge_log_gives_back_its_middle_and_no_offset_moves(start: Start, tmp_path: Path) -> None:
    (tmp_path / "probe").write_bytes(b"x" * 65536)
    punch = ["fallocate", "-p", "-o", "4096", "-l", "4096", str(tmp_path / "probe")]
    if not shutil.which("fallocate") or subprocess.run(punch, capture_output=True, check=False).returncode != 0:
        pytest.skip("this file system cannot give back the middle of a file")
    line = b"%07d " + b"x" * 91 + b"\n"
    cap = 400_000
    write = f"import os\nfor i in range(30000):\n    os.write(1, {line!r} % i)"
    run = start([sys.executable, "-c", write], log_cap_bytes=cap)
    run.verdict()
    about = os.stat(run.dir / "job.log")
    assert about.st_size == 30000 * 100
    hole = run.facts(LogTruncated)[-1]
    assert about.st_blocks * 512 < 2 * cap
    log = run.log
    assert log[hole.start : hole.end].strip(b"\0") == b""
    for at in (0, hole.start // 100 - 1, hole.end // 100 + 1, 29999):
        assert log[at * 100 : at * 100 + 100] == line % at
    assert hole.start >= cap // 4
    assert about.st_size - hole.end >= cap // 2


# --- launch errors --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "more", "problem", "remedy"),
    [
        (["no-such-thing"], {}, "'no-such-thing' was not found", "PATH|install it"),
        (["train.py"], {}, "'train.py' was not found", r"\./train.py"),
        (["./gone.sh"], {}, "no file .*/gone.sh", "spelling"),
        (["./plain.sh"], {}, "plain.sh is not executable", r"chmod \+x"),
        (["./folder"], {}, "is a folder", "program in it"),
        (["./lost.py"], {}, "interpreter '/gone/python', named in the first line of .*/lost.py", "first line"),
        (["./windows.sh"], {}, "'/bin/sh\\\\r?\\\\?n?'|'/bin/sh'", "Windows"),
        (["./nothing"], {}, "neither a program nor a script", "through its program"),
        (["true"], {"cwd": "/gone/away"}, "/gone/away cannot be entered: No such file", "cwd"),
        (["true"], {"cwd": "/etc/passwd"}, "/etc/passwd cannot be entered: Not a directory", "cwd"),
        ([], {}, "command is empty", "python train.py"),
        (["echo", "a\0b"], {}, "null byte", "NUL"),
        (["true"], {"env": {"A=B": "1"}}, "cannot be passed on", "variable"),
        (["echo", *["x" * 100_000] * 40], {}, "too long", "into a file"),
    ],
)
def test_what_cannot_be_started_is_said_with_a_remedy(
    start: Start, tmp_path: Path, python: str, argv: list[str], more: dict[str, Any], problem: str, remedy: str
) -> None:
    scripts = {
        "plain.sh": ("echo", 0o644),
        "train.py": ("pass", 0o644),
        "lost.py": ("#!/gone/python\n", 0o755),
        "windows.sh": ("#!/bin/sh\r\necho\r\n", 0o755),
        "nothing": ("echo no first line", 0o755),
    }
    for name, (text, mode) in scripts.items():
        (tmp_path / name).write_bytes(text.encode())
        (tmp_path / name).chmod(mode)
    (tmp_path / "folder").mkdir()
    run = start(argv, python=python, **more)
    verdict = run.verdict()
    assert verdict.kind == "launch_error"
    assert re.search(problem, verdict.problem), verdict.problem
    assert re.search(remedy, verdict.remedy), verdict.remedy
    assert run.facts(JobStarted) == []
    assert run.process.wait(10) == 0


@pytest.mark.parametrize("broken", ["spec.json", "env.json"])
def test_a_folder_that_is_not_whole_is_a_launch_error(start: Start, tmp_path: Path, broken: str) -> None:
    spec = make_run(tmp_path, ["true"], RUN)
    Path(spec.run_dir, broken).write_text('{"run_id": "run_a", "ar')
    run = start([], spec=spec)
    assert run.verdict().kind == "launch_error"
    assert "not whole" in run.verdict().problem


def test_a_log_that_cannot_be_made_is_a_launch_error(start: Start, tmp_path: Path) -> None:
    spec = make_run(tmp_path, ["true"], RUN)
    Path(spec.run_dir, "job.log").mkdir()
    verdict = start([], spec=spec).verdict()
    assert verdict.kind == "launch_error"
    assert "job.log cannot be made" in verdict.problem


# --- one start ------------------------------------------------------------------------------------------------------
def test_of_many_wrappers_at_once_one_runs_the_job(start: Start, tmp_path: Path) -> None:
    spec = make_run(tmp_path, ["sh", "-c", f"echo x >> {tmp_path}/truth; sleep 0.3"], RUN)
    many = [start([], spec=spec) for _ in range(5)]
    assert [one.process.wait(20) for one in many] == [0] * 5
    assert (tmp_path / "truth").read_text() == "x\n"
    assert many[0].verdict().exit_code == 0


KILL_POINTS = [
    *("wrapper.claim.fsync", "wrapper.claim.link", "wrapper.claim.linked", "wrapper.spawn", "wrapper.spawned"),
    *("wrapper.fact.append", "wrapper.fact.appended"),
    *("wrapper.exit.write", "wrapper.exit.fsync", "wrapper.exit.link", "wrapper.exit.linked"),
]


@pytest.mark.parametrize("point", KILL_POINTS)
def test_wherever_the_wrapper_dies_the_job_runs_at_most_once_and_files_are_whole(
    start: Start, tmp_path: Path, point: str
) -> None:
    spec = make_run(tmp_path, ["sh", "-c", f"echo x >> {tmp_path}/truth; sleep 0.2"], RUN)
    first = start([], spec=spec, environ={"RAGENT_KILL_AT": f"{point}:1"})
    assert first.process.wait(20) == -signal.SIGKILL
    second = start([], spec=spec)
    assert second.process.wait(20) == 0
    wait_until(lambda: not proc.run_processes(RUN))
    truth = tmp_path / "truth"
    ran = truth.read_text() if truth.exists() else ""
    verdict, claim = read_exit(spec.run_dir), read_claim(spec.run_dir)  # each is whole, or not there
    assert claim is not None
    if point in KILL_POINTS[:2]:  # nothing had been claimed: the second wrapper may, and does, run it
        assert (ran, claim.pid) == ("x\n", second.process.pid)
        assert verdict is not None
        assert verdict.exit_code == 0
    else:
        assert claim.pid == first.process.pid
        assert ran == ("" if point in ("wrapper.claim.linked", "wrapper.spawn") else "x\n")
        assert (verdict is not None) == (point == "wrapper.exit.linked")


def test_a_killed_wrapper_leaves_the_job_alive(start: Start, tmp_path: Path) -> None:
    run = start(["sh", "-c", f"sleep 0.5; echo lived > {tmp_path}/truth"])
    pid = run.started()
    run.process.kill()
    run.process.wait(10)
    assert proc.start_time(pid) is not None
    assert pid in [one.pid for one in proc.run_processes(run.run_id)]
    wait_until((tmp_path / "truth").exists)
    assert read_exit(run.dir) is None  # who saw nothing says nothing


# --- stop -----------------------------------------------------------------------------------------------------------
CHECKPOINT = """
import signal, sys, time
def save(*_):
    time.sleep(0.4)
    open(sys.argv[1], "w").write("checkpoint")
    sys.exit(0)
signal.signal(signal.SIGINT, save)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("by", ["itself", "sh"])
def test_a_stop_lets_the_script_write_its_checkpoint(start: Start, tmp_path: Path, python: str, by: str) -> None:
    (tmp_path / "train.py").write_text(CHECKPOINT)
    argv = [sys.executable, "train.py", "ckpt"]
    if by == "sh":  # this shell dies of INT at once, its child has not yet saved
        argv = ["sh", "-c", f"echo begin\n{sys.executable} train.py ckpt\necho end"]
    run = start(argv, python=python, stop=StopSpec(int_s=15, term_s=15))
    run.says(b"ready")
    order_id = order(run.dir)
    verdict = run.verdict()
    assert (tmp_path / "ckpt").read_text() == "checkpoint"
    assert verdict.order_id == order_id
    assert (verdict.kind, verdict.exit_code) == ("exited", 0) if by == "itself" else (verdict.signal == 2)
    assert [fact.order_id for fact in run.facts(StopSeen)] == [order_id]
    assert [(fact.signal, fact.grace_s) for fact in run.facts(SignalSent)] == [("INT", 15)]


STUBBORN = "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint('ready', flush=True)\n"


def test_who_hears_neither_int_nor_term_is_killed_after_its_grace(start: Start, python: str) -> None:
    run = start(
        [sys.executable, "-c", STUBBORN + "time.sleep(60)"], python=python, stop=StopSpec(int_s=0.3, term_s=0.4)
    )
    run.says(b"ready")
    order_id = order(run.dir)
    verdict = run.verdict()
    assert (verdict.kind, verdict.signal, verdict.order_id) == ("signalled", 9, order_id)
    sent = run.facts(SignalSent)
    assert [fact.signal for fact in sent] == ["INT", "TERM", "KILL"]
    assert sent[1].at - sent[0].at >= 0.3
    assert sent[2].at - sent[1].at >= 0.4
    assert not verdict.oom  # it was us


@pytest.mark.parametrize("when", ["at once", "during the grace"])
def test_stop_now_skips_the_grace(start: Start, when: str) -> None:
    run = start([sys.executable, "-c", STUBBORN + "time.sleep(60)"], stop=StopSpec(int_s=60, term_s=60))
    run.says(b"ready")
    if when == "during the grace":
        order(run.dir)
        wait_until(lambda: run.facts(SignalSent))
    order_id = order(run.dir, now=True)
    verdict = run.verdict(timeout=30)  # the grace is a minute
    assert (verdict.signal, verdict.order_id) == (9, order_id)


def test_a_second_stop_does_not_begin_the_grace_anew(start: Start) -> None:
    run = start([sys.executable, "-c", STUBBORN + "time.sleep(60)"], stop=StopSpec(int_s=0.5, term_s=0.5))
    run.says(b"ready")
    first = order(run.dir)
    for sent in (1, 2):
        wait_until(lambda sent=sent: len(run.facts(SignalSent)) == sent)
        order(run.dir)
    assert run.verdict().order_id == first
    assert [fact.signal for fact in run.facts(SignalSent)] == ["INT", "TERM", "KILL"]
    assert len(run.facts(StopSeen)) == 3


def test_a_stop_that_was_there_before_the_start_starts_nothing(start: Start, tmp_path: Path, python: str) -> None:
    spec = make_run(tmp_path, ["sh", "-c", f"echo x > {tmp_path}/truth"], RUN)
    order_id = order(spec.run_dir)
    run = start([], spec=spec, python=python)
    verdict = run.verdict()
    assert (verdict.kind, verdict.order_id, verdict.started_at) == ("exited", order_id, None)
    assert verdict.exit_code is verdict.signal is None
    assert [fact.order_id for fact in run.facts(StopSeen)] == [order_id]
    assert not (tmp_path / "truth").exists()


def test_torn_and_garbage_orders_do_no_harm_and_hide_none(start: Start) -> None:
    run = start(["sleep", "60"])
    run.started()
    path = run.dir / "orders.jsonl"
    with path.open("ab") as out:
        out.write(
            b'\xff\x00\n[]\n"x"\n{"type":"stop"}\n{"type":"dance","order_id":"ord_d"}\n{"type":"stop","order_id":"o'
        )
    time.sleep(0.6)  # several ticks: a torn order is none
    assert run.facts(StopSeen) == []
    with path.open("ab") as out:
        out.write(b'rd_torn","seq":1,"at":1}\n')
    assert run.verdict().order_id == "ord_torn"


def test_a_job_that_ended_by_itself_was_not_stopped(start: Start) -> None:
    run = start(["sh", "-c", "exit 5"])
    assert run.verdict().order_id is None
    order(run.dir)
    assert run.process.wait(10) == 0
    assert read_exit(run.dir) == run.verdict()


def test_a_suspended_job_hears_its_stop(start: Start) -> None:
    run = start(["sh", "-c", "kill -STOP $$; sleep 60"])
    run.started()
    order(run.dir)
    assert run.verdict().signal == 2


def test_term_to_the_wrapper_is_passed_on(start: Start, python: str) -> None:
    script = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(3))\n"
    script += "print('ready', flush=True)\ntime.sleep(60)"
    run = start([sys.executable, "-c", script], python=python)
    run.says(b"ready")
    run.process.terminate()  # as scancel does
    verdict = run.verdict()
    assert (verdict.exit_code, verdict.order_id) == (3, None)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP])
def test_a_hang_up_or_a_key_in_its_terminal_does_not_end_it(start: Start, number: int) -> None:
    run = start(["sh", "-c", "sleep 0.5; exit 6"])
    run.started()
    run.process.send_signal(number)
    assert run.verdict().exit_code == 6


# --- children -------------------------------------------------------------------------------------------------------
BROOD = "(setsid sleep 71 &) ; nohup sleep 72 >/dev/null 2>&1 & (sleep 73 &) ; sleep 0.2; echo born; "


@linux
@pytest.mark.parametrize("how", ["a normal end", "a stop"])
def test_no_child_is_left_behind(start: Start, python: str, how: str) -> None:
    run = start(["sh", "-c", BROOD + ("exit 2" if how == "a normal end" else "sleep 74")], python=python)
    run.says(b"born")
    if how == "a stop":
        order(run.dir)
    verdict = run.verdict()
    assert proc.run_processes(run.run_id) == []
    assert (verdict.exit_code == 2) if how == "a normal end" else (verdict.signal == 2)
    # After a normal end all three outlive the job; on a stop only who left the group does, or ignores INT.
    assert verdict.survivors == 3 if how == "a normal end" else 1 <= verdict.survivors <= 3


@linux
def test_children_that_hear_nothing_are_killed(start: Start) -> None:
    script = STUBBORN + "import os\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\n"
    run = start([sys.executable, "-c", script], before="g['LEFT_OVER_GRACE'] = 0.3")
    verdict = run.verdict()
    assert (verdict.exit_code, verdict.survivors) == (0, 1)
    assert proc.run_processes(run.run_id) == []


@linux
def test_a_process_without_this_runs_mark_is_never_killed(start: Start, tmp_path: Path) -> None:
    # One started by the job with an environment of its own (a daemon), one of another run, one with a longer id.
    script = (
        f"setsid env -i sleep 81 & echo $! >> {tmp_path}/pids\n"
        f"setsid env RAGENT_RUN_ID=run_other sleep 82 & echo $! >> {tmp_path}/pids\n"
        f"setsid env RAGENT_RUN_ID=$RAGENT_RUN_ID-x sleep 83 & echo $! >> {tmp_path}/pids\n"
        f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    )
    run = start(["sh", "-c", script])
    job = run.started()

    def others() -> list[int]:
        return [int(word) for word in (tmp_path / "pids").read_text().split()] if (tmp_path / "pids").exists() else []

    wait_until(lambda: len(others()) == 3)
    pids = others()
    try:
        # Until `env` has made them what they are, they are the job's own children, with the run's mark.
        marked = functools.partial(proc.run_processes, run.run_id)
        wait_until(lambda: not {one.pid for one in marked()} & set(pids), what="none of them has the mark")
        assert job in {one.pid for one in marked()}
        (tmp_path / "go").touch()
        verdict = run.verdict()
        assert verdict.survivors == 0
        assert all(proc.start_time(pid) is not None for pid in pids)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


@linux
def test_a_pid_that_was_given_to_another_is_not_signalled(tmp_path: Path) -> None:
    import runpy

    send = runpy.run_path(proc.wrapper_path())["send"]
    with subprocess.Popen(["sleep", "60"], env={"RAGENT_RUN_ID": RUN}) as child:
        started = wait_until(lambda: proc.start_time(child.pid))
        mark = b"RAGENT_RUN_ID=" + RUN.encode()
        wait_until(lambda: proc.run_processes(RUN))
        assert not send(child.pid, started + 1, -1, mark, signal.SIGTERM)  # same pid and mark, another start
        assert not send(child.pid, started, -1, b"RAGENT_RUN_ID=run_other", signal.SIGTERM)
        assert child.poll() is None
        assert send(child.pid, started, -1, mark, signal.SIGTERM)
        assert child.wait(10) == -signal.SIGTERM


# --- the sidecar ----------------------------------------------------------------------------------------------------
def sidecar(script: str) -> SidecarSpec:
    return SidecarSpec(argv=[sys.executable, "-S", "-c", script], env={"SIDECAR_OF": RUN})


GATE = 'while [ ! -e "$RAGENT_RUN_DIR/go" ]; do sleep 0.02; done; exit 7'

# Ends by itself once exit.json is there, as the true one does.
GOOD = (
    "import os, time\nprint('watching', os.environ['RAGENT_ROLE'], flush=True)\n"
    "while not os.path.exists('exit.json'): time.sleep(0.02)\nopen('all-read', 'w').close()"
)


def test_a_killed_sidecar_is_started_again_and_reads_to_the_end(start: Start, python: str) -> None:
    run = start(["sh", "-c", GATE], python=python, sidecar=sidecar(GOOD))
    first = wait_until(lambda: run.facts(SidecarState))[0]
    wait_until(lambda: b"watching sidecar" in (run.dir / "sidecar.log").read_bytes())
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: [fact.state for fact in run.facts(SidecarState)] == ["started", "died", "started"])
    assert "signal 9" in run.facts(SidecarState)[1].detail
    (run.dir / "go").touch()
    verdict = run.verdict()
    assert (verdict.exit_code, verdict.survivors) == (7, 0)
    assert run.process.wait(15) == 0
    assert (run.dir / "all-read").exists()


@pytest.mark.parametrize("code", [0, 1])
def test_a_sidecar_that_died_at_the_very_end_is_started_once_more(start: Start, code: int) -> None:
    script = f"import os, sys\nif not os.path.exists('exit.json'): sys.exit({code})\nopen('all-read', 'w').close()"
    run = start(["sh", "-c", GATE], sidecar=sidecar(script))
    wait_until(lambda: any(fact.state == "died" for fact in run.facts(SidecarState)))
    (run.dir / "go").touch()
    assert run.process.wait(15) == 0
    assert (run.dir / "all-read").exists()


@pytest.mark.parametrize("trouble", ["exits", "does not exist"])
def test_a_sidecar_that_cannot_live_is_given_up_and_the_job_unharmed(start: Start, python: str, trouble: str) -> None:
    spec = sidecar("raise SystemExit(3)")
    if trouble != "exits":
        spec = SidecarSpec(argv=["/gone/python"], env={})
    run = start(["sh", "-c", GATE], python=python, sidecar=spec, before="g['SIDECAR_DEATHS'] = 2")
    wait_until(lambda: [fact.state for fact in run.facts(SidecarState)][-1:] == ["given_up"])
    detail = run.facts(SidecarState)[-1].detail
    assert ("exit code 3" in detail) if trouble == "exits" else ("/gone/python" in detail)
    assert [fact.state for fact in run.facts(SidecarState)].count("died") == 1
    (run.dir / "go").touch()
    assert run.verdict().exit_code == 7
    assert run.process.wait(10) == 0


def test_a_sidecar_that_does_not_move_after_the_end_is_ended(start: Start) -> None:
    script = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)"
    before = "g['DRAIN_IDLE'] = 0.3; g['LEFT_OVER_GRACE'] = 0.3"
    run = start(["sleep", "0.5"], sidecar=sidecar(script), before=before)
    assert run.verdict().exit_code == 0
    assert run.process.wait(15) == 0
    assert proc.environ_scan("SIDECAR_OF", RUN) == []


def test_a_sidecar_that_still_reads_after_the_end_is_let(start: Start) -> None:
    script = (
        "import os, time\nwhile not os.path.exists('exit.json'): time.sleep(0.02)\n"
        "for i in range(45):\n    open('live.json', 'w').write(str(i)); time.sleep(0.1)\nopen('all-read', 'w').close()"
    )
    run = start(["true"], sidecar=sidecar(script), before="g['DRAIN_IDLE'] = 3.0")
    assert run.process.wait(15) == 0
    assert (run.dir / "all-read").exists()


# --- attach ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def kernel() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's process, which says when it is interrupted."""
    script = (
        "import signal, time\nsignal.signal(2, lambda *_: print('interrupted', flush=True))\nprint('up', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script + "time.sleep(60)\n" * 2], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        process.kill()


@pytest.mark.parametrize("end", ["its end", "finish", "stop", "another process by now"])
def test_an_attached_process_is_watched_and_never_killed(
    start: Start, kernel: subprocess.Popen[bytes], python: str, end: str
) -> None:
    started = proc.start_time(kernel.pid) or 0.0
    if end == "another process by now":
        started += 1
    attach = AttachSpec(pid=kernel.pid, start_time=started)
    run = start([], python=python, mode="attach", attach=attach, sidecar=sidecar(GOOD))
    assert run.started() == kernel.pid
    order_id = None
    if end == "its end":
        kernel.kill()
        kernel.wait(10)
    elif end in ("finish", "stop"):
        order_id = order(run.dir, end)
    verdict = run.verdict()
    assert verdict.kind == "finished"
    assert verdict.order_id == (order_id if end == "stop" else None)
    assert run.process.wait(15) == 0
    assert (run.dir / "all-read").exists()
    if end == "stop":  # what Jupyter's own Stop does, and no more
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == b"interrupted\n"
    if end != "its end":
        assert kernel.poll() is None


def test_an_attached_process_that_was_done_before_us_has_its_rows_read(
    start: Start, kernel: subprocess.Popen[bytes], tmp_path: Path, python: str
) -> None:
    attach = AttachSpec(pid=kernel.pid, start_time=proc.start_time(kernel.pid) or 0.0)
    spec = make_run(tmp_path, [], f"run_{os.getpid()}early", mode="attach", attach=attach, sidecar=sidecar(GOOD))
    order(spec.run_dir, "finish")
    run = start([], python=python, spec=spec)
    assert (run.verdict().kind, run.verdict().order_id) == ("finished", None)
    assert run.process.wait(15) == 0
    assert (run.dir / "all-read").exists()


# --- the machine ----------------------------------------------------------------------------------------------------
def test_a_terminal_that_takes_nothing_holds_nobody_up(start: Start) -> None:
    write = "import os\nfor i in range(200): os.write(1, b'x' * 10000)"
    run = start([sys.executable, "-c", write], popen={"stdout": subprocess.PIPE})
    assert run.verdict().exit_code == 0
    assert run.process.wait(10) == 0
    assert len(run.log) == 2_000_000


def test_who_looks_at_the_terminal_sees_job_and_sidecar(start: Start) -> None:
    script = "echo hello; until [ -e $RAGENT_RUN_DIR/go ]; do sleep 0.05; done; echo bye"
    run = start(["sh", "-c", script], sidecar=sidecar(GOOD), popen={"stdout": subprocess.PIPE})
    said = run.dir / "sidecar.log"
    wait_until(lambda: said.exists() and b"watching" in said.read_bytes(), what="the sidecar has said that it watches")
    (run.dir / "go").touch()
    shown, _ = run.process.communicate(timeout=15)
    for words in ("[ragent] run_", "hello\n", "bye\n", "sidecar │ watching", "ended with exit code 0"):
        assert words in shown.decode()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB that can be filled; needs the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "ragent-test", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    # A file system may round up; nothing at all must be left.
    with pytest.raises(OSError, match="No space"):
        (disk / "one-more").write_bytes(b"x" * 5000)


@linux
def test_a_full_disk_does_not_lose_the_verdict(start: Start, small_disk: Path) -> None:
    spec = make_run(small_disk, [sys.executable, "-c", "import time; time.sleep(1.5); raise SystemExit(9)"], RUN)
    run = start([], spec=spec)
    run.started()
    fill(small_disk)
    verdict = run.verdict()
    assert (verdict.kind, verdict.exit_code) == ("exited", 9)
    assert run.process.wait(10) == 0


@linux
def test_facts_that_a_full_disk_refused_are_told_later(start: Start, small_disk: Path) -> None:
    spec = make_run(small_disk, ["sleep", "60"], RUN, stop=StopSpec(int_s=30, term_s=30))
    with (Path(spec.run_dir) / "wrapper.jsonl").open("wb") as file:
        file.write(b"\n" * 4095)  # so that the next fact needs a new page
    run = start([], spec=spec)
    wait_until(lambda: read_claim(run.dir))
    run.started()
    fill(small_disk)
    with (run.dir / "wrapper.jsonl").open("rb") as file:
        room = -len(file.read()) % 4096
    os.truncate(run.dir / "wrapper.jsonl", os.stat(run.dir / "wrapper.jsonl").st_size + room)
    path = run.dir / "orders.jsonl"
    os.truncate(small_disk / "ballast", os.stat(small_disk / "ballast").st_size - 4096)  # room for the order alone
    line = {"type": "stop", "order_id": "ord_full", "seq": 1, "at": 1}
    path.write_bytes(json.dumps(line).encode() + b"\n")
    assert run.verdict().order_id == "ord_full"
    (small_disk / "ballast").unlink()


@linux
def test_death_by_the_kernels_memory_killer_is_told_apart(start: Start, tmp_path: Path) -> None:
    group = memory_group(64 << 20)
    try:
        eat = "b = []\nwhile True: b.append(bytearray(b'x' * (4 << 20)))"
        spec = make_run(tmp_path, [sys.executable, "-c", eat], RUN)
        join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        process = subprocess.Popen(["sh", "-c", join, "sh", *spec.wrapper], stdout=subprocess.DEVNULL)
        verdict = wait_until(lambda: read_exit(spec.run_dir), 30)
        assert process.wait(10) == 0
        assert (verdict.signal, verdict.oom) == (9, True)
        other = start(["sh", "-c", "kill -KILL $$"]).verdict()
        assert (other.signal, other.oom) == (9, False)
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def memory_group(limit: int) -> Path:
    """A cgroup of our own, where we may make one."""
    for root, name in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(root, f"ragent-test-{os.getpid()}")
        try:
            group.mkdir()
            (group / name).write_text(str(limit))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        return group
    pytest.skip("needs the right to make a memory cgroup")
