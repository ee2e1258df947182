"""A loop in the middle of its work, as a view: what a policy sees."""

from __future__ import annotations

from typing import Any

from ragent_jupyter.domain.alert import Alert, Choice, Evidence, Severity
from ragent_jupyter.domain.ports_wild import Outcome
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import (
    Action,
    Baseline,
    Entry,
    Knob,
    Limits,
    Loop,
    LoopEvent,
    LoopTask,
    Setup,
    Stage,
    TrialView,
    View,
)

COMMAND = "python train.py"


def setup(**more: Any) -> Setup:
    space = {
        "lr": Knob(dim=Range(1e-4, 1e-1, log=True), default=0.01),
        "width": Knob(dim=Values([32, 64, 128]), default=64),
    }
    given: dict[str, Any] = {
        "command": COMMAND, "cwd": "/home/ada/project", "metric": "val/loss", "space": space, "seed": "seed", **more,
    }  # fmt: skip
    return Setup(**given)


def trial(n: int, value: float | None = None, **more: Any) -> TrialView:
    given: dict[str, Any] = {
        "run": f"run_{n:04}", "sweep": "swp_1", "purpose": "search", "index": n, "params": {"lr": n / 1000},
        "status": "finished", "seed": 1, "value": value, "seconds": 30.0, "by": "rule", **more,
    }  # fmt: skip
    return TrialView(**given)


def alert(**more: Any) -> Alert:
    given: dict[str, Any] = {
        "id": "alt_1", "run_id": "run_0001", "rule": "nan", "severity": Severity.CRITICAL,
        "title": "loss became NaN at step 412", "raised_at": 5.0,
        "evidence": Evidence(metric="loss", step=412, value="nan"),
        "choices": [Choice("ignore", "ignore", "Keep going"), Choice("stop", "stop", "Stop the run")],
        "default": "stop", **more,
    }  # fmt: skip
    return Alert(**given)


def loop(**more: Any) -> Loop:
    given: dict[str, Any] = {
        "id": "wld_1", "goal": "Lower the validation loss.", "created_at": 1.0, "setup": setup(), "policy": "llm",
        "limits": Limits(runs=40),
        "baseline": Baseline(runs=["run_b"], values=[1.0, 1.1, 0.9], mean=1.0, sigma=0.1, n=3),
        "plan": [LoopTask(id="t1", text="Search lr", state="doing")], "findings": ["lr 0.01 is stable"], "iteration": 2,
        **more,
    }  # fmt: skip
    return Loop(**given)


def view(trials: list[TrialView] | None = None, *, alerts: list[Alert] | None = None, **more: Any) -> View:
    held = {"stage": Stage.EXPLORING, **more}
    seen = {name: held.pop(name) for name in ("rules", "entries", "slots", "runs_left", "metrics") if name in held}
    return View(loop=loop(**held), trials=trials or [], alerts=alerts or [], now=100.0, **seen)


def event(kind: Any = "explore", **more: Any) -> LoopEvent:
    given: dict[str, Any] = {"id": f"evt_{kind}", "kind": kind, "at": 50.0, "order": 1.0, **more}
    return LoopEvent(**given)


def entry(n: int, **more: Any) -> Entry:
    given: dict[str, Any] = {
        "id": f"ent_{n}", "loop_id": "wld_1", "n": n, "at": float(n), "by": "model", "stage": "exploring",
        "iteration": 1, "event": event(), "reasoning": f"thought {n}",
        "action": {"do": "propose_sweep", "name": f"sweep {n}"}, **more,
    }  # fmt: skip
    return Entry(**given)


class Held:
    """Hands that write down what they were asked to do. refuse: names of actions that the guard says no to."""

    def __init__(self, *, refuse: tuple[str, ...] = (), ask: tuple[str, ...] = ()) -> None:
        self.actions: list[Action] = []
        self.said: list[dict[str, Any]] = []
        self.refuse = refuse
        self.ask = ask

    async def act(self, action: Action, *, reasoning: str = "", evidence: Any = (), who: str = "") -> Outcome:
        name = action.__struct_config__.tag
        self.said.append({"action": action, "reasoning": reasoning, "evidence": list(evidence), "who": who})
        if name in self.refuse:
            return Outcome(accepted=False, text=f"There is no {name} now. Wait.")
        if name in self.ask:
            return Outcome(accepted=False, asked=True, text="A person is asked.")
        self.actions.append(action)
        return Outcome(accepted=True, text="It begins once this decision is over.")
