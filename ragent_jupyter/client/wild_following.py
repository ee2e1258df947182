"""A wild loop as it goes. A thread listens, so that whoever shows it keeps time and can be stopped."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.events import Envelope
from ragent_jupyter.domain.wild import Entry, Loop, Stage
from ragent_jupyter.domain.wire_wild import LoopReply

if TYPE_CHECKING:
    from .api import Client

TOPICS = ("wild", "runs", "alerts")
_LOOK_EVERY_S = 0.5  # between two looks at what the events do not carry: counts, alerts, the summary
_KEEP = 200


class _OfSweep(msgspec.Struct):
    sweep_id: str | None = None


class LoopFollowing:
    """One loop from now on. `reply`: as it was when it was last asked for, with the newest state of the loop in it;
    `entries`: the newest of its ledger, oldest first.

    Nothing is asked for while nothing happens.
    """

    def __init__(self, client: Client, loop_id: str, entries: int = 20) -> None:
        self.client = client
        self.id = loop_id
        seq = client.status().seq  # first the place in the stream, then the snapshot: nothing falls between them
        self.reply: LoopReply = client.loop(loop_id)
        self.entries: list[Entry] = client.journal(loop_id, max(0, self.loop.entries - entries)).entries
        self._stale_at: float | None = None
        self._looked_at = time.monotonic()
        self._events: queue.SimpleQueue[Envelope | RagentError] = queue.SimpleQueue()
        self._left = threading.Event()
        threading.Thread(target=self._read, args=(seq,), name="ragent-wild", daemon=True).start()

    @property
    def loop(self) -> Loop:
        return self.reply.loop

    def next(self, timeout: float) -> bool:
        """Take in the next thing that happened, waiting at most so many seconds for it. Whether anything changed.

        Raises what the engine refused with, or Unreachable.
        """
        changed = self._take_one(timeout)
        if self._stale_at is not None and time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self.look()
            changed = True
        return changed

    def look(self) -> None:
        """Ask for the whole of it now."""
        self._stale_at = None
        self._looked_at = time.monotonic()
        self.reply = self.client.loop(self.id)
        last = self.entries[-1].n if self.entries else max(0, self.loop.entries - _KEEP)
        if self.loop.entries > last:
            self._add(self.client.journal(self.id, last).entries)

    def leave(self) -> None:
        """Nobody looks any more; the loop goes on."""
        self._left.set()

    # --- inside ------------------------------------------------------------------------------------------------
    def _take_one(self, timeout: float) -> bool:
        """One change at a time, so that whoever writes lines leaves out no stage."""
        try:
            what = self._events.get(timeout=timeout)
            while True:
                if isinstance(what, RagentError):
                    raise what
                if self._take(what):
                    return True
                what = self._events.get_nowait()
        except queue.Empty:
            return False

    def _take(self, event: Envelope) -> bool:
        if event.type == "snapshot_needed":
            self._stale()
            return False
        raw = event.data if isinstance(event.data, msgspec.Raw) else msgspec.json.encode(event.data)
        if event.topic == "wild":
            if event.type == "wild_entry":
                entry = msgspec.json.decode(raw, type=Entry)
                return entry.loop_id == self.id and self._add([entry])
            loop = msgspec.json.decode(raw, type=Loop)
            if loop.id != self.id:
                return False
            self._stale()
            self.reply = msgspec.structs.replace(self.reply, loop=loop)
            return True
        if event.topic == "alerts" or (event.topic == "runs" and event.type != "run_progress" and self._mine(raw)):
            self._stale()
        return False

    def _mine(self, raw: bytes | msgspec.Raw) -> bool:
        """Whether a run is of this loop. A sweep that this loop has just begun may not be known of yet."""
        sweep = msgspec.json.decode(raw, type=_OfSweep).sweep_id
        return sweep is not None and (sweep in self.loop.sweeps or self.loop.stage is not Stage.ENDED)

    def _stale(self) -> None:
        self._stale_at = self._stale_at or time.monotonic()

    def _add(self, entries: list[Entry]) -> bool:
        """Entries that are new. One that was missed is asked for by the next look."""
        last = self.entries[-1].n if self.entries else 0
        fresh = [entry for entry in entries if entry.n > last]
        if fresh and self.entries and fresh[0].n > last + 1:
            self._stale()
            return False
        self.entries = [*self.entries, *fresh][-_KEEP:]
        return bool(fresh)

    def _read(self, seq: int) -> None:
        try:
            for event in self.client.events(after=seq, topics=TOPICS):
                if self._left.is_set():
                    return
                if event.type not in ("ping", "hello"):
                    self._events.put(event)
        except RagentError as error:
            self._events.put(error)
