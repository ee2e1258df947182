"""Any door starts the engine if nobody answers; a newer door asks an older engine to make way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from ragent_jupyter._version import __version__
from ragent_jupyter.domain.errors import MissingPart, RagentError, Unreachable, WrongMoment, from_wire
from ragent_jupyter.domain.wire import ErrorReply, StatusReply
from ragent_jupyter.runfiles.project import ensure_ragent_dir, socket_path

from .transport import AnswerLost, NobodyListens, request

START_TIMEOUT_S = 30.0
DRAIN_TIMEOUT_S = 30.0
# What marks a run's processes: the wrapper ends whatever of it is left, and must not find an engine among them.
_OF_A_RUN = ("RAGENT_RUN_ID", "RAGENT_RUN_DIR", "RAGENT_METRICS_FILE", "RAGENT_PROJECT")

_starting = threading.Lock()
_children: list[subprocess.Popen[bytes]] = []  # kept so that a long-lived door can reap an engine that went idle


def is_newer(version: str, than: str) -> bool:
    """Whether one version of ours is later than another. Anything but numbers is cut off ("0.2.0.dev1" is 0.2.0).

    >>> is_newer("0.10.0", "0.9.3"), is_newer("0.2.0", "0.2.0")
    (True, False)
    """
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in version.split("+")[0].split(".")[:3]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return (*numbers, 0, 0, 0)[:3]


def engine_status(project: str | os.PathLike[str], timeout: float = 10.0) -> StatusReply:
    """What the running engine says of itself. Raises NobodyListens (an Unreachable) if there is none."""
    return msgspec.json.decode(request(socket_path(project), "GET", "status", timeout=timeout), type=StatusReply)


def ensure_engine(
    project: str | os.PathLike[str], *, start: bool = True, timeout: float = START_TIMEOUT_S
) -> StatusReply:
    """An engine of our version answers for `project` when this returns.

    start: begin one if nobody listens; without it that is Unreachable. An older engine is asked to drain, and one of
    this version takes over; runs go on meanwhile. A newer one (another major or minor number) is left alone.
    Raises WrongMoment for a newer engine, CannotBeDone for a folder that cannot be written, MissingPart if the engine
    does not come up, with the end of its log.
    """
    project = Path(project).resolve()
    for child in _children[:]:
        if child.poll() is not None:
            _children.remove(child)
    with _starting:
        try:
            status = engine_status(project)
        except NobodyListens:
            if not start:
                raise Unreachable(
                    f"No engine is running for {project}.", "Start one: ragent serve, or any other command."
                ) from None
            return _start(project, timeout)
        except AnswerLost:  # it was going down while we asked
            return _start(project, timeout)
        if status.draining:
            _wait_until_gone(project)
            return _start(project, timeout)
        if is_newer(__version__, status.version):
            if not start:
                return status
            _drain(project)
            return _start(project, timeout)
        if _numbers(status.version)[:2] > _numbers(__version__)[:2]:
            raise WrongMoment(
                f"The engine of {project} is ragent {status.version}; this is {__version__}, which is older.",
                "Update this one: pip install --upgrade ragent-jupyter.",
            )
        return status


def engine_argv(project: str | os.PathLike[str]) -> list[str]:
    """The command that runs the engine of a project in the foreground."""
    # -P where it is known: with -m the current folder is on sys.path, and a project's random.py must not be ours.
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-m", "ragent_jupyter.engine", "--project", str(project)]


def engine_env() -> dict[str, str]:
    """This process's environment without the marks of a run it may be part of."""
    return {name: value for name, value in os.environ.items() if name not in _OF_A_RUN}


def _drain(project: Path) -> None:
    try:
        request(socket_path(project), "POST", "drain", timeout=DRAIN_TIMEOUT_S)
    except AnswerLost:
        pass  # it left so quickly that its answer was lost: what was asked for
    except NobodyListens:
        return
    _wait_until_gone(project)


def _wait_until_gone(project: Path) -> None:
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            engine_status(project)
        except (NobodyListens, AnswerLost):
            return
        pause.wait(0.05)  # another program's exit: there is nothing of ours to wait on
    raise Unreachable(
        f"The older engine of {project} was asked to make way and did not within {DRAIN_TIMEOUT_S:g} s.",
        "Runs are not affected. Stop it with `ragent serve --stop`, then repeat the command.",
    )


def _start(project: Path, timeout: float) -> StatusReply:
    log_path = ensure_ragent_dir(project) / "engine.log"
    deadline = time.monotonic() + timeout
    begun = log_path.stat().st_size if log_path.exists() else 0
    child = _spawn(project, log_path)
    while True:
        try:
            status = engine_status(project, timeout=max(1.0, deadline - time.monotonic()))
        except (NobodyListens, AnswerLost):
            pass
        else:
            if child.poll() is None:
                _children.append(child)
            return status
        if time.monotonic() > deadline:
            _children.append(child)
            raise MissingPart(
                f"The engine did not answer within {timeout:g} s of its start.",
                f"Its messages are in {log_path}.{_tail(log_path, begun)}",
            )
        try:
            child.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        if child.returncode != 0:
            raise _refusal(log_path, begun) or MissingPart(
                f"The engine ended at once with exit code {child.returncode}.",
                f"Its messages are in {log_path}.{_tail(log_path, begun)}",
            )
        # It found the lock taken: by another door's engine, which will answer soon, or by an older one that still has
        # things to put away. Whoever it is, the next one that we start takes over once the lock is free.
        if not _answers_soon(project, 0.3):
            child = _spawn(project, log_path)


def _spawn(project: Path, log_path: Path) -> subprocess.Popen[bytes]:
    with open(log_path, "ab") as log:
        return subprocess.Popen(
            engine_argv(project),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=log_path.parent,
            env=engine_env(),
            start_new_session=True,  # Ctrl-C here, or the end of this terminal, is nothing to the engine
        )


def _answers_soon(project: Path, within: float) -> bool:
    deadline = time.monotonic() + within
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            engine_status(project)
            return True
        except Unreachable:
            pause.wait(0.05)
    return False


def _new_text(log_path: Path, begun: int) -> str:
    try:
        with open(log_path, "rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(min(begun, size), size - 8192))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _tail(log_path: Path, begun: int) -> str:
    lines = [line for line in _new_text(log_path, begun).splitlines() if line.strip()]
    return "".join(f"\n  {line}" for line in lines[-4:])


def _refusal(log_path: Path, begun: int) -> RagentError | None:
    """Why an engine could not start, if it said so in our words: its last line that is an error."""
    for line in reversed(_new_text(log_path, begun).splitlines()):
        if line.startswith('{"error"'):
            try:
                body = msgspec.json.decode(line, type=ErrorReply).error
            except msgspec.DecodeError:
                return None
            return from_wire(0, body.type, body.problem, body.remedy)
    return None
