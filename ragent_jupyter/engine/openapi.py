"""The OpenAPI description, made from the routes and the wire's structs: one source, and a test against the handlers."""

from __future__ import annotations

from typing import Any

import msgspec

from ragent_jupyter._version import __version__
from ragent_jupyter.domain import wire
from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.report import ReportData
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wild_report import Reproduction
from ragent_jupyter.domain.wire_wild import Reproduce

from . import gateway_routes, notebook_handlers, wild_handlers
from .base import EngineHandler
from .openapi_chat import CHAT_ROWS

Row = tuple[str, str, str, Any, int, Any]  # method, path, summary, body, status, reply

ROWS: list[Row] = [
    ("get", "runs", "Runs, newest first, paged.", None, 200, wire.RunsReply),
    ("post", "runs", "Create a run; queued unless start is false.", wire.CreateRun, 201, Run),
    ("get", "runs/{run}", "One run.", None, 200, Run),
    ("patch", "runs/{run}", "How a person sees it; its place in the queue.", wire.PatchRun, 200, Run),
    ("post", "runs/{run}/start", "Queue a run that is ready.", None, 200, Run),
    ("post", "runs/{run}/stop", "Stop it: INT, TERM, KILL with grace; now skips the grace.", wire.StopRun, 200, Run),
    ("post", "runs/{run}/retry", "A new run of the same command, parameters changed.", wire.RetryRun, 201, Run),
    ("post", "runs/{run}/archive", "Put it out of sight.", None, 200, Run),
    ("post", "runs/{run}/finish", "An interactive run is over.", None, 200, Run),
    ("get", "runs/{run}/logs", "A piece of its log; follow=1 streams NDJSON.", None, 200, wire.LogsReply),
    ("get", "runs/{run}/metrics", "Names of its metrics.", None, 200, wire.MetricNames),
    ("get", "runs/{run}/files", "Files in its folder, and how to attach.", None, 200, dict[str, Any]),
    ("get", "sweeps", "Sweeps, newest first.", None, 200, wire.SweepsReply),
    ("post", "sweeps", "Create a sweep.", wire.CreateSweep, 201, Sweep),
    ("get", "sweeps/{sweep}", "One sweep.", None, 200, Sweep),
    ("post", "sweeps/{sweep}/start", "Start it.", None, 200, Sweep),
    ("post", "sweeps/{sweep}/stop", "Stop it and its live trials.", wire.StopRun, 200, Sweep),
    ("get", "alerts", "Alerts, pending first.", None, 200, wire.AlertsReply),
    ("get", "alerts/{alert}", "One alert.", None, 200, Alert),
    ("post", "alerts/{alert}/respond", "Answer it with one of its choices.", wire.Respond, 200, Alert),
    ("get", "metrics/series", "Series cut to points, columnar.", None, 200, wire.SeriesReply),
    ("get", "executors", "Where runs can execute, and the GPUs.", None, 200, wire.ExecutorsReply),
    ("get", "interpreters", "Pythons found on this machine.", None, 200, dict[str, Any]),
    ("get", "status", "The one line on top.", None, 200, wire.StatusReply),
    ("get", "doctor", "What is well and what is not.", None, 200, wire.DoctorReply),
    ("get", "prefs", "Preferences.", None, 200, wire.Prefs),
    ("put", "prefs", "Merge preferences; null removes one.", dict[str, Any], 200, wire.Prefs),
    ("get", "reports", "Reports, newest first.", None, 200, dict[str, Any]),
    ("post", "reports", "Write a report of a sweep or of runs.", wire.CreateReport, 201, wire.ReportReply),
    ("get", "reports/data", "What a report of ?sweep=, ?runs= or ?loop= is computed from.", None, 200, ReportData),
    ("post", "reports/reproduce", "Run a report's claim again.", Reproduce, 202, Reproduction),
    ("get", "reproductions/{reproduction}", "A claim beside what came out again.", None, 200, Reproduction),
    ("get", "reports/{report}", "One report.", None, 200, wire.ReportReply),
    ("get", "events", "Long poll (wait=), or an endless NDJSON stream by Accept.", None, 200, dict[str, Any]),
    ("get", "events/ws", "The same as a WebSocket.", None, 101, None),
    ("post", "drain", "Finish what is under way and exit; runs live on.", None, 200, dict[str, Any]),
    ("get", "openapi.json", "This description.", None, 200, dict[str, Any]),
    *CHAT_ROWS,
    *notebook_handlers.ROWS,
    *gateway_routes.ROWS,
    *wild_handlers.ROWS,
]


def describe() -> dict[str, Any]:
    types = [t for row in ROWS for t in (row[3], row[5]) if t is not None and t != dict[str, Any]]
    types = list(dict.fromkeys([*types, wire.ErrorReply]))
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    by_type[dict[str, Any]] = {"type": "object"}
    error = {"content": {"application/json": {"schema": by_type[wire.ErrorReply]}}, "description": "problem, remedy"}
    paths: dict[str, Any] = {}
    for method, path, summary, body, status, reply in ROWS:
        operation: dict[str, Any] = {"summary": summary, "responses": {str(status): {"description": summary}}}
        if reply is not None:
            content = {"application/json": {"schema": by_type[reply]}}
            operation["responses"][str(status)]["content"] = content
        operation["responses"]["default"] = error
        if body is not None:
            operation["requestBody"] = {"content": {"application/json": {"schema": by_type[body]}}}
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        operation["parameters"] = [
            {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names
        ]
        paths.setdefault(f"/ragent/api/v1/{path}", {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "ragent", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }


class OpenApi(EngineHandler):
    def get(self) -> None:
        self.reply(200, describe())
