"""The log of calls: a queue in front of the database, so that no stream waits for a disk; and the table made of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
from collections import deque
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.model import Usage
from ragent_jupyter.domain.ports import RowPut, Store, Tx

from .tokens import utc_day

log = logging.getLogger("ragent.gateway")

KIND = "call"
STATUS = "gateway"
_BATCH = 500
_MOST = 20_000  # calls that wait while a disk refuses
_RETRY_S = 2.0
# A commit costs more than a call: those of a moment share one. So much of the log a power cut may take.
_GATHER_S = 0.05


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call through the gateway. at: unix seconds; times in milliseconds.

    who, token: name and id of the token.  status: of HTTP, what the client got.
    outcome: ok; error (the provider's own); refused (the gateway's); cut (the provider hung up in the middle); left
    (the client did).  first_token_ms: to the first words of a stream, None where nothing streamed.
    error: the type of an error, never its text.  request, response: bodies, only where they were asked for.
    """

    id: str
    at: float
    who: str
    token: str
    role: str
    upstream: str = ""
    what: str = ""
    model: str = ""
    stream: bool = False
    status: int = 0
    outcome: str = "ok"
    usage: Usage = Usage()
    first_token_ms: float | None = None
    latency_ms: float = 0.0
    finish_reason: str = ""
    error: str = ""
    session: str = ""
    n_messages: int | None = None
    sent: int = 0
    received: int = 0
    request_id: str = ""
    request: str | None = None
    response: str | None = None


class CallLog:
    """`put` takes at once; a task writes what waits in one transaction. rows: more that go with a batch of calls."""

    def __init__(self, store: Store, rows: Callable[[set[str]], Iterable[RowPut]]) -> None:
        self._store = store
        self._rows = rows
        self._waiting: deque[Call] = deque()
        self._touched: set[str] = set()  # tokens whose counters are newer than their rows
        self._more = asyncio.Event()
        self._end = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.lost = 0  # calls that found the queue full

    def put(self, call: Call) -> None:
        if len(self._waiting) >= _MOST:
            self.lost += 1
        else:
            self._waiting.append(call)
        self._touched.add(call.token)
        self._more.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def _drain(self) -> None:
        while True:
            await self._more.wait()
            await self._pause(_GATHER_S)
            self._more.clear()
            while self._waiting or self._touched:
                if not await self._write():
                    if self._closing:
                        return
                    await self._pause(_RETRY_S)
            if self._closing:
                return

    async def _pause(self, seconds: float) -> None:
        """Cut short by the end."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._end.wait(), seconds)

    async def _write(self) -> bool:
        batch = [self._waiting[i] for i in range(min(_BATCH, len(self._waiting)))]
        touched, self._touched = self._touched, set()
        puts = [*map(_row, batch), *self._rows(touched)]
        try:
            await self._store.commit(Tx(puts=puts))
        except RagentError as error:
            self._touched |= touched
            log.error("%d calls wait for the database: %s", len(self._waiting), error.problem)
            return False
        for _ in batch:
            self._waiting.popleft()
        return True

    async def flush(self) -> None:
        """What was put before is in the database, or the disk has refused it."""
        self._closing = True
        self._end.set()
        self._more.set()
        if self._task is not None:
            await self._task
        self._task, self._closing = None, False
        self._end.clear()


def _row(call: Call) -> RowPut:
    data = msgspec.json.encode(call)
    return RowPut(kind=KIND, id=call.id, data=data, parent=utc_day(call.at), status=STATUS, sort=call.at)


# --- the table -----------------------------------------------------------------------------------------------------
class UsageRow(Struct, frozen=True, kw_only=True):
    """A day (UTC) of one token with one model. Medians in milliseconds. refused, failed: of `usage.calls`."""

    day: str
    who: str
    upstream: str
    model: str
    usage: Usage
    failed: int
    refused: int
    first_token_ms: float | None
    latency_ms: float | None


class GatewayUsage(Struct, frozen=True, kw_only=True):
    """GET gateway/usage?days=7. waiting: calls that are not in the database yet.  lost: calls it had no room for."""

    rows: list[UsageRow]
    total: Usage
    waiting: int = 0
    lost: int = 0


def add(one: Usage, other: Usage) -> Usage:
    """Tokens and money of both; a cost is unknown only where no part of it is known."""
    costs = [u.cost for u in (one, other) if u.cost is not None]
    return Usage(
        input=one.input + other.input,
        output=one.output + other.output,
        cache_read=one.cache_read + other.cache_read,
        cache_write=one.cache_write + other.cache_write,
        cost=sum(costs) if costs else None,
        calls=one.calls + other.calls,
        known=one.known and other.known,
    )


def table(calls: Iterable[Call]) -> tuple[list[UsageRow], Usage]:
    """The rows, newest day first, and their sum."""
    groups: dict[tuple[str, str, str, str], list[Call]] = {}
    for call in calls:
        groups.setdefault((utc_day(call.at), call.who, call.upstream, call.model), []).append(call)
    rows, total = [], Usage()
    for (day, who, upstream, model), group in sorted(groups.items(), key=lambda item: item[0], reverse=True):
        usage = Usage()
        for call in group:
            usage = add(usage, call.usage)
        total = add(total, usage)
        firsts = [c.first_token_ms for c in group if c.first_token_ms is not None]
        whole = [c.latency_ms for c in group if c.outcome == "ok"]
        rows.append(
            UsageRow(
                day=day, who=who, upstream=upstream, model=model, usage=usage,
                failed=sum(c.outcome in ("error", "cut") for c in group),
                refused=sum(c.outcome == "refused" for c in group),
                first_token_ms=statistics.median(firsts) if firsts else None,
                latency_ms=statistics.median(whole) if whole else None,
            )
        )  # fmt: skip
    return rows, total


def decode_all(rows: Iterable[bytes]) -> list[Call]:
    """The gateway's own among all calls of a day: other desks log theirs beside them."""
    found = []
    for data in rows:
        if msgspec.json.decode(data, type=_Role).role == "gateway":
            found.append(msgspec.json.decode(data, type=Call))
    return found


class _Role(Struct):
    role: str = ""
