"""The real programs, pointed at the gateway with a token and nothing else: Claude Code and OpenCode.

They are large and need to be fetched, so these tests run where the environment says where the programs are:

    pip install claude-agent-sdk    RAGENT_TEST_CLAUDE_CODE=…/claude_agent_sdk/_bundled/claude
    npm i opencode-ai               RAGENT_TEST_OPENCODE=…/node_modules/opencode-linux-x64/bin/opencode
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_frames import Call, Reply
from tests.support.fake_provider import FakeProvider, Seen
from tests.unit.gateway.running import KEY, RunningGateway

CLAUDE, OPENCODE = (os.environ.get(f"RAGENT_TEST_{name}", "") for name in ("CLAUDE_CODE", "OPENCODE"))
needs_claude = pytest.mark.skipif(not CLAUDE, reason="RAGENT_TEST_CLAUDE_CODE names no program")
needs_opencode = pytest.mark.skipif(not OPENCODE, reason="RAGENT_TEST_OPENCODE names no program")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def runs_a_tool(seen: Seen) -> Reply:
    """Has the program run its shell, then says what came out of it."""
    if seen.last_result:
        return Reply(text=f"The tool said {seen.last_result[:60]}")
    for shell in ("Bash", "bash"):
        if shell in seen.tools:
            call = Call(name=shell, input={"command": "echo from-the-tool", "description": "Says a word"})
            return Reply(text="I run it.", calls=[call])
    return Reply(text="A title")


@pytest.fixture
def provider(provider: FakeProvider) -> FakeProvider:
    provider.default = runs_a_tool
    return provider


def run(argv: list[str], home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    whole = {"PATH": os.environ["PATH"], "HOME": str(home), **env}
    return subprocess.run(
        argv, env=whole, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90
    )


def claude(gateway: RunningGateway, home: Path, text: str = "hi", **env: str) -> tuple[int, list[Any], str]:
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "ANTHROPIC_BASE_URL": gateway.url}
    argv = [CLAUDE, "-p", text, "--output-format", "stream-json", "--verbose", "--allowedTools", "Bash"]
    done = run([*argv, "--model", "any-name"], home, **quiet, **env)
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, events, done.stdout + done.stderr


@needs_claude
@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_claude_code_runs_a_tool_and_answers(
    gateway: RunningGateway, provider: FakeProvider, tmp_path: Path, variable: str
) -> None:
    token = gateway.token(name="claude code")
    code, events, said = claude(gateway, tmp_path / "home", **{variable: token})
    assert code == 0, said
    assert "The tool said from-the-tool" in events[-1]["result"]
    assert {seen.key for seen in provider.calls} == {KEY}
    first, last = provider.calls[0], provider.calls[-1]
    assert first.query == "beta=true" and first.headers["anthropic-beta"] and first.headers["anthropic-version"]
    assert last.last_result.strip() == "from-the-tool"
    calls = gateway.wait_calls(2)
    assert {call.outcome for call in calls} == {"ok"} and all(call.session for call in calls)


@needs_claude
def test_claude_code_comes_through_a_provider_that_is_busy(
    gateway: RunningGateway, provider: FakeProvider, tmp_path: Path
) -> None:
    provider.http(429, retry_after="1").http(529)
    code, _, said = claude(gateway, tmp_path / "home", ANTHROPIC_API_KEY=gateway.token())
    assert code == 0, said
    assert [call.status for call in gateway.wait_calls(3)][:2] == [429, 529]


@needs_claude
def test_claude_code_counts_its_context(gateway: RunningGateway, provider: FakeProvider, tmp_path: Path) -> None:
    code, events, said = claude(gateway, tmp_path / "home", "/context", ANTHROPIC_API_KEY=gateway.token())
    assert code == 0 and "Context Usage" in events[-1]["result"], said
    assert {seen.path for seen in provider.seen} <= {"/v1/messages", "/v1/messages/count_tokens"}


@needs_claude
@pytest.mark.parametrize("why", ["budget", "revoked", "no key"])
def test_claude_code_gives_up_at_once_and_says_why(
    gateway: RunningGateway, provider: FakeProvider, tmp_path: Path, why: str
) -> None:
    token = gateway.token(name="t", budget_total=0.0 if why == "budget" else None)
    if why == "revoked":
        gateway.inside(gateway.gateway.revoke("t"))
    if why == "no key":
        gateway.settings["keys"].names.clear()
    # It would try a 401 and a 5xx again, with longer and longer waits, if x-should-retry did not tell it not to.
    code, events, said = claude(gateway, tmp_path / "home", ANTHROPIC_API_KEY=token)
    words = {"budget": "is spent", "revoked": "revoked", "no key": "holds no ANTHROPIC_API_KEY"}[why]
    assert code == 1 and words in said
    assert events[-1]["is_error"] and events[-1]["duration_ms"] < 15_000
    assert provider.seen == []


def opencode(gateway: RunningGateway, home: Path, config: dict[str, Any]) -> tuple[int, list[Any], str]:
    home.mkdir()
    common = {"autoupdate": False, "share": "disabled", "permission": {"bash": "allow"}}
    (home / "opencode.json").write_text(json.dumps({**common, **config}))
    quiet = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    done = run([OPENCODE, "run", "--format", "json", "hello"], home, **quiet)
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, events, done.stdout + done.stderr


@needs_opencode
def test_opencode_runs_a_tool_and_answers(gateway: RunningGateway, provider: FakeProvider, tmp_path: Path) -> None:
    own = {"anthropic": {"options": {"baseURL": f"{gateway.url}/v1", "apiKey": gateway.token(name="opencode")}}}
    models = {"model": "anthropic/claude-sonnet-4-5", "small_model": "anthropic/claude-haiku-4-5"}
    code, _, said = opencode(gateway, tmp_path / "home", {**models, "provider": own})
    assert code == 0 and "The tool said from-the-tool" in said, said
    assert {seen.key for seen in provider.calls} == {KEY}
    assert {call.outcome for call in gateway.wait_calls(2)} == {"ok"}


@needs_opencode
def test_opencode_on_the_other_wire(gateway: RunningGateway, provider: FakeProvider, tmp_path: Path) -> None:
    options = {"baseURL": gateway.openai_url, "apiKey": gateway.token()}
    own = {"name": "Ours", "npm": "@ai-sdk/openai-compatible", "options": options, "models": {"gpt-test": {}}}
    code, _, said = opencode(
        gateway,
        tmp_path / "home",
        {"model": "ours/gpt-test", "small_model": "ours/gpt-test", "provider": {"ours": own}},
    )
    assert code == 0 and "The tool said from-the-tool" in said, said
    assert {seen.path for seen in provider.calls} == {"/openai/v1/chat/completions"}
