"""The chat in a real JupyterLab, over a real engine, with a provider on a real socket."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.engine import project
from tests.support.fake_frames import Call, Reply
from tests.support.fake_provider import FakeProvider

from .conftest import TRAIN, Lab, end_lab, start_lab, until

KEY = "sk-ant-fake-0123456789abcdef"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(key=KEY) as made:
        yield made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider) -> Iterator[Lab]:
    """A lab of its own: its engine has a key, and knows the way to the provider."""
    wanted = {"ANTHROPIC_BASE_URL": provider.url, "ANTHROPIC_API_KEY": KEY}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with project("process") as made:
            (made.folder / "train.py").write_text(TRAIN)
            made.client.put("prefs", {"executor": "process", "judge": False})  # it asks the provider too
            process, url = start_lab(made.folder, tmp_path_factory.mktemp("home"))
            try:
                yield Lab(url, made)
            finally:
                end_lab(process)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture(autouse=True)
def _clean(provider: FakeProvider, lab: Lab) -> Iterator[None]:
    provider.queue.clear()
    provider.seen.clear()
    provider.default = Reply(text="ok")
    provider.go.clear()
    yield
    provider.go.set()
    for session in sessions(lab):
        if session.get("turn"):
            lab.project.client.post(f"sessions/{session['id']}/stop", {})


def panel(page: Page) -> Locator:
    return page.locator("#ragent-panel")


def composer(page: Page) -> Locator:
    return panel(page).get_by_label("Message to ragent")


def sessions(lab: Lab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.project.client.get("sessions")["sessions"]
    return found


def newest(lab: Lab) -> dict[str, Any]:
    session = sessions(lab)[0]
    reply: dict[str, Any] = lab.project.client.get(f"sessions/{session['id']}")
    return reply


def answer_of(reply: dict[str, Any], turn: int = -1) -> str:
    """All text of a turn, as the engine has it."""
    id_ = sorted(reply["turns"], key=lambda t: t["n"])[turn]["id"]
    parts = sorted((p for p in reply["parts"] if p["turn_id"] == id_), key=lambda p: p["index"])
    return "".join(p.get("text", "") for p in parts if p["type"] == "text" and p.get("status") != "cut")


def open_chat(page: Page, lab: Lab, *, keep: bool = False) -> None:
    lab.open(page, panel=False, keep=keep)
    page.evaluate("async () => { await jupyterapp.commands.execute('ragent:show-chat') }")
    page.wait_for_selector("#ragent-panel .rg-composer", timeout=30_000)


def new_chat(page: Page, lab: Lab) -> None:
    open_chat(page, lab)
    page.evaluate("async () => { await jupyterapp.commands.execute('ragent:new-chat') }")
    expect(panel(page).locator(".rg-starters")).to_be_visible()


def ask(page: Page, text: str) -> None:
    composer(page).fill(text)
    composer(page).press("Enter")


MARKDOWN = """The run `RUN` ended with **loss 0.1**.

| run | loss |
|:--|--:|
| RUN | 0.1 |

With $\\\\eta = 0.1$:

```python
print("next")
```
""".replace("\\\\\\\\", "\\\\")


def test_a_first_question_is_thought_about_looked_up_and_answered(
    page: Page, lab: Lab, provider: FakeProvider, quiet: list[str]
) -> None:
    run = lab.project.wait(lab.project.run(lab.command("--steps", "20", "--every", "0.01"), name="first"))
    provider.reply(Reply(thinking="First the list of runs.", calls=[call("list_runs")], delay=0.01))
    provider.say(MARKDOWN.replace("RUN", run.id), delay=0.01)
    new_chat(page, lab)
    ask(page, "Which run is best? Tell me its loss.")
    chat = panel(page)
    expect(chat.locator(".rg-asked-text")).to_have_text("Which run is best? Tell me its loss.")
    expect(chat.locator(".rg-thinking")).to_contain_text("Thought")
    tool = chat.locator(".rg-tool")
    expect(tool).to_have_count(1)
    expect(chat.locator(".rg-md table td").nth(1)).to_have_text("0.1")
    expect(chat.locator(".rg-code-block code")).to_contain_text('print("next")')
    expect(chat.locator(".rg-md mjx-container")).to_have_count(1)
    expect(chat.locator(".rg-md").get_by_role("button", name=run.id).first).to_be_visible()
    tool.locator("summary").click()
    expect(chat.locator(".rg-inside")).to_contain_text(run.id)
    expect(chat.locator(".rg-step-time").first).to_be_visible()
    expect(chat.locator(".rg-chat-head h2")).not_to_have_text("New chat")
    session = newest(lab)["session"]
    assert session["title"] and session["titled_by"] == "auto"
    assert run.id in provider.calls[1].last_result
    assert [text for text in quiet if "ragent" in text] == []


def held(provider: FakeProvider, text: str, at: int, delay: float = 0.0) -> None:
    """An answer that goes out up to its piece `at`, and on when the test says so: `provider.go.set()`."""
    provider.say(text, chunk=5, delay=delay, fault="stall", at=at, seconds=90)


def call(name: str, **given: Any) -> Call:
    return Call(name=name, input=given)


def test_a_reload_in_the_middle_of_an_answer_loses_and_repeats_nothing(
    page: Page, lab: Lab, provider: FakeProvider
) -> None:
    words = [f"w{i} " for i in range(300)]
    held(provider, "".join(words), at=240, delay=0.02)  # it goes on while the page is away, but not to its end
    new_chat(page, lab)
    ask(page, "Two hundred words, please.")
    shown = panel(page).locator(".rg-md")
    until(lambda: "w40 " in (shown.first.text_content() or "") if shown.count() else False, "the 40th word")
    open_chat(page, lab, keep=True)
    expect(shown).to_contain_text("w40 ")
    assert newest(lab)["session"]["status"] == "streaming"
    provider.go.set()
    expect(panel(page).locator(".rg-foot")).to_be_visible()
    text = (shown.text_content() or "").split()
    assert text == [word.strip() for word in words]
    assert answer_of(newest(lab)).split() == text


def test_queued_messages_are_sent_in_order_also_after_a_reload(page: Page, lab: Lab, provider: FakeProvider) -> None:
    held(provider, "slow " * 20, at=10)
    for n in (1, 2, 3):
        provider.say(f"answer {n}")
    new_chat(page, lab)
    ask(page, "question 0")
    expect(panel(page).get_by_role("button", name="Stop")).to_be_visible()
    for n in (1, 2, 3):
        ask(page, f"question {n}")
        expect(panel(page).locator(".rg-queue li")).to_have_count(n)
    panel(page).get_by_role("button", name="Send earlier").nth(2).click()
    expect(panel(page).locator(".rg-queue-text").nth(1)).to_have_text("question 3")
    open_chat(page, lab, keep=True)
    expect(panel(page).locator(".rg-queue-text")).to_have_text(["question 1", "question 3", "question 2"])
    provider.go.set()
    expect(panel(page).locator(".rg-asked-text")).to_have_text(
        ["question 0", "question 1", "question 3", "question 2"], timeout=40_000
    )
    expect(panel(page).locator(".rg-foot")).to_have_count(4)
    asked = [seen.last_text for seen in provider.calls]
    order = [next(q for q in ("question 0", "question 1", "question 2", "question 3") if q in text) for text in asked]
    assert order == ["question 0", "question 1", "question 3", "question 2"]


def test_stop_ends_the_answer_and_keeps_what_was_written(page: Page, lab: Lab, provider: FakeProvider) -> None:
    provider.say("word " * 2000, chunk=5, delay=0.05)  # 100 s
    new_chat(page, lab)
    ask(page, "Go on for ever.")
    shown = panel(page).locator(".rg-md")
    expect(shown).to_contain_text("word word word word")
    composer(page).press("Escape")
    provider.wait_closed(provider.calls[0], timeout=20)
    assert provider.calls[0].done_at is None
    expect(panel(page).get_by_role("button", name="Stop")).to_have_count(0)
    until(lambda: not newest(lab)["session"].get("turn"), "the turn is over")
    kept = answer_of(newest(lab)).split()
    assert kept[:4] == ["word"] * 4
    until(lambda: (shown.text_content() or "").split() == kept, "all that was kept is shown, and no more")


def test_a_second_tab_is_told_that_it_is_busy_and_its_text_is_queued(
    page: Page, lab: Lab, provider: FakeProvider
) -> None:
    held(provider, "slow " * 20, at=10)
    provider.say("the second answer")
    new_chat(page, lab)
    ask(page, "from the first tab")
    expect(panel(page).get_by_role("button", name="Stop")).to_be_visible()
    other = page.context.new_page()
    lab.page(other)
    other.locator(".rg-tab").first.click()
    other.wait_for_selector(".rg-composer, .rg-sessions")
    other.get_by_role("button", name="All chats").click() if other.locator(".rg-sessions").count() == 0 else None
    other.locator(".rg-session-open").first.click()
    field = other.get_by_label("Message to ragent")
    expect(field).to_have_attribute("placeholder", "Write on: it is sent when this answer ends")
    field.fill("from the second tab")
    field.press("Enter")
    expect(panel(page).locator(".rg-queue-text")).to_have_text(["from the second tab"])
    provider.go.set()
    expect(panel(page).locator(".rg-md").nth(1)).to_have_text("the second answer")
    expect(other.locator(".rg-md").nth(1)).to_have_text("the second answer")
    other.close()


def test_allow_runs_the_command_and_dont_does_not(page: Page, lab: Lab, provider: FakeProvider) -> None:
    there = lab.project.folder / "made.txt"
    for answer in ("Don’t", "Allow once"):
        provider.reply(calls=[call("run_shell", command="touch made.txt")])
        provider.say(f"after {answer}")
        new_chat(page, lab)
        ask(page, "Make the file.")
        question = panel(page).locator(".rg-ask")
        expect(question.locator(".rg-ask-command")).to_have_text("touch made.txt")
        expect(question).to_contain_text(str(lab.project.folder))
        assert not there.exists()
        assert newest(lab)["session"]["status"] == "waiting"
        expect(question.locator(".rg-primary")).to_have_text("Don’t")
        question.get_by_role("button", name=answer).click()
        expect(panel(page).locator(".rg-md")).to_have_text(f"after {answer}")
        if answer == "Allow once":
            until(there.exists, "the command has run")
        assert there.exists() is (answer == "Allow once")


def test_a_command_shows_what_it_says_while_it_runs(page: Page, lab: Lab, provider: FakeProvider) -> None:
    go = lab.project.folder / "go"
    said = "for i in $(seq 40); do echo step $i; done"
    provider.reply(calls=[call("run_shell", command=f"{said}; until [ -e {go} ]; do sleep 0.05; done")])
    provider.say("It is over.")
    new_chat(page, lab)
    ask(page, "Take forty steps.")
    panel(page).locator(".rg-ask").get_by_role("button", name="Allow once").click()
    lines = panel(page).locator(".rg-progress-lines")
    expect(lines).to_contain_text("step 40")
    newest = """lines => {
        const range = document.createRange(), text = lines.firstChild;
        range.setStart(text, text.data.lastIndexOf("step"));
        range.setEnd(text, text.data.length - 1);
        const [at, box] = [range.getBoundingClientRect(), lines.getBoundingClientRect()];
        return box.top <= at.top && at.bottom <= box.bottom + 1;
    }"""
    assert lines.evaluate(newest), "of many lines the newest is seen"
    go.touch()
    expect(panel(page).locator(".rg-md")).to_have_text("It is over.")
    expect(lines).to_have_count(0)


def test_enter_that_ends_a_composition_does_not_send(page: Page, lab: Lab) -> None:
    new_chat(page, lab)
    before = len(sessions(lab))
    posted: list[str] = []

    def heard(request: Any) -> None:
        if request.method == "POST" and "/sessions" in request.url:
            posted.append(request.url)

    page.on("request", heard)
    composer(page).fill("にほん")
    for detail in ({"key": "Enter", "isComposing": True}, {"key": "Enter", "keyCode": 229}):
        composer(page).evaluate(
            "(box, how) => box.dispatchEvent(new KeyboardEvent('keydown', {...how, bubbles: true, cancelable: true}))",
            detail,
        )
    expect(composer(page)).to_have_value("にほん")
    composer(page).press("Shift+Enter")
    expect(composer(page)).to_have_value("にほん\n")
    assert posted == []  # what a key sends is sent before the next key is heard
    assert len(sessions(lab)) == before


def test_code_goes_into_the_notebook_in_front_and_runs(page: Page, lab: Lab, provider: FakeProvider) -> None:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": "1",
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (lab.project.folder / "work.ipynb").write_text(json.dumps(book))
    provider.say("```python\nprint(6 * 7)\n```")
    new_chat(page, lab)
    page.evaluate(
        """async () => {
            const panel = await jupyterapp.commands.execute('docmanager:open', {path: 'work.ipynb'});
            await panel.context.ready; await panel.sessionContext.ready;
            await panel.sessionContext.session.kernel.info;
        }"""
    )
    page.evaluate("async () => { await jupyterapp.commands.execute('ragent:show-chat') }")
    ask(page, "Code, please.")
    panel(page).get_by_role("button", name="Insert and run").click()
    expect(page.locator(".jp-Notebook .jp-OutputArea-output").last).to_have_text("42", timeout=30_000)
    assert "work.ipynb" in json.dumps(provider.calls[0].body)
