"""Notebooks that a browser's tab has open: the tab does what is asked, on its own model and in its own kernel.

A request is told to all tabs by its id alone; the one tab that it is for takes it, works, and answers. What is not
taken was not done. A tab that goes silent is an error that says so, and is not asked again until it is heard of.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError, WrongMoment, from_wire
from ragent_jupyter.domain.notebooks import OpenNotebook, TabAnswer, TabNotebooks, TabRequest, TabSaid

# A hidden page's timers may run once a minute only; two of those may be missed.
EXPIRES_S = 150.0
TAKE_S = 5.0
REPEAT_S = 1.0
WORK_S = 20.0  # an edit or a look; a run says something every few seconds
LEASE_S = 45.0
MAX_TABS = 200

Tell = Callable[[str, dict[str, Any]], None]


@dataclass
class _Tab:
    id: str
    heard: float
    notebooks: dict[str, OpenNotebook]  # by real path


@dataclass
class _Asked:
    request: TabRequest
    tab: str
    real: str
    answer: asyncio.Future[dict[str, Any]]
    heard: float
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    key: str = ""  # of the taking
    words: int = 0  # the number of the last one taken
    said: Callable[[str], None] = lambda text: None


class Tabs:
    """What is open where, and the requests under way. tell(type, data): an unsaved event to every tab."""

    def __init__(self, project: Path, tell: Tell, clock: Callable[[], float] = time.monotonic) -> None:
        self.project = project.resolve()
        self._tell = tell
        self._clock = clock
        self._tabs: dict[str, _Tab] = {}
        self._asked: dict[str, _Asked] = {}
        self.take_s = TAKE_S
        self.work_s = WORK_S

    # --- what tabs say ------------------------------------------------------------------------------------------
    def announce(self, word: TabNotebooks) -> None:
        """Replaces what this tab said before. Notebooks outside of the project are no business of ours."""
        if not word.tab or len(word.tab) > 100:
            raise BadInput("A tab needs a name of 1 to 100 characters.")
        self._forget_silent()
        opened: dict[str, OpenNotebook] = {}
        for notebook in word.notebooks[:200]:
            real = self._real(notebook.path)
            if real is not None:
                opened[real] = notebook
        if opened:
            self._tabs.pop(word.tab, None)  # re-inserted last: newest word last
            self._tabs[word.tab] = _Tab(word.tab, self._clock(), opened)
            while len(self._tabs) > MAX_TABS:
                self._tabs.pop(next(iter(self._tabs)))
        else:
            self._tabs.pop(word.tab, None)
        for asked in list(self._asked.values()):
            if asked.tab == word.tab and asked.real not in opened:
                self._fail(asked, _gone(asked))

    def take(self, id: str, tab: str, key: str = "") -> TabRequest:
        """What to do, told once; to the same key again, for a browser may send a request twice and hear one answer.

        Raises NotFound (given up), WrongMoment (not this tab's, or taken already).
        """
        asked = self._asked.get(id)
        if asked is None or asked.answer.done():
            raise NotFound("This request is over.", "Do nothing.")
        again = bool(key) and key == asked.key
        if asked.tab != tab or (asked.taken.is_set() and not again):
            raise WrongMoment("This request is another's.", "Do nothing.")
        asked.taken.set()
        asked.key = key
        asked.heard = self._clock()
        return asked.request

    def said(self, id: str, word: TabSaid) -> None:
        asked = self._mine(id, word.tab)
        asked.heard = self._clock()
        if 0 < word.n <= asked.words:
            return  # it was taken, and its acknowledgement was lost
        asked.words = word.n or asked.words
        if word.text:
            asked.said(word.text)

    def answered(self, id: str, word: TabAnswer) -> None:
        asked = self._mine(id, word.tab)
        if word.ok:
            if not asked.answer.done():
                asked.answer.set_result(word.result)
            return
        error = word.error
        problem = error.problem if error and error.problem else "The tab could not do it and did not say why."
        self._fail(asked, from_wire(422, error.type if error else "", problem, error.remedy if error else ""))

    def _mine(self, id: str, tab: str) -> _Asked:
        asked = self._asked.get(id)
        if asked is None or asked.tab != tab or not asked.taken.is_set():
            raise NotFound("This request is over, or another tab's.", "Do nothing.")
        return asked

    # --- what is open -------------------------------------------------------------------------------------------
    def open(self) -> dict[str, OpenNotebook]:
        """Real path -> the notebook of the tab that would be asked."""
        self._forget_silent()
        found: dict[str, OpenNotebook] = {}
        for tab in self._tabs.values():
            for real, notebook in tab.notebooks.items():
                if real not in found or notebook.dirty or not found[real].dirty:
                    found[real] = notebook
        return found

    def tab_of(self, real: Path) -> tuple[str, OpenNotebook] | None:
        """The tab to ask: one with unsaved changes first, then the one heard of last."""
        self._forget_silent()
        best: tuple[str, OpenNotebook] | None = None
        for tab in self._tabs.values():
            notebook = tab.notebooks.get(os.fspath(real))
            if notebook is not None and (best is None or notebook.dirty or not best[1].dirty):
                best = (tab.id, notebook)
        return best

    def tell_review(self, path: str) -> None:
        """Open tabs ask for the review of this notebook anew."""
        self._tell("notebook_review", {"path": os.fspath(self.project / path)})

    def _real(self, path: str) -> str | None:
        if not os.path.isabs(path) or "\0" in path:
            return None
        try:
            real = Path(path).resolve()
        except (OSError, RuntimeError):
            return None
        return os.fspath(real) if self.project in real.parents else None

    def _forget_silent(self) -> None:
        now = self._clock()
        for tab in list(self._tabs.values()):
            if now - tab.heard > EXPIRES_S:
                del self._tabs[tab.id]

    # --- asking -------------------------------------------------------------------------------------------------
    async def ask(
        self,
        real: Path,
        action: Any,
        args: dict[str, Any],
        *,
        said: Callable[[str], None] = lambda text: None,
        stop: asyncio.Event | None = None,
        leave_s: float | None = None,
    ) -> dict[str, Any]:
        """The answer of the tab that has `real` open.

        stop: when set, the tab is told to end the work and answers with what there is.  leave_s: after so many seconds
        it is told to answer and let the work go on; with it, only silence ends the waiting. Raises CannotBeDone where
        no tab takes it or the tab goes silent, and what the tab refuses with.
        """
        found = self.tab_of(real)
        if found is None:
            raise CannotBeDone(f"No tab has {real.name} open any more.", "Ask again.")
        tab, notebook = found
        request = TabRequest(id=secrets.token_hex(8), path=notebook.path, action=action, args=args)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        asked = _Asked(request, tab, os.fspath(real), answer, self._clock(), said=said)
        self._asked[request.id] = asked
        watch = asyncio.ensure_future(self._watch(asked, stop, leave_s))
        try:
            return await answer
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            del self._asked[request.id]
            if answer.cancelled():  # nobody waits any more: what runs is ended, what was not begun is not taken
                self._tell("notebook_end", {"id": request.id, "tab": tab, "why": "stop"})

    async def _watch(self, asked: _Asked, stop: asyncio.Event | None, leave_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        bell = {"id": asked.request.id, "tab": asked.tab}
        while not asked.taken.is_set():
            if stop is not None and stop.is_set():
                return self._fail(asked, WrongMoment("It was stopped before the tab began; nothing was changed."))
            if loop.time() - began > self.take_s:
                self._tabs.pop(asked.tab, None)
                return self._fail(asked, _not_taken(asked, self.take_s))
            self._tell("notebook_request", bell)  # told again until it is taken: a tab may just be connecting anew
            await _first(asked.taken, stop, timeout=min(REPEAT_S, self.take_s / 2))
        told = ""
        lease = LEASE_S if leave_s is not None else self.work_s
        while True:
            now = loop.time()
            why = "stop" if stop is not None and stop.is_set() else ""
            if not why and leave_s is not None and now - began >= leave_s:
                why = "leave"
            if why and told != why and told != "stop":
                self._tell("notebook_end", {**bell, "why": why})
                told, lease = why, self.work_s
                asked.heard = self._clock()
            if self._clock() - asked.heard > lease:
                self._tabs.pop(asked.tab, None)
                return self._fail(asked, _gone(asked))
            pause = 1.0 if leave_s is None or told else max(0.01, min(1.0, began + leave_s - now))
            await _first(None if told == "stop" else stop, None, timeout=pause)

    def _fail(self, asked: _Asked, error: RagentError) -> None:
        if not asked.answer.done():
            asked.answer.set_exception(error)


async def _first(one: asyncio.Event | None, other: asyncio.Event | None, *, timeout: float) -> None:
    """Waits until an event is set, at most `timeout` seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in (one, other) if event is not None]
    if not waits:
        await asyncio.sleep(timeout)
        return
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _not_taken(asked: _Asked, seconds: float) -> CannotBeDone:
    name = Path(asked.real).name
    return CannotBeDone(
        f"{name} is open in a JupyterLab tab that did not answer within {seconds:.0f} s; nothing was changed.",
        "Bring that tab to the front or reload it, then try again. If it is gone for good, the file is used next.",
    )


def _gone(asked: _Asked) -> CannotBeDone:
    name = Path(asked.real).name
    if not asked.taken.is_set():
        return CannotBeDone(
            f"The tab that had {name} open closed it before it began; nothing was changed.", "Try again."
        )
    what = "what ran may still run" if asked.request.action == "run" else "the notebook holds all of it or nothing"
    return CannotBeDone(
        f"The JupyterLab tab that had {name} open went away while it worked on this; {what}.",
        "Read the notebook again before anything else.",
    )
