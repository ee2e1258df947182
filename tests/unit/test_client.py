"""What a door's client sends, understands and survives, against a stand-in engine on a real Unix socket."""

from __future__ import annotations

import functools
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.client import Client, ensure_engine, is_newer, request, start, transport
from ragent_jupyter.domain.errors import (
    BadInput,
    CannotBeDone,
    MissingPart,
    NotFound,
    RagentError,
    Unreachable,
    WrongMoment,
)
from ragent_jupyter.domain.run import Run
from ragent_jupyter.domain.wire import CreateRun, LogsReply
from ragent_jupyter.runfiles.project import socket_path
from tests.support.fake_engine import FakeEngine


def run_named(id_: str, name: str = "run", alias: str = "") -> Run:
    return Run(id=id_, name=name, command="true", argv=["true"], cwd="/", created_at=1.0, alias=alias)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path)
    yield engine
    engine.close()


@pytest.fixture
def client(engine: FakeEngine) -> Client:
    return Client(engine.project, start=False)


def test_a_refusal_arrives_as_the_error_it_was(engine: FakeEngine, client: Client) -> None:
    engine.on["POST", "runs/run_a/stop"] = lambda query, body: WrongMoment("It has ended.", "Retry it.")
    with pytest.raises(WrongMoment) as caught:
        client.stop("run_a")
    assert (caught.value.problem, caught.value.remedy) == ("It has ended.", "Retry it.")


def test_a_refusal_that_is_not_ours_still_tells_its_status(engine: FakeEngine, client: Client) -> None:
    engine.on["GET", "status2"] = lambda query, body: (502, b"<html>")
    with pytest.raises(RagentError, match="502"):
        client.get("status2")


def test_a_run_is_found_by_id_prefix_name_and_alias(engine: FakeEngine, client: Client) -> None:
    engine.runs = [run_named("run_abc1", "lr=0.1"), run_named("run_abd2", "other", alias="best")]
    for ref in ("run_abd2", "run_abd", "abd", "other", "best"):
        assert client.find_run(ref).id == "run_abd2"


def test_an_ambiguous_reference_names_the_candidates(engine: FakeEngine, client: Client) -> None:
    engine.runs = [run_named("run_abc1"), run_named("run_abd2")]
    with pytest.raises(BadInput, match="run_abc1, run_abd2"):
        client.find_run("ab")
    with pytest.raises(NotFound, match="'zz'"):
        client.find_run("zz")
    with pytest.raises(BadInput):
        client.find_run("  ")


def test_an_exact_name_wins_over_a_prefix(engine: FakeEngine, client: Client) -> None:
    engine.runs = [run_named("run_abc1", "x"), run_named("run_abd2", "abc")]
    assert client.find_run("abc").id == "run_abd2"


def test_creating_a_run_is_repeated_with_the_same_request_id(engine: FakeEngine, client: Client) -> None:
    created = run_named("run_new")
    answers: list[Any] = [ConnectionResetError, (201, created)]
    engine.on["POST", "runs"] = lambda query, body: answers.pop(0)
    assert client.create_run(CreateRun(command=["true"])).id == "run_new"
    first, second = engine.bodies("POST", "runs")
    assert first["request_id"] and first == second


def test_a_stop_whose_answer_was_lost_is_not_repeated(engine: FakeEngine, client: Client) -> None:
    engine.on["POST", "runs/run_a/stop"] = lambda query, body: ConnectionResetError
    with pytest.raises(Unreachable, match="before it answered"):
        client.stop("run_a")
    assert len(engine.bodies("POST", "runs/run_a/stop")) == 1


def test_a_log_is_followed_across_a_broken_connection_without_a_gap(engine: FakeEngine, client: Client) -> None:
    def follow(query: dict[str, str], body: Any) -> Iterator[Any]:
        if query["offset"] == "0":
            yield LogsReply(text="one\n", offset=0, next=4, size=4)
            yield ConnectionResetError
        yield LogsReply(text="two\n", offset=4, next=8, size=8)

    engine.on["GET", "runs/run_a/logs"] = follow
    assert [part.text for part in client.follow_logs("run_a")] == ["one\n", "two\n"]
    assert [query["offset"] for _, path, query, _ in engine.asked if path.endswith("logs")] == ["0", "4"]


def test_a_log_that_says_nothing_for_long_is_no_broken_stream(
    engine: FakeEngine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def follow(query: dict[str, str], body: Any) -> Iterator[Any]:
        asked.append(query["offset"])
        if len(asked) <= 5:
            threading.Event().wait(0.3)
        yield LogsReply(text="at last\n", offset=0, next=8, size=8)

    quiet = functools.partial(transport.stream, timeout=0.05)
    monkeypatch.setattr(transport, "stream", quiet)
    engine.on["GET", "runs/run_a/logs"] = follow
    assert [part.text for part in client.follow_logs("run_a") if part.text] == ["at last\n"]
    assert len(asked) >= 6


def test_events_go_on_from_the_newest_seq_after_a_restart(engine: FakeEngine, client: Client) -> None:
    def events(query: dict[str, str], body: Any) -> Iterator[Any]:
        seq = int(query["after"]) + 1
        yield {"seq": seq, "time": 1.0, "topic": "runs", "type": "run_changed", "data": {"n": seq}}

    engine.on["GET", "events"] = events
    stream = client.events(topics=["runs"])
    assert [next(stream).seq for _ in range(3)] == [8, 9, 10]
    assert engine.asked[-1][2] == {"after": "9", "topics": "runs"}


def test_a_stream_that_always_ends_at_once_is_an_error_and_not_a_busy_loop(engine: FakeEngine, client: Client) -> None:
    engine.on["GET", "events"] = lambda query, body: iter(())
    with pytest.raises(Unreachable):
        next(client.events())


def test_an_engine_that_went_idle_is_found_again(engine: FakeEngine, client: Client) -> None:
    assert client.status().seq == 7
    engine.close()
    with pytest.raises(Unreachable, match="No engine is running"):
        client.status()
    engine.listen()
    assert client.status().seq == 7


def test_a_reply_that_cannot_be_read_says_so(engine: FakeEngine, client: Client) -> None:
    client.status()
    engine.on["GET", "runs"] = lambda query, body: {"runs": 3}
    with pytest.raises(RagentError, match="not understood"):
        client.runs()


def test_without_start_a_missing_engine_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / ".ragent").mkdir()
    with pytest.raises(Unreachable, match="No engine is running"):
        Client(tmp_path, start=False).status()


def test_a_full_backlog_is_a_busy_engine_and_not_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / ".ragent").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(socket_path(tmp_path))
    listener.listen(0)
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    try:
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(socket_path(tmp_path))
        with pytest.raises(Unreachable, match="did not answer within"):
            request(socket_path(tmp_path), "GET", "status", timeout=0.2)
    finally:
        for sock in (*waiting, listener):
            sock.close()


# --- starting, and the handshake of versions -------------------------------------------------------------------
ENGINE = """
import sys; sys.path[:0] = {path!r}
from pathlib import Path
from tests.support.fake_engine import FakeEngine
import threading
FakeEngine(Path({project!r})); threading.Event().wait(30)
"""


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Engines that were started: `set_engine(source)` says what `ensure_engine` runs instead of the real one."""
    argvs: list[list[str]] = []
    yield argvs
    for child in start._children:
        child.kill()
        child.wait()
    start._children.clear()


def set_engine(monkeypatch: pytest.MonkeyPatch, argvs: list[list[str]], source: str) -> None:
    def argv(project: Path) -> list[str]:
        argvs.append([sys.executable, "-c", source])
        return argvs[-1]

    monkeypatch.setattr(start, "engine_argv", argv)


def test_the_engine_is_started_once_if_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawned: list[list[str]]
) -> None:
    source = ENGINE.format(path=[str(Path(__file__).parents[2])], project=str(tmp_path))
    set_engine(monkeypatch, spawned, source)
    assert ensure_engine(tmp_path).seq == 7
    assert ensure_engine(tmp_path).seq == 7
    assert len(spawned) == 1
    assert (tmp_path / ".ragent" / ".gitignore").read_text() == "*\n"


def test_an_engine_that_cannot_start_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawned: list[list[str]]
) -> None:
    set_engine(monkeypatch, spawned, "raise SystemExit('no module named nonsense')")
    with pytest.raises(MissingPart, match=r"(?s)exit code 1.*no module named nonsense"):
        ensure_engine(tmp_path)


def test_a_refusal_that_a_starting_engine_wrote_is_raised_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawned: list[list[str]]
) -> None:
    words = '{"error":{"type":"wrong_moment","problem":"A newer ragent made this.","remedy":"Update."}}'
    set_engine(monkeypatch, spawned, f"import sys; print({words!r}); sys.exit(3)")
    with pytest.raises(WrongMoment, match=r"A newer ragent made this\. Update\."):
        ensure_engine(tmp_path)
    assert len(spawned) == 1


def test_an_older_engine_is_asked_to_make_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawned: list[list[str]]
) -> None:
    old = FakeEngine(tmp_path, version="0.0.1")

    def drain(query: dict[str, str], body: Any) -> Any:
        old._server.socket.close()  # type: ignore[union-attr]
        Path(socket_path(tmp_path)).unlink()
        return {}

    old.on["POST", "drain"] = drain
    set_engine(monkeypatch, spawned, ENGINE.format(path=[str(Path(__file__).parents[2])], project=str(tmp_path)))
    try:
        assert ensure_engine(tmp_path).version == start.__version__
        assert old.bodies("POST", "drain") == [None]
    finally:
        old._server.shutdown()  # type: ignore[union-attr]


def test_a_newer_engine_is_left_alone_and_the_door_says_update(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path, version="99.0.0")
    try:
        with pytest.raises(WrongMoment, match=r"ragent 99\.0\.0"):
            ensure_engine(tmp_path)
    finally:
        engine.close()


def test_an_engine_never_carries_the_marks_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGENT_RUN_ID", "run_a")
    monkeypatch.setenv("KEPT", "1")
    env = start.engine_env()
    assert "RAGENT_RUN_ID" not in env
    assert env["KEPT"] == "1"


def test_a_folder_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / ".ragent").write_text("a file where the folder should be")
    with pytest.raises(CannotBeDone, match="cannot be written"):
        ensure_engine(tmp_path)


def test_a_text_that_is_no_utf_8_is_refused_in_words(engine: FakeEngine, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not UTF-8"):
        Client(tmp_path).post("sessions", {"title": "caf\udce9"})  # as Python gives it from a Latin-1 command line


def test_versions_compare_as_numbers() -> None:
    assert is_newer("0.10.0", "0.9.9")
    assert not is_newer("0.2.0.dev3", "0.2.0")


def test_importing_the_client_is_light() -> None:
    probe = "import sys; from ragent_jupyter.client import Client; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "pandas", "tornado", "sqlalchemy", "rich", "asyncio", "plotly", "jupyter_server"}
    assert not heavy & set(loaded)
