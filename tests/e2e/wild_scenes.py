"""Scenes of Wild Mode: loops as they stand, and what is done on the page to see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from playwright.sync_api import Page

from ragent_jupyter.domain.model import Usage
from ragent_jupyter.domain.run import MetricSummary, RunStatus
from ragent_jupyter.domain.sweep import SearchSpace, Sweep, SweepStatus, Trial
from ragent_jupyter.domain.wild import (
    Baseline,
    Candidate,
    Limits,
    LoopEvent,
    LoopTask,
    Option,
    Question,
    Seen,
    Spent,
    Stage,
    Verdict,
    Waiting,
)
from ragent_jupyter.domain.wire_wild import Summary

from .fake_door import NOW, a_day, make_run
from .fake_wild import SETUP, WildDoor, event, line, question

Scene = Callable[[Page], None]
LOOP = "wld_00000001"
BEST = {"lr": 0.0021, "dropout": 0.17, "optimizer": "adamw"}
LONG = "warmup_cosine_schedule_with_restarts_and_a_very_long_name_that_nobody_wanted" * 2
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> \u202egnp.exe\u202c"


def stay(_: Page) -> None:
    """Nothing is done: the scene is what stands there."""


def searched(door: WildDoor, n: int) -> None:
    """n runs of the loop's own sweeps, each with a value; the best falls as a search's does."""
    for purpose, first, last in (("baseline", 0, 5), ("search", 5, n)):
        sweep_id = f"swp_wild{purpose}"
        trials = []
        for i in range(first, min(last, n)):
            value = 0.31 + ((i * 7919) % 97) / 700 - min(0.1, i / 400)
            run = make_run(
                5000 + i, RunStatus.FINISHED, sweep_id=sweep_id, trial=i, ended_at=NOW - 6000 + 60 * i,
                params={"lr": round(3e-4 * (1 + i % 9), 5), "dropout": round(0.05 * (i % 7), 2), "seed": i % 5},
            )  # fmt: skip
            summary = {"val_loss": MetricSummary(last=value, step=2000, min=value, max=2.0, count=2000)}
            door.runs[run.id] = msgspec.structs.replace(run, summary=summary)
            trials.append(Trial(index=i, params=run.params, run_ids=[run.id]))
        door.sweeps[sweep_id] = Sweep(
            id=sweep_id, name=f"{purpose} 1", command="python train.py", cwd="/home/ada/projects/vision",
            created_at=NOW - 6000, space=SearchSpace(), status=SweepStatus.RUNNING, trials=trials, loop_id=LOOP,
            purpose=purpose,
        )  # fmt: skip


VERDICTS = [
    Verdict(
        params=BEST, verdict="confirmed", metric="val_loss", effect=-0.0412, ci=(-0.0588, -0.0236), p=0.004,
        p_holm=0.012, seeds=[1000, 1001, 1002, 1003, 1004], mean=0.2689, baseline_mean=0.3101, claimed=0.2611,
        why="Lower on all 5 fresh seeds.", runs=["run_00005007", "run_00005008"], sweep="swp_wildsearch",
    ),
    Verdict(
        params={"lr": 0.003, "dropout": 0.1, "optimizer": "sgd"}, verdict="not distinguishable", metric="val_loss",
        effect=-0.006, ci=(-0.024, 0.013), p=0.41, p_holm=0.82, seeds=[1000, 1001, 1002, 1003, 1004],
        why="The interval holds zero: luck explains it.",
    ),
    Verdict(
        params={"lr": 0.03, "dropout": 0.0}, verdict="worse", metric="val_loss", effect=0.051, ci=(0.02, 0.08),
        p=0.01, p_holm=0.02, seeds=[1000, 1001, 1002], why="Higher on all fresh seeds.",
    ),
    Verdict(
        params={"width": 384}, verdict="unconfirmed", metric="val_loss", effect=-0.02, seeds=[1000],
        why="The budget was too small for fresh seeds.", commit="4be1c90d12aa",
    ),
]  # fmt: skip


def an_entry(door: WildDoor, i: int, n: int) -> None:
    at = NOW - 20 * (n - i) - 40
    iteration = 1 + i * 3 // n
    usage = Usage(input=8200, output=640, cost=0.021)
    sweep = {"do": "propose_sweep", "name": f"search {i}", "purpose": "search", "reason": "TPE from the default",
             "points": [{"lr": 0.001}, {"lr": 0.002}, {"lr": 0.004}]}  # fmt: skip
    kinds: list[dict[str, Any]] = [
        {"by": "rule", "who": "rule:tpe", "action": sweep, "result": "3 runs were started.",
         "event": event(i, "explore"), "reasoning": "Two parameters explain most of the spread: lr and dropout.",
         "evidence": [Seen(kind="baseline", value=0.3101, text="mean of 5 seeds"),
                      Seen(kind="run", ref="run_00005007", value=0.2611)]},
        {"by": "model", "who": "anthropic:claude-sonnet-5", "usage": usage, "outcome": "refused",
         "action": {"do": "launch", "params": {"lr": 4.0}, "reason": "a bold try"},
         "result": "lr 4 lies outside 0.0001 … 0.1.", "event": event(i, "analysis", ref="swp_wildsearch")},
        {"by": "engine", "result": "search 1 is over: 12 finished, 1 failed.", "outcome": "noted"},
        {"by": "human", "who": "ada", "action": {"do": "wish", "wish": "steer", "text": "Keep batch_size at 128"},
         "outcome": "noted"},
        {"by": "rule", "who": "rule:nan_lowers_lr", "event": event(i, "critical", "val_loss became NaN at step 412"),
         "action": {"do": "resolve_alert", "alert": "alt_00000000", "choice": "retry_lower_lr",
                    "reason": "NaN at lr 0.01"}},
        {"by": "model", "who": "anthropic:claude-sonnet-5", "usage": usage, "outcome": "outcome_unknown",
         "result": "The engine ended while the model was asked; it was asked anew."},
    ]  # fmt: skip
    door.add_entry(LOOP, tell=False, at=at, iteration=iteration, **kinds[i % len(kinds)])


def entries(door: WildDoor, n: int) -> None:
    for i in range(n):
        an_entry(door, i, n)


def a_night(n: int = 30, **more: Any) -> WildDoor:
    """A loop in the middle of its work."""
    day = a_day(30)
    door = WildDoor(day.runs.values(), day.alerts.values(), day.sweeps.values())
    searched(door, 36)
    queue: list[LoopEvent] = [
        event(1, "critical", "val_loss became NaN at step 412 of search 3 (lr 0.08)", ref="alt_00000000"),
        event(2, "completion", ref="run_00005012"),
        event(3, "completion", ref="run_00005013"),
        event(4, "human", "Keep batch_size at 128"),
    ]
    fields: dict[str, Any] = {
        "queue": queue,
        "plan": [
            LoopTask(id="1", text="Measure the baseline on 5 seeds", state="done"),
            LoopTask(id="2", text="Screen 6 flags at 5 epochs", state="dropped"),
            LoopTask(id="3", text="Search lr, dropout and optimizer", state="doing"),
            LoopTask(id="4", text="Confirm the best 3 on fresh seeds"),
        ],
        "baseline": Baseline(runs=[], values=[0.31, 0.312], mean=0.3101, sigma=0.004, n=5),
        "best": Candidate(params=BEST, runs=["run_00005007"], value=0.2611),
        "sweeps": ["swp_wildbaseline", "swp_wildsearch"],
        "findings": ["dropout above 0.3 never helped", "sgd needs ten times the learning rate"],
        "session_id": "ses_a",
    }
    door.loop_of(LOOP, **(fields | more))
    door.session("ses_a", title="Wild: val_loss")
    door.counted[LOOP] = {"running": 2, "finished": 34, "failed": 1, "queued": 4}
    door.summaries[LOOP] = Summary(
        title="val_loss 0.2611 so far, not yet confirmed",
        tried=[line("41 runs: 5 baseline, 36 in 3 searches of lr, dropout and optimizer")],
        real=[line("Nothing is confirmed yet; the baseline is 0.3101 ± 0.004 over 5 seeds", "plain")],
        cost=[line("2 h 2 min, 11 CPU-hours, $0.42 for 19 calls of a model")],
        needs=[],
    )
    entries(door, n)
    return door


def ended(end: str, reason: str, **more: Any) -> WildDoor:
    spent = Spent(iterations=6, seconds=27_000, runs=100, tokens=402_000, cost_usd=1.07, model_calls=52)
    fields: dict[str, Any] = {
        "stage": Stage.ENDED, "end": end, "reason": reason, "ended_at": NOW - 1200, "queue": [], "iteration": 6,
        "created_at": NOW - 29_000, "spent": spent, "report": "reports/val_loss.ipynb",
    } | more  # fmt: skip
    door = a_night(**fields)
    door.counted[LOOP] = {"finished": 96, "failed": 3, "stopped": 1}
    return door


def _empty() -> tuple[WildDoor, Scene]:
    return WildDoor([make_run(0, RunStatus.FINISHED)]), stay


def _form() -> tuple[WildDoor, Scene]:
    def scene(page: Page) -> None:
        page.get_by_role("button", name="Start a loop").click()
        page.get_by_label("Goal").fill("Get val_loss as low as possible")
        page.get_by_role("button", name="Use the newest run").click()

    return WildDoor([make_run(0, RunStatus.FINISHED)]), scene


def _draft() -> tuple[WildDoor, Scene]:
    door, first = _form()
    door.asks = [
        Question(
            id="qst_1", text="Which metric decides? Runs log two that fit the goal.", ref="metric", about="setup",
            options=[Option("val_loss", "val_loss, lower"), Option("val/acc", "val/acc, higher")], default="val_loss",
            asked_at=NOW,
        )
    ]  # fmt: skip

    def scene(page: Page) -> None:
        first(page)
        page.get_by_role("button", name="Check", exact=True).click()
        page.wait_for_selector(".rg-knob")

    return door, scene


def _draft_bottom() -> tuple[WildDoor, Scene]:
    door, first = _draft()

    def scene(page: Page) -> None:
        first(page)
        page.get_by_role("button", name="Start loop").scroll_into_view_if_needed()

    return door, scene


def _running() -> tuple[WildDoor, Scene]:
    return a_night(), stay


def _opened() -> tuple[WildDoor, Scene]:
    def scene(page: Page) -> None:
        row = page.locator(".rg-entry", has_text="Sweep search").first
        row.locator("summary").first.click()
        row.get_by_text("Action as it was decided").click()
        row.scroll_into_view_if_needed()

    return a_night(), scene


def _asks() -> tuple[WildDoor, Scene]:
    return a_night(question=question(), stage=Stage.EXPLORING), stay


def _waits() -> tuple[WildDoor, Scene]:
    why = "The model's provider answers 529 (overloaded)."
    return a_night(waiting=Waiting(until=NOW + 340, why=why, tries=4), stage=Stage.ANALYZING), stay


def _paused() -> tuple[WildDoor, Scene]:
    spent = Spent(iterations=3, seconds=3320.0, runs=41, tokens=182_000, cost_usd=0.42, model_calls=19)
    return a_night(paused=True, reason="Paused by ada.", spent=spent), stay


def _complete() -> tuple[WildDoor, Scene]:
    commits = ["a11ce5ba5e00", "4be1c90d12aa"]
    door = ended(
        "complete", "The gain is confirmed and nothing is left to try.", verdicts=VERDICTS, commits=commits,
        branch="ragent/wild-1",
    )  # fmt: skip
    door.summaries[LOOP] = Summary(
        title="val_loss 0.2689, 13 % below the baseline, confirmed",
        tried=[line("100 runs: 5 baseline, 80 in 6 searches, 15 on fresh seeds; 3 failed")],
        real=[
            line("lr 0.0021, dropout 0.17: −0.0412 (−0.0588 … −0.0236) on 5 fresh seeds", "good", "run_00005007"),
            line("sgd at lr 0.003 is not distinguishable from the baseline", "plain"),
            line("lr 0.03 is worse", "bad"),
        ],
        cost=[line("7 h 30 min, 42 CPU-hours, $1.07 for 52 calls of a model")],
        needs=[line("Merge 4be1c90d12, or leave it", "wait")],
    )
    door.loop_of("wld_00000000", goal="Halve the training time at equal accuracy", created_at=NOW - 200_000,
                 stage=Stage.ENDED, end="budget", budget="hours", ended_at=NOW - 171_000)  # fmt: skip
    door.loop_of("wld_0000000a", goal="Find out why seed 3 diverges", created_at=NOW - 400_000,
                 stage=Stage.ENDED, end="failed", reason="No run has finished.", ended_at=NOW - 399_000)  # fmt: skip
    return door, stay


def _code() -> tuple[WildDoor, Scene]:
    door, _ = _complete()

    def scene(page: Page) -> None:
        page.get_by_role("button", name="Merge…").click()
        page.get_by_role("button", name="Merge into my branch").scroll_into_view_if_needed()

    return door, scene


def _budget() -> tuple[WildDoor, Scene]:
    spent = Spent(iterations=6, seconds=19_000, runs=100, cost_usd=None)
    door = ended("budget", "All 100 runs are spent; the best was not confirmed.", budget="runs", spent=spent)
    return door, stay


def _limits() -> tuple[WildDoor, Scene]:
    door, _ = _budget()
    return door, lambda page: page.get_by_role("button", name="Raise limits, go on…").click()


def _failed() -> tuple[WildDoor, Scene]:
    door = ended("failed", "3 runs in a row ended with the same error: No module named 'torch'.", best=None)
    return door, stay


def _null() -> tuple[WildDoor, Scene]:
    door = ended("complete", "Nothing that was tried is better than the baseline.", verdicts=VERDICTS[1:3], best=None)
    door.summaries[LOOP] = Summary(
        title="No change is better than the baseline",
        tried=[line("100 runs over lr, dropout and optimizer")],
        real=[line("The baseline, 0.3101 ± 0.004, stands: the best candidate's gain is within its noise", "plain")],
        cost=[line("7 h 30 min, $1.07")],
        needs=[],
    )
    return door, stay


def _new() -> tuple[WildDoor, Scene]:
    door = a_night(
        0, stage=Stage.EXPLORING, queue=[], plan=[], best=None, baseline=None, findings=[], iteration=0,
        created_at=NOW - 20, spent=Spent(since=NOW - 20), limits=Limits(), session_id="",
    )  # fmt: skip
    door.sweeps = {}
    door.counted, door.summaries = {}, {}
    return door, stay


def _many() -> tuple[WildDoor, Scene]:
    return a_night(3000, queue=[event(i, "completion", ref=f"run_{5000 + i:08d}") for i in range(60)]), stay


def _long() -> tuple[WildDoor, Scene]:
    door = a_night(
        12, goal=LONG + " and then some words about what it is for, again and again" * 4,
        queue=[event(1, "human", LONG), event(2, "critical", LONG)],
        plan=[LoopTask(id="1", text=LONG, state="doing")],
        best=Candidate(params={LONG: 0.1}, runs=[], value=0.2),
        verdicts=[msgspec.structs.replace(VERDICTS[0], params={LONG: 1}, why=LONG)],
        setup=msgspec.structs.replace(SETUP, metric=LONG),
        question=question(text=LONG, options=[Option("a", LONG), Option("b", "No")], default="a"),
    )  # fmt: skip
    door.summaries[LOOP] = Summary(title=LONG, tried=[line(LONG)], real=[], cost=[], needs=[])
    return door, stay


def hostile() -> WildDoor:
    door = a_night(
        0, goal=EVIL, queue=[event(1, "human", EVIL)], plan=[LoopTask(id="1", text=EVIL)],
        question=question(text=EVIL, options=[Option("a", EVIL)], default="a", held=[{"do": EVIL, "reason": EVIL}]),
        verdicts=[msgspec.structs.replace(VERDICTS[0], params={EVIL: EVIL}, why=EVIL)], findings=[EVIL],
        setup=msgspec.structs.replace(SETUP, metric=EVIL), reason=EVIL, branch=EVIL, commits=["a", EVIL],
    )  # fmt: skip
    door.summaries[LOOP] = Summary(title=EVIL, tried=[line(EVIL, "good", EVIL)], real=[], cost=[], needs=[])
    odd: list[Any] = [EVIL, ["a"], {"do": 7}, {"do": "wish"}, {"do": "propose_sweep", "points": EVIL, "name": 3}, None]
    for action in odd:
        door.add_entry(LOOP, tell=False, who=EVIL, reasoning=EVIL, result=EVIL, action=action,
                       evidence=[Seen(kind=EVIL, ref=EVIL, value={"a": EVIL}, text=EVIL)])  # fmt: skip
    return door


def _hostile() -> tuple[WildDoor, Scene]:
    return hostile(), stay


def _other() -> tuple[WildDoor, Scene]:
    """The line under the status, on another tab."""
    return a_night(question=question()), lambda page: page.locator(".rg-tab").nth(1).click()


WILD_SCENES: dict[str, Callable[[], tuple[WildDoor, Scene]]] = {
    "empty": _empty, "form": _form, "draft": _draft, "draftend": _draft_bottom, "running": _running,
    "opened": _opened, "asks": _asks, "waits": _waits, "paused": _paused, "complete": _complete, "code": _code,
    "budget": _budget, "limits": _limits, "failed": _failed, "null": _null, "new": _new, "many": _many,
    "long": _long, "hostile": _hostile, "other": _other,
}  # fmt: skip
