"""The command line as a program, the real engine, real wrappers and sidecars; each test in a place of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Place:
    """A folder to work in and the environment that `ragent` gets there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.projects: set[Path] = {folder}
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAGENT_", "TMUX"))},
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sidecar")]),
            "TMUX_TMPDIR": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
        }

    def start(self, *argv: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ragent_jupyter.cli.main", *argv],
            cwd=cwd or self.folder,
            env=self.env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a process group of its own, as a shell gives it: Ctrl-C goes to all of it
        )

    def ragent(self, *argv: str, cwd: Path | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        with self.start(*argv, cwd=cwd) as child:
            try:
                out, err = child.communicate(timeout=timeout)
            except BaseException:
                child.kill()
                raise
        return subprocess.CompletedProcess(argv, child.returncode, out, err)

    def close(self) -> None:
        for project in self.projects:
            if (project / ".ragent").is_dir():
                for run in self.ragent("runs", "--status", "launching,running", "-C", str(project)).stdout.split():
                    if run.startswith("run_"):
                        self.ragent("stop", run, "--now", "-C", str(project))
                self.ragent("serve", "--stop", "-C", str(project))
        for socket in self.folder.glob("tmux-*/ragent-*"):
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], env=self.env, capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def place() -> Iterator[Place]:
    # Not tmp_path: sockets live here, and their paths must be short.
    place = Place(Path(tempfile.mkdtemp(prefix="rq-", dir="/tmp")).resolve())
    yield place
    place.close()
