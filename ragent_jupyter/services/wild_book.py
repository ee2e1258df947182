"""The books of a loop under way: its time and use, its ledger, and the one transaction that holds both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.model import Usage
from ragent_jupyter.domain.wild import Entry, Loop, Option, Question, Spent

from .shell import Change, Shell
from .sleeps import Sleeps
from .wild_view import WildViews

_ASLEEP_S = 60.0  # a gap between two looks that long was sleep, which spends nothing
_SAVE_S = 30.0  # spending alone is written down this often


class Book:
    """What every piece of a loop's driver stands on."""

    def __init__(self, loop_id: str, shell: Shell, views: WildViews, remember: Callable[[Entry], None]) -> None:
        self.loop_id = loop_id
        self.shell = shell
        self.views = views
        self.remember = remember
        self.disk = 0
        self._sleeps = Sleeps(shell.clock)
        self._mono = shell.clock.mono()
        self._saved = shell.clock.mono()

    @property
    def loop(self) -> Loop:
        return self.shell.loops[self.loop_id]

    def count(self) -> None:
        """Add the time since the last look, unless it rests by a person's wish or the machine slept."""
        self._put_off(self._sleeps.look())
        mono = self.shell.clock.mono()
        gap, self._mono = mono - self._mono, mono
        loop = self.loop
        if loop.over or loop.paused or loop.question is not None or gap > _ASLEEP_S:
            return
        spent = replace(loop.spent, seconds=loop.spent.seconds + gap, since=self.shell.clock.now())
        self.shell.loops[self.loop_id] = replace(loop, spent=spent)

    def _put_off(self, slept: float) -> None:
        """A question that stood while the machine slept is waited for as much longer: nobody could have answered."""
        loop = self.loop
        asked = loop.question
        if not slept or asked is None or asked.default_at is None or asked.asked_at > self.shell.clock.now() - slept:
            return
        later = replace(asked, default_at=asked.default_at + slept)
        self.shell.loops[self.loop_id] = replace(loop, question=later)

    def caught_up(self) -> None:
        """Begin to count. What a crash kept from being written down counts up to a minute, which is more than passes
        between two writings: an engine that keeps dying must not make a night endless."""
        self._mono = self.shell.clock.mono()
        loop = self.loop
        since = loop.spent.since
        if since is None or loop.over or loop.paused or loop.question is not None:
            return
        now = self.shell.clock.now()
        lost = min(max(0.0, now - since), _ASLEEP_S)
        spent = replace(loop.spent, seconds=loop.spent.seconds + lost, since=now)
        self.shell.loops[self.loop_id] = replace(loop, spent=spent)

    def spent(self, loop: Loop) -> Spent:
        spent = self.views.spent(loop, self.disk)
        session = self.shell.sessions.get(loop.session_id) if loop.session_id else None
        return of_session(spent, session.usage) if session is not None else spent

    def save_due(self) -> bool:
        return self.shell.clock.mono() - self._saved > _SAVE_S

    async def commit(self, loop: Loop, entries: Sequence[Entry] = (), type: str = "wild_changed") -> None:
        """The loop and its new lines, in one transaction."""
        self._saved = self.shell.clock.mono()
        # Time and use are counted while others wait: what is newer stays.
        loop = replace(
            loop,
            spent=self.spent(
                replace(loop, spent=_newer(loop.spent, self.loop.spent, None if loop.over else self.loop.spent.since))
            ),
        )
        if entries:
            loop = replace(loop, entries=max(loop.entries, *(entry.n for entry in entries)))
        changes = [Change(type, loop), *[Change("wild_entry", entry) for entry in entries]]
        for entry in entries:
            self.remember(entry)
        await self.shell.commit(changes)

    def entry(self, loop: Loop, by: Any, *, offset: int = 1, **more: Any) -> Entry:
        n = loop.entries + offset
        return Entry(
            id=entry_id(loop.id, n),
            loop_id=loop.id,
            n=n,
            at=self.shell.clock.now(),
            by=by,
            stage=loop.stage.value,
            iteration=loop.iteration,
            **more,
        )

    def ask(self, loop: Loop, text: str, about: Any, options: Sequence[Option] = (), default: str = "") -> Question:
        chosen = list(options) or [Option("continue", "Try again"), Option("stop", "Stop the loop")]
        return Question(
            id=f"qst_{loop.id[4:]}_{loop.entries + 1}",
            text=text[:1000],
            options=chosen,
            default=default or chosen[0].id,
            asked_at=self.shell.clock.now(),
            about=about,
        )


def of_session(spent: Spent, usage: Usage) -> Spent:
    """Tokens and money as the loop's chat has counted them, calls that failed or were cut off by a crash and all."""
    tokens = usage.input + usage.output + usage.cache_read + usage.cache_write
    cost = None if usage.cost is None and spent.cost_usd is None else max(usage.cost or 0.0, spent.cost_usd or 0.0)
    return replace(
        spent, tokens=max(spent.tokens, tokens), cost_usd=cost, model_calls=max(spent.model_calls, usage.calls)
    )


def _newer(loop: Spent, now: Spent, since: float | None) -> Spent:
    """Two counts of the same things: nothing is ever un-spent."""
    cost = max(loop.cost_usd or 0.0, now.cost_usd or 0.0)
    return replace(
        loop,
        seconds=max(loop.seconds, now.seconds),
        tokens=max(loop.tokens, now.tokens),
        cost_usd=cost if cost or loop.cost_usd is not None or now.cost_usd is not None else None,
        model_calls=max(loop.model_calls, now.model_calls),
        since=since,
    )


def entry_id(loop_id: str, n: int) -> str:
    """The id of a line of a ledger: a page of it is read by ids."""
    return f"ent_{loop_id[4:]}_{n:07d}"
