"""The engine's one database: what is acknowledged here is on disk.

One thread writes, in transactions that many callers share (writer.py). Reads go through a connection of their own and
see what is committed; the newest records are also kept in memory, where most readers of the log find all they want.
"""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from ragent_jupyter._version import __version__
from ragent_jupyter.domain.effects import Effect, Owed
from ragent_jupyter.domain.errors import Held, RagentError, StoreFailed
from ragent_jupyter.domain.events import StoredRecord
from ragent_jupyter.domain.ports import Tx
from ragent_jupyter.runfiles.kill_points import kill_point

from . import migrations, schema
from .batch import Batch, Pending, pend
from .dialect import Dialect, as_refusal, dialect_for
from .writer import GroupWriter, Outcome, WriterClosed

_TAIL = 2048  # records kept in memory, at least; twice as many at most
_PRUNE_CHUNK = 2000  # records that go in one transaction, so that no commit waits long behind a pruning
_IDS_A_QUERY = 500

_effect = msgspec.json.Decoder(Effect)


def open_store(
    place: str | os.PathLike[str],
    clock: Callable[[], float] = time.time,
    *,
    namespace: str = "ragent",
    take_over: bool = False,
    network: bool | None = None,
) -> SqlStore:
    """Open the database of a project, make it where it is not there, bring an older one forward.

    place: a path (SQLite), `sqlite:///path` or `postgresql://…`.  clock: unix seconds.  namespace: tells the projects
    in one PostgreSQL database apart.  take_over: the owner that is recorded on another host is gone, says a person.
    network: whether the file lies on a network file system; None looks.

    Raises Held if another engine has it, CannotBeDone if a newer ragent has written it, StoreFailed if the disk
    refuses, MissingPart if a driver is missing.
    """
    return SqlStore(dialect_for(place, namespace, network), clock, take_over)


class SqlStore:
    """domain.ports.Store. Calls may come from any thread; `commit` from an event loop, `commit_now` from others."""

    def __init__(self, dialect: Dialect, clock: Callable[[], float] = time.time, take_over: bool = False) -> None:
        self._dialect = dialect
        self._clock = clock
        self._write_lock = threading.RLock()
        self._read_lock = self._write_lock if dialect.one_connection else threading.RLock()
        self._writing: Connection | None = None
        self._reading: Connection | None = None
        self._lost: str | None = None  # why this store may not write any more
        self._closed = False
        self.problem: str | None = None  # what the disk said, until a commit works again
        self._update_head = (
            update(schema.head)
            .where(schema.head.c.id == 1, schema.head.c.epoch == bindparam("mine"))
            .values(seq=bindparam("new_seq"), commits=bindparam("new_commits"))
        )
        self._insert_log = insert(schema.log)
        self._put_object = dialect.upsert(schema.objects)
        self._put_owed = dialect.upsert(schema.outbox)
        self._put_offset = dialect.upsert(schema.offsets)
        self._delete_object = delete(schema.objects).where(
            schema.objects.c.kind == bindparam("gone_kind"), schema.objects.c.id == bindparam("gone_id")
        )
        self._delete_owed = delete(schema.outbox).where(schema.outbox.c.key == bindparam("gone"))
        try:
            dialect.prepare()
            if dialect.one_connection:  # known for sure only now
                self._read_lock = self._write_lock
            self._open(take_over)
        except Exception as error:
            self._drop_connections()
            raise as_refusal(dialect, error) from error
        self._tail: list[StoredRecord] = []
        self._writer: GroupWriter[Pending] = GroupWriter(self._perform)

    # --- opening ---------------------------------------------------------------------------------------------------
    def _open(self, take_over: bool) -> None:
        host = platform.node()
        connection = self._writing = self._dialect.writer()
        with connection.begin():
            version = migrations.version_of(connection)
        migrations.refuse_newer(version, self._dialect.place)
        if 0 < version < migrations.NEWEST:
            self._dialect.backup(version)
        with connection.begin():
            migrations.migrate(connection, self._clock(), __version__)
            row = connection.execute(select(schema.head)).one_or_none()
            if row is None:
                first: dict[str, Any] = {"id": 1, "log_id": secrets.token_hex(8), "seq": 0, "commits": 0, "epoch": 0}
                connection.execute(insert(schema.head).values(**first, owner=host, created_at=self._clock()))
                row = connection.execute(select(schema.head)).one()
            elif self._dialect.check_owner and row.owner not in ("", host) and not take_over:
                raise Held(
                    f"The engine on host {row.owner} has {self._dialect.place} open, as far as can be told from here.",
                    "Stop it there (`ragent serve --stop`); if that host is gone for good, `ragent serve --take-over`.",
                )
            # From here on every write of an earlier owner that still lives is refused.
            connection.execute(update(schema.head).values(epoch=row.epoch + 1, owner=host))
            self.log_id: str = row.log_id
            self._epoch: int = row.epoch + 1
            self._seq: int = row.seq
            self._commits: int = row.commits
            self._place: int = connection.execute(select(func.max(schema.outbox.c.place))).scalar() or 0
            self._oldest: int = connection.execute(select(func.min(schema.log.c.seq))).scalar() or row.seq + 1
            kill_point("store.open.before_commit")
        kill_point("store.open.after_commit")

    def _connect(self) -> Connection:
        """The writer's connection; made anew after a failure, when what the disk holds is looked up again."""
        if self._writing is None:
            try:
                connection = self._dialect.writer()
            except Held as error:  # perhaps by our own dead connection, which the server has not yet noticed
                raise StoreFailed(error.problem, error.remedy) from error
            try:
                with connection.begin():
                    row = connection.execute(select(schema.head)).one()
            except BaseException:
                connection.close()
                raise
            if row.epoch != self._epoch:
                connection.close()
                raise self._taken_over(row.owner)
            if row.seq != self._seq:
                self._tail = []
            self._seq, self._commits = row.seq, row.commits
            self._writing = connection
        return self._writing

    def _taken_over(self, owner: str = "") -> Held:
        self._lost = f"The database {self._dialect.place} was taken over by another engine{owner and ' on ' + owner}."
        return Held(self._lost, "This engine stops writing. Open the project again to see which one has it.")

    def _drop_connections(self) -> None:
        for connection in (self._writing, self._reading):
            if connection is not None:
                try:
                    connection.close()
                except Exception as error:  # it is broken, which is why it goes
                    self.problem = self.problem or str(error)
        self._writing = self._reading = None

    # --- writing ---------------------------------------------------------------------------------------------------
    def commit(self, tx: Tx) -> Awaitable[list[int]]:
        """Durable when it resolves, with the seqs of tx.records. Raises StoreFailed if the disk refused, Held if lost.

        The transaction is read at once: what is changed in it afterwards changes nothing. Data that is not JSON is a
        TypeError of the call; every refusal comes with the answer, so that a caller has one place to handle it.
        """
        pending = pend(tx, self._clock())
        refusal = self._gone()
        if refusal is None:
            try:
                return self._writer.put(pending)
            except WriterClosed:  # this very moment
                refusal = self._gone()
        future: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        future.set_exception(refusal or self._ended())
        return future

    def commit_now(self, tx: Tx, timeout: float | None = 60.0) -> list[int]:
        """The same for callers without an event loop; blocks until it is durable."""
        pending = pend(tx, self._clock())
        refusal = self._gone()
        if refusal is not None:
            raise refusal
        return self._writer.put_and_wait(pending, timeout)

    def _gone(self) -> RagentError | None:
        """Why nothing can be written any more, if so."""
        return self._taken_over() if self._lost else self._ended() if self._closed else None

    def _ended(self) -> StoreFailed:
        return StoreFailed(f"The database {self._dialect.place} was closed.", "The engine is ending; try again.")

    def _perform(self, items: list[Pending]) -> list[Outcome]:
        """In the writer's thread: all of them in one transaction; if that is refused for one's sake, each alone."""
        with self._write_lock:
            try:
                return list(self._write(items))
            except Exception as error:
                if len(items) == 1 or isinstance(error, RagentError) or self._dialect.refused(error):
                    return [self._explain(error) for _ in items]
            outcomes: list[Outcome] = []
            for item in items:
                try:
                    outcomes.extend(self._write([item]))
                except Exception as error:
                    outcomes.append(self._explain(error))
            return outcomes

    def _explain(self, error: Exception) -> RagentError:
        """A refusal of its own for each caller: an exception that many raise gathers all their tracebacks."""
        if isinstance(error, Held):
            return self._taken_over()
        failed = self._dialect.explain(error) if not isinstance(error, RagentError) else error
        if self._dialect.refused(error):
            self.problem = failed.problem
        return StoreFailed(failed.problem, failed.remedy)

    def _write(self, items: list[Pending]) -> list[list[int]]:
        connection = self._connect()
        batch = Batch(items, self._seq, self._place)
        try:
            transaction = connection.begin()
            try:
                self._execute(connection, batch)
                kill_point("store.before_commit")
                transaction.commit()
            except BaseException:
                transaction.rollback()
                raise
        except Exception as error:
            if not self._dialect.refused(error):
                raise
            # Nobody knows yet whether a commit whose answer was lost stood: ask the database, on a new connection.
            self._drop_connections()
            before = self._commits
            self._connect()
            if self._commits != before + 1:
                raise
        kill_point("store.after_commit")
        self._commits += 1 if self._writing is connection else 0
        tail = self._tail
        if len(tail) > 2 * _TAIL:
            tail = tail[-_TAIL:]
        tail.extend(batch.stored())  # readers hold the list: it only ever grows, and is replaced to shrink
        self._tail = tail
        # Last: whoever sees a seq must find its record.
        self._seq, self._place = batch.seq, batch.place
        self.problem = None
        return batch.seqs

    def _execute(self, connection: Connection, batch: Batch) -> None:
        kill_point("store.before_execute")
        head = {"mine": self._epoch, "new_seq": batch.seq, "new_commits": self._commits + 1}
        if connection.execute(self._update_head, head).rowcount != 1:
            raise self._taken_over()
        if batch.records:
            connection.execute(self._insert_log, batch.records)
        if batch.objects:
            connection.execute(self._put_object, batch.objects)
        if batch.gone:
            connection.execute(self._delete_object, batch.gone)
        if batch.settled:
            connection.execute(self._delete_owed, batch.settled)
        if batch.owed:
            connection.execute(self._put_owed, batch.owed)
        if batch.offsets:
            connection.execute(self._put_offset, batch.offsets)
        kill_point("store.after_execute")

    def prune(self, keep_s: float = 7 * 86400.0, keep_rows: int = 200_000) -> int:
        """Remove the oldest records of the log; returns how many. Blocks, in short transactions: call it off the loop.

        A record goes only if it is older than keep_s seconds *and* not among the newest keep_rows, and only together
        with all before it, so that what is kept has no gaps. Objects, effects and offsets stay.
        """
        removed = 0
        log = schema.log.c
        while True:
            with self._write_lock:
                if self._closed:
                    return removed
                try:
                    connection = self._connect()
                    with connection.begin():
                        last = min(self._seq - keep_rows, self._oldest + _PRUNE_CHUNK - 1)
                        young = select(log.seq).where(log.seq <= last, log.time >= self._clock() - keep_s)
                        first_young = connection.execute(young.order_by(log.seq).limit(1)).scalar()
                        if first_young is not None:
                            last = first_young - 1
                        if last < self._oldest:
                            return removed
                        head = {"mine": self._epoch, "new_seq": self._seq, "new_commits": self._commits + 1}
                        if connection.execute(self._update_head, head).rowcount != 1:
                            raise self._taken_over()
                        removed += connection.execute(delete(schema.log).where(log.seq <= last)).rowcount
                        kill_point("store.prune.before_commit")
                except Exception as error:
                    if self._dialect.refused(error):
                        self._drop_connections()
                    raise as_refusal(self._dialect, error) from error
                self._commits += 1
                self._oldest = last + 1

    # --- reading ---------------------------------------------------------------------------------------------------
    def newest_seq(self) -> int:
        """The newest committed record's seq, 0 if there never was one."""
        return self._seq

    def oldest_seq(self) -> int:
        """The oldest record that is kept; newest_seq() + 1 if none is."""
        return self._oldest

    def read_log(
        self, after: int, topics: Sequence[str] | None, limit: int, stream: str | None = None
    ) -> list[StoredRecord]:
        """At most `limit` records with a seq above `after`, oldest first, of topics and stream (None: all)."""
        if after >= self._seq or limit <= 0:
            return []
        tail = self._tail
        if tail and tail[0].seq <= after + 1 and tail[0].seq >= self._oldest:
            found: list[StoredRecord] = []
            for index in range(after + 1 - tail[0].seq, len(tail)):
                record = tail[index]
                if (topics is None or record.topic in topics) and (stream is None or record.stream == stream):
                    found.append(record)
                    if len(found) >= limit:
                        break
            return found
        log = schema.log.c
        query = select(log.seq, log.stream, log.topic, log.type, log.v, log.time, log.data).where(log.seq > after)
        if topics is not None:
            query = query.where(log.topic.in_(list(topics)))
        if stream is not None:
            query = query.where(log.stream == stream)
        return [
            StoredRecord(seq=row[0], stream=row[1], topic=row[2], type=row[3], v=row[4], time=row[5], data=_raw(row[6]))
            for row in self._read(query.order_by(log.seq).limit(limit))
        ]

    def load(self, kind: str, ids: Sequence[str] | None = None, parent: str | None = None) -> list[bytes]:
        """The newest JSON of all objects of a kind, or of those with these ids or of this parent, oldest first."""
        objects = schema.objects.c
        query = select(objects.data, objects.sort, objects.id).where(objects.kind == kind)
        if parent is not None:
            query = query.where(objects.parent == parent)
        if ids is None:
            return [row[0] for row in self._read(query.order_by(objects.sort, objects.id))]
        rows: list[Any] = []
        wanted = list(dict.fromkeys(ids))
        for start in range(0, len(wanted), _IDS_A_QUERY):
            rows.extend(self._read(query.where(objects.id.in_(wanted[start : start + _IDS_A_QUERY]))))
        return [row[0] for row in sorted(rows, key=lambda row: (row[1], row[2]))]

    def owed(self) -> list[Owed]:
        """Effects that are not settled, in the order in which they were owed."""
        outbox = schema.outbox.c
        rows = self._read(select(outbox.key, outbox.stream, outbox.effect).order_by(outbox.place, outbox.key))
        return [Owed(key=row[0], stream=row[1], effect=_effect.decode(row[2])) for row in rows]

    def offsets(self) -> dict[str, int]:
        """How many bytes of each file of facts are applied."""
        return {row[0]: row[1] for row in self._read(select(schema.offsets.c.file, schema.offsets.c.bytes))}

    def _read(self, query: Any) -> Sequence[Any]:
        with self._read_lock:
            for last_try in (False, True):
                try:
                    if self._closed:
                        raise self._ended()
                    if self._dialect.one_connection:
                        connection = self._connect()
                        with connection.begin():
                            return connection.execute(query).all()
                    if self._reading is None:
                        self._reading = self._dialect.reader()
                    return self._reading.execute(query).all()
                except Exception as error:
                    # A server that was restarted leaves a dead connection behind: one new one is worth a try.
                    if isinstance(error, RagentError) or not self._dialect.refused(error) or last_try:
                        raise as_refusal(self._dialect, error) from error
                    if self._dialect.one_connection:
                        self._drop_connections()
                    elif self._reading is not None:
                        self._reading.invalidate()
                        self._reading = None
        raise AssertionError("unreachable")

    # --- the end ---------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Commit what is queued, give the database back. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        with self._write_lock, self._read_lock:
            try:
                if self._writing is not None and not self._lost:
                    with self._writing.begin():
                        mine = schema.head.c.epoch == self._epoch
                        self._writing.execute(update(schema.head).where(mine).values(owner=""))
            except Exception as error:
                self.problem = str(error)  # the next owner then asks for --take-over, or is on this host
            self._drop_connections()


def _raw(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(data)
