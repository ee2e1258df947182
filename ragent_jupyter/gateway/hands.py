"""What a gateway is given: keys, prices, redaction. Its own where it stands alone, the engine's where that has them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from ragent_jupyter.domain.model import Usage
from ragent_jupyter.rules import prices
from ragent_jupyter.rules.redact import redact

from .core import KeyHolder, Price, Redact


def keys() -> KeyHolder:
    """Environment, keyring, file: as everywhere."""
    from ragent_jupyter.adapters.keys import LocalKeys

    return LocalKeys()


@functools.cache
def _catalog() -> Mapping[str, prices.Price]:
    from ragent_jupyter.adapters.models.endpoints import catalog

    return prices.prices_from({name: about["price"] for name, about in catalog().items() if "price" in about})


def price(find: Callable[[str], prices.Price | None] | None = None) -> Price:
    """find: a model's price; default: by our catalog."""

    def cost(model: str, usage: Usage) -> float | None:
        found = prices.price_of(model, _catalog()) if find is None else find(model)
        return price_of_all(usage, found)

    return cost


def price_of_all(usage: Usage, price: prices.Price | None) -> float | None:
    """Tokens that were only estimated cost something too: a budget that they do not touch could be walked around."""
    return prices.cost(replace(usage, known=True, cost=None), price)


def redaction(holder: KeyHolder) -> Redact:
    """Without every key that is held, and whatever looks like one."""
    values: Callable[[], list[str]] = getattr(holder, "values", list)

    def without_secrets(text: str, extra: Iterable[str] = ()) -> str:
        return redact(text, [*extra, *values()])

    return without_secrets
