"""A small wild loop to try rules on: one knob on a logarithm, one of choices, one whole number."""

from __future__ import annotations

import random
from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.alert import Alert, Choice, Severity
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import Knob, Limits, Loop, LoopEvent, Setup, Stage, TrialView, View

SETUP = Setup(
    command="python train.py",
    cwd="/p",
    metric="val_loss",
    seed="seed",
    fidelity="epochs",
    full=10,
    isolation="tree",
    may_edit=["train.py", "src/**"],
    eval_files=["evaluate.py", "data"],
    flags={"out": "--out {value}"},
    space={
        "lr": Knob(dim=Range(low=0.001, high=1.0, log=True), default=0.1),
        "act": Knob(dim=Values(["relu", "tanh"]), default="relu"),
        "width": Knob(dim=Range(low=8, high=256, integer=True, log=True), default=64),
    },
)
LOOP = Loop(
    id="wld_1",
    goal="lower val_loss",
    created_at=0.0,
    setup=SETUP,
    autonomy="full",
    stage=Stage.EXPLORING,
    commits=["a" * 40],
    sweeps=["swp_base", "swp_1", "swp_2", "swp_3"],
)
EXPLORE = LoopEvent(id="e", kind="explore", at=0.0, order=90.0)
STOP, IGNORE = Choice("stop", "stop", "Stop the run"), Choice("ignore", "ignore", "Leave it")


def loop(setup: dict[str, Any] | None = None, **fields: Any) -> Loop:
    return replace(LOOP, setup=replace(SETUP, **(setup or {})), **fields)


def view(trials: list[TrialView] | None = None, *, of: Loop = LOOP, **fields: Any) -> View:
    return View(loop=of, trials=list(trials or []), alerts=fields.pop("alerts", []), now=0.0, **fields)


def event(kind: Any, ref: str = "") -> LoopEvent:
    return LoopEvent(id="e", kind=kind, at=0.0, order=0.0, ref=ref)


def trial(run: str, purpose: str = "search", sweep: str = "", value: float | None = None, **fields: Any) -> TrialView:
    told = {"status": "finished", "index": 0, "params": {}, "commit": "a" * 40, **fields}
    place = {"baseline": "swp_base", "search": "swp_1", "confirm": "swp_2"}.get(purpose, "swp_1")
    return TrialView(run=run, sweep=sweep or place, purpose=purpose, value=value, **told)


def base_runs(values: list[float], first: int = 1000, **fields: Any) -> list[TrialView]:
    return [trial(f"run_b{i}", "baseline", value=v, seed=first + i, **fields) for i, v in enumerate(values)]


def confirm_runs(
    arms: dict[float | None, list[float]], seeds: list[int], sweep: str = "swp_2", **fields: Any
) -> list[TrialView]:
    """Runs of a confirm sweep. arms: the learning rate (None: the default) -> a value for each seed."""
    return [
        trial(f"{sweep}_{lr}_{s}", "confirm", sweep, v, seed=s, params={} if lr is None else {"lr": lr}, **fields)
        for lr, values in arms.items()
        for s, v in zip(seeds, values, strict=True)
    ]


def alert(severity: Severity = Severity.CRITICAL, run: str = "run_1", **fields: Any) -> Alert:
    told: dict[str, Any] = {"choices": [STOP, IGNORE], "default": "ignore", **fields}
    return Alert(
        id="alt_1", run_id=run, rule="spike", severity=severity, title="val_loss jumped", raised_at=0.0, **told
    )


def limited(of: Loop = LOOP, **limits: Any) -> Loop:
    return replace(of, limits=Limits(**limits))


def noisy_night(rng: random.Random, *, effect: float, n: int, looked_at: int = 40) -> tuple[View, str]:
    """A whole loop on a metric of mean 10 and sigma 1: baseline, search, the best 3 confirmed on n fresh seeds.

    effect: by how many sigma every searched configuration is really better.
    """
    from ragent_jupyter.rules.confirm import candidates, plan_seeds

    def drawn(by: float = 0.0) -> float:
        return rng.gauss(10.0 - by, 1.0)

    trials = base_runs([drawn() for _ in range(5)])
    trials += [
        trial(f"run_s{i}", value=drawn(effect), seed=1000, params={"lr": 0.001 * 1.1**i}) for i in range(looked_at)
    ]
    seen = view(trials)
    chosen, seeds = candidates(seen, 3), plan_seeds(seen, n)
    arms: dict[float | None, list[float]] = {None: [drawn() for _ in seeds]}
    arms |= {c.params["lr"]: [drawn(effect) for _ in seeds] for c in chosen}
    return view([*trials, *confirm_runs(arms, seeds)]), "swp_2"
