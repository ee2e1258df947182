"""A tiny stand-in for the engine: speaks the wire's HTTP on the project's Unix socket and answers from a table.

It shares no code with the engine, so a test of a door that passes here says what that door sends and understands;
tests/e2e_cli runs the same doors against the real one.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from ragent_jupyter._version import __version__
from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.errors import NotFound, RagentError
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wire import AlertsReply, RunsReply, StatusReply, SweepsReply
from ragent_jupyter.runfiles.project import socket_path

Answer = Callable[[dict[str, str], Any], Any]


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some tests do; anything else is a fault of the test."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ValueError)):
            super().handle_error(request, client_address)


class FakeEngine:
    """`runs`, `sweeps` and `alerts` answer the listing routes; `on[(method, path)]` any other, or instead.

    An answer is an object (200), a (status, object) pair, a RagentError, or an iterator of objects: an NDJSON stream.
    `asked` remembers every request as (method, path, query, body), `doors` who asked.
    """

    def __init__(self, project: Path, version: str = __version__) -> None:
        self.project = project
        self.version = version
        self.runs: list[Run] = []
        self.sweeps: list[Sweep] = []
        self.alerts: list[Alert] = []
        self.on: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.doors: list[str | None] = []
        self.draining = False
        (project / ".ragent").mkdir(exist_ok=True)
        self._server: _Server | None = None
        self.listen()

    def listen(self) -> None:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None: ...
            def address_string(self) -> str:
                return "door"

            def do_GET(self) -> None:
                engine._serve(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        path = socket_path(self.project)
        Path(path).unlink(missing_ok=True)
        self._server = _Server(path, Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            Path(socket_path(self.project)).unlink(missing_ok=True)
            self._server = None

    def bodies(self, method: str, path: str) -> list[Any]:
        return [body for m, p, _, body in self.asked if (m, p) == (method, path)]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        split = urlsplit(handler.path)
        path = unquote(split.path).removeprefix("/ragent/api/v1/")
        query = {name: values[-1] for name, values in parse_qs(split.query).items()}
        length = int(handler.headers.get("Content-Length") or 0)
        raw = handler.rfile.read(length)
        body = json.loads(raw) if raw else None
        self.asked.append((handler.command, path, query, body))
        self.doors.append(handler.headers.get("X-Ragent-Door"))
        try:
            answer = self._answer(handler.command, path, query, body)
        except RagentError as error:
            answer = error
        if isinstance(answer, Iterator):
            self._stream(handler, answer)
            return
        status = 200
        if isinstance(answer, tuple):
            status, answer = answer
        if isinstance(answer, RagentError):
            status = answer.status
            answer = {"error": {"type": answer.type, "problem": answer.problem, "remedy": answer.remedy}}
        if answer is ConnectionResetError:  # an engine that dies at this moment
            handler.connection.close()
            handler.close_connection = True
            return
        payload = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(payload)))
        handler.end_headers()
        handler.wfile.write(payload)

    def _stream(self, handler: BaseHTTPRequestHandler, lines: Iterator[Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for line in lines:
            if line is ConnectionResetError:
                handler.connection.close()
                handler.close_connection = True
                return
            data = msgspec.json.encode(line) + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        if (method, path) in self.on:
            return self.on[method, path](query, body)
        if (method, path) == ("GET", "status"):
            counts: dict[str, int] = {}
            for run in self.runs:
                counts[run.status.value] = counts.get(run.status.value, 0) + 1
            return StatusReply(
                project=str(self.project),
                version=self.version,
                log_id="log",
                seq=7,
                pid=1,
                started_at=0.0,
                counts=counts,
                live=sum(run.status.live for run in self.runs),
                queued=counts.get("queued", 0),
                alerts=sum(alert.status.value == "pending" for alert in self.alerts),
                draining=self.draining,
            )
        if (method, path) == ("GET", "runs"):
            q = query.get("q", "")
            shown = [r for r in self.runs if q in r.id or q in r.name or q in r.alias]
            if "sweep" in query:
                shown = [r for r in shown if r.sweep_id == query["sweep"]]
            if "status" in query:
                shown = [r for r in shown if r.status.value in query["status"].split(",")]
            return RunsReply(runs=shown[: int(query.get("limit", 100))], total=len(shown), counts={})
        if (method, path) == ("GET", "sweeps"):
            return SweepsReply(sweeps=self.sweeps)
        if (method, path) == ("GET", "alerts"):
            shown_alerts = [a for a in self.alerts if query.get("status", a.status.value) == a.status.value]
            return AlertsReply(alerts=shown_alerts, pending=sum(a.status.value == "pending" for a in self.alerts))
        if method == "GET":
            for one in (*self.runs, *self.sweeps, *self.alerts):
                if path == f"{path.split('/')[0]}/{one.id}":
                    return one
        return NotFound(f"No {path!r} here.", "Look at the list.")
