"""Everything that one sidecar knows and writes: columns, facts.jsonl, watch.json, live.json.

Exactly once, whatever kills it between two lines. Per tick: rows to the rules; rows appended to the columns; alerts to
facts.jsonl; then one commit makes the rows and the sources' offsets visible together. Killed before the commit, the
rows are read again, and an alert that already stands in facts.jsonl (by its id) is not written again. The rules' memory
is saved now and then (watch.json) with the offsets that it belongs to; what was committed after that is read again for
the rules alone.
"""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.facts import AlertRaised, Asleep, Order, SidecarFact, SourceFound, WatchEnded
from ragent_jupyter.rules.watch import (
    Activity,
    Answered,
    JobEnded,
    Limits,
    LogLines,
    Raise,
    Slept,
    System,
    Tick,
    Watch,
    WatchFact,
    watch,
)  # fmt: skip
from ragent_jupyter.rules.watch import Block as WatchBlock
from ragent_jupyter.rules.watch_quiet import silent_s, told
from ragent_jupyter.runfiles.columns import ColumnsNotWritten, ColumnWriter
from ragent_jupyter.runfiles.jsonl import LineWriter, Tail, atomic_write, decode_lines, read_json_lines
from ragent_jupyter.runfiles.kill_points import kill_point
from ragent_jupyter.runfiles.sources.make import make_source
from ragent_jupyter.runfiles.sources.protocol import Block, Source
from ragent_jupyter.runfiles.sources.stdout import Stdout
from ragent_jupyter.runfiles.spec import StallSpec

from .feed import Feed, Owners
from .live import Summary

SNAPSHOT_EVERY_S = 5.0
_TOLD = "_told"  # beside the sources in each commit: how many points of the training's own there are
READ_LIMIT = 1 << 20  # bytes of each source a tick: bounds memory and the time to a stop


class Snapshot(Struct, omit_defaults=True):
    """watch.json: the rules' memory, and the offsets up to which it has heard."""

    watch: Watch
    v: int = 1
    points: int = 0  # of the columns then
    told: int = 0  # points of training metrics, without the machine's own
    sources: dict[str, dict[str, Any]] = {}
    owners: dict[str, str] = {}
    summary: dict[str, dict[str, Any]] = {}
    orders: int = 0
    at: float = 0.0  # the witness's clock
    wall: float = 0.0
    last_step: int | None = None


class DiskRefused(Exception):
    """Nothing was lost: what could not be written is kept, and the next `settle` tries again."""


class Witness:
    """One run's sidecar without its loop. Raises domain.errors.Held if another sidecar has the folder."""

    def __init__(
        self, run_dir: str, run_id: str, params: dict[str, Any] | None = None, stall: StallSpec | None = None
    ) -> None:
        self.run_dir = run_dir
        self.run_id = run_id
        self.columns = ColumnWriter(os.path.join(run_dir, "metrics"))
        self._facts = LineWriter(os.path.join(run_dir, "facts.jsonl"))
        self._pending: list[Raise | SourceFound | Asleep] = []
        self._known: set[str] = set()
        self._found: set[str] = set()
        self.ended = False
        self._read_facts()
        self._snapshot_at = 0.0
        self._dirty = False  # the columns hold rows that are not committed
        self._unsaved = False  # the rules have heard more than watch.json says
        self._committed_rows = self.columns.rows
        snapshot = self._read_snapshot()
        fresh = snapshot is None
        if snapshot is None:
            stall = stall or StallSpec()
            watched = Watch(
                run_id=run_id,
                params=params or {},
                limits=Limits(stall_s=stall.stall_s),
                usual=stall.alike,
            )
            snapshot = Snapshot(watch=watched)
        self._watch = snapshot.watch
        self.owners = Owners(snapshot.owners)
        self.feed = Feed(self.owners)
        self.summary = Summary(snapshot.summary)
        self.points = snapshot.told
        self.last_step = snapshot.last_step
        # The witness's clock goes on where the last one stopped, also over a reboot: the rules' clock never runs back.
        away = max(0.0, time.time() - snapshot.wall) if snapshot.wall else 0.0
        self._clock_base = snapshot.at + away - _boottime()
        self._orders = Tail(os.path.join(run_dir, "orders.jsonl"), snapshot.orders)
        self._proofs: dict[str, str] = {}
        self._dropped: dict[str, dict[str, Any]] = {}
        self._origins: dict[str, dict[str, Any]] = {}
        self._derive_again(snapshot)
        if not fresh and away > 10.0:
            self.slept(away, tell=False)

    # -- going on after an end ------------------------------------------------------------------------------------
    def _read_facts(self) -> None:
        for fact in read_json_lines(self._facts.path, SidecarFact):
            if isinstance(fact, AlertRaised):
                self._known.add(fact.id)
            elif isinstance(fact, SourceFound):
                self._found.add(fact.source)
            elif isinstance(fact, WatchEnded):
                self.ended = True

    def _read_snapshot(self) -> Snapshot | None:
        try:
            with open(os.path.join(self.run_dir, "watch.json"), "rb") as file:
                snapshot = msgspec.json.decode(file.read(), type=Snapshot)
        except (OSError, msgspec.DecodeError):
            return None
        # Ahead of the columns: the power failed and took commits along. Begin anew; ids keep alerts single.
        return snapshot if snapshot.points <= self.columns.points and snapshot.v == 1 else None

    def _derive_again(self, snapshot: Snapshot) -> None:
        """Let the rules hear what was committed after the snapshot, then set the sources to where the commit stands."""
        for id, committed in self.columns.sources.items():
            if not isinstance(committed, dict) or "format" not in committed or committed.get("dropped"):
                continue
            origin = committed.get("origin", {})
            if snapshot.sources.get(id) == committed:
                self._add(make_source(committed["format"], committed["path"], id, committed), "", origin)
                continue
            source = make_source(committed["format"], committed["path"], id, snapshot.sources.get(id, origin))
            self.owners.know(source)
            try:
                while not source.reached(committed):
                    before = source.state()
                    for block in source.read(READ_LIMIT, time.time(), until=committed):
                        self._hear(source, block)
                    if source.state() == before:
                        break  # the file is gone or another one: what it said is in the columns, the rules miss it
            except OSError:
                pass  # as above; the loop will show it as health when it reads on
            source.close()
            self._add(make_source(committed["format"], committed["path"], id, committed), "", origin)
        told = self.columns.sources.get(_TOLD)
        if isinstance(told, dict):
            self.points = int(told["points"])
        self.feed.committed({id: self._state_of(source) for id, source in self.feed.sources.items()})

    # -- sources --------------------------------------------------------------------------------------------------
    def add(self, source: Source, proof: str) -> None:
        """Read this from now on. proof: why it belongs to this run."""
        if source.id not in self.feed.sources:
            self._add(source, proof)

    def _add(self, source: Source, proof: str, origin: dict[str, Any] | None = None) -> None:
        # Where its reading began (rows from before the launch, a prefix): needed if its rows must be derived again.
        self._origins[source.id] = source.state() if origin is None else origin
        self.feed.add(source)
        self.owners.know(source)
        if proof:
            self._proofs[source.id] = proof

    def _state_of(self, source: Source) -> dict[str, Any]:
        state = {"format": source.format, "path": source.path, **self.feed.state_of(source)}
        origin = self._origins.get(source.id)
        return {**state, "origin": origin} if origin else state

    def drop(self, id: str) -> None:
        """Read this no more, also after a restart: it is not this run's alone any longer."""
        source = self.feed.sources.get(id)
        if source is not None:
            self._dropped[id] = {**self._state_of(source), "dropped": True}
            self.feed.remove(id)

    @property
    def found(self) -> set[str]:
        """Ids of the sources that have given rows."""
        return self._found

    # -- one tick -------------------------------------------------------------------------------------------------
    def now(self) -> float:
        """The witness's clock in seconds: counts sleep, never runs back, goes on over restarts."""
        return _boottime() + self._clock_base

    def read(self, *, final: bool = False) -> int:
        """Read what is new in every source into rules and columns; returns the number of points."""
        wall, points = time.time(), 0
        for source, blocks in self.feed.read(READ_LIMIT, wall, final=final):
            for block in blocks:
                admitted = self._hear(source, block)
                if admitted is not None:
                    self.columns.append_block(admitted.names, admitted.steps, admitted.times, admitted.columns)
                    self._dirty = True
                    points += admitted.points
            if isinstance(source, Stdout) and source.lines:
                self.tell(LogLines(at=self.now(), lines=source.lines, source=source.id))
            if blocks and source.id not in self._found:
                self._found.add(source.id)
                proof = self._proofs.get(source.id, "in the run's folder")
                self._pending.append(SourceFound(seq=0, at=wall, source=source.id, format=source.format, proof=proof))
        return points

    def _hear(self, source: Source, block: Block) -> Block | None:
        admitted = self.owners.admit(source.id, block)
        if admitted is None:
            return None
        self.points += admitted.points
        self.last_step = max(admitted.steps) if self.last_step is None else max(self.last_step, admitted.steps[-1])
        self.summary.note(admitted)
        # Offsets begin anew with each generation of a file; the alert ids made of them must not.
        name = f"{source.id}#{source.generation}" if source.generation else source.id
        self.tell(
            WatchBlock(
                source=name,
                names=admitted.names,
                steps=admitted.steps,
                times=admitted.times,
                columns=admitted.columns,
                offsets=admitted.offsets,
                at=self.now(),
            )
        )
        return admitted

    def tell(self, fact: WatchFact) -> None:
        """Let the rules hear a fact; what they raise is written by the next `settle`."""
        self._watch, raised = watch(self._watch, fact)
        self._unsaved = True
        for alert in raised:
            self.alert(alert)

    def alert(self, alert: Raise) -> None:
        id = alert.alert_id(self.run_id)
        if id not in self._known:
            self._known.add(id)
            self._pending.append(alert)

    def tick(self, log_bytes: int | None, eta_s: float | None) -> None:
        self.tell(Tick(at=self.now(), log_bytes=log_bytes, eta_s=eta_s))

    @property
    def silent_s(self) -> float:
        """Seconds since the run's last sign of life."""
        return silent_s(self._watch, self.now())

    @property
    def quiet(self) -> dict[str, float]:
        """Its longest silences so far."""
        return told(self._watch)

    def activity(self, fact: Activity) -> None:
        self.tell(fact)

    def system(self, values: dict[str, float], elapsed_s: float) -> None:
        """One sample of the machine: to the rules, and as columns "system/…" with seconds since the start as step."""
        self.tell(System(at=self.now(), values=values))
        names = [f"system/{name}" for name in values]
        self.columns.append_block(names, [max(0, int(elapsed_s))], [time.time()], [[v] for v in values.values()])
        self._dirty = True

    def slept(self, gap_s: float, *, tell: bool = True) -> None:
        self.tell(Slept(at=self.now(), gap_s=gap_s))
        if tell:
            self._pending.append(Asleep(seq=0, at=time.time(), gap_s=round(gap_s, 3)))

    def orders(self) -> None:
        """Answers to our alerts calm the rules down."""
        for order in decode_lines(self._orders.read(), Order):
            if type(order).__name__ == "AnswerOrder":
                self.tell(Answered(at=self.now(), alert_id=order.alert_id, choice=order.choice, action=order.action))

    def job_ended(self, fact: JobEnded) -> None:
        self.tell(fact)

    # -- writing --------------------------------------------------------------------------------------------------
    def settle(self) -> bool:
        """Write alerts, then commit rows and offsets. Returns whether anything was written. Raises DiskRefused."""
        wrote = False
        try:
            while self._pending:
                self._write_fact(self._pending[0])
                self._pending.pop(0)
                wrote = True
        except OSError as error:
            raise DiskRefused(f"facts.jsonl: {error.strerror or error}") from error
        kill_point("sidecar.facts")
        states = {id: self._state_of(source) for id, source in self.feed.sources.items()}
        changed = self.feed.changed(states) | self._dropped
        if changed or self._dirty:
            changed[_TOLD] = {"points": self.points}
            try:
                self.columns.commit(changed)
            except ColumnsNotWritten as error:
                raise DiskRefused(error.problem) from error
            self.feed.committed(changed)
            self._dropped = {}
            self._dirty = False
            wrote = True
            kill_point("sidecar.committed")
        return wrote

    def _write_fact(self, fact: Raise | SourceFound | Asleep | WatchEnded) -> None:
        seq = self._facts.next_seq
        if isinstance(fact, Raise):
            line: SidecarFact = AlertRaised(
                seq=seq,
                at=time.time(),
                id=fact.alert_id(self.run_id),
                rule=fact.rule,
                severity=fact.severity,
                title=fact.title,
                text=fact.text,
                evidence=fact.evidence,
                choices=fact.choices,
                default=fact.default,
            )
        else:
            line = msgspec.structs.replace(fact, seq=seq)
        self._facts.append(msgspec.json.encode(line), fsync=isinstance(fact, Raise))

    def snapshot(self, *, force: bool = False) -> None:
        """Save the rules' memory, now and then. A disk that refuses costs only time after a restart."""
        now = time.monotonic()
        if not self._unsaved or (not force and now - self._snapshot_at < SNAPSHOT_EVERY_S):
            return
        self._snapshot_at = now
        data = Snapshot(
            watch=self._watch,
            points=self.columns.points,
            told=self.points,
            sources={id: self._state_of(source) for id, source in self.feed.sources.items()},
            owners=self.owners.state(),
            summary=self.summary.json(),
            orders=self._orders.offset,
            at=self.now(),
            wall=time.time(),
            last_step=self.last_step,
        )
        kill_point("sidecar.snapshot")
        try:
            atomic_write(os.path.join(self.run_dir, "watch.json"), msgspec.json.encode(data), fsync=False)
        except OSError:
            return
        self._unsaved = False

    def end(self) -> None:
        """The last line of facts.jsonl. Raises DiskRefused."""
        self.settle()
        self.snapshot(force=True)
        if not self.ended:
            try:
                self._write_fact(WatchEnded(seq=0, at=time.time(), points=self.points))
                self._facts.sync()
            except OSError as error:
                raise DiskRefused(f"facts.jsonl: {error.strerror or error}") from error
            self.ended = True

    def close(self) -> None:
        self.feed.close()
        self._facts.close()
        self.columns.close()


def _boottime() -> float:
    """Monotonic seconds that go on while the machine sleeps, where the system has such a clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()
