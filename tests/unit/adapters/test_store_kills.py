"""A writer that is killed with SIGKILL inside a commit: what it acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import Tx

ROOT = Path(__file__).parents[3]

WRITER = """
import asyncio, sys
from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.domain.effects import Launch, Owed
from ragent_jupyter.domain.events import Record
from ragent_jupyter.domain.ports import RowPut, Tx

store = open_store(sys.argv[1], network=sys.argv[2] == "network")

async def caller(who):
    for n in range(50):
        token = f"{who}.{n}"
        await store.commit(Tx(
            records=[Record(stream=token, topic="runs", type="t", data=part) for part in range(3)],
            puts=[RowPut(kind="run", id=token, data=b"{}")],
            owed=[Owed(key="launch:" + token, stream=token, effect=Launch(run_id=token))],
            offsets={token: 1},
        ))
        print(token, flush=True)

async def main():
    await asyncio.gather(*[caller(who) for who in range(8)])

asyncio.run(main())
"""


@pytest.mark.parametrize("network", ["local", "network"])
@pytest.mark.parametrize(
    "kill_at",
    [
        "store.before_execute:3",
        "store.after_execute:1",
        "store.after_execute:4",
        "store.before_commit:2",
        "store.after_commit:1",
        "store.after_commit:5",
        "store.open.before_commit:1",
        "store.open.after_commit:1",
    ],
)
def test_what_was_acknowledged_is_there_and_nothing_by_half(tmp_path: Path, kill_at: str, network: str) -> None:
    path = tmp_path / "ragent.db"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), network],
        env={**os.environ, "RAGENT_KILL_AT": kill_at, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    acknowledged = set(done.stdout.decode().split())
    store = open_store(path, network=network == "network")
    parts: dict[str, list[int]] = {}
    log = store.read_log(0, None, 10_000)
    for stored in log:
        parts.setdefault(stored.stream, []).append(msgspec.json.decode(stored.data))
    assert [stored.seq for stored in log] == list(range(1, store.newest_seq() + 1))
    assert acknowledged <= set(parts)
    assert all(found == [0, 1, 2] for found in parts.values())
    assert set(parts) == set(store.offsets()) == {owed.stream for owed in store.owed()}
    assert len(store.load("run")) == len(parts)
    if "open" not in kill_at:
        assert acknowledged or int(kill_at[-1]) == 1
    assert store.commit_now(Tx(records=[Record(stream="s", topic="runs", type="t", data=0)])) == [len(log) + 1]
    store.close()
