"""A tab that has a notebook open: who serves, what a request's life is, and tabs that close, stay silent or lie."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest

from ragent_jupyter.adapters.notebook_hands import BothNotebooks, Tabs
from ragent_jupyter.domain.errors import CannotBeDone, NotFound, WrongMoment
from ragent_jupyter.domain.notebooks import OpenNotebook, TabAnswer, TabNotebooks, TabSaid
from ragent_jupyter.domain.ports_mind import CellEdit
from tests.contracts.notebooks import BOOK, CELLS, book, on_files, project, so
from tests.support.played_tab import PlayedTab

__all__ = ["project"]


def with_tab(project: Path, scene: Any, *more: PlayedTab) -> None:
    async def whole() -> None:
        tab = PlayedTab(project / BOOK, [dict(c) for c in book(CELLS).cells])
        every = [tab, *more]
        hands = on_files(project, lambda type_, data: [t.hear(type_, data) for t in every])
        hands.tabs.take_s = 0.3
        for one in every:
            one.opens(hands.tabs)
        await scene(hands, tab)

    asyncio.run(asyncio.wait_for(whole(), 30))


EDIT = CellEdit(action="edit", id="cell1", source="a = 2")


def test_a_tab_that_does_not_hear_is_an_error_and_nothing_is_done(project: Path) -> None:
    nbformat.write(book(CELLS), project / BOOK)

    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        tab.deaf = True
        with pytest.raises(CannotBeDone, match="did not answer"):
            await hands.edit(BOOK, [EDIT], checkpoint="trn_1")
        tab.deaf = False
        assert tab.did == [] and hands.review(BOOK).cells == []
        # Nobody has it open now, for all that is known: the file is used.
        await hands.edit(BOOK, [EDIT], checkpoint="trn_1")
        assert nbformat.read(project / BOOK, 4).cells[1].source == "a = 2"
        tab.opens(hands.tabs)
        assert (await hands.read(BOOK)).open

    with_tab(project, scene)


def test_a_tab_that_closes_in_the_middle_is_an_error_that_says_so(project: Path) -> None:
    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        tab.mute = True
        task = asyncio.ensure_future(hands.edit(BOOK, [EDIT], checkpoint="trn_1"))
        await so(lambda: any(asked.taken.is_set() for asked in hands.tabs._asked.values()))
        tab.closes()
        with pytest.raises(CannotBeDone, match="went away while it worked"):
            await task

    with_tab(project, scene)


def test_a_tab_that_takes_and_goes_silent_is_an_error(project: Path) -> None:
    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        tab.mute = True
        hands.tabs.work_s = 0.2
        with pytest.raises(CannotBeDone, match="went away"):
            await hands.edit(BOOK, [EDIT], checkpoint="trn_1")

    with_tab(project, scene)


def test_one_tab_alone_serves_and_the_dirty_one_before_the_clean(project: Path) -> None:
    clean = PlayedTab(project / BOOK, [dict(c) for c in book(CELLS).cells], "tab_clean")
    clean.dirty = False

    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        await hands.edit(BOOK, [EDIT], checkpoint="trn_1")
        assert (tab.did, clean.did) == (["apply"], [])
        request = {"id": "none", "tab": clean.name}
        clean.hear("notebook_request", request)  # an old request does nothing
        assert clean.did == []

    with_tab(project, scene, clean)


def test_a_request_is_taken_once_and_only_by_its_tab(project: Path) -> None:
    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        heard: list[dict[str, Any]] = []
        tab.hear = lambda type_, data: heard.append(data)  # type: ignore[method-assign]
        task = asyncio.ensure_future(hands.read(BOOK))
        await so(lambda: heard)
        with pytest.raises(WrongMoment):
            hands.tabs.take(heard[0]["id"], "another")
        assert hands.tabs.take(heard[0]["id"], tab.name).action == "read"
        with pytest.raises(WrongMoment):
            hands.tabs.take(heard[0]["id"], tab.name)
        tab.closes()
        with pytest.raises(CannotBeDone):
            await task
        with pytest.raises(NotFound):
            hands.tabs.take(heard[0]["id"], tab.name)

    with_tab(project, scene)


def test_a_taking_that_comes_twice_is_one_and_another_key_is_another(project: Path) -> None:
    """A browser sends a request again by itself where it heard no answer; a second ring of the bell is not that."""

    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        heard: list[dict[str, Any]] = []
        tab.hear = lambda type_, data: heard.append(data)  # type: ignore[method-assign]
        task = asyncio.ensure_future(hands.read(BOOK))
        await so(lambda: heard)
        id_ = heard[0]["id"]
        first = hands.tabs.take(id_, tab.name, "key_1")
        assert hands.tabs.take(id_, tab.name, "key_1") == first
        for name, key in ((tab.name, "key_2"), ("another", "key_1")):
            with pytest.raises(WrongMoment):
                hands.tabs.take(id_, name, key)
        answer = TabAnswer(tab=tab.name, ok=True, result=await tab._read(first))
        hands.tabs.answered(id_, answer)
        hands.tabs.answered(id_, TabAnswer(tab=tab.name, ok=False))  # too late to say otherwise
        assert (await task).open

    with_tab(project, scene)


def test_a_word_that_comes_twice_is_heard_once(project: Path) -> None:
    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        tab.echo = 3
        heard: list[str] = []
        await hands.run(BOOK, "cell2", stop=asyncio.Event(), said=heard.append)
        assert heard == ["two\n"]

    with_tab(project, scene)


def test_words_are_told_in_their_order_and_an_old_one_that_comes_late_is_dropped(project: Path) -> None:
    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        bells: list[dict[str, Any]] = []
        tab.hear = lambda type_, data: bells.append(data)  # type: ignore[method-assign]
        heard: list[str] = []
        stop = asyncio.Event()
        task = asyncio.ensure_future(hands.run(BOOK, "cell2", stop=stop, said=heard.append))
        await so(lambda: bells)
        id_ = bells[0]["id"]
        request = hands.tabs.take(id_, tab.name)
        # 0: a page that was loaded from an older ragent counts no words.
        for n, text in zip(
            [1, 2, 1, 3, 2, 3, 0, 0, 3, 4], ["a", "", "a", "b", "", "b", "c", "c", "b", "d"], strict=True
        ):
            hands.tabs.said(id_, TabSaid(tab=tab.name, text=text, n=n))
        with pytest.raises(NotFound):
            hands.tabs.said(id_, TabSaid(tab="another", text="x", n=5))
        result = await tab._run(request)
        assert "".join(heard) == "abccd"
        hands.tabs.answered(id_, TabAnswer(tab=tab.name, ok=True, result=msgspec.to_builtins(result)))
        await task
        with pytest.raises(NotFound):
            hands.tabs.said(id_, TabSaid(tab=tab.name, text="x", n=5))

    with_tab(project, scene)


def test_a_tab_says_only_what_is_in_the_project(project: Path) -> None:
    tabs = Tabs(project, lambda type_, data: None)
    (project.parent / "elsewhere").mkdir()
    (project.parent / "via").symlink_to(project)
    paths = [
        str(project.parent / "elsewhere" / "a.ipynb"),
        "relative.ipynb",
        str(project / ".." / "b.ipynb"),
        str(project.parent / "via" / "sub" / "c.ipynb"),
    ]
    tabs.announce(TabNotebooks(tab="t", notebooks=[OpenNotebook(path=p) for p in paths]))
    assert list(tabs.open()) == [str(project / "sub" / "c.ipynb")]


def test_a_tab_that_is_not_heard_of_for_long_has_nothing_open(project: Path) -> None:
    now = 0.0
    tabs = Tabs(project, lambda type_, data: None, clock=lambda: now)
    tabs.announce(TabNotebooks(tab="t", notebooks=[OpenNotebook(path=str(project / BOOK))]))
    now = 149.0
    assert tabs.tab_of(project / BOOK) is not None
    now = 151.0
    assert tabs.tab_of(project / BOOK) is None


def test_a_stopped_wait_tells_the_tab_to_stop(project: Path) -> None:
    async def scene(hands: BothNotebooks, tab: PlayedTab) -> None:
        tab.cells[2]["source"] = "print('begun')\nsleep(30)"
        heard = asyncio.Event()
        task = asyncio.ensure_future(
            hands.run(BOOK, "cell2", stop=asyncio.Event(), said=lambda t: heard.set(), timeout_s=60)
        )
        await heard.wait()
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await so(lambda: not tab._until)
        assert time.monotonic() - began < 10  # the cell would take 30

    with_tab(project, scene)
