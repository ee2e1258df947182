"""The run behind `ragent.log` in a notebook, a Python prompt or a script that ragent did not start.

The first row opens an *interactive run*: the engine records who logs (pid, kernel, git state) and watches the process;
the same rules watch its metrics as any other run's. `ragent.finish()` or the end of the process ends it. Each executed
cell is kept in the run's folder (`cells.jsonl`), so that a curve can be traced to the code that drew it.
"""

from __future__ import annotations

import atexit
import json
import os
import shlex
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import Any

_MAX_CELL = 256 * 1024


class _Session:
    """The run that this process has open."""

    def __init__(self, run_id: str, name: str, folder: Path) -> None:
        self.pid = os.getpid()
        self.run_id = run_id
        self.name = name
        self.folder = folder
        self.cells = 0


_lock = threading.RLock()
_session: _Session | None = None
_watching: Any = None  # the shell whose cells we note


def open_run() -> Path:
    """The file for this process's rows; the first call opens the run.

    Never raises for want of an engine: a training is not stopped for the sake of its log. The rows then go to a file
    that the warning names.
    """
    global _session
    with _lock:
        if _session is None or (_session.pid != os.getpid() and not _parent_logs(_session)):
            try:
                _session = _begin()
            except Exception as error:  # a full disk, no engine, a home folder: all of it the user's to hear once
                return _aside(error)
            _watch_cells()
            _say(f"ragent: logging to {_session.name!r} ({_session.run_id}); ragent.finish() ends it.")
        return _session.folder / "metrics.jsonl"


def _parent_logs(session: _Session) -> bool:
    """A forked worker goes on in its parent's run."""
    return os.getppid() == session.pid


def _begin() -> _Session:
    # On first use: code that ragent itself runs has its file named by the environment and needs none of this.
    from ragent_jupyter.client import Client
    from ragent_jupyter.domain.wire import CreateRun
    from ragent_jupyter.runfiles.project import runs_dir

    client = Client()
    notebook = os.environ.get("JPY_SESSION_NAME", "")  # set by Jupyter: the notebook's path
    kernel = kernel_id()
    run = client.create_run(
        CreateRun(
            kind="interactive",
            command=notebook or _command_line(),
            name=_name(notebook),
            cwd=os.getcwd(),
            caller_python=sys.executable,
            pid=os.getpid(),
            kernel=kernel,
        )
    )
    folder = runs_dir(client.project) / run.id
    folder.mkdir(parents=True, exist_ok=True)  # the engine makes it too, a moment later
    if not in_shell():
        atexit.register(_at_exit, os.getpid())
    return _Session(run.id, run.alias or run.name, folder)


def close_run() -> None:
    """The run is over (`ragent.finish()`); the next row opens another. Its rows are on disk already."""
    global _session
    with _lock:
        session, _session = _session, None
    if session is None or session.pid != os.getpid():
        return
    if (session.folder / "exit.json").exists():
        return  # ended from elsewhere
    from ragent_jupyter.client import Client
    from ragent_jupyter.domain.errors import RagentError, WrongMoment

    try:
        Client(session.folder).finish(session.run_id)
    except WrongMoment:
        return
    except (RagentError, OSError) as error:
        warnings.warn(f"{session.run_id} could not be closed now: {error} It ends with this process.", stacklevel=3)


def _at_exit(pid: int) -> None:
    """A script says that it is done; only a kernel's end is left to the one who watches it."""
    if pid == os.getpid() and _session is not None:
        close_run()


def current_run() -> str | None:
    """The id of the interactive run of this process, if one is open."""
    return _session.run_id if _session is not None else None


# --- who we are -------------------------------------------------------------------------------------------------
def _shell() -> Any:
    """The running IPython shell; IPython is never imported for it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def in_shell() -> bool:
    """Whether somebody sits at a prompt or a notebook (and not a script that runs through)."""
    return _shell() is not None or hasattr(sys, "ps1")


def kernel_id() -> str | None:
    """The id that Jupyter gave this kernel, from its connection file; None outside of a kernel."""
    shell = _shell()
    config = getattr(shell, "config", None) or {}
    path = str(config.get("IPKernelApp", {}).get("connection_file", ""))
    stem = Path(path).stem
    return stem.removeprefix("kernel-") if stem.startswith("kernel-") else None


def _command_line() -> str:
    argv = [sys.executable, *sys.argv] if sys.argv and sys.argv[0] not in ("", "-c") else [sys.executable]
    return shlex.join(argv)


def _name(notebook: str) -> str | None:
    """The notebook's or the script's own name; the engine finds one for a bare prompt."""
    path = notebook or (sys.argv[0] if sys.argv and not in_shell() else "")
    return Path(path).stem[:80] or None if path and path != "-c" else None


# --- cells ------------------------------------------------------------------------------------------------------
def _watch_cells() -> None:
    global _watching
    shell = _shell()
    if shell is None or shell is _watching or not hasattr(shell, "events"):
        return
    shell.events.register("post_run_cell", _after_cell)
    _watching = shell


def _after_cell(result: Any) -> None:
    """Note the cell; let go of a run that was ended from elsewhere, so that the next row opens a new one."""
    session = _session
    if session is None or session.pid != os.getpid():
        return
    if (session.folder / "exit.json").exists():
        from . import _log

        _log.finish()
        return
    info = getattr(result, "info", None)
    source = str(getattr(info, "raw_cell", "") or "")
    if not source.strip():
        return
    session.cells += 1
    error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
    cell = {
        "n": getattr(result, "execution_count", None),
        "cell": getattr(info, "cell_id", None),
        "at": time.time(),
        "ok": error is None,
        "source": source[:_MAX_CELL],
    }
    line = json.dumps(cell).encode() + b"\n"
    try:
        fd = os.open(session.folder / "cells.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
    except OSError:
        return  # a full disk: the cell's own work matters more than our note of it


# --- when there is no run ---------------------------------------------------------------------------------------
def _aside(error: Exception) -> Path:
    """A file for the rows of a process that found no engine, beside the project if that can be written."""
    name = f"ragent-metrics-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.jsonl"
    folder = Path.cwd() if os.access(Path.cwd(), os.W_OK) else Path(tempfile.gettempdir())
    path = folder / name
    warnings.warn(f"ragent.log found no engine: {error}\nRows go to {path}.", stacklevel=5)
    return path


def _say(text: str) -> None:
    # Never from a thread: a kernel shows a thread's prints under whatever cell runs then.
    if threading.current_thread() is threading.main_thread() and in_shell():
        print(text)  # not stderr, which a notebook paints as an error
