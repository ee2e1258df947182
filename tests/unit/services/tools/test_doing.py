"""Launching, sweeping, stopping, answering: shown exactly before, done once, told as it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ragent_jupyter.domain.alert import AlertStatus
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, RagentError, WrongMoment
from ragent_jupyter.domain.run import Interpreter, RunStatus

from .hands import Hands


def test_the_preview_of_a_launch_is_what_is_then_launched(hands: Hands) -> None:
    (hands.project / "src").mkdir()
    args = {
        "command": "python train.py --lr 0.1", "params": {"lr": 0.3, "bs": 8}, "cwd": "src", "gpus": 1,
        "env": {"HF_TOKEN": "hf_abcdef123456"}, "primary": "val_loss", "name": "my\nrun",
    }  # fmt: skip
    shown = hands.look("launch_run", **args)
    assert shown.command == "python train.py --lr 0.3 --bs 8" and shown.cwd == str(hands.project / "src")
    assert shown.pattern == "launch_run"
    python = hands.runs.interpreters.resolve(None, None).path
    assert shown.details == [
        f"interpreter: {python}", "executor: process", "GPUs: 1", "parameters: lr=0.3, bs=8",
        "environment: HF_TOKEN=•••3456", "judged by: val_loss (min)", "name: my run",
    ]  # fmt: skip
    assert not any("abcdef" in line for line in shown.details)
    run = hands.shell.runs[hands.do("launch_run", **args).data["run"]]
    assert (run.command, run.cwd, run.params, run.gpus) == (shown.command, shown.cwd, {"lr": 0.3, "bs": 8}, 1)
    assert run.env == {"HF_TOKEN": "hf_abcdef123456"} and run.status is RunStatus.QUEUED


def test_the_same_call_twice_is_one_run(hands: Hands) -> None:
    async def go() -> None:
        ctx = hands.context("prt_7")
        twice = await asyncio.gather(*(hands.call("launch_run", ctx, command="sleep 1") for _ in range(5)))
        assert len({one.data["run"] for one in twice}) == 1 == len(hands.shell.runs)
        await hands.call("launch_run", hands.context("prt_8"), command="sleep 1")
        assert len(hands.shell.runs) == 2

    asyncio.run(go())


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"command": "  "}, "command is empty"),
        ({"command": "a\0b"}, "NUL"),
        ({"command": "x" * 300_000}, "256 KiB"),
        ({"command": "ls", "cwd": "nowhere"}, "does not exist"),
        ({"command": "ls", "executor": "moon"}, "no executor 'moon'"),
        ({"command": "ls", "gpus": -1}, "cannot be asked for"),
        ({"command": "none.ipynb"}, "no notebook none.ipynb"),
    ],
)
def test_what_cannot_be_launched_is_refused_before_anybody_is_asked(
    hands: Hands, args: dict[str, object], problem: str
) -> None:
    with pytest.raises(RagentError, match=problem):
        hands.look("launch_run", **args)
    assert not hands.shell.runs


def test_a_script_keeps_the_python_that_it_worked_with(hands: Hands, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    hands.run("run_a", command="python train.py", cwd=str(hands.project), interpreter=Interpreter(str(python)))
    assert f"interpreter: {python}" in hands.look("launch_run", command="python train.py --lr 1").details
    assert f"interpreter: {python}" not in hands.look("launch_run", command="python other.py").details
    python.unlink()
    assert f"interpreter: {python}" not in hands.look("launch_run", command="python train.py --lr 1").details


def test_a_retry_changes_what_was_asked_and_needs_an_end(hands: Hands) -> None:
    hands.run("run_a", command="python train.py --lr 0.3", params={"lr": 0.3}, executor="process", cwd="/")
    assert hands.look("retry_run", run=1, set={"lr": 0.1}).command == "python train.py --lr 0.1"
    made = hands.shell.runs[hands.do("retry_run", run="run_a", set={"lr": 0.1}).data["run"]]
    assert (made.retry_of, made.params, made.command) == ("run_a", {"lr": 0.1}, "python train.py --lr 0.1")
    hands.live("run_b", at=9e9)
    with pytest.raises(WrongMoment, match="not over"):
        hands.look("retry_run", run="run_b")


def test_stop(hands: Hands) -> None:
    hands.live("run_a", command="sleep 9")
    shown = hands.look("stop_run", run=1, now=True)
    assert shown.danger and shown.command == "sleep 9" and shown.pattern == "stop_run"
    assert not hands.look("stop_run", run=1).danger
    assert "is being stopped" in hands.do("stop_run", run=1).text
    assert hands.shell.runs["run_a"].stop_by == "assistant for ada"
    hands.run("run_b", at=1.0)
    with pytest.raises(WrongMoment, match="over already"):
        hands.do("stop_run", run="run_b")


def test_a_preview_does_not_change_while_a_person_reads_it(hands: Hands) -> None:
    hands.live("run_a")
    before = hands.look("stop_run", run=1)
    hands.desks.clock.at += 60
    assert hands.look("stop_run", run=1) == before


# --- sweeps -------------------------------------------------------------------------------------------------------
SWEEP = {
    "command": "python train.py",
    "parameters": {"lr": [0.1, 0.01], "bs": {"low": 8, "high": 16, "step": 8}},
    "primary": "val_loss",
    "parallel": 2,
}


def test_a_sweep_is_shown_whole_and_made_once(hands: Hands) -> None:
    shown = hands.look("create_sweep", **SWEEP)
    assert shown.title == "Create a sweep of 4 runs and start it" and shown.command == "python train.py"
    assert "runs: 4, 2 at once, the first one alone to see that it works" in shown.details
    assert "space (grid): lr in [0.1, 0.01]; bs in 8..16 step 8 (integers)" in shown.details
    assert "first: python train.py --lr 0.1 --bs 8" in shown.details and "judged by: val_loss (min)" in shown.details

    async def go() -> None:
        ctx = hands.context("prt_s")
        made = [await hands.call("create_sweep", ctx, **SWEEP, start=False) for _ in range(2)]
        assert made[0].data == made[1].data and len(hands.shell.sweeps) == 1

    asyncio.run(go())
    (sweep,) = hands.shell.sweeps.values()
    assert sweep.trials[0].params == {"lr": 0.1, "bs": 8} and sweep.status.value == "ready"
    assert "Start a sweep of 4 runs" in hands.look("start_sweep", sweep=1).title
    assert "status running" in hands.do("start_sweep", sweep=sweep.id).text
    with pytest.raises(WrongMoment, match="is running"):
        hands.look("start_sweep", sweep=1)
    text = hands.do("show_sweep", sweep="latest").text
    assert "trial | lr | bs | run | status" in text and "1 | 0.1 | 8 | run_" in text
    assert "no finished run has logged val_loss yet" in text
    assert "status stopped" in hands.do("stop_sweep", sweep=1).text
    with pytest.raises(WrongMoment, match="already stopped"):
        hands.look("stop_sweep", sweep=1)
    assert sweep.id in hands.do("list_sweeps").text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"command": " "}, "command is empty"),
        ({"parameters": {}}, "no parameters"),
        ({"parameters": {"lr": []}}, "has no values"),
        ({"parameters": {"lr": {"low": 1, "high": 0}}}, "is not a range"),
        ({"parameters": {"lr": {"low": 0.1, "high": 0.2}}}, "without step or num"),
        ({"parallel": 0}, "parallel is 0"),
        ({"max_runs": 0}, "max_runs is 0"),
        ({"method": "list"}, "takes points"),
        ({"points": [{"lr": 1}]}, "takes parameters"),
    ],
)
def test_an_impossible_sweep_is_refused_before_anybody_is_asked(
    hands: Hands, change: dict[str, object], problem: str
) -> None:
    with pytest.raises((BadInput, CannotBeDone), match=problem):
        hands.look("create_sweep", **{**SWEEP, **change})


def test_a_sweep_from_points_and_one_by_chance(hands: Hands) -> None:
    shown = hands.look("create_sweep", command="x", points=[{"lr": 0.1}, {"lr": 0.2, "act": "relu"}])
    assert "space (list): lr=0.1; lr=0.2, act=relu" in shown.details
    space = {"lr": {"low": 1e-4, "high": 0.1, "log": True}, "n": {"low": 1, "high": 3}}
    shown = hands.look("create_sweep", command="x", parameters=space, method="random", max_runs=5)
    assert "Create a sweep of 5 runs" in shown.title
    assert "space (random): lr in 0.0001..0.1 (log); n in 1..3 (integers)" in shown.details


def test_no_sweep_is_there(hands: Hands) -> None:
    assert "no sweeps" in hands.do("list_sweeps").text
    with pytest.raises(NotFound, match="no sweeps yet"):
        hands.do("show_sweep", sweep=3)


# --- alerts -------------------------------------------------------------------------------------------------------
def test_alerts_are_told_with_their_choices(hands: Hands) -> None:
    hands.alert(hands.live("run_a"))
    text = hands.do("list_alerts").text
    for said in (
        "alt_000000000001 | critical | pending | run_a | loss became NaN at step 412", "loss = nan @ step 412",
        "from metrics.jsonl offset 9", "choice ignore (the safe one)", "choice stop: Stop run: the run is stopped",
        "choice retry_lower_lr: Lower lr to 0.03 and retry: the run is stopped, if it lives, and run again with lr",
    ):  # fmt: skip
        assert said in text, text
    assert "No pending alert" in hands.do("list_alerts", severity="info").text
    assert "1 are pending" in hands.do("list_alerts", status="resolved").text
    with pytest.raises(NotFound):
        hands.do("list_alerts", run="run_zzz")


def test_answering_does_what_the_choice_says_once(hands: Hands) -> None:
    hands.alert(hands.live("run_a", command="python t.py --lr 0.1"))
    shown = hands.look("answer_alert", alert="alt_0000", choice="retry_lower_lr")
    assert "what it does: the run is stopped, if it lives, and run again with lr=0.03" in shown.details
    assert "other choice: stop: the run is stopped with grace (INT, TERM, KILL)" in shown.details
    with pytest.raises(BadInput, match="has no choice") as error:
        hands.look("answer_alert", alert="alt_000000000001", choice="Stop")
    assert "stop (Stop run)" in error.value.remedy
    outcome = hands.do("answer_alert", alert="alt_000000000001", choice="stop")
    assert "is resolved with stop" in outcome.text and "Run run_a is stopping" in outcome.text
    answered = hands.shell.alerts["alt_000000000001"]
    assert (answered.status, answered.answered_by) == (AlertStatus.RESOLVED, "assistant for ada")
    assert "is resolved" in hands.do("answer_alert", alert="alt_000000000001", choice="stop").text
    with pytest.raises(WrongMoment, match="already answered"):
        hands.do("answer_alert", alert="alt_000000000001", choice="ignore")
