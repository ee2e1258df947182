"""A project with a real engine, for tests: started by a door, ended and swept up afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.wire import CreateRun

from .wait import wait_until

# Before a command: what follows waits for a file `go` in the project's folder, and so the run is open for as long as a
# test needs it. One that lives a second or two may be over before anybody could see it "running".
HELD = "until [ -e go ]; do sleep 0.05; done; "


class Project:
    """A folder, a client, and what tests do with them."""

    def __init__(self, folder: Path, executor: str | None = None) -> None:
        self.folder = folder
        self.executor = executor
        self.client = Client(folder)

    def script(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return f"{sys.executable} {name}"

    def run(self, command: str | list[str], **fields: Any) -> Run:
        fields.setdefault("caller_python", sys.executable)
        return self.client.create_run(CreateRun(command=command, executor=self.executor, **fields))

    def wait(self, run: Run | str, *statuses: str, timeout: float = 30.0) -> Run:
        """The run once it has one of the statuses (default: it has ended and is settled)."""
        run_id = run if isinstance(run, str) else run.id

        def there() -> Run | None:
            found = self.client.run(run_id)
            if statuses:
                return found if found.status.value in statuses else None
            return found if found.status.terminal and found.settled else None

        return wait_until(there, timeout, every=0.05, what=f"run {run_id} to be {statuses or 'over'}")

    def run_dir(self, run: Run | str) -> Path:
        return self.folder / ".ragent" / "runs" / (run if isinstance(run, str) else run.id)

    @property
    def engine_pid(self) -> int:
        return self.client.status().pid

    def kill_engine(self) -> None:
        pid = self.engine_pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: gone(pid), 20, what="the engine to be gone")

    def alerts(self, **query: Any) -> list[Any]:
        return self.client.alerts(**query).alerts

    def points(self, run: Run | str, name: str) -> list[tuple[float, float | None]]:
        """Every committed point of a metric, (step, value); [] if there is no such metric."""
        run_id = run if isinstance(run, str) else run.id
        found = self.client.series([run_id], [name], points=0).series
        return list(zip(found[0].x, found[0].last, strict=True)) if found else []

    def until(self, condition: Callable[[], Any], timeout: float = 30.0, what: str = "") -> Any:
        return wait_until(condition, timeout, every=0.05, what=what)

    def close(self) -> None:
        """Stop what lives, end the engine, and leave no process of this project behind."""
        try:
            client = Client(self.folder, start=False)
            for run in client.all_runs():
                if run.status in (RunStatus.QUEUED, RunStatus.LAUNCHING, RunStatus.RUNNING, RunStatus.STOPPING):
                    client.stop(run.id, now=True)
            client.post("drain")
        except RagentError as error:
            print(f"clean-up goes on without the engine: {error}")
        sweep_up(self.folder)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def processes_of(folder: Path) -> list[psutil.Process]:
    """Processes whose command line or environment names the folder: engines, wrappers, sidecars, jobs, tmux."""
    needle = str(folder)
    found = []
    for process in psutil.process_iter():
        if process.pid in (os.getpid(), os.getppid()):
            continue
        try:
            if needle in " ".join(process.cmdline()) or process.environ().get("RAGENT_PROJECT") == needle:
                found.append(process)
        except psutil.Error:
            continue
    return found


def sweep_up(folder: Path) -> None:
    from ragent_jupyter.runfiles.project import project_hash

    socket = f"ragent-{project_hash(folder)}"
    if shutil.which("tmux"):
        os.system(f"tmux -L {socket} kill-server >/dev/null 2>&1")
    for process in processes_of(folder):
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(processes_of(folder), timeout=3)


@contextmanager
def project(executor: str | None = None, prefix: str = "rg-") -> Iterator[Project]:
    """A new project in a short path. Everything that was started for it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp")).resolve()
    (folder / ".ragent").mkdir()
    made = Project(folder, executor)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
