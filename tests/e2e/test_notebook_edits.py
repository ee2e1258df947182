"""A notebook that a person has open and is typing into, while an agent edits and runs it: a real Lab, a real kernel.

The engine lives in the test's own process, so that its notebooks are called as its tools call them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from ragent_jupyter.adapters.notebook_hands import BothNotebooks
from ragent_jupyter.domain.errors import CannotBeDone, WrongMoment
from ragent_jupyter.domain.ports_mind import CellEdit, NotebookView
from ragent_jupyter.engine.app import Engine
from tests.support.engine import project

from .conftest import TOKEN, Lab, end_lab, start_lab, until

T = TypeVar("T")
NAME = "work.ipynb"
CELLS = ["# Title", "a = 1\nb = 2", "print('from the cell', a)", "c = 3"]


class Hosted:
    """An engine on a loop of its own, in a thread."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.engine: Engine
        ready = threading.Event()

        async def serve() -> None:
            self.engine = Engine(folder)
            ready.set()
            await self.engine.run()

        self.over = threading.Thread(target=lambda: self.loop.run_until_complete(serve()), daemon=True)
        self.over.start()
        assert ready.wait(30)
        # How long a tab may take belongs to tests/contracts; here a browser, a server and a kernel share cores.
        self.engine.notebooks.tabs.take_s = 30.0
        self.engine.notebooks.tabs.work_s = 60.0

    @property
    def notebooks(self) -> BothNotebooks:
        return self.engine.notebooks

    def begin(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(call, self.loop)

    def do(self, call: Coroutine[Any, Any, T], timeout: float = 60) -> T:
        return self.begin(call).result(timeout)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.engine.drain, "the tests are over")
        self.over.join(20)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Hosted]]:
    with project("process") as made:
        engine = Hosted(made.folder)
        process, url = start_lab(made.folder, tmp_path_factory.mktemp("home"))
        try:
            yield Lab(url, made), engine
        finally:
            end_lab(process)
            engine.end()


class Open:
    """A notebook in a tab, and a person at its keyboard."""

    def __init__(self, page: Page, lab: Lab, engine: Hosted, path: Path) -> None:
        self.page = page
        self.lab = lab
        self.engine = engine
        self.path = path

    def visit(self, *, kernel: bool = True, keep: bool = False) -> None:
        self.lab.open(self.page, panel=False, keep=keep)
        self.page.evaluate(
            """async ([path, kernel]) => {
                const open = await jupyterapp.commands.execute('docmanager:open', { path });
                await open.context.ready;
                if (kernel) {
                    await open.sessionContext.ready;
                    await open.sessionContext.session.kernel.info;
                    await open.context.save(); // a kernel writes its language into a new notebook
                }
                window.nb = open;
            }""",
            [self.path.name, kernel],
        )
        until(lambda: self.engine.notebooks.tabs.tab_of(self.path), "the tab says that it has the notebook open")

    def type_into(self, index: int, text: str) -> None:
        """A person's keys, in the cell's editor, at its end."""
        cell = self.page.locator(".jp-Notebook .jp-Cell").nth(index)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.type(text)

    def sources(self) -> list[str]:
        return self.page.evaluate("() => window.nb.context.model.sharedModel.cells.map(c => c.getSource())")  # type: ignore[no-any-return]

    @property
    def dirty(self) -> bool:
        return bool(self.page.evaluate("() => window.nb.context.model.dirty"))

    def saved(self) -> list[str]:
        return [cell.source for cell in nbformat.read(self.path, 4).cells]

    def view(self) -> NotebookView:
        return self.engine.do(self.engine.notebooks.read(NAME))

    def edit(self, *edits: CellEdit, turn: str = "trn_1") -> NotebookView:
        return self.engine.do(self.engine.notebooks.edit(NAME, edits, checkpoint=turn))

    def run(self, cell: str, **more: Any) -> Any:
        stop = more.pop("stop", None) or asyncio.Event()
        said = more.pop("said", lambda text: None)
        return self.engine.do(self.engine.notebooks.run(NAME, cell, stop=stop, said=said, **more))


@pytest.fixture
def opened(page: Page, hosted: tuple[Lab, Hosted]) -> Iterator[Open]:
    lab, engine = hosted
    path = lab.project.folder / NAME
    write(path, CELLS)
    one = Open(page, lab, engine, path)
    one.visit()
    yield one
    page.evaluate(
        """async () => {
            window.nb?.dispose();
            for (const m of jupyterapp.serviceManager.sessions.running()) {
                await jupyterapp.serviceManager.sessions.shutdown(m.id);
            }
        }"""
    )
    for turn in ("trn_1", "trn_2"):
        for kept in engine.notebooks.checkpoints.of_id(turn):
            engine.notebooks.checkpoints.put(turn, kept.path, [])
    path.unlink(missing_ok=True)


def write(path: Path, cells: list[str]) -> None:
    book = nbformat.v4.new_notebook()
    for number, source in enumerate(cells):
        cell = nbformat.v4.new_markdown_cell(source) if source.startswith("#") else nbformat.v4.new_code_cell(source)
        cell["id"] = f"cell{number}"
        book.cells.append(cell)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)


def edit(id_: str, source: str, expect: str | None = None) -> CellEdit:
    return CellEdit(action="edit", id=id_, source=source, expect=expect)


def test_what_a_person_types_and_what_the_agent_edits_both_survive(opened: Open, quiet: list[str]) -> None:
    opened.type_into(1, "\nmine = 'unsaved'")
    until(lambda: opened.view().dirty, "the unsaved words are known")
    assert opened.view().cells[1].source == "a = 1\nb = 2\nmine = 'unsaved'"
    view = opened.edit(
        edit("cell3", "c = 4", expect="c = 3"),
        CellEdit(action="insert", id="cell1", kind="markdown", source="Added above"),
        edit("cell1", "a = 100\nb = 2\nmine = 'unsaved'", expect="a = 1\nb = 2\nmine = 'unsaved'"),
    )
    assert view.open and view.dirty
    # The person goes on typing, where they were: neither caret nor focus went away.
    opened.page.keyboard.type(" # and on")
    whole = ["# Title", "Added above", "a = 100\nb = 2\nmine = 'unsaved' # and on", CELLS[2], "c = 4"]
    until(lambda: opened.sources() == whole, f"both are there: {opened.sources()}")
    assert opened.saved() == CELLS  # a dirty document is saved by its person alone
    with pytest.raises(WrongMoment, match="not what it was"):
        opened.edit(edit("cell3", "c = 5"), edit("cell1", "lost", expect="a = 1\nb = 2"))
    assert opened.sources() == whole
    # One click takes the turn back; what the person wrote stays.
    opened.page.get_by_role("button", name="Undo all").click()
    until(lambda: opened.sources()[-1] == "c = 3", "the turn is undone")
    assert opened.sources() == ["# Title", "a = 100\nb = 2\nmine = 'unsaved' # and on", CELLS[2], "c = 3"]
    expect(opened.page.locator(".rg-nb-said")).to_contain_text("1 cell was changed since")
    assert quiet == []


def test_a_clean_document_is_saved_and_undone_whole(opened: Open, quiet: list[str]) -> None:
    opened.edit(
        edit("cell1", "a = 7"), CellEdit(action="delete", id="cell3"), CellEdit(action="insert", source="new = 1")
    )
    assert opened.sources() == ["# Title", "a = 7", CELLS[2], "new = 1"]
    until(lambda: opened.saved() == opened.sources(), "it is saved")
    assert not opened.dirty
    assert opened.engine.do(opened.engine.notebooks.undo("trn_1")) == [NAME]
    assert opened.sources() == CELLS
    until(lambda: opened.saved() == CELLS, "that is saved too")
    assert [c.id for c in opened.view().cells] == ["cell0", "cell1", "cell2", "cell3"]
    assert quiet == []


def test_cells_are_accepted_and_rejected_one_by_one_also_after_a_reload(opened: Open, quiet: list[str]) -> None:
    opened.edit(edit("cell1", "a = 7"), edit("cell2", "print('other')"), CellEdit(action="delete", id="cell3"))
    page = opened.page
    bar = page.get_by_role("region", name="Changes made by ragent")
    expect(bar).to_contain_text("ragent changed 3 cells")
    changed = page.get_by_role("group", name="Changed by ragent")
    expect(changed).to_have_count(2)
    changed.nth(0).get_by_role("button", name="Show changes").click()
    expect(changed.nth(0).locator(".rg-nb-gone").first).to_have_text("- a = 1")
    expect(changed.nth(0).locator(".rg-nb-come")).to_have_text("+ a = 7")
    for part in (".rg-nb-bar", ".rg-nb-strip"):
        faults = Axe().run(page, context=part).response["violations"]
        assert [f["id"] for f in faults if f["impact"] in ("serious", "critical")] == []
    until(lambda: opened.saved()[1] == "a = 7", "saved")
    opened.visit(keep=True)
    expect(bar).to_contain_text("ragent changed 3 cells")
    expect(changed).to_have_count(2)
    # By the keyboard alone.
    changed.nth(0).get_by_role("button", name="Accept").focus()
    page.keyboard.press("Enter")
    expect(changed).to_have_count(1)
    changed.nth(0).get_by_role("button", name="Reject").focus()
    page.keyboard.press("Space")
    expect(changed).to_have_count(0)
    assert opened.sources() == ["# Title", "a = 7", CELLS[2]]
    gone = page.get_by_role("group", name="Deleted by ragent")
    expect(gone).to_contain_text("- c = 3")
    gone.get_by_role("button", name="Put back").click()
    expect(gone).to_have_count(0)
    assert opened.sources() == ["# Title", "a = 7", CELLS[2], "c = 3"]
    expect(page.locator(".rg-nb-strip")).to_have_count(0)
    assert quiet == []


def test_a_run_ends_up_in_the_open_document(opened: Open, quiet: list[str]) -> None:
    heard: list[str] = []
    opened.run("cell1")
    opened.type_into(3, "\n# unsaved")
    ran = opened.run("cell2", said=heard.append)
    assert (ran.state, ran.outputs, "".join(heard)) == ("done", ["from the cell 1\n"], "from the cell 1\n")
    expect(opened.page.locator(".jp-OutputArea-output", has_text="from the cell 1")).to_be_visible()
    assert opened.view().cells[2].outputs == ["from the cell 1\n"]
    assert opened.sources()[3] == "c = 3\n# unsaved"
    opened.edit(edit("cell2", "import numpy as np\nx = np.ones((5, 4))\n1 / 0"))
    ran = opened.run("cell2")
    assert ran.state == "error" and "ZeroDivisionError" in ran.outputs[-1]
    told = opened.engine.do(opened.engine.notebooks.variables(NAME, ["a", "x", "nothing"]))
    assert told == {
        "a": "int · 1",
        "x": "numpy.ndarray · shape (5, 4) · dtype float64",
        "nothing": "not defined",
    }
    assert quiet == []


def test_a_stop_interrupts_and_a_long_cell_goes_on_without_us(opened: Open, quiet: list[str]) -> None:
    slow = "import time\nprint('begun', flush=True)\nfor i in range(600):\n    time.sleep(0.05)\nprint('over')"
    opened.edit(edit("cell2", slow), edit("cell3", slow.replace("600", "60")))
    stop, heard = asyncio.Event(), threading.Event()
    going = opened.engine.begin(
        opened.engine.notebooks.run(NAME, "cell2", stop=stop, said=lambda text: heard.set(), timeout_s=60)
    )
    assert heard.wait(20)
    opened.engine.loop.call_soon_threadsafe(stop.set)
    ran = going.result(20)  # the cell itself goes on for 30 s; that a second is enough tests/contracts show
    assert ran.state == "stopped" and ran.outputs[0].startswith("begun")
    left = opened.run("cell3", timeout_s=1)
    assert left.state == "running"
    assert opened.engine.do(opened.engine.notebooks.running(NAME)) == ["cell3"]
    done = opened.run("cell3", timeout_s=30)
    assert done.state == "done" and "".join(done.outputs) == "begun\nover\n"
    assert quiet == []


def test_a_stop_does_not_touch_a_cell_that_the_person_runs(opened: Open) -> None:
    go = opened.path.parent / "go-on"
    slow = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.05)\nprint('mine is over')"
    opened.edit(edit("cell2", slow))
    opened.page.evaluate(
        "() => { window.nb.content.activeCellIndex = 2; void jupyterapp.commands.execute('notebook:run-cell'); }"
    )
    until(lambda: opened.page.evaluate("() => window.nb.sessionContext.session.kernel.status") == "busy", "busy")
    stop = asyncio.Event()
    going = opened.engine.begin(opened.engine.notebooks.run(NAME, "cell1", stop=stop, said=lambda t: None))
    asked = opened.engine.notebooks.tabs._asked
    until(lambda: any(one.taken.is_set() for one in list(asked.values())), "the tab has taken it")
    opened.engine.loop.call_soon_threadsafe(stop.set)
    try:
        assert going.result(20).state == "stopped"
        go.touch()
        expect(opened.page.locator(".jp-OutputArea-output", has_text="mine is over")).to_be_visible()
    finally:
        go.unlink(missing_ok=True)


def test_a_tab_that_is_killed_in_the_middle_is_an_error_and_the_file_is_whole(opened: Open) -> None:
    opened.edit(edit("cell2", "import time\nprint('begun', flush=True)\ntime.sleep(30)"))
    until(lambda: "time.sleep" in opened.saved()[2], "saved")
    before = opened.path.read_bytes()
    heard = threading.Event()
    going = opened.engine.begin(
        opened.engine.notebooks.run(NAME, "cell2", stop=asyncio.Event(), said=lambda t: heard.set(), timeout_s=60)
    )
    assert heard.wait(20)
    opened.page.goto("about:blank")
    with pytest.raises(CannotBeDone, match="went away while it worked"):
        going.result(20)
    assert opened.path.read_bytes() == before
    # Nobody has it open: the next edit goes to the file.
    opened.edit(edit("cell1", "a = 9"))
    assert opened.saved()[1] == "a = 9"
    opened.visit()


def test_the_panel_may_be_shown_or_hidden(opened: Open, quiet: list[str]) -> None:
    """Requests come over the panel's socket or over one of their own, never over two."""
    opened.edit(edit("cell1", "a = 2"))
    opened.page.evaluate("async () => { await jupyterapp.commands.execute('ragent:open') }")
    opened.page.wait_for_selector("#ragent-panel :is(.rg-row, .rg-empty, .rg-chat, .rg-form)", timeout=30_000)
    opened.edit(edit("cell1", "a = 3"))
    opened.page.evaluate("() => jupyterapp.shell.collapseLeft()")
    opened.edit(edit("cell1", "a = 4"))
    assert opened.sources()[1] == "a = 4"
    assert quiet == []


def test_what_a_person_looks_at_does_not_move(opened: Open, hosted: tuple[Lab, Hosted]) -> None:
    _, engine = hosted
    write(opened.path, ["# Title", *[f"x{n} = {n}\ny = 1\nz = 2" for n in range(60)]])
    opened.page.evaluate("async () => { await window.nb.context.revert() }")
    opened.page.evaluate("() => window.nb.content.scrollToItem(40, 'start')")
    seen = opened.page.locator(".jp-Cell", has_text="x42 = 42")
    expect(seen).to_be_in_viewport()

    def top() -> float:
        box = seen.bounding_box()
        assert box is not None
        return box["y"]

    tops: list[float] = []

    def still() -> bool:
        opened.page.evaluate("() => new Promise(requestAnimationFrame)")
        tops.append(top())
        return tops[-5:] == [tops[-1]] * 5

    until(still, "it has come to rest")
    active = opened.page.evaluate("() => window.nb.content.activeCell.model.id")
    before = tops[-1]
    opened.edit(*[CellEdit(action="insert", id="cell1", source=f"new{n} = {n}\n\n\n") for n in range(5)])
    until(lambda: len(opened.sources()) == 66, "inserted")
    # The bar above takes its own height once; the cells behind it do not wander off.
    until(lambda: still() and abs(tops[-1] - before) <= 40, "it stays")
    assert opened.page.evaluate("() => window.nb.content.activeCell.model.id") == active
    assert engine.notebooks.review(NAME).cells


def test_notebook_7_joins_in_as_well(
    page: Page, hosted: tuple[Lab, Hosted], tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("notebook", minversion="7", reason="Notebook is not installed; JupyterLab does not need it")
    lab, engine = hosted
    path = lab.project.folder / "seven.ipynb"
    write(path, CELLS)
    process, url = start_lab(lab.project.folder, tmp_path_factory.mktemp("nb7"), "notebook")
    try:
        page.goto(f"{url}/notebooks/seven.ipynb?token={TOKEN}")
        page.wait_for_function("!!window.jupyterapp", timeout=60_000)
        until(lambda: engine.notebooks.tabs.tab_of(path), "the tab says that it has the notebook open", timeout=60)
        view = engine.do(
            engine.notebooks.edit("seven.ipynb", [edit("cell1", "a = 7", expect=CELLS[1])], checkpoint="trn_7")
        )
        assert view.open and view.cells[1].source == "a = 7"
        expect(page.get_by_role("group", name="Changed by ragent")).to_be_visible()
        page.get_by_role("button", name="Undo all").click()
        until(lambda: engine.do(engine.notebooks.read("seven.ipynb")).cells[1].source == CELLS[1], "undone")
        ran = engine.do(
            engine.notebooks.run("seven.ipynb", "cell1", stop=asyncio.Event(), said=lambda t: None), timeout=90
        )
        assert ran.state == "done"
    finally:
        end_lab(process)
