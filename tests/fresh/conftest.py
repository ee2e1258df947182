"""A fresh clone, installed once into a clean environment with neither Node nor tmux to be found."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.engine import processes_of
from tests.support.newcomer import JAVASCRIPT, clean_env, clone, say, toolbox, venv


@dataclass
class Newcomer:
    """Somebody with a shell, a folder and `pip install .` behind them."""

    home: Path
    bin: Path
    install_s: float
    projects: set[Path] = field(default_factory=set)

    def env(self, tmux: bool = False) -> dict[str, str]:
        return clean_env(self.home, self.bin, self.home / ("tools-and-tmux" if tmux else "tools"))

    def folder(self, name: str) -> Path:
        made = self.home / name
        made.mkdir()
        return made

    def start(self, *argv: str, cwd: Path, tmux: bool = False) -> subprocess.Popen[str]:
        """`ragent …` as a shell would run it, with no terminal, and with no network where that can be had."""
        return subprocess.Popen(
            [*_no_network(), str(self.bin / "ragent"), *argv], env=self.env(tmux), cwd=cwd, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def ragent(self, *argv: str, cwd: Path, tmux: bool = False, timeout: float = 60) -> str:
        """The stdout of a verb that succeeds."""
        with self.start(*argv, cwd=cwd, tmux=tmux) as child:
            try:
                out, err = child.communicate(timeout=timeout)
            except BaseException:
                child.kill()
                raise
        assert child.returncode == 0, f"ragent {argv} ended with {child.returncode}\n{out}\n{err}"
        return out


def _no_network() -> list[str]:
    """A namespace without any network, where this user may make one: ragent's own sockets are files."""
    asked = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False) if _HAS_UNSHARE else None
    return ["unshare", "-n"] if asked is not None and asked.returncode == 0 else []


_HAS_UNSHARE = shutil.which("unshare") is not None


@pytest.fixture(scope="session")
def newcomer() -> Iterator[Newcomer]:
    # Not tmp_path: sockets live here, and their paths must be short.
    home = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp")).resolve()
    try:
        assert shutil.which("tmux"), "the second variant needs a tmux on this machine"
        toolbox(home / "tools", without=(*JAVASCRIPT, "tmux"))
        toolbox(home / "tools-and-tmux", without=JAVASCRIPT)
        bin = venv(home / "venv")
        source = clone(home / "clone")
        began = time.monotonic()
        say([bin / "pip", "install", "-q", "."], clean_env(home, bin, home / "tools"), source, timeout=600)
        made = Newcomer(home, bin, time.monotonic() - began)
        print(f"\npip install . of a fresh clone, no Node: {made.install_s:.0f} s, load {os.getloadavg()[0]:.1f}")
        shutil.rmtree(source)  # what is installed stands by itself
        yield made
        for project in made.projects:
            made.ragent("serve", "--stop", cwd=project, tmux=True)
    finally:
        for socket in home.glob("tmux-*/ragent-*"):
            subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, check=False)
        for process in processes_of(home):
            process.kill()
        shutil.rmtree(home, ignore_errors=True)
