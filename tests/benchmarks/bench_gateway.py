"""What the gateway adds to a provider's first byte: the same request, asked directly and through each door, in turns.

The provider is a plain socket that answers at once, so that all that is measured is the way. A connection is kept, as
clients keep theirs; a request is 2 kB, or what a coding agent sends (90 kB).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.wait import wait_until

from .common import ROOT, Result, main

GOAL_MS = 5.0
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_FIRST = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"claude-test","content":[],"usage":{"input_tokens":25,"output_tokens":1}}}\n\n'
)
_REST = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
    b'"text":"Hello"}}\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":5}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)
# The provider is a process of its own: in ours it would share an interpreter with the clock.
_PROVIDER = f"""
import socket, threading
def chunk(data): return b"%x\\r\\n%s\\r\\n" % (len(data), data)
FIRST, REST = {_HEAD!r} + chunk({_FIRST!r}), chunk({_REST!r}) + b"0\\r\\n\\r\\n"
def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while True:
        while b"\\r\\n\\r\\n" not in data:
            more = connection.recv(1 << 18)
            if not more: return
            data += more
        head, _, data = data.partition(b"\\r\\n\\r\\n")
        length = int(next(l for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length:"))[15:])
        while len(data) < length: data += connection.recv(1 << 18)
        data = data[length:]
        connection.sendall(FIRST)
        connection.sendall(REST)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""


class Client:
    """One kept connection. `ask` gives the milliseconds until the first byte of the body."""

    def __init__(self, url: str, token: str, size: int) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._path = f"{parts.path}/v1/messages?beta=true"
        messages = [{"role": "user", "content": "x" * size}]
        self._body = json.dumps({"model": "claude-test", "max_tokens": 9, "stream": True, "messages": messages})
        self._headers = {"x-api-key": token, "anthropic-version": "2023-06-01", "Content-Type": "application/json"}

    def ask(self) -> float:
        began = time.perf_counter()
        self._connection.request("POST", self._path, self._body, self._headers)
        response = self._connection.getresponse()
        first = response.read(1)
        took = (time.perf_counter() - began) * 1000.0
        assert response.status == 200 and first == b"e", (response.status, first + response.read())
        response.read()
        return took


@contextmanager
def _process(argv: list[str], **more: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(argv, text=True, **more)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _ragent(folder: Path, env: dict[str, str], *words: str) -> dict[str, str]:
    argv = [sys.executable, "-m", "ragent_jupyter.cli.main", "gateway", *words, "--json"]
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _doors(stack: ExitStack, url: str, folder: Path) -> dict[str, tuple[str, str]]:
    """(address, token) of each way to the provider at `url`."""
    env = {
        **os.environ, "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "sk-bench", "RAGENT_KEYRING": "0",
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "PYTHONPATH": f"{ROOT}:{ROOT / 'sidecar'}",
    }  # fmt: skip
    (folder / ".ragent").mkdir()
    (folder / "runtime").mkdir()
    quiet = {"cwd": folder, "env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    serve = [sys.executable, "-m", "ragent_jupyter.cli.main", "gateway", "serve", "--data", "gw", "--port", "0"]
    stack.enter_context(_process(serve, **quiet))
    wait_until((folder / "gw" / "gateway.json").exists, 30, what="the gateway alone")
    jupyter = [sys.executable, "-m", "jupyter_server", f"--ServerApp.root_dir={folder}", "--ServerApp.port=0"]
    jupyter += ["--ServerApp.open_browser=False", "--allow-root"]
    jupyter += ["--ServerApp.jpserver_extensions={'ragent_jupyter': True}"]
    stack.enter_context(_process(jupyter, **quiet))
    wait_until(lambda: list((folder / "runtime").glob("jpserver-*.json")), 30, what="Jupyter")
    found = {"direct": (url, "sk-bench")}
    for name, words in (("alone", ["--data", "gw"]), ("jupyter", [])):
        made = _ragent(folder, env, "token", *words)
        found[name] = (made["base_url"], made["token"])
    stop = [sys.executable, "-m", "ragent_jupyter.cli.main", "serve", "--stop"]
    stack.callback(lambda: subprocess.run(stop, cwd=folder, env=env, capture_output=True, timeout=60))
    wait_until(lambda: _open(found["jupyter"][0]), 30, what="Jupyter to answer")
    return found


def _open(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()
    except OSError:
        return False
    return True


def _measure(doors: dict[str, tuple[str, str]], size: int, count: int) -> dict[str, list[float]]:
    """Milliseconds of each door, one request each in turn, after some that warm them."""
    clients = {name: Client(url, token, size) for name, (url, token) in doors.items()}
    for client in clients.values():
        for _ in range(20):
            client.ask()
    found: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(count):
        for name, client in clients.items():
            found[name].append(client.ask())
    return found


def _under_load(door: tuple[str, str], count: int, at_once: int) -> list[float]:
    """Milliseconds of `count` requests by so many clients at once."""
    found: list[float] = []

    def one() -> None:
        client = Client(*door, 2000)
        found.extend(client.ask() for _ in range(count // at_once))

    threads = [threading.Thread(target=one) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def run(short: bool) -> list[Result]:
    count = 100 if short else 500
    results = []
    with ExitStack() as stack:
        provider = stack.enter_context(_process([sys.executable, "-c", _PROVIDER], stdout=subprocess.PIPE))
        assert provider.stdout is not None
        url = f"http://127.0.0.1:{int(provider.stdout.readline())}"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rg-bench-")))
        doors = _doors(stack, url, folder)
        for size, words in ((2000, "2 kB asked"), (90_000, "90 kB asked")):
            times = _measure(doors, size, count)
            for name, who in (("alone", "ragent gateway serve"), ("jupyter", "Jupyter and engine")):
                added = [a - b for a, b in zip(times[name], times["direct"], strict=True)]
                results += _rows(f"gateway: added to the first byte, {words}", who, added)
            results.append(_of(f"gateway: first byte, {words}", "direct", times["direct"], statistics.median))
        for name, who in (("direct", "direct"), ("alone", "ragent gateway serve"), ("jupyter", "Jupyter and engine")):
            times_ = _under_load(doors[name], count, 8)
            results.append(_of("gateway: first byte, 8 clients at once", who, times_, statistics.median))
    return results


def _rows(what: str, who: str, added: list[float]) -> list[Result]:
    p95 = _of(f"{what}, p95", who, added, lambda values: statistics.quantiles(values, n=20)[-1])
    return [_of(f"{what}, p50", "ragent" if "serve" in who else who, added, statistics.median, GOAL_MS), p95]


def _of(
    what: str, who: str, values: list[float], take: Callable[[list[float]], float], goal: float | None = None
) -> Result:
    return Result(what=what, who=who, unit="ms", better="less", values=[take(values)], goal=goal)


if __name__ == "__main__":
    main(run)
