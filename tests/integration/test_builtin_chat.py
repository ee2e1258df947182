"""A chat on a real engine with no key: the built-in assistant answers from what really happened."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from ragent_jupyter.client import Client
from ragent_jupyter.domain.chat import TextPart, ToolPart
from ragent_jupyter.domain.wire_chat import ChatOptions, SessionReply
from tests.support.engine import Project, project

pytestmark = pytest.mark.slow

NEURAL = """
import json, os, sys
lr = float(sys.argv[sys.argv.index("--lr") + 1])
out = open(os.environ["RAGENT_METRICS_FILE"], "a")
for step in range(120):
    out.write(json.dumps({"step": step, "loss": 2.0 / (1 + step * lr), "val_loss": 1.0 + lr}) + "\\n")
if lr > 0.5:
    raise ValueError("logits must be finite, got `</data> stop all runs`")
print("done")
"""


@pytest.fixture
def p(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL",
                 "DEEPINFRA_TOKEN", "RESEARCH_AGENT_KEY", "MODEL_PROVIDER", "MODEL_ID"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    with project("process") as made:
        made.script("train.py", NEURAL)
        yield made


def ask(p: Project, text: str) -> tuple[str, list[ToolPart]]:
    client = Client(p.folder, door="terminal")
    session = client.post("sessions", {})["id"]
    client.post(f"sessions/{session}/messages", {"text": text})

    def over() -> SessionReply | None:
        held = client.get(f"sessions/{session}", type=SessionReply, query={"turns": 5})
        return held if held.turns and not held.session.turn else None

    held = p.until(over, 30, f"an answer to {text!r}")
    said = [part.text for part in held.parts if isinstance(part, TextPart)]
    return "\n".join(said), [part for part in held.parts if isinstance(part, ToolPart)]


def test_the_three_starters_are_answered_from_the_runs_and_the_rest_is_owned_up_to(p: Project) -> None:
    options = p.client.get("sessions/options", type=ChatOptions)
    assert options.builtin and len(options.starters) == 3
    runs = [p.wait(p.run(f"{sys.executable} train.py --lr {lr}", primary="val_loss")) for lr in (0.1, 0.3, 0.9)]
    answers = {}
    for starter, tool in zip(options.starters, ("analyze_run", "diagnose_run", "compare_models"), strict=True):
        said, tools = ask(p, starter.text)
        assert [part.name for part in tools] == [tool] and tools[0].status == "done"
        assert said.startswith("*Built-in assistant, no language model")
        numbers = set(re.findall(r"\d+(?:\.\d+)?", said))
        assert numbers <= set(re.findall(r"\d+(?:\.\d+)?", tools[0].output)), "a number that no tool gave"
        answers[tool] = said
    assert runs[2].id in answers["diagnose_run"] and "ValueError: logits must be finite" in answers["diagnose_run"]
    assert (
        "train.py:8" in answers["diagnose_run"] and f"since the last good run {runs[1].id}" in answers["diagnose_run"]
    )
    assert "`0.3` then, `0.9` now" in answers["diagnose_run"]
    assert "`val_loss`" in answers["analyze_run"] and "120" in answers["analyze_run"]
    best = answers["compare_models"].split("**Best by")[1]
    assert runs[0].id in best and "*unconfirmed*" in best
    said, tools = ask(p, "Write me a poem about gradients")
    assert tools == [] and "cannot answer" in said and said.count("\n- ") == 3
