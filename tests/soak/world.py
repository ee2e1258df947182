"""The world that the soak works in: a project of its own, the doors to it, and the processes that serve it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil

from ragent_jupyter.adapters.executors.tmux import socket_name
from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import MissingPart, RagentError, StoreFailed, Unreachable
from ragent_jupyter.runfiles import proc
from tests.support.wait import wait_until

T = TypeVar("T")
KINDS = ("engine", "jupyter", "sidecar", "wrapper", "tmux")


class World:
    """A project in a folder of its own. Close it: nothing of it stays, unless `keep` says so."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="soak", dir=os.environ.get("TMPDIR", "/tmp"))).resolve()
        self.project = self.folder / "p"
        self.truth = self.folder / "t"
        for folder in (self.project / ".ragent", self.truth, self.folder / "x"):
            folder.mkdir(parents=True)
        self._environ = dict(os.environ)
        os.environ.pop("RAGENT_KILL_AT", None)
        os.environ["TMUX_TMPDIR"] = str(self.folder / "x")  # its own tmux server, whoever else has one
        for name in ("TMUX", "TMUX_PANE", "DATABASE_URL", "RAGENT_RUN_ID"):
            os.environ.pop(name, None)
        self.kills: Counter[str] = Counter()
        self.killed_wrappers: set[str] = set()  # runs
        self.armed: list[tuple[str, Path]] = []  # kill points that were set, and what tells that one was hit
        self.jupyter: Jupyter | None = None
        self.keep = False

    # --- doors -------------------------------------------------------------------------------------------------------
    def client(self) -> Client:
        return Client(self.project)

    def ask(self, what: Callable[[Client], T], timeout: float = 90.0) -> T:
        """Use a door until it answers: whoever was killed is started again by this alone."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return what(self.client())
            except (Unreachable, MissingPart, StoreFailed):
                if time.monotonic() > deadline:
                    raise
                threading.Event().wait(0.05)

    # --- processes -------------------------------------------------------------------------------------------------
    def _mine(self) -> Iterator[tuple[psutil.Process, list[str]]]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if any(str(self.folder) in word for word in words) or socket_name(self.project) in " ".join(words):
                    yield process, words

    def find(self, kind: str) -> list[psutil.Process]:
        """The processes of a kind that serve this project now."""
        if kind == "jupyter":
            return [self.jupyter.process] if self.jupyter else []
        marks = {
            "engine": lambda words: "ragent_jupyter.engine" in words,
            "sidecar": lambda words: any("ragent_sidecar" in word for word in words),
            "wrapper": lambda words: any(word.endswith("wrapper.py") for word in words) and "tmux" not in words[0],
            "tmux": lambda words: os.path.basename(words[0]).startswith("tmux"),
        }
        found = {process.pid: process for process, words in self._mine() if words and marks[kind](words)}
        # Between its birth and its exec a child has its parent's command line; it is a job, say, and no wrapper.
        return [process for process in found.values() if _parent(process) not in found]

    def kill(self, process: psutil.Process, kind: str) -> None:
        """SIGKILL, noted before it is done: a wrapper's run may then truthfully be lost."""
        with contextlib.suppress(psutil.Error):
            if kind == "wrapper":
                runs = [word for word in process.cmdline() if "/.ragent/runs/" in word]
                self.killed_wrappers |= {os.path.basename(word) for word in runs}
            process.send_signal(signal.SIGKILL)
            self.kills[kind] += 1
        if kind == "jupyter" and self.jupyter:
            self.jupyter.close()
            self.jupyter = None

    @contextlib.contextmanager
    def kill_at(self, pattern: str, number: int) -> Iterator[Path]:
        """Inside, whoever is started dies at the number-th passing of a point; the file that is given tells of it."""
        marker = self.folder / f"hit{len(self.armed)}"
        self.armed.append((pattern, marker))
        os.environ["RAGENT_KILL_AT"] = f"{pattern}:{number}:{marker}"
        try:
            yield marker
        finally:
            del os.environ["RAGENT_KILL_AT"]

    def hits(self) -> list[str]:
        return [pattern for pattern, marker in self.armed if marker.exists()]

    # --- the end ---------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """End every process of this project, each by its own id."""
        if self.jupyter:
            self.jupyter.close()
        for _ in range(20):
            left = [process for process, _ in self._mine()]
            left += [psutil.Process(pid) for pid in self._job_pids() if psutil.pid_exists(pid)]
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if not left:
                break
            psutil.wait_procs(left, timeout=0.5)
        os.environ.clear()
        os.environ.update(self._environ)
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _job_pids(self) -> list[int]:
        runs = self.project / ".ragent" / "runs"
        return [one.pid for run in runs.glob("run_*") for one in proc.run_processes(run.name)]


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


class Jupyter:
    """A Jupyter server with our extension: one more door."""

    def __init__(self, world: World) -> None:
        self.token = secrets.token_hex(8)
        self.home = world.folder / "j"
        self.runtime = self.home / f"r{secrets.token_hex(3)}"
        self.runtime.mkdir(parents=True)
        env = {
            **os.environ,
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTER_CONFIG_DIR": str(self.home),
            "JUPYTER_NO_CONFIG": "1",
        }
        self._log = open(world.folder / "jupyter.log", "ab")
        argv = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ServerApp.port=0"]
        argv += [f"--ServerApp.root_dir={world.project}", f"--IdentityProvider.token={self.token}"]
        argv += ["--ServerApp.jpserver_extensions={'ragent_jupyter': True}", "--ServerApp.ip=127.0.0.1"]
        self._child = subprocess.Popen(argv, env=env, stdout=self._log, stderr=self._log, start_new_session=True)
        self.process = psutil.Process(self._child.pid)

    def get(self, path: str) -> Any:
        """GET through the server, which starts an engine if there is none."""
        about = json.loads(wait_until(self._about, timeout=60.0, what="the Jupyter server's address"))
        url = f"{about['url']}ragent/api/v1/{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def _about(self) -> str | None:
        if self._child.poll() is not None:
            raise RagentError("The Jupyter server ended.", "See jupyter.log.")
        files = list(self.runtime.glob("jpserver-*.json"))
        text = files[0].read_text() if files else ""
        return text if text.strip().endswith("}") else None

    def close(self) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait(10)
        self._log.close()
