"""What differs between the databases. The only file with SQL, pragmas or locks that one of them alone understands."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, Table, create_engine, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from ragent_jupyter.domain.errors import CannotBeDone, Held, MissingPart, RagentError, StoreFailed

# SQLite makes only a column of exactly INTEGER its row id, which already is 64 bits wide.
BIGINT = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")

# File systems on which two hosts do not share memory, which SQLite's write-ahead log needs, and may not share locks.
# fmt: off
NETWORK = frozenset((
    "nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs",
    "beegfs", "panfs", "wekafs", "ocfs2", "gfs2", "orangefs", "vboxsf", "vmhgfs", "fuse.sshfs", "fuse.glusterfs",
    "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs", "fuse.rclone", "fuse.moosefs",
    "fuse.vmhgfs-fuse", "fuse.davfs", "davfs",
))
# fmt: on


def file_system_of(path: str, mounts: str | None = None) -> str:
    """The type of the file system that holds `path` ("ext4", "nfs4" …), "" where it cannot be told (macOS).

    mounts: the text of /proc/mounts.
    >>> file_system_of("/home/ada/p", "/dev/vda / ext4 rw 0 0\\nsrv:/home /home nfs4 rw 0 0\\n")
    'nfs4'
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text("utf-8", "surrogateescape")
        except OSError:
            return ""
    real = os.path.realpath(path)
    best, found = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # A space in a mount point is written \040, a tab \011.
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # A later mount over the same point hides the earlier one.
        if inside and len(point) >= best:
            best, found = len(point), fields[2]
    return found


class Dialect(ABC):
    """How to reach one database. Connections belong to one caller at a time; a broken one is closed and made anew."""

    place: str  # for people: a path, or a URL without its password
    one_connection = False  # a second connection would be locked out: readers share the writer's
    check_owner = False  # nothing but the recorded owner tells whether another host has it open

    @abstractmethod
    def prepare(self) -> None:
        """Once, before the first connection. Raises a RagentError that says what to do."""

    @abstractmethod
    def writer(self) -> Connection: ...

    @abstractmethod
    def reader(self) -> Connection:
        """Never inside a transaction: each statement sees what is committed."""

    @abstractmethod
    def backup(self, version: int) -> str | None:
        """Copy the database before its tables change; returns where the copy is, None where this cannot be done."""

    @abstractmethod
    def _insert(self, table: Table) -> Any: ...

    def upsert(self, table: Table) -> Any:
        """Insert a row or replace the one with the same primary key."""
        statement = self._insert(table)
        return statement.on_conflict_do_update(
            index_elements=[column.name for column in table.primary_key],
            set_={column.name: statement.excluded[column.name] for column in table.c if not column.primary_key},
        )

    def refused(self, error: BaseException) -> bool:
        """True if the disk or the server refused, whatever was asked; False if what was asked is at fault."""
        if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
            return True
        return isinstance(error, OSError) or type(error) in (
            exc.OperationalError,
            exc.DatabaseError,
            exc.InternalError,
            exc.DBAPIError,
        )

    def explain(self, error: BaseException) -> StoreFailed:
        """The refusal in words, with what to do."""
        said = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        lower = said.lower()
        for mark, problem, remedy in _REFUSALS:
            if mark in lower:
                return StoreFailed(problem.format(place=self.place), f"{remedy} What was acknowledged is safe.")
        return StoreFailed(
            f"The database {self.place} refused to write: {said}.",
            "See `ragent doctor`. What was acknowledged is safe.",
        )


_REFUSALS = (
    (
        "is full",
        "The disk that holds {place} is full.",
        "Free some space (`ragent gc --dry-run` shows what could go); work goes on by itself.",
    ),
    ("no space left", "The disk of the database server {place} is full.", "Free some space there."),
    ("readonly", "{place} cannot be written: it, its folder or its disk is read-only.", "Make it writable again."),
    ("read-only", "{place} is read-only.", "Make the database writable again."),
    ("disk i/o", "The disk that holds {place} reported an error.", "Check the disk (dmesg, quota, network mount)."),
    ("unable to open", "{place} cannot be opened.", "Check that its folder exists and is yours."),
    ("locked", "{place} is locked by another program.", "Close what has the file open (`fuser` names it)."),
    ("malformed", "{place} is damaged.", "Restore a copy: the runs' folders hold their own facts and metrics."),
    ("not a database", "{place} is not a database.", "Move it away; it was not written by ragent."),
)


class Sqlite(Dialect):
    """A file: write-ahead log, each commit fsynced. On a network file system a rollback journal under one held lock."""

    def __init__(self, path: Path, network: bool | None = None) -> None:
        self.path = path
        self.place = str(path)
        if network is None:
            network = file_system_of(str(path.parent)) in NETWORK
        self.one_connection = self.check_owner = network
        self._writers: Engine | None = None
        self._readers: Engine | None = None

    def prepare(self) -> None:
        try:
            # Made here, not by SQLite: the database holds what users put in environments, and is theirs alone.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            if not self.one_connection:
                with contextlib.closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as probe:
                    # SQLite answers with the mode it has: where memory cannot be shared that is not WAL.
                    self.one_connection = probe.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal"
        except (OSError, sqlite3.Error) as error:
            raise self.explain(error) from error
        url = URL.create("sqlite", database=str(self.path))
        # A lock that is held for an engine's whole life is not worth a long wait.
        args = {"check_same_thread": False, "timeout": 1 if self.one_connection else 5}
        self._writers = create_engine(url, poolclass=NullPool, connect_args=args)
        event.listen(self._writers, "connect", self._set_pragmas)
        # Not sqlite3's own implicit BEGIN: it starts a transaction late, and only before some statements.
        event.listen(self._writers, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        self._readers = create_engine(url, poolclass=NullPool, connect_args=args, isolation_level="AUTOCOMMIT")
        event.listen(self._readers, "connect", self._set_pragmas)

    def _set_pragmas(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        if self.one_connection:
            # The lock is taken once and held, for a lock that is let go can be lost on such file systems. EXTRA also
            # syncs the folder after the journal is deleted, else a power cut could bring it back and undo a commit.
            modes = ["locking_mode=EXCLUSIVE", "journal_mode=DELETE", "synchronous=EXTRA"]
        else:
            modes = ["journal_mode=WAL", "synchronous=FULL", "journal_size_limit=67108864"]
        # fullfsync: macOS's plain fsync leaves the bytes in the drive's own memory. Elsewhere it changes nothing.
        for mode in [*modes, "fullfsync=1", "checkpoint_fullfsync=1", "cache_size=-8000", "temp_store=MEMORY"]:
            connection.execute(f"PRAGMA {mode}")

    def writer(self) -> Connection:
        assert self._writers is not None, "prepare() comes first"
        try:
            return self._writers.connect()
        except exc.OperationalError as error:
            if "locked" in str(error.orig):
                raise Held(
                    f"The database {self.place} is open in another process, perhaps on another host.",
                    "Stop that engine (`ragent serve --stop` there), or close the program that holds the file.",
                ) from error
            raise

    def reader(self) -> Connection:
        assert self._readers is not None, "prepare() comes first"
        return self._readers.connect()

    def backup(self, version: int) -> str | None:
        copy = self.path.with_name(f"{self.path.name}.v{version}.bak")
        partial = copy.with_suffix(".part")
        partial.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(self.path)) as source,
            contextlib.closing(sqlite3.connect(partial)) as target,
        ):
            source.backup(target)
        with open(partial, "rb") as done:
            os.fsync(done.fileno())
        os.replace(partial, copy)
        return str(copy)

    def _insert(self, table: Table) -> Any:
        return sqlite.insert(table)


class Postgres(Dialect):
    """A schema of a PostgreSQL database, held by one advisory lock. namespace: [a-z0-9_]+, one per project."""

    def __init__(self, url: URL, namespace: str) -> None:
        if not re.fullmatch(r"[a-z0-9_]{1,48}", namespace):
            raise CannotBeDone(f"{namespace!r} cannot name a database schema.", "Use a-z, 0-9 and _ only.")
        self.url = url.set(drivername="postgresql+psycopg")
        self.place = url.render_as_string(hide_password=True)
        self.namespace = namespace
        self._key = int.from_bytes(hashlib.sha256(f"ragent/{namespace}".encode()).digest()[:8], "big", signed=True)
        self._engine: Engine | None = None

    def prepare(self) -> None:
        args = {"options": f"-csearch_path={self.namespace}", "connect_timeout": 10}
        try:
            self._engine = create_engine(self.url, poolclass=NullPool, connect_args=args)
        except ModuleNotFoundError as error:
            raise MissingPart(
                "PostgreSQL needs the package psycopg, which is not installed.",
                "pip install 'ragent-jupyter[postgres]'",
            ) from error

    def writer(self) -> Connection:
        assert self._engine is not None, "prepare() comes first"
        connection = self._engine.connect()
        try:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.namespace}")
            # Held by the session: it ends with the connection, however that ends.
            held = connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (self._key,)).scalar()
            connection.commit()
        except BaseException:
            connection.close()
            raise
        if not held:
            connection.close()
            raise Held(
                f"Another engine has {self.place} ({self.namespace}) open.",
                "Stop it there (`ragent serve --stop`), or give this project a database of its own (DATABASE_URL).",
            )
        return connection

    def reader(self) -> Connection:
        assert self._engine is not None, "prepare() comes first"
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def backup(self, version: int) -> str | None:
        return None  # the server's own backups serve; the migration is one transaction there as well

    def _insert(self, table: Table) -> Any:
        return postgresql.insert(table)


def dialect_for(place: str | os.PathLike[str], namespace: str, network: bool | None = None) -> Dialect:
    """The dialect for a path, `sqlite:///path` or `postgresql://…`. Raises CannotBeDone for any other database."""
    text = os.fspath(place)
    if "://" not in text:
        return Sqlite(Path(text).absolute(), network)
    try:
        url = make_url(re.sub(r"^postgres://", "postgresql://", text))
    except exc.ArgumentError as error:
        raise CannotBeDone(f"{text!r} is not a database URL.", "Write postgresql://user@host/name.") from error
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database and url.database != ":memory:":
        return Sqlite(Path(url.database).absolute(), network)
    if kind == "postgresql":
        return Postgres(url, namespace)
    raise CannotBeDone(
        f"ragent cannot keep its state in {kind!r}.",
        "Unset DATABASE_URL for SQLite, or write postgresql://user@host/name.",
    )


def as_refusal(dialect: Dialect, error: BaseException) -> RagentError:
    """An error of the database as one of ours."""
    return error if isinstance(error, RagentError) else dialect.explain(error)
