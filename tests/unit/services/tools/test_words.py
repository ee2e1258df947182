"""Memory, questions, plans, reports, configurations: what the assistant writes is known as its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from ragent_jupyter.adapters import git_diff
from ragent_jupyter.adapters.notebooks import NotebookReports
from ragent_jupyter.domain.errors import BadInput, CannotBeDone, NotFound, TooLarge
from ragent_jupyter.domain.run import GitState, Interpreter, MetricSummary, RunStatus
from ragent_jupyter.domain.wire_chat import PutRule
from ragent_jupyter.services.reports import ReportsDesk
from ragent_jupyter.services.tools.configs import installed
from ragent_jupyter.services.tools.reports import report_tools

from .hands import Books, Hands


# --- memory -------------------------------------------------------------------------------------------------------
def test_a_proposed_rule_waits_and_is_made_once(hands: Hands) -> None:
    async def go() -> None:
        ctx = hands.context("prt_m")
        args = {"title": "Warm up", "text": "lr > 0.1 needs warmup (run_a).", "tags": ["lr"]}
        for _ in range(2):
            outcome = await hands.call("propose_rule", ctx, **args)
        (rule,) = hands.shell.rules.values()
        assert (rule.status, rule.source, rule.by) == ("proposed", "agent", "assistant for ada")
        assert "waits for a person" in outcome.text and outcome.data == {"card": "rule", "rule": rule.id}
        assert "No rule of memory counts" in (await hands.call("list_rules")).text
        await hands.memory.patch(rule.id, PutRule(status="active"))
        text = (await hands.call("list_rules")).text
        assert f"{rule.id} | agent | Warm up | lr" in text and "lr > 0.1 needs warmup" in text
        assert "No rule of memory that counts fits" in (await hands.call("list_rules", text="zebra")).text

    asyncio.run(go())


def test_a_rule_that_says_nothing_or_too_much(hands: Hands) -> None:
    for args in ({"title": "", "text": "x"}, {"title": "x", "text": " "}, {"title": "x", "text": "y" * 5000}):
        with pytest.raises(BadInput):
            hands.do("propose_rule", **args)


# --- questions ----------------------------------------------------------------------------------------------------
FORM = [
    {"name": "metric", "label": "Which metric?", "kind": "choice", "options": ["loss", "acc"]},
    {"name": "runs", "kind": "number", "default": 20},
    {"name": "go", "kind": "yes_no"},
]


def test_a_question_is_a_form_and_its_answers_the_result(hands: Hands) -> None:
    shown = hands.look("ask_user", question="What shall count?", fields=FORM)
    assert shown.title == "What shall count?" and [f.name for f in shown.form] == ["metric", "runs", "go"]
    answers = {"metric": "acc", "go": True}
    text = hands.do("ask_user", hands.context(answers=answers), question="What?", fields=FORM).text
    assert text == "The person's answers:\nmetric: acc\nruns: 20.0\ngo: true"
    assert [f.name for f in hands.look("ask_user", question="Why?").form] == ["answer"]


def test_answers_that_are_none(hands: Hands) -> None:
    assert hands.do("ask_user", question="Why?").is_error
    with pytest.raises(BadInput, match="none of its options"):
        hands.do("ask_user", hands.context(answers={"metric": "f1"}), question="What?", fields=FORM)
    with pytest.raises(BadInput, match="is no number"):
        hands.do("ask_user", hands.context(answers={"runs": "many"}), question="What?", fields=FORM)


@pytest.mark.parametrize(
    "fields",
    [
        [{"name": "a", "kind": "choice"}],
        [{"name": "a"}, {"name": "a"}],
        [{"name": "a", "options": ["x"]}],
        [{"name": "a", "kind": "choice", "options": ["x", "x"]}],
        [{"name": "a", "kind": "choice", "options": ["x"], "default": "y"}],
        [{"name": str(n)} for n in range(13)],
    ],
)
def test_a_form_that_nobody_can_fill_is_refused(hands: Hands, fields: list[dict[str, object]]) -> None:
    with pytest.raises(BadInput):
        hands.look("ask_user", question="What?", fields=fields)


# --- plans --------------------------------------------------------------------------------------------------------
def test_an_approved_plan_is_worked_off_in_sight(hands: Hands) -> None:
    steps = ["Launch a baseline", "Sweep lr"]
    shown = hands.look("propose_plan", title="Tune", steps=steps)
    assert (shown.title, shown.plan, shown.pattern) == ("Tune", steps, "")
    assert not hands.shell.plans, "looking changes nothing"

    async def go() -> None:
        ctx = hands.context("prt_p")
        for _ in range(2):
            outcome = await hands.call("propose_plan", ctx, title="Tune", steps=steps)
        (plan,) = hands.shell.plans.values()
        assert plan.status == "executing" and outcome.data == {"card": "plan", "plan": plan.id}
        text = (await hands.call("update_task", task=1, status="done", note="run_a\n0.2")).text
        assert "1. [done] Launch a baseline: run_a 0.2" in text and "2. [pending] Sweep lr" in text
        await hands.call("update_task", task="sweep", status="running")
        assert hands.shell.plans[plan.id].status == "executing"
        await hands.call("update_task", task="2", status="skipped", plan=plan.id)
        assert hands.shell.plans[plan.id].status == "done"
        _, lines = hands.shell.events_after(0, frozenset({"sessions"}))
        assert sum(b'"plan_changed"' in line for line in lines) == 4
        with pytest.raises(NotFound, match="no task 3"):
            await hands.call("update_task", task=3, status="done")
        with pytest.raises(NotFound, match="has no plan"):
            await hands.call("update_task", hands.context(session_id="ses_2"), task=1, status="done")

    asyncio.run(go())


@pytest.mark.parametrize(
    "args", [{"title": "", "steps": ["a"]}, {"title": "a", "steps": []}, {"title": "a", "steps": [" "]}]
)
def test_a_plan_without_words_is_refused(hands: Hands, args: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        hands.look("propose_plan", **args)


# --- reports ------------------------------------------------------------------------------------------------------
@pytest.fixture
def books(hands: Hands) -> Books:
    books = Books()
    desk = ReportsDesk(hands.shell, hands.runs, hands.sweeps, hands.metrics, hands.project, NotebookReports())
    hands.add(report_tools(desk, books))
    run = hands.run("run_a", primary="loss", summary={"loss": MetricSummary(last=0.25, step=7, min=0.2, min_step=5)})
    hands.curve(run, "loss", [1.0, 0.2, 0.25])
    return books


@pytest.mark.slow
def test_a_report_is_written_and_extended_with_marked_words(hands: Hands, books: Books) -> None:
    outcome = hands.do("create_report", runs=["run_a"], title="First look")
    path = outcome.data["path"]
    assert path == "reports/first-look.ipynb" and (hands.project / path).is_file()
    assert "- Best loss: 0.2 in train 1" in outcome.text
    section = {"report": "latest", "title": "What I think", "text": "0.2 at step 5 beats 0.31.", "runs": ["run_a"]}
    shown = hands.look("extend_report", **section)
    assert "+0.2 at step 5 beats 0.31." in shown.diff and shown.pattern == f"extend_report:{path}"
    ctx = hands.context("prt_r")
    text = hands.do("extend_report", ctx, **section).text
    hands.do("extend_report", ctx, **section)  # a crash came between: done again, it is there once
    (cell,) = books.cells[path]
    assert cell.kind == "markdown" and "Words of the assistant, not computed by this report." in cell.source
    assert "records of run_a do not hold: 0.31." in cell.source and "0.31" in text
    assert books.edits == [(path, "trn_1")]


@pytest.mark.slow
def test_words_whose_numbers_are_recorded_say_so(hands: Hands, books: Books) -> None:
    hands.do("create_report", runs=["run_a"])
    hands.do("extend_report", report="1", title="T", text="It reached 0.25.", runs=["run_a"])
    ((cell,),) = books.cells.values()
    assert "Its numbers were found in the records of run_a." in cell.source


@pytest.mark.slow
def test_reports_that_cannot_be(hands: Hands, books: Books) -> None:
    for args in ({}, {"runs": ["run_a"], "sweep": "swp_1"}):
        with pytest.raises((BadInput, NotFound)):
            hands.look("create_report", **args)
    for path in ("../out.ipynb", "a.txt", ".ragent/x.ipynb"):
        with pytest.raises((BadInput, CannotBeDone)):
            hands.look("create_report", runs=["run_a"], path=path)
    with pytest.raises(NotFound, match="no report x"):
        hands.look("extend_report", report="x", title="t", text="t")
    hands.do("create_report", runs=["run_a"])
    with pytest.raises(TooLarge):
        hands.look("extend_report", report="1", title="t", text="t" * 30_000)


# --- configurations -----------------------------------------------------------------------------------------------
def test_the_changed_lr_is_found_against_the_last_good_run(hands: Hands) -> None:
    hands.run("run_a", at=1.0, command="python t.py --lr 0.1", cwd="/p")
    hands.run("run_b", at=2.0, command="python t.py --lr 3.0", cwd="/p", status=RunStatus.FAILED, exit_code=1)
    outcome = hands.do("diff_config", run="run_b")
    assert "against run_a (train 1, finished) (the last run of this script" in outcome.text
    assert "setting lr: 0.1 -> 3.0" in outcome.text and outcome.data["rows"] == [["setting", "lr", "0.1", "3.0"]]
    hands.run("run_c", at=3.0, command="python t.py --lr=3", cwd="/p", status=RunStatus.FAILED)
    assert "Nothing that is recorded differs." in hands.do("diff_config", run="run_c", against="run_b").text
    with pytest.raises(NotFound, match="finished without a critical alert"):
        hands.do("diff_config", run="run_a")
    with pytest.raises(BadInput, match="same run"):
        hands.do("diff_config", run="run_a", against="1")


def test_uncommitted_code_is_shown_and_secrets_are_not(hands: Hands) -> None:
    hands.run("run_a", at=1.0, git=GitState("a" * 40), env={"API_KEY": "sk-ant-aaaabbbbccccdddd1111"})
    run = hands.run(
        "run_b", at=2.0, status=RunStatus.FAILED, git=GitState("a" * 40, dirty=True, diff_file="git.diff"),
        env={"API_KEY": "sk-ant-aaaabbbbccccdddd2222"},
    )  # fmt: skip
    folder = hands.runs.folder(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "git.diff").write_text(
        "diff --git a/t.py b/t.py\n@@ -1 +1,2 @@\n-lr = 1\n+lr = 3\n+password = 'hunter2hunter2'\n"
    )
    text = hands.do("diff_config", run="run_b").text
    assert "file t.py: changed, uncommitted, only in run_b:" in text and "  +lr = 3" in text
    assert "variable API_KEY" in text and "hunter2" not in text and "sk-ant" not in text


def test_packages_that_came_between_two_runs_of_one_environment(hands: Hands, tmp_path: Path) -> None:
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    for name, came in (("torch-2.1.0.dist-info", 100.0), ("numpy-2.0.0.dist-info", 5000.0)):
        (site / name).mkdir(parents=True)
        os.utime(site / name, (came, came))
    python = Interpreter(str(tmp_path / "venv" / "bin" / "python"))
    assert installed(python) == {"torch": ("2.1.0", 100.0), "numpy": ("2.0.0", 5000.0)}
    hands.run("run_a", at=1.0, started_at=1000.0, interpreter=python)
    hands.run("run_b", at=2.0, started_at=9000.0, interpreter=python, status=RunStatus.FAILED)
    text = hands.do("diff_config", run="run_b").text
    assert "installed in the shared environment between the two runs: numpy 2.0.0" in text
    assert installed(Interpreter("/nowhere/bin/python")) is None


def test_what_lies_between_two_commits(tmp_path: Path) -> None:
    def git(*args: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", "-C", str(tmp_path), *who, *args], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    commits = []
    for text in ("lr = 1\n", "lr = 3\n"):
        (tmp_path / "t.py").write_text(text)
        git("add", "t.py")
        git("commit", "-q", "-m", "x")
        commits.append(git("rev-parse", "HEAD"))
    found = asyncio.run(git_diff.between(str(tmp_path), *commits))
    assert found is not None and "+lr = 3" in found and "-lr = 1" in found
    assert asyncio.run(git_diff.between(str(tmp_path), commits[0], "f" * 40)) is None
    assert asyncio.run(git_diff.between(str(tmp_path), commits[0], "--output=x")) is None
    assert asyncio.run(git_diff.between(str(tmp_path / "none"), *commits)) is None
