"""Pictures of the panel in the states that matter, for people to look at.

python -m tests.e2e.looks FOLDER [NAME …]      the page outside Lab, in all sizes and states
python -m tests.e2e.looks --lab FOLDER         the panel in JupyterLab, in each of its themes
python -m tests.e2e.looks --lab-wild FOLDER    Wild Mode in JupyterLab's dark theme: sidebar and main area
python -m tests.e2e.looks --chat FOLDER [NAME …]  the chat: its states, widths and colours
python -m tests.e2e.looks --wild FOLDER [NAME …]  Wild Mode: its states, widths and colours
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, WebSocketRoute, sync_playwright

from .fake_door import Door, a_day

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {
    "280": (280, 720),
    "320": (320, 720),
    "400": (400, 800),
    "900": (900, 720),
    "1400": (1400, 860),
    "phone": (390, 844),
}


def show(page: Page, what: str) -> None:
    """Brings the panel to the view that is to be seen."""
    tab = page.locator(".rg-tab")
    match what:
        case "list":
            pass
        case "charts":
            tab.nth(2).click()
            page.wait_for_selector(".rg-plot canvas")
        case "alerts":
            tab.nth(3).click()
            page.wait_for_selector(".rg-alert")
        case "detail" | "failed":
            if page.locator(".rg-sides").count() == 0:
                tab.nth(1).click()
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


THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")


def play_for(page: Page, door: Door, url: str) -> None:
    """Requests of this page to ragent at `url` are answered by `door`."""
    hello = {"log_id": "log_a", "seq": door.seq}
    text = json.dumps({"seq": door.seq, "time": 0, "topic": "engine", "type": "hello", "data": hello})

    def forward(route: Route) -> None:
        route.fulfill(response=route.fetch(url=door.url + route.request.url.removeprefix(url)))

    def greet(socket: WebSocketRoute) -> None:
        socket.on_message(lambda _: socket.send(text))

    page.route("**/ragent/api/**", forward)
    page.route_web_socket("**/ragent/api/v1/events/ws", greet)


def take_lab(folder: Path) -> None:
    """A real JupyterLab whose requests to ragent are answered by the played server."""
    from .conftest import TOKEN, start_lab

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as root, sync_playwright() as play:
        process, url = start_lab(Path(root), Path(home))
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            for theme in THEMES:
                name = theme.removeprefix("JupyterLab ").lower().replace(" ", "-")
                with a_day(30) as door:
                    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
                    play_for(page, door, url)
                    page.goto(f"{url}/lab?reset&token={TOKEN}")
                    page.wait_for_function("!!window.jupyterapp")
                    page.evaluate("async () => { await jupyterapp.restored }")
                    page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme)
                    for shot, command in (
                        ("list", "ragent:show-runs"),
                        ("charts", "ragent:show-charts"),
                        ("alerts", "ragent:show-alerts"),
                        ("form", "ragent:new-run"),
                    ):
                        page.evaluate("id => jupyterapp.commands.execute(id)", command)
                        page.wait_for_timeout(1200)  # the picture is for eyes: let it settle
                        page.screenshot(path=folder / f"{name}-{shot}.png")
                    page.evaluate("jupyterapp.commands.execute('ragent:show-alerts')")
                    page.evaluate("jupyterapp.commands.execute('ragent:open-wide')")
                    page.locator("#ragent-panel-wide .rg-row").first.click()
                    page.wait_for_timeout(1500)
                    page.screenshot(path=folder / f"{name}-wide.png")
                    page.context.close()
        finally:
            browser.close()
            process.terminate()
            process.wait(20)


COLOURS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "contrast": {"color_scheme": "dark", "contrast": "more"},
}
CHAT_SIZES = {"280": (280, 720), "320": (320, 760), "400": (400, 860), "900": (900, 860), "phone": (390, 844)}


Shot = tuple[str, str, str]  # scene, size, colour


def chat_shots() -> list[Shot]:
    from .chat_scenes import CHAT_SCENES

    main = ("talk", "ask", "busy", "new", "list")
    shots = [(scene, size, "light") for scene in main for size in CHAT_SIZES]
    shots += [(scene, "320", "light") for scene in CHAT_SCENES if scene not in main]
    shots += [(scene, size, "dark") for scene in ("talk", "ask", "busy", "new") for size in ("320", "900")]
    return [*shots, ("talk", "400", "contrast"), ("ask", "400", "contrast")]


def wild_shots() -> list[Shot]:
    from .wild_scenes import WILD_SCENES

    main = ("empty", "draft", "running", "asks", "complete", "other")
    shots = [(scene, size, "light") for scene in main for size in CHAT_SIZES]
    shots += [(scene, "320", "light") for scene in WILD_SCENES if scene not in main]
    shots += [(scene, "900", "light") for scene in ("code", "budget", "null", "many", "long")]
    shots += [(scene, size, "dark") for scene in ("running", "asks", "complete", "draft") for size in ("320", "900")]
    return [*shots, ("running", "400", "contrast"), ("complete", "400", "contrast")]


def take_scenes(
    folder: Path, wanted: list[str], scenes: dict[str, Any], shots: list[Shot], tab: str, ready: str, whole: bool
) -> None:
    """One tab of the page outside Lab, over a played server. whole: a second picture with what lies below the fold."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for scene, size, colour in shots:
            name = f"{scene}-{size}-{colour}"
            if wanted and not any(word in name for word in wanted):
                continue
            width, height = CHAT_SIZES[size]
            door, play_scene = scenes[scene]()
            with door:
                thumbs = size == "phone"
                context = browser.new_context(
                    viewport={"width": width, "height": height}, has_touch=thumbs, is_mobile=thumbs, **COLOURS[colour]
                )
                page = context.new_page()
                page.goto(f"{door.url}/ragent")
                page.wait_for_selector(".rg-row, .rg-empty")
                page.locator(".rg-tab", has_text=tab).click()
                page.wait_for_selector(ready)
                play_scene(page)
                page.wait_for_timeout(700)  # the picture is for eyes: let it settle
                page.screenshot(path=folder / f"{name}.png")
                long = int(page.evaluate("document.querySelector('.rg-body, .rg-right')?.scrollHeight ?? 0"))
                if whole and long > height and size in ("320", "900"):
                    page.set_viewport_size({"width": width, "height": min(long + 110, 4000)})
                    page.wait_for_timeout(200)
                    page.screenshot(path=folder / f"{name}-whole.png")
                context.close()
        browser.close()


def take_lab_wild(folder: Path, wanted: list[str]) -> None:
    """Wild Mode in a real JupyterLab's dark theme, in a sidebar of 320 px and in the main area."""
    from .conftest import TOKEN, start_lab
    from .wild_scenes import WILD_SCENES

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as root, sync_playwright() as play:
        process, url = start_lab(Path(root), Path(home))
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            for scene in wanted or ("running", "asks", "complete"):
                door, play_scene = WILD_SCENES[scene]()
                with door:
                    page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
                    play_for(page, door, url)
                    page.goto(f"{url}/lab?reset&token={TOKEN}")
                    page.wait_for_function("!!window.jupyterapp")
                    page.evaluate("async () => { await jupyterapp.restored }")
                    page.evaluate(
                        "() => jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
                    )
                    for command, panel, name in (
                        ("ragent:open", "#ragent-panel", "narrow"),
                        ("ragent:open-wide", "#ragent-panel-wide", "wide"),
                    ):
                        page.evaluate("id => jupyterapp.commands.execute(id)", command)
                        page.locator(f"{panel} .rg-tab", has_text="Wild").click()
                        page.wait_for_selector(f"{panel} .rg-wild")
                        if name == "narrow":
                            _sidebar(page, panel, 320)
                            play_scene(page)
                        page.wait_for_timeout(1200)  # the picture is for eyes: let it settle
                        for n in range(4):
                            page.screenshot(path=folder / f"{scene}-{name}-{n}.png")
                            body = page.locator(f"{panel} :is(.rg-body, .rg-right)").first
                            if not body.evaluate(
                                "b => { const t = b.scrollTop; b.scrollTop += 700; return b.scrollTop > t }"
                            ):
                                break
                            page.wait_for_timeout(300)
                    page.context.close()
        finally:
            browser.close()
            process.terminate()
            process.wait(20)


def _sidebar(page: Page, panel: str, width: int) -> None:
    """Drags the sidebar's edge."""
    box = page.locator(panel).bounding_box()
    assert box is not None
    right = box["x"] + box["width"]
    page.mouse.move(right + 1, 500)
    page.mouse.down()
    page.mouse.move(right + 1 + width - box["width"], 500, steps=5)
    page.mouse.up()


def main(how: str, *arguments: str) -> None:
    folder, wanted = Path(arguments[0] if how.startswith("--") else how), list(arguments)
    if how == "--chat":
        from .chat_scenes import CHAT_SCENES

        take_scenes(folder, wanted[1:], CHAT_SCENES, chat_shots(), "Chat", ".rg-composer", False)
    elif how == "--wild":
        from .wild_scenes import WILD_SCENES

        take_scenes(folder, wanted[1:], WILD_SCENES, wild_shots(), "Wild", ".rg-wild, .rg-empty", True)
    elif how == "--lab":
        take_lab(folder)
    elif how == "--lab-wild":
        take_lab_wild(folder, wanted[1:])
    else:
        take(folder, wanted)


if __name__ == "__main__":
    main(*sys.argv[1:])
