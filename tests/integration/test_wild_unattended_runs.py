"""What goes wrong with runs at night: luck, bent judges, memory, hangs, children, disks, and people who work on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psutil
import pytest

from ragent_jupyter.domain.run import RunStatus
from ragent_jupyter.domain.sweep import Values
from ragent_jupyter.domain.wild import Knob, Limits
from tests.support.engine import Project, processes_of
from tests.support.fake_frames import Reply
from tests.support.git_repo import Repo
from tests.support.wait import wait_until
from tests.support.wild_model import Asked, calls, sweep
from tests.support.wild_night import Night, night, script

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

# Nothing but noise, in which one configuration had luck with the first seed.
LUCKY = script().replace("0.3 * (math.log10(a.lr) + 1) ** 2", "(-0.2 if (a.lr, a.seed) == (0.1, 1000) else 0)")


@pytest.fixture
def n() -> Iterator[Night]:
    with night() as made:
        yield made


@pytest.fixture
def rules(one: Project) -> Night:
    """The built-in policy: no provider is there."""
    return Night(one)


# --- W9 ---------------------------------------------------------------------------------------------------------------
def test_W9_a_lucky_seed_is_not_kept_whatever_the_model_says(n: Night) -> None:
    n.model.points = [[{"lr": 0.1}, {"lr": 0.2}]]
    loop = n.ended(n.begin(text=LUCKY, seeds=5, limits=Limits(runs=30)))
    lucky = next(run for run in n.runs_of(loop, "search") if run.params["lr"] == 0.1)
    assert lucky.params["seed"] == 1000 and n.one.points(lucky, "val_loss")[-1][1] < 0.15, "it was luck indeed"
    verdict = next(v for v in loop.verdicts if v.params == {"lr": 0.1})
    assert verdict.verdict in ("not distinguishable", "worse") and 1000 not in verdict.seeds
    assert verdict.claimed is not None and verdict.claimed < verdict.mean - 0.1
    real = n.client.loop(loop.id).summary.real
    assert not [line for line in real if line.tone == "good"] and "onfirmed:" not in " ".join(x.text for x in real)


# --- W10 --------------------------------------------------------------------------------------------------------------
def test_W10_what_judges_cannot_be_edited_and_a_run_that_bends_it_is_void(n: Night) -> None:
    repo = Repo(n.one.folder)
    source = script().replace("loss = 0.2", "loss = judge.score(a.lr)")
    source = source.replace("import argparse", "import judge, argparse", 1)
    files = {"judge.py": "def score(lr):\n    return 0.2\n", "train.py": source, ".gitignore": ".ragent/\n"}
    repo.commit(files)
    kinder = {"path": "judge.py", "old": "return 0.2", "new": "return 0.1"}
    bend = "open('judge.py', 'w').write('def score(lr):\\n    return 0.0\\n')"
    bend = f"os.chmod('judge.py', 0o644); {bend}"
    cheat = {"path": "train.py", "old": "noise = random", "new": f"{bend}\nnoise = random"}

    def explore(asked: Asked) -> Reply | None:
        if asked.n == 1 and not asked.step:
            return calls(("edit_code", {"summary": "be kind", "hypothesis": "lower", "edits": [kinder]}))
        if asked.n == 1:
            edit = ("edit_code", {"summary": "quicker", "hypothesis": "lower", "edits": [cheat]})
            tried = ("propose_sweep", {"name": "cheat", "points": [{"lr": 0.2}], "reason": "it is quicker"})
            return calls(edit, tried)
        return None if asked.step else n.model.explore(asked)

    n.model.on["explore"] = explore
    n.model.points = [[{"lr": 0.2}]]
    loop = n.ended(n.begin(text=source, isolation="tree", eval_files=["judge.py"], may_edit=["*.py"]))
    [refused] = n.did(loop, "edit_code", "refused")
    assert "judge" in refused.result
    cheated = [run for run in n.runs_of(loop, "search") if run.params["lr"] == 0.2]
    assert cheated and all(run.void or run.status is RunStatus.FAILED for run in cheated)
    assert not [v for v in loop.verdicts if v.verdict == "confirmed"]
    assert (n.one.folder / "judge.py").read_text() == files["judge.py"]


# --- W11 --------------------------------------------------------------------------------------------------------------
OOM = """
        if a.batch > 32:
            print("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB", flush=True); sys.exit(1)
"""


def test_W11_out_of_memory_is_a_bound_that_is_learnt_and_the_night_ends(rules: Night) -> None:
    batches = Values([8, 16, 32, 64, 128, 256, 512])
    space = {"batch": Knob(dim=batches, default=16), "lr": Knob(dim=Values([0.01, 0.03, 0.1, 0.3]), default=0.01)}
    loop = rules.ended(rules.begin(OOM.strip(), space=space, limits=Limits(runs=22), seeds=3))
    assert loop.question is None and loop.end in ("complete", "budget")
    tried = rules.runs_of(loop, "search", "screen")
    failed = [run for run in tried if run.status is RunStatus.FAILED]
    assert failed and all(run.reason.kind == "oom" for run in failed if run.reason), "it was provoked"
    assert len(failed) <= 5, [run.params for run in tried]
    assert loop.best is not None and loop.best.params.get("batch", 16) <= 32
    assert all(v.params.get("batch", 16) <= 32 for v in loop.verdicts)


# --- W12 --------------------------------------------------------------------------------------------------------------
def test_W12_a_sweep_whose_runs_all_fail_alike_is_ended_and_a_person_is_asked(n: Night) -> None:
    broken = "assert a.lr == 0.01, 'the data loader is broken'"
    n.model.on["explore"] = lambda asked: (
        sweep([{"lr": 0.001 * (k + asked.n)} for k in range(11, 19)]) if not asked.step else Reply(text="Hm.")
    )
    n.model.on["analysis"] = lambda asked: sweep([{"lr": 0.05}, {"lr": 0.06}]) if not asked.step else Reply(text="Hm.")
    loop = n.begin(broken, limits=Limits(runs=60))
    question = n.asks(loop, 90)
    assert "alike" in question.text and "data loader" in question.text
    assert len(n.runs_of(loop, "search")) <= 3 + 2, "three equal failures end a sweep; two may be under way"
    n.answer(loop, "stop")


# --- W13 --------------------------------------------------------------------------------------------------------------
HANGS = "time.sleep(1000 if a.lr == 0.3 and step == 5 else 0)"


def test_W13_a_run_that_hangs_is_told_and_stopped(n: Night) -> None:
    """Ten seconds of silence are long for a test: here five count."""
    n.model.points = [[{"lr": 0.3}, {"lr": 0.1}]]
    loop = n.begin(HANGS, autonomy="full", env={"RAGENT_STALL_S": "5"})
    asked = n.model.wait("warning", timeout=90)
    assert "no metric and no output for" in asked.event
    loop = n.ended(loop)
    assert loop.end == "complete"
    hung = next(run for run in n.runs(RunStatus.STOPPED) if run.params["lr"] == 0.3)
    # The model was asked about this very alert; a healthy run that was silent for so long may have had one as well.
    alerts = {alert.id for alert in n.one.alerts(run=hung.id)} & {asked.alert for asked in n.model.asked}
    assert hung.stop_by in {f"alert:{id}" for id in alerts}
    assert not n.alive()


def test_W13_by_rule_a_hang_is_noted_first_and_stopped_once_it_has_gone_on(rules: Night) -> None:
    rules.client.put("prefs", {"stall_s": 2.0})
    space = {"lr": Knob(dim=Values([0.03, 0.1, 0.3]), default=0.1)}
    loop = rules.ended(rules.begin(HANGS, space=space, limits=Limits(runs=10), autonomy="full"), 150)
    hung = [run for run in rules.runs(RunStatus.STOPPED) if run.params["lr"] == 0.3]
    assert hung, rules.told(loop)
    for run in hung:
        alerts = {alert.rule: alert for alert in rules.one.alerts(run=run.id)}
        assert alerts.keys() >= {"stall", "hang"}
        assert run.stop_by == f"alert:{alerts['hang'].id}"
        assert alerts["stall"].evidence.value < 10.0 < alerts["hang"].evidence.value < 60.0
    assert {e.who for e in rules.did(loop, "resolve_alert")} == {"rule:stall_noted", "rule:hang_stops"}
    assert not rules.alive()


# --- W14 --------------------------------------------------------------------------------------------------------------
def test_W14_children_that_a_run_leaves_behind_are_ended_with_it(rules: Night) -> None:
    forks = "step == 1 and __import__('subprocess').Popen([sys.executable, '-c', 'import time; time.sleep(99) # left'])"
    loop = rules.begin(forks, limits=Limits(runs=3), env={"STEP_S": "0.3"})

    def left() -> list[psutil.Process]:
        found = []
        for process in processes_of(rules.one.folder):
            try:
                if "# left" in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    wait_until(left, 60, what="a child")
    rules.ended(loop)
    wait_until(lambda: not left(), 30, what="the children to be ended")


# --- W15 --------------------------------------------------------------------------------------------------------------
def test_W15_a_loop_that_stops_touches_no_other_run(one: Project) -> None:
    n = Night(one)
    person = one.run("sleep 300", name="mine")
    foreign = psutil.Popen(["sleep", "300"], cwd=one.folder, env={**os.environ, "RAGENT_NOTE": "not ours"})
    try:
        other = n.begin(goal="another", env={"STEP_S": "20"}, limits=Limits(runs=2))
        loop = n.begin(env={"STEP_S": "20"})
        one.until(lambda: len(n.runs_of(loop, "baseline")) and len(n.runs_of(other, "baseline")), 60, "both to run")
        for run in n.runs_of(loop, "baseline") + n.runs_of(other, "baseline"):
            one.wait(run, "running", timeout=60)
        n.client.stop_loop(loop.id, now=True)
        for run in n.runs_of(loop, "baseline"):
            one.wait(run, "stopped", timeout=60)
        assert one.client.run(person.id).status is RunStatus.RUNNING and foreign.is_running()
        assert foreign.status() != psutil.STATUS_ZOMBIE
        assert {run.status for run in n.runs_of(other, "baseline")} == {RunStatus.RUNNING}
        assert not n.loop(other).over
        n.client.stop_loop(other.id, now=True)
        one.client.stop(person.id, now=True)
    finally:
        foreign.kill()
        foreign.wait()


# --- W16 --------------------------------------------------------------------------------------------------------------
def test_W16_a_huge_log_and_a_disk_limit_end_it_with_that_reason(rules: Night) -> None:
    flood = "sys.stdout.write('x' * 199 + chr(10) * 1); [print('y' * 200) for _ in range(20000)]; sys.stdout.flush()"
    loop = rules.ended(rules.begin(flood, limits=Limits(disk_gb=0.03, runs=24)))
    assert (loop.end, loop.budget) == ("budget", "disk_gb") and "disk limit" in loop.reason
    assert loop.spent.disk_bytes >= 30e6 and len(rules.runs()) < 20
    rules.idle()


# --- W17 --------------------------------------------------------------------------------------------------------------
def test_W17_a_person_edits_and_commits_meanwhile_and_neither_is_disturbed(rules: Night) -> None:
    repo = Repo(rules.one.folder)
    repo.commit({"train.py": script(), ".gitignore": ".ragent/\n", "notes.md": "mine\n"})
    command = f"{psutil.Process().exe()} train.py"
    loop = rules.begin(command=command, isolation="tree", limits=Limits(runs=10), env={"STEP_S": "0.05"})
    rules.one.until(lambda: rules.runs(RunStatus.FINISHED), 60, "a run")
    repo.commit({"train.py": "raise SystemExit('broken by its owner')\n"}, "the owner's work")
    repo.put({"notes.md": "not committed\n", "new.py": "x = 1\n"})
    repo.git("add", "new.py")
    before = repo.state()
    loop = rules.ended(loop)
    assert loop.question is None
    rules.well_or_beaten(loop)
    assert len({run.tree for run in rules.runs()}) == 1 and len(rules.runs()) > 4
    rules.one.until(lambda: rules.loop(loop).report, 90, "the report")
    after = repo.state()
    changed = {name for name, value in after.items() if value != before.get(name)} - {"status"}
    assert all(name.startswith("reports/") for name in changed), "nothing of the person's is touched; a report is new"
    assert set(before) <= set(after)
