"""The panel in Notebook 7, which has no launcher, no status bar and only some of Lab's tokens."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .conftest import TOKEN, Lab, start_lab

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
        # Notebook restores its side panels some time after `restored` and folds what was opened before that.
        for _ in range(20):
            page.evaluate("jupyterapp.commands.execute('ragent:open')")
            page.wait_for_timeout(500)
            if panel.is_visible():
                break
        expect(panel.locator(".rg-row", has_text="in-notebook-7")).to_be_visible(timeout=20_000)
    finally:
        process.terminate()
        process.wait(20)
