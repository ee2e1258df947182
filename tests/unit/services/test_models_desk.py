"""The desk of models: roles, keys, probes, money."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ragent_jupyter.adapters.keys import LocalKeys
from ragent_jupyter.adapters.models.anthropic_model import AnthropicModel
from ragent_jupyter.adapters.models.endpoints import make_models
from ragent_jupyter.adapters.models.openai_model import OpenAIModel
from ragent_jupyter.adapters.models.scripted import ScriptedModel
from ragent_jupyter.adapters.store import MemoryDisk, MemoryStore
from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.model import ROLES, ModelFailed, Usage
from ragent_jupyter.domain.wire_chat import PutKey, PutModels
from ragent_jupyter.services.models import LIMIT_PREF, ModelsDesk
from ragent_jupyter.services.shell import Change, Clock, Shell
from tests.support.fake_provider import FakeProvider

T = TypeVar("T")
KEY = {"ANTHROPIC_API_KEY": "sk-ant-api03-0000-abcd"}
NOON = 1_790_000_000.0  # 2026-09-21, 14:13 UTC
DAY = 86_400.0


class StoppedClock(Clock):
    at = NOON

    def now(self) -> float:
        return self.at


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = MemoryDisk()
        self.clock = StoppedClock()

    def desk(self, **env: str) -> ModelsDesk:
        """A desk as after a restart: the same disk, this environment."""
        shell = Shell(MemoryStore(self.disk, self.clock.now), self.clock)
        shell.load()
        return ModelsDesk(shell, LocalKeys(env, self.folder), lambda keys: make_models(keys, env))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def do(what: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(what)


def limit(desk: ModelsDesk, dollars: Any) -> None:
    async def keep() -> None:
        await desk.shell.commit([Change("prefs_changed", {"id": LIMIT_PREF, "value": dollars})])

    do(keep())


# --- which ------------------------------------------------------------------------------------------------------------
def test_with_no_key_the_chat_has_the_built_in_assistant_and_others_say_what_is_missing(place: Place) -> None:
    desk = place.desk()
    assert desk.model_for("chat").info.provider == "builtin"
    for role in set(ROLES) - {"chat"}:
        with pytest.raises(ModelFailed, match="ragent keys set") as caught:
            desk.model_for(role)
        assert caught.value.kind == "missing"
    assert [r.why for r in desk.reply().roles] == ["no key"] * 5


def test_with_a_key_every_role_has_its_printed_default(place: Place) -> None:
    desk = place.desk(**KEY)
    told = {r.role: (r.model.provider, r.model.id, r.why) for r in desk.reply().roles}
    assert told["chat"] == ("anthropic", "claude-sonnet-5-5", "default")
    assert told["judge"] == ("anthropic", "claude-haiku-5-5", "default")
    assert told["research.orchestrator"] == ("anthropic", "claude-opus-5-5", "default")
    assert isinstance(desk.model_for("wild"), AnthropicModel)


def test_a_key_that_is_set_later_is_used_at_once(place: Place) -> None:
    desk = place.desk()
    assert desk.model_for("chat").info.provider == "builtin"
    state = do(desk.put_key(PutKey(name="OPENAI_API_KEY", value="sk-proj-0123456789-wxyz")))
    assert state.hint == "ends in wxyz"
    assert isinstance(desk.model_for("chat"), OpenAIModel)
    do(desk.put_key(PutKey(name="OPENAI_API_KEY", value=None)))
    assert desk.model_for("chat").info.provider == "builtin"


def test_a_changed_key_makes_the_model_anew_and_the_same_one_does_not(place: Place) -> None:
    desk = place.desk()
    do(desk.put_key(PutKey(name="ANTHROPIC_API_KEY", value="sk-ant-first-0123456")))
    first = desk.model_for("chat")
    assert desk.model_for("chat") is first
    do(desk.put_key(PutKey(name="ANTHROPIC_API_KEY", value="sk-ant-other-0123456")))
    assert desk.model_for("chat") is not first


def test_what_was_set_outlives_a_restart_and_null_resets(place: Place) -> None:
    desk = place.desk(**KEY)
    do(desk.put(PutModels(roles={"judge": "scripted:echo"})))
    again = place.desk(**KEY)
    assert isinstance(again.model_for("judge"), ScriptedModel)
    assert next(r for r in again.reply().roles if r.role == "judge").why == "set"
    do(again.put(PutModels(roles={"judge": None})))
    assert again.model_for("judge").info.id == "claude-haiku-5-5"


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"cook": "scripted:echo"}, "cook"),
        ({"chat": "nobody:model"}, "nobody"),
        ({"chat": "llama"}, "Whose"),
        ({"chat": "openai:gpt-6-sol"}, "OPENAI_API_KEY"),
        ({"chat": "scripted:/no/such/file.json"}, "script"),
        ({"chat": "compatible:x"}, "server"),
    ],
)
def test_what_cannot_be_used_is_not_set(place: Place, roles: dict[str, str], said: str) -> None:
    desk = place.desk(**KEY)
    with pytest.raises(BadInput, match=said):
        do(desk.put(PutModels(roles={"judge": "scripted:echo", **roles})))
    assert [r.why for r in desk.reply().roles] == ["default"] * 5


def test_a_set_model_whose_key_is_gone_is_missing_but_still_shown(place: Place) -> None:
    do(place.desk(**KEY).put(PutModels(roles={"chat": "anthropic:claude-opus-5-5"})))
    desk = place.desk()
    with pytest.raises(ModelFailed, match="ANTHROPIC_API_KEY"):
        desk.model_for("chat")
    assert desk.info_for("chat").id == "claude-opus-5-5"


def test_a_role_whose_key_is_gone_has_no_model_and_says_what_helps(place: Place) -> None:
    roles = dict.fromkeys(("chat", "wild"), "anthropic:claude-opus-5-5")
    do(place.desk(**KEY).put(PutModels(roles=roles)))  # type: ignore[arg-type]
    reply = place.desk().reply()
    for one in reply.roles:
        assert (one.model.id, one.why) == ("", "no key") and "ANTHROPIC_API_KEY" in one.remedy, one.role
    assert "claude-opus-5-5" not in {model.id for model in reply.models}
    again = {one.role: one for one in place.desk(**KEY).reply().roles}
    assert (again["wild"].model.id, again["wild"].why, again["wild"].remedy) == ("claude-opus-5-5", "set", "")


def test_an_override_is_taken_by_name(place: Place) -> None:
    desk = place.desk(**KEY)
    assert desk.model_for("chat", "claude-opus-5-5").info.id == "claude-opus-5-5"
    assert desk.model_for("judge", "scripted:echo").info.provider == "scripted"
    assert desk.model_for("chat", "builtin:assistant").info.provider == "builtin"


@pytest.mark.parametrize(
    ("env", "spec"),
    [
        ({"MODEL_PROVIDER": "scripted", "MODEL_ID": "echo"}, "scripted:echo"),
        ({**KEY, "MODEL_PROVIDER": "anthropic", "MODEL_ID": "claude-opus-5"}, "anthropic:claude-opus-5"),
        ({**KEY, "MODEL_ID": "claude-opus-5"}, "anthropic:claude-opus-5"),
        ({**KEY, "MODEL_PROVIDER": "opencode", "MODEL_ID": "minimax-free"}, "anthropic:claude-sonnet-5-5"),
        ({"MODEL_PROVIDER": "opencode", "MODEL_ID": "minimax-free"}, "builtin:assistant"),
        ({**KEY, "OPENAI_API_KEY": "sk-proj-0123456789", "MODEL_PROVIDER": "openai"}, "openai:gpt-6-sol"),
        ({"DEEPINFRA_TOKEN": "0123456789abcdef", "MODEL_ID": "zai-org/GLM-4.7"}, "deepinfra:zai-org/GLM-4.7"),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "MODEL_ID": "qwen3"}, "compatible:qwen3"),
        ({"RESEARCH_AGENT_KEY": "rgt_0123456789", "RESEARCH_AGENT_URL": "http://h/g"}, "gateway:claude-sonnet-5-5"),
    ],
)
def test_the_environment_chooses(place: Place, env: dict[str, str], spec: str) -> None:
    info = place.desk(**env).model_for("chat").info
    assert f"{info.provider}:{info.id}" == spec


def test_models_that_can_be_chosen_are_those_of_the_keys_that_are_there(place: Place) -> None:
    told = place.desk(OPENAI_API_KEY="sk-proj-0123456789").reply().models
    assert {m.provider for m in told} == {"openai", "builtin"}
    assert all(m.price_input is not None for m in told)


# --- trying -----------------------------------------------------------------------------------------------------------
def test_what_a_probe_finds_is_remembered_for_that_address(place: Place) -> None:
    with FakeProvider() as provider:
        provider.call("add", {"a": 2, "b": 3}).say("5").reply(thinking="hm", text="5")
        provider.say("yes", usage={"cache_creation_input_tokens": 900})
        desk = place.desk(ANTHROPIC_BASE_URL=provider.url, MODEL_ID="qwen3")
        assert not desk.model_for("chat").info.thinking
        found = do(desk.test())
        assert found.ok and found.tools and found.usage and found.thinking and found.caching, found
        info = place.desk(ANTHROPIC_BASE_URL=provider.url, MODEL_ID="qwen3").model_for("chat").info
        assert info.thinking and info.caching
    elsewhere = place.desk(ANTHROPIC_BASE_URL="http://127.0.0.1:9", MODEL_ID="qwen3")
    assert not elsewhere.model_for("chat").info.thinking


def test_an_endpoint_without_tools_is_not_offered_any(place: Place) -> None:
    with FakeProvider().say("I can only talk.") as provider:
        desk = place.desk(ANTHROPIC_BASE_URL=provider.url, MODEL_ID="qwen3")
        found = do(desk.test())
        assert not found.ok and found.streams and "did not call" in found.problem and found.remedy
        assert not desk.model_for("chat").info.tools


def test_an_endpoint_that_is_not_there_is_an_answer(place: Place) -> None:
    found = do(place.desk(ANTHROPIC_BASE_URL="http://127.0.0.1:9", MODEL_ID="x").test())
    assert not found.ok and "cannot be reached" in found.problem
    assert do(place.desk().test()).ok  # the built-in assistant always is
    assert not do(place.desk().test("openai:gpt-6-sol")).ok


# --- money ------------------------------------------------------------------------------------------------------------
SMALL = Usage(input=1000, output=100, calls=1)


def test_a_call_has_its_cost_and_a_script_has_none(place: Place) -> None:
    desk = place.desk(**KEY)
    assert desk.price("claude-sonnet-5-5", SMALL).cost == pytest.approx(0.003)
    assert desk.price("nobody-s-model", SMALL).cost is None
    info = desk.model_for("chat", "scripted:echo").info
    assert desk.price(info.id, SMALL).cost == 0.0


def test_prices_can_be_overridden_and_reset(place: Place) -> None:
    desk = place.desk(**KEY)
    do(desk.put(PutModels(prices={"claude-sonnet-5-5": {"input": 20, "output": 0}, "mine": {"input": 1, "output": 1}})))
    again = place.desk(**KEY)
    assert again.price("claude-sonnet-5-5", SMALL).cost == pytest.approx(0.02)
    assert again.price("mine", SMALL).cost == pytest.approx(0.0011)
    assert again.info_for("chat").price_input == 20
    do(again.put(PutModels(prices={"claude-sonnet-5-5": None})))
    assert again.price("claude-sonnet-5-5", SMALL).cost == pytest.approx(0.003)
    with pytest.raises(BadInput, match="price"):
        do(again.put(PutModels(prices={"x": {"input": -1, "output": 1}})))


def test_calls_are_summed_by_day_role_and_model(place: Place) -> None:
    desk = place.desk(**KEY)
    do(desk.spent("chat", SMALL, "claude-sonnet-5-5", "ses_a"))
    do(desk.spent("chat", SMALL, "claude-sonnet-5-5", "ses_b"))
    do(desk.spent("judge", SMALL, "claude-haiku-5-5", "run_a"))
    place.clock.at = NOON + DAY
    again = place.desk(**KEY)
    do(again.spent("chat", SMALL, "claude-sonnet-5-5", "ses_a"))
    told = again.usage()
    assert [(x.day, x.role, x.usage.calls) for x in told.lines] == [
        ("2026-09-22", "chat", 1), ("2026-09-21", "chat", 2), ("2026-09-21", "judge", 1),
    ]  # fmt: skip
    assert told.today.calls == 1 and told.today.cost == pytest.approx(0.003)
    assert told.month.calls == 4 and told.month.input == 4000
    assert len(again.usage(1).lines) == 1
    assert again.usage(1).month.calls == 4


def test_the_daily_limit_is_hard_and_ends_with_the_day(place: Place) -> None:
    desk = place.desk(**KEY)
    assert desk.over_budget() == ""
    limit(desk, 0.005)
    do(desk.spent("chat", SMALL, "claude-sonnet-5-5", "a"))
    assert desk.over_budget() == ""
    do(desk.spent("wild", SMALL, "claude-sonnet-5-5", "a"))
    assert "0.01" in desk.over_budget()
    assert place.desk(**KEY).over_budget() != ""  # a restart forgives nothing
    place.clock.at += DAY
    assert desk.over_budget() == "" and desk.usage().limit_day == 0.005


def test_a_limit_that_cannot_be_kept_stops(place: Place) -> None:
    desk = place.desk(**KEY)
    limit(desk, 5)
    do(desk.spent("chat", SMALL, "nobody-s-model", "a"))
    assert "nobody-s-model has no price" in desk.over_budget()
    do(desk.put(PutModels(prices={"nobody-s-model": {"input": 1, "output": 1}})))
    assert desk.over_budget() == ""


@pytest.mark.parametrize("junk", ["", "much", True, [1], -1, {"a": 1}])
def test_a_limit_that_is_no_number_is_none(place: Place, junk: Any) -> None:
    desk = place.desk(**KEY)
    limit(desk, junk)
    assert desk.limit_day is None


def test_junk_in_the_preference_is_as_good_as_nothing(place: Place) -> None:
    desk = place.desk(**KEY)

    async def keep() -> None:
        value = {"roles": ["x"], "prices": 7, "probes": {"anthropic:claude-sonnet-5-5": "x"}}
        await desk.shell.commit([Change("prefs_changed", {"id": "models", "value": value})])

    do(keep())
    assert desk.model_for("chat").info.id == "claude-sonnet-5-5"
    assert desk.price("claude-sonnet-5-5", SMALL).cost is not None
