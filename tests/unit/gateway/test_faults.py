"""What may go wrong on either side, and what the other side then sees: never a fake end, never a silent one."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from pathlib import Path
from typing import Any

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.gateway import wire
from ragent_jupyter.gateway.provider import Scrubber
from tests.support.fake_provider import FakeProvider
from tests.support.wait import wait_until
from tests.unit.gateway.raw_provider import RawProvider, chunk, head
from tests.unit.gateway.running import KEY, HeldKeys, RunningGateway, hello

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-real","usage":{"input_tokens":40,'
    b'"cache_read_input_tokens":7,"output_tokens":1}}}\n\n'
)
WORDS = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"%s"}}\n\n'
)


class Stream:
    """A client that reads bytes, as they come, and knows how the answer ended."""

    def __init__(self, gateway: RunningGateway, token: str, **more: Any) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        body = json.dumps(hello(stream=True, **more))
        self._connection.request("POST", "/ragent/gateway/v1/messages", body, {"x-api-key": token})
        self.response = self._connection.getresponse()

    def some(self) -> bytes:
        return self.response.read1(1 << 16)

    def leave(self) -> None:
        self.response.close()
        self._connection.close()


def sse_then(provider_does: Any) -> Any:
    def play(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head("200 OK", "text/event-stream", "Transfer-Encoding: chunked") + chunk(START))
        provider_does(connection)

    return play


@pytest.mark.parametrize("fault", ["cut_tcp", "rst"])
def test_a_provider_that_hangs_up_in_the_middle_cuts_the_clients_stream_too(
    gateway: RunningGateway, provider: FakeProvider, fault: Any
) -> None:
    provider.fault(fault)
    stream = Stream(gateway, gateway.token())
    with pytest.raises(http.client.IncompleteRead):
        stream.response.read()
    call = gateway.wait_calls(1)[0]
    assert (call.outcome, call.status, call.usage.known) == ("cut", 200, False)
    assert call.usage.cost is not None and call.usage.cost > 0  # what came was paid for


def test_the_sdk_sees_the_cut(gateway: RunningGateway, provider: FakeProvider) -> None:
    provider.fault("cut_tcp")
    client = anthropic.Anthropic(api_key=gateway.token(), base_url=gateway.url, max_retries=0)
    with (
        pytest.raises(Exception, match=r"(?i)peer closed|incomplete"),
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream,
    ):
        stream.get_final_message()


def test_a_body_without_an_end_of_its_own_is_cut_where_the_message_was_not_over(tmp_path: Path) -> None:
    def play(connection: socket.socket, _: bytes) -> None:  # neither a length nor chunks: the close is the end
        connection.sendall(head("200 OK", "text/event-stream", "Connection: close") + START + WORDS % b"Half a")

    with RawProvider(play) as provider, RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        with pytest.raises(http.client.IncompleteRead):
            Stream(gateway, gateway.token()).response.read()
        assert gateway.wait_calls(1)[0].outcome == "cut"


def test_an_error_inside_the_stream_passes_and_is_noted(gateway: RunningGateway, provider: FakeProvider) -> None:
    provider.fault("sse_error", error_type="overloaded_error")
    said = Stream(gateway, gateway.token()).response.read()
    assert b"event: error" in said and b"overloaded_error" in said
    call = gateway.wait_calls(1)[0]
    assert (call.status, call.outcome, call.error) == (200, "error", "overloaded_error")


def test_bytes_pass_one_by_one_as_they_come_and_unchanged(tmp_path: Path) -> None:
    whole = (
        START
        + WORDS % "Größe".encode()
        + b": a comment\n\n"
        + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    go = threading.Semaphore(0)

    def play(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head("200 OK", "text/event-stream", "Transfer-Encoding: chunked"))
        for i in range(len(whole)):
            go.acquire()
            connection.sendall(chunk(whole[i : i + 1]))
        connection.sendall(b"0\r\n\r\n")

    with RawProvider(play) as provider, RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        stream = Stream(gateway, gateway.token())
        said = b""
        for _ in range(40):  # the next byte is sent only after the one before has come through
            go.release()
            said += stream.some()
        go.release(len(whole))
        said += stream.response.read()
        assert said == whole
        assert gateway.wait_calls(1)[0].usage.cache_read == 7


def test_headers_come_before_the_first_byte_of_a_slow_stream(tmp_path: Path) -> None:
    go = threading.Event()
    type_ = "text/event-stream; charset=utf-8"

    def play(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head("200 OK", type_, "Transfer-Encoding: chunked"))
        if go.wait(20):
            connection.sendall(chunk(START) + b"0\r\n\r\n")

    with RawProvider(play) as provider, RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        stream = Stream(gateway, gateway.token())  # here the headers are there; no byte was sent yet
        assert stream.response.status == 200 and not go.is_set()
        assert stream.response.getheader("content-type") == type_
        go.set()
        assert stream.response.read(len(START)) == START
        stream.leave()


def test_a_client_that_leaves_takes_the_providers_stream_along(gateway: RunningGateway, provider: FakeProvider) -> None:
    provider.say("word " * 2000, delay=0.02)
    stream = Stream(gateway, gateway.token())
    stream.some()
    stream.leave()
    provider.wait_closed(provider.calls[0], timeout=10)
    assert provider.calls[0].done_at is None
    call = gateway.wait_calls(1)[0]
    assert (call.outcome, call.usage.known) == ("left", False)
    assert call.usage.output > 0


def test_a_client_that_leaves_before_the_first_byte_is_noticed_too(tmp_path: Path) -> None:
    provider = RawProvider(lambda connection, _: provider.until_left(connection))
    with provider, RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
        connection.request("POST", "/ragent/gateway/v1/messages", json.dumps(hello()), {"x-api-key": gateway.token()})
        wait_until(lambda: provider.requests, what="the request at the provider")
        connection.close()
        assert provider.left.wait(10)
        call = gateway.wait_calls(1)[0]
        # Whether the provider worked on it nobody knows: its text counts, as read.
        assert call.outcome == "left" and call.usage.input > 0 and not call.usage.known


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"model": 3}', b'{"messages": []}', b"[" * 100_000])
def test_a_bad_body_is_refused_here(gateway: RunningGateway, provider: FakeProvider, body: bytes) -> None:
    reply = gateway.ask("/v1/messages", body, gateway.token(), method="POST")
    assert reply.status == 400 and reply.json["error"]["type"] == "invalid_request_error"
    openai = gateway.ask("/openai/v1/chat/completions", body, gateway.token(), method="POST")
    assert openai.status == 400 and openai.json["error"]["type"] == "invalid_request_error"
    assert provider.seen == []


@pytest.mark.parametrize(
    "path", ["/v1/complete", "/", "/v1/messages/batches", "/nobody/v1/messages", "/v1/messages/../x"]
)
def test_what_is_not_here(gateway: RunningGateway, provider: FakeProvider, path: str) -> None:
    reply = gateway.ask(path, hello(), gateway.token())
    assert reply.status == 404 and reply.json["error"]["type"] == "not_found_error"
    assert provider.seen == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_verbs_are_not_here(gateway: RunningGateway, method: str) -> None:
    assert gateway.ask("/v1/messages", None, gateway.token(), method=method).status == 404


def test_a_huge_body_passes_up_to_the_limit_and_is_413_beyond(gateway: RunningGateway, provider: FakeProvider) -> None:
    def of(size: int) -> bytes:
        body = json.dumps(hello(padding="")).encode()
        return body.replace(b'"padding": ""', b'"padding": "' + b"x" * (size - len(body)) + b'"')

    token = gateway.token()
    assert gateway.ask("/v1/messages", of(wire.MAX_BODY), token).status == 200
    assert len(provider.seen[0].raw) == wire.MAX_BODY
    over = gateway.ask("/v1/messages", of(wire.MAX_BODY + 1), token)
    assert over.status == 413 and over.json["error"]["type"] == "request_too_large"
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    pieces = (b"x" * (1 << 20) for _ in range(34))  # chunked: nobody said how much would come
    connection.request("POST", "/ragent/gateway/v1/messages", pieces, {"x-api-key": token}, encode_chunked=True)
    assert connection.getresponse().status == 413
    assert len(provider.seen) == 1


@pytest.mark.parametrize("asks_first", [True, False])
def test_a_body_from_nobody_is_not_kept(gateway: RunningGateway, asks_first: bool) -> None:
    """Whoever asks first, or has more than anybody would read, is told before the body is there."""
    more = b"Content-Length: 30000000\r\nExpect: 100-continue" if asks_first else b"Content-Length: 300000000"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(b"POST /ragent/gateway/v1/messages HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n\r\n")
        assert connection.recv(1 << 12).startswith(b"HTTP/1.1 401 ")


def test_a_provider_that_is_not_there_is_502_and_one_that_is_silent_504(tmp_path: Path) -> None:
    with RawProvider(lambda connection, _: provider.until_left(connection)) as provider:
        pass
    with RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        reply = gateway.ask("/v1/messages", hello(), gateway.token())
        assert reply.status == 502 and reply.json["error"]["type"] == "api_error"
    provider = RawProvider(lambda connection, _: provider.until_left(connection))
    with provider, RunningGateway(tmp_path, provider, silent_s=0.2) as gateway:  # type: ignore[arg-type]
        reply = gateway.ask("/v1/messages", hello(), gateway.token())
        assert reply.status == 504 and provider.left.wait(5)
        assert [call.error for call in gateway.wait_calls(2)] == ["unreachable", "timeout"]


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_a_provider_that_speaks_no_http_is_502(tmp_path: Path, said: bytes) -> None:
    provider = RawProvider(lambda connection, _: connection.sendall(said))
    with provider, RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        assert gateway.ask("/v1/messages", hello(), gateway.token()).status == 502


def test_without_a_key_it_says_which_one(tmp_path: Path, provider: FakeProvider) -> None:
    with RunningGateway(tmp_path, provider, keys=HeldKeys()) as gateway:
        reply = gateway.ask("/v1/messages", hello(), gateway.token())
        assert reply.status == 503 and "ANTHROPIC_API_KEY" in reply.json["error"]["message"]
        assert reply.headers["x-should-retry"] == "false"


def test_many_at_once_each_get_their_own_answer(gateway: RunningGateway, provider: FakeProvider) -> None:
    from tests.support.fake_frames import Reply

    provider.default = lambda seen: Reply(text=f"you said {seen.last_text}", delay=0.01)
    token, said = gateway.token(), {}

    def one(i: int) -> None:
        stream = Stream(gateway, token, messages=[{"role": "user", "content": f"number {i}."}])
        events = [json.loads(x[6:]) for x in stream.response.read().splitlines() if x.startswith(b"data: ")]
        said[i] = "".join(e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert said == {i: f"you said number {i}." for i in range(25)}
    assert len(gateway.wait_calls(25)) == 25


def test_an_end_in_the_middle_cuts_the_stream_and_the_call_is_in_the_database(
    tmp_path: Path, provider: FakeProvider
) -> None:
    provider.say("word " * 500, delay=0.02)
    gateway = RunningGateway(tmp_path, provider)
    with gateway:
        token = gateway.token(name="ann")
        stream = Stream(gateway, token)
        stream.some()
        gateway.stop()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            stream.response.read()
        provider.wait_closed(provider.calls[0])
    with gateway:  # the same port, the same database: the token goes on, and what it has spent
        assert [(call.who, call.outcome) for call in gateway.calls()] == [("ann", "cut")]
        assert gateway.ask("/v1/messages", hello(), token).status == 200


def test_a_gateway_that_is_its_own_upstream_says_so(tmp_path: Path, provider: FakeProvider) -> None:
    gateway = RunningGateway(tmp_path, provider)
    with gateway:
        pass
    gateway.settings["env"]["ANTHROPIC_BASE_URL"] = gateway.url
    with gateway:
        token = gateway.token()
        gateway.settings["keys"].get = lambda name: token  # its "real key" opens itself
        reply = gateway.ask("/v1/messages", hello(), token)
        assert reply.status == 508 and "own upstream" in reply.json["error"]["message"]


def test_a_key_that_the_provider_repeats_is_blacked_out(tmp_path: Path) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()

    def play(connection: socket.socket, _: bytes) -> None:
        more = (f"Content-Length: {len(body)}", f"x-request-id: {KEY}", "request-id: req_1")
        connection.sendall(head("401 Unauthorized", "application/json", *more) + body[:50])
        connection.sendall(body[50:])

    with RawProvider(play) as provider, RunningGateway(tmp_path, provider) as gateway:  # type: ignore[arg-type]
        reply = gateway.ask("/v1/messages", hello(), gateway.token())
        assert (reply.status, reply.headers["request-id"]) == (401, "req_1")
        assert KEY.encode() not in reply.body and KEY not in str(reply.headers)
        assert reply.json["error"]["message"].endswith(KEY[:8] + "*" * (len(KEY) - 8)) and len(reply.body) == len(body)


@given(
    st.lists(st.sampled_from([KEY, KEY[:9], KEY[:12], KEY[9:], "s", "sk", "x", "sk-real-", "\n"]), max_size=8),
    st.data(),
)
def test_no_key_gets_through_however_it_is_torn_and_nothing_else_changes(words: list[str], data: st.DataObject) -> None:
    whole = "".join(words).encode()
    scrub, said, at = Scrubber(KEY), b"", 0
    while at < len(whole):
        size = data.draw(st.integers(1, 12))
        said += scrub.pass_on(whole[at : at + size])
        at += size
    assert said + scrub.rest() == whole.replace(KEY.encode(), KEY[:8].encode() + b"*" * (len(KEY) - 8))
