"""The engine and its database: who owns it, and where it may lie."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import psutil
import pytest

from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.domain.errors import Held, RagentError
from ragent_jupyter.runfiles.project import project_hash
from tests.support.engine import Project, project

POSTGRES = os.environ.get("RAGENT_TEST_POSTGRES", "")


def test_an_engine_whose_database_was_taken_over_refuses_and_ends(one: Project) -> None:
    run = one.run("true")
    one.wait(run)
    pid = one.engine_pid
    other = open_store(one.folder / ".ragent" / "ragent.db")  # an engine on another host, say
    with pytest.raises(Held) as refused:
        one.run("true")
    assert refused.value.status == 423
    one.until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    other.close()
    assert one.client.run(run.id).status.value == "finished"  # any door begins anew
    assert one.wait(one.run("true")).status.value == "finished"


def test_an_engine_can_be_told_that_the_owner_on_another_host_is_gone(
    one: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = one.folder / ".ragent" / "ragent.db"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "elsewhere")
        open_store(path, network=True)._drop_connections()  # that host went down
    argv = [sys.executable, "-c", _ON_NFS, "--project", str(one.folder), "--idle", "0.4"]
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "--take-over" in refused.stderr
    assert subprocess.run([*argv, "--take-over"], capture_output=True, timeout=60, check=False).returncode == 0
    assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0  # now it is ours


# The engine, on a file system that says it is NFS.
_ON_NFS = """
import sys
from ragent_jupyter.adapters.store import dialect
dialect.file_system_of = lambda path: "nfs4"
from ragent_jupyter.engine.app import main
sys.exit(main())
"""


@pytest.mark.skipif(not POSTGRES, reason="RAGENT_TEST_POSTGRES names no database")
def test_two_projects_on_one_postgresql_server_know_nothing_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    monkeypatch.setenv("DATABASE_URL", POSTGRES)
    with project("process") as a, project("process") as b:
        schemas = [f"ragent_{project_hash(p.folder)}" for p in (a, b)]
        try:
            first = a.wait(a.run("echo a"))
            second = b.wait(b.run("exit 3"))
            assert (first.status.value, second.status.value) == ("finished", "failed")
            assert [run.id for run in a.client.all_runs()] == [first.id]
            assert [run.id for run in b.client.all_runs()] == [second.id]
            a.kill_engine()
            assert a.client.run(first.id).status.value == "finished"
            assert not (a.folder / ".ragent" / "ragent.db").exists()
        finally:
            for p in (a, b):
                with contextlib.suppress(RagentError):
                    p.client.post("drain")
                p.until(lambda p=p: _gone(p))
            with psycopg.connect(POSTGRES, autocommit=True) as admin:
                for schema in schemas:
                    admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def _gone(p: Project) -> bool:
    from ragent_jupyter.client import engine_status

    try:
        engine_status(p.folder)
    except RagentError:
        return True
    return False
