"""What goes out on each wire, to whom, and what is made of the odd things that come back."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragent_jupyter.adapters.keys import LocalKeys
from ragent_jupyter.adapters.models import anthropic_wire, openai_wire
from ragent_jupyter.adapters.models.anthropic_model import AnthropicModel
from ragent_jupyter.adapters.models.endpoints import Endpoints
from ragent_jupyter.adapters.models.openai_model import OpenAIModel
from ragent_jupyter.adapters.models.wire import Endpoint, EventReader, kind_of, refused, retry_after
from ragent_jupyter.domain.model import (
    BlockEnded,
    Ended,
    Image,
    Message,
    ModelEvent,
    ModelFailed,
    ModelInfo,
    ModelRequest,
    SystemText,
    Text,
    TextDelta,
    Thinking,
    ToolOffer,
    ToolResult,
    ToolUse,
)
from tests.support.fake_frames import Call, Reply, anthropic_frames, openai_frames
from tests.support.fake_provider import FakeProvider

THERE = Endpoint(name="the fake", base_url="http://127.0.0.1:1")
KEY = "sk-ant-api03-0123456789-abcd"
LOOK = ToolOffer("look", "Look.", {"type": "object", "properties": {}})
PICTURE = Image("image/png", "aGk=")
SONNET = ModelInfo(
    id="claude-sonnet-5-5", provider="anthropic", max_output=64_000, images=True, thinking=True, caching=True
)
LOCAL = ModelInfo(id="qwen3", provider="compatible", max_output=4096)

TALK = [
    Message("user", [Text("first"), PICTURE]),
    Message("assistant", [Thinking("old", "sig_0"), Text("I look."), ToolUse("t0", "look", {"a": 1})]),
    Message("user", [ToolResult("t0", "seen", [PICTURE])]),
    Message("assistant", [Text("done")]),
    Message("user", [Text("second")]),
    Message("assistant", [Thinking("new", "sig_1"), Thinking("", redacted="xx"), ToolUse("t1", "look", {})]),
    Message("user", [ToolResult("t1", "no such run", is_error=True)]),
]


def ask(**more: Any) -> ModelRequest:
    system = [SystemText("stands", cache=True), SystemText("changes")]
    return ModelRequest(**{"system": system, "messages": TALK, "tools": [LOOK], **more})


def kinds(body: dict[str, Any]) -> list[list[str]]:
    return [[b["type"] for b in m["content"]] for m in body["messages"]]


# --- Anthropic: what is asked -----------------------------------------------------------------------------------------
def test_to_anthropic_goes_all_that_it_knows() -> None:
    body = anthropic_wire.body(ask(thinking=True, max_tokens=100_000), SONNET, official=True)
    assert body["max_tokens"] == 64_000
    assert [("cache_control" in s) for s in body["system"]] == [True, False]
    assert "cache_control" in body["messages"][-1]["content"][-1]
    assert body["thinking"]["type"] == "adaptive" and body["thinking"]["display"] == "summarized"
    assert body["thinking"]["block_binding"] == {"prefix_mismatch_behavior": "drop_block"}
    assert "tool_choice" not in body and "temperature" not in str(body)


def test_to_a_server_of_another_make_goes_the_plain_wire_alone() -> None:
    body = anthropic_wire.body(ask(thinking=True, temperature=0.2), LOCAL, official=False)
    assert set(body) == {"model", "max_tokens", "messages", "system", "tools", "extra_body"}
    assert body["extra_body"] == {"temperature": 0.2}
    assert "cache_control" not in str(body) and "thinking" not in str(body)
    assert "left out: this model reads no images" in str(body["messages"][0])


def test_thinking_goes_back_in_its_own_turn_only() -> None:
    body = anthropic_wire.body(ask(thinking=True), SONNET, official=True)
    assert kinds(body) == [
        ["text", "image"], ["text", "tool_use"], ["tool_result"], ["text"], ["text"],
        ["thinking", "redacted_thinking", "tool_use"], ["tool_result"],
    ]  # fmt: skip
    assert body["messages"][5]["content"][0] == {"type": "thinking", "thinking": "new", "signature": "sig_1"}
    assert body["messages"][2]["content"][0]["content"][1]["source"]["data"] == "aGk="
    assert body["messages"][6]["content"][0]["is_error"] is True


def test_thinking_without_a_signature_is_not_sent() -> None:
    said = [Message("user", [Text("a")]), Message("assistant", [Thinking("of another model"), Text("b")])]
    assert kinds(anthropic_wire.body(ask(messages=said), SONNET, official=True)) == [["text"], ["text"]]


def test_a_forced_call_is_said_in_words_where_forcing_is_refused() -> None:
    new = anthropic_wire.body(ask(force="look"), SONNET, official=True)
    assert "tool_choice" not in new
    last = new["messages"][-1]["content"]
    assert last[0]["type"] == "tool_result" and "the tool `look`" in last[-1]["text"]
    old = msgspec.structs.replace(SONNET, id="claude-sonnet-4-6")
    forced = anthropic_wire.body(ask(force="look", thinking=True), old, official=True)
    assert forced["tool_choice"] == {"type": "tool", "name": "look"} and "thinking" not in forced
    assert anthropic_wire.body(ask(force="any"), LOCAL, official=False)["tool_choice"] == {"type": "any"}
    assert "tool_choice" not in anthropic_wire.body(ask(force="any", tools=[]), LOCAL, official=False)


def test_empty_texts_and_empty_messages_are_not_sent() -> None:
    said = [Message("user", [Text(" ")]), Message("user", [Text("a"), Text("")]), Message("assistant", [Text("")])]
    assert kinds(anthropic_wire.body(ask(messages=said, system=[SystemText("")]), LOCAL, official=False)) == [["text"]]


def test_the_request_is_the_same_bytes_each_time() -> None:
    bodies = [msgspec.json.encode(anthropic_wire.body(ask(thinking=True), SONNET, True)) for _ in range(2)]
    assert bodies[0] == bodies[1]


# --- OpenAI: what is asked --------------------------------------------------------------------------------------------
GPT = ModelInfo(id="gpt-6-sol", provider="openai", max_output=64_000, images=True)


def test_results_follow_their_calls_and_pictures_follow_the_results() -> None:
    body = openai_wire.body(ask(force="any"), GPT, official=True)
    assert [m["role"] for m in body["messages"]] == [
        "system", "user", "assistant", "tool", "user", "assistant", "user", "assistant", "tool",
    ]  # fmt: skip
    assert body["messages"][0]["content"] == "stands\n\nchanges"
    assert body["messages"][2]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"a":1}'}
    assert body["messages"][4]["content"][0]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert body["messages"][8]["content"] == "Error: no such run"
    assert body["tool_choice"] == "required" and body["stream_options"] == {"include_usage": True}


def test_reasoning_is_off_where_it_would_refuse_calls() -> None:
    assert openai_wire.body(ask(), GPT, official=True)["reasoning_effort"] == "none"
    assert "reasoning_effort" not in openai_wire.body(ask(tools=[]), GPT, official=True)
    always = msgspec.structs.replace(GPT, id="gpt-6-astra")
    assert "reasoning_effort" not in openai_wire.body(ask(), always, official=True)
    plain = openai_wire.body(ask(temperature=0.1), msgspec.structs.replace(GPT, id="zai-org/GLM-4.7"), official=False)
    assert plain["temperature"] == 0.1 and "max_tokens" in plain and "reasoning_effort" not in plain
    assert "max_completion_tokens" in openai_wire.body(ask(), GPT, official=True)


# --- headers ----------------------------------------------------------------------------------------------------------
def once(model: Any) -> list[ModelEvent]:
    async def hear() -> list[ModelEvent]:
        return [e async for e in model.stream(ask())]

    return asyncio.run(hear())


def test_a_server_of_another_make_gets_both_headers_and_the_old_version() -> None:
    with FakeProvider() as provider:
        once(AnthropicModel(LOCAL, Endpoint(name="x", base_url=provider.url + "/v1/", key=KEY)))
        once(AnthropicModel(LOCAL, Endpoint(name="x", base_url=provider.url)))
        once(AnthropicModel(SONNET, Endpoint(name="x", base_url=provider.url, key=KEY), newest=True))
    with_key, without, gateway = (seen.headers for seen in provider.seen)
    assert with_key["authorization"] == f"Bearer {KEY}" and with_key["x-api-key"] == KEY
    assert with_key["anthropic-version"] == "2023-06-01"
    assert without["x-api-key"] == "none"
    assert gateway["anthropic-version"] > "2026" and gateway["anthropic-beta"] == anthropic_wire.BINDING_BETA
    assert all(seen.path == "/v1/messages" for seen in provider.seen)


def test_nobody_else_s_credentials_are_ever_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment's, where the desk chose otherwise, nor those of a profile file."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.json").write_text('{"credentials": {"api_key": "sk-of-a-profile"}}')
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    with FakeProvider() as provider:
        once(AnthropicModel(LOCAL, Endpoint(name="x", base_url=provider.url)))
        once(OpenAIModel(GPT, Endpoint(name="x", base_url=provider.openai_url)))
    assert [seen.key for seen in provider.seen] == ["none", "none"]


def test_no_proxy_stands_between_two_programs_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with FakeProvider() as provider:
        assert isinstance(once(AnthropicModel(LOCAL, Endpoint(name="x", base_url=provider.url)))[-1], Ended)


def test_a_key_that_the_provider_repeats_is_not_in_the_error() -> None:
    with FakeProvider().http(401, message=f"Incorrect API key provided: {KEY}. See the docs") as provider:
        model = AnthropicModel(LOCAL, Endpoint(name="x", base_url=provider.url, key=KEY, key_name="ANTHROPIC_API_KEY"))
        with pytest.raises(ModelFailed) as caught:
            once(model)
    assert KEY not in str(caught.value) and "ANTHROPIC_API_KEY" in caught.value.remedy
    assert KEY not in repr(caught.value.__cause__) and caught.value.__suppress_context__


@pytest.mark.parametrize("key", ["with a blank", "schlüssel-0123", "line\nend-01234"])
def test_a_key_that_no_header_can_carry_is_refused_before_it_is_sent(key: str) -> None:
    with pytest.raises(ModelFailed) as caught:
        AnthropicModel(LOCAL, msgspec.structs.replace(THERE, key=key))
    assert caught.value.kind == "auth" and key not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kind"),
    [("http://127.0.0.1:9", "network"), ("http://no-such-host.invalid", "network"), ("nonsense", "bad_request"),
     ("ftp://127.0.0.1/x", "bad_request"), ("http://127.0.0.1:99999", "bad_request")],
)  # fmt: skip
@pytest.mark.parametrize("make", [AnthropicModel, OpenAIModel])
def test_an_address_that_leads_nowhere_is_told(make: Any, url: str, kind: str) -> None:
    with pytest.raises(ModelFailed) as caught:
        once(make(LOCAL, Endpoint(name="x", base_url=url)))
    assert caught.value.kind == kind and caught.value.remedy


def test_a_redirect_does_not_get_the_key() -> None:
    with FakeProvider() as other, FakeProvider() as provider:
        provider.http(307, location=other.url + "/v1/messages")
        with pytest.raises(ModelFailed) as caught:
            once(AnthropicModel(LOCAL, Endpoint(name="x", base_url=provider.url, key=KEY)))
        assert caught.value.kind == "bad_request" and other.url in caught.value.problem
        assert other.seen == []


# --- what comes back --------------------------------------------------------------------------------------------------
def fold(frames: list[Any], make: Any, cuts: list[int]) -> list[ModelEvent]:
    """The events of a stream, however its bytes are cut into pieces."""
    data = b"".join(f.data for f in frames)
    reader, one = EventReader(), make(THERE, "m")
    made: list[ModelEvent] = []
    places = [0, *sorted(c % (len(data) + 1) for c in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        for event in reader.feed(data[start:end]):
            made += one.feed(event.type, event.data)
    return made


REPLY = Reply(
    thinking="Ümläut 思考",
    text="Straße – 损失 🙂",
    calls=[Call(name="look", input={"k": "é\n\"'"})],
    chunk=3,
    pings=1,
    unknown=1,
)


@given(st.lists(st.integers(0, 10_000), max_size=30))
def test_where_the_bytes_are_cut_changes_nothing(cuts: list[int]) -> None:
    for frames, make in (
        (anthropic_frames(REPLY, 1, "m"), anthropic_wire.AnthropicFold),
        (openai_frames(REPLY, 1, "m", True), openai_wire.OpenAIFold),
    ):
        assert fold(frames, make, cuts) == fold(frames, make, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["type", "index", "delta", "content_block", "message", "usage", "choices", "tool_calls", "function", "name",
         "id", "text", "content", "error", "stop_reason", "finish_reason", "arguments", "input_tokens"]),
        inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
KINDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
     "message_stop", "error", "ping", "", "mystery"]
)  # fmt: skip


@example([("content_block_delta", {"type": None, "index": []})])
@given(st.lists(st.tuples(KINDS, JSON), max_size=8))
def test_whatever_comes_is_events_or_a_failure(sent: list[tuple[str, Any]]) -> None:
    for make in (anthropic_wire.AnthropicFold, openai_wire.OpenAIFold):
        one = make(THERE, "m")
        try:
            for kind, data in sent:
                if isinstance(data, dict):
                    data = {**data, "type": kind}
                one.feed(kind, msgspec.json.encode(data).decode())
            one.check_ended()
        except ModelFailed as failed:
            assert failed.problem


def test_a_server_that_forgets_to_end_its_blocks_is_understood() -> None:
    frames = [f for f in anthropic_frames(Reply(text="all of it"), 1, "m") if b"content_block_stop" not in f.data]
    assert [e.block for e in fold(frames, anthropic_wire.AnthropicFold, []) if isinstance(e, BlockEnded)] == [
        Text("all of it")
    ]


def test_an_end_without_a_reason_is_a_cut() -> None:
    one = anthropic_wire.AnthropicFold(THERE, "m")
    one.feed("", '{"type": "message_start", "message": {"model": "m"}}')
    one.feed("", '{"type": "message_delta", "delta": {"stop_reason": null}}')
    with pytest.raises(ModelFailed) as caught:
        one.feed("", '{"type": "message_stop"}')
    assert caught.value.kind == "cut"


def test_a_block_of_an_unknown_kind_leaves_no_gap() -> None:
    one = anthropic_wire.AnthropicFold(THERE, "m")
    made = one.feed("", '{"type": "message_start", "message": {"model": "m"}}')
    made += one.feed("", '{"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use"}}')
    made += one.feed("", '{"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta"}}')
    made += one.feed("", '{"type": "content_block_stop", "index": 0}')
    made += one.feed("", '{"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "a"}}')
    made += one.feed("", '{"type": "content_block_stop", "index": 1}')
    made += one.feed("", '{"type": "message_delta", "delta": {"stop_reason": "brand_new"}}')
    made += one.feed("", '{"type": "message_stop"}')
    assert [e.index for e in made if isinstance(e, TextDelta)] == [0]
    assert isinstance(made[-1], Ended) and made[-1].content == [Text("a")] and made[-1].stop_reason == "other"


def test_a_call_whose_input_comes_whole_at_its_start_has_it() -> None:
    one = anthropic_wire.AnthropicFold(THERE, "m")
    start = {"type": "tool_use", "name": "look", "input": {"a": 1}}
    one.feed("", msgspec.json.encode({"type": "content_block_start", "index": 0, "content_block": start}).decode())
    (ended,) = one.feed("", '{"type": "content_block_stop", "index": 0}')
    assert isinstance(ended, BlockEnded) and isinstance(ended.block, ToolUse)
    assert ended.block.input == {"a": 1} and ended.block.id


def test_calls_without_a_place_and_with_objects_for_json_are_understood() -> None:
    one = openai_wire.OpenAIFold(THERE, "m")
    calls = [{"id": f"c{i}", "function": {"name": "look", "arguments": {"i": i}}} for i in range(2)]
    one.feed("", msgspec.json.encode({"choices": [{"delta": {"tool_calls": calls}, "finish_reason": "stop"}]}).decode())
    ended = one.feed("", "[DONE]")[-1]
    assert isinstance(ended, Ended) and ended.stop_reason == "tool_use"
    assert [b.input for b in ended.content if isinstance(b, ToolUse)] == [{"i": 0}, {"i": 1}]


def test_cached_tokens_are_counted_once() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 7, "output_tokens": 5}
    ended = fold(anthropic_frames(Reply(text="a", usage=usage), 1, "m"), anthropic_wire.AnthropicFold, [])[-1]
    assert isinstance(ended, Ended)
    assert (ended.usage.input, ended.usage.cache_read, ended.usage.cache_write, ended.usage.output) == (10, 100, 7, 5)
    ended = fold(openai_frames(Reply(text="a", usage=usage), 1, "m", True), openai_wire.OpenAIFold, [])[-1]
    assert isinstance(ended, Ended)
    assert (ended.usage.input, ended.usage.cache_read) == (10, 100)


def test_an_event_without_end_is_ended() -> None:
    reader = EventReader()
    with pytest.raises(ModelFailed, match="without an end"):
        for _ in range(40):
            reader.feed(b"data: " + b"x" * (1 << 20))


# --- small rules ------------------------------------------------------------------------------------------------------
def test_a_date_to_retry_at_is_seconds() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, now=1_792_567_670.0) == 10.0
    assert retry_after({"retry-after": "Wed, 21 Oct 2020 07:28:00 GMT"}, now=1_792_567_670.0) == 0.0
    assert [retry_after({"retry-after": x}) for x in ("", "nan", "inf", "-5", "1e400")] == [None, None, None, 0.0, None]


@given(st.integers(100, 599), st.text(max_size=30), st.text(max_size=30), st.text(max_size=60))
def test_every_refusal_is_of_some_kind(status: int, type_: str, code: str, message: str) -> None:
    assert kind_of(status, type_, code, message)
    for body in ({"error": {"type": type_, "code": code, "message": message}}, {"error": message}, message, None, [1]):
        assert refused(THERE, status, {}, body).problem


# --- endpoints --------------------------------------------------------------------------------------------------------
def test_a_gateway_is_the_server_of_both_wires(tmp_path: Path) -> None:
    with FakeProvider() as provider:
        env = {"RESEARCH_AGENT_KEY": "rgt_0123456789", "RESEARCH_AGENT_URL": provider.url}
        models = Endpoints(LocalKeys(env, tmp_path), env)
        assert models.there() == ["gateway"]
        once(models.make("anthropic", "claude-sonnet-5-5"))
        once(models.make("gateway", "gpt-6-sol"))
    assert [(s.path, s.key) for s in provider.seen] == [
        ("/v1/messages", "rgt_0123456789"), ("/openai/v1/chat/completions", "rgt_0123456789"),
    ]  # fmt: skip


def test_the_predecessor_s_two_variables_are_a_gateway_too(tmp_path: Path) -> None:
    env = {"RESEARCH_AGENT_KEY": "rgt_0123456789", "ANTHROPIC_BASE_URL": "http://h/ragent/gateway"}
    models = Endpoints(LocalKeys(env, tmp_path), env)
    assert models.there() == ["gateway"] and models.key("gateway")[0] == "http://h/ragent/gateway"
    del env["ANTHROPIC_BASE_URL"]
    with pytest.raises(ModelFailed, match="no address"):
        models.make("gateway", "claude-sonnet-5-5")


def test_a_server_on_this_machine_costs_nothing(tmp_path: Path) -> None:
    env = {"ANTHROPIC_BASE_URL": "http://localhost:11434"}
    info = Endpoints(LocalKeys(env, tmp_path), env).make("compatible", "qwen3").info
    assert info.price_input == 0.0 and not info.caching


# --- weight -----------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_no_sdk_is_loaded_before_a_model_is_used() -> None:
    code = (
        "import sys; from ragent_jupyter.adapters.models import endpoints; from ragent_jupyter.adapters import keys\n"
        "env = {'ANTHROPIC_API_KEY': 'sk-ant-0123456789'}\n"
        "endpoints.make_models(keys.LocalKeys(env), env).make('anthropic', 'claude-sonnet-5-5')\n"
        "print([m for m in ('anthropic', 'openai', 'httpx2', 'keyring') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_package_openai_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelFailed, match=r"ragent-jupyter\[openai\]") as caught:
        once(OpenAIModel(GPT, THERE))
    assert caught.value.kind == "missing"


def test_the_first_piece_comes_through_at_once() -> None:
    """The adapter's share of the 50 ms between a provider's first byte and the browser."""
    with FakeProvider(default=Reply(text="a b c", chunk=1)) as provider:
        model = AnthropicModel(LOCAL, Endpoint(name="x", base_url=provider.url))

        async def first() -> list[float]:
            took = []
            for _ in range(20):
                async for event in model.stream(ask()):
                    if isinstance(event, TextDelta):
                        took.append(time.monotonic() - (provider.seen[-1].first_byte_at or 0))
                        break
            return took

        took = sorted(asyncio.run(first()))
    assert took[0] < 0.05 and took[10] < 0.25, took
