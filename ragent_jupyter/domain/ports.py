"""Protocols that the hands fulfil. Each has one contract suite under tests/contracts, which its fake passes too."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from .effects import Owed
from .events import Record, StoredRecord
from .metrics import Series


class LaunchSpec(Struct, frozen=True, kw_only=True):
    """What an executor needs to start a run; everything else stands in the run's folder (spec.json)."""

    run_id: str
    run_dir: str
    name: str
    wrapper: list[str]  # argv of the wrapper; knows the run's folder
    cwd: str


class Sighting(Struct, frozen=True, kw_only=True):
    """What an executor knows of a run it was once given. Never a verdict: exit.json is."""

    run_id: str
    handle: str | None
    state: str  # "unknown" (never seen), "pending", "alive", "gone"
    pid: int | None = None
    detail: str = ""


class Executor(Protocol):
    """Where runs execute. All calls may block (they are made off the event loop) and are safe to repeat."""

    name: str

    def available(self) -> tuple[bool, str]:
        """(usable now, a sentence why not or what it is)."""

    def submit(self, spec: LaunchSpec) -> str:
        """Start the wrapper; returns a handle. Repeating it for a run_id that it has starts nothing new."""

    def look(self, run_ids: Sequence[str]) -> dict[str, Sighting]:
        """One look for all of them."""

    def attach_command(self, run_id: str) -> str | None:
        """What a person types to see the run live."""

    def forget(self, run_id: str) -> None:
        """Remove what is left of an ended run (its window)."""


class RowPut(Struct, frozen=True, kw_only=True):
    """Insert or replace one object. kind: "run", "sweep", "alert", "session", "part" …  index: searchable columns."""

    kind: str
    id: str
    data: bytes  # JSON
    parent: str | None = None  # a run's sweep, an alert's run, a part's session
    status: str = ""
    sort: float = 0.0  # creation time


class Tx(Struct, frozen=True, kw_only=True):
    """All or none, in one durable commit. Pure data, so that many can share one fsync."""

    records: list[Record] = []
    puts: list[RowPut] = []
    gone: list[tuple[str, str]] = []  # (kind, id) of objects to forget
    owed: list[Owed] = []
    settled: list[str] = []  # keys of outbox rows that are done
    offsets: dict[str, int] = {}  # "run_…/facts.jsonl" -> bytes applied


class Store(Protocol):
    """The engine's one database."""

    log_id: str

    def commit(self, tx: Tx) -> Awaitable[list[int]]:
        """Durable (fsynced) when it resolves; gives the records' seqs. Raises StoreFailed if the disk refused."""

    def newest_seq(self) -> int: ...
    def oldest_seq(self) -> int: ...
    def read_log(
        self, after: int, topics: Sequence[str] | None, limit: int, stream: str | None = None
    ) -> list[StoredRecord]: ...
    def load(self, kind: str, ids: Sequence[str] | None = None, parent: str | None = None) -> list[bytes]:
        """The newest JSON of all objects of a kind, or of those with these ids or of this parent, oldest first."""

    def owed(self) -> list[Owed]: ...
    def offsets(self) -> dict[str, int]: ...
    def prune(self, keep_s: float, keep_rows: int) -> int: ...
    def close(self) -> None: ...


class MetricReader(Protocol):
    """Reads the columns of run folders. Stateless for callers; caches inside."""

    def names(self, run_dir: str) -> list[str]: ...
    def series(
        self,
        run_dir: str,
        run: str,
        name: str,
        *,
        x: str,
        points: int,
        from_: float | None,
        to: float | None,
        since: str | None,
    ) -> Series | None:
        """None: this run has no such metric ("no data"). points=0: every point, raw."""

    def totals(self, run_dir: str) -> dict[str, Any]: ...


class Gpus(Protocol):
    def list(self) -> list[dict[str, Any]]:
        """[{"index", "name", "memory_total", "memory_used", "util", "processes": [{"pid", "memory"}]}], or []."""
