"""A wild loop as it stands in the record after a night, made by hand: what reports and summaries are tested on."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ragent_jupyter.domain.alert import Alert, AlertStatus, Evidence, Severity
from ragent_jupyter.domain.metrics import Series
from ragent_jupyter.domain.sweep import Range, Values
from ragent_jupyter.domain.wild import (
    Candidate,
    Entry,
    Knob,
    Limits,
    Loop,
    LoopEvent,
    Setup,
    Spent,
    Stage,
    TrialView,
    View,
)
from ragent_jupyter.domain.wild_report import RunFact, WildData
from ragent_jupyter.rules import confirm
from ragent_jupyter.rules.noise import baseline as baseline_of

BEGAN = 1_700_000_000.0
BASE = "ba5e" * 10
CODE = "c0de" * 10
SETUP = Setup(
    command="python train.py",
    cwd="/home/ada/project",
    metric="val_loss",
    mode="min",
    space={
        "lr": Knob(dim=Range(low=0.001, high=1.0, log=True), default=0.1, why="named like a learning rate"),
        "wd": Knob(dim=Values([0.0, 0.01]), default=0.0),
    },
    seed="seed",
    isolation="tree",
)


def noise(seed: int) -> float:
    """What a seed adds: within ±0.003, and different for each of the first thirteen."""
    return ((seed * 7919) % 13 - 6) * 0.0005


def value(lr: float, wd: float, seed: int) -> float:
    """0.3 for the default, 0.2 at lr 0.3; wd 0.01 adds nothing."""
    return round(0.2 + 0.5 * abs(lr - 0.3) + noise(seed) + 0.0001 * ((seed * 31 + int(lr * 1000)) % 7), 6)


class Night:
    """Builds the trials in order; every run gets an id that says which one it is."""

    def __init__(self, setup: Setup = SETUP) -> None:
        self.setup = setup
        self.trials: list[TrialView] = []

    def run(self, sweep: str, purpose: str, params: dict[str, Any], seed: int, **more: Any) -> TrialView:
        lr, wd = params.get("lr", 0.1), params.get("wd", 0.0)
        fields: dict[str, Any] = {
            "run": f"run_{len(self.trials) + 1:02d}",
            "sweep": sweep,
            "purpose": purpose,
            "index": sum(t.sweep == sweep for t in self.trials),
            "params": params,
            "status": "finished",
            "seed": seed,
            "value": value(lr, wd, seed),
            "seconds": 12.5,
            "commit": BASE,
            **more,
        }
        made = TrialView(**fields)
        self.trials.append(made)
        return made

    def baseline(self, n: int = 5) -> None:
        for seed in range(n):
            self.run("swp_base", "baseline", {}, seed)

    def search(self) -> None:
        for lr in (0.03, 0.2, 0.5, 0.3, 0.25):
            self.run("swp_search", "search", {"lr": lr, "wd": 0.01 if lr == 0.3 else 0.0}, 0)
        self.run(
            "swp_search",
            "search",
            {"lr": 1.0},
            0,
            status="failed",
            value=None,
            failure="nan",
            reason="loss became NaN.",
        )
        self.run(
            "swp_search",
            "search",
            {"lr": 0.9},
            0,
            status="failed",
            value=None,
            failure="exit",
            reason="It ended with exit code 1.",
            log_line="ValueError: `lr` is <b>too large</b>",
        )

    def confirm(self, candidates: list[dict[str, Any]], n: int = 5, commit: str = BASE) -> None:
        for params in [*candidates, {}]:
            for i in range(n):
                self.run("swp_confirm", "confirm", params, 1000 + i, commit=commit if params else BASE)

    def explain(self) -> None:
        for i in range(5):
            self.run("swp_explain", "explain", {"lr": 0.3}, 1000 + i)
        for i in range(5):
            self.run("swp_explain", "explain", {"wd": 0.01}, 1000 + i)


def loop_of(night: Night, **more: Any) -> Loop:
    fields: dict[str, Any] = {
        "id": "wld_1",
        "goal": "Lower val_loss of train.py",
        "created_at": BEGAN,
        "setup": night.setup,
        "limits": Limits(runs=100, hours=8.0),
        "spent": Spent(iterations=3, seconds=7200.0, cpu_seconds=5400.0, disk_bytes=2_500_000, runs=len(night.trials)),
        "sweeps": list(dict.fromkeys(t.sweep for t in night.trials)),
        "iteration": 3,
        "commits": [BASE],
        "branch": "ragent/wld_1",
        **more,
    }
    return Loop(**fields)


def judged(night: Night, **more: Any) -> Loop:
    """The loop with its baseline and verdicts, by the rules themselves."""
    loop = loop_of(night)
    base = baseline_of(View(loop=loop, trials=night.trials, alerts=[], now=BEGAN))
    loop = replace(loop, baseline=base)
    said = confirm.verdicts(View(loop=loop, trials=night.trials, alerts=[], now=BEGAN), "swp_confirm")
    return replace(loop, verdicts=said, **more)


def over(end: str = "complete", reason: str = "", **more: Any) -> dict[str, Any]:
    return {"stage": Stage.ENDED, "end": end, "reason": reason, "ended_at": BEGAN + 9000.0, **more}


def night_with_gain() -> tuple[Loop, Night]:
    night = Night()
    night.baseline()
    night.search()
    night.confirm([{"lr": 0.3, "wd": 0.01}, {"lr": 0.1, "wd": 0.01}])
    night.explain()
    return judged(night, **over(reason="The goal is reached.")), night


def best_of(night: Night) -> Candidate:
    found = min((t for t in night.trials if t.purpose == "search" and t.value is not None), key=lambda t: t.value or 0)
    return Candidate(params=found.params, runs=[found.run], value=found.value or 0.0, commit=found.commit)


def alert(status: AlertStatus = AlertStatus.PENDING, severity: Severity = Severity.CRITICAL) -> Alert:
    return Alert(
        id="alt_1",
        run_id="run_11",
        rule="non_finite",
        severity=severity,
        title="loss became NaN at step 412",
        raised_at=BEGAN + 60,
        evidence=Evidence(metric="loss", step=412, value="nan"),
        status=status,
        choice="stop" if status is AlertStatus.RESOLVED else None,
        answered_by="rule:nan_lowers_lr" if status is AlertStatus.RESOLVED else None,
    )


def series_of(trials: list[TrialView], metric: str = "val_loss") -> list[Series]:
    """Ten steps down to each run's value."""
    found = []
    for trial in trials:
        if trial.value is not None:
            values: list[float | None] = [trial.value + 0.5 * (9 - step) / 9 for step in range(10)]
            values[-1] = trial.value
            found.append(Series(run=trial.run, name=metric, x=[float(s) for s in range(10)], last=values, raw=True))
    return found


def entry(n: int, by: Any = "rule", action: Any = None, **more: Any) -> Entry:
    fields: dict[str, Any] = {
        "id": f"ent_{n}",
        "loop_id": "wld_1",
        "n": n,
        "at": BEGAN + 60.0 * n,
        "by": by,
        "stage": "exploring",
        "iteration": 1,
        "action": action,
        **more,
    }
    return Entry(**fields)


LEDGER = [
    entry(1, "human", {"do": "wish", "wish": "create", "goal": "Lower val_loss of train.py"}, who="ada"),
    entry(2, action={"do": "propose_sweep", "name": "baseline", "points": [{}] * 5, "purpose": "baseline"}),
    entry(3, action={"do": "analyse", "text": "the noise is 0.002"}, outcome="noted"),
    entry(
        4,
        "model",
        {
            "do": "edit_code",
            "summary": "warm up",
            "hypothesis": "early steps diverge",
            "edits": [{"path": "train.py", "old": "lr = 0.1", "new": "lr = 0.1 * warm"}],
        },
        outcome="refused",
        result="train.py may not be changed.",
        event=LoopEvent(id="explore:1", kind="explore", at=BEGAN, order=90.0),
        reasoning="The first steps are the worst ones.",
    ),
    entry(5, action={"do": "promise", "word": "COMPLETE", "text": "the goal is reached"}),
]


def data_of(loop: Loop, night: Night, **more: Any) -> WildData:
    fields: dict[str, Any] = {
        "view": View(loop=loop, trials=night.trials, alerts=[alert(AlertStatus.RESOLVED)], now=BEGAN + 9000.0),
        "runs": [
            RunFact(
                id=t.run,
                command=f"python train.py --seed {t.seed}",
                commit=t.commit,
                tree=True,
                python="3.11.7 (/usr/bin/python3)",
                executor="process",
            )
            for t in night.trials
        ],
        "series": series_of(night.trials),
        "ledger": LEDGER,
        "entries": 9,
        "environment": {"ragent": "0.4.0", "machine": "Linux x86_64, 2 cores"},
        "project": "/home/ada/project",
        **more,
    }
    return WildData(**fields)
