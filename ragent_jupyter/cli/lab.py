"""`ragent lab` and `ragent serve`: the programs that stay in the foreground."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, MissingPart, Unreachable, WrongMoment
from ragent_jupyter.runfiles.project import ensure_ragent_dir, find_project

from .context import Context
from .output import DONE

_STOP_TIMEOUT_S = 30.0


def lab(context: Context) -> int:
    """Becomes `jupyter lab` in the project; its arguments go on to it."""
    if context.out.json:
        raise BadInput("`ragent lab` has no result to give as JSON.", "Leave --json out.")
    open_lab(find_project(context.workdir), [*context.args.arguments, *context.args.after])
    return DONE


def open_lab(project: Path, arguments: list[str], notebook: Path | None = None) -> None:
    """Replace this process by JupyterLab on `project`, opened at `notebook` if given. Does not return."""
    argv = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={project}"]
    if notebook is not None and notebook.is_relative_to(project):
        argv.append(f"--LabApp.default_url=/lab/tree/{notebook.relative_to(project).as_posix()}")
    _become([*argv, *arguments], project, "jupyterlab")


def serve(context: Context) -> int:
    args = context.args
    project = find_project(context.workdir)
    if args.stop:
        if args.port is not None:
            raise BadInput("--stop and --port do not go together.", "--stop ends the engine, wherever it listens.")
        return _stop(context, project)
    if context.out.json:
        raise BadInput("`ragent serve` has no result to give as JSON.", "Only `serve --stop` has.")
    if args.port is not None:
        if not 0 <= args.port < 65536:
            raise BadInput(f"{args.port} is not a port.", "Give one from 1 to 65535.")
        ensure_ragent_dir(project)
        argv = [sys.executable, "-m", "jupyter_server", f"--ServerApp.root_dir={project}"]
        options = [f"--ServerApp.port={args.port}", "--ServerApp.open_browser=False"]
        extension = "--ServerApp.jpserver_extensions={'ragent_jupyter': True}"
        _become([*argv, *options, extension], project, "jupyter_server")
        return DONE
    return _engine(context, project, ["--take-over"] if args.take_over else [])


def _engine(context: Context, project: Path, options: list[str]) -> int:
    from ragent_jupyter.client import engine_status
    from ragent_jupyter.client.start import engine_argv, engine_env

    try:
        status = engine_status(project)
    except Unreachable:
        folder = ensure_ragent_dir(project)
        context.out.note(f"The engine of {project}. Ctrl-C stops it; runs go on without it.")
        _become([*engine_argv(project), *options], folder, "ragent_jupyter.engine", engine_env())
        return DONE
    raise WrongMoment(
        f"The engine of {project} is running already (pid {status.pid}).", "Stop it first: ragent serve --stop"
    )


def _stop(context: Context, project: Path) -> int:
    from ragent_jupyter.client import engine_status, request
    from ragent_jupyter.client.transport import AnswerLost, NobodyListens
    from ragent_jupyter.runfiles.project import socket_path

    out = context.out
    try:
        status = engine_status(project)
        request(socket_path(project), "POST", "drain")
    except NobodyListens:
        out.document({"project": str(project), "stopped": False, "live": 0})
        out.say(f"No engine was running for {project}.")
        return DONE
    except AnswerLost:
        pass  # it went before it had answered: that is what was asked for
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            engine_status(project)
        except (NobodyListens, AnswerLost):
            out.document({"project": str(project), "stopped": True, "live": status.live})
            rest = f" {status.live} runs go on; any command takes them up again." if status.live else ""
            out.say(f"The engine has stopped.{rest}")
            return DONE
        pause.wait(0.05)  # another program's exit: there is nothing of ours to wait on
    raise Unreachable(f"The engine (pid {status.pid}) did not stop within {_STOP_TIMEOUT_S:g} s.", "Try once more.")


def _become(argv: list[str], cwd: Path, module: str, env: dict[str, str] | None = None) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingPart(f"{module} is not installed beside ragent.", f"{sys.executable} -m pip install {module}")
    try:
        os.chdir(cwd)
    except OSError as error:
        raise CannotBeDone(f"{cwd} cannot be entered: {error.strerror}.", "Give --workdir another folder.") from error
    sys.stdout.flush()
    sys.stderr.flush()
    # Replaced, not started as a child: Ctrl-C, signals and the exit code are then its own.
    os.execve(argv[0], argv, env or dict(os.environ))
