"""Runs as detached processes of this machine: needs nothing but Python, shows nothing live.

Where tmux is missing this is what starts the wrapper. What it must remember (the wrapper's pid and start time) stands
in the run's folder, so that another engine knows it too.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...domain.errors import CannotBeDone
from ...domain.ports import LaunchSpec, Sighting
from ...runfiles import proc
from ...runfiles.jsonl import atomic_write

# What a wrapper may inherit. The job's own environment is explicit (env.json); keys and tokens of the engine must not
# stand in the environment of a process that lives for days, and a RAGENT_RUN_ID of an outer run would make a stop of
# that run kill this one.
_INHERITED = [
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "TERM", "TMPDIR", "TMUX_TMPDIR", "XDG_RUNTIME_DIR"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),  # a Python from a cluster's modules may not start without
    "RAGENT_KILL_AT",
]


def wrapper_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment that wrappers (and the tmux server that holds them) start with: little, and nothing secret."""
    kept = {name: environ[name] for name in _INHERITED if name in environ}
    # UTF-8 whatever the engine was started with: tmux refuses or mangles names under another locale.
    return {**kept, "LC_ALL": "C.UTF-8" if proc.LINUX else "en_US.UTF-8"}


def run_folder(project_dir: str | os.PathLike[str], run_id: str) -> Path:
    return Path(project_dir) / ".ragent" / "runs" / run_id


class ProcessExecutor:
    """domain.ports.Executor. A handle reads "PID:START_TIME"."""

    name = "process"

    def __init__(self, project_dir: str | os.PathLike[str]) -> None:
        self.project_dir = Path(project_dir)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def available(self) -> tuple[bool, str]:
        return True, "Runs are processes of this machine; they live on when the engine ends."

    def submit(self, spec: LaunchSpec) -> str:
        """Start the wrapper. Raises CannotBeDone if it cannot be started at all."""
        with self._lock:
            self._reap()
            known = self._recorded(spec.run_id)
            claimed = os.path.exists(os.path.join(spec.run_dir, "claim.json"))
            if known and (claimed or proc.alive(*known)):
                return _handle(known)
            try:
                child = subprocess.Popen(
                    [*spec.wrapper, "--executor-id", "process"],
                    cwd=spec.run_dir,
                    env=wrapper_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                problem = f"The wrapper of run {spec.run_id!r} could not be started: {error}."
                raise CannotBeDone(problem, f"Check that {spec.wrapper[0]} and {spec.run_dir} exist.") from error
            # A process that is over within this moment has no start time; its claim tells all that is to know.
            found = (child.pid, proc.start_time(child.pid) or 0.0, proc.boot_id())
            self._children[child.pid] = child
            record = {"executor": self.name, "pid": found[0], "start_time": found[1], "boot_id": found[2]}
            atomic_write(os.path.join(spec.run_dir, "handle.json"), json.dumps(record).encode(), fsync=False)
            return _handle(found)

    def look(self, run_ids: Sequence[str]) -> dict[str, Sighting]:
        with self._lock:
            self._reap()
        sightings = {}
        for run_id in run_ids:
            known = self._recorded(run_id)
            if known is None:
                sightings[run_id] = Sighting(run_id=run_id, handle=None, state="unknown")
            else:
                state = "alive" if proc.alive(*known) else "gone"
                sightings[run_id] = Sighting(run_id=run_id, handle=_handle(known), state=state, pid=known[0])
        return sightings

    def attach_command(self, run_id: str) -> str | None:
        """There is no terminal to attach to: the log is followed instead."""
        if self._recorded(run_id) is None:
            return None
        return f"tail -n 100 -F {shlex.quote(str(run_folder(self.project_dir, run_id) / 'job.log'))}"

    def forget(self, run_id: str) -> None:
        """Nothing is left of an ended process; the record stays with the run's folder."""
        with self._lock:
            self._reap()

    def _recorded(self, run_id: str) -> tuple[int, float, str] | None:
        try:
            record = json.loads((run_folder(self.project_dir, run_id) / "handle.json").read_bytes())
            return int(record["pid"]), float(record["start_time"]), str(record["boot_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _reap(self) -> None:
        """Ended wrappers that are our own children would stay zombies until somebody asks for their status."""
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[pid]


def _handle(known: tuple[int, float, str]) -> str:
    return f"{known[0]}:{known[1]:.0f}"
