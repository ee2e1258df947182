"""The panel in Notebook 7, which has no launcher, no status bar and only some of Lab's tokens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .conftest import TOKEN, Lab, end_lab, start_lab, until

pytest.importorskip("notebook", minversion="7", reason="Notebook is not installed; JupyterLab does not need it")


def test_the_panel_opens_in_notebook_7_and_lists_runs(
    page: Page, fresh: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fresh.project.wait(fresh.project.run("echo done", name="in-notebook-7"))
    process, url = start_lab(fresh.project.folder, tmp_path_factory.mktemp("nb7"), "notebook")
    try:
        page.goto(f"{url}/tree?token={TOKEN}")
        page.wait_for_function("!!window.jupyterapp", timeout=60_000)
        page.evaluate("async () => { await jupyterapp.restored }")
        panel = page.locator("#ragent-panel")
        expect(panel).to_be_attached()
        row = panel.locator(".rg-row", has_text="in-notebook-7")

        def shown() -> bool:
            # Notebook restores its side panels some time after `restored` and folds what was opened before that.
            if not panel.is_visible():
                page.evaluate("async () => { await jupyterapp.commands.execute('ragent:open') }")
            page.wait_for_timeout(500)
            return row.is_visible()

        until(shown, "the panel lists the run", 60)
    finally:
        end_lab(process)
