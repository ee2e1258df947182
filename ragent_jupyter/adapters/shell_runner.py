"""domain.ports_mind.ShellRunner: one shell command, its words as they come, and nothing of it left behind.

Every process that a command starts carries a mark in its environment, so that those which left its session are found
when it ends, as a run's wrapper finds them. Whoever scrubs its own environment *and* detaches from its parents is out
of reach; such a process is inside the wall that SECURITY.md draws.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ragent_jupyter.domain.errors import CannotBeDone
from ragent_jupyter.domain.ports_mind import ShellResult
from ragent_jupyter.runfiles import proc

from .shell_output import Output
from .workspace.tree import Tree

MARK = "RAGENT_SHELL_ID"
OF_PROJECT = "RAGENT_SHELL_OF"  # whose engine started it: after a crash the next one finds what was left behind
_SHELL = "/bin/sh"
_GRACE_S = 0.3  # between TERM and KILL: a stop is through within a second
_LOOK_S = 0.02
_ROUNDS = 20  # how often what is left is looked for and killed
_PIECE = 65536
_DRAIN_S = 0.5
_FLOOD_S = 0.002
# No program of a command may wait for somebody who is not there, or colour its words.
_QUIET = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "EDITOR": "true",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INPUT": "1",
    "PYTHONUNBUFFERED": "1",
}


class LocalShell:
    """Runs on this machine, in the project. env: what a command sees, already without tokens.

    redact: blacks secrets out of a text.  most: characters that are kept of what a command says.
    """

    def __init__(
        self,
        project: str | os.PathLike[str],
        env: Callable[[], Mapping[str, str]],
        redact: Callable[[str], str],
        most: int = 24_000,
    ) -> None:
        self._tree = Tree(project)
        self._env = env
        self._redact = redact
        self._most = most

    def folder(self, cwd: str) -> str:
        """The absolute path of a folder of the project. Raises as Workspace does for what is none."""
        with self._tree.at(cwd or ".") as spot:
            if not spot.is_folder:
                raise CannotBeDone(f"{spot.path!r} is no folder.", "Leave cwd out to run in the project's folder.")
            return os.path.join(self._tree.root, *spot.parts)

    def sweep(self) -> list[int]:
        """End the commands of an engine that was killed: nobody reads them or could stop them. Returns their pids.

        To be called before the first command: only one engine serves a project.
        """
        left = proc.environ_scan(OF_PROJECT, self._tree.root)
        for one in left:
            if proc.start_time(one.pid) == one.start_time:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one.pid, signal.SIGKILL)
        return [one.pid for one in left]

    async def run(
        self,
        command: str,
        cwd: str,
        *,
        timeout_s: float,
        stop: asyncio.Event,
        said: Callable[[str], None],
    ) -> ShellResult:
        folder = self.folder(cwd)
        mark = secrets.token_hex(12)
        env = {**self._env(), **_QUIET, MARK: mark, OF_PROJECT: self._tree.root, "PWD": folder}
        began = time.monotonic()
        if stop.is_set():
            return ShellResult(output="", exit_code=None, seconds=0.0)
        output = Output(self._redact, self._most, said)
        # A pipe of ours, not asyncio's: that one would wait for all who hold it, a child that was left behind too.
        reader, writer = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                _SHELL,
                "-c",
                command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writer,
                stderr=asyncio.subprocess.STDOUT,
                cwd=folder,
                env=env,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(reader)
            why = getattr(error, "strerror", None) or str(error)
            raise CannotBeDone(f"The shell could not be started: {why}.", "Shorten the command.") from error
        finally:
            os.close(writer)
        pipe = _Pipe(reader, output)
        ending = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({ending, stopping}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            over = ending.done()
            timed_out = not over and not stopping.done()
        finally:
            stopping.cancel()
            # Also when we are cancelled ourselves: what was started is ended before that goes on.
            await asyncio.shield(asyncio.ensure_future(_end(process, mark)))
            await pipe.drained(_DRAIN_S)
            pipe.close()
            ending.cancel()
        code = process.returncode if over else None
        seconds = round(time.monotonic() - began, 3)
        text = await asyncio.get_running_loop().run_in_executor(None, output.text)
        return ShellResult(output=text, exit_code=code, seconds=seconds, timed_out=timed_out)


class _Pipe:
    """The reading end of a command's output, on the event loop."""

    def __init__(self, fd: int, output: Output) -> None:
        self._fd = fd
        self._output = output
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        os.set_blocking(fd, False)
        self._listen()

    def _listen(self) -> None:
        self._loop.add_reader(self._fd, self._ready)

    def _ready(self) -> None:
        try:
            data = os.read(self._fd, _PIECE)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._fd)
            self._ended.set()
            return
        self._output.take(data)
        if self._output.flooding:
            # A command that writes without end must not fill the whole loop: the pipe holds it back meanwhile.
            self._loop.remove_reader(self._fd)
            self._later = self._loop.call_later(_FLOOD_S, self._listen)

    async def drained(self, timeout_s: float) -> None:
        """Until nobody can write any more, or the time is over."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), timeout_s)

    def close(self) -> None:
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


async def _end(process: asyncio.subprocess.Process, mark: str) -> None:
    """End every process of a command: its group, its descendants, and whoever carries its mark."""
    loop = asyncio.get_running_loop()
    left = await loop.run_in_executor(None, _family, process.pid, mark)
    if not left and process.returncode is not None:
        return
    _signal(process, left, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    while time.monotonic() < deadline:
        if process.returncode is not None and not any(proc.alive(pid, at) for pid, at in left.items()):
            break
        await asyncio.sleep(_LOOK_S)
    for _ in range(_ROUNDS):
        left = await loop.run_in_executor(None, _family, process.pid, mark)
        if not left and process.returncode is not None:
            return
        _signal(process, left, signal.SIGKILL)
        await asyncio.sleep(_LOOK_S)


def _family(pid: int, mark: str) -> dict[int, float]:
    """{pid: start time} of what lives of a command: descendants of its shell, its group, carriers of its mark."""
    import psutil

    found = {one.pid: one.start_time for one in proc.environ_scan(MARK, mark)}
    try:
        near = {child.pid for child in psutil.Process(pid).children(recursive=True)}
    except psutil.Error:
        near = set()
    for other in proc.pids():
        if other not in found and (other in near or _group_of(other) == pid):
            started = proc.start_time(other)
            if started is not None:
                found[other] = started
    return found


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _signal(process: asyncio.subprocess.Process, family: Mapping[int, float], number: int) -> None:
    if process.returncode is None:  # while its leader is not waited for, the group's number belongs to nobody else
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
    for pid, started in family.items():
        if proc.alive(pid, started):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
