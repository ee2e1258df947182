"""What a person does in JupyterLab's panel, over a real engine."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Lab, at_rest, until


def panel(page: Page) -> Locator:
    return page.locator("#ragent-panel")


def row(page: Page, name: str) -> Locator:
    return panel(page).locator(".rg-row", has_text=name)


def test_an_empty_panel_teaches_and_offers_one_button(page: Page, fresh: Lab, quiet: list[str]) -> None:
    fresh.open(page)
    expect(panel(page).get_by_text("No runs yet")).to_be_visible()
    expect(panel(page).locator(".rg-empty button")).to_have_text("New run")
    assert [text for text in quiet if "ragent" in text] == []


def test_new_run_starts_a_run_that_is_seen_at_once_everywhere(page: Page, fresh: Lab) -> None:
    fresh.open(page)
    page.evaluate("jupyterapp.commands.execute('ragent:new-run')")
    form = panel(page).get_by_role("form", name="New run")
    form.get_by_label("Command").fill(fresh.command("--steps", "100000"))
    form.get_by_label("Name").fill("from-the-form")
    form.get_by_label("Judged by metric").fill("loss")
    form.get_by_label("Environment").fill("COLOUR=blue\nexport SHAPE=round")
    form.get_by_role("button", name="Start run").click()
    expect(panel(page).get_by_role("heading", name="from-the-form")).to_be_visible()
    (run,) = fresh.project.client.all_runs()
    assert run.name == "from-the-form" and run.primary == "loss"
    assert run.env == {"COLOUR": "blue", "SHAPE": "round"}
    expect(panel(page).locator(".rg-state")).to_contain_text("Running for", timeout=20_000)
    page.keyboard.press("Escape")
    expect(row(page, "from-the-form")).to_be_visible()
    expect(panel(page).locator(".rg-strip")).to_contain_text("1 running")


def test_what_is_wrong_in_the_form_is_said_beside_the_field_and_nothing_is_lost(page: Page, fresh: Lab) -> None:
    fresh.open(page)
    page.evaluate("jupyterapp.commands.execute('ragent:new-run')")
    form = panel(page).get_by_role("form", name="New run")
    form.get_by_label("Command").fill("echo hello")
    form.get_by_label("Environment").fill("NOT AN ASSIGNMENT")
    form.get_by_role("button", name="Start run").click()
    expect(form.get_by_text('"NOT AN ASSIGNMENT" is not NAME=VALUE.')).to_be_visible()
    form.get_by_label("Environment").fill("")
    form.get_by_label("Folder").fill("/no/such/folder")
    form.get_by_role("button", name="Start run").click()
    expect(form.get_by_role("alert")).to_contain_text("Not started.")
    expect(form.get_by_label("Command")).to_have_value("echo hello")
    assert fresh.project.client.all_runs() == []


def test_a_run_started_elsewhere_appears_grows_and_is_stopped_from_its_line(page: Page, fresh: Lab) -> None:
    fresh.open(page)
    run = fresh.project.run(fresh.command("--steps", "4000"), name="elsewhere", primary="loss")
    line = row(page, "elsewhere")
    expect(line.locator(".rg-is-running")).to_be_visible(timeout=20_000)
    expect(line.locator(".rg-cell-value")).to_have_text(re.compile(r"^\d\.\d+$"), timeout=20_000)
    expect(line.locator(".rg-cell-trail")).to_contain_text("~", timeout=20_000)
    line.hover()
    line.get_by_role("button", name="Stop run").click()
    expect(line.locator(".rg-is-stopped")).to_be_visible(timeout=30_000)
    assert fresh.project.client.run(run.id).status.value == "stopped"


def test_a_failed_run_says_why_and_is_retried(page: Page, fresh: Lab) -> None:
    run = fresh.project.run(fresh.command("--steps", "3", "--exit", "3"), name="fails", primary="loss")
    fresh.project.wait(run)
    fresh.open(page)
    row(page, "fails").click()
    expect(panel(page).locator(".rg-state")).to_contain_text("3")
    expect(panel(page).locator(".rg-log pre")).to_contain_text("step 2/3")
    panel(page).get_by_role("button", name="Retry run").click()
    again = until(lambda: next((r for r in fresh.project.client.all_runs() if r.retry_of == run.id), None))
    expect(panel(page).locator(".rg-facts").last).to_contain_text(again.id)
    expect(panel(page).locator(".rg-facts").last).to_contain_text(run.id)


def test_the_chart_draws_and_goes_on_drawing(page: Page, fresh: Lab) -> None:
    fresh.project.run(fresh.command("--every", "0.02"), name="charted", primary="loss")
    fresh.open(page)
    row(page, "charted").click()
    picture = panel(page).locator(".rg-chart [role=img]")
    expect(picture.locator("canvas")).to_be_visible(timeout=20_000)
    expect(picture).to_have_attribute("aria-label", re.compile(r"^loss of 1 run by step"))
    first = int(picture.get_attribute("data-points") or 0)
    until(lambda: int(picture.get_attribute("data-points") or 0) > first + 20, "the chart has grown")
    panel(page).get_by_role("button", name="Since start").click()
    expect(picture).to_have_attribute("aria-label", re.compile("by time since its start"))


def test_an_alert_is_answered_with_its_button(page: Page, fresh: Lab) -> None:
    run = fresh.project.run(fresh.command("--nan-at", "20"), name="diverges", primary="loss", params={"lr": 0.1})
    fresh.open(page)
    until(lambda: fresh.project.alerts(run=run.id), "an alert is raised", 40)
    expect(panel(page).locator(".rg-strip")).to_contain_text("alert", timeout=20_000)
    panel(page).locator(".rg-tab", has_text="Alerts").click()
    card = panel(page).locator(".rg-alert.rg-is-critical", has_text="NaN").first
    expect(card).to_be_visible()
    card.get_by_role("button", name="Stop run").click()
    expect(panel(page).locator(".rg-alert", has_text="Answered: Stop run").first).to_be_attached(timeout=20_000)
    answered = [a for a in fresh.project.alerts(run=run.id) if a.choice == "stop"]
    assert len(answered) == 1 and answered[0].answered_by == "user"
    assert fresh.project.wait(run).status.value == "stopped"


def test_a_reload_keeps_what_was_open_and_what_was_typed(page: Page, fresh: Lab) -> None:
    fresh.project.wait(fresh.project.run("echo done", name="kept"))
    fresh.open(page)
    search = panel(page).get_by_role("searchbox")
    search.fill("kep")
    page.evaluate("jupyterapp.commands.execute('ragent:new-run')")
    panel(page).get_by_label("Command").fill("python half-typed.py")
    saved = re.compile(r'(?s)(?=.*half-typed)(?=.*\bkep\\*")')
    until(lambda: saved.search(page.evaluate(SAVED)), "the state is saved")
    fresh.open(page, keep=True)
    expect(panel(page).get_by_label("Command")).to_have_value("python half-typed.py")
    panel(page).get_by_role("button", name="Back").click()
    expect(panel(page).get_by_role("searchbox")).to_have_value("kep")


SAVED = """async () => JSON.stringify(await jupyterapp.serviceManager.workspaces.fetch('default').catch(() => ''))"""


def test_a_hidden_panel_asks_for_nothing(page: Page, fresh: Lab) -> None:
    fresh.project.run(fresh.command("--every", "0.02"), name="busy", primary="loss")
    fresh.open(page)
    row(page, "busy").click()
    expect(panel(page).locator(".rg-chart canvas")).to_be_visible(timeout=20_000)
    page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    expect(panel(page)).to_be_hidden()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/ragent/api" in request.url else None)
    heard: list[str] = []
    page.on("websocket", lambda socket: heard.append(socket.url) if "/ragent/api" in socket.url else None)

    def quiet_for(ms: int) -> bool:
        asked.clear()
        heard.clear()
        page.wait_for_timeout(ms)
        return asked == [] and heard == []

    # What was under way when it was hidden may come to its end; then nothing is asked for, and nothing ever is.
    until(lambda: quiet_for(300), "it has come to rest")
    assert quiet_for(2500), (asked, heard)
    with page.expect_websocket(lambda one: "/ragent/api" in one.url):
        page.evaluate("jupyterapp.commands.execute('ragent:open')")
    expect(panel(page).locator(".rg-chart canvas")).to_be_visible()
    # What the browser has asked for is told only while it is spoken to.
    until(lambda: page.wait_for_timeout(20) or any("metrics/series" in url for url in asked), "the chart goes on")


def test_the_main_area_shows_list_and_detail_side_by_side(page: Page, fresh: Lab) -> None:
    run = fresh.project.run("echo wide", name="wide-run")
    fresh.project.wait(run)
    page.set_viewport_size({"width": 1500, "height": 900})
    fresh.open(page, panel=False)
    page.evaluate("jupyterapp.commands.execute('ragent:open-wide')")
    wide = page.locator("#ragent-panel-wide")
    wide.locator(".rg-row", has_text="wide-run").click()
    expect(wide.locator(".rg-left .rg-row", has_text="wide-run")).to_be_visible()
    expect(wide.locator(".rg-right").get_by_role("heading", name="wide-run")).to_be_visible()
    page.evaluate("jupyterapp.shell.currentWidget.close()")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"])
def test_no_serious_fault_for_people_who_read_with_machines(page: Page, fresh: Lab, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    run = fresh.project.run(fresh.command("--nan-at", "5"), name="read-aloud", primary="loss", params={"lr": 0.1})
    until(lambda: fresh.project.alerts(run=run.id), "an alert is raised", 40)
    fresh.open(page)
    page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", theme)
    expect(page.locator(f"body[data-jp-theme-name='{theme}']")).to_be_attached()
    for view in ("show-runs", "show-charts", "show-alerts", "new-run"):
        page.evaluate("id => jupyterapp.commands.execute('ragent:' + id)", view)
        at_rest(page, "#ragent-panel")
        found = Axe().run(page, context="#ragent-panel").response["violations"]
        bad = [
            (view, v["id"], [n["html"][:120] + " " + n.get("failureSummary", "")[-160:] for n in v["nodes"]][:3])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert bad == []


def test_the_panel_lives_on_when_the_engine_is_killed(page: Page, fresh: Lab) -> None:
    run = fresh.project.run(fresh.command(), name="outlives", primary="loss")
    fresh.open(page)
    line = row(page, "outlives")
    expect(line.locator(".rg-is-running")).to_be_visible(timeout=20_000)
    fresh.project.kill_engine()
    # Nothing is asked for here but what the panel asks for by itself: it finds the engine that its door has started.
    expect(panel(page).locator(".rg-notice, .rg-stale")).to_have_count(0, timeout=40_000)
    line.hover()
    line.get_by_role("button", name="Stop run").click()
    expect(line.locator(".rg-is-stopped")).to_be_visible(timeout=40_000)
    assert fresh.project.client.run(run.id).status.value == "stopped"
