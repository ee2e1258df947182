"""What a browser asks goes to the engine, its answer comes back as it flows, and credentials stay outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError

from ragent_jupyter.runfiles.project import socket_path
from ragent_jupyter.server.relay import MAX_BODY, engine_target, user_header
from tests.support.fake_wire import Fakes
from tests.unit.server.aio import until

API = ("ragent", "api", "v1")
Seen = Callable[[], list[dict[str, Any]]]


async def test_the_first_request_starts_the_engine_and_the_next_does_not(jp_fetch: Any, project: Path, fakes: Fakes):
    first = json.loads((await jp_fetch(*API, "status")).body)
    again = json.loads((await jp_fetch(*API, "status")).body)
    assert first["project"] == str(project)
    assert again["pid"] == first["pid"]
    assert fakes.started == 1


async def test_ten_first_requests_at_once_start_one_engine(jp_fetch: Any, project: Path, fakes: Fakes):
    replies = await asyncio.gather(*(jp_fetch(*API, "status") for _ in range(10)))
    assert {reply.code for reply in replies} == {200}
    assert fakes.started == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_verb_path_query_and_body_arrive_as_they_were_sent(jp_fetch: Any, project: Path, method: str):
    body = None if method in ("GET", "DELETE") else "0123456789"
    reply = await jp_fetch(
        *API, "echo", "run é 1", method=method, body=body, params={"names": "loss,acc", "x": "a b", "e": ""}
    )
    said = json.loads(reply.body)
    assert said["method"] == method
    assert said["uri"] == "/ragent/api/v1/echo/run%20%C3%A9%201?names=loss%2Cacc&x=a+b&e="
    assert said["size"] == (10 if body else 0)


async def test_credentials_end_here_and_the_engine_learns_only_who_asks(
    jp_fetch: Any, project: Path, jp_serverapp: Any
):
    token = jp_serverapp.identity_provider.token
    reply = await jp_fetch(
        *API,
        "echo",
        headers={
            "Authorization": f"token {token}", "Cookie": "a=b; _xsrf=c", "X-XSRFToken": "c", "X-Ragent-User": "root",
            "Connection": "keep-alive, X-Hop", "X-Hop": "1", "Accept": "application/json",
        },
        params={"token": token, "_xsrf": "c", "keep": "1"},
    )  # fmt: skip
    said = json.loads(reply.body)
    assert token not in json.dumps(said) and "_xsrf" not in json.dumps(said)
    names = {name.lower() for name in said["headers"]}
    assert names <= {"accept", "host", "connection", "x-ragent-user", "x-ragent-door", "content-length"}
    assert said["headers"]["X-Ragent-User"] not in ("", "root", "anonymous")
    assert said["headers"]["X-Ragent-Door"] == "browser"
    assert said["uri"].endswith("?keep=1")
    assert "X-Secret" not in reply.headers and "stolen" not in str(reply.headers)
    assert reply.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("said", "told"), [("kernel", "kernel"), ("script", "script"), ("engine", "browser")])
async def test_a_door_says_what_it_is(jp_fetch: Any, project: Path, said: str, told: str):
    reply = await jp_fetch(*API, "echo", headers={"X-Ragent-Door": said})
    assert json.loads(reply.body)["headers"]["X-Ragent-Door"] == told


async def test_a_refusal_of_the_engine_comes_as_it_is(jp_fetch: Any, project: Path):
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch(*API, "refuse")
    assert refused.value.code == 409
    assert json.loads(refused.value.response.body)["error"]["remedy"] == "Later."


async def test_a_stream_is_relayed_line_by_line(jp_fetch: Any, project: Path):
    lines: list[bytes] = []
    request = asyncio.ensure_future(jp_fetch(*API, "stream", streaming_callback=lines.append))
    for i in range(3):
        # The next line is written only after the one before has come through.
        (project / f"go{i}").write_text("")
        await until(lambda n=i + 1: len(lines) == n)
    reply = await request
    assert [json.loads(line)["i"] for line in lines] == [0, 1, 2]
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    assert reply.headers["X-Accel-Buffering"] == "no"


async def test_a_silent_stream_is_open_before_its_first_line(jp_fetch: Any, project: Path):
    headers: list[str] = []
    request = asyncio.ensure_future(
        jp_fetch(*API, "stream", params={"n": "1"}, header_callback=headers.append, streaming_callback=lambda _: None)
    )
    await until(lambda: any("200" in line for line in headers))
    assert not request.done()
    (project / "go0").write_text("")
    await request


async def raw_get(port: int, path: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token {token}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def test_a_reader_who_leaves_ends_the_engines_stream(
    jp_serverapp: Any, jp_http_port: int, jp_base_url: str, http_server_client: Any, project: Path, seen: Seen
):
    token = jp_serverapp.identity_provider.token
    _, writer = await raw_get(jp_http_port, f"{jp_base_url}ragent/api/v1/stream", token)
    await until(lambda: {"stream": "open"} in seen())
    writer.close()
    # The stream never says a word: only a closed socket can tell the engine.
    await until(lambda: {"stream": "closed"} in seen())


@pytest.mark.parametrize("length", ["", "1"])
async def test_a_slow_reader_slows_the_engine_instead_of_filling_memory(
    jp_serverapp: Any, jp_http_port: int, jp_base_url: str, http_server_client: Any, project: Path, length: str
):
    token = jp_serverapp.identity_provider.token
    mb = 200
    reader, writer = await raw_get(jp_http_port, f"{jp_base_url}ragent/api/v1/big?mb={mb}&length={length}", token)

    def written() -> int:
        try:
            return int((project / "written").read_text() or 0)
        except FileNotFoundError:
            return 0

    await until(lambda: written() > 0)
    before = -1
    while before != (before := written()):  # noqa: ASYNC110  (until it stands still: nobody reads)
        await asyncio.sleep(0.3)
    assert before < mb * 1024 * 1024 / 4
    total = 0
    while total < mb * 1024 * 1024:
        total += len(await reader.read(1 << 20))
    await until(lambda: written() == mb * 1024 * 1024)
    writer.close()


async def test_a_body_over_ten_megabytes_is_413_and_never_reaches_the_engine(jp_fetch: Any, project: Path, seen: Seen):
    fits = await jp_fetch(*API, "echo", method="POST", body="x" * MAX_BODY)
    assert json.loads(fits.body)["size"] == MAX_BODY
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch(*API, "echo", method="POST", body="x" * (MAX_BODY + 1))
    assert refused.value.code == 413
    assert json.loads(refused.value.response.body)["error"]["type"] == "too_large"


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    jp_serverapp: Any, jp_http_port: int, jp_base_url: str, http_server_client: Any, project: Path
):
    token = jp_serverapp.identity_provider.token
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    head = f"POST {jp_base_url}ragent/api/v1/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token {token}\r\n"
    writer.write(f"{head}Content-Length: {MAX_BODY + 1}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.readline(), 10)  # not a byte of the body was sent
    assert b" 413 " in answer
    writer.close()


async def test_a_body_of_unknown_length_is_refused_as_well(jp_fetch: Any, project: Path):
    async def produce(write: Callable[[bytes], Any]) -> None:
        for _ in range(11):
            await write(b"x" * (1 << 20))

    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch(*API, "echo", method="POST", body_producer=produce)
    assert refused.value.code == 413


async def test_a_dead_engine_is_started_again_by_the_next_request(jp_fetch: Any, project: Path, fakes: Fakes):
    pid = json.loads((await jp_fetch(*API, "status")).body)["pid"]
    os.kill(pid, signal.SIGKILL)
    fakes.children[0].wait()
    reply = json.loads((await jp_fetch(*API, "status")).body)
    assert reply["pid"] != pid and fakes.started == 2


async def test_a_question_that_killed_the_engine_is_asked_again(jp_fetch: Any, project: Path, seen: Seen):
    reply = await jp_fetch(*API, "die")
    assert json.loads(reply.body) == {"alive": True}
    assert seen().count({"die": "GET"}) == 2


async def test_a_wish_that_killed_the_engine_is_not_repeated_unless_it_has_an_id(
    jp_fetch: Any, project: Path, seen: Seen
):
    with pytest.raises(HTTPClientError) as lost:
        await jp_fetch(*API, "die", method="POST", body='{"request_id": null}')
    assert lost.value.code == 503
    assert "may or may not" in json.loads(lost.value.response.body)["error"]["problem"]
    assert seen().count({"die": "POST"}) == 1
    (project / "died").unlink()
    await jp_fetch(*API, "die", method="POST", body='{"request_id": "r1"}')
    assert seen().count({"die": "POST"}) == 3


async def test_a_stream_cut_by_the_engines_death_does_not_look_complete(
    jp_serverapp: Any, jp_http_port: int, jp_base_url: str, http_server_client: Any, project: Path
):
    token = jp_serverapp.identity_provider.token
    reader, writer = await raw_get(jp_http_port, f"{jp_base_url}ragent/api/v1/die?when=middle", token)
    answer = await reader.read()  # to the end of the connection
    assert answer.startswith(b"HTTP/1.1 200") and b'{"i": 0}' in answer
    assert not answer.endswith(b"0\r\n\r\n")  # the mark of a chunked answer's proper end
    writer.close()


async def test_an_engine_that_cannot_start_is_503_with_the_remedy_and_is_tried_once(
    jp_fetch: Any, project: Path, monkeypatch: pytest.MonkeyPatch
):
    from ragent_jupyter.domain.errors import MissingPart

    tries: list[object] = []

    def fails(project: Path) -> None:
        tries.append(project)
        raise MissingPart("The disk is full.", "Free some of it.")

    monkeypatch.setattr("ragent_jupyter.client.ensure_engine", fails)
    for _ in range(3):
        with pytest.raises(HTTPClientError) as refused:
            await jp_fetch(*API, "status")
        assert refused.value.code == 503
        error = json.loads(refused.value.response.body)["error"]
        assert error == {"type": "missing_part", "problem": "The disk is full.", "remedy": "Free some of it."}
        assert refused.value.response.headers["Retry-After"] == "2"
    assert len(tries) == 1


async def test_the_loop_goes_on_while_an_engine_starts(jp_fetch: Any, project: Path, monkeypatch: pytest.MonkeyPatch):
    import threading

    go = threading.Event()
    fakes = Fakes()

    def slow(project: Path) -> None:
        assert go.wait(20)
        fakes.ensure(project)

    monkeypatch.setattr("ragent_jupyter.client.ensure_engine", slow)
    waiting = asyncio.ensure_future(jp_fetch(*API, "status"))
    try:
        other = await jp_fetch("api", "status")  # Jupyter's own
        assert other.code == 200 and not waiting.done()
    finally:
        go.set()
        reply = await waiting
        fakes.kill()
    assert reply.code == 200


async def test_nobody_answers_at_a_socket_that_a_crash_left_behind(jp_fetch: Any, project: Path, fakes: Fakes):
    left = socket.socket(socket.AF_UNIX)
    left.bind(socket_path(project))
    left.close()
    os.unlink(socket_path(project))  # the fake does not clean up after others; the real engine does
    assert (await jp_fetch(*API, "status")).code == 200


def test_the_target_keeps_what_is_meant_for_the_engine():
    assert engine_target("/user/x/ragent/api/v1/runs/a%20b", "token=t&x=1&no_track_activity=1") == (
        "/ragent/api/v1/runs/a%20b?x=1"
    )


def test_a_user_with_any_name_fits_into_a_header():
    class User:
        username = "Zoë\r\nX-Evil: 1"

    assert user_header(User()) == "Zo%C3%AB%0D%0AX-Evil%3A 1"
