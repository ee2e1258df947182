"""The stores' contract on SQLite (both ways of journalling), on the fake, and on PostgreSQL where one is given.

`RAGENT_TEST_POSTGRES=postgresql://…` names a database in which the tests may make and drop schemas.
"""

from __future__ import annotations

import os
import resource
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragent_jupyter.adapters.store import MemoryDisk, MemoryStore, SqlStore, open_store
from ragent_jupyter.domain.ports import Store, Tx

from .store import StoreContract, commit, launch, put, record

POSTGRES = os.environ.get("RAGENT_TEST_POSTGRES", "")


class SqlitePlace:
    def __init__(self, folder: Path, network: bool = False) -> None:
        self.path = folder / "ragent.db"
        self.network = network
        self.now = 100.0
        self.opened: list[SqlStore] = []

    def open(self) -> SqlStore:
        self.opened.append(open_store(self.path, lambda: self.now, network=self.network))
        return self.opened[-1]

    @contextmanager
    def refusing(self, store: Store) -> Iterator[None]:
        # No file of this process may grow: what a quota does, without root.
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def close(self) -> None:
        for store in self.opened:
            store.close()


class MemoryPlace:
    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.now = 100.0

    def open(self) -> MemoryStore:
        return MemoryStore(self.disk, lambda: self.now)

    @contextmanager
    def refusing(self, store: Store) -> Iterator[None]:
        self.disk.refuse = "The disk in memory is full."
        try:
            yield
        finally:
            self.disk.refuse = None


class PostgresPlace:
    def __init__(self) -> None:
        import psycopg

        self.admin = psycopg.connect(POSTGRES, autocommit=True)
        self.namespace = f"test_{secrets.token_hex(4)}"
        self.now = 100.0
        self.opened: list[SqlStore] = []

    def open(self) -> SqlStore:
        self.opened.append(open_store(POSTGRES, lambda: self.now, namespace=self.namespace))
        return self.opened[-1]

    @contextmanager
    def refusing(self, store: Store) -> Iterator[None]:
        # The server comes back read-only and has dropped its connections, as after a failover.
        database = self.admin.info.dbname
        drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
        self.admin.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
        self.admin.execute(drop, (database,))
        try:
            yield
        finally:
            self.admin.execute("SET default_transaction_read_only = off")
            self.admin.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
            self.admin.execute(drop, (database,))

    def close(self) -> None:
        for store in self.opened:
            store.close()
        self.admin.execute(f"DROP SCHEMA IF EXISTS {self.namespace} CASCADE")
        self.admin.close()


class TestSqlite(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[SqlitePlace]:
        place = SqlitePlace(tmp_path)
        yield place
        place.close()


class TestSqliteOnANetworkFileSystem(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[SqlitePlace]:
        place = SqlitePlace(tmp_path, network=True)
        yield place
        place.close()


class TestMemory(StoreContract):
    @pytest.fixture
    def place(self) -> MemoryPlace:
        return MemoryPlace()


@pytest.mark.skipif(not POSTGRES, reason="RAGENT_TEST_POSTGRES names no database")
class TestPostgres(StoreContract):
    @pytest.fixture
    def place(self) -> Iterator[PostgresPlace]:
        place = PostgresPlace()
        yield place
        place.close()


_names = st.sampled_from(["a", "b", "c"])
_txs = st.builds(
    lambda records, puts, owed, settled, offsets: Tx(
        records=[record(stream, topic) for stream, topic in records],
        puts=[put(id_, str(n).encode(), sort=n) for id_, n in puts],
        owed=[launch(name) for name in owed],
        settled=[f"launch:{name}" for name in settled],
        offsets=offsets,
    ),
    records=st.lists(st.tuples(_names, st.sampled_from(["runs", "alerts"])), max_size=3),
    puts=st.lists(st.tuples(_names, st.integers(0, 9)), max_size=3),
    owed=st.lists(_names, max_size=2, unique=True),
    settled=st.lists(_names, max_size=2, unique=True),
    offsets=st.dictionaries(_names, st.integers(0, 99), max_size=2),
)
_steps = st.one_of(st.lists(_txs, min_size=1, max_size=4), st.just("reopen"), st.integers(0, 5))


def _picture(store: Store) -> Any:
    log = [(r.seq, r.stream, r.topic, bytes(r.data), r.time) for r in store.read_log(0, None, 1000)]
    return log, store.load("run"), store.owed(), store.offsets(), store.newest_seq(), store.oldest_seq()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(_steps, max_size=8))
def test_whatever_happens_the_database_and_the_fake_agree(steps: list[Any], tmp_path_factory: Any) -> None:
    real, fake = SqlitePlace(tmp_path_factory.mktemp("store")), MemoryPlace()
    one, other = real.open(), fake.open()
    try:
        for step in steps:
            real.now = fake.now = real.now + 1
            if step == "reopen":
                one.close()
                one, other = real.open(), fake.open()
            elif isinstance(step, int):
                assert one.prune(1.5, step) == other.prune(1.5, step)
            else:
                assert commit(one, *step) == commit(other, *step)
            assert _picture(one) == _picture(other)
    finally:
        real.close()
