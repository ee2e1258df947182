"""The store's fake: the same promises without a disk. A MemoryDisk outlives the stores that are opened on it."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

from ragent_jupyter.domain.effects import Owed
from ragent_jupyter.domain.errors import Held, StoreFailed
from ragent_jupyter.domain.events import StoredRecord
from ragent_jupyter.domain.ports import RowPut, Tx

from .batch import Batch, pend


class MemoryDisk:
    """What would be on disk. refuse: a sentence with which every write fails, as on a full disk; None ends that."""

    def __init__(self) -> None:
        self.log_id = secrets.token_hex(8)
        self.seq = 0
        self.epoch = 0
        self.log: list[StoredRecord] = []
        self.objects: dict[tuple[str, str], RowPut] = {}
        self.outbox: dict[str, Owed] = {}
        self.offsets: dict[str, int] = {}
        self.refuse: str | None = None
        self.lock = threading.Lock()


class MemoryStore:
    """domain.ports.Store in memory; passes the suite that the databases pass."""

    def __init__(self, disk: MemoryDisk | None = None, clock: Callable[[], float] = time.time) -> None:
        self.disk = disk or MemoryDisk()
        self._clock = clock
        self.disk.epoch += 1
        self._epoch = self.disk.epoch
        self._closed = False
        self.log_id = self.disk.log_id
        self.problem: str | None = None

    def commit(self, tx: Tx) -> Awaitable[list[int]]:
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self.commit_now(tx))
        except (StoreFailed, Held) as error:
            future.set_exception(error)
        return future

    def commit_now(self, tx: Tx, timeout: float | None = None) -> list[int]:
        if self._closed:
            raise StoreFailed("The store in memory was closed.", "The engine is ending; try again.")
        disk = self.disk
        with disk.lock:
            if disk.epoch != self._epoch:
                raise Held("The store in memory was taken over by another engine.", "This engine stops writing.")
            if disk.refuse:
                self.problem = disk.refuse
                raise StoreFailed(disk.refuse, "Free some space; work goes on by itself.")
            batch = Batch([pend(tx, self._clock())], disk.seq, 0)
            disk.seq = batch.seq
            disk.log.extend(batch.stored())
            disk.objects.update({(put.kind, put.id): put for put in tx.puts})
            for gone in tx.gone:
                disk.objects.pop(gone, None)
            for key in tx.settled:
                disk.outbox.pop(key, None)
            for owed in tx.owed:
                disk.outbox.pop(owed.key, None)
                disk.outbox[owed.key] = owed
            disk.offsets.update(tx.offsets)
            self.problem = None
            return batch.seqs[0]

    def newest_seq(self) -> int:
        return self.disk.seq

    def oldest_seq(self) -> int:
        return self.disk.log[0].seq if self.disk.log else self.disk.seq + 1

    def read_log(
        self, after: int, topics: Sequence[str] | None, limit: int, stream: str | None = None
    ) -> list[StoredRecord]:
        found = (
            record
            for record in self.disk.log[max(0, after + 1 - self.oldest_seq()) :]
            if (topics is None or record.topic in topics) and (stream is None or record.stream == stream)
        )
        return [record for record, _ in zip(found, range(limit), strict=False)]

    def load(self, kind: str, ids: Sequence[str] | None = None, parent: str | None = None) -> list[bytes]:
        wanted = None if ids is None else set(ids)
        puts = [
            put
            for put in self.disk.objects.values()
            if put.kind == kind and (wanted is None or put.id in wanted) and (parent is None or put.parent == parent)
        ]
        return [put.data for put in sorted(puts, key=lambda put: (put.sort, put.id))]

    def owed(self) -> list[Owed]:
        return list(self.disk.outbox.values())

    def offsets(self) -> dict[str, int]:
        return dict(self.disk.offsets)

    def prune(self, keep_s: float = 7 * 86400.0, keep_rows: int = 200_000) -> int:
        with self.disk.lock:
            log, gone = self.disk.log, 0
            limit = self._clock() - keep_s
            while gone < len(log) - keep_rows and log[gone].time < limit:
                gone += 1
            del log[:gone]
            return gone

    def close(self) -> None:
        self._closed = True
