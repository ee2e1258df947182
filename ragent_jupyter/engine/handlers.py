"""One handler a resource: decode, call one desk, reply."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.wire import (
    CreateReport,
    CreateRun,
    CreateSweep,
    DoctorReply,
    ExecutorInfo,
    ExecutorsReply,
    MetricNames,
    PatchRun,
    Prefs,
    Respond,
    RetryRun,
    SeriesReply,
    StopRun,
    SweepsReply,
)
from ragent_jupyter.services.logs import read_log

from .base import EngineHandler


class Runs(EngineHandler):
    def get(self) -> None:
        reply = self.engine.runs.page(
            status=self.set_arg("status"),
            sweep=self.arg("sweep"),
            query=self.arg("q") or "",
            archived=self.flag("archived"),
            after=self.arg("after"),
            limit=min(self.int_arg("limit", 200), 10_000),
        )
        self.reply(200, reply)

    async def post(self) -> None:
        run = await self.engine.runs.create(self.body(CreateRun))
        self.reply(201, self.engine.runs.shown(run))


class OneRun(EngineHandler):
    def get(self, run_id: str) -> None:
        self.reply(200, self.engine.runs.shown(self.engine.runs.get(run_id)))

    async def patch(self, run_id: str) -> None:
        run = await self.engine.runs.patch(run_id, self.body(PatchRun))
        self.reply(200, self.engine.runs.shown(run))


class RunVerb(EngineHandler):
    async def post(self, run_id: str, verb: str) -> None:
        runs = self.engine.runs
        status = 200
        match verb:
            case "start":
                run = await runs.start(run_id)
            case "stop":
                run = await runs.stop(run_id, now=self.body(StopRun).now)
            case "finish":
                run = await runs.finish(run_id)
            case "archive":
                run = await runs.patch(run_id, PatchRun(archived=True))
            case _:
                wish = self.body(RetryRun)
                run = await runs.retry(run_id, wish.set, wish.request_id)
                await self.engine.sweeps.adopt(run)
                status = 201
        self.reply(status, runs.shown(run))


class RunLogs(EngineHandler):
    async def get(self, run_id: str) -> None:
        run = self.engine.runs.get(run_id)
        path = self.engine.runs.folder(run_id) / "job.log"
        offset, limit = self.int_arg("offset", -65536), self.int_arg("limit", 65536)
        loop = asyncio.get_running_loop()
        piece = await loop.run_in_executor(None, read_log, path, offset, limit)
        if not self.flag("follow"):
            self.reply(200, piece)
            return
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("X-Accel-Buffering", "no")
        while True:
            if piece.text or piece.offset == 0:
                self.write(msgspec.json.encode(piece) + b"\n")
                await self.flush()
            run = self.engine.runs.get(run_id)
            more = piece.next < piece.size
            if not more and run.status.terminal:
                return
            if not more:
                await asyncio.sleep(0.1)
            self.engine.touch()
            piece = await loop.run_in_executor(None, read_log, path, piece.next, 1 << 18)

    def on_connection_close(self) -> None:
        task = getattr(self, "_task", None)
        if task is not None:
            task.cancel()


class RunMetrics(EngineHandler):
    async def get(self, run_id: str) -> None:
        self.engine.runs.get(run_id)
        folder = str(self.engine.runs.folder(run_id))
        names = await asyncio.get_running_loop().run_in_executor(self.engine.readers, self.engine.metrics.names, folder)
        self.reply(200, MetricNames(run=run_id, names=names))


class RunFiles(EngineHandler):
    def get(self, run_id: str) -> None:
        self.engine.runs.get(run_id)
        folder = self.engine.runs.folder(run_id)
        files = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name != "env.json" and path.is_file():
                about = path.stat()
                files.append({"name": path.name, "size": about.st_size, "modified": about.st_mtime})
        attach = None
        run = self.engine.runs.get(run_id)
        if run.status.live and run.executor in self.engine.executors:
            attach = self.engine.executors[run.executor].attach_command(run_id)
        self.reply(200, {"run": run_id, "folder": str(folder), "files": files, "attach": attach})


class Sweeps(EngineHandler):
    def get(self) -> None:
        sweeps = self.engine.sweeps
        self.reply(200, SweepsReply(sweeps=[sweeps.shown(s) for s in sweeps.newest(archived=self.flag("archived"))]))

    async def post(self) -> None:
        sweep = await self.engine.sweeps.create(self.body(CreateSweep))
        self.reply(201, self.engine.sweeps.shown(sweep))


class OneSweep(EngineHandler):
    def get(self, sweep_id: str) -> None:
        self.reply(200, self.engine.sweeps.shown(self.engine.sweeps.get(sweep_id)))


class SweepVerb(EngineHandler):
    async def post(self, sweep_id: str, verb: str) -> None:
        sweeps = self.engine.sweeps
        if verb == "start":
            sweep = await sweeps.start(sweep_id)
        else:
            sweep = await sweeps.stop(sweep_id, now=self.body(StopRun).now)
        self.reply(200, sweeps.shown(sweep))


class Alerts(EngineHandler):
    def get(self) -> None:
        reply = self.engine.alerts.page(
            status=self.set_arg("status"), run=self.arg("run"), severity=self.set_arg("severity")
        )
        self.reply(200, reply)


class OneAlert(EngineHandler):
    def get(self, alert_id: str) -> None:
        self.reply(200, self.engine.alerts.get(alert_id))


class AlertRespond(EngineHandler):
    async def post(self, alert_id: str) -> None:
        answer = self.body(Respond)
        self.reply(200, await self.engine.alerts.respond(alert_id, answer.choice, answer.by))


class MetricSeries(EngineHandler):
    async def get(self) -> None:
        runs = [r for r in (self.arg("runs") or "").split(",") if r]
        # ?name= may be repeated and is taken as it stands: a metric's name may hold a comma.
        names = [n for n in (self.arg("names") or "").split(",") if n] + self.get_query_arguments("name", strip=False)
        if not runs or not names:
            raise BadInput("Name the runs and the metrics.", "Send ?runs=run_…,run_…&names=loss,val_loss.")
        x = self.arg("x") or "step"
        if x not in ("step", "time", "relative"):
            raise BadInput(f"x={x!r} is not an axis.", "Choose step, time or relative.")
        points = self.int_arg("points", 1000)
        since = (self.arg("since") or "").split(",") if self.arg("since") else []
        folders = [(r, str(self.engine.runs.folder(self.engine.runs.get(r).id))) for r in runs]
        from_, to = self.float_arg("from"), self.float_arg("to")

        def read() -> bytes:
            series = []
            pairs = [(run, folder, name) for run, folder in folders for name in names]
            for i, (run, folder, name) in enumerate(pairs):
                cursor = since[i] if i < len(since) and since[i] else None
                one = self.engine.metrics.series(
                    folder, run, name, x=x, points=points, from_=from_, to=to, since=cursor
                )
                if one is not None:
                    series.append(one)
            return msgspec.json.encode(SeriesReply(x=x, series=series))  # type: ignore[arg-type]

        self.reply(200, await asyncio.get_running_loop().run_in_executor(self.engine.readers, read))


class Executors(EngineHandler):
    async def get(self) -> None:
        engine = self.engine

        def look() -> ExecutorsReply:
            default = engine.runs.executor_for(None)
            infos = []
            for name, executor in engine.executors.items():
                ok, detail = executor.available()
                infos.append(ExecutorInfo(name=name, available=ok, detail=detail, default=name == default))
            gpus = list(engine.scheduler.gpus.list())
            return ExecutorsReply(executors=infos, gpus=gpus, parallel=engine.scheduler.parallel)

        self.reply(200, await asyncio.get_running_loop().run_in_executor(None, look))


class Interpreters(EngineHandler):
    async def get(self) -> None:
        found = await asyncio.get_running_loop().run_in_executor(None, self.engine.interpreters.present)
        self.reply(200, {"interpreters": found})


class Status(EngineHandler):
    def get(self) -> None:
        self.reply(200, self.engine.status.status())


class Doctor(EngineHandler):
    async def get(self) -> None:
        checks = await asyncio.get_running_loop().run_in_executor(None, self.engine.status.doctor)
        self.reply(200, DoctorReply(checks=[*checks, self.engine.mind.judge.check()]))


class PrefsHandler(EngineHandler):
    def get(self) -> None:
        self.reply(200, Prefs(prefs=self.engine.shell.prefs))

    async def put(self) -> None:
        wanted = self.body(dict[str, Any])
        prefs = await self.engine.set_prefs(wanted)
        self.reply(200, Prefs(prefs=prefs))


class Reports(EngineHandler):
    def get(self) -> None:
        found = sorted(self.engine.shell.reports.values(), key=lambda r: -float(r["created_at"]))
        self.reply(200, {"reports": found})

    async def post(self) -> None:
        self.reply(201, await self.engine.reports.create(self.body(CreateReport)))


class ReportDataOf(EngineHandler):
    async def get(self) -> None:
        """What a report is computed from, now: a report's own cells ask for it."""
        loop = self.arg("loop")
        if loop:
            self.reply(200, await self.engine.wild.reports.data(loop))
            return
        runs = [r for r in (self.arg("runs") or "").split(",") if r]
        self.reply(200, await self.engine.reports.data(self.arg("sweep"), runs, self.arg("title")))


class OneReport(EngineHandler):
    def get(self, report_id: str) -> None:
        report = self.engine.shell.reports.get(report_id)
        if report is None:
            raise NotFound(f"No report {report_id!r} in this project.", "List them with GET reports.")
        self.reply(200, report)


class Drain(EngineHandler):
    def post(self) -> None:
        """Finish what is under way and exit; runs live on. A newer door asks for this before it starts its own."""
        self.reply(200, {"draining": True, "pid": self.engine.pid})
        self.engine.drain("a door asked for it")
