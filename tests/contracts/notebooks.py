"""What every hand on notebooks keeps to: the file's, an open tab's, and the fake in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import nbformat
import pytest

from ragent_jupyter.adapters.notebook_hands import BothNotebooks, Checkpoints, EngineKernels, FileNotebooks, Tabs
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.notebooks import NotebookHands
from ragent_jupyter.domain.ports_mind import CellEdit, NotebookView

BOOK = "book.ipynb"
# (kind, source) of the cells that every test begins with.
CELLS = [("markdown", "# Title"), ("code", "a = 1"), ("code", "print('two')"), ("code", "raise ValueError('three')")]


def book(cells: Sequence[tuple[str, str]], minor: int = 5) -> Any:
    made = nbformat.v4.new_notebook()
    made.nbformat_minor = minor
    for number, (kind, source) in enumerate(cells):
        cell = getattr(nbformat.v4, f"new_{kind}_cell")(source)
        cell["id"] = f"cell{number}"
        if minor < 5:
            del cell["id"]
        made.cells.append(cell)
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def on_files(project: Path, tell: Any = lambda type_, data: None) -> BothNotebooks:
    return BothNotebooks(FileNotebooks(project), Tabs(project, tell), EngineKernels(), Checkpoints(project))


async def so(condition: Any, seconds: float = 10.0) -> None:
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not so in time")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "p").mkdir()
    yield tmp_path / "p"


class Given:
    """The hands, and a person beside them who types into the same notebook."""

    def __init__(self, hands: NotebookHands, typed: Callable[[str, str], Awaitable[None]]) -> None:
        self.hands = hands
        self.typed = typed  # (cell id, its new source)

    async def view(self) -> NotebookView:
        return await self.hands.read(BOOK)

    async def ids(self) -> list[str]:
        return [cell.id for cell in (await self.view()).cells]

    async def sources(self) -> list[str]:
        return [cell.source for cell in (await self.view()).cells]

    async def edit(self, *edits: CellEdit, turn: str = "trn_1") -> NotebookView:
        return await self.hands.edit(BOOK, edits, checkpoint=turn)


Make = Callable[[Sequence[tuple[str, str]]], AbstractAsyncContextManager[Given]]


class NotebooksContract:
    """A subclass brings `make`: an async context manager that gives the hands on BOOK with these cells."""

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError

    def play(self, make: Make, scene: Callable[[Given], Awaitable[None]], cells: Any = CELLS) -> None:
        async def whole() -> None:
            async with make(cells) as given:
                await scene(given)

        asyncio.run(asyncio.wait_for(whole(), 60))

    # --- reading ------------------------------------------------------------------------------------------------
    def test_it_tells_all_cells_in_their_order(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            view = await given.view()
            assert [(c.kind, c.source) for c in view.cells] == CELLS
            assert [c.index for c in view.cells] == [0, 1, 2, 3]
            assert len({c.id for c in view.cells}) == 4
            assert [b["path"] for b in await given.hands.all()] == [BOOK]

        self.play(make, scene)

    @pytest.mark.parametrize("path", ["no.ipynb", ""])
    def test_an_unknown_notebook_is_not_found(self, make: Make, path: str) -> None:
        async def scene(given: Given) -> None:
            with pytest.raises(NotFound):
                await given.hands.read(path)

        self.play(make, scene)

    # --- editing ------------------------------------------------------------------------------------------------
    def test_edits_are_applied_in_order(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            view = await given.edit(
                CellEdit(action="edit", id=ids[1], source="a = 2", expect="a = 1"),
                CellEdit(action="insert", id=ids[2], kind="markdown", source="first"),
                CellEdit(action="insert", id=ids[2], source="second"),
                CellEdit(action="insert", source="last"),
                CellEdit(action="delete", id=ids[3]),
            )
            assert [c.source for c in view.cells] == ["# Title", "a = 2", "first", "second", "print('two')", "last"]
            assert [c.kind for c in view.cells][2:4] == ["markdown", "code"]
            kept = [c.id for c in view.cells if c.id in ids]
            assert kept == [ids[0], view.cells[1].id, ids[2]] or kept == [ids[0], ids[2]]  # ids of content move with it
            assert await given.sources() == [c.source for c in view.cells]

        self.play(make, scene)

    def test_an_edit_keeps_the_kind_of_the_cell(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            view = await given.edit(CellEdit(action="edit", id=(await given.ids())[0], source="# Other"))
            assert (view.cells[0].kind, view.cells[0].source) == ("markdown", "# Other")

        self.play(make, scene)

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            (CellEdit(action="edit", id="gone", source="x"), NotFound),
            (CellEdit(action="delete", id="gone"), NotFound),
            (CellEdit(action="insert", id="gone", source="x"), NotFound),
            (CellEdit(action="insert", source="x" * 1_000_001), BadInput),
        ],
    )
    def test_one_wrong_edit_and_nothing_is_done(self, make: Make, wrong: CellEdit, error: type[RagentError]) -> None:
        async def scene(given: Given) -> None:
            with pytest.raises(error):
                await given.edit(CellEdit(action="insert", source="good"), wrong)
            assert await given.sources() == [source for _, source in CELLS]
            assert await given.hands.undo("trn_1") == []

        self.play(make, scene)

    def test_no_edit_at_all_is_refused(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            with pytest.raises(BadInput):
                await given.edit()

        self.play(make, scene)

    def test_what_a_person_typed_meanwhile_is_not_overwritten(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            await given.typed(ids[1], "a = 'mine'")
            id_ = (await given.ids())[1]
            with pytest.raises(WrongMoment) as refusal:
                await given.edit(
                    CellEdit(action="insert", source="good"),
                    CellEdit(action="edit", id=id_, source="a = 3", expect="a = 1"),
                )
            assert "a = 'mine'" in refusal.value.remedy  # it can be made again for what is there
            assert await given.sources() == ["# Title", "a = 'mine'", *[s for _, s in CELLS[2:]]]

        self.play(make, scene)

    def test_what_a_person_typed_elsewhere_survives(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            await given.typed(ids[0], "# Mine")
            await given.edit(CellEdit(action="edit", id=ids[1], source="a = 2", expect="a = 1"))
            assert (await given.sources())[:2] == ["# Mine", "a = 2"]
            await given.hands.undo("trn_1")
            assert (await given.sources())[:2] == ["# Mine", "a = 1"]

        self.play(make, scene)

    # --- undoing ------------------------------------------------------------------------------------------------
    def test_one_undo_takes_a_whole_turn_back(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            await given.edit(
                CellEdit(action="edit", id=ids[1], source="a = 2"),
                CellEdit(action="insert", id=ids[0], source="top"),
                CellEdit(action="delete", id=ids[3]),
                CellEdit(action="delete", id=ids[2]),
            )
            now = (await given.view()).cells
            await given.edit(CellEdit(action="edit", id=now[2].id, source="a = 3"))
            await given.edit(CellEdit(action="edit", id=now[0].id, source="top 2"))
            assert await given.hands.undo("trn_1") == [BOOK]
            assert [(c.kind, c.source) for c in (await given.view()).cells] == CELLS
            assert await given.ids() == ids
            assert await given.hands.undo("trn_1") == []  # twice changes nothing

        self.play(make, scene)

    def test_an_undo_leaves_what_a_person_changed_since(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            view = await given.edit(
                CellEdit(action="edit", id=ids[1], source="a = 2"), CellEdit(action="edit", id=ids[2], source="b = 2")
            )
            await given.typed(view.cells[1].id, "a = 'mine'")
            assert await given.hands.undo("trn_1") == [BOOK]
            assert (await given.sources())[1:3] == ["a = 'mine'", "print('two')"]

        self.play(make, scene)

    def test_a_turn_goes_back_to_what_a_person_wrote_between_its_edits(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            view = await given.edit(CellEdit(action="edit", id=ids[1], source="a = 2"))
            await given.typed(view.cells[1].id, "a = 'mine'")
            await given.edit(CellEdit(action="edit", id=(await given.ids())[1], source="a = 4"))
            await given.hands.undo("trn_1")
            assert (await given.sources())[1] == "a = 'mine'"

        self.play(make, scene)

    def test_turns_are_undone_one_by_one(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            view = await given.edit(CellEdit(action="edit", id=ids[1], source="a = 2"), turn="trn_1")
            await given.edit(CellEdit(action="edit", id=view.cells[1].id, source="a = 3"), turn="trn_2")
            assert await given.hands.undo("trn_2") == [BOOK]
            assert (await given.sources())[1] == "a = 2"
            assert await given.hands.undo("trn_1") == [BOOK]
            assert (await given.sources())[1] == "a = 1"
            assert await given.hands.undo("trn_unknown") == []

        self.play(make, scene)

    # --- running ------------------------------------------------------------------------------------------------
    def test_a_cell_runs_and_its_outputs_are_in_the_notebook(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            heard: list[str] = []
            ids = await given.ids()
            ran = await given.hands.run(BOOK, ids[2], stop=asyncio.Event(), said=heard.append)
            assert (ran.state, ran.outputs) == ("done", ["two\n"])
            assert "".join(heard) == "two\n"
            cell = (await given.view()).cells[2]
            assert (cell.outputs, cell.execution_count) == (["two\n"], 1)
            ran = await given.hands.run(BOOK, ids[3], stop=asyncio.Event(), said=heard.append)
            assert ran.state == "error"
            assert "ValueError" in ran.outputs[-1] and "three" in ran.outputs[-1]

        self.play(make, scene)

    def test_what_cannot_run_is_refused(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            ids = await given.ids()
            with pytest.raises(CannotBeDone):
                await given.hands.run(BOOK, ids[0], stop=asyncio.Event(), said=lambda t: None)
            with pytest.raises(NotFound):
                await given.hands.run(BOOK, "gone", stop=asyncio.Event(), said=lambda t: None)

        self.play(make, scene)

    SLEEP = "import time\nfrom time import sleep\nprint('begun')\nsleep(2.5)\nprint('over')"

    def test_a_stop_is_answered_at_once(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            stop = asyncio.Event()
            heard = asyncio.Event()
            cell = (await given.ids())[0]
            task = asyncio.ensure_future(
                given.hands.run(BOOK, cell, stop=stop, said=lambda text: heard.set(), timeout_s=60)
            )
            await asyncio.wait_for(heard.wait(), 30)
            began = time.monotonic()
            stop.set()
            ran = await task
            assert time.monotonic() - began < 5.0  # the cell would take 30
            assert ran.state == "stopped"
            assert ran.outputs[0].startswith("begun")

        self.play(make, scene, [("code", self.SLEEP.replace("2.5", "30"))])

    def test_a_long_cell_goes_on_and_is_waited_for_again(self, make: Make) -> None:
        async def scene(given: Given) -> None:
            cell = (await given.ids())[0]
            nothing = asyncio.Event()
            heard = asyncio.Event()
            first = await given.hands.run(BOOK, cell, stop=nothing, said=lambda text: heard.set(), timeout_s=1.5)
            assert first.state == "running"
            assert await given.hands.running(BOOK) == [cell]
            second = await given.hands.run(BOOK, cell, stop=nothing, said=lambda text: None, timeout_s=30)
            assert second.state == "done"
            assert "".join(second.outputs).endswith("over\n")
            assert await given.hands.running(BOOK) == []

        self.play(make, scene, [("code", self.SLEEP.replace("2.5", "6"))])


__all__ = ["BOOK", "CELLS", "Given", "Make", "NotebooksContract"]
