"""One gateway: tokens, upstreams, the way to them and the log, joined. Its handlers decode, ask it, and pass on."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from ragent_jupyter.domain.errors import BadInput
from ragent_jupyter.domain.ids import make_id
from ragent_jupyter.domain.model import Usage
from ragent_jupyter.domain.ports import RowPut, Store, Tx
from ragent_jupyter.rules.prices import cost, price_of

from . import calls as c
from . import limits, tokens
from .limits import Refused
from .provider import SILENT_S, Provider
from .tokens import Token
from .upstreams import Upstream, read
from .upstreams import table as whole_table

log = logging.getLogger("ragent.gateway")

_KEY_FRESH_S = 5.0
_BODY_KEPT = 256 * 1024
# What one of the gateway's own refusals of a known token leaves in the log: one a second, not a flood.
_REFUSAL_EVERY_S = 1.0
HOPS = "X-Ragent-Gateway"

Price = Callable[[str, Usage], "float | None"]


class KeyHolder(Protocol):
    """Of domain.ports_mind.Keys what a gateway needs."""

    def get(self, name: str) -> str | None: ...


class Redact(Protocol):
    def __call__(self, text: str, extra: Iterable[str] = ...) -> str: ...


def no_price(model: str, usage: Usage) -> float | None:
    return None


def black_out(text: str, extra: Iterable[str] = ()) -> str:
    for secret in extra:
        if secret:
            text = text.replace(secret, "[redacted]")
    return text


class Gateway:
    def __init__(
        self,
        store: Store,
        keys: KeyHolder,
        *,
        table: Path | None = None,
        env: Mapping[str, str] | None = None,
        price: Price = no_price,
        redact: Redact = black_out,
        log_bodies: bool = False,
        draining: Callable[[], bool] = lambda: False,
        touch: Callable[[], None] = lambda: None,
        over: Callable[[], str] = lambda: "",
        seen: Callable[[c.Call], None] = lambda call: None,
        silent_s: float = SILENT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """keys: the real ones.  table: a file with upstreams of one's own, looked at again when it changes.

        price: (model, usage) → US dollars.  log_bodies: keep requests and answers, redacted, beside their numbers.
        over: why nothing paid may begin today whoever asks, "" if it may.  seen: told of each call before it is kept.
        """
        self.store = store
        self.clock = clock
        self.mono = time.monotonic
        self.price = price
        self.draining = draining
        self.touch = touch
        self.over = over
        self.seen = seen
        self.log_bodies = log_bodies
        self.provider = Provider(silent_s)
        self.id = secrets.token_hex(8)
        self.live: set[asyncio.Task[None]] = set()
        self.closing = False
        self.book = tokens.TokenBook(store.load(tokens.KIND), clock)
        self.calls = c.CallLog(store, self._token_rows)
        self._keys = keys
        self._redact = redact
        self._known: dict[str, tuple[float, str | None]] = {}
        self._env = os.environ if env is None else env
        self._table_path = table
        self._table_seen: tuple[float, int] | None = (-1.0, -1)
        self._table: dict[str, Upstream] = {}
        self.table_problem = ""
        self._buckets: dict[str, limits.Bucket] = {}
        self._refused_at: dict[tuple[str, str], float] = {}

    # --- life ---------------------------------------------------------------------------------------------------
    @property
    def busy(self) -> bool:
        return bool(self.live)

    async def close(self) -> None:
        """Cut what streams, write what waits. The store is still open afterwards: it is not ours."""
        self.closing = True
        for task in list(self.live):
            task.cancel()
        if self.live:
            await asyncio.wait(list(self.live), timeout=5.0)
        await self.calls.flush()
        await self.provider.close()

    # --- the table ----------------------------------------------------------------------------------------------
    def upstreams(self) -> dict[str, Upstream]:
        """The table as it is now. A broken file leaves the last good one in force, and says so once."""
        seen = self._stamp()
        if seen != self._table_seen:
            self._table_seen = seen
            try:
                own = read(self._table_path) if self._table_path else {}
                self.table_problem = ""
            except BadInput as error:
                self.table_problem = str(error)
                log.warning("%s", error)
                own = None
            if own is not None or not self._table:
                self._table = whole_table(self._env, own)
        return self._table

    def _stamp(self) -> tuple[float, int] | None:
        try:
            about = os.stat(self._table_path) if self._table_path else None
        except OSError:
            return None
        return (about.st_mtime, about.st_size) if about else None

    # --- who, and whether -----------------------------------------------------------------------------------------
    def admit(self, presented: str) -> Token:
        """The token, if it may ask now at all. Raises Refused."""
        if self.draining():
            raise Refused("draining", "The gateway is restarting; ask again in a moment.", retry_after=2)
        if not presented:
            raise Refused("bad_token", "No token: send one of this gateway as x-api-key or as a Bearer token.")
        now = self.clock()
        token = limits.check_token(self.book.find(presented), now)
        try:
            limits.check_budget(token, now, self.book.reserved(token.id))
            if token.rate is not None:
                bucket, wait = limits.take(self._buckets.get(token.id), token.rate, self.mono())
                self._buckets[token.id] = bucket
                limits.check_rate(token, wait)
        except Refused as refused:
            self.note_refusal(token, refused)
            raise
        self.touch()
        return token

    def reserve(self, token: Token, model: str, upstream: Upstream, size: int) -> float:
        """Put aside what a call will cost at least: its own text, read once. Raises Refused over_budget.

        A budget in dollars can only be kept where there is a price.
        """
        over = "" if upstream.free else self.over()
        if over:
            raise Refused("over_budget", over)
        if not token.has_budget:
            return 0.0
        least = self._priced(upstream, model, Usage(input=size // 4, output=1, calls=1))
        if least is None:
            raise Refused(
                "over_budget",
                f"No price is known for {model[:200]}, so the budget of the token {token.name!r} cannot be kept. Give "
                "it one among its upstream's prices, or mark the upstream as free.",
            )
        limits.check_budget(token, self.clock(), self.book.reserved(token.id))
        self.book.reserve(token.id, least)
        return least

    async def key(self, upstream: Upstream) -> str:
        """The real key, "" where the upstream takes none. Raises Refused no_key."""
        for name in upstream.keys:
            at, value = self._known.get(name, (float("-inf"), None))
            if self.mono() - at > _KEY_FRESH_S:
                # Off the loop: a locked keyring waits for its owner.
                value = await asyncio.get_running_loop().run_in_executor(None, self._keys.get, name)
                self._known[name] = (self.mono(), value)
            if value:
                return value
        if upstream.keys:
            raise Refused("no_key", f"This gateway holds no {upstream.keys[0]}. `ragent keys set` gives it one.")
        return ""

    # --- what is remembered -----------------------------------------------------------------------------------------
    def new_id(self) -> str:
        return make_id("cal", int(self.clock() * 1000), secrets.randbits(20))

    def cost_of(self, upstream: Upstream, model: str, usage: Usage, said: float | None) -> float | None:
        """US dollars; said: what the provider itself says."""
        if usage.prompt + usage.output == 0:
            return 0.0
        priced = self._priced(upstream, model, usage)
        return said if priced is None else priced

    def _priced(self, upstream: Upstream, model: str, usage: Usage) -> float | None:
        if upstream.free:
            return 0.0
        own = price_of(model, upstream.prices)
        return self.price(model, usage) if own is None else cost(replace(usage, known=True), own)

    def note(self, call: c.Call, *, charge: bool) -> None:
        if charge:
            self.book.charge(call.token, call.usage.cost)
        self.seen(call)
        self.calls.put(call)

    def note_refusal(self, token: Token, refused: Refused, *, model: str = "", what: str = "") -> None:
        now = self.mono()
        if now - self._refused_at.get((token.id, refused.kind), float("-inf")) < _REFUSAL_EVERY_S:
            return
        self._refused_at[(token.id, refused.kind)] = now
        call = c.Call(
            id=self.new_id(), at=self.clock(), who=token.name, token=token.id, role="gateway", what=what,
            model=model[:200], status=refused.status, outcome="refused", error=refused.kind,
            usage=Usage(calls=1, cost=0.0),
        )  # fmt: skip
        self.calls.put(call)

    def kept(self, body: bytes, *secrets_: str) -> str | None:
        """A body for the log, if bodies are asked for: cut at 256 KiB, without secrets."""
        if not self.log_bodies:
            return None
        return self._redact(body[:_BODY_KEPT].decode("utf-8", "replace"), tuple(s for s in secrets_ if s))

    def _token_rows(self, ids: set[str]) -> list[RowPut]:
        now = self.clock()
        return [tokens.row(self.book.get(id_), now) for id_ in sorted(ids)]

    # --- people's side ------------------------------------------------------------------------------------------------
    async def create(self, wish: tokens.CreateToken, by: str = "") -> tuple[Token, str]:
        unknown = sorted(set(wish.upstreams) - self.upstreams().keys())
        if unknown:
            raise BadInput(f"No upstream {unknown[0]!r} here.", f"There are: {', '.join(sorted(self.upstreams()))}.")
        token, text = self.book.create(wish, by)
        await self.store.commit(Tx(puts=[tokens.row(token, self.clock())]))
        return token, text

    async def revoke(self, id_or_name: str) -> Token:
        """It is refused from now on, also should the disk refuse to remember it (StoreFailed)."""
        token = self.book.revoke(id_or_name)
        await self.store.commit(Tx(puts=[tokens.row(token, self.clock())]))
        return token

    def listed(self) -> list[tokens.TokenView]:
        now = self.clock()
        return [tokens.view(token, now) for token in self.book]

    async def usage(self, days: int) -> c.GatewayUsage:
        """The last so many days (UTC), today's included."""
        now = self.clock()
        wanted = [tokens.utc_day(now - i * tokens.DAY_S) for i in range(days)]

        def read() -> c.GatewayUsage:
            found = [call for day in wanted for call in c.decode_all(self.store.load(c.KIND, parent=day))]
            rows, total = c.table(found)
            return c.GatewayUsage(rows=rows, total=total, waiting=self.calls.waiting, lost=self.calls.lost)

        return await asyncio.get_running_loop().run_in_executor(None, read)
