"""What the gateway decides and reads, without a socket."""

from __future__ import annotations

import doctest
import importlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragent_jupyter.domain.model import Usage
from ragent_jupyter.gateway import limits, upstreams, wire
from ragent_jupyter.gateway.limits import Refused
from ragent_jupyter.gateway.upstreams import DEFAULTS, Upstream
from ragent_jupyter.gateway.usage import Reader
from tests.support import fake_frames as frames


@pytest.mark.parametrize(
    "module",
    ["gateway.limits", "gateway.tokens", "gateway.upstreams", "gateway.wire", "cli.gateway", "server.gateway"],
)
def test_the_examples_in_the_words_are_true(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"ragent_jupyter.{module}"))
    assert found.failed == 0


def stream_of(reply: frames.Reply, openai: bool, include: bool = True) -> bytes:
    made = frames.openai_frames(reply, 1, "m", include) if openai else frames.anthropic_frames(reply, 1, "m")
    return b"".join(frame.data for frame in made)


@given(st.booleans(), st.text(max_size=200), st.data())
def test_a_stream_is_read_alike_however_it_is_torn(openai: bool, text: str, data: st.DataObject) -> None:
    whole = stream_of(frames.Reply(text=text, thinking="hm", calls=[frames.Call(name="f")]), openai)
    format_: upstreams.Format = "openai" if openai else "anthropic"
    once, torn = Reader(format_, streamed=True), Reader(format_, streamed=True)
    once.feed(whole)
    at = 0
    while at < len(whole):
        size = data.draw(st.integers(1, 400))
        torn.feed(whole[at : at + size])
        at += size
    once.end()
    torn.end()
    assert once.usage(100, True) == torn.usage(100, True)
    assert torn.usage(100, True).known and torn.usage(100, True).input == 25
    assert torn.whole and torn.stop_reason and torn.began


@given(st.binary(max_size=400))
def test_whatever_passes_it_only_reads_along(data: bytes) -> None:
    for streamed in (True, False):
        reader = Reader("anthropic", streamed=streamed)
        for piece in (data, b"\ndata: ", data, b"\n", b'data: {"usage": [], "choices": {}, "message": 3}\n\n'):
            reader.feed(piece)
        reader.end()
        assert reader.usage(8, True).input >= 0


def test_a_line_without_an_end_is_not_kept() -> None:
    reader = Reader("anthropic", streamed=True)
    for _ in range(40):
        reader.feed(b"x" * 100_000)
    assert len(reader._rest) <= (1 << 20) + 100_000
    reader.feed(b'\ndata: {"type":"message_delta","usage":{"output_tokens":3,"input_tokens":5}}\n')
    assert reader.usage(0, True) == Usage(input=5, output=3, calls=1)


def test_tokens_of_both_wires_are_counted_the_same_way() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 7}
    said = Reader("anthropic", streamed=False)
    said.feed(json.dumps({"type": "message", "model": "m", "content": [], "usage": usage}).encode())
    said.end()
    assert said.usage(0, True) == Usage(input=10, output=7, cache_read=90, cache_write=5, calls=1)
    other = Reader("openai", streamed=False)
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 90}}  # type: ignore[dict-item]
    other.feed(json.dumps({"choices": [], "usage": {**usage, "estimated_cost": 0.5}}).encode())
    other.end()
    assert other.usage(0, True) == Usage(input=10, output=7, cache_read=90, calls=1)
    assert other.cost == 0.5


def test_without_the_providers_word_length_counts() -> None:
    reader = Reader("openai", streamed=True)
    reader.feed(stream_of(frames.Reply(text="word " * 80), openai=True, include=False))
    reader.end()
    usage = reader.usage(400, True)
    assert (usage.input, usage.output, usage.known) == (100, 100, False)
    assert reader.usage(400, answered=False) == Usage(calls=1)


@given(st.integers(1, 100), st.lists(st.floats(0, 100), min_size=1, max_size=150))
def test_no_window_of_a_minute_lets_more_through_than_twice_the_rate(rate: int, gaps: list[float]) -> None:
    bucket, now, passed = None, 0.0, []
    for gap in gaps:
        now += gap
        bucket, wait = limits.take(bucket, rate, now)
        if wait == 0:
            passed.append(now)
        else:
            assert limits.take(bucket, rate, now + wait)[1] == 0  # whoever comes back when told gets in
    for start in passed:
        assert sum(start <= at < start + 60 for at in passed) <= 2 * rate


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/ragent/gateway/v1/messages", ("messages", "anthropic", "")),
        ("POST", "/v1/v1/messages", ("messages", "anthropic", "")),  # a base URL that ends in /v1
        ("POST", "/v1/messages/count_tokens", ("count_tokens", "anthropic", "")),
        ("POST", "/openai/v1/chat/completions", ("chat", "openai", "openai")),
        ("POST", "/openai/chat/completions", ("chat", "openai", "openai")),
        ("POST", "/ragent/gateway/v1/chat/completions", ("chat", "openai", "")),
        ("GET", "/v1/models", ("models", "anthropic", "")),
        ("GET", "/v1/models/claude-1", ("models", "anthropic", "")),
        ("GET", "/openai/v1/models", ("models", "openai", "openai")),
        ("POST", "/my-box/v1/messages", ("messages", "anthropic", "my-box")),
    ],
)
def test_paths(method: str, path: str, expected: tuple[str, str, str]) -> None:
    ask = wire.parse(method, path)
    assert (ask.what, ask.format, ask.named) == expected


@pytest.mark.parametrize("path", ["/", "/v1", "/x/y/v1/messages", "/v1/messages/../keys", "/v1/models?x", "/v1/files"])
def test_no_other_paths(path: str) -> None:
    with pytest.raises(Refused):
        wire.parse("POST", path)


def test_a_router_at_a_wires_own_place_keeps_its_prefixes() -> None:
    assert upstreams.choose(DEFAULTS, "", "openai", "openai/gpt-1")[2] == "gpt-1"
    router = {**DEFAULTS, "openai": Upstream(format="openai", base_url="https://router.example/v1")}
    assert upstreams.choose(router, "", "openai", "openai/gpt-1")[2] == "openai/gpt-1"
    assert upstreams.choose(router, "", "openai", "anthropic/claude-1")[0] == "openai"
    assert upstreams.choose(DEFAULTS, "openai", "openai", "deepinfra/meta/llama")[::2] == ("deepinfra", "meta/llama")


def test_the_environment_moves_a_wire_and_a_gateways_token_opens_it() -> None:
    made = upstreams.table({"ANTHROPIC_BASE_URL": "http://box:9/", "OPENAI_BASE_URL": "https://api.openai.com/v1"})
    assert made["anthropic"].base_url == "http://box:9" and made["anthropic"].header == "both"
    assert made["anthropic"].keys == ["ANTHROPIC_API_KEY", "RESEARCH_AGENT_KEY"]
    assert made["openai"] == DEFAULTS["openai"]
    assert upstreams.url(made["anthropic"], "messages") == "http://box:9/v1/messages"


@pytest.mark.parametrize("kind", sorted(limits.STATUS))
@pytest.mark.parametrize("format_", ["anthropic", "openai"])
def test_every_refusal_reads_as_the_providers_own(kind: limits.RefusalKind, format_: upstreams.Format) -> None:
    body, headers = wire.refusal(Refused(kind, "No.", retry_after=3), format_, "cal_1")
    error = json.loads(body)["error"]
    assert error["message"] == "No." and error["type"] and ("Retry-After", "3") in headers
    assert (json.loads(body).get("type") == "error") == (format_ == "anthropic")
