"""Who may do what, how often and for how much: pure decisions, and the refusals they end in."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from math import ceil
from typing import Literal

from msgspec import Struct

from .tokens import Token, spent_today, state

RefusalKind = Literal[
    "bad_request", "bad_token", "over_budget", "not_allowed", "not_found", "too_large", "rate_limited",
    "loop", "unreachable", "timeout", "no_key", "draining", "internal",
]  # fmt: skip
STATUS: dict[str, int] = {
    "bad_request": 400, "bad_token": 401, "over_budget": 402, "not_allowed": 403, "not_found": 404, "too_large": 413,
    "rate_limited": 429, "internal": 500, "unreachable": 502, "no_key": 503, "draining": 503, "timeout": 504,
    "loop": 508,
}  # fmt: skip
# Asking again changes nothing; both SDKs heed the header x-should-retry.
FINAL: frozenset[str] = frozenset({"bad_token", "over_budget", "no_key", "loop"})


class Refused(Exception):
    """The gateway's own no, in words for the person behind the client. retry_after: seconds."""

    def __init__(self, kind: RefusalKind, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return STATUS[self.kind]


class Bucket(Struct, frozen=True):
    """Requests left, and when that was so (monotonic seconds)."""

    left: float
    at: float


def take(bucket: Bucket | None, rate: int, now: float) -> tuple[Bucket, float]:
    """One request out of a bucket that holds `rate` and refills within a minute; how many seconds to wait, 0 none.

    >>> bucket, wait = take(None, 2, 0.0)
    >>> bucket, wait = take(bucket, 2, 0.0)
    >>> take(bucket, 2, 0.0)[1], take(bucket, 2, 30.0)[1]
    (30.0, 0.0)
    """
    left = float(rate) if bucket is None else min(float(rate), bucket.left + (now - bucket.at) * rate / 60.0)
    # A rounding error must not cost whoever came back exactly when told.
    if left < 1.0 - 1e-9:
        return Bucket(left, now), (1.0 - left) * 60.0 / rate
    return Bucket(max(0.0, left - 1.0), now), 0.0


def check_token(token: Token | None, now: float) -> Token:
    """Raises Refused bad_token."""
    if token is None:
        raise Refused("bad_token", "This gateway does not know the token. `ragent gateway token` makes one.")
    match state(token, now):
        case "revoked":
            raise Refused("bad_token", f"The token {token.name!r} was revoked.")
        case "expired":
            raise Refused("bad_token", f"The token {token.name!r} has expired. `ragent gateway token` makes another.")
    return token


def check_budget(token: Token, now: float, reserved: float = 0.0) -> None:
    """Raises Refused over_budget. reserved: what its calls on their way will cost at least, in US dollars."""
    if token.budget_total is not None and token.spent + reserved >= token.budget_total:
        raise Refused(
            "over_budget", f"The budget of the token {token.name!r} is spent: {_money(token.budget_total)} in total."
        )
    if token.budget_day is not None and spent_today(token, now) + reserved >= token.budget_day:
        raise Refused(
            "over_budget",
            f"Today's budget of the token {token.name!r} is spent: {_money(token.budget_day)} a day of UTC.",
        )


def check_rate(token: Token, wait_s: float) -> None:
    """Raises Refused rate_limited."""
    if wait_s > 0:
        raise Refused(
            "rate_limited", f"The token {token.name!r} may ask {token.rate} times a minute.", max(1, ceil(wait_s))
        )


def check_scope(token: Token, upstream: str, models: Sequence[str]) -> None:
    """Raises Refused not_allowed. models: every model that the request names; [] for a list of models."""
    if token.upstreams and upstream not in token.upstreams:
        raise Refused(
            "not_allowed", f"The token {token.name!r} is for {', '.join(token.upstreams)}, not for {upstream}."
        )
    for model in models:
        if token.models and not any(
            fnmatchcase(name, g) for g in token.models for name in (model, f"{upstream}/{model}")
        ):
            raise Refused(
                "not_allowed",
                f"The token {token.name!r} is for the models {', '.join(token.models)}, not {model[:200]}.",
            )


def _money(dollars: float) -> str:
    return f"${dollars:,.2f}" if dollars >= 0.01 or dollars == 0 else f"${dollars:g}"
