"""The way from this server to its project's engine: which project, which socket, and waking the engine."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakSet

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream

from ragent_jupyter.domain.errors import RagentError, Unreachable
from ragent_jupyter.runfiles.project import socket_path

from .upstream import AnswerLost, dial, exchange

API = "/ragent/api/v1/"
# Longer than an engine needs to start, shorter than a browser's patience.
WAKE_TIMEOUT_S = 20.0
# After a failed start the next requests are told at once, instead of starting it again for each of them.
COOL_DOWN_S = 2.0


def start_engine(project: Path) -> None:
    """Blocks until an engine answers for `project`. Raises RagentError."""
    # On first use only: Lab's start does not pay for it.
    from ragent_jupyter.client import ensure_engine

    ensure_engine(project)


class EngineLink:
    """Connections to the engine of whatever `find` says the project is; the engine is woken by the first of them.

    find: gives the project's folder or raises RagentError; asked for every connection.
    ensure: blocks until the project's engine answers; called in a thread, never twice at once.
    """

    def __init__(self, find: Callable[[], Path], ensure: Callable[[Path], object] = start_engine) -> None:
        self.project = find
        self._ensure = ensure
        self._met: Path | None = None  # the project whose engine we have greeted (version and all)
        self._waking: dict[Path, asyncio.Future[None]] = {}
        self._refusal: tuple[float, Path, RagentError] | None = None
        self.used = False  # since the last look of the keep-alive
        self.sockets: WeakSet[Any] = WeakSet()  # open event sockets, to be closed when the project changes

    async def connect(self, *, wake: bool = True) -> IOStream:
        """A fresh connection. Raises RagentError: no project here, or Unreachable with the remedy."""
        project = self.project()
        path = socket_path(project)
        if wake:
            self.used = True
            if self._met != project:
                await self.wake(project)
        try:
            return await dial(path)
        except OSError as error:
            if not wake:
                raise Unreachable(f"No engine answers for {project}.") from error
        await self.wake(project)
        try:
            return await dial(path)
        except OSError as error:
            raise Unreachable(
                f"ragent's engine for {project} does not answer: {error.strerror or error}.",
                f"It is started again by the next request; if that does not help, {project / '.ragent' / 'engine.log'} "
                "tells why, and `ragent doctor` looks at everything.",
            ) from error

    async def wake(self, project: Path) -> None:
        """An engine answers for `project` when this returns. One start at a time, however many ask."""
        if self._refusal is not None:
            at, refused, error = self._refusal
            if refused == project and time.monotonic() - at < COOL_DOWN_S:
                raise error
            self._refusal = None
        waking = self._waking.get(project)
        if waking is None:
            waking = self._waking[project] = self._in_thread(project)
        try:
            await asyncio.wait_for(asyncio.shield(waking), WAKE_TIMEOUT_S)
        except asyncio.TimeoutError:
            raise Unreachable(
                f"ragent's engine for {project} has not answered in {WAKE_TIMEOUT_S:.0f} s.",
                f"It may still come: try again. {project / '.ragent' / 'engine.log'} tells what it does.",
            ) from None

    def _in_thread(self, project: Path) -> asyncio.Future[None]:
        """`ensure` in a daemon thread: a server that shuts down does not wait for an engine that starts."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            self._waking.pop(project, None)
            if error is None:
                self._met = project
            else:
                refusal = error if isinstance(error, RagentError) else _unexpected(project, error)
                self._refusal = (time.monotonic(), project, refusal)
            if future.done():
                return
            if self._refusal is None:
                future.set_result(None)
            else:
                future.set_exception(self._refusal[2])
                future.exception()  # seen: whoever waited may have gone

        def work() -> None:
            error: BaseException | None = None
            try:
                self._ensure(project)
            except BaseException as caught:
                error = caught
            try:
                loop.call_soon_threadsafe(settle, error)
            except RuntimeError:
                return  # the server's loop is closed: nobody waits any more

        threading.Thread(target=work, name="ragent-wake", daemon=True).start()
        return future

    def lost(self) -> None:
        """The engine went away under a request: greet the next one anew."""
        self._met = None

    def close_sockets(self, reason: str) -> None:
        """Have every tab reconnect."""
        for socket in list(self.sockets):
            socket.close(1012, reason)

    async def get(self, path: str, *, wake: bool = False, timeout: float = 10.0) -> bytes:
        """The body of GET api/v1/`path`. Raises RagentError; an answer that is not 200 is Unreachable too."""
        stream = await self.connect(wake=wake)
        sink = _Whole()
        try:
            await exchange(stream, "GET", API + path, {}, b"", sink, answer_timeout=timeout)
        except AnswerLost as error:
            raise Unreachable("The engine went away.") from error
        if sink.status != 200:
            raise Unreachable(f"The engine answered {sink.status} to GET {path}.")
        return bytes(sink.body)


class _Whole:
    def __init__(self) -> None:
        self.status = 0
        self.body = bytearray()

    def begin(self, status: int, headers: HTTPHeaders) -> None:
        self.status = status

    def take(self, chunk: bytes) -> None:
        self.body += chunk


def _unexpected(project: Path, error: BaseException) -> Unreachable:
    return Unreachable(
        f"ragent's engine for {project} could not be started: {type(error).__name__}: {error}",
        f"Look at {project / '.ragent' / 'engine.log'}, or run `ragent doctor` in a terminal.",
    )
