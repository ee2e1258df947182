"""The models' contract: the script, both wires against a provider on 127.0.0.1, and a llama.cpp server if there is one.

`RAGENT_TEST_LLAMACPP=http://127.0.0.1:8080` is the base URL of a running server that speaks Anthropic's wire, with any
model that can call tools.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ragent_jupyter.adapters.models.anthropic_model import AnthropicModel
from ragent_jupyter.adapters.models.openai_model import OpenAIModel
from ragent_jupyter.adapters.models.probe import probe
from ragent_jupyter.adapters.models.scripted import CallOf, Fail, Say, ScriptedModel
from ragent_jupyter.adapters.models.wire import Endpoint
from ragent_jupyter.domain.model import Ended, Model, ModelFailed, ModelInfo, Text, TextDelta, Usage
from tests.support.fake_provider import FakeProvider, Reply

from .model import ModelContract, WireContract, do, end_of, events_of, failure_of

LLAMACPP = os.environ.get("RAGENT_TEST_LLAMACPP", "")


class WireStage:
    def __init__(self, wire: str) -> None:
        self.wire = wire
        self.provider = FakeProvider().start()

    def model(self, *replies: Reply) -> Model:
        self.provider.queue.extend(replies)
        if self.wire == "openai":
            info = ModelInfo(id="gpt-test", provider="openai", max_output=4096)
            return OpenAIModel(info, Endpoint(name="the fake", base_url=self.provider.openai_url, key="sk-test-0001"))
        info = ModelInfo(id="claude-test", provider="compatible", max_output=4096, thinking=True, caching=True)
        return AnthropicModel(info, Endpoint(name="the fake", base_url=self.provider.url, key="sk-test-0001"))

    def closed(self) -> float | None:
        return self.provider.wait_closed(self.provider.calls[-1])

    def connections(self) -> int:
        return len({seen.peer for seen in self.provider.calls})


class ScriptStage:
    def model(self, *replies: Reply) -> Model:
        return ScriptedModel([self.say(reply) for reply in replies])

    def closed(self) -> float | None:
        return None

    @staticmethod
    def say(reply: Reply) -> Say:
        fail = None
        if reply.fault == "cut":
            pieces = -(-len(reply.text) // reply.chunk)
            fail = Fail(kind="cut", after=pieces + 2 if reply.in_call else pieces // 2)
        elif reply.fault == "http":
            kind = {429: "rate_limited", 529: "overloaded"}[reply.status]
            fail = Fail(kind=kind, retry_after=float(reply.retry_after) if reply.retry_after else None)
        usage = None
        if reply.usage:
            usage = Usage(input=reply.usage["input_tokens"], output=reply.usage["output_tokens"], calls=1)
        calls = [CallOf(name=c.name, input=c.input, raw=c.raw) for c in reply.calls]
        return Say(
            text=reply.text, thinking=reply.thinking, calls=calls, chunk=reply.chunk, delay=reply.delay,
            stop=reply.stop or None, fail=fail, usage=usage,
        )  # fmt: skip


class TestScripted(ModelContract):
    @pytest.fixture
    def stage(self) -> ScriptStage:
        return ScriptStage()


class TestAnthropic(WireContract):
    @pytest.fixture
    def stage(self) -> Iterator[WireStage]:
        stage = WireStage("anthropic")
        yield stage
        stage.provider.stop()

    def test_a_pause_is_told(self, stage: WireStage) -> None:
        assert end_of(stage.model(Reply(text="wait", stop="pause_turn"))).stop_reason == "pause_turn"

    def test_a_full_context_is_told(self, stage: WireStage) -> None:
        ended = end_of(stage.model(Reply(text="and", stop="model_context_window_exceeded")))
        assert ended.stop_reason == "context_exceeded"

    def test_a_stop_reason_without_the_last_event_is_cut(self, stage: WireStage) -> None:
        assert failure_of(stage.model(Reply(text="all but the end", message_stop=False))).kind == "cut"


class TestOpenAI(WireContract):
    @pytest.fixture
    def stage(self) -> Iterator[WireStage]:
        stage = WireStage("openai")
        yield stage
        stage.provider.stop()

    def test_a_finish_reason_without_done_is_an_end(self, stage: WireStage) -> None:
        assert end_of(stage.model(Reply(text="all of it", message_stop=False))).content == [Text("all of it")]


class LlamaCpp:
    """What a real server must do; what it says is the model's own, so the suite looks at the form alone."""

    @pytest.fixture
    def model(self) -> Model:
        info = ModelInfo(id=os.environ.get("RAGENT_TEST_LLAMACPP_MODEL", "local"), provider="compatible")
        return AnthropicModel(info, Endpoint(name="llama.cpp", base_url=LLAMACPP))

    def test_a_text_comes_in_pieces_and_ends_whole(self, model: Model) -> None:
        events = events_of(model)
        ended = events[-1]
        assert isinstance(ended, Ended) and ended.usage.known
        said = "".join(b.text for b in ended.content if isinstance(b, Text))
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == said

    def test_the_probe_gets_through(self, model: Model) -> None:
        found = do(lambda: probe(model))
        assert found.streams and found.usage, found.problem

    def test_an_unknown_address_is_a_failure_of_ours(self) -> None:
        info = ModelInfo(id="local", provider="compatible")
        model = AnthropicModel(info, Endpoint(name="llama.cpp", base_url=LLAMACPP.rstrip("/") + "/nowhere"))
        assert isinstance(failure_of(model), ModelFailed)


if LLAMACPP:

    class TestLlamaCpp(LlamaCpp):
        pass

else:

    def test_on_a_llama_cpp_server() -> None:
        pytest.skip("no local server: RAGENT_TEST_LLAMACPP names a llama.cpp server whose model calls tools")
