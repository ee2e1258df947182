"""Wild Mode by the built-in policy, over the wire, with real runs: a whole night in seconds, and what people wish of
it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotAllowed, NotFound, WrongMoment
from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.sweep import Range
from ragent_jupyter.domain.wild import Knob, Limits, Loop
from ragent_jupyter.domain.wire_wild import CreateLoop, JournalReply
from tests.support.engine import Project

pytestmark = pytest.mark.timeout(180)

# A valley in lr with noise that the seed decides; wd only hurts. Two lines of metrics a run, a fifth of a second.
SCRIPT = """
import argparse, json, math, os, random, time
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.01)
p.add_argument("--wd", type=float, default=0.0)
p.add_argument("--seed", type=int, default=0)
p.add_argument("--steps", type=int, default=5)
a = p.parse_args()
noise = random.Random(a.seed)
with open(os.environ["RAGENT_METRICS_FILE"], "a") as f:
    for step in range(1, a.steps + 1):
        loss = 0.2 + 0.3 * (math.log10(a.lr) + 1) ** 2 + 2 * a.wd + noise.gauss(0, 0.02) + 0.1 / step
        f.write(json.dumps({"step": step, "val_loss": loss}) + "\\n")
        f.flush()
        time.sleep(float(os.environ.get("STEP_S", "0.01")))
"""


def begin(one: Project, goal: str = "lower val_loss", **fields: Any) -> Loop:
    command = one.script("train.py", SCRIPT)
    fields.setdefault("limits", Limits(runs=24))
    body = CreateLoop(
        goal=goal, command=fields.pop("command", command), caller_python=sys.executable, executor="process",
        parallel=2, **fields,
    )  # fmt: skip
    return one.client.create_loop(body)


def ended(one: Project, loop: Loop, timeout: float = 90.0) -> Loop:
    return one.until(
        lambda: (now := one.client.loop(loop.id).loop).over and now.report and now, timeout, "the loop to end"
    )  # type: ignore[no-any-return]


def test_a_whole_night_finds_what_is_there_and_says_only_what_was_confirmed(one: Project) -> None:
    loop = ended(one, begin(one))
    assert (loop.end, loop.budget, loop.spent.since) == ("complete", "", None)
    assert loop.setup.metric == "val_loss" and loop.setup.mode == "min"
    assert loop.baseline is not None and loop.baseline.n >= 3
    [verdict] = loop.verdicts
    assert verdict.verdict == "confirmed" and verdict.effect is not None and verdict.effect < -0.1
    assert len(verdict.seeds) == 5 and len(verdict.runs) == len(verdict.baseline_runs) == 5
    runs = {run.id: run for run in one.client.all_runs()}
    assert len(runs) <= 24 and loop.spent.runs == len(runs)
    # Fresh seeds: none of them had been used before the confirm stage.
    sweeps = {sweep.id: sweep for sweep in one.client.sweeps()}
    early = [sweeps[id] for id in loop.sweeps if sweeps[id].purpose in ("baseline", "search")]
    before = {runs[id].params["seed"] for sweep in early for trial in sweep.trials for id in trial.run_ids}
    assert before.isdisjoint(verdict.seeds)
    # The numbers are the runs' own.
    recorded = [one.points(run, "val_loss")[-1][1] for run in verdict.runs]
    assert verdict.values == pytest.approx(recorded)
    journal = one.client.journal(loop.id)
    assert [entry.n for entry in journal.entries] == list(range(1, journal.total + 1))
    assert {entry.by for entry in journal.entries} == {"human", "rule", "engine"}
    assert Path(loop.report).exists()
    summary = one.client.loop(loop.id).summary
    assert any("onfirmed" in line.text for line in summary.real)


def test_the_ledger_is_exported_a_line_an_entry(one: Project) -> None:
    loop = ended(one, begin(one, limits=Limits(runs=5)))
    done = subprocess.run(
        [sys.executable, "-m", "ragent_jupyter.cli.main", "wild", "journal", loop.id, "--jsonl", "-C", str(one.folder)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["n"] for line in lines] == list(range(1, one.client.loop(loop.id).loop.entries + 1))

    def page(**query: int) -> tuple[list[int], int]:
        reply = one.client.get(f"wild/{loop.id}/journal", type=JournalReply, query=query)
        return [entry.n for entry in reply.entries], reply.total

    assert page(limit=2) == ([1, 2], len(lines)) and page(after=3, limit=1) == ([4], len(lines))
    assert page(limit=10**9)[0] == [line["n"] for line in lines]
    for odd in (0, -1):
        with pytest.raises(BadInput, match="limit"):
            page(limit=odd)


@pytest.mark.parametrize(
    ("limits", "budget"),
    [
        (Limits(runs=4), "runs"),
        (Limits(iterations=1), "iterations"),
        (Limits(hours=2 / 3600), "hours"),
        (Limits(cpu_hours=0.2 / 3600), "cpu_hours"),
        (Limits(disk_gb=0.00005), "disk_gb"),
    ],
)
def test_each_limit_ends_it_with_its_own_reason(one: Project, limits: Limits, budget: str) -> None:
    loop = ended(one, begin(one, limits=limits))
    assert (loop.end, loop.budget) in (("budget", budget), ("complete", ""))
    if budget != "iterations":  # the last one may be confirmed and explained, which makes it complete
        assert loop.end == "budget" and loop.reason
    one.until(lambda: all(run.status.terminal for run in one.client.all_runs()), what="what it had begun to be over")
    if limits.runs:
        assert len(one.client.all_runs()) <= limits.runs


def test_a_limit_that_is_raised_lets_it_go_on_with_the_same_plan(one: Project) -> None:
    loop = ended(one, begin(one, limits=Limits(runs=4)))
    sweeps = loop.sweeps
    with pytest.raises(NotAllowed):
        one.client.limits_loop(loop.id, {"runs": 24})
    one.client.door = "terminal"
    again = one.client.limits_loop(loop.id, {"runs": 24})
    assert not again.over
    loop = ended(one, loop)
    assert loop.end == "complete" and loop.sweeps[: len(sweeps)] == sweeps
    assert any(v.verdict == "confirmed" for v in loop.verdicts)


def test_pause_starts_nothing_and_resume_goes_on(one: Project) -> None:
    loop = begin(one, env={"STEP_S": "0.2"})
    one.until(lambda: one.client.all_runs(), what="a run")
    paused = one.client.pause_loop(loop.id)
    assert paused.paused
    waits = RunStatus.QUEUED  # for a slot, and now for the person as well
    one.until(
        lambda: all(r.status.terminal or r.status is waits for r in one.client.all_runs()), what="its runs to end"
    )
    there = {run.id for run in one.client.all_runs()}
    seconds = one.client.loop(loop.id).loop.spent.seconds
    one.until(lambda: one.client.loop(loop.id).elapsed_s > seconds + 2, what="time to pass")
    now = one.client.loop(loop.id).loop
    assert {run.id for run in one.client.all_runs()} == there and now.spent.seconds == pytest.approx(seconds, abs=1.0)
    plan = [task.id for task in now.plan]
    one.client.resume_loop(loop.id)
    loop = ended(one, loop)
    assert loop.end == "complete" and [task.id for task in loop.plan][: len(plan)] == plan


def test_stop_stops_its_runs_too_and_leaves_a_report(one: Project) -> None:
    loop = begin(one, env={"STEP_S": "1.0"})
    one.until(lambda: [r for r in one.client.all_runs() if r.status is RunStatus.RUNNING], what="a run to live")
    stopped = one.client.stop_loop(loop.id, now=True)
    assert stopped.end == "stopped"
    one.until(lambda: all(r.status.terminal for r in one.client.all_runs()), what="its runs to end")
    assert ended(one, loop).end == "stopped"
    with pytest.raises(WrongMoment):
        one.client.resume_loop(loop.id)


def test_steering_is_heard_and_kept(one: Project) -> None:
    loop = begin(one, env={"STEP_S": "0.1"})
    one.client.steer_loop(loop.id, "only tune lr")
    loop = ended(one, loop)
    assert loop.steer == ["only tune lr"] and list(loop.setup.space) == ["lr"]
    asked = [e for e in one.client.journal(loop.id).entries if e.event is not None and e.event.kind == "human"]
    assert asked and asked[0].event is not None and asked[0].event.text == "only tune lr"


def test_kill_9_at_any_moment_loses_and_repeats_nothing(one: Project) -> None:
    loop = begin(one, limits=Limits(runs=22))
    for sweeps in (1, 2, 4, 6):
        one.until(lambda n=sweeps: len(one.client.loop(loop.id).loop.sweeps) >= n or one.client.loop(loop.id).loop.over,
                  60, f"sweep {sweeps}")  # fmt: skip
        one.kill_engine()
    loop = ended(one, loop)
    runs = one.client.all_runs()
    assert loop.end == "complete" and len(runs) <= 22
    sweeps_of = {sweep.id: sweep for sweep in one.client.sweeps()}
    assert set(loop.sweeps) == set(sweeps_of)
    assert all(len(trial.run_ids) == 1 for sweep in sweeps_of.values() for trial in sweep.trials)
    numbers = [entry.n for entry in one.client.journal(loop.id).entries]
    assert numbers == list(range(1, loop.entries + 1))


def test_what_cannot_work_is_said_before_anything_starts(one: Project) -> None:
    with pytest.raises(BadInput, match="goal"):
        begin(one, goal=" ")
    with pytest.raises((BadInput, CannotBeDone)):
        begin(one, command="")
    with pytest.raises(BadInput, match="condition"):
        begin(one, limits=Limits(until="sometime"))
    with pytest.raises(NotFound):
        one.client.loop("wld_nothing")
    assert one.client.loops() == [] and one.client.all_runs() == []


def test_a_script_that_always_fails_asks_a_person_and_quotes_the_line(one: Project) -> None:
    command = one.script("bad.py", "import sys\nprint('ValueError: no data here')\nsys.exit(3)\n")
    loop = begin(one, command=command)
    asked = one.until(lambda: one.client.loop(loop.id).loop.question, 60, "a question")
    assert "no data here" in asked.text
    assert len(one.client.all_runs()) <= 3
    script = one.client
    script.door = "script"
    with pytest.raises(NotAllowed):
        script.answer_loop(loop.id, asked.id, asked.default)
    script.door = "terminal"
    stop = next(o.id for o in asked.options if "top" in o.label)
    script.answer_loop(loop.id, asked.id, stop)
    assert ended(one, loop).end in ("stopped", "complete", "failed")


def test_cautious_asks_before_it_launches_and_full_never(one: Project) -> None:
    loop = begin(one, autonomy="cautious")
    asked = one.until(lambda: one.client.loop(loop.id).loop.question, 30, "a question")
    assert one.client.all_runs() == [] and asked.about == "approval"
    one.client.door = "terminal"
    one.client.answer_loop(loop.id, asked.id, "yes")
    one.until(lambda: one.client.all_runs(), what="the runs that were allowed")
    one.client.stop_loop(loop.id, now=True)
    free = begin(one, autonomy="full", limits=Limits(runs=5), goal="again")
    assert ended(one, free).question is None


def test_a_range_that_a_person_set_is_kept_to(one: Project) -> None:
    space = {"lr": Knob(dim=Range(low=0.05, high=0.2, log=True), default=0.1)}
    loop = ended(one, begin(one, space=space, limits=Limits(runs=12)))
    tried = [r.params["lr"] for r in one.client.all_runs() if "lr" in r.params]
    assert tried and all(0.05 <= lr <= 0.2 for lr in tried)
    assert set(loop.setup.space) == {"lr"}


def test_two_starts_with_one_request_are_one_loop(one: Project) -> None:
    first = begin(one, request_id="same", limits=Limits(runs=4))
    second = begin(one, request_id="same", limits=Limits(runs=4))
    assert first.id == second.id and len(one.client.loops()) == 1
    ended(one, first)
