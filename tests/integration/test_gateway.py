"""The gateway as people have it: in the engine behind a real Jupyter server, and alone as a program of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import psutil
import pytest

from ragent_jupyter.gateway.calls import KIND, Call, decode_all
from ragent_jupyter.runfiles.project import socket_path
from tests.support.engine import Project, project
from tests.support.fake_frames import Call as ToolCall
from tests.support.fake_provider import FakeProvider
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

KEY = "sk-ant-real-5f1c9a7e3b2d4c6f8a0b1c2d3e4f"
ASK: Any = {
    "model": "claude-sonnet-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "a secret question"}],
}
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(key=KEY) as provider:
        yield provider


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider) -> Iterator[Path]:
    """Where Jupyter servers note themselves; the environment has the key, as a person's would."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
    with tempfile.TemporaryDirectory(prefix="rg-rt-") as folder:
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", folder)
        yield Path(folder)


class Served:
    """A project behind a Jupyter server. log: what that server says."""

    def __init__(self, made: Project, url: str, log: Path) -> None:
        self.project, self.url, self.log = made, url, log

    def cli(self, *words: str) -> Any:
        return ragent(self.project.folder, *words)

    def token(self, **options: str) -> str:
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        made = self.cli("gateway", "token", *words)
        assert made["base_url"] == f"{self.url}ragent/gateway"
        return str(made["token"])

    @property
    def base_url(self) -> str:
        return f"{self.url}ragent/gateway"

    def client(self, token: str) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key=token, base_url=self.base_url, max_retries=0, timeout=20)

    def stream(self, token: str) -> http.client.HTTPResponse:
        parts = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        body = json.dumps({**ASK, "stream": True})
        connection.request("POST", f"{parts.path}/v1/messages", body, {"x-api-key": token})
        return connection.getresponse()


def ragent(cwd: Path, *words: str) -> Any:
    argv = [sys.executable, "-m", "ragent_jupyter.cli.main", *words, "--json"]
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def served(runtime: Path) -> Iterator[Served]:
    with project("process") as made, open(runtime / "jupyter.log", "wb") as log:
        (made.folder / "scratch").mkdir()
        argv = [sys.executable, "-m", "jupyter_server", f"--ServerApp.root_dir={made.folder}", "--ServerApp.port=0"]
        argv += ["--ServerApp.open_browser=False", "--ServerApp.base_url=/a/b/", "--allow-root", "--debug"]
        argv += ["--ServerApp.jpserver_extensions={'ragent_jupyter': True}"]
        server = subprocess.Popen(argv, stdout=log, stderr=log, cwd=made.folder)
        try:
            notes = wait_until(lambda: list(runtime.glob("jpserver-*.json")), 30, what="Jupyter's note of itself")
            url = wait_until(lambda: _json(notes[0]).get("url"), 10)
            wait_until(lambda: _answers(url), 30, what="Jupyter to answer")
            yield Served(made, url, runtime / "jupyter.log")
        finally:
            server.terminate()
            server.wait(20)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError:
        return {}


def _answers(url: str) -> bool:
    try:
        with socket_to(url) as connection:
            connection.request("GET", urlsplit(url).path + "ragent/gateway/v1/models")
            return connection.getresponse().status == 401
    except OSError:
        return False


class socket_to(http.client.HTTPConnection):
    def __init__(self, url: str) -> None:
        super().__init__(urlsplit(url).hostname or "", urlsplit(url).port, timeout=5)

    def __enter__(self) -> socket_to:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def calls_of(made: Project, count: int) -> list[Call]:
    """What the usage table counts is in the database; the rows themselves are read once the engine has let go."""
    wait_until(lambda: made.client.get("gateway/usage")["total"]["calls"] >= count, what=f"{count} calls")
    made.client.post("drain")
    wait_until(lambda: not Path(socket_path(made.folder)).exists(), what="the engine to end")
    from ragent_jupyter.adapters.store import open_store

    store = open_store(made.folder / ".ragent" / "ragent.db")
    try:
        return decode_all(store.load(KIND))
    finally:
        store.close()


def test_a_client_with_nothing_but_a_token(served: Served, provider: FakeProvider) -> None:
    made = served.project
    token = served.token(name="ann", budget="1000/day", rate="100")
    provider.reply(text="I look.", calls=[ToolCall(name="look", input={})]).say("Seen.").http(529, message="too busy")
    with served.client(token).messages.stream(**ASK, tools=[TOOL], extra_headers={"X-Session-Id": "s 1"}) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert served.client(token).messages.create(**ASK).content[0].text == "Seen."
    with pytest.raises(anthropic.APIStatusError, match="too busy") as busy:
        served.client(token).messages.create(**ASK)
    assert busy.value.status_code == 529
    with pytest.raises(anthropic.AuthenticationError):
        served.client("rgt_" + "x" * 43).messages.create(**ASK)
    assert {seen.key for seen in provider.calls} == {KEY}

    # A job, with a sidecar beside it, whose environment is looked at; then everything that was written.
    script = made.script("show.py", "import os; print(sorted(os.environ.items()))")
    made.wait(made.run(script))
    assert served.cli("gateway", "usage")["total"]["calls"] == 3
    names = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    calls = calls_of(made, 3)
    assert [(c.who, c.status, c.outcome) for c in calls] == [
        ("ann", 200, "ok"),
        ("ann", 200, "ok"),
        ("ann", 529, "error"),
    ]
    assert calls[0].usage.cost and calls[0].usage.cost > 0 and calls[2].usage.cost == 0
    assert calls[0].session == "s 1" and calls[0].first_token_ms and calls[0].usage.output and calls[0].latency_ms
    written = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    written[served.log] = served.log.read_bytes()
    assert any(b"show.py" in data for data in written.values())
    assert not [path for path, data in written.items() if b"HTTP Request" in data], "no line for each call"
    for secret in (KEY, token, "a secret question"):
        assert [path for path, data in written.items() if secret.encode() in data] == []
        assert [name for name in names if secret in name] == []


def test_the_day_s_money_is_one_whoever_spends_it(served: Served, provider: FakeProvider) -> None:
    made = served.project
    client = served.client(served.token(name="ann", rate="2"))
    client.models.list()
    client.messages.create(**ASK)
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(**ASK)
    today = made.client.usage().today
    assert today.calls == 1 and today.cost and today.cost > 0

    made.client.put("prefs", {"budget_day_usd": today.cost / 2})
    other = served.client(served.token(name="bob"))
    with pytest.raises(anthropic.APIStatusError, match="Today's limit") as over:
        other.messages.create(**ASK)
    assert over.value.status_code == 402 and len(provider.calls) == 1
    wait_until(lambda: made.client.get("gateway/usage")["waiting"] == 0, what="what was called to be kept")
    made.kill_engine()
    again = made.client.usage()
    assert (again.today.calls, again.today.cost) == (1, today.cost), "a list and a refusal are no calls of a model"
    assert {line.role for line in again.lines} == {"gateway"}


def test_a_stream_flows_through_and_each_end_takes_the_other_along(served: Served, provider: FakeProvider) -> None:
    token = served.token(name="bea")
    provider.say("word " * 1500, delay=0.02)
    answer = served.stream(token)
    assert answer.status == 200 and answer.read1(1 << 16)
    assert provider.calls[0].done_at is None  # long before the whole 12 seconds are over
    answer.close()
    provider.wait_closed(provider.calls[0], 15.0)  # and so: not after its end

    provider.fault("cut_tcp")
    with pytest.raises(http.client.IncompleteRead):
        served.stream(token).read()

    def kept() -> bool:
        usage = served.project.client.get("gateway/usage")
        return usage["waiting"] == 0 and usage["total"]["calls"] >= 2

    wait_until(kept, 20, what="what was called to be kept")
    provider.say("word " * 1500, delay=0.02)
    answer = served.stream(token)
    answer.read1(1 << 16)
    served.project.kill_engine()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    provider.wait_closed(provider.calls[2], 15.0)
    # The next request wakes a new engine, which knows the token.
    assert served.client(token).messages.create(**ASK).content[0].text == "ok"
    assert [c.outcome for c in calls_of(served.project, 3)] == ["left", "cut", "ok"]


def test_a_large_body_flows_through_and_one_that_is_too_large_is_refused(
    served: Served, provider: FakeProvider
) -> None:
    own = served.client(served.token())
    large: Any = {**ASK, "messages": [{"role": "user", "content": "x" * (20 << 20)}]}
    assert own.messages.create(**large).content[0].text == "ok"
    assert len(provider.calls[0].raw) > 20 << 20
    large["messages"][0]["content"] = "x" * (33 << 20)
    with pytest.raises(anthropic.APIStatusError) as refused:
        own.messages.create(**large)
    assert refused.value.status_code == 413


def test_many_streams_at_once_through_one_server(served: Served, provider: FakeProvider) -> None:
    token = served.token()
    provider.default.delay = 0.01  # type: ignore[union-attr]
    said: list[str] = []

    def one() -> None:
        with served.client(token).messages.stream(**ASK) as stream:
            said.append(stream.get_final_text())

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert said == ["ok"] * 12


# --- alone ---------------------------------------------------------------------------------------------------------
class Alone:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "said.log"

    def start(self, *options: str) -> Alone:
        argv = [sys.executable, "-m", "ragent_jupyter.cli.main", "gateway", "serve", "--data", "gw", "--port", "0"]
        note = self.folder / "gw" / "gateway.json"
        note.unlink(missing_ok=True)  # of one that was killed
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*argv, *options], cwd=self.folder, stdout=log, stderr=log)
        self.url = str(wait_until(lambda: note.exists() and _json(note).get("url"), 20, what="the gateway's note"))
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def cli(self, *words: str) -> Any:
        return ragent(self.folder, "gateway", *words, "--data", "gw")

    def client(self, token: str) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key=token, base_url=self.url, max_retries=0, timeout=20)


@pytest.fixture
def alone(tmp_path: Path, runtime: Path) -> Iterator[Alone]:
    made = Alone(tmp_path).start("--log-bodies")
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGKILL)


def test_alone_it_serves_a_team_and_survives_being_killed(alone: Alone, provider: FakeProvider) -> None:
    token = alone.cli("token", "--name", "ann", "--expires", "1d")["token"]
    assert alone.client(token).messages.create(**ASK).content[0].text == "ok"
    wait_until(lambda: alone.cli("usage")["total"]["calls"] == 1, what="the call in the database")
    alone.end(signal.SIGKILL)
    assert alone.cli("usage")["total"]["calls"] == 1  # without a process, from its folder
    assert alone.cli("token", "--list")["tokens"][0]["calls"] == 1
    alone.start()
    assert alone.client(token).messages.create(**ASK).content[0].text == "ok"
    alone.cli("token", "--revoke", "ann")
    with pytest.raises(anthropic.AuthenticationError, match="revoked"):
        alone.client(token).messages.create(**ASK)


def test_alone_it_ends_when_what_streams_has_ended(alone: Alone, provider: FakeProvider) -> None:
    token = alone.cli("token")["token"]
    provider.say("word " * 40, delay=0.02)
    with alone.client(token).messages.stream(**ASK) as stream:
        texts = iter(stream.text_stream)
        said = next(texts)
        alone.process.send_signal(signal.SIGTERM)
        said += "".join(texts)
    assert said == "word " * 40
    assert alone.process.wait(20) == 0
    assert alone.cli("usage")["total"]["calls"] == 1


def test_alone_it_keeps_bodies_if_asked_but_no_secret(alone: Alone, provider: FakeProvider) -> None:
    token = alone.cli("token")["token"]
    ask = {**ASK, "messages": [{"role": "user", "content": f"my key is {KEY}, the word is plover"}]}
    alone.client(token).messages.create(**ask)
    alone.end()
    from ragent_jupyter.adapters.store import open_store

    store = open_store(alone.folder / "gw" / "gateway.db")
    call = decode_all(store.load(KIND))[0]
    store.close()
    assert call.request and "plover" in call.request and KEY not in call.request
    assert call.response and '"ok"' in call.response
    for path in alone.folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes() and token.encode() not in path.read_bytes(), path


def test_two_on_one_folder_are_one_too_many(alone: Alone) -> None:
    argv = [sys.executable, "-m", "ragent_jupyter.gateway", "--data", str(alone.folder / "gw"), "--port", "0"]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1 and "runs on" in second.stderr


def test_nobody_else_may_look_into_its_folder(alone: Alone) -> None:
    folder = alone.folder / "gw"
    assert folder.stat().st_mode & 0o077 == 0
    assert os.stat(folder / "gateway.sock").st_mode & 0o077 == 0
