"""This machine, as launching and watching need it: environment, git, processes. Joins desks to hands."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from ragent_jupyter.domain.facts import Exit
from ragent_jupyter.domain.run import GitState, Interpreter, Run
from ragent_jupyter.rules.environment import job_env
from ragent_jupyter.runfiles import proc
from ragent_jupyter.runfiles.jsonl import publish
from ragent_jupyter.runfiles.sources.discover import note_launch
from ragent_jupyter.runfiles.sources.neighbours import named_folders
from ragent_jupyter.runfiles.spec import AttachSpec, SidecarSpec, read_base_env, read_spec

_GIT_TIMEOUT_S = 5.0
_MAX_DIFF = 2 << 20


class LocalMachine:
    """services.effects.Machine and services.host.Witness for the machine we are on."""

    def __init__(self, project: Path, interpreter_env: Callable[[Interpreter | None], dict[str, str]]) -> None:
        self.project = project
        self._interpreter_env = interpreter_env
        self._children: list[subprocess.Popen[bytes]] = []

    # --- launching ----------------------------------------------------------------------------------------------
    def job_env(self, run: Run, run_dir: Path) -> dict[str, str]:
        own = {
            "RAGENT_RUN_ID": run.id,
            "RAGENT_RUN_DIR": str(run_dir),
            "RAGENT_METRICS_FILE": str(run_dir / "metrics.jsonl"),
            "RAGENT_PROJECT": str(self.project),
            "PYTHONUNBUFFERED": "1",
        }
        if run.gpu_ids:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, run.gpu_ids))
            # NVML counts in bus order; CUDA by default in order of speed, which names other cards by the same number.
            own["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        base = read_base_env(run_dir)
        return job_env(os.environ if base is None else base, self._interpreter_env(run.interpreter), run.env, own)

    def note_files(self, run: Run, run_dir: Path, env: dict[str, str]) -> None:
        """Note the metric files that are there already: what is in them now is not this run's."""
        try:
            note_launch(os.fspath(run_dir), run.cwd, named_folders(run.argv, env, run.cwd))
        except OSError:
            pass  # a full disk: the sidecar notes them at its first look

    def git_state(self, cwd: str, run_dir: Path) -> GitState | None:
        """Commit, branch and the uncommitted diff (kept as git.diff), or None outside a repository or without git."""
        head = _git(cwd, "rev-parse", "HEAD")
        if not head:
            return None
        branch = _git(cwd, "rev-parse", "--abbrev-ref", "HEAD") or ""
        diff = _git(cwd, "diff", "HEAD", "--no-ext-diff", "--no-textconv")
        if not diff:
            return GitState(head.strip(), branch.strip())
        (run_dir / "git.diff").write_text(diff[:_MAX_DIFF], errors="surrogateescape")
        return GitState(head.strip(), branch.strip(), dirty=True, diff_file="git.diff")

    def wrapper_argv(self, run_dir: Path) -> list[str]:
        # The engine's own Python: the job's may be anything, or broken.
        return [sys.executable, "-I", "-S", proc.wrapper_path(), str(run_dir)]

    def sidecar(self, run_dir: Path) -> SidecarSpec | None:
        if importlib.util.find_spec("ragent_sidecar") is None:
            return None
        keep = (
            "HOME",
            "PATH",
            "LANG",
            "LC_ALL",
            "TZ",
            "TMPDIR",
            "XDG_RUNTIME_DIR",
            "LD_LIBRARY_PATH",
            "RAGENT_KILL_AT",
        )
        env = {name: os.environ[name] for name in keep if name in os.environ}
        env |= {"RAGENT_ROLE": "sidecar", "PYTHONDONTWRITEBYTECODE": "1"}
        return SidecarSpec(argv=[*sidecar_argv(), str(run_dir)], env=env)

    def attach(self, pid: int) -> AttachSpec:
        return AttachSpec(pid=pid, start_time=proc.start_time(pid) or 0.0)

    # --- watching -----------------------------------------------------------------------------------------------
    def alive(self, pid: int, start_time: float) -> bool:
        return proc.alive(pid, start_time)

    def this_host(self) -> tuple[str, str]:
        return socket.gethostname(), proc.boot_id()

    def publish_lost(self, run_dir: Path, verdict: Exit) -> Exit:
        """Link a verdict of ours; if another was first, that one holds."""
        path = run_dir / "exit.json"
        if publish(path, msgspec.json.encode(verdict)):
            return verdict
        return msgspec.json.decode(path.read_bytes(), type=Exit)

    def job_alive(self, run_dir: Path, run_id: str) -> bool:
        spec = read_spec(run_dir)
        if spec.mode == "attach" and spec.attach is not None:
            return proc.alive(spec.attach.pid, spec.attach.start_time)
        return bool(proc.run_processes(run_id))

    def sidecar_alive(self, run_dir: Path) -> bool:
        try:
            fd = os.open(run_dir / "metrics" / "writer.lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def start_sidecar(self, run_dir: Path) -> None:
        """Where no wrapper is left to do it. A second one ends by itself: the first holds the columns."""
        self._children = [c for c in self._children if c.poll() is None]
        spec = read_spec(run_dir).sidecar
        if spec is None:
            return
        with open(run_dir / "sidecar.log", "ab") as out:
            child = subprocess.Popen(
                spec.argv,
                env=spec.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
            )
        self._children.append(child)

    def kill_job(self, run_dir: Path, run_id: str, hard: bool) -> None:
        """Only where its wrapper, the one who signals, is dead."""
        if read_spec(run_dir).mode == "attach":
            return  # a notebook's kernel is not ours to end
        for one in proc.run_processes(run_id):
            if proc.alive(one.pid, one.start_time):
                os.kill(one.pid, signal.SIGKILL if hard else signal.SIGINT)


def sidecar_argv() -> list[str]:
    """The command that starts a sidecar: this Python, isolated, without site (which costs start-up time and may run
    other packages' hooks), with just the folders on its path that its five packages live in."""
    roots: dict[str, None] = {}
    for name in ("ragent_jupyter", "ragent_sidecar", "msgspec", "psutil"):
        found = importlib.util.find_spec(name)
        if found is not None and found.origin:
            roots[str(Path(found.origin).parent.parent)] = None
    code = (
        f"import sys; sys.path[:0] = {list(roots)!r}; sys.argv[0] = 'ragent_sidecar'; "
        "import runpy; runpy.run_module('ragent_sidecar', run_name='__main__')"
    )
    return [sys.executable, "-I", "-S", "-c", code]


def _git(cwd: str, *args: str) -> str | None:
    # No optional locks: looking must not write into the user's repository.
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", cwd, *args], capture_output=True, timeout=_GIT_TIMEOUT_S, env=env, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else None
