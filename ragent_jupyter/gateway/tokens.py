"""Tokens: what a client holds instead of a key. Shown once, kept as a hash, with scopes, budgets and an end."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput, NotFound
from ragent_jupyter.domain.ids import make_id
from ragent_jupyter.domain.ports import RowPut

KIND = "token"
PREFIX = "rgt_"
DAY_S = 86400.0
MONTH_S = 30 * DAY_S


class Token(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """hash: SHA-256 of the token, in hex; hint: its last four characters. Money in US dollars, times in unix seconds.

    upstreams, models: what it may use, [] all; models are globs on `model` or `upstream/model`.
    budget_day: a day of UTC.  rate: requests a minute.  spent, spent_day, calls: what it has used; `day` says of when.
    """

    id: str
    name: str
    hash: str
    hint: str
    created_at: float
    created_by: str = ""
    expires_at: float | None = None
    revoked_at: float | None = None
    upstreams: list[str] = []
    models: list[str] = []
    budget_total: float | None = None
    budget_day: float | None = None
    rate: int | None = None
    spent: float = 0.0
    spent_day: float = 0.0
    day: str = ""
    calls: int = 0
    used_at: float | None = None

    @property
    def has_budget(self) -> bool:
        return self.budget_total is not None or self.budget_day is not None


_Money = Annotated[float, Meta(ge=0)]
_Words = Annotated[str, Meta(min_length=1, max_length=200)]


class CreateToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST gateway/tokens. lifetime: seconds until it expires, None never; default 30 days."""

    name: Annotated[str, Meta(max_length=100)] = ""
    lifetime: Annotated[float, Meta(gt=0)] | None = MONTH_S
    upstreams: list[_Words] = []
    models: list[_Words] = []
    budget_total: _Money | None = None
    budget_day: _Money | None = None
    rate: Annotated[int, Meta(ge=1)] | None = None


class TokenView(Struct, frozen=True, kw_only=True):
    """A token without what could be used: `state` is live, expired or revoked."""

    id: str
    name: str
    hint: str
    state: str
    created_at: float
    expires_at: float | None
    upstreams: list[str]
    models: list[str]
    budget_total: float | None
    budget_day: float | None
    rate: int | None
    spent: float
    spent_today: float
    calls: int
    used_at: float | None


def utc_day(at: float) -> str:
    """
    >>> utc_day(86399.9), utc_day(86400)
    ('1970-01-01', '1970-01-02')
    """
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%d")


def digest(token: str) -> str:
    """A token has 256 bits of chance: one round of a plain hash keeps it as well as many would."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def state(token: Token, now: float) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and now >= token.expires_at else "live"


def spent_today(token: Token, now: float) -> float:
    return token.spent_day if token.day == utc_day(now) else 0.0


def charged(token: Token, cost: float | None, at: float) -> Token:
    """The token after one more call of this cost; None: no price is known, and nothing is counted."""
    return replace(
        token,
        spent=token.spent + (cost or 0.0),
        spent_day=spent_today(token, at) + (cost or 0.0),
        day=utc_day(at),
        calls=token.calls + 1,
        used_at=at,
    )


def view(token: Token, now: float) -> TokenView:
    names = set(TokenView.__struct_fields__) - {"state", "spent_today"}
    fields = {name: getattr(token, name) for name in names}
    return TokenView(**fields, state=state(token, now), spent_today=spent_today(token, now))


def row(token: Token, now: float) -> RowPut:
    return RowPut(
        kind=KIND, id=token.id, data=msgspec.json.encode(token), status=state(token, now), sort=token.created_at
    )


class TokenBook:
    """All tokens, by hash. It changes memory; whoever calls commits the row that it gives."""

    def __init__(self, rows: Iterable[bytes], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: dict[str, Token] = {}
        self._by_hash: dict[str, str] = {}
        self._reserved: dict[str, float] = {}
        for data in rows:
            self._keep(msgspec.json.decode(data, type=Token))

    def _keep(self, token: Token) -> Token:
        self._by_id[token.id] = token
        self._by_hash[token.hash] = token.id
        return token

    def __iter__(self) -> Iterator[Token]:
        return iter(sorted(self._by_id.values(), key=lambda t: t.created_at))

    def find(self, presented: str) -> Token | None:
        """The token that this text is, whatever its state."""
        id_ = self._by_hash.get(digest(presented))
        return self._by_id[id_] if id_ else None

    def get(self, id_or_name: str) -> Token:
        """Raises NotFound; BadInput where a name fits several live ones."""
        if id_or_name in self._by_id:
            return self._by_id[id_or_name]
        now = self._clock()
        named = [t for t in self._by_id.values() if t.name == id_or_name and state(t, now) == "live"]
        if len(named) > 1:
            raise BadInput(f"{len(named)} live tokens are called {id_or_name!r}.", "Name one by its id, tok_….")
        if not named:
            raise NotFound(f"No token {id_or_name!r}.", "`ragent gateway token --list` shows all.")
        return named[0]

    def create(self, wish: CreateToken, by: str = "") -> tuple[Token, str]:
        """A new token and, for this once, its text."""
        now = self._clock()
        text = PREFIX + secrets.token_urlsafe(32)
        id_ = make_id("tok", int(now * 1000), secrets.randbits(20))
        # A name goes into tables and logs: one line, no control characters.
        name = " ".join("".join(c if c.isprintable() else " " for c in wish.name).split()) or id_
        token = Token(
            id=id_,
            name=name,
            hash=digest(text),
            hint=text[-4:],
            created_at=now,
            created_by=by,
            expires_at=None if wish.lifetime is None else now + wish.lifetime,
            upstreams=wish.upstreams,
            models=wish.models,
            budget_total=wish.budget_total,
            budget_day=wish.budget_day,
            rate=wish.rate,
        )
        return self._keep(token), text

    def revoke(self, id_or_name: str) -> Token:
        token = self.get(id_or_name)
        return token if token.revoked_at else self._keep(replace(token, revoked_at=self._clock()))

    def charge(self, id_: str, cost: float | None) -> None:
        self._keep(charged(self._by_id[id_], cost, self._clock()))

    # Calls on their way count with what they will cost at least, so that many at once do not all see an empty purse.
    def reserve(self, id_: str, cost: float) -> None:
        self._reserved[id_] = self._reserved.get(id_, 0.0) + cost

    def release(self, id_: str, cost: float) -> None:
        self._reserved[id_] = max(0.0, self._reserved.get(id_, 0.0) - cost)

    def reserved(self, id_: str) -> float:
        return self._reserved.get(id_, 0.0)
