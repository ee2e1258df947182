"""What calls cost, and which are too many: tokens times the price table, sums, the daily limit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.model import Usage


class Price(Struct, frozen=True, kw_only=True):
    """US dollars per million tokens.

    over: prompts longer than this many tokens cost `over_input` times as much for what goes in and `over_output` times
    for what comes out; 0 where all lengths cost the same.
    """

    input: float
    output: float
    cache_read: float | None = None  # None: as input
    cache_write: float | None = None
    over: int = 0
    over_input: float = 1.0
    over_output: float = 1.0


FREE = Price(input=0.0, output=0.0, cache_read=0.0, cache_write=0.0)
_DATE = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


def price_of(model: str, *tables: Mapping[str, Price]) -> Price | None:
    """The price of a model by its name, with or without its maker and its date; the first table that has it wins.

    >>> table = {"claude-haiku-4-5": FREE}
    >>> price_of("anthropic/claude-haiku-4-5-20251001", table) is FREE, price_of("claude-haiku-4", table)
    (True, None)
    """
    bare = model.rsplit("/", 1)[-1]
    names = [model, bare, _DATE.sub("", model), _DATE.sub("", bare)]
    for table in tables:
        for name in names:
            if name in table:
                return table[name]
    return None


def cost(usage: Usage, price: Price | None) -> float | None:
    """US dollars of one call; None where the price or the tokens are not known. A cost that the provider told stays.

    >>> cost(Usage(input=1_000_000, output=100_000), Price(input=2, output=10))
    3.0
    """
    if usage.cost is not None:
        return usage.cost
    if price is None:
        return None
    if not usage.known:
        return 0.0 if price == FREE else None
    long = bool(price.over) and usage.prompt > price.over
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    into = usage.input * price.input + usage.cache_read * read + usage.cache_write * write
    out = usage.output * price.output
    return (into * (price.over_input if long else 1) + out * (price.over_output if long else 1)) / 1_000_000


def total(usages: Iterable[Usage]) -> Usage:
    """The sum. cost: of what has one, None where nothing has.  known: everything was counted."""
    made = Usage()
    for one in usages:
        told = [c for c in (made.cost, one.cost) if c is not None]
        made = Usage(
            input=made.input + one.input,
            output=made.output + one.output,
            cache_read=made.cache_read + one.cache_read,
            cache_write=made.cache_write + one.cache_write,
            cost=sum(told) if told else None,
            calls=made.calls + one.calls,
            known=made.known and one.known,
        )
    return made


def over_limit(limit: float | None, spent: float, unpriced: Iterable[str]) -> str:
    """A sentence where no more may be asked today, "" where it may. unpriced: models that were used without a price.

    A limit that cannot be kept is no limit: what has no price stops too.

    >>> over_limit(None, 99.0, ["x"]), over_limit(5.0, 4.99, [])
    ('', '')
    """
    if limit is None:
        return ""
    if spent >= limit:
        return f"Today's limit of ${limit:,.2f} for models is spent (${spent:,.2f})."
    nameless = sorted(set(unpriced))
    if nameless:
        return (
            f"The daily limit of ${limit:,.2f} cannot be kept: {', '.join(nameless)} has no price. Set one in models."
        )
    return ""


def prices_from(raw: object) -> dict[str, Price]:
    """Prices that a person set: {model: {"input", "output", …}}; what is none is left out.

    >>> list(prices_from({"a": {"input": 1, "output": 2}, "b": {"input": "dear"}, "c": None}))
    ['a']
    """
    made: dict[str, Price] = {}
    for model, told in raw.items() if isinstance(raw, dict) else ():
        try:
            price = msgspec.convert(told, Price, strict=False)
        except msgspec.ValidationError:
            continue
        if min(price.input, price.output, price.cache_read or 0, price.cache_write or 0) >= 0:
            made[str(model)] = price
    return made
