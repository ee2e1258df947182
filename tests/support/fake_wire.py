"""A stand-in for the engine: a Unix socket that speaks the wire, for tests of the doors.

python fake_wire.py PROJECT     serves until killed, and notes what it saw in PROJECT/.ragent/seen.jsonl
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from ragent_jupyter import __version__
from ragent_jupyter.runfiles.project import ensure_ragent_dir, socket_path

API = "/ragent/api/v1/"
STATUS: dict[str, Any] = {
    "project": "", "version": __version__, "log_id": "log1", "seq": 7, "pid": os.getpid(), "started_at": 1.0,
    "counts": {"running": 1}, "live": 1, "queued": 0, "alerts": 0,
}  # fmt: skip


class Base(RequestHandler):
    def initialize(self, project: Path) -> None:
        self.project = project

    def note(self, **what: Any) -> None:
        with open(self.project / ".ragent" / "seen.jsonl", "a") as seen:
            seen.write(json.dumps(what) + "\n")

    def compute_etag(self) -> None:
        return None


class Status(Base):
    def get(self) -> None:
        self.write(STATUS | {"project": str(self.project), "pid": os.getpid(), **overrides(self.project)})


def overrides(project: Path) -> dict[str, Any]:
    """What a test wants the status to say."""
    path = project / ".ragent" / "status.json"
    return json.loads(path.read_text()) if path.exists() else {}


class Echo(Base):
    """Says what it was asked: the tests look at what was passed on."""

    def say(self) -> None:
        self.set_header("X-Secret", "not for browsers")
        self.set_header("Set-Cookie", "stolen=1")
        self.write(
            {
                "method": self.request.method,
                "uri": self.request.uri,
                "headers": dict(self.request.headers),
                "size": len(self.request.body),
            }
        )

    get = post = put = patch = delete = say


class Refuse(Base):
    def get(self) -> None:
        self.set_status(409)
        self.write({"error": {"type": "wrong_moment", "problem": "Not now.", "remedy": "Later."}})


class Stream(Base):
    """NDJSON: a line as soon as the test has put a file there, `n` lines in all, or for ever."""

    async def get(self) -> None:
        self.set_header("Content-Type", "application/x-ndjson")
        await self.flush()
        self.note(stream="open")
        n = int(self.get_argument("n", "3"))
        try:
            for i in range(n):
                while not (self.project / f"go{i}").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                self.write(json.dumps({"i": i}) + "\n")
                await self.flush()
        except (StreamClosedError, asyncio.CancelledError):
            return

    def on_connection_close(self) -> None:
        self.note(stream="closed")


class Big(Base):
    """`mb` megabytes in pieces, noting how much has been written: shows back-pressure."""

    async def get(self) -> None:
        piece = b"x" * (256 * 1024)
        self.set_header("Content-Type", "application/octet-stream")
        if self.get_argument("length", ""):
            self.set_header("Content-Length", str(int(self.get_argument("mb")) * 4 * len(piece)))
        written = 0
        try:
            for _ in range(int(self.get_argument("mb")) * 4):
                self.write(piece)
                await self.flush()
                written += len(piece)
                (self.project / "written.new").write_text(str(written))
                (self.project / "written.new").replace(self.project / "written")
        except StreamClosedError:
            return


class Die(Base):
    """Goes away under the request: before a word, or in the middle of an answer. Once only: then it answers."""

    async def get(self) -> None:
        self.note(die=self.request.method)
        if self.get_argument("when", "") == "middle":
            self.set_header("Content-Type", "application/x-ndjson")
            self.write('{"i": 0}\n')
            await self.flush()
            os._exit(9)
        if (self.project / "died").exists():
            self.write({"alive": True})
            return
        (self.project / "died").write_text("")
        os._exit(9)

    post = get


class Socket(WebSocketHandler):
    def initialize(self, project: Path) -> None:
        self.project = project

    async def on_message(self, message: str | bytes) -> None:
        if message == "die":
            os._exit(9)
        if message == "close":
            self.close(4001, "enough")
            return
        await self.write_message(json.dumps({"type": "hello", "log_id": "log1", "seq": 7}))
        await self.write_message(
            json.dumps({"you_said": message, "user": self.request.headers.get("X-Ragent-User"),
                        "cookie": self.request.headers.get("Cookie")})
        )  # fmt: skip

    def on_close(self) -> None:
        with open(self.project / ".ragent" / "seen.jsonl", "a") as seen:
            seen.write('{"ws": "closed"}\n')


async def serve(project: Path) -> None:
    ensure_ragent_dir(project)
    path = socket_path(project)
    own = {"project": project}
    app = Application(
        [
            (API + "status", Status, own),
            (API + "echo.*", Echo, own),
            (API + "runs", Echo, own),
            (API + "refuse", Refuse, own),
            (API + "stream", Stream, own),
            (API + "big", Big, own),
            (API + "die", Die, own),
            (API + "events/ws", Socket, own),
        ],
        websocket_max_message_size=64 * 1024 * 1024,
    )
    HTTPServer(app, max_body_size=100 * 1024 * 1024).add_socket(bind_unix_socket(path, 0o600))
    await asyncio.Event().wait()


class Fakes:
    """Starts fake engines the way `client.ensure_engine` starts real ones, and ends them with the test."""

    def __init__(self) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        self.started = 0

    def ensure(self, project: Path | str, **_: Any) -> dict[str, Any]:
        from ragent_jupyter.client.transport import request
        from ragent_jupyter.domain.errors import Unreachable
        from tests.support.wait import wait_until

        def answer() -> bytes:
            try:
                return request(socket_path(project), "GET", "status", timeout=5)
            except Unreachable:
                return b""

        said = answer()
        if not said:
            self.started += 1
            root = Path(__file__).resolve().parents[2]
            self.children.append(
                subprocess.Popen([sys.executable, __file__, str(project)], env=os.environ | {"PYTHONPATH": str(root)})
            )
            said = wait_until(answer, timeout=20, what="the fake engine answers")
        return json.loads(said)

    def kill(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
        self.children.clear()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
