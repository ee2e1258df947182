"""Chats that a real engine shows only by luck: very long ones, every kind of question, holes; each passes axe."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from ragent_jupyter.domain.chat import TextPart

from .chat_scenes import CHAT_SCENES, a_conversation, long_chat, open_chat
from .conftest import at_rest, until
from .fake_chat import ChatDoor

STATIC = Path(__file__).parents[2] / "ragent_jupyter" / "static" / "page.js"
pytestmark = pytest.mark.skipif(not STATIC.exists(), reason="the page is not built")


def to_chat(page: Page, door: ChatDoor) -> None:
    page.goto(f"{door.url}/ragent")
    page.locator(".rg-tab").first.click()
    page.wait_for_selector(".rg-composer, .rg-sessions")


@pytest.mark.parametrize("scene", list(CHAT_SCENES))
def test_every_scene_is_whole_for_everybody(page: Page, scene: str) -> None:
    door, play = CHAT_SCENES[scene]()
    with door:
        for width, height in ((320, 760), (900, 860)):
            page.set_viewport_size({"width": width, "height": height})
            to_chat(page, door)
            if width == 320:
                play(page)
            at_rest(page)
            found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
            assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found] == []
            overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(overflow) <= 0


def test_five_thousand_parts_open_with_the_newest_hundred_alone(page: Page) -> None:
    with long_chat(20, 250) as door:
        to_chat(page, door)
        open_list = page.get_by_role("button", name="All chats")
        if open_list.count():
            open_list.click()
        line = page.locator(".rg-session-open").first
        line.wait_for()
        began = time.monotonic()
        line.click()
        page.wait_for_selector(".rg-turn .rg-md")
        print(f"5,000 parts: {(time.monotonic() - began) * 1000:.0f} ms")
        # What makes it quick, also where the machine is busy: the rest is not in the document, nor what is folded.
        assert page.locator(".rg-turn").count() == 1 and page.locator(".rg-tool").count() == 0
        page.locator(".rg-steps summary").click()
        expect(page.locator(".rg-tool").first).to_be_visible()
        assert 90 <= page.locator(".rg-tool").count() <= 100
        page.get_by_role("button", name="Show earlier messages").click()
        expect(page.locator(".rg-turn").nth(1)).to_be_attached()
        assert page.locator(".rg-tool").count() <= 300


def test_the_stream_follows_its_end_only_while_the_reader_is_there(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 500})
    tops: list[float] = []

    def still() -> bool:
        page.wait_for_timeout(100)
        tops.append(box.evaluate("box => box.scrollTop"))
        return tops[-2:] == [tops[-1]] * 2

    with a_conversation() as door:
        to_chat(page, door)
        open_chat(page)
        turn = door.begin("ses_a", "Go on.")
        part = door.add_part(turn, TextPart)
        box = page.locator(".rg-stream")
        distance = "box => box.scrollHeight - box.scrollTop - box.clientHeight"
        for i in range(40):
            door.push(part, f"Paragraph {i} of the answer.\n\n")
        expect(page.locator(".rg-md").last).to_contain_text("Paragraph 39")
        until(lambda: box.evaluate(distance) < 48, "it has followed")
        assert page.get_by_role("button", name="Jump to latest").count() == 0
        box.hover()
        page.mouse.wheel(0, -300)
        expect(page.get_by_role("button", name="Jump to latest")).to_be_visible()
        until(still, "the wheel has done its work")
        before = tops[-1]
        for i in range(40, 60):
            door.push(part, f"Paragraph {i} of the answer.\n\n")
        expect(page.locator(".rg-md").last).to_contain_text("Paragraph 59")
        until(still, "what it does now it has done")
        assert box.evaluate("box => box.scrollTop") == before
        page.get_by_role("button", name="Jump to latest").click()
        until(lambda: box.evaluate(distance) < 48, "it is at its end again")


def test_a_lost_piece_and_a_dropped_socket_leave_no_hole(page: Page) -> None:
    with a_conversation() as door:
        to_chat(page, door)
        open_chat(page)
        turn = door.begin("ses_a", "Go on.")
        part = door.add_part(turn, TextPart)
        door.push(part, "one ")
        door.push(part, "two ", lost=True)
        door.push(part, "three ")
        expect(page.locator(".rg-md").last).to_have_text("one two three ")
        door.drop()
        door.push(part, "four ", lost=True)
        until(lambda: door.sockets, "it is connected again")
        door.push(part, "five")
        door.finish(turn)
        expect(page.locator(".rg-md").last).to_have_text("one two three four five")
