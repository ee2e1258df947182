"""The gateway alone, for a team: the same handlers on TCP, a database of its own, a private socket for its owner."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, RequestHandler

from ragent_jupyter._version import __version__
from ragent_jupyter.adapters.store import open_store
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, Held, RagentError
from ragent_jupyter.domain.wire import ErrorBody, ErrorReply
from ragent_jupyter.runfiles.project import runtime_dir

from . import admin, tokens, upstreams, wire
from .core import Gateway, KeyHolder, Price, Redact, black_out, no_price
from .handlers import GatewayHandler

log = logging.getLogger("ragent.gateway")

LOCK, ABOUT, DATABASE = "gateway.lock", "gateway.json", "gateway.db"
_SOCKET_PATH_LIMIT = 100
# What streams when the end is asked for may go on for so long.
DRAIN_S = 10.0


def application(gateway: Gateway) -> Application:
    return Application(
        [(r"/health", _Health), (r"/.*", GatewayHandler, {"gateway": gateway})], log_function=_log_request
    )


class _Health(RequestHandler):
    def get(self) -> None:
        self.write({"ok": True, "version": __version__})


def _log_request(handler: Any) -> None:
    """One line a call, of what is ours: no header, no query, no body."""
    token = getattr(handler, "_token", None)
    if handler.get_status() >= 400 or token is not None:
        log.info(
            "%d %s %s %.0f ms (%s)",
            handler.get_status(), handler.request.method, handler.request.path[:200],
            handler.request.request_time() * 1000.0, token.name if token else "-",
        )  # fmt: skip


def socket_of(folder: Path) -> str:
    """Where the owner's door listens: in the folder, or in the runtime folder where that is too long a path."""
    path = str(folder / "gateway.sock")
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    return str(runtime_dir() / f"gateway-{tokens.digest(str(folder))[:8]}.sock")


class Folder:
    """A gateway's data folder, held by one process at a time. Raises Held, CannotBeDone."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path = path.resolve()
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotBeDone(f"{path} cannot be used: {error.strerror}.", "Give --data another folder.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Held(f"A gateway runs on {self.path} already.", "Use it, or give --data another folder.") from None

    def close(self) -> None:
        os.close(self._lock)


async def serve(
    folder: Path,
    host: str,
    port: int,
    keys: KeyHolder,
    *,
    price: Price = no_price,
    redact: Redact = black_out,
    log_bodies: bool = False,
) -> None:
    """Until a signal ends it; a second one ends it at once. Raises RagentError."""
    held = Folder(folder)
    store = None
    try:
        upstreams.read(held.path / upstreams.FILE)  # a broken table is told at the start, not at the first call
        store = open_store(held.path / DATABASE)
        over = asyncio.Event()
        gateway = Gateway(
            store, keys, table=held.path / upstreams.FILE, price=price, redact=redact, log_bodies=log_bodies,
            draining=over.is_set,
        )  # fmt: skip
        await _serve(gateway, held.path, host, port, over)
    finally:
        if store is not None:
            store.close()
        held.close()


async def _serve(gateway: Gateway, folder: Path, host: str, port: int, over: asyncio.Event) -> None:
    try:
        sockets = bind_sockets(port, host)
    except OSError as error:
        raise CannotBeDone(f"{host}:{port} cannot be listened on: {error.strerror}.", "Give another --port.") from error
    server = HTTPServer(application(gateway), max_body_size=wire.MAX_BODY, max_buffer_size=2 * wire.MAX_BODY)
    server.add_sockets(sockets)
    own = HTTPServer(Application(admin.routes(gateway), log_function=lambda handler: None))
    own.add_socket(bind_unix_socket(socket_of(folder), 0o600))
    _publish(folder, host, sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    at_once = asyncio.Event()

    def asked() -> None:
        (at_once if over.is_set() else over).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    gateway.provider.warm()
    log.info("ragent %s: gateway on %s, data in %s", __version__, _url(host, sockets[0].getsockname()[1]), folder)
    if not _loopback(host):
        log.warning("tokens travel in the clear here: put a proxy with TLS in front of it")
    await over.wait()
    server.stop()
    await _drained(gateway, at_once)
    await gateway.close()
    await server.close_all_connections()
    own.stop()
    await own.close_all_connections()
    for path in (folder / ABOUT, Path(socket_of(folder))):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    log.info("the gateway has ended")


async def _drained(gateway: Gateway, at_once: asyncio.Event) -> None:
    if gateway.live:
        log.info("%d calls are on their way; waiting %.0f s at most", len(gateway.live), DRAIN_S)
        rest = asyncio.ensure_future(asyncio.wait(list(gateway.live)))
        hurry = asyncio.ensure_future(at_once.wait())
        await asyncio.wait({rest, hurry}, timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
        rest.cancel()
        hurry.cancel()


def _publish(folder: Path, host: str, port: int) -> None:
    """For the command line: where the gateway is, and where its owner's door."""
    about = {
        "pid": os.getpid(), "url": _url(host, port), "socket": socket_of(folder), "version": __version__,
        "started_at": time.time(),
    }  # fmt: skip
    beside = folder / (ABOUT + ".new")
    beside.write_text(json.dumps(about) + "\n")
    beside.replace(folder / ABOUT)


def _url(host: str, port: int) -> str:
    # Whoever listens everywhere is reached by a name.
    shown = socket.gethostname() if host in ("", "0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _loopback(host: str) -> bool:
    return host in ("127.0.0.1", "localhost", "::1")


async def offline(folder: Path, keys: KeyHolder, method: str, name: str, body: bytes, days: int) -> Any:
    """One act of the owner on a gateway that does not run. name: of a token, for DELETE; "usage" for the table."""
    held = Folder(folder)
    try:
        store = open_store(held.path / DATABASE)
        try:
            gateway = Gateway(store, keys, table=held.path / upstreams.FILE)
            match method, name:
                case "GET", "usage":
                    return await gateway.usage(days)
                case "GET", _:
                    return await admin.list_tokens(gateway)
                case "DELETE", _:
                    return await admin.revoke_token(gateway, name)
                case _:
                    wish = msgspec.json.decode(body or b"{}", type=tokens.CreateToken)
                    return await admin.create_token(gateway, wish, by="")
        finally:
            store.close()
    finally:
        held.close()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="ragent gateway", description="The gateway alone.")
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8642)
    parser.add_argument("--log-bodies", action="store_true")
    parser.add_argument("--offline", choices=("GET", "POST", "DELETE"), help="one act on tokens, then end")
    parser.add_argument("--name", default="")
    parser.add_argument("--days", type=int, default=7)
    args = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        from .hands import keys, price, redaction

        holder = keys()
        if args.offline:
            body = sys.stdin.buffer.read() if args.offline == "POST" else b""
            said = asyncio.run(offline(args.data, holder, args.offline, args.name, body, args.days))
            print(msgspec.json.encode(said).decode(), flush=True)
            return 0
        if not 0 <= args.port < 65536:
            raise BadInput(f"{args.port} is not a port.", "Give one from 1 to 65535.")
        asyncio.run(
            serve(
                args.data,
                args.host,
                args.port,
                holder,
                price=price(),
                redact=redaction(holder),
                log_bodies=args.log_bodies,
            )
        )
    except RagentError as error:
        return _failed(error)
    except msgspec.DecodeError as error:
        return _failed(BadInput(str(error), "`ragent gateway token --help` shows what a token takes."))
    return 0


def _failed(error: RagentError) -> int:
    """For the command that started us: it raises the refusal as what it is."""
    print(
        msgspec.json.encode(ErrorReply(ErrorBody(error.type, error.problem, error.remedy))).decode(),
        file=sys.stderr, flush=True,
    )  # fmt: skip
    return 1
