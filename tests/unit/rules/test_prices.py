"""Money: tokens times prices, sums, limits; and which model a role uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import anthropic.types.model_param
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ragent_jupyter
from ragent_jupyter.domain.model import ROLES, Usage
from ragent_jupyter.rules.model_choice import DEFAULTS, choose, split
from ragent_jupyter.rules.prices import FREE, Price, cost, over_limit, price_of, prices_from, total

CATALOG = json.loads((Path(ragent_jupyter.__file__).parent / "adapters/models/catalog.json").read_text())["models"]
SONNET = Price(input=2, output=10, cache_read=0.2, cache_write=2.5)


def test_each_kind_of_token_has_its_price() -> None:
    usage = Usage(input=1_000_000, output=100_000, cache_read=2_000_000, cache_write=400_000)
    assert cost(usage, SONNET) == pytest.approx(2 + 1 + 0.4 + 1.0)


def test_without_prices_of_the_cache_it_costs_as_much_as_input() -> None:
    assert cost(Usage(cache_read=500_000, cache_write=500_000), Price(input=2, output=10)) == pytest.approx(2)


def test_long_prompts_can_cost_more() -> None:
    price = Price(input=1, output=1, over=100_000, over_input=5, over_output=3)
    assert cost(Usage(input=100_000, output=1000), price) == pytest.approx(0.101)
    assert cost(Usage(input=100_001, output=1000), price) == pytest.approx(0.500005 + 0.003)


def test_what_is_not_known_has_no_cost_and_what_was_told_stays() -> None:
    assert cost(Usage(input=10), None) is None
    assert cost(Usage(input=10, known=False), SONNET) is None
    assert cost(Usage(known=False), FREE) == 0.0
    assert cost(Usage(input=10, cost=0.5), SONNET) == 0.5


def test_a_model_is_found_with_and_without_its_maker_and_date() -> None:
    table = {"claude-haiku-4-5": SONNET, "openai/gpt-oss-120b": FREE}
    for name in (
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        "anthropic/claude-haiku-4-5",
        "claude-haiku-4-5@latest",
    ):
        assert price_of(name, table) is SONNET
    assert price_of("openai/gpt-oss-120b", table) is FREE
    assert price_of("claude-haiku", table) is None and price_of("", table) is None
    assert price_of("claude-haiku-4-5", {"claude-haiku-4-5": FREE}, table) is FREE


USAGES = st.builds(
    Usage, input=st.integers(0, 9), output=st.integers(0, 9), calls=st.integers(0, 3), known=st.booleans(),
    cost=st.none() | st.integers(0, 9).map(float),
)  # fmt: skip


@given(st.lists(USAGES, max_size=6), st.integers(0, 6))
def test_a_sum_is_the_same_in_one_and_in_two_steps(usages: list[Usage], at: int) -> None:
    assert total([total(usages[:at]), total(usages[at:])]) == total(usages)
    assert total(usages).cost == (sum(u.cost for u in usages if u.cost is not None) if any(
        u.cost is not None for u in usages) else None)  # fmt: skip


def test_a_limit_stops_at_its_last_cent_and_where_it_cannot_be_kept() -> None:
    assert over_limit(1.0, 0.99, []) == ""
    assert "$1.00" in over_limit(1.0, 1.0, [])
    assert over_limit(0.0, 0.0, []) != ""
    assert "qwen has no price" in over_limit(1.0, 0.0, ["qwen", "qwen"])


@pytest.mark.parametrize(
    "junk", [None, [], "x", {"a": 1}, {"a": {}}, {"a": {"input": 1}}, {"a": {"input": -1, "output": 1}}]
)
def test_junk_is_no_price(junk: object) -> None:
    assert prices_from(junk) == {}


# --- the catalog ------------------------------------------------------------------------------------------------------
def test_the_catalog_s_prices_are_prices() -> None:
    told = {name: about["price"] for name, about in CATALOG.items() if "price" in about}
    assert prices_from(told).keys() == told.keys()
    assert all(p.cache_read is None or p.cache_read <= p.input <= p.output for p in prices_from(told).values())


def test_every_role_has_a_default_that_the_catalog_knows() -> None:
    for provider, models in DEFAULTS.items():
        assert set(models) == set(ROLES), provider
        assert set(models.values()) <= set(CATALOG)


def test_the_names_of_claude_models_are_those_of_the_sdk() -> None:
    literals, _ = get_args(anthropic.types.model_param.ModelParam)
    ours = {name for name, about in CATALOG.items() if about["provider"] == "anthropic"}
    assert ours <= set(get_args(literals))


# --- choosing ---------------------------------------------------------------------------------------------------------
def test_what_was_set_is_used_even_where_its_key_is_gone() -> None:
    assert choose("chat", {"chat": "openai:x"}, {"MODEL_ID": "y"}, []).why == "set"


def test_of_several_keys_the_first_in_order_gives_the_defaults() -> None:
    assert choose("chat", {}, {}, ["deepinfra", "openai", "anthropic"]).spec == "anthropic:claude-sonnet-5-5"
    assert choose("chat", {}, {"MODEL_PROVIDER": "research-agent"}, ["anthropic", "gateway"]).spec.startswith(
        "gateway:"
    )


@given(st.text(max_size=20))
def test_any_text_is_split(spec: str) -> None:
    provider, id = split(spec)
    assert id == spec or f"{provider}:{id}" == spec
