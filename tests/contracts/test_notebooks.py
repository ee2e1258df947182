"""Files with kernels, an open tab, and the fake: one contract suite; then what only one of them can do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest

from ragent_jupyter.adapters.notebook_hands import BothNotebooks, Checkpoints, EngineKernels, FileNotebooks, Tabs
from ragent_jupyter.domain.errors import CannotBeDone, NotAllowed, NotFound, WrongMoment
from ragent_jupyter.domain.notebooks import GiveVerdict
from ragent_jupyter.domain.ports_mind import CellEdit
from tests.contracts.notebooks import BOOK, CELLS, Given, Make, NotebooksContract, book, on_files, project
from tests.support.fake_notebooks import FakeNotebooks
from tests.support.played_tab import PlayedTab

__all__ = ["project"]


async def typed_into_file(path: Path, files: FileNotebooks, id_: str, source: str) -> None:
    from ragent_jupyter.adapters.notebook_hands.cells import content_ids

    saved = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    saved.cells[content_ids(saved.cells).index(id_)].source = source
    nbformat.write(saved, path, version=nbformat.NO_CONVERT)


class TestFake(NotebooksContract):
    @pytest.fixture
    def make(self) -> Make:
        @asynccontextmanager
        async def made(cells: Sequence[tuple[str, str]]) -> AsyncIterator[Given]:
            fake = FakeNotebooks()
            fake.books[BOOK] = [fake.cell(source, kind) for kind, source in cells]

            async def typed(id_: str, source: str) -> None:
                next(c for c in fake.books[BOOK] if c["id"] == id_)["source"] = source

            yield Given(fake, typed)

        return made


class TestFile(NotebooksContract):
    MINOR = 5

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        @asynccontextmanager
        async def made(cells: Sequence[tuple[str, str]]) -> AsyncIterator[Given]:
            nbformat.write(book(cells, self.MINOR), tmp_path / BOOK)
            hands = on_files(tmp_path)

            async def typed(id_: str, source: str) -> None:
                await typed_into_file(tmp_path / BOOK, hands.files, id_, source)

            yield Given(hands, typed)
            await hands.close()
            saved = nbformat.read(tmp_path / BOOK, as_version=nbformat.NO_CONVERT)
            nbformat.validate(saved)
            assert saved.nbformat_minor == self.MINOR

        return made


class TestFileWithoutIds(TestFile):
    """Format 4.4: the file keeps its format, cells are named by their content."""

    MINOR = 4


class TestOpenTab(NotebooksContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        @asynccontextmanager
        async def made(cells: Sequence[tuple[str, str]]) -> AsyncIterator[Given]:
            tab = PlayedTab(tmp_path / BOOK, [dict(c) for c in book(cells).cells])
            hands = on_files(tmp_path, tab.hear)
            tab.opens(hands.tabs)

            async def typed(id_: str, source: str) -> None:
                next(c for c in tab.cells if c["id"] == id_)["source"] = source

            yield Given(hands, typed)
            assert not (tmp_path / BOOK).exists()  # the file is the tab's own business

        return made


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_that_somebody_saves_in_between_is_not_overwritten(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat.write(book(CELLS), project / BOOK)
    files = FileNotebooks(project)
    load = files.load

    def slow(path: str) -> tuple[Any, str]:
        found = load(path)
        nbformat.write(book([("code", "theirs")]), project / BOOK)
        return found

    monkeypatch.setattr(files, "load", slow)
    hands = BothNotebooks(files, Tabs(project, lambda t, d: None), EngineKernels(), Checkpoints(project))
    with pytest.raises(WrongMoment, match="saved by somebody else"):
        asyncio.run(hands.edit(BOOK, [CellEdit(action="insert", source="ours")], checkpoint="trn_1"))
    assert [c.source for c in nbformat.read(project / BOOK, 4).cells] == ["theirs"]


def test_what_is_not_touched_stays_byte_for_byte(project: Path) -> None:
    given = book(CELLS)
    given.cells[2].outputs = [nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="})]
    given.cells[1].metadata["mine"] = {"deep": [1, 2]}
    given.metadata["other"] = "kept"
    nbformat.write(given, project / BOOK)
    hands = on_files(project)
    asyncio.run(hands.edit(BOOK, [CellEdit(action="edit", id="cell1", source="a = 2")], checkpoint="trn_1"))
    after = nbformat.read(project / BOOK, 4)
    assert after.cells[2] == given.cells[2] and after.metadata == given.metadata
    assert after.cells[1].metadata == given.cells[1].metadata and after.cells[1].id == "cell1"
    before = (project / BOOK).read_text()
    asyncio.run(hands.undo("trn_1"))
    asyncio.run(hands.edit(BOOK, [CellEdit(action="edit", id="cell1", source="a = 2")], checkpoint="trn_2"))
    assert (project / BOOK).read_text() == before


def test_an_edited_cell_loses_its_outputs_and_gets_them_back_by_undo(project: Path) -> None:
    given = book(CELLS)
    given.cells[1].outputs = [nbformat.v4.new_output("stream", text="old")]
    given.cells[1].execution_count = 7
    nbformat.write(given, project / BOOK)
    hands = on_files(project)
    view = asyncio.run(hands.edit(BOOK, [CellEdit(action="edit", id="cell1", source="a = 2")], checkpoint="trn_1"))
    assert (view.cells[1].outputs, view.cells[1].execution_count) == ([], None)
    asyncio.run(hands.undo("trn_1"))
    assert nbformat.read(project / BOOK, 4).cells[1] == given.cells[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no valid notebook"),
        ("{", "no valid notebook"),
        ("[]", "no valid notebook"),
        ('{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}', "format 3"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}', "format 4|no valid"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1"), "no valid notebook"),
    ],
)
def test_a_broken_file_is_told_and_left(project: Path, text: str, says: str) -> None:
    (project / BOOK).write_text(text)
    hands = on_files(project)
    for scene in (
        lambda: hands.read(BOOK),
        lambda: hands.edit(BOOK, [CellEdit(action="insert", source="x")], checkpoint="trn_1"),
    ):
        with pytest.raises(CannotBeDone, match=says):
            asyncio.run(scene())
    assert (project / BOOK).read_text() == text


def test_paths_do_not_lead_out(project: Path) -> None:
    outside = project.parent / "outside.ipynb"
    nbformat.write(book(CELLS), outside)
    (project / "link.ipynb").symlink_to(outside)
    (project / "folder").symlink_to(project.parent)
    (project / ".hidden").mkdir()
    nbformat.write(book(CELLS), project / ".hidden" / "x.ipynb")
    (project / "notes.txt").write_text("no")
    hands = on_files(project)
    for path in (
        "../outside.ipynb",
        str(outside),
        "link.ipynb",
        "folder/outside.ipynb",
        ".hidden/x.ipynb",
        "/etc/passwd",
    ):
        with pytest.raises(NotAllowed):
            asyncio.run(hands.read(path))
    with pytest.raises(CannotBeDone):
        asyncio.run(hands.read("notes.txt"))
    for path in ("a\0.ipynb", "x" * 5000 + ".ipynb", "nothing.ipynb"):
        with pytest.raises(NotFound):
            asyncio.run(hands.read(path))
    assert [b["path"] for b in asyncio.run(hands.all())] == ["link.ipynb"]


def test_a_checkpoint_needs_a_good_name(project: Path) -> None:
    from ragent_jupyter.domain.errors import BadInput

    nbformat.write(book(CELLS), project / BOOK)
    hands = on_files(project)
    for name in ("", "..", "../x", "a/b"):
        with pytest.raises(BadInput):
            asyncio.run(hands.edit(BOOK, [CellEdit(action="insert", source="x")], checkpoint=name))
    assert len(nbformat.read(project / BOOK, 4).cells) == len(CELLS)


def test_checkpoints_are_forgotten_after_a_month_and_broken_ones_are_put_aside(project: Path) -> None:
    nbformat.write(book(CELLS), project / BOOK)
    hands = on_files(project)
    for turn in ("trn_old", "trn_broken", "trn_new"):
        asyncio.run(hands.edit(BOOK, [CellEdit(action="insert", source=turn)], checkpoint=turn))
    folder = hands.checkpoints.folder
    os.utime(folder / "trn_old", (0, 0))
    next((folder / "trn_broken").iterdir()).write_text("{")
    hands = on_files(project)
    asyncio.run(hands.edit(BOOK, [CellEdit(action="insert", source="x")], checkpoint="trn_new"))
    assert sorted(f.name for f in folder.iterdir()) == ["trn_broken", "trn_new"]
    assert asyncio.run(hands.undo("trn_broken")) == []
    assert [c.after for c in hands.review(BOOK).cells] == ["trn_new", "x"]


def test_one_cell_is_accepted_and_another_rejected(project: Path) -> None:
    nbformat.write(book(CELLS), project / BOOK)
    hands = on_files(project)

    async def scene() -> None:
        await hands.edit(
            BOOK,
            [
                CellEdit(action="edit", id="cell1", source="a = 2"),
                CellEdit(action="edit", id="cell2", source="b = 2"),
                CellEdit(action="delete", id="cell3"),
            ],
            checkpoint="trn_1",
        )
        shown = hands.review(BOOK)
        assert [(c.id, c.action, c.before, c.after) for c in shown.cells] == [
            ("cell1", "edited", "a = 1", "a = 2"),
            ("cell2", "edited", "print('two')", "b = 2"),
            ("cell3", "deleted", "raise ValueError('three')", ""),
        ]
        await hands.decide(GiveVerdict(path=str(project / BOOK), verdict="accept", cells=["cell1"]))
        after = await hands.decide(GiveVerdict(path=BOOK, verdict="reject", cells=["cell2"]))
        assert [c.id for c in after.cells] == ["cell3"] and after.left == []
        with pytest.raises(NotFound):
            await hands.decide(GiveVerdict(path=BOOK, verdict="reject", cells=["cell2"]))
        assert await hands.undo("trn_1") == [BOOK]
        view = await hands.read(BOOK)
        assert [c.source for c in view.cells] == ["# Title", "a = 2", "print('two')", "raise ValueError('three')"]
        assert hands.review(BOOK).cells == []

    asyncio.run(scene())


def test_a_rejected_cell_that_a_person_changed_stays_and_is_named(project: Path) -> None:
    nbformat.write(book(CELLS), project / BOOK)
    hands = on_files(project)

    async def scene() -> None:
        await hands.edit(BOOK, [CellEdit(action="edit", id="cell1", source="a = 2")], checkpoint="trn_1")
        await typed_into_file(project / BOOK, hands.files, "cell1", "mine")
        after = await hands.decide(GiveVerdict(path=BOOK, verdict="reject"))
        assert after.left == ["cell1"] and [c.id for c in after.cells] == ["cell1"]
        assert (await hands.read(BOOK)).cells[1].source == "mine"

    asyncio.run(scene())


# --- kernels ---------------------------------------------------------------------------------------------------------
def running(project: Path, cells: Sequence[tuple[str, str]], scene: Any) -> None:
    nbformat.write(book(cells), project / BOOK)

    async def whole() -> None:
        hands = on_files(project)
        try:
            await scene(hands)
        finally:
            await hands.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_cells_share_one_kernel_whose_variables_are_told_shortly(project: Path) -> None:
    cells = [
        ("code", "import numpy as np\nx = np.zeros((1000, 1000))\nbig = list(range(10**6))\nword = 'w' * 10_000"),
        ("code", "class Loud:\n    def __repr__(self): return 'z' * 10**7\nloud = Loud()\nx.shape"),
    ]

    async def scene(hands: BothNotebooks) -> None:
        with pytest.raises(CannotBeDone, match="No kernel"):
            await hands.variables(BOOK, ["x"])
        for cell in ("cell0", "cell1"):
            ran = await hands.run(BOOK, cell, stop=asyncio.Event(), said=lambda t: None)
        assert ran.outputs == ["(1000, 1000)"]
        told = await hands.variables(BOOK, ["x", "big", "word", "loud", "nothing"])
        assert told["x"] == "numpy.ndarray · shape (1000, 1000) · dtype float64"
        assert told["big"].startswith("list · len 1000000 · [0, 1, 2")
        assert told["nothing"] == "not defined"
        assert all(len(text) <= 600 for text in told.values())
        from ragent_jupyter.domain.errors import BadInput

        for bad in ("x.T", "__import__('os')", "x y", ""):
            with pytest.raises(BadInput):
                await hands.variables(BOOK, [bad])

    running(project, cells, scene)


def test_a_kernel_that_dies_is_an_error_and_the_next_run_has_a_new_one(project: Path) -> None:
    async def scene(hands: BothNotebooks) -> None:
        ran = await hands.run(BOOK, "cell0", stop=asyncio.Event(), said=lambda t: None)
        assert ran.state == "error" and "kernel ended" in ran.outputs[-1]
        ran = await hands.run(BOOK, "cell1", stop=asyncio.Event(), said=lambda t: None)
        assert ran.outputs == ["alive\n"]

    running(project, [("code", "import os; os._exit(9)"), ("code", "print('alive')")], scene)


def test_pictures_are_named_and_kept_in_the_file(project: Path) -> None:
    source = (
        "from IPython.display import display\nimport base64\n"
        "display({'image/png': base64.b64encode(b'p' * 12000).decode()}, raw=True)"
    )

    async def scene(hands: BothNotebooks) -> None:
        ran = await hands.run(BOOK, "cell0", stop=asyncio.Event(), said=lambda t: None)
        assert ran.outputs == ["[image/png, 12 kB]"]
        saved = nbformat.read(project / BOOK, 4)
        assert len(saved.cells[0].outputs[0].data["image/png"]) == 16000

    running(project, [("code", source)], scene)


def test_outputs_do_not_go_to_a_cell_that_was_changed_meanwhile(project: Path) -> None:
    async def scene(hands: BothNotebooks) -> None:
        heard = asyncio.Event()
        task = asyncio.ensure_future(
            hands.run(BOOK, "cell0", stop=asyncio.Event(), said=lambda t: heard.set(), timeout_s=30)
        )
        await asyncio.wait_for(heard.wait(), 30)
        await typed_into_file(project / BOOK, hands.files, "cell0", "mine = 1")
        (project / "go").touch()
        ran = await task
        assert ran.state == "done"
        saved = nbformat.read(project / BOOK, 4).cells[0]
        assert (saved.source, saved.outputs) == ("mine = 1", [])

    until_then = f"import os, time\nprint('on')\nwhile not os.path.exists({str(project / 'go')!r}): time.sleep(0.02)"
    running(project, [("code", until_then)], scene)


def test_another_cell_waits_its_turn(project: Path) -> None:
    async def scene(hands: BothNotebooks) -> None:
        first = await hands.run(BOOK, "cell0", stop=asyncio.Event(), said=lambda t: None, timeout_s=0.2)
        assert first.state == "running"
        with pytest.raises(WrongMoment, match="busy"):
            await hands.run(BOOK, "cell1", stop=asyncio.Event(), said=lambda t: None)
        assert await hands.interrupt(BOOK)
        over = await hands.run(BOOK, "cell0", stop=asyncio.Event(), said=lambda t: None)
        assert over.state in ("stopped", "done")

    running(project, [("code", "import time\ntime.sleep(60)"), ("code", "1")], scene)


def test_an_unknown_kernel_is_told_with_those_there_are(project: Path) -> None:
    given = book(CELLS)
    given.metadata["kernelspec"]["name"] = "julia-9"
    nbformat.write(given, project / BOOK)
    with pytest.raises(CannotBeDone, match="julia-9") as refusal:
        asyncio.run(on_files(project).run(BOOK, "cell1", stop=asyncio.Event(), said=lambda t: None))
    assert "python3" in refusal.value.remedy
