"""The real SDKs, pointed at the gateway, over real sockets: what the provider said is what they get."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from ragent_jupyter.domain.model import Ended, Message, ModelRequest, SystemText, Text
from tests.support.fake_frames import Call
from tests.support.fake_provider import FakeProvider
from tests.unit.gateway.running import KEY, RunningGateway

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
ASK: Any = {"model": "claude-test", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


def client(gateway: RunningGateway, token: str, **more: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=token, base_url=gateway.url, max_retries=0, **more)


def openai_client(gateway: RunningGateway, token: str) -> Any:
    return openai.OpenAI(api_key=token, base_url=gateway.openai_url, max_retries=0)


def test_a_client_with_a_token_streams_a_tool_using_answer_and_the_provider_sees_the_key(
    gateway: RunningGateway, provider: FakeProvider
) -> None:
    token = gateway.token(name="ann")
    provider.reply(text="I look.", calls=[Call(name="look", input={"deep": True})]).say("Seen.")
    with client(gateway, token).messages.stream(**ASK, tools=[TOOL]) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert message.content[1].input == {"deep": True} and message.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": message.content[1].id, "content": "a cat"}
    follow = [
        *ASK["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    assert client(gateway, token).messages.create(**{**ASK, "messages": follow}).content[0].text == "Seen."
    assert [seen.key for seen in provider.calls] == [KEY, KEY]
    assert token not in str([seen.headers for seen in provider.seen])
    first = gateway.wait_calls(2)[0]
    assert (first.who, first.model, first.status, first.outcome, first.stream) == (
        "ann",
        "claude-test",
        200,
        "ok",
        True,
    )
    assert first.usage.known and first.usage.input > 0 and first.usage.output > 0 and first.usage.cost
    assert first.first_token_ms is not None and 0 < first.first_token_ms <= first.latency_ms
    assert first.finish_reason == "tool_use" and first.n_messages == 1


def test_counting_and_the_list_of_models(gateway: RunningGateway, provider: FakeProvider) -> None:
    own = client(gateway, gateway.token())
    assert own.messages.count_tokens(model="claude-test", messages=ASK["messages"]).input_tokens > 0
    assert [model.id for model in own.models.list()] == ["claude-test", "gpt-test"]
    assert [call.usage.cost for call in gateway.wait_calls(2)] == [0.0, 0.0]


def test_the_other_wire(gateway: RunningGateway, provider: FakeProvider) -> None:
    own = openai_client(gateway, gateway.token())
    ask: Any = {"model": "gpt-test", "messages": ASK["messages"]}
    provider.say("Whole.").say("In pieces.")
    assert own.chat.completions.create(**ask).choices[0].message.content == "Whole."
    stream = own.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True})
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(pieces) == "In pieces."
    assert [model.id for model in own.models.list()] == ["claude-test", "gpt-test"]
    whole, streamed, _ = gateway.wait_calls(3)
    assert whole.usage.known and streamed.usage.known and streamed.usage.output > 0
    assert whole.first_token_ms is None and streamed.first_token_ms is not None


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "BadRequestError"), (401, "AuthenticationError"), (429, "RateLimitError"), (529, "OverloadedError")],
)
def test_an_error_of_the_provider_is_the_clients_error(
    gateway: RunningGateway, provider: FakeProvider, status: int, error: str
) -> None:
    provider.http(status, retry_after="7", message="not now")
    with pytest.raises(anthropic.APIStatusError) as raised:
        client(gateway, gateway.token()).messages.create(**ASK)
    assert raised.value.status_code == status and type(raised.value).__name__ == error
    assert raised.value.response.headers["retry-after"] == "7"
    assert "not now" in str(raised.value)
    call = gateway.wait_calls(1)[0]
    assert (call.status, call.outcome, call.usage.cost) == (status, "error", 0.0)


def test_a_client_that_retries_comes_through(gateway: RunningGateway, provider: FakeProvider) -> None:
    provider.http(529).http(429, retry_after="0.01").say("Now.")
    own = anthropic.Anthropic(api_key=gateway.token(), base_url=gateway.url, max_retries=3)
    assert own.messages.create(**ASK).content[0].text == "Now."
    assert [call.status for call in gateway.wait_calls(3)] == [529, 429, 200]


def test_a_wrong_token_is_an_authentication_error_on_both_wires(
    gateway: RunningGateway, provider: FakeProvider
) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        client(gateway, "rgt_wrong").messages.create(**ASK)
    with pytest.raises(openai.AuthenticationError) as raised:
        openai_client(gateway, "rgt_wrong").chat.completions.create(model="gpt-test", messages=ASK["messages"])
    assert raised.value.code == "invalid_api_key"
    assert provider.seen == []


def test_a_spent_budget_is_402_on_both_wires(gateway: RunningGateway, provider: FakeProvider) -> None:
    token = gateway.token(budget_total=0.0)
    with pytest.raises(anthropic.APIStatusError) as refused:
        client(gateway, token).messages.create(**ASK)
    assert refused.value.status_code == 402 and refused.value.body["error"]["type"] == "billing_error"
    with pytest.raises(openai.APIStatusError) as raised:
        openai_client(gateway, token).chat.completions.create(model="gpt-test", messages=ASK["messages"])
    assert raised.value.status_code == 402 and raised.value.code == "insufficient_quota"
    assert provider.seen == []


@pytest.mark.parametrize("spec", ["anthropic", "gateway"])
def test_a_ragent_with_nothing_but_a_token_is_a_client(
    gateway: RunningGateway, provider: FakeProvider, tmp_path: Path, spec: str
) -> None:
    from ragent_jupyter.adapters.keys import LocalKeys
    from ragent_jupyter.adapters.models.endpoints import make_models

    env = {"RESEARCH_AGENT_KEY": gateway.token(), "ANTHROPIC_BASE_URL": gateway.url, "RAGENT_KEYRING": "0"}
    made = make_models(LocalKeys(env=env, folder=tmp_path), env)
    model = made.make(made.resolve(spec), "claude-sonnet-5")
    request = ModelRequest(system=[SystemText("Be short.")], messages=[Message("user", [Text("Hi")])])

    async def ask() -> Ended:
        events = [event async for event in model.stream(request)]
        assert isinstance(events[-1], Ended)
        return events[-1]

    provider.say("Hello.")
    assert asyncio.run(ask()).content == [Text("Hello.")]
    assert [seen.key for seen in provider.calls] == [KEY]
