"""Pictures of the panel in the states that matter, for people to look at.

python tests/e2e/looks.py FOLDER [NAME …]      writes PNGs of the played states into FOLDER
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from fake_door import a_day

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"280": (280, 720), "400": (400, 800), "900": (900, 720), "1400": (1400, 860), "phone": (390, 844)}


def show(page: Page, what: str) -> None:
    """Brings the panel to the view that is to be seen."""
    tab = page.locator(".rg-tab")
    match what:
        case "list":
            pass
        case "charts":
            tab.nth(1).click()
            page.wait_for_selector(".rg-plot canvas")
        case "alerts":
            tab.nth(2).click()
            page.wait_for_selector(".rg-alert")
        case "detail" | "failed":
            if page.locator(".rg-sides").count() == 0:
                tab.nth(0).click()
            kind = "running" if what == "detail" else "failed"
            page.locator(f".rg-row:has(.rg-is-{kind}):not(.rg-row-sweep)").first.click()
            page.wait_for_selector(".rg-log pre")
        case "form":
            page.get_by_role("button", name="New run").first.click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(350)  # the picture is for eyes: let the chart settle


def take(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shots: list[tuple[str, int, str, str, dict[str, Any]]] = []
    for size in SIZES:
        for what in ("list", "charts", "alerts", "detail", "form"):
            shots.append((f"{what}-{size}", 30, size, what, {"color_scheme": "light"}))
    for what in ("list", "charts", "alerts", "detail", "failed", "form"):
        shots.append((f"{what}-dark", 30, "400", what, {"color_scheme": "dark"}))
    shots.append(("list-contrast", 30, "400", "list", {"contrast": "more"}))
    shots += [(f"n{n}", n, "280", "list", {"color_scheme": "light"}) for n in (0, 1, 3000)]
    shots += [(f"n{n}-wide", n, "1400", "list", {"color_scheme": "light"}) for n in (0, 1, 3000)]
    shots.append(("failed", 30, "400", "failed", {"color_scheme": "light"}))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for name, n, size, what, scheme in shots:
            if wanted and not any(word in name for word in wanted):
                continue
            width, height = SIZES[size]
            with a_day(n) as door:
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    has_touch=size == "phone",
                    is_mobile=size == "phone",
                    **scheme,
                )
                page = context.new_page()
                page.goto(f"{door.url}/ragent")
                page.wait_for_selector(".rg-row, .rg-empty")
                show(page, what)
                page.screenshot(path=folder / f"{name}.png")
                context.close()
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), sys.argv[2:])
