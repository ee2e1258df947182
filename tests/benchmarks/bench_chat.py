"""The way of a model's words: from the provider's first byte to a browser's socket, and how fast a long chat opens.

A provider on a real socket, an engine, a Jupyter server, a WebSocket: all of it real, all on this machine, so that one
clock times both ends. `python -m tests.benchmarks.bench_chat [--turns N]`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.engine import Project, project
from tests.support.fake_provider import FakeProvider, Reply
from tests.support.wait import wait_until

from .common import Result

KEY = "sk-ant-test-0123456789abcdefghij"
PARTS = 5_000
TOKEN = "bench"


def free_port() -> int:
    with closing(socket.socket()) as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


class Server:
    """A Jupyter server for a project's folder."""

    def __init__(self, p: Project) -> None:
        self.port = free_port()
        argv = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        argv += [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
        argv += [f"--ServerApp.root_dir={p.folder}", "--ServerApp.jpserver_extensions={'ragent_jupyter': True}"]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=p.folder)
        wait_until(self._up, 60, every=0.2, what="the Jupyter server")

    def _up(self) -> bool:
        try:
            self.ask("GET", "status")
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/ragent/api/v1/{path}", method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, data, timeout=60) as reply:
            return json.loads(reply.read())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


async def first_bytes(server: Server, provider: FakeProvider, turns: int) -> list[float]:
    """Milliseconds from the provider's first byte of words to the browser's, a turn each."""
    url = f"ws://127.0.0.1:{server.port}/ragent/api/v1/events/ws"
    ws = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {TOKEN}"}))
    await ws.write_message(json.dumps({"topics": ["sessions"]}))
    loop = asyncio.get_running_loop()
    session = (await loop.run_in_executor(None, server.ask, "POST", "sessions", {}))["id"]
    added: list[float] = []
    for turn in range(turns):
        message = {"text": f"turn {turn}"}
        await loop.run_in_executor(None, server.ask, "POST", f"sessions/{session}/messages", message)
        arrived: float | None = None
        over = False
        while not over:
            frame = await asyncio.wait_for(ws.read_message(), 30)
            now = time.monotonic()
            assert isinstance(frame, str)
            for line in frame.splitlines():
                event = json.loads(line)
                if event["type"] == "part_delta" and arrived is None:
                    arrived = now
                over = over or (event["type"] == "session_status" and not event["data"].get("turn"))
        sent = provider.calls[-1].first_byte_at
        assert arrived is not None and sent is not None
        added.append((arrived - sent) * 1000)
    ws.close()
    return added


def opening(server: Server) -> list[float]:
    """Milliseconds until a chat of 5,000 parts is there, asked as the panel asks (its newest 20 turns), and whole."""
    session = server.ask("GET", "sessions?limit=1")["sessions"][0]["id"]
    times = []
    for _ in range(7):
        began = time.perf_counter()
        server.ask("GET", f"sessions/{session}?turns=20")
        times.append((time.perf_counter() - began) * 1000)
    return times


def fill(p: Project) -> None:
    """A chat of 250 turns with 20 parts each, written as an engine would have left it."""
    import msgspec

    from ragent_jupyter.adapters.store import open_store
    from ragent_jupyter.domain.chat import Session, TextPart, ToolPart, Turn, UserMessage
    from ragent_jupyter.domain.ports import RowPut, Tx

    now = time.time()
    each = 20
    session = Session(id="ses_long", created_at=now, updated_at=now, title="long", turns=PARTS // each)
    puts = [RowPut(kind="session", id=session.id, data=msgspec.json.encode(session), status="idle", sort=now)]
    for n in range(1, PARTS // each + 1):
        message = UserMessage(id=f"msg_{n}", text="What about this one?", at=now)
        turn = Turn(id=f"trn_{n}", session_id=session.id, n=n, message=message, status="done", created_at=now, steps=10)
        puts.append(RowPut(kind="turn", id=turn.id, data=msgspec.json.encode(turn), parent=session.id, sort=now))
        for index in range(each):
            shared: dict[str, Any] = {
                "session_id": session.id,
                "turn_id": turn.id,
                "index": index,
                "step": 1 + index // 2,
            }
            part = (
                TextPart(id=f"prt_{n}_{index}", text="Some words of an answer. " * 12, status="done", **shared)
                if index % 2
                else ToolPart(
                    id=f"prt_{n}_{index}",
                    call_id=f"c{index}",
                    name="read_log",
                    status="done",
                    output="line\n" * 60,
                    **shared,
                )
            )
            data = msgspec.json.encode(part)
            puts.append(RowPut(kind="part", id=part.id, data=data, parent=session.id, sort=float(index)))
    store = open_store(os.fspath(p.folder / ".ragent" / "ragent.db"))
    for start in range(0, len(puts), 2000):
        store.commit_now(Tx(puts=puts[start : start + 2000]))  # type: ignore[attr-defined]
    store.close()


def run(short: bool = False) -> list[Result]:
    """Part of `python -m tests.benchmarks`."""
    turns = 12 if short else 60
    kept = {name: os.environ.get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")}
    with FakeProvider(key=KEY, default=Reply(text="word " * 20, delay=0.005)) as provider:
        os.environ |= {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
        try:
            with project("process") as p:
                fill(p)
                server = Server(p)
                try:
                    opened = opening(server)
                    added = asyncio.run(first_bytes(server, provider, turns))
                finally:
                    server.close()
        finally:
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
    p95 = statistics.quantiles(added, n=20)[-1]
    return [
        Result(
            what="provider's first byte → browser's socket, through Jupyter (p95)",
            who="ragent",
            unit="ms",
            better="less",
            values=[p95],
            goal=50.0,
            note=f"{turns} turns, median {statistics.median(added):.1f} ms",
        ),
        Result(
            what=f"a chat of {PARTS:,} parts opens: its newest 20 turns, through Jupyter",
            who="ragent",
            unit="ms",
            better="less",
            values=opened,
            goal=500.0,
            note=f"first time {opened[0]:.0f} ms, read from the database",
        ),
    ]


if __name__ == "__main__":
    from .common import show

    show(run("--short" in sys.argv), "--json" in sys.argv)
