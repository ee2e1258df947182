"""A Jupyter server's part of ragent, played: the page, the routes and the socket, over runs made up for a picture.

For browser tests of states that a real engine shows only by luck (3,000 runs, a refusal, a dropped socket). Objects are
built from the real structs and encoded as the engine does, so a field that is not sent here is not sent there either.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ragent_jupyter.domain.alert import Alert, AlertStatus, Choice, Evidence, Severity
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.run import Interpreter, MetricSummary, Progress, Reason, Run, RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.domain.wire import (
    AlertsReply,
    CreateRun,
    ErrorBody,
    ErrorReply,
    LogsReply,
    RunsReply,
    SeriesReply,
    StatusReply,
    SweepsReply,
)

STATIC = Path(__file__).parents[2] / "ragent_jupyter" / "static"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ragent</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/ragent/static/page.css"></head>
<body data-base-url="/"><main id="app"></main><script type="module" src="/ragent/static/page.js"></script></body></html>
"""
NOW = time.time()


def loss(run: Run, step: int, metric: str = "val_loss") -> float:
    """A curve of its own for each run: falls as a power of the step, with a little noise."""
    draw = random.Random(f"{run.id} {metric} {step}")
    floor = 0.08 + (hash_of(run.id) % 40) / 200
    return floor + 2.2 / (1 + step / 60) ** 0.9 + draw.gauss(0, 0.012)


def hash_of(text: str) -> int:
    return sum((i + 1) * ord(c) for i, c in enumerate(text))


def make_run(i: int, status: RunStatus, **more: Any) -> Run:
    """Run number i, with what a run in this state has."""
    run_id = f"run_{i:08d}"
    started = NOW - 90 * (i % 400) - 400
    lr = (3e-4, 1e-3, 3e-3, 1e-2)[i % 4]
    fields: dict[str, Any] = {
        "id": run_id,
        "name": f"resnet-lr-{lr:g}-s{i % 5}",
        "command": f"python train.py --lr {lr:g} --seed {i % 5}",
        "argv": ["sh", "-c", f"python train.py --lr {lr:g} --seed {i % 5}"],
        "cwd": "/home/ada/projects/vision",
        "created_at": started - 3,
        "status": status,
        "primary": "val_loss",
        "params": {"lr": lr, "seed": i % 5, "batch_size": 128},
        "interpreter": Interpreter(
            path="/home/ada/.venvs/torch/bin/python", kind="venv", name="torch", version="3.11.7"
        ),
    }
    if status is not RunStatus.QUEUED and status is not RunStatus.READY:
        fields |= {"started_at": started, "launched_at": started - 1, "executor_handle": "ragent:3"}
    else:
        fields["queued_at"] = started
    if status is RunStatus.RUNNING:
        fraction = (i * 37 % 91 + 4) / 100
        fields["progress"] = Progress(
            fraction=fraction, step=int(2000 * fraction), total=2000, eta_s=(1 - fraction) * 600
        )
    if status.terminal:
        fields |= {"ended_at": started + 340, "max_rss_bytes": 1_900_000_000, "cpu_s": 900.0}
    if status is RunStatus.FINISHED:
        fields["exit_code"] = 0
    if status is RunStatus.FAILED:
        fields |= {
            "exit_code": 1,
            "reason": Reason(
                "exit_code",
                "It ended with exit code 1.",
                "RuntimeError: shape '[128, 10]' is invalid for input of size 640",
            ),
        }
    if status is RunStatus.STOPPED:
        fields |= {
            "signal": 2,
            "stop_by": "user",
            "reason": Reason("stop", "Stopped by user; it ended within its grace."),
        }
    run = Run(**(fields | more))
    if status in (RunStatus.RUNNING, RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.STOPPING):
        end = loss(run, 2000)
        summary = {
            "val_loss": MetricSummary(last=end, step=2000, min=end, min_step=2000, max=2.4, max_step=0, count=2000),
            "train_loss": MetricSummary(last=end * 0.9, step=2000, min=end * 0.9, min_step=1990, count=2000),
            "lr": MetricSummary(last=lr, step=2000, min=lr, min_step=0, max=lr, max_step=0, count=2000),
        }
        run = msgspec.structs.replace(run, summary=summary)
    return run


def make_alert(i: int, run: Run, severity: Severity, **more: Any) -> Alert:
    window: list[tuple[float, float | str]] = [(float(s), loss(run, s)) for s in range(372, 412, 2)]
    return Alert(
        **(
            {
                "id": f"alt_{i:08d}",
                "run_id": run.id,
                "rule": "non_finite",
                "severity": severity,
                "title": "val_loss became NaN at step 412",
                "text": "The run goes on, but nothing after this step was learned. The learning rate is 0.01.",
                "raised_at": NOW - 60 * (i + 1),
                "evidence": Evidence(
                    metric="val_loss",
                    step=412,
                    value="nan",
                    baseline=0.31,
                    threshold=None,
                    window=[*window, (412.0, "nan")],
                    source="metrics.jsonl",
                ),
                "choices": [
                    Choice("ignore", "ignore", "Ignore"),
                    Choice("stop", "stop", "Stop run"),
                    Choice("retry_lower_lr", "retry_with", "Lower lr to 0.001 and retry", {"lr": 0.001}),
                ],
                "default": "ignore",
            }
            | more
        )
    )


class Door:
    """The played server. Its public methods may be called from the test's thread."""

    routes: type[web.RequestHandler] | None = None  # more of them: those of the chat

    def __init__(self, runs: Iterable[Run] = (), alerts: Iterable[Alert] = (), sweeps: Iterable[Sweep] = ()) -> None:
        self.runs = {run.id: run for run in runs}
        self.alerts = {alert.id: alert for alert in alerts}
        self.sweeps = {sweep.id: sweep for sweep in sweeps}
        self.steps: dict[str, int] = {}
        self.nan_from: dict[str, int] = {}
        self.refusal: tuple[int, ErrorBody | None] | None = None
        self.refuse_socket = False
        self.asked: list[str] = []
        self.bodies: list[tuple[str, Any]] = []
        self.seq = 10
        self.log: list[dict[str, Any]] = []
        self.sockets: set[Socket] = set()
        self.sending: set[asyncio.Future[None]] = set()
        self.port = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None
        self.server: HTTPServer | None = None

    # -- life
    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Door:
        ready = threading.Event()

        def serve() -> None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)

            async def begin() -> None:
                app = web.Application(
                    [
                        (r"/ragent/?", Page, {"door": self}),
                        (r"/ragent/static/(.*)", web.StaticFileHandler, {"path": str(STATIC)}),
                        (r"/ragent/api/v1/events/ws", Socket, {"door": self}),
                        (r"/ragent/api/v1/(.*)", self.routes or Routes, {"door": self}),
                    ]
                )
                (socket,) = bind_sockets(self.port, "127.0.0.1")
                self.port = socket.getsockname()[1]
                self.server = HTTPServer(app)
                self.server.add_socket(socket)
                ready.set()

            self.loop.run_until_complete(begin())
            self.loop.run_forever()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        assert self.loop and self.server and self.thread
        self.on_loop(self.server.stop)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def on_loop(self, call: Callable[[], Any]) -> None:
        """Runs `call` where the server lives, and waits for it."""
        assert self.loop
        done = threading.Event()

        def go() -> None:
            try:
                call()
            finally:
                done.set()

        self.loop.call_soon_threadsafe(go)
        assert done.wait(5)

    # -- what happens to it
    def refuse(self, status: int, problem: str | None = None, remedy: str = "") -> None:
        """Every request is answered with this from now on; without a problem the body is a proxy's page."""
        self.refusal = (status, ErrorBody("missing_part", problem, remedy) if problem else None)

    def drop(self) -> None:
        """Closes every socket, as a restart does."""
        self.on_loop(lambda: [socket.close() for socket in list(self.sockets)])

    def tell(self, topic: str, type_: str, data: Any, *, saved: bool = True, again: bool = False) -> None:
        """One event to every socket. `again` repeats the newest seq, as a reconnect may."""

        def go() -> None:
            if saved and not again:
                self.seq += 1
            envelope = {
                "seq": self.seq,
                "time": time.time(),
                "topic": topic,
                "type": type_,
                "data": json.loads(msgspec.json.encode(data)),
            }
            if saved:
                self.log.append(envelope)
            for socket in list(self.sockets):
                socket.say(envelope)

        self.on_loop(go)

    def change(self, run_id: str, **fields: Any) -> None:
        self.runs[run_id] = msgspec.structs.replace(self.runs[run_id], **fields)
        self.tell("runs", "run_changed", self.runs[run_id])

    def grow(self, run_id: str, steps: int) -> None:
        """The run logs some more steps; only the doorbell tells."""
        self.steps[run_id] = self.steps.get(run_id, 2000) + steps
        self.tell("metrics", "metrics_changed", {"run": run_id, "points": self.steps[run_id]}, saved=False)

    # -- what it answers
    def counts(self) -> dict[str, int]:
        out: dict[str, int] = {}
        for run in self.runs.values():
            out[run.status.value] = out.get(run.status.value, 0) + 1
        return out

    def status(self) -> StatusReply:
        counts = self.counts()
        scored = [
            (run.summary["val_loss"].min, run)
            for run in self.runs.values()
            if run.status is RunStatus.FINISHED and "val_loss" in run.summary
        ]
        best = min(scored, key=lambda pair: pair[0] or math.inf, default=None)
        return StatusReply(
            project="/home/ada/projects/vision",
            version="0.1.0",
            log_id="log_a",
            seq=self.seq,
            pid=1,
            started_at=NOW - 5000,
            counts=counts,
            live=counts.get("running", 0),
            queued=counts.get("queued", 0),
            alerts=sum(a.status is AlertStatus.PENDING for a in self.alerts.values()),
            best=best
            and {
                "run": best[1].id,
                "name": best[1].name,
                "metric": "val_loss",
                "value": best[0],
                "mode": "min",
                "confirmed": False,
            },
        )

    def series(self, run_id: str, name: str, x: str, points: int, since: str | None) -> Series:
        run = self.runs.get(run_id)
        total = self.steps.get(run_id, 2000)
        if run is None or name not in run.summary:
            return Series(run=run_id, name=name, x=[], last=[], cursor="0")
        if since is not None:
            every, first = 1, int(since)
        else:
            every, first = max(1, total // points), 0
        steps = list(range(first, total, every))
        bad_from = self.nan_from.get(run_id, total)
        good = [s for s in steps if s < bad_from]
        bad = [s for s in range(first, total) if s >= bad_from][:1000]
        start = run.started_at or 0.0

        def at(step: int) -> float:
            return step if x == "step" else step * 0.17 if x == "relative" else start + step * 0.17

        last = [loss(run, s, name) for s in good]
        return Series(
            run=run_id,
            name=name,
            x=[at(s) for s in good],
            last=list(last),
            min=[v - 0.02 for v in last] if every > 1 else [],
            max=[v + 0.03 for v in last] if every > 1 else [],
            raw=every == 1,
            nonfinite=[at(s) for s in bad],
            nonfinite_kinds=["nan" for _ in bad],
            nonfinite_count=max(0, total - bad_from),
            total=total,
            cursor=str(total),
            reset=since is None,
        )


class Page(web.RequestHandler):
    def initialize(self, door: Door) -> None:
        pass

    def get(self) -> None:
        self.finish(PAGE)


class Routes(web.RequestHandler):
    def initialize(self, door: Door) -> None:
        self.door = door

    def say(self, body: Any, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(body))

    def prepare(self) -> None:
        self.door.asked.append(f"{self.request.method} {self.request.path.removeprefix('/ragent/api/v1/')}")
        if self.door.refusal:
            status, error = self.door.refusal
            if error:
                self.say(ErrorReply(error), status)
            else:
                self.set_status(status)
                self.finish("<html>proxy</html>")

    def get(self, path: str) -> None:
        door, query = self.door, self.get_query_argument
        match path.split("/"):
            case ["status"]:
                self.say(door.status())
            case ["runs"]:
                ordered = sorted(door.runs.values(), key=lambda r: -r.created_at)
                first = int(query("after", "0"))
                limit = int(query("limit", "200"))
                page = ordered[first : first + limit]
                more = str(first + limit) if first + limit < len(ordered) else None
                self.say(RunsReply(runs=page, total=len(ordered), counts=door.counts(), next=more))
            case ["runs", run_id] if run_id in door.runs:
                self.say(door.runs[run_id])
            case ["runs", run_id, "logs"] if run_id in door.runs:
                text = "".join(f"step {s}  val_loss {loss(door.runs[run_id], s):.4f}\n" for s in range(0, 2000, 25))
                offset = int(query("offset", "0"))
                offset = max(0, len(text) + offset) if offset < 0 else offset
                self.say(LogsReply(text=text[offset:], offset=offset, next=len(text), size=len(text)))
            case ["sweeps"]:
                self.say(SweepsReply(sweeps=list(door.sweeps.values())))
            case ["alerts"]:
                self.say(AlertsReply(alerts=list(door.alerts.values()), pending=0))
            case ["metrics", "series"]:
                since = query("since", None)
                cursors = since.split(",") if since else []
                names = self.get_query_arguments("name")
                pairs = [(run, name) for run in query("runs").split(",") for name in names]
                self.say(
                    SeriesReply(
                        x=query("x", "step"),  # type: ignore[arg-type]
                        series=[
                            door.series(
                                run,
                                name,
                                query("x", "step"),
                                int(query("points", "600")),
                                cursors[i] if cursors else None,
                            )
                            for i, (run, name) in enumerate(pairs)
                        ],
                    )
                )
            case _:
                self.say(ErrorReply(ErrorBody("not_found", f"No {path!r} here.", "")), 404)

    def post(self, path: str) -> None:
        door = self.door
        body = json.loads(self.request.body or b"{}")
        door.bodies.append((path, body))
        match path.split("/"):
            case ["runs"]:
                asked = msgspec.convert(body, CreateRun)
                run = make_run(
                    len(door.runs),
                    RunStatus.QUEUED,
                    name=asked.name or "run",
                    command=asked.command,
                    created_at=time.time(),
                )
                door.runs[run.id] = run
                self.say(run, 201)
            case ["runs", run_id, "stop"]:
                door.runs[run_id] = msgspec.structs.replace(door.runs[run_id], status=RunStatus.STOPPING)
                self.say(door.runs[run_id])
            case ["runs", run_id, "retry"]:
                run = make_run(len(door.runs), RunStatus.QUEUED, retry_of=run_id, created_at=time.time())
                door.runs[run.id] = run
                self.say(run, 201)
            case ["alerts", alert_id, "respond"]:
                door.alerts[alert_id] = msgspec.structs.replace(
                    door.alerts[alert_id],
                    status=AlertStatus.RESOLVED,
                    choice=body["choice"],
                    answered_by="user",
                    answered_at=time.time(),
                )
                self.say(door.alerts[alert_id])
            case _:
                self.say(ErrorReply(ErrorBody("not_found", f"No {path!r} here.", "")), 404)


class Socket(WebSocketHandler):
    def initialize(self, door: Door) -> None:
        self.door = door

    def prepare(self) -> None:
        if self.door.refuse_socket or self.door.refusal:
            self.set_status(503)
            self.finish()

    def on_message(self, message: str | bytes) -> None:
        asked = json.loads(message)
        self.door.asked.append(f"WS after={asked['after']}")
        self.door.sockets.add(self)
        data = {"log_id": "log_a", "seq": self.door.seq}
        self.say({"seq": self.door.seq, "time": time.time(), "topic": "engine", "type": "hello", "data": data})
        for envelope in self.door.log:
            if envelope["seq"] > asked["after"]:
                self.say(envelope)

    def on_close(self) -> None:
        self.door.sockets.discard(self)

    def say(self, envelope: dict[str, Any]) -> None:
        async def send() -> None:
            try:
                await self.write_message(json.dumps(envelope))
            except WebSocketClosedError:
                self.door.sockets.discard(self)

        sending = asyncio.ensure_future(send())
        self.door.sending.add(sending)
        sending.add_done_callback(self.door.sending.discard)


def a_day(n: int) -> Door:
    """A believable project of n runs: some live, one failed, a sweep, an alert."""
    if n == 0:
        return Door()
    turns = [
        RunStatus.RUNNING,
        RunStatus.FINISHED,
        RunStatus.FINISHED,
        RunStatus.FAILED,
        RunStatus.FINISHED,
        RunStatus.STOPPED,
    ]
    runs = [make_run(0, RunStatus.RUNNING)]
    for i in range(1, n):
        status = (
            RunStatus.RUNNING if i < 3 else RunStatus.QUEUED if i == 3 else turns[i % 6] if i < 12 else turns[1 + i % 5]
        )
        more: dict[str, Any] = {}
        if i == 2:
            more["name"] = (
                "a-run-with-a-name-that-somebody-made-from-every-flag-lr=0.001-wd=0.05-warmup=2000-cosine-bf16"
            )
        if 6 <= i < 18:
            more |= {"sweep_id": "swp_00000001", "trial": i - 6}
        runs.append(make_run(i, status, **more))
    sweeps = []
    if n > 20:
        trials = [Trial(index=i, params=runs[i + 6].params, run_ids=[runs[i + 6].id]) for i in range(12)]
        sweeps = [
            Sweep(
                id="swp_00000001",
                name="lr × seed",
                command="python train.py",
                cwd="/home/ada/projects/vision",
                created_at=NOW - 3000,
                space=SearchSpace(),
                status=SweepStatus.RUNNING,
                trials=trials,
            )
        ]
    alerts = [make_alert(0, runs[0], Severity.CRITICAL)]
    if n > 5:
        alerts.append(
            make_alert(
                1,
                runs[1],
                Severity.WARNING,
                rule="plateau",
                title="val_loss has not improved for 400 steps",
                text="It was 0.212 at step 1,600 and is 0.214 now.",
                evidence=Evidence(
                    metric="val_loss",
                    step=2000,
                    value=0.214,
                    baseline=0.212,
                    window=[(float(s), loss(runs[1], s)) for s in range(1500, 2000, 20)],
                ),
            )
        )
        alerts.append(
            make_alert(
                2,
                runs[4],
                Severity.WARNING,
                status=AlertStatus.RESOLVED,
                choice="stop",
                answered_by="user",
                answered_at=NOW,
            )
        )
    door = Door(runs, alerts, sweeps)
    door.nan_from = {runs[0].id: 1700}
    return door
