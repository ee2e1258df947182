"""The joining place: hands, desks and handlers of one project, its lock, its socket, its beginning and its end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application

from ragent_jupyter._version import __version__
from ragent_jupyter.adapters.columns import ColumnReader
from ragent_jupyter.adapters.executors.process import ProcessExecutor
from ragent_jupyter.adapters.executors.tmux import TmuxExecutor
from ragent_jupyter.adapters.gpus import find_gpus
from ragent_jupyter.adapters.interpreters import LocalInterpreters
from ragent_jupyter.adapters.notebooks import NotebookReports
from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.adapters.trees import GitTrees
from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.errors import BadInput, Held, RagentError
from ragent_jupyter.domain.events import TOPICS
from ragent_jupyter.domain.ports import Executor, Gpus
from ragent_jupyter.domain.prepare import prepare
from ragent_jupyter.domain.wire import ErrorBody, ErrorReply
from ragent_jupyter.runfiles import proc
from ragent_jupyter.runfiles.project import ensure_ragent_dir, project_hash, runs_dir, socket_path
from ragent_jupyter.services import silences
from ragent_jupyter.services.alerts import AlertsDesk
from ragent_jupyter.services.effects import Effects
from ragent_jupyter.services.host import Host
from ragent_jupyter.services.reports import ReportsDesk
from ragent_jupyter.services.runs import RunsDesk
from ragent_jupyter.services.scheduler import Scheduler
from ragent_jupyter.services.shell import Change, Clock, Shell
from ragent_jupyter.services.status import StatusDesk
from ragent_jupyter.services.sweeps import SweepsDesk

from . import events as ev
from . import handlers as h
from .base import NothingHere
from .chat_handlers import ROUTES as CHAT_ROUTES
from .gateway_routes import ROUTES as GATEWAY_ROUTES
from .gateway_routes import machine_routes, make_gateway
from .machine import LocalMachine
from .memory_handlers import ROUTES as MEMORY_ROUTES
from .mind import Mind
from .model_handlers import ROUTES as MODEL_ROUTES
from .notebook_handlers import ROUTES as NOTEBOOK_ROUTES
from .notebook_handlers import make_notebooks
from .openapi import OpenApi
from .reproduce_handlers import ROUTES as REPRODUCE_ROUTES
from .skill_handlers import ROUTES as SKILL_ROUTES
from .wild_handlers import ROUTES as WILD_ROUTES
from .wilds import Wild

log = logging.getLogger("ragent.engine")

IDLE_S = 600.0
PRUNE_S = 3600.0
MAX_BODY = 16 << 20
_PREFIX = r"/ragent/api/v1/"

_PREFS: dict[str, type] = {
    "parallel": int,
    "executor": str,
    "theme": str,
    "pins": list,
    "colours": dict,
    "turn_steps": int,
    "turn_cost_usd": float,
    "budget_day_usd": float,
    "judge_budget_usd_day": float,
    "judge": bool,
    "gpu_hour_usd": float,
    silences.SETTING: float,
}


_MOST_USD = 1e6  # a slip of the keyboard, and sums of it stay finite


class AlreadyRunning(Held):
    """Another engine holds this project's lock: nothing to do, and no error to a person."""


class Lock:
    """flock on `.ragent/engine.lock`, held for the engine's whole life. What is written there is for people."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.fd)
            raise AlreadyRunning("Another engine serves this project.", "Use it: every door finds it.") from None
        about = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "boot_id": proc.boot_id(),
            "version": __version__,
        }
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, json.dumps(about).encode() + b"\n", 0)

    def release(self) -> None:
        os.close(self.fd)


class Engine:
    def __init__(
        self,
        project: Path,
        *,
        idle_s: float = IDLE_S,
        executors: Mapping[str, Executor] | None = None,
        gpus: Gpus | None = None,
        database: str | None = None,
        clock: Clock | None = None,
        take_over: bool = False,
    ) -> None:
        """Takes the lock, opens the store, loads the state. Raises AlreadyRunning, Held, CannotBeDone."""
        self.project = project.resolve()
        self.pid = os.getpid()
        self.idle_s = idle_s
        folder = ensure_ragent_dir(self.project)
        self.lock = Lock(folder / "engine.lock")
        self.socket_path = socket_path(self.project)
        place = database or os.environ.get("DATABASE_URL") or os.fspath(folder / "ragent.db")
        prepare()  # the store begins the first thread
        try:
            # Several projects may share one PostgreSQL server: each has a schema of its own there.
            store = open_store(place, namespace=f"ragent_{project_hash(self.project)}", take_over=take_over)
            self.shell = Shell(store, clock)
            self._owed = self.shell.load()
        except BaseException:
            self.lock.release()
            raise
        self.executors: dict[str, Executor] = dict(
            executors
            or {"tmux": TmuxExecutor(os.fspath(self.project)), "process": ProcessExecutor(os.fspath(self.project))}
        )
        self.gpus = gpus or find_gpus()
        self.metrics = ColumnReader()
        self.readers = ThreadPoolExecutor(2, thread_name_prefix="charts")
        self.interpreters = LocalInterpreters(self.project)
        machine = LocalMachine(self.project, self.interpreters.env)
        self.runs = RunsDesk(self.shell, self.project, self.executors, self.interpreters, self.gpus)
        self.sweeps = SweepsDesk(self.shell, self.runs, self.project)
        self.alerts = AlertsDesk(self.shell, self.runs)
        self.trees = GitTrees(self.project)
        self.effects = Effects(
            self.shell, runs_dir(self.project), os.fspath(self.project), self.executors, machine, trees=self.trees
        )
        self.host = Host(self.shell, self.runs, self.alerts, self.executors, machine, self.effects.perform)
        self.scheduler = Scheduler(self.shell, self.runs, self.sweeps, self.gpus)
        self.sweeps.slots = lambda sweep: self.scheduler.at_once(sweep.parallel, sweep.gpus, sweep.share_gpu)
        self.status = StatusDesk(self.shell, self.runs, self.scheduler, self.executors, self.project)
        self.reports = ReportsDesk(self.shell, self.runs, self.sweeps, self.metrics, self.project, NotebookReports())
        self.notebooks = make_notebooks(self.project, self.shell)
        self.mind = Mind(self)
        self.memory = self.mind.memory
        self.wild = Wild(self)
        self.gateway = make_gateway(
            self.project,
            store,
            lambda: self.status.draining,
            self.touch,
            self.mind.keys,
            self.mind.models,
        )
        self.shell.perform = self.effects.perform
        self.runs.progressed = self.scheduler.nudge
        self.shell.listeners.append(self._changed)
        self._last_touch = self.shell.clock.mono()
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def _changed(self, change: Change) -> None:
        if change.type in ("run_ended", "sweep_created", "run_created", "prefs_changed"):
            self.scheduler.nudge()

    # --- life ---------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Serve until drained or idle."""
        server = HTTPServer(self.application(), max_body_size=MAX_BODY, max_buffer_size=MAX_BODY + (1 << 20))
        listening = bind_unix_socket(self.socket_path, 0o600)
        self.runs.begin()
        self.sweeps.begin()
        loop = asyncio.get_running_loop()
        for owed in self._owed:
            self.effects.perform(owed)
        # One look before the first answer: what ended while nobody was there must not be told as running. Doors that
        # come meanwhile wait in the socket's backlog.
        try:
            await self.host.look_once(loop)
        except (RagentError, OSError) as error:
            log.error("the first look at the run folders failed: %s", error)
        answered = {a.run_id for a in self.shell.alerts.values() if a.status is AlertStatus.RESOLVED}
        for run_id in sorted(answered):
            await self.alerts.follow_up(run_id)
        self.mind.begin()
        await self.wild.begin()
        server.add_socket(listening)
        self.wild.serves()
        self._tasks = [
            loop.create_task(self.host.run()),
            loop.create_task(self.scheduler.run()),
            loop.create_task(self._housekeeping()),
        ]
        log.info("ragent %s serves %s (pid %d)", __version__, self.project, self.pid)
        try:
            await self._over.wait()
        finally:
            # New doors must not reach a socket whose engine has stopped listening: unlink first, while the lock
            # still keeps another engine from binding it.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.socket_path)
            server.stop()
            self.host.stop()
            self.scheduler.stop()
            self._tasks[-1].cancel()  # housekeeping: it has nothing to finish
            await asyncio.wait(self._tasks, timeout=5.0)
            for task in self._tasks:
                task.cancel()
            await self.effects.drain()
            await self.wild.end()
            await self.mind.end()
            await self.notebooks.close()
            await self.gateway.close()
            await server.close_all_connections()
            self.shell.store.close()
            self.lock.release()
            log.info("the engine of %s has ended; its runs go on", self.project)

    def drain(self, why: str) -> None:
        log.info("draining: %s", why)
        self.status.draining = True
        self._over.set()

    def touch(self) -> None:
        self._last_touch = self.shell.clock.mono()

    @property
    def busy(self) -> bool:
        """Whether there is something that the engine must be there for."""
        return bool(
            self.shell.subscribers
            or self.scheduler.queue()
            or self.host._wanted()
            or self.mind.busy
            or self.wild.busy
            or self.notebooks.busy
            or self.gateway.busy
            or any(s.status.value == "running" for s in self.shell.sweeps.values())
        )

    async def _housekeeping(self) -> None:
        last_prune = self.shell.clock.mono()
        while True:
            await asyncio.sleep(min(1.0, self.idle_s / 4))
            now = self.shell.clock.mono()
            if isinstance(self.shell.problem, Held):
                self.drain(self.shell.problem.problem)  # another engine has the database: nothing can be done here
                return
            if self.busy:
                self.touch()
            elif now - self._last_touch > self.idle_s:
                self.drain(f"idle for {self.idle_s:.0f} s")
                return
            if now - last_prune > PRUNE_S:
                last_prune = now
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, self.shell.store.prune, 7 * 86400.0, 200_000)

    async def set_prefs(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Merge; null removes. Raises BadInput for a known pref of the wrong type."""
        changes = []
        for name, value in wanted.items():
            type_ = _PREFS.get(name)
            # True is an int to Python, and no number of runs; 5 is as good a sum of money as 5.0.
            fits = (int, float) if type_ is float else type_
            odd = isinstance(value, bool) and fits is not bool
            if fits and value is not None and (odd or not isinstance(value, fits)):
                raise BadInput(f"{name} is not of type {_PREFS[name].__name__}.", "Send it so, or null to reset it.")
            if type_ is int and value is not None and value < 1:
                usual = "one run a core" if name == "parallel" else "the usual number"
                raise BadInput(f"{name} is {value}.", f"Give 1 or more, or null for {usual}.")
            if name == silences.SETTING and value is not None:
                silences.checked(value)
            elif type_ is float and value is not None and not 0 <= value <= _MOST_USD:
                raise BadInput(f"{name} is {value}.", "Give US dollars, 0 to 1000000, or null to reset it.")
            if len(msgspec.json.encode(value)) > 65536:
                raise BadInput(f"{name} is larger than 64 KiB.", "Preferences are small.")
            changes.append(Change("prefs_changed", {"id": name, "value": value}))
        if changes:
            await self.shell.commit(changes)
        return self.shell.prefs

    # --- routes -------------------------------------------------------------------------------------------------
    def routes(self) -> list[tuple[str, Any]]:
        run, sweep, alert = r"(run_\w+|[^/]+)", r"([^/]+)", r"([^/]+)"
        return [
            (r"runs", h.Runs),
            (rf"runs/{run}", h.OneRun),
            (rf"runs/{run}/(start|stop|retry|archive|finish)", h.RunVerb),
            (rf"runs/{run}/logs", h.RunLogs),
            (rf"runs/{run}/metrics", h.RunMetrics),
            (rf"runs/{run}/files", h.RunFiles),
            (r"sweeps", h.Sweeps),
            (rf"sweeps/{sweep}", h.OneSweep),
            (rf"sweeps/{sweep}/(start|stop)", h.SweepVerb),
            (r"alerts", h.Alerts),
            (rf"alerts/{alert}", h.OneAlert),
            (rf"alerts/{alert}/respond", h.AlertRespond),
            (r"metrics/series", h.MetricSeries),
            (r"executors", h.Executors),
            (r"interpreters", h.Interpreters),
            (r"status", h.Status),
            (r"doctor", h.Doctor),
            (r"prefs", h.PrefsHandler),
            *REPRODUCE_ROUTES,
            (r"reports", h.Reports),
            (r"reports/data", h.ReportDataOf),
            (r"reports/([^/]+)", h.OneReport),
            (r"events", ev.Events),
            (r"events/ws", ev.EventsSocket),
            (r"drain", h.Drain),
            (r"openapi.json", OpenApi),
            *CHAT_ROUTES,
            *MEMORY_ROUTES,
            *MODEL_ROUTES,
            *NOTEBOOK_ROUTES,
            *GATEWAY_ROUTES,
            *WILD_ROUTES,
            *SKILL_ROUTES,
        ]

    def application(self) -> Application:
        routes = [(_PREFIX + path + "/?", handler, {"engine": self}) for path, handler in self.routes()]
        return Application(
            [*machine_routes(self.gateway), *routes],
            default_handler_class=NothingHere,
            default_handler_args={"engine": self},
            log_function=_log_request,
            websocket_ping_interval=30,
        )


def _log_request(handler: Any) -> None:
    if handler.get_status() >= 500:
        log.warning("%d %s %s", handler.get_status(), handler.request.method, handler.request.uri)


def main(argv: list[str] | None = None) -> int:
    """`python -m ragent_jupyter.engine --project DIR`: 0 also where another engine was first."""
    import argparse
    import signal

    parser = argparse.ArgumentParser(prog="ragent-engine", description="The engine of one project.")
    parser.add_argument("--project", required=True)
    parser.add_argument("--take-over", action="store_true", help="the engine on another host is gone for good")
    parser.add_argument("--idle", type=float, default=float(os.environ.get("RAGENT_IDLE_S", IDLE_S)))
    args = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )

    for name in ("httpx", "httpx2"):  # a line a call, with the address, in which a password may stand
        logging.getLogger(name).setLevel(logging.WARNING)

    async def serve() -> None:
        engine = Engine(Path(args.project), idle_s=args.idle, take_over=args.take_over)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.drain, f"signal {number.name}")
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal that started us may close
        await engine.run()

    try:
        asyncio.run(serve())
    except AlreadyRunning:
        return 0
    except RagentError as error:
        log.error("%s %s", error.problem, error.remedy)
        # For the door that started us: it raises the refusal as what it is.
        reply = ErrorReply(ErrorBody(error.type, error.problem, error.remedy))
        print(msgspec.json.encode(reply).decode(), file=sys.stderr, flush=True)
        return 1
    return 0


__all__ = ["TOPICS", "Engine", "main"]
