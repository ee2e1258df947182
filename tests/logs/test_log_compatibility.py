"""Every release's golden database is opened by today's code, and says what it said then."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.domain.alert import Alert
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import Tx
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.sweep import Sweep
from ragent_jupyter.services.shell import Shell

from .make_golden import REPORT, alert, picture, runs, sweep

RELEASES = sorted(Path(__file__).parent.glob("v*/ragent.sql"))
TYPES: dict[str, Any] = {"run": Run, "sweep": Sweep, "alert": Alert}


def _restore(sql: Path, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(sql.read_text())
    connection.close()


def test_there_is_a_golden_log() -> None:
    assert [path.parent.name for path in RELEASES][:1] == ["v1"]


@pytest.mark.parametrize("sql", RELEASES, ids=lambda path: path.parent.name)
def test_an_older_release_s_database_says_what_it_said_then(sql: Path, tmp_path: Path) -> None:
    _restore(sql, tmp_path / "ragent.db")
    store = open_store(tmp_path / "ragent.db")
    expected = [msgspec.json.decode(line) for line in (sql.parent / "expected.jsonl").read_bytes().splitlines()]
    assert picture(store) == expected
    newest = store.newest_seq()
    assert store.commit_now(Tx(records=[Record(stream="s", topic="runs", type="t", data=1)])) == [newest + 1]
    store.close()


@pytest.mark.parametrize("sql", RELEASES, ids=lambda path: path.parent.name)
def test_an_older_release_s_objects_are_read_as_today_s(sql: Path, tmp_path: Path) -> None:
    _restore(sql, tmp_path / "ragent.db")
    store = open_store(tmp_path / "ragent.db")
    shell = Shell(store)
    owed = shell.load()
    if sql.parent.name == "v1":
        assert list(shell.runs.values()) == runs()
        assert list(shell.sweeps.values()) == [sweep()]
        assert list(shell.alerts.values()) == [alert()]
        assert shell.reports == {"rep_1": REPORT}
        assert shell.prefs == {"parallel": 3}
        assert shell.offsets == {"run_1/facts": 4096, "run_1/wrapper": 17}
        keys = ["launch:run_0", "send_stop:run_1:ord_1", "send_answer:run_1:ord_2", "send_finish:run_1:ord_3"]
        assert [one.key for one in owed] == keys
    for stored in store.read_log(0, ["runs", "sweeps", "alerts"], 1000):
        msgspec.json.decode(stored.data, type=TYPES[stored.type.split("_")[0]])
    store.close()
