"""Live runs are activity: the Hub must not cull a server because nobody watches a night's work.

And the other way round: a server that watches live runs notices when their engine has died, and wakes it, so that
queued runs and sweeps go on with no tab open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.runfiles.project import runs_dir

from .link import EngineLink

# Any setting whose name ends so counts in the server's last_activity, which the Hub's culler reads.
KEY = "ragent_last_activity"
EVERY_S = 60.0
_LOOK_BACK = 200  # newest run folders that are looked at when no engine can be asked


class KeepAlive:
    """Reports activity while runs live, at most `limit_hours` after the last activity of anybody else.

    last_activity: the server's own answer without ours.  limit_hours: 0 means no limit.
    """

    def __init__(
        self,
        link: EngineLink,
        settings: MutableMapping[str, Any],
        last_activity: Callable[[], datetime],
        log: logging.Logger,
        *,
        enabled: bool = True,
        limit_hours: float = 24.0,
        every_s: float = EVERY_S,
    ) -> None:
        self.live = 0
        self._waiting = 0
        self._link = link
        self._settings = settings
        self._last_activity = last_activity
        self._log = log
        self._enabled = enabled
        self._limit = timedelta(hours=limit_hours) if limit_hours > 0 else None
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._said_limit = False

    def start(self) -> None:
        """Begin on the running loop; a second call changes nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Our watching ends; runs and engine go on."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        try:
            await self._after_a_restart()
        except (RagentError, OSError) as error:
            self._log.debug("ragent: %s", error)
        while True:
            try:
                await self.tick()
            except (RagentError, OSError, ValueError) as error:
                self._log.debug("ragent: the engine was not asked for live runs: %s", error)
            await asyncio.sleep(self._every_s)

    async def _after_a_restart(self) -> None:
        """Runs of an earlier server that still live: have their engine back before anybody opens a tab."""
        project = self._link.project()
        if await asyncio.get_running_loop().run_in_executor(None, runs_seem_live, project):
            await self._link.wake(project)
            self._link.used = True

    async def tick(self) -> None:
        """Look once. An idle engine is not asked again until a door has used it, so that it may go to sleep."""
        if not (self.live or self._waiting or self._link.used):
            return
        self._link.used = False
        wake = bool(self.live or self._waiting)
        try:
            status = json.loads(await self._link.get("status", wake=wake))
        finally:
            self._link.used = False  # this look does not count as use
        self.live = int(status.get("live", 0))
        self._waiting = int(status.get("queued", 0))
        if self.counts():
            self._settings[KEY] = datetime.now(timezone.utc)

    def counts(self) -> bool:
        """Whether live runs keep this server from being culled right now."""
        if not (self._enabled and self.live):
            return False
        if self._limit is None or datetime.now(timezone.utc) - self._last_activity() < self._limit:
            self._said_limit = False
            return True
        if not self._said_limit:
            self._said_limit = True
            self._log.warning(
                "ragent: %d runs live, but nobody was here for %s: they no longer keep this server from being culled "
                "(RagentApp.keep_alive_limit_hours).",
                self.live,
                self._limit,
            )
        return False


def others_last_activity(settings: MutableMapping[str, Any], kernels: Any = None) -> datetime:
    """The server's last activity, ours left out: kernels, requests, terminals, or its start."""
    seen = [settings["started"]]
    seen += [value for key, value in settings.items() if key.endswith("_last_activity") and key != KEY]
    seen += list(settings.get("last_activity_times", {}).values())
    seen.append(getattr(kernels, "last_kernel_activity", None))
    return max(moment for moment in seen if isinstance(moment, datetime))


def runs_seem_live(project: Path) -> bool:
    """Whether a run of this project was started and has no verdict yet, judged by its files alone."""
    folder = runs_dir(project)
    try:
        names = sorted((entry.name for entry in os.scandir(folder) if entry.is_dir()), reverse=True)
    except OSError:
        return False
    return any(
        (folder / n / "spec.json").exists() and not (folder / n / "exit.json").exists() for n in names[:_LOOK_BACK]
    )
