"""What the SQL store does beyond the contract: files, locks, migrations, refused batches."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

import ragent_jupyter.adapters.store as package
from ragent_jupyter.adapters.store import dialect, migrations, open_store, schema
from ragent_jupyter.adapters.store.sql_store import SqlStore
from ragent_jupyter.domain.errors import CannotBeDone, Held, StoreFailed
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import RowPut, Tx


def tx(n: int = 1, **more: Any) -> Tx:
    return Tx(records=[Record(stream="run_a", topic="runs", type="run_changed", data={"n": n})], **more)


def gather(store: SqlStore, *txs: Tx) -> list[Any]:
    async def inside() -> list[Any]:
        return await asyncio.gather(*[store.commit(one) for one in txs], return_exceptions=True)

    return asyncio.run(inside())


def sql(path: Path, statement: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        store = open_store(tmp_path / "ragent.db")
        store.commit_now(tx())
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(old)
    assert modes == {"ragent.db": 0o600, "ragent.db-wal": 0o600, "ragent.db-shm": 0o600}


def test_each_commit_is_synced(tmp_path: Path) -> None:
    store = open_store(tmp_path / "ragent.db")
    connection = store._writing
    assert connection is not None
    assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    connection.rollback()
    store.close()


def test_on_a_network_file_system_there_is_no_wal_and_the_lock_is_held(tmp_path: Path) -> None:
    path = tmp_path / "ragent.db"
    open_store(path).close()  # was made on a local disk, then moved
    store = open_store(path, network=True)
    store.commit_now(tx())
    assert not list(tmp_path.glob("*-wal")) + list(tmp_path.glob("*-shm"))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other = sqlite3.connect(path, timeout=0)
        try:
            other.execute("SELECT * FROM head").fetchall()
        finally:
            other.close()
    assert len(store.read_log(0, None, 9)) == 1
    store.close()


def test_an_owner_on_another_host_is_never_judged_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ragent.db"
    dead = open_store(path, network=True)
    dead._drop_connections()  # its host went down: nothing was closed
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    with pytest.raises(Held) as held:
        open_store(path, network=True)
    assert "--take-over" in held.value.remedy
    store = open_store(path, network=True, take_over=True)
    assert store.commit_now(tx()) == [1]
    store._drop_connections()  # this one goes down as well, and is now the owner that is not judged dead
    monkeypatch.undo()
    with pytest.raises(Held, match="elsewhere"):
        open_store(path, network=True)
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    open_store(path, network=True).close()
    monkeypatch.undo()
    back = open_store(path, network=True)  # closed properly: anyone may open it
    assert back.commit_now(tx(2)) == [2]
    back.close()
    with pytest.raises(Held):
        dead.commit_now(tx(99))  # it was not dead after all
    dead.close()


def test_a_locally_held_database_is_opened_again_after_a_crash_under_another_host_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(tmp_path / "a.db", network=False)._drop_connections()
    monkeypatch.setattr("platform.node", lambda: "renamed-by-dhcp")
    store = open_store(tmp_path / "a.db", network=False)
    assert store.commit_now(tx()) == [1]
    store.close()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/data/p", "ext4"),
        ("/home/ada/project", "nfs4"),
        ("/home/ada/scratch/x", "tmpfs"),
        ("/homestead", "ext4"),
        ("/my disk/x", "cifs"),
    ],
)
def test_the_longest_mount_point_tells_the_file_system(path: str, found: str) -> None:
    mounts = "\n".join(
        [
            "/dev/vda / ext4 rw 0 0",
            "srv:/home /home nfs4 rw 0 0",
            "tmpfs /home/ada/scratch tmpfs rw 0 0",
            r"//nas/x /my\040disk cifs rw 0 0",
            "broken",
        ]
    )
    assert dialect.file_system_of(path, mounts) == found


def test_nfs_is_seen_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "file_system_of", lambda path: "nfs4")
    assert dialect.dialect_for(tmp_path / "x.db", "ragent").one_connection
    monkeypatch.setattr(dialect, "file_system_of", lambda path: "ext4")
    assert not dialect.dialect_for(tmp_path / "x.db", "ragent").one_connection


@pytest.mark.parametrize("url", ["mysql://u@h/d", "sqlite://", "://", "nonsense://"])
def test_other_databases_are_refused_in_words(url: str) -> None:
    with pytest.raises(CannotBeDone) as refused:
        open_store(url)
    assert refused.value.remedy


def test_a_password_is_not_shown() -> None:
    shown = dialect.dialect_for("postgres://ada:secret@db/x", "ragent").place
    assert "secret" not in shown
    assert "db/x" in shown


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed) as refused:
        open_store(tmp_path / "none" / "ragent.db")
    assert str(tmp_path) in refused.value.problem


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "ragent.db").write_text("hello " * 1000)
    with pytest.raises(StoreFailed, match="not a database"):
        open_store(tmp_path / "ragent.db")


# --- migrations ------------------------------------------------------------------------------------------------------
def test_the_migrations_lead_to_the_tables_of_schema_py(tmp_path: Path) -> None:
    open_store(tmp_path / "migrated.db").close()
    by_hand = create_engine(f"sqlite:///{tmp_path}/by_hand.db")
    schema.metadata.create_all(by_hand)

    def tables(engine: Any) -> Any:
        see = inspect(engine)
        return {
            name: (
                [(c["name"], str(c["type"]), c["nullable"], c["primary_key"]) for c in see.get_columns(name)],
                sorted((i["name"], tuple(i["column_names"])) for i in see.get_indexes(name)),
            )
            for name in see.get_table_names()
        }

    assert tables(create_engine(f"sqlite:///{tmp_path}/migrated.db")) == tables(by_hand)
    assert len(tables(by_hand)) == 6


def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "ragent.db"
    store = open_store(path)
    store.commit_now(tx())
    store.close()
    sql(path, f"INSERT INTO schema_version VALUES ({migrations.NEWEST + 1}, 0, '9.0')")
    before = sql(path, "SELECT * FROM head")
    with pytest.raises(CannotBeDone) as refused:
        open_store(path)
    assert "pgrade ragent" in refused.value.remedy
    assert sql(path, "SELECT * FROM head") == before


def _second_release(monkeypatch: pytest.MonkeyPatch, up: Any) -> None:
    monkeypatch.setattr(migrations, "STEPS", [*migrations.STEPS, (migrations.NEWEST + 1, up)])
    monkeypatch.setattr(migrations, "NEWEST", migrations.NEWEST + 1)


def test_an_older_database_is_brought_forward_after_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ragent.db"
    store = open_store(path)
    store.commit_now(tx(7))
    store.close()
    old = migrations.NEWEST

    def up(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE objects ADD COLUMN colour TEXT"))

    _second_release(monkeypatch, up)
    store = open_store(path)
    assert [bytes(r.data) for r in store.read_log(0, None, 9)] == [b'{"n":7}']
    assert store.commit_now(tx(8)) == [2]
    store.close()
    assert sql(path, "SELECT max(version) FROM schema_version") == [(old + 1,)]
    copy = tmp_path / f"ragent.db.v{old}.bak"
    assert sql(copy, "SELECT seq FROM log") == [(1,)]
    assert sql(copy, "SELECT max(version) FROM schema_version") == [(old,)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ragent.db"
    store = open_store(path)
    store.commit_now(tx(7))
    store.close()

    def up(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE objects ADD COLUMN colour TEXT"))
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as later:
        _second_release(later, up)
        with pytest.raises(StoreFailed):
            open_store(path)
    store = open_store(path)
    assert store.commit_now(tx(8)) == [2]
    store.close()
    assert "colour" not in {c["name"] for c in inspect(create_engine(f"sqlite:///{path}")).get_columns("objects")}


# --- shared commits --------------------------------------------------------------------------------------------------
def test_a_transaction_that_the_database_cannot_take_fails_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "ragent.db")
    bad = Tx(
        records=[Record(stream="run_b", topic="runs", type="t", data=1)],
        puts=[RowPut(kind="run", id="run_b", data=b"{}", status=None)],  # type: ignore[arg-type]
        offsets={"f": 1},
    )
    answers = gather(store, tx(1), bad, tx(2), tx(3))
    assert [type(answer) for answer in answers] == [list, StoreFailed, list, list]
    assert sorted(seq for answer in answers if isinstance(answer, list) for seq in answer) == [1, 2, 3]
    assert [r.stream for r in store.read_log(0, None, 9)] == ["run_a"] * 3
    assert (store.load("run"), store.offsets()) == ([], {})
    store.close()
    assert sql(tmp_path / "ragent.db", "SELECT count(*) FROM log") == [(3,)]


def _answer_lost(store: SqlStore, commits: bool) -> None:
    """The next commit reports an I/O error, after it was done or instead of it."""
    engine = store._dialect._writers  # type: ignore[attr-defined]
    real = type(engine.dialect).do_commit

    def once(connection: Any) -> None:
        engine.dialect.do_commit = lambda connection: real(engine.dialect, connection)
        if commits:
            real(engine.dialect, connection)
        raise sqlite3.OperationalError("disk I/O error")

    engine.dialect.do_commit = once


def test_a_commit_whose_answer_was_lost_is_told_by_what_the_disk_holds(tmp_path: Path) -> None:
    store = open_store(tmp_path / "ragent.db")
    store.commit_now(tx(1))
    _answer_lost(store, commits=True)
    assert store.commit_now(tx(2)) == [2]
    _answer_lost(store, commits=False)
    with pytest.raises(StoreFailed):
        store.commit_now(tx(99))
    assert store.commit_now(tx(3)) == [3]
    assert [bytes(r.data) for r in store.read_log(0, None, 9)] == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    store.close()
    assert sql(tmp_path / "ragent.db", "SELECT seq FROM log ORDER BY seq") == [(1,), (2,), (3,)]


def test_a_full_disk_is_named_with_its_remedy(tmp_path: Path) -> None:
    store = open_store(tmp_path / "ragent.db")
    store.commit_now(tx())
    assert store._writing is not None
    store._writing.exec_driver_sql("PRAGMA max_page_count = 1")
    store._writing.rollback()
    with pytest.raises(StoreFailed, match="is full") as full:
        store.commit_now(Tx(records=[Record(stream="s", topic="runs", type="t", data="x" * 1_000_000)]))
    assert "ragent gc" in full.value.remedy
    assert "is full" in (store.problem or "")
    assert store.commit_now(tx(2)) == [2]  # the limit went with the connection
    store.close()


def test_old_records_are_read_from_disk_and_new_ones_from_memory_alike(tmp_path: Path) -> None:
    store = open_store(tmp_path / "ragent.db")
    total = 0
    for size in (1, 2000, 2100, 3, 2500, 1):  # past the point where the memory lets the oldest go
        store.commit_now(Tx(records=[Record(stream="s", topic="runs", type="t", data=total + i) for i in range(size)]))
        total += size
    assert store._tail[0].seq > 1
    edge = store._tail[0].seq
    for after in (0, edge - 3, edge - 2, edge - 1, edge, total - 1):
        found = store.read_log(after, None, 5)
        assert [r.seq for r in found] == list(range(after + 1, min(after + 5, total) + 1))
        assert [int(bytes(r.data)) for r in found] == [r.seq - 1 for r in found]
    store.close()


def test_only_dialect_py_knows_one_database_from_another() -> None:
    words = re.compile(r"\b(PRAGMA|sqlite|sqlite3|postgres\w*|psycopg|exec_driver_sql|ON CONFLICT)\b", re.I)
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        if path.name == "dialect.py":
            continue
        code = re.sub(r'"""(.|\n)*?"""|#.*', "", path.read_text())
        assert not words.findall(code), path
