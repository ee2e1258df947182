"""A project with a wild loop in it, and where wanted a provider whose model plays the researcher."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ragent_jupyter.domain.run import Run, RunStatus
from ragent_jupyter.domain.wild import Entry, Limits, Loop
from ragent_jupyter.domain.wire_wild import CreateLoop
from tests.support.engine import Project, project
from tests.support.fake_provider import FakeProvider
from tests.support.wild_model import WildModel

KEY = "sk-ant-test-0123456789abcdefghij"
_OTHERS = ("OPENAI_API_KEY", "DEEPINFRA_TOKEN", "MODEL_PROVIDER", "MODEL_ID", "RESEARCH_AGENT_KEY")

# A valley in lr, with noise that the seed decides; argv says what goes wrong. {trouble} is code in the step's loop.
SCRIPT = """
import argparse, json, math, os, random, sys, time
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.01)
p.add_argument("--batch", type=int, default=16)
p.add_argument("--seed", type=int, default=0)
a = p.parse_args()
noise = random.Random(a.seed)
with open(os.environ["RAGENT_METRICS_FILE"], "a") as f:
    for step in range(1, 6):
        {trouble}
        loss = 0.2 + 0.3 * (math.log10(a.lr) + 1) ** 2 + noise.gauss(0, 0.02) + 0.1 / step
        f.write(json.dumps({{"step": step, "val_loss": loss}}) + "\\n")
        f.flush()
        time.sleep(float(os.environ.get("STEP_S", "0.01")))
"""


def script(trouble: str = "pass") -> str:
    return SCRIPT.format(trouble=trouble)


class Night:
    """One project, the words of a person at its terminal, and what became of the loop."""

    def __init__(self, one: Project, model: WildModel | None = None, provider: FakeProvider | None = None) -> None:
        self.one = one
        self.client = one.client
        self.client.door = "terminal"
        self._model = model
        self._provider = provider

    @property
    def model(self) -> WildModel:
        assert self._model is not None
        return self._model

    @property
    def provider(self) -> FakeProvider:
        assert self._provider is not None
        return self._provider

    def begin(self, trouble: str = "pass", text: str = "", **fields: Any) -> Loop:
        """text: a script of one's own."""
        # A judge would ask the provider too, half a minute after a run; and how many cores there are shall not matter.
        self.client.put("prefs", {"judge": False, "parallel": 4})
        command = fields.pop("command", None) or self.one.script("train.py", text or script(trouble))
        wanted: dict[str, Any] = {
            "goal": "lower val_loss", "limits": Limits(runs=24), "parallel": 2, "executor": self.one.executor,
            "policy": "builtin" if self._model is None else "llm", "seeds": 2, "top": 1,
        } | fields  # fmt: skip
        return self.client.create_loop(CreateLoop(command=command, caller_python=sys.executable, **wanted))

    def loop(self, loop: Loop) -> Loop:
        return self.client.loop(loop.id).loop

    def ended(self, loop: Loop, timeout: float = 90.0) -> Loop:
        """Once it is over; its report may still be under way."""

        def over() -> Loop | None:
            now = self.loop(loop)
            return now if now.over else None

        try:
            return self.one.until(over, timeout, "the loop to end")  # type: ignore[no-any-return]
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.loop(loop).stage.value}: {self.told(loop)}") from None

    def asks(self, loop: Loop, timeout: float = 60.0) -> Any:
        return self.one.until(lambda: self.loop(loop).question, timeout, "a question to a person")

    def answer(self, loop: Loop, choice: str = "", text: str = "") -> Loop:
        question = self.asks(loop)
        return self.client.answer_loop(loop.id, question.id, choice, text)

    def runs(self, *statuses: RunStatus) -> list[Run]:
        return [run for run in self.client.all_runs() if not statuses or run.status in statuses]

    def alive(self) -> list[Run]:
        return [run for run in self.client.all_runs() if not run.status.terminal]

    def idle(self, timeout: float = 60.0) -> None:
        self.one.until(lambda: not self.alive(), timeout, "the runs to end")

    def purposes(self, loop: Loop) -> list[str]:
        sweeps = {sweep.id: sweep for sweep in self.client.sweeps()}
        return [sweeps[id].purpose for id in self.loop(loop).sweeps]

    def runs_of(self, loop: Loop, *purposes: str) -> list[Run]:
        sweeps = {sweep.id: sweep for sweep in self.client.sweeps()}
        mine = [sweeps[id] for id in self.loop(loop).sweeps]
        ids = {id for sweep in mine if sweep.purpose in purposes for trial in sweep.trials for id in trial.run_ids}
        return [run for run in self.client.all_runs() if run.id in ids]

    def ledger(self, loop: Loop) -> list[Entry]:
        return self.client.journal(loop.id).entries

    def did(self, loop: Loop, what: str, outcome: str = "") -> list[Entry]:
        """Entries with such an action."""
        lines = [e for e in self.ledger(loop) if isinstance(e.action, dict) and e.action.get("do") == what]
        return [e for e in lines if not outcome or e.outcome == outcome]

    def well_or_beaten(self, loop: Loop) -> None:
        """None is lost, failed or taken for hung; one that could not catch up any more may have been stopped by
        halving."""
        beaten = {entry.action["run"] for entry in self.did(loop, "stop_run") if entry.who == "rule:halving"}
        others = [run for run in self.runs() if run.status is not RunStatus.FINISHED and run.id not in beaten]
        assert [(run.status, run.reason) for run in others] == []

    def told(self, loop: Loop) -> str:
        """The ledger's last lines, for a test that waits in vain."""
        return " / ".join(f"{e.n} {e.by} {e.outcome} {e.result[:80]}" for e in self.ledger(loop)[-5:])


@contextmanager
def night(*, tags: bool = False, points: Sequence[Any] = (), executor: str = "process") -> Iterator[Night]:
    """A model on a socket, and a project whose engine knows no other."""
    with FakeProvider(key=KEY) as provider, pytest.MonkeyPatch.context() as patch:
        for name in _OTHERS:
            patch.delenv(name, raising=False)
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        patch.setenv("ANTHROPIC_BASE_URL", provider.url)
        with project(executor) as one:
            model = WildModel(provider, tags=tags, points=points)
            if tags:
                assert not one.client.test_model("").tools
            yield Night(one, model, provider)
