"""A night from outside: nobody watches, engines die, events pile up, clocks jump, two want the same thing at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from ragent_jupyter.client import Client
from ragent_jupyter.domain.errors import RagentError
from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.wild import Limits
from tests.support.engine import Project
from tests.support.fake_frames import Reply
from tests.support.wait import wait_until
from tests.support.wild_model import Asked
from tests.support.wild_night import Night, night, script

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

# Waits for the file `go`; then one is well, one fails, and one becomes NaN and goes on.
THREE = """
        while a.lr != 0.01 and not os.path.exists("go"): time.sleep(0.02)
        if a.lr == 0.2: raise RuntimeError("a shape that does not fit")
        if a.lr == 0.3: f.write('{"step": 1, "val_loss": NaN}\\n'); f.flush(); time.sleep(120)
"""


@pytest.fixture
def n() -> Iterator[Night]:
    with night() as made:
        yield made


@pytest.fixture
def rules(one: Project) -> Night:
    return Night(one)


# --- A3, A4 -----------------------------------------------------------------------------------------------------------
def test_A3_a_loop_goes_on_with_neither_browser_nor_kernel_nor_terminal(one: Project) -> None:
    command = one.script("train.py", script())
    begun = subprocess.run(
        [sys.executable, "-m", "ragent_jupyter.cli.main", "wild", "lower val_loss", "--yes", "--detach",
         "--max-runs", "10", "-C", str(one.folder), "--", *command.split()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert begun.returncode == 0, begun.stderr
    folder = one.folder / ".ragent"
    database = folder / "ragent.db"
    assert database.exists()
    # Nobody asks the engine for anything until the report lies there.
    report = wait_until(lambda: list(one.folder.rglob("*.ipynb")), 120, every=0.2, what="the report")
    [loop] = one.client.loops()
    reply = one.client.loop(loop.id)
    assert report and reply.loop.over and reply.loop.end in ("complete", "budget") and reply.loop.iteration >= 1
    assert reply.loop.ended_at is not None
    assert reply.elapsed_s == pytest.approx(reply.loop.ended_at - reply.loop.created_at, abs=0.01)
    assert len(one.client.all_runs()) > 3 and reply.loop.spent.seconds <= reply.elapsed_s + 0.5
    assert reply.summary.tried and reply.summary.cost


def test_A4_an_engine_that_is_killed_mid_sweep_finds_all_of_it_again() -> None:
    with night(executor="tmux") as n:
        n.model.points = [[{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]]
        n.model.on["critical"] = lambda asked: Reply(text="I leave it to a person.")
        loop = n.begin(THREE.strip(), parallel=3, autonomy="balanced")
        n.one.until(
            lambda: len([r for r in n.runs_of(loop, "search") if r.status is RunStatus.RUNNING]) == 3, 90, "runs"
        )
        ids = {run.id for run in n.runs()}
        before = n.loop(loop)
        lines = n.ledger(loop)
        n.one.kill_engine()
        (n.one.folder / "go").touch()  # one ends, one fails, one lives on while there is no engine
        exits = {run: n.one.run_dir(run) / "exit.json" for run in ids}
        wait_until(
            lambda: sum(path.exists() for path in exits.values()) == len(ids) - 1, 60, what="two of three to end"
        )
        after = n.loop(loop)
        assert {run.id for run in n.runs()} == ids
        assert (after.goal, after.limits, after.sweeps, after.baseline) == (
            before.goal, before.limits, before.sweeps, before.baseline,
        )  # fmt: skip
        assert [task.id for task in after.plan] == [task.id for task in before.plan]
        assert n.ledger(loop)[: len(lines)] == lines
        by_lr = {run.params["lr"]: run for run in n.runs_of(loop, "search")}
        assert n.one.wait(by_lr[0.1], timeout=60).exit_code == 0
        assert n.one.wait(by_lr[0.2], timeout=60).exit_code == 1
        assert n.client.run(by_lr[0.3].id).status is RunStatus.RUNNING, "adopted, not lost"
        alerts = n.one.until(lambda: n.one.alerts(run=by_lr[0.3].id, severity="critical"), 60, "its alert")
        n.one.kill_engine()
        assert [a.id for a in n.one.alerts(run=by_lr[0.3].id, severity="critical")] == [a.id for a in alerts]
        n.client.respond(alerts[0].id, "stop")
        assert n.ended(loop, 120).end == "complete"
        assert {run.id for run in n.runs_of(loop, "search")} == ids & {run.id for run in n.runs_of(loop, "search")}
        assert len(n.runs_of(loop, "search")) == 3


# --- A22 --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dragged", [False, True], ids=["by-priority", "as-a-person-ordered"])
def test_A22_what_waits_is_heard_in_order_once_and_over_a_restart(n: Night, dragged: bool) -> None:
    n.model.points = [[{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}]]
    loop = n.begin(THREE.strip(), parallel=3, limits=Limits(runs=12), autonomy="full")
    n.one.until(lambda: len([r for r in n.runs_of(loop, "search") if r.status is RunStatus.RUNNING]) == 3, 90, "runs")
    n.client.pause_loop(loop.id)
    (n.one.folder / "go").touch()
    wanted = {"critical", "failure", "completion"}
    n.one.until(lambda: {e.kind for e in n.loop(loop).queue} >= wanted, 60, "what happened to wait")
    n.client.steer_loop(loop.id, "mind the ZEBRA")
    order = ["human", "critical", "failure", "completion"]
    if dragged:
        by_kind = {e.kind: e.id for e in n.loop(loop).queue}
        n.client.queue_loop(loop.id, [by_kind["completion"], by_kind["human"]])
        order = ["completion", "human", "critical", "failure"]
    queue = n.loop(loop).queue
    assert Counter(e.kind for e in queue) == Counter(order)
    n.one.kill_engine()
    assert sorted(e.id for e in n.loop(loop).queue) == sorted(e.id for e in queue)
    asked = len(n.model.asked)
    n.client.resume_loop(loop.id)
    n.model.wait("completion")
    n.model.wait("failure")
    loop = n.ended(loop)
    after = [a for a in n.model.asked[asked:] if not a.step]
    assert [a.kind for a in after[:4]] == order
    by_lr = {run.params["lr"]: run.id for run in n.runs_of(loop, "search")}
    shown = {a.kind: a.event for a in after[:4]}
    assert by_lr[0.1] in shown["completion"] and by_lr[0.2] in shown["failure"] and by_lr[0.3] in shown["critical"]
    assert "shape that does not fit" in shown["failure"] and "ZEBRA" in shown["human"]
    # Each event is decided once, and the ledger's lines name the one that was shown.
    heard = [e.event.id for e in n.ledger(loop) if e.event is not None and e.event.kind in order and e.by == "model"]
    decided = list(dict.fromkeys(id for id in heard if id in {e.id for e in queue}))
    assert [next(e.kind for e in queue if e.id == id) for id in decided] == order
    assert Counter(a.kind for a in after)["human"] == 1 and Counter(a.kind for a in after)["critical"] == 1


# --- W1 ---------------------------------------------------------------------------------------------------------------
def test_W1_an_engine_that_dies_while_the_model_speaks_decides_anew_and_says_so(n: Night) -> None:
    slow = [True]

    def explore(asked: Asked) -> Reply:
        reply = n.model.explore(asked)
        if slow:
            slow.clear()
            return Reply(text="Let me think. " * 60, calls=reply.calls, delay=0.3, chunk=6)
        return reply

    n.model.points = [[{"lr": 0.1}]]
    n.model.on["explore"] = explore
    loop = n.begin()
    speaking = n.model.wait("explore")
    wait_until(lambda: speaking.seen.sent > 200, 30, what="some words")
    n.one.kill_engine()
    loop = n.ended(loop)
    assert loop.end == "complete"
    unknown = [entry for entry in n.ledger(loop) if entry.outcome == "outcome_unknown"]
    assert len(unknown) == 1 and unknown[0].event is not None and unknown[0].event.kind == "explore"
    assert [run.params["lr"] for run in n.runs_of(loop, "search")] == [0.1]
    assert [entry.n for entry in n.ledger(loop)] == list(range(1, loop.entries + 1))


# --- W19 --------------------------------------------------------------------------------------------------------------
def test_W19_two_loops_side_by_side_share_nothing_but_the_engine(rules: Night) -> None:
    loops = [rules.begin(goal=goal, limits=Limits(runs=8)) for goal in ("lower val_loss", "val_loss down")]
    ended = [rules.ended(loop, 120) for loop in loops]
    assert all(loop.end in ("complete", "budget") and loop.spent.runs <= 8 for loop in ended)
    assert not set(ended[0].sweeps) & set(ended[1].sweeps)
    sweeps = {sweep.id: sweep.loop_id for sweep in rules.client.sweeps()}
    assert all(sweeps[id] == loop.id for loop in ended for id in loop.sweeps)
    for loop in ended:
        assert {entry.loop_id for entry in rules.ledger(loop)} == {loop.id}


def test_W19_two_doors_at_once_one_wins_and_the_other_is_told(rules: Night) -> None:
    loop = rules.begin(autonomy="cautious")
    question = rules.asks(loop)

    def answer(choice: str) -> str:
        try:
            Client(rules.one.folder, door="terminal").answer_loop(loop.id, question.id, choice)
        except RagentError as error:
            assert "no longer open" in error.problem
            return "told"
        return choice

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(answer, ["yes", "no", "yes", "no"]))
    assert said.count("told") == 3
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: Client(rules.one.folder, door="terminal").steer_loop(loop.id, f"word {n}"), range(8)))
    assert sorted(rules.loop(loop).steer) == [f"word {n}" for n in range(8)]

    def whole() -> bool:
        """The ledger has every line that the loop counts; a line that is being written is not read yet."""
        counted = rules.loop(loop).entries
        return [entry.n for entry in rules.ledger(loop)] == list(range(1, counted + 1))

    rules.one.until(whole, 20, "a ledger without a gap")
    rules.client.stop_loop(loop.id, now=True)


def test_W19_a_second_engine_leaves_the_loop_to_the_first(rules: Night) -> None:
    loop = rules.begin(limits=Limits(runs=6), env={"STEP_S": "0.1"})
    first = rules.one.engine_pid
    code = "import asyncio, sys; from pathlib import Path; from ragent_jupyter.engine.app import Engine\n"
    code += "asyncio.run(Engine(Path(sys.argv[1])).run())"
    second = subprocess.run([sys.executable, "-c", code, str(rules.one.folder)], capture_output=True, timeout=60)
    assert rules.one.engine_pid == first, second.stderr.decode()
    loop = rules.ended(loop)
    sweeps = [sweep for sweep in rules.client.sweeps() if sweep.loop_id == loop.id]
    assert len(sweeps) == len(loop.sweeps) and all(len(t.run_ids) == 1 for s in sweeps for t in s.trials)


# --- W20 --------------------------------------------------------------------------------------------------------------
def test_W20_an_engine_that_sleeps_goes_on_and_is_charged_for_what_it_ran(rules: Night) -> None:
    loop = rules.begin(env={"STEP_S": "0.1"}, limits=Limits(runs=10))
    rules.one.until(lambda: rules.runs(RunStatus.RUNNING), 60, "a run")
    engine = psutil.Process(rules.one.engine_pid)
    runs = [run.id for run in rules.runs(RunStatus.RUNNING)]
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        wait_until(
            lambda: all((rules.one.run_dir(id) / "exit.json").exists() for id in runs), 60, what="its runs to end"
        )
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    loop = rules.ended(loop)
    assert loop.end in ("complete", "budget") and loop.question is None
    rules.well_or_beaten(loop)
    assert loop.ended_at is not None and loop.spent.seconds <= loop.ended_at - loop.created_at + 0.5


# Hours pass at once: of the wall clock to and fro, of the steady one when a lid was closed.
LID = """
import asyncio, sys
from pathlib import Path
from ragent_jupyter.engine.app import Engine
from ragent_jupyter.services.shell import Clock

class Lid(Clock):
    calls = 0
    def now(self):
        return super().now() + (0, 86400.0, -7200.0)[Lid.calls // 200 % 3]
    def mono(self):
        Lid.calls += 1
        return super().mono() + 3600.0 * (Lid.calls // 100)

async def main():
    await Engine(Path(sys.argv[1]), idle_s=600, clock=Lid()).run()
asyncio.run(main())
"""


def test_W20_hours_that_the_machine_slept_are_not_spent(rules: Night) -> None:
    one = rules.one
    log = (one.folder / "engine.out").open("w")
    engine = subprocess.Popen([sys.executable, "-c", LID, str(one.folder)], stdout=log, stderr=log)
    try:
        wait_until(lambda: (one.folder / ".ragent" / "engine.sock").exists(), 60)
        loop = rules.ended(rules.begin(limits=Limits(runs=8, hours=0.2)))
        assert (loop.end, loop.budget) != ("budget", "hours"), "an hour's gap was sleep"
        assert loop.spent.seconds < 0.2 * 3600
        rules.well_or_beaten(loop)
    finally:
        engine.terminate()
        engine.wait(30)
        log.close()
