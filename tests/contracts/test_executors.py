"""tmux, process and fake: one contract suite; then what only one of them can do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragent_jupyter.adapters.executors import tmux as tmux_module
from ragent_jupyter.adapters.executors.fake import FakeExecutor
from ragent_jupyter.adapters.executors.process import ProcessExecutor
from ragent_jupyter.adapters.executors.tmux import TmuxExecutor, window_name
from ragent_jupyter.domain.errors import CannotBeDone, ExecutorMissing, MissingPart
from ragent_jupyter.runfiles import proc
from tests.contracts.executor import ExecutorContract, MakeExecutor
from tests.support.run_folders import make_run, order, read_claim, read_exit, read_facts
from tests.support.wait import wait_until

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


def end_all(project: Path) -> None:
    """End whatever a failed test left: only processes that carry a run id of this very project's folders."""
    for run_dir in (project / ".ragent" / "runs").glob("*"):
        for one in proc.environ_scan("RAGENT_RUN_DIR", str(run_dir)):
            os.kill(one.pid, signal.SIGKILL)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    end_all(tmp_path)


@pytest.fixture
def tmux_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder for sockets, with a short path (a socket's ends at 107 bytes)."""
    folder = tempfile.mkdtemp(prefix="rt", dir="/tmp")
    monkeypatch.setenv("TMUX_TMPDIR", folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class TestFake(ExecutorContract):
    @pytest.fixture
    def make_executor(self, project: Path) -> Iterator[MakeExecutor]:
        one = FakeExecutor(project)  # its runs live in it: a restart of the engine is another user of the same
        yield lambda: one
        one.close()

    def test_its_owner_ends_runs_at_will(self, project: Path) -> None:
        fake = FakeExecutor(project, manual=True)
        specs = [make_run(project, ["true"], f"run_{letter}") for letter in "abc"]
        for spec in specs:
            fake.submit(spec)
        fake.end("run_a", 7)
        fake.end("run_b", signal=9)
        fake.end("run_c", verdict=False)
        first, second = read_exit(specs[0].run_dir), read_exit(specs[1].run_dir)
        assert first is not None
        assert second is not None
        assert (first.exit_code, second.signal, read_exit(specs[2].run_dir)) == (7, 9, None)
        assert {one.state for one in fake.look(["run_a", "run_b", "run_c"]).values()} == {"gone"}
        fake.close()

    def test_what_has_no_slot_is_pending_and_unclaimed(self, project: Path) -> None:
        fake = FakeExecutor(project, manual=True, slots=1)
        specs = [make_run(project, ["true"], f"run_{letter}") for letter in "ab"]
        for spec in specs:
            fake.submit(spec)
        assert [one.state for one in fake.look(["run_a", "run_b"]).values()] == ["alive", "pending"]
        assert read_claim(specs[1].run_dir) is None
        fake.end("run_a")
        wait_until(lambda: fake.look(["run_b"])["run_b"].state == "alive")
        fake.close()


class TestProcess(ExecutorContract):
    @pytest.fixture
    def make_executor(self, project: Path) -> MakeExecutor:
        return lambda: ProcessExecutor(project)

    def test_the_wrapper_inherits_no_secret_and_no_outer_run(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
        monkeypatch.setenv("RAGENT_RUN_ID", "run_outer")
        spec = make_run(project, ["sleep", "30"], "run_a")
        ProcessExecutor(project).submit(spec)
        claim = wait_until(lambda: read_claim(spec.run_dir))
        environ = proc.environ_of(claim.pid)
        assert "PATH" in environ
        assert not {"ANTHROPIC_API_KEY", "RAGENT_RUN_ID"} & set(environ)
        order(spec.run_dir, now=True)
        wait_until(lambda: read_exit(spec.run_dir))

    def test_an_ended_wrapper_does_not_stay_a_zombie(self, project: Path) -> None:
        executor = ProcessExecutor(project)
        spec = make_run(project, ["true"], "run_a")
        executor.submit(spec)
        wait_until(lambda: executor.look(["run_a"])["run_a"].state == "gone")
        pid = executor.look(["run_a"])["run_a"].pid

        def reaped() -> bool:
            executor.look([])
            return not os.path.exists(f"/proc/{pid}")

        wait_until(reaped)

    def test_a_wrapper_that_died_before_its_claim_is_started_anew(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spec = make_run(project, ["true"], "run_a")
        monkeypatch.setenv("RAGENT_KILL_AT", "wrapper.claim.link:1")
        executor = ProcessExecutor(project)
        executor.submit(spec)
        wait_until(lambda: executor.look(["run_a"])["run_a"].state == "gone")
        assert read_claim(spec.run_dir) is None
        monkeypatch.delenv("RAGENT_KILL_AT")
        executor.submit(spec)
        assert wait_until(lambda: read_exit(spec.run_dir)).exit_code == 0

    def test_a_wrapper_that_cannot_be_started_is_said_in_words(self, project: Path) -> None:
        spec = make_run(project, ["true"], "run_a")
        lost = type(spec)(run_id="run_a", run_dir=spec.run_dir, name="a", wrapper=["/no/python"], cwd=spec.cwd)
        with pytest.raises(CannotBeDone, match="/no/python"):
            ProcessExecutor(project).submit(lost)


@needs_tmux
class TestTmux(ExecutorContract):
    @pytest.fixture
    def make_executor(self, project: Path, tmux_dir: str) -> Iterator[MakeExecutor]:
        yield lambda: TmuxExecutor(project)
        kill_server(TmuxExecutor(project))

    def test_a_person_who_attaches_sees_what_the_job_says(self, executor: TmuxExecutor, project: Path) -> None:
        spec = make_run(project, ["sh", "-c", "echo one; echo grün; sleep 30"], "run_a")
        executor.submit(spec)
        command = executor.attach_command("run_a")
        assert command is not None
        shown = ["sh", "-c", command.replace(" attach ", " capture-pane -p ")]
        wait_until(lambda: "grün" in subprocess.run(shown, capture_output=True, text=True, check=True).stdout)
        order(spec.run_dir, now=True)
        wait_until(lambda: read_exit(spec.run_dir))

    def test_the_attach_command_attaches(self, executor: TmuxExecutor, project: Path) -> None:
        spec = make_run(project, ["sleep", "30"], "run_a")
        executor.submit(spec)
        command = executor.attach_command("run_a")
        assert command is not None
        typescript = ["script", "-qfec", command, str(project / "typescript")]
        env = {**os.environ, "TERM": "xterm"}
        with subprocess.Popen(typescript, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env) as person:
            seen = project / "typescript"
            wait_until(lambda: seen.exists() and b"run_a" in seen.read_bytes())
            assert person.stdin is not None
            person.stdin.write(b"\x02d")  # Ctrl-b d
            person.stdin.flush()
            assert person.wait(10) == 0
        assert executor.look(["run_a"])["run_a"].state == "alive"
        order(spec.run_dir, now=True)
        wait_until(lambda: read_exit(spec.run_dir))

    def test_a_killed_server_costs_the_view_and_nothing_else(self, executor: TmuxExecutor, project: Path) -> None:
        script = (
            "import time\nfor i in range(100):\n    print(i, flush=True)\n    time.sleep(0.02)\nraise SystemExit(5)"
        )
        specs = [make_run(project, [sys.executable, "-c", script], f"run_{i}") for i in range(3)]
        for spec in specs:
            executor.submit(spec)
        for spec in specs:
            wait_until(lambda spec=spec: read_facts(spec.run_dir))
        server = int(executor._ask("display-message", "-p", "#{pid}")[0])
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{server}"))
        assert executor.look(["run_0"])["run_0"].state == "unknown"  # a server's memory dies with it
        another = make_run(project, ["true"], "run_another")
        executor.submit(another)  # begins a new one over the dead one's socket
        for spec in specs:
            verdict = wait_until(lambda spec=spec: read_exit(spec.run_dir), timeout=20)
            assert (verdict.kind, verdict.exit_code) == ("exited", 5)
            assert Path(spec.run_dir, "job.log").read_text().split() == [str(i) for i in range(100)]
        assert wait_until(lambda: read_exit(another.run_dir)).exit_code == 0

    def test_windows_of_others_are_never_killed(self, executor: TmuxExecutor, project: Path) -> None:
        spec = make_run(project, ["true"], "run_a")
        executor.submit(spec)
        window = executor._panes()["run_a"].window_id
        theirs = executor._ask("new-window", "-d", "-t", "ragent:", "-n", "run_a", "-P", "-F", "#{window_id}")[0]
        executor._ask("set-option", "-w", "-t", theirs, "@ragent_run", "run_a")  # even one that looks like ours
        split = executor._ask("split-window", "-d", "-t", window, "-P", "-F", "#{pane_id}")[0]
        wait_until(lambda: executor.look(["run_a"])["run_a"].state == "gone")
        executor.forget("run_a")
        assert executor.look(["run_a"])["run_a"].state == "unknown"
        left = executor._ask("list-panes", "-a", "-F", "#{window_id} #{pane_id}")
        assert any(line.startswith(theirs + " ") for line in left)
        assert f"{window} {split}" in left

    def test_a_name_is_not_a_command(self, executor: TmuxExecutor, project: Path) -> None:
        spec = make_run(project, ["true"], "run_a")
        hostile = f"#(touch {project}/owned) #{{pid}};"
        spec = type(spec)(run_id=spec.run_id, run_dir=spec.run_dir, name=hostile, wrapper=spec.wrapper, cwd=spec.cwd)
        executor.submit(spec)
        wait_until(lambda: read_exit(spec.run_dir))
        assert not (project / "owned").exists()
        assert executor._ask("list-windows", "-t", "ragent", "-F", "#{window_name}")[1] == window_name(hostile)

    def test_the_server_is_given_no_secrets(
        self, executor: TmuxExecutor, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        spec = make_run(project, ["sleep", "30"], "run_a", env={"WORD": "sesame"})
        executor.submit(spec)
        claim = wait_until(lambda: read_claim(spec.run_dir))
        told = executor._ask("show-environment", "-g") + list(proc.environ_of(claim.pid))
        assert not any("OPENAI_API_KEY" in line for line in told)
        lines = [Path(f"/proc/{pid}/cmdline") for pid in proc.pids()]
        assert not any(b"sesame" in line.read_bytes() for line in lines if line.exists())
        order(spec.run_dir, now=True)
        wait_until(lambda: read_exit(spec.run_dir))

    def test_the_job_gets_the_environment_it_was_given_not_the_servers(
        self, executor: TmuxExecutor, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executor.submit(make_run(project, ["true"], "run_first"))  # begins the server
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "9")
        spec = make_run(project, ["sh", "-c", "env"], "run_a", env={"CUDA_VISIBLE_DEVICES": "3"})
        executor.submit(spec)
        wait_until(lambda: read_exit(spec.run_dir))
        said = Path(spec.run_dir, "job.log").read_text().splitlines()
        assert "CUDA_VISIBLE_DEVICES=3" in said
        assert not [line for line in said if line.startswith("TMUX")]

    def test_under_a_posix_locale_it_works_as_well(
        self, executor: TmuxExecutor, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LC_ALL", "POSIX")
        spec = make_run(project, ["true"], "run_a")
        executor.submit(spec)
        assert wait_until(lambda: read_exit(spec.run_dir)).exit_code == 0
        wait_until(lambda: executor.look(["run_a"])["run_a"].state == "gone")

    def test_a_stopped_server_is_an_error_in_words_not_a_hang(
        self, executor: TmuxExecutor, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        executor.submit(make_run(project, ["true"], "run_a"))
        server = int(executor._ask("display-message", "-p", "#{pid}")[0])
        monkeypatch.setattr(tmux_module, "_PATIENCE", 0.3)
        os.kill(server, signal.SIGSTOP)
        try:
            with pytest.raises(MissingPart, match="not answered"):
                executor.look(["run_a"])
        finally:
            os.kill(server, signal.SIGCONT)

    def test_the_server_goes_when_nothing_lives_in_it(self, executor: TmuxExecutor, project: Path) -> None:
        ended, lives = make_run(project, ["true"], "run_ended"), make_run(project, ["sleep", "30"], "run_lives")
        for spec in (ended, lives):
            executor.submit(spec)
        wait_until(lambda: executor.look(["run_ended"])["run_ended"].state == "gone")
        server = int(executor._ask("display-message", "-p", "#{pid}")[0])
        executor.close()
        assert [one.state for one in executor.look(["run_ended", "run_lives"]).values()] == ["unknown", "alive"]
        order(lives.run_dir, now=True)
        wait_until(lambda: executor.look(["run_lives"])["run_lives"].state == "gone")
        executor.close()
        wait_until(lambda: not os.path.exists(f"/proc/{server}"))
        executor.close()

    def test_windows_of_ended_runs_do_not_pile_up(
        self, executor: TmuxExecutor, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tmux_module, "_ENDED_KEPT", 4)
        runs = [f"run_{i}" for i in range(11)]  # pane %10 is newer than %9
        for run_id in runs:
            executor.submit(make_run(project, ["true"], run_id))
            wait_until(lambda run_id=run_id: executor.look([run_id])[run_id].state == "gone")
        assert [run for run, one in executor.look(runs).items() if one.state == "gone"] == runs[-5:]

    def test_ten_launches_a_second_and_more(self, executor: TmuxExecutor, project: Path) -> None:
        specs = [make_run(project, ["true"], f"run_{i}") for i in range(20)]
        executor.submit(make_run(project, ["true"], "run_first"))
        began = time.monotonic()
        for spec in specs:
            executor.submit(spec)
        for spec in specs:
            wait_until(lambda spec=spec: read_exit(spec.run_dir), timeout=30)
        print(f"{len(specs) / (time.monotonic() - began):.1f} launches/s")  # the number itself is a benchmark's


def kill_server(executor: TmuxExecutor) -> None:
    subprocess.run(["tmux", "-L", executor.socket, "kill-server"], capture_output=True, check=False)


def test_without_tmux_it_says_so_and_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    executor = TmuxExecutor(tmp_path)
    usable, words = executor.available()
    assert not usable
    assert "apt-get install tmux" in words
    with pytest.raises(ExecutorMissing):
        executor.submit(make_run(tmp_path, ["true"], "run_a"))


@pytest.mark.parametrize(("says", "usable"), [("tmux 2.9a", False), ("tmux 3.0", True), ("tmux master", True)])
def test_an_old_tmux_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, usable: bool) -> None:
    (tmp_path / "tmux").write_text(f"#!/bin/sh\necho '{says}'\n")
    (tmp_path / "tmux").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert TmuxExecutor(tmp_path).available()[0] is usable
