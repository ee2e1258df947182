"""The one shell under every desk: decide, become, remember, act.

A desk asks the rules what an input leads to (`decide`), and hands the changes here. They take effect in memory at
once, so that the next decision sees them, and are committed in the same order; a reply is sent and an effect is
performed only when the commit is durable. If the disk refuses, memory is read back from the store: what was never
remembered never happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from ragent_jupyter.domain import chat, wild
from ragent_jupyter.domain.alert import Alert, AlertStatus
from ragent_jupyter.domain.effects import Effect, Owed
from ragent_jupyter.domain.errors import MissingPart, RagentError
from ragent_jupyter.domain.events import Envelope, Record
from ragent_jupyter.domain.ports import RowPut, Store, Tx
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep

log = logging.getLogger("ragent.engine")

_encode = msgspec.json.Encoder().encode
_decode_part = msgspec.json.Decoder(chat.Part).decode
_RING = 4096  # events kept in memory for subscribers; older ones are read from the store
_SEQ = b'{"seq":%d'  # how every envelope begins
_WHISPERS = 16384  # unsaved events in order; who lags further behind reads the session again


class Change(Struct, frozen=True):
    """One object as it now is, and the name of what happened to it."""

    type: str
    obj: Any  # Run | Sweep | Alert, the structs of domain/chat.py, dict for prefs and reports
    forget: bool = False  # the object is gone; the record holds what it last was


class Kind(Struct, frozen=True):
    """Where objects of a type are kept and who hears of them. parent, status, sort: names of fields, "" for none."""

    kind: str
    topic: str
    parent: str = ""
    status: str = ""
    sort: str = "created_at"


_KINDS: dict[type, Kind] = {
    chat.Session: Kind("session", "sessions", status="status"),
    chat.Turn: Kind("turn", "sessions", parent="session_id", status="status"),
    chat.TextPart: Kind("part", "sessions", parent="session_id", sort="index"),
    chat.ThinkingPart: Kind("part", "sessions", parent="session_id", sort="index"),
    chat.ToolPart: Kind("part", "sessions", parent="session_id", status="status", sort="index"),
    chat.NoticePart: Kind("part", "sessions", parent="session_id", sort="index"),
    chat.Provenance: Kind("provenance", "sessions", parent="turn_id", sort="at"),
    chat.Plan: Kind("plan", "sessions", parent="session_id", status="status"),
    chat.Grant: Kind("grant", "sessions", parent="session_id"),
    chat.MemoryRule: Kind("rule", "memory", status="status"),
    wild.Loop: Kind("wild", "wild", status="stage"),
    wild.Entry: Kind("entry", "wild", parent="loop_id", sort="n"),
}


class Clock:
    """Wall clock for showing. A class, so that tests bring their own."""

    def now(self) -> float:
        import time

        return time.time()

    def mono(self) -> float:
        import time

        return time.monotonic()


def _topic_of(change: Change) -> tuple[str, str, str]:
    """(kind, topic, stream) of a change."""
    obj = change.obj
    known = _KINDS.get(type(obj))
    if known is not None:
        # A part's record stands in its session's stream: one read tells all that a chat has seen.
        return known.kind, known.topic, obj.id
    if isinstance(obj, Run):
        return "run", "runs", obj.id
    if isinstance(obj, Sweep):
        return "sweep", "sweeps", obj.id
    if isinstance(obj, Alert):
        return "alert", "alerts", obj.id
    if change.type.startswith("report"):
        return "report", "reports", str(obj["id"])
    return "pref", "prefs", str(obj["id"])


def _put(kind: str, stream: str, obj: Any, data: bytes) -> RowPut:
    known = _KINDS.get(type(obj))
    if known is not None:
        parent = getattr(obj, known.parent) if known.parent else None
        status = getattr(obj, known.status) if known.status else ""
        status = status.value if isinstance(status, Enum) else status
        return RowPut(kind=kind, id=stream, data=data, parent=parent, status=status, sort=getattr(obj, known.sort))
    if isinstance(obj, Run):
        return RowPut(
            kind=kind, id=stream, data=data, parent=obj.sweep_id, status=obj.status.value, sort=obj.created_at
        )
    if isinstance(obj, Sweep):
        return RowPut(kind=kind, id=stream, data=data, status=obj.status.value, sort=obj.created_at)
    if isinstance(obj, Alert):
        return RowPut(kind=kind, id=stream, data=data, parent=obj.run_id, status=obj.status.value, sort=obj.raised_at)
    return RowPut(kind=kind, id=stream, data=data, sort=float(obj.get("created_at", 0.0)))


def effect_key(effect: Effect) -> str:
    """What makes doing an effect twice the same as once."""
    order = getattr(effect, "order_id", None)
    return f"{effect.__struct_config__.tag}:{effect.run_id}" + (f":{order}" if order else "")


class Shell:
    """Memory of runs, sweeps, alerts, reports and prefs; the only writer of the store."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self.store = store
        self.clock = clock or Clock()
        self.runs: dict[str, Run] = {}
        self.sweeps: dict[str, Sweep] = {}
        self.alerts: dict[str, Alert] = {}
        self.reports: dict[str, dict[str, Any]] = {}
        self.prefs: dict[str, Any] = {}
        self.sessions: dict[str, chat.Session] = {}
        self.rules: dict[str, chat.MemoryRule] = {}
        self.plans: dict[str, chat.Plan] = {}
        self.grants: dict[str, chat.Grant] = {}
        self.loops: dict[str, wild.Loop] = {}
        # Only of sessions that somebody looked at since the engine began: session id -> turn or part id -> it.
        self.turns: dict[str, dict[str, chat.Turn]] = {}
        self.parts: dict[str, dict[str, chat.Part]] = {}
        self.offsets: dict[str, int] = {}
        self.problem: RagentError | None = None
        self.perform: Callable[[Owed], None] = lambda owed: None
        self.listeners: list[Callable[[Change], None]] = []
        self._in_flight = 0
        self._stale = False
        self.ring: deque[tuple[int, str, bytes]] = deque(maxlen=_RING)
        self.ring_start = 0  # the ring holds every event with a seq above this
        self._whispers: deque[tuple[int, str, bytes]] = deque(maxlen=_WHISPERS)
        self._whisper = 0
        self._doorbells: dict[str, tuple[int, str, str, Any]] = {}
        self._bell = 0
        self._waiters: set[asyncio.Event] = set()

    # --- memory -----------------------------------------------------------------------------------------------
    def load(self) -> list[Owed]:
        """Read everything back; returns the effects that are still owed to the world."""
        self.runs = {r.id: r for r in (msgspec.json.decode(d, type=Run) for d in self.store.load("run"))}
        self.sweeps = {s.id: s for s in (msgspec.json.decode(d, type=Sweep) for d in self.store.load("sweep"))}
        self.alerts = {a.id: a for a in (msgspec.json.decode(d, type=Alert) for d in self.store.load("alert"))}
        self.reports = {r["id"]: r for r in (msgspec.json.decode(d) for d in self.store.load("report"))}
        prefs = [msgspec.json.decode(d) for d in self.store.load("pref")]
        self.prefs = {p["id"]: p["value"] for p in prefs if p["value"] is not None}
        self.sessions = {
            s.id: s for s in (msgspec.json.decode(d, type=chat.Session) for d in self.store.load("session"))
        }
        self.rules = {r.id: r for r in (msgspec.json.decode(d, type=chat.MemoryRule) for d in self.store.load("rule"))}
        self.plans = {p.id: p for p in (msgspec.json.decode(d, type=chat.Plan) for d in self.store.load("plan"))}
        self.grants = {g.id: g for g in (msgspec.json.decode(d, type=chat.Grant) for d in self.store.load("grant"))}
        self.loops = {w.id: w for w in (msgspec.json.decode(d, type=wild.Loop) for d in self.store.load("wild"))}
        # A turn under way goes on through a write that was refused, and looks up its own record.
        opened = [id for id in self.turns if (held := self.sessions.get(id)) is not None and held.turn]
        self.turns, self.parts = {}, {}
        for id in opened:
            self.open_session(id)
        self.offsets = dict(self.store.offsets())
        self.ring.clear()
        self.ring_start = self.store.newest_seq()
        return self.store.owed()

    def open_session(self, session_id: str) -> None:
        """Have the turns and parts of a session in memory."""
        if session_id in self.turns:
            return
        turns = [msgspec.json.decode(d, type=chat.Turn) for d in self.store.load("turn", parent=session_id)]
        parts = [_decode_part(d) for d in self.store.load("part", parent=session_id)]
        self.turns[session_id] = {turn.id: turn for turn in sorted(turns, key=lambda t: t.n)}
        self.parts[session_id] = {part.id: part for part in parts}

    def _become(self, change: Change) -> None:
        obj = change.obj
        if type(obj) in _KINDS:
            self._become_known(obj, change.forget)
        elif isinstance(obj, Run):
            self.runs[obj.id] = obj
        elif isinstance(obj, Sweep):
            self.sweeps[obj.id] = obj
        elif isinstance(obj, Alert):
            self.alerts[obj.id] = obj
        elif change.type.startswith("report"):
            self.reports[obj["id"]] = obj
        elif obj["value"] is None:
            self.prefs.pop(obj["id"], None)
        else:
            self.prefs[obj["id"]] = obj["value"]

    def _become_known(self, obj: Any, forget: bool) -> None:
        match obj:
            case chat.Session():
                place: dict[str, Any] = self.sessions
            case chat.MemoryRule():
                place = self.rules
            case chat.Plan():
                place = self.plans
            case chat.Grant():
                place = self.grants
            case chat.Turn():
                self.open_session(obj.session_id)
                place = self.turns[obj.session_id]
            case wild.Loop():
                place = self.loops
            case chat.Provenance() | wild.Entry():
                return  # read from the store when somebody asks
            case _:
                self.open_session(obj.session_id)
                place = self.parts[obj.session_id]
        if forget:
            place.pop(obj.id, None)
        else:
            place[obj.id] = obj

    def live_runs(self) -> list[Run]:
        return [r for r in self.runs.values() if r.status.live]

    def pending_alerts(self, run_id: str | None = None) -> list[Alert]:
        return [
            a
            for a in self.alerts.values()
            if a.status is AlertStatus.PENDING and (run_id is None or a.run_id == run_id)
        ]

    # --- remembering --------------------------------------------------------------------------------------------
    def commit(
        self,
        changes: Iterable[Change],
        effects: Iterable[Effect] = (),
        offsets: Mapping[str, int] | None = None,
        settled: Iterable[str] = (),
    ) -> Awaitable[None]:
        """Take changes into memory now, and make them durable; resolves when they are, and the effects are under way.

        Call it right after `decide`, with no await between. Raises RagentError where the store refused; memory is
        then what the store says. Who stops waiting stops nothing: what was committed is told and done all the same,
        in the order of the calls.
        """
        if self._stale:
            raise MissingPart(
                "The engine is reading its state back after its disk refused a write.", "Try again in a second."
            )
        changes = list(changes)
        records: list[Record] = []
        puts: dict[tuple[str, str], RowPut] = {}
        gone: list[tuple[str, str]] = []
        lines: list[tuple[str, str, bytes]] = []
        for change in changes:
            self._become(change)
            kind, topic, stream = _topic_of(change)
            data = _encode(change.obj)
            records.append(Record(stream=stream, topic=topic, type=change.type, data=msgspec.Raw(data)))
            if change.forget:
                puts.pop((kind, stream), None)
                gone.append((kind, stream))
            else:
                puts[kind, stream] = _put(kind, stream, change.obj, data)
            lines.append((topic, change.type, data))
        owed = [Owed(key=effect_key(e), stream=e.run_id, effect=e) for e in effects]
        if offsets:
            self.offsets.update(offsets)
        tx = Tx(
            records=records,
            puts=list(puts.values()),
            gone=gone,
            owed=owed,
            settled=list(settled),
            offsets=dict(offsets or {}),
        )
        self._in_flight += 1
        future = asyncio.ensure_future(self.store.commit(tx))
        return asyncio.shield(self._finish(future, changes, lines, owed))

    async def _finish(
        self,
        future: asyncio.Future[list[int]],
        changes: list[Change],
        lines: list[tuple[str, str, bytes]],
        owed: list[Owed],
    ) -> None:
        try:
            seqs = await future
        except RagentError as error:
            self.problem = error
            self._stale = True
            log.error("the store refused a commit: %s", error)
            raise
        else:
            self.problem = None
            now = self.clock.now()
            for seq, (topic, type_, data) in zip(seqs, lines, strict=True):
                head = msgspec.json.encode({"seq": seq, "time": now, "topic": topic, "type": type_})
                self.ring.append((seq, topic, head[:-1] + b',"data":' + data + b"}"))
            if len(self.ring) == self.ring.maxlen:
                self.ring_start = self.ring[0][0] - 1
            self._wake()
            for one in owed:
                self.perform(one)
            for change in changes:
                for listener in self.listeners:
                    listener(change)
        finally:
            self._in_flight -= 1
            if self._stale and self._in_flight == 0:
                self.load()
                self._stale = False

    async def settle(self, owed: Owed) -> None:
        """An effect is done: its outbox row goes."""
        await self.store.commit(Tx(settled=[owed.key]))

    # --- telling ------------------------------------------------------------------------------------------------
    def ring_bell(self, topic: str, type_: str, key: str, data: Any) -> None:
        """An unsaved event: coalesced by key, never in the log."""
        self._bell += 1
        self._doorbells.pop(f"{type_}:{key}", None)  # re-inserted last: the dict stays in ringing order
        self._doorbells[f"{type_}:{key}"] = (self._bell, topic, type_, data)
        self._wake()

    def hush(self, type_: str, key: str) -> None:
        """What a bell was rung for is over: nobody needs to hear of it any more."""
        self._doorbells.pop(f"{type_}:{key}", None)

    def whisper(self, topic: str, type_: str, data: Any) -> None:
        """An unsaved event that keeps its place among others of its kind: a piece of a text that is being written."""
        self._whisper += 1
        self._whispers.append((self._whisper, topic, self._untold(topic, type_, data)))
        self._wake()

    def _untold(self, topic: str, type_: str, data: Any) -> bytes:
        """An unsaved event as an envelope without its beginning: its seq is the listener's."""
        line = _encode(Envelope(seq=0, time=self.clock.now(), topic=topic, type=type_, data=msgspec.Raw(_encode(data))))
        return line[len(_SEQ % 0) :]

    def whispers_after(self, number: int, topics: frozenset[str] | None, told: int = 0) -> tuple[int, list[bytes]]:
        """Whispers after a number, oldest first, and the newest number. told: the seq that the listener has reached."""
        found: list[bytes] = []
        for n, topic, line in reversed(self._whispers):
            if n <= number:
                break
            if topics is None or topic in topics:
                found.append(_SEQ % told + line)
        found.reverse()
        return self._whisper, found

    def bells_after(self, bell: int, topics: frozenset[str] | None, told: int = 0) -> tuple[int, list[bytes]]:
        """Doorbells rung after `bell`, encoded, and the newest bell. told: the seq that the listener has reached."""
        found: list[bytes] = []
        for number, topic, type_, data in reversed(self._doorbells.values()):
            if number <= bell:
                break
            if topics is None or topic in topics:
                found.append(_SEQ % told + self._untold(topic, type_, data))
        found.reverse()
        return self._bell, found

    def newest_seq(self) -> int:
        return self.ring[-1][0] if self.ring else self.ring_start

    def events_after(self, after: int, topics: frozenset[str] | None, limit: int = 1000) -> tuple[int, list[bytes]]:
        """Saved events after a seq, encoded as envelopes, and the seq that was looked up to."""
        if after >= self.ring_start:
            found: list[bytes] = []
            last = after
            for seq, topic, line in self.ring:
                if seq <= after:
                    continue
                if len(found) >= limit:
                    return last, found
                last = seq
                if topics is None or topic in topics:
                    found.append(line)
            return max(last, after), found
        rows = self.store.read_log(after, sorted(topics) if topics else None, limit)
        found = [_encode(Envelope(seq=r.seq, time=r.time, topic=r.topic, type=r.type, data=r.data)) for r in rows]
        if len(rows) < limit:
            return max(self.ring_start, rows[-1].seq if rows else after), found
        return rows[-1].seq, found

    def subscribe(self) -> asyncio.Event:
        """An event that is set whenever there may be news. Give it back with `unsubscribe`."""
        event = asyncio.Event()
        self._waiters.add(event)
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        self._waiters.discard(event)

    @property
    def subscribers(self) -> int:
        return len(self._waiters)

    def _wake(self) -> None:
        for waiter in self._waiters:
            waiter.set()
