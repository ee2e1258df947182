"""Wild Mode's tab over a played engine: every state for everybody, wishes as they are sent, long nights."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.wild import Option, Stage
from ragent_jupyter.domain.wire import ErrorBody

from .conftest import at_rest, until
from .fake_door import make_run
from .fake_wild import WildDoor, question
from .wild_scenes import LOOP, WILD_SCENES, a_night, ended, hostile

STATIC = Path(__file__).parents[2] / "ragent_jupyter" / "static" / "page.js"
pytestmark = pytest.mark.skipif(not STATIC.exists(), reason="the page is not built")


def to_wild(page: Page, door: WildDoor) -> None:
    page.goto(f"{door.url}/ragent")
    page.wait_for_selector(".rg-row, .rg-empty, .rg-wild, .rg-wild-form")
    page.locator(".rg-tab", has_text="Wild").click()
    page.wait_for_selector(".rg-wild-banner, .rg-wild-form, .rg-empty, .rg-notice")


@pytest.fixture
def night(page: Page) -> Iterator[WildDoor]:
    with a_night() as door:
        page.set_viewport_size({"width": 400, "height": 860})
        to_wild(page, door)
        yield door


def sent(door: WildDoor, path: str) -> list[object]:
    return [body for where, body in door.bodies if where == path]


@pytest.mark.parametrize("scene", list(WILD_SCENES))
def test_every_scene_is_whole_for_everybody(page: Page, scene: str) -> None:
    door, play = WILD_SCENES[scene]()
    with door:
        for width, height in ((320, 760), (900, 860)):
            page.set_viewport_size({"width": width, "height": height})
            to_wild(page, door)
            if width == 320 or scene in ("opened", "code", "limits"):
                play(page)
            at_rest(page)
            found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
            assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
            overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(overflow) <= 0
            inside = (
                "() => { const b = document.querySelector('.rg-body'); return b ? b.scrollWidth - b.clientWidth : 0 }"
            )
            assert page.evaluate(inside) <= 0


@pytest.mark.parametrize("width", [240, 280, 340, 430])
def test_all_tabs_fit_a_narrow_panel(page: Page, width: int) -> None:
    """As in Lab's sidebar: the panel is narrow, the window is not; every tab that can has a count."""
    page.set_viewport_size({"width": 1200, "height": 720})
    with a_night(question=question()) as door:
        door.session("ses_b", status="waiting")
        to_wild(page, door)
        page.add_style_tag(content=f"#app > .rg-panel {{ width: {width}px; margin: 0 }}")
        expect(page.locator(".rg-badge")).to_have_count(3)
        for name in ("Chat", "Runs", "Charts", "Alerts", "Wild", "New run"):
            box = page.locator(".rg-tabs").get_by_role("button", name=name).first.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width, (name, box)


def test_a_loop_is_checked_then_started_with_what_was_edited(page: Page) -> None:
    with WildDoor([make_run(0, RunStatus.FINISHED)]) as door:
        to_wild(page, door)
        page.get_by_role("button", name="Start a loop").click()
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_text("Say what the loop should work towards.")).to_be_visible()
        expect(page.get_by_label("Goal")).to_be_focused()
        page.get_by_label("Goal").fill("Lower val_loss")
        page.get_by_role("button", name="Use the newest run").click()
        page.get_by_label("Runs", exact=True).fill("many")
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text('"many" is no limit of runs')
        page.get_by_label("Runs", exact=True).fill("40")
        page.get_by_label("Cautious").check()
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_role("heading", name="What would be run")).to_be_focused()
        assert not door.loops, "a check starts nothing"
        page.get_by_label("lr, to").fill("0.00001")
        page.get_by_role("button", name="Start loop").click()
        expect(page.get_by_role("alert")).to_contain_text("From a smaller number to a larger one")
        page.get_by_label("lr, to").fill("0.01")
        page.get_by_role("checkbox", name="optimizer").uncheck()
        page.get_by_text("2 flags are left alone").click()
        page.get_by_role("checkbox", name="batch-size").check()
        page.get_by_role("button", name="Start loop").click()
        expect(page.locator(".rg-wild-goal")).to_have_text("Lower val_loss")
        body = sent(door, "wild")[-1]
        assert isinstance(body, dict)
        assert set(body["space"]) == {"lr", "dropout", "batch-size"}
        assert body["space"]["lr"]["dim"]["high"] == 0.01
        assert body["limits"]["runs"] == 40 and body["limits"]["hours"] == 8
        assert body["command"] == "python train.py --lr 0.0003 --seed 0"
        assert (body["metric"], body["mode"], body["seed_flag"]) == ("val_loss", "min", "seed")
        assert (body["autonomy"], body["policy"]) == ("cautious", "llm")
        assert body["request_id"]


def test_without_a_key_the_built_in_policy_decides(page: Page) -> None:
    with WildDoor([make_run(0, RunStatus.FINISHED)], builtin=True) as door:
        to_wild(page, door)
        page.get_by_role("button", name="Start a loop").click()
        expect(page.get_by_label("Built-in")).to_be_checked()
        expect(page.get_by_text("no model is set: choose one in a chat first")).to_be_visible()
        page.get_by_label("Goal").fill("Lower val_loss")
        page.get_by_role("button", name="Check", exact=True).click()
        page.get_by_role("button", name="Start loop").click()
        expect(page.locator(".rg-wild-goal")).to_have_text("Lower val_loss")
        draft, start = sent(door, "wild")
        assert isinstance(draft, dict) and isinstance(start, dict)
        assert (draft["policy"], start["policy"]) == (None, "builtin")


def test_a_missing_command_is_asked_for_and_then_read(page: Page) -> None:
    with WildDoor() as door:
        options = [Option("python train.py", "python train.py"), Option("python fit.py", "python fit.py")]
        door.asks = [question(id="setup:command", ref="command", text="Which command runs one training?",
                              options=options, default="python train.py")]  # fmt: skip
        to_wild(page, door)
        page.get_by_role("button", name="Start a loop").click()
        page.get_by_label("Goal").fill("Lower val_loss")
        page.get_by_label("Files the model may change").fill("model.py, src/*.py")
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_label("Command", exact=True)).to_have_value("python train.py")
        page.get_by_label("python fit.py").check()
        expect(page.get_by_label("Command", exact=True)).to_have_value("python fit.py")
        expect(page.get_by_role("button", name="Start loop")).to_have_count(0)
        page.get_by_role("button", name="Check again").click()
        page.get_by_role("button", name="Start loop").click()
        expect(page.locator(".rg-wild-goal")).to_have_text("Lower val_loss")
        first, second, third = sent(door, "wild")
        assert isinstance(first, dict) and isinstance(second, dict) and isinstance(third, dict)
        assert (first["command"], second["command"], third["command"]) == ("", "python fit.py", "python fit.py")
        assert third["may_edit"] == ["model.py", "src/*.py"]
        assert first["draft"] and second["draft"] and "draft" not in third


def test_a_changed_command_is_checked_again_and_a_refusal_says_why(page: Page) -> None:
    with WildDoor([make_run(0, RunStatus.FINISHED)]) as door:
        to_wild(page, door)
        page.get_by_role("button", name="Start a loop").click()
        page.get_by_label("Goal").fill("Lower val_loss")
        page.get_by_label("Command").fill("python a.py")
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_role("button", name="Start loop")).to_be_visible()
        page.locator(".rg-tab", has_text="Runs").click()
        page.locator(".rg-tab", has_text="Wild").click()
        expect(page.get_by_role("button", name="Start loop")).to_be_visible()
        page.get_by_label("Command").fill("python b.py")
        expect(page.get_by_role("button", name="Check again")).to_be_visible()
        door.refuse_wild = ErrorBody("bad_input", "There is no b.py in this folder.", "Name a script that is there.")
        page.get_by_role("button", name="Check again").click()
        expect(page.get_by_role("alert")).to_contain_text("Not checked. There is no b.py in this folder.")
        expect(page.get_by_role("alert")).to_contain_text("Name a script that is there.")
        expect(page.get_by_label("Command")).to_have_value("python b.py")


def test_pause_resume_steer_and_stop_are_sent_and_seen(page: Page, night: WildDoor) -> None:
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".rg-wild-state")).to_contain_text("Paused")
    assert sent(night, f"wild/{LOOP}/pause") == [{}]
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".rg-wild-state")).to_contain_text("Running")
    page.get_by_label("Steer").fill("Try warmup")
    page.get_by_label("Steer").press("Enter")
    expect(page.locator(".rg-said")).to_contain_text("Try warmup")
    expect(page.get_by_label("Steer")).to_have_value("")
    night.put_loop(LOOP, queue=[])
    expect(page.locator(".rg-said")).to_have_count(0)
    page.get_by_role("button", name="Stop…").click()
    expect(page.get_by_role("button", name="Stop loop, let runs finish")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Stop loop, let runs finish")).to_have_count(0)
    assert not sent(night, f"wild/{LOOP}/stop")
    page.get_by_role("button", name="Stop…").click()
    page.get_by_role("button", name="Stop loop, let runs finish").click()
    expect(page.locator(".rg-wild-state")).to_contain_text("Stopped")
    assert sent(night, f"wild/{LOOP}/stop") == [{"runs": False}]
    expect(page.get_by_label("Steer")).to_have_count(0)


def test_a_question_is_answered_by_its_id_or_in_own_words(page: Page, night: WildDoor) -> None:
    night.put_loop(LOOP, question=question())
    expect(page.locator(".rg-tab", has_text="Wild").locator(".rg-badge")).to_have_text("1")
    card = page.locator(".rg-wild-asks")
    expect(card).to_contain_text("Sweep wide: 2 points: room")
    expect(card.get_by_role("button").first).to_have_text("No, skip such runs (default)")
    page.get_by_role("button", name="Yes, lower it").click()
    expect(card).to_have_count(0)
    night.put_loop(LOOP, question=question(id="qst_2"))
    page.get_by_label("Another answer").fill("Only for width 768")
    page.get_by_role("button", name="Answer", exact=True).click()
    expect(card).to_have_count(0)
    assert sent(night, f"wild/{LOOP}/answer") == [
        {"question": "qst_00000001", "choice": "yes", "text": ""},
        {"question": "qst_2", "choice": "", "text": "Only for width 768"},
    ]
    expect(page.locator(".rg-tab", has_text="Wild").locator(".rg-badge")).to_have_count(0)


def test_only_changed_limits_are_sent_and_an_ended_budget_goes_on(page: Page) -> None:
    with ended("budget", "All 100 runs are spent.", budget="runs") as door:
        to_wild(page, door)
        page.get_by_role("button", name="Raise limits, go on…").click()
        page.get_by_label("Runs", exact=True).fill("200")
        page.get_by_label("Cost in $").fill("")
        page.get_by_role("button", name="Save limits and go on").click()
        expect(page.locator(".rg-wild-state")).to_contain_text("Deciding what to run next")
        assert sent(door, f"wild/{LOOP}/limits") == [{"limits": {"runs": 200, "cost_usd": None}, "resume": True}]


def test_the_queue_is_ordered_with_keys_and_pointer_and_dropped(page: Page, night: WildDoor) -> None:
    queue = page.locator(".rg-events > .rg-event")
    expect(queue).to_have_count(4)
    expect(queue.first).to_contain_text("Keep batch_size at 128")
    queue.nth(0).get_by_role("button", name="Decide later").focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(queue.nth(1)).to_contain_text("Keep batch_size at 128")
    expect(queue.nth(3)).to_have_attribute("draggable", "true")
    queue.nth(3).drag_to(queue.nth(0))
    expect(queue.nth(0)).to_contain_text("a run finished")
    page.wait_for_function("() => !document.querySelector('.rg-event-verbs button[aria-label^=\"Do not\"]').disabled")
    queue.nth(0).get_by_role("button", name="Do not decide about this").click()
    expect(queue).to_have_count(3)
    bodies = sent(night, f"wild/{LOOP}/queue")
    assert [len(body["drop"]) for body in bodies if isinstance(body, dict)] == [0, 0, 1]


def test_nothing_is_under_way_in_a_loop_that_is_over(page: Page, night: WildDoor) -> None:
    plan = page.get_by_label("Plan", exact=True).locator("li")
    expect(plan.nth(2)).to_contain_text("under way")
    with ended("complete", "The gain is confirmed.") as door:
        to_wild(page, door)
        expect(plan.nth(2)).to_contain_text("to do")


def test_the_ledger_grows_live_opens_and_is_filtered(page: Page, night: WildDoor) -> None:
    rows = page.locator(".rg-entry")
    expect(rows).to_have_count(30)
    night.add_entry(LOOP, result="A told line.", by="engine", iteration=4)
    expect(rows).to_have_count(31)
    expect(rows.first).to_contain_text("A told line.")
    night.add_entry(LOOP, lost=True, result="A lost line.")
    night.add_entry(LOOP, result="The line after.")
    expect(rows).to_have_count(33)
    expect(rows.nth(1)).to_contain_text("A lost line.")
    page.get_by_label("Decided by").select_option("human")
    expect(rows).to_have_count(5)
    page.get_by_label("Decided by").select_option("odd")
    expect(rows.first.locator(".rg-tag")).to_have_text("outcome unknown")
    page.get_by_label("Decided by").select_option("")
    page.get_by_label("Filter the ledger by words").fill("tpe from the default")
    expect(rows).to_have_count(5)
    rows.first.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(rows.first).to_contain_text("mean of 5 seeds")
    rows.first.get_by_role("button", name="resnet").first.click()
    expect(page.locator(".rg-detail")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".rg-wild-banner")).to_be_visible()


def test_three_thousand_entries_stay_fluid_for_only_what_is_near_the_screen_is_drawn(page: Page) -> None:
    with a_night(3000) as door:
        page.set_viewport_size({"width": 400, "height": 860})
        to_wild(page, door)
        rows = page.locator(".rg-entry")
        expect(page.locator(".rg-timeline h3")).to_contain_text("3000 entries")
        few, short = min(frame(page) for _ in range(3)), height(page)
        older = page.get_by_role("button", name="Show older entries")
        for least in (12_000, 37_000, 62_000):
            older.press("Enter")
            until(functools.partial(taller, page, short + least), "a page more")
        expect(older).to_have_count(0)
        assert sum(asked.endswith("/journal") for asked in door.asked) <= 12
        # Many times as many lines cost a scroll about the same; in itself a frame says how busy the machine is.
        assert min(frame(page) for _ in range(3)) < max(600, 5 * few), few
        # Wherever one goes there are lines, few are in the document, and what was opened stays open.
        for part in (0.3, 0.6, 0.9):
            page.evaluate(
                "p => { const b = document.querySelector('.rg-body'); b.scrollTop = p * b.scrollHeight }", part
            )
            until(lambda: seen(page) and 0 < rows.count() <= 400, "lines where one looks, and few elsewhere")
        page.locator(f".rg-entry >> nth={rows.count() - 20}").locator("summary").click()
        opened = page.locator(".rg-entry:has(.rg-entry-open)")
        said = opened.inner_text()
        # A browser keeps what holds the focus or what is selected; what is open we keep.
        page.evaluate(
            """() => {
              document.activeElement.blur();
              getSelection().removeAllRanges();
              document.querySelector('.rg-body').scrollTop = 0;
            }"""
        )
        until(lambda: rows.count() <= 101, "the other lines are gone")
        page.evaluate("() => document.querySelector('.rg-entry details[open]').scrollIntoView()")
        assert opened.inner_text() == said


def height(page: Page) -> int:
    return int(page.evaluate("() => document.querySelector('.rg-body').scrollHeight"))


def taller(page: Page, than: int) -> bool:
    return height(page) > than


def seen(page: Page) -> bool:
    """Whether lines of the ledger fill the middle of the screen."""
    return bool(
        page.evaluate(
            """() => [300, 430, 560].every(y =>
              document.elementsFromPoint(200, y).some(e => e.closest('.rg-entry, .rg-entry-break')))"""
        )
    )


def frame(page: Page) -> float:
    """Milliseconds of the median frame of a scroll through the page, back to its top."""
    return float(
        page.evaluate(
            """async () => {
              const box = document.querySelector('.rg-body');
              const times = [];
              let last = performance.now();
              for (let i = 0; i < 60; i++) {
                box.scrollTop = (i * 400) % (box.scrollHeight - box.clientHeight);
                await new Promise(requestAnimationFrame);
                const now = performance.now();
                times.push(now - last);
                last = now;
              }
              return times.sort((a, b) => a - b)[30];
            }"""
        )
    )


# Opens what is folded, gives it time to draw what it holds, and says how much was folded.
OPEN = """async () => {
  const folded = [...document.querySelectorAll('.rg-wild details:not([open])')];
  folded.forEach(one => { one.open = true });
  await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve))));
  return folded.length;
}"""


def test_hostile_words_are_words(page: Page) -> None:
    with hostile() as door:
        for width in (320, 900):
            page.set_viewport_size({"width": width, "height": 860})
            to_wild(page, door)
            until(lambda: page.evaluate(OPEN) == 0, "all is open")  # what opens holds more to open
            expect(page.locator(".rg-wild-goal")).to_contain_text("<img src=x")
            expect(page.locator(".rg-entry-open").first).to_contain_text("<script>")
            assert page.title() == "ragent"
            assert page.locator(".rg-panel img, .rg-panel script").count() == 0


def test_another_tab_shows_it_in_one_line_and_leads_back(page: Page, night: WildDoor) -> None:
    page.locator(".rg-tab", has_text="Runs").click()
    line = page.locator(".rg-wild-line")
    expect(line).to_contain_text("running · iteration 3 · 41 of 100 runs · $0.42 · 1 alert")
    night.put_loop(LOOP, question=question())
    expect(line).to_contain_text("Run 7 needs 21 GB")
    line.click()
    expect(page.locator(".rg-wild-asks")).to_be_visible()
    expect(line).to_have_count(0)
    page.locator(".rg-tab", has_text="Runs").click()
    night.put_loop(LOOP, stage=Stage.ENDED, end="stopped", question=None, ended_at=time.time())
    expect(line).to_have_count(0)


def test_runs_and_sweeps_lead_to_their_loop(page: Page, night: WildDoor) -> None:
    page.get_by_text("The best 10 of 36").click()
    page.locator(".rg-top .rg-ref").first.click()
    expect(page.locator(".rg-detail .rg-facts").get_by_text("Wild loop")).to_be_visible()
    page.locator(".rg-detail .rg-facts").get_by_role("button", name="Get val_loss").click()
    expect(page.locator(".rg-wild-banner")).to_be_visible()


def test_code_is_merged_after_its_diff_was_seen(page: Page) -> None:
    door, play = WILD_SCENES["code"]()
    with door:
        to_wild(page, door)
        play(page)
        expect(page.locator(".rg-diff-plus", has_text="self.gate")).to_be_visible()
        expect(page.get_by_text("No gain of theirs is confirmed.")).to_be_visible()
        assert not sent(door, f"wild/{LOOP}/merge")
        page.get_by_role("button", name="Merge into my branch").click()
        expect(page.get_by_text("Merged 1 commit into main.")).to_be_visible()
        assert sent(door, f"wild/{LOOP}/merge") == [{"commit": "4be1c90d12aa"}]


def test_a_reload_shows_the_same_loop(page: Page) -> None:
    door, _ = WILD_SCENES["complete"]()
    with door:
        to_wild(page, door)
        page.get_by_role("button", name="Find out why seed 3 diverges").click()
        expect(page.locator(".rg-wild-goal")).to_have_text("Find out why seed 3 diverges")
        expect(page.locator(".rg-wild-banner")).to_contain_text("No run has finished.")
        page.reload()
        expect(page.locator(".rg-wild-goal")).to_have_text("Find out why seed 3 diverges")
        page.goto("about:blank")
        page.goto(f"{door.url}/ragent#{LOOP}")
        expect(page.locator(".rg-wild-goal")).to_contain_text("Get val_loss")


def test_an_engine_that_goes_away_stops_the_clock_and_says_so(page: Page, night: WildDoor) -> None:
    clock = page.locator(".rg-wild-elapsed")
    night.put_loop(LOOP, created_at=time.time() - 20)
    expect(clock).to_contain_text(" s")
    night.refuse(503, "The engine of /p does not answer.", "It is started again with the next request.")
    night.drop()
    expect(page.locator(".rg-notice")).to_contain_text("What you see is old.")
    before = clock.inner_text()
    page.wait_for_timeout(2200)  # long enough for a clock that runs to show another second
    assert clock.inner_text() == before
    expect(page.locator(".rg-wild-goal")).to_be_visible()


def test_a_project_without_wild_mode_says_what_is_wrong(page: Page) -> None:
    with WildDoor([make_run(0, RunStatus.FINISHED)]) as door:
        door.refuse_wild = ErrorBody("missing_part", "This engine is older than Wild Mode.", "Restart it.")
        to_wild(page, door)
        expect(page.get_by_role("alert")).to_contain_text("This engine is older than Wild Mode.")
        door.refuse_wild = None
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("No loop yet")).to_be_visible()
