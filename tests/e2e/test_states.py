"""States of the panel that a real engine shows only by luck, on the page outside Lab, over a played server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from ragent_jupyter.domain.alert import Severity
from ragent_jupyter.domain.run import Progress, RunStatus

from .conftest import at_rest, until
from .fake_door import Door, a_day, make_alert, make_run

Opener = Callable[[Door], Page]


@pytest.fixture
def doors() -> Iterator[list[Door]]:
    opened: list[Door] = []
    yield opened
    for door in opened:
        door.__exit__()


@pytest.fixture
def at(page: Page, doors: list[Door]) -> Opener:
    def go(door: Door) -> Page:
        door.__enter__()
        doors.append(door)
        page.goto(f"{door.url}/ragent")
        page.wait_for_selector(".rg-row, .rg-empty, .rg-notice")
        return page

    return go


def sideways(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("width", [240, 280, 390, 900])
def test_nothing_is_cut_or_scrolls_sideways(at: Opener, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    at(a_day(30))
    page.locator(".rg-row", has_text="ine-bf16").click()
    for tab in ("Runs", "Charts", "Alerts"):
        page.locator(".rg-tab", has_text=tab).click()
        assert sideways(page) <= 0, tab
        for name in ("New run", "Runs", "Charts", "Alerts"):
            button = page.get_by_role("button", name=name).first
            box = button.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width, (tab, name, box)


def frame_ms(page: Page) -> float:
    """The median frame of a scroll through the list, in ms."""
    frames: list[float] = page.evaluate(
        """async () => {
          const box = document.querySelector('.rg-lines');
          const times = [];
          let last = performance.now();
          for (let i = 0; i < 60; i++) {
            box.scrollTop += 400;
            await new Promise(requestAnimationFrame);
            const now = performance.now();
            times.push(now - last);
            last = now;
          }
          return times.sort((a, b) => a - b);
        }"""
    )
    return frames[len(frames) // 2]


def test_three_thousand_runs_stay_fluid(at: Opener, page: Page) -> None:
    at(a_day(60))
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "61", timeout=20_000)
    few = min(frame_ms(page) for _ in range(3))
    at(a_day(3000))
    grid = page.get_by_role("treegrid")
    expect(grid).to_have_attribute("aria-rowcount", "3001", timeout=20_000)
    assert page.locator(".rg-row").count() < 80
    # Beside a short list on the same machine; a list that draws all its lines takes seconds.
    assert min(frame_ms(page) for _ in range(3)) < max(600, 5 * few), few
    page.get_by_role("searchbox").fill("resnet-lr-0.01-s3 finished")
    expect(page.locator(".rg-row").first).to_be_visible()
    grid.focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator(".rg-detail")).to_be_visible()
    page.keyboard.press("Escape")
    expect(grid).to_be_focused()


def test_an_event_that_comes_twice_changes_nothing(at: Opener, page: Page) -> None:
    door = Door([make_run(0, RunStatus.RUNNING), make_run(1, RunStatus.RUNNING)])
    at(door)
    line = page.locator(".rg-row:has(.rg-is-finished)")
    until(lambda: door.sockets, "the page listens")
    door.change("run_00000000", status=RunStatus.FINISHED, ended_at=door.runs["run_00000000"].created_at + 60)
    expect(line).to_have_count(1)
    before = line.inner_text()
    door.tell("runs", "run_changed", door.runs["run_00000000"], again=True)
    # What is told after it shows that it was heard.
    door.change("run_00000001", status=RunStatus.STOPPED, signal=2)
    expect(page.locator(".rg-row .rg-is-stopped")).to_be_visible()
    assert line.inner_text() == before
    assert page.locator(".rg-row").count() == 2


def test_a_dropped_socket_goes_on_where_it_was(at: Opener, page: Page) -> None:
    door = Door([make_run(0, RunStatus.RUNNING)])
    at(door)
    expect(page.locator(".rg-is-running")).to_be_visible()
    until(lambda: door.sockets, "the page listens")
    door.drop()
    door.change("run_00000000", status=RunStatus.STOPPED, signal=2)
    expect(page.locator(".rg-row .rg-is-stopped")).to_be_visible()
    until(lambda: sum(asked.startswith("WS") for asked in list(door.asked)) >= 2, "it listens again")
    after = [int(asked.split("=")[1]) for asked in list(door.asked) if asked.startswith("WS")]
    assert after[0] == 10
    assert sum(asked == "GET runs" for asked in door.asked) == 1, "the list was not read again"


def test_progress_moves_the_line(at: Opener, page: Page) -> None:
    door = Door([make_run(0, RunStatus.RUNNING)])
    at(door)
    told = {"run": "run_00000000", "progress": Progress(fraction=0.9, step=9, total=10, eta_s=120.0), "summary": {}}
    until(lambda: door.sockets, "the page listens")
    door.tell("runs", "run_progress", told, saved=False)
    expect(page.locator(".rg-cell-trail")).to_have_text("~2 min")


@pytest.mark.parametrize(
    ("status", "words"), [(401, "sign in"), (403, "sign in"), (404, "enable ragent_jupyter"), (503, "ragent doctor")]
)
def test_a_refusal_says_what_helps_and_can_be_tried_again(at: Opener, page: Page, status: int, words: str) -> None:
    door = Door([make_run(0, RunStatus.FINISHED)])
    door.refuse(status)
    at(door)
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text(words)
    door.refusal = None
    notice.get_by_role("button", name="Try again").click()
    expect(page.locator(".rg-row")).to_be_visible()


def test_an_engine_that_goes_away_leaves_the_picture_and_says_how_old_it_is(at: Opener, page: Page) -> None:
    door = Door([make_run(0, RunStatus.RUNNING)])
    at(door)
    until(lambda: door.sockets, "the page listens")
    expect(page.locator(".rg-stale")).to_have_count(0)
    door.refuse(503, "The engine of /p does not answer.", "It is started again with the next request.")
    door.drop()
    expect(page.locator(".rg-notice").first).to_contain_text("What you see is old. The engine of /p does not answer.")
    expect(page.locator(".rg-stale")).to_contain_text("not connected, as of")
    expect(page.locator(".rg-row")).to_be_visible()
    asked = door.asked.count("GET status")
    page.get_by_role("button", name="Try again").click()
    until(lambda: door.asked.count("GET status") > asked, "it is tried again")
    door.refusal = None
    expect(page.locator(".rg-notice")).to_have_count(0)


def test_nan_is_drawn_as_red_ticks_with_a_count_and_no_data_is_written(at: Opener, page: Page) -> None:
    door = a_day(30)
    at(door)
    page.locator(".rg-tab", has_text="Charts").click()
    expect(page.locator(".rg-chart figcaption")).to_contain_text("NaN or ∞ × 300")
    red = page.locator(".rg-chart canvas").first.evaluate(
        """c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
                 for (let i = 0; i < d.length; i += 4) {
                   if (d[i] > 180 && d[i + 1] < 80 && d[i + 2] < 80 && d[i + 3] > 200) n++;
                 } return n; }"""
    )
    assert red > 50
    flag = page.locator(".rg-flag", has_text="⚑").first
    expect(flag).to_be_visible()
    page.locator(".rg-tab", has_text="Runs").click()
    page.locator(".rg-row:has(.rg-is-failed)").first.click()
    expect(page.get_by_text("No data: this run logged no metric.")).to_be_visible()
    expect(page.locator(".rg-detail canvas")).to_have_count(0)


def test_a_chart_that_is_zoomed_stays_zoomed_while_it_grows(at: Opener, page: Page) -> None:
    door = Door([make_run(0, RunStatus.RUNNING)])
    at(door)
    page.locator(".rg-row").click()
    over = page.locator(".rg-chart .u-over")
    expect(over).to_be_visible()
    box = over.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.3, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=5)
    page.mouse.up()
    axis = page.locator(".rg-chart canvas").first

    shots: list[bytes] = []

    def still() -> bool:
        page.wait_for_timeout(100)
        shots.append(axis.screenshot())
        return shots[-2:] == [shots[-1]] * 2

    page.mouse.move(0, 0)
    until(still, "the chart is at rest")
    zoomed = shots[-1]
    picture = page.locator(".rg-chart [role=img]")
    first = int(picture.get_attribute("data-points") or 0)
    door.grow("run_00000000", 200)
    page.wait_for_function("n => Number(document.querySelector('.rg-chart [role=img]').dataset.points) > n", arg=first)
    until(still, "the chart is at rest")
    assert shots[-1] == zoomed
    over.dblclick()
    page.mouse.move(0, 0)
    until(lambda: still() and shots[-1] != zoomed, "the chart shows all again")


def test_an_alert_is_answered_by_the_id_of_its_choice(at: Opener, page: Page) -> None:
    run = make_run(0, RunStatus.RUNNING)
    door = Door([run], [make_alert(0, run, Severity.CRITICAL)])
    at(door)
    page.get_by_role("button", name="1 alert").click()
    page.get_by_role("button", name="Lower lr to 0.001 and retry").click()
    expect(page.get_by_text("No alert waits for you")).to_be_visible()
    assert door.bodies == [("alerts/alt_00000000/respond", {"choice": "retry_lower_lr"})]


def test_a_proxy_without_sockets_is_read_by_another_frame(at: Opener, page: Page) -> None:
    """The played server has no stream and no poll either: what counts is that the page lives and says so."""
    door = Door([make_run(0, RunStatus.FINISHED)])
    door.refuse_socket = True
    at(door)
    expect(page.locator(".rg-row")).to_be_visible()
    until(lambda: "GET events" in list(door.asked), "it reads them in another frame")
    page.wait_for_timeout(3000)  # nothing tells of what is not done
    assert sum(asked == "GET events" for asked in list(door.asked)) < 10, "it backs off"


def test_no_serious_fault_on_a_phone(at: Opener, page: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.set_viewport_size({"width": 390, "height": 844})
    at(a_day(30))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for tab in ("Runs", "Charts", "Alerts"):
            page.locator(".rg-tab", has_text=tab).click()
            at_rest(page)
            found = Axe().run(page).response["violations"]
            bad = [
                (scheme, tab, v["id"], v["nodes"][0]["html"][:150])
                for v in found
                if v["impact"] in ("serious", "critical")
            ]
            assert bad == []
