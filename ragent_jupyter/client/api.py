"""The wire as typed calls."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import msgspec

from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.errors import BadInput, NotFound, RagentError, Unreachable
from ragent_jupyter.domain.events import Envelope
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.domain.wire import (
    AlertsReply,
    CreateReport,
    CreateRun,
    CreateSweep,
    DoctorReply,
    ExecutorsReply,
    LogsReply,
    MetricNames,
    PatchRun,
    Prefs,
    ReportReply,
    Respond,
    RetryRun,
    RunsReply,
    SeriesReply,
    StatusReply,
    StopRun,
    SweepsReply,
)
from ragent_jupyter.runfiles.project import find_project, socket_path

from . import transport
from .chat import ChatCalls
from .start import ensure_engine
from .transport import AnswerLost, NobodyListens, StreamQuiet
from .wild import WildCalls

T = TypeVar("T")
_REPORT_TIMEOUT_S = 180.0  # a report may run a notebook


_DECODING = threading.Lock()


class Client(ChatCalls, WildCalls):
    """One project's engine. `project`: a folder inside it (default: the current one); `start`: begin an engine if
    nobody answers; `door`: who asks ("terminal" only where a person sits at one: it may answer approvals). Nothing is
    connected before the first call.

    Every call may raise the engine's refusal as the RagentError it is, or Unreachable.
    """

    def __init__(
        self,
        project: str | os.PathLike[str] | None = None,
        *,
        start: bool = True,
        door: Literal["terminal", "kernel", "script"] = "script",
    ) -> None:
        self.project: Path = find_project(project)
        self.start = start
        self.door = door
        self._socket: str | None = None

    # --- plain calls -------------------------------------------------------------------------------------------
    @overload
    def get(self, path: str, *, type: type[T], query: dict[str, Any] | None = None) -> T: ...
    @overload
    def get(self, path: str, *, query: dict[str, Any] | None = None) -> Any: ...
    def get(self, path: str, *, type: Any = Any, query: dict[str, Any] | None = None) -> Any:
        """GET api/v1/`path`, decoded (as `type` if given)."""
        return self._call("GET", path, None, type, query, again=True)

    @overload
    def post(self, path: str, body: Any = None, *, type: type[T], timeout: float = ...) -> T: ...
    @overload
    def post(self, path: str, body: Any = None, *, timeout: float = ...) -> Any: ...
    def post(
        self, path: str, body: Any = None, *, type: Any = Any, timeout: float = transport.REQUEST_TIMEOUT_S
    ) -> Any:
        """POST. Repeated after a broken connection only if the body carries a request id, which makes that harmless."""
        again = getattr(body, "request_id", None) is not None
        return self._call("POST", path, body, type, None, again=again, timeout=timeout)

    @overload
    def put(self, path: str, body: Any, *, type: type[T]) -> T: ...
    @overload
    def put(self, path: str, body: Any) -> Any: ...
    def put(self, path: str, body: Any, *, type: Any = Any) -> Any:
        return self._call("PUT", path, body, type, None, again=True)

    @overload
    def patch(self, path: str, body: Any, *, type: type[T]) -> T: ...
    @overload
    def patch(self, path: str, body: Any) -> Any: ...
    def patch(self, path: str, body: Any, *, type: Any = Any) -> Any:
        return self._call("PATCH", path, body, type, None, again=False)

    def delete(self, path: str, *, type: Any = Any) -> Any:
        return self._call("DELETE", path, None, type, None, again=False)

    # --- runs --------------------------------------------------------------------------------------------------
    def runs(
        self,
        *,
        status: str | Sequence[str] | None = None,
        sweep: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        q: str | None = None,
        archived: bool | None = None,
    ) -> RunsReply:
        query = {"status": status, "sweep": sweep, "limit": limit, "after": after, "q": q, "archived": archived}
        return self.get("runs", type=RunsReply, query=query)

    def all_runs(self, *, sweep: str | None = None, status: str | None = None) -> list[Run]:
        """Every page of `runs`."""
        found: list[Run] = []
        after: str | None = None
        while True:
            page = self.runs(sweep=sweep, status=status, limit=500, after=after)
            found += page.runs
            after = page.next
            if after is None or not page.runs:
                return found

    def run(self, run_id: str) -> Run:
        return self.get(f"runs/{run_id}", type=Run)

    def find_run(self, ref: str) -> Run:
        """The run that a person means: its id, the beginning of one (with or without `run_`), its name or alias.

        Raises NotFound for none, BadInput (with the candidates) for several.
        """
        ref = ref.strip()
        if not ref:
            raise BadInput("No run was named.", "Give a run's id, the beginning of one, its name or alias.")
        if ref.startswith("run_") and "/" not in ref:
            try:
                return self.run(ref)
            except NotFound:
                pass
        page = self.runs(q=ref, limit=500, archived=None)
        exact = [run for run in page.runs if ref in (run.id, run.name, run.alias)]
        prefix = [run for run in page.runs if run.id.startswith(ref) or run.id.startswith("run_" + ref)]
        return _only(exact or prefix, ref, "run", "ragent runs")

    def create_run(self, body: CreateRun) -> Run:
        return self.post("runs", _with_request_id(body), type=Run)

    def start_run(self, run_id: str) -> Run:
        return self.post(f"runs/{run_id}/start", type=Run)

    def stop(self, run_id: str, *, now: bool = False) -> Run:
        return self.post(f"runs/{run_id}/stop", StopRun(now=now), type=Run)

    def retry(self, run_id: str, set: dict[str, Any] | None = None) -> Run:
        return self.post(f"runs/{run_id}/retry", _with_request_id(RetryRun(set=set or {})), type=Run)

    def patch_run(self, run_id: str, body: PatchRun) -> Run:
        fields = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not None}
        return self.patch(f"runs/{run_id}", fields, type=Run)

    def finish(self, run_id: str) -> Run:
        return self.post(f"runs/{run_id}/finish", type=Run)

    # --- logs, metrics -----------------------------------------------------------------------------------------
    def logs(self, run_id: str, *, offset: int | None = None, limit: int | None = None) -> LogsReply:
        return self.get(f"runs/{run_id}/logs", type=LogsReply, query={"offset": offset, "limit": limit})

    def follow_logs(self, run_id: str, *, offset: int = 0) -> Iterator[LogsReply]:
        """The log from `offset` (bytes) on, as it grows, until the run has ended. Survives a restart of the engine."""
        decoder = msgspec.json.Decoder(LogsReply)
        query: dict[str, Any] = {"offset": offset, "follow": 1}
        for line in self._stream(f"runs/{run_id}/logs", query):
            reply = decoder.decode(line)
            query["offset"] = reply.next
            yield reply

    def metric_names(self, run_id: str) -> list[str]:
        return self.get(f"runs/{run_id}/metrics", type=MetricNames).names

    def series(
        self,
        runs: Sequence[str],
        names: Sequence[str],
        *,
        x: Literal["step", "time", "relative"] = "step",
        points: int = 1000,
        from_: float | None = None,
        to: float | None = None,
        since: Sequence[str] | None = None,
    ) -> SeriesReply:
        """Curves of `runs` x `names`, cut to `points` buckets each (0: every point)."""
        query = {
            "runs": list(runs),
            "name": tuple(names),  # repeated, as a metric's name may hold a comma
            "x": x,
            "points": points,
            "from": from_,
            "to": to,
            "since": since,
        }
        return self.get("metrics/series", type=SeriesReply, query=query)

    # --- sweeps, alerts, reports -------------------------------------------------------------------------------
    def sweeps(self) -> list[Sweep]:
        return self.get("sweeps", type=SweepsReply).sweeps

    def sweep(self, sweep_id: str) -> Sweep:
        return self.get(f"sweeps/{sweep_id}", type=Sweep)

    def find_sweep(self, ref: str) -> Sweep:
        """The sweep that a person means: its id, the beginning of one, or its name. Raises NotFound, BadInput."""
        ref = ref.strip()
        if not ref:
            raise BadInput("No sweep was named.", "Give a sweep's id, the beginning of one, or its name.")
        sweeps = self.sweeps()
        exact = [sweep for sweep in sweeps if ref in (sweep.id, sweep.name)]
        prefix = [sweep for sweep in sweeps if sweep.id.startswith(ref) or sweep.id.startswith("swp_" + ref)]
        return _only(exact or prefix, ref, "sweep", "ragent status")

    def create_sweep(self, body: CreateSweep) -> Sweep:
        return self.post("sweeps", _with_request_id(body), type=Sweep)

    def start_sweep(self, sweep_id: str) -> Sweep:
        return self.post(f"sweeps/{sweep_id}/start", type=Sweep)

    def stop_sweep(self, sweep_id: str, *, now: bool = False) -> Sweep:
        return self.post(f"sweeps/{sweep_id}/stop", StopRun(now=now), type=Sweep)

    def alerts(self, *, status: str | None = None, run: str | None = None, severity: str | None = None) -> AlertsReply:
        return self.get("alerts", type=AlertsReply, query={"status": status, "run": run, "severity": severity})

    def find_alert(self, ref: str) -> Alert:
        """The alert with this id or the beginning of one. Raises NotFound, BadInput."""
        ref = ref.strip()
        if not ref:
            raise BadInput("No alert was named.", "Give an alert's id or the beginning of one.")
        alerts = [a for a in self.alerts().alerts if a.id.startswith(ref) or a.id.startswith("alt_" + ref)]
        return _only([a for a in alerts if a.id == ref] or alerts, ref, "alert", "ragent alerts --all")

    def respond(self, alert_id: str, choice: str, *, by: str = "user") -> Alert:
        return self.post(f"alerts/{alert_id}/respond", Respond(choice=choice, by=by), type=Alert)

    def create_report(self, body: CreateReport) -> ReportReply:
        return self.post("reports", body, type=ReportReply, timeout=_REPORT_TIMEOUT_S)

    # --- the engine itself -------------------------------------------------------------------------------------
    def status(self) -> StatusReply:
        return self.get("status", type=StatusReply)

    def doctor(self) -> DoctorReply:
        return self.get("doctor", type=DoctorReply)

    def executors(self) -> ExecutorsReply:
        return self.get("executors", type=ExecutorsReply)

    def prefs(self) -> dict[str, Any]:
        return self.get("prefs", type=Prefs).prefs

    def events(self, *, after: int | None = None, topics: Sequence[str] = ()) -> Iterator[Envelope]:
        """What happens from `after` on (default: from now), for ever; goes on by itself after a restart of the engine.

        Pings come along (topic "engine" or none, type "ping"): a caller that counts time gets a turn every 15 s.
        """
        decoder = msgspec.json.Decoder(Envelope)
        query: dict[str, Any] = {"after": self.status().seq if after is None else after}
        query["topics"] = list(topics) or None
        for line in self._stream("events", query, endless=True):
            event = decoder.decode(line)
            query["after"] = max(query["after"], event.seq)
            yield event

    # --- how a call is made ------------------------------------------------------------------------------------
    def _path(self) -> str:
        if self._socket is None:
            ensure_engine(self.project, start=self.start)
            self._socket = socket_path(self.project)
        return self._socket

    def _call(
        self,
        method: str,
        path: str,
        body: Any,
        type: Any,
        query: dict[str, Any] | None,
        *,
        again: bool,
        timeout: float = transport.REQUEST_TIMEOUT_S,
    ) -> Any:
        reply = self._request(method, path, body, query, again=again, timeout=timeout)
        if not reply.strip():
            return None
        try:
            # One at a time: what msgspec prepares at a type's first use is not safe in several threads at once.
            with _DECODING:
                return msgspec.json.decode(reply, type=type)
        except msgspec.DecodeError as error:
            raise RagentError(
                f"The engine's answer to {method} {path} was not understood: {error}.",
                "Engine and command line may be of different versions: `ragent serve --stop`, then repeat.",
            ) from error

    def _text(self, path: str, query: dict[str, Any] | None = None) -> str:
        """A reply that is no JSON."""
        return self._request("GET", path, None, query, again=True).decode()

    def _request(
        self,
        method: str,
        path: str,
        body: Any,
        query: dict[str, Any] | None,
        *,
        again: bool,
        timeout: float = transport.REQUEST_TIMEOUT_S,
    ) -> bytes:
        known = self._socket is not None
        headers = {"X-Ragent-Door": self.door}
        try:
            return transport.request(self._path(), method, path, body, query=query, timeout=timeout, headers=headers)
        except Unreachable as error:
            # The engine may have gone since our last call (idle, restarted): once more, by way of a new handshake.
            if not (isinstance(error, NobodyListens) and known) and not (isinstance(error, AnswerLost) and again):
                raise
            self._socket = None
            return transport.request(self._path(), method, path, body, query=query, timeout=timeout, headers=headers)

    def _stream(self, path: str, query: dict[str, Any], *, endless: bool = False) -> Iterator[bytes]:
        """Lines of a stream. The caller keeps `query` up to date with where it stands: whenever the stream breaks off,
        it is reopened from there. endless: an end in good order is only the engine making way for the next one.
        """
        barren = 0
        while True:
            try:
                for line in transport.stream(self._path(), path, query=query, headers={"X-Ragent-Door": self.door}):
                    barren = 0
                    yield line
                if not endless:
                    return
                barren += 1
            except StreamQuiet:
                pass  # a log that says nothing; the handshake below tells whether the engine is still there
            except (AnswerLost, NobodyListens):
                barren += 1
                if barren > 3:
                    raise
            if barren > 3:
                raise Unreachable(f"The engine ends its stream of {path} at once.", "See .ragent/engine.log.")
            self._socket = None
            threading.Event().wait(0.05 * barren)


def _with_request_id(body: T) -> T:
    """The body with a request id, so that sending it again creates nothing twice."""
    if getattr(body, "request_id", None) is None:
        return msgspec.structs.replace(body, request_id=os.urandom(8).hex())  # type: ignore[type-var]
    return body


def _only(found: Sequence[T], ref: str, what: str, listing: str) -> T:
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"No {what} {ref!r} in this project.", f"`{listing}` lists what there is.")
    ids = ", ".join(str(getattr(one, "id", one)) for one in found[:5]) + (", …" if len(found) > 5 else "")
    raise BadInput(f"{ref!r} may mean {len(found)} {what}s: {ids}.", "Give more of the id.")
