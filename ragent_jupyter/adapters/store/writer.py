"""One thread that commits what many callers hand it, many at a time, so that they share one fsync.

What is queued goes at once when the writer is idle. While commits come so close that they queue, one goes at most every
WINDOW_S, and takes all that has gathered meanwhile. A lone caller, who waits for each answer, never waits for a window.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = list[int] | BaseException

WINDOW_S = 0.02
ENOUGH = 500  # a batch that is worth its fsync without waiting for more

_logger = logging.getLogger(__name__)
_Waiting = tuple[asyncio.AbstractEventLoop, "asyncio.Future[list[int]]"]


class WriterClosed(RuntimeError):
    """It takes nothing more."""


class GroupWriter(Generic[Item]):
    """perform(items) gives one outcome per item, in their order; only this writer's thread calls it."""

    def __init__(self, perform: Callable[[list[Item]], Sequence[Outcome]], name: str = "ragent-store") -> None:
        self._perform = perform
        self._queue: list[tuple[Item, _Waiting | Future[list[int]]]] = []
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> Awaitable[list[int]]:
        """Hand it over from a running event loop; the future resolves on that loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[int]] = loop.create_future()
        self._enqueue(item, (loop, future))
        return future

    def put_and_wait(self, item: Item, timeout: float | None = None) -> list[int]:
        """Hand it over from any other thread, and block until it is answered."""
        future: Future[list[int]] = Future()
        self._enqueue(item, future)
        return future.result(timeout)

    def close(self, timeout: float = 30.0) -> None:
        """Commit what is queued, then end. Safe to repeat."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)

    @property
    def closing(self) -> bool:
        return self._closing

    def _enqueue(self, item: Item, waiting: _Waiting | Future[list[int]]) -> None:
        with self._wake:
            if self._closing:
                raise WriterClosed("the writer is closed")
            self._queue.append((item, waiting))
            if len(self._queue) == 1 or len(self._queue) >= ENOUGH:
                self._wake.notify()

    def _work(self) -> None:
        next_at, crowded = 0.0, False
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                while crowded and not self._closing and len(self._queue) < ENOUGH:
                    left = next_at - time.monotonic()
                    if left <= 0:
                        break
                    self._wake.wait(left)
                batch, self._queue = self._queue, []
                if not batch:
                    return
            next_at, crowded = time.monotonic() + WINDOW_S, len(batch) > 1
            items = [item for item, _ in batch]
            try:
                outcomes: Sequence[Outcome] = self._perform(items)
            except BaseException as error:  # a bug in perform must answer its callers, not end the thread
                _logger.exception("the store's writer failed")
                outcomes = [error] * len(batch)
            self._answer([waiting for _, waiting in batch], outcomes)

    def _answer(self, waiting: list[_Waiting | Future[list[int]]], outcomes: Sequence[Outcome]) -> None:
        # One wake-up per loop and batch, not one per caller: a wake-up is a system call.
        per_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[list[int]], Outcome]]] = defaultdict(list)
        for who, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(who, tuple):
                per_loop[who[0]].append((who[1], outcome))
            elif isinstance(outcome, BaseException):
                who.set_exception(outcome)
            else:
                who.set_result(outcome)
        for loop, answers in per_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, answers)
            except RuntimeError:  # its loop was closed meanwhile: nobody is left to hear the answer
                _logger.debug("%d commits were answered after their event loop had ended", len(answers))


def _resolve(answers: list[tuple[asyncio.Future[list[int]], Outcome]]) -> None:
    for future, outcome in answers:
        if future.done():  # the caller was cancelled; the commit stands all the same
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
