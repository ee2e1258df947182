"""The stand-in for a provider is what real clients take for one, as a thread and as a program."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import anthropic
import pytest

from tests.support.fake_provider import FakeProvider, Reply
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[3]


def ask(url: str, key: str = "k") -> anthropic.types.Message:
    client = anthropic.Anthropic(api_key=key, base_url=url, max_retries=0, open_telemetry=False)
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi there"}]) as s:
        return s.get_final_message()


def test_the_sdk_reads_a_message_with_thinking_and_a_tool_call() -> None:
    with FakeProvider().reply(thinking="let me see", text="I look.", pings=2, unknown=1).call("list", {"n": [1]}) as p:
        first, second = ask(p.url), ask(p.url)
    assert [b.type for b in first.content] == ["thinking", "text"]
    assert second.content[0].input == {"n": [1]} and second.stop_reason == "tool_use"
    assert p.seen[0].last_text == "hi there" and p.seen[0].key == "k"


def test_rules_come_before_the_queue_and_the_default_after_it() -> None:
    with FakeProvider(default=Reply(text="last")).when(lambda s: s.key == "b", Reply(text="rule")).say("queued") as p:
        assert [ask(p.url, key).content[0].text for key in "baa"] == ["rule", "queued", "last"]


def test_a_wrong_key_is_refused() -> None:
    with FakeProvider(key="right") as p, pytest.raises(anthropic.AuthenticationError):
        ask(p.url, "wrong")


@pytest.mark.slow
def test_as_a_program_it_plays_a_scenario_from_a_file(tmp_path: Path) -> None:
    scenario = {"replies": [{"text": "You said: {last_text}"}], "default": {"text": "no more"}}
    (tmp_path / "s.json").write_text(json.dumps(scenario))
    argv = [sys.executable, "-m", "tests.support.fake_provider", "--scenario", str(tmp_path / "s.json")]
    child = subprocess.Popen([*argv, "--port-file", str(tmp_path / "port")], cwd=ROOT)
    try:
        wait_until(lambda: (tmp_path / "port").exists(), 20)
        url = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}"
        assert [ask(url).content[0].text for _ in range(2)] == ["You said: hi there", "no more"]
        with urllib.request.urlopen(f"{url}/_fake/seen") as response:
            assert len(json.load(response)["seen"]) == 2
    finally:
        child.kill()
        child.wait()
