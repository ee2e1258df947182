"""What a person sees below a cell: a live panel in a real JupyterLab, over a real kernel and a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from .conftest import Lab, until

CHART = ".ragent-live-chart"


class Notebook:
    """A notebook that is open in Lab, its kernel ready."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path

    def ready(self) -> None:
        self.page.evaluate(
            """async path => {
                const open = await jupyterapp.commands.execute('docmanager:open', { path });
                await open.context.ready;
                await open.sessionContext.ready;
                await open.sessionContext.session.kernel.info;
            }""",
            self.path.name,
        )

    def run(self) -> None:
        self.ready()
        self.page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")

    def points(self) -> int:
        return int(self.page.locator(CHART).first.get_attribute("data-points") or 0)


@pytest.fixture
def notebook(page: Page, fresh: Lab) -> Iterator[Notebook]:
    path = fresh.project.folder / "watch.ipynb"
    yield Notebook(page, path)
    page.evaluate(
        """async () => {
            for (const m of jupyterapp.serviceManager.sessions.running()) {
                await jupyterapp.serviceManager.sessions.shutdown(m.id);
            }
        }"""
    )
    path.unlink(missing_ok=True)


def write(path: Path, *cells: str) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, path)


def test_a_panel_goes_on_drawing_while_a_cell_runs_and_after_a_reload(
    page: Page, fresh: Lab, notebook: Notebook
) -> None:
    write(
        notebook.path,
        "%load_ext ragent_jupyter\nimport ragent_jupyter as ragent",
        f"%ragent run --name watched {fresh.command('--steps', '2000', '--every', '0.05')}",
        "panel = ragent.panel('loss')\npanel",
        "import threading; threading.Event().wait(600)",  # a busy kernel: no widget's callback is served
    )
    fresh.open(page, panel=False)
    notebook.run()
    expect(page.locator(CHART)).to_be_visible(timeout=60_000)
    until(lambda: notebook.points() > 5, "the first points are drawn")
    before = notebook.points()
    until(lambda: notebook.points() > before + 10, "it goes on while the kernel is busy")
    expect(page.locator(".jp-OutputArea-output", has_text="watched").last).to_contain_text("running")

    # What the kernel sent before this view existed is not lost: the view asks for all of it.
    page.evaluate("async () => await jupyterapp.commands.execute('kernelmenu:interrupt')")
    page.evaluate("async () => await jupyterapp.commands.execute('docmanager:save')")
    drawn = notebook.points()
    page.reload()
    page.wait_for_function("!!window.jupyterapp", timeout=60_000)
    page.evaluate("async () => { await jupyterapp.restored }")
    notebook.ready()
    expect(page.locator(CHART)).to_be_visible(timeout=60_000)
    until(lambda: notebook.points() >= drawn, "all its points are there again")


def test_logging_from_a_notebook_is_a_run_that_the_sidebar_shows(page: Page, fresh: Lab, notebook: Notebook) -> None:
    write(
        notebook.path,
        "import ragent_jupyter as ragent",
        "for step in range(30):\n    ragent.log({'loss': 1 / (step + 1)}, step=step)",
        "ragent.finish()",
    )
    fresh.open(page)
    notebook.run()
    client = fresh.project.client
    run = until(lambda: next((r for r in client.all_runs() if r.kind == "interactive"), None), "the run is there")
    assert run.name == "watch" and run.kernel
    ended = fresh.project.wait(run.id)
    assert ended.status.value == "finished", ended
    assert ended.summary["loss"].count == 30
    cells = fresh.project.folder / ".ragent" / "runs" / run.id / "cells.jsonl"
    assert "ragent.log" in json.loads(cells.read_text().splitlines()[0])["source"]
    page.evaluate("async () => { await jupyterapp.commands.execute('ragent:open') }")
    expect(page.locator("#ragent-panel .rg-row", has_text="watch")).to_be_visible(timeout=20_000)


def test_a_mistake_in_a_magic_is_two_lines_without_a_call_stack(page: Page, fresh: Lab, notebook: Notebook) -> None:
    write(notebook.path, "%load_ext ragent_jupyter", "%ragent show nothing-like-it")
    fresh.open(page, panel=False)
    notebook.run()
    wrong = page.locator(".jp-OutputArea-output", has_text="No run 'nothing-like-it'")
    expect(wrong).to_be_visible(timeout=60_000)
    expect(wrong).not_to_contain_text("Traceback")
