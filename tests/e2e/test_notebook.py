"""The live chart of a notebook: an anywidget over our own script, in a real kernel in a real JupyterLab."""

from __future__ import annotations

import re

import nbformat
from playwright.sync_api import Page, expect

from .conftest import Lab

RUN_ALL = """async path => {
  const opened = await jupyterapp.commands.execute('docmanager:open', { path });
  await opened.context.ready;
  await opened.context.sessionContext.ready;
  await opened.context.sessionContext.session.kernel.info;
  await jupyterapp.commands.execute('notebook:run-all-cells');
}"""


def test_a_panel_in_a_notebook_draws_a_run_while_it_runs(page: Page, fresh: Lab) -> None:
    run = fresh.project.run(fresh.command("--every", "0.02"), name="in-a-notebook", primary="loss")
    fresh.project.until(lambda: fresh.project.points(run, "loss"), what="points are there")
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import ragent_jupyter as ragent\nragent.panel()")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(book, fresh.project.folder / "live.ipynb")
    fresh.open(page, panel=False)
    page.evaluate(RUN_ALL, "live.ipynb")
    chart = page.locator(".ragent-live-chart")
    expect(chart.locator("canvas")).to_be_visible(timeout=60_000)
    page.wait_for_function("Number(document.querySelector('.ragent-live-chart').dataset.points) > 5", timeout=30_000)
    first = int(chart.get_attribute("data-points") or 0)
    page.wait_for_function(
        "n => Number(document.querySelector('.ragent-live-chart').dataset.points) > n + 20", arg=first, timeout=30_000
    )
    expect(chart.locator("[role=img]").first).to_have_attribute("aria-label", re.compile("in-a-notebook"))
    page.evaluate("jupyterapp.commands.execute('notebook:shutdown-kernel')")
