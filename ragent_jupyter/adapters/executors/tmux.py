"""Runs in windows of a tmux server of the project's own: they outlive us, and a person can look at them live.

tmux is the host and the view, never a log or a store: it throws away what a fast process printed last, and all it
knows dies with its server. The wrapper in the window writes the files that tell; a `kill -9` of the server costs the
view and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...domain.errors import CannotBeDone, ExecutorMissing, MissingPart
from ...domain.ports import LaunchSpec, Sighting
from .process import wrapper_environment

SESSION = "ragent"
_INSTALL = "Install it: apt-get install tmux, or brew install tmux."
_ENDED_KEPT = 20  # windows of ended runs that stay for whoever wants to look; their logs stay anyway
_PATIENCE = 15.0  # seconds for one answer; a stopped server would hold us for ever
_NO_SERVER = ("no server running", "error connecting", "can't find session", "no current session", "lost server")
_START_AGAIN = (*_NO_SERVER, "server exited")  # also: the socket of a server that is just ending
_FIELDS = "#{pane_id}|#{window_id}|#{pane_dead}|#{pane_pid}|#{pane_start_command}"


class Pane(NamedTuple):
    """One pane that holds, or held, a run's wrapper."""

    run_id: str
    pane_id: str
    window_id: str
    dead: bool
    pid: int


def socket_name(project_dir: str | os.PathLike[str]) -> str:
    """The name of the project's tmux socket: short, since a socket's path ends at 107 bytes.

    >>> len(socket_name("/tmp"))
    15
    """
    return "ragent-" + hashlib.sha256(os.fsencode(os.path.realpath(project_dir))).hexdigest()[:8]


def window_name(name: str) -> str:
    """A run's name as a window's: tmux would *execute* what stands in #(...), and a last ; ends its command.

    >>> window_name("lr=0.1 #(rm -rf /);")
    'lr=0.1 __rm -rf ___'
    """
    return re.sub(r"[^\w .,=+@-]", "_", name)[:40].strip() or "run"


class TmuxExecutor:
    """domain.ports.Executor. A handle reads "SOCKET:WINDOW_ID"; it is for people, runs are found by their id."""

    name = "tmux"

    def __init__(self, project_dir: str | os.PathLike[str]) -> None:
        self.project_dir = Path(project_dir)
        self.socket = socket_name(project_dir)
        self._lock = threading.Lock()
        self._server: Any = None
        self._version: tuple[str, str] | None = None

    # --- the port ---------------------------------------------------------------------------------------------------
    def available(self) -> tuple[bool, str]:
        program = shutil.which("tmux")
        if program is None:
            return False, f"tmux is not on PATH. {_INSTALL}"
        if self._version is None or self._version[0] != program:
            try:
                told = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=5, check=False).stdout
            except (OSError, subprocess.TimeoutExpired) as error:
                return False, f"tmux does not start: {error}. {_INSTALL}"
            self._version = (program, told.strip())
        version = self._version[1]
        number = re.search(r"(\d+)\.(\d+)", version)  # "tmux master" has none, and is new enough
        if number and int(number[1]) < 3:
            return False, f"{version} is too old, 3.0 is the oldest that works. {_INSTALL}"
        return True, f"{version}, socket {self.socket}: runs live on when the engine ends, and can be attached to."

    def submit(self, spec: LaunchSpec) -> str:
        """Open a window with the wrapper. Raises ExecutorMissing, or CannotBeDone with what tmux answered."""
        with self._lock:
            panes = self._panes()
            self._tidy(panes, _ENDED_KEPT)
            known = panes.get(spec.run_id)
            if known:
                if not known.dead or os.path.exists(os.path.join(spec.run_dir, "claim.json")):
                    return self._handle(known.window_id)
                self._kill(known)  # it died before it claimed the run: the job has not been started
            executor_id = f"tmux:{self.socket}"
            argv = [*spec.wrapper, "--executor-id", executor_id]
            window = self._ask(
                "new-window", "-d", "-t", f"{SESSION}:", "-n", window_name(spec.name), "-P", "-F", "#{window_id}",
                "--", *argv, start=True,
            )[0]  # fmt: skip
            self._ask("set-option", "-w", "-t", window, "@ragent_run", spec.run_id, quiet=True)
            return self._handle(window)

    def look(self, run_ids: Sequence[str]) -> dict[str, Sighting]:
        panes = self._panes()
        return {run_id: self._sighting(run_id, panes.get(run_id)) for run_id in run_ids}

    def attach_command(self, run_id: str) -> str | None:
        pane = self._panes().get(run_id)
        if pane is None:
            return None
        folder = os.environ.get("TMUX_TMPDIR")
        before = f"TMUX_TMPDIR={shlex.quote(folder)} " if folder else ""
        return f"{before}tmux -L {self.socket} attach -t {SESSION}:{pane.window_id}"

    def forget(self, run_id: str) -> None:
        pane = self._panes().get(run_id)
        if pane is not None:
            self._kill(pane)

    def close(self) -> None:
        """Remove the windows of ended runs, and end the server if no run lives in it and nobody looks at it."""
        with self._lock:
            if self._ask("list-clients", quiet=True):
                return
            panes = self._panes()
            self._tidy(panes, 0)
            if all(pane.dead for pane in panes.values()):
                self._ask("kill-session", "-t", f"={SESSION}", quiet=True)

    # --- tmux -------------------------------------------------------------------------------------------------------
    def _handle(self, window_id: str) -> str:
        return f"{self.socket}:{window_id}"

    def _sighting(self, run_id: str, pane: Pane | None) -> Sighting:
        if pane is None:
            return Sighting(run_id=run_id, handle=None, state="unknown")
        handle = self._handle(pane.window_id)
        return Sighting(run_id=run_id, handle=handle, state="gone" if pane.dead else "alive", pid=pane.pid)

    def _panes(self) -> dict[str, Pane]:
        """The panes that we made, by run. One call for all: an object per pane would ask a thousand times.

        Ours is what was started with the wrapper on a run's folder. The window's option is for people and their
        filters: a pane of a person who split our window would have it too.
        """
        panes = {}
        for line in self._ask("list-panes", "-a", "-F", _FIELDS, quiet=True):
            pane_id, window_id, dead, pid, command = line.split("|", 4)
            told = re.search(r"/wrapper\.py\S* .*/runs/([\w.-]+)", command)
            if told:
                panes[told[1]] = Pane(told[1], pane_id, window_id, dead == "1", int(pid or 0))
        return panes

    def _tidy(self, panes: dict[str, Pane], keep: int) -> None:
        """Remove the windows of all ended runs but the newest `keep`."""
        dead = sorted((pane for pane in panes.values() if pane.dead), key=lambda pane: int(pane.pane_id[1:]))
        for pane in dead[: max(0, len(dead) - keep)]:
            self._kill(pane)

    def _kill(self, pane: Pane) -> None:
        # The server checks the mark and kills in one go: it may have been restarted since we looked, and given the
        # same ids to others.
        ours = "#{m:*/runs/" + pane.run_id + "*,#{pane_start_command}}"
        self._ask("if-shell", "-F", "-t", pane.pane_id, ours, f"kill-pane -t {pane.pane_id}", quiet=True)

    def _ask(self, command: str, *args: str, start: bool = False, quiet: bool = False) -> list[str]:
        """What the server answers, as lines. start: begin a server and try again if there is none.

        quiet: no server, or no such window, is an empty answer.  Raises ExecutorMissing, MissingPart, CannotBeDone.
        """
        for _ in range(6):
            reply = self._call(command, *args)
            if reply.returncode == 0:
                return list(reply.stdout)
            trouble = " ".join(reply.stderr)
            # A server that is killed while it answers leaves its client without a word.
            gone = not trouble or any(words in trouble for words in _START_AGAIN)
            if quiet and (gone or "can't find" in trouble):
                return []
            if not (start and gone):
                break
            self._begin()
        problem = f"tmux refused {command}: {trouble}."
        raise CannotBeDone(problem, f"Try `tmux -L {self.socket} ls`, or choose the executor 'process'.")

    def _call(self, command: str, *args: str) -> Any:
        """libtmux's answer; in a thread of its own, because libtmux waits for tmux for ever."""
        import libtmux
        from libtmux.exc import TmuxCommandNotFound

        if self._server is None:
            self._server = libtmux.Server(socket_name=self.socket, config_file=os.devnull)
        box: list[Any] = []

        def call() -> None:
            try:
                box.append(self._server.cmd(command, *args))
            except Exception as error:  # carried over to the thread that asked
                box.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(_PATIENCE)
        if not box:
            problem = f"The tmux server {self.socket} has not answered for {_PATIENCE:.0f} s."
            raise MissingPart(problem, f"See whether it is stopped: tmux -L {self.socket} ls. Runs go on without it.")
        if isinstance(box[0], TmuxCommandNotFound):
            raise ExecutorMissing(self.name, "tmux", ["process"])
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]

    def _begin(self) -> None:
        """Start the server with its one idle window. Somebody else may have; then this changes nothing.

        Not through libtmux: new windows inherit the environment that the server was started with, so it is given one,
        without keys and tokens.
        """
        program = shutil.which("tmux")
        if program is None:
            raise ExecutorMissing(self.name, "tmux", ["process"])
        words = f"ragent: one window for each run of {self.project_dir}.\nCtrl-b w lists them, Ctrl-b d leaves.\n"
        argv = [program, f"-L{self.socket}", "-f", os.devnull]
        # The history is short: a full one costs a kilobyte a line, and the whole log is in the run's folder.
        # One call, because options must be there before the first window of a run can end.
        argv += ["new-session", "-d", "-s", SESSION, "-n", "home", "-x", "200", "-y", "50"]
        argv += ["--", "sh", "-c", 'printf "%s" "$1"; exec cat >/dev/null', "sh", words]
        argv += [";", "set-option", "-g", "remain-on-exit", "on", ";", "set-option", "-g", "history-limit", "2000"]
        try:
            done = subprocess.run(
                argv, env=wrapper_environment(), cwd="/", capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise MissingPart("tmux does not start.", "See whether its socket folder is reachable.") from None
        if done.returncode == 0 or "duplicate session" in done.stderr:
            return
        if "server exited" in done.stderr or not done.stderr.strip():
            # A server that is just ending still holds the socket, one that was just killed leaves its client without
            # a word: there is nothing to wait on but its end.
            time.sleep(0.05)
            return
        problem = f"tmux does not start: {done.stderr.strip()}."
        raise CannotBeDone(problem, "Set TMUX_TMPDIR to a short path of your own (mode 0700), or use 'process'.")
